"""The folders that make up the catalog: the user's own first, what costcalc ships last."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Literal

from costcalc.errors import CostcalcError, shown

Kind = Literal["models", "hardware_profiles"]
KINDS: tuple[Kind, ...] = ("models", "hardware_profiles")


_FIRST: ContextVar[str | Path | None] = ContextVar("costcalc_catalog", default=None)


@contextmanager
def searched_first(folder: str | Path | None) -> Iterator[None]:
    """Search a catalog folder first in everything inside that names none itself.

    folder: the folder, as given by `--catalog`, or None to change nothing.
    Raises CostcalcError when it is no catalog.
    """
    if folder is None:
        yield
        return
    catalog_roots(folder)
    token = _FIRST.set(folder)
    try:
        yield
    finally:
        _FIRST.reset(token)


def catalog_roots(extra: str | Path | None = None) -> list[Path]:
    """Return the folders of the catalog that exist; an earlier one shadows the later ones.

    extra: a folder to put first, as given by `--catalog`.
    Raises CostcalcError when a folder named by `--catalog` or COSTCALC_CATALOG is no catalog.
    """
    first = extra if extra is not None else _FIRST.get()
    roots = [] if first is None else [_named_root(str(first), "--catalog")]
    listed = os.environ.get("COSTCALC_CATALOG", "").split(os.pathsep)
    roots += [_named_root(each, "COSTCALC_CATALOG") for each in listed if each.strip()]
    personal = config_folder()
    if personal is not None and personal.is_dir():
        roots.append(personal)
    return [*roots, packaged_root()]


def folders_searched() -> tuple[Path, ...]:
    """Return the folders that decide what a name means: the working one, for paths, and those of the catalog."""
    return (Path.cwd(), *catalog_roots())


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
