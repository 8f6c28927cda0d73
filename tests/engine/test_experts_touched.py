"""Experts that a batch reaches, against counting every possible routing."""

from __future__ import annotations

from itertools import combinations, product
from math import comb

import numpy as np
import pytest

from costcalc.model.ffn import experts_touched


def average_over_all_routings(experts: int, per_token: int, tokens: int) -> float:
    """Distinct experts, averaged over every choice of `per_token` experts by every token."""
    choices = list(combinations(range(experts), per_token))
    distinct = [len(set().union(*routing)) for routing in product(choices, repeat=tokens)]
    assert len(distinct) == comb(experts, per_token) ** tokens
    return sum(distinct) / len(distinct)


@pytest.mark.parametrize(
    ("experts", "per_token", "tokens"), [(4, 1, 5), (4, 2, 4), (5, 2, 3), (6, 3, 3), (8, 2, 2), (3, 3, 2), (7, 1, 1)]
)
def test_balanced_routing_by_enumeration(experts: int, per_token: int, tokens: int) -> None:
    counted = average_over_all_routings(experts, per_token, tokens)
    assert experts_touched(experts, per_token, tokens) == pytest.approx(counted, rel=1e-12)


def test_deepseek_v3() -> None:
    # 256(1 - (1 - 8/256)^B): what a decode step of B tokens reads of each expert layer.
    found = experts_touched(256, 8, np.array([1, 8, 32, 64, 128]))
    np.testing.assert_allclose(found, [8.0, 57.4, 163.3, 222.4, 251.6], atol=0.05)
