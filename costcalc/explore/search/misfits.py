"""Why a model does not fit, or workers that prefill do not start: what is missing, and what would fit."""

from __future__ import annotations

import re
from dataclasses import replace
from math import ceil

import numpy as np

from costcalc.engine.memory import (
    cache_bytes_per_sequence_per_gpu,
    doubted_bytes,
    host_sequences,
    host_weights_bytes,
    reserve_bytes,
    weights_bytes_per_gpu,
)
from costcalc.engine.parallelism import (
    Degrees,
    Deployment,
    DoesNotFit,
    Parallelism,
    expert_degree,
    given_deployment,
    layout_name,
    shares_latent,
    splits,
    splits_experts,
)
from costcalc.engine.roofline import reach
from costcalc.errors import CostcalcError
from costcalc.explore.search.layouts import refused_degree, typed_degrees
from costcalc.model.attention.linear import RecurrentAttention
from costcalc.predict.options import WEIGHED
from costcalc.predict.predict import capacity, prefill_layout, ranks_of_prompt, sequences_held
from costcalc.predict.scenario import Scenario, scenario_of
from costcalc.units import counted, format_bytes

NARROWER = "a narrower --weights or --kv"
_MANY = 4096
"""GPUs that links join, from which on their number is no limit."""


def does_not_fit(scenario: Scenario, deployment: Deployment, needs: int | None) -> DoesNotFit:
    """The error that says what is missing, and what would fit.

    deployment: what was tried. needs: the fewest GPUs that fit in a layout of costcalc's choice, None for none.
    """
    q = scenario
    pool, most = capacity(q, deployment.layout)
    weights = float(weights_bytes_per_gpu(q.model, deployment.layout, q.formats))
    usable = weights + pool
    reserve = float(reserve_bytes(q.model, q.machine, deployment.layout, q.budget))
    if lacking := _host_lacks(q, deployment):
        return DoesNotFit(lacking, f"leave more on the GPU, or use {NARROWER}", deployment, None)
    machine = f"{deployment.gpus} × {q.gpu.name}"
    anywhere = needs is None and q.options.degrees == Degrees() and reach(q.gpu) >= _MANY
    if anywhere:
        machine = f"any number of {q.gpu.name}"
    if q.options.degrees.layout_given:
        machine += f" as {layout_name(deployment)}"
    if usable <= 0:
        message = (
            f"{q.model.name} does not fit on {machine}: of its {format_bytes(float(q.machine.memory))} nothing is "
            f"left beside the {format_bytes(reserve)} that an engine works in"
        )
    elif pool <= 0:
        message = (
            f"{q.model.name} does not fit on {machine}: weights take {format_bytes(weights)} per GPU "
            f"of {format_bytes(usable)} usable"
        )
    elif not most and sequences_held(q, deployment.layout, pool, q.full_length) >= (q.options.batch or 1):
        return _may_not_start(q, deployment, machine, needs, pool)
    else:
        sequences = q.options.batch or 1
        message = (
            f"{q.model.name} does not fit on {machine}: its weights do, but the cache of "
            f"{counted(sequences, 'sequence')} of {q.full_length:,.0f} tokens is too large"
            f"{f'; at most --batch {most:,} fits' if most else '; not one fits' if sequences > 1 else ''}"
            f"{' in one replica' if anywhere and most else ''}"
        )
    return DoesNotFit(message, _what_would_fit(q, usable, needs), deployment, needs)


def _host_lacks(q: Scenario, tried: Deployment) -> str | None:
    """The message that the host's memory does not hold what is put there, where it does not."""
    sequences, host = q.options.batch or 1, q.machine.host
    if host is None or host_sequences(q.model, q.machine, tried.layout, q.formats, q.full_length) >= sequences:
        return None
    held = format_bytes(float(host_weights_bytes(q.model, tried.layout, q.formats)))
    return (
        f"{q.model.name} does not fit in the {format_bytes(host.memory or 0.0)} of the host: {held} of weights are "
        f"there, and the cache of {counted(sequences, 'sequence')}"
    )


def _may_not_start(q: Scenario, tried: Deployment, machine: str, needs: int | None, pool: float) -> DoesNotFit:
    """The error where only newer versions of the engine start."""
    assert q.budget.engine is not None
    until = next(each.until for each in q.budget.engine.earlier if each.keeps_more)
    kept = float(doubted_bytes(q.model, q.machine, tried.layout, q.budget))
    message = (
        f"{q.model.name} may not start on {machine}: {format_bytes(max(pool, 0.0))} per GPU are left for the cache, "
        f"and versions of the engine until {until} keep {format_bytes(kept)} more"
    )
    more = f"--gpus {needs} is sure to fit" if needs else f"use {NARROWER}"
    return DoesNotFit(message, f"{more}, or say that yours is newer: --engine-date {q.constants.as_of}", tried, needs)


def _what_would_fit(scenario: Scenario, usable: float, needs: int | None) -> str:
    if usable <= 0:
        return "costcalc does not model machines that keep so little on each device"
    if scenario.machine.host is not None:
        return f"put more into host memory, or use {NARROWER}"
    if scenario.options.degrees.layout_given:
        near = _beside_what_was_typed(scenario)
        if near:
            return near
    if needs is not None:
        leave = "leave the layout out: " if scenario.options.degrees.layout_given else ""
        return f"{leave}--gpus {needs} would fit, or {NARROWER}{_or_host_memory(scenario)}"
    most = reach(scenario.gpu)
    if most < _MANY:
        weights = float(weights_bytes_per_gpu(scenario.model, Parallelism(), scenario.formats))
        least = ceil(weights / usable)
        links = f"no known link joins more than {int(most)} of these GPUs" if most > 1 else "no known link joins them"
        return (
            f"its weights alone need {least}, and {links}: use {NARROWER}, or --set gpu.scale_out.bandwidth=50GB/s"
            f"{_or_host_memory(scenario)}"
            if least > most
            else f"{links}: use {NARROWER}, or fewer or shorter sequences"
        )
    if scenario.options.degrees == Degrees():
        return f"ask for fewer or shorter sequences, or use {NARROWER}"
    return f"no number of these GPUs fits it; use {NARROWER}"


def _or_host_memory(scenario: Scenario) -> str:
    """What else fits a card of a desktop: a part of the model in the host's memory."""
    if scenario.options.gpus != 1:
        return ""
    told = on_the_gpu(scenario)
    return f", or {told}" if told else ""


def on_the_gpu(scenario: Scenario) -> str | None:
    """What one card of a desktop holds of the model, and the options that put the rest in host memory; None for none.

    '44 of 81 layers on the GPU: --gpu-layers 44', '--offload-experts 24, those of 24 of 36 layers in host memory'.
    """
    o = scenario.options
    if not scenario.gpu.memory_type.upper().startswith("GDDR") or o.offloads or o.terms != "all" or o.disaggregated:
        return None
    alone = replace(o, gpus=1, gpu_layers=WEIGHED, backend=None, max_num_seqs=None)
    try:
        found = scenario_of(scenario.model, scenario.gpu, alone, scenario.constants)
    except CostcalcError:
        return None
    layers, experts, count = found.options.gpu_layers, found.options.offload_experts, scenario.model.num_layers
    if isinstance(experts, int):
        return f"the experts of {experts} of {count} layers in host memory: --offload-experts {experts}"
    more = " --offload-experts all" if experts else ""
    return f"{layers} of {count + 1} layers on the GPU, the others in host memory: --gpu-layers {layers}{more}"


def _beside_what_was_typed(scenario: Scenario) -> str | None:
    """Degrees that the typed ones lack, with which one replica on the GPUs asked for would fit."""
    asked = scenario.options.degrees
    gpus = asked.gpus
    counts = [gpus] if gpus else [n * _typed(asked) for n in (2, 4, 8, 16) if n * _typed(asked) <= reach(scenario.gpu)]
    for count in counts:
        for layout in _completions(scenario, asked, count):
            starts = refused_degree(layout, scenario.budget.engine, typed_degrees(asked)) is None
            if starts and capacity(scenario, layout)[1] >= (scenario.options.batch or 1):
                return f"{_as_options(layout, asked, count)} would fit, or {NARROWER}"
    return None


def _typed(asked: Degrees) -> int:
    return (asked.tp or 1) * (asked.pp or 1) * (asked.attention_dp or 1)


def _completions(scenario: Scenario, asked: Degrees, gpus: int) -> list[Parallelism]:
    """Layouts on at most `gpus` that keep the degrees typed, those with most tensor parallelism first."""
    model, domain, found = scenario.model, scenario.gpu.domain, []
    tensors = [asked.tp] if asked.tp else [t for t in (1, 2, 4, 8) if t <= domain and splits(model, t)]
    for tensor in tensors:
        for pipeline in [asked.pp] if asked.pp else (1, 2, 4):
            rest = gpus // (tensor * pipeline)
            deployment = model.has_experts and (shares_latent(model) or bool(asked.ep))
            data = asked.attention_dp or (max(rest, 1) if deployment else 1)
            used = tensor * pipeline * data
            if pipeline > model.num_layers or used > gpus or gpus % used:
                continue
            expert = asked.ep or (expert_degree(model, tensor * data) if data > 1 else 1)
            if tensor * data % expert == 0 and splits_experts(model, tensor * data // expert):
                found.append(Parallelism(tensor, data, expert, pipeline))
    return sorted(found, key=lambda x: (int(x.pp), int(x.tp)))


def _as_options(layout: Parallelism, asked: Degrees, gpus: int) -> str:
    typed = {"--gpus": asked.gpus, "--tp": asked.tp, "--pp": asked.pp, "--dp": asked.attention_dp}
    wanted = {"--gpus": gpus, "--tp": layout.tp, "--pp": layout.pp, "--dp": layout.attention_dp}
    added = [f"{name} {int(n)}" for name, n in wanted.items() if typed[name] is None and (n > 1 or name == "--gpus")]
    return " ".join(added) or f"--gpus {gpus}"


def check_prefill_workers(q: Scenario) -> None:
    """Raise CostcalcError where no engine would start the workers that are told to prefill."""
    if not q.load.prefill_told:
        return
    layout = prefill_layout(q, Parallelism())
    degrees = Degrees(tp=int(layout.tp), attention_dp=int(layout.attention_dp), ep=int(layout.ep))
    try:
        given_deployment(q.model, q.gpu, degrees, q.formats)
    except CostcalcError as error:
        told = (re.sub(r"--(?=(tp|dp|ep)\b)", "--prefill-", text) for text in (error.message, error.hint or ""))
        raise CostcalcError(next(told), hint=next(told)) from None
    states = any(isinstance(layer, RecurrentAttention) for _, layer in q.model.attention_layers())
    if states and ranks_of_prompt(q) > 1:
        hint = "leave it out: states are computed one token after the other"
        raise CostcalcError(f"{q.model.name} has layers with states", where="prefill_cp", hint=hint)
    # How much of their memory such workers take for the cache is a recipe's; what cannot be held at all is refused.
    prompt = cache_bytes_per_sequence_per_gpu(q.model, layout, q.formats, q.input_tokens) / ranks_of_prompt(q)
    if np.max(weights_bytes_per_gpu(q.model, layout, q.formats) + prompt) > q.machine.memory:
        raise CostcalcError(
            f"{q.model.name} and a prompt do not fit the {counted(int(layout.gpus), 'GPU')} of a worker that prefills",
            hint="give it more GPUs: --prefill-tp, or --prefill-dp with --prefill-ep",
        )
