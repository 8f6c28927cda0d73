"""`costcalc breakeven`: self-host, or pay an API."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from costcalc.cli.options import MONEY, Catalog, Gpu, Model, Serving, with_options
from costcalc.cli.output import Output
from costcalc.cli.subject import subject

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
    serving: Serving,
    output: Output,
    catalog: Catalog,
) -> None:
    """How busy GPUs of your own must be to cost what an API charges for the same tokens."""
    tokens = output.tokens()
    with output.opened_with_chart(CHART_KINDS) as opened:
        asked = subject(model, gpu, serving, catalog, tokens)
        from costcalc.explore.breakeven import break_even
        from costcalc.report.files import present

        result = break_even(asked.model, asked.gpu, against=against, catalog=catalog.catalog, **asked.options)
        if opened.chart is not None:
            from costcalc.report.charts.breakeven import draw_breakeven

            opened.chart.write_bytes(draw_breakeven(result, opened.chart.path.suffix))
        present(result, opened.form, opened.text, explain=output.explain, plot=output.plot)
