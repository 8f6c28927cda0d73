"""Generated documentation: what the code says now, the same every time."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest
import yaml

import costcalc
from costcalc.cli import main
from costcalc.formats import CACHE_FORMATS

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


@pytest.mark.parametrize("name", ["accuracy.md", "agents.md", "attention.md", "measuring.md", "../README.md"])
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


SKILL = ROOT / "skills" / "costcalc" / "SKILL.md"


def test_the_skill_keeps_the_format_of_agent_skills():
    """agentskills.io/specification."""
    _, front, body = SKILL.read_text(encoding="utf-8").split("---\n", 2)
    told = yaml.safe_load(front)
    assert set(told) <= {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
    assert told["name"] == SKILL.parent.name and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", told["name"])
    assert 1 <= len(told["description"]) <= 1024 and "<" not in told["description"]
    assert len(told["compatibility"]) <= 500 and len(body.splitlines()) < 500


def _commands_of_the_skill():
    block = SKILL.read_text(encoding="utf-8").partition("```sh\n")[2].partition("```")[0]
    return [line for line in block.splitlines() if line.startswith("costcalc ")]


@pytest.mark.parametrize("line", _commands_of_the_skill())
def test_the_commands_of_the_skill_run(line, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = main(shlex.split(line)[1:])
    printed = capfd.readouterr()
    assert (code, printed.err) == (0, "") and len(printed.out.splitlines()) > 5


def test_the_skill_has_the_commands_of_the_common_questions():
    assert len(_commands_of_the_skill()) >= 10


@pytest.mark.usefixtures("documentation")
def test_the_formulas_of_attention_are_those_of_the_code():
    """Bytes that the page's formulas say, of every layer of every model, against what is computed."""
    attention, bf16, compared = sys.modules["attention"], CACHE_FORMATS["bf16"], set()
    for entry in costcalc.models():
        for layer in costcalc.load_model(entry.id).attention.values():
            for tokens in (1, 127, 5_000, 131_072):
                assert attention.cached(layer, tokens, bf16) == pytest.approx(float(layer.cache_bytes(tokens, bf16)))
            compared.add(layer.kind)
    assert attention.KINDS.keys() - compared == {"low_rank", "gated_memory"}
    control = attention.KINDS["low_rank"](num_attention_heads=4, num_key_value_heads=4, head_dim=2.5)
    for layer in (control, attention.KINDS["gated_memory"](inner_size=64)):
        assert attention.cached(layer, 100, bf16) == float(layer.cache_bytes(100, bf16))
