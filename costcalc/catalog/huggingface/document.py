"""A JSON file read strictly, which can say on which line and column a setting stands."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from costcalc.catalog.positions import KeyPath, place
from costcalc.catalog.yaml import read_text
from costcalc.errors import CostcalcError, shown

MAX_BYTES = 8_000_000
_DEEPEST = 16
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class Document:
    """The settings of a JSON file.

    path: the file. text: its content. data: the object it holds.
    """

    def __init__(self, path: str | Path, text: str, data: dict[str, Any]) -> None:
        self.path = path
        self.text = text
        self.data = data

    def place(self, keys: KeyPath) -> str:
        """Return where the value at a path of keys stands, as 'config.json:3:21'.

        keys: keys and list positions; where the file lacks the last of them, what holds it is named.
        """
        return place(self.path, _line_and_column(self.text, _offset(self.text, keys)))

    def error(self, keys: KeyPath, message: str, hint: str | None = None) -> CostcalcError:
        """Return the error that a setting is wrong.

        keys: the path of keys to it. message: what is wrong. hint: how to mend it.
        """
        name = ".".join(str(key) for key in keys)
        return CostcalcError(f"{name}: {message}" if name else message, self.place(keys), hint)


def read_document(path: str | Path) -> Document:
    """Return the object that a JSON file holds.

    path: the file.
    Raises CostcalcError with file:line:column when it cannot be read, is too large or is not strict JSON.
    """
    return parse_document(read_text(path, MAX_BYTES), path)


def parse_document(text: str, path: str | Path) -> Document:
    """Return the object that JSON text holds.

    text: the content. path: the file's name, for errors.
    Raises CostcalcError with file:line:column when it is not strict JSON.
    """
    if not text.strip():
        raise CostcalcError("the file is empty", place(path), "a config.json holds an object of settings")
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        position = (error.lineno, error.colno)
        raise CostcalcError(f"not JSON: {error.msg}", place(path, position), "is this a config.json?") from None
    except _DuplicateKeyError:
        _duplicate(text, path)
    except RecursionError:
        raise CostcalcError("not a config.json: nested too deeply", place(path)) from None
    except ValueError:
        raise CostcalcError("not JSON: a number has too many digits", place(path)) from None
    if not isinstance(data, dict):
        raise CostcalcError(f"expected an object of settings, got {shown(data)}", place(path, (1, 1)))
    return Document(path, text, data)


class _DuplicateKeyError(Exception):
    """An object names one key twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise _DuplicateKeyError
    return made


def _duplicate(text: str, path: str | Path) -> NoReturn:
    found = _second(text, _after_space(text, 0))
    if found is None:
        raise CostcalcError("a key is named twice in one object", place(path), "remove one of them")
    key, offset = found
    where = place(path, _line_and_column(text, offset))
    raise CostcalcError(f"duplicate key {shown(key)}", where, "remove one of them")


def _second(text: str, start: int, depth: int = 0) -> tuple[str, int] | None:
    """Return the first key named twice in one object, and where its second mention begins."""
    if depth > _DEEPEST:
        return None
    seen: set[str | int] = set()
    for key, at, value_at in _children(text, start):
        if isinstance(key, str) and key in seen:
            return key, at
        seen.add(key)
        if text[value_at] in "{[" and (inner := _second(text, value_at, depth + 1)):
            return inner
    return None


def _offset(text: str, keys: KeyPath) -> int:
    """Return where the value at a path begins, or the innermost group around it that the file holds."""
    start = _after_space(text, 0)
    for wanted in keys:
        found = [value_at for key, _, value_at in _children(text, start) if key == wanted]
        if not found:
            return start
        start = found[0]
    return start


def _children(text: str, start: int) -> Iterator[tuple[str | int, int, int]]:
    """Yield the key (or the number), its offset and its value's offset, for each item of an object or a list."""
    if text[start : start + 1] not in ("{", "["):
        return
    named = text[start] == "{"
    at, number = _after_space(text, start + 1), 0
    while text[at] not in "}]":
        key: str | int = number
        value_at = at
        if named:
            key, end = _DECODER.raw_decode(text, at)
            value_at = _after_space(text, _after_space(text, end) + 1)
        yield key, at, value_at
        _, end = _DECODER.raw_decode(text, value_at)
        at, number = _after_space(text, end), number + 1
        if text[at] == ",":
            at = _after_space(text, at + 1)


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _line_and_column(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - (text.rfind("\n", 0, offset) + 1) + 1
