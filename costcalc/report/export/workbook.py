"""The report of a deployment as a workbook: money is formulas of price, use and rate, and of what the engine says.

openpyxl is imported here alone, when a workbook is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from math import ceil, floor, log10
from typing import Any

from costcalc.errors import CostcalcError, escaped
from costcalc.explore.overview import TOLD, Overview, fleet_of
from costcalc.fields import Result
from costcalc.predict.quantities import SIDES
from costcalc.predict.results import HOURS_OF_A_MONTH, Estimate
from costcalc.report.export.files import csv_cell, csv_rows, is_formula
from costcalc.report.market import newest
from costcalc.report.page import quantity
from costcalc.report.verdict import verdict
from costcalc.units import DOLLARS, SHOWN_IN, format_rate, in_currency

HOUR = "Inputs!$B$8"
"""The cell of what an hour in which a GPU works costs: price over use."""
_CELL, _FITS = "Inputs!$B$9", "Inputs!$B$10"
_MONEY = "cost."
_FORMATS = {
    "money": "[>=1]#,##0.00;[>=0.01]0.0000;0.000000", "%": "0%", "s": "[>=10]#,##0.0;0.0000",
    "tokens/s": "[>=100]#,##0;0.00",
}  # fmt: skip
"""How a spreadsheet shows a number of a unit; other numbers are whole."""


def report_xlsx(found: Overview, command: str, version: str) -> bytes:
    """Return a report as the content of a workbook; money is in the currency shown, in sheets as of CSV US dollars.

    command: that made it, as typed. version: of costcalc.
    Raises CostcalcError where openpyxl is not installed.
    """
    try:
        from openpyxl import Workbook
    except ImportError:
        hint = "pip install 'costcalc[xlsx]', or end the file in .html"
        raise CostcalcError("a workbook needs openpyxl, which is not installed", hint=hint) from None
    book: Any = Workbook()
    book.remove(book.active)
    book.calculation.fullCalcOnLoad = True
    _inputs(book, found, f"costcalc {version}; {command}")
    _dollars(book, found)
    _cells(book, found)
    _formulas(book, found.estimate)
    _assumptions(book, found.estimate)
    for name, answer in (("Attention", found.attention), ("Frontier", found.frontier)):
        if isinstance(answer, Result):
            _rows(book, name, csv_rows(answer))
        else:
            _table(book, name, ["not asked"], [[str(answer)]])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


class Formula(str):
    """Text that a spreadsheet is to compute; any other text is text."""


def _table(
    book: Any, name: str, titles: Sequence[str], rows: Iterable[Sequence[Any]], widths: Sequence[int] = ()
) -> Any:
    """A sheet with a bold head; no text in it is a formula but those made here.

    widths: of the columns [characters], in which text is broken; a sheet without them is for computing.
    """
    from openpyxl.styles import Alignment, Font

    sheet = book.create_sheet(name)
    for number, row in enumerate([titles, *rows], start=1):
        for at, value in enumerate(row, start=1):
            cell = sheet.cell(number, at)
            if isinstance(value, Formula):
                cell.value = value
            elif isinstance(value, str) and value:
                cell.value, cell.data_type = escaped(value), "s"
                cell.quotePrefix = is_formula(value)  # also when somebody edits it
            elif csv_cell(value) != "":
                cell.value, cell.number_format = value, _digits(value)
            if number == 1:
                cell.font = Font(bold=True)
            if widths:
                text = isinstance(value, str) and not isinstance(value, Formula)
                cell.alignment = Alignment("left" if text else None, "top", wrap_text=True, indent=int(text and at > 1))
        if widths:  # programs differ in whether they make room for text that is broken
            told = ((each, width) for each, width in zip(row, widths, strict=False) if isinstance(each, str))
            lines = [ceil(1.15 * len(each) / width) for each, width in told if not isinstance(each, Formula)]
            sheet.row_dimensions[number].height = _LINE * max([1, *lines])
    for at in range(len(titles)):
        letter = sheet.cell(1, at + 1).column_letter
        sheet.column_dimensions[letter].width = widths[at] if at < len(widths) else 18
    sheet.freeze_panes, sheet.print_title_rows = "A2", "1:1"
    sheet.page_setup.orientation = "landscape"
    sheet.sheet_properties.pageSetUpPr.fitToPage = True
    sheet.page_setup.fitToHeight = 0  # as many pages as it takes
    return sheet


_LINE = 15
"""Points of a line of text."""


def _digits(value: Any) -> str:
    """How a spreadsheet shows a number that stays: whole, or with three digits that count."""
    if isinstance(value, bool) or not isinstance(value, float) or value.is_integer() or abs(value) >= 1000:
        return "#,##0"
    decimals = max(0, 2 - floor(log10(abs(value))))
    return f"0.{'0' * decimals}" if 0 < decimals < 7 else "0.00E+00" if decimals else "0"


# What may be changed, the dollars that follow, and the cells of the grid in which batch and context are looked up.


def _inputs(book: Any, found: Overview, made_by: str) -> None:
    from openpyxl.styles import PatternFill
    from openpyxl.worksheet.datavalidation import DataValidation

    result, choices, money = found.estimate, found.choices, SHOWN_IN.get()
    other = money != DOLLARS
    batches, contexts = (f"Choices!${each}$2:${each}${len(values) + 1}" for each, values in _listed(found))
    load = result.workload
    rows: list[Sequence[Any]] = [
        ("Price", result.deployment.usd_per_gpu_hour, "US$ per GPU-hour: any"),
        ("Utilization", result.deployment.utilization, "share of the paid hours, above 0 and at most 1"),
        ("Batch", load.batch, "sequences of one replica, of the sheet Choices"),
        ("Context", load.context_tokens, "tokens at which decode is evaluated, of the sheet Choices"),
        ("Rate", money.per_usd, f"{money.name} to the US dollar") if other else (),
        ("Follows", None, "not to be changed"),
        (
            "Price over use",
            Formula(f"=IF(ISNUMBER(B2),B2{_rate()}/B3,NA())"),
            f"{money.name if other else 'US$'} of an hour in which a GPU works",
        ),
        (
            "Row in Cells",
            Formula(f"=(MATCH(B4,{batches},0)-1)*{len(choices.contexts)}+MATCH(B5,{contexts},0)"),
            "of this batch and context",
        ),
        ("Fits", Formula(f"=INDEX({_column(found, 'memory.fits')},B9)"), "whether memory holds that many sequences"),
        (),
        ("As asked", None, verdict(result)),
        ("GPUs", result.deployment.gpus, result.deployment.gpu),
        ("Replicas", result.deployment.replicas, result.deployment.layout),
        ("Model", result.model.name, choices.held),
        ("Made by", None, f"{made_by}; {_COMPUTED}"),
        ("Money", None, _told_of_money()),
    ]
    sheet = _table(book, "Inputs", ("Input", "value", "unit"), rows, (18, 24, 90))
    for cell, listed in (("B4", batches), ("B5", contexts)):
        choice = DataValidation(type="list", formula1=listed, allow_blank=False)
        sheet.add_data_validation(choice)
        choice.add(cell)
    for row in range(2, 7 if other else 6):
        sheet.cell(row, 2).fill = PatternFill("solid", fgColor="FFF2CC")  # what may be changed
    for place, shown in (("B2", "0.00##"), ("B3", "0.0%"), ("B6", "0.00##"), ("B8", "0.00##")):
        sheet[place].number_format = shown


_COMPUTED = "a spreadsheet computes the formulas when it opens the file; what only views it may show none of them"


def _rate() -> str:
    """What takes dollars in a formula to the currency shown."""
    return "" if SHOWN_IN.get() == DOLLARS else "*Inputs!$B$6"


def _told_of_money() -> str:
    money = SHOWN_IN.get()
    if money == DOLLARS:
        return "in US dollars"
    return (
        f"in {money.name} on the sheet {money.name}, of price and rate; on Terms, Assumptions and Notes at "
        f"{money.per_usd:g} to the US dollar, as asked; columns named usd, and amounts quoted with a $, in US dollars"
    )


def _dollars(book: Any, found: Overview) -> None:
    """Every number of the cell that is looked up; those of money times what an hour costs."""
    rows: list[list[Any]] = []
    money = SHOWN_IN.get()
    for path in [each for each in TOLD if each in found.choices.columns]:
        shown = quantity(path)
        factor = f"*{HOUR}" if path.startswith(_MONEY) else ""
        ends = [f"{path}_range.{side}" for side in SIDES]
        values = [
            Formula(f"=IF({_FITS},INDEX({_column(found, each)},{_CELL}){factor},NA())")
            if each in found.choices.columns
            else None
            for each in (path, *ends)
        ]
        rows.append([shown.title, *values, shown.unit, "GPU-hours of Cells × price over use" if factor else "of Cells"])
    blended = next((at for at, row in enumerate(rows, start=2) if row[0] == quantity(_BLENDED).title), None)
    if blended is not None:
        rows += [[], ["List prices", "blended", "margin", "of", "$/M", "margin: of the price; below 0 is a loss"]]
        for each in newest(found.estimate.market):
            asked = each.blended_usd_per_million
            price = Formula(f"={asked!r}{_rate()}") if asked else None
            margin = Formula(f"=1-B{blended}/B{len(rows) + 2}") if asked else None
            rows.append([each.provider, price, margin, each.date, "$/M", each.source])
    rows += _demand(found.estimate, len(rows) + 3)
    titles = ("Number", "value", "low (10%)", "high (90%)", "unit", "how")
    told = [[in_currency(each) if at in (0, 4) else each for at, each in enumerate(row)] for row in rows]
    sheet = _table(book, "Dollars" if money == DOLLARS else money.name, titles, told, (40, 14, 14, 14, 14, 60))
    for number, row in enumerate(rows, start=2):
        unit = "money" if row and "$" in str(row[4]) else row[4] if row else ""
        for cell in sheet[number][1:4]:
            left = str(cell.value).startswith("=1-")
            cell.number_format = _FORMATS.get("%" if left else unit, "#,##0")


_BLENDED = "cost.usd_per_million_blended_tokens"


def _demand(result: Estimate, row: int) -> list[list[Any]]:
    """What the demand takes, idle or busy, as formulas of the price, and of the use where that makes the replicas.

    row: where they begin.
    """
    fleet = fleet_of(result)
    if fleet is None:
        return []
    replicas, gpus, hour, month = (f"B{row + at}" for at in range(1, 5))
    made: Any = fleet.replicas
    if fleet.busy is not None:
        made = Formula(f"=MAX(1,ROUNDUP({fleet.busy!r}/Inputs!$B$3,0))")
    numbers: list[tuple[str, Any, str, str]] = [
        ("The demand", None, "", f"{format_rate(fleet.requests_per_h / 3600, 'requests/s')}, as asked"),
        ("Replicas", made, "replicas", "as many as serve it at this use"),
        (
            "GPUs",
            Formula(f"={replicas}*{fleet.each}+{fleet.pool}"),
            "GPUs",
            "of all replicas, and of a pool for prefill",
        ),
        ("$ per hour", Formula(f"=IF(ISNUMBER(Inputs!$B$2),{gpus}*Inputs!$B$2{_rate()},NA())"), "$/h", "GPUs × price"),
        ("$ per month", Formula(f"={hour}*{HOURS_OF_A_MONTH}"), "$/month", "of 730 hours"),
        ("$ per request, busy or not", Formula(f"={hour}/{fleet.requests_per_h!r}"), "$", "an hour over its requests"),
        (
            "$ per M tokens, busy or not",
            Formula(f"={hour}/{fleet.tokens_per_h / 1e6!r}"),
            *("$/M", "an hour over its tokens, in and out"),
        ),
    ]
    if fleet.users is not None:
        of_each = Formula(f"={month}/{fleet.users!r}")
        numbers.append(("$ per user and month", of_each, "$/month", f"of {fleet.users:,.0f} at once"))
    return [[], *([name, value, None, None, unit, how] for name, value, unit, how in numbers)]


def _cells(book: Any, found: Overview) -> None:
    """The numbers of every batch and context, dollars at $1 per GPU-hour: GPU-hours."""
    choices = found.choices
    titles = ["batch", "context", *(_in_hours(path) for path in choices.columns)]
    places = [(batch, context) for batch in choices.batches for context in choices.contexts]
    rows = [[*place, *choices.at(number).values()] for number, place in enumerate(places)]
    _table(book, "Cells", titles, rows)
    columns = [values for _, values in _listed(found)]
    longest = max(map(len, columns))
    listed = [[values[at] if at < len(values) else None for values in columns] for at in range(longest)]
    _table(book, "Choices", ("batch", "context"), listed)


def _in_hours(path: str) -> str:
    return path.replace("usd_per", "gpu_hours_per") if path.startswith(_MONEY) else path


def _listed(found: Overview) -> tuple[tuple[str, Sequence[float]], ...]:
    return ("A", found.choices.batches), ("B", found.choices.contexts)


def _column(found: Overview, path: str) -> str:
    """The range of a number in Cells, of all batches and contexts."""
    from openpyxl.utils import get_column_letter

    letter = get_column_letter(list(found.choices.columns).index(path) + 3)
    return f"Cells!${letter}$2:${letter}${len(found.choices.batches) * len(found.choices.contexts) + 1}"


# What numbers stand on.


def _formulas(book: Any, result: Estimate) -> None:
    rows: list[Sequence[Any]] = []
    for each in result.explanation:
        per = SHOWN_IN.get().per_usd if "$" in each.unit else 1.0
        values = [
            value * per if isinstance(value, float) else value for value in (each.value, *(each.value_range or ()))
        ]
        told = [in_currency(text) for text in (each.title, each.formula)]
        rows.append((*told, each.numbers, *values, *[None] * (3 - len(values)), in_currency(each.unit), each.source))
        rows += [(f"  {part.title}", "", part.numbers, part.value, None, None, part.unit, "") for part in each.parts]
    titles = ("Number", "formula", "numbers put in", "result, as asked", "low (10%)", "high (90%)", "unit", "source")
    _table(book, "Terms", titles, rows, (36, 60, 80, 14, 12, 12, 10, 80))


def _assumptions(book: Any, result: Estimate) -> None:
    rows = [(each.name.replace("_", " "), each.value, each.override, each.why) for each in result.assumptions]
    _table(book, "Assumptions", ("Taken by default", "value", "option", "why"), rows, (24, 24, 36, 100))
    _table(book, "Notes", ("Note",), [(each,) for each in result.notes], (140,))


def _rows(book: Any, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    known = [column for column in columns if any(row.get(column) is not None for row in rows)]
    _table(book, name, known, [[row.get(column) for column in known] for row in rows])
