"""docs/cli.md: every command as its own help tells it."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from unittest import mock

from costcalc.cli import main as costcalc
from costcalc.cli.app import COMMANDS
from costcalc.cli.lazy import Command, Table

INTRODUCTION = """\
# Commands

Every command with its options, as `costcalc COMMAND --help` prints them. Numbers are read as people write them: `100k`,
`50 ms`, `60%`, `$2/h`, `3.35 TB/s`. A wrong command line is one line on stderr and exit code 2, and leaves no file
behind. `--format json` is described by `costcalc schema result`, `sweep` or `validation` and published in
[docs/schemas](schemas); `--output FILE` picks the format by its ending. In Python the same questions are
`costcalc.estimate`, `compare_attention`, `compare_models`, `compare_gpus`, `sweep` and `break_even`, whose keywords are
spelled out: `--tp` is `tensor_parallel`, `--kv` is `kv_cache`, `--input` is `input_tokens`.

"""


def commands_page() -> str:
    """Return the page."""
    paths = list(_paths(COMMANDS))
    listed = "".join(f"- [`costcalc {path}`](#{_anchor(path)})\n" for path in paths)
    return INTRODUCTION + listed + "".join(_section(path) for path in ["", *paths])


def _paths(table: Table, before: str = "") -> Iterator[str]:
    for name, entry in table.items():
        if isinstance(entry, Command):
            yield before + name
        else:
            yield from _paths(entry.commands, f"{before}{name} ")


def _section(path: str) -> str:
    title = f"costcalc {path}".strip()
    return f"\n## {title}\n\n```text\n{_help(path)}\n```\n"


def _anchor(path: str) -> str:
    return f"costcalc-{path.replace(' ', '-')}"


def _help(path: str) -> str:
    shown = io.StringIO()
    # As wide as a terminal of 100 columns, whatever runs this.
    with mock.patch.dict(os.environ, {"COLUMNS": "100"}), redirect_stdout(shown):
        costcalc([*path.split(), "--help"])
    return "\n".join(line.rstrip() for line in shown.getvalue().rstrip().splitlines())
