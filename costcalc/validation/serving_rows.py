"""Rows of serving benchmarks as scenarios: model, machine, formats, layout, load, and how each was run.

Source: github.com/SemiAnalysisAI/InferenceX, benchmarks/*.sh and perf-changelog.yaml, read 2026-11-24. Recipes tell
how runs were set up, not how fast they were.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.files import folders_searched
from costcalc.catalog.read import load_model
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats, checkpoint_precision, resolve_formats
from costcalc.engine.roofline import Machine, machine_of
from costcalc.engine.step import MOST_DRAFTS
from costcalc.errors import CostcalcError
from costcalc.fields import read_date
from costcalc.formats import WEIGHT_FORMATS, cache_type, number_type
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.validation.files import Row, find_gpu
from costcalc.validation.kernel_rows import Array

_POLLED_BLACKWELL = 16  # requests from which SGLang polls for new ones every 30 steps, below every 10
_GATHERED_STEPS = 20.0
"""Steps for which TensorRT-LLM gathers prompts (batch_wait_timeout_iters)."""
_DRAFTS = {"trtllm": 3, "sglang": 2, "atom": 1}
_DRAFTS_AMD_SGLANG = 3


def is_inferencex(row: Row) -> bool:
    """Whether a row is one of InferenceX's runs, wherever it was published."""
    return "InferenceX" in str(row.get("source") or "")


def drafts_of(backend: str, vendor: str, attention_data: float) -> int:
    """Tokens that multi-token prediction drafts per step: num_nextn_predict_layers, speculative-num-steps.

    backend: the serving engine. attention_data: degree of attention data parallelism, beside which one is drafted.
    """
    if attention_data > 1:
        return 1
    return _DRAFTS_AMD_SGLANG if (backend, vendor) == ("sglang", "amd") else _DRAFTS.get(backend, 1)


def held_steps(row: Row, backend: str, architecture: str) -> float:
    """Decode steps for which the scheduler leaves a request unseen, on average [steps]; 0 where no recipe says so."""
    if not is_inferencex(row):
        return 0.0
    if backend == "sglang" and architecture == "blackwell" and not row.get("disagg") and (row.get("dp_attn") or 1) <= 1:
        # scheduler-recv-interval: a request arrives anywhere within it.
        return (30 if (row["concurrency"] or 0) >= _POLLED_BLACKWELL else 10) / 2
    gathers = str(row.get("framework")) == "trtllm" and row["isl"] == row["osl"] and (row.get("tp") or 1) < 8
    return _GATHERED_STEPS if gathers else 0.0


def cache_format(row: Row, architecture: str) -> str | None:
    """The cache that a recipe leaves at 16 bits: MiniMax's and gpt-oss's on Hopper do, others ask for fp8."""
    silent = str(row["model"]).startswith(("MiniMax", "gpt-oss")) and architecture == "hopper"
    return "bf16" if silent and is_inferencex(row) else None


# How a benchmark was run, where that changes what it measures: as its columns say, else as is known of its source.


DRAWN_LENGTH = 0.9
"""InferenceX draws lengths from 0.8 to 1.0 of the nominal ones."""

_MID_MONTH = 15


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of one run."""

    mean_length: float = 1.0  # of prompts and answers, over the nominal one
    means: bool = False  # times are means over a run, not medians
    equal_lengths: bool = True  # all requests have the nominal length
    held_steps: float = 0.0  # decode steps for which the scheduler leaves a request unseen
    month: float = math.nan  # of the run, counted from year 0; nan where its date is not known
    reused: bool = False  # prompts repeat, and a prefix cache holds them


def conditions_of(row: Row, backend: str, architecture: str = "") -> Conditions:
    """The conditions of a closed loop; docs/accuracy.md tells the rules by source.

    backend: the serving engine, by its name among the constants. architecture: of the GPU.
    """
    source = str(row.get("source") or "")
    drawn = is_inferencex(row)
    # Prompts of 4,000 tokens whose first token takes 0.11 s at 128 requests were not computed again: inferred.
    repeated = "gap-analysis" in source and backend == "vllm" and not row.get("date")
    statistic = str(row.get("statistic") or "").lower()
    told = row.get("held_steps")
    return Conditions(
        mean_length=row.get("mean_length") or (DRAWN_LENGTH if drawn else 1.0),
        means=statistic == "mean" if statistic else "silicon_sample" in source,
        equal_lengths=_said(row, "equal_lengths", not drawn),
        held_steps=held_steps(row, backend, architecture) if told is None else told,
        month=month_of(str(row.get("date") or "")),
        reused=_said(row, "prompts_reused", repeated),
    )


def month_of(date: str) -> float:
    """Months from year 0 to a date of the form YYYY-MM or YYYY-MM-DD; nan where it is of no such form."""
    year, month, day = read_date(date) or (0, None, None)
    return math.nan if month is None else 12 * year + month - 1 + ((day or _MID_MONTH) - 1) / 30


def _said(row: Row, column: str, otherwise: bool) -> bool:
    value = row.get(column)
    return otherwise if value is None else bool(value)


# The layout of a measured deployment: as recorded, mended where it cannot be, and what was mended.


_FITS = 0.9  # of the memory that the driver reports
_WIDEST = 64


def layout_of(
    row: Row, model: ModelSpec, machine: Accelerator, formats: Formats
) -> tuple[Parallelism, tuple[str, ...]]:
    """The layout of one replica, and a note on each degree that was mended.

    Heads that do not divide are attention data parallelism, weights that are too large are spread further, and a
    tensor-parallel degree that is not recorded takes the GPUs that other degrees leave.
    """
    data, pipeline = float(row.get("dp_attn") or 1), float(row.get("pp") or 1)
    tensor, expert, notes = row.get("tp"), max(float(row.get("ep") or 1), 1.0), []
    if not tensor:
        tensor = 1.0 if row.get("disagg") else max(row["n_gpus"] // (data * pipeline), 1.0)
        if tensor > 1:
            notes.append(f"tp is not recorded: taken as {tensor:g}")
    if _query_heads(model) % tensor:
        notes.append(f"tp {tensor:g} does not divide the {_query_heads(model)} heads: taken as attention data parallel")
        tensor, data, expert = 1.0, tensor * data, tensor * data
    if expert > tensor * data:
        data = expert / tensor
    layout = Parallelism(tensor, data, expert if model.has_experts else 1.0, pipeline)
    room = _FITS * float(machine.usable_memory)
    while float(weights_bytes_per_gpu(model, layout, formats)) > room and layout.tensor < _WIDEST:
        layout = replace(layout, tensor=layout.tensor * 2)
    if layout.tensor > tensor:
        notes.append(f"the weights do not fit at tp {tensor:g}: taken as {layout.tensor:g}")
    return layout, tuple(notes)


def _query_heads(model: ModelSpec) -> int:
    layers = [layer for _, layer in model.attention_layers()]
    heads = max((layer.kv_heads for layer in layers), default=1)
    return max((getattr(layer, "num_attention_heads", heads) for layer in layers), default=heads)


# A serving measurement as a question to the engine: model, machine, formats, layout, workload, and how it was run.


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
    layout: Parallelism  # one replica; of the decode workers where pools are apart
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
    row: Row, model: ModelSpec, backend: str, machine: Accelerator, layout: Parallelism
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


# Rows of serving measurements that one call of the engine predicts: same model, formats, engine and architecture.


@dataclass(frozen=True, slots=True)
class ServingGroup:
    """Rows as arrays; whatever is text or shape is the same in all of them."""

    model: ModelSpec
    formats: Formats
    backend: str
    index: Array  # of each row among the cases
    machine: Machine
    layout: Parallelism
    kind: Array
    gpu: Array
    gpus: Array
    workers: Array  # decode replicas
    prefill_replicas: Array  # of a pool apart, in replicas of the decode workers' size; 1 where shared
    concurrency: Array  # requests in the closed loop of one decode replica; nan offline
    input_tokens: Array
    output_tokens: Array
    drafts: Array
    apart: Array
    means: Array
    equal_lengths: Array
    held_steps: Array
    month: Array  # of the run, counted from year 0; nan where its date is not known
    reused: Array

    def __len__(self) -> int:
        return len(self.index)

    @property
    def online(self) -> Array:
        """Rows of a closed loop."""
        return np.asarray(self.kind == ONLINE)

    def take(self, chosen: Array) -> ServingGroup:
        """The rows for which `chosen` is true."""
        kept = {
            f.name: getattr(self, f.name)[chosen] for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, machine=_taken(self.machine, chosen), layout=_taken(self.layout, chosen), **kept)


def serving_groups(cases: Sequence[Case], index: Sequence[int] | None = None) -> list[ServingGroup]:
    """Group cases; `index` names them where they are not all of a file's rows."""
    numbers = range(len(cases)) if index is None else index
    parts: dict[tuple[Any, ...], list[tuple[int, Case]]] = {}
    for number, case in zip(numbers, cases, strict=True):
        gpu = case.machine
        fabric = (gpu.vendor, gpu.architecture, machine_of(gpu).switched)
        key = (case.model.name, case.formats, case.backend, fabric)
        parts.setdefault(key, []).append((number, case))
    return [_group([case for _, case in part], np.array([number for number, _ in part])) for part in parts.values()]


def _group(cases: list[Case], index: Array) -> ServingGroup:
    first = cases[0]
    layout = Parallelism(*(_array([getattr(c.layout, f.name) for c in cases]) for f in fields(Parallelism)))
    replica = np.asarray(layout.gpus, dtype=float)
    gpus, apart = _array([c.gpus for c in cases]), np.array([c.apart for c in cases])
    workers = np.maximum(np.where(apart, 1.0, np.round(gpus / replica)), 1.0)
    return ServingGroup(
        model=first.model,
        formats=first.formats,
        backend=first.backend,
        index=index,
        machine=_machine([machine_of(c.machine) for c in cases]),
        layout=layout,
        kind=np.array([c.kind for c in cases]),
        gpu=np.array([c.gpu for c in cases]),
        gpus=gpus,
        workers=workers,
        prefill_replicas=np.ones(len(cases)),
        concurrency=_array([c.concurrency for c in cases]),
        input_tokens=_array([c.input_tokens for c in cases]),
        output_tokens=_array([c.output_tokens for c in cases]),
        drafts=_array([c.drafts for c in cases]),
        apart=apart,
        means=np.array([c.conditions.means for c in cases]),
        equal_lengths=np.array([c.conditions.equal_lengths for c in cases]),
        held_steps=_array([c.conditions.held_steps for c in cases]),
        month=_array([c.conditions.month for c in cases]),
        reused=np.array([c.conditions.reused for c in cases]),
    )


def _machine(machines: list[Machine]) -> Machine:
    rates = [name for name in machines[0].peak_flops if all(name in m.peak_flops for m in machines)]
    return replace(
        machines[0],
        measured=None,
        memory=_array([m.memory for m in machines]),
        memory_bandwidth=_array([m.memory_bandwidth for m in machines]),
        peak_flops={name: _array([m.peak_flops[name] for m in machines]) for name in rates},
        link_bandwidth=_array([m.link_bandwidth for m in machines]),
        domain=_array([m.domain for m in machines]),
        network_bandwidth=_array([m.network_bandwidth for m in machines]),
    )


def _taken(value: Any, chosen: Array) -> Any:
    def part(each: Any) -> Any:
        if isinstance(each, dict):
            return {name: part(one) for name, one in each.items()}
        return each[chosen] if isinstance(each, np.ndarray) else each

    return replace(value, **{f.name: part(getattr(value, f.name)) for f in fields(value)})


def _array(values: Sequence[Any]) -> Array:
    return np.array([float(np.asarray(value)) for value in values])
