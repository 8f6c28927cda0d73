"""Rates of products by what their weights are multiplied in, against the kernels that were measured."""

from __future__ import annotations

from dataclasses import replace

import pytest

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.engine.efficiency import calibrated_efficiency
from costcalc.engine.kernels import ExpertsCurve, GemmCurve
from costcalc.engine.op_times import Efficiency
from costcalc.engine.ops import Op
from costcalc.engine.roofline import machine_of

UNPACKED = Op("routed experts", "experts", 1, 1.0, 1.0, precision="bf16", weights="mxfp4")


def efficiency_of(gpu: str, backend: str) -> Efficiency:
    return calibrated_efficiency(Catalog().serving_efficiency(), machine_of(costcalc.load_gpu(gpu)), backend)


def experts_curve(efficiency: Efficiency, op: Op) -> ExpertsCurve:
    curve = efficiency.curve(op)
    assert isinstance(curve, ExpertsCurve)
    return curve


def test_experts_run_as_fast_as_their_own_kernels_were_measured() -> None:
    # moe.csv: vLLM multiplies 4-bit weights by Triton's kernel on an H200, int4 by Marlin's, fp8 by CUTLASS's.
    constants = Catalog().serving_efficiency()
    kernels, h200 = constants.kernels.experts, efficiency_of("h200", "vllm")
    cases = {"triton": ("mxfp4", "bf16"), "marlin": ("int4", "bf16"), "cutlass": ("fp8", "fp8")}
    for kernel, (weights, precision) in cases.items():
        name = {"bf16": "weight-only", "fp8": "fp8"}[precision]
        expected = kernels.parameters.flops * constants.speed["experts"]
        for level, member in (("family", "hopper"), ("kernel", kernel), ("kernel_format", f"{kernel} {name}")):
            expected *= kernels.multipliers[level].get(member, {}).get("flops", 1.0)
        found = experts_curve(h200, replace(UNPACKED, weights=weights, precision=precision))
        assert found.flops == pytest.approx(expected), kernel


def test_kernels_that_unpack_reach_less_of_the_peak() -> None:
    h200 = efficiency_of("h200", "vllm")
    unpacked, whole = (experts_curve(h200, replace(UNPACKED, weights=name)).flops for name in ("mxfp4", "bf16"))
    assert unpacked < whole <= 1


@pytest.mark.parametrize("backend", ["trtllm", "vllm", "sglang"])
def test_products_of_16_bits_reach_more_of_their_peak_than_those_of_8(backend: str) -> None:
    constants = Catalog().serving_efficiency()
    shares = []
    for precision in ("bf16", "fp8"):
        curve = efficiency_of("h200", backend).curve(
            Op("p", "gemm", 1, 1.0, 1.0, precision=precision, weights=precision)
        )
        assert isinstance(curve, GemmCurve)
        bits = "16" if precision == "bf16" else "8"
        shares.append(float(curve.flops) / constants.speed[f"gemm_{bits}_bit"])
    assert shares[0] > shares[1]
