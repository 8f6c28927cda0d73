"""QUANTITIES: every number that is answered, one row each: its unit, formula and range, and its place in a result.

Numbers are SI: bytes, seconds, tokens per second, dollars.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from functools import cached_property
from math import exp, hypot, log
from typing import Any

import numpy as np

from costcalc.engine.cost import blended_usd_per_million, usd_per_million
from costcalc.engine.host import SPREAD
from costcalc.engine.parallelism import Parallelism
from costcalc.fields import Number, Record
from costcalc.hardware.efficiency import UNTUNED, Asked
from costcalc.predict.energy import JOULES_OF_A_KWH, grams_of_a_kwh, kwh_of_a_month, meter, shares_of_limit, watts
from costcalc.predict.predict import Prediction, prefill_layout
from costcalc.predict.results import Range
from costcalc.predict.scenario import Scenario

# Low and high of an estimate at 80% coverage, from the residuals of measured points.


class Ranges80(Record):
    """Observed over predicted at 10% and 90%, of times and of energy; None for the ideal bound, which has no error."""

    decode: Range | None
    prefill: Range | None
    watts: Range | None
    joules: Range | None  # of a token
    unmeasured: tuple[str, ...]  # parts of the question that no measurement is of: they widen the ranges


def ranges_of(scenario: Scenario) -> Ranges80:
    """The ranges of a question: the narrow ones only where its GPU, model and engine were measured."""
    q, constants = scenario, scenario.constants
    asked = asked_of(q)
    if not q.calibrated:
        return Ranges80(None, None, None, None, ())
    decode, prefill = "decode_experts" if q.model.has_experts else "decode", "prefill"
    if q.options.disaggregated:
        decode, prefill = "pools", "prefill_pools"
    end = UNTUNED if q.options.tuning == "default" else ""
    spread, first = (constants.range_of(f"{name}{end}", asked) for name in (decode, prefill))
    missing = constants.unmeasured(asked)
    watts_of, joules_of = (constants.energy.range_of(each, q.gpu.known_as) for each in ("watts", "joules"))
    if q.machine.host is None:
        return Ranges80(spread, first, watts_of, joules_of, missing)
    missing = (*missing, "a host that holds weights or cache")
    return Ranges80(_with_host(spread), _with_host(first), watts_of, _with_host(joules_of), missing)


def _with_host(spread: Range) -> Range:
    """A range that the host's own spread widens, independent of the other causes: squares of logarithms add up."""
    return exp(-hypot(log(spread[0]), log(SPREAD))), exp(hypot(log(spread[1]), log(SPREAD)))


def asked_of(scenario: Scenario) -> Asked:
    """What a range of a question depends on."""
    q = scenario
    return Asked(q.gpu.known_as, q.model.known_as, q.gpu.architecture, q.gpu.vendor, q.backend, q.model.shape)


def scaled(value: float, spread: Range | None) -> Range | None:
    """The range of a number whose observed value over the predicted one spreads so."""
    return None if spread is None else (value * spread[0], value * spread[1])


def inverse(spread: Range | None) -> Range | None:
    """The spread of a rate, given that of its time."""
    return None if spread is None else (1 / spread[1], 1 / spread[0])


# The numbers that are answered: one table, which estimates, cells of sweeps and curves are read off.


class Answered(Record):
    """A prediction with what turns it into answers; arrays where the scenario has them."""

    scenario: Scenario
    replicas: Number
    gpus: Number  # of all replicas, idle ones included
    at: Prediction
    usd_per_gpu_hour: Number | None  # [$/h] nan or None where unknown
    utilization: Number  # share of the paid hours
    drawn: tuple[Number, Number] | None = None  # shares of its limit that a GPU draws, where they are known already

    def usd_per_million(self, gpus: Number, tokens_per_s: Number) -> Number:
        """Dollars per million of the tokens that so many GPUs deliver together [$/M]."""
        usd = np.nan if self.usd_per_gpu_hour is None else self.usd_per_gpu_hour
        return usd_per_million(gpus, usd, tokens_per_s, self.utilization)

    @cached_property  # several numbers ask for it
    def watts(self) -> Number | None:
        """What a GPU draws in the mean while they work [W]; null where its limit is not known."""
        if self.scenario.gpu.power is None:
            return None
        return watts(self.scenario, self.drawn or shares_of_limit(self.scenario, self.at), *self.prefilling)

    @property
    def prefilling(self) -> tuple[Number, Number]:
        """Shares of the GPU time in passes of prefill, and in which a pool of its own for them waits."""
        pool = _prefill_gpus(self)
        if pool is None:
            return self.at.prefill_share(self.scenario.output_tokens), 0.0
        # A pool told larger than the prompts need waits for a part of the time.
        needed = self.replicas * self.at.prefill_per_decode(self.scenario.output_tokens) * _prefill_worker(self)
        working = np.minimum(needed, pool)
        return working / (self.gpus + pool), (pool - working) / (self.gpus + pool)


class Quantity(Record):
    """One number that is answered: where it stands in the tree, what it is, and how its range follows."""

    path: str
    title: str
    unit: str
    value: Callable[[Answered], Number | None]  # None where it has no meaning
    times: str = ""  # the field of Ranges80 that spreads it; empty for no range
    rate: bool = False  # whether it falls as times rise
    of_terms: bool = False  # whether a term of the bill has it too, without prefill
    short: str = ""  # title of a column


def _prefill_worker(a: Answered) -> Number:
    """GPUs that prefill together: those of a replica, or of a worker of a pool of its own."""
    if not a.scenario.load.prefill_told:
        return a.gpus / a.replicas
    return prefill_layout(a.scenario, Parallelism()).gpus


def _prefill_gpus(a: Answered) -> Number | None:
    """GPUs of a pool that prefills: as told, else as many as leave neither pool waiting."""
    if not a.scenario.disaggregated:
        return None
    told = a.scenario.load.prefill_gpus
    needed = a.replicas * a.at.prefill_per_decode(a.scenario.output_tokens) * _prefill_worker(a)
    return needed if told is None else told


def _decoded(a: Answered) -> Number:
    """Output tokens of all replicas while they decode, at most what a pool told for prefill brings prompts for."""
    decoded, told = a.at.decode_tokens_per_s() * a.replicas, a.scenario.load.prefill_gpus
    if told is None:
        return decoded
    prompts = told / _prefill_worker(a) / a.at.interference  # per second
    return np.minimum(decoded, prompts * a.scenario.output_tokens)


def _served_in_all(a: Answered) -> Number:
    if a.scenario.disaggregated:
        return _decoded(a)
    return a.at.served_tokens_per_s(a.scenario.output_tokens) * a.replicas


def _served(a: Answered) -> Number:
    pool = _prefill_gpus(a)
    return _served_in_all(a) / (a.gpus + (0.0 if pool is None else pool))


def _prefill_share(a: Answered) -> Number:
    pool = _prefill_gpus(a)
    return a.at.prefill_share(a.scenario.output_tokens) if pool is None else pool / (a.gpus + pool)


def _blended(a: Answered, entered: Number, output: Number) -> Number:
    return blended_usd_per_million(entered, output, a.scenario.input_tokens, a.scenario.output_tokens)


def _of_request(a: Answered, blended: Number) -> Number:
    """Dollars of a request's tokens, in and out, at so much per million [$]."""
    return blended * (a.scenario.input_tokens + a.scenario.output_tokens) / 1e6


def _output_usd(a: Answered) -> Number:
    if a.scenario.disaggregated:
        return a.usd_per_million(a.gpus, _decoded(a))
    return a.usd_per_million(a.gpus, a.replicas * a.at.billed_tokens_per_s(a.scenario.output_tokens))


def _input_usd(a: Answered) -> Number:
    pool, q = _prefill_gpus(a), a.scenario
    if pool is None:
        return a.usd_per_million(a.gpus, a.replicas * q.input_tokens / a.at.billed)
    return a.usd_per_million(pool, _decoded(a) * q.input_tokens / q.output_tokens)


def _paid(a: Answered) -> Number:
    pool = _prefill_gpus(a)
    return a.gpus + (0.0 if pool is None else pool)


def _joules(a: Answered) -> Number | None:
    return None if a.watts is None else a.watts * _paid(a) / _served_in_all(a)


def _joules_of_any(a: Answered) -> Number | None:
    found, q = _joules(a), a.scenario
    return None if found is None else found * q.output_tokens / (q.input_tokens + q.output_tokens)


def _kwh(a: Answered) -> Number | None:
    return None if a.watts is None else kwh_of_a_month(a.scenario, _paid(a), a.watts, a.utilization)


def _kg_of_a_month(a: Answered) -> Number | None:
    found = _kwh(a)
    return None if found is None else found * grams_of_a_kwh(a.scenario) / 1e3


def _grams(a: Answered) -> Number | None:
    found = _joules(a)
    return None if found is None else found / JOULES_OF_A_KWH * 1e6 * meter(a.scenario) * grams_of_a_kwh(a.scenario)


WATTS = "energy.watts_per_gpu"
BLENDED = "cost.usd_per_million_blended_tokens"
REQUEST = "cost.usd_per_request"
MIXED = (BLENDED, REQUEST)
"""Dollars of prompts and answers together, whose ranges follow from those of both."""
QUANTITIES: tuple[Quantity, ...] = (
    Quantity("prefill.time_s", "A pass of prefill", "s", lambda a: a.at.prefill.seconds, "prefill"),
    Quantity(
        "prefill.tokens_per_s", "Prompt tokens that prefill takes in", "tokens/s",
        lambda a: a.at.prefill_tokens_per_s(a.scenario.input_tokens) * a.replicas, "prefill", rate=True,
    ),
    Quantity("decode.step_time_s", "One decode step", "s", lambda a: a.at.step.seconds, "decode", of_terms=True),
    Quantity(
        "decode.tokens_per_s", "Output tokens of all GPUs while decoding", "tokens/s",
        lambda a: a.at.decode_tokens_per_s() * a.replicas, "decode", rate=True, of_terms=True,
    ),
    Quantity(
        "decode.tokens_per_s_per_gpu", "Decode tokens/s per GPU", "tokens/s",
        lambda a: a.at.decode_tokens_per_s() * a.replicas / a.gpus, "decode", rate=True, of_terms=True,
        short="decode tok/s GPU",
    ),
    Quantity(
        "decode.tokens_per_s_per_user", "Decode tokens/s per user", "tokens/s",
        lambda a: a.at.user_tokens_per_s(), "decode", rate=True, of_terms=True,
        short="decode tok/s user",
    ),
    Quantity(
        "serving.time_to_first_token_s", "Time to first token", "s", lambda a: a.at.time_to_first_token, "prefill",
        short="TTFT",
    ),
    Quantity(
        "serving.time_per_output_token_s", "Time per output token", "s",
        lambda a: a.at.time_per_output_token, "decode", short="TPOT",
    ),
    Quantity(
        "serving.output_tokens_per_s_per_gpu", "Tokens/s per GPU", "tokens/s",
        _served, "decode", rate=True, short="tok/s GPU",
    ),
    Quantity(
        "serving.prefill_share", "Share of a request's GPU time that its prompt takes", "share",
        _prefill_share,
    ),
    Quantity(
        "serving.output_tokens_per_s", "Output tokens of all GPUs, prefills included", "tokens/s",
        _served_in_all, "decode", rate=True,
    ),
    Quantity(
        "serving.tokens_per_s_per_user", "Tokens/s per user", "tokens/s",
        lambda a: 1 / a.at.time_per_output_token, "decode", rate=True, short="tok/s user",
    ),
    Quantity("serving.prefill_gpus", "GPUs of the pool that prefills", "GPUs", _prefill_gpus),
    Quantity(
        "cost.usd_per_million_output_tokens", "$ per M output tokens", "$/M", _output_usd, "decode",
        of_terms=True, short="$/M out",
    ),
    Quantity("cost.usd_per_million_input_tokens", "$ per M input tokens", "$/M", _input_usd, "prefill", short="$/M in"),
    Quantity(
        BLENDED, "$ per M tokens, blended", "$/M",
        lambda a: _blended(a, _input_usd(a), _output_usd(a)), short="$/M blended",
    ),
    Quantity(
        REQUEST, "$ per request", "$", lambda a: _of_request(a, _blended(a, _input_usd(a), _output_usd(a))),
        short="$/request",
    ),
    Quantity(WATTS, "Watts of a GPU", "W", lambda a: a.watts, "watts", short="W/GPU"),
    Quantity("energy.joules_per_output_token", "Joules per output token", "J", _joules, "joules", short="J/token"),
    Quantity("energy.joules_per_token", "Joules per token in and out", "J", _joules_of_any, "joules"),
    Quantity("energy.kwh_per_month", "Electricity of a month at the meter", "kWh", _kwh, "watts"),
    Quantity("energy.kg_co2_per_month", "CO2 of a month", "kg", _kg_of_a_month, "watts"),
    Quantity("energy.g_co2_per_million_output_tokens", "CO2 per M output tokens", "g", _grams, "joules"),
)  # fmt: skip
"""Every number of a prediction that is answered, in the order of the tree."""


def numbers_of(answered: Answered, wanted: Container[str] | None = None) -> dict[str, Number]:
    """The numbers of QUANTITIES by their paths, and `<path>_range.low` and `.high` at 80% coverage.

    wanted: paths; None for all.

    Numbers without a meaning are left out: those of prefill where a term of the bill is asked for, pools that are
    not apart. A price that is not known leaves nan.
    """
    spread = ranges_of(answered.scenario)
    found: dict[str, Number] = {}
    for each in QUANTITIES:
        if wanted is not None and each.path not in wanted:
            continue
        value = value_of(answered, each)
        if value is None:
            continue
        found[each.path] = value
        if has_range(each, spread):
            for side in SIDES:
                found[f"{each.path}_range.{side}"] = end_of(answered, each, value, spread, side)
    return found


SIDES = ("low", "high")


def value_of(answered: Answered, each: Quantity) -> Number | None:
    """A number that is answered; None where it has no meaning."""
    return each.value(answered) if each.of_terms or answered.scenario.options.terms == "all" else None


def has_range(each: Quantity, spread: Ranges80) -> bool:
    """Whether a number has a range at 80% coverage."""
    if each.path in MIXED:
        return bool(spread.decode and spread.prefill)
    return bool(each.times) and getattr(spread, each.times) is not None


def end_of(answered: Answered, each: Quantity, value: Number, spread: Ranges80, side: str) -> Number:
    """The low or the high end of the range of a number that has one."""
    end = SIDES.index(side)
    if each.path in MIXED:
        assert spread.decode and spread.prefill
        entered, output = _input_usd(answered) * spread.prefill[end], _output_usd(answered) * spread.decode[end]
        blended = _blended(answered, entered, output)
        return blended if each.path == BLENDED else _of_request(answered, blended)
    times: Range = getattr(spread, each.times)
    factors = inverse(times) if each.rate else times
    assert factors is not None
    if each.path == WATTS and side == "high":  # the board's limit holds
        return np.minimum(value * factors[end], answered.scenario.gpu.power or np.inf)
    return value * factors[end]


def group_of(numbers: Mapping[str, Number], group: str) -> dict[str, Any]:
    """The numbers of one branch of the tree as its fields: floats, pairs for ranges, None where not known.

    numbers: of one cell, by path. group: such as 'decode'.
    """
    fields_of: dict[str, Any] = {}
    for each in QUANTITIES:
        branch, _, name = each.path.partition(".")
        if branch != group:
            continue
        value = _known(numbers.get(each.path))
        fields_of[name] = value
        if value is not None and f"{each.path}_range.low" in numbers:
            low, high = (_known(numbers[f"{each.path}_range.{side}"]) for side in ("low", "high"))
            fields_of[f"{name}_range"] = (low, high)
    return fields_of


def _known(value: Number | None) -> float | None:
    number = np.nan if value is None else float(np.asarray(value).item())
    return None if np.isnan(number) else number
