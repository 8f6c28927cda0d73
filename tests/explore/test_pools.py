"""Pools apart: the slower one bounds what both serve, and both are paid for."""

from __future__ import annotations

import pytest

import costcalc
from costcalc.errors import CostcalcError

ASKED = {"gpus": 16, "input_tokens": 4096, "output_tokens": 1024, "disaggregated": True}


@pytest.mark.parametrize("pool", [None, 4, 8, 16, 32])
@pytest.mark.parametrize("layout", [{}, {"prefill_tp": 8}, {"prefill_dp": 8, "prefill_ep": 8}])
def test_both_pools_are_paid_by_what_they_serve(pool: int | None, layout: dict[str, int]) -> None:
    answer = costcalc.estimate("v3", "h100", prefill_gpus=pool, **layout, **ASKED)
    cost, serving = answer.cost, answer.serving
    gpus = 16 + serving.prefill_gpus
    tokens = serving.output_tokens_per_s * (4096 + 1024) / 1024
    assert cost.usd_per_million_blended_tokens * tokens * 3600 / 1e6 == pytest.approx(gpus * 2.0)
    assert serving.output_tokens_per_s_per_gpu == pytest.approx(serving.output_tokens_per_s / gpus)
    assert serving.output_tokens_per_s <= answer.decode.tokens_per_s * (1 + 1e-12)


def test_a_small_pool_brings_as_many_prompts_as_it_has_gpus_and_a_large_one_waits() -> None:
    served = {
        pool: costcalc.estimate("v3", "h100", prefill_gpus=pool, **ASKED).serving.output_tokens_per_s
        for pool in (2, 4, 64, 128)
    }
    assert served[4] == pytest.approx(2 * served[2])
    assert served[128] == served[64]


@pytest.mark.parametrize("name", ["prefill_gpus", "prefill_tp", "prefill_dp", "prefill_ep"])
def test_a_pool_is_told_only_where_there_is_one(name: str) -> None:
    with pytest.raises(CostcalcError, match="no pool of its own"):
        costcalc.estimate("v3", "h100", **{name: 8})


def test_what_bounds_an_op_is_what_takes_its_time() -> None:
    # llama.cpp multiplies 8-bit integers at a fraction of the peak: prompts are bound by arithmetic, answers by memory.
    answer = costcalc.estimate("llama-3.1-8b", "m2-ultra", backend="llamacpp", batch=1, gpus=1, context=512)
    assert answer.decode.bound_by == "memory"
    crowd = costcalc.estimate("llama-3.1-8b", "m2-ultra", backend="llamacpp", batch=256, gpus=1, context=512)
    ffn = next(op for op in crowd.breakdown if op.op == "dense FFN")
    assert ffn.bound_by == "compute"
