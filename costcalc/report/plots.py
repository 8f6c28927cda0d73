"""Bars and lines drawn with characters, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

from costcalc.explore.sweep import Sweep
from costcalc.predict.quantities import BreakEven, Comparison, Estimate
from costcalc.report.breakeven import use_curve
from costcalc.report.comparison import by_context, row_name
from costcalc.report.page import Block, Column, Grid, Line, Role, bar, seconds, speed, usd
from costcalc.report.sweep import NAMES, SWEPT_PANELS, curves_of, value_shown
from costcalc.units import format_bytes, format_count, format_percent

if TYPE_CHECKING:
    from costcalc.explore.compare import Curve, Curves


WIDTH = 40
LINEAR = 100
"""Bars of values that are further apart than this factor are logarithmic: the smallest would be a speck."""
HEIGHT = 18
COLUMNS = 64
MARKS = "●○■▲◆▼★×+"

Points = list[tuple[float, float]]
Show = Callable[[float | None], str]


def plots(result: Estimate | Comparison | BreakEven | Sweep, curves: Curves | None = None) -> list[Block]:
    """Return a result as bars and lines.

    result: an estimate, a comparison, a break-even or a sweep.
    curves: the variants of a comparison over contexts.
    """
    if isinstance(result, Estimate):
        return list(_step(result))
    if isinstance(result, Sweep):
        return list(_swept(result))
    if isinstance(result, BreakEven):
        return list(_against_use(result))
    page: list[Block] = []
    for context, rows in by_context(result):
        at = f" at {format_count(context)} tokens" if len(result.contexts) > 1 else ""
        caches = [(row_name(row), row.estimate.kv_cache.bytes_per_token) for row in rows]
        page += bars(f"KV cache per token{at}", caches, format_bytes)
        costs = [(row_name(row), row.estimate.cost.usd_per_million_output_tokens) for row in rows]
        page += bars(f"$ per million output tokens{at}", costs, usd)
    if curves is not None:
        page += _lines(curves)
    return page


def bars(
    title: str, values: Iterable[tuple[str, float | None]], show: Show, *, role: Role = "memory"
) -> Iterator[Block]:
    """Yield values as horizontal bars: as long as they are large, or logarithmic where the small ones would vanish.

    title: what they are; where the bars are logarithmic it is made to say so.
    values: names and values; what is unknown or nothing has no bar.
    show: how a value is written.
    role: the colour's meaning.
    """
    listed = list(values)
    known = [value for _, value in listed if value is not None and value > 0]
    logarithmic = bool(known) and max(known) > LINEAR * min(known)
    yield Line()
    yield Line(f"{title}, bars logarithmic" if logarithmic else title, "heading")
    length = _logarithmic_length if logarithmic else _linear_length
    rows = [(name, show(value), bar(length(value, known), WIDTH)) for name, value in listed]
    yield Grid((Column(), Column(right=True), Column(role=role, drawing=True)), rows)


def _linear_length(value: float | None, known: Sequence[float]) -> float:
    return 0.0 if value is None or value <= 0 else value / max(known)


def _logarithmic_length(value: float | None, known: Sequence[float]) -> float:
    if value is None or value <= 0:
        return 0.0
    most, least = math.log(max(known)), math.log(min(known))
    # The least value keeps a stub of a bar, so that it differs from nothing.
    floor = least - 0.04 * (most - least)
    return (math.log(value) - floor) / (most - floor)


def _step(result: Estimate) -> Iterator[Block]:
    yield from bars("Decode time by op", [(op.op, op.time_s) for op in result.breakdown], seconds)


def _lines(curves: Curves) -> Iterator[Block]:
    drawn = curves.curves[: len(MARKS)]
    # Without a cache every token costs a whole prefill; on one scale with it the others would be one line.
    framed = [curve.bytes_per_token > 0 for curve in drawn]
    names = [curve.variant for curve in drawn]
    speeds = [_pairs(curve, curve.tokens_per_s_per_gpu) for curve in drawn]
    title = "Tokens/s per GPU against context, both logarithmic"
    yield from _chart(title, names, speeds, speed, _tokens, framed)
    costs = [_pairs(curve, curve.usd_per_million_output_tokens) for curve in drawn]
    if any(costs):
        title = "$ per million output tokens against context, both logarithmic"
        yield from _chart(title, names, costs, usd, _tokens, framed)


def _swept(sweep: Sweep) -> Iterator[Block]:
    """Yield the numbers of a sweep against its longest axis."""
    for name, title, show in SWEPT_PANELS.values():
        found = curves_of(sweep, name, len(MARKS))
        points = [[(math.log(x), math.log(y)) for x, y in line.points] for line in found.lines]
        if any(len(each) > 1 for each in points):
            labels = [line.label for line in found.lines]
            some = f", {len(labels)} of {found.count:,} lines" if found.count > len(labels) else ""
            heading = f"{title} against {NAMES[found.along]}, both logarithmic{some}"
            yield from _chart(heading, labels, points, show, partial(value_shown, found.along))


def _against_use(result: BreakEven) -> Iterator[Block]:
    """Yield what a million tokens cost against how busy the GPUs are, and what APIs charge."""
    curve = use_curve(result)
    if curve is None:
        return
    own = [(math.log(share), math.log(cost)) for share, cost in zip(curve.shares, curve.own, strict=True)]
    ends = (own[0][0], own[-1][0])
    bought = [[(x, math.log(price)) for x in ends] for _, price, _ in curve.bought][: len(MARKS) - 1]
    names = ["GPUs of one's own", *(name for name, _, _ in curve.bought)][: len(MARKS)]
    title = "$ per million tokens against how busy the GPUs are, both logarithmic"
    yield from _chart(title, names, [own, *bought], usd, lambda share: format_percent(share, 2))


def _chart(
    title: str,
    names: Sequence[str],
    points: list[Points],
    show: Show,
    show_below: Callable[[float], str],
    framed: Sequence[bool] = (),
) -> Iterator[Block]:
    """Yield lines under a heading, with a key to their marks; those that are not `framed` may leave the chart."""
    yield Line()
    yield Line(title, "heading")
    inside = [line for line, is_framed in zip(points, framed or [True] * len(points), strict=True) if is_framed]
    yield from (Line(text, indent=2) for text in _canvas(points, inside, show, show_below))
    yield from (Line(text, "dim", indent=4) for text in _key(names))


def _tokens(value: float) -> str:
    return f"{format_count(round(value, -2))} tokens"


def _pairs(curve: Curve, values: Iterable[float] | None) -> Points:
    found = zip(curve.contexts, values if values is not None else (), strict=True)
    return [(math.log(float(x)), math.log(float(y))) for x, y in found if math.isfinite(y) and y > 0]


def _canvas(
    points: list[Points], framed: list[Points], show: Show, show_below: Callable[[float], str]
) -> Iterator[str]:
    """Yield a chart as lines of text, with an axis at the left and one at the bottom.

    points: logarithms of the points of every line.
    framed: the lines that set the scale; what lies outside is left out.
    show, show_below: how a number at the left axis and at the bottom is written.
    """
    every = [point for line in framed for point in line]
    if not every:
        yield "nothing fits anywhere"
        return
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = min(y for _, y in every), max(y for _, y in every)
    cells = [[""] * COLUMNS for _ in range(HEIGHT)]
    for mark, line in zip(MARKS, points, strict=False):
        for column in range(COLUMNS):
            y = _height(line, left + (right - left) * column / (COLUMNS - 1))
            if y is not None and low <= y <= high:
                cells[HEIGHT - 1 - _place(y, low, high, HEIGHT)][column] += mark
    ticks = {row: show(math.exp(high - (high - low) * row / (HEIGHT - 1))) for row in (0, HEIGHT // 2, HEIGHT - 1)}
    size = max(len(label) for label in ticks.values())
    for row, line_cells in enumerate(cells):
        # Lines that run along each other take turns.
        drawn = "".join(marks[column % len(marks)] if marks else " " for column, marks in enumerate(line_cells))
        yield f"{ticks.get(row, '').rjust(size)} │{drawn}".rstrip()
    yield f"{' ' * size} └{'─' * COLUMNS}"
    # Of what a logarithm was taken comes back with its last digits off.
    start, end = (show_below(float(f"{math.exp(edge):.12g}")) for edge in (left, right))
    yield f"{' ' * size}  {start}{end.rjust(COLUMNS - len(start))}"


def _height(line: Points, x: float) -> float | None:
    """Return the line's height at x, between the points beside it, or None beyond its ends."""
    for (x0, y0), (x1, y1) in pairwise(line):
        if x0 - 1e-9 <= x <= x1 + 1e-9:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return None


def _key(names: Sequence[str]) -> Iterator[str]:
    texts = [f"{mark} {name}" for mark, name in zip(MARKS, names, strict=False) if name]
    if not texts:
        return
    size = max(len(text) for text in texts) + 2
    per_line = max(1, COLUMNS // size)
    for index in range(0, len(texts), per_line):
        yield "".join(text.ljust(size) for text in texts[index : index + per_line]).rstrip()


def _place(value: float, low: float, high: float, size: int) -> int:
    return 0 if high <= low else round((value - low) / (high - low) * (size - 1))
