"""The chart of a sweep: cost, throughput and speed against what varies most, with their ranges."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from matplotlib.axes import Axes

from costcalc.errors import CostcalcError
from costcalc.explore.sweep import Sweep
from costcalc.report.charts.style import Line, draw_over, look, panels, saved, shown_ticks, variant_colour
from costcalc.report.page import quantity
from costcalc.report.sweep import NAMES, SWEPT_PANELS, SweptLine, SweptLines, curves_of, value_shown
from costcalc.units import format_count

MOST_LINES = 8
_MOST_BANDS = 4
_FAR = 8
"""A quantity that spans more than this factor is drawn on a logarithmic axis."""


def draw_sweep(sweep: Sweep, suffix: str, kinds: Sequence[str] = ("cost", "throughput", "speed")) -> bytes:
    """Return the chart of a sweep as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cost', 'throughput' of a GPU, 'speed' for a user, 'wait' for the first token.
    Raises CostcalcError when there is nothing to draw.
    """
    found = {kind: curves_of(sweep, SWEPT_PANELS[kind], MOST_LINES) for kind in kinds}
    drawn = {kind: each for kind, each in found.items() if any(line.points for line in each.lines)}
    if not drawn:
        raise CostcalcError("no cell fits, or only a term of the bill is asked for: nothing to draw", where="--chart")
    with look():
        subtitle = _subtitle(sweep, drawn.values())
        figure, axes = panels(len(drawn), sweep.title, subtitle, width=5.4 if len(drawn) > 1 else 8.0)
        for (kind, each), where in zip(drawn.items(), axes, strict=True):
            _draw(where, kind, each.along, each.lines)
        return saved(figure, suffix)


def _draw(axes: Axes, kind: str, along: str, lines: Sequence[SweptLine]) -> None:
    of = quantity(SWEPT_PANELS[kind])
    drawn: list[Line] = []
    for line in lines:
        if not line.points:
            continue
        below = [x for x, _ in line.points]
        colour = variant_colour("", line.place)
        draw_over(axes, dict(line.points), drawn, line.label, color=colour, lw=1.8, marker="o", ms=3.0)
        drawn.append(dict(line.points))
        if line.band and _has_bands(lines):
            low, high = zip(*line.band, strict=True)
            axes.fill_between(below, low, high, color=colour, alpha=0.12, lw=0)
            if len(below) == 1:  # of which a band has no width
                axes.vlines(below, low, high, color=colour, alpha=0.4, lw=1.4)
    points = [point for line in lines for point in line.points]
    for scale, extent in (("x", [x for x, _ in points]), ("y", [y for _, y in points])):
        if max(extent) > _FAR * min(extent):
            axes.set(**{f"{scale}scale": "log"})
    ticks = sorted({x for x, _ in points})
    if len(ticks) <= 8:
        axes.set_xticks(ticks)
    shown_ticks(axes.xaxis, lambda value: _short(along, value))
    shown_ticks(axes.yaxis, of.show)
    axes.set_xlabel(NAMES[along])
    axes.set_title(of.title)
    if any(line.label for line in lines):
        axes.legend(frameon=False, fontsize=8, labelspacing=0.3)


def _short(along: str, value: float) -> str:
    if along in ("context", "input_tokens", "output_tokens") and value >= 1000:
        return f"{value / 1000:g}k"
    return value_shown(along, value)


def _subtitle(sweep: Sweep, drawn: Collection[SweptLines]) -> str:
    machine, load = sweep.references[0].deployment, sweep.references[0].workload
    names = {axis.name for axis in sweep.axes}
    parts = [f"{format_count(load.output_tokens)} tokens out"] if "output_tokens" not in names else []
    parts.append(f"KV cache {machine.precision.kv_cache}")
    parts.append("ideal bound" if machine.efficiency == "ideal" else "efficiency as measured")
    if sweep.range_of("usd_per_million_output_tokens") is not None and any(_has_bands(each.lines) for each in drawn):
        parts.append("bands: hold in 8 of 10 cases")
    most = max(drawn, key=lambda each: each.count)
    if most.count > len(most.lines):
        parts.append(f"{len(most.lines)} of {most.count:,} lines")
    return "; ".join(parts)


def _has_bands(lines: Sequence[SweptLine]) -> bool:
    """Whether few enough lines are drawn that their ranges can be told apart."""
    return len(lines) <= _MOST_BANDS and any(line.band for line in lines)
