"""Mixtures of experts over grouped attention, and those with attention of their own."""

from __future__ import annotations

from costcalc.catalog.huggingface.config import Fields
from costcalc.catalog.huggingface.decoder import Traits, decoder, grouped, reader
from costcalc.catalog.huggingface.mla import mlps
from costcalc.catalog.huggingface.shape import (
    CHUNKED,
    FULL,
    Entry,
    Family,
    Layer,
    Shape,
    dense,
    entry,
    every_nth_full,
    every_step,
    experts,
    first_dense,
    grouped_name,
    kv_heads,
    layer_count,
    layer_kinds,
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


MIXTURES = (
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


# Mixtures of experts with attention of their own: MiMo-V2-Flash, Step, Hunyuan and MiniMax-M3.
#
# As in transformers 5.23.0, models/mimo_v2_flash/, step3p7/, hunyuan_v1_moe/ and minimax_m3_vl/.


def read_mimo_v2(fields: Fields) -> Shape:
    """Return a MiMo-V2-Flash: window and full layers of their own geometry, values narrower than keys."""
    count = layer_count(fields)
    pattern = fields.numbers("hybrid_layer_pattern", count)
    kinds = (
        ["sliding" if each else "full" for each in pattern]
        if pattern is not None
        else ["full" if kind == FULL else "sliding" for kind in layer_kinds(fields, count, period=None)]
    )
    full = _mimo_layer(fields, "", fields.flag("add_full_attention_sink_bias", False))
    sliding = _mimo_layer(fields, "swa_", fields.flag("add_swa_attention_sink_bias", True))
    table, parts = mlps(fields, count)
    return shape_of(
        fields,
        attention={"sliding": with_window(sliding, fields.size("sliding_window")), "full": full},
        feedforward=table,
        layers=[Layer(kind, part) for kind, part in zip(kinds, parts, strict=True)],
    )


def _mimo_layer(fields: Fields, prefix: str, sinks: bool) -> Entry:
    heads = fields.size(f"{prefix}num_attention_heads", fields.size("num_attention_heads"))
    return entry(
        "grouped",
        num_attention_heads=heads,
        num_key_value_heads=kv_heads(fields, heads, name=f"{prefix}num_key_value_heads"),
        head_dim=fields.size(f"{prefix}head_dim", fields.size("head_dim")),
        v_head_dim=fields.size(f"{prefix}v_head_dim", fields.size("v_head_dim")),
        qkv_bias=fields.flag("attention_bias", False),
        sinks=sinks,
    )


def read_step(fields: Fields) -> Shape:
    """Return a Step-3.5 or 3.7 Flash: window layers with more query heads, a gate per head, three heads ahead."""
    count = layer_count(fields)
    ahead = fields.size("prediction_layers", 0, least=0, most=100)
    kinds = fields.words("layer_types", None, ("full_attention", "sliding_attention")) or [FULL] * count
    if len(kinds) not in (count, count + ahead):
        raise fields.error("layer_types", f"must have one entry for each of {count} layers, has {len(kinds)}")
    labels = ["full" if kind == FULL else "sliding" for kind in kinds]
    full = grouped(fields, Traits(qk_norm="head")) | {"output_gate": "head"}
    table = {"full": full}
    if "sliding" in labels:
        heads = _step_window_heads(fields, full)
        table = {"sliding": with_window({**full, "num_attention_heads": heads}, fields.size("sliding_window"))} | table
    sparse = _step_sparse(fields, count)
    shape = shape_of(
        fields,
        attention=table,
        feedforward={
            "dense": dense(fields),
            "experts": experts(fields, shared=fields.size("share_expert_dim", 0, least=0)),
        },
        layers=[Layer(label, "experts" if sparse[i] else "dense") for i, label in enumerate(labels[:count])],
    )
    if ahead:
        fields.note("Prediction heads are taken for a window layer and a dense MLP; the file does not say.")
    return predicting(shape, ahead, "sliding" if "sliding" in labels else "full", "dense")


def _step_window_heads(fields: Fields, full: Entry) -> int:
    other = fields.group("attention_other_setting")
    if other is None and not fields.has("num_sliding_attention_heads"):
        fields.note(
            "The file gives window layers no heads of their own; the published Step-3.5 and 3.7 checkpoints "
            "have 96 there, where this counts as many as in full layers."
        )
    if other is not None:
        return other.size("num_attention_heads", full["num_attention_heads"])
    return fields.size("num_sliding_attention_heads", full["num_attention_heads"])


def _step_sparse(fields: Fields, count: int) -> list[bool]:
    enumerated = fields.get("moe_layers_enum")
    if enumerated is None:
        return first_dense(fields, count)
    words = enumerated.split(",") if isinstance(enumerated, str) else enumerated
    if not isinstance(words, list) or not all(str(word).strip().isdecimal() for word in words):
        raise fields.error("moe_layers_enum", "must list the numbers of layers")
    chosen = {int(word) for word in words}
    return [i in chosen for i in range(count)]


def read_hunyuan(fields: Fields) -> Shape:
    """Return a Hunyuan-Large or A13B: cross-layer attention shares keys and values among neighbours."""
    count = layer_count(fields)
    plain = {key: fields.uniform_size(key) for key in ("num_experts", "moe_topk", "num_shared_expert")}
    width = fields.uniform_size("moe_intermediate_size") or fields.size("intermediate_size")
    made = fields.with_values(**plain, moe_intermediate_size=width)
    layer = grouped(fields, Traits(qkv_bias="attention_bias", o_bias="attention_bias", qk_norm="head",
                                   qk_norm_key="use_qk_norm", kv_default="heads"))  # fmt: skip
    factor = fields.size("cla_share_factor", 1, most=count) if fields.flag("use_cla", False) else 1
    name = grouped_name(layer) if factor == 1 else "storing"
    table = {name: layer} | ({"reusing": {**layer, "stores_cache": False}} if factor > 1 else {})
    return shape_of(
        fields,
        attention=table,
        feedforward={"experts": experts(made, shared=(plain["num_shared_expert"] or 0) * width)},
        layers=[Layer(name if i % factor == 0 else "reusing", "experts") for i in range(count)],
    )


def read_minimax_m3(fields: Fields) -> Shape:
    """Return a MiniMax-M3: an indexer chooses blocks of tokens in all layers but the first."""
    count = layer_count(fields)
    sparse = fields.group("sparse_attention_config")
    if sparse is None:
        raise fields.error("sparse_attention_config", "is missing", "the shape cannot be known without it")
    full = grouped(fields, Traits(qk_norm="head"))
    indexed = {
        **full,
        "kind": "block_sparse",
        "index_n_heads": sparse.size("sparse_num_index_heads"),
        "index_head_dim": sparse.size("sparse_index_dim"),
        "sparse_block_size": sparse.size("sparse_block_size"),
        "topk_blocks": sparse.size("sparse_topk_blocks"),
    }
    chosen = sparse.numbers("sparse_attention_freq", count) or [1] * count
    routed = first_dense(fields, count)
    shared = fields.size("shared_intermediate_size", 0, least=0) * fields.size("shared_experts", 1, least=0)
    shape = shape_of(
        fields,
        attention={"full": full, "sparse": indexed},
        feedforward={
            "dense": dense(fields, name="dense_intermediate_size"),
            "experts": experts(fields, shared=shared),
        },
        layers=[
            Layer("sparse" if at else "full", "experts" if mix else "dense")
            for at, mix in zip(chosen, routed, strict=True)
        ],
    )
    ahead = fields.size("prediction_layers", fields.size("num_mtp_modules", 0, least=0), least=0, most=100)
    return predicting(shape, ahead, attention="full")


SPECIAL_MIXTURES = (
    Family("mimo", ("MiMoV2FlashForCausalLM",), ("mimo_v2_flash",), read_mimo_v2),
    Family(
        "step",
        ("Step3p5ForCausalLM", "Step3p7FlashForCausalLM", "Step3p7ForConditionalGeneration"),
        ("step3p5", "step3p7", "step3p7_text"),
        read_step,
        {
            "num_key_value_heads": ("num_key_value_heads", "num_attention_groups"),
            "share_expert_dim": ("share_expert_dim", "share_expert_dims"),
        },
    ),
    Family(
        "hunyuan",
        ("HunYuanForCausalLM", "HunYuanMoEV1ForCausalLM"),
        ("hunyuan", "hunyuan_v1_moe"),
        read_hunyuan,
        {"head_dim": ("head_dim", "attention_head_dim")},
        {"use_qk_norm": True},
    ),
    Family(
        "minimax",
        ("MiniMaxM3ForCausalLM", "MiniMaxM3SparseForCausalLM", "MiniMaxM3SparseForConditionalGeneration"),
        ("minimax_m3", "minimax_m3_vl", "minimax_m3_vl_text"),
        read_minimax_m3,
        {"moe_intermediate_size": ("moe_intermediate_size", "intermediate_size")},
    ),
)
