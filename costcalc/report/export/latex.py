"""Pages as LaTeX for a paper: a float for each table, with caption, label and notes; needs the package booktabs."""

from __future__ import annotations

import re
import shlex
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from math import ceil

from costcalc.fields import Record
from costcalc.report.page import (
    DASH,
    LEAST_WRAPPED,
    MARK,
    Block,
    Command,
    Grid,
    has_head,
    safe,
    tables_of,
    text_lines,
    width_of,
)

WIDTH = 80
"""Columns of text that an article's 345 pt hold in footnotesize; what is wider goes on in another table."""
LINES = 44
"""Lines of footnotesize that a float holds beside its caption: an article's 550 pt have 57 of 9.5 pt."""
RAGGED = 0.75
"""Share of a line that text broken between long words fills."""


class Table(Record):
    """A table of a page: its grid, its caption, its label, and the sentences that belong below it."""

    grid: Grid
    caption: str
    label: str
    notes: list[str]


def latex_page(blocks: Iterable[Block]) -> str:
    """Return a page as LaTeX to \\input, which ends in a line break.

    Every table is a float, which goes where the class puts it, and what is said of it stands below it as notes.
    Commands, which no paper prints, are comments; bars of a terminal are left out.
    """
    comments, tables, rest = _read(blocks)
    lines, names = ["% needs \\usepackage{booktabs}", *comments], set[str]()
    for table in tables:
        lines += ["", *_floats(table, names)]
    return "\n".join([*lines, *_below(rest)]) + "\n"


def _read(blocks: Iterable[Block]) -> tuple[list[str], list[Table], list[str]]:
    """The commands of a page, its tables, and its sentences where it has none."""
    comments, tables, held = list[str](), list[Table](), list[str]()
    asked = title = heading = ""
    begins = True  # no table yet under this title, whose first one has what is said before it
    for block in safe(blocks):
        if isinstance(block, Command):
            asked = asked or (_question(block.text) if begins else "")
            comments += [f"% {line}" for line in text_lines(block)]
        elif isinstance(block, Grid) and any(column.role != "dim" for column in block.columns):
            # The first table is the answer; what headings with numbers are of changes with the question.
            of = re.split(r"[:,] | \(", heading)[0]
            told = "" if begins or re.search(r"\d", of) else _slug(of)
            label = "-".join(filter(None, (asked or _slug(title), told)))
            tables.append(Table(block, ". ".join(filter(None, (title, heading))), label, held))
            held, heading, begins = [], "", False
        elif isinstance(block, Grid):  # a list of footnotes, in words
            said = held if begins or heading else tables[-1].notes
            told = "; ".join(" ".join(row[:2]) for row in block.rows)
            said.append(f"{said.pop() if said and said[-1].endswith(':') else ''} {told}.".lstrip())
        elif block.role in ("title", "heading"):
            if held and not begins:  # a section without a table
                tables[-1].notes.extend(held)
                held = []
            if block.role == "title":
                asked, title, heading, begins = asked if begins else "", block.text, "", True
            else:
                heading = block.text
        elif block.text.strip() and not block.drawn:
            under = f"{heading}: " if heading and not begins and not held and heading != "Notes" else ""
            (held if begins or heading else tables[-1].notes).append(f"{under}{block.text.strip()}")
    if tables:
        tables[-1].notes.extend(held)
        held = []
    return comments, tables, held


_OF_THE_ANSWER = {
    "-f", "--format", "-o", "--output-file", "--chart", "--chart-kind", "--chart-theme", "--catalog", "--fail-above",
    "--currency",
}  # fmt: skip
"""Options with a value that change what an answer looks like, and not what is asked."""
_OF_THE_PAGE = {"-v", "--verbose", "--brief", "--explain", "--plot"}
"""Options without one that do."""


def _question(command: str) -> str:
    """A label of what a command asks, which stays while its answer changes: its names, and a number of its options."""
    words = shlex.split(command)[1:]
    names, options = list[str](), list[str]()
    before = ""
    for word in words:
        if word.startswith("-") and " " not in word:
            before, _, value = word.partition("=")
            if not value and before not in {*_OF_THE_PAGE, *_OF_THE_ANSWER, *_NAMING, "--output"}:
                options.append(before)
            if not value:
                continue
            word = value
        if before in _NAMING or not before:
            names.append(word)
        elif before == "--output" and not word.endswith(".tex"):
            options.append(f"{before} {word}")
        elif before not in {*_OF_THE_ANSWER, "--output"}:
            options.append(f"{options.pop() if options and options[-1] == before else before} {word}")
        before = ""
    told = _slug(" ".join(names))
    return f"{told}-{zlib.crc32(' '.join(sorted(options)).encode()) % 0x1000:03x}" if options else told


_NAMING = {"-m", "--model", "-g", "--gpu"}


MOST_LETTERS = 48
"""Of a label, which authors type."""


def _slug(text: str) -> str:
    """Text as a part of a label: 'compare-attention-v3-h100'; what is longer ends in a number of its own."""
    told = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-.")
    return told if len(told) <= MOST_LETTERS else f"{told[:MOST_LETTERS]}-{zlib.crc32(told.encode()) % 10**4:04d}"


def _floats(table: Table, names: set[str]) -> Iterator[str]:
    """The floats of a table: one, or several where it is too wide or too long, whose notes stand at the last."""
    drawn = [at for at, column in enumerate(table.grid.columns) if not column.drawing]
    rows = [[row[at] for at in drawn] for row in table.grid.rows]
    grid = replace(table.grid, columns=[table.grid.columns[at] for at in drawn], rows=rows)
    parts = [(part, chunk) for part in tables_of(grid, WIDTH) for chunk in _chunks(grid, part)]
    labels = [_named(table.label, names) for _ in parts]
    noted = sum(ceil(len(each) / WIDTH) for each in table.notes)
    inside = noted + sum(_height(grid, parts[-1][0], row) for row in parts[-1][1]) <= LINES
    for number, ((part, chunk), label) in enumerate(zip(parts, labels, strict=True)):
        last = number == len(parts) - 1
        yield from (r"\begin{table}", r"  \centering\footnotesize\setlength{\tabcolsep}{4pt}")
        if table.caption:
            yield rf"  \caption{{{_latex(table.caption)}{' (continued)' if number else ''}}}"
        yield from (rf"  \label{{tab:{label}}}", r"  \par\smallskip")
        yield from _tabular(grid, part, chunk)
        if table.notes and inside:
            yield r"  \par\smallskip"
            yield r"  \begin{minipage}{\linewidth}\footnotesize\raggedright"
            yield from (f"    {_lines(each)}" for each in (table.notes if last else []))
            if not last:
                yield rf"    Notes: Table~\ref{{tab:{labels[-1]}}}.\par"
            yield r"  \end{minipage}"
        yield r"\end{table}"
    yield from _below([] if inside else table.notes)


def _below(notes: Sequence[str]) -> Iterator[str]:
    """Notes that no float holds, as text, which goes on over pages."""
    if notes:
        yield from ("", r"{\footnotesize\raggedright", *(rf"  \noindent {_lines(each)}" for each in notes), "}")


def _named(label: str, names: set[str]) -> str:
    """A label that no other table has."""
    found = next(each for number in count(1) if (each := f"{label}-{number}" if number > 1 else label) not in names)
    names.add(found)
    return found


def _tabular(grid: Grid, part: Sequence[int], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    broken = _broken(grid, part)
    sides = ("r" if grid.columns[at].right else "l" for at in part)
    widths = {at: rf"p{{{0.95 * share:.2f}\textwidth}}" for at, share in broken.items()}
    columns = "".join(widths.get(at, side) for at, side in zip(part, sides, strict=True))
    yield from (rf"  \begin{{tabular}}{{{columns}}}", r"    \toprule")
    if has_head(grid):
        yield from (_row([_latex(grid.columns[at].title) for at in part]), r"    \midrule")
    for row in rows:
        yield _row([rf"\raggedright {_breaking(row[at])}" if at in broken else _latex(row[at]) for at in part])
    yield from (r"    \bottomrule", r"  \end{tabular}")


def _broken(grid: Grid, part: Sequence[int]) -> dict[int, float]:
    """The columns of a table whose text goes on in the next line, where it would not fit: their shares of the width."""
    wrapped = [at for at in part if grid.columns[at].wrap]
    taken = sum(width_of(grid, at) + 1 for at in part if at not in wrapped)
    if not wrapped or taken + sum(width_of(grid, at) for at in wrapped) <= WIDTH:
        return {}
    return dict.fromkeys(wrapped, max(WIDTH - taken, len(wrapped) * LEAST_WRAPPED) / len(wrapped) / WIDTH)


def _height(grid: Grid, part: Sequence[int], row: Sequence[str]) -> int:
    """The lines that a row takes."""
    return max([1, *(ceil(len(row[at]) / (RAGGED * share * WIDTH)) for at, share in _broken(grid, part).items())])


def _chunks(grid: Grid, part: Sequence[int]) -> list[list[Sequence[str]]]:
    """The rows of a table, so many together as a float holds."""
    chunks: list[list[Sequence[str]]] = [[]]
    filled = 0
    for row in grid.rows:
        height = _height(grid, part, row)
        if chunks[-1] and filled + height > LINES:
            chunks.append([])
            filled = 0
        chunks[-1].append(row)
        filled += height
    return chunks


def _lines(text: str) -> str:
    """Text of several lines, which ends a paragraph."""
    return _breaking(text) + r"\par"


def _breaking(text: str) -> str:
    """Text of several lines; addresses break behind their slashes."""
    return re.sub(r"\S{16,}", lambda word: word[0].replace("/", r"/\allowbreak{}"), _latex(text))


def _row(cells: Iterable[str]) -> str:
    # In a cell that is set ragged, two backslashes would end a line of it, and a paragraph leave an empty one.
    return rf"    {' & '.join(cells)} \tabularnewline"


_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$",
    "|": "$|$", "-": "-{}", "`": r"\textasciigrave{}", "[": "{[}", "]": "{]}", "*": "{*}", '"': "''",
    DASH: "--", "−": "$-$", "×": r"$\times$", "·": r"$\cdot$",
    "→": r"$\to$", "†": r"$\dagger$", "‡": r"$\ddagger$", MARK: r"$^\circ$", "²": "$^2$",
    "λ": r"$\lambda$", "Σ": r"$\Sigma$",
    "µ": r"$\mu$", "μ": r"$\mu$", "★": r"$\star$", "●": r"$\bullet$", "○": r"$\circ$",
    "≤": r"$\leq$", "≥": r"$\geq$", "≠": r"$\neq$", "≈": r"$\approx$", "√": r"$\surd$",
    "α": r"$\alpha$", "β": r"$\beta$", "φ": r"$\varphi$",
    "€": r"\texteuro{}", "£": r"\textsterling{}", "¥": r"\textyen{}", "₩": r"\textwon{}", "₹": "INR ",
}  # fmt: skip
_LATIN = "\u00c0-\u00cf\u00d1-\u00d6\u00d8-\u00dd\u00df-\u00ef\u00f1-\u00f6\u00f8-\u00fd\u00ff"
"""Letters that LaTeX, which reads UTF-8 since 2018, has in its first font encoding; others are told by their number."""
_LATEX_SIGNS = re.compile(rf"-(?=[-{DASH}])|[^\w\s!'()+,./:;=?@-]|_|[^\x00-\x7f{_LATIN}]")


def _latex(text: str) -> str:
    """Text as LaTeX sets it: no sign of it commands, joins another, or is taken for an option of a row."""

    def told(found: re.Match[str]) -> str:
        sign = _LATEX.get(found[0]) or f"U+{ord(found[0]):04X}"
        return f"{sign}{{}}" if found[0] == DASH and text[found.end() :].startswith(("-", DASH)) else sign

    return _LATEX_SIGNS.sub(told, text).strip()
