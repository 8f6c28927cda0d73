"""Rates of GEMMs by what their weights are multiplied in, against the kernels that were measured."""

from __future__ import annotations

from dataclasses import replace

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.engine.efficiency import calibrated_efficiency
from costcalc.engine.latency import flop_share
from costcalc.engine.ops import Op
from costcalc.engine.roofline import machine_of


def test_unpacked_experts_run_as_fast_as_their_own_kernels_were_measured() -> None:
    # Marlin and Triton, which unpack 4-bit weights to 16 bits, reach less of the peak than CUTLASS (moe.csv).
    kernels = Catalog().kernel_efficiency().experts
    marlin, triton, cutlass = (
        kernels.parameters.flops * kernels.multipliers["kernel"][name]["flops"]
        for name in ("marlin", "triton", "cutlass")
    )
    h200 = machine_of(costcalc.load_gpu("h200"))
    efficiency = calibrated_efficiency(Catalog().serving_efficiency(), h200, "vllm")
    unpacked = Op("routed experts", "experts", 1, 1.0, 1.0, precision="bf16", weights="mxfp4")
    assert triton < flop_share(unpacked, efficiency) < marlin < cutlass
    assert flop_share(unpacked, efficiency) < flop_share(replace(unpacked, weights="bf16"), efficiency)
