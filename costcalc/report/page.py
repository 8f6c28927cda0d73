"""Pages: blocks of lines and grids, for a terminal, a pipe or Markdown, every digit kept."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, Literal, TextIO, TypeVar

from costcalc.errors import escaped
from costcalc.fields import Record
from costcalc.predict.quantities import QUANTITIES
from costcalc.predict.results import SET_BY, Assumption, Estimate, Range
from costcalc.units import (
    DOLLARS,
    NOTHING,
    SHOWN_IN,
    counted,
    ends_in_one_unit,
    format_percent,
    format_power,
    format_rate,
    format_seconds,
    format_usd,
    in_currency,
)

if TYPE_CHECKING:
    from rich.table import Table

Role = Literal[
    "text", "title", "heading", "value", "headline", "dim",
    "memory", "compute", "communication", "overhead", "good", "bad",
]  # fmt: skip
"""What a piece of text is for; a terminal with colours gives each role a look."""


Depth = Literal["brief", "usual", "verbose"]
"""How much of a page is shown: its head alone, all but its long lists, or everything."""


class Line(Record):
    """A paragraph, which a terminal breaks between words."""

    text: str = ""
    role: Role = "text"
    indent: int = 0
    drawn: bool = False  # a line of a drawing, which has colours of its own
    only: Depth | None = None  # where it is shown, if not at every depth


class Command(Record):
    """A command to paste: a terminal that has no room for it breaks it between words, behind a backslash."""

    text: str
    label: str = ""  # what it belongs to, in front of it
    indent: int = 2


class Column(Record):
    """A column of a grid."""

    title: str = ""
    right: bool = False  # aligned to the right, as numbers are
    role: Role = "text"
    wrap: bool = False  # a narrow terminal may break its cells between words
    key: bool = False  # tells rows apart, and so begins every table of a grid; the first column does
    beside: bool = False  # stays beside the column before it, as a range does
    drawing: bool = False  # bars, which are left out of Markdown and of a terminal without room
    path: str = ""  # the column of CSV that says the same


RANGE = Column("80% range", role="dim", beside=True)


class Grid(Record):
    """Rows of cells under columns; without any titles the head is left out.

    What a narrow terminal has no room for follows in another table, or is named where `listed`: of a long list.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    roles: dict[tuple[int, int], Role] = field(default_factory=dict)  # of cells by (row, column)
    indent: int = 2
    listed: bool = False
    only: Depth | None = None  # where it is shown, if not at every depth


Block = Line | Command | Grid
HEAD_ENDS = Line()
"""The empty line below what `--brief` shows of a page."""
Item = TypeVar("Item")


def filled_grid(columns: Sequence[Column], rows: Sequence[Sequence[str]], roles: Any = None, **settings: Any) -> Grid:
    """Return a grid without the columns that say nothing anywhere."""
    kept = [at for at in range(len(columns)) if any(row[at] not in ("", NOTHING) for row in rows)]
    moved = {(row, kept.index(at)): role for (row, at), role in (roles or {}).items() if at in kept}
    return Grid([columns[at] for at in kept], [[row[at] for at in kept] for row in rows], moved, **settings)


def numbers(*titles: str) -> list[Column]:
    """Return columns of numbers, which stand at the right."""
    return [Column(title, right=True) for title in titles]


def grid_of(items: Iterable[Item], columns: Sequence[tuple[Column, Callable[[Item], str]]], **settings: Any) -> Grid:
    """Return a grid with a row for each item, of columns and what stands in them."""
    rows = [[cell(each) for _, cell in columns] for each in items]
    return Grid([column for column, _ in columns], rows, **settings)


# Numbers and ranges as pages show them.


MARK = "°"
"""Stands behind a value that was not given but taken by default."""
DASH = "–"
Show = Callable[[float | None], str]


def span(limits: Range | None, show: Callable[[float, int], str]) -> str:
    """Return a range as '[23–34 ms]', to two digits and in one unit, or nothing where there is none."""
    return "" if limits is None else f"[{DASH.join(ends_in_one_unit(*limits, show))}]"


def users(batch: float) -> str:
    """Sequences at once, a mean to three digits where it is no whole number."""
    return f"{batch:,.0f}" if float(batch).is_integer() or batch >= 100 else f"{batch:.3g}"


def _dollars(value: float, digits: int) -> str:
    """An end of a range of dollars, in whole ones from a hundred on."""
    money = SHOWN_IN.get()
    amount = value * money.per_usd
    return f"{money.sign}{amount:,.0f}" if amount >= 100 else format_usd(value, digits)


def speed(value: float | None, digits: int = 3) -> str:
    """Return tokens per second such as '27.9' or '10,700', without the unit."""
    if value is not None and value >= 1000:
        return f"{float(f'{value:.{digits - 1}e}'):,.0f}"
    return format_rate(value, "", digits).strip()


def seconds(value: float | None, digits: int = 3) -> str:
    """Return a time such as '35.9 ms'."""
    return format_seconds(value, digits)


def times(value: float | None) -> str:
    """Return a ratio such as '1.8×', or '-' where unknown."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}×" if value >= 1000 else f"{format_rate(value, '', 3).strip()}×"


def bar(share: float, width: int) -> str:
    """Return a bar that fills a share of its width [characters], to an eighth of one."""
    full, rest = divmod(round(max(0.0, min(1.0, share)) * width * 8), 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def watts(value: float | None, digits: int = 3) -> str:
    """Return a power such as '518 W', to three digits."""
    return format_power(value, digits)


def _in_unit(unit: str) -> Callable[..., str]:
    """How numbers of a unit without prefixes are written: '17,000 kWh', to three digits."""
    return lambda value, digits=3: NOTHING if value is None else f"{float(f'{value:.{digits}g}'):,.10g} {unit}"


_WRITTEN: dict[str, tuple[Show, Callable[[float, int], str]]] = {
    "s": (seconds, seconds),
    "tokens/s": (speed, speed),
    "$/M": (format_usd, _dollars),
    "$": (format_usd, _dollars),
    "share": (format_percent, format_percent),
    "W": (watts, watts),
    "J": (_in_unit("J"), _in_unit("J")),
    "kWh": (_in_unit("kWh"), _in_unit("kWh")),
    "kg": (_in_unit("kg"), _in_unit("kg")),
    "g": (_in_unit("g"), _in_unit("g")),
}
"""How numbers of a unit are written, and the ends of their ranges."""


class Shown(Record):
    """A number of QUANTITIES as pages show it; what is not known is None and '-'."""

    title: str
    short: str  # as columns are headed
    unit: str
    show: Show
    show_end: Callable[[float, int], str]  # of a range, to so many digits
    value: float | None = None
    limits: Range | None = None

    @property
    def text(self) -> str:
        """The value, such as '$0.83'."""
        return self.show(self.value)

    @property
    def range(self) -> str:
        """The range, such as '[$0.68–$0.99]', or nothing."""
        return span(self.limits, self.show_end)


_OF_PATH = {each.path: each for each in QUANTITIES}


def quantity(path: str, result: Estimate | None = None) -> Shown:
    """Return a number of QUANTITIES by its path, with the value that an estimate has of it."""
    told = _OF_PATH[path]
    group, _, name = path.partition(".")
    tree = getattr(result, group, None)
    values = getattr(tree, name, None), getattr(tree, f"{name}_range", None)
    return Shown(told.title, told.short, told.unit, *_WRITTEN[told.unit], *values)


# Parts that several pages have: marks of defaults, the footnotes to them, notes.


def marked(result: Estimate, name: str, text: str) -> str:
    """Return text with the mark of a default, where the assumptions name it."""
    return text + (MARK if any(each.name == name for each in result.assumptions) else "")


def defaults_taken(assumptions: Sequence[Assumption]) -> Iterator[Block]:
    """Yield the footnotes to the marks: what was taken, why, and the option that overrides it; or how many."""
    if assumptions:
        yield Line(_how_many(assumptions), "dim", only="usual")
        yield Line(f"{MARK} taken by default:", "dim", only="verbose")
        columns = [Column(title, role="dim") for title in ("", "value", "to override")]
        rows = [(each.name.replace("_", " "), each.value, each.override, each.why) for each in assumptions]
        yield Grid([*columns, Column("why", role="dim", wrap=True)], rows, only="verbose")


def _how_many(assumptions: Sequence[Assumption]) -> str:
    """How many values were not typed, and which of them a variable or a file sets."""
    own = [f"{each.name.replace('_', ' ')} {each.value}, {each.why}" for each in assumptions if is_set_elsewhere(each)]
    told = "".join(f"; {each}" for each in own)
    return f"{MARK} {counted(len(assumptions), 'value')} taken by default{told}: -v lists them with their reasons"


def is_set_elsewhere(assumption: Assumption) -> bool:
    """Return whether a value comes from a variable or a file of the user's."""
    return assumption.why.startswith(SET_BY)


def at_depth(blocks: Iterable[Block], depth: Depth) -> list[Block]:
    """Return what a page shows at a depth."""
    found: list[Block] = []
    for block in blocks:
        if isinstance(block, Command) or block.only in (None, depth):
            found.append(block if isinstance(block, Command) else replace(block, only=None))
        if depth == "brief" and block is HEAD_ENDS:
            break
    return found


def section(title: str, texts: Iterable[str], role: Role = "text") -> Iterator[Block]:
    """Yield paragraphs under a heading, or nothing without any."""
    listed = [Line(text, role, indent=2) for text in texts]
    if listed:
        yield from (Line(title, "heading"), *listed, Line())


def notes(texts: Sequence[str]) -> Iterator[Block]:
    """Yield notes, one paragraph each."""
    return section("Notes", texts)


# What every page does with what comes from files: a name cannot command a terminal, or end a row of a table.


def safe(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield the blocks of a page, all of their text escaped; a page of no depth shows its long lists."""
    for block in blocks:
        if not isinstance(block, Command) and block.only not in (None, "verbose"):
            continue
        if isinstance(block, Grid):
            yield _changed(block, escaped)
        elif isinstance(block, Command):
            yield replace(block, text=escaped(block.text), label=escaped(block.label))
        else:
            yield block if block.drawn else _changed(block, escaped)


def in_money(blocks: Iterable[Block], told: bool = True) -> list[Block]:
    """Return a page whose titles and sentences name the currency that is shown; told: and what it is worth."""
    money = SHOWN_IN.get()
    if money == DOLLARS:
        return [*blocks]
    page: list[Block] = [block if isinstance(block, Command) else _changed(block, in_currency) for block in blocks]
    if not told:
        return page
    quoted = any(re.search(r"\$\d", text) for block in page for text in _texts(block))
    kept = "; amounts with a $ are quoted, and stay in US dollars" if quoted else ""
    rest = [] if page and page[-1] == Line() else [Line()]
    return [*page, *rest, Line(f"Money in {money.name}, {money.per_usd:g} to the US dollar{kept}.", "dim")]


def _changed(block: Grid | Line, change: Callable[[str], str]) -> Grid | Line:
    """A block whose texts are changed."""
    if isinstance(block, Line):
        return replace(block, text=change(block.text))
    columns = [replace(each, title=change(each.title)) for each in block.columns]
    return replace(block, columns=columns, rows=[[*map(change, row)] for row in block.rows])


def _texts(block: Block) -> Iterator[str]:
    if isinstance(block, Grid):
        yield from (cell for row in block.rows for cell in row)
    elif isinstance(block, Line):
        yield block.text


# Pages as text for a pipe or a file, however long its lines become.


GAP = "  "
RULE = "─"
COLOURS = r"\x1b\[[0-9;]*m"
"""What colours a terminal in a line of a drawing."""


def plain_page(blocks: Iterable[Block]) -> str:
    """Return a page as plain text that ends in a line break."""
    return "".join(f"{line.rstrip()}\n" for block in safe(blocks) for line in text_lines(block))


def text_lines(block: Block) -> Iterator[str]:
    """Yield the lines of a block, however long."""
    margin = " " * block.indent
    if isinstance(block, Line):
        yield margin + re.sub(COLOURS, "", block.text)
        return
    if isinstance(block, Command):
        yield from _command_lines(block)
        return
    sizes = [width_of(block, at) for at in range(len(block.columns))]
    head = [[each.title for each in block.columns], [RULE * size for size in sizes]] if has_head(block) else []
    for row in [*head, *block.rows]:
        cells = zip(block.columns, row, sizes, strict=True)
        yield margin + GAP.join(cell.rjust(size) if each.right else cell.ljust(size) for each, cell, size in cells)


def _command_lines(command: Command, width: int | None = None) -> Iterator[str]:
    """The lines of a command, of which each but the last ends in a backslash; one line without a width."""
    margin = " " * command.indent + (command.label + GAP if command.label else "")
    line, begun = margin, False
    for word in re.findall(r"""(?:[^\s'"]|'[^']*'|"[^"]*")+""", command.text):
        # Two places stay for a backslash; an option keeps its value beside it.
        if begun and width is not None and word.startswith("-") and len(line) + len(f" {word}") + 12 > width - 2:
            yield f"{line} \\"
            line, begun = " " * len(margin) + GAP, False
        line, begun = f"{line}{' ' if begun else ''}{word}", True
    yield line


def has_head(grid: Grid) -> bool:
    """Return whether any column of a grid has a title."""
    return any(each.title for each in grid.columns)


def width_of(grid: Grid, at: int, measure: Callable[[str], int] = len) -> int:
    """Return the columns of text that a column of a grid takes."""
    return max([measure(grid.columns[at].title), *(measure(row[at]) for row in grid.rows)])


# Pages as Markdown: headings, tables and paragraphs; bars are left out.


_HEADINGS = {"title": "# ", "heading": "## ", "value": "### "}


def markdown_page(blocks: Iterable[Block]) -> str:
    """Return a page as Markdown that ends in a line break."""
    parts = [_marked_block(block) for block in safe(blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _marked_block(block: Block) -> str:
    if isinstance(block, Grid):
        return _markdown_table(block)
    if isinstance(block, Command):
        return "\n".join([*([f"{block.label}:\n"] if block.label else []), "```sh", block.text, "```"])
    return _paragraph(block)


def _paragraph(line: Line) -> str:
    text = _marked_down(line.text)
    # What begins a list, a quotation, a heading or a block of code is a sign like others here.
    return _HEADINGS.get(line.role, "") + ("\\" + text if text[:1] in set("#>+-=`~") else text) if text else ""


def _markdown_table(grid: Grid) -> str:
    kept = [at for at, column in enumerate(grid.columns) if not column.drawing]
    head = [[grid.columns[at].title for at in kept]]
    rows = [
        f"| {' | '.join(map(_marked_down, cells))} |"
        for cells in [*head, *([row[at] for at in kept] for row in grid.rows)]
    ]
    rule = f"| {' | '.join('--:' if grid.columns[at].right else ':--' for at in kept)} |"
    return "\n".join([rows[0], rule, *rows[1:]])


_MARKDOWN = re.compile(r"[\\|*_<$`]|\](?=[(\[:])")
"""Signs that mean something; a bracket does where an address follows, which no text here has for its reader."""


def _marked_down(text: str) -> str:
    return _MARKDOWN.sub(r"\\\g<0>", text).strip()


# Pages on a terminal: plain tables that fit its width, in colours unless NO_COLOR is set.
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
LEAST_WRAPPED = 18
"""Columns that text which may be broken needs at least."""


def is_terminal(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that draws, rather than a pipe, a file or a dumb one."""
    return stream.isatty() and os.environ.get("TERM", "") != "dumb"


def terminal_width(stream: TextIO) -> int:
    """Return the columns of a terminal, by COLUMNS or by the terminal itself."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def print_page(blocks: Iterable[Block], stream: TextIO, width: int | None = None) -> None:
    """Print a page on a terminal of a width, or of its own when None."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.text import Text

    columns = width or terminal_width(stream)
    console = Console(file=stream, width=columns, highlight=False, markup=False, emoji=False)
    for block in safe(blocks):
        if isinstance(block, Command):
            for text in _command_lines(block, columns):
                console.print(Text(text), soft_wrap=True)
            continue
        if isinstance(block, Line):
            hang = GAP if block.indent else ""  # what follows the first line of an item stands further in
            parts = Text.from_ansi(block.text, style=LOOKS[block.role]).wrap(
                console, columns - block.indent - len(hang)
            )
            for number, part in enumerate(parts):
                console.print(Text(" " * block.indent + hang * (number > 0)) + part)
            continue
        tables = tables_of(block, columns)
        for number, kept in enumerate(tables[:1] if block.listed else tables):
            if number:
                console.print()
            console.width = max(columns, _least_width(block, kept))  # no digit is cut on the narrowest
            console.print(Padding(_table(block, kept, first=number == 0), (0, 0, 0, block.indent), expand=False))
            console.width = columns
        if block.listed and (missing := [block.columns[at].title for kept in tables[1:] for at in kept[1:]]):
            told = f"no room here for {', '.join(missing)}: a wider terminal or --format csv has them"
            console.print(Text(told, "dim"))


def tables_of(grid: Grid, width: int) -> list[list[int]]:
    """Return the columns of each table that a grid takes on a terminal: all that follow begin with the keys."""
    keys = [at for at, column in enumerate(grid.columns) if column.key] or [0]
    units: list[list[int]] = []
    for at, column in enumerate(grid.columns):
        if column.beside and units:
            units[-1].append(at)
        elif at not in keys:
            units.append([at])
    parts = [[*keys]]
    for unit in units:
        fits = _least_width(grid, [*parts[-1], *unit]) <= width
        if not fits and grid.columns[unit[0]].drawing:
            continue
        if not fits and len(parts[-1]) > len(keys):
            parts.append([*keys])
        parts[-1] += unit
    return parts


def _least_width(grid: Grid, part: Sequence[int]) -> int:
    from rich.cells import cell_len  # some signs of a terminal take two cells

    sizes = [min(width_of(grid, at, cell_len), LEAST_WRAPPED if grid.columns[at].wrap else 1 << 20) for at in part]
    return grid.indent + sum(sizes) + len(GAP) * (len(part) - 1)


def _table(grid: Grid, part: Sequence[int], *, first: bool) -> Table:
    """A table of some columns; one that follows has the rows that it adds something to."""
    from rich.rule import Rule
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, len(GAP), 0, 0), pad_edge=False, show_header=has_head(grid))
    for at in part:
        column = grid.columns[at]
        side: Any = "right" if column.right else "left"
        table.add_column(column.title, justify=side, no_wrap=not column.wrap, overflow="fold", header_style="bold")
    if has_head(grid):
        table.add_row(*(Rule(style="dim") for _ in part))
    keys = sum(grid.columns[at].key for at in part) or 1
    for number, row in enumerate(grid.rows):
        if first or any(row[at] for at in part[keys:]):
            roles = [grid.roles.get((number, at), grid.columns[at].role) for at in part]
            table.add_row(*(Text(row[at], LOOKS[role]) for at, role in zip(part, roles, strict=True)))
    return table
