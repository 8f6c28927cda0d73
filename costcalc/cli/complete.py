"""Names for shells to complete, found without reading more than the names of the files."""

from __future__ import annotations

NO_MODEL = "closed_models"  # lists prices of models without a shape
BEST = "best"  # no engine, but the least overhead of each: ServingEfficiency.engine


def model_names(incomplete: str) -> list[str]:
    """Return the models whose names begin as typed.

    incomplete: what was typed so far.
    """
    return _names("models", incomplete, "")


def gpu_names(incomplete: str) -> list[str]:
    """Return the accelerators whose names begin as typed, behind a count such as '8x'.

    incomplete: what was typed so far.
    """
    digits = len(incomplete) - len(incomplete.lstrip("0123456789"))
    counted = digits > 0 and incomplete[digits : digits + 1].lower() == "x"
    count = incomplete[: digits + 1] if counted else ""
    return _names("hardware_profiles", incomplete[len(count) :], count)


def backend_names() -> list[str]:
    """Return the serving engines of the constants, found without a YAML parser, which help has no time for."""
    import re
    from pathlib import Path

    from costcalc.catalog.paths import catalog_roots
    from costcalc.errors import CostcalcError

    try:
        files = [root / "hardware_profiles" / "efficiency" / "serving.yaml" for root in catalog_roots()]
        text = next(Path(file).read_text(encoding="utf-8") for file in files if file.is_file())
    except (CostcalcError, OSError, StopIteration, ValueError):
        return []
    _, _, block = f"\n{text}".partition("\nbackends:\n")
    names = re.findall(r"^ {2}([\w-]+):\s*$", re.split(r"^\S", block, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    return [*names, BEST] if names else []


def matching_backends(incomplete: str) -> list[str]:
    """Return the serving engines whose names begin as typed.

    incomplete: what was typed so far.
    """
    return [name for name in backend_names() if name.startswith(incomplete.lower())]


def _names(kind: str, incomplete: str, prefix: str) -> list[str]:
    from costcalc.catalog.paths import catalog_roots
    from costcalc.errors import CostcalcError

    try:
        roots = catalog_roots()
    except CostcalcError:
        return []
    stems = {path.stem for root in roots for path in (root / kind).glob("*.y*ml")} - {NO_MODEL}
    return [prefix + stem for stem in sorted(stems) if stem.startswith(incomplete.lower())]
