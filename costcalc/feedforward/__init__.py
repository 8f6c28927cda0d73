"""Feed-forward variants, one file each: shape and arithmetic side by side."""

from typing import Annotated

from costcalc.feedforward.base import FeedForward, RoutedExperts
from costcalc.feedforward.dense import DenseFeedForward
from costcalc.feedforward.experts import ExpertsFeedForward
from costcalc.schema import ByKind

AnyFeedForward = Annotated[DenseFeedForward | ExpertsFeedForward, ByKind()]

__all__ = ["AnyFeedForward", "DenseFeedForward", "ExpertsFeedForward", "FeedForward", "RoutedExperts"]
