"""DeepSeek sparse attention (DSA): MLA over the top-k tokens that a small indexer chooses.

Sources: DeepSeek-V3.2-Exp technical report; GLM-5 and Mistral Large 4 in transformers 5.23.0 (glm_moe_dsa,
glm5_next, mistral_large4). Everything is held, little is read: the latents of min(S, k) tokens, and the index
keys of all S. Index weights and keys are whole on every tensor-parallel rank.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from costcalc.arrays import Number
from costcalc.attention.base import Core
from costcalc.attention.indexer import IndexCache, index_key_bytes, indexer_core
from costcalc.attention.latent import LatentAttention
from costcalc.attention.pairs import compressed_pairs, window_pairs
from costcalc.formats import CacheFormat
from costcalc.matrices import Linear
from costcalc.schema import Size


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
            Linear("index q", self.q_lora_rank or hidden, self.index_n_heads * dim, "none"),
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
