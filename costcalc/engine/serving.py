"""From steps to serving: prefill and decode sharing the same GPUs."""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def time_per_output_token(step: Number, prefill: Number, batch: Number, output_tokens: Number) -> Number:
    """Time between output tokens of one user [s] while the others' prompts are prefilled in between.

    Every request of a closed loop is followed by another, whose prefill (`prefill` [s] of GPU time) all
    running ones wait for: (B - 1)/O of them fall on each step of `step` [s].
    """
    return step + np.maximum(np.asarray(batch, dtype=float) - 1, 0) / output_tokens * prefill


def time_to_first_token(step: Number, prefill: Number, startup: Number = 0.0) -> Number:
    """Time from a request to its first token [s]: start-up, the step under way, its own prefill."""
    return startup + step / 2 + prefill


def concurrency(tokens_per_s: Number, time_per_token: Number) -> Number:
    """Sequences in flight when `tokens_per_s` [tokens/s] come out and a user waits `time_per_token` [s] for each.

    Little's law, L = λW (Little 1961, doi 10.1287/opre.9.3.383).
    """
    return tokens_per_s * time_per_token
