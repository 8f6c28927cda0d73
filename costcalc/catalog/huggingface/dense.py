"""Families of dense decoders: what sets each apart, as in transformers 5.23.0, models/*/modeling_*.py."""

from __future__ import annotations

from dataclasses import replace

from costcalc.catalog.huggingface.decoder import Traits, decoder, reader
from costcalc.catalog.huggingface.family import Family
from costcalc.catalog.huggingface.fields import Fields
from costcalc.catalog.huggingface.shape import Shape, predicting

_LLAMA = Traits(qkv_bias="attention_bias", o_bias="attention_bias", mlp_bias="mlp_bias", kv_default="heads")


def _read_mimo(fields: Fields) -> Shape:
    shape = decoder(fields, Traits(qkv_bias="attention_bias", window="late"))
    return predicting(shape, fields.size("prediction_layers", 0, least=0, most=100))


FAMILIES = (
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
