"""Does it fit, and how many sequences: weights by layout, the pool left for the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from costcalc.engine.host import ON_GPU
from costcalc.engine.ops import ACTIVATION_BYTES, rank_parameters
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats
from costcalc.engine.roofline import Machine
from costcalc.fields import Number, Record, total
from costcalc.formats import CacheFormat
from costcalc.hardware.engines import EngineMemory, before, by_tier
from costcalc.model.attention.base import Attention
from costcalc.model.attention.compressed import CompressedAttention
from costcalc.model.attention.gqa import ChunkedAttention, GroupedAttention, SlidingWindowAttention
from costcalc.model.attention.linear import RecurrentAttention
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.ffn import RoutedExperts
from costcalc.model.spec import ModelSpec


class MemoryBudget(Record):
    """How much of a GPU's memory an engine gives to weights and cache, and how it holds the cache."""

    utilization: Number | None = 0.9  # of the GPU's memory; None: what the engine's rule leaves
    reserve: float = 0.0  # [B] kept besides what the engine keeps
    of_free: bool = False  # the cache takes that share of what weights and reserve leave, instead of the whole
    reserved_output: Number = 1.0  # of the answers of running requests, in the cache that is kept for them
    prediction: Number = 0.0  # layers that draft tokens, over the model's: they have weights and a cache of their own
    drafts: Number = 0  # tokens drafted per step, each of which keeps a state of its own
    engine: EngineMemory | None = None  # its rules; None: the cache is held as the arithmetic needs it
    step_tokens: Number | None = None  # tokens of one step; None: the engine's default
    prompts_elsewhere: bool = False  # on other GPUs, so that a step has the next tokens of its sequences alone
    sequences: Number | None = None  # that the engine runs at once; None: its default

    def default(self, name: str, machine: Machine) -> Number:
        """An engine's default for a machine, a field of its tiers; infinite without an engine."""
        return np.inf if self.engine is None else by_tier(self.engine.tiers, name, machine.memory, machine.architecture)

    def tokens_of_step(self, machine: Machine) -> Number:
        """Tokens that one step computes at most, all prompts together [tokens]."""
        return self.default("tokens", machine) if self.step_tokens is None else self.step_tokens

    def running(self, machine: Machine) -> Number:
        """Sequences that the scheduler of one attention-data rank runs at most [1]."""
        return self.default("sequences", machine) if self.sequences is None else self.sequences


def weights_bytes_per_gpu(model: ModelSpec, layout: Parallelism, formats: Formats) -> Number:
    """Weights on the fullest GPU [B]: experts over the stage, matrices over tensor ranks, layers over stages.

    Norms and biases (kept in 16 bits) and the router stay whole on every rank; embeddings and the LM head
    are cut over the vocabulary, encoders of images over tensor ranks of the first stage. What lies in host memory is
    not among them.
    """
    place = formats.placement
    d, t = model.hidden_size, layout.tp
    projections: Number = 0.0
    ffn: Number = 0.0
    vectors = model.norm_parameters
    for count, attention in model.attention_layers():
        projections = projections + count * rank_parameters(attention.linears(d), t, attention.kv_heads)
        vectors += count * attention.extra_parameters(d)
    routed_bytes: Number = 0.0
    for count, layer in model.feedforward_layers():
        ffn = ffn + count * rank_parameters(layer.linears(d), t, 1)
        vectors += count * layer.extra_parameters(d)
        routed = layer.routed(d)
        if routed:
            slots = np.ceil(routed.experts / layout.ep) * layout.ep
            share = slots * routed.parameters / layout.stage * padded_experts(routed, layout, formats)
            routed_bytes = routed_bytes + count * share * formats.experts.bytes
    # The first stage looks tokens up, the last one multiplies the head; alone, a stage may share a tied table.
    towers = model.tower_parameters * ACTIVATION_BYTES * formats.encoders
    embedding = model.embedding_parameters * formats.embedding.bytes * (1 - place.embedding) + towers
    shared = model.tied_embeddings and not place.embedding
    head = 0.0 if shared else model.head_parameters * formats.head.bytes * (1 - place.head)
    tables = np.where(np.asarray(layout.pp) > 1, np.maximum(embedding, head), embedding + head)
    layers = projections * formats.projections.weights.bytes + ffn * formats.ffn.weights.bytes + vectors * 2
    layers = layers * (1 - place.layers) + routed_bytes * (1 - place.experts)
    return layers / layout.pp + tables / t


def host_weights_bytes(model: ModelSpec, layout: Parallelism, formats: Formats) -> Number:
    """Weights in host memory [B]."""
    everything = weights_bytes_per_gpu(model, layout, replace(formats, placement=ON_GPU))
    return everything - weights_bytes_per_gpu(model, layout, formats)


def host_cache_bytes_per_sequence(model: ModelSpec, layout: Parallelism, formats: Formats, context: Number) -> Number:
    """Cache in host memory of one sequence of `context` [tokens] [B]."""
    whole = cache_bytes_per_sequence_per_gpu(model, layout, replace(formats, placement=ON_GPU), context)
    return whole * formats.placement.cache


def host_sequences(
    model: ModelSpec, machine: Machine, layout: Parallelism, formats: Formats, context: Number
) -> Number:
    """Sequences of `context` [tokens] whose part in host memory fits there; infinite where its size is not told."""
    if machine.host is None or machine.host.memory is None:
        return np.inf
    pool = machine.host.memory - host_weights_bytes(model, layout, formats)
    return max_sequences(pool, host_cache_bytes_per_sequence(model, layout, formats, context), layout)


def copy_buffer_bytes(model: ModelSpec, formats: Formats) -> float:
    """What the GPU holds of a matrix in host memory while it multiplies with it [B]: of the largest one."""
    place, largest = formats.placement, 0.0
    for _, layer in model.feedforward_layers():
        routed = layer.routed(model.hidden_size)
        if routed and place.experts:
            each = routed.experts * routed.parameters / routed.matrices
            largest = max(largest, each * formats.experts.bytes)
        if place.layers:
            dense = max((m.parameters for m in layer.linears(model.hidden_size)), default=0.0)
            largest = max(largest, dense * formats.ffn.weights.bytes)
    return largest


def cache_bytes_per_token(model: ModelSpec, formats: Formats) -> float:
    """What each further token of context adds to the cache, all layers, one copy [B/token]."""
    return float(total(n * a.growth_bytes(formats.cache, 1) for n, a in model.attention_layers()))


def cache_bytes_per_token_per_gpu(model: ModelSpec, layout: Parallelism, formats: Formats) -> Number:
    """What each further token adds on one GPU that holds the sequence [B/token]."""
    ranks, layers = layout.cache_ranks, model.attention_layers()
    grown = total(n * a.growth_bytes(formats.cache, ranks) for n, a in layers)
    return grown * (1 - formats.placement.cache) / layout.cp / layout.pp


def cache_bytes_per_sequence(model: ModelSpec, formats: Formats, context: Number) -> Number:
    """Cache of one sequence of `context` [tokens], all layers, one copy [B]."""
    return total(n * a.cache_bytes(context, formats.cache, 1) for n, a in model.attention_layers())


def cache_bytes_per_sequence_per_gpu(
    model: ModelSpec, layout: Parallelism, formats: Formats, context: Number
) -> Number:
    """Cache of one sequence of `context` [tokens] on one GPU that holds it [B]."""
    held: Number = 0.0
    for count, attention in model.attention_layers():
        held = held + count * attention.cache_bytes(context / layout.cp, formats.cache, layout.cache_ranks)
    return held * (1 - formats.placement.cache) / layout.pp


def fixed_cache_bytes_per_sequence(model: ModelSpec, cache: CacheFormat) -> float:
    """What a sequence holds in all layers besides what grows with its context: full windows and states [B]."""
    long = 2.0**24  # [tokens] a multiple of every window and ratio
    held = total(
        count * (layer.cache_bytes(long, cache) - long * layer.growth_bytes(cache))
        for count, layer in model.attention_layers()
    )
    return float(max(held, 0.0))


def cache_bytes_read(model: ModelSpec, formats: Formats, context: Number) -> Number:
    """Cache that one sequence reads and writes in a decode step, one copy [B]."""
    return total(n * layer_cache_bytes_read(a, formats, context) for n, a in model.attention_layers())


def layer_cache_bytes_read(attention: Attention, formats: Formats, context: Number) -> Number:
    """Cache that one sequence reads and writes in one layer and decode step, one copy [B]."""
    return total(core.bytes for core in attention.decode_cores(context, formats.cache, 1))


def padded_experts(routed: RoutedExperts, layout: Parallelism, formats: Formats) -> Number:
    """Weights of experts as kernels hold them over those of the checkpoint [1].

    The inputs of every matrix on a rank are padded to the kernel's multiple: the token's width, and the expert's own.
    """
    multiple = formats.padded_inputs
    if multiple <= 1:
        return 1.0

    def padded(width: Number) -> Number:
        return np.ceil(width / multiple) * multiple / width

    matrices = routed.matrices
    cut = routed.inner / (layout.stage / layout.ep)
    return ((matrices - 1) * padded(routed.width) + padded(cut)) / matrices


def kv_pool_bytes_per_gpu(
    model: ModelSpec, machine: Machine, layout: Parallelism, formats: Formats, budget: MemoryBudget
) -> Number:
    """Memory left for the cache of the model's layers on the fullest GPU [B]; negative where the weights do not fit."""
    layers = 1 + budget.prediction
    weights = weights_bytes_per_gpu(model, layout, formats) * layers
    share, reserve = memory_share(machine, layout, budget), reserve_bytes(model, machine, layout, budget)
    if budget.of_free:
        free = machine.memory - reserve - weights
        return np.where(free > 0, free * share, free) / layers
    return (machine.memory * share - reserve - weights) / layers


def memory_share(machine: Machine, layout: Parallelism, budget: MemoryBudget) -> Number:
    """Share of a GPU's memory that an engine counts on [0 to 1]: the one asked for, or what its rule leaves."""
    if budget.utilization is not None:
        return budget.utilization
    assert budget.engine is not None and budget.engine.left_free is not None
    rule, memory = budget.engine.left_free, np.asarray(machine.memory)
    wide = np.asarray(layout.stage) >= WIDE
    graphs = np.where(wide, budget.default("tensor_graphs", machine), budget.default("graphs", machine))
    left = rule.fixed + rule.per_token * budget.tokens_of_step(machine) + rule.per_graph * graphs
    left = left + rule.per_gpu * layout.stage * layout.pp
    left = left + np.where(np.asarray(layout.attention_dp) > 1, rule.data_parallel, 0.0)
    left = np.where(memory >= rule.least_from, np.maximum(left, rule.least), left)
    return np.maximum(1 - left / memory, 0.0)


WIDE = 4
"""GPUs of a stage from which SGLang captures larger decode graphs."""


def reserve_bytes(model: ModelSpec, machine: Machine, layout: Parallelism, budget: MemoryBudget) -> Number:
    """Memory that neither weights nor cache get [B]: what a step works in, and buffers beside the framework."""
    engine = budget.engine
    if engine is None:
        return budget.reserve
    shared = engine.tensor_buffers if machine.switched else engine.shared_buffers
    beside = np.where(np.asarray(layout.stage) > 1, shared, engine.buffers)
    if engine.context:  # held before the engine looks, as are the buffers
        beside = (engine.context + beside) * memory_share(machine, layout, budget)
    return budget.reserve + beside + step_bytes(model, machine, layout, budget)


def doubted_bytes(model: ModelSpec, machine: Machine, layout: Parallelism, budget: MemoryBudget) -> Number:
    """Memory that earlier versions of an engine kept over this one [B]; 0 where its version is told."""
    engine = budget.engine
    if engine is None or not engine.earlier:
        return 0.0
    older = replace(budget, engine=before(engine, engine.earlier))
    kept = reserve_bytes(model, machine, layout, older) - reserve_bytes(model, machine, layout, budget)
    return np.maximum(kept, 0.0)


def step_bytes(model: ModelSpec, machine: Machine, layout: Parallelism, budget: MemoryBudget) -> Number:
    """What one full step works in [B]: its sampling, or the forward pass of its widest layer, whichever is more."""
    engine = budget.engine
    if engine is None or not engine.logit_bytes:
        return 0.0
    tokens = budget.tokens_of_step(machine)
    states = tokens * model.hidden_size * ACTIVATION_BYTES
    rows = np.minimum(budget.running(machine), tokens)
    widest: Number = 0.0
    copied = 0.0
    for _, layer in model.feedforward_layers():
        width = rank_parameters(layer.linears(model.hidden_size), layout.tp, 1) / model.hidden_size
        if routed := layer.routed(model.hidden_size):
            width = width + routed.per_token * routed.matrices * routed.inner / (layout.stage / layout.ep)
            copied = max(copied, float(routed.per_token))
        widest = np.maximum(widest, width)
    copies = engine.expert_copies * copied * states
    sampling = engine.logit_bytes * rows * model.vocab_size + engine.kept_states * states
    forward = tokens * widest * ACTIVATION_BYTES + engine.layer_states * states
    return np.maximum(sampling, forward) + copies


def held_bytes_per_sequence(
    model: ModelSpec, machine: Machine, layout: Parallelism, formats: Formats, context: Number, budget: MemoryBudget
) -> Number:
    """Memory that a running sequence of `context` [tokens] takes of a GPU's pool, as the engine holds it [B]."""
    engine, layers = budget.engine, model.attention_layers()
    exact = cache_bytes_per_sequence_per_gpu(model, layout, formats, context)
    if engine is None or engine.holding == "exact" or not any(map(_bounded, (layer for _, layer in layers))):
        return exact
    if engine.holding == "pages":
        each = 1 + np.asarray(budget.drafts) if budget.prompts_elsewhere else budget.tokens_of_step(machine)
        tokens = engine.steps_in_flight * each
        paged = paged_bytes(layers, formats.cache, layout.tp, context, tokens, 1 + budget.drafts)
        return exact if paged is None else np.maximum(paged / layout.pp, exact)
    return _in_pools(layers, layout, formats, context, engine, engine.states + verified_tokens(budget.drafts))


def verified_tokens(drafts: Number) -> Number:
    """Tokens of one sequence that a step of verification computes, each with a state of its own; 0 without drafts."""
    return np.where(np.asarray(drafts) > 0, drafts + 1, 0)


def _bounded(layer: Attention) -> bool:
    """Whether a layer holds a window or a state, beside which others go on growing."""
    return isinstance(layer, RecurrentAttention | SlidingWindowAttention | ChunkedAttention | CompressedAttention)


def _in_pools(
    layers: Sequence[tuple[int, Attention]],
    layout: Parallelism,
    formats: Formats,
    context: Number,
    engine: EngineMemory,
    kept: Number,
) -> Number:
    """Memory that a sequence of `kept` states takes where states and windows have pools of their own [B]."""
    cache, states, grown = formats.cache, 0.0 * layout.tp, 0.0 * layout.tp
    fuller: Number = 1.0  # a short sequence lies within its window, whose pool is the smaller one
    for count, layer in layers:
        if isinstance(layer, RecurrentAttention):
            states = states + count * layer.state_bytes(layout.tp)
        elif isinstance(layer, SlidingWindowAttention | ChunkedAttention):
            each = layer.token_bytes(cache, layout.tp) * layer.stores_cache
            grown = grown + count * engine.window_share * context * each
            within = layer.window if isinstance(layer, SlidingWindowAttention) else layer.chunk
            fuller = np.maximum(fuller, np.minimum(context, within) / context / engine.window_share)
        else:
            grown = grown + count * layer.cache_bytes(context, cache, layout.tp)
    grown = grown * fuller
    if not np.any(states):
        return grown / layout.pp
    share = engine.state_share
    return np.maximum(kept * states / share, grown / (1 - share)) / layout.pp


def max_sequences(pool: Number, each: Number, layout: Parallelism) -> Number:
    """Sequences of `each` [B] of a rank that a replica's pools [B] hold; 0 where not even the weights fit."""
    per_rank = np.floor(np.maximum(pool, 0.0) / np.maximum(each, 1e-300))
    return np.where(np.asarray(pool) > 0, per_rank * layout.attention_dp, 0)


# What a serving engine allocates for a cache: blocks, windows in flight, groups of layers, pages of a hybrid.
#
# What the arithmetic needs is told by the model's layers; these are the roundings on top of it. Source: vLLM 0.33.0,
# v1/core/kv_cache_utils.py and single_type_kv_cache_manager.py. Compressed attention: vLLM 0.27.1, the same files,
# v1/attention/backends/mla/sparse_swa.py and models/deepseek_v4 (attention.py, compressor.py).


BLOCK = 16
"""Tokens of an attention block."""
LATENT_BLOCK = 128
"""And of one that holds latents beside states."""
COMPRESSED_BLOCK = 256
"""Tokens of a block of compressed entries."""
BESIDE_BLOCK = 64
"""And of the window beside them."""
OVERLAPPING_BLOCK, PLAIN_BLOCK = 4, 8
"""And of a compressor's states: of two overlapping windows, or of one."""
ALIGNMENT = 576
"""Bytes that pages of fp8 entries are padded to a multiple of."""


def full_blocks(context: Number, block: Number) -> Number:
    """Blocks that full attention holds: `context` [tokens] over `block` [tokens], rounded up."""
    return np.ceil(context / block)


def window_blocks(context: Number, window: Number, block: Number, in_flight: Number = 1) -> Number:
    """Blocks that a sliding window holds at most: it rarely starts where a block does.

    context, window, block: [tokens]. in_flight: tokens of one sequence scheduled at once [tokens].
    """
    return np.minimum(np.ceil((window - 1 + in_flight) / block) + 1, full_blocks(context, block))


def chunk_blocks(context: Number, chunk: Number, block: Number, in_flight: Number = 1) -> Number:
    """Blocks that chunked attention holds at most; arguments as of `window_blocks`."""
    return np.minimum(np.ceil((chunk + in_flight) / block), full_blocks(context, block))


class LayerGroups(Record):
    """Layers of every kind in groups of equal size, which draw pages from one pool."""

    size: int  # layers per group
    groups: tuple[int, ...]  # groups of each kind
    padding: int  # layers that pages are allocated for, but that do not exist


def layer_groups(counts: Sequence[int]) -> LayerGroups:
    """Group layers as one page pool needs it: as many to a group as the rarest kind has.

    counts: layers of each kind of cache. The commonest kind sets the size where it has less than 1.5 times
    the rarest one's layers, so that nearly equal kinds are padded rather than cut.
    """
    least, most = min(counts), max(counts)
    size = most if most < 1.5 * least else least
    groups = tuple(-(-count // size) for count in counts)
    return LayerGroups(size, groups, sum(groups) * size - sum(counts))


def hybrid_block(state_bytes: Number, token_bytes: Number, alignment: Number = 16) -> Number:
    """Tokens of an attention block whose page is at least a recurrent layer's state [tokens].

    state_bytes: of one layer on one rank [B]. token_bytes: cache of one attention layer on one rank [B/token].
    alignment: of the attention kernel's blocks, 16; 128 with MLA [tokens].
    """
    return alignment * np.ceil(state_bytes / (alignment * token_bytes))


def paged_bytes(
    layers: Sequence[tuple[int, Attention]],
    cache: CacheFormat,
    ranks: Number,
    context: Number,
    in_flight: Number,
    states_kept: Number = 1,
) -> Number | None:
    """Bytes that a sequence of `context` [tokens] takes of a rank's pool of pages [B]; None where no rule is known.

    layers: counts and variants. in_flight: tokens of one sequence scheduled at once [tokens]. states_kept: one, and one
    for each draft. A page holds a state, or the tokens of a block of that layer which caches most for each; layers that
    cache less take longer blocks.
    """
    kinds = [(count, layer) for count, layer in layers if np.any(np.asarray(layer.cache_bytes(1, cache, 1)) > 0)]
    compressed = [(count, layer) for count, layer in kinds if isinstance(layer, CompressedAttention)]
    if any(layer.compress_ratio for _, layer in compressed) and len(compressed) == len(kinds):
        return compressed_bytes(compressed, cache, context, in_flight) + 0.0 * ranks
    tokens = {index: _token_bytes(layer, cache, ranks) for index, (_, layer) in enumerate(kinds)}
    states = [layer.state_bytes(ranks) for _, layer in kinds if isinstance(layer, RecurrentAttention)]
    growing = [each for each in tokens.values() if each is not None]
    if not growing or len(growing) + len(states) < len(kinds):
        return None
    largest = reduce(np.maximum, growing)
    block: Number = float(BLOCK)
    if states:
        latent = any(isinstance(layer, LatentAttention) for _, layer in kinds)
        block = hybrid_block(reduce(np.maximum, states), largest, LATENT_BLOCK if latent else BLOCK)
    page = block * largest
    made = layer_groups([count for count, _ in kinds])
    pages: Number = 0.0
    for index, (_, layer) in enumerate(kinds):
        each = tokens[index]
        held = states_kept if each is None else _blocks(layer, context, np.floor(page / each), in_flight)
        pages = pages + made.groups[index] * held
    return pages * page * made.size


def even_size(counts: Sequence[int]) -> int:
    """Layers to a group, at least the first kind's, that pad groups of every kind least; the most where several do."""
    return min(range(counts[0], max(counts) + 1), key=lambda size: (sum(-count % size for count in counts), -size))


def compressed_bytes(
    layers: Sequence[tuple[int, CompressedAttention]], cache: CacheFormat, context: Number, in_flight: Number
) -> Number:
    """Bytes that a sequence of `context` [tokens] takes of a rank's pool where all layers compress [B].

    Blocks of one size serve entries with their index keys, windows, and states of open windows, which engines hold as
    windows in fp32, for every token of a step. The largest group of layers sets the size.
    in_flight: tokens of one sequence scheduled at once [tokens].
    """

    def page(size: float) -> float:
        return -(-size // ALIGNMENT) * ALIGNMENT if cache.name.startswith("fp8") else size

    entries, windows = 0.0, 0.0
    states: dict[tuple[int, int], float] = {}  # bytes of the group, by tokens of a block and of a window
    counts: dict[tuple[int, int], int] = {}
    for count, layer in layers:
        windows = max(windows, page(BESIDE_BLOCK * layer.entry_bytes(cache)))
        if not layer.compress_ratio:
            continue
        rows = -(-COMPRESSED_BLOCK // layer.compress_ratio)
        entries += count * total(page(rows * each) for each in (layer.entry_bytes(cache), layer.key_bytes) if each)
        kind = (OVERLAPPING_BLOCK if layer.indexed else PLAIN_BLOCK, layer.series * layer.compress_ratio)
        held = total(page(kind[0] * each) for each in layer.state_row_bytes)
        states[kind] = states.get(kind, 0.0) + count * held
        counts[kind] = counts.get(kind, 0) + count
    every = sum(count for count, _ in layers)
    size = even_size([max(counts.values()), every, *counts.values()])
    groups = -(-every // size)
    block = max(entries, -(-every // groups) * windows, *states.values())
    beside = max(layer.window for _, layer in layers)
    blocks = full_blocks(context, COMPRESSED_BLOCK)
    blocks = blocks + groups * window_blocks(context, beside, BESIDE_BLOCK, in_flight)
    for tokens, window in states:
        blocks = blocks + window_blocks(context, window, tokens, in_flight)
    return blocks * block


def _token_bytes(layer: Attention, cache: CacheFormat, ranks: Number) -> Number | None:
    """Bytes of one cached token [B]; None of a layer with a state, or whose entries no rule is known of."""
    if isinstance(layer, GroupedAttention | LatentAttention):
        windowed = isinstance(layer, SlidingWindowAttention | ChunkedAttention)
        return layer.token_bytes(cache, ranks) if windowed else layer.growth_bytes(cache, ranks)
    return None


def _blocks(layer: Attention, context: Number, block: Number, in_flight: Number) -> Number:
    if isinstance(layer, SlidingWindowAttention):
        return window_blocks(context, layer.window, block, in_flight)
    if isinstance(layer, ChunkedAttention):
        return chunk_blocks(context, layer.chunk, block, in_flight)
    return full_blocks(context, block)
