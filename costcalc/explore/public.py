"""The edge of the Python API: what callers pass is read and checked before a function of costcalc sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from costcalc.errors import CostcalcError, shown
from costcalc.explore.arguments import READ_OPTIONS, read_option, refuse_unknown, several, the_machine, the_model

Function = TypeVar("Function", bound=Callable[..., Any])


def checked(function: Function) -> Function:
    """Return a function of the public API that reads its arguments as the command line does.

    Models and GPUs may be names, lists must hold something, lengths are read like '32k'; what cannot be is one
    line of CostcalcError that names the argument. Numbers that leave the range of floats warn nobody.

    function: the function.
    """
    shape = signature(function)
    variable = next((each.name for each in shape.parameters.values() if each.kind is Parameter.VAR_KEYWORD), None)
    keywords = get_args(get_type_hints(function)[variable])[0].__annotations__ if variable else {}
    known = sorted(keywords, key=[*READ_OPTIONS, *keywords].index)
    known += [each for each in shape.parameters if each != variable]

    @wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        import numpy as np

        bound = shape.bind(*arguments, **named)
        given = bound.arguments
        options = given.get(variable, {}) if variable else {}
        if variable:
            refuse_unknown(options, known)
        _read(given, options)
        if options and variable:
            given[variable] = options
        with np.errstate(all="ignore"):
            return function(*bound.args, **bound.kwargs)

    return called  # type: ignore[return-value]


def _read(given: dict[str, Any], options: dict[str, Any]) -> None:
    """Read arguments in place."""
    catalog = given.get("catalog")
    if catalog is not None and not isinstance(catalog, str | Path):
        raise CostcalcError(f"{shown(catalog)} is no folder", where="catalog", hint="name a folder with models/ in it")
    if "model" in given:
        given["model"] = the_model(given["model"], catalog)
    if "gpu" in given:
        given["gpu"], count = the_machine(given["gpu"], options.get("gpus", given.get("gpus")), catalog)
        if count is not None:
            (given if "gpus" in given else options)["gpus"] = count
    if "models" in given:
        listed = several(given["models"], "models", "['v3', 'llama-3.1-70b']")
        given["models"] = [the_model(each, catalog) for each in listed]
    if "gpus" in given and "gpu" not in given:
        _read_gpus(given, options, catalog)
    if given.get("contexts") is not None and not _empty(given["contexts"]):
        listed = several(given["contexts"], "contexts", "[4096, '32k']")
        given["contexts"] = tuple(float(read_option("context", each)) for each in listed)
    if "groups" in given:
        given["groups"] = tuple(_group(each) for each in several(given["groups"], "groups", "(4, 8, 16)"))
    if given.get("against") is not None and not isinstance(given["against"], str):
        raise CostcalcError(f"{shown(given['against'])} is no model's name", where="against")
    if given.get("overrides") is not None:
        given["overrides"] = _overrides(given["overrides"])


def _read_gpus(given: dict[str, Any], options: dict[str, Any], catalog: str | Path | None) -> None:
    """Read a list of GPUs, each with a count of its own as in '8xh100'."""
    listed = several(given["gpus"], "gpus", "['h100', '4xb200']")
    found = [the_machine(each, options.get("gpus"), catalog) for each in listed]
    counts = [count for _, count in found]
    asked = list(given.get("counts") or ())
    if asked and len(asked) != len(listed):
        raise CostcalcError(f"{len(asked)} counts for {len(listed)} GPUs", where="counts", hint="give one for each")
    given["gpus"] = [gpu for gpu, _ in found]
    if asked:
        given["counts"] = [read_option("gpus", each) for each in asked]
    elif any(count is not None for count in counts):
        shared = options.get("gpus")
        given["counts"] = [shared if count is None else count for count in counts]


def _group(value: Any) -> int:
    try:
        return int(read_option("gpus", value))
    except CostcalcError as error:
        hint = "query heads per KV head, a whole number from 1"
        raise CostcalcError(error.message, where="groups", hint=hint) from None


def _overrides(values: Any) -> dict[str, str]:
    if not isinstance(values, Mapping):
        hint = "write it like {'memory_bandwidth': '3.3 TB/s'}"
        raise CostcalcError(f"{shown(values)} is no mapping", where="overrides", hint=hint)
    return {str(path): value if isinstance(value, str) else str(value) for path, value in values.items()}


def _empty(values: Any) -> bool:
    return hasattr(values, "__len__") and not isinstance(values, str) and len(values) == 0
