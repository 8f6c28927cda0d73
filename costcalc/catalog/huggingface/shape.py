"""What every reader of configurations returns: a shape in the words of the catalog, a layer at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from costcalc.catalog.huggingface.config import MOST_LAYERS, Fields, Names

Entry = dict[str, Any]
"""One attention or feed-forward variant as the catalog writes it; what has its default value is left out."""


class Layer(NamedTuple):
    """One layer: the labels of its attention and feed-forward parts, and its norms where they are unusual."""

    attention: str | None
    feedforward: str | Sequence[str] | None
    norms: int | None = None


@dataclass
class Shape:
    """A model read from its configuration.

    layers: one item per layer, in order of depth. settings: further keys of the catalog's form.
    kv_cache, experts: formats that the family is known to use, where the file's own words do not say.
    """

    hidden_size: int
    vocab_size: int
    tied: bool
    max_context: int | None
    attention: dict[str, Entry]
    feedforward: dict[str, Entry]
    layers: list[Layer]
    settings: Entry = field(default_factory=dict)
    prediction: Entry | None = None
    kv_cache: str | None = None
    experts: str | None = None


def entry(kind: str, **values: Any) -> Entry:
    """Return a variant without the settings that are off."""
    return {"kind": kind} | {key: value for key, value in values.items() if value not in (None, False, 0, "none")}


def shape_of(fields: Fields, tied: bool = False, **parts: Any) -> Shape:
    """Return a shape with the sizes that every configuration names.

    fields: the settings. tied: whether the family shares embeddings and LM head where the file is silent.
    parts: the other fields of a Shape.
    """
    return Shape(
        hidden_size=fields.size("hidden_size"),
        vocab_size=fields.size("vocab_size"),
        tied=fields.flag("tie_word_embeddings", tied),
        max_context=fields.optional_size("max_position_embeddings"),
        **parts,
    )


def layer_count(fields: Fields) -> int:
    """Return the number of layers."""
    return fields.size("num_hidden_layers", most=MOST_LAYERS)


def query_heads(fields: Fields) -> int:
    """Return the number of query heads."""
    return fields.size("num_attention_heads")


def kv_heads(fields: Fields, heads: int, *, default: int | None = None, name: str = "num_key_value_heads") -> int:
    """Return the number of KV heads, which has to divide the query heads.

    heads: query heads. default: KV heads where the file has none. name: the setting.
    """
    found = fields.size(name, default)
    if heads % found:
        raise fields.error(name, f"{found} does not divide {heads} attention heads")
    return found


def head_size(fields: Fields, heads: int, *, default: int | None = None, name: str = "head_dim") -> int:
    """Return the width of a head; without one, `default`, or hidden_size / heads as the model code derives it."""
    given = fields.optional_size(name) or default
    if given is not None:
        return given
    hidden = fields.size("hidden_size")
    if hidden % heads:
        raise fields.error("hidden_size", f"{hidden} is no multiple of {heads} attention heads", f"give {name}")
    fields.note(f"{name} is hidden_size / num_attention_heads, as the model's code derives it.")
    return hidden // heads


def grouped_name(layer: Entry) -> str:
    """Return the usual name of grouped attention: mha, gqa or mqa."""
    heads, kv = layer["num_attention_heads"], layer["num_key_value_heads"]
    return "mha" if heads == kv else "mqa" if kv == 1 else "gqa"


def with_window(layer: Entry, window: int, kind: Literal["sliding", "chunked"] = "sliding") -> Entry:
    """Return grouped attention that sees a window or a chunk only."""
    return {**layer, "kind": kind, "window" if kind == "sliding" else "chunk": window}


def dense(
    fields: Fields, *, name: str = "intermediate_size", times: int = 0, gated: bool = True, bias: bool = False
) -> Entry:
    """Return a dense feed-forward layer.

    name: the setting that holds its width. times: how many hidden sizes wide it is where the file has none.
    """
    if times and not fields.has(name):
        width = times * fields.size("hidden_size")
        fields.note(f"The MLP is {times} × hidden_size wide, as the model's code derives it.")
    else:
        width = fields.size(name)
    made = entry("dense", intermediate_size=width)
    return made | ({} if gated else {"gated": False}) | ({"bias": True} if bias else {})


def experts(fields: Fields, *, shared: int = 0, width: str = "moe_intermediate_size", **others: Any) -> Entry:
    """Return routed experts.

    shared: width of the shared experts together. width: the setting that holds the width of an expert.
    others: further fields of the variant.
    """
    number, per_token = fields.size("num_experts"), fields.size("experts_per_token")
    if per_token > number:
        raise fields.error("experts_per_token", f"{per_token} exceeds the {number} experts")
    made = entry(
        "experts",
        num_experts=number,
        experts_per_token=per_token,
        moe_intermediate_size=fields.size(width),
        shared_intermediate_size=shared,
    )
    gated = {} if others.pop("gated", True) else {"gated": False}
    return made | gated | {key: value for key, value in others.items() if value}


def predicting(shape: Shape, count: int, attention: str | None = None, feedforward: str | None = None) -> Shape:
    """Return a shape with `count` heads for multi-token prediction, by default like its last layer."""
    last = shape.layers[-1]
    if count:
        shape.prediction = {
            "layers": count,
            "attention": attention or last.attention,
            "feedforward": feedforward or last.feedforward,
        }
    return shape


def runs(layers: Sequence[Layer]) -> list[tuple[int, Layer]]:
    """Return equal layers merged as (count, layer), in order of first use."""
    counts: dict[Layer, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return [(count, layer) for layer, count in counts.items()]


def is_interleaved(layers: Sequence[Layer]) -> bool:
    """Whether equal layers do not all stand together."""
    changes = sum(1 for before, after in pairwise(layers) if before != after)
    return changes >= len(set(layers))


# Which layers are of which kind: the ways in which configurations say it.


SLIDING = "sliding_attention"
FULL = "full_attention"
CHUNKED = "chunked_attention"
LINEAR = "linear_attention"
_SPARSE = ("sparse", "moe", "hash_moe")
_DENSE = ("dense", "mlp")


def every_nth_full(count: int, period: int, other: str = SLIDING) -> list[str]:
    """Return kinds where every `period`-th layer is full and the others are `other`."""
    return [FULL if (i + 1) % period == 0 else other for i in range(count)]


def layer_kinds(fields: Fields, count: int, *, period: int | None, other: str = SLIDING) -> list[str]:
    """Return the kind of attention of each layer.

    period: every how many layers one is full where the file lists no `layer_types`; None: all are.
    other: what the others are.
    """
    listed = fields.words("layer_types", count, (FULL, other))
    if listed is not None:
        return listed
    if period is None:
        return [FULL] * count
    fields.note(f"The file lists no layer_types; every {_ordinal(period)} layer is full, as in the model's code.")
    return every_nth_full(count, period, other)


def first_dense(fields: Fields, count: int) -> list[bool]:
    """Return whether each layer has experts: `mlp_layer_types`, else `first_k_dense_replace` and `moe_layer_freq`."""
    listed = fields.words("mlp_layer_types", count, (*_SPARSE, *_DENSE))
    if listed is not None:
        return [kind in _SPARSE for kind in listed]
    if isinstance(fields.get("moe_layer_freq"), list):
        return [bool(each) for each in fields.numbers("moe_layer_freq", count) or []]
    first = fields.size("first_k_dense_replace", 0, least=0)
    if first > count:
        raise fields.error("first_k_dense_replace", f"{first} dense layers come first, but there are {count} in all")
    period = fields.size("moe_layer_freq", 1)
    return [i >= first and i % period == 0 for i in range(count)]


def every_step(fields: Fields, count: int) -> list[bool]:
    """Return whether each layer has experts by `decoder_sparse_step` and `mlp_only_layers` (Qwen)."""
    step = fields.size("decoder_sparse_step", 1)
    dense = set(fields.numbers("mlp_only_layers") or [])
    if beyond := [number for number in dense if number >= count]:
        raise fields.error("mlp_only_layers", f"names layer {max(beyond)}, but there are {count}, counted from 0")
    return [i not in dense and (i + 1) % step == 0 for i in range(count)]


def periodic(fields: Fields, count: int, kind: str, offset: int | None = None) -> list[bool]:
    """Return which layers are chosen by `<kind>_layer_period` and `<kind>_layer_offset` (Jamba)."""
    period = fields.size(f"{kind}_layer_period", most=2000)
    start = fields.size(f"{kind}_layer_offset", offset, least=0)
    if start >= period:
        raise fields.error(f"{kind}_layer_offset", f"{start} is not below the period of {period}")
    return [i % period == start for i in range(count)]


def _ordinal(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")


# A family of models: the names it goes by in configurations, and its reader.


@dataclass(frozen=True, slots=True)
class Family:
    """Models whose configurations one reader understands.

    name: the family as the catalog calls it. architectures, model_types: what its configurations say.
    read: the reader. names: spellings of settings that only this family uses. defaults: what the class of
    the model takes where a file says nothing, for settings that shipped files do leave out.
    """

    name: str
    architectures: tuple[str, ...]
    model_types: tuple[str, ...]
    read: Callable[[Fields], Shape]
    names: Names = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
