"""Attention variants, one file each: shape and arithmetic side by side.

A new variant is a new file here and its class in `AnyAttention`.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from costcalc.attention.base import Attention, Core, Linear
from costcalc.attention.grouped import GroupedAttention, LowRankAttention
from costcalc.attention.latent import LatentAttention
from costcalc.attention.window import ChunkedAttention, SlidingWindowAttention

AnyAttention = Annotated[
    GroupedAttention | LowRankAttention | LatentAttention | SlidingWindowAttention | ChunkedAttention,
    Field(discriminator="kind"),
]

__all__ = [
    "AnyAttention",
    "Attention",
    "ChunkedAttention",
    "Core",
    "GroupedAttention",
    "LatentAttention",
    "Linear",
    "LowRankAttention",
    "SlidingWindowAttention",
]
