"""DeepSeek-V4's attention: a short window beside compressed entries, one vector as key and value of all heads.

Compressed sparse attention (CSA) turns every 4 tokens into an entry and reads the top-k that an indexer
chooses; heavily compressed attention (HCA) turns every 128 into one and reads all. Sources: DeepSeek-V4
technical report, sections 2.3.1-2.3.2; transformers 5.23.0, models/deepseek_v4; entry formats and the
compressor's state as in vLLM 0.33.0.
"""

from typing import Annotated, Literal

import numpy as np

from costcalc.fields import Limits, Number, OptionalSize, Size, total
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import (
    Attention,
    Core,
    Linear,
    compressed_pairs,
    compressed_window_pairs,
    window_pairs,
)
from costcalc.model.attention.sparse import IndexCache, index_key_bytes, indexer_core

SCALE_BYTES = 8
"""Scales of an fp8 entry: one byte per 64 of 448 elements, padded to 8."""
STATE_BYTES = 4
"""The compressor's open window is kept in fp32."""


class CompressedAttention(Attention):
    """One KV head of `head_dim`, K = V, over a window and the entries of `compress_ratio` tokens each.

    compress_ratio 0 is the window alone; with an indexer the layer is CSA, whose entries overlap.
    """

    kind: Literal["compressed"] = "compressed"
    num_attention_heads: Size
    head_dim: Size
    qk_rope_head_dim: OptionalSize = 64
    q_lora_rank: Size
    o_groups: Size
    o_lora_rank: Size
    window: Size = 128
    compress_ratio: Annotated[int, Limits(ge=0, le=10**6, strict=True)] = 0
    index_n_heads: OptionalSize = 0
    index_head_dim: OptionalSize = 0
    index_topk: OptionalSize = 0
    index_cache: IndexCache = "fp8"

    def __post_init__(self) -> None:
        given = [self.index_n_heads > 0, self.index_head_dim > 0, self.index_topk > 0]
        if any(given) and not all(given):
            raise ValueError("an indexer needs index_n_heads, index_head_dim and index_topk")
        if any(given) and not self.compress_ratio:
            raise ValueError("an indexer chooses compressed entries: compress_ratio must not be 0")

    @property
    def indexed(self) -> bool:
        """Whether an indexer chooses entries (CSA)."""
        return self.index_n_heads > 0

    @property
    def series(self) -> int:
        """Series of entries: overlapping ones take a second."""
        return 2 if self.indexed else 1

    @property
    def shard_unit(self) -> int:
        return self.num_attention_heads

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        dim, width = self.head_dim, self.num_attention_heads * self.head_dim
        grouped = self.o_groups * self.o_lora_rank
        matrices = [
            Linear("q_a", hidden, self.q_lora_rank, "none"),
            Linear("q_b", self.q_lora_rank, width, alone=True),
            Linear("kv", hidden, dim, "none"),
            Linear("o_a", width / self.o_groups, grouped, alone=True),  # block diagonal: a block per group of heads
            Linear("o_b", grouped, hidden, alone=True),
        ]
        if self.compress_ratio:
            matrices.append(Linear("compressor", hidden, 2 * self.series * dim, "none"))
        if self.indexed:
            matrices += [
                Linear("index compressor", hidden, 2 * self.series * self.index_head_dim, "none"),
                Linear("index q", self.q_lora_rank, self.index_n_heads * self.index_head_dim, "none", alone=True),
                Linear("index weights", hidden, self.index_n_heads, "none"),
            ]
        return tuple(matrices)

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        extra: float = self.q_lora_rank + self.head_dim + self.num_attention_heads  # norms and sinks
        for dim in self._compressed_dims():
            extra += self.compress_ratio * self.series * dim + dim  # biases by place, a norm
        return extra

    def _compressed_dims(self) -> tuple[int, ...]:
        # What the layer's compressors emit: entries, and index keys where there is an indexer.
        if not self.compress_ratio:
            return ()
        return (self.head_dim, self.index_head_dim) if self.indexed else (self.head_dim,)

    def entry_bytes(self, cache: CacheFormat) -> float:
        """One entry of the window or the compressed cache [B]: in fp8, the rope part stays in 16 bits."""
        if cache.name.startswith("fp8"):
            return self.head_dim - self.qk_rope_head_dim + 2 * self.qk_rope_head_dim + SCALE_BYTES
        return self.head_dim * cache.bytes

    @property
    def key_bytes(self) -> float:
        """The index key of an entry [B]; 0 without an indexer."""
        return index_key_bytes(self.index_head_dim, self.index_cache) if self.indexed else 0.0

    @property
    def state_row_bytes(self) -> tuple[float, ...]:
        """Values and gates of one token in the open window of every compressor [B]."""
        return tuple(float(2 * self.series * dim * STATE_BYTES) for dim in self._compressed_dims())

    @property
    def state_bytes(self) -> float:
        """Values and gates of the open window of every compressor [B per sequence]; CSA keeps two windows."""
        return self.series * self.compress_ratio * total(self.state_row_bytes)

    def entries(self, context: Number) -> Number:
        """Compressed entries of `context` [tokens]."""
        return np.floor_divide(context, self.compress_ratio) if self.compress_ratio else 0.0 * context

    def visible(self, context: Number) -> Number:
        """Entries that the newest of `context` [tokens] attends to: the window's and the compressed ones."""
        entries = self.entries(context)
        chosen = np.minimum(entries, self.index_topk) if self.indexed else entries
        return np.minimum(context, self.window) + chosen

    def pairs(self, tokens: Number) -> Number:
        """(query, entry) pairs of a causal pass over `tokens` [tokens]."""
        pairs = window_pairs(tokens, self.window)
        if self.indexed:
            return pairs + compressed_window_pairs(tokens, self.compress_ratio, self.index_topk)
        return pairs + compressed_pairs(tokens, self.compress_ratio) if self.compress_ratio else pairs

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        """Entries and index keys, replicated over the ranks [B/token]."""
        if not self.compress_ratio:
            return 0.0 * ranks
        return (self.entry_bytes(cache) + self.key_bytes) / self.compress_ratio + 0.0 * ranks

    def cache_bytes(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> Number:
        window = np.minimum(context, self.window) * self.entry_bytes(cache)
        grown = self.entries(context) * (self.entry_bytes(cache) + self.key_bytes)
        return window + grown + self.state_bytes + 0.0 * ranks

    def _core_flops(self, pairs: Number, ranks: Number) -> Number:
        return 4 * self.head_dim * self.num_attention_heads / ranks * pairs

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """4·H·D FLOPs per visible entry, read once for all heads; CSA scores every index key."""
        seen = self.visible(context) + 0.0 * ranks
        flops = self._core_flops(seen, ranks)
        heads = self.num_attention_heads / ranks
        core = Core(
            "latent", flops, bytes=seen * self.entry_bytes(cache), tile_flops=flops, scores=seen * heads, heads=heads
        )
        if not self.indexed:
            return (core,)
        keys = self.entries(context) + 0.0 * ranks
        return core, indexer_core(self.index_n_heads, self.index_head_dim, keys, keys, self.key_bytes)

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """4·H·D FLOPs per visible pair; CSA scores 2·Hi·Di per pair of query and closed entry."""
        total = tokens + cached
        pairs = self.pairs(total) - self.pairs(cached)
        flops = self._core_flops(pairs, ranks)
        held = np.minimum(cached, self.window) + tokens + self.entries(total) + 0.0 * ranks
        heads = self.num_attention_heads / ranks
        core = Core(
            "latent", flops, bytes=held * self.entry_bytes(cache), tile_flops=flops, scores=pairs * heads, heads=heads
        )
        if not self.indexed:
            return (core,)
        scored = compressed_pairs(total, self.compress_ratio) - compressed_pairs(cached, self.compress_ratio)
        keys = self.entries(total) + 0.0 * ranks
        index = indexer_core(self.index_n_heads, self.index_head_dim, scored + 0.0 * ranks, keys, self.key_bytes)
        return core, index

    def describe(self) -> str:
        if not self.compress_ratio:
            return f"MQA window {self.window}"
        return f"CSA-{self.compress_ratio} top-{self.index_topk}" if self.indexed else f"HCA-{self.compress_ratio}"
