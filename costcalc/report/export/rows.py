"""Cells of sweeps as rows of CSV, JSON lines or Parquet, part by part: files of any length in little memory.

What a number does not depend on is put into words once: columns are made on their own axes and repeated along the
others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.explore.spaces.sweep import CHUNK, Sweep
from costcalc.fields import Array
from costcalc.report.export.files import csv_cell

if TYPE_CHECKING:
    from pyarrow import Array as Column

CELLS = {"csv": CHUNK, "jsonl": CHUNK, "parquet": 4 * CHUNK}
"""Cells of a part: text is kept of all of them at once, and a row group of Parquet has a footer of its own."""


class Sink(Protocol):
    """What takes bytes."""

    def write(self, content: bytes) -> Any: ...


def check_rows(form: str) -> None:
    """Raise CostcalcError where what writes the format is not installed."""
    if form == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise CostcalcError(
                "Parquet is written by pyarrow, which is not installed",
                where="--output-file",
                hint="pip install 'costcalc[parquet]', or end the file in .csv or .jsonl",
            ) from None


def write_rows(form: str, parts: Iterable[Sweep], sink: Sink) -> None:
    """Write every cell of the parts of a sweep, in their order.

    form: 'csv', 'jsonl' or 'parquet'.
    """
    if form == "parquet":
        _write_parquet(parts, sink)
        return
    for text in row_texts(form, parts):
        sink.write(text.encode())


def row_texts(form: str, parts: Iterable[Sweep]) -> Iterator[str]:
    """Yield every cell of the parts of a sweep as text, in their order.

    form: 'csv' or 'jsonl'.
    """
    for number, part in enumerate(parts):
        if form == "csv":
            yield from _csv_lines(part, number == 0)
        else:
            yield _json_lines(part)


def _csv_lines(part: Sweep, is_first: bool) -> Iterator[str]:
    columns = part.columns()
    if is_first:
        yield ",".join(columns) + "\n"
    cells = [_texts(part, part.column(path, own_axes=True), _csv_text) for path in columns]
    yield "".join(f"{','.join(row)}\n" for row in zip(*cells, strict=True))


def _csv_text(value: Any) -> str:
    cell = csv_cell(value)
    if not isinstance(cell, str):
        return repr(cell)
    return '"' + cell.replace('"', '""') + '"' if _QUOTED.search(cell) else cell


_QUOTED = re.compile(r'[,"\r\n]')
"""What makes a cell of CSV stand in quotes (RFC 4180), as the csv module has them, which takes rows one by one."""


def _json_lines(part: Sweep) -> str:
    """The rows of `Sweep.to_dict()`, one a line."""
    pieces, group = [], ""
    for path in part.columns():
        branch, _, name = path.partition(".")
        if name.endswith("_range.high"):
            continue
        ahead = ", " if branch == group else f'{"}, " if group else "{"}"{branch}": {{'
        values, group = part.column(path, own_axes=True), branch
        if name.endswith("_range.low"):
            ahead += f'"{name.removesuffix(".low")}": ['
            ends = values, part.column(path.removesuffix("low") + "high", own_axes=True)
            pieces.append(_pairs(part, ends, ahead))
        else:
            pieces.append(_texts(part, values, partial(_json_field, f'{ahead}"{name}": ')))
    return "".join(f"{''.join(row)}}}}}\n" for row in zip(*pieces, strict=True))


def _pairs(part: Sweep, ends: tuple[Array, Array], ahead: str) -> list[str]:
    """Ranges, left out where they are none."""
    low, high = np.broadcast_arrays(*ends)
    both = zip(low.ravel().tolist(), high.ravel().tolist(), strict=True)
    texts = [f"{ahead}{_json_text(a)}, {_json_text(b)}]" if np.isfinite(a) else "" for a, b in both]
    return _repeated(part, texts, low.shape)


def _json_field(ahead: str, value: Any) -> str:
    return ahead + _json_text(value)


def _json_text(value: Any) -> str:
    if isinstance(value, float):
        return repr(value) if np.isfinite(value) else "null"
    return json.dumps(value)


def _texts(part: Sweep, values: Array, text: Callable[[Any], str]) -> list[str]:
    """A column in words, those of each value made once."""
    return _repeated(part, [text(value) for value in values.ravel().tolist()], values.shape)


def _repeated(part: Sweep, texts: list[str], shape: tuple[int, ...]) -> list[str]:
    """Words on their own axes at every cell of a part."""
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    repeated: list[str] = np.broadcast_to(found.reshape(shape), part.shape).ravel().tolist()
    return repeated


def _write_parquet(parts: Iterable[Sweep], sink: Sink) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    writer = None
    for part in parts:
        table = pa.table({path: _arrow(part.column(path)) for path in part.columns()})
        if writer is None:
            writer = ParquetWriter(sink, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _arrow(values: Array) -> Column:
    """A column of Parquet: text or numbers, null where nothing is known."""
    import pyarrow as pa

    flat = values.ravel()
    if flat.dtype != object:
        return pa.array(flat, from_pandas=True)
    counts = any(isinstance(value, int) for value in flat)
    return pa.array(flat.tolist(), pa.int64() if counts else pa.string())
