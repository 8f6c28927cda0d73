"""Number types as measurements, checkpoints and serving engines spell them, and what each means.

One vocabulary for all: a name says how weights are stored and in which precision they are multiplied. Spellings
are those of TensorRT-LLM, vLLM, SGLang and aiconfigurator, of torch, and of the OCP microscaling formats.
"""

from __future__ import annotations

from dataclasses import dataclass

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.formats import CACHE_FORMATS, WEIGHT_FORMATS, CacheFormat, WeightFormat


@dataclass(frozen=True, slots=True)
class NumberType:
    """Weights as they are stored, and the precision that they are multiplied in."""

    name: str
    weights: WeightFormat
    compute: str


_COMBINED = {
    "tf32": ("fp32", "tf32"),  # stored in 32 bits, multiplied in 19
    "w4a8": ("int4", "fp8"),
    "w4a8_mxfp4": ("mxfp4", "fp8"),
}
"""Names whose weights are stored in the format of another name: that format, and the precision computed in."""

_SPELLINGS = {
    "fp32": "float32 float single",
    "bf16": "bfloat16",
    "fp16": "float16 half",
    "fp8": "float8 e4m3 e5m2 fp8_e4m3 fp8_e5m2 fp8_e4m3fn float8_e4m3 float8_e4m3fn float8_e5m2 w8a8_fp8 fp8_w8a8 "
    "fp8_per_tensor fp8_tensor fp8_channel fp8_per_channel",
    "fp8_block": "w8a8_fp8_block fp8_block_scaled fp8_blockwise block_fp8 fp8_block_wise",
    "fp8_wo": "w8a16_fp8 fp8_w8a16",
    "mxfp8": "w8a8_mxfp8 mxfp8_e4m3",
    "int8": "w8a8 w8a8_int8 int8_w8a8 sq int8_sq w8a8_sq smoothquant smooth_quant w8a8_sq_per_channel",
    "int8_wo": "w8a16 w8a16_int8 int8_w8a16",
    "int4": "int4_wo w4a16 w4a16_int4 int4_w4a16 gptq int4_gptq w4a16_gptq gptq_marlin",
    "int4_zp": "awq int4_awq w4a16_awq awq_marlin",
    "w4a8": "w4afp8 w4a8_fp8 w4a8_awq",
    "mxfp4": "w4a16_mxfp4 mxfp4_w4a16",
    "w4a8_mxfp4": "w4a8_mxfp4_mxfp8 w4a8_mxfp4_fp8 mxfp4_mxfp8",
    "nvfp4": "fp4 e2m1 w4a4 w4a4_nvfp4 nvfp4_w4a4",
    "nvfp4_wo": "w4a16_nvfp4 nvfp4_w4a16",
}
"""Other names by the name that they stand for."""

_MEANT = {spelling: name for name, spellings in _SPELLINGS.items() for spelling in spellings.split()}


def number_type(name: str) -> NumberType:
    """Return what a number type means.

    name: in any spelling, such as 'bfloat16', 'FP8-block' or 'w4a16_mxfp4'.
    Raises CostcalcError with the nearest name for one that is unknown.
    """
    plain = _plain(name)
    if plain in WEIGHT_FORMATS:
        return NumberType(plain, WEIGHT_FORMATS[plain], WEIGHT_FORMATS[plain].activations)
    if plain in _COMBINED:
        stored, compute = _COMBINED[plain]
        return NumberType(plain, WEIGHT_FORMATS[stored], compute)
    raise _unknown(name, [*WEIGHT_FORMATS, *_COMBINED])


def cache_type(name: str) -> CacheFormat:
    """Return the format of cached elements that a number type means; raises CostcalcError for an unknown one."""
    plain = _plain(name)
    if plain in CACHE_FORMATS:
        return CACHE_FORMATS[plain]
    raise _unknown(name, list(CACHE_FORMATS))


def spellings() -> dict[str, tuple[str, ...]]:
    """Every number type with the other names that it answers to."""
    return {name: tuple(_SPELLINGS.get(name, "").split()) for name in [*WEIGHT_FORMATS, *_COMBINED]}


def _plain(name: str) -> str:
    # A question mark is what sources put behind a type that they guess.
    plain = name.strip().casefold().rstrip("?").removeprefix("torch.").replace("-", "_").replace(" ", "_")
    return _MEANT.get(plain, plain)


def _unknown(name: str, known: list[str]) -> CostcalcError:
    hint = did_you_mean(_plain(name), [*known, *_MEANT]) or f"one of: {', '.join(known)}"
    return CostcalcError(f"unknown number type {shown(name)}", hint=hint)
