"""Results on the screen or in a file, in the form asked for; files are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from costcalc.errors import CostcalcError, shown
from costcalc.predict.quantities import BreakEven, Comparison, Estimate
from costcalc.report.page import Block, Line, is_terminal, plain_page, print_page

if TYPE_CHECKING:
    from costcalc.explore.compare import Curves
    from costcalc.explore.sweep import Sweep

    Result = Estimate | Comparison | BreakEven | Sweep


class NewFile:
    """A file that appears under its name when it is complete."""

    def __init__(self, path: Path, draft: Path) -> None:
        self.path = path
        self.draft = draft

    def write_text(self, text: str) -> None:
        """Write the whole content, in UTF-8."""
        self.write_bytes(text.encode())

    def write_bytes(self, content: bytes) -> None:
        """Write the whole content."""
        self.draft.write_bytes(content)


@contextmanager
def new_file(name: str | None, option: str) -> Iterator[NewFile | None]:
    """Open a file that replaces the one of its name when the work inside succeeds.

    name: the file, or None for no file.
    option: the option that named it, for errors.
    Raises CostcalcError when it cannot be written, before the work begins.
    """
    if name is None:
        yield None
        return
    try:
        path = Path(name).expanduser()
        draft = _draft(path)
    except CostcalcError as error:
        raise CostcalcError(error.message, where=option, hint=error.hint) from None
    except (OSError, ValueError, RuntimeError) as error:
        raise CostcalcError(f"cannot write {shown(name)}: {_reason(error)}", where=option) from None
    try:
        yield NewFile(path, draft)
        try:
            draft.replace(path)
        except OSError as error:
            raise CostcalcError(f"cannot write {shown(name)}: {_reason(error)}", where=option) from None
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()


def _draft(path: Path) -> Path:
    """Create an empty file beside the one to write, which proves that the folder takes files."""
    if not path.name or path.is_dir():
        raise CostcalcError(f"{shown(str(path))} is a folder", hint="name a file in it")
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise CostcalcError(f"{shown(str(path))} is not a plain file", hint="write to stdout instead")
    if path.exists() and not os.access(path, os.W_OK):
        raise CostcalcError(f"cannot write {shown(str(path))}: permission denied")
    if not path.parent.is_dir():
        raise CostcalcError(f"there is no folder {shown(str(path.parent))}", hint="create it first")
    draft = path.with_name(f".{path.name[:40]}.{os.urandom(6).hex()}{path.suffix[:8]}")
    # Like open(), this leaves the mode of a new file to the umask.
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    if path.exists():
        with contextlib.suppress(OSError):
            draft.chmod(stat.S_IMODE(path.stat().st_mode))
    return draft


def _reason(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


# One result in the form that was asked for, on the screen or in a file.


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

    form: 'table', 'json', 'csv' or 'markdown'.
    file: the file to write, or None for stdout.
    explain: whether a table is followed by the formulas behind it.
    plot: whether a table is followed by bars and lines.
    """
    if form in ("json", "csv"):
        from costcalc.report.export import exported

        write(exported(result, form), file)
    else:
        show_page(_page(result, explain, plot, curves), form, file)


def show_page(page: list[Block], form: str = "table", file: NewFile | None = None) -> None:
    """Show a page on the terminal, or write it as text.

    form: 'table' or 'markdown'.
    file: the file to write, or None for stdout.
    """
    while page and page[-1] == Line():
        page = page[:-1]
    if form == "markdown":
        from costcalc.report.page import markdown_page

        write(markdown_page(page), file)
    elif file is None and is_terminal(sys.stdout):
        print_page(page, sys.stdout)
    else:
        write(plain_page(page), file)


def write(text: str, file: NewFile | None = None) -> None:
    """Write text to a file, or to stdout.

    file: the file, or None.
    """
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text)


def _page(result: Result, explain: bool, plot: bool, curves: Curves | None) -> list[Block]:
    page = page_of(result)
    if plot:
        from costcalc.report.charts.terminal import plots

        page += plots(result, curves)
    if explain:
        from costcalc.report.estimate import explanation

        page += explanation(result.estimate if isinstance(result, BreakEven) else result)
    return page


def page_of(result: Result) -> list[Block]:
    """Return a result as the page of its kind."""
    if isinstance(result, Comparison):
        from costcalc.report.comparison import comparison_page

        return comparison_page(result)
    if isinstance(result, BreakEven):
        from costcalc.report.breakeven import breakeven_page

        return breakeven_page(result)
    if isinstance(result, Estimate):
        from costcalc.report.estimate import estimate_page

        return estimate_page(result)
    from costcalc.report.sweep import sweep_page

    return sweep_page(result)


def present_list(rows: Sequence[dict[str, Any]], page: list[Block], form: str, file: NewFile | None = None) -> None:
    """Show a list: as the page made of it, as JSON or as CSV.

    form: 'table', 'json', 'csv' or 'markdown'.
    file: the file to write, or None for stdout.
    """
    if form in ("json", "csv"):
        from costcalc.report.export import as_csv, as_json

        write(as_json(list(rows)) if form == "json" else as_csv(list(rows)), file)
    else:
        show_page(page, form, file)


def present_card(
    tree: dict[str, Any], row: dict[str, Any], page: list[Block], form: str, file: NewFile | None = None
) -> None:
    """Show one entry of the catalog.

    form: 'table', 'json', 'csv' or 'markdown'.
    file: the file to write, or None for stdout.
    """
    if form == "json":
        from costcalc.report.export import as_json

        write(as_json(tree), file)
    else:
        present_list([row], page, form, file)
