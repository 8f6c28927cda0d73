"""Gated short convolution: a few taps over the last tokens instead of attention (LFM2).

Source: transformers 5.23.0, models/lfm2/modeling_lfm2.py (Lfm2ShortConv): d x 3d in, a depthwise convolution
of `conv_kernel` taps between two gates, d x d out.
"""

from typing import Literal

from costcalc.arrays import Number
from costcalc.attention.base import heads_per_rank
from costcalc.attention.recurrent import RecurrentAttention
from costcalc.matrices import Linear
from costcalc.schema import Size


class ShortConvAttention(RecurrentAttention):
    """A gated depthwise convolution; a sequence holds its last `conv_kernel - 1` inputs."""

    kind: Literal["short_conv"] = "short_conv"
    channels: Size  # the hidden size
    conv_kernel: Size = 3

    @property
    def shard_unit(self) -> int:
        return self.channels

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        return (Linear("in", hidden, 3 * self.channels), Linear("out", self.channels, hidden))

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
