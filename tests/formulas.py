"""Printed formulas, evaluated as people read them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import ceil, floor

import pytest

from costcalc.predict.results import Estimate, Formula
from costcalc.units import parse_quantity

CLOSE = 5e-3
"""What rounding of the printed numbers may come to."""

TOKEN = re.compile(
    r"(?P<number>\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?)"
    r"(?:(?P<suffix>[kMBT]\b)| (?P<unit>[kMGTPE]?(?:B|FLOP|exp)(?:/s)?|[kMGTPE]?tokens/s|[muµn]?s|min|h|days)"
    r"(?![\w(-]))?"
    r"|(?P<call>(?:max|min|floor|ceil)(?=\())|(?P<word>[A-Za-z][\w-]*)|(?P<sign>[-+×/^(),\[\]])|\s+"
)
CALLS: dict[str, Callable[..., float]] = {"max": max, "min": min, "floor": floor, "ceil": ceil}


def quantity(number: str, suffix: str, unit: str) -> float:
    if number.startswith("$"):
        return parse_quantity(number, "price")
    if unit.endswith("tokens/s"):
        return parse_quantity(f"{number} {unit.removesuffix('/s')}", "count")
    if not unit:
        return parse_quantity(number + suffix, "count")
    # Work, of which there may be less than any machine does in a second.
    unit = re.sub("(FLOP|exp)$", "B", unit).replace("exp/s", "FLOP/s")
    dimension = {"B": "bytes", "B/s": "bandwidth", "FLOP/s": "flops"}.get(unit.lstrip("kMGTPE"), "time")
    return parse_quantity(f"{number} {unit}", dimension)


def evaluate(text: str) -> float:
    """The value of printed numbers; words say what a number is, and count for nothing."""
    tokens: list[float | str] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        assert match, f"{text[position:]!r} of {text!r}"
        position = match.end()
        if match["number"]:
            tokens.append(quantity(match["number"], match["suffix"] or "", match["unit"] or ""))
        elif match["call"] or match["sign"]:
            tokens.append(match["call"] or match["sign"])
    tokens.reverse()  # the next one is the last

    def takes(*wanted: str) -> str | None:
        return str(tokens.pop()) if tokens and tokens[-1] in wanted else None

    def total() -> float:
        value = product()
        while sign := takes("+", "-"):
            value += product() if sign == "+" else -product()
        return value

    def product() -> float:
        value = power()
        while sign := takes("×", "/"):
            value = value * power() if sign == "×" else value / power()
        return value

    def power() -> float:
        value = one()
        return float(value ** one()) if takes("^") else value

    def one() -> float:
        if takes("-"):
            return -one()
        if call := takes(*CALLS):
            assert takes("(")
            given = [total()]
            while takes(","):
                given.append(total())
            assert takes(")")
            return float(CALLS[call](*given))
        if opened := takes("(", "["):
            value = total()
            assert takes(")" if opened == "(" else "]")
            return value
        value = tokens.pop()
        assert isinstance(value, float), value
        return value

    value = total()
    assert not tokens, f"{tokens[::-1]} left of {text!r}"
    return value


def formulas(given: tuple[Formula, ...]) -> Iterator[Formula]:
    for each in given:
        yield each
        yield from formulas(each.parts)


def assert_evaluates(estimate: Estimate) -> None:
    """Every number of the explanation is what its formula evaluates to."""
    for each in formulas(estimate.explanation):
        if not isinstance(each.value, str):
            found = evaluate(each.numbers)
            assert found == pytest.approx(each.value, rel=CLOSE), f"{each.quantity} {each.value} = {each.numbers}"
