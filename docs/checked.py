"""The list of what costcalc ships and has checked, from which it reads without checking again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from costcalc.catalog.check import digest, validate
from costcalc.catalog.files import CLOSED_MODELS, head_of, names_in, packaged_root
from costcalc.catalog.names import normal_name
from costcalc.catalog.read import KERNELS, MEMORY, SERVING
from costcalc.catalog.yaml import parse_yaml, read_text
from costcalc.fields import Spec
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import KernelEfficiency, ServingEfficiency
from costcalc.hardware.engines import EngineMemories
from costcalc.model.spec import ClosedModels, ModelSpec


def packaged_files() -> Iterator[tuple[Path, type[Spec]]]:
    """Every specification that costcalc ships as a file, with its class."""
    root = packaged_root()
    for path in sorted((root / "models").glob("*.yaml")):
        yield path, ClosedModels if path.name == CLOSED_MODELS else ModelSpec
    for path in sorted((root / "hardware_profiles").glob("*.yaml")):
        yield path, Accelerator
    yield root / KERNELS, KernelEfficiency
    yield root / SERVING, ServingEfficiency
    yield root / MEMORY, EngineMemories


def checked_list() -> str:
    """Return a line for each file: its digest, the class that it was checked against, its path and its other names.

    Raises CostcalcError with file:line:column when a file is wrong.
    """
    lines = ["# Digest, class, path and names of every packaged file that is valid; written by docs/generate.py."]
    for path, spec in packaged_files():
        text = read_text(path)
        validate(spec, *parse_yaml(text, path), path)
        names = "|".join(dict.fromkeys(map(normal_name, names_in(head_of(path)))))
        lines.append(f"{digest(text)} {spec.__name__} {path.relative_to(packaged_root()).as_posix()} |{names}|")
    return "\n".join(lines) + "\n"
