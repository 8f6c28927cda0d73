"""Predicted against measured as pages: errors by class, published figures, what a calibration found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import expm1, log
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costcalc.catalog.check import MISTAKES
from costcalc.report.page import (
    DASH,
    RANGE,
    Block,
    Column,
    Command,
    Grid,
    Line,
    filled_grid,
    notes,
    numbers,
    section,
)
from costcalc.units import NOTHING, capital, counted, format_count

if TYPE_CHECKING:
    from costcalc.validation.calibrate import UserFit, UserServing
    from costcalc.validation.published import Compared, Published, PublishedCase
    from costcalc.validation.score import Group, Point, Summary, Validation

KIND_TITLES = {
    "decode_attention": "Decode attention",
    "prefill_attention": "Prefill attention",
    "gemm": "Matrix products",
    "moe": "Routed experts",
    "comm": "Collectives",
    "e2e": "Serving, end to end",
    "field": "Single results from the field",
    "power": "Energy",
    "kv_pool": "Memory",
}
"""Kinds of measurement as headings."""
UNITS = {
    "ms": "ms",
    "tpot_ms": "ms",
    "ttft_ms": "ms",
    "out_tok_s_gpu": "tok/s",
    "prefill_ms": "ms",
    "kv_pool_gib": "GiB",
}
"""Units of the quantities that are predicted."""
LEGEND = (
    "{errors}; bias: median of predicted over measured, less 1; "
    "in range: measurements inside the 80% range (and the 95% interval of that share); "
    "ideal: median error of the roofline alone; "
    "not scored: rows that do not count, for the reasons below."
)
ERRORS = ("median", "mean")
FITTED = ("fitted", "fitted mean")
"""What errors are called of measurements that the fit has seen, as docs/accuracy.md does."""
OFF = "median, mean: predicted against measured, off either way"
SEEN = (
    "fitted: median and mean of the constants as shipped, off either way, on points that the fit has seen (memory has "
    "rules, and no fit); what is new is off by more"
)
LEFT_OUT = (
    "left out: median error of fits that have not seen the point: its shape, for single kernels, or a random fifth of "
    "the rows, for serving; unseen GPU, unseen model: of fits without any point of that GPU or model. "
)
_SHOWN_LINES = 8


def accuracy_page(
    validation: Validation,
    groups: Sequence[Group],
    worst: int = 3,
    by: str | None = None,
    title: str = "",
    *,
    fitted: bool = False,
) -> list[Block]:
    """Return the errors of predictions as a page.

    validation: the scored points. groups: their errors by class, or by what `by` names.
    worst: how many of the worst points of each class to list. by: what the groups are divided by.
    fitted: whether the points are those that the constants were fitted on.
    """
    page: list[Block] = [Line(title or "Predicted against measured", "title"), Line()]
    recorded = any(each.unseen_gpu is not None for each in groups)
    legend = LEFT_OUT * recorded + LEGEND.format(errors=SEEN if fitted else OFF)
    page += [*_tables(groups, by, FITTED if fitted else ERRORS), Line(legend, "dim"), Line()]
    page += [*_worst(validation.worst(worst)), *listed("With a warning", validation.warned())]
    page += listed("Not scored", validation.excluded())
    return page


def _tables(groups: Sequence[Group], by: str | None, errors: tuple[str, str]) -> Iterator[Block]:
    if by is None:
        yield filled_grid(_columns("", errors), [_cells(each.label, each) for each in groups])
        yield Line()
        return
    for kind, label in dict.fromkeys((each.kind, each.label) for each in groups):
        yield Line(heading(kind, label), "heading")
        members = [each for each in groups if (each.kind, each.label) == (kind, label)]
        yield filled_grid(_columns(by, errors), [_cells(each.member, each) for each in members])
        yield Line()


def heading(kind: str, label: str) -> str:
    """Return the heading of a class: its label, behind its kind where that says more."""
    title = KIND_TITLES.get(kind, kind)
    return f"{title}: {label}" if kind == "e2e" or title[:6].lower() != label[:6].lower() else capital(label)


def _columns(first: str, errors: tuple[str, str]) -> tuple[Column, ...]:
    return (
        Column(first, role="value"),
        *numbers("n"),
        Column("left out", right=True, role="headline"),
        *numbers("unseen GPU", "unseen model"),
        Column(errors[0], right=True, role="value" if errors == FITTED else "headline"),
        *numbers(errors[1], "bias", "in range", "ideal", "not scored"),
    )


def _cells(name: str, group: Group) -> tuple[str, ...]:
    errors = group.summary
    return (
        name,
        str(errors["n"]),
        percent(group.left_out),
        percent(group.unseen_gpu),
        percent(group.unseen_model),
        percent(errors["median_ape"]),
        percent(errors["mape"]),
        signed(errors["bias"]),
        covered(errors),
        percent(errors["ideal_median_ape"]),
        str(sum(errors["excluded"].values()) or NOTHING),
    )


def percent(value: float | None) -> str:
    """Return a ratio as whole percent from 10% on, else with a decimal."""
    if value is None:
        return NOTHING
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"


def covered(errors: Summary) -> str:
    """Return the share of points in their range, with the interval that so few points leave it."""
    share, low, high = errors["coverage"], errors["coverage_low"], errors["coverage_high"]
    if share is None or low is None or high is None:
        return NOTHING
    return f"{share:.0%} ({100 * low:.0f}-{100 * high:.0f})"


def signed(value: float | None) -> str:
    """Return a ratio as percent with its sign."""
    return NOTHING if value is None else f"{value:+.1%}"


def _worst(points: Sequence[Point]) -> Iterator[Block]:
    if not points:
        return
    columns = (
        Column("off", right=True, role="headline"),
        *numbers("measured", "predicted"),
        RANGE,
        Column("what", wrap=True),
    )
    yield Line("Worst points", "heading")
    for kind, label in dict.fromkeys((each.kind, each.label) for each in points):
        yield Line(heading(kind, label), "value")
        yield Grid(columns, [_point(each) for each in points if (each.kind, each.label) == (kind, label)])
        yield Line()


def _point(point: Point) -> tuple[str, ...]:
    row, unit = point.row, UNITS.get(str(point.row["quantity"]), "")
    low, high = amount(row["low"]), amount(row["high"])
    ratio = point.ratio or 1.0
    return (
        f"{ratio:,.0f}×" if ratio >= 10 else f"{ratio:.2g}×",
        f"{amount(point.measured)} {unit}",
        f"{amount(row['predicted'])} {unit}",
        f"[{low}{DASH}{high}]",
        described(point),
    )


def amount(value: float | None) -> str:
    """Return a quantity in the file's own unit, to three digits."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def described(point: Point) -> str:
    """Return what a point is about, in a few words: 'h100-sxm, vllm, m 64, n 8192, k 8192'."""
    parts = []
    for column in _DESCRIBED[point.kind]:
        value = point.row.get(column)
        if value in (None, ""):
            continue
        number = isinstance(value, float)
        name = _SHORT.get(column, column)
        parts.append(f"{name} {format_count(value)}".strip() if number else str(value))
    return ", ".join(parts)


_DESCRIBED = {
    "decode_attention": ("gpu", "framework", "kind", "kv_dtype", "batch", "context", "q_heads", "kv_heads"),
    "prefill_attention": ("gpu", "framework", "kind", "batch", "seq", "q_heads", "kv_heads"),
    "gemm": ("gpu", "framework", "dtype", "m", "n", "k"),
    "moe": ("gpu", "framework", "model_shape", "dtype", "tokens", "moe_tp", "moe_ep", "distribution"),
    "comm": ("gpu", "op", "impl", "n_gpus", "bytes", "tokens"),
    "field": ("model", "gpu", "gpus", "engine", "weights", "input", "output", "concurrency", "quantity"),
    "e2e": ("model", "gpu", "n_gpus", "framework", "dtype", "tp", "ep", "isl", "osl", "concurrency"),
    "power": ("model", "gpu", "framework", "precision", "decode_gpus", "isl", "osl", "concurrency"),
    "kv_pool": ("model", "gpu", "engine", "dtype", "kv", "tp", "pp", "max_length"),
}
"""Columns that tell one point from another."""
_SHORT = {
    "n_gpus": "GPUs",
    "q_heads": "heads",
    "kv_heads": "KV heads",
    "moe_tp": "TP",
    "moe_ep": "EP",
    "tp": "TP",
    "pp": "PP",
    "max_length": "length",
    "ep": "EP",
    "isl": "in",
    "osl": "out",
}


def listed(title: str, found: Mapping[str, Sequence[Point]]) -> Iterator[Block]:
    """Yield sentences with the points that they are said of, the most frequent one first."""
    often = sorted(found.items(), key=lambda each: -len(each[1]))
    told = [f"{counted(len(points), 'row')}: {said} ({_places(points)})" for said, points in often[:MISTAKES]]
    if rest := often[MISTAKES:]:
        rows = counted(sum(len(points) for _, points in rest), "row")
        told.append(f"{rows} more, for {counted(len(rest), 'other reason')}: --format json says each")
    return section(title, told)


def _places(points: Sequence[Point]) -> str:
    """The files and lines of points: 'gemm.csv:14, 15'."""
    files: dict[str, list[int]] = {}
    for point in points:
        files.setdefault(Path(point.path).name or point.kind, []).append(point.line)
    texts = []
    for name, lines in files.items():
        numbers = list(dict.fromkeys(lines))
        more = f" and {len(numbers) - _SHOWN_LINES} more" if len(numbers) > _SHOWN_LINES else ""
        texts.append(f"{name}:{', '.join(map(str, numbers[:_SHOWN_LINES]))}{more}")
    return "; ".join(texts)


# Published figures beside costcalc's as a page.


MISSED = "†"
_FOLLOWS = {
    "exact": "Follows from the stated inputs",
    "measured": "Measured",
    "modelled": "Answers of other models",
}


def published_page(compared: Sequence[Compared]) -> list[Block]:
    """Return published figures beside costcalc's as a page."""
    page: list[Block] = [Line("Published against costcalc", "title"), Line()]
    for follows, heading in _FOLLOWS.items():
        rows = [each for each in compared if each.follows == follows]
        if rows:
            page += [
                Line(heading, "heading"),
                filled_grid(_PUBLISHED, [_published_cells(each) for each in rows]),
                *_missed(rows),
            ]
            page.append(Line())
    sources = dict.fromkeys(f"{each.title} <{each.url}>" for each in compared)
    failed = [f"{each.statement}: not answered: {each.failed}" for each in compared if each.failed]
    noted = [f"{each.statement}: {each.note}" for each in compared if each.note]
    return [*page, *section("Sources", sources, "dim"), *notes([*failed, *noted])]


def papers_page(published: Published) -> list[Block]:
    """Return the publications that figures are known of as a page."""
    columns = (Column("name", role="value"), Column("figures", right=True), Column("publications", wrap=True))
    rows = [tuple(map(str, each.values())) for each in papers_tree(published)]
    return [
        Grid(columns, rows, indent=0),
        Line(),
        Line("Compare with: costcalc validate --against NAME, or all", "dim"),
    ]


def papers_tree(published: Published) -> list[dict[str, object]]:
    """Return the publications that figures are known of as plain dictionaries."""

    def titles(cases: Sequence[PublishedCase]) -> str:
        return "; ".join(dict.fromkeys(published.sources[case.source.of].title for case in cases))

    papers = published.papers().items()
    return [{"name": name, "figures": len(cases), "publications": titles(cases)} for name, cases in papers]


_PUBLISHED = (
    Column("published", right=True),
    Column("costcalc", right=True, role="headline"),
    RANGE,
    Column("unit"),
    Column("off", right=True),
    Column("", role="value", wrap=True),
)


def _published_cells(each: Compared) -> tuple[str, ...]:
    known = each.follows != "exact" and each.low is not None and each.high is not None
    return (
        figure(each.published, 6),
        figure(each.predicted, 4),
        f"[{figure(each.low, 3)}{DASH}{figure(each.high, 3)}]" if known else "",
        each.unit,
        NOTHING if each.error is None else f"{each.error:+.1%}{MISSED if _outside(each) else ''}",
        each.statement + (" (recalled)" if each.provenance == "recalled" else ""),
    )


def _outside(each: Compared) -> bool:
    """Whether a measured figure lies outside of the range that costcalc gives."""
    if each.follows != "measured" or each.low is None or each.high is None:
        return False
    return not each.low <= each.published <= each.high


def _missed(rows: Sequence[Compared]) -> Iterator[Block]:
    outside = sum(_outside(each) for each in rows)
    if outside:
        text = f"{MISSED} outside of the range: {outside} of {len(rows)}."
        text += " `costcalc validate` tells how often ranges hold over all measurements."
        yield Line(text, "dim", indent=2)


def figure(value: float | None, digits: int) -> str:
    """Return a figure with a number of digits, or '-' without one."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{float(f'{value:.{digits - 1}e}'):,.0f}"
    return f"{value:.{digits}g}"


# What a calibration found as a page: the error before and after it, and what it changed.


CALIBRATION_LEGEND = (
    "before: median error of the shipped fit on these points, and its bias; after: of the fit on them; left out: of "
    "every shape, or run, by a fit without it, which is what to expect of others; range: measured over predicted in "
    "80% of cases. Factors are on the parameters of the shipped fit, those that change most first: few "
    "points move them little, and there are none where what was left out was predicted worse with them than without."
)
_ERRORS = ("in_sample", "gpu_left_out", "shape_left_out")
MOST_FACTORS = 6
"""Parameters that a table names."""
SHOWN_FACTOR = 0.02
"""Change of a parameter [ln] below which a table leaves it out."""


def calibration_page(
    fits: Sequence[UserFit],
    notes: Sequence[str] = (),
    scored: Validation | None = None,
    own: UserServing | None = None,
) -> list[Block]:
    """Return what a calibration found as a page.

    fits: by machine and kernel. notes: what else to say.
    scored: the points, of which those that could not be used are listed. own: the constants of serving.
    """
    columns = (
        Column("", role="value"),
        Column("what"),
        *numbers("n", "before", "bias"),
        Column("after", right=True, role="headline"),
        *numbers("left out"),
        RANGE,
        Column("factors", role="dim", wrap=True),
    )
    page: list[Block] = [Line("Calibrated on your measurements", "title"), Line()]
    page += [Grid(columns, list(_rows(fits))), Line(), Line(CALIBRATION_LEGEND, "dim"), Line()]
    page += _constants(own) if own is not None else []
    page += listed("Left out", scored.excluded()) if scored is not None else []
    return page + [Line(note) for note in notes]


MOVED_LEGEND = (
    "Runs of one deployment say much the same, the more so at loads near each other: effective rows are those of "
    "deployments of their own that would say as much. A constant moves as far as groups of runs (a GPU under an engine "
    "of a version) differ in it, +- one standard deviation, and as these runs need it."
)
MOST_MOVED = 12
"""Constants that a table lists; JSON has all."""


def _constants(own: UserServing) -> Iterator[Block]:
    """Which constants of serving runs moved, and what that makes of one estimate."""
    from costcalc.validation.serving.fit import constant_text

    yield Line(f"Constants of serving: {counted(own.rows, 'row')}, {own.effective:.1f} effective", "heading")
    if not own.moved:
        yield Line("All stay: they predict runs left out no worse than constants moved by the other runs.", indent=2)
        yield Line()
        return
    columns = (
        Column("constant", role="value"),
        *numbers("shipped", "+-"),
        Column("calibrated", right=True, role="headline"),
        *numbers("+-"),
        Column("what", role="dim", wrap=True),
    )
    cells = [
        (
            each.path,
            constant_text(each.path, each.shipped),
            percent(each.spread),
            constant_text(each.path, each.calibrated),
            percent(each.spread_left),
            each.meaning.removesuffix(" [s]").removesuffix(" [B/s]"),
        )
        for each in own.moved[:MOST_MOVED]
    ]
    yield Grid(columns, cells)
    if (more := len(own.moved) - MOST_MOVED) > 0:
        yield Line(f"{more} more moved less: --format json lists them", "dim", indent=2)
    yield Line()
    yield Line(MOVED_LEGEND, "dim")
    yield Line()
    example = own.example
    unit = UNITS.get(example.quantity, "")
    then, now = (
        f"{amount(value)} [{amount(low)}{DASH}{amount(high)}]" for value, low, high in (example.before, example.after)
    )
    seen = f", measured {amount(example.measured)} {unit}" if example.measured else ""
    yield Line(f"{EXAMPLES[example.quantity]} of this estimate: {then} before, {now} {unit} with them{seen}")
    yield Command(example.command)
    yield Line()


EXAMPLES = {
    "tpot_ms": "Time per output token",
    "ttft_ms": "Time to first token",
    "out_tok_s_gpu": "Output tokens/s of a GPU",
    "prefill_ms": "Prefill",
}


def calibration_rows(fits: Sequence[UserFit], own: UserServing | None = None) -> list[dict[str, Any]]:
    """Return what a calibration found as plain dictionaries, one for each machine and kernel.

    fits: by machine and kernel; biases as `costcalc validate` has them: median of predicted over measured, less 1.
    own: the constants of serving, which stand with every class of runs.
    """
    rows = []
    for each in fits:
        tree = asdict(each.fit)
        for name in _ERRORS:
            tree["fit"][name]["bias"] = expm1(tree["fit"][name]["bias"])
        more: dict[str, Any] = {}
        if own is not None and each.op == "serving":
            moved = {
                one.path: {k: v for k, v in asdict(one).items() if k not in ("path", "meaning")} for one in own.moved
            }
            more = {"effective_rows": own.effective, "constants": moved}
        rows.append({"gpu": each.gpu, "op": each.op, "op_class": each.label, **tree, **more})
    return rows


def _rows(fits: Sequence[UserFit]) -> Iterator[tuple[str, ...]]:
    """Cells of every fit; factors that several classes share stand beside the first of them."""
    told: Mapping[str, float] = {}
    for each in fits:
        factors = each.fit.factors
        yield _calibration_cells(each, "as above" if factors and factors == told else _factors(factors))
        told = factors


def _factors(factors: Mapping[str, float]) -> str:
    """Factors in words, those that change most first."""
    order = sorted(factors.items(), key=lambda item: -abs(log(item[1])))
    shown = [f"{name} {factor:.3g}" for name, factor in order if abs(log(factor)) >= SHOWN_FACTOR]
    more = [f"{len(shown) - MOST_FACTORS} more"] if len(shown) > MOST_FACTORS else []
    return ", ".join([*shown[:MOST_FACTORS], *more]) or NOTHING


def _calibration_cells(each: UserFit, factors: str) -> tuple[str, ...]:
    record = each.fit.fit
    known = record.ranges.known
    return (
        each.gpu,
        each.label,
        str(record.points),
        percent(record.gpu_left_out.median_ape),
        signed(expm1(record.gpu_left_out.bias)),
        percent(record.in_sample.median_ape),
        percent(record.shape_left_out.median_ape),
        f"[{known.low:.2g}{DASH}{known.high:.2g}]",
        factors,
    )
