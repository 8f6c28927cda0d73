"""Multi-head latent attention (MLA): all heads share one cached latent and one rope key.

Source: DeepSeek-V2 (arXiv 2405.04434), equations 9-19; absorbed form as in FlashMLA. Cache per token and
layer: r + d_r elements, where keys and values of all heads would take H(d_n + d_r + d_v).
"""

from typing import Literal

import numpy as np

from costcalc.fields import Number, OptionalSize, Size
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import TILE_ROWS, Attention, Core, Linear, full_pairs

MlaMode = Literal["absorbed", "expanded", "naive"]


class LatentAttention(Attention):
    """MLA. `mode` says how a runtime executes it.

    absorbed: scores against the latent itself (what engines run); expanded: a runtime that caches the
    keys and values of every head; naive: caches the latent and expands the whole context again each step.
    """

    kind: Literal["latent"] = "latent"
    num_attention_heads: Size
    q_lora_rank: Size | None = None
    kv_lora_rank: Size
    qk_nope_head_dim: Size
    qk_rope_head_dim: OptionalSize
    v_head_dim: Size
    output_gate: Literal["none", "elementwise", "head"] = "none"
    stores_cache: bool = True  # False: reads another layer's latent (Mistral Large 4's kv_source_layers)
    mode: MlaMode = "absorbed"

    @property
    def shard_unit(self) -> int:
        return self.num_attention_heads

    @property
    def qk_head_dim(self) -> int:
        """Width of one query and key head, d_n + d_r [elements]."""
        return self.qk_nope_head_dim + self.qk_rope_head_dim

    @property
    def latent_dim(self) -> int:
        """Elements cached per token: r + d_r."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        heads, rank, values = self.num_attention_heads, self.kv_lora_rank, self.v_head_dim
        queries = heads * self.qk_head_dim
        matrices = [Linear("q", hidden, queries)]
        if self.q_lora_rank:
            matrices = [
                Linear("q_a", hidden, self.q_lora_rank, "none"),
                Linear("q_b", self.q_lora_rank, queries, alone=True),
            ]
        if self.stores_cache:
            matrices.append(Linear("kv_a", hidden, self.latent_dim, "none"))
        matrices += [
            Linear("kv_b", rank, heads * (self.qk_nope_head_dim + values), alone=True),
            Linear("o", heads * values, hidden, alone=True),
        ]
        if self.output_gate != "none":
            matrices.append(Linear("gate", hidden, heads * (values if self.output_gate == "elementwise" else 1)))
        return tuple(matrices)

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        return (self.q_lora_rank or 0) + self.kv_lora_rank * self.stores_cache

    def token_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        """What one token caches on one rank [B]: the latent is not divided, expanded heads are."""
        if self.mode == "expanded":
            per_head = (self.qk_head_dim + self.v_head_dim) * cache.bytes + 2 * cache.head_scale
            return self.num_attention_heads * per_head / ranks
        return latent_bytes(self.kv_lora_rank, self.qk_rope_head_dim, cache) + 0.0 * ranks

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        return self.token_bytes(cache, ranks) * self.stores_cache

    @property
    def absorbed_width(self) -> int:
        """Multiply-adds of one absorbed score and its value, per head and pair: 2r + d_r."""
        return 2 * self.kv_lora_rank + self.qk_rope_head_dim

    @property
    def expansion_flops(self) -> int:
        """FLOPs that turn one token's latent back into the keys and values of all heads: 2·r·H(d_n + d_v)."""
        return 2 * self.kv_lora_rank * self.num_attention_heads * (self.qk_nope_head_dim + self.v_head_dim)

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Absorbed: 2·S·H(2r + d_r) FLOPs over S(r + d_r) elements, read once for all heads."""
        heads = self.num_attention_heads / ranks
        moved = context * self.token_bytes(cache, ranks)
        if self.mode == "absorbed":
            flops = 2 * context * heads * self.absorbed_width
            return (Core("latent", flops=flops, bytes=moved, tile_flops=flops, scores=context * heads, heads=heads),)
        per_head = 2 * context * (self.qk_head_dim + self.v_head_dim)
        flops, tiles = per_head * heads, per_head * heads * TILE_ROWS
        if self.mode == "naive":
            expansion = context * self.expansion_flops / ranks
            flops, tiles = flops + expansion, tiles + expansion
        return (Core("grouped", flops=flops, bytes=moved, tile_flops=tiles, scores=context * heads, heads=heads),)

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """The cheaper of expanded (a cached prefix is expanded again) and absorbed.

        And never more than to attend from the prefix, too: a short one is expanded along with the new tokens, in the
        projection that reads its weights anyway, so that what is cached is never dearer than what is not.
        """
        heads = self.num_attention_heads / ranks
        pairs = full_pairs(tokens + cached) - full_pairs(cached)
        per_pair = 2 * heads * (self.qk_head_dim + self.v_head_dim)
        expanded = per_pair * pairs + cached * self.expansion_flops / ranks
        flops = np.minimum(expanded, 2 * heads * self.absorbed_width * pairs)
        flops = np.minimum(flops, per_pair * full_pairs(tokens + cached))
        moved = (tokens + cached) * self.token_bytes(cache, ranks)
        return (Core("grouped", flops=flops, bytes=moved, tile_flops=flops, scores=heads * pairs, heads=heads),)

    def describe(self) -> str:
        return f"MLA {self.mode}"


def latent_bytes(rank: int, rope: int, cache: CacheFormat) -> float:
    """Bytes of one latent of `rank` and `rope` elements in a cache format [B].

    fp8_ds_mla: 512 fp8 + an fp32 scale per 128 + 64 bf16 = 656 (FlashMLA); nvfp4_ds_mla: 352 (vLLM).
    """
    if cache.latent == "fp8_ds_mla":
        return rank + 4 * rank / 128 + 2 * rope
    if cache.latent == "nvfp4_ds_mla":
        return rank / 2 + rank / 16 + rope
    return (rank + rope) * cache.bytes
