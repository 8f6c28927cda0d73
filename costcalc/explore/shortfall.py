"""What does not fit: what is missing, and what would fit."""

from __future__ import annotations

from math import ceil

from costcalc.engine.layout import Layout
from costcalc.engine.machine import reach
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.explore.evaluate import capacity
from costcalc.explore.layouts import (
    Degrees,
    DoesNotFit,
    Spread,
    divides_heads,
    expert_degree,
    layout_name,
    shares_latent,
)
from costcalc.explore.question import Question
from costcalc.readable import counted, format_bytes

NARROWER = "a narrower --weights or --kv"


def does_not_fit(question: Question, spread: Spread, needs: int | None) -> DoesNotFit:
    """The error that says what is missing, and what would fit.

    spread: what was tried. needs: the fewest GPUs that fit in a layout of costcalc's choice, None for none.
    """
    q = question
    pool, most = capacity(q, spread.layout)
    weights = float(weights_bytes_per_gpu(q.model, spread.layout, q.formats))
    usable = weights + pool
    machine = f"{spread.gpus} × {q.gpu.name}"
    if q.options.degrees.layout_given:
        machine += f" as {layout_name(spread)}"
    if usable <= 0:
        message = (
            f"{q.model.name} does not fit on {machine}: of its {format_bytes(float(q.machine.memory))} nothing is "
            f"left beside the {format_bytes(q.budget.reserve)} that an engine works in"
        )
    elif pool <= 0:
        message = (
            f"{q.model.name} does not fit on {machine}: weights take {format_bytes(weights)} per GPU "
            f"of {format_bytes(usable)} usable"
        )
    else:
        sequences = q.options.batch or 1
        message = (
            f"{q.model.name} does not fit on {machine}: {counted(sequences, 'sequence')} of "
            f"{q.full_length:,.0f} tokens {'are' if sequences > 1 else 'is'} asked for, the cache holds {most:,}"
        )
    return DoesNotFit(message, _what_would_fit(q, usable, needs), spread, needs)


def _what_would_fit(question: Question, usable: float, needs: int | None) -> str:
    if usable <= 0:
        return "costcalc does not model machines that keep so little on each device"
    if question.options.degrees.layout_given:
        near = _beside_what_was_typed(question)
        if near:
            return near
    if needs is not None:
        leave = "leave the layout out: " if question.options.degrees.layout_given else ""
        return f"{leave}--gpus {needs} would fit, or {NARROWER}"
    most = reach(question.gpu)
    if most < 4096:
        weights = float(weights_bytes_per_gpu(question.model, Layout(), question.formats))
        least = ceil(weights / usable)
        links = f"no known link joins more than {int(most)} of these GPUs" if most > 1 else "no known link joins them"
        return (
            f"its weights alone need {least}, and {links}: use {NARROWER}, or --set gpu.scale_out.bandwidth=50GB/s"
            if least > most
            else f"{links}: use {NARROWER}, or fewer or shorter sequences"
        )
    return f"no number of these GPUs fits it; use {NARROWER}"


def _beside_what_was_typed(question: Question) -> str | None:
    """Degrees that the typed ones lack, with which one replica on the GPUs asked for would fit."""
    asked = question.options.degrees
    gpus = asked.gpus
    counts = [gpus] if gpus else [n * _typed(asked) for n in (2, 4, 8, 16) if n * _typed(asked) <= reach(question.gpu)]
    for count in counts:
        for layout in _completions(question, asked, count):
            if capacity(question, layout)[1] >= (question.options.batch or 1):
                return f"{_as_options(layout, asked, count)} would fit, or {NARROWER}"
    return None


def _typed(asked: Degrees) -> int:
    return (asked.tensor or 1) * (asked.pipeline or 1) * (asked.data or 1)


def _completions(question: Question, asked: Degrees, gpus: int) -> list[Layout]:
    """Layouts on at most `gpus` that keep the degrees typed, those with most tensor parallelism first."""
    model, domain, found = question.model, question.gpu.domain, []
    tensors = [asked.tensor] if asked.tensor else [t for t in (1, 2, 4, 8) if t <= domain and divides_heads(model, t)]
    for tensor in tensors:
        for pipeline in [asked.pipeline] if asked.pipeline else (1, 2, 4):
            rest = gpus // (tensor * pipeline)
            spread = model.has_experts and (shares_latent(model) or bool(asked.expert))
            data = asked.data or (max(rest, 1) if spread else 1)
            used = tensor * pipeline * data
            if pipeline > model.num_layers or used > gpus or gpus % used:
                continue
            expert = asked.expert or (expert_degree(model, tensor * data) if data > 1 else 1)
            if tensor * data % expert == 0:
                found.append(Layout(tensor, data, expert, pipeline))
    return sorted(found, key=lambda x: (int(x.pipeline), int(x.tensor)))


def _as_options(layout: Layout, asked: Degrees, gpus: int) -> str:
    typed = {"--gpus": asked.gpus, "--tp": asked.tensor, "--pp": asked.pipeline, "--dp": asked.data}
    wanted = {"--gpus": gpus, "--tp": layout.tensor, "--pp": layout.pipeline, "--dp": layout.data}
    added = [f"{name} {int(n)}" for name, n in wanted.items() if typed[name] is None and (n > 1 or name == "--gpus")]
    return " ".join(added) or f"--gpus {gpus}"
