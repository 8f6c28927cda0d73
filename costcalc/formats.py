"""Number formats of weights, caches and arithmetic: their bytes, what computes them, and how sources spell them.

An element width alone is wrong: a block-scaled format carries its scales along, and a scale per token
and head adds bytes to every cached token.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record


class WeightFormat(Record):
    """How weights are stored, and the activations that they are multiplied with by default."""

    name: str
    bytes: float  # [B/weight], scales included
    activations: str  # the precision of the activations, when nothing else is said
    note: str
    whole: bool = False  # whether its files keep embeddings and LM head narrow, too
    block: int = 1  # weights in a row that share a scale, where engines cut no block


class CacheFormat(Record):
    """How keys and values are stored."""

    name: str
    bytes: float  # [B/element], scales per group of elements included
    head_scale: float = 0.0  # [B] of scale per token, KV head and tensor (once for K, once for V)
    latent: str = "plain"  # packing of an MLA latent: plain, or a kernel's own layout
    note: str = ""


_WEIGHTS: tuple[WeightFormat, ...] = (
    WeightFormat("fp32", 4.0, "fp32", "single precision"),
    WeightFormat("bf16", 2.0, "bf16", "brain float"),
    WeightFormat("fp16", 2.0, "fp16", "half precision"),
    WeightFormat("fp8", 1.0, "fp8", "E4M3, one scale per tensor or channel"),
    WeightFormat("fp8_block", 1.0 + 4 / (128 * 128), "fp8", "E4M3, an fp32 scale per 128 × 128 block", block=128),
    WeightFormat("fp8_wo", 1.0, "bf16", "E4M3, weights only"),
    WeightFormat("mxfp8", 1.0 + 1 / 32, "fp8", "FP8 with an 8-bit exponent per 32"),
    WeightFormat("int8", 1.0, "int8", "8-bit integers with 8-bit activations"),
    WeightFormat("int8_wo", 1.0, "bf16", "8-bit integers, weights only"),
    WeightFormat("int8_wo_g128", 1.0 + 2 / 128, "bf16", "8-bit integers, weights only, a 16-bit scale per 128"),
    WeightFormat("int4", 0.5 + 2 / 128, "bf16", "4-bit integers, weights only, a 16-bit scale per 128"),
    WeightFormat("int4_g32", 0.5 + 2 / 32, "bf16", "4-bit integers, weights only, a 16-bit scale per 32"),
    WeightFormat("int4_g64", 0.5 + 2 / 64, "bf16", "4-bit integers, weights only, a 16-bit scale per 64"),
    WeightFormat("int4_channel", 0.5, "bf16", "4-bit integers, weights only, a scale per channel"),
    WeightFormat("int4_zp", 0.5 + 2.5 / 128, "bf16", "int4 with a 4-bit zero point per 128 as well (AWQ)"),
    WeightFormat("int4_g64_zp", 0.5 + 2.5 / 64, "bf16", "int4_g64 with a 4-bit zero point per 64 as well"),
    WeightFormat("int4_g32_zp", 0.5 + 2.5 / 32, "bf16", "int4_g32 with a 4-bit zero point per 32 as well"),
    WeightFormat("nf4", 0.5 + 4 / 64, "bf16", "4-bit NormalFloat, an fp32 scale per 64 (QLoRA)"),
    WeightFormat("nf4_dq", 0.5 + 1 / 64 + 4 / (64 * 256), "bf16", "nf4 with 8-bit scales, an fp32 one per 256 of them"),
    WeightFormat("mxfp4", 0.5 + 1 / 32, "bf16", "FP4 with an 8-bit exponent per 32"),
    WeightFormat("nvfp4", 0.5 + 1 / 16, "fp4", "FP4 with an fp8 scale per 16"),
    WeightFormat("nvfp4_wo", 0.5 + 1 / 16, "bf16", "FP4 with an fp8 scale per 16, weights only"),
)
_CACHES: tuple[CacheFormat, ...] = (
    CacheFormat("fp32", 4.0),
    CacheFormat("bf16", 2.0),
    CacheFormat("fp16", 2.0),
    CacheFormat("fp8", 1.0, note="one scale per tensor: free"),
    CacheFormat("fp8_per_head", 1.0, head_scale=4.0, note="an fp32 scale per token and head"),
    CacheFormat("int8", 1.0, head_scale=4.0, note="an fp32 scale per token and head"),
    CacheFormat("int6", 0.75, note="6-bit elements, as DeepSeek-V2 deployed"),
    CacheFormat("int4", 0.5 + 1 / 32, note="4-bit integers, a 16-bit scale per 64"),
    CacheFormat("nvfp4", 0.5 + 1 / 16, latent="fp4", note="FP4 with an fp8 scale per 16"),
    CacheFormat("fp8_ds_mla", 1.0, latent="fp8_ds_mla", note="fp8 latent, fp32 scale per 128, bf16 rope key"),
    CacheFormat("nvfp4_ds_mla", 0.5 + 1 / 16, latent="nvfp4_ds_mla", note="FP4 latent with scales, fp8 rope key"),
)

# GGUF: bits per weight of whole files, scales and wider tensors included. Of Llama-3.1-8B, llama.cpp
# tools/quantize/README.md; q4_0 to q5_1 from the sizes of Llama-3-8B in tools/quantize/quantize.cpp. The embedding is
# a smaller share of larger models, whose files have up to 4% fewer bits. Kernels multiply them in 8-bit integers,
# their activations quantized in blocks of 32 (q8_1, ggml-cuda/mmq.cuh).
_GGUF = {
    "iq1_s": 2.0042, "iq1_m": 2.146, "iq2_xxs": 2.3824, "iq2_xs": 2.5882, "iq2_s": 2.7403, "iq2_m": 2.9294,
    "q2_k_s": 2.9697, "q2_k": 3.1593, "iq3_xxs": 3.2548, "iq3_xs": 3.4977, "q3_k_s": 3.6429, "iq3_s": 3.6606,
    "iq3_m": 3.7628, "q3_k_m": 3.996, "q3_k_l": 4.2979, "iq4_xs": 4.4597, "q4_0": 4.642, "q4_k_s": 4.6672,
    "iq4_nl": 4.6818, "q4_k_m": 4.8944, "q4_1": 5.113, "q5_k_s": 5.5704, "q5_0": 5.573, "q5_k_m": 5.7036,
    "q5_1": 6.044, "q6_k": 6.5633, "q8_0": 8.5008,
}  # fmt: skip
_WEIGHTS += tuple(WeightFormat(name, bits / 8, "int8", "GGUF", whole=True) for name, bits in _GGUF.items())
# MLX: a 16-bit scale and a 16-bit bias for 64 weights, of every matrix (mlx.core.quantize).
_WEIGHTS += tuple(
    WeightFormat(f"mlx_q{bits}", (bits + 32 / 64) / 8, "bf16", f"MLX, {bits} bits in groups of 64", whole=True)
    for bits in (2, 3, 4, 5, 6, 8)
)
# Caches of llama.cpp: blocks of 32 with a 16-bit scale, and a 16-bit least value in q4_1 and q5_1 (ggml-common.h).
_CACHES += tuple(
    CacheFormat(name, bits / 8, note="llama.cpp, a scale per 32")
    for name, bits in (("q8_0", 8.5), ("q5_1", 6.0), ("q5_0", 5.5), ("q4_1", 5.0), ("q4_0", 4.5), ("iq4_nl", 4.5))
)

WEIGHT_FORMATS = {f.name: f for f in _WEIGHTS}
CACHE_FORMATS = {f.name: f for f in _CACHES}
COMPUTE_PRECISIONS = ("fp32", "bf16", "fp16", "fp8", "int8", "fp4")
SIZED = ("exl2", "exl3", "bits")
"""Weight-only formats that a number of bits belongs to: of ExLlamaV2 and V3, and of any other."""
_BITS = r"(.+?)[-_](\d{1,2}(?:\.\d+)?)(?:[-_]?(?:bits?|bpw))?"


GGUF_FIRST = "q4_k_m"
"""The file of a repository that llama.cpp takes where nobody says which (tools/server/README.md, -hf)."""


def gguf_format(stored: str) -> str | None:
    """The format of weights that a name of a GGUF file says, or the nearest: 'UD-Q4_K_XL' is q4_k_m; None for none."""
    plain = stored.lower().removeprefix("ud-")
    near = (plain, *(re.sub(r"_x?l$", size, plain) for size in ("_m", "")))
    return next((weight_format(each).name for each in near if each in WEIGHT_FORMATS), None)


def weight_format(name: str) -> WeightFormat:
    """Return the weight format that a name means, in any spelling.

    name: such as 'fp8', 'q4_k_m' or 'awq'; bits per weight behind a weight-only format are those of the whole, scales
    included, as in 'exl2-4.65', 'int4-4.9' or 'bits-4.9'.
    Raises CostcalcError with the nearest name for an unknown one.
    """
    plain = _plain(name)
    if plain in WEIGHT_FORMATS:
        return WEIGHT_FORMATS[plain]
    if plain in SIZED:
        raise CostcalcError(f"{shown(name)} says no bits per weight", hint=f"write {plain}-4.65, for example")
    if sized := re.fullmatch(_BITS, name.strip().casefold()):
        found = _sized(_plain(sized.group(1)), float(sized.group(2)))
        if found is not None:
            return found
    raise _unknown(name, "number type", [*WEIGHT_FORMATS], [*_COMBINED, *_MEANT, *(f"{each}-4.65" for each in SIZED)])


def _sized(base: str, bits: float) -> WeightFormat | None:
    """A weight-only format with a number of bits of its own, or None where there is no such format."""
    known = WEIGHT_FORMATS.get(base)
    if base not in SIZED and (known is None or (known.activations != "bf16" and not known.whole) or known.bytes >= 2):
        return None
    if not 1 <= bits <= 16:
        raise CostcalcError(f"{bits:g} bits per weight are out of range", hint="it must be at least 1 and at most 16")
    whole = known is not None and known.whole
    return WeightFormat(f"{base}-{bits:g}", bits / 8, "bf16", f"{bits:g} bits per weight, scales included", whole)


def cache_format(name: str) -> CacheFormat:
    """Return the cache format that a name means, in any spelling; raises CostcalcError for an unknown one."""
    plain = _plain(name)
    if plain in CACHE_FORMATS:
        return CACHE_FORMATS[plain]
    raise _unknown(name, "number type", [*CACHE_FORMATS])


def activation_format(name: str) -> str:
    """Return the compute precision called `name`; raises CostcalcError for an unknown one."""
    if name.lower() in COMPUTE_PRECISIONS:
        return name.lower()
    raise _unknown(name, "activation precision", [*COMPUTE_PRECISIONS])


# Number types as measurements, checkpoints and serving engines spell them, and what each means.
#
# One vocabulary for all: a name says how weights are stored and in which precision they are multiplied. Spellings
# are those of TensorRT-LLM, vLLM, SGLang and aiconfigurator, of torch, and of the OCP microscaling formats.


class NumberType(Record):
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
    "fp32": "float32 float single f32",
    "bf16": "bfloat16",
    "fp16": "float16 half f16",
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
    if plain in _COMBINED:
        stored, compute = _COMBINED[plain]
        return NumberType(plain, WEIGHT_FORMATS[stored], compute)
    found = weight_format(name)
    return NumberType(found.name, found, found.activations)


def spellings() -> dict[str, tuple[str, ...]]:
    """Every number type with the other names that it answers to."""
    return {name: tuple(_SPELLINGS.get(name, "").split()) for name in [*WEIGHT_FORMATS, *_COMBINED]}


def _plain(name: str) -> str:
    # A question mark is what sources put behind a type that they guess.
    plain = name.strip().casefold().rstrip("?").removeprefix("torch.").replace("-", "_").replace(" ", "_")
    return _MEANT.get(plain, plain)


def _unknown(name: str, what: str, known: Sequence[str], others: Sequence[str] = ()) -> CostcalcError:
    some = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    hint = did_you_mean(_plain(name), [*known, *others]) or f"one of: {some}"
    return CostcalcError(f"unknown {what} {shown(name)}", hint=hint)
