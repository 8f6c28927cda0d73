"""Block-sparse grouped attention: each KV group reads the blocks that an indexer chooses (MiniMax-M3).

Source: transformers 5.23.0, models/minimax_m3_vl. Blocks lie at fixed positions; a query always reads its own
block, one of the `topk_blocks`, up to itself. All keys and values are held, and an index key per token.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from costcalc.arrays import Number
from costcalc.attention.base import Core
from costcalc.attention.grouped import GroupedAttention
from costcalc.attention.indexer import IndexCache, index_key_bytes, indexer_core
from costcalc.attention.pairs import block_pairs, full_pairs
from costcalc.formats import CacheFormat
from costcalc.matrices import Linear
from costcalc.schema import Size


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
            Linear("index q", hidden, self.index_n_heads * dim, "none"),
            Linear("index k", hidden, dim, "none"),
        )

    def extra_parameters(self, hidden: int) -> float:
        return super().extra_parameters(hidden) + 2 * self.index_head_dim

    def visible(self, context: Number) -> Number:
        """Tokens of the chosen blocks: at most min(S, (n - 1)·b + ((S - 1) mod b) + 1)."""
        block = self.sparse_block_size
        own = np.mod(np.maximum(context, 1) - 1, block) + 1
        return np.minimum(context, (self.topk_blocks - 1) * block + own)

    def pairs(self, tokens: Number) -> Number:
        return block_pairs(tokens, self.sparse_block_size, self.topk_blocks)

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
