"""The layout that is chosen is the cheapest of all that could be typed, and a curve is the table at every context."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import costcalc
from costcalc.engine.parallelism import DoesNotFit
from costcalc.engine.roofline import machine_of, reach
from costcalc.errors import CostcalcError
from costcalc.explore.search import TIE, choose_deployment, customary_layout, seconds_per_request
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.predict.predict import predict
from costcalc.predict.scenario import Options, scenario_of
from tests.random_specs import machines, models, options

POWERS = (1, 2, 4, 8, 16)
SLACK = TIE + 0.01  # a grid of batches is not all batches


def typed_layouts(model: ModelSpec, gpu: Accelerator, gpus: int) -> Iterator[dict[str, int]]:
    """Every combination of degrees that fills some of the GPUs, stages being whole domains or nodes."""
    domain = gpu.scale_up.domain if gpu.scale_up else 1
    stages = {domain, gpu.node_size}
    for tensor, data, expert, pipeline in product(POWERS, POWERS, POWERS, POWERS):
        size, stage = tensor * data * pipeline, tensor * data
        heads = all(layer.shard_unit % tensor == 0 for _, layer in model.attention_layers())
        if not heads or gpus % size or tensor > domain or stage % expert or size > reach(gpu):
            continue
        if expert not in (1, stage):  # which vLLM does not start
            continue
        if not model.has_experts and (data > 1 or expert > 1):
            continue
        if pipeline > 1 and stage not in stages:
            continue
        yield {
            "tensor_parallel": tensor,
            "attention_data_parallel": data,
            "expert_parallel": expert,
            "pipeline_parallel": pipeline,
            "gpus": gpus,
        }


def blended(answer: costcalc.Estimate) -> float:
    cost = answer.cost.usd_per_million_blended_tokens
    assert cost is not None
    return cost


@pytest.mark.parametrize(
    ("model", "gpu", "gpus", "load"),
    [
        ("llama-3.1-70b", "h100", 8, {"weights": "fp8"}),
        ("llama-3.1-8b", "h100", 8, {}),
        ("qwen3-32b", "h100", 8, {"context": 32_000}),
        ("v3", "h200", 8, {}),
        ("v3", "h100", 16, {"context": 32_000}),
        ("v3", "h100", 16, {"context": 128_000}),
        ("gpt-oss-120b", "h100", 4, {}),
    ],
)
def test_no_layout_typed_by_hand_is_cheaper(model: str, gpu: str, gpus: int, load: dict[str, Any]) -> None:
    spec, machine = costcalc.load_model(model), costcalc.load_gpu(gpu)
    chosen = costcalc.estimate(spec, machine, gpus=gpus, **load)
    assert chosen.limits.kept
    tried = 0
    for layout in typed_layouts(spec, machine, gpus):
        try:
            typed = costcalc.estimate(spec, machine, **layout, **load)
        except DoesNotFit:
            continue
        if typed.limits.kept:
            tried += 1
            assert blended(chosen) <= blended(typed) * SLACK, (layout, typed.deployment.layout)
    assert tried > 1


@settings(max_examples=60, deadline=None)
@given(models(), machines(), options(), st.sampled_from([1, 2, 4, 8, 16]), st.data())
def test_no_layout_typed_by_hand_is_cheaper_on_random_machines(
    model: ModelSpec, gpu: Accelerator, asked: dict[str, Any], gpus: int, data: st.DataObject
) -> None:
    layouts = list(typed_layouts(model, gpu, gpus))
    assume(layouts)
    layout = data.draw(st.sampled_from(layouts))
    scenario = scenario_of(model, gpu, Options(**{**asked, **layout}))
    try:
        typed = choose_deployment(scenario)
    except CostcalcError:
        return
    chosen = choose_deployment(scenario_of(model, gpu, Options(**asked, gpus=gpus)))
    if not typed.keeps_limits:
        return
    assert chosen.keeps_limits
    costs = [
        found.deployment.gpus
        / found.deployment.replicas
        * float(seconds_per_request(scenario, predict(scenario, found.deployment.layout, found.batch)))
        for found in (chosen, typed)
    ]
    assert costs[0] <= costs[1] * SLACK


@settings(max_examples=40, deadline=None)
@given(models(), machines(), st.integers(1, 16))
def test_more_replicas_never_change_what_a_token_costs(model: ModelSpec, gpu: Accelerator, replicas: int) -> None:
    alone: dict[str, Any] = {"tensor_parallel": 1, "pipeline_parallel": 1, "attention_data_parallel": 1}
    try:
        one = costcalc.estimate(model, gpu, gpus=1, price=2.0, **alone)
    except CostcalcError:
        return
    many = costcalc.estimate(model, gpu, gpus=replicas, price=2.0, **alone)
    assert many.deployment.replicas == replicas
    assert many.cost.usd_per_million_output_tokens == pytest.approx(one.cost.usd_per_million_output_tokens)
    assert many.cost.usd_per_million_blended_tokens == pytest.approx(one.cost.usd_per_million_blended_tokens)


@pytest.mark.parametrize("context", [32_000, 64_000])
def test_batches_below_the_ranks_are_tried_where_no_multiple_is_in_time(context: int) -> None:
    layout = {"gpus": 16, "attention_data_parallel": 16, "context": context}
    chosen = costcalc.estimate("v3", "h100", **layout)  # type: ignore[arg-type]
    inside: list[tuple[float, int]] = []
    for batch in (*range(1, 16), 16, 32):
        each = costcalc.estimate("v3", "h100", batch=batch, tpot=0.05, **layout)  # type: ignore[arg-type]
        if each.limits.kept:
            inside.append((blended(each), batch))
    cheapest, batch = min(inside)
    assert chosen.limits.kept and chosen.workload.batch == batch
    assert blended(chosen) == pytest.approx(cheapest)


@pytest.mark.parametrize(
    ("model", "gpu"),
    [("qwen3-235b-a22b", "h100"), ("llama-3.1-70b", "h100"), ("v3", "h100"), ("v3", "mi300x"), ("v3", "b200")],
)
def test_the_customary_layout_is_kept_where_it_is_as_cheap(model: str, gpu: str) -> None:
    # For DeepSeek-V3 that is its makers' deployment: attention data parallel, experts spread (2412.19437, 3.4.2).
    answer = costcalc.estimate(model, gpu)
    spec, machine, gpus = costcalc.load_model(model), costcalc.load_gpu(gpu), answer.deployment.gpus
    customary = customary_layout(spec, machine, gpus)
    why = next(each for each in answer.assumptions if each.name == "layout").why
    names = {"tp": "tensor_parallel", "attention_dp": "attention_data_parallel", "ep": "expert_parallel"}
    degrees = {name: int(getattr(customary, each)) for each, name in (*names.items(), ("pp", "pipeline_parallel"))}
    try:
        typed = costcalc.estimate(spec, machine, gpus=gpus, **degrees)  # type: ignore[arg-type]
    except DoesNotFit:  # attention of DeepSeek-V3 on each of four MI300X leaves no room for its experts
        assert why.startswith("cheapest of")
        return
    assert blended(answer) <= blended(typed) * SLACK
    if answer.deployment.layout == typed.deployment.layout:
        assert why.startswith("customary")
    else:
        assert why.startswith("cheapest of")
        assert not typed.limits.kept or blended(answer) * TIE < blended(typed)


def test_the_makers_layout_is_that_of_a_model_with_latents() -> None:
    layout = customary_layout(costcalc.load_model("v3"), costcalc.load_gpu("h100"), 16)
    assert (layout.tp, layout.attention_dp, layout.ep, layout.pp) == (1, 16, 16, 1)


def test_gpus_are_left_idle_rather_than_strung_into_a_pipeline() -> None:
    four, five = (costcalc.estimate("llama-3.1-70b", "h100", gpus=n) for n in (4, 5))
    assert (five.deployment.layout, five.deployment.gpus, five.deployment.idle_gpus) == ("tp4", 5, 1)
    # The idle one is paid for.
    assert blended(five) == pytest.approx(blended(four) * 5 / 4)
    assert any("1 GPU stays idle and is paid for" in note and "--gpus 4" in note for note in five.notes)
    assert four.deployment.idle_gpus == 0


@pytest.mark.parametrize(
    ("model", "gpu", "tuning"), [("v3", "gb200", "tuned"), ("gpt-3", "h100", "default"), ("gpt-3", "h100", "tuned")]
)
def test_more_gpus_that_are_cheaper_are_named_and_are(model: str, gpu: str, tuning: str) -> None:
    answer = costcalc.estimate(model, gpu, tuning=tuning)
    (note,) = [each for each in answer.notes if "GPUs in one replica" in each]
    gpus, share = int(note.split()[0]), float(note.partition(" take ")[2].partition("%")[0]) / 100
    more = costcalc.estimate(model, gpu, gpus=gpus, tuning=tuning)
    assert share < 0.9
    assert blended(more) <= blended(answer) * share * 1.05


def test_nothing_is_said_where_more_gpus_save_nothing() -> None:
    assert not any("GPUs in one replica" in note for note in costcalc.estimate("llama-3.1-8b", "h100").notes)


def test_replicas_need_no_link() -> None:
    # Eight RTX 4090s share a host; sixteen are two hosts, which nothing joins, with a replica or more on each.
    answer = costcalc.estimate("llama-3.1-8b", "rtx-4090", gpus=16)
    assert answer.deployment.replicas >= 2


@pytest.mark.parametrize("load", [{}, {"input_tokens": 8000.0, "output_tokens": 500.0}, {"context": 9000.0}])
@pytest.mark.parametrize(("model", "gpu"), [("v3", "h100"), ("llama-3.1-8b", "h100")])
def test_curves_pass_through_the_table(model: str, gpu: str, load: dict[str, float]) -> None:
    _same_in_table_and_curve(model, gpu, (), load)


def test_curves_are_what_the_table_says_at_every_context() -> None:
    _same_in_table_and_curve("v3", "h100", (1500.0, 32_000.0, 128_000.0, 200_000.0), {})
    _same_in_table_and_curve("v3", "h100", (4000.0, 64_000.0), {"gpus": 32, "attention_data_parallel": 32})


def _same_in_table_and_curve(model: str, gpu: str, contexts: tuple[float, ...], load: dict[str, Any]) -> None:
    table = costcalc.compare_attention(model, gpu, contexts=contexts, **load)
    curves = {c.variant: c for c in costcalc.attention_curves(model, gpu, contexts=contexts, **load).curves}
    assert {row.variant.partition(" @ ")[0] for row in table.rows} == curves.keys()
    for row in table.rows:
        curve, here = curves[row.variant.partition(" @ ")[0]], row.estimate
        (at,) = np.flatnonzero(curve.contexts == here.workload.context_tokens)
        rates = {
            name: curve.numbers[f"serving.{name}"][at]
            for name in ("output_tokens_per_s_per_gpu", "tokens_per_s_per_user")
        }
        assert curve.keeps_limits is not None
        if here.decode.tokens_per_s is None:
            assert np.isnan(list(rates.values())).all()
            continue
        assert curve.batch[at] == here.workload.batch * here.deployment.replicas
        assert all(rate == pytest.approx(getattr(here.serving, name)) for name, rate in rates.items())
        dollars = curve.numbers["cost.usd_per_million_output_tokens"][at]
        assert dollars == pytest.approx(here.cost.usd_per_million_output_tokens)
        assert curve.keeps_limits[at] == here.limits.kept


def test_every_variant_gets_its_own_best_layout() -> None:
    rows = {row.variant: row.estimate for row in costcalc.compare_attention("v3", "h100", context=32_000).rows}
    assert len({each.deployment.layout for each in rows.values()}) > 2
    # The latent is a quarter of GQA-32's cache and more: on its best layout it is no dearer.
    assert blended(rows["MLA absorbed"]) < blended(rows["GQA-32"])
    # What is typed as it was chosen answers the same.
    alone = costcalc.estimate(
        "v3", "h100", gpus=16, context=32_000, disaggregated=True, tensor_parallel=4, context_parallel=4,
        attention_data_parallel=4, expert_parallel=1,
    )  # fmt: skip
    assert rows["MLA absorbed"].deployment.layout == alone.deployment.layout == "tp4 dp4 cp4"


def test_switched_machines_have_no_stages_inside_a_node_unless_asked() -> None:
    assert machine_of(costcalc.load_gpu("h100")).switched
    answer = costcalc.estimate("llama-3.1-8b", "h100", gpus=8)
    assert answer.deployment.pipeline_parallel == 1
    assert costcalc.estimate("llama-3.1-8b", "h100", gpus=8, pipeline_parallel=8).deployment.layout == "pp8"


def test_a_sweep_picks_the_batch_of_every_cell_as_an_estimate_would() -> None:
    layout = {"gpus": 8, "tensor_parallel": 4}
    swept = costcalc.sweep(
        "llama-3.1-70b", "h100", context=[4096, 32_768], memory_bandwidth=["2TB/s", "4TB/s"], **layout
    )
    for row, context in enumerate((4096, 32_768)):
        for column, bandwidth in enumerate(("2 TB/s", "4 TB/s")):
            gpu = costcalc.load_gpu("h100", overrides={"memory_bandwidth": bandwidth})
            alone = costcalc.estimate("llama-3.1-70b", gpu, context=context, **layout)  # type: ignore[arg-type]
            assert swept.values["workload.batch"][row, column] == alone.workload.batch
