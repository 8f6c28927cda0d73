"""The lightning indexer's key cache and work: what sparse attention pays for choosing its tokens.

Source: DeepSeek-V3.2-Exp technical report, equations 1-2; key formats as in vLLM 0.33.0. A key is one vector
per token for all index heads. Its scores and the top-k pass are not counted as cache traffic.
"""

from __future__ import annotations

from typing import Literal

from costcalc.arrays import Number
from costcalc.attention.base import Core

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
