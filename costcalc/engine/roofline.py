"""The machine as peaks and links, and the roofline: what each resource takes, and how those times join.

Source: Williams, Waterman and Patterson 2009 (doi 10.1145/1498765.1498785).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from math import frexp
from typing import Any, Literal, NamedTuple

import numpy as np

from costcalc.engine.host import Host
from costcalc.fields import Number, Record, total
from costcalc.hardware.accelerator import Accelerator

# What the engine needs to know of a machine: rates in SI, scalars or arrays.


class Machine(Record):
    """Rates of one GPU and of the links between them."""

    memory: Number  # [B] usable capacity, as the driver reports it
    memory_bandwidth: Number  # [B/s] peak
    peak_flops: Mapping[str, Number]  # [FLOP/s] dense peak by the precision computed in
    link_bandwidth: Number  # [B/s] per GPU and direction inside the scale-up domain
    domain: Number  # GPUs that share the scale-up links
    network_bandwidth: Number  # [B/s] per GPU and direction outside the domain; infinite where unknown
    architecture: str = "unknown"
    vendor: str = "unknown"
    switched: Number = True  # scale-up by NVLink, xGMI or ICI; False: over the host's PCIe
    sm_count: Number = 132.0  # multiprocessors
    name: str = ""  # as its card shows it: by it, a machine that someone measured is known again
    host: Host | None = None  # where a part of the model lies in its memory

    def peak(self, precision: str) -> Number:
        """Dense peak [FLOP/s] of the precision that an op runs in."""
        return self.peak_flops[precision]


FLOPS_PER_MULTIPROCESSOR = 7.5e12
"""16-bit peak of a multiprocessor [FLOP/s], for accelerators whose count is not known: Hopper's."""


def domains_of(machine: Machine, ranks: Number) -> Number:
    """Over how many scale-up domains `ranks` GPUs spread, evenly and over as few as hold them."""
    return np.ceil(np.asarray(ranks) / machine.domain)


def machine_of(gpu: Accelerator) -> Machine:
    """The machine made of `gpu`s; links that are not known are infinite, so callers ask `reach` first."""
    up, out = gpu.scale_up, gpu.scale_out
    return Machine(
        memory=gpu.usable_memory,
        memory_bandwidth=gpu.memory_bandwidth,
        peak_flops=gpu.peak_flops.rates(),
        link_bandwidth=up.bandwidth if up and up.bandwidth else np.inf,
        domain=gpu.domain,
        network_bandwidth=out.bandwidth if out else np.inf,
        architecture=gpu.architecture,
        vendor=gpu.vendor,
        switched=up is not None and not up.technology.upper().startswith("PCIE"),
        sm_count=gpu.sm_count or gpu.peak("bf16").flops / FLOPS_PER_MULTIPROCESSOR,
        name=gpu.known_as,
    )


def reach(gpu: Accelerator) -> float:
    """How many of `gpu`s known links can join: one without links, one domain without a network."""
    if gpu.scale_out:
        return np.inf
    return gpu.domain if gpu.scale_up and gpu.scale_up.bandwidth else 1


def roofline_seconds(memory: Number, compute: Number, norm: Number = np.inf) -> Number:
    """Join two times [s]: their maximum when they overlap perfectly (norm inf), their sum when not at all (1).

    No positive norm makes it shorter than the maximum, so a calibrated time never beats the bound; one below 1 says
    that the two disturb each other.
    """
    if np.ndim(norm):  # few values: each is joined as it is alone, to the last digit
        joined: Number = 0.0
        ordered = np.sort(norm, axis=None)
        for each in ordered[np.append(True, ordered[1:] != ordered[:-1])].tolist():
            joined = np.where(np.equal(norm, each), roofline_seconds(memory, compute, each), joined)
        return joined
    if np.isinf(norm):
        return np.maximum(memory, compute)
    if norm == 1:
        return memory + compute
    longest, shortest = np.maximum(memory, compute), np.minimum(memory, compute)
    # In place: on arrays, fresh memory costs more than the arithmetic.
    ratio = shortest / np.where(longest > 0, longest, 1.0)
    ratio = _power(ratio, float(norm))
    ratio += 1.0
    ratio = _power(ratio, 1.0 / float(norm))
    ratio *= longest
    return ratio


def _power(base: Number, exponent: float) -> Number:
    """base^exponent, in the memory of `base`: by squares and roots where the exponent is a power of two.

    Those round alike for one number and for arrays of any length; powers of numpy differ in the last bit.
    """
    if frexp(exponent)[0] != 0.5:
        return np.power(base, exponent)
    while exponent > 1:
        base *= base
        exponent /= 2
    while exponent < 1:
        base = np.sqrt(base, out=base) if isinstance(base, np.ndarray) else np.sqrt(base)
        exponent *= 2
    return base


# Time as terms and additions: what each resource takes, how the times join, and what comes on top.


class Term(NamedTuple):
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
        plain = isinstance(self.factor, float | int) and self.factor == 1
        return (self.amount if plain else self.amount * self.factor) / (self.share * self.peak)


class Addition(Record):
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
    return total(each.seconds for each in additions)


def either(first: Number, one: Timing, other: Timing) -> Timing:
    """`one` where `first` is true, else `other`; both have the same terms and additions."""
    if np.ndim(first) == 0:
        return one if first else other

    def chosen(parts: Sequence[Any], others: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(_of_each(first, a, b) for a, b in zip(parts, others, strict=True))

    norm = np.where(first, one.norm, other.norm)
    return Timing(chosen(one.terms, other.terms), norm, chosen(one.additions, other.additions))


def _of_each(first: Number, one: Term | Addition, other: Term | Addition) -> Term | Addition:
    """The numbers of `one` where `first` is true, else those of `other`."""

    def chosen(*names: str) -> dict[str, Any]:
        return {name: np.where(first, getattr(one, name), getattr(other, name)) for name in names}

    if isinstance(one, Term):
        return one._replace(**chosen("amount", "peak", "share", "factor"))
    return replace(one, **chosen("count", "seconds_each"))
