"""What a serving engine allocates for a cache: blocks, windows in flight, groups of layers, pages of a hybrid.

Everything else in costcalc counts what the arithmetic needs; these are the roundings on top of it. Source:
vLLM 0.33.0, v1/core/kv_cache_utils.py and single_type_kv_cache_manager.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from costcalc.arrays import Number


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
