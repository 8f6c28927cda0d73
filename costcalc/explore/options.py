"""Keyword arguments of `estimate` and its kin, typed for editors."""

from __future__ import annotations

from typing import TypedDict

from costcalc.attention.latent import MlaMode
from costcalc.engine.step import Terms
from costcalc.explore.question import EfficiencyMode


class OptionKeywords(TypedDict, total=False):
    """Fields of `Options`, all optional."""

    gpus: int | None
    tensor_parallel: int | None
    pipeline_parallel: int | None
    expert_parallel: int | None
    attention_data_parallel: int | None
    batch: int | None
    context: float | None
    input_tokens: float | None
    output_tokens: float | None
    cached: float
    weights: str | None
    kv_cache: str | None
    activations: str | None
    price: float | str | None
    utilization: float
    memory_utilization: float | None
    tpot: float | None
    ttft: float | None
    demand: str | None
    efficiency: EfficiencyMode
    backend: str | None
    terms: Terms
    mla: MlaMode | None
    drafts: int | None
    acceptance: float | None
    disaggregated: bool
