"""Charts as files and in the terminal; matplotlib and plotille are imported here alone, when a chart is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from costcalc.errors import CostcalcError

if TYPE_CHECKING:
    from costcalc.explore.compare import Curves
    from costcalc.fields import Result

CHARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "BreakEven": ("comparison:draw_breakeven", ("use",)),
    "Capacity": ("comparison:draw_capacity", ("speed", "throughput", "cost")),
    "Comparison": ("comparison:draw_comparison", ("cache", "throughput", "cost", "speed")),
    "Diff": ("comparison:draw_diff", ("steps",)),
    "Estimate": ("estimate:draw_estimate", ("roofline", "time")),
    "Frontier": ("frontier:draw_frontier", ("throughput", "cost")),
    "Plan": ("plan:draw_plan", ("cost", "day")),
    "Priced": ("comparison:draw_price", ("cost", "throughput", "speed", "wait")),
    "Sensitivity": ("sensitivity:draw_sensitivity", ("tornado",)),
    "Simulation": ("simulation:draw_simulation", ("queue", "load")),
    "Sweep": ("comparison:draw_sweep", ("cost", "throughput", "speed", "wait")),
}
"""What draws each kind of result, in this folder, and its panels, the first three of which are drawn by default."""
OF_GPUS = ("throughput", "speed", "cost")
"""Panels of a comparison of GPUs, on which a model's cache is the same."""


def drawn(result: Result, suffix: str, kinds: Sequence[str] = (), curves: Curves | None = None) -> bytes:
    """Return the chart of a result as the content of a file.

    suffix: '.png', '.svg' or '.pdf'. kinds: its panels; none are the default. curves: of a comparison, for its lines.
    Raises CostcalcError for a result that has no chart, and where there is nothing to draw.
    """
    panels = panels_of(result)
    if not panels:
        raise CostcalcError("this answer has no chart", where="chart")
    module, _, name = CHARTS[type(result).__name__][0].partition(":")
    draw: Any = getattr(import_module(f"{__name__}.{module}"), name)
    wanted = tuple(kinds) or panels[:3]
    content: bytes
    if len(panels) == 1:
        content = draw(result, suffix)
    elif name == "draw_estimate":
        content = _of_estimate(draw, result, suffix, kinds)
    elif name == "draw_comparison":
        content = draw(result, curves, suffix, wanted)
    else:
        content = draw(result, suffix, wanted)
    return content


def _of_estimate(draw: Any, result: Any, suffix: str, kinds: Sequence[str]) -> Any:
    """The chart of an estimate; without its accelerator, as one row of several is, the times of its ops alone."""
    if result.machine is None and "roofline" in kinds:
        hint = "ask `costcalc.estimate` for this row, or draw time alone"
        raise CostcalcError("one row of several has no roofline", where="kinds", hint=hint)
    kind = kinds[0] if len(kinds) == 1 else None
    return draw(result, result.machine, suffix, "time" if result.machine is None else kind)


def panels_of(result: Any) -> tuple[str, ...]:
    """Return the panels that the chart of a result may have; none where it has no chart."""
    name = type(result).__name__
    if name == "Comparison":
        rows = [row.estimate for row in result.rows]
        machines = {each.deployment.gpu for each in rows}
        if len(machines) > 1 or len({each.kv_cache.bytes_per_token for each in rows}) == 1:
            return OF_GPUS
    return CHARTS[name][1] if name in CHARTS else ()
