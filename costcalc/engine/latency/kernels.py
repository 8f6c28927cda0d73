"""What one kernel takes: closed forms of its memory, arithmetic and launches, the same for estimates and measurements.

A form takes an op, a machine and a curve, and returns its terms and additions. A curve's defaults are the ideal:
nothing launched, every peak reached, terms that overlap. Measured curves are data: hardware_profiles/efficiency/.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import ClassVar, TypeVar

import numpy as np

from costcalc.engine.ops import Op
from costcalc.engine.roofline import Addition, Machine, Term, Timing
from costcalc.fields import Array, Number, Record
from costcalc.model.attention.base import TILE_ROWS


def capped(value: Number) -> Number:
    """A share of a peak, at most 1, so that no calibrated time beats the roofline."""
    return np.minimum(value, 1.0)


# Curves out of fitted parameters: global values times what each family, kernel or precision adds.


Multipliers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Factors by level (such as 'family'), member (such as 'hopper') and parameter."""

Member = str | Array
Members = Mapping[str, Member]
"""The member of every level: one for all, or one per element."""

CurveT = TypeVar("CurveT")


def curve_of(
    curve: type[CurveT], parameters: Mapping[str, float], multipliers: Multipliers, members: Members, **rest: Number
) -> CurveT:
    """Return the curve of the given members; members that were never fitted keep the global value.

    curve: a class of this module, such as GemmCurve. parameters: global values by name. multipliers: factors by
    level, member and parameter. members: the member of each level. rest: what is not fitted.
    """
    values: dict[str, Number] = dict(parameters)
    for level, factors in multipliers.items():
        if level in members:
            for name in {name for each in factors.values() for name in each}:
                values[name] = values[name] * _factor(factors, name, members[level])
    return curve(**values, **rest)


def _factor(factors: Mapping[str, Mapping[str, float]], name: str, member: Member) -> Number:
    if isinstance(member, str):
        return factors.get(member, {}).get(name, 1.0)
    result = np.ones(member.shape)
    for each, values in factors.items():
        if name in values:
            result = np.where(member == each, values[name], result)
    return result


_TIMES = ("launch", "quantize_launch", "latency")
_MEMORY = ("bandwidth", "buffer_bandwidth", "quantize_bandwidth", "link")
_ARITHMETIC = ("flops", "exponentials")


def scaled(curve: CurveT, *, times: Number = 1.0, memory: Number = 1.0, arithmetic: Number = 1.0) -> CurveT:
    """The curve of something that launches `times` as long, and reaches so much more of memory and arithmetic."""
    factors = {
        **dict.fromkeys(_TIMES, times),
        **dict.fromkeys(_MEMORY, memory),
        **dict.fromkeys(_ARITHMETIC, arithmetic),
    }
    own = {each.name: factors[each.name] for each in fields(curve) if each.name in factors}  # type: ignore[arg-type]
    return replace(curve, **{name: getattr(curve, name) * factor for name, factor in own.items()})  # type: ignore[type-var]


_READS_ONLY = {
    "launch": 0.0, "quantize_launch": 0.0, "quantize_bandwidth": np.inf, "activations": 0.0, "buffer_bandwidth": np.inf,
}  # fmt: skip


def reads_only(curve: CurveT) -> CurveT:
    """The curve without launches, activations and buffers: what reading weights and cache alone takes."""
    own = {each.name: _READS_ONLY[each.name] for each in fields(curve) if each.name in _READS_ONLY}  # type: ignore[arg-type]
    return replace(curve, **own)  # type: ignore[type-var]


# A matrix product in any precision, and the quantization of its activations.


class GemmCurve(Record):
    """A matrix product."""

    launch: Number = 0.0  # [s]
    bandwidth: Number = 1.0  # share of peak memory bandwidth
    flops: Number = 1.0  # share of the peak of the precision multiplied in
    quantize_launch: Number = 0.0  # [s] of the kernel that quantizes the activations
    quantize_bandwidth: Number = np.inf  # share of peak memory bandwidth of that kernel
    tile_rows: Number = 0.0  # rows that are multiplied at least; 0: as many as there are
    activations: Number = 0.0  # 1: rows are read and written, and not only weights
    norm: Number = np.inf

    measured: ClassVar[Mapping[str, Number]] = {
        "activations": 1.0, "norm": 2.0,
    }  # fmt: skip


def _none(value: Number) -> bool:
    """Whether a parameter of a curve is 0 for all, so that arrays need not be multiplied with it."""
    return np.ndim(value) == 0 and not value


def gemm(op: Op, machine: Machine, curve: GemmCurve) -> Timing:
    """Matrix products of the same rows [s]: weights streamed, rows multiplied in whole tiles, activations quantized.

    bytes/(e_b BW) and FLOPs/(e_f F) joined, a launch for each, and for each whose activations are narrowed the
    kernel that does it.
    """
    padding = 1.0 if _none(curve.tile_rows) else np.maximum(curve.tile_rows / np.asarray(op.rows, dtype=float), 1.0)
    quantized = 0.0 if _none(op.narrowed) else op.narrowed * op.quantized
    moved = op.bytes if _none(curve.activations) else op.bytes + curve.activations * op.traffic
    terms = (
        Term("memory", "B", moved, machine.memory_bandwidth, capped(curve.bandwidth)),
        Term("compute", "FLOP", op.flops, machine.peak(op.precision), capped(curve.flops), padding),
    )
    additions = (
        Addition("launches", op.launches, curve.launch),
        Addition("quantizing launches", op.narrowed * op.launches, curve.quantize_launch),
        Term("memory", "B", quantized, machine.memory_bandwidth, curve.quantize_bandwidth),
    )
    return Timing(terms, curve.norm, additions)


# Fused routed experts: grouped products of gate, up and down, and the traffic of their buffers.


class ExpertsCurve(Record):
    """The routed experts of one layer on one GPU."""

    launch: Number = 0.0  # [s] of routing, permutation, both grouped products, activation and the sum
    bandwidth: Number = 1.0  # share of peak memory bandwidth, for weights
    flops: Number = 1.0  # share of the peak with many tokens per expert
    ramp_tokens: Number = 0.0  # tokens per expert at which half of that is reached
    buffer_bandwidth: Number = np.inf  # share of peak memory bandwidth, for the buffers between kernels
    norm: Number = np.inf
    hottest: Number = 0.0  # share of the hottest rank's random overload that a step waits for
    skew: Number = 0.0  # what the hottest rank has beyond the mean however many tokens there are, relative
    zipf: Number = 0.0  # exponent of the law by which experts are chosen; 0: evenly
    all_pairs: Number = False  # whether buffers hold a row for the pairs of all ranks

    measured: ClassVar[Mapping[str, Number]] = {"norm": 2.0}


def experts(op: Op, machine: Machine, curve: ExpertsCurve) -> Timing:
    """Routed experts that one GPU holds [s]: weights of those hit, products ramping up with rows, buffers."""
    skew = zipf_skew(op.held, op.ranks, curve.zipf) if curve.zipf else curve.skew
    pairs, touched = hottest_rank(op.routed, op.routed / op.rows / op.held, op.ranks, curve.hottest, skew)
    ramped = pairs + curve.ramp_tokens / op.rows * touched
    terms = (
        Term("memory", "B", op.bytes, machine.memory_bandwidth, capped(curve.bandwidth), touched),
        Term("compute", "FLOP", op.flops, machine.peak(op.precision), capped(curve.flops), ramped),
    )
    buffers = np.where(curve.all_pairs, op.buffers_of_all, op.buffers * pairs)
    additions = (
        Addition("launches", 1.0, curve.launch),
        Term("memory", "B", buffers, machine.memory_bandwidth, curve.buffer_bandwidth),
    )
    return Timing(terms, curve.norm, additions)


def hottest_rank(
    pairs: Number, touched: Number, ranks: Number, share: Number, skew: Number = 0.0
) -> tuple[Number, Number]:
    """How many times more the hottest rank has to do than the mean: token-expert pairs, and experts touched.

    pairs: of one rank on average. touched: share of a rank's experts that they touch, 1 - m: h times the pairs miss
    m^h of them. ranks: expert-parallel groups. share: of the random overload that a step waits for, 0 to 1: routing is
    steadier than chance where experts are balanced. skew: overload that no number of tokens evens out, relative; none
    beyond all pairs on one rank.
    """
    mean = np.maximum(np.asarray(pairs, dtype=float), 1e-9)
    lasting = np.minimum(1 + np.asarray(skew), np.maximum(ranks, 1.0))
    hottest = lasting * mean + share * (maximum_load(mean, ranks) - mean)
    times = np.minimum(hottest, mean * np.maximum(ranks, 1.0)) / mean
    usual = np.clip(touched, 1e-300, 1 - 1e-16)
    return times, np.maximum(-np.expm1(times * np.log1p(-usual)) / usual, 1.0)


def zipf_skew(held: Number, ranks: Number, exponent: Number) -> Number:
    """Overload of the hottest rank when expert i of all is chosen in proportion to i^-s, relative.

    The experts are dealt to the ranks in turn, the most popular first, as a balancer would: the first rank gets
    experts 1, 1 + R, 1 + 2R, ... held: experts of a rank. ranks: R. exponent: s.
    """

    def of_one(each: float, count: float) -> float:
        popularity = np.arange(1, round(each * count) + 1, dtype=float) ** -float(exponent)
        return float(popularity[:: max(round(count), 1)].sum() / popularity.sum() * count - 1)

    return np.asarray(np.vectorize(of_one, otypes=[float])(held, ranks))


def maximum_load(mean: Number, ranks: Number) -> Number:
    """Expected load of the fullest of `ranks` when balls fall at random, `mean` of them on each.

    mean + z sqrt(mean) + (z^2 - 1)/6 for a Poisson load, with z the expected maximum of as many normal draws
    (Cornish and Fisher 1938, doi 10.2307/1400905); at most all balls.
    """
    z = normal_maximum(ranks)
    load = mean + z * np.sqrt(mean) + np.maximum(z * z - 1, 0.0) / 6
    return np.minimum(load, mean * np.maximum(ranks, 1.0))


def normal_maximum(count: Number) -> Number:
    """Expected maximum of `count` standard normal draws, by its asymptotic series (Gumbel 1958, section 4.2.3)."""
    n = np.maximum(np.asarray(count, dtype=float), 2.0)
    top = np.sqrt(2 * np.log(n))
    series = top - (np.log(np.log(n)) + np.log(4 * np.pi) - 2 * np.euler_gamma) / (2 * top)
    return np.where(np.asarray(count) > 1, series, 0.0)


# Attention kernels: decode over a cache of heads or of latents, and causal prefill.
#
# What the FLOPs are is what tells the kernels apart: a query tile has a least number of rows, so decode does the
# work of as many query heads per KV head (FlashDecoding and FlashInfer pack the heads of a group into one tile);
# absorbed MLA has 16 to 128 heads per latent anyway.


class GroupedDecodeCurve(Record):
    """Decode attention of MHA, GQA and MQA."""

    launch: Number = 0.0  # [s] launch, scheduling and the reduction over splits
    bandwidth: Number = 1.0  # share of peak memory bandwidth
    flops: Number = 1.0  # share of the peak, in tile-padded FLOPs
    tile_rows: Number = 0.0  # query rows of a tile; 0: no tiles
    fp8: bool = False  # whether an fp8 cache is multiplied at the fp8 rate
    norm: Number = np.inf

    measured: ClassVar[Mapping[str, Number]] = {"norm": 8.0}  # loads and arithmetic are pipelined: nearly a maximum


def grouped_decode(op: Op, machine: Machine, curve: GroupedDecodeCurve) -> Timing:
    """Decode attention over a cache of KV heads [s]: bytes, and FLOPs of whole query tiles."""
    padded = op.tile_flops * curve.tile_rows / TILE_ROWS
    padding = np.maximum(padded / np.maximum(op.flops, 1.0), 1.0)
    peak = machine.peak("fp8" if curve.fp8 else op.precision)
    return _attention(op, machine, curve, peak, padding)


class LatentDecodeCurve(Record):
    """Decode attention of absorbed MLA by a kernel made for it; recurrent states and index scores too."""

    launch: Number = 0.0  # [s]
    bandwidth: Number = 1.0  # share of peak memory bandwidth
    flops: Number = 1.0  # share of the 16-bit peak, also for an fp8 cache
    norm: Number = np.inf

    measured: ClassVar[Mapping[str, Number]] = {"norm": 2.0}


def latent_decode(op: Op, machine: Machine, curve: LatentDecodeCurve) -> Timing:
    """Decode attention over latents, which tensor parallelism does not divide [s]."""
    return _attention(op, machine, curve, machine.peak(op.precision))


def _attention(
    op: Op, machine: Machine, curve: GroupedDecodeCurve | LatentDecodeCurve, peak: Number, padding: Number = 1.0
) -> Timing:
    terms = (
        Term("memory", "B", op.bytes, machine.memory_bandwidth, capped(curve.bandwidth)),
        Term("compute", "FLOP", op.flops, peak, capped(curve.flops), padding),
    )
    return Timing(terms, curve.norm, (Addition("launches", 1.0, curve.launch),))


class PrefillCurve(Record):
    """Causal prefill attention."""

    launch: Number = 0.0  # [s]
    flops: Number = 1.0  # share of the 16-bit peak, also for fp8 queries
    short_tokens: Number = 0.0  # length at which prologue, diagonal tiles and packing double the time
    exponentials: Number = np.inf  # softmax exponentials per second and multiprocessor
    norm: Number = np.inf

    measured: ClassVar[Mapping[str, Number]] = {"norm": 2.0}


def prefill_attention(op: Op, machine: Machine, curve: PrefillCurve) -> Timing:
    """Causal prefill attention [s]: tensor cores and exponentials overlap, short rows of scores cost more.

    A row of scores takes as long as `short_tokens` / 2 more of them would; a causal prompt of as many tokens has as
    many on average, and so takes twice its time.
    """
    row = op.scores / np.maximum(op.heads * op.sequences * op.tokens, 1.0)
    short = 1 + curve.short_tokens / (2 * np.maximum(row, 1.0))
    terms = (
        Term("compute", "FLOP", op.flops, machine.peak(op.precision), capped(curve.flops), short),
        Term("exponentials", "exp", op.scores, curve.exponentials * machine.sm_count, 1.0, short),
        Term("memory", "B", op.bytes, machine.memory_bandwidth),
    )
    return Timing(terms, curve.norm, (Addition("launches", 1.0, curve.launch),))
