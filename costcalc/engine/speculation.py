"""Speculative decoding: a cheap draft proposes tokens, one pass of the model checks them all.

Source: Leviathan, Kalman and Matias 2023 (arXiv 2211.17192).
"""

from __future__ import annotations

import numpy as np

from costcalc.arrays import Number

MOST_DRAFTS = 64


def tokens_per_pass(acceptance: Number, drafts: Number, fading: Number = 1.0) -> Number:
    """Expected tokens of one checking pass, its own token included: 1 + α + α² + ..., equation 1.

    A head that was trained to look one token ahead looks further by reading its own drafts: draft i is kept with
    chance α φ^(i-1) where those before it were; at φ = 1 chances are alike and independent, as in the source.
    acceptance: chance α that the first drafted token is kept [0 to 1]. drafts: tokens drafted per pass γ [tokens].
    fading: φ [0 to 1].
    """
    count = np.asarray(drafts, dtype=float)
    tokens, kept = np.ones_like(count), np.asarray(1.0)
    for draft in range(int(np.max(count, initial=0))):
        kept = kept * np.asarray(acceptance) * np.asarray(fading) ** draft
        tokens = tokens + np.where(count > draft, kept, 0.0)
    return tokens


def speculation_speedup(acceptance: Number, drafts: Number, draft_cost: Number = 0.0) -> Number:
    """How many times faster tokens come than without drafts: tokens_per_pass / (γ·c + 1), theorem 3.8.

    acceptance: chance α that a drafted token is kept [0 to 1]. drafts: tokens drafted per pass γ [tokens].
    draft_cost: time of one draft step over the time of one pass of the model, c [1]. The pass that checks
    γ + 1 tokens is taken to be as quick as one that decodes a single token: true while memory bounds it.
    """
    return tokens_per_pass(acceptance, drafts) / (np.asarray(drafts) * draft_cost + 1.0)
