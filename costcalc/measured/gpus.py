"""The GPU that a measurement names: found in the catalog however its source spells it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from costcalc.catalog.find import CatalogEntry, list_entries, normal_name
from costcalc.catalog.load import load_gpu
from costcalc.catalog.paths import catalog_roots
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.specs.accelerator import Accelerator

_VENDORS = re.compile(r"\b(nvidia|amd|intel|google|aws|tesla|instinct|geforce|radeon|gpu|nv)\b")
_FORMS = ("pcie", "nvl", "sxm")
_NOISE = {"server", "se", "workstation", "edition", "oam", "hgx", "tensor", "core", "hbm3", "hbm3e"}


def find_gpu(name: str) -> tuple[str, Accelerator]:
    """Return the catalog's name of an accelerator, and the accelerator.

    name: as a source spells it, such as 'H100-SXM5-80GB', 'NVIDIA L4' or 'RTX-PRO-6000-SE'.
    Raises CostcalcError with the nearest name when the catalog has nothing like it.
    """
    return _found(name, tuple(catalog_roots()))


@lru_cache(maxsize=256)
def _found(name: str, _roots: tuple[Path, ...]) -> tuple[str, Accelerator]:
    entries = list_entries("hardware_profiles")
    entry = _exact(name, entries) or _alike(name, entries)
    if entry is None:
        names = [entry.name for entry in entries]
        hint = did_you_mean(normal_name(name), names) or "list them with: costcalc gpus"
        raise CostcalcError(f"unknown GPU {shown(name)}", hint=hint)
    return entry.name, load_gpu(entry.path)


def _exact(name: str, entries: Sequence[CatalogEntry]) -> CatalogEntry | None:
    wanted = _plain(name)
    for entry in entries:
        if wanted in (entry.name, *map(normal_name, entry.aliases)):
            return entry
    return None


def _alike(name: str, entries: Sequence[CatalogEntry]) -> CatalogEntry | None:
    """The entry of the same product whose form and memory agree best; SXM where the name says neither."""
    model, form, memory = _parts(name)
    best: tuple[int, CatalogEntry] | None = None
    for entry in entries:
        for spelling in (entry.name, *entry.aliases):
            its_model, its_form, its_memory = _parts(spelling)
            if not model or its_model != model or (form and its_form and form != its_form):
                continue
            points = 4 * (form == its_form and bool(form)) + 2 * (memory == its_memory and bool(memory))
            points += 1 * (not form and its_form == "sxm")
            points -= 2 * bool(memory and its_memory and memory != its_memory)
            if best is None or points > best[0]:
                best = (points, entry)
    return best[1] if best else None


def _parts(name: str) -> tuple[str, str, str]:
    """Model, form factor and memory of a name: ('h100', 'sxm', '80')."""
    model, form, memory = [], "", ""
    for token in _plain(name).split("-"):
        kind = next((each for each in _FORMS if re.fullmatch(rf"{each}\d*", token)), None)
        if kind:
            form = kind
        elif size := re.fullmatch(r"(\d+)g(i?b)?", token):
            memory = size[1]
        elif token and token not in _NOISE:
            model.append(token)
    return "-".join(model), form, memory


def _plain(name: str) -> str:
    return re.sub(r"-+", "-", _VENDORS.sub("", normal_name(name))).strip("-")
