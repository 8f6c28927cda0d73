"""What is measured on a GPU: sizes that serving meets, as far as they fit its memory."""

from __future__ import annotations

from dataclasses import dataclass

WIDTHS = ((8192, 8192), (28672, 8192), (4096, 14336), (6144, 4096))
"""Outputs and inputs of matrices of 8B and 70B models."""
ROWS = (1, 16, 64, 256, 1024, 4096, 8192)
HEADS = ((32, 8, 128), (64, 8, 128), (32, 32, 128))
"""Query heads, KV heads and their dims."""
BATCHES = (1, 16, 64, 256)
CONTEXTS = (1024, 4096, 16384, 65536)
LEAST_CACHE, MOST_SHARE = 2**24, 0.35
"""Smallest KV cache that is measured [B], and the most of the free memory that a case takes."""
COPIES = (2**28, 2**30, 2**32)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy from memory to memory."""

    nbytes: int  # read, and written as well


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product of m rows with n x k weights."""

    dtype: str  # 'bf16' or 'fp8'
    m: int
    n: int
    k: int

    @property
    def weight_bytes(self) -> int:
        """Size of the weights [B]."""
        return self.n * self.k * _BYTES[self.dtype]

    @property
    def nbytes(self) -> int:
        """Size of weights, inputs and 16-bit outputs [B]."""
        return self.weight_bytes + self.m * self.k * _BYTES[self.dtype] + 2 * self.m * self.n


@dataclass(frozen=True, slots=True)
class Decode:
    """Attention of one new token of every sequence over its bf16 cache."""

    batch: int
    context: int
    q_heads: int
    kv_heads: int
    head_dim: int

    @property
    def nbytes(self) -> int:
        """Size of the cache [B]."""
        return 4 * self.batch * self.context * self.kv_heads * self.head_dim


Case = Copy | Product | Decode
_BYTES = {"bf16": 2, "fp8": 1}


def cases(free_bytes: float, precisions: tuple[str, ...]) -> list[Case]:
    """Return what to measure.

    free_bytes: memory that may be taken [B]. precisions: of matrix products: 'bf16', 'fp8'.
    """
    products = [
        Product(dtype, m, n, k)
        for dtype in precisions
        for n, k in WIDTHS
        for m in ROWS
        if dtype == "bf16" or m % 16 == 0  # what the scaled product of fp8 accepts
    ]
    decodes = [Decode(batch, context, *heads) for heads in HEADS for context in CONTEXTS for batch in BATCHES]
    found: list[Case] = [Copy(nbytes) for nbytes in COPIES if 2 * nbytes <= MOST_SHARE * free_bytes]
    found += [each for each in products if each.nbytes <= MOST_SHARE * free_bytes]
    found += [each for each in decodes if LEAST_CACHE <= each.nbytes <= MOST_SHARE * free_bytes]
    return found
