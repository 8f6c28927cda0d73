"""What a fit needs to know of a kernel: its form, the priors of its parameters, and the levels of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costcalc.engine.kernels.levels import curve_of

Array = NDArray[Any]
Features = Mapping[str, Array]
"""What is known of each row, one array per name; text for the members of levels."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What physics says of a parameter before any measurement."""

    value: float
    spread: float  # standard deviation of its logarithm


@dataclass(frozen=True, slots=True)
class Level:
    """A parameter that differs between the members of a level, such as 'family', but not by much.

    The spread is the standard deviation of the logarithm of the factors: the fit shrinks them towards 1,
    so that a family with few points stays close to the global value.
    """

    name: str
    parameter: str
    spread: float


@dataclass(frozen=True, slots=True)
class KernelModel:
    """One kernel's closed form and what is known of its parameters."""

    op: str
    label: str  # as tables show it
    curve: type[Any]
    priors: Mapping[str, Prior]
    levels: tuple[Level, ...]
    seconds: Callable[[Features, Any], Array]
    bound: Callable[[Features], Array]  # the roofline [s]
    needs: str | None = None  # a kernel whose time is part of this one's features, as 'needed_seconds'
    fallback: bool = False  # the kernel of a stack that lacks a tuned one


@dataclass(frozen=True, slots=True)
class KernelParameters:
    """Fitted parameters of one kernel: global values, and factors by level, member and parameter."""

    values: Mapping[str, float]
    multipliers: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KernelRows:
    """The rows of a file that one kernel predicts."""

    model: KernelModel
    index: Array  # of each row in the file
    features: Features

    def __len__(self) -> int:
        return len(self.index)

    def take(self, chosen: Array) -> KernelRows:
        """The rows for which `chosen` is true."""
        picked = {name: values[chosen] for name, values in self.features.items()}
        return KernelRows(self.model, self.index[chosen], picked)


def predict_seconds(model: KernelModel, parameters: KernelParameters, features: Features) -> Array:
    """Time of each row [s], never less than its roofline."""
    curve = curve_of(model.curve, parameters.values, parameters.multipliers, features)
    return np.maximum(model.seconds(features, curve), model.bound(features))
