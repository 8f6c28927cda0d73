"""What does not fit, what would, and that the hint is true; a row that does not fit is a row."""

from __future__ import annotations

import re
from typing import Any

import pytest

import costcalc
from costcalc.engine.parallelism import DoesNotFit
from costcalc.errors import CostcalcError

DEGREES = {
    "--gpus": "gpus",
    "--tp": "tensor_parallel",
    "--pp": "pipeline_parallel",
    "--dp": "attention_data_parallel",
}


@pytest.mark.parametrize(
    ("model", "gpu", "asked"),
    [
        ("llama-3.1-70b", "h100", {"gpus": 8, "attention_data_parallel": 4}),
        ("llama-3.1-405b", "h100", {"tensor_parallel": 4}),
        ("llama-3.1-405b", "h100", {"gpus": 32, "tensor_parallel": 4}),
        ("v3", "h100", {"attention_data_parallel": 4}),
        ("v3", "h100", {"gpus": 8}),
        ("llama-3.1-70b", "h100", {"gpus": 1}),
        ("v3", "h100", {"gpus": 16, "batch": 5000}),
    ],
)
def test_what_the_hint_names_fits(model: str, gpu: str, asked: dict[str, Any]) -> None:
    with pytest.raises(DoesNotFit) as caught:
        costcalc.estimate(model, gpu, **asked)
    hint = caught.value.hint or ""
    named = {DEGREES[option]: int(n) for option, n in re.findall(r"(--\w+) (\d+)", hint)}
    assert named
    kept = {} if "leave the layout out" in hint else asked
    answer = costcalc.estimate(model, gpu, **{**kept, **named})
    assert answer.memory.fits
    assert named.items() != {k: v for k, v in asked.items() if k in named}.items()


@pytest.mark.parametrize(
    ("model", "gpu", "asked", "message"),
    [
        (
            "llama-3.1-70b",
            "h100",
            {"gpus": 8, "tensor_parallel": 7},
            "--tp 7 does not divide .* that does is 8",
        ),
        ("llama-3.1-70b", "h100", {"gpus": 4, "tensor_parallel": 7}, "nearest that does is 4"),
        ("llama-3.1-70b", "h100", {"tensor_parallel": 3}, "nearest that does is 4"),
        ("v3", "h100", {"gpus": 16, "expert_parallel": 5}, "does not divide the 16 GPUs of a stage .*; use 4"),
        ("v3", "h100", {"expert_parallel": 512}, "--ep 512 exceeds the experts of DeepSeek-V3; use at most 256"),
        ("llama-3.1-405b", "rtx-4090", {}, "no known link joins more than 8 of these GPUs.*gpu.scale_out.bandwidth"),
        ("llama-3.1-70b", "groq", {}, r"of its 230 MB nothing is left beside the 828.8 MB"),
    ],
)
def test_hints_are_to_the_point(model: str, gpu: str, asked: dict[str, Any], message: str) -> None:
    with pytest.raises(CostcalcError, match=message):
        costcalc.estimate(model, gpu, **asked)


def test_as_many_gpus_as_expert_groups_are_taken() -> None:
    answer = costcalc.estimate("v3", "h100", expert_parallel=256)
    assert (answer.deployment.gpus, answer.deployment.expert_parallel) == (256, 256)


def test_a_row_that_does_not_fit_says_how_many_gpus_would() -> None:
    result = costcalc.compare_gpus(["h100", "l4"], "llama-3.1-70b", counts=[8, 1])
    fits, unfit = result.rows
    assert fits.estimate.cost.usd_per_million_output_tokens and fits.needs_gpus is None
    assert unfit.needs_gpus and not unfit.estimate.memory.fits
    assert unfit.estimate.cost.usd_per_million_output_tokens is None
    assert costcalc.estimate("llama-3.1-70b", "l4", gpus=unfit.needs_gpus).memory.fits
    models = costcalc.compare_models(["llama-3.1-8b", "v3"], "h200", gpus=1)
    assert models.rows[1].needs_gpus == 8


def test_where_no_row_fits_there_is_no_table() -> None:
    with pytest.raises(CostcalcError, match="none of 9 rows fits"):
        costcalc.compare_attention("v3", "h100", gpus=1)
    with pytest.raises(CostcalcError, match="none of 2 rows fits"):
        costcalc.compare_gpus(["h100", "l4"], "v3", counts=[1, 1])


def test_costs_are_set_against_the_first_row_that_has_one() -> None:
    rows = costcalc.compare_gpus(["a40", "h100", "h200"], "llama-3.1-8b").rows
    assert [row.cost_ratio is None for row in rows] == [True, False, False]
    assert rows[1].cost_ratio == 1.0
