"""List prices of APIs beside the cost of a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.explore.result import Estimate, MarketPrice
from costcalc.readable import format_percent
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import times, usd


def market(result: Estimate) -> Iterator[Block]:
    """Yield the newest list price of each provider beside the cost.

    result: the estimate.
    """
    if not result.market:
        return
    newest: dict[str, MarketPrice] = {}
    for price in sorted(result.market, key=lambda each: each.date, reverse=True):
        newest.setdefault(price.provider, price)
    yield Line("Market: list prices of APIs, per million tokens", "heading")
    yield market_grid(result, list(newest.values()))
    yield Line()


def market_grid(result: Estimate, prices: Sequence[MarketPrice]) -> Grid:
    """Return list prices beside the cost of a deployment.

    result: the deployment.
    prices: the list prices to show.
    """
    cost = result.cost
    rows = [
        (
            "this deployment, at cost",
            usd(cost.usd_per_million_input_tokens),
            usd(cost.usd_per_million_output_tokens),
            usd(cost.usd_per_million_blended_tokens),
            "",
            "",
            "",
        )
    ]
    rows += [
        (
            price.provider,
            usd(price.input_usd_per_million),
            usd(price.output_usd_per_million),
            usd(price.blended_usd_per_million),
            times(price.price_over_cost),
            _break_even(price.break_even_utilization),
            price.date,
        )
        for price in prices
    ]
    columns = (
        Column(""),
        Column("input", right=True),
        Column("output", right=True),
        Column("blended", right=True),
        Column("price/cost", right=True),
        Column("break-even use", right=True),
        Column("date", role="dim", keep=1),
    )
    return Grid(columns, rows, {(0, index): "headline" for index in (1, 2, 3)})


def _break_even(share: float | None) -> str:
    return "never" if share is not None and share > 1 else format_percent(share, 2)
