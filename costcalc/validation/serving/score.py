"""Rows of what engines serve, predicted and scored: benchmarks, single results from the field, start-up logs.

What is scored of a benchmark is what `costcalc estimate` answers for its `command`: both call `predict`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import log
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.memory import (
    held_bytes_per_sequence,
    kv_pool_bytes_per_gpu,
    memory_share,
    weights_bytes_per_gpu,
)
from costcalc.engine.parallelism import given_deployment
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Array
from costcalc.formats import cache_format, number_type
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import UNTUNED, ServingEfficiency
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import Options, command_of
from costcalc.predict.predict import Prediction, predict, settled_batch
from costcalc.predict.quantities import asked_of
from costcalc.predict.scenario import Scenario, scenario_of
from costcalc.validation.files import BEATS_ROOFLINE, Row, find_gpu, is_empty
from costcalc.validation.serving.rows import (
    OFFLINE,
    STATIC,
    STATIC_OFFLINE,
    ServingGroup,
    ServingRow,
    Stored,
    find_model,
    serving_backend,
    serving_groups,
    serving_row,
)

Scored = dict[str, Any]

TPOT, TTFT, THROUGHPUT, PREFILL = "tpot_ms", "ttft_ms", "out_tok_s_gpu", "prefill_ms"


def serving_class(asked: ServingRow) -> str:
    """What a row counts as: ranges and errors are kept by it."""
    if asked.kind in (OFFLINE, STATIC_OFFLINE):
        return "throughput"
    if asked.kind == STATIC:
        return "static"
    if asked.scenario.disaggregated:
        return "pools"
    return ("decode_experts" if asked.scenario.model.has_experts else "decode") + _untuned(asked)


def _untuned(asked: ServingRow) -> str:
    return UNTUNED if asked.scenario.options.tuning == "default" else ""


LABELS = {
    "decode": "time per output token, dense",
    "decode_experts": "time per output token, experts",
    "pools": "time per output token, pools apart",
    "static": "time per output token, static batch",
    "throughput": "most output tokens per GPU",
    "prefill": "time to first token",
    "prefill_pools": "time to first token, pools apart",
    "decode_default": "time per output token, dense, as documented",
    "decode_experts_default": "time per output token, experts, as documented",
    "prefill_default": "time to first token, as documented",
}
"""Classes as tables show them."""


def first_token_class(asked: ServingRow) -> str:
    """The class of a row's time to first token."""
    return "prefill_pools" if asked.scenario.disaggregated else f"prefill{_untuned(asked)}"


def resolve(
    rows: Sequence[Row], constants: ServingEfficiency | None = None, catalog: Catalog | None = None
) -> tuple[list[ServingRow], list[int], dict[int, str]]:
    """The rows that the engine can be asked, their numbers, and why the others cannot.

    constants: of serving, else those of the catalog. catalog: by default that of every command.
    """
    catalog = catalog or Catalog()
    constants = constants or catalog.serving_efficiency()
    asked, index, refused, known = [], [], {}, Stored()
    for number, row in enumerate(rows):
        try:
            asked.append(serving_row(row, catalog, constants, known=known))
            index.append(number)
        except CostcalcError as error:
            refused[number] = str(error)
    return asked, index, refused


def predict_group(group: ServingGroup) -> Prediction:
    """What the rows of a group would measure, as `costcalc estimate` answers each."""
    batch = settled_batch(group.scenario, group.layout, group.replicas)
    return predict(group.scenario, group.layout, batch, group.replicas)


def tokens_per_s_per_gpu(group: ServingGroup, found: Prediction) -> Array:
    """Output tokens that a GPU of each row serves [tokens/s]."""
    return np.asarray(found.served_tokens_per_s(group.scenario.output_tokens) / group.layout.gpus)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in the rows of one group, in SI; nan where it was not, or may not be used."""

    tpot: Array
    ttft: Array
    tokens_per_s_gpu: Array
    prefill: Array

    def take(self, chosen: Array) -> Measured:
        """The rows for which `chosen` is true."""
        return Measured(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @property
    def logarithms(self) -> Array:
        """All quantities, one row each."""
        return np.log(np.stack([self.tpot, self.ttft, self.tokens_per_s_gpu, self.prefill]))


def measured_of(rows: Sequence[Row], group: ServingGroup, chosen: Array | None = None) -> Measured:
    """What was measured in a group's rows [s, tokens/s]; nan where it was not, or where `chosen` is false."""
    use = np.ones(len(rows), dtype=bool) if chosen is None else chosen

    def of(name: str, wanted: bool, unit: float) -> Array:
        values = [(rows[i].get(name) or np.nan) * unit if use[i] and wanted else np.nan for i in group.index]
        return np.array(values, dtype=float)

    times = not group.throughput
    return Measured(of(TPOT, times, 1e-3), of(TTFT, times, 1e-3), of(THROUGHPUT, True, 1.0), of(PREFILL, times, 1e-3))


def score_serving(
    rows: Sequence[Row], constants: ServingEfficiency | None = None, catalog: Catalog | None = None
) -> list[Scored]:
    """Return every row with its prediction and error: `tpot_ms`, or `out_tok_s_gpu` where all requests queue.

    `ttft_ms_predicted` and its low, high and ape stand beside it; `command` asks `costcalc estimate` the same.
    constants: of serving, else those of the catalog.
    """
    catalog = catalog or Catalog()
    constants = constants or catalog.serving_efficiency()
    asked, index, refused = resolve(rows, constants, catalog)
    scored = [unpredicted(row, _quantity(row), refused.get(number, "")) for number, row in enumerate(rows)]
    by_row = dict(zip(index, asked, strict=True))
    for group in serving_groups(asked, index):
        group = group.under(constants)
        found, ideal = predict_group(group), group.ideal()
        # At the batch that is predicted: who waits less has more company, which is no faster machine.
        bound = predict(ideal.scenario, ideal.layout, found.batch, ideal.replicas)
        values, ideals = _answers(group, found), _answers(ideal, bound)
        for at, number in enumerate(group.index):
            value, best = {k: float(v[at]) for k, v in values.items()}, {k: float(v[at]) for k, v in ideals.items()}
            scored[number].update(_entry(rows[number], by_row[number], constants, value, best))
    return scored


def _answers(group: ServingGroup, found: Prediction) -> dict[str, Array]:
    """Predicted quantities of a group in the units of its columns."""
    shape = np.zeros(len(group))
    return {
        TPOT: found.time_per_output_token * 1e3 + shape,
        TTFT: found.time_to_first_token * 1e3 + shape,
        THROUGHPUT: tokens_per_s_per_gpu(group, found) + shape,
        PREFILL: found.prefill.seconds * 1e3 + shape,
    }


def _entry(
    row: Row, asked: ServingRow, constants: ServingEfficiency, value: dict[str, float], best: dict[str, float]
) -> Scored:
    name, quantity = serving_class(asked), TPOT
    if asked.kind in (OFFLINE, STATIC_OFFLINE):
        quantity = THROUGHPUT
    entry: Scored = {**_ranged(row, asked, constants, name, quantity, value, best), "quantity": quantity}
    entry["op_class"] = LABELS[name]
    if quantity == TPOT:
        first = _ranged(row, asked, constants, first_token_class(asked), TTFT, value, best)
        entry |= {f"{TTFT}_{part}": each for part, each in first.items()}
        only = next((each for each in (TTFT, THROUGHPUT, PREFILL) if row.get(each)), None)
        if not row.get(TPOT) and only is not None:  # that is all that was measured
            quantity, label = only, name if only == THROUGHPUT else first_token_class(asked)
            found = _ranged(row, asked, constants, label, only, value, best)
            entry |= {**found, "quantity": only, "op_class": LABELS[label]}
    faster = _faster(row, quantity, best[quantity])
    warning = "; ".join(filter(None, (*asked.mended, *asked.warnings, faster)))
    return {**entry, "command": asked.command, "warning": warning, "excluded": _exclusion(row, asked, quantity)}


def _ranged(
    row: Row, asked: ServingRow, constants: ServingEfficiency, name: str, quantity: str, values: dict[str, float],
    ideals: dict[str, float],
) -> Scored:  # fmt: skip
    """A predicted value, its 80% range and error, and the bound."""
    low, high = range_of(constants, name, asked)
    if quantity == THROUGHPUT and name != "throughput":  # the class is of times
        low, high = 1 / high, 1 / low
    value, best = values[quantity], ideals[quantity]
    return {"predicted": value, "low": value * low, "high": value * high, "ideal": best,
            "ape": _ape(value, row.get(quantity))}  # fmt: skip


def range_of(constants: ServingEfficiency, name: str, asked: ServingRow) -> tuple[float, float]:
    """Observed over predicted at 10% and 90% for a row of a class of measurement."""
    return constants.range_of(name, asked_of(asked.scenario))


def _faster(row: Row, quantity: str, best: float) -> str:
    value = row.get(quantity)
    faster = value and (value > best / BEATS_ROOFLINE if quantity == THROUGHPUT else value < best * BEATS_ROOFLINE)
    return "faster than the roofline" if faster else ""


def _exclusion(row: Row, asked: ServingRow, quantity: str) -> str:
    if not row.get(quantity):
        return "not measured"
    if row.get("suspect"):
        return f"suspect: {row['suspect']}"
    replica = int(asked.deployment.layout.gpus)
    if replica > asked.gpus:
        return "; ".join((*asked.mended, f"a replica of {replica} GPUs on {asked.gpus:g}"))
    return ""


def _ape(predicted: float, measured: float | None) -> float | None:
    return abs(float(predicted) / measured - 1) if measured else None


def _quantity(row: Row) -> str:
    """What a row that cannot be asked would have been scored by."""
    return THROUGHPUT if "offline" in str(row.get("kind") or "").lower() else TPOT


NUMBERS = ("predicted", "low", "high", "ideal", "ape")
"""Of a prediction, beside the row."""


def unpredicted(row: Row, quantity: str, reason: str) -> Scored:
    """Return a row without a prediction, of any kind, and why it has none."""
    nothing = dict.fromkeys(NUMBERS)
    return {**row, **nothing, "quantity": quantity, "op_class": "", "warning": "", "excluded": reason}


# Single results from the field, as people report them: one row, one number; as rows of serving measurements.


_COLUMNS = {
    "tpot": TPOT,
    "decode": TPOT,
    "ttft": TTFT,
    "prefill": PREFILL,
    "output": THROUGHPUT,
    "output per gpu": THROUGHPUT,
}
"""The column of serving measurements that a quantity is predicted in."""
_TUNING = {"tuned-recipe": "tuned", "documented-default": "default", "community": "default"}
_ASKED = re.compile(r"(?<!weights )asked as ([\w.\-]+)")
_WEIGHTS = re.compile(r"weights asked as (\w+)")
_STAGES = re.compile(r"\bpp (\d+)")
_DRAFTS = re.compile(r"(\d+) drafts?, ([\d.]+) tokens per pass")
_SPECULATION = re.compile(r"EAGLE (\d+)-\d+-\d+")
_SHIPPED = ("as shipped", "default", "int4 experts", "fp4 experts")
"""Weights that are the model's own."""


def as_serving_row(row: Row) -> Row:
    """The row in the columns of serving measurements; raises CostcalcError for a quantity that is none.

    What its note says of drafts, pipeline stages and the nearest name of model and weights is heeded.
    """
    quantity, note = str(row["quantity"]).casefold(), str(row.get("note") or "")
    if quantity not in _COLUMNS:
        hint = did_you_mean(quantity, _COLUMNS) or f"one of: {', '.join(_COLUMNS)}"
        raise CostcalcError(f"unknown quantity {shown(str(row['quantity']))}", hint=hint)
    found: dict[str, Any] = {
        "gpu": row["gpu"],
        "n_gpus": row["gpus"],
        "model": match[1] if (match := _ASKED.search(note)) else row["model"],
        "dtype": _known_weights(str(row.get("weights") or ""), note),
        "kv_dtype": "" if str(row.get("kv")).casefold() == "default" else row.get("kv"),
        "framework": row.get("engine"),
        "tp": row.get("tp"),
        "dp_attn": row.get("dp"),
        "ep": row.get("ep"),
        "pp": float(match[1]) if (match := _STAGES.search(note)) else 1.0,
        "isl": max(row.get("input") or 0.0, 1.0),
        "osl": max(row.get("output") or 0.0, 1.0),
        "concurrency": row.get("concurrency") or 1.0,
        "kind": "online",
        "statistic": "mean" if "mean TPOT" in note else "median",
        "tuning": _TUNING.get(str(row.get("setup") or "").casefold(), "default"),
        "suspect": row.get("suspect") or ("noted" if "suspect" in note else ""),
        "source": row.get("source"),
        "date": row.get("date") or "",
    }
    if (drafts := _DRAFTS.search(note)) is not None:
        found |= {"spec": f"mtp{drafts[1]}", "accepted": float(drafts[2])}
    elif (drafts := _SPECULATION.search(note)) is not None:
        found["spec"] = f"mtp{drafts[1]}"
    found[_COLUMNS[quantity]] = _measured(row, quantity)
    return found


def _known_weights(text: str, note: str) -> str:
    """The format of the weights, or the nearest one that the note names."""
    plain, named = _weights(text), _WEIGHTS.search(note)
    try:
        return number_type(plain).name if plain else ""
    except CostcalcError:
        if named is None:
            raise
        return named[1]


def _weights(text: str) -> str:
    """A format as people write it: 'GGUF Q4_K_M', 'EXL2 4.0 bpw', 'MLX q4 g64', 'fp8 block'."""
    plain = text.casefold().replace(" bpw", "").strip()
    if is_empty(plain) or plain in _SHIPPED:
        return ""
    kind, _, rest = plain.partition(" ")
    if kind == "gguf":
        return rest.replace(" ", "_")
    if kind == "mlx":
        return f"mlx_{rest.split()[0]}"
    if kind in ("exl2", "exl3"):
        return f"{kind}-{rest}"
    return plain.replace(" ", "_")


def _measured(row: Row, quantity: str) -> float | None:
    """What was measured, in the column's unit."""
    value = row.get("measured")
    if not value:
        return None
    if str(row["unit"]).casefold() == "ms":
        return float(value)
    return _converted(float(value), row, quantity)


def _converted(value: float, row: Row, quantity: str) -> float:
    """A rate as the time of its column, or a time as the rate: each is the other's inverse."""
    if quantity == "prefill":
        return 1e3 * (row.get("input") or 1.0) / value
    if quantity == "output":
        return value / row["gpus"]
    if quantity == "decode":
        return 1e3 * (row.get("concurrency") or 1.0) / value
    return value


def _in_its_unit(row: Row, scored: Row) -> Row:
    """A row with the prediction of it as a serving row, in the unit that it was reported in."""
    quantity, unit = str(row["quantity"]).casefold(), str(row["unit"]).casefold()
    numbers = {name: scored.get(name) for name in ("predicted", "low", "high", "ideal")}
    if unit != "ms" and numbers["predicted"] is not None:
        if quantity == "output":
            numbers = {name: value * row["gpus"] for name, value in numbers.items() if value is not None}
        elif quantity in ("prefill", "decode"):
            turned = {"low": "high", "high": "low"}
            numbers = {
                turned.get(name, name): _converted(value, row, quantity) for name, value in numbers.items() if value
            }
    measured = row.get("measured")
    ape = abs(numbers["predicted"] / measured - 1) if measured and numbers["predicted"] is not None else None
    kept = {name: scored.get(name, "") for name in ("command", "warning", "excluded")}
    return {**row, **numbers, "ape": ape, "quantity": "measured", "op_class": str(row.get("class") or "field"), **kept}


def score_field(rows: Sequence[Row], catalog: Catalog | None = None) -> list[Scored]:
    """Return single results with their prediction and error, as those of the serving rows that they are."""
    asked: dict[int, Row] = {}
    found: dict[int, Scored] = {}
    for number, row in enumerate(rows):
        try:
            asked[number] = as_serving_row(row)
        except CostcalcError as error:
            found[number] = unpredicted(row, "measured", str(error))
    for number, scored in zip(asked, score_serving([*asked.values()], catalog=catalog), strict=True):
        found[number] = _in_its_unit(rows[number], scored)
    return [found[number] for number in range(len(rows))]


# Start-up logs of engines: the memory that was left for the cache.


MEMORY = "memory left for the cache"
POOL, WEIGHTS = "kv_pool_gib", "weights_gib"
GIB = 2.0**30
RANGE = (0.96, 1.02)
"""Logged over predicted: 28 of 29 start-ups of vLLM 0.19 lie within; Llama-4-Scout loads more than its shape."""
NARROWED = 0.15
"""Logged weights that differ by more from the checkpoint's, as a logarithm, are those of a narrower format."""
_NARROW = ("fp8", "int4")


def score_memory(rows: Sequence[Row], catalog: Catalog | None = None) -> list[Scored]:
    """Return every row with its predicted pool [GiB per GPU] and error; `command` asks `costcalc estimate` the same.

    catalog: by default that of every command.
    """
    catalog = catalog or Catalog()
    constants = catalog.serving_efficiency()
    return [_pool(row, catalog, constants) for row in rows]


def _pool(row: Row, catalog: Catalog, constants: ServingEfficiency) -> Scored:
    try:
        q, command = _started(row, catalog, constants)
    except CostcalcError as error:
        return unpredicted(row, POOL, str(error))
    layout = given_deployment(q.model, q.gpu, q.options.degrees, q.formats).layout
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget)) / GIB
    weights = weights_bytes_per_gpu(q.model, layout, q.formats)
    each = held_bytes_per_sequence(q.model, q.machine, layout, q.formats, row["max_length"], q.budget)
    measured = row.get(POOL)
    reason = str(row.get("suspect") or "") or ("" if measured else "not measured")
    if pool <= 0:  # of which no ratio can be had
        reason = reason or "predicted to leave no memory for the cache"
    return {
        **unpredicted(row, POOL, reason),
        "predicted": pool,
        "low": pool * RANGE[0],
        "high": pool * RANGE[1],
        "ideal": float(q.machine.memory * memory_share(q.machine, layout, q.budget) - weights) / GIB,
        "ape": _ape(pool, measured),
        "op_class": MEMORY,
        "weights_gib_predicted": float(np.asarray(weights)) / GIB,
        "max_concurrency_predicted": max(pool, 0.0) * GIB / float(np.asarray(each)),
        "command": command,
    }


def _started(row: Row, catalog: Catalog, constants: ServingEfficiency) -> tuple[Scenario, str]:
    """The scenario of a start-up, and the command that asks it; raises CostcalcError for what cannot be asked."""
    name, gpu_text = str(row["model"]), re.sub(r"\s*\(.*\)", "", str(row["gpu"]))
    model, (gpu, machine) = find_model(name, catalog), find_gpu(gpu_text, catalog)
    tensor, pipeline = int(row["tp"]), int(row.get("pp") or 1)
    options: dict[str, Any] = {
        "gpus": tensor * pipeline,
        "tensor_parallel": tensor,
        "pipeline_parallel": pipeline,
        "memory_utilization": row["memory_utilization"],
        "context": int(row["max_length"]),
        "batch": 1,
        "backend": serving_backend({"framework": row.get("engine") or row.get("framework")}, constants),
    }
    told, cache = str(row.get("dtype") or ""), str(row.get("kv") or "")
    if not is_empty(told):
        options["weights"] = number_type(told).weights.name
    elif narrower := _narrower(row, model, machine, options, constants):
        options["weights"] = narrower
    if not is_empty(cache) and cache.lower() != "auto":
        options["kv_cache"] = cache_format(cache).name
    if date := str(row.get("date") or ""):
        options["engine_date"] = date
    return scenario_of(model, machine, Options(**options), constants), command_of(name, gpu, options)


def _narrower(
    row: Row, model: ModelSpec, machine: Accelerator, options: dict[str, Any], constants: ServingEfficiency
) -> str | None:
    """The format that the logged weights mean, where they cannot be those of the checkpoint."""
    logged = row.get(WEIGHTS)
    if not logged:
        return None

    def off(weights: str | None) -> float:
        q = scenario_of(model, machine, Options(**options, weights=weights), constants)
        layout = given_deployment(model, machine, q.options.degrees).layout
        return abs(log(float(weights_bytes_per_gpu(model, layout, q.formats)) / GIB / logged))

    return None if off(None) <= NARROWED else min((None, *_NARROW), key=off)
