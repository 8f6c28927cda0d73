"""What Python sessions and notebooks show: pages, rows, data frames and charts of answers, and options of functions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from inspect import Parameter, cleandoc, signature
from os import PathLike, fspath
from pathlib import Path
from textwrap import wrap
from typing import Any

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.fields import Result
from costcalc.predict.options import OPTIONS, SWEPT, Options, by_keyword
from costcalc.predict.readers import split

# Answers: methods of `Result` in costcalc/fields.py.


class Drawing(bytes):
    """A chart as the content of a file, which a notebook shows."""

    suffix: str

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        """The picture in the form that it has, as wide as its cell; a PDF is none that notebooks show."""
        if self.suffix == ".svg":
            # At its own size it would be cut: notebooks set it in a box of their width.
            fitting = r'width="100%" style="max-width:\1"'
            return {"image/svg+xml": re.sub(r'width="([\d.]+pt)" height="[\d.]+pt"', fitting, self.decode(), count=1)}
        if self.suffix == ".png":
            return {"image/png": bytes(self)}
        return {"text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<chart in {self.suffix}: {len(self):,} bytes>"


def html(result: Result) -> str:
    """Return an answer as the page that the command line shows, in HTML."""
    from costcalc.report.export.files import page_of
    from costcalc.report.html.blocks import html_page

    return html_page(page_of(result))


def rows(result: Result) -> list[dict[str, Any]]:
    """Return the rows of an answer as CSV has them."""
    from costcalc.report.export.files import csv_rows

    return csv_rows(result)


def frame(result: Result) -> Any:
    """Return the rows of an answer as a DataFrame; raises CostcalcError where pandas is not installed."""
    try:
        import pandas
    except ImportError:
        hint = "pip install 'costcalc[frame]'; to_rows() works without"
        raise CostcalcError("a data frame needs the package pandas, which is not installed", hint=hint) from None
    return pandas.DataFrame(result.to_rows())


def chart(
    result: Result, path: str | PathLike[str] | None = None, kinds: str | Iterable[str] = (), theme: str = "light"
) -> Drawing:
    """Return the chart of an answer, and write it to a file where one is named; as `Result.chart`."""
    from costcalc.report.charts import THEMES, drawn, panels_of
    from costcalc.report.export.files import new_file

    if theme not in THEMES:
        raise CostcalcError(f"{shown(theme)} is unknown", where="theme", hint=f"one of: {', '.join(THEMES)}")
    wanted, known = tuple(split(kinds) if isinstance(kinds, str) else kinds), panels_of(result)
    for each in wanted if known else ():
        if each not in known:
            hint = did_you_mean(str(each), known) or f"one of: {', '.join(known)}"
            raise CostcalcError(f"{shown(each)} is unknown", where="kinds", hint=hint)
    file = None if path is None else fspath(path)
    suffix = ".svg" if file is None else Path(file).suffix.lower()
    if suffix not in (".svg", ".png", ".pdf"):
        raise CostcalcError(f"{shown(file)} has an unknown ending", where="path", hint="end it in .svg, .png or .pdf")
    with new_file(file, "path") as written:
        drawing = Drawing(drawn(result, suffix, wanted, theme=theme))
        drawing.suffix = suffix
        if written is not None:
            written.write_bytes(drawing)
    return drawing


# Functions: what `costcalc.estimate?`, help() and Tab tell of their options.


_SEVERAL = {"sweep", "sweep_chunks", "frontier"}
"""Functions that take several values of an option, as in [1, 8, 64] or '1:256:x2'."""


def describe(function: Any) -> None:
    """Give a function that takes options by keyword a signature and a docstring that have all of them.

    What it does with them stays as it is: what is left out is chosen, and unknown names are refused.
    """
    own = signature(function)
    parameters = list(own.parameters.values())
    if not parameters or parameters[-1].kind is not Parameter.VAR_KEYWORD or parameters[-1].name != "options":
        return
    rows = {**OPTIONS, **(SWEPT if function.__name__ in ("sweep", "sweep_chunks") else {})}
    rows = {name: row for name, row in rows.items() if name not in own.parameters}
    several = " | Sequence[Any]" if function.__name__ in _SEVERAL else ""
    hints = Options.__annotations__
    options = []
    for name in rows:
        # What is typed as text is read as on the command line; a float may be whole.
        hint = "float" if name not in hints else str(hints[name]).removesuffix(" | None")
        text = "" if "str" in hint or hint == "bool" or hint[0].isupper() else " | str"
        default = Options.__dataclass_fields__[name].default if name in hints else None
        optional = "" if default is not None else " | None"
        options.append(
            Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=hint + text + several + optional)
        )
    function.__signature__ = own.replace(parameters=[*parameters[:-1], *options])
    told = [f"{name}: {_in_python(row.help)}" for name, row in rows.items()]
    lines = [line for each in told for line in wrap(each, 110, subsequent_indent="    ")]
    function.__doc__ = "\n".join([cleandoc(function.__doc__ or ""), "", "Options:", *(f"    {line}" for line in lines)])


def _in_python(text: str) -> str:
    return by_keyword(text).replace(": {backends}; default", ", as in `costcalc estimate --help`; default")
