"""What every specification shares: frozen, and strict about keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Size = Annotated[int, Field(gt=0, le=10**8, strict=True)]
"""A dimension of a tensor, a number of heads, layers or experts."""

OptionalSize = Annotated[int, Field(ge=0, le=10**8, strict=True)]
"""A dimension that may be absent (0)."""


class Spec(BaseModel):
    """A validated, frozen specification; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")
