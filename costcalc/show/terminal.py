"""Pages on a terminal: fitted to its width, in colours unless NO_COLOR is set.

NO_COLOR asks for no colours; bold and dim letters are none, and stay (https://no-color.org).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TextIO

from costcalc.show.blocks import Block, Role
from costcalc.show.plain import page_lines

LOOKS: dict[Role, str] = {
    "text": "",
    "title": "bold",
    "heading": "bold cyan",
    "value": "bold",
    "headline": "bold green",
    "dim": "dim",
    "memory": "blue",
    "compute": "yellow",
    "communication": "magenta",
    "overhead": "bright_black",
    "good": "green",
    "bad": "bold red",
}


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that draws, rather than a pipe, a file or a dumb one.

    stream: the stream.
    """
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def terminal_width(stream: TextIO) -> int:
    """Return the columns of a terminal, by COLUMNS or by the terminal itself.

    stream: the terminal.
    """
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def print_page(blocks: Iterable[Block], stream: TextIO, width: int | None = None) -> None:
    """Print a page on a terminal.

    blocks: the parts of the page.
    stream: the terminal.
    width: its columns, or None to ask it.
    """
    from rich.console import Console
    from rich.text import Text

    columns = width or terminal_width(stream)
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    for pieces in page_lines(blocks, columns):
        text = Text.assemble(*((piece, LOOKS[role]) for piece, role in pieces))
        text.rstrip()
        # soft_wrap: rich neither cuts nor pads; the lines are laid out already.
        console.print(text, soft_wrap=True)
