"""Generated documentation: what the code says now, the same every time."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def documentation():
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import accuracy
        import generate
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return generate, accuracy


@pytest.mark.parametrize("name", ["accuracy.md", "measuring.md", "../README.md"])
def test_generated_pages_are_current(documentation, name):
    generate, _ = documentation
    assert (ROOT / "docs" / name).read_text(encoding="utf-8") == generate.GENERATED[name](), "python docs/generate.py"


def test_the_page_is_the_same_every_time(documentation):
    _, accuracy = documentation
    first = accuracy.accuracy_page()
    accuracy._validation.cache_clear()
    assert accuracy.accuracy_page() == first


def test_the_page_sets_fitted_and_left_out_errors_side_by_side(documentation):
    _, accuracy = documentation
    page = accuracy.accuracy_page()
    for heading in (
        "Kernels",
        "Serving",
        "By GPU",
        "Against published figures",
        "Worst points",
        "What is not modelled",
    ):
        assert f"\n## {heading}\n" in page
    row = next(line for line in page.splitlines() if line.startswith("| time per output token, dense |"))
    # n; fitted; rows, model and GPU left out; bias; in range; the roofline alone.
    assert re.fullmatch(
        r"\|[^|]+\| \d+ (\| [\d.]+% \([\d.]+%\) ){4}\| [-+][\d.]+% \| \d+% \(\d+-\d+\) \| [\d.]+% \|", row
    )


def test_tables_have_as_many_cells_as_columns(documentation):
    _, accuracy = documentation
    for block in accuracy.accuracy_page().split("\n\n"):
        rows = [line for line in block.splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) <= 1
