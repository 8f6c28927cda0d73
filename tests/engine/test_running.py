"""Ranks without a sequence do nothing: totals of a replica are those of what really runs."""

from __future__ import annotations

import pytest

import costcalc

EXPERT = 3 * 7168 * 2048  # parameters of one of DeepSeek-V3's experts
FP8_BLOCK = 1 + 4 / 128**2  # bytes, with a scale of four for every block of 128 x 128


def ops(**options: object) -> dict[str, float]:
    answer = costcalc.estimate(**options)  # type: ignore[arg-type]
    return {op.op: op.bytes for op in answer.breakdown}


@pytest.mark.parametrize("pipeline", [1, 2, 4])
def test_one_sequence_reads_its_cache_once_over_all_stages(pipeline: int) -> None:
    # GPT-3 at 100,000 tokens: 4,718,592 B each.
    read = ops(model="gpt-3", gpu="h100", batch=1, context=100_000, tensor_parallel=8, pipeline_parallel=pipeline * 2)
    assert read["attention core"] == pytest.approx(471.8592e9)


def test_stages_read_their_weights_once_for_each_sequence_that_passes() -> None:
    two = ops(model="gpt-3", gpu="h100", batch=1, tensor_parallel=8, pipeline_parallel=2)
    assert two["dense FFN"] == pytest.approx(96 * 2 * 12288 * 49152 * 2)  # every matrix once, in 16 bits
    both = ops(model="gpt-3", gpu="h100", batch=2, tensor_parallel=8, pipeline_parallel=2)
    assert both["dense FFN"] == pytest.approx(2 * two["dense FFN"])  # two micro-batches


@pytest.mark.parametrize("batch", [1, 2, 8, 16, 64])
def test_as_many_experts_are_read_as_tokens_touch(batch: int) -> None:
    # Balanced routing: E (1 - (1 - k/E)^B), exactly 8 of 256 for one token.
    touched = 256 * (1 - (1 - 8 / 256) ** batch)
    read = ops(model="v3", gpu="h100", batch=batch, gpus=16, attention_data_parallel=16)
    assert read["routed experts"] == pytest.approx(58 * touched * EXPERT * FP8_BLOCK, rel=1e-3)


def test_ranks_without_a_sequence_read_no_attention_weights() -> None:
    one, three, full, twice = (
        ops(model="v3", gpu="h100", batch=batch, gpus=16, attention_data_parallel=16)["attention projections"]
        for batch in (1, 3, 16, 32)
    )
    assert three == pytest.approx(3 * one)
    assert full == twice == pytest.approx(16 * one)


def test_the_busiest_gpu_takes_as_long_with_one_sequence_as_with_one_on_each_rank() -> None:
    one, all_of_them = (
        costcalc.estimate("v3", "h100", batch=batch, gpus=16, attention_data_parallel=16).decode.step_time_s
        for batch in (1, 16)
    )
    assert one == all_of_them


EXPERTS_KEPT = {"attention_data_parallel": 16, "expert_parallel": 16}  # which layout is best, the terms decide, too


@pytest.mark.parametrize("layout", [EXPERTS_KEPT, {"tensor_parallel": 8, "pipeline_parallel": 2}])
@pytest.mark.parametrize("batch", [1, 16, 128])
def test_reads_alone_never_take_longer_than_in_the_whole_step(layout: dict[str, int], batch: int) -> None:
    whole = costcalc.estimate("v3", "h100", batch=batch, gpus=16, **layout)  # type: ignore[arg-type]
    times = {op.op: op.time_s for op in whole.breakdown}
    for terms in ("kv", "weights"):
        part = costcalc.estimate("v3", "h100", batch=batch, gpus=16, terms=terms, **layout)  # type: ignore[arg-type]
        assert part.breakdown
        for op in part.breakdown:
            assert 0 < op.time_s <= times[op.op]
        assert (part.decode.step_time_s or 0) < (whole.decode.step_time_s or 0)


def test_the_batch_of_a_term_is_the_one_that_its_defaults_name() -> None:
    answer = costcalc.estimate("v3", "h100", gpus=16, terms="weights")
    (batch,) = [each.value for each in answer.assumptions if each.name == "batch"]
    assert batch == str(answer.workload.batch) == "16"  # one sequence on each rank


def test_an_expert_that_is_cut_is_sent_to_every_gpu_that_holds_a_part() -> None:
    # Two groups of eight GPUs each: a token's 8 experts are in both, on all 16.
    deployment, cut = (
        ops(model="v3", gpu="h100", batch=320, gpus=16, attention_data_parallel=16, expert_parallel=e) for e in (16, 2)
    )
    assert cut["all-to-all dispatch"] == pytest.approx(deployment["all-to-all dispatch"] * 16 / 8)
