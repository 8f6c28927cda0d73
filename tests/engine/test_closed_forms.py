"""Speculation, training, dollars and queues in closed form, against enumeration and published runs."""

from __future__ import annotations

import numpy as np
import pytest

import costcalc
from costcalc.engine.cost import (
    blended_usd_per_million,
    break_even_utilization,
    training_flops_per_token,
    training_gpu_hours,
    training_usd,
    training_utilization,
    usd_per_million,
)
from costcalc.engine.queueing import concurrency
from costcalc.engine.step import tokens_per_pass


@pytest.mark.parametrize("acceptance", [0.0, 0.3, 0.8, 1.0])
@pytest.mark.parametrize("drafts", [0, 1, 4])
def test_tokens_per_pass_by_enumeration(acceptance: float, drafts: int) -> None:
    # i drafts are kept and the next is not, or all are; the pass itself adds one token.
    kept = [acceptance**i * (1 - acceptance) * (i + 1) for i in range(drafts)]
    expected = sum(kept) + acceptance**drafts * (drafts + 1)
    assert tokens_per_pass(acceptance, drafts) == pytest.approx(expected, rel=1e-12)


def test_later_drafts_are_kept_less_often() -> None:
    # Chances 0.8, 0.8 · 0.6 and 0.8 · 0.6^2, each where those before were kept.
    assert tokens_per_pass(0.8, 3, 0.6) == pytest.approx(1 + 0.8 + 0.8 * 0.48 + 0.8 * 0.48 * 0.288)
    assert np.all(np.diff(tokens_per_pass(0.8, np.arange(6), 0.6)) > 0)


def test_multi_token_prediction_of_deepseek_v3() -> None:
    # DeepSeek-V3 report (arXiv 2412.19437), 5.4.3: the second token is accepted 85% to 90% of the time, 1.8x TPS.
    np.testing.assert_allclose(tokens_per_pass(np.array([0.85, 0.9]), 1), [1.85, 1.9])
    assert tokens_per_pass(0.85, 1) / (1 + 1 / 61) == pytest.approx(1.8, rel=0.02)


def test_training_of_deepseek_v3() -> None:
    # 14.8T tokens in 2.664M H800 hours (arXiv 2412.19437, tables 1 and 4.2); with 37B active parameters and no
    # attention this is 34.6% of the bf16 peak. 2.788M hours in all, $5.576M at $2.
    peak = costcalc.load_gpu("h800").peak("bf16").flops
    flops = 6 * 37e9 * 14.8e12
    assert training_utilization(flops, 2.664e6, peak) == pytest.approx(0.346, abs=0.001)
    assert training_gpu_hours(flops, peak, 0.346) == pytest.approx(2.664e6, rel=0.003)
    assert training_usd(2.788e6, 2.0) == pytest.approx(5.576e6)


def test_training_of_gpt3() -> None:
    # Brown et al. 2020 (arXiv 2005.14165), table D.1: 300B tokens, 3.14e23 FLOPs, attention left out.
    model = costcalc.load_model("gpt-3")
    assert training_flops_per_token(model, 1) * 300e9 == pytest.approx(3.14e23, rel=0.01)


def test_training_of_palm() -> None:
    # Chowdhery et al. 2022 (arXiv 2204.02311), table 3: 238.3K tokens/s on 6,144 TPU v4 (275 TFLOP/s) are 46.2% of
    # the peak, with the whole square of attention; causal attention is half of it.
    model, tokens = costcalc.load_model("palm-540b"), 238.3e3
    flops = tokens * float(training_flops_per_token(model, 2048))
    square = tokens * 12 * 118 * 48 * 256 * 2048 / 2
    assert training_utilization(flops + square, 1, 6144 * 275e12 / 3600) == pytest.approx(0.462, rel=0.01)


def test_dollars_of_a_fleet() -> None:
    # DeepSeek's day (open-infra-index, day 6): 226.75 nodes at $16/h earn 168B output tokens.
    assert usd_per_million(226.75 * 8, 2.0, 168e9 / 86_400) == pytest.approx(0.518, abs=0.001)


def test_blended_price_is_the_whole_bill_over_all_tokens() -> None:
    # DeepSeek-V3's list: $0.27 in, $1.10 out; 4,096 in and 1,024 out cost 0.1106 + 0.1126 cents.
    blended = blended_usd_per_million(0.27, 1.10, 4096, 1024)
    assert blended == pytest.approx((4096 * 0.27 + 1024 * 1.10) / 5120)


def test_break_even_is_the_use_at_which_both_cost_the_same() -> None:
    busy = break_even_utilization(0.5, 2.0)
    assert usd_per_million(1, 1.0, 1e6 / 3600 / 0.5, busy) == pytest.approx(2.0)


def test_littles_law() -> None:
    # DeepSeek's day: 14.8k tokens/s a node, 20 to 22 tokens/s a user.
    assert concurrency(14_800, 1 / 21) == pytest.approx(705, abs=1)
