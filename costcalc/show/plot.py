"""Bars and lines drawn with characters, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from costcalc.explore.result import Comparison, Estimate
from costcalc.readable import format_bytes, format_count
from costcalc.show.blocks import Block, Column, Grid, Line, Role
from costcalc.show.comparison import by_context, row_name
from costcalc.show.numbers import bar, seconds, speed, usd

if TYPE_CHECKING:
    from costcalc.explore.curves import Curve, Curves

WIDTH = 40
HEIGHT = 18
COLUMNS = 64
MARKS = "●○■▲◆▼★×+"

Points = list[tuple[float, float]]
Show = Callable[[float | None], str]


def plots(result: Estimate | Comparison, curves: Curves | None = None) -> list[Block]:
    """Return a result as bars and lines.

    result: an estimate or a comparison.
    curves: the variants of a comparison over contexts.
    """
    if isinstance(result, Estimate):
        return list(_step(result))
    page: list[Block] = []
    for context, rows in by_context(result):
        at = f" at {format_count(context)} tokens" if len(result.contexts) > 1 else ""
        caches = [(row_name(row), row.estimate.kv_cache.bytes_per_token) for row in rows]
        page += bars(f"KV cache per token{at}, logarithmic", caches, format_bytes, logarithmic=True)
        costs = [(row_name(row), row.estimate.cost.usd_per_million_output_tokens) for row in rows]
        page += bars(f"$ per million output tokens{at}, logarithmic", costs, usd, logarithmic=True)
    if curves is not None:
        page += _lines(curves)
    return page


def bars(
    title: str,
    values: Iterable[tuple[str, float | None]],
    show: Show,
    *,
    logarithmic: bool = False,
    role: Role = "memory",
) -> Iterator[Block]:
    """Yield values as horizontal bars.

    title: what they are.
    values: names and values; what is unknown has no bar.
    show: how a value is written.
    logarithmic: whether a step of the bar is a factor rather than a difference.
    role: the colour's meaning.
    """
    listed = list(values)
    known = [value for _, value in listed if value is not None and value > 0]
    yield Line()
    yield Line(title, "heading")
    rows = [(name, show(value), bar(_length(value, known, logarithmic), WIDTH)) for name, value in listed]
    yield Grid((Column(), Column(right=True), Column(role=role, drawing=True)), rows)


def _length(value: float | None, known: Sequence[float], logarithmic: bool) -> float:
    if value is None or value <= 0 or not known:
        return 0.0
    most, least = max(known), min(known)
    if not logarithmic or most <= least:
        return value / most
    # The least value keeps a stub of a bar, so that it differs from nothing.
    floor = math.log(least) - 0.04 * (math.log(most) - math.log(least))
    return (math.log(value) - floor) / (math.log(most) - floor)


def _step(result: Estimate) -> Iterator[Block]:
    yield from bars("Decode time by op", [(op.op, op.time_s) for op in result.breakdown], seconds)


def _lines(curves: Curves) -> Iterator[Block]:
    drawn = curves.curves[: len(MARKS)]
    speeds = [_pairs(curve, curve.tokens_per_s_per_gpu) for curve in drawn]
    yield from _chart("Tokens/s per GPU against context, both logarithmic", drawn, speeds, speed)
    priced = [curve for curve in drawn if curve.usd_per_million_output_tokens is not None]
    if priced:
        costs = [_pairs(curve, curve.usd_per_million_output_tokens) for curve in priced]
        yield from _chart("$ per million output tokens against context, both logarithmic", priced, costs, usd)


def _chart(title: str, curves: Sequence[Curve], points: list[Points], show: Show) -> Iterator[Block]:
    yield Line()
    yield Line(title, "heading")
    # Without a cache every token costs a whole prefill; on one scale with it the others would be one line.
    shown = [line for curve, line in zip(curves, points, strict=True) if curve.bytes_per_token > 0]
    yield from (Line(text, indent=2) for text in _canvas(points, shown, show))
    yield from (Line(text, "dim", indent=4) for text in _key(curves))


def _pairs(curve: Curve, values: Iterable[float] | None) -> Points:
    found = zip(curve.contexts, values if values is not None else (), strict=True)
    return [(math.log(float(x)), math.log(float(y))) for x, y in found if math.isfinite(y) and y > 0]


def _canvas(points: list[Points], framed: list[Points], show: Show) -> Iterator[str]:
    """Yield a chart as lines of text, with an axis at the left and one at the bottom.

    points: logarithms of the points of every line.
    framed: the lines that set the scale; what lies outside is left out.
    show: how a number at the left axis is written.
    """
    every = [point for line in framed for point in line]
    if not every:
        yield "nothing fits at any context"
        return
    left, right = min(x for x, _ in every), max(x for x, _ in every)
    low, high = min(y for _, y in every), max(y for _, y in every)
    cells = [[" "] * COLUMNS for _ in range(HEIGHT)]
    for mark, line in zip(MARKS, points, strict=False):
        for column in range(COLUMNS):
            y = _height(line, left + (right - left) * column / (COLUMNS - 1))
            if y is not None and low <= y <= high:
                cells[HEIGHT - 1 - _place(y, low, high, HEIGHT)][column] = mark
    ticks = {row: show(math.exp(high - (high - low) * row / (HEIGHT - 1))) for row in (0, HEIGHT // 2, HEIGHT - 1)}
    size = max(len(label) for label in ticks.values())
    for row, line_cells in enumerate(cells):
        yield f"{ticks.get(row, '').rjust(size)} │{''.join(line_cells)}".rstrip()
    yield f"{' ' * size} └{'─' * COLUMNS}"
    start, end = (format_count(round(math.exp(edge), -2)) for edge in (left, right))
    yield f"{' ' * size}  {start}{(end + ' tokens').rjust(COLUMNS - len(start))}"


def _height(line: Points, x: float) -> float | None:
    """Return the line's height at x, between the points beside it, or None beyond its ends."""
    for (x0, y0), (x1, y1) in pairwise(line):
        if x0 - 1e-9 <= x <= x1 + 1e-9:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return None


def _key(curves: Sequence[Curve]) -> Iterator[str]:
    texts = [f"{mark} {curve.variant}" for mark, curve in zip(MARKS, curves, strict=False)]
    size = max(len(text) for text in texts) + 2
    per_line = max(1, COLUMNS // size)
    for index in range(0, len(texts), per_line):
        yield "".join(text.ljust(size) for text in texts[index : index + per_line]).rstrip()


def _place(value: float, low: float, high: float, size: int) -> int:
    return 0 if high <= low else round((value - low) / (high - low) * (size - 1))
