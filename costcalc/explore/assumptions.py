"""What was taken for granted, and what a reader has to know besides the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from costcalc.engine.host import COPIES, HAND_OVER, READS, SPREAD
from costcalc.engine.memory import memory_share
from costcalc.engine.parallelism import Chosen, expert_degree, layout_name
from costcalc.engine.roofline import reach
from costcalc.explore.search import customary_layout, refused_degree, spreads_layers, why_refused
from costcalc.explore.search.misfits import on_the_gpu
from costcalc.hardware.prices import NEWEST, OLD_MONTHS, PriceChoice, age_in_months, means_owned, price_of_kind
from costcalc.predict.breakdown import hidden_share
from costcalc.predict.options import OPTIONS, WEIGHED, Options, flag_of
from costcalc.predict.predict import Prediction, halves_of, prefill_layout
from costcalc.predict.quantities import ranges_of
from costcalc.predict.results import Assumption
from costcalc.predict.scenario import Scenario, words_of_price
from costcalc.units import (
    counted,
    format_bytes,
    format_count,
    format_percent,
    format_price,
    format_rate,
    format_seconds,
    format_usd,
)


def assumptions_of(q: Scenario, chosen: Chosen, price: PriceChoice | None) -> tuple[Assumption, ...]:
    """Every default that was taken, why, and the option that overrides it."""
    deployment = _default_deployment(q, chosen) if q.options.terms == "all" else _default_of_a_term(chosen)
    return (*deployment, *_default_lengths(q), *_default_formats(q), *_default_price(q, price), *_default_running(q))


def defaults_of_plan(q: Scenario, price: PriceChoice | None) -> tuple[Assumption, ...]:
    """Defaults of a question whose deployment is looked for: a replay finds contexts, and idle hours, out itself."""
    told = (*_default_lengths(q), *_default_formats(q), *_default_price(q, price), *_default_running(q))
    return tuple(each for each in told if each.name not in ("context_tokens", "utilization"))


_FEWEST = "fewest that fit, in whole nodes; inside a node more where they are cheaper"


def _default_deployment(q: Scenario, chosen: Chosen) -> Iterator[Assumption]:
    if chosen.gpus_chosen:
        told = q.options.demand is not None and not q.options.load_told
        why = _FEWEST if q.machine.switched else "fewest that fit and keep the limits, else the cheapest of a node"
        why = "of one replica: the size of which the demand takes the fewest" if told else why
        yield Assumption("gpus", str(chosen.deployment.gpus), why, "--gpus N")
    if chosen.layout_chosen:
        flags = "--tp --pp --dp --ep" + " --cp" * (q.options.context_parallel == WEIGHED)
        yield Assumption("layout", _degrees(chosen), _why_this_layout(q, chosen), flags)
    elif left := _left_out(q, chosen):
        taken = ", ".join(f"{name} {degree}" for name, degree in left.items())
        why = f"cheapest of {chosen.weighed} that fit beside the degrees typed"
        why = why if chosen.weighed > 1 else "customary beside the degrees typed"
        yield Assumption("layout", taken, why, " ".join(f"--{name}" for name in left))
    if chosen.batch_chosen:
        limit = limits_named(q)
        why = f"lowest cost under a {limit}" if chosen.keeps_limits else f"none keeps {limit.replace(' of', ' under')}"
        yield Assumption("batch", str(chosen.batch), why, "--batch N or --tpot TIME")


def _default_of_a_term(chosen: Chosen) -> Iterator[Assumption]:
    if chosen.gpus_chosen:
        yield Assumption("gpus", "1", "a term of the bill costs the same on any number", "--gpus N")
    if chosen.batch_chosen:
        yield Assumption("batch", str(chosen.batch), "a term of the bill, one sequence per rank", "--batch N")


def _default_lengths(q: Scenario) -> Iterator[Assumption]:
    o = q.options
    if o.input_tokens is None:
        where = "the given context" if o.context else "a common prompt"
        yield Assumption("input_tokens", format_count(float(q.input_tokens)), where, "--input N")
    if o.output_tokens is None:
        yield Assumption("output_tokens", format_count(float(q.output_tokens)), "a common answer", "--output N")
    if o.context is None:
        half = "input and half of the output"
        yield Assumption("context_tokens", format_count(float(q.decode_context)), half, "--context N")


def _default_formats(q: Scenario) -> Iterator[Assumption]:
    if q.options.weights is None and q.options.bits is None:
        yield Assumption("weights", q.weights_name, "as the model ships", "--weights FORMAT")
    if q.options.kv_cache is None:
        yield Assumption("kv_cache", q.formats.cache.name, "what engines keep by default", "--kv FORMAT")


def _default_price(q: Scenario, price: PriceChoice | None) -> Iterator[Assumption]:
    if price is not None and words_of_price(q.options) is None:
        shown = f"{format_price(price.usd_per_gpu_hour)} per GPU-hour"
        yield Assumption("price", shown, f"{price.offer}: {price.source}", "--price X or --price KIND")
    if q.options.utilization == 1.0:
        yield Assumption("utilization", format_percent(1.0), "GPUs busy all the time", "--utilization 60%")


def _default_running(q: Scenario) -> Iterator[Assumption]:
    """Defaults of how the engine runs: drafts that are kept, and whose overheads count."""
    if q.drafts > 0 and q.options.acceptance is None:
        yield Assumption("acceptance", format_percent(q.acceptance), _drafts_kept(q), "--acceptance SHARE")
    if q.calibrated and q.options.backend is None:
        yield Assumption("backend", str(q.backend), "overheads of this serving engine", "--backend NAME")
    yield from _default_host(q)
    if q.calibrated and q.options.tuning == "default":
        yield Assumption("tuning", "default", "an engine as its documentation starts it", "--tuning tuned")


def _default_host(q: Scenario) -> Iterator[Assumption]:
    """What is taken of the host beside the GPU, where a part of the model is there."""
    host = q.machine.host
    if q.fitted:
        experts, layers = q.options.offload_experts, q.options.gpu_layers
        taken = f"{layers} of {q.model.num_layers + 1}" + (f", without experts of {experts}" if experts else "")
        held = f"as many as fit beside {counted(q.options.batch or 1, 'sequence')} of {q.full_length:,.0f} tokens"
        yield Assumption(
            "layers on the GPU", taken, held, "--gpu-layers N" + (" --offload-experts N" if experts else "")
        )
    if host is None:
        return
    if q.calibrated:
        peak = format_rate(float(host.link), "B/s")
        why = "a prior: some 80% from pinned memory, half from pageable memory"
        override = "--set gpu.host_link.bandwidth=RATE"
        yield Assumption("link to the host", f"{format_percent(COPIES)} of {peak}", why, override)
    if not q.formats.placement.copied_from:  # vLLM's CPU reads nothing
        return
    if q.options.host_bandwidth is None:
        peak = format_rate(float(host.bandwidth), "B/s")
        channels = "eight channels of DDR5-4800" if "HBM" in q.gpu.memory_type else "two channels of DDR5-5600"
        yield Assumption("host bandwidth", peak, f"peak of {channels}", "--host-bandwidth BANDWIDTH")
    if q.calibrated:
        why = f"of that peak, within a factor of {SPREAD:g}; {format_seconds(HAND_OVER)} to go between GPU and CPU"
        yield Assumption("host reads", format_percent(READS), why, "--host-bandwidth BANDWIDTH")


_SHOWN = {
    *("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel", "context_parallel"),
    *("batch", "context"),
    *("input_tokens", "output_tokens", "cached", "weights", "kv_cache", "activations", "experts", "efficiency"),
    *("backend", "drafts", "acceptance", "accepted", "disaggregated", "prefill_gpus", "price", "utilization", "demand"),
    "terms",
}
"""Options that an answer has numbers, names or notes of."""
_WRITTEN: dict[str, Callable[[float], str]] = {
    "BANDWIDTH": lambda value: format_rate(value, "B/s"),
    "TIME": format_seconds,
    "SHARE": format_percent,
    "TOKENS": lambda value: f"{value:,.0f}",
    "N": lambda value: f"{value:,.6g}",
    "GIB": lambda value: f"{value:,.6g}",
    "SIZE": format_bytes,
    "FLOP/S": lambda value: format_rate(value, "FLOP/s"),
}
"""How values are written, by what stands for them in the help."""


def settings_of(options: Options) -> str:
    """The options told that no number of an answer shows, as typed: '--max-num-seqs 64 --tuning tuned'."""
    told = []
    for name, row in OPTIONS.items():
        value = getattr(options, name)
        if name in _SHOWN or value is None or value == Options.__dataclass_fields__[name].default:
            continue
        told += [row.flag] if value is True else [row.flag, value_text(name, value).replace(" ", "")]
    return " ".join(told)


def value_text(name: str, value: Any) -> str:
    """Return the value of an option, read, as people write it: '50 ms', '3.35 TB/s', 'yes'."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name == "price" and not isinstance(value, str):
        return format_usd(value)
    return _WRITTEN.get(OPTIONS[name].metavar, str)(value) if name in OPTIONS else str(value)


def _left_out(q: Scenario, chosen: Chosen) -> dict[str, int]:
    """The degrees of a typed layout that were not typed, and are not 1, or were weighed."""
    asked, layout = q.options.degrees, chosen.deployment.layout
    degrees = {
        "tp": (asked.tp, layout.tp), "pp": (asked.pp, layout.pp),
        "dp": (asked.attention_dp, layout.attention_dp), "ep": (asked.ep, layout.ep),
    }  # fmt: skip
    weighed = {"tp", "pp", "dp", *(["ep"] if q.model.has_experts else [])} if chosen.weighed > 1 else set()
    left = {name: int(taken) for name, (told, taken) in degrees.items() if told is None}
    return {name: taken for name, taken in left.items() if taken != 1 or name in weighed}


def _degrees(chosen: Chosen) -> str:
    layout, replicas = chosen.deployment.layout, chosen.deployment.replicas
    degrees = f"tp {layout.tp}, pp {layout.pp}, dp {layout.attention_dp}, ep {layout.ep}"
    degrees += f", cp {layout.cp}" if layout.cp > 1 else ""
    return f"{replicas} replicas of {degrees}" if replicas > 1 else degrees


def _drafts_kept(q: Scenario) -> str:
    if not q.calibrated:
        return "DeepSeek-V3's own head keeps 85 to 90%"
    further = f"; each further one by {format_percent(1 - q.constants.closed_loop.fading)} less often"
    return f"of first drafts, of random text by DeepSeek-R1{further if q.drafts > 1 else ''}; 85% of real text"


def limits_named(q: Scenario) -> str:
    """The limits that the batch is chosen under, as in 'TPOT of 50 ms'."""
    found = [] if np.isinf(q.tpot_limit) else [f"TPOT of {format_seconds(q.tpot_limit)}"]
    if q.options.ttft is not None:
        found.append(f"TTFT of {format_seconds(q.options.ttft)}")
    return " and a ".join(found)


_STAGES = ", stages inside a node apart"
"""What is not weighed: nothing here was measured with pipeline stages inside a node; --pp asks for them."""


def _why_this_layout(q: Scenario, chosen: Chosen) -> str:
    if chosen.deployment.layout.gpus > 1 and spreads_layers(q):
        return f"how {q.backend or 'the engine'} spreads layers unless it is told; --tp asks for a split of matrices"
    replica = customary_layout(q.model, q.gpu, int(chosen.deployment.layout.gpus))
    if chosen.deployment.layout != replica:
        return f"cheapest of {chosen.weighed} that fit{_STAGES}"
    return f"customary for this model, and cheapest{_STAGES}" if chosen.weighed > 1 else "customary for this model"


def beyond_training(q: Scenario) -> str | None:
    """The warning that sequences are longer than the model was trained for, where they are."""
    length = max(float(q.full_length), float(q.decode_context))
    if not q.model.max_context or length <= q.model.max_context:
        return None
    return f"{length:,.0f} tokens exceed the {q.model.max_context:,} that {q.model.name} was trained for."


def _of_the_formats(q: Scenario) -> Iterator[str]:
    """Notes on formats that the GPU cannot compute in, or that the family's checkpoints do not have throughout."""
    for stored, compute in q.formats.stored:
        wanted = q.precision.activations or stored.activations
        if wanted != compute and not q.gpu.supports(wanted):
            yield (
                f"{q.gpu.name} has no {wanted} units: {stored.name} weights stay {stored.name} in memory and are "
                f"multiplied in {compute}."
            )
    if q.options.activations and not q.gpu.supports(q.precision.activations or ""):
        yield f"--activations {q.options.activations}: {q.gpu.name} computes in {q.formats.compute} instead."
    asked, stored_in = q.options.weights, q.formats.weights.name
    narrowed = q.model.has_experts and not q.options.experts and asked == q.formats.experts.name
    if narrowed and asked not in (stored_in, q.model.precision.weights):
        yield (
            f"Published {asked} checkpoints of this family narrow the routed experts only, and so does this one: "
            f"attention stays {stored_in}."
        )


def _of_the_pools(q: Scenario, chosen: Chosen, at: Prediction) -> Iterator[str]:
    """The note that a pool for prefill is a proportion, where it is no whole number of replicas that hold the model."""
    if not q.options.disaggregated:
        return
    worker = int(prefill_layout(q, chosen.deployment.layout).gpus)
    if (told := q.options.prefill_gpus) is not None:
        if told % worker:
            yield (
                f"The prefill pool of {told:g} GPUs is {told / worker:.3g} workers of {worker} each: only whole ones "
                f"start, of --prefill-gpus {told // worker * worker:g} or {(told // worker + 1) * worker:g}."
            )
        return
    pools = chosen.deployment.replicas * float(at.prefill_per_decode(q.output_tokens))
    if abs(pools - round(pools)) > 1e-6:
        yield (
            f"The prefill pool is a proportion, {pools:.3g} workers of {worker} GPUs each, and priced as such: of "
            "fewer GPUs one may not hold the model; deploy both in whole replicas."
        )


def _of_the_plan(q: Scenario, chosen: Chosen, at: Prediction, blended: float | None) -> Iterator[str]:
    """Notes on limits that are not kept, idle GPUs, and more GPUs that would be cheaper."""
    if not chosen.keeps_limits and q.options.terms == "all":
        tpot = format_seconds(float(np.asarray(at.time_per_output_token)))
        what = "No batch keeps" if chosen.batch_chosen else f"Batch {chosen.batch} does not keep"
        if q.options.ttft is None:
            yield f"{what} the time per output token under {format_seconds(q.tpot_limit)}: it is {tpot}."
        else:
            ttft = format_seconds(float(np.asarray(at.time_to_first_token)))
            yield f"{what} a {limits_named(q)}: they are {tpot} and {ttft}."
    deployment, engine = chosen.deployment, q.budget.engine
    refused = refused_degree(deployment.layout, engine) if q.options.terms == "all" else None
    if refused and engine and q.backend:
        why = why_refused(deployment.layout, engine, refused, q.constants.engine(q.backend).name)
        yield f"{why.replace(f'`{refused}`', str(flag_of(refused)))}."
    if deployment.idle:
        busy = deployment.gpus - deployment.idle
        stays = "stays idle and is" if deployment.idle == 1 else "stay idle and are"
        idle = f"{counted(deployment.idle, 'GPU')} {stays}"
        yield (
            f"{idle} paid for: {layout_name(deployment)} on {busy} of them is cheaper than any layout of all "
            f"{deployment.gpus}. --gpus {busy} leaves none idle."
        )
    if chosen.cheaper:
        more, ratio = chosen.cheaper.deployment, chosen.cheaper.cost_ratio
        instead = "" if blended is None else f": {format_usd(blended * ratio)} per million tokens, blended"
        yield (
            f"{more.gpus} GPUs in one replica ({layout_name(more)}) take {format_percent(ratio, 2)} of the GPU time of "
            f"a request{instead}. Ask for them with --gpus {more.gpus}."
        )


WITHOUT_EFFECT = " has no effect: "
"""Stands in the notes on options that do nothing."""


def _without_effect(q: Scenario, chosen: Chosen) -> Iterator[str]:
    """Notes on options of experts on several GPUs that the layout, or the model, has no use for."""
    layout, told = chosen.deployment.layout, q.options.imbalance
    exchange = "" if q.model.has_experts else f"{q.model.name} has no experts"
    if q.calibrated and q.options.two_batch_overlap and float(np.max(halves_of(q, layout))) == 1:
        why = exchange or "in this layout no tokens travel to experts on other ranks of attention-DP"
        yield f"--two-batch-overlap{WITHOUT_EFFECT}{why}{_try_experts_apart(q, chosen)}."
    if told not in (None, "measured"):
        why = exchange or "every rank of this layout has all experts" * (layout.ep == 1)
        why = why or "the ideal bound has even ranks" * (not q.calibrated)
        if why:
            yield f"--imbalance {told}{WITHOUT_EFFECT}{why}{_try_experts_apart(q, chosen)}."


def _owned_without_effect(q: Scenario) -> Iterator[str]:
    """The note that terms of an owner do nothing, where the price is another or the capital is not known."""
    if q.price and q.price.computed:
        return
    if q.options.power_price is not None:
        yield f"--power-price {value_text('power_price', q.options.power_price)}{WITHOUT_EFFECT}try --price owned."
    if q.options.owned is None:
        return
    why = "the price is not an owner's; try --price owned"
    if means_owned(words_of_price(q.options)):
        why = f"the capital or the power of {q.gpu.name} is not known; say --owned capital=USD"
    yield f"--owned {q.options.owned}{WITHOUT_EFFECT}{why}."


def _try_experts_apart(q: Scenario, chosen: Chosen) -> str:
    """Degrees that spread experts over the GPUs of the answer, or of a node, as in '; try --ep 16 --dp 16'."""
    gpus = int(chosen.deployment.layout.gpus) * chosen.deployment.replicas
    gpus = gpus if gpus > 1 else q.gpu.node_size or 1
    if not q.model.has_experts or gpus == 1 or gpus > reach(q.gpu) or not q.calibrated:
        return ""
    return f"; try --ep {expert_degree(q.model, gpus)} --dp {gpus}"


_PRICES_APART = 0.2
"""From which on an old price is told beside the market's."""


def of_the_price(q: Scenario, price: PriceChoice | None) -> Iterator[str]:
    """The note that a price is old, and what clouds ask now where that is far from it."""
    if price is None or price.date is None or (age := age_in_months(price.date)) <= OLD_MONTHS:
        return
    now = price_of_kind("on-demand", None, q.gpu.prices)
    said = f"The price is of {price.date}, {age} months older than the catalog's newest ({NEWEST})"
    newer = now is not None and now.date is not None and age_in_months(now.date) < age
    if newer and now is not None and abs(now.usd_per_gpu_hour / price.usd_per_gpu_hour - 1) > _PRICES_APART:
        said += f"; on demand, {now.provider} is {format_price(now.usd_per_gpu_hour)} ({now.date})"
    yield f"{said}."


_USUAL_MEMORY = (0.5, 0.98)
"""Shares of a GPU's memory that an engine may well be given."""


def _as_an_owner(q: Scenario) -> str:
    """The option that asks what owning the accelerator costs: at home, where it is no server's."""
    terms = ["home"] * (not q.gpu.memory_type.upper().startswith("HBM")) + ["capital=USD"] * (q.gpu.capex is None)
    return f"--owned {','.join(terms)}" if terms else "--price owned"


def _of_the_memory(q: Scenario, chosen: Chosen) -> Iterator[str]:
    """Notes on what one card of a desktop holds of the model, and on a share of memory that hardly anyone runs."""
    alone = int(chosen.deployment.layout.gpus) == 1 or q.options.gpus is not None or q.backend != "llamacpp"
    if held := None if alone else on_the_gpu(q):
        yield f"One {q.gpu.name} alone: {held}."
    share = q.options.memory_utilization
    if share is None or q.options.terms != "all" or _USUAL_MEMORY[0] <= share <= _USUAL_MEMORY[1]:
        return
    few = share < _USUAL_MEMORY[0]
    why = "most of the memory that is paid for stays empty" if few else "next to nothing is left for the driver"
    own = replace(q.budget, utilization=q.budget.engine.utilization if q.budget.engine else None)
    usual = format_percent(float(memory_share(q.machine, chosen.deployment.layout, own)))
    yield f"A memory utilization of {format_percent(share)} is unusual: {why}. Without the option it is {usual}."


def _of_the_range(q: Scenario) -> Iterator[str]:
    if not q.calibrated:
        return
    if missing := ranges_of(q).unmeasured:
        yield f"No run of {' or '.join(missing)} was measured: the ranges are wider."


def notes_of(
    q: Scenario, chosen: Chosen, at: Prediction, price: PriceChoice | None, blended: float | None
) -> tuple[str, ...]:
    """Warnings in plain words: what runs otherwise than asked, what is beyond the evidence.

    price: of a GPU. blended: the cost of all tokens [$/M].
    """
    notes = [*q.model.caveats, *q.gpu.caveats]
    if price is None:
        own = f", or own it with {_as_an_owner(q)}" if q.gpu.power is not None else ""
        notes.append(f"No price per hour of {q.gpu.name} is known: give one with --price to see dollars{own}.")
    notes += of_the_price(q, price)
    if q.options.terms != "all":
        what = "cache" if q.options.terms == "kv" else "weight"
        notes.append(f"Counts {what} reads alone: a term of the bill, not a deployment; whether it fits is not asked.")
    notes += _of_the_formats(q)
    if hidden_share(at.step) > 0:
        notes.append(
            f"{format_percent(hidden_share(at.step))} of the all-to-all, "
            f"{format_seconds(float(np.asarray(at.step.hidden_seconds)))} of a step, hides behind computation: "
            "two halves of the batch take turns."
        )
    if q.formats.placement.attention_by_cpu and q.calibrated:
        notes.append(
            "Prompts' attention on the CPU is counted at its FLOP/s alone: early llama.cpp took ten times longer."
        )
    if q.formats.placement.anything and q.formats.placement.copied_from and q.gpu.power is not None:
        notes.append("The watts leave out what the CPU draws while it computes: no source for them is known here.")
    if q.options.backend is None and q.backend == "vllm" and q.precision.experts == "mxfp4" and "GeForce" in q.gpu.name:
        notes.append("Cards at home mostly run this model's MXFP4 in llama.cpp, and this is vLLM: --backend llamacpp.")
    if q.drafts and q.model.mtp is None:
        notes.append("The model ships no prediction head: drafting is charged as one of its layers per token.")
    if q.gpu.status == "announced":
        notes.append(f"{q.gpu.name} is announced, not measured: its figures are its maker's.")
    notes += _without_effect(q, chosen)
    notes += _owned_without_effect(q)
    notes += _of_the_memory(q, chosen)
    notes += _of_the_pools(q, chosen, at)
    notes += _of_the_plan(q, chosen, at, blended)
    notes += filter(None, [beyond_training(q)])
    notes += _of_the_range(q)
    return tuple(notes)
