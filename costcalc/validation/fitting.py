"""What the fits of kernels and of serving share: priors, the descent, errors of residuals, and YAML that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from costcalc.catalog.files import packaged_root
from costcalc.catalog.yaml import load_yaml
from costcalc.fields import Array
from costcalc.hardware.efficiency import FitError, Quantiles

LOW, HIGH = 0.1, 0.9
"""Quantiles of the left-out residuals that a range spans: 80%."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What physics says of a parameter before any measurement."""

    value: float
    spread: float  # standard deviation of its logarithm


@cache
def priors() -> Mapping[str, Any]:
    """What measurements/priors.yaml holds: `kernels`, `serving` and the `shares` among its constants."""
    return load_yaml(packaged_root() / "measurements" / "priors.yaml")[0]


# Robust least squares of ln(predicted / measured) with Gaussian priors on the logarithms of the parameters (a maximum a
# posteriori estimate) by damped Gauss-Newton steps with reweighting (Holland and Welsch 1977,
# doi 10.1080/03610927708827533; Levenberg 1944, Marquardt 1963). numpy is enough: there are few parameters.


Robust = Callable[[Array], tuple[Array, Array]]
"""The loss of residuals, and the weight of each in a step."""
_LEAST_DAMPING = 1e-7


@dataclass(frozen=True, slots=True)
class Descent:
    """How a fit descends."""

    steps: int
    tries: int  # of a step, each more damped
    longest: float  # step of a logarithm
    damping: float  # at first
    slower: float  # times more damping after a try that failed
    enough: float  # gain, over the loss, below which it ends


def descend(
    residuals: Callable[[Array], Array],
    jacobian: Callable[[Array, Array], Array],
    start: Array,
    centre: Array,
    spread: Array,
    robust: Robust,
    how: Descent,
    top: Array | float = np.inf,
) -> Array:
    """Return the logarithms of parameters that fit best.

    residuals: of every point at some values. jacobian: their slopes at values and residuals, a column a parameter.
    start: values to begin with. centre, spread: of the priors. robust: the loss. how: the descent. top: most values.
    """
    precision = np.asarray(spread) ** -2.0

    def loss(at: Array, r: Array) -> float:
        return float(np.sum(robust(r)[0]) + np.sum(precision * (at - centre) ** 2) / 2)

    values, damping = start, how.damping
    r = residuals(values)
    best = loss(values, r)
    for _ in range(how.steps):
        slopes, weight, before = jacobian(values, r), robust(r)[1], best
        curvature = slopes.T @ (weight[:, None] * slopes) + np.diag(precision)
        slope = slopes.T @ (weight * r) + precision * (values - centre)
        for _ in range(how.tries):
            step = np.linalg.solve(curvature + damping * np.diag(np.diag(curvature)), -slope)
            trial = np.minimum(values + np.clip(step, -how.longest, how.longest), top)
            trial_r = residuals(trial)
            if (trial_loss := loss(trial, trial_r)) < best:
                values, r, best, damping = trial, trial_r, trial_loss, max(damping / 5, _LEAST_DAMPING)
                break
            damping *= how.slower
        if before - best < how.enough * before:
            break
    return values


def fit_error(residuals: Array) -> FitError:
    """Return the errors of residuals ln(predicted / measured)."""
    off = np.abs(np.expm1(residuals))
    return FitError(
        median_ape=round(float(np.median(off)), 3),
        mape=round(float(off.mean()), 3),
        bias=round(float(np.median(residuals)), 3),
    )


def residual_range(residuals: Array) -> Quantiles:
    """Return observed over predicted at LOW and HIGH, a little wider for few points.

    residuals: ln(predicted / measured).
    """
    spare = 1 / (len(residuals) + 1)
    low, high = np.quantile(-residuals, [max(LOW - spare, 0.0), min(HIGH + spare, 1.0)])
    return range_between(low, high)


def range_between(low: float, high: float, wider: float = 1.0) -> Quantiles:
    """Return the range of ratios between two logarithms, at least 2% to either side, and so much wider."""
    low, high = np.exp(min(low, -0.02) * wider), np.exp(max(high, 0.02) * wider)
    return Quantiles(low=round(float(low), 3), high=round(float(high), 3))


# The YAML that keeps a fit.


def block(key: str, value: Any, depth: int, indent: str = "") -> list[str]:
    """Return lines of YAML: a key and its value, whose outer levels have a line for each of their keys."""
    if not depth:
        return [f"{indent}{key}: {flow(value)}"]
    return [f"{indent}{key}:", *(line for k, v in value.items() for line in block(k, v, depth - 1, indent + "  "))]


def flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and (any(mark in value for mark in ",:#[]{}'") or value[:1].isdigit()):
        return value if value.endswith(" us") else "'" + value.replace("'", "''") + "'"
    return f"{value:.10g}" if isinstance(value, float) else "null" if value is None else str(value)
