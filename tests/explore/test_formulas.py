"""Every printed formula, evaluated as it stands, is the number beside it."""

from __future__ import annotations

from typing import Any

import pytest
from formulas import CLOSE, assert_evaluates, evaluate
from hypothesis import given
from hypothesis import strategies as st

import costcalc
from costcalc.predict.results import Estimate
from costcalc.units import format_count


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("61 × max(11.5 GB / (0.5 × 2 TB/s), 4 TFLOP / 1 PFLOP/s) + 12 layers × 8.3 us", 61 * 11.5e-3 + 12 * 8.3e-6),
        ("[(3 s)^2 + (4 s)^2]^(1/2)", 5.0),
        ("-min(1,024, 2k)", -1024.0),
        ("16 × $2.00 / 3600 / 13.12 ktokens/s × 1e6", 16 * 2 / 3600 / 13120 * 1e6),
        ("floor(15.6 GB / 360 MB) × 16", 43 * 16.0),
        ("all-to-all combine 1.5 ms + LM head 500 us", 2e-3),
        ("1 / 4 × 2 s - 3 min", 0.5 - 180),
        ("671B", 671e9),
    ],
)
def test_printed_numbers_are_read_as_people_read_them(text: str, value: float) -> None:
    assert evaluate(text) == pytest.approx(value)


def names(estimate: Estimate) -> set[str]:
    return {each.quantity for each in estimate.explanation}


REAL: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("v3", "h100", {}),
    ("v3", "h100", {"efficiency": "ideal"}),
    ("v3", "h100", {"drafts": 2}),
    ("v3", "h200", {"cached": 0.5, "gpus": 8}),
    ("v3", "h100", {"terms": "kv"}),
    ("v3", "mi300x", {"terms": "weights", "drafts": 1}),
    ("v3", "h100", {"gpus": 32, "disaggregated": True, "demand": "50 requests/s"}),
    ("v3", "gb200-nvl72", {"demand": "50 requests/s", "utilization": 0.6}),
    ("gpt-oss-120b", "h100", {"weights": "mxfp4"}),
    ("gpt-oss-120b", "b200", {"weights": "mxfp4", "batch": 64}),
    ("llama-3.1-70b", "h100", {"tensor_parallel": 8}),
    ("llama-3.1-70b", "l40s", {"tensor_parallel": 4, "pipeline_parallel": 2, "batch": 3}),
    ("llama-3.1-8b", "rtx-4090", {"weights": "int4", "price": 0.3456}),
    ("qwen3-235b-a22b", "h200", {"demand": "1B tokens/day", "backend": "sglang", "price": "spot"}),
    ("gpt-oss-120b", "h100", {"context": "64k", "efficiency": "ideal"}),
    ("qwen3-next-80b-a3b", "h200", {}),
    ("gpt-oss-120b", "rtx-3090", {"offload_experts": 26, "batch": 3}),
    ("llama-3.3-70b", "rtx-4090", {"gpu_layers": 40, "weights": "q4_k_m", "batch": 1, "host_memory": "24GB"}),
    ("llama-3.1-8b", "rtx-4090", {"offload_cache": True, "host_memory": "3GB", "batch": 2}),
    ("llama-3.3-70b", "h100", {"cpu_offload_gb": 80, "batch": 4}),
)


@pytest.mark.parametrize(("model", "gpu", "options"), REAL)
def test_formulas_of_real_deployments_evaluate_to_their_values(model: str, gpu: str, options: dict[str, Any]) -> None:
    estimate = costcalc.estimate(model, gpu, **options)
    assert_evaluates(estimate)
    assert {"decode.step_time_s", "kv_cache.bytes_read_per_token", "memory.max_sequences"} <= names(estimate)
    for whole in estimate.explanation:
        if whole.parts:
            assert sum(float(part.value) for part in whole.parts) == pytest.approx(whole.value, rel=1e-12)
    assert {"decode.step_time_s"} <= {each.quantity for each in estimate.explanation if each.parts}


@given(st.integers(0, 10**9) | st.floats(1e-3, 1e9))
def test_counts_are_read_back(number: float) -> None:
    assert evaluate(format_count(number)) == pytest.approx(number, rel=CLOSE)
