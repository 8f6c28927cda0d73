"""One accelerator has one default price in every command; where prices mix kinds or years, answers say so."""

from __future__ import annotations

from typing import Any

import pytest

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.hardware.prices import NEWEST, age_in_months
from costcalc.predict.results import Comparison

SMALL: dict[str, Any] = {"batch": 32}


def compared(*gpus: str, **options: Any) -> Comparison:
    return costcalc.compare_gpus(gpus, "llama-3.1-8b", **SMALL, **options)


def prices(comparison: Comparison) -> list[float | None]:
    return [row.estimate.deployment.usd_per_gpu_hour for row in comparison.rows]


def test_every_command_charges_the_same_default() -> None:
    """The median of eight clouds' lowest list prices of 2026: 1.89, 2.29, 2.95, 2.99, 3.49, 3.49, 4.29 and 6.155."""
    median = (2.99 + 3.49) / 2
    machine = costcalc.estimate("llama-3.1-8b", "h100", **SMALL).deployment
    assert (machine.usd_per_gpu_hour, machine.price_kind) == (pytest.approx(median), "on-demand")
    assert machine.price_range == (1.89, 6.155) and machine.price_age_months == 0
    assert prices(compared("h100", "h200")) == pytest.approx([median, 4.54])
    assert prices(compared("h100", "mi355x")) == pytest.approx([median, 2.10])
    assert costcalc.breakeven("llama-3.1-70b", "h100").estimate.deployment.usd_per_gpu_hour == pytest.approx(median)
    assert costcalc.sweep("llama-3.1-8b", "h100", **SMALL)["usd_per_gpu_hour"] == pytest.approx(median)
    fronts = costcalc.frontier("llama-3.1-8b", ["h100", "mi355x"], max_gpus=1).fronts
    assert [each.of.usd_per_gpu_hour for each in fronts] == pytest.approx([median, 2.10])


def test_the_articles_price_is_asked_for_by_its_name() -> None:
    found = costcalc.estimate("llama-3.1-8b", "h100", price="article", **SMALL)
    machine = found.deployment
    assert (machine.usd_per_gpu_hour, machine.price_date, machine.price_age_months) == (2.0, "2025-01-17", 20)
    assert found.notes[0] == (
        "The price is of 2025-01-17, 20 months older than the catalog's newest (2026-09-22); on demand, median of 8 "
        "providers is $3.24 (2026-09-16)."
    )


def test_the_newest_price_of_the_catalog_is_what_ages_count_from() -> None:
    gpus = [Catalog().gpu(entry.name) for entry in Catalog().entries("hardware_profiles")]
    listed = [price.date for gpu in gpus for price in gpu.prices]
    assert max(listed) == NEWEST
    assert [age_in_months(date) for date in ("2026", "2025", "2025-10", "2026-09-01", "2027")] == [0, 9, 11, 0, 0]


def test_costs_at_the_cheapest_and_the_dearest_list_price_stand_beside_the_range_of_times() -> None:
    cost = costcalc.estimate("llama-3.1-8b", "h100", **SMALL).cost
    for end, price in enumerate((1.89, 6.155)):
        at = costcalc.estimate("llama-3.1-8b", "h100", price=price, **SMALL).cost
        assert at.usd_per_million_output_tokens_price_range is None  # a number that was typed is of no kind
        for of in ("output", "input", "blended"):
            told = getattr(cost, f"usd_per_million_{of}_tokens_price_range")
            assert told[end] == pytest.approx(getattr(at, f"usd_per_million_{of}_tokens"), rel=1e-12)


def test_defaults_of_one_kind_and_year_bring_no_warning() -> None:
    found = compared("h100", "h200")
    assert found.notes[0].startswith(
        "Per GPU-hour: NVIDIA H100 SXM5 80GB $3.24 (on-demand, median of 8 providers, 2026"
    )
    assert not any("Warning" in note for note in found.notes)
    # It was nobody's choice: the footnote of a default says how to override it.
    assert any(each.name == "price" for each in found.rows[0].estimate.assumptions)


def test_mixed_kinds_and_years_bring_a_warning_that_names_the_kind_that_all_have() -> None:
    warning = "Warning: the prices differ in {}, so the ratios compare terms of payment as well as GPUs."
    by_kind = warning.format("kind") + " --price reserved is of one kind for all."
    assert by_kind in compared("h100", "mi355x").notes  # no cloud lists an MI355X on demand
    assert by_kind in costcalc.frontier("llama-3.1-8b", ["h100", "mi355x"], max_gpus=1).notes
    assert "Warning" not in "".join(compared("h100", "mi355x", price="reserved").notes)
    assert warning.format("kind") in compared("h100", "mi355x", "l40").notes
    assert warning.format("year") in compared("h100", "a10g").notes  # AWS in 2025


def test_a_gpu_without_a_price_leaves_the_others_comparable() -> None:
    found = compared("h100", "h20", "h200")
    assert prices(found) == [pytest.approx(3.24), None, pytest.approx(4.54)]
    unpriced = found.rows[1].estimate
    assert unpriced.cost.usd_per_million_output_tokens is None and found.rows[1].cost_ratio is None
    told = "No price per hour of NVIDIA H20 96GB is known: give one with --price to see dollars, or own it with "
    assert unpriced.notes[0] == f"{told}--price owned."


def test_a_price_that_was_typed_is_everyones() -> None:
    found = compared("h100", "h20", price=3)
    assert prices(found) == [3, 3] and found.notes == ()
    assert {row.estimate.deployment.price_kind for row in found.rows} == {None}


def test_the_offer_is_in_the_tree_and_in_the_explanation() -> None:
    found = costcalc.estimate("llama-3.1-8b", "h100", price="lambda", **SMALL)
    machine = found.deployment
    assert (machine.usd_per_gpu_hour, machine.price_kind, machine.price_provider) == (4.29, "on-demand", "Lambda")
    assert (machine.price_date, machine.price_source) == (
        "2026-09-16",
        "lambda.ai/pricing, quoted in a public research note",
    )
    told = next(each for each in found.explanation if each.quantity == "deployment.usd_per_gpu_hour")
    assert (told.value, told.numbers, told.source) == (4.29, "$4.29", machine.price_source)
    assert told.formula == "listed: on-demand, Lambda, 2026-09-16"
