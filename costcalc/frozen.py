"""Frozen dataclasses whose methods are shared, not generated.

`@dataclass(frozen=True)` compiles six methods for every class, a third of a millisecond each time costcalc starts. A
class that derives from `Record` has the same fields, behaves the same and costs an eighth of it; making an object takes
a few microseconds longer, so that what is made by the thousands, as in the engine, is better off with the original.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from functools import cache
from typing import Any, ClassVar, dataclass_transform, get_args, get_origin, get_type_hints


class Frozen:
    """What frozen records have in common."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __init__(self, *positional: Any, **named: Any) -> None:
        own = self.__dict__
        own.update(zip(self.__dataclass_fields__, positional, strict=False), **named)
        if len(own) < len(positional) + len(named):
            raise TypeError(f"{type(self).__name__} got more values than it has fields, or one of them twice")
        if own.keys() != self.__dataclass_fields__.keys():
            self._complete(own)
        self.__post_init__()

    def _complete(self, own: dict[str, Any]) -> None:
        """Put in the defaults; raises TypeError for a field that has none, and for a name that is no field."""
        fields = self.__dataclass_fields__
        if unknown := own.keys() - fields.keys():
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        for name in fields.keys() - own.keys():
            default, factory = fields[name].default, fields[name].default_factory
            if default is MISSING and factory is MISSING:
                raise TypeError(f"{type(self).__name__} needs a value of {name!r}")
            own[name] = factory() if factory is not MISSING else default

    def __post_init__(self) -> None:
        """Check what no single field can tell; raises ValueError."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"cannot delete field {name!r}")

    def _values(self) -> tuple[Any, ...]:
        return tuple(self.__dict__[name] for name in self.__dataclass_fields__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frozen) and type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def __repr__(self) -> str:
        shown = [name for name, each in self.__dataclass_fields__.items() if each.repr]
        return f"{type(self).__name__}({', '.join(f'{name}={self.__dict__[name]!r}' for name in shown)})"


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record(Frozen):
    """A frozen dataclass with shared methods: derive from it and declare fields."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(init=False, repr=False, eq=False)(cls)


@cache
def hints(record: Any) -> dict[str, Any]:
    """Return the annotations of a record's fields; those of a generic one with its parameters put in.

    record: the class, or a generic one with parameters such as KernelFit[GemmParameters].
    """
    origin = get_origin(record) or record
    given = dict(zip(getattr(origin, "__parameters__", ()), get_args(record), strict=False))
    annotations = get_type_hints(origin, include_extras=True)
    return {name: given.get(hint, hint) for name in origin.__dataclass_fields__ for hint in [annotations[name]]}
