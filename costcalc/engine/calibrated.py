"""The calibrated efficiency of a machine under a serving engine, from the constants kept as data."""

from __future__ import annotations

from costcalc.engine.machine import Machine
from costcalc.engine.measured import compute_share, computed_in, memory_share
from costcalc.engine.timing import Efficiency
from costcalc.specs.serving import ServingEfficiency


def calibrated_efficiency(constants: ServingEfficiency, machine: Machine, backend: str) -> Efficiency:
    """Efficiency of `machine` under `backend`, one of `constants.backends`."""
    engine = constants.backends[backend]
    memory = constants.vendor_bandwidth.get(machine.vendor, 1.0)
    compute = constants.vendor_flops.get(machine.vendor, 1.0)
    formats = constants.architecture_flops.get(machine.architecture, {})
    relative = ("experts",)  # kinds whose share is of the GEMM's rate, which is the vendor's already
    return Efficiency(
        norms=constants.norms,
        bandwidth={
            kind: memory_share(kind, share, memory, machine.measured) for kind, share in constants.bandwidth.items()
        },
        flops={
            name: compute_share(computed_in(name), share * formats.get(name, 1.0), compute, machine.measured)
            for name, share in constants.flops.items()
        },
        kind_flops={
            kind: share if kind in relative else compute_share("bf16", share, compute, machine.measured)
            for kind, share in constants.kind_flops.items()
        },
        padded_tiles=True,
        padding_rows=constants.padding_rows,
        hottest_rank=constants.hottest_rank,
        quantize_seconds=constants.quantize,
        layer_seconds=engine.layer,
        expert_layer_seconds=constants.expert_layer,
        latent_layer_seconds=constants.latent_layer,
        sequence_seconds=constants.sequence,
        elementwise_passes=constants.elementwise_passes,
        routed_seconds=constants.routed_pair,
        all_reduce_seconds=constants.all_reduce,
        all_reduce_log_seconds=constants.all_reduce_per_doubling,
        all_reduce_network_seconds=constants.all_reduce_network,
        all_to_all_seconds=constants.all_to_all,
        all_to_all_network_seconds=constants.all_to_all_network,
        link=constants.link,
        shared_link=constants.shared_pcie.get(machine.architecture, constants.shared_pcie["other"]),
        overlap=constants.overlap,
        prefill_layer_seconds=constants.prefill_layer,
        prefill_expert_layer_seconds=constants.prefill_expert_layer,
    )
