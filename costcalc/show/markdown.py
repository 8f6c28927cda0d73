"""Pages as Markdown: headings, tables and paragraphs; bars are left out."""

from __future__ import annotations

from collections.abc import Iterable

from costcalc.show.blocks import Block, Grid, Line

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
