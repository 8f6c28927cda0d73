"""Gemma 1 to 4, as in transformers 5.23.0, models/gemma*/. Their files leave much to the class defaults."""

from __future__ import annotations

from dataclasses import replace

from costcalc.catalog.huggingface.decoder import Traits, grouped, reader
from costcalc.catalog.huggingface.family import Family
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.patterns import FULL, layer_kinds
from costcalc.catalog.huggingface.shape import (
    Entry,
    Layer,
    Shape,
    dense,
    experts,
    head_size,
    kv_heads,
    layer_count,
    query_heads,
    shape_of,
    with_window,
)

_FIRST = Traits(qkv_bias="attention_bias", o_bias="attention_bias", tied=True, head_dim=256)
_SECOND = replace(_FIRST, norms_per_sublayer=2, window=2)
_THIRD = replace(_SECOND, qk_norm="head", window=6)
_FOURTH = replace(_FIRST, qk_norm="head")


def read_gemma4(fields: Fields) -> Shape:
    """Return a Gemma 4: full layers have a geometry of their own, and a dense MLP may run beside the experts."""
    for name in ("hidden_size_per_layer_input", "num_kv_shared_layers"):
        if fields.size(name, 0, least=0):
            raise fields.error(name, "layers with inputs or caches of their own kind cannot be imported yet", _WRITE)
    count = layer_count(fields)
    kinds = layer_kinds(fields, count, period=6)
    sliding = grouped(fields, _FOURTH)
    full = _full_layer(fields, sliding)
    table = {"sliding": with_window(sliding, fields.size("sliding_window")), "full": full}
    labels = ["full" if kind == FULL else "sliding" for kind in kinds]
    feedforward: dict[str, Entry] = {"dense": dense(fields)}
    mixture = fields.flag("enable_moe_block", False)
    if mixture:
        feedforward["experts"] = experts(fields)
    # With experts: one norm before and two after each of the MLP and the experts, and two around attention.
    mlp, norms = (("dense", "experts"), 7) if mixture else ("dense", None)
    shape = shape_of(
        fields,
        True,
        attention={label: table[label] for label in dict.fromkeys(labels)},
        feedforward=feedforward,
        layers=[Layer(label, mlp, norms) for label in labels],
    )
    if mixture:
        shape.settings["other_parameters"] = count * (shape.hidden_size + fields.size("num_experts"))
        fields.note("other_parameters are the scales of the routers' inputs and of the experts.")
    else:
        shape.settings["norms_per_sublayer"] = 2
    return shape


_WRITE = "write the model by hand"


def _full_layer(fields: Fields, sliding: Entry) -> Entry:
    heads = query_heads(fields)
    shared = fields.flag("attention_k_eq_v", False)
    full = {**sliding, "head_dim": head_size(fields, heads, default=512, name="global_head_dim")}
    if shared and fields.has("num_global_key_value_heads"):
        full["num_key_value_heads"] = kv_heads(fields, heads, name="num_global_key_value_heads")
    return full | ({"values_from_keys": True} if shared else {})


FAMILIES = (
    Family("gemma", ("GemmaForCausalLM",), ("gemma",), reader(_FIRST)),
    Family(
        "gemma", ("Gemma2ForCausalLM",), ("gemma2",), reader(_SECOND), defaults={"sliding_window": 4096}
    ),
    Family(
        "gemma",
        ("Gemma3ForCausalLM", "Gemma3ForConditionalGeneration"),
        ("gemma3_text", "gemma3"),
        reader(_THIRD),
        # Gemma3TextConfig: what the files of the 4B, 12B and 27B models leave out.
        defaults={
            "vocab_size": 262208, "num_attention_heads": 8, "num_key_value_heads": 4,
            "max_position_embeddings": 131072, "sliding_window": 4096,
        },
    ),
    Family(
        "gemma",
        ("Gemma4ForCausalLM", "Gemma4ForConditionalGeneration"),
        ("gemma4_text", "gemma4"),
        read_gemma4,
        {"experts_per_token": ("top_k_experts",)},
    ),
)  # fmt: skip
