"""One result in the form that was asked for, on the screen or in a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from costcalc.explore.result import Comparison, Estimate
from costcalc.show.blocks import Block
from costcalc.show.files import NewFile
from costcalc.show.plain import plain_page
from costcalc.show.terminal import is_terminal, print_page

if TYPE_CHECKING:
    from costcalc.explore.curves import Curves


def present(
    result: Estimate | Comparison,
    form: str,
    file: NewFile | None = None,
    *,
    explain: bool = False,
    plot: bool = False,
    curves: Curves | None = None,
) -> None:
    """Show a result.

    result: an estimate or a comparison.
    form: 'table', 'json', 'csv' or 'markdown'.
    file: the file to write, or None for stdout.
    explain: whether a table is followed by the formulas behind it.
    plot: whether a table is followed by bars and lines.
    curves: the variants of a comparison over contexts, for the lines.
    """
    if form in ("json", "csv"):
        from costcalc.show.export import exported

        write(exported(result, form), file)
    else:
        show_page(_page(result, explain, plot, curves), form, file)


def show_page(page: list[Block], form: str = "table", file: NewFile | None = None) -> None:
    """Show a page on the terminal, or write it as text.

    page: the parts of the page.
    form: 'table' or 'markdown'.
    file: the file to write, or None for stdout.
    """
    if form == "markdown":
        from costcalc.show.markdown import markdown_page

        write(markdown_page(page), file)
    elif file is None and is_terminal(sys.stdout):
        print_page(page, sys.stdout)
    else:
        write(plain_page(page), file)


def write(text: str, file: NewFile | None = None) -> None:
    """Write text to a file, or to stdout.

    text: the text.
    file: the file, or None.
    """
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text)


def _page(result: Estimate | Comparison, explain: bool, plot: bool, curves: Curves | None) -> list[Block]:
    if isinstance(result, Estimate):
        from costcalc.show.table import estimate_page

        page = estimate_page(result)
    else:
        from costcalc.show.comparison import comparison_page

        page = comparison_page(result)
    if plot:
        from costcalc.show.plot import plots

        page += plots(result, curves)
    if explain:
        from costcalc.show.explain import explanation

        page += explanation(result)
    return page
