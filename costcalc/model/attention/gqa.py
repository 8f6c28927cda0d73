"""Grouped attention over a cache of KV heads: MHA, GQA, MQA, a low-rank control; sliding windows and chunks.

Sources: Vaswani et al. 2017 (MHA), Shazeer 2019 (MQA, arXiv 1911.02150), Ainslie et al. 2023
(GQA, arXiv 2305.13245). Cache per token and layer: K(q + v) elements.
"""

from typing import Literal

import numpy as np

from costcalc.fields import Number, OptionalSize, Size
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import (
    TILE_ROWS,
    Attention,
    Core,
    Linear,
    chunk_pairs,
    full_pairs,
    heads_per_rank,
    window_pairs,
)


class GroupedAttention(Attention):
    """Every `num_attention_heads / num_key_value_heads` query heads share one key and one value head."""

    kind: Literal["grouped"] = "grouped"
    num_attention_heads: Size
    num_key_value_heads: Size
    head_dim: Size
    v_head_dim: Size | None = None
    query_rank: OptionalSize = 0  # low-rank query projection (Step-3's MFA); 0: none
    qkv_bias: bool = False
    o_bias: bool = False
    qk_norm: Literal["none", "head", "full"] = "none"
    output_gate: Literal["none", "elementwise", "head"] = "none"
    sinks: bool = False
    values_from_keys: bool = False  # no v_proj: V is taken from k_proj's output (Gemma 4 full layers)
    stores_cache: bool = True  # False: reads another layer's keys and values (CLA, Gemma 3n)
    differential: bool = False  # scores of half of the heads against both halves of the values

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) must be a multiple of "
                f"num_key_value_heads ({self.num_key_value_heads})"
            )

    @property
    def value_dim(self) -> float:
        """Width of one value head [elements]."""
        return self.v_head_dim or self.head_dim

    @property
    def head_width(self) -> float:
        """Width of one key and one value head together, q + v [elements]."""
        return self.head_dim + self.value_dim

    @property
    def kv_heads(self) -> int:
        return self.num_key_value_heads

    @property
    def shard_unit(self) -> int:
        return self.num_attention_heads

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        heads, kv = self.num_attention_heads, self.num_key_value_heads
        queries = heads * self.head_dim
        matrices = [Linear("q", hidden, queries)]
        if self.query_rank:
            rank = self.query_rank
            matrices = [Linear("q_a", hidden, rank, "none"), Linear("q_b", rank, queries, alone=True)]
        if self.stores_cache:
            matrices.append(Linear("k", hidden, kv * self.head_dim, "kv"))
            if not self.values_from_keys:
                matrices.append(Linear("v", hidden, kv * self.value_dim, "kv"))
        matrices.append(Linear("o", heads * self.value_dim, hidden, alone=True))
        if self.output_gate == "elementwise":
            matrices.append(Linear("gate", hidden, heads * self.value_dim))
        elif self.output_gate == "head":
            matrices.append(Linear("gate", hidden, heads))
        return tuple(matrices)

    def extra_parameters(self, hidden: int) -> float:
        heads, kv = self.num_attention_heads, self.num_key_value_heads
        extra: float = self.query_rank + (heads if self.sinks else 0)
        if self.qkv_bias:
            extra += heads * self.head_dim + (kv * self.head_width if self.stores_cache else 0)
        if self.o_bias:
            extra += hidden
        if self.qk_norm == "head":
            extra += 2 * self.head_dim
        elif self.qk_norm == "full":
            extra += (heads + kv) * self.head_dim
        return extra

    def token_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        """Keys and values of one token on one rank [B]: K(q + v) elements and their scales."""
        held = heads_per_rank(self.num_key_value_heads, ranks)
        return held * (self.head_width * cache.bytes + 2 * cache.head_scale)

    def visible(self, context: Number) -> Number:
        """Tokens that the newest of `context` [tokens] attends to, itself included."""
        return context

    def pairs(self, tokens: Number) -> Number:
        """(query, key) pairs of a causal pass over `tokens` [tokens]."""
        return full_pairs(tokens)

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        return self.token_bytes(cache, ranks) if self.stores_cache else 0.0 * ranks

    def cache_bytes(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> Number:
        return self.visible(context) * self.token_bytes(cache, ranks) * self.stores_cache

    def _score_width(self) -> float:
        # Differential attention runs each score over both halves of the values.
        return self.head_dim + self.value_dim * (2 if self.differential else 1)

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Read the visible cache once for all heads of a group: 2·S·H(q + v) FLOPs."""
        seen = self.visible(context)
        heads = self.num_attention_heads / ranks
        held = heads_per_rank(self.num_key_value_heads, ranks)
        per_head = 2 * seen * self._score_width()
        return (
            Core(
                kernel="grouped",
                flops=per_head * heads,
                bytes=seen * self.token_bytes(cache, ranks),  # the newest is written instead of read
                tile_flops=per_head * held * np.maximum(heads / held, TILE_ROWS),
                scores=seen * heads,
                heads=heads,
                group=self.num_attention_heads / self.num_key_value_heads,
            ),
        )

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """2·H(q + v) FLOPs for each of the causal pairs; the cached prefix is read, the new tokens written."""
        pairs = self.pairs(tokens + cached) - self.pairs(cached)
        heads = self.num_attention_heads / ranks
        flops = 2 * heads * self._score_width() * pairs
        moved = (self.visible(cached) + tokens) * self.token_bytes(cache, ranks)
        return (Core(kernel="grouped", flops=flops, bytes=moved, tile_flops=flops, scores=heads * pairs, heads=heads),)

    def describe(self) -> str:
        if self.num_key_value_heads == self.num_attention_heads:
            return "MHA"
        if self.num_key_value_heads == 1:
            return "MQA"
        return f"GQA-{self.num_key_value_heads}"


class LowRankAttention(GroupedAttention):
    """The control of the MLA argument: MHA whose heads are merely narrower, 2·H·r elements per token.

    `head_dim` may be a fraction: what MHA's heads would have left at another variant's cache size.
    """

    kind: Literal["low_rank"] = "low_rank"  # type: ignore[assignment]
    head_dim: float  # type: ignore[assignment]

    def describe(self) -> str:
        return "Low rank"


# Local attention: a sliding window (Mistral, Gemma, gpt-oss) or chunks (Llama 4's iRoPE).
#
# A position sees the last `window` tokens, itself included, or its own chunk only; so cache and reads stop
# growing. Sources: Beltagy et al. 2020 (arXiv 2004.05150); Llama 4 and Gemma 3 model code.


class SlidingWindowAttention(GroupedAttention):
    """Grouped attention over the last `window` tokens."""

    kind: Literal["sliding"] = "sliding"  # type: ignore[assignment]
    window: Size

    def visible(self, context: Number) -> Number:
        return np.minimum(context, self.window)

    def pairs(self, tokens: Number) -> Number:
        return window_pairs(tokens, self.window)

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        del cache
        return 0.0 * ranks

    def describe(self) -> str:
        return f"{super().describe()} window {self.window}"


class ChunkedAttention(GroupedAttention):
    """Grouped attention within chunks: position i sees ((i - 1) mod chunk) + 1 tokens."""

    kind: Literal["chunked"] = "chunked"  # type: ignore[assignment]
    chunk: Size

    def visible(self, context: Number) -> Number:
        return np.mod(np.maximum(context, 1) - 1, self.chunk) + np.minimum(context, 1)

    def pairs(self, tokens: Number) -> Number:
        return chunk_pairs(tokens, self.chunk)

    def cache_bytes(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> Number:
        # Up to a whole chunk is held, though the newest token may see less of it.
        return np.minimum(context, self.chunk) * self.token_bytes(cache, ranks) * self.stores_cache

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        del cache
        return 0.0 * ranks

    def describe(self) -> str:
        return f"{super().describe()} chunk {self.chunk}"
