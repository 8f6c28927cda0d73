"""Machines of people at home, and engines without a server: within their range of what others measured."""

from __future__ import annotations

from typing import Any

import pytest

import costcalc

# Output tokens/s of one sequence.
MEASURED = [
    # github.com/XiongjieDai/GPU-Benchmarks-on-LLM-Inference, 2024-05: tg1024 of Llama 3 8B F16.
    ("llama-3-8b", "a100-80gb-pcie", {"backend": "llama.cpp", "weights": "f16", "context": 512}, 54.56),
    # ml-explore/mlx-lm, BENCHMARKS.md, 2025-10: 4 bits, behind a prompt of 2,048 tokens.
    ("qwen3-30b-a3b", "m4-max", {"weights": "mlx-q4", "context": 2112}, 113.33),
    # ggml-org/llama.cpp#16894, 2025-10-31: llama-batched-bench of gpt-oss-20b at 512 and 4,096 tokens, on the machine
    # whose threads (16) are an M2 Ultra's.
    ("gpt-oss-20b", "m2-ultra", {"context": 528}, 132.94),
    ("gpt-oss-20b", "m2-ultra", {"context": 4112}, 122.92),
]


@pytest.mark.parametrize(("model", "gpu", "options", "measured"), MEASURED)
def test_local_machines_are_in_their_range(model: str, gpu: str, options: dict[str, Any], measured: float) -> None:
    answer = costcalc.estimate(model, gpu, batch=1, gpus=1, **options)
    low, high = answer.decode.tokens_per_s_per_user_range
    assert low <= measured <= high
    assert answer.decode.tokens_per_s_per_user == pytest.approx(measured, rel=0.25)


@pytest.mark.parametrize(
    ("name", "meant"), [("llama.cpp", "llamacpp"), ("ollama", "llamacpp"), ("TensorRT-LLM", "trtllm")]
)
def test_engines_are_known_by_the_names_that_people_use(name: str, meant: str) -> None:
    assert costcalc.estimate("llama-3.1-8b", "rtx-4090", backend=name).deployment.backend == meant


def test_an_old_card_reads_a_long_cache_at_most_of_its_bandwidth() -> None:
    # 128K tokens of 8-bit cache on a 3090 of 936 GB/s: its kernels are bound by bandwidth, not by tiles of 64 rows.
    answer = costcalc.estimate(
        "llama-3.1-8b", "rtx-3090", weights="awq", kv_cache="fp8", context=131_072, batch=1, gpus=1
    )
    core = next(op for op in answer.breakdown if op.op == "attention core")
    assert core.bound_by == "memory" and core.bytes / core.time_s > 0.6 * 936e9
