"""Self-hosting against an API as lines: dollars per million tokens against the share of hours that GPUs are busy."""

from __future__ import annotations

from collections.abc import Sequence

from costcalc.explore.result import BreakEven, MarketPrice, Range
from costcalc.frozen import Record
from costcalc.show.market import newest
from costcalc.show.numbers import usd

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
    at_full_use = cost * assumed
    return UseCurve(
        SHARES,
        [at_full_use / share for share in SHARES],
        _limits(here.cost.usd_per_million_blended_tokens_range, assumed),
        [(f"{providers} {usd(price)}", price, at_full_use / price) for providers, price in _asked(here.market)],
    )


def _asked(market: Sequence[MarketPrice]) -> list[tuple[str, float]]:
    """Who asks what [$/M], those who ask the same together: their lines would hide each other."""
    asking: dict[float, list[str]] = {}
    for each in newest(market):
        if each.blended_usd_per_million > 0:
            asking.setdefault(round(each.blended_usd_per_million, 9), []).append(each.provider)
    return [(" and ".join(providers), price) for price, providers in asking.items()]


def _limits(spread: Range | None, assumed: float) -> tuple[list[float], list[float]] | None:
    if spread is None:
        return None
    low, high = ([limit * assumed / share for share in SHARES] for limit in spread)
    return low, high
