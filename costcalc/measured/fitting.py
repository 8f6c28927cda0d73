"""Fit a kernel's parameters: robust, and shrunk towards physical priors.

Minimizes the pseudo-Huber loss of ln(predicted / measured) plus Gaussian priors on the logarithms of the
parameters (a maximum a posteriori estimate) by damped Gauss-Newton steps with reweighting (Holland and
Welsch 1977, doi 10.1080/03610927708827533; Levenberg 1944, Marquardt 1963). numpy is enough: the Jacobian
needs one evaluation per parameter of the form, however many families and kernels there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from costcalc.measured.model import Array, Features, KernelModel, KernelParameters, KernelRows

OUTLIER = 0.15
"""Residual [ln] beyond which a point pulls with constant force only."""
NOISE = 0.15
"""Standard deviation of a point's residual [ln]: weighs points against priors."""
_STEP = 1e-4
_Design = dict[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class _Coefficient:
    """A coefficient of the fit: the logarithm of a global value or of one member's factor."""

    parameter: str
    level: str | None
    member: str
    centre: float
    spread: float


def fit_kernel(
    rows: KernelRows,
    measured: Array,
    start: KernelParameters | None = None,
    around: KernelParameters | None = None,
) -> KernelParameters:
    """Return the parameters that fit the measured times.

    rows: what is known of each point. measured: its time [s]. start: where to begin, else the centre.
    around: an earlier fit to stay close to, instead of the model's priors.
    """
    model, features = rows.model, rows.features
    coefficients = _coefficients(model, features, around)
    design = _design(model, coefficients, features)
    centre = np.array([each.centre for each in coefficients])
    precision = np.array([each.spread for each in coefficients]) ** -2.0
    values = centre.copy() if start is None else _packed(coefficients, start)
    target = np.log(measured)

    def residuals(at: Array) -> Array:
        return _log_seconds(model, design, at, features) - target

    def loss(at: Array, r: Array) -> float:
        robust = 2 * OUTLIER**2 * (np.sqrt(1 + (r / OUTLIER) ** 2) - 1) / NOISE**2
        return float(np.sum(robust) + np.sum(precision * (at - centre) ** 2))

    damping, r = 1e-2, residuals(values)
    best = loss(values, r)
    for _ in range(40):
        weight = 1 / np.sqrt(1 + (r / OUTLIER) ** 2) / NOISE**2
        jacobian = _jacobian(model, design, values, features, r + target)
        curvature = jacobian.T @ (weight[:, None] * jacobian) + np.diag(precision)
        slope = jacobian.T @ (weight * r) + precision * (values - centre)
        improved = False
        for _ in range(10):
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), -slope)
            trial = values + np.clip(step, -1, 1)
            trial_r = residuals(trial)
            trial_loss = loss(trial, trial_r)
            if trial_loss < best:
                improved = True
                break
            damping *= 4
        if not improved:
            break
        gained, best = best - trial_loss, trial_loss
        values, r, damping = trial, trial_r, max(damping / 5, 1e-7)
        if gained < 1e-6 * best:
            break
    return _unpacked(coefficients, values)


def _coefficients(model: KernelModel, features: Features, around: KernelParameters | None) -> list[_Coefficient]:
    found = [
        _Coefficient(name, None, "", float(np.log(prior.value)), prior.spread) for name, prior in model.priors.items()
    ]
    for level in model.levels:
        members = [str(member) for member in np.unique(features[level.name]) if member]
        found += [_Coefficient(level.parameter, level.name, member, 0.0, level.spread) for member in members]
    if around is not None:
        centres = _packed(found, around)
        found = [replace(each, centre=float(at)) for each, at in zip(found, centres, strict=True)]
    return found


def _design(model: KernelModel, coefficients: Sequence[_Coefficient], features: Features) -> _Design:
    """For every parameter, which coefficients it sums over and in which rows each counts."""
    count = len(next(iter(features.values())))
    design = {}
    for name in model.priors:
        own = [i for i, each in enumerate(coefficients) if each.parameter == name]
        columns = [
            np.ones(count) if (c := coefficients[i]).level is None else 1.0 * (features[c.level] == c.member)
            for i in own
        ]
        design[name] = (np.array(own), np.stack(columns, axis=1))
    return design


def _log_seconds(model: KernelModel, design: _Design, values: Array, features: Features, bump: str = "") -> Array:
    curve = {
        name: np.exp(columns @ values[own] + (_STEP if name == bump else 0.0))
        for name, (own, columns) in design.items()
    }
    result: Array = np.log(model.seconds(features, model.curve(**curve)))
    return result


def _jacobian(model: KernelModel, design: _Design, values: Array, features: Features, at: Array) -> Array:
    jacobian = np.zeros((len(at), len(values)))
    for name, (own, columns) in design.items():
        slope = (_log_seconds(model, design, values, features, bump=name) - at) / _STEP
        jacobian[:, own] = slope[:, None] * columns
    return jacobian


def _packed(coefficients: Sequence[_Coefficient], start: KernelParameters) -> Array:
    values = []
    for each in coefficients:
        if each.level is None:
            values.append(start.values[each.parameter])
        else:
            members = start.multipliers.get(each.level, {})
            values.append(members.get(each.member, {}).get(each.parameter, 1.0))
    return np.log(np.array(values))


def _unpacked(coefficients: Sequence[_Coefficient], values: Array) -> KernelParameters:
    fitted: dict[str, float] = {}
    multipliers: dict[str, dict[str, dict[str, float]]] = {}
    for each, value in zip(coefficients, np.exp(values), strict=True):
        if each.level is None:
            fitted[each.parameter] = float(value)
        else:
            multipliers.setdefault(each.level, {}).setdefault(each.member, {})[each.parameter] = float(value)
    return KernelParameters(fitted, multipliers)
