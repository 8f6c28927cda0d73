"""What was taken for granted, and what a reader has to know besides the numbers."""

from __future__ import annotations

import numpy as np

from costcalc.engine.precision import checkpoint_precision
from costcalc.explore.breakdown import hidden_share
from costcalc.explore.evaluate import Evaluation
from costcalc.explore.plan import Plan
from costcalc.explore.question import DEFAULT_TPOT, Question
from costcalc.explore.ranges import ranges_of
from costcalc.explore.result import Assumption
from costcalc.readable import format_count, format_percent, format_seconds, format_usd
from costcalc.specs.prices import PriceChoice


def assumptions_of(q: Question, chosen: Plan, price: PriceChoice | None) -> tuple[Assumption, ...]:
    """Every default that was taken, why, and the option that overrides it."""
    o, layout = q.options, chosen.spread.layout
    limit = format_seconds(o.tpot or DEFAULT_TPOT)
    found: list[Assumption] = []

    def took(taken: bool, name: str, value: str, why: str, override: str) -> None:
        if taken:
            found.append(Assumption(name, value, why, override))

    degrees = f"tp {layout.tensor}, pp {layout.pipeline}, dp {layout.data}, ep {layout.expert}"
    if o.terms == "all":
        took(
            chosen.gpus_chosen,
            "gpus",
            str(chosen.spread.gpus),
            "fewest whole nodes; inside one, the cheapest",
            "--gpus N",
        )
        took(
            chosen.layout_chosen,
            "layout",
            degrees,
            "customary for this model, cheapest",
            "--tp --pp --dp --ep",
        )
        why = f"lowest cost under a TPOT of {limit}" if chosen.meets_tpot else f"none keeps TPOT under {limit}"
        took(chosen.batch_chosen, "batch", str(chosen.batch), why, "--batch N or --tpot TIME")
    else:
        took(chosen.gpus_chosen, "gpus", "1", "a term of the bill costs the same on any number", "--gpus N")
        took(chosen.batch_chosen, "batch", "1", "a term of the bill, per sequence", "--batch N")
    where = "the given context" if o.context else "a common prompt"
    took(o.input_tokens is None, "input_tokens", format_count(q.input_tokens), where, "--input N")
    took(
        o.output_tokens is None,
        "output_tokens",
        format_count(q.output_tokens),
        "a common answer",
        "--output N",
    )
    if o.context is None:
        half = "input and half of the output"
        took(True, "context_tokens", format_count(q.decode_context), half, "--context N")
    native = "as the model ships"
    took(o.weights is None, "weights", q.weights_name, native, "--weights FORMAT")
    took(o.kv_cache is None, "kv_cache", q.formats.cache.name, "what engines keep by default", "--kv FORMAT")
    if price is not None and o.price is None:
        shown = f"{format_usd(price.usd_per_gpu_hour)} per GPU-hour"
        took(True, "price", shown, f"{price.offer}: {price.source}", "--price X or --price spot")
    took(
        o.utilization == 1.0,
        "utilization",
        format_percent(1.0),
        "GPUs busy all the time",
        "--utilization 60%",
    )
    took(
        q.drafts > 0 and o.acceptance is None,
        "acceptance",
        format_percent(q.acceptance),
        "DeepSeek-V3's own head keeps 85 to 90%",
        "--acceptance SHARE",
    )
    if q.calibrated:
        took(o.backend is None, "backend", str(q.backend), "overheads of this serving engine", "--backend NAME")
    return tuple(found)


def notes_of(q: Question, chosen: Plan, at: Evaluation, price: PriceChoice | None) -> tuple[str, ...]:
    """Warnings in plain words: what runs otherwise than asked, what is beyond the evidence."""
    notes = [*q.model.caveats, *q.gpu.caveats]
    if price is None:
        notes.append(f"No price per hour of {q.gpu.name} is known: give one with --price to see dollars.")
    if q.options.terms != "all":
        what = "cache" if q.options.terms == "kv" else "weight"
        notes.append(f"Counts {what} reads alone: a term of the bill, not a deployment; whether it fits is not asked.")
    for stored, compute in {
        q.formats.weights: q.formats.compute,
        **({q.formats.experts: q.formats.experts_compute} if q.model.has_experts else {}),
    }.items():
        wanted = q.precision.activations or stored.activations
        if wanted != compute and not q.gpu.supports(wanted):
            notes.append(
                f"{q.gpu.name} has no {wanted} units: {stored.name} weights stay {stored.name} in memory and are "
                f"multiplied in {compute}."
            )
    if q.options.weights and checkpoint_precision(q.model, q.options.weights).experts == q.formats.weights.name:
        notes.append(
            f"Published {q.formats.weights.name} checkpoints of this family narrow the routed experts only: "
            f"--set model.precision.experts={q.formats.weights.name} instead of --weights."
        )
    if hidden_share(at.step) > 0:
        notes.append(
            f"{format_percent(hidden_share(at.step))} of the all-to-all, "
            f"{format_seconds(float(np.asarray(at.step.hidden_seconds)))} of a step, hides behind computation: "
            "two halves of the batch take turns."
        )
    if q.drafts and q.model.mtp is None:
        notes.append("The model ships no prediction head: drafting is charged as one of its layers per token.")
    if q.gpu.status == "announced":
        notes.append(f"{q.gpu.name} is announced, not measured: its figures are its maker's.")
    if not chosen.meets_tpot and q.options.terms == "all":
        limit = format_seconds(q.options.tpot or DEFAULT_TPOT)
        tpot = format_seconds(float(np.asarray(at.time_per_output_token)))
        notes.append(f"No batch keeps the time per output token under {limit}: it is {tpot}.")
    if q.model.max_context and q.full_length > q.model.max_context:
        notes.append(
            f"{q.full_length:,.0f} tokens exceed the {q.model.max_context:,} that {q.model.name} was trained for."
        )
    if q.calibrated and not ranges_of(q).known:
        notes.append("This GPU or this model was not among the measured ones: the ranges are wider.")
    return tuple(notes)
