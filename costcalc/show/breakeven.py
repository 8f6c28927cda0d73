"""Self-hosting against an API as a page."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.explore.result import BreakEven, MarketPrice
from costcalc.readable import format_count, format_percent
from costcalc.show.blocks import Block, Line
from costcalc.show.market import market_grid
from costcalc.show.numbers import times, usd
from costcalc.show.parts import defaults_taken, notes


def breakeven_page(result: BreakEven) -> list[Block]:
    """Return a break-even as a page.

    result: the deployment and the list prices that it competes with.
    """
    here = result.estimate
    load = here.workload
    return [
        Line(
            f"{here.model.name} on {here.deployment.gpus} × {here.deployment.gpu}, or {result.against} by API", "title"
        ),
        Line(),
        *_verdicts(result),
        Line(),
        Line("Per million tokens", "heading"),
        market_grid(here, here.market),
        Line(
            f"Blended over a request of {format_count(load.input_tokens)} tokens in and "
            f"{format_count(load.output_tokens)} out. price/cost above 1 means that self-hosting is cheaper; "
            "break-even use is the share of the paid hours that the GPUs must be busy for both to cost the same.",
            "dim",
            wrap=True,
            indent=2,
        ),
        Line(),
        *notes(here.notes),
        *defaults_taken(here.assumptions),
    ]


def _verdicts(result: BreakEven) -> Iterator[Block]:
    cost = result.estimate.cost.usd_per_million_blended_tokens
    for price in result.estimate.market:
        yield Line(f"{price.provider} ({price.date}): {_verdict(price, cost)}", "value", wrap=True, indent=2)


def _verdict(price: MarketPrice, cost: float | None) -> str:
    share, ratio = price.break_even_utilization, price.price_over_cost
    if share is None or ratio is None:
        return "not to be compared"
    both = f"{usd(price.blended_usd_per_million)} against {usd(cost)}"
    if share > 1:
        return f"the API is cheaper even if your GPUs never idle: {both} ({times(ratio)})"
    busy = format_percent(share, 2)
    return f"self-hosting is cheaper once your GPUs are busy {busy} of the time: {both} ({times(ratio)})"
