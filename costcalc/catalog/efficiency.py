"""The fitted efficiency of kernels, from the catalog."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from costcalc.catalog.load import load_spec
from costcalc.catalog.paths import catalog_roots
from costcalc.errors import CostcalcError
from costcalc.specs.efficiency import KernelEfficiency, MachineFit
from costcalc.specs.machines import MachineEfficiency

FOLDER = Path("hardware_profiles") / "efficiency"
KERNELS = FOLDER / "kernels.yaml"
MACHINES = FOLDER / "machines.yaml"

Machines = dict[str, dict[str, MachineFit]]
"""Fits of measured machines by the GPU's name in the catalog and kernel."""


def load_kernel_efficiency(catalog: str | Path | None = None) -> KernelEfficiency:
    """Return the fitted parameters of every kernel, of the first catalog folder that has them.

    What `costcalc calibrate` found on machines is in it: of every folder, the earlier one first.

    catalog: a catalog folder to search first.
    Raises CostcalcError when a file is wrong.
    """
    roots = catalog_roots(catalog)
    path = next((root / KERNELS for root in roots if (root / KERNELS).is_file()), None)
    if path is None:
        raise CostcalcError(f"no {KERNELS.as_posix()} in the catalog", hint="reinstall costcalc")
    found: Machines = {}
    for root in reversed(roots):
        if (root / MACHINES).is_file():
            for gpu, fits in load_machines(root / MACHINES).items():
                found[gpu] = {**found.get(gpu, {}), **fits}
    return with_machines(_load(path, path.stat().st_mtime_ns), found)


def load_machines(path: str | Path) -> Machines:
    """Return the measured machines that a file holds; raises CostcalcError when it is wrong."""
    return load_spec(MachineEfficiency, path, "efficiency").machines


def with_machines(efficiency: KernelEfficiency, machines: Machines) -> KernelEfficiency:
    """Return fitted parameters with the machines that were measured, which win over those there.

    efficiency: the fit. machines: by GPU and kernel.
    """
    changed = {}
    for op in {op for fits in machines.values() for op in fits}:
        fit = getattr(efficiency, op)
        own = {gpu: fits[op] for gpu, fits in machines.items() if op in fits}
        changed[op] = replace(fit, machines={**fit.machines, **own})
    return replace(efficiency, **changed)


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> KernelEfficiency:
    return load_spec(KernelEfficiency, path, "efficiency")
