"""Pairs of causal attention, against a count position by position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costcalc.model.attention.base import (
    chunk_pairs,
    compressed_pairs,
    compressed_window_pairs,
    full_pairs,
    window_pairs,
)

length = st.integers(0, 300)
size = st.integers(1, 80)


def counted(tokens: int, sees: Callable[[int], int]) -> int:
    return sum(sees(position) for position in range(1, tokens + 1))


@given(length)
def test_full(tokens: int) -> None:
    assert full_pairs(tokens) == counted(tokens, lambda i: i)


@given(length, size)
def test_window(tokens: int, window: int) -> None:
    assert window_pairs(tokens, window) == counted(tokens, lambda i: min(i, window))


@given(length, size)
def test_chunk(tokens: int, chunk: int) -> None:
    assert chunk_pairs(tokens, chunk) == counted(tokens, lambda i: (i - 1) % chunk + 1)


@given(length, size)
def test_compressed(tokens: int, ratio: int) -> None:
    assert compressed_pairs(tokens, ratio) == counted(tokens, lambda i: i // ratio)


@given(length, st.integers(1, 20), size)
def test_compressed_within_a_limit(tokens: int, ratio: int, limit: int) -> None:
    expected = counted(tokens, lambda i: min(i // ratio, limit))
    assert compressed_window_pairs(tokens, ratio, limit) == expected


@pytest.mark.parametrize(
    "pairs",
    [
        full_pairs,
        lambda t: window_pairs(t, 7),
        lambda t: chunk_pairs(t, 7),
        lambda t: compressed_pairs(t, 4),
        lambda t: compressed_window_pairs(t, 4, 3),
    ],
)
def test_arrays_agree_with_scalars(pairs: Callable[[object], object]) -> None:
    tokens = np.arange(100)
    assert np.array_equal(pairs(tokens), [pairs(int(t)) for t in tokens])
