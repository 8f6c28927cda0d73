"""Layers with a state, alone or among layers with a cache: Mamba, Qwen3-Next, Kimi Linear, Jamba, Nemotron-H.

As in transformers 5.23.0, models/qwen3_next/, qwen3_5*/, kimi_linear/, minimax/, jamba/, granitemoehybrid/ and
nemotron_h/; MiniMax-Text-01 and M1 as in the code that their checkpoints ship with.
"""

from __future__ import annotations

from math import ceil

from costcalc.catalog.huggingface.config import Fields
from costcalc.catalog.huggingface.decoder import Traits, grouped
from costcalc.catalog.huggingface.mla import latent, mlps
from costcalc.catalog.huggingface.shape import (
    FULL,
    LINEAR,
    Entry,
    Family,
    Layer,
    Shape,
    dense,
    entry,
    every_step,
    experts,
    layer_count,
    layer_kinds,
    periodic,
    predicting,
    shape_of,
)

# Mamba and Mamba-2 without attention, as in transformers 5.23.0, models/mamba/ and models/mamba2/.


_STATE_NOTE = "Recurrent states are kept in 16 bits, as engines do by default; the file does not say."


def read_mamba(fields: Fields) -> Shape:
    """Return a Mamba: every layer is one mixer, without a feed-forward part."""
    _no_bias(fields)
    hidden = fields.size("hidden_size")
    rank = fields.get("time_step_rank")
    kernel = fields.size("conv_kernel", 4, most=1024)
    mixer = entry(
        "mamba1",
        inner_size=fields.size("intermediate_size", fields.size("expand", 2) * hidden),
        state_size=fields.size("state_size", 16),
        dt_rank=ceil(hidden / 16) if rank in (None, "auto") else fields.size("time_step_rank"),
        conv_kernel=None if kernel == 4 else kernel,
        state_dtype="bf16",
    )
    return _of_mixers(fields, mixer)


def read_mamba2(fields: Fields) -> Shape:
    """Return a Mamba-2: every layer is one mixer, without a feed-forward part."""
    _no_bias(fields)
    inner, heads = fields.size("expand", 2) * fields.size("hidden_size"), fields.size("num_heads")
    size, kernel = fields.size("head_dim", 64), fields.size("conv_kernel", 4, most=1024)
    if heads * size != inner:
        raise fields.error("num_heads", f"{heads} heads of {size} are not the inner width of {inner}")
    groups = fields.size("n_groups", 8)
    if heads % groups:
        raise fields.error("n_groups", f"{groups} does not divide {heads} heads")
    mixer = entry(
        "mamba2",
        num_heads=heads,
        head_dim=size,
        state_size=fields.size("state_size", 128),
        n_groups=groups,
        conv_kernel=None if kernel == 4 else kernel,
        state_dtype="bf16",
    )
    return _of_mixers(fields, mixer)


def _of_mixers(fields: Fields, mixer: Entry) -> Shape:
    fields.note(_STATE_NOTE)
    return shape_of(
        fields,
        tied=True,
        attention={"mamba": mixer},
        feedforward={},
        layers=[Layer("mamba", None)] * layer_count(fields),
    )


def _no_bias(fields: Fields) -> None:
    if fields.flag("use_bias", False) or not fields.flag("use_conv_bias", True):
        name = "use_bias" if fields.flag("use_bias", False) else "use_conv_bias"
        raise fields.error(name, "biases other than those of the class cannot be imported")


STATE_SPACES = (
    Family(
        "mamba",
        ("MambaForCausalLM",),
        ("mamba",),
        read_mamba,
        {"num_hidden_layers": ("num_hidden_layers", "n_layer"), "hidden_size": ("hidden_size", "d_model")},
    ),
    Family("mamba", ("Mamba2ForCausalLM",), ("mamba2",), read_mamba2),
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


HYBRIDS = (
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


# Mamba-2 among attention: Nemotron-H and Nemotron 3, whose blocks are one thing each, and Granite 4.
#
# As in transformers 5.23.0, models/nemotron_h/ and granitemoehybrid/.


_LETTERS = {"M": "mamba", "*": "full", "-": "dense", "E": "experts"}
_WORDS = {
    "mamba": "mamba", LINEAR: "mamba", "attention": "full", FULL: "full", "mlp": "dense", "moe": "experts",
}  # fmt: skip


def read_nemotron_h(fields: Fields) -> Shape:
    """Return a Nemotron-H or Nemotron 3: every block is a Mamba-2, an attention, an MLP or an experts layer."""
    blocks = _blocks(fields, "layers_block_type", "hybrid_override_pattern")
    if not blocks:
        raise fields.error("hybrid_override_pattern", "is missing", "the shape cannot be known without it")
    _check_count(fields, len(blocks))
    attention = {"mamba": _mamba(fields), "full": grouped(fields, Traits(qkv_bias="attention_bias",
                                                                         o_bias="attention_bias"))}  # fmt: skip
    ahead = fields.size("prediction_layers", 0, least=0, most=100)
    ahead_blocks = (_blocks(fields, "mtp_layers_block_type", "mtp_hybrid_override_pattern") if ahead else None) or []
    used = {*blocks, *ahead_blocks}
    feedforward: dict[str, Entry] = {}
    if "dense" in used:
        feedforward["dense"] = dense(fields, gated=False, bias=fields.flag("mlp_bias", False))
    if "experts" in used:
        shared = fields.size("moe_shared_expert_intermediate_size", 0, least=0)
        feedforward["experts"] = experts(
            fields, shared=shared, gated=False, latent_size=fields.optional_size("moe_latent_size")
        )
    shape = shape_of(
        fields,
        attention={label: attention[label] for label in attention if label in used},
        feedforward=feedforward,
        layers=[Layer(block, None) if block in attention else Layer(None, block) for block in blocks],
    )
    if ahead:
        shape.prediction = {
            "layers": ahead,
            "attention": [block for block in ahead_blocks if block in attention],
            "feedforward": [block for block in ahead_blocks if block not in attention],
        }
    return shape


def _blocks(fields: Fields, words: str, letters: str) -> list[str] | None:
    listed = fields.words(words, None, tuple(_WORDS))
    if listed is not None:
        return [_WORDS[word] for word in listed]
    pattern = fields.text(letters)
    if pattern is None:
        return None
    unknown = sorted(set(pattern) - set(_LETTERS))
    if unknown or len(pattern) > 2000:
        raise fields.error(letters, f"unknown letter '{unknown[0]}'" if unknown else "too many layers")
    return [_LETTERS[letter] for letter in pattern]


def _check_count(fields: Fields, blocks: int) -> None:
    """Raise CostcalcError where num_hidden_layers says another number, as configuration_nemotron_h.py asserts."""
    count = fields.optional_size("num_hidden_layers")
    if count is not None and count != blocks:
        name = "layers_block_type" if fields.has("layers_block_type") else "hybrid_override_pattern"
        raise fields.error(name, f"has {blocks} blocks, but num_hidden_layers is {count}", "which of them is right?")


def _mamba(fields: Fields) -> Entry:
    kernel = fields.size("conv_kernel", 4, most=1024)
    heads, groups = fields.size("mamba_num_heads"), fields.size("n_groups", 1)
    if heads % groups:
        raise fields.error("n_groups", f"{groups} does not divide {heads} Mamba heads")
    return entry(
        "mamba2",
        num_heads=heads,
        head_dim=fields.size("mamba_head_dim"),
        state_size=fields.size("ssm_state_size"),
        n_groups=groups,
        conv_kernel=None if kernel == 4 else kernel,
        state_dtype=state_dtype(fields, "mamba_ssm_cache_dtype"),
    )


def read_granite_hybrid(fields: Fields) -> Shape:
    """Return a Granite 4: Mamba-2 layers, some with attention instead, and a shared MLP beside the experts."""
    count, hidden = layer_count(fields), fields.size("hidden_size")
    heads = fields.size("mamba_num_heads")
    inner = fields.size("mamba_expand", 2) * hidden
    if inner % heads:
        raise fields.error("mamba_num_heads", f"{heads} does not divide the inner width of {inner}")
    given = fields.get("mamba_head_dim")
    size = inner // heads if given in (None, "auto") else fields.size("mamba_head_dim")
    mamba = _mamba(fields.with_values(mamba_d_head=size))
    kinds = fields.words("layer_types", count, tuple(_WORDS))
    if kinds is None:
        raise fields.error("layer_types", "is missing", "which layers have attention?")
    shared = fields.size("shared_intermediate_size")
    routed = fields.size("num_experts", 0, least=0)
    mlp = experts(fields, shared=shared) if routed else dense(fields, name="shared_intermediate_size")
    label = "experts" if routed else "dense"
    table = {"mamba": mamba, "full": grouped(fields, Traits(qkv_bias="attention_bias", o_bias="attention_bias",
                                                            kv_default="heads"))}  # fmt: skip
    labels = [_WORDS[kind] for kind in kinds]
    return shape_of(
        fields,
        attention={name: table[name] for name in table if name in labels},
        feedforward={label: mlp},
        layers=[Layer(name, label) for name in labels],
    )


MAMBA_HYBRIDS = (
    Family(
        "nemotron",
        ("NemotronHForCausalLM",),
        ("nemotron_h",),
        read_nemotron_h,
        {
            "layers_block_type": ("layers_block_type", "layer_types"),
            "head_dim": ("head_dim", "attention_head_dim"),
            "n_groups": ("n_groups", "mamba_n_groups"),
            "conv_kernel": ("conv_kernel", "mamba_d_conv"),
        },
    ),
    Family(
        "granite",
        ("GraniteMoeHybridForCausalLM",),
        ("granitemoehybrid",),
        read_granite_hybrid,
        {
            "layer_types": ("layer_types", "layers_block_type"),
            "mamba_num_heads": ("mamba_n_heads",),
            "mamba_head_dim": ("mamba_d_head",),
            "ssm_state_size": ("mamba_d_state",),
            "n_groups": ("mamba_n_groups",),
            "conv_kernel": ("mamba_d_conv",),
            "moe_intermediate_size": ("intermediate_size",),
        },
    ),
)
