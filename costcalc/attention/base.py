"""What every attention variant answers; its shape and its arithmetic live side by side in one file.

All numbers are of one layer. `ranks` is the tensor-parallel degree: what one rank holds, reads and
computes. Cache sizes are per sequence. A multiply-add is 2 FLOPs; norms and softmax are not counted.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from costcalc.arrays import Number
from costcalc.formats import CacheFormat
from costcalc.matrices import Linear
from costcalc.schema import Spec

Kernel = Literal["grouped", "latent", "recurrent", "indexer"]


@dataclass(frozen=True, slots=True)
class Core:
    """The work of one attention kernel: for one sequence, in one layer, on one rank."""

    kernel: Kernel
    flops: Number  # [FLOP] that the arithmetic needs
    bytes: Number  # [B] of cache read and written
    tile_flops: Number  # [FLOP] that tensor cores execute, query tiles padded to their least height
    scores: Number  # softmax exponentials


TILE_ROWS = 64
"""Rows of a query tile: a decode kernel spends the work of this many query heads per KV head at least."""


class Attention(Spec):
    """Base of the attention variants."""

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        """Weight matrices of the layer, which every token multiplies."""
        raise TypeError(f"{type(self).__name__} defines no matrices")

    def extra_parameters(self, hidden: int) -> float:
        """Biases, norms, sinks and other vectors of the layer [parameters], the block's norm excluded."""
        del hidden
        return 0

    def parameters(self, hidden: int) -> float:
        """All parameters of the layer [parameters], the block's norm excluded."""
        return sum(m.parameters for m in self.linears(hidden)) + self.extra_parameters(hidden)

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        """Cache that each further token adds on one rank, at long context [B/token]."""
        raise TypeError(f"{type(self).__name__} defines no cache")

    def cache_bytes(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> Number:
        """Cache that a sequence of `context` [tokens] holds on one rank [B]."""
        return context * self.growth_bytes(cache, ranks)

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Kernels of one decode step with `context` [tokens] visible, itself included."""
        raise TypeError(f"{type(self).__name__} defines no decode step")

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Kernels of prefilling `tokens` [tokens] behind `cached` [tokens] already in the cache."""
        raise TypeError(f"{type(self).__name__} defines no prefill")

    @property
    def kv_heads(self) -> int:
        """KV heads that tensor parallelism can divide before it replicates them."""
        return 1

    @property
    def shard_unit(self) -> int:
        """Heads that the tensor-parallel degree has to divide."""
        raise TypeError(f"{type(self).__name__} defines no heads")

    def describe(self) -> str:
        """Short name of the variant as people call it, for tables."""
        raise TypeError(f"{type(self).__name__} has no description")


def heads_per_rank(heads: Number, ranks: Number) -> Number:
    """KV heads that one of `ranks` tensor-parallel ranks holds: replicated when there are more ranks."""
    return np.maximum(1, np.ceil(heads / ranks))
