"""Which keys a specification allows at a path, so that a misspelt one can be told its nearest."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from costcalc.catalog.positions import KeyPath, descend
from costcalc.frozen import hints
from costcalc.schema import Spec


def allowed_keys(spec: type[Spec], data: Any, path: KeyPath) -> list[str] | None:
    """Return the keys that a group of a specification may hold, or None when any key is allowed.

    spec: the class of the whole specification.
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
    """Return every path that is in the data or that the specification would allow there.

    spec: the class of the whole specification.
    data: the raw data of the whole specification.
    """
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
