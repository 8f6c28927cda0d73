"""What a page is made of: lines and grids of text, with the role that each part plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Literal

from costcalc.frozen import Record

Role = Literal[
    "text", "title", "heading", "value", "headline", "dim", "memory", "compute", "communication", "overhead", "good"
]
"""What a piece of text is for; a terminal with colours gives each role a look."""


FOLDED = 24
"""Least width of a column that is folded."""


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
    fold: whether its cells may go on in further lines, between words, where there is no room for them in one.
    """

    title: str = ""
    right: bool = False
    role: Role = "text"
    keep: int = 0
    drawing: bool = False
    fold: bool = False


class Grid(Record):
    """Rows of cells under columns; without any titles the head is left out.

    roles: role of a single cell by (row, column), where it differs from its column's.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    roles: dict[tuple[int, int], Role] = field(default_factory=dict)
    indent: int = 2


Block = Line | Grid


def fitting_columns(grid: Grid, width: int | None, gap: int = 2) -> list[int]:
    """Return the columns that a terminal has room for; cells are never cut.

    grid: the grid.
    width: columns of the terminal, or None without a limit.
    gap: spaces between columns.
    """
    kept = list(range(len(grid.columns)))
    while width is not None and _width(grid, kept, gap) > width:
        spare = [index for index in kept if grid.columns[index].keep > 0]
        if not spare or len(kept) == 1:
            break
        kept.remove(max(spare, key=lambda index: (grid.columns[index].keep, index)))
    return kept


def column_width(grid: Grid, index: int) -> int:
    """Return the width of a column: its widest cell or its title.

    grid: the grid.
    index: which column.
    """
    return max([len(grid.columns[index].title), *(len(row[index]) for row in grid.rows)])


def folded_width(grid: Grid, index: int, kept: list[int], width: int, gap: int = 2) -> int:
    """Return the width of a column that may be folded: what the others leave, but no less than it needs.

    grid: the grid. index: which column. kept: the columns that are shown. width: columns of the terminal.
    gap: spaces between columns.
    """
    others = _width(grid, [each for each in kept if each != index], gap) + gap
    return min(column_width(grid, index), max(width - others, FOLDED))


def _width(grid: Grid, kept: list[int], gap: int) -> int:
    sizes = [column_width(grid, index) for index in kept]
    least = [min(size, FOLDED) if grid.columns[index].fold else size for index, size in zip(kept, sizes, strict=True)]
    return grid.indent + sum(least) + gap * (len(kept) - 1)
