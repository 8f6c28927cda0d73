"""The chart of an estimate: the roofline with its ops, and the time of a decode step by op."""

from __future__ import annotations

import math

from costcalc.errors import CostcalcError
from costcalc.hardware.accelerator import Accelerator
from costcalc.predict.quantities import Estimate, OpResult
from costcalc.report.charts.library import Axes, MaxNLocator, Patch
from costcalc.report.charts.style import BOUND_COLOURS, FAINT, GRID, INK, look, panels, saved, shown_ticks, spread
from costcalc.report.estimate import price_basis
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
    reach = f"  [{format_seconds(span[0], 2)}–{format_seconds(span[1], 2)}]" if span else ""
    axes.text(
        longest * 0.015, len(ops) + (0.1 if span else 0.0), f"{format_seconds(total, 3)}{reach}", va="center", size=9
    )
    axes.set_yticks(range(len(ops) + 1), [*(op.op for op in ops), "whole step"])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0.0, longest * 1.06)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6))
    shown_ticks(axes.xaxis, lambda value: format_seconds(value, 3))
    axes.set_xlabel("time of one decode step")
    step = format_seconds(result.decode.step_time_s, 3)
    batch, context = format_count(result.workload.batch), format_count(result.workload.context_tokens)
    axes.set_title(f"Decode step of {step}: batch {batch}, context {context}")
    seen = dict.fromkeys(op.bound_by for op in result.breakdown)
    handles = [Patch(color=BOUND_COLOURS.get(each, FAINT), label=each) for each in seen]
    axes.legend(handles=handles, title="bound by", loc="center right", frameon=False, alignment="left")


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
        axes.scatter([intensity], [rate], s=area, color=colour, alpha=0.85, zorder=4, lw=0.8, edgecolor="white")
    low, high = (math.log(edge) for edge in axes.get_ylim())
    groups = _neighbours(points)
    heights = [(math.log(group[0][2]) - low) / (high - low) for group in groups]
    lines = [len(group) for group in groups]
    for group, height, label in zip(groups, heights, _apart(heights, lines), strict=True):
        moved = abs(label - height) > 0.02
        axes.annotate(
            "\n".join(op.op for op, _, _ in group),
            (group[0][1], group[0][2]),
            xytext=(18, (label - height) * axes.get_window_extent().height * 72 / axes.figure.dpi),
            textcoords="offset points",
            ha="left",
            va="center",
            size=9,
            linespacing=1.25,
            arrowprops={"arrowstyle": "-", "color": FAINT, "lw": 0.6} if moved else None,
            zorder=5,
        )


def _neighbours(points: list[Point]) -> list[list[Point]]:
    """Ops that share a place on the chart, so that one label can name them all."""
    groups: list[list[Point]] = []
    for point in sorted(points, key=lambda each: -each[0].time_s):
        for group in groups:
            if _near(point[1], group[0][1]) and _near(point[2], group[0][2]):
                group.append(point)
                break
        else:
            groups.append([point])
    return groups


def _near(one: float, other: float) -> bool:
    return abs(math.log(one / other)) < 0.45


def _apart(heights: list[float], lines: list[int]) -> list[float]:
    """Heights of labels of several lines, moved apart."""
    return spread(heights, 0.048 * (max(lines, default=1) + 1) / 2, 0.05, 0.95) if heights else []


# The chart of an estimate: the roofline, and the time of a decode step by op.


def draw_estimate(result: Estimate, gpu: Accelerator, suffix: str, kind: str | None = None) -> bytes:
    """Return the chart of an estimate as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kind: 'roofline' or 'time' for one panel alone.
    Raises CostcalcError when there is nothing to draw.
    """
    if not result.breakdown:
        raise CostcalcError("there is no decode step to draw: the deployment does not fit", where="chart")
    computes = bool(points_of(result))
    if kind == "roofline" and not computes:
        message = "reads alone have no arithmetic to stand on a roofline"
        raise CostcalcError(message, where="kinds", hint="draw time alone, or leave `terms` out")
    kinds = (("roofline", "time") if computes else ("time",)) if kind is None else (kind,)
    with look():
        width = 6.8 if len(kinds) > 1 else 8.0
        figure, axes = panels(len(kinds), _title(result), _subtitle(result, computes), width=width)
        for each, where in zip(kinds, axes, strict=True):
            if each == "roofline":
                draw_roofline(where, result, gpu)
            else:
                draw_step_time(where, result)
        return saved(figure, suffix)


def _title(result: Estimate) -> str:
    cost = result.cost.usd_per_million_output_tokens
    price = "" if cost is None else f": {format_usd(cost)} per million output tokens"
    return f"{result.model.name} on {result.deployment.gpus} × {result.deployment.gpu}{price}"


def _subtitle(result: Estimate, computes: bool) -> str:
    load, machine = result.workload, result.deployment
    return (
        f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out; "
        f"weights {machine.precision.weights}, KV cache {machine.precision.kv_cache}; {price_basis([machine])}; "
        f"{'ideal bound' if machine.efficiency == 'ideal' else 'efficiency as measured'}"
        f"{'' if computes else '; reads alone: no roofline'}"
    )
