"""Variants against context as lines, with the range of each and the points that the table has."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from costcalc.explore.curves import Curve
from costcalc.show.figures.overlap import Line, draw_over
from costcalc.show.figures.style import FAINT, shown_ticks, spread, variant_colour

Show = Callable[[float], str]
End = tuple[str, str, float, float]
GRID_LINE = "#cbd2d9"
BANDED = "MLA absorbed"


def draw_lines(axes: Axes, lines: Sequence[tuple[Curve, Any]], show: Show, title: str, *, rate: bool) -> None:
    """Draw values of every variant against context; dotted where a limit of time is broken.

    axes: where to draw.
    lines: the variants, and values of each at its contexts.
    show: how a value is written.
    title: what the values are.
    rate: whether they are rates, whose range is that of times upside down.
    """
    ends: list[End] = []
    framed: list[float] = []
    drawn: list[Line] = []
    # The widest line first, so that thin ones are seen on it.
    for number, (curve, values) in sorted(enumerate(lines), key=lambda each: -_width(each[1][0])):
        known = np.asarray(values, dtype=float)
        if not np.isfinite(known).any():
            continue
        colour = variant_colour(curve.variant, number)
        drawn.append(_draw_line(axes, curve, known, colour, drawn))
        last = int(np.flatnonzero(np.isfinite(known))[-1])
        ends.append((curve.variant, colour, float(curve.contexts[last]), float(known[last])))
        if curve.bytes_per_token == 0:  # recomputes: on one scale with it the others would be one line
            continue
        framed += [float(y) for y in known[np.isfinite(known)]]
        band = curve.band(known, rate=rate) if curve.variant == BANDED else None
        if band is not None:  # of one variant: those of all would cover each other
            axes.fill_between(curve.contexts, *band, color=colour, alpha=0.13, lw=0)
            axes.text(0.01, 0.01, f"band: 80% range of {BANDED}", transform=axes.transAxes, size=8, color=FAINT)
    _scale(axes, [float(x) for x in lines[0][0].contexts], framed, show)
    _name_ends(axes, ends)
    axes.set_xlabel("context [tokens]")
    axes.set_title(title)


def _width(curve: Curve) -> float:
    return 2.6 if curve.variant == BANDED else 1.8


def _draw_line(axes: Axes, curve: Curve, values: Any, colour: str, before: Sequence[Line]) -> Line:
    """Draw a line over those that are there; return where it keeps the limits."""
    style = "--" if curve.variant in ("MLA expanded", "No cache") else "-"
    width = _width(curve)
    kept = np.ones(len(values), bool) if curve.keeps_limits is None else curve.keeps_limits
    line = dict(zip(curve.contexts.tolist(), np.where(kept, values, np.nan).tolist(), strict=True))
    draw_over(axes, line, before, color=colour, lw=width, ls=style)
    if not kept.all():
        # A point beside what is kept joins both parts.
        beside = ~kept | ~np.roll(kept, -1) | ~np.roll(kept, 1)
        axes.plot(curve.contexts, np.where(beside, values, np.nan), color=colour, lw=width / 2, ls=":")
    at = np.isin(curve.contexts, curve.table)
    axes.plot(curve.contexts[at], values[at], "o", color=colour, ms=4)
    return line


def _scale(axes: Axes, contexts: Sequence[float], framed: Sequence[float], show: Show) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    low, high = (min(framed) / 1.6, max(framed) * 1.6) if framed else (1.0, 10.0)
    axes.set_ylim(low, high)
    # At least two labels, whatever the range.
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 60 * low else (1.0,), numticks=12))
    axes.set_xlim(min(contexts), max(contexts))
    axes.set_xticks(
        [2.0**power * 1000 for power in range(-10, 21) if min(contexts) <= 2.0**power * 1000 <= max(contexts)]
    )
    shown_ticks(axes.xaxis, lambda value: f"{value / 1000:g}k")
    shown_ticks(axes.yaxis, show)


def _name_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Name each line at its right end, the names moved apart where lines lie close."""
    low, high = (math.log(edge) for edge in axes.get_ylim())
    inside = [each for each in ends if low <= math.log(each[3]) <= high]
    places = spread([(math.log(y) - low) / (high - low) for _, _, _, y in inside], 0.05)
    for (name, colour, x, y), place in zip(inside, places, strict=True):
        axes.annotate(
            name,
            (x, y),
            xytext=(1.04, place),
            textcoords="axes fraction",
            color=colour,
            size=9,
            va="center",
            arrowprops={
                "arrowstyle": "-",
                "color": GRID_LINE,
                "lw": 0.6,
                "shrinkA": 1,
                "shrinkB": 1,
                "relpos": (0.0, 0.5),
            },
            annotation_clip=False,
        )
    outside = [name for name, _, _, y in ends if not low <= math.log(y) <= high]
    if outside:
        text = f"off the chart: {', '.join(outside)} "
        axes.text(0.995, 0.01, text, transform=axes.transAxes, ha="right", size=8, color=FAINT)
