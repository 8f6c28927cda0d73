"""Where results go, and in which form."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Option

from costcalc.cli.parameters import SHOW, Given, choice
from costcalc.errors import CostcalcError, shown
from costcalc.fields import Record
from costcalc.predict.options import LOAD

if TYPE_CHECKING:
    from costcalc.explore.compare import Curves
    from costcalc.report.files import NewFile, Result
    from costcalc.report.page import Block


FORMATS = ("table", "json", "csv", "markdown")
FILE_FORMATS = {".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".txt": "table"}
CHART_SUFFIXES = (".png", ".svg", ".pdf")
_ENDINGS = ".json, .csv, .md or .txt"


def form_of(format: str | None, file: str | None, option: str) -> str:
    """Return the format of an answer: the one asked for, else the file's, else a table.

    format, file: as typed. option: the option that names the file, for errors.
    Raises CostcalcError for an unknown format or ending, and where the two contradict each other.
    """
    chosen = choice(format, "--format", FORMATS)
    if file is None:
        return chosen or "table"
    ending = Path(file).suffix.lower()
    found = FILE_FORMATS.get(ending)
    if chosen is None:
        if found is None:
            raise CostcalcError(f"{shown(file)} has an unknown ending", where=option, hint=f"end it in {_ENDINGS}")
        return found
    # Text may hold any of them; every other ending says what a reader will take the file for.
    if found not in (None, chosen) and ending != ".txt":
        right = next(each for each, form in FILE_FORMATS.items() if form == chosen)
        hint = f"end the file in {right}, or leave --format out"
        raise CostcalcError(f"{chosen} contradicts the ending of {shown(file)}", where="--format", hint=hint)
    return chosen


def check_chart(file: str | None) -> None:
    """Raise CostcalcError where the ending of a chart's file is not one of CHART_SUFFIXES."""
    if file is not None and Path(file).suffix.lower() not in CHART_SUFFIXES:
        raise CostcalcError(
            f"{shown(file)} has an unknown ending", where="--chart", hint="end it in .png, .svg or .pdf"
        )


NewYaml = Annotated[
    str | None, Option("--output", "-o", "--output-file", metavar="FILE", help="Write to this new YAML file.")
]


class Written(Record):
    """In which form a list or a card is written, and where."""

    format: Annotated[
        str | None, Option("--format", "-f", metavar="|".join(FORMATS), help="The form of the answer.")
    ] = None
    output: Annotated[
        str | None,
        Option("--output", "-o", "--output-file", metavar="FILE",
               help="Write to a file instead of the screen; its ending chooses the format."),
    ] = None  # fmt: skip

    def form(self) -> str:
        """Return the format: the one asked for, else the file's, else a table; raises CostcalcError."""
        return form_of(self.format, self.output, "--output")


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
        Option("--format", "-f", metavar="|".join(FORMATS), rich_help_panel=SHOW, help="The form of the answer."),
    ] = None
    explain: Annotated[
        bool, Option("--explain", help="Show every headline number as a formula with its source.",
                     rich_help_panel=SHOW),
    ] = False  # fmt: skip
    plot: Annotated[bool, Option("--plot", help="Draw bars and lines in the terminal.", rich_help_panel=SHOW)] = False
    chart: Annotated[
        str | None,
        Option("--chart", metavar="FILE", rich_help_panel=SHOW,
               help="Draw a chart into a file ending in .png, .svg or .pdf."),
    ] = None  # fmt: skip
    chart_kind: Annotated[
        str | None,
        Option("--chart-kind", metavar="KIND", rich_help_panel=SHOW,
               help="One panel of the chart alone: roofline or time of an estimate; cache, throughput, "
                    "speed or cost of a comparison; cost, throughput, speed or wait of a sweep."),
    ] = None  # fmt: skip

    def with_tokens(self, given: Given) -> Given:
        """Return options with the output tokens that --output names; raises CostcalcError when they are given twice."""
        counts = [each for each in self.output or [] if not _names_a_file(each)]
        tokens = _only([*counts, given.get("output_tokens")], "the output tokens are given twice", "--output")
        return Given(**{**given, "output_tokens": tokens})

    def file(self) -> str | None:
        """Return the file to write, or None for stdout; raises CostcalcError when it was given twice."""
        files = [each for each in self.output or [] if _names_a_file(each)]
        return _only([*files, self.output_file], "the output file is given twice", "--output-file")

    @contextmanager
    def opened(self, chart_kinds: tuple[str, ...]) -> Iterator[Opened]:
        """Check and open the files asked for; nothing of them stays behind when the work inside fails.

        chart_kinds: the panels that `--chart-kind` may name.
        Raises CostcalcError for a file that cannot be written, before anything is computed.
        """
        from costcalc.report.files import new_file

        kind = choice(self.chart_kind, "--chart-kind", chart_kinds)
        check_chart(self.chart)
        if kind is not None and self.chart is None:
            raise CostcalcError("there is no chart to draw", where="--chart-kind", hint="add --chart chart.png")
        form = form_of(self.format, self.file(), "--output-file")
        with new_file(self.file(), "--output-file") as text, new_file(self.chart, "--chart") as chart:
            yield Opened(form, text, chart, kind, self.explain, self.plot)


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

    def panels(self, charts: tuple[str, ...]) -> tuple[str, ...]:
        """Return the panels to draw: the one that was asked for, else the first three."""
        return charts[:3] if self.chart_kind is None else (self.chart_kind,)

    def show(self, result: Result, draw: Callable[[str], bytes], curves: Curves | None = None) -> None:
        """Write the chart where one was asked for, and the answer.

        draw: returns the chart as the content of a file of an ending. curves: of a comparison, for its lines.
        """
        from costcalc.report.files import csv_rows, show, whole_page

        if self.chart is not None:
            self.chart.write_bytes(draw(self.chart.path.suffix))

        def page() -> list[Block]:
            return whole_page(result, self.explain, self.plot, curves)

        show(self.form, self.text, page, result.to_dict, lambda: csv_rows(result))


def _names_a_file(text: str) -> bool:
    """Whether a value of --output is a file: it has a known ending, a folder, or a name and an ending."""
    if "/" in text or "\\" in text or Path(text).suffix.lower() in FILE_FORMATS:
        return True
    stem, dot, ending = text.rpartition(".")
    return bool(dot and stem and ending.isalpha() and not stem.lstrip("+-").replace(",", "").isdigit())
