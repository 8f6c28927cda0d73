"""Read files of measurements: comma-separated, comment lines with #, one header line; the columns of each kind."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from costcalc.catalog.catalog import Catalog
from costcalc.catalog.check import CSV_BYTES, CSV_COLUMNS, CSV_LINES, CSV_NAMES, place
from costcalc.catalog.files import packaged_root
from costcalc.catalog.yaml import read_text
from costcalc.errors import CostcalcError, did_you_mean, nearest, shown
from costcalc.hardware.accelerator import Accelerator


def find_gpu(name: str, catalog: Catalog) -> tuple[str, Accelerator]:
    """Return the catalog's name of an accelerator, and the accelerator.

    name: as a source spells it, such as 'H100-SXM5-80GB', 'NVIDIA L4' or 'RTX-PRO-6000-SE'.
    Raises CostcalcError with the nearest name when the catalog has nothing like it.
    """
    path = catalog.find("hardware_profiles", name)
    return path.stem, catalog.gpu(path)


# One field of a file of measurements: what counts as empty, and how numbers are written.


EMPTY = frozenset({"", "-", "--", "na", "n/a", "#n/a", "nan", "nil", "none", "null"})
"""What spreadsheets, databases and data frames write where there is nothing, in any case."""
MOST, LEAST = 1e18, 1e-9
"""No size and no time is larger; none but nothing is smaller."""
BEATS_ROOFLINE = 0.995
"""A time below this share of the roofline was not measured from memory, or the bound is wrong."""
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
_WHOLE = re.compile(r"[+-]?\d{1,18}")


def is_empty(text: str) -> bool:
    """Whether a field says nothing."""
    return text.casefold() in EMPTY


def required_text(text: str, name: str) -> str:
    """Return the text of a column that has to say something; raises CostcalcError where it does not."""
    if is_empty(text):
        raise CostcalcError(f"{name} is empty: {shown(text)}" if text else f"{name} is empty")
    return text


def read_number(text: str, name: str, *, required: bool, grouped: bool = True) -> float | None:
    """Return a number of a column: above 0 where it is required, else at least 0, or None where there is none.

    grouped: whether commas may divide thousands, which they cannot where they divide decimals.
    Raises CostcalcError for anything else.
    """
    if required:
        required_text(text, name)
    elif is_empty(text):
        return None
    value = _number(text, name, grouped)
    if value < 0 or (required and value == 0):
        raise CostcalcError(f"{name} must be {'above' if required else 'at least'} 0, got {shown(text)}")
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
    if not math.isfinite(value) or abs(value) > MOST or 0 < abs(value) < LEAST:
        raise CostcalcError(f"{name} is beyond all reason: {shown(text)}")
    return value


# The columns of a file of measurements, by kind.


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns that a kind of file has; others are kept as they are, and change nothing."""

    text: tuple[str, ...]  # required, may not be empty
    numbers: tuple[str, ...]  # required, may not be empty
    optional_text: tuple[str, ...] = ()  # may be empty or missing
    optional_numbers: tuple[str, ...] = ()  # may be empty or missing
    measured: tuple[str, ...] = ("ms",)  # what was measured; a row without any is only predicted
    unheeded: tuple[str, ...] = ()  # change the time, and no prediction looks at them: a row that has one is told so

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a file of this kind must have."""
        return (*self.text, *self.numbers)

    @property
    def known(self) -> tuple[str, ...]:
        """Columns that mean something in a file of this kind."""
        return (*self.required, *self.optional_text, *self.optional_numbers, *self.measured)

    def is_text(self, name: str) -> bool:
        """Whether a column is text, even where it looks like a number, as versions do."""
        return name in self.text or name in self.optional_text or name in _TEXT


_TEXT = ("version", "source", "date", "licence")
"""Text that every kind may carry along."""

KINDS: dict[str, Columns] = {
    "decode_attention": Columns(
        text=("gpu", "kind", "kv_dtype"),
        numbers=("batch", "context", "q_heads", "kv_heads", "head_dim"),
        optional_text=("framework", "kernel", "q_dtype", "note", "suspect"),
        optional_numbers=("kv_lora_rank", "rope_dim", "window_size", "window"),
        unheeded=("q_len", "query_tokens", "sinks", "softcap", "sparsity"),
    ),
    "prefill_attention": Columns(
        text=("gpu", "kind"),
        numbers=("batch", "seq", "q_heads", "kv_heads", "qk_head_dim", "v_head_dim"),
        optional_text=("framework", "kernel", "q_dtype", "kv_dtype", "note", "suspect"),
        optional_numbers=("window_size", "window"),
        unheeded=("prefix", "cached", "past", "kv_len", "softcap", "sparsity"),
    ),
    "gemm": Columns(
        text=("gpu", "dtype"),
        numbers=("m", "n", "k"),
        optional_text=("framework", "kernel", "op", "note", "suspect"),
        unheeded=("batch", "groups", "bias", "sparsity"),
    ),
    "moe": Columns(
        text=("gpu", "dtype"),
        numbers=("tokens", "hidden", "inter", "topk", "experts", "moe_tp", "moe_ep"),
        optional_text=("framework", "kernel", "distribution", "model_shape", "note", "suspect"),
        unheeded=("moe_dtype", "a_dtype", "shared_experts", "bias"),
    ),
    "comm": Columns(
        text=("gpu", "op"),
        numbers=("n_gpus",),
        optional_text=("impl", "fabric", "note", "suspect"),
        optional_numbers=("bytes", "tokens", "hidden", "topk", "experts"),
        unheeded=("nodes", "n_nodes", "num_nodes"),
    ),
    "e2e": Columns(
        text=("gpu", "model", "kind"),
        numbers=("n_gpus", "isl", "osl"),
        optional_text=(
            "dtype",
            "moe_dtype",
            "kv_dtype",
            "framework",
            "version",
            "spec",
            "statistic",
            "tuning",
            "lengths",
            "date",
            "engine_version",
            "suspect",
        ),
        optional_numbers=(
            *("tp", "pp", "ep", "dp_attn", "concurrency", "total_tok_s_gpu", "disagg"),
            *("mean_length", "polling", "cached", "n_requests", "max_batch_size", "draft_tokens", "accepted"),
            *("prefill_gpus", "prefill_workers", "prefill_tp", "prefill_ep", "prefill_dp_attention"),
            *("decode_gpus", "decode_workers", "decode_tp", "decode_ep", "decode_dp_attention"),
        ),
        measured=("ttft_ms", "tpot_ms", "out_tok_s_gpu", "prefill_ms"),
    ),
    "field": Columns(
        text=("gpu", "model", "quantity", "unit"),
        numbers=("gpus",),
        optional_text=("engine", "weights", "kv", "setup", "class", "note", "suspect"),
        optional_numbers=("tp", "ep", "dp", "input", "output", "concurrency"),
        measured=("measured",),
    ),
    "power": Columns(
        text=("gpu", "model"),
        numbers=("decode_gpus", "decode_tp", "isl", "osl", "concurrency"),
        optional_text=("framework", "precision", "spec", "date", "engine_version", "run"),
        optional_numbers=(
            *("disagg", "prefill_gpus", "decode_ep", "median_tpot_ms", "output_tok_s_gpu", "tok_s_gpu"),
            *("avg_power_w_per_gpu", "j_per_token"),
        ),
        measured=("j_per_output_token",),
    ),
    "kv_pool": Columns(
        text=("gpu", "model"),
        numbers=("tp", "memory_utilization", "max_length"),
        optional_text=("engine", "dtype", "kv", "date", "suspect"),
        optional_numbers=("pp", "weights_gib", "max_concurrency", "activations_gib", "non_torch_gib"),
        measured=("kv_pool_gib",),
    ),
}
"""Columns by kind of measurement."""


# The first row of a file of measurements: which kind it is, and what it lacks.


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
    repeated = next((name for index, name in enumerate(header) if name in header[:index]), None)
    if repeated is not None:
        raise CostcalcError(f"the column {shown(repeated)} stands twice", where)
    kind = kind or _fitting(header, where)
    columns = KINDS[kind]
    if missing := _missing_columns(header, columns):
        raise CostcalcError(f"the column '{missing[0]}' is missing", where, _hint(header, kind, missing))
    if not any(name in header for name in columns.measured):
        raise CostcalcError(f"no column of what was measured: {', '.join(columns.measured)}", where)
    return kind


def _fitting(header: Sequence[str], where: str) -> str:
    fitting = [kind for kind, columns in KINDS.items() if not _missing_columns(header, columns)]
    # Runs of serving have the columns of those whose power was measured, too: what was measured tells them apart.
    fitting = [kind for kind in fitting if any(name in header for name in KINDS[kind].measured)] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        hint = f"say which with --kind: {', '.join(fitting)}"
        raise CostcalcError(f"the columns fit {' and '.join(fitting)}", where, hint)
    alike = {
        kind: 1 - len(_missing_columns(header, columns)) / len(columns.required) for kind, columns in KINDS.items()
    }
    kind = max(alike, key=lambda name: alike[name])
    if alike[kind] < LEAST_ALIKE:
        hint = f"say which it is with --kind: {', '.join(KINDS)}; results of a benchmark's own are for costcalc price"
        raise CostcalcError("the columns fit no kind of measurement", where, hint)
    missing = _missing_columns(header, KINDS[kind])
    message = f"the columns fit no kind of measurement; the nearest, {kind}, lacks: {', '.join(missing)}"
    raise CostcalcError(message, where, _meant(header, kind, missing))


def _missing_columns(header: Sequence[str], columns: Columns) -> list[str]:
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


# Read files of measurements: comma-separated, comment lines with '#', one header line.
#
# A row that cannot be used is kept with its line and the reason; only a file that is not one is refused.


Row = dict[str, Any]
"""One measurement: text, numbers (null where empty) by column."""

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

    def fitting(header: Sequence[str], where: str) -> tuple[str, Columns]:
        found = kind_of(header, kind, where)
        return found, KINDS[found]

    return read_rows(read_text(path, CSV_BYTES), path, fitting)


def read_rows(
    text: str, path: str | Path, fitting: Callable[[Sequence[str], str], tuple[str, Columns]]
) -> Measurements:
    """Return the rows of a file of CSV.

    text: what it holds. fitting: returns the name of its kind and the columns of that, by its header and place.
    Raises CostcalcError for what is not CSV, whose columns fit nothing, or that has no rows.
    """
    separator, records = _records(text, path)
    line, header = next(records, (1, []))
    if not header:
        raise CostcalcError("the file holds no rows", place(path), "its first row must name the columns")
    header = _trimmed([name.strip() for name in header])
    if len(header) > CSV_COLUMNS:
        raise CostcalcError(f"more than {CSV_COLUMNS} columns", place(path, (line, 1)), "is this the right file?")
    if len(header) == 1 and (other := re.search(r"[|:]|\s(?=\s*\S)", header[0])):
        what = f"fields are separated by {shown(other[0])}"
        raise CostcalcError(what, place(path, (line, 1)), "separate them by commas, semicolons or tabs")
    kind, columns = fitting(header, place(path, (line, 1)))
    numbered = [(line, [field.strip() for field in fields]) for line, fields in records]
    if not numbered:
        raise CostcalcError("the file has a header and no rows", place(path))
    _check_names(columns, header, numbered, path)
    numeric = {name for index, name in enumerate(header) if _is_numeric(name, index, columns, numbered)}
    rows, lines, given, unusable = [], [], [], []
    for line, fields in numbered:
        whole = dict(zip(header, [*fields, *[""] * len(header)], strict=False))
        own = {name: natural(text) if name in numeric else text for name, text in whole.items()}
        try:
            if len(_trimmed(fields, len(header))) != len(header):
                raise CostcalcError(f"{len(fields)} fields where the header names {len(header)}")
            rows.append(_row(whole, columns, grouped=separator == ","))
        except CostcalcError as error:
            unusable.append(Unusable(line, f"line {line}: {error}", own))
            continue
        lines.append(line)
        given.append(own)
    return Measurements(kind, tuple(rows), str(path), tuple(lines), tuple(given), tuple(unusable))


def _check_names(
    columns: Columns, header: Sequence[str], records: Sequence[tuple[int, list[str]]], path: str | Path
) -> None:
    """Raise CostcalcError where a file names more different things than any measurement is of: each is looked up."""
    for index, name in enumerate(header):
        if name in columns.text or name.endswith("dtype"):
            seen = {fields[index] for _, fields in records if index < len(fields)}
            if len(seen) > CSV_NAMES:
                raise CostcalcError(
                    f"{name} has more than {CSV_NAMES} different values", place(path), "divide the file"
                )


def _records(text: str, path: str | Path) -> tuple[str, Iterator[tuple[int, list[str]]]]:
    """Return what separates fields, and each record with its line number, without comments and blank lines."""
    lines = text.splitlines()
    if len(lines) > CSV_LINES:
        raise CostcalcError(f"more than {CSV_LINES:,} lines", place(path), "divide the file")
    numbered = [
        (number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")
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
    for name in (*columns.numbers, *columns.optional_numbers, *columns.measured):
        row[name] = read_number(row.get(name, ""), name, required=name in columns.numbers, grouped=grouped)
    for name in columns.optional_text:
        text = row.get(name, "")
        left_open = is_empty(text) or (name.endswith("dtype") and text.casefold() == AUTO)
        row[name] = "" if left_open else text
    return row
