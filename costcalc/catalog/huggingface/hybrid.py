"""Layers with a state among layers with a cache: Qwen3-Next, Kimi Linear, MiniMax-01, Jamba, Granite 4, Nemotron-H.

As in transformers 5.23.0, models/qwen3_next/, qwen3_5*/, kimi_linear/, minimax/, jamba/, granitemoehybrid/ and
nemotron_h/; MiniMax-Text-01 and M1 as in the code that their checkpoints ship with.
"""

from __future__ import annotations

from math import ceil

from costcalc.catalog.huggingface.decoder import Traits, grouped
from costcalc.catalog.huggingface.family import Family
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.latent import latent, mlps
from costcalc.catalog.huggingface.patterns import FULL, LINEAR, every_step, layer_kinds, periodic
from costcalc.catalog.huggingface.shape import (
    Entry,
    Layer,
    Shape,
    dense,
    entry,
    experts,
    layer_count,
    predicting,
    shape_of,
)

_STATE = {"float32": None, "bfloat16": "bf16", "float16": "bf16"}


def state_dtype(fields: Fields, name: str) -> str | None:
    """Return the format of a recurrent state where it is not fp32."""
    word = fields.text(name)
    if word is not None and word not in _STATE:
        raise fields.error(name, f"unknown format '{word}'", f"one of {', '.join(_STATE)}")
    return _STATE[word] if word else None


def read_qwen3_next(fields: Fields) -> Shape:
    """Return a Qwen3-Next or Qwen3.5: Gated DeltaNet layers, and a gated full one in every four."""
    count = layer_count(fields)
    period = None if fields.has("layer_types") else fields.size("full_attention_interval", 4, most=2000)
    kinds = layer_kinds(fields, count, period=period, other=LINEAR)
    full = grouped(fields, Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="head", head_dim=256))
    if fields.flag("attn_output_gate", True):
        full["output_gate"] = "elementwise"
    values, keys = fields.size("linear_num_value_heads"), fields.size("linear_num_key_heads")
    if values % keys:
        raise fields.error("linear_num_key_heads", f"{keys} does not divide {values} value heads")
    kernel = fields.size("linear_conv_kernel_dim", 4, most=1024)
    delta = entry(
        "gated_deltanet",
        num_key_heads=keys,
        num_value_heads=values,
        key_head_dim=fields.size("linear_key_head_dim"),
        value_head_dim=fields.size("linear_value_head_dim"),
        conv_kernel=None if kernel == 4 else kernel,
        state_dtype=state_dtype(fields, "mamba_ssm_dtype"),
    )
    routed = fields.has("num_experts")
    sparse = every_step(fields, count) if routed else [False] * count
    table: dict[str, Entry] = {} if all(sparse) else {"dense": dense(fields)}
    if any(sparse):
        shared = fields.size("shared_expert_intermediate_size", 0, least=0)
        table["experts"] = experts(fields, shared=shared, shared_gate=shared > 0)
    shape = shape_of(
        fields,
        attention={"deltanet": delta, "full": full},
        feedforward=table,
        layers=[
            Layer("full" if kind == FULL else "deltanet", "experts" if mix else "dense")
            for kind, mix in zip(kinds, sparse, strict=True)
        ],
    )
    return predicting(shape, fields.size("prediction_layers", 0, least=0, most=100), attention="full")


def read_kimi_linear(fields: Fields) -> Shape:
    """Return a Kimi Linear or Kimi K3: Kimi Delta Attention layers, and a latent one in every four."""
    count = layer_count(fields)
    linear = fields.group("linear_attn_config")
    full, gate = _kimi_full_layers(fields, linear, count), False
    if linear is not None:
        gate = linear.flag("use_full_rank_gate", False)
        heads, size = linear.size("num_heads"), linear.size("head_dim")
        kernel = linear.size("short_conv_kernel_size", 4, most=1024)
    else:
        heads, size = fields.size("linear_num_heads"), fields.size("linear_head_dim")
        kernel = fields.size("linear_conv_kernel_dim", 4, most=1024)
    delta = entry("kda", num_heads=heads, head_dim=size, conv_kernel=None if kernel == 4 else kernel,
                  full_rank_gate=gate)  # fmt: skip
    gated = "elementwise" if fields.flag("mla_use_output_gate", False) else None
    table, parts = mlps(fields, count)
    if "experts" in table:
        table["experts"] |= {
            key: value
            for key, value in (
                ("latent_size", fields.optional_size("routed_expert_hidden_size")),
                ("latent_norm", fields.flag("latent_moe_use_norm", False)),
            )
            if value
        }
    shape = shape_of(
        fields,
        attention={"kda": delta, "mla": latent(fields, output_gate=gated)},
        feedforward=table,
        layers=[Layer("mla" if i in full else "kda", part) for i, part in enumerate(parts)],
    )
    if fields.has("attn_res_block_size"):
        shape.settings["other_parameters"] = (4 * count + 2) * shape.hidden_size
        fields.note("other_parameters are the attention residuals.")
    return predicting(shape, fields.size("prediction_layers", 0, least=0, most=100), attention="mla")


def _kimi_full_layers(fields: Fields, linear: Fields | None, count: int) -> set[int]:
    """Return the layers with latent attention; the checkpoint's own lists count from 1."""
    if linear is not None and linear.has("full_attn_layers"):
        listed = linear.numbers("full_attn_layers") or []
        if any(not 1 <= number <= count for number in listed):
            raise linear.error("full_attn_layers", f"must list layers from 1 to {count}")
        return {number - 1 for number in listed}
    kinds = layer_kinds(fields, count, period=None, other=LINEAR)
    if not fields.has("layer_types"):
        raise fields.error("linear_attn_config", "is missing, and so is layer_types", "which layers are full?")
    return {i for i, kind in enumerate(kinds) if kind == FULL}


def read_minimax_01(fields: Fields) -> Shape:
    """Return a MiniMax-Text-01 or M1: lightning attention, and a full layer in every eight."""
    count = layer_count(fields)
    full = grouped(fields, Traits())
    listed = fields.numbers("attn_type_list", count)
    if listed is None and not fields.has("layer_types"):
        raise fields.error("attn_type_list", "is missing, and so is layer_types", "which layers are full?")
    kinds = (
        layer_kinds(fields, count, period=None, other=LINEAR)
        if listed is None
        else [FULL if each else LINEAR for each in listed]
    )
    return shape_of(
        fields,
        attention={
            "lightning": entry("lightning", num_heads=full["num_attention_heads"], head_dim=full["head_dim"]),
            "full": full,
        },
        feedforward={"experts": experts(fields, shared=fields.uniform_size("shared_intermediate_size") or 0)},
        layers=[Layer("full" if kind == FULL else "lightning", "experts") for kind in kinds],
    )


def read_jamba(fields: Fields) -> Shape:
    """Return a Jamba: Mamba-1 layers with a full one in every eight, experts in every second layer."""
    count, hidden = layer_count(fields), fields.size("hidden_size")
    rank = ceil(hidden / 16) if fields.get("mamba_dt_rank") in (None, "auto") else fields.size("mamba_dt_rank")
    kernel = fields.size("mamba_d_conv", 4, most=1024)
    mamba = entry(
        "mamba1",
        inner_size=fields.size("mamba_expand", 2) * hidden,
        state_size=fields.size("mamba_d_state", 16),
        dt_rank=rank,
        conv_kernel=None if kernel == 4 else kernel,
        norms=True,
        state_dtype="bf16",
    )
    fields.note("Recurrent states are kept in 16 bits, as engines do for Mamba-1; the file does not say.")
    full, sparse = periodic(fields, count, "attn"), periodic(fields, count, "expert")
    table = {} if all(sparse) else {"dense": dense(fields)}
    if any(sparse):
        table["experts"] = experts(fields, width="intermediate_size")
    return shape_of(
        fields,
        attention={"mamba": mamba, "full": grouped(fields, Traits(kv_default="heads"))},
        feedforward=table,
        layers=[
            Layer("full" if attends else "mamba", "experts" if mix else "dense")
            for attends, mix in zip(full, sparse, strict=True)
        ],
    )


FAMILIES = (
    Family(
        "qwen",
        (
            "Qwen3NextForCausalLM",
            "Qwen3_5ForCausalLM",
            "Qwen3_5MoeForCausalLM",
            "Qwen3_5ForConditionalGeneration",
            "Qwen3_5MoeForConditionalGeneration",
        ),
        ("qwen3_next", "qwen3_5", "qwen3_5_text", "qwen3_5_moe", "qwen3_5_moe_text"),
        read_qwen3_next,
    ),
    Family(
        "kimi",
        ("KimiLinearForCausalLM", "KimiK3ForConditionalGeneration"),
        ("kimi_linear", "kimi_k3"),
        read_kimi_linear,
        {"max_position_embeddings": ("max_position_embeddings", "model_max_length")},
    ),
    Family(
        "minimax",
        ("MiniMaxText01ForCausalLM", "MiniMaxM1ForCausalLM", "MiniMaxForCausalLM"),
        ("minimax_text_01", "minimax_m1", "minimax"),
        read_minimax_01,
        {"moe_intermediate_size": ("intermediate_size",)},
    ),
    Family("jamba", ("JambaForCausalLM",), ("jamba",), read_jamba),
)
