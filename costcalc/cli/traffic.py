"""The commands about requests over time: `simulate` and `plan`."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from costcalc.cli.parameters import (
    CHART_KINDS,
    SHOW,
    SUBJECT,
    Given,
    Gpu,
    Model,
    Output,
    Sources,
    gpu_names,
    subject,
)
from costcalc.errors import CostcalcError
from costcalc.predict.options import LAYOUT

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
