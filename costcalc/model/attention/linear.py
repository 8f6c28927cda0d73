"""Layers with a state instead of a cache: gated delta net, Kimi delta attention, lightning attention.

A sequence holds one state of constant size. A decode step reads it whole and writes it whole, whatever the
context and the batch, so the arithmetic intensity is fixed and low: always bound by memory. The recurrent
part is kept in `state_dtype`, the last `conv_kernel - 1` inputs of the short convolution in 16 bits.
"""

from typing import Annotated, Literal

from costcalc.fields import Limits, Number, Size
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import Attention, Core, Linear, heads_per_rank

StateDtype = Literal["fp32", "bf16"]
STATE_BYTES = {"fp32": 4, "bf16": 2}
CONV_BYTES = 2
"""The convolution's columns are kept in the model's 16-bit type (vLLM, SGLang)."""


class RecurrentAttention(Attention):
    """Base of the layers whose memory of a sequence does not grow."""

    conv_kernel: Annotated[int, Limits(ge=1, le=1024, strict=True)] = 4
    state_dtype: StateDtype = "fp32"

    def recurrent_elements(self, ranks: Number = 1) -> Number:
        """Elements of the recurrent state of one sequence on one rank."""
        raise TypeError(f"{type(self).__name__} defines no state")

    def conv_channels(self, ranks: Number = 1) -> Number:
        """Channels of the short convolution on one rank."""
        raise TypeError(f"{type(self).__name__} defines no convolution")

    @property
    def decode_flops(self) -> float:
        """FLOPs that update and read the state for one token, on all ranks together [FLOP]."""
        raise TypeError(f"{type(self).__name__} defines no update")

    def prefill_flops(self, ranks: Number = 1) -> Number:
        """FLOPs per token of the chunked form that prefill runs, on one rank [FLOP/token]."""
        raise TypeError(f"{type(self).__name__} defines no chunked form")

    def state_bytes(self, ranks: Number = 1) -> Number:
        """State of one sequence on one rank [B]: recurrent part and convolution."""
        columns = self.conv_channels(ranks) * (self.conv_kernel - 1)
        return self.recurrent_elements(ranks) * STATE_BYTES[self.state_dtype] + columns * CONV_BYTES

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        del cache
        return 0.0 * ranks

    def cache_bytes(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> Number:
        """The state of one sequence, whatever the context [B]."""
        del cache
        return self.state_bytes(ranks) + 0.0 * context

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Read and write the whole state."""
        del cache
        none = 0.0 * context
        flops = self.decode_flops / ranks + none
        return (Core("recurrent", flops, 2 * self.state_bytes(ranks) + none, flops, 0.0 * flops),)

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        """Chunked matrix products, linear in the tokens; the state is read and written once per pass."""
        del cache
        flops = tokens * self.prefill_flops(ranks) + 0.0 * cached
        return (Core("recurrent", flops, 2 * self.state_bytes(ranks) + 0.0 * flops, flops, 0.0 * flops),)


# Linear attention: gated delta net, Kimi delta attention (KDA) and lightning attention.
#
# Sources: Yang et al. 2024 (gated delta networks, arXiv 2412.06464); Kimi Linear (arXiv 2510.26692); MiniMax-01
# (arXiv 2501.08313). Parameters as in transformers 5.23.0: qwen3_next, kimi_linear, bailing_hybrid, minimax.
# FLOPs per state element and token: decay 1, read-out of the old value 2, update 2, output 2; without the
# delta rule's read-out 5. Chunked forms as in flash-linear-attention, dense within a chunk.


DELTA_FLOPS = 7
PLAIN_FLOPS = 5
DELTA_CHUNK = 64
LIGHTNING_CHUNK = 256


def delta_prefill_flops(heads: Number, key_dim: Number, value_dim: Number, chunk: Number = DELTA_CHUNK) -> Number:
    """FLOPs per token of the chunked delta rule [FLOP/token]: H(6·dk·dv + Q(6·dk + 4·dv)).

    heads: value heads [1]. key_dim, value_dim: head widths [elements]. chunk: tokens per chunk [tokens]; the
    triangular solve is counted with 2·Q(dk + dv), halves under the diagonal are not saved.
    """
    return heads * (6 * key_dim * value_dim + chunk * (6 * key_dim + 4 * value_dim))


class GatedDeltaNetAttention(RecurrentAttention):
    """Gated delta net: a dk x dv state per value head, one decay per head (Qwen3-Next, Qwen3.5)."""

    kind: Literal["gated_deltanet"] = "gated_deltanet"
    num_key_heads: Size
    num_value_heads: Size
    key_head_dim: Size
    value_head_dim: Size

    def __post_init__(self) -> None:
        if self.num_value_heads % self.num_key_heads:
            raise ValueError(
                f"num_value_heads ({self.num_value_heads}) must be a multiple of num_key_heads ({self.num_key_heads})"
            )

    @property
    def shard_unit(self) -> int:
        return self.num_key_heads

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        keys, values = self.num_key_heads * self.key_head_dim, self.num_value_heads * self.value_head_dim
        return (
            Linear("qk", hidden, 2 * keys),
            Linear("v", hidden, values),
            Linear("gate", hidden, values),
            Linear("decay and beta", hidden, 2 * self.num_value_heads),
            Linear("o", values, hidden, alone=True),
        )

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        conv = 2 * self.num_key_heads * self.key_head_dim + self.num_value_heads * self.value_head_dim
        return self.conv_kernel * conv + 2 * self.num_value_heads + self.value_head_dim

    def recurrent_elements(self, ranks: Number = 1) -> Number:
        return heads_per_rank(self.num_value_heads, ranks) * self.key_head_dim * self.value_head_dim

    def conv_channels(self, ranks: Number = 1) -> Number:
        keys = 2 * heads_per_rank(self.num_key_heads, ranks) * self.key_head_dim
        return keys + heads_per_rank(self.num_value_heads, ranks) * self.value_head_dim

    @property
    def decode_flops(self) -> float:
        return DELTA_FLOPS * self.num_value_heads * self.key_head_dim * self.value_head_dim

    def prefill_flops(self, ranks: Number = 1) -> Number:
        return delta_prefill_flops(self.num_value_heads / ranks, self.key_head_dim, self.value_head_dim)

    def describe(self) -> str:
        return "Gated DeltaNet"


class KimiDeltaAttention(RecurrentAttention):
    """KDA: a delta rule whose decay has its own value per channel; a D x D state per head."""

    kind: Literal["kda"] = "kda"
    num_heads: Size
    head_dim: Size
    full_rank_gate: bool = False  # output gate d x HD instead of through D (Kimi K3, Ling 3)
    full_rank_decay: bool = False  # decay d x HD instead of through D (Ling 3)

    @property
    def shard_unit(self) -> int:
        return self.num_heads

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        width = self.num_heads * self.head_dim
        matrices = [
            Linear("qkv", hidden, 3 * width),
            Linear("o", width, hidden, alone=True),
            Linear("beta", hidden, self.num_heads),
        ]
        for name, full in (("decay", self.full_rank_decay), ("gate", self.full_rank_gate)):
            if full:
                matrices.append(Linear(name, hidden, width))
            else:
                matrices.append(Linear(f"{name}_a", hidden, self.head_dim, "none"))
                matrices.append(Linear(f"{name}_b", self.head_dim, width, alone=True))
        return tuple(matrices)

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        width = self.num_heads * self.head_dim
        # Convolutions over q, k and v; bias and rate of the decay; the output norm.
        return self.conv_kernel * 3 * width + width + self.num_heads + self.head_dim

    def recurrent_elements(self, ranks: Number = 1) -> Number:
        return heads_per_rank(self.num_heads, ranks) * self.head_dim**2

    def conv_channels(self, ranks: Number = 1) -> Number:
        return 3 * heads_per_rank(self.num_heads, ranks) * self.head_dim

    @property
    def decode_flops(self) -> float:
        return DELTA_FLOPS * self.num_heads * self.head_dim**2

    def prefill_flops(self, ranks: Number = 1) -> Number:
        return delta_prefill_flops(self.num_heads / ranks, self.head_dim, self.head_dim)

    def describe(self) -> str:
        return "KDA"


class LightningAttention(RecurrentAttention):
    """Lightning attention: linear attention with a fixed decay per head and no convolution (MiniMax-01)."""

    kind: Literal["lightning"] = "lightning"
    conv_kernel: Literal[1] = 1
    num_heads: Size
    head_dim: Size

    @property
    def shard_unit(self) -> int:
        return self.num_heads

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        width = self.num_heads * self.head_dim
        return (Linear("qkv", hidden, 3 * width), Linear("gate", hidden, width), Linear("o", width, hidden, alone=True))

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        return self.num_heads * self.head_dim

    def recurrent_elements(self, ranks: Number = 1) -> Number:
        return heads_per_rank(self.num_heads, ranks) * self.head_dim**2

    def conv_channels(self, ranks: Number = 1) -> Number:
        return 0.0 * ranks

    @property
    def decode_flops(self) -> float:
        return PLAIN_FLOPS * self.num_heads * self.head_dim**2

    def prefill_flops(self, ranks: Number = 1) -> Number:
        """H(4·Q·D + 4·D²): dense products within a chunk, the state's update and read-out."""
        return self.num_heads / ranks * (4 * LIGHTNING_CHUNK * self.head_dim + 4 * self.head_dim**2)

    def describe(self) -> str:
        return "Lightning attention"
