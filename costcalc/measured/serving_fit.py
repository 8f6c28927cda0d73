"""Fit the constants of serving to closed-loop and offline measurements.

Minimizes a Huber loss of ln(predicted / measured) plus Gaussian priors on the constants' logarithms by damped
Gauss-Newton steps (as measured/fitting.py does for kernels). The batch that decodes at a time depends on the
constants; it is held while they move and found anew between rounds, so that the work of every row, which is
most of the arithmetic, is counted once a round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from costcalc.measured.model import Array
from costcalc.measured.serving_group import ServingGroup
from costcalc.measured.serving_parameters import PARAMETERS, prior_values, values_of, with_values
from costcalc.measured.serving_predict import (
    Answers,
    GroupWork,
    answers,
    capacity,
    predict_group,
    times_then,
)
from costcalc.specs.serving import ServingEfficiency

QUANTITIES = ("tpot", "ttft", "tokens_per_s_gpu")
NOISE = {"tpot": 0.12, "ttft": 0.5, "tokens_per_s_gpu": 0.10}
"""Standard deviation of a point's residual [ln]: the same deployment under other versions differs as much."""
OUTLIER = 1.345
"""Residual, in standard deviations, beyond which a point pulls with constant force only (Huber 1964: 95% efficient)."""
_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in the rows of one group, in SI; nan where it was not, or may not be used."""

    tpot: Array
    ttft: Array
    tokens_per_s_gpu: Array

    def take(self, chosen: Array) -> Measured:
        """The rows for which `chosen` is true."""
        return Measured(self.tpot[chosen], self.ttft[chosen], self.tokens_per_s_gpu[chosen])


@dataclass(frozen=True, slots=True)
class _Held:
    """A group with the work of its rows at the batch of this round."""

    group: ServingGroup
    work: GroupWork
    room: Array
    target: Array  # ln of what was measured, all quantities in a row


def fit_serving(
    groups: Sequence[ServingGroup],
    measured: Sequence[Measured],
    constants: ServingEfficiency,
    rounds: int = 3,
    steps: int = 4,
    around: ServingEfficiency | None = None,
) -> ServingEfficiency:
    """Return `constants` with all PARAMETERS fitted to the measured rows.

    rounds: how often the batches are found anew. steps: of Gauss-Newton in each. around: an earlier fit to stay
    close to, instead of the priors.
    """
    centre = prior_values() if around is None else values_of(around)
    for _ in range(rounds):
        held = [_held(group, seen, constants) for group, seen in zip(groups, measured, strict=True)]
        constants = with_values(constants, _descend(held, constants, centre, steps))
    return constants


def quantities(group: ServingGroup, found: Answers) -> Array:
    """Predicted quantities of a group, one row each of QUANTITIES."""
    return np.stack([found.tpot, found.ttft, found.tokens_per_s / group.layout.gpus])


def _held(group: ServingGroup, seen: Measured, constants: ServingEfficiency) -> _Held:
    _, work = predict_group(group, constants)
    # How many GPUs prefill is hardly ever recorded: what a request waits for there would only bend the constants.
    ttft = np.where(group.apart, np.nan, seen.ttft)
    target = np.log(np.stack([seen.tpot, ttft, seen.tokens_per_s_gpu]))
    return _Held(group, work, capacity(group, constants), target)


def _residuals(held: Sequence[_Held], constants: ServingEfficiency) -> Array:
    parts = []
    for each in held:
        times = times_then(each.group, each.work, constants)
        found = answers(each.group, times, each.work.batch, each.room, constants)
        off = np.log(quantities(each.group, found)) - each.target
        parts.append(off / np.array([[NOISE[name]] for name in QUANTITIES]))
    flat = np.concatenate([part[np.isfinite(each.target)] for part, each in zip(parts, held, strict=True)])
    return np.asarray(flat)


def _descend(held: Sequence[_Held], constants: ServingEfficiency, centre: Array, steps: int) -> Array:
    precision = np.array([each.prior.spread for each in PARAMETERS]) ** -2.0
    top = np.where([each.share for each in PARAMETERS], 0.0, np.inf)
    values = np.minimum(values_of(constants), top)

    def loss(at: Array, r: Array) -> float:
        size = np.abs(r)
        robust = np.where(size < OUTLIER, size**2 / 2, OUTLIER * size - OUTLIER**2 / 2)
        return float(np.sum(robust) + np.sum(precision * (at - centre) ** 2) / 2)

    damping, r = 1e-3, _residuals(held, constants)
    best = loss(values, r)
    for _ in range(steps):
        jacobian = _jacobian(held, constants, values, r, top)
        weight = np.minimum(1.0, OUTLIER / np.maximum(np.abs(r), 1e-9))
        curvature = jacobian.T @ (weight[:, None] * jacobian) + np.diag(precision)
        slope = jacobian.T @ (weight * r) + precision * (values - centre)
        before = best
        for _ in range(6):
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), -slope)
            trial = np.minimum(values + np.clip(step, -0.5, 0.5), top)
            trial_r = _residuals(held, with_values(constants, trial))
            if (trial_loss := loss(trial, trial_r)) < best:
                values, r, best, damping = trial, trial_r, trial_loss, max(damping / 5, 1e-7)
                break
            damping *= 6
        if before - best < 1e-3 * before:
            break
    return values


def _jacobian(held: Sequence[_Held], constants: ServingEfficiency, values: Array, r: Array, top: Array) -> Array:
    columns = []
    for number in range(len(values)):
        moved = values.copy()
        moved[number] += _STEP if moved[number] + _STEP < top[number] else -_STEP
        columns.append((_residuals(held, with_values(constants, moved)) - r) / (moved[number] - values[number]))
    return np.stack(columns, axis=1)
