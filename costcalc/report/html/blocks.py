"""Blocks of pages as HTML: for a notebook, with every look beside its element, or for a document with a style sheet."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape

from costcalc.report.page import COLOURS, Block, Column, Command, Grid, Line, Role, has_head, in_money, safe

# Both have the same elements and classes. A notebook keeps no style sheet, so there the declarations of a class stand
# in its place: they take the colours of the page around, light or dark, and those of roles are dark enough for white
# and light enough for black.


_DECLARED = {
    "page": "color:inherit;line-height:1.4;overflow-x:auto",
    "title": "font-weight:bold;font-size:115%",
    "heading": "font-weight:bold;margin-top:0.8em",
    "value": "font-weight:bold",
    "headline": "font-weight:bold;color:#2e9350",
    "dim": "opacity:0.7",
    "memory": "color:#3d85d8",
    "compute": "color:#b07d10",
    "communication": "color:#b455b4",
    "overhead": "opacity:0.7",
    "good": "color:#2e9350",
    "bad": "font-weight:bold;color:#d9534f",
    "drawing": "font-family:monospace;white-space:pre",
    "grid": "color:inherit;border-collapse:collapse",
    "left": "text-align:left;padding:1px 8px",
    "right": "text-align:right;padding:1px 8px",
    "head": "border-bottom:1px solid currentColor",
    "unbroken": "white-space:nowrap",
    "name": "font-weight:normal",
}
Look = Callable[..., str]
"""Returns the attribute of an element that gives it the look of classes."""


def beside(*classes: str) -> str:
    """Return the look of classes as a style of the element itself."""
    return f' style="{";".join(filter(None, map(_declared, classes)))}"'


def _declared(name: str) -> str:
    """The declarations of a class; further in, by half a letter for each place, is one for every number of places."""
    kind, _, places = name.partition("-")
    return f"margin-left:{int(places) / 2:g}em" if kind == "indent" else _DECLARED.get(name, "")


def by_class(*classes: str) -> str:
    """Return the look of classes as a document with a style sheet names it."""
    named = " ".join(each for each in classes if each not in ("", "text", "left", "indent-0"))
    return f' class="{named}"' if named else ""


WIDE = 8
"""Columns that a screen seldom lacks room for."""


def html_page(blocks: Iterable[Block]) -> str:
    """Return a page as HTML for a notebook, without a style sheet or a script."""
    parts = "".join(_block(block, beside, "div") or "<br>" for block in safe(blocks))
    return f"<div{beside('page')}>{parts}</div>"


def document_blocks(blocks: Iterable[Block], name: str) -> str:
    """Return blocks as HTML of a section, whose style sheet has the looks: paragraphs, headings, tables of rows.

    name: what a table is about, for those who do not see what stands around it.
    """
    parts = []
    for block in safe(in_money(blocks, told=False)):
        heads = isinstance(block, Line) and block.role in ("title", "heading", "value")
        html = _block(block, by_class, "h3" if heads else "p")
        # What is wider than a screen is scrolled by itself, by keys too.
        if isinstance(block, Grid):
            keys = f' role="region" tabindex="0" aria-label="{html_text(name)}"' if len(block.columns) > WIDE else ""
            html = f'<div class="scrolled"{keys}>{html}</div>'
        parts.append(html)
    return "".join(parts)


def _block(block: Block, look: Look, tag: str) -> str:
    """A block in an element of its own, that of a text being `tag`; nothing for an empty line."""
    further_in = f"indent-{block.indent}"
    if isinstance(block, Command):
        label = f"{html_text(block.label)} " if block.label else ""
        return f"<{tag}{look(further_in)}>{label}<code>{_whole(html_text(block.text), look)}</code></{tag}>"
    if isinstance(block, Line):
        text = _whole(html_text(re.sub(COLOURS, "", block.text)), look)
        return f"<{tag}{look(further_in, block.role, 'drawing' if block.drawn else '')}>{text}</{tag}>" if text else ""
    head = f"<thead><tr>{''.join(_head(each, look) for each in block.columns)}</tr></thead>" if has_head(block) else ""
    rows = "".join(f"<tr>{''.join(_cells(block, number, row, look))}</tr>" for number, row in enumerate(block.rows))
    return f"<table{look(further_in, 'grid')}>{head}<tbody>{rows}</tbody></table>"


def _whole(html: str, look: Look) -> str:
    """Text whose options stay whole: else a line would break behind the dashes of '--gpus'."""
    return re.sub(r"(?<![\w&;-])--?[a-z][\w-]*", lambda found: f"<span{look('unbroken')}>{found[0]}</span>", html)


def _head(column: Column, look: Look) -> str:
    attribute = look("right" if column.right else "left", "head", "" if column.wrap else "unbroken")
    return f'<th scope="col"{attribute}>{html_text(column.title)}</th>' if column.title else f"<td{attribute}></td>"


def _cells(grid: Grid, number: int, row: Sequence[str], look: Look) -> Iterator[str]:
    for at, (column, text) in enumerate(zip(grid.columns, row, strict=True)):
        role: Role = grid.roles.get((number, at), column.role)
        side, kind = "right" if column.right else "left", "drawing" if column.drawing else "unbroken"
        names_row = at == 0 and bool(text)
        attribute = look(side, "" if column.wrap else kind, "name" if names_row else "", role)
        if names_row:
            yield f'<th scope="row"{attribute}>{html_text(text)}</th>'
        elif column.drawing:
            yield f'<td aria-hidden="true"{attribute}>{html_text(text)}</td>'
        else:
            yield f"<td{attribute}>{html_text(text)}</td>"


def html_text(text: str) -> str:
    """Return text as HTML shows it: no name is markup, and no `$` begins a formula in a notebook."""
    return escape(text).replace("$", "&#36;")
