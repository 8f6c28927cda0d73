"""The predictor: the engine joined into what one deployment does, over any array of batches, lengths and degrees."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from costcalc.engine.memory import kv_pool_bytes_per_gpu, max_sequences
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.queueing import prefill_queue_seconds, time_per_output_token, time_to_first_token
from costcalc.engine.step import (
    Step,
    chunked_prefill,
    decode_step,
    drafting,
    overlap_share,
    prefill_interference_seconds,
    prefill_pass,
)
from costcalc.fields import Number, Record
from costcalc.predict.scenario import Scenario

UNBOUNDED = 10**9
"""Sequences, where no cache limits them."""


class Prediction(Record):
    """Times and throughputs of one replica; arrays where the batch is one."""

    batch: Number  # [sequences]
    step: Step  # decode
    prefill: Step
    prefill_prompts: Number  # prompts in one prefill pass of all stages and ranks together
    time_per_output_token: Number  # [s] while prefilling the others
    time_to_first_token: Number  # [s]
    prefill_interference: Number  # [s] of the replica that one more prompt takes from the running requests
    accepted: Number = 1  # [tokens] that a step yields for each sequence

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
        return self.prefill_interference + output_tokens / self.decode_tokens_per_s()

    def served_tokens_per_s(self, output_tokens: Number) -> Number:
        """Output tokens of one replica where every `output_tokens` [tokens] bring a prompt along [tokens/s]."""
        return output_tokens / self.request_seconds(output_tokens)

    def prefill_share(self, output_tokens: Number) -> Number:
        """Share of a request's time that its prompt takes, before `output_tokens` [tokens] [0 to 1]."""
        return self.prefill_interference / self.request_seconds(output_tokens)

    def prefill_per_decode(self, output_tokens: Number) -> Number:
        """Replicas that prefill for one that decodes, so that neither waits, at `output_tokens` [tokens] each [1]."""
        return self.prefill_interference / (self.request_seconds(output_tokens) - self.prefill_interference)


def predict(scenario: Scenario, layout: Parallelism, batch: Number, context: Number | None = None) -> Prediction:
    """Evaluate one replica at `batch` [sequences]; lengths, degrees and batch may be arrays.

    scenario: its lengths may be arrays. layout: of one replica, or arrays of degrees.
    context: KV length [tokens] to evaluate at instead of the question's; prompts are then as long.
    """
    q = scenario if context is None else replace(scenario, context=context, input_tokens=context)
    at, prompt = q.decode_context, q.input_tokens
    terms = q.options.terms
    prompts = layout.data * layout.pipeline
    if q.recompute:
        each = np.maximum(np.asarray(batch, dtype=float) / prompts, 1.0)
        step = prefill_pass(q.model, q.machine, layout, q.formats, q.efficiency, at, prompts=each)
    else:
        step = decode_step(q.model, q.machine, layout, q.formats, q.efficiency, batch, at, q.drafts + 1, terms)
        if q.drafts:
            plain = decode_step(q.model, q.machine, layout, q.formats, q.efficiency, batch, at, terms=terms)
            step = replace(step, drafting=drafting(q.model, plain, q.efficiency, q.drafts))
    cached = prompt * q.options.cached
    prefill = prefill_pass(q.model, q.machine, layout, q.formats, q.efficiency, prompt - cached, cached)
    startup = q.constants.engine(q.backend).startup if q.backend else 0.0
    accepted = q.tokens_per_step
    interference = prefill_interference(q, layout, batch, prompt - cached, cached, prefill.seconds / prompts, step)
    if q.options.disaggregated:  # neither pool waits for the other
        tpot = step.seconds / accepted
        ttft = time_to_first_token(0.0, prefill.seconds + 0.0 * step.seconds, startup)
        interference = prefill.seconds / prompts
    else:
        tpot = time_per_output_token(step.seconds, interference, batch, q.output_tokens, accepted)
        ttft = time_to_first_token(step.seconds, prefill.seconds, startup, *_admission(q, layout, batch, tpot, prefill))
    return Prediction(np.asarray(batch, dtype=float), step, prefill, prompts, tpot, ttft, interference, accepted)


def prefill_interference(
    scenario: Scenario, layout: Parallelism, batch: Number, fresh: Number, cached: Number, alone: Number, step: Step
) -> Number:
    """Time of the replica that one more prompt takes from the running requests [s].

    fresh, cached: its tokens to prefill and in the prefix cache [tokens]. alone: its share of a prefill pass of
    its own [s]. step: of decode, that it joins. Where the engine lets prompts ride on decode steps, they share
    their reading of weights.
    """
    q = scenario
    mixes = q.backend is None or q.constants.engine(q.backend).mixes_prefill
    if not mixes or q.recompute or q.options.terms != "all":
        return alone
    ranks = layout.data * layout.pipeline
    # A closed loop starts (B - 1)/O requests per output token: where that is more than one per step, they share it.
    waiting = np.maximum(np.asarray(batch, dtype=float) - 1, 0) / q.output_tokens / ranks
    together = np.maximum(waiting * q.tokens_per_step, 1.0)
    riding = chunked_prefill(q.model, layout, q.formats, batch, fresh, together, cached, q.drafts + 1)
    overlap = overlap_share(layout, q.machine, q.efficiency)
    added = prefill_interference_seconds(q.model, riding, q.machine, q.efficiency, step.ops, overlap) / together / ranks
    # Where traffic over the network does not hide behind a riding prompt, a pass of its own is cheaper.
    return np.minimum(added, alone)


def _admission(
    scenario: Scenario, layout: Parallelism, batch: Number, tpot: Number, prefill: Step
) -> tuple[Number, Number]:
    """Decode steps until a request is admitted, and its wait for the prefills ahead [s]."""
    if scenario.backend is None:
        return 0.5, 0.0
    engine = scenario.constants.engine(scenario.backend)
    balance = np.where(np.asarray(layout.data) > 1, engine.balance_steps, 0.0)
    server = prefill.seconds / (layout.data * layout.pipeline)
    return engine.admission_steps + balance, prefill_queue_seconds(server, batch, scenario.output_tokens * tpot)


def capacity(scenario: Scenario, layout: Parallelism) -> tuple[float, int]:
    """Cache pool of one GPU [B] and the sequences of full length that a replica holds."""
    q = scenario
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    return pool, int(sequences_held(q, layout, pool, q.full_length))


def sequences_held(scenario: Scenario, layout: Parallelism, pool: Number, length: Number) -> Number:
    """Sequences of `length` [tokens] that pools of `pool` [B] on every GPU hold."""
    if scenario.recompute:
        return np.where(np.asarray(length) * pool > 0, UNBOUNDED, 0)
    held = max_sequences(scenario.model, layout, scenario.formats, pool, length)
    return np.minimum(held, UNBOUNDED)
