"""What owning costs: capital recovery by its closed form, and parts that sum to the whole as they are shown."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

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
    assert "in --owned makes it that" in pages[0] and "of electricity, at $0.19 per kWh" in pages[0]
    assert (
        "in --owned makes it that" not in pages[1]
        and "70% of a GPU's limit around the clock, whatever it serves, as typed" in pages[1]
    )
