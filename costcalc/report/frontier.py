"""A frontier as a page of sets, and as the lines that its chart draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from costcalc.explore.spaces.frontier import RATE, TOLD, TPOT, TTFT, USER, Configuration, Front, Frontier, Point
from costcalc.fields import Record
from costcalc.predict.quantities import BLENDED
from costcalc.report.page import (
    HEAD_ENDS,
    RANGE,
    Block,
    Column,
    Command,
    Grid,
    Line,
    Shown,
    filled_grid,
    notes,
    quantity,
)
from costcalc.units import format_count, format_price

NAMES = {
    "model": "model", "gpu": "GPU", "weights": "weights", "kv_cache": "KV cache", "activations": "activations",
    "backend": "engine", "tuning": "tuning", "drafts": "drafts", "disaggregated": "pools",
}  # fmt: skip
"""What combinations of a space may differ in."""
_NAME_OF = {path: name for name, path in TOLD.items()}
_MOST_NAMED = 3


def frontier_page(result: Frontier) -> list[Block]:
    """Return a frontier as a page: of every set the fastest point, and what cannot be told apart from it."""
    page: list[Block] = [Line(result.title, "title"), Line()]
    differ = varying(result.points)
    for model, points in groupby(result.points, key=lambda each: each.model):
        if "model" in differ:
            page.append(Line(model, "heading"))
        rows = _rows(list(points))
        page += [_grid(rows, [each for each in differ if each != "model"])]
        page.append(Line() if "model" in differ else HEAD_ENDS)
        page += [Command(first.command, str(first.set)) for first, _ in rows]
        page.append(Line())
    page[-1] = HEAD_ENDS
    page += [Line(text, "dim") for text in _legend(result)]
    return [*page, Line(), *notes(result.notes)]


def varying(configurations: Sequence[Configuration]) -> list[str]:
    """Return the names of what several configurations differ in, in the order of NAMES.

    What follows from the model and the GPU, such as the engine of a vendor, is no further difference.
    """
    machines = {(each.model, each.gpu) for each in configurations}
    found = []
    for name in NAMES:
        values = {getattr(each, name) for each in configurations}
        own = {(each.model, each.gpu, getattr(each, name)) for each in configurations}
        if len(values) > 1 and (name in ("model", "gpu") or len(own) > len(machines)):
            found.append(name)
    return found


def label(configuration: Configuration, names: Sequence[str]) -> str:
    """Return what a configuration is, as far as it differs from others by `names`."""
    return ", ".join(_word(configuration, name) for name in names)


def _word(configuration: Configuration, name: str) -> str:
    value: Any = getattr(configuration, name)
    if name == "disaggregated":
        return "pools apart" if value else "one pool"
    if name in ("drafts", "kv_cache", "activations"):
        return f"{value} {NAMES[name]}" if name == "drafts" else f"{NAMES[name]} {value}"
    return str(value or "ideal")


def _rows(points: Sequence[Point]) -> list[tuple[Point, Sequence[Point]]]:
    """The fastest point of every set with its others; of the last set, its cheapest point on the frontier too."""
    sets = [list(each) for _, each in groupby(points, key=lambda point: point.set)]
    rows: list[tuple[Point, Sequence[Point]]] = [(each[0], each[1:]) for each in sets]
    last = [each for each in sets[-1] if each.frontier][-1]
    return rows if last is rows[-1][0] else [*rows, (last, ())]


def shown(point: Point, path: str) -> Shown:
    """Return a number of a point as pages show it."""
    name = _NAME_OF[path]
    return replace(quantity(path), value=getattr(point, name), limits=getattr(point, f"{name}_range"))


def _grid(rows: Sequence[tuple[Point, Sequence[Point]]], differ: Sequence[str]) -> Grid:
    columns = [Column("set", right=True, role="value", key=True)]
    for path in (USER, RATE, BLENDED):
        columns += [Column(quantity(path).short, right=True, role="headline" if path == BLENDED else "text"), RANGE]
    columns += [Column("GPUs", right=True), *(Column(NAMES[name]) for name in differ)]
    columns += [Column("layout"), Column("batch", right=True)]
    columns += [Column(quantity(path).short, right=True) for path in (TPOT, TTFT)]
    columns += [Column("on"), Column("as good, as far as can be told", wrap=True)]
    cells: list[list[str]] = []
    for point, others in rows:
        row = [str(point.set)]
        for path in (USER, RATE, BLENDED):
            row += [shown(point, path).text, shown(point, path).range]
        pool = "" if point.prefill_gpus is None else f" + {point.prefill_gpus:.3g}"
        row += [f"{point.gpus}{pool}", *(_word(point, name) for name in differ)]
        row += [point.layout, f"{point.batch:,}", shown(point, TPOT).text, shown(point, TTFT).text]
        again = f"the cheapest of set {point.set}" if cells and cells[-1][0] == row[0] else ""
        cells.append([*row, _fronts(point), again or _others(point, others, differ)])
    return filled_grid(columns, cells)


def _fronts(point: Point) -> str:
    """Which frontier a point is on, where it is not on both."""
    if point.usd_per_million_blended_tokens is None or len(point.frontier) == 2:
        return ""
    return "GPU" if "tokens_per_s_per_gpu" in point.frontier else "$"


def _others(point: Point, others: Sequence[Point], differ: Sequence[str]) -> str:
    """Other layouts and combinations of a set, each once."""
    named = {}
    for each in others:
        elsewhere = [_word(each, name) for name in differ if getattr(each, name) != getattr(point, name)]
        named[" ".join([*elsewhere, each.layout])] = not elsewhere
    named.pop(point.layout, None)
    named = dict(sorted(named.items(), key=lambda item: item[1]))  # other GPUs before other layouts of the same
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return "; ".join(list(named)[:_MOST_NAMED]) + more


def _legend(result: Frontier) -> Iterator[str]:
    on = sum(bool(point.frontier) for point in result.points)
    yield (
        f"{format_count(result.input_tokens)} tokens in, {format_count(result.output_tokens)} out; {_prices(result)}; "
        f"{'ideal bound' if result.efficiency == 'ideal' else 'efficiency as measured'}."
    )
    yield (
        f"{on:,} of {result.cells:,} configurations that fit are on the frontier: none is faster for a user and serves "
        "more tokens/s per GPU, or costs less. Of every set the fastest is shown, of the last the cheapest too; "
        "--format csv and json have all."
    )
    if any(point.prefill_gpus for point in result.points):
        yield "GPUs: of pools apart those that decode + those that prefill for them; tok/s GPU and dollars count both."
    if any("×" in point.layout for point in result.points):
        yield "batch: of one replica, as in 2 × tp4."
    if result.efficiency != "ideal":
        yield (
            "Points of a set cannot be told apart from its first: all their numbers differ by less than both ranges in "
            "quadrature, or three quarters of it for layouts and batches of one GPU and engine, whose errors have more "
            "in common."
        )


def _prices(result: Frontier) -> str:
    prices = {each.of.gpu: each.of.usd_per_gpu_hour for each in result.fronts}
    told = [
        f"{gpu} {format_price(usd)}" if len(prices) > 1 else format_price(usd) for gpu, usd in prices.items() if usd
    ]
    if not told:
        return "no price per GPU-hour is known"
    more = f" and {len(told) - 2 * _MOST_NAMED} more" if len(told) > 2 * _MOST_NAMED else ""
    return f"per GPU-hour {', '.join(told[: 2 * _MOST_NAMED])}{more}"


# A frontier as lines: one for each combination, of which those are named that reach the frontier of all.


FRONTIER_PANELS = {"throughput": RATE, "cost": BLENDED}
"""What a chart of a frontier may show, against tokens/s per user."""


class FrontLine(Record):
    """The frontier of one combination as a chart draws it."""

    label: str
    points: list[tuple[float, float]]  # tokens/s per user, and the number
    band: list[tuple[float, float]]  # low and high beside each point; empty where there is no range
    reaches: bool  # whether any of it is on the frontier of its model
    place: int  # among all combinations, for a colour that is the same in every panel


def lines_of(result: Frontier, path: str) -> list[FrontLine]:
    """Return the lines of a number, those first that have most of the frontier."""
    names = varying([each.of for each in result.fronts])
    fronts = sorted(result.fronts, key=lambda each: -each.reaches)
    lines = [_line(each, path, label(each.of, names), place) for place, each in enumerate(fronts)]
    return [each for each in lines if each.points]


def _line(front: Front, path: str, name: str, place: int) -> FrontLine:
    columns = [front.numbers[each] for each in (USER, path)]
    ends = [front.numbers.get(f"{path}_range.{end}") for end in ("low", "high")]
    points = [(float(x), float(y)) for x, y in zip(*columns, strict=True) if y == y]
    band = [] if ends[0] is None else [(float(low), float(high)) for low, high in zip(*ends, strict=True) if low == low]
    return FrontLine(name, points, band, front.reaches > 0, place)
