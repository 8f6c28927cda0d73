"""Closed forms of single kernels, which their measurements fit. Estimates time ops in `engine/latency.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from costcalc.engine.collectives import all_reduce_bytes
from costcalc.fields import Number


def share(value: Number) -> Number:
    """A share of a peak, at most 1, so that no calibrated time beats the roofline."""
    return np.minimum(value, 1.0)


def overlapped(first: Number, second: Number, norm: Number) -> Number:
    """Time [s] of two resources used at once: their p-norm, from the maximum (p = inf) to the sum (p = 1)."""
    longest = np.maximum(first, second)
    shortest = np.minimum(first, second)
    ratio = shortest / np.where(longest > 0, longest, 1.0)
    return longest * (1.0 + ratio**norm) ** (1.0 / norm)


# Curves out of fitted parameters: global values times what each family, kernel or precision adds.


Multipliers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Factors by level (such as 'family'), member (such as 'hopper') and parameter."""

Members = Mapping[str, "str | NDArray[Any]"]
"""The member of every level: one for all, or one per element."""

CurveT = TypeVar("CurveT")


def curve_of(
    curve: type[CurveT], parameters: Mapping[str, float], multipliers: Multipliers, members: Members
) -> CurveT:
    """Return the curve of the given members; members that were never fitted keep the global value.

    curve: a class of this package, such as GemmCurve. parameters: global values by name.
    multipliers: factors by level, member and parameter. members: the member of each level.
    """
    values: dict[str, Number] = dict(parameters)
    for level, factors in multipliers.items():
        if level in members:
            for name in {name for each in factors.values() for name in each}:
                values[name] = values[name] * _factor(factors, name, members[level])
    return curve(**values)


def _factor(factors: Mapping[str, Mapping[str, float]], name: str, member: str | NDArray[Any]) -> Number:
    if isinstance(member, str):
        return factors.get(member, {}).get(name, 1.0)
    result = np.ones(member.shape)
    for each, values in factors.items():
        if name in values:
            result = np.where(member == each, values[name], result)
    return result


# Attention kernels: decode over a cache of heads or of latents, and causal prefill.
#
# One launch, then bytes and FLOPs at once. What the FLOPs are is what tells the kernels apart: a query tile
# never has fewer than 64 rows, so decode does the work of 64 query heads per KV head (FlashDecoding and
# FlashInfer pack the heads of a group into one tile); absorbed MLA has 16 to 128 heads per latent anyway.


TILE_ROWS = 64
"""Rows of the smallest query tile of a tensor-core attention kernel."""


@dataclass(frozen=True, slots=True)
class GroupedDecodeCurve:
    """Decode attention of MHA, GQA and MQA."""

    launch: Number  # [s] launch, scheduling and the reduction over splits
    bandwidth: Number  # share of peak memory bandwidth
    flops: Number  # share of the peak, in tile-padded FLOPs
    norm: Number = 8.0  # loads and arithmetic are pipelined: nearly a maximum


@dataclass(frozen=True, slots=True)
class LatentDecodeCurve:
    """Decode attention of absorbed MLA by a kernel made for it."""

    launch: Number  # [s]
    bandwidth: Number  # share of peak memory bandwidth
    flops: Number  # share of the 16-bit peak
    norm: Number = 2.0


@dataclass(frozen=True, slots=True)
class UnsplitDecodeCurve:
    """Decode attention of absorbed MLA by a kernel that gives each sequence to one multiprocessor."""

    launch: Number  # [s]
    flops: Number  # share of one multiprocessor's 16-bit peak


@dataclass(frozen=True, slots=True)
class CastDecodeCurve:
    """Decode attention that converts its whole cache to 16 bits before every step."""

    launch: Number  # [s]
    elements: Number  # cache elements per second and multiprocessor


@dataclass(frozen=True, slots=True)
class PrefillCurve:
    """Causal prefill attention."""

    launch: Number  # [s]
    flops: Number  # share of the 16-bit peak
    short_tokens: Number  # length at which prologue, diagonal tiles and packing double the time
    exponentials: Number  # softmax exponentials per second and multiprocessor
    norm: Number = 2.0


def tile_padded_flops(
    batch: Number, context: Number, kv_heads: Number, group: Number, head_dims: Number, rows: int = TILE_ROWS
) -> Number:
    """FLOPs that decode attention really does when a query tile has at least `rows` rows.

    batch: sequences [1]. context: cached tokens [1]. kv_heads: KV heads on the GPU [1].
    group: query heads per KV head [1]. head_dims: key and value dims added [1].
    """
    return 2 * batch * context * kv_heads * np.maximum(group, rows) * head_dims


def causal_scores(batch: Number, heads: Number, tokens: Number) -> Number:
    """Scores that causal attention over `tokens` exponentiates: the lower half of the square."""
    return batch * heads * tokens**2 / 2


def grouped_decode_seconds(
    kv_bytes: Number, padded_flops: Number, bandwidth: Number, peak: Number, curve: GroupedDecodeCurve
) -> Number:
    """Time of decode attention over a cache of KV heads [s].

    kv_bytes: cache read [B]. padded_flops: see tile_padded_flops [FLOP]. bandwidth: memory peak [B/s].
    peak: dense peak of the precision that the kernel multiplies in, 16-bit also for most fp8 caches [FLOP/s].
    """
    memory = kv_bytes / (share(curve.bandwidth) * bandwidth)
    compute = padded_flops / (share(curve.flops) * peak)
    return curve.launch + overlapped(memory, compute, curve.norm)


def latent_decode_seconds(
    cache_bytes: Number, flops: Number, bandwidth: Number, peak: Number, curve: LatentDecodeCurve
) -> Number:
    """Time of absorbed MLA decode attention [s].

    cache_bytes: latents read, which tensor parallelism does not divide [B].
    flops: 2 · batch · context · heads · (latent and rope dims + latent dims) [FLOP].
    bandwidth: memory peak [B/s]. peak: dense 16-bit peak, also for an fp8 cache [FLOP/s].
    """
    memory = cache_bytes / (share(curve.bandwidth) * bandwidth)
    compute = flops / (share(curve.flops) * peak)
    return curve.launch + overlapped(memory, compute, curve.norm)


def unsplit_decode_seconds(
    batch: Number, flops: Number, heads: Number, peak: Number, sm_count: Number, curve: UnsplitDecodeCurve
) -> Number:
    """Time of MLA decode where one multiprocessor walks a sequence's whole cache for a tile of heads [s].

    batch: sequences [1]. flops: useful work of the whole batch [FLOP]. heads: query heads on the GPU [1].
    peak: dense 16-bit peak [FLOP/s]. sm_count: multiprocessors [1].
    """
    tiles = np.ceil(heads / TILE_ROWS)
    waves = np.ceil(batch * tiles / sm_count)
    tile_flops = flops * TILE_ROWS / heads / batch
    return curve.launch + waves * tile_flops / (share(curve.flops) * peak / sm_count)


def cast_decode_seconds(
    cache_bytes: Number, elements: Number, bandwidth: Number, sm_count: Number, curve: CastDecodeCurve
) -> Number:
    """Time of decode attention that first converts the whole cache, element by element [s].

    cache_bytes: cache read [B]. elements: cached elements [1]. bandwidth: memory peak [B/s].
    sm_count: multiprocessors [1].
    """
    converted = elements / (curve.elements * sm_count)
    return curve.launch + np.maximum(converted, cache_bytes / bandwidth)


def prefill_attention_seconds(
    flops: Number, scores: Number, tokens: Number, peak: Number, sm_count: Number, curve: PrefillCurve
) -> Number:
    """Time of causal prefill attention: tensor cores and exponentials overlap [s].

    flops: batch · heads · tokens² · (d_qk + d_v), the causal half [FLOP]. scores: see causal_scores [1].
    tokens: length of one sequence [1]. peak: dense 16-bit peak, also for fp8 queries [FLOP/s].
    sm_count: multiprocessors [1].
    """
    matmul = flops / (share(curve.flops) * peak)
    softmax = scores / (curve.exponentials * sm_count)
    return curve.launch + (1 + curve.short_tokens / tokens) * overlapped(matmul, softmax, curve.norm)


# A matrix product in any precision, and the quantization of its activations.


@dataclass(frozen=True, slots=True)
class GemmCurve:
    """A matrix product."""

    launch: Number  # [s]
    bandwidth: Number  # share of peak memory bandwidth
    flops: Number  # share of the peak of the precision multiplied in
    quantize_launch: Number  # [s] of the kernel that quantizes the activations
    quantize_bandwidth: Number = 0.7  # share of peak memory bandwidth of that kernel
    norm: Number = 2.0


def gemm_seconds(
    rows: Number,
    columns: Number,
    depth: Number,
    nbytes: Number,
    bandwidth: Number,
    peak: Number,
    curve: GemmCurve,
) -> Number:
    """Time of [rows, depth] × [depth, columns] [s].

    nbytes: weights, scales, activations in and out [B]. bandwidth: memory peak [B/s].
    peak: dense peak of the precision multiplied in [FLOP/s].
    """
    padded = TILE_ROWS * np.ceil(rows / TILE_ROWS)
    memory = nbytes / (share(curve.bandwidth) * bandwidth)
    compute = 2 * padded * columns * depth / (share(curve.flops) * peak)
    return curve.launch + overlapped(memory, compute, curve.norm)


def quantize_seconds(
    rows: Number, depth: Number, quantized_bytes: Number, bandwidth: Number, curve: GemmCurve
) -> Number:
    """Time of the kernel that reads 16-bit activations and writes them quantized [s].

    quantized_bytes: bytes of one quantized activation [B]. bandwidth: memory peak [B/s].
    """
    return curve.quantize_launch + rows * depth * (2 + quantized_bytes) / (share(curve.quantize_bandwidth) * bandwidth)


# Fused routed experts: grouped products of gate, up and down, and the traffic of their buffers.


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


# Collectives inside one scale-up domain: NCCL's, the serving engines' own all-reduce, and expert exchange.
#
# A pipelined transfer with the best number of chunks takes (√α + √β)²: α is the time of an empty one,
# β that of its bytes (Thakur, Rabenseifner and Gropp 2005, doi 10.1177/1094342005051521, for α and β).


@dataclass(frozen=True, slots=True)
class CollectiveCurve:
    """A collective of NCCL or RCCL."""

    latency: Number  # [s] of an empty one between two ranks
    link: Number  # share of the link's bandwidth
    rank_growth: Number  # more latency per rank beyond two, relative


@dataclass(frozen=True, slots=True)
class CustomAllReduceCurve:
    """A serving engine's own all-reduce for small messages."""

    latency: Number  # [s] of one exchange of flags and data between two ranks
    link: Number  # share of the link's bandwidth
    doubling_growth: Number  # more latency per doubling of the ranks beyond two, relative
    two_shot: Number  # latency of reduce-scatter and all-gather, relative to one shot


@dataclass(frozen=True, slots=True)
class ExchangeCurve:
    """Dispatch of tokens to experts, or the combination of their results."""

    latency: Number  # [s]
    link: Number  # share of the link's bandwidth


def gathered_bytes(message: Number, ranks: Number) -> Number:
    """Bytes over each link, one way, in an all-gather, reduce-scatter or all-to-all of `message` [B]."""
    return (ranks - 1) / ranks * message


def collective_seconds(sent: Number, ranks: Number, link: Number, curve: CollectiveCurve) -> Number:
    """Time of a pipelined collective: (√α + √β)² [s].

    sent: bytes over each link [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    latency = curve.latency * (1 + curve.rank_growth * (ranks - 2))
    transfer = sent / (share(curve.link) * link)
    return (np.sqrt(latency) + np.sqrt(transfer)) ** 2


def custom_all_reduce_seconds(message: Number, ranks: Number, link: Number, curve: CustomAllReduceCurve) -> Number:
    """Time of the faster of one-shot (all send all) and two-shot (reduce-scatter, all-gather) [s].

    message: bytes reduced [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    latency = curve.latency * (1 + curve.doubling_growth * np.log2(ranks / 2))
    rate = share(curve.link) * link
    one_shot = latency + (ranks - 1) * message / rate
    two_shot = curve.two_shot * latency + all_reduce_bytes(message, ranks) / rate
    return np.minimum(one_shot, two_shot)


def exchange_seconds(sent: Number, link: Number, curve: ExchangeCurve) -> Number:
    """Time to dispatch tokens to the ranks of their experts, or to combine the results [s].

    sent: bytes over each link [B]. link: bandwidth of one GPU, one direction [B/s].
    """
    return curve.latency + sent / (share(curve.link) * link)


# Which kernel a serving stack runs, and which stacks lack a tuned one.
#
# Source: the kernel names recorded with the measurements in measurements/ (TensorRT-LLM 1.0 to 1.3, vLLM
# 0.14 to 0.24, SGLang 0.5.10 to 0.5.14).


MLA_FAMILIES = ("hopper", "blackwell", "cdna3", "cdna4")
"""Families that have kernels made for absorbed MLA decode."""


def grouped_decode_kernel(backend: str, family: str, group: float, kernel: str = "") -> str:
    """Return the class of the decode attention kernel over KV heads.

    backend: 'trtllm', 'vllm' or 'sglang'. family: the GPU's architecture. group: query heads per KV head.
    kernel: its name as a profiler records it, where known.
    """
    if family == "blackwell" and kernel != "flashinfer":
        return "trtllm-gen"
    if backend == "trtllm":
        return "xqa" if group > 1 else "mmha"
    if "triton" in kernel:
        return "triton"
    if kernel == "flash_attention" or (backend == "sglang" and family == "ampere" and not kernel):
        return "token-paged"
    return "fa3" if "fa3" in kernel or (family == "hopper" and not kernel) else "fa2"


def query_tile_rows(kernel: str, group: float) -> int:
    """Rows of the query tile that decode attention multiplies, however few query heads share a KV head.

    FlashInfer cuts its tile to 16 rows where they hold the heads of a group (FA2DetermineCtaTileQ in its
    include/flashinfer/utils.cuh); Hopper's warp-group products have 64 at least.
    kernel: its name as a profiler records it, where known. group: query heads per KV head.
    """
    own = "flashinfer" in kernel and "trtllm" not in kernel
    return 16 if own and group <= 16 else TILE_ROWS


def multiplies_in_fp8(kernel_class: str, cache_bytes: float) -> bool:
    """Whether decode attention multiplies an fp8 cache at the fp8 rate: of those measured, only XQA does."""
    return kernel_class == "xqa" and cache_bytes <= 1


def latent_decode_kernel(backend: str, family: str, cache_bytes: float, kernel: str = "") -> str:
    """Return the class of the absorbed MLA decode kernel: 'tuned', 'triton', 'unsplit' or 'cast'.

    The last two are fall-backs where a stack lacks a tuned kernel: several times slower.

    backend: 'trtllm', 'vllm' or 'sglang'. family: the GPU's architecture. cache_bytes: of one element [B].
    kernel: its name as a profiler records it, where known.
    """
    if "triton" in kernel:
        return "triton"
    if family not in MLA_FAMILIES:
        return "unsplit" if backend == "trtllm" else "triton"
    if backend == "sglang" and family == "hopper" and cache_bytes <= 1:
        return "cast"
    return "tuned"


def prefill_is_absorbed(backend: str, family: str, kernel: str = "") -> bool:
    """Whether MLA prefill multiplies by the latents (3.4 times the FLOPs): SGLang's before Blackwell."""
    return backend == "sglang" and family != "blackwell" and kernel != "trtllm_mla"


def experts_kernel(backend: str, family: str, weights: str, kernel: str = "") -> str:
    """Return the class of the fused expert kernel.

    backend: 'trtllm', 'vllm' or 'sglang'. family: the GPU's architecture. weights: format of the weights.
    kernel: its name as a profiler records it, where known.
    """
    for name in ("deepgemm", "marlin"):
        if name in kernel:
            return name
    if "triton" in kernel or kernel == "vllm_fused_moe":
        return "triton"
    if "cutlass" in kernel or kernel == "moe_torch_flow":
        return "cutlass"
    if kernel:
        return "trtllm-gen"
    if family == "blackwell":
        if backend == "trtllm":
            return "deepgemm" if weights == "fp8_block" else "cutlass"
        return "trtllm-gen"
    if backend == "trtllm":
        return "cutlass"
    if weights.startswith("int4"):
        return "marlin"
    return "cutlass" if backend == "vllm" and weights.startswith("fp8") and family == "hopper" else "triton"
