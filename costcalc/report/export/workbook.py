"""The report of a deployment as a workbook: dollars are formulas of price and use, and of what the engine says.

openpyxl is imported here alone, when a workbook is asked for.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from costcalc.errors import CostcalcError
from costcalc.explore.overview import TOLD, Overview
from costcalc.explore.sizing import A_HAIR
from costcalc.fields import Result
from costcalc.predict.quantities import SIDES
from costcalc.predict.results import HOURS_OF_A_MONTH, Estimate
from costcalc.report.export.files import cell_text, csv_cell, csv_rows
from costcalc.report.market import newest
from costcalc.report.page import quantity
from costcalc.report.verdict import verdict
from costcalc.units import DOLLARS, format_rate, shown_in

RATE = "Inputs!$B$8"
"""The cell of what an hour in which a GPU works costs: price over use."""
_CELL, _FITS = "Inputs!$B$9", "Inputs!$B$10"
_MONEY = "cost."
_DECIMALS = "#,##0.0000"


def report_xlsx(found: Overview, command: str, version: str) -> bytes:
    """Return a report as the content of a workbook; money is in US dollars, as in CSV.

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
    """A sheet with a bold head; no text in it is a formula but those made here."""
    from openpyxl.styles import Alignment, Font

    sheet = book.create_sheet(name)
    for number, row in enumerate([titles, *rows], start=1):
        for at, value in enumerate(row, start=1):
            cell = sheet.cell(number, at)
            if isinstance(value, Formula):
                cell.value = value
            elif isinstance(value, str) and value:
                cell.value = cell_text(value)
                cell.data_type = "s"
            elif csv_cell(value) != "":
                cell.value = value
            if number == 1:
                cell.font = Font(bold=True)
            elif at <= len(widths) and widths[at - 1] >= _WRAPPED:
                cell.alignment = Alignment(wrap_text=True, vertical="top")
    for at in range(len(titles)):
        letter = sheet.cell(1, at + 1).column_letter
        sheet.column_dimensions[letter].width = widths[at] if at < len(widths) else 18
    sheet.freeze_panes = "A2"
    return sheet


_WRAPPED = 50
"""Widths of a column whose text is broken [characters]."""


# What may be changed, the dollars that follow, and the cells of the grid in which batch and context are looked up.


def _inputs(book: Any, found: Overview, made_by: str) -> None:
    from openpyxl.styles import PatternFill
    from openpyxl.worksheet.datavalidation import DataValidation

    result, choices = found.estimate, found.choices
    with shown_in(DOLLARS):  # as all of the workbook is
        said = verdict(result)
    batches, contexts = (f"Choices!${each}$2:${each}${len(values) + 1}" for each, values in _listed(found))
    load = result.workload
    rows: list[Sequence[Any]] = [
        ("Price", result.deployment.usd_per_gpu_hour, "US$ per GPU-hour: any"),
        ("Utilization", result.deployment.utilization, "share of the paid hours, above 0 and at most 1"),
        ("Batch", load.batch, "sequences of one replica, of the sheet Choices"),
        ("Context", load.context_tokens, "tokens at which decode is evaluated, of the sheet Choices"),
        (),
        ("Follows", None, "not to be changed"),
        ("Price over use", Formula("=IF(ISNUMBER(B2),B2/B3,NA())"), "US$ of an hour in which a GPU works"),
        (
            "Row in Cells",
            Formula(f"=(MATCH(B4,{batches},0)-1)*{len(choices.contexts)}+MATCH(B5,{contexts},0)"),
            "of this batch and context",
        ),
        ("Fits", Formula(f"=INDEX({_column(found, 'memory.fits')},B9)"), "whether memory holds that many sequences"),
        (),
        ("As asked", None, said),
        ("GPUs", result.deployment.gpus, result.deployment.gpu),
        ("Replicas", result.deployment.replicas, result.deployment.layout),
        ("Model", result.model.name, choices.held),
        ("Made by", None, f"{made_by}; money in US dollars"),
    ]
    sheet = _table(book, "Inputs", ("Input", "value", "unit"), rows, (18, 24, 90))
    for cell, listed in (("B4", batches), ("B5", contexts)):
        choice = DataValidation(type="list", formula1=listed, allow_blank=False)
        sheet.add_data_validation(choice)
        choice.add(cell)
    for row in range(2, 6):
        sheet.cell(row, 2).fill = PatternFill("solid", fgColor="FFF2CC")  # what may be changed


def _dollars(book: Any, found: Overview) -> None:
    """Every number of the cell that is looked up; those of money times what an hour costs."""
    rows: list[list[Any]] = []
    for path in [each for each in TOLD if each in found.choices.columns]:
        shown = quantity(path)
        factor = f"*{RATE}" if path.startswith(_MONEY) else ""
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
        rows += [[], ["List prices", "blended", "margin, of the price", "", "$/M", "below 0 is a loss"]]
        for each in newest(found.estimate.market):
            margin = Formula(f"=1-B{blended}/B{len(rows) + 2}")
            rows.append([each.provider, each.blended_usd_per_million, margin, each.date, "$/M", each.source])
    rows += _demand(found.estimate, len(rows) + 3)
    sheet = _table(
        book, "Dollars", ("Number", "value", "low (10%)", "high (90%)", "unit", "how"), rows, (40, 14, 14, 14)
    )
    for row in sheet.iter_rows(min_row=2, min_col=2, max_col=4):
        for cell in row:
            cell.number_format = _DECIMALS


_BLENDED = "cost.usd_per_million_blended_tokens"


def _demand(result: Estimate, row: int) -> list[list[Any]]:
    """What the demand takes, idle or busy, as formulas of the price, and of the use where that makes the replicas.

    row: where they begin.
    """
    asked, machine = result.demand, result.deployment
    if asked is None:
        return []
    each = (machine.gpus - machine.idle_gpus) // machine.replicas
    replicas, gpus, hour, month = (f"B{row + at}" for at in range(1, 5))
    made: Any = asked.replicas
    served = result.serving.output_tokens_per_s
    # Users hold a batch however busy it is; a pool for prefill comes in whole workers, which are asked for again.
    pool = asked.gpus - each * asked.replicas
    if asked.users is None and served and not pool:
        needed = asked.output_tokens_per_s / (served / machine.replicas) * A_HAIR
        made = Formula(f"=MAX(1,ROUNDUP({float(needed)!r}/Inputs!$B$3,0))")
    requests, tokens = float(asked.requests_per_s) * 3600, result.workload.input_tokens + result.workload.output_tokens
    numbers: list[tuple[str, Any, str, str]] = [
        ("The demand", None, "", f"{format_rate(asked.requests_per_s, 'requests/s')}, as asked"),
        ("Replicas", made, "replicas", "as many as serve it at this use"),
        ("GPUs", Formula(f"={replicas}*{each}+{pool}"), "GPUs", "of all replicas, and of a pool for prefill"),
        ("$ per hour", Formula(f"=IF(ISNUMBER(Inputs!$B$2),{gpus}*Inputs!$B$2,NA())"), "$/h", "GPUs × price"),
        ("$ per month", Formula(f"={hour}*{HOURS_OF_A_MONTH}"), "$/month", "of 730 hours"),
        ("$ per request, busy or not", Formula(f"={hour}/{requests!r}"), "$", "an hour over its requests"),
        (
            "$ per M tokens, busy or not",
            Formula(f"={hour}/{requests * float(tokens) / 1e6!r}"),
            *("$/M", "an hour over its tokens, in and out"),
        ),
    ]
    if asked.users is not None:
        of_each = Formula(f"={month}/{float(asked.users)!r}")
        numbers.append(("$ per user and month", of_each, "$/month", f"of {asked.users:,.0f} at once"))
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
        low, high = each.value_range or (None, None)
        rows.append((each.title, each.formula, each.numbers, each.value, low, high, each.unit, each.source))
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
