"""Does it fit, and how many sequences: weights by layout, the pool left for the cache."""

from __future__ import annotations

import numpy as np

from costcalc.engine.ops import rank_parameters
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import Formats
from costcalc.engine.roofline import Machine
from costcalc.fields import Number, Record
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import Attention
from costcalc.model.spec import ModelSpec


class MemoryBudget(Record):
    """How much of a GPU's memory an engine gives to weights and cache."""

    utilization: Number = 0.9  # of what the driver reports
    reserve: float = 1.5e9  # [B] activations, graphs and workspace
    of_free: bool = False  # the cache takes that share of what weights and reserve leave, instead of the whole
    reserved_output: Number = 1.0  # of the answers of running requests, in the cache that is kept for them
    prediction: Number = 0.0  # layers that draft tokens, over the model's: they have weights and a cache of their own


def weights_bytes_per_gpu(model: ModelSpec, layout: Parallelism, formats: Formats) -> Number:
    """Weights on the fullest GPU [B]: experts over the stage, matrices over tensor ranks, layers over stages.

    Norms and biases (kept in 16 bits) and the router stay whole on every rank; embeddings and the LM head
    are cut over the vocabulary, encoders of images over tensor ranks.
    """
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
            share = slots * routed.parameters / layout.stage
            routed_bytes = routed_bytes + count * share * formats.experts.bytes
    # The first stage looks tokens up, the last one multiplies the head; alone, a stage may share a tied table.
    embedding = model.embedding_parameters * formats.embedding.bytes + model.tower_parameters * 2
    head = 0.0 if model.tied_embeddings else model.head_parameters * formats.head.bytes
    tables = np.where(np.asarray(layout.pp) > 1, embedding, embedding + head)
    layers = projections * formats.projections.weights.bytes + ffn * formats.ffn.weights.bytes + routed_bytes
    return (layers + vectors * 2) / layout.pp + tables / t


def cache_bytes_per_token(model: ModelSpec, formats: Formats) -> float:
    """What each further token of context adds to the cache, all layers, one copy [B/token]."""
    return float(sum(n * a.growth_bytes(formats.cache, 1) for n, a in model.attention_layers()))


def cache_bytes_per_token_per_gpu(model: ModelSpec, layout: Parallelism, formats: Formats) -> Number:
    """What each further token adds on one GPU that holds the sequence [B/token]."""
    grown = sum((n * a.growth_bytes(formats.cache, layout.tp) for n, a in model.attention_layers()), start=0.0)
    return grown / layout.pp


def cache_bytes_per_sequence(model: ModelSpec, formats: Formats, context: Number) -> Number:
    """Cache of one sequence of `context` [tokens], all layers, one copy [B]."""
    return sum((n * a.cache_bytes(context, formats.cache, 1) for n, a in model.attention_layers()), start=0.0)


def cache_bytes_per_sequence_per_gpu(
    model: ModelSpec, layout: Parallelism, formats: Formats, context: Number
) -> Number:
    """Cache of one sequence of `context` [tokens] on one GPU that holds it [B]."""
    held: Number = 0.0
    for count, attention in model.attention_layers():
        held = held + count * attention.cache_bytes(context, formats.cache, layout.tp)
    return held / layout.pp


def fixed_cache_bytes_per_sequence(model: ModelSpec, cache: CacheFormat) -> float:
    """What a sequence holds in all layers besides what grows with its context: full windows and states [B]."""
    long = 2.0**24  # [tokens] a multiple of every window and ratio
    held = sum(
        count * (layer.cache_bytes(long, cache) - long * layer.growth_bytes(cache))
        for count, layer in model.attention_layers()
    )
    return float(max(held, 0.0))


def cache_bytes_read(model: ModelSpec, formats: Formats, context: Number) -> Number:
    """Cache that one sequence reads and writes in a decode step, one copy [B]."""
    return sum((n * layer_cache_bytes_read(a, formats, context) for n, a in model.attention_layers()), start=0.0)


def layer_cache_bytes_read(attention: Attention, formats: Formats, context: Number) -> Number:
    """Cache that one sequence reads and writes in one layer and decode step, one copy [B]."""
    return sum((core.bytes for core in attention.decode_cores(context, formats.cache, 1)), start=0.0)


def kv_pool_bytes_per_gpu(
    model: ModelSpec, machine: Machine, layout: Parallelism, formats: Formats, budget: MemoryBudget
) -> Number:
    """Memory left for the cache of the model's layers on the fullest GPU [B]; negative where the weights do not fit."""
    layers = 1 + budget.prediction
    weights = weights_bytes_per_gpu(model, layout, formats) * layers
    if budget.of_free:
        free = machine.memory - budget.reserve - weights
        return np.where(free > 0, free * budget.utilization, free) / layers
    return (machine.memory * budget.utilization - budget.reserve - weights) / layers


def max_sequences(model: ModelSpec, layout: Parallelism, formats: Formats, pool: Number, context: Number) -> Number:
    """Sequences of `context` [tokens] that a replica's pools hold; 0 where not even the weights fit."""
    per_sequence = cache_bytes_per_sequence_per_gpu(model, layout, formats, context)
    per_rank = np.floor(np.maximum(pool, 0.0) / np.maximum(per_sequence, 1e-300))
    return np.where(np.asarray(pool) > 0, per_rank * layout.attention_dp, 0)
