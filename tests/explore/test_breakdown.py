"""A breakdown adds up to its step, and shows of all-to-all what computation does not hide."""

from __future__ import annotations

import pytest

import costcalc
from costcalc.catalog.catalog import Catalog


@pytest.mark.parametrize("options", [{}, {"gpus": 72, "batch": 72 * 128}, {"efficiency": "ideal"}])
def test_ops_add_up_to_the_step(options: dict[str, object]) -> None:
    answer = costcalc.estimate("v3", "h100", **options)  # type: ignore[arg-type]
    assert sum(op.time_s for op in answer.breakdown) == pytest.approx(answer.decode.step_time_s)
    assert all(op.time_s > 0 for op in answer.breakdown)


def test_a_step_that_waits_for_the_host_says_so() -> None:
    # SGLang's process takes some 40 us for every sequence of a step, beside the GPU.
    answer = costcalc.estimate("llama-3.1-8b", "b200", backend="sglang", gpus=1, batch=512, context=256, tuning="tuned")
    times = {op.op: op.time_s for op in answer.breakdown}
    assert times["waiting for the host"] > 0
    assert sum(times.values()) == pytest.approx(answer.decode.step_time_s)
    assert answer.decode.step_time_s == pytest.approx(512 * Catalog().serving_efficiency().engine("sglang").host)


def test_what_hides_is_said() -> None:
    # DeepSeek-V3 over two nodes: experts' traffic leaves the domain; halves of a batch take turns where that is asked
    # for (2412.19437, 3.2).
    layout = {"gpus": 16, "batch": 384, "attention_data_parallel": 16, "expert_parallel": 16}
    plain, turns = (costcalc.estimate("v3", "h100", **layout, two_batch_overlap=asked) for asked in (False, True))
    assert any("all-to-all" in note and "take turns" in note for note in turns.notes)
    assert not any("take turns" in note for note in plain.notes)
    sent = sum(op.time_s for op in plain.breakdown if op.op.startswith("all-to-all"))
    shown = sum(op.time_s for op in turns.breakdown if op.op.startswith("all-to-all"))
    assert 0 <= shown < sent
    tensor = costcalc.estimate("v3", "h200", gpus=8, batch=32, tensor_parallel=8, two_batch_overlap=True)
    assert not any("take turns" in note for note in tensor.notes)


def test_the_more_experts_differ_the_longer_a_step_waits_for_the_hottest_rank() -> None:
    layout = {"gpus": 16, "attention_data_parallel": 16, "expert_parallel": 16, "batch": 384}
    for rising in (["uniform", "zipf:0.5", "zipf:1.2"], ["1", "1.5", 3.0]):
        steps = [costcalc.estimate("v3", "h100", imbalance=each, **layout).decode for each in rising]  # type: ignore[arg-type]
        times = [step.step_time_s for step in steps]
        assert None not in times and times == sorted(times) and len(set(times)) == 3  # type: ignore[type-var]
    with pytest.raises(costcalc.CostcalcError, match="at least 1"):
        costcalc.estimate("v3", "h100", imbalance="0.5")
