"""Kernels measured on a machine: estimates time its ops by them, and by what is usual of its vendor no longer."""

from __future__ import annotations

import pytest

from costcalc.catalog.catalog import Catalog, load_gpu
from costcalc.engine.latency.collectives import AllReduceCurve
from costcalc.engine.latency.efficiency import calibrated_efficiency
from costcalc.engine.latency.op_times import IDEAL, op_time
from costcalc.engine.ops import Op
from costcalc.engine.roofline import machine_of
from costcalc.hardware.efficiency import FitError, FitRecord, MachineFit, Quantiles, Ranges
from costcalc.validation.files import shipped_measurements
from costcalc.validation.serving.rows import serving_groups
from costcalc.validation.serving.score import resolve, score_serving

GEMM = Op("dense FFN", "gemm", 1.0, 2e12, 2e9, weights="bf16", rows=500)
OPS = (
    GEMM,
    Op("attention core", "grouped", 1.0, 1e12, 1e9, weights="bf16", group=8),
    Op("attention core", "latent", 1.0, 1e12, 1e9, weights="bf16"),
    Op("attention core", "prefill", 1.0, 1e12, 1e8, scores=1e9, heads=32, sequences=1, tokens=4096),
    Op("routed experts", "experts", 1.0, 1e12, 1e10, weights="bf16", rows=64, routed=512, held=8),
    Op("all-reduce", "all_reduce", 1.0, 0.0, 1e8, ranks=4),
    Op("all-to-all", "all_to_all", 1.0, 0.0, 1e8, ranks=8),
)
NAMES = {
    "gemm": "gemm", "grouped": "decode_grouped", "latent": "decode_latent", "prefill": "prefill",
    "experts": "experts", "all_reduce": "collective", "all_to_all": "expert_exchange",
}  # fmt: skip


def fit(**factors):
    error, quantiles = FitError(median_ape=0.1, mape=0.1, bias=0.0), Quantiles(low=0.8, high=1.2)
    record = FitRecord(
        points=3, gpus=("h100-sxm",), source="own", date="2026-11-27", in_sample=error, gpu_left_out=error,
        shape_left_out=error, ranges=Ranges(known=quantiles, unseen=quantiles),
    )  # fmt: skip
    return MachineFit(factors=factors, fit=record)


def efficiency_of(gpu, machines=None, backend="vllm"):
    return calibrated_efficiency(Catalog().serving_efficiency(machines), machine_of(load_gpu(gpu)), backend)


def seconds(op, gpu, machines=None):
    return float(op_time(op, machine_of(load_gpu(gpu)), efficiency_of(gpu, machines)).seconds)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.kind)
def test_a_factor_is_of_its_op_and_its_gpu_alone(op):
    share = "link" if op.kind in ("all_reduce", "all_to_all") else "flops"
    machines = {"h100-sxm": {NAMES[op.kind]: fit(**{share: 0.5})}}
    for each in OPS:
        if NAMES[each.kind] == NAMES[op.kind]:
            assert seconds(each, "h100", machines) > 1.3 * seconds(each, "h100")
        else:
            assert seconds(each, "h100", machines) == seconds(each, "h100")
        assert seconds(each, "h200", machines) == seconds(each, "h200")


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.kind)
def test_no_factor_beats_the_data_sheet(op):
    names = ("collective", "custom_all_reduce") if op.kind == "all_reduce" else (NAMES[op.kind],)
    known = Catalog().kernel_efficiency()
    fast = {"launch": 0.01, "latency": 0.01, "exponentials": 100.0}
    machines = {"h100-sxm": {}}
    for name in names:
        of_kernel = getattr(known, name).parameters
        shares = {each: 100.0 for each in ("bandwidth", "flops", "link") if hasattr(of_kernel, each)}
        machines["h100-sxm"][name] = fit(**shares, **{n: f for n, f in fast.items() if hasattr(of_kernel, n)})
    h100 = machine_of(load_gpu("h100"))
    assert float(op_time(op, h100, IDEAL).seconds) <= seconds(op, "h100", machines) < seconds(op, "h100")


def test_a_measured_kernel_has_no_factor_of_its_vendor():
    # Fitted on AMD's machines as a whole; this one was measured as fast as is expected of any.
    constants = Catalog().serving_efficiency()
    typical = efficiency_of("mi300x").curve(GEMM)
    measured = efficiency_of("mi300x", {"mi300x": {"gemm": fit(bandwidth=1.0)}}).curve(GEMM)
    for name, vendor in (
        ("bandwidth", constants.vendor_bandwidth), ("flops", constants.vendor_flops),
        ("launch", constants.vendor_launches),
    ):  # fmt: skip
        assert getattr(typical, name) == pytest.approx(getattr(measured, name) * vendor["amd"])
    decode = OPS[1]
    assert efficiency_of("mi300x", {"mi300x": {"gemm": fit()}}).curve(decode) == efficiency_of("mi300x").curve(decode)


def test_the_engines_own_all_reduce_is_measured_apart():
    typical = efficiency_of("h100").curve(OPS[5])
    slow = efficiency_of("h100", {"h100-sxm": {"custom_all_reduce": fit(latency=2.0)}}).curve(OPS[5])
    assert isinstance(typical, AllReduceCurve) and isinstance(slow, AllReduceCurve)
    assert slow.custom.latency == pytest.approx(2 * typical.custom.latency) and slow.library == typical.library


def test_layers_of_several_groups_have_kernels_of_their_own():
    curve = efficiency_of("a100-80gb", backend="trtllm").curve
    one, eight = (curve(OPS[1]._replace(group=group)) for group in (1, 8))  # mmha and xqa on Ampere
    assert one.bandwidth != eight.bandwidth


def test_benchmark_rows_of_a_measured_machine_are_grouped_by_themselves():
    rows = [row for row in shipped_measurements("e2e").rows if row["model"] == "Llama-3.3-70B" or "8B" in row["model"]]
    catalog, machines = Catalog(), {"h100-sxm": {"gemm": fit(bandwidth=0.5)}}
    constants = catalog.serving_efficiency(machines)
    asked, index, _ = resolve(rows, constants, catalog)
    groups = serving_groups(asked, index)
    assert all(len(set(group.gpu)) == 1 for group in groups if "H100 SXM" in group.gpu)
    before, after = (score_serving(rows, each, catalog) for each in (None, constants))
    moved = {
        str(a["gpu"]) for a, b in zip(after, before, strict=True) if a["predicted"] != pytest.approx(b["predicted"])
    }
    assert moved == {"h100-sxm"}
