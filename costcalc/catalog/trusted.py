"""Specifications from data that is known to be valid: read by their annotations, not checked.

What costcalc ships was checked when `checked.txt` was written, which names the content of every file by its digest.
Reading such a file needs no pydantic, whose classes take longer to make than an estimate; everything else, be it one
letter away, is checked by catalog.validation.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin
from zlib import adler32, crc32

from costcalc.frozen import hints
from costcalc.schema import After, Before, ByKind, Spec

CHECKED = Path(__file__).with_name("checked.txt")
SpecT = TypeVar("SpecT", bound=Spec)
_Reader = Callable[[Any], Any]


def digest(text: str) -> str:
    """Return what tells the content of a file from what an edit makes of it: two checksums and the length.

    It guards against mistakes, not against malice, and needs no library of ciphers, which takes 2 ms to load.
    """
    content = text.encode()
    return f"{crc32(content):08x}{adler32(content):08x}{len(content):08x}"


def is_checked(spec: type[Spec], text: str) -> bool:
    """Return whether the content of a file was found to be a valid specification before it was shipped.

    spec: the class of the specification.
    text: the content.
    """
    return f"{digest(text)} {spec.__name__} " in _checked(CHECKED)


def stems_listed(name: str) -> list[str]:
    """Return which of the files that ship are listed as answering to a name; the files themselves decide.

    name: as catalog.names.normal_name spells it.
    """
    wanted = f"|{name}|"
    lines = _checked(CHECKED).splitlines() if wanted in _checked(CHECKED) else []
    return [Path(line.split()[2]).stem for line in lines if wanted in line]


def read(spec: type[SpecT], data: Any) -> SpecT:
    """Return the specification that valid raw data describes, the same that catalog.validation would return.

    spec: the class of the specification.
    data: the raw data, as from load_yaml; what is wrong in it goes unnoticed.
    """
    hint: Any = spec
    found: SpecT = _reader(hint)(data)
    return found


@cache
def _checked(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


@cache
def _reader(hint: Any) -> _Reader:
    """Return what reads a raw value as the type of a field."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _marked(*arguments)
    if origin in (Union, types.UnionType):
        (one,) = {_reader(each) for each in arguments if each is not types.NoneType}
        return lambda value: None if value is None else one(value)
    if origin is tuple:
        one, ellipsis = arguments  # as in tuple[X, ...]: specifications have no others
        assert ellipsis is ...
        item = _reader(one)
        return lambda value: tuple(map(item, value))
    if origin is dict:
        inside = _reader(arguments[1])
        return lambda value: {key: inside(each) for key, each in value.items()}
    spec = origin or hint
    if isinstance(spec, type) and issubclass(spec, Spec):
        return lambda value: spec(**{name: _field(hint, name)(each) for name, each in value.items()})
    return hint if hint in (int, float) else _as_it_is


@cache
def _field(spec: Any, name: str) -> _Reader:
    return _reader(hints(spec)[name])


def _marked(base: Any, *markers: Any) -> _Reader:
    """Return what reads a raw value as an annotated type."""
    if any(isinstance(each, ByKind) for each in markers):
        variants = {each.kind: each for each in get_args(base)}
        return lambda value: _reader(variants[value["kind"]])(value)
    before = [each.read for each in markers if isinstance(each, Before)]
    reader = before[0] if before else _reader(base)
    for each in markers:
        if isinstance(each, After):
            reader = _then(reader, each.read)
    return reader


def _then(first: _Reader, second: _Reader) -> _Reader:
    return lambda value: second(first(value))


def _as_it_is(value: Any) -> Any:
    return value
