"""Prefill against decode summed over the positions, against itself cut in two, and against published counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_layers import (
    FLASH,
    FLASH_CSA,
    FLASH_HCA,
    GLM53_FLASH,
    MINIMAX_M3_SPARSE,
    V3,
    V32,
    attention,
    delta_net,
    grouped,
    kda,
    lightning,
    mamba1,
    mamba2,
)

from costcalc.formats import cache_format

BF16 = cache_format("bf16")
SUMS: dict[str, dict[str, Any]] = {
    "full": grouped(64, 8, 128),
    "uneven": grouped(64, 8, 192, v_head_dim=128),
    "differential": grouped(40, 20, 64, differential=True),
    "window": grouped(64, 8, 64, window=128),
    "chunk": grouped(40, 8, 128, chunk=512),
    "blocks": {**MINIMAX_M3_SPARSE, "sparse_block_size": 32, "topk_blocks": 4},
    "V4 window": FLASH,
    "CSA": {**FLASH_CSA, "index_topk": 64},
    "HCA": FLASH_HCA,
    "Mamba-1": mamba1(8192, 256),
    "short conv": {"kind": "short_conv", "channels": 2048},
}
LINEAR = {"delta net": delta_net(32), "KDA": kda(32), "lightning": lightning(64), "Mamba-2": mamba2(128, 64, 128, 8)}


def flops(spec: dict[str, Any], tokens: int, cached: int = 0) -> list[float]:
    return [float(core.flops) for core in attention(spec).prefill_cores(tokens, cached, BF16)]


@pytest.mark.parametrize("name", SUMS)
@given(tokens=st.integers(1, 3000), cached=st.integers(0, 3000))
def test_a_pass_does_what_its_tokens_would_one_by_one(name: str, tokens: int, cached: int) -> None:
    steps = attention(SUMS[name]).decode_cores(np.arange(cached + 1, cached + tokens + 1), BF16)
    assert flops(SUMS[name], tokens, cached) == [float(np.sum(core.flops)) for core in steps]


@pytest.mark.parametrize("name", [*SUMS, *LINEAR])
@given(tokens=st.integers(1, 100_000), cached=st.integers(0, 100_000))
def test_two_passes_do_what_one_does(name: str, tokens: int, cached: int) -> None:
    spec = (SUMS | LINEAR)[name]
    both = [a + b for a, b in zip(flops(spec, cached), flops(spec, tokens, cached), strict=True)]
    assert both == pytest.approx(flops(spec, tokens + cached), rel=1e-12)


@pytest.mark.parametrize("spec", [V32, GLM53_FLASH])
@given(tokens=st.integers(2049, 20_000), cached=st.integers(0, 20_000))
def test_sparse_prefill_beyond_top_k(spec: dict[str, Any], tokens: int, cached: int) -> None:
    steps = attention(spec).decode_cores(np.arange(cached + 1, cached + tokens + 1), BF16)
    assert flops(spec, tokens, cached) == [float(np.sum(core.flops)) for core in steps]


def test_sparse_prefill_within_top_k_is_dense() -> None:
    core, index = attention(V32).prefill_cores(2048, 0, BF16)
    (dense,) = attention(V3).prefill_cores(2048, 0, BF16)
    assert core.flops == dense.flops == 2 * 128 * (128 + 64 + 128) * 2048 * 2049 / 2
    assert index.flops == 2 * 64 * 128 * 2048 * 2049 / 2


def test_sparse_prefill_stays_quadratic() -> None:
    short, long = flops(V32, 100_000)[1], flops(V32, 200_000)[1]
    assert long / short == pytest.approx(4, rel=1e-4)


@given(tokens=st.integers(1, 50_000), cached=st.integers(0, 50_000))
def test_latent_prefill_takes_the_cheaper_form(tokens: int, cached: int) -> None:
    # DeepSeek-V2 (arXiv 2405.04434): expanded heads are 192 + 128 wide, absorbed ones 576 + 512.
    total = tokens + cached
    pairs = (total * (total + 1) - cached * (cached + 1)) / 2
    expanded = 2 * 128 * (192 + 128) * pairs + 2 * cached * 512 * 128 * 256
    absorbed = 2 * 128 * (576 + 512) * pairs
    uncached = 2 * 128 * (192 + 128) * total * (total + 1) / 2
    assert flops(V3, tokens, cached)[0] == min(expanded, absorbed, uncached)


def test_one_token_behind_a_long_prefix_is_absorbed() -> None:
    assert flops(V3, 1, 100_000)[0] == attention(V3).decode_cores(100_001, BF16)[0].flops


def test_full_attention_is_half_of_the_square() -> None:
    # Causal: T(T + 1)/2 pairs, 2·H(q + v) FLOPs each.
    assert flops(grouped(64, 8, 128), 4096)[0] == 2 * 64 * 256 * 4096 * 4097 / 2


@pytest.mark.parametrize(
    ("spec", "per_token"),
    [
        # Dense matrix products within a chunk of Q tokens, by hand.
        (delta_net(32), 32 * (6 * 128 * 128 + 64 * (6 * 128 + 4 * 128))),
        (kda(32), 32 * (6 * 128 * 128 + 64 * 10 * 128)),
        (mamba2(128, 64, 128, 8), 8 * 2 * 128 * 128 + 128 * (2 * 128 * 64 + 4 * 64 * 128)),
        (mamba2(128, 64, 128, 8, chunk_size=256), 8 * 2 * 256 * 128 + 128 * (2 * 256 * 64 + 4 * 64 * 128)),
        (lightning(64), 64 * (4 * 256 * 128 + 4 * 128 * 128)),
        (mamba1(8192, 256), 7 * 8192 * 16),
        ({"kind": "short_conv", "channels": 2048}, 2 * 3 * 2048),
    ],
)
def test_linear_layers_by_token(spec: dict[str, Any], per_token: int) -> None:
    (core,) = attention(spec).prefill_cores(1000, 5, BF16)
    assert core.flops == 1000 * per_token
    (step,) = attention(spec).decode_cores(7, BF16)
    assert core.bytes == step.bytes  # the state, read and written once


def test_cached_prefixes_are_read_and_new_tokens_written() -> None:
    assert attention(grouped(64, 8, 128)).prefill_cores(100, 900, BF16)[0].bytes == 1000 * 4096
    assert attention(grouped(64, 8, 128, window=128)).prefill_cores(100, 900, BF16)[0].bytes == (128 + 100) * 4096
    core, index = attention(V32).prefill_cores(100, 900, cache_format("fp8_ds_mla"))
    assert (core.bytes, index.bytes) == (1000 * 656, 1000 * 132)
    core, index = attention(FLASH_CSA).prefill_cores(100, 900, cache_format("fp8_ds_mla"))
    assert (core.bytes, index.bytes) == ((128 + 100 + 250) * 584, 250 * 132)
    core, index = attention(MINIMAX_M3_SPARSE).prefill_cores(100, 900, BF16)
    assert (core.bytes, index.bytes) == (1000 * 2048, 1000 * 256)
