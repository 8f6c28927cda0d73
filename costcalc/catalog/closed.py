"""Priced-only models: those whose makers publish a price list and no shape."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from costcalc.catalog.find import CLOSED_MODELS
from costcalc.catalog.paths import catalog_roots
from costcalc.catalog.validation import validate
from costcalc.catalog.yaml import load_yaml

if TYPE_CHECKING:
    from costcalc.specs.closed import ClosedModels


def load_closed_models(catalog: str | Path | None = None) -> ClosedModels:
    """Return the models that are known by their list prices alone.

    catalog: a catalog folder to search first; one that has the file shadows the shipped list.
    Raises CostcalcError with file:line:column when the file is wrong.
    """
    from costcalc.specs.closed import ClosedModels

    files = [root / "models" / CLOSED_MODELS for root in catalog_roots(catalog)]
    path = next((each for each in files if each.is_file()), files[-1])
    data, positions = load_yaml(path)
    return validate(ClosedModels, data, positions, path)
