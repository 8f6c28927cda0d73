"""Which of two is cheaper, and how sure: the errors of two predictions, and what is left of them between the two."""

from __future__ import annotations

from math import erf, log, sqrt
from typing import Any

import numpy as np

from costcalc.fields import Number
from costcalc.predict.quantities import ranges_of
from costcalc.predict.results import Range
from costcalc.predict.scenario import Scenario

HALF = 1.2816
"""Standard deviations from the middle to an end of a range that holds in 8 of 10 cases."""
COMMON = 0.44
"""Of the variance of a prediction, what another of the same model, attention, GPU, engine, formats and pools shares.

Of 2,032 such pairs of the times per output token in measurements/, of equal lengths at other batches or layouts, 80%
differ from their predicted ratio by less than 0.74 of both ranges in quadrature, and 0.75² is 1 - 0.44. Where only the
GPU (31,299 pairs), the model (48,506) or the engine is the same, by 0.97 to 1.03: nothing in common can be told.
"""


def deviation(scenario: Scenario) -> float:
    """Standard deviation of the logarithm of observed over predicted time per output token; 0 of the ideal bound."""
    spread = ranges_of(scenario).decode
    return 0.0 if spread is None else log(spread[1] / spread[0]) / (2 * HALF)


def combination(scenario: Scenario) -> tuple[Any, ...]:
    """Return what two predictions have to agree in, to have errors in common."""
    q = scenario
    formats = q.weights_name, q.formats.cache.name, q.formats.compute
    model = q.model.known_as, q.model.attention_name  # a variant's kernels are not those that were measured
    return *model, q.gpu.known_as, q.backend, q.options.tuning, formats, q.options.disaggregated


def deviation_between(first: Number, second: Number, same: Any) -> Number:
    """Standard deviation of the logarithm of the ratio of two observed times over that of the predicted ones.

    first, second: of each alone. same: whether both are of one `combination`, so that COMMON of the variance cancels.
    """
    common = np.where(same, COMMON, 0.0)
    return np.sqrt(first * first + second * second - 2 * common * first * second)


def chance_cheaper(a: Scenario, b: Scenario, cost_of_a: float | None, cost_of_b: float | None) -> float | None:
    """Return the chance that `a` costs less than `b`, or None where that is not known: of bounds, or without a price.

    cost_of_a, cost_of_b: as predicted [$/M]; errors of the logarithms are taken to be normal.
    """
    apart = float(deviation_between(deviation(a), deviation(b), combination(a) == combination(b)))
    if not cost_of_a or not cost_of_b or not apart:
        return None
    return (1 + erf(log(cost_of_b / cost_of_a) / apart / sqrt(2))) / 2


def chance_within(limits: Range, most: float) -> float:
    """Return the chance that a time is at most `most`, of a range of it that holds in 8 of 10 cases.

    Logarithms are taken to be normal around the middle of the range.
    """
    low, high = (log(max(each, 1e-12)) for each in limits)
    if not high > low:
        return float(high <= log(most))
    return (1 + erf((log(most) - (low + high) / 2) * 2 * HALF / (high - low) / sqrt(2))) / 2
