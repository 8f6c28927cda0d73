"""Limits of time, lengths that must fit, demand, and what is known of a model: each by hand or from outside."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.errors import CostcalcError
from costcalc.predict.quantities import ranges_of
from costcalc.predict.scenario import Options, scenario_of
from costcalc.units import parse_demand, parse_level

LLAMA_8B = 2 * 8 * 128 * 32 * 2  # bytes per token: keys and values of 8 heads of 128 in 32 layers, 16 bits


@pytest.mark.parametrize(
    ("load", "length"),
    [
        ({}, 4096 + 1024),
        ({"context": 100_000}, 100_000),  # alone: the length that was asked about
        ({"context": 100_000, "output_tokens": 100_000}, 200_000),  # a prompt of the context, and its answer
        ({"context": 8000, "input_tokens": 8000}, 8000 + 1024),
        ({"context": 60_000, "input_tokens": 8000, "output_tokens": 1000}, 60_000),
        ({"input_tokens": 8000, "output_tokens": 1000}, 9000),
    ],
)
def test_what_must_fit_is_a_sequence_at_its_full_length(load: dict[str, float], length: int) -> None:
    answer = costcalc.estimate("llama-3.1-8b", "h100", gpus=1, **load)  # type: ignore[arg-type]
    assert answer.kv_cache.bytes_per_sequence == length * LLAMA_8B
    assert answer.memory.max_sequences == answer.memory.kv_pool_bytes_per_gpu // (length * LLAMA_8B)


@pytest.mark.parametrize(
    "load", [{"context": 150_000}, {"context": 100_000, "output_tokens": 100_000}, {"input_tokens": 140_000}]
)
def test_lengths_beyond_the_models_context_are_noted(load: dict[str, float]) -> None:
    answer = costcalc.estimate("llama-3.1-8b", "h100", **load)  # type: ignore[arg-type]
    assert any("exceed the 131,072 that Llama-3.1-8B was trained for" in note for note in answer.notes)
    rows = costcalc.compare_gpus(["h100", "h200"], "llama-3.1-8b", **load)  # type: ignore[arg-type]
    assert any("131,072" in note for note in rows.notes)


def test_a_limit_on_the_first_token_is_kept() -> None:
    free = costcalc.estimate("llama-3.1-70b", "h100", gpus=8)
    assert free.limits.time_to_first_token_s is None
    first = free.serving.time_to_first_token_s
    assert first is not None
    limited = costcalc.estimate("llama-3.1-70b", "h100", gpus=8, ttft=0.8 * first)
    assert limited.limits.kept and limited.limits.time_to_first_token_s == 0.8 * first
    assert (limited.serving.time_to_first_token_s or 0) <= 0.8 * first
    assert (limited.cost.usd_per_million_blended_tokens or 0) > (free.cost.usd_per_million_blended_tokens or 0)


def test_a_limit_on_the_first_token_that_nothing_keeps_is_said() -> None:
    answer = costcalc.estimate("v3", "h100", ttft=0.01)
    assert answer.limits.kept is False
    assert any("No batch keeps a TPOT of 50 ms and a TTFT of 10 ms" in note for note in answer.notes)


def test_limits_are_none_where_a_batch_was_typed() -> None:
    assert costcalc.estimate("v3", "h100", batch=2560, gpus=32).limits.kept is None
    assert costcalc.estimate("v3", "h100", batch=2560, gpus=32, tpot=0.05).limits.kept is False


@pytest.mark.parametrize(
    "asked", ["50 requests/s", "51,200 tokens/s", "4.4237B tokens/day", "3000 requests per minute"]
)
def test_a_demand_takes_whole_replicas(asked: str) -> None:
    answer = costcalc.estimate("llama-3.1-70b", "h100", gpus=4, demand=asked, utilization=0.5)
    found, serving, machine = answer.demand, answer.serving, answer.deployment
    assert found is not None and serving.output_tokens_per_s_per_gpu and machine.usd_per_gpu_hour
    assert found.requests_per_s == pytest.approx(50, rel=1e-4)
    assert found.output_tokens_per_s == pytest.approx(50 * 1024, rel=1e-4)
    # Each GPU is busy half of the time: a replica of four serves half of what it could.
    replica = serving.output_tokens_per_s_per_gpu * 4 * 0.5
    assert found.replicas == ceil(found.output_tokens_per_s / replica)
    assert found.gpus == 4 * found.replicas
    assert found.load == pytest.approx(found.output_tokens_per_s / replica / found.replicas)
    assert found.usd_per_hour == pytest.approx(found.gpus * machine.usd_per_gpu_hour)
    assert found.usd_per_month == pytest.approx(found.gpus * machine.usd_per_gpu_hour * 730)
    explained = {each.quantity: each for each in answer.explanation}
    assert explained["demand.replicas"].value == found.replicas
    assert explained["demand.usd_per_month"].value == found.usd_per_month


def test_a_user_pays_a_share_of_the_month() -> None:
    found = costcalc.estimate("llama-3.1-70b", "h100", gpus=4, demand="1000 users").demand
    assert found is not None and found.users == 1000
    assert found.usd_per_user_month == pytest.approx(found.gpus * 3.24 * 730 / 1000)
    # Nobody is counted where requests are.
    found = costcalc.estimate("llama-3.1-70b", "h100", gpus=4, demand="50 requests/s").demand
    assert found is not None and found.usd_per_month and found.usd_per_user_month is None


def test_pools_of_their_own_are_sized_together() -> None:
    answer = costcalc.estimate("llama-3.1-70b", "h100", gpus=4, demand="50 requests/s", disaggregated=True)
    found, serving = answer.demand, answer.serving
    assert found is not None and serving.output_tokens_per_s and serving.prefill_gpus
    assert found.replicas == ceil(50 * 1024 / serving.output_tokens_per_s)
    # Workers that prefill are laid out as those that decode, on four GPUs each.
    assert found.gpus == 4 * found.replicas + 4 * ceil(found.replicas * serving.prefill_gpus / 4)


def test_dollars_of_a_demand_are_those_of_its_tokens() -> None:
    # At a load of whole replicas the monthly bill is the blended price times the month's tokens.
    answer = costcalc.estimate("llama-3.1-8b", "h100", gpus=1, demand="1000 requests/s", backend="sglang")
    found, blended = answer.demand, answer.cost.usd_per_million_blended_tokens
    assert found is not None and blended is not None and found.usd_per_month is not None
    tokens = 1000 * (4096 + 1024) * 730 * 3600
    # Prompts that ride on decode steps cost no more than passes of their own, which the blended price counts.
    assert found.usd_per_month * found.load <= blended * tokens / 1e6 * 1.001


@pytest.mark.parametrize("demand", ["20rps", "1B tokens/day", "300 users"])
@pytest.mark.parametrize("options", [{}, {"disaggregated": True}, {"utilization": 0.4, "input_tokens": 700}])
def test_dollars_of_a_demand_add_up_to_its_bill(demand: str, options: dict[str, Any]) -> None:
    answer = costcalc.estimate("llama-3.1-70b", "h100", demand=demand, **options)
    found, load = answer.demand, answer.workload
    assert found is not None and found.usd_per_request is not None
    requests = found.requests_per_s * 3600 * 730
    of_all = (found.usd_per_million_tokens or 0.0) * requests * (load.input_tokens + load.output_tokens) / 1e6
    of_output = (found.usd_per_million_output_tokens or 0.0) * found.output_tokens_per_s * 3600 * 730 / 1e6
    bill = [found.usd_per_request * requests, of_all, of_output]
    assert bill == pytest.approx([found.usd_per_month] * 3, rel=1e-9)
    assert found.usd_per_month == found.gpus * answer.deployment.usd_per_gpu_hour * 730  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "amount", "of"),
    [
        ("50 requests/s", 50, "requests"),
        ("50/s", 50, "requests"),
        ("1.5M per day", 1.5e6 / 86_400, "requests"),
        ("50 rps", 50, "requests"),
        ("3M requests / day", 3e6 / 86_400, "requests"),
        ("1B tokens/day", 1e9 / 86_400, "tokens"),
        ("1Btokens/day", 1e9 / 86_400, "tokens"),
        ("1 billion output tokens per month", 1e9 / (730 * 3600), "tokens"),
        ("20k tok/s", 20_000, "tokens"),
        ("10k tps", 10_000, "tokens"),
        ("100 users", 100, "users"),
        ("1 user", 1, "users"),
        ("2k concurrent users", 2000, "users"),
        ("64 requests in flight", 64, "users"),
    ],
)
def test_demand_as_people_type_it(text: str, amount: float, of: str) -> None:
    found = parse_demand(text)
    assert found.amount == pytest.approx(amount) and found.of == of
    # An answer of 100 tokens: ten times as many tokens are as many requests; users come when they are answered.
    rate = {"requests": amount, "tokens": amount / 100, "users": None}[of]
    assert found.requests_per_s(100) == (None if rate is None else pytest.approx(rate))


@pytest.mark.parametrize(
    ("text", "of", "seconds", "told"),
    [
        ("2s", "p50", 2.0, False),
        ("p95=2s", "p95", 2.0, True),
        ("P99: 50 ms", "p99", 0.05, True),
        ("median<=1s", "p50", 1.0, True),
        ("mean = 1.5 s", "mean", 1.5, True),
        (0.05, "p50", 0.05, False),
    ],
)
def test_service_levels_as_people_type_them(text: str | float, of: str, seconds: float, told: bool) -> None:
    assert parse_level(text) == (of, seconds, told)


@pytest.mark.parametrize("text", ["p42=1s", "p95", "p95=", "p95=2", "x=2s", "p95=-2s", "p95=0s", "2"])
def test_what_is_no_service_level_is_one_line(text: str) -> None:
    with pytest.raises(CostcalcError) as caught:
        costcalc.estimate("v3", "h100", ttft=text)
    assert str(caught.value).startswith("ttft: ") and "\n" not in str(caught.value)


def test_a_percentile_takes_a_replay_and_the_median_does_not() -> None:
    median = costcalc.estimate("llama-3.1-8b", "h100", ttft="p50=200ms", tpot="median=20ms")
    assert median.to_dict() == costcalc.estimate("llama-3.1-8b", "h100", ttft=0.2, tpot=0.02).to_dict()
    with pytest.raises(CostcalcError, match="takes a replay") as caught:
        costcalc.estimate("llama-3.1-8b", "h100", ttft="p95=200ms")
    assert "costcalc plan" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "50",
        "50/s/s",
        "users",
        "-3 users",
        "-3 rps",
        "0 rps",
        "nan tokens/s",
        "5 foo/s",
        "1 token/fortnight",
        "1e30 rps",
    ],
)
def test_what_is_no_demand_is_one_line(text: str) -> None:
    with pytest.raises(CostcalcError) as caught:
        costcalc.estimate("v3", "h100", demand=text)
    assert "write it like '50 requests/s'" in str(caught.value)


def missing(note: str) -> list[str]:
    """What a note says that no run was measured of."""
    if not note.startswith("No run of "):
        return []
    return note.removeprefix("No run of ").partition(" was measured")[0].split(" or ")


def test_a_model_of_a_measured_shape_is_as_well_known() -> None:
    # DeepSeek-V3 and R1 share every dimension; R1 alone was measured.
    v3, r1 = (costcalc.estimate(name, "h200") for name in ("v3", "r1"))
    assert v3.cost == r1.cost and v3.decode == r1.decode
    assert not any("the model" in missing(note) for note in v3.notes)
    twins = costcalc.compare_attention("r1", "h200").rows
    mha = next(row.estimate for row in twins if row.variant == "MHA")
    assert any("the model" in missing(note) for note in mha.notes)


@pytest.mark.parametrize(
    ("model", "gpu", "new"),
    [
        ("v3", "h100", set()),
        ("v3", "h20", {"the GPU"}),
        ("glm-4.5", "h100", {"the model"}),
        ("glm-4.5", "h20", {"the GPU", "the model"}),
        ("v3", "gaudi3", {"the GPU", "the gaudi architecture"}),
    ],
)
def test_the_note_says_what_of_the_question_is_new(model: str, gpu: str, new: set[str]) -> None:
    spec, machine = costcalc.load_model(model), costcalc.load_gpu(gpu)
    scenario = scenario_of(spec, machine, Options())
    found, constants = ranges_of(scenario).unmeasured, scenario.constants
    parts = {"the GPU", "the model", f"the {machine.architecture} architecture"}
    assert parts & set(found) == new
    assert ("the engine" in found) == (scenario.backend not in constants.measured_backends)
    assert (f"any machine of {machine.vendor}" in found) == (machine.vendor not in constants.measured_vendors)
    notes = costcalc.estimate(spec, machine, gpus=64).notes
    said = [each for note in notes for each in missing(note)]
    assert said == (list(found) if notes else [])


def test_shapes_of_the_measured_models_are_those_of_the_catalog() -> None:
    measured = Catalog().serving_efficiency().measured_models
    assert measured
    for name in measured:
        scenario = scenario_of(costcalc.load_model(name), costcalc.load_gpu("h100"), Options())
        assert "the model" not in ranges_of(scenario).unmeasured, name


@pytest.mark.parametrize(("model", "gpu"), [("v3", "h20"), ("kimi-k2", "h100")])
def test_what_is_new_widens_the_range(model: str, gpu: str) -> None:
    new, known = (
        ranges_of(scenario_of(costcalc.load_model(m), costcalc.load_gpu(g), Options())).decode
        for m, g in ((model, gpu), ("v3", "h100"))
    )
    assert new is not None and known is not None
    assert new[0] <= known[0] < known[1] <= new[1]
