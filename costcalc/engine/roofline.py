"""The roofline: an op takes as long as its slower resource, memory or arithmetic.

Source: Williams, Waterman and Patterson 2009 (doi 10.1145/1498765.1498785).
"""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def memory_seconds(nbytes: Number, bandwidth: Number) -> Number:
    """Time to move `nbytes` [B] at `bandwidth` [B/s]."""
    return nbytes / bandwidth


def compute_seconds(flops: Number, peak: Number) -> Number:
    """Time to do `flops` [FLOP] at `peak` [FLOP/s]."""
    return flops / peak


def roofline_seconds(memory: Number, compute: Number, norm: float = np.inf) -> Number:
    """Join the two times [s]: their maximum when they overlap perfectly (norm inf), their sum when not at all (1).

    Any norm of at least 1 is no shorter than the maximum, so a calibrated time never beats the bound.
    """
    if np.isinf(norm):
        return np.maximum(memory, compute)
    if norm == 1:
        return memory + compute
    return (memory**norm + compute**norm) ** (1 / norm)


def ridge_intensity(peak: Number, bandwidth: Number) -> Number:
    """Arithmetic intensity at which both resources take equally long [FLOP/B]."""
    return peak / bandwidth
