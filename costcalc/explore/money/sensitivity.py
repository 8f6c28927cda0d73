"""What moves the cost most: each input from the low to the high end of its range, the others as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.parallelism import DoesNotFit
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.explore.estimate import answer, cost_scale, cost_served
from costcalc.explore.search import choose_deployment
from costcalc.explore.sizing import demanded, deployment_for
from costcalc.fields import Record, Result
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.owning import OwnedTerms, charged
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import OPTIONS, Options, read_option
from costcalc.predict.quantities import BLENDED
from costcalc.predict.results import Estimate, plain_tree
from costcalc.predict.scenario import Scenario, counted, owner_of, scenario_of, the_gpu, the_model
from costcalc.units import format_percent, format_usd

COSTS = {
    "blended": BLENDED,
    "output": "cost.usd_per_million_output_tokens",
    "input": "cost.usd_per_million_input_tokens",
}
"""Dollars per million of which tokens, and where they stand in the tree of an estimate."""
EITHER = {"disaggregated": "pools"}
"""Options that are one or the other, of which both are tried, and how their row is called."""
VARIED = (
    "price", "utilization", "input_tokens", "output_tokens", "context", "cached", "batch", "tpot", "ttft", "gpus",
    "demand", "memory_utilization", "acceptance", "drafts", "max_num_seqs", "max_num_batched_tokens", "link", "bits",
    "pue", "power_price",
)  # fmt: skip
"""Options that have a low and a high end."""
HIT_RATE = 0.563
"""Of all input tokens, those that DeepSeek's API found in its cache within a day: 342 of 608 billion (DeepSeek-V3/R1
inference system overview, 2025-03-01)."""
IDLE = 0.5
"""Use of GPUs that are rented for a peak of twice the mean."""
PREDICTION = "prediction"


class Influence(Record):
    """One input at both ends of its range, and what a million tokens cost there."""

    input: str  # an option, or 'prediction' for what is observed over what is predicted
    base: float | str | bool | None  # None where the choice was costcalc's
    low: (
        float | bool | str | None
    )  # ends of the range; of the prediction, observed over predicted cost; one and the other
    high: float | bool | str | None
    usd_per_million_at_low: float | None  # None where it does not fit
    usd_per_million_at_high: float | None
    swing: float  # between the ends, and where one does not fit, from the base [$/M]
    why: str  # this range


class Sensitivity(Result):
    """Inputs by how much they move a cost, most first."""

    title: str
    of: str  # blended, output or input tokens
    usd_per_million: float  # of a demand's blended tokens, of its whole fleet, busy or not
    influences: tuple[Influence, ...]
    estimate: Estimate
    notes: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Title, dollars, and what moves them most."""
        most = f", moved most by {self.influences[0].input.replace('_', ' ')}" if self.influences else ""
        return f"{self.title}: {format_usd(self.usd_per_million)} per M {self.of} tokens{most}"

    def to_dict(self) -> dict[str, Any]:
        """`{"title", "of", "usd_per_million", "influences": [...], "estimate", "notes"}`."""
        tree = {each: getattr(self, each) for each in ("title", "of", "usd_per_million", "notes")}
        influences = plain_tree(self.influences)
        return {**tree, "notes": list(self.notes), "influences": influences, "estimate": self.estimate.to_dict()}


class _End(Record):
    """The ends of the range of one input, as options."""

    input: str
    low: Any
    high: Any
    why: str


@np.errstate(all="ignore")
def sensitivity(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    of: str = "blended",
    vary: Mapping[str, Any] | str | Sequence[str] | None = None,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Sensitivity:
    """Move each input over its range, the others as they are, on as many GPUs; return them by how much the cost moves.

    model, gpu, catalog: as of `costcalc.estimate`.
    of: blended, output or input: whose dollars per million; of a demand, blended ones are what its whole fleet costs.
    vary: ranges of one's own, as in 'price=1.5:4' or {'price': (1.5, 4)}; others keep theirs, and an empty one
        ('batch=') leaves an input out.
    options: those of `costcalc.estimate`. Layout and batch are chosen anew at every end, unless they were told.
    Raises CostcalcError for names and values that cannot be, where nothing fits, and without a price.
    """
    if of not in COSTS:
        raise CostcalcError(f"{shown(of)} is unknown", where="of", hint=did_you_mean(of, COSTS) or ", ".join(COSTS))
    folders = catalog_of(catalog)
    name, given = counted(gpu, options)
    spec, machine = the_model(model, folders), the_gpu(name, folders)
    constants = folders.serving_efficiency()
    scenario = scenario_of(spec, machine, Options(**given), constants)
    own = _ranges(vary, machine, owner_of(scenario.options, constants.of_owning))
    if scenario.options.terms != "all":
        raise CostcalcError("a term of the bill has one input", where="terms", hint="leave it out")
    chosen = deployment_for(scenario)
    base = answer(scenario, chosen)
    cost = _cost(base, of)
    if cost is None:
        raise CostcalcError(f"no price per hour of {machine.name} is known", hint="give one with --price")
    told = {**given, "gpus": base.deployment.gpus}

    def at(end: Mapping[str, Any]) -> float | None:
        # A batch is moved on the layout that it was chosen for.
        layout = _degrees(base) if "batch" in end else {}
        try:
            moved = scenario_of(spec, machine, Options(**{**told, **layout, **end}), constants)
            return _cost(answer(moved, choose_deployment(moved)), of)
        except DoesNotFit:
            return None

    found = [_influence(each, scenario, cost, at) for each in _ends(scenario, base, own)]
    found += _of_prediction(base, of, cost) if own.get(PREDICTION, True) else ()
    found.sort(key=lambda each: -each.swing)
    title = f"{spec.name} on {base.deployment.gpus} × {machine.name}"
    return Sensitivity(title, of, cost, tuple(found), base, tuple(_notes(found, base, of)))


def _cost(result: Estimate, of: str) -> float | None:
    if of == "blended":
        return cost_served(result)
    value: float | None = getattr(result.cost, COSTS[of].partition(".")[2])
    return value


def _degrees(result: Estimate) -> dict[str, int]:
    names = ("tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
    return {name: getattr(result.deployment, name) for name in names}


def _dollars(gpu: Accelerator, price: float | str, owner: OwnedTerms) -> float:
    """A price told in dollars or in words [$/h]."""
    chosen = charged(gpu, price, owner)
    assert chosen is not None  # what was told is known, or refused
    return chosen.usd_per_gpu_hour


def _ranges(
    vary: Mapping[str, Any] | str | Sequence[str] | None, gpu: Accelerator, owner: OwnedTerms
) -> dict[str, Any]:
    """The ranges told, by option: two values, or None for an input that is left out."""
    if vary is None:
        return {}
    if isinstance(vary, str):
        vary = [each for each in vary.split(",") if each.strip()]
    pairs = vary.items() if isinstance(vary, Mapping) else [_split(each) for each in vary]
    found: dict[str, Any] = {}
    for name, ends in pairs:
        meant = _input(name)
        if ends is None or ends == "":
            found[meant] = None
            continue
        parts = ends.split(":") if isinstance(ends, str) else list(ends)
        if meant in EITHER:
            hint = f"both are tried; {name}= leaves it out"
            raise CostcalcError(f"{name} has two values and no range", where="vary", hint=hint)
        if len(parts) != 2 or meant == PREDICTION:
            raise CostcalcError(f"{shown(ends)} is no range of {meant}", where="vary", hint="as in price=1.5:4")
        try:
            low, high = (read_option(meant, each) for each in parts)
            if meant == "price":
                low, high = (_dollars(gpu, each, owner) for each in (low, high))
        except CostcalcError as error:
            raise CostcalcError(f"{meant}: {error.message}", where="vary", hint=error.hint) from None
        found[meant] = (low, high)
    return found


def _split(text: str) -> tuple[str, str]:
    name, equals, ends = text.partition("=")
    if not equals:
        raise CostcalcError(f"{shown(text)} is no range", where="vary", hint="write it like price=1.5:4")
    return name, ends.strip()


def _input(name: str) -> str:
    """The option that a word means: its keyword, its flag without dashes, or another name of it."""
    plain = name.strip().lower().removeprefix("--").replace("-", "_")
    for each in (*VARIED, *EITHER):
        flags = {flag.removeprefix("--").replace("-", "_") for flag in OPTIONS[each].flags}
        if plain in {each, *flags, *OPTIONS[each].also, EITHER.get(each)}:
            return each
    if plain == PREDICTION:
        return plain
    known = (*VARIED, *EITHER, PREDICTION)
    hint = did_you_mean(plain, known) or f"one of {', '.join(known)}"
    raise CostcalcError(f"{shown(name)} has no range", where="vary", hint=hint)


def _ends(q: Scenario, base: Estimate, own: Mapping[str, Any]) -> Iterator[_End]:
    """The ranges told, and those of what was not told."""
    for name, ends in own.items():
        if ends is not None and name != PREDICTION:
            low, high = ends
            yield _End(name, low, high, "as told")
    for each in _usual(q, base):
        if each.input not in own:
            yield each


def _usual(q: Scenario, base: Estimate) -> Iterator[_End]:
    """The ranges that inputs have where none was told."""
    o, load = q.options, base.workload
    machine = base.deployment
    if machine.price_range is not None and machine.owned is None:
        yield _End("price", *machine.price_range, why=f"lowest and highest {machine.price_kind} price of the catalog")
    if machine.owned is not None:
        electricity = machine.owned.terms.power_price
        yield _End("power_price", electricity / 2, electricity * 2, "half and twice as much for electricity")
    if (demand := demanded(q)) is not None:
        unit = "users" if demand.of == "users" else f"{demand.of}/s"
        half, twice = (f"{demand.amount * each:.6g} {unit}" for each in (0.5, 2))
        yield _End("demand", half, twice, "half and twice as much, in whole replicas")
    yield _End("utilization", IDLE, 1.0, "rented for a peak of twice the mean, and always busy")
    yield _End("cached", 0.0, max(HIT_RATE, o.cached), "none, and as much as DeepSeek's API finds in its cache")
    for name in ("input_tokens", "output_tokens"):
        tokens = getattr(load, name)
        yield _End(name, max(tokens / 2, 1.0), tokens * 2, "half and twice as long")
    if not o.load_told:
        most = max(base.memory.max_sequences, 1)
        low, high = max(int(load.batch) // 2, 1), min(int(load.batch) * 2, most)
        if low < high:
            fit = "half, and as many as fit" if high < load.batch * 2 else "half and twice as many at once"
            yield _End("batch", low, high, fit)
        if not o.batch:
            yield _End("tpot", q.tpot_limit / 2, q.tpot_limit * 2, "half and twice the limit that the batch keeps")
        if not o.offloads and not any(name.startswith("prefill_") for name in o.told):
            yield _End("disaggregated", False, True, "prefill and decode in one pool, or apart; the same GPUs decode")
    else:
        users = o.concurrency
        if users is not None and users >= 2:
            yield _End("concurrency", users / 2, users * 2, "half and twice as many at once")


_TAKEN: dict[str, Any] = {
    "input_tokens": lambda q: q.input_tokens,
    "output_tokens": lambda q: q.output_tokens,
    "tpot": lambda q: q.tpot_limit,
    "power_price": lambda q: owner_of(q.options, q.constants.of_owning).power_price,
    "pue": lambda q: owner_of(q.options, q.constants.of_owning).pue,
}
"""What an input is where it was not told, as far as that is a number."""


def _influence(end: _End, q: Scenario, cost: float, at: Any) -> Influence:
    low, high = at({end.input: end.low}), at({end.input: end.high})
    told = [each for each in (low, high) if each is not None]
    swing = max([*told, cost]) - min([*told, cost])
    base = getattr(q.options, end.input)
    if base is None and end.input in _TAKEN:
        base = float(_TAKEN[end.input](q))
    return Influence(end.input, base, end.low, end.high, low, high, swing, end.why)


def _of_prediction(base: Estimate, of: str, cost: float) -> Iterator[Influence]:
    """The range of the prediction itself: what kernels and engines reach."""
    spread = getattr(base.cost, f"{COSTS[of].partition('.')[2]}_range")
    if spread is not None:
        scale = cost_scale(base) if of == "blended" else 1.0
        low, high = (scale * each for each in spread)
        why = "of the prediction: in 8 of 10 cases"
        yield Influence(PREDICTION, 1.0, low / cost, high / cost, low, high, high - low, why)


SETTLED_BY = {
    PREDICTION: "a benchmark of this deployment; costcalc price prices it, costcalc calibrate learns from it",
    "cached": "the hit rate of the prefix cache under your traffic",
    "input_tokens": "prompts in your logs",
    "output_tokens": "answers in your logs",
    "utilization": "your load over a day; costcalc simulate replays it",
    "concurrency": "users at once in your logs",
}
"""What can be measured of an input, rather than decided or negotiated."""


def _notes(found: Sequence[Influence], base: Estimate, of: str) -> Iterator[str]:
    if base.demand is not None:
        whose = f"the demand's whole fleet, {base.demand.gpus:,} GPUs in whole replicas of as many GPUs each"
        yield f"Dollars are of {whose}." if of == "blended" else f"Dollars are of full replicas, not of {whose}."
    if (owner := base.deployment.owned) is not None:
        share = format_percent(owner.fixed_usd_per_gpu_hour / owner.usd_per_gpu_hour, 2)
        yield (
            f"Of the owner's price {share} is fixed: capital, years, rate and the other terms have no sourced range, "
            "and are not varied. Say others with --owned, and see with costcalc diff what they change."
        )
    first = next((each for each in found if each.input in SETTLED_BY), None)
    if first is not None:
        yield f"Measure first: {SETTLED_BY[first.input]}."
    lost = [each.input for each in found if each.usd_per_million_at_low is None or each.usd_per_million_at_high is None]
    if lost:
        yield f"Does not fit at one end: {', '.join(lost)}."
