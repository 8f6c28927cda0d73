"""What a step has to do: FLOPs and bytes, op by op, exactly. Nothing here knows how fast hardware is.

A `Op` is one op of one layer on the busiest GPU, with the number of layers that run it. Sources:
method.md's sections 3-5 restate Pope et al. 2022 (arXiv 2211.05102) and DeepSeek-V3 (arXiv 2412.19437).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats
from costcalc.fields import Number, Record
from costcalc.model.attention.base import Attention, Linear, heads_per_rank
from costcalc.model.ffn import FeedForward, RoutedExperts, experts_touched
from costcalc.model.spec import ModelSpec

Kind = Literal[
    "gemm",
    "head",
    "experts",
    "grouped",
    "latent",
    "recurrent",
    "indexer",
    "prefill",
    "elementwise",
    "all_reduce",
    "all_to_all",
    "pipeline",
]
COMMUNICATION = ("all_reduce", "all_to_all", "pipeline")


@dataclass(frozen=True, slots=True)
class Op:
    """One op: per layer, on the busiest GPU."""

    op: str
    kind: Kind
    layers: Number  # how often a step runs it
    flops: Number  # [FLOP]
    bytes: Number  # [B] moved through memory, or sent where the op is a collective
    precision: str = "bf16"  # computed in
    weights: str = "bf16"  # weight format of a GEMM
    ranks: Number = 1  # GPUs of a collective
    copies: Number = 1  # destinations of a token that an all-to-all sends once to each domain
    rows: Number = 1  # tokens that share a weight read
    routed: Number = 0  # token-expert pairs that one rank handles
    held: Number = 1  # experts that one rank holds
    tile_flops: Number = 0  # [FLOP] of an attention kernel after padding query tiles
    scores: Number = 0  # softmax exponentials
    mean_flops: Number = 1  # of the GPUs of a stage, over the busiest one's: ranks without a sequence do nothing
    mean_bytes: Number = 1


class Batch(Record):
    """What passes through the layers at once, on one attention-data rank of one stage."""

    sequences: Number  # per rank
    tokens: Number  # new tokens per sequence
    context: Number  # decode: tokens visible to the newest; prefill: tokens already cached
    prefill: bool = False
    partial: bool = False  # whether there may be ranks or micro-batches without a sequence
    ranks_running: Number = 1.0  # share of the attention-data ranks that have a sequence
    stages_running: Number = 1.0  # share of the micro-batches that have one

    @property
    def running(self) -> Number:
        """Share of the ranks and micro-batches that have a sequence."""
        return self.ranks_running * self.stages_running

    @property
    def rows(self) -> Number:
        """New tokens on the rank."""
        return self.sequences * self.tokens


ACTIVATION_BYTES = 2  # activations travel and are kept in 16 bits
DISPATCH_BYTES = {"fp8": 1, "fp4": 1}  # tokens go to experts in fp8 where experts compute in fp8 or below


def decode_batch(batch: Number, context: Number, layout: Parallelism, tokens: Number = 1) -> Batch:
    """The batch of one decode pass: micro-batches over pipeline stages, sequences over attention ranks.

    The busiest rank has one sequence at least; where there are fewer of them than ranks, others have none.
    """
    each = np.asarray(batch, dtype=float) / layout.pp
    micro = np.maximum(each, 1.0)
    return Batch(
        np.maximum(micro / layout.attention_dp, 1.0),
        tokens,
        context,
        partial=True,
        ranks_running=np.minimum(micro / layout.attention_dp, 1.0),
        stages_running=np.minimum(each, 1.0),
    )


def prefill_batch(tokens: Number, cached: Number, prompts: Number = 1) -> Batch:
    """The batch of one prefill pass: `prompts` of `tokens` [tokens] on every attention-data rank."""
    return Batch(prompts, tokens, cached, prefill=True)


def step_ops(model: ModelSpec, layout: Parallelism, formats: Formats, batch: Batch) -> list[Op]:
    """All ops of one pass of `batch` through the model: sum of layers x time is the time of a step."""
    works: list[Op] = []
    for count, attention in model.attention_layers():
        works += _attention_ops(model, attention, count, layout, formats, batch)
    for count, feedforward in model.feedforward_layers():
        works += _feedforward_ops(model, feedforward, count, layout, formats, batch)
    works.append(_head_op(model, layout, formats, batch))
    activation = batch.rows * model.hidden_size * ACTIVATION_BYTES
    works.append(Op("elementwise", "elementwise", model.num_layers, 0.0 * activation, activation, formats.attention))
    sent = activation / layout.tp
    works.append(Op("pipeline", "pipeline", layout.pp - 1, 0.0 * sent, sent, ranks=layout.gpus))
    if not batch.partial:
        return works
    return [w if w.kind == "experts" else replace(w, mean_flops=batch.running, mean_bytes=batch.running) for w in works]


def rank_parameters(linears: tuple[Linear, ...], tensor: Number, kv_heads: int) -> Number:
    """Matrix elements that one tensor-parallel rank holds."""
    total: Number = 0.0
    for m in linears:
        if m.split == "tensor":
            total = total + m.parameters / tensor
        elif m.split == "kv":
            total = total + m.parameters * heads_per_rank(kv_heads, tensor) / kv_heads
        else:
            total = total + m.parameters + 0.0 * tensor
    return total


def _gemm(op: str, layers: int, parameters: Number, rows: Number, formats: Formats) -> Op:
    return Op(
        op,
        "gemm",
        layers,
        flops=2 * parameters * rows,
        bytes=parameters * formats.weights.bytes + 0.0 * rows,
        precision=formats.compute,
        weights=formats.weights.name,
        rows=rows,
    )


def _attention_ops(
    model: ModelSpec, attention: Attention, count: int, layout: Parallelism, formats: Formats, batch: Batch
) -> list[Op]:
    t = layout.tp
    held = rank_parameters(attention.linears(model.hidden_size), t, attention.kv_heads)
    works = [_gemm("attention projections", count, held, batch.rows, formats)]
    if batch.prefill:
        cores = attention.prefill_cores(batch.tokens, batch.context, formats.cache, t)
    else:
        cores = attention.decode_cores(batch.context, formats.cache, t)
    # A verify pass reads the cache once for all drafted tokens; a prefill's cores count all its tokens already.
    repeat = 1 if batch.prefill else batch.tokens
    for core in cores:
        recurrent_or_indexer = core.kernel in ("recurrent", "indexer")
        kind: Kind = "prefill" if batch.prefill and not recurrent_or_indexer else core.kernel
        works.append(
            Op(
                {"recurrent": "state update", "indexer": "indexer"}.get(core.kernel, "attention core"),
                kind,
                count,
                flops=core.flops * batch.sequences * repeat,
                bytes=core.bytes * batch.sequences,
                precision=formats.indexer if core.kernel == "indexer" else formats.attention,
                tile_flops=core.tile_flops * batch.sequences * repeat,
                scores=core.scores * batch.sequences * repeat,
            )
        )
    works.append(_all_reduce(model, count, layout, batch))
    return works


def _all_reduce(model: ModelSpec, count: Number, layout: Parallelism, batch: Batch) -> Op:
    message = batch.rows * model.hidden_size * ACTIVATION_BYTES
    times = count * np.where(np.asarray(layout.tp) > 1, 1, 0)
    return Op("all-reduce", "all_reduce", times, 0.0 * message, message, ranks=layout.tp)


def _feedforward_ops(
    model: ModelSpec, layer: FeedForward, count: int, layout: Parallelism, formats: Formats, batch: Batch
) -> list[Op]:
    routed = layer.routed(model.hidden_size)
    held = rank_parameters(layer.linears(model.hidden_size), layout.tp, 1)
    works = [_gemm(layer.always, count, held, batch.rows, formats)]
    if routed is None:
        works.append(_all_reduce(model, count, layout, batch))
        return works
    works.append(_expert_ops(routed, count, layout, formats, batch))
    works += _expert_traffic(model, routed, count, layout, formats, batch)
    return works


def _expert_ops(routed: RoutedExperts, count: int, layout: Parallelism, formats: Formats, batch: Batch) -> Op:
    tokens = batch.rows * layout.attention_dp  # of the whole stage
    pairs = tokens * routed.per_token
    touched = experts_touched(routed.experts, routed.per_token, tokens)
    share = routed.parameters / layout.stage  # of one expert on one GPU, averaged over the stage
    return Op(
        "routed experts",
        "experts",
        count,
        flops=2 * pairs * share,
        bytes=touched * share * formats.experts.bytes,
        precision=formats.experts_compute,
        weights=formats.experts.name,
        ranks=layout.ep,
        rows=pairs / touched,
        routed=pairs / layout.ep,
        held=routed.experts / layout.ep,
        mean_flops=batch.running,
        mean_bytes=_touched_share(routed, tokens, touched, batch),
    )


def _touched_share(routed: RoutedExperts, tokens: Number, touched: Number, batch: Batch) -> Number:
    """Experts that the tokens of running ranks touch, over those that `tokens`, one on every rank, would."""
    if not batch.partial:
        return 1.0
    really = experts_touched(routed.experts, routed.per_token, tokens * batch.ranks_running)
    return batch.stages_running * really / touched


def _expert_traffic(
    model: ModelSpec, routed: RoutedExperts, count: int, layout: Parallelism, formats: Formats, batch: Batch
) -> list[Op]:
    """Dispatch and combine: between experts' ranks where attention is data parallel, else the TP all-reduce."""
    tokens = batch.rows * layout.attention_dp
    data_parallel = np.asarray(layout.attention_dp) > 1
    by_expert = data_parallel & (np.asarray(layout.ep) > 1)
    # An expert that is cut over several GPUs needs the token on each of them.
    destinations = np.minimum(routed.per_token, layout.ep) * (layout.stage / layout.ep)
    sent = tokens / layout.stage * destinations * routed.width
    # Kernels made for latency send every copy by itself; those made for throughput once to each domain.
    copies = destinations if batch.prefill else 1
    each_way = DISPATCH_BYTES.get(formats.experts_compute, ACTIVATION_BYTES), ACTIVATION_BYTES
    works = [
        Op(
            op,
            "all_to_all",
            np.where(by_expert, count, 0),
            0.0 * sent,
            sent * width,
            ranks=layout.stage,
            copies=copies,
        )
        for op, width in zip(("all-to-all dispatch", "all-to-all combine"), each_way, strict=True)
    ]
    # Experts cut over all ranks under attention data parallelism: gather all tokens, scatter the sums.
    message = tokens * model.hidden_size * ACTIVATION_BYTES
    gathered = np.where(data_parallel & ~by_expert, count, 0)
    works.append(Op("all-reduce", "all_reduce", gathered, 0.0 * message, message, ranks=layout.stage))
    works.append(_all_reduce(model, np.where(data_parallel, 0, count), layout, batch))
    return works


def _head_op(model: ModelSpec, layout: Parallelism, formats: Formats, batch: Batch) -> Op:
    held = model.head_parameters / layout.tp
    # Only the last token of a prompt needs its logits.
    rows = batch.sequences if batch.prefill else batch.rows
    return Op(
        "LM head",
        "head",
        1,
        flops=2 * held * rows,
        bytes=held * formats.head.bytes + 0.0 * rows,
        precision=formats.head_compute,
        weights=formats.head.name,
        rows=rows,
    )
