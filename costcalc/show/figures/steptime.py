"""Where the time of a decode step goes, op by op."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from costcalc.explore.result import Estimate
from costcalc.readable import format_count, format_percent, format_seconds
from costcalc.show.figures.style import BOUND_COLOURS, FAINT, GRID, INK, shown_ticks


def draw_step_time(axes: Axes, result: Estimate) -> None:
    """Draw the time of each op of a decode step as a bar, coloured by what bounds it.

    axes: where to draw.
    result: the estimate.
    """
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
        axes.plot(span, [len(ops)] * 2, color=INK, lw=1.6, solid_capstyle="butt")
    reach = f"  [{format_seconds(span[0], 2)}–{format_seconds(span[1], 2)}]" if span else ""
    axes.text(longest * 0.015, len(ops), f"{format_seconds(total, 3)}{reach}", va="center", size=9)
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
