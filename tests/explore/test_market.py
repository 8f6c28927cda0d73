"""List prices beside costs: the arithmetic by hand, and what sellers publish about their own margins."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import costcalc
from costcalc.engine.cost import break_even_utilization, usd_per_million
from costcalc.errors import CostcalcError
from costcalc.explore.estimate import market_price
from costcalc.model.spec import ApiPrice
from costcalc.predict.results import Estimate, MarketPrice
from costcalc.report.money.breakeven import breakeven_page
from costcalc.report.page import plain_page
from costcalc.units import format_usd

SMALL: dict[str, Any] = {"gpus": 1, "batch": 32}
DEEPSEEK = ApiPrice(
    provider="DeepSeek",
    input_usd_per_million=0.55,
    cached_input_usd_per_million=0.14,
    output_usd_per_million=2.19,
    date="2025-02",
    source="DeepSeek's open-source week, day 6",
)


@pytest.fixture(scope="module")
def answer() -> Estimate:
    return costcalc.estimate("llama-3.1-8b", "h100", **SMALL)


def priced(answer: Estimate, price: ApiPrice, cost: float | None, **changes: Any) -> MarketPrice:
    """Set a price beside a deployment of a given cost and workload."""
    work = {name: value for name, value in changes.items() if name != "utilization"}
    return market_price(
        replace(
            answer,
            workload=replace(answer.workload, **work),
            deployment=replace(answer.deployment, utilization=changes.get("utilization", 1.0)),
            cost=replace(answer.cost, usd_per_million_blended_tokens=cost, usd_per_million_blended_tokens_range=None),
        ),
        price,
    )


def test_deepseeks_day_of_production(answer: Estimate) -> None:
    """DeepSeek, open-source week day 6: 608B tokens in, 56.3% of them cached, 168B out, $87,072 a day.

    At R1's list price that is $562,027 a day: cost-profit margin 545%, so the price is 6.45 times the cost.
    """
    entered, out, hit = 608e9, 168e9, 342 / 608
    cost = 87_072 / (entered + out) * 1e6
    found = priced(answer, DEEPSEEK, cost, input_tokens=entered / 1e6, output_tokens=out / 1e6, cached_share=hit)
    assert found.blended_usd_per_million * (entered + out) / 1e6 == pytest.approx(562_027, rel=0.002)
    assert found.price_over_cost == pytest.approx(1 + 5.45, rel=0.002)
    assert found.margin == pytest.approx(5.45 / 6.45, rel=0.001)
    assert found.break_even_utilization == pytest.approx(1 / 6.45, rel=0.002)
    # The bill itself: 226.75 nodes of 8 H800 at $2 per hour.
    assert usd_per_million(226.75 * 8, 2.0, (entered + out) / 86_400) == pytest.approx(cost, rel=1e-4)


def test_a_price_without_a_discount_for_cached_input_asks_the_full_price(answer: Estimate) -> None:
    plain = replace(DEEPSEEK, cached_input_usd_per_million=None)
    mix: dict[str, Any] = {"input_tokens": 3000, "output_tokens": 1000, "cached_share": 0.5}
    assert priced(answer, plain, 1.0, **mix).blended_usd_per_million == pytest.approx((3 * 0.55 + 2.19) / 4)
    half = (1.5 * 0.55 + 1.5 * 0.14 + 2.19) / 4
    assert priced(answer, DEEPSEEK, 1.0, **mix).blended_usd_per_million == pytest.approx(half)


@given(
    cost=st.floats(1e-3, 1e3),
    utilization=st.floats(0.01, 1),
    entered=st.floats(0.01, 100),
    out=st.floats(0.01, 100),
    share=st.floats(0, 1),
)
def test_ratio_margin_and_break_even_tell_the_same(
    answer: Estimate, cost: float, utilization: float, entered: float, out: float, share: float
) -> None:
    price = replace(DEEPSEEK, input_usd_per_million=entered, output_usd_per_million=out)
    found = priced(answer, price, cost, utilization=utilization, cached_share=share)
    assert found.price_over_cost and found.margin is not None and found.break_even_utilization is not None
    assert found.price_over_cost == pytest.approx(found.blended_usd_per_million / cost)
    assert found.margin == pytest.approx(1 - 1 / found.price_over_cost)
    # At the break-even use, the cost at full use divided by that use is the price.
    assert cost * utilization / found.break_even_utilization == pytest.approx(found.blended_usd_per_million)
    assert (found.break_even_utilization > utilization) == (found.price_over_cost < 1) or found.price_over_cost == 1


def test_what_is_free_or_unknown_divides_nothing(answer: Estimate) -> None:
    free = replace(DEEPSEEK, input_usd_per_million=0.0, cached_input_usd_per_million=0.0, output_usd_per_million=0.0)
    given_away, owned, unknown = (
        priced(answer, free, 1.0),
        priced(answer, DEEPSEEK, 0.0),
        priced(answer, DEEPSEEK, None),
    )
    assert (given_away.price_over_cost, given_away.margin, given_away.break_even_utilization) == (0, None, None)
    assert (owned.price_over_cost, owned.margin, owned.break_even_utilization) == (None, 1, 0)
    assert (unknown.price_over_cost, unknown.margin, unknown.break_even_utilization) == (None, None, None)


def test_the_range_of_the_break_even_follows_from_that_of_the_cost() -> None:
    found = costcalc.breakeven("v3", "h100", utilization=0.5)
    limits = found.estimate.cost.usd_per_million_blended_tokens_range
    assert limits
    for price in found.estimate.market:
        deployment, middle = price.break_even_utilization_range, price.break_even_utilization
        assert deployment and middle and deployment[0] < middle < deployment[1]
        assert deployment == pytest.approx([0.5 * each / price.blended_usd_per_million for each in limits])
    ideal = costcalc.breakeven("v3", "h100", efficiency="ideal").estimate
    assert all(price.break_even_utilization_range is None for price in ideal.market)


def test_the_break_even_is_the_same_at_any_utilization_and_scales_with_the_rent() -> None:
    def shares(**options: Any) -> list[float | None]:
        market = costcalc.breakeven("llama-3.1-8b", "h100", **SMALL, **options).estimate.market
        return [price.break_even_utilization for price in market]

    once = shares()
    assert shares(utilization=0.3) == pytest.approx(once)
    assert shares(price=2 * 3.24) == pytest.approx([2 * (each or 0) for each in once])


def test_against_takes_prices_of_other_models_open_or_closed() -> None:
    own = costcalc.breakeven("llama-3.1-8b", "h100", **SMALL)
    assert own.against == "Llama-3.1-8B" and own.to_dict()["against"] == "Llama-3.1-8B"
    for name, shown in (("gpt-4o", "GPT-4o"), ("sonnet-3.5", "Claude 3.5 Sonnet"), ("r1", "DeepSeek-R1")):
        other = costcalc.breakeven("llama-3.1-8b", "h100", against=name, **SMALL)
        assert other.against == shown
        assert other.estimate.cost == own.estimate.cost
        assert other.estimate.market != own.estimate.market


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"model": "llama-2-7b"}, "no list price of Llama-2-7B is known; name a model that has one with --against"),
        ({"against": "llama-2-7b"}, "no list price of Llama-2-7B is known"),
        ({"against": "claude-3.5-sonet"}, "unknown model 'claude-3.5-sonet'; did you mean 'claude-3.5-sonnet'?"),
        ({"gpu": "h20"}, "no price per hour of NVIDIA H20 96GB is known; give one with --price"),
        ({"terms": "kv"}, "a list price pays for everything, not for one term of the bill; leave --terms out"),
        ({"model": "gpt-4o"}, "GPT-4o is known by its list prices only, not by its shape; compare with them as in: "),
    ],
)
def test_what_cannot_be_compared_is_one_line(asked: dict[str, Any], message: str) -> None:
    scenario: dict[str, Any] = {"model": "llama-3.1-8b", "gpu": "h100", **SMALL, **asked}
    with pytest.raises(CostcalcError) as caught:
        costcalc.breakeven(scenario.pop("model"), scenario.pop("gpu"), **scenario)
    assert str(caught.value).startswith(message)


def test_a_price_of_ones_own_makes_every_gpu_comparable() -> None:
    found = costcalc.breakeven("llama-3.1-8b", "h20", price=1.5, **SMALL)
    assert found.estimate.market[0].break_even_utilization


def test_of_a_demand_the_fleet_and_its_bill_come_first() -> None:
    found = costcalc.breakeven("v3", "h100", demand="1B tokens/day", sell="0.6/2.2")
    asked, load = found.estimate.demand, found.estimate.workload
    assert asked is not None and asked.usd_per_month is not None and found.sale is not None
    month = asked.requests_per_s * 3600 * 730 / 1e6
    for each, price in [(found.sale, (0.6, 2.2)), *((x, None) for x in found.estimate.market)]:
        into, out = price or (each.input_usd_per_million, each.output_usd_per_million)
        bill = month * (load.input_tokens * into + load.output_tokens * out)
        assert each.usd_per_month_at_demand == pytest.approx(bill, rel=1e-9)
    sold = month * (load.input_tokens * 0.6 + load.output_tokens * 2.2)
    assert found.left_usd_per_month == pytest.approx(sold - asked.usd_per_month, rel=1e-9)
    page = [line for line in plain_page(breakeven_page(found)).splitlines() if line]
    assert page[1].startswith("The demand, ") and f"takes {asked.gpus:,} × NVIDIA H100" in page[1]
    assert f"{format_usd(asked.usd_per_month)} a month" in page[1]


@pytest.mark.parametrize("more", [{}, {"utilization": "40%"}, {"disaggregated": True}, {"cached": "50%"}])
def test_a_margin_is_what_a_month_of_the_demand_leaves(more: dict[str, Any]) -> None:
    """Of what a month of the demand is sold for, the bill of its whole fleet leaves the margin that was asked for."""
    asked = {"demand": "20rps", "input_tokens": 3000, "output_tokens": 700, **more}
    found = costcalc.breakeven("v3", "h200", margin="60%", **asked)
    fleet, sale = found.estimate.demand, found.sale
    assert fleet is not None and fleet.usd_per_month is not None and sale is not None
    assert sale.usd_per_month_at_demand is not None and found.left_usd_per_month is not None
    sold = 20 * 3600 * 730 * (3000 * sale.input_usd_per_million + 700 * sale.output_usd_per_million) / 1e6
    assert sale.usd_per_month_at_demand == pytest.approx(sold, rel=1e-9)
    assert found.left_usd_per_month == pytest.approx(sold - fleet.usd_per_month, rel=1e-9)
    assert found.left_usd_per_month / sold == pytest.approx(0.6) == sale.margin
    # At 40% of the requests the same fleet takes in what it costs.
    assert sale.break_even_requests_per_s == pytest.approx(8.0)
    for each in found.estimate.market:
        bill = each.usd_per_month_at_demand
        assert bill and each.margin == pytest.approx(1 - fleet.usd_per_month / bill)
        assert each.price_over_cost == pytest.approx(bill / fleet.usd_per_month)
    page = plain_page(breakeven_page(found))
    assert "leave 60% of it [" in page and "from 8 requests/s on (40% of the demand)" in page
    assert f"Busy or not, {found.estimate.deployment.gpus:,} × NVIDIA H200" in page
    assert "never idle, unlike those" not in page


def test_an_estimate_of_a_demand_says_what_apis_ask_for_it() -> None:
    asked = costcalc.estimate("v3", "h200", demand="20rps"), costcalc.breakeven("v3", "h200", demand="20rps").estimate
    bills, same = ([each.usd_per_month_at_demand for each in found.market] for found in asked)
    assert bills == same
    assert all(bills)


def test_shares_broadcast() -> None:
    import numpy as np

    assert break_even_utilization(np.array([1.0, 3.0]), 2.0).tolist() == [0.5, 1.5]
