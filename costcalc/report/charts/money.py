"""Charts of money: a break-even with APIs, why two costs differ, what moves a cost."""

from __future__ import annotations

from costcalc.errors import CostcalcError, shortened
from costcalc.explore.diff import Diff
from costcalc.explore.money.sensitivity import Sensitivity
from costcalc.predict.quantities import BLENDED
from costcalc.predict.results import BreakEven
from costcalc.report.charts.style import (
    BLUE,
    FAINT,
    INK,
    ORANGE,
    RED,
    SMALLEST,
    held_fixed,
    look,
    name_ends,
    name_rows,
    panels,
    saved,
    shown_ticks,
    variant_colour,
)
from costcalc.report.diff import WHOLE, Step, cost_title, diff_title, steps_of
from costcalc.report.money.breakeven import use_curve
from costcalc.report.money.sensitivity import NAMES, ends_of, range_told, tokens_named
from costcalc.report.page import quantity
from costcalc.units import format_percent, format_usd

# The chart of a break-even: what a million tokens cost against how busy the GPUs are, and what APIs charge.


def draw_breakeven(result: BreakEven, suffix: str, *_: object) -> bytes:
    """Return the chart of a break-even as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    Raises CostcalcError when there is nothing to draw.
    """
    curve = use_curve(result)
    if curve is None:
        raise CostcalcError("no cost is known, so there is nothing to draw", where="chart")
    here = result.estimate
    with look():
        title = f"{here.model.name} on {here.deployment.gpus} × {here.deployment.gpu}, or {result.against} by API"
        figure, [axes] = panels(
            1, title, held_fixed([here], "band: holds in 8 of 10 cases", varied=("utilization",)), width=9.0
        )
        axes.plot(curve.shares, curve.own, color=INK, lw=2.2)
        if curve.limits is not None:
            axes.fill_between(curve.shares, *curve.limits, color=INK, alpha=0.12, lw=0)
        axes.set(xscale="log", yscale="log", xlim=(curve.shares[0], 1.0))
        low, high = axes.get_ylim()
        axes.set_ylim(min([low, *(price / 1.3 for _, price, _ in curve.bought)]), high)
        ends = [("GPUs of one's own", INK, 1.0, curve.own[-1])]
        for number, (name, price, share) in enumerate(curve.bought):
            colour = variant_colour("", number)
            axes.axhline(price, color=colour, lw=1.4)
            if share <= 1:
                axes.plot([share], [price], color=colour, marker="o", ms=6)
            when = f"from {format_percent(share, 2)} on" if share <= 1 else "never"
            ends.append((f"{name}: {when}", colour, 1.0, price))
        name_ends(axes, ends)
        shown_ticks(axes.xaxis, lambda value: format_percent(value, 2))
        shown_ticks(axes.yaxis, format_usd)
        axes.set_xlabel("share of the paid hours that the GPUs are busy")
        axes.set_title(quantity(BLENDED).title)
        return saved(figure, suffix)


# The chart of a difference: a waterfall from the one cost to the other.


_STEP_COLOURS: dict[str, str] = {"memory": INK, "good": BLUE, "bad": RED}
"""Of both sides, of what costs less, and of what costs more."""


def draw_diff(result: Diff, suffix: str, *_: object) -> bytes:
    """Return a difference as a waterfall, the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    Raises CostcalcError when there is nothing to draw.
    """
    steps = steps_of(result)
    if not steps:
        raise CostcalcError("no cost is known, so there is nothing to draw", where="chart")
    with look():
        sides = (f"{side.model} on {side.gpus} × {side.gpu}" for side in (result.before, result.after))
        figure, [axes] = panels(1, diff_title(result), " → ".join(sides), width=9.0, height=1.2 + 0.42 * len(steps))
        most, reached = max(step.high for step in steps) or 1.0, 0.0
        for row, step in enumerate(steps):
            axes.barh(row, step.high - step.low, left=step.low, height=0.62, color=_STEP_COLOURS[step.role])
            if row:
                axes.plot([reached, reached], [row - 0.69, row + 0.31], color=FAINT, lw=0.9)
            reached = step.high if step.label in WHOLE else reached + step.effect
            text = step.shown
            axes.text(step.high + most * 0.012, row, text, va="center", size=9)
        name_rows(axes, [_step_label(step) for step in steps])
        axes.set(ylim=(len(steps) - 0.4, -0.6), xlim=(1.12 * min(0.0, *(step.low for step in steps)), most * 1.12))
        shown_ticks(axes.xaxis, format_usd)
        axes.set_title(cost_title(result))
        return saved(figure, suffix)


def _step_label(step: Step) -> str:
    values = f": {shortened(step.before, 24)} → {shortened(step.after, 24)}" if step.before or step.after else ""
    return f"{step.label}{values}"


# The chart of what moves a cost: a tornado.


CHEAPER, DEARER = BLUE, ORANGE


def draw_sensitivity(result: Sensitivity, suffix: str, *_: object) -> bytes:
    """Return the tornado as the content of a file: '.png', '.svg' or '.pdf'."""
    each_alone = f"each input alone over its range; line: {format_usd(result.usd_per_million)} as estimated"
    subtitle = f"{each_alone}; {held_fixed([result.estimate])}"
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
        name_rows(axes, names)
        axes.tick_params(axis="y", labelsize=SMALLEST)
        axes.axvline(base, color=INK, lw=1.2, zorder=3)
        axes.margins(x=0.12)
        shown_ticks(axes.xaxis, format_usd)
        axes.set_title(f"$ per million {tokens_named(result)}")
        return saved(figure, suffix)
