"""GPUs of one's own, or an API: as a page that leads with a sentence, and as lines against the share of busy hours."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.engine.cost import break_even_utilization
from costcalc.fields import Record
from costcalc.hardware.prices import OLD_MONTHS, age_in_months
from costcalc.predict.results import BreakEven, DemandResult, Estimate, MarketPrice, Range
from costcalc.report.estimate import demand_asked, pool_size, price_basis, unmet
from costcalc.report.market import break_even_range, break_even_use, distinct, newest, own_costs
from costcalc.report.page import (
    HEAD_ENDS,
    RANGE,
    Block,
    Column,
    Grid,
    Line,
    defaults_taken,
    filled_grid,
    notes,
    numbers,
    span,
    times,
)
from costcalc.units import format_count, format_percent, format_price, format_rate
from costcalc.units import format_usd as usd

# Lines against the share of busy hours.


SHARES = tuple(share / 100 for share in (*range(1, 10), *range(10, 101, 2)))
"""Shares of the paid hours that are drawn."""


class UseCurve(Record):
    """What a million tokens of the mix cost at each share of use, own and bought."""

    shares: Sequence[float]
    own: Sequence[float]  # [$/M]
    limits: tuple[Sequence[float], Sequence[float]] | None  # low and high of it
    bought: Sequence[tuple[str, float, float]]  # provider and price, its price [$/M], and the share that breaks even


def use_curve(result: BreakEven) -> UseCurve | None:
    """Return the lines of a break-even, or None where no cost is known.

    result: the deployment and the list prices that it competes with; of each provider the newest counts.
    """
    here = result.estimate
    cost, assumed = here.cost.usd_per_million_blended_tokens, here.deployment.utilization
    if cost is None:
        return None
    idle = here.deployment.paid_idle
    # What a share of the hours costs, in costs of tokens at the use assumed: an owner's electricity follows it.
    each = [assumed * idle / share + (1 - idle) for share in SHARES]
    asking = [*newest(here.market), *([result.sale] if result.sale else [])]
    return UseCurve(
        SHARES,
        [cost * factor for factor in each],
        _limits(here.cost.usd_per_million_blended_tokens_range, each),
        [
            (f"{providers} {usd(price)}", price, float(break_even_utilization(cost * assumed, price, assumed, idle)))
            for providers, price in _asked(asking)
        ],
    )


def _asked(market: Sequence[MarketPrice]) -> list[tuple[str, float]]:
    """Who asks what [$/M], those who ask the same together: their lines would hide each other."""
    asking: dict[float, list[str]] = {}
    for each in market:
        if each.blended_usd_per_million > 0:
            asking.setdefault(round(each.blended_usd_per_million, 9), []).append(seller(each))
    return [(" and ".join(dict.fromkeys(providers)), price) for price, providers in asking.items()]


def _limits(spread: Range | None, each: Sequence[float]) -> tuple[list[float], list[float]] | None:
    if spread is None:
        return None
    low, high = ([limit * factor for factor in each] for limit in spread)
    return low, high


def seller(price: MarketPrice) -> str:
    """Return who asks a price, and for which model, where it is another than the deployment's."""
    return f"{price.provider}, {price.model}" if price.model else price.provider


# The page.


_COLUMNS = (
    Column("$ per M tokens", key=True),
    *numbers("blended", "price/cost", "margin", "break-even use"),
    RANGE,
    *numbers("tokens/day"),
)


def breakeven_page(result: BreakEven) -> list[Block]:
    """Return a break-even as a page."""
    here = result.estimate
    load = here.workload
    cached = f", {format_percent(load.cached_share)} of the input cached" if load.cached_share else ""
    first, *others = [*_of_the_demand(here), *conclusion(result)]
    return [
        Line(f"{here.model.name} on {_fleet(here)}, or {result.against} by API", "title"),
        Line(),
        *unmet(here),
        Line(first, "headline"),
        Line(),
        _grid(result),
        HEAD_ENDS,
        *(Line(text) for text in others),
        Line(),
        Line(
            f"Over a request of {format_count(load.input_tokens)} tokens in and "
            f"{format_count(load.output_tokens)} out{cached}. price/cost: above 1, self-hosting is cheaper. "
            f"margin: what a price leaves above the cost, as a share of the price.{_whose_cost(here)} "
            f"break-even use: share of the paid hours that {_fleet(here)} must be busy for both to cost the same; "
            "in brackets, the range that holds in 8 of 10 cases. "
            "tokens/day: that use in tokens of this mix, in and out. A month has 730 hours. "
            f"GPUs: {price_basis([here.deployment])}.",
            "dim",
        ),
        Line(),
        *_sources(here.market),
        *notes(here.notes),
        *defaults_taken(here.assumptions),
    ]


def _grid(result: BreakEven) -> Grid:
    here = result.estimate
    rows = [[label, usd(cost), *[""] * 5] for label, cost in own_costs(here)]
    asking = [*([result.sale] if result.sale else []), *distinct(here.market)]
    rows += [
        [
            seller(each),
            usd(each.blended_usd_per_million),
            times(each.price_over_cost),
            format_percent(each.margin, 2),
            break_even_use(each),
            break_even_range(each),
            format_count(each.break_even_tokens_per_day, 3),
        ]
        for each in asking
    ]
    return filled_grid(_COLUMNS, rows, {(0, 0): "headline", (0, 1): "headline"})


def conclusion(result: BreakEven) -> list[str]:
    """Return what follows from a break-even in plain words: one sentence, and what is to be said beside it.

    result: the deployment and the list prices that it competes with; of each provider the newest counts.
    """
    here = result.estimate
    prices = sorted(newest(here.market), key=lambda each: each.blended_usd_per_million)
    beaten = [each for each in prices if each.break_even_utilization is not None and each.break_even_utilization <= 1]
    unbeaten = _alike([each for each in prices if each not in beaten])
    price = here.deployment.usd_per_gpu_hour
    cost = "cost" if here.gpus_paid > 1 else "costs"
    subject = f"{_fleet(here)} at {format_price(price)} per GPU-hour"
    sentences = []
    if beaten:
        hardest, *others = _alike(beaten)
        sentences.append(
            f"Busy {_use(hardest[0])} of the time or more, {subject} {cost} less than {_named(hardest)} "
            f"per million tokens: from {format_count(hardest[0].break_even_tokens_per_day, 3)} tokens a day"
        )
        if others:
            uses = [f"less than {_named(each)} from {break_even_use(each[0])} on" for each in others]
            sentences.append(f"{'They cost' if here.gpus_paid > 1 else 'It costs'} {_listed(uses)}")
        subject = "they" if here.gpus_paid > 1 else "it"
    if unbeaten:
        named = _listed([_named(each) for each in unbeaten])
        sentences.append(f"Even when never idle, {subject} {cost} more than {named}")
    sentences[:0] = _of_the_fleet(here, prices)
    if here.deployment.utilization < 1:
        sentences.insert(0, _at_the_use_assumed(here, prices))
    whose = _fleet(here) if here.demand is not None else "they" if here.gpus_paid > 1 else "it"
    bill = f"Busy or not, {whose} {cost} {usd(result.usd_per_month)} a month"
    bill += "" if here.demand is None else f", the demand's {here.demand.gpus:,} {usd(here.demand.usd_per_month)}"
    at_full_use = f". {_at_the_use_assumed(here, prices)}" if here.deployment.utilization == 1 else ""
    sentences += [*_sold(result), f"{bill}{at_full_use}"]
    return [f"{each}." for each in sentences]


def _of_the_demand(here: Estimate) -> Iterator[str]:
    """The fleet of the demand and its bill, beside what each of those compared asks for it."""
    found = here.demand
    if found is None:
        return
    asking: dict[str, list[str]] = {}
    for each in sorted(newest(here.market), key=lambda price: price.usd_per_month_at_demand or 0.0):
        asking.setdefault(usd(each.usd_per_month_at_demand), []).append(seller(each))
    asked = _listed([f"{bill} by {_listed(names)}" for bill, names in asking.items()])
    yield (
        f"The demand, {demand_asked(found)}, takes {found.gpus:,} × {here.deployment.gpu}: "
        f"{usd(found.usd_per_month)} a month, {usd(found.usd_per_million_tokens)} per million tokens in and out"
        + (f"; by API it is {asked}." if asked else ".")
    )


def _of_the_fleet(here: Estimate, prices: Sequence[MarketPrice]) -> Iterator[str]:
    """From how many requests per second the GPUs of a demand cost what each of those compared asks."""
    found = here.demand
    if found is None or not prices:
        return
    rates = [(seller(each), each.break_even_requests_per_s) for each in prices]
    less = [f"than {who} from {_of_it(rate, found)}" for who, rate in rates if rate is not None]
    more = [who for who, rate in rates if rate is None]
    told = [f"less {_listed(list(dict.fromkeys(less)))}"] if less else []
    told += [f"more than {_listed(list(dict.fromkeys(more)))} at whatever they can serve"] if more else []
    yield f"Its {found.gpus:,} GPUs cost {'; '.join(told)}"


def _of_it(rate: float, demand: DemandResult) -> str:
    """A rate of requests, and the share of a demand that it is."""
    return f"{format_rate(rate, 'requests/s', 3)} on ({format_percent(rate / demand.requests_per_s, 2)} of the demand)"


def _whose_cost(here: Estimate) -> str:
    """Whose cost ratios and margins are against, where a demand is told."""
    return " Both are against what the demand's fleet costs, busy or not." if here.demand is not None else ""


def _sold(result: BreakEven) -> Iterator[str]:
    """What is left where a price is asked of one's own users."""
    sale, left = result.sale, result.left_usd_per_month
    if sale is None or left is None:
        return
    use, demand = result.estimate.deployment.utilization, result.estimate.demand
    lost = left < 0
    kept = f"{'lose' if lost else 'leave'} {format_percent(abs(sale.margin or 0.0), 2)} of it"
    kept += "" if lost else f" {span(sale.margin_range, format_percent)}".rstrip()
    never = sale.break_even_utilization is None or sale.break_even_utilization > 1
    even = "even GPUs that are never idle lose" if never else f"nothing is lost from {break_even_use(sale)} use on"
    when = f"at {format_percent(use)} use" if demand is None else "at this demand"
    if demand is not None:
        rate = sale.break_even_requests_per_s
        even = "its GPUs lose at whatever they can serve"
        if rate is not None:
            even = f"its {demand.gpus:,} GPUs lose nothing from {_of_it(rate, demand)}"
    yield (
        f"Sold at {usd(sale.input_usd_per_million)} in and {usd(sale.output_usd_per_million)} out, "
        f"{usd(sale.blended_usd_per_million)} blended, {'they' if demand is None else 'tokens'} {kept}: "
        f"{usd(abs(left))} a month {'of loss' if lost else 'left'} {when}, and {even}"
    )


def _at_the_use_assumed(here: Estimate, prices: Sequence[MarketPrice]) -> str:
    use, cost = here.deployment.utilization, here.cost.usd_per_million_blended_tokens
    when = "At full use" if use == 1 else f"At the {format_percent(use)} use assumed"
    ratios = [each.blended_usd_per_million / cost for each in prices] if cost else []
    own = f"{when} a million tokens of this mix cost {usd(cost)}"
    if not ratios:
        return own
    low, high = times(min(ratios)), times(max(ratios))
    return f"{own}, and the list price is {low if low == high else f'{low} to {high}'} that"


def _use(price: MarketPrice) -> str:
    limits = break_even_range(price)
    return f"{break_even_use(price)} {limits}" if limits else break_even_use(price)


def _alike(prices: Sequence[MarketPrice]) -> list[list[MarketPrice]]:
    """Group providers that ask the same, as shown."""
    groups: dict[str, list[MarketPrice]] = {}
    for price in prices:
        groups.setdefault(usd(price.blended_usd_per_million), []).append(price)
    return list(groups.values())


def _named(prices: Sequence[MarketPrice]) -> str:
    sellers = dict.fromkeys(f"{each.provider}'s" + (f" {each.model}" if each.model else "") for each in prices)
    typed = all(each.date is None for each in prices)
    kind = "batch" if all(each.source.endswith("batch tier") for each in prices) else "list"
    old = {each.date[:7] for each in prices if each.date and age_in_months(each.date) > OLD_MONTHS}
    when = f" ({max(old)})" if old else ""
    who = "a" if typed else f"{_listed([*sellers])} {kind}"
    return f"{who} price of {usd(prices[0].blended_usd_per_million)}{when}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def _fleet(here: Estimate) -> str:
    pool = f" and {pool_size(here.serving.prefill_gpus)} that prefill" if here.serving.prefill_gpus else ""
    return f"{here.deployment.gpus:,} × {here.deployment.gpu}{pool}"


def _sources(prices: Sequence[MarketPrice]) -> Iterator[Block]:
    yield Line("Prices per million tokens", "heading")
    for price in prices:
        note = f"; {price.note}" if price.note else ""
        cached = price.cached_input_usd_per_million
        asked = f"{usd(price.input_usd_per_million)} in, {usd(price.output_usd_per_million)} out"
        asked += "" if cached is None else f", {usd(cached)} cached"
        when = f", {price.date}" if price.date else ""
        yield Line(f"{seller(price)}{when}: {asked}; {price.source}{note}", "dim", indent=2)
    yield Line()
