"""The models and GPUs that a command was given, as the catalog has them, with the options beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from costcalc.cli.options import Catalog, Serving, required
from costcalc.errors import CostcalcError, shown
from costcalc.fields import Record
from costcalc.units import parse_machine

if TYPE_CHECKING:
    from costcalc.hardware.accelerator import Accelerator
    from costcalc.model.spec import ModelSpec
    from costcalc.predict.scenario import OptionKeywords


class Subject(Record):
    """What an estimate is about: a model on a GPU, and the options given."""

    model: ModelSpec
    gpu: Accelerator
    options: OptionKeywords


def subject(
    model: str | None, gpu: str | None, serving: Serving, catalog: Catalog, output_tokens: str | None
) -> Subject:
    """Return the specifications that the options name, and the options as numbers.

    Raises CostcalcError for anything that cannot be read, options before files.
    """
    count, name = gpu_name(gpu)
    wanted = model_name(model)
    options = counted(serving.keywords(output_tokens), count, str(gpu))
    return Subject(load_models([wanted], catalog)[0], load_gpus([name], catalog)[0], options)


def model_name(text: str | None) -> str:
    """Return the model that --model names; raises CostcalcError when none was named."""
    return required(text, "--model", "v3", "costcalc models")


def gpu_name(text: str | None) -> tuple[int | None, str]:
    """Return the count and the name of --gpu, as in '8xh100'; raises CostcalcError when none was named."""
    return machine_name(required(text, "--gpu", "h100", "costcalc gpus"), "--gpu")


def machine_name(text: str, where: str) -> tuple[int | None, str]:
    """Return the count and the name of a machine such as '8xh100'.

    where: the option or argument, for errors.
    Raises CostcalcError when it cannot be read.
    """
    try:
        return parse_machine(text)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=where, hint=error.hint) from None


def counted(options: OptionKeywords, count: int | None, typed: str) -> OptionKeywords:
    """Return options with the number of GPUs that a machine such as '8xh100' brings.

    count: the count in the machine's name, or None.
    typed: the machine as typed, for errors.
    Raises CostcalcError when --gpus says another number.
    """
    if count is None:
        return options
    from costcalc.predict.options import read_option

    gpus = options.get("gpus")
    if gpus is not None and read_option("gpus", gpus) != count:
        raise CostcalcError(f"{gpus} contradicts {shown(typed)}", where="--gpus", hint="leave one out")
    return {**options, "gpus": count}


def load_models(names: list[str], catalog: Catalog) -> list[ModelSpec]:
    """Return models as the catalog has them, with what --set changes.

    Raises CostcalcError for an unknown name or a wrong file.
    """
    from costcalc.catalog.overrides import split_overrides
    from costcalc.catalog.read import load_model

    changes = split_overrides(catalog.set or [])["model"]
    return [load_model(name, catalog=catalog.catalog, overrides=changes) for name in names]


def load_gpus(names: list[str], catalog: Catalog) -> list[Accelerator]:
    """Return accelerators as the catalog has them, with what --set changes.

    Raises CostcalcError for an unknown name or a wrong file.
    """
    from costcalc.catalog.overrides import split_overrides
    from costcalc.catalog.read import load_gpu

    changes = split_overrides(catalog.set or [])["gpu"]
    return [load_gpu(name, catalog=catalog.catalog, overrides=changes) for name in names]
