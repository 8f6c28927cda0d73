"""Which formats a deployment stores in, and which precision each op then computes in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from costcalc.errors import CostcalcError
from costcalc.formats import CacheFormat, WeightFormat, cache_format, weight_format
from costcalc.specs.accelerator import FALLBACKS
from costcalc.specs.model import Precision


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


def compute_precision(wanted: str, available: Collection[str]) -> str:
    """The precision that an op runs in: the one wanted, or the first stand-in that the machine has."""
    for key in (wanted, *FALLBACKS[wanted]):
        if key in available:
            return key
    raise CostcalcError(f"the machine has no known {wanted} rate", hint=f"it has {', '.join(available)}")


def resolve_formats(precision: Precision, available: Collection[str]) -> Formats:
    """Formats of a deployment on a machine whose peaks are known for the precisions `available`."""
    weights = weight_format(precision.weights)
    experts = weight_format(precision.experts or precision.weights)
    head = weight_format(precision.head)
    asked = precision.activations
    return Formats(
        weights=weights,
        experts=experts,
        head=head,
        cache=cache_format(precision.kv_cache),
        compute=compute_precision(asked or weights.activations, available),
        experts_compute=compute_precision(asked or experts.activations, available),
        head_compute=compute_precision(head.activations, available),
        attention=compute_precision("bf16", available),
        indexer=compute_precision("fp8", available),
    )
