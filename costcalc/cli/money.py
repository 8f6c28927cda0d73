"""The commands about money: `costcalc sensitivity`."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from costcalc.cli.parameters import Given, Gpu, Model, Output, Sources, subject
from costcalc.predict.options import MONEY

SENSITIVITY_CHARTS = ("tornado",)

Vary = Annotated[
    list[str] | None,
    Option("--vary", metavar="INPUT=LOW:HIGH,...", rich_help_panel=MONEY,
           help="Ranges of your own, as in price=1.5:4,cached=0:0.9; an empty one (batch=) leaves an input out."),
]  # fmt: skip
Of = Annotated[
    str | None,
    Option("--of", metavar="blended|output|input", rich_help_panel=MONEY,
           help="Dollars per million of which tokens; default: blended."),
]  # fmt: skip


def sensitivity(
    *,
    model: Model = None,
    gpu: Gpu = None,
    vary: Vary = None,
    of: Of = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """What moves the cost most: each input over its range, the others as they are.

    Price, use, lengths, cached share, batch, the limit of TPOT and the range of the prediction itself.
    """
    given = output.with_tokens(given)
    with output.opened(SENSITIVITY_CHARTS) as opened:
        (name, machine), catalog = subject(model, gpu), sources.opened()
        from costcalc.explore.sensitivity import sensitivity as answered

        ranges = [each for part in vary or () for each in part.split(",")]
        result = answered(
            name, machine, of=(of or "blended").strip().lower(), vary=ranges or None, catalog=catalog, **given
        )

        def draw(suffix: str) -> bytes:
            from costcalc.report.charts.sensitivity import draw_sensitivity

            return draw_sensitivity(result, suffix)

        opened.show(result, draw)
