"""What must hold for every variant, whatever its shape: order, broadcasting, additivity, ranks."""

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
    GLM5,
    GLM53_FLASH,
    MINIMAX_M3_SPARSE,
    PRO_CSA,
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

from costcalc.formats import CACHE_FORMATS, cache_format
from costcalc.model.attention.base import Core

BF16 = cache_format("bf16")
SHAPES: dict[str, dict[str, Any]] = {
    "MHA": grouped(8, 8, 64),
    "GQA": grouped(64, 8, 128),
    "MQA": grouped(48, 1, 128),
    "MFA": grouped(64, 1, 256, query_rank=2048),
    "user": grouped(64, 8, 128, stores_cache=False),
    "window": grouped(64, 8, 64, window=128),
    "window user": grouped(64, 8, 64, window=128, stores_cache=False),
    "chunk": grouped(40, 8, 128, chunk=512),
    "MLA": V3,
    "MLA expanded": {**V3, "mode": "expanded"},
    "MLA naive": {**V3, "mode": "naive"},
    "MLA user": {**V3, "stores_cache": False},
    "DSA": V32,
    "DSA shared": {**GLM5, "owns_indexer": False},
    "DSA pooled": GLM53_FLASH,
    "blocks": MINIMAX_M3_SPARSE,
    "V4 window": FLASH,
    "CSA": FLASH_CSA,
    "CSA top-1024": PRO_CSA,
    "HCA": FLASH_HCA,
    "delta net": delta_net(32),
    "KDA": kda(32),
    "lightning": lightning(64),
    "Mamba-1": mamba1(8192, 256, norms=True),
    "Mamba-2": mamba2(128, 64, 128, 8),
    "short conv": {"kind": "short_conv", "channels": 2048},
    "memory unit": {"kind": "gated_memory", "inner_size": 4096},
}
GROWING = [name for name, spec in SHAPES.items() if spec["kind"] in ("grouped", "latent", "indexed_latent")]
EVERY = pytest.mark.parametrize("name", SHAPES)

contexts = st.integers(1, 300_000)
ranks = st.sampled_from([1, 2, 4, 8, 16, 32])


def numbers(core: Core) -> list[Any]:
    return [core.flops, core.bytes, core.tile_flops, core.scores]


@EVERY
@given(context=contexts, degree=ranks)
def test_arrays_agree_with_scalars(name: str, context: int, degree: int) -> None:
    layer = attention(SHAPES[name])
    grid = np.array([context, 1, 2 * context])[:, None]
    degrees = np.array([degree, 1])
    held = layer.cache_bytes(grid, BF16, degrees)
    steps = layer.decode_cores(grid, BF16, degrees)
    passes = layer.prefill_cores(grid, 7, BF16, degrees)
    for i, s in enumerate(grid[:, 0]):
        for j, t in enumerate(degrees):
            assert np.broadcast_to(held, (3, 2))[i, j] == layer.cache_bytes(int(s), BF16, int(t))
            for whole, one in (
                (steps, layer.decode_cores(int(s), BF16, int(t))),
                (passes, layer.prefill_cores(int(s), 7, BF16, int(t))),
            ):
                for a, b in zip(whole, one, strict=True):
                    for array, scalar in zip(numbers(a), numbers(b), strict=True):
                        assert np.broadcast_to(array, (3, 2))[i, j] == pytest.approx(float(scalar), rel=1e-12)


@EVERY
@pytest.mark.parametrize("cache", CACHE_FORMATS)
def test_everything_is_finite_and_not_negative(name: str, cache: str) -> None:
    layer, kind = attention(SHAPES[name]), cache_format(cache)
    sizes = np.array([0, 1, 127, 128, 129, 4096, 10**6])
    for value in (
        layer.cache_bytes(sizes, kind),
        layer.growth_bytes(kind),
        *(n for core in layer.decode_cores(sizes, kind) for n in numbers(core)),
        *(n for core in layer.prefill_cores(sizes, 3, kind) for n in numbers(core)),
    ):
        assert np.all(np.isfinite(value))
        assert np.all(np.asarray(value) >= 0)
    assert layer.describe()
    assert layer.shard_unit >= 1
    assert layer.kv_heads >= 1
    assert layer.parameters(2048) > 0


@EVERY
@given(context=contexts)
def test_more_ranks_never_hold_or_do_more_each(name: str, context: int) -> None:
    layer = attention(SHAPES[name])
    degrees = np.array([1, 2, 4, 8, 16, 32, 64])
    assert np.all(np.diff(np.broadcast_to(layer.cache_bytes(context, BF16, degrees), (7,))) <= 0)
    assert np.all(np.diff(np.broadcast_to(layer.growth_bytes(BF16, degrees), (7,))) <= 0)
    for core in (*layer.decode_cores(context, BF16, degrees), *layer.prefill_cores(context, 5, BF16, degrees)):
        for value in (core.flops, core.bytes):
            assert np.all(np.diff(np.broadcast_to(value, (7,))) <= 0)
    # Together the ranks hold at least what one would.
    assert np.all(layer.cache_bytes(context, BF16, degrees) * degrees >= layer.cache_bytes(context, BF16))


@EVERY
@given(context=contexts, more=st.integers(0, 300_000))
def test_more_context_never_holds_less(name: str, context: int, more: int) -> None:
    layer = attention(SHAPES[name])
    assert layer.cache_bytes(context + more, BF16) >= layer.cache_bytes(context, BF16)


@EVERY
def test_growth_is_the_slope_of_the_cache_at_long_context(name: str) -> None:
    layer, start, step = attention(SHAPES[name]), 2**20, 2**16  # a multiple of every ratio
    grown = layer.cache_bytes(start + step, BF16) - layer.cache_bytes(start, BF16)
    assert grown == step * layer.growth_bytes(BF16)


@given(st.sampled_from([1, 2, 4, 8, 16, 32]), st.sampled_from([64, 128]), contexts)
def test_mha_caches_most_and_mqa_least(kv_heads: int, width: int, context: int) -> None:
    mha, gqa, mqa = (attention(grouped(32, k, width)).cache_bytes(context, BF16) for k in (32, kv_heads, 1))
    assert mha >= gqa >= mqa
    assert mha == 32 * mqa


@given(contexts, st.integers(1, 10_000))
def test_a_window_is_never_more_than_full_attention(context: int, window: int) -> None:
    full = attention(grouped(32, 8, 128))
    for local in (grouped(32, 8, 128, window=window), grouped(32, 8, 128, chunk=window)):
        layer = attention(local)
        assert layer.cache_bytes(context, BF16) <= full.cache_bytes(context, BF16)
        for less, more in (
            (layer.decode_cores(context, BF16), full.decode_cores(context, BF16)),
            (layer.prefill_cores(context, 0, BF16), full.prefill_cores(context, 0, BF16)),
        ):
            assert less[0].flops <= more[0].flops
            assert less[0].bytes <= more[0].bytes


@given(contexts)
def test_sparse_layers_hold_all_and_read_little(context: int) -> None:
    dense, sparse = attention(V3), attention(V32)
    assert sparse.cache_bytes(context, BF16) == dense.cache_bytes(context, BF16) + 132 * context
    assert sparse.decode_cores(context, BF16)[0].bytes <= dense.decode_cores(context, BF16)[0].bytes


def test_heads_replicate_beyond_the_kv_heads() -> None:
    gqa, mla, csa = (attention(spec) for spec in (grouped(64, 8, 128), V3, FLASH_CSA))
    shares = [float(gqa.growth_bytes(BF16, t)) / float(gqa.growth_bytes(BF16)) for t in (1, 2, 8, 16, 64)]
    assert shares == [1, 1 / 2, 1 / 8, 1 / 8, 1 / 8]
    for whole in (mla, csa):
        assert whole.growth_bytes(BF16, 64) == whole.growth_bytes(BF16)
        assert whole.decode_cores(4096, BF16, 8)[0].bytes == whole.decode_cores(4096, BF16)[0].bytes
        assert whole.decode_cores(4096, BF16, 8)[0].flops == whole.decode_cores(4096, BF16)[0].flops / 8
    csa_index, csa_alone = csa.decode_cores(4096, BF16, 8)[1], csa.decode_cores(4096, BF16)[1]
    assert (csa_index.flops, csa_index.bytes) == (csa_alone.flops, csa_alone.bytes)


def test_mamba_2_groups_replicate_beyond_their_number() -> None:
    # vLLM repeats groups so that every rank has one: (di + 2·t·N)/t channels when t exceeds G.
    layer = attention(mamba2(128, 64, 128, 8))
    inner, state = 128 * 64, 128
    for t in (1, 8, 16, 64):
        groups = max(8, t)
        conv = (inner + 2 * groups * state) / t * 3 * 2
        assert layer.cache_bytes(1, BF16, t) == inner * state / t * 4 + conv


def test_matrices_are_split_as_the_cache_is() -> None:
    split = {m.name: m.split for m in attention(mamba2(128, 64, 128, 8)).linears(4096)}
    assert split == {"x and gate": "tensor", "B and C": "kv", "dt": "tensor", "out": "tensor"}
    whole = {m.name for m in attention(V32).linears(7168) if m.split == "none"}
    assert whole == {"q_a", "kv_a", "index q", "index k", "index weights"}
    assert {m.name for m in attention(grouped(64, 8, 128)).linears(8192) if m.split == "kv"} == {"k", "v"}
