"""The model spec: layer groups, what is counted where, and shapes counted by hand."""

from __future__ import annotations

from typing import Any

import pytest

from costcalc.catalog.check import validate
from costcalc.errors import CostcalcError
from costcalc.formats import cache_format
from costcalc.model.spec import ModelSpec


def small(**changes: Any) -> ModelSpec:
    """A dense model small enough to count by hand."""
    fields: dict[str, Any] = {
        "name": "small",
        "hidden_size": 8,
        "vocab_size": 100,
        "attention": {"mha": {"kind": "grouped", "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4}},
        "feedforward": {"dense": {"kind": "dense", "intermediate_size": 16}},
        "layers": [{"count": 3, "attention": "mha", "feedforward": "dense"}],
    }
    return validate(ModelSpec, {**fields, **changes})


ATTENTION = 4 * 8 * 8
MLP = 3 * 8 * 16


def test_parameters_by_hand() -> None:
    embedding = head = 8 * 100
    norms = 3 * 2 * 8 + 8
    assert small().total_parameters == 3 * (ATTENTION + MLP) + norms + embedding + head
    assert small().active_parameters == 3 * (ATTENTION + MLP) + head
    assert small(tied_embeddings=True).total_parameters == small().total_parameters - head
    assert small(tied_embeddings=True).active_parameters == small().active_parameters


@pytest.mark.parametrize(
    ("changes", "norm_vectors"),
    [
        ({}, 7),
        ({"norms_per_sublayer": 2}, 13),  # before and after: Gemma
        ({"parallel_block": True}, 4),  # one for both: Falcon-7B
        ({"parallel_block": True, "norms_per_sublayer": 2}, 7),  # Falcon-40B
        ({"norm_bias": True}, 14),
        ({"layers": [{"count": 3, "attention": "mha", "feedforward": "dense", "norms": 4}]}, 13),
        ({"layers": [{"count": 3, "attention": "mha"}]}, 4),  # a block that is only attention: Nemotron-H
        ({"layers": [{"count": 3, "attention": ["mha", "mha"], "feedforward": "dense"}]}, 10),
    ],
)
def test_norms_are_counted(changes: dict[str, Any], norm_vectors: int) -> None:
    assert small(**changes).norm_parameters == norm_vectors * 8


def test_tables_and_small_tensors() -> None:
    base = small().total_parameters
    assert small(position_embeddings=10).total_parameters == base + 80
    assert small(lookup_parameters=1000).total_parameters == base + 1000
    assert small(other_parameters=5).total_parameters == base + 5
    assert small(shared_parameters=ATTENTION).total_parameters == base - ATTENTION
    assert small(position_embeddings=10, other_parameters=5).active_parameters == small().active_parameters


def test_hyper_connections_of_deepseek_v4_flash() -> None:
    # Per layer 786,486 with 4 streams of 4096 (transformers 5.23.0, deepseek_v4, built without weights).
    wide = {"hidden_size": 4096, "layers": [{"count": 1, "attention": "mha", "feedforward": "dense"}]}
    plain, four = small(**wide), small(**wide, residual_streams=4)
    head = 4 * 4 * 4096 + 4 + 1
    assert four.norm_parameters - plain.norm_parameters == 786_486 + head


def test_layers_are_grouped_by_make() -> None:
    spec = small(
        attention={
            "mha": {"kind": "grouped", "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 4},
            "mqa": {"kind": "grouped", "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4},
        },
        layers=[
            {"count": 1, "attention": "mha", "feedforward": "dense"},
            {"count": 2, "attention": "mqa", "feedforward": "dense"},
            {"count": 3, "attention": "mha", "feedforward": None},
        ],
    )
    assert spec.num_layers == 6
    assert [count for count, _ in spec.attention_layers()] == [4, 2]
    assert [count for count, _ in spec.feedforward_layers()] == [3]
    assert spec.attention_name == "MHA + MQA"
    assert not spec.has_experts


def test_two_mixers_in_one_layer_count_twice() -> None:
    twice = small(layers=[{"count": 3, "attention": ["mha", "mha"], "feedforward": "dense"}])
    assert [count for count, _ in twice.attention_layers()] == [6]


def test_experts() -> None:
    experts = {"kind": "experts", "num_experts": 4, "experts_per_token": 2, "moe_intermediate_size": 16}
    spec = small(feedforward={"experts": experts}, layers=[{"count": 2, "attention": "mha", "feedforward": "experts"}])
    router = 8 * 4
    assert spec.has_experts
    assert spec.routed_parameters == 2 * 4 * MLP
    assert spec.total_parameters - spec.routed_parameters == 2 * (ATTENTION + router) + 5 * 8 + 2 * 800
    assert spec.active_parameters == 2 * (ATTENTION + router + 2 * MLP) + 800


def test_prediction_heads_stand_beside_the_model() -> None:
    spec = small(mtp={"layers": 2, "attention": "mha", "feedforward": "dense"})
    assert spec.total_parameters == small().total_parameters
    assert spec.prediction_parameters == 2 * (ATTENTION + MLP + 2 * 8 + 2 * 8 * 8 + 3 * 8)
    assert small().prediction_parameters == 0


def test_deviation_from_what_is_published() -> None:
    published = {"total": small().total_parameters * 2, "active": "1k", "source": "a card", "provenance": "seen"}
    spec = small(published=published)
    assert spec.total_deviation == -0.5
    assert spec.active_deviation == pytest.approx(small().active_parameters / 1000 - 1)
    assert small().total_deviation is None and small().active_deviation is None


def test_a_52b_model_of_transformer_inference_arithmetic() -> None:
    # kipply 2022: 64 layers of width 8192 cache 2 x 2 x 64 x 8192 bytes per token, and hold 12 x 64 x 8192^2.
    heads = {"kind": "grouped", "num_attention_heads": 64, "num_key_value_heads": 64, "head_dim": 128}
    spec = small(
        hidden_size=8192,
        attention={"mha": heads},
        feedforward={"dense": {"kind": "dense", "intermediate_size": 4 * 8192, "gated": False}},
        layers=[{"count": 64, "attention": "mha", "feedforward": "dense"}],
    )
    (count, layer), *_ = spec.attention_layers()
    assert count * layer.growth_bytes(cache_format("fp16")) == 2_097_152
    assert spec.total_parameters == pytest.approx(12 * 64 * 8192**2, rel=0.001)


def test_worked_problem_of_the_scaling_book() -> None:
    # Part 7, question 1: 18.4B parameters.
    heads = {"kind": "grouped", "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 256}
    spec = small(
        hidden_size=4096,
        vocab_size=32_128,
        tied_embeddings=True,
        attention={"gqa": heads},
        feedforward={"dense": {"kind": "dense", "intermediate_size": 16_384}},
        layers=[{"count": 64, "attention": "gqa", "feedforward": "dense"}],
    )
    assert spec.total_parameters == pytest.approx(18.4e9, rel=0.005)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": []}, "layers: must hold at least 1 item"),
        ({"layers": [{"count": 1, "attention": "gqa"}]}, "layers.0.attention: 'gqa' is not defined under attention"),
        ({"layers": [{"count": 1, "feedforward": "moe"}]}, "feedforward: 'moe' is not defined under feedforward"),
        ({"mtp": {"layers": 1, "attention": "mla"}}, "mtp.attention: 'mla' is not defined .*; did you mean 'mha'"),
        ({"hidden_size": 0}, "hidden_size: must be greater than 0, got 0"),
        ({"hidden_size": "8"}, "hidden_size: expected an integer, got '8'"),
        ({"attention": {"mha": {"kind": "mha"}}}, "attention.mha.kind: unknown kind 'mha'"),
        (
            {"published": {"source": "a card", "provenance": "rumour"}},
            "published.provenance: 'rumour' is not valid here; one of: seen, recalled",
        ),
        ({"hiden_size": 8}, "hiden_size: unknown key; did you mean 'hidden_size'"),
    ],
)
def test_mistakes_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(CostcalcError, match=words):
        small(**changes)


@pytest.mark.parametrize("precision", [{"weights": "fp9"}, {"kv_cache": "fp9"}, {"activations": "fp9"}])
def test_unknown_formats_are_refused(precision: dict[str, str]) -> None:
    with pytest.raises(CostcalcError, match=r"unknown (number type|activation precision) 'fp9'"):
        small(precision=precision)
