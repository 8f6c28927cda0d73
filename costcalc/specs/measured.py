"""What one kind of machine reached when it was measured, as `costcalc calibrate` writes it into a profile."""

from dataclasses import field
from typing import Annotated

from costcalc.errors import CostcalcError, did_you_mean
from costcalc.formats import COMPUTE_PRECISIONS
from costcalc.schema import After, Limits, Spec
from costcalc.specs.prices import Date
from costcalc.specs.serving import Share

Speed = Annotated[float, Limits(gt=0, le=10)]
"""How fast a class of kernels ran over what the shipped fit expects of this GPU on the same shapes."""


class Reached(Spec):
    """How fast a class of kernels ran."""

    share: Share  # of the data sheet's peak
    speed: Speed


def _known_precisions(flops: dict[str, Reached]) -> dict[str, Reached]:
    for name in flops:
        if name not in COMPUTE_PRECISIONS:
            hint = did_you_mean(name, COMPUTE_PRECISIONS) or f"one of: {', '.join(COMPUTE_PRECISIONS)}"
            raise CostcalcError(f"unknown precision {name!r}", hint=hint)
    return flops


ByPrecision = Annotated[dict[str, Reached], After(_known_precisions)]


class MeasuredEfficiency(Spec):
    """What an accelerator reached; the constants of estimates are scaled by it: see engine.measured."""

    bandwidth: Share | None = None  # of memory bandwidth: large copies, which no kernel outruns
    weights: Reached | None = None  # memory bandwidth: matrix products of a few rows
    experts: Reached | None = None  # memory or arithmetic, whichever binds: fused experts
    attention: Reached | None = None  # memory bandwidth: decode attention over long caches
    prefill: Reached | None = None  # the 16-bit peak: prefill attention
    flops: ByPrecision = field(default_factory=dict)  # dense peaks: large matrix products, by precision
    links: Reached | None = None  # bandwidth between GPUs: large messages
    latency: Speed | None = None  # of messages so small that their size does not matter
    points: Annotated[int, Limits(ge=1)]
    source: str
    date: Date
