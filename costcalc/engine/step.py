"""A decode step and a prefill pass: all ops timed, the overheads that no op explains, drafts, prompts that join."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import Literal

import numpy as np

from costcalc.engine.latency.kernels import reads_only
from costcalc.engine.latency.op_times import Curve, Efficiency, FastestCurve, OpTime, op_seconds, op_times
from costcalc.engine.ops import (
    ATTENTION,
    CACHE_KINDS,
    COMMUNICATION,
    OF_SEQUENCES,
    Batch,
    Op,
    prefill_batch,
    step_ops,
)
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats
from costcalc.engine.roofline import Addition, Machine, added_seconds
from costcalc.fields import Number, Record, total
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.spec import ModelSpec

Terms = Literal["all", "kv", "weights"]
WEIGHT_KINDS = ("gemm", "head", "experts")


class Hidden(Record):
    """All-to-all that two micro-batches hide behind each other's computation.

    One half computes while the other communicates, so up to a share of the computing time hides as much
    communication (DeepSeek-V3, 2412.19437, 3.2.3).
    """

    sent: Number = 0.0  # [s] of all-to-all
    share: Number = 0.0  # of the computing time
    busy: Number = 0.0  # [s] of computing

    @property
    def seconds(self) -> Number:
        """Time that hides [s]."""
        return np.minimum(self.sent, self.share * self.busy)


class Step(Record):
    """The time of one pass through all layers, on the busiest GPU."""

    ops: tuple[OpTime, ...]
    overhead: tuple[Addition, ...]  # of layers, expert layers and sequences
    hidden: Hidden = Hidden()  # all-to-all that runs behind the other ops
    drafting: OpTime | None = None  # the passes through prediction layers that propose the tokens it checks
    host: Number = 0.0  # [s] of the server's process for the tokens of a step, beside the GPU
    slower: Number = 1.0  # what the engine takes over one of the month of the constants

    @classmethod
    def lasting(cls, seconds: Number) -> Step:
        """A pass of which nothing but its time [s] is kept."""
        kept = cls((), ())
        kept.__dict__["seconds"] = seconds
        return kept

    @property
    def overhead_seconds(self) -> Number:
        """What engines add to the ops [s]."""
        return added_seconds(self.overhead)

    @property
    def hidden_seconds(self) -> Number:
        """All-to-all that runs behind the other ops [s]."""
        return self.hidden.seconds

    @cached_property
    def seconds(self) -> Number:
        """Time of the pass [s]."""
        return self.current_seconds * self.slower

    @cached_property
    def gpu_seconds(self) -> Number:
        """Time of the pass on the GPUs [s]."""
        drafting = self.drafting.seconds if self.drafting else 0.0
        return total(op.seconds for op in self.ops) + self.overhead_seconds - self.hidden_seconds + drafting

    @property
    def waiting_seconds(self) -> Number:
        """Time for which the GPUs wait for the host [s]."""
        return np.maximum(self.host - self.gpu_seconds, 0.0)

    @cached_property
    def current_seconds(self) -> Number:
        """Time of the pass in an engine of the constants' month [s]: the longer of what GPUs and host take."""
        return self.gpu_seconds + self.waiting_seconds

    @property
    def ageing_seconds(self) -> Number:
        """What an older engine adds [s]."""
        return (self.slower - 1) * self.current_seconds


def hidden_all_to_all(ops: Sequence[OpTime], overlap: Number) -> Hidden:
    """All-to-all of `ops`, and the computing that a share `overlap` of hides it."""
    sent = total(op.seconds for op in ops if op.kind == "all_to_all")
    return Hidden(sent, overlap, total(op.seconds for op in ops if not op.communicates))


def timed_decode(
    ops: Sequence[Op],
    batch: Batch,
    model: ModelSpec,
    machine: Machine,
    efficiency: Efficiency,
    terms: Terms = "all",
    slower: Number = 1.0,
    host: Number = 0.0,
) -> Step:
    """Time the ops of a decode step of `batch`.

    host: time of the server's process [s]. slower: what its engine takes over one of the constants' month."""
    if terms != "all":
        return Step(tuple(op_times(_memory_terms(ops, terms), machine, _reading(efficiency))), ())
    found = tuple(op_times(ops, machine, efficiency))
    hidden = hidden_all_to_all(found, overlap_share(efficiency, batch.halves))
    return Step(found, decode_overhead(model, efficiency, batch), hidden, host=host, slower=slower)


def timed_prefill(
    ops: Sequence[Op],
    model: ModelSpec,
    machine: Machine,
    efficiency: Efficiency,
    slower: Number = 1.0,
    halves: Number = 1,
    chunks: Number = 1.0,
) -> Step:
    """Time the ops of a prefill pass, in so many halves that hide each other's traffic.

    slower: what its engine takes over one of the constants' month. chunks: steps that it consists of.
    """
    found = tuple(op_times(ops, machine, efficiency))
    hidden = hidden_all_to_all(found, overlap_share(efficiency, halves))
    return Step(found, layers_overhead(model, efficiency, chunks), hidden, slower=slower)


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
    head = [op for op in plain.ops if op.kind == "head"]
    body = [op for op in plain.ops if op.kind != "head"]
    share = prediction_share(model)

    def drafted(what: str) -> Number:
        of_body, of_head = (total(getattr(op, what) for op in ops) for ops in (body, head))
        return drafts * (share * of_body + of_head)

    through_all = total(op.seconds for op in body) + plain.overhead_seconds - plain.hidden_seconds
    additions = (
        Addition("prediction layers", prediction_layers(model), through_all / model.num_layers),
        Addition("LM head", 1.0, total(op.seconds for op in head)),
        Addition("sampling", 1.0, efficiency.draft_seconds),
    )
    return OpTime(
        "drafting", "drafting", drafted("flops"), drafted("bytes"), drafts, (), np.inf, additions,
        of_resources=(drafted("memory_seconds"), drafted("compute_seconds")),
    )  # fmt: skip


def overlap_share(efficiency: Efficiency, halves: Number) -> Number:
    """Share of the computing time that hides all-to-all [ratio]: of a pass in two halves; in the ideal of any."""
    return np.where((np.asarray(halves) > 1) | (efficiency.overlap >= 1), efficiency.overlap, 0.0)


def layers_overhead(model: ModelSpec, efficiency: Efficiency, halves: Number = 1) -> tuple[Addition, ...]:
    """What a pass takes beyond its ops whatever its batch: per layer, expert layer and MLA layer."""
    latent = sum(n for n, layer in model.attention_layers() if isinstance(layer, LatentAttention))
    return (
        Addition("layers", model.num_layers * halves, efficiency.layer_seconds),
        Addition("expert layers", _expert_layers(model) * halves, efficiency.expert_layer_seconds),
        Addition("MLA layers", latent * halves, efficiency.latent_layer_seconds),
    )


def decode_overhead(model: ModelSpec, efficiency: Efficiency, batch: Batch) -> tuple[Addition, ...]:
    """What a decode step takes beyond its ops: its layers', and that of every sequence."""
    of_sequences = Addition("sequences", batch.sequences * batch.halves, efficiency.sequence_seconds)
    return (*layers_overhead(model, efficiency, batch.halves), of_sequences)


def _expert_layers(model: ModelSpec) -> int:
    return sum(n for n, layer in model.feedforward_layers() if layer.routed(model.hidden_size))


def _memory_terms(works: Sequence[Op], terms: Terms) -> list[Op]:
    kinds = CACHE_KINDS if terms == "kv" else WEIGHT_KINDS
    # The argument is about reads: without the arithmetic.
    return [w._replace(flops=0.0 * w.flops) for w in works if w.kind in kinds]


def _reading(efficiency: Efficiency) -> Efficiency:
    """The efficiency of reads alone: without launches, activations and the buffers of experts."""

    def curve(op: Op) -> Curve | FastestCurve:
        found = efficiency.curve(op)
        if isinstance(found, FastestCurve):
            return FastestCurve(tuple(map(reads_only, found.curves)))
        return reads_only(found)

    return replace(efficiency, curve=curve)


# Prompts that ride on decode steps: what they add to a step that runs anyway.
#
# Continuous batching with chunked prefill (Orca, Yu et al. 2022; Sarathi-Serve, Agrawal et al. 2024, arXiv
# 2403.02310) lets prompts share a decode step's reading of weights and its overheads, so a prompt costs less
# than a prefill pass of its own.


class ChunkedPrefill(Record):
    """The work of a step with the prompts in it, and that of the prompts' attention."""

    together: Sequence[Op]
    attention: Sequence[Op]
    steps: Number = 1.0  # that the prompts are spread over


def chunked_prefill(
    model: ModelSpec,
    layout: Parallelism,
    formats: Formats,
    decoding: Batch,
    prompt: Number,
    prompts: Number = 1,
    cached: Number = 0,
    ranks: Number = 1.0,
    steps: Number = 1.0,
) -> ChunkedPrefill:
    """Work of a decode step that `prompts` of `prompt` [tokens] join on some ranks.

    decoding: the batch of the step without them. cached: tokens of each prompt that a prefix cache holds. ranks: share
    of the attention-data ranks that prompts join. steps: that each prompt is spread over.
    """
    added = np.asarray(prompts, dtype=float) * prompt / steps / decoding.halves
    rows = decoding.rows + added
    evenness = (decoding.rows + added * ranks) / rows
    # Times alone matter here: what idle ranks leave undone is left out.
    together = Batch(rows, 1, 1, evenness=evenness, halves=decoding.halves)
    joined = step_ops(model, layout, formats, prefill_batch(prompt, cached, prompts, ranks), "sequences")
    return ChunkedPrefill(
        [w for w in step_ops(model, layout, formats, together, "rows") if w.kind not in OF_SEQUENCES],
        [w._replace(layers=w.layers / steps) for w in joined if w.kind in ATTENTION],
        steps,
    )


def prefill_interference_seconds(
    work: ChunkedPrefill, machine: Machine, efficiency: Efficiency, step: Sequence[OpTime], overlap: Number = 0.0
) -> Number:
    """Time that the prompts add to the steps that they join [s].

    step: ops of such a step without them. overlap: share of its computing behind which all-to-all hides.
    """
    before = [(op.kind, op.seconds) for op in step]
    joined = ((op.kind, op_seconds(op, machine, efficiency)) for op in (*work.together, *work.attention))
    of_sequences = (each for each in before if each[0] in OF_SEQUENCES)
    return work.steps * (_taken(chain(joined, of_sequences), overlap) - _taken(before, overlap))


def _taken(times: Iterable[tuple[str, Number]], overlap: Number) -> Number:
    """Time of ops beside that of all-to-all which hides [s]; one after the other, so that none is kept.

    times: the kind and the time of every op [s].
    """
    taken: Number = 0.0
    sent: Number = 0.0
    busy: Number = 0.0
    hides = np.any(overlap)
    for kind, seconds in times:
        taken = taken + seconds
        if hides and kind == "all_to_all":
            sent = sent + seconds
        if hides and kind not in COMMUNICATION:
            busy = busy + seconds
    return taken - Hidden(sent, overlap, busy).seconds


# Speculative decoding: a cheap draft proposes tokens, one pass of the model checks them all.
#
# Source: Leviathan, Kalman and Matias 2023 (arXiv 2211.17192).


def tokens_per_pass(acceptance: Number, drafts: Number, fading: Number = 1.0) -> Number:
    """Expected tokens of one checking pass, its own token included: 1 + α + α² + ..., equation 1.

    A head that was trained to look one token ahead looks further by reading its own drafts: draft i is kept with
    chance α φ^(i-1) where those before it were; at φ = 1 chances are alike and independent, as in the source.
    acceptance: chance α that the first drafted token is kept [0 to 1]. drafts: tokens drafted per pass γ [tokens].
    fading: φ [0 to 1].
    """
    count = np.asarray(drafts, dtype=float)
    tokens, kept = np.ones_like(count), np.asarray(1.0)
    for draft in range(int(np.max(count, initial=0))):
        kept = kept * np.asarray(acceptance) * np.asarray(fading) ** draft
        tokens = tokens + np.where(count > draft, kept, 0.0)
    return tokens
