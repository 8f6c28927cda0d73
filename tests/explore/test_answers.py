"""The result tree: the keys that others rely on, sums that close, and explanations that recompute."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import costcalc

CONTRACT: dict[str, Any] = {
    "model": {"name": str, "parameters": {"total": float, "active": float}},
    "deployment": {
        "gpu": str,
        "gpus": int,
        "tensor_parallel": int,
        "pipeline_parallel": int,
        "expert_parallel": int,
        "attention_data_parallel": int,
        "precision": {"weights": str, "kv_cache": str, "activations": str},
        "usd_per_gpu_hour": float,
    },
    "workload": {"batch": int, "input_tokens": float, "output_tokens": float, "context_tokens": float},
    "kv_cache": {"bytes_per_token": float, "bytes_per_token_per_gpu": float, "bytes_per_sequence": float},
    "memory": {"fits": bool, "weights_bytes_per_gpu": float, "kv_pool_bytes_per_gpu": float, "max_sequences": int},
    "prefill": {"time_s": float, "tokens_per_s": float},
    "decode": {
        "step_time_s": float,
        "tokens_per_s": float,
        "tokens_per_s_per_gpu": float,
        "tokens_per_s_per_user": float,
        "bound_by": str,
    },
    "cost": {
        "usd_per_million_output_tokens": float,
        "usd_per_million_input_tokens": float,
        "usd_per_million_blended_tokens": float,
    },
}
OP = {"op": str, "flops": float, "bytes": float, "time_s": float, "bound_by": str}
HEADLINES = {
    "workload.batch",
    "decode.bound_by",
    "decode.tokens_per_s_per_gpu",
    "serving.time_to_first_token_s",
    "serving.output_tokens_per_s_per_gpu",
    "serving.tokens_per_s_per_user",
    "kv_cache.bytes_per_token",
    "memory.kv_pool_bytes_per_gpu",
    "memory.max_sequences",
    "decode.step_time_s",
    "decode.tokens_per_s",
    "decode.tokens_per_s_per_user",
    "prefill.time_s",
    "serving.time_per_output_token_s",
    "cost.usd_per_million_output_tokens",
    "cost.usd_per_million_input_tokens",
    "cost.usd_per_million_blended_tokens",
}
QUESTIONS = [
    ("v3", "h100", {}),
    ("llama-3.1-70b", "h100", {"gpus": 8, "tensor_parallel": 4, "batch": 16, "utilization": 0.6, "cached": 0.5}),
    ("gpt-oss-120b", "b200", {"efficiency": "ideal", "price": 4.0}),
    ("qwen3-next-80b-a3b", "h200", {"context": 100_000}),
]


@pytest.fixture(scope="module", params=QUESTIONS, ids=[f"{m}-{g}" for m, g, _ in QUESTIONS])
def answer(request: pytest.FixtureRequest) -> costcalc.Estimate:
    model, gpu, options = request.param
    return costcalc.estimate(model, gpu, **options)


def missing(tree: dict[str, Any], contract: dict[str, Any], path: str = "") -> Iterator[str]:
    """Paths that a tree lacks, or where it holds another type."""
    for key, kind in contract.items():
        if key not in tree:
            yield path + key
        elif isinstance(kind, dict):
            yield from missing(tree[key], kind, f"{path}{key}.")
        elif not isinstance(tree[key], (int, float) if kind is float else kind):
            yield f"{path}{key} is {type(tree[key]).__name__}"


def test_the_tree_has_the_keys_of_the_contract(answer: costcalc.Estimate) -> None:
    tree = json.loads(json.dumps(answer.to_dict(), allow_nan=False))
    assert list(missing(tree, CONTRACT)) == []
    assert tree["breakdown"]
    for op in tree["breakdown"]:
        assert list(missing(op, OP)) == []


def test_numbers_are_plain_and_finite(answer: costcalc.Estimate) -> None:
    def leaves(value: Any) -> Iterator[Any]:
        if isinstance(value, dict | list):
            for item in value.values() if isinstance(value, dict) else value:
                yield from leaves(item)
        else:
            yield value

    for leaf in leaves(answer.to_dict()):
        assert type(leaf) in (str, int, float, bool, type(None)), type(leaf)
        assert not isinstance(leaf, float) or math.isfinite(leaf)


def test_ranges_lie_around_their_numbers(answer: costcalc.Estimate) -> None:
    tree = answer.to_dict()
    found = 0
    for part in ("prefill", "decode", "serving", "cost"):
        for name, deployment in tree[part].items():
            if name.endswith("_range") and not name.endswith("_price_range"):
                found += 1
                low, high = deployment
                assert low <= tree[part][name.removesuffix("_range")] <= high, name
    # The bound has no error; a calibrated number always says how far it may be off.
    assert (found > 0) == (answer.deployment.efficiency == "calibrated")


def test_the_breakdown_sums_to_the_step(answer: costcalc.Estimate) -> None:
    assert sum(op.time_s for op in answer.breakdown) == pytest.approx(answer.decode.step_time_s, rel=1e-12)
    assert [op.time_s for op in answer.breakdown] == sorted((op.time_s for op in answer.breakdown), reverse=True)
    assert answer.decode.bound_by in {"memory", "compute", "communication", "overhead"}


def test_every_headline_is_explained_and_the_explanation_is_the_trees_number(answer: costcalc.Estimate) -> None:
    tree = answer.to_dict()
    assert {formula.quantity for formula in answer.explanation} >= HEADLINES
    for formula in answer.explanation:
        part, _, name = formula.quantity.partition(".")
        assert formula.value == tree[part][name], formula.quantity
        assert formula.formula and formula.numbers and formula.source and formula.unit


def test_ranges_say_where_they_come_from(answer: costcalc.Estimate) -> None:
    tree = answer.to_dict()
    for formula in answer.explanation:
        part, _, name = formula.quantity.partition(".")
        deployment = tree[part].get(f"{name}_range")
        assert (formula.value_range is None) == (deployment is None) == (formula.range_source is None)
        assert deployment is None or list(formula.value_range or ()) == deployment
    assert any(formula.value_range for formula in answer.explanation) == (answer.deployment.efficiency == "calibrated")


def test_headlines_recompute_from_the_tree(answer: costcalc.Estimate) -> None:
    d, w, cost, decode = answer.deployment, answer.workload, answer.cost, answer.decode
    assert None not in (d.usd_per_gpu_hour, decode.step_time_s, decode.tokens_per_s)
    assert decode.tokens_per_s == pytest.approx(d.replicas * w.batch / decode.step_time_s)
    assert decode.tokens_per_s_per_gpu == pytest.approx(decode.tokens_per_s / d.gpus)
    assert decode.tokens_per_s_per_user == pytest.approx(1 / decode.step_time_s)
    bill = d.gpus * d.usd_per_gpu_hour / 3600 / d.utilization * 1e6
    assert cost.usd_per_million_output_tokens == pytest.approx(bill / decode.tokens_per_s)
    # The bill is of the whole time: prompts and answers together cost what the GPUs do while they serve both.
    served = answer.serving.output_tokens_per_s_per_gpu * (w.input_tokens + w.output_tokens) / w.output_tokens
    assert cost.usd_per_million_blended_tokens == pytest.approx(bill / (d.gpus * served))
    assert cost.usd_per_million_input_tokens == pytest.approx(
        bill * answer.serving.prefill_share / (served * d.gpus * w.input_tokens / (w.input_tokens + w.output_tokens))
    )
    entered = cost.usd_per_million_input_tokens * w.input_tokens
    whole = entered + cost.usd_per_million_output_tokens * w.output_tokens
    assert cost.usd_per_million_blended_tokens == pytest.approx(whole / (w.input_tokens + w.output_tokens))


def test_memory_recomputes_from_the_tree(answer: costcalc.Estimate) -> None:
    m = answer.memory
    assert m.weights_bytes_per_gpu + m.kv_pool_bytes_per_gpu <= 0.9 * m.capacity_bytes_per_gpu
    per_rank = m.max_sequences / answer.deployment.attention_data_parallel
    # What a rank holds of its sequences: growing cache; windows and states are on top.
    held = per_rank * answer.kv_cache.bytes_per_token_per_gpu * answer.workload.context_tokens
    assert held <= m.kv_pool_bytes_per_gpu


def test_parameters_active_count_the_head_and_not_the_embedding() -> None:
    # Llama 3.1 8B: 8.03B in all; the table of 128,256 x 4,096 that is only looked up is left out.
    parameters = costcalc.estimate("llama-3.1-8b", "h100").model.parameters
    assert parameters.total == pytest.approx(8.03e9, rel=1e-3)
    assert parameters.total - parameters.active == pytest.approx(128_256 * 4096, rel=1e-3)


def test_an_unknown_price_is_no_price() -> None:
    gpu = replace(costcalc.load_gpu("h100"), price=None, prices=())
    answer = costcalc.estimate("llama-3.1-8b", gpu)
    assert answer.cost == type(answer.cost)(None, None, None)
    assert answer.decode.tokens_per_s


def test_the_tree_is_frozen() -> None:
    answer = costcalc.estimate("llama-3.1-8b", "h100")
    with pytest.raises(AttributeError):
        answer.workload.batch = 1  # type: ignore[misc]


def test_the_same_question_has_the_same_answer() -> None:
    first, second = (json.dumps(costcalc.estimate("v3", "h100").to_dict()) for _ in range(2))
    assert first == second


def test_break_even_is_where_self_hosting_costs_the_list_price() -> None:
    found = costcalc.breakeven("v3", "h100", utilization=0.5)
    cost = found.estimate.cost.usd_per_million_blended_tokens
    assert cost is not None and found.estimate.market
    for price in found.estimate.market:
        assert price.break_even_utilization is not None
        # At the break-even use the bill is the list price.
        assert cost * 0.5 / price.break_even_utilization == pytest.approx(price.blended_usd_per_million)
        w = found.estimate.workload
        blended = price.input_usd_per_million * w.input_tokens + price.output_usd_per_million * w.output_tokens
        assert price.blended_usd_per_million == pytest.approx(blended / (w.input_tokens + w.output_tokens))


@pytest.mark.parametrize(
    ("share", "told"), [(0.3, "stays empty"), (0.5, ""), (0.9, ""), (0.98, ""), (0.99, "next to nothing is left")]
)
def test_shares_of_the_memory_that_nobody_runs_are_remarked(share: float, told: str) -> None:
    notes = costcalc.estimate("llama-3.1-8b", "h100", gpus=8, memory_utilization=share).notes
    found = [note for note in notes if "memory utilization" in note]
    assert len(found) == bool(told) and all(told in note and "it is 90%" in note for note in found)
