"""Fleets for a traffic: of each GPU the fewest replicas that keep the service levels, and pools apart that beat them.

Layouts and sizes are ranked by `costcalc.explore.sizing`; replays say how many it takes, short ones of what may win and
long ones of what does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import ceil

import numpy as np

from costcalc.engine.parallelism import Deployment, DoesNotFit, Parallelism
from costcalc.explore.fleet.traffic import Day, Offered
from costcalc.explore.search import (
    deployments_asked_for,
    does_not_fit,
    fewest,
    held_by,
    needed,
    single_replicas,
    stacked,
)
from costcalc.explore.sizing import Size, sizes
from costcalc.fields import Record
from costcalc.predict.options import MOST_SECONDS
from costcalc.predict.predict import predict
from costcalc.predict.scenario import Scenario
from costcalc.replay.fewest import MANY, Kind, Outcome, Trials
from costcalc.replay.run import Pool
from costcalc.units import Demand, Level, counted, format_seconds

SLACK = 0.95
"""Predicted and replayed capacity of a replica differ by less: the tables of a replay are off by up to 1.6%, a batch is
found on a grid, and requests meet by chance."""
TRIED = 8
"""Layouts of a GPU that are replayed, those first of which the prediction takes the fewest GPUs."""
UNLIKE = 3
"""Mixes of unlike GPUs that are weighed by replays or told, the cheapest first."""
WORTH = 1.01
"""What a pool or a kind of GPU more has to save to be recommended: less is lost in the ranges of every fleet."""
MULTIPLES = (1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4, 1.5, 1.75, 2.0, 2.5, 3.0)
"""Of the peak, at which what is recommended is replayed to find its headroom, by bisection."""
TIMES = {"ttft": "time to first token", "tpot": "time per output token"}

Lost = tuple["Card", "Card | None", str]
"""A GPU, that of the pool that prefills for it, and why they serve the demand at no price or at a higher one."""


class Card(Record):
    """One kind of GPU that is asked about."""

    name: str  # as a command names it
    scenario: Scenario
    usd_per_gpu_hour: float | None
    most: int | None  # how many there are

    @property
    def price(self) -> float:
        """Of a GPU for an hour; infinite where unknown."""
        return float("inf") if self.usd_per_gpu_hour is None else self.usd_per_gpu_hour


class Found(Record):
    """A fleet with its size."""

    card: Card
    size: Size
    kind: Kind
    replicas: int
    workers: int = 0
    of_pool: Card | None = None
    start: int = 0  # workers at full use
    kept: bool = True  # its levels in a short replay
    outcomes: tuple[Outcome, ...] = ()
    sure: bool = False  # to keep them with other seeds

    @property
    def pool_gpus(self) -> int:
        """GPUs that prefill apart."""
        return 0 if self.kind.prefill is None else self.workers * int(self.kind.prefill.layout.gpus)

    @property
    def gpus(self) -> int:
        """GPUs in all."""
        return gpus_of(self.kind, self.replicas, self.workers)

    @property
    def usd_per_hour(self) -> float:
        """Of all GPUs; infinite where a price is unknown."""
        own = self.replicas * self.size.deployment.gpus * self.card.price
        return own + (self.pool_gpus * self.of_pool.price if self.of_pool and self.pool_gpus else 0.0)

    @property
    def apart(self) -> int:
        """What there is to run beside one pool of one kind of GPU: a pool, and another kind."""
        return 0 if self.kind.prefill is None else 1 if self.of_pool is self.card else 2

    @property
    def cost(self) -> tuple[float, int]:
        """By which fleets are ranked: dollars, of which what there is more to run has to save a little, and GPUs."""
        return self.usd_per_hour * WORTH**self.apart, self.gpus


class Miss(Record):
    """A smaller fleet, and its replay that missed a level, or came too near to it to be sure of others."""

    gpus: int
    outcome: Outcome

    @property
    def names(self) -> tuple[str, ...]:
        """The levels, the worst first; saturation where nothing else tells."""
        excess = self.outcome.excess
        return self.outcome.missed or tuple(sorted(excess, key=lambda name: -excess[name])[:1])


def gpus_of(kind: Kind, replicas: int, workers: int) -> int:
    """GPUs of a fleet in all."""
    return replicas * kind.deployment.gpus + (workers * int(kind.prefill.layout.gpus) if kind.prefill else 0)


class Search:
    """Fleets of several GPUs under one traffic."""

    def __init__(
        self, coming: Offered, day: Day, levels: Mapping[str, Level], trials: Trials, seeds: int, prefixes: str
    ) -> None:
        self.coming, self.day, self.levels, self.trials, self.seeds = coming, day, levels, trials, seeds
        self.prefixes = prefixes
        amount = (coming.rate if coming.users is None else coming.users) or 0.0
        self.demand = Demand(amount * day.peak, "requests" if coming.users is None else "users")
        self.dropped: list[Lost] = []  # that keep their levels in short replays alone
        self._sizes: dict[tuple[int, bool, bool], list[Size]] = {}
        self._kinds: dict[tuple[int, int, bool], Kind] = {}
        self.failed: dict[int, tuple[int, tuple[str, ...]]] = {}  # replicas that missed at length, and what, by kind

    def sizes(self, card: Card, apart: bool = False, limited: bool = True) -> list[Size]:
        """Replicas of every size and layout, at the median limits or at none, ranked by what the demand takes."""
        key = id(card), apart, limited
        if key not in self._sizes:
            try:
                self._sizes[key] = self._sized(card, apart, limited)
            except DoesNotFit:
                self._sizes[key] = []
        return self._sizes[key]

    def _sized(self, card: Card, apart: bool, limited: bool) -> list[Size]:
        q = apart_of(card) if apart else card.scenario
        context = self.coming.decode_context
        q = replace(q, context=context, cached=max(float(np.max(q.cached)), self.coming.reused(self.prefixes)))
        if not limited:
            q = replace(q, options=replace(q.options, tpot=MOST_SECONDS, ttft=None))
        asked = q.options.degrees
        if asked.layout_given:
            deployments = deployments_asked_for(q)
        else:
            least = fewest(q)[0].gpus
            if card.most is not None and least > card.most:
                return []
            deployments = single_replicas(q, least, card.most)
        return sizes(q, self.demand, deployments)

    def fits(self, card: Card) -> bool:
        """Whether any replica does."""
        return bool(self.sizes(card))

    def unfit(self, card: Card) -> str:
        """Why no replica does."""
        q = card.scenario
        least = needed(q)
        if card.most is not None and least is not None and least > card.most:
            return f"a replica takes {least} GPUs, and there are {card.most:,}"
        return str(does_not_fit(q, Deployment(Parallelism()), least).message)

    def lower_bound(self, card: Card) -> int | None:
        """GPUs that a perfect scheduler would need at the peak: every replica full, whatever the waits.

        No batch and no layout gives a request less GPU time. Users wait for answers, and bring no rate: of them nothing
        is known but what holds the model, which is no bound worth telling.
        """
        rate = self.demand.requests_per_s(self.coming.lengths[1])
        if rate is None:
            return None
        both = [*self.sizes(card, limited=False), *self.sizes(card, apart=True, limited=False)]
        least = min(each.deployment.gpus for each in both)
        return max(least, ceil(SLACK * rate * min(each.exact_gpus for each in both)))

    def headroom(self, found: Found) -> float | None:
        """By how much the peak may grow while what is recommended keeps its levels: the largest of MULTIPLES, less 1.

        Replayed once at each that is tried, with the first seed.
        """
        if not found.sure:
            return None

        def misses(times: float) -> bool:
            return not self.trials.at(times).outcome(found.kind, found.replicas, found.workers, "long").keeps

        return round((1.0, *MULTIPLES)[bisect_left(MULTIPLES, True, key=misses)] - 1, 2)

    # One pool: replicas that prefill and decode.

    def fleets(self, cards: Sequence[Card], ways: str) -> tuple[list[Found], list[Lost]]:
        """The cheapest fleet of each GPU, pools apart that may beat it, and why others lost; the cheapest is sure."""
        found, lost = [], list[Lost]()
        for card in cards:
            if not self.fits(card):
                lost.append((card, None, self.unfit(card)))
            elif ways != "apart":
                best = self.of_one_pool(card)
                if best is None:
                    lost.append((card, None, self.hopeless(card)))
                else:
                    found.append(best)
        if ways != "one" and self.coming.users is None:
            found += self.pools_apart([card for card in cards if self.fits(card)])
        found = self.confirmed(found)
        least = min((each.usd_per_hour for each in found if each.sure), default=float("inf"))
        for each in found:
            if not each.kept:
                lost.append((each.card, each.of_pool, f"costs at least {_times_as(each.usd_per_hour, least)}"))
        return [each for each in found if each.kept], [*lost, *self.dropped]

    def of_one_pool(self, card: Card) -> Found | None:
        """The fewest GPUs of one kind that keep the levels in short replays and did not miss them in long ones.

        Of all sizes and layouts, at the engine's own limit of a batch, and where TPOT asks for it at that predicted.
        """
        best: Found | None = None
        tried = 0
        nearest = self.sizes(card)[0]
        if nearest.excess > 1 and not self._one_pool(card, nearest, MANY * nearest.replicas).keeps:
            return None
        for size in self.sizes(card):
            least = max(ceil(SLACK * self.exact(size)), 1)
            most = self._most(card, size, best)
            if tried >= TRIED or (most is not None and least > most) or (best and size.excess > 1):
                continue
            tried += 1
            plain = self._kind(card, size)
            count = self._fewest(plain, size.replicas, most)
            if count is not None:
                best = Found(card, size, plain, count)
            failed = self._missed(plain, (most or 0) + 1 if count is None else count)
            if failed[:1] == ("tpot",):
                limited = self._kind(card, size, limited=True)
                count = self._fewest(limited, size.replicas, self._most(card, size, best))
                if count is not None:
                    best = Found(card, size, limited, count)
        return best

    def _most(self, card: Card, size: Size, best: Found | None) -> int | None:
        """Replicas of a size that are there, and fewer GPUs than the best so far."""
        each = size.deployment.gpus
        limits = [] if best is None else [(best.gpus - 1) // each]
        return min([*limits, *([] if card.most is None else [card.most // each])], default=None)

    def _fewest(self, kind: Kind, start: int, most: int | None) -> int | None:
        """The fewest replicas that keep the levels shortly, more than missed them at length."""
        known, _ = self.failed.get(id(kind), (0, ()))
        return self.trials.fewest(kind, start, most, known)

    def _kind(self, card: Card, size: Size, limited: bool = False) -> Kind:
        key = id(card), id(size), limited
        if key not in self._kinds:
            plain = Kind(card.scenario, size.deployment, size.batch, prefixes=self.prefixes)
            self._kinds[key] = plain.limited(int(size.batch)) if limited else plain
        return self._kinds[key]

    def _missed(self, kind: Kind, count: int) -> tuple[str, ...]:
        """What one replica less than `count` misses, at length where that is known."""
        known, missed = self.failed.get(id(kind), (0, ()))
        if known >= count - 1:
            return missed
        return self.trials.outcome(kind, count - 1).missed if count > 1 else ()

    def smaller(self, found: Found) -> Miss | None:
        """What misses least of the fleets on fewer GPUs that were replayed; None where none was."""
        kinds = [found.kind]
        if found.kind.prefill is None:
            kinds = [kind for (card, *_), kind in self._kinds.items() if card == id(found.card)]
        misses = [
            Miss(gpus, outcome)
            for kind in kinds
            for (replicas, workers), outcome in self.trials.tried(kind).items()
            if (gpus := gpus_of(kind, replicas, workers)) < found.gpus
        ]
        return min(misses, key=lambda each: each.outcome.worst, default=None)

    def binding(self, found: Found) -> Miss | None:
        """What a smaller fleet misses; None where no fewer GPUs hold the model."""
        known = self.smaller(found)
        fewer = [each for each in self.sizes(found.card) if each.deployment.gpus < found.gpus]
        if known or found.kind.prefill is not None or not fewer:
            return known
        best = min(fewer, key=lambda each: each.exact_gpus)
        self._one_pool(found.card, best, (found.gpus - 1) // best.deployment.gpus)
        return self.smaller(found)

    def exact(self, size: Size) -> float:
        """Replicas that the demand takes, as if they could be had in parts."""
        rate = self.demand.requests_per_s(self.coming.lengths[1])
        return self.demand.amount / size.batch if rate is None else rate / size.requests_per_s

    def confirmed(self, found: list[Found]) -> list[Found]:
        """The fleets, of which the cheapest kept its levels in long replays with several seeds.

        The cheapest one is tried first, and grows by a replica or a worker where it misses. What it costs before it
        was replayed is less than it will, so that none is cheaper than the first that is sure.
        """
        found = list(found)
        while found:
            found.sort(key=lambda each: each.cost)
            best = found[0]
            if best.sure:
                break
            if best.replicas + best.workers > MANY * (best.size.replicas + best.start + 1):
                self.dropped.append((best.card, best.of_pool, self.hopeless(best.card)))
                found = found[1:]
                continue
            if not best.kept:
                short = self._short(best)
                found[0] = self._shrunk(best) if short.keeps else self._larger(best, short.missed)
                continue
            outcomes, missed = self.trials.surely(best.kind, best.replicas, best.workers, self.seeds)
            if not missed:
                found[0] = replace(best, outcomes=tuple(outcomes), sure=True)
            elif best.kind.prefill is not None:
                found[0] = self._larger(best, missed)
            else:
                self.failed[id(best.kind)] = best.replicas, missed
                again = self.of_one_pool(best.card)
                if again is None:
                    self.dropped.append((best.card, None, self.hopeless(best.card)))
                found = [*([] if again is None else [again]), *found[1:]]
        return [replace(each, outcomes=(self._short(each),)) if each.kept and not each.sure else each for each in found]

    def _short(self, found: Found) -> Outcome:
        return self.trials.outcome(found.kind, found.replicas, found.workers)

    def _larger(self, found: Found, missed: tuple[str, ...]) -> Found:
        """The fleet with one replica more, or one worker where prompts wait for these."""
        pool = found.kind.prefill
        if pool is not None and missed[:1] != ("tpot",):
            room = (
                found.replicas * found.size.requests_per_s,
                found.workers / prompt_seconds(pool.scenario, pool.layout),
            )
            if room[1] <= room[0]:
                return replace(found, workers=found.workers + 1)
        return replace(found, replicas=found.replicas + 1)

    def _one_pool(self, card: Card, size: Size, replicas: int) -> Outcome:
        """A short replay of replicas that prefill and decode."""
        return self.trials.outcome(self._kind(card, size), replicas)

    def hopeless(self, card: Card) -> str:
        """Why no fleet of a GPU serves the demand at its levels."""
        best = self.sizes(card)[0]
        count, there = MANY * best.replicas, ""
        if card.most is not None and best.excess <= 1:
            count, there = card.most // best.deployment.gpus, f"the {card.most:,} there are miss a level"
        self._one_pool(card, best, count)
        worst = Miss(count * best.deployment.gpus, self.trials.tried(self._kind(card, best))[count, 0])
        name = next((each for each in worst.names if each in self.levels), None)
        if name is None:
            return f"{there or 'no number of replicas serves it'}: {', '.join(worst.names)}"
        level = self.levels[name]
        least = getattr(getattr(worst.outcome.found, f"{name}_s"), level.of)
        told = f"{TIMES[name]}, {level.of} is {format_seconds(least, 3)}"
        if worst.outcome.keeps:
            told += f", too near to {format_seconds(level.seconds)} to hold with other seeds,"
        return f"{there or 'no number of replicas keeps a level'}: {told} on {counted(worst.gpus, 'GPU')}"

    def at_load(self, found: Found, share: float) -> Found:
        """The fleet that serves a share of the peak: of each pool as large a part, in whole replicas and workers."""
        return replace(
            found,
            replicas=max(ceil(found.replicas * share * (1 - 1e-9)), 1),
            workers=max(ceil(found.workers * share * (1 - 1e-9)), 1) if found.workers else 0,
        )

    def off_peak(self, found: Found, share: float) -> Found:
        """The fleet at a share of the peak; what is recommended keeps its levels in a short replay there."""
        low = self.at_load(found, share)
        if not found.sure or share >= 1 or share <= 0:
            return low
        trials = self.trials.at(share)
        while low.gpus < found.gpus:
            outcome = trials.outcome(low.kind, low.replicas, low.workers)
            if outcome.keeps:
                return low
            low = self._larger(low, outcome.missed)
        return found

    # Pools apart, of like and unlike GPUs.

    def pools_apart(self, cards: Sequence[Card]) -> list[Found]:
        """Pools that prefill and decode, as small as they can be at full use: of every GPU, and the cheapest mixes.

        Caches travel between engines of one vendor alone.
        """
        rate = self.demand.amount
        decoding = {
            card.name: min((x for x in self.sizes(card, True) if x.excess <= 1), key=self._decode_gpus, default=None)
            for card in cards
        }
        filling = {card.name: self.prefill_worker(card) for card in cards}
        rows = []
        for card in cards:
            for other in cards:
                size, worker = decoding[card.name], filling[other.name]
                if size is None or worker is None or card.most is not None or other.most is not None:
                    continue
                if card.scenario.gpu.vendor != other.scenario.gpu.vendor:
                    continue
                layout, seconds = worker
                replicas = max(ceil(SLACK * rate / size.requests_per_s), 1)
                workers = max(ceil(SLACK * rate * seconds), 1)
                pool = Pool(apart_of(other), layout, 1, other.usd_per_gpu_hour)
                kind = Kind(apart_of(card), size.deployment, size.batch, pool, self.prefixes)
                rows.append(Found(card, size, kind, replicas, workers, other, start=workers, kept=False))
        rows.sort(key=lambda each: each.cost)
        like = [each for each in rows if each.of_pool is each.card]
        return [*like, *[each for each in rows if each.of_pool is not each.card][:UNLIKE]]

    def _decode_gpus(self, size: Size) -> float:
        rate = self.demand.amount
        return max(ceil(SLACK * rate / size.requests_per_s), 1) * size.deployment.gpus

    def _shrunk(self, found: Found) -> Found:
        """The fleet without workers and replicas that it keeps its levels without, busy as they may then be."""
        least = {"workers": found.start, "replicas": ceil(SLACK * self.exact(found.size))}
        for name in least:
            while getattr(found, name) > max(least[name], 1):
                smaller = replace(found, **{name: getattr(found, name) - 1})
                if not self._short(smaller).keeps:
                    break
                found = smaller
        return replace(found, kept=True)

    def prefill_worker(self, card: Card) -> tuple[Parallelism, float] | None:
        """The layout that prefills a prompt with the least GPU time and inside the level, and its seconds for one."""
        q = apart_of(card)
        try:
            least = fewest(q)[0].gpus
        except DoesNotFit:
            return None
        deployments, held = held_by(q, single_replicas(q, least))
        few = [each for each, fits in zip(deployments, held[:, 0, 0] >= 1, strict=True) if fits]
        layouts = stacked(few)
        at = predict(q, layouts, np.ones((len(few), 1, 1)), full=False)
        shape = (len(few), 1, 1)
        each = np.broadcast_to(at.interference, shape)[:, 0, 0]
        takes = np.broadcast_to(at.joining, shape)[:, 0, 0]
        gpus = np.array([x.gpus for x in few])
        level = self.levels.get("ttft")
        fast = takes <= (level.seconds if level else np.inf)
        if not fast.any():
            return None
        best = int(np.argmin(np.where(fast, each * gpus, np.inf)))
        return few[best].layout, float(each[best])


def _times_as(usd: float, least: float) -> str:
    ratio = usd / least
    return f"{f'{ratio:.2f} times ' if np.isfinite(ratio) and ratio > 1.005 else ''}as much, however busy its pools"


def apart_of(card: Card) -> Scenario:
    """The question of a GPU with prefill and decode in pools of their own."""
    return card.scenario.with_prompts_apart()


def prompt_seconds(q: Scenario, layout: Parallelism) -> float:
    """Time of a worker that prefills for one prompt [s]."""
    return float(predict(q, layout, 1.0, full=False).interference)
