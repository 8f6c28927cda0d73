"""What a quantization block calls a number format, in the names of costcalc.formats."""

from __future__ import annotations

from costcalc.catalog.huggingface.fields import Fields
from costcalc.errors import shown
from costcalc.formats import WEIGHT_FORMATS

MODELOPT = {
    "FP8": "fp8", "FP8_PER_CHANNEL_PER_TOKEN": "fp8", "FP8_PB_WO": "fp8_block", "FP8_PB_REAL": "fp8_block",
    "MXFP8": "mxfp8", "NVFP4": "nvfp4", "NVFP4_AWQ": "nvfp4", "NVFP4_SVD": "nvfp4", "W4A16_NVFP4": "nvfp4_wo",
    "MXFP4": "mxfp4", "W4A8_MXFP4_FP8": "mxfp4", "INT4_AWQ": "int4", "W4A16_AWQ": "int4", "W4A8_AWQ": "int4",
    "W4A16": "int4", "W8A16": "int8_wo", "INT8_SQ": "int8", "W8A8_SQ_PER_CHANNEL": "int8", "INT8_WO": "int8_wo",
}  # fmt: skip
CACHES = {"FP8": "fp8", "NVFP4": "nvfp4", "INT8": "int8"}


def integer_format(fields: Fields, bits: int, group: int, zero_points: bool) -> str:
    """Return the format of weights kept as integers with 16-bit scales, computed with in 16 bits.

    fields: the block, for errors. bits: width of a weight. group: weights per scale, or -1 for a channel's.
    zero_points: whether a 4-bit zero point goes with every scale.
    """
    if bits == 8:
        return "int8_wo" if group <= 0 else "int8_wo_g128"
    if bits != 4:
        raise fields.error("bits", f"weights of {bits} bits are not known", "4 and 8 are")
    size = "int4_channel" if group <= 0 else "int4" if group == 128 else f"int4_g{group}"
    name = f"{size}_zp" if zero_points and group > 0 else size
    if name not in WEIGHT_FORMATS:
        raise fields.error("group_size", f"{group} weights to a scale are not known", "32, 64, 128 and -1 are")
    return name


def scheme_format(weights: Fields, has_activations: bool) -> str:
    """Return the format of a group of compressed-tensors or modelopt.

    weights: what the group says of its weights. has_activations: whether activations are quantized as well.
    """
    bits = weights.size("num_bits")
    group = weights.size("group_size", -1, least=-1)
    kind = weights.text("type") or "int"
    if kind == "int":
        if bits == 8 and has_activations:
            return "int8"
        zero_points = not weights.flag("symmetric", True)
        return integer_format(weights, bits, group, zero_points)
    if kind != "float" or bits not in (4, 8):
        raise weights.error("num_bits", f"weights of {bits} bits of type {shown(kind)} are not known")
    if bits == 8:
        if weights.has("block_structure") or weights.text("strategy") == "block":
            return "fp8_block"
        return "mxfp8" if group == 32 else "fp8" if has_activations else "fp8_wo"
    if group == 32:
        return "mxfp4"
    return "nvfp4" if has_activations else "nvfp4_wo"


def modelopt_format(fields: Fields, name: str, algorithm: object, group: int = -1) -> str:
    """Return the format that a ModelOpt algorithm stands for.

    fields, name: the block and the setting, for errors. algorithm: its word. group: weights per scale.
    """
    found = MODELOPT.get(algorithm.upper()) if isinstance(algorithm, str) else None
    if found is None:
        raise fields.error(name, f"unknown quantization {shown(algorithm)}", f"known: {', '.join(MODELOPT)}")
    if found == "int4" and group > 0:
        return integer_format(fields, 4, group, False)
    return found
