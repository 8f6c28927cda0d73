"""Fused routed experts: grouped products of gate, up and down, and the traffic of their buffers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costcalc.arrays import Number
from costcalc.engine.kernels.shares import overlapped, share


@dataclass(frozen=True, slots=True)
class ExpertsCurve:
    """The routed experts of one layer on one GPU."""

    launch: Number  # [s] of routing, permutation, both grouped products, activation and the sum
    bandwidth: Number  # share of peak memory bandwidth, for weights
    flops: Number  # share of the peak with many tokens per expert
    ramp_tokens: Number  # tokens per expert at which half of that is reached
    buffer_bandwidth: Number  # share of peak memory bandwidth, for the buffers between kernels
    norm: Number = 2.0


def experts_hit(experts: Number, pairs: Number) -> Number:
    """Experts that evenly spread token-expert pairs touch: every pair another one, until all are [1]."""
    return np.minimum(experts, np.ceil(pairs))


def filtered_buffer_bytes(pairs: Number, hidden: Number, inter: Number) -> Number:
    """Bytes of 16-bit buffers, written and read, when only this GPU's own `pairs` have rows [B]."""
    return pairs * (6 * hidden + 12 * inter)


def unfiltered_buffer_bytes(pairs: Number, hidden: Number, inter: Number) -> Number:
    """Bytes of 16-bit buffers when the pairs of all GPUs have rows, those of others zeroed and summed [B]."""
    return pairs * (4 * hidden + 10 * inter)


def experts_seconds(
    pairs: Number,
    hits: Number,
    hidden: Number,
    inter: Number,
    weight_bytes: Number,
    buffer_bytes: Number,
    bandwidth: Number,
    peak: Number,
    curve: ExpertsCurve,
) -> Number:
    """Time of the routed experts that one GPU holds [s].

    pairs: token-expert pairs computed here [1]. hits: experts that get at least one [1].
    hidden, inter: dims of the expert on this GPU [1]. weight_bytes: of one weight, scales included [B].
    buffer_bytes: see filtered_buffer_bytes [B]. bandwidth: memory peak [B/s]. peak: dense peak [FLOP/s].
    """
    memory = hits * 3 * hidden * inter * weight_bytes / (share(curve.bandwidth) * bandwidth)
    ramped = pairs + curve.ramp_tokens * hits
    compute = 6 * ramped * hidden * inter / (share(curve.flops) * peak)
    buffers = buffer_bytes / (share(curve.buffer_bandwidth) * bandwidth)
    return curve.launch + overlapped(memory, compute, curve.norm) + buffers
