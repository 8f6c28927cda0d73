"""The chart of an estimate: the roofline, and the time of a decode step by op."""

from __future__ import annotations

from costcalc.errors import CostcalcError
from costcalc.explore.result import Estimate
from costcalc.readable import format_count, format_usd
from costcalc.show.basis import price_basis
from costcalc.show.figures.roofline import draw_roofline, points_of
from costcalc.show.figures.steptime import draw_step_time
from costcalc.show.figures.style import look, panels, saved
from costcalc.specs.accelerator import Accelerator


def draw_estimate(result: Estimate, gpu: Accelerator, suffix: str, kind: str | None = None) -> bytes:
    """Return the chart of an estimate as the content of a file.

    result: the estimate.
    gpu: the accelerator that it is about.
    suffix: '.png', '.svg' or '.pdf'.
    kind: 'roofline' or 'time' for one panel alone.
    Raises CostcalcError when there is nothing to draw.
    """
    if not result.breakdown:
        raise CostcalcError("there is no decode step to draw: the deployment does not fit", where="--chart")
    computes = bool(points_of(result))
    if kind == "roofline" and not computes:
        message = "reads alone have no arithmetic to stand on a roofline"
        raise CostcalcError(message, where="--chart-kind", hint="draw --chart-kind time, or leave --terms out")
    kinds = (("roofline", "time") if computes else ("time",)) if kind is None else (kind,)
    with look():
        width = 6.8 if len(kinds) > 1 else 8.0
        figure, axes = panels(len(kinds), _title(result), _subtitle(result, computes), width=width)
        for each, where in zip(kinds, axes, strict=True):
            if each == "roofline":
                draw_roofline(where, result, gpu)
            else:
                draw_step_time(where, result)
        return saved(figure, suffix)


def _title(result: Estimate) -> str:
    cost = result.cost.usd_per_million_output_tokens
    price = "" if cost is None else f": {format_usd(cost)} per million output tokens"
    return f"{result.model.name} on {result.deployment.gpus} × {result.deployment.gpu}{price}"


def _subtitle(result: Estimate, computes: bool) -> str:
    load, machine = result.workload, result.deployment
    return (
        f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out; "
        f"weights {machine.precision.weights}, KV cache {machine.precision.kv_cache}; {price_basis([machine])}; "
        f"{'ideal bound' if machine.efficiency == 'ideal' else 'efficiency as measured'}"
        f"{'' if computes else '; reads alone: no roofline'}"
    )
