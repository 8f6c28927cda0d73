"""What users see of a deployment under real traffic: requests drawn or traced, replayed through its schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.parallelism import Deployment
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.explore.search import choose_deployment
from costcalc.fields import Record
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import read_option, values_of, whole
from costcalc.predict.quantities import ranges_of
from costcalc.predict.scenario import DEFAULT_INPUT, DEFAULT_OUTPUT, Scenario, asked
from costcalc.replay.results import LoadPoint, Simulation
from costcalc.replay.run import simulated
from costcalc.replay.scheduler import Router
from costcalc.replay.traffic import LENGTHS, PROCESSES, Traffic, drawn, drawn_by, faster, read_trace
from costcalc.units import parse_demand, parse_quantity

DEFAULT_REQUESTS = 10_000
MOST_REQUESTS = 2_000_000
MOST_MULTIPLE = 1e4
PREFIXES = ("on", "off", "infinite")
_FOLLOWS = {
    "batch": "the batch follows from the requests; --max-num-seqs bounds it",
    "context": "contexts follow from the requests: --input and --output",
    "utilization": "idle hours follow from the requests, and are paid",
    "terms": "a scheduler waits for whole steps; ask costcalc estimate --terms",
}
"""Options of an estimate that a replay finds out itself."""


class Coming(Record):
    """How requests come, as asked."""

    trace: str | Path | None = None
    process: str = "poisson"
    input_lengths: str = "constant"
    output_lengths: str = "constant"
    speed: Any = 1.0
    requests: Any = None
    seed: Any = 0


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
    loads: multiples of the load, such as '0.5:1.5:0.25', at each of which the requests are replayed once more.
    seed: of what is drawn; equal seeds give equal answers. options: those of `costcalc.estimate`; ttft and tpot [s] are
        the levels that goodput counts.
    Raises CostcalcError for names, values and layouts that cannot be, and where nothing fits.
    """
    for name, why in _FOLLOWS.items():
        if options.get(name) is not None:
            raise CostcalcError("a replay has none", where=name, hint=why)
    copies = _read(whole(1, 10_000), replicas, "replicas")
    way: Router = _one_of(router, get_args(Router), "router")
    prefixes = _one_of(prefix_cache, PREFIXES, "prefix_cache")
    load = Coming(trace, process, input_lengths, output_lengths, speed, requests, seed)
    traffic, given = _traffic(load, options, copies)
    if traffic.prefixes and prefixes != "off" and options.get("cached") is not None:
        hint = "leave it out, or say --prefix-cache off"
        raise CostcalcError("the trace tells which prefixes are cached", where="cached", hint=hint)
    multiples = () if loads is None else values_of(loads, lambda value: _read(_multiple, value, "loads"), "loads")
    if multiples and traffic.rate is None:
        raise CostcalcError("the load is no rate", where="loads", hint="say one with --demand, or a trace")
    scenario = asked(model, gpu, given, catalog)
    chosen = choose_deployment(scenario)
    one = chosen.deployment
    fleet = Deployment(one.layout, one.replicas * copies, one.idle * copies)
    price = scenario.price

    def replayed(requests: Traffic) -> Simulation:
        return simulated(
            scenario,
            fleet,
            float(chosen.batch),
            requests,
            router=way,
            prefixes=prefixes,
            seed=None if trace is not None else _seed(seed),
            usd_per_gpu_hour=price.usd_per_gpu_hour if price else None,
        )

    found = replayed(traffic)
    points = tuple(LoadPoint.of(each, replayed(faster(traffic, each))) for each in multiples)
    return replace(found, loads=points, notes=tuple(_notes(scenario, traffic)))


def _multiple(value: Any) -> float:
    number = parse_quantity(value, "count", positive=True)
    if number > MOST_MULTIPLE:
        raise CostcalcError(f"{shown(value)} is out of range", hint=f"it must be at most {MOST_MULTIPLE:,.0f}")
    return number


def _traffic(load: Coming, options: Mapping[str, Any], copies: int) -> tuple[Traffic, dict[str, Any]]:
    """The requests, and the options of the scenario that they make."""
    speed = _read(_multiple, load.speed, "speed")
    count = None if load.requests is None else _read(whole(1, MOST_REQUESTS), load.requests, "requests")
    told = dict(options)
    if load.trace is not None:
        for name in ("input_tokens", "output_tokens", "demand", "concurrency", "arrivals", "lengths"):
            if told.get(name) is not None:
                raise CostcalcError("a trace tells it", where=name, hint="leave one of them out")
        for name in ("process", "input_lengths", "output_lengths"):
            if getattr(load, name) != Coming.__dataclass_fields__[name].default:
                raise CostcalcError("nothing is drawn beside a trace", where=name, hint="leave one of them out")
        traffic = read_trace(load.trace)
        if count is not None:
            traffic = _first(traffic, count)
        return faster(traffic, speed), {
            **told,
            "input_tokens": _mean(traffic.inputs),
            "output_tokens": _mean(traffic.outputs),
        }
    return _drawn(load, told, count, speed, copies)


def _mean(lengths: Any) -> float:
    return float(np.mean(lengths))


def _first(traffic: Traffic, count: int) -> Traffic:
    return replace(
        traffic,
        arrivals=traffic.arrivals[:count],
        inputs=traffic.inputs[:count],
        outputs=traffic.outputs[:count],
        prefixes=traffic.prefixes[:count],
    )


def _drawn(
    load: Coming, told: dict[str, Any], count: int | None, speed: float, copies: int
) -> tuple[Traffic, dict[str, Any]]:
    lengths = (
        read_option("input_tokens", told.get("input_tokens")) or DEFAULT_INPUT,
        read_option("output_tokens", told.get("output_tokens")) or DEFAULT_OUTPUT,
    )
    draws = (
        drawn_by(load.process, PROCESSES, "process"),
        drawn_by(load.input_lengths, LENGTHS, "input_lengths"),
        drawn_by(load.output_lengths, LENGTHS, "output_lengths"),
    )
    demand, arrivals = told.get("demand"), read_option("arrivals", told.get("arrivals"))
    users = read_option("concurrency", told.get("concurrency"))
    if arrivals == "static":
        raise CostcalcError("a static batch has no scheduler", where="arrivals", hint="ask costcalc estimate")
    if sum((demand is not None, users is not None, arrivals == "offline")) != 1:
        hint = "say one of --demand '5 requests/s', --concurrency 64, --arrivals offline or --trace FILE"
        raise CostcalcError("the load is told twice" if demand or users else "there is no load to replay", hint=hint)
    rate = None
    if demand is not None:
        read = _read(lambda value: parse_demand(str(value)), demand, "demand")
        rate = speed * (read.per_second if read.of == "requests" else read.per_second / lengths[1])
    elif load.process != "poisson" or speed != 1:
        where = "process" if load.process != "poisson" else "speed"
        raise CostcalcError("requests come at no rate", where=where, hint="say one with --demand")
    loop = None if users is None else max(round(users), 1)
    number = count or (DEFAULT_REQUESTS if loop is None else max(DEFAULT_REQUESTS, 10 * loop))
    if number > MOST_REQUESTS:
        hint = "ask for fewer users, or say --requests"
        raise CostcalcError(f"{loop:,} users make more than {MOST_REQUESTS:,} requests", where="concurrency", hint=hint)
    told.pop("demand", None)
    if loop is not None:
        told["concurrency"] = users / copies
    source = _said(load, rate, loop)
    return drawn(number, rate, loop, lengths, draws, _seed(load.seed), source), told


def _said(load: Coming, rate: float | None, users: int | None) -> str:
    if users is not None:
        how = f"{users:,} users, each of whom asks again when answered"
    elif rate is None:
        how = "all at once"
    else:
        how = f"{rate:.4g} requests/s asked for, {load.process}"
    return f"{how}; input {load.input_lengths}, output {load.output_lengths}"


def _notes(scenario: Scenario, traffic: Traffic) -> list[str]:
    spread = ranges_of(scenario)
    notes = []
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


def _seed(value: Any) -> int:
    return _read(whole(0, 2**32 - 1), value, "seed")


def _read(read: Any, value: Any, where: str) -> Any:
    try:
        return read(value)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=where, hint=error.hint) from None


def _one_of(value: str, words: tuple[str, ...], where: str) -> Any:
    word = str(value).strip().lower()
    if word not in words:
        hint = did_you_mean(word, words) or f"one of {', '.join(words)}"
        raise CostcalcError(f"{shown(value)} is unknown", where=where, hint=hint)
    return word
