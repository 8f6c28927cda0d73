"""The package as it is built: data folders, dependencies, licence, and the commands that README promises."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from costcalc.catalog.files import KINDS, packaged_root

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DATA = (*KINDS, "measurements", "skills")


@pytest.mark.parametrize("folder", DATA)
def test_data_folders_reach_the_wheel(folder: str) -> None:
    included = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included[folder] == f"costcalc/_data/{folder}"
    assert folder in PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert any((ROOT / folder).iterdir())


def test_a_checkout_reads_its_own_data() -> None:
    assert packaged_root() == ROOT


def test_typing_information_is_shipped() -> None:
    assert (ROOT / "costcalc" / "py.typed").exists()


def test_dependencies_are_few() -> None:
    names = {re.split(r"[^a-z]", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    assert names == {"typer", "rich", "pydantic", "pyyaml", "numpy", "matplotlib", "plotille"}


def test_licence_and_python() -> None:
    assert PYPROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert PYPROJECT["project"]["requires-python"] == ">=3.11"


def test_the_readme_has_the_one_line_commands() -> None:
    lines = [
        line
        for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("python3 -m venv .venv && ")
    ]
    assert any(line.endswith("costcalc estimate --model v3 --gpu h100") for line in lines)
    assert any("pytest" in line for line in lines)


@pytest.mark.skipif(sys.platform == "win32", reason="no execute bits")
def test_the_checks_run_as_a_script() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "set -euo pipefail" in script.read_text(encoding="utf-8")
