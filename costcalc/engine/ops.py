"""What a step has to do: FLOPs and bytes, op by op, exactly. Nothing here knows how fast hardware is.

A `Op` is one op of one layer on the busiest GPU, with the number of layers that run it. Sources:
method.md's sections 3-5 restate Pope et al. 2022 (arXiv 2211.05102) and DeepSeek-V3 (arXiv 2412.19437).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from costcalc.engine.host import CROSSING_BYTES, Placement
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats, Stored
from costcalc.fields import Number, Record, total
from costcalc.formats import cache_format
from costcalc.model.attention.base import Attention, Core, Linear, heads_per_rank
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
    "host_link",
]
COMMUNICATION = ("all_reduce", "all_to_all", "pipeline", "host_link")
CACHE_KINDS = ("grouped", "latent", "recurrent", "indexer")
ATTENTION = (*CACHE_KINDS, "prefill")
OF_SEQUENCES = (*ATTENTION, "head")
"""Kinds of op whose work is that of sequences, not of the rows that pass through the weights."""


class Op(NamedTuple):
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
    throughput: bool = False  # whether an all-to-all is of the kind made for throughput, as prefill runs it
    rows: Number = 1  # tokens that share a weight read
    launches: Number = 1  # kernels that matrices of a GEMM take: those that read the same input are one
    on_host: bool = False  # whether the CPU does it, out of the host's memory
    hand_overs: Number = 0  # between GPU and CPU, of a transfer over their link
    traffic: Number = 0  # [B] of activations that GEMMs read and write
    narrowed: bool = False  # whether a GEMM's activations are quantized first
    quantized: Number = 0  # [B] that quantizing them reads and writes
    routed: Number = 0  # token-expert pairs that one rank handles
    held: Number = 1  # experts that one rank holds
    buffers: Number = 0  # [B] that experts write and read between kernels, with a row for each pair of the rank
    buffers_of_all: Number = 0  # [B] of them where the pairs of all ranks have rows
    sequences: Number = 1  # of an attention kernel
    tokens: Number = 1  # new ones of each
    heads: Number = 1  # query heads of the rank
    group: float = 1  # of which so many share a KV head
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
    evenness: Number = 1.0  # rows of the mean attention-data rank over those of the busiest one
    chunks: Number = 1.0  # steps that each prompt is spread over, each with a part of its tokens
    halves: Number = 1  # passes that the batch is cut into: 2 where one computes while the other communicates
    split: Number = 1  # attention-data ranks that share the tokens of each sequence: a rank has 1/split of it

    @property
    def running(self) -> Number:
        """Share of the ranks and micro-batches that have a sequence."""
        return self.ranks_running * self.stages_running

    @property
    def rows(self) -> Number:
        """New tokens on the rank that pass through the weights at once."""
        return self.sequences * self.tokens / self.chunks

    def gathered_rows(self, attention_dp: Number) -> Number:
        """New tokens of all attention-data ranks, which is what experts get."""
        return self.rows * attention_dp * self.evenness


ACTIVATION_BYTES = 2  # activations travel and are kept in 16 bits
DISPATCH_BYTES = {"fp8": 1, "fp4": 1}  # tokens go to experts in fp8 where experts compute in fp8 or below


def decode_batch(batch: Number, context: Number, layout: Parallelism, tokens: Number = 1, halves: Number = 1) -> Batch:
    """The batch of one decode pass: micro-batches over pipeline stages, sequences over attention ranks.

    The busiest rank has one sequence at least; where there are fewer of them than ranks, others have none.
    halves: passes that the batch is cut into.
    """
    each = np.asarray(batch, dtype=float) / layout.pp / halves
    micro = np.maximum(each, 1.0)
    return Batch(
        np.maximum(micro / layout.attention_dp, 1.0),
        tokens,
        context,
        partial=True,
        ranks_running=np.minimum(micro / layout.attention_dp, 1.0),
        stages_running=np.minimum(each, 1.0),
        halves=halves,
    )


def prefill_batch(
    tokens: Number, cached: Number, prompts: Number = 1, ranks: Number = 1.0, chunks: Number = 1.0, split: Number = 1
) -> Batch:
    """The batch of one prefill pass: `prompts` of `tokens` [tokens] on a share `ranks` of the attention-data ranks.

    The other ranks have no tokens, but experts need them all to take part, and so they wait. chunks: steps that the
    pass consists of, each of which reads the weights again. split: ranks that share the tokens of each prompt, whose
    early and late tokens are dealt out so that all see as many keys (context parallelism).
    """
    return Batch(prompts / split, tokens, cached, prefill=True, evenness=ranks, chunks=chunks, split=split)


def step_ops(
    model: ModelSpec,
    layout: Parallelism,
    formats: Formats,
    batch: Batch,
    only: Literal["rows", "sequences"] | None = None,
) -> list[Op]:
    """All ops of one pass of `batch` through the model: sum of layers x time is the time of a step.

    only: those whose work is of rows, or of sequences (OF_SEQUENCES); None for all.
    """
    if formats.placement.anything:  # what moves over the link is of neither kind alone
        only = None
    works: list[Op] = []
    reduced: Number = 0.0  # sums over tensor ranks: of attention, and of feed-forward layers that gather no tokens
    for count, attention in model.attention_layers():
        works += _attention_ops(model, attention, count, layout, formats, batch, only)
        reduced = reduced + count
    for count, feedforward in model.feedforward_layers() if only != "sequences" else ():
        works += _feedforward_ops(model, feedforward, count, layout, formats, batch)
        gathers = feedforward.routed(model.hidden_size) is not None and np.asarray(layout.attention_dp) > 1
        reduced = reduced + np.where(gathers, 0, count)
    if only != "sequences":
        works.append(_all_reduce(model, reduced, layout, batch))
    if only != "rows":
        works.append(_head_op(model, layout, formats, batch))
    if only != "sequences":
        activation = batch.rows * model.hidden_size * ACTIVATION_BYTES
        works.append(
            Op("elementwise", "elementwise", model.num_layers, 0.0 * activation, activation, formats.attention)
        )
        sent = activation / layout.tp
        works.append(Op("pipeline", "pipeline", layout.pp - 1, 0.0 * sent, sent, ranks=layout.gpus))
    if np.any(np.asarray(batch.halves) > 1):
        works = [each._replace(layers=each.layers * batch.halves) for each in works]
    if np.any(np.asarray(batch.chunks) > 1):  # attention of all chunks together is that of the whole prompt
        works = [w if w.kind in OF_SEQUENCES else w._replace(layers=w.layers * batch.chunks) for w in works]
    works = [w for w in works if np.any(w.layers)]  # what no layout of these runs costs nothing, but time here
    if formats.placement.anything:
        works = _with_host(works, formats.placement, batch, model.hidden_size)
    if not batch.partial and not np.any(np.asarray(batch.evenness) < 1):
        return works
    mean = batch.running * batch.evenness
    return [w if w.kind == "experts" else w._replace(mean_flops=mean, mean_bytes=mean) for w in works]


def _with_host(works: Sequence[Op], placement: Placement, batch: Batch, hidden: int) -> list[Op]:
    """The ops where a part of the model lies in host memory.

    In narrow passes the CPU does what reads that part, and activations cross the link; in wide ones the GPU does
    everything, and what it reads there comes over the link.
    """
    narrow = np.where(np.asarray(batch.rows) < placement.copied_from, 1.0, 0.0)
    shares = {"gemm": placement.layers, "experts": placement.experts, "head": placement.head}
    shares |= dict.fromkeys(ATTENTION, placement.cache)
    found = []
    for op in works:
        share = shares.get(op.kind, 0.0)
        stays = op.kind in ATTENTION and placement.attention_by_cpu
        by_cpu = share * (1.0 if stays else narrow)
        copied = op.layers * (share - by_cpu)
        what = "cache" if op.kind in ATTENTION else "weights"
        found += [
            op._replace(layers=op.layers * (1 - by_cpu)),
            op._replace(op=f"{op.op} on CPU", layers=op.layers * by_cpu, on_host=True),
            Op(f"{what} over the link", "host_link", copied, 0.0 * op.flops, op.bytes),
        ]
    crossing = batch.rows * hidden * CROSSING_BYTES
    handed = placement.crossings * narrow
    found.append(Op("activations over the link", "host_link", handed, 0.0 * crossing, crossing, hand_overs=1))
    return [op for op in found if np.any(np.asarray(op.layers) > 0)]


def rank_parameters(linears: tuple[Linear, ...], tensor: Number, kv_heads: int) -> Number:
    """Matrix elements that one tensor-parallel rank holds."""
    return total(m.parameters * _part(m, tensor, kv_heads) for m in linears)


def _part(matrix: Linear, tensor: Number, kv_heads: int) -> Number:
    """Part of a matrix that one tensor-parallel rank holds."""
    if matrix.split == "tensor":
        return 1 / tensor
    if matrix.split == "kv":
        return heads_per_rank(kv_heads, tensor) / kv_heads
    return 1 + 0.0 * tensor


def activation_elements(
    linears: tuple[Linear, ...], hidden: int, tensor: Number, kv_heads: int
) -> tuple[Number, Number, int]:
    """Elements per row that a rank's products read and write, and the kernels that they take.

    Matrices that read the layer's input are multiplied together and read it once. What is split and leads back to
    the hidden size is split by its rows, anything else by its columns.
    """
    read: Number = 0.0
    written: Number = 0.0
    launches = 0
    for m in linears:
        part = _part(m, tensor, kv_heads)
        by_rows = m.alone and m.split == "tensor" and m.outputs == hidden
        if m.alone or not launches:
            read = read + m.inputs * (part if by_rows else 1.0)
            launches += 1
        written = written + m.outputs * (1.0 if by_rows else part)
    return read, written, launches


ACTIVATION_WIDTHS = {"fp32": 4.0, "tf32": 4.0, "bf16": 2.0, "fp16": 2.0, "fp8": 1.0, "int8": 1.0, "fp4": 0.5 + 1 / 16}
"""Bytes of an activation by the precision that is computed in, scales included."""


def _gemm(
    op: str, layers: int, linears: tuple[Linear, ...], hidden: int, layout: Parallelism, kv_heads: int, rows: Number,
    stored: Stored,
) -> Op:  # fmt: skip
    parameters = rank_parameters(linears, layout.tp, kv_heads)
    read, written, launches = activation_elements(linears, hidden, layout.tp, kv_heads)
    width = ACTIVATION_WIDTHS[stored.compute]
    return Op(
        op,
        "gemm",
        layers,
        flops=2 * parameters * rows,
        bytes=parameters * stored.weights.bytes,
        precision=stored.compute,
        weights=stored.weights.name,
        rows=rows,
        launches=launches,
        traffic=rows * (read * width + written * ACTIVATION_BYTES),
        narrowed=width < ACTIVATION_BYTES,
        quantized=rows * read * (ACTIVATION_BYTES + width),
    )


def _attention_ops(
    model: ModelSpec, attention: Attention, count: int, layout: Parallelism, formats: Formats, batch: Batch,
    only: Literal["rows", "sequences"] | None,
) -> list[Op]:  # fmt: skip
    t = layout.tp
    works = []
    if only != "sequences":
        linears = attention.linears(model.hidden_size)
        given = model.hidden_size, layout, attention.kv_heads, batch.rows, formats.projections
        works.append(_gemm("attention projections", count, linears, *given))
    exchanges = not batch.prefill and np.any(np.asarray(layout.cp) > 1)
    cores: Sequence[Core]
    if only == "rows" and not exchanges:
        cores = ()
    elif batch.prefill:
        cores = attention.prefill_cores(batch.tokens, batch.context, formats.cache, t)
    else:
        cores = attention.decode_cores(batch.context / layout.cp, formats.cache, layout.cache_ranks)
    # A verify pass reads the cache once for all drafted tokens; a prefill's cores count all its tokens already.
    repeat = 1 if batch.prefill else batch.tokens
    for core in cores if only != "rows" else ():
        recurrent_or_indexer = core.kernel in ("recurrent", "indexer")
        kind: Kind = "prefill" if batch.prefill and not recurrent_or_indexer else core.kernel
        works.append(
            Op(
                {"recurrent": "state update", "indexer": "indexer"}.get(core.kernel, "attention core"),
                kind,
                count,
                flops=core.flops * batch.sequences * repeat,
                bytes=core.bytes * batch.sequences * batch.split,  # of which every rank sees all
                precision=formats.indexer if core.kernel == "indexer" else formats.attention,
                weights=formats.cache.name,
                sequences=batch.sequences,
                tokens=batch.tokens,
                heads=core.heads,
                group=core.group,
                # Drafted tokens fill the rows of a tile before they need another.
                tile_flops=np.maximum(core.tile_flops, core.flops * repeat) * batch.sequences,
                scores=core.scores * batch.sequences * repeat,
            )
        )
    if only == "sequences":
        return works
    if batch.prefill and np.any(np.asarray(batch.split) > 1):
        # Ranks gather the keys and values of all of a prompt's tokens; half of an all-reduce (vLLM, prefill context
        # parallelism).
        gathered = batch.sequences * batch.split * batch.tokens * attention.growth_bytes(cache_format("bf16"), t) / 2
        times = np.where(np.asarray(batch.split) > 1, count, 0)
        works.append(Op("context exchange", "all_reduce", times, 0.0 * gathered, gathered, ranks=batch.split))
    if exchanges:
        works += _context_exchange(cores, count, layout, batch)
    return works


def _context_exchange(cores: Sequence[Core], count: int, layout: Parallelism, batch: Batch) -> list[Op]:
    """What ranks that share the tokens of a cache tell each other: queries, outputs, and the sums of their softmax.

    Queries are gathered and outputs summed and scattered, which together move what one all-reduce of their mean does;
    the logarithms of the sums of exponentials are gathered before (vLLM, decode context parallelism).
    """
    seen = batch.context / layout.cp
    elements = total(core.flops / (2 * seen) for core in cores)  # of a token's queries and outputs
    heads = total(core.heads for core in cores)
    times = np.where(np.asarray(layout.cp) > 1, count, 0)
    messages = batch.rows * elements / 2 * ACTIVATION_BYTES, batch.rows * heads * 4.0
    return [Op("context exchange", "all_reduce", times, 0.0 * each, each, ranks=layout.cp) for each in messages]


def _all_reduce(model: ModelSpec, count: Number, layout: Parallelism, batch: Batch) -> Op:
    message = batch.rows * model.hidden_size * ACTIVATION_BYTES
    times = count * np.where(np.asarray(layout.tp) > 1, 1, 0)
    return Op("all-reduce", "all_reduce", times, 0.0 * message, message, ranks=layout.tp)


def _feedforward_ops(
    model: ModelSpec, layer: FeedForward, count: int, layout: Parallelism, formats: Formats, batch: Batch
) -> list[Op]:
    routed = layer.routed(model.hidden_size)
    linears = layer.linears(model.hidden_size)
    works = [_gemm(layer.always, count, linears, model.hidden_size, layout, 1, batch.rows, formats.ffn)]
    if routed is None:
        return works
    works.append(_expert_ops(routed, count, layout, formats, batch))
    works += _expert_traffic(model, routed, count, layout, formats, batch)
    return works


def _expert_ops(routed: RoutedExperts, count: int, layout: Parallelism, formats: Formats, batch: Batch) -> Op:
    tokens = batch.gathered_rows(layout.attention_dp)  # of the whole stage
    pairs = tokens * routed.per_token
    touched = experts_touched(routed.experts, routed.per_token, tokens)
    share = routed.parameters / layout.stage  # of one expert on one GPU, averaged over the stage
    columns = routed.inner / (layout.stage / layout.ep)
    # Where attention is data parallel a rank gets the tokens of its own experts, else those of all.
    seen = np.where(np.asarray(layout.attention_dp) > 1, pairs / layout.ep, pairs)
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
        buffers=buffer_bytes(pairs / layout.ep, routed.width, columns),
        buffers_of_all=unfiltered_buffer_bytes(seen, routed.width, columns),
        mean_flops=batch.running,
        mean_bytes=_touched_share(routed, tokens, touched, batch),
    )


def buffer_bytes(pairs: Number, hidden: Number, inter: Number) -> Number:
    """Bytes of 16-bit buffers, written and read, when only this GPU's own `pairs` have rows [B]."""
    return pairs * (6 * hidden + 12 * inter)


def unfiltered_buffer_bytes(pairs: Number, hidden: Number, inter: Number) -> Number:
    """Bytes of 16-bit buffers when the pairs of all GPUs have rows, those of others zeroed and summed [B]."""
    return pairs * (4 * hidden + 10 * inter)


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
    data_parallel = np.asarray(layout.attention_dp) > 1
    by_expert = data_parallel & (np.asarray(layout.ep) > 1)
    # An expert that is cut over several GPUs needs the token on each of them.
    destinations = np.minimum(routed.per_token, layout.ep) * (layout.stage / layout.ep)
    # The busiest rank sends all of its tokens, whether the others have any or not.
    sent = batch.rows * layout.attention_dp / layout.stage * destinations * routed.width
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
            throughput=batch.prefill,
        )
        for op, width in zip(("all-to-all dispatch", "all-to-all combine"), each_way, strict=True)
    ]
    # Experts cut over all ranks under attention data parallelism: gather all tokens, scatter the sums.
    message = batch.gathered_rows(layout.attention_dp) * model.hidden_size * ACTIVATION_BYTES
    gathered = np.where(data_parallel & ~by_expert, count, 0)
    works.append(Op("all-reduce", "all_reduce", gathered, 0.0 * message, message, ranks=layout.stage))
    return works


def _head_op(model: ModelSpec, layout: Parallelism, formats: Formats, batch: Batch) -> Op:
    held = model.head_parameters / layout.tp
    # Only the last token of a prompt needs its logits.
    rows = batch.sequences * batch.split if batch.prefill else batch.rows
    return Op(
        "LM head",
        "head",
        1,
        flops=2 * held * rows,
        bytes=held * formats.head.bytes,
        precision=formats.head_compute,
        weights=formats.head.name,
        rows=rows,
        traffic=rows * (model.hidden_size + model.head_parameters / model.hidden_size / layout.tp) * ACTIVATION_BYTES,
    )
