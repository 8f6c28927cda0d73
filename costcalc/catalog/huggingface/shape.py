"""What every reader returns: the shape of a model in the words of the catalog, a layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal, NamedTuple

from costcalc.catalog.huggingface.fields import MOST_LAYERS, Fields

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
