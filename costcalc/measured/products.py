"""Matrix products and fused experts of measurement files."""

from __future__ import annotations

import numpy as np

from costcalc.engine.kernels import (
    ExpertsCurve,
    GemmCurve,
    experts_hit,
    experts_seconds,
    filtered_buffer_bytes,
    gemm_seconds,
    quantize_seconds,
    unfiltered_buffer_bytes,
)
from costcalc.engine.kernels.choice import experts_kernel
from costcalc.measured.load import Row
from costcalc.measured.model import Array, Features, KernelModel, Level, Prior
from costcalc.measured.routing import power_law_load
from costcalc.measured.rows import Described, backend_of
from costcalc.numbertypes import NumberType, number_type
from costcalc.specs.accelerator import Accelerator

_WIDTHS = {"fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5 + 1 / 16}
"""Bytes of an activation by the precision that is computed in, scales included."""


def precision_class(kind: NumberType) -> str:
    """Return the class of kernels that multiply a number type, as the fit tells them apart."""
    if kind.weights.bytes >= 2:
        return "16-bit" if kind.weights.bytes == 2 else "32-bit"
    if kind.compute in ("bf16", "fp16"):
        return "weight-only"
    if kind.name == "fp8_block":
        return "fp8_block"
    return "nvfp4" if kind.compute == "fp4" else kind.compute


def describe_gemm(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a matrix product."""
    m, n, k = row["m"], row["n"], row["k"]
    kind = number_type(row["dtype"])
    group, activation, backend = precision_class(kind), _WIDTHS[kind.compute], backend_of(row)
    quantizes = backend == "trtllm" and group in ("fp8", "fp8_block", "nvfp4") and row["kernel"] != "deepgemm"
    # vLLM's block-scaled products convert their scales, or fall back to Triton, inside the measured call.
    converts = backend == "vllm" and group == "fp8_block"
    return "gemm", {
        "precision": group,
        "kernel": "scale-conversion" if converts else "",
        "kernel_family": f"scale-conversion {gpu.architecture}" if converts else "",
        "m": m,
        "n": n,
        "k": k,
        "nbytes": n * k * kind.weights.bytes + m * k * activation + max(2.0, kind.weights.bytes) * m * n,
        "peak": gpu.peak(kind.compute).flops,
        "quantizes": 1.0 * quantizes,
        "activation_bytes": activation,
        "shape": f"{n:g} {k:g}",
    }


def describe_experts(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a layer's routed experts."""
    tokens, topk, experts, ranks = row["tokens"], row["topk"], row["experts"], row["moe_ep"]
    kind, backend, inter = number_type(row["dtype"]), backend_of(row), row["inter"] / row["moe_tp"]
    kernel = experts_kernel(backend, gpu.architecture, kind.name, row["kernel"])
    pairs, hits = tokens * topk / ranks, experts_hit(experts / ranks, tokens * topk / ranks)
    if row["distribution"].startswith("power_law"):
        pairs, hits = power_law_load(int(tokens), int(experts), int(topk), int(ranks), _exponent(row))
    width = kind.weights.bytes
    if kind.name == "mxfp4" and backend == "sglang" and gpu.architecture != "blackwell":
        width = 2.0  # Triton multiplies a 16-bit copy of the weights
    if kernel in ("triton", "marlin"):
        buffers = unfiltered_buffer_bytes(tokens * topk, row["hidden"], inter)
    else:
        buffers = filtered_buffer_bytes(pairs, row["hidden"], inter)
    return "experts", {
        "kernel": kernel,
        "pairs": pairs,
        "hits": hits,
        "hidden": row["hidden"],
        "inter": inter,
        "weight_bytes": width,
        "buffer_bytes": buffers,
        "peak": gpu.peak(kind.compute).flops,
        "shape": f"{row['hidden']:g} {row['inter']:g} {experts:g}",
    }


def _exponent(row: Row) -> float:
    text = str(row["distribution"]).removeprefix("power_law").strip("_ ")
    try:
        return float(text)
    except ValueError:
        return 1.2


def _gemm(f: Features, curve: GemmCurve) -> Array:
    product = gemm_seconds(f["m"], f["n"], f["k"], f["nbytes"], f["bandwidth"], f["peak"], curve)
    quantized = quantize_seconds(f["m"], f["k"], f["activation_bytes"], f["bandwidth"], curve)
    return np.asarray(product + f["quantizes"] * quantized)


def _gemm_bound(f: Features) -> Array:
    return np.maximum(f["nbytes"] / f["bandwidth"], 2 * f["m"] * f["n"] * f["k"] / f["peak"])


def _experts(f: Features, curve: ExpertsCurve) -> Array:
    return np.asarray(
        experts_seconds(
            f["pairs"],
            f["hits"],
            f["hidden"],
            f["inter"],
            f["weight_bytes"],
            f["buffer_bytes"],
            f["bandwidth"],
            f["peak"],
            curve,
        )
    )


def _experts_bound(f: Features) -> Array:
    size = f["hidden"] * f["inter"]
    weights = f["hits"] * 3 * size * f["weight_bytes"]
    return np.maximum(weights / f["bandwidth"], 6 * f["pairs"] * size / f["peak"])


GEMM = {
    "gemm": KernelModel(
        "gemm",
        "matrix product",
        GemmCurve,
        priors={
            "launch": Prior(6e-6, 0.5),
            "bandwidth": Prior(0.85, 0.2),
            "flops": Prior(0.6, 0.3),
            "quantize_launch": Prior(6e-6, 0.7),
        },
        levels=(
            Level("family", "bandwidth", 0.12),
            Level("family", "flops", 0.2),
            Level("precision", "bandwidth", 0.12),
            Level("precision", "flops", 0.4),
            Level("kernel", "launch", 2.0),
            Level("kernel_family", "launch", 0.7),
        ),
        seconds=_gemm,
        bound=_gemm_bound,
    )
}
"""Matrix products by op."""

EXPERTS = {
    "experts": KernelModel(
        "experts",
        "fused experts",
        ExpertsCurve,
        priors={
            "launch": Prior(23e-6, 0.5),
            "bandwidth": Prior(0.84, 0.2),
            "flops": Prior(0.35, 0.5),
            "ramp_tokens": Prior(26.0, 0.5),
            "buffer_bandwidth": Prior(0.8, 0.3),
        },
        levels=(
            Level("family", "launch", 0.3),
            Level("family", "bandwidth", 0.15),
            Level("kernel", "launch", 0.3),
            Level("kernel", "flops", 0.6),
        ),
        seconds=_experts,
        bound=_experts_bound,
    )
}
"""Fused experts by op."""
