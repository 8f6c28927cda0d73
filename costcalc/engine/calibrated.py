"""The calibrated efficiency of a machine under a serving engine, from the constants kept as data."""

from __future__ import annotations

from costcalc.engine.machine import Machine
from costcalc.engine.timing import Efficiency
from costcalc.specs.serving import ServingEfficiency


def calibrated_efficiency(constants: ServingEfficiency, machine: Machine, backend: str) -> Efficiency:
    """Efficiency of `machine` under `backend`, one of `constants.backends`."""
    engine = constants.backends[backend]
    vendor = constants.vendor_bandwidth.get(machine.vendor, 1.0)
    return Efficiency(
        norm=constants.norm,
        bandwidth={kind: share * vendor for kind, share in constants.bandwidth.items()},
        flops=constants.flops,
        kind_flops=constants.kind_flops,
        layer_seconds=engine.layer,
        expert_layer_seconds=constants.expert_layer,
        latent_layer_seconds=constants.latent_layer,
        sequence_seconds=constants.sequence,
        elementwise_passes=constants.elementwise_passes,
        routed_seconds=constants.routed_pair,
        all_reduce_seconds=constants.all_reduce,
        all_reduce_log_seconds=constants.all_reduce_per_doubling,
        all_to_all_seconds=constants.all_to_all,
        link=constants.link,
        overlap=constants.overlap,
        prefill_layer_seconds=constants.prefill_layer,
        prefill_expert_layer_seconds=engine.prefill_expert_layer,
    )
