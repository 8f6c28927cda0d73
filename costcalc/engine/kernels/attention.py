"""Attention kernels: decode over a cache of heads or of latents, and causal prefill.

One launch, then bytes and FLOPs at once. What the FLOPs are is what tells the kernels apart: a query tile
never has fewer than 64 rows, so decode does the work of 64 query heads per KV head (FlashDecoding and
FlashInfer pack the heads of a group into one tile); absorbed MLA has 16 to 128 heads per latent anyway.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costcalc.arrays import Number
from costcalc.engine.kernels.shares import overlapped, share

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
