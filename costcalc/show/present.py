"""One result in the form that was asked for, on the screen or in a file."""

from __future__ import annotations

import sys

from costcalc.explore.result import Comparison, Estimate
from costcalc.show.blocks import Block
from costcalc.show.files import NewFile
from costcalc.show.plain import plain_page
from costcalc.show.terminal import is_terminal, print_page


def present(
    result: Estimate | Comparison,
    form: str,
    file: NewFile | None = None,
    *,
    explain: bool = False,
    plot: bool = False,
) -> None:
    """Show a result.

    result: an estimate or a comparison.
    form: 'table', 'json', 'csv' or 'markdown'.
    file: the file to write, or None for stdout.
    explain: whether a table is followed by the formulas behind it.
    plot: whether a table is followed by bars and lines.
    """
    if form == "table":
        show_page(_page(result, explain, plot), file)
        return
    from costcalc.show.export import exported

    text = exported(result, form)
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text)


def show_page(page: list[Block], file: NewFile | None = None) -> None:
    """Show a page on the terminal, or as plain text in a pipe or a file.

    page: the parts of the page.
    file: the file to write, or None for stdout.
    """
    if file is not None:
        file.write_text(plain_page(page))
    elif is_terminal(sys.stdout):
        print_page(page, sys.stdout)
    else:
        sys.stdout.write(plain_page(page))


def _page(result: Estimate | Comparison, explain: bool, plot: bool) -> list[Block]:
    if isinstance(result, Estimate):
        from costcalc.show.table import estimate_page

        page = estimate_page(result)
    else:
        from costcalc.show.comparison import comparison_page

        page = comparison_page(result)
    return page
