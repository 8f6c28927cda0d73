"""Feed-forward layers: dense, and mixtures of experts with the experts that a batch touches."""

from typing import Annotated, Literal

import numpy as np

from costcalc.fields import ByKind, Limits, Number, OptionalSize, Record, Size, Spec
from costcalc.model.attention.base import Linear

MOST_EXPERTS = 4096
"""Routed experts of a layer: eight times those of any published model."""


class RoutedExperts(Record):
    """The routed part of a mixture of experts."""

    experts: int  # E
    per_token: float  # k: experts that a token multiplies (zero-compute experts left out)
    parameters: float  # of one expert
    width: int  # elements of a token sent to an expert: hidden size, or the latent size
    inner: int  # columns of one expert: its own width
    matrices: int  # 3 where it is gated, else 2


class FeedForward(Spec):
    """Base of the feed-forward variants."""

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        """Weight matrices that every token multiplies: dense, shared experts, router, latent projections."""
        raise TypeError(f"{type(self).__name__} defines no matrices")

    def extra_parameters(self, hidden: int) -> float:
        """Biases and other vectors of the layer [parameters]."""
        del hidden
        return 0

    def routed(self, hidden: int) -> RoutedExperts | None:
        """The routed experts, or None for a dense layer."""
        raise TypeError(f"{type(self).__name__} defines no experts")

    def parameters(self, hidden: int) -> float:
        """All parameters of the layer [parameters]."""
        routed = self.routed(hidden)
        always = sum(m.parameters for m in self.linears(hidden)) + self.extra_parameters(hidden)
        return always + (routed.experts * routed.parameters if routed else 0)

    def active_parameters(self, hidden: int) -> float:
        """Matrix elements that one token multiplies [parameters]."""
        routed = self.routed(hidden)
        always = sum(m.parameters for m in self.linears(hidden))
        return always + (routed.per_token * routed.parameters if routed else 0)

    @property
    def cut_width(self) -> int:
        """Inner width that tensor parallelism cuts, routed experts apart; 0 without any [elements]."""
        raise TypeError(f"{type(self).__name__} has no width")

    @property
    def always(self) -> str:
        """What every token multiplies, as tables of ops call it."""
        return "dense FFN"

    def describe(self) -> str:
        """Short name of the variant, for tables."""
        raise TypeError(f"{type(self).__name__} has no description")


# Dense feed-forward layers: gated (SwiGLU, three matrices) or plain (two).
#
# Source: Shazeer 2020, "GLU variants improve transformer" (arXiv 2002.05202).


class DenseFeedForward(FeedForward):
    """`intermediate_size` wide; every token multiplies every weight."""

    kind: Literal["dense"] = "dense"
    intermediate_size: Size
    gated: bool = True
    bias: bool = False

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        width = self.intermediate_size
        up = [Linear("up", hidden, width), Linear("down", width, hidden, alone=True)]
        return tuple([Linear("gate", hidden, width), *up] if self.gated else up)

    def extra_parameters(self, hidden: int) -> float:
        return (self.intermediate_size * (2 if self.gated else 1) + hidden) if self.bias else 0

    def routed(self, hidden: int) -> RoutedExperts | None:
        del hidden
        return None

    @property
    def cut_width(self) -> int:
        return self.intermediate_size

    def describe(self) -> str:
        return f"dense {self.intermediate_size}"


# Mixture of experts: routed experts, shared experts, latent and zero-compute experts.
#
# Sources: Shazeer et al. 2017 (arXiv 1701.06538); DeepSeekMoE (arXiv 2401.06066) for shared experts;
# Nemotron-3 and Kimi K3 for experts behind a latent projection; LongCat for zero-compute experts.


class ExpertsFeedForward(FeedForward):
    """A router sends each token to `experts_per_token` of `num_experts`; shared experts see every token."""

    kind: Literal["experts"] = "experts"
    num_experts: Annotated[int, Limits(gt=0, le=MOST_EXPERTS, strict=True)]
    experts_per_token: Size
    moe_intermediate_size: Size
    shared_intermediate_size: OptionalSize = 0  # width of all shared experts together
    gated: bool = True
    shared_gate: bool = False  # a scalar gate on the shared expert (Qwen)
    expert_bias: bool = False  # biases on experts and router (gpt-oss)
    latent_size: OptionalSize = 0  # experts work on a projection of the token; 0: on the token itself
    latent_norm: bool = False
    zero_experts: OptionalSize = 0  # identity experts in the router's table: no weights, no work
    expected_experts_per_token: Annotated[float, Limits(gt=0)] | None = None  # with zero experts: those that compute
    router_bias: bool = False

    def __post_init__(self) -> None:
        if self.experts_per_token > self.num_experts:
            raise ValueError(f"experts_per_token ({self.experts_per_token}) exceeds num_experts ({self.num_experts})")

    @property
    def _matrices(self) -> int:
        return 3 if self.gated else 2

    def linears(self, hidden: int) -> tuple[Linear, ...]:
        matrices = [Linear("router", hidden, self.num_experts + self.zero_experts, "none", alone=True)]
        width = self.shared_intermediate_size
        if width:
            names = ("shared gate_proj", "shared up", "shared down")[-self._matrices :]
            matrices += [Linear(name, hidden, width, alone=name in (names[0], names[-1])) for name in names]
        if self.shared_gate:
            matrices.append(Linear("shared gate", hidden, 1, "none"))
        if self.latent_size:
            matrices += [
                Linear("latent down", hidden, self.latent_size, "none", alone=True),
                Linear("latent up", self.latent_size, hidden, "none", alone=True),
            ]
        return tuple(matrices)

    def extra_parameters(self, hidden: int) -> float:
        extra: float = self.latent_size if self.latent_norm else 0
        if self.router_bias:
            extra += self.num_experts
        if self.expert_bias:
            ups = 2 if self.gated else 1
            extra += self.num_experts * (ups * self.moe_intermediate_size + hidden) + self.num_experts
        return extra

    def routed(self, hidden: int) -> RoutedExperts:
        width = self.latent_size or hidden
        return RoutedExperts(
            experts=self.num_experts,
            per_token=self.expected_experts_per_token or self.experts_per_token,
            parameters=self._matrices * width * self.moe_intermediate_size,
            width=width,
            inner=self.moe_intermediate_size,
            matrices=self._matrices,
        )

    @property
    def cut_width(self) -> int:
        return self.shared_intermediate_size

    @property
    def always(self) -> str:
        return "shared experts" if self.shared_intermediate_size else "router"

    def describe(self) -> str:
        shared = " + shared" if self.shared_intermediate_size else ""
        return f"{self.experts_per_token} of {self.num_experts} experts{shared}"


def experts_touched(experts: Number, per_token: Number, tokens: Number) -> Number:
    """Expected number of distinct experts that `tokens` [tokens] reach under balanced routing.

    E(1 - (1 - k/E)^n): each token draws k of E experts without replacement, tokens are independent.
    """
    # log1p keeps the digits where k/E is tiny; k = E touches all.
    miss = np.exp(tokens * np.log1p(-np.minimum(per_token / experts, 1 - 1e-16)))
    return experts * (1 - miss)


# Feed-forward variants, one file each: shape and arithmetic side by side.


AnyFeedForward = Annotated[DenseFeedForward | ExpertsFeedForward, ByKind()]
