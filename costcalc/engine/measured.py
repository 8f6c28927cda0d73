"""What a measured machine changes about fitted constants: how fast it ran over how fast it was expected to."""

from __future__ import annotations

from costcalc.formats import WEIGHT_FORMATS
from costcalc.specs.measured import MeasuredEfficiency

_WEIGHTS = ("gemm", "head", "experts")
_ATTENTION = ("grouped", "latent", "indexer", "prefill")
_ALIKE = {"bf16": "fp16", "fp16": "bf16"}


def memory_share(kind: str, share: float, vendor: float, measured: MeasuredEfficiency | None) -> float:
    """Share of memory bandwidth that a kind of op reaches: the fitted one times the machine's own speed.

    kind: of op. share: as fitted, of a typical machine. vendor: speed of its vendor's machines, where it was not
    measured itself. Never above what a copy reached: no kernel moves bytes faster.
    """
    if measured is None:
        return share * vendor
    found = measured.weights if kind in _WEIGHTS else measured.attention if kind in _ATTENTION else None
    return min(share * (found.speed if found else vendor), measured.bandwidth or 1.0)


def compute_share(precision: str, share: float, vendor: float, measured: MeasuredEfficiency | None) -> float:
    """Share of the dense peak of `precision` that is reached: the fitted one times the machine's own speed.

    precision: computed in. share: as fitted. vendor: speed of its vendor's machines, where it was not measured.
    """
    flops = measured.flops if measured else {}
    found = flops.get(precision) or flops.get(_ALIKE.get(precision, ""))
    return min(share * (found.speed if found else vendor), 1.0)


def computed_in(weights: str) -> str:
    """The precision that weights of a format, or those that are unpacked ('weight_only'), are multiplied in."""
    if weights == "weight_only":
        return "bf16"
    return WEIGHT_FORMATS[weights].activations if weights in WEIGHT_FORMATS else weights
