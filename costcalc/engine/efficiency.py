"""What a machine under a serving engine reaches of the peaks, from the constants kept as data."""

from __future__ import annotations

import math

from costcalc.engine.latency import Efficiency
from costcalc.engine.roofline import Machine
from costcalc.formats import WEIGHT_FORMATS
from costcalc.hardware.accelerator import MeasuredEfficiency, Reached
from costcalc.hardware.efficiency import ServingEfficiency

_WEIGHTS = ("gemm", "head", "experts")
_ATTENTION = ("grouped", "latent", "indexer")
_ALIKE = {"bf16": "fp16", "fp16": "bf16"}


def memory_share(kind: str, share: float, vendor: float, measured: MeasuredEfficiency | None) -> float:
    """Share of memory bandwidth that a kind of op reaches: the fitted one times the machine's own speed.

    kind: of op. share: as fitted, of a typical machine. vendor: speed of its vendor's machines, where it was not
    measured itself. Never above what a copy reached: no kernel moves bytes faster.
    """
    if measured is None:
        return share * vendor
    found = _own(kind, measured) or (measured.weights if kind in _WEIGHTS else None)
    return min(share * (found.speed if found else vendor), measured.bandwidth or 1.0)


def compute_share(precision: str, share: float, vendor: float, measured: MeasuredEfficiency | None) -> float:
    """Share of the dense peak of `precision` that is reached: the fitted one times the machine's own speed.

    precision: computed in. share: as fitted. vendor: speed of its vendor's machines, where it was not measured.
    """
    flops = measured.flops if measured else {}
    found = flops.get(precision) or flops.get(_ALIKE.get(precision, ""))
    return min(share * (found.speed if found else vendor), 1.0)


def kind_share(kind: str, share: float, vendor: float, measured: MeasuredEfficiency | None) -> float:
    """Share of the 16-bit peak that a kind of op reaches; of experts, of the rate of the machine's products.

    kind: of op. share: as fitted. vendor: speed of its vendor's machines, where the kind was not measured.
    """
    found = _own(kind, measured) if measured else None
    if kind == "experts":
        return min(share * found.speed / _products_speed(vendor, measured), 1.0) if found else share
    return min(share * found.speed, 1.0) if found else compute_share("bf16", share, vendor, measured)


def link_share(share: float, measured: MeasuredEfficiency | None) -> float:
    """Share of the links' bandwidth that is reached: the fitted one times the machine's own speed."""
    return min(share * measured.links.speed, 1.0) if measured and measured.links else share


def latency_seconds(fitted: float, measured: MeasuredEfficiency | None) -> float:
    """Latency between GPUs: the fitted one over the machine's own speed [s]."""
    return fitted / measured.latency if measured and measured.latency else fitted


def _own(kind: str, measured: MeasuredEfficiency) -> Reached | None:
    """What was measured of a kind of op itself."""
    if kind in _ATTENTION:
        return measured.attention
    experts = measured.experts
    return {"experts": experts, "experts_unpacked": experts, "prefill": measured.prefill}.get(kind)


def _products_speed(vendor: float, measured: MeasuredEfficiency | None) -> float:
    """How much the rate that experts' share is of is scaled already: over all measured precisions."""
    speeds = [found.speed for found in measured.flops.values()] if measured else []
    return math.prod(speeds) ** (1 / len(speeds)) if speeds else vendor


def computed_in(weights: str) -> str:
    """The precision that weights of a format, or those that are unpacked ('weight_only'), are multiplied in."""
    if weights == "weight_only":
        return "bf16"
    return WEIGHT_FORMATS[weights].activations if weights in WEIGHT_FORMATS else weights


# The calibrated efficiency of a machine under a serving engine, from the constants kept as data.


def calibrated_efficiency(constants: ServingEfficiency, machine: Machine, backend: str) -> Efficiency:
    """Efficiency of `machine` under `backend`, one of `constants.engines`."""
    engine = constants.engine(backend)
    memory = constants.vendor_bandwidth.get(machine.vendor, 1.0)
    compute = constants.vendor_flops.get(machine.vendor, 1.0)
    formats = constants.architecture_flops.get(machine.architecture, {})
    measured = machine.measured
    return Efficiency(
        norms=constants.norms,
        bandwidth={kind: memory_share(kind, share, memory, measured) for kind, share in constants.bandwidth.items()},
        flops={
            name: compute_share(computed_in(name), share * formats.get(name, 1.0), compute, measured)
            for name, share in constants.flops.items()
        },
        kind_flops={kind: kind_share(kind, share, compute, measured) for kind, share in constants.kind_flops.items()},
        tile_rows=engine.tile_rows,
        expert_tiles=constants.expert_tiles,
        hottest_rank=constants.hottest_rank,
        quantize_seconds=constants.quantize,
        layer_seconds=engine.layer,
        expert_layer_seconds=constants.expert_layer,
        latent_layer_seconds=constants.latent_layer,
        draft_seconds=constants.draft,
        sequence_seconds=constants.sequence,
        elementwise_passes=constants.elementwise_passes,
        routed_seconds=constants.routed_pair,
        all_reduce_seconds=latency_seconds(constants.all_reduce, measured),
        all_reduce_log_seconds=latency_seconds(constants.all_reduce_per_doubling, measured),
        all_reduce_network_seconds=constants.all_reduce_network,
        all_to_all_seconds=latency_seconds(constants.all_to_all, measured),
        all_to_all_network_seconds=constants.all_to_all_network,
        link=link_share(constants.link, measured),
        shared_link=constants.shared_pcie.get(machine.architecture, constants.shared_pcie["other"]),
        overlap=constants.overlap,
        prefill_layer_seconds=constants.prefill_layer,
        prefill_expert_layer_seconds=constants.prefill_expert_layer,
    )
