"""Expert parallelism waits for its hottest rank: the expected maximum of random loads."""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def maximum_load(mean: Number, ranks: Number) -> Number:
    """Expected load of the fullest of `ranks` when balls fall at random, `mean` of them on each.

    mean + sqrt(2 mean ln n) + ln n / 3: Bernstein's tail, the Gaussian term where loads are large and the
    last one where they are small (Raab and Steger 1998, doi 10.1007/3-540-49543-6_13); at most all balls.
    """
    spread = np.log(np.maximum(np.asarray(ranks, dtype=float), 1.0))
    return np.minimum(mean + np.sqrt(2 * mean * spread) + spread / 3, mean * np.maximum(ranks, 1.0))


def hottest_rank(pairs: Number, held: Number, ranks: Number, share: float) -> tuple[Number, Number]:
    """How many times more the hottest rank has to do than the mean: token-expert pairs, and experts touched.

    pairs: of one rank on average. held: experts of one rank. ranks: expert-parallel groups. share: of the
    random overload that a step waits for, 0 to 1: routing is steadier than chance where experts are balanced.
    """
    mean = np.maximum(np.asarray(pairs, dtype=float), 1e-9)
    hottest = mean + share * (maximum_load(mean, ranks) - mean)
    return hottest / mean, -np.expm1(-hottest / held) / -np.expm1(-mean / held)
