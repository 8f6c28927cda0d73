"""What the GPUs of a prediction draw, and what that is at the meter and in CO2."""

from __future__ import annotations

import numpy as np

from costcalc.engine.energy import Use, share_of_limit, use_of
from costcalc.fields import Number
from costcalc.hardware.owning import HOURS_OF_A_MONTH, host_share
from costcalc.predict.predict import Prediction
from costcalc.predict.scenario import Scenario, owner_of

JOULES_OF_A_KWH = 3.6e6


def phases(scenario: Scenario, at: Prediction) -> tuple[Use, Use]:
    """What a decode step and a pass of prefill use of a GPU's rates."""
    q = scenario

    def peak(precision: str) -> float:
        return q.gpu.peak(precision).flops

    return use_of(at.step, q.machine.memory_bandwidth, peak), use_of(at.prefill, q.machine.memory_bandwidth, peak)


def shares_of_limit(scenario: Scenario, at: Prediction) -> tuple[Number, Number]:
    """What a GPU draws of its limit in a decode step and in a pass of prefill."""
    constants = scenario.constants.energy
    decode, prefill = (
        share_of_limit(use, constants.static, constants.memory, constants.compute) for use in phases(scenario, at)
    )
    return decode, prefill


def watts(scenario: Scenario, drawn: tuple[Number, Number], prefilling: Number, idle: Number = 0.0) -> Number | None:
    """What a GPU of a deployment that works draws, averaged over time and GPUs [W]; null where its limit is not known.

    drawn: its `shares_of_limit`. prefilling: share of the GPU time in passes of prefill. idle: share in which a pool
    for prefill waits.
    """
    q, (decode, prefill) = scenario, drawn
    if q.gpu.power is None:
        return None
    static = q.constants.energy.static
    return q.gpu.power * (prefilling * prefill + idle * static + (1 - prefilling - idle) * decode)


def meter(scenario: Scenario) -> float:
    """Watts at the site's meter for a watt of a GPU: host, network, cooling and losses."""
    terms = owner_of(scenario.options, scenario.constants.of_owning)
    return (1 + host_share(scenario.gpu, terms)) * terms.pue


def grams_of_a_kwh(scenario: Scenario) -> float:
    """CO2 of a kWh [g]."""
    return owner_of(scenario.options, scenario.constants.of_owning).grid_co2


def kwh_of_a_month(scenario: Scenario, gpus: Number, drawn: Number, busy: Number) -> Number:
    """Energy at the meter of GPUs that work for a share of a month's 730 hours and idle in the rest [kWh].

    gpus: that are paid for. drawn: by one that works [W]. busy: share of the hours.
    """
    resting = owner_of(scenario.options, scenario.constants.of_owning).idle * (scenario.gpu.power or np.nan)
    return gpus * (busy * drawn + (1 - busy) * resting) * meter(scenario) * HOURS_OF_A_MONTH / 1e3
