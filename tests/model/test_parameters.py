"""Parameters of a layer, against the reference classes of transformers 5.23.0 built without weights.

Where the class counts the layer's two norms of the hidden size, or its hyper-connection, they are added here.
"""

from __future__ import annotations

from typing import Any

import pytest
from published_layers import (
    FLASH,
    FLASH_CSA,
    FLASH_HCA,
    GLM5,
    GLM53_FLASH,
    GPT_OSS,
    KIMI_LATENT,
    MINIMAX_M3_SPARSE,
    PRO_CSA,
    PRO_HCA,
    QWEN_FULL,
    V3,
    V32,
    attention,
    delta_net,
    grouped,
    indexer,
    kda,
    latent,
    lightning,
    mamba1,
    mamba2,
)

MISTRAL = {**indexer(32, 2048), "query_scaling": True}
GLM5_DENSE = latent(64, 2048, 192, 256)


def hyper_connection(hidden: int, streams: int = 4) -> int:
    """Parameters of one manifold hyper-connection of `streams` residual streams (DeepSeek-V4)."""
    mixes = streams * streams + 2 * streams
    return mixes * streams * hidden + mixes + 3


@pytest.mark.parametrize(
    ("spec", "hidden", "extra", "parameters"),
    [
        pytest.param(GPT_OSS, 2880, 2 * 2880, 26_555_904, id="gpt-oss-120b"),
        pytest.param({**QWEN_FULL, "num_attention_heads": 32}, 4096, 2 * 4096, 104_866_304, id="Qwen3.5-397B"),
        pytest.param(V3, 7168, 0, 187_107_328, id="DeepSeek-V3"),
        pytest.param(V3, 7168, 2 * 7168, 187_121_664, id="DeepSeek-V3 with norms"),
        pytest.param(GLM5_DENSE, 6144, 0, 165_022_208, id="GLM-5 without its indexer"),
        pytest.param(KIMI_LATENT, 2304, 0, 29_114_880, id="Kimi-Linear MLA"),
        pytest.param(V32, 7168, 2 * 7168, 201_081_088, id="DeepSeek-V3.2"),
        pytest.param(latent(64, None, 64, 128, **MISTRAL), 6144, 0, 136_655_808, id="Mistral Large 4 RoPE"),
        pytest.param(latent(64, None, 128, 128, rope=0, **MISTRAL), 6144, 0, 138_359_744, id="Mistral Large 4 NoPE"),
        pytest.param(GLM53_FLASH, 4096, 2 * 4096 + hyper_connection(4096), 125_317_403, id="GLM-5.3-Flash"),
        pytest.param(MINIMAX_M3_SPARSE, 6144, 2 * 6144, 110_899_712, id="MiniMax-M3"),
        pytest.param(FLASH, 4096, 2 * 4096 + hyper_connection(4096), 107_357_787, id="V4-Flash window"),
        pytest.param(FLASH_CSA, 4096, 2 * 4096 + hyper_connection(4096), 126_500_059, id="V4-Flash CSA"),
        pytest.param(FLASH_HCA, 4096, 2 * 4096 + hyper_connection(4096), 111_618_139, id="V4-Flash HCA"),
        pytest.param(PRO_CSA, 7168, 2 * 7168 + hyper_connection(7168), 331_994_907, id="V4-Pro CSA"),
        pytest.param(PRO_HCA, 7168, 2 * 7168 + hyper_connection(7168), 308_003_483, id="V4-Pro HCA"),
        pytest.param(delta_net(32), 2048, 0, 33_718_464, id="Qwen3-Next delta net"),
        pytest.param(kda(32), 2304, 0, 39_514_272, id="Kimi-Linear KDA"),
        pytest.param(kda(32, full_rank_gate=True, full_rank_decay=True), 2560, 0, 63_049_888, id="Ling-3.0-Flash KDA"),
        pytest.param(mamba2(256, 64, 256, 8), 8192, 0, 438_424_320, id="Nemotron-H-56B"),
        pytest.param(mamba1(8192, 256, norms=True), 4096, 0, 105_308_448, id="Jamba"),
        pytest.param(lightning(32), 4096, 0, 83_890_176, id="MiniMax"),
    ],
)
def test_layer(spec: dict[str, Any], hidden: int, extra: int, parameters: int) -> None:
    assert attention(spec).parameters(hidden) + extra == parameters


def test_hyper_connections_of_v4_flash() -> None:
    assert 2 * hyper_connection(4096) == 786_486


def test_indexer_of_v3_2() -> None:
    assert attention(V32).parameters(7168) - attention(V3).parameters(7168) == 13_959_424


def test_kimi_k3_gate_is_full_rank() -> None:
    hidden, width = 7168, 96 * 128
    low = attention(kda(96)).parameters(hidden)
    assert attention(kda(96, full_rank_gate=True)).parameters(hidden) - low == hidden * width - 128 * (hidden + width)


def test_step_3_factorizes_its_queries() -> None:
    # Step-3 (arXiv 2507.19427): one KV head of 256, queries through 2048.
    hidden, heads = 7168, 64
    spec = grouped(heads, 1, 256, query_rank=2048)
    expected = hidden * (2048 + 512) + 2048 + 2048 * heads * 256 + heads * 256 * hidden
    assert attention(spec).parameters(hidden) == expected


def test_falcon_h1_has_no_gated_norm() -> None:
    shape = (32, 128, 256, 2)
    with_norm, without = attention(mamba2(*shape)), attention(mamba2(*shape, gated_norm=False))
    assert with_norm.parameters(5120) - without.parameters(5120) == 32 * 128


def test_phi_4_mini_flash() -> None:
    # Phi-4-mini-flash (arXiv 2507.06607): 3.8B; 9 Mamba-1 layers, 8 windows, a full layer, 7 users of its cache,
    # 7 gated memory units.
    hidden, vocabulary = 2560, 200_064
    layers = [
        (9, mamba1(2 * hidden, 160)),
        (8, grouped(40, 20, 64, window=512, qkv_bias=True, o_bias=True)),
        (1, grouped(40, 20, 64, qkv_bias=True, o_bias=True)),
        (7, grouped(40, 20, 64, stores_cache=False, qkv_bias=True, o_bias=True)),
        (7, {"kind": "gated_memory", "inner_size": 2 * hidden}),
    ]
    mixers = sum(n * attention(spec).parameters(hidden) for n, spec in layers)
    total = mixers + 32 * 3 * hidden * 10_240 + vocabulary * hidden
    assert total == pytest.approx(3.85e9, rel=0.002)


def test_short_convolution_of_lfm2() -> None:
    # transformers 5.23.0, Lfm2ShortConv: d x 3d in, a depthwise convolution of 3 taps, d x d out.
    hidden = 2048
    layer = attention({"kind": "short_conv", "channels": hidden})
    assert layer.parameters(hidden) == 4 * hidden**2 + 3 * hidden


def test_options_of_grouped_attention() -> None:
    d, base = 512, grouped(8, 2, 64)
    plain = attention(base).parameters(d)
    assert plain == d * 8 * 64 + d * 2 * 128 + 8 * 64 * d
    options: list[tuple[dict[str, Any], int]] = [
        ({"output_gate": "elementwise"}, d * 8 * 64),
        ({"output_gate": "head"}, d * 8),
        ({"qkv_bias": True}, 8 * 64 + 2 * 128),
        ({"o_bias": True}, d),
        ({"qk_norm": "head"}, 2 * 64),
        ({"qk_norm": "full"}, (8 + 2) * 64),
        ({"sinks": True}, 8),
        ({"values_from_keys": True}, -d * 2 * 64),
        ({"stores_cache": False}, -d * 2 * 128),
        ({"v_head_dim": 32}, -d * 2 * 32 - 8 * 32 * d),
    ]
    for change, difference in options:
        assert attention({**base, **change}).parameters(d) - plain == difference, change


def test_options_of_latent_attention() -> None:
    d, plain = 7168, attention(V3).parameters(7168)
    assert attention({**V3, "output_gate": "elementwise"}).parameters(d) - plain == d * 128 * 128
    assert attention({**V3, "output_gate": "head"}).parameters(d) - plain == d * 128
    assert attention(GLM5).parameters(6144) - attention(GLM5_DENSE).parameters(6144) == (
        2048 * 32 * 128 + 6144 * 128 + 2 * 128 + 6144 * 32
    )
