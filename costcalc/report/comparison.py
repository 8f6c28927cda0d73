"""One against another as a page: variants, models or GPUs with their ratios to the first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from costcalc.predict.quantities import SIDES
from costcalc.predict.results import Assumption, Comparison, Row
from costcalc.report.estimate import (
    HEADLINE,
    OF_POOLS,
    bound_role,
    demand_asked,
    is_term,
    layers_there,
    pool_size,
    price_basis,
)
from costcalc.report.page import (
    HEAD_ENDS,
    MARK,
    RANGE,
    Block,
    Column,
    Grid,
    Line,
    defaults_taken,
    filled_grid,
    marked,
    notes,
    numbers,
    quantity,
    seconds,
    times,
    users,
)
from costcalc.units import NOTHING, capital, counted, format_bytes, format_count, format_price
from costcalc.units import format_usd as usd

COST = "cost.usd_per_million_output_tokens"
RATE, USER = "serving.output_tokens_per_s_per_gpu", "serving.tokens_per_s_per_user"
_UNLIMITED = 10**8
PER_SEQUENCE = "KV cache per sequence"
EXCEEDS = "†"
"""Stands behind what breaks the limits of time."""
FULL = "‡"
"""Stands behind a batch that the size of memory decides."""
_BINDS = 0.97
"""A batch whose TPOT is as near to its limit is the limit's, too."""


def comparison_page(comparison: Comparison) -> list[Block]:
    """Return a comparison as a page."""
    basis = price_basis(row.estimate.deployment for row in comparison.rows)
    page: list[Block] = [Line(comparison.title, "title"), Line(capital(basis), "dim"), Line()]
    same = _same_in_all(comparison.rows)
    if len(comparison.contexts) > 1:
        head = Line("$ per million output tokens, by tokens of context", "heading")
        page += [head, contexts_grid(comparison), *_signs(comparison), HEAD_ENDS]
    for context, rows in by_context(comparison):
        if len(comparison.contexts) > 1:
            page.append(Line(f"At {context_told(context)} tokens of context", "heading"))
        page += [comparison_grid(rows, same), Line()]
    if len(comparison.contexts) <= 1:
        page[-1:] = [*_signs(comparison), HEAD_ENDS]
    unfit = [f"{row.variant}: {row.note}" for row in comparison.rows if row.note]
    parted = ((row.variant, layers_there(row.estimate, "in host memory")) for row in comparison.rows if not row.note)
    unfit += [f"{name}: {', '.join(told)}." for name, told in parted if told]
    page += [Line(text, "dim") for text in _legend(comparison, same)]
    page += [*_load(comparison, same), Line()]
    page += [*notes([*unfit, *comparison.notes]), *defaults_taken(_shared_defaults(comparison.rows))]
    return page


def _same_in_all(rows: Sequence[Row]) -> list[str]:
    """Columns whose value is the same in every row, and is told once beside the table."""
    values: dict[tuple[str, ...], set[Any]] = {
        ("GPUs",): {_gpus(row) for row in rows},
        ("$/GPU-h",): {row.estimate.deployment.usd_per_gpu_hour for row in rows},
        ("KV/token", "KV/seq", "smaller"): {_held(row) for row in rows},
    }
    same = [title for titles, found in values.items() for title in titles if len(found) == 1]
    return same if _windows(rows) or "KV/seq" in same else [*same, "KV/seq"]


def _held(row: Row) -> tuple[float, float]:
    """What a row's cache grows by with each token, and what windows and states hold besides [B]."""
    cache = row.estimate.kv_cache
    return cache.bytes_per_token, cache.fixed_bytes_per_sequence


def _windows(rows: Iterable[Row]) -> bool:
    """Whether windows or states hold a part of a cache, which bytes per further token leave out."""
    return any(fixed for _, fixed in map(_held, rows))


def caches(rows: Sequence[Row]) -> tuple[str, list[float]]:
    """Return the bytes that tell caches apart, and what they are of: a token, or a sequence where windows are there."""
    if _windows(rows):
        return PER_SEQUENCE, [row.estimate.kv_cache.bytes_per_sequence for row in rows]
    return "KV cache per token", [row.estimate.kv_cache.bytes_per_token for row in rows]


def _legend(comparison: Comparison, same: Collection[str]) -> Iterator[str]:
    reference = _reference(comparison.rows)
    to = "to the first row" if reference is comparison.rows[0] or reference is None else f"to {row_name(reference)}, "
    if reference is not None and reference is not comparison.rows[0]:
        to += "the first that has one"
    title = _versus(comparison.rows)
    cost = "the month's bill of the demand" if any(row.estimate.demand for row in comparison.rows) else "$/M out"
    if "KV/token" in same:
        grown, fixed = map(format_bytes, _held(comparison.rows[0]))
        cache = f"KV cache per token: {grown}"
        if _windows(comparison.rows):
            cache = f"KV cache per further token: {grown}, with {fixed} of windows and states per sequence,"
        yield f"{title}: {cost}, {to}. {cache} in every row."
    elif _windows(comparison.rows):
        yield (
            "KV/token: cache that each further token adds, once windows are full. KV/seq: that of a whole sequence, "
            f"windows and states included. smaller: its size, to the first row. {title}: {cost}, {to}."
        )
    else:
        cache = "KV/token: cache that each further token adds in all layers. smaller: its size, to the first row."
        yield f"{cache} {title}: {cost}, {to}."
    if any(row.chance_cheaper is not None for row in comparison.rows):
        why = "by the ranges of both; errors of one model on one GPU alone are shared"
        yield f"cheaper?: the chance that it costs less than that row, {why}."
    if not is_term(comparison.rows[0].estimate):
        yield from _counted(comparison.rows, "GPUs" not in same)
    if any(row.estimate.deployment.replicas > 1 for row in comparison.rows):
        yield "batch and fits: of all replicas of a row together; --batch is of one."
    if any(map(_full, comparison.rows)):
        yield f"{FULL} as many as fit: the size of memory decides, not its speed; more --gpus may change the order."
    yield from _exceeding(comparison)


def _signs(comparison: Comparison) -> Iterator[Block]:
    """What signs in the table that `--brief` shows mean, which a whole page says below."""
    told = [*_exceeding(comparison)]
    if len(comparison.contexts) <= 1 and any(row.estimate.assumptions for row in comparison.rows):
        told.append(f"{MARK} taken by default")
    if told:
        yield from (Line(only="brief"), *(Line(text, "dim", only="brief") for text in told))


def _exceeding(comparison: Comparison) -> Iterator[str]:
    broken = [row for row in comparison.rows if row.estimate.limits.kept is False]
    if broken:
        limits = broken[0].estimate.limits
        tpot, ttft = limits.time_per_output_token_s, limits.time_to_first_token_s
        asked = [f"TPOT of {seconds(tpot)}" if tpot else "", f"TTFT of {seconds(ttft)}" if ttft else ""]
        yield f"{EXCEEDS} breaks the limit, {' and '.join(filter(None, asked))}: no batch and no layout keeps it."


def _counted(rows: Sequence[Row], gpus: bool) -> Iterator[str]:
    """What speeds and dollars count, with pools apart or without.

    gpus: whether there is a column of them.
    """
    apart = {row.estimate.workload.disaggregated for row in rows}
    if False in apart:
        yield "TPOT, TTFT and tok/s: as served, prefills included; decode tok/s: while no prompt is prefilled."
    if True in apart:
        pools = "GPUs: those that decode + those that prefill for them. " if gpus else ""
        yield f"{pools}{OF_POOLS}"


def _reference(rows: Sequence[Row]) -> Row | None:
    """The row that costs are set against: the first with one."""
    return next((row for row in rows if row.cost_ratio is not None), None)


def _versus(rows: Sequence[Row]) -> str:
    return "vs first" if _reference(rows) in (None, rows[0]) else "vs ref."


def by_context(comparison: Comparison) -> Iterator[tuple[float, list[Row]]]:
    """Yield the rows of each context, and the context [tokens]."""
    found: dict[float, list[Row]] = {}
    for row in comparison.rows:
        key = row.estimate.workload.context_tokens if len(comparison.contexts) > 1 else 0.0
        found.setdefault(key, []).append(row)
    yield from found.items()


def contexts_grid(comparison: Comparison) -> Grid:
    """Return what rows cost at each context as a grid, a column each."""
    groups = [(context, {row_name(row): row for row in rows}) for context, rows in by_context(comparison)]
    columns = [Column(""), *numbers(*(context_told(context) for context, _ in groups))]
    names = dict.fromkeys(map(row_name, comparison.rows))
    cells = [[cost_or_reason(rows[name]) + _exceeds(rows[name]) for _, rows in groups] for name in names]
    return Grid(columns, [[name, *costs] for name, costs in zip(names, cells, strict=True)])


def context_told(tokens: float) -> str:
    """Return a context as headings have it: '4,000', '1M', and '1,048,576', which no shorter number is."""
    short = format_count(tokens)
    return short if short == format_count(tokens, None) else f"{tokens:,.0f}"


def row_name(row: Row) -> str:
    """Return what a row is about, without the context that a heading already says."""
    return row.variant.partition(" @ ")[0]


def comparison_grid(rows: Sequence[Row], same: Collection[str] = ()) -> Grid:
    """Return rows of one context as a grid; columns that are the `same` everywhere, or say nothing, are left out."""
    told = [
        (replace(column, title=_versus(rows)) if column.title == "vs first" else column, cell)
        for column, cell in _COLUMNS
        if column.title not in same
    ]
    bound = next(at for at, (column, _) in enumerate(told) if column.title == "bound by")
    roles = {(number, bound): bound_role(row.estimate.decode.bound_by) for number, row in enumerate(rows)}
    return filled_grid([column for column, _ in told], [[cell(row) for _, cell in told] for row in rows], roles)


Cell = Callable[[Row], str]


def _gpus(row: Row) -> str:
    """The GPUs of a row: those that decode, and those that prefill for them."""
    pool = row.estimate.serving.prefill_gpus
    return f"{row.estimate.deployment.gpus}" + (f" + {pool_size(pool)}" if pool else "")


def _number(path: str) -> tuple[Column, Cell]:
    return Column(quantity(path).short, right=True, path=path), lambda row: quantity(path, row.estimate).text


def _range(path: str) -> tuple[Column, Cell]:
    return replace(RANGE, path=f"{path}_range"), lambda row: quantity(path, row.estimate).range


def _chosen(text: Cell) -> Cell:
    """What a deployment that does not fit has none of."""
    return lambda row: NOTHING if row.estimate.decode.step_time_s is None else text(row)


def _exceeds(row: Row) -> str:
    return EXCEEDS if row.estimate.limits.kept is False else ""


def _most(row: Row) -> str:
    # Without a cache nothing limits them; a number would only say where counting stopped.
    most = row.estimate.memory.max_sequences
    return NOTHING if is_term(row.estimate) or most >= _UNLIMITED else f"{_of_all(row, most):,}"


def _of_all(row: Row, of_one: float) -> float:
    """Sequences of all replicas of a row, which layouts of one and of several are compared by."""
    return of_one * row.estimate.deployment.replicas


def _full(row: Row) -> str:
    """The mark of a batch that is chosen, and as large as memory holds, though the limit would allow more."""
    result, limits = row.estimate, row.estimate.limits
    most, tpot = limits.time_per_output_token_s, result.serving.time_per_output_token_s
    chosen = any(each.name == "batch" for each in result.assumptions)
    if not chosen or is_term(result) or most is None or tpot is None or tpot > _BINDS * most:
        return ""
    machine = result.deployment
    step = machine.attention_data_parallel * machine.pipeline_parallel  # batches are whole ranks of it
    return FULL if result.workload.batch + step > result.memory.max_sequences else ""


def cost_or_reason(row: Row) -> str:
    """Return a row's $/M of output tokens, or why it has none."""
    if not row.estimate.memory.fits and row.estimate.decode.step_time_s is None:
        return f"needs {row.needs_gpus} GPUs" if row.needs_gpus else "does not fit"
    cost = row.estimate.cost.usd_per_million_output_tokens
    return "no price" if cost is None else usd(cost)


def _chance(chance: float | None) -> str:
    """A chance in whole percent, never quite sure."""
    if chance is None:
        return NOTHING
    return "<1%" if chance < 0.01 else ">99%" if chance > 0.99 else f"{chance:.0%}"


_TPOT = _number("serving.time_per_output_token_s")
_IN = _number("cost.usd_per_million_input_tokens")
_BLENDED = _number("cost.usd_per_million_blended_tokens")
_COLUMNS: tuple[tuple[Column, Cell], ...] = (
    (Column("", path="variant"), row_name),
    (Column("GPUs", right=True, path="deployment.gpus"), lambda row: _gpus(row)),
    (
        Column("$/GPU-h", right=True, path="deployment.usd_per_gpu_hour"),
        _chosen(lambda row: format_price(row.estimate.deployment.usd_per_gpu_hour)),
    ),
    (
        Column("for it", right=True, path="demand.gpus"),
        lambda row: f"{row.estimate.demand.gpus:,}" if row.estimate.demand else "",
    ),
    (
        Column("$/month", right=True, path="demand.usd_per_month"),
        lambda row: usd(row.estimate.demand.usd_per_month) if row.estimate.demand else "",
    ),
    (
        Column("$/request", right=True, path="demand.usd_per_request"),
        lambda row: usd(row.estimate.demand.usd_per_request) if row.estimate.demand else "",
    ),
    (
        Column("KV/token", right=True, path="kv_cache.bytes_per_token"),
        lambda row: format_bytes(row.estimate.kv_cache.bytes_per_token),
    ),
    (
        Column("KV/seq", right=True, path="kv_cache.bytes_per_sequence"),
        lambda row: format_bytes(row.estimate.kv_cache.bytes_per_sequence),
    ),
    (Column("smaller", right=True, path="sequence_ratio"), lambda row: times(row.sequence_ratio)),
    (replace(_number(COST)[0], role="headline"), lambda row: cost_or_reason(row) + _exceeds(row)),
    _range(COST),
    (Column("vs first", right=True, path="cost_ratio"), lambda row: times(row.cost_ratio)),
    _IN,
    (replace(_BLENDED[0], beside=True), _BLENDED[1]),
    (Column("cheaper?", right=True, path="chance_cheaper"), lambda row: _chance(row.chance_cheaper)),
    (Column("layout", path="deployment.layout"), _chosen(lambda row: row.estimate.deployment.layout)),
    (
        Column("batch", right=True, path="workload.batch"),
        _chosen(
            lambda row: marked(row.estimate, "batch", users(_of_all(row, row.estimate.workload.batch))) + _full(row)
        ),
    ),
    (_TPOT[0], lambda row: _TPOT[1](row) + _exceeds(row)),
    _number("serving.time_to_first_token_s"),
    _number(RATE),
    _range(RATE),
    (Column("bound by", path="decode.bound_by"), lambda row: row.estimate.decode.bound_by or NOTHING),
    _number(USER),
    _number("decode.tokens_per_s_per_gpu"),
    (Column("fits", right=True, beside=True, path="memory.max_sequences"), _most),
)
"""Columns, the first of which a narrow terminal has room for, and their cells."""
_BESIDE = (
    "question", "against", "model.name", "deployment.gpu", "limits.kept", "memory.fits", "needs_gpus", "note",
    *(f"workload.{length}_tokens" for length in ("input", "output", "context")),
)  # fmt: skip
"""Columns of CSV that a page says in its title, in a mark or in the lines around its table."""


def shown_columns() -> set[str]:
    """Return the columns of CSV that tables of comparisons and first lines of estimates show: all with `--brief`."""
    headed = {column.path for column, _ in _COLUMNS} | {*HEADLINE} | {f"{path}_range" for path in HEADLINE}
    ends = {f"{path}.{side}" for path in headed if path.endswith("_range") for side in SIDES}
    return headed | ends | {*_BESIDE}


def _load(comparison: Comparison, same: Collection[str]) -> Iterator[Block]:
    first = comparison.rows[0].estimate
    load, precision = first.workload, first.deployment.precision
    if len(comparison.contexts) > 1:
        tokens = f"{format_count(load.output_tokens)} tokens out"
    else:
        tokens = (
            f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out, "
            f"decode at {format_count(load.context_tokens)} of context"
        )
    gpus = ""
    if "GPUs" in same:
        pool = first.serving.prefill_gpus
        gpus = f"; {counted(first.deployment.gpus, 'GPU')}{f' and {pool_size(pool)} for prefill' if pool else ''}"
        gpus += " in every row"
    yield Line(f"{tokens}; KV cache {precision.kv_cache}{gpus}.", "dim")
    if asked := next((row.estimate.demand for row in comparison.rows if row.estimate.demand), None):
        told = f"Demand: {demand_asked(asked)}. GPUs: of a replica, of the size that serves it with the fewest;"
        told += " for it: of all replicas; $/month, of 730 hours, and $/request: what these cost, busy or not."
        yield Line(told, "dim")


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
            sources[machine.gpu] = f"{format_price(machine.usd_per_gpu_hour)} {machine.gpu}: {machine.price_source}"
    return "; ".join(sources.values())
