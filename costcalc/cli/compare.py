"""`costcalc compare`: attention variants, models or GPUs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from costcalc.cli.output import Opened, Output
from costcalc.cli.parameters import (
    Given,
    Gpu,
    Model,
    Sources,
    gpu_named,
    gpu_names,
    model_named,
    model_names,
    with_options,
)
from costcalc.errors import CostcalcError
from costcalc.predict.options import LOAD

if TYPE_CHECKING:
    from costcalc.explore.compare import Curves
    from costcalc.predict.quantities import Comparison


ATTENTION_KINDS = ("cache", "throughput", "cost", "speed")
MODEL_KINDS = ("cache", "throughput", "cost", "speed")
GPU_KINDS = ("throughput", "speed", "cost")

Contexts = Annotated[
    str | None,
    Option("--contexts", metavar="TOKENS,...", rich_help_panel=LOAD,
           help="Several KV lengths, as in 4k,32k,128k: every variant at each."),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    Argument(metavar="MODEL...", help="Models to compare; the first is the reference.", autocompletion=model_names),
]
Gpus = Annotated[
    list[str] | None,
    Argument(metavar="GPU...", help="GPUs to compare; the first is the reference.", autocompletion=gpu_names),
]


@with_options
def attention(
    *,
    model: Model = None,
    gpu: Gpu = None,
    contexts: Contexts = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """One model with its attention replaced: MHA, GQA, MQA, MLA, a low-rank control, and no cache at all.

    Bytes, tokens per second and dollars of each, on as many GPUs as the model itself takes.
    """
    if contexts is not None and "context" in given:
        raise CostcalcError("--context is given too", where="--contexts", hint="keep one of them")
    lengths = [] if contexts is None else _split(contexts)
    given = output.with_tokens(given)
    with output.opened_with_chart(ATTENTION_KINDS) as opened:
        machine, name, catalog = gpu_named(gpu), model_named(model), sources.opened()
        from costcalc.explore.compare import attention_curves, compare_attention

        result = compare_attention(name, machine, contexts=lengths, catalog=catalog, **given)
        curves = None
        # A term of the bill is no deployment, of which curves would be drawn.
        whole = given.get("terms", "all").strip().lower() == "all"
        if whole and (opened.chart is not None or output.plot):
            curves = attention_curves(name, machine, contexts=lengths, catalog=catalog, **given)
        _finish(result, output, opened, ATTENTION_KINDS, curves)


@with_options
def models(*, names: Models = None, gpu: Gpu = None, given: Given, output: Output, sources: Sources) -> None:
    """Several models on one kind of GPU; the first one is the reference."""
    given = output.with_tokens(given)
    with output.opened_with_chart(MODEL_KINDS) as opened:
        machine = gpu_named(gpu)
        wanted = _some(names, "MODEL", "costcalc compare models v3 llama-3.1-70b --gpu h100")
        from costcalc.explore.compare import compare_models

        _finish(compare_models(wanted, machine, catalog=sources.opened(), **given), output, opened, MODEL_KINDS)


@with_options
def gpus(*, names: Gpus = None, model: Model = None, given: Given, output: Output, sources: Sources) -> None:
    """One model on several kinds of GPU, each with a count of its own if need be; the first is the reference."""
    given = output.with_tokens(given)
    with output.opened_with_chart(GPU_KINDS) as opened:
        name = model_named(model)
        wanted = _some(names, "GPU", "costcalc compare gpus h100 b200 --model v3")
        from costcalc.explore.compare import compare_gpus

        try:
            result = compare_gpus(wanted, name, catalog=sources.opened(), **given)
        except CostcalcError as error:
            if error.where != "gpu":
                raise
            raise CostcalcError(error.message, where="GPU", hint=error.hint) from None
        _finish(result, output, opened, GPU_KINDS)


def _split(text: str) -> list[str]:
    """Split at commas, except those between the thousands of a number such as 128,000."""
    import re

    return [each for each in re.split(r",(?!(?<=[0-9],)[0-9]{3}(?![0-9A-Za-z]))|\s+", text.strip()) if each] or [""]


def _some(names: list[str] | None, what: str, example: str) -> list[str]:
    if not names:
        raise CostcalcError(f"{what} is missing", hint=f"name two or more, as in: {example}")
    return names


def _finish(
    result: Comparison, output: Output, opened: Opened, kinds: tuple[str, ...], curves: Curves | None = None
) -> None:
    if opened.chart is not None:
        from costcalc.report.charts.comparison import draw_comparison

        wanted = kinds[:3] if opened.chart_kind is None else (opened.chart_kind,)
        opened.chart.write_bytes(draw_comparison(result, curves, opened.chart.path.suffix, wanted))
    from costcalc.report.files import present

    present(result, opened.form, opened.text, explain=output.explain, plot=output.plot, curves=curves)
