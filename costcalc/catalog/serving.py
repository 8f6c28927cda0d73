"""The constants of the calibrated mode, read once."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from costcalc.catalog.load import load_spec
from costcalc.catalog.paths import catalog_roots
from costcalc.errors import CostcalcError
from costcalc.specs.serving import ServingEfficiency

SERVING = Path("hardware_profiles") / "efficiency" / "serving.yaml"


def serving_efficiency() -> ServingEfficiency:
    """Return the efficiency of serving engines, of the first catalog folder that has it; raises CostcalcError."""
    path = next((root / SERVING for root in catalog_roots() if (root / SERVING).is_file()), None)
    if path is None:
        raise CostcalcError(f"no {SERVING.as_posix()} in the catalog", hint="reinstall costcalc")
    return _load(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> ServingEfficiency:
    return load_spec(ServingEfficiency, path, "efficiency")
