"""One result in the form that was asked for, on the screen or in a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from costcalc.explore.result import BreakEven, Comparison, Estimate
from costcalc.explore.swept import Sweep
from costcalc.show.blocks import Block
from costcalc.show.files import NewFile
from costcalc.show.plain import plain_page
from costcalc.show.terminal import is_terminal, print_page

if TYPE_CHECKING:
    from costcalc.explore.curves import Curves

Result = Estimate | Comparison | BreakEven | Sweep


def present(
    result: Result,
    form: str,
    file: NewFile | None = None,
    *,
    explain: bool = False,
    plot: bool = False,
    curves: Curves | None = None,
) -> None:
    """Show a result.

    result: an estimate, a comparison, a break-even or a sweep.
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


def _page(result: Result, explain: bool, plot: bool, curves: Curves | None) -> list[Block]:
    shown = result
    if isinstance(result, Comparison):
        from costcalc.show.comparison import comparison_page

        page = comparison_page(result)
    elif isinstance(result, BreakEven):
        from costcalc.show.breakeven import breakeven_page

        page, result = breakeven_page(result), result.estimate
    elif isinstance(result, Sweep):
        from costcalc.show.sweep import sweep_page

        page = sweep_page(result)
    else:
        from costcalc.show.table import estimate_page

        page = estimate_page(result)
    if plot:
        from costcalc.show.plot import plots

        page += plots(shown, curves)
    if explain:
        from costcalc.show.explain import explanation

        page += explanation(result)
    return page


def present_list(rows: Sequence[dict[str, Any]], page: list[Block], form: str, file: NewFile | None = None) -> None:
    """Show a list: as the page made of it, as JSON or as CSV.

    rows: the entries as plain dictionaries.
    page: the list as a page.
    form: 'table', 'json', 'csv' or 'markdown'.
    file: the file to write, or None for stdout.
    """
    if form in ("json", "csv"):
        from costcalc.show.export import as_csv, as_json

        write(as_json(list(rows)) if form == "json" else as_csv(list(rows)), file)
    else:
        show_page(page, form, file)


def present_card(
    tree: dict[str, Any], row: dict[str, Any], page: list[Block], form: str, file: NewFile | None = None
) -> None:
    """Show one entry of the catalog.

    tree: all of it, for JSON.
    row: its facts in one line, for CSV.
    page: the entry as a page.
    form: 'table', 'json', 'csv' or 'markdown'.
    file: the file to write, or None for stdout.
    """
    if form == "json":
        from costcalc.show.export import as_json

        write(as_json(tree), file)
    else:
        present_list([row], page, form, file)
