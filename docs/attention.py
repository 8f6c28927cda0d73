"""The page of all kinds of attention: their YAML fields, what a sequence caches, and a model of each."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import MISSING
from functools import cache
from pathlib import Path
from typing import Any, get_args

import numpy as np

import costcalc
from costcalc.fields import hints
from costcalc.formats import CACHE_FORMATS, CacheFormat
from costcalc.model.attention import AnyAttention, Attention
from costcalc.model.attention.linear import STATE_BYTES, RecurrentAttention
from costcalc.model.attention.sparse import IndexedLatentAttention, index_key_bytes
from costcalc.units import format_bytes

ROOT = Path(__file__).parents[1]
KINDS: dict[str, type[Attention]] = {str(each.kind): each for each in get_args(get_args(AnyAttention)[0])}  # type: ignore[attr-defined]

GROUPED = "num_key_value_heads * (head_dim + v_head_dim) * c"
BYTES = {
    "grouped": f"S * {GROUPED}",
    "low_rank": f"S * {GROUPED}",
    "latent": "S * (kv_lora_rank + qk_rope_head_dim) * c",
    "sliding": f"min(S, window) * {GROUPED}",
    "chunked": f"min(S, chunk) * {GROUPED}",
    "indexed_latent": "S * (kv_lora_rank + qk_rope_head_dim) * c + S // index_kpool * k + pool",
    "block_sparse": f"S * ({GROUPED} + k)",
    "compressed": "min(S, window) * e + entries * (e + k) + state",
    "gated_deltanet": "num_value_heads * key_head_dim * value_head_dim * s"
    " + (conv_kernel - 1) * (2 * num_key_heads * key_head_dim + num_value_heads * value_head_dim) * 2",
    "kda": "num_heads * head_dim**2 * s + (conv_kernel - 1) * 3 * num_heads * head_dim * 2",
    "lightning": "num_heads * head_dim**2 * s",
    "mamba1": "inner_size * state_size * s + (conv_kernel - 1) * inner_size * 2",
    "mamba2": "num_heads * head_dim * state_size * s"
    " + (conv_kernel - 1) * (num_heads * head_dim + 2 * n_groups * state_size) * 2",
    "gated_memory": "0",
    "short_conv": "(conv_kernel - 1) * channels * 2",
}
"""Bytes that a sequence of S tokens caches in a layer, in the names of the fields; tests compute all layers by it."""

WHERE = """\
`S` is the tokens of the sequence; `c` the bytes of a cached element, 2 in bf16 (formats with scales add those,
`costcalc/formats.py`); `s` those of a state's element, 4 in `fp32`; `k` those of an index key: `index_head_dim` and 4
bytes for each 128 of it in `fp8`. `v_head_dim` is `head_dim` where it is left out. `x // y` is rounded down. In a layer
with `stores_cache: false`, which reads another's, `c` is 0, and `k` where `owns_indexer: false`.
"""
FURTHER = {
    "indexed_latent": "`pool` is `4 * index_kpool * index_head_dim`, the open pool in 16 bits, where `index_kpool` is"
    " above 1.",
    "compressed": "`e` is `head_dim * c`, in fp8 with the rope part in 16 bits and 8 bytes of scales; `entries` is"
    " `S // compress_ratio`, none where that is 0; `state` the open window of every compressor, its values and gates in"
    " fp32.",
    "latent": "Absorbed, as engines run it. `--mla expanded` caches"
    " `num_attention_heads * (qk_nope_head_dim + qk_rope_head_dim + v_head_dim) * c` a token.",
    "gated_memory": "No model of the catalog has it.",
    "low_rank": "The control of the comparison, which no model has: `costcalc compare attention --variants lowrank`.",
}


MEANINGS = {
    "num_attention_heads": "query heads",
    "num_key_value_heads": "heads of keys and values, which query heads share",
    "head_dim": "width of a head",
    "v_head_dim": "width of a value head, where it is another",
    "qkv_bias": "biases of the query, key and value projections",
    "o_bias": "bias of the output projection",
    "qk_norm": "norm of queries and keys: of each head, or of all of them",
    "output_gate": "gates the output: each element, or each head",
    "sinks": "a learned score per head that takes none of the values",
    "window": "tokens that a query sees, itself included",
    "chunk": "tokens of a chunk",
    "q_lora_rank": "rank of the query projection; left out: it is one matrix",
    "kv_lora_rank": "width of the latent",
    "qk_nope_head_dim": "width of a query and key head without position",
    "qk_rope_head_dim": "width of its part with position, of which all heads share the key",
    "index_n_heads": "heads of the indexer",
    "index_head_dim": "width of an index head, and of its one key per token",
    "index_topk": "tokens or entries that the indexer chooses",
    "index_cache": "format of index keys",
    "index_kpool": "tokens that share an index key",
    "owns_indexer": "false: takes what the last indexer chose",
    "sparse_block_size": "tokens of a block",
    "topk_blocks": "blocks that a query reads, its own included",
    "compress_ratio": "tokens of a compressed entry; 0: none, the window alone",
    "o_groups": "groups of heads of the first output projection",
    "o_lora_rank": "rank of the output projection, per group",
    "conv_kernel": "taps of the short convolution",
    "state_dtype": "format of the state",
    "num_heads": "heads",
    "num_key_heads": "heads of queries and keys",
    "num_value_heads": "heads of values, each with a state",
    "key_head_dim": "width of a key head",
    "value_head_dim": "width of a value head",
    "state_size": "values of state per channel",
    "dt_rank": "rank of the step size's projection",
    "n_groups": "groups of heads that share B and C",
    "inner_size": "inner width",
}
"""What fields mean that the code says nothing of."""


def cached(layer: Attention, context: int, form: CacheFormat) -> float:
    """Return what BYTES says of a layer [B], for a sequence of so many tokens in a format without scales."""
    names: dict[str, Any] = {name: getattr(layer, name) for name in layer.__dataclass_fields__}
    stored = getattr(layer, "stores_cache", True)
    names |= {"S": context, "c": form.bytes * stored, "min": np.minimum, "k": 0.0, "pool": 0.0}
    if "v_head_dim" in names:
        names["v_head_dim"] = names["v_head_dim"] or names["head_dim"]
    if names.get("index_head_dim"):
        names["k"] = index_key_bytes(names["index_head_dim"], names["index_cache"]) * names.get("owns_indexer", True)
    if isinstance(layer, IndexedLatentAttention) and layer.index_kpool > 1:
        names["pool"] = 4 * layer.index_kpool * layer.index_head_dim * layer.owns_indexer
    if isinstance(layer, RecurrentAttention):
        names["s"] = STATE_BYTES[layer.state_dtype]
    if names["kind"] == "compressed":
        ratio, dims = names["compress_ratio"], [names["head_dim"], names["index_head_dim"]]
        series = 2 if names["index_n_heads"] else 1
        names["e"], names["entries"] = names["head_dim"] * form.bytes, context // ratio if ratio else 0
        names["state"] = series * ratio * sum(2 * series * dim * 4 for dim in dims[:series])
    return float(eval(BYTES[str(names["kind"])], {"__builtins__": {}}, names))


@cache
def examples() -> dict[str, tuple[str, str, Attention]]:
    """Return a model of each kind: its file, its name and the layer, of the newest that has it."""
    found: dict[str, tuple[str, str, Attention]] = {}
    for entry in sorted(costcalc.models(), key=lambda each: (each.released or "", each.id), reverse=True):
        model = costcalc.load_model(entry.id)
        for layer in sorted(model.attention.values(), key=lambda each: -len(_told(each))):
            found.setdefault(str(layer.kind), (entry.id, model.name, layer))
    return found


def _told(layer: Attention) -> dict[str, Any]:
    """The fields of a layer that a file has to name."""
    values = {name: getattr(layer, name) for name in layer.__dataclass_fields__}
    return {name: value for name, value in values.items() if name == "kind" or value != _default(type(layer), name)}


def _default(kind: type[Attention], name: str) -> Any:
    return kind.__dataclass_fields__[name].default


def _comments(kind: type[Attention]) -> dict[str, str]:
    """What stands behind the fields in the code."""
    found = {}
    for each in reversed(kind.__mro__[: kind.__mro__.index(Attention)]):
        for name, comment in re.findall(r"(?m)^    (\w+): .*?  # (?!type:)(.*)$", inspect.getsource(each)):
            found[name] = comment
    return found


def _type(hint: Any) -> str:
    words = [json.dumps(each) for each in get_args(hint) if isinstance(each, str)]
    if words:
        return ", ".join(f"`{word.strip(chr(34))}`" for word in words)
    return {"bool": "true or false", "float": "a number"}.get(getattr(hint, "__name__", ""), "a whole number")


def _fields(kind: type[Attention]) -> list[str]:
    told, types = _comments(kind), hints(kind)
    rows = ["| field | is | default | meaning |", "| :-- | :-- | :-- | :-- |"]
    for name in kind.__dataclass_fields__:
        if name in ("kind", "mode"):
            continue
        value = _default(kind, name)
        default = "needed" if value is MISSING else "-" if value is None else f"`{json.dumps(value)}`"
        rows.append(f"| `{name}` | {_type(types[name])} | {default} | {told.get(name) or MEANINGS[name]} |")
    return rows


def attention_page() -> str:
    """Return docs/attention.md."""
    parts = [INTRODUCTION.format(kinds=len(KINDS)), _contents(), "## What the formulas name\n\n" + WHERE]
    for kind, made in KINDS.items():
        path = Path(inspect.getfile(made)).relative_to(ROOT).as_posix()
        about = inspect.cleandoc(made.__doc__ or "")
        parts.append(f"## `{kind}`\n\n{about}\n\nIn code: [`{path}`](../{path}): `{made.__name__}`.\n")
        formula = re.sub(r"(?<=[\w)]) \* (?=[\w(])", " · ", BYTES[kind]).replace("**2", "²")
        more = f"\n{FURTHER[kind]}\n" if kind in FURTHER else ""
        parts.append(f"Cached by a sequence, in bytes a layer:\n\n    {formula}\n{more}")
        parts.append("\n".join([*_fields(made), ""]))
        if kind in examples():
            parts.append(_example(*examples()[kind]))
    return "\n".join(parts)


def _contents() -> str:
    rows = ["| kind | as in | cached by 4,096 tokens in a layer, bf16 |", "| :-- | :-- | --: |"]
    for kind in KINDS:
        file, name, layer = examples().get(kind, (None, "", None))
        model = "-" if layer is None else f"[{name}](../models/{file}.yaml), {layer.describe()}"
        held = "-" if layer is None else format_bytes(float(layer.cache_bytes(4096, CACHE_FORMATS["bf16"])))
        rows.append(f"| [`{kind}`](#{kind}) | {model} | {held} |")
    return "\n".join([*rows, ""])


def _example(file: str, name: str, layer: Attention) -> str:
    told = ((key, value if isinstance(value, str) else json.dumps(value)) for key, value in _told(layer).items())
    lines = "\n".join(f"    {key}: {value}" for key, value in told)
    held = float(layer.cache_bytes(4096, CACHE_FORMATS["bf16"]))
    where = f"As in [{name}](../models/{file}.yaml), where 4,096 tokens take {held:,.0f} B of a layer in bf16:"
    return f"{where}\n\n```yaml\nattention:\n  a_name:\n{lines}\n```\n"


INTRODUCTION = """# Kinds of attention

<!-- Made by docs/generate.py from costcalc/model/attention/: change that, then run it again. -->

A model's file names the attention of its layers under `attention:`, each by its `kind` and that kind's fields, and says
under `layers:` how many have it. There are {kinds} kinds. `costcalc models new --attention kda` begins a file with one
of them, and [catalog.md](catalog.md#entries-of-your-own) tells the rest.
"""
