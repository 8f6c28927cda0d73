"""From seconds to dollars: per million tokens, at break-even, and of a training run."""

from __future__ import annotations

import numpy as np

from costcalc.fields import Number
from costcalc.formats import CACHE_FORMATS
from costcalc.model.spec import ModelSpec

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


def break_even_utilization(cost: Number, price: Number, use: Number = 1.0, idle: Number = 1.0) -> Number:
    """Share u of the time that GPUs must be busy for what they cost to equal an API's `price` B [$/M].

    cost / price, or where a share of what GPUs cost falls with the work u = c·idle / (B - c·(1 - idle)/use), and above
    1 where the work alone costs as much as the price.

    cost: c [$/M], that of the hours at `use`, as if all were of use. idle: share of these that an idle GPU pays.
    """
    work = cost * (1 - idle) / use
    pays = work < price
    return np.where(pays, cost * idle / np.where(pays, price - work, 1.0), (cost * idle + work) / price)


# What training takes: FLOPs, GPU-hours and dollars.
#
# Sources: Kaplan et al. 2020 (arXiv 2001.08361, 2.1) for 6 FLOPs per parameter and token; Chowdhery et al. 2022
# (arXiv 2204.02311, appendix B) for the utilization; checked against DeepSeek-V3 (arXiv 2412.19437, table 1).


def training_flops_per_token(model: ModelSpec, sequence: Number) -> Number:
    """FLOPs of a forward and a backward pass per token [FLOP/token]: 6·P_active and 3 times causal attention.

    model: its active parameters count. sequence: length that attention spans [tokens].
    """
    attention: Number = 0.0
    for count, layer in model.attention_layers():
        for core in layer.prefill_cores(sequence, 0.0, CACHE_FORMATS["bf16"]):
            attention = attention + count * core.flops
    return 6 * model.active_parameters + 3 * attention / sequence


def training_gpu_hours(flops: Number, peak: Number, utilization: Number) -> Number:
    """GPU-hours [h] of `flops` [FLOP] at a share `utilization` of the `peak` [FLOP/s]."""
    return flops / (peak * utilization) / SECONDS_PER_HOUR


def training_utilization(flops: Number, gpu_hours: Number, peak: Number) -> Number:
    """Model FLOPs utilization: the share of `peak` [FLOP/s] that `flops` [FLOP] in `gpu_hours` [h] come to."""
    return flops / (gpu_hours * SECONDS_PER_HOUR * peak)


def training_usd(gpu_hours: Number, usd_per_gpu_hour: Number) -> Number:
    """Dollars of `gpu_hours` [h] at `usd_per_gpu_hour` [$/h]."""
    return gpu_hours * usd_per_gpu_hour
