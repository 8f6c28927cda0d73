"""The chart of a sweep: cost, throughput and speed against what varies most, with their ranges."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from costcalc.errors import CostcalcError
from costcalc.explore.spaces.sweep import Sweep
from costcalc.report.charts.comparison import tokens_shown
from costcalc.report.charts.library import Axes
from costcalc.report.charts.style import (
    ENDS,
    RED,
    Line,
    draw_over,
    held_fixed,
    legend_below,
    look,
    mark_end,
    panels,
    saved,
    say_below,
    shown_ticks,
    variant_colour,
)
from costcalc.report.page import quantity
from costcalc.report.sweep import (
    LENGTHS,
    NAMES,
    SWEPT_PANELS,
    SweptLine,
    SweptLines,
    panels_to_draw,
    stands_alone,
    value_shown,
)

MOST_LINES = 8
_MOST_BANDS = 4
_MOST_TICKS = 12
_FAR = 8
"""A quantity that spans more than this factor is drawn on a logarithmic axis."""


def draw_sweep(
    sweep: Sweep, suffix: str, kinds: Sequence[str] = ("cost", "throughput", "speed"), asked: bool = True
) -> bytes:
    """Return the chart of a sweep as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cost', 'throughput' of a GPU, 'speed' for a user, 'wait' for the first token.
    asked: whether somebody named the panels; else those that are the same everywhere are left out.
    Raises CostcalcError when there is nothing to draw.
    """
    found = panels_to_draw(sweep, kinds, MOST_LINES, asked=asked)
    if not found:
        raise CostcalcError("no cell fits, or only a term of the bill is asked for: nothing to draw", where="chart")
    with look():
        subtitle = _swept_subtitle(sweep, found.values())
        figure, axes = panels(len(found), sweep.title, subtitle, width=5.0 if len(found) > 1 else 8.0)
        for (kind, each), where in zip(found.items(), axes, strict=True):
            _draw_swept(where, kind, each)
        cut = any(line.cut for each in found.values() for line in each.lines)
        nowhere = any(each.nowhere and stands_alone(each.along) for each in found.values())
        say_below(figure, ["×: nothing fits"] if nowhere else [ENDS] if cut else [])
        return saved(figure, suffix)


def _draw_swept(axes: Axes, kind: str, found: SweptLines) -> None:
    of, along, lines = quantity(SWEPT_PANELS[kind]), found.along, found.lines
    drawn: list[Line] = []
    joined = not stands_alone(along)
    for line in lines:
        if not line.points:
            continue
        below = [x for x, _ in line.points]
        colour = variant_colour("", line.place)
        if joined:
            draw_over(axes, dict(line.points), drawn, line.label, color=colour, lw=1.8, marker="o", ms=3.0)
            drawn.append(dict(line.points))
        else:
            axes.plot(*zip(*line.points, strict=True), "o", color=colour, ms=6, label=line.label)
        if line.band and _has_bands(lines):
            low, high = zip(*line.band, strict=True)
            if joined and len(below) > 1:
                axes.fill_between(below, low, high, color=colour, alpha=0.12, lw=0)
            else:  # of which a band has no width
                axes.vlines(below, low, high, color=colour, alpha=0.5, lw=1.4)
        if line.cut and joined:
            mark_end(axes, *line.points[-1], colour)
    points = [point for line in lines for point in line.points]
    for scale, extent in (("x", [x for x, _ in points]), ("y", [y for _, y in points])):
        if min(extent) > 0 and max(extent) > _FAR * min(extent):
            axes.set(**{f"{scale}scale": "log"})
    nowhere = [] if joined else found.nowhere
    axes.plot(nowhere, [0.03] * len(nowhere), "x", color=RED, ms=7, mew=1.8, transform=axes.get_xaxis_transform())
    ticks = sorted({*nowhere, *(x for x, _ in points)})
    if len(ticks) <= _MOST_TICKS:
        axes.set_xticks(ticks)
    shown_ticks(axes.xaxis, lambda value: _short(along, value))
    shown_ticks(axes.yaxis, of.show)
    axes.set_xlabel(f"{NAMES[along]} [tokens]" if along == "context" else NAMES[along])
    axes.set_title(of.title)
    if any(line.label for line in lines):
        legend_below(axes)


def _short(along: str, value: float) -> str:
    return tokens_shown(value) if along in LENGTHS else value_shown(along, value)


def _swept_subtitle(sweep: Sweep, drawn: Collection[SweptLines]) -> str:
    more = []
    if sweep.range_of("usd_per_million_output_tokens") is not None and any(_has_bands(each.lines) for each in drawn):
        more.append("bands: hold in 8 of 10 cases")
    most = max(drawn, key=lambda each: each.count)
    if most.count > len(most.lines):
        more.append(f"{len(most.lines)} of {most.count:,} lines")
    return held_fixed(sweep.references, *more, varied=[each.name for each in sweep.axes])


def _has_bands(lines: Sequence[SweptLine]) -> bool:
    """Whether few enough lines are drawn that their ranges can be told apart."""
    return len(lines) <= _MOST_BANDS and any(line.band for line in lines)
