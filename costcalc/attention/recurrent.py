"""What layers with a state instead of a cache share: gated delta rules, lightning attention, state spaces.

A sequence holds one state of constant size. A decode step reads it whole and writes it whole, whatever the
context and the batch, so the arithmetic intensity is fixed and low: always bound by memory. The recurrent
part is kept in `state_dtype`, the last `conv_kernel - 1` inputs of the short convolution in 16 bits.
"""

from typing import Annotated, Literal

from costcalc.arrays import Number
from costcalc.attention.base import Attention, Core
from costcalc.formats import CacheFormat
from costcalc.schema import Limits

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
