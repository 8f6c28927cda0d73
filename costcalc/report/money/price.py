"""The page of priced benchmarks: what each run cost, at every price, and how far it is from its prediction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from costcalc.report.page import (
    HEAD_ENDS,
    RANGE,
    Block,
    Column,
    Grid,
    Line,
    filled_grid,
    notes,
    numbers,
    span,
    speed,
    times,
    users,
)
from costcalc.report.page import seconds as time
from costcalc.units import NOTHING, format_count, format_price, format_usd
from costcalc.validation.price import Priced, PricedRun, RunTotal

MOST_ROWS = 40
"""Runs that a page shows; files of JSON and CSV have all."""
FEW = 4
"""Runs whose predictions are shown number by number, with their commands."""
TITLES = {
    "time_to_first_token_s": ("time to first token", time),
    "time_per_output_token_s": ("time per output token", time),
    "prefill_time_s": ("time of the prompt", time),
    "tokens_per_s_per_gpu": ("tokens/s per GPU", speed),
    "usd_per_million_blended_tokens": ("$ per M, blended", format_usd),
}
"""What is compared, and how it is written."""
SHORT = {
    "time_to_first_token_s": "TTFT", "time_per_output_token_s": "TPOT", "prefill_time_s": "prompt",
    "tokens_per_s_per_gpu": "tok/s GPU", "usd_per_million_blended_tokens": "$/M",
}  # fmt: skip


def price_page(result: Priced) -> list[Block]:
    """Return priced runs as a page."""
    rows = result.rows[:MOST_ROWS]
    page: list[Block] = [Line("What was measured, in dollars", "title"), Line(_basis(result.rows), "dim"), Line()]
    page += [_costs(rows), HEAD_ENDS]
    if any(len(each.offers) > 1 for each in rows):
        page += [Line("$ per M tokens, blended, at each kind of price", "heading"), _kinds(rows), Line()]
    page += list(_against(rows))
    page += [Line(text, "dim") for text in _legend(result)]
    return [*page, Line(), *notes([*_remarks(rows), *result.notes])]


def _basis(rows: Sequence[PricedRun]) -> str:
    """The price of each GPU, in a line."""
    told: dict[str, str] = {}
    for row in rows:
        if row.usd_per_gpu_hour is not None:
            offer = next((each.offer for each in row.offers if each.usd_per_gpu_hour == row.usd_per_gpu_hour), "")
            what = f" ({offer})" if offer else ""
            named = f"{row.gpu} " if row.gpu else ""
            told.setdefault(named, f"{named}{format_price(row.usd_per_gpu_hour)}{what}")
    if not told:
        return "no price per GPU-hour is known; give one with --price"
    use = "" if rows[0].utilization == 1 else f"; busy {rows[0].utilization:.0%} of the time"
    return f"per GPU-hour {'; '.join(list(told.values())[:FEW])}{use}"


def _costs(rows: Sequence[PricedRun]) -> Grid:
    columns = [Column("run"), Column("model"), Column("GPUs")]
    columns += numbers("users", "in", "out", "tok/s user", "tok/s GPU", "$/M in", "$/M cached", "$/M out")
    columns += [Column("$/M blended", right=True, role="headline")]
    columns += numbers("$/request", "requests", "time", "GPU-hours", "$ in all")
    return filled_grid(columns, [_cost_row(each) for each in rows])


def _cost_row(row: PricedRun) -> list[str]:
    gpus = [f"{row.gpus:g}"] if row.gpus else []
    return [
        row.source,
        row.model or NOTHING,
        " × ".join([*gpus, *([row.gpu] if row.gpu else [])]) or NOTHING,
        NOTHING if row.concurrency is None else users(row.concurrency),
        format_count(row.input_tokens, 3) if row.input_tokens else NOTHING,
        format_count(row.output_tokens, 3) if row.output_tokens else NOTHING,
        speed(row.tokens_per_s_per_user),
        speed(row.tokens_per_s_per_gpu or row.input_tokens_per_s_per_gpu),
        format_usd(row.usd_per_million_input_tokens),
        format_usd(row.usd_per_million_cached_input_tokens),
        format_usd(row.usd_per_million_output_tokens),
        format_usd(row.usd_per_million_blended_tokens),
        format_usd(row.usd_per_request),
        *_total(row.total),
    ]


def _total(run: RunTotal) -> list[str]:
    """The whole of a run; nothing where it is not known."""
    if run.requests is None:
        return [""] * 4
    counts = [format_count(run.requests), time(run.duration_s)]
    return [*counts, format_count(run.gpu_hours, 3), format_usd(run.usd)]


def _kinds(rows: Sequence[PricedRun]) -> Grid:
    named = list(dict.fromkeys(each.kind or "" for row in rows for each in row.offers))
    cells = []
    for row in rows:
        of_kind = {each.kind or "": format_usd(each.usd_per_million_blended_tokens) for each in row.prices}
        cells.append([row.source, *(of_kind.get(kind, NOTHING) for kind in named)])
    return Grid([Column("run"), *numbers(*named)], cells)


def _against(rows: Sequence[PricedRun]) -> Iterator[Block]:
    """Measured beside predicted: number by number of a few runs, else as ratios."""
    known = [each for each in rows if each.predicted is not None]
    if not known:
        return
    yield Line("Measured against predicted", "heading")
    if len(known) > FEW:
        columns = [Column("run"), *numbers(*SHORT.values()), Column("off most in")]
        cells = [[each.source, *(_ratio(each, name) for name in SHORT), _where(each)] for each in known]
        yield filled_grid(columns, cells)
        yield Line()
        yield Line("Ratios of measured over predicted; * outside of the 80% range.", "dim")
        return
    for row in known:
        where = f"most of the difference is in {_where(row)}" if row.differs_in else ""
        yield Line(": ".join(filter(None, (row.source, where))))
        yield _compared(row)
        assert row.predicted is not None
        yield Line(row.predicted.command, indent=2)
        yield Line()


def _compared(row: PricedRun) -> Grid:
    """What was measured of a run beside what was predicted."""
    names = [name for name in TITLES if row.ratio(name) is not None]
    verdicts = [row.in_range(name) for name in names]
    cells = [
        [TITLES[name][0], *_numbers(row, name, TITLES[name][1]), times(row.ratio(name)), _verdict(inside)]
        for name, inside in zip(names, verdicts, strict=True)
    ]
    columns = [Column(""), *numbers("measured", "predicted"), RANGE, Column("ratio", right=True), Column("range")]
    roles: Any = {(at, 5): "good" if inside else "bad" for at, inside in enumerate(verdicts) if inside is not None}
    return filled_grid(columns, cells, roles)


def _numbers(row: PricedRun, name: str, show: Any) -> list[str]:
    limits = getattr(row.predicted, f"{name}_range")
    return [show(getattr(row, name)), show(getattr(row.predicted, name)), span(limits, show)]


def _verdict(inside: bool | None) -> str:
    return "" if inside is None else "in" if inside else "out"


def _ratio(row: PricedRun, name: str) -> str:
    return times(row.ratio(name)) + ("*" if row.in_range(name) is False else "")


def _where(row: PricedRun) -> str:
    return TITLES[row.differs_in][0] if row.differs_in else ""


def _legend(result: Priced) -> Iterator[str]:
    whole = [each.total for each in result.rows if each.total.usd is not None]
    if whole:
        spent, hours = sum(each.usd or 0.0 for each in whole), sum(each.gpu_hours or 0.0 for each in whole)
        several = f", {format_count(hours, 3)} GPU-hours and {format_usd(spent)} of {len(whole):,} runs together"
        yield f"GPU-hours and $ in all: of the whole run, warm-up apart{several if len(whole) > 1 else ''}."
    splits = {each.split for each in result.rows}
    if None in splits:
        yield (
            "Input and output are not told apart where nothing is predicted: name a model and a GPU that costcalc "
            "knows."
        )
    if "predicted" in splits:
        yield (
            "Dollars in and out: GPU time of prompts and of answers, divided as predicted; tokens in times $/M in and "
            "tokens out times $/M out add up to the bill."
        )
    if len(result.rows) > MOST_ROWS:
        yield f"The first {MOST_ROWS} of {len(result.rows):,} runs; --format csv and json have all."


def _remarks(rows: Sequence[PricedRun]) -> list[str]:
    """What runs have to say, each text once, with the first run that says it."""
    told: dict[str, list[str]] = {}
    for row in rows:
        if row.note:
            told.setdefault(row.note, []).append(row.source)
    found = []
    for text, sources in told.items():
        more = f" and {len(sources) - 1} more" if len(sources) > 1 else ""
        missing = "" if any(each.predicted for each in rows if each.note == text) else ", so nothing is predicted"
        found.append(f"{sources[0]}{more}: {text}{missing}.")
    return found
