"""What is planned once for all cells of a sweep with the same degrees, and what the engine says of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from costcalc.engine.memory import kv_pool_bytes_per_gpu
from costcalc.engine.parallelism import Chosen, Degrees, Deployment, DoesNotFit
from costcalc.explore.estimate import answer, unanswered
from costcalc.explore.search import (
    NOWHERE,
    along_cells,
    best_batch_each,
    check_prefill_workers,
    choose_deployment,
    choose_each,
    deployments_asked_for,
    held_by,
)
from costcalc.fields import Array, Record
from costcalc.predict.breakdown import step_bounds
from costcalc.predict.energy import shares_of_limit
from costcalc.predict.options import OPTIONS, Options
from costcalc.predict.predict import predict, started
from costcalc.predict.results import Estimate
from costcalc.predict.scenario import Scenario

UNITS = {
    "batch": "sequences", "context": "tokens", "input_tokens": "tokens", "output_tokens": "tokens",
    "memory_bandwidth": "B/s", "price": "$/GPU-hour", "utilization": "share",
}  # fmt: skip


class Axis(Record):
    """One quantity that varies, and its values in their order."""

    name: str  # of the option
    values: tuple[Any, ...]  # as told: prices may be words
    numbers: tuple[float, ...] = ()  # what words stand for, where there are any; NaN where that is not known

    @property
    def coordinates(self) -> tuple[Any, ...]:
        """Its values as numbers."""
        return self.numbers or self.values

    def part(self, where: slice) -> Axis:
        """The axis with some of its values."""
        return replace(self, values=self.values[where], numbers=self.numbers[where])

    @property
    def unit(self) -> str:
        """What its values are counted in; GPUs and degrees of parallelism in none."""
        return UNITS.get(self.name, "")


DEGREES = ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
"""What changes the layout: a grid for each, everything else in one."""
MONEY = ("price", "utilization")
"""What changes dollars alone."""


class Plan:
    """A set of degrees: its deployment, or one for every cell, and estimates of cells at both ends of the grid."""

    def __init__(self, asked_with: Callable[[Options], Scenario], given: dict[str, Any], swept: Sequence[Axis]) -> None:
        """asked_with: returns the question of options. given: those of all cells. swept: axes that are no degrees."""
        self._asked_with, self._given, self._swept = asked_with, given, swept
        self.scenario = self._asked(0)
        self.deployment = self._planned()

    def _asked(self, rank: int) -> Scenario:
        """The question of a cell on the diagonal of the grid, the most demanding one first."""
        cell = {name: values[rank] for name, values in self._diagonal.items() if name in OPTIONS and name != "price"}
        return self._asked_with(Options(**{**self._given, **cell}))

    @cached_property
    def _diagonal(self) -> dict[str, list[Any]]:
        """Values of the axes in cells from the most demanding one to the least."""
        most = max((len(axis.values) for axis in self._swept), default=1)
        ordered = {axis.name: sorted(axis.coordinates, reverse=True) for axis in self._swept}
        return {name: [*values, *values[-1:] * (most - len(values))] for name, values in ordered.items()}

    def _planned(self) -> Deployment | None:
        """The deployment of all cells: the one that the most demanding cell that fits takes; None for one in each."""
        q, asked = self.scenario, self.scenario.options.degrees
        if q.options.terms != "all":
            return choose_deployment(q).deployment
        if asked == Degrees():
            return None
        check_prefill_workers(q)
        known = deployments_asked_for(q)
        # A pool told for prefill may hold no worker of the only layout, which its first answer refuses.
        if (len(known) > 1 or q.options.prefill_gpus is not None) and self._first:
            return self._first[1].deployment
        return held_by(q, known)[0][0]

    @cached_property
    def _first(self) -> tuple[Scenario, Chosen] | None:
        """The question of the most demanding cell that fits, and what is chosen for it; None where none does."""
        try:
            return self.scenario, choose_deployment(self.scenario)
        except DoesNotFit:
            pass
        diagonal = {name: np.asarray(values) for name, values in self._diagonal.items() if name not in MONEY}
        batch = diagonal.pop("batch", None)
        if self.scenario.options.degrees == Degrees():
            fits = choose_each(self.scenario, diagonal, batch)[1] != NOWHERE
        else:
            at = self.scenario.over({name: along_cells(values) for name, values in diagonal.items()})
            _, held = held_by(at, deployments_asked_for(self.scenario))
            fits = (held >= (1 if batch is None else along_cells(batch))).any(axis=(0, 2))
        if not fits.any():
            return None
        scenario = self._asked(int(np.argmax(fits)))
        return scenario, choose_deployment(scenario)

    @cached_property
    def reference(self) -> Estimate:
        """The estimate of the most demanding cell that fits; without times where none does."""
        if self._first is not None:
            return answer(*self._first)
        assert self.deployment is not None
        return unanswered(self.scenario, self.deployment)

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes of the most demanding cell that fits that the least demanding one has too."""
        if self._first is None:
            return ()
        chosen = self._first[1]
        ranks = max((len(axis.values) for axis in self._swept), default=1)
        if ranks == 1:
            return self.reference.notes
        least = self._asked(ranks - 1)
        if self.deployment is None:
            other = answer(least, choose_deployment(least))
        else:
            other = answer(least, replace(chosen, batch=least.options.batch or 1))
        return tuple(note for note in self.reference.notes if note in other.notes)

    def refused(self) -> DoesNotFit | None:
        """Why the most demanding cell does not fit, or None where it does."""
        try:
            choose_deployment(self.scenario)
        except DoesNotFit as error:
            return error
        return None

    def cells(self, along: Mapping[str, Array]) -> dict[str, Array]:
        """What the engine says of every cell: times, and what else numbers are made of.

        along: the values of every axis along a dimension of its own. The arrays have the dimensions that they depend
        on, and NaN where a cell does not fit.
        """
        q, batch = self.scenario, along.get("batch")
        told = {name: values for name, values in along.items() if name not in (*MONEY, "batch")}
        if self.deployment is not None:
            if batch is None:
                batch = self._batches(self.deployment, told)
            return physics(q.over(told), self.deployment, batch)
        return self._of_each(told, batch)

    def _batches(self, deployment: Deployment, told: Mapping[str, Array]) -> Array:
        """The batch of lowest cost in every cell of one deployment."""
        if self.scenario.options.batch:
            return np.asarray(self.scenario.options.batch)
        flat, shape = _flat(told)
        sizes = best_batch_each(self.scenario, deployment, flat).reshape(shape)
        return sizes if self.scenario.options.load_told else sizes.astype(int)

    def _of_each(self, told: Mapping[str, Array], batch: Array | None) -> dict[str, Array]:
        """Every cell in a deployment of its own: those of one deployment at once."""
        flat, shape = _flat(told if batch is None else {**told, "batch": batch})
        deployments, place, sizes = choose_each(self.scenario, flat, flat.pop("batch", None))
        sizes = sizes if self.scenario.options.load_told else sizes.astype(int)
        found: dict[str, Array] = {}
        for number, deployment in enumerate(deployments):
            cells = np.flatnonzero(place == number)
            at = self.scenario.over({name: values[cells] for name, values in flat.items()})
            for name, values in physics(at, deployment, sizes[cells]).items():
                nothing = _NOTHING.get(name, np.nan)
                whole = found.setdefault(name, np.full(len(place), nothing, np.result_type(values, type(nothing))))
                whole[cells] = values
        for name in (*DEGREES, "replicas", "held"):
            if found and not np.isnan(found[name]).any():
                found[name] = found[name].astype(int)
        if not deployments:
            times = (
                "step",
                "prefill",
                "prompts",
                "tpot",
                "ttft",
                "interference",
                "billed",
                "drawn",
                "drawn_by_prefill",
            )
            known = (*times, "held", *DEGREES, "replicas")
            found = {name: np.full(len(place), np.nan) for name in known}
            found |= {name: np.full(len(place), nothing) for name, nothing in _NOTHING.items()}
        return {**{name: values.reshape(shape) for name, values in found.items()}, "batch": sizes.reshape(shape)}


_NOTHING: dict[str, Any] = {"fits": False, "bound": -1}
"""What stands in a cell that nothing fits in; elsewhere it is NaN."""


def _flat(told: Mapping[str, Array]) -> tuple[dict[str, Array], tuple[int, ...]]:
    """The values of axes in all of their cells, one after the other, and the shape of the grid."""
    whole = np.broadcast_arrays(*told.values()) if told else []
    shape = np.broadcast_shapes(*(np.shape(values) for values in told.values()))
    return {name: values.ravel() for name, values in zip(told, whole, strict=True)}, shape


def physics(scenario: Scenario, deployment: Deployment, batch: Array) -> dict[str, Array]:
    """What one deployment does at every cell: the times that all numbers of a cell follow from, and whether it fits.

    scenario: with arrays for lengths and bandwidth, if you like. batch: [sequences] of one replica.
    """
    q, layout = scenario, deployment.layout
    at = predict(q, layout, batch, deployment.replicas)
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    held = np.asarray(started(q, layout, pool, q.full_length))
    fits = held >= (1 if q.options.load_told else batch)
    told = fits | (q.options.terms != "all")  # of a term of the bill nobody asks whether it fits
    times = {
        "step": at.step.seconds,
        "prefill": at.prefill.seconds,
        "tpot": at.time_per_output_token,
        "ttft": at.time_to_first_token,
        "interference": at.interference,
        "billed": at.billed,
    }
    if q.gpu.power is not None:
        times["drawn"], times["drawn_by_prefill"] = shares_of_limit(q, at)
    degrees = deployment.gpus, layout.tp, layout.pp, layout.ep, layout.attention_dp
    return {
        **{name: np.asarray(value) for name, value in zip(DEGREES, degrees, strict=True)},
        "replicas": np.asarray(deployment.replicas),
        "batch": batch,
        **{name: np.where(told, seconds, np.nan) for name, seconds in times.items()},
        "prompts": np.asarray(at.prefill_prompts, dtype=float),
        "held": held.astype(int),
        "fits": fits,
        "bound": np.where(told, step_bounds(at.step), -1).astype(np.int8),
    }
