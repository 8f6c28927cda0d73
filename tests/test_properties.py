"""What holds for every model, machine, layout and workload: laws of the engine, on random ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from formulas import assert_evaluates
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_specs import (
    AMOUNTS,
    HEADS,
    WIDTHS,
    batches,
    contexts,
    deployments,
    divisors,
    heads_divisor,
    layouts,
    machines,
    models,
    options,
    questions,
)
from steps import decode_step, prefill_pass

import costcalc
from costcalc.engine.cost import usd_per_million
from costcalc.engine.memory import (
    cache_bytes_per_sequence,
    held_bytes_per_sequence,
    kv_pool_bytes_per_gpu,
    max_sequences,
    weights_bytes_per_gpu,
)
from costcalc.engine.parallelism import Chosen, Parallelism
from costcalc.engine.roofline import Machine
from costcalc.engine.step import tokens_per_pass
from costcalc.errors import CostcalcError
from costcalc.explore.estimate import answer
from costcalc.explore.search import deployments_on
from costcalc.fields import Number, total
from costcalc.formats import CACHE_FORMATS
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.ffn import experts_touched
from costcalc.predict.breakdown import breakdown_of
from costcalc.predict.predict import Prediction, predict, sequences_held, started
from costcalc.predict.quantities import BLENDED, QUANTITIES, Answered, numbers_of
from costcalc.predict.scenario import Options, Scenario, scenario_of
from costcalc.units import parse_quantity

CLOSE = {"rtol": 1e-12, "atol": 0.0}
SLACK = 1 + 1e-12
"""What rounding may cost where one number may not exceed another."""

Deployment = tuple[Scenario, Scenario, Parallelism]


def no_slower(at: Prediction, than: Prediction, output_tokens: float) -> None:
    """Every time of `at` is at most that of `than`.

    In a closed loop quicker decoding brings users back to the prefill queue sooner, so the first token alone may
    wait longer; a whole request may not.
    """
    assert np.all(at.step.seconds <= than.step.seconds * SLACK)
    assert np.all(at.prefill.seconds <= than.prefill.seconds * SLACK)
    assert np.all(at.time_per_output_token <= than.time_per_output_token * SLACK)
    request = at.time_to_first_token + output_tokens * at.time_per_output_token
    slower = than.time_to_first_token + output_tokens * than.time_per_output_token
    assert np.all(request <= slower * SLACK)


def numbers(scenario: Scenario, layout: Parallelism, batch: Number) -> dict[str, Number]:
    """Every number that is answered, at two dollars an hour, but for shares, which have no better side, and ranges."""
    at = predict(scenario, layout, batch)
    found = numbers_of(Answered(scenario, 1, layout.gpus, at, 2.0, 1.0))
    sided = {each.path for each in QUANTITIES if each.unit not in ("share", "GPUs")}
    return {path: value for path, value in found.items() if path in sided}


RATES = {each.path for each in QUANTITIES if each.rate}


def no_worse(at: dict[str, Number], than: dict[str, Number]) -> None:
    """Every time and cost of `at` is at most that of `than`, and every rate at least."""
    assert at.keys() == than.keys()
    for path, value in at.items():
        less, more = (than[path], value) if path in RATES else (value, than[path])
        assert np.all(np.asarray(less) <= np.asarray(more) * SLACK), path


def with_machine(scenario: Scenario, **changes: Any) -> Scenario:
    return replace(scenario, machine=replace(scenario.machine, **changes))


@given(deployments(), batches, contexts)
def test_calibrated_never_beats_ideal(deployment: Deployment, batch: int, context: int) -> None:
    ideal, calibrated, layout = deployment
    bound, expected = (
        predict(at_context(ideal, context), layout, batch),
        predict(at_context(calibrated, context), layout, batch),
    )
    no_worse(*(numbers(at_context(each, context), layout, batch) for each in (ideal, calibrated)))
    for op, achieved in zip(bound.step.ops, expected.step.ops, strict=True):
        assert op.op == achieved.op
        assert np.all(op.seconds <= achieved.seconds * SLACK), op.op


@given(
    deployments(), batches, contexts, st.booleans(), st.sampled_from(["default", "tuned"]),
    st.sampled_from([None, "measured", "uniform", "zipf:0.5", "zipf:1.2", "1.0", "3.5"]),
)  # fmt: skip
def test_calibrated_never_beats_ideal_at_any_option(
    deployment: Deployment, batch: int, context: int, halves: bool, tuning: Any, imbalance: str | None
) -> None:
    ideal, calibrated, layout = deployment
    changed = replace(calibrated.options, two_batch_overlap=halves, tuning=tuning, imbalance=imbalance)
    asked = scenario_of(calibrated.model, calibrated.gpu, changed, calibrated.constants)
    no_worse(*(numbers(at_context(each, context), layout, batch) for each in (ideal, asked)))


@given(deployments(), batches, contexts, st.floats(1, 100))
@pytest.mark.parametrize("rate", ["memory_bandwidth", "link_bandwidth", "network_bandwidth", "peak_flops"])
def test_a_faster_machine_is_never_slower(
    rate: str, deployment: Deployment, batch: int, context: int, factor: float
) -> None:
    *scenarios, layout = deployment
    for scenario in scenarios:
        old = getattr(scenario.machine, rate)
        new = {key: value * factor for key, value in old.items()} if rate == "peak_flops" else old * factor
        faster = predict(at_context(with_machine(scenario, **{rate: new}), context), layout, batch)
        no_slower(faster, predict(at_context(scenario, context), layout, batch), scenario.output_tokens)


@given(deployments(), contexts, st.floats(1, 10))
def test_more_memory_never_holds_fewer_sequences(deployment: Deployment, context: int, factor: float) -> None:
    q, _, layout = deployment
    # An engine takes longer steps on larger GPUs: the same ones are compared.
    budget = replace(q.budget, step_tokens=2048, sequences=256)

    def given_to(machine: Machine) -> tuple[Any, ...]:
        return q.model, machine, layout, q.formats

    def held(machine: Machine) -> Any:
        pool = kv_pool_bytes_per_gpu(q.model, machine, layout, q.formats, budget)
        return max_sequences(pool, held_bytes_per_sequence(*given_to(machine), context, budget), layout)

    assert held(q.machine) <= held(replace(q.machine, memory=q.machine.memory * factor))


@given(deployments(), contexts)
def test_the_sequences_held_fit_and_one_more_per_rank_does_not(deployment: Deployment, context: int) -> None:
    q, _, layout = deployment
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    assume(pool > 0)
    each = float(held_bytes_per_sequence(q.model, q.machine, layout, q.formats, context, q.budget))
    layers = q.model.attention_layers()
    needed = sum(float(n * a.cache_bytes(context, q.formats.cache, layout.tp)) for n, a in layers) / layout.pp
    assert each * SLACK >= needed
    held = float(max_sequences(pool, each, layout)) / layout.attention_dp
    assert held * each <= pool * SLACK
    assert (held + 1) * each > pool / SLACK


@given(
    st.sampled_from(HEADS), st.sampled_from(WIDTHS), st.sampled_from(sorted(CACHE_FORMATS)),
    st.sampled_from([1, 2, 8, 64]), contexts, st.data(),
)  # fmt: skip
def test_fewer_kv_heads_never_cache_more(
    heads: int, width: int, cache: str, ranks: int, context: int, data: st.DataObject
) -> None:
    def cached(kv_heads: int) -> Any:
        layer = GroupedAttention(num_attention_heads=heads, num_key_value_heads=kv_heads, head_dim=width)
        return layer.cache_bytes(context, CACHE_FORMATS[cache], ranks)

    gqa = data.draw(st.sampled_from(divisors(heads)))
    assert cached(heads) >= cached(gqa) >= cached(1)
    if ranks == 1:
        assert cached(heads) == pytest.approx(cached(gqa) * heads / gqa, rel=1e-12)


@given(deployments(), batches, contexts, st.floats(0.01, 100), st.floats(0.01, 1), st.floats(0.01, 100))
def test_dollars_are_linear_in_price_and_inverse_in_utilization(
    deployment: Deployment, batch: int, context: int, price: float, utilization: float, factor: float
) -> None:
    _, scenario, layout = deployment
    rate = predict(at_context(scenario, context), layout, batch).decode_tokens_per_s()
    cost = usd_per_million(layout.gpus, price, rate)
    np.testing.assert_allclose(usd_per_million(layout.gpus, price * factor, rate), cost * factor, **CLOSE)
    np.testing.assert_allclose(usd_per_million(layout.gpus, price, rate, utilization), cost / utilization, **CLOSE)


@given(models(), machines(), st.floats(0.01, 100), st.floats(0.01, 1))
def test_an_estimate_scales_with_price_and_utilization(
    model: costcalc.ModelSpec, gpu: costcalc.Accelerator, price: float, utilization: float
) -> None:
    given_layout = {"tensor_parallel": 1, "attention_data_parallel": 64, "batch": 64, "context": 1000}
    try:
        one = costcalc.estimate(model, gpu, price=1.0, **given_layout)
    except costcalc.CostcalcError as error:
        assume(not any(words in str(error) for words in ("fit", "may not start", "cut an expert")))
        raise
    other = costcalc.estimate(model, gpu, price=price, utilization=utilization, **given_layout)
    for name in ("input", "output", "blended"):
        cost = getattr(one.cost, f"usd_per_million_{name}_tokens")
        assert getattr(other.cost, f"usd_per_million_{name}_tokens") == pytest.approx(
            cost * price / utilization, rel=1e-12
        )
    assert other.decode == one.decode


def elementwise(call: Callable[..., Any], *arrays: Any) -> Any:
    """`call` on one element at a time of arrays that broadcast together."""
    together = np.broadcast_arrays(*arrays)
    found = [call(*(array[i].item() for array in together)) for i in np.ndindex(together[0].shape)]
    return np.reshape([float(x) for x in found], together[0].shape)


def at_context(scenario: Scenario, context: Number) -> Scenario:
    """The scenario at a KV length [tokens], with prompts as long."""
    return replace(scenario, context=context, input_tokens=context)


def assert_broadcasts(call: Callable[..., Any], *arrays: Any) -> None:
    shape = np.broadcast_shapes(*(np.shape(array) for array in arrays))
    at_once = np.broadcast_to(call(*arrays), shape)
    np.testing.assert_array_equal(at_once, elementwise(call, *arrays))


several = st.lists(batches, min_size=1, max_size=4).map(lambda values: np.array(values)[:, None])
lengths = st.lists(contexts, min_size=1, max_size=4).map(np.array)


@given(deployments(), several, lengths)
def test_arrays_of_batches_and_contexts_equal_one_by_one(deployment: Deployment, batch: Any, context: Any) -> None:
    *scenarios, layout = deployment
    for scenario in scenarios:
        assert_broadcasts(lambda b, s, q=scenario: predict(at_context(q, s), layout, b).step.seconds, batch, context)
        assert_broadcasts(
            lambda b, s, q=scenario: predict(at_context(q, s), layout, b).time_per_output_token, batch, context
        )
        assert_broadcasts(
            lambda b, s, q=scenario: predict(at_context(q, s), layout, b).decode_tokens_per_s(), batch, context
        )
        assert_broadcasts(lambda s, q=scenario: predict(at_context(q, s), layout, 8).prefill.seconds, context)


@given(deployments(), batches, contexts, st.lists(st.floats(0.1, 10), min_size=2, max_size=4).map(np.array))
@pytest.mark.parametrize("rate", ["memory_bandwidth", "link_bandwidth", "network_bandwidth", "peak_flops", "memory"])
def test_arrays_of_rates_equal_one_by_one(
    rate: str, deployment: Deployment, batch: int, context: int, factors: Any
) -> None:
    *scenarios, layout = deployment

    def at(scenario: Scenario, factor: Any) -> Scenario:
        old = getattr(scenario.machine, rate)
        new = {key: value * factor for key, value in old.items()} if rate == "peak_flops" else old * factor
        return with_machine(scenario, **{rate: new})

    def pool(q: Scenario) -> Any:
        return kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget)

    for scenario in scenarios:
        assert_broadcasts(
            lambda f, q=scenario: predict(at_context(at(q, f), context), layout, batch).step.seconds, factors
        )
        assert_broadcasts(
            lambda f, q=scenario: predict(at_context(at(q, f), context), layout, batch).prefill.seconds, factors
        )
        assert_broadcasts(lambda f, q=scenario: pool(at(q, f)), factors)


@given(st.data())
def test_arrays_of_degrees_equal_one_by_one(data: st.DataObject) -> None:
    ideal, calibrated, _ = data.draw(deployments())
    several_layouts = data.draw(st.lists(layouts(ideal.model), min_size=2, max_size=4))
    names = ("tp", "attention_dp", "ep", "pp")
    together = Parallelism(**{name: np.array([getattr(x, name) for x in several_layouts]) for name in names})
    batch, context = data.draw(batches), data.draw(contexts)

    def answers(q: Scenario, layout: Parallelism) -> list[Any]:
        parts = (q.model, q.machine, layout, q.formats)
        pool = kv_pool_bytes_per_gpu(*parts, q.budget)
        return [
            decode_step(*parts, q.efficiency, batch, context).seconds,
            prefill_pass(*parts, q.efficiency, context, 0).seconds,
            weights_bytes_per_gpu(q.model, layout, q.formats),
            pool,
            max_sequences(pool, held_bytes_per_sequence(*parts, context, q.budget), layout),
        ]

    for q in (ideal, calibrated):
        one_by_one = np.transpose([[float(x) for x in answers(q, layout)] for layout in several_layouts])
        for at_once, expected in zip(answers(q, together), one_by_one, strict=True):
            np.testing.assert_array_equal(np.broadcast_to(at_once, expected.shape), expected)


@given(deployments(), contexts, st.lists(batches, min_size=2, max_size=12, unique=True))
def test_a_larger_batch_never_lowers_throughput(deployment: Deployment, context: int, sizes: list[int]) -> None:
    ideal, calibrated, layout = deployment
    # Beyond a message of 4 MB engines leave an all-reduce to NCCL, which may take longer by more than the batch grows.
    for scenario in (ideal, calibrated) if layout.stage == 1 else (ideal,):
        rates = predict(at_context(scenario, context), layout, np.sort(sizes)).decode_tokens_per_s()
        assert np.all(rates[1:] * SLACK >= rates[:-1])


@given(deployments(), contexts, st.lists(batches, min_size=2, max_size=12, unique=True))
def test_a_larger_batch_never_takes_a_shorter_step(deployment: Deployment, context: int, sizes: list[int]) -> None:
    *scenarios, layout = deployment
    for scenario in scenarios:
        seconds = predict(at_context(scenario, context), layout, np.sort(sizes)).step.seconds
        assert np.all(seconds[1:] * SLACK >= seconds[:-1])


@given(deployments(monotone=True), batches, st.lists(contexts, min_size=2, max_size=12, unique=True))
def test_a_longer_context_is_never_faster(deployment: Deployment, batch: int, tokens: list[int]) -> None:
    *scenarios, layout = deployment
    for scenario in scenarios:
        at = predict(at_context(scenario, np.sort(tokens)), layout, batch)
        for seconds in (at.step.seconds, at.prefill.seconds, at.time_per_output_token):
            assert np.all(seconds[1:] * SLACK >= seconds[:-1])


@given(deployments(), batches, contexts, st.lists(st.floats(0, 0.9999), min_size=2, max_size=8))
def test_a_cached_share_is_never_slower_nor_dearer(
    deployment: Deployment, batch: int, context: int, shares: list[float]
) -> None:
    *scenarios, layout = deployment
    for scenario in scenarios:
        q = replace(at_context(scenario, context), cached=np.sort(shares))
        found = numbers(q, layout, batch)
        # Users whose answers come sooner meet at the prefill queue again: a whole request is what is quicker.
        found["request"] = (
            found.pop("serving.time_to_first_token_s")
            + q.output_tokens * predict(q, layout, batch).time_per_output_token
        )
        for path, value in found.items():
            each = np.broadcast_to(value, (len(shares),))
            less, more = (each[:-1], each[1:]) if path in RATES else (each[1:], each[:-1])
            assert np.all(less <= more * SLACK), path


@given(deployments(), batches, contexts)
def test_the_parts_of_a_step_sum_to_it(deployment: Deployment, batch: int, context: int) -> None:
    *scenarios, layout = deployment
    for scenario in scenarios:
        step = predict(at_context(scenario, context), layout, batch).step
        parts = [row.time_s for row in breakdown_of(step, layout)]
        assert sum(parts) == pytest.approx(float(step.seconds), rel=1e-12)


@given(deployments(), batches, contexts)
def test_blended_dollars_are_those_of_all_tokens(deployment: Deployment, batch: int, context: int) -> None:
    *scenarios, layout = deployment
    for scenario in scenarios:
        q = at_context(scenario, context)
        found = numbers(q, layout, batch)
        into, out = q.input_tokens, q.output_tokens
        usd = found["cost.usd_per_million_input_tokens"] * into + found["cost.usd_per_million_output_tokens"] * out
        assert found[BLENDED] * (into + out) == pytest.approx(usd, rel=1e-12)
        if not q.disaggregated:  # and those of all GPU time
            hourly = 2.0 * layout.gpus / 3600 * 1e6
            served = found["serving.output_tokens_per_s"] * (into + out) / out
            assert found[BLENDED] == pytest.approx(hourly / served, rel=1e-12)


@given(deployments(), batches, contexts)
def test_the_terms_of_the_bill_are_parts_of_it(deployment: Deployment, batch: int, context: int) -> None:
    *scenarios, layout = deployment
    for q in scenarios:
        parts = (q.model, q.machine, layout, q.formats, q.efficiency, batch, context)
        cache, weights, everything = (
            float(decode_step(*parts, terms=terms).seconds) for terms in ("kv", "weights", "all")
        )
        assert cache + weights <= everything * SLACK
        assert min(cache, weights) >= 0


@given(models(), machines(), contexts, st.integers(1, 64), st.data())
def test_reading_the_cache_costs_the_same_on_any_number_of_gpus(
    model: costcalc.ModelSpec, gpu: costcalc.Accelerator, context: int, per_rank: int, data: st.DataObject
) -> None:
    q = scenario_of(model, gpu, Options(efficiency="ideal", terms="kv"))
    layers = [layer for _, layer in model.attention_layers()]

    def divides(tensor: int) -> bool:
        # What indexes hold has no heads, and is whole on every rank, like MLA's latent.
        whole, part = (total(x.growth_bytes(q.formats.cache, ranks) for x in layers) for ranks in (1, tensor))
        return all(layer.kv_heads % tensor == 0 for layer in layers) and math.isclose(part * tensor, whole)

    tensor = data.draw(st.sampled_from([t for t in divisors(heads_divisor(model)) if divides(t)]))
    layout = Parallelism(tensor, data.draw(st.integers(1, 50)), 1, data.draw(st.integers(1, min(8, model.num_layers))))

    def cost(deployment: Parallelism, batch: int) -> float:
        rate = predict(at_context(q, context), deployment, batch).decode_tokens_per_s()
        return float(usd_per_million(deployment.gpus, 2.0, rate))

    assert cost(layout, per_rank * layout.attention_dp * layout.pp) == pytest.approx(cost(Parallelism(), 1), rel=1e-12)


# Which deployment: what may be typed, and what is chosen.


@settings(max_examples=settings().max_examples // 2)
@given(models(), machines(), options(), st.integers(1, 32))
def test_a_layout_typed_answers_as_where_it_is_chosen_and_what_may_be_typed_is_found(
    model: costcalc.ModelSpec, gpu: costcalc.Accelerator, asked: dict[str, Any], gpus: int
) -> None:
    def degrees(layout: Parallelism) -> dict[str, int]:
        names = {"tensor_parallel": layout.tp, "pipeline_parallel": layout.pp, "expert_parallel": layout.ep}
        told = {**names, "attention_data_parallel": layout.attention_dp}
        return {
            name: int(n) for name, n in told.items() if name != "expert_parallel" or n > 1 or layout.stage > layout.tp
        }

    try:
        chosen = costcalc.estimate(model, gpu, gpus=gpus, **asked)
    except CostcalcError:
        for each in deployments_on(model, gpu, gpus):
            with pytest.raises(CostcalcError):
                costcalc.estimate(model, gpu, gpus=gpus - each.idle, **degrees(each.layout), **asked)
        return
    d = chosen.deployment
    assume(not d.idle_gpus)  # which no layout that is typed leaves
    layout = Parallelism(d.tensor_parallel, d.attention_data_parallel, d.expert_parallel, d.pipeline_parallel)
    typed = costcalc.estimate(model, gpu, gpus=gpus, **degrees(layout), **asked)
    for part in ("deployment", "workload", "memory", "prefill", "decode", "serving", "cost", "breakdown"):
        assert getattr(typed, part) == getattr(chosen, part), part


@given(deployments(), contexts)
def test_a_sequence_caches_no_less_when_it_is_longer(deployment: Deployment, context: int) -> None:
    q, _, _ = deployment
    held = cache_bytes_per_sequence(q.model, q.formats, np.array([context, context + 1, 2 * context]))
    assert np.all(np.diff(held) >= 0)


@given(st.integers(1, 1024), st.data(), st.lists(st.integers(0, 100_000), min_size=2, max_size=8))
def test_touched_experts_grow_up_to_all(experts: int, data: st.DataObject, tokens: list[int]) -> None:
    per_token = data.draw(st.integers(1, experts))
    batch = np.sort(tokens)
    touched = experts_touched(experts, per_token, batch)
    assert np.all(touched[1:] * SLACK >= touched[:-1])
    assert np.all(touched <= np.minimum(experts, per_token * batch) * SLACK)


@given(st.floats(0, 1), st.integers(0, 32), st.integers(0, 32))
def test_more_drafts_never_yield_fewer_tokens(acceptance: float, drafts: int, more: int) -> None:
    few, many = tokens_per_pass(acceptance, np.array([drafts, drafts + more]))
    assert few * SLACK >= 1 and few <= many * SLACK
    assert many <= (drafts + more + 1) * SLACK


def test_prompts_that_ride_in_a_tile_make_faster_memory_no_slower() -> None:
    """With few FLOPs a short prompt is free in a tile that is computed anyway, and is not free in the bound."""
    q = scenario_of(
        costcalc.load_model("llama-3.1-8b"),
        costcalc.load_gpu("h100"),
        Options(backend="vllm", efficiency="calibrated", input_tokens=8, output_tokens=1),
    )
    slow = with_machine(replace(q, context=9), peak_flops=dict.fromkeys(q.machine.peak_flops, 5e13))
    faster = with_machine(slow, memory_bandwidth=slow.machine.memory_bandwidth * np.array([1.0, 2, 4, 8]))
    at = predict(faster, Parallelism(), 4)
    assert np.all(at.billed > at.interference)  # the bill is no lower than the bound's, the waits are as they are
    assert np.all(np.diff(at.time_per_output_token) < 0)
    assert np.all(np.diff(at.served_tokens_per_s(1)) > 0)


# What is shown.


@given(questions())
def test_every_formula_evaluates_to_its_value(question: tuple[Scenario, Chosen]) -> None:
    scenario, chosen = question
    layout = chosen.deployment.layout
    pool = kv_pool_bytes_per_gpu(scenario.model, scenario.machine, layout, scenario.formats, scenario.budget)
    each = scenario, layout, pool, scenario.full_length
    assume(float(started(*each)) == float(sequences_held(*each)))  # what may not start is refused, and not explained
    assert_evaluates(answer(scenario, chosen))


@pytest.mark.parametrize("dimension", AMOUNTS)
@given(data=st.data())
def test_shown_exactly_it_reads_back_as_the_same_float(dimension: str, data: st.DataObject) -> None:
    amounts, show = AMOUNTS[dimension]
    value = data.draw(amounts)
    text = show(value, None)
    if len(text) <= 60:
        assert parse_quantity(text, dimension) == value
