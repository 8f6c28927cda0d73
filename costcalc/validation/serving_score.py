"""Serving rows predicted and scored, with the range of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from costcalc.catalog.read import serving_efficiency
from costcalc.engine.efficiency import calibrated_efficiency
from costcalc.engine.latency import IDEAL, Efficiency, op_times
from costcalc.engine.memory import MemoryBudget, kv_pool_bytes_per_gpu, max_sequences
from costcalc.engine.ops import Batch, Op, decode_batch, prefill_batch, step_ops
from costcalc.engine.queueing import (
    burst_wait_seconds,
    cohort_wait_seconds,
    memory_wait_seconds,
    offline_tokens_per_s,
    pool_prefill_seconds,
    prefill_queue_seconds,
    sequences_decoding,
    static_tokens_per_s,
    time_per_output_token,
    time_to_first_token,
)
from costcalc.engine.step import (
    ChunkedPrefill,
    Step,
    chunked_prefill,
    decode_overhead_seconds,
    drafting,
    hidden_seconds,
    layers_seconds,
    overlap_share,
    prediction_share,
    prefill_interference_seconds,
    prefill_overhead_seconds,
    tokens_per_pass,
)
from costcalc.errors import CostcalcError
from costcalc.fields import Number
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.validation.files import Row
from costcalc.validation.kernel_rows import Array
from costcalc.validation.serving_rows import (
    OFFLINE,
    STATIC,
    STATIC_OFFLINE,
    Case,
    ServingGroup,
    describe_serving,
    month_of,
    serving_groups,
)

ROUNDS = 10
"""Of the fixed point between the batch, its step and the waits."""
ROUGHLY = 6
"""Of the same where ways to split pools are only compared."""
OLDEST = 12.0
"""Months: engines of an earlier time are not measured."""
SMALLEST_PREFILL = 4.0
"""GPUs: half as many are the smallest prefill pool that InferenceX's recipes set beside a decode worker."""
LEAST_SHARE = 0.25
"""Of a replica that prefills where a recorded count leaves none for it: the count cannot be that of both pools."""


@dataclass(frozen=True, slots=True)
class GroupWork:
    """All work of a group's rows at one batch: a decode step, prompts that ride on it, a prefill of its own."""

    batch: Array  # sequences of a replica
    passing: Batch
    step: Sequence[Op]
    riding: ChunkedPrefill | None
    prompts: Array  # riding together
    prefill: Sequence[Op]
    plain: tuple[Batch, Sequence[Op]] | None = None  # a step without drafts, where there are any


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a group's rows."""

    step: Array
    prefill: Array  # a pass of its own; of a static batch, all of its prompts
    interference: Array  # of the replica's time, per request that is prefilled beside decode


@dataclass(frozen=True, slots=True)
class Answers:
    """What a group's rows would measure."""

    tpot: Array  # [s]
    ttft: Array  # [s]
    tokens_per_s: Array  # output of one replica, offline
    batch: Array  # sequences that decode at a time


def group_work(
    group: ServingGroup, batch: Array, constants: ServingEfficiency, start: GroupWork | None = None
) -> GroupWork:
    """Work of the rows when `batch` [sequences] decode on each replica; `start` lends its prefill."""
    model, layout, formats, loop = group.model, group.layout, group.formats, constants.closed_loop
    cached = group.input_tokens * np.where(group.reused, loop.reused_prompt, 0.0)
    fresh = group.input_tokens - cached
    context = group.input_tokens + group.output_tokens / 2
    tokens = group.drafts + 1.0
    passing = decode_batch(batch, context, layout, tokens)
    prompts = np.where(group.kind == OFFLINE, np.maximum(loop.prefill_tokens / group.input_tokens, 1.0), 1.0)
    rides = constants.backends[group.backend].mixes_prefill or bool(np.any(group.kind == OFFLINE))
    if start is not None:
        prefill = start.prefill
    else:
        together = np.where(group.online | (group.kind == OFFLINE), 1.0, batch / layout.data)
        prefill = step_ops(model, layout, formats, prefill_batch(fresh, cached, together))
    riding = chunked_prefill(model, layout, formats, batch, fresh, prompts, cached, tokens) if rides else None
    plain = None
    if group.drafts.any():
        alone = decode_batch(batch, context, layout)
        plain = (alone, step_ops(model, layout, formats, alone))
    return GroupWork(batch, passing, step_ops(model, layout, formats, passing), riding, prompts, prefill, plain)


def group_times(group: ServingGroup, work: GroupWork, efficiency: Efficiency, slower: Number = 1.0) -> Times:
    """Time the work of a group [s]; `slower`: what it took in engines of its time, over what it takes now."""
    model, machine = group.model, group.machine
    overlap = overlap_share(group.layout, machine, efficiency)

    def timed(works: Sequence[Op], overhead: Number) -> Step:
        ops = tuple(op_times(works, machine, efficiency))
        return Step(ops, overhead, hidden_seconds(ops, overlap))

    step = timed(work.step, decode_overhead_seconds(model, efficiency, work.passing))
    if work.plain is not None:
        alone, works = work.plain
        plain = timed(works, decode_overhead_seconds(model, efficiency, alone))
        step = replace(step, drafting=drafting(model, plain, efficiency, group.drafts))
    overhead = layers_seconds(model, efficiency) + prefill_overhead_seconds(model, efficiency)
    prefill = np.asarray(timed(work.prefill, overhead).seconds)
    interference = prefill
    if work.riding is not None:
        interference = (
            prefill_interference_seconds(model, work.riding, machine, efficiency, step.ops, overlap) / work.prompts
        )
    return Times(np.asarray(step.seconds) * slower, prefill * slower, interference * slower / group.layout.data)


def slowness(group: ServingGroup, constants: ServingEfficiency) -> Array:
    """How much longer the rows took when they were measured than in engines of the constants' month [1]."""
    if not group.model.has_experts:
        return np.ones(len(group))
    age = np.clip(np.nan_to_num(month_of(constants.as_of) - group.month), 0.0, OLDEST)
    return np.where(group.online, np.exp(constants.maturing * age), 1.0)


def times_then(group: ServingGroup, work: GroupWork, constants: ServingEfficiency) -> Times:
    """Time the work of a group [s], in the engines of the month that its rows were measured in."""
    efficiency = calibrated_efficiency(constants, group.machine, group.backend)
    return group_times(group, work, efficiency, slowness(group, constants))


def capacity(group: ServingGroup, constants: ServingEfficiency) -> Array:
    """Sequences that a replica's memory holds, output reserved as schedulers do; at least one."""
    engine = constants.backends[group.backend]
    share = np.where(group.online, constants.memory_utilization, constants.closed_loop.memory_utilization)
    drafting_layers = np.where(group.drafts > 0, prediction_share(group.model), 0.0)
    budget = MemoryBudget(share, float(constants.memory_reserve), engine.frees_memory, drafting_layers)
    pool = kv_pool_bytes_per_gpu(group.model, group.machine, group.layout, group.formats, budget)
    length = group.input_tokens + group.output_tokens * engine.reserved_output
    return np.maximum(max_sequences(group.model, group.layout, group.formats, pool, length), 1.0)


def offered(group: ServingGroup, room: Array, constants: ServingEfficiency) -> Array:
    """Requests at one replica: its share of the closed loop; offline as many as are scheduled."""
    waiting = np.minimum(room, constants.closed_loop.scheduled_sequences)
    return np.where(group.kind == OFFLINE, waiting, group.concurrency / group.workers)


def answers(
    group: ServingGroup,
    times: Times,
    batch: Array,
    room: Array,
    constants: ServingEfficiency,
    fusion_norm: float = 1.0,
) -> Answers:
    """Join the times of a group into what is measured, and the batch that they lead to.

    fusion_norm: how prompts overlap with decode where all requests queue; 1: they add.
    """
    loop = constants.closed_loop
    accepted = tokens_per_pass(loop.acceptance, group.drafts, loop.fading)
    output, requests = group.output_tokens, offered(group, room, constants)
    interference = np.where(group.online & ~group.apart, times.interference, 0.0)
    tpot = np.asarray(time_per_output_token(times.step, interference, batch, output, accepted))
    generation = output * tpot
    wait, steps = _waits(group, times, requests, room, generation, constants)
    startup = float(constants.backends[group.backend].startup)
    ttft = np.asarray(time_to_first_token(times.step, times.prefill, startup, steps, wait))
    running = np.minimum(requests, room)
    decoding = np.where(group.online, sequences_decoding(requests, generation, ttft, room), running)
    offline = offline_tokens_per_s(times.step, times.interference, running, output, fusion_norm)
    static = static_tokens_per_s(times.step, times.prefill, running, output)
    return Answers(
        tpot,
        np.where(group.online, ttft, times.prefill),
        np.where(group.kind == STATIC_OFFLINE, static, offline),
        np.asarray(decoding),
    )


def _waits(
    group: ServingGroup, times: Times, requests: Array, room: Array, generation: Array, constants: ServingEfficiency
) -> tuple[Array, Array]:
    """Seconds that a request waits, and the decode steps until it is admitted."""
    loop, backend = constants.closed_loop, constants.backends[group.backend]
    each = times.prefill / group.layout.data
    server = np.where(group.apart, pool_prefill_seconds(each, group.prefill_replicas, group.workers), each)
    running = np.minimum(requests, room)  # whoever waits for memory does not queue for prefill yet
    queue = prefill_queue_seconds(server, running, generation)
    burst = np.where(group.means, burst_wait_seconds(each, running, loop.first_burst), 0.0)
    cohort = np.where(group.equal_lengths, cohort_wait_seconds(each, running, loop.equal_lengths), 0.0)
    shared = np.where(group.apart, 0.0, burst + cohort)
    wait = queue + shared + memory_wait_seconds(requests, room, generation)
    balanced = (np.asarray(group.layout.data) > 1) & ~group.apart
    steps = backend.admission_steps + np.where(balanced, backend.balance_steps, 0.0)
    return np.asarray(wait), np.asarray(steps + group.held_steps)


def predict_group(group: ServingGroup, constants: ServingEfficiency, rounds: int = ROUNDS) -> tuple[Answers, GroupWork]:
    """Predict a group's rows: the fixed point of batch, times and waits; and the work at its batch."""
    room = capacity(group, constants)
    batch = np.minimum(offered(group, room, constants), room)
    work: GroupWork | None = None
    for _ in range(rounds):
        work = group_work(group, batch, constants, work)
        found = answers(group, times_then(group, work, constants), batch, room, constants)
        batch = np.sqrt(batch * found.batch)
    assert work is not None
    return found, work


def split_pools(group: ServingGroup, constants: ServingEfficiency) -> ServingGroup:
    """Choose how many decode replicas a deployment with pools apart has, where only its GPUs are recorded.

    Tensor-parallel workers serve few users fast: one prefill worker, the rest decode. Attention data parallelism
    serves many: the split that serves most requests per second.
    """
    if not group.apart.any():
        return group
    replica = np.asarray(group.layout.gpus, dtype=float)
    least = np.minimum(replica, SMALLEST_PREFILL) / 2
    best = np.full(len(group), -1.0)
    chosen = group
    for workers in range(1, int(np.max(group.gpus / replica)) + 1):
        left = group.gpus - workers * replica
        possible = group.apart & (left >= least)
        if not possible.any():
            break
        tried = replace(
            chosen,
            workers=np.where(possible, workers, chosen.workers),
            prefill_replicas=np.where(possible, left / replica, chosen.prefill_replicas),
        )
        found, _ = predict_group(tried, constants, ROUGHLY)
        rate = group.concurrency / (found.ttft + group.output_tokens * found.tpot)
        better = possible & ((np.asarray(group.layout.data) == 1) | (rate > best))
        best = np.where(better, rate, best)
        chosen = replace(
            chosen,
            workers=np.where(better, tried.workers, chosen.workers),
            prefill_replicas=np.where(better, tried.prefill_replicas, chosen.prefill_replicas),
        )
    alone = group.apart & (best < 0)  # no GPU is left: at least a share of a replica prefills
    spare = np.maximum((group.gpus - replica) / replica, LEAST_SHARE)
    return replace(chosen, prefill_replicas=np.where(alone, spare, chosen.prefill_replicas))


# Score serving measurements: every row predicted by the engine and the closed forms of serving, with its range.


BEATS_ROOFLINE = 0.995
"""A time below this share of the roofline was not measured under the conditions that the row states."""

Scored = dict[str, Any]

TPOT, TTFT, THROUGHPUT = "tpot_ms", "ttft_ms", "out_tok_s_gpu"


def serving_class(case: Case) -> str:
    """What a row counts as: ranges and errors are kept by it."""
    if case.kind in (OFFLINE, STATIC_OFFLINE):
        return "throughput"
    if case.kind == STATIC:
        return "static"
    if case.apart:
        return "pools"
    return "decode_experts" if case.experts else "decode"


LABELS = {
    "decode": "time per output token, dense",
    "decode_experts": "time per output token, experts",
    "pools": "time per output token, pools apart",
    "static": "time per output token, static batch",
    "throughput": "most output tokens per GPU",
    "prefill": "time to first token",
    "prefill_pools": "time to first token, pools apart",
}
"""Classes as tables show them."""


def first_token_class(case: Case) -> str:
    """The class of a row's time to first token."""
    return "prefill_pools" if case.apart else "prefill"


def resolve(rows: Sequence[Row]) -> tuple[list[Case], list[int], dict[int, str]]:
    """The rows that the engine can be asked, their numbers, and why the others cannot."""
    cases, index, refused = [], [], {}
    for number, row in enumerate(rows):
        try:
            cases.append(describe_serving(row))
            index.append(number)
        except CostcalcError as error:
            refused[number] = str(error)
    return cases, index, refused


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in the rows of one group, in SI; nan where it was not, or may not be used."""

    tpot: Array
    ttft: Array
    tokens_per_s_gpu: Array

    def take(self, chosen: Array) -> Measured:
        """The rows for which `chosen` is true."""
        return Measured(self.tpot[chosen], self.ttft[chosen], self.tokens_per_s_gpu[chosen])


def measured_of(rows: Sequence[Row], group: ServingGroup, chosen: Array | None = None) -> Measured:
    """What was measured in a group's rows [s, tokens/s]; nan where it was not, or where `chosen` is false."""
    use = np.ones(len(rows), dtype=bool) if chosen is None else chosen

    def of(name: str, wanted: Array, unit: float) -> Array:
        values = [
            (rows[i].get(name) or np.nan) * unit if use[i] and w else np.nan
            for i, w in zip(group.index, wanted, strict=True)
        ]
        return np.array(values, dtype=float)

    offline = (group.kind == OFFLINE) | (group.kind == STATIC_OFFLINE)
    return Measured(of(TPOT, ~offline, 1e-3), of(TTFT, ~offline, 1e-3), of(THROUGHPUT, offline, 1.0))


def bound(group: ServingGroup, work: GroupWork, constants: ServingEfficiency) -> Answers:
    """The ideal of a group's rows: the same work at the peaks, nothing added, every draft accepted."""
    loop = constants.closed_loop
    best = replace(
        loop,
        first_burst=0.0,
        equal_lengths=0.0,
        acceptance=1.0,
        fading=1.0,
    )
    backends = {
        name: replace(each, startup=0.0, admission_steps=0.0, balance_steps=0.0)
        for name, each in constants.backends.items()
    }
    ideal = replace(constants, closed_loop=best, backends=backends)
    alone = replace(group, prefill_replicas=np.full(len(group), np.inf))  # no queue before a pool apart
    room = np.where(group.online, np.inf, capacity(group, constants))
    return answers(alone, group_times(group, work, IDEAL), work.batch, room, ideal, np.inf)


def score_serving(
    kind: str,  # noqa: ARG001 - the signature of all scorers
    rows: Sequence[Row],
    efficiency: Any = None,  # noqa: ARG001
    constants: ServingEfficiency | None = None,
) -> list[Scored]:
    """Return every row with its prediction and error: `tpot_ms`, or `out_tok_s_gpu` where all requests queue.

    `ttft_ms_predicted` and its low, high and ape stand beside it. kind: 'e2e'. efficiency: of kernels, unused.
    constants: of serving, else those of the catalog.
    """
    constants = constants or serving_efficiency()
    cases, index, refused = resolve(rows)
    scored: list[Scored] = [_unpredicted(row, refused.get(number, "")) for number, row in enumerate(rows)]
    by_row = dict(zip(index, cases, strict=True))
    for group in serving_groups(cases, index):
        group = split_pools(group, constants)
        found, work = predict_group(group, constants)
        ideal = bound(group, work, constants)
        for position, number in enumerate(group.index):
            scored[number].update(_entry(rows[number], by_row[number], constants, group, found, ideal, position))
    return scored


def _entry(
    row: Row, case: Case, constants: ServingEfficiency, group: ServingGroup, found: Answers, ideal: Answers, at: int
) -> Scored:
    per_gpu = float(np.asarray(group.layout.gpus)[at])
    throughput = case.kind in (OFFLINE, STATIC_OFFLINE)
    name = serving_class(case)
    low, high = range_of(constants, name, case)
    if throughput:
        quantity, value, best = THROUGHPUT, found.tokens_per_s[at] / per_gpu, ideal.tokens_per_s[at] / per_gpu
        span = value * low, min(value * high, best)
    else:
        quantity, value, best = TPOT, found.tpot[at] * 1e3, ideal.tpot[at] * 1e3
        span = max(value * low, best), value * high
    entry: Scored = {
        "predicted": float(value), "low": float(span[0]), "high": float(span[1]), "ideal": float(best),
        "ape": _ape(value, row.get(quantity)), "quantity": quantity, "op_class": LABELS[name],
    }  # fmt: skip
    if not throughput:
        first = _first_token(row, case, constants, float(found.ttft[at]) * 1e3, float(ideal.ttft[at]) * 1e3)
        entry |= {f"{TTFT}_{part}": each for part, each in first.items()}
        if not row.get(TPOT) and row.get(TTFT):  # the time to first token is all that was measured
            quantity, best = TTFT, first["ideal"]
            entry |= {**first, "quantity": TTFT, "op_class": LABELS[first_token_class(case)]}
    warning = "; ".join((*case.mended, *case.warnings))
    return {**entry, "warning": warning, "excluded": _exclusion(row, case, quantity, float(best))}


def _first_token(row: Row, case: Case, constants: ServingEfficiency, value: float, best: float) -> Scored:
    low, high = range_of(constants, first_token_class(case), case)
    return {
        "predicted": value,
        "low": max(value * low, best),
        "high": value * high,
        "ideal": best,
        "ape": _ape(value, row.get(TTFT)),
    }


def range_of(constants: ServingEfficiency, name: str, case: Case) -> tuple[float, float]:
    """Observed over predicted at 10% and 90% for a case of a class of measurement."""
    return constants.range_of(name, case.machine.name, case.model.name, case.machine.architecture, case.backend)


def _exclusion(row: Row, case: Case, quantity: str, best: float) -> str:
    value = row.get(quantity)
    if not value:
        return "not measured"
    if row.get("suspect"):
        return f"suspect: {row['suspect']}"
    if float(np.asarray(case.layout.gpus)) > case.gpus:
        needed = f"a replica of {float(np.asarray(case.layout.gpus)):g} GPUs on {case.gpus:g}"
        return "; ".join((*case.mended, needed))
    if case.mended:
        return ""  # it was not run as it is predicted, which says nothing of the measurement
    faster = value > best / BEATS_ROOFLINE if quantity == THROUGHPUT else value < best * BEATS_ROOFLINE
    return "faster than the roofline: not measured as the row says" if faster else ""


def _ape(predicted: float, measured: float | None) -> float | None:
    return abs(float(predicted) / measured - 1) if measured else None


def _unpredicted(row: Row, reason: str) -> Scored:
    nothing = dict.fromkeys(("predicted", "low", "high", "ideal", "ape"))
    offline = "offline" in str(row.get("kind") or "").lower()
    quantity = THROUGHPUT if offline else TPOT
    return {**row, **nothing, "quantity": quantity, "op_class": "", "warning": "", "excluded": reason}
