"""A wrong command line told in one line, with the nearest option or command."""

from __future__ import annotations

import re
from typing import Any

from typer import BadParameter

from costcalc.errors import CostcalcError, nearest, shown

# The class that every complaint about a command line shares, whichever parser typer stands on.
USAGE_ERROR: type[Exception] = BadParameter.__mro__[2]

_EXAMPLES = {
    "--model": "name one, such as --model v3; list them with: costcalc models",
    "--gpu": "name one, such as --gpu h100; list them with: costcalc gpus",
}

_ALMOST, _NEAR = 0.85, 0.7
"""Likeness of a misspelt option, and of one that may be meant."""


def told(error: Any) -> CostcalcError:
    """Return a usage error of the parser as one line.

    error: what the parser raised.
    """
    kind = type(error).__name__
    context = getattr(error, "ctx", None)
    help_hint = f"see {context.command_path} --help" if context else None
    if kind == "NoSuchOption":
        near = _near(error.option_name, _options_of(context))
        hint = f"did you mean '{near}'?" if near else help_hint
        return CostcalcError(f"unknown option {shown(error.option_name)}", hint=hint)
    if kind == "MissingParameter":
        name = _name_of(error.param)
        return CostcalcError(f"{name} is missing", hint=_EXAMPLES.get(name, help_hint))
    if kind == "BadOptionUsage" and "requires an argument" in error.message:
        return CostcalcError("the value is missing", where=error.option_name, hint=help_hint)
    if kind == "BadParameter" and error.param is not None:
        return CostcalcError(_sentence(error.message), where=_name_of(error.param), hint=help_hint)
    extra = re.search(r"unexpected extra argument\S* \((.*)\)", str(error.message))
    if extra is not None:
        named = any(name == "--model" for name in _options_of(context))
        hint = "a model and a GPU are named by --model and --gpu" if named else help_hint
        return CostcalcError(f"unexpected argument {shown(extra[1])}", hint=hint)
    return CostcalcError(_sentence(error.format_message()), hint=help_hint)


def _near(typed: str, options: list[str]) -> str | None:
    """The option that was meant: by its spelling, or by its first word, as in --kv-cache; the dashes say nothing."""
    names = {option.lstrip("-"): option for option in options}
    name = typed.lstrip("-")
    first = name.partition("-")[0]
    close = nearest(name, names, _ALMOST) or (first if first in names else nearest(name, names, _NEAR))
    return names[close] if close else None


def _options_of(context: Any) -> list[str]:
    if context is None:
        return []
    names = [name for param in context.command.get_params(context) for name in (*param.opts, *param.secondary_opts)]
    return [name for name in names if name.startswith("--")]


def _name_of(param: Any) -> str:
    longest: list[str] = sorted(param.opts, key=lambda name: (not name.startswith("--"), len(name)))
    name = longest[0] if longest else str(param.name)
    return name if name.startswith("-") else name.upper()


def _sentence(message: str) -> str:
    text = " ".join(message.split()).rstrip(".")
    return text[:1].lower() + text[1:]
