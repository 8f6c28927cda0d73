"""`costcalc sweep`: the same question at every combination of several values."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from typer import Option

from costcalc.cli.options import NUMBERS, Catalog, Gpu, Model, Serving, with_options
from costcalc.cli.output import Output
from costcalc.cli.subject import counted, gpu_name, load_gpus, load_models, model_name
from costcalc.errors import CostcalcError

CHART_KINDS = ("cost", "throughput", "speed", "wait")

Bandwidth = Annotated[
    str | None,
    Option("--memory-bandwidth", metavar="RATE,...", rich_help_panel=NUMBERS,
           help="The GPU's memory bandwidth, several of them, as in 2TB/s,3.35TB/s; default: the data sheet's."),
]  # fmt: skip
OptionOf = {
    "gpus": ("--gpus", "gpus"), "tp": ("--tp", "tensor_parallel"), "pp": ("--pp", "pipeline_parallel"),
    "ep": ("--ep", "expert_parallel"), "dp": ("--dp", "attention_data_parallel"), "batch": ("--batch", "batch"),
    "context": ("--context", "context"), "input": ("--input", "input_tokens"), "price": ("--price", "price"),
    "utilization": ("--utilization", "utilization"),
}  # fmt: skip
"""Options of which several values may be given: as fields of `Serving`, on the command line, and in Python."""


@with_options
def sweep(
    *,
    model: Model = None,
    gpu: Gpu = None,
    serving: Serving,
    memory_bandwidth: Bandwidth = None,
    output: Output,
    catalog: Catalog,
) -> None:
    """One question at every combination of several values: batches, contexts, prices, GPU counts.

    Lists and ranges (1:256:x2 doubles, 10:50:10 goes in steps) are allowed for --batch, --context, --input,
    --output-tokens, --price, --utilization, --memory-bandwidth, --gpus, --tp, --pp, --ep and --dp. One deployment
    serves every cell: the one that the most demanding cell that fits takes, unless --gpus and the degrees say another.
    """
    tokens = output.tokens()
    with output.opened(CHART_KINDS) as opened:
        count, name = gpu_name(gpu)
        wanted = model_name(model)
        swept, plain, tokens = _divided(serving, memory_bandwidth, tokens)
        options: dict[str, Any] = {**counted(plain.keywords(tokens), count, str(gpu)), **swept}
        if count is not None and "gpus" in swept:
            raise CostcalcError("the GPUs are counted twice", where="--gpus", hint="leave the count of --gpu out")
        [spec], [machine] = load_models([wanted], catalog), load_gpus([name], catalog)
        from costcalc.explore.sweep import sweep as answered

        result = answered(spec, machine, **options)

        def draw(suffix: str) -> bytes:
            from costcalc.report.charts.sweep import draw_sweep

            return draw_sweep(result, suffix, CHART_KINDS[:3] if opened.chart_kind is None else (opened.chart_kind,))

        opened.show(result, draw)


def _divided(serving: Serving, bandwidth: str | None, tokens: str | None) -> tuple[dict[str, Any], Serving, str | None]:
    """Return what varies, by the names of Python's options, and the other options as typed."""
    from costcalc.predict.options import is_several, read_option, values_of

    swept: dict[str, Any] = {}
    for field, (flag, option) in OptionOf.items():
        typed = getattr(serving, field)
        if typed is not None and is_several(typed):
            swept[option] = values_of(typed, _price if field == "price" else partial(read_option, option), flag)
            nothing: dict[str, Any] = {field: None}
            serving = replace(serving, **nothing)
    if tokens is not None and is_several(tokens):
        swept["output_tokens"] = values_of(tokens, partial(read_option, "output_tokens"), "--output-tokens")
        tokens = None
    if bandwidth is not None:
        swept["memory_bandwidth"] = values_of(bandwidth, _rate, "--memory-bandwidth")
    return swept, serving, tokens


def _price(text: str) -> float | str | None:
    from costcalc.predict.options import read_option
    from costcalc.units import parse_quantity

    word = read_option("price", text)
    return word if word is None or word[0].isalpha() else parse_quantity(word, "price_per_hour")


def _rate(text: str) -> float:
    from costcalc.units import parse_quantity

    try:
        return parse_quantity(text, "bandwidth", positive=True)
    except CostcalcError as error:
        raise CostcalcError(error.message, where="--memory-bandwidth", hint=error.hint) from None
