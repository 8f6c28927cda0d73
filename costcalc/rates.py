"""Demand as people type it: '50 requests/s', '3M requests/day', '20k tokens/s', '1B tokens/day'."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from costcalc.errors import CostcalcError, shown
from costcalc.units import UnitError, parse_count

EXAMPLES = "'50 requests/s' or '1B tokens/day'"
_WORDS: dict[str, Literal["requests", "tokens"]] = {
    "r": "requests", "req": "requests", "reqs": "requests", "request": "requests", "requests": "requests",
    "tok": "tokens", "toks": "tokens", "token": "tokens", "tokens": "tokens",
}  # fmt: skip
_PERIODS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0, "week": 7 * 86400.0, "month": 730 * 3600.0, "year": 365 * 86400.0,
}  # fmt: skip
_RATE = re.compile(
    r"(?P<count>.*?[0-9.](?:\s*[a-z]+)??)\s*(?:output\s*)?"
    rf"(?P<what>{'|'.join(sorted(_WORDS, key=len, reverse=True))})\s*(?:/|\bper\b)\s*(?P<period>[a-z]+)"
)
_SHORT = re.compile(r"(?P<count>.*?[0-9.]\s*[kmbgt]?)\s*(?P<what>[rt])ps")
_MOST = 1e15


@dataclass(frozen=True, slots=True)
class Demand:
    """What a fleet has to serve."""

    per_second: float
    of: Literal["requests", "tokens"]  # output tokens


def parse_demand(text: str) -> Demand:
    """Return a demand typed by a person.

    text: requests or output tokens per second, minute, hour, day, week, month (730 h) or year, such as
        '50 requests/s', '50 rps', '1B tokens/day' or '20k tok/s'.
    Raises UnitError when it cannot be read.
    """
    cleaned = " ".join(text.lower().split())
    short = _SHORT.fullmatch(cleaned) if len(cleaned) <= 64 else None
    match = short or (_RATE.fullmatch(cleaned) if len(cleaned) <= 64 else None)
    if match is None:
        raise _unreadable(text)
    of = {"r": "requests", "t": "tokens"}[match["what"]] if short else _WORDS[match["what"]]
    period = 1.0 if short else _PERIODS.get(match["period"].removesuffix("s") or "s")
    if period is None:
        raise _unreadable(text)
    try:
        count = parse_count(match["count"], positive=True)
    except CostcalcError:
        raise _unreadable(text) from None
    if count / period > _MOST:
        raise UnitError(f"{shown(text)} is beyond all reason", hint=f"write it like {EXAMPLES}")
    return Demand(count / period, "requests" if of == "requests" else "tokens")


def _unreadable(text: str) -> UnitError:
    return UnitError(f"{shown(text)} is not a demand", hint=f"write it like {EXAMPLES}")
