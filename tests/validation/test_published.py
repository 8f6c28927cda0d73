"""Published figures: transcribed faithfully, answered, and close where they follow from their inputs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from costcalc.catalog.read import load_spec
from costcalc.cli.validate import asked
from costcalc.errors import CostcalcError
from costcalc.validation.published import Published, compare, published_figures

GOLDEN = Path(__file__).parents[1] / "golden" / "published.py"
EVERY = compare(published_figures().cases, asked)


def golden_cases():
    spec = importlib.util.spec_from_file_location("golden_published", GOLDEN)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.CASES


@pytest.mark.parametrize("found", EVERY, ids=lambda each: each.id)
def test_every_figure_is_answered_and_near(found):
    assert found.failed == ""
    if found.follows == "exact":
        # The furthest is 0.14 s: the text rounds 471.9 GB / 3.3 TB/s to two digits.
        assert abs(found.error) <= 0.03
    else:
        # Serving differs by a factor of two between versions of one engine.
        assert 0.5 <= found.predicted / found.published <= 2
        assert found.low < found.predicted < found.high


def test_figures_are_those_of_the_published_texts():
    golden = golden_cases()
    shared = [case for case in published_figures().cases if case.id in golden]
    assert len(shared) >= 25
    for case in shared:
        published = golden[case.id]["expected"]
        # Only prefixes of units differ: 4.7 MB here, 4,700,000 bytes there.
        factors = (1, 1e3, 1e6, 1e9, 1024)
        assert any(case.expected * factor == pytest.approx(published, rel=1e-6) for factor in factors), case.id


def test_papers_are_found_by_name():
    published = published_figures()
    assert {"deepseek-v3", "flashmla", "epoch", "scaling-book", "sglang"} <= published.papers().keys()
    assert len(published.of_paper("all")) == len(published.cases)
    with pytest.raises(CostcalcError, match="did you mean 'flashmla'"):
        published.of_paper("flashmal")


def test_a_figure_that_cannot_be_answered_says_why():
    case = published_figures().cases[0]

    def refuse(_):
        raise CostcalcError("nothing fits")

    (found,) = compare([case], refuse)
    assert found.predicted is None and found.error is None and found.failed == "nothing fits"
    (found,) = compare([case], lambda _: {"kv_cache": {}})
    assert "the estimate has no kv_cache.bytes_per_token" in found.failed


SOURCE = "sources: {x: {paper: x, title: X, url: 'https://example.org'}}\n"
CASE = (
    "{id: a, follows: exact, statement: s, source: {of: x, where: w, provenance: seen}, model: m, gpu: g, "
    "result: r, expected: 1, unit: u, scale: 1"
)


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        (f"[{CASE.replace('of: x', 'of: y')}}}]", "unknown source 'y'"),
        (f"[{CASE}}}, {CASE}}}]", "the case a stands twice"),
        (f"[{CASE.replace('expected: 1', 'expected: 0')}}}]", "greater than 0"),
        (f"[{CASE}, expect: 2}}]", "unknown key"),
    ],
)
def test_wrong_files_are_refused(tmp_path, cases, message):
    path = tmp_path / "published.yaml"
    path.write_text(f"{SOURCE}cases: {cases}\n")
    with pytest.raises(CostcalcError, match=message):
        load_spec(Published, path, "published")
