"""A decode step and a prefill pass: all ops timed, and the overheads that no op explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from costcalc.arrays import Number
from costcalc.attention import LatentAttention
from costcalc.engine.layout import Layout
from costcalc.engine.machine import Machine
from costcalc.engine.precision import Formats
from costcalc.engine.timing import Efficiency, OpTime, op_times
from costcalc.engine.work import Batch, Work, decode_batch, prefill_batch, step_work
from costcalc.specs.model import ModelSpec

Terms = Literal["all", "kv", "weights"]
CACHE_KINDS = ("grouped", "latent", "recurrent", "indexer")
WEIGHT_KINDS = ("gemm", "head", "experts")


@dataclass(frozen=True, slots=True)
class Step:
    """The time of one pass through all layers, on the busiest GPU."""

    ops: tuple[OpTime, ...]
    overhead_seconds: Number  # [s] of layers, expert layers and sequences
    hidden_seconds: Number = 0.0  # [s] of all-to-all that run behind the other ops
    drafting: OpTime | None = None  # the passes through prediction layers that propose the tokens it checks

    @property
    def seconds(self) -> Number:
        """Time of the pass [s]."""
        drafting = self.drafting.seconds if self.drafting else 0.0
        return sum((op.seconds for op in self.ops), start=0.0) + self.overhead_seconds - self.hidden_seconds + drafting


def hidden_seconds(ops: Sequence[OpTime], overlap: Number) -> Number:
    """All-to-all time that two micro-batches hide behind each other's computation [s].

    One half computes while the other communicates, so up to a share `overlap` of the computing time hides
    as much communication (DeepSeek-V3, 2412.19437, 3.2.3).
    """
    sent = sum((op.seconds for op in ops if op.kind == "all_to_all"), start=0.0)
    busy = sum((op.seconds for op in ops if not op.communicates), start=0.0)
    return np.minimum(sent, overlap * busy)


def decode_step(
    model: ModelSpec,
    machine: Machine,
    layout: Layout,
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
    passing = decode_batch(batch, context, layout, tokens)
    works = step_work(model, layout, formats, passing)
    if terms != "all":
        reads = _memory_terms(works, terms)
        return Step(tuple(op_times(reads, machine, _reading(efficiency))), 0.0 * passing.rows)
    ops = tuple(op_times(works, machine, efficiency))
    hidden = hidden_seconds(ops, overlap_share(layout, machine, efficiency))
    return Step(ops, decode_overhead_seconds(model, efficiency, passing), hidden)


def prefill_pass(
    model: ModelSpec,
    machine: Machine,
    layout: Layout,
    formats: Formats,
    efficiency: Efficiency,
    tokens: Number,
    cached: Number = 0,
    prompts: Number = 1,
) -> Step:
    """Prefill `tokens` [tokens] behind `cached` ones, of `prompts` on every attention-data rank at once."""
    passing = prefill_batch(tokens, cached, prompts)
    ops = tuple(op_times(step_work(model, layout, formats, passing), machine, efficiency))
    overhead = layers_seconds(model, efficiency) + prefill_overhead_seconds(model, efficiency)
    hidden = hidden_seconds(ops, overlap_share(layout, machine, efficiency))
    return Step(ops, overhead + 0.0 * np.asarray(tokens, dtype=float), hidden)


def prediction_layers(model: ModelSpec) -> int:
    """Layers that draft tokens: the model's own, else as many as the smallest head has."""
    return model.mtp.layers if model.mtp else 1


def prediction_share(model: ModelSpec) -> float:
    """Layers that draft tokens, over the model's."""
    return prediction_layers(model) / model.num_layers


def drafting(model: ModelSpec, plain: Step, efficiency: Efficiency, drafts: Number) -> OpTime:
    """What drafting `drafts` [tokens] for every sequence takes: passes through the prediction layers and the LM head.

    plain: a decode step without drafts.
    """
    layers = prediction_share(model)
    share = {op.op: 1.0 if op.kind == "head" else layers for op in plain.ops}

    def drafted(what: str) -> Number:
        return drafts * sum((share[op.op] * getattr(op, what) for op in plain.ops), start=0.0)

    beside = layers * (plain.overhead_seconds - plain.hidden_seconds) + efficiency.draft_seconds
    return OpTime(
        "drafting",
        "drafting",
        drafted("flops"),
        drafted("bytes"),
        drafted("seconds") + drafts * beside,
        drafted("memory_seconds"),
        drafted("compute_seconds"),
    )


def prefill_overhead_seconds(model: ModelSpec, efficiency: Efficiency) -> Number:
    """What prompts add to a pass beyond its ops and the overhead of its layers [s]."""
    layers, expert_layers = model.num_layers, _expert_layers(model)
    return layers * efficiency.prefill_layer_seconds + expert_layers * efficiency.prefill_expert_layer_seconds


def overlap_share(layout: Layout, machine: Machine, efficiency: Efficiency) -> Number:
    """Share of the computing time that hides all-to-all [ratio]."""
    # Engines split a batch in two only where experts' traffic leaves the scale-up domain.
    return np.where(np.asarray(layout.stage) > machine.domain, efficiency.overlap, 0.0)


def layers_seconds(model: ModelSpec, efficiency: Efficiency) -> Number:
    """What a pass takes beyond its ops whatever its batch [s]: per layer, expert layer and MLA layer."""
    latent = sum(n for n, layer in model.attention_layers() if isinstance(layer, LatentAttention))
    return (
        model.num_layers * efficiency.layer_seconds
        + _expert_layers(model) * efficiency.expert_layer_seconds
        + latent * efficiency.latent_layer_seconds
    )


def decode_overhead_seconds(model: ModelSpec, efficiency: Efficiency, batch: Batch) -> Number:
    """What a decode step takes beyond its ops [s]: its layers', and that of every sequence."""
    return layers_seconds(model, efficiency) + batch.sequences * efficiency.sequence_seconds


def _expert_layers(model: ModelSpec) -> int:
    return sum(n for n, layer in model.feedforward_layers() if layer.routed(model.hidden_size))


def _memory_terms(works: list[Work], terms: Terms) -> list[Work]:
    kinds = CACHE_KINDS if terms == "kv" else WEIGHT_KINDS
    # The argument is about reads: without the arithmetic.
    return [replace(w, flops=0.0 * w.flops) for w in works if w.kind in kinds]


def _reading(efficiency: Efficiency) -> Efficiency:
    """The efficiency of reads alone: without permuting tokens to experts and quantizing activations."""
    return replace(efficiency, routed_seconds=0.0, quantize_seconds={})
