"""Predicted against measured as a page: errors by class, the worst points, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from costcalc.measured.groups import Group, Point, Validation
from costcalc.readable import NOTHING, capital, counted, format_count
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import DASH

KIND_TITLES = {
    "decode_attention": "Decode attention",
    "prefill_attention": "Prefill attention",
    "gemm": "Matrix products",
    "moe": "Routed experts",
    "comm": "Collectives",
    "e2e": "Serving, end to end",
}
"""Kinds of measurement as headings."""
QUANTITIES = {"ms": "ms", "tpot_ms": "ms", "ttft_ms": "ms", "out_tok_s_gpu": "tok/s"}
"""Units of the quantities that are predicted."""
LEGEND = (
    "median, mean: predicted against measured, off either way; bias: median of predicted over measured, less 1; "
    "in range: measurements inside the 80% range; ideal: median error of the roofline alone; "
    "not scored: rows left out, for the reasons below."
)
UNSEEN = " unseen GPU, unseen model: median error of fits without any point of that GPU or model."
_SHOWN_LINES = 8


def accuracy_page(
    validation: Validation, groups: Sequence[Group], worst: int = 3, by: str | None = None, title: str = ""
) -> list[Block]:
    """Return the errors of predictions as a page.

    validation: the scored points. groups: their errors by class, or by what `by` names.
    worst: how many of the worst points of each class to list. by: what the groups are divided by.
    title: what was scored.
    """
    page: list[Block] = [Line(title or "Predicted against measured", "title"), Line()]
    recorded = any(each.unseen_gpu is not None for each in groups)
    page += [*_tables(groups, by, recorded), Line(LEGEND + UNSEEN * recorded, "dim", wrap=True), Line()]
    page += [*_worst(validation.worst(worst)), *listed("With a warning", validation.warned())]
    page += listed("Not scored", validation.excluded())
    return page


def _tables(groups: Sequence[Group], by: str | None, recorded: bool) -> Iterator[Block]:
    if by is None:
        yield Grid(_columns("", recorded), [_cells(each.label, each, recorded) for each in groups])
        yield Line()
        return
    for kind, label in dict.fromkeys((each.kind, each.label) for each in groups):
        yield Line(heading(kind, label), "heading")
        members = [each for each in groups if (each.kind, each.label) == (kind, label)]
        yield Grid(_columns(by, False), [_cells(each.member, each, False) for each in members])
        yield Line()


def heading(kind: str, label: str) -> str:
    """Return the heading of a class: its label, behind its kind where that says more."""
    title = KIND_TITLES.get(kind, kind)
    return f"{title}: {label}" if kind == "e2e" or title[:6].lower() != label[:6].lower() else capital(label)


def _columns(first: str, recorded: bool) -> tuple[Column, ...]:
    unseen = [Column("unseen GPU", right=True, keep=2), Column("unseen model", right=True, keep=3)] if recorded else []
    return (
        Column(first, role="value"),
        Column("n", right=True),
        Column("median", right=True, role="headline"),
        Column("mean", right=True),
        Column("bias", right=True),
        Column("in range", right=True),
        *unseen,
        Column("ideal", right=True, keep=1),
        Column("not scored", right=True, keep=4),
    )


def _cells(name: str, group: Group, recorded: bool) -> tuple[str, ...]:
    errors = group.summary
    unseen = (percent(group.unseen_gpu), percent(group.unseen_model)) if recorded else ()
    return (
        name,
        str(errors["n"]),
        percent(errors["median_ape"]),
        percent(errors["mape"]),
        signed(errors["bias"]),
        percent(errors["coverage"]),
        *unseen,
        percent(errors["ideal_median_ape"]),
        str(sum(errors["excluded"].values()) or NOTHING),
    )


def percent(value: float | None) -> str:
    """Return a ratio as whole percent from 10% on, else with a decimal."""
    if value is None:
        return NOTHING
    return f"{value:.1%}" if value < 0.0995 else f"{value:.0%}"


def signed(value: float | None) -> str:
    """Return a ratio as percent with its sign."""
    return NOTHING if value is None else f"{value:+.1%}"


def _worst(points: Sequence[Point]) -> Iterator[Block]:
    if not points:
        return
    columns = (
        Column("off", right=True, role="headline"),
        Column("measured", right=True),
        Column("predicted", right=True),
        Column("80% range", role="dim"),
        Column("what", wrap=True),
    )
    yield Line("Worst points", "heading")
    for kind, label in dict.fromkeys((each.kind, each.label) for each in points):
        yield Line(heading(kind, label), "value")
        yield Grid(columns, [_point(each) for each in points if (each.kind, each.label) == (kind, label)])
        yield Line()


def _point(point: Point) -> tuple[str, ...]:
    row, unit = point.row, QUANTITIES.get(str(point.row["quantity"]), "")
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
    "e2e": ("model", "gpu", "n_gpus", "framework", "dtype", "tp", "ep", "isl", "osl", "concurrency"),
}
"""Columns that tell one point from another."""
_SHORT = {
    "n_gpus": "GPUs",
    "q_heads": "heads",
    "kv_heads": "KV heads",
    "moe_tp": "TP",
    "moe_ep": "EP",
    "tp": "TP",
    "ep": "EP",
    "isl": "in",
    "osl": "out",
}


def listed(title: str, found: Mapping[str, Sequence[Point]]) -> Iterator[Block]:
    """Yield sentences with the points that they are said of, the most frequent one first.

    title: of the list. found: the points by sentence.
    """
    if not found:
        return
    yield Line(title, "heading")
    for sentence, points in sorted(found.items(), key=lambda each: -len(each[1])):
        yield Line(f"{counted(len(points), 'row')}: {sentence} ({_places(points)})", wrap=True, indent=2)
    yield Line()


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
