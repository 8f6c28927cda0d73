"""Rows of OPTIONS as parameters of commands, what commands share besides, and what completes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from inspect import Parameter, Signature, cleandoc, signature
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_type_hints

from typer import Option

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record
from costcalc.predict.options import OPTIONS, SWEPT
from costcalc.predict.options import Option as Row
from costcalc.units import format_count, parse_whole

if TYPE_CHECKING:
    from costcalc.catalog.catalog import Catalog


# Names for shells to complete, found without reading more than the names of the files.


NO_MODEL = "closed_models"  # lists prices of models without a shape
BEST = "best"  # no engine, but the least overhead of each: ServingEfficiency.engine


def model_names(incomplete: str) -> list[str]:
    """Return the models whose names begin as typed."""
    return _names("models", incomplete, "")


def gpu_names(incomplete: str) -> list[str]:
    """Return the accelerators whose names begin as typed, behind a count such as '8x'."""
    digits = len(incomplete) - len(incomplete.lstrip("0123456789"))
    counted = digits > 0 and incomplete[digits : digits + 1].lower() == "x"
    count = incomplete[: digits + 1] if counted else ""
    return _names("hardware_profiles", incomplete[len(count) :], count)


def backend_names() -> list[str]:
    """Return the serving engines of the constants, found without a YAML parser, which help has no time for."""
    import re
    from pathlib import Path

    from costcalc.catalog.files import catalog_roots

    try:
        files = [root / "hardware_profiles" / "efficiency" / "serving.yaml" for root in catalog_roots()]
        text = next(Path(file).read_text(encoding="utf-8") for file in files if file.is_file())
    except (CostcalcError, OSError, StopIteration, ValueError):
        return []
    _, _, block = f"\n{text}".partition("\nbackends:\n")
    names = re.findall(r"^ {2}([\w-]+):\s*$", re.split(r"^\S", block, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    return [*names, BEST] if names else []


def matching_backends(incomplete: str) -> list[str]:
    """Return the serving engines whose names begin as typed."""
    return [name for name in backend_names() if name.startswith(incomplete.lower())]


def _names(kind: str, incomplete: str, prefix: str) -> list[str]:
    from costcalc.catalog.files import catalog_roots

    try:
        roots = catalog_roots()
    except CostcalcError:
        return []
    stems = {path.stem for root in roots for path in (root / kind).glob("*.y*ml")} - {NO_MODEL}
    return [prefix + stem for stem in sorted(stems) if stem.startswith(incomplete.lower())]


# What commands take, besides typer's own parameters: options of an estimate, and dataclasses of typer options.


class Given(dict[str, Any]):
    """Options of an estimate as typed, by their keywords; those that nobody typed are missing."""

    rows: ClassVar[Mapping[str, Row]] = OPTIONS

    def __init__(self, **typed: Any) -> None:
        super().__init__({name: value for name, value in typed.items() if value not in (None, False)})


class SweepGiven(Given):
    """Options of a sweep as typed, by their keywords."""

    rows = OPTIONS | SWEPT


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

    command.__name__ = function.__name__
    command.__doc__ = cleandoc(function.__doc__ or "")
    command.__annotations__ = {each.name: each.annotation for each in plain}
    command.__dict__["__signature__"] = Signature(plain)
    return command


def _parameter(name: str, row: Row) -> Parameter:
    """A row of OPTIONS as typer declares it: a switch, or text that is read where the row says."""
    declared = Option(
        *row.flags,
        metavar=row.metavar or None,
        rich_help_panel=row.panel,
        autocompletion=matching_backends if name == "backend" else None,
        help=row.help.replace("{backends}", ", ".join(backend_names())) if name == "backend" else row.help,
    )
    kind: Any = Annotated[str | None, declared] if row.metavar else Annotated[bool, declared]
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=None if row.metavar else False)


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


SUBJECT = "Model and GPU"
CATALOG = "Catalog"
SHOW = "Output"

Model = Annotated[
    str | None,
    Option(
        "--model", "-m", metavar="NAME", autocompletion=model_names, rich_help_panel=SUBJECT,
        help="A model's name, alias, Hugging Face id or YAML file; see: costcalc models",
    ),
]  # fmt: skip
Gpu = Annotated[
    str | None,
    Option(
        "--gpu", "-g", metavar="NAME", autocompletion=gpu_names, rich_help_panel=SUBJECT,
        help="An accelerator's name, alias or YAML file, as in h100 or 8xh100; see: costcalc gpus",
    ),
]  # fmt: skip


def required(text: str | None, option: str, example: str, listing: str) -> str:
    """Return what was typed for an option that has no default.

    Raises CostcalcError when nothing was typed.
    """
    if text is None:
        raise CostcalcError(
            f"{option} is missing", hint=f"name one, such as {option} {example}; list them with: {listing}"
        )
    return text


def model_named(text: str | None) -> str:
    """Return the model that --model names; raises CostcalcError when none was named."""
    return required(text, "--model", "v3", "costcalc models")


def gpu_named(text: str | None) -> str:
    """Return the GPU that --gpu names, as in '8xh100'; raises CostcalcError when none was named."""
    return required(text, "--gpu", "h100", "costcalc gpus")


class CatalogFolder(Record):
    """Where specifications and constants come from."""

    catalog: Annotated[
        str | None,
        Option("--catalog", metavar="DIR", rich_help_panel=CATALOG,
               help="A folder with models/ and hardware_profiles/ of your own, looked at first; those of the "
                    "variable COSTCALC_CATALOG are next, then what costcalc ships."),
    ] = None  # fmt: skip

    def opened(self) -> Catalog:
        """Return the catalog; raises CostcalcError where the folder is none."""
        from costcalc.catalog.catalog import Catalog

        return Catalog(self.catalog, self._changes())

    def _changes(self) -> dict[str, dict[str, str]]:
        return {}


class Sources(CatalogFolder):
    """Where specifications come from, and what is changed in them."""

    set: Annotated[
        list[str] | None,
        Option("--set", metavar="PATH=VALUE", rich_help_panel=CATALOG,
               help="Change a value of the model or the GPU, as in gpu.memory_bandwidth=3.3TB/s; repeatable."),
    ] = None  # fmt: skip

    def _changes(self) -> dict[str, dict[str, str]]:
        from costcalc.catalog.read import split_overrides

        return split_overrides(self.set or [])


# Numbers and words that commands read themselves; options of an estimate are read in `predict/options.py`.


def whole(text: str | None, option: str, *, most: int) -> int | None:
    """Return a whole number of 1 or more such as '8' or '100k', or None when nothing was typed; `option` is for errors.

    Raises CostcalcError when it cannot be read, or is more than the most.
    """
    if text is None:
        return None
    try:
        number = parse_whole(text)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=option, hint=error.hint) from None
    if number > most:
        raise CostcalcError(
            f"{shown(text)} is beyond all reason", where=option, hint=f"the most is {format_count(most)}"
        )
    return number


def choice(text: str | None, option: str, choices: Iterable[str]) -> str | None:
    """Return one of several words, in any case, or None when nothing was typed; `option` is for errors.

    Raises CostcalcError when it is none of them.
    """
    if text is None:
        return None
    words = list(choices)
    word = text.strip().lower()
    if word in words:
        return word
    hint = did_you_mean(word, words) or f"one of: {', '.join(words)}"
    raise CostcalcError(f"{shown(text)} is unknown", where=option, hint=hint)
