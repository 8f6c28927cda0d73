"""Models and accelerators from the catalog as validated specifications."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from costcalc.catalog.find import find_path
from costcalc.catalog.overrides import apply_overrides
from costcalc.catalog.trusted import is_checked, read
from costcalc.catalog.validation import validate
from costcalc.catalog.yaml import parse_yaml, read_text
from costcalc.schema import Spec

if TYPE_CHECKING:
    from costcalc.specs.accelerator import Accelerator
    from costcalc.specs.model import ModelSpec

SpecT = TypeVar("SpecT", bound=Spec)


def load_model(
    name: str | Path,
    *,
    catalog: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
    check: bool = False,
) -> ModelSpec:
    """Return a model of the catalog.

    name: its name, an alias, its Hugging Face id or the path of its file.
    catalog: a catalog folder to search first.
    overrides: values to replace, by dotted path: {'attention.full.num_key_value_heads': '8'}.
    check: check even a file that costcalc ships, which was checked before.
    Raises CostcalcError when it is unknown or its file is wrong.
    """
    from costcalc.specs.model import ModelSpec

    return load_spec(ModelSpec, find_path("models", name, catalog), "model", overrides, check=check)


def load_gpu(
    name: str | Path,
    *,
    catalog: str | Path | None = None,
    overrides: Mapping[str, str] | None = None,
    check: bool = False,
) -> Accelerator:
    """Return an accelerator of the catalog.

    name: its name, an alias or the path of its file.
    catalog: a catalog folder to search first.
    overrides: values to replace, by dotted path: {'memory_bandwidth': '3.3 TB/s'}.
    check: check even a file that costcalc ships, which was checked before.
    Raises CostcalcError when it is unknown or its file is wrong.
    """
    from costcalc.specs.accelerator import Accelerator

    return load_spec(Accelerator, find_path("hardware_profiles", name, catalog), "gpu", overrides, check=check)


def load_spec(
    spec: type[SpecT],
    path: str | Path,
    prefix: str,
    overrides: Mapping[str, str] | None = None,
    *,
    check: bool = False,
) -> SpecT:
    """Return the specification that one YAML file describes.

    spec: the class of the specification.
    path: the file.
    prefix: what stands before an override's path on the command line: 'model' or 'gpu'.
    overrides: values to replace, by dotted path.
    check: check even a file that costcalc ships, which was checked before.
    Raises CostcalcError with file:line:column, or the option, of the first mistake.
    """
    text = read_text(path)
    data, positions = parse_yaml(text, path)
    if overrides:
        data = apply_overrides(data, overrides, prefix=prefix, spec=spec, positions=positions)
    elif not check and is_checked(spec, text):
        return read(spec, data)
    return validate(spec, data, positions, path)
