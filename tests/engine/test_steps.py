"""Decode steps and prefill passes at the physical bound, against arithmetic that others published."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from steps import decode_step, prefill_pass

import costcalc
from costcalc.engine.latency.op_times import IDEAL
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import compute_precision, resolve_formats
from costcalc.engine.roofline import machine_of, roofline_seconds
from costcalc.engine.step import Step
from costcalc.errors import CostcalcError
from costcalc.formats import CACHE_FORMATS
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.spec import Precision

BF16 = CACHE_FORMATS["bf16"]


def ideal_step(model: str, gpu: str, layout: Parallelism, batch: Any, context: Any, **overrides: str) -> Step:
    spec, machine = costcalc.load_model(model), machine_of(costcalc.load_gpu(gpu, overrides=overrides))
    formats = resolve_formats(spec.precision, machine.peak_flops)
    return decode_step(spec, machine, layout, formats, IDEAL, batch, context)


def busy(step: Step, *kinds: str) -> float:
    return sum(float(op.seconds) for op in step.ops if op.kind in kinds)


@pytest.mark.parametrize(("batch", "milliseconds"), [(1, 4.98), (32, 36.65)])
def test_llama_2_13b_on_eight_v5e(batch: int, milliseconds: float) -> None:
    # jax-ml/scaling-book, inference: latency of LLaMA 2-13B at 8,192 tokens on 8 TPU v5e of 820 GB/s, from bytes
    # alone; they count the embedding table as read (0.33 of 26 GB), which is looked up.
    step = ideal_step("llama-2-13b", "tpu-v5e", Parallelism(tp=8), batch, 8192, memory_bandwidth="820 GB/s")
    assert 1e3 * busy(step, "gemm", "head", "grouped") == pytest.approx(milliseconds, rel=0.012)


def test_gpt3_reads_its_cache_for_every_token() -> None:
    # Erdil 2025 (epoch.ai/gradient-updates): 4.7 MB a token, 470 GB at 100,000, 0.14 s at 3.3 TB/s.
    step = ideal_step("gpt-3", "h100", Parallelism(), 1, 100_000, memory_bandwidth="3.3 TB/s")
    assert busy(step, "grouped") == pytest.approx(0.143, rel=1e-3)
    # And 2 bytes of each of its 175 billion weights.
    assert busy(step, "gemm", "head") == pytest.approx(2 * 174.6e9 / 3.3e12, rel=1e-3)


def test_an_op_takes_the_slower_resource_and_a_step_the_sum() -> None:
    # Llama 3.1 70B, 1,024 sequences of 128 tokens on one (imaginary) H100 that holds them: products are bound by
    # arithmetic, attention by memory, as is one pass over a layer's activations; the step is the sum of all, not the
    # larger of two totals.
    step = ideal_step("llama-3.1-70b", "h100", Parallelism(), 1024, 128)
    model, h100 = costcalc.load_model("llama-3.1-70b"), costcalc.load_gpu("h100")
    products = 2 * 1024 * model.active_parameters / h100.peak("bf16").flops
    cache = 1024 * 128 * 327_680 / h100.memory_bandwidth
    assert busy(step, "gemm", "head") == pytest.approx(products, rel=1e-9)
    assert busy(step, "grouped") == pytest.approx(cache, rel=1e-9)
    between = 80 * 1024 * 8192 * 2 / h100.memory_bandwidth
    assert float(step.seconds) == pytest.approx(products + cache + between, rel=1e-9)


def test_absorbed_latents_are_bound_by_arithmetic_where_groups_are_not() -> None:
    # DeepSeek's FlashMLA deep dive: 128 heads share a latent, about 2·128 FLOPs a byte, near an H100's ridge.
    h100 = costcalc.load_gpu("h100")
    ridge = h100.ridge_point("bf16")
    assert ridge == pytest.approx(295, abs=1)
    latent = costcalc.load_model("v3").attention["mla"]
    grouped = GroupedAttention(num_attention_heads=64, num_key_value_heads=8, head_dim=128)
    assert isinstance(latent, LatentAttention)
    intensities = []
    for layer in (latent, grouped):
        (core,) = layer.decode_cores(4096, BF16)
        intensities.append(float(core.flops / core.bytes))
    assert intensities == pytest.approx([241.8, 8.0], abs=0.05)


def test_naive_latents_expand_the_context_again() -> None:
    # DeepSeek-V2 (arXiv 2405.04434), 2.1.2: without absorption keys and values of all heads are computed from
    # every latent, 2·r·H(d_n + d_v) FLOPs a token of context.
    layer = costcalc.load_model("v3").attention["mla"]
    (absorbed,) = layer.decode_cores(1000, BF16)
    (naive,) = replace(layer, mode="naive").decode_cores(1000, BF16)
    assert absorbed.flops == 2 * 1000 * 128 * (512 + 64 + 512)
    assert naive.flops == 2 * 1000 * 128 * (192 + 128) + 1000 * 2 * 512 * 128 * (128 + 128)
    assert naive.bytes == absorbed.bytes == 1000 * 576 * 2


def test_experts_of_a_batch_are_read_once() -> None:
    # 163.3 of 256 experts at 32 tokens: 58 layers of 163.3 · 3 · 7168 · 2048 bytes in fp8, not 8 of them, nor all.
    step = ideal_step("v3", "h100", Parallelism(), 32, 1)
    read = sum(float(op.bytes) for op in step.ops if op.kind == "experts")
    assert read == pytest.approx(58 * 163.314 * 3 * 7168 * 2048, rel=1e-3)


def test_a_cached_prefix_saves_products_but_is_still_attended_to() -> None:
    # Half of 8,192 tokens cached: half of the products, and of 33.6M pairs all but the 8.4M of the first half.
    model, h100 = costcalc.load_model("llama-3.1-8b"), machine_of(costcalc.load_gpu("h100"))
    formats = resolve_formats(model.precision, h100.peak_flops)

    def flops(kind: str, tokens: int, cached: int) -> float:
        ops = prefill_pass(model, h100, Parallelism(), formats, IDEAL, tokens, cached).ops
        return sum(float(op.flops) for op in ops if op.kind == kind)

    assert flops("gemm", 4096, 4096) == flops("gemm", 8192, 0) / 2
    pairs = [flops("prefill", 4096, 4096), flops("prefill", 8192, 0)]
    assert pairs[0] / pairs[1] == pytest.approx(1 - (4096 * 4097) / (8192 * 8193), rel=1e-12)


def test_stages_work_on_micro_batches() -> None:
    # Two stages with a micro-batch each: a token's latency is the sum over stages, and 2 x 32 sequences a step.
    one = ideal_step("llama-3.1-8b", "h100", Parallelism(), 32, 1000)
    two = ideal_step("llama-3.1-8b", "h100", Parallelism(pp=2), 64, 1000)
    handed_over = busy(two, "pipeline")
    assert float(two.seconds) == pytest.approx(float(one.seconds) + handed_over, rel=1e-12)
    assert handed_over == pytest.approx(32 * 4096 * 2 / 450e9, rel=1e-6)


@pytest.mark.parametrize(
    ("weights", "gpu", "computed"),
    [
        ("fp8", "h100", "fp8"),
        ("fp8", "a100", "bf16"),  # Ampere has no fp8 units: weights stay fp8 in memory
        ("mxfp4", "h100", "bf16"),  # Hopper multiplies mxfp4 weights by 16-bit activations
        ("nvfp4", "h100", "fp8"),
        ("nvfp4", "b200", "fp4"),
        ("bf16", "t4", "fp16"),
    ],
)
def test_work_runs_in_what_the_machine_has(weights: str, gpu: str, computed: str) -> None:
    rates = costcalc.load_gpu(gpu).peak_flops.rates()
    assert resolve_formats(Precision(weights=weights), rates).compute == computed


def test_no_rate_and_no_stand_in_is_an_error() -> None:
    with pytest.raises(CostcalcError, match="no known fp64 rate"):
        compute_precision("fp64", {"bf16"})


def test_overlap_of_the_roofline() -> None:
    times = np.array([3.0, 4.0])
    assert roofline_seconds(*times) == 4  # both at once
    assert roofline_seconds(*times, norm=1) == 7  # one after the other
    assert roofline_seconds(*times, norm=2) == 5


def test_a_pass_that_checks_drafts_reads_once_and_multiplies_for_every_token() -> None:
    # Leviathan et al. 2023 (arXiv 2211.17192), 3.4: the cache is read once for all drafted tokens, arithmetic grows
    # with them, and more tokens reach more experts: 8 sequences of 4 tokens are 32 tokens to the router.
    model, h100 = costcalc.load_model("v3"), machine_of(costcalc.load_gpu("h100"))
    formats = resolve_formats(model.precision, h100.peak_flops)
    one, four, wide = (
        {op.kind: op for op in decode_step(model, h100, Parallelism(), formats, IDEAL, batch, 4096, tokens).ops}
        for batch, tokens in ((8, 1), (8, 4), (32, 1))
    )
    assert four["latent"].bytes == one["latent"].bytes
    assert four["latent"].flops == 4 * one["latent"].flops
    assert four["experts"].bytes == wide["experts"].bytes > one["experts"].bytes
    assert four["head"].flops == wide["head"].flops == 4 * one["head"].flops
