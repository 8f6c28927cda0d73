"""Starting is cheap because of what is not imported; benchmarks/startup.py measures it."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROBE = """
import contextlib, io, sys
from costcalc.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    code = main(sys.argv[1:])
print(code, *sorted(sys.modules))
"""
# What only charts, schedulers, clients and broken input need.
NEVER = {"matplotlib", "plotille", "PIL", "asyncio", "http.client", "unittest", "sqlite3", "pandas", "scipy", "torch"}
HEAVY = {"numpy", "pydantic", "yaml", "rich", *NEVER}


def modules_of(*arguments: str) -> set[str]:
    """Return the modules that a command has loaded when it ends."""
    run = subprocess.run([sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=True)
    code, *names = run.stdout.split()
    assert code == "0" and not run.stderr
    return set(names)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        [],
        ["estimate", "--help"],
        ["compare", "--help"],
        ["compare", "attention", "--help"],
        ["models", "--help"],
        ["models", "show", "--help"],
        ["gpus", "--help"],
        ["breakeven", "--help"],
        ["sweep", "--help"],
        ["frontier", "--help"],
        ["capacity", "--help"],
        ["report", "--help"],
        ["mcp", "--help"],
    ],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not modules_of(*arguments) & HEAVY


def test_an_estimate_imports_no_charts_and_no_terminal() -> None:
    loaded = modules_of("estimate", "--model", "v3", "--gpu", "h100")
    assert not loaded & NEVER
    # Files are checked by pydantic's core; making pydantic's own adapters takes longer than an estimate.
    assert "pydantic_core" in loaded and "pydantic" not in loaded
    # stdout is no terminal here, and plain text needs no rich; nor do masked arrays belong to an estimate.
    assert not loaded & {"rich", "numpy.ma", "numpy.random"}
    assert not any(name.startswith(("costcalc.report.charts.", "costcalc.validation")) for name in loaded)


def test_a_comparison_imports_no_charts_either() -> None:
    assert not modules_of("compare", "attention", "--model", "v3", "--gpu", "h100") & NEVER


def test_a_sweep_imports_no_charts_either() -> None:
    assert not modules_of("sweep", "--model", "v3", "--gpu", "h100", "--batch", "1,8") & NEVER


def test_completion_imports_nothing_heavy() -> None:
    words = "costcalc estimate --model deepseek-v"
    code = f"""
import os, sys
os.environ.update(_COSTCALC_COMPLETE="complete_bash", COMP_WORDS={words!r}, COMP_CWORD="3",
                  _TYPER_COMPLETE_ARGS={words!r})
from costcalc.cli import main
try:
    main([])
except SystemExit:
    pass
print("loaded", *sorted(sys.modules))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    answers, _, modules = run.stdout.partition("loaded")
    assert "deepseek-v3" in answers.split()
    assert not set(modules.split()) & HEAVY
