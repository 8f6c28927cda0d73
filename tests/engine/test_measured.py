"""A machine that was measured scales the fitted constants by its own speed; no kernel outruns a copy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from costcalc.catalog.catalog import Catalog, load_gpu
from costcalc.catalog.check import validate
from costcalc.engine.efficiency import calibrated_efficiency
from costcalc.engine.roofline import machine_of
from costcalc.errors import CostcalcError
from costcalc.hardware.accelerator import MeasuredEfficiency

BASE = {"points": 40, "source": "own", "date": "2026-11-23"}


def efficiency_of(gpu: str, **measured):
    machine = load_gpu(gpu)
    own = validate(MeasuredEfficiency, {**BASE, **measured}) if measured else None
    machine = replace(machine, efficiency=own)
    return calibrated_efficiency(Catalog().serving_efficiency(), machine_of(machine), "vllm")


def test_nothing_measured_changes_nothing():
    assert load_gpu("h100").efficiency is None
    assert efficiency_of("h100") == efficiency_of("h100", bandwidth=1.0)


def test_speeds_scale_their_own_class_of_ops():
    typical = efficiency_of("h100")
    slow = efficiency_of("h100", weights={"share": 0.7, "speed": 0.8})
    for kind in ("gemm", "head", "experts"):
        assert slow.bandwidth[kind] == pytest.approx(0.8 * typical.bandwidth[kind])
    assert slow.bandwidth["grouped"] == typical.bandwidth["grouped"]
    slow = efficiency_of("h100", attention={"share": 0.7, "speed": 0.8})
    assert slow.bandwidth["latent"] == pytest.approx(0.8 * typical.bandwidth["latent"])
    assert slow.bandwidth["gemm"] == typical.bandwidth["gemm"]


def test_kernels_that_were_measured_themselves_are_scaled_by_that():
    typical = efficiency_of("h100")
    slow = efficiency_of("h100", experts={"share": 0.2, "speed": 0.5})
    assert slow.bandwidth["experts"] == pytest.approx(0.5 * typical.bandwidth["experts"])
    assert slow.kind_flops["experts"] == pytest.approx(0.5 * typical.kind_flops["experts"])
    assert slow.bandwidth["gemm"] == typical.bandwidth["gemm"] and slow.flops == typical.flops
    slow = efficiency_of("h100", prefill={"share": 0.3, "speed": 0.5})
    assert slow.kind_flops["prefill"] == pytest.approx(0.5 * typical.kind_flops["prefill"])
    assert slow.kind_flops["grouped"] == typical.kind_flops["grouped"]
    slow = efficiency_of("h100", attention={"share": 0.3, "speed": 0.5})
    for kind in ("grouped", "latent"):
        assert slow.kind_flops[kind] == pytest.approx(0.5 * typical.kind_flops[kind])


def test_the_rate_of_experts_is_of_that_of_products_which_counts_once():
    typical = efficiency_of("h100")
    both = efficiency_of(
        "h100", experts={"share": 0.2, "speed": 0.5}, flops={"bf16": {"share": 0.5, "speed": 0.8}}
    )  # fmt: skip
    before, after = (each.flops["bf16"] * each.kind_flops["experts"] for each in (typical, both))
    assert after == pytest.approx(0.5 * before)


def test_links_and_latency_are_apart():
    typical = efficiency_of("h100")
    slow = efficiency_of("h100", links={"share": 0.4, "speed": 0.5})
    assert slow.link == pytest.approx(0.5 * typical.link)
    assert slow.all_reduce_seconds == typical.all_reduce_seconds
    slow = efficiency_of("h100", latency=0.5)
    for name in ("all_reduce_seconds", "all_reduce_log_seconds", "all_to_all_seconds"):
        assert getattr(slow, name) == pytest.approx(2 * getattr(typical, name))
    assert slow.link == typical.link


@pytest.mark.parametrize("name", ["weights", "experts", "attention", "prefill", "links"])
def test_no_share_is_above_the_data_sheet(name):
    fast = efficiency_of("h100", **{name: {"share": 1, "speed": 10}}, flops={"bf16": {"share": 1, "speed": 10}})
    shares = [*fast.bandwidth.values(), *fast.flops.values(), *fast.kind_flops.values(), fast.link]
    assert max(shares) <= 1


def test_no_kernel_outruns_a_copy():
    capped = efficiency_of("h100", bandwidth=0.5, weights={"share": 0.9, "speed": 1.1})
    assert max(capped.bandwidth.values()) == 0.5


def test_precisions_scale_the_formats_that_compute_in_them():
    typical = efficiency_of("h100")
    found = efficiency_of("h100", flops={"fp8": {"share": 0.5, "speed": 0.5}})
    assert found.flops["fp8_block"] == pytest.approx(0.5 * typical.flops["fp8_block"])
    # Weights of 4 bits are multiplied in 16, which was not measured.
    assert found.flops["weight_only"] == typical.flops["weight_only"] and found.flops["bf16"] == typical.flops["bf16"]
    # 16-bit formats run at one rate.
    found = efficiency_of("h100", flops={"bf16": {"share": 0.5, "speed": 0.5}})
    assert found.flops["fp16"] == pytest.approx(0.5 * typical.flops["fp16"])


def test_a_measured_speed_stands_for_that_of_the_vendor():
    # Fitted on AMD's machines as a whole; this one was measured as fast as expected of any.
    typical, measured = efficiency_of("mi300x"), efficiency_of("mi300x", weights={"share": 0.8, "speed": 1.0})
    assert typical.bandwidth["gemm"] < measured.bandwidth["gemm"] == efficiency_of("h100").bandwidth["gemm"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"flops": {"fp9": {"share": 0.5, "speed": 1}}}, "flops: unknown precision 'fp9'"),
        ({"bandwidth": 1.2}, "bandwidth: must be at most 1"),
        ({"weight": {"share": 0.5, "speed": 1}}, "weight: unknown key; did you mean 'weights'"),
    ],
)
def test_wrong_entries_are_refused(wrong, message):
    with pytest.raises(CostcalcError, match=message):
        validate(MeasuredEfficiency, {**BASE, **wrong})
