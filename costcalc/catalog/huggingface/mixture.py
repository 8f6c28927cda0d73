"""Mixtures of experts over grouped attention, as in transformers 5.23.0, models/*/modeling_*.py."""

from __future__ import annotations

from costcalc.catalog.huggingface.decoder import Traits, decoder, grouped, reader
from costcalc.catalog.huggingface.family import Family
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.patterns import CHUNKED, FULL, every_nth_full, every_step, first_dense
from costcalc.catalog.huggingface.shape import (
    Entry,
    Layer,
    Shape,
    dense,
    experts,
    layer_count,
    predicting,
    shape_of,
    with_window,
)


def _all(fields: Fields, count: int) -> tuple[Entry, list[bool]]:
    return experts(fields), [True] * count


def _qwen2_moe(fields: Fields, count: int) -> tuple[Entry, list[bool]]:
    shared = fields.size("shared_expert_intermediate_size", least=0)
    return experts(fields, shared=shared, shared_gate=shared > 0), every_step(fields, count)


def _qwen3_moe(fields: Fields, count: int) -> tuple[Entry, list[bool]]:
    return experts(fields), every_step(fields, count)


def _deepseek_moe(fields: Fields, count: int) -> tuple[Entry, list[bool]]:
    shared = fields.size("shared_experts", 0, least=0) * fields.size("moe_intermediate_size")
    return experts(fields, shared=shared), first_dense(fields, count)


def _glm4_moe(fields: Fields, count: int) -> tuple[Entry, list[bool]]:
    shared = fields.size("shared_experts", 0, least=0) * fields.size("moe_intermediate_size")
    return experts(fields, shared=shared), first_dense(fields, count)


def _gpt_oss(fields: Fields, count: int) -> tuple[Entry, list[bool]]:
    return experts(fields, expert_bias=True), [True] * count


def _granite(fields: Fields, count: int) -> tuple[Entry, list[bool]]:
    return experts(fields, shared=fields.size("shared_intermediate_size", 0, least=0)), [True] * count


_LLAMA = Traits(qkv_bias="attention_bias", o_bias="attention_bias", kv_default="heads")
_MINIMAX_M2 = Traits(qk_norm="full", routed=_all)
_QWEN_EXPERTS = {"num_experts": ("num_experts", "num_local_experts")}
_EXPERT_IS_MLP = {"moe_intermediate_size": ("intermediate_size",)}


def read_glm4_moe(fields: Fields) -> Shape:
    """Return a GLM-4.5: dense layers first, shared experts, a head for multi-token prediction."""
    traits = Traits(qkv_bias="attention_bias", qk_norm="head", qk_norm_key="use_qk_norm", routed=_glm4_moe)
    return predicting(decoder(fields, traits), fields.size("prediction_layers", 0, least=0, most=100))


def read_minimax_m2(fields: Fields) -> Shape:
    """Return a MiniMax-M2: norms over the whole width of queries and keys, several prediction modules."""
    shape = decoder(fields, _MINIMAX_M2)
    modules = fields.size("num_mtp_modules", 0, least=0, most=100) if fields.flag("use_mtp", False) else 0
    return predicting(shape, modules * fields.size("mtp_transformer_layers", 1, most=100))


def read_llama4(fields: Fields) -> Shape:
    """Return a Llama 4: chunked layers with a full one in every four, and one shared expert."""
    count = layer_count(fields)
    full = grouped(fields, _LLAMA)
    kinds = fields.words("layer_types", count, (CHUNKED, FULL)) or _llama4_kinds(fields, count)
    step = fields.size("interleave_moe_layer_step", 1, most=2000)
    listed = fields.numbers("moe_layers")
    sparse = set(range(step - 1, count, step) if listed is None else listed)
    width = fields.size("intermediate_size")
    table: dict[str, Entry] = {}
    if len(sparse) < count:
        table["dense"] = dense(fields, name="intermediate_size_mlp")
    if sparse:
        table["experts"] = experts(fields, shared=width, width="intermediate_size")
    labels = ["full" if kind == FULL else "chunked" for kind in kinds]
    variants = {"full": full}
    if "chunked" in labels:
        chunk = fields.size("attention_chunk_size", 8192)
        variants = {"chunked": with_window(full, chunk, "chunked"), "full": full}
    return shape_of(
        fields,
        attention={label: variants[label] for label in dict.fromkeys(labels)},
        feedforward=table,
        layers=[Layer(label, "experts" if i in sparse else "dense") for i, label in enumerate(labels)],
    )


def _llama4_kinds(fields: Fields, count: int) -> list[str]:
    rope = fields.numbers("no_rope_layers")
    if rope:
        return [CHUNKED if each else FULL for each in fields.numbers("no_rope_layers", count) or []]
    period = fields.size("no_rope_layer_interval", 4, most=2000)
    fields.note(f"Every {period}th layer is full and the others are chunked, as in the model's code.")
    return every_nth_full(count, period, CHUNKED)


FAMILIES = (
    Family(
        "mistral",
        ("MixtralForCausalLM",),
        ("mixtral",),
        reader(Traits(window="all", routed=_all)),
        _EXPERT_IS_MLP,
    ),
    Family(
        "qwen",
        ("Qwen2MoeForCausalLM",),
        ("qwen2_moe",),
        reader(Traits(qkv_bias="qkv_bias", window="late", routed=_qwen2_moe)),
        _QWEN_EXPERTS,
        {"qkv_bias": True},
    ),
    Family(
        "qwen",
        ("Qwen3MoeForCausalLM", "Qwen3VLMoeForConditionalGeneration"),
        ("qwen3_moe", "qwen3_vl_moe", "qwen3_vl_moe_text"),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="head", window="late",
                   routed=_qwen3_moe)
        ),
        _QWEN_EXPERTS,
    ),
    Family(
        "gpt-oss",
        ("GptOssForCausalLM",),
        ("gpt_oss",),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", sinks=True, head_dim=64, window=2,
                   routed=_gpt_oss)
        ),
        _EXPERT_IS_MLP,
        {"attention_bias": True, "sliding_window": 128},
    ),
    Family(
        "deepseek",
        ("DeepseekForCausalLM",),  # DeepSeek-MoE 16B, as in the code that its checkpoint ships with
        ("deepseek",),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", kv_default="heads", routed=_deepseek_moe)
        ),
        {"num_experts": ("n_routed_experts",)},
    ),
    Family("glm", ("Glm4MoeForCausalLM",), ("glm4_moe", "glm4v_moe_text"), read_glm4_moe),
    Family(
        "phi",
        ("PhimoeForCausalLM", "PhiMoEForCausalLM"),
        ("phimoe",),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", norm_bias=True, head_bias="lm_head_bias",
                   window="all", routed=_all)
        ),
        _EXPERT_IS_MLP,
    ),
    Family(
        "granite",
        ("GraniteMoeForCausalLM", "GraniteMoeSharedForCausalLM"),
        ("granitemoe", "granitemoeshared"),
        reader(
            Traits(qkv_bias="attention_bias", o_bias="attention_bias", kv_default="heads", routed=_granite)
        ),
        _EXPERT_IS_MLP,
    ),
    Family(
        "minimax",
        ("MiniMaxM2ForCausalLM",),
        ("minimax_m2",),
        read_minimax_m2,
        _EXPERT_IS_MLP,
    ),
    Family(
        "llama",
        ("Llama4ForCausalLM", "Llama4ForConditionalGeneration"),
        ("llama4_text", "llama4"),
        read_llama4,
    ),
)  # fmt: skip
