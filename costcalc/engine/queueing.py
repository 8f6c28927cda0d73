"""From steps to serving: what users see when prefill and decode share GPUs, in closed form.

The fixed point of batch, times and waits is `costcalc.predict.predict.settled_batch`.

All functions take seconds of a decode step, of a prefill and of what a riding prompt adds, and broadcast. A
closed loop keeps C requests at a replica: whoever gets an answer asks again. Little's law (1961, doi
10.1287/opre.9.3.383) and the closed network with one server (mean value analysis, Reiser and Lavenberg 1980,
doi 10.1145/322186.322195) give the rest.
"""

from __future__ import annotations

import numpy as np

from costcalc.fields import Number


def time_per_output_token(
    step: Number, prefill: Number, batch: Number, output_tokens: Number, accepted: Number = 1
) -> Number:
    """Time between output tokens of one user [s] while the others' prompts are prefilled in between.

    Every request of a closed loop is followed by another, whose prefill (`prefill` [s] of the replica's time)
    all running ones wait for: (B - 1)/O of them fall on each token. A step of `step` [s] yields `accepted`
    [tokens] where drafts are verified.
    """
    return step / accepted + np.maximum(np.asarray(batch, dtype=float) - 1, 0) / output_tokens * prefill


def time_to_first_token(
    step: Number, prefill: Number, startup: Number = 0.0, admission_steps: Number = 0.5, wait: Number = 0.0
) -> Number:
    """Time from a request to its first token [s]: start-up, steps until it is admitted, its own prefill, a queue.

    step: of decode [s]. prefill: a pass of its own [s]. startup, wait: [s]. admission_steps: decode steps that
    pass before the scheduler looks at it; half of one where it looks at every step.
    """
    return startup + admission_steps * step + prefill + wait


def prefill_queue_seconds(prefill: Number, concurrency: Number, generation: Number) -> Number:
    """Wait for the prefills ahead in a closed loop [s].

    One server of `prefill` [s] per request, `concurrency` [requests] that stay away for `generation` [s] after
    it: the response R solves R^2 - (C p - Z) R - p Z = 0 (asymptotic bounds joined smoothly). Of the wait W = R - p
    itself, W^2 - ((C - 2) p - Z) W - (C - 1) p^2 = 0 leaves nothing, to the last digit, to who is alone.
    """
    excess = (concurrency - 2) * prefill - generation
    root = np.sqrt(np.maximum(excess * excess + 4 * (concurrency - 1) * prefill * prefill, 0.0))
    return np.maximum((excess + root) / 2, 0.0)


def memory_wait_seconds(concurrency: Number, capacity: Number, generation: Number) -> Number:
    """Wait for another request's memory [s]: (C / capacity - 1) generations of `generation` [s]."""
    return np.maximum(concurrency / capacity - 1, 0.0) * generation


def burst_wait_seconds(prefill: Number, batch: Number, share: Number) -> Number:
    """Mean wait behind a burst that starts a run [s].

    All first requests come at once and wait for (B - 1)/2 prefills; over r rounds the mean wait keeps
    share = 1/(2 r) of a prefill for each request ahead. A median does not see it.
    """
    return share * np.maximum(np.asarray(batch, dtype=float) - 1, 0) * prefill


def cohort_wait_seconds(prefill: Number, batch: Number, share: Number) -> Number:
    """Wait of the median of requests that begin together [s]: behind half of the others' prompts.

    share: of them that do [0 to 1].
    """
    return share * np.maximum(np.asarray(batch, dtype=float) - 1, 0) / 2 * prefill


def sequences_decoding(concurrency: Number, generation: Number, first_token: Number, capacity: Number) -> Number:
    """Sequences of a closed loop that decode at a time: C Z / (Z + TTFT), at most what memory holds."""
    busy = concurrency * generation / (generation + first_token)
    return np.clip(busy, np.minimum(concurrency, 1.0), capacity)


def static_tokens_per_s(step: Number, prefill: Number, batch: Number, output_tokens: Number) -> Number:
    """Output tokens per second of a static batch: all prompts first, then O steps."""
    return batch * output_tokens / (prefill + output_tokens * step)


def pool_prefill_seconds(prefill: Number, prefill_replicas: Number, decode_replicas: Number) -> Number:
    """Time that a prefill pool keeps one request of each decode replica busy [s].

    prefill: of one request on one replica [s]. A disaggregated deployment's decode does not wait for
    prefills, and the pool is a server for the requests of all `decode_replicas`.
    """
    return prefill * decode_replicas / prefill_replicas


def concurrency(tokens_per_s: Number, time_per_token: Number) -> Number:
    """Sequences in flight when `tokens_per_s` [tokens/s] come out and a user waits `time_per_token` [s] for each.

    Little's law, L = λW (Little 1961, doi 10.1287/opre.9.3.383).
    """
    return tokens_per_s * time_per_token
