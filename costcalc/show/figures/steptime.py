"""Where the time of a decode step goes, op by op."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from costcalc.explore.result import Estimate
from costcalc.readable import format_count, format_percent, format_seconds
from costcalc.show.figures.style import BOUND_COLOURS, FAINT, shown_ticks


def draw_step_time(axes: Axes, result: Estimate) -> None:
    """Draw the time of each op of a decode step as a bar, coloured by what bounds it.

    axes: where to draw.
    result: the estimate.
    """
    ops = list(reversed(result.breakdown))
    total = sum(op.time_s for op in ops) or 1.0
    longest = max((op.time_s for op in ops), default=1.0)
    for row, op in enumerate(ops):
        axes.barh(row, op.time_s, color=BOUND_COLOURS.get(op.bound_by, FAINT), height=0.72)
        label = f"{format_seconds(op.time_s, 3)}  {format_percent(op.time_s / total, 2)}"
        axes.text(op.time_s + longest * 0.015, row, label, va="center", size=9)
    axes.set_yticks(range(len(ops)), [op.op for op in ops])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0.0, longest * 1.3)
    shown_ticks(axes.xaxis, lambda value: format_seconds(value, 3))
    axes.set_xlabel("time of one decode step")
    step = format_seconds(result.decode.step_time_s, 3)
    batch, context = format_count(result.workload.batch), format_count(result.workload.context_tokens)
    axes.set_title(f"Decode step of {step}: batch {batch}, context {context}")
    seen = dict.fromkeys(op.bound_by for op in result.breakdown)
    handles = [Patch(color=BOUND_COLOURS.get(each, FAINT), label=each) for each in seen]
    axes.legend(handles=handles, title="bound by", loc="center right", frameon=False, alignment="left")
