"""What each op of a step takes: its bytes, FLOPs and messages over what the machine reaches, as terms and additions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Literal

import numpy as np

from costcalc.engine.collectives import (
    all_reduce_link_bytes,
    all_reduce_network_bytes,
    all_to_all_link_bytes,
    all_to_all_network_bytes,
    transfer_bandwidth,
)
from costcalc.engine.ops import COMMUNICATION, Op
from costcalc.engine.roofline import Machine, compute_seconds, memory_seconds, roofline_seconds
from costcalc.fields import Number, Record
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


class Efficiency(Record):
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
class Term:
    """An amount of work that one resource does: its time is amount × factor / (share × peak)."""

    name: Literal["memory", "compute", "link", "network"]
    unit: Literal["B", "FLOP"]
    amount: Number  # [unit] of one call
    peak: Number  # [unit/s]
    share: Number = 1.0  # of the peak that is reached
    factor: Number = 1.0  # what padding, the hottest rank or further passes make of the amount

    @property
    def seconds(self) -> Number:
        """Time of the resource [s]."""
        return self.amount * self.factor / (self.share * self.peak)


@dataclass(frozen=True, slots=True)
class Addition:
    """What comes on top, so many times so long."""

    name: str  # of what is counted
    count: Number
    seconds_each: Number  # [s]

    @property
    def seconds(self) -> Number:
        """Time of all of them [s]."""
        return self.count * self.seconds_each


def joined_seconds(terms: Sequence[Term], norm: float) -> Number:
    """Join the times of `terms` [s]: their maximum (norm inf), their sum (1), or what lies in between."""
    times = [term.seconds for term in terms]
    return reduce(lambda a, b: roofline_seconds(a, b, norm), times) if times else 0.0


def added_seconds(additions: Iterable[Addition]) -> Number:
    """Return the time of all additions [s]."""
    return sum((each.seconds for each in additions), start=0.0)


@dataclass(frozen=True, slots=True)
class OpTime:
    """What one op of a step costs: whole-step totals, time on the busiest GPU, and what that is made of."""

    op: str
    kind: str
    flops: Number  # [FLOP] per GPU and step, the mean of all GPUs
    bytes: Number  # [B] per GPU and step, the mean of all GPUs
    calls: Number  # how often a step runs it
    terms: tuple[Term, ...]  # of one call
    norm: float  # how terms join: their maximum (inf), their sum (1), or in between
    additions: tuple[Addition, ...]  # to one call
    memory_seconds: Number  # [s] at the peaks
    compute_seconds: Number  # [s] at the peaks
    precision: str = "bf16"
    seconds: Number = field(init=False)  # [s] per step: calls × (terms, joined, + additions)

    def __post_init__(self) -> None:
        """Add up the time once: a step asks for it often."""
        each = joined_seconds(self.terms, self.norm) + added_seconds(self.additions)
        object.__setattr__(self, "seconds", self.calls * each)

    @property
    def communicates(self) -> bool:
        return self.kind in COMMUNICATION


def op_times(works: Iterable[Op], machine: Machine, efficiency: Efficiency) -> list[OpTime]:
    """Time every op of a step [s]."""
    return [_op_time(work, machine, efficiency) for work in works]


def _op_time(work: Op, machine: Machine, efficiency: Efficiency) -> OpTime:
    n, passes = work.layers, 1.0
    memory: Number = 0.0
    compute: Number = 0.0
    if work.kind in COMMUNICATION:  # bound by neither
        terms, norm, additions = _communication(work, machine, efficiency)
    else:
        passes = efficiency.elementwise_passes if work.kind == "elementwise" else 1.0
        memory = n * memory_seconds(work.bytes * passes, machine.memory_bandwidth)
        compute = n * compute_seconds(work.flops, machine.peak(work.precision))
        terms = _memory_and_compute(work, machine, efficiency, passes)
        norm, additions = efficiency.norms.get(work.kind, np.inf), _engine_additions(work, efficiency)
    flops, moved = n * work.flops * work.mean_flops, n * work.bytes * passes * work.mean_bytes
    return OpTime(work.op, work.kind, flops, moved, n, terms, norm, additions, memory, compute, work.precision)


def _memory_and_compute(work: Op, machine: Machine, efficiency: Efficiency, passes: float) -> tuple[Term, ...]:
    """What memory and arithmetic have to do, on the rank that a step waits for."""
    pairs: Number = 1.0
    touched: Number = 1.0
    if work.kind == "experts" and efficiency.hottest_rank:
        pairs, touched = hottest_rank(work.routed, work.held, work.ranks, efficiency.hottest_rank)
    reached = efficiency.share(efficiency.bandwidth, work.kind)
    return (
        Term("memory", "B", work.bytes, machine.memory_bandwidth, reached, passes * touched),
        Term(
            "compute", "FLOP", work.flops, machine.peak(work.precision), flop_share(work, efficiency),
            padding(work, efficiency) * pairs,
        ),
    )  # fmt: skip


def _engine_additions(work: Op, efficiency: Efficiency) -> tuple[Addition, ...]:
    """What an op takes beside memory and arithmetic: permuting tokens to experts, quantizing what a GEMM takes in."""
    if work.kind == "experts":
        return (Addition("token-expert pairs", work.routed, efficiency.routed_seconds),)
    if work.kind == "gemm":
        return (Addition("quantizing", 1.0, efficiency.quantize_seconds.get(_gemm_class(work), 0.0)),)
    return ()


def _communication(
    work: Op, machine: Machine, efficiency: Efficiency
) -> tuple[tuple[Term, ...], float, tuple[Addition, ...]]:
    """What links and network have to carry, how the two join, and latencies."""
    e, outside = efficiency, np.asarray(work.ranks) > machine.domain
    if work.kind == "pipeline":
        # A stage sends to one other: nobody shares its link.
        return (Term("link", "B", work.bytes, transfer_bandwidth(outside, machine), e.link),), 1, ()
    shared = (np.asarray(work.ranks) > 2) & (not machine.switched)
    share = e.link * np.where(shared, e.shared_link, 1.0)
    if work.kind == "all_reduce":
        ranks = np.maximum(work.ranks, 1)
        within = all_reduce_link_bytes(work.bytes, ranks, machine)
        between = all_reduce_network_bytes(work.bytes, ranks, machine)
        norm = 1.0  # inside each domain first, then between domains
        latencies: tuple[Addition, ...] = (
            Addition("latency", 1.0, e.all_reduce_seconds),
            Addition("doublings of the ranks", np.log2(ranks), e.all_reduce_log_seconds),
            Addition("network latency", outside * 1.0, e.all_reduce_network_seconds),
        )
    else:
        within = all_to_all_link_bytes(work.bytes, work.ranks, machine, work.copies)
        between = all_to_all_network_bytes(work.bytes, work.ranks, machine, work.copies)
        norm = np.inf  # both at the same time
        latencies = (
            Addition("latency", 1.0, e.all_to_all_seconds),
            Addition("network latency", outside * 1.0, e.all_to_all_network_seconds),
        )
    terms = (
        Term("link", "B", within, machine.link_bandwidth, share),
        Term("network", "B", between, machine.network_bandwidth, share),
    )
    return terms, norm, latencies


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
