"""Multi-head latent attention: DeepSeek V2 to V4, Kimi K2, GLM-4.7-Flash, GLM-5, Mistral Small 4.

As in transformers 5.23.0, models/deepseek_v*/, glm_moe_dsa/, glm4_moe_lite/ and mistral4/.
"""

from __future__ import annotations

from costcalc.catalog.huggingface.config import Fields
from costcalc.catalog.huggingface.shape import (
    Entry,
    Family,
    Layer,
    Shape,
    dense,
    entry,
    experts,
    first_dense,
    layer_count,
    predicting,
    query_heads,
    shape_of,
)

_INDEXERS = {"full": "indexing", "shared": "reusing"}
_CACHE_NOTE = "The cache is in the layout that the family's own kernels keep; the file does not say."


def latent(fields: Fields, kind: str = "latent", **others: object) -> Entry:
    """Return latent attention.

    kind: of the variant. others: further fields of it.
    """
    return entry(
        kind,
        num_attention_heads=query_heads(fields),
        q_lora_rank=fields.optional_size("q_lora_rank"),
        kv_lora_rank=fields.size("kv_lora_rank"),
        qk_nope_head_dim=fields.size("qk_nope_head_dim"),
    ) | {
        "qk_rope_head_dim": fields.size("qk_rope_head_dim", least=0),
        "v_head_dim": fields.size("v_head_dim"),
        **{key: value for key, value in others.items() if value not in (None, False, "none")},
    }


def indexed(fields: Fields) -> Entry:
    """Return latent attention behind an indexer (DeepSeek sparse attention)."""
    return latent(
        fields,
        "indexed_latent",
        index_n_heads=fields.size("index_n_heads"),
        index_head_dim=fields.size("index_head_dim"),
        index_topk=fields.size("index_topk"),
    )


def mlps(fields: Fields, count: int) -> tuple[dict[str, Entry], list[str]]:
    """Return the feed-forward variants, dense ones first, and which of them each layer has."""
    if not fields.has("num_experts"):
        return {"dense": dense(fields)}, ["dense"] * count
    sparse = first_dense(fields, count)
    table = {} if all(sparse) else {"dense": dense(fields)}
    if any(sparse):
        shared = fields.size("shared_experts", 0, least=0) * fields.size("moe_intermediate_size")
        table["experts"] = experts(fields, shared=shared)
    return table, ["experts" if each else "dense" for each in sparse]


def read_latent(fields: Fields) -> Shape:
    """Return a model with latent attention in every layer."""
    return _uniform(fields, "mla", latent(fields))


def read_indexed(fields: Fields) -> Shape:
    """Return a model with an indexer in every layer, or in some that others reuse (GLM-5.2)."""
    count = layer_count(fields)
    owners = _indexer_owners(fields, count)
    if all(owners):
        shape = _uniform(fields, "dsa", indexed(fields))
    else:
        table, kinds = mlps(fields, count)
        layer = indexed(fields)
        labels = ["indexing" if owner else "reusing" for owner in owners]
        shape = shape_of(
            fields,
            attention={"indexing": layer, "reusing": {**layer, "owns_indexer": False}},
            feedforward=table,
            layers=[Layer(label, kind) for label, kind in zip(labels, kinds, strict=True)],
        )
        predicting(shape, _prediction_layers(fields), attention="indexing")
    shape.kv_cache = "fp8_ds_mla"
    fields.note(_CACHE_NOTE)
    return shape


def read_glm(fields: Fields) -> Shape:
    """Return a GLM-5: indexed latents, whose cache engines keep in 16 bits unless asked (vllm-project/vllm#53138)."""
    shape = read_indexed(fields)
    shape.kv_cache = "bf16"
    fields.notes.remove(_CACHE_NOTE)
    return shape


def _indexer_owners(fields: Fields, count: int) -> list[bool]:
    """Return which layers own their indexer, as GlmMoeDsaConfig derives it."""
    listed = fields.words("indexer_types", count, tuple(_INDEXERS))
    if listed is not None:
        return [kind == "full" for kind in listed]
    pattern = fields.text("index_topk_pattern")
    if pattern is not None:
        if len(pattern) != count or set(pattern) - set("FS"):
            raise fields.error("index_topk_pattern", f"must have one letter F or S for each of {count} layers")
        return [letter == "F" for letter in pattern]
    period = fields.size("index_topk_freq", 1)
    offset = fields.size("index_skip_topk_offset", 2, least=0)
    return [max(i - offset + 1, 0) % period == 0 for i in range(count)]


def _uniform(fields: Fields, label: str, layer: Entry) -> Shape:
    count = layer_count(fields)
    table, kinds = mlps(fields, count)
    shape = shape_of(
        fields,
        attention={label: layer},
        feedforward=table,
        layers=[Layer(label, kind) for kind in kinds],
    )
    return predicting(shape, _prediction_layers(fields))


def _prediction_layers(fields: Fields) -> int:
    return fields.size("prediction_layers", 0, least=0, most=100)


def read_deepseek_v4(fields: Fields) -> Shape:
    """Return a DeepSeek-V4: a window, or compressed entries beside it, by the `compress_ratios` of the layers."""
    count, ahead = layer_count(fields), _prediction_layers(fields)
    ratios = fields.numbers("compress_ratios")
    if ratios is None or len(ratios) not in (count, count + ahead):
        raise fields.error("compress_ratios", f"must have one entry for each of {count} layers and {ahead} heads")
    labels = [_v4_label(ratio) for ratio in ratios]
    shared = fields.size("shared_experts", 0, least=0) * fields.size("moe_intermediate_size")
    used = [label for label in ("window", "csa", "hca") if label in labels]
    of_label = dict(zip(labels, ratios, strict=True))
    shape = shape_of(
        fields,
        attention={label: _v4_layer(fields, of_label[label], label == "csa") for label in used},
        feedforward={"experts": experts(fields, shared=shared)},
        layers=[Layer(label, "experts") for label in labels[:count]],
        kv_cache="fp8_ds_mla",
        experts={"fp4": "mxfp4", "fp8": "fp8_block"}.get(fields.text("expert_dtype") or ""),
    )
    fields.note(_CACHE_NOTE)
    streams = fields.size("hc_mult", 1, most=64)
    if streams > 1:
        shape.settings["residual_streams"] = streams
    return predicting(shape, ahead, attention=labels[-1] if len(ratios) > count else None)


def _v4_label(ratio: int) -> str:
    # The class tells the kinds apart by their ratio: 0, 4 with an indexer, 128.
    return "window" if ratio == 0 else "csa" if ratio < 64 else "hca"


def _v4_layer(fields: Fields, ratio: int, has_indexer: bool) -> Entry:
    layer = entry(
        "compressed",
        num_attention_heads=query_heads(fields),
        head_dim=fields.size("head_dim"),
        qk_rope_head_dim=fields.size("qk_rope_head_dim"),
        q_lora_rank=fields.size("q_lora_rank"),
        o_groups=fields.size("o_groups"),
        o_lora_rank=fields.size("o_lora_rank"),
        window=fields.size("sliding_window"),
        compress_ratio=ratio,
    )
    names = ("index_n_heads", "index_head_dim", "index_topk") if has_indexer else ()
    return layer | {name: fields.size(name) for name in names}


_EXPERTS = {"num_experts": ("n_routed_experts", "num_local_experts", "num_experts")}
LATENT = (
    Family("deepseek", ("DeepseekV2ForCausalLM",), ("deepseek_v2",), read_latent, _EXPERTS),
    Family("deepseek", ("DeepseekV3ForCausalLM",), ("deepseek_v3",), read_latent, _EXPERTS),
    Family("kimi", ("KimiK2ForCausalLM", "KimiK25ForConditionalGeneration"), ("kimi_k2", "kimi_k25"), read_latent),
    Family("deepseek", ("DeepseekV32ForCausalLM",), ("deepseek_v32",), read_indexed),
    Family("deepseek", ("DeepseekV4ForCausalLM",), ("deepseek_v4",), read_deepseek_v4),
    Family("glm", ("Glm4MoeLiteForCausalLM",), ("glm4_moe_lite",), read_latent),
    Family("glm", ("GlmMoeDsaForCausalLM",), ("glm_moe_dsa",), read_glm),
    Family("mistral", ("Mistral4ForCausalLM",), ("mistral4",), read_latent),
)
