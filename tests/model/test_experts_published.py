"""Feed-forward layers against the reference classes of transformers 5.23.0, and experts reached by a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import ValidationError

from costcalc.catalog.check import validator
from costcalc.model.ffn import AnyFeedForward, FeedForward, experts_touched


def layer(**spec: Any) -> FeedForward:
    made: FeedForward = validator(AnyFeedForward).validate_python(spec)
    return made


def experts(count: int, per_token: int, width: int, **more: Any) -> FeedForward:
    shape = {"num_experts": count, "experts_per_token": per_token, "moe_intermediate_size": width}
    return layer(kind="experts", **shape, **more)


@pytest.mark.parametrize(
    ("made", "hidden", "extra", "parameters"),
    [
        pytest.param(experts(256, 8, 2048, shared_intermediate_size=2048), 7168, 0, 11_320_164_352, id="V3"),
        pytest.param(
            experts(512, 10, 1024, shared_intermediate_size=1024, shared_gate=True),
            4096,
            0,
            6_457_135_104,
            id="Qwen3.5",
        ),
        pytest.param(experts(128, 4, 2880, expert_bias=True), 2880, 0, 3_186_524_288, id="gpt-oss-120b"),
        pytest.param(
            experts(128, 6, 1856, shared_intermediate_size=3712, gated=False), 2688, 2688, 1_297_468_032, id="Nano"
        ),
        pytest.param(
            experts(512, 22, 2688, shared_intermediate_size=5376, gated=False, latent_size=1024),
            4096,
            4096,
            2_873_102_336,
            id="Nemotron-3 Super",
        ),
    ],
)
def test_parameters(made: FeedForward, hidden: int, extra: int, parameters: int) -> None:
    assert made.parameters(hidden) + extra == parameters


def test_dense_layers() -> None:
    assert layer(kind="dense", intermediate_size=28_672).parameters(8192) == 3 * 8192 * 28_672
    assert layer(kind="dense", intermediate_size=32_768, gated=False).parameters(8192) == 2 * 8192 * 32_768
    assert layer(kind="dense", intermediate_size=16, bias=True).parameters(8) == 3 * 8 * 16 + 2 * 16 + 8
    assert layer(kind="dense", intermediate_size=16, bias=True).routed(8) is None


def test_active_parameters_by_hand() -> None:
    d, f = 7168, 2048
    made = experts(256, 8, f, shared_intermediate_size=f)
    assert made.active_parameters(d) == 9 * 3 * d * f + 256 * d


def test_latent_experts_see_the_latent() -> None:
    d, width, latent = 4096, 2688, 1024
    routed = experts(512, 22, width, gated=False, latent_size=latent).routed(d)
    assert routed is not None
    assert (routed.width, routed.parameters) == (latent, 2 * latent * width)
    normed = experts(512, 22, width, latent_size=latent, latent_norm=True)
    assert normed.parameters(d) - experts(512, 22, width, latent_size=latent).parameters(d) == latent


def test_zero_compute_experts_have_no_weights() -> None:
    # LongCat-Flash: 512 experts and 256 identities in the router's table; 8 of 12 compute on average.
    d, f = 6144, 2048
    plain = experts(512, 12, f)
    zero = experts(512, 12, f, zero_experts=256, expected_experts_per_token=8)
    assert zero.parameters(d) - plain.parameters(d) == 256 * d
    assert zero.active_parameters(d) == 8 * 3 * d * f + (512 + 256) * d
    routed = zero.routed(d)
    assert routed is not None and routed.per_token == 8


def test_router_bias() -> None:
    assert experts(16, 2, 8, router_bias=True).parameters(8) - experts(16, 2, 8).parameters(8) == 16


def test_more_experts_per_token_than_there_are() -> None:
    with pytest.raises(ValidationError, match="exceeds num_experts"):
        experts(4, 5, 8)


@pytest.mark.parametrize(("tokens", "touched"), [(1, 8), (8, 57.4), (32, 163.3), (64, 222.4), (128, 251.6)])
def test_experts_reached_in_deepseek_v3(tokens: int, touched: float) -> None:
    assert experts_touched(256, 8, tokens) == pytest.approx(touched, abs=0.05)


@given(st.integers(1, 600), st.data(), st.integers(0, 5000))
def test_experts_reached_are_bounded(count: int, data: st.DataObject, tokens: int) -> None:
    per_token = data.draw(st.integers(1, count))
    touched = experts_touched(count, per_token, tokens)
    assert 0 <= touched <= min(count, per_token * tokens) * (1 + 1e-9)
    assert touched <= experts_touched(count, per_token, tokens + 1)


def test_experts_reached_against_a_draw() -> None:
    rng = np.random.default_rng(0)
    counts = [len({int(e) for _ in range(16) for e in rng.choice(64, 6, replace=False)}) for _ in range(2000)]
    assert np.mean(counts) == pytest.approx(float(experts_touched(64, 6, 16)), rel=0.005)
