"""Models and accelerators from the catalog as validated specifications."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from costcalc.catalog.find import resolve
from costcalc.catalog.overrides import apply_overrides, consequences
from costcalc.catalog.paths import Kind, searched_first
from costcalc.catalog.positions import place
from costcalc.catalog.trusted import is_checked, read
from costcalc.catalog.validation import validate
from costcalc.catalog.yaml import parse_yaml, read_text
from costcalc.errors import CostcalcError
from costcalc.schema import Spec

if TYPE_CHECKING:
    from costcalc.specs.accelerator import Accelerator
    from costcalc.specs.model import ModelSpec

SpecT = TypeVar("SpecT", bound=Spec)
_KINDS: dict[str, Kind] = {"ModelSpec": "models", "Accelerator": "hardware_profiles"}


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

    with searched_first(catalog):
        found = resolve("models", name)
        spec = load_spec(ModelSpec, found.path, "model", overrides, found.remarks, check=check)
        if found.weights is None:
            return spec
        from costcalc.engine.precision import checkpoint_precision

        return replace(spec, precision=checkpoint_precision(spec, found.weights))


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

    with searched_first(catalog):
        found = resolve("hardware_profiles", name)
        return load_spec(Accelerator, found.path, "gpu", overrides, found.remarks, check=check)


def load_spec(
    spec: type[SpecT],
    path: str | Path,
    prefix: str,
    overrides: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
    *,
    check: bool = False,
) -> SpecT:
    """Return the specification that one YAML file describes.

    spec: the class of the specification.
    path: the file.
    prefix: what stands before an override's path on the command line: 'model' or 'gpu'.
    overrides: values to replace, by dotted path.
    remarks: what every estimate has to say about how the file was found.
    check: check even a file that costcalc ships, which was checked before.
    Raises CostcalcError with file:line:column, or the option, of the first mistake.
    """
    text = read_text(path)
    data, positions = parse_yaml(text, path)
    trusted = not check and not overrides and is_checked(spec, text)
    kind = _KINDS.get(spec.__name__)
    if kind is not None and not trusted:
        _check_kind(kind, data, path)
        if "extends" in data:
            from costcalc.catalog.extends import extended

            data = extended(kind, path, data, positions)
    if overrides:
        data = apply_overrides(data, overrides, prefix=prefix, spec=spec, positions=positions)
        remarks = (*remarks, *consequences(data, overrides, prefix))
    if remarks:
        data = {**data, "caveats": [*(data.get("caveats") or ()), *remarks]}
    if trusted:
        return read(spec, data)
    return validate(spec, data, positions, path)


def _check_kind(kind: Kind, data: Mapping[str, Any], path: str | Path) -> None:
    """Raise CostcalcError for a file that is of the other kind, or of another program."""
    if "architectures" in data or "model_type" in data:
        hint = f"turn it into a model file with: costcalc models import {path} -o my-model.yaml"
        raise CostcalcError("this is a Hugging Face configuration", place(path), hint)
    if kind == "models" and "peak_flops" in data and "layers" not in data:
        raise CostcalcError("this is an accelerator file", place(path), "name it with --gpu")
    if kind == "hardware_profiles" and "layers" in data and "peak_flops" not in data:
        raise CostcalcError("this is a model file", place(path), "name it with --model")
