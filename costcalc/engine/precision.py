"""Which formats a deployment stores in, and which precision each op then computes in."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any, NamedTuple

from costcalc.engine.host import ON_GPU, Placement
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record
from costcalc.formats import CacheFormat, WeightFormat, cache_format, weight_format
from costcalc.hardware.accelerator import FALLBACKS
from costcalc.model.spec import ModelSpec, Precision

FOUR_BIT_EXPERTS = ("deepseek", "gpt-oss", "kimi", "minimax")
"""Families whose published 4-bit checkpoints narrow routed experts only; those of others narrow every linear layer."""
MXFP4_COMPUTE = {"blackwell": "fp8", "cdna4": "fp4", "rtx-blackwell": "fp8"}
"""What MXFP4 weights are multiplied in where tensor cores take them as they are; elsewhere they are unpacked."""


PARTS = ("attention", "ffn", "experts", "head", "embedding")
"""Matrices that a checkpoint may keep in formats of their own; `weights` are all but head and embedding."""


class Stored(NamedTuple):
    """What matrices are kept in, and what they are multiplied in."""

    weights: WeightFormat
    compute: str


class Formats(Record):
    """Storage and compute formats of a deployment, and what of it is stored in the host's memory."""

    weights: WeightFormat
    experts: WeightFormat
    head: WeightFormat
    embedding: WeightFormat
    cache: CacheFormat
    compute: str
    experts_compute: str
    head_compute: str
    projections: Stored  # the matrices of attention
    ffn: Stored  # dense FFNs, shared experts, routers
    attention: str
    indexer: str
    padded_inputs: int = 1  # multiple to which the engine pads the inputs of experts' matrices
    placement: Placement = ON_GPU
    encoders: float = 1.0  # share of those of images that the engine loads

    @property
    def stored(self) -> tuple[Stored, ...]:
        """What the matrices of layers are kept and multiplied in, each pair once."""
        experts = Stored(self.experts, self.experts_compute)
        return tuple(dict.fromkeys((self.projections, self.ffn, experts)))


def compute_precision(wanted: str, available: Collection[str]) -> str:
    """The precision that an op runs in: the one wanted, or the first stand-in that the machine has."""
    for key in (wanted, *FALLBACKS[wanted]):
        if key in available:
            return key
    raise CostcalcError(f"the machine has no known {wanted} rate", hint=f"it has {', '.join(available)}")


def read_weights(text: str) -> dict[str, str]:
    """The formats that `--weights` names, by part: 'nvfp4,attention=bf16' means all weights, and attention apart.

    Raises CostcalcError for an unknown format, an unknown part, or a part that is named twice.
    """
    found: dict[str, str] = {}
    for each in text.split(","):
        part, _, name = each.rpartition("=")
        part = part.strip().casefold() or "weights"
        if part not in ("weights", *PARTS):
            raise CostcalcError(f"unknown part {shown(part)}", hint=did_you_mean(part, PARTS) or f"one of {_PARTS}")
        if part in found:
            raise CostcalcError(f"{part} has two formats", hint=f"name each of {_PARTS} once, as in attention=bf16")
        found[part] = weight_format(name).name
    return found


_PARTS = ", ".join(PARTS)


def with_bits(weights: str | None, bits: float | None) -> str | None:
    """What `--weights` and `--bits` [bits per weight] mean together; raises CostcalcError where they do not."""
    if bits is None:
        return weights
    base, *parts = (weights or "bits").split(",")
    try:
        return ",".join((weight_format(f"{base}-{bits:g}").name, *parts))
    except CostcalcError:
        raise CostcalcError(f"{base} has no bits to choose", "--bits", "they are of weight-only formats") from None


def checkpoint_precision(model: ModelSpec, weights: str) -> Precision:
    """The precision of the checkpoint that a model is served from when its weights are said to be `weights`.

    Eight bits of a block-scaled model are its own; four bits leave attention wide where the family's published
    checkpoints do. Cache and activations stay the model's. Parts may be named apart, as `read_weights` reads them.
    Raises CostcalcError for an unknown format.
    """
    parts = read_weights(weights)
    asked = parts.pop("weights", None)
    return replace(model.precision if asked is None else _published(model, weight_format(asked)), **parts)


def _published(model: ModelSpec, asked: WeightFormat) -> Precision:
    native = model.precision
    mixed = native.attention or native.ffn
    if asked.name == native.experts or (asked.name == "fp8" and native.weights == "fp8_block"):
        return native
    if mixed and asked.name == native.weights:
        return native
    changes: dict[str, Any] = dict.fromkeys(("attention", "ffn", "experts", "activations"))
    changes["weights"] = asked.name
    if asked.whole:
        changes |= {"head": asked.name, "embedding": None}
    if asked.bytes < 1 and not asked.whole and model.has_experts and model.family in FOUR_BIT_EXPERTS:
        changes |= {"weights": native.weights if asked.name == "mxfp4" else "bf16", "experts": asked.name}
    return replace(native, **changes)


def resolve_formats(precision: Precision, available: Collection[str], architecture: str = "") -> Formats:
    """Formats of a deployment on a machine whose peaks are known for the precisions `available`.

    architecture: of the machine, which decides how it multiplies MXFP4.
    """
    weights = weight_format(precision.weights)
    experts = weight_format(precision.experts or precision.weights)
    head = weight_format(precision.head)
    projections, ffn = (weight_format(each or precision.weights) for each in (precision.attention, precision.ffn))

    def compute(stored: WeightFormat) -> str:
        own = MXFP4_COMPUTE.get(architecture) if stored.name == "mxfp4" else None
        return compute_precision(precision.activations or own or stored.activations, available)

    return Formats(
        weights=weights,
        experts=experts,
        head=head,
        embedding=weight_format(precision.embedding or precision.head),
        projections=Stored(projections, compute(projections)),
        ffn=Stored(ffn, compute(ffn)),
        cache=cache_format(precision.kv_cache),
        compute=compute(weights),
        experts_compute=compute(experts),
        head_compute=compute_precision(head.activations, available),
        attention=compute_precision("bf16", available),
        indexer=compute_precision("fp8", available),
    )
