"""One field of a file of measurements: what counts as empty, and how numbers are written."""

from __future__ import annotations

import math
import re

from costcalc.errors import CostcalcError, shown

EMPTY = frozenset({"", "-", "--", "na", "n/a", "#n/a", "nan", "nil", "none", "null"})
"""What spreadsheets, databases and data frames write where there is nothing, in any case."""
MOST = 1e18
"""No size and no time is larger."""
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_WHOLE = re.compile(r"[+-]?\d{1,18}")


def is_empty(text: str) -> bool:
    """Whether a field says nothing."""
    return text.casefold() in EMPTY


def required_text(text: str, name: str) -> str:
    """Return the text of a column that has to say something; raises CostcalcError where it does not."""
    if is_empty(text):
        raise CostcalcError(_missing(text, name))
    return text


def required_number(text: str, name: str, *, grouped: bool = True) -> float:
    """Return a number above 0; raises CostcalcError for anything else.

    name: the column. grouped: whether commas may divide thousands, which they cannot where they divide decimals.
    """
    if is_empty(text):
        raise CostcalcError(_missing(text, name))
    value = _number(text, name, grouped)
    if value <= 0:
        raise CostcalcError(f"{name} must be above 0, got {shown(text)}")
    return value


def optional_number(text: str, name: str, *, grouped: bool = True) -> float | None:
    """Return a number of at least 0, or None where there is none; raises CostcalcError for anything else."""
    if is_empty(text):
        return None
    value = _number(text, name, grouped)
    if value < 0:
        raise CostcalcError(f"{name} must be at least 0, got {shown(text)}")
    return value


def natural(text: str) -> int | float | str | None:
    """Return a field as JSON has it: 32 as 32, 0.5 as 0.5, nothing as None, and anything else as text."""
    if is_empty(text):
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    try:
        value = _number(text, "")
    except CostcalcError:
        return text
    return value


def _number(text: str, name: str, grouped: bool = True) -> float:
    plain = text.replace(",", "") if grouped and _GROUPED.fullmatch(text) else text
    try:
        value = float(plain)
    except ValueError:
        raise CostcalcError(f"{name} is not a number: {shown(text)}") from None
    if not math.isfinite(value) or abs(value) > MOST:
        raise CostcalcError(f"{name} is beyond all reason: {shown(text)}")
    return value


def _missing(text: str, name: str) -> str:
    return f"{name} is empty: {shown(text)}" if text else f"{name} is empty"
