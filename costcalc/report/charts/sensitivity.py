"""The chart of what moves a cost: a tornado."""

from __future__ import annotations

from costcalc.explore.money.sensitivity import Sensitivity
from costcalc.report.charts.style import BOUND_COLOURS, FAINT, INK, look, panels, saved, shown_ticks
from costcalc.report.money.sensitivity import NAMES, ends_of, range_told, tokens_named
from costcalc.units import format_count, format_usd

CHEAPER, DEARER = BOUND_COLOURS["memory"], BOUND_COLOURS["compute"]


def draw_sensitivity(result: Sensitivity, suffix: str) -> bytes:
    """Return the tornado as the content of a file: '.png', '.svg' or '.pdf'."""
    load = result.estimate.workload
    subtitle = (
        f"each input alone over its range; {format_usd(result.usd_per_million)} as estimated at batch "
        f"{load.batch:,.0f}, {format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out"
    )
    with look():
        figure, [axes] = panels(
            1, f"{result.title}: what moves the cost", subtitle, 8.6, 1.0 + 0.42 * len(result.influences)
        )
        base = result.usd_per_million
        for row, each in enumerate(reversed(result.influences)):
            low, high = ends_of(result, each)
            axes.barh(row, low - base, left=base, height=0.62, color=CHEAPER, zorder=2)
            axes.barh(row, high - base, left=base, height=0.62, color=DEARER, zorder=2)
            for cost, side, offset in ((low, "right", -4), (high, "left", 4)):
                if cost != base:
                    axes.annotate(
                        format_usd(cost), (cost, row), xytext=(offset, 0), textcoords="offset points", ha=side,
                        va="center", size=8, color=FAINT,
                    )  # fmt: skip
        names = [
            f"{NAMES.get(each.input, each.input.replace('_', ' '))}\n{range_told(each)}"
            for each in reversed(result.influences)
        ]
        axes.set_yticks(range(len(names)), names, size=8.5)
        axes.axvline(base, color=INK, lw=1.2, zorder=3)
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.12)
        shown_ticks(axes.xaxis, format_usd)
        axes.set_title(f"$ per million {tokens_named(result)}")
        return saved(figure, suffix)
