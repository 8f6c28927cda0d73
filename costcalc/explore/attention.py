"""The same model with its attention replaced, by the rules of costcalc/model/variants.py: as rows and as curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.memory import cache_bytes_per_token
from costcalc.engine.parallelism import Deployment, Parallelism, shares_context
from costcalc.errors import CostcalcError
from costcalc.explore.assumptions import beyond_training
from costcalc.explore.compare import (
    check_any_fits,
    contexts_of,
    enough_for_all,
    mark_of,
    related,
    terms_of,
    without_effect,
)
from costcalc.explore.pools import as_told, freed_of_prompts, of_contexts, said_of_prompts
from costcalc.explore.search import (
    LayoutSearch,
    along_cells,
    choose_deployment,
    deployments_asked_for,
    fewest,
    held_by,
    search_layouts,
)
from costcalc.fields import Array
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.attention.gqa import SlidingWindowAttention
from costcalc.model.spec import ModelSpec
from costcalc.model.variants import CONTROLS, AttentionVariant, attention_variants
from costcalc.predict.options import WEIGHED, Options
from costcalc.predict.predict import predict
from costcalc.predict.quantities import Answered, numbers_of
from costcalc.predict.results import Comparison, Row
from costcalc.predict.scenario import Scenario, asked, listed, scenario_of


@np.errstate(all="ignore")
def compare_attention(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    contexts: Sequence[float | str] = (),
    variants: Sequence[str] = (),
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Comparison:
    """The same model with its attention replaced, on as many GPUs as the model itself takes.

    contexts: KV lengths [tokens] to evaluate each variant at; none: the workload's own.
    variants: as in ('mha', 'gqa:8', 'mla:512/64', 'window:4k/6') or 'mha,gqa:8'; see
        `costcalc.model.variants.VARIANTS`. The first is the reference. None: MHA, GQA of three group sizes, MQA, MLA,
        and two controls of cost.
    Raises CostcalcError for names, values and layouts that cannot be, and where no variant fits.
    """
    return attention_table(
        attention_asked(model, gpu, contexts=contexts, variants=variants, catalog=catalog, **options)
    )


@dataclass(frozen=True, slots=True)
class AttentionAsked:
    """What is asked of attention variants, of a table, of curves or of both."""

    whole: Scenario
    lengths: tuple[float, ...]  # contexts of the table [tokens]; none: the workload's own
    given: Options
    gpus: int
    twins: Sequence[AttentionVariant]
    left_out: Sequence[str]
    share: float | None  # of a row's GPU time that prompts would take, where they have a pool of their own unasked


@np.errstate(all="ignore")
def attention_asked(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    contexts: Sequence[float | str] = (),
    variants: Sequence[str] = (),
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> AttentionAsked:
    """What `compare_attention` and `attention_curves` are asked, and where prompts are served."""
    lengths, whole = contexts_of(contexts), asked(model, gpu, options, catalog)
    (whole,) = as_told([whole], lengths)
    given, gpus, twins, left_out = variants_on(whole, variants)
    if not of_contexts(whole, lengths) or given.terms != "all":
        return AttentionAsked(whole, lengths, given, gpus, twins, left_out, None)
    share = max((_prefill_share(twin, whole, given, lengths) for twin in twins), default=0.0)
    (freed,), told = freed_of_prompts([whole], lengths, options, share)
    if freed is whole:
        return AttentionAsked(whole, lengths, given, gpus, twins, left_out, None)
    return AttentionAsked(freed, lengths, *variants_on(freed, variants), told)


def _prefill_share(twin: AttentionVariant, whole: Scenario, given: Options, lengths: Sequence[float]) -> float:
    """The largest share of a variant's GPU time that prompts take, at contexts [tokens] or that of the workload."""
    at = np.array(lengths or (given.context,), dtype=float)
    scenario = variant_scenario(twin, whole, given)
    curve = _curve(scenario.at(along_cells(at)), scenario.at(at), twin.variant, at, None)
    return float(np.nan_to_num(curve.numbers["serving.prefill_share"]).max())


@np.errstate(all="ignore")
def attention_table(question: AttentionAsked) -> Comparison:
    """The answer of `compare_attention`."""
    whole, lengths, given, gpus = question.whole, question.lengths, question.given, question.gpus
    twins, left_out = question.twins, question.left_out
    rows, of_prefill = said_of_prompts(_variant_rows(twins, whole, given, lengths), given, question.share)
    check_any_fits(rows)
    rules = [f"{twin.variant}: {twin.rule}; {twin.model.total_parameters / 1e9:,.4g}B parameters" for twin in twins]
    notes = [*rules, *left_out, *_shipped_windows(whole.model, twins), *_controls(twins), *of_prefill]
    notes += filter(None, [beyond_training(whole.at(max(lengths)) if lengths else whole)])
    notes += [*without_effect(rows), *_whole_caches(rows, given, twins), *enough_for_all(rows)]
    title = f"{whole.model.name} on {gpus} × {whole.gpu.name}, attention replaced{terms_of(whole, rows, lengths)}"
    return Comparison(title, tuple(rows), lengths, tuple(notes))


def _variant_rows(
    twins: Sequence[AttentionVariant], whole: Scenario, given: Options, lengths: Sequence[float]
) -> list[Row]:
    """The variants at each context [tokens], or at the workload's own."""
    rows: list[Row] = []
    for context in lengths or (given.context,):
        at = replace(given, context=context)
        names = [twin.variant + mark_of(context, lengths) for twin in twins]
        rows += related(names, [variant_scenario(twin, whole, at) for twin in twins])
    return rows


def _whole_caches(rows: Sequence[Row], given: Options, twins: Sequence[AttentionVariant]) -> Iterator[str]:
    """The note on variants that run without the context parallelism that was typed, or that others have."""
    degree = given.context_parallel
    of_rows = {row.variant.partition(" @ ")[0]: row.estimate.deployment.context_parallel for row in rows}
    if degree in (None, 1) or not any(each > 1 for each in of_rows.values()):
        return
    never = [twin.variant for twin in twins if not twin.recompute and not _splits(twin.model)]
    if never:
        yield f"No context parallelism: {', '.join(never)}; engines split grouped and absorbed latent caches alone."
    found = [name for name, each in of_rows.items() if each == 1 and name not in never]
    if degree != WEIGHED and found:
        yield f"Without --cp {degree}, as no ranks of these layouts hold copies of one cache: {', '.join(found)}."


def _splits(model: ModelSpec) -> bool:
    """Whether there is a tensor degree at which ranks may share the tokens of a cache."""
    return shares_context(model, 2 * lcm(*(layer.kv_heads for _, layer in model.attention_layers())), 2)


def _shipped_windows(model: ModelSpec, twins: Sequence[AttentionVariant]) -> Iterator[str]:
    """The note that a model ships windows, which no row has."""
    layers = model.attention_layers()
    windows = {layer.window for _, layer in layers if isinstance(layer, SlidingWindowAttention)}
    kept = any(
        isinstance(layer, SlidingWindowAttention) for twin in twins for _, layer in twin.model.attention_layers()
    )
    full = sum(count for count, layer in layers if not isinstance(layer, SlidingWindowAttention))
    if len(windows) == 1 and full and not kept:
        every = round(sum(count for count, _ in layers) / full)
        yield (
            f"{model.name} ships {model.attention_name}, and all rows replace its windows, too: --variants "
            f"window:{windows.pop()}/{every} has them."
        )


def _controls(twins: Sequence[AttentionVariant]) -> Iterator[str]:
    found = [twin.variant for twin in twins if twin.variant in CONTROLS]
    if found:
        verb = "are controls" if len(found) > 1 else "is a control"
        yield f"{' and '.join(found)} {verb} of cost: what such a model would answer, nobody says."


def variants_on(scenario: Scenario, variants: object) -> tuple[Options, int, list[AttentionVariant], list[str]]:
    """The options that every variant gets, its GPUs, as many as the model itself takes, the variants, and what is not.

    variants: by name, as passed; none: the usual ones.
    """
    named = isinstance(variants, str) or not hasattr(variants, "__len__") or len(variants) > 0
    names = listed(variants, "variants", "['mha', 'gqa:8', 'mla']") if named else ()
    twins, left_out = attention_variants(scenario.model, names)
    options = scenario.options
    if options.terms != "all" and any(twin.recompute for twin in twins):
        # Without a cache there are no reads of it: a term of the bill has no such variant.
        twins = [twin for twin in twins if not twin.recompute]
        if names:
            left_out.append("none is left out: a term of the bill has no such variant")
        if not twins:
            raise CostcalcError(left_out[-1], where="variants", hint="name another, as in mla")
    gpus = options.gpus or choose_deployment(_with_copies(scenario)).deployment.gpus
    given = options if options.degrees.layout_given else replace(options, gpus=gpus)
    return given, gpus, twins, left_out


def variant_scenario(twin: AttentionVariant, asked: Scenario, options: Options) -> Scenario:
    """What a variant is asked; modes of MLA are variants of their own here."""
    found = scenario_of(twin.model, asked.gpu, replace(options, mla=None), asked.constants)
    return _with_copies(replace(found, recompute=twin.recompute, decode_alone=asked.decode_alone))


def _with_copies(q: Scenario) -> Scenario:
    """The question, without context parallelism where no layout has copies of a cache to share."""
    degree, options = q.options.context_parallel or 1, q.options
    if not isinstance(degree, int):
        return replace(q, options=replace(options, context_parallel=None)) if q.recompute else q
    if degree == 1:
        return q
    known = options.gpus or options.degrees.layout_given
    layouts = deployments_asked_for(q) if known else fewest(replace(q, options=replace(options, context_parallel=None)))
    shared = any(shares_context(q.model, int(each.layout.tp), degree) for each in layouts)
    return q if shared and not q.recompute else replace(q, options=replace(options, context_parallel=None))


# Attention variants over a range of contexts, for charts: what the table says, at every context in one call.


Band = tuple[Array, Array]
FIRST, LAST, POINTS = 1_000, 128_000, 11
"""Contexts of curves [tokens], three in two octaves: between them lines are as good as straight on logarithmic axes."""
FINE = 96
"""Contexts at which is looked whether a sequence fits: a curve ends within a few percent of the longest."""


@dataclass(frozen=True, slots=True)
class Curve:
    """One variant at every context; NaN where not even one sequence fits."""

    variant: str
    bytes_per_token: float
    contexts: Array  # [tokens]
    batch: Array  # [sequences] of all GPUs
    numbers: Mapping[str, Array]  # of QUANTITIES by path; '<path>_range.low' and '.high' at 80% coverage
    keeps_limits: Array | None = None  # whether the limits of time are kept
    table: tuple[float, ...] = ()  # contexts [tokens] that the table has too

    @property
    def steps(self) -> bool:
        """Whether the batch goes in whole sequences from context to context, and is not one of all."""
        return len(np.unique(self.batch[np.isfinite(self.batch)])) > 1

    def envelope(self, path: str, end: str = "") -> Array:
        """A number such that longer contexts are never better: whole sequences, and other layouts, make teeth.

        path: of the number. end: '_range.low' or '_range.high', of which the envelope is.
        """
        values = np.asarray(self.numbers[path + end], dtype=float)
        worst = np.fmax if path.startswith("cost.") else np.fmin
        return np.where(np.isfinite(values), worst.accumulate(values), np.nan)

    def band(self, path: str) -> Band | None:
        """Low and high of a number at 80% coverage, as envelopes."""
        ends = [f"_range.{end}" for end in ("low", "high")]
        if any(self.numbers.get(path + end) is None for end in ends):
            return None
        return self.envelope(path, ends[0]), self.envelope(path, ends[1])


@dataclass(frozen=True, slots=True)
class Curves:
    """Variants of one model on one machine."""

    title: str
    gpus: int
    curves: tuple[Curve, ...]
    batch: float | None = None  # of every context, where one was asked for
    as_long: bool = False  # prompts are as long as the context; else shorter by half an answer, or as told


def batch_of_all(comparison: Comparison) -> int:
    """The largest batch that every row with a cache was given [sequences of a replica], at least 1."""
    rows = (row.estimate for row in comparison.rows if row.estimate.kv_cache.bytes_per_token)
    return max(1, int(min((each.workload.batch for each in rows if each.memory.fits), default=1)))


def contexts_to_draw(asked: Sequence[float]) -> Array:
    """Contexts of a chart [tokens]: evenly spread in logarithms, with those asked for among them."""
    first, last = min([FIRST, *asked]), max([LAST, *asked])
    spread = np.round(np.geomspace(first, last, POINTS), -2)
    return np.unique([*spread[spread > 0], first, last, *asked])


@np.errstate(all="ignore")
def attention_curves(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    contexts: Sequence[float | str] = (),
    variants: Sequence[str] = (),
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Curves:
    """Throughput and cost of each attention variant against context, with the answers of `compare_attention`.

    contexts: KV lengths [tokens] that the table has; the curves have these and others around them.
    """
    return curves_beside(attention_asked(model, gpu, contexts=contexts, variants=variants, catalog=catalog, **options))


@np.errstate(all="ignore")
def curves_beside(question: AttentionAsked) -> Curves:
    """The answer of `attention_curves`."""
    whole, points, given, gpus = question.whole, question.lengths, question.given, question.gpus
    price = whole.price
    usd = price.usd_per_gpu_hour if price else None
    around = given.context is None and not points and given.input_tokens is None
    curves = []
    for twin in question.twins:
        scenario = variant_scenario(twin, whole, given)
        # The table of a workload without a context is at half of its answer; its curve is of answers half written.
        table = points or (float(scenario.decode_context),)
        over = scenario.around if around else scenario.at
        lengths = contexts_to_draw(table)
        lengths = np.unique([*lengths, *_longest(over, deployments_asked_for(scenario), lengths)])
        at = over(along_cells(lengths))
        curve = _curve(at, over(lengths), twin.variant, lengths, usd)
        curves.append(replace(curve, table=table))
    title = f"{whole.model.name} on {gpus} × {whole.gpu.name}"
    return Curves(title, gpus, tuple(curves), given.batch, not around and given.input_tokens is None)


def _longest(over: Callable[[Array], Scenario], deployments: Sequence[Deployment], lengths: Array) -> Array:
    """The longest context of which the batch asked for, or one sequence, fits [tokens]; none where all of them do."""
    fine = np.round(np.geomspace(lengths[0], lengths[-1], FINE), -2)
    at = over(along_cells(fine))
    fits = (held_by(at, deployments)[1][:, :, 0] >= (at.options.batch or 1)).any(axis=0)
    return fine[[]] if fits.all() or not fits.any() else fine[[int(np.flatnonzero(fits)[-1])]]


def _curve(along: Scenario, flat: Scenario, variant: str, contexts: Array, usd: float | None) -> Curve:
    """One variant at contexts [tokens]: `along` the axis of contexts, and `flat` on one axis alone."""
    found = search_layouts(along, deployments_asked_for(along))
    best, every = found.best(), np.arange(len(contexts))
    layout, replicas, gpus = _chosen(found, best)
    batch = np.maximum(found.batch[best, every], 1.0)
    answered = np.isfinite(found.seconds[best, every])
    at = predict(flat, layout, batch, replicas)
    numbers = numbers_of(Answered(flat, replicas, gpus, at, usd, flat.options.utilization))

    return Curve(
        variant,
        0.0 if along.recompute else cache_bytes_per_token(along.model, along.formats),
        contexts,
        np.where(answered, batch * replicas, np.nan),
        {path: np.where(answered, values, np.nan) for path, values in numbers.items()},
        answered & (found.excess[best, every] <= 1.0),
    )


def _chosen(found: LayoutSearch, best: Array) -> tuple[Parallelism, Array, int]:
    """The layouts chosen at every context as one of arrays, their replicas, and the GPUs of all of them."""
    chosen = [found.deployments[int(index)] for index in best]
    layouts = [s.layout for s in chosen]
    degrees = np.array([(x.tp, x.attention_dp, x.ep, x.pp, x.cp) for x in layouts], dtype=np.int64).T
    return Parallelism(*degrees), np.array([s.replicas for s in chosen]), chosen[0].gpus
