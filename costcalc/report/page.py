"""Pages: blocks of lines and grids, laid out for a terminal, a pipe or Markdown, every digit kept."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field
from typing import Literal, TextIO

from costcalc.fields import Record
from costcalc.predict.quantities import Assumption, Estimate, Range
from costcalc.units import NOTHING, format_rate, format_seconds, format_usd

Role = Literal[
    "text",
    "title",
    "heading",
    "value",
    "headline",
    "dim",
    "memory",
    "compute",
    "communication",
    "overhead",
    "good",
    "bad",
]
"""What a piece of text is for; a terminal with colours gives each role a look."""


class Line(Record):
    """A line of text; `wrap` lets a narrow terminal break it between words."""

    text: str = ""
    role: Role = "text"
    wrap: bool = False
    indent: int = 0


class Column(Record):
    """A column of a grid.

    right: whether it is aligned to the right, as numbers are.
    keep: how long it is kept when the terminal is too narrow: 0 for always, larger ones go first.
    drawing: whether its cells are bars, which text for other programs leaves out.
    spare: whether it is left out, and a line says so, where there is no room for it beside others; it never makes a
        grid longer.
    wrap: whether a narrow terminal may break its cells between words, where it stands last.
    key: whether it tells rows apart, and so begins every part of a grid that is too wide for one; the first does.
    """

    title: str = ""
    right: bool = False
    role: Role = "text"
    keep: int = 0
    drawing: bool = False
    spare: bool = False
    wrap: bool = False
    key: bool = False


class Grid(Record):
    """Rows of cells under columns; without any titles the head is left out.

    roles: role of a single cell by (row, column), where it differs from its column's.
    split: whether columns that a narrow terminal has no room for follow in a second grid, unless they are spare; else
        they are left out, and a line says which.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    roles: dict[tuple[int, int], Role] = field(default_factory=dict)
    indent: int = 2
    split: bool = True


Block = Line | Grid


RANGE = "80% range"
"""Title of a column that holds the ranges of the one before it, and stays beside it."""
LEAST_WRAPPED = 24
"""Columns that text which may be broken needs at least."""


def parts_of(grid: Grid, width: int | None, gap: int = 2) -> list[list[int]]:
    """Return the columns of each part that a grid takes on a terminal; bars, and what is spare, may be in none.

    grid: the grid.
    width: columns of the terminal, or None without a limit.
    gap: spaces between columns.
    """
    keys = [index for index, column in enumerate(grid.columns) if column.key] or [0]
    rest = list(range(len(grid.columns)))
    parts = []
    while True:
        kept = _fitting(grid, rest, keys, width, gap)
        parts.append(kept)
        left = [index for index in rest if index not in kept and not grid.columns[index].drawing]
        if not grid.split or all(grid.columns[index].spare for index in left):
            return parts
        # A range that is spare has lost its place with what it is the range of.
        lost = {index for index in left if _is_range(grid, index) and grid.columns[index].spare and index - 1 in kept}
        rest = sorted({*keys, *left} - lost)


def left_out(grid: Grid, parts: Sequence[Sequence[int]]) -> list[str]:
    """Return the titles of columns that no part has; bars are not missed.

    grid: the grid. parts: the columns of each part.
    """
    shown = {index for part in parts for index in part}
    missed = [index for index, column in enumerate(grid.columns) if index not in shown and not column.drawing]
    titles = [(grid.columns[index - 1].title if _is_range(grid, index) else "", index) for index in missed]
    names = [f"{RANGE} of {of}" if of else grid.columns[index].title for of, index in titles]
    return [name for name in names if name]


def _fitting(grid: Grid, columns: list[int], keys: list[int], width: int | None, gap: int) -> list[int]:
    """Return the columns that fit side by side: the keys, and of the others those that are kept longest."""
    kept = list(columns)
    while width is not None and least_width(grid, kept, gap) > width:
        units = _units(grid, kept, keys)
        if not grid.split:
            units = [unit for unit in units if grid.columns[unit[0]].keep > 0]
        if not units:
            break
        if grid.split and len(units) == 1:
            if len(units[0]) == 1:
                break
            kept.remove(units[0][1])  # even alone there is no room for the range beside its value
            continue
        gone = max(units, key=lambda unit: _dispensable(grid, unit))
        kept = [index for index in kept if index not in gone]
    return kept


def _units(grid: Grid, kept: Sequence[int], keys: Sequence[int]) -> list[tuple[int, ...]]:
    """What may go at once: a column with the range of it; a range that is spare goes alone."""
    units: list[tuple[int, ...]] = []
    for index in kept:
        if index in keys:
            continue
        if units and units[-1] == (index - 1,) and _is_range(grid, index) and not grid.columns[index].spare:
            units[-1] = (index - 1, index)
        else:
            units.append((index,))
    return units


def _dispensable(grid: Grid, unit: tuple[int, ...]) -> tuple[bool, bool, int, int]:
    column = grid.columns[unit[0]]
    return column.drawing, column.spare, column.keep, unit[0]


def _is_range(grid: Grid, index: int) -> bool:
    return grid.columns[index].title == RANGE and index > 0


def title_of(grid: Grid, index: int, kept: Sequence[int]) -> str:
    """Return the title of a column; one of ranges names what they are of where that stands in another part.

    grid: the grid. index: which column. kept: the columns of its part.
    """
    title = grid.columns[index].title
    apart = _is_range(grid, index) and index - 1 not in kept
    return f"{grid.columns[index - 1].title}, {title}" if apart else title


def column_width(grid: Grid, index: int, kept: Sequence[int]) -> int:
    """Return the width of a column: its widest cell or its title.

    grid: the grid. index: which column. kept: the columns of its part.
    """
    return max([len(title_of(grid, index, kept)), *(len(row[index]) for row in grid.rows)])


def least_width(grid: Grid, kept: Sequence[int], gap: int) -> int:
    """Return how many columns of a terminal a part of a grid needs, its last one broken where it may be.

    grid: the grid.
    kept: which of its columns.
    gap: spaces between them.
    """
    sizes = [column_width(grid, index, kept) for index in kept]
    if grid.columns[kept[-1]].wrap and len(kept) > 1:
        sizes[-1] = min(sizes[-1], LEAST_WRAPPED)
    return grid.indent + sum(sizes) + gap * (len(kept) - 1)


# Numbers and ranges as tables show them.


MARK = "°"
"""Stands behind a value that was not given but taken by default."""

DASH = "–"


def span(limits: Range | None, show: Callable[[float, int], str]) -> str:
    """Return a range as '[23–34]', to two digits, or nothing where there is none.

    limits: low and high.
    show: how one of them is written with a number of digits.
    """
    return "" if limits is None else f"[{show(limits[0], 2)}{DASH}{show(limits[1], 2)}]"


def users(batch: float) -> str:
    """Sequences at once, a mean to three digits where it is no whole number."""
    return f"{batch:,.0f}" if float(batch).is_integer() or batch >= 100 else f"{batch:.3g}"


def usd(value: float | None) -> str:
    """Return dollars as '$1.23', or '-' where unknown."""
    return format_usd(value)


def dollars_span(limits: Range | None) -> str:
    """Return a range of dollars as '[$0.68–$0.99]', in whole dollars from a hundred on."""
    return span(limits, lambda value, digits: f"${value:,.0f}" if value >= 100 else format_usd(value, digits))


def speed(value: float | None, digits: int = 3) -> str:
    """Return tokens per second such as '27.9' or '10,700', without the unit."""
    if value is None:
        return NOTHING
    if value >= 1000:
        rounded = float(f"{value:.{digits - 1}e}")
        return f"{rounded:,.0f}"
    return format_rate(value, "", digits).strip()


def seconds(value: float | None, digits: int = 3) -> str:
    """Return a time such as '35.9 ms'."""
    return format_seconds(value, digits)


def times(value: float | None) -> str:
    """Return a ratio such as '1.8×', or '-' where unknown."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value:,.0f}×"
    return f"{format_rate(value, '', 3).strip()}×"


def bar(share: float, width: int) -> str:
    """Return a bar that fills a share of its width, to an eighth of a character.

    share: 0 to 1; less is shown as nothing and more as full.
    width: characters.
    """
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


# Parts that several pages have: marks of defaults, the footnotes to them, notes.


def marked(result: Estimate, name: str, text: str) -> str:
    """Return text with the mark of a default, where the value was not given.

    result: the estimate.
    name: the assumption's name.
    text: the value as shown.
    """
    return text + (MARK if any(each.name == name for each in result.assumptions) else "")


def defaults_taken(assumptions: Sequence[Assumption]) -> Iterator[Block]:
    """Yield the footnotes to the marks: what was taken, why, and the option that overrides it.

    assumptions: the defaults taken.
    """
    if not assumptions:
        return
    yield Line(f"{MARK} taken by default; to override:", "dim")
    # A long reason, such as the source of a price, stands below: in the grid it would cost all others their place.
    rows = [(_named(each), each.value, each.override, each.why if _is_short(each) else "") for each in assumptions]
    yield Grid(
        (Column(role="dim"), Column(role="dim"), Column(role="dim"), Column(role="dim", keep=1, wrap=True)), rows
    )
    for each in assumptions:
        if not _is_short(each):
            yield Line(f"{_named(each)}: {each.why}", "dim", wrap=True, indent=2)


def _named(assumption: Assumption) -> str:
    return assumption.name.replace("_", " ")


def _is_short(assumption: Assumption) -> bool:
    return len(assumption.why) <= 52


def notes(texts: Sequence[str]) -> Iterator[Block]:
    """Yield notes, one paragraph each.

    texts: the notes.
    """
    if texts:
        yield Line("Notes", "heading")
        yield from (Line(text, wrap=True, indent=2) for text in texts)
        yield Line()


# Pages laid out as lines: every digit is kept and no cell is cut.


GAP = "  "
RULE = "─"

Pieces = list[tuple[str, Role]]
"""One line, as texts with their roles."""


def plain_page(blocks: Iterable[Block], width: int | None = None) -> str:
    """Return a page as plain text that ends in a line break.

    blocks: the parts of the page.
    width: columns to fit into by leaving columns out and breaking prose, or None without a limit.
    """
    lines = ("".join(text for text, _ in pieces).rstrip() for pieces in page_lines(blocks, width))
    return "".join(f"{line}\n" for line in lines)


def page_lines(blocks: Iterable[Block], width: int | None = None) -> Iterable[Pieces]:
    """Yield the lines of a page.

    blocks: the parts of the page.
    width: columns to fit into, or None without a limit.
    """
    for block in blocks:
        yield from _grid_lines(block, width) if isinstance(block, Grid) else _prose_lines(block, width)


def _prose_lines(line: Line, width: int | None) -> Iterable[Pieces]:
    margin = " " * line.indent
    if not line.wrap or width is None or len(line.text) + line.indent <= width:
        yield [(margin + line.text, line.role)]
        return
    for part in textwrap.wrap(
        line.text,
        max(width, 20),
        initial_indent=margin,
        subsequent_indent=margin + "  ",
        break_long_words=False,
        break_on_hyphens=False,
    ):
        yield [(part, line.role)]


def _grid_lines(grid: Grid, width: int | None) -> Iterable[Pieces]:
    parts = parts_of(grid, width, len(GAP))
    for number, kept in enumerate(parts):
        if number:
            yield []
        yield from _part_lines(grid, kept, width, _rows_to_show(grid, kept, whole=number == 0))
    if missing := left_out(grid, parts):
        told = f"no room here for {', '.join(missing)}: a wider terminal or --format csv has them"
        yield from _prose_lines(Line(told, "dim", wrap=True, indent=grid.indent), width)


def _rows_to_show(grid: Grid, kept: Sequence[int], *, whole: bool) -> list[int]:
    """The rows of a part: all of the first one, and of those that follow the ones that add something to it."""
    keys = {index for index in kept if grid.columns[index].key} or {0}
    numbers = range(len(grid.rows))
    return [row for row in numbers if whole or any(grid.rows[row][index] for index in kept if index not in keys)]


def _part_lines(grid: Grid, kept: Sequence[int], width: int | None, rows: Iterable[int]) -> Iterable[Pieces]:
    sizes = {index: column_width(grid, index, kept) for index in kept}
    last = kept[-1]
    if width is not None and grid.columns[last].wrap and len(kept) > 1:
        others = least_width(grid, kept, len(GAP)) - min(sizes[last], LEAST_WRAPPED)
        sizes[last] = min(sizes[last], max(width - others, LEAST_WRAPPED))
    if any(grid.columns[index].title for index in kept):
        titles = [_aligned(grid.columns[index], title_of(grid, index, kept), sizes[index]) for index in kept]
        yield _joined(grid, [(title, "value") for title in titles])
        yield _joined(grid, [(RULE * sizes[index], "dim") for index in kept])
    for number in rows:
        row = grid.rows[number]
        roles = [grid.roles.get((number, index), grid.columns[index].role) for index in kept]
        for line in _broken([row[index] for index in kept], sizes[last]):
            cells = [_aligned(grid.columns[index], cell, sizes[index]) for index, cell in zip(kept, line, strict=True)]
            yield _joined(grid, list(zip(cells, roles, strict=True)))


def _broken(cells: list[str], size: int) -> Iterable[list[str]]:
    """Yield the lines of a row: one, unless its last cell is wider than its column."""
    if len(cells[-1]) <= size:
        yield cells
        return
    parts = textwrap.wrap(cells[-1], size, break_on_hyphens=False)
    for number, part in enumerate(parts):
        yield [*(cells[:-1] if number == 0 else [""] * (len(cells) - 1)), part]


def _aligned(column: Column, text: str, size: int) -> str:
    return text.rjust(size) if column.right else text.ljust(size)


def _joined(grid: Grid, cells: Pieces) -> Pieces:
    pieces: Pieces = [(" " * grid.indent, "text")]
    for number, cell in enumerate(cells):
        pieces += [(GAP, "text"), cell] if number else [cell]
    return pieces


# Pages as Markdown: headings, tables and paragraphs; bars are left out.


_HEADINGS = {"title": "# ", "heading": "## ", "value": "### "}


def markdown_page(blocks: Iterable[Block]) -> str:
    """Return a page as Markdown that ends in a line break.

    blocks: the parts of the page.
    """
    parts = [_table(block) if isinstance(block, Grid) else _paragraph(block) for block in blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def _paragraph(line: Line) -> str:
    return _HEADINGS.get(line.role, "") + _escaped(line.text) if line.text.strip() else ""


def _table(grid: Grid) -> str:
    kept = [index for index, column in enumerate(grid.columns) if not column.drawing]
    columns = [grid.columns[index] for index in kept]
    head = "| " + " | ".join(_escaped(column.title) for column in columns) + " |"
    rule = "| " + " | ".join("--:" if column.right else ":--" for column in columns) + " |"
    rows = ["| " + " | ".join(_escaped(row[index]) for index in kept) + " |" for row in grid.rows]
    return "\n".join([head, rule, *rows])


def _escaped(text: str) -> str:
    for sign in ("\\", "|", "*", "_", "<", "$"):
        text = text.replace(sign, "\\" + sign)
    return text.strip()


# Pages on a terminal: fitted to its width, in colours unless NO_COLOR is set.
#
# NO_COLOR asks for no colours; bold and dim letters are none, and stay (https://no-color.org).


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
