"""Local attention: a sliding window (Mistral, Gemma, gpt-oss) or chunks (Llama 4's iRoPE).

A position sees the last `window` tokens, itself included, or its own chunk only; so cache and reads stop
growing. Sources: Beltagy et al. 2020 (arXiv 2004.05150); Llama 4 and Gemma 3 model code.
"""

from typing import Literal

import numpy as np

from costcalc.arrays import Number
from costcalc.attention.grouped import GroupedAttention
from costcalc.attention.pairs import chunk_pairs, window_pairs
from costcalc.formats import CacheFormat
from costcalc.schema import Size


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
