"""An estimate as a page: the headline first, then what it stands on."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.explore.result import Estimate, MemoryResult
from costcalc.readable import counted, format_bytes, format_count, format_percent, format_rate, format_usd
from costcalc.show.basis import price_terms
from costcalc.show.blocks import Block, Column, Grid, Line, Role
from costcalc.show.headline import headline, is_term, step_seconds
from costcalc.show.market import market
from costcalc.show.numbers import bar, seconds
from costcalc.show.parts import defaults_taken, marked, notes
from costcalc.show.unmet import unmet

BAR = 20
_KINDS: tuple[Role, ...] = ("memory", "compute", "communication", "overhead")


def estimate_page(result: Estimate) -> list[Block]:
    """Return an estimate as a page.

    result: the estimate.
    """
    return [
        *_title(result),
        *unmet(result),
        *headline(result),
        *_demand(result),
        *_deployment(result),
        *_memory(result),
        *_breakdown(result),
        *market(result),
        *notes(result.notes),
        *defaults_taken(result.assumptions),
    ]


def _demand(result: Estimate) -> Iterator[Block]:
    if result.demand is not None:
        from costcalc.show.demand import demand

        yield from demand(result)


def _title(result: Estimate) -> Iterator[Block]:
    machine = result.deployment
    pool = result.serving.prefill_gpus
    pools = "" if pool is None else f" for decode, and {_pool_size(pool)} for prefill"
    yield Line(f"{result.model.name} on {machine.gpus} × {machine.gpu}{pools}", "title")
    total, active = result.model.parameters.total, result.model.parameters.active
    yield Line(
        f"{format_count(total, 3)} parameters, {format_count(active, 3)} active; "
        f"{result.model.layers} layers; {result.model.attention}",
        "dim",
        wrap=True,
    )
    yield Line()


def _deployment(result: Estimate) -> Iterator[Block]:
    machine, load = result.deployment, result.workload
    precision = machine.precision
    price = format_usd(machine.usd_per_gpu_hour)
    usd_per_hour = machine.usd_per_gpu_hour
    hourly = None if usd_per_hour is None else usd_per_hour * (machine.gpus + (result.serving.prefill_gpus or 0.0))
    gpus = f"{marked(result, 'gpus', str(machine.gpus))} × {machine.gpu}"
    if machine.replicas > 1:
        gpus += f", {machine.replicas} replicas"
    if machine.idle_gpus:
        gpus += f", {machine.idle_gpus} of them idle"
    layout = (
        f"tensor {machine.tensor_parallel}, pipeline {machine.pipeline_parallel}, "
        f"expert {machine.expert_parallel}, attention data {machine.attention_data_parallel}"
    )
    backend = "the best of every engine" if machine.backend == "best" else str(machine.backend)
    engine = machine.efficiency if machine.efficiency == "ideal" else marked(result, "backend", backend)
    rows = [
        ("GPUs", gpus),
        ("Price", f"{marked(result, 'price', price)} per GPU-hour, {format_usd(hourly)} per hour in all"),
        *(("", terms) for terms in [price_terms(machine)] if terms),
        ("Layout", marked(result, "layout", layout)),
        (
            "Precision",
            f"weights {marked(result, 'weights', precision.weights)}, KV cache "
            f"{marked(result, 'kv_cache', precision.kv_cache)}, activations {precision.activations}",
        ),
        (
            "Load",
            f"{marked(result, 'input_tokens', format_count(load.input_tokens))} tokens in, "
            f"{marked(result, 'output_tokens', format_count(load.output_tokens))} out, "
            f"decode at {marked(result, 'context_tokens', format_count(load.context_tokens))} of context"
            + (f", {format_percent(load.cached_share)} of the input cached" if load.cached_share else ""),
        ),
        (
            "Efficiency",
            "the ideal bound of the data sheet"
            if machine.efficiency == "ideal"
            else f"as measured, overheads of {engine}",
        ),
    ]
    if "utilization" in {each.name for each in result.assumptions} or machine.utilization < 1:
        busy = marked(result, "utilization", format_percent(machine.utilization))
        rows.append(("Utilization", f"{busy} of the paid hours"))
    rows += _serving_rows(result)
    yield Line("Deployment", "heading")
    yield Grid((Column(), Column(wrap=True)), rows)
    if machine.price_source and not _is_default(result, "price"):
        yield Line(f"Price: {machine.price_source}", "dim", wrap=True, indent=2)
    yield Line()


def _is_default(result: Estimate, name: str) -> bool:
    return any(each.name == name for each in result.assumptions)


def _serving_rows(result: Estimate) -> Iterator[tuple[str, str]]:
    load, share = result.workload, result.serving.prefill_share
    if load.draft_tokens:
        kept = marked(result, "acceptance", f"{load.tokens_per_step:.3g}")
        drafted = counted(load.draft_tokens, "token")
        yield "Speculation", f"{drafted} drafted per step, {kept} tokens out of one"
    pool = result.serving.prefill_gpus
    if load.disaggregated and pool is not None and share is not None:
        yield (
            "Pools",
            (
                f"decode on {result.deployment.gpus} GPUs, prefill on {_pool_size(pool)} of their own: "
                f"{format_percent(share, 2)} of the GPU time, so that neither waits"
            ),
        )


def _pool_size(gpus: float) -> str:
    """GPUs of a prefill pool, which is sized to the decode pool and so seldom whole."""
    return f"{gpus:,.0f}" if gpus >= 100 or gpus == round(gpus) else f"{gpus:.2g}"


def _memory(result: Estimate) -> Iterator[Block]:
    cache = result.kv_cache
    if not is_term(result):
        capacity = result.memory.capacity_bytes_per_gpu
        yield Line(f"Memory of a GPU: {format_bytes(capacity, 3)}", "heading")
        yield _memory_grid(result.memory)
    fixed = f" and {format_bytes(cache.fixed_bytes_per_sequence)} at most" if cache.fixed_bytes_per_sequence else ""
    yield Line(
        f"KV cache: {cache.bytes_per_token:,.0f} B per token{fixed}, {format_bytes(cache.bytes_per_sequence)} per "
        f"sequence; one output token reads {format_bytes(cache.bytes_read_per_token)} of it.",
        wrap=True,
        indent=2,
    )
    yield Line()


def _memory_grid(memory: MemoryResult) -> Grid:
    capacity = memory.capacity_bytes_per_gpu
    parts = [("weights", memory.weights_bytes_per_gpu), ("KV cache pool", max(0.0, memory.kv_pool_bytes_per_gpu))]
    rest = capacity - sum(size for _, size in parts)
    parts += [("workspace and reserve", rest)] if rest > 0 else []
    rows = [
        (name, format_bytes(size, 3), format_percent(size / capacity, 2), bar(size / capacity, BAR))
        for name, size in parts
    ]
    columns = (
        Column(),
        Column(right=True),
        Column(right=True, role="dim"),
        Column(role="memory", keep=1, drawing=True),
    )
    return Grid(columns, rows)


def _breakdown(result: Estimate) -> Iterator[Block]:
    if not result.breakdown:
        return
    total = step_seconds(result)
    longest = max(op.time_s for op in result.breakdown)
    yield Line(f"One decode step: {seconds(result.decode.step_time_s, 4)}", "heading")
    rows = [
        (
            op.op,
            seconds(op.time_s),
            format_percent(op.time_s / total, 2),
            bar(op.time_s / longest, BAR),
            op.bound_by,
            format_bytes(op.bytes, 3) if op.bytes else "",
            format_rate(op.flops, "FLOP", 3) if op.flops else "",
        )
        for op in result.breakdown
    ]
    roles: dict[tuple[int, int], Role] = {}
    for number, op in enumerate(result.breakdown):
        kind: Role = next((each for each in _KINDS if each == op.bound_by), "text")
        roles[number, 3] = roles[number, 4] = kind
    yield Grid(
        (
            Column("op"),
            Column("time", right=True),
            Column("share", right=True),
            Column("", keep=2, drawing=True),
            Column("bound by"),
            Column("bytes", right=True, role="dim", keep=1),
            Column("work", right=True, role="dim", keep=1),
        ),
        rows,
        roles,
    )
    yield Line()
