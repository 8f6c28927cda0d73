"""What a serving engine allocates for a cache: blocks, windows in flight, groups of layers, pages of a hybrid.

What the arithmetic needs is told by the model's layers; these are the roundings on top of it. Source: vLLM 0.33.0,
v1/core/kv_cache_utils.py and single_type_kv_cache_manager.py. Compressed attention: vLLM 0.27.1, the same files,
v1/attention/backends/mla/sparse_swa.py and models/deepseek_v4 (attention.py, compressor.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from costcalc.fields import Number
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import Attention
from costcalc.model.attention.compressed import CompressedAttention
from costcalc.model.attention.gqa import ChunkedAttention, GroupedAttention, SlidingWindowAttention
from costcalc.model.attention.linear import RecurrentAttention
from costcalc.model.attention.mla import LatentAttention

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


@dataclass(frozen=True, slots=True)
class LayerGroups:
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


def hybrid_padding(state_bytes: Number, token_bytes: Number, alignment: Number = 16) -> Number:
    """Share by which a state's page exceeds the state; arguments as of `hybrid_block`."""
    return hybrid_block(state_bytes, token_bytes, alignment) * token_bytes / state_bytes - 1


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
        entries += count * sum(page(rows * each) for each in (layer.entry_bytes(cache), layer.key_bytes) if each)
        kind = (OVERLAPPING_BLOCK if layer.indexed else PLAIN_BLOCK, layer.series * layer.compress_ratio)
        held = sum(page(kind[0] * each) for each in layer.state_row_bytes)
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
