"""The models and GPUs that options name, as specifications."""

from __future__ import annotations

from typing import TYPE_CHECKING

from costcalc.cli.options import Catalog, Serving, required
from costcalc.errors import CostcalcError, shown
from costcalc.frozen import Record
from costcalc.units import parse_machine

if TYPE_CHECKING:
    from costcalc.explore.options import OptionKeywords
    from costcalc.specs.accelerator import Accelerator
    from costcalc.specs.model import ModelSpec


class Subject(Record):
    """What an estimate is about: a model on a GPU, and the options given."""

    model: ModelSpec
    gpu: Accelerator
    options: OptionKeywords


def subject(
    model: str | None, gpu: str | None, serving: Serving, catalog: Catalog, output_tokens: str | None
) -> Subject:
    """Return the specifications that the options name, and the options as numbers.

    model, gpu, serving, catalog, output_tokens: as typed.
    Raises CostcalcError for anything that cannot be read, options before files.
    """
    count, name = gpu_name(gpu)
    wanted = model_name(model)
    options = counted(serving.keywords(output_tokens), count, str(gpu))
    found = Subject(load_models([wanted], catalog)[0], load_gpus([name], catalog)[0], options)
    check_price(found.gpu, options)
    return found


def model_name(text: str | None) -> str:
    """Return the model that --model names; raises CostcalcError when none was named."""
    return required(text, "--model", "v3", "costcalc models")


def gpu_name(text: str | None) -> tuple[int | None, str]:
    """Return the count and the name of --gpu, as in '8xh100'; raises CostcalcError when none was named."""
    return machine_name(required(text, "--gpu", "h100", "costcalc gpus"), "--gpu")


def machine_name(text: str, where: str) -> tuple[int | None, str]:
    """Return the count and the name of a machine such as '8xh100'.

    text: the machine as typed.
    where: the option or argument, for errors.
    Raises CostcalcError when it cannot be read.
    """
    try:
        return parse_machine(text)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=where, hint=error.hint) from None


def counted(options: OptionKeywords, count: int | None, typed: str) -> OptionKeywords:
    """Return options with the number of GPUs that a machine such as '8xh100' brings.

    options: the options given.
    count: the count in the machine's name, or None.
    typed: the machine as typed, for errors.
    Raises CostcalcError when --gpus says another number.
    """
    if count is None:
        return options
    gpus = options.get("gpus")
    if gpus is not None and gpus != count:
        raise CostcalcError(f"{gpus} contradicts {shown(typed)}", where="--gpus", hint="leave one out")
    return {**options, "gpus": count}


def check_price(gpu: Accelerator, options: OptionKeywords) -> None:
    """Raise CostcalcError, naming the option, when the words of --price fit no price of a GPU.

    gpu: the GPU.
    options: the options given.
    """
    try:
        gpu.price_for(options.get("price"))
    except CostcalcError as error:
        raise CostcalcError(error.message, where="--price", hint=error.hint) from None


def load_models(names: list[str], catalog: Catalog) -> list[ModelSpec]:
    """Return models as the catalog has them, with what --set changes.

    names: names, aliases or paths.
    catalog: as typed.
    Raises CostcalcError for an unknown name or a wrong file.
    """
    from costcalc.catalog.load import load_model
    from costcalc.catalog.overrides import split_overrides

    changes = split_overrides(catalog.set or [])["model"]
    return [load_model(name, catalog=catalog.catalog, overrides=changes) for name in names]


def load_gpus(names: list[str], catalog: Catalog) -> list[Accelerator]:
    """Return accelerators as the catalog has them, with what --set changes.

    names: names, aliases or paths.
    catalog: as typed.
    Raises CostcalcError for an unknown name or a wrong file.
    """
    from costcalc.catalog.load import load_gpu
    from costcalc.catalog.overrides import split_overrides

    changes = split_overrides(catalog.set or [])["gpu"]
    return [load_gpu(name, catalog=catalog.catalog, overrides=changes) for name in names]
