"""What specifications are made of: frozen records, checked field types, quantities with units, dates, arrays."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from datetime import date
from functools import cache, partial, reduce
from inspect import get_annotations
from operator import add
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Self,
    TypeAlias,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
)

from costcalc.errors import LONGEST_NAME, escaped
from costcalc.units import parse_quantity

if TYPE_CHECKING:
    from os import PathLike

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[Any]
    Number: TypeAlias = float | Array
    """A scalar or an array of floats or integers."""
else:  # numpy.typing is for type checkers alone
    Array = Number = Any


_Summed = TypeVar("_Summed")


def total(values: Iterable[_Summed]) -> _Summed:
    """Return the sum of numbers, added one after the other.

    The built-in sum makes up for rounding since Python 3.12, where all are floats: not of the elements of arrays, so
    that a cell of a sweep would differ from its estimate.
    """
    found: Any = reduce(add, values, 0.0)
    return found


# Days, months and years as files and measurements write them.


_FORM = re.compile(r"(\d{4})(?:-(\d{2}))?(?:-(\d{2}))?")


def read_date(text: str) -> tuple[int, int | None, int | None] | None:
    """Return year, month and day of '2026-11-23', '2026-11' or '2026', as far as they are given; None for no date.

    text: what was written.
    """
    found = _FORM.fullmatch(text)
    if not found:
        return None
    year, month, day = (int(part) if part else None for part in found.groups())
    try:
        date(year or 0, month or 1, day or 1)
    except ValueError:
        return None
    return year or 0, month, day


# Frozen dataclasses whose methods are shared, not generated.
#
# `@dataclass(frozen=True)` compiles six methods for every class, a third of a millisecond each time costcalc starts; a
# class that derives from `Record` has the same fields, behaves the same and costs an eighth of it. Making one takes a
# microsecond longer: what the engine makes by the thousands, ops and their terms, are named tuples.


class Frozen:
    """What frozen records have in common."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
    _defaults: ClassVar[dict[str, Any]]

    def __init__(self, *positional: Any, **named: Any) -> None:
        given = dict(zip(self.__dataclass_fields__, positional, strict=False), **named)
        if len(given) < len(positional) + len(named):
            raise TypeError(f"{type(self).__name__} got more values than it has fields, or one of them twice")
        own = self.__dict__
        own.update(self._defaults)
        own.update(given)
        if own.keys() != self.__dataclass_fields__.keys():
            self._complete(own)
        self.__post_init__()

    @classmethod
    def _declared(cls) -> None:
        """Keep the defaults that every instance begins with."""
        cls._defaults = {n: each.default for n, each in cls.__dataclass_fields__.items() if each.default is not MISSING}

    def _complete(self, own: dict[str, Any]) -> None:
        """Make what has a factory; raises TypeError for a field without a value, and for a name that is no field."""
        fields = self.__dataclass_fields__
        if unknown := own.keys() - fields.keys():
            raise TypeError(f"{type(self).__name__} has no field {min(unknown)!r}")
        for name in fields.keys() - own.keys():
            factory = fields[name].default_factory
            if factory is MISSING:
                raise TypeError(f"{type(self).__name__} needs a value of {name!r}")
            own[name] = factory()

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
        cls._declared()


# What people hold in Python sessions and notebooks.
#
# A page, a chart and a file read anew are made in rooms above the records that have them as methods; the package, which
# knows where every public name lives, finds them when they are asked for (`_METHODS` in costcalc/__init__.py).


def _method(name: str) -> Callable[..., Any]:
    found: Callable[..., Any] = sys.modules[__package__ or "costcalc"]._method(name)
    return found


class Result(Record):
    """An answer: one line to print, a table in a notebook, rows, a data frame and a chart."""

    @property
    def about(self) -> str:
        """What it is about and its headline number, in a line."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain dictionaries, lists and numbers."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {escaped(self.about)}>"

    def _repr_html_(self) -> str:
        """The page that the command line shows, for notebooks."""
        text: str = _method("html")(self)
        return text

    def to_rows(self) -> list[dict[str, Any]]:
        """Return flat dictionaries with the columns of CSV, such as 'cost.usd_per_million_output_tokens'."""
        rows: list[dict[str, Any]] = _method("rows")(self)
        return rows

    def to_frame(self) -> Any:
        """Return the rows as a DataFrame of pandas; raises CostcalcError where pandas is not installed."""
        return _method("frame")(self)

    def chart(
        self, path: str | PathLike[str] | None = None, kinds: str | Iterable[str] = (), theme: str = "light"
    ) -> bytes:
        """Return the chart that `--chart` draws, which notebooks show: SVG, or what the ending of a file says.

        path: a file to write, in .svg, .png or .pdf. kinds: the panels, as `--chart-kind` names them; default: the
            first three. theme: light or dark, the ground that it is drawn on.
        Raises CostcalcError where there is nothing to draw, for unknown panels and files that cannot be written.
        """
        drawn: bytes = _method("chart")(self, path, kinds, theme)
        return drawn


class Derivable:
    """A specification from which others are made."""

    def derive(self, changes: Mapping[str, Any] | None = None, /, **fields: Any) -> Self:
        """Return the specification with some values changed, read as files and `--set` are.

        changes: values by dotted path, as in {'peak_flops.fp8': '2 PFLOP/s'}, for what no keyword can name.
        fields: values by name, as in memory='141 GB'; a mapping changes the values inside a group.
        Raises CostcalcError for an unknown path, with the nearest one, and for what cannot be.
        """
        derived: Self = _method("derived")(self, {**(changes or {}), **fields})
        return derived


@cache
def hints(record: Any) -> dict[str, Any]:
    """Return the annotations of a record's fields; those of a generic one with its parameters put in.

    record: the class, or a generic one with parameters such as KernelFit[GemmParameters].
    """
    origin = get_origin(record) or record
    given = dict(zip(getattr(origin, "__parameters__", ()), get_args(record), strict=False))
    annotations: dict[str, Any] = {}
    for base in reversed(origin.__mro__):
        annotations |= {name: _evaluated(hint, base.__module__) for name, hint in get_annotations(base).items()}
    return {name: given.get(hint, hint) for name in origin.__dataclass_fields__ for hint in [annotations[name]]}


@cache
def _evaluated(hint: Any, module: str) -> Any:
    """An annotation that a module holds as text; most classes share a few, which typing would evaluate anew."""
    return eval(hint, vars(sys.modules[module])) if isinstance(hint, str) else hint


# What every specification shares: a frozen dataclass, whose annotations say what a file may hold.
#
# A class that derives from `Spec` takes its values as they are, of the types declared. Files and everything else that
# people write is read and checked against the annotations by catalog.check, where pydantic does the work. What stands
# in `Annotated` here tells it how, and imports nothing, so that a specification costs no more than its fields. Modules
# of specifications do without `from __future__ import annotations`: text would have to be evaluated at every start.


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
class Spec(Frozen):
    """A frozen specification, made with keywords only; in what is read, unknown keys are errors."""

    def __init__(self, **named: Any) -> None:
        super().__init__(**named)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        dataclass(init=False, repr=False, eq=False, kw_only=True)(cls)
        cls._declared()


class Limits:
    """What a value has to keep to, by pydantic's names: gt, ge, lt, le, strict, pattern, min_length."""

    def __init__(self, **limits: Any) -> None:
        self.limits = limits

    def applied(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a core schema of pydantic's that keeps to the limits."""
        return {**schema, **self.limits}


class Examples:
    """Examples of a value, for its JSON Schema."""

    def __init__(self, *examples: Any) -> None:
        self.examples = examples

    def applied(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a core schema of pydantic's that names the examples."""
        return {**schema, "metadata": {"beside": {"examples": list(self.examples)}}}


class Before:
    """Turns what was written into what the field declares, such as '80 GB' into bytes.

    read: raises ValueError for what it cannot read. json_schema: of what may be written.
    """

    def __init__(self, read: Callable[[Any], Any], json_schema: Mapping[str, Any]) -> None:
        self.read = read
        self.json_schema = json_schema

    def applied(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a core schema of pydantic's that reads first."""
        function = {"type": "no-info", "function": self.read}
        metadata = {"instead": self.json_schema}
        return {"type": "function-before", "function": function, "schema": schema, "metadata": metadata}


class After:
    """Checks what a field holds, and returns it or what stands for it, such as a format's own name.

    read: raises ValueError for what cannot be.
    """

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self.read = read

    def applied(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a core schema of pydantic's that checks last."""
        return {"type": "function-after", "function": {"type": "no-info", "function": self.read}, "schema": schema}


class ByKind:
    """Tells the members of a union apart by their `kind`."""

    def applied(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the core schema as it is."""
        return schema


Name = Annotated[str, Limits(min_length=1, max_length=LONGEST_NAME)]
"""What something is called, on pages and charts."""

Size = Annotated[int, Limits(gt=0, le=10**8, strict=True)]
"""A dimension of a tensor, a number of heads, layers or experts."""

OptionalSize = Annotated[int, Limits(ge=0, le=10**8, strict=True)]
"""A dimension that may be absent (0)."""


# Field types of the specs: quantities typed as people type them, held as SI floats.


def _quantity(dimension: str, description: str, *examples: str, positive: bool = False) -> Before:
    read = partial(parse_quantity, dimension=dimension, positive=positive)
    bound: dict[str, Any] = {"exclusiveMinimum": 0} if positive else {"minimum": 0}
    schema = {
        "description": description,
        "anyOf": [{"type": "number", **bound}, {"type": "string", "pattern": "[0-9]"}],
        "examples": list(examples),
    }
    return Before(read, schema)


Bytes = Annotated[float, _quantity("bytes", "A size [bytes].", "80 GB", "81559 MiB", positive=True)]
Bandwidth = Annotated[float, _quantity("bandwidth", "A bandwidth [bytes/s].", "3.35 TB/s", "400 Gb/s", positive=True)]
FlopRate = Annotated[
    float, _quantity("flops", "A compute rate [FLOP/s].", "989 TFLOP/s", "1.979 PFLOP/s", positive=True)
]
Seconds = Annotated[float, _quantity("time", "A time [s].", "50 ms", "5 us")]
Power = Annotated[float, _quantity("power", "A power [W].", "700 W", "1.73 kW", positive=True)]
UsdPerHour = Annotated[float, _quantity("price_per_hour", "A price [US dollars per hour].", "$2/h", "2.00")]
Usd = Annotated[float, _quantity("price", "A price [US dollars].", "$25,000", "$25k")]
Count = Annotated[float, _quantity("count", "A count.", "100k", "671B")]
