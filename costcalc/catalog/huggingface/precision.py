"""The precision of a model from its data type and its quantization block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from costcalc.catalog.huggingface.coverage import Coverage
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.quantization import Scheme, read_quantization
from costcalc.catalog.huggingface.shape import Entry, Shape
from costcalc.errors import shown
from costcalc.feedforward.dense import DenseFeedForward
from costcalc.specs.model import ModelSpec

_DTYPES = {"bfloat16": "bf16", "float16": "fp16", "half": "fp16", "float32": "fp32", "float": "fp32"}
_NEARLY_ALL = 0.99


def base_format(fields: Fields) -> str:
    """Return the format of weights that are not quantized.

    fields: the settings of the language model.
    """
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
    weights = _one_format(parts, spec, base, fields)
    precision: Entry = {"weights": weights}
    experts = _largest(parts["experts"])
    if shape.experts and experts in (base, scheme.everywhere):
        experts = shape.experts
    if spec.has_experts and experts != weights:
        precision["experts"] = experts
    head = _largest(parts["head"])
    if head != "bf16":
        precision["head"] = head
    return precision | {"kv_cache": _cache_of(scheme, shape, base, fields)}


def _cache_of(scheme: Scheme, shape: Shape, base: str, fields: Fields) -> str:
    # A layout that the family's kernels keep is an fp8 one already.
    if shape.kv_cache is not None:
        return shape.kv_cache
    if scheme.kv_cache is not None:
        return scheme.kv_cache
    fields.note("The cache is kept in the format of activations, as engines do by default; the file does not say.")
    return base


Shares = dict[str, float]


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
        # LM heads stay wide unless they are named: every method leaves them out by default.
        if scheme.everywhere and part != "head":
            quantized = max(0.0, left - wide.share(part))
            shares[scheme.everywhere] = shares.get(scheme.everywhere, 0.0) + quantized
            left -= quantized
        shares[base] = shares.get(base, 0.0) + left
        found[part] = shares
    return found


def _tell_unknown(cover: Coverage, fields: Fields) -> None:
    if cover.unknown:
        more = f" and {len(cover.unknown) - 1} more" if len(cover.unknown) > 1 else ""
        fields.note(f"The quantization block names unknown modules, left out: {shown(cover.unknown[0])}{more}.")


def _one_format(parts: dict[str, Shares], spec: ModelSpec, base: str, fields: Fields) -> str:
    """Return the format that most weights beside routed experts are in, with a remark where others differ."""
    totals: Counter[str] = Counter()
    for part, parameters in _parameters(spec).items():
        for made, share in parts[part].items():
            totals[made] += round(share * parameters)
    if not sum(totals.values()):
        return base
    largest, parameters = totals.most_common(1)[0]
    share = parameters / sum(totals.values())
    if share < _NEARLY_ALL:
        others = ", ".join(
            f"{made} {count / sum(totals.values()):.0%}" for made, count in totals.most_common()[1:] if count
        )
        fields.note(
            f"Weights beside routed experts are mixed, {largest} {share:.0%}, {others}; all are counted as {largest}."
        )
    return largest


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
