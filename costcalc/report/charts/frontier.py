"""The chart of a frontier: tokens/s per GPU, and dollars, against tokens/s per user, with ranges as bands."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.errors import CostcalcError
from costcalc.explore.spaces.frontier import USER, Frontier
from costcalc.report.charts.library import Axes
from costcalc.report.charts.style import (
    FAINT,
    INK,
    legend_below,
    look,
    panels,
    saved,
    shown_ticks,
    variant_colour,
)
from costcalc.report.frontier import FRONTIER_PANELS, FrontLine, lines_of, shown
from costcalc.report.page import quantity
from costcalc.units import format_count

MOST_NAMED = 8
"""Lines with a colour and a name; others are in grey."""
MOST_BANDS = 4
"""Lines with a band: of two GPUs, pools together and apart."""


def draw_frontier(result: Frontier, suffix: str, kinds: Sequence[str] = ("throughput", "cost"), *_: object) -> bytes:
    """Return the chart of a frontier as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'throughput' of a GPU, 'cost'; that of which nothing is known is left out.
    Raises CostcalcError when there is nothing to draw.
    """
    found = {kind: lines_of(result, FRONTIER_PANELS[kind]) for kind in kinds}
    drawn = {kind: lines for kind, lines in found.items() if lines}
    if not drawn:
        raise CostcalcError("no cost is known, so there is nothing to draw", where="chart")
    with look():
        subtitle = _subtitle(result, next(iter(drawn.values())))
        figure, axes = panels(len(drawn), result.title, subtitle, width=6.4 if len(drawn) > 1 else 9.0)
        for (kind, lines), where in zip(drawn.items(), axes, strict=True):
            _draw(where, kind, lines, result)
        return saved(figure, suffix)


def _draw(axes: Axes, kind: str, lines: Sequence[FrontLine], result: Frontier) -> None:
    of, user = quantity(FRONTIER_PANELS[kind]), quantity(USER)
    for line in reversed(lines):
        x, y = zip(*line.points, strict=True)
        named = line.place < MOST_NAMED
        colour = variant_colour("", line.place) if named else FAINT
        name = (line.label or None) if named else ("others" if line is lines[-1] else None)
        axes.plot(x, y, color=colour, lw=1.8 if line.reaches else 1.2, label=name, zorder=3 if named else 1)
        if line.band and line.place < MOST_BANDS:
            low, high = zip(*line.band, strict=True)
            axes.fill_between(x, low, high, color=colour, alpha=0.12, lw=0)
    _mark(axes, kind, result)
    axes.set(xscale="log", yscale="log")
    shown_ticks(axes.xaxis, user.show)
    shown_ticks(axes.yaxis, of.show)
    axes.set_xlabel(f"{user.title.lower()} as served")
    axes.set_title(of.title)
    legend_below(axes, axes.get_legend_handles_labels()[0][::-1])


def _mark(axes: Axes, kind: str, result: Frontier) -> None:
    """Mark what is on the frontier: a dot for the first of every set, with its number, and a speck for others."""
    seen: set[tuple[str, int]] = set()
    one_model = len({each.model for each in result.points}) == 1
    for each in result.points:
        x, y = shown(each, USER).value, shown(each, FRONTIER_PANELS[kind]).value
        if x is None or y is None or not _is_on(each.frontier, kind):
            continue
        first = (each.model, each.set) not in seen
        axes.plot(
            [x], [y], "o", color=INK, ms=5.0 if first else 2.2, zorder=4, label=None if seen else "on the frontier"
        )
        if first and one_model:
            axes.annotate(
                str(each.set),
                (x, y),
                xytext=(5, 4 if kind == "throughput" else -9),
                textcoords="offset points",
                size=8,
                color=INK,
            )
        seen.add((each.model, each.set))


def _is_on(frontier: Sequence[str], kind: str) -> bool:
    return FRONTIER_PANELS[kind].rpartition(".")[2].removeprefix("output_") in frontier


def _subtitle(result: Frontier, lines: Sequence[FrontLine]) -> str:
    parts = [
        f"{format_count(result.input_tokens)} tokens in, {format_count(result.output_tokens)} out",
        f"the best of {result.cells:,} layouts and batches",
        *_same(result),
        "ideal bound" if result.efficiency == "ideal" else "efficiency as measured",
    ]
    if any(each.band and each.place < MOST_BANDS for each in lines):
        some = f", of the first {MOST_BANDS}" if len(lines) > MOST_BANDS else ""
        parts.append(f"bands{some}: hold in 8 of 10 cases")
        parts.append("numbers: sets of points that cannot be told apart")
    return "; ".join(parts)


def _same(result: Frontier) -> Iterator[str]:
    """What is the same in every combination: formats and engine, of which the lines say nothing."""
    for name, title in (("weights", "weights"), ("kv_cache", "KV cache"), ("backend", "engine")):
        values = {getattr(each.of, name) for each in result.fronts} - {None}
        if len(values) == 1:
            yield f"{title} {values.pop()}"
