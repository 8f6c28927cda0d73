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
from costcalc.engine.roofline import Addition, Machine, Term, Timing, domains_of, either
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


# What collectives move: bytes over links and network, in rings, in switches and between domains.
#
# Ring all-reduce after Patarasuk and Yuan 2009 (doi 10.1016/j.jpdc.2008.09.002); hierarchical as NCCL runs it over
# several nodes; expert all-to-all after DeepSeek-V3 (arXiv 2412.19437, 3.2).


IN_SWITCH = ("hopper", "blackwell")
"""Architectures whose NVSwitches reduce and multicast (third generation and later)."""
IN_SWITCH_RANKS = 8


def all_reduce_bytes(message: Number, ranks: Number) -> Number:
    """Bytes that each link carries one way in a ring all-reduce of `message` [B]: 2(n - 1)/n of it."""
    return 2 * (ranks - 1) / ranks * message


def multicast_bytes(message: Number, ranks: Number) -> Number:
    """Bytes that each link carries one way when the switch reduces and multicasts (NVLink SHARP) [B]."""
    return (ranks + 1) / ranks * message


def reduces_in_switch(architecture: str, switched: Number, ranks: Number) -> Number:
    """Whether NVSwitches add up the data of `ranks` GPUs: of Hopper and later, from 8 ranks on as NCCL uses it."""
    able = architecture in IN_SWITCH
    return (np.asarray(ranks) >= IN_SWITCH_RANKS) & np.asarray(switched, dtype=bool) & able


def all_reduce_link_bytes(message: Number, ranks: Number, machine: Machine) -> Number:
    """Bytes that an all-reduce of `message` [B] sends over a GPU's links, one way: that of its own domain [B]."""
    local = ranks / domains_of(machine, ranks)
    in_switch = reduces_in_switch(machine.architecture, machine.switched, local)
    return np.where(in_switch, multicast_bytes(message, local), all_reduce_bytes(message, local))


def all_reduce_network_bytes(message: Number, ranks: Number, machine: Machine) -> Number:
    """Bytes that a GPU sends over the network when `message` [B] was reduced inside its domain first [B]."""
    domains = domains_of(machine, ranks)
    return all_reduce_bytes(message / (ranks / domains), domains)


def all_reduce_seconds(message: Number, ranks: Number, machine: Machine) -> Number:
    """All-reduce over one domain, or reduced inside each domain first and between domains on a share of it."""
    within = all_reduce_link_bytes(message, ranks, machine) / machine.link_bandwidth
    return within + all_reduce_network_bytes(message, ranks, machine) / machine.network_bandwidth


def all_to_all_link_bytes(sent: Number, ranks: Number, machine: Machine, copies: Number = 1) -> Number:
    """Of `sent` [B], evenly to `ranks`, the bytes that a GPU sends inside its domain [B].

    copies: how many destinations each token has among what is sent; beyond 1, a token is handed on inside a domain.
    """
    local = ranks / domains_of(machine, ranks)
    handed_on = np.where(np.asarray(copies) > 1, local, ranks)
    return sent * (local - 1) / handed_on


def all_to_all_network_bytes(sent: Number, ranks: Number, machine: Machine, copies: Number = 1) -> Number:
    """Of `sent` [B], evenly to `ranks`, the bytes that a GPU sends out of its domain [B].

    copies: how many destinations each token has among what is sent. Beyond 1, a token crosses the network
    once to every domain that holds any of them and is handed on inside it, as throughput kernels do
    (DeepSeek-V3, 2412.19437, 3.2.2); spread over D domains, c copies reach (D - 1)(1 - (1 - 1/D)^c) others.
    """
    domains = domains_of(machine, ranks)
    reached = (domains - 1) * (1 - np.power(1 - 1 / domains, copies))
    return sent / copies * reached


def all_to_all_seconds(sent: Number, ranks: Number, machine: Machine, copies: Number = 1) -> Number:
    """Each GPU sends `sent` [B] evenly to `ranks`: inside the domain and out of it at the same time."""
    within = all_to_all_link_bytes(sent, ranks, machine, copies) / machine.link_bandwidth
    return np.maximum(within, all_to_all_network_bytes(sent, ranks, machine, copies) / machine.network_bandwidth)


def transfer_bandwidth(crosses: Number, machine: Machine) -> Number:
    """Bandwidth to the next pipeline stage: that of the network where `crosses` is true [B/s]."""
    return np.where(crosses, machine.network_bandwidth, machine.link_bandwidth)


# Collectives: NCCL's, the serving engines' own all-reduce, and expert exchange.
#
# A pipelined transfer with the best number of chunks takes (√α + √β)²: α is the time of an empty one,
# β that of its bytes (Thakur, Rabenseifner and Gropp 2005, doi 10.1177/1094342005051521, for α and β).


PIPELINED = 0.5
"""The norm of (√α + √β)²."""


class CollectiveCurve(Record):
    """A collective of NCCL or RCCL."""

    latency: Number = 0.0  # [s] of an empty one between two ranks
    link: Number = 1.0  # share of the link's bandwidth
    rank_growth: Number = 0.0  # more latency per rank beyond two, relative
    network_latency: Number = 0.0  # [s] more where it leaves the scale-up domain

    measured: ClassVar[Mapping[str, Number]] = {}


class CustomAllReduceCurve(Record):
    """A serving engine's own all-reduce for small messages."""

    latency: Number  # [s] of one exchange of flags and data between two ranks
    link: Number  # share of the link's bandwidth
    doubling_growth: Number  # more latency per doubling of the ranks beyond two, relative
    two_shot: Number  # latency of reduce-scatter and all-gather, relative to one shot
    limit: Number = np.inf  # [B] message above which the engine leaves it to NCCL

    measured: ClassVar[Mapping[str, Number]] = {}


class AllReduceCurve(Record):
    """An all-reduce, by the engine's own kernel or by NCCL, whichever is faster."""

    library: CollectiveCurve = CollectiveCurve()
    custom: CustomAllReduceCurve | None = None


class ExchangeCurve(Record):
    """Dispatch of tokens to experts, or the combination of their results."""

    latency: Number = 0.0  # [s]
    link: Number = 1.0  # share of the link's bandwidth
    network_latency: Number = 0.0  # [s] more where it leaves the scale-up domain

    measured: ClassVar[Mapping[str, Number]] = {}


def gathered_bytes(message: Number, ranks: Number) -> Number:
    """Bytes over each link, one way, in an all-gather, reduce-scatter or all-to-all of `message` [B]."""
    return (ranks - 1) / ranks * message


def collective(sent: Number, ranks: Number, link: Number, curve: CollectiveCurve) -> Timing:
    """A pipelined collective: (√α + √β)² [s].

    sent: bytes over each link [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    rises = 1 + curve.rank_growth * np.maximum(np.asarray(ranks) - 2, 0)
    terms = (Term("link", "B", sent, link, capped(curve.link)), _latency(rises, curve.latency))
    return Timing(terms, PIPELINED, ())


def custom_all_reduce(message: Number, ranks: Number, link: Number, curve: CustomAllReduceCurve) -> Timing:
    """The faster of one-shot (all send all) and two-shot (reduce-scatter, all-gather) [s].

    message: bytes reduced [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    ranks = np.maximum(ranks, 2)
    rises = 1 + curve.doubling_growth * np.log2(ranks / 2)
    share = capped(curve.link)

    def shot(nbytes: Number, exchanges: Number) -> Timing:
        return Timing((Term("link", "B", nbytes, link, share), _latency(exchanges, curve.latency)), 1.0, ())

    one = shot((ranks - 1) * message, rises)
    two = shot(all_reduce_bytes(message, ranks), curve.two_shot * rises)
    return either(one.seconds <= two.seconds, one, two)


def all_reduce(op: Op, machine: Machine, curve: AllReduceCurve) -> Timing:
    """An all-reduce of `op.bytes` [B] [s]: by NCCL inside each domain and between domains, or by the engine's kernel.

    The engine's own runs inside one domain, where its message is small, and not where more than two cards share PCIe.
    """
    ranks = np.maximum(op.ranks, 1)
    outside = ranks > machine.domain
    library = collective(all_reduce_link_bytes(op.bytes, ranks, machine), ranks, machine.link_bandwidth, curve.library)
    network = Term(
        "network", "B", all_reduce_network_bytes(op.bytes, ranks, machine), machine.network_bandwidth,
        capped(curve.library.link),
    )  # fmt: skip
    latency = Addition("network latency", outside * 1.0, curve.library.network_latency)
    if curve.custom is not None:
        own = custom_all_reduce(op.bytes, ranks, machine.link_bandwidth, curve.custom)
        few = np.asarray(machine.switched, dtype=bool) | (np.asarray(ranks) <= 2)
        possible = ~outside & (op.bytes <= curve.custom.limit) & few
        library = either(possible & (own.seconds <= library.seconds), own, library)
    terms = (*library.terms, network._replace(amount=network.amount * np.where(outside, 1.0, 0.0)))
    return Timing(terms, library.norm, (latency,))


def exchange(sent: Number, link: Number, curve: ExchangeCurve) -> Timing:
    """Dispatch of tokens to experts, or combination of results, inside a domain [s].

    sent: bytes over each link [B]. link: bandwidth of one GPU, one direction [B/s].
    """
    return Timing(
        (Term("link", "B", sent, link, capped(curve.link)),), np.inf, (Addition("latency", 1.0, curve.latency),)
    )


def expert_exchange(op: Op, machine: Machine, curve: ExchangeCurve) -> Timing:
    """Dispatch of tokens to the ranks of their experts, or combination of results [s]: links and network at once."""
    within = all_to_all_link_bytes(op.bytes, op.ranks, machine, op.copies)
    between = all_to_all_network_bytes(op.bytes, op.ranks, machine, op.copies)
    alone, outside = exchange(within, machine.link_bandwidth, curve), np.asarray(op.ranks) > machine.domain
    network = Term("network", "B", between, machine.network_bandwidth, capped(curve.link))
    latency = Addition("network latency", outside * 1.0, curve.network_latency)
    return Timing((*alone.terms, network), alone.norm, (*alone.additions, latency))


def _latency(exchanges: Number, seconds: Number) -> Term:
    """So many exchanges of `seconds` each."""
    return Term("latency", "exchanges", exchanges, np.inf if np.all(np.asarray(seconds) == 0) else 1 / seconds)
