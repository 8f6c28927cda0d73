"""Options that several commands share, declared once as the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, cleandoc, signature
from typing import Any, get_type_hints

from costcalc.catalog.paths import searched_first


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command in which every parameter that is a dataclass of options stands for its fields.

    function: the command; its parameters are typer options and dataclasses of typer options.
    """
    hints = get_type_hints(function, include_extras=True)
    plain: list[Parameter] = []
    bundles: dict[str, tuple[type, list[str]]] = {}
    for parameter in signature(function).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and is_dataclass(hint):
            own = _parameters(hint)
            bundles[parameter.name] = (hint, [each.name for each in own])
            plain += own
        else:
            plain.append(parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))

    def command(**values: Any) -> None:
        # Fitted constants are found by the same order of folders as models and GPUs.
        with searched_first(values.get("catalog")):
            for name, (bundle, names) in bundles.items():
                values[name] = bundle(**{each: values.pop(each) for each in names})
            function(**values)

    command.__name__ = function.__name__
    command.__doc__ = cleandoc(function.__doc__ or "")
    command.__annotations__ = {each.name: each.annotation for each in plain}
    command.__dict__["__signature__"] = Signature(plain)
    return command


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
