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
    with output.opened(CHART_KINDS) as opened:
        asked = subject(model, gpu, serving, catalog, tokens)
        from costcalc.explore.breakeven import break_even

        result = break_even(asked.model, asked.gpu, against=against, catalog=catalog.catalog, **asked.options)

        def draw(suffix: str) -> bytes:
            from costcalc.report.charts.breakeven import draw_breakeven

            return draw_breakeven(result, suffix)

        opened.show(result, draw)
