"""The Scaling Book's frontier of LLaMA 3-70B on a TPU v5e 4x4, in int8, against the ideal bound.

Source: jax-ml/scaling-book, applied-inference.md, "Visualizing the Latency Throughput Tradeoff", and the points of its
chart, assets/plotly/pareto.html @b226fc7 (2,048 tokens of context). It reads 70e9 B of weights and 163,840 B a token of
cache over 16 chips of 820 GB/s, multiplies at 197 TFLOP/s in bf16, and hides all communication. costcalc counts the
scales of int8 too, 3% of both, and the arithmetic of attention, so that it is a little slower everywhere.
"""

from __future__ import annotations

import pytest

from costcalc import frontier

# batch: [ms] per token, [tokens/ms] per chip
PUBLISHED = {
    1: (5.3609408780487815, 0.011658401280998288),
    4: (5.437665951219512, 0.04597560832951355),
    16: (5.744566243902439, 0.17407754694472335),
    64: (6.972167414634147, 0.5737096891282685),
    119: (8.378793756097561, 0.8876576051997286),
    120: (8.404368780487806, 0.8923930155721564),
}
PLATEAU = 0.8929685337284826  # [tokens/ms] per chip, from a batch of 121 on
ASSUMED = {
    "gpus": 16, "tensor_parallel": 16, "context_parallel": 2, "weights": "int8", "kv_cache": "int8",
    "activations": "bf16", "efficiency": "ideal", "link": "1 PB/s", "context": 2048, "input_tokens": 1,
    "output_tokens": 512,
}  # fmt: skip


def test_latency_and_throughput_are_those_of_the_scaling_book() -> None:
    found = frontier("llama-3.1-70b", "tpu-v5e", batch=list(PUBLISHED), **ASSUMED)
    points = {point.batch: point for point in found.points}
    assert sorted(points) == sorted(PUBLISHED)  # a larger batch is slower and serves more: all of them are on it
    for batch, (latency, throughput) in PUBLISHED.items():
        ratio = points[batch].time_per_output_token_s * 1e3 / latency
        assert 1.0 < ratio < 1.06, batch
        assert points[batch].tokens_per_s_per_gpu / 1e3 == pytest.approx(throughput / ratio, rel=1e-5)


def test_beyond_the_critical_batch_throughput_rises_no_more() -> None:
    found = frontier("llama-3.1-70b", "tpu-v5e", batch=[130, 260], **ASSUMED)
    rates = {point.batch: point.tokens_per_s_per_gpu / 1e3 for point in found.points}
    assert rates[260] == pytest.approx(rates[130], rel=0.01)
    assert 0.94 * PLATEAU < rates[260] < PLATEAU
