"""Rows that tiles add to what is asked for, as factors on the arithmetic of kernels."""

import numpy as np
import pytest

from costcalc.catalog.catalog import Catalog, load_gpu, load_model
from costcalc.engine.latency.efficiency import calibrated_efficiency
from costcalc.engine.latency.kernels import ExpertsCurve, GemmCurve, GroupedDecodeCurve, experts, gemm, grouped_decode
from costcalc.engine.latency.op_times import IDEAL, kernel_timing
from costcalc.engine.ops import Op, decode_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.engine.roofline import Timing, machine_of

H100 = machine_of(load_gpu("h100"))


def padding(timing: Timing) -> float:
    [compute] = [term for term in timing.terms if term.name == "compute"]
    return float(np.asarray(compute.factor))


def product(rows: float) -> Op:
    return Op("dense FFN", "gemm", 1, 2 * rows * 1e6, 1e6, rows=rows)


@pytest.mark.parametrize("rows", [1, 8, 32])
def test_a_product_of_few_rows_computes_one_tile(rows: int) -> None:
    # ceil(rows / 64) is 1 for all of them: 64 rows are computed.
    assert padding(gemm(product(rows), H100, GemmCurve(tile_rows=64))) * rows == pytest.approx(64)


@pytest.mark.parametrize("rows", [64, 65, 8192])
def test_a_product_of_many_rows_computes_what_it_has(rows: int) -> None:
    assert padding(gemm(product(rows), H100, GemmCurve(tile_rows=64))) == 1


@pytest.mark.parametrize(("group", "tile", "factor"), [(8, 64, 8), (8, 16, 2), (1, 64, 64), (64, 64, 1), (128, 64, 1)])
def test_decode_attention_multiplies_whole_query_tiles(group: int, tile: int, factor: float) -> None:
    # FlashDecoding and FlashInfer pack the query heads of a group into one tile.
    useful = 4.0 * 4096 * 128 * 128
    op = Op("attention core", "grouped", 1, useful, 1.0, group=group, tile_flops=useful * max(group, 64) / group)
    assert padding(grouped_decode(op, H100, GroupedDecodeCurve(tile_rows=tile))) == pytest.approx(factor)


@pytest.mark.parametrize(("model", "factor"), [("llama-3.1-8b", 16), ("llama-3.1-70b", 8), ("phi-4", 16)])
def test_a_model_packs_as_many_heads_as_share_a_kv_head(model: str, factor: float) -> None:
    # 4, 8 and 4 query heads share a KV head: rows of a tile of 64 on Hopper.
    spec = load_model(model)
    [op] = [op for op in ops(model) if op.kind == "grouped"]
    timing = kernel_timing(op, H100, calibrated_efficiency(Catalog().serving_efficiency(), H100, "vllm"))
    assert padding(timing) == pytest.approx(factor), spec.name


def ops(model: str) -> list[Op]:
    spec = load_model(model)
    formats = resolve_formats(spec.precision, H100.peak_flops)
    return step_ops(spec, Parallelism(), formats, decode_batch(4, 1000, Parallelism()))


@pytest.mark.parametrize("tokens", [2.0, 32.0, 1e6])
def test_experts_ramp_up_with_their_tokens(tokens: float) -> None:
    # As Hill's curve of half saturation: tokens / (tokens + ramp) of the rate is reached.
    op = Op("routed experts", "experts", 1, 1e12, 0.0, rows=tokens, routed=8 * tokens, held=8)
    timing = experts(op, H100, ExpertsCurve(ramp_tokens=32.0))
    assert 1 / padding(timing) == pytest.approx(tokens / (tokens + 32.0))


@pytest.mark.parametrize("model", ["llama-3.1-70b", "v3", "gpt-oss-120b"])
def test_the_bound_pads_nothing(model: str) -> None:
    for op in ops(model):
        for term in kernel_timing(op, H100, IDEAL).terms:
            assert np.all(np.asarray(term.factor) == 1), op.op
