"""`costcalc run`: one or many questions in a YAML file, asked as the command line asks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

from costcalc.catalog.check import QUESTIONS, KeyPath, Position, Positions, place
from costcalc.cli.app import COMMANDS, as_typed, invoke
from costcalc.cli.elsewhere import beside, meant, plain, typed, unknown, words
from costcalc.cli.lazy import USAGE_ERROR, every_option, options_of, questions, told
from costcalc.cli.parameters import Brief, Verbose, WrittenInMoney, is_about
from costcalc.errors import AboveLimit, CostcalcError, did_you_mean, shown
from costcalc.fields import Record
from costcalc.units import shown_in

if TYPE_CHECKING:
    from costcalc.report.export.files import Answer
    from costcalc.report.page import Block

DEFAULT_COMMAND = "estimate"
OWN = ("command", "questions")
"""Keys of a scenario file that are no options."""


# A scenario file: options by their names; `questions` have options of their own, and share those at the top.


class Question(Record):
    """One question of a file, as words of the command line."""

    name: str
    command: str  # 'estimate', 'compare gpus'
    words: tuple[str, ...]  # of the options, the arguments last
    file: Path
    at: Position
    given: Mapping[str, tuple[Any, Position]]  # the values and their places, by the names of parameters
    params: Mapping[str, Any]  # of the command, by every name

    def ask(self, more: Sequence[str] = ()) -> None:
        """Answer it, with more options; raises CostcalcError with the place of what is wrong, and AboveLimit."""
        try:
            invoke([*self.command.split(), *more, *self.words])
        except USAGE_ERROR as error:
            raise self.error(told(error)) from None
        except CostcalcError as error:
            raise self.error(error) from None

    def error(self, error: CostcalcError) -> CostcalcError:
        """Return an error with the place in the file of the option that it names, or of the question."""
        typed = as_typed(error)
        for name, (value, position) in self.given.items():
            if is_about(typed, self.params[name], value):
                return CostcalcError(error.message, place(self.file, position), error.hint)
        if error.where and self.file.name in error.where:
            return error
        said = f"{error.where}: {error.message}" if error.where else error.message
        return CostcalcError(f"question {shown(self.name)}: {said}", place(self.file, self.at), error.hint)


def questions_of(path: str) -> list[Question]:
    """Return the questions of a scenario file.

    path: of the file. Raises CostcalcError with file:line:column.
    """
    from costcalc.catalog.yaml import load_yaml

    data, positions = load_yaml(path)
    read = _Reader(Path(path), data, positions)
    if "questions" not in data:
        return [read.question(Path(path).stem, {}, ())]
    listed = data["questions"]
    if not isinstance(listed, dict) or not listed:
        hint = "write a name and a colon for each, with its options below"
        raise read.error(f"{shown(listed)} where questions belong", ("questions",), hint)
    if len(listed) > QUESTIONS:
        raise read.error(f"more than {QUESTIONS} questions", ("questions",), "split the file")
    return [read.question(name, own, ("questions", name)) for name, own in listed.items()]


class _Reader:
    """Reads questions of a file's data."""

    def __init__(self, path: Path, data: dict[str, Any], positions: Positions) -> None:
        self.path, self.positions = path, positions
        self.shared = {key: value for key, value in data.items() if key != "questions"}
        self.commands = dict(questions(COMMANDS))

    def error(self, message: str, path: KeyPath, hint: str | None = None, *, of_key: bool = False) -> CostcalcError:
        find = self.positions.of_key if of_key else self.positions.of_value
        return CostcalcError(message, place(self.path, find(path)), hint)

    def question(self, title: str, own: Any, path: KeyPath) -> Question:
        """Return a question: its own options, and those at the top that its command has."""
        if own is None:
            own = {}
        if not isinstance(own, dict):
            raise self.error(f"{shown(own)} where options belong", path, "write them as 'batch: 32' lines")
        command = self._command(own, path)
        known = options_of(command, self.commands[command])
        given: dict[str, tuple[Any, KeyPath]] = {}
        for key, value in self.shared.items():
            self._take(given, key, value, (key,), known, shared=bool(path))
        mine: dict[str, tuple[Any, KeyPath]] = {}
        for key, value in own.items():
            self._take(mine, key, value, (*path, key), known, shared=False)
        given |= mine
        options: list[str] = []
        arguments: list[str] = []
        for keyword, (value, where) in given.items():
            param = known[keyword]
            try:
                said = words(param, beside(self.path.parent, param, typed(param, value)))
            except CostcalcError as error:
                raise self.error(f"{where[-1]}: {error.message}", where, error.hint) from None
            (arguments if param.param_type_name == "argument" else options).extend(said)
        placed = {name: (value, self.positions.of_value(where)) for name, (value, where) in given.items()}
        every = (*options, *(["--", *arguments] if arguments else []))
        return Question(title, command, every, self.path, self.positions.of_key(path), placed, known)

    def _command(self, own: Mapping[str, Any], path: KeyPath) -> str:
        where = (*path, "command") if "command" in own else ("command",)
        value = own.get("command", self.shared.get("command", DEFAULT_COMMAND))
        if value not in self.commands:
            hint = did_you_mean(str(value), self.commands) or f"the questions are: {', '.join(self.commands)}"
            raise self.error(f"unknown command {shown(value)}", where, hint)
        return str(value)

    def _take(
        self, given: dict[str, tuple[Any, KeyPath]], key: str, value: Any, path: KeyPath,
        known: Mapping[str, Any], *, shared: bool,
    ) -> None:  # fmt: skip
        """Take an option into what is given; one at the top may be for other commands."""
        if key == "command":
            return
        param = meant(key, value, known)
        if param is None:
            if shared and plain(key) in every_option(COMMANDS):
                return
            where = place(self.path, self.positions.of_key(path))
            raise unknown(key, {**known, **dict.fromkeys(OWN)}, where)
        if param.name in given:
            raise self.error(f"{key} is given twice", path, "keep one of its names", of_key=True)
        given[param.name] = value, path


def only(listed: Sequence[Question], names: Sequence[str] | None, file: str) -> list[Question]:
    """Return the questions of these names, or all; raises CostcalcError with the nearest name."""
    by_name = {each.name: each for each in listed}
    for name in names or ():
        if name not in by_name:
            hint = did_you_mean(name, by_name) or f"its questions are: {', '.join(by_name)}"
            raise CostcalcError(f"no question {shown(name)} in {file}", hint=hint)
    return [each for each in listed if not names or each.name in names]


# `costcalc run`.


File = Annotated[str, Argument(metavar="FILE", help="A YAML file of options by their names; see docs/scenarios.md.")]
Only = Annotated[
    list[str] | None, Option("--only", metavar="NAME", help="Ask this question alone; repeatable.")
]  # fmt: skip
FailAbove = Annotated[
    str | None,
    Option("--fail-above", metavar="PRICE",
           help="End with exit code 1 where a question without a limit of its own costs more, as in '$0.50/M'."),
]  # fmt: skip


def run(
    *,
    file: File,
    named: Only = None,
    fail_above: FailAbove = None,
    brief: Brief = False,
    verbose: Verbose = False,
    written: WrittenInMoney,
) -> None:
    """Answer the questions of a file: a command each, its options by their names, defaults shared at the top.

    Files that are read are named from the scenario's folder, files that are written from the current one. Nothing is
    shown or written unless every question is answered. JSON of several is {"questions": {name: answer}}.
    """
    form = written.form() if written.format or written.output else None
    from costcalc.report.export.files import new_file, show, together

    above = []
    money = written.money()
    with new_file(written.output, "--output") as output:
        answers: list[tuple[str, Answer]] = []
        with shown_in(money), together() as found:
            for question in only(questions_of(file), named, file):
                before = len(found.answers)
                shared = {"brief": ["--brief"] * brief, "verbose": ["--verbose"] * verbose}
                shared["fail_above"] = [] if fail_above is None else [f"--fail-above={fail_above}"]
                if {"brief", "verbose", "explain"} & {*question.given}:  # which says itself how much of it is shown
                    del shared["brief"], shared["verbose"]
                more = [word for name, own in shared.items() for word in own if name not in question.given]
                try:
                    question.ask(more)
                except AboveLimit as error:
                    above.append(f"{question.name}: {error}")
                answers += [(question.name, each) for each in found.answers[before:]]
        if answers:
            chosen = form or _form_of(answers)
            shown_alike = [(name, replace(each, form=chosen)) for name, each in answers]
            show(chosen, output, *joined(shown_alike))
        elif form is not None:
            raise CostcalcError("every question writes a file of its own", where="--format", hint="leave it out")
    if above:
        raise AboveLimit("; ".join(above))


def _form_of(answers: Sequence[tuple[str, Answer]]) -> str:
    forms = {answer.form: name for name, answer in answers}
    if len(forms) > 1:
        said = " and ".join(f"{shown(name)} as {form}" for form, name in list(forms.items())[:2])
        raise CostcalcError(f"answers in several forms: {said}", hint="choose one with --format, or name output files")
    return next(iter(forms))


def joined(
    answers: Sequence[tuple[str, Answer]],
) -> tuple[Callable[[], list[Block]], Callable[[], Any], Callable[[], list[dict[str, Any]]]]:
    """The answers as one page, one tree and one list of rows; a single one is as its command has it."""
    if len(answers) == 1:
        alone = answers[0][1]
        return alone.paid, alone.tree, alone.rows

    def page() -> list[Block]:
        from costcalc.report.page import Line

        following = [each.money for _, each in answers[1:]]
        parts: list[Block] = []
        for (name, each), after in zip_longest(answers, following):
            parts += [Line(f"Question: {name}", "title"), *each.paid(told=each.money != after), Line()]
        return parts

    return (
        page,
        lambda: {"questions": {name: each.tree() for name, each in answers}},
        lambda: [{"question": name, **row} for name, each in answers for row in each.rows()],
    )


# The schema by which editors complete and check scenario files.


def scenario_schema() -> dict[str, Any]:
    """Return the JSON Schema of a scenario file: the options of every question's command, by all of their names."""
    from costcalc.report.export.schema import DIALECT

    commands = dict(questions(COMMANDS))
    named: dict[str, Any] = {}
    for each in commands.items():
        for name, param in options_of(*each).items():
            named.setdefault(name, param)
    told = " ".join(f"{name}: {entry.help}" for name, entry in commands.items())
    command = {"enum": [*commands], "default": DEFAULT_COMMAND, "description": f"What is asked. {told}"}
    options = {"command": command, **{name: option_schema(param) for name, param in named.items()}}
    dashed = {name.replace("_", "-"): {"$ref": f"#/$defs/options/properties/{name}"} for name in named if "_" in name}
    return {
        "$schema": DIALECT,
        "title": "A scenario of costcalc run",
        "description": "Options of one question, or those that all questions share; see docs/scenarios.md.",
        "type": "object",
        "properties": {
            "questions": {
                "type": "object",
                "minProperties": 1,
                "maxProperties": QUESTIONS,
                "additionalProperties": {"anyOf": [{"$ref": "#/$defs/question"}, {"type": "null"}]},
            },
        },
        "allOf": [{"$ref": "#/$defs/options"}],
        "unevaluatedProperties": False,
        "$defs": {
            "question": {"allOf": [{"$ref": "#/$defs/options"}], "unevaluatedProperties": False},
            "options": {"type": "object", "properties": options | dashed},
        },
    }


def option_schema(param: Any) -> dict[str, Any]:
    """Return the JSON Schema of what a file may give for an option."""
    kinds = ["boolean", "null"] if getattr(param, "is_flag", False) else ["string", "number", "array", "null"]
    more = ["object"] if param.metavar == "PATH=VALUE" else []
    return {"type": [*kinds, *more], "description": " ".join((param.help or "").split())}
