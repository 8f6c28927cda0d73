"""Attention variants over a range of contexts, for charts: whole grids of context and batch in one call each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from costcalc.catalog.load import load_gpu, load_model
from costcalc.engine.layout import Layout
from costcalc.engine.memory import cache_bytes_per_token, kv_pool_bytes_per_gpu
from costcalc.explore.compare import gpus_of
from costcalc.explore.evaluate import evaluate, output_usd_per_million, sequences_held
from costcalc.explore.layouts import candidate_layouts, given_spread
from costcalc.explore.options import OptionKeywords
from costcalc.explore.plan import batch_sizes
from costcalc.explore.question import DEFAULT_TPOT, Options, Question, ask
from costcalc.explore.twins import attention_twins
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec

Array = NDArray[Any]
DEFAULT_CONTEXTS = tuple(np.unique(np.round(np.geomspace(1_000, 128_000, 43), -2)))
"""Contexts of a chart [tokens]."""


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


@dataclass(frozen=True, slots=True)
class Curves:
    """Variants of one model on one machine."""

    title: str
    gpus: int
    curves: tuple[Curve, ...]


def attention_curves(
    model: ModelSpec | str,
    gpu: Accelerator | str,
    *,
    contexts: Sequence[float] = DEFAULT_CONTEXTS,
    groups: tuple[int, ...] = (4, 8, 16),
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> Curves:
    """Throughput and cost of each attention variant against context [tokens], each at its best batch."""
    spec = load_model(model, catalog=catalog) if isinstance(model, str) else model
    machine = load_gpu(gpu, catalog=catalog) if isinstance(gpu, str) else gpu
    asked = replace(Options(**options), mla=None)
    gpus = gpus_of(spec, machine, asked)
    price = machine.price_for(None if asked.price is None else str(asked.price))
    curves = []
    for twin in attention_twins(spec, groups):
        question = replace(ask(twin.model, machine, asked), recompute=twin.recompute)
        usd = price.usd_per_gpu_hour if price else None
        curves.append(_curve(question, twin.variant, gpus, np.asarray(contexts, dtype=float), usd))
    return Curves(f"{spec.name} on {gpus} x {machine.name}", gpus, tuple(curves))


def _curve(question: Question, variant: str, gpus: int, contexts: Array, usd: float | None) -> Curve:
    asked = question.options.degrees
    if asked.layout_given:
        spread = given_spread(question.model, question.gpu, asked)
        layouts, replicas = [spread.layout], spread.replicas
    else:
        layouts, replicas = candidate_layouts(question.model, question.gpu, gpus), 1
    tried = [_best(question, layout, contexts) for layout in layouts]
    rates = np.array([rate for _, rate, _ in tried]) * replicas
    best = np.argmax(np.nan_to_num(rates, nan=-1.0), axis=0)
    every = np.arange(len(contexts))
    rate = rates[best, every]
    cost = None if usd is None else np.asarray(output_usd_per_million(question, gpus, usd, rate))
    return Curve(
        variant,
        0.0 if question.recompute else cache_bytes_per_token(question.model, question.formats),
        contexts,
        np.array([batch for batch, _, _ in tried])[best, every] * replicas,
        rate / gpus,
        np.array([user for _, _, user in tried])[best, every],
        cost,
    )


def _best(question: Question, layout: Layout, contexts: Array) -> tuple[Array, Array, Array]:
    """Batch [sequences], rate [tokens/s] and a user's rate of one replica at each context."""
    q = question
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    held = np.asarray(sequences_held(q, layout, pool, contexts))[:, None]
    most = int(min(np.max(held, initial=1), 65_536))
    sizes = batch_sizes(most, int(layout.data * layout.pipeline))[None, :]
    if q.options.batch:
        sizes = np.array([[q.options.batch]])
    at = evaluate(q, layout, sizes, contexts[:, None])
    fits = sizes <= held
    quick = fits & (at.time_per_output_token <= (q.options.tpot or DEFAULT_TPOT))
    # Where no batch is quick enough, the smallest that fits stands for "as quick as it gets".
    allowed = np.where(quick.any(axis=1, keepdims=True), quick, fits & (np.cumsum(fits, axis=1) == 1))
    rates = np.where(allowed, at.decode_tokens_per_s(), np.nan)
    chosen = np.argmax(np.nan_to_num(rates, nan=-1.0), axis=1)
    every = np.arange(len(contexts))
    users = np.broadcast_to(at.user_tokens_per_s(), rates.shape)
    answered = np.isfinite(rates[every, chosen])
    batch = np.where(answered, np.broadcast_to(sizes, rates.shape)[every, chosen], np.nan)
    user = np.where(answered, users[every, chosen], np.nan)
    return batch, rates[every, chosen], user
