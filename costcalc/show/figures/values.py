"""One value of every row of a comparison: bars from zero, or dots where a logarithmic axis has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from costcalc.explore.result import Row
from costcalc.show.comparison import EXCEEDS, cost_or_reason, row_name
from costcalc.show.figures.style import INK, shown_ticks, variant_colour

Show = Callable[[float], str]


def draw_values(
    axes: Axes,
    rows: Sequence[Row],
    values: Sequence[float | None],
    show: Show,
    title: str,
    spans: Sequence[tuple[float, float] | None] = (),
) -> None:
    """Draw a value of every row with its 80% range, and the reason where there is none.

    axes: where to draw.
    rows, values: the rows, and a value of each.
    show: how a value is written.
    title: what the values are.
    spans: low and high of each, where known.
    """
    known = [value for value in values if value]
    logarithmic = bool(known) and max(known) > 8 * min(known)
    limits = list(spans) or [None] * len(rows)
    left = min([*known, *(low for low, _ in filter(None, limits))], default=1.0) / 2 if logarithmic else 0.0
    most = max([*known, *(high for _, high in filter(None, limits))], default=1.0)
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        colour = variant_colour(row_name(row), number)
        span = limits[number] if value else None
        if value and logarithmic:
            # A bar would have to start somewhere above nothing, and its length would say little.
            axes.plot([value], [number], "o", color=colour, ms=9, zorder=3)
        elif value:
            axes.barh(number, value, color=colour, height=0.72)
        if span:
            axes.plot(span, [number, number], color=colour if logarithmic else INK, lw=1.6, solid_capstyle="butt")
        edge = max(span[1] if span else 0.0, value or left)
        exceeds = EXCEEDS if spans and row.estimate.limits.kept is False else ""
        axes.annotate(
            _label(row, value, show) + exceeds,
            (edge, number),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            size=9,
        )
    axes.set_yticks(range(len(rows)), [row_name(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=logarithmic, axis="y")
    axes.spines["left"].set_visible(False)
    _scale(axes, left, most, logarithmic, show)
    axes.set_title(title)


def _label(row: Row, value: float | None, show: Show) -> str:
    if value is None:
        return cost_or_reason(row)
    return show(value)


def _scale(axes: Axes, left: float, most: float, logarithmic: bool, show: Show) -> None:
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(left, most * (most / left) ** 0.32)
        # Few enough that dollars do not touch: three to a decade, one, or one in every two.
        steps = (1.0, 2.0, 5.0) if most < 40 * left else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=6))
    else:
        axes.set_xlim(0, most * 1.28)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    shown_ticks(axes.xaxis, show)
