"""Bars and lines drawn with characters, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from plotille import Figure, color

from costcalc.errors import escaped
from costcalc.explore.capacity import Capacity
from costcalc.explore.fleet.plan import Plan
from costcalc.explore.spaces.frontier import USER, Frontier
from costcalc.explore.spaces.sweep import Sweep
from costcalc.fields import Record
from costcalc.predict.quantities import BLENDED
from costcalc.predict.results import BreakEven, Comparison, Estimate
from costcalc.replay.results import Simulation
from costcalc.report.capacity import MOST_ROWS, names
from costcalc.report.comparison import COST, RATE, by_context, caches, row_name
from costcalc.report.frontier import FRONTIER_PANELS, lines_of
from costcalc.report.money.breakeven import use_curve
from costcalc.report.page import Block, Column, Grid, Line, Show, Shown, bar, quantity, seconds
from costcalc.report.plan import fleet_name
from costcalc.report.sweep import NAMES, SWEPT_PANELS, panels_to_draw, stands_alone, value_shown
from costcalc.units import format_bytes, format_count, format_percent, format_usd
from costcalc.validation.price import Priced

if TYPE_CHECKING:
    from costcalc.explore.attention import Curves


WIDTH = 40
MOST_BARS = 40
LINEAR = 100
"""Bars of values that are further apart than this factor are logarithmic: the smallest would be a speck."""
HEIGHT, COLUMNS = 16, 50
EACH = 9
"""Columns from one mark of a line to the next."""
MARKS = "●○■▲◆▼★×+"
COLOURS = ("blue", "red", "green", "yellow", "magenta", "cyan", "bright_blue", "bright_red", "bright_green")


class Drawn(Record):
    """A line: its name, its points in the numbers they are of, and whether the scale has to hold it."""

    name: str
    points: Sequence[tuple[float, float]]
    framed: bool = True


def plots(
    result: Any,
    curves: Curves | None = None,
) -> list[Block]:
    """Return a result as bars and lines; `curves` are the variants of a comparison over contexts."""
    if isinstance(result, Estimate):
        return list(bars("Decode time by op", [(op.op, op.time_s) for op in result.breakdown], seconds))
    if isinstance(result, Sweep):
        return list(_swept(result))
    if isinstance(result, Frontier):
        return list(_frontiers(result))
    if isinstance(result, BreakEven):
        return list(_against_use(result))
    if isinstance(result, Simulation):
        return list(_against_load(result))
    if isinstance(result, Plan):
        told = [(fleet_name(each), each.usd_per_month) for each in result.fleets if each.gpus is not None]
        return list(bars("$ per month", told, format_usd))
    if isinstance(result, Capacity):
        of = quantity("serving.tokens_per_s_per_user")
        speeds = [quantity("serving.tokens_per_s_per_user", row.estimate).value for row in result.rows]
        return list(bars(of.title, list(zip(names(result), speeds, strict=True))[:MOST_ROWS], of.show))
    if isinstance(result, Priced):
        priced = [(each.source, each.usd_per_million_blended_tokens) for each in result.rows[:MOST_BARS]]
        return list(bars("Measured, $ per M tokens, blended", priced, format_usd))
    page: list[Block] = []
    if not isinstance(result, Comparison):  # whose page is drawn already
        return page
    cached, sizes = caches(result.rows)
    held = dict.fromkeys(zip(map(row_name, result.rows), sizes, strict=True))
    same = len(held) == len(dict(held))  # what a token adds is the same at every context
    if same:
        page += bars(cached, held, format_bytes)
    for context, rows in by_context(result):
        at = f" at {format_count(context)} tokens" if len(result.contexts) > 1 else ""
        if not same:
            page += bars(f"{cached}{at}", list(zip(map(row_name, rows), caches(rows)[1], strict=True)), format_bytes)
        costs = [(row_name(row), quantity(COST, row.estimate)) for row in rows]
        page += bars(f"{quantity(COST).title}{at}", [(name, each.value) for name, each in costs], quantity(COST).show)
    return [*page, *(_compared(curves) if curves is not None else ())]


def bars(title: str, values: Iterable[tuple[str, float | None]], show: Show) -> Iterator[Block]:
    """Yield values as horizontal bars: as long as they are large, or logarithmic where the small ones would vanish.

    values: names and values; what is unknown or nothing has no bar.
    """
    listed = list(values)
    known = [value for _, value in listed if value is not None and value > 0]
    logarithmic = bool(known) and max(known) > LINEAR * min(known)
    yield Line()
    yield Line(f"{title}, bars logarithmic" if logarithmic else title, "heading")
    rows = [(name, show(value), bar(_length(value or 0.0, known, logarithmic), WIDTH)) for name, value in listed]
    yield Grid((Column(), Column(right=True), Column(role="memory", drawing=True)), rows)


def _length(value: float, known: Sequence[float], logarithmic: bool) -> float:
    if value <= 0 or not logarithmic:
        return max(value, 0.0) / max(known, default=1.0)
    # The least value keeps a stub of a bar, so that it differs from nothing.
    floor = math.log(min(known)) - 0.04 * math.log(max(known) / min(known))
    return (math.log(value) - floor) / (math.log(max(known)) - floor)


def _compared(curves: Curves) -> Iterator[Block]:
    for path in (RATE, COST):
        drawn = []
        for curve in curves.curves:
            points = list(zip(curve.contexts.tolist(), curve.envelope(path).tolist(), strict=True))
            # Without a cache every token costs a whole prefill; on one scale with it the others would be one line.
            drawn.append(Drawn(curve.variant, points, curve.bytes_per_token > 0))
        if any(value == value for line in drawn for _, value in line.points):
            yield from _chart(quantity(path), "context", drawn, partial(value_shown, "context"))


def _swept(sweep: Sweep) -> Iterator[Block]:
    """Yield the numbers of a sweep against its longest axis; bars where nothing lies between its values."""
    for kind, found in panels_to_draw(sweep, tuple(SWEPT_PANELS), len(MARKS), asked=False).items():
        of, show_below = quantity(SWEPT_PANELS[kind]), partial(value_shown, found.along)
        some = f", {len(found.lines)} of {found.count:,} lines" if found.count > len(found.lines) else ""
        if stands_alone(found.along):
            values = [
                (", ".join(filter(None, [line.label, f"{show_below(x)} {NAMES[found.along]}"])), y)
                for line in found.lines
                for x, y in line.points
            ]
            yield from bars(f"{of.title}{some}", values[:MOST_BARS], of.show)
        elif any(len(line.points) > 1 for line in found.lines):
            drawn = [Drawn(line.label, line.points) for line in found.lines]
            yield from _chart(of, NAMES[found.along], drawn, show_below, some)


def _frontiers(result: Frontier) -> Iterator[Block]:
    """Yield the frontier of each combination that reaches that of all."""
    user = quantity(USER)
    for path in FRONTIER_PANELS.values():
        lines = [each for each in lines_of(result, path) if each.reaches]
        if lines:
            some = f", {len(MARKS)} of {len(lines):,} lines" if len(lines) > len(MARKS) else ""
            drawn = [Drawn(each.label, each.points[::-1]) for each in lines]  # lines begin at the left
            yield from _chart(quantity(path), "tokens/s per user", drawn, user.show, some, below=user.short)


def _against_load(found: Simulation) -> Iterator[Block]:
    """Yield percentiles of the first token against load; without loads, those of one as bars."""
    shares = ("p50", "p90", "p99")
    if len(found.loads) < 2:
        yield from bars(
            "Time to first token", [(each.upper(), getattr(found.ttft_s, each)) for each in shares], seconds
        )
        return
    for path, name in (("serving.time_to_first_token_s", "ttft_s"), ("serving.time_per_output_token_s", "tpot_s")):
        lines = [
            Drawn(share.upper(), [(each.load, getattr(getattr(each, name), share) or math.nan) for each in found.loads])
            for share in shares
        ]
        yield from _chart(quantity(path), "load", lines, lambda value: f"{value:g}")


def _against_use(result: BreakEven) -> Iterator[Block]:
    """Yield what a million tokens cost against how busy the GPUs are, and what APIs charge."""
    curve = use_curve(result)
    if curve is not None:
        own = Drawn("GPUs of one's own", list(zip(curve.shares, curve.own, strict=True)))
        ends = curve.shares[0], curve.shares[-1]
        bought = [Drawn(name, [(x, price) for x in ends]) for name, price, _ in curve.bought]
        show_below: Callable[[float], str] = partial(format_percent, digits=2)
        yield from _chart(quantity(BLENDED), "how busy the GPUs are", [own, *bought], show_below, below="use")


def _chart(
    of: Shown, against: str, lines: Sequence[Drawn], show_below: Callable[[float], str], some: str = "", below: str = ""
) -> Iterator[Block]:
    """Yield lines of a number under a heading, both axes logarithmic, with a key to their marks."""
    yield Line()
    yield Line(f"{of.title} against {against}, both logarithmic{some}", "heading")
    lines = lines[: len(MARKS)]
    logs = [[(math.log(x), math.log(y)) for x, y in each.points if math.isfinite(y) and y > 0] for each in lines]
    framed = [point for each, points in zip(lines, logs, strict=True) if each.framed for point in points]
    if not framed:
        yield Line("nothing fits anywhere", indent=2)
        return
    for text in _canvas(logs, framed, of, show_below, below or against).splitlines():
        yield Line(text.replace("\u2800", " ").rstrip(), drawn=True)
    for mark, colour, each in zip(MARKS, COLOURS, lines, strict=False):
        if each.name:
            yield Line(f"{color(mark, fg=colour)} {escaped(each.name)}", indent=4, drawn=True)


def _canvas(
    lines: Sequence[Sequence[tuple[float, float]]],
    framed: Sequence[tuple[float, float]],
    of: Shown,
    show_below: Callable[[float], str],
    below: str,
) -> str:
    def label(value: float, *, chars: int, left: bool, **_: float) -> str:
        number = float(f"{math.exp(value):.3g}")  # what a logarithm was taken of comes back with its last digits off
        return show_below(number).ljust(chars) if left else of.show(number).rjust(chars)

    (left, low), (right, high) = (tuple(edge(each) for each in zip(*framed, strict=True)) for edge in (min, max))
    figure = Figure()
    figure.width, figure.height, figure.origin = COLUMNS, HEIGHT, False
    figure.x_label, figure.y_label = below, of.unit
    figure.register_label_formatter(float, label)
    figure.set_x_limits(left, max(right, left + 0.01))
    figure.set_y_limits(low - 0.02, max(high, low + 0.01) + 0.02)
    drawn = [each for each in zip(MARKS, COLOURS, lines, range(EACH), strict=False) if each[2]]
    for _, colour, points, _ in drawn:
        figure.plot(*zip(*points, strict=True), lc=colour)
    for mark, colour, points, first in drawn:
        # Lines that run along each other take turns.
        x, y = np.array(points).T
        at = np.linspace(left, right, COLUMNS)[first::EACH]
        at = at[(at >= x[0]) & (at <= x[-1])]
        figure.scatter(at.tolist(), np.interp(at, x, y).tolist(), lc=colour, marker=mark)
    return str(figure.show())
