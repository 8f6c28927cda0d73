"""Calibrated times of single kernels: closed forms whose few parameters have a physical meaning.

Every function broadcasts, takes and returns SI units, and never returns less than the roofline of the
work that it is given: shares of a peak are capped at 1.
"""

from costcalc.engine.kernels.attention import (
    CastDecodeCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    PrefillCurve,
    UnsplitDecodeCurve,
    cast_decode_seconds,
    causal_scores,
    grouped_decode_seconds,
    latent_decode_seconds,
    prefill_attention_seconds,
    tile_padded_flops,
    unsplit_decode_seconds,
)
from costcalc.engine.kernels.collectives import (
    CollectiveCurve,
    CustomAllReduceCurve,
    ExchangeCurve,
    collective_seconds,
    custom_all_reduce_seconds,
    exchange_seconds,
    gathered_bytes,
)
from costcalc.engine.kernels.experts import (
    ExpertsCurve,
    experts_hit,
    experts_seconds,
    filtered_buffer_bytes,
    unfiltered_buffer_bytes,
)
from costcalc.engine.kernels.gemm import GemmCurve, gemm_seconds, quantize_seconds

__all__ = [
    "CastDecodeCurve",
    "CollectiveCurve",
    "CustomAllReduceCurve",
    "ExchangeCurve",
    "ExpertsCurve",
    "GemmCurve",
    "GroupedDecodeCurve",
    "LatentDecodeCurve",
    "PrefillCurve",
    "UnsplitDecodeCurve",
    "cast_decode_seconds",
    "causal_scores",
    "collective_seconds",
    "custom_all_reduce_seconds",
    "exchange_seconds",
    "experts_hit",
    "experts_seconds",
    "filtered_buffer_bytes",
    "gathered_bytes",
    "gemm_seconds",
    "grouped_decode_seconds",
    "latent_decode_seconds",
    "prefill_attention_seconds",
    "quantize_seconds",
    "tile_padded_flops",
    "unfiltered_buffer_bytes",
    "unsplit_decode_seconds",
]
