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
    query_tile_rows,
)
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.measured.load import AUTO, Row
from costcalc.measured.model import Array, Features, KernelModel, Level, Prior
from costcalc.measured.rows import Described, backend_of
from costcalc.numbertypes import cache_type, number_type
from costcalc.specs.accelerator import Accelerator

LATENT_RANK, ROPE_DIM = 512, 64
"""Dims of DeepSeek's MLA, which rows that do not state them have."""


_GROUPED = ("mha", "gqa", "mqa", "swa")
_LATENT = "mla"
_SIXTEEN_BITS = ("bf16", "fp16")
LEAST_RIDGE = 100.0
"""bf16 FLOP per byte of memory traffic, a little below that of any GPU whose attention was measured."""


def describe_decode(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a decode attention row."""
    queries, cached = _number_types(row)
    width = cache_type(cached).bytes
    ignored = "" if queries in _SIXTEEN_BITS else f"q_dtype={row['q_dtype']}"
    if _kind(row) == _LATENT:
        op, features = _describe_latent(row, gpu, width)
        return op, {**features, "ignored": ignored}
    backend, kernel, group = backend_of(row), row["kernel"], row["q_heads"] / row["kv_heads"]
    family = grouped_decode_kernel(backend, gpu.architecture, group, kernel)
    read = min(row["context"], _window(row))
    tokens = row["batch"] * read
    in_fp8 = multiplies_in_fp8(family, width)
    return "decode_grouped", {
        "kernel": family,
        "kv_bytes": tokens * 2 * row["kv_heads"] * row["head_dim"] * width,
        "padded_flops": tile_padded_flops(
            row["batch"], read, row["kv_heads"], group, 2 * row["head_dim"], query_tile_rows(kernel, group)
        ),
        "useful_flops": 4 * tokens * row["q_heads"] * row["head_dim"],
        "peak": gpu.peak("fp8" if in_fp8 else "bf16").flops,
        "shape": f"{row['q_heads']:g} {row['kv_heads']:g} {row['head_dim']:g}",
        "caveat": _unlike_the_measured(gpu),
        "ignored": ignored,
    }


def _describe_latent(row: Row, gpu: Accelerator, width: float) -> Described:
    rank, rope = row["kv_lora_rank"] or LATENT_RANK, row["rope_dim"] or ROPE_DIM
    tokens = row["batch"] * min(row["context"], _window(row))
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
        "caveat": _unlike_the_measured(gpu),
    }


def describe_prefill(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a prefill attention row."""
    queries, _ = _number_types(row)
    absorbed = _kind(row) == _LATENT and prefill_is_absorbed(backend_of(row), gpu.architecture, row["kernel"])
    dims = row["qk_head_dim"] + row["v_head_dim"]
    window = min(row["seq"], _window(row))
    pairs = window * (2 * row["seq"] - window)  # twice those of a causal band, seq**2 without a window
    useful = row["batch"] * row["q_heads"] * pairs
    best = "fp8" if queries == "fp8" else "bf16"
    return "prefill", {
        "kernel": "triton" if absorbed and "triton" in row["kernel"] else "",
        "flops": useful * (2 * LATENT_RANK + ROPE_DIM if absorbed else dims),
        "useful_seconds": useful * dims / gpu.peak(best).flops,
        "scores": useful / 2,
        "tokens": row["seq"],
        "shape": f"{row['q_heads']:g} {row['kv_heads']:g} {row['qk_head_dim']:g}",
        "ignored": "" if queries in (*_SIXTEEN_BITS, "fp8") else f"q_dtype={row['q_dtype']}",
    }


def _kind(row: Row) -> str:
    kind = str(row["kind"]).casefold()
    known = (*_GROUPED, _LATENT)
    if kind not in known:
        hint = did_you_mean(kind, known) or f"one of: {', '.join(each.upper() for each in known)}"
        raise CostcalcError(f"unknown kind of attention {shown(str(row['kind']))}", hint=hint)
    if kind == "swa" and not np.isfinite(_window(row)):
        raise CostcalcError("window_size is empty", hint="sliding-window attention needs its window")
    return kind


def _number_types(row: Row) -> tuple[str, str]:
    """Of the queries and of the cache: 16 bits unless the row says more."""
    queries = number_type(row["q_dtype"]).compute if row["q_dtype"] else "bf16"
    cached = row["kv_dtype"]
    return queries, (row["q_dtype"] or "bf16") if not cached or cached.casefold() == AUTO else cached


def _window(row: Row) -> float:
    """Tokens that a query sees at most; infinite without a window."""
    return float(row.get("window_size") or row.get("window") or np.inf)


def _unlike_the_measured(gpu: Accelerator) -> str:
    """What tells a GPU from all measured ones: so few FLOP/s that whole query tiles decide the time of decode.

    On an H20, whose bf16 peak is 37 FLOP a byte, FlashAttention 3 took 98 us where FlashInfer took 35
    (sgl-project/sglang pull request 6151, issue 5630): which kernel runs matters more there than anywhere else.
    """
    ridge = gpu.ridge_point("bf16")
    return f"{ridge:.0f} FLOP/B, fewer than any measured GPU: the kernel decides" if ridge < LEAST_RIDGE else ""


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
