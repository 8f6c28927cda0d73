"""Published joules of serving: rows as scenarios, predicted and scored, and the constants of energy fitted on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.energy import Use, share_of_limit
from costcalc.errors import CostcalcError
from costcalc.fields import Array, Record
from costcalc.hardware.efficiency import Energy, FitError, ServingEfficiency
from costcalc.predict.energy import phases
from costcalc.predict.predict import predict, settled_batch
from costcalc.predict.quantities import Answered, numbers_of
from costcalc.predict.scenario import scenario_of
from costcalc.validation.files import Row
from costcalc.validation.fitting import fit_error, flow, residual_range
from costcalc.validation.serving.rows import ServingRow, serving_row
from costcalc.validation.serving.score import unpredicted

JOULES = "j_per_output_token"
ENERGY = "joules per output token"
HARDLY_RAN = 10.0
"""A run that served so many times fewer tokens than predicted is not the run that its columns say."""
UNSEEN = 2.0
"""By which ranges of GPUs without a row are wider, as logarithms: a guess, since one GPU has rows."""


def energy_row(row: Row, catalog: Catalog, constants: ServingEfficiency | None = None) -> ServingRow:
    """Resolve a row of power measurements as one of serving; raises CostcalcError for what cannot be asked."""
    apart = bool(row.get("disagg"))
    decode, prefill = row["decode_gpus"], row.get("prefill_gpus") or 0
    drafts = {"draft_tokens": 3} if row.get("spec") == "mtp" else {}  # as the harness of these runs starts them
    # Workers of these runs have a node each, and attention data parallelism where experts are apart: measurements/
    # e2e.csv has the pools of four of them.
    worker, spread = min(prefill, row["decode_tp"]), row.get("decode_ep") or 1
    workers = {
        "decode_workers": decode / row["decode_tp"], "prefill_workers": prefill / (worker or 1), "prefill_tp": worker,
        "prefill_ep": spread, "prefill_dp_attention": float(spread > 1), "decode_dp_attention": float(spread > 1),
    }  # fmt: skip
    pools = workers if apart else {}
    # Fields of e2e rows that these have not.
    missing: dict[str, Any] = dict.fromkeys(
        ("dtype", "moe_dtype", "kv_dtype", "framework", "version", "dp_attn", "pp", "source", "prefill_workers",
         "prefill_tp", "prefill_ep", "prefill_dp_attention", "decode_dp_attention", "max_batch_size", "accepted",
         "n_requests", "mean_length", "polling", "cached", "statistic", "lengths", "tuning", "engine_version")
    )  # fmt: skip
    told = {
        **missing,
        **row,
        "dtype": {"fp4": "mxfp4", "fp8": "fp8_block"}.get(str(row.get("precision")), row.get("precision")),
        "kv_dtype": "fp8?",
        "n_gpus": decode + prefill if apart else decode,
        "tp": row["decode_tp"],
        "ep": row.get("decode_ep"),
        "pp": 1,
        "dp_attn": spread if apart else 1,
        "kind": "online fixed concurrency",
        "source": "SemiAnalysis InferenceX",
        **drafts,
        **pools,
    }
    return serving_row(told, catalog, constants)


def predicted(asked: ServingRow) -> tuple[Answered, Mapping[str, Any]]:
    """Return what is predicted of a row, at the batch that its load settles at, and every number of its answer."""
    layout, replicas = asked.deployment.layout, asked.deployment.replicas
    at = predict(asked.scenario, layout, settled_batch(asked.scenario, layout, replicas), replicas)
    answered = Answered(asked.scenario, replicas, asked.deployment.gpus, at, None, 1.0)
    return answered, numbers_of(answered)


def score_energy(rows: Sequence[Row], catalog: Catalog | None = None) -> list[dict[str, Any]]:
    """Return every row with its predicted joules per output token, prompts included, and error.

    catalog: by default that of every command.
    """
    catalog = catalog or Catalog()
    constants = catalog.serving_efficiency()
    found = []
    for row in rows:
        try:
            found.append(_scored(row, energy_row(row, catalog, constants)))
        except CostcalcError as error:
            found.append(unpredicted(row, JOULES, str(error)))
    return found


def _scored(row: Row, asked: ServingRow) -> dict[str, Any]:
    answered, numbers = predicted(asked)
    q = asked.scenario
    bound = scenario_of(q.model, q.gpu, replace(q.options, efficiency="ideal", backend=None), q.constants)
    layout, replicas = asked.deployment.layout, asked.deployment.replicas
    ideal = numbers_of(
        Answered(bound, replicas, asked.deployment.gpus, predict(bound, layout, answered.at.batch, replicas), None, 1.0)
    )
    path = f"energy.{JOULES.replace('j_', 'joules_')}"
    value, measured = float(numbers[path]), row.get(JOULES)
    return {
        **unpredicted(row, JOULES, _doubt(row, numbers) if measured else "not measured"),
        "predicted": value,
        "low": float(numbers[f"{path}_range.low"]),
        "high": float(numbers[f"{path}_range.high"]),
        "ideal": float(ideal[path]),
        "ape": abs(value / measured - 1) if measured else None,
        "op_class": ENERGY,
    }


def _doubt(row: Row, numbers: Mapping[str, Any]) -> str:
    served, told = float(numbers["serving.output_tokens_per_s_per_gpu"]), row.get("output_tok_s_gpu")
    return "a tenth of the throughput predicted: hardly ran" if told and served > HARDLY_RAN * told else ""


# The fit: three shares of the limit, by least squares of logarithms; errors with every engine left out.


class EnergyPoint(Record):
    """A row that is fitted on: what it uses of a GPU's rates, and what it draws and serves."""

    engine: str
    decode: Use
    prefill: Use
    prefilling: float  # share of the GPU time
    waiting: float  # share in which a pool for prefill does nothing
    watts: float  # share of the limit
    joules: float  # measured, per output token
    joules_per_share: float  # predicted, were the whole limit drawn


def energy_points(rows: Sequence[Row], catalog: Catalog) -> list[EnergyPoint]:
    """Return the rows that ran as recorded as points to fit on."""
    constants, found = catalog.serving_efficiency(), []
    for row in rows:
        asked = energy_row(row, catalog, constants)
        answered, numbers = predicted(asked)
        if _doubt(row, numbers):
            continue
        decode, prefill = phases(asked.scenario, answered.at)
        limit = float(asked.scenario.gpu.power or np.nan)
        drawn, joules = (float(numbers[f"energy.{name}"]) for name in ("watts_per_gpu", "joules_per_output_token"))
        prefilling, waiting = map(float, answered.prefilling)
        measured, joules_of_all = float(row["avg_power_w_per_gpu"]) / limit, joules / drawn * limit
        engine = str(row["framework"])
        found.append(
            EnergyPoint(engine, decode, prefill, prefilling, waiting, measured, float(row[JOULES]), joules_of_all)
        )
    return found


def fit_energy(rows: Sequence[Row], catalog: Catalog, *, date: str) -> Energy:
    """Fit the constants of energy.

    rows: of measurements/power.csv. date: of the newest of them.
    """
    points = energy_points(rows, catalog)
    every = np.arange(len(points))
    values = _fitted(points)
    left: Array = np.empty(len(points))
    for engine in sorted({each.engine for each in points}):
        out = np.array([each.engine == engine for each in points])
        left[out] = _shares([points[at] for at in every[out]], _fitted([points[at] for at in every[~out]]))
    measured = np.array([each.watts for each in points])
    joules, per_share = np.array([each.joules for each in points]), np.array([each.joules_per_share for each in points])
    watts_left, joules_left = np.log(left / measured), np.log(left * per_share / joules)
    fitted = _shares(points, values)
    errors: dict[str, FitError] = {
        "watts": fit_error(np.log(fitted / measured)),
        "watts_engine_left_out": fit_error(watts_left),
        "joules": fit_error(np.log(fitted * per_share / joules)),
        "joules_engine_left_out": fit_error(joules_left),
    }
    names = sorted({catalog.gpu(str(row["gpu"])).name for row in rows})
    static, memory, compute = (round(float(each), 3) for each in values)
    return Energy(
        static=static, memory=memory, compute=compute, watts=residual_range(watts_left),
        joules=residual_range(joules_left), unseen=UNSEEN, gpus=tuple(names), points=len(points),
        source="measurements/power.csv: InferenceX", date=date, errors=errors,
    )  # fmt: skip


def _shares(points: Sequence[EnergyPoint], values: Array) -> Array:
    """What points draw of their limit under some constants."""

    def drawn(of: Callable[[EnergyPoint], Use]) -> Array:
        use = Use(
            np.array([float(of(each).memory) for each in points]),
            np.array([float(of(each).compute) for each in points]),
        )
        return np.asarray(share_of_limit(use, *values))

    prefilling, waiting = (np.array([getattr(each, name) for each in points]) for name in ("prefilling", "waiting"))
    decode, prefill = drawn(lambda each: each.decode), drawn(lambda each: each.prefill)
    return np.asarray(prefilling * prefill + waiting * values[0] + (1 - prefilling - waiting) * decode)


def _fitted(points: Sequence[EnergyPoint]) -> Array:
    """Least squares of logarithms by Gauss-Newton, in logarithms of the constants, so that none turns negative."""
    measured = np.log([each.watts for each in points])
    at = np.log([0.25, 0.7, 3.0])
    for _ in range(50):
        off = np.log(_shares(points, np.exp(at))) - measured
        moved = [np.log(_shares(points, np.exp(at + 1e-6 * each))) - measured for each in np.eye(3)]
        slopes = (np.array(moved) - off).T / 1e-6
        at = at - np.linalg.solve(slopes.T @ slopes + 1e-6 * np.eye(3), slopes.T @ off).clip(-0.5, 0.5)
    return np.exp(at)


def energy_yaml(found: Energy) -> str:
    """Return energy.yaml."""
    lines = ["# What GPUs draw, fitted by tools/fit.py; docs/accuracy.md says how far that is off."]
    lines += [f"{name}: {flow(getattr(found, name))}" for name in ("static", "memory", "compute")]
    for name in ("watts", "joules"):
        limits = getattr(found, name)
        lines.append(f"{name}: {flow({'low': limits.low, 'high': limits.high})}")
    lines += [f"unseen: {flow(found.unseen)}  # a guess: one GPU has rows", f"gpus: {flow(list(found.gpus))}"]
    lines += [f"points: {found.points}", f"source: {flow(found.source)}", f"date: {flow(found.date)}", "errors:"]
    for name, error in found.errors.items():
        told = {"median_ape": error.median_ape, "mape": error.mape, "bias": error.bias}
        lines.append(f"  {name}: {flow(told)}")
    return "\n".join(lines) + "\n"
