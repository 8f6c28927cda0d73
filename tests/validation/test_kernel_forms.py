"""The kernel forms: bounds, monotony, and kernels that others have published."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costcalc.catalog.catalog import Catalog
from costcalc.engine.collectives import all_reduce_bytes, multicast_bytes
from costcalc.engine.kernel_choice import (
    experts_kernel,
    grouped_decode_kernel,
    latent_decode_falls_back,
    latent_decode_kernel,
    query_tile_rows,
)
from costcalc.engine.kernels import (
    CollectiveCurve,
    CustomAllReduceCurve,
    ExpertsCurve,
    GemmCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    PrefillCurve,
    collective,
    curve_of,
    custom_all_reduce,
)
from costcalc.engine.op_times import FORMS, IDEAL, kernel_timing
from costcalc.engine.ops import Op
from costcalc.engine.roofline import Machine, roofline_seconds

BANDWIDTH, PEAK16, PEAK8, LINK, SMS = 3.35e12, 989.4e12, 1978.9e12, 450e9, 132  # H100 SXM
H100 = Machine(
    85.5e9, BANDWIDTH, {"bf16": PEAK16, "fp8": PEAK8}, LINK, 8, 50e9, architecture="hopper", vendor="nvidia",
    sm_count=SMS,
)  # fmt: skip
sizes = st.floats(1, 1e12)
shares = st.floats(0.01, 1.5)


def fitted(op, curve, **members):
    fit = getattr(Catalog().kernel_efficiency(), op)
    of = {"family": "hopper", **members}
    return curve_of(curve, asdict(fit.parameters), fit.multipliers, of, **curve.measured)


def seconds(op, curve, machine=H100):
    return FORMS[type(curve)](op, machine, curve).seconds


def attention(nbytes, flops, kind="grouped"):
    return Op("attention core", kind, 1, flops, nbytes)


def product(rows, outputs, inputs, nbytes, **rest):
    return Op("dense FFN", "gemm", 1, 2 * rows * outputs * inputs, nbytes, rows=rows, **rest)


@given(sizes, sizes, shares, shares, st.floats(1, 16))
def test_no_share_of_a_peak_beats_the_roofline(nbytes, flops, bandwidth, rate, norm):
    bound = max(nbytes / BANDWIDTH, flops / PEAK16) * (1 - 1e-12)
    every = {"grouped": GroupedDecodeCurve, "latent": LatentDecodeCurve, "gemm": GemmCurve, "experts": ExpertsCurve}
    for kind, curve in every.items():
        op = Op("op", kind, 1, flops, nbytes, rows=64, routed=64, held=1)
        assert seconds(op, curve(launch=0.0, bandwidth=bandwidth, flops=rate, norm=norm)) >= bound
        assert kernel_timing(op, H100, IDEAL).seconds >= bound


@given(st.floats(1, 1e6), st.floats(1, 1e6), st.floats(1, 20))
def test_two_resources_take_between_their_maximum_and_their_sum(first, second, norm):
    both = roofline_seconds(first, second, norm)
    assert max(first, second) * (1 - 1e-12) <= both <= (first + second) * (1 + 1e-12)


@given(sizes, st.floats(1.01, 10))
def test_more_bytes_take_longer_and_more_bandwidth_less(nbytes, factor):
    curve = fitted("decode_grouped", GroupedDecodeCurve, kernel="fa3")
    base = seconds(attention(nbytes, 1e9), curve)
    assert seconds(attention(nbytes * factor, 1e9), curve) >= base
    assert seconds(attention(nbytes, 1e9), curve, replace(H100, memory_bandwidth=BANDWIDTH * factor)) <= base


def test_every_argument_broadcasts():
    curve = fitted("gemm", GemmCurve, precision_class="16-bit")
    rows = np.array([1.0, 64, 65, 8192])[:, None]
    machine = replace(H100, memory_bandwidth=np.array([2e12, 3.35e12, 8e12]))
    times = seconds(product(rows, 8192, 8192, 2 * 8192.0**2), curve, machine)
    assert times.shape == (4, 3)
    assert np.all(np.diff(times, axis=1) <= 0) and np.all(np.diff(times, axis=0) >= 0)


def test_a_gemm_of_few_rows_does_the_work_of_a_tile():
    curve = GemmCurve(tile_rows=64.0)
    few, full, more = (seconds(product(rows, 4096, 4096, 0.0), curve) for rows in (1, 64, 128))
    assert few == full and more == 2 * full


def test_experts_reach_half_their_rate_at_the_ramp():
    curve = ExpertsCurve(flops=0.5, ramp_tokens=32.0)

    def per_pair(tokens):
        op = Op(
            "routed experts", "experts", 1, 6 * 8 * tokens * 4096 * 2048, 0.0, rows=tokens, routed=8 * tokens, held=8
        )
        return seconds(op, curve) / (8 * tokens)

    assert per_pair(32.0) == pytest.approx(2 * per_pair(1e9), rel=1e-6)


def test_a_short_causal_prompt_takes_twice_its_time():
    curve = PrefillCurve(short_tokens=512.0)

    def per_score(tokens):
        scores = 32 * tokens**2 / 2
        op = Op("core", "prefill", 1, 4 * scores * 128, 0.0, scores=scores, heads=32, sequences=1, tokens=tokens)
        return seconds(op, curve) / scores

    assert per_score(512.0) == pytest.approx(2 * per_score(1e9), rel=1e-6)


def test_ring_and_switch_traffic():
    # Ring: 2(n-1)/n (Patarasuk and Yuan 2009); NVLink SHARP sends the message once and a share of the sum.
    assert all_reduce_bytes(8.0, 8) == 14.0
    assert multicast_bytes(8.0, 8) == 9.0


def test_an_empty_collective_costs_its_latency_and_a_long_one_its_bytes():
    curve = CollectiveCurve(latency=10e-6, link=0.8, rank_growth=0.05)
    assert collective(0.0, 2, LINK, curve).seconds == pytest.approx(10e-6)
    assert collective(1e12, 2, LINK, curve).seconds == pytest.approx(1e12 / (0.8 * LINK), rel=0.01)


def test_two_shots_win_for_longer_messages():
    curve = CustomAllReduceCurve(5e-6, 0.6, 0.15, 1.8)
    times = [custom_all_reduce(m, 8, LINK, curve).seconds for m in (1e3, 1e7)]
    latency = 5e-6 * (1 + 0.15 * 2)
    assert times[0] == pytest.approx(latency + 7 * 1e3 / (0.6 * LINK))
    assert times[1] == pytest.approx(1.8 * latency + 1.75 * 1e7 / (0.6 * LINK))


def test_kernels_that_stacks_run():
    assert grouped_decode_kernel("trtllm", "hopper", 8) == "xqa"
    assert grouped_decode_kernel("vllm", "hopper", 8) == "fa3"
    assert grouped_decode_kernel("sglang", "blackwell", 8) == "trtllm-gen"
    assert latent_decode_kernel("hopper") == "tuned"
    assert latent_decode_kernel("ada") == "triton"
    assert experts_kernel("vllm", "ampere", "int4_wo") == "marlin"
    assert experts_kernel("trtllm", "blackwell", "fp8_block") == "deepgemm"
    assert experts_kernel("sglang", "hopper", "bf16") == "triton"


def test_latent_decode_falls_back_where_a_stack_has_no_tuned_kernel():
    assert latent_decode_falls_back("trtllm", "ampere", 2.0)
    assert latent_decode_falls_back("sglang", "hopper", 1.0)
    assert not latent_decode_falls_back("sglang", "hopper", 2.0)
    assert not latent_decode_falls_back("vllm", "hopper", 1.0)
    assert not latent_decode_falls_back("vllm", "ada", 2.0)


def test_rows_of_a_query_tile():
    assert query_tile_rows("", 8, "hopper") == 64 and query_tile_rows("", 8, "ada") == 16
    assert query_tile_rows("flashinfer", 8, "hopper") == 16 and query_tile_rows("", 17, "ada") == 64


def test_members_never_fitted_keep_the_global_value():
    multipliers = {"family": {"hopper": {"launch": 2.0}}}
    values = {"launch": 1.0, "bandwidth": 0.5, "flops": 0.5}
    for family, expected in (("hopper", 2.0), ("cdna9", 1.0)):
        assert curve_of(GroupedDecodeCurve, values, multipliers, {"family": family}).launch == expected
    both = curve_of(GroupedDecodeCurve, values, multipliers, {"family": np.array(["hopper", "ada"])})
    assert list(both.launch) == [2.0, 1.0]


# aiconfigurator's own tables for an H100 SXM, read outside of measurements/ (golden.yaml, ids aic-*).
@pytest.mark.parametrize(("batch", "context", "expected"), [(128, 4096, 0.2605e-3), (256, 2048, 0.2898e-3)], ids=str)
def test_mla_decode_of_128_heads_on_an_h100(batch, context, expected):
    tokens = batch * context
    op = attention(tokens * 1152.0, 2 * tokens * 128 * 1088.0, "latent")
    time = seconds(op, fitted("decode_latent", LatentDecodeCurve, kernel="tuned"))
    assert 0.6 < time / expected < 1.5


@pytest.mark.parametrize(
    ("rows", "of", "width", "precision", "expected"),
    [
        (1, "16-bit", 2, "bf16", 47.9e-6),
        (8192, "16-bit", 2, "bf16", 1500.1e-6),
        (64, "fp8_block", 1, "fp8", 30.2e-6),
    ],
)
def test_gemm_of_8192_by_8192_on_an_h100(rows, of, width, precision, expected):
    op = product(rows, 8192, 8192, width * 8192.0**2, traffic=rows * 8192 * (width + 2), precision=precision)
    curve = replace(fitted("gemm", GemmCurve, precision_class=of), tile_rows=64.0)
    assert 0.75 < seconds(op, curve) / expected < 1.35


@pytest.mark.parametrize(("elements", "expected"), [(128, 3.47e-6), (1048576, 28.3e-6)])
def test_trtllm_all_reduce_over_8_h100(elements, expected):
    curve = fitted("custom_all_reduce", CustomAllReduceCurve, framework="trtllm")
    assert 0.6 < custom_all_reduce(2 * elements, 8, LINK, curve).seconds / expected < 1.6


def test_flashmla_reaches_the_bandwidth_that_its_authors_state():
    # github.com/deepseek-ai/FlashMLA: 3000 GB/s of 3350 in the memory-bound configuration on an H800.
    curve = fitted("decode_latent", LatentDecodeCurve, kernel="tuned")
    nbytes = 1e10
    assert nbytes / seconds(attention(nbytes, 0.0, "latent"), curve) == pytest.approx(3.0e12, rel=0.1)


def test_prefill_stays_below_the_best_published_attention():
    # FlashAttention-3 (arXiv 2407.08608): up to 740 TFLOP/s in fp16 on an H100, not causal.
    tokens, heads = 16384, 16
    flops = heads * tokens**2 * 256.0
    curve = fitted("prefill", PrefillCurve)
    scores = heads * tokens**2 / 2
    op = Op("core", "prefill", 1, flops, 0.0, scores=scores, heads=heads, sequences=1, tokens=tokens)
    assert 400e12 < flops / seconds(op, curve) < 740e12


def test_nccl_over_8_h100_stays_near_the_best_measured_bus_bandwidth():
    # The scaling book, chapter on GPUs: 370 GB/s without SHARP.
    curve = fitted("collective", CollectiveCurve, collective="all_reduce")
    sent = all_reduce_bytes(4e9, 8)
    assert sent / collective(sent, 8, LINK, curve).seconds == pytest.approx(370e9, rel=0.2)
