"""What is left open is chosen: how many GPUs, which layout, which batch; and what cannot be is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import costcalc
from costcalc.engine.parallelism import Degrees, DoesNotFit, expert_degree, given_deployment, node_counts
from costcalc.errors import CostcalcError
from costcalc.explore.search import batches_to_try, candidate_layouts
from costcalc.predict.scenario import DEFAULT_TPOT, Options, scenario_of


def degrees(answer: costcalc.Estimate) -> tuple[int, int, int, int, int]:
    d = answer.deployment
    return d.gpus, d.tensor_parallel, d.pipeline_parallel, d.attention_data_parallel, d.expert_parallel


def test_deepseek_v3_on_h100s() -> None:
    # 671 GB of fp8 weights need more than one node of 640 GB: two. A latent is not divided by tensor parallelism, so
    # attention is not cut over all GPUs of a node: part of them are data parallel.
    answer = costcalc.estimate("v3", "h100")
    assert degrees(answer) == (16, 4, 2, 2, 1)
    assert answer.memory.fits and answer.memory.max_sequences >= answer.workload.batch
    taken = {assumption.name: assumption for assumption in answer.assumptions}
    assert {"gpus", "layout", "batch", "input_tokens", "output_tokens", "weights", "kv_cache", "price"} <= taken.keys()
    assert all(assumption.override.startswith("--") for assumption in answer.assumptions)
    assert answer.deployment.usd_per_gpu_hour == pytest.approx(3.24)


@pytest.mark.parametrize(
    ("model", "gpu", "least"),
    [
        ("llama-3.1-8b", "h100", 1),  # 16 GB
        ("llama-3.1-70b", "h100", 2),  # 141 GB on 2 x 85.5 GB at 90%
        ("gpt-3", "h100", 8),  # 349 GB in 16 bits, whole nodes or parts of one
        ("llama-3.1-405b", "h100", 16),  # 810 GB: more than a node
        ("v3", "h200", 8),
    ],
)
def test_the_weights_fit_on_what_is_chosen_and_on_no_less(model: str, gpu: str, least: int) -> None:
    answer = costcalc.estimate(model, gpu)
    assert answer.deployment.gpus >= least
    spec, machine = costcalc.load_model(model), costcalc.load_gpu(gpu)
    fewer = [n for n in node_counts(machine) if n < least]
    for gpus in fewer:
        with pytest.raises(DoesNotFit):
            costcalc.estimate(spec, machine, gpus=gpus)


def test_counts_are_powers_of_two_in_a_node_and_then_whole_nodes() -> None:
    counts = node_counts(costcalc.load_gpu("h100"))
    assert counts[:7] == [1, 2, 4, 8, 16, 24, 32]
    assert all(n % 8 == 0 for n in counts if n > 8)
    # Without a network there is nothing beyond the node.
    assert node_counts(costcalc.load_gpu("rtx-4090"))[-1] == 8


@pytest.mark.parametrize("tpot", [None, 0.02, 0.1])
def test_the_batch_is_the_cheapest_under_the_limit(tpot: float | None) -> None:
    answer = costcalc.estimate("llama-3.1-70b", "h100", gpus=4, tpot=tpot)
    limit = tpot or DEFAULT_TPOT
    assert answer.serving.time_per_output_token_s is not None
    assert answer.serving.time_per_output_token_s <= limit
    assert answer.workload.batch <= answer.memory.max_sequences
    if answer.workload.batch < answer.memory.max_sequences:
        # A tenth more would either not be in time or not fit.
        larger = costcalc.estimate("llama-3.1-70b", "h100", gpus=4, batch=int(answer.workload.batch * 1.1) + 1)
        assert (larger.serving.time_per_output_token_s or 0) > limit


def test_a_limit_that_no_batch_keeps_is_said() -> None:
    answer = costcalc.estimate("v3", "h100", tpot=0.001)
    assert any("No batch keeps the time per output token under 1 ms" in note for note in answer.notes)


def test_batches_to_try_are_multiples_of_the_ranks() -> None:
    sizes = np.unique(batches_to_try(np.array([688.0]), np.array([16])))
    assert sizes[0] == 1 and sizes[-1] == 688
    assert np.all(sizes[sizes > 16] % 16 == 0)
    assert np.unique(batches_to_try(np.array([5.0]), np.array([16]))).tolist() == [1, 2, 3, 4, 5]


def test_what_does_not_fit_says_what_is_missing_and_what_would_fit() -> None:
    with pytest.raises(DoesNotFit) as caught:
        costcalc.estimate("v3", "h100", gpus=8)
    text = str(caught.value)
    assert "\n" not in text
    assert "DeepSeek-V3 does not fit on 8 × NVIDIA H100 SXM5 80GB" in text
    assert "weights take" in text and "per GPU of 70.19 GB usable" in text
    assert "--gpus 16 would fit" in text


def test_more_sequences_than_the_cache_holds_say_so() -> None:
    with pytest.raises(DoesNotFit, match=r"the cache of 5,000 sequences of 5,120 tokens is too large; at most --batch"):
        costcalc.estimate("v3", "h100", gpus=16, batch=5000)


def test_the_count_that_would_fit_does() -> None:
    with pytest.raises(DoesNotFit) as caught:
        costcalc.estimate("v3", "h100", gpus=16, batch=5000)
    named = int(str(caught.value).partition("--gpus ")[2].split()[0])
    assert costcalc.estimate("v3", "h100", gpus=named, batch=5000).memory.fits


def test_a_term_of_the_bill_asks_for_no_deployment() -> None:
    # The article's GPT-3: 472 GB of cache on one GPU of 80 GB.
    answer = costcalc.estimate("gpt-3", "h100", batch=1, context=100_000, terms="kv", efficiency="ideal")
    assert answer.deployment.gpus == 1
    assert answer.cost.usd_per_million_input_tokens is None
    assert any("a term of the bill, not a deployment" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tensor_parallel": 3}, "--tp 3 does not divide the 64 attention heads"),
        ({"tensor_parallel": 4, "gpus": 6}, "--gpus 6 is not a multiple of tp × pp × dp = 4"),
        ({"pipeline_parallel": 81}, "--pp 81 exceeds the 80 layers"),
        ({"expert_parallel": 2}, "has no experts"),
        ({"gpus": 0}, "gpus: expected a positive integer, got 0"),
        ({"batch": -1}, "batch: expected a positive integer, got -1"),
        ({"context": float("nan")}, "context: nan is not a count: it is not a finite number"),
        ({"cached": 1.0}, "cached: 1.0 is out of range; it must be at least 0 and less than 1"),
        ({"utilization": 0.0}, "utilization: 0.0 is out of range; it must be more than 0"),
        ({"efficiency": "idael"}, "did you mean 'ideal'"),
        ({"backend": "tensorrt"}, "unknown backend"),
        ({"mla": "absorbed"}, "has no latent attention"),
        ({"weights": "fp9"}, "weights: unknown number type 'fp9'"),
    ],
)
def test_what_cannot_be_is_one_line(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(CostcalcError) as caught:
        costcalc.estimate("llama-3.1-70b", "h100", **asked)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gpus_without_a_link_are_not_joined() -> None:
    with pytest.raises(CostcalcError, match="no known link that joins 16 GPUs"):
        costcalc.estimate("llama-3.1-8b", "rtx-4090", gpus=16, attention_data_parallel=16)


def test_what_is_left_of_the_gpus_are_replicas() -> None:
    one = costcalc.estimate("llama-3.1-8b", "h100", tensor_parallel=1, gpus=1, batch=32)
    four = costcalc.estimate("llama-3.1-8b", "h100", tensor_parallel=1, gpus=4, batch=32)
    assert four.deployment.replicas == 4
    assert four.decode.tokens_per_s == pytest.approx(4 * (one.decode.tokens_per_s or 0))
    assert four.decode.tokens_per_s_per_gpu == pytest.approx(one.decode.tokens_per_s_per_gpu)
    assert four.cost == one.cost


def test_experts_take_what_tensor_parallelism_leaves() -> None:
    model, gpu = costcalc.load_model("v3"), costcalc.load_gpu("h100")
    deployment = given_deployment(model, gpu, Degrees(gpus=32, tp=4))
    assert (deployment.layout.attention_dp, deployment.layout.ep, deployment.replicas) == (8, 32, 1)
    assert expert_degree(model, 320) == 160  # the largest divisor of 320 that 256 experts fill
    assert candidate_layouts(model, gpu, 16)[0].ep == 16


def test_a_latent_can_be_cached_expanded() -> None:
    absorbed, expanded = (
        costcalc.estimate("v3", "h100", gpus=16, mla=mode, batch=16).kv_cache.bytes_per_token
        for mode in ("absorbed", "expanded")
    )
    assert expanded / absorbed == pytest.approx(128 * 320 / 576)


def test_memory_kept_back_is_named() -> None:
    scenario = scenario_of(costcalc.load_model("v3"), costcalc.load_gpu("h100"), Options(memory_utilization=0.5))
    assert scenario.budget.utilization == 0.5
    assert scenario.budget.engine is not None and scenario.budget.engine.earlier is not None


def test_a_batch_that_is_given_is_under_no_limit_that_is_not() -> None:
    # The default of 50 ms is for choosing a batch: with one given, the cheapest layout wins, however slow its tokens.
    free = costcalc.estimate("llama-3.1-70b", "h100", gpus=8, batch=64)
    slow = costcalc.estimate("llama-3.1-70b", "h100", gpus=8, batch=64, tpot=1.0)
    assert degrees(free) == degrees(slow) and free.limits.time_per_output_token_s is None
    quick = costcalc.estimate("llama-3.1-70b", "h100", gpus=8, batch=64, tpot=0.035)
    assert quick.serving.time_per_output_token_s <= 0.035
    assert quick.cost.usd_per_million_blended_tokens >= free.cost.usd_per_million_blended_tokens


def test_a_prefill_pool_that_is_no_whole_replica_says_so() -> None:
    # 671 GB of weights fit no fewer than 16 H100s (above), so a pool of 11 prefills only as a share of a larger one.
    answer = costcalc.estimate("v3", "h100", disaggregated=True)
    assert answer.serving.prefill_gpus is not None and answer.serving.prefill_gpus < 16
    assert any("whole replicas" in note for note in answer.notes)
    assert not any("whole replicas" in note for note in costcalc.estimate("v3", "h100").notes)


def test_no_drafts_may_be_asked_for() -> None:
    plain, none = (costcalc.estimate("llama-3.1-8b", "h100", **asked) for asked in ({}, {"drafts": 0}))
    assert none.decode == plain.decode


@pytest.mark.parametrize(("model", "gpu"), [("v3", "16xh200"), ("gpt-oss-120b", "8xh100"), ("llama-3.1-70b", "8xh100")])
def test_typing_a_degree_that_would_be_chosen_changes_nothing(model: str, gpu: str) -> None:
    free = costcalc.estimate(model, gpu)
    names = ("tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
    chosen = {name: getattr(free.deployment, name) for name in names}
    for typed in [names[:1], names[:2], names[1:3], names[2:], names]:
        same = costcalc.estimate(model, gpu, **{name: chosen[name] for name in typed})
        assert (same.deployment.layout, same.serving, same.cost) == (free.deployment.layout, free.serving, free.cost)


def test_degrees_that_were_not_typed_are_the_cheapest() -> None:
    # By brute force over the experts' degrees that divide a stage of 8 or 16 GPUs.
    found = costcalc.estimate("v3", "16xh200", tensor_parallel=8)
    costs = []
    for data in (1, 2):
        for expert in (1, 2, 4, 8, 16):
            degrees = {"tensor_parallel": 8, "attention_data_parallel": data, "expert_parallel": expert}
            if expert <= 8 * data:
                each = costcalc.estimate("v3", "16xh200", pipeline_parallel=1, **degrees)
                costs.append(each.cost.usd_per_million_blended_tokens)
    assert found.cost.usd_per_million_blended_tokens <= min(costs) * 1.0001


def test_degrees_that_are_left_out_of_a_layout_are_told() -> None:
    layout = {"gpus": 16, "tensor_parallel": 4, "pipeline_parallel": 2, "attention_data_parallel": 2, "batch": 92}
    (left,) = [each for each in costcalc.estimate("v3", "h100", **layout).assumptions if each.name == "layout"]
    assert (left.value, left.override) == ("ep 1", "--ep")
    assert left.why == "cheapest of 2 that fit beside the degrees typed"
    whole = costcalc.estimate("v3", "h100", expert_parallel=1, **layout)
    assert not [each for each in whole.assumptions if each.name == "layout"]


@pytest.mark.parametrize(
    ("model", "gpu"),
    [
        ("minimax-m2", "h100"),
        ("qwen3-coder-480b-a35b", "h200"),
        ("glm-4.6", "h100"),
        ("v3", "h100"),
        ("gpt-oss-120b", "h100"),
    ],
)
def test_the_layout_that_is_chosen_gives_the_same_answer_where_it_is_typed(model: str, gpu: str) -> None:
    # Engines cut experts in whole blocks of 128 inputs: MiniMax-M2's 1,536 over 8 GPUs only as whole experts.
    found = costcalc.estimate(model, gpu, weights="fp8_block" if model != "gpt-oss-120b" else None)
    d = found.deployment
    typed = costcalc.estimate(
        model,
        gpu,
        weights=d.precision.weights if model != "gpt-oss-120b" else None,
        gpus=d.gpus,
        tensor_parallel=d.tensor_parallel,
        pipeline_parallel=d.pipeline_parallel,
        expert_parallel=d.expert_parallel,
        attention_data_parallel=d.attention_data_parallel,
        batch=found.workload.batch,
    )
    assert typed.decode == found.decode
    assert (typed.cost, typed.serving) == (found.cost, found.serving)


def test_what_does_not_fit_says_whether_weights_or_the_cache_and_the_largest_batch_that_does() -> None:
    with pytest.raises(DoesNotFit, match=r"weights take 141.1 GB per GPU of 21.* usable"):
        costcalc.estimate("llama-3.1-70b", "rtx-4090", gpus=1, batch=500)
    with pytest.raises(DoesNotFit) as refused:
        costcalc.estimate("v3", "8xh200", batch=5000)
    assert "its weights do, but the cache of 5,000 sequences of 5,120 tokens is too large" in refused.value.message
    named = int(refused.value.message.partition("at most --batch ")[2].split()[0].replace(",", ""))
    assert costcalc.estimate("v3", "8xh200", batch=named).memory.fits
    with pytest.raises(DoesNotFit):
        costcalc.estimate("v3", "8xh200", batch=named + 1)
