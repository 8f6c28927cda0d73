"""`costcalc compare`: attention variants, models or GPUs side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from costcalc.cli import parse
from costcalc.cli.options import LOAD, Catalog, Gpu, Model, Serving, gpu_names, model_names, with_options
from costcalc.cli.output import Opened, Output
from costcalc.cli.subject import counted, gpu_name, load_gpus, load_models, machine_name, model_name, subject
from costcalc.errors import CostcalcError

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
    serving: Serving,
    output: Output,
    catalog: Catalog,
) -> None:
    """One model with its attention replaced: MHA, GQA, MQA, MLA, a low-rank control, and no cache at all.

    Bytes, tokens per second and dollars of each, on as many GPUs as the model itself takes.
    """
    tokens = output.tokens()
    lengths = _contexts(contexts, serving)
    with output.opened(ATTENTION_KINDS) as opened:
        asked = subject(model, gpu, serving, catalog, tokens)
        from costcalc.explore.compare import compare_attention

        result = compare_attention(asked.model, asked.gpu, contexts=lengths, **asked.options)
        curves = None
        # A term of the bill is no deployment, of which curves would be drawn.
        whole = asked.options.get("terms", "all") == "all"
        if whole and (opened.chart is not None or opened.plot):
            from costcalc.explore.compare import attention_curves

            curves = attention_curves(asked.model, asked.gpu, contexts=lengths, **asked.options)
        _finish(result, opened, ATTENTION_KINDS, curves)


@with_options
def models(*, names: Models = None, gpu: Gpu = None, serving: Serving, output: Output, catalog: Catalog) -> None:
    """Several models on one kind of GPU; the first one is the reference."""
    tokens = output.tokens()
    with output.opened(MODEL_KINDS) as opened:
        count, machine = gpu_name(gpu)
        wanted = _some(names, "MODEL", "costcalc compare models v3 llama-3.1-70b --gpu h100")
        options = counted(serving.keywords(tokens), count, str(gpu))
        specs, gpus = load_models(wanted, catalog), load_gpus([machine], catalog)
        from costcalc.explore.compare import compare_models

        _finish(compare_models(specs, gpus[0], **options), opened, MODEL_KINDS)


@with_options
def gpus(*, names: Gpus = None, model: Model = None, serving: Serving, output: Output, catalog: Catalog) -> None:
    """One model on several kinds of GPU, each with a count of its own if need be; the first is the reference."""
    tokens = output.tokens()
    with output.opened(GPU_KINDS) as opened:
        wanted = model_name(model)
        typed = _some(names, "GPU", "costcalc compare gpus h100 b200 --model v3")
        machines = [machine_name(each, "GPU") for each in typed]
        options = serving.keywords(tokens)
        counts = [counted(options, count, each).get("gpus") for (count, _), each in zip(machines, typed, strict=True)]
        specs, found = load_models([wanted], catalog), load_gpus([name for _, name in machines], catalog)
        from costcalc.explore.compare import compare_gpus

        _finish(compare_gpus(found, specs[0], counts=counts, **options), opened, GPU_KINDS)


def _contexts(text: str | None, serving: Serving) -> tuple[float, ...]:
    if text is None:
        return ()
    if serving.context is not None:
        raise CostcalcError("--context is given too", where="--contexts", hint="keep one of them")
    lengths = [parse.tokens(each, "--contexts") for each in _split(text)]
    return tuple(dict.fromkeys(each for each in lengths if each is not None))


def _split(text: str) -> list[str]:
    """Split at commas, except those between the thousands of a number such as 128,000."""
    import re

    return [each for each in re.split(r",(?!(?<=[0-9],)[0-9]{3}(?![0-9A-Za-z]))|\s+", text.strip()) if each] or [""]


def _some(names: list[str] | None, what: str, example: str) -> list[str]:
    if not names:
        raise CostcalcError(f"{what} is missing", hint=f"name two or more, as in: {example}")
    return names


def _finish(result: Comparison, opened: Opened, kinds: tuple[str, ...], curves: Curves | None = None) -> None:
    def draw(suffix: str) -> bytes:
        from costcalc.report.charts.comparison import draw_comparison

        return draw_comparison(result, curves, suffix, kinds[:3] if opened.chart_kind is None else (opened.chart_kind,))

    opened.show(result, draw, curves)
