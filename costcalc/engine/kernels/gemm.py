"""A matrix product in any precision, and the quantization of its activations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costcalc.arrays import Number
from costcalc.engine.kernels.shares import overlapped, share

TILE_ROWS = 64
"""Rows of the smallest tile: a product of fewer rows does the work of 64."""


@dataclass(frozen=True, slots=True)
class GemmCurve:
    """A matrix product."""

    launch: Number  # [s]
    bandwidth: Number  # share of peak memory bandwidth
    flops: Number  # share of the peak of the precision multiplied in
    quantize_launch: Number  # [s] of the kernel that quantizes the activations
    quantize_bandwidth: Number = 0.7  # share of peak memory bandwidth of that kernel
    norm: Number = 2.0


def gemm_seconds(
    rows: Number,
    columns: Number,
    depth: Number,
    nbytes: Number,
    bandwidth: Number,
    peak: Number,
    curve: GemmCurve,
) -> Number:
    """Time of [rows, depth] × [depth, columns] [s].

    nbytes: weights, scales, activations in and out [B]. bandwidth: memory peak [B/s].
    peak: dense peak of the precision multiplied in [FLOP/s].
    """
    padded = TILE_ROWS * np.ceil(rows / TILE_ROWS)
    memory = nbytes / (share(curve.bandwidth) * bandwidth)
    compute = 2 * padded * columns * depth / (share(curve.flops) * peak)
    return curve.launch + overlapped(memory, compute, curve.norm)


def quantize_seconds(
    rows: Number, depth: Number, quantized_bytes: Number, bandwidth: Number, curve: GemmCurve
) -> Number:
    """Time of the kernel that reads 16-bit activations and writes them quantized [s].

    quantized_bytes: bytes of one quantized activation [B]. bandwidth: memory peak [B/s].
    """
    return curve.quantize_launch + rows * depth * (2 + quantized_bytes) / (share(curve.quantize_bandwidth) * bandwidth)
