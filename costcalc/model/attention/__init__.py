"""Attention variants, one file each: shape and arithmetic side by side.

A new variant is a new file here and its class in `AnyAttention`.
"""

from typing import Annotated

from costcalc.fields import ByKind
from costcalc.model.attention.base import Attention, Core, Linear
from costcalc.model.attention.compressed import CompressedAttention
from costcalc.model.attention.gqa import ChunkedAttention, GroupedAttention, LowRankAttention, SlidingWindowAttention
from costcalc.model.attention.linear import (
    GatedDeltaNetAttention,
    KimiDeltaAttention,
    LightningAttention,
    RecurrentAttention,
)
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.attention.sparse import BlockSparseAttention, IndexedLatentAttention
from costcalc.model.attention.ssm import GatedMemoryUnit, Mamba1Attention, Mamba2Attention, ShortConvAttention

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
