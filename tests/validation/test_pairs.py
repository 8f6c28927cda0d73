"""Chances that one of two is cheaper come true as often as they say, on pairs of measured runs."""

from __future__ import annotations

import numpy as np
import pytest

import costcalc
from costcalc.predict.odds import COMMON, chance_cheaper, deviation, deviation_between
from costcalc.predict.scenario import asked
from costcalc.validation.files import shipped_measurements
from costcalc.validation.serving.pairs import Pairs, pairs_of, tenths
from costcalc.validation.serving.score import as_serving_row

ROWS = [*shipped_measurements("e2e").rows, *map(as_serving_row, shipped_measurements("field").rows)]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return pairs_of(ROWS)


def _same(pairs: Pairs, name: str) -> np.ndarray:
    words = np.array([str(row.get(name)).lower() for row in ROWS])
    return np.asarray(words[pairs.first] == words[pairs.second])


def test_stated_chances_come_true_within_five_points(pairs: Pairs) -> None:
    for each in tenths(pairs):
        assert abs(each.stated - each.observed) < 0.05, each
    assert sum(each.pairs for each in tenths(pairs)) > 300_000


def test_so_they_do_for_one_model_on_two_gpus(pairs: Pairs) -> None:
    # What `compare gpus` states. Sources write a model in several ways; those that agree are enough.
    for each in tenths(pairs, _same(pairs, "model") & ~_same(pairs, "gpu")):
        assert abs(each.stated - each.observed) < 0.05, each


def test_errors_in_common_cancel_and_the_rest_adds_up() -> None:
    assert deviation_between(0.3, 0.4, False) == pytest.approx(0.5)  # 3, 4, 5
    assert deviation_between(0.2, 0.2, True) == pytest.approx(0.2 * (2 * (1 - COMMON)) ** 0.5)


def test_chances_of_both_sides_sum_to_one_and_equal_costs_are_even() -> None:
    a, b = (asked("llama-3.1-70b", gpu, {}) for gpu in ("h100", "mi300x"))
    assert chance_cheaper(a, b, 1.0, 1.0) == 0.5
    here, there = chance_cheaper(a, b, 1.0, 1.3), chance_cheaper(b, a, 1.3, 1.0)
    assert here is not None and there is not None
    assert here > 0.5 and here + there == pytest.approx(1, abs=1e-12)
    ideal = asked("llama-3.1-70b", "h100", {"efficiency": "ideal"})
    assert deviation(ideal) == 0 and chance_cheaper(ideal, ideal, 1.0, 2.0) is None
    assert chance_cheaper(a, b, None, 1.0) is None


def test_a_comparison_states_them_and_names_what_to_measure() -> None:
    found = costcalc.compare_gpus(["h100", "mi300x", "b200"], "llama-3.1-70b", price=2.0)
    first, *others = found.rows
    assert first.chance_cheaper is None
    for row in others:
        assert 0 <= (row.chance_cheaper or 0) <= 1
        assert (row.cost_ratio < 1) == (row.chance_cheaper > 0.5)
    near = [row for row in others if 0.1 < row.chance_cheaper < 0.9]
    assert any(note.startswith("Nearest call: ") for note in found.notes) == bool(near)
