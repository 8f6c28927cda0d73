"""Measured rows as files in the columns of measurements/."""

from __future__ import annotations

import csv
import io
from typing import Any

from costcalc.measured.gpu_bench.bench import Measured
from costcalc.measured.load import Measurements


def as_measurements(measured: Measured) -> list[Measurements]:
    """Return what was measured by kind, as if read from files; one without rows is there too."""
    return [
        Measurements("gemm", measured.gemm, "gemm.csv"),
        Measurements("decode_attention", measured.decode_attention, "decode_attention.csv"),
    ]


def measurements_csv(table: Measurements) -> str:
    """Return measurements as the content of a CSV file."""
    text = io.StringIO()
    text.write("# Measured by `costcalc calibrate`: medians of calls in a graph, operands out of the cache in turn.\n")
    writer = csv.writer(text, lineterminator="\n")
    columns = list(table.rows[0]) if table.rows else []
    columns = ["gpu", *(name for name in columns if name != "gpu")]
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in table.rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if value != int(value) else int(value)
    return "" if value is None else value
