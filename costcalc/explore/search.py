"""Which deployment: candidate layouts, each at its best batch, the cheapest that keeps the limits; or what lacks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np

from costcalc.engine.memory import (
    cache_bytes_per_sequence_per_gpu,
    kv_pool_bytes_per_gpu,
    weights_bytes_per_gpu,
)
from costcalc.engine.parallelism import (
    Cheaper,
    Chosen,
    Degrees,
    Deployment,
    Parallelism,
    cuts,
    expert_degree,
    given_deployment,
    node_counts,
    shares_context,
    shares_latent,
    splits,
    splits_experts,
)
from costcalc.engine.roofline import machine_of, reach
from costcalc.errors import CostcalcError
from costcalc.explore.misfits import does_not_fit
from costcalc.fields import Array, Number, Record
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.attention.linear import RecurrentAttention
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import WEIGHED
from costcalc.predict.predict import (
    Prediction,
    capacity,
    predict,
    prefill_layout,
    ranks_of_prompt,
    scheduled_at_most,
    settled_batch,
    started,
)
from costcalc.predict.scenario import Scenario
from costcalc.units import counted

EXPERT_STEPS = 4
"""Expert degrees weighed: the largest, and this many halvings of it."""
FEW_REPLICAS = 8
"""Up to so many replicas any size is weighed that divides the GPUs; beyond, powers of two and whole nodes."""


def deployments_on(
    model: ModelSpec, gpu: Accelerator, gpus: int, context_parallel: int | str | None = None
) -> list[Deployment]:
    """Ways to spread a model over `gpus`: one replica or several, the customary layout of the largest first.

    GPUs that no replica takes are left idle, and are paid for. context_parallel: WEIGHED, or nothing of it is.
    """
    found = []
    for size in replica_sizes(gpu, gpus):
        replicas = gpus // size
        layouts = sharing_context(model, candidate_layouts(model, gpu, size), context_parallel)
        found += [Deployment(each, replicas, gpus - replicas * size) for each in layouts]
    return found


def sharing_context(
    model: ModelSpec, layouts: Sequence[Parallelism], context_parallel: int | str | None
) -> list[Parallelism]:
    """Layouts, behind them those whose tensor ranks share the tokens of a cache where that is WEIGHED: by powers of two
    of ranks that would hold copies."""
    found = list(layouts)
    if context_parallel != WEIGHED:
        return found
    for tensor in sorted({int(each.tp) for each in layouts}):
        degrees = [n for n in _divisors(tensor)[1:] if n & (n - 1) == 0 and shares_context(model, tensor, n)]
        found += [replace(each, cp=n) for each in layouts if each.tp == tensor for n in degrees]
    return found


def _layouts_on(q: Scenario, gpus: int) -> list[Parallelism]:
    """The layouts of one replica to weigh for a question."""
    return sharing_context(q.model, candidate_layouts(q.model, q.gpu, gpus), q.options.context_parallel)


def replica_sizes(gpu: Accelerator, gpus: int) -> list[int]:
    """GPUs of one replica to weigh, the largest first: all of them, parts, powers of two and whole nodes."""
    most = int(min(gpus, reach(gpu)))
    sizes = {gpus // parts for parts in range(1, FEW_REPLICAS + 1) if gpus % parts == 0}
    for start in {1, gpu.node_size, gpu.domain}:
        size = start
        while size <= most:
            sizes.add(size)
            size *= 2
    return sorted((size for size in sizes if size <= most), reverse=True)


def candidate_layouts(model: ModelSpec, gpu: Accelerator, gpus: int) -> list[Parallelism]:
    """Layouts of one replica on `gpus`, the customary one first.

    Tensor parallel inside a scale-up domain, pipeline stages that are whole domains or nodes, and for experts
    attention data parallelism with several degrees of expert parallelism. Data parallelism without experts is
    what replicas do. Where cards share the host's PCIe, a stage may be any part of a node; behind a switch nothing
    measured says that stages inside it are worth their bubbles, so they have to be asked for.
    """
    return list(_layouts(_Same(model), gpu.domain, gpu.node_size, not machine_of(gpu).switched, gpus))


WIDER = 4
"""Replicas of up to so many times the fewest GPUs are weighed, and of a whole node or scale-up domain."""


def single_replicas(scenario: Scenario, least: int, most: int | None = None) -> list[Deployment]:
    """One replica in every layout on every number of GPUs from `least`, which fit, to `most`."""
    q = scenario
    most = most or max(WIDER * least, q.gpu.domain, q.gpu.node_size)
    counts = [each for each in node_counts(q.gpu) if least <= each <= most]
    return [Deployment(each) for count in counts for each in _layouts_on(q, count)]


class _Same:
    """A model as the key of a cache: specifications hold tables, and are told apart by which one they are."""

    def __init__(self, model: ModelSpec) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.model is other.model


@lru_cache(maxsize=1024)
def _layouts(same: _Same, domain: int, node: int, shared: bool, gpus: int) -> tuple[Parallelism, ...]:
    """The layouts of `candidate_layouts`: many GPUs of a catalog stand in nodes and domains of one size.

    shared: whether cards share the host's PCIe.
    """
    model, stages = same.model, {domain, node}
    first = _customary(model, domain, gpus)
    found = {first: None}
    for tensor in _tensor_degrees(model, gpus, domain, int(first.tp)):
        for pipeline in _divisors(gpus // tensor):
            data = gpus // tensor // pipeline
            stage = tensor * data
            cut = pipeline == 1 or stage in stages or (shared and data == 1)
            if pipeline > model.num_layers or not cut or (data > 1 and not model.has_experts):
                continue
            for expert in _expert_degrees(model, stage):
                if not splits_experts(model, stage // expert):
                    continue
                found[Parallelism(tensor, data, expert, pipeline)] = None
    return tuple(found)


def customary_layout(model: ModelSpec, gpu: Accelerator, gpus: int) -> Parallelism:
    """The layout that such a model customarily runs in on `gpus`.

    MLA with experts runs attention data parallel with expert parallel (every rank would hold the whole
    latent under tensor parallelism); everything else runs tensor parallel inside a scale-up domain, and
    beyond it in pipeline stages, or with experts spread over all of it.
    """
    return _customary(model, gpu.domain, gpus)


def _customary(model: ModelSpec, domain: int, gpus: int) -> Parallelism:
    if model.has_experts and shares_latent(model):
        return Parallelism(1, gpus, expert_degree(model, gpus), 1)
    local = gcd(gpus, domain) if gpus > domain else gpus
    tensor = max((t for t in _divisors(local) if splits(model, t) and splits_experts(model, t)), default=1)
    rest = gpus // tensor
    if rest <= model.num_layers:
        return Parallelism(tensor, 1, 1, rest)
    return Parallelism(tensor, rest, expert_degree(model, gpus), 1)


def _tensor_degrees(model: ModelSpec, gpus: int, domain: int, customary: int) -> Iterator[int]:
    for tensor in _divisors(min(gpus, domain)):
        power_of_two = tensor & (tensor - 1) == 0
        if gpus % tensor == 0 and splits(model, tensor) and (power_of_two or tensor == customary):
            yield tensor


def _expert_degrees(model: ModelSpec, stage: int) -> list[int]:
    """Degrees of expert parallelism on a stage: the largest and its halves, and 1 (every expert on all GPUs)."""
    largest = expert_degree(model, stage)
    return list(dict.fromkeys([*(largest >> n for n in range(EXPERT_STEPS) if largest % 2**n == 0), 1]))


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


# What each of several layouts costs at its best batch, at one context or many: whole grids in one call each.


COARSE = 16
"""Batches in multiples of the ranks that are tried first; half as many below them."""
FINE = 30
"""Batches tried around the best of those."""
NEAR = 1.05
"""Where no batch keeps the limits, those that exceed them by no more than this over the least count as best."""
TIE = 1.02
"""The customary layout is kept where none is cheaper by more than this: less than a calibration can tell apart."""


class LayoutSearch(Record):
    """Layouts at their best batches; arrays of layouts by contexts."""

    deployments: tuple[Deployment, ...]
    batch: Array  # [sequences] of one replica; 0 where none fits
    held: Array  # [sequences] that one replica holds
    excess: Array  # the time limits' largest excess: up to 1 they are kept; infinite where nothing fits
    seconds: Array  # [GPU·s] of one request, those of idle GPUs included; infinite where nothing fits
    customary: bool = True  # whether the first is the customary one, which ties keep

    @property
    def fits(self) -> Array:
        """Whether what was asked for fits."""
        return np.asarray(np.isfinite(self.seconds))

    def best(self) -> Array:
        """The layout of least cost at every context: of those that keep the limits, or else come nearest to it."""
        allowed = self.excess <= _allowed(self.excess.min(axis=0))
        seconds = np.where(allowed, self.seconds, np.inf)
        cheapest = np.argmin(seconds, axis=0)
        if not self.customary:
            return np.asarray(cheapest)
        return np.where(seconds[0] <= TIE * seconds.min(axis=0), 0, cheapest)


def along_cells(values: Sequence[float] | Array) -> Array:
    """Values, such as contexts [tokens], along the axis that `search_layouts` has for the cells of a question."""
    return np.asarray(values, dtype=float)[None, :, None]


def search_layouts(scenario: Scenario, deployments: Sequence[Deployment], batch: Array | None = None) -> LayoutSearch:
    """Weigh layouts, each at its best batch.

    scenario: its lengths and bandwidth may be arrays along the second of three axes, as `along_cells` has them.
    batch: [sequences] asked for, of every cell along that axis; None where the scenario says it.
    """
    q, first = scenario, deployments[0]
    degrees = q.options.degrees
    # Beside degrees that were typed others win as they would if none were.
    customary = not degrees.layout_given or first == Deployment(customary_layout(q.model, q.gpu, first.gpus))
    deployments, held = held_by(q, deployments)
    held = held if batch is None else held + 0 * batch
    fits = (held[:, :, 0] >= 1).any(axis=1)
    shape = held.shape[:2]
    found = [np.zeros(shape), np.full(shape, np.inf), np.full(shape, np.inf)]
    if fits.any():
        # Most layouts of a large model do not fit: only the others are timed.
        kept = np.flatnonzero(fits)
        few = [deployments[int(index)] for index in kept]
        for whole, part in zip(found, _best_batches(q, few, held[kept], batch), strict=True):
            whole[kept] = part
    return LayoutSearch(tuple(deployments), found[0], held[:, :, 0], found[1], found[2], customary)


def held_by(scenario: Scenario, deployments: Sequence[Deployment]) -> tuple[list[Deployment], Array]:
    """The deployments as engines run them, and the sequences that a replica of each holds, at every context."""
    q = scenario
    deployments, runs = _as_engines_run(q, deployments)
    layouts = stacked(deployments)
    pool = kv_pool_bytes_per_gpu(q.model, q.machine, layouts, q.formats, q.budget)
    numbers = q.full_length, q.decode_context, q.output_tokens, q.machine.memory_bandwidth
    cells = np.zeros(np.broadcast_shapes((1, 1, 1), *map(np.shape, numbers)))
    held = np.asarray(started(q, layouts, pool, q.full_length)) * runs[:, None, None] + cells
    return deployments, held if q.load.prefill_gpus is None else held * _prefill_starts(q, deployments, held)


def _as_engines_run(q: Scenario, deployments: Sequence[Deployment]) -> tuple[list[Deployment], Array]:
    """The deployments with the context parallelism asked for, and which of them engines would run."""
    told = q.options.context_parallel
    degree = told if isinstance(told, int) else 1
    can = np.array([shares_context(q.model, int(each.layout.tp), degree) for each in deployments])
    if not can.any():
        hint = "plain and grouped attention and MLA have copies where tp is a multiple of KV heads × cp"
        raise CostcalcError(
            f"no {degree} tensor ranks hold copies of one cache here", where="context_parallel", hint=hint
        )
    split = [
        replace(each, layout=replace(each.layout, cp=degree)) if degree > 1 and able else each
        for each, able in zip(deployments, can, strict=True)
    ]
    # Of a layout, only two degrees say how matrices and experts are cut.
    degrees = [(int(each.layout.tp), int(each.layout.stage) // int(each.layout.ep)) for each in deployments]
    cut = {
        key: cuts(q.model, each.layout, q.formats) for key, each in dict(zip(degrees, deployments, strict=True)).items()
    }
    return split, can & np.array([cut[key] for key in degrees])


def _prefill_starts(q: Scenario, deployments: Sequence[Deployment], held: Array) -> Array:
    """Whether the GPUs told for prefill hold a whole worker, which is as large as those that decode unless told."""
    told = float(np.asarray(q.load.prefill_gpus))
    workers = np.array([int(prefill_layout(q, each.layout).gpus) for each in deployments])[:, None, None]
    fits = held >= 1
    if fits.any() and not (fits & (workers <= told)).any():
        least = int(np.broadcast_to(workers, held.shape)[fits].min())
        raise CostcalcError(
            f"{told:g} GPUs are less than a worker that prefills, which takes {least}",
            where="prefill_gpus",
            hint=f"give it {least}, or make it smaller: `prefill_tp`, `prefill_dp`",
        )
    return workers <= told


def _best_batches(q: Scenario, deployments: Sequence[Deployment], held: Array, batch: Array | None) -> list[Array]:
    """The best batch of each layout at each context, its excess of the limits and its GPU seconds a request."""
    layouts = stacked(deployments)
    price = np.array([s.gpus / s.replicas for s in deployments])[:, None, None]  # GPUs that one replica pays for
    unit = np.asarray(layouts.attention_dp * layouts.pp)
    replicas = np.array([s.replicas for s in deployments])[:, None, None]
    if batch is not None or q.options.batch or q.options.load_told:
        asked = q.options.batch if batch is None else batch
        each = settled_batch(q, layouts, replicas) if asked is None else asked
        sizes = np.broadcast_to(np.asarray(each, dtype=float), (*held.shape[:2], 1))
        return [values[..., 0] for values in (sizes, *_timed(q, layouts, price, sizes, held, replicas))]
    most = np.asarray(np.minimum(held, scheduled_at_most(q, layouts)))  # the engine runs no more
    sizes = batches_to_try(most, unit)
    chosen, found = _pick(sizes, *_timed(q, layouts, price, sizes, held, replicas))
    best, low, high = _neighbours(sizes, chosen)
    _, excess, seconds = found
    worth = _worth_another_look(deployments, excess, seconds, (high / best)[..., 0])
    again = np.flatnonzero(worth.any(axis=1))
    few = stacked([deployments[int(index)] for index in again])
    sizes = _between(best, low, high, unit)[again]
    _, better = _pick(sizes, *_timed(q, few, price[again], sizes, held[again], replicas[again]))
    for whole, part in zip(found, better, strict=True):
        whole[again] = np.where(worth[again], part, whole[again])  # a cell answers as it would alone
    return found


def _pick(sizes: Array, excess: Array, seconds: Array) -> tuple[Array, list[Array]]:
    """Which batch is best, and it with its excess and its seconds."""
    chosen = _chosen(excess, seconds)
    return chosen, [np.take_along_axis(v, chosen[..., None], axis=-1)[..., 0] for v in (sizes, excess, seconds)]


def _worth_another_look(deployments: Sequence[Deployment], excess: Array, seconds: Array, step: Array) -> Array:
    """Whether a layout may be the best of as many GPUs, in each cell: a batch `step` times as large saves no more."""
    worth = np.zeros(excess.shape, dtype=bool)
    counts = np.array([deployment.gpus for deployment in deployments])
    for gpus in set(counts.tolist()):
        same = counts == gpus
        allowed = excess[same] <= NEAR * _allowed(excess[same].min(axis=0))
        costs = np.where(allowed, seconds[same], np.inf)
        worth[same] = allowed & (costs <= TIE * step[same] * costs.min(axis=0))
    return worth


def _timed(
    q: Scenario, layouts: Parallelism, gpus: Array, sizes: Array, held: Array, replicas: Number
) -> tuple[Array, Array]:
    at = predict(q, layouts, sizes, replicas, full=False)
    excess = excess_of_limits(q, at)
    seconds = gpus * seconds_per_request(q, at)
    fits = held >= 1 if q.options.load_told else sizes <= held  # a load runs as far as memory holds, and waits
    return np.where(fits, excess, np.inf), np.where(fits, seconds, np.inf) + np.zeros(sizes.shape)


def excess_of_limits(scenario: Scenario, at: Prediction) -> Number:
    """Time per output token, or to the first one where that is limited too, over its limit: the larger ratio."""
    excess = at.time_per_output_token / scenario.tpot_limit
    limit = scenario.options.ttft
    return excess if limit is None else np.maximum(excess, at.time_to_first_token / limit)


def seconds_per_request(scenario: Scenario, at: Prediction) -> Number:
    """Time of a replica for one request [s], prefill and all decode steps: what its price is proportional to.

    Of a question of decoding alone that of its decode steps.
    """
    if scenario.decode_alone:
        return scenario.output_tokens / at.decode_tokens_per_s()
    return at.request_seconds(scenario.output_tokens)


def _allowed(least: Array) -> Array:
    """The excess that counts as keeping the limits: 1, or hardly more than the least where none keeps them."""
    return np.asarray(np.where(least <= 1.0, 1.0, NEAR * least))


def _chosen(excess: Array, seconds: Array) -> Array:
    allowed = excess <= _allowed(excess.min(axis=-1, keepdims=True))
    return np.asarray(np.argmin(np.where(allowed, seconds, np.inf), axis=-1))


def batches_to_try(most: Array, unit: Array, count: int = COARSE) -> Array:
    """Batches from 1 to `most` [sequences]: a few below `unit` ranks, and `count` multiples of it above; may repeat."""
    most, unit = np.maximum(most, 1.0), np.asarray(unit, dtype=float)
    below = np.round(np.minimum(unit, most) ** np.linspace(0, 1, count // 2))
    above = np.round(np.maximum(most / unit, 1.0) ** np.linspace(0, 1, count)) * unit
    # A share of a multiple that does not fit falls back to the largest that does, or to all that fit.
    largest = np.where(most >= unit, np.floor(most / unit) * unit, most)
    return np.concatenate([below + 0 * above[..., :1], np.minimum(above, largest)], axis=-1)


def _neighbours(sizes: Array, chosen: Array) -> tuple[Array, Array, Array]:
    """The chosen batches, and the next smaller and larger ones that were tried."""
    ordered = np.sort(sizes, axis=-1)
    best = np.take_along_axis(sizes, chosen[..., None], axis=-1)
    low = np.where(ordered < best, ordered, 1.0).max(axis=-1, keepdims=True)
    high = np.where(ordered > best, ordered, np.inf).min(axis=-1, keepdims=True)
    return best, low, np.where(np.isfinite(high), high, best)


def _between(best: Array, low: Array, high: Array, unit: Array) -> Array:
    """Batches from low to high, and the best so far."""
    between = low + (high - low) * np.linspace(0, 1, FINE)
    step = np.where(between > unit, unit, 1.0)
    return np.concatenate([best, np.clip(np.round(between / step) * step, low, high)], axis=-1)


def stacked(deployments: Sequence[Deployment]) -> Parallelism:
    """Layouts as one of arrays, along the first of three axes."""
    layouts = [s.layout for s in deployments]
    degrees = [(each.tp, each.attention_dp, each.ep, each.pp, each.cp) for each in layouts]
    return Parallelism(*np.array(degrees, dtype=np.int64).T[:, :, None, None])


def options_of(deployment: Deployment) -> dict[str, Any]:
    """The options, by keyword, that ask for a deployment and no other."""
    layout = deployment.layout
    return {
        "gpus": deployment.gpus,
        "tensor_parallel": int(layout.tp),
        "pipeline_parallel": int(layout.pp),
        "expert_parallel": int(layout.ep),
        "attention_data_parallel": int(layout.attention_dp),
        **({"context_parallel": int(layout.cp)} if layout.cp > 1 else {}),
    }


# What was not asked for: how many GPUs, which layout, which batch.


NOTABLE = 0.9
"""More GPUs are worth a note where a request takes less than this share of the GPU time on them."""


def choose_deployment(scenario: Scenario) -> Chosen:
    """Choose what was left open; raises DoesNotFit where nothing fits on the GPUs asked for."""
    asked = scenario.options.degrees
    if scenario.options.terms != "all":
        return _term(scenario)
    check_prefill_workers(scenario)
    if asked.layout_given or asked.gpus:
        found = search_layouts(scenario, deployments_asked_for(scenario))
        return _choose(scenario, found, range(len(found.deployments)))
    smallest = fewest(scenario)
    own = _own_choice(scenario, smallest[0].gpus)
    beyond = [] if scenario.options.batch else _beyond(scenario, smallest[0].gpus)
    found = search_layouts(scenario, [*own, *beyond])
    return _choose(scenario, found, range(len(own)), range(len(own), len(found.deployments)))


def _own_choice(scenario: Scenario, smallest: int) -> list[Deployment]:
    """Layouts on the fewest GPUs that fit, and on more of them inside a node: of these one is chosen."""
    counts = [smallest, *_counts_in_node(scenario, smallest)]
    return [Deployment(x) for gpus in counts for x in _layouts_on(scenario, gpus)]


NOWHERE = -1
"""The place of a deployment where nothing fits."""
BLOCK = 32_768
"""Layouts × cells × batches that are weighed at once: their arrays stay in a processor's cache."""


def choose_each(
    scenario: Scenario, along: Mapping[str, Array], batch: Array | None = None
) -> tuple[list[Deployment], Array, Array]:
    """What `choose_deployment` chooses in every cell where neither GPUs nor degrees are asked for.

    along: lengths [tokens] and bandwidths [B/s] by name, an array of cells each. batch: [sequences] of the cells,
    where it is asked for. Returns deployments, the place among them of each cell's, NOWHERE where nothing fits, and its
    batch, at least 1.
    """
    check_prefill_workers(scenario)
    cells = len(next(iter(along.values()))) if along else len(batch) if batch is not None else 1
    smallest = needed_each(scenario, along, np.full(cells, scenario.options.batch or 1) if batch is None else batch)
    known: dict[Deployment, int] = {}
    place, sizes = np.full(cells, NOWHERE), np.ones(cells) if batch is None else np.array(batch, dtype=float)
    open_batch = batch is None and not (scenario.options.batch or scenario.options.load_told)
    for gpus in np.unique(smallest[smallest > 0]).tolist():
        own = _own_choice(scenario, gpus)
        within = np.flatnonzero(smallest == gpus)
        for some in _blocks(within, len(own) * ((FINE + 1) if open_batch else 1)):
            at = scenario.over({name: along_cells(values[some]) for name, values in along.items()})
            found = search_layouts(at, own, None if batch is None else along_cells(batch[some]))
            best = _cheapest_count(at, found, range(len(own)))
            fits = found.fits.any(axis=0)
            for index in np.unique(best[fits]).tolist():
                place[some[fits & (best == index)]] = known.setdefault(found.deployments[index], len(known))
            sizes[some[fits]] = found.batch[best, np.arange(len(some))][fits]
    return list(known), place, sizes


def best_batch_each(scenario: Scenario, deployment: Deployment, along: Mapping[str, Array]) -> Array:
    """The batch of lowest cost of a deployment in every cell [sequences], at least 1.

    along: lengths [tokens] and bandwidths [B/s] by name, an array of cells each.
    """
    cells = len(next(iter(along.values()))) if along else 1
    sizes = np.ones(cells)
    for some in _blocks(np.arange(cells), FINE + 1):
        at = scenario.over({name: along_cells(values[some]) for name, values in along.items()})
        sizes[some] = np.maximum(search_layouts(at, [deployment]).batch[0], 1)
    return sizes


def _blocks(cells: Array, each: int) -> Iterator[Array]:
    """Cells in parts, such that with `each` layouts and batches of them a part is a block."""
    size = max(BLOCK // each, 1)
    for start in range(0, len(cells), size):
        yield cells[start : start + size]


def check_prefill_workers(q: Scenario) -> None:
    """Raise CostcalcError where no engine would start the workers that are told to prefill."""
    if not q.load.prefill_told:
        return
    layout = prefill_layout(q, Parallelism())
    degrees = Degrees(tp=int(layout.tp), attention_dp=int(layout.attention_dp), ep=int(layout.ep))
    try:
        given_deployment(q.model, q.gpu, degrees, q.formats)
    except CostcalcError as error:
        told = (re.sub(r"--(?=(tp|dp|ep)\b)", "--prefill-", text) for text in (error.message, error.hint or ""))
        raise CostcalcError(next(told), hint=next(told)) from None
    states = any(isinstance(layer, RecurrentAttention) for _, layer in q.model.attention_layers())
    if states and ranks_of_prompt(q) > 1:
        hint = "leave it out: states are computed one token after the other"
        raise CostcalcError(f"{q.model.name} has layers with states", where="prefill_cp", hint=hint)
    # How much of their memory such workers take for the cache is a recipe's; what cannot be held at all is refused.
    prompt = cache_bytes_per_sequence_per_gpu(q.model, layout, q.formats, q.input_tokens) / ranks_of_prompt(q)
    if np.max(weights_bytes_per_gpu(q.model, layout, q.formats) + prompt) > q.machine.memory:
        raise CostcalcError(
            f"{q.model.name} and a prompt do not fit the {counted(int(layout.gpus), 'GPU')} of a worker that prefills",
            hint="give it more GPUs: --prefill-tp, or --prefill-dp with --prefill-ep",
        )


def deployments_asked_for(scenario: Scenario) -> list[Deployment]:
    """The layout asked for, or every one to weigh on the GPUs asked for: of all degrees, or of those not typed."""
    asked = scenario.options.degrees
    if asked.layout_given:
        return _with_degrees(scenario, asked)
    assert asked.gpus is not None
    return deployments_on(scenario.model, scenario.gpu, asked.gpus, scenario.options.context_parallel)


def _with_degrees(scenario: Scenario, asked: Degrees) -> list[Deployment]:
    """Layouts that keep the degrees typed, on as many GPUs as by custom, in the order of `deployments_on`."""
    q = scenario
    customary = given_deployment(q.model, q.gpu, asked, q.formats)
    gpus = customary.gpus
    typed = {"tp": asked.tp, "pp": asked.pp, "ep": asked.ep, "attention_dp": asked.attention_dp}
    context = q.options.context_parallel
    if None not in typed.values():
        return [replace(customary, layout=each) for each in sharing_context(q.model, [customary.layout], context)]

    def kept(layout: Parallelism) -> bool:
        return all(degree in (None, int(getattr(layout, name))) for name, degree in typed.items())

    found = [each for each in deployments_on(q.model, q.gpu, gpus, context) if not each.idle and kept(each.layout)]
    # Pipelines and data parallelism that nobody would weigh unless they are typed have their experts spread, too.
    layout = customary.layout
    for expert in _expert_degrees(q.model, int(layout.stage)) if asked.ep is None and q.model.has_experts else ():
        if splits_experts(q.model, int(layout.stage) // expert, q.formats):
            found.append(replace(customary, layout=replace(layout, ep=expert)))
    return list(dict.fromkeys([*found, customary]))


def _choose(scenario: Scenario, found: LayoutSearch, own: Sequence[int], beyond: Sequence[int] = ()) -> Chosen:
    fitting = int(found.fits[own, 0].sum())
    if not fitting:
        # The layout that holds most sequences says how many would fit; where none holds any, the customary one.
        most = max(own, key=lambda index: (float(found.held[index, 0]), -index))
        raise does_not_fit(scenario, found.deployments[most], needed(scenario))
    best = int(_cheapest_count(scenario, found, own)[0])
    asked = scenario.options.degrees
    excess = float(found.excess[best, 0])
    return Chosen(
        found.deployments[best],
        float(found.batch[best, 0]) if scenario.options.load_told else int(found.batch[best, 0]),
        keeps_limits=excess <= 1.0,
        gpus_chosen=asked.gpus is None and not asked.layout_given,
        layout_chosen=not asked.layout_given,
        batch_chosen=scenario.options.batch is None and not scenario.options.load_told,
        weighed=fitting,
        cheaper=_cheaper(found, best, beyond),
    )


def _cheapest_count(q: Scenario, found: LayoutSearch, own: Sequence[int]) -> Array:
    """In every cell where any fits, the best layout of the count of GPUs that is cheapest, or of a smaller one that
    costs hardly more.

    Whoever asks about a card of PCIe has one, or the fewest that hold the model: more of them are for the cells in
    which these keep no limit.
    """
    counts: dict[int, list[int]] = {}
    for index in own:
        counts.setdefault(found.deployments[index].gpus, []).append(index)
    each = np.stack([_best(found, indices) for _, indices in sorted(counts.items())])
    cells = np.arange(each.shape[1])
    excess, seconds = found.excess[each, cells], found.seconds[each, cells]
    seconds = np.where(excess <= np.maximum(1.0, excess.min(axis=0)), seconds, np.inf)
    if not q.machine.switched:
        seconds[1:] = np.where(excess[0] <= 1.0, np.inf, seconds[1:])
    return each[np.argmax(seconds <= TIE * seconds.min(axis=0), axis=0), cells]


def _best(found: LayoutSearch, indices: Sequence[int]) -> Array:
    """In every cell the best of some layouts: of customary ones the first that fits, where none is notably cheaper."""
    some = list(indices)
    allowed = found.excess[some] <= _allowed(found.excess[some].min(axis=0))
    seconds = np.where(allowed, found.seconds[some], np.inf)
    first = np.argmax(found.fits[some], axis=0)
    near = np.take_along_axis(seconds, first[None], axis=0)[0] <= TIE * seconds.min(axis=0)
    return np.asarray(some)[np.where(near & found.customary, first, np.argmin(seconds, axis=0))]


def _cheaper(found: LayoutSearch, best: int, beyond: Iterable[int]) -> Cheaper | None:
    """The fewest more GPUs that bring most of what more GPUs can save, where that is notable."""
    ratios = found.seconds[:, 0] / found.seconds[best, 0]
    if found.excess[best, 0] > 1:
        return None
    worth = [index for index in beyond if found.excess[index, 0] <= 1 and ratios[index] < NOTABLE]
    if not worth:
        return None
    enough = min(ratios[index] for index in worth) / NOTABLE
    least = min(found.deployments[index].gpus for index in worth if ratios[index] <= enough)
    index = min((i for i in worth if found.deployments[i].gpus == least), key=lambda i: float(ratios[i]))
    return Cheaper(found.deployments[index], float(ratios[index]))


def _term(scenario: Scenario) -> Chosen:
    """A term of the bill costs the same on any number of GPUs; one shows it plainly."""
    asked, wanted = scenario.options.degrees, scenario.options.batch
    if asked == Degrees():
        deployment = Deployment(Parallelism())
    elif asked.layout_given:
        deployment = given_deployment(scenario.model, scenario.gpu, asked, scenario.formats)
    else:
        deployments = deployments_asked_for(scenario)
        deployment = next((s for s in deployments if capacity(scenario, s.layout)[1] >= (wanted or 1)), deployments[0])
    return Chosen(
        deployment,
        wanted or int(deployment.layout.attention_dp * deployment.layout.pp),
        gpus_chosen=asked == Degrees(),
        layout_chosen=not asked.layout_given,
        batch_chosen=wanted is None,
    )


def fewest(scenario: Scenario) -> list[Deployment]:
    """Layouts on the fewest GPUs that fit, whole nodes beyond the first; raises where none does."""
    gpus = needed(scenario)
    if gpus is None:
        most = node_counts(scenario.gpu)[-1]
        raise does_not_fit(scenario, Deployment(customary_layout(scenario.model, scenario.gpu, most)), None)
    return [Deployment(x) for x in _layouts_on(scenario, gpus)]


def needed(scenario: Scenario) -> int | None:
    """The fewest GPUs that fit, whole nodes beyond the first; None where no number does."""
    return int(needed_each(scenario, {}, np.array([scenario.options.batch or 1]))[0]) or None


def needed_each(scenario: Scenario, along: Mapping[str, Array], batch: Array) -> Array:
    """The fewest GPUs that fit in every cell, whole nodes beyond the first; 0 where no number does.

    along: lengths [tokens] by name, an array of cells each. batch: [sequences] of the cells.
    """
    q = scenario
    whole = float(weights_bytes_per_gpu(q.model, Parallelism(), q.formats))
    usable = float(q.machine.memory) * float(q.budget.utilization or 1.0)
    lengths = {name: values for name, values in along.items() if name != "memory_bandwidth"}
    found, left = np.zeros(len(batch), dtype=int), np.arange(len(batch))
    for gpus in node_counts(q.gpu) if q.machine.host is None else [1]:
        if gpus * usable <= whole:
            continue
        layouts = stacked([Deployment(x) for x in _layouts_on(q, gpus)])
        pool = kv_pool_bytes_per_gpu(q.model, q.machine, layouts, q.formats, q.budget)
        at = q.over({name: along_cells(values[left]) for name, values in lengths.items()})
        fits = (np.asarray(started(at, layouts, pool, at.full_length)) >= along_cells(batch[left])).any(axis=(0, 2))
        found[left[fits]] = gpus
        left = left[~fits]
        if not len(left):
            break
    return found


def _counts_in_node(scenario: Scenario, smallest: int) -> list[int]:
    """More GPUs than the smallest count inside its node: they may be cheaper, and nobody misses the rest."""
    node = scenario.gpu.node_size
    return [n for n in node_counts(scenario.gpu, most=node) if smallest < n <= node]


def _beyond(scenario: Scenario, smallest: int) -> list[Deployment]:
    """Customary layouts of one replica, and experts spread, on multiples of the smallest count and a whole domain."""
    gpu = scenario.gpu
    counts = {smallest * n for n in (2, 4, 8)} | {gpu.domain, gpu.node_size * 2}
    most = reach(gpu)
    found = []
    for gpus in sorted(n for n in counts if max(smallest, gpu.node_size) < n <= most):
        layouts = _layouts_on(scenario, gpus)
        largest = max(int(x.ep) for x in layouts)
        deployment = [x for x in layouts[1:] if x.tp == 1 and x.pp == 1 and x.ep == largest]
        found += [Deployment(x) for x in (layouts[0], *deployment)]
    return found
