"""What commands take: rows of OPTIONS as parameters, models and GPUs, where answers go; and what completes them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass, replace
from inspect import Parameter, Signature, cleandoc, signature
from pathlib import Path
from shlex import join
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, get_type_hints

from typer import Context, Option

from costcalc.errors import AboveLimit, CostcalcError, did_you_mean, shortened, shown
from costcalc.fields import Record, Result
from costcalc.formats import CACHE_FORMATS, COMPUTE_PRECISIONS, WEIGHT_FORMATS
from costcalc.hardware.prices import KINDS as PRICE_KINDS
from costcalc.predict.options import LOAD, OPTIONS, SWEPT
from costcalc.predict.options import Option as Row
from costcalc.report.charts import CHARTS, OF_GPUS, THEME, THEMES
from costcalc.units import SHOWN_IN, format_count, format_usd, parse_currency, parse_quantity, parse_whole

if TYPE_CHECKING:
    from costcalc.catalog.catalog import Catalog
    from costcalc.explore.compare import Curves
    from costcalc.explore.overview import Overview
    from costcalc.explore.sweep import Sweep
    from costcalc.predict.quantities import Assumption
    from costcalc.report.files import NewFile
    from costcalc.report.page import Block, Depth


# Names for shells to complete, found without reading more than the names of the files.


NO_MODEL = "closed_models"  # lists prices of models without a shape
BEST = "best"  # no engine, but the least overhead of each: ServingEfficiency.engine


def model_names(incomplete: str) -> list[str]:
    """Return the models whose names begin as typed."""
    return _names("models", incomplete, "")


def gpu_names(incomplete: str) -> list[str]:
    """Return the accelerators whose names begin as typed, behind a count such as '8x'."""
    digits = len(incomplete) - len(incomplete.lstrip("0123456789"))
    counted = digits > 0 and incomplete[digits : digits + 1].lower() == "x"
    count = incomplete[: digits + 1] if counted else ""
    return _names("hardware_profiles", incomplete[len(count) :], count)


def backend_names() -> list[str]:
    """Return the serving engines of the constants, found without a YAML parser, which help has no time for."""
    from costcalc.catalog.files import catalog_roots

    try:
        files = [root / "hardware_profiles" / "efficiency" / "serving.yaml" for root in catalog_roots()]
        text = next(Path(file).read_text(encoding="utf-8") for file in files if file.is_file())
    except (CostcalcError, OSError, StopIteration, ValueError):
        return []
    _, _, block = f"\n{text}".partition("\nbackends:\n")
    names = re.findall(r"^ {2}([\w-]+):\s*$", re.split(r"^\S", block, maxsplit=1, flags=re.MULTILINE)[0], re.MULTILINE)
    return [*names, BEST] if names else []


def matching_backends(incomplete: str) -> list[str]:
    """Return the serving engines whose names begin as typed."""
    return [name for name in backend_names() if name.startswith(incomplete.lower())]


def one_of(*words: str) -> Callable[[str], list[str]]:
    """Return what completes one of some words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete.lower())]


CHART_KINDS = {
    name: CHARTS[result][1]
    for name, result in {
        "estimate": "Estimate", "capacity": "Capacity", "attention": "Comparison", "models": "Comparison",
        "sweep": "Sweep", "frontier": "Frontier", "simulate": "Simulation", "plan": "Plan",
        "sensitivity": "Sensitivity", "breakeven": "BreakEven", "price": "Priced",
    }.items()
} | {"gpus": OF_GPUS}  # fmt: skip
"""Panels of each command's chart, by its name."""


def chart_kinds(ctx: Context, incomplete: str) -> list[str]:
    """Return the panels of this command's chart that begin as typed."""
    return one_of(*CHART_KINDS.get(str(ctx.info_name), ()))(incomplete)


def _completing(name: str, row: Row) -> Callable[[str], list[str]] | None:
    """What completes a row of OPTIONS: engines, formats, kinds of prices, or the words that its help names."""
    if name == "backend":
        return matching_backends
    if name == "price":
        return one_of(*PRICE_KINDS)
    weights, caches = [*WEIGHT_FORMATS], [*CACHE_FORMATS]
    formats = {"weights": weights, "experts": weights, "kv_cache": caches, "activations": [*COMPUTE_PRECISIONS]}
    words = formats.get(name) or re.findall(r"(?<![\w-])[a-z][a-z-]+", row.metavar)
    return one_of(*words) if words else None


def _names(kind: str, incomplete: str, prefix: str) -> list[str]:
    from costcalc.catalog.files import catalog_roots

    try:
        roots = catalog_roots()
    except CostcalcError:
        return []
    files = {path.stem: path for root in reversed(roots) for path in (root / kind).glob("*.y*ml")}
    files.pop(NO_MODEL, None)
    typed, found = incomplete.lower(), set[str]()
    for stem, path in files.items():
        begun = stem.startswith(typed)
        found |= {stem} if begun else set()
        # Of a file that is offered, only what is short for it: h100 of h100-sxm.
        found |= {each for each in _aliases(path) if each.startswith(typed) and (not begun or stem.startswith(each))}
    return [prefix + name for name in sorted(found)]


_HEAD = 4096  # bytes of a file in which its aliases stand


def _aliases(path: Path) -> list[str]:
    """Other names of a file of the catalog, found without a YAML parser."""
    try:
        with path.open("rb") as file:
            text = file.read(_HEAD).decode(errors="replace")
    except OSError:
        return []
    listed = re.search(r"^aliases: *\[([^\]\n]*)\]", text, re.MULTILINE)
    return re.findall(r"[\w.-]+", listed[1]) if listed else []


# What commands take, besides typer's own parameters: options of an estimate, and dataclasses of typer options.


class Taken(NamedTuple):
    """A value of an option that was not typed but set elsewhere, and where: a variable, or a place in a file."""

    param: Any
    text: str
    where: str

    def assumption(self) -> Assumption:
        """It among the defaults of an answer."""
        from costcalc.predict.quantities import SET_BY, Assumption

        flag = next(each for each in self.param.opts if each.startswith("--"))
        return Assumption(
            self.param.name, self.text, f"{SET_BY}{self.where}", f"{flag} {self.param.metavar or ''}".strip()
        )

    def concerns(self, error: CostcalcError) -> bool:
        """Return whether an error is about it."""
        return is_about(error, self.param, self.text)


TAKEN: list[Taken] = []
"""What the command that runs takes from elsewhere."""
TYPED: list[str] = []
"""The words of the command that runs, its program and itself included."""


def is_about(error: CostcalcError, param: Any, value: object) -> bool:
    """Return whether an error is about a parameter and its value; of an unknown name the value is quoted alone."""
    if error.where is None:
        return isinstance(value, str) and shown(re.sub(r"^\d+x", "", value)) in error.message
    argument = [param.metavar.rstrip(".")] if param.param_type_name == "argument" and param.metavar else []
    return error.where.partition(" ")[0] in (param.name, *param.opts, *argument)  # '--set gpu.memory'


class Given(dict[str, Any]):
    """Options of an estimate as typed, by their keywords; those that nobody typed are missing."""

    rows: ClassVar[Mapping[str, Row]] = OPTIONS

    def __init__(self, **typed: Any) -> None:
        super().__init__({name: value for name, value in typed.items() if value not in (None, False)})


class SweepGiven(Given):
    """Options of a sweep as typed, by their keywords."""

    rows = OPTIONS | SWEPT


class OwnerGiven(Given):
    """What an owner says of an accelerator and of its site, as typed."""

    rows: ClassVar[Mapping[str, Row]] = {
        name: OPTIONS[name] for name in ("owned", "pue", "power_price", "grid_co2", "utilization")
    }


class PayerGiven(Given):
    """What GPU-hours are paid by, as typed."""

    rows: ClassVar[Mapping[str, Row]] = {name: OPTIONS[name] for name in ("price", "owned", "pue", "power_price")}


def with_options(function: Callable[..., None]) -> Callable[..., None]:
    """Return a command in which `Given` stands for the rows of OPTIONS, and a dataclass for its fields.

    function: the command; its other parameters are typer options.
    """
    hints = get_type_hints(function, include_extras=True)
    plain: list[Parameter] = []
    bundles: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    for parameter in signature(function).parameters.values():
        hint = hints[parameter.name]
        if isinstance(hint, type) and (issubclass(hint, Given) or is_dataclass(hint)):
            own = [_parameter(*each) for each in hint.rows.items()] if issubclass(hint, Given) else _parameters(hint)
            bundles[parameter.name] = (hint, [each.name for each in own])
            plain += own
        else:
            plain.append(parameter.replace(annotation=hint, kind=Parameter.KEYWORD_ONLY))

    def command(**values: Any) -> None:
        for name, (bundle, names) in bundles.items():
            values[name] = bundle(**{each: values.pop(each) for each in names})
        function(**values)

    command.__dict__["is_question"] = any(bundle is Output for bundle, _ in bundles.values())
    command.__name__ = function.__name__
    command.__doc__ = cleandoc(function.__doc__ or "")
    command.__annotations__ = {each.name: each.annotation for each in plain}
    command.__dict__["__signature__"] = Signature(plain)
    return command


def _parameter(name: str, row: Row) -> Parameter:
    """A row of OPTIONS as typer declares it: a switch, or text that is read where the row says."""
    declared = Option(
        None if row.metavar else False,
        *row.flags,
        metavar=row.metavar or None,
        rich_help_panel=row.panel,
        autocompletion=_completing(name, row),
        help=row.help.replace("{backends}", ", ".join(backend_names())) if name == "backend" else row.help,
    )
    kind: Any = str | None if row.metavar else bool
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=kind, default=declared)


def _parameters(bundle: type) -> list[Parameter]:
    hints = get_type_hints(bundle, include_extras=True)
    return [
        Parameter(
            each.name,
            Parameter.KEYWORD_ONLY,
            annotation=hints[each.name],
            default=Parameter.empty if each.default is MISSING else each.default,
        )
        for each in fields(bundle)
    ]


SUBJECT = "Model and GPU"
CATALOG = "Catalog"
SHOW = "Output"

Model = Annotated[
    str | None,
    Option(
        "--model", "-m", metavar="NAME", autocompletion=model_names, rich_help_panel=SUBJECT,
        help="A model's name, alias, Hugging Face id or YAML file; see: costcalc models",
    ),
]  # fmt: skip
Gpu = Annotated[
    str | None,
    Option(
        "--gpu", "-g", metavar="NAME", autocompletion=gpu_names, rich_help_panel=SUBJECT,
        help="An accelerator's name, alias or YAML file, as in h100 or 8xh100; see: costcalc gpus",
    ),
]  # fmt: skip


def required(text: str | None, option: str, example: str, listing: str) -> str:
    """Return what was typed for an option that has no default.

    Raises CostcalcError when nothing was typed.
    """
    if text is None:
        raise CostcalcError(
            f"{option} is missing", hint=f"name one, such as {option} {example}; list them with: {listing}"
        )
    return text


def model_named(text: str | None) -> str:
    """Return the model that --model names; raises CostcalcError when none was named."""
    return required(text, "--model", "v3", "costcalc models")


def gpu_named(text: str | None) -> str:
    """Return the GPU that --gpu names, as in '8xh100'; raises CostcalcError when none was named."""
    return required(text, "--gpu", "h100", "costcalc gpus")


def subject(model: str | None, gpu: str | None) -> tuple[str, str]:
    """Return what --model and --gpu name; raises CostcalcError when either is missing, naming both if both are."""
    if model is None and gpu is None:
        hint = "name both, as in --model v3 --gpu h100; list them with: costcalc models, costcalc gpus"
        raise CostcalcError("--model and --gpu are missing", hint=hint)
    return model_named(model), gpu_named(gpu)


class CatalogFolder(Record):
    """Where specifications and constants come from."""

    catalog: Annotated[
        str | None,
        Option("--catalog", metavar="DIR", rich_help_panel=CATALOG,
               help="A folder with models/ and hardware_profiles/ of your own, looked at first; those of the "
                    "variable COSTCALC_CATALOG are next, then what costcalc ships."),
    ] = None  # fmt: skip

    def opened(self) -> Catalog:
        """Return the catalog; raises CostcalcError where the folder is none."""
        from costcalc.catalog.catalog import Catalog

        return Catalog(self.catalog, self._changes())

    def _changes(self) -> dict[str, dict[str, str]]:
        return {}


class Sources(CatalogFolder):
    """Where specifications come from, and what is changed in them."""

    set: Annotated[
        list[str] | None,
        Option("--set", metavar="PATH=VALUE", rich_help_panel=CATALOG,
               help="Change a value of the model or the GPU, as in gpu.memory_bandwidth=3.3TB/s; repeatable."),
    ] = None  # fmt: skip

    def _changes(self) -> dict[str, dict[str, str]]:
        from costcalc.catalog.read import split_overrides

        return split_overrides(self.set or [])


# Numbers and words that commands read themselves; options of an estimate are read in `predict/options.py`.


def whole(text: str | None, option: str, *, most: int) -> int | None:
    """Return a whole number of 1 or more such as '8' or '100k', or None when nothing was typed; `option` is for errors.

    Raises CostcalcError when it cannot be read, or is more than the most.
    """
    if text is None:
        return None
    try:
        number = parse_whole(text)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=option, hint=error.hint) from None
    if number > most:
        raise CostcalcError(
            f"{shown(text)} is beyond all reason", where=option, hint=f"the most is {format_count(most)}"
        )
    return number


def choice(text: str | None, option: str, choices: Iterable[str]) -> str | None:
    """Return one of several words, in any case, or None when nothing was typed; `option` is for errors.

    Raises CostcalcError when it is none of them.
    """
    if text is None:
        return None
    words = list(choices)
    word = text.strip().lower()
    if word in words:
        return word
    hint = did_you_mean(word, words) or f"one of: {', '.join(words)}"
    raise CostcalcError(f"{shown(text)} is unknown", where=option, hint=hint)


# Where results go, and in which form.


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

    currency: Annotated[
        str | None,
        Option("--currency", metavar="NAME=RATE", rich_help_panel=SHOW,
               help="Show money in another currency, as in EUR=0.92 to the dollar; prices are typed, and JSON and CSV "
                    "stay, in US dollars."),
    ] = None  # fmt: skip

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
        from costcalc.report.files import new_file

        limit = None if self.fail_above is None else read_limit(self.fail_above)
        kind = choice(self.chart_kind, "--chart-kind", chart_kinds)
        check_chart(self.chart)
        if kind is not None and self.chart is None:
            raise CostcalcError("there is no chart to draw", where="--chart-kind", hint="add --chart chart.png")
        form = form_of(self.format, self.file(), "--output-file", rows)
        files = new_file(self.file(), "--output-file"), new_file(self.chart, "--chart")
        with _shown_in(self.currency), drawn_on(self.chart_theme, self.chart), files[0] as text, files[1] as chart:
            opened = Opened(form, text, chart, kind, self.explain, self.plot, self.depth(form), limit, [])
            yield opened
        if opened.above:
            raise AboveLimit(opened.above[0])


@contextmanager
def _shown_in(currency: str | None) -> Iterator[None]:
    """Show money in a currency as typed while the work inside lasts."""
    try:
        chosen = SHOWN_IN.get() if currency is None else parse_currency(currency)
    except CostcalcError as error:
        raise CostcalcError(error.message, where="--currency", hint=error.hint) from None
    before = SHOWN_IN.set(chosen)
    try:
        yield
    finally:
        SHOWN_IN.reset(before)


def _with_taken(result: Any) -> Any:
    """An answer that says which of its options were set elsewhere: among its defaults, or in a note."""
    from costcalc.predict.quantities import BreakEven, Comparison, Estimate

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
    """What a million tokens of a row cost [$], of its demand where one was told: what is paid, idle or not."""
    names = [f"usd_per_million_{tokens}_tokens", *(["usd_per_million_tokens"] if tokens == "blended" else [])]
    found = {
        path: cost
        for path, cost in row.items()
        if path.rpartition(".")[2] in names and cost is not None and math.isfinite(cost)
    }
    return [cost for path, cost in found.items() if path.startswith("demand.")] or list(found.values())


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
        from costcalc.report.files import write
        from costcalc.report.rows import check_rows, row_texts, write_rows

        check_rows(self.form)
        if self.text is None:
            for text in row_texts(self.form, parts):
                write(text)
            return
        with self.text.opened() as stream:
            write_rows(self.form, parts, stream)

    def show_report(self, found: Overview) -> None:
        """Write the chart where one was asked for, and a report, in HTML or as a workbook."""
        from costcalc import __version__
        from costcalc.report.files import csv_rows

        self.draw(found.estimate)
        if TAKEN:
            found = replace(found, estimate=_with_taken(found.estimate))
        if self.text is not None and self.form == "html":
            from costcalc.report.html.document import report_html

            self.text.write_text(report_html(found, join(TYPED), __version__))
        elif self.text is not None:
            from costcalc.report.workbook import report_xlsx

            self.text.write_bytes(report_xlsx(found, join(TYPED), __version__))
        if self.limit is not None:
            self.above.extend(self.limit.broken_by(csv_rows(found.estimate)))

    def show(self, result: Result, curves: Curves | None = None) -> None:
        """Write the chart where one was asked for, and the answer.

        curves: of a comparison, for its lines.
        """
        from costcalc.report.files import csv_rows, narrow, show, whole_page
        from costcalc.report.page import Command, Line

        self.draw(result, curves)
        if TAKEN:
            result = _with_taken(result)

        command = join(TYPED)  # now: the page of one of several questions is made when all are answered

        def page() -> list[Block]:
            # LaTeX stands far from where it was made.
            made_by = [Command(command)] if self.form == "latex" else []
            found, money = whole_page(result, self.explain, self.plot, curves, self.depth), SHOWN_IN.get()
            if money.per_usd == 1:
                return [*made_by, *found]
            return [*made_by, *found, Line(f"Money in {money.name}, {money.per_usd:g} to the US dollar.", "dim")]

        def rows() -> list[dict[str, Any]]:
            found = csv_rows(result)
            whole = found and "kv_cache.bytes_per_token" in found[0]
            return narrow(found) if self.depth == "brief" and whole else found

        show(self.form, self.text, page, result.to_dict, rows)
        if self.limit is not None:
            self.above.extend(self.limit.broken_by(csv_rows(result)))


def names_a_file(text: str) -> bool:
    """Return whether a value of --output is a file: it has a known ending, a folder, or a name and an ending."""
    if "/" in text or "\\" in text or Path(text).suffix.lower() in FILE_FORMATS:
        return True
    stem, dot, ending = text.rpartition(".")
    return bool(dot and stem and ending.isalpha() and not stem.lstrip("+-").replace(",", "").isdigit())
