"""The chart of a comparison: cache, throughput and cost, against context where there are curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from costcalc.explore.curves import Curve, Curves
from costcalc.explore.result import Comparison, Row
from costcalc.readable import format_bytes, format_count, format_usd
from costcalc.show.comparison import by_context, row_name
from costcalc.show.figures.style import FAINT, look, panels, saved, shown_ticks, spread, variant_colour
from costcalc.show.numbers import speed

Show = Callable[[float], str]


def draw_comparison(
    comparison: Comparison, curves: Curves | None, suffix: str, kinds: Sequence[str] = ("cache", "throughput", "cost")
) -> bytes:
    """Return the chart of a comparison as the content of a file.

    comparison: the rows.
    curves: the variants over contexts; None draws bars of the rows instead.
    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cache', 'throughput' of a GPU, 'speed' for a user, 'cost'.
    """
    rows = next(rows for _, rows in by_context(comparison))
    with look():
        figure, axes = panels(
            len(kinds),
            comparison.title.replace(" x ", " × "),
            _subtitle(comparison),
            width=5.4 if len(kinds) > 1 else 8.0,
        )
        for each, where in zip(kinds, axes, strict=True):
            _draw(each, where, rows, curves)
        return saved(figure, suffix)


def _draw(kind: str, axes: Axes, rows: Sequence[Row], curves: Curves | None) -> None:
    if kind == "cache":
        values = [row.estimate.kv_cache.bytes_per_token for row in rows]
        _bars(axes, rows, values, format_bytes, "KV cache per token")
    elif kind == "cost":
        costs = [row.estimate.cost.usd_per_million_output_tokens for row in rows]
        spans = [row.estimate.cost.usd_per_million_output_tokens_range for row in rows]
        if curves is None:
            _bars(axes, rows, costs, _usd, r"\$ per million output tokens", spans)
        else:
            lines = [(curve, curve.usd_per_million_output_tokens) for curve in curves.curves]
            _lines(axes, lines, _usd, r"\$ per million output tokens against context")
    else:
        per_user = kind == "speed"
        title = "Output tokens/s per user" if per_user else "Output tokens/s per GPU"
        decodes = [row.estimate.decode for row in rows]
        rates = [each.tokens_per_s_per_user if per_user else each.tokens_per_s_per_gpu for each in decodes]
        spans = [each.tokens_per_s_per_user_range if per_user else each.tokens_per_s_per_gpu_range for each in decodes]
        if curves is None:
            _bars(axes, rows, rates, speed, title, spans)
        else:
            found = [
                (curve, curve.tokens_per_s_per_user if per_user else curve.tokens_per_s_per_gpu)
                for curve in curves.curves
            ]
            _lines(axes, found, speed, f"{title} against context")


def _bars(
    axes: Axes,
    rows: Sequence[Row],
    values: Sequence[float | None],
    show: Show,
    title: str,
    spans: Sequence[tuple[float, float] | None] = (),
) -> None:
    known = [value for value in values if value]
    logarithmic = bool(known) and max(known) > 8 * min(known)
    left = min(known, default=1.0) / 2 if logarithmic else 0.0
    most = max([*known, *(high for _, high in filter(None, spans))], default=1.0)
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        name = row_name(row)
        if value:
            axes.barh(number, value - left, left=left, color=variant_colour(name, number), height=0.72)
        limits = spans[number] if spans else None
        if limits and value:
            axes.plot(limits, [number, number], color="#1f2933", lw=1.2, solid_capstyle="butt")
        edge = max(limits[1] if limits else 0.0, value or left)
        text = show(value) if value is not None else "does not fit"
        axes.annotate(text, (edge, number), xytext=(5, 0), textcoords="offset points", va="center", size=9)
    axes.set_yticks(range(len(rows)), [row_name(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(left, most * (most / left) ** 0.28)
        if most < 60 * left:
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    else:
        axes.set_xlim(0, most * 1.25)
    shown_ticks(axes.xaxis, show)
    axes.set_title(title)


def _lines(axes: Axes, lines: Sequence[tuple[Curve, Any]], show: Show, title: str) -> None:
    ends: list[tuple[str, str, float, float]] = []
    framed: list[float] = []
    for number, (curve, values) in enumerate(lines):
        points = [
            (float(x), float(y)) for x, y in zip(curve.contexts, values, strict=True) if math.isfinite(y) and y > 0
        ]
        if not points:
            continue
        recomputes = curve.bytes_per_token == 0
        colour = variant_colour(curve.variant, number)
        style = "--" if curve.variant in ("MLA expanded", "No cache") else "-"
        width = 2.6 if curve.variant == "MLA absorbed" else 1.8
        axes.plot(*zip(*points, strict=True), color=colour, lw=width, ls=style)
        ends.append((curve.variant, colour, *points[-1]))
        framed += [] if recomputes else [y for _, y in points]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    if framed:
        axes.set_ylim(min(framed) / 1.6, max(framed) * 1.6)
    contexts = lines[0][0].contexts
    axes.set_xlim(float(min(contexts)), float(max(contexts)))
    axes.set_xticks([2.0**power * 1000 for power in range(8) if 2.0**power * 1000 <= max(contexts)])
    shown_ticks(axes.xaxis, lambda value: f"{value / 1000:g}k")
    shown_ticks(axes.yaxis, show)
    _name_ends(axes, ends)
    axes.set_xlabel("context [tokens]")
    axes.set_title(title)


def _name_ends(axes: Axes, ends: Sequence[tuple[str, str, float, float]]) -> None:
    """Name each line at its right end, the names moved apart where lines lie close."""
    low, high = (math.log(edge) for edge in axes.get_ylim())
    right = axes.get_xlim()[1]
    inside = [each for each in ends if low <= math.log(each[3]) <= high]
    places = spread([(math.log(y) - low) / (high - low) for _, _, _, y in inside], 0.05)
    for (name, colour, x, y), place in zip(inside, places, strict=True):
        axes.annotate(
            name,
            (x, y),
            xytext=(1.03, place),
            textcoords="axes fraction",
            color=colour,
            size=9,
            va="center",
            arrowprops={"arrowstyle": "-", "color": GRID_LINE, "lw": 0.6, "shrinkA": 1, "shrinkB": 1},
            annotation_clip=False,
        )
    outside = [name for name, _, _, y in ends if not low <= math.log(y) <= high]
    if outside:
        axes.text(
            right, math.exp(low), f"off the chart: {', '.join(outside)} ", ha="right", va="bottom", size=8, color=FAINT
        )


GRID_LINE = "#cbd2d9"


def _usd(value: float) -> str:
    return format_usd(value).replace("$", r"\$")


def _subtitle(comparison: Comparison) -> str:
    estimates = [row.estimate for row in comparison.rows]
    load, machine = estimates[0].workload, estimates[0].deployment
    prices = {each.deployment.usd_per_gpu_hour for each in estimates}
    chosen = any(each.name == "batch" for each in estimates[0].assumptions)
    parts = [
        f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out",
        "batch chosen for lowest cost" if chosen else f"batch {format_count(load.batch)}",
        f"KV cache {machine.precision.kv_cache}",
        f"{format_usd(machine.usd_per_gpu_hour)} per GPU-hour" if len(prices) == 1 else "each GPU at its own price",
        "ideal bound" if machine.efficiency == "ideal" else "efficiency as measured",
    ]
    return "; ".join(parts).replace("$", r"\$")
