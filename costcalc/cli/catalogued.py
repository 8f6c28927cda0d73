"""What `costcalc models` and `costcalc gpus` have in common: sorting, filtering, checking, writing."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer import Option

from costcalc.cli import parse
from costcalc.cli.output import FORMATS, form_of
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.frozen import Record

Facts = TypeVar("Facts")
BAD_INPUT = 2

CatalogFolder = Annotated[
    str | None,
    Option("--catalog", metavar="DIR", help="A folder with models/ and hardware_profiles/, looked at first."),
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


def matching(
    facts: Iterable[Facts], value_of: Callable[[Facts], str | None], text: str | None, option: str
) -> list[Facts]:
    """Return the entries of which a field contains a text, upper and lower case alike.

    facts: the entries.
    value_of: the field.
    text: what was typed, or None for every entry.
    option: the option, for errors.
    Raises CostcalcError when none does.
    """
    entries = list(facts)
    if text is None:
        return entries
    wanted = text.strip().casefold()
    found = [each for each in entries if wanted in (value_of(each) or "").casefold()]
    if not wanted or not found:
        values = sorted({value for each in entries if (value := value_of(each))})
        raise CostcalcError(f"nothing matches {shown(text)}", where=option, hint=did_you_mean(wanted, values, 0.5))
    return found


def ordered(
    facts: list[Facts], keys: dict[str, Callable[[Facts], Any]], text: str | None, reverse: bool
) -> list[Facts]:
    """Return entries sorted by a field; those without a value stand last.

    facts: the entries.
    keys: the fields by the names that --sort takes.
    text: what was typed, or None to keep the order.
    reverse: largest first.
    Raises CostcalcError for an unknown field.
    """
    name = parse.choice(text, "--sort", keys)
    if name is None:
        return facts[::-1] if reverse else facts
    value = keys[name]
    known = sorted((each for each in facts if value(each) is not None), key=value, reverse=reverse)
    return known + [each for each in facts if value(each) is None]


def report(problems: Sequence[str], summary: str) -> None:
    """Print problems on stderr, a line each, and leave with exit code 2; or a summary when there is none.

    problems: the problems.
    summary: what was checked.
    """
    if not problems:
        typer.echo(summary)
        return
    for problem in problems:
        sys.stderr.write(f"error: {problem}\n")
    raise typer.Exit(BAD_INPUT)


def check_each(paths: Iterable[Path], doubts: Callable[[Path], Iterable[str]]) -> list[str]:
    """Return the problems of files, each in a line that begins with the file.

    paths: the files.
    doubts: yields the problems of a file that can be read; raises CostcalcError for one that cannot.
    """
    from costcalc.catalog.positions import place

    problems: list[str] = []
    for path in paths:
        try:
            problems += [f"{place(path)}: {doubt}" for doubt in doubts(path)]
        except CostcalcError as error:
            problems.append(str(error))
    return problems


def names_given_twice(kind: str, catalog: str | None) -> list[str]:
    """Return the names of the catalog that two files answer to, each in a line.

    kind: 'models' or 'hardware_profiles'.
    catalog: a folder to look at first.
    """
    from costcalc.catalog.find import list_entries, normal_name

    owners: dict[str, str] = {}
    problems: list[str] = []
    for entry in list_entries(kind, catalog):  # type: ignore[arg-type]
        for name in dict.fromkeys(normal_name(each) for each in (entry.name, *entry.aliases)):
            other = owners.setdefault(name, entry.name)
            if other != entry.name:
                problems.append(f"{entry.path}: the name {shown(name)} belongs to {other} too")
    return problems


def write_template(text: str, output: str | None) -> None:
    """Print a template, or write it to a file that does not exist yet.

    text: the template.
    output: the file, or None for stdout.
    Raises CostcalcError for a file that exists or cannot be written.
    """
    from costcalc.show.files import new_file
    from costcalc.show.present import write

    if output is not None and Path(output).exists():
        raise CostcalcError(f"{shown(output)} exists already", where="--output", hint="name a new file")
    if output is not None and Path(output).suffix.lower() not in (".yaml", ".yml"):
        raise CostcalcError(f"{shown(output)} has an unknown ending", where="--output", hint="end it in .yaml")
    with new_file(output, "--output") as file:
        write(text, file)
