"""Rows of serving benchmarks as scenarios: model, machine, formats, layout, load, and how each was run.

Source: github.com/SemiAnalysisAI/InferenceX, benchmarks/*.sh and perf-changelog.yaml, read 2026-11-24. Recipes tell
how runs were set up, not how fast they were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.catalog.files import packaged_root
from costcalc.catalog.yaml import parse_yaml, read_text
from costcalc.engine.latency.op_times import IDEAL
from costcalc.engine.memory import MemoryBudget, memory_share, weights_bytes_per_gpu
from costcalc.engine.parallelism import Deployment, Parallelism, given_deployment, splits_experts
from costcalc.engine.precision import Formats
from costcalc.engine.roofline import Machine
from costcalc.errors import CostcalcError
from costcalc.fields import Array
from costcalc.formats import WEIGHT_FORMATS, cache_format, number_type
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import MOST_DRAFTS, Options, command_of
from costcalc.predict.predict import capacity
from costcalc.predict.scenario import Load, Scenario, month_of, scenario_of
from costcalc.validation.files import Row, find_gpu

# How a run was made: as its columns say, else as is known of the benchmark that its source names.


@lru_cache(maxsize=1)
def _benchmarks() -> tuple[Mapping[str, Any], ...]:
    """What measurements/conditions.yaml says of benchmarks: by a text in their rows' source."""
    path = packaged_root() / "measurements" / "conditions.yaml"
    data, _ = parse_yaml(read_text(path), path)
    return tuple(data["benchmarks"])


def condition(row: Row, name: str) -> Any:
    """What a row's column says, or else what is known of the benchmark of its source; None where neither does."""
    value = row.get(name)
    if value is not None and value != "":
        return value
    known = next((each for each in _benchmarks() if name in each and _is_of(row, each["of"])), {})
    found = known.get(name)
    if isinstance(found, list):  # below `many` requests at once, and from so many on
        return found[(row.get("concurrency") or 0) >= known.get("many", 0)]
    return found


def _is_of(row: Row, of: Mapping[str, Any]) -> bool:
    """Whether a row is one of those that an entry of conditions.yaml means."""
    said = {"apart": bool(row.get("disagg")), "attention_dp": (row.get("dp_attn") or 1) > 1}
    return all(_says(said.get(name, row.get(name)), wanted) for name, wanted in of.items())


def _says(value: Any, wanted: Any) -> bool:
    """Whether a row's value is the one wanted, one of several, or has the text that is."""
    if isinstance(wanted, list):
        return any(_says(value, each) for each in wanted)
    return str(wanted) in str(value or "") if isinstance(wanted, str) else value == wanted


def run_conditions(row: Row) -> dict[str, Any]:
    """Options of a closed loop that a row's columns say, or else the conditions of its benchmark."""
    found = {
        "lengths": condition(row, "lengths"),
        "statistic": condition(row, "statistic"),
        "polling": condition(row, "polling"),
        "cached": condition(row, "cached"),
        "client_latency": condition(row, "client_latency"),
    }
    date = str(row.get("date") or "")
    if not math.isnan(month_of(date)):
        found["engine_date"] = date
    return {name: value for name, value in found.items() if value}


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
    stage = int(tensor * data)
    if not splits_experts(model, int(stage // expert), formats):
        notes.append(f"{stage} GPUs cannot cut an expert of {model.name}: taken as ep {stage}")
        expert = float(stage)
    layout = Parallelism(tensor, data, expert if model.has_experts else 1.0, pipeline)
    room = _FITS * float(machine.usable_memory)
    while float(weights_bytes_per_gpu(model, layout, formats)) > room and layout.tp < _WIDEST:
        layout = replace(layout, tp=layout.tp * 2)
    if layout.tp > tensor:
        notes.append(f"the weights do not fit at tp {tensor:g}: taken as {layout.tp:g}")
    return layout, tuple(notes)


def decode_worker(row: Row) -> Row:
    """The row with the degrees of one decode worker, as far as its pool is recorded.

    A worker's width is the pool's GPUs over its workers: the degrees beside them are not always its own.
    """
    if not row.get("decode_gpus") or not row.get("decode_workers"):
        return row
    width = max(row["decode_gpus"] // row["decode_workers"], 1.0)
    data = width if row.get("decode_dp_attention") else 1.0
    expert = width if (row.get("decode_ep") or 1) > 1 else 1.0
    return {**row, "tp": width / data, "dp_attn": data, "ep": expert, "pp": 1.0}


def prefill_worker(row: Row, model: ModelSpec) -> dict[str, Any]:
    """Options of the pool that prefills, as far as it is recorded."""
    found = {"prefill_gpus": row["prefill_gpus"]}
    if not row.get("prefill_workers"):
        return found
    width = int(max(row["prefill_gpus"] // row["prefill_workers"], 1))
    data = width if row.get("prefill_dp_attention") else 1
    expert = width if (row.get("prefill_ep") or 1) > 1 and model.has_experts else 1
    return {**found, "prefill_tp": width // data, "prefill_dp": data, "prefill_ep": expert}


def _query_heads(model: ModelSpec) -> int:
    layers = [layer for _, layer in model.attention_layers()]
    heads = max((layer.kv_heads for layer in layers), default=1)
    return max((getattr(layer, "num_attention_heads", heads) for layer in layers), default=heads)


# A row as the options of an estimate that asks the same question.


ONLINE, OFFLINE, STATIC, STATIC_OFFLINE = "online", "offline", "static", "static offline"
_ARRIVALS = {ONLINE: "closed", OFFLINE: "offline", STATIC: "static", STATIC_OFFLINE: "static"}
# Rates measured at 20,000 tokens are those of full attention, which v0.1 with its window does not have.
_MEANT = {"mistral-7b": "mistral-7b-v0.3"}
"""Checkpoints that measurements name shortly."""
_NO_DRAFTS = ("", "none", "none/unknown", "no", "off", "0", "false")
_LOOPS = ("online", "closed", "static", "offline", "concurrency", "serving")


@dataclass(frozen=True, slots=True)
class ServingRow:
    """One row of a serving measurement as a scenario and its deployment; `options` are those of `costcalc estimate`."""

    kind: str
    asked: tuple[str, str]  # the model and the GPU, as --model and --gpu take them
    options: Mapping[str, Any]
    scenario: Scenario
    deployment: Deployment
    gpus: float  # as recorded
    mended: tuple[str, ...] = ()  # degrees that could not be as recorded
    warnings: tuple[str, ...] = ()  # of what else is taken otherwise than recorded

    @property
    def command(self) -> str:
        """The command whose estimate is the row's prediction."""
        return command_of(*self.asked, self.options)


FORMATS = ("weights", "bits", "experts", "kv_cache", "activations")
"""Options that say in which formats numbers are stored."""


Stored = dict[tuple[Any, ...], Formats]
"""In which formats numbers are stored, by model, GPU and what a row says of them."""


def serving_row(
    row: Row,
    catalog: Catalog,
    constants: ServingEfficiency | None = None,
    given: Mapping[str, Any] | None = None,
    known: Stored | None = None,
) -> ServingRow:
    """Resolve a row of e2e measurements; raises CostcalcError for what the engine cannot be asked.

    constants: of serving, else those of the catalog. given: options that are told besides, and go before the row's.
    known: formats of rows before under the same constants, to which those of this one are added.
    """
    constants, given = constants or catalog.serving_efficiency(), given or {}
    name = str(row["model"])
    model, (gpu, machine) = find_model(name, catalog), find_gpu(str(row["gpu"]), catalog)
    backend, kind = serving_backend(row, constants), _kind(row)
    if kind != OFFLINE and not row["concurrency"]:
        raise CostcalcError("concurrency is empty", hint="a closed loop or static batch needs the number of requests")
    kept = constants.memory_of(backend).cache_formats
    formats = format_options(row, model, kept) | {name: given[name] for name in FORMATS if name in given}
    known = {} if known is None else known
    if (of := (model.name, gpu, *formats.items())) not in known:
        known[of] = scenario_of(model, machine, Options(**formats), constants).formats
    stored = known[of]
    apart = bool(row.get("disagg")) and row["n_gpus"] > 1
    layout, mended = layout_of(decode_worker(row) if apart else row, model, machine, stored)
    drafted, warnings = _drafts(row, model)
    warnings += _taken_otherwise(row, apart)
    replica = int(layout.gpus)
    if replica < 1:
        raise CostcalcError(f"{layout.gpus:g} GPUs hold no replica", hint="tp, pp and dp_attn are from 1 on")
    decoding = row.get("decode_gpus") if apart else row["n_gpus"]
    replicas = max(round((decoding or replica) / replica), 1)
    length = condition(row, "mean_length") or 1.0 if kind == ONLINE else 1.0
    options: dict[str, Any] = {
        "gpus": replica * replicas,
        "tensor_parallel": int(layout.tp),
        "pipeline_parallel": int(layout.pp),
        "expert_parallel": int(layout.ep),
        "attention_data_parallel": int(layout.attention_dp),
        "arrivals": _ARRIVALS[kind],
        "input_tokens": row["isl"] * length,
        "output_tokens": row["osl"] * length,
        **formats,
        "backend": backend,
        "tuning": condition(row, "tuning") or "default",
    }
    if kind != OFFLINE:
        options["concurrency"] = row["concurrency"]
    elif row.get("n_requests"):
        options["requests"] = int(row["n_requests"])
    if kind == ONLINE:
        options |= run_conditions(row)
    else:  # deployments tuned for throughput
        options["memory_utilization"] = constants.closed_loop.memory_utilization
    if row.get("max_batch_size"):  # of each attention data rank, as the option
        options["max_num_seqs"] = int(row["max_batch_size"])
    if drafted:
        options["drafts"] = drafted
        if row.get("accepted"):
            options["accepted"] = row["accepted"]
    if apart:
        options["disaggregated"] = True
        if row.get("prefill_gpus"):
            options |= prefill_worker(row, model)
        else:
            warnings += ("pools are not recorded: one for prefill as large as it takes",)
    options |= given
    asked = _MEANT.get(name.lower(), name), gpu
    return _row(kind, asked, options, model, machine, constants, float(row["n_gpus"]), mended, warnings)


def _row(
    kind: str, asked: tuple[str, str], options: dict[str, Any], model: ModelSpec, machine: Accelerator,
    constants: ServingEfficiency, gpus: float, mended: tuple[str, ...], warnings: tuple[str, ...],
) -> ServingRow:  # fmt: skip
    scenario = scenario_of(model, machine, Options(**options), constants)
    deployment = given_deployment(scenario.model, machine, scenario.options.degrees)
    if "memory_utilization" not in options and capacity(scenario, deployment.layout)[1] < 1:
        # It ran: the engine was given more than it takes by default.
        options = {**options, "memory_utilization": scenario.constants.closed_loop.memory_utilization}
        scenario = scenario_of(model, machine, Options(**options), constants)
    return ServingRow(kind, asked, options, scenario, deployment, gpus, mended, warnings)


def _taken_otherwise(row: Row, apart: bool) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    if row.get("disagg") and not apart:
        found += ("one GPU cannot be two pools: taken as shared",)
    date = str(row.get("date") or "")
    if date and math.isnan(month_of(date)):
        found += (f"date {date!r} is not YYYY-MM-DD: taken as not known",)
    if not any(word in str(row["kind"]).lower() for word in (*_LOOPS, "throughput")):
        found += (f"kind {str(row['kind'])!r} is taken as a closed loop",)
    return found


def _drafts(row: Row, model: ModelSpec) -> tuple[int, tuple[str, ...]]:
    """Tokens drafted per step, and what is taken otherwise than recorded."""
    spec = str(row.get("spec") or "").lower()
    if spec in _NO_DRAFTS:
        return 0, ()
    if spec.startswith("mtp") and model.mtp is not None:
        told = int("".join(filter(str.isdigit, spec)) or row.get("draft_tokens") or 0)
        if told > MOST_DRAFTS:
            raise CostcalcError(f"spec {spec!r} drafts {told} tokens", hint=f"'mtp' or 'mtp1' to 'mtp{MOST_DRAFTS}'")
        return (told, ()) if told else (1, ("drafts are not recorded: taken as one",))
    why = f"{model.name} ships no prediction head" if spec.startswith("mtp") else f"spec {spec!r} is not modelled"
    return 1, (f"{why}: taken as one draft of multi-token prediction",)


def find_model(name: str, catalog: Catalog) -> ModelSpec:
    """Return the model that a measurement names, however its checkpoint is called; raises CostcalcError."""
    return catalog.model(_MEANT.get(name.lower(), name))


def serving_backend(row: Row, constants: ServingEfficiency) -> str:
    """The engine of a row by its name among the constants: the one with the longest of its names in the row's."""
    text = f"{row.get('framework') or ''} {row.get('version') or ''}".casefold()
    known = [(name, backend) for backend, each in constants.backends.items() for name in each.names if name in text]
    return max(known, key=lambda each: len(each[0]), default=("", constants.default_backend))[1]


def format_options(row: Row, model: ModelSpec, known: tuple[str, ...] = ()) -> dict[str, Any]:
    """Options of the formats of weights, experts and cache: those of the checkpoint that the row means.

    known: all formats of a cache that its engine keeps; empty where they are not limited.
    """
    told = str(row.get("dtype") or "")
    weights = _weight_format(told or model.precision.weights)
    found = {"weights": weights} if told else {}
    experts = str(row.get("moe_dtype") or "")
    if experts and model.has_experts and (wanted := _weight_format(experts)) != weights:
        found["experts"] = wanted
    return {**found, "kv_cache": _cache_format(row, weights, known)}


def _weight_format(dtype: str) -> str:
    return number_type(dtype).weights.name


def _cache_format(row: Row, dtype: str, known: tuple[str, ...]) -> str:
    asked = str(row.get("kv_dtype") or "").rstrip("?").lower()
    if asked in ("", "auto", "none", "unknown"):
        return "fp8" if WEIGHT_FORMATS[dtype].bytes < 2 and "fp8" in (known or ("fp8",)) else "bf16"
    name = cache_format(asked).name
    return "bf16" if name == "fp16" else name


def _kind(row: Row) -> str:
    name = str(row["kind"]).lower()
    if "offline" in name or ("throughput" in name and not row["concurrency"]):
        return STATIC_OFFLINE if "static" in name else OFFLINE
    return STATIC if "static" in name else ONLINE


# Rows that one call of the engine predicts: same model, formats, engine, architecture and kind of run.


@dataclass(frozen=True, slots=True)
class ServingGroup:
    """Rows as one scenario of arrays; whatever is text or shape is the same in all of them."""

    scenario: Scenario
    layout: Parallelism
    replicas: Array
    index: Array  # of each row among the rows of a file
    gpu: Array  # their names
    gpus: Array  # as recorded
    throughput: bool  # tokens per second were measured, instead of times

    def __len__(self) -> int:
        return len(self.index)

    @property
    def model(self) -> ModelSpec:
        """The model of all rows."""
        return self.scenario.model

    def take(self, chosen: Array) -> ServingGroup:
        """The rows for which `chosen` is true."""
        taken = {name: getattr(self, name)[chosen] for name in ("replicas", "index", "gpu", "gpus")}
        return replace(self, scenario=_taken(self.scenario, chosen), layout=_taken(self.layout, chosen), **taken)

    def under(self, constants: ServingEfficiency) -> ServingGroup:
        """The same rows under other constants of serving."""
        return replace(self, scenario=self.scenario.under(constants))

    def ideal(self) -> ServingGroup:
        """The same rows at the bound, as `--efficiency ideal` asks."""
        q = self.scenario
        options = replace(q.options, efficiency="ideal")
        return replace(self, scenario=replace(q, options=options, efficiency=IDEAL, backend=None))


def serving_groups(rows: Sequence[ServingRow], index: Sequence[int] | None = None) -> list[ServingGroup]:
    """Group rows; `index` names them where they are not all of a file's."""
    numbers = range(len(rows)) if index is None else index
    parts: dict[tuple[Any, ...], list[tuple[int, ServingRow]]] = {}
    for number, row in zip(numbers, rows, strict=True):
        q = row.scenario
        measured = q.machine.name if q.machine.name in q.constants.kernels.machines else ""
        fabric = (q.gpu.vendor, q.gpu.architecture, q.machine.switched, measured)
        told = (q.budget.sequences is None, *(getattr(q.load, name) is None for name in _LOADS))
        version = q.budget.engine and (
            q.budget.engine.logit_bytes, q.budget.engine.states, q.budget.engine.steps_in_flight,
        )  # fmt: skip
        key = (q.model.name, q.formats, q.backend, version, fabric, row.kind, q.disaggregated, told, q.options.tuning)
        parts.setdefault(key, []).append((number, row))
    return [_group([row for _, row in part], np.array([number for number, _ in part])) for part in parts.values()]


def _group(rows: list[ServingRow], index: Array) -> ServingGroup:
    layouts = [row.deployment.layout for row in rows]
    shared = [
        memory_share(row.scenario.machine, layout, row.scenario.budget)
        for row, layout in zip(rows, layouts, strict=True)
    ]
    scenario = _stacked([row.scenario for row in rows])
    return ServingGroup(
        scenario=replace(scenario, budget=replace(scenario.budget, utilization=_array(shared))),
        layout=_stacked(layouts),
        replicas=_array([row.deployment.replicas for row in rows]),
        index=index,
        gpu=np.array([row.scenario.gpu.name for row in rows]),
        gpus=_array([row.gpus for row in rows]),
        throughput=rows[0].kind in (OFFLINE, STATIC_OFFLINE),
    )


_LOADS = tuple(each.name for each in fields(Load) if each.name != "arrivals")
_ARRAYS: Mapping[type[Any], tuple[str, ...]] = {
    Scenario: ("input_tokens", "output_tokens", "drafts", "cached"),
    Parallelism: tuple(each.name for each in fields(Parallelism)),
    Load: _LOADS,
    MemoryBudget: ("prediction", "drafts", "sequences"),
    Machine: ("memory", "memory_bandwidth", "link_bandwidth", "domain", "sm_count", "network_bandwidth"),
}
"""Numbers in which the rows of a group differ, by the record that holds them."""


def _stacked(records: Sequence[Any]) -> Any:
    """Records as one of arrays; what is text or shape is that of the first."""
    first, changed = records[0], {}
    for name in (each.name for each in fields(first)):
        values = [getattr(each, name) for each in records]
        if type(values[0]) in _ARRAYS:
            changed[name] = _stacked(values)
        elif name == "peak_flops":
            rates = [rate for rate in values[0] if all(rate in each for each in values)]
            changed[name] = {rate: _array([each[rate] for each in values]) for rate in rates}
        elif name in _ARRAYS[type(first)]:
            changed[name] = None if values[0] is None else _array(values)
    return replace(first, **changed)


def _taken(value: Any, chosen: Array) -> Any:
    """A record of arrays, with those elements of each that are chosen."""

    def part(each: Any) -> Any:
        if isinstance(each, dict):
            return {name: part(one) for name, one in each.items()}
        if type(each) in _ARRAYS:
            return _taken(each, chosen)
        return each[chosen] if isinstance(each, np.ndarray) else each

    return replace(value, **{f.name: part(getattr(value, f.name)) for f in fields(value)})


def _array(values: Sequence[Any]) -> Array:
    return np.array([float(np.asarray(value)) for value in values])
