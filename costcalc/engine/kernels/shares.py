"""What the kernel forms share: a share of a peak, and how two resources of one kernel overlap."""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def share(value: Number) -> Number:
    """A share of a peak, at most 1, so that no calibrated time beats the roofline."""
    return np.minimum(value, 1.0)


def overlapped(first: Number, second: Number, norm: Number) -> Number:
    """Time [s] of two resources used at once: their p-norm, from the maximum (p = inf) to the sum (p = 1)."""
    longest = np.maximum(first, second)
    shortest = np.minimum(first, second)
    ratio = shortest / np.where(longest > 0, longest, 1.0)
    return longest * (1.0 + ratio**norm) ** (1.0 / norm)
