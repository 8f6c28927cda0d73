"""A file that says only what is different: `extends: h100-sxm` takes all else from another entry of the catalog."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from costcalc.catalog.find import find_path
from costcalc.catalog.paths import Kind
from costcalc.catalog.positions import KeyPath, Positions, place
from costcalc.catalog.yaml import load_yaml
from costcalc.errors import CostcalcError, shown

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
