"""The commands about deployments: `estimate`, `report`, `capacity`, `compare`, `sweep`, `frontier` and others."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from costcalc.cli.parameters import (
    CHART_KINDS,
    SHOW,
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
    from costcalc.report.files import new_file, write

    with new_file(output.file(), "--output-file") as file:
        from costcalc.explore.launch.emit import emitted

        text, more = emitted(model, gpu, engine, catalog=sources.opened(), **given)
        write(text, file)
    for note in (*notes, *more):
        tell(f"note: {note}")


# All of it in one file.


REPORT_FORMATS = {".html": "html", ".htm": "html", ".xlsx": "xlsx"}


def report(
    *, model: Model = None, gpu: Gpu = None, line: Line = None, given: Given, output: Output, sources: Sources
) -> None:
    """A report of a deployment in one file: verdict, attention variants, frontier, memory, formulas, assumptions.

    report.html needs no network; its sliders change price, utilization, batch and context, and its address keeps them.
    report.xlsx has the dollars as formulas of the same (extra xlsx).
    """
    if output.plot:
        raise CostcalcError("a report is no terminal", where="--plot", hint="it has charts of its own")
    if Path(output.file() or "").suffix.lower() not in REPORT_FORMATS:
        hint = "name one that ends in .html or .xlsx, as in -o report.html"
        raise CostcalcError("a report is a file", where="--output-file", hint=hint)
    model, given, noted = _launched(line, model, gpu, output.with_tokens(given), sources)
    with output.opened(CHART_KINDS["estimate"], REPORT_FORMATS) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.overview import overview

        found = overview(name, machine, catalog=catalog, **given)
        if noted:
            found = replace(found, estimate=found.estimate.changed(notes=(*noted, *found.estimate.notes)))
        opened.show_report(found)


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


POOLS: dict[str, bool | list[bool]] = {"one": False, "apart": True, "both": [False, True]}


def _set_pools(given: Given, pools: str | None, words: Iterable[str]) -> None:
    """Say among the options what --pools says, one of the words of POOLS."""
    if pools is None:
        return
    if "disaggregated" in given:
        raise CostcalcError("--disaggregated is given too", where="--pools", hint="keep one of them")
    given["disaggregated"] = POOLS[str(choice(pools, "--pools", words))]


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


OnePool = Annotated[
    str | None,
    Option("--pools", metavar="one|apart", autocompletion=one_of("one", "apart"), rich_help_panel=LOAD,
           help="Prefill and decode in one pool, or apart as with --disaggregated; default: one, but apart where a "
                "context is asked about and prompts of its length would take a third of the GPU time."),
]  # fmt: skip


def compare_attention(
    *,
    model: Model = None,
    gpu: Gpu = None,
    variants: Variants = None,
    contexts: Contexts = None,
    pools: OnePool = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """One model with its attention replaced: MHA, GQA, MQA, MLA, a low-rank control, and no cache at all.

    Bytes, tokens per second and dollars of each, on as many GPUs as the model itself takes. GQA-8 has 8 KV heads.
    """
    lengths = _lengths(contexts, given)
    chosen = [] if variants is None else _split(variants)
    given = output.with_tokens(given)
    _set_pools(given, pools, ("one", "apart"))
    with output.opened(CHART_KINDS["attention"]) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.compare import attention_curves, batch_of_all
        from costcalc.explore.compare import compare_attention as compared

        result = compared(name, machine, contexts=lengths, variants=chosen, catalog=catalog, **given)
        curves = None
        # A term of the bill is no deployment, of which curves would be drawn.
        whole = given.get("terms", "all").strip().lower() == "all"
        if whole and (opened.chart is not None or opened.plot):
            if opened.chart_kind == "speed" and "batch" not in given:
                # With batches of lowest cost, which shrink, users would seem to be served faster at longer contexts.
                given["batch"] = str(batch_of_all(result))
            curves = attention_curves(name, machine, contexts=lengths, variants=chosen, catalog=catalog, **given)
        opened.show(result, curves)


def compare_models(
    *,
    names: Models = None,
    gpu: Gpu = None,
    contexts: Contexts = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """Several models on one kind of GPU; the first one is the reference."""
    lengths, given = _lengths(contexts, given), output.with_tokens(given)
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
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """One model on several kinds of GPU, each with a count of its own if need be; the first is the reference."""
    lengths, given = _lengths(contexts, given), output.with_tokens(given)
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


def _lengths(contexts: str | None, given: Given) -> list[str]:
    """The contexts typed as a list, none without one; raises CostcalcError where one is given alone, too."""
    if contexts is not None and "context" in given:
        raise CostcalcError("--context is given too", where="--contexts", hint="keep one of them")
    return [] if contexts is None else _split(contexts)


def _split(text: str) -> list[str]:
    """Split at commas, except those between the thousands of a number such as 128,000."""
    import re

    return [each for each in re.split(r",(?!(?<=[0-9],)[0-9]{3}(?![0-9A-Za-z]))|\s+", text.strip()) if each] or [""]


def _some(names: list[str] | None, what: str, example: str) -> list[str]:
    if not names:
        raise CostcalcError(f"{what} is missing", hint=f"name two or more, as in: {example}")
    return names


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
        from costcalc.explore.sweep import sweep as answered
        from costcalc.explore.sweep import sweep_chunks

        in_rows = opened.form in ROW_FORMATS.values()
        if in_rows and opened.text is not None and opened.chart is None:
            from costcalc.report.rows import CELLS

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
        from costcalc.explore.frontier import frontier as answered

        listed = [[each for each in str(typed).split(",") if each.strip()] for typed in (names, machines)]
        result = answered(*listed, max_gpus=max_gpus, catalog=sources.opened(), **options)

        opened.show(result)


# Requests replayed through the schedulers of a deployment.


TRAFFIC = "Traffic"

Trace = Annotated[
    str | None,
    Option("--trace", metavar="FILE", rich_help_panel=TRAFFIC,
           help="Requests to replay: a CSV with arrival_s, input_tokens and output_tokens, an Azure LLM inference "
                "trace, or Mooncake's JSON lines, whose hash_ids tell shared prefixes; default: as --demand, "
                "--concurrency or --arrivals offline say."),
]  # fmt: skip
Process = Annotated[
    str | None,
    Option("--process", metavar="poisson|constant|gamma:CV", rich_help_panel=TRAFFIC,
           help="How intervals between the arrivals of --demand vary; gamma by its coefficient of variation, burstier "
                "than Poisson above 1; default: poisson."),
]  # fmt: skip
_SHAPES = "constant|uniform|exponential|lognormal:CV|gamma:CV"
InputLengths = Annotated[
    str | None,
    Option("--input-lengths", metavar=_SHAPES, rich_help_panel=TRAFFIC,
           help="How prompts vary around --input, as in lognormal:1.2; default: constant."),
]  # fmt: skip
OutputLengths = Annotated[
    str | None,
    Option("--output-lengths", metavar=_SHAPES, rich_help_panel=TRAFFIC,
           help="How answers vary around --output; default: constant."),
]  # fmt: skip
Speed = Annotated[
    str | None,
    Option("--speed", metavar="FACTOR", rich_help_panel=TRAFFIC,
           help="Let requests come so many times as fast; default: 1."),
]  # fmt: skip
Loads = Annotated[
    str | None,
    Option("--loads", metavar="FACTOR,...", rich_help_panel=TRAFFIC,
           help="Replay them at other multiples of the load too, as in 0.5:1.5:0.25: percentiles against load."),
]  # fmt: skip
Replicas = Annotated[
    str | None,
    Option("--replicas", metavar="N", rich_help_panel=TRAFFIC,
           help="Copies of the deployment that the other options lead to; default: 1."),
]  # fmt: skip
RouterOption = Annotated[
    str | None,
    Option("--router", metavar="round-robin|least-loaded|prefix", rich_help_panel=TRAFFIC,
           help="Which replica a request goes to: the next, that with the fewest unanswered, or of those that are not "
                "busier than the others that which holds most of its prefix; default: round-robin."),
]  # fmt: skip
PrefixCache = Annotated[
    str | None,
    Option("--prefix-cache", metavar="on|off|infinite", rich_help_panel=TRAFFIC,
           help="Whether prefixes that a trace tells are reused: on, as far as the cache of a replica holds them; "
                "infinite, from a store of all replicas that never forgets; default: on."),
]  # fmt: skip
PrefillGpu = Annotated[
    str | None,
    Option("--prefill-gpu", metavar="NAME", autocompletion=gpu_names, rich_help_panel=LAYOUT,
           help="GPU of the pool of --prefill-gpus, with --disaggregated; default: as those that decode."),
]  # fmt: skip
Seed = Annotated[
    str | None,
    Option("--seed", metavar="N", rich_help_panel=TRAFFIC,
           help="Of what is drawn: equal seeds give equal answers; default: 0."),
]  # fmt: skip
FailMissed = Annotated[
    bool,
    Option("--fail-missed", rich_help_panel=SHOW,
           help="End with exit code 1 where a level of --ttft or --tpot is missed, as in p95=2s."),
]  # fmt: skip


LOADS = "0.25:1.5:0.25"
"""Multiples of the load that are replayed where percentiles against it are to be drawn and none are told."""


def simulate(
    *,
    model: Model = None,
    gpu: Gpu = None,
    trace: Trace = None,
    process: Process = None,
    input_lengths: InputLengths = None,
    output_lengths: OutputLengths = None,
    speed: Speed = None,
    loads: Loads = None,
    replicas: Replicas = None,
    router: RouterOption = None,
    prefix_cache: PrefixCache = None,
    prefill_gpu: PrefillGpu = None,
    seed: Seed = None,
    fail_missed: FailMissed = False,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """Requests replayed through the engine's scheduler: percentiles of waits, and dollars at this load.

    Traffic is --trace FILE, --demand '5 requests/s', --concurrency N or --arrivals offline, with --requests of them.
    Steps take as long as estimate predicts; --ttft and --tpot are the levels that goodput counts.
    """
    if output.explain:
        hint = "costcalc estimate --explain has those of its steps"
        raise CostcalcError("a replay has no formulas", where="--explain", hint=hint)
    told = {
        "trace": trace, "process": process, "input_lengths": input_lengths, "output_lengths": output_lengths,
        "speed": speed, "loads": loads, "replicas": replicas, "router": router, "prefix_cache": prefix_cache,
        "prefill_gpu": prefill_gpu, "seed": seed,
    }  # fmt: skip
    if fail_missed and not any("=" in str(given.get(each)) for each in ("ttft", "tpot")):
        hint = "add --ttft p95=2s or --tpot p99=50ms"
        raise CostcalcError("no level at a statistic is told", where="--fail-missed", hint=hint)
    given = output.with_tokens(given)
    with output.opened(CHART_KINDS["simulate"]) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.simulate import simulate as replayed

        if opened.chart_kind == "load" and loads is None and (trace or "demand" in given):
            told["loads"] = LOADS
        own = {each: value for each, value in told.items() if value is not None}
        result = replayed(name, machine, catalog=catalog, **own, **given)

        opened.show(result)
        if fail_missed and (missed := [each.of.upper() for each in result.levels if not each.kept]):
            opened.above.insert(0, f"--fail-missed: {' and '.join(missed)} missed")


# What to run, and how many.


Peak = Annotated[
    str | None,
    Option("--peak", metavar="RATIO", rich_help_panel=TRAFFIC,
           help="Load of the busiest time over the mean that --demand says, as in 3; default: 1."),
]  # fmt: skip
Hourly = Annotated[
    str | None,
    Option("--hourly", metavar="FILE|N,...", rich_help_panel=TRAFFIC,
           help="Loads of 24 hours against each other, instead of --peak: GPUs by hour, and what they cost."),
]  # fmt: skip
PlanPools = Annotated[
    str | None,
    Option("--pools", metavar="one|apart|both", rich_help_panel=LAYOUT,
           help="Prefill and decode in one pool, apart, of like and of unlike GPUs, or both ways; default: both."),
]  # fmt: skip
Seeds = Annotated[
    str | None,
    Option("--seeds", metavar="N", rich_help_panel=TRAFFIC,
           help="Replays in which a recommendation has to keep its levels, each with a seed of its own; default: 5."),
]  # fmt: skip
PlanGpus = Annotated[
    list[str] | None,
    Option("--gpu", "-g", metavar="NAME,...", autocompletion=gpu_names, rich_help_panel=SUBJECT,
           help="One or several accelerators, as in h100,8xb200, of which 8 are there; all: every one of the catalog."),
]  # fmt: skip


def plan(
    *,
    model: Model = None,
    gpu: PlanGpus = None,
    trace: Trace = None,
    process: Process = None,
    input_lengths: InputLengths = None,
    output_lengths: OutputLengths = None,
    peak: Peak = None,
    hourly: Hourly = None,
    pools: PlanPools = None,
    prefix_cache: PrefixCache = None,
    seeds: Seeds = None,
    seed: Seed = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """Which fleet serves a demand at its service levels, how many GPUs of each kind it takes, and what it costs.

    Traffic is --demand '50 requests/s', '1B tokens/day' or '100 users', in the mean, or --trace FILE; levels are --ttft
    p95=2s and --tpot p99=50ms. Layouts and sizes are ranked by prediction, and what is recommended kept its levels when
    costcalc simulate replayed it.
    """
    if output.explain:
        hint = "costcalc estimate --explain has those of its steps"
        raise CostcalcError("a plan has no formulas", where="--explain", hint=hint)
    told = {
        "trace": trace, "process": process, "input_lengths": input_lengths, "output_lengths": output_lengths,
        "peak": peak, "hourly": hourly, "pools": pools, "prefix_cache": prefix_cache, "seeds": seeds, "seed": seed,
    }  # fmt: skip
    given = output.with_tokens(given)
    with output.opened(CHART_KINDS["plan"]) as opened:
        (name, machines), catalog = subject(model, ",".join(gpu) if gpu else None), sources.opened()
        from costcalc.explore.fleet.plan import plan as planned

        listed = [each for each in machines.split(",") if each.strip()]
        own = {each: value for each, value in told.items() if value is not None}
        result = planned(name, listed, catalog=catalog, **own, **given)

        opened.show(result)
        if not result.serves:
            opened.above.insert(0, "no fleet of these GPUs keeps the levels")
