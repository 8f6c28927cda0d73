"""State-space layers and gated short convolutions: Mamba-1, Mamba-2, gated memory units, LFM2.

Sources: Gu and Dao 2023 (Mamba, arXiv 2312.00752); Dao and Gu 2024 (Mamba-2, arXiv 2405.21060); Ren et al.
2025 (SambaY, arXiv 2507.06607). Parameters as in transformers 5.23.0: jamba, nemotron_h, falcon_h1.
"""

from typing import Literal

from costcalc.fields import Number, Size
from costcalc.formats import CacheFormat
from costcalc.model.attention.base import Attention, Core, Linear, heads_per_rank
from costcalc.model.attention.linear import RecurrentAttention

SCAN_FLOPS = 7
"""Mamba-1 per state element and token: discretize 2 (an exponential counted as 1), update 3, output 2."""
SSD_FLOPS = 5
"""Mamba-2 per state element and token: decay 1, update 2, output 2."""


class Mamba1Attention(RecurrentAttention):
    """Mamba-1: `state_size` values per inner channel, their own decay each (Jamba)."""

    kind: Literal["mamba1"] = "mamba1"
    inner_size: Size  # expand x hidden size
    state_size: Size
    dt_rank: Size
    norms: bool = False  # on dt, B and C (Jamba)

    @property
    def shard_unit(self) -> int:
        return self.inner_size

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        inner = self.inner_size
        return (
            Linear("in", hidden, 2 * inner),
            Linear("dt, B and C", inner, self.dt_rank + 2 * self.state_size, alone=True),
            Linear("dt", self.dt_rank, inner, alone=True),
            Linear("out", inner, hidden, alone=True),
        )

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        inner, state = self.inner_size, self.state_size
        convolution = inner * (self.conv_kernel + 1)
        norms = self.dt_rank + 2 * state if self.norms else 0
        return convolution + inner + inner * state + inner + norms  # and dt's bias, A, D

    def recurrent_elements(self, ranks: Number = 1) -> Number:
        return heads_per_rank(self.inner_size, ranks) * self.state_size

    def conv_channels(self, ranks: Number = 1) -> Number:
        return heads_per_rank(self.inner_size, ranks)

    @property
    def decode_flops(self) -> float:
        return SCAN_FLOPS * self.inner_size * self.state_size

    def prefill_flops(self, ranks: Number = 1) -> Number:
        """7·di·N: a scan over tokens, which no matrix unit helps."""
        return SCAN_FLOPS * self.inner_size * self.state_size / ranks

    def describe(self) -> str:
        return "Mamba-1"


class Mamba2Attention(RecurrentAttention):
    """Mamba-2: a P x N state per head, one decay per head; B and C are shared by the heads of a group."""

    kind: Literal["mamba2"] = "mamba2"
    num_heads: Size
    head_dim: Size
    state_size: Size
    n_groups: Size = 1
    gated_norm: bool = True  # a norm over the inner width before the output (Falcon-H1: none)
    chunk_size: Size = 128  # tokens per chunk in prefill

    def __post_init__(self) -> None:
        if self.num_heads % self.n_groups:
            raise ValueError(f"num_heads ({self.num_heads}) must be a multiple of n_groups ({self.n_groups})")

    @property
    def inner_size(self) -> int:
        """Inner width, heads x head dim [elements]."""
        return self.num_heads * self.head_dim

    @property
    def kv_heads(self) -> int:
        # B and C replicate like KV heads once there are more ranks than groups.
        return self.n_groups

    @property
    def shard_unit(self) -> int:
        return self.num_heads

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        return (
            Linear("x and gate", hidden, 2 * self.inner_size),
            Linear("B and C", hidden, 2 * self.n_groups * self.state_size, "kv"),
            Linear("dt", hidden, self.num_heads),
            Linear("out", self.inner_size, hidden, alone=True),
        )

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        convolution = (self.inner_size + 2 * self.n_groups * self.state_size) * (self.conv_kernel + 1)
        norm = self.inner_size if self.gated_norm else 0
        return convolution + 3 * self.num_heads + norm  # and dt's bias, A, D

    def recurrent_elements(self, ranks: Number = 1) -> Number:
        return heads_per_rank(self.num_heads, ranks) * self.head_dim * self.state_size

    def conv_channels(self, ranks: Number = 1) -> Number:
        groups = heads_per_rank(self.n_groups, ranks)
        return heads_per_rank(self.num_heads, ranks) * self.head_dim + 2 * groups * self.state_size

    @property
    def decode_flops(self) -> float:
        return SSD_FLOPS * self.inner_size * self.state_size

    def prefill_flops(self, ranks: Number = 1) -> Number:
        """G·2·Q·N + H(2·Q·P + 4·P·N): scores per group, their product with x, and the states between chunks."""
        chunk, state = self.chunk_size, self.state_size
        scores = heads_per_rank(self.n_groups, ranks) * 2 * chunk * state
        return scores + self.num_heads / ranks * self.head_dim * (2 * chunk + 4 * state)

    def describe(self) -> str:
        return "Mamba-2"


class GatedMemoryUnit(Attention):
    """Gates the output of an earlier Mamba layer for the same token: two matrices, no state of its own."""

    kind: Literal["gated_memory"] = "gated_memory"
    inner_size: Size

    @property
    def shard_unit(self) -> int:
        return self.inner_size

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        return (Linear("in", hidden, self.inner_size), Linear("out", self.inner_size, hidden, alone=True))

    def growth_bytes(self, cache: CacheFormat, ranks: Number = 1) -> Number:
        del cache
        return 0.0 * ranks

    def decode_cores(self, context: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        return ()

    def prefill_cores(self, tokens: Number, cached: Number, cache: CacheFormat, ranks: Number = 1) -> tuple[Core, ...]:
        return ()

    def describe(self) -> str:
        return "Gated memory unit"


# Gated short convolution: a few taps over the last tokens instead of attention (LFM2).
#
# Source: transformers 5.23.0, models/lfm2/modeling_lfm2.py (Lfm2ShortConv): d x 3d in, a depthwise convolution
# of `conv_kernel` taps between two gates, d x d out.


class ShortConvAttention(RecurrentAttention):
    """A gated depthwise convolution; a sequence holds its last `conv_kernel - 1` inputs."""

    kind: Literal["short_conv"] = "short_conv"
    channels: Size  # the hidden size
    conv_kernel: Size = 3

    @property
    def shard_unit(self) -> int:
        return self.channels

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        return (Linear("in", hidden, 3 * self.channels), Linear("out", self.channels, hidden, alone=True))

    def extra_parameters(self, hidden: int) -> float:
        del hidden
        return self.channels * self.conv_kernel

    def recurrent_elements(self, ranks: Number = 1) -> Number:
        return 0.0 * ranks

    def conv_channels(self, ranks: Number = 1) -> Number:
        return heads_per_rank(self.channels, ranks)

    @property
    def decode_flops(self) -> float:
        return 2 * self.conv_kernel * self.channels

    def prefill_flops(self, ranks: Number = 1) -> Number:
        return 2 * self.conv_kernel * self.channels / ranks

    def describe(self) -> str:
        return f"Short conv {self.conv_kernel}"
