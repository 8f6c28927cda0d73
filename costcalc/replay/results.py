"""What a replay found: percentiles of waits, load of cache and GPUs, goodput and dollars at this load."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from costcalc.fields import Array, Record, Result
from costcalc.predict.results import plain_tree
from costcalc.units import Level, format_seconds, format_usd


class Percentiles(Record):
    """Of all requests that were completed [s]; None where there was none."""

    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None


def percentiles(values: Array) -> Percentiles:
    """Mean and percentiles, linear between neighbours."""
    if not len(values):
        return Percentiles(None, None, None, None, None)
    return Percentiles(float(np.mean(values)), *(float(each) for each in np.percentile(values, (50, 90, 95, 99))))


class Queue(Record):
    """Requests that arrived and were not admitted yet."""

    mean: float  # over time
    most: int
    wait_s: Percentiles  # from arrival to admission


class CacheLoad(Record):
    """The cache of all replicas."""

    hit_rate: float  # share of all prompts' tokens that were found in it
    occupancy: float | None  # share of it that running requests hold, over time; None where nothing limits it


class Goodput(Record):
    """Requests that kept the levels asked for."""

    share: float  # of all that arrived, refused ones included
    requests_per_s: float


class Fleet(Record):
    """What the requests ran on."""

    model: str
    gpu: str
    gpus: int  # prefill pool included
    replicas: int
    layout: str
    backend: str | None
    max_num_seqs: int  # of a replica
    cache_tokens: int | None  # of a replica
    prefill_gpus: int | None
    usd_per_gpu_hour: float | None  # of those that decode, where they are others
    prefill_gpu: str | None = None
    usd_per_hour: float | None = None  # of all


class Moment(Record):
    """Requests of all replicas at one time."""

    time_s: float  # from the first arrival
    waiting: int
    running: int


class LoadPoint(Record):
    """The same requests at another rate."""

    load: float  # over that of the simulation
    requests_per_s: float | None
    saturated: bool
    ttft_s: Percentiles
    tpot_s: Percentiles
    latency_s: Percentiles
    output_tokens_per_s: float
    utilization: float
    goodput: Goodput | None
    usd_per_million_output_tokens: float | None
    usd_per_million_blended_tokens: float | None
    usd_per_request: float | None

    @classmethod
    def of(cls, load: float, found: Simulation) -> LoadPoint:
        """The point of a simulation at so many times the load."""
        return cls(load, *(getattr(found, each.name) for each in fields(cls)[1:]))


class Verdict(Record):
    """A service level, and whether it was kept."""

    of: str  # ttft or tpot
    statistic: str  # p50, p90, p95, p99 or mean
    limit_s: float
    found_s: float | None
    kept: bool

    @classmethod
    def of_level(cls, found: Simulation, of: str, level: Level) -> Verdict:
        """Whether a simulation kept a level; where none was answered, it did not."""
        value = getattr(getattr(found, f"{of}_s"), level.of)
        return cls(of, level.of, level.seconds, value, value is not None and value <= level.seconds)


class Simulation(Result):
    """What users saw of a fleet under one load, and what it cost."""

    fleet: Fleet
    traffic: str
    router: str
    seed: int | None
    requests: int
    completed: int
    refused: int  # longer than the cache of a replica
    preemptions: int
    duration_s: float  # from the first arrival to the last answer; of a closed loop, while all users are there
    requests_per_s: float | None  # that arrived; None where answers bring the next
    saturated: bool  # the queue grew as long as requests came
    ttft_s: Percentiles
    tpot_s: Percentiles
    latency_s: Percentiles
    output_tokens_per_s: float
    running: float  # requests that were admitted and not done, in the mean over time
    queue: Queue
    cache: CacheLoad
    utilization: float  # share of the time in which replicas had work
    goodput: Goodput | None  # None without levels
    usd_per_million_output_tokens: float | None
    usd_per_million_blended_tokens: float | None  # of those that went in and came out
    usd_per_request: float | None
    input_tokens: float  # mean
    output_tokens: float
    ttft_limit_s: float | None
    tpot_limit_s: float | None
    levels: tuple[Verdict, ...] = ()  # that were asked for at a statistic
    loads: tuple[LoadPoint, ...] = ()  # at other rates, where they were asked for
    notes: tuple[str, ...] = ()
    timeline: tuple[Moment, ...] = ()

    @property
    def about(self) -> str:
        """Fleet, the median wait for the first token, and dollars."""
        wait = f"first token after {format_seconds(self.ttft_s.p50)} in the median"
        cost = f"{format_usd(self.usd_per_million_output_tokens)} per M output tokens"
        return f"{self.fleet.model} on {self.fleet.gpus} × {self.fleet.gpu}: {wait}, {cost}"

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain dictionaries, lists and numbers, times in seconds."""
        plain: dict[str, Any] = plain_tree(self)
        return plain


TIMES = 120
"""Moments of a timeline."""


def in_flight(begins: Array, ends: Array, moments: Array) -> Array:
    """How many of the intervals between `begins` and `ends` hold each moment."""
    began = np.searchsorted(np.sort(begins), moments, side="right")
    return np.asarray(began - np.searchsorted(np.sort(ends), moments, side="right"))


def most_in_flight(begins: Array, ends: Array) -> int:
    """The most intervals that overlap; those that end when others begin do not."""
    moments = np.sort(begins)
    return int(in_flight(begins, ends, moments).max(initial=0))
