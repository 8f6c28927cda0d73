"""Several values of one quantity, as people write them: '1,8,64', '1:256:x2', '4k:128k:x2', '1:3:0.5'."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from costcalc.errors import CostcalcError, shown

MOST_VALUES = 10_000
"""Values of one quantity."""
EXAMPLES = "'1,8,64', '1:256:x2' (doubling) or '10:50:10' (in steps)"
_BETWEEN = re.compile(r"\s*,\s*|\s+")
_THOUSANDS = re.compile(r"0[0-9]{2}")
_RANGE = re.compile(r"(?P<low>[^:]+):(?P<high>[^:]+):(?P<step>[^:]+)")

Read = Callable[[Any], Any]


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
    return _BETWEEN.split(text.strip())


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
        if isinstance(text, str) and _THOUSANDS.fullmatch(text):
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
    match = _RANGE.fullmatch(text)
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
        return float(text)
    except ValueError:
        raise CostcalcError(f"{shown(whole)} has no factor", where=where, hint=f"write it like {EXAMPLES}") from None


def _too_many(where: str) -> CostcalcError:
    return CostcalcError(f"more than {MOST_VALUES:,} values", where=where, hint="take larger steps")
