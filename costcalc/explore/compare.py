"""The same question of several models or GPUs, beside a reference row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.parallelism import DoesNotFit
from costcalc.errors import CostcalcError
from costcalc.explore.assumptions import WITHOUT_EFFECT, beyond_training
from costcalc.explore.estimate import answer, unanswered
from costcalc.explore.pools import as_told, freed_of_prompts, most_prefill, of_contexts, said_of_prompts
from costcalc.explore.sizing import deployment_for
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.prices import BY_COMPARABILITY, kinds_priced
from costcalc.model.spec import ModelSpec
from costcalc.predict.odds import chance_cheaper
from costcalc.predict.options import Options, read_option
from costcalc.predict.results import Comparison, Estimate, Row
from costcalc.predict.scenario import (
    Scenario,
    asked,
    charged_as_told,
    counted,
    listed,
    owner_of,
    scenario_of,
    the_gpu,
    words_of_price,
)
from costcalc.units import format_price, format_seconds

# What a reader has to know of the prices that the accelerators of a comparison are charged.


def price_notes(scenarios: Sequence[Scenario]) -> Iterator[str]:
    """Yield the offers that accelerators are charged."""
    offers = [(q.gpu.name, found) for q in scenarios if (found := q.price) and found.kind]
    if offers:
        told = (f"{gpu} {format_price(each.usd_per_gpu_hour)} ({each.offer})" for gpu, each in offers)
        yield f"Per GPU-hour: {'; '.join(dict.fromkeys(told))}."


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


# Models and GPUs side by side.


def terms_of(q: Scenario, rows: Sequence[Row], lengths: Sequence[float]) -> str:
    """What all rows have in common, for a title: where prompts are served, and the limits that their batches keep.

    lengths: contexts that are asked about [tokens]: they decide where prompts are served unasked.
    """
    pools = ", prefill on a pool of its own" if q.decode_alone else ""
    if not q.disaggregated and q.options.terms == "all" and of_contexts(q, lengths):
        pools = ", prefill and decode in one pool"
    limits = {row.estimate.limits.time_per_output_token_s for row in rows if _batch_chosen(row)}
    limit = limits.pop() if len(limits) == 1 and all(_batch_chosen(row) for row in rows if row.note is None) else None
    told = [f"{format_seconds(limit)} per token"] if limit else []
    told += [f"{format_seconds(q.options.ttft)} to the first one"] if limit and q.options.ttft is not None else []
    return f"{pools}, under {' and '.join(told)}" if told else pools


def _batch_chosen(row: Row) -> bool:
    return row.note is None and any(each.name == "batch" for each in row.estimate.assumptions)


def contexts_of(values: object) -> tuple[float, ...]:
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
    folders, lengths = catalog_of(catalog), contexts_of(contexts)
    scenarios = [asked(each, gpu, options, folders) for each in listed(models, "models", "['v3', 'llama-3.1-70b']")]
    title = f"Models on {scenarios[0].gpu.name}"
    return _compared(title, [q.model.name for q in scenarios], scenarios, lengths, options)


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

    counts: how many of each kind, where they differ; None leaves one to be chosen. price: several, as in
        'spot,reserved,owned', make a row each.
    contexts: KV lengths [tokens] to evaluate the model at on each; none: the workload's own.
    Raises CostcalcError for names, values and layouts that cannot be, and where the model fits on none.
    """
    folders, names = catalog_of(catalog), listed(accelerators, "accelerators", "['h100', '4xb200']")
    lengths = contexts_of(contexts)
    if counts and len(counts) != len(names):
        raise CostcalcError(f"{len(counts)} counts for {len(names)} GPUs", where="counts", hint="give one for each")
    each = [{**options, "gpus": count} for count in counts] if counts else [options] * len(names)
    prices = _prices(options.get("price"))
    asks = [(gpu, {**given, "price": price}) for gpu, given in zip(names, each, strict=True) for price in prices]
    paid = list(starmap(partial(_as_priced, folders), asks))
    unpriced = [error for _, _, error in paid if error is not None]
    if len(unpriced) == len(paid):
        raise unpriced[0]
    scenarios = [asked(model, gpu, given, folders) for gpu, given, _ in paid]
    rows = _told_apart(scenarios)
    if len(prices) > 1:
        rows = [
            f"{name}, {_price_name(q, given['price'])}"
            for name, q, (_, given) in zip(rows, scenarios, asks, strict=True)
        ]
    what = "several accelerators"
    if len(names) == 1 and len(prices) > 1:
        what = f"{scenarios[0].gpu.name} at several prices"
    result = _compared(f"{scenarios[0].model.name} on {what}", rows, scenarios, lengths, options)
    without = dict.fromkeys(f"No price: {error.message}; {error.hint}." for error in unpriced)
    warned = () if len(prices) > 1 else mixed_prices(scenarios)
    return replace(result, notes=(*without, *price_notes(scenarios), *warned, *result.notes))


def _as_priced(
    folders: Catalog, gpu: object, given: Mapping[str, Any]
) -> tuple[object, dict[str, Any], CostcalcError | None]:
    """A GPU and its options, and why it has no such price; there it has none, so that others keep theirs."""
    name, options = counted(gpu, given)
    machine, told = the_gpu(name, folders), Options(**options)
    owner = owner_of(told, folders.serving_efficiency().of_owning)
    try:
        charged_as_told(machine, words_of_price(told), owner)
    except CostcalcError as error:
        own = {key: value for key, value in options.items() if key not in ("price", "owned", "power_price")}
        return replace(machine, price=None, prices=()), own, error
    return name, options, None


def _told_apart(scenarios: Sequence[Scenario]) -> list[str]:
    """The names of rows: of a GPU that is there in several numbers with these."""
    asked_for = {(q.gpu.name, q.options.gpus) for q in scenarios}
    several = {name for name, _ in asked_for if sum(name == other for other, _ in asked_for) > 1}
    return [
        f"{q.options.gpus} × {q.gpu.name}" if q.options.gpus and q.gpu.name in several else q.gpu.name
        for q in scenarios
    ]


def _prices(told: Any) -> list[Any]:
    """The prices that are compared: those of a list, or of text between commas; one that is not told is one, too."""
    if isinstance(told, list | tuple):
        return list(told) or [None]
    if not isinstance(told, str):
        return [told]
    return [each for part in re.split(r",(?![0-9]{3}(?![0-9]))", told) if (each := part.strip())] or [told]


def _price_name(q: Scenario, told: Any) -> str:
    """A price as rows are told apart by it: words as they are, and dollars."""
    return format_price(q.price.usd_per_gpu_hour) if q.price and q.price.kind is None else str(told)


def _compared(
    title: str,
    names: Sequence[str],
    scenarios: Sequence[Scenario],
    lengths: tuple[float, ...],
    given: Mapping[str, Any],
) -> Comparison:
    """The rows of questions, at each context [tokens] or at the workload's own, with what is said of them.

    given: options as they were passed.
    """

    def ask(questions: Sequence[Scenario]) -> list[Row]:
        rows: list[Row] = []
        for context in lengths or (None,):
            mark = "" if context is None else mark_of(context, lengths)
            rows += related([name + mark for name in names], [_at_context(q, context) for q in questions])
        return rows

    first = as_told(scenarios, lengths)
    rows = ask(first)
    asked_in, share = freed_of_prompts(first, lengths, given, most_prefill(rows))
    rows, of_prefill = said_of_prompts(rows if asked_in is first else ask(asked_in), asked_in[0].options, share)
    check_any_fits(rows)
    told: dict[str, None] = {}
    for number, context in enumerate(lengths or (None,)):
        part = rows[number * len(names) : (number + 1) * len(names)]
        beyond = filter(None, (beyond_training(_at_context(q, context)) for q in asked_in))
        told |= dict.fromkeys([*beyond, *_nearest_call(part)])
    notes = (*of_prefill, *told, *without_effect(rows), *enough_for_all(rows))
    return Comparison(f"{title}{terms_of(asked_in[0], rows, lengths)}", tuple(rows), lengths, notes)


def _at_context(q: Scenario, context: float | None) -> Scenario:
    """The question at another context [tokens]; None leaves it its own."""
    if context is None:
        return q
    found = scenario_of(q.model, q.gpu, replace(q.options, context=context), q.constants)
    return replace(found, decode_alone=q.decode_alone)


def mark_of(context: float | None, lengths: Sequence[float]) -> str:
    """What tells the rows of one of several contexts [tokens] from the others."""
    return f" @ {context:,.0f}" if len(lengths) > 1 else ""


def without_effect(rows: Sequence[Row]) -> Iterator[str]:
    """What rows say of options that do nothing there: plainly where all say it, else with the rows' names."""
    said: dict[str, list[str]] = {}
    for row in rows:
        for note in row.estimate.notes:
            if WITHOUT_EFFECT in note:
                said.setdefault(note, []).append(row.variant)
    for note, names in said.items():
        yield note if len(names) == len(rows) else f"{', '.join(names)}: {note}"


def enough_for_all(rows: Sequence[Row]) -> Iterator[str]:
    """The GPUs on which all rows of one machine fit, where some do not."""
    counts = [row.needs_gpus for row in rows if row.note is not None]
    known = [each for each in counts if each]
    if known and len(known) == len(counts) and len({row.estimate.deployment.gpu for row in rows}) == 1:
        yield f"All rows fit with --gpus {max(known)}."


def _row(name: str, scenario: Scenario) -> Row:
    """The answer to a question, or a row that says how many GPUs it needs."""
    try:
        return Row(name, answer(scenario, deployment_for(scenario)))
    except DoesNotFit as error:
        return Row(name, unanswered(scenario, error.tried), note=str(error), needs_gpus=error.needs)


def check_any_fits(rows: Sequence[Row]) -> None:
    """Raise CostcalcError where no row fits."""
    if any(row.note is None for row in rows):
        return
    first = rows[0]
    counts = sorted({row.needs_gpus for row in rows if row.needs_gpus})
    hint = f"--gpus {counts[0]} would fit {'the first' if len(rows) > 1 else 'it'} of them" if counts else None
    raise CostcalcError(f"none of {len(rows)} rows fits; {first.note}", hint=hint if len(rows) == 1 else None)


def related(names: Sequence[str], scenarios: Sequence[Scenario]) -> list[Row]:
    """The rows of questions with their ratios: of the cache to the first, of the cost to the first that has one."""
    rows = [_row(name, scenario) for name, scenario in zip(names, scenarios, strict=True)]
    costs = [_cost(row.estimate) for row in rows]
    reference = next((at for at, cost in enumerate(costs) if cost), 0)
    first, against = rows[0].estimate.kv_cache, costs[reference]
    related = []
    for at, (row, cost) in enumerate(zip(rows, costs, strict=True)):
        held = row.estimate.kv_cache
        related.append(
            replace(
                row,
                cache_ratio=first.bytes_per_token / held.bytes_per_token if held.bytes_per_token else None,
                sequence_ratio=first.bytes_per_sequence / held.bytes_per_sequence if held.bytes_per_sequence else None,
                cost_ratio=cost / against if cost and against else None,
                chance_cheaper=None
                if at == reference
                else float(cost < against)
                if cost and against and cost != against and _same_run(row.estimate, rows[reference].estimate)
                else chance_cheaper(scenarios[at], scenarios[reference], cost, against),
            )
        )
    return related


def _cost(result: Estimate) -> float | None:
    """What is set against other rows: $/M of output tokens, of a demand the month of its fleet [$]."""
    demand = result.demand
    return result.cost.usd_per_million_output_tokens if demand is None else demand.usd_per_month


def _same_run(first: Estimate, second: Estimate) -> bool:
    """Whether two rows are one deployment at different prices, whose errors are the same."""
    same = first.model == second.model and first.deployment.gpu == second.deployment.gpu
    return same and (first.serving, first.workload) == (second.serving, second.workload)


SURE = 0.9
"""Chance from which on a comparison is not called a near one."""


def _nearest_call(rows: Sequence[Row]) -> Iterator[str]:
    """What to measure first, where one row may be cheaper than the reference or not."""
    near = [row for row in rows if row.chance_cheaper is not None and 1 - SURE < row.chance_cheaper < SURE]
    if not near:
        return
    row = min(near, key=lambda each: abs((each.chance_cheaper or 0.0) - 0.5))
    reference = next(each for each in rows if each.cost_ratio is not None)
    if row.variant == reference.variant:  # the same question twice
        return
    # What is left when one of two is measured is the other's error: the wider of both is to be measured.
    wider = max((row, reference), key=lambda each: _width(each.estimate))
    yield (
        f"Nearest call: {row.variant} is cheaper than {reference.variant} with a chance of {row.chance_cheaper:.0%}. A "
        f"run of {wider.variant} would settle most of it: costcalc price, or calibrate."
    )


def _width(result: Estimate) -> float:
    spread = result.cost.usd_per_million_output_tokens_range
    return 0.0 if spread is None or not spread[0] else spread[1] / spread[0]
