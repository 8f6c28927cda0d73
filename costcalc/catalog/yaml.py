"""A strict YAML loader for catalog files, which remembers where every key and value stands.

It reads the parser's events itself. Anchors, aliases, tags, merge keys and several documents have no use
in a catalog file and are refused, which leaves no way to write a file that grows when it is loaded.
"""

from __future__ import annotations

import math
import os
import re
import stat
from pathlib import Path
from typing import Any

import yaml

from costcalc.catalog.check import (
    NUMBER_CHARACTERS,
    YAML_BYTES,
    YAML_DEPTH,
    YAML_VALUES,
    KeyPath,
    Position,
    Positions,
    line_and_column,
    place,
    position_of,
)
from costcalc.errors import CostcalcError, shown

# Plain YAML text to Python values, by the core schema of YAML 1.2.


Scalar = None | bool | int | float | str

_WORDS: dict[str, Scalar] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_HEXADECIMAL = r"0x[0-9a-fA-F]+"
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"


def resolve_scalar(text: str) -> Scalar:
    """Return the value of an unquoted YAML scalar.

    Unlike YAML 1.1, '3.35e12' is a number; yes, no, on, off, dates, '12:30:45' and numbers with a
    leading zero are text.

    Raises CostcalcError for a number that is not finite or is too long to be one.
    Source: YAML 1.2.2, section 10.3.2 (core schema).
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if not _FLOAT.fullmatch(text):
        if re.fullmatch(_NOT_FINITE, text):
            raise CostcalcError(f"{shown(text)} is not a finite number", hint="write null for what is unknown")
        return int(text, 16) if re.fullmatch(_HEXADECIMAL, text) and len(text) <= NUMBER_CHARACTERS else text
    digits = text.lstrip("+-")
    whole = digits.isdecimal()
    if whole and len(digits) > 1 and digits[0] == "0":
        return text
    if len(text) > NUMBER_CHARACTERS:
        raise CostcalcError(f"the number {shown(text)} has too many digits")
    if whole:
        return int(text)
    number = float(text)
    if not math.isfinite(number):
        raise CostcalcError(f"{shown(text)} is too large for a number")
    return number


TOO_DEEP = f"nested deeper than {YAML_DEPTH} levels"
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(path: str | Path) -> tuple[dict[str, Any], Positions]:
    """Return the mapping that a YAML file holds, and where its keys and values stand.

    Raises CostcalcError with file:line:column when it cannot be read or is not strict YAML.
    """
    return parse_yaml(read_text(path), path)


def parse_yaml(text: str, path: str | Path) -> tuple[dict[str, Any], Positions]:
    """Return the mapping that YAML text holds, and where its keys and values stand.

    text: the contents of a file.
    path: the file's name, for errors.
    Raises CostcalcError with file:line:column when it is not strict YAML.
    """
    if unprintable := _UNPRINTABLE.search(text):
        position = line_and_column(text, unprintable.start())
        raise CostcalcError("not YAML: a control character", place(path, position), "is this a text file?")
    loader = _Loader(text)
    try:
        return _Builder(loader, path).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = position_of(mark) if mark else (1, 1)
        if "nesting depth" in (error.problem or ""):  # the scanner, which reads ahead, has a limit of its own
            raise CostcalcError(TOO_DEEP, place(path, position)) from None
        raise CostcalcError(
            f"not YAML: {_problem(error)}", place(path, position), _remedy(error, text, position)
        ) from None
    finally:
        loader.dispose()


READ: set[tuple[int, int]] = set()
"""Files that were read, by `identity`: none of them is written over by an answer that is made of it."""


def identity(status: os.stat_result) -> tuple[int, int]:
    """Return what is the same for every name of a file: its device and number."""
    return status.st_dev, status.st_ino


def read_text(path: str | Path, most: int = YAML_BYTES) -> str:
    """Return the text of a regular UTF-8 file.

    most: largest size allowed [bytes].
    Raises CostcalcError when it is missing, unreadable, not a file, too large, binary or not UTF-8.
    """
    where = place(path)
    try:
        # A pipe or a device could block or never end.
        if not stat.S_ISREG(Path(path).stat().st_mode):
            kind = "a folder" if Path(path).is_dir() else "not a regular file"
            raise CostcalcError(f"this is {kind}", where, "name a file")
        # Files of the kernel look regular, and some of them never end.
        with os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            READ.add(identity(os.fstat(file.fileno())))
            content = file.read(most + 1) or b""  # of one that has nothing to tell at the moment: None
    except CostcalcError:
        raise
    except FileNotFoundError:
        raise CostcalcError("no such file", where) from None
    except PermissionError:
        raise CostcalcError("no permission to read this file", where) from None
    except (OSError, ValueError) as error:  # the latter of names that no file can have
        raise CostcalcError(f"cannot read this file: {getattr(error, 'strerror', None) or error}", where) from None
    if len(content) > most:
        raise CostcalcError(f"larger than {most / 1e6:g} MB", where, "is this the right file?")
    if len(content) > 3 and (content.startswith((b"\xff\xfe", b"\xfe\xff")) or content[:4].count(0) == 2):
        raise CostcalcError("UTF-16 text, not UTF-8", where, "save the file as UTF-8")
    if b"\0" in content:
        raise CostcalcError("a binary file, not text", where, "is this the right file?")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        position = (before.count(b"\n") + 1, error.start - (before.rfind(b"\n") + 1) + 1)
        raise CostcalcError("not UTF-8 text", place(path, position), "save the file as UTF-8") from None


class _Builder:
    """Builds the data of one document from the events of the parser."""

    def __init__(self, loader: Any, path: str | Path) -> None:
        self.loader = loader
        self.path = path
        self.positions = Positions()

    def document(self) -> tuple[dict[str, Any], Positions]:
        self.loader.get_event()  # the start of the stream
        if not self.loader.check_event(yaml.DocumentStartEvent):
            raise CostcalcError("the file is empty", place(self.path), "it must hold 'key: value' lines")
        self.loader.get_event()
        event = self.loader.get_event()
        if not isinstance(event, yaml.MappingStartEvent):
            what = "a list" if isinstance(event, yaml.SequenceStartEvent) else "a single value"
            raise self._error(f"expected a mapping, got {what}", event, "it must hold 'key: value' lines")
        data = self._value(event, ())
        self.loader.get_event()  # the end of the document
        if self.loader.check_event(yaml.DocumentStartEvent):
            raise self._error("a second document starts here", self.loader.get_event(), "keep one per file")
        return data, self.positions

    def _value(self, event: Any, path: KeyPath) -> Any:
        self.positions.values_at[path] = event.start_mark
        if len(self.positions.values_at) > YAML_VALUES:
            raise self._error(f"more than {YAML_VALUES:,} values", event, "is this the right file?")
        if isinstance(event, yaml.AliasEvent):
            raise self._error(f"the alias '*{event.anchor}' is not allowed", event, "write the value out")
        if event.anchor is not None:
            raise self._error(f"the anchor '&{event.anchor}' is not allowed", event, "remove it")
        if event.tag is not None:
            raise self._error(f"the tag '{event.tag}' is not allowed", event, "remove it")
        if isinstance(event, yaml.ScalarEvent):
            if "\0" in event.value:
                raise self._error("a NUL character, which no text needs", event, "remove it")
            return self._scalar(event) if event.implicit[0] else event.value
        if len(path) >= YAML_DEPTH:
            raise self._error(TOO_DEEP, event)
        return self._mapping(path) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path)

    def _scalar(self, event: Any) -> Any:
        try:
            return resolve_scalar(event.value)
        except CostcalcError as error:
            raise self._error(error.message, event, error.hint) from None

    def _mapping(self, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        while not isinstance(event := self.loader.get_event(), yaml.MappingEndEvent):
            key = self._key(event)
            inner = (*path, key)
            if key in mapping:
                first, _ = position_of(self.positions[inner])
                raise self._error(f"duplicate key '{key}' (first on line {first})", event, "remove one of them")
            self.positions[inner] = event.start_mark
            mapping[key] = self._value(self.loader.get_event(), inner)
        return mapping

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._error("a key must be plain text", event)
        if event.anchor is not None or event.tag is not None:
            raise self._error("a key must have no anchor and no tag", event)
        if not event.value:
            raise self._error("a key is empty", event, "write 'key: value'")
        if event.value == "<<" and event.implicit[0]:
            raise self._error("the merge key '<<' is not allowed", event, "write the keys out")
        return str(event.value)

    def _sequence(self, path: KeyPath) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := self.loader.get_event(), yaml.SequenceEndEvent):
            inner = (*path, len(items))
            self.positions[inner] = event.start_mark
            items.append(self._value(event, inner))
        return items

    def _error(self, message: str, event: Any, hint: str | None = None) -> CostcalcError:
        return CostcalcError(message, place(self.path, position_of(event.start_mark)), hint)


def _problem(error: yaml.MarkedYAMLError) -> str:
    problem = error.problem or "it cannot be parsed"
    return f"{error.context}, {problem}" if error.context else problem


def _remedy(error: yaml.MarkedYAMLError, text: str, position: Position) -> str | None:
    problem = error.problem or ""
    lines = text.split("\n")
    line = lines[position[0] - 1] if position[0] <= len(lines) else ""
    if line[position[1] - 1 :].startswith("\t") or line.lstrip(" ").startswith("\t"):
        return "indent with spaces, not tabs"
    if "mapping values are not allowed" in problem:
        return "check the indentation, and put text that holds ': ' in quotes"
    if "cannot start any token" in problem:
        return "put text that starts with this character in quotes"
    if "flow" in (error.context or ""):
        return "check the brackets and commas"
    if "quoted scalar" in (error.context or ""):
        return "close the quotes"
    return "check the indentation"
