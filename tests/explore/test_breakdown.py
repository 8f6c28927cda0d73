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
    # DeepSeek-V3 over two nodes: experts' traffic leaves the domain, so halves of a batch take turns (2412.19437, 3.2).
    answer = costcalc.estimate("v3", "h100", gpus=16, batch=384)
    assert any("all-to-all" in note and "take turns" in note for note in answer.notes)
    inside = costcalc.estimate("v3", "h200", gpus=8, batch=256)
    assert not any("take turns" in note for note in inside.notes)
