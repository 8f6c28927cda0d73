"""Collectives inside one scale-up domain: NCCL's, the serving engines' own all-reduce, and expert exchange.

A pipelined transfer with the best number of chunks takes (√α + √β)²: α is the time of an empty one,
β that of its bytes (Thakur, Rabenseifner and Gropp 2005, doi 10.1177/1094342005051521, for α and β).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costcalc.arrays import Number
from costcalc.engine.collectives import all_reduce_bytes
from costcalc.engine.kernels.shares import share


@dataclass(frozen=True, slots=True)
class CollectiveCurve:
    """A collective of NCCL or RCCL."""

    latency: Number  # [s] of an empty one between two ranks
    link: Number  # share of the link's bandwidth
    rank_growth: Number  # more latency per rank beyond two, relative


@dataclass(frozen=True, slots=True)
class CustomAllReduceCurve:
    """A serving engine's own all-reduce for small messages."""

    latency: Number  # [s] of one exchange of flags and data between two ranks
    link: Number  # share of the link's bandwidth
    doubling_growth: Number  # more latency per doubling of the ranks beyond two, relative
    two_shot: Number  # latency of reduce-scatter and all-gather, relative to one shot


@dataclass(frozen=True, slots=True)
class ExchangeCurve:
    """Dispatch of tokens to experts, or the combination of their results."""

    latency: Number  # [s]
    link: Number  # share of the link's bandwidth


def gathered_bytes(message: Number, ranks: Number) -> Number:
    """Bytes over each link, one way, in an all-gather, reduce-scatter or all-to-all of `message` [B]."""
    return (ranks - 1) / ranks * message


def collective_seconds(sent: Number, ranks: Number, link: Number, curve: CollectiveCurve) -> Number:
    """Time of a pipelined collective: (√α + √β)² [s].

    sent: bytes over each link [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    latency = curve.latency * (1 + curve.rank_growth * (ranks - 2))
    transfer = sent / (share(curve.link) * link)
    return (np.sqrt(latency) + np.sqrt(transfer)) ** 2


def custom_all_reduce_seconds(message: Number, ranks: Number, link: Number, curve: CustomAllReduceCurve) -> Number:
    """Time of the faster of one-shot (all send all) and two-shot (reduce-scatter, all-gather) [s].

    message: bytes reduced [B]. ranks: GPUs [1]. link: bandwidth of one GPU, one direction [B/s].
    """
    latency = curve.latency * (1 + curve.doubling_growth * np.log2(ranks / 2))
    rate = share(curve.link) * link
    one_shot = latency + (ranks - 1) * message / rate
    two_shot = curve.two_shot * latency + all_reduce_bytes(message, ranks) / rate
    return np.minimum(one_shot, two_shot)


def exchange_seconds(sent: Number, link: Number, curve: ExchangeCurve) -> Number:
    """Time to dispatch tokens to the ranks of their experts, or to combine the results [s].

    sent: bytes over each link [B]. link: bandwidth of one GPU, one direction [B/s].
    """
    return curve.latency + sent / (share(curve.link) * link)
