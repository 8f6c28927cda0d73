"""What comes, as asked: requests drawn, traced or brought by answers, and the levels that they are to be served at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record
from costcalc.predict.options import read_option
from costcalc.predict.readers import read_as, whole
from costcalc.predict.scenario import DEFAULT_INPUT, DEFAULT_OUTPUT
from costcalc.replay.blocks import PREFIX_TOKENS
from costcalc.replay.traffic import LENGTHS, PROCESSES, Draw, Traffic, drawn, drawn_by, faster, part, read_trace
from costcalc.units import Demand, Level, parse_demand, parse_level, parse_quantity

PREFIXES = ("on", "off", "infinite")
DEFAULT_REQUESTS = 10_000
MOST_REQUESTS = 2_000_000
MOST_MULTIPLE = 1e4
_FOLLOWS = {
    "batch": "the batch follows from the requests; --max-num-seqs bounds it",
    "context": "contexts follow from the requests: --input and --output",
    "utilization": "idle hours follow from the requests, and are paid",
    "terms": "a scheduler waits for whole steps; ask costcalc estimate --terms",
}
"""Options of an estimate that a replay finds out itself."""


def check_replayed(options: Mapping[str, Any]) -> None:
    """Raise CostcalcError for options that a replay finds out itself."""
    for name, why in _FOLLOWS.items():
        if options.get(name) is not None:
            raise CostcalcError("a replay has none", where=name, hint=why)


LEVELS = ("ttft", "tpot")


def levels_of(options: Mapping[str, Any]) -> tuple[dict[str, Level], dict[str, Any]]:
    """Return the service levels asked for by keyword, and the options with their times alone."""
    found = {name: read_as(parse_level, options[name], name) for name in LEVELS if options.get(name) is not None}
    return found, {**options, **{name: level.seconds for name, level in found.items()}}


class Coming(Record):
    """How requests come, as asked."""

    trace: str | Path | None = None
    process: str = "poisson"
    input_lengths: str = "constant"
    output_lengths: str = "constant"
    speed: Any = 1.0
    requests: Any = None
    seed: Any = 0


class Offered(Record):
    """What comes: requests at a rate, brought by users who are answered, or all at once."""

    lengths: tuple[float, float]  # mean input and output [tokens]
    source: str  # what they are, for people
    rate: float | None = None  # [requests/s] in the mean
    users: float | None = None  # each of whom asks again when answered
    draws: tuple[Draw, Draw, Draw] | None = None  # of intervals, inputs and outputs
    traced: Traffic | None = None
    speed: float = 1.0  # that a trace was given

    @property
    def decode_context(self) -> float | None:
        """The mean over all output tokens of a trace of what is cached before them [tokens]: long answers weigh more.

        None of what is drawn: its lengths are independent, and the middle of a mean answer is at most that.
        """
        if self.traced is None:
            return None
        put, got = (np.asarray(each, dtype=float) for each in (self.traced.inputs, self.traced.outputs))
        return float((got * (put + got / 2)).sum() / got.sum())

    def reused(self, prefixes: str) -> float:
        """The share of a trace's prompt tokens that a cache of all replicas which never forgets would hold."""
        if self.traced is None or not self.traced.prefixes or prefixes == "off":
            return 0.0
        seen: set[int] = set()
        hit = 0
        for put, ids in zip(self.traced.inputs.tolist(), self.traced.prefixes, strict=True):
            leading = next((place for place, each in enumerate(ids) if each not in seen), len(ids))
            hit += min(leading * PREFIX_TOKENS, put)
            seen.update(ids)
        return min(hit / float(self.traced.inputs.sum()), 0.99)

    def requests(self, count: int, seed: int, times: float = 1.0) -> Traffic:
        """So many of them at so many times the load; of a trace all, as much faster."""
        if self.traced is not None:
            return faster(self.traced, times)
        rate = None if self.rate is None else self.rate * times
        users = None if self.users is None else max(round(self.users * times), 1)
        assert self.draws is not None
        return drawn(count, rate, users, self.lengths, self.draws, seed, self.source)


def offered(load: Coming, options: Mapping[str, Any]) -> tuple[Offered, dict[str, Any]]:
    """Return what comes, and the options of the scenario that it makes; raises CostcalcError."""
    told = dict(options)
    speed = read_as(multiple, load.speed, "speed")
    demand = (
        None if told.get("demand") is None else read_as(lambda text: parse_demand(str(text)), told["demand"], "demand")
    )
    if load.trace is not None:
        return _traced(load, told, speed, demand)
    lengths = (
        read_option("input_tokens", told.get("input_tokens")) or DEFAULT_INPUT,
        read_option("output_tokens", told.get("output_tokens")) or DEFAULT_OUTPUT,
    )
    draws = (
        drawn_by(load.process, PROCESSES, "process"),
        drawn_by(load.input_lengths, LENGTHS, "input_lengths"),
        drawn_by(load.output_lengths, LENGTHS, "output_lengths"),
    )
    arrivals = read_option("arrivals", told.get("arrivals"))
    users = read_option("concurrency", told.get("concurrency"))
    if arrivals == "static":
        raise CostcalcError("a static batch has no scheduler", where="arrivals", hint="ask costcalc estimate")
    if sum((demand is not None, users is not None, arrivals == "offline")) != 1:
        hint = "say one of --demand '5 requests/s', --concurrency 64, --arrivals offline or --trace FILE"
        raise CostcalcError("the load is told twice" if demand or users else "there is no load to replay", hint=hint)
    rate = None
    if demand is not None:
        rate = demand.requests_per_s(lengths[1])
        users = demand.amount if rate is None else None
    if rate is None and (load.process != "poisson" or speed != 1):
        where = "process" if load.process != "poisson" else "speed"
        raise CostcalcError("requests come at no rate", where=where, hint="say one with --demand")
    rate = None if rate is None else rate * speed
    told.pop("demand", None)
    if users is not None:
        told["concurrency"] = users
    return Offered(lengths, _said(load, rate, users), rate, users, draws), told


def _traced(load: Coming, told: dict[str, Any], speed: float, demand: Demand | None) -> tuple[Offered, dict[str, Any]]:
    for name in ("input_tokens", "output_tokens", "concurrency", "arrivals", "lengths"):
        if told.get(name) is not None:
            raise CostcalcError("a trace tells it", where=name, hint="leave one of them out")
    for name in ("process", "input_lengths", "output_lengths"):
        if getattr(load, name) != Coming.__dataclass_fields__[name].default:
            raise CostcalcError("nothing is drawn beside a trace", where=name, hint="leave one of them out")
    assert load.trace is not None
    traffic = read_trace(load.trace)
    if load.requests is not None:
        traffic = part(traffic, slice(count_of(load, None)))
    lengths = float(np.mean(traffic.inputs)), float(np.mean(traffic.outputs))
    if demand is not None:
        rate = demand.requests_per_s(lengths[1])
        if rate is None or traffic.rate is None or speed != 1:
            where = "speed" if speed != 1 else "demand"
            raise CostcalcError("the trace tells how requests come", where=where, hint="leave one of them out")
        speed = rate / traffic.rate
        told.pop("demand")
    traffic = faster(traffic, speed)
    told |= {"input_tokens": lengths[0], "output_tokens": lengths[1]}
    return Offered(lengths, traffic.source, traffic.rate, traced=traffic, speed=speed), told


def count_of(load: Coming, users: float | None) -> int:
    """How many requests to draw: those asked for, or enough for every user to ask several times."""
    if load.requests is not None:
        return int(read_as(whole(1, MOST_REQUESTS), load.requests, "requests"))
    number = max(DEFAULT_REQUESTS, 10 * round(users or 0))
    if number > MOST_REQUESTS:
        hint = "ask for fewer users, or say --requests"
        raise CostcalcError(
            f"{round(users or 0):,} users make more than {MOST_REQUESTS:,} requests", where="concurrency", hint=hint
        )
    return number


def _said(load: Coming, rate: float | None, users: float | None) -> str:
    if users is not None:
        how = f"{max(round(users), 1):,} users, each of whom asks again when answered"
    elif rate is None:
        how = "all at once"
    else:
        how = f"{rate:.4g} requests/s asked for, {load.process}"
    return f"{how}; input {load.input_lengths}, output {load.output_lengths}"


# A day: how loads of its hours stand to their mean.


HOURS = 24


class Day(Record):
    """The busiest time over the mean, and the hours that make it."""

    peak: float = 1.0
    loads: tuple[float, ...] = ()  # of each hour over the mean; empty where only the peak is known


def day_of(peak: Any, hourly: Any) -> Day:
    """Return the day that a ratio of peak to mean, or the loads of 24 hours, tell; raises CostcalcError."""
    if hourly is None:
        ratio = 1.0 if peak is None else read_as(multiple, peak, "peak")
        if ratio < 1:
            hint = "it is the busiest load over the mean, as in 3"
            raise CostcalcError(f"{shown(peak)} is less than the mean", where="peak", hint=hint)
        return Day(ratio)
    if peak is not None:
        raise CostcalcError("the hours tell it", where="peak", hint="leave one of --peak and --hourly out")
    values = [read_as(lambda each: parse_quantity(each, "count"), each, "hourly") for each in _hours(hourly)]
    if len(values) != HOURS or not sum(values):
        what = f"{len(values)} loads" if sum(values) else "no load at all"
        raise CostcalcError(f"{what} where a day has {HOURS} hours", where="hourly", hint="as in 1,1,1,2,4, ...")
    mean = sum(values) / HOURS
    return Day(max(values) / mean, tuple(each / mean for each in values))


def _hours(given: Any) -> list[Any]:
    """The loads of a list, of text with commas, or of a file: one a line, the last of its columns, or a JSON list."""
    if not isinstance(given, str | Path):
        return list(given)
    text = str(given)
    if not re.fullmatch(r"[0-9.,\s]+", text):
        try:
            text = Path(text).expanduser().read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            hint = f"name a file with {HOURS} numbers, one a line, or write them with commas"
            raise CostcalcError(
                f"cannot read {shown(str(given))}: {reason[:1].lower()}{reason[1:]}", where="hourly", hint=hint
            ) from None
        if len(text) > MOST_TEXT:
            raise CostcalcError(f"{shown(str(given))} is too long for {HOURS} numbers", where="hourly")
        rows = [row for row in text.strip().lstrip("[").rstrip("]").splitlines() if row.strip()]
        if len(rows) >= HOURS:
            last = [row.rstrip(", ").rpartition(",")[2].strip() for row in rows]
            return last[1:] if len(last) == HOURS + 1 and not last[0][:1].isdigit() else last
        text = " ".join(rows)
    return [each for each in re.split(r"[,\s]+", text.strip()) if each]


MOST_TEXT = 100_000


# Numbers and words that replays read, with the argument that an error names.


def multiple(value: Any) -> float:
    """Return a multiple of a load."""
    number = parse_quantity(value, "count", positive=True)
    if number > MOST_MULTIPLE:
        raise CostcalcError(f"{shown(value)} is out of range", hint=f"it must be at most {MOST_MULTIPLE:,.0f}")
    return number


def seed_of(value: Any) -> int:
    """Return the seed of what is drawn."""
    return int(read_as(whole(0, 2**32 - 1), value, "seed"))


def one_of(value: str, words: tuple[str, ...], where: str) -> Any:
    """Return one of several words, in any case."""
    word = str(value).strip().lower()
    if word not in words:
        hint = did_you_mean(word, words) or f"one of {', '.join(words)}"
        raise CostcalcError(f"{shown(value)} is unknown", where=where, hint=hint)
    return word
