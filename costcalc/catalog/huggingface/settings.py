"""The settings of a config.json asked by name, with a check of their type, and expressions over them."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from costcalc.catalog.check import KeyPath
from costcalc.catalog.huggingface.config import Document
from costcalc.errors import CostcalcError, nearest, shown

MOST = 10**8
Names = Mapping[str, Sequence[str]]
Mode = Literal["size", "flag", "word"]
"""How a lone name in an expression is read: a number, on or off, or as the word that it is."""
_MEANT_NULL = ("sliding_window",)
"""Settings whose null says something; elsewhere it is as good as nothing."""
_STATES = {"float32": "fp32", "bfloat16": "bf16", "float16": "bf16"}


class Fields:
    """Typed access to the settings of a group of a config.json.

    document: the file. path: keys that lead to the group. names: spellings of a name, the first one given counts; a
    dot leads into a group. defaults: what the model's class takes where the file says nothing: a value, or an
    expression. Those that were used are kept.
    """

    def __init__(
        self,
        document: Document,
        data: Mapping[str, Any],
        path: KeyPath = (),
        names: Names | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.document = document
        self.data = data
        self.path = path
        self.names = dict(names or {})
        self.defaults = defaults or {}
        self.defaults_used: dict[str, Any] = {}
        self.notes: list[str] = []

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
        value = self.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(name, f"must be true or false, got {shown(value)}")
        return value

    def text(self, name: str) -> str | None:
        """Return text, or None where the file has none; raises CostcalcError when it is something else."""
        value = self.get(name)
        if value is not None and not isinstance(value, str):
            raise self.error(name, f"must be text, got {shown(value)}")
        return value

    def numbers(self, name: str) -> list[int] | None:
        """Return a list of whole numbers of at least 0, or None; raises CostcalcError when it is something else."""
        listed = self._list(name)
        for value in listed or []:
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise self.error(name, f"must list whole numbers of at least 0, got {shown(value)}")
        return listed

    def words(self, name: str) -> list[str] | None:
        """Return a list of words, or None where the file has none; raises CostcalcError when it is something else."""
        listed = self._list(name)
        for value in listed or []:
            if not isinstance(value, str):
                raise self.error(name, f"must list words, got {shown(value)}")
        return listed

    def group(self, name: str) -> Fields | None:
        """Return the settings of a nested group, or None where the file has none."""
        key = self.key_of(name)
        if key is None:
            return None
        value = self._at(key)
        if not isinstance(value, dict):
            raise self.error(name, f"must be an object, got {shown(value)}")
        inner = Fields(self.document, value, (*self.path, key))
        inner.notes = self.notes
        return inner

    def note(self, text: str) -> None:
        """Keep a remark that the imported model has to carry; said once."""
        if text not in self.notes:
            self.notes.append(text)

    def _list(self, name: str) -> list[Any] | None:
        value = self.get(name)
        if value is not None and not isinstance(value, list):
            raise self.error(name, f"must be a list, got {shown(value)}")
        return value

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
