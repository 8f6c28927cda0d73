"""Decoders of the usual kind, grouped attention and a feed-forward part in every layer; the families that are so.

Families differ in a few traits only; a reader is `decoder` with the family's traits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from costcalc.catalog.huggingface.config import Fields
from costcalc.catalog.huggingface.shape import (
    FULL,
    SLIDING,
    Entry,
    Family,
    Layer,
    Shape,
    dense,
    entry,
    experts,
    grouped_name,
    head_size,
    kv_heads,
    layer_count,
    layer_kinds,
    predicting,
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


# Families of dense decoders: what sets each apart, as in transformers 5.23.0, models/*/modeling_*.py.


_LLAMA = Traits(qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias="mlp_bias", kv_default="heads")


def _read_mimo(fields: Fields) -> Shape:
    shape = decoder(fields, Traits(qkv_bias="attention_bias", window="late"))
    return predicting(shape, fields.size("prediction_layers", 0, least=0, most=100))


DENSE = (
    Family(
        "llama",
        ("LlamaForCausalLM", "LLaMAForCausalLM"),
        ("llama",),
        reader(_LLAMA),
    ),
    Family(
        "internlm",
        ("InternLM2ForCausalLM",),  # as in the code that internlm/internlm2-chat-7b ships with
        ("internlm2",),
        reader(Traits(qkv_bias="bias", o_bias="bias", kv_default="heads")),
        defaults={"bias": True},
    ),
    Family("smollm", ("SmolLM3ForCausalLM",), ("smollm3",), reader(replace(_LLAMA, tied=True))),
    Family(
        "mistral",
        ("MistralForCausalLM", "MinistralForCausalLM"),
        ("mistral", "ministral"),
        reader(Traits(window="all")),
        defaults={"sliding_window": 4096},
    ),
    Family("mistral", ("Ministral3ForCausalLM",), ("ministral3",), reader(Traits(window="all", head_dim=128))),
    Family(
        "qwen",
        ("Qwen2ForCausalLM", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"),
        ("qwen2", "qwen2_vl", "qwen2_vl_text", "qwen2_5_vl", "qwen2_5_vl_text"),
        reader(Traits(qkv_bias=True, window="late")),
    ),
    Family(
        "qwen",
        ("Qwen3ForCausalLM", "Qwen3VLForConditionalGeneration"),
        ("qwen3", "qwen3_vl", "qwen3_vl_text"),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="head", head_dim=128, window="late")
        ),
    ),
    Family(
        "mimo",
        ("MiMoForCausalLM",),
        ("mimo",),
        _read_mimo,
        defaults={"attention_bias": True},
    ),
    Family(
        "seed-oss",
        ("SeedOssForCausalLM",),
        ("seed_oss",),
        reader(Traits(qkv_bias="attention_bias", o_bias="attention_out_bias", mlp_bias="mlp_bias")),
        defaults={"attention_bias": True},
    ),
    Family(
        "phi",
        ("Phi3ForCausalLM",),
        ("phi3",),
        reader(Traits(kv_default="heads", window="all")),
    ),
    Family(
        "phi",
        ("PhiForCausalLM",),
        ("phi",),
        reader(
            Traits(
                qkv_bias=True, o_bias=True, mlp_bias=True, gated=False, norm_bias=True, parallel_block=True,
                head_bias=True, kv_default="heads", qk_norm="head", qk_norm_key="qk_layernorm",
            )
        ),
    ),
    Family(
        "olmo",
        ("Olmo2ForCausalLM",),
        ("olmo2",),
        reader(Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="full", kv_default="heads")),
    ),
    Family(
        "olmo",
        ("Olmo3ForCausalLM",),
        ("olmo3",),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="full", kv_default="heads", window=4)
        ),
        defaults={"sliding_window": 4096},
    ),
    Family(
        "starcoder",
        ("Starcoder2ForCausalLM",),
        ("starcoder2",),
        reader(
            Traits(qkv_bias="use_bias", o_bias="use_bias", mlp_bias="use_bias", gated=False, norm_bias=True,
                   tied=True, window="all")
        ),
        defaults={"use_bias": True},
    ),
    Family("granite", ("GraniteForCausalLM",), ("granite",), reader(_LLAMA)),
    Family(
        "command-r",
        ("CohereForCausalLM",),
        ("cohere",),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="full", qk_norm_key="use_qk_norm",
                   parallel_block=True, tied=True, kv_default="heads")
        ),
    ),
    Family(
        "command-r",
        ("Cohere2ForCausalLM",),
        ("cohere2",),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", parallel_block=True, tied=True,
                   kv_default="heads", window=4)
        ),
        defaults={"sliding_window": 4096},
    ),
    Family(
        "nemotron",
        ("NemotronForCausalLM",),
        ("nemotron",),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias="mlp_bias", gated=False,
                   norm_bias=True, kv_default="heads")
        ),
    ),
    Family(
        "stablelm",
        ("StableLmForCausalLM",),
        ("stablelm",),
        reader(
            Traits(qkv_bias="use_qkv_bias", qk_norm="full", qk_norm_key="qk_layernorm", norm_bias=True,
                   parallel_block="use_parallel_residual")
        ),
    ),
    Family(
        "glm",
        ("GlmForCausalLM",),
        ("glm",),
        reader(Traits(qkv_bias="attention_bias", head_dim=128)),
        defaults={"attention_bias": True},
    ),
    Family(
        "glm",
        ("Glm4ForCausalLM",),
        ("glm4",),
        reader(Traits(qkv_bias="attention_bias", head_dim=128, norms_per_sublayer=2)),
        defaults={"attention_bias": True},
    ),
    Family(
        "hunyuan",
        ("HunYuanDenseV1ForCausalLM",),
        ("hunyuan_v1_dense",),
        reader(Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="head", kv_default="heads")),
    ),
)  # fmt: skip


# Gemma 1 to 4, as in transformers 5.23.0, models/gemma*/. Their files leave much to the class defaults.


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


GEMMA = (
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
