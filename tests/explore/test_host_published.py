"""Tokens per second that people published of models partly in host memory: each inside of the range that is answered.

No constant was chosen by them. Where a source does not name its host, it is the default: two channels of DDR5-5600.
"""

from __future__ import annotations

from typing import Any

import pytest

import costcalc

Q4, ALL = {"weights": "q4_k_m"}, {"offload_experts": "all"}
TURING = "rtx-3070"  # for an RTX 2080, which is not in the catalog: 448 GB/s and 8 GB, too
I9 = {**Q4, "host_bandwidth": "102.4GB/s"}  # i9-10900X, four channels of DDR4-3200
RYZEN = {"host_bandwidth": "76.8GB/s", "kv_cache": "q8_0"}  # 9950X, two channels of DDR5-4800

GENERATED: dict[str, tuple[str, str, dict[str, Any], float]] = {
    # ai-maestro.online, "Drastically improve prompt processing speed for --n-cpu-moe": llama-bench, -ub 512
    "26 layers of gpt-oss-120b": ("gpt-oss-120b", "rtx-3090", {"offload_experts": 26}, 32.29),
    # r/LocalLLaMA, "120B runs awesome on just 8GB VRAM": i9-14900K; 12.7k tokens in
    "all of gpt-oss-120b": ("gpt-oss-120b", "rtx-3090", {**ALL, "context": "13.7k"}, 25.62),
    # ik_llama.cpp pull request 829: Threadripper PRO 5975WX, eight channels of DDR4-3200
    "gpt-oss-120b beside a server": ("gpt-oss-120b", "rtx-4080", {**ALL, "host_bandwidth": "204.8GB/s"}, 24.96),
    # AlexsJones/llmfit pull requests 755, 774, 775 and 778
    "qwen3-30b-a3b": ("qwen3-30b-a3b", TURING, {"offload_experts": 36, **I9}, 36.7),
    "qwen3-14b": ("qwen3-14b", TURING, {"gpu_layers": 32, **I9}, 16.9),
    "phi-4": ("phi-4", TURING, {"gpu_layers": 32, **I9}, 16.7),
    "qwen2.5-14b": ("qwen2.5-14b", TURING, {"gpu_layers": 42, **I9}, 20.8),
    "mistral-small": ("mistral-small-3-24b", TURING, {"gpu_layers": 16, **I9}, 5.2),
    # r/LocalLLaMA 1rei65v: -ot exps=CPU, and --n-cpu-moe 24
    "qwen3.5-35b in 8 bits": ("qwen3.5-35b-a3b", "rtx-5080", {**ALL, "weights": "q8_0", **RYZEN}, 35.7),
    "qwen3.5-35b in 4 bits": ("qwen3.5-35b-a3b", "rtx-5080", {**ALL, **Q4, **RYZEN}, 51.0),
    "24 layers of qwen3.5-35b": ("qwen3.5-35b-a3b", "rtx-5080", {"offload_experts": 24, **Q4, **RYZEN}, 69.6),
    # dev.to/kenimo49, "RTX 4070, Qwen 35B: 2.8x speedup from one llama.cpp flag"
    "qwen3.5-35b in 12 GB": ("qwen3.5-35b-a3b", "rtx-4070", {**ALL, **Q4}, 34.6),
    # postl.ai, "GLM-4.7 MXFP4 on 9950x + 256 GB 6000 MT/s + RTX 5090"
    "glm-4.7": ("glm-4.7", "rtx-5090", {**ALL, "weights": "mxfp4", "host_bandwidth": "96GB/s"}, 6.17),
    # llama.cpp discussion 15396: -cmoe, two channels of DDR4-3200
    "gpt-oss-20b": ("gpt-oss-20b", "rx-7900-xt", {**ALL, "host_bandwidth": "51.2GB/s"}, 20.0),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generation_is_inside_of_the_range(name: str) -> None:
    model, gpu, options, published = GENERATED[name]
    found = costcalc.estimate(model, gpu, **{"batch": 1, "context": 512, "output_tokens": 128, **options})
    assert found.decode.tokens_per_s_range is not None
    low, high = found.decode.tokens_per_s_range
    assert low <= published <= high


@pytest.mark.parametrize(
    ("step", "layers", "published"),
    # ai-maestro.online, as above: -ub 512, 2048, 4096
    [(512, 26, 380.27), (2048, 25, 1112.54), (4096, 26, 1682.47)],
)
def test_prompts_cross_the_link_once_for_each_step(step: int, layers: int, published: float) -> None:
    options = {"offload_experts": layers, "max_num_batched_tokens": step, "input_tokens": 4096}
    found = costcalc.estimate("gpt-oss-120b", "rtx-3090", batch=1, **options)
    assert found.prefill.tokens_per_s_range is not None
    low, high = found.prefill.tokens_per_s_range
    assert low <= published <= high
