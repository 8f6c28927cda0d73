"""A serving measurement as a question to the engine: model, machine, formats, layout, workload, and how it was run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from costcalc.catalog.load import load_model
from costcalc.catalog.paths import folders_searched
from costcalc.engine.layout import Layout
from costcalc.engine.machine import machine_of
from costcalc.engine.precision import Formats, checkpoint_precision, resolve_formats
from costcalc.engine.speculation import MOST_DRAFTS
from costcalc.errors import CostcalcError
from costcalc.formats import WEIGHT_FORMATS
from costcalc.measured.gpus import find_gpu
from costcalc.measured.load import Row
from costcalc.measured.recipes import cache_format, drafts_of
from costcalc.measured.serving_conditions import Conditions, conditions_of, month_of
from costcalc.measured.serving_layout import layout_of
from costcalc.numbertypes import cache_type, number_type
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec

ONLINE, OFFLINE, STATIC, STATIC_OFFLINE = "online", "offline", "static", "static offline"
_ENGINES = (("atom", "atom"), ("sglang", "sglang"), ("vllm", "vllm"), ("trt", "trtllm"), ("tensorrt", "trtllm"))
# Rates measured at 20,000 tokens are those of full attention, which v0.1 with its window does not have.
_MEANT = {"mistral-7b": "mistral-7b-v0.3"}
"""Checkpoints that measurements name shortly."""
_NO_DRAFTS = ("", "none", "none/unknown", "no", "off", "0", "false")
_LOOPS = ("online", "closed", "static", "offline", "concurrency", "serving")


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
    conditions: Conditions
    drafts: int = 0  # tokens drafted per step
    apart: bool = False  # prefill and decode pools
    mended: tuple[str, ...] = ()  # degrees that could not be as recorded
    warnings: tuple[str, ...] = ()  # of what else is taken otherwise than recorded

    @property
    def experts(self) -> bool:
        """Whether the model routes tokens to experts."""
        return self.model.has_experts


def describe_serving(row: Row) -> Case:
    """Resolve a row of e2e measurements; raises CostcalcError for what the engine cannot be asked."""
    model, (gpu, machine) = find_model(str(row["model"])), find_gpu(str(row["gpu"]))
    backend, kind = serving_backend(row), _kind(row)
    if kind != OFFLINE and not row["concurrency"]:
        raise CostcalcError("concurrency is empty", hint="a closed loop or static batch needs the number of requests")
    formats = formats_of(row, model, machine)
    layout, mended = layout_of(row, model, machine, formats)
    conditions = (
        conditions_of(row, backend, machine.architecture) if kind == ONLINE else Conditions(equal_lengths=False)
    )
    drafted, warnings = _drafts(row, model, backend, machine, layout)
    apart = bool(row.get("disagg")) and row["n_gpus"] > 1
    if row.get("disagg") and not apart:
        warnings += ("one GPU cannot be two pools: taken as shared",)
    date = str(row.get("date") or "")
    if date and np.isnan(month_of(date)):
        warnings += (f"date {date!r} is not YYYY-MM-DD: taken as not known",)
    if not any(word in str(row["kind"]).lower() for word in (*_LOOPS, "throughput")):
        warnings += (f"kind {str(row['kind'])!r} is taken as a closed loop",)
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
        input_tokens=row["isl"] * conditions.mean_length,
        output_tokens=row["osl"] * conditions.mean_length,
        conditions=conditions,
        drafts=drafted,
        apart=apart,
        mended=mended,
        warnings=warnings,
    )


def _drafts(
    row: Row, model: ModelSpec, backend: str, machine: Accelerator, layout: Layout
) -> tuple[int, tuple[str, ...]]:
    """Tokens drafted per step, and what is taken otherwise than recorded."""
    spec = str(row.get("spec") or "").lower()
    if spec in _NO_DRAFTS:
        return 0, ()
    if spec.startswith("mtp") and model.mtp is not None:
        told = "".join(filter(str.isdigit, spec))
        if told and not 0 < int(told) <= MOST_DRAFTS:
            raise CostcalcError(f"spec {spec!r} drafts {told} tokens", hint=f"'mtp' or 'mtp1' to 'mtp{MOST_DRAFTS}'")
        return int(told) if told else drafts_of(backend, machine.vendor, float(np.asarray(layout.data))), ()
    why = f"{model.name} ships no prediction head" if spec.startswith("mtp") else f"spec {spec!r} is not modelled"
    return 1, (f"{why}: taken as one draft of multi-token prediction",)


def find_model(name: str) -> ModelSpec:
    """Return the model that a measurement names, however its checkpoint is called; raises CostcalcError."""
    return _found(_MEANT.get(name.lower(), name), folders_searched())


@lru_cache(maxsize=512)
def _found(name: str, _folders: tuple[Path, ...]) -> ModelSpec:
    return load_model(name)


def serving_backend(row: Row) -> str:
    """The engine of a row by its name among the constants: 'trtllm', 'vllm', 'sglang', 'atom', 'vllm-eager'."""
    name = str(row.get("framework") or "").lower()
    found = next((backend for start, backend in _ENGINES if start in name), "vllm")
    return "vllm-eager" if "splitwise" in str(row.get("version") or "").lower() else found


def formats_of(row: Row, model: ModelSpec, machine: Accelerator) -> Formats:
    """What weights, experts and cache are kept and computed in: those of the checkpoint that the row means."""
    dtype = _weight_format(str(row.get("dtype") or "") or model.precision.weights)
    precision = checkpoint_precision(model, dtype)
    experts = str(row.get("moe_dtype") or "")
    if experts and model.has_experts and (wanted := _weight_format(experts)) != dtype:
        precision = replace(precision, experts=wanted)
    precision = replace(precision, kv_cache=_cache_format(row, dtype, machine))
    return resolve_formats(precision, machine_of(machine).peak_flops, machine.architecture)


def _weight_format(dtype: str) -> str:
    return number_type(dtype).weights.name


def _cache_format(row: Row, dtype: str, machine: Accelerator) -> str:
    asked = str(row.get("kv_dtype") or "").rstrip("?").lower()
    if asked in ("", "auto", "none", "unknown"):
        if known := cache_format(row, machine.architecture):
            return known
        return "bf16" if WEIGHT_FORMATS[dtype].bytes >= 2 else "fp8"
    name = cache_type(asked).name
    return "bf16" if name == "fp16" else name


def _kind(row: Row) -> str:
    name = str(row["kind"]).lower()
    if "offline" in name or ("throughput" in name and not row["concurrency"]):
        return STATIC_OFFLINE if "static" in name else OFFLINE
    return STATIC if "static" in name else ONLINE
