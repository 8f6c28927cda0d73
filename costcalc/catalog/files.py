"""Where catalog files are: folders searched, names, aliases and paths, and the heads of files."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

from costcalc.catalog.check import HEAD_BYTES, place
from costcalc.catalog.names import is_hub_id, loosely_meant, meant, normal_name, squeezed
from costcalc.catalog.names import listed as listed_names
from costcalc.errors import LONGEST_NAME, CostcalcError, nearest, shown

Kind = Literal["models", "hardware_profiles"]
KINDS: tuple[Kind, ...] = ("models", "hardware_profiles")


def catalog_roots(first: str | Path | None = None) -> list[Path]:
    """Return the folders of the catalog that exist; an earlier one shadows the later ones.

    first: a folder to put first, as given by `--catalog`.
    Raises CostcalcError when a folder named by `--catalog` or COSTCALC_CATALOG is no catalog.
    """
    roots = [] if first is None else [_named_root(str(first), "catalog")]
    listed = os.environ.get("COSTCALC_CATALOG", "").split(os.pathsep)
    roots += [_named_root(each, "COSTCALC_CATALOG") for each in listed if each.strip()]
    personal = config_folder()
    if personal is not None and personal.is_dir():
        roots.append(personal)
    return [*roots, packaged_root()]


def packaged_root() -> Path:
    """Return the folder of the data that costcalc ships: inside the wheel, or the checkout itself."""
    inside = Path(__file__).parents[1] / "_data"
    return inside if inside.is_dir() else Path(__file__).parents[2]


def config_folder() -> Path | None:
    """Return the user's configuration folder for costcalc by the platform's custom, or None without a home.

    Source: XDG Base Directory Specification; Apple File System Programming Guide; Windows known folders.
    """
    if sys.platform == "win32":
        base = os.environ.get("APPDATA")
        return Path(base) / "costcalc" if base else None
    # A relative XDG path is invalid and is to be ignored, says the specification.
    base = os.environ.get("XDG_CONFIG_HOME", "")
    if Path(base).is_absolute():
        return Path(base) / "costcalc"
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "costcalc"
    return home / ".config" / "costcalc"


def _named_root(text: str, where: str) -> Path:
    if not text.strip():
        raise CostcalcError("the folder's name is empty", where, "name a folder with models/ in it")
    root = Path(os.path.expanduser(text))  # noqa: PTH111 - unlike Path.expanduser, never raises
    if not os.path.isdir(root):  # noqa: PTH112 - nor does this, on names that no file can have
        what = "not a folder" if os.path.lexists(root) else "no such folder"
        raise CostcalcError(f"{what}: {shown(text)}", where)
    if not any((root / kind).is_dir() for kind in KINDS):
        raise CostcalcError(
            f"{shown(text)} holds neither models/ nor hardware_profiles/", where, "name the folder above them"
        )
    return root


# The first lines of catalog files: names, and the few facts that finding a file needs, without parsing it.


# Names stand in the first lines of a file, so that finding one costs a short read and no parsing.
_LIST = r"[ \t]*(?:\[([^\]]*)\]|((?:\r?\n[ \t]*-[ \t]+[^\n]*)+))"
_ALIASES = rf"(?m)^aliases:{_LIST}"
_SAME_SHAPE = rf"(?m)^same_shape:{_LIST}"
_NAME = r"(?m)^name:[ \t]*[\"']?(.*?)[\"']?[ \t]*(?:#.*)?$"
_MEMORY = r"(?m)^memory(?:_reported)?:[ \t]*([\d.]+) ?([GM]i?B)"
_UNITS = {"GB": 1e9, "MB": 1e6, "GiB": 2.0**30, "MiB": 2.0**20}
_ARCHITECTURE = r"(?m)^architecture:[ \t]*([a-z0-9-]+)"
_RELEASED = r"(?m)^released:[ \t]*[\"']?(\d{4}(?:-\d{2})*)"
_HF_ID = r"(?m)^hf_id:[ \t]*[\"']?([^\s\"'#]+)"


def read_aliases(path: Path) -> tuple[str, ...]:
    """Return the aliases and the Hugging Face id that stand in the first lines of a catalog file.

    path: the file; one that cannot be read has none.
    """
    return _aliases(head_of(path))


def head_of(path: Path) -> str:
    """Return the first lines of a catalog file, or nothing when it cannot be read."""
    try:
        # A pipe in an overlay would block, and nothing but a file can be part of a catalog.
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            return file.read(HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def names_in(head: str) -> list[str]:
    """Return what a file answers to besides its own name: the name that it shows, and its aliases."""
    shown_name = re.search(_NAME, head)
    return [*([shown_name[1]] if shown_name else []), *_aliases(head), *_listed(_SAME_SHAPE, head)]


def _aliases(head: str) -> tuple[str, ...]:
    hf_id = re.search(_HF_ID, head)
    own = [hf_id[1]] if hf_id and hf_id[1] != "null" else []
    return (*_listed(_ALIASES, head), *own)


def _listed(pattern: str, head: str) -> tuple[str, ...]:
    """Return the names that a list of a catalog file holds."""
    match = re.search(pattern, head)
    if match is None:
        return ()
    bracketed, lines = match[1], match[2]
    names = (
        bracketed.split(",")
        if bracketed is not None
        else [each.strip().removeprefix("-") for each in lines.splitlines()]
    )
    cleaned = (re.sub(r"\s+#.*", "", name).strip().strip("'\"") for name in names)
    return tuple(name for name in cleaned if name and name != "null")


# Find a catalog file by its name, by an alias or by its path.


_NOUNS: dict[Kind, tuple[str, str]] = {"models": ("model", "models"), "hardware_profiles": ("GPU", "gpus")}
_SUFFIXES = (".yaml", ".yml")
CLOSED_MODELS = "closed_models.yaml"  # lists prices of models without a shape; is not a model itself


class CatalogEntry(NamedTuple):
    """A file of the catalog: its name, where it is, and the other names it answers to."""

    name: str
    path: Path
    aliases: tuple[str, ...]
    own: bool = False  # of a folder of the user's, not shipped


class Found(NamedTuple):
    """The file that a name means, and what a reader has to know about how it was found.

    weights: the number format that the name says the weights are quantized to, where it says one.
    """

    path: Path
    remarks: tuple[str, ...] = ()
    weights: str | None = None


class Folders:
    """The folders of a catalog in order, and the files that names mean there; an earlier folder shadows later ones.

    first: a folder to search first, as given by `--catalog`.
    Raises CostcalcError when a folder named by `--catalog` or COSTCALC_CATALOG is no catalog.
    """

    def __init__(self, first: str | Path | None = None) -> None:
        self.roots = catalog_roots(first)

    def find(self, kind: Kind, name: str | Path, *, without: Path | None = None) -> Path:
        """Return the file of a model or an accelerator; raises CostcalcError with the nearest valid name.

        kind: 'models' or 'hardware_profiles'.
        name: a file's name without its suffix, an alias, a Hugging Face id, or a path.
        without: a file that does not answer, by its real path.
        """
        return self.resolve(kind, name, without=without).path

    def resolve(self, kind: Kind, name: str | Path, *, without: Path | None = None) -> Found:
        """Return the file of a model or an accelerator, and how its name was understood; as `find`."""
        text = str(name).strip()
        noun, command = _NOUNS[kind]
        if not text:
            raise CostcalcError(f"the name of the {noun} is empty", hint=f"list them with: costcalc {command}")
        looks_like_path = os.sep in text or "/" in text or text.lower().endswith((*_SUFFIXES, ".json"))
        path = Path(os.path.expanduser(text))  # noqa: PTH111 - unlike Path.expanduser, never raises
        if text.lower().endswith(_FILES_OF_GGUF):  # named after what is in it; nothing is read of it
            text, looks_like_path = re.split(r"[/\\]", text)[-1], False
        elif looks_like_path and os.path.lexists(path):
            return Found(path)
        if len(text) > LONGEST_NAME and not looks_like_path:
            raise CostcalcError(f"unknown {noun} {shown(text)}", hint=f"list them with: costcalc {command}")
        roots = self.roots
        if not text.lower().endswith((*_SUFFIXES, ".json")):
            if found := _named(kind, text, roots, without):
                return Found(found, (*_only_the_shape(text, found), *_shadowing(kind, text, found, roots, without)))
            if spelled := _spelled(self, kind, text, without):
                shadow = _shadowing(kind, text, spelled.path, roots, without)
                return spelled._replace(remarks=(*spelled.remarks, *shadow))
            if without is None and not looks_like_path and (loose := self._loosely(kind, text)):
                return loose
        if looks_like_path and not is_hub_id(text):
            raise _no_such_file(text, noun)
        raise _unknown(kind, text, self.entries(kind), self.closed_names() if kind == "models" else {})

    def _loosely(self, kind: Kind, text: str) -> Found | None:
        """The file that a part of a name means, where that is clear, with a remark that says so."""
        wanted = normal_name(text)
        if kind == "models" and wanted in self.closed_names():
            return None
        entries = {entry.name: entry.path for entry in self.entries(kind)}
        dates = {name: re.search(_RELEASED, head_of(path)) for name, path in entries.items()}
        names = loosely_meant(wanted, {name: date[1] if date else "" for name, date in dates.items()})
        if not names:
            return None
        others = f", the newest of {', '.join(sorted(names))}" if len(names) > 1 else ""
        return Found(entries[names[0]], (f"{shown(text, 80)} is taken for {names[0]}{others}.",))

    def entries(self, kind: Kind) -> list[CatalogEntry]:
        """Return every model or accelerator by name; shadowed files and aliases are left out."""
        return _entries(kind, self.roots)

    def paths(self, kind: Kind) -> list[Path]:
        """Return the file of every model or accelerator; shadowed files are left out."""
        return [entry.path for entry in self.entries(kind)]

    def closed_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of every model that has list prices only, its own name first, by each normal name."""
        return {}


_FILES_OF_GGUF = ".gguf"
_EXPERTS_OF_GGUF = "experts: mxfp4"


def _named(kind: Kind, text: str, roots: list[Path], without: Path | None) -> Path | None:
    # Hyphens are easily forgotten or made up, as in rtx4090 or gaudi-3; a name spelled right goes first.
    return _by_name(kind, text, normal_name, roots, without) or _by_name(kind, text, squeezed, roots, without)


def _spelled(folders: Folders, kind: Kind, text: str, without: Path | None) -> Found | None:
    """What a name means as drivers, model hubs and benchmarks spell it; raises CostcalcError where it is another."""
    # Names that the catalog has, as most are, need none of it.
    from costcalc.catalog.names import accelerated, accelerators_alike, of_gguf, same_memory, unquantized, untuned
    from costcalc.formats import GGUF_FIRST, gguf_format, number_type

    name, roots = normal_name(text), folders.roots
    if kind == "hardware_profiles":
        alike, wanted = accelerators_alike(name, folders.entries(kind)), accelerated(name).gigabytes
        for entry in alike:
            sizes = [float(size) * _UNITS[unit] for size, unit in re.findall(_MEMORY, head_of(entry.path))]
            if wanted is None or same_memory(wanted, sizes):
                return Found(entry.path)
        if alike:
            other = f"of that product there is {alike[0].name}, with another memory; list them with: costcalc gpus"
            raise CostcalcError(f"unknown GPU {shown(text)}", hint=other)
        return None
    for shorter in untuned(name):
        if path := _named(kind, shorter, roots, without):
            return Found(path, _only_the_shape(shorter, path) or _taken_for(text, shorter, path))
        if (file := of_gguf(shorter)) and (path := _named(kind, file[0], roots, without)):
            # A repository means what llama.cpp takes first; gpt-oss is there as it ships alone.
            weights = gguf_format(file[1]) if file[1] else None if _EXPERTS_OF_GGUF in head_of(path) else GGUF_FIRST
            if weights is not None or not file[1]:
                return Found(path, _taken_for(text, file[0], path, weights), weights)
        if (stored := unquantized(shorter)) and (path := _named(kind, stored[0], roots, without)):
            weights = number_type(stored[1]).weights.name
            told = _only_the_shape(stored[0], path) or _taken_for(text, stored[0], path, weights)
            return Found(path, told, weights)
    return None


def _only_the_shape(text: str, path: Path) -> tuple[str, ...]:
    """What to say of a name that belongs to another model of the same shape."""
    if normal_name(text) == path.stem or squeezed(text) not in map(squeezed, _listed(_SAME_SHAPE, head_of(path))):
        return ()
    return (f"{shown(text)} has the shape of {path.stem}; its dates, context and list prices are its own, not these.",)


def _taken_for(text: str, shorter: str, path: Path, weights: str | None = None) -> tuple[str, ...]:
    """What to say of a checkpoint that has a shorter name here; nothing where only its owner is left out."""
    if weights is None and squeezed(text.rpartition("/")[2]) == squeezed(shorter):
        return ()
    formats = f"with weights in {weights}, and all else" if weights else "with all that it has"
    return (f"{shown(text, 80)} is not in the catalog by this name: taken for {path.stem}, {formats} as listed there.",)


def _shadowing(kind: Kind, text: str, path: Path, roots: list[Path], without: Path | None) -> tuple[str, ...]:
    """What to say of a file of the user's that answers to a name which costcalc's own catalog has too."""
    packaged = packaged_root()
    if len(roots) < 2 or path.is_relative_to(packaged) or without is not None:
        return ()
    other = _named(kind, text, [packaged], None)
    if other is None:
        return ()
    return (f"{shown(text)} is {place(path)} here, not the {other.stem} that costcalc ships.",)


def _entries(kind: Kind, roots: list[Path]) -> list[CatalogEntry]:
    packaged = packaged_root()
    found: dict[str, CatalogEntry] = {}
    taken: set[str] = set()
    for root in roots:
        files = {stem: file for stem, file in _files(root, kind).items() if stem not in found}
        answering: set[str] = set()
        for stem, file in files.items():
            path = root / kind / file
            aliases = read_aliases(path)
            found[stem] = CatalogEntry(
                stem, path, tuple(each for each in aliases if normal_name(each) not in taken), root != packaged
            )
            answering |= {stem, *map(normal_name, aliases)}
        taken |= answering
    return [found[name] for name in sorted(found)]


@cache
def known_architectures() -> set[str]:
    """Return the families of accelerators that costcalc ships, by the first lines of their files."""
    root, kind = packaged_root(), "hardware_profiles"
    found = (re.search(_ARCHITECTURE, head_of(root / kind / each)) for each in _files(root, kind).values())
    return {each[1] for each in found if each is not None}


def _by_name(
    kind: Kind, text: str, spelled: Callable[[str], str], roots: list[Path], without: Path | None
) -> Path | None:
    name = spelled(text)
    words = name.split("-") if spelled is normal_name else []
    for index, root in enumerate(roots):
        files, folder = _files(root, kind), root / kind
        if without is not None:
            files = {stem: each for stem, each in files.items() if Path(os.path.realpath(folder / each)) != without}
        if spelled is normal_name and name in files:
            return folder / files[name]
        # An alias is mostly a part of the file's own name: what looks like it is opened first.
        for stem in sorted(files, key=lambda stem: name not in spelled(stem)):
            path = folder / files[stem]
            head = head_of(path).casefold()
            # Few heads hold the words of the name at all; only those are worth taking apart.
            if name == spelled(stem) or (all(map(head.__contains__, words)) and name in map(spelled, names_in(head))):
                # An overlay's file of the same name stands for this one, its aliases included.
                above = roots[:index] if without is None else []
                return next((each / kind / own for each in above if (own := _files(each, kind).get(stem))), path)
    return None


def _files(root: Path, kind: str) -> dict[str, str]:
    """Return the names of the YAML files of one folder by normal name; paths of all of them would take longer."""
    try:
        names = sorted(os.listdir(root / kind))  # noqa: PTH208 - several times faster than iterdir
    except OSError:
        return {}
    visible = [name for name in names if name.lower().endswith(_SUFFIXES) and not name.startswith(".")]
    visible = [name for name in visible if name != CLOSED_MODELS]
    return {normal_name(name.rpartition(".")[0]): name for name in reversed(visible)}


def _no_such_file(text: str, noun: str) -> CostcalcError:
    path = Path(text)
    try:
        beside = [each.name for each in path.parent.iterdir()]
    except (OSError, ValueError):
        beside = []
    close = nearest(path.name, beside)
    hint = f"did you mean '{path.parent / close}'?" if close else f"name a {noun} or an existing YAML file"
    return CostcalcError(f"no such file: {shown(text, 200)}", hint=hint)


def _counted(wanted: str, spellings: dict[str, str]) -> str | None:
    """A machine as '16xh100' where it was typed as '16h100', 'h100x16' or 'h100:16', or None for what is none."""
    known = {squeezed(each): each for each in reversed(spellings)}
    for form in (r"(?P<count>\d+)-?(?P<name>.+)", r"(?P<name>.+?)-?[x×*:]-?(?P<count>\d+)"):
        found = re.fullmatch(form, wanted)
        if found and int(found["count"]) and (name := known.get(squeezed(found["name"]))):
            return f"{int(found['count'])}x{name}"
    return None


def _unknown(kind: Kind, text: str, entries: list[CatalogEntry], closed: dict[str, tuple[str, ...]]) -> CostcalcError:
    noun, command = _NOUNS[kind]
    if os.path.lexists(text):
        return CostcalcError(f"unknown {noun} {shown(text)}", hint=f"for what is there, write {shown(f'./{text}')}")
    if (wanted := normal_name(text)) in closed:
        return CostcalcError(
            f"{closed[wanted][0]} is known by its list prices only, not by its shape",
            hint=f"compare with them as in: costcalc breakeven --model v3 --gpu h100 --against {wanted}",
        )
    spellings: dict[str, str] = {}
    for entry in entries:
        for alias in entry.aliases:
            spellings.setdefault(normal_name(alias), entry.name)
        spellings[entry.name] = entry.name
    spellings |= {name: names[1] for name, names in closed.items() if name not in spellings}
    close = meant(wanted.rpartition("/")[2] if is_hub_id(text) else wanted, spellings)
    suggestion = f"did you mean {listed_names(close)}? " if close else ""
    if kind == "hardware_profiles" and (counted := _counted(wanted, spellings)):
        suggestion = f"did you mean '{counted}'? "
    listing = f"list them with: costcalc {command}{' list --closed' if close and closed.keys() >= {*close} else ''}"
    return CostcalcError(f"unknown {noun} {shown(text)}", hint=suggestion + listing)
