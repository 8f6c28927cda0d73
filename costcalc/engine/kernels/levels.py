"""Curves out of fitted parameters: global values times what each family, kernel or precision adds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from costcalc.arrays import Number

Multipliers = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Factors by level (such as 'family'), member (such as 'hopper') and parameter."""

Members = Mapping[str, "str | NDArray[Any]"]
"""The member of every level: one for all, or one per element."""

CurveT = TypeVar("CurveT")


def curve_of(
    curve: type[CurveT], parameters: Mapping[str, float], multipliers: Multipliers, members: Members
) -> CurveT:
    """Return the curve of the given members; members that were never fitted keep the global value.

    curve: a class of this package, such as GemmCurve. parameters: global values by name.
    multipliers: factors by level, member and parameter. members: the member of each level.
    """
    values: dict[str, Number] = dict(parameters)
    for level, factors in multipliers.items():
        if level in members:
            for name in {name for each in factors.values() for name in each}:
                values[name] = values[name] * _factor(factors, name, members[level])
    return curve(**values)


def _factor(factors: Mapping[str, Mapping[str, float]], name: str, member: str | NDArray[Any]) -> Number:
    if isinstance(member, str):
        return factors.get(member, {}).get(name, 1.0)
    result = np.ones(member.shape)
    for each, values in factors.items():
        if name in values:
            result = np.where(member == each, values[name], result)
    return result
