"""List prices of APIs beside the cost of a deployment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.explore.result import Estimate, MarketPrice
from costcalc.readable import NOTHING, format_count, format_percent
from costcalc.show.blocks import Block, Column, Grid, Line, Role
from costcalc.show.numbers import span, times, usd

_COLUMNS = (
    Column("", key=True),
    Column("input", right=True),
    Column("cached", right=True, keep=3),
    Column("output", right=True),
    Column("blended", right=True),
    Column("price/cost", right=True),
    Column("margin", right=True, keep=2),
    Column("break-even use", right=True),
    Column("80% range", role="dim", keep=4),
    Column("tokens/day", right=True, keep=5),
    Column("date", role="dim", key=True),
)
_IN_FULL_ONLY = ("cached", "margin", "80% range", "tokens/day")


def market(result: Estimate) -> Iterator[Block]:
    """Yield the newest list price of each provider beside the cost.

    result: the estimate.
    """
    if not result.market:
        return
    yield Line("Market: list prices of APIs, per million tokens", "heading")
    yield market_grid(result, newest(result.market), full=False)
    yield Line()


def newest(prices: Sequence[MarketPrice]) -> list[MarketPrice]:
    """Return the newest list price of each provider, in the order of their dates.

    prices: the list prices.
    """
    found: dict[str, MarketPrice] = {}
    for price in sorted(prices, key=lambda each: each.date, reverse=True):
        found.setdefault(price.provider, price)
    return list(found.values())


def distinct(prices: Sequence[MarketPrice]) -> list[MarketPrice]:
    """Return list prices without those that repeat what the same provider asks at a later date.

    prices: the list prices.
    """

    def asked(price: MarketPrice) -> tuple[object, ...]:
        dollars = (price.input_usd_per_million, price.cached_input_usd_per_million, price.output_usd_per_million)
        return (price.provider, *dollars)

    latest = {asked(each): each for each in sorted(prices, key=lambda each: each.date)}
    return [each for each in prices if latest[asked(each)] is each]


def market_grid(result: Estimate, prices: Sequence[MarketPrice], *, full: bool) -> Grid:
    """Return list prices beside the cost of a deployment.

    result: the deployment.
    prices: the list prices to show.
    full: whether cached input, margin and the range are shown too.
    """
    cost = result.cost
    own = [usd(each) for each in (cost.usd_per_million_input_tokens, None, cost.usd_per_million_output_tokens)]
    rows = [["here, at cost", own[0], "", own[2], usd(cost.usd_per_million_blended_tokens), *[""] * 6]]
    rows += [
        [
            price.provider,
            usd(price.input_usd_per_million),
            usd(price.cached_input_usd_per_million),
            usd(price.output_usd_per_million),
            usd(price.blended_usd_per_million),
            times(price.price_over_cost),
            format_percent(price.margin, 2),
            break_even_use(price),
            break_even_range(price),
            format_count(price.break_even_tokens_per_day, 3),
            price.date,
        ]
        for price in prices
    ]
    empty = {index for index in range(len(_COLUMNS)) if all(row[index] in ("", NOTHING) for row in rows)}
    kept = [
        index
        for index, column in enumerate(_COLUMNS)
        if column.title not in _IN_FULL_ONLY or (full and index not in empty)
    ]
    columns = [_COLUMNS[index] for index in kept]
    dollars = [place for place, index in enumerate(kept) if _COLUMNS[index].title in ("input", "output", "blended")]
    roles: dict[tuple[int, int], Role] = {(0, place): "headline" for place in dollars}
    return Grid(columns, [[row[index] for index in kept] for row in rows], roles)


def break_even_use(price: MarketPrice) -> str:
    """Return the share of the paid hours at which both cost the same, such as '46%', or 'never'.

    price: the list price.
    """
    share = price.break_even_utilization
    return "never" if share is not None and share > 1 else format_percent(share, 2)


def break_even_range(price: MarketPrice) -> str:
    """Return the range of the break-even use that follows from that of the cost, such as '[38%–62%]'.

    price: the list price.
    """
    return span(price.break_even_utilization_range, format_percent)
