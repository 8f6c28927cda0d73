"""One step by the functions that an estimate is made of."""

from __future__ import annotations

from costcalc.engine.latency.op_times import Efficiency
from costcalc.engine.ops import decode_batch, prefill_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats
from costcalc.engine.roofline import Machine
from costcalc.engine.step import Step, Terms, timed_decode, timed_prefill
from costcalc.fields import Number
from costcalc.model.spec import ModelSpec


def decode_step(
    model: ModelSpec,
    machine: Machine,
    layout: Parallelism,
    formats: Formats,
    efficiency: Efficiency,
    batch: Number,
    context: Number,
    tokens: Number = 1,
    terms: Terms = "all",
) -> Step:
    """One decode step of `batch` [sequences] of a replica at `context` [tokens] visible to the newest.

    `tokens` per sequence are decoded at once (more than 1: verifying drafts). `terms` keeps only reads of
    the cache ('kv') or of weights ('weights'), the terms of the memory-bound argument.
    """
    of = decode_batch(batch, context, layout, tokens)
    ops = step_ops(model, layout, formats, of)
    return timed_decode(ops, of, model, machine, efficiency, terms)


def prefill_pass(
    model: ModelSpec,
    machine: Machine,
    layout: Parallelism,
    formats: Formats,
    efficiency: Efficiency,
    tokens: Number,
    cached: Number = 0,
    prompts: Number = 1,
) -> Step:
    """Prefill `tokens` [tokens] behind `cached` ones, of `prompts` on every attention-data rank at once."""
    of = prefill_batch(tokens, cached, prompts)
    return timed_prefill(step_ops(model, layout, formats, of), model, machine, efficiency)
