"""Find a catalog file by its name, by an alias or by its path."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from costcalc.catalog.paths import Kind, catalog_roots
from costcalc.errors import CostcalcError, nearest, shown

if TYPE_CHECKING:
    from costcalc.specs.closed import ClosedModel

_NOUNS: dict[Kind, tuple[str, str]] = {"models": ("model", "models"), "hardware_profiles": ("GPU", "gpus")}
_SUFFIXES = (".yaml", ".yml")
CLOSED_MODELS = "closed_models.yaml"  # lists prices of models without a shape; is not a model itself
# Names stand in the first lines of a file, so that finding one costs a short read and no parsing.
_HEAD_BYTES = 2048
_MOST_NAMES = 5
_MOST_TYPED = 100
_ALIASES = re.compile(r"^aliases:[ \t]*(?:\[([^\]]*)\]|((?:\r?\n[ \t]*-[ \t]+[^\n]*)+))", re.MULTILINE)
_NAME = re.compile(r"^name:[ \t]*[\"']?(.*?)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)
_MEMORY = re.compile(r"^memory(?:_reported)?:[ \t]*([\d.]+) ?([GM]i?B)", re.MULTILINE)
_UNITS = {"GB": 1e9, "MB": 1e6, "GiB": 2.0**30, "MiB": 2.0**20}
_HF_ID = re.compile(r"^hf_id:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


class CatalogEntry(NamedTuple):
    """A file of the catalog: its name, where it is, and the other names it answers to."""

    name: str
    path: Path
    aliases: tuple[str, ...]


def find_path(kind: Kind, name: str | Path, extra: str | Path | None = None) -> Path:
    """Return the catalog file of a model or an accelerator.

    kind: 'models' or 'hardware_profiles'.
    name: a file's name without its suffix, an alias, a Hugging Face id, or a path.
    extra: a catalog folder to search first.
    Raises CostcalcError with the nearest valid name.
    """
    text = str(name).strip()
    noun, command = _NOUNS[kind]
    if not text:
        raise CostcalcError(f"the name of the {noun} is empty", hint=f"list them with: costcalc {command}")
    looks_like_path = os.sep in text or "/" in text or text.lower().endswith(_SUFFIXES)
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - unlike Path.expanduser, never raises
    if looks_like_path and os.path.lexists(path):
        return path
    named = not text.lower().endswith(_SUFFIXES)
    # Hyphens are easily forgotten or made up, as in rtx4090 or gaudi-3; a name spelled right goes first.
    found = _named(kind, text, extra) or _spelled(kind, text, extra) if named else None
    if found is None:
        raise _no_such_file(text, noun) if looks_like_path else _unknown(kind, text, extra)
    return found


def _named(kind: Kind, text: str, extra: str | Path | None) -> Path | None:
    return _by_name(kind, text, normal_name, extra) or _by_name(kind, text, squeezed, extra)


def _spelled(kind: Kind, text: str, extra: str | Path | None) -> Path | None:
    """The file of a name as drivers, model hubs and benchmarks spell it; raises CostcalcError where it is another."""
    # Names that the catalog has, as most are, need none of it.
    from costcalc.catalog.spellings import accelerated, accelerators_alike, same_memory, unquantized, untuned
    from costcalc.numbertypes import number_type

    name = normal_name(text)
    if kind == "hardware_profiles":
        alike, wanted = accelerators_alike(name, list_entries(kind, extra)), accelerated(name).gigabytes
        for entry in alike:
            if wanted is None or same_memory(wanted, _memory(entry.path)):
                return entry.path
        if alike:
            other = f"of that product there is {alike[0].name}, with another memory; list them with: costcalc gpus"
            raise CostcalcError(f"unknown GPU {shown(text)}", hint=other)
        return None
    for shorter in untuned(name):
        if found := _named(kind, shorter, extra):
            return found
        if (stored := unquantized(shorter)) and (path := _named(kind, stored[0], extra)):
            weights = number_type(stored[1]).weights.name
            hint = f"name the model and its weights: --model {path.stem} --weights {weights}"
            raise CostcalcError(f"{shown(text)} is a quantized copy of {path.stem}", hint=hint)
    return None


def _memory(path: Path) -> list[float]:
    """Memory of an accelerator as sold and as reported [B], by the first lines of its file."""
    return [float(size) * _UNITS[unit] for size, unit in _MEMORY.findall(_head(path))]


def list_entries(kind: Kind, extra: str | Path | None = None) -> list[CatalogEntry]:
    """Return every model or accelerator of the catalog by name; shadowed files are left out.

    kind: 'models' or 'hardware_profiles'.
    extra: a catalog folder to search first.
    """
    files: dict[str, Path] = {}
    for root in catalog_roots(extra):
        files = {**_files(root, kind), **files}
    return [CatalogEntry(name, files[name], read_aliases(files[name])) for name in sorted(files)]


def list_paths(kind: Kind, extra: str | Path | None = None) -> list[Path]:
    """Return the file of every model or accelerator of the catalog; shadowed files are left out.

    kind: 'models' or 'hardware_profiles'.
    extra: a catalog folder to search first.
    """
    return [entry.path for entry in list_entries(kind, extra)]


def read_aliases(path: Path) -> tuple[str, ...]:
    """Return the aliases and the Hugging Face id that stand in the first lines of a catalog file.

    path: the file; one that cannot be read has none.
    """
    return _aliases(_head(path))


def _head(path: Path) -> str:
    """Return the first lines of a catalog file, or nothing when it cannot be read."""
    try:
        # A pipe in an overlay would block, and nothing but a file can be part of a catalog.
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _names(head: str) -> list[str]:
    """Return what a file answers to besides its own name: the name that it shows, and its aliases."""
    shown_name = _NAME.search(head)
    return [*([shown_name[1]] if shown_name else []), *_aliases(head)]


def _aliases(head: str) -> tuple[str, ...]:
    match = _ALIASES.search(head)
    if match is None:
        names: list[str] = []
    elif match[1] is not None:
        names = match[1].split(",")
    else:
        names = [line.strip().removeprefix("-") for line in match[2].splitlines()]
    cleaned = [re.sub(r"\s+#.*", "", name).strip().strip("'\"") for name in names]
    hf_id = _HF_ID.search(head)
    return tuple(name for name in [*cleaned, hf_id[1] if hf_id else ""] if name and name != "null")


def normal_name(text: str) -> str:
    """Return a name as files spell it: lower case, with hyphens for spaces and underscores."""
    return re.sub(r"[\s_]+", "-", text.strip()).casefold()


def squeezed(text: str) -> str:
    """Return a name without its hyphens.

    text: the name.
    """
    return normal_name(text).replace("-", "")


def _by_name(kind: Kind, text: str, spelled: Callable[[str], str], extra: str | Path | None) -> Path | None:
    roots, name = catalog_roots(extra), spelled(text)
    for index, root in enumerate(roots):
        files = _files(root, kind)
        if spelled is normal_name and name in files:
            return files[name]
        for stem, path in files.items():
            if name in map(spelled, [stem, *_names(_head(path))]):
                # An overlay's file of the same name stands for this one, its aliases included.
                return next((above for each in roots[:index] if (above := _files(each, kind).get(stem))), path)
    return None


def _files(root: Path, kind: Kind) -> dict[str, Path]:
    """Return the YAML files of one folder by normal name."""
    folder = root / kind
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 - several times faster than iterdir
    except OSError:
        return {}
    visible = [name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith(".")]
    visible = [name for name in visible if name != CLOSED_MODELS]
    return {normal_name(name.rpartition(".")[0]): folder / name for name in reversed(visible)}


def _no_such_file(text: str, noun: str) -> CostcalcError:
    path = Path(text)
    try:
        beside = [each.name for each in path.parent.iterdir()]
    except (OSError, ValueError):
        beside = []
    close = nearest(path.name, beside)
    hint = f"did you mean '{path.parent / close}'?" if close else f"name a {noun} or an existing YAML file"
    return CostcalcError(f"no such file: {shown(text, 200)}", hint=hint)


def _closed_models(kind: Kind, extra: str | Path | None) -> dict[str, ClosedModel]:
    """Return the models that have list prices only, by every normal name."""
    if kind != "models":
        return {}
    from costcalc.catalog.closed import list_closed_models  # which finds its files through this module

    models = [entry.model for entry in list_closed_models(extra)]
    return {normal_name(name): model for model in models for name in model.names}


def _unknown(kind: Kind, text: str, extra: str | Path | None) -> CostcalcError:
    noun, command = _NOUNS[kind]
    closed = _closed_models(kind, extra)
    if (wanted := normal_name(text)) in closed:
        return CostcalcError(
            f"{closed[wanted].name} is known by its list prices only, not by its shape",
            hint=f"compare with them as in: costcalc breakeven --model v3 --gpu h100 --against {wanted}",
        )
    spellings: dict[str, str] = {}
    for entry in list_entries(kind, extra):
        for alias in entry.aliases:
            spellings.setdefault(normal_name(alias), entry.name)
        spellings[entry.name] = entry.name
    spellings |= {name: model.names[0] for name, model in closed.items() if name not in spellings}
    meant = _meant(wanted, spellings)
    suggestion = f"did you mean {_listed(meant)}? " if meant else ""
    listing = f"list them with: costcalc {command}{' list --closed' if meant and closed.keys() >= {*meant} else ''}"
    return CostcalcError(f"unknown {noun} {shown(text)}", hint=suggestion + listing)


def _meant(wanted: str, spellings: Mapping[str, str]) -> list[str]:
    """Return the names that begin as typed, else the one spelled most like it, else the longest inside it."""
    if begun := [name for spelling, name in spellings.items() if wanted and spelling.startswith(wanted)]:
        return list(dict.fromkeys(begun))
    inside = [spelling for spelling in spellings if len(spelling) > 2 and spelling in wanted[:_MOST_TYPED]]
    close = nearest(wanted, spellings) or max(inside, key=len, default=None)
    return [spellings[close]] if close else []


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return f"'{names[0]}'"
    more = f" or {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"one of {', '.join(names[:_MOST_NAMES])}{more}"
