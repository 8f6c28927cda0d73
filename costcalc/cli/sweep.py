"""`costcalc sweep`: the same question at every combination of several values."""

from __future__ import annotations

from costcalc.cli.output import Output
from costcalc.cli.parameters import Gpu, Model, Sources, SweepGiven, gpu_named, model_named, with_options

CHART_KINDS = ("cost", "throughput", "speed", "wait")


@with_options
def sweep(*, model: Model = None, gpu: Gpu = None, given: SweepGiven, output: Output, sources: Sources) -> None:
    """One question at every combination of several values: batches, contexts, prices, GPU counts.

    Lists and ranges (1:256:x2 doubles, 10:50:10 goes in steps) are allowed for --batch, --context, --input,
    --output-tokens, --price, --utilization, --memory-bandwidth, --gpus, --tp, --pp, --ep and --dp. One deployment
    serves every cell: the one that the most demanding cell that fits takes, unless --gpus and the degrees say another.
    """
    options = output.with_tokens(given)
    with output.opened_with_chart(CHART_KINDS) as opened:
        machine, name, catalog = gpu_named(gpu), model_named(model), sources.opened()
        from costcalc.explore.sweep import sweep as answered
        from costcalc.report.files import present

        result = answered(name, machine, catalog=catalog, **options)
        if opened.chart is not None:
            from costcalc.report.charts.sweep import draw_sweep

            kinds = CHART_KINDS[:3] if opened.chart_kind is None else (opened.chart_kind,)
            opened.chart.write_bytes(draw_sweep(result, opened.chart.path.suffix, kinds))
        present(result, opened.form, opened.text, explain=output.explain, plot=output.plot)
