"""Catalog files read into specifications: models, accelerators, list prices, fitted constants."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from costcalc.catalog.check import KeyPath, Positions, is_checked, place, read, validate
from costcalc.catalog.files import CLOSED_MODELS, Kind, catalog_roots, find_path, resolve, searched_first
from costcalc.catalog.overrides import apply_overrides, consequences
from costcalc.catalog.yaml import load_yaml, parse_yaml, read_text
from costcalc.errors import CostcalcError, shown
from costcalc.fields import Spec
from costcalc.hardware.efficiency import KernelEfficiency, MachineEfficiency, MachineFit, ServingEfficiency
from costcalc.hardware.engines import EngineMemories
from costcalc.model.spec import ClosedModel, ClosedModels

if TYPE_CHECKING:
    from costcalc.hardware.accelerator import Accelerator
    from costcalc.model.spec import ModelSpec


KEY = "extends"
MOST_DEEP = 8
_OWN = ("name", "aliases", "hf_id")
"""What belongs to the entry itself and is never taken from another one."""
_ADDED = ("prices", "api_prices")
"""Lists that are put before those of the other entry; every other list replaces its own."""


def extended(
    kind: Kind, path: str | Path, data: dict[str, Any], positions: Positions, seen: tuple[Path, ...] = ()
) -> dict[str, Any]:
    """Return the raw data of a file with what it leaves out, from the entry that its `extends` names.

    Groups are joined key by key, values and lists replace those of the entry; `prices` and `api_prices` are put
    before its own. What has a source of its own, as a price, is replaced as a whole. Name and aliases stay apart:
    a file of another name is another entry.

    kind: 'models' or 'hardware_profiles'.
    path: the file.
    data: its raw data, as from load_yaml.
    positions: where its keys stand; where nothing stands, errors will point at `extends`.
    seen: files that led here.
    Raises CostcalcError with file:line:column when the entry does not exist or extends this one.
    """
    if KEY not in data:
        return data
    where = place(path, positions.of_value((KEY,)))
    other = _other(kind, path, data[KEY], where)
    seen = (*seen, _real(path))
    if _real(other) in seen or len(seen) > MOST_DEEP:
        raise CostcalcError(f"{shown(data[KEY])} leads back to this file", where, "extend an entry that stands alone")
    inherited, inherited_positions = load_yaml(other)
    inherited = extended(kind, other, inherited, inherited_positions, seen)
    own = {key: value for key, value in data.items() if key != KEY}
    base = {key: value for key, value in inherited.items() if key not in _OWN or _same_name(path, other)}
    positions.values_at[()] = positions.of_value((KEY,))
    positions.pop((), None)
    own.setdefault("name", inherited.get("name") if _same_name(path, other) else Path(path).stem)
    return _joined(base, own, ())


def _other(kind: Kind, path: str | Path, name: Any, where: str) -> Path:
    """The file that a name means: never the file itself, so that one may extend the entry that it shadows."""
    if not isinstance(name, str) or not name.strip():
        raise CostcalcError(f"extends: expected the name of an entry, got {shown(name)}", where)
    if os.sep in name or name.lower().endswith((".yaml", ".yml")):
        return Path(path).parent / os.path.expanduser(name)  # noqa: PTH111 - unlike Path.expanduser, never raises
    try:
        return find_path(kind, name, without=_real(path))
    except CostcalcError as error:
        raise CostcalcError(f"extends: {error.message}", where, error.hint) from None


def _joined(base: Any, own: Any, path: KeyPath) -> Any:
    if path and path[-1] in _ADDED and isinstance(base, list) and isinstance(own, list):
        return [*own, *base]
    if not isinstance(base, dict) or not isinstance(own, dict) or "source" in own or _differ(base, own):
        return own
    return {
        **base,
        **{key: _joined(base[key], value, (*path, key)) if key in base else value for key, value in own.items()},
    }


def _differ(base: dict[str, Any], own: dict[str, Any]) -> bool:
    """Whether two layers are of different kinds, whose keys do not go together."""
    return "kind" in own and "kind" in base and own["kind"] != base["kind"]


def _same_name(path: str | Path, other: Path) -> bool:
    return Path(path).stem.casefold() == other.stem.casefold()


def _real(path: str | Path) -> Path:
    return Path(os.path.realpath(path))


# Models and accelerators from the catalog as validated specifications.


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
    from costcalc.model.spec import ModelSpec

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
    from costcalc.hardware.accelerator import Accelerator

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


# Models known by their list prices alone.


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


# The fitted efficiency of kernels, from the catalog.


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
    return with_machines(_load_efficiency(path, path.stat().st_mtime_ns), found)


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
def _load_efficiency(path: Path, _changed: int) -> KernelEfficiency:
    return load_spec(KernelEfficiency, path, "efficiency")


# The constants of the calibrated mode, read once.


SERVING = Path("hardware_profiles") / "efficiency" / "serving.yaml"


def serving_efficiency() -> ServingEfficiency:
    """Return the efficiency of serving engines, of the first catalog folder that has it; raises CostcalcError."""
    path = next((root / SERVING for root in catalog_roots() if (root / SERVING).is_file()), None)
    if path is None:
        raise CostcalcError(f"no {SERVING.as_posix()} in the catalog", hint="reinstall costcalc")
    return _load_serving(path, path.stat().st_mtime_ns)


MEMORY = FOLDER / "memory.yaml"


def engine_memories() -> EngineMemories:
    """Return how engines use memory, of the first catalog folder that says so; raises CostcalcError."""
    path = next((root / MEMORY for root in catalog_roots() if (root / MEMORY).is_file()), None)
    if path is None:
        raise CostcalcError(f"no {MEMORY.as_posix()} in the catalog", hint="reinstall costcalc")
    return _load_memory(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _load_memory(path: Path, _changed: int) -> EngineMemories:
    return load_spec(EngineMemories, path, "efficiency")


@lru_cache(maxsize=4)
def _load_serving(path: Path, _changed: int) -> ServingEfficiency:
    return load_spec(ServingEfficiency, path, "efficiency")
