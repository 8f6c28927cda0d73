"""What users see of a deployment under real traffic: requests drawn or traced, replayed through its schedulers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.parallelism import Deployment
from costcalc.errors import CostcalcError
from costcalc.explore.fleet.traffic import (
    PREFIXES,
    Coming,
    check_replayed,
    count_of,
    levels_of,
    multiple,
    offered,
    one_of,
    seed_of,
)
from costcalc.explore.search import check_prefill_workers, choose_deployment
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.predict.predict import prefill_layout
from costcalc.predict.quantities import ranges_of
from costcalc.predict.readers import read_as, values_of, whole
from costcalc.predict.scenario import Scenario, asked
from costcalc.replay.results import LoadPoint, Simulation, Verdict
from costcalc.replay.run import Pool, simulated, workers_on
from costcalc.replay.scheduler import Router
from costcalc.replay.traffic import Traffic, faster
from costcalc.units import format_rate, format_usd


@np.errstate(all="ignore")
def simulate(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    trace: str | Path | None = None,
    process: str = "poisson",
    input_lengths: str = "constant",
    output_lengths: str = "constant",
    requests: Any = None,
    speed: Any = 1.0,
    replicas: Any = 1,
    router: str = "round-robin",
    prefix_cache: str = "on",
    prefill_gpu: Accelerator | str | Path | None = None,
    loads: Any = None,
    seed: Any = 0,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Simulation:
    """Replay requests through the schedulers of a deployment, at the times that `costcalc.estimate` predicts.

    model, gpu, catalog: as of `costcalc.estimate`.
    trace: a file of requests. Without one, they come as `demand` says ('5 requests/s'), from `concurrency` users who
        ask again when they are answered, or all at once (arrivals='offline').
    process: of arrivals at a rate: poisson, constant, or gamma:CV. input_lengths, output_lengths: around the means
        input_tokens and output_tokens: constant, uniform, exponential, lognormal:CV or gamma:CV.
    requests: how many; of a trace the first so many. speed: how many times as fast they come.
    replicas: copies of the deployment that the options lead to. router: round-robin, least-loaded, or
        prefix, which is the replica that holds most of a prompt, unless it is busier than the others.
    prefix_cache: of a trace that tells prefixes: on, off, or infinite for a store elsewhere that never forgets.
    prefill_gpu: of the pool that prefills, with `disaggregated` and `prefill_gpus`, where it is another; its price is
        the default one, or of the kind that `price` names.
    loads: multiples of the load, such as '0.5:1.5:0.25', at each of which the requests are replayed once more.
    seed: of what is drawn; equal seeds give equal answers. options: those of `costcalc.estimate`; ttft and tpot [s] are
        the levels that goodput counts.
    Raises CostcalcError for names, values and layouts that cannot be, and where nothing fits.
    """
    check_replayed(options)
    copies = read_as(whole(1, 10_000), replicas, "replicas")
    way: Router = one_of(router, get_args(Router), "router")
    prefixes = one_of(prefix_cache, PREFIXES, "prefix_cache")
    load = Coming(trace, process, input_lengths, output_lengths, speed, requests, seed)
    levels, times = levels_of(options)
    coming, given = offered(load, times)
    traffic = coming.requests(count_of(load, coming.users), seed_of(seed))
    if coming.users is not None:
        given["concurrency"] = coming.users / copies
    if traffic.prefixes and prefixes != "off" and options.get("cached") is not None:
        hint = "leave it out, or say --prefix-cache off"
        raise CostcalcError("the trace tells which prefixes are cached", where="cached", hint=hint)
    multiples = () if loads is None else values_of(loads, lambda value: read_as(multiple, value, "loads"), "loads")
    if multiples and traffic.rate is None:
        raise CostcalcError("the load is no rate", where="loads", hint="say one with --demand, or a trace")
    scenario = asked(model, gpu, given, catalog)
    chosen = choose_deployment(scenario)
    one = chosen.deployment
    fleet = Deployment(one.layout, one.replicas * copies, one.idle * copies)
    price = scenario.price
    pool = None if prefill_gpu is None else _pool_of(scenario, model, prefill_gpu, given, one, catalog)

    def replayed(requests: Traffic) -> Simulation:
        return simulated(
            scenario,
            fleet,
            float(chosen.batch),
            requests,
            router=way,
            prefixes=prefixes,
            seed=None if trace is not None else seed_of(seed),
            usd_per_gpu_hour=price.usd_per_gpu_hour if price else None,
            prefill=pool,
        )

    found = replayed(traffic)
    points = tuple(LoadPoint.of(each, replayed(faster(traffic, each))) for each in multiples)
    verdicts = tuple(Verdict.of_level(found, name, level) for name, level in levels.items() if level.told)
    notes = (*_notes(scenario, traffic, trace, seed), *_for_ever(found, coming.rate))
    return replace(found, levels=verdicts, loads=points, notes=notes)


def _for_ever(found: Simulation, rate: float | None) -> Iterator[str]:
    """The note that a request costs otherwise at its rate without end: a replay draws its own, and ends with few."""
    hourly, here = found.fleet.usd_per_hour, found.usd_per_request
    if hourly is None or here is None or not rate or found.saturated or found.refused:
        return
    steady = hourly / 3600 / rate
    if abs(here / steady - 1) > 0.01:
        yield (
            f"Dollars are of this replay, until its last answer. At {format_rate(rate, '', 3).strip()} requests/s "
            f"without end, as costcalc plan counts, a request costs {format_usd(steady)}."
        )


def _pool_of(
    q: Scenario, model: Any, gpu: Any, given: Mapping[str, Any], one: Deployment, catalog: Catalog | str | Path | None
) -> Pool:
    """The pool that prefills on GPUs of its own kind."""
    if not q.disaggregated or q.load.prefill_gpus is None:
        where = "prefill_gpus" if q.disaggregated else "disaggregated"
        hint = f"add --{where.replace('_', '-')}" + (" N" if q.disaggregated else "")
        raise CostcalcError("a pool of other GPUs takes it", where="prefill_gpu", hint=hint)
    own = {name: value for name, value in given.items() if name not in _OF_DECODE}
    if _is_number(own.get("price")):
        own.pop("price")
    other = asked(model, gpu, own, catalog)
    check_prefill_workers(other)
    layout = prefill_layout(other, one.layout)
    price = other.price
    workers = workers_on(float(q.load.prefill_gpus), layout)
    return Pool(other, layout, workers, price.usd_per_gpu_hour if price else None)


_OF_DECODE = ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
"""Options that say the layout of the GPUs that decode."""


def _is_number(price: Any) -> bool:
    return isinstance(price, int | float) or (isinstance(price, str) and not price.strip()[:1].isalpha())


def _notes(scenario: Scenario, traffic: Traffic, trace: str | Path | None, seed: Any) -> list[str]:
    spread = ranges_of(scenario)
    notes = []
    if trace is not None and seed_of(seed):
        notes.append("A trace has one course, which no seed changes: --loads and --speed replay it at other rates.")
    if spread.decode and spread.prefill:
        low, high = spread.decode
        first, last = spread.prefill
        notes.append(
            f"Steps are predicted: in 8 of 10 cases measured times of decode are {low:.2f} to {high:.2f} of what is"
            f" replayed, those of prompts {first:.2f} to {last:.2f}."
        )
    if len(traffic) < 1000:
        notes.append(
            f"{len(traffic):,} requests: the 99th percentile is that of {max(len(traffic) // 100, 1)} of them."
        )
    return notes
