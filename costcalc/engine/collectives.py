"""Time on the links: all-reduce, all-to-all and pipeline transfers, as bytes over bandwidth and hops.

Sources: ring all-reduce after Patarasuk and Yuan 2009 (doi 10.1016/j.jpdc.2008.09.002); hierarchical form
as NCCL runs it over several nodes; expert all-to-all after DeepSeek-V3 (arXiv 2412.19437, 3.2).
"""

from __future__ import annotations

import numpy as np

from costcalc.engine.roofline import Machine, domains_of
from costcalc.fields import Number

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


def transfer_seconds(message: Number, crosses: Number, machine: Machine) -> Number:
    """Send `message` [B] to the next pipeline stage, over the network where `crosses` is true."""
    return message / transfer_bandwidth(crosses, machine)
