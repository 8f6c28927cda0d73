"""Feed-forward variants, one file each: shape and arithmetic side by side."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from costcalc.feedforward.base import FeedForward, RoutedExperts
from costcalc.feedforward.dense import DenseFeedForward
from costcalc.feedforward.experts import ExpertsFeedForward

AnyFeedForward = Annotated[DenseFeedForward | ExpertsFeedForward, Field(discriminator="kind")]

__all__ = ["AnyFeedForward", "DenseFeedForward", "ExpertsFeedForward", "FeedForward", "RoutedExperts"]
