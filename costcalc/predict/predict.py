"""The predictor: the engine joined into what one deployment does, over any array of batches, lengths and degrees.

`predict(scenario, parallelism, batch)` answers for a batch that decodes at once; `settled_batch` finds that batch where
a load was told instead (so many requests in a closed loop, all queued, or in one static batch). Estimates, searches,
sweeps, curves and the scores of benchmark rows all come from here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from costcalc.engine.latency.op_times import IDEAL, OpTime, op_times
from costcalc.engine.memory import (
    doubted_bytes,
    held_bytes_per_sequence,
    host_sequences,
    kv_pool_bytes_per_gpu,
    max_sequences,
)
from costcalc.engine.ops import OF_SEQUENCES, Batch, Op, decode_batch, prefill_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.queueing import (
    burst_wait_seconds,
    cohort_wait_seconds,
    memory_wait_seconds,
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
    drafting,
    overlap_share,
    prefill_interference_seconds,
    timed_decode,
    timed_prefill,
)
from costcalc.fields import Number, Record, total
from costcalc.predict.scenario import Scenario

UNBOUNDED = 10**9
"""Sequences, where no cache limits them."""
ROUNDS = 10
"""Of the fixed point between the batch that decodes, its step and the waits: the last one moves it by under 0.1%."""


class Passes(Record):
    """All that is to be done at one batch: a decode step, prompts that join it, and a prefill pass."""

    batch: Number  # [sequences] of a replica
    decoding: Batch
    step: Sequence[Op]
    plain: tuple[Batch, Sequence[Op]] | None  # a step without drafts, where there are any
    chunked: ChunkedPrefill | None  # prompts that join a decode step, where the engine lets them
    together: Number  # prompts that join one step on every rank that any join
    riding: Number  # share of the prompts that there are steps for; others have passes of their own
    prefill: Sequence[Op]  # with a prompt on every rank, as a pass of which more wait
    prompts: Number  # in one such pass of all stages and ranks together
    joining: Sequence[Op] | None  # with a prompt on those ranks alone that prefill at once, where not all do
    joining_prompts: Number  # in one such pass of all stages
    attending: Number | None  # and prompts whose attention ranks do at once, where those are others
    room: Number  # [sequences] that the scheduler runs at most, where a load is told


class PassTimes(Record):
    """The passes timed."""

    step: Step
    prefill: Step
    joining: Number  # [s] of the pass that a user's prompt is in
    interference: Number  # [s] of the replica that one more prompt takes from the running requests
    billed: Number  # [s] of the replica that a prompt is billed


class Prediction(Record):
    """Times and throughputs of one replica; arrays where the batch is one."""

    batch: Number  # [sequences] that decode at once
    step: Step  # decode
    prefill: Step
    prefill_prompts: Number  # prompts in one prefill pass of all stages and ranks together
    time_per_output_token: Number  # [s] while prefilling the others
    time_to_first_token: Number  # [s]
    interference: Number  # [s] of the replica that one more prompt takes from the running requests
    accepted: Number = 1  # [tokens] that a step yields for each sequence
    static: bool = False  # all prompts first, then all answers
    settles: Number = 0.0  # [sequences] that decode at once under these waits, where a load was told
    admission_steps: Number = 0.0  # decode steps until a request is admitted
    startup: Number = 0.0  # [s] of a request
    wait: Number = 0.0  # [s] for prefills ahead and for memory
    joining: Number = 0.0  # [s] of the prefill pass that a user's prompt is in
    billed: Number = 0.0  # [s] of the replica that a prompt is billed: its interference, at least the bound's

    def decode_tokens_per_s(self) -> Number:
        """Output tokens of one replica, decoding only [tokens/s]."""
        return self.batch * self.user_tokens_per_s()

    def user_tokens_per_s(self) -> Number:
        """Output tokens of one sequence, decoding only [tokens/s]."""
        return self.accepted / self.step.seconds

    def prefill_tokens_per_s(self, input_tokens: Number) -> Number:
        """Tokens that prefill passes of one replica take in, prompts of `input_tokens` [tokens] each [tokens/s]."""
        return self.prefill_prompts * input_tokens / self.prefill.seconds

    def request_seconds(self, output_tokens: Number) -> Number:
        """Time of one replica for a request, its prompt and `output_tokens` [tokens] [s]."""
        return self.interference + output_tokens / self.decode_tokens_per_s()

    def served_tokens_per_s(self, output_tokens: Number) -> Number:
        """Output tokens of one replica where every `output_tokens` [tokens] bring a prompt along [tokens/s]."""
        if self.static:
            step = self.step.seconds / self.accepted
            return static_tokens_per_s(step, self.prefill.seconds, self.batch, output_tokens)
        return output_tokens / self.request_seconds(output_tokens)

    def billed_tokens_per_s(self, output_tokens: Number) -> Number:
        """Output tokens of one replica in the time that `output_tokens` [tokens] are billed [tokens/s].

        Of a request's time all that its prompt is not: decode's, unless prompts are billed more than they took.
        """
        rest = output_tokens / (self.request_seconds(output_tokens) - self.billed)
        return np.where(np.greater(self.billed, self.interference), rest, self.decode_tokens_per_s())

    def prefill_share(self, output_tokens: Number) -> Number:
        """Share of a request's time that its prompt takes, before `output_tokens` [tokens] [0 to 1]."""
        return self.interference / self.request_seconds(output_tokens)

    def prefill_per_decode(self, output_tokens: Number) -> Number:
        """Replicas that prefill for one that decodes, so that neither waits, at `output_tokens` [tokens] each [1]."""
        return self.interference / (self.request_seconds(output_tokens) - self.interference)


def predict(
    scenario: Scenario, layout: Parallelism, batch: Number, replicas: Number = 1, full: bool = True
) -> Prediction:
    """What one replica does at `batch` [sequences] that decode at once; lengths, degrees and batch may be arrays.

    scenario: its lengths, conditions and the machine's rates may be arrays. layout: of one replica, or arrays of
    degrees. replicas: that share the load and the pool for prefill. full: whether `prefill` is of a pass with prompts
    on every rank; where times are all that is asked for, the pass that a user's prompt is in does.
    """
    passes = passes_of(scenario, layout, batch, full=full)
    return prediction_of(scenario, layout, passes, times_of(scenario, layout, passes), replicas)


def settled_batch(scenario: Scenario, layout: Parallelism, replicas: Number = 1, rounds: int = ROUNDS) -> Number:
    """Sequences of a replica that decode at once under the scenario's load: the fixed point of batch, times and waits.

    replicas: that share the load. rounds: how often the batch is found anew.
    """
    q = scenario
    room = running_at_most(q, layout)
    batch = np.minimum(requests_offered(q, room, replicas), room)
    if q.load.arrivals != "closed":  # as many as there are, or as fit
        return batch
    passes: Passes | None = None
    for _ in range(rounds - 1):
        passes = passes_of(q, layout, batch, passes)
        found = prediction_of(q, layout, passes, times_of(q, layout, passes), replicas)
        batch = np.sqrt(batch * found.settles)
    return batch


def passes_of(
    scenario: Scenario, layout: Parallelism, batch: Number, earlier: Passes | None = None, full: bool = True
) -> Passes:
    """Everything to be done at `batch` [sequences]; nothing of it depends on how fast hardware or engines are.

    earlier: of the same scenario and layout at another batch, whose full prefill and room are the same. full: whether
    a prefill with prompts on every rank is wanted beside that which a user's prompt is in.
    """
    q = scenario
    at, cached = q.decode_context, q.input_tokens * q.cached
    fresh = q.input_tokens - cached
    ranks = layout.attention_dp * layout.pp
    tokens = q.drafts + 1
    if q.recompute:
        decoding = prefill_batch(at, 0, np.maximum(np.asarray(batch, dtype=float) / ranks, 1.0))
    else:
        decoding = decode_batch(batch, at, layout, tokens, halves_of(q, layout))
    plain = None
    if np.any(q.drafts) and not q.recompute:
        alone = decode_batch(batch, at, layout)
        plain = (alone, step_ops(q.model, layout, q.formats, alone))
    apart, static = prefill_layout(q, layout), q.load.arrivals == "static"
    each = np.asarray(batch, dtype=float) / ranks if static else 1.0
    split, chunks = ranks_of_prompt(q), chunks_of(q, apart)
    prompts = batch if static else apart.attention_dp * apart.pp / split
    prefilling = prefilling_ranks(q, apart, batch)
    share, joining, joined = prefilling / apart.attention_dp, None, prompts
    attending: Number | None = None
    if np.any(q.cached) and np.any(share < 1):
        attending = prefilling_ranks(replace(q, cached=0.0), apart, batch) * apart.pp
    # In the bound a user's prompt is alone in its pass, and what all ranks prefill together costs least.
    beside = share if q.backend or static else 1 / apart.attention_dp
    if np.any(beside < 1):
        joining = step_ops(q.model, apart, q.formats, prefill_batch(fresh, cached, each, beside, chunks))
        joined = prefilling * apart.pp
    prefill: Sequence[Op]
    if joining is not None and not full and q.backend:
        prefill, prompts, joining = joining, joined, None
    elif earlier is not None and not static:
        prefill = earlier.prefill
    else:
        prefill = step_ops(q.model, apart, q.formats, prefill_batch(fresh, cached, each, 1.0, chunks, split))
    together: Number = 1.0
    chunked = None
    riding: Number = 1.0
    if mixes_prefill(q):
        together = prompts_together(q, layout, batch)
        if q.load.arrivals == "closed":
            riding = np.minimum(together * joined / (starting(q, batch) * chunks), 1.0)
        chunked = chunked_prefill(q.model, layout, q.formats, decoding, fresh, together, cached, share, chunks)
    ops = step_ops(q.model, layout, q.formats, decoding)
    room: Number = np.inf
    if q.options.load_told:
        room = running_at_most(q, layout) if earlier is None else earlier.room
    return Passes(
        batch, decoding, ops, plain, chunked, together, riding, prefill, prompts, joining, joined, attending, room
    )  # fmt: skip


def prefill_layout(scenario: Scenario, layout: Parallelism) -> Parallelism:
    """The layout of a worker that prefills: the one told, else that of the workers that decode."""
    load = scenario.load
    if not load.prefill_told:
        return layout
    degrees = (1 if told is None else told for told in (load.prefill_tp, load.prefill_dp, load.prefill_ep))
    tensor, data, expert = degrees
    return Parallelism(tensor, data * ranks_of_prompt(scenario), expert)


def ranks_of_prompt(scenario: Scenario) -> Number:
    """Attention-data ranks that share the tokens of each prompt [1]."""
    return 1 if scenario.load.prefill_cp is None else scenario.load.prefill_cp


def halves_of(scenario: Scenario, layout: Parallelism) -> Number:
    """Passes that a batch is cut into [1]: two where all-to-all is to hide behind the other half's computing."""
    if not scenario.options.two_batch_overlap:
        return 1
    exchanged = (np.asarray(layout.attention_dp) > 1) & (np.asarray(layout.ep) > 1) & scenario.model.has_experts
    return np.where(exchanged, 2, 1)


def tokens_of_pass(scenario: Scenario, layout: Parallelism) -> Number:
    """Prompt tokens that an engine takes into one pass on one attention-data rank [tokens]."""
    q = scenario
    assert q.budget.engine is not None
    sharing = layout.attention_dp / ranks_of_prompt(q) if q.budget.engine.ranks_share_step else 1
    return q.budget.tokens_of_step(q.machine) / sharing


def chunks_of(scenario: Scenario, layout: Parallelism) -> Number:
    """Passes that a prompt is cut into [1], each of which reads all weights: none in the ideal."""
    q = scenario
    if q.backend is None:
        return 1.0
    return np.maximum(q.input_tokens * (1 - q.cached) / tokens_of_pass(q, layout), 1.0)


def mixes_prefill(scenario: Scenario) -> bool:
    """Whether prompts join decode steps: where the engine lets them, and where all requests queue."""
    q = scenario
    if q.recompute or q.options.terms != "all" or q.load.arrivals == "static" or q.disaggregated:
        return False
    return q.backend is None or q.load.arrivals == "offline" or q.constants.engine(q.backend).mixes_prefill


def prompts_together(scenario: Scenario, layout: Parallelism, batch: Number) -> Number:
    """Prompts that join one decode step on every rank.

    A closed loop starts B/O requests per output token: where that is more than one per step, they share it.
    Where all requests queue, a step takes as many as its budget of tokens holds.
    """
    q = scenario
    if q.load.arrivals == "offline":
        return np.maximum(tokens_of_pass(q, layout) / q.input_tokens, 1.0)
    ranks = layout.attention_dp * layout.pp
    return np.maximum(starting(q, batch) / ranks, 1.0)


def starting(scenario: Scenario, batch: Number) -> Number:
    """Requests of a replica that end in a step and are followed by others [1]."""
    return np.asarray(batch, dtype=float) / scenario.output_tokens * scenario.tokens_per_step


def times_of(scenario: Scenario, layout: Parallelism, passes: Passes) -> PassTimes:
    """Time the passes [s] under the scenario's efficiency."""
    q, efficiency, terms = scenario, scenario.efficiency, scenario.options.terms
    given = q.model, q.machine, efficiency
    slower, apart = q.slower_by_age, prefill_layout(q, layout)
    chunks = chunks_of(q, apart)
    prefill = timed_prefill(passes.prefill, *given, slower, halves_of(q, apart), chunks)
    if q.recompute:
        step = timed_prefill(passes.step, *given, slower)
    else:
        # Each attention-data rank has a process of its own, which runs beside the GPU.
        host = passes.batch / layout.attention_dp * q.constants.engine(q.backend).host if q.backend else 0.0
        step = timed_decode(passes.step, passes.decoding, *given, terms, slower, host)
    if passes.plain is not None:
        undrafted, ops = passes.plain
        plain = timed_decode(ops, undrafted, *given, terms)
        step = replace(step, drafting=drafting(q.model, plain, efficiency, q.drafts))
    joining = prefill
    if passes.joining is not None:
        joining = timed_prefill(passes.joining, *given, 1.0, halves_of(q, apart), chunks)
    alone = joining if q.backend else prefill
    billed = interference = _of_one_prompt(passes, alone.current_seconds, alone.ops)
    if (work := passes.chunked) is not None:
        overlap = overlap_share(efficiency, halves_of(q, layout))
        attention = () if passes.attending is None else op_times(work.attention, q.machine, efficiency)

        def of_one(added: Number) -> Number:
            each = _of_one_prompt(passes, added, attention, work.steps) / passes.together
            # Where traffic over the network does not hide behind a joining prompt, a pass of its own is cheaper.
            return np.minimum(passes.riding * each + (1 - passes.riding) * interference, interference)

        added = prefill_interference_seconds(work, q.machine, efficiency, step.ops, overlap)
        billed = of_one(added)
        if q.backend:  # a difference of two times, and of none that was measured
            bound = op_times(passes.step, q.machine, IDEAL)
            least = prefill_interference_seconds(work, q.machine, IDEAL, bound, 1.0)
            billed = of_one(np.maximum(added, least))
        interference = of_one(np.maximum(added, 0.0))
    return PassTimes(step, prefill, joining.current_seconds * slower, interference * slower, billed * slower)


def _of_one_prompt(passes: Passes, seconds: Number, ops: Sequence[OpTime], times: Number = 1.0) -> Number:
    """The part of one prompt in what the prompts of a pass take [s].

    Of a shorter rest of prompts fewer meet, but each has its own attention: what is cached would make it dearer.
    ops: of the pass, which runs them so many times.
    """
    alike = seconds / passes.joining_prompts
    if passes.attending is None:
        return alike
    own = times * total(op.seconds for op in ops if op.kind in OF_SEQUENCES)
    apart = (seconds - own) / passes.joining_prompts + own / passes.attending
    return np.where(np.asarray(passes.attending) > passes.joining_prompts, apart, alike)  # bit for bit where they are


def prefilling_ranks(scenario: Scenario, layout: Parallelism, batch: Number) -> Number:
    """Attention-data ranks that prefill in the same pass, while the others wait for them [1].

    Experts hold all ranks of a pass back until the last one is done, so a pass takes as long as one prompt and costs
    each of those that share it its part. Requests end by chance, λ of them in a step, and are replaced in the same
    pass: where any join, it is λ / (1 - exp(-λ)) of them, the mean of a Poisson number that is not zero. A prompt
    that takes several steps meets those that come meanwhile. A pool of its own, and an engine that gathers prompts,
    have one for every rank.
    """
    q = scenario
    together = q.disaggregated or q.load.arrivals != "closed"
    if q.backend is None or together or q.constants.engine(q.backend).gathers_prompts:
        return layout.attention_dp
    others = np.maximum(np.asarray(batch, dtype=float) / layout.pp - 1, 0)
    ending = others / q.output_tokens * q.tokens_per_step
    if mixes_prefill(q):
        ending = ending * chunks_of(q, layout)
    return np.clip(ending / -np.expm1(-np.maximum(ending, 1e-9)), 1.0, layout.attention_dp)


def prediction_of(
    scenario: Scenario, layout: Parallelism, passes: Passes, times: PassTimes, replicas: Number = 1
) -> Prediction:
    """Join the times of the passes into what users see, and the batch that they lead to.

    replicas: that share the load and the pool for prefill.
    """
    q = scenario
    step, prefill = times.step.seconds, times.joining
    static = q.load.arrivals == "static"
    accepted = q.tokens_per_step
    # In pools apart decode waits for no prompt, nor does a batch that begins together.
    interrupted = 0.0 if q.disaggregated or static else times.interference
    interrupted = interrupted * (
        1 - cohort_share(q, layout) / 2
    )  # the median waits behind half of the prompts beside its own
    tpot = time_per_output_token(step, interrupted, passes.batch, q.output_tokens, accepted)
    generation = q.output_tokens * tpot
    room = passes.room
    requests = requests_offered(q, room, replicas) if q.options.load_told else passes.batch
    startup = startup_seconds(q)
    wait, steps = waits(q, layout, prefill / passes.joining_prompts, requests, room, generation, replicas)
    # Steps that a request waits for carry the prompts of others, as those of an answer do.
    ttft = time_to_first_token(tpot * accepted, prefill, startup, steps, wait)
    settles = sequences_decoding(requests, generation, ttft, room) if q.load.arrivals == "closed" else passes.batch
    return Prediction(
        np.asarray(passes.batch, dtype=float),
        times.step,
        times.prefill,
        passes.prompts,
        tpot,
        prefill if static else ttft,
        times.interference,
        accepted,
        static,
        settles,
        steps,
        startup,
        wait,
        times.joining,
        times.billed,
    )


def startup_seconds(scenario: Scenario) -> Number:
    """Time from a user to the engine and back, and what the engine takes of every request before its prompt [s]."""
    q = scenario
    return (q.constants.engine(q.backend).startup if q.backend else 0.0) + q.load.client_seconds


def waits(
    scenario: Scenario,
    layout: Parallelism,
    prefill: Number,
    requests: Number,
    room: Number,
    generation: Number,
    replicas: Number,
) -> tuple[Number, Number]:
    """Seconds that a request waits, and the decode steps until it is admitted.

    prefill: time of a replica for one prompt [s]. requests: at one replica. room: requests that it runs at most.
    generation: time of an answer [s]. replicas: that share a pool for prefill.
    """
    q, load = scenario, scenario.load
    least = 0.0 if q.disaggregated else 0.5  # of a step: requests come at any moment of one
    if q.backend is None:
        return 0.0, least
    engine, loop = q.constants.engine(q.backend), q.constants.closed_loop
    running = np.minimum(requests, room)  # whoever waits for memory does not queue for prefill yet
    shared: Number = 0.0
    steps = max(engine.admission_steps, least) + load.polling_steps
    if q.disaggregated:
        if load.prefill_gpus is None:  # a pool as large as it takes
            queue: Number = 0.0
        else:
            workers = load.prefill_gpus / prefill_layout(q, layout).gpus
            server = pool_prefill_seconds(prefill, workers, replicas)
            queue = prefill_queue_seconds(server, running, generation)
    else:
        queue = prefill_queue_seconds(prefill, running, generation)
        queue = np.maximum(queue, cohort_wait_seconds(prefill, running, cohort_share(q, layout)))
        shared = np.where(load.means, burst_wait_seconds(prefill, running, loop.first_burst), 0.0)
        shared = shared + neighbours(q, layout, running) * prefill
    return queue + shared + memory_wait_seconds(requests, room, generation), steps


def neighbours(scenario: Scenario, layout: Parallelism, batch: Number) -> Number:
    """Prompts of others in the step of one's own [prompts].

    Where prompts join decode steps, requests of equal lengths that were admitted together end together, and are
    replaced together: a step has as many prompts as its budget of tokens holds.
    """
    q = scenario
    if not mixes_prefill(q) or q.load.arrivals != "closed" or q.backend is None:
        return 0.0
    most = tokens_of_pass(q, layout) / (q.input_tokens * (1 - q.cached))
    beside = np.clip(most - 1, 0.0, np.maximum(np.asarray(batch, dtype=float) - 1, 0.0))
    return np.where(q.load.equal_lengths, beside, 0.0)


def cohort_share(scenario: Scenario, layout: Parallelism) -> Number:
    """Share of the requests of equal lengths that begin together [0 to 1]; 0 where lengths differ.

    A prompt that joins one decode step delays all others by its own time, so that they end one after the other; one
    that is spread over k steps lets k of them end before it is done, and all but 1/k of them wait together. An engine
    that stops decoding for prompts lets them end together.
    """
    q = scenario
    if q.backend is None or q.load.arrivals != "closed":
        return 0.0
    loop = q.constants.closed_loop
    if mixes_prefill(q):
        share: Number = 1 - 1 / chunks_of(q, layout)
    else:
        share = loop.equal_lengths
    return np.where(q.load.equal_lengths, share, 0.0)


def requests_offered(scenario: Scenario, room: Number, replicas: Number) -> Number:
    """Requests at one replica under the scenario's load: its share of them, or as many as the scheduler runs.

    room: that it runs at most. replicas: that share the load.
    """
    load = scenario.load
    if load.arrivals == "offline":
        if load.requests is None:
            return room
        # Equal requests that queue at once run in waves; as a step's time is linear in its batch, equal waves take as
        # long as full ones and a last one of what is left.
        each = np.maximum(load.requests / replicas, 1.0)
        return each / np.ceil(each / room)
    assert load.concurrency is not None
    return load.concurrency / replicas


def running_at_most(scenario: Scenario, layout: Parallelism) -> Number:
    """Sequences that a replica's scheduler runs at once: as memory holds, with output reserved as it does [1].

    At least one: a run that was measured ran.
    """
    q = scenario
    pool = kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget)
    held = sequences_held(q, layout, pool, q.input_tokens + q.output_tokens * q.budget.reserved_output)
    return np.maximum(np.minimum(held, scheduled_at_most(q, layout)), 1.0)


def scheduled_at_most(scenario: Scenario, layout: Parallelism) -> Number:
    """Sequences that a replica's schedulers, one for each attention-data rank, run at once if memory holds them [1].

    Offline, where engines are given the largest batch that helps: as runs were measured, unless it is told.
    """
    q = scenario
    if q.load.arrivals == "offline" and q.budget.sequences is None:
        return q.constants.closed_loop.scheduled_sequences / layout.pp * layout.attention_dp
    return q.budget.running(q.machine) * layout.attention_dp


def capacity(scenario: Scenario, layout: Parallelism) -> tuple[float, int]:
    """Cache pool of one GPU [B] and the sequences of full length that a replica holds, where the engine starts."""
    q = scenario
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    return pool, int(started(q, layout, pool, q.full_length))


def sequences_held(scenario: Scenario, layout: Parallelism, pool: Number, length: Number) -> Number:
    """Sequences of `length` [tokens] that pools of `pool` [B] on every GPU, and the host's memory, hold."""
    q = scenario
    if q.recompute:
        return np.where(np.asarray(length) * pool > 0, UNBOUNDED, 0)
    each = held_bytes_per_sequence(q.model, q.machine, layout, q.formats, length, q.budget)
    held = np.minimum(max_sequences(pool, each, layout), host_sequences(q.model, q.machine, layout, q.formats, length))
    return np.minimum(held, UNBOUNDED)


def started(scenario: Scenario, layout: Parallelism, pool: Number, length: Number) -> Number:
    """Sequences held; none where a version of the engine that may be meant holds not even one, and refuses to start."""
    q = scenario
    least = pool - doubted_bytes(q.model, q.machine, layout, q.budget)
    held = sequences_held(q, layout, pool, length)
    return np.where(np.asarray(sequences_held(q, layout, least, length)) >= 1, held, 0)
