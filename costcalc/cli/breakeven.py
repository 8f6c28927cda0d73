"""`costcalc breakeven`: self-host, or pay an API."""

from typing import Annotated

from typer import Option

from costcalc.cli.bundle import with_options
from costcalc.cli.inputs import subject
from costcalc.cli.options import MONEY, Catalog, Gpu, Model, Serving
from costcalc.cli.output import Output

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
        from costcalc.show.present import present

        result = break_even(asked.model, asked.gpu, against=against, catalog=catalog.catalog, **asked.options)
        if opened.chart is not None:
            from costcalc.show.figures.breakeven import draw_breakeven

            opened.chart.write_bytes(draw_breakeven(result, opened.chart.path.suffix))
        present(result, opened.form, opened.text, explain=output.explain, plot=output.plot)
