"""Decoders of the usual kind: grouped attention and a feed-forward part in every layer.

Families differ in a few traits only; a reader is `decoder` with the family's traits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.patterns import FULL, SLIDING, layer_kinds
from costcalc.catalog.huggingface.shape import (
    Entry,
    Layer,
    Shape,
    dense,
    entry,
    grouped_name,
    head_size,
    kv_heads,
    layer_count,
    query_heads,
    shape_of,
    with_window,
)

Switch = bool | str
"""On, off, or the setting of the file that says so."""
Routed = Callable[[Fields, int], tuple[Entry, list[bool]]]
"""Reads the experts, and which of so many layers have them."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What sets a family of decoders apart.

    window: 'never'; 'all' layers wherever `sliding_window` is set; 'late': from `max_window_layers` on where
    `use_sliding_window` is on; or the period of full layers among sliding ones.
    kv_default: KV heads where the file has none: as many as query heads, or one where `multi_query` is not off.
    mlp_times: how many hidden sizes wide the MLP is where the file does not say.
    head_dim: a class default in place of hidden_size / heads. position_rows: rows of a learned position table
    beside max_position_embeddings, or None without a table.
    """

    qkv_bias: Switch = False
    o_bias: Switch = False
    mlp_bias: Switch = False
    qk_norm: Literal["none", "head", "full"] = "none"
    qk_norm_key: str | None = None
    sinks: bool = False
    gated: bool = True
    tied: bool = False
    norm_bias: bool = False
    norms_per_sublayer: int = 1
    parallel_block: Switch = False
    head_bias: Switch = False
    kv_default: Literal["none", "heads", "multi_query"] = "none"
    mlp_times: int = 0
    head_dim: int | None = None
    window: Literal["never", "all", "late"] | int = "never"
    window_period_key: str = "sliding_window_pattern"
    routed: Routed | None = None
    position_rows: int | None = None


def reader(traits: Traits) -> Callable[[Fields], Shape]:
    """Return the reader of a family with these traits."""
    return lambda fields: decoder(fields, traits)


def decoder(fields: Fields, traits: Traits) -> Shape:
    """Return the shape of a decoder.

    fields: the settings. traits: what sets its family apart.
    """
    count = layer_count(fields)
    attention, mixers = mixers_of(fields, traits, count)
    feedforward, mlps = mlps_of(fields, traits, count)
    shape = shape_of(
        fields,
        traits.tied,
        attention=attention,
        feedforward=feedforward,
        layers=[Layer(mixer, mlp) for mixer, mlp in zip(mixers, mlps, strict=True)],
    )
    shape.settings.update(_settings(fields, traits, shape))
    return shape


def switched(fields: Fields, switch: Switch) -> bool:
    """Return a trait that is fixed or that a setting of the file decides."""
    return fields.flag(switch, False) if isinstance(switch, str) else switch


def grouped(fields: Fields, traits: Traits, **others: Any) -> Entry:
    """Return the family's grouped attention over the whole context."""
    heads = query_heads(fields)
    norm = traits.qk_norm
    if traits.qk_norm_key is not None and not fields.flag(traits.qk_norm_key, False):
        norm = "none"
    return entry(
        "grouped",
        num_attention_heads=heads,
        num_key_value_heads=kv_heads(fields, heads, default=_kv_default(fields, traits, heads)),
        head_dim=head_size(fields, heads, default=traits.head_dim),
        qkv_bias=switched(fields, traits.qkv_bias),
        o_bias=switched(fields, traits.o_bias),
        qk_norm=norm,
        sinks=traits.sinks,
        **others,
    )


def _kv_default(fields: Fields, traits: Traits, heads: int) -> int | None:
    if traits.kv_default == "multi_query":
        return 1 if fields.flag("multi_query", True) else heads
    return heads if traits.kv_default == "heads" else None


def mixers_of(fields: Fields, traits: Traits, count: int) -> tuple[dict[str, Entry], list[str]]:
    """Return the attention variants, and which of them each layer has."""
    layer = grouped(fields, traits)
    kinds = _kinds(fields, traits, count)
    window = fields.optional_size("sliding_window") if SLIDING in kinds else None
    context = fields.optional_size("max_position_embeddings")
    if SLIDING in kinds and (window is None or (context is not None and window >= context)):
        if window is None:
            raise fields.error("sliding_window", "is missing, but there are sliding layers")
        fields.note(f"The window of {window:,} tokens covers the whole context: layers are counted as full.")
        kinds = [FULL] * count
    if window is None or (FULL in kinds and SLIDING not in kinds):
        name = grouped_name(layer)
        return {name: layer}, [name] * count
    labels = {SLIDING: "sliding", FULL: "full"}
    table = {"sliding": with_window(layer, window)} | ({"full": layer} if FULL in kinds else {})
    return table, [labels[kind] for kind in kinds]


def _kinds(fields: Fields, traits: Traits, count: int) -> list[str]:
    if fields.has("layer_types"):
        return layer_kinds(fields, count, period=None)
    if isinstance(traits.window, int):
        return layer_kinds(fields, count, period=fields.size(traits.window_period_key, traits.window))
    slides = traits.window != "never" and fields.optional_size("sliding_window") is not None
    if traits.window == "all":
        return [SLIDING if slides else FULL] * count
    if not slides or not fields.flag("use_sliding_window", False):
        return [FULL] * count
    first = fields.size("max_window_layers", least=0)
    return [SLIDING if i >= first else FULL for i in range(count)]


def mlps_of(fields: Fields, traits: Traits, count: int) -> tuple[dict[str, Entry], list[str]]:
    """Return the feed-forward variants, and which of them each layer has."""
    sparse, routed = [False] * count, None
    if traits.routed is not None:
        routed, sparse = traits.routed(fields, count)
    table: dict[str, Entry] = {}
    if not all(sparse):
        table["dense"] = dense(
            fields, times=traits.mlp_times, gated=traits.gated, bias=switched(fields, traits.mlp_bias)
        )
    if routed is not None and any(sparse):
        table["experts"] = routed
    return table, ["experts" if each else "dense" for each in sparse]


def _settings(fields: Fields, traits: Traits, shape: Shape) -> Entry:
    settings: Entry = {}
    if traits.position_rows is not None:
        settings["position_embeddings"] = fields.size("max_position_embeddings") + traits.position_rows
    if switched(fields, traits.head_bias):
        settings["other_parameters"] = shape.vocab_size
        fields.note("other_parameters is the bias of the LM head.")
    if switched(fields, traits.parallel_block):
        settings["parallel_block"] = True
    if traits.norms_per_sublayer != 1:
        settings["norms_per_sublayer"] = traits.norms_per_sublayer
    if traits.norm_bias:
        settings["norm_bias"] = True
    return settings
