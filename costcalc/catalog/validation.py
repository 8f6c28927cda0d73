"""From raw data to a specification, with every mistake told as one line that points at the file."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from costcalc.catalog.positions import KeyPath, Position, Positions, descend, has, place
from costcalc.errors import CostcalcError, did_you_mean, nearest, shown
from costcalc.schema import Spec

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

SpecT = TypeVar("SpecT", bound=Spec)

_EXPECTED = {
    "int": "an integer",
    "float": "a number",
    "finite": "a finite number",
    "string": "text",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "a mapping",
    "mapping": "a mapping",
    "model": "a mapping",
    "dataclass": "a mapping",
    "date": "a date such as 2026-11-23",
}
_WRONG_TYPE = ("_type", "_parsing", "_from_float", "_number", "_parsing_size")
_BOUNDS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


class _Mistake(NamedTuple):
    path: KeyPath
    position: Position
    text: str
    hint: str | None


def validate(spec: type[SpecT], data: Any, positions: Positions | None = None, path: str | Path | None = None) -> SpecT:
    """Return the specification that raw data describes: the way to make one from what people write.

    spec: the class of the specification.
    data: the raw data, as from load_yaml: plain values such as '80 GB', lists and dictionaries.
    positions: where its keys and values stand in a file.
    path: the file, for errors; None for data from elsewhere.
    Raises CostcalcError with file:line:column, or the command-line option that set the value.
    """
    from pydantic import ValidationError

    try:
        return adapter(spec).validate_python(data)
    except ValidationError as error:
        raise _first_mistake(error, spec, data, positions or Positions(), path) from None


def adapter(spec: type[SpecT]) -> TypeAdapter[SpecT]:
    """Return what checks raw data against a specification, and makes its JSON Schema."""
    hint: Any = spec
    return _adapter(hint)


@cache
def _adapter(spec: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(spec)


def _first_mistake(
    error: ValidationError, spec: type[Spec], data: Any, positions: Positions, path: str | Path | None
) -> CostcalcError:
    details: list[Any] = [each for each in error.errors(include_url=False) if not _is_echo(each)]
    mistakes = [_mistake(detail, spec, data, positions) for detail in details]
    # A misspelt key is reported as one too many and one missing: only the first says how to mend it.
    meant = {
        (*mistake.path[:-1], nearest(str(mistake.path[-1]), _missing(details, data, mistake.path[:-1])))
        for mistake, detail in zip(mistakes, details, strict=True)
        if detail["type"] == "unexpected_keyword_argument"
    }
    told = [
        mistake
        for mistake, detail in zip(mistakes, details, strict=True)
        if detail["type"] != "missing" or mistake.path not in meant
    ]
    told.sort(key=lambda mistake: (positions.override_of(mistake.path) is None, mistake.position))
    errors = tuple(_told(mistake, positions, path) for mistake in told)
    first = errors[0]
    if len(errors) > 1:
        more = f" (and {len(errors) - 1} more)"
        message, hint = (first.message, first.hint + more) if first.hint else (first.message + more, None)
        first = CostcalcError(message, first.where, hint)
        first.each = errors
    return first


def _told(mistake: _Mistake, positions: Positions, path: str | Path | None) -> CostcalcError:
    option = positions.override_of(mistake.path)
    name = "" if option else ".".join(str(step) for step in mistake.path)
    message = f"{name}: {mistake.text}" if name else mistake.text
    where = option or (None if path is None else place(path, mistake.position))
    return CostcalcError(message, where, mistake.hint)


def _is_echo(detail: Any) -> bool:
    """Return whether pydantic calls a list too short only because its items are wrong."""
    return bool(detail["type"] == "too_short" and len(detail["input"]) >= detail["ctx"]["min_length"])


def _missing(details: list[Any], data: Any, group: KeyPath) -> list[str]:
    paths = [_data_path(each["loc"], data) for each in details if each["type"] == "missing"]
    return [str(path[-1]) for path in paths if path[:-1] == group]


def _mistake(detail: Any, spec: type[Spec], data: Any, positions: Positions) -> _Mistake:
    path = _data_path(detail["loc"], data)
    kind = detail["type"]
    if kind == "unexpected_keyword_argument":
        from costcalc.catalog.shape import allowed_keys

        keys = allowed_keys(spec, data, path[:-1]) or []
        listed = ", ".join(keys[:12]) + (", ..." if len(keys) > 12 else "")
        hint = did_you_mean(str(path[-1]), keys) or f"valid keys: {listed}"
        return _Mistake(path, positions.of_key(path), "unknown key", hint)
    if kind == "missing":
        return _Mistake(path, positions.of_value(path[:-1]), "this key is missing", None)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_kind(detail, path, positions)
    text, remedy = _wrong_value(detail)
    cause = detail.get("ctx", {}).get("error") if kind == "value_error" else None
    path += cause.path if isinstance(cause, CostcalcError) else ()
    return _Mistake(path, positions.of_value(path), text, remedy)


def _wrong_kind(detail: Any, path: KeyPath, positions: Positions) -> _Mistake:
    key = str(detail["ctx"]["discriminator"]).strip("'")
    inner = (*path, key)
    if detail["type"] == "union_tag_not_found":
        return _Mistake(inner, positions.of_value(path), "this key is missing", f"write '{key}: ...'")
    kinds = re.findall(r"'([^']*)'", detail["ctx"]["expected_tags"])
    given = str(detail["ctx"]["tag"])
    hint = did_you_mean(given, kinds) or f"one of: {', '.join(kinds)}"
    return _Mistake(inner, positions.of_value(inner), f"unknown {key} {shown(given)}", hint)


def _wrong_value(detail: Any) -> tuple[str, str | None]:
    """Return what is wrong with a value, and how to mend it."""
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    if kind == "value_error":
        cause = context.get("error")
        if isinstance(cause, CostcalcError):
            return cause.message, cause.hint
        return str(cause), None
    if kind in ("literal_error", "enum"):
        choices = re.findall(r"'([^']*)'", context["expected"])
        hint = did_you_mean(str(given), choices) or f"one of: {', '.join(choices)}"
        return f"{shown(given)} is not valid here", hint
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"must be {words} {context[bound]}, got {shown(given)}", None
    if kind == "too_short":
        return f"must hold at least {context['min_length']} item(s)", None
    if kind == "string_pattern_mismatch":
        return f"{shown(given)} does not fit the pattern {context['pattern']}", None
    expected = _EXPECTED.get(kind.split("_")[0]) if kind.endswith(_WRONG_TYPE) else None
    if expected is None:
        message = str(detail["msg"])
        return message[:1].lower() + message[1:], None
    remedy = "put it in quotes" if expected == "text" and isinstance(given, (int, float)) else None
    return f"expected {expected}, got {shown(given)}", remedy


def _data_path(location: tuple[str | int, ...], data: Any) -> KeyPath:
    """Return the path in the data of an error's location, which also names variants of unions."""
    path: list[str | int] = []
    value, tag = data, _tag(data)
    for index, step in enumerate(location):
        if step == tag:
            tag = None  # at most once in a group, before its fields
        elif has(value, step):
            path.append(step)
            value = descend(value, step)
            tag = _tag(value)
        elif index == len(location) - 1 and isinstance(value, dict) and isinstance(step, str):
            path.append(step)  # a missing key
    return tuple(path)


def _tag(value: Any) -> Any:
    return value.get("kind") if isinstance(value, dict) else None
