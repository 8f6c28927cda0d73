"""The result tree that every face renders: what a deployment does and costs, and what several are compared by.

Numbers are SI: bytes, seconds, tokens per second, dollars. A time, throughput or cost may carry a
`<name>_range` of low and high at 80% coverage; None where the ideal bound was asked for.
"""

from __future__ import annotations

from dataclasses import field, fields, is_dataclass, replace
from typing import Any, ClassVar

from costcalc.fields import Record, Result
from costcalc.hardware.owning import OwnedResult
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

    @property
    def paid_idle(self) -> float:
        """Share of an hour's price that a GPU pays which idles: all of it, but for an owner's electricity."""
        return self.owned.paid_idle if self.owned else 1.0


class LimitsResult(Record):
    """Limits that the batch and the layout were chosen under, or that were asked for beside a batch."""

    time_per_output_token_s: float | None = None
    time_to_first_token_s: float | None = None
    kept: bool | None = None  # None where there was none to keep


class WorkloadResult(Record):
    """What is served; `batch` is of one replica, of which `deployment.replicas` run side by side."""

    batch: int | float  # sequences of one replica; a mean where a load was told
    input_tokens: float
    output_tokens: float
    context_tokens: float  # KV length at which decode is evaluated
    cached_share: float  # of the input, served from a prefix cache
    draft_tokens: int = 0  # drafted per step and sequence, and verified by it
    tokens_per_step: float = 1.0  # that a step yields for each sequence
    disaggregated: bool = False  # prefill and decode on pools of their own


class KvCacheResult(Record):
    bytes_per_token: float  # that each further token adds; full windows and states do not grow
    bytes_per_token_per_gpu: float
    bytes_per_sequence: float  # at full length, windows and states included
    bytes_read_per_token: float  # cache read for one output token
    fixed_bytes_per_sequence: float = 0.0  # windows and states, when full: what does not grow with context


class MemoryResult(Record):
    """What the memory of one GPU holds; `max_sequences` are those of one replica."""

    fits: bool
    capacity_bytes_per_gpu: float
    weights_bytes_per_gpu: float
    kv_pool_bytes_per_gpu: float
    max_sequences: int  # of one replica, at full length
    host_bytes: float | None = None  # weights and cache in host memory at the batch; null where none are
    host_capacity_bytes: float | None = None  # what they may take there; null where it was not told
    gpu_layers: int | None = None  # on the GPU, the LM head counted, where the others are in host memory
    host_expert_layers: int | None = None  # layers whose routed experts alone are there


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
    load: float  # of the requests that they serve at the utilization asked for; of users, of those whom they hold
    usd_per_hour: float | None
    usd_per_month: float | None  # of 730 hours
    users: float | None = None  # who ask again when they are answered, where the demand is of them
    # Of this fleet at this demand: what is paid, over what is served.
    usd_per_million_tokens: float | None = None  # in and out
    usd_per_million_output_tokens: float | None = None
    usd_per_request: float | None = None
    usd_per_user_month: float | None = None  # of 730 hours, of users who ask again at once, where the demand is of them
    tokens_per_s_per_user: float | None = None  # while answers come, of so many users; null of a rate of requests


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
    price_over_cost: float | None  # above 1: self-hosting is cheaper; with a demand, of what its whole fleet costs
    margin: float | None  # share of the price that is left above that cost; below 0: the API is cheaper
    break_even_utilization: float | None  # share of full use at which both cost the same; above 1: never
    date: str | None  # null where it was typed
    source: str
    note: str | None = None
    break_even_utilization_range: Range | None = None
    break_even_tokens_per_day: float | None = None  # of this mix, at that use; null where it is never reached
    model: str | None = None  # whose price it is, where it is another than the deployment's
    margin_range: Range | None = None
    usd_per_month_at_demand: float | None = None  # what the API asks for a demand, where one is told
    break_even_requests_per_s: float | None = None  # at which the demand's fleet costs that; null beyond what it serves


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
    """One row of a comparison; its numbers are those of `estimate`, as in `rows[0].estimate.workload.batch`.

    JSON and CSV have them beside the row's own: `workload.batch`.
    """

    variant: str
    estimate: Estimate
    cache_ratio: float | None = None  # reference row's cache bytes per token over this row's
    cost_ratio: float | None = None  # $/M output, or a demand's month, over that of the first row with a price
    note: str | None = None
    needs_gpus: int | None = None  # where it does not fit: the fewest GPUs that would do, None for no number
    chance_cheaper: float | None = None  # than that row, by the same cost; null for that row, and where unknown
    sequence_ratio: float | None = None  # reference row's cache bytes per sequence over this row's


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
            tree |= {"cache_ratio": row.cache_ratio, "sequence_ratio": row.sequence_ratio, "cost_ratio": row.cost_ratio}
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
