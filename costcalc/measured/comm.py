"""Collectives of measurement files: NCCL's, the serving engines' own all-reduce, expert dispatch and combine."""

from __future__ import annotations

import numpy as np

from costcalc.engine.collectives import all_reduce_bytes, multicast_bytes, reduces_in_switch
from costcalc.engine.kernels import (
    CollectiveCurve,
    CustomAllReduceCurve,
    ExchangeCurve,
    collective_seconds,
    custom_all_reduce_seconds,
    exchange_seconds,
    gathered_bytes,
)
from costcalc.errors import CostcalcError
from costcalc.measured.load import Row
from costcalc.measured.model import Array, Features, KernelModel, Level, Prior
from costcalc.measured.rows import Described, backend_of
from costcalc.specs.accelerator import Accelerator

BRIDGE = 300e9
"""One direction of the NVLink bridge that joins two PCIe cards [B/s]."""
CUSTOM_LIMIT = 4e6
"""Message [B] above which TensorRT-LLM and vLLM leave an all-reduce to NCCL."""
_COLLECTIVES = ("all_reduce", "all_gather", "reduce_scatter", "alltoall")


def describe_comm(row: Row, gpu: Accelerator) -> Described:
    """Name the kernel and the features of a collective."""
    op, ranks = str(row["op"]), row["n_gpus"]
    if op.startswith("moe"):
        return _describe_exchange(row, gpu)
    if op not in _COLLECTIVES:
        raise CostcalcError(f"unknown collective {op!r}", hint=f"one of: {', '.join(_COLLECTIVES)}")
    if row["bytes"] is None:
        raise CostcalcError("bytes is empty", hint="a collective needs the size of its message")
    if ranks < 2:
        raise CostcalcError("a collective needs at least 2 GPUs")
    link, fabric = _link(row, gpu)
    switch = op == "all_reduce" and fabric == ""
    in_switch = bool(reduces_in_switch(gpu.architecture, switch, ranks))
    message = row["bytes"]
    if op == "all_reduce":
        sent = multicast_bytes(message, ranks) if in_switch else all_reduce_bytes(message, ranks)
    else:
        sent = gathered_bytes(message, ranks)
    custom = "custom" in row["impl"]
    return "custom_all_reduce" if custom else "collective", {
        "collective": f"{op} in-switch" if in_switch else op,
        "fabric": fabric,
        "fabric_family": f"{fabric} {gpu.architecture}" if fabric == "shared-pcie" else "",
        "framework": backend_of(row),
        "message": message,
        "sent": sent,
        "least_sent": min(sent, multicast_bytes(message, ranks)) if op == "all_reduce" else sent,
        "ranks": ranks,
        "link": link,
        "shape": f"{op} {ranks:g}" + (f" {message:g}" if custom else ""),
    }


def _link(row: Row, gpu: Accelerator) -> tuple[float, str]:
    """Bandwidth between the ranks [B/s], and the fabric where it is not a switch."""
    ranks = row["n_gpus"]
    if "pairwise" in row["fabric"]:
        if ranks <= 2:
            return BRIDGE, ""
        if gpu.host_link is None:
            raise CostcalcError(f"{gpu.name} has no known host link", hint="set host_link.bandwidth")
        return gpu.host_link.bandwidth, "bridged"
    link = float(np.asarray(gpu.link_bandwidth(ranks)))
    over_pcie = gpu.scale_up is not None and gpu.scale_up.technology.upper().startswith("PCIE")
    return link, "shared-pcie" if over_pcie and ranks > 2 else ""


def _describe_exchange(row: Row, gpu: Accelerator) -> Described:
    ranks, implementation = row["n_gpus"], row["impl"].lower()
    missing = [name for name in ("tokens", "hidden", "topk") if row[name] is None]
    if missing:
        raise CostcalcError(f"{missing[0]} is empty", hint="dispatch and combine need tokens, hidden and topk")
    framework = backend_of(row)
    if "v2" in implementation:
        kernel = "v2"
    elif "ht" in implementation.replace("_", " ").split() or "high-throughput" in implementation:
        kernel = "high-throughput"
    else:
        kernel = "low-latency" if framework else "low-latency bare"
    width = 1.0 if "dispatch" in row["op"] else 2.0  # fp8 out, 16-bit back
    sent = gathered_bytes(row["tokens"] * row["topk"] * row["hidden"] * width, ranks)
    return "expert_exchange", {
        "implementation": kernel,
        "framework": framework,
        "sent": sent,
        "least_sent": sent,
        "link": float(np.asarray(gpu.link_bandwidth(ranks))),
        "shape": f"{row['tokens']:g} {row['hidden']:g}",
    }


def _collective(f: Features, curve: CollectiveCurve) -> Array:
    return np.asarray(collective_seconds(f["sent"], f["ranks"], f["link"], curve))


def _custom(f: Features, curve: CustomAllReduceCurve) -> Array:
    own = custom_all_reduce_seconds(f["message"], f["ranks"], f["link"], curve)
    library = f["needed_seconds"]
    left_to_library = (f["message"] > CUSTOM_LIMIT) & (f["framework"] != "sglang")
    return np.where(left_to_library, library, np.minimum(own, library))


def _exchange(f: Features, curve: ExchangeCurve) -> Array:
    return np.asarray(exchange_seconds(f["sent"], f["link"], curve))


def _bound(f: Features) -> Array:
    return np.asarray(f["least_sent"] / f["link"])


COMM = {
    "collective": KernelModel(
        "collective",
        "NCCL collectives",
        CollectiveCurve,
        priors={
            "latency": Prior(9.5e-6, 0.5),
            "link": Prior(0.8, 0.2),
            "rank_growth": Prior(0.05, 0.7),
        },
        levels=(
            Level("collective", "latency", 0.3),
            Level("collective", "link", 0.15),
            Level("family", "latency", 0.2),
            Level("family", "link", 0.2),
            Level("fabric", "link", 1.0),
            Level("fabric_family", "link", 0.7),
        ),
        seconds=_collective,
        bound=_bound,
    ),
    "custom_all_reduce": KernelModel(
        "custom_all_reduce",
        "custom all-reduce",
        CustomAllReduceCurve,
        priors={
            "latency": Prior(4.6e-6, 0.4),
            "link": Prior(0.6, 0.2),
            "doubling_growth": Prior(0.15, 0.3),
            "two_shot": Prior(1.8, 0.2),
        },
        levels=(Level("framework", "latency", 0.25), Level("family", "latency", 0.3)),
        seconds=_custom,
        bound=_bound,
        needs="collective",
    ),
    "expert_exchange": KernelModel(
        "expert_exchange",
        "expert dispatch and combine",
        ExchangeCurve,
        priors={"latency": Prior(57e-6, 0.4), "link": Prior(0.5, 0.4)},
        levels=(
            Level("implementation", "latency", 0.8),
            Level("framework", "latency", 0.2),
            Level("family", "latency", 0.2),
        ),
        seconds=_exchange,
        bound=_bound,
    ),
}
"""Collectives by op, in the order in which they need each other."""
