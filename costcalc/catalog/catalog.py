"""The catalog: models, accelerators, list prices and fitted constants, by the names that its folders know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from costcalc.catalog.files import CLOSED_MODELS, CatalogEntry, Folders, Found, Kind
from costcalc.catalog.names import normal_name
from costcalc.catalog.read import as_text, by_path, load_spec
from costcalc.errors import CostcalcError, shown
from costcalc.fields import Spec
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import Energy, KernelEfficiency, MachineEfficiency, MachineFit, ServingEfficiency
from costcalc.hardware.engines import EngineMemories, Launching
from costcalc.hardware.owning import Owning
from costcalc.model.spec import ClosedModel, ClosedModels, ModelSpec

FOLDER = Path("hardware_profiles") / "efficiency"
KERNELS = FOLDER / "kernels.yaml"
MACHINES = FOLDER / "machines.yaml"
SERVING = FOLDER / "serving.yaml"
MEMORY = FOLDER / "memory.yaml"
OWNING = FOLDER / "owning.yaml"
ENERGY = FOLDER / "energy.yaml"
LAUNCH = FOLDER / "launch.yaml"

Machines = dict[str, dict[str, MachineFit]]
"""Fits of measured machines by the GPU's name in the catalog and kernel."""
Read = TypeVar("Read")
AnySpec = TypeVar("AnySpec", bound=Spec)


class ClosedEntry(NamedTuple):
    """A model that has list prices only, and the file that lists them."""

    model: ClosedModel
    path: Path


class Catalog(Folders):
    """Models, accelerators, list prices and constants of the folders searched; each is read once.

    first: a folder to search before the others, as given by `--catalog`.
    changes: values to replace by dotted path, in every model and in every GPU: {'gpu': {'memory': '96 GB'}}.
    Methods raise CostcalcError for what is unknown, and where a file is wrong.
    """

    def __init__(
        self,
        first: str | Path | None = None,
        changes: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        super().__init__(first)
        self.first = first
        self.changes = changes or {}
        self._known: dict[tuple[str, str], Any] = {}

    def unchanged(self) -> Catalog:
        """The same folders, with everything as its file has it."""
        same = Catalog()
        same.roots = self.roots
        return same

    def typed(self) -> list[str]:
        """The words with which a command has this catalog."""
        words = [] if self.first is None else ["--catalog", str(self.first)]
        for kind, changes in self.changes.items():
            words += [each for path, value in changes.items() for each in ("--set", f"{kind}.{path}={value}")]
        return words

    def resolve(self, kind: Kind, name: str | Path, *, without: Path | None = None) -> Found:
        """Return the file of a model or an accelerator, and how its name was understood; as `find`."""
        if without is not None:
            return super().resolve(kind, name, without=without)
        return self._once(kind, name, partial(super().resolve, kind))

    def entries(self, kind: Kind) -> list[CatalogEntry]:
        """Return every model or accelerator by name; shadowed files and aliases are left out."""
        return self._once("entries", kind, lambda _: Folders.entries(self, kind))

    def model(self, name: str | Path) -> ModelSpec:
        """Return a model by its name, an alias, its Hugging Face id, or the path of its file or config.json."""
        return self._once("model", name, self._load_model)

    def gpu(self, name: str | Path) -> Accelerator:
        """Return an accelerator by its name, an alias or the path of its file."""
        return self._once("gpu", name, self._load_gpu)

    def _once(self, kind: str, name: str | Path, load: Callable[[str | Path], Read]) -> Read:
        key = kind, str(name)
        if key not in self._known:
            try:
                self._known[key] = load(name)
            except CostcalcError as error:
                self._known[key] = error
        found: Read | CostcalcError = self._known[key]
        if isinstance(found, CostcalcError):
            raise found.with_traceback(None)
        return found

    def _load_model(self, name: str | Path) -> ModelSpec:
        found = self.resolve("models", name)
        if found.path.suffix.lower() == ".json" or found.path.is_dir():
            return self._imported(found.path)
        spec = self._load(ModelSpec, found.path, "model", found.remarks)
        if found.weights is None:
            return spec
        from costcalc.engine.precision import checkpoint_precision

        return replace(spec, precision=checkpoint_precision(spec, found.weights))

    def _imported(self, path: Path) -> ModelSpec:
        """A model of a config.json, or of the folder that holds one."""
        from costcalc.catalog.huggingface.importer import import_model

        text = import_model(str(path)).text
        note = f"Imported from {shown(str(path), 80)}; costcalc models import writes a file to look at and keep."
        return load_spec(ModelSpec, path, "model", self.changes.get("model"), (note,), folders=self, text=text)

    def _load_gpu(self, name: str | Path) -> Accelerator:
        found = self.resolve("hardware_profiles", name)
        return self._load(Accelerator, found.path, "gpu", found.remarks)

    def _load(self, spec: type[AnySpec], path: Path, kind: str, remarks: tuple[str, ...] = ()) -> AnySpec:
        return load_spec(spec, path, kind, self.changes.get(kind), remarks, folders=self)

    # Models known by their list prices alone.

    def closed_paths(self) -> list[Path]:
        """Return the files that list closed models, the nearest first."""
        files = [root / "models" / CLOSED_MODELS for root in self.roots]
        return [path for path in files if path.is_file()]

    def closed_models(self) -> list[ClosedEntry]:
        """Return every closed model by name; a nearer file shadows the models of farther ones."""
        found: dict[str, ClosedEntry] = {}
        for path in self.closed_paths():
            for model in load_closed_models(path):
                found.setdefault(model.names[0], ClosedEntry(model, path))
        return [found[name] for name in sorted(found)]

    def closed_model(self, name: str) -> ClosedModel | None:
        """Return the closed model that answers to a name or an alias, or None."""
        entry = self.closed_entry(name)
        return entry.model if entry else None

    def closed_entry(self, name: str) -> ClosedEntry | None:
        """Return the closed model that answers to a name, with the nearest file that has it, or None."""
        for path in self.closed_paths():
            found = self._load(ClosedModels, path, "closed models").find(name)
            if found is not None:
                return ClosedEntry(found, path)
        return None

    def closed_names(self) -> dict[str, tuple[str, ...]]:
        """Return what every closed model is called and its names, by each normal name."""
        models = [entry.model for entry in self.closed_models()]
        return {normal_name(name): (model.name, *model.names) for model in models for name in model.names}

    # Fitted constants.

    def kernel_efficiency(self) -> KernelEfficiency:
        """Return the fitted parameters of every kernel, of the first folder that has them.

        What `costcalc calibrate` found on machines is in it: of every folder, the earlier one first.
        """
        found: Machines = {}
        for root in reversed(self.roots):
            if (root / MACHINES).is_file():
                for gpu, fits in load_machines(root / MACHINES).items():
                    found[gpu] = {**found.get(gpu, {}), **fits}
        return with_machines(self._first(KernelEfficiency, KERNELS), found)

    def serving_efficiency(self, machines: Machines | None = None) -> ServingEfficiency:
        """Return the constants of serving engines, with those of their kernels, of memory and of owning.

        Each file is of the first folder that has it. Constants of measured machines go by the names on the cards there.
        machines: more of them, which win.
        """
        kernels = with_machines(self.kernel_efficiency(), machines or {})
        names = {gpu: self._card(gpu) for gpu in kernels.machines}
        changed = {}
        for op in (each.name for each in fields(kernels) if names):
            fit = getattr(kernels, op)
            changed[op] = replace(fit, machines={names[gpu]: found for gpu, found in fit.machines.items()})
        serving = self._first(ServingEfficiency, SERVING)
        kernels = replace(kernels, **changed)
        memory, energy = self.engine_memories(), self._first(Energy, ENERGY)
        return replace(serving, of_kernels=kernels, of_memory=memory, of_owning=self.owning(), of_energy=energy)

    def engine_memories(self) -> EngineMemories:
        """Return how engines use memory, of the first folder that says so."""
        return self._first(EngineMemories, MEMORY)

    def owning(self) -> Owning:
        """Return what owning accelerators takes, of the first folder that says so."""
        return self._first(Owning, OWNING)

    def launching(self) -> Launching:
        """Return how engines are started, of the first folder that says so."""
        return self._first(Launching, LAUNCH)

    def _card(self, gpu: str) -> str:
        """What the card of a GPU shows; its name where no folder has it."""
        try:
            return self.unchanged().gpu(gpu).name
        except CostcalcError:
            return gpu

    def _first(self, spec: type[AnySpec], place: Path) -> AnySpec:
        path = next((root / place for root in self.roots if (root / place).is_file()), None)
        if path is None:
            raise CostcalcError(f"no {place.as_posix()} in the catalog", hint="reinstall costcalc")
        of_spec: Any = spec
        found: AnySpec = _constants(of_spec, path, path.stat().st_mtime_ns)
        return found


@lru_cache(maxsize=8)
def _constants(spec: type[Any], path: Path, _changed: int) -> Any:
    """Constants take longest to read of all, and are the same for every catalog that has the file."""
    return load_spec(spec, path, "efficiency")


def catalog_of(given: Catalog | str | Path | None) -> Catalog:
    """Return the catalog that was passed, or whose folder was named; by default that of every command."""
    if isinstance(given, Catalog):
        return given
    if given is not None and not isinstance(given, str | Path):
        raise CostcalcError(f"{shown(given)} is no folder", where="catalog", hint="name a folder with models/ in it")
    return Catalog(given)


def load_model(
    name: str | Path, *, catalog: Catalog | str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> ModelSpec:
    """Return a model of the catalog.

    name: its name, an alias, its Hugging Face id or the path of its file.
    catalog: a catalog, or the folder to search first.
    overrides: values to replace, by dotted path: {'attention.full.num_key_value_heads': '8'}.
    Raises CostcalcError when it is unknown or its file is wrong.
    """
    try:
        return _with(catalog, "model", overrides).model(name)
    except CostcalcError as error:
        raise by_path(error, "model") from None


def load_gpu(
    name: str | Path, *, catalog: Catalog | str | Path | None = None, overrides: Mapping[str, Any] | None = None
) -> Accelerator:
    """Return an accelerator of the catalog.

    name: its name, an alias or the path of its file.
    catalog: a catalog, or the folder to search first.
    overrides: values to replace, by dotted path: {'memory_bandwidth': '3.3 TB/s'}.
    Raises CostcalcError when it is unknown or its file is wrong.
    """
    try:
        return _with(catalog, "gpu", overrides).gpu(name)
    except CostcalcError as error:
        raise by_path(error, "gpu") from None


def _with(catalog: Catalog | str | Path | None, kind: str, overrides: Mapping[str, Any] | None) -> Catalog:
    found = catalog_of(catalog)
    if overrides is None:
        return found
    if not isinstance(overrides, Mapping):
        hint = "write it like {'memory_bandwidth': '3.3 TB/s'}"
        raise CostcalcError(f"{shown(overrides)} is no mapping", where="overrides", hint=hint)
    changed = found.unchanged()
    changed.changes = {kind: {str(path): as_text(value) for path, value in overrides.items()}}
    return changed


def load_closed_models(path: str | Path) -> tuple[ClosedModel, ...]:
    """Return the closed models of one file; raises CostcalcError with file:line:column when it is wrong."""
    return load_spec(ClosedModels, path, "closed models").models


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
