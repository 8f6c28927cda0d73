"""The chart of a plan: what each fleet costs and what binds it, and its GPUs over a day."""

from __future__ import annotations

from collections.abc import Collection
from textwrap import wrap

from costcalc.errors import CostcalcError
from costcalc.explore.fleet.plan import Plan, PlannedFleet
from costcalc.report.charts.library import Axes
from costcalc.report.charts.style import (
    BLUE,
    FAINT,
    GREY,
    INK,
    legend_below,
    look,
    name_rows,
    panels,
    saved,
    say_below,
    shown_ticks,
)
from costcalc.report.plan import asked_told, fleet_name, missed
from costcalc.units import format_count, format_usd

MOST = 12
"""Fleets that are drawn, the cheapest."""
LONGEST = 34
"""Letters of a line behind a bar."""


def draw_plan(found: Plan, suffix: str, wanted: Collection[str], *_: object) -> bytes:
    """Return the chart as the content of a file of an ending; raises CostcalcError where the panel has nothing."""
    fleets = [each for each in found.fleets if each.usd_per_month is not None][:MOST]
    if not fleets:
        raise CostcalcError("no fleet has a price, so there is nothing to draw", where="chart")
    kinds = [each for each in ("cost", "day") if each in wanted and (each != "day" or found.load_by_hour)]
    if not kinds:
        raise CostcalcError("no hours are told", where="kinds", hint="add `hourly`")
    with look():
        height = max(3.6, 1.6 + 0.5 * len(fleets))
        figure, axes = panels(len(kinds), found.title, asked_told(found), width=7.6, height=height)
        for kind, each in zip(kinds, axes, strict=True):
            if kind == "cost":
                _draw_cost(each, fleets)
            else:
                _draw_day(each, found, fleets[0])
        if "cost" in kinds:
            marks = "blue: what is advised; lines: hold in 8 of 10 cases; behind them what fewer GPUs miss"
            say_below(figure, [marks])
        return saved(figure, suffix)


def _draw_cost(axes: Axes, fleets: list[PlannedFleet]) -> None:
    places = range(len(fleets))
    costs = [each.usd_per_month or 0.0 for each in fleets]
    colours = [BLUE if each.why_not is None else GREY for each in fleets]
    axes.barh(places, costs, color=colours, height=0.62)
    furthest = 0.0
    for place, each, cost in zip(places, fleets, costs, strict=True):
        end = cost
        if each.usd_per_month_range:
            low, high = each.usd_per_month_range
            axes.plot([low, high], [place, place], color=INK, lw=1.2)
            end = max(high, cost)
        lines = wrap(f"{each.gpus:,} GPUs; {_bound(each)}", LONGEST)
        axes.annotate(
            "\n".join(lines), (end, place), xytext=(6, 0), textcoords="offset points", va="center", size=8, color=INK
        )
        # What is said behind a bar ends inside: its letters are about a seventieth of the panel each.
        furthest = max(furthest, end / (1 - (max(map(len, lines)) + 3) / 70))
    name_rows(axes, [fleet_name(each) for each in fleets])
    axes.invert_yaxis()
    axes.set_xlim(0, furthest)
    shown_ticks(axes.xaxis, format_usd)
    axes.set_title("$ per month")


def _bound(fleet: PlannedFleet) -> str:
    return f"fewer miss {told}" if (told := missed(fleet)) not in ("memory", "saturation") else told


def _draw_day(axes: Axes, found: Plan, best: PlannedFleet) -> None:
    hours = list(range(len(found.load_by_hour) + 1))
    gpus = [*best.gpus_by_hour, best.gpus_by_hour[-1]]
    axes.step(hours, gpus, where="post", color=BLUE, lw=2, label=f"GPUs of {fleet_name(best)}")
    peak = max(found.load_by_hour)
    load = [each / peak * (best.gpus or 0) for each in (*found.load_by_hour, found.load_by_hour[-1])]
    axes.step(hours, load, where="post", color=FAINT, lw=1.6, label="load, its peak as high as the peak's GPUs")
    axes.set_ylim(bottom=0)
    shown_ticks(axes.yaxis, format_count)
    axes.set_xticks(range(0, 25, 4))
    axes.set_xlabel("hour of the day")
    axes.set_title("GPUs by the hour")
    legend_below(axes)
