"""The calibrated efficiency of a machine under a serving engine, from the constants kept as data."""

from __future__ import annotations

from costcalc.engine.machine import Machine
from costcalc.engine.measured import (
    compute_share,
    computed_in,
    kind_share,
    latency_seconds,
    link_share,
    memory_share,
)
from costcalc.engine.timing import Efficiency
from costcalc.specs.serving import ServingEfficiency


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
