"""`costcalc breakeven`: self-host, or pay an API."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from costcalc.cli.output import Output
from costcalc.cli.parameters import Given, Gpu, Model, Sources, gpu_named, model_named, with_options
from costcalc.predict.options import MONEY

CHART_KINDS = ("use",)

Against = Annotated[
    str | None,
    Option("--against", metavar="NAME", rich_help_panel=MONEY,
           help="A model whose list prices to compare with, open or closed, as in claude-3.5-sonnet; "
                "default: the model's own."),
]  # fmt: skip


@with_options
def breakeven(
    *,
    model: Model = None,
    gpu: Gpu = None,
    against: Against = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """How busy GPUs of your own must be to cost what an API charges for the same tokens."""
    given = output.with_tokens(given)
    with output.opened_with_chart(CHART_KINDS) as opened:
        machine, name, catalog = gpu_named(gpu), model_named(model), sources.opened()
        from costcalc.explore.breakeven import break_even
        from costcalc.report.files import present

        result = break_even(name, machine, against=against, catalog=catalog, **given)
        if opened.chart is not None:
            from costcalc.report.charts.breakeven import draw_breakeven

            opened.chart.write_bytes(draw_breakeven(result, opened.chart.path.suffix))
        present(result, opened.form, opened.text, explain=output.explain, plot=output.plot)
