"""How many (query, key) pairs causal attention evaluates, exactly.

Each function counts over positions 1..T what the position sees, itself included. Prefilling T tokens
behind P cached ones evaluates f(P + T) - f(P).
"""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def full_pairs(tokens: Number) -> Number:
    """Pairs of full causal attention over `tokens` [tokens]: T(T+1)/2."""
    return tokens * (tokens + 1) / 2


def window_pairs(tokens: Number, window: Number) -> Number:
    """Pairs when a position sees at most `window` [tokens]: also the count of a top-k selection."""
    inside = np.minimum(tokens, window)
    return inside * (inside + 1) / 2 + (tokens - inside) * window


def chunk_pairs(tokens: Number, chunk: Number) -> Number:
    """Pairs when a position sees only its own chunk of `chunk` [tokens] (Llama 4)."""
    whole = np.floor_divide(tokens, chunk)
    rest = tokens - whole * chunk
    return whole * full_pairs(chunk) + full_pairs(rest)


def compressed_pairs(tokens: Number, ratio: Number) -> Number:
    """Pairs when position i sees floor(i / ratio) compressed entries."""
    n = np.floor_divide(tokens, ratio)
    return ratio * n * (n - 1) / 2 + n * (tokens - n * ratio + 1)


def compressed_window_pairs(tokens: Number, ratio: Number, limit: Number) -> Number:
    """Pairs when position i sees floor(i / ratio) compressed entries, but at most `limit` [entries]."""
    inside = np.minimum(tokens, ratio * limit)
    return compressed_pairs(inside, ratio) + (tokens - inside) * limit


def block_pairs(tokens: Number, block: Number, blocks: Number) -> Number:
    """Pairs when a position sees its own block of `block` [tokens] up to itself and blocks - 1 whole earlier ones."""
    inside = np.minimum(tokens, block * blocks)
    own = chunk_pairs(tokens, block) - chunk_pairs(inside, block)
    return full_pairs(inside) + (tokens - inside) * block * (blocks - 1) + own
