"""The kernel forms: bounds, monotony, and kernels that others have published."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costcalc.catalog.catalog import Catalog
from costcalc.engine.latency.collectives import (
    CollectiveCurve,
    CustomAllReduceCurve,
    all_reduce_bytes,
    collective,
    custom_all_reduce,
    multicast_bytes,
)
from costcalc.engine.latency.kernel_choice import (
    experts_kernel,
    grouped_decode_kernel,
    latent_decode_falls_back,
    latent_decode_kernel,
)
from costcalc.engine.latency.kernels import (
    ExpertsCurve,
    GemmCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    PrefillCurve,
    curve_of,
    experts,
    gemm,
    grouped_decode,
    latent_decode,
    prefill_attention,
)
from costcalc.engine.ops import Op
from costcalc.engine.roofline import Machine, roofline_seconds
from costcalc.model.attention.base import TILE_ROWS

BANDWIDTH, PEAK16, PEAK8, LINK, SMS = 3.35e12, 989.4e12, 1978.9e12, 450e9, 132  # H100 SXM
sizes = st.floats(1, 1e12)
shares = st.floats(0.01, 1.5)


def fitted(op, curve, **members):
    fit = getattr(Catalog().kernel_efficiency(), op)
    rest = {**curve.measured, **({"tile_rows": TILE_ROWS} if curve in (GemmCurve, GroupedDecodeCurve) else {})}
    return curve_of(curve, asdict(fit.parameters), fit.multipliers, {"family": "hopper", **members}, **rest)


def machine(bandwidth=BANDWIDTH, peak=PEAK16):
    return Machine(np.inf, bandwidth, {"bf16": peak}, LINK, np.inf, np.inf, sm_count=SMS)


def attention_op(kind, nbytes, flops, **rest):
    return Op("", kind, 1, flops=flops, bytes=nbytes, **rest)


def grouped_decode_seconds(nbytes, flops, bandwidth, peak, curve):
    return grouped_decode(attention_op("grouped", nbytes, flops), machine(bandwidth, peak), curve).seconds


def latent_decode_seconds(nbytes, flops, bandwidth, peak, curve):
    return latent_decode(attention_op("latent", nbytes, flops), machine(bandwidth, peak), curve).seconds


def gemm_seconds(rows, columns, depth, nbytes, bandwidth, peak, curve):
    op = Op("", "gemm", 1, flops=2 * rows * columns * depth, bytes=nbytes, rows=rows)
    return gemm(op, machine(bandwidth, peak), curve).seconds


def experts_seconds(pairs, hits, hidden, inter, width, buffers, bandwidth, peak, curve):
    op = Op(
        "", "experts", 1, flops=6 * pairs * hidden * inter, bytes=hits * 3 * hidden * inter * width,
        rows=pairs / hits, routed=pairs, held=hits, buffers=buffers,
    )  # fmt: skip
    return experts(op, machine(bandwidth, peak), curve).seconds


def prefill_attention_seconds(flops, scores, tokens, peak, sms, curve):
    del sms
    heads = 2 * scores / tokens**2  # of a causal prompt
    op = attention_op("prefill", 0.0, flops, scores=scores, tokens=tokens, heads=heads)
    return prefill_attention(op, machine(peak=peak), curve).seconds


def causal_scores(batch, heads, tokens):
    return batch * heads * tokens**2 / 2


def collective_seconds(sent, ranks, link, curve):
    return collective(sent, ranks, link, curve).seconds


def custom_all_reduce_seconds(message, ranks, link, curve):
    return custom_all_reduce(message, ranks, link, curve).seconds


overlapped = roofline_seconds


@given(sizes, sizes, shares, shares, st.floats(1, 16))
def test_no_share_of_a_peak_beats_the_roofline(nbytes, flops, bandwidth, rate, norm):
    bound = max(nbytes / BANDWIDTH, flops / PEAK16) * (1 - 1e-12)
    grouped = GroupedDecodeCurve(0.0, bandwidth, rate, norm=norm)
    assert grouped_decode_seconds(nbytes, flops, BANDWIDTH, PEAK16, grouped) >= bound
    latent = LatentDecodeCurve(0.0, bandwidth, rate, norm=norm)
    assert latent_decode_seconds(nbytes, flops, BANDWIDTH, PEAK16, latent) >= bound


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(1, 20))
def test_two_resources_take_between_their_maximum_and_their_sum(first, second, norm):
    both = overlapped(first, second, norm)
    assert max(first, second) * (1 - 1e-12) <= both <= (first + second) * (1 + 1e-12)


@given(sizes, st.floats(1.01, 10))
def test_more_bytes_take_longer_and_more_bandwidth_less(nbytes, factor):
    curve = fitted("decode_grouped", GroupedDecodeCurve, kernel="fa3")
    base = grouped_decode_seconds(nbytes, 1e9, BANDWIDTH, PEAK16, curve)
    assert grouped_decode_seconds(nbytes * factor, 1e9, BANDWIDTH, PEAK16, curve) >= base
    assert grouped_decode_seconds(nbytes, 1e9, BANDWIDTH * factor, PEAK16, curve) <= base


def test_every_argument_broadcasts():
    curve = fitted("gemm", GemmCurve, precision_class="16-bit")
    rows = np.array([1, 64, 65, 8192])[:, None]
    times = gemm_seconds(rows, 8192, 8192, 2 * 8192.0**2, np.array([2e12, 3.35e12, 8e12]), PEAK16, curve)
    assert times.shape == (4, 3)
    assert np.all(np.diff(times, axis=1) <= 0) and np.all(np.diff(times, axis=0) >= 0)


def test_a_gemm_of_few_rows_does_the_work_of_64():
    curve = GemmCurve(tile_rows=64)
    few = gemm_seconds(1, 4096, 4096, 0.0, BANDWIDTH, PEAK16, curve)
    assert few == gemm_seconds(64, 4096, 4096, 0.0, BANDWIDTH, PEAK16, curve)
    assert gemm_seconds(128, 4096, 4096, 0.0, BANDWIDTH, PEAK16, curve) == 2 * few


def test_experts_reach_half_their_rate_at_the_ramp():
    curve = ExpertsCurve(0.0, 1.0, 0.5, 32.0)
    many = experts_seconds(1e9, 8, 4096, 2048, 0.0, 0.0, BANDWIDTH, PEAK16, curve)
    at_ramp = experts_seconds(8 * 32.0, 8, 4096, 2048, 0.0, 0.0, BANDWIDTH, PEAK16, curve)
    assert at_ramp / (8 * 32) == pytest.approx(2 * many / 1e9, rel=1e-6)


def test_ring_and_switch_traffic():
    # Ring: 2(n-1)/n (Patarasuk and Yuan 2009); NVLink SHARP sends the message once and a share of the sum.
    assert all_reduce_bytes(8.0, 8) == 14.0
    assert multicast_bytes(8.0, 8) == 9.0


def test_an_empty_collective_costs_its_latency_and_a_long_one_its_bytes():
    curve = CollectiveCurve(latency=10e-6, link=0.8, rank_growth=0.05)
    assert collective_seconds(0.0, 2, LINK, curve) == pytest.approx(10e-6)
    assert collective_seconds(1e12, 2, LINK, curve) == pytest.approx(1e12 / (0.8 * LINK), rel=0.01)


def test_two_shots_win_for_longer_messages():
    curve = CustomAllReduceCurve(5e-6, 0.6, 0.15, 1.8)
    times = [custom_all_reduce_seconds(m, 8, LINK, curve) for m in (1e3, 1e7)]
    latency = 5e-6 * (1 + 0.15 * 2)
    assert times[0] == pytest.approx(latency + 7 * 1e3 / (0.6 * LINK))
    assert times[1] == pytest.approx(1.8 * latency + 1.75 * 1e7 / (0.6 * LINK))


def test_kernels_that_stacks_run():
    assert grouped_decode_kernel("trtllm", "hopper", 8) == "xqa"
    assert grouped_decode_kernel("vllm", "hopper", 8) == "fa3"
    assert grouped_decode_kernel("sglang", "blackwell", 8) == "trtllm-gen"
    assert latent_decode_kernel("hopper") == "tuned" and latent_decode_kernel("ada") == "triton"
    assert latent_decode_falls_back("trtllm", "ampere", 2.0) and latent_decode_falls_back("sglang", "hopper", 1.0)
    assert not latent_decode_falls_back("vllm", "hopper", 1.0)
    assert experts_kernel("vllm", "ampere", "int4_wo") == "marlin"
    assert experts_kernel("trtllm", "blackwell", "fp8_block") == "deepgemm"
    assert experts_kernel("sglang", "hopper", "bf16") == "triton"
    # TensorRT-LLM 1.4.0rc4, deployment guide for GPT-OSS: "For Hopper, the default MoE backend is TRITON."
    assert experts_kernel("trtllm", "hopper", "mxfp4") == experts_kernel("vllm", "hopper", "mxfp4") == "triton"
    assert experts_kernel("trtllm", "hopper", "fp8") == "cutlass"
    # vLLM 0.12, quantization/mxfp4.py: Triton from 9.0 to below 11.0, else Marlin.
    assert {experts_kernel("vllm", family, "mxfp4") for family in ("ampere", "ada", "rtx-blackwell")} == {"marlin"}


def test_members_never_fitted_keep_the_global_value():
    multipliers = {"family": {"hopper": {"launch": 2.0}}}
    values = {"launch": 1.0, "bandwidth": 0.5, "flops": 0.5}
    for family, expected in (("hopper", 2.0), ("cdna9", 1.0)):
        assert curve_of(GroupedDecodeCurve, values, multipliers, {"family": family}).launch == expected
    both = curve_of(GroupedDecodeCurve, values, multipliers, {"family": np.array(["hopper", "ada"])})
    assert list(both.launch) == [2.0, 1.0]


# aiconfigurator's own tables for an H100 SXM, read outside of measurements/ (golden.yaml, ids aic-*).
@pytest.mark.parametrize(("batch", "context", "seconds"), [(128, 4096, 0.2605e-3), (256, 2048, 0.2898e-3)], ids=str)
def test_mla_decode_of_128_heads_on_an_h100(batch, context, seconds):
    tokens = batch * context
    time = latent_decode_seconds(
        tokens * 1152.0, 2 * tokens * 128 * 1088.0, BANDWIDTH, PEAK16, fitted("decode_latent", LatentDecodeCurve)
    )
    assert 0.6 < time / seconds < 1.5


@pytest.mark.parametrize(
    ("rows", "precision", "width", "peak", "seconds"),
    [
        (1, "16-bit", 2, PEAK16, 47.9e-6),
        (8192, "16-bit", 2, PEAK16, 1500.1e-6),
        (64, "fp8_block", 1, PEAK8, 30.2e-6),
    ],
)
def test_gemm_of_8192_by_8192_on_an_h100(rows, precision, width, peak, seconds):
    nbytes = width * 8192.0**2 + rows * 8192 * (width + 2)
    time = gemm_seconds(rows, 8192, 8192, nbytes, BANDWIDTH, peak, fitted("gemm", GemmCurve, precision_class=precision))
    assert 0.75 < time / seconds < 1.35


@pytest.mark.parametrize(("elements", "seconds"), [(128, 3.47e-6), (1048576, 28.3e-6)])
def test_trtllm_all_reduce_over_8_h100(elements, seconds):
    curve = fitted("custom_all_reduce", CustomAllReduceCurve, framework="trtllm")
    assert 0.6 < custom_all_reduce_seconds(2 * elements, 8, LINK, curve) / seconds < 1.6


def test_flashmla_reaches_the_bandwidth_that_its_authors_state():
    # github.com/deepseek-ai/FlashMLA: 3000 GB/s of 3350 in the memory-bound configuration on an H800.
    curve = fitted("decode_latent", LatentDecodeCurve)
    nbytes = 1e10
    assert nbytes / latent_decode_seconds(nbytes, 0.0, BANDWIDTH, PEAK16, curve) == pytest.approx(3.0e12, rel=0.1)


def test_prefill_stays_below_the_best_published_attention():
    # FlashAttention-3 (arXiv 2407.08608): up to 740 TFLOP/s in fp16 on an H100, not causal.
    tokens, heads = 16384, 16
    flops = heads * tokens**2 * 256.0
    curve = fitted("prefill", PrefillCurve)
    time = prefill_attention_seconds(flops, causal_scores(1, heads, tokens), tokens, PEAK16, SMS, curve)
    assert 400e12 < flops / time < 740e12


def test_nccl_over_8_h100_stays_near_the_best_measured_bus_bandwidth():
    # The scaling book, chapter on GPUs: 370 GB/s without SHARP.
    curve = fitted("collective", CollectiveCurve, collective="all_reduce")
    sent = all_reduce_bytes(4e9, 8)
    assert sent / collective_seconds(sent, 8, LINK, curve) == pytest.approx(370e9, rel=0.2)


def test_a_query_tile_has_at_least_as_many_rows_as_its_kernel():
    op = attention_op("grouped", 1.0, 1e12, tile_flops=8e12)  # 8 heads share a KV head: an eighth of 64 rows
    tiled = GroupedDecodeCurve(tile_rows=64)
    assert grouped_decode(op, machine(), tiled).seconds == pytest.approx(8e12 / PEAK16)
    assert grouped_decode(op, machine(), GroupedDecodeCurve(tile_rows=16)).seconds == pytest.approx(2e12 / PEAK16)
    assert grouped_decode(op, machine(), GroupedDecodeCurve()).seconds == pytest.approx(1e12 / PEAK16)
