"""Attention over what a small indexer chooses: DeepSeek sparse attention and MiniMax block-sparse attention.

Source: DeepSeek-V3.2-Exp technical report, equations 1-2; key formats as in vLLM 0.33.0. A key is one vector
per token for all index heads. Its scores and the top-k pass are not counted as cache traffic.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from costcalc.fields import Number, Size
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import Core, Linear, compressed_pairs, full_pairs, window_pairs
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.attention.mla import LatentAttention

IndexCache = Literal["fp8", "mxfp4", "bf16"]


def index_key_bytes(dim: int, index_cache: IndexCache) -> float:
    """Bytes of one indexer key of `dim` [elements]: fp8 with an fp32 scale per 128, FP4 with a byte per 32, 16 bits."""
    if index_cache == "fp8":
        return dim + 4 * dim / 128
    if index_cache == "mxfp4":
        return dim / 2 + dim / 32
    return 2.0 * dim


def indexer_core(heads: int, dim: int, pairs: Number, keys: Number, key_bytes: float) -> Core:
    """Score `pairs` (query, key) pairs with `heads` index heads: 2·Hi·Di FLOPs each, on every rank alike.

    heads, dim: index heads and their width. pairs: scored pairs. keys: keys read or written. key_bytes: [B/key].
    """
    flops = 2.0 * pairs * heads * dim
    return Core("indexer", flops=flops, bytes=keys * key_bytes, tile_flops=flops, scores=0.0 * flops)


# DeepSeek sparse attention (DSA): MLA over the top-k tokens that a small indexer chooses.
#
# Sources: DeepSeek-V3.2-Exp technical report; GLM-5 and Mistral Large 4 in transformers 5.23.0 (glm_moe_dsa,
# glm5_next, mistral_large4). Everything is held, little is read: the latents of min(S, k) tokens, and the index
# keys of all S. Index weights and keys are whole on every tensor-parallel rank.


class IndexedLatentAttention(LatentAttention):
    """MLA behind an indexer.

    A layer that does not own its indexer reuses the choice of the last one that does (GLM-5.2). `index_kpool`
    tokens share one index key, pooled by a learned gate (GLM-5.3-Flash).
    """

    kind: Literal["indexed_latent"] = "indexed_latent"  # type: ignore[assignment]
    index_n_heads: Size
    index_head_dim: Size
    index_topk: Size
    owns_indexer: bool = True
    index_kpool: Size = 1
    index_cache: IndexCache = "fp8"
    query_scaling: bool = False  # learned scale and bias by position, per head (Mistral Large 4)

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        matrices = super().linears(hidden)
        if not self.owns_indexer:
            return matrices
        dim = self.index_head_dim
        matrices += (
            Linear("index q", self.q_lora_rank or hidden, self.index_n_heads * dim, "none", alone=True),
            Linear("index k", hidden, dim, "none"),
            Linear("index weights", hidden, self.index_n_heads, "none"),
        )
        return (*matrices, Linear("index pool", hidden, dim, "none")) if self.index_kpool > 1 else matrices

    def extra_parameters(self, hidden: int) -> float:
        extra = super().extra_parameters(hidden) + 2 * self.num_attention_heads * self.query_scaling
        if self.owns_indexer:
            extra += 2 * self.index_head_dim + 2 * self.index_n_heads * self.query_scaling
            if not self.q_lora_rank:
                extra += 2 * hidden  # a norm of its own before the query projection
            if self.index_kpool > 1:
                extra += self.index_kpool * self.index_head_dim
        return extra

    def _key_bytes(self) -> float:
        return index_key_bytes(self.index_head_dim, self.index_cache)

    def _pool_bytes(self) -> float:
        # The open pool's keys and gates, 16 bits each, wait for it to close.
        return self.index_kpool * 2 * self.index_head_dim * 2 if self.index_kpool > 1 else 0.0

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        keys = self._key_bytes() / self.index_kpool * self.owns_indexer
        return super().growth_bytes(cache, ranks) + keys

    def cache_bytes(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> Number:
        latents = context * super().growth_bytes(cache, ranks)
        if not self.owns_indexer:
            return latents
        return latents + np.floor_divide(context, self.index_kpool) * self._key_bytes() + self._pool_bytes()

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """MLA over min(S, k) tokens, and 2·S·Hi·Di FLOPs of scores over S index keys."""
        cores = super().decode_cores(np.minimum(context, self.index_topk), cache, ranks)
        if not self.owns_indexer:
            return cores
        keys = np.floor_divide(context, self.index_kpool) + 0.0 * ranks
        return (*cores, indexer_core(self.index_n_heads, self.index_head_dim, keys, keys, self._key_bytes()))

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Absorbed MLA over at most k tokens per query, dense while the prompt is no longer than k; all scores.

        The scores stay quadratic: 2·Hi·Di FLOPs for each of the causal pairs.
        """
        total = tokens + cached
        (dense,) = super().prefill_cores(tokens, cached, cache, ranks)
        pairs = window_pairs(total, self.index_topk) - window_pairs(cached, self.index_topk)
        heads = self.num_attention_heads / ranks
        sparse = np.where(total > self.index_topk, 2 * heads * self.absorbed_width * pairs, dense.flops)
        core = replace(dense, flops=sparse, tile_flops=sparse, scores=heads * pairs)
        if not self.owns_indexer:
            return (core,)
        scored = compressed_pairs(total, self.index_kpool) - compressed_pairs(cached, self.index_kpool)
        keys = np.floor_divide(total, self.index_kpool)
        index = indexer_core(
            self.index_n_heads, self.index_head_dim, scored + 0.0 * ranks, keys + 0.0 * ranks, self._key_bytes()
        )
        return core, index

    def describe(self) -> str:
        return f"{super().describe()} top-{self.index_topk}"


# Block-sparse grouped attention: each KV group reads the blocks that an indexer chooses (MiniMax-M3).
#
# Source: transformers 5.23.0, models/minimax_m3_vl. Blocks lie at fixed positions; a query always reads its own
# block, one of the `topk_blocks`, up to itself, and here all of it: a kernel loads whole blocks and masks the rest, and
# a longer context is never faster. All keys and values are held, and an index key per token.


class BlockSparseAttention(GroupedAttention):
    """Grouped attention over `topk_blocks` blocks of `sparse_block_size` tokens."""

    kind: Literal["block_sparse"] = "block_sparse"  # type: ignore[assignment]
    index_n_heads: Size
    index_head_dim: Size
    sparse_block_size: Size = 128
    topk_blocks: Size = 16
    index_cache: IndexCache = "bf16"

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        dim = self.index_head_dim
        return (
            *super().linears(hidden),
            Linear("index q", hidden, self.index_n_heads * dim, "none", alone=True),
            Linear("index k", hidden, dim, "none"),
        )

    def extra_parameters(self, hidden: int) -> float:
        return super().extra_parameters(hidden) + 2 * self.index_head_dim

    def visible(self, context: Number) -> Number:
        """Tokens of the chosen blocks, which a kernel reads whole: min(S, n·b)."""
        return np.minimum(context, self.topk_blocks * self.sparse_block_size)

    def pairs(self, tokens: Number) -> Number:
        return window_pairs(tokens, self.topk_blocks * self.sparse_block_size)

    def _key_bytes(self) -> float:
        return index_key_bytes(self.index_head_dim, self.index_cache)

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        return super().growth_bytes(cache, ranks) + self._key_bytes()

    def cache_bytes(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> Number:
        return context * self.growth_bytes(cache, ranks)

    def _indexer(self, pairs: Number, keys: Number) -> Core:
        return indexer_core(self.index_n_heads, self.index_head_dim, pairs, keys, self._key_bytes())

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Grouped attention over the chosen tokens, and 2·S·Hi·Di FLOPs of scores over S index keys."""
        keys = context + 0.0 * ranks
        return (*super().decode_cores(context, cache, ranks), self._indexer(keys, keys))

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """2·H(q + v) FLOPs per chosen pair, 2·Hi·Di per causal pair; the prompt's queries read all between them."""
        (core,) = super().prefill_cores(tokens, cached, cache, ranks)
        total = tokens + cached
        core = replace(core, bytes=total * self.token_bytes(cache, ranks))
        scored = full_pairs(total) - full_pairs(cached) + 0.0 * ranks
        return core, self._indexer(scored, total + 0.0 * ranks)

    def describe(self) -> str:
        return f"{super().describe()} top-{self.topk_blocks} blocks"
