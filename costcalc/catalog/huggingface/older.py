"""GPT-2 and what followed it: learned positions, biases, plain MLPs; Bloom, Falcon, ChatGLM and DBRX.

As in transformers 5.23.0, models/*/modeling_*.py; ChatGLM as in the code that THUDM/glm-4-9b ships with.
"""

from __future__ import annotations

from dataclasses import replace

from costcalc.catalog.huggingface.config import Fields, Names
from costcalc.catalog.huggingface.decoder import Traits, decoder, reader
from costcalc.catalog.huggingface.shape import (
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
    query_heads,
    shape_of,
)

_GPT: Names = {
    "hidden_size": ("n_embd", "hidden_size"),
    "num_hidden_layers": ("n_layer", "num_hidden_layers"),
    "num_attention_heads": ("n_head", "num_attention_heads"),
    "max_position_embeddings": ("n_positions", "max_position_embeddings"),
    "intermediate_size": ("n_inner", "intermediate_size"),
}
_GPT2 = Traits(
    qkv_bias=True, o_bias=True, mlp_bias=True, gated=False, norm_bias=True, tied=True, kv_default="heads",
    mlp_times=4, position_rows=0,
)  # fmt: skip
_GPTJ = Traits(
    mlp_bias=True, gated=False, norm_bias=True, parallel_block=True, head_bias=True, kv_default="heads", mlp_times=4
)
_NEOX = Traits(
    qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias=True, gated=False, norm_bias=True,
    kv_default="heads",
)  # fmt: skip


def read_opt(fields: Fields) -> Shape:
    """Return an OPT: a GPT-2 whose position table starts at 2."""
    hidden = fields.size("hidden_size")
    if fields.size("word_embed_proj_dim", hidden) != hidden:
        raise fields.error("word_embed_proj_dim", "embeddings of another width than the layers cannot be imported")
    if not fields.flag("do_layer_norm_before", True) or fields.flag("_remove_final_layer_norm", False):
        raise fields.error("do_layer_norm_before", "an OPT without a final norm cannot be imported")
    traits = replace(_GPT2, qkv_bias="enable_bias", o_bias="enable_bias", mlp_bias="enable_bias", position_rows=2)
    return decoder(fields, replace(traits, mlp_times=0))


def read_mpt(fields: Fields) -> Shape:
    """Return an MPT: ALiBi in place of positions, one norm vector and no bias by default."""
    biased = not fields.flag("no_bias", True)
    attention = fields.group("attn_config")
    if attention is not None and not attention.flag("alibi", False) and not attention.flag("rope", False):
        raise attention.error("alibi", "is off: an MPT with learned positions cannot be imported")
    if attention is not None and attention.flag("qk_ln", False):
        raise attention.error("qk_ln", "norms of queries and keys cannot be imported")
    rows = fields.with_values(kv_n_heads=attention.get("kv_n_heads") if attention is not None else None)
    traits = Traits(
        qkv_bias=biased, o_bias=biased, mlp_bias=biased, gated=False, norm_bias=biased, tied=True, kv_default="heads",
        mlp_times=fields.size("expansion_ratio", 4, most=64),
    )  # fmt: skip
    return decoder(rows, traits)


def read_bloom(fields: Fields) -> Shape:
    """Return a Bloom: a GPT-2 with ALiBi in place of positions, and a norm behind the embedding."""
    shape = decoder(fields, replace(_GPT2, position_rows=None))
    shape.settings["other_parameters"] = 2 * shape.hidden_size
    fields.note("other_parameters is the norm behind the embedding.")
    return shape


def read_falcon(fields: Fields) -> Shape:
    """Return a Falcon of either design: MQA with one norm per layer, or GQA with a norm for each of its halves."""
    heads, count = query_heads(fields), layer_count(fields)
    newer = fields.flag("new_decoder_architecture", False)
    multi_query = fields.flag("multi_query", True)
    bias = fields.flag("bias", False)
    layer = entry(
        "grouped",
        num_attention_heads=heads,
        num_key_value_heads=kv_heads(fields, heads) if newer else 1 if multi_query else heads,
        head_dim=head_size(fields, heads),
        qkv_bias=bias,
        o_bias=bias,
    )
    name = grouped_name(layer)
    settings: dict[str, bool | int] = {"norm_bias": True}
    if newer or fields.flag("parallel_attn", True):
        settings["parallel_block"] = True
        if newer and fields.size("num_ln_in_parallel_attn", 2, most=2) == 2:
            settings["norms_per_sublayer"] = 2
    return shape_of(
        fields,
        True,
        attention={name: layer},
        feedforward={"dense": dense(fields, times=4, gated=False, bias=bias)},
        layers=[Layer(name, "dense")] * count,
        settings=settings,
    )


def read_chatglm(fields: Fields) -> Shape:
    """Return a ChatGLM 2, 3 or 4 in its own form of configuration."""
    heads, count = query_heads(fields), layer_count(fields)
    shared = fields.flag("multi_query_attention", False)
    bias = fields.flag("add_bias_linear", False)
    layer = entry(
        "grouped",
        num_attention_heads=heads,
        num_key_value_heads=kv_heads(fields, heads) if shared else heads,
        head_dim=head_size(fields, heads),
        qkv_bias=bias or fields.flag("add_qkv_bias", False),
        o_bias=bias,
    )
    name = grouped_name(layer)
    return shape_of(
        fields,
        attention={name: layer},
        feedforward={"dense": dense(fields, bias=bias)},
        layers=[Layer(name, "dense")] * count,
    )


def read_dbrx(fields: Fields) -> Shape:
    """Return a DBRX, whose settings of attention and experts stand in groups of their own."""
    heads, count = query_heads(fields), layer_count(fields)
    attention, mixture = fields.group("attn_config"), fields.group("ffn_config")
    if attention is None or mixture is None:
        raise fields.error("attn_config" if attention is None else "ffn_config", "is missing")
    layer = entry(
        "grouped",
        num_attention_heads=heads,
        num_key_value_heads=kv_heads(attention, heads, name="kv_n_heads"),
        head_dim=head_size(fields, heads),
    )
    name = grouped_name(layer)
    return shape_of(
        fields,
        attention={name: layer},
        feedforward={"experts": experts(mixture, width="ffn_hidden_size")},
        layers=[Layer(name, "experts")] * count,
    )


OLDER = (
    Family("gpt2", ("GPT2LMHeadModel",), ("gpt2",), reader(_GPT2), _GPT),
    Family(
        "starcoder",
        ("GPTBigCodeForCausalLM",),
        ("gpt_bigcode",),
        reader(replace(_GPT2, kv_default="multi_query")),
        _GPT,
    ),
    Family("gptj", ("GPTJForCausalLM",), ("gptj",), reader(_GPTJ), _GPT),
    Family("gpt-neox", ("GPTNeoXForCausalLM",), ("gpt_neox",), reader(_NEOX), defaults={"attention_bias": True}),
    Family(
        "opt",
        ("OPTForCausalLM",),
        ("opt",),
        read_opt,
        {"intermediate_size": ("ffn_dim",)},
        {"enable_bias": True},
    ),
    Family(
        "bloom",
        ("BloomForCausalLM", "BloomModel"),
        ("bloom",),
        read_bloom,
        {
            **_GPT,
            "hidden_size": ("hidden_size", "n_embed"),
            "num_attention_heads": ("n_head", "num_attention_heads"),
            "max_position_embeddings": ("seq_length",),
        },
    ),
    Family(
        "mpt",
        ("MPTForCausalLM", "MptForCausalLM"),
        ("mpt",),
        read_mpt,
        {
            "hidden_size": ("d_model",),
            "num_hidden_layers": ("n_layers",),
            "num_attention_heads": ("n_heads",),
            "num_key_value_heads": ("kv_n_heads",),
            "max_position_embeddings": ("max_seq_len",),
        },
    ),
    Family(
        "falcon",
        ("FalconForCausalLM", "RWForCausalLM"),
        ("falcon", "RefinedWeb", "RefinedWebModel"),
        read_falcon,
        {
            "num_hidden_layers": ("num_hidden_layers", "n_layer"),
            "num_attention_heads": ("num_attention_heads", "n_head"),
            "num_key_value_heads": ("num_kv_heads", "n_head_kv"),
            "intermediate_size": ("ffn_hidden_size",),
        },
        {"tie_word_embeddings": True, "max_position_embeddings": 2048},
    ),
    Family(
        "glm",
        ("ChatGLMModel", "ChatGLMForConditionalGeneration"),
        ("chatglm",),
        read_chatglm,
        {
            "num_hidden_layers": ("num_layers",),
            "vocab_size": ("padded_vocab_size", "vocab_size"),
            "intermediate_size": ("ffn_hidden_size",),
            "num_key_value_heads": ("multi_query_group_num",),
            "head_dim": ("kv_channels",),
            "max_position_embeddings": ("seq_length",),
        },
    ),
    Family(
        "dbrx",
        ("DbrxForCausalLM",),
        ("dbrx",),
        read_dbrx,
        {
            "hidden_size": ("d_model",),
            "num_hidden_layers": ("n_layers",),
            "num_attention_heads": ("n_heads",),
            "max_position_embeddings": ("max_seq_len",),
        },
    ),
)
