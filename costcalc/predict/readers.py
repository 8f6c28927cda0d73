"""How a value is read: from text as people type it, or from a number in SI; one value, or several of a quantity.

Each returns a reader for a row of OPTIONS, whose errors say what was wrong and what it may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from numbers import Integral, Real
from typing import Any

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.units import parse_quantity, parse_whole

Read = Callable[[Any], Any]


def whole(least: int, most: float) -> Read:
    """A whole number within limits."""

    def read(value: Any) -> int:
        return int(within(value, parse_whole(number_of(value), least=least), least, most))

    return read


def quantity(dimension: str, low: float, high: float, *, low_too: bool = True, high_too: bool = True) -> Read:
    """A quantity of `costcalc.units` within limits, which belong to it unless told otherwise."""

    def read(value: Any) -> float:
        return within(value, parse_quantity(number_of(value), dimension), low, high, low_too, high_too)

    return read


def word(*words: str) -> Read:
    """One of several words, or any where none is named."""
    listed = f"one of {', '.join(words[:12])}{', ...' if len(words) > 12 else ''}" if words else None

    def read(value: Any) -> str:
        text = text_of(value, "name").strip().lower()
        if words and text not in words:
            raise CostcalcError(f"{shown(value)} is unknown", hint=did_you_mean(text, words) or listed)
        return text

    return read


def per_kwh(dimension: str, unit: str, most: float, hint: str | None = None) -> Read:
    """A quantity of a kilowatt-hour, with or without its unit; hint: of one that cannot be."""
    read = quantity(dimension, 0, most)

    def told(value: Any) -> Any:
        try:
            return read(re.sub(rf"\s*{unit}$", "", value.strip()) if isinstance(value, str) else value)
        except CostcalcError as error:
            raise CostcalcError(error.message, hint=hint or error.hint) from None

    return told


def format_of(meaning: Callable[[str], str]) -> Read:
    """A number format in any spelling, by the name that it is known by."""

    def read(value: Any) -> str:
        return meaning(text_of(value, "name"))

    return read


def yes_or_no(value: Any) -> bool:
    if type(value).__name__ not in ("bool", "bool_"):
        raise CostcalcError(f"{shown(value)} is neither True nor False")
    return bool(value)


def number_of(value: Any) -> str | int | float:
    """The value as units read it: text, or a number of Python, also where it was one of numpy."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, Real):
        raise _wrong_kind(value, "number")
    return int(value) if isinstance(value, Integral) else float(value)


def text_of(value: Any, what: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | Real):
        raise _wrong_kind(value, what)
    return str(value)


def _wrong_kind(value: Any, what: str) -> CostcalcError:
    return CostcalcError(f"{kind_of(value)} where a {what} belongs")


def kind_of(value: object) -> str:
    """Return a value of a wrong type as an error tells it: '3 (int)', 'a value of type list'."""
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{shown(value)} ({kind})" if isinstance(value, str | Real) else f"a value of type {kind}"


def within(value: Any, number: float, low: float, high: float, low_too: bool = True, high_too: bool = True) -> float:
    if (number < low if low_too else number <= low) or (number > high if high_too else number >= high):
        floor = f"at least {low:,.10g}" if low_too else f"more than {low:,.10g}"
        roof = f"at most {high:,.10g}" if high_too else f"less than {high:,.10g}"
        raise CostcalcError(f"{shown(value)} is out of range", hint=f"it must be {floor} and {roof}")
    return number


def read_as(reader: Read, value: Any, where: str) -> Any:
    """Return a value as a reader takes it; its error names where it stood."""
    try:
        return reader(value)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=where, hint=error.hint) from None


# Several values of one quantity, as people write them: '1,8,64', '1:256:x2', '4k:128k:x2', '1:3:0.5'.


MOST_VALUES = 10_000
"""Values of one quantity."""
EXAMPLES = "'1,8,64', '1:256:x2' (doubling) or '10:50:10' (in steps)"
_BETWEEN = r"\s*,\s*|\s+"
_THOUSANDS = r"0[0-9]{2}"
_RANGE = r"(?P<low>[^:]+):(?P<high>[^:]+):(?P<step>[^:]+)"


def is_list(text: str, read: Read) -> bool:
    """Whether text is values between commas, each of which could be read."""
    parts = [each for each in text.split(",") if each.strip()]
    try:
        return len(parts) > 1 and all(read(each.strip()) is not None for each in parts)
    except CostcalcError:
        return False


def is_several(value: object) -> bool:
    """Return whether a value stands for several: a list, an array, or text with a comma or a range in it.

    value: what was passed or typed.
    """
    if isinstance(value, str):
        return len(split(value)) > 1 or ":" in value
    # What numpy makes of a single number has no dimension.
    return isinstance(value, Iterable) and getattr(value, "ndim", 1) > 0


def split(text: str) -> list[str]:
    """Return the parts between commas, which never stand inside of a number here.

    text: what was typed.
    """
    return re.split(_BETWEEN, text.strip())


def values_of(given: Any, read: Read, where: str) -> tuple[Any, ...]:
    """Return the values that a list, an array, or text stands for, each once, in the order given.

    given: what was passed or typed. read: reads one value. where: the option or argument, for errors.
    Raises CostcalcError for what cannot be read, and for more values than anyone reads.
    """
    if getattr(given, "ndim", 1) > 1:
        raise CostcalcError(f"an array of {given.ndim} dimensions", where=where, hint="give a list of one")
    parts = split(given) if isinstance(given, str) else list(given)
    if len(parts) > MOST_VALUES:
        raise _too_many(where)
    found: list[Any] = []
    for part in parts:
        text = part.strip() if isinstance(part, str) else part
        if isinstance(text, str) and re.fullmatch(_THOUSANDS, text):
            hint = "commas stand between values: write 128000 or 128k"
            raise CostcalcError(f"{shown(given)} has a value {shown(text)}", where=where, hint=hint)
        found += _range(text, read, where) if isinstance(text, str) and ":" in text else [read(text)]
    if not found:
        raise CostcalcError("the list is empty", where=where, hint=f"write it like {EXAMPLES}")
    if any(value is None for value in found):
        raise CostcalcError("one of several values must be a value", where=where, hint="leave 'auto' out of the list")
    if len(found) > MOST_VALUES:
        raise _too_many(where)
    return tuple(dict.fromkeys(found))


def _range(text: str, read: Read, where: str) -> list[Any]:
    """Return the values of 'low:high:step' or 'low:high:xfactor'; the last is the largest that is no more than high."""
    match = re.fullmatch(_RANGE, text)
    if match is None:
        raise CostcalcError(f"{shown(text)} is no range", where=where, hint=f"write it like {EXAMPLES}")
    low, high = read(match["low"]), read(match["high"])
    if isinstance(low, str) or isinstance(high, str) or low is None or high is None:
        raise CostcalcError(f"{shown(text)} is no range of numbers", where=where, hint=f"write it like {EXAMPLES}")
    step = match["step"].strip()
    factor = step[0] in "xX×*"
    by = _factor(step[1:], text, where) if factor else float(read(step.lstrip("+")))
    if by <= (1 if factor else 0) or low > high:
        raise CostcalcError(f"{shown(text)} never ends", where=where, hint="low:high:step, from low to high")
    values = [low]
    while (following := values[-1] * by if factor else low + len(values) * by) <= high * (1 + 1e-12):
        # Whole numbers stay whole where the quantity is.
        whole = isinstance(low, int) and not isinstance(low, bool)
        following = min(round(following) if whole else following, high)
        if following <= values[-1]:
            raise CostcalcError(f"{shown(text)} has steps of less than one", where=where, hint="take a larger factor")
        values.append(following)
        if len(values) > MOST_VALUES:
            raise _too_many(where)
    return values


def _factor(text: str, whole: str, where: str) -> float:
    try:
        return parse_quantity(text, "count")
    except CostcalcError:
        raise CostcalcError(f"{shown(whole)} has no factor", where=where, hint=f"write it like {EXAMPLES}") from None


def _too_many(where: str) -> CostcalcError:
    return CostcalcError(f"more than {MOST_VALUES:,} values", where=where, hint="take larger steps")
