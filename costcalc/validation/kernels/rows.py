"""Rows of kernel measurements as kernels: decode and prefill attention, matrix products, fused experts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.latency.kernel_choice import (
    EXPERT_PAIRS_OF_ALL,
    experts_kernel,
    gemm_tile_rows,
    grouped_decode_kernel,
    latent_decode_falls_back,
    latent_decode_kernel,
    multiplies_in_fp8,
    precision_class,
    prefill_is_absorbed,
    query_tile_rows,
)
from costcalc.engine.latency.kernels import (
    ExpertsCurve,
    GemmCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    PrefillCurve,
    curve_of,
)
from costcalc.engine.latency.op_times import FORMS
from costcalc.engine.ops import ACTIVATION_WIDTHS, Op, buffer_bytes, unfiltered_buffer_bytes
from costcalc.engine.roofline import FLOPS_PER_MULTIPROCESSOR, Machine
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Array
from costcalc.formats import cache_format, number_type, weight_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.attention.base import TILE_ROWS
from costcalc.model.ffn import MOST_EXPERTS
from costcalc.validation.files import AUTO, Row, find_gpu, is_empty
from costcalc.validation.fitting import Prior, priors

Features = Mapping[str, Array]
"""What is known of each row, one array per name; text for the members of levels."""


@dataclass(frozen=True, slots=True)
class Level:
    """A parameter that differs between the members of a level, such as 'family', but not by much.

    The spread is the standard deviation of the logarithm of the factors: the fit shrinks them towards 1,
    so that a family with few points stays close to the global value.
    """

    name: str
    parameter: str
    spread: float
    centre: float = 1.0  # of the factors, before any measurement


@dataclass(frozen=True, slots=True)
class KernelParameters:
    """Fitted parameters of one kernel: global values, and factors by level, member and parameter."""

    values: Mapping[str, float]
    multipliers: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)


_OF_OPS = {*Op._fields}
_OF_ROW = "of the row"


def op_of(features: Features) -> Op:
    """The op that rows measure, one element of every number for each; computed in the precision of the row."""
    given = {name: value for name, value in features.items() if name in _OF_OPS}
    return Op(op="", kind="gemm", layers=1, precision=_OF_ROW, **{"flops": 0.0, "bytes": 0.0, **given})  # type: ignore[arg-type]


def machine_of_rows(features: Features) -> Machine:
    """The machines that rows were measured on, with the peak of the precision of each row."""
    return Machine(
        memory=np.inf,
        memory_bandwidth=features["bandwidth"],
        peak_flops={_OF_ROW: features["peak"] if "peak" in features else features["peak16"]},
        link_bandwidth=np.inf,
        domain=np.inf,
        network_bandwidth=np.inf,
        sm_count=features["sm_count"],
    )


def form_seconds(features: Features, curve: Any) -> Array:
    """Time of each row [s] by the form that times the op in an estimate."""
    measured = {**type(curve).measured, **{name: features[name] for name in ("tile_rows",) if name in features}}
    full = replace(curve, **{name: value for name, value in measured.items() if hasattr(curve, name)})
    return _seconds(features, full)


def roofline_of(curve: Any) -> Callable[[Features], Array]:
    """The bound of rows [s]: their form with an ideal curve."""
    return partial(_seconds, curve=curve)


def _seconds(features: Features, curve: Any) -> Array:
    return np.asarray(FORMS[type(curve)](op_of(features), machine_of_rows(features), curve).seconds)


@dataclass(frozen=True, slots=True)
class KernelModel:
    """One kernel's closed form and what is known of its parameters."""

    op: str
    label: str  # as tables show it
    curve: type[Any]
    priors: Mapping[str, Prior]
    levels: tuple[Level, ...]
    bound: Callable[[Features], Array]  # the roofline [s]
    seconds: Callable[[Features, Any], Array] = form_seconds
    needs: str | None = None  # a kernel whose time is part of this one's features, as 'needed_seconds'


def kernel_model(
    op: str,
    label: str,
    curve: type[Any],
    bound: Callable[[Features], Array] | None = None,
    seconds: Callable[[Features, Any], Array] = form_seconds,
    needs: str | None = None,
) -> KernelModel:
    """A kernel with its priors and levels; its bound is by default its form with an ideal curve."""
    told = priors()["kernels"][op]
    centres = told.get("centres", {})
    levels = tuple(
        Level(level, name, spread, centres.get(level, 1.0))
        for level, spreads in told["levels"].items()
        for name, spread in spreads.items()
    )
    of = {name: Prior(*prior) for name, prior in told["priors"].items()}
    return KernelModel(op, label, curve, of, levels, bound or roofline_of(curve()), seconds, needs)


def by_op(*kernels: KernelModel) -> Mapping[str, KernelModel]:
    """Kernels by their op, in the order in which they need each other."""
    return {each.op: each for each in kernels}


@dataclass(frozen=True, slots=True)
class KernelRows:
    """The rows of a file that one kernel predicts."""

    model: KernelModel
    index: Array  # of each row in the file
    features: Features

    def __len__(self) -> int:
        return len(self.index)

    def take(self, chosen: Array) -> KernelRows:
        """The rows for which `chosen` is true."""
        picked = {name: values[chosen] for name, values in self.features.items()}
        return KernelRows(self.model, self.index[chosen], picked)


def predict_seconds(model: KernelModel, parameters: KernelParameters, features: Features) -> Array:
    """Time of each row [s], never less than its roofline."""
    curve = curve_of(model.curve, parameters.values, parameters.multipliers, features)
    return np.maximum(model.seconds(features, curve), model.bound(features))


# From the rows of a file to what its kernels need: features by kernel, and the rows left over with why.


Described = tuple[str, dict[str, Any]]
"""A kernel's op and the features of one row.

Two of them are sentences: `caveat`, why the measurements behind a fit say little of the row, and `ignored`, what
the row states that no prediction looks at.
"""
_USUAL = ("0", "1", "0.0", "1.0", "false", "no")
_NOTHING_TO_SAY = {"caveat": "", "ignored": ""}


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of a file by kernel, and those that no kernel predicts, with the reason."""

    kernels: tuple[KernelRows, ...]
    refused: Mapping[int, str]


def prepare(
    rows: Sequence[Row],
    describe: Callable[[Row, Accelerator], Described],
    models: Mapping[str, KernelModel],
    catalog: Catalog,
    unheeded: Sequence[str] = (),
) -> Prepared:
    """Return the rows by kernel.

    rows: of one kind. describe: names a row's kernel and features, or raises CostcalcError.
    models: the kernels by op, in the order in which they need each other.
    unheeded: columns that no kernel looks at, to be told where they say something.
    """
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {op: [] for op in models}
    refused = {}
    for index, row in enumerate(rows):
        try:
            name, gpu = find_gpu(str(row["gpu"]), catalog)
            op, features = describe(row, gpu)
        except CostcalcError as error:
            refused[index] = str(error)
            continue
        features = {**_NOTHING_TO_SAY, **features, **machine_features(name, gpu)}
        features["ignored"] = ", ".join(filter(None, [features["ignored"], *_unheeded(row, unheeded)]))
        found[op].append((index, features))
    kernels = []
    for op, described in found.items():
        if described:
            features = {key: np.array([each[key] for _, each in described]) for key in described[0][1]}
            kernels.append(KernelRows(models[op], np.array([index for index, _ in described]), features))
    return Prepared(tuple(kernels), refused)


def _unheeded(row: Row, columns: Sequence[str]) -> list[str]:
    """What a row says in columns that nothing looks at: 'prefix=2048'; one, none and its own type are the usual."""
    usual = (*_USUAL, str(row.get("dtype") or "").casefold())
    said = [(name, str(row.get(name) or "").strip()) for name in columns]
    return [f"{name}={text}" for name, text in said if not is_empty(text) and text.casefold() not in usual]


def machine_features(name: str, gpu: Accelerator) -> dict[str, Any]:
    """What every kernel may need of the GPU."""
    peak = gpu.peak("bf16").flops
    return {
        "gpu": name,
        "family": gpu.architecture,
        "bandwidth": gpu.memory_bandwidth,
        "peak16": peak,
        "sm_count": gpu.sm_count or peak / FLOPS_PER_MULTIPROCESSOR,
    }


def backend_of(row: Row) -> str:
    """The serving stack that a row names: 'trtllm', 'vllm', 'sglang' or ''."""
    text = f"{row.get('framework', '')} {row.get('impl', '')}".lower()
    for name, backend in (("trt", "trtllm"), ("tensorrt", "trtllm"), ("vllm", "vllm"), ("sglang", "sglang")):
        if name in text:
            return backend
    return ""


# The skewed routing that expert benchmarks use: loads drawn from a power law, the fullest rank timed.
#
# The generator of the aiconfigurator benchmarks (ai-dynamo/aiconfigurator, collector/helper.py, power_law_logits_v3):
# loads x are drawn with density x^-α, between 1 and 0.8 tokens when there are more pairs than experts, else between
# 0.01 and 2, scaled to the number of pairs and rounded; no expert gets more than every token, and what is left over
# goes to the emptiest experts, rank by rank in turn. The rank with the most pairs is timed.


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
    counts = np.minimum(np.round(loads / loads.sum(axis=1, keepdims=True) * pairs), tokens)
    by_rank = counts[:, : experts // ranks * ranks].reshape(DRAWS, ranks, -1)
    for draw in by_rank:
        missing = int(pairs - draw.sum())
        turns = abs(missing) // ranks + (np.arange(ranks) < abs(missing) % ranks)
        for rank, turn in enumerate(turns):
            draw[rank] = _raised(draw[rank], turn, tokens) if missing > 0 else -_raised(-draw[rank], turn, 0)
    fullest = by_rank[np.arange(DRAWS), by_rank.sum(axis=2).argmax(axis=1)]
    return float(fullest.sum(axis=1).mean()), float((fullest > 0).sum(axis=1).mean())


def _raised(counts: Array, added: int, most: float) -> Array:
    """`counts` with so many pairs added, each to the emptiest expert, none beyond `most`."""
    level = np.sort(counts)
    needed = level * np.arange(1, len(level) + 1) - np.cumsum(level)  # to raise all before up to each
    raised = max(int(np.searchsorted(needed, added, side="right")), 1)
    height, rest = divmod(added + level[:raised].sum(), raised)
    order = np.argsort(counts, kind="stable")[:raised]
    found = counts.copy()
    found[order] = height + (np.arange(raised) < rest)
    return np.minimum(found, most)


# Attention kernels of measurement files: decode over heads or latents, and prefill.


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
    width = cache_format(cached).bytes
    ignored = "" if queries in _SIXTEEN_BITS else f"q_dtype={row['q_dtype']}"
    if _kind(row) == _LATENT:
        op, features = _describe_latent(row, gpu, width)
        return op, {**features, "ignored": ignored}
    backend, kernel, group = backend_of(row), row["kernel"], row["q_heads"] / row["kv_heads"]
    family = grouped_decode_kernel(backend, gpu.architecture, group, kernel)
    read = min(row["context"], _window(row))
    tokens = row["batch"] * read
    in_fp8 = multiplies_in_fp8(family, width)
    useful = 4 * tokens * row["q_heads"] * row["head_dim"]
    return "decode_grouped", {
        "kernel": family,
        "bytes": tokens * 2 * row["kv_heads"] * row["head_dim"] * width,
        "flops": useful,
        "tile_flops": useful * max(group, TILE_ROWS) / group,
        "tile_rows": query_tile_rows(kernel, group, gpu.architecture),
        "peak": gpu.peak("fp8" if in_fp8 else "bf16").flops,
        "shape": f"{row['q_heads']:g} {row['kv_heads']:g} {row['head_dim']:g}",
        "caveat": _unlike_the_measured(gpu),
        "ignored": ignored,
    }


def _describe_latent(row: Row, gpu: Accelerator, width: float) -> Described:
    rank, rope = row["kv_lora_rank"] or LATENT_RANK, row["rope_dim"] or ROPE_DIM
    tokens = row["batch"] * min(row["context"], _window(row))
    stack = backend_of(row), gpu.architecture
    return "decode_latent", {
        "kernel": latent_decode_kernel(gpu.architecture, row["kernel"]),
        "bytes": tokens * (rank + rope) * width,
        "flops": 2 * tokens * row["q_heads"] * (2 * rank + rope),
        "shape": f"{row['batch']:g} {row['q_heads']:g}",
        "caveat": _unlike_the_measured(gpu),
        "falls_back": latent_decode_falls_back(*stack, width, row["kernel"]),
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
        "sequences": row["batch"],
        "tokens": row["seq"],
        "heads": row["q_heads"],
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


DECODE = by_op(
    kernel_model("decode_grouped", "decode attention, MHA/GQA/MQA", GroupedDecodeCurve),
    kernel_model("decode_latent", "decode attention, MLA", LatentDecodeCurve),
)
PREFILL = by_op(kernel_model("prefill", "prefill attention", PrefillCurve, lambda f: np.asarray(f["useful_seconds"])))


# Matrix products and fused experts of measurement files.


def describe_gemm(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a matrix product."""
    m, n, k = row["m"], row["n"], row["k"]
    kind = number_type(row["dtype"])
    group, activation = precision_class(kind.name, kind.compute), ACTIVATION_WIDTHS[kind.compute]
    backend = backend_of(row)
    quantizes = backend == "trtllm" and group in ("fp8", "fp8_block", "nvfp4") and row["kernel"] != "deepgemm"
    # vLLM's block-scaled products convert their scales, or fall back to Triton, inside the measured call.
    converts = backend == "vllm" and group == "fp8_block"
    return "gemm", {
        "precision_class": group,
        "kernel": "scale-conversion" if converts else "",
        "kernel_family": f"scale-conversion {gpu.architecture}" if converts else "",
        "rows": m,
        "tile_rows": gemm_tile_rows(gpu.architecture),
        "flops": 2 * m * n * k,
        "bytes": n * k * kind.weights.bytes,
        "traffic": m * k * activation + max(2.0, kind.weights.bytes) * m * n,
        "narrowed": 1.0 * quantizes,
        "quantized": m * k * (2 + activation),
        "peak": gpu.peak(kind.compute).flops,
        "shape": f"{n:g} {k:g}",
    }


def describe_experts(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a layer's routed experts."""
    tokens, topk, experts, ranks = row["tokens"], row["topk"], row["experts"], row["moe_ep"]
    if not 1 <= ranks <= experts <= MOST_EXPERTS:
        raise CostcalcError(f"{experts:g} experts on {ranks:g} ranks: from 1 to {MOST_EXPERTS:,}, and no more ranks")
    if min(tokens, topk) < 1:
        raise CostcalcError(f"{tokens:g} tokens, each sent to {topk:g} experts: one at least")
    kind, backend, inter = number_type(row["dtype"]), backend_of(row), row["inter"] / row["moe_tp"]
    kernel = experts_kernel(backend, gpu.architecture, kind.name, row["kernel"])
    pairs = tokens * topk / ranks
    hits = min(experts / ranks, np.ceil(pairs))  # every pair another one, until all are
    if row["distribution"].startswith("power_law"):
        pairs, hits = power_law_load(int(tokens), int(experts), int(topk), int(ranks), _exponent(row))
    stored = kind.weights
    if kind.name == "mxfp4" and backend == "sglang" and gpu.architecture != "blackwell":
        stored = weight_format("bf16")  # Triton multiplies a 16-bit copy of the weights
    if kernel in EXPERT_PAIRS_OF_ALL:
        buffers = unfiltered_buffer_bytes(tokens * topk, row["hidden"], inter)
    else:
        buffers = buffer_bytes(pairs, row["hidden"], inter)
    return "experts", {
        "kernel": kernel,
        "kernel_format": f"{kernel} {precision_class(stored.name, kind.compute)}",
        "flops": 6 * pairs * row["hidden"] * inter,
        "bytes": hits * 3 * row["hidden"] * inter * stored.bytes,
        "rows": pairs / hits,
        "routed": pairs,
        "held": experts / ranks,
        "buffers": buffers,
        "peak": gpu.peak(kind.compute).flops,
        "shape": f"{row['hidden']:g} {row['inter']:g} {experts:g}",
    }


def _exponent(row: Row) -> float:
    text = str(row["distribution"]).removeprefix("power_law").strip("_ ")
    try:
        return float(text)
    except ValueError:
        return 1.2


GEMM = by_op(kernel_model("gemm", "matrix product", GemmCurve, roofline_of(GemmCurve(activations=1.0))))
EXPERTS = by_op(kernel_model("experts", "fused experts", ExpertsCurve))
