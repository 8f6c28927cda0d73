"""What Python sessions and notebooks show of answers, and what functions say of their options."""

from __future__ import annotations

import ast
import inspect
import json
import pickle
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import costcalc
from costcalc.cli import main
from costcalc.fields import Result
from costcalc.predict.options import OPTIONS, SWEPT
from costcalc.report.export.files import PAGES, as_csv, page_of
from costcalc.report.html.blocks import html_page
from costcalc.report.page import Column, Command, Grid, Line

RUNS = Path(__file__).parent / "validation" / "benchmarks"
SMALL = ("llama-3.1-8b", "h100")
SIDE = {"model": SMALL[0], "gpu": SMALL[1]}
ASKED: dict[str, Callable[[], Result]] = {
    "BreakEven": lambda: costcalc.breakeven(*SMALL),
    "Capacity": lambda: costcalc.capacity(*SMALL, max="bits"),
    "Comparison": lambda: costcalc.compare_gpus(["h100", "h200"], SMALL[0]),
    "Diff": lambda: costcalc.diff(SIDE, {**SIDE, "batch": 8}),
    "Estimate": lambda: costcalc.estimate(*SMALL),
    "Frontier": lambda: costcalc.frontier(*SMALL, batch=[8, 64]),
    "Listing": lambda: costcalc.gpus(),
    "Plan": lambda: costcalc.plan(*SMALL, demand="10 requests/s", pools="one", seeds=1),
    "Priced": lambda: costcalc.price(next(iter(sorted(RUNS.glob("*vllm*.json")))), model=SMALL[0], gpu="8xh100"),
    "Sensitivity": lambda: costcalc.sensitivity(*SMALL),
    "Simulation": lambda: costcalc.simulate(*SMALL, demand="2 requests/s", requests=50),
    "Sweep": lambda: costcalc.sweep(*SMALL, batch=[1, 8, 64]),
    "Training": lambda: costcalc.train("v3", "h800", tokens="14.8T"),
}
KNOWN: dict[str, Result] = {}


def asked(kind: str) -> Result:
    if kind not in KNOWN:
        KNOWN[kind] = ASKED[kind]()
    return KNOWN[kind]


class Checked(HTMLParser):
    """Reads HTML whose elements are closed in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        assert {name for name, _ in attrs} <= {"style", "scope", "aria-hidden"}
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_every_result_is_asked_for_here() -> None:
    assert all(issubclass(getattr(costcalc, kind), Result) for kind in ASKED)
    assert set(ASKED) == set(PAGES) == {each.__name__ for each in Result.__subclasses__()}


@pytest.mark.parametrize("kind", ASKED)
def test_an_answer_is_one_line_a_table_and_rows(kind: str) -> None:
    found = asked(kind)
    assert type(found) is getattr(costcalc, kind)
    line = repr(found)
    assert line.startswith(f"<{kind}: ") and line.endswith(">") and "\n" not in line and len(line) < 200
    shown = Checked(found._repr_html_())
    assert not shown.open and {"div", "table", "td"} <= set(shown.seen) <= {
        "br", "code", "div", "span", "table", "tbody", "td", "th", "thead", "tr",
    }  # fmt: skip
    for block in page_of(found):  # every cell of the page is there
        for cell in [each for row in block.rows for each in row] if isinstance(block, Grid) else []:
            assert cell in shown.text
    rows = found.to_rows()
    assert rows and not any(isinstance(value, dict | list) for row in rows for value in row.values())


@pytest.mark.parametrize(
    ("kind", "headline"),
    [("Estimate", r"Llama-3.1-8B on 1 × .*: \$[\d.]+ per M output tokens"), ("Sweep", "batch 3"),
     ("Training", r"DeepSeek-V3 trained on 14.8T tokens on .* GPU-hours, \$"), ("Listing", "[0-9]+ accelerators"),
     ("Diff", r"\$[\d.]+ → \$[\d.]+ per M blended tokens"), ("Comparison", "2 rows, cheapest NVIDIA H"),
     ("Plan", r"[0-9]+ × NVIDIA H100 SXM5 80GB, \$[\d,.]+ a month")],
)  # fmt: skip
def test_a_line_has_the_headline_number(kind: str, headline: str) -> None:
    assert re.search(headline, repr(asked(kind)))


def test_an_estimate_that_does_not_fit_says_so() -> None:
    found: Any = asked("Estimate")
    assert repr(replace(found, memory=replace(found.memory, fits=False))).endswith(": does not fit>")


def test_rows_are_those_of_csv(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", "-m", SMALL[0], "-g", SMALL[1], "-f", "csv"]) == 0
    assert as_csv(asked("Estimate").to_rows()) == capsys.readouterr().out


def test_no_name_is_markup_or_a_formula() -> None:
    hostile = "<script>alert(1)</script>\x1b[31m & $x$ \"'"
    blocks = [Line(hostile, "title"), Command(f"costcalc {hostile}", hostile), Grid([Column(hostile)], [[hostile]])]
    text = html_page(blocks)
    assert "<script" not in text and "$" not in text and "\x1b" not in text
    assert Checked(text).text.count("<script>alert(1)</script>") == 5
    found: Any = asked("Estimate")
    told = replace(found, model=replace(found.model, name=hostile))
    assert "<script" not in told._repr_html_() and "\x1b" not in repr(told)


def test_a_pickled_answer_is_shown_by_a_session_that_asked_nothing() -> None:
    found = asked("Estimate")
    again = pickle.loads(pickle.dumps(found))
    assert again == found and again._repr_html_() == found._repr_html_() and again.chart() == found.chart()


def test_a_frame_has_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: ("frame", rows)))
    found = asked("Sweep")
    assert found.to_frame() == ("frame", found.to_rows()) and len(found.to_rows()) == 3
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(costcalc.CostcalcError, match="needs the package pandas, which is not installed; pip install"):
        found.to_frame()


@pytest.mark.parametrize("kind", sorted(set(ASKED) - {"Listing", "Training"}))
def test_a_chart_is_a_picture(kind: str) -> None:
    found: Any = asked(kind)
    drawing = found.chart()
    assert b"<svg" in drawing[:2000]
    shown = drawing._repr_mimebundle_()["image/svg+xml"]
    assert len(shown) < len(drawing) + 40 and re.search(r'<svg [^>]*width="100%" style="max-width:[\d.]+pt"', shown)


def test_a_chart_is_the_one_of_the_command(tmp_path: Path) -> None:
    found = asked("Estimate")
    named = {ending: tmp_path / f"chart.{ending}" for ending in ("svg", "png", "pdf")}
    for ending, file in named.items():
        typed = tmp_path / f"typed.{ending}"
        drawing = found.chart(file, kinds="time")
        assert main(["estimate", "-m", SMALL[0], "-g", SMALL[1], "--chart", str(typed), "--chart-kind", "time"]) == 0
        assert typed.read_bytes() == file.read_bytes() == drawing
    assert found.chart(named["png"])._repr_mimebundle_()["image/png"].startswith(b"\x89PNG")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        ("Estimate", {"path": "x.gif"}, "path: 'x.gif' has an unknown ending; end it in .svg, .png or .pdf"),
        ("Estimate", {"path": "/nowhere/x.svg"}, "path: there is no folder '/nowhere'; create it first"),
        ("Estimate", {"kinds": "rooflin"}, "kinds: 'rooflin' is unknown; did you mean 'roofline'?"),
        ("Comparison", {"kinds": ["cache"]}, "kinds: 'cache' is unknown; one of: throughput, speed, cost, memory"),
        ("Simulation", {"kinds": ["load"]}, "kinds: there is one load; add `loads`, as in 0.5:1.5:0.25"),
        ("Training", {}, "chart: this answer has no chart"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_that_names_the_keyword(kind: str, given: Any, told: str) -> None:
    with pytest.raises(costcalc.CostcalcError) as caught:
        asked(kind).chart(**given)
    assert str(caught.value) == told


def test_one_row_of_several_has_a_chart_of_its_time() -> None:
    comparison: Any = asked("Comparison")
    row = comparison.rows[0].estimate
    assert row.chart() == row.chart(kinds=["time"])
    with pytest.raises(costcalc.CostcalcError, match="kinds: one row of several has no roofline"):
        row.chart(kinds=["roofline"])


# What functions say of their options.


ASKING = [
    "estimate", "sweep", "sweep_chunks", "frontier", "simulate", "compare_attention", "compare_models", "compare_gpus",
    "breakeven", "capacity", "sensitivity", "attention_curves", "price",
]  # fmt: skip


@pytest.mark.parametrize("name", ASKING)
def test_signatures_and_docstrings_have_every_option(name: str) -> None:
    function = getattr(costcalc, name)
    parameters = inspect.signature(function).parameters
    assert set(OPTIONS) <= set(parameters) and "options" not in parameters
    assert ("memory_bandwidth" in parameters) == name.startswith("sweep")
    for option in SWEPT if name == "sweep" else OPTIONS:
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
        assert re.search(rf"^    {option}: \S", function.__doc__, re.MULTILINE) or name == "simulate"
    told = function.__doc__.partition("\nOptions:\n")[2]
    ours = {flag for row in OPTIONS.values() for flag in row.flags}
    assert not ours & set(re.findall(r"--[a-z-]+", told)) and "{" not in told


def test_defaults_of_the_signature_are_those_of_the_function() -> None:
    parameters = inspect.signature(costcalc.estimate).parameters
    defaults = {name: each.default for name, each in parameters.items() if each.default is not each.empty}
    assert set(defaults) == {*OPTIONS, "catalog"}
    assert costcalc.estimate(*SMALL, **defaults) == asked("Estimate")
    assert str(parameters["tensor_parallel"]) == "tensor_parallel: 'int | str | None' = None"
    assert str(parameters["arrivals"].annotation) == "Arrivals | None"


def test_unknown_options_are_still_refused_by_what_was_meant() -> None:
    with pytest.raises(costcalc.CostcalcError, match="unknown option 'tp'; it is called tensor_parallel"):
        costcalc.estimate(*SMALL, tp=2)


def test_break_even_is_suggested_its_name() -> None:
    with pytest.raises(AttributeError) as caught:
        costcalc.break_even  # noqa: B018
    assert caught.value.name == "break_even" and caught.value.obj is costcalc and "breakeven" in dir(costcalc)


# Specifications with changed fields, and what the catalog has.


def test_deriving_nothing_is_the_same_specification() -> None:
    catalog = costcalc.Catalog()
    for each in [*map(catalog.model, catalog.paths("models")), *map(catalog.gpu, catalog.paths("hardware_profiles"))]:
        assert each.derive() == each


def test_a_derived_gpu_is_what_set_makes_of_its_file() -> None:
    derived = costcalc.load_gpu("h100").derive(memory="141 GB", memory_bandwidth="4.8 TB/s", power=None)
    set_ = costcalc.load_gpu("h100", overrides={"memory": "141 GB", "memory_bandwidth": "4.8 TB/s", "power": None})
    assert derived.memory == 141e9 and derived.power is None
    own = {"price": set_.price, "prices": set_.prices}  # those that others ask are of the other
    assert replace(derived, caveats=(), name=set_.name, measured_as=None, **own) == replace(set_, caveats=())
    assert derived.caveats[0] == "memory: memory_reported, 85.52 GB, is of the card as sold and left out."
    assert costcalc.estimate("v3", derived).deployment.gpus < costcalc.estimate("v3", "h100").deployment.gpus


def test_what_is_derived_says_in_its_name_what_was_changed() -> None:
    card, model = costcalc.load_gpu("h100"), costcalc.load_model("llama-3.1-8b")
    wider = card.derive(memory="141 GB")
    assert wider.name == "NVIDIA H100 SXM5 80GB, memory 141 GB"
    assert wider.derive(power="600 W").name == "NVIDIA H100 SXM5 80GB, memory 141 GB, power 600 W"
    assert card.derive(memory="141 GB", name="H141").name == "H141"
    assert model.derive(precision={"kv_cache": "fp8"}).name == "Llama-3.1-8B, kv cache fp8"
    rows = costcalc.compare_gpus([card, wider], "llama-3.1-8b").rows
    assert [row.variant for row in rows] == [card.name, wider.name]
    # What was measured of the card is still known of it.
    found, plain = (
        costcalc.estimate("llama-3.1-8b", each, batch=8) for each in (card.derive(released="2022-10"), card)
    )
    assert (found.cost, found.energy) == (plain.cost, plain.energy)


def test_a_derived_model_has_other_attention() -> None:
    model = costcalc.load_model("llama-3.1-8b")
    (label,) = model.attention
    half = model.derive({f"attention.{label}.num_key_value_heads": 4}, name="half")
    assert half == model.derive(attention={label: {"num_key_value_heads": 4}}, name="half")
    bytes_of = {m.name: costcalc.estimate(m, "h100").kv_cache.bytes_per_token for m in (model, half)}
    assert bytes_of["half"] == bytes_of[model.name] / 2
    latent = costcalc.load_model("v3").attention["mla"]
    # DeepSeek-V2 (arXiv 2405.04434): a latent of 512 and a rope head of 64 are cached for each layer.
    twin = model.derive(attention={label: latent})
    assert costcalc.estimate(twin, "h100").kv_cache.bytes_per_token == 32 * (512 + 64) * 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"memry": 1}, "memry: unknown key; did you mean 'memory'?"),
        ({"memory": "lots"}, "memory: 'lots' is not a size in bytes; write it like '80 GB'"),
        ({"peak_flops": {"fp8": -1}}, "peak_flops.fp8: -1 is not a compute rate: it is negative"),
        ({"peak_flops": 3}, "peak_flops: this is a group of keys, not a value; set a value in it, such as peak_flops."),
        ({"aliases": [1]}, "aliases.0: expected text, got 1"),
    ],
)
def test_what_cannot_be_derived_names_the_path(changes: Any, told: str) -> None:
    with pytest.raises(costcalc.CostcalcError) as caught:
        costcalc.load_gpu("h100").derive(changes)
    assert str(caught.value).startswith(told)


def test_listings_have_names_sizes_and_prices() -> None:
    models, gpus = costcalc.models(), costcalc.gpus()
    assert len(models) == len(costcalc.Catalog().entries("models")) == len(models.to_rows())
    facts = {row["id"]: row for row in models.to_rows()}
    assert facts["deepseek-v3"]["total_parameters"] == pytest.approx(671e9, rel=0.001)  # arXiv 2412.19437
    h100 = next(each for each in gpus if each.id == "h100-sxm")
    assert isinstance(h100.to_dict()["usd_per_gpu_hour"], float) and "memory_bytes" in h100.to_dict()
    assert "h100-sxm" in gpus._repr_html_()


# The notebook of the examples.


def test_the_notebook_of_the_examples_runs_and_shows_what_ends_its_cells() -> None:
    file = Path(__file__).parents[1] / "examples" / "costs.ipynb"
    cells = [each for each in json.loads(file.read_text(encoding="utf-8"))["cells"] if each["cell_type"] == "code"]
    names: dict[str, Any] = {}
    shown = []
    for cell in cells:
        assert cell["outputs"] == [] and cell["execution_count"] is None  # what it answers follows the catalog
        *before, last = ast.parse("".join(cell["source"])).body
        exec(compile(ast.Module(before, []), "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            shown.append(eval(compile(ast.Expression(last.value), "cell", "eval"), names))
        else:
            exec(compile(ast.Module([last], []), "cell", "exec"), names)
    assert len([each for each in shown if hasattr(each, "_repr_html_")]) == 2
    assert len([each for each in shown if "image/svg+xml" in getattr(each, "_repr_mimebundle_", dict)()]) == 3
