"""Time as terms and additions: what each resource takes, how the times join, and what comes on top."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Literal, NamedTuple

from costcalc.engine.roofline import roofline_seconds
from costcalc.fields import Number


@dataclass(frozen=True, slots=True)
class Term:
    """An amount of work that one resource does: its time is amount × factor / (share × peak)."""

    name: Literal["memory", "compute", "exponentials", "link", "network", "latency"]
    unit: Literal["B", "FLOP", "exp", "exchanges"]
    amount: Number  # [unit] of one call
    peak: Number  # [unit/s]
    share: Number = 1.0  # of the peak that is reached
    factor: Number = 1.0  # what padding, the hottest rank or further passes make of the amount

    @property
    def seconds(self) -> Number:
        """Time of the resource [s]."""
        return self.amount * self.factor / (self.share * self.peak)


@dataclass(frozen=True, slots=True)
class Addition:
    """What comes on top, so many times so long."""

    name: str  # of what is counted
    count: Number
    seconds_each: Number  # [s]

    @property
    def seconds(self) -> Number:
        """Time of all of them [s]."""
        return self.count * self.seconds_each


class Timing(NamedTuple):
    """What one call of a kernel takes: its terms joined, and additions, among them terms that join no other."""

    terms: tuple[Term, ...]
    norm: Number  # how terms join: their maximum (inf), their sum (1), or in between; below 1: what they disturb
    additions: tuple[Addition | Term, ...]

    @property
    def seconds(self) -> Number:
        """Time of the call [s]."""
        return joined_seconds(self.terms, self.norm) + added_seconds(self.additions)


def joined_seconds(terms: Sequence[Term], norm: Number) -> Number:
    """Join the times of `terms` [s]: their maximum (norm inf), their sum (1), or what lies in between."""
    times = [term.seconds for term in terms]
    return reduce(lambda a, b: roofline_seconds(a, b, norm), times) if times else 0.0


def added_seconds(additions: Iterable[Addition | Term]) -> Number:
    """Return the time of all additions [s]."""
    return sum((each.seconds for each in additions), start=0.0)
