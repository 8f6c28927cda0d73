"""A serving measurement as a question to the engine: model, machine, formats, layout, workload, and how it was run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from costcalc.catalog.load import load_model
from costcalc.engine.layout import Layout
from costcalc.engine.machine import machine_of
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.engine.precision import Formats, resolve_formats
from costcalc.errors import CostcalcError
from costcalc.formats import WEIGHT_FORMATS
from costcalc.measured.gpus import find_gpu
from costcalc.measured.load import Row
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec, Precision

ONLINE, OFFLINE, STATIC, STATIC_OFFLINE = "online", "offline", "static", "static offline"
MEAN_LENGTH = 0.9
"""InferenceX draws lengths from 0.8 to 1.0 of the nominal ones."""
_SUFFIXES = re.compile(r"-(instruct|chat|it|hf|fp8|fp4|nvfp4|mxfp4|bf16|awq|gptq|\d{4}|preview)(?=-|$)", re.IGNORECASE)
_ENGINES = (("atom", "atom"), ("sglang", "sglang"), ("vllm", "vllm"), ("trt", "trtllm"), ("tensorrt", "trtllm"))
_ALL_LINEARS_IN_FP4 = ("llama", "qwen")
"""Families whose 4-bit checkpoints quantize attention too; elsewhere it stays in 16 or 8 bits beside 4-bit experts."""
# Rates measured at 20,000 tokens are those of full attention, which v0.1 with its window does not have.
_MEANT = {"mistral-7b": "mistral-7b-v0.3"}
"""Checkpoints that measurements name shortly."""
_FITS = 0.9  # of the memory that the driver reports


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a serving measurement, resolved."""

    kind: str
    model: ModelSpec
    gpu: str
    machine: Accelerator
    formats: Formats
    backend: str
    layout: Layout  # one replica; of the decode workers where pools are apart
    gpus: float
    concurrency: float  # nan offline
    input_tokens: float
    output_tokens: float
    drafts: bool = False  # multi-token prediction
    apart: bool = False  # prefill and decode pools
    means: bool = False  # times are means over a run, not medians
    equal_lengths: bool = False
    streamed: bool = False  # first tokens wait for a batch of tokens to stream
    reused: bool = False  # prompts repeat

    @property
    def experts(self) -> bool:
        """Whether the model routes tokens to experts."""
        return self.model.has_experts


def describe_serving(row: Row) -> Case:
    """Resolve a row of e2e measurements; raises CostcalcError for what the engine cannot be asked."""
    model, (gpu, machine) = find_model(str(row["model"])), find_gpu(str(row["gpu"]))
    backend, source = serving_backend(row), str(row.get("source") or "")
    kind = _kind(row)
    if kind != OFFLINE and not row["concurrency"]:
        raise CostcalcError("concurrency is empty", hint="a closed loop or static batch needs the number of requests")
    formats = formats_of(row, model, machine)
    layout = _layout(row, model, machine, formats)
    drawn = "InferenceX" in source
    online = kind == ONLINE
    mean = MEAN_LENGTH if drawn and online else 1.0
    return Case(
        kind=kind,
        model=model,
        gpu=gpu,
        machine=machine,
        formats=formats,
        backend=backend,
        layout=layout,
        gpus=float(row["n_gpus"]),
        concurrency=float(row["concurrency"] or np.nan),
        input_tokens=row["isl"] * mean,
        output_tokens=row["osl"] * mean,
        drafts=str(row.get("spec") or "").lower().startswith("mtp"),
        apart=bool(row.get("disagg")),
        means="silicon_sample" in source,
        equal_lengths=online and not drawn,
        streamed=online and drawn and _streams_in_batches(row),
        reused=online and "gap-analysis" in source and backend == "vllm" and not row.get("date"),
    )


@lru_cache(maxsize=512)
def find_model(name: str) -> ModelSpec:
    """Return the model that a measurement names, however its checkpoint is called; raises CostcalcError."""
    try:
        return load_model(_MEANT.get(name.lower(), name))
    except CostcalcError:
        bare = _SUFFIXES.sub("", name.rpartition("/")[2])
        if bare == name:
            raise
        return load_model(bare)


def serving_backend(row: Row) -> str:
    """The engine of a row by its name among the constants: 'trtllm', 'vllm', 'sglang', 'atom', 'vllm-eager'."""
    name = str(row.get("framework") or "").lower()
    found = next((backend for start, backend in _ENGINES if start in name), "vllm")
    return "vllm-eager" if "splitwise" in str(row.get("version") or "").lower() else found


def formats_of(row: Row, model: ModelSpec, machine: Accelerator) -> Formats:
    """What weights, experts and cache are kept and computed in.

    4-bit formats mean experts only where checkpoints leave attention wide; block-scaled models stay so in fp8.
    """
    dtype = _weight_format(str(row.get("dtype") or "") or model.precision.weights)
    native = model.precision
    four_bit = WEIGHT_FORMATS[dtype].bytes < 1
    if dtype == native.experts:
        precision = native
    elif four_bit and model.has_experts and model.family not in _ALL_LINEARS_IN_FP4:
        rest = "fp8_block" if dtype == "mxfp4" else "bf16"
        precision = Precision(weights=rest, experts=dtype)
    elif dtype == "fp8" and native.weights == "fp8_block":
        precision = native
    else:
        precision = Precision(weights=dtype)
    cache = _cache_format(row, dtype)
    formats = resolve_formats(precision.model_copy(update={"kv_cache": cache}), machine_of(machine).peak_flops)
    if formats.experts.name == "mxfp4":  # weight-only on paper; newer tensor cores multiply it as it is
        rates = {"cdna4": "fp4", "blackwell": "fp8", "rtx-blackwell": "fp8"}
        formats = replace(formats, experts_compute=rates.get(machine.architecture, formats.experts_compute))
    return formats


def _weight_format(dtype: str) -> str:
    names = {"float16": "fp16", "bfloat16": "bf16", "fp8_e4m3": "fp8", "fp4": "nvfp4", "w4a16_mxfp4": "mxfp4"}
    name = names.get(dtype.lower(), dtype.lower())
    if name not in WEIGHT_FORMATS:
        raise CostcalcError(f"unknown number type {dtype!r}", hint=f"one of: {', '.join(WEIGHT_FORMATS)}")
    return name


def _cache_format(row: Row, dtype: str) -> str:
    asked = str(row.get("kv_dtype") or "").rstrip("?").lower()
    if asked.startswith(("bf16", "fp16", "float16", "bfloat16")):
        return "bf16"
    if dtype in ("bf16", "fp16") and not asked:
        return "bf16"
    return "fp8"


def _kind(row: Row) -> str:
    name = str(row["kind"]).lower()
    if "offline" in name:
        return STATIC_OFFLINE if "static" in name else OFFLINE
    return STATIC if "static" in name else ONLINE


def _streams_in_batches(row: Row) -> bool:
    # InferenceX's TensorRT-LLM recipes of 2025 stream every twentieth token at equal lengths below 8 GPUs.
    return str(row.get("framework")) == "trtllm" and row["isl"] == row["osl"] and (row["tp"] or 1) < 8


def _layout(row: Row, model: ModelSpec, machine: Accelerator, formats: Formats) -> Layout:
    """Degrees of parallelism as recorded, mended where they cannot be: heads that do not divide, weights too large."""
    tensor, data = float(row.get("tp") or 1), float(row.get("dp_attn") or 1)
    expert, pipeline = max(float(row.get("ep") or 1), 1.0), float(row.get("pp") or 1)
    heads = max((layer.kv_heads for _, layer in model.attention_layers()), default=1)
    queries = max(
        (getattr(layer, "num_attention_heads", heads) for _, layer in model.attention_layers()), default=heads
    )
    if queries % tensor:  # a width that attention cannot be cut to is attention data parallelism
        tensor, data, expert = 1.0, tensor * data, tensor * data if model.has_experts else 1.0
    if expert > tensor * data:
        data = expert / tensor
    layout = Layout(tensor, data, expert if model.has_experts else 1.0, pipeline)
    room = _FITS * float(machine.usable_memory)
    while float(weights_bytes_per_gpu(model, layout, formats)) > room and layout.tensor < 64:
        layout = replace(layout, tensor=layout.tensor * 2)
    return layout
