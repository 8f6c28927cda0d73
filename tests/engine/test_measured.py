"""A machine that was measured scales the fitted constants by its own speed; no kernel outruns a copy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from costcalc.catalog.catalog import Catalog, load_gpu
from costcalc.catalog.check import validate
from costcalc.engine.efficiency import calibrated_efficiency
from costcalc.engine.kernels import AllReduceCurve
from costcalc.engine.op_times import IDEAL, Efficiency, kernel_timing, op_time
from costcalc.engine.ops import Kind, Op
from costcalc.engine.roofline import machine_of
from costcalc.errors import CostcalcError
from costcalc.hardware.accelerator import MeasuredEfficiency

BASE = {"points": 40, "source": "own", "date": "2026-11-23"}
KINDS: tuple[Kind, ...] = (
    "gemm", "head", "experts", "grouped", "latent", "recurrent", "indexer", "prefill", "all_reduce", "all_to_all",
)  # fmt: skip


def efficiency_of(gpu: str, **measured: Any) -> Efficiency:
    machine = load_gpu(gpu)
    own = validate(MeasuredEfficiency, {**BASE, **measured}) if measured else None
    machine = replace(machine, efficiency=own)
    return calibrated_efficiency(Catalog().serving_efficiency(), machine_of(machine), "vllm", tuned=True)


def curve(efficiency: Efficiency, kind: Kind, precision: str = "bf16", weights: str = "") -> Any:
    found = efficiency.curve(Op(kind, kind, 1, 1.0, 1.0, precision=precision, weights=weights or precision))
    return found.library if isinstance(found, AllReduceCurve) else found


def test_nothing_measured_changes_nothing() -> None:
    assert load_gpu("h100").efficiency is None
    typical, measured = efficiency_of("h100"), efficiency_of("h100", bandwidth=1.0)
    machine = machine_of(load_gpu("h100"))
    for kind in KINDS:
        op = Op(kind, kind, 1, 1e12, 1e9, ranks=8, rows=64, routed=64, scores=1e6)
        assert op_time(op, machine, typical) == op_time(op, machine, measured)
    assert replace(measured, curve=typical.curve) == typical


def test_speeds_scale_their_own_class_of_ops() -> None:
    typical = efficiency_of("h100")
    slow = efficiency_of("h100", weights={"share": 0.7, "speed": 0.8})
    for kind in ("gemm", "head", "experts"):
        assert curve(slow, kind).bandwidth == pytest.approx(0.8 * curve(typical, kind).bandwidth)
    assert curve(slow, "grouped").bandwidth == curve(typical, "grouped").bandwidth
    slow = efficiency_of("h100", attention={"share": 0.7, "speed": 0.8})
    assert curve(slow, "latent").bandwidth == pytest.approx(0.8 * curve(typical, "latent").bandwidth)
    assert curve(slow, "gemm").bandwidth == curve(typical, "gemm").bandwidth


def test_kernels_that_were_measured_themselves_are_scaled_by_that() -> None:
    typical = efficiency_of("h100")
    slow = efficiency_of("h100", experts={"share": 0.2, "speed": 0.5})
    assert curve(slow, "experts").bandwidth == pytest.approx(0.5 * curve(typical, "experts").bandwidth)
    assert curve(slow, "experts").flops == pytest.approx(0.5 * curve(typical, "experts").flops)
    assert curve(slow, "gemm") == curve(typical, "gemm")
    slow = efficiency_of("h100", prefill={"share": 0.3, "speed": 0.5})
    assert curve(slow, "prefill").flops == pytest.approx(0.5 * curve(typical, "prefill").flops)
    assert curve(slow, "grouped") == curve(typical, "grouped")
    slow = efficiency_of("h100", attention={"share": 0.3, "speed": 0.5})
    for kind in ("grouped", "latent"):
        assert curve(slow, kind).flops == pytest.approx(0.5 * curve(typical, kind).flops)


def test_the_rate_of_experts_that_were_measured_is_their_own() -> None:
    typical = efficiency_of("h100")
    both = efficiency_of(
        "h100", experts={"share": 0.2, "speed": 0.5}, flops={"bf16": {"share": 0.5, "speed": 0.8}}
    )  # fmt: skip
    assert curve(both, "experts").flops == pytest.approx(0.5 * curve(typical, "experts").flops)
    assert curve(both, "gemm").flops == pytest.approx(0.8 * curve(typical, "gemm").flops)


def test_links_and_latency_are_apart() -> None:
    typical = efficiency_of("h100")
    slow = efficiency_of("h100", links={"share": 0.4, "speed": 0.5})
    for kind in ("all_reduce", "all_to_all"):
        assert curve(slow, kind).link == pytest.approx(0.5 * curve(typical, kind).link)
        assert curve(slow, kind).latency == curve(typical, kind).latency
    assert slow.link < typical.link
    slow = efficiency_of("h100", latency=0.5)
    for kind in ("all_reduce", "all_to_all"):
        assert curve(slow, kind).latency == pytest.approx(2 * curve(typical, kind).latency)
        assert curve(slow, kind).link == curve(typical, kind).link
    assert slow.link == typical.link


@pytest.mark.parametrize("name", ["weights", "experts", "attention", "prefill", "links"])
def test_no_time_beats_the_data_sheet(name: str) -> None:
    fast = efficiency_of("h100", **{name: {"share": 1, "speed": 10}}, flops={"bf16": {"share": 1, "speed": 10}})
    machine = machine_of(load_gpu("h100"))
    for kind in KINDS:
        op = Op(kind, kind, 1, 1e12, 1e9, ranks=8, rows=1e6, routed=1e6, sequences=1, heads=1, tokens=1, scores=1)
        assert all(float(term.share) <= 1 for term in kernel_timing(op, machine, fast).terms)
        assert op_time(op, machine, fast).seconds >= op_time(op, machine, IDEAL).seconds
    assert fast.link <= 1


def test_no_kernel_outruns_a_copy() -> None:
    capped = efficiency_of("h100", bandwidth=0.5, weights={"share": 0.9, "speed": 1.1})
    assert max(curve(capped, kind).bandwidth for kind in KINDS if hasattr(curve(capped, kind), "bandwidth")) == 0.5
    assert capped.elementwise == 0.5


def test_precisions_scale_the_formats_that_compute_in_them() -> None:
    typical = efficiency_of("h100")
    found = efficiency_of("h100", flops={"fp8": {"share": 0.5, "speed": 0.5}})
    of_blocks = "gemm", "fp8", "fp8_block"
    assert curve(found, *of_blocks).flops == pytest.approx(0.5 * curve(typical, *of_blocks).flops)
    # Weights of 4 bits are multiplied in 16, which was not measured.
    assert curve(found, "gemm", "bf16", "int4") == curve(typical, "gemm", "bf16", "int4")
    assert curve(found, "gemm") == curve(typical, "gemm")
    # 16-bit formats run at one rate.
    found = efficiency_of("h100", flops={"bf16": {"share": 0.5, "speed": 0.5}})
    assert curve(found, "gemm", "fp16").flops == pytest.approx(0.5 * curve(typical, "gemm", "fp16").flops)


def test_a_measured_speed_stands_for_that_of_the_vendor() -> None:
    # Fitted on AMD's machines as a whole; this one was measured as fast as expected of any.
    vendor = Catalog().serving_efficiency().vendor_bandwidth["amd"]
    typical, measured = efficiency_of("mi300x"), efficiency_of("mi300x", weights={"share": 0.8, "speed": 1.0})
    assert curve(typical, "gemm").bandwidth == pytest.approx(vendor * curve(measured, "gemm").bandwidth)
    assert vendor != 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flops": {"fp9": {"share": 0.5, "speed": 1}}}, "flops: unknown precision 'fp9'"),
        ({"bandwidth": 1.2}, "bandwidth: must be at most 1"),
        ({"weight": {"share": 0.5, "speed": 1}}, "weight: unknown key; did you mean 'weights'"),
    ],
)
def test_wrong_entries_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(CostcalcError, match=message):
        validate(MeasuredEfficiency, {**BASE, **wrong})
