"""A comparison as a page: a row for each variant, model or GPU, with its ratios to the first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from costcalc.explore.result import Assumption, Comparison, Row
from costcalc.readable import NOTHING, format_bytes, format_count
from costcalc.show.blocks import Block, Column, Grid, Line, Role
from costcalc.show.numbers import MARK, dollars_span, seconds, span, speed, times, usd
from costcalc.show.parts import defaults_taken, notes

_COLUMNS = (
    Column(""),
    Column("GPUs", right=True, keep=4),
    Column("KV/token", right=True),
    Column("smaller", right=True, keep=1),
    Column("batch", right=True),
    Column("fits", right=True, keep=3),
    Column("tok/s user", right=True),
    Column("TTFT", right=True, keep=5),
    Column("tok/s GPU", right=True),
    Column("80% range", role="dim", keep=6),
    Column("bound by", keep=2),
    Column("$/M out", right=True, role="headline"),
    Column("80% range", role="dim", keep=5),
    Column("$/M in", right=True, keep=4),
    Column("vs first", right=True),
)
_BOUND = 10
_OF_THE_CACHE = (2, 3)
_UNLIMITED = 10**8
_BOUND_ROLES: tuple[Role, ...] = ("memory", "compute", "communication", "overhead")


def comparison_page(comparison: Comparison) -> list[Block]:
    """Return a comparison as a page.

    comparison: the comparison.
    """
    page: list[Block] = [Line(comparison.title, "title"), Line()]
    caches = {row.estimate.kv_cache.bytes_per_token for row in comparison.rows}
    same_cache = len(caches) == 1
    for context, rows in by_context(comparison):
        if len(comparison.contexts) > 1:
            page.append(Line(f"At {format_count(context)} tokens of context", "heading"))
        page += [comparison_grid(rows, same_cache=same_cache), Line()]
    unfit = [f"{row.variant}: {row.note}" for row in comparison.rows if row.note]
    shared = _shared_defaults(comparison.rows)
    legend = (
        "KV/token: cache that each further token adds in all layers, windows and states apart. smaller, vs first: its "
        "size and $/M out, to the first row."
    )
    if same_cache:
        legend = f"vs first: $/M out, to the first row. KV cache per token: {format_bytes(caches.pop())} in every row."
    page += [Line(legend, "dim", wrap=True), *_load(comparison), Line()]
    page += [*notes([*unfit, *comparison.notes]), *defaults_taken(shared)]
    return page


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


def comparison_grid(rows: list[Row], *, same_cache: bool = False) -> Grid:
    """Return rows as a grid.

    rows: the rows of one context; the first is the reference.
    same_cache: whether the size of the cache is the same everywhere, and so left out.
    """
    kept = [index for index in range(len(_COLUMNS)) if not (same_cache and index in _OF_THE_CACHE)]
    cells = [_cells(row) for row in rows]
    roles: dict[tuple[int, int], Role] = {}
    for number, row in enumerate(rows):
        bound = row.estimate.decode.bound_by
        roles[number, kept.index(_BOUND)] = next((each for each in _BOUND_ROLES if each == bound), "text")
    return Grid([_COLUMNS[index] for index in kept], [[row[index] for index in kept] for row in cells], roles)


def _cells(row: Row) -> tuple[str, ...]:
    here = row.estimate
    decode, cost = here.decode, here.cost
    chosen = MARK if any(each.name == "batch" for each in here.assumptions) else ""
    answered = decode.step_time_s is not None
    return (
        row_name(row),
        str(here.deployment.gpus),
        format_bytes(here.kv_cache.bytes_per_token),
        times(row.cache_ratio),
        f"{here.workload.batch:,}{chosen}" if answered else NOTHING,
        _most(here.memory.max_sequences),
        speed(decode.tokens_per_s_per_user),
        seconds(here.serving.time_to_first_token_s),
        speed(decode.tokens_per_s_per_gpu),
        span(decode.tokens_per_s_per_gpu_range, speed),
        decode.bound_by or "does not fit",
        usd(cost.usd_per_million_output_tokens),
        dollars_span(cost.usd_per_million_output_tokens_range),
        usd(cost.usd_per_million_input_tokens),
        times(row.cost_ratio),
    )


def _most(sequences: int) -> str:
    # Without a cache nothing limits them; a number would only say where counting stopped.
    return f"{sequences:,}" if sequences < _UNLIMITED else NOTHING


def _load(comparison: Comparison) -> Iterator[Block]:
    first = comparison.rows[0].estimate
    load, precision = first.workload, first.deployment.precision
    if len(comparison.contexts) > 1:
        tokens = f"{format_count(load.output_tokens)} tokens out"
    else:
        tokens = (
            f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out, "
            f"decode at {format_count(load.context_tokens)} of context"
        )
    yield Line(f"{tokens}; KV cache {precision.kv_cache}; {_price(comparison.rows)}.", "dim", wrap=True)


def _price(rows: Iterable[Row]) -> str:
    prices = {row.estimate.deployment.usd_per_gpu_hour for row in rows}
    return f"{usd(prices.pop())} per GPU-hour" if len(prices) == 1 else "each GPU at its own price"


def _shared_defaults(rows: Iterable[Row]) -> list[Assumption]:
    """Defaults by name; a value that differs from row to row is said to."""
    found: dict[str, Assumption] = {}
    for row in rows:
        for each in row.estimate.assumptions:
            known = found.setdefault(each.name, each)
            if known.value != each.value:
                found[each.name] = Assumption(each.name, "by row", known.why, known.override)
    return list(found.values())
