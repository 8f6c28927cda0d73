"""`costcalc diff`: why two deployments do not cost the same."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from typer import Argument, Option

from costcalc.cli.app import COMMANDS, PROGRAM, build
from costcalc.cli.lazy import USAGE_ERROR, load_command, told
from costcalc.cli.parameters import (
    TYPED,
    Brief,
    ChartTheme,
    Given,
    Output,
    WrittenInMoney,
    check_chart,
    choice,
    drawn_on,
    read_currency,
    subject,
)
from costcalc.cli.scenario_files import Question, joined, only, questions_of
from costcalc.errors import CostcalcError, shown, tell
from costcalc.predict.options import OPTIONS
from costcalc.units import DOLLARS, shown_in
from costcalc.units import Currency as Money

if TYPE_CHECKING:
    from costcalc.explore.diff import Asked

SIDE = "SIDE"
_ANY = "a scenario file (x.yaml#name), a saved estimate (x.json) or options ('-m v3 -g h100 --batch 32')"

Sides = Annotated[
    list[str] | None,
    Argument(metavar=f"{SIDE} {SIDE}", help=f"What is compared, from the first to the second: each {_ANY}."),
]
Of = Annotated[
    str | None,
    Option(
        "--of",
        metavar="blended|output|input|month",
        help="Whose dollars: of all tokens (the default), of output or of input, or of a month of a demand.",
    ),
]
Chart = Annotated[
    str | None, Option("--chart", metavar="FILE", help="Draw a waterfall into a file ending in .png, .svg or .pdf.")
]


def diff(
    *,
    sides: Sides = None,
    of: Of = None,
    chart: Chart = None,
    chart_theme: ChartTheme = None,
    brief: Brief = False,
    written: WrittenInMoney,
) -> None:
    """What changed between two estimates, and how much of the difference in cost each change explains.

    A change explains what it adds in the mean of all orders in which the changes can be made (its Shapley value), so
    that effects add up to the difference. A saved estimate is asked again: what costcalc answers today and did not
    then is told as engine or catalog. Questions of two files are compared by their names, or in their order where none
    is common. JSON of several is {"questions": {name: difference}}.
    """
    check_chart(chart)
    from costcalc.explore.diff import OF
    from costcalc.explore.diff import diff as compared

    tokens: Any = choice(of, "--of", OF) or OF[0]
    if len(sides or ()) != 2:
        raise CostcalcError(f"two are compared, not {len(sides or ())}", where=SIDE, hint=f"each is {_ANY}")
    form = written.form()
    written.money()
    from costcalc.report.export.files import csv_rows, new_file, show, together, whole_page

    files = new_file(written.output, "--output"), new_file(chart, "--chart")
    with drawn_on(chart_theme, chart), files[0] as file, files[1] as drawing:
        pairs = paired(*(sides or ()))
        if drawing is not None and len(pairs) > 1:
            hint = f"compare one, as in x.yaml#{next(iter(pairs))}"
            raise CostcalcError(f"{len(pairs)} questions in one chart", where="--chart", hint=hint)
        with together() as found:
            for pair in pairs.values():
                with shown_in(_money(written, pair)):
                    result = compared(pair[0].asked, pair[1].asked, of=tokens)
                    page = partial(whole_page, result, depth="brief" if brief else "usual")
                    show(form, None, page, result.to_dict, partial(csv_rows, result))
                    if drawing is not None:
                        from costcalc.report.charts import drawn

                        drawing.write_bytes(drawn(result, drawing.path.suffix))
        with shown_in(DOLLARS):  # as pages are in their money already
            show(form, file, *joined([*zip(pairs, found.answers, strict=True)]), shlex.join(TYPED))


# What stands for one side.


class Side(NamedTuple):
    """What is asked, and the currency that is asked for with it, or by the user's own defaults."""

    asked: Asked
    currency: str | None


def _money(written: WrittenInMoney, pair: tuple[Side, Side]) -> Money:
    """The currency of two sides: the one typed beside them, else theirs; raises CostcalcError where they have two."""
    if written.currency is not None:
        return written.money()
    own = _typed([])["currency"]
    told = dict.fromkeys(each.currency for each in pair if each.currency not in (None, own))
    if len(told) > 1:
        raise CostcalcError(f"the sides are in {' and in '.join(map(str, told))}", where="--currency", hint="type one")
    return read_currency(next(iter(told), own))


def paired(before: str, after: str) -> dict[str, tuple[Side, Side]]:
    """Return the questions of two sides that are compared, by name, or in their order where none is common.

    Raises CostcalcError where none is common and one side has more than the other.
    """
    sides = sides_of(before), sides_of(after)
    common = [name for name in sides[0] if name in sides[1]]
    counts = [len(each) for each in sides]
    if counts == [1, 1] or (not common and counts[0] == counts[1]):
        both = zip(sides[0].items(), sides[1].values(), strict=True)
        return {name: (asked_before(), asked_after()) for (name, asked_before), asked_after in both}
    if not common or 1 in counts:
        text, side = max(zip((before, after), sides, strict=True), key=lambda each: len(each[1]))
        hint = f"name one, as in {text.partition('#')[0]}#{next(iter(side))}"
        raise CostcalcError(f"{text} has {len(side)} estimates", where=SIDE, hint=hint)
    for text, side in zip((before, after), sides, strict=True):
        if alone := [name for name in side if name not in common]:
            tell(f"note: only {text} has an estimate {', '.join(alone)}")
    return {name: (sides[0][name](), sides[1][name]()) for name in common}


def sides_of(text: str) -> dict[str, Callable[[], Side]]:
    """Return what is asked, of a file or of options as they are typed, by the names of questions.

    text: a scenario file or a saved estimate, with '#name' of a question behind it, or options.
    Raises CostcalcError where it is none of them.
    """
    file, _, name = text.strip().partition("#")
    ending = Path(file).suffix.lower()
    if file.startswith("-") or not ending or " -" in file:
        return {"": lambda: asked_by(_split(text))}
    if ending == ".json":
        return _saved(file, name)
    if ending not in (".yaml", ".yml"):
        raise CostcalcError(f"{shown(text)} is no side", where=SIDE, hint=f"write {_ANY}")
    listed = only(questions_of(file), [name] if name else None, file)
    estimates = [each for each in listed if each.command == "estimate"]
    return {each.name: partial(_asked, each) for each in estimates or listed}


def _asked(question: Question) -> Side:
    try:
        if question.command != "estimate":
            raise CostcalcError(f"{question.command} has no single cost", hint="estimates are compared")
        return asked_by(question.words)
    except CostcalcError as error:
        raise question.error(error) from None


def _split(text: str) -> list[str]:
    """The options of a text, which may begin as the command does."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise CostcalcError(f"{shown(text)} cannot be split: {str(error).lower()}", where=SIDE) from None
    for name in (PROGRAM, "estimate"):
        words = words[1:] if words[:1] == [name] else words
    return words


def asked_by(words: Sequence[str], *, defaults: bool = True) -> Side:
    """Return what an estimate is asked by words of the command line.

    defaults: whether those of the environment and of the user's file count. Raises CostcalcError.
    """
    from costcalc.catalog.read import split_overrides
    from costcalc.explore.diff import Asked

    typed = _typed(words, defaults=defaults)
    given = Output(output=typed["output"]).with_tokens(Given(**{name: typed[name] for name in OPTIONS}))
    changes = split_overrides(typed["set"] or [])
    paths = {f"{kind}.{path}": text for kind, own in changes.items() for path, text in own.items()}
    return Side(Asked(*subject(typed["model"], typed["gpu"]), dict(given), paths, typed["catalog"]), typed["currency"])


def _typed(words: Sequence[str], *, defaults: bool = True) -> dict[str, Any]:
    """The parameters of an estimate that words of the command line, and defaults set elsewhere, give."""
    command = load_command("estimate", COMMANDS["estimate"], defaults=defaults)
    try:
        root = build().make_context(PROGRAM, [])
        params: dict[str, Any] = command.make_context("estimate", list(words), parent=root).params
    except USAGE_ERROR as error:
        raise told(error) from None
    return params


def _saved(file: str, name: str) -> dict[str, Callable[[], Side]]:
    """The questions of saved estimates, by name, with what they were answered."""
    from costcalc.catalog.huggingface.config import read_document

    tree: Any = read_document(file, "saved estimate").data
    if "questions" not in tree:
        return {"": lambda: _answered(tree, file)}
    several = tree["questions"] if isinstance(tree["questions"], dict) else {}
    if not several or (name and name not in several):
        hint = f"name one, as in {file}#{next(iter(several), 'name')}"
        raise CostcalcError(f"{file} has {len(several)} answers", where=SIDE, hint=hint)
    return {each: partial(_answered, own, file) for each, own in several.items() if not name or each == name}


def _answered(tree: Any, file: str) -> Side:
    """The question of a saved estimate, and what it was answered."""
    from dataclasses import replace

    from costcalc.explore.diff import headline_of

    try:
        found = headline_of(tree)
        if found.command is None:
            hint = "costcalc estimate -o x.json tells it; ask again, or give the options"
            raise CostcalcError("it does not tell which command asked for it", hint=hint)
        side = asked_by(_split(found.command), defaults=False)
    except CostcalcError as error:
        message = f"{error.where}: {error.message}" if error.where else error.message
        raise CostcalcError(message, where=file, hint=error.hint) from None
    return side._replace(asked=replace(side.asked, saved=found))
