"""Requests to replay: drawn from a rate and lengths, asked again by whoever is answered, or read from a trace."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.yaml import READ, identity
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Array, Record
from costcalc.predict.readers import read_as
from costcalc.replay.blocks import PREFIX_TOKENS
from costcalc.units import parse_quantity


class Traffic(Record):
    """Requests in order of arrival."""

    source: str  # what they are, for people
    arrivals: Array  # [s] from the first one; of a closed loop all 0
    inputs: Array  # [tokens]
    outputs: Array  # [tokens]
    prefixes: tuple[tuple[int, ...], ...] = ()  # ids of blocks of 512 tokens, each of which tells all before it, too
    concurrency: int | None = None  # of a closed loop: so many at a time, each followed by the next

    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def rate(self) -> float | None:
        """Requests per second; None where answers bring them."""
        span = float(self.arrivals[-1]) if len(self) > 1 else 0.0
        return None if self.concurrency or not span else (len(self) - 1) / span


# Drawn: intervals and lengths, by the words that stand for them.


Draw = Callable[[np.random.Generator, float, int], Array]


def _gamma(variation: float) -> Draw:
    shape = 1 / variation**2
    return lambda rng, mean, count: rng.gamma(shape, mean / shape, count)


def _lognormal(variation: float) -> Draw:
    sigma = float(np.sqrt(np.log1p(variation**2)))
    return lambda rng, mean, count: rng.lognormal(np.log(mean) - sigma**2 / 2, sigma, count)


def _constant(_: np.random.Generator, mean: float, count: int) -> Array:
    return np.full(count, mean)


def _exponential(rng: np.random.Generator, mean: float, count: int) -> Array:
    return rng.exponential(mean, count)


def _uniform(rng: np.random.Generator, mean: float, count: int) -> Array:
    return rng.uniform(0, 2 * mean, count)


PROCESSES: dict[str, Draw | Callable[[float], Draw]] = {
    "poisson": _exponential, "constant": _constant, "gamma": _gamma,
}  # fmt: skip
"""How intervals between arrivals vary; gamma:CV, by their standard deviation over their mean, is burstier above 1."""
LENGTHS: dict[str, Draw | Callable[[float], Draw]] = {
    "constant": _constant, "uniform": _uniform, "exponential": _exponential, "lognormal": _lognormal, "gamma": _gamma,
}  # fmt: skip
"""How lengths vary around their mean; lognormal and gamma by CV, as in lognormal:1.2."""
_BY_VARIATION = (_gamma, _lognormal)
MOST_VARIATION = 20.0


def drawn_by(text: str, words: dict[str, Any], where: str) -> Draw:
    """Return what draws as a word says, such as 'poisson' or 'gamma:2'; raises CostcalcError, naming `where`."""
    name, _, number = text.strip().lower().partition(":")
    example = ", ".join(f"{each}:1.5" if make in _BY_VARIATION else each for each, make in words.items())
    if name not in words:
        hint = did_you_mean(name, words) or f"one of {example}"
        raise CostcalcError(f"{shown(text)} is unknown", where=where, hint=hint)
    varies = words[name] in _BY_VARIATION
    if varies != bool(number):
        raise CostcalcError(f"{shown(text)} cannot be read", where=where, hint=f"write it like {example}")
    if not varies:
        return words[name]
    variation = read_as(lambda told: parse_quantity(told, "count", positive=True), number, where)
    if variation > MOST_VARIATION:
        raise CostcalcError(f"{shown(text)} is out of range", where=where, hint=f"at most {MOST_VARIATION:g}")
    return words[name](variation)


def drawn(
    count: int,
    rate: float | None,
    concurrency: int | None,
    lengths: tuple[float, float],
    draws: tuple[Draw, Draw, Draw],
    seed: int,
    source: str,
) -> Traffic:
    """Requests with intervals, inputs and outputs drawn by `draws`; equal seeds give equal requests.

    rate: [requests/s]; None where all come at once, or by `concurrency`. lengths: mean input and output [tokens].
    """
    of_times, of_inputs, of_outputs = (np.random.default_rng([seed, stream]) for stream in range(3))
    arrivals = np.zeros(count) if rate is None else np.cumsum(draws[0](of_times, 1 / rate, count))
    inputs = _whole(draws[1](of_inputs, lengths[0], count))
    outputs = _whole(draws[2](of_outputs, lengths[1], count))
    return Traffic(source, arrivals - arrivals[0], inputs, outputs, concurrency=concurrency)


def _whole(lengths: Array) -> Array:
    return np.maximum(np.rint(lengths), 1).astype(np.int64)


# Traces, told apart by what they hold.


_COLUMNS = {
    "arrival": ("arrival_s", "arrival", "timestamp", "time"),
    "input": ("input_tokens", "input", "contexttokens", "input_length", "prompt_tokens"),
    "output": ("output_tokens", "output", "generatedtokens", "output_length", "completion_tokens"),
}
_FORMS = (
    "a CSV with arrival_s, input_tokens and output_tokens, an Azure LLM inference trace, or JSON lines with"
    " timestamp [ms], input_length, output_length and hash_ids as Mooncake's"
)
MOST_TOKENS = 10_000_000


def read_trace(path: str | Path) -> Traffic:
    """Return the requests of a trace: a CSV, Azure's or one's own, or JSON lines as Mooncake's; raises an error."""
    name = Path(path).expanduser()
    try:
        text = name.read_text(encoding="utf-8-sig")
        READ.add(identity(name.stat()))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CostcalcError(
            f"cannot read {shown(str(path))}: {reason[:1].lower()}{reason[1:]}", where="trace", hint=f"name {_FORMS}"
        ) from None
    read = _json_lines if text.lstrip()[:1] == "{" else _csv
    rows = list(read(text))
    if not rows:
        raise CostcalcError(f"{shown(str(path))} has no requests", where="trace", hint=f"a trace is {_FORMS}")
    rows.sort(key=lambda row: row[0])  # stable: requests of one moment stay in their order
    arrivals, inputs, outputs, prefixes = zip(*rows, strict=True)
    times = np.array(arrivals, dtype=float)
    known = prefixes if any(prefixes) else ()
    return Traffic(name.name, times - times[0], np.array(inputs), np.array(outputs), known)


_Row = tuple[float, int, int, tuple[int, ...]]


def _json_lines(text: str) -> Iterator[_Row]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            ids = tuple(map(int, row.get("hash_ids") or ()))
            told = float(row["timestamp"]) / 1e3, row["input_length"], row["output_length"]
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else "is no request"
            raise CostcalcError(f"line {number} {what}", where="trace", hint=f"a trace is {_FORMS}") from None
        arrival, put, got = _checked(*told, number)
        if ids and len(ids) != -(-put // PREFIX_TOKENS):
            raise CostcalcError(
                f"line {number} has {len(ids)} hash_ids for {put:,} tokens", where="trace",
                hint=f"one for every {PREFIX_TOKENS}",
            )  # fmt: skip
        yield arrival, put, got, ids


def _csv(text: str) -> Iterator[_Row]:
    reader = csv.reader(io.StringIO(text))
    head = [each.strip().lower() for each in next(reader, [])]
    places = {
        what: next((head.index(each) for each in names if each in head), None) for what, names in _COLUMNS.items()
    }
    missing = [what for what, place in places.items() if place is None]
    if missing:
        names = ", ".join(_COLUMNS[what][0] for what in missing)
        raise CostcalcError(f"the first line names no {names}", where="trace", hint=f"a trace is {_FORMS}")
    at, into, out = (place for place in places.values() if place is not None)
    for row in reader:
        if not row:
            continue
        try:
            told = _moment(row[at]), row[into], row[out]
        except (IndexError, ValueError):
            raise CostcalcError(
                f"line {reader.line_num} is no request", where="trace", hint=f"a trace is {_FORMS}"
            ) from None
        yield (*_checked(*told, reader.line_num), ())


def _moment(text: str) -> float:
    """Seconds: a number, or a date with a time and any number of decimals, as Azure's have seven."""
    try:
        return float(text)
    except ValueError:
        clean = text.strip()
        zone = "+00:00" if clean.endswith("+00:00") else ""
        clean = clean.removesuffix(zone)
        return datetime.fromisoformat(f"{clean[:19]}+00:00").timestamp() + float(f"0{clean[19:]}")


def _checked(arrival: float, put: Any, got: Any, line: int) -> tuple[float, int, int]:
    try:
        lengths = int(put), int(got)
        sound = np.isfinite(arrival) and all(0 <= each <= MOST_TOKENS for each in lengths)
    except (ValueError, TypeError):
        sound = False
    if not sound:
        hint = f"lengths are whole tokens up to {MOST_TOKENS:,}"
        raise CostcalcError(f"line {line} is no request", where="trace", hint=hint)
    return arrival, max(lengths[0], 1), max(lengths[1], 1)


def faster(traffic: Traffic, speed: float) -> Traffic:
    """The same requests, arriving so many times as fast."""
    return replace(traffic, arrivals=traffic.arrivals / speed)


def part(traffic: Traffic, which: slice) -> Traffic:
    """Some of the requests, at the times at which they come."""
    return replace(
        traffic,
        arrivals=traffic.arrivals[which],
        inputs=traffic.inputs[which],
        outputs=traffic.outputs[which],
        prefixes=traffic.prefixes[which],
    )
