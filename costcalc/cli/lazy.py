"""Commands whose files are imported when they are run, and what is wrong with what was typed."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import typer
from typer import BadParameter
from typer.core import TyperCommand, TyperGroup

from costcalc.errors import CostcalcError, did_you_mean, nearest, shown


class Command(NamedTuple):
    """A command: where its function is, as 'module:function', what it is for in one line, and how it is used.

    quoted: whether an argument may be a line of options, '-m v3 -g h100', which are not its own.
    """

    target: str
    help: str
    examples: tuple[str, ...] = ()
    quoted: bool = False

    def function(self) -> Any:
        """Return the function, by importing it."""
        module, _, name = self.target.partition(":")
        return getattr(import_module(module), name)


class Group(NamedTuple):
    """A command with commands of its own; `default` is the one that runs when none is named."""

    commands: Mapping[str, Command]
    help: str
    default: str | None = None
    examples: tuple[str, ...] = ()


Table = Mapping[str, Command | Group]


class AsTyped:
    """What commands and groups share: options hand over what was typed, and help shows examples."""

    examples: ClassVar[Sequence[str]] = ()

    def __init__(self, *args: Any, params: Sequence[Any] = (), **settings: Any) -> None:
        parent: Any = super()
        parent.__init__(*args, params=as_text(params), **settings)

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        parent: Any = super()
        return as_text([parent.get_help_option(ctx)])[0]


class SectionedCommand(AsTyped, TyperCommand):
    """A command whose help shows how it is used, and lists its options in sections."""

    quoted: ClassVar[bool] = False
    takes_defaults: ClassVar[bool] = False

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep lines of options apart from options, by a space in front, and take defaults that are set elsewhere."""
        from costcalc.cli.parameters import TAKEN, TYPED

        TAKEN.clear()
        TYPED[:] = [*ctx.command_path.split(), *args]
        if self.quoted:
            own = {flag for param in self.params for flag in param.opts}
            args = [f" {each}" if _is_line(each, own) else each for each in args]
        if not ctx.resilient_parsing:
            self._refuse_repeated(ctx, args)
        if not self.takes_defaults or ctx.resilient_parsing or not set(args).isdisjoint(ctx.help_option_names):
            return list(super().parse_args(ctx, args))
        from costcalc.cli.elsewhere import FileDefaults, note_taken

        table = getattr(ctx.find_root().command, "table", {})
        ctx.default_map = file = FileDefaults(self.params, lambda: every_option(table))
        parsed: list[str] = super().parse_args(ctx, args)
        note_taken(ctx, self.params, file)
        return parsed

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an error in what was set elsewhere says where."""
        from costcalc.cli.parameters import TAKEN

        try:
            return super().invoke(ctx)
        except CostcalcError as error:
            for each in TAKEN:
                if each.concerns(error):
                    raise CostcalcError(error.message, where=each.where, hint=error.hint) from None
            raise

    def _refuse_repeated(self, ctx: Any, args: list[str]) -> None:
        """Raise CostcalcError for an option of one value that is given twice: the parser would keep the last."""
        command: Any = self
        given: list[Any] = command.make_parser(ctx).parse_args(list(args))[2]
        for param in dict.fromkeys(given):
            once = param.param_type_name == "option" and not param.multiple and not param.is_flag
            if once and given.count(param) > 1:
                raise CostcalcError("it is given twice", where=_name_of(param), hint="keep one")

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write examples, then arguments and options under the headings that they name."""
        write_examples(formatter, "For example", self.examples)
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None:
                fallback = "Arguments" if param.param_type_name == "argument" else "Other"
                title = getattr(param, "rich_help_panel", None) or fallback
                sections.setdefault(str(title), []).append(record)
        for title in sorted(sections, key=lambda each: each == "Other"):
            with formatter.section(title):
                formatter.write_dl(sections[title], col_max=26)


def _is_line(word: str, own: Container[str]) -> bool:
    """Whether a word is a line of options, rather than one option whose value has spaces: '--chart=my chart.svg'."""
    flag, equals, _ = word.split(maxsplit=1)[0].partition("=") if word.strip() else ("", "", "")
    return word.startswith("-") and any(map(str.isspace, word)) and not (equals and flag in own)


class LazyGroup(AsTyped, TyperGroup):
    """A group that imports a command when it is run."""

    table: ClassVar[Table] = {}
    default: ClassVar[str | None] = None
    _only_listing = False

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of the commands, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name, importing it unless it is only listed, or None."""
        entry = self.table.get(cmd_name)
        if entry is None:
            return None
        if self._only_listing:
            return TyperCommand(name=cmd_name, help=entry.help, rich_markup_mode=None)
        return load_command(cmd_name, entry)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before words that name none, nor one nearly."""
        named = args and (args[0] == "--help" or nearest(args[0], self.table, _ALMOST) is not None)
        if self.default is not None and not named and not ctx.resilient_parsing:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names, and the other words."""
        if args and args[0] not in self.table and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], self.table) or f"the commands are: {', '.join(self.table)}"
            raise CostcalcError(f"unknown command {shown(args[0])}", hint=hint)
        return super().resolve_command(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write how to start and which commands there are, before the few options."""
        write_examples(formatter, "Start with", self.examples)
        self.format_commands(ctx, formatter)
        records = [param.get_help_record(ctx) for param in self.get_params(ctx)]
        with formatter.section("Options"):
            formatter.write_dl([record for record in records if record is not None])

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write what each command is for, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in self.table.items()])

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return the commands and options that begin as typed, without importing any command."""
        self._only_listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self._only_listing = False


def lazy_group(table: Table, default: str | None = None, examples: Sequence[str] = ()) -> type[LazyGroup]:
    """Return the class of a group of commands.

    examples: command lines to start with, each with what it is for behind a '#' if need be.
    """
    return type("CommandGroup", (LazyGroup,), {"table": table, "default": default, "examples": examples})


def write_examples(formatter: Any, title: str, examples: Sequence[str]) -> None:
    """Write command lines under a heading, unbroken, so that they can be copied.

    formatter: of the help. title: the heading. examples: the command lines.
    """
    if examples:
        with formatter.section(title):
            for each in examples:
                formatter.write(f"{' ' * formatter.current_indent}{each}\n")


def load_command(name: str, entry: Command | Group, *, defaults: bool = True) -> Any:
    """Return a command, ready to parse, by importing it.

    name: what it is called. entry: where it is. defaults: whether it takes those that the user has set elsewhere.
    """
    if isinstance(entry, Group):
        app = _new_app(name, cls=lazy_group(entry.commands, entry.default, entry.examples), help=entry.help)
        app.callback()(_nothing)
        return typer.main.get_command(app)
    from costcalc.cli.elsewhere import take_variables
    from costcalc.cli.parameters import with_options
    from costcalc.cli.parameters.completion import complete_words

    app = _new_app(name)
    function = with_options(entry.function())
    takes = defaults and is_question(function)
    own = {"examples": entry.examples, "quoted": entry.quoted, "takes_defaults": takes}
    app.command(name, cls=type("Sectioned", (SectionedCommand,), own))(function)
    command = typer.main.get_command(app)
    complete_words(command.params)
    if takes:
        take_variables(command.params)
    return command


def is_question(function: Any) -> bool:
    """Return whether a command, as `with_options` returns it, answers a question of deployments."""
    return bool(function.is_question)


def questions(table: Table, before: str = "") -> Iterator[tuple[str, Command]]:
    """Yield the commands that answer a question of deployments, by name: 'estimate', 'compare gpus'."""
    from costcalc.cli.parameters import with_options

    for name, entry in table.items():
        if not isinstance(entry, Command):
            yield from questions(entry.commands, f"{before}{name} ")
        elif is_question(with_options(entry.function())):
            yield f"{before}{name}", entry


@cache
def options_of(name: str, entry: Command) -> dict[str, Any]:
    """Return the parameters of a command by every name that they have in files."""
    from costcalc.cli.elsewhere import names_of

    return names_of(load_command(name.rpartition(" ")[2], entry).params)


def every_option(table: Table) -> set[str]:
    """Return the names of all options that any question's command has."""
    return {name for each in questions(table) for name in options_of(*each)}


def _new_app(name: str, **settings: Any) -> typer.Typer:
    return typer.Typer(
        name=name, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, **settings
    )


def _nothing() -> None:
    """Do nothing: a group without options of its own."""


def as_text(params: Sequence[Any]) -> list[Any]:
    """Return options and arguments that hand over what was typed.

    Every option here is text that costcalc reads itself. Left alone, typer builds a pydantic adapter for
    each of them, given or not, which takes longer than an estimate.
    """
    for param in params:
        if hasattr(param, "get_runtime_param"):
            param.process_value = partial(_plain_value, param)
    return list(params)


def _plain_value(param: Any, context: Any, value: Any) -> Any:
    if getattr(param, "is_flag", False) and isinstance(value, str):
        from costcalc.cli.elsewhere import switched

        return switched(param, value)
    if value is None and (param.multiple or param.nargs == -1):
        value = ()
    if param.required and param.value_is_missing(value) and not context.resilient_parsing:
        name = param.opts[-1] if param.param_type_name == "option" else str(param.name).upper()
        raise CostcalcError(f"{name} is missing", hint=f"see {context.command_path} --help")
    return param.callback(context, param, value) if param.callback is not None else value


# A wrong command line told in one line, with the nearest option or command.


# The class that every complaint about a command line shares, whichever parser typer stands on.
USAGE_ERROR: type[Exception] = BadParameter.__mro__[2]

_EXAMPLES = {
    "--model": "name one, such as --model v3; list them with: costcalc models",
    "--gpu": "name one, such as --gpu h100; list them with: costcalc gpus",
}

_ALMOST, _NEAR = 0.85, 0.7
"""Likeness of a misspelt option, and of one that may be meant."""


def told(error: Any) -> CostcalcError:
    """Return a usage error of the parser as one line."""
    kind = type(error).__name__
    context = getattr(error, "ctx", None)
    help_hint = f"see {context.command_path} --help" if context else None
    if kind == "NoSuchOption":
        near = _near(error.option_name, _options_of(context))
        hint = f"did you mean '{near}'?" if near else help_hint
        return CostcalcError(f"unknown option {shown(error.option_name)}", hint=hint)
    if kind == "MissingParameter":
        name = _name_of(error.param)
        return CostcalcError(f"{name} is missing", hint=_EXAMPLES.get(name, help_hint))
    if kind == "BadOptionUsage" and "requires an argument" in error.message:
        return CostcalcError("the value is missing", where=error.option_name, hint=help_hint)
    if kind == "BadParameter" and error.param is not None:
        return CostcalcError(_sentence(error.message), where=_name_of(error.param), hint=help_hint)
    extra = re.search(r"unexpected extra argument\S* \((.*)\)", str(error.message))
    if extra is not None:
        named = any(name == "--model" for name in _options_of(context))
        hint = "a model and a GPU are named by --model and --gpu" if named else help_hint
        return CostcalcError(f"unexpected argument {shown(extra[1])}", hint=hint)
    return CostcalcError(_sentence(error.format_message()), hint=help_hint)


def _near(typed: str, options: list[str]) -> str | None:
    """The option that was meant: by its spelling, or by its first word, as in --kv-cache; the dashes say nothing."""
    names = {option.lstrip("-"): option for option in options}
    name = typed.lstrip("-")
    first = name.partition("-")[0]
    close = nearest(name, names, _ALMOST) or (first if first in names else nearest(name, names, _NEAR))
    return names[close] if close else None


def _options_of(context: Any) -> list[str]:
    if context is None:
        return []
    names = [name for param in context.command.get_params(context) for name in (*param.opts, *param.secondary_opts)]
    return [name for name in names if name.startswith("--")]


def _name_of(param: Any) -> str:
    longest: list[str] = sorted(param.opts, key=lambda name: (not name.startswith("--"), len(name)))
    name = longest[0] if longest else str(param.name)
    return name if name.startswith("-") else name.upper()


def _sentence(message: str) -> str:
    text = " ".join(message.split()).rstrip(".")
    return text[:1].lower() + text[1:]
