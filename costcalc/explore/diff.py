"""Why two deployments cost what they cost: the difference, shared out among what was asked otherwise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import combinations
from typing import Any, Literal, get_args

from costcalc.catalog.catalog import Catalog
from costcalc.errors import CostcalcError, shown
from costcalc.explore.estimate import estimate
from costcalc.fields import Record, Result
from costcalc.predict.options import OPTIONS, Options
from costcalc.predict.results import Estimate, plain_tree
from costcalc.predict.scenario import counted
from costcalc.units import format_usd

Of = Literal["blended", "output", "input", "month"]
"""Whose dollars: of all tokens by their mix, of output or of input tokens alone; or of a month of the demand."""
OF: tuple[Of, ...] = get_args(Of)
MONTH: Of = "month"
MOST_CHANGES = 8
"""Changes that are weighed in every order: 256 estimates, which take some seconds."""
REMAINDER = "engine or catalog"
"""The change that no option explains: a saved answer is not what costcalc says of its question today."""


class Headline(Record):
    """The figures of an estimate that are compared first, and the command that asks for it."""

    command: str | None
    model: str
    gpu: str
    gpus: int
    layout: str
    batch: int | float
    max_sequences: int
    usd_per_gpu_hour: float | None
    usd_per_million_blended_tokens: float | None
    usd_per_million_output_tokens: float | None
    usd_per_million_input_tokens: float | None
    output_tokens_per_s_per_gpu: float | None
    tokens_per_s_per_user: float | None
    time_per_output_token_s: float | None
    time_to_first_token_s: float | None
    demand_gpus: int | None = None  # of the fleet that serves the demand, where one was told
    usd_per_month: float | None = None  # of that fleet

    def usd(self, of: Of) -> float | None:
        """Return the cost of some tokens [$/M], or of a month of the demand [$], or None where it is not known."""
        value: float | None = self.usd_per_month if of == MONTH else getattr(self, f"usd_per_million_{of}_tokens")
        return value


PATHS = {
    "command": "command", "model": "model.name", "max_sequences": "memory.max_sequences", "batch": "workload.batch",
    **{name: f"deployment.{name}" for name in ("gpu", "gpus", "layout", "usd_per_gpu_hour")},
    **{f"usd_per_million_{tokens}_tokens": f"cost.usd_per_million_{tokens}_tokens" for tokens in OF if tokens != MONTH},
    **{name: f"serving.{name}" for name in Headline.__dataclass_fields__ if "_s" in name[-8:] or "_per_s_" in name},
    "demand_gpus": "demand.gpus", "usd_per_month": "demand.usd_per_month",
}  # fmt: skip
"""Where the figures stand in the tree of an estimate."""
_TEXT = ("command", "model", "gpu", "layout")
_ALWAYS_KNOWN = ("model", "gpu", "layout", "gpus", "batch", "max_sequences")


def headline_of(tree: Mapping[str, Any]) -> Headline:
    """Return the headline figures of an estimate's tree; raises CostcalcError where it is none."""
    found: dict[str, Any] = {}
    for name in Headline.__dataclass_fields__:
        value: Any = tree
        for step in PATHS[name].split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        fitting = isinstance(value, str) if name in _TEXT else _is_number(value)
        if not fitting and (value is not None or name in _ALWAYS_KNOWN):
            told = "is missing" if value is None else f"is {shown(value)}"
            raise CostcalcError(
                f"not an estimate: {PATHS[name]} {told}", hint="save one with costcalc estimate -o x.json"
            )
        found[name] = value
    return Headline(**found)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < math.inf


class Asked(Record):
    """A question that `costcalc estimate` answers.

    options: by keyword, as passed or typed. changes: of the model and the GPU, by path: {'gpu.memory': '96 GB'}.
    catalog: the folder that is looked at first. saved: what an earlier answer said, where that is compared.
    """

    model: str
    gpu: str
    options: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, str] = field(default_factory=dict)
    catalog: str | None = None
    saved: Headline | None = None


class Change(Record):
    """One thing that was asked otherwise, and how much of the difference it makes."""

    path: str  # an option's keyword, 'gpu.memory' of --set, or several that only go together
    before: Any  # as read, in SI; None where costcalc chooses
    after: Any
    effect: float | None  # [$/M, or $ of a month]; None where either cost is not known


class Diff(Result):
    """Two estimates, what was asked otherwise, and how much of the difference in cost each change makes."""

    of: Of
    before: Headline
    after: Headline
    changes: tuple[Change, ...]
    method: Literal["shapley", "in order"]
    notes: tuple[str, ...] = ()

    @property
    def difference(self) -> float | None:
        """What `after` costs more than `before` [$/M, or $ of a month], or None where either is not known."""
        first, last = self.before.usd(self.of), self.after.usd(self.of)
        return None if first is None or last is None else last - first

    @property
    def about(self) -> str:
        """Both sides, and the dollars of each."""
        told = (f"{each.model} on {each.gpus} × {each.gpu}" for each in (self.before, self.after))
        costs = (format_usd(each.usd(self.of)) for each in (self.before, self.after))
        return f"{' → '.join(told)}: {' → '.join(costs)} {'a month' if self.of == MONTH else f'per M {self.of} tokens'}"

    def to_dict(self) -> dict[str, Any]:
        """`{"of", "from", "to", "difference_usd_per_million" or "..._per_month", "changes", "method", "notes"}`."""
        unit = "usd_per_month" if self.of == MONTH else "usd_per_million"
        return {
            "of": self.of,
            "from": plain_tree(self.before),
            "to": plain_tree(self.after),
            f"difference_{unit}": self.difference,
            "changes": [
                {"path": each.path, "from": each.before, "to": each.after, f"effect_{unit}": each.effect}
                for each in self.changes
            ],
            "method": self.method,
            "notes": list(self.notes),
        }  # fmt: skip


def diff(before: Asked | Mapping[str, Any], after: Asked | Mapping[str, Any], *, of: Of = "blended") -> Diff:
    """Why does `after` cost more, or less, than `before`?

    Effects are Shapley values: what a change adds, in the mean of all orders in which the changes can be made one after
    the other; they add up to the difference. What is not given is chosen anew for every combination, as
    `costcalc.estimate` does. Orders that pass a deployment that cannot be (it does not fit, or options contradict each
    other) do not count, and changes that only go together are one. More than 8 changes are made in one order.

    before, after: what `costcalc.estimate` is asked, as in {'model': 'v3', 'gpu': 'h100', 'batch': 32}.
    of: 'blended', 'output' or 'input' tokens, whose dollars are told, or the 'month' of a demand that both sides have.
    Raises CostcalcError for what cannot be read, and where either side cannot be answered.
    Source: L. S. Shapley, "A Value for n-Person Games" (1953).
    """
    if of not in OF:
        raise CostcalcError(f"{shown(of)} is unknown", where="of", hint=f"one of: {', '.join(OF)}")
    sides = _asked(before), _asked(after)
    mixed = Mixed(*sides, of)
    now = mixed.answer(frozenset()), mixed.answer(frozenset(mixed.changed))
    today = [headline_of(found.to_dict()) for found in now]
    if of == MONTH and any(found.demand_gpus is None for found in today):
        raise CostcalcError("a month is that of a demand", where="of", hint="give both sides one with --demand")
    told = [side.saved or found for side, found in zip(sides, today, strict=True)]
    costs = [found.usd(of) for found in today]
    method: Literal["shapley", "in order"] = "shapley" if len(mixed.changed) <= MOST_CHANGES else "in order"
    if None in costs:
        effects: dict[tuple[str, ...], float | None] = {(path,): None for path in mixed.changed}
    else:
        effects = {**(shapley if method == "shapley" else in_order)(mixed.changed, mixed.usd)}
    changes = [_change(paths, effect, mixed) for paths, effect in effects.items()]
    if method == "shapley":
        changes.sort(key=lambda each: -abs(each.effect or 0.0))
    result = Diff(of, told[0], told[1], tuple(changes), method, tuple(_notes(method, effects, costs, mixed)))
    return result if costs[0] is None or costs[1] is None else _with_remainder(result, costs[1] - costs[0])


def _asked(given: Asked | Mapping[str, Any]) -> Asked:
    if isinstance(given, Asked):
        return given
    rest = dict(given) if isinstance(given, Mapping) else {}
    model, gpu, catalog = (rest.pop(name, None) for name in ("model", "gpu", "catalog"))
    if not isinstance(model, str) or not isinstance(gpu, str):
        raise CostcalcError("a side names a model and a GPU", hint="write it like {'model': 'v3', 'gpu': 'h100'}")
    return Asked(model, gpu, rest, catalog=None if catalog is None else str(catalog))


def _with_remainder(result: Diff, explained: float) -> Diff:
    """The difference with what options do not explain of it, where a saved answer is another today."""
    rest = 0.0 if result.difference is None else result.difference - explained
    if result.difference is None or abs(rest) <= 1e-12 * max(abs(result.difference), abs(explained)):
        return result
    return replace(result, changes=(*result.changes, Change(REMAINDER, None, None, rest)))


# What differs between two questions, and the questions between them.


class Mixed:
    """Questions that take some of their options from one side and the others from the other.

    changed: the paths of what differs: keywords, 'model', 'gpu', 'catalog', and paths of --set.
    """

    def __init__(self, before: Asked, after: Asked, of: Of) -> None:
        self.of = of
        self.sides = _by_path(before), _by_path(after)
        same = _alike(before, after)
        paths = dict.fromkeys([*self.sides[0], *self.sides[1]])
        order = {name: at for at, name in enumerate(["model", "gpu", *OPTIONS])}
        self.changed = sorted(
            (path for path in paths if path not in same and self.value(0, path) != self.value(1, path)),
            key=lambda path: order.get(path, len(order)),
        )
        self._catalogs: dict[tuple[object, ...], Catalog] = {}
        self._costs: dict[frozenset[str], float | None] = {}

    def value(self, side: int, path: str) -> Any:
        """What a side gives for a path, or takes where it gives nothing: its default, or None."""
        default = Options.__dataclass_fields__[path].default if path in OPTIONS else None
        return self.sides[side].get(path, default)

    def answer(self, taken: frozenset[str]) -> Estimate:
        """Return the estimate that takes some of what changed from the other side; raises CostcalcError."""
        paths = dict.fromkeys([*self.sides[0], *self.sides[1]])
        given = {path: self.value(path in taken, path) for path in paths}
        options = {name: value for name, value in given.items() if name in OPTIONS and value is not None}
        changes: dict[str, dict[str, str]] = {}
        for path, text in given.items():
            if "." in path and text is not None:
                kind, _, inner = path.partition(".")
                changes.setdefault(kind, {})[inner] = text
        key = (given["catalog"], *((path, text) for path, text in given.items() if "." in path))
        catalog = self._catalogs.setdefault(key, Catalog(given["catalog"], changes))
        return estimate(given["model"], given["gpu"], catalog=catalog, **options)

    def usd(self, taken: frozenset[str]) -> float | None:
        """Return the cost of that estimate [$/M, or $ of a month], or None where there is none."""
        if taken not in self._costs:
            try:
                found = self.answer(taken)
            except CostcalcError:
                self._costs[taken] = None
            else:
                self._costs[taken] = headline_of(found.to_dict()).usd(self.of)
        return self._costs[taken]


def _by_path(asked: Asked) -> dict[str, Any]:
    """What a question gives, by path, as it is read."""
    gpu, given = counted(asked.gpu, asked.options)
    named = {"model": asked.model, "gpu": gpu, "catalog": asked.catalog}
    return named | Options(**given).told | dict(asked.changes)


def _alike(before: Asked, after: Asked) -> list[str]:
    """Of model and GPU, what two names are the same entry of one catalog."""
    if before.catalog != after.catalog:
        return []
    catalog = Catalog(before.catalog)
    names = [(each.model, counted(each.gpu, {})[0]) for each in (before, after)]
    models, gpus = zip(*names, strict=True)
    alike = [catalog.resolve("models", each)[::2] for each in models]
    cards = [catalog.resolve("hardware_profiles", str(each)).path for each in gpus]
    return ["model"] * (alike[0] == alike[1]) + ["gpu"] * (cards[0] == cards[1])


def _change(paths: tuple[str, ...], effect: float | None, mixed: Mixed) -> Change:
    """One change, or several that only go together."""
    if len(paths) == 1:
        return Change(paths[0], mixed.value(0, paths[0]), mixed.value(1, paths[0]), effect)
    sides = [{path: mixed.value(side, path) for path in paths} for side in (0, 1)]
    return Change(" + ".join(paths), sides[0], sides[1], effect)


def _notes(
    method: str, effects: Mapping[tuple[str, ...], float | None], costs: Sequence[float | None], mixed: Mixed
) -> Iterator[str]:
    if not effects:
        yield "Nothing is asked otherwise."
    if None in costs:
        what = "a month" if mixed.of == MONTH else f"{mixed.of} tokens"
        yield f"The cost of {what} is not known on both sides: give a price with --price."
    elif method == "in order":
        yield f"More than {MOST_CHANGES} changes are made one after the other, as listed: another order, other effects."
    elif len(effects) > 1:
        yield "An effect is the mean over all orders in which the changes can be made (Shapley value)."
    if any(len(paths) > 1 for paths in effects):
        yield "Changes joined by + only go together: what has some of them cannot be."


# Sharing a difference out.


Cost = Callable[[frozenset[str]], float | None]
Effects = dict[tuple[str, ...], float]


def shapley(changed: Sequence[str], cost: Cost) -> Effects:
    """Return what each change adds, in the mean of all orders in which every step can be.

    changed: the changes. cost: of a set of them, or None where that cannot be; those of none and of all can.
    Changes that no order keeps apart are joined: as few as there is an order then.
    """
    blocks: list[tuple[str, ...]] = [(each,) for each in changed]
    found = _mean_over_orders(blocks, cost)
    for size in range(2, len(changed) + 1):
        for joined in combinations(changed, size):
            if found is not None:
                return found
            rest = [(each,) for each in changed if each not in joined]
            found = _mean_over_orders([joined, *rest], cost)
    return found or {}


def _mean_over_orders(blocks: Sequence[tuple[str, ...]], cost: Cost) -> Effects | None:
    """The mean of what each block adds, over the orders without a step that cannot be; None where there are none.

    A state is a number, with a bit for each block that is changed in it.
    """
    full = (1 << len(blocks)) - 1
    bits = [1 << at for at in range(len(blocks))]
    costs = [
        cost(frozenset(path for bit, block in zip(bits, blocks, strict=True) if state & bit for path in block))
        for state in range(full + 1)
    ]
    from_start, to_end = [0] * (full + 1), [0] * (full + 1)  # orders that lead here, and on from here
    from_start[0] = to_end[full] = 1
    for state in range(1, full + 1):
        if costs[state] is not None:
            from_start[state] = sum(from_start[state ^ bit] for bit in bits if state & bit)
    for state in range(full - 1, -1, -1):
        if costs[state] is not None:
            to_end[state] = sum(to_end[state | bit] for bit in bits if not state & bit)
    orders = from_start[full]
    if not orders:
        return None
    effects = {}
    for bit, block in zip(bits, blocks, strict=True):
        steps = [
            from_start[state] * to_end[state | bit] / orders * (costs[state | bit] - costs[state])  # type: ignore[operator]
            for state in range(full + 1)
            if not state & bit and from_start[state] * to_end[state | bit]
        ]
        effects[block] = math.fsum(steps)
    return effects


def in_order(changed: Sequence[str], cost: Cost) -> Effects:
    """Return what each change adds, made one after the other; what cannot be yet is joined with what follows.

    changed: the changes. cost: of a set of them, or None where that cannot be; those of none and of all can.
    """
    effects: Effects = {}
    made: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    before = cost(frozenset())
    for each in changed:
        waiting = (*waiting, each)
        after = cost(frozenset((*made, *waiting)))
        if after is not None and before is not None:
            effects[waiting] = after - before
            made, waiting, before = (*made, *waiting), (), after
    return effects
