"""The model and the GPU that options name, as specifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from costcalc.cli.options import Catalog, Serving, required
from costcalc.errors import CostcalcError
from costcalc.units import parse_machine

if TYPE_CHECKING:
    from costcalc.explore.options import OptionKeywords
    from costcalc.specs.accelerator import Accelerator
    from costcalc.specs.model import ModelSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """What an estimate is about: a model on a GPU, and the options given."""

    model: ModelSpec
    gpu: Accelerator
    options: OptionKeywords


def model_name(text: str | None) -> str:
    """Return the model that --model names; raises CostcalcError when none was named."""
    return required(text, "--model", "v3", "costcalc models")


def gpu_name(text: str | None) -> tuple[int | None, str]:
    """Return the count and the name of --gpu, as in '8xh100'; raises CostcalcError when none was named."""
    typed = required(text, "--gpu", "h100", "costcalc gpus")
    try:
        return parse_machine(typed)
    except CostcalcError as error:
        raise CostcalcError(error.message, where="--gpu", hint=error.hint) from None


def counted(options: OptionKeywords, count: int | None, typed: str | None) -> OptionKeywords:
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
        raise CostcalcError(f"{gpus} contradicts --gpu {typed}", where="--gpus", hint="leave one out")
    return {**options, "gpus": count}


def subject(
    model: str | None, gpu: str | None, serving: Serving, catalog: Catalog, output_tokens: str | None
) -> Subject:
    """Return the specifications that the options name, and the options as numbers.

    model, gpu, serving, catalog, output_tokens: as typed.
    Raises CostcalcError for anything that cannot be read, options before files.
    """
    count, name = gpu_name(gpu)
    wanted = model_name(model)
    options = counted(serving.keywords(output_tokens), count, gpu)

    from costcalc.catalog.load import load_gpu, load_model
    from costcalc.catalog.overrides import split_overrides

    changes = split_overrides(catalog.set or [])
    return Subject(
        load_model(wanted, catalog=catalog.catalog, overrides=changes["model"]),
        load_gpu(name, catalog=catalog.catalog, overrides=changes["gpu"]),
        options,
    )
