"""Options that are not typed but written elsewhere, by their names: in a scenario file, in the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from costcalc.catalog.files import config_folder
from costcalc.cli.parameters import TAKEN, Taken, names_a_file
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.predict.options import OPTIONS

OUTPUTS = ("output", "output_file", "chart")
"""Parameters that name files to write; every other file is read."""


# Names of options.


def names_of(params: Iterable[Any]) -> dict[str, Any]:
    """Return the parameters of a command by every name that they have elsewhere: keyword, flag, other names."""
    found: dict[str, Any] = {}
    listed = list(params)
    for param in listed:
        found.setdefault(param.name, param)
    for param in listed:
        flags = [flag[2:] for flag in param.opts if flag.startswith("--")]
        for each in (*flags, *(OPTIONS[param.name].also if param.name in OPTIONS else ())):
            found.setdefault(plain(each), param)
    return found


def plain(key: str) -> str:
    """Return a name as keywords are spelled: dashes and underscores say the same."""
    return key.strip().replace("-", "_")


def meant(key: str, value: Any, known: Mapping[str, Any]) -> Any:
    """Return the parameter that a key of a file means, or None; `output` is a number of tokens, or a file."""
    param = known.get(plain(key))
    if param is not None and param.name == "output":
        return known["output_file" if names_a_file(str(value)) else "output_tokens"]
    return param


def unknown(key: str, known: Mapping[str, Any], where: str) -> CostcalcError:
    """Return the error that a name is no option, with the nearest one."""
    hint = did_you_mean(plain(key), known) or "options have the names of docs/cli.md, without --"
    return CostcalcError(f"unknown option {shown(key)}", where=where, hint=hint)


# Values as the command line hands them over: text, switches, lists of text.


def typed(param: Any, value: Any) -> str | bool | list[str] | None:
    """Return a value of YAML as if it had been typed, or None where it takes the default.

    param: of the command. value: as it was read: a list is several values, a mapping paths of --set.
    Raises CostcalcError for what no option takes.
    """
    if value is None:
        return None
    if getattr(param, "is_flag", False):
        if not isinstance(value, bool):
            raise CostcalcError(f"{shown(value)} where true or false belongs")
        return value
    several = bool(getattr(param, "multiple", False)) or param.nargs == -1
    if isinstance(value, Mapping) and param.metavar == "PATH=VALUE":
        return [f"{path}={text}" for path, text in _paths(value)]
    texts = [_text(each) for each in (value if isinstance(value, list) else [value])]
    if not texts:
        raise CostcalcError("the list is empty", hint="leave the option out, or write null for its default")
    return texts if several else ",".join(texts)


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool | Mapping | list):
        raise CostcalcError(f"{shown(value)} where a number or text belongs", hint="put text in quotes")
    return value if isinstance(value, str) else repr(value)


def _paths(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _paths(inner, f"{before}{key}.")
        else:
            yield (
                f"{before}{key}",
                shown(inner) if isinstance(inner, bool) else "null" if inner is None else _text(inner),
            )


def words(param: Any, value: str | bool | list[str] | None) -> list[str]:
    """Return the words that say a value of an option on the command line; those of an argument stand after all."""
    if value is None or value is False:
        return []
    listed = value if isinstance(value, list) else [value]
    if param.param_type_name == "argument":
        return [str(each) for each in listed]
    flag = next(each for each in param.opts if each.startswith("--"))
    return [flag] if value is True else [f"{flag}={each}" for each in listed]


def beside(folder: Path, param: Any, value: str | bool | list[str] | None) -> str | bool | list[str] | None:
    """Return a value with files that are read taken from a folder, where they are named from there."""
    if isinstance(value, list):
        return [str(beside(folder, param, each)) for each in value]
    if not isinstance(value, str) or param.name in OUTPUTS or not value or folder == Path():
        return value
    text = os.path.expanduser(value)  # noqa: PTH111 - unlike Path.expanduser, never raises
    named = param.metavar in ("FILE", "DIR") or text.startswith(("./", "../")) or text.endswith(_ENDINGS)
    there = folder / text
    # A name with a slash may be one of a hub.
    return str(there) if named or ("/" in text and os.path.lexists(there)) else value


_ENDINGS = (".yaml", ".yml", ".json")


# Defaults of whoever types: variables of the environment, else a file. What is typed goes before both.


PREFIX = "COSTCALC_"
"""Variables are named after options: COSTCALC_GPU, COSTCALC_TP or COSTCALC_TENSOR_PARALLEL."""
FILE = "config.yaml"
"""Defaults by their names, in the user's configuration folder."""
NO_DEFAULT = (*OUTPUTS, "chart_kind", "catalog")
"""Of what names files there is none: they would be written over, and COSTCALC_CATALOG has a meaning of its own."""


def take_variables(params: Iterable[Any]) -> None:
    """Let options be set by variables; of several names the first that is set counts."""
    for name, param in names_of(filter(may_be_set, params)).items():
        param.envvar = [*(param.envvar or ()), f"{PREFIX}{name.upper()}"]
        param.show_envvar = False  # docs/scenarios.md has the rule


def may_be_set(param: Any) -> bool:
    """Return whether a parameter may have a default elsewhere."""
    return param.param_type_name == "option" and param.name not in NO_DEFAULT


def variable_of(param: Any) -> str | None:
    """Return the variable that sets a parameter, or None."""
    return next((name for name in param.envvar or () if os.environ.get(name)), None)


def switched(param: Any, text: str) -> bool:
    """Return whether a variable sets a switch; raises CostcalcError for what is neither yes nor no."""
    word = text.strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise CostcalcError(f"{shown(text)} is neither yes nor no", where=variable_of(param), hint="write 1 or 0")


class FileDefaults:
    """Defaults of a command in the user's file, which is read when the first is asked for.

    others: returns the names of all options that any command has.
    """

    def __init__(self, params: Iterable[Any], others: Callable[[], Container[str]]) -> None:
        self._names = names_of(params)
        self._others = others
        self._read: dict[str, tuple[Any, str]] | None = None

    def get(self, name: str, default: Any = None) -> Any:
        """Return the default of a parameter, as if it had been typed."""
        return self.values().get(name, (default, ""))[0]

    def values(self) -> dict[str, tuple[Any, str]]:
        """Return every default with its place; raises CostcalcError where the file is wrong."""
        if self._read is None:
            path = config_file()
            self._read = dict(self._of_file(path)) if path is not None and os.path.lexists(path) else {}
        return self._read

    def _of_file(self, path: Path) -> Iterator[tuple[str, tuple[Any, str]]]:
        from costcalc.catalog.check import place
        from costcalc.catalog.yaml import load_yaml

        data, positions = load_yaml(path)
        seen: dict[str, str] = {}
        for key, value in data.items():
            at, where = place(path, positions.of_key((key,))), place(path, positions.of_value((key,)))
            param = meant(key, value, self._names)
            if plain(key) in NO_DEFAULT and (param is None or not may_be_set(param)):
                raise CostcalcError(
                    f"{key} names a file, and has no default", where=at, hint="type it where it is needed"
                )
            if param is None and plain(key) in self._others():
                continue
            if param is None or not may_be_set(param):
                raise unknown(key, self._names, at)
            if param.name in seen:
                raise CostcalcError(f"{key} and {seen[param.name]} are one", where=at, hint="keep one")
            seen[param.name] = key
            try:
                told = beside(path.parent, param, typed(param, value))
            except CostcalcError as error:
                raise CostcalcError(f"{key}: {error.message}", where=where, hint=error.hint) from None
            if told is not None:
                yield param.name, (told, where)


def config_file() -> Path | None:
    """Return where the user's file of defaults is looked for, or None without a home."""
    folder = config_folder()
    return None if folder is None else folder / FILE


def note_taken(context: Any, params: Iterable[Any], file: FileDefaults) -> None:
    """Keep what was taken from elsewhere in TAKEN; raises CostcalcError for a variable that is not text."""
    for param in params:
        source = getattr(context.get_parameter_source(param.name), "name", "")
        if source == "ENVIRONMENT" and (variable := variable_of(param)):
            text = os.environ[variable]
            if any("\ud800" <= sign <= "\udfff" for sign in text):
                raise CostcalcError(f"{shown(text)} is not text in UTF-8", where=variable)
            if context.params[param.name] not in (None, False):
                TAKEN.append(Taken(param, text, variable))
        elif source == "DEFAULT_MAP" and context.params[param.name] not in (None, False):
            value, where = file.values()[param.name]
            TAKEN.append(Taken(param, as_text(value), where))


def as_text(value: str | bool | list[str]) -> str:
    """Return a value as a line shows it: a switch as yes or no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else ",".join(value)
