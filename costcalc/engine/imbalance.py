"""Expert parallelism waits for its hottest rank: the expected maximum of random loads."""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def normal_maximum(count: Number) -> Number:
    """Expected maximum of `count` standard normal draws, by its asymptotic series (Gumbel 1958, section 4.2.3)."""
    n = np.maximum(np.asarray(count, dtype=float), 2.0)
    top = np.sqrt(2 * np.log(n))
    series = top - (np.log(np.log(n)) + np.log(4 * np.pi) - 2 * np.euler_gamma) / (2 * top)
    return np.where(np.asarray(count) > 1, series, 0.0)


def maximum_load(mean: Number, ranks: Number) -> Number:
    """Expected load of the fullest of `ranks` when balls fall at random, `mean` of them on each.

    mean + z sqrt(mean) + (z^2 - 1)/6 for a Poisson load, with z the expected maximum of as many normal draws
    (Cornish and Fisher 1938, doi 10.2307/1400905); at most all balls.
    """
    z = normal_maximum(ranks)
    load = mean + z * np.sqrt(mean) + np.maximum(z**2 - 1, 0.0) / 6
    return np.minimum(load, mean * np.maximum(ranks, 1.0))


def hottest_rank(pairs: Number, held: Number, ranks: Number, share: float) -> tuple[Number, Number]:
    """How many times more the hottest rank has to do than the mean: token-expert pairs, and experts touched.

    pairs: of one rank on average. held: experts of one rank. ranks: expert-parallel groups. share: of the
    random overload that a step waits for, 0 to 1: routing is steadier than chance where experts are balanced.
    """
    mean = np.maximum(np.asarray(pairs, dtype=float), 1e-9)
    hottest = mean + share * (maximum_load(mean, ranks) - mean)
    return hottest / mean, -np.expm1(-hottest / held) / -np.expm1(-mean / held)
