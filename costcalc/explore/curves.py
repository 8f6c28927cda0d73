"""Attention variants over a range of contexts, for charts: what the table says, at every context in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from costcalc.catalog.load import load_gpu, load_model
from costcalc.engine.cost import usd_per_million
from costcalc.engine.layout import Layout
from costcalc.engine.memory import cache_bytes_per_token
from costcalc.explore.compare import twin_question, variants_on
from costcalc.explore.evaluate import evaluate
from costcalc.explore.options import OptionKeywords
from costcalc.explore.plan import spreads_asked_for
from costcalc.explore.question import Options, Question
from costcalc.explore.ranges import inverse, ranges_of
from costcalc.explore.weigh import Weighed, along_cells, weigh
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec

Array = NDArray[Any]
Band = tuple[Array, Array]
FIRST, LAST, POINTS = 1_000, 128_000, 43


@dataclass(frozen=True, slots=True)
class Curve:
    """One variant at every context; NaN where not even one sequence fits."""

    variant: str
    bytes_per_token: float
    contexts: Array  # [tokens]
    batch: Array  # [sequences] of all GPUs
    tokens_per_s_per_gpu: Array
    tokens_per_s_per_user: Array
    usd_per_million_output_tokens: Array | None  # None where no price is known
    keeps_limits: Array | None = None  # whether the limits of time are kept
    time_range: tuple[float, float] | None = None  # observed over predicted time at 80% coverage
    table: tuple[float, ...] = ()  # contexts [tokens] that the table has too

    def band(self, values: Array, *, rate: bool) -> Band | None:
        """Low and high of `values`, rates or costs of this curve, at 80% coverage."""
        spread = inverse(self.time_range) if rate else self.time_range
        return None if spread is None else (values * spread[0], values * spread[1])


@dataclass(frozen=True, slots=True)
class Curves:
    """Variants of one model on one machine."""

    title: str
    gpus: int
    curves: tuple[Curve, ...]


def contexts_to_draw(asked: Sequence[float]) -> Array:
    """Contexts of a chart [tokens]: evenly spread in logarithms, with those asked for among them."""
    first, last = min([FIRST, *asked]), max([LAST, *asked])
    spread = np.round(np.geomspace(first, last, POINTS), -2)
    return np.unique([*spread[spread > 0], first, last, *asked])


def attention_curves(
    model: ModelSpec | str,
    gpu: Accelerator | str,
    *,
    contexts: Sequence[float] = (),
    groups: tuple[int, ...] = (4, 8, 16),
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> Curves:
    """Throughput and cost of each attention variant against context, with the answers of `compare_attention`.

    contexts: KV lengths [tokens] that the table has; the curves have these and others around them.
    """
    spec = load_model(model, catalog=catalog) if isinstance(model, str) else model
    machine = load_gpu(gpu, catalog=catalog) if isinstance(gpu, str) else gpu
    asked, gpus, twins = variants_on(spec, machine, Options(**options), groups)
    price = machine.price_for(asked.price)
    usd = price.usd_per_gpu_hour if price else None
    curves = []
    for twin in twins:
        question = twin_question(twin, machine, asked)
        alone = asked.context is None and not contexts
        # The table of a workload without a context is at half of its answer; its curve is of answers half written.
        table = tuple(contexts) or (float(question.decode_context),)
        lengths = contexts_to_draw(table)
        over = question.around if alone and asked.input_tokens is None else question.at
        at = over(along_cells(lengths))
        curve = _curve(at, over(lengths), twin.variant, lengths, usd)
        curves.append(replace(curve, table=table))
    return Curves(f"{spec.name} on {gpus} × {machine.name}", gpus, tuple(curves))


def _curve(along: Question, flat: Question, variant: str, contexts: Array, usd: float | None) -> Curve:
    """One variant at contexts [tokens]: `along` the axis of contexts, and `flat` on one axis alone."""
    found = weigh(along, spreads_asked_for(along))
    best, every = found.best(), np.arange(len(contexts))
    layout, replicas, gpus = _chosen(found, best)
    batch = np.maximum(found.batch[best, every], 1.0)
    at = evaluate(flat, layout, batch)
    answered = np.isfinite(found.seconds[best, every])
    rate = np.where(answered, replicas * at.decode_tokens_per_s(), np.nan)
    return Curve(
        variant,
        0.0 if along.recompute else cache_bytes_per_token(along.model, along.formats),
        contexts,
        np.where(answered, batch * replicas, np.nan),
        rate / gpus,
        np.where(answered, at.user_tokens_per_s(), np.nan),
        None if usd is None else np.asarray(usd_per_million(gpus, usd, rate, flat.options.utilization)),
        answered & (found.excess[best, every] <= 1.0),
        ranges_of(along).decode,
    )


def _chosen(found: Weighed, best: Array) -> tuple[Layout, Array, int]:
    """The layouts chosen at every context as one of arrays, their replicas, and the GPUs of all of them."""
    chosen = [found.spreads[int(index)] for index in best]
    layouts = [s.layout for s in chosen]
    degrees = np.array([(x.tensor, x.data, x.expert, x.pipeline) for x in layouts], dtype=np.int64).T
    tensor, data, expert, pipeline = degrees
    return Layout(tensor, data, expert, pipeline), np.array([s.replicas for s in chosen]), chosen[0].gpus
