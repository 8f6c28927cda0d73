"""Charts: the right files, the same bytes when drawn again, every op and variant on them."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

import costcalc
from costcalc.catalog.catalog import load_gpu
from costcalc.errors import CostcalcError
from costcalc.explore.attention import Curve, Curves, attention_curves
from costcalc.hardware.accelerator import Accelerator
from costcalc.predict.results import BreakEven, Comparison, Estimate, OpResult
from costcalc.report.charts.comparison import draw_comparison
from costcalc.report.charts.estimate import draw_estimate, draw_roofline, draw_step_time
from costcalc.report.charts.frontier import draw_frontier
from costcalc.report.charts.money import draw_breakeven
from costcalc.report.charts.style import (
    VARIANT_COLOURS,
    draw_over,
    look,
    own_colour,
    own_mark,
    panels,
    shown_ticks,
    spread,
    variant_colour,
)
from costcalc.report.charts.sweep import draw_sweep
from costcalc.report.charts.terminal import plots
from costcalc.report.comparison import COST, RATE, USER
from costcalc.report.money.breakeven import use_curve
from costcalc.report.page import plain_page
from costcalc.report.sweep import SWEPT_PANELS, curves_of
from costcalc.units import Currency, format_bytes, format_usd, shown_in

MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.fixture(scope="module")
def h100() -> Accelerator:
    return load_gpu("h100")


@pytest.fixture
def placed(estimate: Estimate, h100: Accelerator) -> Estimate:
    return replace(estimate).on(h100)


@pytest.fixture
def curves() -> Curves:
    contexts = np.array([1e3, 8e3, 64e3, 128e3])
    lines = []
    for name, rate in (("MHA", 200.0), ("MLA absorbed", 2000.0), ("No cache", 1.0)):
        rates = rate / (contexts / 1e3)
        rates[-1] = np.nan if name == "MHA" else rates[-1]
        numbers = dict.fromkeys((RATE, USER), rates) | {COST: 1e3 / rates}
        lines.append(Curve(name, 0.0 if name == "No cache" else 70e3, contexts, rates, numbers))
    return Curves("X", 16, tuple(lines))


@pytest.mark.parametrize("suffix", MAGIC)
def test_charts_of_an_estimate_are_the_same_every_time(placed: Estimate, suffix: str) -> None:
    first = draw_estimate(placed, suffix)
    assert first.startswith(MAGIC[suffix])
    assert draw_estimate(placed, suffix) == first


@pytest.mark.parametrize("suffix", MAGIC)
def test_charts_of_a_comparison_are_the_same_every_time(comparison: Comparison, curves: Curves, suffix: str) -> None:
    first = draw_comparison(comparison, curves, suffix)
    assert first.startswith(MAGIC[suffix])
    assert draw_comparison(comparison, curves, suffix) == first


def test_files_tell_no_date(placed: Estimate) -> None:
    assert b"<dc:date>" not in draw_estimate(placed, ".svg")
    assert b"CreationDate" not in draw_estimate(placed, ".pdf")


@pytest.mark.parametrize("kind", ["cache", "throughput", "speed", "cost"])
@pytest.mark.parametrize("with_curves", [True, False])
def test_every_panel_can_stand_alone(comparison: Comparison, curves: Curves, kind: str, with_curves: bool) -> None:
    chart = draw_comparison(comparison, curves if with_curves else None, ".png", (kind,))
    assert chart.startswith(MAGIC[".png"])


@pytest.mark.parametrize("kind", ["roofline", "time"])
def test_either_panel_of_an_estimate(placed: Estimate, kind: str) -> None:
    assert draw_estimate(placed, ".png", (kind,), asked=True).startswith(MAGIC[".png"])


def test_what_does_not_fit_has_no_chart(comparison: Comparison) -> None:
    with pytest.raises(CostcalcError, match="does not fit"):
        draw_estimate(comparison.rows[2].estimate, ".png")


def test_reads_alone_have_a_chart_of_their_time_and_no_empty_roofline(estimate: Estimate, h100: Accelerator) -> None:
    term = replace(estimate, breakdown=(OpResult("attention core", 0.0, 124e9, 0.012, "memory"),)).on(h100)
    assert draw_estimate(term, ".png").startswith(MAGIC[".png"])
    both, one = (draw_estimate(term, ".svg", kinds) for kinds in (("roofline", "time"), ("time",)))
    assert both == one
    with pytest.raises(CostcalcError, match="no arithmetic to stand on a roofline; draw time alone"):
        draw_estimate(term, ".png", ("roofline",), asked=True)


def test_ops_stand_on_the_roofline_at_their_intensity(estimate: Estimate, h100: Accelerator) -> None:
    with look():
        axes = Figure().add_subplot()
        draw_roofline(axes, estimate, h100)
    placed = sorted(tuple(np.asarray(each.get_offsets())[0]) for each in axes.collections)
    # The two ops with arithmetic: FLOPs over bytes, and FLOPs over time on each of 16 GPUs.
    expected = sorted([(15.7e12 / 654e9, 15.7e12 / 16 / 0.020), (30e12 / 124e9, 30e12 / 16 / 0.012)])
    assert np.allclose(placed, expected)
    assert axes.get_xscale() == axes.get_yscale() == "log"
    # The data sheet of the H100 SXM: dense fp8 and bf16 peaks, and 3.35 TB/s under them.
    labels = {text.get_text() for text in axes.texts}
    assert {"1.98 PFLOP/s fp8", "989 TFLOP/s bf16", "3.35 TB/s"} <= labels


def test_every_op_has_a_bar(estimate: Estimate) -> None:
    with look():
        axes = Figure().add_subplot()
        draw_step_time(axes, estimate)
    ops = [*reversed(estimate.breakdown)]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*(op.op for op in ops), "whole step"]
    bars = [bar for bar in axes.patches if bar.get_width() > 0]
    assert [bar.get_width() for bar in bars] == [*(op.time_s for op in ops), sum(op.time_s for op in ops)]


def test_dollars_are_no_mathematics(
    estimate: Estimate, comparison: Comparison, curves: Curves, h100: Accelerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_texts: object, **_options: object) -> None:
        raise AssertionError("read as mathematics")

    monkeypatch.setattr("matplotlib.mathtext.MathTextParser.parse", refused)
    dear = replace(estimate.cost, usd_per_million_blended_tokens=12.5)
    named = replace(estimate, model=replace(estimate.model, name="$x$ and $y$"), cost=dear)
    assert draw_estimate(named.on(h100), ".png")
    assert draw_breakeven(BreakEven("$z$", named), ".png")
    for lines in (curves, None):
        assert draw_comparison(replace(comparison, title="$1 or $2"), lines, ".png")
    swept = costcalc.sweep("llama-3.1-8b", "h100", gpus=1, batch="1:8:x2", price=[1, 2])
    assert draw_sweep(swept, ".png", ("cost", "throughput", "speed", "wait"))


def test_a_line_over_another_is_dashed_where_they_run_together() -> None:
    axes = Figure().add_subplot()
    first = {1.0: 10.0, 2.0: 20.0, 3.0: 30.0, 4.0: 40.0}
    draw_over(axes, first, [], "first", color="red")
    draw_over(axes, {1.0: 10.1, 2.0: 20.0, 3.0: 30.0, 4.0: 50.0}, [first], "second", color="blue")
    draw_over(axes, {1.0: 5.0, 2.0: np.nan, 3.0: 30.0, 4.0: 40.0}, [first, dict(first)], "third", color="green")
    drawn = [(list(line.get_xdata()), line.is_dashed(), line.get_label()) for line in axes.lines]
    assert [(x, dashed) for x, dashed, _ in drawn] == [
        ([1, 2, 3, 4], False), ([1, 2, 3], True), ([3, 4], False), ([3, 4], True),
    ]  # fmt: skip
    assert [label for _, _, label in drawn if not label.startswith("_")] == ["first", "second", "third"]


def test_lines_of_a_sweep_that_coincide_are_one_that_names_them() -> None:
    swept = costcalc.sweep("llama-3.1-8b", "h100", gpus=1, batch="1:8:x2", price=[1, 2, 4], utilization=[0.5, 1])

    def labels(kind: str, most: int = 8) -> list[str]:
        return [line.label for line in curves_of(swept, SWEPT_PANELS[kind], most).lines]

    assert labels("throughput") == ["any $/GPU-h, any use"]
    assert labels("cost") == [
        "$/GPU-h $1.00, use 50% = $/GPU-h $2.00, use 100%", "$/GPU-h $1.00, use 100%",
        "$/GPU-h $2.00, use 50% = $/GPU-h $4.00, use 100%", "$/GPU-h $4.00, use 50%",
    ]  # fmt: skip
    found = curves_of(swept, SWEPT_PANELS["cost"], 2)
    assert len(found.lines) == 2 and found.count == 4
    chart = draw_sweep(swept, ".svg").decode()
    assert chart.count("<!-- any $/GPU-h, any use -->") == 2
    page = plain_page(plots(swept))
    assert page.count("● any $/GPU-h, any use") == 3


def test_lines_of_the_terminal_that_run_along_each_other_take_turns(comparison: Comparison, curves: Curves) -> None:
    twice = replace(curves, curves=(curves.curves[1], replace(curves.curves[1], variant="Its twin")))
    page = plain_page(plots(comparison, twice))
    assert "○ Its twin" in page and page.count("●") > 10 and abs(page.count("●") - page.count("○")) < 4


def test_providers_that_ask_the_same_share_a_line(estimate: Estimate) -> None:
    priced = replace(estimate, cost=replace(estimate.cost, usd_per_million_blended_tokens=0.2))
    twice = replace(priced, market=(*priced.market, replace(priced.market[0], provider="Another")))
    curve = use_curve(BreakEven("x", twice))
    assert curve is not None and [name for name, _, _ in curve.bought] == ["Somebody and Another $0.436", "Dear $0.012"]


def test_long_conditions_take_another_line_rather_than_small_letters() -> None:
    for subtitle, lines in (("short", 1), ("a price per GPU-hour; " * 8, 2)):
        with look():
            figure, _ = panels(1, "Title", subtitle, width=8.0)
        _, below = figure.texts
        assert below.get_text().count("\n") == lines - 1 and below.get_fontsize() >= 8.5
        assert "GPU-\n" not in below.get_text()


def test_variants_have_colours_of_their_own() -> None:
    names = ["MHA", "GQA-32", "GQA-16", "GQA-8", "MQA", "MLA absorbed", "MLA expanded", "Low rank", "No cache"]
    colours = [variant_colour(name, index) for index, name in enumerate(names)]
    assert len(set(colours)) == len(names)
    assert variant_colour("MHA", 5) == VARIANT_COLOURS["MHA"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_labels_are_moved_apart(heights: list[float]) -> None:
    placed = sorted(spread(heights, 0.05))
    assert all(0 <= each <= 1.0001 for each in placed)
    assert all(after - before >= 0.05 - 1e-9 for before, after in pairwise(placed))


def test_the_range_of_a_step_strikes_through_no_words(estimate: Estimate) -> None:
    wide = replace(estimate, decode=replace(estimate.decode, step_time_s_range=(0.02, 0.11)))
    with look():
        _, [axes] = panels(1, "Title", "subtitle")
        draw_step_time(axes, wide)
        [spread_line] = axes.lines
        words = next(text for text in axes.texts if "[20–" in text.get_text())
        across = words.get_window_extent().transformed(axes.transData.inverted())
    assert not across.y0 <= spread_line.get_ydata()[0] <= across.y1


def test_pools_together_and_apart_of_two_gpus_all_have_bands() -> None:
    found = costcalc.frontier("llama-3.1-8b", ["1xh100", "1xl40s"], disaggregated=[False, True])
    chart = draw_frontier(found, ".svg", ("throughput",))
    assert len(found.fronts) == 4 and chart.count(b"PolyCollection_") == 4


def test_ticks_of_money_are_round_in_the_currency_shown() -> None:
    axes = Figure().add_subplot()
    axes.set(yscale="log", ylim=(0.4, 900), xlim=(0, 1000))
    with shown_in(Currency("€", 0.92, "EUR")):
        for axis in (axes.xaxis, axes.yaxis):
            shown_ticks(axis, format_usd)
            low, high = axis.get_view_interval()
            places = [each for each in axis.get_majorticklocs() if low <= each <= high]
            told = [axis.get_major_formatter()(each, 0) for each in places]
            assert len(told) > 2 and all(re.fullmatch(r"€(0|0\.[125]0|[1245][05]*|[68]00)", each) for each in told), (
                told
            )


def test_a_variant_looks_the_same_in_any_company() -> None:
    kinds = ("GQA-8", "GQA-16", "GQA-32", "SWA 4,000", "SWA 4,000/6", "MHA", "MQA", "Low rank", "MLA absorbed")
    looks = [(own_colour(each), own_mark(each)) for each in kinds]
    assert len({*looks}) == len(kinds) and None not in dict(looks)
    assert looks == [(variant_colour(each, 7), own_mark(each)) for each in kinds]


def test_caches_beside_lines_are_those_of_the_longest_context() -> None:
    asked = {"variants": "gqa:8,window:4k", "contexts": ["2k", "64k"]}
    table = costcalc.compare_attention("llama-3.1-8b", "1xh100", **asked)
    lines = attention_curves("llama-3.1-8b", "1xh100", **asked)
    picture = draw_comparison(table, lines, ".svg", ("cache",)).decode()
    assert "<!-- KV cache per sequence, 64,000 tokens -->" in picture and "2,000 tokens" not in picture
    assert f"<!-- {format_bytes(table.rows[2].estimate.kv_cache.bytes_per_sequence)} -->" in picture
