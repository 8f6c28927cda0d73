"""Cells of a sweep as rows of files: the same in every form, and as many as are asked for."""

from __future__ import annotations

import builtins
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

import costcalc
from costcalc.cli import app
from costcalc.explore.spaces import sweep as sweeps
from costcalc.report.export.files import as_csv, csv_rows
from costcalc.report.export.rows import row_texts, write_rows

ASKED = {"gpus": [1, 8], "batch": [1, 64, 10_000], "context": [4000, 32_000], "price": [1, 2.5]}
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("llama-3.1-8b", "h100", ASKED),
    ("llama-3.1-8b", "rtx-4090", {"context": [4000, 10_000_000], "memory_bandwidth": [1e12]}),
    ("gpt-3", "h100", {"batch": [1, 2], "terms": "kv", "efficiency": "ideal"}),
]


@pytest.mark.parametrize(("model", "gpu", "options"), KINDS)
def test_csv_and_json_lines_are_the_rows_of_the_whole(model: str, gpu: str, options: dict[str, Any]) -> None:
    whole = costcalc.sweep(model, gpu, **options)
    parts = list(costcalc.sweep_chunks(model, gpu, cells=5, **options))
    lines = "".join(row_texts("jsonl", parts)).splitlines()
    assert [json.loads(line) for line in lines] == whole.to_dict()["rows"]
    columns, *written = csv.reader(io.StringIO("".join(row_texts("csv", parts))))
    header, *rows = csv.reader(io.StringIO(as_csv(csv_rows(whole))))
    assert set(header) <= set(columns)
    told = [dict(zip(columns, line, strict=True)) for line in written]
    assert [[row[name] for name in header] for row in told] == rows


def test_parquet_has_the_numbers_of_the_whole() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    whole, sink = costcalc.sweep("llama-3.1-8b", "h100", **ASKED), io.BytesIO()
    write_rows("parquet", costcalc.sweep_chunks("llama-3.1-8b", "h100", cells=5, **ASKED), sink)
    rows = parquet.read_table(io.BytesIO(sink.getvalue())).to_pylist()
    known = [{path: None if value != value else value for path, value in row.items()} for row in whole.to_rows()]
    assert [{path: row[path] for path in known[0]} for row in rows] == known


def asked(*options: str) -> list[str]:
    given = "-m llama-3.1-8b -g 8xh100 --tp 8 --batch 1:4:1 --context 4k,32k"
    return ["sweep", *given.split(), *options]


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_takes_more_cells_than_are_kept(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sweeps, "MOST_CELLS", 7)
    file = tmp_path / f"cells.{ending}"
    assert app.run(asked("-o", str(file))) == 0
    assert len(file.read_text().splitlines()) == 8 + (ending == "csv")
    assert app.run(asked("-f", ending)) == 2
    told = capsys.readouterr()
    assert told.out == "" and "more than 7 cells are asked for" in told.err and "end" in told.err


def test_what_fits_nowhere_leaves_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "cells.jsonl"
    assert app.run(["sweep", "-m", "v3", "-g", "1xh100", "--batch", "1,2", "-o", str(file)]) == 2
    assert "does not fit" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_parquet_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert app.run(asked("-o", str(tmp_path / "cells.parquet"))) == 2
    told = capsys.readouterr().err
    assert "pip install 'costcalc[parquet]'" in told and len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())
