"""Running commands inside the test's own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costcalc.cli import main

Run = Callable[..., str]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that must succeed, in an empty folder, and return what it prints."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def running(*arguments: str) -> str:
        code = main(arguments)
        printed = capfd.readouterr()
        assert (code, printed.err) == (0, "")
        return printed.out

    return running


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Run a command with --format json and return the tree."""
    return lambda *arguments: json.loads(run(*arguments, "--format", "json"))
