"""One accelerator has one default price in every command; where prices mix kinds or years, answers say so."""

from __future__ import annotations

from typing import Any

import pytest

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.errors import CostcalcError
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


def test_a_gpu_whose_capital_nobody_knows_leaves_the_others_theirs() -> None:
    cards = ["rtx-3090", "strix-halo", "rtx-4090"]
    found = costcalc.compare_gpus(cards, "qwen3-8b", owned="home", weights="q4_k_m")
    costs = [row.estimate.cost.usd_per_million_output_tokens for row in found.rows]
    assert costs[0] and costs[1] is None and costs[2]
    assert found.rows[1].estimate.serving.output_tokens_per_s
    assert "No price: what owning AMD Ryzen AI Max+ 395 (Strix Halo) takes is not known" in found.notes[0]
    alone = costcalc.estimate("qwen3-8b", "rtx-4090", owned="home", weights="q4_k_m")
    assert alone.cost.usd_per_million_output_tokens == costs[2]
    with pytest.raises(CostcalcError, match="is not known"):
        costcalc.compare_gpus(["strix-halo", "m4-max"], "qwen3-8b", owned="home")
    with pytest.raises(CostcalcError, match="no term of owning"):
        costcalc.compare_gpus(cards, "qwen3-8b", owned="hme=1")


def test_one_kind_of_gpu_in_several_numbers_has_a_name_for_each() -> None:
    rows = costcalc.compare_gpus(["1xrtx-3090", "2xrtx-3090", "rtx-4090"], "qwen3-32b", weights="q4_k_m").rows
    card = "NVIDIA GeForce RTX 3090"
    assert [row.variant for row in rows] == [f"1 × {card}", f"2 × {card}", "NVIDIA GeForce RTX 4090"]
    twice = costcalc.compare_gpus(["rtx-3090", "rtx-3090"], "qwen3-8b", weights="q4_k_m")
    assert not any("Nearest call" in note for note in twice.notes)


def test_several_prices_of_one_gpu_are_rows_with_the_bill_of_each() -> None:
    """One fleet at three prices: what each row costs is its price, and that is sure, whatever the model errs by."""
    words = ["spot", "reserved", "owned", "$3/h"]
    found = costcalc.compare_gpus(["h200"], "v3", price=",".join(words), demand="20 rps")
    assert [row.variant.split(", ")[1] for row in found.rows] == ["spot", "reserved", "owned", "$3.00"]
    for row, word in zip(found.rows, words, strict=True):
        alone = costcalc.estimate("v3", "h200", price=word, demand="20 rps")
        assert row.estimate.demand == alone.demand and row.estimate.demand is not None
        paid, first = (each.estimate.demand.usd_per_month for each in (row, found.rows[0]))
        assert row.cost_ratio == pytest.approx(paid / first)
        # Of one's own, electricity is that of the hours with work.
        bill = row.estimate.demand.gpus * row.estimate.deployment.usd_per_gpu_hour * 730
        assert paid == pytest.approx(bill) if word != "owned" else 0.99 * bill < paid < bill
        assert row.chance_cheaper == (None if row is found.rows[0] else float(paid < first))
    assert not any("differ in kind" in note for note in found.notes)
    same = costcalc.compare_gpus(["h200"], "v3", price=words, demand="20 rps")
    assert [row.variant for row in same.rows] == [row.variant for row in found.rows]
