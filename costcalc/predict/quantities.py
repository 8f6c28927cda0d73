"""What is answered: the result tree that every face renders, its ranges, and what bounds a step.

Numbers are SI: bytes, seconds, tokens per second, dollars. A time, throughput or cost may carry a
`<name>_range` of low and high at 80% coverage; None where the ideal bound was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import field, fields, is_dataclass, replace
from functools import cached_property
from math import exp, hypot, log
from typing import Any, ClassVar

import numpy as np

from costcalc.engine.cost import blended_usd_per_million, usd_per_million
from costcalc.engine.host import SPREAD
from costcalc.engine.op_times import OpTime
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.step import Step
from costcalc.fields import Array, Number, Record, Result, total
from costcalc.hardware.efficiency import UNTUNED, Asked
from costcalc.hardware.owning import OwnedResult
from costcalc.predict.energy import JOULES_OF_A_KWH, grams_of_a_kwh, kwh_of_a_month, meter, shares_of_limit, watts
from costcalc.predict.predict import Prediction, prefill_layout
from costcalc.predict.scenario import Scenario
from costcalc.units import counted, format_percent, format_usd

Range = tuple[float, float]
HOURS_OF_A_MONTH = 730.0  # a twelfth of 365 days


class Parameters(Record):
    total: float
    active: float


class ModelResult(Record):
    name: str
    parameters: Parameters
    attention: str
    layers: int
    kv_heads: int | None = None  # of layers that share them among query heads; null where there are none, or several


class PrecisionResult(Record):
    weights: str
    kv_cache: str
    activations: str


class DeploymentResult(Record):
    gpu: str
    gpus: int
    replicas: int
    tensor_parallel: int
    pipeline_parallel: int
    expert_parallel: int
    attention_data_parallel: int
    precision: PrecisionResult
    usd_per_gpu_hour: float | None
    price_source: str | None
    utilization: float
    efficiency: str
    backend: str | None
    price_kind: str | None = None  # on-demand, reserved, spot, owned or marketplace; null where it was typed
    price_provider: str | None = None
    price_date: str | None = None
    price_age_months: int | None = None  # older than the newest price of the catalog
    owned: OwnedResult | None = None  # what the price is made of, where it was computed of an owner's capital
    price_range: Range | None = None  # lowest and highest list price of that kind [$/h]
    layout: str = ""  # degrees above 1, and replicas, in short
    idle_gpus: int = 0  # of the GPUs, that no replica takes
    context_parallel: int = 1  # tensor ranks that share the tokens of a cache
    settings: str = ""  # options told that no other number of the answer shows, as typed


class LimitsResult(Record):
    """Limits that the batch and the layout were chosen under, or that were asked for beside a batch."""

    time_per_output_token_s: float | None = None
    time_to_first_token_s: float | None = None
    kept: bool | None = None  # None where there was none to keep


class WorkloadResult(Record):
    batch: int | float  # sequences of one replica; a mean where a load was told
    input_tokens: float
    output_tokens: float
    context_tokens: float  # KV length at which decode is evaluated
    cached_share: float  # of the input, served from a prefix cache
    draft_tokens: int = 0  # drafted per step and sequence, and verified by it
    tokens_per_step: float = 1.0  # that a step yields for each sequence
    disaggregated: bool = False  # prefill and decode on pools of their own


class KvCacheResult(Record):
    bytes_per_token: float
    bytes_per_token_per_gpu: float
    bytes_per_sequence: float
    bytes_read_per_token: float  # cache read for one output token
    fixed_bytes_per_sequence: float = 0.0  # windows and states, when full: what does not grow with context


class MemoryResult(Record):
    fits: bool
    capacity_bytes_per_gpu: float
    weights_bytes_per_gpu: float
    kv_pool_bytes_per_gpu: float
    max_sequences: int  # of one replica, at full length
    host_bytes: float | None = None  # weights and cache in host memory at the batch; null where none are
    host_capacity_bytes: float | None = None  # what they may take there; null where it was not told


class PrefillResult(Record):
    time_s: float | None
    tokens_per_s: float | None
    time_s_range: Range | None = None
    tokens_per_s_range: Range | None = None


class DecodeResult(Record):
    step_time_s: float | None
    tokens_per_s: float | None
    tokens_per_s_per_gpu: float | None
    tokens_per_s_per_user: float | None
    bound_by: str | None
    step_time_s_range: Range | None = None
    tokens_per_s_range: Range | None = None
    tokens_per_s_per_gpu_range: Range | None = None
    tokens_per_s_per_user_range: Range | None = None


class ServingResult(Record):
    """Prefill and decode at `batch` concurrent requests per replica, sharing GPUs or on pools of their own."""

    time_to_first_token_s: float | None
    time_per_output_token_s: float | None
    output_tokens_per_s_per_gpu: float | None  # prefills included; of both pools where they are apart
    prefill_share: float | None = None  # of the GPU time of a request
    output_tokens_per_s: float | None = None  # of all GPUs
    tokens_per_s_per_user: float | None = None  # one over the time per output token
    prefill_gpus: float | None = None  # of a pool of its own, that keeps `deployment.gpus` of decode busy
    time_to_first_token_s_range: Range | None = None
    time_per_output_token_s_range: Range | None = None
    output_tokens_per_s_per_gpu_range: Range | None = None
    output_tokens_per_s_range: Range | None = None
    tokens_per_s_per_user_range: Range | None = None


class CostResult(Record):
    usd_per_million_output_tokens: float | None
    usd_per_million_input_tokens: float | None
    usd_per_million_blended_tokens: float | None
    usd_per_million_output_tokens_range: Range | None = None
    usd_per_million_input_tokens_range: Range | None = None
    usd_per_million_blended_tokens_range: Range | None = None
    usd_per_request: float | None = None  # of a prompt and its answer
    usd_per_request_range: Range | None = None
    # At the lowest and the highest list price of the kind that is charged.
    usd_per_million_output_tokens_price_range: Range | None = None
    usd_per_million_input_tokens_price_range: Range | None = None
    usd_per_million_blended_tokens_price_range: Range | None = None


class EnergyResult(Record):
    """What the GPUs draw while they serve, and the electricity and CO2 of it at the site's meter."""

    watts_per_gpu: float | None  # mean of the GPUs, while they work
    joules_per_output_token: float | None  # of all GPUs, prompts included
    joules_per_token: float | None  # over tokens in and out
    kwh_per_month: float | None  # at the meter, of 730 hours: of the demand where one was told, else around the clock
    kg_co2_per_month: float | None
    g_co2_per_million_output_tokens: float | None
    watts_per_gpu_range: Range | None = None
    joules_per_output_token_range: Range | None = None
    joules_per_token_range: Range | None = None
    kwh_per_month_range: Range | None = None
    kg_co2_per_month_range: Range | None = None
    g_co2_per_million_output_tokens_range: Range | None = None


NO_ENERGY = EnergyResult(None, None, None, None, None, None)


class DemandResult(Record):
    """What a demand takes of replicas of the deployment."""

    requests_per_s: float
    output_tokens_per_s: float
    replicas: int
    gpus: int
    load: float  # of what they can serve, at the utilization asked for
    usd_per_hour: float | None
    usd_per_month: float | None  # of 730 hours
    users: float | None = None  # who ask again when they are answered, where the demand is of them
    # Of this fleet at this demand: what is paid, over what is served.
    usd_per_million_tokens: float | None = None  # in and out
    usd_per_million_output_tokens: float | None = None
    usd_per_request: float | None = None
    usd_per_user_month: float | None = None  # of 730 hours, where the demand is of users


class OpResult(Record):
    """One op of a decode step: work of the whole replica, time on the busiest GPU."""

    op: str
    flops: float
    bytes: float
    time_s: float
    bound_by: str  # memory, compute, communication or overhead


class MarketPrice(Record):
    """A list price to set beside the cost."""

    provider: str
    input_usd_per_million: float
    cached_input_usd_per_million: float | None
    output_usd_per_million: float
    blended_usd_per_million: float  # at the workload's mix of cached, fresh and output tokens
    price_over_cost: float | None  # above 1: self-hosting is cheaper
    margin: float | None  # share of the price that is left above the cost; below 0: the API is cheaper
    break_even_utilization: float | None  # share of full use at which both cost the same; above 1: never
    date: str | None  # null where it was typed
    source: str
    note: str | None = None
    break_even_utilization_range: Range | None = None
    break_even_tokens_per_day: float | None = None  # of this mix, at that use; null where it is never reached
    model: str | None = None  # whose price it is, where it is another than the deployment's
    margin_range: Range | None = None
    usd_per_month_at_demand: float | None = None  # what the API asks for a demand, where one is told


SET_BY = "set by "
"""Begins the reason of a value that is the user's, of a variable or a file."""


class Assumption(Record):
    """A value that was not given, why it was taken, and how to override it."""

    name: str
    value: str
    why: str
    override: str


class Formula(Record):
    """A headline number as formula, the numbers put in, the result and where the formula comes from."""

    quantity: str  # path in the result tree, e.g. 'cost.usd_per_million_output_tokens'
    title: str
    formula: str
    numbers: str
    value: float | str
    unit: str
    source: str
    value_range: Range | None = None  # which holds in 8 of 10 cases
    range_source: str | None = None
    parts: tuple[Formula, ...] = ()  # what a sum is made of, longest first


class Estimate(Result):
    """What a deployment does and costs."""

    model: ModelResult
    deployment: DeploymentResult
    workload: WorkloadResult
    kv_cache: KvCacheResult
    memory: MemoryResult
    prefill: PrefillResult
    decode: DecodeResult
    serving: ServingResult
    cost: CostResult
    breakdown: tuple[OpResult, ...]
    market: tuple[MarketPrice, ...] = ()
    assumptions: tuple[Assumption, ...] = ()
    notes: tuple[str, ...] = ()
    explanation: tuple[Formula, ...] = field(default=(), repr=False)
    limits: LimitsResult = LimitsResult()
    demand: DemandResult | None = None
    energy: EnergyResult = NO_ENERGY
    command: str | None = None  # that asks for it; null of one row among several, and of passed specifications
    machine: ClassVar[Any] = None  # the Accelerator, whose roofs a chart has; of what `costcalc.estimate` returned
    ladder: ClassVar[Any] = None  # the Ladder, of which a chart finds the memory of other numbers of GPUs

    @property
    def about(self) -> str:
        """Model, GPUs and dollars."""
        return f"{self.model.name} on {self.deployment.gpus} × {self.deployment.gpu}: {self.headline}"

    def on(self, machine: Any, ladder: Any = None) -> Estimate:
        """Itself, with the Accelerator and the ladder that its chart draws: beside the fields, which are the answer."""
        self.__dict__.update(machine=machine, ladder=ladder)
        return self

    def changed(self, **values: Any) -> Estimate:
        """A copy with other values of its fields, and with what its chart draws."""
        return replace(self, **values).on(self.machine, self.ladder)

    @property
    def headline(self) -> str:
        """Dollars per million output tokens, or why there are none."""
        if not self.memory.fits:
            return "does not fit"
        return f"{format_usd(self.cost.usd_per_million_output_tokens)} per M output tokens"

    @property
    def gpus_paid(self) -> float:
        """GPUs of the deployment, and of a pool of its own for prefill."""
        return self.deployment.gpus + (self.serving.prefill_gpus or 0.0)

    def to_dict(self) -> dict[str, Any]:
        """The tree as plain dictionaries, lists and numbers; absent ranges are left out."""
        plain: dict[str, Any] = plain_tree(self)
        return plain


class BreakEven(Result):
    """Self-hosting against the list prices of APIs, in `estimate.market`."""

    against: str
    estimate: Estimate
    sale: MarketPrice | None = None  # what is asked of one's own users, beside the cost

    @property
    def about(self) -> str:
        """Model, GPUs, and the use at which they cost what the first API charges."""
        here = f"{self.estimate.model.name} on {self.estimate.deployment.gpus} × {self.estimate.deployment.gpu}"
        use = self.estimate.market[0].break_even_utilization if self.estimate.market else None
        return f"{here} against {self.against}: even at {format_percent(use)} of full use"

    @property
    def usd_per_month(self) -> float | None:
        """What the GPUs cost in a month of 730 hours, busy or idle, and the API at break-even [$]."""
        price = self.estimate.deployment.usd_per_gpu_hour
        return None if price is None else price * self.estimate.gpus_paid * HOURS_OF_A_MONTH

    @property
    def left_usd_per_month(self) -> float | None:
        """What a month of sales leaves above the GPUs [$], of a demand or at the use assumed; a loss is below 0."""
        if (demand := self.estimate.demand) is not None:
            sold = None if self.sale is None else self.sale.usd_per_month_at_demand
            return None if sold is None or demand.usd_per_month is None else sold - demand.usd_per_month
        bill, ratio = self.usd_per_month, None if self.sale is None else self.sale.price_over_cost
        return None if bill is None or ratio is None else bill * (ratio - 1)

    def to_dict(self) -> dict[str, Any]:
        """`{"against", "usd_per_month", "sale", "left_usd_per_month", ...an estimate's tree...}`."""
        own = {"against": self.against, "usd_per_month": self.usd_per_month, "sale": plain_tree(self.sale)}
        return {**own, "left_usd_per_month": self.left_usd_per_month, **self.estimate.to_dict()}


class Row(Record):
    """One row of a comparison."""

    variant: str
    estimate: Estimate
    cache_ratio: float | None = None  # reference row's cache bytes per token over this row's
    cost_ratio: float | None = None  # this row's $/M output over that of the first row with a price
    note: str | None = None
    needs_gpus: int | None = None  # where it does not fit: the fewest GPUs that would do, None for no number
    chance_cheaper: float | None = None  # than the first row per output token; null for that row, and where unknown


class Comparison(Result):
    """The same question asked of several variants, models or GPUs; the first row is the reference."""

    title: str
    rows: tuple[Row, ...]
    contexts: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def about(self) -> str:
        """Title, and the cheapest row."""
        costs = [
            (usd, row) for row in self.rows if (usd := row.estimate.cost.usd_per_million_output_tokens) is not None
        ]
        best = min(costs, key=lambda each: each[0])[1] if costs else None
        told = "" if best is None else f", cheapest {best.variant}, {best.estimate.headline}"
        return f"{self.title}: {counted(len(self.rows), 'row')}{told}"

    def to_dict(self) -> dict[str, Any]:
        """`{"rows": [{"variant", ...an estimate's tree...}]}`."""
        rows = []
        for row in self.rows:
            tree = {"variant": row.variant, **row.estimate.to_dict()}
            tree |= {"cache_ratio": row.cache_ratio, "cost_ratio": row.cost_ratio}
            tree |= {"chance_cheaper": row.chance_cheaper, "note": row.note, "needs_gpus": row.needs_gpus}
            rows.append(tree)
        return {"title": self.title, "rows": rows, "notes": list(self.notes)}


def plain_tree(value: Any) -> Any:
    """Return records as dictionaries and tuples as lists; ranges that are none are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        tree = {}
        for f in fields(value):
            item = getattr(value, f.name)
            if item is None and f.name.endswith("_range"):
                continue
            tree[f.name] = plain_tree(item)
        return tree
    if isinstance(value, tuple | list):
        return [plain_tree(item) for item in value]
    return value


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
    watts_of, joules_of = (constants.energy.range_of(each, q.gpu.name) for each in ("watts", "joules"))
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
    return Asked(q.gpu.name, q.model.name, q.gpu.architecture, q.gpu.vendor, q.backend, q.model.shape)


def scaled(value: float, spread: Range | None) -> Range | None:
    """The range of a number whose observed value over the predicted one spreads so."""
    return None if spread is None else (value * spread[0], value * spread[1])


def inverse(spread: Range | None) -> Range | None:
    """The spread of a rate, given that of its time."""
    return None if spread is None else (1 / spread[1], 1 / spread[0])


# Where a decode step's time goes, op by op, and what bounds it.


OVERHEAD = "overhead"
BOUNDS = ("memory", "compute", "communication", OVERHEAD)


def breakdown_of(step: Step, layout: Parallelism) -> tuple[OpResult, ...]:
    """Ops of a step, equal names joined, longest first: work that all GPUs of a replica do, time on the busiest GPU.

    Of all-to-all, only what does not hide behind the other ops counts as time.
    """
    names: dict[str, list[OpTime]] = {}
    for op in _all_ops(step):
        names.setdefault(op.op, []).append(op)
    # Every stage runs its layers on `stage` GPUs, once for each micro-batch in flight.
    copies = float(layout.stage * layout.pp)
    shown = 1.0 - hidden_share(step)
    rows = [
        OpResult(
            name,
            flops=copies * total(float(op.flops) for op in ops),
            bytes=copies * total(float(op.bytes) for op in ops),
            time_s=total(float(op.seconds) * (shown if op.kind == "all_to_all" else 1.0) for op in ops),
            bound_by=_bound(ops),
        )
        for name, ops in names.items()
    ]
    rows = [row for row in rows if row.time_s > 0]
    overhead = float(step.overhead_seconds)
    if overhead > 0:
        rows.append(OpResult("engine overhead", 0.0, 0.0, overhead, OVERHEAD))
    if (waiting := float(step.waiting_seconds)) > 0:
        rows.append(OpResult("waiting for the host", 0.0, 0.0, waiting, OVERHEAD))
    if (ageing := float(step.ageing_seconds)) > 0:
        rows.append(OpResult("older engine", 0.0, 0.0, ageing, OVERHEAD))
    return tuple(sorted(rows, key=lambda row: -row.time_s))


def _all_ops(step: Step) -> tuple[OpTime, ...]:
    return (*step.ops, step.drafting) if step.drafting else step.ops


def hidden_share(step: Step) -> float:
    """Share of a step's all-to-all that hides behind its other ops."""
    sent = float(step.hidden.sent)
    return float(step.hidden_seconds) / sent if sent else 0.0


def step_bound(step: Step) -> str:
    """What most of the time of one step, not of an array of them, is spent on."""
    return BOUNDS[int(step_bounds(step))]


def step_bounds(step: Step) -> Array:
    """What most of a step's time is spent on, at every cell: its place among BOUNDS."""
    totals: dict[str, Number] = dict.fromkeys(BOUNDS, 0.0)
    totals[OVERHEAD] = step.overhead_seconds + step.waiting_seconds + step.ageing_seconds
    for op in _all_ops(step):
        if op.communicates:
            totals["communication"] = totals["communication"] + op.seconds
        else:
            of_memory = np.asarray(op.memory_seconds >= op.compute_seconds)
            totals["memory"] = totals["memory"] + np.where(of_memory, op.seconds, 0.0)
            totals["compute"] = totals["compute"] + np.where(of_memory, 0.0, op.seconds)
    totals["communication"] = totals["communication"] - step.hidden_seconds
    stacked = np.stack(np.broadcast_arrays(*totals.values()))
    return np.argmax(stacked, axis=0)


def _bound(ops: Iterable[OpTime]) -> str:
    ops = list(ops)
    if ops[0].communicates:
        return "communication"
    memory = total(float(op.memory_seconds) for op in ops)
    return "memory" if memory >= total(float(op.compute_seconds) for op in ops) else "compute"


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
