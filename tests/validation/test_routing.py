"""Skewed routing, against properties that any distribution of pairs has."""

from __future__ import annotations

import pytest

from costcalc.validation.kernels.rows import power_law_load


def test_one_rank_computes_every_pair():
    assert power_law_load(384, 8, 2, 1)[0] == pytest.approx(768)
    assert power_law_load(12288, 160, 8, 1)[0] == pytest.approx(98304)


@pytest.mark.parametrize(("tokens", "experts", "topk", "ranks"), [(3072, 256, 8, 4), (1536, 160, 8, 32)])
def test_the_fullest_rank_has_more_than_its_share(tokens, experts, topk, ranks):
    pairs, hits = power_law_load(tokens, experts, topk, ranks)
    share = tokens * topk / ranks
    assert share < pairs < tokens * topk
    assert 0 < hits <= experts / ranks


def test_never_more_experts_hit_than_pairs():
    for tokens in (1, 2, 4, 16):
        pairs, hits = power_law_load(tokens, 256, 8, 8)
        assert hits <= pairs <= 8 * tokens


def test_more_ranks_than_experts_is_no_more_than_one_each():
    assert power_law_load(64, 8, 2, 16)[1] <= 1
