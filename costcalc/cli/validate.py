"""`costcalc validate` and `costcalc price`: how far predictions are from measurements, and what those cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from costcalc.cli import parameters
from costcalc.cli.parameters import (
    CHART_KINDS,
    CatalogFolder,
    ChartTheme,
    Given,
    Output,
    Sources,
    Written,
    check_chart,
    choice,
    drawn_on,
    whole,
)
from costcalc.errors import CostcalcError, tell
from costcalc.predict.readers import read_as

if TYPE_CHECKING:
    from costcalc.catalog.catalog import Catalog
    from costcalc.report.page import Block
    from costcalc.validation.files import Measurements, Row
    from costcalc.validation.published import PublishedCase


GROUPINGS = ("gpu", "model", "backend", "family", "precision")
MOST_POINTS = 100_000

Kinds = Annotated[
    list[str] | None,
    Option("--kind", "-k", metavar="KIND",
           help="decode_attention, prefill_attention, gemm, moe, comm, e2e, field, power or kv_pool; repeatable. "
                "With --data: what it holds."),
]  # fmt: skip
Data = Annotated[
    list[str] | None,
    Option("--data", "-d", metavar="FILE.csv",
           help="Measurements of your own, in the columns of measurements/; default: those that costcalc ships."),
]  # fmt: skip
By = Annotated[str | None, Option("--by", metavar="|".join(GROUPINGS), help="Divide the classes of measurement.")]
Gpu = Annotated[list[str] | None, Option("--gpu", "-g", metavar="NAME", help="Only rows of this GPU; repeatable.")]
Model = Annotated[
    list[str] | None, Option("--model", "-m", metavar="NAME", help="Only rows of this model; repeatable.")
]
Backend = Annotated[
    list[str] | None,
    Option("--backend", metavar="NAME", help="Only rows of this engine or library, such as vllm or nccl; repeatable."),
]
Worst = Annotated[str | None, Option("--worst", metavar="N", help="List the N worst points of each class; default: 3.")]
Against = Annotated[
    str | None,
    Option("--against", metavar="NAME",
           help="Compare with what a paper published instead, such as deepseek-v3, epoch or flashmla; "
                "'list' names them, 'all' takes them all."),
]  # fmt: skip
Chart = Annotated[
    str | None,
    Option("--chart", metavar="FILE", help="Draw predicted against measured into a file: .png, .svg or .pdf."),
]


def validate(
    *,
    written: Written,
    kind: Kinds = None,
    data: Data = None,
    by: By = None,
    gpu: Gpu = None,
    model: Model = None,
    backend: Backend = None,
    worst: Worst = None,
    against: Against = None,
    chart: Chart = None,
    chart_theme: ChartTheme = None,
    folder: CatalogFolder,
) -> None:
    """How far predictions are from measurements, beside the error of the ideal bound.

    Without --data, the measurements that costcalc ships: those that its constants were fitted on.
    """
    division = choice(by, "--by", GROUPINGS)
    count = 0 if worst is not None and worst.strip() == "0" else whole(worst, "--worst", most=MOST_POINTS) or 3
    check_chart(chart)
    catalog = folder.opened()
    asked_for = {"gpu": gpu or [], "model": model or [], "backend": backend or []}
    if against is not None:
        measured_alone = {"--kind": kind, "--data": data, "--by": by, "--worst": worst}
        measured_alone |= {"--chart": chart, "--chart-theme": chart_theme}
        measured_alone |= {f"--{facet}": names for facet, names in asked_for.items()}
        _against(against, measured_alone, written, catalog)
        return
    from costcalc.report.accuracy import accuracy_page
    from costcalc.report.export.files import new_file
    from costcalc.validation.score import left_out_records
    from costcalc.validation.score import validate as scored

    with written.opened() as show, drawn_on(chart_theme, chart), new_file(chart, "--chart") as drawing:
        files = _measurements(kind or [], data or [])
        wanted, efficiency = _wanted(files, asked_for, catalog), catalog.kernel_efficiency()
        result = scored(files, efficiency, wanted, catalog)
        chosen = data or any(asked_for.values())
        records = None if chosen else left_out_records(efficiency, catalog.serving_efficiency())
        if drawing is not None:
            from costcalc.report.charts.measured import draw_accuracy

            groups = result.groups(None, records)
            drawing.write_bytes(draw_accuracy(result, drawing.path.suffix, groups=groups))
        if not result.predicted:
            tell("note: not one row could be predicted; each says why")

        def page() -> list[Block]:
            named = f": {', '.join(Path(each.path).name for each in files)}" if data else ""
            title = f"Predicted against measured{named}"
            return accuracy_page(result, result.groups(division, records), count, division, title, fitted=not data)

        def tree() -> dict[str, Any]:
            return result.to_dict(division)

        show(page, tree, lambda: tree()["groups" if division else "rows"])


def _against(name: str, others: Mapping[str, object], written: Written, catalog: Catalog) -> None:
    """Compare with published figures, which know none of the options of measurements."""
    for option, given in others.items():
        if given:
            raise CostcalcError("published figures know no such choice", where=option, hint="leave it or --against out")
    from costcalc.report.accuracy import papers_page, papers_tree, published_page
    from costcalc.validation.published import compare, published_figures

    published, wanted = published_figures(), name.strip().lower()
    with written.opened() as show:
        if wanted == "list":
            show(lambda: papers_page(published), lambda: papers_tree(published))
            return
        cases = read_as(published.of_paper, wanted, "--against")
        compared = compare(cases, partial(asked, catalog=catalog))
        show(lambda: published_page(compared), lambda: [each.to_dict() for each in compared])


def asked(case: PublishedCase, catalog: Catalog | None = None) -> dict[str, Any]:
    """Return the tree of the estimate that a published figure asks for."""
    from costcalc.catalog.catalog import load_gpu, load_model
    from costcalc.catalog.read import split_overrides
    from costcalc.explore.estimate import estimate

    changes = split_overrides([f"{path}={value}" for path, value in case.set.items()])
    model = load_model(case.model, catalog=catalog, overrides=changes["model"])
    gpu = load_gpu(case.gpu, catalog=catalog, overrides=changes["gpu"])
    return estimate(model, gpu, catalog=catalog, **case.options).to_dict()


def _wanted(files: list[Measurements], asked_for: Mapping[str, list[str]], catalog: Catalog) -> Callable[[Row], bool]:
    """Which rows the filters leave; raises CostcalcError where they leave none."""
    from costcalc.validation.score import only

    rows = [row for file in files for row in [*file.rows, *(each.given for each in file.unusable)]]
    chosen = [only(rows, facet, names, catalog) for facet, names in asked_for.items() if names]
    if chosen and not any(all(each(row) for each in chosen) for row in rows):
        given = " and ".join(f"--{facet}" for facet, names in asked_for.items() if names)
        raise CostcalcError("no row is of all that is asked for", where=given)
    return lambda row: all(each(row) for each in chosen)


def _measurements(kinds: list[str], data: list[str]) -> list[Measurements]:
    from costcalc.validation.files import KINDS, columns_of, load_measurements, shipped_measurements

    wanted = list(dict.fromkeys(each.strip().lower() for each in kinds))
    for each in wanted:
        read_as(columns_of, each, "--kind")
    if not data:
        return [shipped_measurements(each) for each in wanted or KINDS]
    if len(wanted) > 1:
        raise CostcalcError("several kinds for --data", where="--kind", hint="give the one that the file holds")
    return [load_measurements(each, wanted[0] if wanted else None) for each in data]


# What a benchmark just wrote, in dollars.


Files = Annotated[
    list[str] | None,
    Argument(metavar="FILE...",
             help="What vllm bench serve, sglang.bench_serving, aiperf, genai-perf, guidellm, InferenceX or "
                  "llama-bench wrote, or a CSV in the columns of serving measurements."),
]  # fmt: skip


def price(
    *,
    files: Files = None,
    model: parameters.Model = None,
    gpu: parameters.Gpu = None,
    given: Given,
    output: Output,
    sources: Sources,
) -> None:
    """What a benchmark just measured costs, beside what costcalc predicts of the same runs.

    The form of a file is told by its content. What a file does not say (model, GPU, how many, degrees of parallelism,
    engine) is said by the options of an estimate; they go before what a file says.
    """
    given = output.with_tokens(given)
    if output.explain:
        hint = "add --explain to the command of a prediction"
        raise CostcalcError("what was measured has no formulas", where="--explain", hint=hint)
    with output.opened(CHART_KINDS["price"]) as opened:
        if not files:
            raise CostcalcError("FILE is missing", hint="name what a benchmark wrote: costcalc price results.json")
        from costcalc.validation.price import price as priced

        result = priced(files, model=model, gpu=gpu, catalog=sources.opened(), **given)

        opened.show(result)
