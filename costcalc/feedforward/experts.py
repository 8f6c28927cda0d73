"""Mixture of experts: routed experts, shared experts, latent and zero-compute experts.

Sources: Shazeer et al. 2017 (arXiv 1701.06538); DeepSeekMoE (arXiv 2401.06066) for shared experts;
Nemotron-3 and Kimi K3 for experts behind a latent projection; LongCat for zero-compute experts.
"""

from typing import Annotated, Literal

import numpy as np

from costcalc.arrays import Number
from costcalc.feedforward.base import FeedForward, RoutedExperts
from costcalc.matrices import Linear
from costcalc.schema import Limits, OptionalSize, Size


class ExpertsFeedForward(FeedForward):
    """A router sends each token to `experts_per_token` of `num_experts`; shared experts see every token."""

    kind: Literal["experts"] = "experts"
    num_experts: Size
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
        matrices = [Linear("router", hidden, self.num_experts + self.zero_experts, "none")]
        width = self.shared_intermediate_size
        if width:
            names = ("shared gate_proj", "shared up", "shared down")[-self._matrices :]
            matrices += [Linear(name, hidden, width) for name in names]
        if self.shared_gate:
            matrices.append(Linear("shared gate", hidden, 1, "none"))
        if self.latent_size:
            matrices += [
                Linear("latent down", hidden, self.latent_size, "none"),
                Linear("latent up", self.latent_size, hidden, "none"),
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
        )

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


def experts_touched_skewed(chances: Number, tokens: Number) -> Number:
    """Expected distinct experts when expert i is among a token's k with chance `chances[..., i]`: Σ 1-(1-p)^n."""
    p = np.asarray(chances, dtype=float)
    return np.sum(1 - (1 - p) ** np.asarray(tokens)[..., None], axis=-1)
