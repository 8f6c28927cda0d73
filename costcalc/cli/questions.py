"""The commands about deployments: `estimate`, `report`, `capacity`, `compare`, `sweep` and `frontier`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from costcalc.cli.parameters import (
    CHART_KINDS,
    SUBJECT,
    Given,
    Gpu,
    Model,
    Output,
    Sources,
    SweepGiven,
    choice,
    gpu_named,
    gpu_names,
    model_named,
    model_names,
    one_of,
    subject,
)
from costcalc.errors import LONGEST_LINE, CostcalcError, tell
from costcalc.predict.options import LAYOUT, LOAD

# One deployment.


LAUNCH = "Launch lines"
EMITTED = ("vllm", "sglang", "trtllm", "llama.cpp", "k8s")
Emit = Annotated[
    str | None,
    Option("--emit", metavar="|".join(EMITTED), autocompletion=one_of(*EMITTED), rich_help_panel=LAUNCH,
           help="Print the command that starts this deployment instead, or a manifest of Kubernetes."),
]  # fmt: skip
Line = Annotated[
    str | None,
    Option("--from", metavar="LINE|FILE|-", rich_help_panel=LAUNCH,
           help="Take model and options from such a command, as in --from 'vllm serve Qwen/Qwen3-8B -tp 2'; or from a "
                "manifest."),
]  # fmt: skip


def estimate(
    *,
    model: Model = None,
    gpu: Gpu = None,
    emit: Emit = None,
    line: Line = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """What a deployment does and costs, and why.

    A model and a GPU are enough: what is left out is chosen, marked in the answer, and explained.
    """
    typed = output.with_tokens(given)
    model, given, notes = _launched(line, model, gpu, typed, sources)
    if emit is not None:
        if line is not None and "backend" not in typed:
            del given["backend"]  # the line of one engine as that of another
        _emit(emit, *subject(model, gpu), notes, given, output, sources)
        return
    with output.opened(CHART_KINDS["estimate"]) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.estimate import estimate as answer

        result = answer(name, machine, catalog=catalog, **given)
        if notes:
            result = result.changed(notes=(*notes, *result.notes))

        opened.show(result)


def _launched(
    line: str | None, model: str | None, gpu: str | None, given: Given, sources: Sources
) -> tuple[str | None, Given, tuple[str, ...]]:
    """Return model and options as typed, or as a launch line says them, and what is to be noted of it."""
    if line is None:
        return model, given, ()
    machine = gpu_named(gpu)
    from costcalc.explore.launch.read import from_launch_line

    text = sys.stdin.read(LONGEST_LINE + 1) if line.strip() == "-" else line
    launch = from_launch_line(text, gpu=machine, model=model, catalog=sources.opened(), **given)
    return launch.model, Given(**launch.options), launch.notes


def _emit(
    engine: str, model: str, gpu: str, notes: tuple[str, ...], given: Given, output: Output, sources: Sources
) -> None:
    """Write the launch line of a deployment, alone; what else is to be known goes to stderr."""
    told = {"--format": output.format, "--explain": output.explain, "--plot": output.plot, "--chart": output.chart}
    for flag, value in told.items():
        if value:
            raise CostcalcError("a launch line is text alone", where=flag, hint="leave it out, or --emit")
    from costcalc.report.export.files import new_file, write

    with new_file(output.file(), "--output-file") as file:
        from costcalc.explore.launch.emit import emitted

        text, more = emitted(model, gpu, engine, catalog=sources.opened(), **given)
        write(text, file)
    for note in (*notes, *more):
        tell(f"note: {note}")


# What fits at most.


Most = Annotated[
    str | None,
    Option("--max", metavar="context|users|batch|model|bits", rich_help_panel=SUBJECT,
           help="What is to be the most: tokens of context; users of all replicas, or the batch of one; the largest "
                "model of the catalog; bits of weights and cache. Default: context, or without --model that."),
]  # fmt: skip


def capacity(
    *, max: Most = None, model: Model = None, gpu: Gpu = None, given: Given, output: Output, sources: Sources
) -> None:
    """What fits on these GPUs: the longest context, the most users, the largest model, the most bits.

    On one GPU, or on as many as --gpus says, and never on more. One step more is what estimate refuses.
    """
    given = output.with_tokens(given)
    if output.explain:
        hint = "add --explain to the command of the answer"
        raise CostcalcError("what fits has no formulas of its own", where="--explain", hint=hint)
    with output.opened(CHART_KINDS["capacity"]) as opened:
        machine, catalog = gpu_named(gpu), sources.opened()
        from costcalc.explore.capacity import capacity as answer

        result = answer(model, machine, max=max, catalog=catalog, **given)

        opened.show(result)


# Deployments side by side.


AUTO = "auto"
POOLS: dict[str, bool | list[bool]] = {"one": False, "apart": True, "both": [False, True]}
COMPARED_IN = ("one", "apart", AUTO)


def _set_pools(given: Given, pools: str | None, words: Iterable[str]) -> None:
    """Say among the options what --pools says, one of some words; auto leaves it to the question."""
    if pools is None:
        return
    if "disaggregated" in given:
        raise CostcalcError("--disaggregated is given too", where="--pools", hint="keep one of them")
    if (way := str(choice(pools, "--pools", words))) != AUTO:
        given["disaggregated"] = POOLS[way]


Contexts = Annotated[
    str | None,
    Option("--contexts", metavar="TOKENS,...", rich_help_panel=LOAD,
           help="Several KV lengths, as in 4k,32k,128k: every row at each."),
]  # fmt: skip
Variants = Annotated[
    str | None,
    Option("--variants", metavar="NAME,...", rich_help_panel=SUBJECT,
           help="Variants of one's own, the first the reference: mha, mqa, mla, mla-expanded, lowrank, none; gqa:8 (KV "
                "heads), mla:256 or mla:512/64 (latent rank, rope dim), window:4k (tokens) or window:4k/6 (1 layer in "
                "6 full), dsa:2048 (tokens chosen), kda:3/4 and linear:7/8 (share of layers). Default: MHA, GQA of 4, "
                "8 and 16 query heads per KV head, MQA, MLA, low rank, none."),
]  # fmt: skip
Models = Annotated[
    list[str] | None,
    Argument(metavar="MODEL...", help="Models to compare; the first is the reference.", autocompletion=model_names),
]
Gpus = Annotated[
    list[str] | None,
    Argument(metavar="GPU...", help="GPUs to compare; the first is the reference.", autocompletion=gpu_names),
]


ComparedIn = Annotated[
    str | None,
    Option("--pools", metavar="|".join(COMPARED_IN), autocompletion=one_of(*COMPARED_IN), rich_help_panel=LOAD,
           help="Prefill and decode of all rows in one pool, or apart as with --disaggregated; default: auto, which is "
                "one, but apart where a context is asked about and prompts of its length would take a third of the "
                "GPU time of a row."),
]  # fmt: skip


def compare_attention(
    *,
    model: Model = None,
    gpu: Gpu = None,
    variants: Variants = None,
    contexts: Contexts = None,
    pools: ComparedIn = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """One model with its attention replaced: MHA, GQA, MQA, MLA, a low-rank control, and no cache at all.

    Bytes, tokens per second and dollars of each, on as many GPUs as the model itself takes. GQA-8 has 8 KV heads.
    """
    lengths = _lengths(contexts, given)
    chosen = [] if variants is None else variants
    given = output.with_tokens(given)
    _set_pools(given, pools, COMPARED_IN)
    with output.opened(CHART_KINDS["attention"]) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.attention import attention_asked, attention_table, batch_of_all, curves_beside

        question = attention_asked(name, machine, contexts=lengths, variants=chosen, catalog=catalog, **given)
        result = attention_table(question)
        curves = None
        # A term of the bill is no deployment, of which curves would be drawn.
        whole = given.get("terms", "all").strip().lower() == "all"
        if whole and (opened.chart is not None or opened.plot):
            if opened.chart_kind == "speed" and "batch" not in given:
                # With batches of lowest cost, which shrink, users would seem to be served faster at longer contexts.
                given["batch"] = str(batch_of_all(result))
                question = attention_asked(name, machine, contexts=lengths, variants=chosen, catalog=catalog, **given)
            curves = curves_beside(question)
        opened.show(result, curves)


def compare_models(
    *,
    names: Models = None,
    gpu: Gpu = None,
    contexts: Contexts = None,
    pools: ComparedIn = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """Several models on one kind of GPU; the first one is the reference."""
    lengths, given = _lengths(contexts, given), output.with_tokens(given)
    _set_pools(given, pools, COMPARED_IN)
    with output.opened(CHART_KINDS["models"]) as opened:
        machine = gpu_named(gpu)
        wanted = _some(names, "MODEL", "costcalc compare models v3 llama-3.1-70b --gpu h100")
        from costcalc.explore.compare import compare_models as compared

        opened.show(compared(wanted, machine, contexts=lengths, catalog=sources.opened(), **given))


def compare_gpus(
    *,
    names: Gpus = None,
    model: Model = None,
    contexts: Contexts = None,
    pools: ComparedIn = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """One model on several kinds of GPU, each with a count of its own if need be; the first is the reference."""
    lengths, given = _lengths(contexts, given), output.with_tokens(given)
    _set_pools(given, pools, COMPARED_IN)
    with output.opened(CHART_KINDS["gpus"]) as opened:
        name = model_named(model)
        wanted = _some(names, "GPU", "costcalc compare gpus h100 b200 --model v3")
        from costcalc.explore.compare import compare_gpus as compared

        try:
            result = compared(wanted, name, contexts=lengths, catalog=sources.opened(), **given)
        except CostcalcError as error:
            if error.where != "gpu":
                raise
            raise CostcalcError(error.message, where="GPU", hint=error.hint) from None
        opened.show(result)


def _lengths(contexts: str | None, given: Given) -> str | list[str]:
    """The contexts as typed, none without any; raises CostcalcError where one is given alone, too."""
    if contexts is not None and "context" in given:
        raise CostcalcError("--context is given too", where="--contexts", hint="keep one of them")
    return [] if contexts is None else contexts


def _some(names: list[str] | None, what: str, example: str) -> list[str]:
    if not names:
        raise CostcalcError(f"{what} is missing", hint=f"name two or more, as in: {example}")
    return names


# All of it in one file.


REPORT_FORMATS = {".html": "html", ".htm": "html", ".xlsx": "xlsx"}


def report(
    *,
    model: Model = None,
    gpu: Gpu = None,
    line: Line = None,
    variants: Variants = None,
    contexts: Contexts = None,
    pools: ComparedIn = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """A report of a deployment in one file: verdict, attention variants, frontier, memory, formulas, assumptions.

    --variants, --contexts and --pools are those of compare attention, for its part of the report.

    report.html needs no network; its sliders change price, utilization, batch and context, and its address keeps them.
    report.xlsx has the dollars as formulas of the same (extra xlsx).
    """
    if output.plot:
        raise CostcalcError("a report is no terminal", where="--plot", hint="it has charts of its own")
    if Path(output.file() or "").suffix.lower() not in REPORT_FORMATS:
        hint = "name one that ends in .html or .xlsx, as in -o report.html"
        raise CostcalcError("a report is a file", where="--output-file", hint=hint)
    model, given, noted = _launched(line, model, gpu, output.with_tokens(given), sources)
    compared, typed = Given(**given), {"variants": variants, "contexts": contexts}
    _lengths(contexts, given)
    _set_pools(compared, pools, COMPARED_IN)
    attention = {each: value for each, value in typed.items() if value is not None}
    attention |= {each: value for each, value in compared.items() if each not in given}
    with output.opened(CHART_KINDS["estimate"], REPORT_FORMATS) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.overview import overview

        found = overview(name, machine, catalog=catalog, attention=attention, **given)
        if noted:
            found = replace(found, estimate=found.estimate.changed(notes=(*noted, *found.estimate.notes)))
        opened.show_report(found)


# The same question at every combination of several values.


ROW_FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".parquet": "parquet"}


def sweep(*, model: Model = None, gpu: Gpu = None, given: SweepGiven, output: Output, sources: Sources) -> None:
    """One question at every combination of several values: batches, contexts, prices, GPU counts.

    Lists and ranges (1:256:x2 doubles, 10:50:10 goes in steps) are allowed for --batch, --context, --input,
    --output-tokens, --price, --utilization, --memory-bandwidth, --gpus, --tp, --pp, --ep and --dp. Each cell has the
    deployment that estimate chooses for it; where --gpus or degrees are given, one layout serves every cell of them:
    that of the most demanding one that fits. A file in .csv, .jsonl or .parquet takes any number of cells.
    """
    options = output.with_tokens(given)
    with output.opened(CHART_KINDS["sweep"], ROW_FORMATS) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.spaces.sweep import sweep as answered
        from costcalc.explore.spaces.sweep import sweep_chunks

        in_rows = opened.form in ROW_FORMATS.values()
        if in_rows and opened.text is not None and opened.chart is None:
            from costcalc.report.export.rows import CELLS

            cells = CELLS[opened.form]
            opened.show_rows(sweep_chunks(name, machine, catalog=catalog, cells=cells, **options))
            return
        result = answered(name, machine, catalog=catalog, **options)

        if in_rows:
            opened.draw(result)
            opened.show_rows([result])
        else:
            opened.show(result)


# Whole spaces: what nothing else beats.


SeveralModels = Annotated[
    list[str] | None,
    Option("--model", "-m", metavar="NAME,...", autocompletion=model_names, rich_help_panel=SUBJECT,
           help="One or several models, each with a frontier of its own; all: every one of the catalog."),
]  # fmt: skip
SeveralGpus = Annotated[
    list[str] | None,
    Option("--gpu", "-g", metavar="NAME,...", autocompletion=gpu_names, rich_help_panel=SUBJECT,
           help="One or several accelerators, as in h100,8xb200; all: every one of the catalog, as many as it takes."),
]  # fmt: skip
MaxGpus = Annotated[
    str | None,
    Option("--max-gpus", metavar="N", rich_help_panel=LAYOUT,
           help="GPUs of one deployment, with those that prefill; default: four times the fewest that fit, or a whole "
                "node or scale-up domain."),
]  # fmt: skip
Pools = Annotated[
    str | None,
    Option("--pools", metavar="|".join(POOLS), autocompletion=one_of(*POOLS), rich_help_panel=LOAD,
           help="Prefill and decode in one pool, apart (as --disaggregated), or both ways; default: one."),
]  # fmt: skip


def frontier(
    *,
    model: SeveralModels = None,
    gpu: SeveralGpus = None,
    max_gpus: MaxGpus = None,
    pools: Pools = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """Every layout and batch at once: tokens/s per user against tokens/s per GPU and dollars, and what none beats.

    Several values, as in fp8,bf16, are allowed for --model, --gpu, --weights, --kv, --activations, --backend,
    --tuning, --drafts and --gpus, and --batch takes those to weigh. --tpot and --ttft leave out what takes longer.
    Points that the ranges cannot tell apart are one set; each is a `costcalc estimate` that gives its numbers.
    """
    options = output.with_tokens(given)
    if output.explain:
        hint = "add --explain to the command of a point"
        raise CostcalcError("a frontier has no formulas of its own", where="--explain", hint=hint)
    _set_pools(options, pools, POOLS)
    with output.opened(CHART_KINDS["frontier"]) as opened:
        names, machines = (",".join(each) if each else None for each in (model, gpu))
        subject(names, machines)
        from costcalc.explore.spaces.frontier import frontier as answered

        listed = [[each for each in str(typed).split(",") if each.strip()] for typed in (names, machines)]
        result = answered(*listed, max_gpus=max_gpus, catalog=sources.opened(), **options)

        opened.show(result)
