"""`costcalc models import`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from costcalc.cli import main

Run = Callable[..., str]
CONFIG = Path(__file__).parents[1] / "catalog" / "configs" / "llama-3.1-8b.json"


def test_a_model_is_printed(run: Run) -> None:
    lines = run("models", "import", str(CONFIG)).splitlines()
    assert lines[:3] == [
        "# yaml-language-server: $schema=../docs/schemas/model.json",
        "name: llama-3.1-8b",
        "aliases: []",
    ]
    assert "precision: {weights: bf16, kv_cache: bf16}" in lines


def test_a_model_is_written_checked_and_used(run: Run) -> None:
    said = run("models", "import", str(CONFIG), "--name", "Mine", "--output", "mine.yaml")
    assert said == "mine.yaml: Mine, 32 layers, 8.03B parameters, 7.505B active\n"
    assert "no problem" in run("models", "check", "mine.yaml")
    assert "GQA-8" in run("estimate", "--model", "mine.yaml", "--gpu", "h100")


def test_a_file_that_exists_is_kept(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    run("models", "import", str(CONFIG), "-o", "mine.yaml")
    before = Path("mine.yaml").read_text()
    assert main(["models", "import", str(CONFIG), "-o", "mine.yaml", "--name", "Other"]) == 2
    assert capfd.readouterr() == ("", "error: --output: 'mine.yaml' exists already; name a new file\n")
    assert Path("mine.yaml").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["config.json"], "config.json:1:19: architectures: unknown architecture 'GhostForCausalLM'; docs/import.md"),
        (["nowhere"], "nowhere: no such file"),
        ([], "PATH is missing"),
        (["config.json", "--output", "x.txt"], "config.json:1:19: architectures"),
    ],
)
def test_what_cannot_be_read_is_refused(
    arguments: list[str],
    expected: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"architectures": ["GhostForCausalLM"]}))
    assert main(["models", "import", *arguments]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"error: {expected}")
    assert printed.err.count("\n") == 1
    assert not (tmp_path / "x.txt").exists()
