"""Charts of rows set against each other: variants of attention against context, models, GPUs, what fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.explore.attention import Curve, Curves
from costcalc.explore.capacity import Capacity
from costcalc.explore.ladder import Rung
from costcalc.predict.results import Comparison, Row
from costcalc.report.capacity import MOST_ROWS, names
from costcalc.report.charts.library import Axes
from costcalc.report.charts.memory import draw_memory, length_told
from costcalc.report.charts.style import (
    BLUE,
    ENDS,
    INK,
    MARKS,
    End,
    Line,
    draw_over,
    held_fixed,
    look,
    mark_end,
    name_ends,
    name_rows,
    own_colour,
    own_mark,
    panels,
    saved,
    say_below,
    shown_ticks,
    variant_colour,
)
from costcalc.report.comparison import (
    COST,
    EXCEEDS,
    PER_SEQUENCE,
    RATE,
    USER,
    by_context,
    caches,
    context_told,
    cost_or_reason,
    row_name,
)
from costcalc.report.estimate import is_term
from costcalc.report.page import Show, quantity
from costcalc.units import format_bytes, format_count

BANDED = "MLA absorbed"


def draw_lines(axes: Axes, curves: Sequence[Curve], path: str, show: Show, title: str) -> list[str]:
    """Draw a number of every variant against context; return what is to be said of the lines."""
    ends: list[End] = []
    framed: list[float] = []
    drawn: list[Line] = []
    remarks = ["marks: contexts of the table"]
    if any(curve.steps for curve in curves):
        remarks.append("lines: envelopes, a longer context is drawn no better")
    last_of_all = float(curves[0].contexts[-1])
    # The widest line first, so that thin ones are seen on it.
    for number, curve in sorted(enumerate(curves), key=lambda each: -_width(each[1])):
        known = curve.envelope(path)
        if not np.isfinite(known).any():
            continue
        colour = variant_colour(curve.variant, number)
        drawn.append(_draw_line(axes, curve, known, path, colour, drawn))
        last = int(np.flatnonzero(np.isfinite(known))[-1])
        x, y = float(curve.contexts[last]), float(known[last])
        ends.append((curve.variant, colour, x, y))
        if x < last_of_all:
            mark_end(axes, x, y, colour)
            remarks.append(ENDS)
        if curve.bytes_per_token == 0:  # recomputes: on one scale with it the others would be one line
            continue
        framed += [float(y) for y in known[np.isfinite(known)]]
        band = curve.band(path) if curve.variant == BANDED else None
        if band is not None:  # of one variant: those of all would cover each other
            axes.fill_between(curve.contexts, *band, color=colour, alpha=0.13, lw=0)
            remarks.append(f"band: 80% range of {BANDED}")
        if curve.keeps_limits is not None and (~curve.keeps_limits & np.isfinite(known)).any():
            remarks.append("dotted: breaks the limit")
    _scale(axes, [float(x) for x in curves[0].contexts], framed, show)
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    for line in axes.lines:  # marks on the frame are whole; those of lines off the chart are left out
        places = np.asarray(line.get_xydata(), float)
        if (
            line.get_marker() in MARKS
            and places.size
            and ((left, low) <= places).all()
            and (places <= (right, high)).all()
        ):
            line.set_clip_on(False)
    if outside := name_ends(axes, ends):
        remarks.append(f"off the chart: {', '.join(outside)}")
    axes.set_xlabel("context [tokens]")
    axes.set_title(title)
    return remarks


def _width(curve: Curve) -> float:
    return 2.6 if curve.variant == BANDED else 1.8


def _draw_line(axes: Axes, curve: Curve, values: Any, path: str, colour: str, before: Sequence[Line]) -> Line:
    """Draw a line over those that are there; return where it keeps the limits."""
    style = "--" if curve.variant in ("MLA expanded", "No cache") else "-"
    width = _width(curve)
    kept = np.ones(len(values), bool) if curve.keeps_limits is None else curve.keeps_limits
    line = dict(zip(curve.contexts.tolist(), np.where(kept, values, np.nan).tolist(), strict=True))
    draw_over(axes, line, before, color=colour, lw=width, ls=style)
    if not kept.all():
        # A point beside what is kept joins both parts.
        beside = ~kept | ~np.roll(kept, -1) | ~np.roll(kept, 1)
        axes.plot(curve.contexts, np.where(beside, values, np.nan), color=colour, lw=width / 2, ls=":")
    at = np.isin(curve.contexts, curve.table)
    points, mark = np.asarray(curve.numbers[path])[at], own_mark(curve.variant)
    axes.plot(curve.contexts[at], points, mark, color=colour, ms=5, zorder=3)
    return line


def _scale(axes: Axes, contexts: Sequence[float], framed: Sequence[float], show: Show) -> None:
    axes.set(xscale="log", yscale="log", xlim=(min(contexts), max(contexts)))
    axes.set_ylim(*((min(framed) / 1.6, max(framed) * 1.6) if framed else (1.0, 10.0)))
    shown_ticks(axes.xaxis, tokens_shown)
    shown_ticks(axes.yaxis, show)


def tokens_shown(value: float) -> str:
    """A number of tokens in short: 200, 32k, 1M."""
    return f"{value / 1e6:g}M" if value >= 1e6 else f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


# One value of every row of a comparison: bars from zero, or dots where a logarithmic axis has none.


def draw_values(
    axes: Axes,
    rows: Sequence[Row],
    values: Sequence[float | None],
    show: Show,
    title: str,
    spans: Sequence[tuple[float, float] | None] = (),
    *,
    named: bool = True,
    told: Sequence[str] = (),
) -> None:
    """Draw a value of every row with its 80% range, and the reason where there is none.

    spans: low and high of each, where known. named: whether the rows have their names at the left. told: what is to be
    known of the value of each.
    """
    known = [value for value in values if value]
    logarithmic = bool(known) and max(known) > 8 * min(known)
    limits = list(spans) or [None] * len(rows)
    left = min([*known, *(low for low, _ in filter(None, limits))], default=1.0) / 2 if logarithmic else 0.0
    most = max([*known, *(high for _, high in filter(None, limits))], default=1.0)
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        colour = _colour(row)
        span = limits[number] if value else None
        if value and logarithmic:
            # A bar would have to start somewhere above nothing, and its length would say little.
            axes.plot([value], [number], own_mark(row_name(row)), color=colour, ms=9, zorder=3)
        elif value:
            axes.barh(number, value, color=colour, height=0.72)
        if span:
            axes.plot(span, [number, number], color=colour if logarithmic else INK, lw=1.6, solid_capstyle="butt")
        edge = max(span[1] if span else 0.0, value or left)
        exceeds = EXCEEDS if spans and row.estimate.limits.kept is False else ""
        axes.annotate(
            (cost_or_reason(row) if value is None else f"{show(value)}{told[number] if told else ''}") + exceeds,
            (edge, number),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            size=9,
        )
    name_rows(axes, names_of(rows) if named else [""] * len(rows))
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=logarithmic, axis="y")
    _value_scale(axes, left, most, logarithmic, show)
    axes.set_title(title)


def _colour(row: Row) -> str:
    """Of a variant of attention its own; all others are told by their names."""
    return own_colour(row_name(row)) or BLUE


def names_of(rows: Sequence[Row]) -> list[str]:
    """What rows are about, with the context where there are several; of GPUs with how many there are."""
    plain = [row_name(row) for row in rows]
    if len({*plain}) < len(plain) == len({row.variant for row in rows}):
        plain = [row.variant for row in rows]
    machines = len({row.estimate.deployment.gpu for row in rows}) > 1
    return [
        f"{row.estimate.deployment.gpus} × {name}" if machines or plain.count(name) > 1 else name
        for row, name in zip(rows, plain, strict=True)
    ]


def _value_scale(axes: Axes, left: float, most: float, logarithmic: bool, show: Show) -> None:
    if logarithmic:
        axes.set(xscale="log", xlim=(left, most * (most / left) ** 0.42))
    else:
        axes.set_xlim(0, most * 1.42)
    shown_ticks(axes.xaxis, show)


# The chart of a comparison: cache, throughput and cost, against context where there are curves.


def draw_comparison(
    comparison: Comparison,
    curves: Curves | None,
    suffix: str,
    kinds: Sequence[str] = ("cache", "throughput", "cost"),
    asked: bool = True,
) -> bytes:
    """Return the chart of a comparison as the content of a file.

    curves: the variants over contexts; None draws bars of the rows instead.
    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cache', 'throughput' of a GPU, 'speed' for a user, 'cost', 'memory' of a GPU.
    asked: whether somebody named the panels; else those in which all rows are the same are left out.
    """
    # Lines have an axis of contexts, and one panel of caches that none of them changes; bars stand for all contexts.
    # The longest is the one at which caches, and windows beside whole ones, differ.
    rows = comparison.rows if curves is None else max(by_context(comparison), key=lambda each: each[0])[1]
    if not asked:
        kinds = [each for each in kinds if not _constant(each, rows, curves)] or kinds
    wide = 5.0 if len(kinds) > 1 else 8.0
    height = 4.8 if curves is not None else max(2.9, 1.7 + 0.34 * len(rows))
    with look():
        subtitle = _subtitle(comparison, curves)
        figure, axes = panels(len(kinds), comparison.title, subtitle, width=wide, height=height)
        drawn = enumerate(zip(kinds, axes, strict=True))
        remarks = [_draw(each, where, rows, curves, named=number == 0) for number, (each, where) in drawn]
        say_below(figure, [each for several in remarks for each in several])
        return saved(figure, suffix)


_SAME = 1.01
"""A panel whose values differ by no more than this factor says nothing."""


def _constant(kind: str, rows: Sequence[Row], curves: Curves | None) -> bool:
    if kind == "memory" or (curves is not None and kind != "cache"):
        return False
    known = [value for value in _values_of(kind, rows) if value]
    return len(known) > 1 and max(known) <= _SAME * min(known)


def _values_of(kind: str, rows: Sequence[Row]) -> list[float | None]:
    if kind == "cache":
        return [*caches(rows)[1]]
    return [quantity(_path(kind, rows), row.estimate).value for row in rows]


def draw_capacity(result: Capacity, suffix: str, kinds: Sequence[str], asked: bool = True) -> bytes:
    """Return the chart of models or formats that fit, the largest ones, or the memory of a single answer.

    suffix, kinds, asked: as of `draw_comparison`. Raises CostcalcError for other panels of a single answer.
    """
    if len(result.rows) == 1 and asked and tuple(kinds) != ("memory",):
        hint = "draw memory, or ask with the command of the answer"
        raise CostcalcError("there is one answer, and nothing to set it against", where="kinds", hint=hint)
    fits = [Row(name, fit.estimate) for name, fit in zip(names(result), result.rows, strict=True)]
    if len(fits) == 1:
        machine = fits[0].estimate.deployment
        fits = [Row(f"{machine.gpus} × {machine.gpu}", fits[0].estimate)]
    shown = Comparison(result.title, tuple(fits[:MOST_ROWS]))
    return draw_comparison(shown, None, suffix, ("memory",) if len(fits) == 1 else kinds, asked)


_DRAWN = {"throughput": RATE, "speed": USER, "cost": COST}
_OF_A_TERM = {"throughput": "decode.tokens_per_s_per_gpu", "speed": "decode.tokens_per_s_per_user", "cost": COST}
"""What a panel shows."""


def _path(kind: str, rows: Sequence[Row]) -> str:
    return (_OF_A_TERM if is_term(rows[0].estimate) else _DRAWN)[kind]


def _draw(kind: str, axes: Axes, rows: Sequence[Row], curves: Curves | None, *, named: bool) -> list[str]:
    """Draw a panel; return what is to be said of it."""
    if kind == "memory":
        rungs = [Rung.of(name, row.estimate) for name, row in zip(names_of(rows), rows, strict=True)]
        return draw_memory(axes, rungs, length_told([row.estimate for row in rows]), named=named)
    if kind == "cache":
        title, sizes = caches(rows)
        if curves is not None and title == PER_SEQUENCE:  # beside lines over contexts, of which it has one
            title += f", {context_told(rows[0].estimate.workload.context_tokens)} tokens"
        draw_values(axes, rows, sizes, format_bytes, title, named=named)
        return []
    path = _path(kind, rows)
    of = quantity(path)
    if curves is not None:
        return draw_lines(axes, curves.curves, path, of.show, f"{of.title} against context")
    found = [quantity(path, row.estimate) for row in rows]
    # How fast a user is served is a matter of how many others are.
    batches = [format_count(row.estimate.workload.batch) for row in rows]
    told = [f" at batch {each}" for each in batches] if kind == "speed" and len(set(batches)) > 1 else []
    values, limits = [each.value for each in found], [each.limits for each in found]
    draw_values(axes, rows, values, of.show, of.title, limits, named=named, told=told)
    return ["lines: 80% range"] if any(limits) else []


def _subtitle(comparison: Comparison, curves: Curves | None) -> str:
    told = [row for row in comparison.rows if row.note is None and (curves is None or row.estimate.memory.fits)]
    estimates = [row.estimate for row in told or comparison.rows]
    more = ["a term of the bill alone"] if is_term(estimates[0]) else []
    if curves is None:
        return held_fixed(estimates, *more)
    if curves.batch is not None:
        more.insert(0, f"batch {format_count(curves.batch)}")
    varied = ("context", "input_tokens", *(() if curves.batch is None else ("batch",)), "layout")
    shorter = "" if curves.as_long else ", less half an answer"
    return f"prompts as long as the context{shorter}; {held_fixed(estimates, *more, varied=varied)}"
