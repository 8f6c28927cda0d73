"""What fits at most as a page: the answer and why not more, or a ranked list; and the command of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.explore.capacity import Capacity, Fit
from costcalc.report.estimate import price_basis, unmet
from costcalc.report.page import (
    HEAD_ENDS,
    RANGE,
    Block,
    Column,
    Command,
    Grid,
    Line,
    defaults_taken,
    filled_grid,
    notes,
    quantity,
    users,
)
from costcalc.units import format_bytes, format_count, format_percent

MOST_ROWS = 25
"""Rows of a ranked list on a page; files and other forms have all."""
_NUMBERS = (
    "serving.tokens_per_s_per_user", "serving.output_tokens_per_s_per_gpu", "serving.time_per_output_token_s",
    "serving.time_to_first_token_s",
)  # fmt: skip


def capacity_page(result: Capacity) -> list[Block]:
    """Return what fits as a page."""
    first = result.rows[0].estimate
    page: list[Block] = [Line(result.title, "title"), Line(), Line(_answer(result), "headline", indent=2)]
    if result.beyond is not None:
        page.append(Line(f"Not {result.beyond}.", indent=2))
    page += [Line(), *unmet(first), capacity_grid(result.rows[:MOST_ROWS], result.question), HEAD_ENDS]
    page += [Line(text, "dim") for text in _legend(result)]
    page += [Line(), Line("The estimate of it" if len(result.rows) == 1 else "The estimate of the first", "heading")]
    page += [Command(first.command or ""), Line()]
    return [*page, *notes([*result.notes, *first.notes]), *defaults_taken(first.assumptions)]


def names(result: Capacity) -> list[str]:
    """Return what tells the rows apart: models, or formats of weights and cache."""
    if result.question == "model":
        return [row.estimate.model.name for row in result.rows]
    machines = [row.estimate.deployment.precision for row in result.rows]
    return [f"{each.weights}, KV cache {each.kv_cache}" for each in machines]


def _answer(result: Capacity) -> str:
    value = result.value
    if isinstance(value, str):
        total = result.rows[0].estimate.model.parameters.total
        return f"{value}, {format_count(total, 3)} parameters at {_formats(result.rows[0])}"
    if value is not None and result.question == "bits":
        return f"{value:.3g} {result.unit}: {_formats(result.rows[0])}"
    plain = value is not None and result.question == "context" and result.trained is None
    return f"{result.answer}{', prompt and answer together' * plain}"


def _formats(row: Fit) -> str:
    precision = row.estimate.deployment.precision
    return f"weights {precision.weights}, KV cache {precision.kv_cache}"


def capacity_grid(rows: Sequence[Fit], question: str) -> Grid:
    """Return what fits as a grid; of one model its name is no column."""
    columns = [Column("model"), Column("parameters", right=True)] if question == "model" else []
    columns += [Column("weights", key=question == "bits"), Column("bits", right=True), Column("KV cache")]
    columns += [Column("batch", right=True), Column("tokens", right=True), Column("layout")]
    columns += [Column("of a GPU", right=True), Column("fits", right=True)]
    for path in _NUMBERS:
        columns.append(Column(quantity(path).short, right=True))
        columns += [RANGE] if path == _NUMBERS[0] else []
    cells = []
    for row in rows:
        each = row.estimate
        machine, load = each.deployment, each.workload
        named = [each.model.name, format_count(each.model.parameters.total, 3)] if question == "model" else []
        cells.append(
            [
                *named,
                machine.precision.weights,
                f"{row.bits_per_weight:.3g}",
                machine.precision.kv_cache,
                users(load.batch),
                format_count(load.context_tokens),
                machine.layout,
                _taken(row),
                f"{each.memory.max_sequences:,}",
                *_shown(row),
            ]
        )
    return filled_grid(columns, cells, listed=len(rows) > 1)


def _shown(row: Fit) -> Iterator[str]:
    for path in _NUMBERS:
        found = quantity(path, row.estimate)
        yield found.text
        if path == _NUMBERS[0]:
            yield found.range


def _taken(row: Fit) -> str:
    memory = row.estimate.memory
    share = format_percent(memory.weights_bytes_per_gpu / memory.capacity_bytes_per_gpu, 2)
    return f"{format_bytes(memory.weights_bytes_per_gpu, 3)} {share}"


def _legend(result: Capacity) -> Iterator[str]:
    first = result.rows[0].estimate
    load = first.workload
    lengths = f"{format_count(load.input_tokens)} tokens in, {format_count(load.output_tokens)} out, decode at "
    if result.question == "context":
        lengths = "Times of a prompt of, and of a decode step at, "
    yield (
        f"{lengths}{format_count(load.context_tokens)} of context; {price_basis([first.deployment])}; "
        f"{'ideal bound' if first.deployment.efficiency == 'ideal' else 'efficiency as measured'}."
    )
    yield "bits: of a weight on average, with scales. of a GPU: what weights take. fits: sequences. tok/s: as served."
    if any(row.estimate.deployment.replicas > 1 for row in result.rows):
        yield "batch and fits: of one replica, as in 2 × tp4."
    if len(result.rows) > MOST_ROWS:
        yield f"{MOST_ROWS} of {len(result.rows):,} are shown; --format csv and json have all, with their commands."
