"""From raw data to a specification, with every mistake told as one line that points at its place in the file."""

from __future__ import annotations

import contextlib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Protocol, TypeVar, Union, get_args, get_origin

from costcalc.errors import CostcalcError, did_you_mean, nearest, shown
from costcalc.fields import ByKind, Spec, hints

if TYPE_CHECKING:
    from pydantic_core import SchemaValidator, ValidationError


# How much a file may hold: whatever it is, it is read, and refused, within a second of processor time and 300 MB. Of
# measurements, 10,000 different rows that cannot be used take a second, too; a serving run that can be takes 1 ms.
#
# YAML has no aliases, anchors or merge keys here, so that what is read is never larger than what was written.


YAML_BYTES = 1_000_000
YAML_DEPTH = 32
"""Levels of mappings and lists inside each other."""
YAML_VALUES = 20_000
"""Values of all kinds: the largest file that ships holds a twentieth of them."""
NUMBER_CHARACTERS = 40
EXTENDED_FILES = 8
"""Files that `extends` may lead through."""
HEAD_BYTES = 2048
"""What is read of a file to find its names."""
CONFIG_BYTES = 8_000_000
"""A config.json of Hugging Face."""
FETCH_SECONDS = 20
"""Time until it is there, from the hub."""
CSV_BYTES = 10_000_000
"""A file of measurements; the largest that ships holds a thirtieth."""
CSV_LINES = 10_000
CSV_COLUMNS = 200
CSV_NAMES = 300
"""Different GPUs, models and number types that a file of measurements names."""
BENCHMARK_BYTES = 32_000_000
"""What a benchmark wrote, with all of its requests."""
BENCHMARK_RUNS = 10_000
"""Runs of all files that are priced together."""
QUESTIONS = 200
"""Questions of one scenario file."""
MISTAKES = 100
"""Mistakes of one file that are told one by one; the others are counted."""


# Places in a file, by line and column.


KeyPath = tuple[str | int, ...]
Position = tuple[int, int]


class Mark(Protocol):
    """A place as the YAML parser keeps it: line and column from 0."""

    line: int
    column: int


class Positions(dict[KeyPath, Mark]):
    """Where the key (or list item) at each path of a file stands.

    values_at: where the value at each path stands.
    overrides: for a path set on the command line, the option that set it.
    """

    def __init__(self) -> None:
        self.values_at: dict[KeyPath, Mark] = {}
        self.overrides: dict[KeyPath, str] = {}

    def of_key(self, path: KeyPath) -> Position:
        """Return the line and column, from 1, of the key, or of the innermost group around it that the file names."""
        return self._nearest(self, path)

    def of_value(self, path: KeyPath) -> Position:
        """Return the line and column, from 1, of the value, or of the innermost group around it that the file names."""
        return self._nearest(self.values_at, path)

    def override_of(self, path: KeyPath) -> str | None:
        """Return the option that set this path or a group around it, or None."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.overrides:
                return self.overrides[path[:length]]
        return None

    @staticmethod
    def _nearest(marks: Mapping[KeyPath, Mark], path: KeyPath) -> Position:
        for length in range(len(path), -1, -1):
            if path[:length] in marks:
                return position_of(marks[path[:length]])
        return 1, 1


def position_of(mark: Mark) -> Position:
    """Return the line and the column, both from 1, of a place in a file."""
    return mark.line + 1, mark.column + 1


def place(path: str | Path, position: Position | None = None) -> str:
    """Return a file and a position as people follow them: 'models/x.yaml:12:3'.

    path: the file; shown relative to the current folder when it is inside it.
    position: line and column, from 1.
    """
    shown = Path(path)
    with contextlib.suppress(OSError, ValueError):  # there may be no folder to be in, or the file is elsewhere
        shown = shown.relative_to(Path.cwd()) if shown.is_absolute() else shown
    return f"{shown}:{position[0]}:{position[1]}" if position else str(shown)


def line_and_column(text: str, offset: int) -> Position:
    """Return the line and the column, both from 1, of an offset in a text."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def has(value: Any, step: str | int) -> bool:
    """Return whether raw data holds a key or a list position."""
    if isinstance(value, dict):
        return step in value
    return isinstance(value, list) and isinstance(step, int) and 0 <= step < len(value)


def descend(value: Any, step: str | int) -> Any:
    """Return what raw data holds at a key or a list position, or None when it holds nothing there."""
    return value[step] if has(value, step) else None


# From the annotations of a specification to pydantic's core schema, class by class, when a file first holds one.
#
# pydantic's own adapters make every class that a file might hold, which takes several times longer than an estimate.


SpecT = TypeVar("SpecT", bound=Spec)


@cache
def validator(hint: Any) -> SchemaValidator:
    """Return what checks raw data against a specification, or against any type that a field of one may have."""
    from pydantic_core import SchemaValidator

    return SchemaValidator(_dataclass(hint) if _is_spec(get_origin(hint) or hint) else _schema(hint))


def json_schema(spec: type[Spec]) -> dict[str, Any]:
    """Return the JSON Schema of what a file may hold."""
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def generate_inner(self, schema: Any) -> dict[str, Any]:
            told = schema.get("metadata", {})
            if "spec" in told:
                return self.generate_inner(_dataclass(told["spec"]))
            return {**(told.get("instead") or super().generate_inner(schema)), **told.get("beside", {})}

        def field_title_should_be_set(self, schema: Any) -> bool:
            return "spec" not in schema.get("metadata", {}) and super().field_title_should_be_set(schema)

    return Generator().generate(_dataclass(spec))


def _schema(hint: Any) -> Any:
    """Return the core schema of a field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        base, *markers = arguments
        by_kind = any(isinstance(each, ByKind) for each in markers)
        schema = _by_kind(base) if by_kind else _schema(base)
        for each in markers:
            schema = each.applied(schema)
        return schema
    if origin in (Union, types.UnionType):
        choices = [_schema(each) for each in arguments if each is not types.NoneType]
        one = choices[0] if len(choices) == 1 else {"type": "union", "choices": choices}
        return {"type": "nullable", "schema": one} if types.NoneType in arguments else one
    if origin is tuple:
        return {"type": "tuple", "items_schema": [_schema(arguments[0])], "variadic_item_index": 0}
    if origin is dict:
        return {"type": "dict", "keys_schema": _schema(arguments[0]), "values_schema": _schema(arguments[1])}
    if origin is Literal:
        return {"type": "literal", "expected": list(arguments)}
    if hint is float:
        return {"type": "float", "allow_inf_nan": False}  # a text such as '1e999' is read as a number, too
    return _later(hint) if _is_spec(origin or hint) else {"type": hint.__name__}


def _later(spec: Any) -> Any:
    """Return the core schema of a group, whose class is made when a file holds one."""
    function = {"type": "no-info", "function": lambda value: validator(spec).validate_python(value)}
    return {"type": "function-plain", "function": function, "metadata": {"spec": spec}}


def _by_kind(union: Any) -> Any:
    choices = {kind: _later(each) for each in get_args(union) for kind in _kinds(each)}
    return {"type": "tagged-union", "discriminator": "kind", "choices": choices}


def _dataclass(spec: Any) -> Any:
    cls = get_origin(spec) or spec
    fields = [_field(cls.__dataclass_fields__[name], hint) for name, hint in hints(spec).items()]
    return {
        "type": "dataclass",
        "cls": cls,
        "ref": f"{cls.__module__}.{cls.__name__}:{id(cls)}",
        "config": {"extra_fields_behavior": "forbid", "title": cls.__name__},
        "fields": [each["name"] for each in fields],
        "schema": {"type": "dataclass-args", "dataclass_name": cls.__name__, "fields": fields},
        "post_init": True,
    }


def _field(field: Any, hint: Any) -> dict[str, Any]:
    schema = _schema(hint)
    if field.default is not MISSING:
        schema = {"type": "default", "schema": schema, "default": field.default}
    elif field.default_factory is not MISSING:
        schema = {"type": "default", "schema": schema, "default_factory": field.default_factory}
    return {"type": "dataclass-field", "name": field.name, "schema": schema}


# Which keys a specification allows at a path, so that a misspelt one can be told its nearest.


def allowed_keys(spec: type[Spec], data: Any, path: KeyPath) -> list[str] | None:
    """Return the keys that a group of a specification may hold, or None when any key is allowed.

    data: the raw data of the whole specification; its `kind` entries choose among variants.
    path: keys and list positions that lead to the group.
    """
    annotations: list[Any] = [spec]
    value = data
    for step in path:
        annotations = [child for each in annotations for child in _children(each, value, step)]
        value = descend(value, step)
    models = [model for each in annotations for model in _models(each, value)]
    return list(dict.fromkeys(key for model in models for key in hints(model))) if models else None


def known_paths(spec: type[Spec], data: Any) -> list[KeyPath]:
    """Return every path that is in the data or that the specification would allow there."""
    return list(_walk(spec, data, data, ()))


def _walk(spec: type[Spec], data: Any, value: Any, path: KeyPath) -> Iterator[KeyPath]:
    if isinstance(value, list):
        steps: list[str | int] = list(range(len(value)))
    else:
        keys = allowed_keys(spec, data, path) or []
        steps = list(dict.fromkeys([*keys, *value])) if isinstance(value, dict) else [*keys]
    for step in steps:
        yield (*path, step)
        child = descend(value, step)
        # Absent groups are not opened: their keys would bury the ones in use.
        if isinstance(child, (dict, list)):
            yield from _walk(spec, data, child, (*path, step))


def _options(annotation: Any) -> list[Any]:
    """Return the members of a possibly annotated and optional union."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        return [option for member in get_args(annotation) for option in _options(member)]
    return [annotation]


def _models(annotation: Any, value: Any) -> list[Any]:
    models = [each for each in _options(annotation) if _is_spec(get_origin(each) or each)]
    kind = value.get("kind") if isinstance(value, dict) else None
    chosen = [model for model in models if kind is not None and kind in _kinds(model)]
    return chosen or models


def _is_spec(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Spec)


def _kinds(model: Any) -> tuple[Any, ...]:
    annotation = hints(model).get("kind")
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _children(annotation: Any, value: Any, step: str | int) -> Iterator[Any]:
    for option in _options(annotation):
        arguments = get_args(option)
        if get_origin(option) in (list, tuple) and isinstance(step, int) and arguments:
            yield arguments[0]
        elif get_origin(option) is dict:
            yield arguments[1]
    for model in _models(annotation, value):
        if isinstance(step, str) and step in (found := hints(model)):
            yield found[step]


# From raw data to a specification, with every mistake told as one line that points at the file.


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

    data: the raw data, as from load_yaml: plain values such as '80 GB', lists and dictionaries.
    positions: where its keys and values stand in a file.
    path: the file, for errors; None for data from elsewhere.
    Raises CostcalcError with file:line:column, or the command-line option that set the value.
    """
    from pydantic_core import ValidationError

    try:
        hint: Any = spec
        found: SpecT = validator(hint).validate_python(data)
        return found
    except ValidationError as error:
        raise _first_mistake(error, spec, data, positions or Positions(), path) from None


def _first_mistake(
    error: ValidationError, spec: type[Spec], data: Any, positions: Positions, path: str | Path | None
) -> CostcalcError:
    every: list[Any] = [each for each in error.errors(include_url=False) if not _is_echo(each)]
    details = every[:MISTAKES]
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
    untold = len(every) - len(details)
    if others := len(errors) - 1 + untold:
        more = f" (and {others} more)"
        message, hint = (first.message, first.hint + more) if first.hint else (first.message + more, None)
        first = CostcalcError(message, first.where, hint)
        last = CostcalcError(f"{untold} more mistakes", None if path is None else place(path))
        first.each = (*errors, last) if untold else errors
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
        keys = allowed_keys(spec, data, path[:-1]) or []
        listed = ", ".join(keys[:12]) + (", ..." if len(keys) > 12 else "")
        hint = did_you_mean(str(path[-1]), keys) or f"valid keys: {listed}"
        return _Mistake(path, positions.of_key(path), "unknown key", hint)
    if kind == "missing":
        return _Mistake(path, positions.of_value(path[:-1]), "this key is missing", None)
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_kind(detail, path, positions)
    text, remedy = _wrong_value(detail)
    if kind in ("dataclass_type", "model_type") and (inside := allowed_keys(spec, data, path)):
        remedy = f"set a key of it, as {'.'.join(map(str, (*path, inside[0])))}, or all of {', '.join(inside)}"
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
