"""List prices of APIs beside the cost of a deployment: which count, and their table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.predict.results import Estimate, MarketPrice
from costcalc.report.page import Block, Column, Grid, Line, Role, filled_grid, numbers, span, times
from costcalc.units import NOTHING, format_percent
from costcalc.units import format_usd as usd

OWN = "here, at cost"
OF_THE_DEMAND = "the demand's fleet"
_MARKET = (
    Column(""),
    *numbers("input", "output", "blended", "price/cost", "break-even use"),
    Column("date", role="dim"),
)


def market(result: Estimate) -> Iterator[Block]:
    """Yield the newest list price of each provider beside the cost."""
    if not result.market:
        return
    yield Line("Market: list prices of APIs, per million tokens", "heading")
    yield _market_grid(result, newest(result.market))
    yield Line()


def newest(prices: Sequence[MarketPrice]) -> list[MarketPrice]:
    """Return the newest list price of each provider, in the order of their dates."""
    found: dict[tuple[str, str | None], MarketPrice] = {}
    for price in sorted(prices, key=lambda each: each.date or "", reverse=True):
        found.setdefault((price.provider, price.model), price)
    return list(found.values())


def distinct(prices: Sequence[MarketPrice]) -> list[MarketPrice]:
    """Return list prices without those that repeat what the same provider asks at a later date."""

    def asked(price: MarketPrice) -> tuple[object, ...]:
        dollars = (price.input_usd_per_million, price.cached_input_usd_per_million, price.output_usd_per_million)
        return (price.provider, price.model, *dollars)

    latest = {asked(each): each for each in sorted(prices, key=lambda each: each.date or "")}
    return [each for each in prices if latest[asked(each)] is each]


def own_costs(result: Estimate) -> list[tuple[str, float | None]]:
    """Return what is set against list prices, and its cost [$/M, blended]: with a demand its fleet's comes first."""
    use, demand = result.deployment.utilization, result.demand
    label = OWN if demand is None else "never idle" if use == 1 else f"at {format_percent(use)} use"
    fleet = [] if demand is None else [(OF_THE_DEMAND, demand.usd_per_million_tokens)]
    return [*fleet, (label, result.cost.usd_per_million_blended_tokens)]


def _market_grid(result: Estimate, prices: Sequence[MarketPrice]) -> Grid:
    """List prices beside the cost of a deployment."""
    parts = (result.cost.usd_per_million_input_tokens, result.cost.usd_per_million_output_tokens)
    rows = [
        [label, *(("", "") if label == OF_THE_DEMAND else map(usd, parts)), usd(cost), "", "", ""]
        for label, cost in own_costs(result)
        if cost is not None
    ]
    own = len(rows)
    rows += [
        [
            price.provider,
            usd(price.input_usd_per_million),
            usd(price.output_usd_per_million),
            usd(price.blended_usd_per_million),
            times(price.price_over_cost),
            break_even_use(price),
            price.date or NOTHING,
        ]
        for price in prices
    ]
    roles: dict[tuple[int, int], Role] = {(0, at): "headline" for at in ((1, 2, 3) if own else ())}
    return filled_grid(_MARKET, rows, roles)


def break_even_use(price: MarketPrice) -> str:
    """Return the share of the paid hours at which both cost the same, such as '46%', or 'never'."""
    share = price.break_even_utilization
    return "never" if share is not None and share > 1 else format_percent(share, 2)


def break_even_range(price: MarketPrice) -> str:
    """Return the range of the break-even use that follows from that of the cost, such as '[38%–62%]'."""
    return span(price.break_even_utilization_range, format_percent)
