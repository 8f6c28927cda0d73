"""What is asked, as typed: options of an estimate, those set elsewhere, model, GPU and catalog, numbers and words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from typer import Option

from costcalc.cli.parameters.completion import gpu_names, model_names
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Record
from costcalc.predict.options import OPTIONS, SWEPT
from costcalc.predict.options import Option as Row
from costcalc.predict.readers import read_as
from costcalc.units import format_count, parse_whole

if TYPE_CHECKING:
    from costcalc.catalog.catalog import Catalog
    from costcalc.predict.results import Assumption


class Taken(NamedTuple):
    """A value of an option that was not typed but set elsewhere, and where: a variable, or a place in a file."""

    param: Any
    text: str
    where: str

    def assumption(self) -> Assumption:
        """It among the defaults of an answer."""
        from costcalc.predict.results import SET_BY, Assumption

        flag = next(each for each in self.param.opts if each.startswith("--"))
        return Assumption(
            self.param.name, self.text, f"{SET_BY}{self.where}", f"{flag} {self.param.metavar or ''}".strip()
        )

    def concerns(self, error: CostcalcError) -> bool:
        """Return whether an error is about it."""
        return is_about(error, self.param, self.text)


TAKEN: list[Taken] = []
"""What the command that runs takes from elsewhere."""
TYPED: list[str] = []
"""The words of the command that runs, its program and itself included."""


def is_about(error: CostcalcError, param: Any, value: object) -> bool:
    """Return whether an error is about a parameter and its value; of an unknown name the value is quoted alone."""
    if error.where is None:
        return isinstance(value, str) and shown(re.sub(r"^\d+x", "", value)) in error.message
    argument = [param.metavar.rstrip(".")] if param.param_type_name == "argument" and param.metavar else []
    return error.where.partition(" ")[0] in (param.name, *param.opts, *argument)  # '--set gpu.memory'


class Given(dict[str, Any]):
    """Options of an estimate as typed, by their keywords; those that nobody typed are missing."""

    rows: ClassVar[Mapping[str, Row]] = OPTIONS

    def __init__(self, **typed: Any) -> None:
        super().__init__({name: value for name, value in typed.items() if value not in (None, False)})


class SweepGiven(Given):
    """Options of a sweep as typed, by their keywords."""

    rows = OPTIONS | SWEPT


class OwnerGiven(Given):
    """What an owner says of an accelerator and of its site, as typed."""

    rows: ClassVar[Mapping[str, Row]] = {
        name: OPTIONS[name] for name in ("owned", "pue", "power_price", "grid_co2", "utilization")
    }


class PayerGiven(Given):
    """What GPU-hours are paid by, as typed."""

    rows: ClassVar[Mapping[str, Row]] = {name: OPTIONS[name] for name in ("price", "owned", "pue", "power_price")}


SUBJECT = "Model and GPU"
CATALOG = "Catalog"

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


def subject(model: str | None, gpu: str | None) -> tuple[str, str]:
    """Return what --model and --gpu name; raises CostcalcError when either is missing, naming both if both are."""
    if model is None and gpu is None:
        hint = "name both, as in --model v3 --gpu h100; list them with: costcalc models, costcalc gpus"
        raise CostcalcError("--model and --gpu are missing", hint=hint)
    return model_named(model), gpu_named(gpu)


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
    number = int(read_as(parse_whole, text, option))
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
