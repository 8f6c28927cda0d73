"""How the function of a command becomes typer's parameters: rows of OPTIONS, and dataclasses of typer options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, cleandoc, signature
from typing import Any, get_type_hints

from typer import Option

from costcalc.cli.parameters.completion import backend_names, completing
from costcalc.cli.parameters.given import Given
from costcalc.cli.parameters.output import Output
from costcalc.predict.options import Option as Row


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command in which `Given` stands for the rows of OPTIONS, and a dataclass for its fields.

    function: the command; its other parameters are typer options.
    """
    hints = get_type_hints(function, include_extras=True)
    plain: list[Parameter] = []
    bundles: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    for parameter in signature(function).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and (issubclass(hint, Given) or is_dataclass(hint)):
            own = [_parameter(*each) for each in hint.rows.items()] if issubclass(hint, Given) else _parameters(hint)
            bundles[parameter.name] = (hint, [each.name for each in own])
            plain += own
        else:
            plain.append(parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))

    def command(**values: Any) -> None:
        for name, (bundle, names) in bundles.items():
            values[name] = bundle(**{each: values.pop(each) for each in names})
        function(**values)

    command.__dict__["is_question"] = any(bundle is Output for bundle, _ in bundles.values())
    command.__name__ = function.__name__
    command.__doc__ = cleandoc(function.__doc__ or "")
    command.__annotations__ = {each.name: each.annotation for each in plain}
    command.__dict__["__signature__"] = Signature(plain)
    return command


def _parameter(name: str, row: Row) -> Parameter:
    """A row of OPTIONS as typer declares it: a switch, or text that is read where the row says."""
    declared = Option(
        None if row.metavar else False,
        *row.flags,
        metavar=row.metavar or None,
        rich_help_panel=row.panel,
        autocompletion=completing(name, row),
        help=row.help.replace("{backends}", ", ".join(backend_names())) if name == "backend" else row.help,
    )
    kind: Any = str | None if row.metavar else bool
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=declared)


def _parameters(bundle: type) -> list[Parameter]:
    hints = get_type_hints(bundle, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            annotation=hints[each.name],
            default=Parameter.empty if each.default is MISSING else each.default,
        )
        for each in fields(bundle)
    ]
