"""What owning costs: capital recovery by its closed form, and parts that sum to the whole as they are shown."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.cli import main
from costcalc.errors import CostcalcError
from costcalc.fields import total
from costcalc.hardware.owning import OwnedTerms, apportioned, monthly_capital, owned
from costcalc.report.owning import owned_block
from costcalc.report.page import Grid
from costcalc.units import SHOWN_IN, Currency

H100 = costcalc.load_gpu("h100")
OWNING = Catalog().owning()
DEFAULT = OWNING.told()

terms = st.builds(
    OwnedTerms,
    years=st.floats(0.25, 30),
    rate=st.one_of(st.just(0.0), st.floats(1e-9, 1)),
    residual=st.floats(0, 1),
    server=st.floats(0, 3),
    space=st.floats(0, 1000),
    host_power=st.floats(0, 3),
    draw=st.floats(0.01, 1),
    idle=st.floats(0, 1),
    busy=st.floats(0.01, 1),
    staff=st.floats(0, 1),
    support=st.floats(0, 1),
    pue=st.floats(1, 3),
    power_price=st.floats(0, 2),
    grid_co2=st.floats(0, 2000),
    capital=st.floats(1, 1e6),
)


@pytest.mark.parametrize(("rate", "years"), [(0.08, 4), (0.1, 5), (0.12, 3), (1.0, 0.25), (0.01, 30)])
@pytest.mark.parametrize("residual", [0.0, 0.1, 0.5])
def test_capital_recovery_is_the_closed_form(rate: float, years: float, residual: float) -> None:
    capital, i, n = 30_000.0, rate / 12, 12 * years
    expected = (capital - residual * capital / (1 + i) ** n) * i / (1 - (1 + i) ** -n)
    assert monthly_capital(capital, rate, years, residual) == pytest.approx(expected, rel=1e-12)


def test_payments_and_residual_are_worth_the_capital() -> None:
    capital, rate, years, residual = 30_000.0, 0.09, 4, 0.2
    paid = monthly_capital(capital, rate, years, residual)
    worth = sum(paid / (1 + rate / 12) ** month for month in range(1, 49)) + residual * capital / (1 + rate / 12) ** 48
    assert worth == pytest.approx(capital, rel=1e-12)


def test_without_a_rate_the_loss_of_value_is_spread_evenly() -> None:
    assert monthly_capital(36_000, 0, 3, 0.25) == 750.0
    assert monthly_capital(36_000, 1e-12, 3, 0.25) == pytest.approx(750.0, rel=1e-9)


def test_a_mortgage_of_a_textbook() -> None:
    # $100,000 over 30 years at 6% a year, paid monthly: $599.55, as every mortgage table has it.
    assert monthly_capital(100_000, 0.06, 30) == pytest.approx(599.55, abs=0.005)


@given(terms)
def test_parts_sum_to_the_whole_and_to_what_is_shown(told: OwnedTerms) -> None:
    cost = owned(H100, told)
    assert cost is not None
    parts = asdict(cost.parts)
    assert cost.usd_per_gpu_hour == total(parts.values())
    assert cost.fixed_usd_per_gpu_hour + cost.variable_usd_per_gpu_hour == cost.usd_per_gpu_hour
    shown = apportioned(parts)
    assert all(abs(shown[name] - parts[name]) < 1.0001e-4 for name in parts)
    [grid] = [block for block in owned_block(cost) if isinstance(block, Grid)]
    cents = [round(float(row[1].lstrip("$")) * 1e4) for row in grid.rows]
    assert sum(cents[:5]) == cents[5] and cents[5] + cents[6] == cents[7]
    assert cents[7] == round(cost.usd_per_gpu_hour * 1e4)


def test_parts_sum_to_what_is_shown_in_any_currency() -> None:
    cost = owned(H100, Catalog().owning().told(None, {}))
    assert cost is not None
    for rate in (0.92, 0.79, 157.0):
        token = SHOWN_IN.set(Currency("¤", rate))
        [grid] = [block for block in owned_block(cost, 4.56) if isinstance(block, Grid)]
        SHOWN_IN.reset(token)
        for column in (1, 2):
            units = [round(float(row[column].lstrip("¤")) * 1e4) for row in grid.rows]
            assert sum(units[:5]) == units[5] and units[5] + units[6] == units[7]


@given(terms, st.floats(0.1, 10))
def test_an_hour_is_linear_in_the_capital_and_rises_with_the_price_of_electricity(told: OwnedTerms, by: float) -> None:
    def price(**changed: float) -> float:
        cost = owned(H100, replace(told, **changed))
        assert cost is not None
        return cost.usd_per_gpu_hour

    capital = told.capital or 0.0
    nothing, once, times = price(capital=0.0), price(), price(capital=by * capital)
    assert times - nothing == pytest.approx(by * (once - nothing), rel=1e-9, abs=1e-9)
    assert price(power_price=told.power_price + 0.01) > once


def test_terms_are_typed_as_people_write_them() -> None:
    told = OWNING.told("years=4, rate=8%, capital=$28,000 residual=0.2,host_power=1", {"pue": 1.2})
    assert (told.years, told.rate, told.capital, told.residual, told.host_power) == (4, 0.08, 28_000, 0.2, 1)
    assert (told.pue, told.space) == (1.2, DEFAULT.space)
    for words, message in (
        ("yeers=4", "did you mean 'years'?"),
        ("years", "the term years has no value; write it like years=VALUE"),
        ("x", "write it like 'years=4,rate=8%'; of home, capital, years"),
        ("years=0", "0.25 to 50 years"),
        ("pue=1.2", "--pue is an option of its own"),
    ):
        with pytest.raises(CostcalcError) as caught:
            OWNING.told(words)
        assert message in str(caught.value)


def test_an_h100_costs_an_owner_about_what_studies_say() -> None:
    # SemiAnalysis InferenceX, April 2026: $1.30 of a hyperscaler, $1.69 of a neocloud, an hour.
    cost = owned(H100, replace(DEFAULT, capital=25_000.0, space=130.0, years=5.0))
    assert cost is not None and 1.3 < cost.usd_per_gpu_hour < 1.8


def test_every_term_has_a_source_and_a_date() -> None:
    assert all(
        term.source and term.date and term.within[0] <= term.value <= term.within[1] for term in OWNING.terms.values()
    )


def test_an_owned_price_stands_in_the_tree_with_its_parts() -> None:
    found = costcalc.estimate("llama-3.1-8b", "h100", batch=8, owned="years=4")
    machine = found.to_dict()["deployment"]
    assert machine["price_kind"] == "owned" and machine["owned"]["terms"]["years"] == 4
    assert (
        machine["usd_per_gpu_hour"] == machine["owned"]["usd_per_gpu_hour"] == total(machine["owned"]["parts"].values())
    )
    assert machine["price_range"] == [1.3, 1.69]  # what studies publish
    cells = costcalc.sweep("llama-3.1-8b", "h100", batch=8, price=["owned", "spot"], owned="years=4")
    assert cells["usd_per_gpu_hour"].ravel()[0] == machine["usd_per_gpu_hour"]
    assert cells["price_kind"].ravel().tolist() == ["owned", "spot"] and cells.axes[0].values == ("owned", "spot")
    for number, row in enumerate(cells.to_dict()["rows"]):  # as the estimate at that price tells it
        price = cells.axes[0].values[number]
        alone = costcalc.estimate("llama-3.1-8b", "1xh100", price=price, owned="years=4").deployment
        for name in ("usd_per_gpu_hour", "price_kind", "price_provider", "price_date", "price_source"):
            assert row["deployment"][name] == getattr(alone, name)


def test_without_a_capital_published_figures_are_charged_and_terms_are_told_to_do_nothing() -> None:
    found = costcalc.estimate("llama-3.1-8b", "mi355x", batch=8, owned="years=4")
    assert found.deployment.owned is None and found.deployment.usd_per_gpu_hour == pytest.approx(1.69)
    assert any("--owned years=4 has no effect: the capital" in note for note in found.notes)
    typed = costcalc.estimate("llama-3.1-8b", "mi355x", batch=8, owned="capital=25k").deployment
    assert typed.owned is not None and typed.owned.capital_usd == 25_000 * 1.65


def test_the_command_shows_parts_and_terms(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gpus", "own", "h100", "--owned", "rate=0%", "--utilization", "50%"]) == 0
    page = capsys.readouterr().out
    assert re.search(r"\$\d\.\d{4} an hour to own, \$\d\.\d{4} an hour of work at 50% utilization", page)
    assert "as typed" in page and "IEA, Electricity 2025" in page
    assert main(["gpus", "own", "h100", "--format", "json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["usd_per_gpu_hour"] == total(tree["parts"].values()) and tree["gpu"] == H100.name
    assert main(["gpus", "own", "mi355x"]) == 2
    assert "say it with --owned capital=USD" in capsys.readouterr().err


def test_a_card_at_home_costs_what_it_loses_and_its_electricity() -> None:
    """By hand: $1,600 less a third over 60 months of 730 h, and 450 W, shares and losses at a household's price."""
    told = OWNING.told("home, capital=$1,600")
    cost = owned(costcalc.load_gpu("rtx-4090"), told)
    assert cost is not None
    assert cost.parts.accelerator == pytest.approx(1600 * 0.67 / 60 / 730)
    assert cost.parts.electricity == pytest.approx(0.45 * 0.78 * 1.15 * 1.11 * 0.19)
    assert cost.usd_per_gpu_hour == pytest.approx(cost.parts.accelerator + cost.parts.electricity)
    assert (told.preset, told.typed) == ("home", ("capital",))


def test_what_is_typed_goes_before_a_preset() -> None:
    assert OWNING.told("years=3, home").years == 3
    assert OWNING.told("home", {"power_price": 0.4}).power_price == 0.4
    with pytest.raises(CostcalcError, match="did you mean 'home'"):
        OWNING.told("hone")


def test_a_page_does_not_ask_for_a_draw_that_was_typed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["estimate", "-m", "qwen3-8b", "-g", "1xrtx-4090", "--weights", "q8_0", "-b", "1", "--owned"]
    pages = []
    for terms_typed in ("home", "home,draw=70%"):
        assert main([*words, terms_typed]) == 0
        pages.append(capsys.readouterr().out)
    assert "in --owned puts that into the price" in pages[0] and "of electricity, at $0.19 per kWh" in pages[0]
    assert (
        "in --owned puts that into the price" not in pages[1]
        and "at 70% of a GPU's limit while it works by the owner's terms, as typed" in pages[1]
    )


def test_electricity_of_a_month_is_told_of_both_draws_wherever_either_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Four H100s of 700 W at half their limit, 1.82 times that with the host, PUE 1.54, $0.086 a kWh, 730 hours."""
    assert main(["estimate", "-m", "llama-3.1-70b", "-g", "4xh100", "--price", "owned"]) == 0
    page = capsys.readouterr().out
    month = 4 * 0.7 * 0.5 * 1.82 * 1.54 * 0.086 * 730
    told = re.search(r"The price has \$([\d.]+) of electricity a month.*\$([\d.]+) a month \(under Energy\)", page)
    beside = re.search(r"\$([\d.]+) +of electricity, .*the price has \$([\d.]+),", page)
    assert told and beside and told.groups() == beside.groups()[::-1]
    assert float(told[1]) == pytest.approx(month, rel=1e-3)


def test_shares_of_an_owned_hour_add_up_as_they_are_shown() -> None:
    for entry in Catalog().entries("hardware_profiles"):
        cost = owned(Catalog().gpu(entry.name), OWNING.told())
        if cost is None:
            continue
        [grid] = [block for block in owned_block(cost) if isinstance(block, Grid)]
        share = {row[0]: round(10 * float(row[-1].rstrip("%"))) for row in grid.rows}
        parts = [share[name.replace("_", " ")] for name in asdict(cost.parts)]
        assert sum(parts[:-1]) == share["fixed"] and share["fixed"] + parts[-1] == share["in all"] == 1000


HOME: dict[str, Any] = {"weights": "q4_k_m", "owned": "home"}


def test_electricity_follows_the_use_unless_the_hours_are_typed() -> None:
    """What the meter counts: work at its draw in the hours of work, the others idle, at a household's price."""
    alone = OWNING.told("home")
    meter = (costcalc.load_gpu("rtx-3090").power or 0) * (1 + alone.host_power) * alone.pue / 1e3 * alone.power_price
    for use in (1.0, 0.5, 0.08):
        found = costcalc.estimate("qwen3-8b", "rtx-3090", utilization=use, **HOME).deployment
        assert found.owned is not None
        assert found.owned.parts.electricity == pytest.approx(meter * (use * alone.draw + (1 - use) * alone.idle))
        assert found.usd_per_gpu_hour == found.owned.usd_per_gpu_hour
    typed = costcalc.estimate("qwen3-8b", "rtx-3090", utilization=0.08, **{**HOME, "owned": "home,busy=1"}).deployment
    assert typed.owned is not None and typed.owned.parts.electricity == pytest.approx(meter * alone.draw)


def test_a_demand_pays_the_electricity_of_its_load() -> None:
    found = costcalc.estimate("qwen3-32b", "rtx-3090", demand="200k tokens/day", **HOME)
    own, asked = found.deployment.owned, found.demand
    assert own is not None and asked is not None and asked.usd_per_month is not None
    assert 0 < asked.load < 0.1
    at_this_use = costcalc.estimate("qwen3-32b", "rtx-3090", utilization=asked.load, **HOME).deployment
    assert asked.usd_per_month == pytest.approx((at_this_use.usd_per_gpu_hour or 0) * asked.gpus * 730)
    # The block Energy counts the same hours; it differs by the draw alone, which it predicts.
    energy = found.energy
    assert energy.kwh_per_month is not None and energy.watts_per_gpu is not None
    bill = asked.usd_per_month - own.fixed_usd_per_gpu_hour * asked.gpus * 730
    assert energy.kwh_per_month * own.terms.power_price == pytest.approx(bill, rel=0.1)


def test_a_sweep_of_use_is_the_estimate_of_each() -> None:
    uses = [0.05, 0.3, 1.0]
    swept = costcalc.sweep("qwen3-8b", "rtx-3090", utilization=uses, batch=1, **HOME)
    each = [costcalc.estimate("qwen3-8b", "rtx-3090", utilization=use, batch=1, **HOME) for use in uses]
    assert swept["usd_per_gpu_hour"] == pytest.approx([x.deployment.usd_per_gpu_hour for x in each])
    costs = [x.cost.usd_per_million_output_tokens for x in each]
    assert swept["cost.usd_per_million_output_tokens"] == pytest.approx(costs)


@pytest.mark.parametrize("use", [0.08, 0.6, 1.0])
def test_at_break_even_an_owner_pays_what_the_api_charges_whatever_use_was_assumed(use: float) -> None:
    options: dict[str, Any] = {**HOME, "gpus": 2, "batch": 2}
    even = costcalc.estimate("llama-3.3-70b", "rtx-3090", utilization=use, **options).market[0]
    assert even.break_even_utilization is not None and even.break_even_utilization < 1
    there = costcalc.estimate("llama-3.3-70b", "rtx-3090", utilization=even.break_even_utilization, **options)
    assert there.cost.usd_per_million_blended_tokens == pytest.approx(even.blended_usd_per_million)
    day = 24 * 2 * (there.deployment.usd_per_gpu_hour or 0)
    assert even.break_even_tokens_per_day == pytest.approx(day / even.blended_usd_per_million * 1e6)


def test_a_price_in_cents_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """The dearest household electricity of the EU in 2025 was 0.384 euros (Eurostat, 2025-10-29)."""
    assert main(["estimate", "-m", "qwen3-8b", "-g", "rtx-3090", "--owned", "home", "--power-price", "38.4"]) == 2
    told = capsys.readouterr()
    assert not told.out and "in dollars, at most 5: 30 cents are 0.3" in told.err
