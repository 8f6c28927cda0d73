"""Read files of measurements: comma-separated, comment lines with '#', one header line.

A row that cannot be used is kept with its line and the reason; only a file that is not one is refused.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from costcalc.catalog.paths import packaged_root
from costcalc.catalog.positions import place
from costcalc.catalog.yaml import read_text
from costcalc.errors import CostcalcError
from costcalc.measured.columns import KINDS, Columns
from costcalc.measured.fields import is_empty, natural, optional_number, required_number, required_text
from costcalc.measured.header import columns_of, kind_of

Row = dict[str, Any]
"""One measurement: text, numbers (null where empty) by column."""

MAX_BYTES = 50_000_000
SEPARATORS = (",", ";", "\t")
AUTO = "auto"
"""A number type that leaves the choice to the engine."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A row that cannot be read: where it stands, why, and what it says."""

    line: int
    reason: str  # with its line: 'line 12: batch is empty'
    given: Row


@dataclass(frozen=True, slots=True)
class Measurements:
    """The rows of one file, all of one kind."""

    kind: str
    rows: tuple[Row, ...]
    path: str = ""
    lines: tuple[int, ...] = ()  # where each row stands in the file
    given: tuple[Row, ...] = ()  # each row as the file has it: its own columns, numbers as they are written
    unusable: tuple[Unusable, ...] = ()


def shipped_measurements(kind: str) -> Measurements:
    """Return the measurements of one kind that costcalc ships; raises CostcalcError for an unknown kind."""
    columns_of(kind)
    return load_measurements(packaged_root() / "measurements" / f"{kind}.csv", kind)


def load_measurements(path: str | Path, kind: str | None = None) -> Measurements:
    """Return the measurements that a file holds.

    path: a CSV file in the columns of measurements/; semicolons and tabs may separate them too.
    kind: one of KINDS; by default the one that the file's columns fit.
    Raises CostcalcError for a file that is not CSV, whose columns fit nothing, or that has no rows.
    """
    if kind is not None:
        columns_of(kind)
    separator, records = _records(read_text(path, MAX_BYTES), path)
    line, header = next(records, (1, []))
    if not header:
        raise CostcalcError("the file holds no rows", place(path), "its first row must name the columns")
    header = _trimmed([name.strip() for name in header])
    kind = kind_of(header, kind, place(path, (line, 1)))
    numbered = [(line, [field.strip() for field in fields]) for line, fields in records]
    if not numbered:
        raise CostcalcError("the file has a header and no rows", place(path))
    return _measurements(kind, header, numbered, str(path), grouped=separator == ",")


def _measurements(
    kind: str, header: Sequence[str], records: Sequence[tuple[int, list[str]]], path: str, *, grouped: bool
) -> Measurements:
    columns = KINDS[kind]
    numeric = {name for index, name in enumerate(header) if _is_numeric(name, index, columns, records)}
    rows, lines, given, unusable = [], [], [], []
    for line, fields in records:
        whole = dict(zip(header, [*fields, *[""] * len(header)], strict=False))
        own = {name: natural(text) if name in numeric else text for name, text in whole.items()}
        try:
            if len(_trimmed(fields, len(header))) != len(header):
                raise CostcalcError(f"{len(fields)} fields where the header names {len(header)}")
            rows.append(_row(whole, columns, grouped))
        except CostcalcError as error:
            unusable.append(Unusable(line, f"line {line}: {error}", own))
            continue
        lines.append(line)
        given.append(own)
    return Measurements(kind, tuple(rows), path, tuple(lines), tuple(given), tuple(unusable))


def _records(text: str, path: str | Path) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Return what separates fields, and each record with its line number, without comments and blank lines."""
    numbered = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    head = numbered[0][1] if numbered else ""
    separator = next((each for each in SEPARATORS if each in head), ",")
    return separator, _read(numbered, separator, path)


def _read(numbered: Sequence[tuple[int, str]], separator: str, path: str | Path) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader((line for _, line in numbered), strict=True, delimiter=separator)
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


def _trimmed(fields: Sequence[str], least: int = 0) -> list[str]:
    """Fields without empty ones at the end, which spreadsheets leave, but at least `least` of them."""
    kept = list(fields)
    while len(kept) > least and not kept[-1]:
        kept.pop()
    return kept


def _is_numeric(name: str, index: int, columns: Columns, records: Sequence[tuple[int, list[str]]]) -> bool:
    """Whether the fields of a column are shown as numbers: by its kind, else by what all of them say."""
    if name in columns.known or columns.is_text(name):
        return not columns.is_text(name)
    texts = [fields[index] for _, fields in records if index < len(fields)]
    return all(not isinstance(natural(text), str) for text in texts)


def _row(fields: Mapping[str, str], columns: Columns, grouped: bool) -> Row:
    row: Row = dict(fields)
    for name in columns.text:
        row[name] = required_text(row[name], name)
    read = partial(required_number, grouped=grouped)
    for name in columns.numbers:
        row[name] = read(row[name], name)
    for name in (*columns.optional_numbers, *columns.measured):
        row[name] = optional_number(row.get(name, ""), name, grouped=grouped)
    for name in columns.optional_text:
        text = row.get(name, "")
        left_open = is_empty(text) or (name.endswith("dtype") and text.casefold() == AUTO)
        row[name] = "" if left_open else text
    return row
