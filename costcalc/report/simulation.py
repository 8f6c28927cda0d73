"""The page of a simulation: what users saw, what the fleet did, what it cost at this load."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.replay.results import Fleet, LoadPoint, Percentiles, Simulation
from costcalc.report.page import HEAD_ENDS, Block, Column, Grid, Line, filled_grid, notes, numbers, seconds, speed
from costcalc.units import counted, format_count, format_percent, format_rate, format_seconds, format_usd

PERCENTILES = ("p50", "p90", "p95", "p99", "mean")


def simulation_page(found: Simulation) -> list[Block]:
    """Return a simulation as a page."""
    f = found.fleet
    page: list[Block] = [
        Line(f"{f.model} on {machines_told(f)}: {counted(found.requests, 'request')} replayed", "title"),
        Line(traffic_told(found), "dim"),
        Line(),
        *_warnings(found),
        _waits(found),
        HEAD_ENDS,
        Line("Fleet", "heading"),
        Grid((Column(), Column(wrap=True)), list(_fleet(found))),
        Line(),
    ]
    if found.loads:
        page += [Line("Against load", "heading"), _against_load(found), Line()]
    return [*page, *notes(found.notes)]


def machines_told(f: Fleet) -> str:
    """Return the GPUs of a fleet, those of a pool apart where they are others."""
    if f.prefill_gpu in (None, f.gpu):
        return f"{f.gpus} × {f.gpu}"
    return f"{f.gpus - (f.prefill_gpus or 0)} × {f.gpu} and {f.prefill_gpus} × {f.prefill_gpu}"


def traffic_told(found: Simulation) -> str:
    """Return what was replayed, in a line."""
    mean = f"{found.input_tokens:,.0f} tokens in and {found.output_tokens:,.0f} out in the mean"
    rate = "" if found.requests_per_s is None else f"; {speed(found.requests_per_s)} requests a second"
    seed = "" if found.seed is None else f"; seed {found.seed}"
    return f"{found.traffic}{rate}, {mean}{seed}"


def _warnings(found: Simulation) -> Iterator[Block]:
    if found.saturated:
        yield Line(
            "Saturated: the queue grew as long as requests came, and with more of them waits would be longer.", "bad"
        )
    if found.refused:
        yield Line(f"{counted(found.refused, 'request')} refused: longer than the cache of a replica.", "bad")
    if found.saturated or found.refused:
        yield Line()


def _waits(found: Simulation) -> Grid:
    def row(title: str, told: Percentiles) -> list[str]:
        return [title, *(seconds(getattr(told, each)) for each in PERCENTILES)]

    rows = [
        row("Time to first token", found.ttft_s),
        row("Time per output token", found.tpot_s),
        row("Whole answer", found.latency_s),
        row("Wait until admitted", found.queue.wait_s),
    ]
    return Grid([Column(), *numbers("P50", "P90", "P95", "P99", "mean")], rows)


def _fleet(found: Simulation) -> Iterator[tuple[str, str]]:
    f, cache = found.fleet, found.cache
    pool = f", {f.prefill_gpus} GPUs that prefill" if f.prefill_gpus else ""
    router = f", {found.router}" if f.replicas > 1 else ""
    yield (
        "Deployment",
        f"{f.layout}{pool}{router}; {f.backend or 'ideal'}, at most {f.max_num_seqs:,} sequences a replica",
    )
    yield "Output", f"{speed(found.output_tokens_per_s)} tokens/s over {format_seconds(found.duration_s, 3)}"
    yield "At work", f"{format_percent(found.utilization)} of the time; {speed(found.running)} requests run in the mean"
    queue = f"{speed(found.queue.mean)} in the mean, {found.queue.most:,} at most"
    lost = f"; {counted(found.preemptions, 'preemption')} for a full cache" if found.preemptions else ""
    yield "Queue", queue + lost
    held = "" if cache.occupancy is None else f"{format_percent(cache.occupancy)} held by running requests"
    size = "" if f.cache_tokens is None else f" of {format_count(f.cache_tokens)} tokens a replica"
    yield "Cache", f"{held}{size}; {format_percent(cache.hit_rate)} of the prompts' tokens found in it"
    if found.goodput is not None:
        limits = (("first token", found.ttft_limit_s), ("output token", found.tpot_limit_s))
        levels = ", ".join(f"{what} in {format_seconds(limit)}" for what, limit in limits if limit is not None)
        good = f"{format_percent(found.goodput.share)} of requests, {speed(found.goodput.requests_per_s)} a second"
        yield "Goodput", f"{good}: {levels}"
    for each in found.levels:
        what = "to first token" if each.of == "ttft" else "per output token"
        found_s, limit = format_seconds(each.found_s), format_seconds(each.limit_s)
        yield (
            "Level",
            f"{'kept' if each.kept else 'missed'}: {each.statistic} of time {what} {found_s}, asked for {limit}",
        )
    if found.usd_per_million_output_tokens is not None:
        dollars = f"{format_usd(found.usd_per_million_output_tokens)} per M output tokens"
        of_all = f"{format_usd(found.usd_per_million_blended_tokens)} per M tokens in and out"
        request = f"{format_usd(found.usd_per_request)} per request"
        yield "Cost", f"{dollars}, {of_all}, {request}, idle time and prompts included"


def _against_load(found: Simulation) -> Grid:
    columns = numbers(
        "load", "requests/s", "TTFT P50", "P95", "P99", "TPOT P50", "P95", "P99", "at work", "goodput", "$/M out"
    )
    rows = [_load_row(each) for each in found.loads]
    return filled_grid([*columns, Column()], rows)


def _load_row(point: LoadPoint) -> list[str]:
    return [
        f"{point.load:g}",
        format_rate(point.requests_per_s, "", 3).strip(),
        *(seconds(getattr(point.ttft_s, each)) for each in ("p50", "p95", "p99")),
        *(seconds(getattr(point.tpot_s, each)) for each in ("p50", "p95", "p99")),
        format_percent(point.utilization),
        "" if point.goodput is None else format_percent(point.goodput.share),
        format_usd(point.usd_per_million_output_tokens),
        "saturated" if point.saturated else "",
    ]
