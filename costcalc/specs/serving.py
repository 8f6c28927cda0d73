"""Efficiency of serving, as data: what engines reach of the peaks and what they add to every step."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from costcalc.schema import Spec
from costcalc.specs.quantities import Bytes, Seconds

Share = Annotated[float, Field(gt=0, le=1)]
"""A share of a peak: never above 1, so that a calibrated time never beats the bound."""


class Provenance(Spec):
    """Where constants come from and how well they hold."""

    source: str
    date: str
    points: int
    note: str | None = None


class Quantiles(Spec):
    """Observed over predicted at 10% and 90%: the 80% range of an estimate."""

    low: Annotated[float, Field(gt=0)]
    high: Annotated[float, Field(gt=0)]


class Ranges(Spec):
    """80% ranges, for GPUs and models that were measured and for those that were not."""

    known: Quantiles
    unseen: Quantiles


class BackendOverhead(Spec):
    """What a serving engine adds."""

    name: str
    layer: Seconds  # per layer and decode step
    prefill_expert_layer: Seconds  # per expert layer and prefill pass
    startup: Seconds  # from a request's arrival to its prefill


class ServingEfficiency(Spec):
    """Constants of the calibrated mode; one file, hardware_profiles/efficiency/serving.yaml."""

    norm: Annotated[float, Field(ge=1)]
    bandwidth: dict[str, Share]
    flops: dict[str, Share]
    kind_flops: dict[str, Share]
    vendor_bandwidth: dict[str, Share]
    expert_layer: Seconds
    latent_layer: Seconds
    sequence: Seconds
    elementwise_passes: Annotated[float, Field(ge=0)]
    routed_pair: Seconds
    all_reduce: Seconds
    all_reduce_per_doubling: Seconds
    all_to_all: Seconds
    link: Share
    overlap: Share
    prefill_layer: Seconds
    memory_utilization: Share
    memory_reserve: Bytes
    default_backend: str
    backends: dict[str, BackendOverhead]
    measured_gpus: tuple[str, ...]
    measured_models: tuple[str, ...]
    ranges: dict[str, Ranges]
    provenance: Provenance
