"""The same question asked of several attention variants, models or GPUs, beside a reference row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Unpack

from costcalc.catalog.load import load_gpu, load_model
from costcalc.errors import CostcalcError
from costcalc.explore.assumptions import beyond_training
from costcalc.explore.estimate import answer, unanswered
from costcalc.explore.options import OptionKeywords
from costcalc.explore.plan import DoesNotFit, plan
from costcalc.explore.pricing import on_one_basis, price_notes
from costcalc.explore.question import Options, Question, ask
from costcalc.explore.result import Comparison, Row
from costcalc.explore.twins import Twin, attention_twins
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec


def compare_attention(
    model: ModelSpec | str,
    gpu: Accelerator | str,
    *,
    contexts: Sequence[float] = (),
    groups: tuple[int, ...] = (4, 8, 16),
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> Comparison:
    """The same model with its attention replaced, on as many GPUs as the model itself takes.

    contexts: KV lengths [tokens] to evaluate each variant at; none: the workload's own.
    groups: GQA group sizes.
    Raises CostcalcError for names, values and layouts that cannot be, and where no variant fits.
    """
    spec = load_model(model, catalog=catalog) if isinstance(model, str) else model
    machine = load_gpu(gpu, catalog=catalog) if isinstance(gpu, str) else gpu
    asked, gpus, twins = variants_on(spec, machine, Options(**options), groups)
    rows: list[Row] = []
    for context in contexts or (asked.context,):
        at = replace(asked, context=context)
        mark = f" @ {context:,.0f}" if len(contexts) > 1 else ""
        rows += _related([_row(twin.variant + mark, twin_question(twin, machine, at)) for twin in twins])
    _check_any_fits(rows)
    notes = [f"{twin.variant}: {twin.rule}; {twin.model.total_parameters / 1e9:,.4g}B parameters" for twin in twins]
    longest = ask(spec, machine, replace(asked, mla=None, context=max(contexts, default=asked.context)))
    notes += filter(None, [beyond_training(longest)])
    title = f"{spec.name} on {gpus} × {machine.name}, attention replaced"
    return Comparison(title, tuple(rows), tuple(c for c in contexts), tuple(notes))


def variants_on(
    model: ModelSpec, gpu: Accelerator, options: Options, groups: tuple[int, ...]
) -> tuple[Options, int, list[Twin]]:
    """The options that every variant gets, its GPUs, as many as the model itself takes, and the variants."""
    gpus = options.gpus or plan(ask(model, gpu, options)).spread.gpus
    asked = options if options.degrees.layout_given else replace(options, gpus=gpus)
    twins = attention_twins(model, groups)
    # Without a cache there are no reads of it: a term of the bill has no such variant.
    return asked, gpus, [twin for twin in twins if options.terms == "all" or not twin.recompute]


def twin_question(twin: Twin, gpu: Accelerator, options: Options) -> Question:
    """What a variant is asked; modes of MLA are variants of their own here."""
    return replace(ask(twin.model, gpu, replace(options, mla=None)), recompute=twin.recompute)


def compare_models(
    models: Sequence[ModelSpec | str],
    gpu: Accelerator | str,
    *,
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> Comparison:
    """Several models on one kind of GPU; the first one is the reference.

    Raises CostcalcError for names, values and layouts that cannot be, and where no model fits.
    """
    machine = load_gpu(gpu, catalog=catalog) if isinstance(gpu, str) else gpu
    specs = [load_model(m, catalog=catalog) if isinstance(m, str) else m for m in models]
    questions = [ask(spec, machine, Options(**options)) for spec in specs]
    return _compared(f"Models on {machine.name}", [q.model.name for q in questions], questions)


def compare_gpus(
    gpus: Sequence[Accelerator | str],
    model: ModelSpec | str,
    /,
    *,
    counts: Sequence[int | None] = (),
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> Comparison:
    """One model on several kinds of GPU; the first one is the reference.

    Without a price asked for, all are charged prices of one kind: see `costcalc.explore.pricing`.

    counts: how many of each kind, where they differ; None leaves one to be chosen.
    Raises CostcalcError for names, values and layouts that cannot be, and where the model fits on none.
    """
    spec = load_model(model, catalog=catalog) if isinstance(model, str) else model
    machines = [load_gpu(g, catalog=catalog) if isinstance(g, str) else g for g in gpus]
    basis = on_one_basis(machines) if options.get("price") is None else None
    machines = basis.gpus if basis else machines
    asked: list[OptionKeywords] = [options] * len(machines)
    if counts:
        asked = [{**options, "gpus": count} for count in counts]
    questions = [ask(spec, machine, Options(**each)) for machine, each in zip(machines, asked, strict=True)]
    result = _compared(f"{spec.name} on several accelerators", [q.gpu.name for q in questions], questions)
    notes = price_notes([row.estimate for row in result.rows], basis)
    return replace(result, notes=(*notes, *result.notes))


def _compared(title: str, names: Sequence[str], questions: Sequence[Question]) -> Comparison:
    rows = _related(_row(name, question) for name, question in zip(names, questions, strict=True))
    _check_any_fits(rows)
    notes = dict.fromkeys(filter(None, map(beyond_training, questions)))
    return Comparison(title, tuple(rows), notes=tuple(notes))


def _row(name: str, question: Question) -> Row:
    """The answer to a question, or a row that says how many GPUs it needs."""
    try:
        return Row(name, answer(question, plan(question)))
    except DoesNotFit as error:
        return Row(name, unanswered(question, error.tried), note=str(error), needs_gpus=error.needs)


def _check_any_fits(rows: Sequence[Row]) -> None:
    """Raise CostcalcError where no row fits."""
    if any(row.note is None for row in rows):
        return
    first = rows[0]
    counts = sorted({row.needs_gpus for row in rows if row.needs_gpus})
    hint = f"--gpus {counts[0]} would fit {'the first' if len(rows) > 1 else 'it'} of them" if counts else None
    raise CostcalcError(f"none of {len(rows)} rows fits; {first.note}", hint=hint if len(rows) == 1 else None)


def _related(rows: Iterable[Row]) -> list[Row]:
    """Rows with their ratios: of the cache to the first, of the cost to the first that has one."""
    rows = list(rows)
    costs = [row.estimate.cost.usd_per_million_output_tokens for row in rows]
    reference = next((cost for cost in costs if cost), None)
    first = rows[0].estimate.kv_cache.bytes_per_token
    related = []
    for row, cost in zip(rows, costs, strict=True):
        cache = row.estimate.kv_cache.bytes_per_token
        ratio = cost / reference if cost and reference else None
        related.append(replace(row, cache_ratio=first / cache if cache else None, cost_ratio=ratio))
    return related
