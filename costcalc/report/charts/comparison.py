"""Charts of one against another: a comparison, a sweep, a break-even with APIs, measured against predicted."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from costcalc.errors import CostcalcError, shortened
from costcalc.explore.capacity import Capacity
from costcalc.explore.compare import Curve, Curves
from costcalc.explore.diff import Diff
from costcalc.explore.sweep import Sweep
from costcalc.predict.quantities import BLENDED, BreakEven, Comparison, Row
from costcalc.report.accuracy import KIND_TITLES, amount, percent
from costcalc.report.capacity import MOST_ROWS, names
from costcalc.report.charts.library import Axes, LogLocator, MaxNLocator
from costcalc.report.charts.style import (
    FAINT,
    INK,
    End,
    Line,
    draw_over,
    look,
    name_ends,
    panels,
    saved,
    shown_ticks,
    variant_colour,
)
from costcalc.report.comparison import COST, EXCEEDS, RATE, USER, by_context, cost_or_reason, row_name
from costcalc.report.diff import WHOLE, Step, diff_title, signed, steps_of
from costcalc.report.estimate import is_term, price_basis
from costcalc.report.money.breakeven import use_curve
from costcalc.report.money.price import TITLES
from costcalc.report.page import Show, quantity
from costcalc.report.sweep import NAMES, SWEPT_PANELS, SweptLine, SweptLines, curves_of, value_shown
from costcalc.units import counted, format_bytes, format_count, format_percent, format_seconds, format_usd

if TYPE_CHECKING:
    from costcalc.validation.price import Priced, PricedRun
    from costcalc.validation.score import Point, Validation

BANDED = "MLA absorbed"


def draw_lines(axes: Axes, curves: Sequence[Curve], path: str, show: Show, title: str) -> None:
    """Draw a number of every variant against context; dotted where a limit of time is broken."""
    ends: list[End] = []
    framed: list[float] = []
    drawn: list[Line] = []
    # The widest line first, so that thin ones are seen on it.
    for number, curve in sorted(enumerate(curves), key=lambda each: -_width(each[1])):
        known = np.asarray(curve.numbers[path], dtype=float)
        if not np.isfinite(known).any():
            continue
        colour = variant_colour(curve.variant, number)
        drawn.append(_draw_line(axes, curve, known, colour, drawn))
        last = int(np.flatnonzero(np.isfinite(known))[-1])
        ends.append((curve.variant, colour, float(curve.contexts[last]), float(known[last])))
        if curve.bytes_per_token == 0:  # recomputes: on one scale with it the others would be one line
            continue
        framed += [float(y) for y in known[np.isfinite(known)]]
        band = curve.band(path) if curve.variant == BANDED else None
        if band is not None:  # of one variant: those of all would cover each other
            axes.fill_between(curve.contexts, *band, color=colour, alpha=0.13, lw=0)
            axes.text(0.01, 0.01, f"band: 80% range of {BANDED}", transform=axes.transAxes, size=8, color=FAINT)
    _scale(axes, [float(x) for x in curves[0].contexts], framed, show)
    name_ends(axes, ends)
    axes.set_xlabel("context [tokens]")
    axes.set_title(title)


def _width(curve: Curve) -> float:
    return 2.6 if curve.variant == BANDED else 1.8


def _draw_line(axes: Axes, curve: Curve, values: Any, colour: str, before: Sequence[Line]) -> Line:
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
    axes.plot(curve.contexts[at], values[at], "o", color=colour, ms=4)
    return line


def _scale(axes: Axes, contexts: Sequence[float], framed: Sequence[float], show: Show) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    low, high = (min(framed) / 1.6, max(framed) * 1.6) if framed else (1.0, 10.0)
    axes.set_ylim(low, high)
    # At least two labels, whatever the range.
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 60 * low else (1.0,), numticks=12))
    axes.set_xlim(min(contexts), max(contexts))
    axes.set_xticks(
        [2.0**power * 1000 for power in range(-10, 21) if min(contexts) <= 2.0**power * 1000 <= max(contexts)]
    )
    shown_ticks(axes.xaxis, lambda value: f"{value / 1000:g}k")
    shown_ticks(axes.yaxis, show)


# One value of every row of a comparison: bars from zero, or dots where a logarithmic axis has none.


def draw_values(
    axes: Axes,
    rows: Sequence[Row],
    values: Sequence[float | None],
    show: Show,
    title: str,
    spans: Sequence[tuple[float, float] | None] = (),
) -> None:
    """Draw a value of every row with its 80% range, and the reason where there is none.

    spans: low and high of each, where known.
    """
    known = [value for value in values if value]
    logarithmic = bool(known) and max(known) > 8 * min(known)
    limits = list(spans) or [None] * len(rows)
    left = min([*known, *(low for low, _ in filter(None, limits))], default=1.0) / 2 if logarithmic else 0.0
    most = max([*known, *(high for _, high in filter(None, limits))], default=1.0)
    for number, (row, value) in enumerate(zip(rows, values, strict=True)):
        colour = variant_colour(row_name(row), number)
        span = limits[number] if value else None
        if value and logarithmic:
            # A bar would have to start somewhere above nothing, and its length would say little.
            axes.plot([value], [number], "o", color=colour, ms=9, zorder=3)
        elif value:
            axes.barh(number, value, color=colour, height=0.72)
        if span:
            axes.plot(span, [number, number], color=colour if logarithmic else INK, lw=1.6, solid_capstyle="butt")
        edge = max(span[1] if span else 0.0, value or left)
        exceeds = EXCEEDS if spans and row.estimate.limits.kept is False else ""
        axes.annotate(
            (cost_or_reason(row) if value is None else show(value)) + exceeds,
            (edge, number),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            size=9,
        )
    axes.set_yticks(range(len(rows)), [row_name(row) for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=logarithmic, axis="y")
    axes.spines["left"].set_visible(False)
    _value_scale(axes, left, most, logarithmic, show)
    axes.set_title(title)


def _value_scale(axes: Axes, left: float, most: float, logarithmic: bool, show: Show) -> None:
    if logarithmic:
        axes.set_xscale("log")
        axes.set_xlim(left, most * (most / left) ** 0.32)
        # Few enough that dollars do not touch: three to a decade, one, or one in every two.
        steps = (1.0, 2.0, 5.0) if most < 40 * left else (1.0,)
        axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=6))
    else:
        axes.set_xlim(0, most * 1.28)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    shown_ticks(axes.xaxis, show)


# The chart of a comparison: cache, throughput and cost, against context where there are curves.


def draw_comparison(
    comparison: Comparison, curves: Curves | None, suffix: str, kinds: Sequence[str] = ("cache", "throughput", "cost")
) -> bytes:
    """Return the chart of a comparison as the content of a file.

    curves: the variants over contexts; None draws bars of the rows instead.
    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cache', 'throughput' of a GPU, 'speed' for a user, 'cost'.
    """
    rows = next(rows for _, rows in by_context(comparison))
    with look():
        figure, axes = panels(
            len(kinds),
            comparison.title,
            _subtitle(comparison, curves is not None),
            width=5.4 if len(kinds) > 1 else 8.0,
        )
        for each, where in zip(kinds, axes, strict=True):
            _draw(each, where, rows, curves)
        return saved(figure, suffix)


def draw_capacity(result: Capacity, suffix: str, kinds: Sequence[str]) -> bytes:
    """Return the chart of models or formats that fit, the largest ones, as the content of a file.

    suffix, kinds: as of `draw_comparison`. Raises CostcalcError for a single answer.
    """
    if len(result.rows) == 1:
        hint = "ask for it with the command of the answer"
        raise CostcalcError("there is one answer, and nothing to set it against", where="chart", hint=hint)
    fits = [Row(name, fit.estimate) for name, fit in zip(names(result), result.rows, strict=True)]
    return draw_comparison(Comparison(result.title, tuple(fits[:MOST_ROWS])), None, suffix, kinds)


_DRAWN = {"throughput": RATE, "speed": USER, "cost": COST}
_OF_A_TERM = {"throughput": "decode.tokens_per_s_per_gpu", "speed": "decode.tokens_per_s_per_user", "cost": COST}
"""What a panel shows."""


def _draw(kind: str, axes: Axes, rows: Sequence[Row], curves: Curves | None) -> None:
    if kind == "cache":
        caches = [row.estimate.kv_cache.bytes_per_token for row in rows]
        draw_values(axes, rows, caches, format_bytes, "KV cache per token")
        return
    path = (_OF_A_TERM if is_term(rows[0].estimate) else _DRAWN)[kind]
    of = quantity(path)
    if curves is None:
        found = [quantity(path, row.estimate) for row in rows]
        draw_values(axes, rows, [each.value for each in found], of.show, of.title, [each.limits for each in found])
    else:
        draw_lines(axes, curves.curves, path, of.show, f"{of.title} against context")


def _subtitle(comparison: Comparison, lines: bool) -> str:
    estimates = [row.estimate for row in comparison.rows if row.note is None]
    load, machine = estimates[0].workload, estimates[0].deployment
    term = is_term(estimates[0])
    chosen = not term and any(each.name == "batch" for each in estimates[0].assumptions)
    limit = estimates[0].limits.time_per_output_token_s
    under = f", TPOT up to {format_seconds(limit)}" if chosen and limit else ""
    one_context = len({each.workload.context_tokens for each in estimates}) == 1
    tokens = f"{format_count(load.input_tokens)} tokens in{' at the dots' if lines else ''}, "
    if not one_context:
        tokens = "prompts as long as the context, "
    parts = [
        f"{tokens}{format_count(load.output_tokens)} out",
        f"layout and batch of lowest cost{under}" if chosen else f"batch {format_count(load.batch)}",
        *(["a term of the bill alone"] if term else []),
        f"KV cache {machine.precision.kv_cache}",
        price_basis(each.deployment for each in estimates),
        "ideal bound" if machine.efficiency == "ideal" else "efficiency as measured, 80% range",
    ]
    return "; ".join(parts)


# The chart of a sweep: cost, throughput and speed against what varies most, with their ranges.


MOST_LINES = 8
_MOST_BANDS = 4
_FAR = 8
"""A quantity that spans more than this factor is drawn on a logarithmic axis."""


def draw_sweep(sweep: Sweep, suffix: str, kinds: Sequence[str] = ("cost", "throughput", "speed")) -> bytes:
    """Return the chart of a sweep as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cost', 'throughput' of a GPU, 'speed' for a user, 'wait' for the first token.
    Raises CostcalcError when there is nothing to draw.
    """
    found = {kind: curves_of(sweep, SWEPT_PANELS[kind], MOST_LINES) for kind in kinds}
    drawn = {kind: each for kind, each in found.items() if any(line.points for line in each.lines)}
    if not drawn:
        raise CostcalcError("no cell fits, or only a term of the bill is asked for: nothing to draw", where="chart")
    with look():
        subtitle = _swept_subtitle(sweep, drawn.values())
        figure, axes = panels(len(drawn), sweep.title, subtitle, width=5.4 if len(drawn) > 1 else 8.0)
        for (kind, each), where in zip(drawn.items(), axes, strict=True):
            _draw_swept(where, kind, each.along, each.lines)
        return saved(figure, suffix)


def _draw_swept(axes: Axes, kind: str, along: str, lines: Sequence[SweptLine]) -> None:
    of = quantity(SWEPT_PANELS[kind])
    drawn: list[Line] = []
    for line in lines:
        if not line.points:
            continue
        below = [x for x, _ in line.points]
        colour = variant_colour("", line.place)
        draw_over(axes, dict(line.points), drawn, line.label, color=colour, lw=1.8, marker="o", ms=3.0)
        drawn.append(dict(line.points))
        if line.band and _has_bands(lines):
            low, high = zip(*line.band, strict=True)
            axes.fill_between(below, low, high, color=colour, alpha=0.12, lw=0)
            if len(below) == 1:  # of which a band has no width
                axes.vlines(below, low, high, color=colour, alpha=0.4, lw=1.4)
    points = [point for line in lines for point in line.points]
    for scale, extent in (("x", [x for x, _ in points]), ("y", [y for _, y in points])):
        if max(extent) > _FAR * min(extent):
            axes.set(**{f"{scale}scale": "log"})
    ticks = sorted({x for x, _ in points})
    if len(ticks) <= 8:
        axes.set_xticks(ticks)
    shown_ticks(axes.xaxis, lambda value: _short(along, value))
    shown_ticks(axes.yaxis, of.show)
    axes.set_xlabel(NAMES[along])
    axes.set_title(of.title)
    if any(line.label for line in lines):
        axes.legend(frameon=False, fontsize=8, labelspacing=0.3)


def _short(along: str, value: float) -> str:
    if along in ("context", "input_tokens", "output_tokens") and value >= 1000:
        return f"{value / 1000:g}k"
    return value_shown(along, value)


def _swept_subtitle(sweep: Sweep, drawn: Collection[SweptLines]) -> str:
    machine, load = sweep.references[0].deployment, sweep.references[0].workload
    names = {axis.name for axis in sweep.axes}
    parts = [f"{format_count(load.output_tokens)} tokens out"] if "output_tokens" not in names else []
    parts.append(f"KV cache {machine.precision.kv_cache}")
    parts.append("ideal bound" if machine.efficiency == "ideal" else "efficiency as measured")
    if sweep.range_of("usd_per_million_output_tokens") is not None and any(_has_bands(each.lines) for each in drawn):
        parts.append("bands: hold in 8 of 10 cases")
    most = max(drawn, key=lambda each: each.count)
    if most.count > len(most.lines):
        parts.append(f"{len(most.lines)} of {most.count:,} lines")
    return "; ".join(parts)


def _has_bands(lines: Sequence[SweptLine]) -> bool:
    """Whether few enough lines are drawn that their ranges can be told apart."""
    return len(lines) <= _MOST_BANDS and any(line.band for line in lines)


# The chart of a break-even: what a million tokens cost against how busy the GPUs are, and what APIs charge.


def draw_breakeven(result: BreakEven, suffix: str) -> bytes:
    """Return the chart of a break-even as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    Raises CostcalcError when there is nothing to draw.
    """
    curve = use_curve(result)
    if curve is None:
        raise CostcalcError("no cost is known, so there is nothing to draw", where="chart")
    here = result.estimate
    with look():
        title = f"{here.model.name} on {here.deployment.gpus} × {here.deployment.gpu}, or {result.against} by API"
        figure, [axes] = panels(1, title, _breakeven_subtitle(result), width=9.0)
        axes.plot(curve.shares, curve.own, color=INK, lw=2.2, label="GPUs of one's own")
        if curve.limits is not None:
            axes.fill_between(curve.shares, *curve.limits, color=INK, alpha=0.12, lw=0)
        axes.set(xscale="log", yscale="log", xlim=(curve.shares[0], 1.0))
        low, high = axes.get_ylim()
        axes.set_ylim(min([low, *(price / 1.3 for _, price, _ in curve.bought)]), high)
        ends = []
        for number, (name, price, share) in enumerate(curve.bought):
            colour = variant_colour("", number)
            axes.axhline(price, color=colour, lw=1.4)
            if share <= 1:
                axes.plot([share], [price], color=colour, marker="o", ms=6)
            when = f"from {format_percent(share, 2)} on" if share <= 1 else "never"
            ends.append((f"{name}: {when}", colour, 1.0, price))
        name_ends(axes, ends)
        shown_ticks(axes.xaxis, lambda value: format_percent(value, 2))
        shown_ticks(axes.yaxis, format_usd)
        axes.set_xlabel("share of the paid hours that the GPUs are busy")
        axes.set_title(quantity(BLENDED).title)
        axes.legend(frameon=False, loc="upper right")
        return saved(figure, suffix)


def _breakeven_subtitle(result: BreakEven) -> str:
    load, machine = result.estimate.workload, result.estimate.deployment
    return (
        f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out; "
        f"{price_basis([machine])}; band: holds in 8 of 10 cases"
    )


# The chart of a difference: a waterfall from the one cost to the other.


_STEP_COLOURS: dict[str, str] = {"memory": INK, "good": "#3f9142", "bad": "#d64545"}
"""Of both sides, of what costs less, and of what costs more."""


def draw_diff(result: Diff, suffix: str) -> bytes:
    """Return a difference as a waterfall, the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    Raises CostcalcError when there is nothing to draw.
    """
    steps = steps_of(result)
    if not steps:
        raise CostcalcError("no cost is known, so there is nothing to draw", where="chart")
    with look():
        sides = (f"{side.model} on {side.gpus} × {side.gpu}" for side in (result.before, result.after))
        figure, [axes] = panels(1, diff_title(result), " → ".join(sides), width=9.0, height=1.2 + 0.42 * len(steps))
        most, reached = max(step.high for step in steps) or 1.0, 0.0
        for row, step in enumerate(steps):
            axes.barh(row, step.high - step.low, left=step.low, height=0.62, color=_STEP_COLOURS[step.role])
            if row:
                axes.plot([reached, reached], [row - 0.69, row + 0.31], color=FAINT, lw=0.9)
            reached = step.high if step.label in WHOLE else reached + step.effect
            text = format_usd(step.effect) if step.label in WHOLE else signed(step.effect)
            axes.text(step.high + most * 0.012, row, text, va="center", size=9)
        axes.set_yticks(range(len(steps)), [_step_label(step) for step in steps])
        axes.set(ylim=(len(steps) - 0.4, -0.6), xlim=(1.12 * min(0.0, *(step.low for step in steps)), most * 1.12))
        axes.grid(axis="y", visible=False)
        shown_ticks(axes.xaxis, format_usd)
        axes.set_title(quantity(f"cost.usd_per_million_{result.of}_tokens").title)
        return saved(figure, suffix)


def _step_label(step: Step) -> str:
    values = f": {shortened(step.before, 24)} → {shortened(step.after, 24)}" if step.before or step.after else ""
    return f"{step.label}{values}"


# The chart of a validation: predicted against measured, point by point, with the band of the 80% range.


PANELS = {
    "ms": ("Kernels", "time [ms]"),
    "tpot_ms": ("Time per output token", "TPOT [ms]"),
    "ttft_ms": ("Time to first token", "TTFT [ms]"),
    "out_tok_s_gpu": ("Throughput", "output tokens/s per GPU"),
    "prefill_ms": ("Prefill", "time of a prompt [ms]"),
    "measured": ("Single results", "in the unit of each"),
}
"""Title and axis of each quantity that is predicted."""
_MOST_COLOURS = 8


def draw_accuracy(validation: Validation, suffix: str) -> bytes:
    """Return predicted against measured as the content of a file: a panel for each quantity.

    suffix: '.png', '.svg' or '.pdf'.
    Raises CostcalcError when no point counts.
    """
    found: dict[str, list[Point]] = {}
    for point in validation.points:
        if point.ratio:
            found.setdefault(str(point.row["quantity"]), []).append(point)
    if not found:
        raise CostcalcError("no row can be scored, so there is nothing to draw", where="chart")
    with look():
        total = sum(len(points) for points in found.values())
        subtitle = f"{counted(total, 'point')}; band: the 80% range; hollow: outside of their range"
        figure, axes = panels(len(found), "Predicted against measured", subtitle, width=6.0, height=5.6)
        for (measure, points), where in zip(found.items(), axes, strict=True):
            _draw_points(where, measure, points)
        return saved(figure, suffix)


def _draw_points(axes: Axes, measure: str, points: Sequence[Point]) -> None:
    title, unit = PANELS.get(measure, (measure, measure))
    measured = np.array([point.measured for point in points], dtype=float)
    predicted, low, high = (
        np.array([point.row[name] for point in points], dtype=float) for name in ("predicted", "low", "high")
    )
    least = float(min(measured.min(), predicted.min())) / 1.5
    most = float(max(measured.max(), predicted.max())) * 1.5
    line = np.array([least, most])
    narrow, wide = float(np.median(low / predicted)), float(np.median(high / predicted))
    axes.fill_between(line, line / wide, line / narrow, color=FAINT, alpha=0.18, lw=0, zorder=1)
    axes.plot(line, line, color=INK, lw=1.0, zorder=2)
    inside = (low <= measured) & (measured <= high)
    labels = np.array(_colour_labels(points))
    for number, label in enumerate(dict.fromkeys(labels)):
        chosen, colour = labels == label, variant_colour("", number)
        held, missed, name = chosen & inside, chosen & ~inside, f"{label} ({int(chosen.sum())})"
        axes.scatter(measured[held], predicted[held], s=16, color=colour, alpha=0.7, lw=0, label=name, zorder=3)
        axes.scatter(measured[missed], predicted[missed], s=16, facecolor="none", edgecolor=colour, lw=0.9, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=(least, most), ylim=(least, most), aspect="equal")
    axes.set_xlabel(f"measured {unit}")
    axes.set_ylabel(f"predicted {unit}")
    off = float(np.median(np.abs(predicted / measured - 1)))
    axes.set_title(f"{title}: median error {percent(off)}, {percent(float(inside.mean()))} in range")
    shown_ticks(axes.xaxis, amount)
    shown_ticks(axes.yaxis, amount)
    axes.legend(loc="upper left", frameon=False, fontsize=8, handletextpad=0.3, labelspacing=0.3)


def _colour_labels(points: Sequence[Point]) -> list[str]:
    """What points are coloured by: their class, or kind where there are many; their GPU in one class."""
    classes = [point.label for point in points]
    if 1 < len(set(classes)) <= _MOST_COLOURS:
        return classes
    if len(set(classes)) > 1:
        return [KIND_TITLES.get(point.kind, point.kind) for point in points]
    return _coloured([str(point.row["gpu"]) for point in points])


def _coloured(names: Sequence[str]) -> list[str]:
    """Names, those beyond the colours as others."""
    named = list(dict.fromkeys(names))
    kept = named if len(named) <= _MOST_COLOURS else named[: _MOST_COLOURS - 1]
    return [each if each in kept else "others" for each in names]


# Priced benchmarks: measured against predicted, each prediction with its range.


_PRICED = {
    "cost": ("usd_per_million_blended_tokens",),
    "throughput": ("tokens_per_s_per_gpu",),
    "speed": ("time_per_output_token_s",),
    "wait": ("time_to_first_token_s", "prefill_time_s"),
}
_MOST_NAMED = 5
"""Points that are named one by one; more are told by their model and GPU."""


def draw_price(result: Priced, suffix: str, kinds: Sequence[str] = ("cost", "throughput", "speed")) -> bytes:
    """Return what was measured against what was predicted as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    kinds: the panels: 'cost', 'throughput' of a GPU, 'speed' for a user, 'wait' for the first token.
    Raises CostcalcError when there is nothing to draw.
    """
    names = [name for kind in kinds for name in _PRICED[kind]]
    found = {name: [each for each in result.rows if each.ratio(name) is not None] for name in names}
    drawn = {name: rows for name, rows in found.items() if rows}
    if not drawn:
        raise CostcalcError("nothing is predicted of what was measured, so there is nothing to draw", where="chart")
    with look():
        subtitle = f"{counted(len(result.rows), 'run')}; bars: the 80% range of the prediction"
        title = "Measured against predicted"
        figure, axes = panels(len(drawn), title, subtitle, width=6.0 if len(drawn) == 1 else 5.0, height=5.2)
        for (name, rows), where in zip(drawn.items(), axes, strict=True):
            _draw_priced(where, name, rows)
        return saved(figure, suffix)


def _draw_priced(axes: Axes, name: str, rows: Sequence[PricedRun]) -> None:
    title, show = TITLES[name]
    measured = np.array([getattr(row, name) for row in rows])
    predicted = np.array([getattr(row.predicted, name) for row in rows])
    limits = [
        getattr(row.predicted, f"{name}_range") or (value, value) for row, value in zip(rows, predicted, strict=True)
    ]
    low, high = np.array(limits).T
    ends = float(min(measured.min(), low.min())) / 1.4, float(max(measured.max(), high.max())) * 1.4
    axes.plot(ends, ends, color=INK, lw=1.0, zorder=1)
    labels = _coloured([row.source if len(rows) <= _MOST_NAMED else f"{row.model}, {row.gpu}" for row in rows])
    for number, label in enumerate(dict.fromkeys(labels)):
        chosen, colour = np.array([each == label for each in labels]), variant_colour("", number)
        axes.vlines(measured[chosen], low[chosen], high[chosen], color=colour, alpha=0.5, lw=1.6, zorder=2)
        axes.scatter(measured[chosen], predicted[chosen], s=22, color=colour, lw=0, label=label, zorder=3)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    axes.set_xlabel("measured")
    axes.set_ylabel("predicted")
    axes.set_title(title)
    shown_ticks(axes.xaxis, show)
    shown_ticks(axes.yaxis, show)
    axes.legend(loc="upper left", frameon=False, fontsize=8, handletextpad=0.3, labelspacing=0.3)
