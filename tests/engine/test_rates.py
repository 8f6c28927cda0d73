"""Rates of products by what their weights are multiplied in, against the kernels that were measured."""

from __future__ import annotations

import pytest

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.engine.latency.efficiency import calibrated_efficiency
from costcalc.engine.latency.kernels import ExpertsCurve
from costcalc.engine.ops import Op
from costcalc.engine.roofline import machine_of

UNPACKED = Op("routed experts", "experts", 1, 1.0, 1.0, precision="bf16", weights="mxfp4")


def experts_of(op: Op, backend: str = "vllm") -> ExpertsCurve:
    h200 = machine_of(costcalc.load_gpu("h200"))
    curve = calibrated_efficiency(Catalog().serving_efficiency(), h200, backend, tuned=True).curve(op)
    assert isinstance(curve, ExpertsCurve)
    return curve


def test_unpacked_experts_run_as_fast_as_their_own_kernels_were_measured() -> None:
    # Marlin and Triton, which unpack 4-bit weights to 16 bits, reach less of the peak than CUTLASS (moe.csv).
    fit, speed = Catalog().kernel_efficiency().experts, Catalog().serving_efficiency().speed["experts"]

    def measured(kernel: str, of: str) -> float:
        factors = (
            fit.multipliers["kernel"][kernel]["flops"] * fit.multipliers["kernel_format"][f"{kernel} {of}"]["flops"]
        )
        return fit.parameters.flops * factors * speed

    assert experts_of(UNPACKED).flops == pytest.approx(measured("triton", "weight-only"))
    assert experts_of(UNPACKED._replace(weights="int4")).flops == pytest.approx(measured("marlin", "weight-only"))
    cutlass = experts_of(UNPACKED._replace(weights="fp8", precision="fp8"), "trtllm").flops
    assert cutlass == pytest.approx(measured("cutlass", "fp8"))
    assert experts_of(UNPACKED).flops < experts_of(UNPACKED._replace(weights="int4")).flops < cutlass


def test_unpacking_to_16_bits_is_slower_than_16_bits() -> None:
    assert experts_of(UNPACKED).flops < experts_of(UNPACKED._replace(weights="bf16")).flops
