"""Linear attention: gated delta net, Kimi delta attention (KDA) and lightning attention.

Sources: Yang et al. 2024 (gated delta networks, arXiv 2412.06464); Kimi Linear (arXiv 2510.26692); MiniMax-01
(arXiv 2501.08313). Parameters as in transformers 5.23.0: qwen3_next, kimi_linear, bailing_hybrid, minimax.
FLOPs per state element and token: decay 1, read-out of the old value 2, update 2, output 2; without the
delta rule's read-out 5. Chunked forms as in flash-linear-attention, dense within a chunk.
"""

from typing import Literal

from costcalc.arrays import Number
from costcalc.attention.base import heads_per_rank
from costcalc.attention.recurrent import RecurrentAttention
from costcalc.matrices import Linear
from costcalc.schema import Size

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
            Linear("o", values, hidden),
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
            Linear("o", width, hidden),
            Linear("beta", hidden, self.num_heads),
        ]
        for name, full in (("decay", self.full_rank_decay), ("gate", self.full_rank_gate)):
            if full:
                matrices.append(Linear(name, hidden, width))
            else:
                matrices.append(Linear(f"{name}_a", hidden, self.head_dim, "none"))
                matrices.append(Linear(f"{name}_b", self.head_dim, width))
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
        return (Linear("qkv", hidden, 3 * width), Linear("gate", hidden, width), Linear("o", width, hidden))

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
