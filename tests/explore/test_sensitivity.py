"""What moves a cost: every end is the estimate of its options, and dollars move as arithmetic says."""

from __future__ import annotations

import re
from typing import Any

import pytest

from costcalc import CostcalcError, estimate, sensitivity
from costcalc.report.money.sensitivity import sensitivity_page
from costcalc.report.page import plain_page

BASE = {"price": 2.0, "output_tokens": 512}
DEGREES = ("tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")


@pytest.mark.parametrize(("model", "gpu"), [("llama-3.1-8b", "1xh100"), ("gpt-oss-120b", "h200")])
def test_every_end_is_the_estimate_of_its_options(model: str, gpu: str) -> None:
    found = sensitivity(model, gpu, vary={"price": (1.0, 4.0)}, **BASE)
    base = found.estimate.deployment
    named = {"price", "utilization", "cached", "batch", "tpot", "input_tokens", "output_tokens", "prediction"}
    assert {*named, "disaggregated"} == {each.input for each in found.influences}
    for each in found.influences:
        if each.input == "prediction":
            continue
        held: dict[str, Any] = {"gpus": base.gpus}
        if each.input == "batch":
            held |= {name: getattr(base, name) for name in DEGREES}
        for end, cost in ((each.low, each.usd_per_million_at_low), (each.high, each.usd_per_million_at_high)):
            told = estimate(model, gpu.removeprefix("1x"), **{**BASE, **held, each.input: end})
            assert told.cost.usd_per_million_blended_tokens == cost


def test_dollars_are_linear_in_price_and_hours_and_sorted_by_what_they_move() -> None:
    found = sensitivity("llama-3.1-8b", "1xh100", vary="price=1:4,batch=", of="output", **BASE)
    by_input = {each.input: each for each in found.influences}
    cost = found.estimate.cost.usd_per_million_output_tokens
    assert found.usd_per_million == cost and "batch" not in by_input
    assert by_input["price"].usd_per_million_at_low == pytest.approx(cost / 2, rel=1e-12)
    assert by_input["price"].usd_per_million_at_high == pytest.approx(cost * 2, rel=1e-12)
    assert by_input["utilization"].usd_per_million_at_low == pytest.approx(cost * 2, rel=1e-12)
    spread = found.estimate.cost.usd_per_million_output_tokens_range
    ends = by_input["prediction"].usd_per_million_at_low, by_input["prediction"].usd_per_million_at_high
    assert ends == spread
    swings = [each.swing for each in found.influences]
    assert swings == sorted(swings, reverse=True)


def test_a_price_of_the_catalog_ranges_over_the_offers_of_its_kind() -> None:
    found = sensitivity("llama-3.1-8b", "1xh100", price="spot")
    price = next(each for each in found.influences if each.input == "price")
    told = sensitivity("llama-3.1-8b", "1xh100", price="spot", vary="price=spot:on-demand")
    by_words = next(each for each in told.influences if each.input == "price")
    assert price.low < price.high and isinstance(by_words.low, float)
    assert by_words.low == pytest.approx(found.estimate.deployment.usd_per_gpu_hour)


def test_an_end_that_does_not_fit_is_unknown() -> None:
    found = sensitivity("llama-3.1-8b", "1xl40s", vary="input=1k:2M", **BASE)
    put = next(each for each in found.influences if each.input == "input_tokens")
    assert put.usd_per_million_at_high is None and put.usd_per_million_at_low is not None
    assert "Does not fit at one end: input_tokens." in found.notes


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ("prize=1:2", "did you mean"),
        ("price=1", "is no range"),
        ("price", "write it like"),
        ("price=a:b", "no price"),
        ("prediction=1:2", "is no range"),
        ("utilization=0:2", "out of range"),
        ("pools=one:apart", "two values and no range; both are tried; pools= leaves it out"),
    ],
)
def test_ranges_that_cannot_be_say_why(vary: str, said: str) -> None:
    with pytest.raises(CostcalcError) as error:
        sensitivity("llama-3.1-8b", "1xh100", vary=vary)
    assert said in str(error.value)


def test_pools_are_one_or_the_other() -> None:
    one, apart = (sensitivity("llama-3.1-70b", "4xh100", disaggregated=told) for told in (False, True))
    rows = [next(each for each in found.influences if each.input == "disaggregated") for found in (one, apart)]
    assert [row.base for row in rows] == [False, True] and rows[0].low is False and rows[0].high is True
    assert rows[0].usd_per_million_at_low == one.usd_per_million
    assert rows[0].usd_per_million_at_high == apart.usd_per_million == rows[1].usd_per_million_at_high
    page = plain_page(sensitivity_page(one))
    assert re.search(r"pools +one +one +apart ", page)
    for given in ({"vary": "pools="}, {"vary": "disaggregated="}, {"disaggregated": True, "prefill_gpus": 4}):
        left = sensitivity("llama-3.1-70b", "4xh100", **given).influences
        assert "disaggregated" not in {each.input for each in left}


def test_of_a_demand_the_cost_of_its_fleet_is_moved() -> None:
    """Every end is the bill of a month over its tokens, as an estimate of those options on such replicas tells it."""
    asked = {"demand": "20 rps", "price": 2.0}
    found = sensitivity("v3", "h200", **asked)
    fleet = found.estimate.demand
    assert fleet is not None and fleet.usd_per_month is not None
    tokens = 20 * 3600 * 730 * (4096 + 1024)
    assert found.usd_per_million == pytest.approx(fleet.usd_per_month / tokens * 1e6)
    [each] = [each for each in found.influences if each.input == "demand"]
    assert (each.low, each.high) == ("10 requests/s", "40 requests/s")
    for rate, cost in ((10, each.usd_per_million_at_low), (40, each.usd_per_million_at_high)):
        told = estimate("v3", "h200", gpus=found.estimate.deployment.gpus, demand=f"{rate} rps", price=2.0).demand
        assert told is not None and told.usd_per_month is not None
        assert cost == pytest.approx(told.usd_per_month / (rate / 20 * tokens) * 1e6)
    assert "whole fleet" in found.notes[0] and "tokens of the demand, blended" in plain_page(sensitivity_page(found))
    own = sensitivity("v3", "h200", demand="20 rps", vary="demand=5rps:80rps")
    [each] = [each for each in own.influences if each.input == "demand"]
    assert (each.low, each.high, each.why) == ("5rps", "80rps", "as told")


def test_terms_of_an_owner_without_a_range_are_named() -> None:
    found = sensitivity("llama-3.1-8b", "1xh100", price="owned")
    owner = found.estimate.deployment.owned
    assert owner is not None
    fixed = round(100 * (1 - owner.parts.electricity / owner.usd_per_gpu_hour))
    assert any(f"{fixed}% is fixed: capital, years, rate" in note for note in found.notes)
    assert not any("is fixed" in note for note in sensitivity("llama-3.1-8b", "1xh100").notes)
