"""Results on the screen or in a file, as a page, JSON or CSV; files are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import math
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args, get_type_hints

from costcalc.catalog.yaml import READ, identity
from costcalc.errors import CostcalcError, escaped, shortened, shown, tell
from costcalc.fields import Record, Result
from costcalc.predict.results import BreakEven, Comparison, Estimate
from costcalc.replay.results import Simulation
from costcalc.report.page import (
    Block,
    Command,
    Depth,
    Line,
    at_depth,
    in_money,
    is_terminal,
    markdown_page,
    plain_page,
    print_page,
)
from costcalc.units import SHOWN_IN, Currency, format_bytes, shown_in

if TYPE_CHECKING:
    from costcalc.explore.attention import Curves


UNFINISHED: list[Path] = []
"""Drafts, and folders made for files that are not there yet: whatever ends the work takes them away, last first."""


FINISHED: list[NewFile] = []
"""Files that the command has written."""


def tell_files() -> None:
    """Tell on stderr what was written where; what is no terminal hears only of files that were replaced.

    Of files whose content was read to be kept, answers tell.
    """
    watched = False
    with contextlib.suppress(AttributeError, ValueError):  # whoever started the program may have closed it
        watched = is_terminal(sys.stderr)
    for file in FINISHED:
        name, replaced = shown(str(file.path), 200), file.before is not None
        if file.is_update:
            continue
        if watched:
            instead = ", in place of the one that was there" if replaced else ""
            size = format_bytes(float(file.path.stat().st_size), 3) if file.path.is_file() else "gone"
            tell(f"wrote {name}: {_CONTENT.get(file.path.suffix.lower(), 'text')}, {size}{instead}")
        elif replaced:
            tell(f"note: {name} was there before and is replaced")
    FINISHED.clear()


_CONTENT = {
    ".json": "JSON", ".jsonl": "JSON lines", ".csv": "CSV", ".parquet": "Parquet", ".md": "Markdown", ".tex": "LaTeX",
    ".html": "HTML", ".xlsx": "a workbook", ".yaml": "YAML", ".yml": "YAML", ".png": "a chart", ".svg": "a chart",
    ".pdf": "a chart",
}  # fmt: skip
"""What files have, by their endings."""


class NewFile:
    """A file that appears under its name when it is complete.

    option: the option that named it, for errors. is_update: whether what the file says was read to be kept.
    """

    def __init__(self, name: str, option: str, *, is_update: bool = False) -> None:
        self.option = option
        self.is_update = is_update
        with self.told(name):
            self.path = Path(name).expanduser()
            self.before = _checked(self.path)
            # Whole, so that it is found again wherever a library is while a signal comes.
            folder = Path(os.path.abspath(self.path.parent))  # noqa: PTH100 - keeps links as they are named
            self.draft = folder / f".{self.path.name[:40]}.{os.urandom(6).hex()}{self.path.suffix[:8]}"
            UNFINISHED.append(self.draft)
            # Like open(), this leaves the mode of a new file to the umask.
            mode = 0o666 if self.before is None else stat.S_IMODE(self.before.st_mode)
            os.close(os.open(self.draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
            if self.before is not None:
                with contextlib.suppress(OSError):
                    self.draft.chmod(mode)

    def write_text(self, text: str) -> None:
        """Write the whole content, in UTF-8."""
        self.write_bytes(text.encode())

    def write_bytes(self, content: bytes) -> None:
        """Write the whole content; raises CostcalcError where the file was read for what is written."""
        with self.opened() as stream:
            stream.write(content)

    @contextmanager
    def opened(self) -> Iterator[Stream]:
        """Write the content part by part; raises CostcalcError where the file was read for what is written."""
        if not self.is_update and self.before is not None and identity(self.before) in READ:
            what = f"{shown(str(self.path))} is read for this answer"
            raise CostcalcError(what, where=self.option, hint="name another file")
        with self.told(str(self.path)):
            file = self.draft.open("wb")
        try:
            yield Stream(self, file)
        finally:
            with self.told(str(self.path)):
                file.close()

    def finish(self) -> None:
        """Put the file in its place."""
        with self.told(str(self.path)):
            self.draft.replace(self.path)
        FINISHED.append(self)

    @contextmanager
    def told(self, name: str) -> Iterator[None]:
        """Errors of the system as those of the option."""
        try:
            yield
        except CostcalcError as error:
            raise CostcalcError(error.message, where=self.option, hint=error.hint) from None
        except (OSError, ValueError, RuntimeError) as error:
            text = getattr(error, "strerror", None) or str(error)
            reason = text[:1].lower() + text[1:]
            raise CostcalcError(f"cannot write {shown(name)}: {reason}", where=self.option) from None


class Stream(io.RawIOBase):
    """Bytes that go to a new file, whose errors are those of its option."""

    def __init__(self, of: NewFile, file: BinaryIO) -> None:
        self._of, self._file = of, file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        """Write bytes; raises CostcalcError where the system does not take them."""
        with self._of.told(str(self._of.path)):
            return self._file.write(content)


@contextmanager
def new_file(name: str | None, option: str, *, is_update: bool = False) -> Iterator[NewFile | None]:
    """Open a file that replaces the one of its name when the work inside succeeds.

    name: the file, or None for no file. option: the option that named it, for errors.
    is_update: whether what the file says was read to be kept.
    Raises CostcalcError when it cannot be written, before the work begins.
    """
    if name is None:
        yield None
        return
    with contextlib.nullcontext() if _TOGETHER else unfinished():  # else they are those of all questions
        file = NewFile(name, option, is_update=is_update)
        yield file
        _TOGETHER[-1].finish(file) if _TOGETHER else file.finish()


@contextmanager
def unfinished() -> Iterator[None]:
    """Take away the drafts and the empty folders that the work inside leaves, however it ends."""
    kept = len(UNFINISHED)
    try:
        yield
    finally:
        discard(kept)


def discard(kept: int = 0) -> None:
    """Take away drafts and folders that are still empty, but for the first ones."""
    while len(UNFINISHED) > kept:
        path = UNFINISHED[-1]
        with contextlib.suppress(OSError, ValueError):
            path.rmdir() if path.is_dir() else path.unlink()
        UNFINISHED.pop()


def new_folder(folder: Path, option: str) -> None:
    """Make a folder, and those above it, which stay where files in them are finished.

    option: the option that named it, for errors. Raises CostcalcError where it cannot be made.
    """
    try:
        whole = Path(os.path.abspath(folder))  # noqa: PTH100 - keeps links as they are named
        missing = [each for each in (whole, *whole.parents) if not each.exists()]
        for each in reversed(missing):
            UNFINISHED.append(each)
            each.mkdir(exist_ok=True)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CostcalcError(f"cannot make the folder {shown(str(folder))}: {reason}", where=option) from None


def _checked(path: Path) -> os.stat_result | None:
    """What is there of a file to write, or None; raises CostcalcError where a file cannot take its place."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.lstat()  # raises for a name that no file can have, of which Path.exists() says that it is not there
    if not path.name or path.is_dir():
        raise CostcalcError(f"{shown(str(path))} is a folder", hint="name a file in it")
    if path.is_symlink():
        hint = f"name what it leads to: {shortened(os.path.realpath(path), 200)}"
        raise CostcalcError(f"{shown(str(path))} is a link", hint=hint)
    if not path.parent.is_dir():
        raise CostcalcError(f"there is no folder {shown(str(path.parent))}", hint="create it first")
    if not path.exists():
        return None
    if not stat.S_ISREG(path.stat().st_mode):
        raise CostcalcError(f"{shown(str(path))} is not a plain file", hint="write to stdout instead")
    if not os.access(path, os.W_OK):
        raise CostcalcError(f"cannot write {shown(str(path))}: permission denied")
    return path.stat()


# An answer in the form that was asked for, on the screen or in a file.


class Answer(Record):
    """An answer before it is shown: its form, and itself as a page, as JSON has it and as CSV has it.

    Its page is made when all of several questions are answered, in the money of its own.
    """

    form: str
    page: Callable[[], list[Block]]
    tree: Callable[[], Any]
    rows: Callable[[], list[dict[str, Any]]]
    command: str  # that asks for it
    money: Currency

    def paid(self, told: bool = True) -> list[Block]:
        """Return the page in its currency, with what that is worth where it is `told`."""
        with shown_in(self.money):
            page = in_money(self.page(), told)
        # LaTeX stands far from where it was asked for.
        return [Command(self.command), *page] if self.command and self.form == "latex" else page


class Together:
    """What several questions show on the screen, and the files that they write: all of it, or nothing."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.files: list[NewFile] = []

    def finish(self, file: NewFile) -> None:
        """Put a file into its place when all are complete; raises CostcalcError where another has that place."""
        if any(each.path.resolve() == file.path.resolve() for each in self.files):
            what = f"{shown(str(file.path))} is written twice"
            raise CostcalcError(what, where=file.option, hint="name a file for each question")
        self.files.append(file)


_TOGETHER: list[Together] = []
"""The one that is being collected, if any."""


@contextmanager
def together() -> Iterator[Together]:
    """Collect what is shown inside instead of showing it; files appear when the work inside succeeds."""
    with unfinished():
        _TOGETHER.append(Together())
        try:
            yield _TOGETHER[-1]
        finally:
            found = _TOGETHER.pop()
        for file in found.files:
            file.finish()


def show(
    form: str,
    file: NewFile | None,
    page: Callable[[], list[Block]],
    tree: Callable[[], Any],
    rows: Callable[[], list[dict[str, Any]]] | None = None,
    command: str = "",
) -> None:
    """Show an answer in the form asked for.

    form: 'table', 'json', 'csv', 'markdown' or 'latex'.
    file: the file to write, or None for stdout.
    page, tree, rows: return it as a page, as JSON has it and as CSV has it; without rows, the tree is a list of them.
    command: that asks for it.
    """
    answer = Answer(form, page, tree, rows or tree, command, SHOWN_IN.get())
    if _TOGETHER and file is None:
        _TOGETHER[-1].answers.append(answer)
    elif form == "json":
        write(as_json(tree()), file)
    elif form == "csv":
        write(as_csv(answer.rows()), file)
    else:
        _show_page(answer.paid(), form, file)


def _show_page(page: list[Block], form: str, file: NewFile | None) -> None:
    while page and page[-1] == Line():
        page = page[:-1]
    if form == "markdown":
        write(markdown_page(page), file)
    elif form == "latex":
        from costcalc.report.export.latex import latex_page

        write(latex_page(page), file)
    elif file is None and is_terminal(sys.stdout):
        print_page(page, sys.stdout)
    else:
        write(plain_page(page), file)


def write(text: str, file: NewFile | None = None) -> None:
    """Write text to a file, or to stdout where there is none."""
    if file is None:
        sys.stdout.write(text)
    else:
        file.write_text(text)


def whole_page(
    result: Result, explain: bool = False, plot: bool = False, curves: Curves | None = None, depth: Depth = "usual"
) -> list[Block]:
    """Return a result as a page, with bars and lines to `plot`, and the formulas behind it to `explain`."""
    page = at_depth(page_of(result), depth)
    if plot:
        from costcalc.report.charts.terminal import plots

        page += plots(result, curves)
    told: Any = getattr(result, "estimate", result)
    # Other results have no formulas of their own: their commands refuse to explain, or tell where to ask.
    if explain and type(told).__name__ in ("Estimate", "Comparison", "Sweep"):
        from costcalc.report.explanation import explanation

        page += explanation(told)
    return page


PAGES = {
    "BreakEven": "money.breakeven:breakeven_page",
    "Capacity": "capacity:capacity_page",
    "Comparison": "comparison:comparison_page",
    "Diff": "diff:diff_page",
    "Estimate": "estimate:estimate_page",
    "Frontier": "frontier:frontier_page",
    "Listing": "catalog:list_page",
    "Plan": "plan:plan_page",
    "Priced": "money.price:price_page",
    "Sensitivity": "money.sensitivity:sensitivity_page",
    "Simulation": "simulation:simulation_page",
    "Sweep": "sweep:sweep_page",
    "Training": "money.train:train_page",
}
"""The page of each kind of result, in costcalc.report, imported when it is shown."""


def page_of(result: Result) -> list[Block]:
    """Return a result as the page of its kind."""
    from importlib import import_module

    module, _, name = PAGES[type(result).__name__].partition(":")
    page: list[Block] = getattr(import_module(f"costcalc.report.{module}"), name)(result)
    return page


# Results for other programs: JSON by the contract, CSV with dotted columns.


_PROSE = frozenset({"assumptions", "notes", "note", "explanation", "title", "timeline"})
"""Branches that are sentences or curves for people: JSON keeps them, CSV leaves them out."""
_ROWS = ("rows", "points", "influences", "fleets", "changes")
"""Branches with a row for each of what was compared."""
_LISTS = ("breakdown.", "market.")
"""Branches that are as long as a model has ops or list prices: their columns come last."""
_NAMING = ("variant", "against", "usd_per_month", "left_usd_per_month", "bits_per_weight")
"""What a row is about, which comes first."""


def narrow(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows of CSV with the columns alone that tables show, and without those that nothing is known of."""
    from costcalc.report.comparison import shown_columns

    shown_too = shown_columns()
    kept = [name for name in dict.fromkeys(key for row in rows for key in row) if name in shown_too]
    kept = [name for name in kept if any(row.get(name) is not None for row in rows)]
    return [{name: row.get(name) for name in kept} for row in rows]


def csv_rows(result: Result) -> list[dict[str, Any]]:
    """Return the rows of a result as CSV has them, with dotted names."""
    tree = result.to_dict()
    if isinstance(result, Simulation) and result.loads:
        return [dict(flattened(row)) for row in tree["loads"]]
    tree.pop("runs", None)  # other people's, behind the share that a training run reaches
    rows = [dict(flattened(row)) for row in next((tree[name] for name in _ROWS if name in tree), [tree])]
    whole = isinstance(result, Estimate | Comparison | BreakEven) or "question" in tree
    return [_steady(row) for row in rows] if whole else rows


def _steady(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose columns are the same for every model and GPU, known or not, before those that its own lists add."""
    known = steady_columns(Estimate)
    own = [name for name in row if name.startswith(_LISTS)]
    others = [name for name in row if name not in own and not any(path.startswith(f"{name}.") for path in known)]
    first = [name for name in others if name in _NAMING]
    order = dict.fromkeys([*first, *known, *others, *own])
    return {name: row.get(name) for name in order}


def steady_columns(kind: type[Any], path: str = "") -> list[str]:
    """Return the columns that every result of a kind has, whatever its model: all but sentences and lists.

    kind: the type of the result. path: what stands before the names.
    """
    columns = []
    hints = get_type_hints(kind)
    for field in fields(kind):
        where = f"{path}.{field.name}" if path else field.name
        part = next((each for each in (hints[field.name], *get_args(hints[field.name])) if is_dataclass(each)), None)
        if field.name in _PROSE or f"{where}." in _LISTS:
            continue
        if field.name.endswith("_range"):
            columns += [f"{where}.low", f"{where}.high"]
        elif isinstance(part, type):
            columns += steady_columns(part, where)
        else:
            columns.append(where)
    return columns


def as_json(tree: Any) -> str:
    """Return a tree as JSON; numbers that are not finite become null, which JSON has."""
    import json

    return json.dumps(_finite(tree), indent=2, allow_nan=False) + "\n"


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return rows as CSV, one column for every key that any row has; what is unknown stays empty."""
    import csv

    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(map(csv_cell, columns))
    writer.writerows([csv_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def flattened(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a result tree as dotted names and values: 'decode.step_time_s_range.low', 'breakdown.LM head.time_s'."""
    for name, value in tree.items():
        where = f"{path}.{name}" if path else name
        if name in _PROSE:
            continue
        if name.endswith("_range"):
            yield from ((f"{where}.low", value[0]), (f"{where}.high", value[1]))
        elif isinstance(value, Mapping):
            yield from flattened(value, where)
        elif isinstance(value, list) and value and all(isinstance(item, str) for item in value):
            yield where, " ".join(value)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    key = item.get("op") or item.get("kind") or index
                    yield from flattened({k: v for k, v in item.items() if k not in ("op", "kind")}, f"{where}.{key}")
                else:
                    yield f"{where}.{index}", item
        else:
            yield where, value


def csv_cell(value: Any) -> Any:
    """Return a value as CSV has it: what is not known is empty, and no text is a formula."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return cell_text(value) if isinstance(value, str) else "" if value is None else value


FORMULAS = "=+-@\uff1d\uff0b\uff0d\uff20"
"""What begins a formula in a spreadsheet, also in full width."""
_OPTION = re.compile(r"--[a-z]+(-[a-z]+)*( [\w ./,-]*)?", re.ASCII)
"""An option with a value, which is all names and numbers: it calls no function, and names no program or other file."""


def cell_text(text: str) -> str:
    """Return text as a cell of CSV holds it: escaped, and no spreadsheet takes it for a formula.

    Source: OWASP, "CSV Injection".
    """
    return f"'{escaped(text)}" if is_formula(text) else escaped(text)


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet would take text for a formula; numbers and options ('--ttft 3s') are none."""
    cell = escaped(text)
    begins = cell.lstrip()[:1]
    if not begins or begins not in FORMULAS or len(cell) == 1:
        return False
    return not _is_number(cell) and not _OPTION.fullmatch(cell)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _finite(tree: Any) -> Any:
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else None
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(item) for item in tree]
    return tree
