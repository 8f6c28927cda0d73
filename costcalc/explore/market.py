"""List prices beside the cost of an estimate, at the same mix of tokens."""

from __future__ import annotations

from collections.abc import Iterable

from costcalc.engine.cost import blended_usd_per_million, break_even_utilization
from costcalc.explore.result import Estimate, MarketPrice, Range
from costcalc.specs.model import ApiPrice


def market_prices(answer: Estimate, prices: Iterable[ApiPrice]) -> tuple[MarketPrice, ...]:
    """Each list price at the workload's mix of cached, fresh and output tokens, against the cost."""
    return tuple(_market_price(answer, price) for price in prices)


def _market_price(answer: Estimate, price: ApiPrice) -> MarketPrice:
    w, cost = answer.workload, answer.cost.usd_per_million_blended_tokens
    cached = price.cached_input_usd_per_million
    hit = price.input_usd_per_million if cached is None else cached
    entered = hit * w.cached_share + price.input_usd_per_million * (1 - w.cached_share)
    blended = float(blended_usd_per_million(entered, price.output_usd_per_million, w.input_tokens, w.output_tokens))
    # The costs already carry the utilization assumed; at full use they are that share of it.
    use, limits = answer.deployment.utilization, answer.cost.usd_per_million_blended_tokens_range
    share = float(break_even_utilization(cost * use, blended)) if cost is not None and blended else None
    hourly = answer.deployment.gpus * (answer.deployment.usd_per_gpu_hour or 0.0)
    return MarketPrice(
        provider=price.provider,
        input_usd_per_million=price.input_usd_per_million,
        cached_input_usd_per_million=cached,
        output_usd_per_million=price.output_usd_per_million,
        blended_usd_per_million=blended,
        price_over_cost=blended / cost if cost else None,
        margin=1 - cost / blended if cost is not None and blended else None,
        break_even_utilization=share,
        date=price.date,
        source=price.source,
        note=price.note,
        break_even_utilization_range=_times(limits, use / blended) if limits and blended else None,
        # There the API charges what the GPUs cost anyway.
        break_even_tokens_per_day=24 * hourly / blended * 1e6 if share is not None and share <= 1 else None,
    )


def _times(limits: Range, factor: float) -> Range:
    return limits[0] * factor, limits[1] * factor
