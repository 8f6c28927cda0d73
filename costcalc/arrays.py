"""The numbers of the engine: scalars or numpy arrays, which broadcast against each other."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Number: TypeAlias = "float | NDArray[Any]"
"""A scalar or an array of floats or integers."""
