"""What to run, and how many: for a traffic and its service levels the cheapest fleet of each GPU and of mixed pools.

Layouts and replica sizes are ranked by `costcalc.explore.sizing`; what may be cheapest is replayed, and what is
recommended kept its levels in long replays with several seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path
from shlex import join
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.parallelism import Deployment, layout_name
from costcalc.errors import CostcalcError
from costcalc.explore.assumptions import defaults_of_plan, of_the_price
from costcalc.explore.compare import mixed_prices
from costcalc.explore.fleet.fleets import TIMES, WORTH, Card, Found, Miss, Search
from costcalc.explore.fleet.traffic import (
    PREFIXES,
    Coming,
    check_replayed,
    day_of,
    levels_of,
    offered,
    one_of,
    seed_of,
)
from costcalc.explore.spaces.frontier import named
from costcalc.fields import Record, Result
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.predict.odds import chance_within
from costcalc.predict.options import OPTIONS, Options
from costcalc.predict.predict import predict
from costcalc.predict.quantities import BLENDED, Answered, numbers_of, ranges_of, scaled
from costcalc.predict.readers import read_as, whole
from costcalc.predict.results import HOURS_OF_A_MONTH, Assumption, Range, plain_tree
from costcalc.predict.scenario import DEFAULT_TPOT, Scenario, asked_by, counted, scenario_of, the_gpu, the_model
from costcalc.replay.fewest import LONG, Trials, summed
from costcalc.units import Level, format_percent, format_seconds, format_usd
from costcalc.units import counted as amount

DEFAULT_SEEDS = 5
FAR = 10.0
"""Times its level, from which on it does not matter by how much a time misses it."""
PATIENCE = 10.0
"""What users wait for a first token [s] where nobody says it: the limit that keeps attention (Nielsen 1993)."""
POOLS = ("one", "apart", "both")


class Replayed(Record):
    """What replays of a fleet found, each of one replica's requests, or of all: of pools apart, and of a trace."""

    seeds: int
    requests: int  # of each
    meets: bool  # every one kept the levels
    ttft_s: float | None  # mean of the seeds, at the statistic of the level
    tpot_s: float | None
    ttft_s_range: Range | None = None
    tpot_s_range: Range | None = None
    tightest: str | None = None  # of ttft and tpot, the level that is least likely to hold by the range of its time
    chance: float | None = None  # that it does


class PlannedFleet(Record):
    """One fleet: what it is, what it costs at this demand, and what decides its size."""

    gpu: str  # that decodes; of one pool, all
    prefill_gpu: str | None  # of a pool of its own
    gpus: int | None  # of all pools at the peak; null where nothing serves the demand
    prefill_gpus: int | None
    replicas: int | None
    replica_gpus: int | None
    layout: str | None
    prefill_layout: str | None
    max_num_seqs: int | None  # that a replica's scheduler is told, where the engine's own is too many
    off_peak_gpus: int | None
    off_peak_replicas: int | None
    gpus_by_hour: tuple[int, ...]
    usd_per_month: float | None  # of the peak's GPUs, busy or idle, for 730 hours
    usd_per_month_by_hour: float | None  # where only each hour's GPUs are paid
    usd_per_million_tokens: float | None  # prompts and answers together, at this demand
    usd_per_request: float | None
    usd_per_user_month: float | None  # of 730 hours, where the demand is of users
    headroom: float | None  # by which the peak may grow, replayed, while levels are kept; of the recommended
    binds: str | None  # what fewer GPUs would miss
    missed_by: float | None  # by those, over the level, less 1; null where they do not serve all
    replay: Replayed | None
    command: str | None  # that replays it
    start: str | None  # the command that prints the launch lines of a replica; null where none are known
    usd_per_gpu_hour: float | None
    price: str | None  # where that is from
    weights: str | None
    kv_cache: str | None
    backend: str | None  # whose overheads count; null of the ideal bound
    why_not: str | None  # null of the fleet that is recommended
    gpus_range: tuple[int, int] | None = None  # where steps take as long as the ends of their range
    usd_per_month_range: Range | None = None
    prefill_usd_per_gpu_hour: float | None = None  # of the pool that prefills; null of one pool
    prefill_price: str | None = None


class Asked(Record):
    """The demand and the levels of a plan."""

    requests_per_s: float | None  # in the mean; null of users
    users: float | None
    peak: float  # over the mean
    input_tokens: float
    output_tokens: float
    traffic: str
    ttft: str | None
    tpot: str | None


class Plan(Result):
    """Fleets that serve a demand, the cheapest first, and what no fleet can do without."""

    title: str
    asked: Asked
    fleets: tuple[PlannedFleet, ...]
    lower_bound_gpus: Mapping[str, int]
    load_by_hour: tuple[float, ...] = ()  # over the mean
    notes: tuple[str, ...] = ()
    assumptions: tuple[Assumption, ...] = ()  # defaults that were taken, 'by GPU' where they differ

    @property
    def serves(self) -> bool:
        """Whether a fleet keeps the levels."""
        return any(each.gpus is not None for each in self.fleets)

    @property
    def about(self) -> str:
        """Title, the fleet that is recommended, and its dollars per month."""
        best = self.fleets[0] if self.fleets else None
        if best is None or best.gpus is None:
            return f"{self.title}: nothing serves this demand"
        pool = f" and {best.prefill_gpus} × {best.prefill_gpu}" if best.prefill_gpu else ""
        own = best.gpus - (best.prefill_gpus or 0)
        return f"{self.title}: {own} × {best.gpu}{pool}, {format_usd(best.usd_per_month)} a month"

    def to_dict(self) -> dict[str, Any]:
        """`{"fleets": [...], "lower_bound_gpus": {gpu: n}, ...}`, in SI; ranges that are none are left out."""
        tree: dict[str, Any] = plain_tree(self)
        return {**tree, "lower_bound_gpus": dict(self.lower_bound_gpus)}


@np.errstate(all="ignore")
def plan(
    model: ModelSpec | str | Path,
    accelerators: Any,
    *,
    trace: str | Path | None = None,
    process: str = "poisson",
    input_lengths: str = "constant",
    output_lengths: str = "constant",
    peak: Any = None,
    hourly: Any = None,
    pools: str = "both",
    prefix_cache: str = "on",
    seeds: Any = DEFAULT_SEEDS,
    seed: Any = 0,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Plan:
    """Say which fleet serves a demand most cheaply, and how many GPUs of each kind it takes.

    model: as of `costcalc.estimate`. accelerators: one or several, 'all', or with a count in front, which is how many
        there are.
    trace, process, input_lengths, output_lengths, prefix_cache: as of `costcalc.simulate`; `demand` is the mean of the
        day, in requests or tokens per second, or users. A trace beside a demand comes as fast as that.
    peak: the load of the busiest time over the mean, or hourly: the loads of 24 hours, as a list, text or a file.
    pools: 'one', prefill and decode 'apart', or 'both' are weighed.
    seeds: of the replays that a recommendation keeps its levels in, from `seed` on.
    options: those of `costcalc.estimate`; ttft and tpot are service levels, as in 'p95=2s'.
    Raises CostcalcError for names and values that cannot be.
    """
    check_replayed(options)
    for name in ("disaggregated", "prefill_gpus", "concurrency", "arrivals"):
        if options.get(name):
            hint = "say --pools apart" if "disagg" in name or "prefill" in name else "say --demand '100 users'"
            raise CostcalcError("a plan finds it out", where=name, hint=hint)
    folders, ways = catalog_of(catalog), one_of(pools, POOLS, "pools")
    levels, given = levels_of(options)
    load = Coming(trace, process, input_lengths, output_lengths, 1.0, None, seed)
    coming, given = offered(load, given)
    levels.setdefault("tpot", Level("p50", DEFAULT_TPOT, told=False))
    if coming.users is not None:
        levels.setdefault("ttft", Level("p50", PATIENCE, told=False))
    given.pop("concurrency", None)
    day = day_of(peak, hourly)
    first, tries = seed_of(seed), int(read_as(whole(1, 100), seeds, "seeds"))
    spec = the_model(model, folders)
    cards = _cards(spec, accelerators, given, folders)
    trials = Trials(
        lambda count, number, share: coming.requests(count, first + number, day.peak * share),
        levels,
        coming.traced is not None,
    )
    search = Search(coming, day, levels, trials, tries, one_of(prefix_cache, PREFIXES, "prefix_cache"))
    found, lost = search.fleets(cards, ways)
    ranked = sorted(found, key=lambda each: each.cost)
    words = _traffic_words(load, search, {**options, "prefix_cache": prefix_cache}, first)
    longest = coming.requests(LONG, first)
    most = int((longest.inputs + longest.outputs).max())
    rows, launched = [], folders.launching().engines
    for each in ranked:
        line = ["--model", asked_by(model), "--gpu", each.card.name]
        unlike = each.of_pool is not None and each.of_pool is not each.card  # an estimate has pools of like GPUs alone
        start = None
        if not unlike and _engine_of(each) in launched:
            start = _typed_line("estimate", line, _start_words(each, most), folders.typed())
        command = _typed_line("simulate", line, _command_words(each, words), folders.typed())
        rows.append(_row(search, each, ranked[0], command, start))
    rows += [_lost(*each) for each in lost]
    bounds = {card.scenario.gpu.name: search.lower_bound(card) for card in cards if search.fits(card)}
    bound = {gpu: least for gpu, least in bounds.items() if least is not None}
    return Plan(
        f"{spec.name}: what to run, and how many",
        Asked(
            coming.rate,
            coming.users,
            day.peak,
            *coming.lengths,
            coming.source,
            *(_level_text(levels.get(name)) for name in ("ttft", "tpot")),
        ),
        tuple(rows),
        bound,
        day.loads,
        (*_notes(search, ranked), *_notes_of_prices([card.scenario for card in cards])),
        (*_default_levels(levels), *_defaults(cards)),
    )


def _default_levels(levels: Mapping[str, Level]) -> Iterator[Assumption]:
    """The levels that were not told."""
    reasons = {
        "ttft": ("users wait for their turn else, and a small fleet looks enough", "--ttft p95=2s"),
        "tpot": ("in the median, as estimate limits it", "--tpot p99=40ms"),
    }
    for name, (why, instead) in reasons.items():
        if name in levels and not levels[name].told:
            yield Assumption(name, _level_text(levels[name]) or "", why, instead)


def _cards(spec: ModelSpec, accelerators: Any, given: Mapping[str, Any], folders: Catalog) -> list[Card]:
    asked: dict[str, tuple[str, Accelerator, dict[str, Any]]] = {}
    for each in named(accelerators, "hardware_profiles", folders):
        name, own = counted(each, given)
        machine = the_gpu(name, folders)
        asked.setdefault(machine.name, (asked_by(name), machine, own))
    cards = []
    for name, machine, own in asked.values():
        most = Options(gpus=own.pop("gpus", None)).gpus
        scenario = scenario_of(spec, machine, Options(**own), folders.serving_efficiency())
        usd = scenario.price
        cards.append(Card(name, scenario, usd.usd_per_gpu_hour if usd else None, most))
    return cards


# A fleet as a row.


def _row(search: Search, found: Found, best: Found, command: str, start: str | None) -> PlannedFleet:
    day, size = search.day, found.size
    loads = day.loads or (1.0, day.peak)
    by_hour = [search.at_load(found, each / day.peak) for each in loads]
    low = search.off_peak(found, min(loads) / day.peak)
    by_hour = [each if each.gpus >= low.gpus else low for each in by_hour]
    usd = None if np.isinf(found.usd_per_hour) else found.usd_per_hour
    monthly = None if usd is None else usd * HOURS_OF_A_MONTH
    followed = None
    if day.loads and usd is not None:
        followed = sum(each.usd_per_hour for each in by_hour) / len(by_hour) * HOURS_OF_A_MONTH
    rate = search.coming.rate or _rate_of_users(found) / day.peak
    requests = rate * 3600 * HOURS_OF_A_MONTH
    spread = _spread(found)
    ends = (found, found) if spread is None else _at_ends(found, spread)
    pool, miss, q = found.kind.prefill, search.binding(found), found.kind.scenario
    return PlannedFleet(
        gpu=found.card.scenario.gpu.name,
        prefill_gpu=found.of_pool.scenario.gpu.name if found.of_pool else None,
        gpus=found.gpus,
        prefill_gpus=found.pool_gpus if pool else None,
        replicas=found.replicas,
        replica_gpus=size.deployment.gpus,
        layout=layout_name(size.deployment),
        prefill_layout=layout_name(Deployment(pool.layout)) if pool else None,
        max_num_seqs=found.kind.scenario.options.max_num_seqs,
        off_peak_gpus=low.gpus,
        off_peak_replicas=low.replicas,
        gpus_by_hour=tuple(each.gpus for each in by_hour) if day.loads else (),
        usd_per_month=monthly,
        usd_per_month_by_hour=followed,
        usd_per_million_tokens=None if monthly is None else monthly / (requests * sum(search.coming.lengths)) * 1e6,
        usd_per_request=None if monthly is None else monthly / requests,
        usd_per_user_month=None if monthly is None or not search.coming.users else monthly / search.coming.users,
        headroom=search.headroom(found),
        binds=_binds(found, miss, search.levels),
        missed_by=None if miss is None or np.isinf(miss.outcome.worst) else miss.outcome.worst - 1,
        replay=_replayed(search, found),
        command=command,
        start=start,
        usd_per_gpu_hour=found.card.usd_per_gpu_hour,
        price=_price_of(found.card),
        prefill_usd_per_gpu_hour=found.of_pool.usd_per_gpu_hour if found.of_pool else None,
        prefill_price=_price_of(found.of_pool) if found.of_pool else None,
        weights=q.weights_name,
        kv_cache=q.formats.cache.name,
        backend=q.backend if q.calibrated else None,
        why_not=None if found is best else _why_not(found, best),
        gpus_range=None if spread is None else (ends[0].gpus, ends[1].gpus),
        usd_per_month_range=None
        if spread is None or usd is None
        else (ends[0].usd_per_hour * HOURS_OF_A_MONTH, ends[1].usd_per_hour * HOURS_OF_A_MONTH),
    )


def _price_of(card: Card) -> str | None:
    """Where the price of a GPU is from."""
    price = card.scenario.price
    return f"{price.offer}: {price.source}" if price else None


def _lost(card: Card, pool: Card | None, why: str) -> PlannedFleet:
    """What serves the demand at no price, or was not worth a replay: without numbers."""
    names = card.scenario.gpu.name, pool.scenario.gpu.name if pool else None
    nothing: dict[str, Any] = dict.fromkeys(PlannedFleet.__dataclass_fields__)
    return PlannedFleet(**{**nothing, "gpu": names[0], "prefill_gpu": names[1], "gpus_by_hour": (), "why_not": why})


def _rate_of_users(found: Found) -> float:
    """Requests per second that users make of a fleet, in the replays."""
    share = 1 if found.kind.prefill else found.replicas
    each = [x.found.output_tokens_per_s / x.found.output_tokens for x in found.outcomes]
    return float(np.mean(each)) * share


def _spread(found: Found) -> Range | None:
    """GPU time of a request at 80% coverage, over the predicted one."""
    q, size = found.kind.scenario, found.size
    at = predict(q, size.deployment.layout, size.batch)
    numbers = numbers_of(Answered(q, 1, size.deployment.gpus, at, 1.0, 1.0), {BLENDED})
    if f"{BLENDED}_range.low" not in numbers:
        return None
    low, high = (float(numbers[f"{BLENDED}_range.{end}"]) / float(numbers[BLENDED]) for end in ("low", "high"))
    return low, high


def _at_ends(found: Found, spread: Range) -> tuple[Found, Found]:
    """The fleets where requests take so many times the GPU time, in whole replicas and workers."""
    low, high = (
        replace(found, replicas=_at_least_one(found.replicas * x), workers=_at_least_one(found.workers * x))
        for x in spread
    )
    return low, high


def _at_least_one(number: float) -> int:
    return max(ceil(number * (1 - 1e-9)), 1)


def _binds(found: Found, miss: Miss | None, levels: Mapping[str, Level]) -> str:
    """What fewer GPUs miss, and by how much, or that they do not hold the model."""
    if miss is None and found.kind.prefill is not None:
        return "step times, by which the pools are sized: no smaller ones were replayed"
    if miss is None:
        return "memory: no fewer GPUs hold the model and its cache"
    named, gpus = " and ".join(_level_named(name, levels) for name in miss.names), amount(miss.gpus, "GPU")
    name = miss.names[0] if miss.names else ""
    if name not in levels:
        return f"{named}: {gpus} do not serve all"
    reached = getattr(getattr(miss.outcome.found, f"{name}_s"), levels[name].of)
    if miss.outcome.keeps:
        return f"{named}: {gpus} reach {format_seconds(reached, 3)}, too near to it to hold with other seeds"
    over = f" by {format_percent(miss.outcome.worst - 1, 2)}" if miss.outcome.worst < FAR else ""
    which = "it" if len(miss.names) == 1 else "the first"
    return f"{named}: {gpus} miss {which}{over}, at {format_seconds(reached, 3)}"


def _level_named(name: str, levels: Mapping[str, Level]) -> str:
    if name not in levels:
        return name
    level = levels[name]
    return f"{TIMES[name]}, {level.of} {format_seconds(level.seconds)}"


def _replayed(search: Search, found: Found) -> Replayed:
    outcomes, of = list(found.outcomes), {name: level.of for name, level in search.levels.items()}
    spread = ranges_of(found.kind.scenario)
    times = {name: summed(outcomes, name, of.get(name, "p50")) for name in ("ttft", "tpot")}
    ends = {"ttft": spread.prefill, "tpot": spread.decode}
    ranges = {name: None if each is None else scaled(each, ends[name]) for name, each in times.items()}
    chances = {
        name: chance_within(limits, search.levels[name].seconds)
        for name, limits in ranges.items()
        if limits is not None and name in search.levels
    }
    tightest = min(chances, key=lambda name: chances[name], default=None)
    return Replayed(
        len(outcomes),
        outcomes[0].found.requests,
        all(x.keeps for x in outcomes),
        times["ttft"],
        times["tpot"],
        ranges["ttft"],
        ranges["tpot"],
        tightest,
        None if tightest is None else chances[tightest],
    )


def _why_not(found: Found, best: Found) -> str:
    if np.isinf(found.usd_per_hour):
        return "no price of it is known"
    if np.isinf(best.usd_per_hour):
        return f"takes {found.gpus:,} GPUs instead of {best.gpus:,}"
    more = found.usd_per_hour - best.usd_per_hour
    times, month = found.usd_per_hour / best.usd_per_hour, format_usd(abs(more) * HOURS_OF_A_MONTH)
    if times >= WORTH:
        return f"costs {times:.2f} times as much, {month} more a month"
    reasons = ("on more GPUs", "with two pools to run", "with two kinds of GPU to run")
    why = reasons[found.apart if found.apart > best.apart else 0]
    equal = "costs as much" if more == 0 else f"as good as equal, {month} {'more' if more > 0 else 'less'} a month"
    return equal + (f", {why}" if found.apart > best.apart or found.gpus > best.gpus else "")


# The command that replays a fleet.


def _traffic_words(load: Coming, search: Search, given: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Flags of `costcalc simulate` for the traffic at its peak."""
    words: dict[str, Any] = {}
    coming, peak = search.coming, search.day.peak
    if coming.traced is not None:
        words["--trace"] = load.trace
        if (speed := peak * coming.speed) != 1:
            words["--speed"] = f"{speed:.12g}"
    elif coming.users is not None:
        words["--concurrency"] = max(round(coming.users * peak), 1)
    else:
        words["--demand"] = f"{(coming.rate or 0.0) * peak:.12g} requests/s"
    defaults = {"process": "poisson", "input_lengths": "constant", "output_lengths": "constant"}
    words |= {
        f"--{name.replace('_', '-')}": getattr(load, name) for name in defaults if getattr(load, name) != defaults[name]
    }
    if given["prefix_cache"] != "on":
        words["--prefix-cache"] = given["prefix_cache"]
    words |= {OPTIONS[name].flag: given[name] for name in ("ttft", "tpot") if given.get(name) is not None}
    return words if coming.traced is not None else {**words, "--seed": seed}


def _typed_line(command: str, asked: Sequence[str], words: Mapping[str, Any], sources: Sequence[str]) -> str:
    line = ["costcalc", command, *asked]
    for flag, value in words.items():
        line += [flag] if value is True else [flag, str(value)]
    return join([*line, *sources])


def _fleet_words(found: Found, left_out: Sequence[str]) -> dict[str, Any]:
    """Flags of a replica, with its pool where one prefills apart."""
    layout, q, pool = found.size.deployment.layout, found.kind.scenario, found.kind.prefill
    told: dict[str, Any] = {
        "gpus": found.size.deployment.gpus,
        "tensor_parallel": int(layout.tp),
        "pipeline_parallel": int(layout.pp),
        "expert_parallel": int(layout.ep),
        "attention_data_parallel": int(layout.attention_dp),
    }
    given = {
        name: getattr(q.options, name)
        for name, field in q.options.__dataclass_fields__.items()
        if name not in (*told, *left_out, "demand", "ttft", "tpot", "batch")
        and getattr(q.options, name) != field.default
    }
    words: dict[str, Any] = {OPTIONS[name].flag: _typed(value) for name, value in {**told, **given}.items()}
    if pool is not None:
        apart = pool.layout
        words["--prefill-gpus"] = found.pool_gpus
        words |= {"--prefill-tp": int(apart.tp), "--prefill-dp": int(apart.attention_dp), "--prefill-ep": int(apart.ep)}
        if found.of_pool is not None and found.of_pool is not found.card:
            words["--prefill-gpu"] = found.of_pool.name
    return words


def _start_words(found: Found, longest: int) -> dict[str, Any]:
    """Flags of `costcalc estimate` that prints how a replica is started, for requests of so many tokens at most."""
    q, fleet = found.kind.scenario, found.outcomes[0].found.fleet
    words = _fleet_words(found, ("input_tokens", "output_tokens", "max_num_seqs"))
    output = min(max(round(float(q.output_tokens)), 1), longest - 1)
    ranks = int(found.size.deployment.layout.attention_dp)
    words |= {"--input": longest - output, "--output": output, "--max-num-seqs": max(fleet.max_num_seqs // ranks, 1)}
    return {**words, "--emit": _engine_of(found)}


def _engine_of(found: Found) -> str:
    """The engine whose launch line is written: of an ideal one, that which was told."""
    q = found.kind.scenario
    return q.backend or q.options.backend or "vllm"


def _command_words(found: Found, traffic: Mapping[str, Any]) -> dict[str, Any]:
    """Flags of `costcalc simulate` that replays a fleet under its traffic."""
    words = _fleet_words(found, ("input_tokens", "output_tokens") if "--trace" in traffic else ())
    if "--trace" not in traffic:
        every = 1 if found.kind.prefill is not None else found.replicas
        words["--requests"] = min(max(x.found.requests for x in found.outcomes) * every, MOST_TOLD)
    return {**words, "--replicas": found.replicas, **traffic}


def _typed(value: Any) -> Any:
    return f"{value:.12g}" if isinstance(value, float) else value


MOST_TOLD = 200_000
"""Requests that a command replays: of larger fleets, whose replicas were replayed alone, each gets fewer of them."""


def _level_text(level: Level | None) -> str | None:
    return None if level is None else f"{level.of} {format_seconds(level.seconds)}"


def _notes(search: Search, ranked: Sequence[Found]) -> Iterator[str]:
    if ranked:
        spread = ranges_of(ranked[0].kind.scenario)
        if spread.decode and spread.prefill:
            (low, high), (first, last) = spread.decode, spread.prefill
            yield (
                f"Steps are predicted: in 8 of 10 cases measured times of decode are {low:.2f} to {high:.2f} of what is"
                f" replayed, those of prompts {first:.2f} to {last:.2f}; GPUs and dollars in brackets follow them."
            )
    if search.coming.traced is not None:
        yield "A trace has one course: replayed once, with all its replicas, whatever --seeds and --seed say."
    if ranked and ranked[0].kind.prefill is not None:
        yield "Of all that is predicted, time to first token of pools apart is the least sure (docs/accuracy.md)."


def _defaults(cards: Sequence[Card]) -> tuple[Assumption, ...]:
    """What was taken by default, each once, whatever the GPU."""
    found: dict[str, Assumption] = {}
    for card in cards:
        for each in defaults_of_plan(card.scenario, card.scenario.price):
            known = found.setdefault(each.name, each)
            if known.value != each.value or known.why != each.why:
                why = "of each GPU its own" if each.name == "price" else known.why
                found[each.name] = replace(known, value="by GPU", why=why)
    return tuple(found.values())


def _notes_of_prices(scenarios: Sequence[Scenario]) -> Iterator[str]:
    yield from mixed_prices(scenarios)
    for q in scenarios:
        whose = f"{q.gpu.name}: " if len(scenarios) > 1 else ""
        yield from (f"{whose}{note}" for note in of_the_price(q, q.price))
