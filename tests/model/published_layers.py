"""Layers of published models, typed from their configurations: what the tests build and count."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from costcalc.catalog.check import validator
from costcalc.model.attention import AnyAttention
from costcalc.model.attention.base import Attention

Spec = dict[str, Any]
Layers = list[tuple[int, Attention]]


def attention(spec: Spec) -> Attention:
    """The variant that `spec` describes."""
    layer: Attention = validator(AnyAttention).validate_python(spec)
    return layer


def grouped(heads: int, kv_heads: int, width: int, **more: Any) -> Spec:
    kind = "sliding" if "window" in more else "chunked" if "chunk" in more else "grouped"
    shape = {"num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": width}
    return {"kind": kind, **shape, **more}


def latent(heads: int, q_rank: int | None, nope: int, values: int, rope: int = 64, **more: Any) -> Spec:
    return {
        "kind": "indexed_latent" if "index_topk" in more else "latent",
        "num_attention_heads": heads,
        "q_lora_rank": q_rank,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": nope,
        "qk_rope_head_dim": rope,
        "v_head_dim": values,
        **more,
    }


def indexer(heads: int, topk: int) -> Spec:
    return {"index_n_heads": heads, "index_head_dim": 128, "index_topk": topk}


def deepseek_v4(heads: int, q_rank: int, groups: int, **more: Any) -> Spec:
    shape = {"num_attention_heads": heads, "head_dim": 512, "qk_rope_head_dim": 64, "q_lora_rank": q_rank}
    return {"kind": "compressed", **shape, "o_groups": groups, "o_lora_rank": 1024, "window": 128, **more}


def delta_net(value_heads: int) -> Spec:
    heads = {"num_key_heads": 16, "num_value_heads": value_heads}
    return {"kind": "gated_deltanet", **heads, "key_head_dim": 128, "value_head_dim": 128, "conv_kernel": 4}


def kda(heads: int, **more: Any) -> Spec:
    return {"kind": "kda", "num_heads": heads, "head_dim": 128, "conv_kernel": 4, **more}


def mamba2(heads: int, head_dim: int, state: int, groups: int, **more: Any) -> Spec:
    return {
        "kind": "mamba2",
        "num_heads": heads,
        "head_dim": head_dim,
        "state_size": state,
        "n_groups": groups,
        "conv_kernel": 4,
        **more,
    }


def mamba1(inner: int, dt_rank: int, **more: Any) -> Spec:
    return {"kind": "mamba1", "inner_size": inner, "state_size": 16, "dt_rank": dt_rank, "conv_kernel": 4, **more}


def lightning(heads: int) -> Spec:
    return {"kind": "lightning", "num_heads": heads, "head_dim": 128}


GPT_OSS = grouped(64, 8, 64, qkv_bias=True, o_bias=True, sinks=True)
QWEN_FULL = grouped(16, 2, 256, qk_norm="head", output_gate="elementwise")
MINIMAX_M3 = grouped(64, 4, 128, qk_norm="head")
MINIMAX_M3_SPARSE = {
    **MINIMAX_M3,
    "kind": "block_sparse",
    "index_n_heads": 4,
    "index_head_dim": 128,
    "sparse_block_size": 128,
    "topk_blocks": 16,
}
V3 = latent(128, 1536, 128, 128)
V32 = latent(128, 1536, 128, 128, **indexer(64, 2048))
GLM5 = latent(64, 2048, 192, 256, **indexer(32, 2048))
GLM53_FLASH = latent(64, 1536, 256, 256, rope=0, **indexer(32, 2048), index_kpool=16)
KIMI_LATENT = latent(32, None, 128, 128)
K3_LATENT = latent(96, 1536, 128, 128, output_gate="elementwise")
FLASH = deepseek_v4(64, 1024, 8)
FLASH_CSA = {**FLASH, "compress_ratio": 4, **indexer(64, 512)}
FLASH_HCA = {**FLASH, "compress_ratio": 128}
PRO = deepseek_v4(128, 1536, 16)
PRO_CSA = {**PRO, "compress_ratio": 4, **indexer(64, 1024)}
PRO_HCA = {**PRO, "compress_ratio": 128}

_MODELS: dict[str, list[tuple[int, Spec]]] = {
    "Llama-3-70B": [(80, grouped(64, 8, 128))],
    "gpt-oss-120b": [(18, {**GPT_OSS, "kind": "sliding", "window": 128}), (18, GPT_OSS)],
    "gpt-oss-20b": [(12, {**GPT_OSS, "kind": "sliding", "window": 128}), (12, GPT_OSS)],
    "Gemma-3-27b": [(52, grouped(32, 16, 128, window=1024)), (10, grouped(32, 16, 128))],
    "Gemma-4-26B-A4B": [(25, grouped(16, 8, 256, window=1024)), (5, grouped(16, 2, 512, values_from_keys=True))],
    "Gemma-4-31B": [(50, grouped(32, 16, 256, window=1024)), (10, grouped(32, 4, 512, values_from_keys=True))],
    "Gemma-3n-E4B": [
        (16, grouped(8, 2, 256, window=512)),
        (12, grouped(8, 2, 256, window=512, stores_cache=False)),
        (4, grouped(8, 2, 256)),
        (3, grouped(8, 2, 256, stores_cache=False)),
    ],
    "MiMo-V2-Flash": [
        (39, grouped(64, 8, 192, v_head_dim=128, sinks=True, window=128)),
        (9, grouped(64, 4, 192, v_head_dim=128)),
    ],
    "Step-3.7-Flash": [
        (33, grouped(96, 8, 128, qk_norm="head", output_gate="head", window=512)),
        (12, grouped(64, 8, 128, qk_norm="head", output_gate="head")),
    ],
    "Step-3": [(61, grouped(64, 1, 256, query_rank=2048))],
    "Llama-4-Scout": [(36, grouped(40, 8, 128, chunk=8192)), (12, grouped(40, 8, 128))],
    "Hunyuan-Large": [(32, grouped(80, 8, 80)), (32, grouped(80, 8, 80, stores_cache=False))],
    "DeepSeek-V3": [(61, V3)],
    "DeepSeek-V3.2": [(61, V32)],
    "GLM-5.2": [(21, GLM5), (57, {**GLM5, "owns_indexer": False})],
    "Mistral-Large-4": [
        (54, latent(64, None, 64, 128, **indexer(32, 2048), query_scaling=True)),
        (18, latent(64, None, 128, 128, rope=0, **indexer(32, 2048), query_scaling=True)),
    ],
    "MiniMax-M3": [(3, MINIMAX_M3), (57, MINIMAX_M3_SPARSE)],
    "DeepSeek-V4-Flash": [(2, FLASH), (21, FLASH_CSA), (20, FLASH_HCA)],
    "DeepSeek-V4-Pro": [(30, PRO_CSA), (31, PRO_HCA)],
    "Qwen3-Next": [(36, delta_net(32)), (12, QWEN_FULL)],
    "Qwen3.5-397B": [(45, delta_net(64)), (15, {**QWEN_FULL, "num_attention_heads": 32})],
    "Kimi-Linear-48B": [(20, kda(32)), (7, KIMI_LATENT)],
    "Kimi K3": [(69, kda(96, full_rank_gate=True)), (24, K3_LATENT)],
    "Ling-3.0-Flash": [(35, kda(32, full_rank_gate=True, full_rank_decay=True)), (7, KIMI_LATENT)],
    "GLM-5.3-Flash": [(34, kda(64)), (11, GLM53_FLASH)],
    "MiniMax-Text-01": [(70, lightning(64)), (10, grouped(64, 8, 128))],
    "Nemotron-H-56B": [(54, mamba2(256, 64, 256, 8)), (10, grouped(64, 8, 128))],
    "Nemotron-3 Nano": [(23, mamba2(64, 64, 128, 8)), (6, grouped(32, 2, 128))],
    "Nemotron-3 Super": [(40, mamba2(128, 64, 128, 8)), (8, grouped(32, 2, 128))],
    "Nemotron-3 Ultra": [(48, mamba2(256, 64, 128, 8)), (12, grouped(64, 2, 128))],
    "Jamba-1.5-Large": [(63, mamba1(16384, 512, norms=True)), (9, grouped(64, 8, 128))],
    "Granite-4.0-H-Small": [(36, mamba2(128, 64, 128, 1)), (4, grouped(32, 8, 128))],
    "Falcon-H1-34B": [(72, mamba2(32, 128, 256, 2, gated_norm=False)), (72, grouped(20, 4, 128))],
}


def model(name: str, **changes: Any) -> Layers:
    """The attention layers of a model as (count, variant); `changes` go to every layer that has such a field."""
    layers = [(count, attention(spec)) for count, spec in _MODELS[name]]
    return [
        (count, replace(layer, **{k: v for k, v in changes.items() if k in type(layer).__dataclass_fields__}))
        for count, layer in layers
    ]
