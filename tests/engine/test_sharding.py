"""Layouts neither lose nor invent work: what all ranks hold, read and compute covers the whole model."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_specs import deployments, layouts, models

import costcalc
from costcalc.engine.memory import cache_bytes_per_token, cache_bytes_per_token_per_gpu, weights_bytes_per_gpu
from costcalc.engine.ops import COMMUNICATION, decode_batch, prefill_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.formats import CACHE_FORMATS
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.spec import ModelSpec, Precision
from costcalc.predict.scenario import Scenario

PEAKS = {"bf16", "fp8", "int8"}
SLACK = 1 + 1e-9
BF16 = CACHE_FORMATS["bf16"]


@given(st.data())
def test_all_gpus_together_hold_every_weight(data: st.DataObject) -> None:
    model = data.draw(models())
    layout = data.draw(layouts(model))
    formats = resolve_formats(model.precision, PEAKS)
    whole = float(weights_bytes_per_gpu(model, Parallelism(), formats))
    assert float(weights_bytes_per_gpu(model, layout, formats)) * float(layout.gpus) * SLACK >= whole


@given(models())
def test_one_gpu_holds_every_parameter_once(model: ModelSpec) -> None:
    # All in 16 bits: two bytes a parameter.
    formats = resolve_formats(Precision(), PEAKS)
    held = float(weights_bytes_per_gpu(model, Parallelism(), formats)) / 2 - model.tower_parameters
    # What layers share is counted once, and what some models keep beside the layers is in no layer.
    apart = model.shared_parameters + model.other_parameters
    assert held == pytest.approx(model.total_parameters, abs=apart + 1e-6 * model.total_parameters)


@given(st.data())
def test_tensor_ranks_together_cache_every_head(data: st.DataObject) -> None:
    model = data.draw(models())
    layout = data.draw(layouts(model))
    formats = resolve_formats(model.precision, PEAKS)
    logical = cache_bytes_per_token(model, formats)
    ranks = float(layout.tp * layout.pp)
    assert float(cache_bytes_per_token_per_gpu(model, layout, formats)) * ranks * SLACK >= logical


def compute(q: Scenario, layout: Parallelism, batch: int, context: int) -> float:
    """FLOPs of all GPUs in one decode step of `batch` sequences."""
    works = step_ops(q.model, layout, q.formats, decode_batch(batch, context, layout))
    flops = sum(float(w.layers * w.flops) for w in works if w.kind not in COMMUNICATION)
    # Every stage runs its own layers, one micro-batch after the other.
    return flops * float(layout.stage * layout.pp)


@given(deployments(), st.integers(1, 100), st.integers(1, 100_000))
def test_all_gpus_together_compute_every_product(
    deployment: tuple[Scenario, Scenario, Parallelism], per_rank: int, context: int
) -> None:
    q, _, layout = deployment
    batch = per_rank * int(layout.attention_dp * layout.pp)
    assert compute(q, layout, batch, context) * SLACK >= compute(q, Parallelism(), batch, context)


def test_kv_heads_are_divided_and_then_replicated() -> None:
    layer = GroupedAttention(num_attention_heads=64, num_key_value_heads=8, head_dim=128)
    held = [float(layer.growth_bytes(BF16, ranks)) for ranks in (1, 2, 4, 8, 16, 64)]
    assert held == [4096 / min(ranks, 8) for ranks in (1, 2, 4, 8, 16, 64)]


@pytest.mark.parametrize(("mode", "divided"), [("absorbed", False), ("naive", False), ("expanded", True)])
def test_a_latent_is_whole_on_every_rank(mode: str, divided: bool) -> None:
    layer = costcalc.load_model("v3").attention["mla"]
    assert isinstance(layer, LatentAttention)
    layer = replace(layer, mode=mode)
    assert layer.growth_bytes(BF16, 8) == layer.growth_bytes(BF16, 1) / (8 if divided else 1)


def test_decode_multiplies_every_active_weight_twice() -> None:
    # 2 FLOPs per active parameter and token (Kaplan et al. 2020), besides attention's 4·S·H·d_h a layer.
    model = costcalc.load_model("llama-3.1-70b")
    formats = resolve_formats(model.precision, PEAKS)
    works = step_ops(model, Parallelism(), formats, decode_batch(7, 1000, Parallelism()))
    flops = sum(float(w.layers * w.flops) for w in works)
    assert flops == pytest.approx(7 * (2 * model.active_parameters + 80 * 4 * 1000 * 64 * 128), rel=1e-12)


def test_prefill_of_gpt3_by_the_formula_of_megatron() -> None:
    # Narayanan et al. 2021 (arXiv 2104.04473), appendix: a layer's forward pass takes 24·s·h² + 4·s²·h FLOPs.
    # Causal attention needs the lower half of the square, its diagonal included; only one token its logits.
    model, s, h, layers = costcalc.load_model("gpt-3"), 2048, 12_288, 96
    formats = resolve_formats(model.precision, PEAKS)
    works = step_ops(model, Parallelism(), formats, prefill_batch(s, 0))
    flops = sum(float(w.layers * w.flops) for w in works)
    expected = layers * (24 * s * h**2 + 4 * h * s * (s + 1) / 2) + 2 * h * model.vocab_size
    assert flops == pytest.approx(expected, rel=1e-12)
