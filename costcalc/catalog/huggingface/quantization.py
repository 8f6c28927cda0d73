"""The precision of a configuration: its quantization block, the formats it names, the modules they stand for.

fp8, fbgemm_fp8, awq, gptq, auto-round, bitsandbytes, mxfp4, compressed-tensors and modelopt, as transformers
5.23.0 (utils/quantization_config.py), compressed-tensors and TensorRT Model Optimizer write them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from costcalc.catalog.huggingface.config import Fields
from costcalc.catalog.huggingface.shape import Entry, Shape
from costcalc.errors import nearest, shown
from costcalc.fields import total
from costcalc.formats import WEIGHT_FORMATS, weight_format
from costcalc.model.ffn import DenseFeedForward
from costcalc.model.spec import ModelSpec

# What a quantization block calls a number format, in the names of costcalc.formats.


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


# Which parts of a model the module names of a quantization block stand for.
#
# Checkpoints name modules ('model.layers.3.mlp.experts'), wildcards or regular expressions. The catalog keeps one
# format for each part of a model, so a name is read for the part and the layer that it means; a pattern is never run.


_LONGEST_NAME = 300
PARTS = ("attention", "mlp", "shared", "experts", "head")
_LAYER = re.compile(r"(?:layers|h|blocks)\.(\d+)(?!\d)")
_WHOLE_LAYER = re.compile(r"(?:layers|h|blocks)\.\d+(?:\.?\*|\.)?$")
_NEVER = re.compile(
    r"norm|bias|embed|vision|visual|audio|multi_modal|mm_projector|patch_merge|mtp|indexer|index_|rotary|conv1d|a_log"
    r"|router|eh_proj|shared_expert_gate|(?:^|[._*/])gate(?:[.*$_]*$|\.(?!proj))|e_score|in_proj_[ab]\b|(?:^|[._])dt"
)
_ATTENTION = re.compile(r"attn|attention|[qkvo]_proj|qkv|kv_[ab]_|q_[ab]_|mixer\.(?:in|out)_proj")
_PROJECTION = re.compile(r"(q_a|q_b|kv_a|kv_b|qkv|[qkvo])_proj")


class Meaning(NamedTuple):
    """The parts that a name means, the layer (None: all of them), and the projection of the attention if one."""

    parts: tuple[str, ...]
    layer: int | None
    projection: str | None


def meaning(name: str) -> Meaning | None:
    """Return what a module name or pattern means, or None when it means nothing that is known."""
    if len(name) > _LONGEST_NAME:
        return None
    text = name.removeprefix("re:").replace("\\", "").lower().strip("^$")
    found = _LAYER.search(text)
    layer = int(found.group(1)) if found else None
    if _WHOLE_LAYER.search(text):
        return Meaning(PARTS[:4], layer, None)
    if "lm_head" in text or text in ("head", "output"):
        return Meaning(("head",), None, None)
    if _NEVER.search(text) and "gate_up" not in text:
        return Meaning((), layer, None)
    if "shared_expert" in text or "shared_mlp" in text:
        return Meaning(("shared",), layer, None)
    if "expert" in text:
        return Meaning(("experts",), layer, None)
    if _ATTENTION.search(text):
        one = _PROJECTION.search(text)
        return Meaning(("attention",), layer, one.group(1) if one else None)
    if re.search(r"(?:mlp|ffn|feed_forward|block_sparse_moe|mixer)[.*]*$", text):
        return Meaning(("mlp", "shared", "experts"), layer, None)
    if re.search(r"mlp|ffn|feed_forward|(?:gate|up|down|gate_up)_proj|mixer", text):
        return Meaning(("mlp",), layer, None)
    return None


class Coverage:
    """What share of each part of each layer a set of names means.

    shape: the model. projections: share of the attention's weights in each of its projections.
    """

    def __init__(self, shape: Shape, projections: dict[str, float]) -> None:
        self.projections = projections
        self.layers = {part: _layers_with(shape, part) for part in PARTS}
        # An MLP that stands beside the experts is a module of its own.
        self.beside = any(len(layer.feedforward) > 1 for layer in shape.layers)
        self.count = len(shape.layers)
        self.shares: dict[str, dict[int, float]] = {part: {} for part in PARTS}
        self.unknown: list[str] = []

    def add(self, names: Iterable[str], *, whole: bool = False) -> None:
        """Count names in.

        names: module names or patterns. whole: a projection stands for all of its attention, as where every
        module is listed.
        """
        for name in names:
            means = meaning(name)
            if means is None:
                self.unknown.append(name)
                continue
            # What stands behind the last layer are heads for multi-token prediction.
            if means.layer is not None and means.layer >= self.count:
                continue
            share = 1.0 if whole or means.projection is None else self.projections.get(means.projection, 0.25)
            parts = ("mlp",) if self.beside and means.parts == ("mlp", "shared", "experts") else means.parts
            for part in parts:
                held = self.shares[part]
                for layer in self.layers[part] if means.layer is None else [means.layer]:
                    held[layer] = min(1.0, held.get(layer, 0.0) + share)

    def share(self, part: str) -> float:
        """Return the share of a part, over the layers that have it, that the names mean."""
        layers = self.layers[part]
        return total(self.shares[part].get(layer, 0.0) for layer in layers) / len(layers) if layers else 0.0


def _layers_with(shape: Shape, part: str) -> list[int]:
    if part == "head":
        return [0]
    return [i for i, layer in enumerate(shape.layers) if part in _parts_of(shape, layer.attention, layer.feedforward)]


def _parts_of(shape: Shape, attention: str | None, feedforward: Sequence[str]) -> set[str]:
    parts = {"attention"} if attention else set()
    for label in feedforward:
        variant = shape.feedforward[label]
        if variant["kind"] == "dense":
            parts.add("mlp")
        else:
            parts |= {"experts"} | ({"shared"} if variant.get("shared_intermediate_size") else set())
    return parts


_IGNORED = {"ignored": ("modules_to_not_convert", "ignored_layers", "ignore", "exclude_modules",
                        "llm_int8_skip_modules")}  # fmt: skip


@dataclass
class Scheme:
    """Formats and the modules that have them.

    everywhere: the format of all linear layers, or None. named: (format, module names) that have another one.
    ignored: modules that stay wide. head: the format of the LM head, where a method narrows it. embedding: whether
    the embedding is in that format, too.
    """

    everywhere: str | None = None
    head: str | None = None
    embedding: bool = False
    named: list[tuple[str, list[str]]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    kv_cache: str | None = None


def read_quantization(block: Fields) -> Scheme:
    """Return what a quantization block says.

    block: the group `quantization_config`, or the content of hf_quant_config.json.
    Raises CostcalcError when its method or a format is unknown.
    """
    block.names.update(_IGNORED)
    method = block.text("quant_method") or next((each for key, each in _SIGNS.items() if block.has(key)), None)
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


_SIGNS = {"quant_algo": "modelopt", "load_in_4bit": "bitsandbytes", "load_in_8bit": "bitsandbytes", "bits": "mlx"}
"""What a block without a method is told by."""


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


def _mlx(block: Fields) -> Scheme:
    """MLX narrows every matrix, tables too, but for modules with settings of their own, or none."""
    everywhere = _mlx_format(block)
    scheme = Scheme(everywhere, head=everywhere, embedding=True)
    for name, value in block.data.items():
        if value is False:
            scheme.ignored.append(name)
        elif isinstance(value, dict):
            inner = Fields(block.document, value, (*block.path, name))
            scheme.named.append((_mlx_format(inner), [name]))
    return scheme


def _mlx_format(block: Fields) -> str:
    mode = block.text("mode") or "affine"
    if mode in WEIGHT_FORMATS:
        return f"{mode}_wo" if f"{mode}_wo" in WEIGHT_FORMATS else mode
    bits, group = _bits(block), block.size("group_size", 64)
    if f"mlx_q{bits}" not in WEIGHT_FORMATS:
        raise block.error("bits", f"weights of {bits} bits are not known", "2, 3, 4, 5, 6 and 8 are")
    return f"mlx_q{bits}" if group == 64 else weight_format(f"mlx_q{bits}-{bits + 32 / group}").name


def _exl(block: Fields) -> Scheme:
    method, bits, head = block.text("quant_method"), block.get("bits"), block.get("head_bits")
    if not isinstance(bits, int | float) or isinstance(bits, bool):
        raise block.error("bits", f"must be a number, got {shown(bits)}" if bits is not None else "is missing")
    narrow = weight_format(f"{method}-{head}").name if isinstance(head, int) and head < 16 else None
    return Scheme(weight_format(f"{method}-{bits:g}").name, head=narrow)


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
    "mlx": _mlx,
    "exl2": _exl,
    "exl3": _exl,
    "compressed-tensors": _compressed,
    "modelopt": _modelopt,
}


# The precision of a model from its data type and its quantization block.


_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32"}
_NEARLY_ALL = 0.99
Shares = dict[str, float]
"""What share of weights is in which format."""


def base_format(fields: Fields) -> str:
    """Return the format of weights that are not quantized."""
    word = fields.text("dtype")
    if word is None:
        fields.note("The file names no dtype; bf16 is assumed.")
        return "bf16"
    found = _DTYPES.get(word.removeprefix("torch."))
    if found is None:
        raise fields.error("dtype", f"unknown data type {shown(word)}", f"known: {', '.join(_DTYPES)}")
    if found == "fp32":
        fields.note("The file keeps weights in fp32; engines load them in 16 bits unless told otherwise: bf16 here.")
        return "bf16"
    return found


def precision_of(fields: Fields, blocks: Sequence[Fields], shape: Shape, spec: ModelSpec) -> Entry:
    """Return the precision of a model.

    fields: the settings. blocks: its quantization block, and ModelOpt's file beside it; the first one counts,
    a later one may know more of the cache. shape: as read. spec: the model in 16 bits, for the sizes of its parts.
    """
    base = base_format(fields)
    scheme, *others = [read_quantization(block) for block in blocks] or [Scheme()]
    scheme.kv_cache = next((each.kv_cache for each in (scheme, *others) if each.kv_cache), None)
    for block in blocks[:1]:
        for note in block.notes:
            fields.note(note)
    parts = _formats_of_parts(scheme, shape, spec, base, fields)
    sizes = _parameters(spec)
    ffn, outside = (_together(parts, sizes, each) for each in (("mlp", "shared"), ("mlp", "shared", "attention")))
    kept = {"weights": outside or {base: 1.0}, "attention": parts["attention"], "ffn": ffn, "experts": parts["experts"]}
    found = {part: _largest(shares) for part, shares in kept.items() if shares}
    if shape.experts and found["experts"] in (base, scheme.everywhere):
        found["experts"] = shape.experts
    if not spec.has_experts:
        del found["experts"], kept["experts"]
    for part in (each for each in ("attention", "ffn", "experts") if each in found):
        _tell_mixture(part, kept[part], fields)
    precision = {part: made for part, made in found.items() if part == "weights" or made != found["weights"]}
    head = _largest(parts["head"])
    if head != "bf16":
        precision["head"] = head
    embedding = head if spec.tied_embeddings or scheme.embedding else base
    if embedding != head:
        precision["embedding"] = embedding
    return precision | {"kv_cache": _cache_of(scheme, shape, base, fields)}


def _together(parts: dict[str, Shares], sizes: dict[str, float], names: Sequence[str]) -> Shares:
    """What share of several parts together is in which format; nothing where there are no such weights."""
    totals: Counter[str] = Counter()
    for part in names:
        for made, share in parts[part].items():
            totals[made] += round(share * sizes[part])
    whole = sum(totals.values())
    return {made: count / whole for made, count in totals.most_common() if count}


def _tell_mixture(part: str, shares: Shares, fields: Fields) -> None:
    largest = _largest(shares)
    if shares[largest] < _NEARLY_ALL:
        mixed = ", ".join(f"{made} {share:.0%}" for made, share in sorted(shares.items(), key=lambda s: -s[1]) if share)
        fields.note(f"Weights of {_SPOKEN[part]} are mixed, {mixed}; all are counted as {largest}.")


_SPOKEN = {"attention": "attention", "ffn": "FFNs beside routed experts", "experts": "routed experts"}


def _cache_of(scheme: Scheme, shape: Shape, base: str, fields: Fields) -> str:
    # A layout that the family's kernels keep is an fp8 one already.
    if shape.kv_cache is not None:
        return shape.kv_cache
    if scheme.kv_cache is not None:
        return scheme.kv_cache
    fields.note("The cache is kept in the format of activations, as engines do by default; the file does not say.")
    return base


def _formats_of_parts(scheme: Scheme, shape: Shape, spec: ModelSpec, base: str, fields: Fields) -> dict[str, Shares]:
    """Return for each part of the model what share of it is in which format."""
    projections = _projections(spec)
    wide = Coverage(shape, projections)
    wide.add(scheme.ignored)
    _tell_unknown(wide, fields)
    named: list[tuple[str, Coverage]] = []
    for made, names in scheme.named:
        cover = Coverage(shape, projections)
        cover.add(names, whole=True)
        _tell_unknown(cover, fields)
        named.append((made, cover))
    found: dict[str, Shares] = {}
    for part in wide.layers:
        shares: Shares = {}
        left = 1.0
        for made, cover in named:
            shares[made] = shares.get(made, 0.0) + min(left, cover.share(part))
            left = max(0.0, left - cover.share(part))
        # LM heads stay wide unless they are named: most methods leave them out by default.
        usual = scheme.head if part == "head" else scheme.everywhere
        if usual:
            quantized = max(0.0, left - wide.share(part))
            shares[usual] = shares.get(usual, 0.0) + quantized
            left -= quantized
        shares[base] = shares.get(base, 0.0) + left
        found[part] = shares
    return found


def _tell_unknown(cover: Coverage, fields: Fields) -> None:
    if cover.unknown:
        more = f" and {len(cover.unknown) - 1} more" if len(cover.unknown) > 1 else ""
        fields.note(f"The quantization block names unknown modules, left out: {shown(cover.unknown[0])}{more}.")


def _largest(shares: Shares) -> str:
    return max(shares, key=lambda made: shares[made])


def _parameters(spec: ModelSpec) -> dict[str, float]:
    """Return the parameters of attention, dense MLPs and shared experts."""
    hidden = spec.hidden_size
    counts = {"attention": 0.0, "mlp": 0.0, "shared": 0.0}
    for count, mixer in spec.attention_layers():
        counts["attention"] += count * sum(matrix.parameters for matrix in mixer.linears(hidden))
    for count, layer in spec.feedforward_layers():
        part = "mlp" if isinstance(layer, DenseFeedForward) else "shared"
        counts[part] += count * sum(m.parameters for m in layer.linears(hidden) if m.name != "router")
    return counts


def _projections(spec: ModelSpec) -> dict[str, float]:
    """Return the share of the attention's weights in each of its projections."""
    sizes: Counter[str] = Counter()
    for count, mixer in spec.attention_layers():
        for matrix in mixer.linears(spec.hidden_size):
            sizes[matrix.name] += round(count * matrix.parameters)
    total = sum(sizes.values()) or 1
    shares = {name: size / total for name, size in sizes.items()}
    return shares | {"qkv": shares.get("q", 0.0) + shares.get("k", 0.0) + shares.get("v", 0.0)}
