"""What a page is made of: lines and grids of text, with the role that each part plays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Literal

from costcalc.frozen import Record

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
    wrap: whether a narrow terminal may break its cells between words, where it stands last.
    key: whether it tells rows apart, and so begins every part of a grid that is too wide for one; the first does.
    """

    title: str = ""
    right: bool = False
    role: Role = "text"
    keep: int = 0
    drawing: bool = False
    wrap: bool = False
    key: bool = False


class Grid(Record):
    """Rows of cells under columns; without any titles the head is left out.

    roles: role of a single cell by (row, column), where it differs from its column's.
    split: whether columns that a narrow terminal has no room for follow in a second grid; else they are left out,
        and a line says which.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    roles: dict[tuple[int, int], Role] = field(default_factory=dict)
    indent: int = 2
    split: bool = True


Block = Line | Grid


RANGE = "80% range"
"""Title of a column that holds the ranges of the one before it."""
LEAST_WRAPPED = 24
"""Columns that text which may be broken needs at least."""


def parts_of(grid: Grid, width: int | None, gap: int = 2) -> list[list[int]]:
    """Return the columns of each part that a grid takes on a terminal; bars alone may go missing where it splits.

    grid: the grid.
    width: columns of the terminal, or None without a limit.
    gap: spaces between columns.
    """
    keys = [index for index, column in enumerate(grid.columns) if column.key] or [0]
    rest = list(range(len(grid.columns)))
    parts = []
    while True:
        kept, left = _fitting(grid, rest, keys, width, gap)
        parts.append(kept)
        if not left or not grid.split:
            return parts
        rest = [*keys, *left]


def _fitting(
    grid: Grid, columns: list[int], keys: list[int], width: int | None, gap: int
) -> tuple[list[int], list[int]]:
    """Return the columns that fit, and those of the others that have something to say."""
    kept, left = list(columns), []
    while width is not None and least_width(grid, kept, gap) > width:
        spare = [index for index in kept if index not in keys]
        if not grid.split:
            spare = [index for index in spare if grid.columns[index].keep > 0]
        elif len(spare) == 1:
            break
        if not spare:
            break
        gone = max(spare, key=lambda index: (grid.columns[index].drawing, grid.columns[index].keep, index))
        kept.remove(gone)
        if not grid.columns[gone].drawing:
            left.append(gone)
    return kept, sorted(left)


def title_of(grid: Grid, index: int, kept: Sequence[int]) -> str:
    """Return the title of a column; one of ranges names what they are of where that stands in another part.

    grid: the grid. index: which column. kept: the columns of its part.
    """
    title = grid.columns[index].title
    apart = title == RANGE and index > 0 and index - 1 not in kept
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
