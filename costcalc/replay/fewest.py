"""The fewest replicas that keep service levels: fleets of one kind replayed at several sizes.

Round-robin gives a replica every n-th request, so that one of n replicas is replayed alone, with its own requests, and
tells what all of them do. Pools apart share a queue, and are replayed whole; so is at length a fleet under a trace,
which has one course.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import exp, log
from statistics import fmean, stdev
from typing import Literal

import numpy as np

from costcalc.engine.parallelism import Deployment
from costcalc.fields import Record
from costcalc.predict.scenario import Scenario
from costcalc.replay.results import Simulation
from costcalc.replay.run import Pool, simulated
from costcalc.replay.steps import StepTimes
from costcalc.replay.traffic import Traffic, part
from costcalc.units import Level

SHORT, LONG = 1_000, 5_000
"""Requests of a replay that looks for a number of replicas, and of one that is to be relied on: near saturation a queue
wanders for thousands of them, and percentiles of short replays are too low."""
IN_FLIGHT = 3, 6
"""And at least so many times those that run at once, which all begin on an empty replica."""
NEAR = 1.2
"""One replica's part of a trace that misses a level by no more says little of the others: all are replayed."""
AMONG = 64
"""Replicas among which drawn requests go round at most: those of one come nearly as evenly as among more of them."""
SURE = 3.0
"""Standard deviations of the logarithm between the mean of a few seeds and what is promised of others: with five seeds,
Student's t at 3 / sqrt(1 + 1/5) and 4 degrees of freedom, another seed is beyond it in 1 of 40 cases."""
SATURATED = "saturation"
REFUSED = "cache: requests are longer than it"

Length = Literal["short", "long"]
Draw = Callable[[int, int, float], Traffic]
"""Requests of the whole fleet: so many, with a seed, at a share of the peak; of a trace always all."""


class Kind(Record):
    """A fleet but for its size: a replica and its limit, and the worker of a pool that prefills."""

    scenario: Scenario
    deployment: Deployment  # one replica
    batch: float  # [sequences] that are expected to run at once
    prefill: Pool | None = None  # of any number of workers
    prefixes: str = "on"

    @property
    def shares(self) -> bool:
        """Whether replicas share a queue or a store, and are replayed together."""
        return self.prefill is not None or self.prefixes == "infinite"

    def limited(self, sequences: int) -> Kind:
        """The fleet whose replicas run at most so many sequences, those beyond them wait."""
        each = max(sequences // int(self.deployment.layout.attention_dp), 1)
        options = replace(self.scenario.options, max_num_seqs=each)
        budget = replace(self.scenario.budget, sequences=each)
        return replace(self, scenario=replace(self.scenario, options=options, budget=budget))


class Outcome(Record):
    """What one replay of a fleet found."""

    found: Simulation
    excess: Mapping[str, float]  # found over limit of each level, by keyword

    @property
    def worst(self) -> float:
        """The largest excess; infinite where the fleet does not serve its requests."""
        return float("inf") if self.unserved else max(self.excess.values(), default=0.0)

    @property
    def unserved(self) -> str | None:
        """Why requests are not served, or None."""
        return REFUSED if self.found.refused else SATURATED if self.found.saturated else None

    @property
    def keeps(self) -> bool:
        """Whether the levels hold."""
        return self.worst <= 1

    @property
    def missed(self) -> tuple[str, ...]:
        """The levels that do not hold, the worst first; saturation where nothing else tells."""
        over = sorted((name for name in self.excess if self.excess[name] > 1), key=lambda name: -self.excess[name])
        return tuple(over) or ((self.unserved,) if self.unserved else ())


class Trials:
    """Replays of fleets under one traffic, each done once."""

    def __init__(self, draw: Draw, levels: Mapping[str, Level], traced: bool, share: float = 1.0) -> None:
        self.draw, self.levels, self.traced, self.share = draw, levels, traced, share
        self._done: dict[tuple[int, int, int, Length, int], Outcome] = {}
        self._drawn: dict[tuple[int, int, float], Traffic] = {}
        self._tables: dict[object, StepTimes] = {}
        self._kinds: dict[int, Kind] = {}  # kept, so that each has an id of its own

    def at(self, share: float) -> Trials:
        """Replays of the same requests at a share, or a multiple, of the load."""
        other = Trials(self.draw, self.levels, self.traced, share)
        other._tables, other._kinds = self._tables, self._kinds
        return other

    def outcome(self, kind: Kind, replicas: int, workers: int = 0, length: Length = "short", seed: int = 0) -> Outcome:
        """Replay a fleet: `replicas`, and of a pool apart so many `workers`."""
        self._kinds[id(kind)] = kind
        if self.traced and (kind.shares or replicas == 1):
            length = "long"  # the same
        key = id(kind), replicas, workers, length, seed
        if key not in self._done:
            found = self._outcome(kind, replicas, workers, length, seed)
            if self.traced and length == "short" and 1 < found.worst <= NEAR:
                found = self.outcome(kind, replicas, workers, "long", seed)
            self._done[key] = found
        return self._done[key]

    def tried(self, kind: Kind) -> dict[tuple[int, int], Outcome]:
        """The worst replay of every size of a fleet that was replayed, by its replicas and workers."""
        found: dict[tuple[int, int], Outcome] = {}
        for (of, replicas, workers, *_), outcome in self._done.items():
            if of == id(kind):
                known = found.setdefault((replicas, workers), outcome)
                found[replicas, workers] = max(known, outcome, key=lambda each: each.worst)
        return found

    def _outcome(self, kind: Kind, replicas: int, workers: int, length: Length, seed: int) -> Outcome:
        whole = kind.shares or (self.traced and length == "long")
        base, times = (SHORT, IN_FLIGHT[0]) if length == "short" else (LONG, IN_FLIGHT[1])
        running = kind.batch * (replicas if whole else 1)
        count = int(max(base, min(times * running, 4 * LONG)))
        traffic = self._requests(count, seed, 1 if whole else replicas)
        prefill = None if kind.prefill is None else replace(kind.prefill, workers=workers)
        found = simulated(
            kind.scenario,
            replace(kind.deployment, replicas=replicas if whole else 1),
            kind.batch,
            traffic,
            prefixes=kind.prefixes,
            seed=seed,
            prefill=prefill,
            tables=self._tables,
        )
        excess = {}
        for name, level in self.levels.items():
            value = getattr(getattr(found, f"{name}_s"), level.of)
            excess[name] = float("inf") if value is None else value / level.seconds
        return Outcome(found, excess)

    def _requests(self, count: int, seed: int, every: int) -> Traffic:
        """What one of `every` replicas gets, `count` or its part of a trace; of users, its share of them."""
        among = every if self.traced else min(every, AMONG)
        key = count * among, seed, among / every
        if key not in self._drawn:
            self._drawn[key] = self.draw(count * among, seed, self.share * (1 if self.traced else among / every))
        traffic = self._drawn[key]
        if among == 1:
            return traffic
        mine = part(traffic, slice(0, None, among))
        if traffic.concurrency is None:
            return replace(mine, arrivals=mine.arrivals - mine.arrivals[0]) if len(mine) else part(traffic, slice(1))
        return replace(mine, concurrency=max(round(traffic.concurrency / among), 1))

    def fewest(self, kind: Kind, start: int, most: int | None = None, failed: int = 0) -> int | None:
        """The fewest replicas that keep the levels in a short replay; None where more than `most` are needed.

        start: where the search begins. failed: replicas that are known to miss. More are taken to keep what fewer do.
        """
        low, high = failed, None  # what fails, what keeps
        trial = max(start if most is None else min(start, most), failed + 1)
        if most is not None and trial > most:
            return None
        step = 1
        while high is None or high - low > 1:
            if self.outcome(kind, trial).keeps:
                high = trial
            else:
                low = trial
                if most is not None and low >= most:
                    return None
                if high is None and low >= MANY * start:
                    return None
            if high is None:
                trial = low + step if most is None else min(low + step, most)
            else:  # near by first: predictions are good
                trial = max(high - step, (low + high) // 2, low + 1)
            step *= 2
        return high

    def surely(self, kind: Kind, replicas: int, workers: int, seeds: int) -> tuple[list[Outcome], tuple[str, ...]]:
        """Long replays with several seeds, and what one misses, or another is likely to: nothing where that is sure."""
        if self.traced:  # one course of things
            seeds = 1
        outcomes = []
        for seed in range(seeds):
            outcomes.append(self.outcome(kind, replicas, workers, "long", seed))
            if not outcomes[-1].keeps:
                return outcomes, outcomes[-1].missed
        logs = [log(max(each.worst, 1e-9)) for each in outcomes]
        likely = exp(fmean(logs) + (SURE * stdev(logs) if len(logs) > 1 else 0.0))
        worst = max(outcomes, key=lambda each: each.worst)
        return outcomes, () if likely <= 1 else (max(worst.excess, key=lambda name: worst.excess[name]),)


MANY = 8
"""Times the predicted replicas, from which on no number of them is taken to keep a level."""


def summed(outcomes: list[Outcome], name: str, statistic: str) -> float | None:
    """The mean over seeds of a time at a statistic [s]."""
    values = [getattr(getattr(each.found, f"{name}_s"), statistic) for each in outcomes]
    return None if None in values or not values else float(np.mean(values))
