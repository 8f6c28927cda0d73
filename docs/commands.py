"""docs/cli.md: every command with its options, from what their help is made of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from costcalc.cli.app import COMMANDS
from costcalc.cli.lazy import Command, Table, load_command

INTRODUCTION = """\
# Commands

Every command with its options, as `costcalc COMMAND --help` tells them. Numbers are read as people write them: `100k`,
`50 ms`, `60%`, `$2/h`, `3.35 TB/s`; `128k` is 128,000 and `128Ki` 131,072, which
model cards call 128K. A wrong command line is one line on stderr and exit code 2, and leaves no file
behind. `--format json` is described by `costcalc schema WHAT`, published in [docs/schemas](schemas); `--output FILE`
picks the format by its ending. In Python the same questions are `costcalc.estimate`, `capacity`,
`compare_attention`, `compare_models`, `compare_gpus`, `sweep`, `frontier`, `sensitivity`, `simulate`, `plan`,
`breakeven`, `train`, `price` and `diff`, whose keywords are spelled out: `--tp` is `tensor_parallel`, `--kv` is
`kv_cache`, `--input` is `input_tokens`.
[Scenarios](scenarios.md) are questions in files; `COSTCALC_GPU` and the like are defaults.
`costcalc --install-completion` lets bash, zsh, fish and PowerShell complete all of this with Tab.

| exit code | |
| --: | :-- |
| 0 | answered |
| 1 | answered with a no (`--fail-above`, `--fail-missed`, no fleet of a plan), or costcalc's own fault: stderr tells |
| 2 | what was typed or read cannot be used |
| 129, 130, 143 | ended by a signal: SIGHUP, Ctrl-C, SIGTERM |

"""


def commands_page() -> str:
    """Return the page."""
    entries = dict(_entries(COMMANDS))
    listed = "".join(f"| [`costcalc {path}`](#{_anchor(path)}) | {each.help} |\n" for path, each in entries.items())
    head = f"{INTRODUCTION}| command | what it is for |\n| :-- | :-- |\n{listed}"
    return head + "".join(_section(path, entry) for path, entry in entries.items())


def _entries(table: Table, before: str = "") -> Iterator[tuple[str, Command]]:
    for name, entry in table.items():
        if isinstance(entry, Command):
            yield before + name, entry
        else:
            yield from _entries(entry.commands, f"{before}{name} ")


def _section(path: str, entry: Command) -> str:
    command = load_command(path.rpartition(" ")[2], entry)
    text = "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    examples = "".join(f"{line}\n" for line in entry.examples)
    shown = f"\n```sh\n{examples}```\n" if examples else ""
    return f"\n## costcalc {path}\n\n{text}\n{shown}{''.join(_tables(command))}"


def _tables(command: Any) -> Iterator[str]:
    """Yield the options of a command, a table for each of the headings that its help has."""
    sections: dict[str, list[str]] = {}
    for param in command.params:
        title = getattr(param, "rich_help_panel", None) or ("Arguments" if _is_argument(param) else "Options")
        text = " ".join((param.help or "").split())
        sections.setdefault(title, []).append(f"| {_escaped(_named(param))} | {_escaped(text)} |\n")
    for title, rows in sections.items():
        yield f"\n| {title} | |\n| :-- | :-- |\n{''.join(rows)}"


def _named(param: Any) -> str:
    if _is_argument(param):
        return f"`{param.metavar}`"
    value = "" if getattr(param, "is_flag", False) else f" {param.metavar}"
    return (
        ", ".join(f"`{name}`" for name in param.opts[:-1])
        + (", " if param.opts[1:] else "")
        + (f"`{param.opts[-1]}{value}`")
    )


def _is_argument(param: Any) -> bool:
    return bool(param.param_type_name == "argument")


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "\\<")


def _anchor(path: str) -> str:
    return f"costcalc-{path.replace(' ', '-')}"
