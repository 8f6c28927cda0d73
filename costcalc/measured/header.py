"""The first row of a file of measurements: which kind it is, and what it lacks."""

from __future__ import annotations

from collections.abc import Sequence

from costcalc.errors import CostcalcError, did_you_mean, nearest, shown
from costcalc.measured.columns import KINDS, Columns

ALIKE = 0.7
"""Likeness of a column's name above which it is taken for a misspelt one: kv_bytes is not kv_heads."""
LEAST_ALIKE = 0.5
"""Share of a kind's columns below which a file is not like it at all."""


def columns_of(kind: str) -> Columns:
    """Return the columns of a kind; raises CostcalcError with the nearest one when it is unknown."""
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"one of: {', '.join(KINDS)}"
        raise CostcalcError(f"unknown kind of measurement {shown(kind)}", hint=hint)
    return KINDS[kind]


def kind_of(header: Sequence[str], kind: str | None, where: str) -> str:
    """Return the kind of a file by its columns, or the one that was named, once they fit.

    header: the names of the columns. kind: as named, or None. where: the place of the header, for errors.
    Raises CostcalcError with the columns that are missing.
    """
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise CostcalcError(f"the column {shown(repeated)} stands twice", where)
    kind = kind or _fitting(header, where)
    columns = KINDS[kind]
    if missing := _missing(header, columns):
        raise CostcalcError(f"the column '{missing[0]}' is missing", where, _hint(header, kind, missing))
    if not any(name in header for name in columns.measured):
        raise CostcalcError(f"no column of what was measured: {', '.join(columns.measured)}", where)
    return kind


def _fitting(header: Sequence[str], where: str) -> str:
    fitting = [kind for kind, columns in KINDS.items() if not _missing(header, columns)]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        hint = f"say which with --kind: {', '.join(fitting)}"
        raise CostcalcError(f"the columns fit {' and '.join(fitting)}", where, hint)
    alike = {kind: 1 - len(_missing(header, columns)) / len(columns.required) for kind, columns in KINDS.items()}
    kind = max(alike, key=lambda name: alike[name])
    if alike[kind] < LEAST_ALIKE:
        hint = f"say which it is with --kind: {', '.join(KINDS)}"
        raise CostcalcError("the columns fit no kind of measurement", where, hint)
    missing = _missing(header, KINDS[kind])
    message = f"the columns fit no kind of measurement; the nearest, {kind}, lacks: {', '.join(missing)}"
    raise CostcalcError(message, where, _meant(header, kind, missing))


def _missing(header: Sequence[str], columns: Columns) -> list[str]:
    return [name for name in columns.required if name not in header]


def _hint(header: Sequence[str], kind: str, missing: Sequence[str]) -> str:
    return _meant(header, kind, missing) or f"{kind} needs: {', '.join(missing)}"


def _meant(header: Sequence[str], kind: str, missing: Sequence[str]) -> str | None:
    """Which columns are spelled like missing ones, of those that do not mean something else already."""
    unknown = [name for name in header if name and name not in KINDS[kind].known]
    found = {name: close for name in missing if (close := nearest(name, unknown, ALIKE))}
    if not found:
        return None
    if len(missing) == 1:
        return f"is {shown(found[missing[0]])} meant?"
    return f"perhaps meant: {', '.join(f'{shown(close)} for {shown(name)}' for name, close in found.items())}"
