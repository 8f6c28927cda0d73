"""Commands that are imported when they are run, so that help and completion start at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.frozen import Record


class Command(Record):
    """A command: where its function is, as 'module:function', what it is for in one line, and how it is used."""

    target: str
    help: str
    examples: tuple[str, ...] = ()


class Group(Record):
    """A command with commands of its own; `default` is the one that runs when none is named."""

    commands: Mapping[str, Command]
    help: str
    default: str | None = None
    examples: tuple[str, ...] = ()


Table = Mapping[str, Command | Group]


class SectionedCommand(TyperCommand):
    """A command whose help shows how it is used, and lists its options in sections."""

    examples: ClassVar[Sequence[str]] = ()

    def __init__(self, *args: Any, params: Sequence[Any] = (), **settings: Any) -> None:
        super().__init__(*args, params=as_text(params), **settings)

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        return as_text([super().get_help_option(ctx)])[0]

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


class LazyGroup(TyperGroup):
    """A group that imports a command when it is run."""

    table: ClassVar[Table] = {}
    default: ClassVar[str | None] = None
    examples: ClassVar[Sequence[str]] = ()

    def __init__(self, *args: Any, params: Sequence[Any] = (), **settings: Any) -> None:
        super().__init__(*args, params=as_text(params), **settings)
        self._only_listing = False

    def get_help_option(self, ctx: Any) -> Any:
        """Return the option that shows the help."""
        return as_text([super().get_help_option(ctx)])[0]

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
        """Put the default command before words that name none."""
        named = args and (not args[0].startswith("-") or args[0] == "--help")
        if self.default is not None and not named and not ctx.resilient_parsing:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the first word names, and the other words."""
        if args and args[0] not in self.table and not ctx.resilient_parsing:
            raise CostcalcError(f"unknown command {shown(args[0])}", hint=self._nearest_command(ctx, args[0]))
        return super().resolve_command(ctx, args)

    def _nearest_command(self, ctx: Any, word: str) -> str:
        near = did_you_mean(word, self.table)
        if near is None and "show" in self.table:
            return f"to see one of them: {ctx.command_path} show NAME"
        return near or f"the commands are: {', '.join(self.table)}"

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

    table: the commands by name.
    default: the command that runs when none is named.
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


def load_command(name: str, entry: Command | Group) -> Any:
    """Return a command, ready to parse, by importing it.

    name: what it is called. entry: where it is.
    """
    if isinstance(entry, Group):
        app = _new_app(name, cls=lazy_group(entry.commands, entry.default, entry.examples), help=entry.help)
        app.callback()(_nothing)
        return typer.main.get_command(app)
    module, _, function = entry.target.partition(":")
    app = _new_app(name)
    kind = type("Sectioned", (SectionedCommand,), {"examples": entry.examples})
    app.command(name, cls=kind)(getattr(import_module(module), function))
    return typer.main.get_command(app)


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

    params: the options and arguments, as typer made them.
    """
    for param in params:
        if hasattr(param, "get_runtime_param"):
            param.process_value = partial(_plain_value, param)
    return list(params)


def _plain_value(param: Any, context: Any, value: Any) -> Any:
    if value is None and (param.multiple or param.nargs == -1):
        value = ()
    if param.required and param.value_is_missing(value) and not context.resilient_parsing:
        name = param.opts[-1] if param.param_type_name == "option" else str(param.name).upper()
        raise CostcalcError(f"{name} is missing", hint=f"see {context.command_path} --help")
    return param.callback(context, param, value) if param.callback is not None else value
