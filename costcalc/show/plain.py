"""Pages laid out as lines: every digit is kept and no cell is cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from costcalc.show.blocks import Block, Column, Grid, Line, Role, column_width, fitting_columns, folded_width

GAP = "  "
RULE = "─"
NARROW = 80
"""Columns into which cells are folded where nobody says how many there are."""

Pieces = list[tuple[str, Role]]
"""One line, as texts with their roles."""


def plain_page(blocks: Iterable[Block], width: int | None = None, fold: int = NARROW) -> str:
    """Return a page as plain text that ends in a line break.

    blocks: the parts of the page.
    width: columns to fit into by leaving columns out and breaking prose, or None without a limit.
    fold: columns to fit into by folding cells alone, where there is no limit.
    """
    lines = ("".join(text for text, _ in pieces).rstrip() for pieces in page_lines(blocks, width, fold))
    return "".join(f"{line}\n" for line in lines)


def page_lines(blocks: Iterable[Block], width: int | None = None, fold: int = NARROW) -> Iterable[Pieces]:
    """Yield the lines of a page.

    blocks: the parts of the page.
    width: columns to fit into, or None without a limit.
    fold: columns to fit into by folding cells alone, where there is no limit.
    """
    for block in blocks:
        yield from _grid_lines(block, width, fold) if isinstance(block, Grid) else _prose_lines(block, width)


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


def _grid_lines(grid: Grid, width: int | None, fold: int) -> Iterable[Pieces]:
    kept = fitting_columns(grid, width, len(GAP))
    sizes = {
        index: folded_width(grid, index, kept, width or fold, len(GAP))
        if grid.columns[index].fold
        else column_width(grid, index)
        for index in kept
    }
    if any(grid.columns[index].title for index in kept):
        titles = [(_aligned(grid.columns[index], grid.columns[index].title, sizes[index])) for index in kept]
        yield _joined(grid, [(title, "value") for title in titles])
        yield _joined(grid, [(RULE * sizes[index], "dim") for index in kept])
    for number, row in enumerate(grid.rows):
        cells = {index: _folded(row[index], sizes[index]) for index in kept}
        for line in range(max(map(len, cells.values()), default=0)):
            yield _joined(grid, [_cell(grid, number, index, cells[index], line, sizes[index]) for index in kept])


def _folded(text: str, size: int) -> list[str]:
    if len(text) <= size:
        return [text]
    return textwrap.wrap(text, size, break_long_words=False, break_on_hyphens=False)


def _cell(grid: Grid, row: int, index: int, lines: list[str], line: int, size: int) -> tuple[str, Role]:
    column = grid.columns[index]
    text = lines[line] if line < len(lines) else ""
    return _aligned(column, text, size), grid.roles.get((row, index), column.role)


def _aligned(column: Column, text: str, size: int) -> str:
    return text.rjust(size) if column.right else text.ljust(size)


def _joined(grid: Grid, cells: Pieces) -> Pieces:
    pieces: Pieces = [(" " * grid.indent, "text")]
    for number, cell in enumerate(cells):
        pieces += [(GAP, "text"), cell] if number else [cell]
    return pieces
