"""Block sizes, groups and padding that vLLM 0.33.0 works out, and the block reported in its issue 24280."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from published_layers import KIMI_LATENT, attention, delta_net, grouped, kda, latent, mamba2

import costcalc
from costcalc.engine.memory import (
    chunk_blocks,
    even_size,
    full_blocks,
    hybrid_block,
    layer_groups,
    paged_bytes,
    window_blocks,
)
from costcalc.formats import cache_format

BF16 = cache_format("bf16")


@pytest.mark.parametrize(
    ("state", "full", "ranks", "alignment", "block", "padding"),
    [
        pytest.param(
            mamba2(128, 80, 128, 8, state_dtype="bf16"),
            grouped(40, 8, 128),
            1,
            16,
            672,
            0.021,
            id="Nemotron-Nano-9B-v2",
        ),
        pytest.param({**delta_net(32), "state_dtype": "bf16"}, grouped(16, 2, 256), 1, 16, 544, 0.015, id="Qwen3-Next"),
        pytest.param(delta_net(32), grouped(16, 2, 256), 1, 16, 1056, 0.008, id="Qwen3-Next fp32"),
        pytest.param(delta_net(64), grouped(32, 2, 256), 1, 16, 2096, 0.006, id="Qwen3.5-397B"),
        pytest.param(delta_net(64), grouped(32, 2, 256), 8, 16, 528, 0.013, id="Qwen3.5-397B on 8"),
        pytest.param(kda(32), KIMI_LATENT, 1, 128, 1920, 0.019, id="Kimi-Linear"),
        pytest.param(kda(96), latent(96, 1536, 128, 128), 8, 128, 768, 0.087, id="Kimi K3 on 8"),
    ],
)
def test_hybrid_pages(
    state: dict[str, object], full: dict[str, object], ranks: int, alignment: int, block: int, padding: float
) -> None:
    held = attention(state).cache_bytes(1, BF16, ranks)
    token = attention(full).growth_bytes(BF16, ranks)
    assert hybrid_block(held, token, alignment) == block
    assert hybrid_block(held, token, alignment) * token / held - 1 == pytest.approx(padding, abs=0.0006)


@pytest.mark.parametrize(
    ("counts", "size", "groups", "padding"),
    [
        pytest.param((10, 52), 10, (1, 6), 8, id="Gemma-3-27b"),
        pytest.param((24, 69), 24, (1, 3), 3, id="Kimi K3"),
        pytest.param((6, 23), 6, (1, 4), 1, id="Nemotron-3 Nano"),
        pytest.param((7, 20), 7, (1, 3), 1, id="Kimi-Linear"),
        pytest.param((9, 39), 9, (1, 5), 6, id="MiMo-V2-Flash"),
        pytest.param((18, 18), 18, (1, 1), 0, id="gpt-oss-120b"),
        pytest.param((12, 36), 12, (1, 3), 0, id="Qwen3-Next"),
        pytest.param((20, 25), 25, (1, 1), 5, id="nearly equal"),
    ],
)
def test_groups_of_layers(counts: tuple[int, ...], size: int, groups: tuple[int, ...], padding: int) -> None:
    made = layer_groups(counts)
    assert (made.size, made.groups, made.padding) == (size, groups, padding)


def test_small_windows_round_up_hard() -> None:
    # A window of 128 while decoding: 3 blocks of 64 (+50%), 9 of 16 (+13%).
    assert window_blocks(10_000, 128, 64) == 3
    assert window_blocks(10_000, 128, 16) == 9
    assert window_blocks(10_000, 128, 16, in_flight=8192) == 521
    assert window_blocks(100, 128, 16, in_flight=8192) == 7  # never more than the sequence


def test_chunks_hold_a_block_more_than_themselves() -> None:
    assert chunk_blocks(100_000, 8192, 16) == 513
    assert chunk_blocks(100, 8192, 16) == 7


@given(st.integers(1, 100_000), st.integers(1, 8192), st.sampled_from([16, 32, 64, 128, 256]))
def test_blocks_cover_what_is_held(context: int, window: int, block: int) -> None:
    assert full_blocks(context, block) * block >= context
    assert window_blocks(context, window, block) * block >= min(context, window)
    assert window_blocks(context, window, block) <= full_blocks(context, block)
    arrays = full_blocks(np.array([context, 1]), block)
    assert list(arrays) == [full_blocks(context, block), 1]


def test_compressed_layers_share_blocks_with_windows_and_states() -> None:
    # DeepSeek-V4-Flash in vLLM 0.27.1: pages of 37,440 B (64 entries of 584 B), 1,728 (two of them), 8,640 (64 index
    # keys of 132 B); 43 windows in two groups. 1,048,576 tokens in steps of 8,192: 4,096 blocks of entries, 131 of each
    # group of windows, 2,051 of overlapping states of four tokens, and 1,041 of the others of eight.
    model, block = costcalc.load_model("deepseek-v4-flash"), 21 * (37_440 + 8_640) + 20 * 1_728
    held = paged_bytes(model.attention_layers(), cache_format("fp8_ds_mla"), 1, 1_048_576, 8192)
    assert held == (4096 + 2 * 131 + 2051 + 1041) * block
    short = paged_bytes(model.attention_layers(), cache_format("fp8_ds_mla"), 1, np.array([256.0, 1.0]), 8192)
    assert list(np.asarray(short) / block) == [1 + 2 * 4 + 64 + 32, 1 + 2 + 1 + 1]


def test_groups_of_nearly_equal_size_are_padded_least() -> None:
    assert even_size([21, 44, 21, 20]) == 22  # pads 1 + 0 + 1 + 2
    assert even_size([21, 43, 21, 20]) == 22
    assert even_size([10, 10]) == 10
