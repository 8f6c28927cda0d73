"""What a report consists of: an estimate, attention replaced, the frontier, and what changes with batch and context."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from math import isfinite
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.errors import CostcalcError
from costcalc.explore.attention import AttentionAsked, Curves, attention_asked, attention_table, curves_beside
from costcalc.explore.estimate import estimate
from costcalc.explore.sizing import A_HAIR
from costcalc.explore.spaces.cells import DEGREES
from costcalc.explore.spaces.frontier import Frontier, frontier
from costcalc.explore.spaces.sweep import sweep
from costcalc.fields import Record
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import command_of
from costcalc.predict.quantities import SIDES
from costcalc.predict.results import Comparison, Estimate
from costcalc.predict.scenario import Scenario, asked, counted
from costcalc.units import counted as times_of

CONTEXTS = ("4k", "128k")
"""Of the attention variants where no context is told: one of a chat, and one at which caches decide."""


class Choices(Record):
    """Numbers of the same deployment at every batch and context of a grid, at $1 per GPU-hour, busy all of the time.

    Dollars of any other price and use are these times price over use; so in this unit they are GPU-hours.
    """

    batches: tuple[float, ...]  # [sequences] of one replica
    contexts: tuple[float, ...]  # [tokens]
    columns: Mapping[str, tuple[Any, ...]]  # by path, of all contexts of the first batch, then of the next; None: none
    start: int  # the cell of the estimate
    held: str  # what is the same in all of them, in words
    command: str | None  # that asks for a cell, but for price, use, batch and context; None where names do not

    def at(self, cell: int) -> dict[str, Any]:
        """The numbers of a cell by path."""
        return {path: values[cell] for path, values in self.columns.items()}


class Fleet(Record):
    """What serves a demand, of which replicas follow the use and dollars the price."""

    each: int  # GPUs of a replica
    pool: int  # GPUs beside them that prefill
    replicas: int
    busy: float | None  # replicas at full use; None: they hold users, or fill a pool, however busy they are
    requests_per_h: float
    tokens_per_h: float  # in and out
    users: float | None


def fleet_of(result: Estimate) -> Fleet | None:
    """What serves the demand of an estimate; None without one."""
    demand, machine, served = result.demand, result.deployment, result.serving.output_tokens_per_s
    if demand is None:
        return None
    each = (machine.gpus - machine.idle_gpus) // machine.replicas
    # Users hold a batch however busy it is; a pool for prefill comes in whole workers, which are asked for again.
    pool = demand.gpus - each * demand.replicas
    busy = None
    if demand.users is None and served and not pool:
        busy = float(demand.output_tokens_per_s / (served / machine.replicas) * A_HAIR)
    requests = float(demand.requests_per_s) * 3600
    tokens = requests * float(result.workload.input_tokens + result.workload.output_tokens)
    users = None if demand.users is None else float(demand.users)
    return Fleet(each, pool, demand.replicas, busy, requests, tokens, users)


class Overview(Record):
    """The answers of a report; a question that cannot be asked has the error that says why."""

    estimate: Estimate
    choices: Choices
    attention: Comparison | CostcalcError
    curves: Curves | None  # of attention variants over contexts
    frontier: Frontier | CostcalcError


def overview(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    catalog: Catalog | str | Path | None = None,
    attention: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> Overview:
    """Ask what a report of a deployment says.

    model, gpu, catalog, options: as of `costcalc.estimate`.
    attention: what `costcalc.compare_attention` is asked beside them: variants, contexts, disaggregated.
    Raises CostcalcError as these do; a part that was not asked for and cannot be asked is left out with its reason.
    """
    folders = catalog_of(catalog)
    found = estimate(model, gpu, catalog=folders, **options)
    scenario = asked(model, gpu, options, folders)
    at = () if scenario.options.context is not None or scenario.options.load_told else CONTEXTS
    told = {"contexts": at, **options, **attention}
    ask: Callable[[Callable[[], Any]], Any] = _or_why if not attention else lambda question: question()
    question = ask(lambda: attention_asked(model, gpu, catalog=folders, **told))
    variants: Comparison | CostcalcError
    lines = None
    if isinstance(question, AttentionAsked):
        variants = ask(partial(attention_table, question))
        # A term of the bill is no deployment, of which curves would be drawn.
        if isinstance(variants, Comparison) and scenario.options.terms == "all":
            lines = curves_beside(question)
    else:
        variants = question
    return Overview(
        found,
        _choices(found, scenario, model, gpu, folders),
        variants,
        lines,
        _or_why(lambda: frontier(model, gpu, catalog=folders, **options)),
    )


Answer = TypeVar("Answer")


def _or_why(ask: Callable[[], Answer]) -> Answer | CostcalcError:
    try:
        return ask()
    except CostcalcError as error:
        return error


# The same deployment at other batches and contexts.


TOLD = (
    *("cost.usd_per_million_output_tokens", "cost.usd_per_million_input_tokens"),
    *("cost.usd_per_million_blended_tokens", "cost.usd_per_request"),
    *("serving.output_tokens_per_s_per_gpu", "serving.tokens_per_s_per_user"),
    *("serving.time_per_output_token_s", "serving.time_to_first_token_s"),
)
"""Numbers of a cell, which have ranges."""
_BESIDE = ("memory.fits", "memory.max_sequences", "decode.bound_by")
MOST_BATCH, MOST_CONTEXT, LEAST_CONTEXT = 8192, 1 << 20, 1024
"""Ends of the grid where memory and the model set none [sequences, tokens]."""


def _choices(found: Estimate, q: Scenario, model: Any, gpu: Any, catalog: Catalog) -> Choices:
    """The grid around an estimate; of one cell where the load makes the batch, or no degrees say the layout."""
    name = counted(gpu, {})[0]
    told = {each: value for each, value in q.options.told.items() if each not in ("price", "utilization")}

    def ask(question: Callable[..., Any], **options: Any) -> tuple[Any, str | None]:
        """What a question answers at $1 per GPU-hour, and the command that asks for it."""
        known = {**{each: value for each, value in told.items() if each not in options}, **options}  # axes in order
        answered = question(model, name, catalog=catalog, **known, price=1.0, utilization=1.0)
        typed = {each: value for each, value in known.items() if not isinstance(value, list)}
        named = isinstance(model, str | Path) and isinstance(gpu, str | Path)
        return answered, command_of(str(model), str(name), typed, catalog.typed()) if named else None

    load, machine = found.workload, found.deployment
    if machine.idle_gpus or q.options.load_told or q.options.demand is not None:
        idle = f"{times_of(machine.idle_gpus, 'idle GPU')} can be told by no layout" if machine.idle_gpus else ""
        held = f"Batch and context stay: {idle or 'the load that was asked for makes them'}. Ask again for others."
        one, command = ask(estimate)
        numbers = {path: (_kept(value),) for path, value in _numbers_of(one).items()}
        return Choices((load.batch,), (load.context_tokens,), numbers, 0, held, command)
    follows = q.options.context is not None and q.options.input_tokens is None
    lengths = {} if follows else {"input_tokens": int(load.input_tokens), "output_tokens": int(load.output_tokens)}
    same = {each: getattr(machine, each) for each in DEGREES}
    batches = _batches(found)
    contexts = _contexts(found, q, LEAST_CONTEXT if follows else load.input_tokens)
    grid, command = ask(sweep, **lengths, **same, batch=[*batches], context=[*contexts])
    columns = {path: tuple(map(_kept, grid.column(path).ravel().tolist())) for path in _paths() if path in grid.values}
    prompts = "are as long as the context" if follows else f"stay {load.input_tokens:,.0f} tokens"
    held = (
        f"Held: {machine.layout} on {times_of(machine.gpus, 'GPU')}, also where another layout would be cheaper; "
        f"answers stay {load.output_tokens:,.0f} tokens, and prompts {prompts}."
    )
    start = batches.index(load.batch) * len(contexts) + contexts.index(load.context_tokens)
    return Choices(batches, contexts, columns, start, held, command)


def _paths() -> list[str]:
    ends = [f"{path}_range.{side}" for path in TOLD for side in SIDES]
    return [*TOLD, *ends, *_BESIDE]


def _numbers_of(found: Estimate) -> dict[str, Any]:
    """The numbers of an estimate by path, those of ranges as a sweep has them."""
    numbers: dict[str, Any] = {}
    for path in (*TOLD, *_BESIDE):
        group, _, name = path.partition(".")
        part = getattr(found, group)
        numbers[path] = getattr(part, name)
        if (limits := getattr(part, f"{name}_range", None)) is not None:
            numbers |= {f"{path}_range.{side}": end for side, end in zip(SIDES, limits, strict=True)}
    return numbers


def _kept(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value  # nan where nothing fits


def _batches(found: Estimate) -> tuple[float, ...]:
    """Batches from one to twice of what fits, or of what was answered; steps of a third or a half."""
    most = min(MOST_BATCH, max(2 * found.workload.batch, 2 * found.memory.max_sequences))
    powers = [1 << power for power in range(MOST_BATCH.bit_length())]
    steps = {size for power in powers for size in (power, power * 3 // 2) if size <= most}
    return tuple(sorted({*steps, found.workload.batch}))


def _contexts(found: Estimate, q: Scenario, least: float) -> tuple[float, ...]:
    """Contexts in powers of two, up to what the model was trained for."""
    asked_for = found.workload.context_tokens
    most = max(min(MOST_CONTEXT, q.model.max_context or MOST_CONTEXT), asked_for)
    powers = {float(1 << power) for power in range(MOST_CONTEXT.bit_length())}
    return tuple(sorted({each for each in powers | {float(least), float(most)} if least <= each <= most} | {asked_for}))
