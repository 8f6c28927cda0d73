"""Frozen records behave as the dataclasses of the standard library do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace
from functools import cached_property
from typing import Any, Generic, TypeVar

import pytest

from costcalc.fields import Record, Size, Spec, hints


class Point(Record):
    x: float
    y: float = 0.0
    tags: dict[str, int] = field(default_factory=dict)
    note: str = field(default="", repr=False)

    @cached_property
    def norm(self) -> float:
        return abs(self.x) + abs(self.y)


class Corner(Point):
    angle: float = 90.0


@dataclass(frozen=True)
class Plain:
    x: float
    y: float = 0.0
    tags: dict[str, int] = field(default_factory=dict)
    note: str = field(default="", repr=False)


@pytest.mark.parametrize("make", [Point, Plain])
def test_values_come_by_place_by_name_and_by_default(make: Callable[..., Any]) -> None:
    assert asdict(make(1.0, note="n")) == {"x": 1.0, "y": 0.0, "tags": {}, "note": "n"}
    assert make(1.0, 2.0) == make(y=2.0, x=1.0) != make(1.0, 3.0)
    assert make(1.0).tags is not make(1.0).tags
    assert repr(make(1.0)) == f"{make.__name__}(x=1.0, y=0.0, tags={{}})"
    assert replace(make(1.0, 2.0), x=3.0) == make(3.0, 2.0)
    assert [each.name for each in fields(make(1.0))] == ["x", "y", "tags", "note"]
    assert is_dataclass(make)


@pytest.mark.parametrize("make", [Point, Plain])
@pytest.mark.parametrize(
    ("positional", "named"),
    [((), {}), ((), {"y": 1.0}), ((1.0,), {"z": 1.0}), ((1.0,), {"x": 1.0}), ((1.0, 2.0, {}, "n", 5), {})],
    ids=["none", "one is missing", "one is unknown", "one twice", "too many"],
)
def test_wrong_values_are_type_errors(make: Callable[..., Any], positional: Any, named: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        make(*positional, **named)


@pytest.mark.parametrize("make", [Point, Plain])
def test_a_record_is_frozen(make: Callable[..., Any]) -> None:
    made = make(1.0)
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'x'"):
        made.x = 2.0
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'x'"):
        del made.x


def test_equality_is_of_one_class_and_of_fields_alone() -> None:
    one, other = Point(1.0), Point(1.0)
    assert one.norm == 1.0
    assert one == other != Plain(1.0)
    assert Point(1.0) != Corner(1.0)
    assert repr(one) == repr(other)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one


def test_records_without_dictionaries_can_be_keys() -> None:
    class Key(Record):
        name: str

    assert {Key("a"): 1}[Key("a")] == 1
    assert Key("a") != Key("b")
    with pytest.raises(TypeError, match="unhashable"):
        hash(Point(1.0))


Shape = TypeVar("Shape", bound=Spec)


class Square(Spec):
    side: Size


class Held(Spec, Generic[Shape]):
    """What is checked across fields is checked however a specification is made."""

    shape: Shape
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count is negative")


def test_hints_put_parameters_in() -> None:
    assert hints(Held[Square]) == {"shape": Square, "count": int}
    assert hints(Square) == {"side": Size}


def test_a_specification_checks_itself_when_it_is_made() -> None:
    held = Held(shape=Square(side=2))
    assert held.count == 1
    for make in (lambda: Held(shape=Square(side=2), count=-1), lambda: replace(held, count=-1)):
        with pytest.raises(ValueError, match="count is negative"):
            make()
