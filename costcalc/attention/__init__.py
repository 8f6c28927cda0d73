"""Attention variants, one file each: shape and arithmetic side by side.

A new variant is a new file here and its class in `AnyAttention`.
"""

from typing import Annotated

from costcalc.attention.base import Attention, Core
from costcalc.attention.blocksparse import BlockSparseAttention
from costcalc.attention.compressed import CompressedAttention
from costcalc.attention.grouped import GroupedAttention, LowRankAttention
from costcalc.attention.latent import LatentAttention
from costcalc.attention.linear import GatedDeltaNetAttention, KimiDeltaAttention, LightningAttention
from costcalc.attention.recurrent import RecurrentAttention
from costcalc.attention.shortconv import ShortConvAttention
from costcalc.attention.sparse import IndexedLatentAttention
from costcalc.attention.statespace import GatedMemoryUnit, Mamba1Attention, Mamba2Attention
from costcalc.attention.window import ChunkedAttention, SlidingWindowAttention
from costcalc.matrices import Linear
from costcalc.schema import ByKind

AnyAttention = Annotated[
    GroupedAttention
    | LowRankAttention
    | LatentAttention
    | SlidingWindowAttention
    | ChunkedAttention
    | IndexedLatentAttention
    | BlockSparseAttention
    | CompressedAttention
    | GatedDeltaNetAttention
    | KimiDeltaAttention
    | LightningAttention
    | Mamba1Attention
    | Mamba2Attention
    | GatedMemoryUnit
    | ShortConvAttention,
    ByKind(),
]

__all__ = [
    "AnyAttention",
    "Attention",
    "BlockSparseAttention",
    "ChunkedAttention",
    "CompressedAttention",
    "Core",
    "GatedDeltaNetAttention",
    "GatedMemoryUnit",
    "GroupedAttention",
    "IndexedLatentAttention",
    "KimiDeltaAttention",
    "LatentAttention",
    "LightningAttention",
    "Linear",
    "LowRankAttention",
    "Mamba1Attention",
    "Mamba2Attention",
    "RecurrentAttention",
    "ShortConvAttention",
    "SlidingWindowAttention",
]
