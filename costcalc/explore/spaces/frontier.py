"""The frontier of a space: tokens/s per user against tokens/s per GPU and dollars, of every layout and batch at once.

Models, GPUs, formats, engines and pools together or apart are combinations; layouts and batches of each are one call of
the engine. What no other configuration of the model beats stays, and beside it what cannot be told apart from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.latency.op_times import Efficiency
from costcalc.engine.parallelism import Deployment, DoesNotFit, layout_name
from costcalc.errors import CostcalcError
from costcalc.explore.assumptions import of_the_price
from costcalc.explore.compare import mixed_prices
from costcalc.explore.search import (
    batches_to_try,
    deployments_asked_for,
    does_not_fit,
    fewest,
    held_by,
    needed,
    options_of,
    single_replicas,
    stacked,
)
from costcalc.fields import Array, Record, Result
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.predict.odds import HALF, deviation, deviation_between
from costcalc.predict.options import WEIGHED, Options, command_of, read_option
from costcalc.predict.predict import predict, scheduled_at_most
from costcalc.predict.quantities import BLENDED, Answered, numbers_of
from costcalc.predict.readers import is_several, read_as, values_of
from costcalc.predict.results import Range, plain_tree
from costcalc.predict.scenario import Scenario, asked_by, counted, scenario_of, the_gpu, the_model
from costcalc.units import counted as number_of
from costcalc.units import format_seconds

Several = str | Path | Sequence[Any]
USER, RATE = "serving.tokens_per_s_per_user", "serving.output_tokens_per_s_per_gpu"
TPOT, TTFT = "serving.time_per_output_token_s", "serving.time_to_first_token_s"
TOLD = {
    "tokens_per_s_per_user": USER,
    "tokens_per_s_per_gpu": RATE,
    "usd_per_million_output_tokens": "cost.usd_per_million_output_tokens",
    "usd_per_million_blended_tokens": BLENDED,
    "time_per_output_token_s": TPOT,
    "time_to_first_token_s": TTFT,
}
"""Numbers of a point, and where they stand in the tree of its estimate."""
WANTED = frozenset({*TOLD.values(), "serving.prefill_gpus"})

SPANNED = ("weights", "kv_cache", "activations", "backend", "tuning", "drafts", "gpus", "disaggregated")
"""Options that may have several values: each combination of them is a part of the space."""
ALL = "all"
BATCHES = 32
"""Batches of a layout that are weighed above one sequence for each rank."""
ALIKE = 8
"""Layouts off the frontier that a set names, and other combinations: so many of each, those nearest to it."""


class Configuration(Record):
    """What a combination of the space is, layout and batch apart."""

    model: str
    gpu: str
    weights: str
    kv_cache: str
    activations: str
    backend: str | None
    tuning: str
    drafts: int
    disaggregated: bool
    usd_per_gpu_hour: float | None


class Point(Configuration):
    """One configuration on the frontier of its model, or one that cannot be told apart from it."""

    gpus: int  # of all replicas; of pools apart, those that decode
    prefill_gpus: float | None  # of a pool of its own
    layout: str
    batch: int  # sequences of one replica
    input_tokens: float
    output_tokens: float
    tokens_per_s_per_user: float
    tokens_per_s_per_gpu: float
    usd_per_million_output_tokens: float | None
    usd_per_million_blended_tokens: float | None
    time_per_output_token_s: float
    time_to_first_token_s: float
    set: int  # points of a model with one number cannot be told apart
    frontier: tuple[str, ...]  # that it is on, by the number that stands against tokens/s per user
    command: str  # the estimate that gives these numbers
    tokens_per_s_per_user_range: Range | None = None
    tokens_per_s_per_gpu_range: Range | None = None
    usd_per_million_output_tokens_range: Range | None = None
    usd_per_million_blended_tokens_range: Range | None = None
    time_per_output_token_s_range: Range | None = None
    time_to_first_token_s_range: Range | None = None


class Front(Record):
    """The frontier of one combination alone, the fastest for a user first: a line of a chart."""

    of: Configuration
    numbers: Mapping[str, Array]  # those of TOLD by path, '<path>_range.low' and '.high' at 80% coverage
    reaches: int  # how many of its configurations are on the frontier of the model


class Frontier(Result):
    """What nothing else of the space beats, and what cannot be told apart from it."""

    title: str
    points: tuple[Point, ...]  # by model and set, the fastest for a user first
    fronts: tuple[Front, ...]
    cells: int  # configurations that fit and keep the limits
    input_tokens: float
    output_tokens: float
    efficiency: str
    notes: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Title, and how many of the configurations nothing beats."""
        return f"{self.title}: {number_of(len(self.points), 'point')} of {self.cells:,} configurations"

    def to_dict(self) -> dict[str, Any]:
        """`{"title", "cells", "points": [{"model", "gpu", ...}], "notes"}`; ranges that are none are left out."""
        rows = plain_tree(self.points)
        return {"title": self.title, "cells": self.cells, "points": rows, "notes": list(self.notes)}


class Beyond(CostcalcError):
    """Configurations fit, but none keeps the limits asked for."""


@np.errstate(all="ignore")
def frontier(
    models: ModelSpec | Several,
    accelerators: Accelerator | Several,
    /,
    *,
    max_gpus: int | str | None = None,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Frontier:
    """Weigh every layout and batch of models on GPUs, and return what nothing else of the space beats.

    Each model has a frontier of its own: tokens/s per user against tokens/s per GPU, and against $/M blended.

    models, accelerators: one or several, as `costcalc.estimate` takes them; 'all' is every one of the catalog.
    max_gpus: GPUs of one deployment, those that prefill included; default: four times the fewest that fit, or a whole
        node or scale-up domain. `gpus` and degrees that are given are kept instead.
    options: those of `costcalc.estimate`. Several values are allowed of batch, which are then the ones weighed, and of
        weights, kv_cache, activations, backend, tuning, drafts, gpus and disaggregated. What takes longer than tpot or
        ttft [s] is left out.
    Raises CostcalcError for names and values that cannot be, and where nothing fits or keeps the limits.
    """
    folders = catalog_of(catalog)
    _refuse_loads(options)
    limits = {name: read_option(name, options.pop(name, None)) for name in ("tpot", "ttft")}
    limits["max_gpus"] = _most_gpus(max_gpus)
    batches = _batches(options.pop("batch", None))
    specs = [(asked_by(each), the_model(each, folders)) for each in named(models, "models", folders)]
    cards = []
    for each in named(accelerators, "hardware_profiles", folders):
        name, given = counted(each, options)
        cards.append((asked_by(name), the_gpu(name, folders), given))
    points: list[Point] = []
    fronts: list[Front] = []
    lacking: dict[tuple[str, str], CostcalcError] = {}
    constants = folders.serving_efficiency()
    efficiencies: dict[tuple[Any, ...], Efficiency] = {}
    scenarios, cells = [], 0
    for model, spec in specs:
        parts: list[Part] = []
        for name, gpu, given in cards:
            for each in _combinations(given):
                read = Options(**each)
                try:
                    scenario = scenario_of(spec, gpu, read, constants)
                    # The same of every model: its curves are found once.
                    key = (name, scenario.backend, read.tuning, read.imbalance)
                    scenario = replace(scenario, efficiency=efficiencies.setdefault(key, scenario.efficiency))
                    parts.append(_part((model, name), scenario, limits, batches))
                except CostcalcError as error:
                    # What was typed wrongly is no part of a space, and ends it.
                    if not isinstance(error, DoesNotFit | Beyond) and error.where not in (None, "price"):
                        raise
                    lacking.setdefault((spec.name, gpu.name), error)
        if parts:
            scenarios += [part.scenario for part in parts]
            cells += sum(len(part.batch) for part in parts)
            found, lines = _of_model(parts, folders.typed())
            points += found
            fronts += lines
    if not points:
        raise next(iter(lacking.values()))
    q = scenarios[0]
    answered = {(each.of.model, each.of.gpu) for each in fronts}
    return Frontier(
        f"Frontier of {_some([spec.name for _, spec in specs])} on {_some([gpu.name for _, gpu, _ in cards])}",
        tuple(points),
        tuple(fronts),
        cells,
        float(q.input_tokens),
        float(q.output_tokens),
        q.options.efficiency,
        (
            *mixed_prices(scenarios),
            *_left_out({pair: error for pair, error in lacking.items() if pair not in answered}),
            *dict.fromkeys(note for q in scenarios for note in of_the_price(q, q.price)),
        ),
    )


# What is asked: names, and values of which there are several.


def _refuse_loads(options: Mapping[str, Any]) -> None:
    for name in ("arrivals", "concurrency", "requests", "demand"):
        if options.get(name) is not None:
            raise CostcalcError("a frontier has every batch instead", where=name, hint="ask costcalc estimate")
    if options.get("terms") not in (None, ALL):
        raise CostcalcError("a term of the bill has no frontier", where="terms", hint="leave it out")


def _most_gpus(given: int | str | None) -> int | None:
    return None if given is None else int(read_as(partial(read_option, "gpus"), given, "max_gpus"))


def named(given: Any, kind: Any, catalog: Catalog) -> list[Any]:
    """Return the models or GPUs asked for; 'all' is every one that the catalog has."""
    listed = list(given) if isinstance(given, list | tuple) else [given]
    if not listed:
        raise CostcalcError(
            "the list is empty", where="models" if kind == "models" else "accelerators", hint="name one or more"
        )
    return [each for name in listed for each in ([x.name for x in catalog.entries(kind)] if name == ALL else [name])]


def _some(names: Sequence[str], most: int = 3) -> str:
    different = list(dict.fromkeys(names))
    more = f" and {len(different) - most} more" if len(different) > most else ""
    return ", ".join(different[:most]) + more


def _batches(given: Any) -> Array | None:
    """The batches asked for [sequences], or None where they are to be chosen."""
    if given is None or (not is_several(given) and read_option("batch", given) is None):
        return None
    listed = given if is_several(given) else [given]
    return np.asarray(sorted(values_of(listed, lambda each: read_option("batch", each), "batch")), dtype=float)


def _combinations(options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Options of every combination of values, of which SPANNED may have several."""
    spanned = {name: _values(name, options[name]) for name in SPANNED if options.get(name) is not None}
    for values in product(*spanned.values()):
        yield {**options, **dict(zip(spanned, values, strict=True))}


def _values(name: str, given: Any) -> Sequence[Any]:
    if isinstance(given, str) and name not in ("gpus", "drafts"):
        given = re.split(r"\s*,\s*(?![a-z_]+=)", given.strip())  # a comma before 'attention=' is inside of a format
    if not is_several(given):
        return [given]
    return values_of(given, lambda each: read_option(name, each), name)


def _left_out(lacking: Mapping[tuple[str, str], CostcalcError]) -> Iterator[str]:
    """What was asked for and has no point: the reason of one, or the names of several with the same kind of reason."""
    said: dict[tuple[str, str], list[tuple[str, CostcalcError]]] = {}
    for (model, gpu), error in lacking.items():
        kind = "does not fit on" if isinstance(error, DoesNotFit) else "keeps no limit on"
        kind = kind if isinstance(error, DoesNotFit | Beyond) else str(error)
        said.setdefault((model, kind), []).append((gpu, error))
    for (model, kind), gpus in said.items():
        one = kind.startswith(("does", "keeps")) and len(gpus) > 1
        yield f"{model} {kind} {_some([gpu for gpu, _ in gpus], 6)}." if one else f"{gpus[0][1]}."


# One combination: every layout and batch of it, by one call of the engine.


class Part(Record):
    """The configurations of one combination that fit and keep the limits, as arrays."""

    asked: tuple[str, str]  # the model and the GPU as a command names them
    scenario: Scenario
    usd_per_gpu_hour: float | None
    deployments: tuple[Deployment, ...]
    place: Array  # of the deployment
    batch: Array  # [sequences]
    numbers: Mapping[str, Array]


def _part(asked: tuple[str, str], q: Scenario, limits: Mapping[str, Any], batches: Array | None) -> Part:
    """Predict every layout and batch; raises DoesNotFit where none fits, Beyond where none keeps the limits."""
    weighed = _weighed(q, limits["max_gpus"])
    deployments, held = held_by(q, weighed)
    held = held[:, :, :1]
    kept = np.flatnonzero(held[:, 0, 0] >= (1 if batches is None else batches[0]))
    if not len(kept):
        raise does_not_fit(q, deployments[0], needed(q))
    deployments, held = [deployments[int(index)] for index in kept], held[kept]
    layouts = stacked(deployments)
    if batches is None:
        most = np.asarray(np.minimum(held, scheduled_at_most(q, layouts)))
        sizes = _distinct(batches_to_try(most, np.asarray(layouts.attention_dp * layouts.pp), BATCHES))
    else:
        sizes = np.broadcast_to(batches, (len(deployments), 1, len(batches)))
    replicas = np.array([each.replicas for each in deployments])[:, None, None]
    gpus = np.array([each.gpus for each in deployments])[:, None, None]
    price = q.price
    usd = None if price is None else price.usd_per_gpu_hour
    at = predict(q, layouts, sizes, replicas, full=False)
    found = numbers_of(Answered(q, replicas, gpus, at, usd, q.options.utilization), WANTED)
    numbers = {path: np.broadcast_to(values, sizes.shape) for path, values in found.items()}
    fits = (sizes <= held) & (np.diff(sizes, axis=-1, prepend=0.0) > 0)
    right = fits & _kept(q, numbers, np.broadcast_to(gpus, sizes.shape), limits, fits)
    place, _, _ = np.nonzero(right)
    columns = {path: values[right] for path, values in numbers.items()}
    return Part(asked, q, usd, tuple(deployments), place, sizes[right], columns)


def _distinct(sizes: Array) -> Array:
    """The different batches of each layout in their order, the largest repeated where others have more of them."""
    ordered = np.sort(sizes, axis=-1)
    repeated = np.diff(ordered, axis=-1, prepend=0.0) == 0
    packed = np.sort(np.where(repeated, np.inf, ordered), axis=-1)
    packed = packed[..., np.isfinite(packed).any(axis=(0, 1))]
    return np.where(np.isfinite(packed), packed, ordered[..., -1:])


def _weighed(q: Scenario, most: int | None) -> list[Deployment]:
    """The layouts asked for, or those of one replica on every number of GPUs from the fewest that fit."""
    asked = q.options.degrees
    if asked.layout_given or asked.gpus:
        # A GPU that no replica takes is no part of a deployment whose command says its degrees.
        return list(dict.fromkeys(replace(each, idle=0) for each in deployments_asked_for(q)))
    least = fewest(q)[0].gpus
    if most is not None and least > most:
        raise Beyond(
            f"{q.model.name} on {q.gpu.name} takes {least} GPUs",
            where="max_gpus",
            hint=f"allow {least}, or narrow --weights",
        )
    return single_replicas(q, least, most)


def _kept(q: Scenario, numbers: Mapping[str, Array], gpus: Array, limits: Mapping[str, Any], fits: Array) -> Array:
    """Whether each cell keeps the limits; raises Beyond where none that fits does, with what comes nearest."""
    right = np.ones(gpus.shape, dtype=bool)
    in_all = gpus + np.ceil(numbers.get("serving.prefill_gpus", np.zeros(1)))
    for name, values in (("tpot", numbers[TPOT]), ("ttft", numbers[TTFT]), ("max_gpus", in_all)):
        if limits[name] is None:
            continue
        right = right & (values <= limits[name])
        if not (fits & right).any():
            nearest = float(values[fits].min())
            least = f"{nearest:.0f}" if name == "max_gpus" else format_seconds(nearest)
            raise Beyond(
                f"no configuration of {q.model.name} on {q.gpu.name} keeps it", where=name, hint=f"the least is {least}"
            )
    return right


# The frontier of a model over its combinations.


def undominated(first: Array, second: Array) -> Array:
    """Whether no other is at least as large in both of two numbers, and larger in one; what is nan is dominated."""
    known = np.flatnonzero(np.isfinite(first) & np.isfinite(second))
    kept = np.zeros(len(first), dtype=bool)
    order = known[np.argsort(-first[known], kind="stable")]
    if not len(order):
        return kept
    x, y = first[order], second[order]
    # Of those whose firsts are equal, the largest second has to exceed all whose firsts are larger.
    heads = np.flatnonzero(np.diff(x, prepend=np.inf) != 0)
    largest = np.maximum.reduceat(y, heads)
    exceeds = largest > np.concatenate([[-np.inf], np.maximum.accumulate(largest)[:-1]])
    group = np.repeat(np.arange(len(heads)), np.diff(np.append(heads, len(x))))
    kept[order] = (y == largest[group]) & exceeds[group]
    return kept


def _of_model(parts: Sequence[Part], sources: Sequence[str]) -> tuple[list[Point], list[Front]]:
    """The points of one model, and the frontier of each of its combinations alone."""
    sizes = [len(part.batch) for part in parts]
    part = np.repeat(np.arange(len(parts)), sizes)
    within = np.concatenate([np.arange(size) for size in sizes])
    user, rate, cost = (np.concatenate([each.numbers[path] for each in parts]) for path in (USER, RATE, BLENDED))
    by = {"tokens_per_s_per_gpu": undominated(user, rate), "usd_per_million_blended_tokens": undominated(user, -cost)}
    best = np.logical_or.reduce(list(by.values()))
    line = np.cumsum(np.diff(part, prepend=0) + np.diff(np.concatenate([each.place for each in parts]), prepend=0) != 0)
    error = np.array([deviation(each.scenario) for each in parts])[part]
    points = []
    logs = np.log(np.stack([user, rate, cost]))
    for number, members in enumerate(_sets(logs, part, line, error, best), start=1):
        for index in members:
            on = tuple(name for name, front in by.items() if front[index])
            points.append(_point(parts[part[index]], int(within[index]), number, on, sources))
    fronts = []
    for number, each in enumerate(parts):
        own = np.flatnonzero(undominated(each.numbers[USER], each.numbers[RATE]))
        own = own[np.argsort(-each.numbers[USER][own], kind="stable")]
        numbers = {path: values[own] for path, values in each.numbers.items()}
        fronts.append(Front(_configuration(each), numbers, int(best[part == number].sum())))
    return points, fronts


def _sets(logs: Array, part: Array, line: Array, error: Array, best: Array) -> Iterator[list[int]]:
    """Yield what cannot be told apart from the fastest point of the frontier that is in no set yet.

    Two cannot where all of their numbers differ by less than the range of their ratio at 80% coverage; errors of one
    combination have a part in common. Behind the points of the frontier, the fastest first, come
    the nearest of its other layouts, one batch of each, and of other combinations, one layout and batch of each.

    logs: logarithms of the numbers, a row each. part, line: the combination, and with its layout, of every cell.
    error: standard deviation of its time, in logarithms. best: whether it is on a frontier.
    """
    left = [int(index) for index in np.lexsort((-logs[1], -logs[0])) if best[index]]
    while left:
        head = left[0]
        apart = np.abs(logs - logs[:, head, None])
        furthest = np.max(np.where(np.isnan(apart), 0.0, apart), axis=0)  # an unknown price tells nothing apart
        alike = furthest <= HALF * deviation_between(error, error[head], part == part[head])
        members = [index for index in left if alike[index]]
        left = [index for index in left if not alike[index]]
        others = np.flatnonzero(alike & ~best & ~np.isin(line, line[members]))
        others = others[np.argsort(furthest[others], kind="stable")]
        own = part[others] == part[head]
        _, layouts = np.unique(line[others[own]], return_index=True)
        elsewhere = others[~own & ~np.isin(part[others], part[members])]
        _, combinations = np.unique(part[elsewhere], return_index=True)
        near = [*others[own][np.sort(layouts)[:ALIKE]], *elsewhere[np.sort(combinations)[:ALIKE]]]
        yield members + [int(index) for index in near]


def _configuration(part: Part) -> Configuration:
    q = part.scenario
    return Configuration(
        q.model.name,
        q.gpu.name,
        q.weights_name,
        q.formats.cache.name,
        q.formats.compute,
        q.backend,
        q.options.tuning,
        int(q.drafts),
        q.options.disaggregated,
        part.usd_per_gpu_hour,
    )


def _point(part: Part, index: int, number: int, on: tuple[str, ...], sources: Sequence[str]) -> Point:
    deployment = part.deployments[part.place[index]]
    batch = int(part.batch[index])
    known = {path: float(values[index]) for path, values in part.numbers.items()}
    told: dict[str, Any] = {}
    for name, path in TOLD.items():
        there = not np.isnan(known[path])
        told[name] = known[path] if there else None
        if there and f"{path}_range.low" in known:
            told[f"{name}_range"] = known[f"{path}_range.low"], known[f"{path}_range.high"]
    own = _configuration(part)
    return Point(
        **{name: getattr(own, name) for name in own.__dataclass_fields__},
        gpus=deployment.gpus,
        prefill_gpus=known.get("serving.prefill_gpus"),
        layout=layout_name(deployment),
        batch=batch,
        input_tokens=float(part.scenario.input_tokens),
        output_tokens=float(part.scenario.output_tokens),
        set=number,
        frontier=on,
        command=command_of(*part.asked, _options_of(part, deployment, batch), sources),
        **told,
    )


def _options_of(part: Part, deployment: Deployment, batch: int) -> dict[str, Any]:
    """The options of the estimate that is one point."""
    degrees = {**options_of(deployment), "batch": batch}
    told = {name: value for name, value in part.scenario.options.told.items() if value != WEIGHED}
    return {**degrees, **{name: value for name, value in told.items() if name not in degrees}}
