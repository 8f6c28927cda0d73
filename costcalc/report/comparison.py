"""A comparison as a page: a row for each variant, model or GPU, with its ratios to the first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from costcalc.predict.quantities import Assumption, Comparison, Row
from costcalc.report.estimate import is_term, price_basis
from costcalc.report.page import (
    MARK,
    RANGE,
    Block,
    Column,
    Grid,
    Line,
    Role,
    defaults_taken,
    dollars_span,
    notes,
    seconds,
    span,
    speed,
    times,
    usd,
    users,
)
from costcalc.units import NOTHING, capital, counted, format_bytes, format_count

# Narrow terminals lose the columns with the largest `keep` first, and of what is spare only the names stay.
_COLUMNS = (
    Column(""),
    Column("GPUs", right=True, keep=6),
    Column("KV/token", right=True, keep=1),
    Column("smaller", right=True, keep=1, spare=True),
    Column("$/GPU-h", right=True, keep=2),
    Column("layout", keep=3),
    Column("batch", right=True, keep=4),
    Column("fits", right=True, keep=2, spare=True),
    Column("TPOT", right=True, keep=5),
    Column("TTFT", right=True, keep=7),
    Column("tok/s user", right=True, keep=4, spare=True),
    Column("tok/s GPU", right=True),
    Column(RANGE, role="dim", keep=5, spare=True),
    Column("bound by", keep=8),
    Column("$/M out", right=True, role="headline"),
    Column(RANGE, role="dim"),
    Column("$/M in", right=True, keep=3, spare=True),
    Column("vs first", right=True),
)
_BOUND = 13
_VERSUS = len(_COLUMNS) - 1
_GPUS, _PRICE, _OF_THE_CACHE = 1, 4, (2, 3)
_UNLIMITED = 10**8
_BOUND_ROLES: tuple[Role, ...] = ("memory", "compute", "communication", "overhead")
EXCEEDS = "†"
"""Stands behind what breaks the limits of time."""


def comparison_page(comparison: Comparison) -> list[Block]:
    """Return a comparison as a page.

    comparison: the comparison.
    """
    basis = price_basis(row.estimate.deployment for row in comparison.rows)
    page: list[Block] = [Line(comparison.title, "title"), Line(capital(basis), "dim", wrap=True), Line()]
    same = _same_in_all(comparison.rows)
    for context, rows in by_context(comparison):
        if len(comparison.contexts) > 1:
            page.append(Line(f"At {format_count(context)} tokens of context", "heading"))
        page += [comparison_grid(rows, same), Line()]
    unfit = [f"{row.variant}: {row.note}" for row in comparison.rows if row.note]
    page += [Line(text, "dim", wrap=True) for text in _legend(comparison, same)]
    page += [*_load(comparison, same), Line()]
    page += [*notes([*unfit, *comparison.notes]), *defaults_taken(_shared_defaults(comparison.rows))]
    return page


def _same_in_all(rows: Sequence[Row]) -> list[int]:
    """Columns whose value is the same in every row, and is told once beside the table."""
    caches = {row.estimate.kv_cache.bytes_per_token for row in rows}
    counts = {row.estimate.deployment.gpus for row in rows}
    prices = {row.estimate.deployment.usd_per_gpu_hour for row in rows}
    columns = (((_GPUS,), counts), ((_PRICE,), prices), (_OF_THE_CACHE, caches))
    return [index for indices, values in columns for index in indices if len(values) == 1]


def _legend(comparison: Comparison, same: Collection[int]) -> Iterator[str]:
    reference = _reference(comparison.rows)
    to = "to the first row" if reference is comparison.rows[0] or reference is None else f"to {row_name(reference)}, "
    if reference is not None and reference is not comparison.rows[0]:
        to += "the first that has one"
    title = _versus(comparison.rows)
    if _OF_THE_CACHE[0] in same:
        cache = format_bytes(comparison.rows[0].estimate.kv_cache.bytes_per_token)
        yield f"{title}: $/M out, {to}. KV cache per token: {cache} in every row."
    else:
        cache = (
            "KV/token: cache that each further token adds in all layers, windows and states apart. "
            "smaller: its size, to the first row."
        )
        yield f"{cache} {title}: $/M out, {to}."
    if not is_term(comparison.rows[0].estimate):
        yield "tok/s: of decoding alone, while no prompt is prefilled; TPOT and TTFT: as served."
    broken = [row for row in comparison.rows if row.estimate.limits.kept is False]
    if broken:
        limits = broken[0].estimate.limits
        tpot, ttft = limits.time_per_output_token_s, limits.time_to_first_token_s
        asked = [f"TPOT of {seconds(tpot)}" if tpot else "", f"TTFT of {seconds(ttft)}" if ttft else ""]
        yield f"{EXCEEDS} breaks the limit, {' and '.join(filter(None, asked))}: no batch and no layout keeps it."


def _reference(rows: Sequence[Row]) -> Row | None:
    """The row that costs are set against: the first with one."""
    return next((row for row in rows if row.cost_ratio is not None), None)


def _versus(rows: Sequence[Row]) -> str:
    return "vs first" if _reference(rows) in (None, rows[0]) else "vs ref."


def by_context(comparison: Comparison) -> Iterator[tuple[float, list[Row]]]:
    """Yield the rows of each context, and the context [tokens].

    comparison: the comparison.
    """
    found: dict[float, list[Row]] = {}
    for row in comparison.rows:
        key = row.estimate.workload.context_tokens if len(comparison.contexts) > 1 else 0.0
        found.setdefault(key, []).append(row)
    yield from found.items()


def row_name(row: Row) -> str:
    """Return what a row is about, without the context that a heading already says.

    row: the row.
    """
    return row.variant.partition(" @ ")[0]


def comparison_grid(rows: list[Row], same: Collection[int] = ()) -> Grid:
    """Return rows as a grid.

    rows: the rows of one context; the first is the reference.
    same: columns that are left out, since their value is the same everywhere; so are those without any.
    """
    cells = [_cells(row) for row in rows]
    silent = [index for index in range(1, len(_COLUMNS)) if all(row[index] in ("", NOTHING) for row in cells)]
    kept = [index for index in range(len(_COLUMNS)) if index not in same and index not in silent]
    roles: dict[tuple[int, int], Role] = {}
    for number, row in enumerate(rows):
        bound = row.estimate.decode.bound_by
        if _BOUND in kept:
            roles[number, kept.index(_BOUND)] = next((each for each in _BOUND_ROLES if each == bound), "text")
    columns = [replace(each, title=_versus(rows)) if index == _VERSUS else each for index, each in enumerate(_COLUMNS)]
    return Grid([columns[index] for index in kept], [[row[index] for index in kept] for row in cells], roles)


def _cells(row: Row) -> tuple[str, ...]:
    here = row.estimate
    decode, cost = here.decode, here.cost
    chosen = MARK if any(each.name == "batch" for each in here.assumptions) else ""
    answered = decode.step_time_s is not None
    exceeds = EXCEEDS if here.limits.kept is False else ""
    tpot = seconds(here.serving.time_per_output_token_s)
    return (
        row_name(row),
        str(here.deployment.gpus),
        format_bytes(here.kv_cache.bytes_per_token),
        times(row.cache_ratio),
        usd(here.deployment.usd_per_gpu_hour) if answered else NOTHING,
        here.deployment.layout if answered else NOTHING,
        f"{users(here.workload.batch)}{chosen}" if answered else NOTHING,
        NOTHING if is_term(here) else _most(here.memory.max_sequences),
        tpot + exceeds,
        seconds(here.serving.time_to_first_token_s),
        speed(decode.tokens_per_s_per_user),
        speed(decode.tokens_per_s_per_gpu),
        span(decode.tokens_per_s_per_gpu_range, speed),
        decode.bound_by or NOTHING,
        cost_or_reason(row) + exceeds,
        dollars_span(cost.usd_per_million_output_tokens_range),
        usd(cost.usd_per_million_input_tokens),
        times(row.cost_ratio),
    )


def cost_or_reason(row: Row) -> str:
    """Return a row's $/M of output tokens, or why it has none.

    row: the row.
    """
    if not row.estimate.memory.fits and row.estimate.decode.step_time_s is None:
        return f"needs {row.needs_gpus} GPUs" if row.needs_gpus else "does not fit"
    cost = row.estimate.cost.usd_per_million_output_tokens
    return "no price" if cost is None else usd(cost)


def _most(sequences: int) -> str:
    # Without a cache nothing limits them; a number would only say where counting stopped.
    return f"{sequences:,}" if sequences < _UNLIMITED else NOTHING


def _load(comparison: Comparison, same: Collection[int]) -> Iterator[Block]:
    first = comparison.rows[0].estimate
    load, precision = first.workload, first.deployment.precision
    if len(comparison.contexts) > 1:
        tokens = f"{format_count(load.output_tokens)} tokens out"
    else:
        tokens = (
            f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out, "
            f"decode at {format_count(load.context_tokens)} of context"
        )
    gpus = f"; {counted(first.deployment.gpus, 'GPU')} in every row" if _GPUS in same else ""
    yield Line(f"{tokens}; KV cache {precision.kv_cache}{gpus}.", "dim", wrap=True)


def _shared_defaults(rows: Iterable[Row]) -> list[Assumption]:
    """Defaults by name; a value that differs from row to row is said to."""
    rows = list(rows)
    found: dict[str, Assumption] = {}
    for row in rows:
        for each in row.estimate.assumptions:
            known = found.setdefault(each.name, each)
            if known.value != each.value:
                why = _price_sources(rows) if each.name == "price" else _BY_ROW.get(each.name, known.why)
                found[each.name] = Assumption(each.name, "by row", why, known.override)
    return list(found.values())


_BY_ROW = {"layout": "each row's own, the cheapest", "batch": "lowest cost that keeps the limits, or nearest to them"}


def _price_sources(rows: Iterable[Row]) -> str:
    """Where the price of every GPU comes from, each said once."""
    sources: dict[str, str] = {}
    for row in rows:
        machine = row.estimate.deployment
        if machine.usd_per_gpu_hour is not None and machine.price_source:
            sources[machine.gpu] = f"{usd(machine.usd_per_gpu_hour)} {machine.gpu}: {machine.price_source}"
    return "; ".join(sources.values())
