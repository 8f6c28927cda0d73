"""What each of several layouts costs at its best batch, at one context or many: whole grids in one call each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from costcalc.engine.memory import kv_pool_bytes_per_gpu
from costcalc.engine.parallelism import Deployment, Parallelism, cuts, shares_context
from costcalc.errors import CostcalcError
from costcalc.explore.search.layouts import customary_layout, stacked
from costcalc.fields import Array, Number, Record
from costcalc.predict.predict import Prediction, predict, prefill_layout, scheduled_at_most, settled_batch, started
from costcalc.predict.scenario import Scenario

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
        allowed = self.excess <= allowed_excess(self.excess.min(axis=0))
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
        allowed = excess[same] <= NEAR * allowed_excess(excess[same].min(axis=0))
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


def allowed_excess(least: Array) -> Array:
    """The excess that counts as keeping the limits: 1, or hardly more than the least where none keeps them."""
    return np.asarray(np.where(least <= 1.0, 1.0, NEAR * least))


def _chosen(excess: Array, seconds: Array) -> Array:
    allowed = excess <= allowed_excess(excess.min(axis=-1, keepdims=True))
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
