"""What `costcalc models` and `costcalc gpus` have in common: sorting, filtering, checking, writing."""

import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer import Option

from costcalc.cli import parse
from costcalc.cli.output import FORMATS, form_of
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.frozen import Record

if TYPE_CHECKING:
    from costcalc.catalog.find import CatalogEntry
    from costcalc.explore.doubts import Doubt

Facts = TypeVar("Facts")
BAD_INPUT = 2
MOST_VALUES = 1500

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


def loaded(entries: "Sequence[CatalogEntry]", load: "Callable[[CatalogEntry], Facts]") -> list[Facts]:
    """Return what entries of the catalog hold; those of the user's that cannot be read are named on stderr.

    entries: the entries.
    load: reads one; raises CostcalcError when it cannot be read.
    Raises CostcalcError for a file that costcalc ships, and where no entry can be read.
    """
    found: list[Facts] = []
    problems: list[CostcalcError] = []
    for entry in entries:
        try:
            found.append(load(entry))
        except CostcalcError as error:
            if not entry.own:
                raise
            problems.append(error)
    if problems and not found:
        raise problems[0]
    for problem in problems:
        sys.stderr.write(f"warning: left out: {problem}\n")
    return found


def matching(
    facts: Iterable[Facts],
    value_of: Callable[[Facts], str | None],
    text: str | None,
    option: str,
    valid: Iterable[str] | None = None,
) -> list[Facts]:
    """Return the entries of which a field contains a text, upper and lower case alike.

    facts: the entries.
    value_of: the field.
    text: what was typed, or None for every entry.
    option: the option, for errors.
    valid: what an error lists, where it is not the values of the field.
    Raises CostcalcError when none does.
    """
    entries = list(facts)
    if text is None:
        return entries
    wanted = text.strip().casefold()
    found = [each for each in entries if wanted in (value_of(each) or "").casefold()]
    if not wanted or not found:
        values = sorted(set(valid or {value for each in entries if (value := value_of(each))}))
        hint = did_you_mean(wanted, values, 0.5)
        if hint is None and option.startswith("--"):
            hint = f"one of: {', '.join(values)}" if len(", ".join(values)) < MOST_VALUES else None
        raise CostcalcError(f"nothing matches {shown(text)}", where=option, hint=hint)
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

    def place(each: Facts) -> Any:
        found = value(each)
        # A year without a month stands in the middle of it.
        return f"{found}-06~" if name == "released" and len(found) == 4 else found

    known = sorted((each for each in facts if value(each) is not None), key=place, reverse=reverse)
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


def check_each(paths: Iterable[Path], doubts: "Callable[[Path], Iterable[Doubt]]") -> list[str]:
    """Return the problems of files, each in a line that begins with the file and the line.

    paths: the files.
    doubts: yields the problems of a file that can be read; raises CostcalcError for one that cannot.
    """
    from costcalc.catalog.positions import Positions, place
    from costcalc.catalog.yaml import load_yaml

    problems: list[str] = []
    for path in paths:
        try:
            found = list(doubts(path))
            positions = load_yaml(path)[1] if found else Positions()
            for doubt in found:
                where = place(path, positions.of_value(doubt.path) if doubt.path else None)
                problems.append(f"{where}: {doubt.text}")
        except CostcalcError as error:
            problems += map(str, error.each)
    return problems


def names_given_twice(kind: str, catalog: str | None) -> list[str]:
    """Return the names of the catalog that two files answer to, each in a line.

    kind: 'models' or 'hardware_profiles'.
    catalog: a folder to look at first.
    """
    from costcalc.catalog.find import list_entries, normal_name, read_aliases

    owners: dict[str, str] = {}
    problems: list[str] = []
    # What is shipped comes first: whoever takes one of its names is to be told.
    for entry in sorted(list_entries(kind, catalog), key=lambda each: each.own):  # type: ignore[arg-type]
        for name in dict.fromkeys(normal_name(each) for each in (entry.name, *read_aliases(entry.path))):
            other = owners.setdefault(name, entry.name)
            if other != entry.name:
                shadow = f", and means {entry.name} while this file is in the catalog" if entry.own else ""
                problems.append(f"{entry.path}: the name {shown(name)} belongs to {other} too{shadow}")
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
