"""A scenario: options as a person gives them, joined with the specifications they name. What they leave out,
`explore/search.py` chooses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, TypedDict

import numpy as np
from numpy.typing import NDArray

from costcalc.catalog.read import engine_memories, serving_efficiency
from costcalc.engine.efficiency import calibrated_efficiency
from costcalc.engine.latency import IDEAL, Efficiency
from costcalc.engine.memory import MemoryBudget
from costcalc.engine.parallelism import Degrees
from costcalc.engine.precision import Formats, checkpoint_precision, resolve_formats
from costcalc.engine.roofline import Machine, machine_of
from costcalc.engine.step import Terms, prediction_share, tokens_per_pass
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Number, Record, read_date
from costcalc.formats import activation_format, cache_format, weight_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.hardware.engines import before
from costcalc.model.attention.mla import LatentAttention, MlaMode
from costcalc.model.spec import ModelSpec, Precision
from costcalc.predict.options import read_option, refuse_unknown, the_gpu, the_model

Several = int | float | str | Sequence[int | float | str] | NDArray[Any] | None
"""One value, or a list, an array, or a range such as '1:256:x2'."""


class SharedKeywords(TypedDict, total=False):
    """Fields of `Options` that take one value, of estimates and of sweeps alike."""

    cached: float
    weights: str | None
    kv_cache: str | None
    activations: str | None
    memory_utilization: float | None
    max_num_batched_tokens: int | None
    max_num_seqs: int | None
    tpot: float | None
    ttft: float | None
    efficiency: EfficiencyMode
    backend: str | None
    terms: Terms
    mla: MlaMode | None
    drafts: int | None
    acceptance: float | None
    disaggregated: bool
    prefill_gpus: float | None
    experts: str | None
    arrivals: Arrivals | None
    concurrency: float | None
    requests: int | None
    lengths: Lengths | None
    statistic: Statistic | None
    polling: float | None
    engine_date: str | None


class OptionKeywords(SharedKeywords, total=False):
    """Fields of `Options`, all optional."""

    gpus: int | None
    tensor_parallel: int | None
    pipeline_parallel: int | None
    expert_parallel: int | None
    attention_data_parallel: int | None
    batch: int | None
    context: float | None
    input_tokens: float | None
    output_tokens: float | None
    price: float | str | None
    utilization: float
    demand: str | None


class SweepKeywords(SharedKeywords, total=False):
    """Options of an estimate; those that take `Several` may be swept."""

    gpus: Several
    tensor_parallel: Several
    pipeline_parallel: Several
    expert_parallel: Several
    attention_data_parallel: Several
    batch: Several
    context: Several
    input_tokens: Several
    output_tokens: Several
    memory_bandwidth: Several
    price: Several
    utilization: Several


# What is asked: options as a person gives them, checked, with the specifications they name.


EfficiencyMode = Literal["calibrated", "ideal"]
Arrivals = Literal["closed", "offline", "static"]
"""Whoever gets an answer asks again; all requests queue at once; one batch begins and ends together."""
Lengths = Literal["mixed", "equal"]
Statistic = Literal["median", "mean"]
OLDEST = 12.0
"""Months: engines of an earlier time are not measured."""
_MID_MONTH = 15
DEFAULT_INPUT = 4096
DEFAULT_OUTPUT = 1024
DEFAULT_TPOT = 0.05  # [s]
DEFAULT_ACCEPTANCE = 0.85  # of drafted tokens: DeepSeek-V3's own head keeps 85 to 90% (arXiv 2412.19437, 5.4.3)


class Options(Record):
    """Everything that an estimate can be told; None leaves a choice to costcalc, which then says so."""

    gpus: int | None = None
    tensor_parallel: int | None = None
    pipeline_parallel: int | None = None
    expert_parallel: int | None = None
    attention_data_parallel: int | None = None
    batch: int | None = None
    context: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    cached: float = 0.0
    weights: str | None = None
    kv_cache: str | None = None
    activations: str | None = None
    price: float | str | None = None
    utilization: float = 1.0
    memory_utilization: float | None = None
    max_num_batched_tokens: int | None = None  # tokens of one step, all prompts together
    max_num_seqs: int | None = None  # sequences that the scheduler of a rank runs at once
    tpot: float | None = None
    ttft: float | None = None
    demand: str | None = None  # what a fleet of such deployments has to serve, as in '1B tokens/day'
    efficiency: EfficiencyMode = "calibrated"
    backend: str | None = None
    terms: Terms = "all"
    mla: MlaMode | None = None
    drafts: int | None = None  # tokens drafted per step and verified by it (speculation, MTP)
    acceptance: float | None = None  # chance that a drafted token is kept
    disaggregated: bool = False  # prefill and decode on pools of their own
    prefill_gpus: float | None = None  # of the pool for prefill; None: as many as keep decode busy
    experts: str | None = None  # format of the routed experts, where it is not that of the weights
    arrivals: Arrivals | None = None
    concurrency: float | None = None  # requests in flight at all replicas together, instead of a batch
    requests: int | None = None  # that a run has in all, where all of them queue
    lengths: Lengths | None = None
    statistic: Statistic | None = None
    polling: float | None = None  # decode steps for which the scheduler looks at no new request
    engine_date: str | None = None  # of the serving engine, YYYY-MM or YYYY-MM-DD

    def __new__(cls, *_values: object, **given: object) -> Options:
        """Refuse keywords that are no options, naming the one that was meant."""
        refuse_unknown(given, cls.__dataclass_fields__)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        """Read what was passed; raises CostcalcError, naming the option."""
        for name in self.__dataclass_fields__:
            given = getattr(self, name)
            value = read_option(name, given)
            if value is None:
                value = self.__dataclass_fields__[name].default
            if value is not given:
                self.__dict__[name] = value
        if self.acceptance is not None and not self.drafts:
            hint = "say with drafts how many tokens are drafted per step"
            raise CostcalcError("there are no drafts to accept", where="acceptance", hint=hint)
        self._check_load()

    def _check_load(self) -> None:
        """Raise CostcalcError where what is said of the load contradicts itself."""
        if self.batch and self.load_told:
            what = "concurrency" if self.concurrency is not None else "arrivals"
            raise CostcalcError(f"a batch beside {what}", where="batch", hint="the batch follows from the load")
        if self.arrivals in ("closed", "static") and self.concurrency is None:
            hint = "say with concurrency how many requests are in flight"
            raise CostcalcError(f"{self.arrivals} arrivals without a concurrency", where="arrivals", hint=hint)
        if self.arrivals == "offline" and self.concurrency is not None:
            hint = "say with requests how many there are, or leave both out"
            raise CostcalcError("all requests queue, none is held back", where="concurrency", hint=hint)
        if self.requests is not None and self.arrivals != "offline":
            hint = "with arrivals offline"
            raise CostcalcError("requests are counted where all of them queue", where="requests", hint=hint)
        if self.prefill_gpus is not None and not self.disaggregated:
            raise CostcalcError(
                "there is no pool of its own for prefill",
                where="prefill_gpus",
                hint="ask for pools apart: disaggregated",
            )

    @property
    def load_told(self) -> bool:
        """Whether the load decides how many sequences decode at once, instead of a batch."""
        return self.concurrency is not None or self.arrivals is not None

    @property
    def degrees(self) -> Degrees:
        """The degrees of parallelism asked for."""
        return Degrees(
            self.gpus,
            self.tensor_parallel,
            self.pipeline_parallel,
            self.expert_parallel,
            self.attention_data_parallel,
        )


class Load(Record):
    """How requests come, and what is measured of them; each may be an array over benchmark rows."""

    arrivals: Arrivals = "closed"
    concurrency: Number | None = None  # requests in flight at all replicas together
    requests: Number | None = None  # in all, where all of them queue
    equal_lengths: Number = False  # all requests have the nominal length, and stay in step
    means: Number = False  # times are means over a run, not medians
    polling_steps: Number = 0.0  # decode steps for which the scheduler looks at no new request
    month: Number = math.nan  # of the engine, counted from year 0; nan: that of the constants
    prefill_gpus: Number | None = None  # of a pool of its own


class Scenario(Record):
    """Options joined with the specifications: all that the engine needs, layout and batch apart."""

    model: ModelSpec
    gpu: Accelerator
    options: Options
    precision: Precision
    formats: Formats
    machine: Machine
    efficiency: Efficiency
    constants: ServingEfficiency
    budget: MemoryBudget
    backend: str | None
    input_tokens: Number  # an array, and the context too, asks about many lengths at once
    output_tokens: Number
    drafts: Number = 0  # tokens drafted per step [tokens]
    cached: Number = 0.0  # share of the input that a prefix cache holds
    load: Load = Load()
    disaggregated: bool = False
    context: Number | None = None  # KV length at which decode is evaluated, where it was given
    recompute: bool = False  # no cache: every step prefills the context again

    @property
    def calibrated(self) -> bool:
        """Whether measured efficiencies apply, rather than the ideal bound."""
        return self.options.efficiency == "calibrated"

    @property
    def weights_name(self) -> str:
        """The format of the weights, and that of experts where it is another."""
        weights, experts = self.formats.weights.name, self.formats.experts.name
        return f"{weights} + {experts} experts" if self.model.has_experts and experts != weights else weights

    @property
    def acceptance(self) -> float:
        """Chance that the first drafted token is kept."""
        usual = self.constants.closed_loop.acceptance if self.calibrated else DEFAULT_ACCEPTANCE
        return usual if self.options.acceptance is None else self.options.acceptance

    @property
    def tokens_per_step(self) -> Number:
        """Tokens that a step yields for each sequence [tokens]: its own, and the drafts that are kept."""
        # Measured drafts are kept less often the further they look; a chance that was given holds for all of them.
        measured = self.options.acceptance is None and self.calibrated
        fading = self.constants.closed_loop.fading if measured else 1.0
        return tokens_per_pass(self.acceptance, self.drafts, fading)

    @property
    def slower_by_age(self) -> Number:
        """What an engine of the load's month takes over one of the constants' month [1].

        Engines run models with experts faster every month; of older ones than a year nothing was measured.
        """
        if not (self.calibrated and self.model.has_experts and self.load.arrivals == "closed"):
            return 1.0
        age = np.clip(np.nan_to_num(month_of(self.constants.as_of) - np.asarray(self.load.month)), 0.0, OLDEST)
        return np.exp(self.constants.maturing * age)

    @property
    def tpot_limit(self) -> float:
        """Most time per output token [s]: the one asked for, else a default where the batch is chosen."""
        return self.options.tpot or (np.inf if self.options.batch or self.options.load_told else DEFAULT_TPOT)

    @property
    def full_length(self) -> Number:
        """Tokens that a sequence holds when it ends, and that must fit [tokens].

        A context alone is the length that was asked about; beside it, an input or an output that was given too
        makes a request, whose length counts where it is more.
        """
        request = self.input_tokens + self.output_tokens
        if self.context is None:
            return request
        given = self.options.input_tokens or self.options.output_tokens
        return np.maximum(self.context, request) if given else self.context

    @property
    def decode_context(self) -> Number:
        """KV length at which decode is evaluated: the one given, or half of the output behind the input."""
        return self.input_tokens + self.output_tokens / 2 if self.context is None else self.context

    def at(self, context: Number) -> Scenario:
        """The question asked with `--context`: prompts are as long, unless their length was given."""
        return replace(self, context=context, input_tokens=self.options.input_tokens or context)

    def around(self, context: Number) -> Scenario:
        """The question whose answers are half written at `context`: prompts are shorter by half of an answer."""
        return replace(self, context=None, input_tokens=np.maximum(context - self.output_tokens / 2, 1.0))


def scenario_of(model: ModelSpec, gpu: Accelerator, options: Options) -> Scenario:
    """Join options and specifications; raises CostcalcError for what cannot be."""
    model, gpu = the_model(model), the_gpu(gpu)
    if options.mla:
        model = with_mla_mode(model, options.mla)
    machine = machine_of(gpu)
    precision = asked_precision(model, options)
    constants = serving_efficiency()
    backend = options.backend or constants.default_backend
    if backend not in constants.engines:
        hint = did_you_mean(backend, constants.engines) or f"one of {', '.join(constants.engines)}"
        raise CostcalcError(f"unknown backend {shown(backend)}", where="--backend", hint=hint)
    try:
        gpu.price_for(options.price)
    except CostcalcError as error:
        raise CostcalcError(error.message, where="price", hint=error.hint) from None
    calibrated = options.efficiency == "calibrated"
    load, budget = load_of(options), budget_of(model, options, constants, backend)
    formats = resolve_formats(precision, machine.peak_flops, machine.architecture)
    assert budget.engine is not None
    return Scenario(
        model=model,
        gpu=gpu,
        options=options,
        precision=precision,
        formats=replace(formats, padded_inputs=budget.engine.expert_inputs.get(formats.experts.name, 1)),
        machine=machine,
        efficiency=calibrated_efficiency(constants, machine, backend) if calibrated else IDEAL,
        constants=constants,
        budget=budget,
        backend=backend if calibrated else None,
        input_tokens=options.input_tokens or options.context or DEFAULT_INPUT,
        output_tokens=options.output_tokens or DEFAULT_OUTPUT,
        drafts=options.drafts or 0,
        cached=options.cached,
        load=load,
        disaggregated=options.disaggregated,
        context=options.context,
    )


def budget_of(model: ModelSpec, options: Options, constants: ServingEfficiency, backend: str) -> MemoryBudget:
    """The memory that an engine of the month asked for gives to weights and cache.

    backend: the engine, by its name among the constants.
    """
    engine = engine_memories().of(backend)
    if engine.earlier and options.engine_date:
        older = month_of(options.engine_date) < month_of(engine.earlier.until) + 1
        engine = before(engine, engine.earlier) if older else replace(engine, earlier=None)
    return MemoryBudget(
        options.memory_utilization or engine.utilization,
        of_free=engine.of == "free",
        reserved_output=constants.engine(backend).reserved_output,
        prediction=prediction_share(model) if options.drafts else 0.0,
        drafts=options.drafts or 0,
        engine=engine,
        step_tokens=options.max_num_batched_tokens,
        sequences=options.max_num_seqs,
    )


def load_of(options: Options) -> Load:
    """How requests come, as the options say; raises CostcalcError for a date that is none."""
    month = math.nan
    if options.engine_date is not None:
        month = month_of(options.engine_date)
        if math.isnan(month):
            raise CostcalcError(f"{shown(options.engine_date)} is no month", where="engine_date", hint="write 2026-06")
    return Load(
        arrivals=options.arrivals or "closed",
        concurrency=options.concurrency,
        requests=options.requests,
        equal_lengths=options.lengths == "equal",
        means=options.statistic == "mean",
        polling_steps=options.polling or 0.0,
        month=month,
        prefill_gpus=options.prefill_gpus,
    )


def month_of(date: str) -> float:
    """Months from year 0 to a date of the form YYYY-MM or YYYY-MM-DD; nan where it is of no such form."""
    year, month, day = read_date(date) or (0, None, None)
    return math.nan if month is None else 12 * year + month - 1 + ((day or _MID_MONTH) - 1) / 30


def asked_precision(model: ModelSpec, options: Options) -> Precision:
    """The model's native precision with the formats asked for.

    --weights means the checkpoint that the model's makers would publish in that format: where those of its family
    narrow routed experts only, so does it. --experts says theirs apart. Raises CostcalcError for an unknown format.
    """
    precision = checkpoint_precision(model, options.weights) if options.weights else model.precision
    changes: dict[str, Any] = {}
    if options.experts:
        if not model.has_experts:
            raise CostcalcError(f"{model.name} has no experts", where="experts", hint="leave --experts out")
        changes["experts"] = weight_format(options.experts).name
    if options.kv_cache:
        changes["kv_cache"] = cache_format(options.kv_cache).name
    if options.activations:
        changes["activations"] = activation_format(options.activations)
    return replace(precision, **changes)


def with_mla_mode(model: ModelSpec, mode: MlaMode) -> ModelSpec:
    """The model with its latent attention executed in `mode`; raises CostcalcError where it has none."""
    if not any(isinstance(layer, LatentAttention) for layer in model.attention.values()):
        raise CostcalcError(f"--mla {mode}: {model.name} has no latent attention", hint="leave --mla out")
    changed = {
        label: replace(layer, mode=mode) if isinstance(layer, LatentAttention) else layer
        for label, layer in model.attention.items()
    }
    return replace(model, attention=changed)
