"""The chart of a simulation: requests over time, and percentiles against load."""

from __future__ import annotations

from collections.abc import Collection

from costcalc.errors import CostcalcError
from costcalc.replay.results import Simulation
from costcalc.report.charts.library import Axes, MaxNLocator
from costcalc.report.charts.style import FAINT, look, panels, saved, shown_ticks, variant_colour
from costcalc.report.simulation import machines_told, traffic_told
from costcalc.units import format_count, format_seconds


def draw_simulation(found: Simulation, suffix: str, wanted: Collection[str]) -> bytes:
    """Return the chart as the content of a file of an ending; raises CostcalcError where the panel has nothing."""
    kinds = [each for each in ("queue", "load") if each in wanted and (each != "load" or found.loads)]
    if not kinds:
        raise CostcalcError("there is one load", where="kinds", hint="add `loads`, as in 0.5:1.5:0.25")
    fleet = found.fleet
    with look():
        figure, axes = panels(len(kinds), f"{fleet.model} on {machines_told(fleet)}", traffic_told(found))
        for kind, each in zip(kinds, axes, strict=True):
            (_draw_queue if kind == "queue" else _draw_load)(each, found)
        return saved(figure, suffix)


def _draw_queue(axes: Axes, found: Simulation) -> None:
    times = [each.time_s for each in found.timeline]
    for number, name in enumerate(("running", "waiting")):
        counts = [getattr(each, name) for each in found.timeline]
        axes.step(times, counts, where="post", color=variant_colour("", number), lw=1.6, label=name)
    axes.set_ylim(bottom=0)
    shown_ticks(axes.yaxis, format_count)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 1.2, 1.5, 2, 3, 6, 10]))  # whole minutes, too
    shown_ticks(axes.xaxis, lambda value: format_seconds(value, 3))
    axes.set_xlabel("time since the first arrival")
    axes.set_title("Requests of all replicas")
    axes.legend(frameon=False)


def _draw_load(axes: Axes, found: Simulation) -> None:
    points = sorted(found.loads, key=lambda each: each.load)
    at = [each.requests_per_s or each.load for each in points]
    for number, (path, title) in enumerate((("ttft_s", "first token"), ("tpot_s", "output token"))):
        for share, style in (("p50", "-"), ("p95", "--"), ("p99", ":")):
            values = [getattr(getattr(each, path), share) or float("nan") for each in points]
            label = f"{title}, {share.upper()}"
            axes.plot(at, values, ls=style, lw=1.8, marker="o", ms=3, color=variant_colour("", number), label=label)
    first = next((each for each in points if each.saturated), None)
    if first is not None:
        axes.axvline(first.requests_per_s or first.load, color=FAINT, lw=1)
        axes.text(first.requests_per_s or first.load, 0.99, " saturated", transform=axes.get_xaxis_transform(),
                  va="top", size=8, color=FAINT)  # fmt: skip
    axes.set_yscale("log")
    shown_ticks(axes.yaxis, lambda value: format_seconds(value, 3))
    axes.set_xlabel("requests per second")
    axes.set_title("Waits against load")
    axes.legend(frameon=False)
