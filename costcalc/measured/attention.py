"""Attention kernels of measurement files: decode over heads or latents, and prefill."""

from __future__ import annotations

from typing import Any

import numpy as np

from costcalc.engine.kernels import (
    CastDecodeCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    PrefillCurve,
    UnsplitDecodeCurve,
    cast_decode_seconds,
    causal_scores,
    grouped_decode_seconds,
    latent_decode_seconds,
    prefill_attention_seconds,
    tile_padded_flops,
    unsplit_decode_seconds,
)
from costcalc.engine.kernels.choice import (
    grouped_decode_kernel,
    latent_decode_kernel,
    multiplies_in_fp8,
    prefill_is_absorbed,
)
from costcalc.measured.load import Row
from costcalc.measured.model import Array, Features, KernelModel, Level, Prior
from costcalc.measured.rows import Described, backend_of, element_bytes
from costcalc.specs.accelerator import Accelerator

LATENT_RANK, ROPE_DIM = 512, 64
"""Dims of DeepSeek's MLA, which rows that do not state them have."""


def describe_decode(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a decode attention row."""
    width = element_bytes(row["kv_dtype"])
    if str(row["kind"]).upper() == "MLA":
        return _describe_latent(row, gpu, width)
    backend, kernel, group = backend_of(row), row["kernel"], row["q_heads"] / row["kv_heads"]
    family = grouped_decode_kernel(backend, gpu.architecture, group, kernel)
    tokens = row["batch"] * row["context"]
    in_fp8 = multiplies_in_fp8(family, width)
    return "decode_grouped", {
        "kernel": family,
        "kv_bytes": tokens * 2 * row["kv_heads"] * row["head_dim"] * width,
        "padded_flops": tile_padded_flops(row["batch"], row["context"], row["kv_heads"], group, 2 * row["head_dim"]),
        "useful_flops": 4 * tokens * row["q_heads"] * row["head_dim"],
        "peak": gpu.peak("fp8" if in_fp8 else "bf16").flops,
        "shape": f"{row['q_heads']:g} {row['kv_heads']:g} {row['head_dim']:g}",
    }


def _describe_latent(row: Row, gpu: Accelerator, width: float) -> Described:
    rank, rope = row["kv_lora_rank"] or LATENT_RANK, row["rope_dim"] or ROPE_DIM
    tokens = row["batch"] * row["context"]
    kernel = latent_decode_kernel(backend_of(row), gpu.architecture, width, row["kernel"])
    op = {"unsplit": "decode_latent_unsplit", "cast": "decode_latent_cast"}.get(kernel, "decode_latent")
    return op, {
        "kernel": kernel if kernel == "triton" else "",
        "batch": row["batch"],
        "heads": row["q_heads"],
        "elements": tokens * (rank + rope),
        "cache_bytes": tokens * (rank + rope) * width,
        "flops": 2 * tokens * row["q_heads"] * (2 * rank + rope),
        "shape": f"{row['batch']:g} {row['q_heads']:g}",
    }


def describe_prefill(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a prefill attention row."""
    latent = str(row["kind"]).upper() == "MLA"
    absorbed = latent and prefill_is_absorbed(backend_of(row), gpu.architecture, row["kernel"])
    dims = row["qk_head_dim"] + row["v_head_dim"]
    useful = row["batch"] * row["q_heads"] * row["seq"] ** 2
    best = "fp8" if row["q_dtype"].startswith("fp8") else "bf16"
    return "prefill", {
        "kernel": "triton" if absorbed and "triton" in row["kernel"] else "",
        "flops": useful * (2 * LATENT_RANK + ROPE_DIM if absorbed else dims),
        "useful_seconds": useful * dims / gpu.peak(best).flops,
        "scores": causal_scores(row["batch"], row["q_heads"], row["seq"]),
        "tokens": row["seq"],
        "shape": f"{row['q_heads']:g} {row['kv_heads']:g} {row['qk_head_dim']:g}",
    }


def _grouped(f: Features, curve: GroupedDecodeCurve) -> Array:
    return np.asarray(grouped_decode_seconds(f["kv_bytes"], f["padded_flops"], f["bandwidth"], f["peak"], curve))


def _grouped_bound(f: Features) -> Array:
    return np.maximum(f["kv_bytes"] / f["bandwidth"], f["useful_flops"] / f["peak"])


def _latent(f: Features, curve: LatentDecodeCurve) -> Array:
    return np.asarray(latent_decode_seconds(f["cache_bytes"], f["flops"], f["bandwidth"], f["peak16"], curve))


def _unsplit(f: Features, curve: UnsplitDecodeCurve) -> Array:
    return np.asarray(unsplit_decode_seconds(f["batch"], f["flops"], f["heads"], f["peak16"], f["sm_count"], curve))


def _cast(f: Features, curve: CastDecodeCurve) -> Array:
    return np.asarray(cast_decode_seconds(f["cache_bytes"], f["elements"], f["bandwidth"], f["sm_count"], curve))


def _latent_bound(f: Features) -> Array:
    return np.maximum(f["cache_bytes"] / f["bandwidth"], f["flops"] / f["peak16"])


def _prefill(f: Features, curve: PrefillCurve) -> Array:
    return np.asarray(
        prefill_attention_seconds(f["flops"], f["scores"], f["tokens"], f["peak16"], f["sm_count"], curve)
    )


def _prefill_bound(f: Features) -> Array:
    return np.asarray(f["useful_seconds"])


def _model(op: str, label: str, curve: type[Any], **rest: Any) -> KernelModel:
    return KernelModel(op=op, label=label, curve=curve, **rest)


DECODE = {
    "decode_grouped": _model(
        "decode_grouped",
        "decode attention, MHA/GQA/MQA",
        GroupedDecodeCurve,
        priors={"launch": Prior(12e-6, 0.5), "bandwidth": Prior(0.85, 0.15), "flops": Prior(0.36, 0.5)},
        levels=(
            Level("family", "bandwidth", 0.1),
            Level("family", "flops", 0.3),
            Level("kernel", "bandwidth", 0.15),
        ),
        seconds=_grouped,
        bound=_grouped_bound,
    ),
    "decode_latent": _model(
        "decode_latent",
        "decode attention, MLA",
        LatentDecodeCurve,
        priors={"launch": Prior(15e-6, 0.5), "bandwidth": Prior(0.87, 0.15), "flops": Prior(0.73, 0.3)},
        levels=(
            Level("family", "launch", 0.2),
            Level("kernel", "bandwidth", 0.5),
            Level("kernel", "flops", 1.0),
        ),
        seconds=_latent,
        bound=_latent_bound,
    ),
    "decode_latent_unsplit": _model(
        "decode_latent_unsplit",
        "decode attention, MLA without a tuned kernel (unsplit)",
        UnsplitDecodeCurve,
        priors={"launch": Prior(15e-6, 0.5), "flops": Prior(0.5, 0.5)},
        levels=(Level("family", "flops", 0.3),),
        seconds=_unsplit,
        bound=_latent_bound,
        fallback=True,
    ),
    "decode_latent_cast": _model(
        "decode_latent_cast",
        "decode attention, MLA without a tuned kernel (cast)",
        CastDecodeCurve,
        priors={"launch": Prior(25e-6, 0.5), "elements": Prior(2e9, 0.5)},
        levels=(),
        seconds=_cast,
        bound=_latent_bound,
        fallback=True,
    ),
}
"""Decode attention kernels by op."""

PREFILL = {
    "prefill": _model(
        "prefill",
        "prefill attention",
        PrefillCurve,
        priors={
            "launch": Prior(25e-6, 0.5),
            "flops": Prior(0.65, 0.3),
            "short_tokens": Prior(900.0, 0.5),
            "exponentials": Prior(25e9, 0.3),
        },
        levels=(Level("family", "flops", 0.15), Level("kernel", "flops", 1.0)),
        seconds=_prefill,
        bound=_prefill_bound,
    ),
}
"""Prefill attention kernels by op."""
