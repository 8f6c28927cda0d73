"""Pages laid out as lines: every digit is kept and no cell is cut."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from costcalc.show.blocks import (
    LEAST_WRAPPED,
    Block,
    Column,
    Grid,
    Line,
    Role,
    column_width,
    least_width,
    left_out,
    parts_of,
    title_of,
)

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
