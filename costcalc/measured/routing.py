"""The skewed routing that expert benchmarks use: loads drawn from a power law, the fullest rank timed.

The generator of the aiconfigurator benchmarks (ai-dynamo/aiconfigurator, collector/, power_law_logits_v3):
loads x are drawn with density x^-α, between 1 and 0.8 tokens when there are more pairs than experts, else
between 0.01 and 2, scaled to the number of pairs, rounded, and the rank with the most pairs is timed.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

DRAWS = 256
"""Random draws averaged over; their seed is fixed, so that results are the same every time."""


@lru_cache(maxsize=4096)
def power_law_load(tokens: int, experts: int, topk: int, ranks: int, exponent: float = 1.2) -> tuple[float, float]:
    """Return the mean pairs and the mean experts hit on the fullest of `ranks` ranks [1].

    tokens: routed over all ranks. experts: of the layer. topk: experts per token. ranks: that share them.
    exponent: α of the power law.
    """
    generator = np.random.default_rng(0)
    pairs = tokens * topk
    low, high = (1.0, 0.8 * tokens) if pairs > experts else (0.01, 2.0)
    power = (1 - exponent) or 1e-9
    ranks = min(ranks, experts)
    uniform = generator.random((DRAWS, experts))
    loads = ((high**power - low**power) * uniform + low**power) ** (1 / power)
    share = loads / loads.sum(axis=1, keepdims=True) * pairs
    # Rounding to whole pairs that still add up: the largest remainders go up.
    counts = np.round(share)
    for draw in range(DRAWS):
        missing = int(pairs - counts[draw].sum())
        order = np.argsort(generator.random(experts) * 0.5 - counts[draw])
        if missing < 0:
            order = order[::-1][: max(1, int((counts[draw] > 0).sum()))]
        turns = np.bincount(np.arange(abs(missing)) % len(order), minlength=len(order))
        counts[draw, order] = np.maximum(counts[draw, order] + np.sign(missing) * turns, 0)
    by_rank = counts[:, : experts // ranks * ranks].reshape(DRAWS, ranks, -1)
    fullest = by_rank[np.arange(DRAWS), by_rank.sum(axis=2).argmax(axis=1)]
    return float(fullest.sum(axis=1).mean()), float((fullest > 0).sum(axis=1).mean())
