"""Predicted against measured, point by point, with the band of the 80% range."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.report.accuracy import KIND_TITLES, amount, percent
from costcalc.report.charts.library import Axes
from costcalc.report.charts.style import FAINT, INK, look, panels, saved, shown_ticks, variant_colour
from costcalc.units import counted
from costcalc.validation.score import Point, Validation

PANELS = {
    "ms": ("Kernels", "time [ms]"),
    "tpot_ms": ("Time per output token", "TPOT [ms]"),
    "ttft_ms": ("Time to first token", "TTFT [ms]"),
    "out_tok_s_gpu": ("Throughput", "output tokens/s per GPU"),
    "prefill_ms": ("Prefill", "time of a prompt [ms]"),
    "measured": ("Single results", "in the unit of each"),
}
"""Title and axis of each quantity that is predicted."""
_MOST_COLOURS = 8


def draw_accuracy(validation: Validation, suffix: str) -> bytes:
    """Return predicted against measured as the content of a file: a panel for each quantity.

    suffix: '.png', '.svg' or '.pdf'.
    Raises CostcalcError when no point counts.
    """
    found: dict[str, list[Point]] = {}
    for point in validation.points:
        if point.ratio:
            found.setdefault(str(point.row["quantity"]), []).append(point)
    if not found:
        raise CostcalcError("no row can be scored, so there is nothing to draw", where="--chart")
    with look():
        total = sum(len(points) for points in found.values())
        subtitle = f"{counted(total, 'point')}; band: the 80% range; hollow: outside of their range"
        figure, axes = panels(len(found), "Predicted against measured", subtitle, width=6.0, height=5.6)
        for (quantity, points), where in zip(found.items(), axes, strict=True):
            _draw(where, quantity, points)
        return saved(figure, suffix)


def _draw(axes: Axes, quantity: str, points: Sequence[Point]) -> None:
    title, unit = PANELS.get(quantity, (quantity, quantity))
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
    labels = np.array(_colour_labels(points))
    for number, label in enumerate(dict.fromkeys(labels)):
        _scatter(axes, measured, predicted, labels == label, inside, str(label), variant_colour("", number))
    axes.set(xscale="log", yscale="log", xlim=(least, most), ylim=(least, most), aspect="equal")
    axes.set_xlabel(f"measured {unit}")
    axes.set_ylabel(f"predicted {unit}")
    off = float(np.median(np.abs(predicted / measured - 1)))
    axes.set_title(f"{title}: median error {percent(off)}, {percent(float(inside.mean()))} in range")
    shown_ticks(axes.xaxis, amount)
    shown_ticks(axes.yaxis, amount)
    axes.legend(loc="upper left", frameon=False, fontsize=8, handletextpad=0.3, labelspacing=0.3)


def _scatter(axes: Axes, measured: Any, predicted: Any, chosen: Any, inside: Any, label: str, colour: str) -> None:
    held, missed = chosen & inside, chosen & ~inside
    name = f"{label} ({int(chosen.sum())})"
    axes.scatter(measured[held], predicted[held], s=16, color=colour, alpha=0.7, lw=0, label=name, zorder=3)
    axes.scatter(measured[missed], predicted[missed], s=16, facecolor="none", edgecolor=colour, lw=0.9, zorder=3)


def _colour_labels(points: Sequence[Point]) -> list[str]:
    """What points are coloured by: their class, or kind where there are many; their GPU in one class."""
    classes = [point.label for point in points]
    if 1 < len(set(classes)) <= _MOST_COLOURS:
        return classes
    if len(set(classes)) > 1:
        return [KIND_TITLES.get(point.kind, point.kind) for point in points]
    gpus = [str(point.row["gpu"]) for point in points]
    named = list(dict.fromkeys(gpus))
    return (
        gpus
        if len(named) <= _MOST_COLOURS
        else [each if each in named[: _MOST_COLOURS - 1] else "others" for each in gpus]
    )
