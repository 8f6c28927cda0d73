"""The quantization block of a configuration: which formats it names, and for which modules.

fp8, fbgemm_fp8, awq, gptq, auto-round, bitsandbytes, mxfp4, compressed-tensors and modelopt, as transformers
5.23.0 (utils/quantization_config.py), compressed-tensors and TensorRT Model Optimizer write them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.weights import CACHES, integer_format, modelopt_format, scheme_format
from costcalc.errors import nearest, shown

_IGNORED = {"ignored": ("modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules",
                        "llm_int8_skip_modules")}  # fmt: skip


@dataclass
class Scheme:
    """Formats and the modules that have them.

    everywhere: the format of all linear layers, or None. named: (format, module names) that have another one.
    ignored: modules that stay wide.
    """

    everywhere: str | None = None
    named: list[tuple[str, list[str]]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    kv_cache: str | None = None


def read_quantization(block: Fields) -> Scheme:
    """Return what a quantization block says.

    block: the group `quantization_config`, or the content of hf_quant_config.json.
    Raises CostcalcError when its method or a format is unknown.
    """
    block.names.update(_IGNORED)
    method = block.text("quant_method")
    if method is None:
        method = "modelopt" if block.has("quant_algo") else "bitsandbytes" if _is_bitsandbytes(block) else None
    if method is None:
        raise block.error("quant_method", "is missing", f"known: {', '.join(_METHODS)}")
    reader = _METHODS.get(method.lower())
    if reader is None:
        near = nearest(method, _METHODS)
        known = f"the closest known one is '{near}'" if near else f"known: {', '.join(_METHODS)}"
        raise block.error(
            "quant_method",
            f"unknown method {shown(method)}",
            f"{known}; without the block, the shape is imported in 16 bits",
        )
    scheme = reader(block)
    scheme.ignored += block.words("ignored") or []
    return scheme


def _is_bitsandbytes(block: Fields) -> bool:
    return block.has("load_in_4bit") or block.has("load_in_8bit")


def _fp8(block: Fields) -> Scheme:
    blocks = block.numbers("weight_block_size")
    if blocks is not None and blocks != [128, 128]:
        size = " × ".join(map(str, blocks))
        block.note(f"A scale stands for {size} weights; it is counted as one per 128 × 128.")
    scheme = Scheme("fp8" if blocks is None else "fp8_block", kv_cache=_cache(block))
    if block.has("quantized_layers"):
        scheme.named = _quantized_layers(block)
        block.names["ignored"] = ()
    return scheme


def _awq(block: Fields) -> Scheme:
    group = block.size("group_size", 128, least=-1)
    return Scheme(integer_format(block, _bits(block), group, block.flag("zero_point", True)))


def _gptq(block: Fields) -> Scheme:
    group = block.size("group_size", 128, least=-1)
    made = integer_format(block, _bits(block), group, not block.flag("sym", True))
    scheme = Scheme(made)
    if block.flag("lm_head", False):
        scheme.named.append((made, ["lm_head"]))
    rules = block.get("dynamic")
    for rule in rules if isinstance(rules, dict) else ():
        if rule.startswith("-:"):
            scheme.ignored.append(rule[2:])
        else:
            block.note(f"Modules with settings of their own ({shown(rule)}) are counted like the others.")
    return scheme


def _bits(block: Fields) -> int:
    return block.size("bits", 4, most=64)


def _bitsandbytes(block: Fields) -> Scheme:
    if block.flag("load_in_8bit", False):
        return Scheme("int8")
    if not block.flag("load_in_4bit", False):
        raise block.error("load_in_4bit", "neither load_in_4bit nor load_in_8bit is on")
    return Scheme("nf4_dq" if block.flag("bnb_4bit_use_double_quant", False) else "nf4")


def _mxfp4(_: Fields) -> Scheme:
    # The integration in transformers converts routed experts alone.
    return Scheme(named=[("mxfp4", ["experts"])])


def _compressed(block: Fields) -> Scheme:
    scheme = Scheme(kv_cache=_cache(block))
    groups = block.group("config_groups")
    if groups is None:
        raise block.error("config_groups", "is missing", "what are the weights kept in?")
    for name in groups.data:
        group = groups.group(name)
        weights = group.group("weights") if group else None
        if group is None or weights is None:
            what = "is null" if group is None else "names no weights"
            raise groups.error(name, what, "what are the weights kept in?")
        made = scheme_format(weights, group.group("input_activations") is not None)
        targets = group.words("targets") or ["Linear"]
        if any(target in ("Linear", "linear") for target in targets):
            scheme.everywhere = made
        else:
            scheme.named.append((made, targets))
    return scheme


def _modelopt(block: Fields) -> Scheme:
    algorithm = block.text("quant_algo")
    if algorithm is None:
        return _compressed(block)
    if algorithm.upper() == "MIXED_PRECISION" or block.has("quantized_layers"):
        return Scheme(named=_quantized_layers(block), kv_cache=_cache(block))
    made = modelopt_format(block, "quant_algo", algorithm, block.size("group_size", -1, least=-1))
    return Scheme(made, kv_cache=_cache(block))


def _quantized_layers(block: Fields) -> list[tuple[str, list[str]]]:
    layers = block.group("quantized_layers")
    if layers is None:
        raise block.error("quantized_layers", "is missing", "which layers are in which format?")
    of_format: dict[str, list[str]] = {}
    for name, value in layers.data.items():
        algorithm = value.get("quant_algo") if isinstance(value, dict) else value
        group = value.get("group_size", -1) if isinstance(value, dict) else -1
        made = modelopt_format(layers, name, algorithm, group if isinstance(group, int) else -1)
        of_format.setdefault(made, []).append(name)
    return list(of_format.items())


def _cache(block: Fields) -> str | None:
    """Return the format of the cache: 'kv_cache_scheme' or 'kv_cache_quant_algo'."""
    if isinstance(block.get("kv_cache_scheme"), dict):
        scheme = block.group("kv_cache_scheme")
        return "fp8" if scheme is not None and scheme.size("num_bits") == 8 else None
    word = block.text("kv_cache_scheme") or block.text("kv_cache_quant_algo")
    if word is None or word.lower() == "none":
        return None
    if word.upper() not in CACHES:
        raise block.error("kv_cache_quant_algo", f"unknown cache format {shown(word)}", f"known: {', '.join(CACHES)}")
    return CACHES[word.upper()]


_METHODS: dict[str, Callable[[Fields], Scheme]] = {
    "fp8": _fp8,
    "fbgemm_fp8": _fp8,
    "awq": _awq,
    "gptq": _gptq,
    "auto-round": _gptq,
    "intel/auto-round": _gptq,
    "bitsandbytes": _bitsandbytes,
    "mxfp4": _mxfp4,
    "compressed-tensors": _compressed,
    "modelopt": _modelopt,
}
