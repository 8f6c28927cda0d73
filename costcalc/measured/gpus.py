"""The GPU that a measurement names: found in the catalog however its source spells it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from costcalc.catalog.find import find_path
from costcalc.catalog.load import load_gpu
from costcalc.catalog.paths import folders_searched
from costcalc.specs.accelerator import Accelerator


def find_gpu(name: str) -> tuple[str, Accelerator]:
    """Return the catalog's name of an accelerator, and the accelerator.

    name: as a source spells it, such as 'H100-SXM5-80GB', 'NVIDIA L4' or 'RTX-PRO-6000-SE'.
    Raises CostcalcError with the nearest name when the catalog has nothing like it.
    """
    return _found(name, folders_searched())


@lru_cache(maxsize=256)
def _found(name: str, _folders: tuple[Path, ...]) -> tuple[str, Accelerator]:
    path = find_path("hardware_profiles", name)
    return path.stem, load_gpu(path)
