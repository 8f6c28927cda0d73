"""What every attention variant answers: its matrices, cache, and the bytes and FLOPs of decode and prefill."""

from typing import Literal, NamedTuple

import numpy as np

from costcalc.fields import Number, Record, Spec
from costcalc.formats import CacheFormat

Split = Literal["tensor", "kv", "none"]


class Linear(NamedTuple):
    """A weight matrix: `inputs` x `outputs`, and how tensor parallelism divides it.

    `tensor` divides by the degree, `kv` by the degree up to the number of KV heads (replicated above it),
    `none` keeps a whole copy on every rank. `alone`: multiplied by a kernel of its own, not with the one before it.
    """

    name: str
    inputs: float
    outputs: float
    split: Split = "tensor"
    alone: bool = False

    @property
    def parameters(self) -> float:
        return self.inputs * self.outputs


# What every attention variant answers; its shape and its arithmetic live side by side in one file.
#
# All numbers are of one layer. `ranks` is the tensor-parallel degree: what one rank holds, reads and
# computes. Cache sizes are per sequence. A multiply-add is 2 FLOPs; norms and softmax are not counted.


Kernel = Literal["grouped", "latent", "recurrent", "indexer"]


class Core(Record):
    """The work of one attention kernel: for one sequence, in one layer, on one rank."""

    kernel: Kernel
    flops: Number  # [FLOP] that the arithmetic needs
    bytes: Number  # [B] of cache read and written
    tile_flops: Number  # [FLOP] that tensor cores execute, query tiles padded to their least height
    scores: Number  # softmax exponentials
    heads: Number = 1  # query heads of the rank
    group: float = 1  # of which so many share a KV head


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


# How many (query, key) pairs causal attention evaluates, exactly.
#
# Each function counts over positions 1..T what the position sees, itself included. Prefilling T tokens
# behind P cached ones evaluates f(P + T) - f(P).


def full_pairs(tokens: Number) -> Number:
    """Pairs of full causal attention over `tokens` [tokens]: T(T+1)/2."""
    return tokens * (tokens + 1) / 2


def window_pairs(tokens: Number, window: Number) -> Number:
    """Pairs when a position sees at most `window` [tokens]: also the count of a top-k selection."""
    inside = np.minimum(tokens, window)
    return inside * (inside + 1) / 2 + (tokens - inside) * window


def chunk_pairs(tokens: Number, chunk: Number) -> Number:
    """Pairs when a position sees only its own chunk of `chunk` [tokens] (Llama 4)."""
    whole = np.floor_divide(tokens, chunk)
    rest = tokens - whole * chunk
    return whole * full_pairs(chunk) + full_pairs(rest)


def compressed_pairs(tokens: Number, ratio: Number) -> Number:
    """Pairs when position i sees floor(i / ratio) compressed entries."""
    n = np.floor_divide(tokens, ratio)
    return ratio * n * (n - 1) / 2 + n * (tokens - n * ratio + 1)


def compressed_window_pairs(tokens: Number, ratio: Number, limit: Number) -> Number:
    """Pairs when position i sees floor(i / ratio) compressed entries, but at most `limit` [entries]."""
    inside = np.minimum(tokens, ratio * limit)
    return compressed_pairs(inside, ratio) + (tokens - inside) * limit
