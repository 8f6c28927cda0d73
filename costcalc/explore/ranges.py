"""Low and high of an estimate at 80% coverage, from the residuals of measured points."""

from __future__ import annotations

from costcalc.catalog.likeness import shape_of
from costcalc.explore.question import Question
from costcalc.explore.result import Range
from costcalc.frozen import Record


class Spread80(Record):
    """Observed over predicted at 10% and 90%, of times; None for the ideal bound, which has no error."""

    decode: Range | None
    prefill: Range | None
    gpu_known: bool  # whether this GPU was among the measured ones
    model_known: bool  # whether a model of this shape was


def ranges_of(question: Question) -> Spread80:
    """The ranges of a question: the narrow ones only where both its GPU and its model were measured."""
    q, constants = question, question.constants
    shape = shape_of(q.model)
    known = q.gpu.name in constants.measured_gpus, constants.knows_model(q.model.name, shape)
    if not q.calibrated:
        return Spread80(None, None, *known)
    decode, prefill = "decode_experts" if q.model.has_experts else "decode", "prefill"
    if q.options.disaggregated:
        decode, prefill = "pools", "prefill_pools"
    named = q.gpu.name, q.model.name, q.gpu.architecture, q.backend, shape
    return Spread80(constants.range_of(decode, *named), constants.range_of(prefill, *named), *known)


def scaled(value: float, spread: Range | None) -> Range | None:
    """The range of a number whose observed value over the predicted one spreads so."""
    return None if spread is None else (value * spread[0], value * spread[1])


def inverse(spread: Range | None) -> Range | None:
    """The spread of a rate, given that of its time."""
    return None if spread is None else (1 / spread[1], 1 / spread[0])
