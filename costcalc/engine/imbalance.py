"""Expert parallelism waits for its hottest rank: the expected maximum of random loads."""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def hottest_rank(pairs: Number, ranks: Number) -> Number:
    """Expected maximum over mean load when token-expert pairs fall on ranks at random, at least 1 [ratio].

    pairs: of one rank on average. ranks: expert-parallel groups. Balls into bins with Bernstein's tail:
    sqrt(2 ln n / mean) where loads are large, ln n / (3 mean) where they are small
    (Raab and Steger 1998, doi 10.1007/3-540-49543-6_13).
    """
    mean = np.maximum(np.asarray(pairs, dtype=float), 1e-9)
    spread = np.log(np.maximum(np.asarray(ranks, dtype=float), 1.0)) / mean
    return np.minimum(1 + np.sqrt(2 * spread) + spread / 3, np.maximum(ranks, 1.0))
