"""Expert parallelism waits for its hottest rank: the expected maximum of random loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from costcalc.engine.collectives import all_reduce_seconds, all_to_all_seconds, transfer_seconds
from costcalc.engine.ops import COMMUNICATION, Op
from costcalc.engine.roofline import Machine, compute_seconds, memory_seconds, roofline_seconds
from costcalc.fields import Number
from costcalc.model.attention.base import TILE_ROWS


def normal_maximum(count: Number) -> Number:
    """Expected maximum of `count` standard normal draws, by its asymptotic series (Gumbel 1958, section 4.2.3)."""
    n = np.maximum(np.asarray(count, dtype=float), 2.0)
    top = np.sqrt(2 * np.log(n))
    series = top - (np.log(np.log(n)) + np.log(4 * np.pi) - 2 * np.euler_gamma) / (2 * top)
    return np.where(np.asarray(count) > 1, series, 0.0)


def maximum_load(mean: Number, ranks: Number) -> Number:
    """Expected load of the fullest of `ranks` when balls fall at random, `mean` of them on each.

    mean + z sqrt(mean) + (z^2 - 1)/6 for a Poisson load, with z the expected maximum of as many normal draws
    (Cornish and Fisher 1938, doi 10.2307/1400905); at most all balls.
    """
    z = normal_maximum(ranks)
    load = mean + z * np.sqrt(mean) + np.maximum(z**2 - 1, 0.0) / 6
    return np.minimum(load, mean * np.maximum(ranks, 1.0))


def hottest_rank(pairs: Number, held: Number, ranks: Number, share: float) -> tuple[Number, Number]:
    """How many times more the hottest rank has to do than the mean: token-expert pairs, and experts touched.

    pairs: of one rank on average. held: experts of one rank. ranks: expert-parallel groups. share: of the
    random overload that a step waits for, 0 to 1: routing is steadier than chance where experts are balanced.
    """
    mean = np.maximum(np.asarray(pairs, dtype=float), 1e-9)
    hottest = mean + share * (maximum_load(mean, ranks) - mean)
    return hottest / mean, -np.expm1(-hottest / held) / -np.expm1(-mean / held)


# From work to time: the same equations, ideal with every efficiency 1, calibrated with measured ones.
#
# An op takes `roofline(bytes / (e_b BW), FLOPs / (e_f F))`; attention pays for padded query tiles, grouped
# GEMMs for the rows that pad every expert touched, expert parallelism for its hottest rank. A step adds what
# kernels do not explain: elementwise passes, overheads per layer, expert layer and sequence by serving engine.
# The forms and the fit behind the constants are in docs/method.md; the constants are data
# (hardware_profiles/efficiency/).


@dataclass(frozen=True, slots=True)
class Efficiency:
    """What hardware and software reach of the peaks, and what they add. The defaults are the ideal."""

    norms: Mapping[str, float] = field(default_factory=dict)  # how memory and arithmetic overlap, by kind of op
    bandwidth: Mapping[str, float] = field(default_factory=dict)  # share of peak bandwidth, by kind of op
    flops: Mapping[str, float] = field(default_factory=dict)  # share of peak FLOP/s of GEMMs, by weight format
    kind_flops: Mapping[str, float] = field(default_factory=dict)  # of other kinds of op, alone or times the GEMM's
    tile_rows: float = 0.0  # query rows of the tiles that attention kernels compute whole; 0: no tiles
    expert_tiles: Mapping[str, float] = field(default_factory=dict)  # rows that an expert's GEMM computes at least
    hottest_rank: float = 0.0  # share of the hottest expert rank's random overload that a step waits for
    quantize_seconds: Mapping[str, float] = field(default_factory=dict)  # [s] per GEMM, by weight format
    layer_seconds: Number = 0.0  # [s] per layer and decode step
    expert_layer_seconds: float = 0.0  # [s] more per expert layer
    latent_layer_seconds: float = 0.0  # [s] more per MLA layer
    sequence_seconds: float = 0.0  # [s] per sequence on a rank and step
    draft_seconds: float = 0.0  # [s] of the host per drafted token: sampling it
    elementwise_passes: float = 0.0  # passes over a token's activations per layer
    routed_seconds: float = 0.0  # [s] per token-expert pair and layer: permutation
    all_reduce_seconds: float = 0.0  # [s] per all-reduce
    all_reduce_log_seconds: float = 0.0  # [s] per doubling of the ranks
    all_to_all_seconds: float = 0.0  # [s] per direction
    all_reduce_network_seconds: float = 0.0  # [s] more where it leaves the scale-up domain
    all_to_all_network_seconds: float = 0.0  # [s] more where it leaves the scale-up domain
    link: float = 1.0  # share of the links' bandwidth
    shared_link: float = 1.0  # of that, where more than two GPUs share the host's PCIe
    overlap: float = 1.0  # share of a step behind which an all-to-all over the network hides (two micro-batches)
    prefill_layer_seconds: float = 0.0  # [s] per layer and prefill pass
    prefill_expert_layer_seconds: Number = 0.0  # [s] more per expert layer

    def share(self, table: Mapping[str, float], *keys: str) -> float:
        """The first of `keys` that `table` has, else 1 (ideal)."""
        for key in keys:
            if key in table:
                return table[key]
        return 1.0


IDEAL = Efficiency()
_SIXTEEN_BITS = ("bf16", "fp16")
UNPACKED = "weight_only"
"""Narrow weights that are unpacked to 16 bits before they are multiplied."""
UNPACKED_EXPERTS = "experts_unpacked"
"""Grouped GEMMs of such weights, which run other kernels than grouped GEMMs do otherwise."""


@dataclass(frozen=True, slots=True)
class OpTime:
    """What one op of a step costs: whole-step totals, time on the busiest GPU."""

    op: str
    kind: str
    flops: Number  # [FLOP] per GPU and step, the mean of all GPUs
    bytes: Number  # [B] per GPU and step, the mean of all GPUs
    seconds: Number  # [s] per step
    memory_seconds: Number  # [s] at the peaks
    compute_seconds: Number  # [s] at the peaks
    precision: str = "bf16"

    @property
    def communicates(self) -> bool:
        return self.kind in COMMUNICATION


def op_times(works: Iterable[Op], machine: Machine, efficiency: Efficiency) -> list[OpTime]:
    """Time every op of a step [s]."""
    return [_op_time(work, machine, efficiency) for work in works]


def _op_time(work: Op, machine: Machine, efficiency: Efficiency) -> OpTime:
    if work.kind in COMMUNICATION:
        seconds = _link_seconds(work, machine, efficiency)
        memory = compute = 0.0 * seconds  # it is bound by neither
    else:
        memory = memory_seconds(work.bytes, machine.memory_bandwidth)
        compute = compute_seconds(work.flops, machine.peak(work.precision))
        if work.kind == "elementwise":
            memory = memory * efficiency.elementwise_passes
        achieved_memory = memory / efficiency.share(efficiency.bandwidth, work.kind)
        achieved_compute = compute * padding(work, efficiency) / flop_share(work, efficiency)
        if work.kind == "experts" and efficiency.hottest_rank:
            pairs, touched = hottest_rank(work.routed, work.held, work.ranks, efficiency.hottest_rank)
            achieved_memory, achieved_compute = achieved_memory * touched, achieved_compute * pairs
        seconds = roofline_seconds(achieved_memory, achieved_compute, efficiency.norms.get(work.kind, np.inf))
        seconds = seconds + work.routed * efficiency.routed_seconds
        if work.kind == "gemm":
            seconds = seconds + efficiency.quantize_seconds.get(_gemm_class(work), 0.0)
    n = work.layers
    passes = efficiency.elementwise_passes if work.kind == "elementwise" else 1.0
    return OpTime(
        work.op,
        work.kind,
        n * work.flops * work.mean_flops,
        n * work.bytes * passes * work.mean_bytes,
        n * seconds,
        n * memory,
        n * compute,
        work.precision,
    )


def padding(work: Op, efficiency: Efficiency) -> Number:
    """FLOPs of the kernel over those of the model [1]: rows that pad experts' GEMMs and attention's query tiles."""
    if work.kind == "experts":
        # A tile at least for every expert touched, and half of one more for those that need several.
        tiles = efficiency.expert_tiles
        tile = tiles.get(_gemm_class(work), tiles.get("other", 0.0)) / work.rows
        return np.maximum(tile, 1 + tile / 2)
    if efficiency.tile_rows and work.kind == "grouped":
        rows = efficiency.tile_rows / TILE_ROWS
        return np.maximum(work.tile_flops * rows / np.maximum(work.flops, 1.0), 1.0)
    return 1.0


def _gemm_class(work: Op) -> str:
    """The weight format that a GEMM's rate goes by: narrow weights that are unpacked to 16 bits are alike."""
    unpacked = work.precision in _SIXTEEN_BITS and work.weights not in (*_SIXTEEN_BITS, "fp32")
    return UNPACKED if unpacked else work.weights


def flop_share(work: Op, efficiency: Efficiency) -> float:
    """Share of the peak FLOP/s that an op reaches [1], by its kind and the format of its weights."""
    if work.kind in ("gemm", "head"):
        return efficiency.share(efficiency.flops, _gemm_class(work), work.precision)
    if work.kind == "experts":
        if _gemm_class(work) == UNPACKED and UNPACKED_EXPERTS in efficiency.kind_flops:
            return efficiency.kind_flops[UNPACKED_EXPERTS]
        base = efficiency.share(efficiency.flops, _gemm_class(work), work.precision)
        return base * efficiency.share(efficiency.kind_flops, "experts")
    return efficiency.share(efficiency.kind_flops, work.kind)


def _link_seconds(work: Op, machine: Machine, efficiency: Efficiency) -> Number:
    outside = np.asarray(work.ranks) > machine.domain
    shared = (np.asarray(work.ranks) > 2) & (not machine.switched)
    link = efficiency.link * np.where(shared, efficiency.shared_link, 1.0)
    if work.kind == "all_reduce":
        ranks = np.maximum(work.ranks, 1)
        moved = all_reduce_seconds(work.bytes, ranks, machine) / link
        hops = efficiency.all_reduce_seconds + efficiency.all_reduce_log_seconds * np.log2(ranks)
        return moved + hops + outside * efficiency.all_reduce_network_seconds
    if work.kind == "all_to_all":
        moved = all_to_all_seconds(work.bytes, work.ranks, machine, work.copies) / link
        return moved + efficiency.all_to_all_seconds + outside * efficiency.all_to_all_network_seconds
    # A stage sends to one other: nobody shares its link.
    return transfer_seconds(work.bytes, outside, machine) / efficiency.link
