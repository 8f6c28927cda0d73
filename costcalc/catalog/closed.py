"""Models known by their list prices alone."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from costcalc.catalog.find import CLOSED_MODELS
from costcalc.catalog.load import load_spec
from costcalc.catalog.paths import catalog_roots
from costcalc.specs.closed import ClosedModel, ClosedModels


class ClosedEntry(NamedTuple):
    """A closed model and the file that lists its prices."""

    model: ClosedModel
    path: Path


def closed_paths(catalog: str | Path | None = None) -> list[Path]:
    """Return the files that list closed models, the nearest first.

    catalog: a catalog folder to search first.
    """
    files = [root / "models" / CLOSED_MODELS for root in catalog_roots(catalog)]
    return [path for path in files if path.is_file()]


def load_closed_models(path: str | Path, *, check: bool = False) -> tuple[ClosedModel, ...]:
    """Return the closed models of one file.

    path: the file.
    check: check even a file that costcalc ships, which was checked before.
    Raises CostcalcError with file:line:column when it is wrong.
    """
    return load_spec(ClosedModels, path, "closed models", check=check).models


def list_closed_models(catalog: str | Path | None = None) -> list[ClosedEntry]:
    """Return every closed model of the catalog by name; a nearer file shadows the models of farther ones.

    catalog: a catalog folder to search first.
    """
    found: dict[str, ClosedEntry] = {}
    for path in closed_paths(catalog):
        for model in load_closed_models(path):
            found.setdefault(model.names[0], ClosedEntry(model, path))
    return [found[name] for name in sorted(found)]


def find_closed_model(name: str, catalog: str | Path | None = None) -> ClosedEntry | None:
    """Return the closed model that answers to a name or an alias, or None.

    name: its name or an alias.
    catalog: a catalog folder to search first.
    """
    for path in closed_paths(catalog):
        found = load_spec(ClosedModels, path, "closed models").find(name)
        if found is not None:
            return ClosedEntry(found, path)
    return None


def closed_model(name: str, catalog: str | Path | None = None) -> ClosedModel | None:
    """Return the closed model that answers to `name`, from the nearest catalog folder that has it, or None."""
    found = find_closed_model(name, catalog)
    return found.model if found else None
