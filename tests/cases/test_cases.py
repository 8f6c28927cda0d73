"""Whole runs as folders: `cmd` is run as it stands, and what it prints has every line of `stdout` and `stderr`.

A line of those files is text that one line of the output must hold, in this order; spaces count once.
`exit` is the exit code, 0 without the file. Other files of the folder are there while the command runs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/cmd"))
RESERVED = {"cmd", "stdout", "stderr", "exit"}


def content(case: Path, name: str) -> str:
    path = case / name
    return path.read_text(encoding="utf-8") if path.exists() else ""


def missing(output: str, expected: str) -> list[str]:
    """Return the expected lines that the output does not have, in their order."""
    lines = iter([" ".join(line.split()) for line in output.splitlines()])
    return [each for each in expected.splitlines() if not any(" ".join(each.split()) in line for line in lines)]


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.name)
def test_a_whole_run(case: Path, tmp_path: Path) -> None:
    for path in case.iterdir():
        if path.name not in RESERVED:
            shutil.copy(path, tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    words = shlex.split(content(case, "cmd"))
    assert words[0] == "costcalc"
    run = subprocess.run(
        [sys.executable, "-m", "costcalc", *words[1:]],
        capture_output=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )
    output, errors = run.stdout.decode(), run.stderr.decode()
    code = int(content(case, "exit") or 0)
    assert run.returncode == code, errors
    assert missing(output, content(case, "stdout")) == [], output
    assert missing(errors, content(case, "stderr")) == [], errors
    if code:
        assert output == "" and {path.name for path in tmp_path.iterdir()} == before
    else:
        assert errors == ""


def test_there_are_cases() -> None:
    assert len(CASES) >= 12
