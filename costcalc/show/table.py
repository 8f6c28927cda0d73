"""An estimate as a page: the headline first, then what it stands on."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.explore.result import CostResult, DeploymentResult, Estimate, MemoryResult
from costcalc.readable import NOTHING, format_bytes, format_count, format_percent, format_rate, format_usd
from costcalc.show.blocks import Block, Column, Grid, Line, Role
from costcalc.show.market import market
from costcalc.show.numbers import bar, dollars_span, seconds, span, speed, usd
from costcalc.show.parts import defaults_taken, marked, notes

BAR = 20
Row = tuple[str, str, str, str]
_KINDS: tuple[Role, ...] = ("memory", "compute", "communication", "overhead")


def estimate_page(result: Estimate) -> list[Block]:
    """Return an estimate as a page.

    result: the estimate.
    """
    return [
        *_title(result),
        *_headline(result),
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


def _headline(result: Estimate) -> Iterator[Block]:
    rows = [*_money(result.cost), *_speeds(result)]
    if _is_term(result):
        # A term of the bill has no prefill: what was not asked for is left out, rather than shown as unknown.
        rows = [row for row in rows if row[1] != NOTHING]
        rows.append(("Batch", marked(result, "batch", f"{result.workload.batch:,}"), "", ""))
    else:
        rows.append(("Users at once", marked(result, "batch", f"{result.workload.batch:,}"), "", _room(result)))
    rows.append(("Bound by", result.decode.bound_by or NOTHING, "", _why(result)))
    columns = (Column(), Column(right=True), Column(role="dim"), Column(role="dim", keep=1, wrap=True))
    roles: dict[tuple[int, int], Role] = {
        (number, 1): "headline" if row[0].startswith("$") else "value" for number, row in enumerate(rows)
    }
    yield Grid(columns, rows, roles)
    if any(row[2] for row in rows):
        yield Line("In brackets: the range that holds in 8 of 10 cases.", "dim", indent=2)
    if result.decode.step_time_s is not None and not _is_term(result):
        yield Line(_decoding_alone(result), "dim", indent=2, wrap=True)
    yield Line()


def _is_term(result: Estimate) -> bool:
    """Whether reads of the cache or the weights alone were counted."""
    return result.prefill.time_s is None and result.decode.step_time_s is not None


def _money(cost: CostResult) -> list[Row]:
    return [
        (
            "$ per M output tokens",
            usd(cost.usd_per_million_output_tokens),
            dollars_span(cost.usd_per_million_output_tokens_range),
            "GPU time of decoding",
        ),
        (
            "$ per M input tokens",
            usd(cost.usd_per_million_input_tokens),
            dollars_span(cost.usd_per_million_input_tokens_range),
            "GPU time of prefill",
        ),
        (
            "$ per M tokens, blended",
            usd(cost.usd_per_million_blended_tokens),
            dollars_span(cost.usd_per_million_blended_tokens_range),
            "passes of prefill and steps of decode, by this mix",
        ),
    ]


def _speeds(result: Estimate) -> list[Row]:
    decode, serving, gpus = result.decode, result.serving, result.deployment.gpus
    if _is_term(result):
        pace = ("Tokens/s per user", decode.tokens_per_s_per_user, decode.tokens_per_s_per_user_range, "")
        whole = (decode.tokens_per_s_per_gpu, decode.tokens_per_s_per_gpu_range, f"{speed(decode.tokens_per_s)} in all")
    else:
        served = "of both pools" if result.workload.disaggregated else "served, prefills included"
        in_all = f"; {speed(serving.output_tokens_per_s)} in all" if gpus > 1 or serving.prefill_gpus else ""
        whole = (serving.output_tokens_per_s_per_gpu, serving.output_tokens_per_s_per_gpu_range, served + in_all)
        pace = (
            "Tokens/s per user",
            serving.tokens_per_s_per_user,
            serving.tokens_per_s_per_user_range,
            "1 / time per output token",
        )
    return [
        ("Tokens/s per GPU", speed(whole[0]), span(whole[1], speed), whole[2]),
        (pace[0], speed(pace[1]), span(pace[2], speed), pace[3]),
        (
            "Time per output token",
            seconds(serving.time_per_output_token_s),
            span(serving.time_per_output_token_s_range, seconds),
            "prefills run elsewhere" if result.workload.disaggregated else "with prefills in between",
        ),
        (
            "Time to first token",
            seconds(serving.time_to_first_token_s),
            span(serving.time_to_first_token_s_range, seconds),
            f"{format_count(result.workload.input_tokens)} tokens in",
        ),
    ]


def _decoding_alone(result: Estimate) -> str:
    """What a step yields while no prompt is prefilled: more than a service does, so never the headline."""
    decode = result.decode
    when = "The decode pool alone" if result.workload.disaggregated else "Decoding alone, while no prompt is prefilled"
    return (
        f"{when}: {speed(decode.tokens_per_s_per_gpu)} tokens/s per GPU, "
        f"{speed(decode.tokens_per_s_per_user)} per user; a step takes {seconds(decode.step_time_s)}."
    )


def _room(result: Estimate) -> str:
    most, replicas = result.memory.max_sequences, result.deployment.replicas
    if not result.memory.fits:
        return "the model does not fit"
    if replicas == 1:
        return f"of {most:,} that fit"
    return f"of {most:,} that fit one of {replicas:,} replicas: {result.workload.batch * replicas:,} in all"


def _why(result: Estimate) -> str:
    """What the bound takes of a step, and the op that takes most of it."""
    bound = [op for op in result.breakdown if op.bound_by == result.decode.bound_by]
    longest = max(bound, key=lambda op: op.time_s, default=None)
    if longest is None:
        return ""
    share = format_percent(sum(op.time_s for op in bound) / _total(result), 2)
    if len(bound) == 1:
        return f"{share} of a step: {longest.op}"
    return f"{share} of a step; {longest.op} {format_percent(longest.time_s / _total(result), 2)}"


def _total(result: Estimate) -> float:
    return sum(op.time_s for op in result.breakdown) or 1.0


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
        *_offer(machine),
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


def _offer(machine: DeploymentResult) -> Iterator[tuple[str, str]]:
    told = ", ".join(filter(None, (machine.price_kind, machine.price_provider, machine.price_date)))
    if told:
        yield "", told


def _is_default(result: Estimate, name: str) -> bool:
    return any(each.name == name for each in result.assumptions)


def _serving_rows(result: Estimate) -> Iterator[tuple[str, str]]:
    load, share = result.workload, result.serving.prefill_share
    if load.draft_tokens:
        kept = marked(result, "acceptance", f"{load.tokens_per_step:.3g}")
        drafted = f"{load.draft_tokens} token{'s' if load.draft_tokens > 1 else ''} drafted per step"
        yield "Speculation", f"{drafted}, {kept} tokens out of one"
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
    if not _is_term(result):
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
    total = _total(result)
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
