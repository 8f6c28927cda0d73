"""Models known by their list prices alone."""

from __future__ import annotations

from pathlib import Path

from costcalc.catalog.load import load_spec
from costcalc.catalog.paths import catalog_roots
from costcalc.specs.closed import ClosedModel, ClosedModels


def closed_model(name: str, catalog: str | Path | None = None) -> ClosedModel | None:
    """Return the closed model that answers to `name`, from the nearest catalog folder that has it, or None."""
    for root in catalog_roots(catalog):
        path = root / "models" / "closed_models.yaml"
        if path.is_file():
            found = load_spec(ClosedModels, path, "closed models").find(name)
            if found is not None:
                return found
    return None
