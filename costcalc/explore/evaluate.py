"""One deployment evaluated: the engine's equations joined, over any array of batch sizes at once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from costcalc.arrays import Number
from costcalc.engine.cost import usd_per_million
from costcalc.engine.layout import Layout
from costcalc.engine.memory import kv_pool_bytes_per_gpu, max_sequences
from costcalc.engine.serving import time_per_output_token, time_to_first_token
from costcalc.engine.speculation import tokens_per_pass
from costcalc.engine.step import Step, decode_step, prefill_pass
from costcalc.explore.question import Question

UNBOUNDED = 10**9
"""Sequences, where no cache limits them."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Times and throughputs of one replica; arrays where the batch is one."""

    batch: Number  # [sequences]
    step: Step  # decode
    prefill: Step
    prefill_prompts: int  # prompts in one prefill pass of all stages and ranks together
    time_per_output_token: Number  # [s] while prefilling the others
    time_to_first_token: Number  # [s]
    accepted: Number = 1  # [tokens] that a step yields for each sequence

    def decode_tokens_per_s(self) -> Number:
        """Output tokens of one replica, decoding only [tokens/s]."""
        return self.batch * self.user_tokens_per_s()

    def user_tokens_per_s(self) -> Number:
        """Output tokens of one sequence, decoding only [tokens/s]."""
        return self.accepted / self.step.seconds


def evaluate(question: Question, layout: Layout, batch: Number, context: Number | None = None) -> Evaluation:
    """Evaluate one replica at `batch` [sequences], both arrays if you like.

    context: KV length [tokens] to evaluate at instead of the question's; prompts are then as long.
    """
    q = question
    at = q.decode_context if context is None else context
    prompt = q.input_tokens if context is None else context
    terms = q.options.terms
    prompts = int(layout.data * layout.pipeline)
    if q.recompute:
        each = np.maximum(np.asarray(batch, dtype=float) / prompts, 1.0)
        step = prefill_pass(q.model, q.machine, layout, q.formats, q.efficiency, at, prompts=each)
    else:
        step = decode_step(q.model, q.machine, layout, q.formats, q.efficiency, batch, at, q.drafts + 1, terms)
        if q.drafts:
            plain = decode_step(q.model, q.machine, layout, q.formats, q.efficiency, batch, at, terms=terms)
            step = replace(step, overhead_seconds=step.overhead_seconds + q.drafts * q.draft_cost * plain.seconds)
    cached = prompt * q.options.cached
    prefill = prefill_pass(q.model, q.machine, layout, q.formats, q.efficiency, prompt - cached, cached)
    startup = q.constants.backends[q.backend].startup if q.backend else 0.0
    accepted = tokens_per_pass(q.acceptance, q.drafts)
    if q.options.disaggregated:  # neither pool waits for the other
        tpot = step.seconds / accepted
        ttft = time_to_first_token(0.0, prefill.seconds + 0.0 * step.seconds, startup)
    else:
        tpot = time_per_output_token(step.seconds, prefill.seconds / prompts, batch, q.output_tokens, accepted)
        ttft = time_to_first_token(step.seconds, prefill.seconds, startup)
    return Evaluation(np.asarray(batch, dtype=float), step, prefill, prompts, tpot, ttft, accepted)


def capacity(question: Question, layout: Layout) -> tuple[float, int]:
    """Cache pool of one GPU [B] and the sequences of full length that a replica holds."""
    q = question
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    return pool, int(sequences_held(q, layout, pool, q.full_length))


def sequences_held(question: Question, layout: Layout, pool: float, length: Number) -> Number:
    """Sequences of `length` [tokens] that pools of `pool` [B] on every GPU hold."""
    if question.recompute:
        return np.where(np.asarray(length) * pool > 0, UNBOUNDED, 0)
    held = max_sequences(question.model, layout, question.formats, pool, length)
    return np.minimum(held, UNBOUNDED)


def output_usd_per_million(question: Question, gpus: int, usd_per_hour: float, tokens_per_s: Number) -> Number:
    """Dollars of decode's GPU time per million output tokens."""
    return usd_per_million(gpus, usd_per_hour, tokens_per_s, question.options.utilization)
