"""A family of models: the names it goes by in configurations, and its reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from costcalc.catalog.huggingface.fields import Fields, Names
from costcalc.catalog.huggingface.shape import Shape


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose configurations one reader understands.

    name: the family as the catalog calls it. architectures, model_types: what its configurations say.
    read: the reader. names: spellings of settings that only this family uses. defaults: what the class of
    the model takes where a file says nothing, for settings that shipped files do leave out.
    """

    name: str
    architectures: tuple[str, ...]
    model_types: tuple[str, ...]
    read: Callable[[Fields], Shape]
    names: Names = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
