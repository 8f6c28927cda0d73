"""Rows of engines' start-up logs: the memory that was left for the cache, predicted and scored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log
from shlex import quote
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
from costcalc.errors import CostcalcError
from costcalc.formats import cache_format, number_type
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import OPTIONS, Options
from costcalc.predict.scenario import Scenario, scenario_of
from costcalc.validation.files import Row, find_gpu, is_empty
from costcalc.validation.serving_rows import find_model, serving_backend

LABEL = "memory left for the cache"
POOL, WEIGHTS = "kv_pool_gib", "weights_gib"
GIB = 2.0**30
RANGE = (0.96, 1.02)
"""Logged over predicted: 28 of 29 start-ups of vLLM 0.19 lie within; Llama-4-Scout loads more than its shape."""
NARROWED = 0.15
"""Logged weights that differ by more from the checkpoint's, as a logarithm, are those of a narrower format."""
_NARROW = ("fp8", "int4")

Scored = dict[str, Any]


def score_memory(rows: Sequence[Row], catalog: Catalog | None = None) -> list[Scored]:
    """Return every row with its predicted pool [GiB per GPU] and error; `command` asks `costcalc estimate` the same.

    catalog: by default that of every command.
    """
    catalog = catalog or Catalog()
    constants = catalog.serving_efficiency()
    return [_scored(row, catalog, constants) for row in rows]


def _scored(row: Row, catalog: Catalog, constants: ServingEfficiency) -> Scored:
    nothing = dict.fromkeys(("predicted", "low", "high", "ideal", "ape"))
    scored: Scored = {**row, **nothing, "quantity": POOL, "op_class": "", "warning": "", "excluded": ""}
    try:
        q, name, gpu, options = asked_of(row, catalog, constants)
    except CostcalcError as error:
        return {**scored, "excluded": str(error)}
    layout = given_deployment(q.model, q.gpu, q.options.degrees, q.formats).layout
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget)) / GIB
    weights = weights_bytes_per_gpu(q.model, layout, q.formats)
    ideal = float(q.machine.memory * memory_share(q.machine, layout, q.budget) - weights) / GIB
    each = held_bytes_per_sequence(q.model, q.machine, layout, q.formats, row["max_length"], q.budget)
    measured = row.get(POOL)
    return {
        **scored,
        "predicted": pool,
        "low": pool * RANGE[0],
        "high": pool * RANGE[1],
        "ideal": ideal,
        "ape": abs(pool / measured - 1) if measured else None,
        "op_class": LABEL,
        "excluded": str(row.get("suspect") or "") or ("" if measured else "not measured"),
        "weights_gib_predicted": float(np.asarray(weights)) / GIB,
        "max_concurrency_predicted": max(pool, 0.0) * GIB / float(np.asarray(each)),
        "command": _command(name, gpu, options),
    }


def asked_of(row: Row, catalog: Catalog, constants: ServingEfficiency) -> tuple[Scenario, str, str, dict[str, Any]]:
    """The scenario of a row, the names of its model and GPU, and the options that ask it.

    Raises CostcalcError for what cannot be asked.
    """
    name, gpu_text = str(row["model"]), re.sub(r"\s*\(.*\)", "", str(row["gpu"]))
    model, (gpu, machine) = find_model(name, catalog), find_gpu(gpu_text, catalog)
    tensor, pipeline = int(row["tp"]), int(row.get("pp") or 1)
    backend = serving_backend({"framework": row.get("engine") or row.get("framework")}, constants)
    options: dict[str, Any] = {
        "gpus": tensor * pipeline,
        "tensor_parallel": tensor,
        "pipeline_parallel": pipeline,
        "memory_utilization": row["memory_utilization"],
        "context": row["max_length"],
        "batch": 1,
        "backend": backend,
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
    return scenario_of(model, machine, Options(**options), constants), name, gpu, options


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


def _command(model: str, gpu: str, options: dict[str, Any]) -> str:
    words = ["costcalc", "estimate", "--model", quote(model), "--gpu", quote(gpu)]
    for name, value in options.items():
        if value is not None:
            words += [OPTIONS[name].flag, quote(f"{value:g}" if isinstance(value, float) else str(value))]
    return " ".join(words)
