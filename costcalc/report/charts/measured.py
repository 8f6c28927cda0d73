"""Charts of what was measured against what is predicted of it: a validation, priced benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.report.accuracy import KIND_TITLES, amount, percent
from costcalc.report.charts.library import Axes
from costcalc.report.charts.style import (
    FAINT,
    INK,
    SERIES,
    legend_below,
    look,
    panels,
    saved,
    say_below,
    shown_ticks,
    variant_colour,
)
from costcalc.report.money.price import TITLES
from costcalc.units import counted

if TYPE_CHECKING:
    from costcalc.validation.price import Priced, PricedRun
    from costcalc.validation.score import Group, Point, Validation

# The chart of a validation: predicted against measured, point by point, with the band of the 80% range.


PANELS = {
    "ms": ("Kernels", "time [ms]"),
    "tpot_ms": ("Time per output token", "TPOT [ms]"),
    "ttft_ms": ("Time to first token", "TTFT [ms]"),
    "out_tok_s_gpu": ("Throughput", "output tokens/s per GPU"),
    "prefill_ms": ("Prefill", "time of a prompt [ms]"),
    "measured": ("Single results", "in the unit of each"),
    "j_per_output_token": ("Energy", "joules per output token"),
    "kv_pool_gib": ("Memory for the cache", "pool [GiB]"),
}
"""Title and axis of each quantity that is predicted."""
_MOST_COLOURS = len(SERIES)


def draw_accuracy(validation: Validation, suffix: str, *_: object, groups: Sequence[Group] = ()) -> bytes:
    """Return predicted against measured as the content of a file: a panel for each quantity.

    suffix: '.png', '.svg' or '.pdf'. groups: the errors by class, of which the left-out ones stand in the legends.
    Raises CostcalcError when no point counts.
    """
    found: dict[str, list[Point]] = {}
    for point in validation.points:
        if point.ratio:
            found.setdefault(str(point.row["quantity"]), []).append(point)
    if not found:
        raise CostcalcError("no row can be scored, so there is nothing to draw", where="chart")
    left_out = {each.label: each.left_out for each in groups if each.left_out is not None}
    with look():
        total = sum(len(points) for points in found.values())
        subtitle = f"{counted(total, 'point')} of measurements"
        figure, axes = panels(len(found), "Predicted against measured", subtitle, width=5.2, height=5.6)
        for (measure, points), where in zip(found.items(), axes, strict=True):
            _draw_points(where, measure, points, left_out)
        unseen = any("left out" in str(each.get_label()) for where in axes for each in where.collections)
        remarks = ["line: as predicted; band: the 80% range, in the median of the points; hollow: outside of their own"]
        remarks += ["off: median error", *(["left out: of fits that have not seen the point"] if unseen else [])]
        say_below(figure, remarks)
        return saved(figure, suffix)


def _draw_points(axes: Axes, measure: str, points: Sequence[Point], left_out: Mapping[str, float]) -> None:
    title, unit = PANELS.get(measure, (measure, measure))
    measured = np.array([point.measured for point in points], dtype=float)
    predicted, low, high = (
        np.array([point.row[name] for point in points], dtype=float) for name in ("predicted", "low", "high")
    )
    least = float(min(measured.min(), predicted.min())) / 1.5
    most = float(max(measured.max(), predicted.max())) * 1.5
    line = np.array([least, most])
    narrow, wide = float(np.median(low / predicted)), float(np.median(high / predicted))
    axes.fill_between(line, line / wide, line / narrow, color=FAINT, alpha=0.18, lw=0, zorder=1)
    axes.plot(line, line, color=INK, lw=1.0, zorder=2)
    inside = (low <= measured) & (measured <= high)
    off = np.abs(predicted / measured - 1)
    labels = np.array(_colour_labels(points))
    for number, label in enumerate(dict.fromkeys(labels)):
        chosen, colour = labels == label, variant_colour("", number)
        held, missed = chosen & inside, chosen & ~inside
        unseen = f", left out {percent(left_out[label])}" if label in left_out else ""
        name = f"{label}: {int(chosen.sum())}, off {percent(float(np.median(off[chosen])))}{unseen}"
        axes.scatter(measured[held], predicted[held], s=14, color=colour, alpha=0.7, lw=0, label=name, zorder=3)
        axes.scatter(measured[missed], predicted[missed], s=14, facecolor="none", edgecolor=colour, lw=0.9, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=(least, most), ylim=(least, most), aspect="equal")
    axes.set_ylabel(f"predicted {unit}")
    axes.set_title(f"{title}: {percent(float(np.median(off)))} off, {percent(float(inside.mean()))} in range")
    shown_ticks(axes.xaxis, amount)
    shown_ticks(axes.yaxis, amount)
    axes.set_xlabel(f"measured {unit}")
    legend_below(axes, handletextpad=0.3)


def _colour_labels(points: Sequence[Point]) -> list[str]:
    """What points are coloured by: their class, or kind where there are many; their GPU in one class."""
    classes = [point.label for point in points]
    if 1 < len(set(classes)) <= _MOST_COLOURS:
        return classes
    if len(set(classes)) > 1:
        return [KIND_TITLES.get(point.kind, point.kind) for point in points]
    return _coloured([str(point.row["gpu"]) for point in points])


def _coloured(names: Sequence[str]) -> list[str]:
    """Names, those beyond the colours as others."""
    named = list(dict.fromkeys(names))
    kept = named if len(named) <= _MOST_COLOURS else named[: _MOST_COLOURS - 1]
    return [each if each in kept else "others" for each in names]


# Priced benchmarks: measured against predicted, each prediction with its range.


_PRICED = {
    "cost": ("usd_per_million_blended_tokens",),
    "throughput": ("tokens_per_s_per_gpu",),
    "speed": ("time_per_output_token_s",),
    "wait": ("time_to_first_token_s", "prefill_time_s"),
}
_MOST_NAMED = 5
"""Points that are named one by one; more are told by their model and GPU."""


def draw_price(
    result: Priced, suffix: str, kinds: Sequence[str] = ("cost", "throughput", "speed"), *_: object
) -> bytes:
    """Return what was measured against what was predicted as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cost', 'throughput' of a GPU, 'speed' for a user, 'wait' for the first token.
    Raises CostcalcError when there is nothing to draw.
    """
    names = [name for kind in kinds for name in _PRICED[kind]]
    found = {name: [each for each in result.rows if each.ratio(name) is not None] for name in names}
    drawn = {name: rows for name, rows in found.items() if rows}
    if not drawn:
        raise CostcalcError("nothing is predicted of what was measured, so there is nothing to draw", where="chart")
    with look():
        subtitle = f"{counted(len(result.rows), 'run')}; bars: the 80% range of the prediction"
        title = "Measured against predicted"
        figure, axes = panels(len(drawn), title, subtitle, width=6.0 if len(drawn) == 1 else 5.0, height=5.2)
        for (name, rows), where in zip(drawn.items(), axes, strict=True):
            _draw_priced(where, name, rows)
        return saved(figure, suffix)


def _draw_priced(axes: Axes, name: str, rows: Sequence[PricedRun]) -> None:
    title, show = TITLES[name]
    measured = np.array([getattr(row, name) for row in rows])
    predicted = np.array([getattr(row.predicted, name) for row in rows])
    limits = [
        getattr(row.predicted, f"{name}_range") or (value, value) for row, value in zip(rows, predicted, strict=True)
    ]
    low, high = np.array(limits).T
    ends = float(min(measured.min(), low.min())) / 1.4, float(max(measured.max(), high.max())) * 1.4
    axes.plot(ends, ends, color=INK, lw=1.0, zorder=1)
    labels = _coloured([row.source if len(rows) <= _MOST_NAMED else f"{row.model}, {row.gpu}" for row in rows])
    for number, label in enumerate(dict.fromkeys(labels)):
        chosen, colour = np.array([each == label for each in labels]), variant_colour("", number)
        axes.vlines(measured[chosen], low[chosen], high[chosen], color=colour, alpha=0.5, lw=1.6, zorder=2)
        axes.scatter(measured[chosen], predicted[chosen], s=22, color=colour, lw=0, label=label, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel("measured")
    axes.set_ylabel("predicted")
    axes.set_title(title)
    shown_ticks(axes.xaxis, show)
    shown_ticks(axes.yaxis, show)
    legend_below(axes, handletextpad=0.3)
