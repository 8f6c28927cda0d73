"""What the engine needs to know of a machine: rates in SI, scalars or arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from costcalc.arrays import Number


@dataclass(frozen=True, slots=True)
class Machine:
    """Rates of one GPU and of the links between them."""

    memory: Number  # [B] usable capacity, as the driver reports it
    memory_bandwidth: Number  # [B/s] peak
    peak_flops: Mapping[str, Number]  # [FLOP/s] dense peak by the precision computed in
    link_bandwidth: Number  # [B/s] per GPU and direction inside the scale-up domain
    domain: Number  # GPUs that share the scale-up links
    network_bandwidth: Number  # [B/s] per GPU and direction outside the domain
    architecture: str = "unknown"
    vendor: str = "unknown"
    switched: bool = True  # scale-up by NVLink, xGMI or ICI; False: over the host's PCIe

    def peak(self, precision: str) -> Number:
        """Dense peak [FLOP/s] of the precision that an op runs in."""
        return self.peak_flops[precision]


def inside(machine: Machine, ranks: Number) -> Number:
    """How many of `ranks` GPUs sit in one scale-up domain."""
    return np.minimum(ranks, machine.domain)
