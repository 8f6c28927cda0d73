"""What every specification shares: a frozen dataclass, whose annotations say what a file may hold.

A class that derives from `Spec` takes its values as they are, of the types declared. Files and everything else that
people write is read and checked against the annotations by catalog.validation, where pydantic does the work. What
stands in `Annotated` here tells it how, and imports nothing, so that a specification costs no more than its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, dataclass_transform

from costcalc.frozen import Frozen


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Spec(Frozen):
    """A frozen specification, made with keywords only; in what is read, unknown keys are errors."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid"}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)


class Limits:
    """What a value has to keep to, by pydantic's names: gt, ge, lt, le, strict, pattern, min_length."""

    def __init__(self, **limits: Any) -> None:
        self.limits = limits

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        return {**handler(source), **self.limits}


class Examples:
    """Examples of a value, for its JSON Schema."""

    def __init__(self, *examples: Any) -> None:
        self.examples = examples

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        return {**handler(schema), "examples": list(self.examples)}


class Before:
    """Turns what was written into what the field declares, such as '80 GB' into bytes.

    read: raises ValueError for what it cannot read. json_schema: of what may be written.
    """

    def __init__(self, read: Callable[[Any], Any], json_schema: Mapping[str, Any]) -> None:
        self.read = read
        self.json_schema = json_schema

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core.core_schema import no_info_before_validator_function

        return no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Callable[[Any], Any]) -> dict[str, Any]:
        return dict(self.json_schema)


class After:
    """Checks what a field holds, and returns it or what stands for it, such as a format's own name.

    read: raises ValueError for what cannot be.
    """

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.read = read

    def __get_pydantic_core_schema__(self, source: Any, handler: Callable[[Any], Any]) -> Any:
        from pydantic_core.core_schema import no_info_after_validator_function

        return no_info_after_validator_function(self.read, handler(source))


class ByKind:
    """Tells the members of a union apart by their `kind`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic import Field

        return handler.generate_schema(Annotated[source, Field(discriminator="kind")])


Size = Annotated[int, Limits(gt=0, le=10**8, strict=True)]
"""A dimension of a tensor, a number of heads, layers or experts."""

OptionalSize = Annotated[int, Limits(ge=0, le=10**8, strict=True)]
"""A dimension that may be absent (0)."""
