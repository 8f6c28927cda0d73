"""From seconds to dollars."""

from __future__ import annotations

from costcalc.arrays import Number

SECONDS_PER_HOUR = 3600.0


def usd_per_million(gpus: Number, usd_per_gpu_hour: Number, tokens_per_s: Number, utilization: Number = 1.0) -> Number:
    """Dollars per million tokens: N·$h / 3600 / (tokens/s) / utilization · 1e6.

    `gpus` deliver `tokens_per_s` [tokens/s] together at `usd_per_gpu_hour` [$/h] each, for a share
    `utilization` of the time that they are paid for.
    """
    return gpus * usd_per_gpu_hour / SECONDS_PER_HOUR / tokens_per_s / utilization * 1e6


def blended_usd_per_million(
    input_usd: Number, output_usd: Number, input_tokens: Number, output_tokens: Number
) -> Number:
    """All GPU time of a request over all of its tokens: the two prices weighted by their tokens."""
    return (input_usd * input_tokens + output_usd * output_tokens) / (input_tokens + output_tokens)


def break_even_utilization(cost: Number, price: Number) -> Number:
    """Share of the time that GPUs must be busy for `cost` [$/M at full use] to equal an API's `price` [$/M]."""
    return cost / price
