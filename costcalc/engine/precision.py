"""Which formats a deployment stores in, and which precision each op then computes in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from costcalc.errors import CostcalcError
from costcalc.formats import CacheFormat, WeightFormat, cache_format, weight_format
from costcalc.hardware.accelerator import FALLBACKS
from costcalc.model.spec import ModelSpec, Precision

FOUR_BIT_EXPERTS = ("deepseek", "gpt-oss", "kimi", "minimax")
"""Families whose published 4-bit checkpoints narrow routed experts only; those of others narrow every linear layer."""
MXFP4_COMPUTE = {"blackwell": "fp8", "cdna4": "fp4", "rtx-blackwell": "fp8"}
"""What MXFP4 weights are multiplied in where tensor cores take them as they are; elsewhere they are unpacked."""


@dataclass(frozen=True, slots=True)
class Formats:
    """Storage and compute formats of a deployment."""

    weights: WeightFormat
    experts: WeightFormat
    head: WeightFormat
    cache: CacheFormat
    compute: str
    experts_compute: str
    head_compute: str
    attention: str
    indexer: str
    padded_inputs: int = 1  # multiple to which the engine pads the inputs of experts' matrices


def compute_precision(wanted: str, available: Collection[str]) -> str:
    """The precision that an op runs in: the one wanted, or the first stand-in that the machine has."""
    for key in (wanted, *FALLBACKS[wanted]):
        if key in available:
            return key
    raise CostcalcError(f"the machine has no known {wanted} rate", hint=f"it has {', '.join(available)}")


def checkpoint_precision(model: ModelSpec, weights: str) -> Precision:
    """The precision of the checkpoint that a model is served from when its weights are said to be `weights`.

    Eight bits of a block-scaled model are its own; four bits leave attention wide where the family's published
    checkpoints do. Cache and activations stay the model's. Raises CostcalcError for an unknown format.
    """
    native, asked = model.precision, weight_format(weights)
    if asked.name == native.experts or (asked.name == "fp8" and native.weights == "fp8_block"):
        return native
    changes: dict[str, Any] = {"weights": asked.name, "experts": None, "activations": None}
    if asked.bytes < 1 and model.has_experts and model.family in FOUR_BIT_EXPERTS:
        changes |= {"weights": native.weights if asked.name == "mxfp4" else "bf16", "experts": asked.name}
    return replace(native, **changes)


def resolve_formats(precision: Precision, available: Collection[str], architecture: str = "") -> Formats:
    """Formats of a deployment on a machine whose peaks are known for the precisions `available`.

    architecture: of the machine, which decides how it multiplies MXFP4.
    """
    weights = weight_format(precision.weights)
    experts = weight_format(precision.experts or precision.weights)
    head = weight_format(precision.head)

    def compute(stored: WeightFormat) -> str:
        own = MXFP4_COMPUTE.get(architecture) if stored.name == "mxfp4" else None
        return compute_precision(precision.activations or own or stored.activations, available)

    return Formats(
        weights=weights,
        experts=experts,
        head=head,
        cache=cache_format(precision.kv_cache),
        compute=compute(weights),
        experts_compute=compute(experts),
        head_compute=compute_precision(head.activations, available),
        attention=compute_precision("bf16", available),
        indexer=compute_precision("fp8", available),
    )
