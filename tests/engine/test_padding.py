"""Rows that tiles add to what is asked for, against counting tiles."""

import numpy as np
import pytest

from costcalc.catalog.catalog import Catalog, load_gpu
from costcalc.engine.efficiency import calibrated_efficiency
from costcalc.engine.kernels import ExpertsCurve, GemmCurve, GroupedDecodeCurve, experts, gemm, grouped_decode
from costcalc.engine.op_times import IDEAL, kernel_timing
from costcalc.engine.ops import Op
from costcalc.engine.roofline import machine_of
from costcalc.engine.terms import Timing
from costcalc.model.attention.base import TILE_ROWS

H100 = machine_of(load_gpu("h100"))
FLOPS = 1e9


def factor(timing: Timing) -> float:
    [compute] = [term for term in timing.terms if term.name == "compute"]
    return float(compute.factor)


def product(rows: float) -> Op:
    return Op("product", "gemm", 1, FLOPS * rows, 1.0, rows=rows)


def attention(group: float) -> Op:
    # What `group` query heads of a KV head multiply, and what a tile of them does.
    return Op("attention", "grouped", 1, FLOPS * group, 1.0, group=group, tile_flops=FLOPS * max(group, TILE_ROWS))


def of_experts(rows: float) -> Op:
    return Op("routed experts", "experts", 1, FLOPS * rows, 1.0, rows=rows, routed=rows, held=8)


@pytest.mark.parametrize("rows", [1, 8, 32, 64])
def test_few_rows_compute_one_tile(rows: int) -> None:
    # ceil(rows / 64) is 1 for all of them: 64 rows are computed.
    assert factor(gemm(product(rows), H100, GemmCurve(tile_rows=64))) * rows == pytest.approx(64)


def test_rows_beyond_a_tile_are_computed_as_they_are() -> None:
    rows = np.array([64.0, 100.0, 4096.0])
    assert [factor(gemm(product(n), H100, GemmCurve(tile_rows=64))) for n in rows] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("group", [1, 4, 8, 16])
def test_heads_of_a_group_fill_one_tile_of_queries(group: int) -> None:
    for tile in (16, 64):
        timing = grouped_decode(attention(group), H100, GroupedDecodeCurve(tile_rows=tile))
        assert factor(timing) * group == pytest.approx(tile)


def test_heads_that_fill_a_tile_add_nothing() -> None:
    assert factor(grouped_decode(attention(128), H100, GroupedDecodeCurve(tile_rows=64))) == 1


@pytest.mark.parametrize("ramp", [10.0, 50.0])
def test_as_many_tokens_of_an_expert_as_the_ramp_reach_half_of_the_rate(ramp: float) -> None:
    curve = ExpertsCurve(ramp_tokens=ramp)
    assert factor(experts(of_experts(ramp), H100, curve)) == pytest.approx(2)
    # Every expert that is hit adds the time of as many tokens, however many it has.
    added = [(factor(experts(of_experts(n), H100, curve)) - 1) * n for n in (1.0, 8.0, 512.0)]
    assert added == pytest.approx([ramp] * 3)


def test_the_bound_pads_nothing() -> None:
    for op in (product(1), attention(1), of_experts(1)):
        assert factor(kernel_timing(op, H100, IDEAL)) == 1


def test_engines_pad_and_more_rows_never_take_less() -> None:
    calibrated = calibrated_efficiency(Catalog().serving_efficiency(), H100, "vllm")
    for make in (product, attention, of_experts):
        timings = [kernel_timing(make(n), H100, calibrated) for n in (1.0, 4.0, 16.0, 64.0, 256.0)]
        assert factor(timings[0]) > 1
        assert np.all(np.diff([factor(each) for each in timings]) <= 0)
        assert np.all(np.diff([float(each.seconds) for each in timings]) >= 0)
