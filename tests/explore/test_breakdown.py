"""A breakdown adds up to its step, and shows of all-to-all what computation does not hide."""

from __future__ import annotations

import pytest

import costcalc


@pytest.mark.parametrize("options", [{}, {"gpus": 72, "batch": 72 * 128}, {"efficiency": "ideal"}])
def test_ops_add_up_to_the_step(options: dict[str, object]) -> None:
    answer = costcalc.estimate("v3", "h100", **options)  # type: ignore[arg-type]
    assert sum(op.time_s for op in answer.breakdown) == pytest.approx(answer.decode.step_time_s)
    assert all(op.time_s > 0 for op in answer.breakdown)


def test_what_hides_is_said() -> None:
    # DeepSeek-V3 over two nodes: experts' traffic leaves the domain; halves of a batch take turns where that is asked
    # for (2412.19437, 3.2).
    layout = {"gpus": 16, "batch": 512, "attention_data_parallel": 16, "expert_parallel": 16}
    plain, turns = (costcalc.estimate("v3", "h100", **layout, two_batch_overlap=asked) for asked in (False, True))
    assert any("all-to-all" in note and "take turns" in note for note in turns.notes)
    assert not any("take turns" in note for note in plain.notes)
    sent = sum(op.time_s for op in plain.breakdown if op.op.startswith("all-to-all"))
    shown = sum(op.time_s for op in turns.breakdown if op.op.startswith("all-to-all"))
    assert 0 <= shown < sent
    tensor = costcalc.estimate("v3", "h200", gpus=8, batch=32, tensor_parallel=8, two_batch_overlap=True)
    assert not any("take turns" in note for note in tensor.notes)
