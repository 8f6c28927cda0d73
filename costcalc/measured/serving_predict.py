"""Predict serving measurements: the engine's steps and prefills through the closed forms of serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from costcalc.arrays import Number
from costcalc.engine.calibrated import calibrated_efficiency
from costcalc.engine.memory import MemoryBudget, kv_pool_bytes_per_gpu, max_sequences
from costcalc.engine.mixed import RidingWork, riding_seconds, riding_work
from costcalc.engine.serving import (
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
from costcalc.engine.speculation import tokens_per_pass
from costcalc.engine.step import (
    Step,
    decode_overhead_seconds,
    drafting,
    hidden_seconds,
    layers_seconds,
    overlap_share,
    prediction_share,
    prefill_overhead_seconds,
)
from costcalc.engine.timing import Efficiency, op_times
from costcalc.engine.work import Batch, Work, decode_batch, prefill_batch, step_work
from costcalc.measured.model import Array
from costcalc.measured.serving_case import OFFLINE, STATIC_OFFLINE
from costcalc.measured.serving_conditions import month_of
from costcalc.measured.serving_group import ServingGroup
from costcalc.specs.serving import ServingEfficiency

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
    step: Sequence[Work]
    riding: RidingWork | None
    prompts: Array  # riding together
    prefill: Sequence[Work]
    plain: tuple[Batch, Sequence[Work]] | None = None  # a step without drafts, where there are any


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of a group's rows."""

    step: Array
    prefill: Array  # a pass of its own; of a static batch, all of its prompts
    joining: Array  # of the replica's time, per request that is prefilled beside decode


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
        prefill = step_work(model, layout, formats, prefill_batch(fresh, cached, together))
    riding = riding_work(model, layout, formats, batch, fresh, prompts, cached, tokens) if rides else None
    plain = None
    if group.drafts.any():
        alone = decode_batch(batch, context, layout)
        plain = (alone, step_work(model, layout, formats, alone))
    return GroupWork(batch, passing, step_work(model, layout, formats, passing), riding, prompts, prefill, plain)


def group_times(group: ServingGroup, work: GroupWork, efficiency: Efficiency, slower: Number = 1.0) -> Times:
    """Time the work of a group [s]; `slower`: what it took in engines of its time, over what it takes now."""
    model, machine = group.model, group.machine
    overlap = overlap_share(group.layout, machine, efficiency)

    def timed(works: Sequence[Work], overhead: Number) -> Step:
        ops = tuple(op_times(works, machine, efficiency))
        return Step(ops, overhead, hidden_seconds(ops, overlap))

    step = timed(work.step, decode_overhead_seconds(model, efficiency, work.passing))
    if work.plain is not None:
        alone, works = work.plain
        plain = timed(works, decode_overhead_seconds(model, efficiency, alone))
        step = replace(step, drafting=drafting(model, plain, efficiency, group.drafts))
    overhead = layers_seconds(model, efficiency) + prefill_overhead_seconds(model, efficiency)
    prefill = np.asarray(timed(work.prefill, overhead).seconds)
    joining = prefill
    if work.riding is not None:
        joining = riding_seconds(model, work.riding, machine, efficiency, step.ops, overlap) / work.prompts
    return Times(np.asarray(step.seconds) * slower, prefill * slower, joining * slower / group.layout.data)


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
    interference = np.where(group.online & ~group.apart, times.joining, 0.0)
    tpot = np.asarray(time_per_output_token(times.step, interference, batch, output, accepted))
    generation = output * tpot
    wait, steps = _waits(group, times, requests, room, generation, constants)
    startup = float(constants.backends[group.backend].startup)
    ttft = np.asarray(time_to_first_token(times.step, times.prefill, startup, steps, wait))
    running = np.minimum(requests, room)
    decoding = np.where(group.online, sequences_decoding(requests, generation, ttft, room), running)
    offline = offline_tokens_per_s(times.step, times.joining, running, output, fusion_norm)
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
