"""The first lines of catalog files: names, and the few facts that finding a file needs, without parsing it."""

from __future__ import annotations

import re
from pathlib import Path

# Names stand in the first lines of a file, so that finding one costs a short read and no parsing.
_HEAD_BYTES = 2048
_LIST = r"[ \t]*(?:\[([^\]]*)\]|((?:\r?\n[ \t]*-[ \t]+[^\n]*)+))"
_ALIASES = re.compile(rf"^aliases:{_LIST}", re.MULTILINE)
_SAME_SHAPE = re.compile(rf"^same_shape:{_LIST}", re.MULTILINE)
_NAME = re.compile(r"^name:[ \t]*[\"']?(.*?)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)
_MEMORY = re.compile(r"^memory(?:_reported)?:[ \t]*([\d.]+) ?([GM]i?B)", re.MULTILINE)
_UNITS = {"GB": 1e9, "MB": 1e6, "GiB": 2.0**30, "MiB": 2.0**20}
_ARCHITECTURE = re.compile(r"^architecture:[ \t]*([a-z0-9-]+)", re.MULTILINE)
_HF_ID = re.compile(r"^hf_id:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)


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
            return file.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def names_in(head: str) -> list[str]:
    """Return what a file answers to besides its own name: the name that it shows, and its aliases."""
    shown_name = _NAME.search(head)
    return [*([shown_name[1]] if shown_name else []), *_aliases(head), *_listed(_SAME_SHAPE, head)]


def _aliases(head: str) -> tuple[str, ...]:
    hf_id = _HF_ID.search(head)
    own = [hf_id[1]] if hf_id and hf_id[1] != "null" else []
    return (*_listed(_ALIASES, head), *own)


def _listed(pattern: re.Pattern[str], head: str) -> tuple[str, ...]:
    """Return the names that a list of a catalog file holds."""
    match = pattern.search(head)
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


def same_shape(path: Path) -> tuple[str, ...]:
    """Return the other models whose shape a file has.

    path: the file.
    """
    return _listed(_SAME_SHAPE, head_of(path))


def architecture_of(path: Path) -> str | None:
    """Return the family of an accelerator's file.

    path: the file.
    """
    found = _ARCHITECTURE.search(head_of(path))
    return found[1] if found else None


def memory_of(path: Path) -> list[float]:
    """Return the memory of an accelerator as sold and as reported [B].

    path: its file.
    """
    return [float(size) * _UNITS[unit] for size, unit in _MEMORY.findall(head_of(path))]
