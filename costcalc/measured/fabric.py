"""What joins the GPUs of a measured collective: their own fabric, PCIe, or a network, as sources write it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from costcalc.engine.collectives import all_reduce_seconds, all_to_all_seconds
from costcalc.engine.machine import machine_of
from costcalc.errors import CostcalcError
from costcalc.measured.load import Row
from costcalc.specs.accelerator import Accelerator

BRIDGE = 300e9
"""One direction of the NVLink bridge that joins two PCIe cards [B/s]."""
_OWN = re.compile(r"nvlink|nvswitch|xgmi|infinity|ici|intra|single|scale.?up", re.IGNORECASE)
_NETWORK = re.compile(r"infiniband|\bib\b|roce|rdma|ethernet|\beth\b|efa|network|inter|scale.?out", re.IGNORECASE)
_NODES = re.compile(r"(\d+) ?-?(?:nodes?|hosts?|servers?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fabric:
    """The links between the ranks of a collective."""

    link: float  # [B/s] of one GPU, one direction
    name: str = ""  # where it is not the GPU's own switched one
    domain: float = np.inf  # ranks that reach each other without a network
    caveat: str = ""  # why what was measured says little of it
    ignored: str = ""  # what the row says and nobody understands


def fabric_of(row: Row, gpu: Accelerator) -> Fabric:
    """Return the links that a row names, else the GPU's own; raises CostcalcError where their speed is unknown."""
    ranks, text = row["n_gpus"], str(row["fabric"])
    if "pairwise" in text:
        return Fabric(BRIDGE) if ranks <= 2 else Fabric(_host_link(gpu), "bridged")
    nodes = int(found[1]) if (found := _NODES.search(text)) else 1
    domain = float(gpu.domain)
    if nodes > 1:
        domain = min(domain, float(np.ceil(ranks / nodes)))
    elif _NETWORK.search(text):
        domain = 1.0
    if ranks > domain:
        return _beyond(gpu, ranks, domain)
    over_pcie = gpu.scale_up is not None and gpu.scale_up.technology.upper().startswith("PCIE")
    if "pcie" in text.lower() and not over_pcie:
        name = "shared-pcie" if ranks > 2 else ""
        return Fabric(_host_link(gpu), name, caveat=f"{gpu.name} over PCIe was not measured")
    link = float(np.asarray(gpu.link_bandwidth(ranks)))
    understood = not text or (nodes == 1 and found) or "pcie" in text.lower() or _OWN.search(text)
    ignored = "" if understood else f"fabric={text}"
    return Fabric(link, "shared-pcie" if over_pcie and ranks > 2 else "", ignored=ignored)


def least_seconds(op: str, message: float, ranks: float, gpu: Accelerator, domain: float) -> float:
    """Time of a collective that leaves its domain, at the peak of links and network [s].

    It is done inside each domain and between domains, as NCCL does it over several nodes; the halves of an
    all-reduce take half of it. message: [B]. domain: ranks that reach each other without the network.
    """
    machine = replace(machine_of(gpu), domain=domain, switched=False)
    if op == "alltoall":
        return float(np.asarray(all_to_all_seconds(message, ranks, machine)))
    if op in ("broadcast", "reduce", "send_recv"):
        return message / float(np.asarray(machine.network_bandwidth))
    whole = float(np.asarray(all_reduce_seconds(message, ranks, machine)))
    return whole if op == "all_reduce" else whole / 2


def _beyond(gpu: Accelerator, ranks: float, domain: float) -> Fabric:
    if gpu.scale_out is None:
        raise CostcalcError(f"{gpu.name} has no known link beyond {domain:g} devices", hint="set scale_out.bandwidth")
    caveat = f"{ranks:g} GPUs reach over a network, which was not measured"
    return Fabric(gpu.scale_out.bandwidth, "", domain, caveat)


def _host_link(gpu: Accelerator) -> float:
    if gpu.host_link is None:
        raise CostcalcError(f"{gpu.name} has no known host link", hint="set host_link.bandwidth")
    return gpu.host_link.bandwidth
