"""Comparisons of GPUs are made at prices of one kind, and say which."""

from __future__ import annotations

from typing import Any

import pytest

import costcalc
from costcalc.explore.compare import on_one_basis
from costcalc.predict.quantities import Comparison

SMALL: dict[str, Any] = {"batch": 32}


def compared(*gpus: str, **options: Any) -> Comparison:
    return costcalc.compare_gpus(gpus, "llama-3.1-8b", **SMALL, **options)


def prices(comparison: Comparison) -> list[float | None]:
    return [row.estimate.deployment.usd_per_gpu_hour for row in comparison.rows]


def test_an_h100_is_compared_at_its_market_price_and_estimated_at_the_articles() -> None:
    found = compared("h100", "h200")
    assert prices(found) == pytest.approx([3.24, 4.54])
    assert costcalc.estimate("llama-3.1-8b", "h100", **SMALL).deployment.usd_per_gpu_hour == 2.0
    assert found.notes[0].startswith(
        "Per GPU-hour: NVIDIA H100 SXM5 80GB $3.24 (on-demand, median of 8 providers, 2026"
    )
    assert "All at on-demand prices" in found.notes[1] and "--price default" in found.notes[1]
    assert not any("Warning" in note for note in found.notes)
    # It was nobody's choice: the footnote of a default says how to override it.
    assert any(each.name == "price" for each in found.rows[0].estimate.assumptions)


def test_defaults_of_two_years_bring_a_warning() -> None:
    found = compared("h100", "h200", price="default")
    assert prices(found) == pytest.approx([2.0, 4.54])
    assert found.notes[-1] == (
        "Warning: the prices differ in year, so the ratios compare terms of payment as well as GPUs."
    )


def test_the_most_comparable_kind_that_all_have() -> None:
    machines = [costcalc.load_gpu(name) for name in ("h100", "b200", "mi355x")]
    assert on_one_basis(machines).kind == "reserved"  # no cloud lists an MI355X on demand
    assert on_one_basis(machines[:2]).kind == "on-demand"
    assert on_one_basis([machines[0], costcalc.load_gpu("l40")]).kind == "marketplace"


def test_without_a_kind_in_common_each_is_at_its_own_and_the_notes_warn() -> None:
    found = compared("h100", "mi355x", "l40")
    assert prices(found) == pytest.approx([3.24, 2.10, 0.33])
    assert any(note.startswith("No kind of price is known of all") for note in found.notes)
    assert "differ in kind" in found.notes[-1]


def test_a_gpu_without_a_price_leaves_the_others_comparable() -> None:
    found = compared("h100", "h20", "h200")
    assert prices(found) == [pytest.approx(3.24), None, pytest.approx(4.54)]
    unpriced = found.rows[1].estimate
    assert unpriced.cost.usd_per_million_output_tokens is None and found.rows[1].cost_ratio is None
    assert unpriced.notes[0] == "No price per hour of NVIDIA H20 96GB is known: give one with --price to see dollars."


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
