"""What each of several layouts costs at its best batch, at one context or many: whole grids in one call each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costcalc.arrays import Number
from costcalc.engine.layout import Layout
from costcalc.engine.memory import kv_pool_bytes_per_gpu
from costcalc.explore.evaluate import Evaluation, evaluate, sequences_held
from costcalc.explore.layouts import Spread
from costcalc.explore.question import Question
from costcalc.frozen import Record

Array = NDArray[Any]
COARSE = 16
"""Batches in multiples of the ranks that are tried first; half as many below them."""
FINE = 30
"""Batches tried around the best of those."""
NEAR = 1.05
"""Where no batch keeps the limits, those that exceed them by no more than this over the least count as best."""
TIE = 1.02
"""The customary layout is kept where none is cheaper by more than this: less than a calibration can tell apart."""


class Weighed(Record):
    """Layouts at their best batches; arrays of layouts by contexts."""

    spreads: tuple[Spread, ...]
    batch: Array  # [sequences] of one replica; 0 where none fits
    held: Array  # [sequences] that one replica holds
    excess: Array  # the time limits' largest excess: up to 1 they are kept; infinite where nothing fits
    seconds: Array  # [GPU·s] of one request, those of idle GPUs included; infinite where nothing fits

    @property
    def fits(self) -> Array:
        """Whether what was asked for fits."""
        return np.asarray(np.isfinite(self.seconds))

    def best(self) -> Array:
        """The layout of least cost at every context: of those that keep the limits, or else come nearest to it."""
        allowed = self.excess <= _allowed(self.excess.min(axis=0))
        seconds = np.where(allowed, self.seconds, np.inf)
        cheapest = np.argmin(seconds, axis=0)
        return np.where(seconds[0] <= TIE * seconds.min(axis=0), 0, cheapest)


def along_cells(values: Sequence[float] | Array) -> Array:
    """Values, such as contexts [tokens], along the axis that `weigh` has for the cells of a question."""
    return np.asarray(values, dtype=float)[None, :, None]


def weigh(question: Question, spreads: Sequence[Spread]) -> Weighed:
    """Weigh layouts, each at its best batch.

    question: its lengths and bandwidth may be arrays along the second of three axes, as `along_cells` has them.
    """
    q = question
    layouts = _stacked(spreads)
    pool = kv_pool_bytes_per_gpu(q.model, q.machine, layouts, q.formats, q.budget)
    numbers = q.full_length, q.decode_context, q.output_tokens, q.machine.memory_bandwidth
    cells = np.zeros(np.broadcast_shapes((1, 1, 1), *map(np.shape, numbers)))
    held = np.asarray(sequences_held(q, layouts, pool, q.full_length)) + cells
    fits = (held[:, :, 0] >= 1).any(axis=1)
    shape = held.shape[:2]
    found = [np.zeros(shape), np.full(shape, np.inf), np.full(shape, np.inf)]
    if fits.any():
        # Most layouts of a large model do not fit: only the others are timed.
        kept = np.flatnonzero(fits)
        few = [spreads[int(index)] for index in kept]
        for whole, part in zip(found, _best_batches(q, few, held[kept]), strict=True):
            whole[kept] = part
    return Weighed(tuple(spreads), found[0], held[:, :, 0], found[1], found[2])


def _best_batches(q: Question, spreads: Sequence[Spread], held: Array) -> list[Array]:
    """The best batch of each layout at each context, its excess of the limits and its GPU seconds a request."""
    layouts = _stacked(spreads)
    price = np.array([s.gpus / s.replicas for s in spreads])[:, None, None]  # GPUs that one replica pays for
    unit = np.asarray(layouts.data * layouts.pipeline)
    if q.options.batch:
        sizes = np.full((*held.shape[:2], 1), float(q.options.batch))
        return [values[..., 0] for values in (sizes, *_timed(q, layouts, price, sizes, held))]
    sizes = batches_to_try(held, unit)
    chosen, found = _pick(sizes, *_timed(q, layouts, price, sizes, held))
    best, low, high = _neighbours(sizes, chosen)
    _, excess, seconds = found
    again = np.flatnonzero(_worth_another_look(spreads, excess, seconds, (high / best)[..., 0]))
    few = _stacked([spreads[int(index)] for index in again])
    sizes = _between(best, low, high, unit)[again]
    _, better = _pick(sizes, *_timed(q, few, price[again], sizes, held[again]))
    for whole, part in zip(found, better, strict=True):
        whole[again] = part
    return found


def _pick(sizes: Array, excess: Array, seconds: Array) -> tuple[Array, list[Array]]:
    """Which batch is best, and it with its excess and its seconds."""
    chosen = _chosen(excess, seconds)
    return chosen, [np.take_along_axis(v, chosen[..., None], axis=-1)[..., 0] for v in (sizes, excess, seconds)]


def _worth_another_look(spreads: Sequence[Spread], excess: Array, seconds: Array, step: Array) -> Array:
    """Whether a layout may be the best of as many GPUs in any cell: a batch `step` times as large saves no more."""
    worth = np.zeros(len(spreads), dtype=bool)
    counts = np.array([spread.gpus for spread in spreads])
    for gpus in set(counts.tolist()):
        same = counts == gpus
        allowed = excess[same] <= NEAR * _allowed(excess[same].min(axis=0))
        costs = np.where(allowed, seconds[same], np.inf)
        worth[same] = (allowed & (costs <= TIE * step[same] * costs.min(axis=0))).any(axis=1)
    return worth


def _timed(q: Question, layouts: Layout, gpus: Array, sizes: Array, held: Array) -> tuple[Array, Array]:
    at = evaluate(q, layouts, sizes)
    excess = excess_of_limits(q, at)
    seconds = gpus * seconds_per_request(q, at)
    fits = sizes <= held
    return np.where(fits, excess, np.inf), np.where(fits, seconds, np.inf) + np.zeros(sizes.shape)


def excess_of_limits(question: Question, at: Evaluation) -> Number:
    """Time per output token, or to the first one where that is limited too, over its limit: the larger ratio."""
    excess = at.time_per_output_token / question.tpot_limit
    limit = question.options.ttft
    return excess if limit is None else np.maximum(excess, at.time_to_first_token / limit)


def seconds_per_request(question: Question, at: Evaluation) -> Number:
    """Time of a replica for one request [s], prefill and all decode steps: what its price is proportional to."""
    return at.prefill.seconds / at.prefill_prompts + question.output_tokens / at.decode_tokens_per_s()


def _allowed(least: Array) -> Array:
    """The excess that counts as keeping the limits: 1, or hardly more than the least where none keeps them."""
    return np.asarray(np.where(least <= 1.0, 1.0, NEAR * least))


def _chosen(excess: Array, seconds: Array) -> Array:
    allowed = excess <= _allowed(excess.min(axis=-1, keepdims=True))
    return np.asarray(np.argmin(np.where(allowed, seconds, np.inf), axis=-1))


def batches_to_try(most: Array, unit: Array) -> Array:
    """Batches from 1 to `most` [sequences]: a few below `unit` ranks, and multiples of it above; may repeat."""
    most, unit = np.maximum(most, 1.0), np.asarray(unit, dtype=float)
    below = np.round(np.minimum(unit, most) ** np.linspace(0, 1, COARSE // 2))
    above = np.round(np.maximum(most / unit, 1.0) ** np.linspace(0, 1, COARSE)) * unit
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


def _stacked(spreads: Sequence[Spread]) -> Layout:
    """Layouts as one of arrays, along the first of three axes."""
    degrees = [(s.layout.tensor, s.layout.data, s.layout.expert, s.layout.pipeline) for s in spreads]
    tensor, data, expert, pipeline = np.array(degrees, dtype=np.int64).T[:, :, None, None]
    return Layout(tensor, data, expert, pipeline)
