"""The difference of two estimates: shares by the definition, that add up, of questions that can be asked."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import permutations
from math import factorial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costcalc import CostcalcError, diff, estimate
from costcalc.explore.diff import MOST_CHANGES, in_order, shapley
from costcalc.report.diff import diff_page, diff_title, steps_of
from costcalc.report.page import plain_page
from costcalc.units import SHOWN_IN, Currency

NAMES = ("a", "b", "c", "d")
States = dict[frozenset[str], float | None]


def states(count: int, values: list[float | None]) -> States:
    """Costs of all sets of the first names, in the order of their bits."""
    sets = [frozenset(NAMES[at] for at in range(count) if state >> at & 1) for state in range(1 << count)]
    return dict(zip(sets, values, strict=True))


def by_definition(names: tuple[str, ...], cost: States) -> dict[str, float]:
    """The mean of what each adds over all orders whose every step has a cost, counted one by one."""
    sums, orders = dict.fromkeys(names, 0.0), 0
    for order in permutations(names):
        steps = [cost[frozenset(order[:length])] for length in range(len(order) + 1)]
        if any(step is None for step in steps):
            continue
        orders += 1
        for each, before, after in zip(order, steps, steps[1:], strict=False):
            assert before is not None and after is not None
            sums[each] += after - before
    return {each: total / orders for each, total in sums.items()}


def test_a_game_of_gloves() -> None:
    """Two left gloves and one right one, whose pair is worth 1: Shapley gives 1/6, 1/6 and 4/6.

    Source: the standard example, as in R. B. Myerson, "Game Theory" (1991), section 9.4.
    """
    worth = {
        frozenset(each): float("r" in each and len(each) > 1) for each in ("", "a", "b", "r", "ab", "ar", "br", "abr")
    }
    found = shapley(("a", "b", "r"), worth.__getitem__)
    assert {each[0]: round(6 * value, 9) for each, value in found.items()} == {"a": 1, "b": 1, "r": 4}


@given(st.lists(st.floats(0, 10), min_size=16, max_size=16))
def test_the_shares_are_those_of_the_definition(values: list[float]) -> None:
    cost = states(4, [*values])
    found = shapley(NAMES, cost.__getitem__)
    assert {each[0]: value for each, value in found.items()} == pytest.approx(by_definition(NAMES, cost), abs=1e-9)


@given(st.lists(st.one_of(st.none(), st.floats(0, 10)), min_size=6, max_size=6), st.floats(0, 9), st.floats(0, 9))
def test_they_add_up_where_some_steps_cannot_be(between: list[float | None], first: float, last: float) -> None:
    cost = states(3, [first, *between, last])
    for share in (shapley, in_order):
        found = share(NAMES[:3], cost.__getitem__)
        assert sum(found.values()) == pytest.approx(last - first, abs=1e-9)
        assert sorted(name for names in found for name in names) == ["a", "b", "c"]


def test_only_orders_that_can_be_count() -> None:
    # 'b' cannot be without 'a': of the six orders, three are left.
    cost = states(3, [1.0, 2.0, None, 5.0, 3.0, 4.0, None, 9.0])
    found = shapley(NAMES[:3], cost.__getitem__)
    assert {each[0]: value for each, value in found.items()} == pytest.approx(by_definition(("a", "b", "c"), cost))


def test_what_no_order_keeps_apart_is_one_change() -> None:
    # Neither 'a' nor 'b' can be without the other.
    cost = states(3, [1.0, None, None, 5.0, 3.0, None, None, 9.0])
    assert shapley(NAMES[:3], cost.__getitem__) == pytest.approx({("a", "b"): 5.0, ("c",): 3.0})
    assert in_order(NAMES[:3], cost.__getitem__) == pytest.approx({("a", "b"): 4.0, ("c",): 4.0})


V3 = {"model": "v3", "gpu": "h100"}


def test_one_change_explains_all() -> None:
    found = diff(V3, {**V3, "tuning": "tuned"})
    [change] = found.changes
    costs = [estimate("v3", "h100", **more).cost.usd_per_million_blended_tokens for more in ({}, {"tuning": "tuned"})]
    assert (change.path, change.before, change.after) == ("tuning", "default", "tuned")
    assert change.effect == found.difference == costs[1] - costs[0]  # type: ignore[operator]


def test_several_changes_add_up() -> None:
    after = {"model": "deepseek-v3", "gpu": "16xh200", "disaggregated": True, "price": 2}
    found = diff(V3, after, of="output")
    effects = [each.effect for each in found.changes]
    assert found.difference is not None
    assert sum(filter(None, effects)) == pytest.approx(found.difference, rel=1e-12)
    assert {each.path for each in found.changes} == {"gpu", "gpus", "disaggregated", "price"}  # an alias is no change
    assert [abs(each or 0) for each in effects] == sorted((abs(each or 0) for each in effects), reverse=True)
    assert found.after.gpus == 16 and found.before.gpu == "NVIDIA H100 SXM5 80GB"


def test_the_sides_exchanged_turn_every_sign() -> None:
    after = {**V3, "context": "32k", "batch": 16}
    there, back = diff(V3, after), diff(after, V3)
    effects = {each.path: each.effect for each in back.changes}
    for each in there.changes:
        assert each.effect == pytest.approx(-(effects[each.path] or 0), rel=1e-9)


def test_many_changes_are_made_in_order() -> None:
    after = {
        "model": "llama-3.1-8b", "gpu": "1xh100", "context": 2000, "weights": "fp8", "kv_cache": "fp8", "batch": 8,
        "price": 1, "utilization": 0.5, "tuning": "tuned", "output_tokens": 100,
    }  # fmt: skip
    found = diff({"model": "llama-3.1-8b", "gpu": "2xl40s"}, after)
    assert len(found.changes) > MOST_CHANGES and factorial(len(found.changes)) > 1e6
    assert found.method == "in order" and "one after the other" in found.notes[0]
    assert sum(each.effect or 0 for each in found.changes) == pytest.approx(found.difference, rel=1e-9)


def test_effects_on_a_month_add_up_to_the_difference_of_two_bills() -> None:
    """Twice the price of every GPU-hour and half the requests: the bills are those that two estimates tell."""
    twenty, ten = {**V3, "demand": "20rps"}, {**V3, "demand": "10rps", "price": 5}
    found = diff(twenty, ten, of="month")
    fleets = [estimate(**side).demand for side in (twenty, ten)]
    bills = [each.usd_per_month for each in fleets if each and each.usd_per_month]
    assert found.difference == pytest.approx(bills[1] - bills[0])
    assert {each.path for each in found.changes} == {"demand", "price"}
    assert sum(each.effect or 0 for each in found.changes) == pytest.approx(found.difference, rel=1e-9)
    # What halves the requests saves about half of the fleet, in the mean of both prices.
    [demand] = [each.effect for each in found.changes if each.path == "demand"]
    assert demand is not None and demand < 0
    tree = found.to_dict()
    assert tree["difference_usd_per_month"] == found.difference and "difference_usd_per_million" not in tree
    assert [side.demand_gpus for side in (found.before, found.after)] == [each.gpus for each in fleets if each]
    with pytest.raises(CostcalcError, match="a month is that of a demand"):
        diff(V3, ten, of="month")


def test_a_demand_alone_moves_the_bill_and_draws_no_bar_of_nothing() -> None:
    page = plain_page(diff_page(diff(*({"model": "v3", "gpu": "h200", "demand": each} for each in ("20rps", "10rps")))))
    assert re.search(r"A month of the demand: \$[\d,]+ for \d+ GPUs to \$[\d,]+ for \d+ GPUs, -\d+%", page)
    assert "GPUs of the demand" in page and "$ of a month of the demand" in page
    [row] = [line for line in page.splitlines() if line.strip().startswith("--demand")]
    assert row.rstrip().endswith("$0.000")


def test_nothing_differs() -> None:
    found = diff(V3, {"model": "deepseek-v3", "gpu": "h100-sxm", "utilization": "100%"})
    assert (found.changes, found.difference) == ((), 0.0)


def test_without_a_price_nothing_is_explained() -> None:
    found = diff({"model": "llama-3.1-8b", "gpu": "rtx-pro-6000-blackwell"}, {"model": "llama-3.1-8b", "gpu": "h100"})
    if found.before.usd_per_gpu_hour is None:
        assert found.difference is None and found.changes[0].effect is None


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (V3, {"model": "v3"}, "a model and a GPU"),
        (V3, {**V3, "bacht": 8}, "did you mean 'batch'?"),
        (V3, {**V3, "gpus": 1}, "does not fit"),
        ({"model": "v33x", "gpu": "h100"}, V3, "v33x"),
    ],
)
def test_what_cannot_be_asked(before: dict[str, object], after: dict[str, object], words: str) -> None:
    with pytest.raises(CostcalcError) as raised:
        diff(before, after)
    assert words in str(raised.value)


def test_of_unknown_tokens() -> None:
    with pytest.raises(CostcalcError, match="one of: blended, output, input, month"):
        diff(V3, V3, of="all")  # type: ignore[arg-type]


@pytest.mark.parametrize("currency", [Currency("$", 1.0), Currency("€", 0.92), Currency("¥", 157.0)])
def test_what_is_shown_adds_up_to_the_last_digit(currency: Currency) -> None:
    found = diff(
        {"model": "v3", "gpu": "h100"},
        {"model": "v3", "gpu": "h200", "tuning": "tuned", "utilization": 0.7, "output_tokens": 700},
    )
    token = SHOWN_IN.set(currency)
    try:
        first, *between, last = (Decimal(re.sub(r"[^0-9.-]", "", step.shown)) for step in steps_of(found))
        title = diff_title(found)
    finally:
        SHOWN_IN.reset(token)
    assert len(between) >= 3 and first + sum(between) == last
    assert [Decimal(re.sub(r"[^0-9.-]", "", each)) for each in re.findall(r"-?[$€¥][0-9.,]+[0-9]", title)] == [
        first, last, last - first,
    ]  # fmt: skip
