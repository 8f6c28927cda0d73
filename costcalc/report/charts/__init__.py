"""Charts as files and in the terminal; matplotlib and plotille are imported here alone, when a chart is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any

from costcalc.errors import CostcalcError

if TYPE_CHECKING:
    from costcalc.explore.attention import Curves
    from costcalc.fields import Result

CHARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "BreakEven": ("money:draw_breakeven", ("use",)),
    "Capacity": ("comparison:draw_capacity", ("speed", "throughput", "cost", "memory")),
    "Comparison": ("comparison:draw_comparison", ("cache", "throughput", "cost", "speed", "memory")),
    "Diff": ("money:draw_diff", ("steps",)),
    "Estimate": ("estimate:draw_estimate", ("roofline", "time", "memory")),
    "Frontier": ("frontier:draw_frontier", ("throughput", "cost")),
    "Plan": ("plan:draw_plan", ("cost", "day")),
    "Priced": ("measured:draw_price", ("cost", "throughput", "speed", "wait")),
    "Sensitivity": ("money:draw_sensitivity", ("tornado",)),
    "Simulation": ("simulation:draw_simulation", ("queue", "load")),
    "Sweep": ("sweep:draw_sweep", ("cost", "throughput", "speed", "wait")),
    "Validation": ("measured:draw_accuracy", ("accuracy",)),
}
"""What draws each kind of result, in this folder, and its panels, the first three of which are drawn by default."""
OF_GPUS = ("throughput", "speed", "cost", "memory")
"""Panels of a comparison of GPUs, on which a model's cache is the same."""
THEMES = ("light", "dark")
THEME: ContextVar[str] = ContextVar("THEME", default=THEMES[0])
"""On which ground charts are drawn."""
_FIRST = {"Estimate": 2}
"""Panels drawn by default, where they are fewer than three: how many users fit is searched for when it is asked for."""


def drawn(
    result: Result, suffix: str, kinds: Sequence[str] = (), curves: Curves | None = None, theme: str | None = None
) -> bytes:
    """Return the chart of a result as the content of a file.

    suffix: '.png', '.svg' or '.pdf'. kinds: its panels; none are the default. curves: of a comparison, for its lines.
    theme: one of THEMES; by default the one that is set.
    Raises CostcalcError for a result that has no chart, and where there is nothing to draw.
    """
    panels, name = panels_of(result), type(result).__name__
    if not panels:
        raise CostcalcError("this answer has no chart", where="chart")
    module, _, function = CHARTS[name][0].partition(":")
    more = (curves,) if name == "Comparison" else ()
    before = THEME.set(theme or THEME.get())
    try:
        draw: Callable[..., bytes] = getattr(import_module(f"{__name__}.{module}"), function)
        return draw(result, *more, suffix, tuple(kinds) or panels[: _FIRST.get(name, 3)], bool(kinds))
    finally:
        THEME.reset(before)


def panels_of(result: Any) -> tuple[str, ...]:
    """Return the panels that the chart of a result may have; none where it has no chart."""
    name = type(result).__name__
    if name == "Comparison":
        rows = [row.estimate for row in result.rows]
        machines = {each.deployment.gpu for each in rows}
        if len(machines) > 1 or len({each.kv_cache.bytes_per_token for each in rows}) == 1:
            return OF_GPUS
    return CHARTS[name][1] if name in CHARTS else ()
