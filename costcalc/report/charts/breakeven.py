"""The chart of a break-even: what a million tokens cost against how busy the GPUs are, and what APIs charge."""

from __future__ import annotations

import math

from costcalc.errors import CostcalcError
from costcalc.predict.quantities import BreakEven
from costcalc.report.breakeven import use_curve
from costcalc.report.charts.style import INK, look, panels, saved, shown_ticks, spread, variant_colour
from costcalc.report.estimate import price_basis
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
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlim(curve.shares[0], 1.0)
        low, high = axes.get_ylim()
        low = min([low, *(price / 1.3 for _, price, _ in curve.bought)])
        axes.set_ylim(low, high)
        places = _apart([price for _, price, _ in curve.bought], low, high)
        for number, ((name, price, share), place) in enumerate(zip(curve.bought, places, strict=True)):
            colour = variant_colour("", number)
            axes.axhline(price, color=colour, lw=1.4)
            if share <= 1:
                axes.plot([share], [price], color=colour, marker="o", ms=6)
                name = f"{name}: from {format_percent(share, 2)} on"
            else:
                name = f"{name}: never"
            axes.annotate(
                name,
                (1.0, price),
                xytext=(1.02, place),
                textcoords="axes fraction",
                va="center",
                size=9,
                color=colour,
                annotation_clip=False,
            )
        shown_ticks(axes.xaxis, lambda value: format_percent(value, 2))
        shown_ticks(axes.yaxis, format_usd)
        axes.set_xlabel("share of the paid hours that the GPUs are busy")
        axes.set_title("$ per million tokens of the mix")
        axes.legend(frameon=False, loc="upper right")
        return saved(figure, suffix)


def _apart(prices: list[float], low: float, high: float) -> list[float]:
    """Heights of labels as shares of a logarithmic axis, none on another."""
    return spread([math.log(price / low) / math.log(high / low) for price in prices], 0.05)


def _subtitle(result: BreakEven) -> str:
    load, machine = result.estimate.workload, result.estimate.deployment
    return (
        f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out; "
        f"{price_basis([machine])}; band: holds in 8 of 10 cases"
    )
