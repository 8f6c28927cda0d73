"""Speculative decoding: a cheap draft proposes tokens, one pass of the model checks them all.

Source: Leviathan, Kalman and Matias 2023 (arXiv 2211.17192).
"""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number


def tokens_per_pass(acceptance: Number, drafts: Number) -> Number:
    """Expected tokens of one checking pass, its own token included: (1 - α^(γ+1)) / (1 - α), equation 1.

    acceptance: chance α that a drafted token is kept, independent of the others [0 to 1].
    drafts: tokens drafted per pass γ [tokens].
    """
    alpha = np.asarray(acceptance, dtype=float)
    certain = alpha >= 1
    rest = np.where(certain, 0.5, alpha)  # any value: the other branch is taken
    return np.where(certain, np.asarray(drafts) + 1.0, (1 - rest ** (np.asarray(drafts) + 1.0)) / (1 - rest))


def speculation_speedup(acceptance: Number, drafts: Number, draft_cost: Number = 0.0) -> Number:
    """How many times faster tokens come than without drafts: tokens_per_pass / (γ·c + 1), theorem 3.8.

    acceptance: chance α that a drafted token is kept [0 to 1]. drafts: tokens drafted per pass γ [tokens].
    draft_cost: time of one draft step over the time of one pass of the model, c [1]. The pass that checks
    γ + 1 tokens is taken to be as quick as one that decodes a single token: true while memory bounds it.
    """
    return tokens_per_pass(acceptance, drafts) / (np.asarray(drafts) * draft_cost + 1.0)
