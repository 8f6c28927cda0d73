"""The chart of a simulation: requests over time, and percentiles against load."""

from __future__ import annotations

from collections.abc import Collection

from costcalc.errors import CostcalcError
from costcalc.replay.results import Simulation
from costcalc.report.charts.library import Axes, FixedLocator, MaxNLocator
from costcalc.report.charts.style import (
    BLUE,
    FAINT,
    ORANGE,
    RED,
    End,
    legend_below,
    look,
    name_ends,
    panels,
    saved,
    say_below,
    shown_ticks,
)
from costcalc.report.page import quantity
from costcalc.report.simulation import machines_told, traffic_told
from costcalc.units import format_count, format_seconds

WAITS = {"ttft": "serving.time_to_first_token_s", "tpot": "serving.time_per_output_token_s"}
"""What is drawn against load, a panel each."""
UNITS = {"hours": 3600.0, "minutes": 60.0, "s": 1.0}
"""In which times are told, where there are three of them."""
SHARES = {"p50": BLUE, "p90": ORANGE, "p99": RED}


def draw_simulation(found: Simulation, suffix: str, wanted: Collection[str], *_: object) -> bytes:
    """Return the chart as the content of a file of an ending; raises CostcalcError where the panel has nothing."""
    kinds = [each for each in ("queue", "load") if each in wanted and (each != "load" or found.loads)]
    if not kinds:
        raise CostcalcError("there is one load", where="kinds", hint="add `loads`, as in 0.5:1.5:0.25")
    drawn = [each for kind in kinds for each in (WAITS if kind == "load" else (kind,))]
    fleet = found.fleet
    with look():
        title = f"{fleet.model} on {machines_told(fleet)}"
        figure, axes = panels(len(drawn), title, traffic_told(found), width=5.2 if len(drawn) > 1 else 8.0)
        for kind, each in zip(drawn, axes, strict=True):
            if kind == "queue":
                _draw_queue(each, found)
            else:
                _draw_load(each, found, kind)
        if "load" in kinds and any(each.saturated for each in found.loads):
            say_below(figure, ["shaded: saturated, waits grow as long as requests come"])
        return saved(figure, suffix)


def _draw_queue(axes: Axes, found: Simulation) -> None:
    times = [each.time_s for each in found.timeline]
    for name, colour in (("running", BLUE), ("waiting", RED)):
        counts = [getattr(each, name) for each in found.timeline]
        axes.step(times, counts, where="post", color=colour, lw=1.6, label=name)
    axes.set_ylim(bottom=0)
    shown_ticks(axes.yaxis, format_count)
    name, each = next((name, each) for name, each in UNITS.items() if times[-1] >= 3 * each or each == 1)
    places = MaxNLocator(nbins=6, steps=[1, 2, 3, 5, 6, 10]).tick_values(0, times[-1] / each)
    axes.xaxis.set_major_locator(FixedLocator([each * place for place in places if 0 <= place <= times[-1] / each]))
    shown_ticks(axes.xaxis, lambda value: f"{value / each:g}")
    axes.set_xlabel(f"time since the first arrival [{name}]")
    axes.set_title("Requests of all replicas")
    legend_below(axes)


def _draw_load(axes: Axes, found: Simulation, kind: str) -> None:
    """Draw percentiles of a wait as the load rises; dots are replays."""
    points = sorted(found.loads, key=lambda each: each.load)
    at = [each.requests_per_s or each.load for each in points]
    of, ends = quantity(WAITS[kind]), list[End]()
    for share, colour in SHARES.items():
        values = [getattr(getattr(each, f"{kind}_s"), share) or float("nan") for each in points]
        axes.plot(at, values, lw=1.8, marker="o", ms=4, color=colour)
        known = [(x, y) for x, y in zip(at, values, strict=True) if y == y]
        if known:
            ends.append((share.upper(), colour, *known[-1]))
    limit = getattr(found, f"{kind}_limit_s")
    if limit:
        axes.axhline(limit, color=FAINT, lw=1.2, ls="--")
        ends.append(("limit", FAINT, at[-1], limit))
    first = next((each for each in points if each.saturated), None)
    if first is not None:
        axes.axvspan(first.requests_per_s or first.load, 1.03 * at[-1], color=FAINT, alpha=0.15, lw=0)
    axes.set_yscale("log")
    rates = all(each.requests_per_s for each in points)
    axes.set_xlim(0, 1.03 * at[-1])
    shown_ticks(axes.xaxis, lambda value: f"{value:g}")
    shown_ticks(axes.yaxis, lambda value: format_seconds(value, 3))
    name_ends(axes, ends)
    axes.set_xlabel("requests per second" if rates else "load, as a multiple of what was asked for")
    axes.set_title(f"{of.title} against load")
