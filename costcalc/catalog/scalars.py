"""Plain YAML text to Python values, by the core schema of YAML 1.2."""

from __future__ import annotations

import math
import re

from costcalc.errors import CostcalcError, shown

Scalar = None | bool | int | float | str

_WORDS: dict[str, Scalar] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_LONGEST_NUMBER = 40


def resolve_scalar(text: str) -> Scalar:
    """Return the value of an unquoted YAML scalar.

    Unlike YAML 1.1, '3.35e12' is a number; yes, no, on, off, dates, '12:30:45' and numbers with a
    leading zero are text.

    text: the scalar as written.
    Raises CostcalcError for a number that is not finite or is too long to be one.
    Source: YAML 1.2.2, section 10.3.2 (core schema).
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if _NOT_FINITE.fullmatch(text):
        raise CostcalcError(f"{shown(text)} is not a finite number", hint="write null for what is unknown")
    if not _FLOAT.fullmatch(text):
        return int(text, 16) if _HEXADECIMAL.fullmatch(text) and len(text) <= _LONGEST_NUMBER else text
    if _LEADING_ZERO.fullmatch(text):
        return text
    if len(text) > _LONGEST_NUMBER:
        raise CostcalcError(f"the number {shown(text)} has too many digits")
    if _INTEGER.fullmatch(text):
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise CostcalcError(f"{shown(text)} is too large for a number")
    return number
