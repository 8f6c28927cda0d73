"""Every kind of chart by its structure: what is labelled, joined, covered and cut, at full and at half size."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.explore.attention import Curve, batch_of_all
from costcalc.report.charts import THEMES, drawn
from costcalc.report.charts.memory import BEYOND, draw_memory
from costcalc.report.charts.style import _THEMES, INK, PAPER, SERIES, look, panels, shown_ticks
from costcalc.report.charts.terminal import plots
from costcalc.report.comparison import COST, RATE, USER
from costcalc.report.page import plain_page
from costcalc.units import format_bytes

CONTEXTS = ("4k", "32k", "128k", "1m")


@cache
def _attention(**given: Any) -> tuple[Any, Any]:
    table = costcalc.compare_attention("v3", "h200", contexts=CONTEXTS)
    return table, costcalc.attention_curves("v3", "h200", contexts=CONTEXTS, **given)


@cache
def _scored() -> Any:
    from costcalc.cli.validate import _measurements
    from costcalc.validation.score import validate

    catalog = Catalog()
    return validate(_measurements(["gemm", "moe"], []), catalog.kernel_efficiency(), None, catalog)


@cache
def _replayed() -> Any:
    return costcalc.simulate(
        "llama-3.1-8b", "1xh100", demand="25 requests/s", input_tokens=1000, output_tokens=100, requests=300,
        loads="0.5:1.5:0.5", ttft="2s", tpot="50ms",
    )  # fmt: skip


ASKED: dict[str, Callable[[], Any]] = {
    "estimate": lambda: costcalc.estimate("v3", "h100"),
    "estimate at 1M": lambda: costcalc.estimate("qwen3-8b", "h100", context="1m"),
    "memory": lambda: costcalc.estimate("v3", "h200"),
    "memory at 1M": lambda: costcalc.estimate("llama-3.1-70b", "h100", context="1m"),
    "attention": lambda: _attention()[0],
    "attention, speed": lambda: _attention()[0],
    "gpus": lambda: costcalc.compare_gpus(["1xh100", "8xh200", "mi300x", "tpu-v5e"], "v3"),
    "gpus, memory": lambda: costcalc.compare_gpus(["h100", "b200", "l40s"], "v3"),
    "models": lambda: costcalc.compare_models(["llama-3.1-8b", "v3", "gpt-oss-120b"], "8xh200"),
    "sweep of contexts": lambda: costcalc.sweep("v3", "h200", context="4k:1m:x2"),
    "sweep of batches": lambda: costcalc.sweep(
        "llama-3.1-70b", "4xh100", batch="1:512:x2", context=["4k", "32k", "128k"]
    ),
    "sweep of GPUs": lambda: costcalc.sweep("v3", "h200", gpus=[8, 16, 32], batch=[1, 8]),
    "frontier": lambda: costcalc.frontier("llama-3.1-8b", ["1xh100", "1xl40s"]),
    "break-even": lambda: costcalc.breakeven("v3", "h200", against="together,gpt-5,0.27/1.10"),
    "tornado": lambda: costcalc.sensitivity("llama-3.1-70b", "8xh100"),
    "what fits": lambda: costcalc.capacity("llama-3.1-8b", "h100", max="users"),
    "load": _replayed,
    "validation": _scored,
}
KINDS = {
    "memory": ("memory",),
    "memory at 1M": ("memory",),
    "attention, speed": ("speed",),
    "gpus, memory": ("memory",),
}


@cache
def _answer(name: str) -> Any:
    return ASKED[name]()


def _picture(name: str, suffix: str) -> bytes:
    curves = _attention(**({"batch": 8} if "speed" in name else {}))[1] if "attention" in name else None
    return drawn(_answer(name), suffix, KINDS.get(name, ()), curves)


@cache
def _figure(name: str) -> Figure:
    """The figure of a chart as it is laid out."""
    figures: list[Figure] = []
    save = Figure.savefig

    def kept(self: Figure, *given: Any, **named: Any) -> None:
        figures.append(self)
        save(self, *given, **named)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Figure, "savefig", kept)
        _picture(name, ".png")
    return figures[0]


@pytest.fixture(params=ASKED)
def chart(request: pytest.FixtureRequest) -> Iterator[Figure]:
    """Yield the figure of a chart, inside the look that it was drawn in."""
    with look():
        yield _figure(str(request.param))


def _texts(figure: Figure, dpi: float) -> list[tuple[str, Any]]:
    """Every text that is seen, and the pixels that the renderer gives it."""
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    found = []
    for axes in figure.axes:
        low, high = axes.get_xlim(), axes.get_ylim()
        for axis, (first, last) in ((axes.xaxis, low), (axes.yaxis, high)):
            for tick in axis.get_major_ticks():
                inside = min(first, last) <= tick.get_loc() <= max(first, last)
                tick.label1.set_visible(bool(inside))
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip():
            found.append((text.get_text(), text.get_window_extent(canvas.get_renderer())))
    return found


@pytest.mark.parametrize("dpi", [160, 80])
def test_no_text_covers_another_or_leaves_the_picture(chart: Figure, dpi: int) -> None:
    found = _texts(chart, dpi)
    assert len(found) > 5
    whole = chart.bbox
    for text, box in found:
        assert box.x0 >= -1 and box.y0 >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1, text
    for (text, box), (other, beside) in combinations(found, 2):
        across = min(box.x1, beside.x1) - max(box.x0, beside.x0)
        along = min(box.y1, beside.y1) - max(box.y0, beside.y0)
        assert across <= 1 or along <= 2, (text, other)


def test_logarithmic_axes_are_labelled_at_one_two_and_five(chart: Figure) -> None:
    for axes in chart.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            shown = [x for x in axis.get_majorticklocs() if low <= x <= high]
            if axis.get_scale() != "log":
                continue
            assert len(shown) >= 2, axes.get_title(loc="left")
            every = [m * 10.0**p for p in range(-12, 19) for m in (1, 2, 5) if low <= m * 10.0**p <= high]
            if len(every) > 2:
                assert all(np.isclose(x, every).any() for x in shown), shown


def test_bars_begin_at_zero(chart: Figure) -> None:
    if "what moves" in chart.texts[0].get_text():
        return  # a tornado's begin at the cost as estimated
    for axes in chart.axes:
        starts: dict[float, float] = {}
        for bar in (each for container in axes.containers for each in container):
            row = round(bar.get_y() + bar.get_height() / 2, 3)
            starts[row] = min(bar.get_x(), starts.get(row, np.inf))
        assert set(starts.values()) <= {0.0}
        assert not starts or axes.get_xscale() == "linear"


def test_no_line_joins_categories(chart: Figure) -> None:
    for axes in chart.axes:
        if isinstance(axes.yaxis.get_major_formatter(), FixedFormatter):
            rows = [
                set(np.round(np.asarray(line.get_ydata(), dtype=float), 3))
                for line in axes.lines
                if line.get_transform() == axes.transData
            ]
            # Ranges lie along a row, and a mark stands across one.
            assert all(len(row) == 1 or max(row) - min(row) < 1 for row in rows)


def test_conditions_are_told(chart: Figure) -> None:
    assert len(chart.texts[1].get_text()) > 10


@pytest.mark.parametrize("name", ASKED)
def test_pictures_are_the_same_bytes(name: str) -> None:
    assert _picture(name, ".svg") == _picture(name, ".svg")


def test_counts_of_gpus_are_dots_and_no_line() -> None:
    lines = [line for axes in _figure("sweep of GPUs").axes for line in axes.lines]
    assert {(line.get_linestyle(), line.get_marker()) for line in lines if np.size(line.get_xdata())} == {("None", "o")}


# What a picture must not say.


def test_the_speed_for_a_user_falls_with_context() -> None:
    """At one batch every step reads more cache as contexts grow, so that no token comes sooner."""
    for curve in _attention(batch=8)[1].curves:
        known = curve.envelope(USER)[np.isfinite(curve.numbers[USER])]
        assert np.all(np.diff(known) <= 0)


def test_a_batch_of_all_rows_is_the_smallest_of_those_that_cache() -> None:
    table = _attention()[0]
    batches = [row.estimate.workload.batch for row in table.rows if row.estimate.memory.fits]
    assert 1 <= batch_of_all(table) <= max(batches) and batch_of_all(replace(table, rows=())) == 1


def test_a_sweep_of_contexts_whose_batches_shrink_has_no_speed() -> None:
    chosen = costcalc.sweep("llama-3.1-8b", "1xh100", context="4k:64k:x2")
    with pytest.raises(costcalc.CostcalcError, match=r"each context has a batch of its own.*give one"):
        drawn(chosen, ".svg", ("speed",))
    assert "Tokens/s per user" not in plain_page(plots(chosen))
    fixed = costcalc.sweep("llama-3.1-8b", "1xh100", context="4k:64k:x2", batch=4)
    assert drawn(fixed, ".svg", ("speed",)) and "Tokens/s per user" in plain_page(plots(fixed))


def test_a_panel_in_which_nothing_changes_is_left_out() -> None:
    priced = costcalc.sweep("llama-3.1-8b", "1xh100", price="1:3:0.5", batch=8)
    assert b"Tokens/s per GPU" not in _titles(drawn(priced, ".svg"))
    page = plain_page(plots(priced))
    assert "$ per M tokens" in page and "Tokens/s per GPU" not in page


def _titles(svg: bytes) -> bytes:
    """The texts of a picture, which stand in its comments."""
    return b"\n".join(line for line in svg.splitlines() if line.lstrip().startswith(b"<!--"))


@given(st.lists(st.floats(0.1, 10), min_size=2, max_size=12))
def test_envelopes_are_never_better_at_a_longer_context(values: list[float]) -> None:
    contexts, numbers = np.arange(1.0, len(values) + 1), np.array(values)
    curve = Curve("X", 1.0, contexts, numbers, {COST: numbers, RATE: numbers})
    assert all(after >= before for before, after in pairwise(curve.envelope(COST)))
    assert all(after <= before for before, after in pairwise(curve.envelope(RATE)))
    assert np.all(curve.envelope(COST) >= numbers) and np.all(curve.envelope(RATE) <= numbers)


def test_a_curve_ends_where_its_last_sequence_fits() -> None:
    """The longest context of `capacity`, of one sequence on the same GPUs, is at most one step beyond the end."""
    longest = costcalc.capacity("v3", "8xh200", max="context").value
    assert isinstance(longest, int)
    curves = costcalc.attention_curves("v3", "h200", gpus=8, contexts=("4k", "1m"), context_parallel=1).curves
    curve = next(each for each in curves if each.variant == "MLA absorbed")
    end = curve.contexts[np.flatnonzero(np.isfinite(curve.numbers[COST]))[-1]]
    assert 0.88 * longest <= end <= longest


# The ladder of memory.


@pytest.mark.parametrize("context", [None, "128k"])
def test_the_ladder_holds_what_capacity_finds(context: str | None) -> None:
    given_ = {} if context is None else {"context": context}
    found = costcalc.estimate("llama-3.1-70b", "h100", **given_)
    rungs = found.ladder.rungs()
    for rung in rungs:
        gpus = int(rung.name.split(" × ")[0])
        if "pp" in rung.name or not rung.sequences:
            continue
        most = costcalc.capacity("llama-3.1-70b", "h100", max="batch", gpus=gpus, tensor_parallel=gpus, **given_)
        assert rung.sequences == most.value
    for rung in rungs:
        assert rung.weights_bytes + rung.cache_bytes <= rung.capacity_bytes or not rung.sequences
    held = [rung.sequences for rung in rungs]
    assert held == sorted(held) and held[0] == 0


def test_weights_far_beyond_a_gpu_are_torn_off_and_written_out() -> None:
    found = costcalc.estimate("v3", "h100")
    rungs = found.ladder.rungs()
    counts = [int(rung.name.split(" × ")[0]) for rung in rungs]
    assert counts == sorted(counts)
    assert rungs[counts.index(found.deployment.gpus)].sequences == found.memory.max_sequences  # as the page says
    assert all(after >= 2 * before for before, after in pairwise(counts))
    assert rungs[0].weights_bytes > 3 * rungs[0].capacity_bytes
    with look():
        axes = Figure().add_subplot()
        said = draw_memory(axes, rungs, "of 5,120 tokens")
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert max(ends) == pytest.approx(BEYOND * rungs[0].capacity_bytes) and "torn off" in said[-1]
    assert axes.texts[0].get_text() == f"{format_bytes(rungs[0].weights_bytes - rungs[0].capacity_bytes)} too much"


# Colours.


def _linear(colour: str) -> Any:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _contrast(one: str, other: str) -> float:
    """Contrast of two colours by WCAG 2.1."""
    light = sorted(float(_linear(each) @ [0.2126, 0.7152, 0.0722]) for each in (one, other))
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_and_lines_are_seen_on_either_ground(theme: str) -> None:
    colours = _THEMES[theme]
    assert _contrast(colours[INK], colours[PAPER]) > 10
    for line in SERIES:
        assert _contrast(colours.get(line, line), colours[PAPER]) > 2.0


_SEEN = {  # Machado, Oliveira, Fernandes (2009), severity 1.0, of linear RGB
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
_LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
_LAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip


@pytest.mark.parametrize("vision", _SEEN)
def test_the_first_colours_are_told_apart_with_any_vision(vision: str) -> None:
    """Distances in Oklab (Ottosson 2020); 0.05 is far above what is just seen, 0.02."""

    def seen(colour: str) -> Any:
        rgb = np.clip(np.array(_SEEN[vision]) @ _linear(colour), 0, 1)
        return np.array(_LAB) @ np.cbrt(np.array(_LMS) @ rgb)

    for one, other in combinations([_THEMES["light"].get(each, each) for each in SERIES], 2):
        assert float(np.linalg.norm(seen(one) - seen(other))) > 0.05, (one, other)


def test_a_theme_is_of_one_picture_alone() -> None:
    found = costcalc.estimate("llama-3.1-8b", "h100")
    light = drawn(found, ".svg")
    dark = drawn(found, ".svg", theme="dark")
    assert b"#161b22" in dark and b"#161b22" not in light
    assert drawn(found, ".svg") == light


@given(st.floats(1e-6, 1e6), st.floats(1.5, 1e9))
def test_labels_of_any_logarithmic_axis_have_room(low: float, factor: float) -> None:
    with look():
        _, [axes] = panels(1, "Title", "subtitle")
        axes.set(xscale="log", xlim=(low, low * factor))
        shown_ticks(axes.xaxis, lambda value: f"{value:g}")
    places = [x for x in axes.xaxis.get_majorticklocs() if low <= x <= low * factor]
    gaps = [np.log(after / before) / np.log(factor) for before, after in pairwise(places)]
    assert not gaps or min(gaps) * 6.2 * 0.7 * 72 > 10 * 0.5 * max(len(f"{x:g}") for x in places)
