"""What every feed-forward variant answers. All numbers are of one layer."""

from dataclasses import dataclass

from costcalc.matrices import Linear
from costcalc.schema import Spec


@dataclass(frozen=True, slots=True)
class RoutedExperts:
    """The routed part of a mixture of experts."""

    experts: int  # E
    per_token: float  # k: experts that a token multiplies (zero-compute experts left out)
    parameters: float  # of one expert
    width: int  # elements of a token sent to an expert: hidden size, or the latent size


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
    def always(self) -> str:
        """What every token multiplies, as tables of ops call it."""
        return "dense FFN"

    def describe(self) -> str:
        """Short name of the variant, for tables."""
        raise TypeError(f"{type(self).__name__} has no description")
