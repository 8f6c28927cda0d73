"""Weights by layout, cache per sequence and how many sequences fit, against published deployments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import costcalc
from costcalc.engine.memory import (
    MemoryBudget,
    cache_bytes_per_sequence,
    cache_bytes_per_token,
    kv_pool_bytes_per_gpu,
    max_sequences,
    weights_bytes_per_gpu,
)
from costcalc.engine.memory import (
    cache_bytes_per_sequence_per_gpu as per_sequence,
)
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats, resolve_formats
from costcalc.engine.roofline import machine_of
from costcalc.formats import WeightFormat
from costcalc.model.spec import ModelSpec, Precision

PEAKS = {"bf16", "fp8"}
FP8 = resolve_formats(Precision(weights="fp8"), PEAKS)
NONE = WeightFormat("none", 0.0, "fp8", "")


def formats_of(model: ModelSpec) -> Formats:
    return resolve_formats(model.precision, PEAKS)


def test_layers_that_draft_take_memory() -> None:
    # DeepSeek-V3's prediction layer is one beside 61, with weights and a cache of its own.
    plain, drafting = (costcalc.estimate("v3", "h100", gpus=16, batch=16, drafts=n).memory for n in (0, 1))
    assert drafting.weights_bytes_per_gpu == plain.weights_bytes_per_gpu
    expected = (plain.kv_pool_bytes_per_gpu - plain.weights_bytes_per_gpu / 61) / (1 + 1 / 61)
    assert drafting.kv_pool_bytes_per_gpu == pytest.approx(expected)
    assert drafting.max_sequences < plain.max_sequences


def test_some_engines_size_the_cache_by_what_weights_leave() -> None:
    # TensorRT-LLM: free_gpu_memory_fraction of the memory that is free once the model is loaded.
    model, h100 = costcalc.load_model("llama-3.1-70b"), machine_of(costcalc.load_gpu("h100"))
    weights = weights_bytes_per_gpu(model, Parallelism(), FP8)
    pool = kv_pool_bytes_per_gpu(model, h100, Parallelism(), FP8, MemoryBudget(0.9, 1e9, of_free=True))
    assert pool == pytest.approx(0.9 * (h100.memory - 1e9 - weights))
    # What does not fit is missing in whole, not in part.
    bf16 = resolve_formats(Precision(weights="bf16"), PEAKS)
    short = kv_pool_bytes_per_gpu(model, h100, Parallelism(), bf16, MemoryBudget(0.9, 0.0, of_free=True))
    assert short == pytest.approx(h100.memory - weights_bytes_per_gpu(model, Parallelism(), bf16))


@pytest.mark.parametrize(
    ("name", "nbytes"),
    [
        ("gpt-3", 4_718_592),  # 96 layers of 96 heads of 128: 2 · 96 · 96 · 128 elements
        ("llama-3.1-405b", 516_096),  # Zhao et al. 2025 (arXiv 2505.09343), table 1
        ("qwen2.5-72b", 327_680),
        ("llama-3.1-70b", 327_680),
        ("qwq-32b-preview", 262_144),  # 64 layers of 8 heads of 128
        ("v3", 70_272),
    ],
)
def test_cache_per_token_of_published_models(name: str, nbytes: int) -> None:
    assert cache_bytes_per_token(costcalc.load_model(name), formats_of(costcalc.load_model(name))) == nbytes


def test_opt_13b_on_an_a100() -> None:
    # Kwon et al. 2023 (arXiv 2309.06180), section 3 and figure 1: 26 GB of weights are 65% of 40 GB, and one
    # request of 2,048 tokens takes up to 1.6 GB of cache.
    model = costcalc.load_model("opt-13b")
    weights = float(weights_bytes_per_gpu(model, Parallelism(), formats_of(model)))
    assert weights == pytest.approx(26e9, rel=0.02)
    assert weights / costcalc.load_gpu("a100-40gb-sxm").memory == pytest.approx(0.65, abs=0.01)
    one = float(cache_bytes_per_sequence(model, formats_of(model), 2048))
    assert one == pytest.approx(1.6 * 2**30, rel=0.03)


def test_deepseek_v3_prefill_unit() -> None:
    # DeepSeek-V3 report (arXiv 2412.19437), 3.4.1: 32 GPUs, attention TP4 with DP8, EP32. A GPU of 8 routed
    # experts in each of 58 layers holds 58 · 8 · 3 · 7168 · 2048 bytes of them in fp8, 22.99 GB with the ninth.
    model, layout = costcalc.load_model("v3"), Parallelism(tp=4, attention_dp=8, ep=32)
    weights = float(weights_bytes_per_gpu(model, layout, FP8))
    rest = float(weights_bytes_per_gpu(model, layout, replace(FP8, experts=NONE)))
    assert weights - rest == pytest.approx(22.99e9 * 8 / 9, rel=1e-3)


def test_deepseek_v3_beside_its_routed_experts() -> None:
    # 61 layers of 187.1M attention parameters are 11.4 GB; 58 shared experts 2.55 GB; 3 dense layers 1.19 GB.
    # Embeddings and head stay in 16 bits, the router and norms are small.
    model = costcalc.load_model("v3")
    rest = float(
        weights_bytes_per_gpu(
            model, Parallelism(attention_dp=32, ep=32), replace(FP8, experts=NONE, head=NONE, embedding=NONE)
        )
    )
    assert rest == pytest.approx(11.41e9 + 2.554e9 + 1.189e9 + 58 * 7168 * 256, rel=1e-3)


def test_experts_that_do_not_divide_fill_the_fullest_rank() -> None:
    # 256 experts on 48 ranks: 6 slots each, 288 in all.
    model = costcalc.load_model("v3")
    model = replace(model, precision=Precision(weights="fp8"))
    fullest = float(weights_bytes_per_gpu(model, Parallelism(attention_dp=48, ep=48), FP8))
    rest = float(weights_bytes_per_gpu(model, Parallelism(attention_dp=48, ep=48), replace(FP8, experts=NONE)))
    assert fullest - rest == 58 * 6 * 3 * 7168 * 2048


def test_llama_70b_of_the_scaling_book() -> None:
    # jax-ml/scaling-book, applied inference: int8 weights are 70 GB, int8 cache 160 kB a token; 43 sequences of
    # 8,192 tokens fit beside them on 8 chips of 16 GB (128 GB in all, nothing kept back).
    model, chip = costcalc.load_model("llama-3.1-70b"), machine_of(costcalc.load_gpu("tpu-v5e"))
    formats = resolve_formats(Precision(weights="int8_wo", head="int8_wo", kv_cache="fp8"), PEAKS)
    pool = kv_pool_bytes_per_gpu(model, replace(chip, memory=16e9), Parallelism(tp=8), formats, MemoryBudget(1.0, 0.0))
    each = per_sequence(model, Parallelism(tp=8), formats, 8192)
    assert float(max_sequences(pool, each, Parallelism(tp=8))) == pytest.approx(43, abs=1)


def test_ranks_hold_their_own_sequences() -> None:
    # Attention data parallelism adds pools; tensor parallelism of a latent only adds copies.
    model = costcalc.load_model("v3")
    pool = 20e9
    each = {n: per_sequence(model, Parallelism(tp=n), formats_of(model), 4096) for n in (1, 8)}
    alone = float(max_sequences(pool, each[1], Parallelism()))
    assert alone == np.floor(20e9 / (4096 * 70_272))
    assert max_sequences(pool, each[1], Parallelism(attention_dp=8)) == 8 * alone
    assert max_sequences(pool, each[8], Parallelism(tp=8)) == alone


def test_nothing_is_held_where_the_weights_do_not_fit() -> None:
    model, h100 = costcalc.load_model("gpt-3"), machine_of(costcalc.load_gpu("h100"))
    pool = kv_pool_bytes_per_gpu(model, h100, Parallelism(), formats_of(model), MemoryBudget())
    assert pool < 0
    assert max_sequences(pool, per_sequence(model, Parallelism(), formats_of(model), 100), Parallelism()) == 0
