"""A config.json found and read strictly, its settings asked by name, with line and column for errors."""

from __future__ import annotations

import ast
import json
import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, NoReturn

from costcalc.catalog.check import CONFIG_BYTES, KeyPath, line_and_column, place
from costcalc.catalog.huggingface.hub import cached, fetched
from costcalc.catalog.yaml import read_text
from costcalc.errors import CostcalcError, nearest, shown

_DEEPEST = 16
_LONG = 1_000_000
"""Characters of a text that is not read a second time to find a place in it."""
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Document:
    """The settings of a JSON file."""

    path: str | Path
    text: str  # its content
    data: dict[str, Any]  # the object it holds

    def place(self, keys: KeyPath) -> str:
        """Return where the value at a path of keys stands, as 'config.json:3:21'.

        keys: keys and list positions; where the file lacks the last of them, what holds it is named.
        """
        return place(self.path, line_and_column(self.text, _offset(self.text, keys)))

    def error(self, keys: KeyPath, message: str, hint: str | None = None) -> CostcalcError:
        """Return the error that a setting is wrong.

        keys: the path of keys to it. message: what is wrong. hint: how to mend it.
        """
        name = ".".join(str(key) for key in keys)
        return CostcalcError(f"{name}: {message}" if name else message, self.place(keys), hint)


def read_document(path: str | Path, what: str = "config.json") -> Document:
    """Return the object that a JSON file holds.

    path: the file. what: what it is, for errors.
    Raises CostcalcError with file:line:column when it cannot be read, is too large or is not strict JSON.
    """
    return parse_document(read_text(path, CONFIG_BYTES), path, what)


def parse_document(text: str, path: str | Path, what: str = "config.json") -> Document:
    """Return the object that JSON text holds.

    text: the content. path: the file's name, what: what it is, for errors.
    Raises CostcalcError with file:line:column when it is not strict JSON.
    """
    if not text.strip():
        raise CostcalcError("the file is empty", place(path), f"a {what} holds an object of settings")
    try:
        data = json.loads(text, object_pairs_hook=_unique)
    except json.JSONDecodeError as error:
        position = (error.lineno, error.colno)
        raise CostcalcError(f"not JSON: {error.msg}", place(path, position), f"is this a {what}?") from None
    except _DuplicateKeyError as error:
        if len(text) < _LONG:
            _duplicate(text, path)
        raise CostcalcError(f"duplicate key {shown(error.args[0])}", place(path), "remove one of them") from None
    except RecursionError:
        raise CostcalcError(f"not a {what}: nested too deeply", place(path)) from None
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
        last = {key: index for index, (key, _) in enumerate(pairs)}
        raise _DuplicateKeyError(next(key for index, (key, _) in enumerate(pairs) if last[key] > index))
    return made


def _duplicate(text: str, path: str | Path) -> NoReturn:
    found = _second(text, _after_space(text, 0))
    if found is None:
        raise CostcalcError("a key is named twice in one object", place(path), "remove one of them")
    key, offset = found
    where = place(path, line_and_column(text, offset))
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


# Where a configuration comes from: a file, a folder, or the Hugging Face hub.


CONFIG = "config.json"
QUANTIZATION = "hf_quant_config.json"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_URL = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/([^/?#\s]+/[^/?#\s]+)(?:[/?#]\S*)?")
STDIN = "-"
_SNAPSHOT = re.compile(r"models--([^/\\]+?)--([^/\\]+)[/\\]snapshots[/\\]")


@dataclass(frozen=True, slots=True)
class Source:
    """A configuration that was found.

    config: the file. quantization: ModelOpt's file beside it, if there is one. hf_id: the model's id on the
    hub, where it is known. told: what the imported model names as its source. name: of the model. texts: those of the
    files that were fetched.
    """

    config: Path
    quantization: Path | None
    hf_id: str | None
    told: str
    name: str
    texts: Mapping[Path, str] = field(default_factory=dict)

    def document(self, path: Path) -> Document:
        """Return the object that one of the files holds; raises CostcalcError as `read_document`."""
        return parse_document(self.texts[path], path) if path in self.texts else read_document(path)


def find_source(text: str, *, online: bool = False) -> Source:
    """Return the configuration that a path or a hub id names.

    text: a config.json, a folder that holds one, an id such as 'Qwen/Qwen3-8B', or the address of its page.
    online: whether what the local cache of the hub lacks may be fetched, from HF_ENDPOINT where it is set.
    Raises CostcalcError when there is none.
    """
    if not text.strip() or "\0" in text:
        raise CostcalcError("the path is empty" if not text.strip() else "a path cannot hold a NUL byte")
    if address := _URL.fullmatch(text.strip()):
        return _from_hub(address.group(1), online)
    if "://" in text:
        raise CostcalcError(
            f"{shown(text)} is not on huggingface.co", hint="download its config.json, and name the file"
        )
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - unlike Path.expanduser, never raises
    if os.path.isdir(path):  # noqa: PTH112 - nor does this, on names that no file can have
        if not os.path.lexists(path / CONFIG):
            raise CostcalcError(f"there is no {CONFIG} in this folder", text, "name the folder of a checkpoint")
        return _local(path / CONFIG)
    if os.path.lexists(path) or not _HUB_ID.fullmatch(text) or text.endswith(".json"):
        return _local(path)
    return _from_hub(text, online)


def _local(config: Path) -> Source:
    beside = config.with_name(config.name.replace(CONFIG, QUANTIZATION))
    absolute = Path(os.path.abspath(config))  # noqa: PTH100 - keeps links as they are named
    hub = _SNAPSHOT.search(str(absolute))
    hf_id = f"{hub.group(1)}/{hub.group(2)}" if hub else None
    name = hf_id.split("/")[1] if hf_id else _name_of(absolute)
    told = f"{absolute.parent.name}/{CONFIG}" if config.name == CONFIG else config.name
    found = beside if beside != config and beside.is_file() else None
    return Source(config, found, hf_id, f"{hf_id}, {CONFIG}" if hf_id else told.lstrip("/"), name)


def _name_of(config: Path) -> str:
    """Return a name for a model from its file's name, or its folder's where the file is a plain config.json."""
    stem = config.stem
    if stem == "config":
        stem = config.parent.name
    stem = re.sub(r"[._-]config$", "", stem).split("--")[-1]
    cleaned = re.sub(r"[^\w.+-]+", "-", stem, flags=re.ASCII).strip("-._")
    return cleaned or "imported-model"


def _from_hub(hf_id: str, online: bool) -> Source:
    config, quantization = cached(hf_id, CONFIG), cached(hf_id, QUANTIZATION)
    texts: dict[Path, str] = {}
    if config is None and not online:
        raise CostcalcError(
            f"{shown(hf_id)} is no file or folder, and not in the local cache of the hub",
            hint="add --online to fetch its config.json, or name a file",
        )
    if config is None and (text := fetched(hf_id, CONFIG)) is not None:
        config = Path(hf_id, CONFIG)
        texts[config] = text
    if quantization is None and online and (text := fetched(hf_id, QUANTIZATION, needed=False)) is not None:
        quantization = Path(hf_id, QUANTIZATION)
        texts[quantization] = text
    return Source(config or Path(CONFIG), quantization, hf_id, f"{hf_id}, {CONFIG}", hf_id.split("/")[1], texts)


# The settings asked by name, with a check of their type.


MOST = 10**8
Mode = Literal["size", "flag", "word"]
"""How a lone name in an expression is read: a number, on or off, or as the word that it is."""
_MEANT_NULL = ("sliding_window",)
"""Settings whose null says something; elsewhere it is as good as nothing."""
_STATES = {"float32": "fp32", "bfloat16": "bf16", "float16": "bf16"}


@dataclass
class Fields:
    """Typed access to the settings of a group of a config.json.

    names: spellings of a name, the first one given counts; a dot leads into a group. defaults: what the model's class
    takes where the file says nothing: a value, or an expression. Those that were used are kept.
    """

    document: Document
    data: Mapping[str, Any]
    path: KeyPath = ()  # keys that lead to the group
    names: dict[str, Sequence[str]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    defaults_used: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def spellings(self, name: str) -> Sequence[str]:
        """Return the spellings of a name."""
        return self.names.get(name, (name,))

    def _at(self, spelled: str) -> Any:
        found: Any = self.data
        for key in spelled.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return None if found == "auto" else found

    def key_of(self, name: str) -> str | None:
        """Return the spelling under which the file gives a name a value, or None."""
        return next((key for key in self.spellings(name) if self._at(key) is not None), None)

    def has(self, name: str) -> bool:
        """Whether the file gives a name a value that is not null."""
        return self.key_of(name) is not None

    def get(self, name: str) -> Any:
        """Return the value of a name, its class default where the file has none, or None."""
        key = self.key_of(name)
        if key is not None:
            return self._at(key)
        if name not in self.defaults or (name in _MEANT_NULL and name in self.data):
            return None
        default = self.defaults[name]
        if isinstance(default, str):
            found = evaluate(self, default)
            if type(found) is int:
                self.note(f"{name} is {default}, as the model's code derives it.")
            return found
        self.defaults_used[name] = default
        return default

    def error(self, name: str, message: str, hint: str | None = None) -> CostcalcError:
        """Return the error that a setting is wrong."""
        key = self.key_of(name) or self.spellings(name)[0]
        return self.document.error((*self.path, *key.split(".")), message, hint)

    def size(self, name: str, default: int | None = None, *, least: int = 1, most: int = MOST) -> int:
        """Return a whole number, which a list may repeat for every layer.

        name: the setting. default: its value where the file has none; without one it must be there.
        least, most: its bounds.
        Raises CostcalcError when it is missing, no whole number or out of bounds.
        """
        value = self.get(name)
        if value is None:
            if default is None:
                raise self._missing(name)
            return default
        if isinstance(value, list) and value and all(each == value[0] for each in value):
            value = value[0]
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(name, f"must be a whole number, got {shown(value)}")
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most:,}"
            raise self.error(name, f"must be {bound}, got {shown(value)}")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return true or false, `default` where the file has none; raises CostcalcError when it is neither."""
        value = self._of(bool, name, "true or false")
        return default if value is None else value

    def text(self, name: str) -> str | None:
        """Return text, or None where the file has none; raises CostcalcError when it is something else."""
        return self._of(str, name, "text")

    def numbers(self, name: str) -> list[int] | None:
        """Return a list of whole numbers of at least 0, or None; raises CostcalcError when it is something else."""
        return self._listed(name, "whole numbers of at least 0", lambda each: type(each) is int and each >= 0)

    def words(self, name: str) -> list[str] | None:
        """Return a list of words, or None where the file has none; raises CostcalcError when it is something else."""
        return self._listed(name, "words", lambda each: isinstance(each, str))

    def group(self, name: str) -> Fields | None:
        """Return the settings of a nested group, or None where the file has none."""
        key = self.key_of(name)
        if key is None:
            return None
        value = self._at(key)
        if not isinstance(value, dict):
            raise self.error(name, f"must be an object, got {shown(value)}")
        return Fields(self.document, value, (*self.path, key), notes=self.notes)

    def note(self, text: str) -> None:
        """Keep a remark that the imported model has to carry; said once."""
        if text not in self.notes:
            self.notes.append(text)

    def _of(self, kind: type[Any], name: str, what: str) -> Any:
        value = self.get(name)
        if value is not None and not isinstance(value, kind):
            raise self.error(name, f"must be {what}, got {shown(value)}")
        return value

    def _listed(self, name: str, what: str, fits: Callable[[Any], bool]) -> list[Any] | None:
        listed: list[Any] | None = self._of(list, name, "a list")
        for value in listed or []:
            if not fits(value):
                raise self.error(name, f"must list {what}, got {shown(value)}")
        return listed

    def _missing(self, name: str) -> CostcalcError:
        spelled = self.spellings(name)
        group, _, inner = spelled[0].rpartition(".")
        if inner and group and self._at(group) is None:
            return self.document.error((*self.path, group), "is missing", "the shape cannot be known without it")
        near = nearest(spelled[0], [key for key in self.data if key not in spelled], cutoff=0.85)
        text = "is null" if spelled[0] in self.data else "is missing"
        return self.error(name, text, f"the file has '{near}'" if near else "the shape cannot be known without it")


# Expressions over settings, as the rows of families.yaml write them. Python's grammar, and nothing of Python beside:
# numbers, names of settings, arithmetic, or, and, not, if, comparisons, and the calls below.


_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Gt: operator.gt, ast.Eq: operator.eq, ast.NotEq: operator.ne,
}  # fmt: skip


@cache
def _parsed(text: str) -> ast.expr:
    return ast.parse(text.strip(), mode="eval").body


def evaluate(fields: Fields, expression: object, mode: Mode = "size") -> Any:
    """Return the value of an expression over settings.

    fields: the settings. expression: text; anything else is a value already. mode: how a lone name is read.
    Raises CostcalcError where a setting is missing or of another type.
    """
    return _value(fields, _parsed(expression), mode) if isinstance(expression, str) else expression


def first_name(expression: object) -> str:
    """Return the setting that an expression names first, for errors."""
    nodes = (node for node in ast.walk(_parsed(str(expression))) if isinstance(node, ast.Name))
    return min((node.col_offset, node.id) for node in nodes if node.id not in _CALLS)[1]


def _value(fields: Fields, node: ast.expr, mode: Mode) -> Any:
    match node:
        case ast.Constant():
            return node.value
        case ast.Name():
            return node.id if mode == "word" else fields.flag(node.id) if mode == "flag" else fields.size(node.id)
        case ast.IfExp():
            return _value(fields, node.body if _value(fields, node.test, "flag") else node.orelse, mode)
        case ast.UnaryOp():  # not
            return not _value(fields, node.operand, "flag")
        case ast.BoolOp(op=ast.And()):
            return all(_value(fields, each, "flag") for each in node.values)
        case ast.BoolOp() if mode == "flag":
            return any(_value(fields, each, "flag") for each in node.values)
        case ast.BoolOp():  # the first that the file has; 0 where 0 is what stands in for nothing
            last = node.values[-1]
            least = 0 if isinstance(last, ast.Constant) and last.value == 0 else 1
            found = (_optional(fields, each, least) for each in node.values)
            return next((each for each in found if each is not None), None)
        case ast.Compare():
            left, right = _value(fields, node.left, "size"), _value(fields, node.comparators[0], "size")
            return _ARITHMETIC[type(node.ops[0])](left, right)
        case ast.BinOp(op=ast.Div()):
            return _exactly(fields, node)
        case ast.BinOp():
            left, right = _value(fields, node.left, "size"), _value(fields, node.right, "size")
            return _ARITHMETIC[type(node.op)](left, right)
        case ast.Call(func=ast.Name(id=name), args=[ast.Name(id=setting)]):
            return _CALLS[name](fields, setting)
    raise ValueError(f"not an expression over settings: {ast.unparse(node)}")


def _optional(fields: Fields, node: ast.expr, least: int) -> Any:
    if not isinstance(node, ast.Name):
        return _value(fields, node, "size")
    return None if fields.get(node.id) is None else fields.size(node.id, least=least)


def _exactly(fields: Fields, node: ast.BinOp) -> int:
    """A whole quotient; raises CostcalcError where there is a rest."""
    whole, parts = _value(fields, node.left, "size"), _value(fields, node.right, "size")
    if whole % parts:
        what = ast.unparse(node.right).removeprefix("num_").replace("_", " ")
        hint = "give head_dim" if what == "attention heads" else None
        raise fields.error(first_name(ast.unparse(node)), f"{whole} is no multiple of {parts} {what}", hint)
    return int(whole // parts)


def _state(fields: Fields, name: str) -> str | None:
    """The format of a recurrent state, or None where the file does not say."""
    word = fields.text(name)
    if word is not None and word not in _STATES:
        raise fields.error(name, f"unknown format '{word}'", f"one of {', '.join(_STATES)}")
    return None if word is None else _STATES[word]


_CALLS: dict[str, Callable[[Fields, str], Any]] = {
    "given": lambda fields, name: fields.get(name) is not None,
    "unusual": lambda fields, name: fields.get(name) not in (None, 1, 1.0),
    "from_zero": lambda fields, name: fields.size(name, least=0),
    "dtype": _state,
}
