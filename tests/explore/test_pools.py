"""Pools apart: the slower one bounds what both serve, and both are paid for."""

from __future__ import annotations

import pytest

import costcalc
from costcalc.engine.ops import prefill_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.engine.roofline import machine_of
from costcalc.errors import CostcalcError
from costcalc.units import format_usd

ASKED = {"gpus": 16, "input_tokens": 4096, "output_tokens": 1024, "disaggregated": True}


@pytest.mark.parametrize("pool", [None, 16, 32, 64])
@pytest.mark.parametrize("layout", [{}, {"prefill_tp": 16}, {"prefill_dp": 16, "prefill_ep": 16}])
def test_both_pools_are_paid_by_what_they_serve(pool: int | None, layout: dict[str, int]) -> None:
    answer = costcalc.estimate("v3", "h100", prefill_gpus=pool, **layout, **ASKED)
    cost, serving = answer.cost, answer.serving
    gpus = 16 + serving.prefill_gpus
    tokens = serving.output_tokens_per_s * (4096 + 1024) / 1024
    assert cost.usd_per_million_blended_tokens * tokens * 3600 / 1e6 == pytest.approx(
        gpus * (answer.deployment.usd_per_gpu_hour or 0)
    )
    assert serving.output_tokens_per_s_per_gpu == pytest.approx(serving.output_tokens_per_s / gpus)
    assert serving.output_tokens_per_s <= answer.decode.tokens_per_s * (1 + 1e-12)


def test_a_small_pool_brings_as_many_prompts_as_it_has_gpus_and_a_large_one_waits() -> None:
    served = {
        pool: costcalc.estimate("v3", "h100", prefill_gpus=pool, **ASKED | {"input_tokens": 65_536}).serving
        for pool in (16, 32, 1024, 2048)
    }
    rates = {pool: each.output_tokens_per_s for pool, each in served.items()}
    assert rates[32] == pytest.approx(2 * rates[16])
    assert rates[2048] == rates[1024]


@pytest.mark.parametrize("name", ["prefill_gpus", "prefill_tp", "prefill_dp", "prefill_ep", "prefill_cp"])
def test_a_pool_is_told_only_where_there_is_one(name: str) -> None:
    with pytest.raises(CostcalcError, match="no pool of its own"):
        costcalc.estimate("v3", "h100", **{name: 8})


SHARED = {"gpus": 8, "input_tokens": 32_768, "disaggregated": True, "prefill_tp": 8}


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_that_share_a_prompt_do_each_their_part_of_it(ranks: int) -> None:
    model = costcalc.load_model("llama-3.1-70b")
    formats = resolve_formats(model.precision, machine_of(costcalc.load_gpu("h100")).peak_flops)
    whole = step_ops(model, Parallelism(8, 1), formats, prefill_batch(32_768, 0))
    parts = step_ops(model, Parallelism(8, ranks), formats, prefill_batch(32_768, 0, split=ranks))
    for one, part in zip(whole[:2], parts[:2], strict=True):  # projections and the attention itself
        assert part.flops == pytest.approx(one.flops / ranks)
    exchange = next(op for op in parts if op.op == "context exchange")
    # One of 8 KV heads per rank, 128 elements of keys and of values in 16 bits; half of an all-reduce is a gather.
    assert exchange.bytes == 32_768 * (128 + 128) * 2 / 2
    assert (exchange.ranks, exchange.layers) == (ranks, 80)


def test_first_tokens_come_sooner_where_more_ranks_share_a_prompt_at_more_gpu_time() -> None:
    alone, two, four = (costcalc.estimate("llama-3.1-70b", "h100", **SHARED, prefill_cp=ranks) for ranks in (1, 2, 4))
    assert alone.serving == costcalc.estimate("llama-3.1-70b", "h100", **SHARED).serving
    first = [each.serving.time_to_first_token_s for each in (alone, two, four)]
    assert first[0] > first[1] > first[2] > first[0] / 4
    costs = [each.cost.usd_per_million_input_tokens for each in (alone, two, four)]
    assert costs == sorted(costs)


@pytest.mark.parametrize(
    ("model", "told", "message"),
    [
        ("v3", {"prefill_tp": 3}, "--prefill-tp 3 does not divide the 128 attention heads"),
        ("v3", {"prefill_ep": 7}, "--prefill-ep 7 does not divide the 1 GPU"),
        ("v3", {"prefill_tp": 1}, "do not fit the 1 GPU of a worker that prefills"),
        ("qwen3-next-80b-a3b", {"prefill_tp": 4, "prefill_cp": 2}, "has layers with states"),
    ],
)
def test_workers_that_no_engine_would_start_are_refused(model: str, told: dict[str, int], message: str) -> None:
    with pytest.raises(CostcalcError, match=message):
        costcalc.estimate(model, "h100", gpus=16, disaggregated=True, **told)


def test_what_bounds_an_op_is_what_takes_its_time() -> None:
    # llama.cpp multiplies 8-bit integers at a fraction of the peak: prompts are bound by arithmetic, answers by memory.
    answer = costcalc.estimate("llama-3.1-8b", "m2-ultra", backend="llamacpp", batch=1, gpus=1, context=512)
    assert answer.decode.bound_by == "memory"
    crowd = costcalc.estimate("llama-3.1-8b", "m2-ultra", backend="llamacpp", batch=256, gpus=1, context=512)
    ffn = next(op for op in crowd.breakdown if op.op == "dense FFN")
    assert ffn.bound_by == "compute"


def test_a_pool_that_prefills_holds_a_whole_worker() -> None:
    asked = {"gpus": 8, "tensor_parallel": 8, "disaggregated": True}
    with pytest.raises(CostcalcError) as refused:
        costcalc.estimate("llama-3.1-70b", "h100", **asked, prefill_gpus=4)
    assert str(refused.value).startswith("prefill_gpus: 4 GPUs are less than a worker that prefills, which takes 8")
    assert costcalc.estimate("llama-3.1-70b", "h100", **asked, prefill_gpus=4, prefill_tp=4).serving.prefill_gpus == 4
    with pytest.raises(CostcalcError, match="less than a worker"):
        costcalc.sweep("llama-3.1-70b", "h100", **asked, prefill_gpus=4, batch=[1, 2])
    with pytest.raises(CostcalcError, match="less than a worker"):
        costcalc.frontier("llama-3.1-70b", "h100", **asked, prefill_gpus=4)
    # A layout that is free becomes one whose workers fit.
    free = costcalc.estimate("llama-3.1-70b", "8xh100", disaggregated=True, prefill_gpus=2, weights="fp8")
    assert free.deployment.gpus // free.deployment.replicas <= 2
    odd = costcalc.estimate("llama-3.1-70b", "h100", **asked, prefill_gpus=12)
    assert any("only whole ones start, of --prefill-gpus 8 or 16" in note for note in odd.notes)


def test_a_demand_is_told_where_pools_apart_serve_it_with_fewer_gpus() -> None:
    asked = {"demand": "20 rps", "input_tokens": 8000, "output_tokens": 500}
    one, apart = (costcalc.estimate("v3", "h100", **asked, disaggregated=told) for told in (False, True))
    assert one.demand and apart.demand
    [told] = [note for note in one.notes if "--disaggregated" in note]
    assert f"{apart.demand.gpus:,} GPUs and {format_usd(apart.demand.usd_per_month)} a month" in told
    assert f"{1 - apart.demand.gpus / one.demand.gpus:.2g}".removeprefix("0.") in told
    assert apart.demand.gpus < 0.9 * one.demand.gpus
    assert not [note for note in apart.notes if "--disaggregated" in note]
    # Where they hardly save anything nothing is said, nor without a demand.
    few = {**asked, "input_tokens": 256, "output_tokens": 1024}
    ways = [costcalc.estimate("llama-3.1-8b", "h100", **few, disaggregated=told) for told in (False, True)]
    assert ways[0].demand and ways[1].demand and ways[1].demand.gpus >= 0.9 * ways[0].demand.gpus
    for answer in (ways[0], costcalc.estimate("v3", "h100", input_tokens=8000, output_tokens=500)):
        assert not any("--disaggregated" in note for note in answer.notes)
