"""The same question of several attention variants, models or GPUs, beside a reference row; and as curves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.memory import cache_bytes_per_token
from costcalc.engine.parallelism import Deployment, DoesNotFit, Parallelism, shares_context
from costcalc.errors import CostcalcError
from costcalc.explore.assumptions import WITHOUT_EFFECT, beyond_training
from costcalc.explore.estimate import answer, unanswered
from costcalc.explore.search import (
    LayoutSearch,
    along_cells,
    choose_deployment,
    deployments_asked_for,
    fewest,
    held_by,
    search_layouts,
)
from costcalc.explore.sizing import deployment_for
from costcalc.fields import Array
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.prices import BY_COMPARABILITY, kinds_priced
from costcalc.model.spec import ModelSpec
from costcalc.model.variants import CONTROLS, AttentionVariant, attention_variants
from costcalc.predict.odds import chance_cheaper
from costcalc.predict.options import WEIGHED, Options, read_option
from costcalc.predict.predict import predict
from costcalc.predict.quantities import Answered, Assumption, Comparison, Estimate, Row, numbers_of
from costcalc.predict.scenario import Scenario, asked, listed, scenario_of
from costcalc.units import format_percent, format_seconds, format_usd

# What a reader has to know of the prices that the accelerators of a comparison are charged.


def price_notes(scenarios: Sequence[Scenario]) -> Iterator[str]:
    """Yield the offers that accelerators are charged, and the warning that they differ in kind or year."""
    offers = {q.gpu.name: found for q in scenarios if (found := q.price) and found.kind}
    if offers:
        told = (f"{gpu} {format_usd(each.usd_per_gpu_hour)} ({each.offer})" for gpu, each in offers.items())
        yield f"Per GPU-hour: {'; '.join(told)}."
    yield from mixed_prices(scenarios)


def mixed_prices(scenarios: Sequence[Scenario]) -> Iterator[str]:
    """Yield the warning that accelerators are charged prices of several kinds or years, and what puts them on one."""
    priced = {q.gpu.name: (q.gpu, found) for q in scenarios if (found := q.price)}
    kinds = {found.kind or "as given" for _, found in priced.values()}
    years = {found.date[:4] for _, found in priced.values() if found.date}
    if len(kinds) < 2 and len(years) < 2:
        return
    what = " and ".join([*(["kind"] if len(kinds) > 1 else []), *(["year"] if len(years) > 1 else [])])
    known = [kinds_priced(gpu.price, gpu.prices) for gpu, _ in priced.values()]
    common = next((kind for kind in BY_COMPARABILITY if len(kinds) > 1 and all(kind in each for each in known)), None)
    mend = f" --price {common} is of one kind for all." if common else ""
    yield f"Warning: the prices differ in {what}, so the ratios compare terms of payment as well as GPUs.{mend}"


# The same model with its attention replaced, by the rules of costcalc/model/variants.py.


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
    variants: as in ('mha', 'gqa:8', 'mla:512/64', 'window:4k/6'); see `costcalc.model.variants.VARIANTS`. The first is
        the reference. None: MHA, GQA of three group sizes, MQA, MLA, and two controls of cost.
    Raises CostcalcError for names, values and layouts that cannot be, and where no variant fits.
    """
    lengths, whole = _contexts(contexts), asked(model, gpu, options, catalog)
    whole = _apart(whole, lengths) if whole.disaggregated else whole
    given, gpus, twins, left_out = variants_on(whole, variants)
    rows = _variant_rows(twins, whole, given, lengths)
    notes = [*_prefill(rows, given)]
    share = _most_prefill(rows)
    if (freed := _freed(whole, lengths, options, share)) is not whole:
        apart, whole = freed.disaggregated and not whole.disaggregated, freed
        given, gpus, twins, left_out = variants_on(whole, variants)
        rows = _variant_rows(twins, whole, given, lengths)
        rows = [_said_apart(row, share) for row in rows] if apart else rows
        notes = [*_prefill(rows, given, share if apart else None)]
    _check_any_fits(rows)
    rules = [f"{twin.variant}: {twin.rule}; {twin.model.total_parameters / 1e9:,.4g}B parameters" for twin in twins]
    notes = [*rules, *left_out, *_controls(twins), *notes]
    notes += filter(None, [beyond_training(whole.at(max(lengths)) if lengths else whole)])
    notes += [*_without_effect(rows), *_whole_caches(rows, given, twins)]
    pools = ", prefill on a pool of its own" if whole.decode_alone else ""
    title = f"{whole.model.name} on {gpus} × {whole.gpu.name}, attention replaced{pools}{_under(rows)}"
    return Comparison(title, tuple(rows), lengths, tuple(notes))


def _variant_rows(
    twins: Sequence[AttentionVariant], whole: Scenario, given: Options, lengths: Sequence[float]
) -> list[Row]:
    """The variants at each context [tokens], or at the workload's own."""
    rows: list[Row] = []
    for context in lengths or (given.context,):
        at = replace(given, context=context)
        names = [twin.variant + _mark(context, lengths) for twin in twins]
        rows += _related(names, [variant_scenario(twin, whole, at) for twin in twins])
    return rows


def _whole_caches(rows: Sequence[Row], given: Options, twins: Sequence[AttentionVariant]) -> Iterator[str]:
    """The note on variants that run without the context parallelism that was typed, or that others have."""
    degree = given.context_parallel
    of_rows = {row.variant.partition(" @ ")[0]: row.estimate.deployment.context_parallel for row in rows}
    if degree in (None, 1) or not any(each > 1 for each in of_rows.values()):
        return
    never = [twin.variant for twin in twins if not twin.recompute and not _splits(twin.model)]
    if never:
        yield f"No context parallelism: {', '.join(never)}; engines split no windows, states or indexes over ranks."
    found = [name for name, each in of_rows.items() if each == 1 and name not in never]
    if degree != WEIGHED and found:
        yield f"Without --cp {degree}, as no ranks of these layouts hold copies of one cache: {', '.join(found)}."


def _splits(model: ModelSpec) -> bool:
    """Whether there is a tensor degree at which ranks may share the tokens of a cache."""
    return shares_context(model, 2 * lcm(*(layer.kv_heads for _, layer in model.attention_layers())), 2)


def _under(rows: Sequence[Row]) -> str:
    """The limit of TPOT that the batch of every row was chosen under, for a title."""
    limits = {row.estimate.limits.time_per_output_token_s for row in rows if _batch_chosen(row)}
    limit = limits.pop() if len(limits) == 1 and all(_batch_chosen(row) for row in rows if row.note is None) else None
    return f", under {format_seconds(limit)} per token" if limit else ""


def _batch_chosen(row: Row) -> bool:
    return row.note is None and any(each.name == "batch" for each in row.estimate.assumptions)


def _controls(twins: Sequence[AttentionVariant]) -> Iterator[str]:
    found = [twin.variant for twin in twins if twin.variant in CONTROLS]
    if found:
        verb = "are controls" if len(found) > 1 else "is a control"
        yield f"{' and '.join(found)} {verb} of cost: what such a model would answer, nobody says."


PREFILL_DECIDES = 1 / 3
"""Share of the GPU time of a request from which on prompts weigh about as much as the reads of a cache: a third each,
with weights and overheads."""


def _most_prefill(rows: Sequence[Row]) -> float:
    """The largest share of a row's GPU time that its prompts take."""
    return max((row.estimate.serving.prefill_share or 0.0 for row in rows), default=0.0)


def _may_be_apart(q: Scenario, lengths: Sequence[float], given: Mapping[str, Any]) -> bool:
    """Whether prompts may get a pool of their own unasked: a context is asked about, and that they are as long, and
    stand in its way, is nobody's wish."""
    told = {"disaggregated", "input_tokens"} & {name for name, value in given.items() if value is not None}
    of_contexts = bool(lengths) or q.options.context is not None
    return of_contexts and not told and q.options.terms == "all" and not (q.options.load_told or q.options.offloads)


def _freed(q: Scenario, lengths: Sequence[float], given: Mapping[str, Any], share: float) -> Scenario:
    """The question as it is asked where prompts decide it: decoding alone, or, where they stay in the pool of answers
    by wish, with ranks that share a cache's tokens weighed; itself where they do not.

    share: the largest of a row's GPU time that prompts take.
    """
    if share < PREFILL_DECIDES:
        return q
    if _may_be_apart(q, lengths, given):
        return _apart(q, lengths)
    of_contexts = bool(lengths) or q.options.context is not None
    free = q.options.context_parallel is None and not q.disaggregated and q.options.terms == "all"
    return replace(q, options=replace(q.options, context_parallel=WEIGHED)) if of_contexts and free else q


def _apart(q: Scenario, lengths: Sequence[float]) -> Scenario:
    """The question of decoding alone, as at its longest context: with prompts on a pool of their own, and ranks that
    share a cache's tokens weighed."""
    if q.options.terms != "all":
        return q
    degree = q.options.context_parallel or WEIGHED
    options = replace(q.options, disaggregated=True, context_parallel=degree)
    if lengths:
        options, q = replace(options, context=max(lengths)), q.at(max(lengths))
    return replace(q, options=options, disaggregated=True, decode_alone=True)


def _said_apart(row: Row, share: float) -> Row:
    """A row that says among its defaults that prompts have a pool of their own, for the share that they would take."""
    why = f"in one, prompts take up to {format_percent(share, 2)} of a row's GPU time"
    told = (Assumption("pools", "prefill apart", why, "--pools one"), *row.estimate.assumptions)
    return replace(row, estimate=replace(row.estimate, assumptions=told))


def _prefill(rows: Sequence[Row], given: Options, share: float | None = None) -> Iterator[str]:
    """What isolates attention's reads where prefill is most of the GPU time of a row, or what was done about it.

    share: of the GPU time that prompts would take in one pool, where they have their own unasked.
    """
    if given.terms != "all":
        return
    if given.disaggregated:
        why = "" if share is None else f"In one pool they take up to {format_percent(share, 2)} of a row's GPU time, "
        why += "and their chunks hold up decode: --pools one asks for that." if why else ""
        yield f"Prompts have GPUs of their own; layout and batch are those that decode most cheaply. {why}".rstrip()
    elif (most := _most_prefill(rows)) >= PREFILL_DECIDES:
        yield (
            f"Prefill takes up to {format_percent(most, 2)} of a row's GPU time, and its chunks hold up decode: "
            "--pools apart puts it on a pool of its own, and --terms kv counts the reads of the cache alone."
        )


def _contexts(values: object) -> tuple[float, ...]:
    """KV lengths as passed or typed [tokens], each once; None and an empty list are none."""
    if values is None or (hasattr(values, "__len__") and not isinstance(values, str) and not len(values)):
        return ()
    texts = listed(values, "contexts", "[4096, '32k']")
    return tuple(dict.fromkeys(float(_read("context", each, "contexts")) for each in texts))


def _read(option: str, value: object, argument: str, hint: str | None = None) -> Any:
    """A value of an argument that is read as an option's is."""
    try:
        return read_option(option, value)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=argument, hint=hint or error.hint) from None


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


@np.errstate(all="ignore")
def compare_models(
    models: Sequence[ModelSpec | str | Path],
    gpu: Accelerator | str | Path,
    *,
    contexts: Sequence[float | str] = (),
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Comparison:
    """Several models on one kind of GPU; the first one is the reference.

    contexts: KV lengths [tokens] to evaluate each model at; none: the workload's own.
    Raises CostcalcError for names, values and layouts that cannot be, and where no model fits.
    """
    folders, lengths = catalog_of(catalog), _contexts(contexts)
    scenarios = [asked(each, gpu, options, folders) for each in listed(models, "models", "['v3', 'llama-3.1-70b']")]
    return _compared(f"Models on {scenarios[0].gpu.name}", [q.model.name for q in scenarios], scenarios, lengths)


@np.errstate(all="ignore")
def compare_gpus(
    accelerators: Sequence[Accelerator | str | Path],
    model: ModelSpec | str | Path,
    /,
    *,
    counts: Sequence[int | None] = (),
    contexts: Sequence[float | str] = (),
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Comparison:
    """One model on several kinds of GPU; the first one is the reference.

    Each is charged its own default where no price is asked for; a note says where these differ in kind or year.

    counts: how many of each kind, where they differ; None leaves one to be chosen.
    contexts: KV lengths [tokens] to evaluate the model at on each; none: the workload's own.
    Raises CostcalcError for names, values and layouts that cannot be, and where the model fits on none.
    """
    folders, names = catalog_of(catalog), listed(accelerators, "accelerators", "['h100', '4xb200']")
    lengths = _contexts(contexts)
    if counts and len(counts) != len(names):
        raise CostcalcError(f"{len(counts)} counts for {len(names)} GPUs", where="counts", hint="give one for each")
    each = [{**options, "gpus": count} for count in counts] if counts else [options] * len(names)
    scenarios = [asked(model, gpu, given, folders) for gpu, given in zip(names, each, strict=True)]
    title = f"{scenarios[0].model.name} on several accelerators"
    result = _compared(title, [q.gpu.name for q in scenarios], scenarios, lengths)
    return replace(result, notes=(*price_notes(scenarios), *result.notes))


def _compared(
    title: str, names: Sequence[str], scenarios: Sequence[Scenario], lengths: tuple[float, ...]
) -> Comparison:
    """The rows of questions, at each context [tokens] or at the workload's own, with what is said of them."""
    rows: list[Row] = []
    notes: dict[str, None] = {}
    for context in lengths or (None,):
        at, mark = scenarios, ""
        if context is not None:
            told = [replace(q.options, context=context) for q in scenarios]
            at = [scenario_of(q.model, q.gpu, o, q.constants) for q, o in zip(scenarios, told, strict=True)]
            mark = _mark(context, lengths)
        part = _related([name + mark for name in names], at)
        notes |= dict.fromkeys([*filter(None, map(beyond_training, at)), *_nearest_call(part)])
        rows += part
    _check_any_fits(rows)
    return Comparison(f"{title}{_under(rows)}", tuple(rows), lengths, (*notes, *_without_effect(rows)))


def _mark(context: float | None, lengths: Sequence[float]) -> str:
    """What tells the rows of one of several contexts [tokens] from the others."""
    return f" @ {context:,.0f}" if len(lengths) > 1 else ""


def _without_effect(rows: Sequence[Row]) -> Iterator[str]:
    """What rows say of options that do nothing there: plainly where all say it, else with the rows' names."""
    said: dict[str, list[str]] = {}
    for row in rows:
        for note in row.estimate.notes:
            if WITHOUT_EFFECT in note:
                said.setdefault(note, []).append(row.variant)
    for note, names in said.items():
        yield note if len(names) == len(rows) else f"{', '.join(names)}: {note}"


def _row(name: str, scenario: Scenario) -> Row:
    """The answer to a question, or a row that says how many GPUs it needs."""
    try:
        return Row(name, answer(scenario, deployment_for(scenario)))
    except DoesNotFit as error:
        return Row(name, unanswered(scenario, error.tried), note=str(error), needs_gpus=error.needs)


def _check_any_fits(rows: Sequence[Row]) -> None:
    """Raise CostcalcError where no row fits."""
    if any(row.note is None for row in rows):
        return
    first = rows[0]
    counts = sorted({row.needs_gpus for row in rows if row.needs_gpus})
    hint = f"--gpus {counts[0]} would fit {'the first' if len(rows) > 1 else 'it'} of them" if counts else None
    raise CostcalcError(f"none of {len(rows)} rows fits; {first.note}", hint=hint if len(rows) == 1 else None)


def _related(names: Sequence[str], scenarios: Sequence[Scenario]) -> list[Row]:
    """The rows of questions with their ratios: of the cache to the first, of the cost to the first that has one."""
    rows = [_row(name, scenario) for name, scenario in zip(names, scenarios, strict=True)]
    costs = [row.estimate.cost.usd_per_million_output_tokens for row in rows]
    reference = next((at for at, cost in enumerate(costs) if cost), 0)
    first = rows[0].estimate.kv_cache.bytes_per_token
    related = []
    for at, (row, cost) in enumerate(zip(rows, costs, strict=True)):
        cache, against = row.estimate.kv_cache.bytes_per_token, costs[reference]
        ratio = cost / against if cost and against else None
        chance = chance_cheaper(scenarios[at], scenarios[reference], cost, against) if at != reference else None
        related.append(
            replace(row, cache_ratio=first / cache if cache else None, cost_ratio=ratio, chance_cheaper=chance)
        )
    return related


SURE = 0.9
"""Chance from which on a comparison is not called a near one."""


def _nearest_call(rows: Sequence[Row]) -> Iterator[str]:
    """What to measure first, where one row may be cheaper than the reference or not."""
    near = [row for row in rows if row.chance_cheaper is not None and 1 - SURE < row.chance_cheaper < SURE]
    if not near:
        return
    row = min(near, key=lambda each: abs((each.chance_cheaper or 0.0) - 0.5))
    reference = next(each for each in rows if each.cost_ratio is not None)
    # What is left when one of two is measured is the other's error: the wider of both is to be measured.
    wider = max((row, reference), key=lambda each: _width(each.estimate))
    yield (
        f"Nearest call: {row.variant} is cheaper than {reference.variant} with a chance of {row.chance_cheaper:.0%}. A "
        f"run of {wider.variant} would settle most of it: costcalc price, or calibrate."
    )


def _width(result: Estimate) -> float:
    spread = result.cost.usd_per_million_output_tokens_range
    return 0.0 if spread is None or not spread[0] else spread[1] / spread[0]


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
    points, whole = _contexts(contexts), asked(model, gpu, options, catalog)
    whole = _apart(whole, points) if whole.disaggregated else whole
    found = _curves_of(whole, variants, points)
    asked_at = points or (whole.options.context or 0.0,)
    shares = [_at(each, "serving.prefill_share", asked_at) for each in found.curves]
    freed = _freed(whole, points, options, max(shares, default=0.0))
    return found if freed is whole else _curves_of(freed, variants, points)


def _at(curve: Curve, path: str, contexts: Sequence[float]) -> float:
    """The most of a number at some contexts [tokens] of a curve."""
    return float(np.nanmax(np.interp(contexts, curve.contexts, np.nan_to_num(curve.numbers[path]))))


def _curves_of(whole: Scenario, variants: Sequence[str], points: tuple[float, ...]) -> Curves:
    """The curves of a question; points: contexts that the table has [tokens], none where it has the workload's own."""
    given, gpus, twins, _ = variants_on(whole, variants)
    price = whole.price
    usd = price.usd_per_gpu_hour if price else None
    around = given.context is None and not points and given.input_tokens is None
    curves = []
    for twin in twins:
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
