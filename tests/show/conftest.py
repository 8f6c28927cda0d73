"""A result made by hand, so that what is shown is tested apart from what is computed."""

from __future__ import annotations

import pytest

from costcalc.explore.result import (
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


@pytest.fixture
def estimate() -> Estimate:
    return Estimate(
        model=ModelResult("Model-X", Parameters(671e9, 37e9), "MLA absorbed", 61),
        deployment=DeploymentResult(
            *("GPU-Y", 16, 1, 1, 1, 16, 16),
            PrecisionResult("fp8", "bf16", "fp8"),
            *(2.0, "somewhere", 1.0, "calibrated", "vllm"),
        ),
        workload=WorkloadResult(384, 4096, 1024, 4608, 0.0),
        kv_cache=KvCacheResult(70272, 70272, 359_792_640, 323_813_376),
        memory=MemoryResult(True, 85.5e9, 60e9, 15e9, 688),
        prefill=PrefillResult(0.5, 100_000, (0.3, 1.0), (60_000, 180_000)),
        decode=DecodeResult(0.0358, 10_700, 669, 27.9, "memory", None, None, (560, 820), (23, 34)),
        serving=ServingResult(0.63, 0.0495, 484),
        cost=CostResult(0.8304, 0.0793, None, (0.68, 0.99), (0.048, 0.15), None),
        breakdown=(
            OpResult("routed experts", 15.7e12, 654e9, 0.020, "memory"),
            OpResult("attention core", 30e12, 124e9, 0.012, "compute"),
            OpResult("all-to-all", 0, 2.5e9, 0.008, "communication"),
            OpResult("hidden by overlap", 0, 0, -0.0042, "communication"),
        ),
        market=(
            MarketPrice("Somebody", 0.27, None, 1.10, 0.436, 1.9, 0.53, "2026-11", "a list"),
            MarketPrice("Somebody", 0.5, None, 2.0, 0.8, 3.0, 0.33, "2025-01", "an old list"),
            MarketPrice("Dear", 0.01, None, 0.02, 0.012, 0.05, 19.0, "2026-01", "a list"),
        ),
        assumptions=(
            Assumption("batch", "384", "lowest cost", "--batch N"),
            Assumption("price", "$2.00 per GPU-hour", "somewhere", "--price X"),
        ),
        notes=("A note.",),
        explanation=(
            Formula(
                "kv_cache.bytes_per_token", "Cache", "layers x bytes", "61 x 1,152 B", 70272.0, "B/token", "a paper"
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
        Row("MLA", estimate, 1.0, 1.0),
        Row("MQA", replace(estimate, kv_cache=replace(estimate.kv_cache, bytes_per_token=31_232)), 2.25, 0.7),
        Row("MHA", lost, 0.0176, None, "does not fit on 16 x GPU-Y"),
    )
    return Comparison("Model-X on 16 x GPU-Y, attention replaced", rows, (), ("MLA: as it ships",))
