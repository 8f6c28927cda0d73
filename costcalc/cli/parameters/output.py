"""Where answers go, and in which form, as typed: files, charts, formats, currencies, and limits of a cost."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from shlex import join
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from typer import Option

from costcalc.cli.parameters.completion import chart_kinds, one_of
from costcalc.cli.parameters.given import TAKEN, TYPED, Given, choice
from costcalc.errors import AboveLimit, CostcalcError, shortened, shown
from costcalc.fields import Record, Result
from costcalc.predict.options import LOAD
from costcalc.predict.readers import read_as
from costcalc.report.charts import THEME, THEMES
from costcalc.units import SHOWN_IN, format_usd, parse_currency, parse_quantity, shown_in
from costcalc.units import Currency as Money

if TYPE_CHECKING:
    from costcalc.explore.attention import Curves
    from costcalc.explore.overview import Overview
    from costcalc.explore.spaces.sweep import Sweep
    from costcalc.report.export.files import NewFile
    from costcalc.report.page import Block, Depth

SHOW = "Output"
FORMATS = ("table", "json", "csv", "markdown", "latex")
FILE_FORMATS = {
    ".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".tex": "latex", ".txt": "table",
}  # fmt: skip
_NO_TEXT = {"parquet": "cells.parquet", "xlsx": "report.xlsx"}
CHART_SUFFIXES = (".png", ".svg", ".pdf")
_ENDINGS = ".json, .csv, .md, .tex or .txt"


def form_of(format: str | None, file: str | None, option: str, rows: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the format of an answer: the one asked for, else the file's, else a table.

    format, file: as typed. option: the option that names the file, for errors. rows: formats of rows alone, by ending.
    Raises CostcalcError for an unknown format or ending, and where the two contradict each other.
    """
    files = {**FILE_FORMATS, **rows}
    chosen = choice(format, "--format", dict.fromkeys([*FORMATS, *rows.values()]))
    if file is None:
        if chosen in _NO_TEXT:
            raise CostcalcError(f"{chosen} is no text", where="--format", hint=f"name a file: -o {_NO_TEXT[chosen]}")
        return chosen or "table"
    _check_folder(file, option, "json")
    ending = Path(file).suffix.lower()
    found = files.get(ending)
    if chosen is None:
        if found is None:
            raise CostcalcError(f"{shown(file)} has an unknown ending", where=option, hint=f"end it in {_ENDINGS}")
        return found
    # Text may hold any of them; every other ending says what a reader will take the file for.
    if found not in (None, chosen) and ending != ".txt":
        right = next(each for each, form in files.items() if form == chosen)
        hint = f"end the file in {right}, or leave --format out"
        raise CostcalcError(f"{chosen} contradicts the ending of {shown(file)}", where="--format", hint=hint)
    return chosen


def _check_folder(file: str, option: str, ending: str) -> None:
    """Raise CostcalcError where a folder is named instead of a file."""
    if file and (file.endswith(("/", "\\")) or Path(file).is_dir()):
        hint = f"name a file in it, as in {shortened(str(Path(file) / f'answer.{ending}'), 200)}"
        raise CostcalcError(f"{shown(file)} is a folder", where=option, hint=hint)


def check_chart(file: str | None) -> None:
    """Raise CostcalcError where the ending of a chart's file is not one of CHART_SUFFIXES."""
    if file is not None:
        _check_folder(file, "--chart", "png")
    if file is not None and Path(file).suffix.lower() not in CHART_SUFFIXES:
        raise CostcalcError(
            f"{shown(file)} has an unknown ending", where="--chart", hint="end it in .png, .svg or .pdf"
        )


ChartTheme = Annotated[
    str | None,
    Option("--chart-theme", metavar="|".join(THEMES), autocompletion=one_of(*THEMES), rich_help_panel=SHOW,
           help="On which ground the chart is drawn; default: light."),
]  # fmt: skip


@contextmanager
def drawn_on(theme: str | None, chart: str | None) -> Iterator[None]:
    """Draw charts on the ground typed while the work inside lasts; raises CostcalcError where there is no chart."""
    chosen = choice(theme, "--chart-theme", THEMES)
    if chosen is not None and chart is None:
        raise CostcalcError("there is no chart to draw", where="--chart-theme", hint="add --chart chart.svg")
    before = THEME.set(chosen or THEME.get())
    try:
        yield
    finally:
        THEME.reset(before)


NewYaml = Annotated[
    str | None, Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file.")
]


class Written(Record):
    """In which form a list or a card is written, and where."""

    format: Annotated[
        str | None,
        Option(
            "--format", "-f", metavar="|".join(FORMATS), autocompletion=one_of(*FORMATS), help="The form of the answer."
        ),
    ] = None
    output: Annotated[
        str | None,
        Option("--output", "-o", "--output-file", metavar="FILE",
               help="Write to a file instead of the screen; its ending chooses the format."),
    ] = None  # fmt: skip

    def form(self) -> str:
        """Return the format: the one asked for, else the file's, else a table; raises CostcalcError."""
        return form_of(self.format, self.output, "--output")

    def money(self) -> Money:
        """Return the currency in which it is shown; raises CostcalcError where what was typed is none."""
        return SHOWN_IN.get()

    @contextmanager
    def opened(self) -> Iterator[Callable[..., None]]:
        """Open the file asked for, and yield what shows an answer there: of its page, its tree and its rows.

        Raises CostcalcError before anything is computed.
        """
        form, money = self.form(), self.money()
        from costcalc.report.export.files import new_file, show

        def shows(page: Callable[[], list[Block]], tree: Callable[[], Any], rows: Any = None) -> None:
            show(form, file, page, tree, rows, join(TYPED))

        with shown_in(money), new_file(self.output, "--output") as file:
            yield shows


Currency = Annotated[
    str | None,
    Option("--currency", metavar="NAME=RATE", rich_help_panel=SHOW,
           help="Show money in another currency, as in EUR=0.92 to the dollar; prices are typed, and JSON and CSV "
                "stay, in US dollars."),
]  # fmt: skip


class WrittenInMoney(Written):
    """In which form what has prices is written, and where, as typed."""

    currency: Currency = None

    def money(self) -> Money:
        """Return the currency in which it is shown; raises CostcalcError where what was typed is none."""
        return read_currency(self.currency)


def read_currency(typed: str | None) -> Money:
    """Return the currency typed, or else the one shown; raises CostcalcError."""
    money: Money = SHOWN_IN.get() if typed is None else read_as(parse_currency, typed, "--currency")
    return money


Brief = Annotated[
    bool,
    Option("--brief", rich_help_panel=SHOW,
           help="Show the head of a page alone: verdict and headline, or the table; of CSV the columns of tables."),
]  # fmt: skip
Verbose = Annotated[
    bool,
    Option("--verbose", "-v", rich_help_panel=SHOW,
           help="List every value that was taken by default, with its reason and the option for it."),
]  # fmt: skip


class Output(Record):
    """What is written and drawn, as typed."""

    output: Annotated[
        list[str] | None,
        Option("--output", metavar="TOKENS|FILE", rich_help_panel=LOAD,
               help="A number is the output tokens of an answer (default: 1024), and anything else is the file "
                    f"to write, by its ending {_ENDINGS}; both may be given, or the plain options for each: "
                    "--output-tokens and --output-file."),
    ] = None  # fmt: skip
    output_file: Annotated[
        str | None,
        Option("--output-file", "-o", metavar="FILE", rich_help_panel=SHOW,
               help=f"Write to a file instead of the screen; its ending, {_ENDINGS}, chooses the format."),
    ] = None  # fmt: skip
    format: Annotated[
        str | None,
        Option(
            "--format",
            "-f",
            metavar="|".join(FORMATS),
            autocompletion=one_of(*FORMATS),
            rich_help_panel=SHOW,
            help="The form of the answer.",
        ),
    ] = None
    explain: Annotated[
        bool, Option("--explain", help="Show every headline number as a formula with its source; what fits, frontiers, "
                     "replays and plans have none.",
                     rich_help_panel=SHOW),
    ] = False  # fmt: skip
    brief: Brief = False
    verbose: Verbose = False
    plot: Annotated[bool, Option("--plot", help="Draw bars and lines in the terminal.", rich_help_panel=SHOW)] = False
    chart: Annotated[
        str | None,
        Option("--chart", metavar="FILE", rich_help_panel=SHOW,
               help="Draw a chart into a file ending in .png, .svg or .pdf."),
    ] = None  # fmt: skip
    chart_kind: Annotated[
        str | None,
        Option("--chart-kind", metavar="KIND", autocompletion=chart_kinds, rich_help_panel=SHOW,
               help="One panel of the chart alone: roofline, time or memory (of a GPU, and the users that fit) of an "
                    "estimate; cache, throughput, speed, cost or memory of a comparison; speed, throughput, cost or "
                    "memory of what fits; cost, throughput, speed or wait of a sweep; throughput or cost of a "
                    "frontier; queue or load (percentiles of waits against it) of a simulation; cost or day of a "
                    "plan; cost, throughput, speed or wait of priced runs."),
    ] = None  # fmt: skip
    chart_theme: ChartTheme = None

    fail_above: Annotated[
        str | None,
        Option("--fail-above", metavar="PRICE", rich_help_panel=SHOW,
               help="End with exit code 1 where a million tokens cost more, or no cost is known, as in '$0.50/M', of "
                    "all tokens by their mix, or '$2/M output'; of several rows the cheapest counts."),
    ] = None  # fmt: skip

    currency: Currency = None

    def with_tokens(self, given: Given) -> Given:
        """Return options with the output tokens that --output names; raises CostcalcError when they are given twice."""
        counts = [each for each in self.output or [] if not names_a_file(each)]
        set_elsewhere = any(each.param.name == "output_tokens" for each in TAKEN)
        tokens = _only(
            [*counts, None if counts and set_elsewhere else given.get("output_tokens")],
            "the output tokens are given twice",
            "--output",
        )
        return Given(**{**given, "output_tokens": tokens})

    def file(self) -> str | None:
        """Return the file to write, or None for stdout; raises CostcalcError when it was given twice."""
        files = [each for each in self.output or [] if names_a_file(each)]
        return _only([*files, self.output_file], "the output file is given twice", "--output-file")

    def depth(self, form: str) -> Depth:
        """Return how much of a page is shown in a form; raises CostcalcError where less and more is asked for."""
        more = {"--verbose": self.verbose, "--explain": self.explain}
        if self.brief and any(more.values()):
            hint = f"keep it or {next(flag for flag, given in more.items() if given)}"
            raise CostcalcError("less of a page and more of it", where="--brief", hint=hint)
        if self.brief:
            return "brief"
        # LaTeX has such lists as comments.
        return "verbose" if any(more.values()) or form == "latex" else "usual"

    @contextmanager
    def opened(self, chart_kinds: tuple[str, ...], rows: Mapping[str, str] = MappingProxyType({})) -> Iterator[Opened]:
        """Check and open the files asked for; nothing of them stays behind when the work inside fails.

        chart_kinds: the panels that `--chart-kind` may name. rows: formats of rows alone, by the ending of a file.
        Raises CostcalcError for a file that cannot be written, before anything is computed, and AboveLimit for a cost
        above --fail-above, when all is written.
        """
        from costcalc.report.export.files import new_file

        limit = None if self.fail_above is None else read_limit(self.fail_above)
        kind = choice(self.chart_kind, "--chart-kind", chart_kinds)
        check_chart(self.chart)
        if kind is not None and self.chart is None:
            raise CostcalcError("there is no chart to draw", where="--chart-kind", hint="add --chart chart.png")
        form = form_of(self.format, self.file(), "--output-file", rows)
        files = new_file(self.file(), "--output-file"), new_file(self.chart, "--chart")
        money = read_currency(self.currency)
        with shown_in(money), drawn_on(self.chart_theme, self.chart), files[0] as text, files[1] as chart:
            opened = Opened(form, text, chart, kind, self.explain, self.plot, self.depth(form), limit, [])
            yield opened
        if opened.above:
            raise AboveLimit(opened.above[0])


def _with_taken(result: Any) -> Any:
    """An answer that says which of its options were set elsewhere: among its defaults, or in a note."""
    from costcalc.predict.results import BreakEven, Comparison, Estimate

    taken = [each.assumption() for each in TAKEN]
    names = {each.name for each in taken}
    if isinstance(result, Estimate):
        rest = [each for each in result.assumptions if each.name not in names]
        return result.changed(assumptions=(*taken, *rest))
    if isinstance(result, BreakEven):
        return replace(result, estimate=_with_taken(result.estimate))
    if isinstance(result, Comparison):
        rows = (replace(row, estimate=_with_taken(row.estimate)) for row in result.rows)
        return replace(result, rows=tuple(rows))
    told = "; ".join(f"{each.name.replace('_', ' ')} {each.value}, {each.why}" for each in taken)
    name = "noted" if hasattr(result, "noted") else "notes"  # a sweep's notes are those of its cells
    return replace(result, **{name: (*getattr(result, name), f"Not typed: {told}.")})


class Limit(NamedTuple):
    """What a million tokens may cost [$], and which: blended, output or input; None where that was not said."""

    usd_per_million: float
    tokens: str | None

    def broken_by(self, rows: list[dict[str, Any]]) -> Iterator[str]:
        """Yield what to say of rows of an answer, if the cheapest is above the limit or none has a cost."""
        for tokens in [self.tokens] if self.tokens else ["blended", "output"]:
            if costs := [cost for row in rows for cost in _dollars_of(row, tokens)]:
                break
        most = f"--fail-above {format_usd(self.usd_per_million)}/M"
        if not costs:
            yield f"no cost is known to be kept under {most}"
        elif min(costs) > self.usd_per_million:
            of = "tokens, blended" if tokens == "blended" else f"{tokens} tokens"
            row = "the cheapest row costs " if len(rows) > 1 else ""
            yield f"{row}{format_usd(min(costs))} per M {of}: above {most}"


def _dollars_of(row: Mapping[str, Any], tokens: str) -> list[float]:
    """What a million tokens of a row cost [$]: of its demand where one was told, what is paid, idle or not; and what
    was measured, at the price of the headline, before what was predicted of it or would be paid at other prices."""
    names = [f"usd_per_million_{tokens}_tokens", *(["usd_per_million_tokens"] if tokens == "blended" else [])]
    found = {
        path: cost
        for path, cost in row.items()
        if path.rpartition(".")[2] in names and cost is not None and math.isfinite(cost)
    }
    first = min((path.count(".") for path in found), default=0)
    of_demand = [cost for path, cost in found.items() if path.startswith("demand.")]
    return of_demand or [cost for path, cost in found.items() if path.count(".") == first]


_LIMIT = r"(.*?)(?:\s*(?:/|per)\s*(?:M|million))?(?:\s+tokens)?(?:,?\s+(blended|output|input)(?:\s+tokens)?)?"


def read_limit(text: str) -> Limit:
    """Return the limit that '$0.50/M' or '$2/M output' says; raises CostcalcError."""
    found = re.fullmatch(_LIMIT, text.strip(), re.IGNORECASE)
    try:
        dollars = parse_quantity(found[1] if found else text, "price")
    except CostcalcError as error:
        hint = "write it like '$0.50/M' or '$2/M output'"
        raise CostcalcError(f"{shown(text)} is no price: {error.message}", where="--fail-above", hint=hint) from None
    return Limit(dollars, found[2].lower() if found and found[2] else None)


def _only(typed: list[str | None], twice: str, option: str) -> str | None:
    given = [each for each in typed if each is not None]
    if len(given) > 1:
        raise CostcalcError(twice, where=option, hint="keep one")
    return given[0] if given else None


class Opened(Record):
    """The form of an answer, and the files that are ready to be written."""

    form: str
    text: NewFile | None
    chart: NewFile | None
    chart_kind: str | None
    explain: bool
    plot: bool
    depth: Depth
    limit: Limit | None
    above: list[str]  # what is to be said of an answer above the limit

    def draw(self, result: Result, curves: Curves | None = None) -> None:
        """Write the chart where one was asked for, with the panel that was asked for, else the first three."""
        if self.chart is not None:
            from costcalc.report.charts import drawn

            kinds = () if self.chart_kind is None else (self.chart_kind,)
            self.chart.write_bytes(drawn(result, self.chart.path.suffix, kinds, curves))

    def show_rows(self, parts: Iterable[Sweep]) -> None:
        """Write the cells of a sweep as rows, part by part."""
        from costcalc.report.export.files import write
        from costcalc.report.export.rows import check_rows, row_texts, write_rows

        check_rows(self.form)
        cheapest: list[dict[str, Any]] = []
        if self.limit is not None:
            parts = _judged(parts, cheapest)
        if self.text is None:
            for text in row_texts(self.form, parts):
                write(text)
        else:
            with self.text.opened() as stream:
                write_rows(self.form, parts, stream)
        if self.limit is not None:
            self.above.extend(self.limit.broken_by(cheapest))

    def show_report(self, found: Overview) -> None:
        """Write the chart where one was asked for, and a report, in HTML or as a workbook."""
        from costcalc import __version__
        from costcalc.report.export.files import csv_rows

        self.draw(found.estimate)
        if TAKEN:
            found = replace(found, estimate=_with_taken(found.estimate))
        if self.text is not None and self.form == "html":
            from costcalc.report.html.document import report_html

            self.text.write_text(report_html(found, join(TYPED), __version__))
        elif self.text is not None:
            from costcalc.report.export.workbook import report_xlsx

            self.text.write_bytes(report_xlsx(found, join(TYPED), __version__))
        if self.limit is not None:
            self.above.extend(self.limit.broken_by(csv_rows(found.estimate)))

    def show(self, result: Result, curves: Curves | None = None) -> None:
        """Write the chart where one was asked for, and the answer.

        curves: of a comparison, for its lines.
        """
        from costcalc.report.export.files import csv_rows, narrow, show, whole_page

        self.draw(result, curves)
        if TAKEN:
            result = _with_taken(result)

        def rows() -> list[dict[str, Any]]:
            found = csv_rows(result)
            whole = found and "kv_cache.bytes_per_token" in found[0]
            return narrow(found) if self.depth == "brief" and whole else found

        page = partial(whole_page, result, self.explain, self.plot, curves, self.depth)
        show(self.form, self.text, page, result.to_dict, rows, join(TYPED))
        if self.limit is not None:
            # What varies its inputs or is set against a price is judged by its own cost.
            self.above.extend(self.limit.broken_by(csv_rows(getattr(result, "estimate", result))))


_JUDGED = [f"cost.usd_per_million_{tokens}_tokens" for tokens in ("blended", "output", "input")]


def _judged(parts: Iterable[Sweep], cheapest: list[dict[str, Any]]) -> Iterator[Sweep]:
    """The parts of a sweep as they pass; the least dollars of each go into a row of `cheapest`."""
    for part in parts:
        known = {path: part.values[path] for path in _JUDGED if path in part.values}
        cheapest.append({path: float(values[values == values].min(initial=math.inf)) for path, values in known.items()})
        yield part


def names_a_file(text: str) -> bool:
    """Return whether a value of --output is a file: it has a known ending, a folder, or a name and an ending."""
    if "/" in text or "\\" in text or Path(text).suffix.lower() in FILE_FORMATS:
        return True
    stem, dot, ending = text.rpartition(".")
    return bool(dot and stem and ending.isalpha() and not stem.lstrip("+-").replace(",", "").isdigit())
