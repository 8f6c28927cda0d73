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
