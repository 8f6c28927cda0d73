"""The chart of a break-even: what a million tokens cost against how busy the GPUs are, and what APIs charge."""

from __future__ import annotations

from costcalc.errors import CostcalcError
from costcalc.predict.quantities import BLENDED, BreakEven
from costcalc.report.breakeven import use_curve
from costcalc.report.charts.style import INK, look, name_ends, panels, saved, shown_ticks, variant_colour
from costcalc.report.estimate import price_basis
from costcalc.report.page import quantity
from costcalc.units import format_count, format_percent, format_usd


def draw_breakeven(result: BreakEven, suffix: str) -> bytes:
    """Return the chart of a break-even as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    Raises CostcalcError when there is nothing to draw.
    """
    curve = use_curve(result)
    if curve is None:
        raise CostcalcError("no cost is known, so there is nothing to draw", where="--chart")
    here = result.estimate
    with look():
        title = f"{here.model.name} on {here.deployment.gpus} × {here.deployment.gpu}, or {result.against} by API"
        figure, [axes] = panels(1, title, _subtitle(result), width=9.0)
        axes.plot(curve.shares, curve.own, color=INK, lw=2.2, label="GPUs of one's own")
        if curve.limits is not None:
            axes.fill_between(curve.shares, *curve.limits, color=INK, alpha=0.12, lw=0)
        axes.set(xscale="log", yscale="log", xlim=(curve.shares[0], 1.0))
        low, high = axes.get_ylim()
        axes.set_ylim(min([low, *(price / 1.3 for _, price, _ in curve.bought)]), high)
        ends = []
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
        axes.legend(frameon=False, loc="upper right")
        return saved(figure, suffix)


def _subtitle(result: BreakEven) -> str:
    load, machine = result.estimate.workload, result.estimate.deployment
    return (
        f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out; "
        f"{price_basis([machine])}; band: holds in 8 of 10 cases"
    )
