"""The chart of an estimate: the roofline with its ops, and the time of a decode step by op."""

from __future__ import annotations

import math
from collections.abc import Sequence

from costcalc.errors import CostcalcError
from costcalc.hardware.accelerator import Accelerator
from costcalc.predict.results import Estimate, OpResult
from costcalc.report.charts.library import Axes, Patch
from costcalc.report.charts.memory import draw_memory, length_told
from costcalc.report.charts.style import (
    BOUND_COLOURS,
    FAINT,
    GRID,
    INK,
    PAPER,
    held_fixed,
    legend_below,
    look,
    name_rows,
    panels,
    saved,
    say_below,
    share_along,
    shown_ticks,
    spread,
)
from costcalc.report.page import span as range_told
from costcalc.units import format_count, format_percent, format_rate, format_seconds, format_usd


def draw_step_time(axes: Axes, result: Estimate) -> None:
    """Draw the time of each op of a decode step as a bar, coloured by what bounds it."""
    ops = [*reversed(result.breakdown)]
    total = sum(op.time_s for op in ops) or 1.0
    span = result.decode.step_time_s_range
    longest = span[1] if span else total
    for row, op in enumerate(ops):
        axes.barh(row, op.time_s, color=BOUND_COLOURS.get(op.bound_by, FAINT), height=0.72)
        label = f"{format_seconds(op.time_s, 3)}  {format_percent(op.time_s / total, 2)}"
        axes.text(op.time_s + longest * 0.015, row, label, va="center", size=9)
    axes.barh(len(ops), total, color=GRID, height=0.72)
    if span:
        # Under the words, which it would strike through.
        axes.plot(span, [len(ops) - 0.24] * 2, color=INK, lw=1.6, solid_capstyle="butt")
    reach = f"{format_seconds(total, 3)}  {range_told(span, format_seconds)}".rstrip()
    axes.text(longest * 0.015, len(ops) + (0.1 if span else 0.0), reach, va="center", size=9)
    name_rows(axes, [*(op.op for op in ops), "whole step"])
    axes.set_xlim(0.0, longest * 1.06)
    shown_ticks(axes.xaxis, lambda value: format_seconds(value, 3))
    axes.set_xlabel("time of one decode step")
    step = format_seconds(result.decode.step_time_s, 3)
    batch, context = format_count(result.workload.batch), format_count(result.workload.context_tokens)
    axes.set_title(f"Decode step of {step}: batch {batch}, context {context}")
    seen = dict.fromkeys(op.bound_by for op in result.breakdown)
    handles = [Patch(color=BOUND_COLOURS.get(each, FAINT), label=each) for each in seen]
    legend_below(axes, handles, title="bound by")


# The roofline of a GPU with the ops of a decode step placed on it.


Point = tuple[OpResult, float, float]
"""An op, its intensity [FLOP/B] and its rate on one GPU [FLOP/s]."""


def draw_roofline(axes: Axes, result: Estimate, gpu: Accelerator) -> None:
    """Draw the roofs of a GPU and what each op of a decode step reaches under them.

    Source: Williams, Waterman, Patterson, "Roofline", CACM 52 (2009).
    """
    roofs = _roofs(result, gpu)
    points = points_of(result)
    most = max(roofs.values())
    ridge = max(gpu.ridge_point(name) for name in roofs)
    lowest = min([rate for _, _, rate in points], default=most / 100)
    left = min([ridge / 100, *(intensity / 6 for _, intensity, _ in points)])
    right = max([ridge * 12, *(intensity * 8 for _, intensity, _ in points)])
    for number, (name, flops) in enumerate(sorted(roofs.items(), key=lambda each: each[1])):
        knee = gpu.ridge_point(name)
        colour = INK if number == len(roofs) - 1 else FAINT
        axes.plot([left, knee, right], [left * gpu.memory_bandwidth, flops, flops], color=colour, lw=1.8, zorder=2)
        axes.text(right, flops * 1.12, f"{format_rate(flops, 'FLOP/s', 3)} {name}", ha="right", va="bottom", size=9)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(left, right)
    axes.set_ylim(min(lowest / 3, left * gpu.memory_bandwidth), most * 3)
    _bandwidth_label(axes, gpu, left, ridge)
    _place_ops(axes, points)
    shown_ticks(axes.xaxis, lambda value: f"{value:g}" if value < 1 else format_count(value))
    shown_ticks(axes.yaxis, lambda value: format_rate(value, "", 3).strip())
    axes.set_xlabel("arithmetic intensity [FLOP per byte]")
    axes.set_ylabel("FLOP/s of one GPU")
    axes.set_title(f"Roofline of {gpu.name}, ops of a decode step")


def _roofs(result: Estimate, gpu: Accelerator) -> dict[str, float]:
    """Peaks that the step's work runs at: of the weights' products, and of 16-bit attention."""
    roofs: dict[str, float] = {}
    for precision in ("bf16", result.deployment.precision.activations):
        peak = gpu.peak(precision)
        roofs[peak.precision] = peak.flops
    return roofs


def points_of(result: Estimate) -> list[Point]:
    """Return the ops with arithmetic, their intensity [FLOP/B] and rate [FLOP/s] on one GPU of a replica.

    result: the estimate; a term of the bill that only reads has none.
    """
    gpus = result.deployment.gpus / result.deployment.replicas
    return [
        (op, op.flops / op.bytes, op.flops / gpus / op.time_s)
        for op in result.breakdown
        if op.flops > 0 and op.bytes > 0 and op.time_s > 0
    ]


def _bandwidth_label(axes: Axes, gpu: Accelerator, left: float, ridge: float) -> None:
    middle = math.exp((math.log(left) + math.log(ridge)) / 2)
    axes.annotate(
        format_rate(gpu.memory_bandwidth, "B/s", 3),
        (middle, middle * gpu.memory_bandwidth),
        xytext=(-6, 4),
        textcoords="offset points",
        ha="right",
        va="bottom",
        size=9,
    )


def _place_ops(axes: Axes, points: list[Point]) -> None:
    total = sum(op.time_s for op, _, _ in points)
    for op, intensity, rate in points:
        colour = BOUND_COLOURS.get(op.bound_by, FAINT)
        area = 30 + 500 * op.time_s / total
        axes.scatter([intensity], [rate], s=area, color=colour, alpha=0.85, zorder=4, lw=0.8, edgecolor=PAPER)
    # Names stand in a column beside all points, under the roof, so that they cover none.
    at = [(share_along(axes.xaxis, intensity), share_along(axes.yaxis, rate)) for _, intensity, rate in points]
    column = max((x for x, _ in at), default=0.0) + 0.07
    places = spread([y for _, y in at], 0.05, 0.03, 0.8)
    for (op, _, _), (x, y), place in zip(points, at, places, strict=True):
        axes.plot([x, column - 0.01], [y, place], color=FAINT, lw=0.6, transform=axes.transAxes)
        axes.text(column, place, op.op, va="center", size=9, transform=axes.transAxes, zorder=5)


# The chart of an estimate: the roofline, and the time of a decode step by op.


PANELS = ("roofline", "time")
"""What is drawn unless something else is asked for."""


def draw_estimate(result: Estimate, suffix: str, kinds: Sequence[str] = PANELS, asked: bool = False) -> bytes:
    """Return the chart of an estimate as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kinds: of 'roofline', 'time', and 'memory' of a GPU. asked: whether somebody named them; else what there is not, of
    one row of several or of a term of the bill, is left out.
    Raises CostcalcError when there is nothing to draw.
    """
    if not result.breakdown:
        raise CostcalcError("there is no decode step to draw: the deployment does not fit", where="chart")
    if asked and result.machine is None and set(kinds) & {"roofline", "memory"}:
        hint = "ask `costcalc.estimate` for this row, or draw time alone"
        raise CostcalcError(f"one row of several has no {kinds[0]}", where="kinds", hint=hint)
    computes = bool(points_of(result))
    if asked and "roofline" in kinds and not computes:
        message = "reads alone have no arithmetic to stand on a roofline"
        raise CostcalcError(message, where="kinds", hint="draw time alone, or leave `terms` out")
    kinds = [each for each in kinds if each != "roofline" or (computes and result.machine is not None)]
    with look():
        width = 6.2 if len(kinds) > 1 else 8.0
        more = [f"decode at {format_count(result.workload.context_tokens)} tokens of context"]
        more += [] if computes else ["reads alone: no roofline"]
        subtitle = held_fixed([result], *more)
        if tuple(kinds) == ("memory",):
            subtitle = held_fixed([result], varied=("gpus", "batch", "price"))
        title = f"{result.model.name} on {result.deployment.gpu}" if tuple(kinds) == ("memory",) else _title(result)
        figure, axes = panels(len(kinds), title, subtitle, width=width)
        for each, where in zip(kinds, axes, strict=True):
            if each == "roofline":
                draw_roofline(where, result, result.machine)
            elif each == "memory":
                say_below(figure, draw_memory(where, result.ladder.rungs(), length_told([result])))
            else:
                draw_step_time(where, result)
        return saved(figure, suffix)


def _title(result: Estimate) -> str:
    cost = result.cost.usd_per_million_output_tokens
    price = "" if cost is None else f": {format_usd(cost)} per million output tokens"
    return f"{result.model.name} on {result.deployment.gpus} × {result.deployment.gpu}{price}"
