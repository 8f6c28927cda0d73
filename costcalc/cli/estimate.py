"""`costcalc estimate`: what a deployment does and costs, and why."""

from __future__ import annotations

from costcalc.cli.output import Output
from costcalc.cli.parameters import Given, Gpu, Model, Sources, gpu_named, model_named, with_options

CHART_KINDS = ("roofline", "time")


@with_options
def estimate(*, model: Model = None, gpu: Gpu = None, given: Given, output: Output, sources: Sources) -> None:
    """What a deployment does and costs, and why.

    A model and a GPU are enough: what is left out is chosen, marked in the answer, and explained.
    """
    given = output.with_tokens(given)
    with output.opened_with_chart(CHART_KINDS) as opened:
        machine, name, catalog = gpu_named(gpu), model_named(model), sources.opened()
        from costcalc.explore.estimate import estimate as answer
        from costcalc.report.files import present

        result = answer(name, machine, catalog=catalog, **given)
        if opened.chart is not None:
            from costcalc.report.charts.estimate import draw_estimate
            from costcalc.units import parse_machine

            spec = catalog.gpu(parse_machine(machine)[1])
            opened.chart.write_bytes(draw_estimate(result, spec, opened.chart.path.suffix, opened.chart_kind))
        present(result, opened.form, opened.text, explain=output.explain, plot=output.plot)
