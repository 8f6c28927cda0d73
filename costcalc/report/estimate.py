"""An estimate as a page: headline, deployment, memory, a step op by op, list prices, formulas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from costcalc.hardware.prices import OLD_MONTHS
from costcalc.predict.predict import UNBOUNDED
from costcalc.predict.results import DemandResult, DeploymentResult, Estimate, MemoryResult
from costcalc.report.market import market
from costcalc.report.owning import electricity_of_a_month, energy_block, owned_block
from costcalc.report.page import (
    HEAD_ENDS,
    MARK,
    Block,
    Column,
    Grid,
    Line,
    Role,
    bar,
    defaults_taken,
    marked,
    notes,
    numbers,
    quantity,
    seconds,
    speed,
    times,
    users,
)
from costcalc.report.verdict import verdict
from costcalc.units import (
    NOTHING,
    capital,
    counted,
    format_binary,
    format_bytes,
    format_count,
    format_percent,
    format_power,
    format_price,
    format_rate,
)
from costcalc.units import format_usd as usd

_MEDIAN = "median"


def price_terms(machine: DeploymentResult) -> str:
    """Return what a price is, such as 'on-demand, Lambda, 2025-09-16, 12 months old'; nothing where none is known."""
    if machine.usd_per_gpu_hour is None:
        return ""
    if machine.price_kind is None:
        return "as given"
    if (machine.price_source or "").startswith("--set"):
        return f"{machine.price_kind}, as set by --set"
    age = machine.price_age_months or 0
    old = f"{age} months old" if age > OLD_MONTHS else None
    told = ", ".join(filter(None, (machine.price_kind, machine.price_provider, machine.price_date, old)))
    return told if machine.price_provider else f"default of its profile: {told}"


def price_basis(machines: Iterable[DeploymentResult]) -> str:
    """Return the price that all are charged and its terms, or what the prices have in common."""
    priced = [each for each in machines if each.usd_per_gpu_hour is not None]
    offers = {(each.usd_per_gpu_hour, price_terms(each)) for each in priced}
    if not offers:
        return "no price per GPU-hour is known"
    if len(offers) == 1:
        [(price, terms)] = offers
        return f"{format_price(price)} per GPU-hour, {terms}"
    kinds = sorted({each.price_kind or "as given" for each in priced})
    if len(kinds) > 1:
        return f"prices per GPU-hour of different kinds: {', '.join(kinds)}"
    providers = {each.price_provider or "" for each in priced}
    if "" in providers:
        return "each GPU at the default price of its profile" if kinds != ["as given"] else "prices as given"
    whose = "median of providers" if any(each.startswith(_MEDIAN) for each in providers) else " or ".join(providers)
    return f"{kinds[0]} prices per GPU-hour, {whose}"


# Limits of time that an answer does not keep: by how much, and what comes nearest.


_NEAR = 2.0
"""A limit that is broken by less than this factor is told by the percentage."""


def unmet(result: Estimate) -> Iterator[Block]:
    """Yield what an estimate breaks of its limits, and what it is all the same; nothing where it keeps them."""
    if result.limits.kept is not False:
        return
    yield Line(f"Limit not met: {', and '.join(_broken(result))}.", "bad", indent=2)
    yield Line(_nearest(result), indent=2)
    yield Line()


def _broken(result: Estimate) -> Iterator[str]:
    for name in ("time_per_output_token_s", "time_to_first_token_s"):
        reached, limit = quantity(f"serving.{name}", result), getattr(result.limits, name)
        if reached.value is not None and limit is not None and reached.value > limit:
            ratio = reached.value / limit
            over = f"{times(ratio)} the limit" if ratio >= _NEAR else f"{format_percent(ratio - 1, 2)} over the limit"
            yield f"{reached.title[0].lower()}{reached.title[1:]} is {reached.text}, {over} of {seconds(limit)}"


def _nearest(result: Estimate) -> str:
    """What was chosen is what comes nearest; what was asked for may stand in the way."""
    chosen = {each.name for each in result.assumptions}
    machine, batch = result.deployment, result.workload.batch
    people = f"{users(batch)} user{'' if batch == 1 else 's'} at once"
    if machine.replicas > 1:
        people += " on each replica"
    asked = [option for name, option in (("batch", "--batch"), ("layout", "the layout")) if name not in chosen]
    if "batch" not in chosen:
        return f"This is what was asked for, {people}; leave {' and '.join(asked)} out to get the nearest to it."
    weighed = "No batch and no layout that was weighed keeps it" if "layout" in chosen else "No batch keeps it"
    more = "" if "gpus" in chosen else "; another --gpus may come nearer"
    return f"{weighed}. This is the nearest: {people}, {machine.layout}{more}. The dollars are its own."


# The first lines of an estimate: dollars, speeds, users and what bounds them.


def headline(result: Estimate) -> Iterator[Block]:
    """Yield the dollars, speeds, users and bound of an estimate, and what its brackets mean."""
    shown = [(quantity(path, result), why) for path, why in _headline_numbers(result)]
    # A term of the bill has no prefill: what was not asked for is left out, rather than shown as unknown. So are the
    # dollars of a GPU without a price, which verdict and notes tell.
    unpriced = result.deployment.usd_per_gpu_hour is None
    rows = [
        (each.title, each.text, each.range, why)
        for each, why in shown
        if each.text != NOTHING or not (is_term(result) or (unpriced and each.unit.startswith("$")))
    ]
    rows.append(_at_once(result))
    rows.append(("Bound by", result.decode.bound_by or NOTHING, "", _why(result)))
    roles: dict[tuple[int, int], Role] = {
        (number, 1): "headline" if row[0].startswith("$") else "value" for number, row in enumerate(rows)
    }
    yield Grid(
        (Column(), Column(right=True), Column(role="dim", beside=True), Column(role="dim", wrap=True)), rows, roles
    )
    if any(row[2] for row in rows):
        yield Line("In brackets: the range that holds in 8 of 10 cases.", "dim", indent=2)
    yield from _at_list_prices(result)
    if result.decode.step_time_s is not None and not is_term(result):
        yield Line(_decoding_alone(result), "dim", indent=2)
    yield HEAD_ENDS


def _at_list_prices(result: Estimate) -> Iterator[Block]:
    """What the dollars would be at the lowest and the highest price of the kind that is charged."""
    asked, cost = result.deployment.price_range, result.cost.usd_per_million_output_tokens_price_range
    if asked and cost:
        per_hour = " to ".join(map(format_price, asked))
        told = " to ".join(map(usd, cost))
        kind = "Published owners'" if result.deployment.owned else capital(result.deployment.price_kind or "")
        yield Line(f"{kind} prices run from {per_hour} per GPU-hour: {told} per M output tokens.", "dim", indent=2)


HEADLINE = (
    "cost.usd_per_million_output_tokens",
    "cost.usd_per_million_input_tokens",
    "cost.usd_per_million_blended_tokens",
    "cost.usd_per_request",
    "serving.output_tokens_per_s_per_gpu",
    "serving.tokens_per_s_per_user",
    "serving.time_per_output_token_s",
    "serving.time_to_first_token_s",
)
"""Paths of the numbers that come first."""
_OF_A_TERM = {
    "serving.output_tokens_per_s_per_gpu": "decode.tokens_per_s_per_gpu",
    "serving.tokens_per_s_per_user": "decode.tokens_per_s_per_user",
}
"""What stands in their place where a term of the bill alone is counted, which serves nobody."""


def _headline_numbers(result: Estimate) -> Iterator[tuple[str, str]]:
    """Yield the paths of the numbers that come first, and what is said of each."""
    apart, serving = result.workload.disaggregated, result.serving
    several = result.deployment.gpus > 1 or serving.prefill_gpus
    served = "over the GPUs of both pools" if apart else "served, prefills included"
    in_all = f"; {speed(serving.output_tokens_per_s)} in all" if several else ""
    told = (
        "of the GPUs that decode" if apart else "GPU time of decoding",
        "of those that prefill" if apart else "GPU time that prompts take",
        "of both pools, by this mix" if apart else "all GPU time, by this mix",
        "a prompt and its answer",
        served + in_all,
        "1 / time per output token",
        "prefills run elsewhere" if apart else "with prefills in between",
        f"{format_count(result.workload.input_tokens)} tokens in",
    )
    of_a_term = {
        "decode.tokens_per_s_per_gpu": f"{speed(result.decode.tokens_per_s)} in all",
        "decode.tokens_per_s_per_user": "",
    }
    for path, said in zip(HEADLINE, told, strict=True):
        other = _OF_A_TERM.get(path, path) if is_term(result) else path
        yield other, of_a_term.get(other, said)


def is_term(result: Estimate) -> bool:
    """Whether reads of the cache or the weights alone were counted."""
    return result.prefill.time_s is None and result.decode.step_time_s is not None


def _decoding_alone(result: Estimate) -> str:
    """What a step yields while no prompt is prefilled: more than a service does, so never the headline."""
    decode = result.decode
    apart = result.workload.disaggregated
    when = "Over the GPUs that decode alone" if apart else "Decoding alone, while no prompt is prefilled"
    return (
        f"{when}: {speed(decode.tokens_per_s_per_gpu)} tokens/s per GPU, "
        f"{speed(decode.tokens_per_s_per_user)} per user; a step takes {seconds(decode.step_time_s)}."
    )


def _at_once(result: Estimate) -> tuple[str, str, str, str]:
    """The batch, or the users of all replicas together, of whom each replica has its batch."""
    batch, replicas = result.workload.batch, result.deployment.replicas
    if is_term(result) or replicas == 1:
        shown = marked(result, "batch", users(batch))
        return ("Batch", shown, "", "") if is_term(result) else ("Users at once", shown, "", _room(result))
    return "Users at once", users(batch * replicas), "", _room(result)


def _room(result: Estimate) -> str:
    most, replicas = result.memory.max_sequences, result.deployment.replicas
    if not result.memory.fits:
        return "the model does not fit"
    if most >= UNBOUNDED:
        return "memory sets no limit to them"
    more = result.workload.batch > most  # a scheduler that reserves a part of each answer runs more
    if replicas == 1:
        return f"where {most:,} fit with whole answers" if more else f"of {most:,} that fit"
    each, machines = marked(result, "batch", users(result.workload.batch)), f"each of {replicas:,} replicas"
    if more:
        return f"where {most * replicas:,} fit with whole answers: {each} where {most:,} do, on {machines}"
    return f"of {most * replicas:,} that fit: {each} of {most:,} on {machines}"


def _why(result: Estimate) -> str:
    """What the bound takes of a step, and the op that takes most of it."""
    bound = [op for op in result.breakdown if op.bound_by == result.decode.bound_by]
    longest = max(bound, key=lambda op: op.time_s, default=None)
    if longest is None:
        return ""
    share = format_percent(sum(op.time_s for op in bound) / step_seconds(result), 2)
    if len(bound) == 1:
        return f"{share} of a step: {longest.op}"
    return f"{share} of a step; {longest.op} {format_percent(longest.time_s / step_seconds(result), 2)}"


def step_seconds(result: Estimate) -> float:
    """Return the time of all ops of a decode step [s], 1 where there are none."""
    return sum(op.time_s for op in result.breakdown) or 1.0


# What a demand takes, as a block of an estimate.


def demand_asked(found: DemandResult) -> str:
    """Return a demand in words: users, requests and output tokens."""
    users = "" if found.users is None else f"{found.users:,.0f} users, who ask again at once: "
    rate = f"{format_rate(found.requests_per_s, '', 3).strip()} requests/s"
    speeds = found.tokens_per_s_per_user
    each = "" if speeds is None else f", {speed(speeds)} tokens/s each while answered"
    return f"{users}{rate}, {format_count(found.output_tokens_per_s, 4)} output tokens/s{each}"


def demand(result: Estimate) -> Iterator[Block]:
    """Yield the GPUs and the dollars that the demand asked for takes, where one was."""
    found = result.demand
    if found is None:
        return
    machine = result.deployment
    each = (machine.gpus - machine.idle_gpus) // machine.replicas
    pool = found.gpus - each * found.replicas
    replicas = f"{counted(found.replicas, 'replica')} of {counted(each, 'GPU')}"
    replicas += f" and {pool:,} for prefill" if pool else ""
    use = "" if machine.utilization == 1 else f" at {format_percent(machine.utilization)} utilization"
    what = f"what {'it' if found.replicas == 1 else 'they'} can serve{use}"
    if found.users is not None:
        seats = result.workload.batch * found.replicas
        what = f"the {format_count(seats, 4)} users whom they hold, {users(result.workload.batch)} each"
    takes = f"{counted(found.gpus, 'GPU')}: {replicas}, {format_percent(found.load, 2)} of {what}"
    yield Line("Demand", "heading")
    yield Line(f"Asked for: {demand_asked(found)}.", indent=2)
    yield Line(f"It takes {takes}.", indent=2)
    if found.usd_per_month is not None:
        yield Line(
            f"It costs {usd(found.usd_per_hour)} per hour, {usd(found.usd_per_month)} per month of 730 hours.", indent=2
        )
        yield Line(
            f"Of all its GPUs, busy or not, that is {usd(found.usd_per_million_tokens)} per million tokens in and out, "
            f"{usd(found.usd_per_million_output_tokens)} per million output tokens, their prompts included, "
            f"{usd(found.usd_per_request)} per request"
            + (
                ""
                if found.usd_per_user_month is None
                else f", {usd(found.usd_per_user_month)} per user and month, of one who asks again at once"
            )
            + ".",
            indent=2,
        )
    yield Line()


def _owned(result: Estimate) -> Iterator[Block]:
    """Yield what the price is made of, where it is an owner's."""
    cost = result.deployment.owned
    if cost is not None:
        yield from owned_block(cost, result.cost.usd_per_million_output_tokens)
        drawn, asked = result.energy.watts_per_gpu, result.demand
        if asked is not None and asked.usd_per_hour is not None and "busy" not in cost.terms.typed:
            busy = asked.load * result.deployment.utilization
            yield Line(
                f"For this demand a GPU is busy {format_percent(busy, 2)} of the hours, and costs "
                f"{usd(asked.usd_per_hour / asked.gpus)} an hour: its electricity is that of a month under Demand.",
                indent=2,
            )
        if drawn is not None:
            typed = cost.terms.typed
            own = [] if "draw" in typed else [f"draw={drawn / cost.limit_watts:.0%}"]
            paid, needed = electricity_of_a_month(result, cost)
            as_typed = ", as typed" if "draw" in typed else ""
            yield Line(
                f"The price has {usd(paid)} of electricity a month, at {format_percent(cost.terms.draw)} of a GPU's "
                f"limit while it works by the owner's terms{as_typed}; this load draws {format_power(drawn)} while "
                f"it works, {usd(needed)} a month (under Energy)"
                f"{': ' * bool(own)}{', '.join(own)}{' in --owned puts that into the price' * bool(own)}.",
                indent=2,
            )
            yield Line()


# An estimate as a page: the headline first, then what it stands on.


BAR = 20
_BOUNDS: tuple[Role, ...] = ("memory", "compute", "communication", "overhead")


def estimate_page(result: Estimate) -> list[Block]:
    """Return an estimate as a page."""
    return [
        Line(verdict(result), "headline"),
        Line(),
        *_title(result),
        *unmet(result),
        *headline(result),
        *demand(result),
        *_deployment(result),
        *_owned(result),
        *_memory(result),
        *_breakdown(result),
        *energy_block(result),
        *market(result),
        *notes(result.notes),
        *defaults_taken(result.assumptions),
    ]


def _title(result: Estimate) -> Iterator[Block]:
    machine = result.deployment
    pool = result.serving.prefill_gpus
    pools = "" if pool is None else f" for decode, and {pool_size(pool)} for prefill"
    yield Line(f"{result.model.name} on {machine.gpus} × {machine.gpu}{pools}", "title")
    total, active = result.model.parameters.total, result.model.parameters.active
    yield Line(
        f"{format_count(total, 3)} parameters, {format_count(active, 3)} active; "
        f"{result.model.layers} layers; {result.model.attention}",
        "dim",
    )
    yield Line()


def _deployment(result: Estimate) -> Iterator[Block]:
    machine, load, precision = result.deployment, result.workload, result.deployment.precision

    def told(name: str, value: str | float) -> str:
        return marked(result, name, value if isinstance(value, str) else format_count(value))

    each = machine.usd_per_gpu_hour
    hourly = None if each is None else each * (machine.gpus + (result.serving.prefill_gpus or 0.0))
    gpus = f"{told('gpus', str(machine.gpus))} × {machine.gpu}"
    gpus += f", {machine.replicas} replicas" if machine.replicas > 1 else ""
    gpus += f", {machine.idle_gpus} of them idle" if machine.idle_gpus else ""
    load_told = (
        f"{told('input_tokens', load.input_tokens)} tokens in, {told('output_tokens', load.output_tokens)} out, "
        f"decode at {told('context_tokens', load.context_tokens)} of context"
    )
    chosen = {each.name for each in result.assumptions}
    backend = "the best of every engine" if machine.backend == "best" else str(machine.backend)
    efficiency = "the ideal bound of the data sheet"
    if machine.efficiency != "ideal":
        how = told("tuning", "as documented") if "tuning" in chosen else "by a tuned recipe"
        efficiency = f"as measured, overheads of {told('backend', backend)}, started {how}"
    rows = [
        ("GPUs", gpus),
        *(
            [("Price", f"{told('price', format_price(each))} per GPU-hour, {usd(hourly)} per hour in all")]
            if each is not None
            else []
        ),
        *(("", terms) for terms in [price_terms(machine)] if terms),
        ("Layout", told("layout", degrees(machine))),
        (
            "Precision",
            f"weights {told('weights', precision.weights)}, KV cache {told('kv_cache', precision.kv_cache)}, "
            f"activations {precision.activations}",
        ),
        (
            "Load",
            load_told + (f", {format_percent(load.cached_share)} of the input cached" if load.cached_share else ""),
        ),
        ("Efficiency", efficiency),
        *(("Settings", typed) for typed in [machine.settings] if typed),
    ]
    if "utilization" in chosen or machine.utilization < 1:
        rows.append(("Utilization", f"{told('utilization', format_percent(machine.utilization))} of the paid hours"))
    rows += _serving_rows(result)
    yield Line("Deployment", "heading")
    yield Grid((Column(), Column(wrap=True)), rows)
    if machine.price_source and "price" not in chosen:
        yield Line(f"Price: {machine.price_source}", "dim", indent=2)
    yield Line()


def degrees(machine: DeploymentResult) -> str:
    """Return the degrees of a layout in words: 'tensor 8, pipeline 1, expert 8, attention data 1'."""
    return (
        f"tensor {machine.tensor_parallel}, pipeline {machine.pipeline_parallel}, "
        f"expert {machine.expert_parallel}, attention data {machine.attention_data_parallel}"
        + (f", context {machine.context_parallel}" if machine.context_parallel > 1 else "")
    )


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
                f"decode on {result.deployment.gpus} GPUs, prefill on {pool_size(pool)} of their own: "
                f"{format_percent(share, 2)} of the GPU time{_waiting(result)}"
            ),
        )


def _waiting(result: Estimate) -> str:
    """Whether decode waits for the pool that prefills."""
    decoding, served = result.decode.tokens_per_s, result.serving.output_tokens_per_s
    if decoding is None or served is None:
        return ""
    if served < decoding * (1 - 1e-9):
        return f"; decode waits for it, and could bring {format_rate(decoding, 'tokens/s')}"
    return ", enough that decode does not wait"


OF_POOLS = (
    "Pools apart: tok/s GPU is over the GPUs of both; $/M out and decode tok/s GPU are of those that decode, $/M in of "
    "those that prefill."
)
"""Which GPUs a column counts where prefill has its own."""


def pool_size(gpus: float) -> str:
    """GPUs of a prefill pool, which is sized to the decode pool and so seldom whole."""
    return f"{gpus:,.0f}" if gpus >= 100 or gpus == round(gpus) else f"{gpus:.2g}"


def layers_there(result: Estimate, where: str = "there") -> list[str]:
    """Which layers are in host memory, where llama.cpp puts them there, in clauses; where: words for it."""
    memory, count = result.memory, result.model.layers
    mark = MARK if any(each.name == "layers on the GPU" for each in result.assumptions) else ""
    told = []
    if memory.gpu_layers is not None and memory.gpu_layers <= count:
        told.append(f"{memory.gpu_layers}{mark} of {count + 1} layers are on the GPU")
    if memory.host_expert_layers:
        told.append(f"the experts of {memory.host_expert_layers}{mark} of {count} layers are {where}")
    return told


def _memory(result: Estimate) -> Iterator[Block]:
    cache = result.kv_cache
    if not is_term(result):
        capacity = result.memory.capacity_bytes_per_gpu
        yield Line(f"Memory of a GPU: {format_binary(capacity)} ({format_bytes(capacity, 3)})", "heading")
        yield _memory_grid(result.memory)
        if result.memory.host_bytes is not None:
            room = result.memory.host_capacity_bytes
            of = "" if room is None else f" of the {format_binary(room)} there"
            held = f"{format_binary(result.memory.host_bytes)}{of}"
            yield Line(f"In host memory: {'; '.join([held, *layers_there(result)])}.", indent=2)
        yield Line("GiB of 1,073,741,824 B, as nvidia-smi and the logs of engines count.", "dim", indent=2)
    each = f"{cache.bytes_per_token:,.0f} B per token"
    if cache.fixed_bytes_per_sequence:
        each = f"{cache.bytes_per_token:,.0f} B per further token, windows and states "
        each += f"{format_bytes(cache.fixed_bytes_per_sequence)} at most"
    yield Line(
        f"KV cache: {each}, {format_bytes(cache.bytes_per_sequence)} per "
        f"sequence; one output token reads {format_bytes(cache.bytes_read_per_token)} of it.",
        indent=2,
    )
    yield Line()


def _memory_grid(memory: MemoryResult) -> Grid:
    capacity = memory.capacity_bytes_per_gpu
    parts = [("weights", memory.weights_bytes_per_gpu), ("KV cache pool", max(0.0, memory.kv_pool_bytes_per_gpu))]
    rest = capacity - sum(size for _, size in parts)
    parts += [("workspace and reserve", rest)] if rest > 0 else []
    rows = [
        (name, format_binary(size), format_percent(size / capacity, 2), bar(size / capacity, BAR))
        for name, size in parts
    ]
    columns = (Column(), Column(right=True), Column(right=True, role="dim"), Column(role="memory", drawing=True))
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
            op.bound_by,
            format_bytes(op.bytes, 3) if op.bytes else "",
            format_rate(op.flops, "FLOP", 3) if op.flops else "",
            bar(op.time_s / longest, BAR),
        )
        for op in result.breakdown
    ]
    columns = (
        Column("op"),
        *numbers("time", "share"),
        Column("bound by"),
        Column("bytes", right=True, role="dim"),
        Column("work", right=True, role="dim"),
        Column(drawing=True),
    )
    bounds = enumerate(bound_role(op.bound_by) for op in result.breakdown)
    yield Grid(columns, rows, {(number, at): role for number, role in bounds for at in (3, 6)})
    yield Line()


def bound_role(bound: str | None) -> Role:
    """Return the role of what bounds a step."""
    return next((each for each in _BOUNDS if each == bound), "text")
