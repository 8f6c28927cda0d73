"""The page of a plan: fleets, the cheapest first, how each did in its replay, and why the others lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.explore.fleet.fleets import MULTIPLES
from costcalc.explore.fleet.plan import FAR, Plan, PlannedFleet
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
    notes,
    numbers,
    seconds,
    span,
)
from costcalc.units import counted, format_count, format_percent, format_price, format_rate, format_usd

MOST_LOST = 6
"""Fleets without numbers that a page tells of; JSON has all."""


def plan_page(found: Plan) -> list[Block]:
    """Return a plan as a page."""
    page: list[Block] = [Line(found.title, "title"), Line(asked_told(found), "dim"), Line()]
    sized = [each for each in found.fleets if each.gpus is not None]
    lost = [each for each in found.fleets if each.gpus is None]
    if sized:
        page += [Line("Run", "heading"), Grid((Column(), Column(wrap=True)), list(_told(found, sized[0]))), Line()]
        page += [Line("Fleets, the cheapest first", "heading"), _grid(sized), HEAD_ENDS]
        page += [Line(f"{number}  {each.command}", indent=2) for number, each in enumerate(sized, start=1)]
        if sized[0].start:
            page += [Line(), Line("To start a replica of the first, as long as its requests are:")]
            page.append(Line(sized[0].start, indent=2))
    else:
        page.append(Line("No fleet of these GPUs serves the demand at its levels.", "bad"))
    page.append(Line())
    if lost:
        rows = [(fleet_name(each), each.why_not or "") for each in lost[:MOST_LOST]]
        page += [Line("Not sized" if sized else "Why", "heading"), Grid((Column(), Column(wrap=True)), rows)]
        if len(lost) > MOST_LOST:
            page.append(Line(f"and {len(lost) - MOST_LOST} more: --format json", "dim"))
        page.append(Line())
    page += [Line(text, "dim") for text in _legend(found, sized)]
    return [*page, Line(), *notes(found.notes), *defaults_taken(found.assumptions)]


def asked_told(found: Plan) -> str:
    """Return the demand and the levels, in a line."""
    a = found.asked
    amount = (
        f"{format_rate(a.requests_per_s, '', 3).strip()} requests/s" if a.users is None else f"{a.users:,.0f} users"
    )
    peak = "" if a.peak == 1 else f", {a.peak:.3g} times as much at the peak"
    lengths = f"{format_count(round(a.input_tokens))} tokens in, {format_count(round(a.output_tokens))} out in the mean"
    named = (("ttft", a.ttft), ("tpot", a.tpot))
    levels = [f"{name.upper()} {_marked(found, name, told)}" for name, told in named if told]
    return f"{amount}{peak}; {lengths}; levels: {', '.join(levels)}"


def short(binds: str | None) -> str:
    """Return what binds a fleet without the level, which stands above."""
    if binds is None:
        return ""
    names = {"time to first token": "TTFT", "time per output token": "TPOT"}
    told = binds.partition(":")[0]
    return " and ".join(names.get(each.partition(",")[0], each) for each in told.split(" and "))


def missed(fleet: PlannedFleet) -> str:
    """Return what fewer GPUs miss, and by how much."""
    by = fleet.missed_by
    return short(fleet.binds) + (f" by {format_percent(by, 2)}" if by is not None and 0 < by < FAR - 1 else "")


def fleet_name(fleet: PlannedFleet) -> str:
    """Return the GPUs of a fleet: of pools apart those that prefill first."""
    if fleet.prefill_gpu is None:
        return fleet.gpu
    return f"{fleet.prefill_gpu} → {fleet.gpu}" if fleet.prefill_gpu != fleet.gpu else f"{fleet.gpu}, pools apart"


def prices_of(fleet: PlannedFleet) -> str:
    """Return what a GPU-hour costs, of two kinds that of those that prefill first, as their names stand."""
    own = format_price(fleet.usd_per_gpu_hour)
    if fleet.prefill_gpu in (None, fleet.gpu):
        return own
    return f"{format_price(fleet.prefill_usd_per_gpu_hour)} → {own}"


def _told(found: Plan, best: PlannedFleet) -> Iterator[tuple[str, str]]:
    own = (best.gpus or 0) - (best.prefill_gpus or 0)
    replicas = f"{counted(best.replicas or 0, 'replica')} of {counted(best.replica_gpus or 0, 'GPU')}, {best.layout}"
    pool = ""
    if best.prefill_gpus:
        pool = f", and {best.prefill_gpus:,} × {best.prefill_gpu} that prefill, {best.prefill_layout} each"
    yield "Fleet", f"{own:,} × {best.gpu}: {replicas}{pool}"
    if best.max_num_seqs:
        yield "Limit", f"--max-num-seqs {best.max_num_seqs}: requests beyond it wait, so that those that run keep TPOT"
    if best.off_peak_gpus != best.gpus:
        when = "in the quietest hour" if found.load_by_hour else "at the mean load"
        off = counted(best.off_peak_gpus or 0, "GPU")
        yield "Off peak", f"{off} {when}, {counted(best.off_peak_replicas or 0, 'replica')}"
    if best.usd_per_month is not None:
        month = f"{format_usd(best.usd_per_month)} a month"
        if limits := span(best.usd_per_month_range, format_usd):
            month += f" {limits}"
        if best.usd_per_month_by_hour is not None:
            month += f"; {format_usd(best.usd_per_month_by_hour)} where GPUs follow the hours"
        yield "Cost", month
        tokens, request = format_usd(best.usd_per_million_tokens), format_usd(best.usd_per_request)
        mixed = best.prefill_gpu not in (None, best.gpu)
        of = f"{best.gpu}: " if mixed else ""
        yield "Price", f"{of}{_marked(found, 'price', format_price(best.usd_per_gpu_hour))} per GPU-hour, {best.price}"
        if mixed:
            price = _marked(found, "price", format_price(best.prefill_usd_per_gpu_hour))
            yield "", f"{best.prefill_gpu}: {price} per GPU-hour, {best.prefill_price}"
        each = "" if best.usd_per_user_month is None else f", {format_usd(best.usd_per_user_month)} per user and month"
        yield "At this demand", f"{tokens} per M tokens, prompts and answers together; {request} per request{each}"
    if (r := best.replay) is not None:
        first, each = ((told or "p50").split()[0] for told in (found.asked.ttft, found.asked.tpot))
        kept = f"{'kept' if r.meets else 'missed'} its levels in {counted(r.seeds, 'replay')}"
        waits = f"TTFT {first} {seconds(r.ttft_s)}, TPOT {each} {seconds(r.tpot_s)}"
        waits += " in the mean" if r.seeds > 1 else ""
        yield "Replayed", f"{kept} of {counted(r.requests, 'request')}: {waits}"
        if r.tightest is not None and r.chance is not None:
            level, value, ends = (
                (found.asked.ttft, r.ttft_s, r.ttft_s_range)
                if r.tightest == "ttft"
                else (found.asked.tpot, r.tpot_s, r.tpot_s_range)
            )
            told = f"{r.tightest.upper()} {level}: replayed {seconds(value)} {span(ends, seconds)}"
            yield "How sure", f"{told}; by that range the level holds in {_of_ten(r.chance)} of 10 cases"
    if best.headroom is not None:
        yield "Headroom", _headroom(best.headroom)
    least = found.lower_bound_gpus.get(best.gpu, 0)
    bound = f"; no scheduler does it with fewer than {least:,}"
    yield "Binds", f"{best.binds}{bound if least > 1 and best.prefill_gpu in (None, best.gpu) else ''}"
    weights, cache = (_marked(found, name, getattr(best, name)) for name in ("weights", "kv_cache"))
    yield "Precision", f"weights {weights}, KV cache {cache}"
    engine = "the ideal bound of the data sheet"
    if best.backend is not None:
        engine = f"as measured, overheads of {_marked(found, 'backend', best.backend)}"
    yield "Efficiency", engine


def _marked(found: Plan, name: str, text: str) -> str:
    return text + (MARK if any(each.name == name for each in found.assumptions) else "")


def _of_ten(chance: float) -> str:
    return "less than 1" if chance < 0.05 else "more than 9" if chance > 0.95 else f"{chance * 10:.0f}"


def _headroom(share: float) -> str:
    kept = f"{format_percent(share, 2)}: levels are kept, replayed, at {1 + share:.3g} times the peak"
    beyond = next((each for each in MULTIPLES if each > 1 + share + 1e-9), None)
    if beyond is None:
        return f"at least {kept}; more was not tried"
    return f"{kept if share else 'none'}{',' if share else ':'} not at {beyond:.3g} times"


def _grid(fleets: Sequence[PlannedFleet]) -> Grid:
    columns = [
        *numbers("#"), Column("GPU"), *numbers("GPUs"), RANGE, *numbers("off peak"), Column("replicas"),
        *numbers("$/GPU-h"), Column("$/month", right=True, role="headline"), RANGE,
        *numbers("$/M", "$/request", "$/user month"), Column("fewer miss"), *numbers("TTFT", "TPOT", "seeds"),
        Column("why not", wrap=True),
    ]  # fmt: skip
    rows = [[str(number), *_row(each)] for number, each in enumerate(fleets, start=1)]
    return filled_grid(columns, rows)


def _row(fleet: PlannedFleet) -> list[str]:
    pool = "" if not fleet.prefill_gpus else f" + {fleet.prefill_gpus:,} {fleet.prefill_layout}"
    limit = f" ≤ {fleet.max_num_seqs}" if fleet.max_num_seqs else ""
    limits = span(fleet.gpus_range, lambda value, _: f"{value:,.0f}")
    r = fleet.replay
    return [
        fleet_name(fleet),
        f"{fleet.gpus:,}",
        limits,
        "" if fleet.off_peak_gpus == fleet.gpus else f"{fleet.off_peak_gpus:,}",
        f"{fleet.replicas:,} × {fleet.layout}{limit}{pool}",
        prices_of(fleet),
        format_usd(fleet.usd_per_month),
        span(fleet.usd_per_month_range, format_usd),
        format_usd(fleet.usd_per_million_tokens),
        format_usd(fleet.usd_per_request),
        "" if fleet.usd_per_user_month is None else format_usd(fleet.usd_per_user_month),
        missed(fleet),
        seconds(r.ttft_s) if r else "",
        seconds(r.tpot_s) if r else "",
        f"{r.seeds}" if r else "",
        fleet.why_not or "",
    ]


def _legend(found: Plan, sized: Sequence[PlannedFleet]) -> Iterator[str]:
    if not sized:
        return
    yield (
        "TTFT and TPOT: at the statistic of the level, the mean of the seeds. Fewer miss: the level that the smaller"
        " fleet that comes nearest misses. ≤ N: --max-num-seqs N, where TPOT asks for it."
    )
    if sized[0].replay and sized[0].replay.seeds > 1:
        yield "The first was replayed at length with every seed; others once, shortly: they take at least these GPUs."
    bounds = ", ".join(f"{gpu} {least:,}" for gpu, least in found.lower_bound_gpus.items() if least > 1)
    if bounds:
        yield f"A perfect scheduler, whose replicas are always full, would take at the peak: {bounds} GPUs."
