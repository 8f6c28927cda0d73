"""Which price an answer charges is told beside it: default, median, provider, or as given."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from costcalc.cli import main
from costcalc.predict.results import DeploymentResult, Estimate
from costcalc.report.estimate import price_basis

Machine = Callable[..., DeploymentResult]


@pytest.fixture
def machine(estimate: Estimate) -> Machine:
    from dataclasses import replace

    def made(
        usd: float | None, kind: str | None = None, provider: str | None = None, source: str | None = "x"
    ) -> DeploymentResult:
        return replace(
            estimate.deployment, usd_per_gpu_hour=usd, price_kind=kind, price_provider=provider, price_source=source
        )

    return made


def test_one_price_is_told_with_its_terms(machine: Machine) -> None:
    assert price_basis([machine(2.0, "on-demand")] * 2) == "$2.00 per GPU-hour, default of its profile: on-demand"
    assert price_basis([machine(3.0, "spot", "Somebody")]) == "$3.00 per GPU-hour, spot, Somebody"
    assert price_basis([machine(3.0)]) == "$3.00 per GPU-hour, as given"
    assert price_basis([machine(3.0, "owned", None, "--set gpu.price")]).endswith("owned, as set by --set")
    assert price_basis([machine(None)]) == "no price per GPU-hour is known"


def test_several_prices_are_told_by_what_they_have_in_common(machine: Machine) -> None:
    medians = [machine(2.0, "spot", "median of 3 providers"), machine(3.0, "spot", "Somebody"), machine(None)]
    assert price_basis(medians) == "spot prices per GPU-hour, median of providers"
    lists = [machine(2.0, "on-demand", "Lambda"), machine(3.0, "on-demand", "Lambda")]
    assert price_basis(lists) == "on-demand prices per GPU-hour, Lambda"
    assert price_basis([machine(2.0, "spot", "A"), machine(3.0, "owned", "B")]).endswith("different kinds: owned, spot")
    assert "default price of its profile" in price_basis([machine(2.0, "spot"), machine(3.0, "spot", "A")])


def test_every_command_says_which_price_it_charges(capsys: pytest.CaptureFixture[str]) -> None:
    model = ["--model", "llama-3.1-8b"]
    for arguments, told in (
        (["estimate", *model, "--gpu", "h100"], "on-demand, median of 8 providers, 2026-09-16"),
        (["compare", "models", "llama-3.1-8b", "--gpu", "h100"], "$3.24 per GPU-hour, on-demand, median of 8"),
        (["estimate", *model, "--gpu", "h100", "--price", "article"], "article (Epoch AI), 2025-01-17, 20 months old"),
        (["compare", "gpus", "h100", "h200", *model], "On-demand prices per GPU-hour, median of providers"),
        (["compare", "gpus", "h100", "h200", *model, "--price", "default"], "On-demand prices per GPU-hour, median"),
        (["sweep", *model, "--gpu", "h100", "--batch", "8"], "$3.24 per GPU-hour, on-demand, median of 8"),
        (["breakeven", *model, "--gpu", "h100"], "$3.24 per GPU-hour, on-demand, median of 8"),
    ):
        assert main(arguments) == 0
        assert told in capsys.readouterr().out, arguments
