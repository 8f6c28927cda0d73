"""`costcalc estimate`: what a deployment does and costs, and why."""

from __future__ import annotations

from costcalc.cli.options import Catalog, Gpu, Model, Serving, with_options
from costcalc.cli.output import Output
from costcalc.cli.subject import subject

CHART_KINDS = ("roofline", "time")


@with_options
def estimate(*, model: Model = None, gpu: Gpu = None, serving: Serving, output: Output, catalog: Catalog) -> None:
    """What a deployment does and costs, and why.

    A model and a GPU are enough: what is left out is chosen, marked in the answer, and explained.
    """
    tokens = output.tokens()
    with output.opened(CHART_KINDS) as opened:
        asked = subject(model, gpu, serving, catalog, tokens)
        from costcalc.explore.estimate import estimate as answer

        result = answer(asked.model, asked.gpu, **asked.options)

        def draw(suffix: str) -> bytes:
            from costcalc.report.charts.estimate import draw_estimate

            return draw_estimate(result, asked.gpu, suffix, opened.chart_kind)

        opened.show(result, draw)
