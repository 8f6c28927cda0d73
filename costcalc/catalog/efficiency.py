"""The fitted efficiency of kernels, from the catalog."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from costcalc.catalog.load import load_spec
from costcalc.catalog.paths import catalog_roots
from costcalc.errors import CostcalcError
from costcalc.specs.efficiency import KernelEfficiency

KERNELS = Path("hardware_profiles") / "efficiency" / "kernels.yaml"


def load_kernel_efficiency(catalog: str | Path | None = None) -> KernelEfficiency:
    """Return the fitted parameters of every kernel, of the first catalog folder that has them.

    catalog: a catalog folder to search first.
    Raises CostcalcError when the file is wrong.
    """
    for root in catalog_roots(catalog):
        if (root / KERNELS).is_file():
            return _load(root / KERNELS)
    raise CostcalcError(f"no {KERNELS.as_posix()} in the catalog", hint="reinstall costcalc")


@lru_cache(maxsize=4)
def _load(path: Path) -> KernelEfficiency:
    return load_spec(KernelEfficiency, path, "efficiency")
