"""Catalog files read into specifications, and what one extends."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from costcalc.catalog.check import KeyPath, Positions, place, validate
from costcalc.catalog.files import Folders, Kind
from costcalc.catalog.limits import EXTENDED_FILES
from costcalc.catalog.yaml import load_yaml
from costcalc.errors import CostcalcError, shown
from costcalc.fields import Spec

if TYPE_CHECKING:
    pass


KEY = "extends"
_OWN = ("name", "aliases", "hf_id")
"""What belongs to the entry itself and is never taken from another one."""
_ADDED = ("prices", "api_prices")
"""Lists that are put before those of the other entry; every other list replaces its own."""


def extended(
    kind: Kind,
    path: str | Path,
    data: dict[str, Any],
    positions: Positions,
    folders: Folders,
    seen: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Return the raw data of a file with what it leaves out, from the entry that its `extends` names.

    Groups are joined key by key, values and lists replace those of the entry; `prices` and `api_prices` are put
    before its own. What has a source of its own, as a price, is replaced as a whole. Name and aliases stay apart:
    a file of another name is another entry.

    kind: 'models' or 'hardware_profiles'.
    path: the file.
    data: its raw data, as from load_yaml.
    positions: where its keys stand; where nothing stands, errors will point at `extends`.
    folders: where the entry is looked up. seen: files that led here.
    Raises CostcalcError with file:line:column when the entry does not exist or extends this one.
    """
    if KEY not in data:
        return data
    where = place(path, positions.of_value((KEY,)))
    other = _other(kind, path, data[KEY], where, folders)
    seen = (*seen, _real(path))
    if _real(other) in seen or len(seen) > EXTENDED_FILES:
        raise CostcalcError(f"{shown(data[KEY])} leads back to this file", where, "extend an entry that stands alone")
    inherited, inherited_positions = load_yaml(other)
    inherited = extended(kind, other, inherited, inherited_positions, folders, seen)
    own = {key: value for key, value in data.items() if key != KEY}
    base = {key: value for key, value in inherited.items() if key not in _OWN or _same_name(path, other)}
    positions.values_at[()] = positions.of_value((KEY,))
    positions.pop((), None)
    own.setdefault("name", inherited.get("name") if _same_name(path, other) else Path(path).stem)
    return _joined(base, own, ())


def _other(kind: Kind, path: str | Path, name: Any, where: str, folders: Folders) -> Path:
    """The file that a name means: never the file itself, so that one may extend the entry that it shadows."""
    if not isinstance(name, str) or not name.strip():
        raise CostcalcError(f"extends: expected the name of an entry, got {shown(name)}", where)
    if os.sep in name or name.lower().endswith((".yaml", ".yml")):
        return Path(path).parent / os.path.expanduser(name)  # noqa: PTH111 - unlike Path.expanduser, never raises
    try:
        return folders.find(kind, name, without=_real(path))
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


def load_spec(
    spec: type[SpecT],
    path: str | Path,
    prefix: str,
    overrides: Mapping[str, str] | None = None,
    remarks: Sequence[str] = (),
    *,
    folders: Folders | None = None,
) -> SpecT:
    """Return the specification that one YAML file describes.

    spec: the class of the specification.
    path: the file.
    prefix: what stands before an override's path on the command line: 'model' or 'gpu'.
    overrides: values to replace, by dotted path.
    remarks: what every estimate has to say about how the file was found.
    folders: where what the file extends is looked up; by default those of every command.
    Raises CostcalcError with file:line:column, or the option, of the first mistake.
    """
    data, positions = load_yaml(path)
    kind = _KINDS.get(spec.__name__)
    if kind is not None:
        _check_kind(kind, data, path)
        if "extends" in data:
            data = extended(kind, path, data, positions, folders or Folders())
    if overrides:
        from costcalc.catalog.overrides import apply_overrides, consequences

        data = apply_overrides(data, overrides, prefix=prefix, spec=spec, positions=positions)
        remarks = (*remarks, *consequences(data, overrides, prefix))
    if remarks:
        data = {**data, "caveats": [*(data.get("caveats") or ()), *remarks]}
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
