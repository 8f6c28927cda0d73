"""Keyword arguments of `estimate` and its kin, typed for editors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from numpy.typing import NDArray

from costcalc.attention.latent import MlaMode
from costcalc.engine.step import Terms
from costcalc.explore.question import EfficiencyMode

Several = int | float | str | Sequence[int | float | str] | NDArray[Any] | None
"""One value, or a list, an array, or a range such as '1:256:x2'."""


class SharedKeywords(TypedDict, total=False):
    """Fields of `Options` that take one value, of estimates and of sweeps alike."""

    cached: float
    weights: str | None
    kv_cache: str | None
    activations: str | None
    memory_utilization: float | None
    tpot: float | None
    ttft: float | None
    efficiency: EfficiencyMode
    backend: str | None
    terms: Terms
    mla: MlaMode | None
    drafts: int | None
    acceptance: float | None
    disaggregated: bool


class OptionKeywords(SharedKeywords, total=False):
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
    price: float | str | None
    utilization: float
    demand: str | None


class SweepKeywords(SharedKeywords, total=False):
    """Options of an estimate; those that take `Several` may be swept."""

    gpus: Several
    tensor_parallel: Several
    pipeline_parallel: Several
    expert_parallel: Several
    attention_data_parallel: Several
    batch: Several
    context: Several
    input_tokens: Several
    output_tokens: Several
    memory_bandwidth: Several
    price: Several
    utilization: Several
