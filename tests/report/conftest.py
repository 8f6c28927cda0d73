"""A result made by hand, so that what is shown is tested apart from what is computed."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, TypeVar, get_type_hints

import pytest

from costcalc.predict.results import (
    Assumption,
    Comparison,
    CostResult,
    DecodeResult,
    DeploymentResult,
    Estimate,
    Formula,
    KvCacheResult,
    MarketPrice,
    MemoryResult,
    ModelResult,
    OpResult,
    Parameters,
    PrecisionResult,
    PrefillResult,
    Row,
    ServingResult,
    WorkloadResult,
)

Tree = TypeVar("Tree")


def filled(kind: type[Tree], **given: Any) -> Tree:
    """Return a part of a result: what is given, and nothing in particular for the rest."""
    hints = get_type_hints(kind)
    blank = {
        each.name: _nothing(hints[each.name])
        for each in fields(kind)  # type: ignore[arg-type]
        if each.default is MISSING and each.default_factory is MISSING
    }
    return kind(**{**blank, **given})


def _nothing(hint: Any) -> Any:
    return {bool: False, int: 1, float: 1.0, str: "something"}.get(hint)


def market_price(
    provider: str, entered: float, out: float, blended: float, over_cost: float, even: float, date: str
) -> MarketPrice:
    return filled(
        MarketPrice,
        provider=provider,
        input_usd_per_million=entered,
        output_usd_per_million=out,
        blended_usd_per_million=blended,
        price_over_cost=over_cost,
        break_even_utilization=even,
        date=date,
    )


@pytest.fixture
def estimate() -> Estimate:
    return Estimate(
        model=filled(
            ModelResult, name="Model-X", parameters=Parameters(671e9, 37e9), attention="MLA absorbed", layers=61
        ),
        deployment=filled(
            DeploymentResult,
            gpu="GPU-Y",
            gpus=16,
            expert_parallel=16,
            attention_data_parallel=16,
            layout="dp16 ep16",
            precision=PrecisionResult("fp8", "bf16", "fp8"),
            usd_per_gpu_hour=2.0,
            efficiency="calibrated",
            backend="vllm",
        ),
        workload=filled(
            WorkloadResult, batch=384, input_tokens=4096, output_tokens=1024, context_tokens=4608, cached_share=0.0
        ),
        kv_cache=KvCacheResult(70272, 70272, 359_792_640, 323_813_376),
        memory=MemoryResult(True, 85.5e9, 60e9, 15e9, 688),
        prefill=PrefillResult(0.5, 100_000, (0.3, 1.0), (60_000, 180_000)),
        decode=filled(
            DecodeResult,
            step_time_s=0.0358,
            tokens_per_s=10_700,
            tokens_per_s_per_gpu=669,
            tokens_per_s_per_user=27.9,
            bound_by="memory",
            tokens_per_s_per_gpu_range=(560, 820),
            tokens_per_s_per_user_range=(23, 34),
        ),
        serving=ServingResult(
            0.63, 0.0495, 484, tokens_per_s_per_user=20.2, output_tokens_per_s_per_gpu_range=(405, 593)
        ),
        cost=CostResult(0.8304, 0.0793, None, (0.68, 0.99), (0.048, 0.15), None),
        breakdown=(
            OpResult("routed experts", 15.7e12, 654e9, 0.020, "memory"),
            OpResult("attention core", 30e12, 124e9, 0.012, "compute"),
            OpResult("all-to-all", 0, 2.5e9, 0.0038, "communication"),
        ),
        market=(
            market_price("Somebody", 0.27, 1.10, 0.436, 1.9, 0.53, "2026-11"),
            market_price("Somebody", 0.5, 2.0, 0.8, 3.0, 0.33, "2025-01"),
            market_price("Dear", 0.01, 0.02, 0.012, 0.05, 19.0, "2026-01"),
        ),
        assumptions=(
            Assumption("batch", "384", "lowest cost", "--batch N"),
            Assumption("price", "$2.00 per GPU-hour", "somewhere", "--price X"),
        ),
        notes=("A note.",),
        explanation=(
            Formula(
                "kv_cache.bytes_per_token", "Cache", "layers × bytes", "61 × 1,152 B", 70272.0, "B/token", "a paper"
            ),
            Formula("decode.step_time_s", "Step", "sum of ops", "20 + 12 ms", 0.0358, "s", "a paper"),
        ),
    )


@pytest.fixture
def comparison(estimate: Estimate) -> Comparison:
    from dataclasses import replace

    lost = replace(
        estimate,
        memory=replace(estimate.memory, fits=False, max_sequences=0),
        prefill=PrefillResult(None, None),
        decode=DecodeResult(None, None, None, None, None),
        serving=ServingResult(None, None, None),
        cost=CostResult(None, None, None),
        kv_cache=replace(estimate.kv_cache, bytes_per_token=3_997_696),
        breakdown=(),
    )
    rows = (
        Row("MLA", estimate, 1.0, 1.0, sequence_ratio=1.0),
        Row(
            "MQA",
            replace(estimate, kv_cache=replace(estimate.kv_cache, bytes_per_token=31_232)),
            2.25,
            0.7,
            sequence_ratio=2.25,
        ),
        Row("MHA", lost, 0.0176, None, "does not fit on 16 × GPU-Y", sequence_ratio=0.0176),
    )
    return Comparison("Model-X on 16 × GPU-Y, attention replaced", rows, (), ("MLA: as it ships",))
