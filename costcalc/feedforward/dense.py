"""Dense feed-forward layers: gated (SwiGLU, three matrices) or plain (two).

Source: Shazeer 2020, "GLU variants improve transformer" (arXiv 2002.05202).
"""

from typing import Literal

from costcalc.feedforward.base import FeedForward, RoutedExperts
from costcalc.matrices import Linear
from costcalc.schema import Size


class DenseFeedForward(FeedForward):
    """`intermediate_size` wide; every token multiplies every weight."""

    kind: Literal["dense"] = "dense"
    intermediate_size: Size
    gated: bool = True
    bias: bool = False

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        width = self.intermediate_size
        up = [Linear("up", hidden, width), Linear("down", width, hidden)]
        return tuple([Linear("gate", hidden, width), *up] if self.gated else up)

    def extra_parameters(self, hidden: int) -> float:
        return (self.intermediate_size * (2 if self.gated else 1) + hidden) if self.bias else 0

    def routed(self, hidden: int) -> RoutedExperts | None:
        del hidden
        return None

    def describe(self) -> str:
        return f"dense {self.intermediate_size}"
