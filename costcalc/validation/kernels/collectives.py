"""Rows of collectives: NCCL's, the engines' own all-reduce, expert dispatch and combine; what joins their GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from costcalc.engine.latency.collectives import (
    CollectiveCurve,
    CustomAllReduceCurve,
    ExchangeCurve,
    all_reduce_bytes,
    all_reduce_seconds,
    all_to_all_seconds,
    collective,
    custom_all_reduce,
    exchange,
    gathered_bytes,
    multicast_bytes,
    reduces_in_switch,
)
from costcalc.engine.latency.kernel_choice import custom_all_reduce_limit
from costcalc.engine.roofline import machine_of
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Array
from costcalc.hardware.accelerator import Accelerator
from costcalc.validation.files import Row
from costcalc.validation.kernels.rows import Described, Features, backend_of, by_op, kernel_model

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


# Collectives of measurement files: NCCL's, the serving engines' own all-reduce, expert dispatch and combine.


_COLLECTIVES = {
    "all_reduce": "allreduce ar",
    "all_gather": "allgather ag",
    "reduce_scatter": "reducescatter rs",
    "alltoall": "a2a alltoallv alltoallsingle",
    "broadcast": "bcast",
    "reduce": "",
    "send_recv": "sendrecv p2p send recv sendreceive",
}
"""Collectives, and how else they are written once hyphens and underscores are gone."""
_NAMES = {spelling: op for op, others in _COLLECTIVES.items() for spelling in (op.replace("_", ""), *others.split())}
_MEASURED = ("all_reduce", "all_gather", "reduce_scatter", "alltoall")
_WHOLE_MESSAGE = ("broadcast", "reduce", "send_recv")
"""Collectives that bring the whole message over one link, whatever the ranks: doc/PERFORMANCE.md of nccl-tests."""


def collective_name(text: str) -> str:
    """Return the collective that a source means: 'all_reduce' by AllReduce, 'alltoall' by all-to-all.

    Names of dispatch and combine stay as they are, in lower case. Raises CostcalcError for an unknown one.
    """
    plain = text.casefold().replace("-", "_").replace(" ", "_")
    if "dispatch" in plain or "combine" in plain:
        return plain
    squeezed = plain.replace("_", "").removeprefix("nccl").removeprefix("rccl").removesuffix("perf")
    if squeezed not in _NAMES:
        hint = did_you_mean(plain, _COLLECTIVES) or f"one of: {', '.join(_COLLECTIVES)}"
        raise CostcalcError(f"unknown collective {shown(text)}", hint=hint)
    return _NAMES[squeezed]


def describe_comm(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a collective."""
    op, ranks, message = collective_name(str(row["op"])), row["n_gpus"], row["bytes"]
    if "dispatch" in op or "combine" in op:
        return _describe_exchange(op, row, gpu)
    if message is None:
        raise CostcalcError("bytes is empty", hint="a collective needs the size of its message")
    if ranks < 2:
        raise CostcalcError("a collective needs at least 2 GPUs")
    fabric = fabric_of(row, gpu)
    crosses = ranks > fabric.domain
    switch = op == "all_reduce" and fabric.name == "" and not crosses
    in_switch = bool(reduces_in_switch(gpu.architecture, switch, ranks))
    sent = _sent(op, message, ranks, in_switch)
    link = sent / least_seconds(op, message, ranks, gpu, fabric.domain) if crosses else fabric.link
    custom, framework = "custom" in row["impl"].lower() and op == "all_reduce", backend_of(row)
    return "custom_all_reduce" if custom else "collective", {
        "collective": f"{op} in-switch" if in_switch else op,
        "fabric": fabric.name,
        "fabric_family": f"{fabric.name} {gpu.architecture}" if fabric.name == "shared-pcie" else "",
        "framework": framework,
        "limit": custom_all_reduce_limit(framework),
        "message": message,
        "sent": sent,
        "least_sent": min(sent, multicast_bytes(message, ranks)) if op == "all_reduce" else sent,
        "ranks": 2.0 if op == "send_recv" else ranks,
        "link": link,
        "shape": f"{op} {ranks:g}" + (f" {message:g}" if custom else ""),
        "caveat": fabric.caveat or ("" if op in _MEASURED else f"{op} was not measured"),
        "ignored": fabric.ignored,
    }


def _sent(op: str, message: float, ranks: float, in_switch: bool) -> float:
    """Bytes over each link, one way."""
    if op == "all_reduce":
        return float(multicast_bytes(message, ranks) if in_switch else all_reduce_bytes(message, ranks))
    return message if op in _WHOLE_MESSAGE else float(gathered_bytes(message, ranks))


def _describe_exchange(op: str, row: Row, gpu: Accelerator) -> Described:
    ranks, implementation = row["n_gpus"], row["impl"].lower()
    missing = [name for name in ("tokens", "hidden", "topk") if row[name] is None]
    if missing:
        raise CostcalcError(f"{missing[0]} is empty", hint="dispatch and combine need tokens, hidden and topk")
    if ranks < 2:
        raise CostcalcError("dispatch and combine need at least 2 GPUs")
    framework, fabric = backend_of(row), fabric_of(row, gpu)
    if "v2" in implementation:
        kernel = "v2"
    elif "ht" in implementation.replace("_", " ").split() or "high-throughput" in implementation:
        kernel = "high-throughput"
    else:
        kernel = "low-latency" if framework else "low-latency bare"
    width = 1.0 if "dispatch" in op else 2.0  # fp8 out, 16-bit back
    message = row["tokens"] * row["topk"] * row["hidden"] * width
    sent, crosses = gathered_bytes(message, ranks), ranks > fabric.domain
    return "expert_exchange", {
        "implementation": kernel,
        "framework": framework,
        "sent": sent,
        "least_sent": sent,
        "link": sent / least_seconds("alltoall", message, ranks, gpu, fabric.domain) if crosses else fabric.link,
        "shape": f"{row['tokens']:g} {row['hidden']:g}",
        "caveat": fabric.caveat,
        "ignored": fabric.ignored,
    }


def _collective(f: Features, curve: CollectiveCurve) -> Array:
    return np.asarray(collective(f["sent"], f["ranks"], f["link"], curve).seconds)


def _custom(f: Features, curve: CustomAllReduceCurve) -> Array:
    own = np.asarray(custom_all_reduce(f["message"], f["ranks"], f["link"], curve).seconds)
    library = f["needed_seconds"]
    return np.where(f["message"] > f["limit"], library, np.minimum(own, library))


def _exchange(f: Features, curve: ExchangeCurve) -> Array:
    return np.asarray(exchange(f["sent"], f["link"], curve).seconds)


def _bound(f: Features) -> Array:
    return np.asarray(f["least_sent"] / f["link"])


COMM = by_op(
    kernel_model("collective", "NCCL collectives", CollectiveCurve, _bound, _collective),
    kernel_model("custom_all_reduce", "custom all-reduce", CustomAllReduceCurve, _bound, _custom, needs="collective"),
    kernel_model("expert_exchange", "expert dispatch and combine", ExchangeCurve, _bound, _exchange),
)
"""Collectives by op, in the order in which they need each other."""
