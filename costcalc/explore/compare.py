"""The same question asked of several attention variants, models or GPUs, beside a reference row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Unpack

from costcalc.catalog.load import load_gpu, load_model
from costcalc.explore.estimate import answer, estimate, unanswered
from costcalc.explore.options import OptionKeywords
from costcalc.explore.plan import DoesNotFit, plan
from costcalc.explore.pricing import on_one_basis, price_notes
from costcalc.explore.question import Options, ask
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
    Raises CostcalcError for names, values and layouts that cannot be.
    """
    spec = load_model(model, catalog=catalog) if isinstance(model, str) else model
    machine = load_gpu(gpu, catalog=catalog) if isinstance(gpu, str) else gpu
    asked = Options(**options)
    gpus = gpus_of(spec, machine, asked)
    if not asked.degrees.layout_given:
        asked = replace(asked, gpus=gpus)
    twins = attention_twins(spec, groups)
    rows: list[Row] = []
    for context in contexts or (asked.context,):
        at = replace(asked, context=context)
        rows += _related([_twin_row(twin, machine, at, contexts) for twin in twins])
    notes = [f"{twin.variant}: {twin.rule}; {twin.model.total_parameters / 1e9:,.4g}B parameters" for twin in twins]
    title = f"{spec.name} on {gpus} x {machine.name}, attention replaced"
    return Comparison(title, tuple(rows), tuple(c for c in contexts), tuple(notes))


def gpus_of(model: ModelSpec, gpu: Accelerator, options: Options) -> int:
    """GPUs that a comparison gives to every variant: those asked for, or what the model itself takes."""
    return options.gpus or plan(ask(model, gpu, options)).spread.gpus


def compare_models(
    models: Sequence[ModelSpec | str],
    gpu: Accelerator | str,
    *,
    catalog: str | None = None,
    **options: Unpack[OptionKeywords],
) -> Comparison:
    """Several models on one kind of GPU; the first one is the reference."""
    machine = load_gpu(gpu, catalog=catalog) if isinstance(gpu, str) else gpu
    specs = [load_model(m, catalog=catalog) if isinstance(m, str) else m for m in models]
    rows = [Row(spec.name, estimate(spec, machine, **options)) for spec in specs]
    return Comparison(f"Models on {machine.name}", tuple(_related(rows)))


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
    """
    spec = load_model(model, catalog=catalog) if isinstance(model, str) else model
    machines = [load_gpu(g, catalog=catalog) if isinstance(g, str) else g for g in gpus]
    basis = on_one_basis(machines) if options.get("price") is None else None
    machines = basis.gpus if basis else machines
    asked: list[OptionKeywords] = [options] * len(machines)
    if counts:
        asked = [{**options, "gpus": count} for count in counts]
    rows = [Row(machine.name, estimate(spec, machine, **each)) for machine, each in zip(machines, asked, strict=True)]
    notes = price_notes([row.estimate for row in rows], basis)
    return Comparison(f"{spec.name} on several accelerators", tuple(_related(rows)), notes=tuple(notes))


def _twin_row(twin: Twin, gpu: Accelerator, options: Options, contexts: Sequence[float]) -> Row:
    # Modes of MLA are rows of their own here.
    question = replace(ask(twin.model, gpu, replace(options, mla=None)), recompute=twin.recompute)
    name = f"{twin.variant} @ {options.context:,.0f}" if len(contexts) > 1 else twin.variant
    try:
        return Row(name, answer(question, plan(question)))
    except DoesNotFit as error:
        return Row(name, unanswered(question, error.tried), note=str(error))


def _related(rows: Iterable[Row]) -> list[Row]:
    """Rows with their ratios to the first."""
    rows = list(rows)
    first = rows[0].estimate
    related = []
    for row in rows:
        here = row.estimate
        cache = here.kv_cache.bytes_per_token
        cost, reference = here.cost.usd_per_million_output_tokens, first.cost.usd_per_million_output_tokens
        related.append(
            replace(
                row,
                cache_ratio=first.kv_cache.bytes_per_token / cache if cache else None,
                cost_ratio=cost / reference if cost and reference else None,
            )
        )
    return related
