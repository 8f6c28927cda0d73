"""What collectives move over links and network, and how long they take: all-reduce, all-to-all, expert exchange.

Ring all-reduce after Patarasuk and Yuan 2009 (doi 10.1016/j.jpdc.2008.09.002); hierarchical as NCCL runs it over
several nodes; expert all-to-all after DeepSeek-V3 (arXiv 2412.19437, 3.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from costcalc.engine.latency.kernels import capped
from costcalc.engine.ops import Op
from costcalc.engine.roofline import Addition, Machine, Term, Timing, domains_of, either
from costcalc.fields import Number, Record

IN_SWITCH = ("hopper", "blackwell")
"""Architectures whose NVSwitches reduce and multicast (third generation and later)."""
IN_SWITCH_RANKS = 8


def all_reduce_bytes(message: Number, ranks: Number) -> Number:
    """Bytes that each link carries one way in a ring all-reduce of `message` [B]: 2(n - 1)/n of it."""
    return 2 * (ranks - 1) / ranks * message


def multicast_bytes(message: Number, ranks: Number) -> Number:
    """Bytes that each link carries one way when the switch reduces and multicasts (NVLink SHARP) [B]."""
    return (ranks + 1) / ranks * message


def reduces_in_switch(architecture: str, switched: Number, ranks: Number) -> Number:
    """Whether NVSwitches add up the data of `ranks` GPUs: of Hopper and later, from 8 ranks on as NCCL uses it."""
    able = architecture in IN_SWITCH
    return (np.asarray(ranks) >= IN_SWITCH_RANKS) & np.asarray(switched, dtype=bool) & able


def all_reduce_link_bytes(message: Number, ranks: Number, machine: Machine) -> Number:
    """Bytes that an all-reduce of `message` [B] sends over a GPU's links, one way: that of its own domain [B]."""
    local = ranks / domains_of(machine, ranks)
    in_switch = reduces_in_switch(machine.architecture, machine.switched, local)
    return np.where(in_switch, multicast_bytes(message, local), all_reduce_bytes(message, local))


def all_reduce_network_bytes(message: Number, ranks: Number, machine: Machine) -> Number:
    """Bytes that a GPU sends over the network when `message` [B] was reduced inside its domain first [B]."""
    domains = domains_of(machine, ranks)
    return all_reduce_bytes(message / (ranks / domains), domains)


def all_reduce_seconds(message: Number, ranks: Number, machine: Machine) -> Number:
    """All-reduce over one domain, or reduced inside each domain first and between domains on a share of it."""
    within = all_reduce_link_bytes(message, ranks, machine) / machine.link_bandwidth
    return within + all_reduce_network_bytes(message, ranks, machine) / machine.network_bandwidth


def all_to_all_link_bytes(sent: Number, ranks: Number, machine: Machine, copies: Number = 1) -> Number:
    """Of `sent` [B], evenly to `ranks`, the bytes that a GPU sends inside its domain [B].

    copies: how many destinations each token has among what is sent; beyond 1, a token is handed on inside a domain.
    """
    local = ranks / domains_of(machine, ranks)
    handed_on = np.where(np.asarray(copies) > 1, local, ranks)
    return sent * (local - 1) / handed_on


def all_to_all_network_bytes(sent: Number, ranks: Number, machine: Machine, copies: Number = 1) -> Number:
    """Of `sent` [B], evenly to `ranks`, the bytes that a GPU sends out of its domain [B].

    copies: how many destinations each token has among what is sent. Beyond 1, a token crosses the network
    once to every domain that holds any of them and is handed on inside it, as throughput kernels do
    (DeepSeek-V3, 2412.19437, 3.2.2); spread over D domains, c copies reach (D - 1)(1 - (1 - 1/D)^c) others.
    """
    domains = domains_of(machine, ranks)
    reached = (domains - 1) * (1 - np.power(1 - 1 / domains, copies))
    return sent / copies * reached


def all_to_all_seconds(sent: Number, ranks: Number, machine: Machine, copies: Number = 1) -> Number:
    """Each GPU sends `sent` [B] evenly to `ranks`: inside the domain and out of it at the same time."""
    within = all_to_all_link_bytes(sent, ranks, machine, copies) / machine.link_bandwidth
    return np.maximum(within, all_to_all_network_bytes(sent, ranks, machine, copies) / machine.network_bandwidth)


def transfer_bandwidth(crosses: Number, machine: Machine) -> Number:
    """Bandwidth to the next pipeline stage: that of the network where `crosses` is true [B/s]."""
    return np.where(crosses, machine.network_bandwidth, machine.link_bandwidth)


# Collectives: NCCL's, the serving engines' own all-reduce, and expert exchange.
#
# A pipelined transfer with the best number of chunks takes (√α + √β)²: α is the time of an empty one,
# β that of its bytes (Thakur, Rabenseifner and Gropp 2005, doi 10.1177/1094342005051521, for α and β).


PIPELINED = 0.5
"""The norm of (√α + √β)²."""


class CollectiveCurve(Record):
    """A collective of NCCL or RCCL."""

    latency: Number = 0.0  # [s] of an empty one between two ranks
    link: Number = 1.0  # share of the link's bandwidth
    rank_growth: Number = 0.0  # more latency per rank beyond two, relative
    network_latency: Number = 0.0  # [s] more where it leaves the scale-up domain

    measured: ClassVar[Mapping[str, Number]] = {}


class CustomAllReduceCurve(Record):
    """A serving engine's own all-reduce for small messages."""

    latency: Number  # [s] of one exchange of flags and data between two ranks
    link: Number  # share of the link's bandwidth
    doubling_growth: Number  # more latency per doubling of the ranks beyond two, relative
    two_shot: Number  # latency of reduce-scatter and all-gather, relative to one shot
    limit: Number = np.inf  # [B] message above which the engine leaves it to NCCL

    measured: ClassVar[Mapping[str, Number]] = {}


class AllReduceCurve(Record):
    """An all-reduce, by the engine's own kernel or by NCCL, whichever is faster."""

    library: CollectiveCurve = CollectiveCurve()
    custom: CustomAllReduceCurve | None = None


class ExchangeCurve(Record):
    """Dispatch of tokens to experts, or the combination of their results."""

    latency: Number = 0.0  # [s]
    link: Number = 1.0  # share of the link's bandwidth
    network_latency: Number = 0.0  # [s] more where it leaves the scale-up domain

    measured: ClassVar[Mapping[str, Number]] = {}


def gathered_bytes(message: Number, ranks: Number) -> Number:
    """Bytes over each link, one way, in an all-gather, reduce-scatter or all-to-all of `message` [B]."""
    return (ranks - 1) / ranks * message


def collective(sent: Number, ranks: Number, link: Number, curve: CollectiveCurve) -> Timing:
    """A pipelined collective: (√α + √β)² [s].

    sent: bytes over each link [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    rises = 1 + curve.rank_growth * np.maximum(np.asarray(ranks) - 2, 0)
    terms = (Term("link", "B", sent, link, capped(curve.link)), _latency(rises, curve.latency))
    return Timing(terms, PIPELINED, ())


def custom_all_reduce(message: Number, ranks: Number, link: Number, curve: CustomAllReduceCurve) -> Timing:
    """The faster of one-shot (all send all) and two-shot (reduce-scatter, all-gather) [s].

    message: bytes reduced [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    ranks = np.maximum(ranks, 2)
    rises = 1 + curve.doubling_growth * np.log2(ranks / 2)
    share = capped(curve.link)

    def shot(nbytes: Number, exchanges: Number) -> Timing:
        return Timing((Term("link", "B", nbytes, link, share), _latency(exchanges, curve.latency)), 1.0, ())

    one = shot((ranks - 1) * message, rises)
    two = shot(all_reduce_bytes(message, ranks), curve.two_shot * rises)
    return either(one.seconds <= two.seconds, one, two)


def all_reduce(op: Op, machine: Machine, curve: AllReduceCurve) -> Timing:
    """An all-reduce of `op.bytes` [B] [s]: by NCCL inside each domain and between domains, or by the engine's kernel.

    The engine's own runs inside one domain, where its message is small, and not where more than two cards share PCIe.
    """
    ranks = np.maximum(op.ranks, 1)
    outside = ranks > machine.domain
    library = collective(all_reduce_link_bytes(op.bytes, ranks, machine), ranks, machine.link_bandwidth, curve.library)
    network = Term(
        "network", "B", all_reduce_network_bytes(op.bytes, ranks, machine), machine.network_bandwidth,
        capped(curve.library.link),
    )  # fmt: skip
    latency = Addition("network latency", outside * 1.0, curve.library.network_latency)
    if curve.custom is not None:
        own = custom_all_reduce(op.bytes, ranks, machine.link_bandwidth, curve.custom)
        few = np.asarray(machine.switched, dtype=bool) | (np.asarray(ranks) <= 2)
        possible = ~outside & (op.bytes <= curve.custom.limit) & few
        library = either(possible & (own.seconds <= library.seconds), own, library)
    terms = (*library.terms, network._replace(amount=network.amount * np.where(outside, 1.0, 0.0)))
    return Timing(terms, library.norm, (latency,))


def exchange(sent: Number, link: Number, curve: ExchangeCurve) -> Timing:
    """Dispatch of tokens to experts, or combination of results, inside a domain [s].

    sent: bytes over each link [B]. link: bandwidth of one GPU, one direction [B/s].
    """
    return Timing(
        (Term("link", "B", sent, link, capped(curve.link)),), np.inf, (Addition("latency", 1.0, curve.latency),)
    )


def expert_exchange(op: Op, machine: Machine, curve: ExchangeCurve) -> Timing:
    """Dispatch of tokens to the ranks of their experts, or combination of results [s]: links and network at once."""
    within = all_to_all_link_bytes(op.bytes, op.ranks, machine, op.copies)
    between = all_to_all_network_bytes(op.bytes, op.ranks, machine, op.copies)
    alone, outside = exchange(within, machine.link_bandwidth, curve), np.asarray(op.ranks) > machine.domain
    network = Term("network", "B", between, machine.network_bandwidth, capped(curve.link))
    latency = Addition("network latency", outside * 1.0, curve.network_latency)
    return Timing((*alone.terms, network), alone.norm, (*alone.additions, latency))


def _latency(exchanges: Number, seconds: Number) -> Term:
    """So many exchanges of `seconds` each."""
    return Term("latency", "exchanges", exchanges, np.inf if np.all(np.asarray(seconds) == 0) else 1 / seconds)
