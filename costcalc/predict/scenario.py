"""A scenario: options as a person gives them, joined with the specifications they name. What they leave out,
`explore/search/` chooses.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.host import ON_GPU, Placement, host_of, placement_of, streamed
from costcalc.engine.latency.efficiency import calibrated_efficiency
from costcalc.engine.latency.op_times import IDEAL, Efficiency
from costcalc.engine.memory import (
    MemoryBudget,
    copy_buffer_bytes,
    held_bytes_per_sequence,
    host_weights_bytes,
    kv_pool_bytes_per_gpu,
    max_sequences,
)
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats, checkpoint_precision, read_weights, resolve_formats, with_bits
from costcalc.engine.roofline import Machine, machine_of
from costcalc.engine.step import prediction_share, tokens_per_pass
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Array, Number, Record, Spec, read_date
from costcalc.formats import activation_format, cache_format, weight_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.hardware.engines import before
from costcalc.hardware.owning import OwnedTerms, Owning, charged, electricity_at
from costcalc.hardware.prices import PriceChoice
from costcalc.model.attention.mla import LatentAttention, MlaMode
from costcalc.model.spec import ModelSpec, Precision
from costcalc.predict.options import WEIGHED, Arrivals, Options, read_option
from costcalc.predict.readers import is_several, kind_of, read_as
from costcalc.units import parse_machine

SpecT = TypeVar("SpecT", bound=Spec)

OLDEST = 12.0
"""Months: engines of an earlier time are not measured."""
_MID_MONTH = 15
DEFAULT_INPUT = 4096
DEFAULT_OUTPUT = 1024
DEFAULT_TPOT = 0.05  # [s]
DEFAULT_ACCEPTANCE = 0.85  # of drafted tokens: DeepSeek-V3's own head keeps 85 to 90% (arXiv 2412.19437, 5.4.3)


class Load(Record):
    """How requests come, and what is measured of them; each may be an array over benchmark rows."""

    arrivals: Arrivals = "closed"
    concurrency: Number | None = None  # requests in flight at all replicas together
    requests: Number | None = None  # in all, where all of them queue
    equal_lengths: Number = False  # all requests have the nominal length, and stay in step
    means: Number = False  # times are means over a run, not medians
    polling_steps: Number = 0.0  # decode steps for which the scheduler looks at no new request
    month: Number = math.nan  # of the engine, counted from year 0; nan: that of the constants
    client_seconds: Number = 0.0  # between a user and the engine
    prefill_gpus: Number | None = None  # of a pool of its own
    prefill_tp: Number | None = None  # degrees of its workers; None: those of the workers that decode
    prefill_dp: Number | None = None
    prefill_ep: Number | None = None
    prefill_cp: Number | None = None  # ranks that share the tokens of each prompt

    @property
    def prefill_told(self) -> bool:
        """Whether the layout of the workers that prefill is told."""
        return any(x is not None for x in (self.prefill_tp, self.prefill_dp, self.prefill_ep, self.prefill_cp))


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
    fitted: bool = False  # as much is on the GPU as fits, by --gpu-layers auto
    decode_alone: bool = False  # layouts and batches are those that decode most cheaply, whatever prompts cost apart

    def with_prompts_apart(self) -> Scenario:
        """Itself with the prompts on GPUs of their own."""
        budget = prompts_apart(self.budget, self.options)
        return replace(self, options=replace(self.options, disaggregated=True), disaggregated=True, budget=budget)

    @property
    def calibrated(self) -> bool:
        """Whether measured efficiencies apply, rather than the ideal bound."""
        return self.options.efficiency == "calibrated"

    @property
    def price(self) -> PriceChoice | None:
        """What an hour of a GPU costs, and by which price; null where none is known."""
        return charged(self.gpu, words_of_price(self.options), owner_of(self.options, self.constants.of_owning))

    def price_at(self, busy: float) -> float | None:
        """What an hour of a GPU costs that works for a share of the hours: an owner pays the electricity of that."""
        owner = owner_of(self.options, self.constants.of_owning)
        if self.price is None or not self.price.computed or "busy" in owner.typed:
            return self.price.usd_per_gpu_hour if self.price else None
        more = electricity_at(self.gpu, owner, busy) - electricity_at(self.gpu, owner, owner.busy)
        return self.price.usd_per_gpu_hour + float(more)

    @property
    def weights_name(self) -> str:
        """The format of the weights, and those of attention, FFN and experts where they are others."""
        formats, weights = self.formats, self.formats.weights.name
        parts = {"attention": formats.projections.weights.name, "FFN": formats.ffn.weights.name}
        parts |= {"experts": formats.experts.name} if self.model.has_experts else {}
        return " + ".join((weights, *(f"{name} {part}" for part, name in parts.items() if name != weights)))

    @property
    def acceptance(self) -> float:
        """Chance that the first drafted token is kept."""
        usual = self.constants.closed_loop.acceptance if self.calibrated else DEFAULT_ACCEPTANCE
        return usual if self.options.acceptance is None else self.options.acceptance

    @property
    def tokens_per_step(self) -> Number:
        """Tokens that a step yields for each sequence [tokens]: its own, and the drafts that are kept."""
        # Measured drafts are kept less often the further they look; a chance that was given holds for all of them.
        if self.options.accepted is not None:
            return self.options.accepted
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

    def under(self, constants: ServingEfficiency) -> Scenario:
        """The question under other constants of serving."""
        if self.backend is None:
            return self
        return replace(
            self, constants=constants, efficiency=efficiency_of(self.options, constants, self.machine, self.backend)
        )

    def at(self, context: Number) -> Scenario:
        """The question asked with `--context`: prompts are as long, unless their length was given."""
        return replace(self, context=context, input_tokens=self.options.input_tokens or context)

    def over(self, along: Mapping[str, Array]) -> Scenario:
        """The question with arrays for its lengths [tokens] and the GPU's bandwidth [B/s], which engines broadcast.

        along: context, input_tokens, output_tokens and memory_bandwidth, as far as they vary; other names are left.
        """
        lengths = {
            name: along[name].astype(float) for name in ("context", "input_tokens", "output_tokens") if name in along
        }
        if "context" in lengths and self.options.input_tokens is None:
            lengths["input_tokens"] = lengths["context"]  # as for a single context
        machine = self.machine
        if "memory_bandwidth" in along:
            machine = replace(machine, memory_bandwidth=along["memory_bandwidth"])
        found = replace(self, machine=machine, **cast("dict[str, Any]", lengths))
        return found.under(self.constants) if "memory_bandwidth" in along else found

    def around(self, context: Number) -> Scenario:
        """The question whose answers are half written at `context`: prompts are shorter by half of an answer."""
        return replace(self, context=None, input_tokens=np.maximum(context - self.output_tokens / 2, 1.0))


# What a question names: models and accelerators, as specifications or by name.


def asked(
    model: object, gpu: object, given: Mapping[str, Any], catalog: Catalog | str | Path | None = None
) -> Scenario:
    """Return what is asked, as whoever calls or types it says it; raises CostcalcError for what cannot be read.

    model, gpu: specifications, or names, aliases or paths of the catalog; a GPU with a count in front, as in '8xh100'.
    given: options by keyword, as passed or typed. catalog: or the folder of it that is looked at first.
    """
    folders = catalog_of(catalog)
    name, given = counted(gpu, given)
    options = Options(**given)
    spec, machine = the_model(model, folders), the_gpu(name, folders)
    return scenario_of(spec, machine, options, folders.serving_efficiency())


def counted(gpu: object, given: Mapping[str, Any]) -> tuple[object, dict[str, Any]]:
    """Return the name of '8xh100', and options with the count, which must not contradict their `gpus`."""
    if not isinstance(gpu, str):
        return gpu, dict(given)
    count, name = read_as(parse_machine, gpu, "gpu")
    if count is None:
        return name, dict(given)
    gpus = given.get("gpus")
    several = is_several(gpus)
    if gpus is not None and (several or read_option("gpus", gpus) != count):
        told = shown(gpus) if several else read_option("gpus", gpus)
        raise CostcalcError(f"{told} contradicts {shown(gpu)}", where="gpus", hint="leave one out")
    return name, {**given, "gpus": count}


def asked_by(given: object) -> str:
    """Return the name by which a command asks for a model or a GPU: as it was named, or its own."""
    return str(given) if isinstance(given, str | Path) else str(getattr(given, "name", given))


def the_model(model: object, catalog: Catalog) -> ModelSpec:
    """Return the model that an argument is or names; raises CostcalcError."""
    return _known(model, ModelSpec, catalog.model, "model", "model", "'v3'")


def the_gpu(gpu: object, catalog: Catalog) -> Accelerator:
    """Return the accelerator that an argument is or names; raises CostcalcError."""
    return _known(gpu, Accelerator, catalog.gpu, "gpu", "GPU", "'h100'")


def _known(
    value: object, spec: type[SpecT], load: Callable[[str | Path], SpecT], argument: str, what: str, example: str
) -> SpecT:
    if isinstance(value, spec):
        return value
    if isinstance(value, str | Path):
        return load(value)
    hint = f"pass a name such as {example}, the path of a YAML file, or what costcalc.load_{argument} returns"
    raise CostcalcError(f"{kind_of(value)} where a {what} belongs", where=argument, hint=hint)


def listed(values: object, argument: str, example: str) -> list[Any]:
    """Return the values of a list that must not be empty, or of text between commas or spaces; raises CostcalcError.

    Commas between the thousands of a number, as in 128,000, do not divide it.
    """
    if isinstance(values, str):
        return [each for each in re.split(_BETWEEN, values.strip()) if each] or [""]
    if not isinstance(values, Iterable):
        raise CostcalcError(f"{shown(values)} is no list", where=argument, hint=f"write it like {example}")
    found = list(values)
    if not found:
        raise CostcalcError("the list is empty", where=argument, hint=f"write it like {example}")
    return found


_BETWEEN = r",(?!(?<=[0-9],)[0-9]{3}(?![0-9A-Za-z]))|\s+"


# Options, specifications and constants joined.


def scenario_of(
    model: ModelSpec, gpu: Accelerator, options: Options, constants: ServingEfficiency | None = None
) -> Scenario:
    """Join options, specifications and the constants of serving; raises CostcalcError for what cannot be."""
    if options.gpu_layers is not None:
        if options.gpu_layers == WEIGHED:
            return _fitted(model, gpu, options, constants)
        options = replace(options, gpu_layers=min(int(options.gpu_layers), model.num_layers + 1))
    if options.mla:
        model = with_mla_mode(model, options.mla)
    machine = machine_of(gpu)
    if options.link is not None:  # what is told was measured: nothing is left to share
        machine = replace(machine, link_bandwidth=options.link, switched=True)
    precision = asked_precision(model, options)
    constants = constants or Catalog().serving_efficiency()
    usual = usual_backend(options, precision, gpu, constants)
    backend = constants.backend_called(options.backend) if options.backend else usual
    if backend not in constants.engines:
        hint = did_you_mean(backend, constants.engines) or f"one of {', '.join(constants.engines)}"
        raise CostcalcError(f"unknown backend {shown(backend)}", where="backend", hint=hint)
    owner = owner_of(options, constants.of_owning)
    charged_as_told(gpu, words_of_price(options), owner)
    calibrated = options.efficiency == "calibrated"
    load, budget = load_of(options), budget_of(model, options, constants, backend)
    precision = _kept_by(budget, precision, options, backend)
    formats = resolve_formats(precision, machine.peak_flops, machine.architecture)
    assert budget.engine is not None
    formats = replace(formats, padded_inputs=budget.engine.expert_inputs.get(formats.experts.name, 1))
    formats = replace(formats, encoders=float(budget.engine.encoders))
    if options.offloads:
        formats = replace(formats, placement=placement_asked(model, options, formats, backend))
    if budget.engine.input_on_host and formats.placement == ON_GPU and host_of(gpu, None, None, None) is not None:
        formats = replace(formats, placement=Placement(embedding=1.0))
    if formats.placement.anything:
        machine = replace(machine, host=host_of(gpu, options.host_bandwidth, options.host_flops, options.host_memory))
        if machine.host is None:
            hint = "its memory is the host's, or no link to one is known: leave the options of host memory out"
            raise CostcalcError(f"{gpu.name} has no host memory beside its own", hint=hint)
        options = _on_one_gpu(options)
        if formats.placement.copied_from:
            budget = replace(budget, reserve=copy_buffer_bytes(model, formats))
    elif options.offloads and not options.degrees.layout_given and options.gpus is None:
        options = replace(options, gpus=1)  # all of it on the one GPU that was asked about
    return Scenario(
        model=model,
        gpu=gpu,
        options=options,
        precision=precision,
        formats=formats,
        machine=machine,
        efficiency=efficiency_of(options, constants, machine, backend) if calibrated else IDEAL,
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


def _fitted(model: ModelSpec, gpu: Accelerator, options: Options, constants: ServingEfficiency | None) -> Scenario:
    """The scenario with as much on the GPU as fits beside the cache of the sequences asked for, one by default.

    As llama.cpp's --fit does it (common/fit.cpp, 2026-10): experts leave the GPU before layers do, and several GPUs
    share the layers instead.
    """
    if _several_gpus(options):
        return scenario_of(
            model, gpu, replace(options, gpu_layers=None, backend=options.backend or "llamacpp"), constants
        )
    everything, experts = model.num_layers + 1, options.offload_experts
    if host_of(gpu, None, None, None) is None:  # its memory is the host's
        return scenario_of(model, gpu, replace(options, gpu_layers=everything), constants)
    steps: list[dict[str, Any]] = [{"gpu_layers": everything - n} for n in range(everything + 1)]
    if model.has_experts and experts is None:
        first = [{"gpu_layers": everything, "offload_experts": n or None} for n in range(everything)]
        steps = [*first, *({**each, "offload_experts": "all"} for each in steps[1:])]
    sequences, one = options.batch or math.ceil(options.concurrency or 1), Parallelism()

    def at(step: int) -> Scenario:
        return scenario_of(model, gpu, replace(options, **steps[step]), constants)

    def fits(step: int) -> bool:
        q = at(step)
        pool = kv_pool_bytes_per_gpu(q.model, q.machine, one, q.formats, q.budget)
        each = held_bytes_per_sequence(q.model, q.machine, one, q.formats, q.full_length, q.budget)
        return bool(max_sequences(pool, each, one) >= sequences)

    found = bisect_left(range(len(steps) - 1), True, key=fits)
    return replace(at(found), fitted=True)


def _on_one_gpu(options: Options) -> Options:
    """The options, whose GPU is the one that host memory serves; raises CostcalcError where several are asked for."""
    why = "what is in host memory is modelled beside one GPU"
    for name, degree in _several_gpus(options).items():
        raise CostcalcError(f"{degree} share host memory", where=name, hint=why)
    if options.disaggregated:
        raise CostcalcError("pools apart share host memory", where="disaggregated", hint=why)
    return replace(options, gpus=1)


def _several_gpus(options: Options) -> dict[str, int]:
    """The options that ask for more than one GPU, by keyword."""
    names = ("gpus", *(name for name in options.__dataclass_fields__ if name.endswith("_parallel")))
    told = {name: getattr(options, name) for name in names}
    return {name: degree for name, degree in told.items() if isinstance(degree, int) and degree > 1}


def engine_with_host(options: Options) -> str | None:
    """The engine whose way of using host memory is asked for, or None."""
    if not options.offloads:
        return None
    return "llamacpp" if options.cpu_offload_gb is None else "vllm"


def _kept_by(budget: MemoryBudget, precision: Precision, options: Options, backend: str) -> Precision:
    """The precision of the engine's files, with a cache that it keeps: its default where the model's own is none.

    Raises CostcalcError for one that was asked for.
    """
    rest = budget.engine.beside_experts.get(precision.experts or "") if budget.engine else None
    told = read_weights(options.weights).get("weights") if options.weights else None
    if rest and precision.weights in ("bf16", "fp16") and told in (None, precision.experts):
        precision = replace(precision, weights=rest, head=rest, embedding=None)
    known = budget.engine.cache_formats if budget.engine else ()
    if not known or precision.kv_cache in known:
        return precision
    if options.kv_cache is None:
        return replace(precision, kv_cache="bf16")  # as large as its fp16
    hint = f"one of {', '.join(known)}"
    raise CostcalcError(f"{backend} keeps no cache in {options.kv_cache}", where="kv_cache", hint=hint)


def usual_backend(options: Options, precision: Precision, gpu: Accelerator, constants: ServingEfficiency) -> str:
    """The engine where none is told: by what is in host memory, by formats of GGUF, by the GPU."""
    of_files = "llamacpp" if "llama.cpp" in cache_format(precision.kv_cache).note else None
    of_files = "llamacpp" if weight_format(precision.weights).note == "GGUF" else of_files
    engines = constants.of_memory.engines if constants.of_memory else {}
    usual = next((name for name, each in engines.items() if gpu.architecture in each.usual_on), None)
    return engine_with_host(options) or of_files or usual or constants.backend_for(gpu.vendor)


def placement_asked(model: ModelSpec, options: Options, formats: Formats, backend: str) -> Placement:
    """What the options put into host memory; raises CostcalcError for what the engine or the model cannot."""
    engine = engine_with_host(options)
    if backend != engine:
        hint = "`gpu_layers`, `offload_experts` and `offload_cache` are llamacpp's, `cpu_offload_gb` is vllm's"
        raise CostcalcError(f"{shown(backend)} does not use host memory so", where="backend", hint=hint)
    if options.cpu_offload_gb is not None:
        layers = float(host_weights_bytes(model, Parallelism(), replace(formats, placement=streamed(1.0))))
        return streamed(min(options.cpu_offload_gb * 2**30 / layers, 1.0))
    experts = options.offload_experts
    if experts is not None and not model.has_experts:
        hint = "leave it out, or say `gpu_layers`"
        raise CostcalcError(f"{model.name} has no experts", where="offload_experts", hint=hint)
    on_gpu = None if options.gpu_layers is None else int(options.gpu_layers)
    return placement_of(model, on_gpu, experts, options.offload_cache)


def efficiency_of(options: Options, constants: ServingEfficiency, machine: Machine, backend: str) -> Efficiency:
    """What an engine reaches on `machine` by the constants; backend: its name among them."""
    tuned = options.tuning == "tuned"
    return calibrated_efficiency(constants, machine, backend, tuned, options.imbalance or "measured")


def budget_of(model: ModelSpec, options: Options, constants: ServingEfficiency, backend: str) -> MemoryBudget:
    """The memory that an engine of the month asked for gives to weights and cache.

    backend: the engine, by its name among the constants.
    """
    engine = constants.memory_of(backend)
    if options.engine_date:
        month = month_of(options.engine_date)
        engine = before(engine, tuple(each for each in engine.earlier if month < month_of(each.until) + 1))
    budget = MemoryBudget(
        options.memory_utilization or engine.utilization,
        of_free=engine.of == "free",
        reserved_output=constants.engine(backend).reserved_output,
        prediction=prediction_share(model) if options.drafts else 0.0,
        drafts=options.drafts or 0,
        engine=engine,
        step_tokens=options.max_num_batched_tokens,
        sequences=options.max_num_seqs,
    )
    return prompts_apart(budget, options) if options.disaggregated else budget


def prompts_apart(budget: MemoryBudget, options: Options) -> MemoryBudget:
    """The memory of an engine that prefills nothing, unless its steps are told to have so many tokens."""
    return replace(budget, prompts_elsewhere=options.max_num_batched_tokens is None)


def load_of(options: Options) -> Load:
    """How requests come, as the options say."""
    return Load(
        arrivals=options.arrivals or "closed",
        concurrency=options.concurrency,
        requests=options.requests,
        equal_lengths=options.lengths == "equal",
        means=options.statistic == "mean",
        polling_steps=options.polling or 0.0,
        client_seconds=options.client_latency or 0.0,
        month=math.nan if options.engine_date is None else month_of(options.engine_date),
        prefill_gpus=options.prefill_gpus,
        prefill_tp=options.prefill_tp,
        prefill_dp=options.prefill_dp,
        prefill_ep=options.prefill_ep,
        prefill_cp=options.prefill_cp,
    )


def month_of(date: str) -> float:
    """Months from year 0 to a date of the form YYYY-MM or YYYY-MM-DD; nan where it is of no such form."""
    year, month, day = read_date(date) or (0, None, None)
    return math.nan if month is None else 12 * year + month - 1 + ((day or _MID_MONTH) - 1) / 30


def words_of_price(options: Options) -> float | str | None:
    """What `--price` says; terms of an owner mean that kind where it says nothing."""
    return "owned" if options.price is None and options.owned is not None else options.price


def owner_of(options: Options, owning: Owning | None) -> OwnedTerms:
    """The terms of an owner and of the site, as told or by default; raises CostcalcError.

    A GPU is busy for as much of the hours as is paid work, `utilization`, unless its terms say otherwise.
    """
    if owning is None:
        raise ValueError("constants of serving without the terms of owning")
    site = {"pue": options.pue, "power_price": options.power_price, "grid_co2": options.grid_co2}
    told: OwnedTerms = read_as(lambda text: owning.told(text, site), options.owned, "owned")
    return told if "busy" in told.typed else replace(told, busy=options.utilization)


def charged_as_told(gpu: Accelerator, told: float | str | None, owner: OwnedTerms) -> PriceChoice | None:
    """What is charged for a GPU-hour by what `--price` says; an error in that names the option."""
    choice: PriceChoice | None = read_as(lambda words: charged(gpu, words, owner), told, "price")
    return choice


def asked_precision(model: ModelSpec, options: Options) -> Precision:
    """The model's native precision with the formats asked for.

    --weights means the checkpoint that the model's makers would publish in that format: where those of its family
    narrow routed experts only, so does it. --experts says theirs apart. Raises CostcalcError for an unknown format.
    """
    weights = with_bits(options.weights, options.bits)
    precision = checkpoint_precision(model, weights) if weights else model.precision
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
