"""Read files of measurements: comma-separated, comment lines with '#', one header line."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costcalc.catalog.paths import packaged_root
from costcalc.catalog.positions import place
from costcalc.catalog.yaml import read_text
from costcalc.errors import CostcalcError, did_you_mean, nearest, shown
from costcalc.measured.columns import KINDS, Columns

Row = dict[str, Any]
"""One measurement: text, numbers (null where empty) by column."""

MAX_BYTES = 50_000_000


@dataclass(frozen=True, slots=True)
class Measurements:
    """The rows of one file, all of one kind."""

    kind: str
    rows: tuple[Row, ...]
    path: str = ""
    lines: tuple[int, ...] = ()  # where each row stands in the file


def shipped_measurements(kind: str) -> Measurements:
    """Return the measurements of one kind that costcalc ships; raises CostcalcError for an unknown kind."""
    columns_of(kind)
    return load_measurements(packaged_root() / "measurements" / f"{kind}.csv", kind)


def load_measurements(path: str | Path, kind: str | None = None) -> Measurements:
    """Return the measurements that a file holds.

    path: a CSV file in the columns of measurements/.
    kind: one of KINDS; by default the one that the file's columns fit.
    Raises CostcalcError with file:line of the first mistake.
    """
    if kind is not None:
        columns_of(kind)
    records = _records(read_text(path, MAX_BYTES), path)
    line, header = next(records, (1, []))
    if not header:
        raise CostcalcError("the file holds no rows", place(path), "its first row must name the columns")
    header = [name.strip() for name in header]
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        raise CostcalcError(f"the column {shown(repeated)} stands twice", place(path, (line, 1)))
    kind = kind or _kind_of(header, path, line)
    _check_header(header, kind, path, line)
    rows, lines = [], []
    for line, fields in records:
        if len(fields) != len(header):
            message = f"{len(fields)} fields where the header names {len(header)}"
            raise CostcalcError(message, place(path, (line, 1)), "put a field that holds a comma in quotes")
        rows.append(_row(dict(zip(header, fields, strict=True)), KINDS[kind], path, line))
        lines.append(line)
    if not rows:
        raise CostcalcError("the file has a header and no rows", place(path))
    return Measurements(kind, tuple(rows), str(path), tuple(lines))


def columns_of(kind: str) -> Columns:
    """Return the columns of a kind; raises CostcalcError with the nearest one when it is unknown."""
    if kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or f"one of: {', '.join(KINDS)}"
        raise CostcalcError(f"unknown kind of measurement {shown(kind)}", hint=hint)
    return KINDS[kind]


def _records(text: str, path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """Yield each record with its line number, without comments and blank lines."""
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    reader = csv.reader((line for _, line in numbered), strict=True)
    while True:
        start = reader.line_num
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = numbered[min(start, len(numbered) - 1)][0]
            raise CostcalcError(f"not CSV: {error}", place(path, (line, 1)), "check the quotes") from None
        yield numbered[start][0], fields


def _kind_of(header: list[str], path: str | Path, line: int) -> str:
    fitting = [kind for kind, columns in KINDS.items() if {*columns.text, *columns.numbers} <= set(header)]
    if len(fitting) != 1:
        what = f"fit {' and '.join(fitting)}" if fitting else "fit no kind of measurement"
        hint = f"say which with --kind: {', '.join(fitting or KINDS)}"
        raise CostcalcError(f"the columns {what}", place(path, (line, 1)), hint)
    return fitting[0]


def _check_header(header: list[str], kind: str, path: str | Path, line: int) -> None:
    columns = KINDS[kind]
    missing = [name for name in (*columns.text, *columns.numbers) if name not in header]
    if missing:
        close = nearest(missing[0], [name for name in header if name])
        hint = f"is {shown(close)} meant?" if close else f"{kind} needs: {', '.join(missing)}"
        raise CostcalcError(f"the column '{missing[0]}' is missing", place(path, (line, 1)), hint)
    if not any(name in header for name in columns.measured):
        names = ", ".join(columns.measured)
        raise CostcalcError(f"no column of what was measured: {names}", place(path, (line, 1)))


def _row(fields: dict[str, str], columns: Columns, path: str | Path, line: int) -> Row:
    row: Row = {name: text.strip() for name, text in fields.items()}
    for name in columns.text:
        if not row[name]:
            raise CostcalcError(f"{name} is empty", place(path, (line, 1)))
    for name in (*columns.numbers, *columns.optional_numbers, *columns.measured):
        required = name in columns.numbers
        row[name] = _number(row.get(name, ""), name, required, path, line)
    for name in columns.optional_text:
        row.setdefault(name, "")
    return row


def _number(text: str, name: str, required: bool, path: str | Path, line: int) -> float | None:
    if not text:
        if required:
            raise CostcalcError(f"{name} is empty", place(path, (line, 1)), "it needs a number")
        return None
    try:
        value = float(text)
    except ValueError:
        raise CostcalcError(
            f"{name} is not a number: {shown(text)}", place(path, (line, 1)), "write it plain, such as 0.125"
        ) from None
    if not math.isfinite(value) or value < 0 or (required and value == 0):
        least = "above 0" if required else "at least 0"
        raise CostcalcError(f"{name} must be {least}, got {shown(text)}", place(path, (line, 1)))
    return value
