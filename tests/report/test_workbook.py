"""The report as a workbook: its formulas, computed here, give the library's dollars."""

from __future__ import annotations

import builtins
import io
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import costcalc
from costcalc.cli import app
from costcalc.explore.overview import TOLD, Overview, overview
from costcalc.predict.quantities import SIDES
from costcalc.report.export.files import is_formula
from costcalc.report.export.workbook import report_xlsx
from costcalc.report.market import newest
from costcalc.report.page import quantity
from costcalc.units import Currency, shown_in

openpyxl = pytest.importorskip("openpyxl")

SMALL = ("llama-3.1-8b", "1xh100")


@pytest.fixture(scope="module")
def found() -> Overview:
    return overview(*SMALL, price="spot")


def opened(content: bytes) -> Any:
    return openpyxl.load_workbook(io.BytesIO(content))


# What a spreadsheet makes of the few functions that the formulas have.


class Blank(float):
    """An empty cell, which counts as 0."""


_REF = re.compile(r"(?:(\w+)!)?\$?([A-Z]+)\$?([0-9]+)(?::\$?([A-Z]+)\$?([0-9]+))?")
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "IF": lambda asked, yes, no: yes if asked else no,
    "ISNUMBER": lambda value: isinstance(value, int | float) and not isinstance(value, bool | Blank),
    "NA": lambda: math.nan,
    "MAX": max,
    "ROUNDUP": lambda value, digits: math.ceil(value * 10**digits) / 10**digits,
    "INDEX": lambda values, row: values[int(row) - 1],
    "MATCH": lambda wanted, values, _: values.index(wanted) + 1,
}


def computed(book: Any, sheet: str, place: str) -> Any:
    """Return the value of a cell, its formula computed."""
    value = book[sheet][place].value
    if value is None:
        return Blank(0.0)
    if not (isinstance(value, str) and value.startswith("=")):
        return value

    def referred(found: re.Match[str]) -> str:
        where, column, row, last, end = found.groups()
        assert last in (None, column)
        cells = [f"{column}{number}" for number in range(int(row), int(end or row) + 1)]
        asked = ", ".join(f"_({where or sheet!r}, {each!r})" for each in cells)
        return f"[{asked}]" if last else asked

    names: dict[str, Any] = {**FUNCTIONS, "_": lambda where, cell: computed(book, where, cell)}
    return eval(_REF.sub(referred, value[1:]), {"__builtins__": {}}, names)


@pytest.mark.parametrize(("price", "use", "cell"), [(None, None, None), (2.75, 0.37, 0), (0.4, 0.999, 31)])
def test_formulas_give_what_the_library_answers(
    found: Overview, price: float | None, use: float | None, cell: int | None
) -> None:
    book, choices = opened(report_xlsx(found, "costcalc report", "1.2.3")), found.choices
    inputs = book["Inputs"]
    if price is not None and cell is not None:
        batch, context = divmod(cell, len(choices.contexts))
        inputs["B2"], inputs["B3"] = price, use
        inputs["B4"], inputs["B5"] = choices.batches[batch], choices.contexts[context]
    asked = {name: inputs[f"B{row}"].value for row, name in enumerate(("price", "utilization", "batch", "context"), 2)}
    degrees = {"tensor_parallel": 1, "pipeline_parallel": 1, "expert_parallel": 1, "attention_data_parallel": 1}
    answered = costcalc.estimate(*SMALL, **asked, **degrees, input_tokens=4096, output_tokens=1024)
    assert computed(book, "Inputs", "B10") is True
    rows = {row[0].value: row[0].row for row in book["Dollars"].iter_rows() if row[0].value}
    for path in TOLD:
        group, _, field = path.partition(".")
        part: Any = getattr(answered, group)
        row = rows[quantity(path).title]
        assert computed(book, "Dollars", f"B{row}") == pytest.approx(getattr(part, field), rel=1e-9)
        for column, end in zip("CD", getattr(part, f"{field}_range"), strict=True):
            assert computed(book, "Dollars", f"{column}{row}") == pytest.approx(end, rel=1e-9)
    for each in newest(answered.market):
        margin = computed(book, "Dollars", f"C{rows[each.provider]}")
        assert margin == pytest.approx(each.margin, rel=1e-9)


@pytest.mark.parametrize(
    ("demand", "price", "use"),
    [
        ("100 users", None, None), ("100 users", 2.75, 0.5), ("2.2 requests/s", 0.4, 0.3),
        ("20 requests/s", 6.0, 0.999), ("1B tokens/day", 1.0, 0.6),
    ],
)  # fmt: skip
def test_a_month_and_a_user_of_a_demand_follow_the_price(demand: str, price: float | None, use: float | None) -> None:
    book = opened(report_xlsx(overview(*SMALL, demand=demand), "costcalc report", "1.2.3"))
    if price is not None:
        book["Inputs"]["B2"], book["Inputs"]["B3"] = price, use
    named = {row[0].value: row[1] for row in book["Dollars"].iter_rows() if row[0].value}
    money = [name for name in named if name.startswith("$ per") and ("month" in name or "hour" in name)]
    assert len(money) == 2 + demand.endswith("users") and all(named[each].data_type == "f" for each in money)
    shape = {"gpus": 1, "batch": int(book["Inputs"]["B4"].value)}
    asked: Any = costcalc.estimate(*SMALL, demand=demand, price=price, utilization=use, **shape).demand
    told = {
        "Replicas": asked.replicas, "GPUs": asked.gpus, "$ per hour": asked.usd_per_hour,
        "$ per month": asked.usd_per_month, "$ per request, busy or not": asked.usd_per_request,
        "$ per M tokens, busy or not": asked.usd_per_million_tokens,
    }  # fmt: skip
    if asked.users is not None:
        told["$ per user and month"] = asked.usd_per_user_month
    for name, value in told.items():
        assert computed(book, "Dollars", named[name].coordinate) == pytest.approx(value, rel=1e-9)
    book["Inputs"]["B2"] = None
    assert math.isnan(computed(book, "Dollars", named["$ per month"].coordinate))


def test_money_is_in_the_currency_shown_by_a_rate_that_may_be_changed() -> None:
    demand = "100 users"
    plain = opened(report_xlsx(overview(*SMALL, demand=demand), "costcalc report", "1.2.3"))
    with shown_in(Currency("€", 0.5, "EUR")):
        asked = overview(*SMALL, demand=demand)
        book = opened(report_xlsx(asked, "costcalc report", "1.2.3"))
    assert book.sheetnames == [each.replace("Dollars", "EUR") for each in plain.sheetnames]
    for rate in (0.5, 0.8):
        book["Inputs"]["B6"] = rate
        for row in range(2, book["EUR"].max_row + 1):
            before, unit = computed(plain, "Dollars", f"B{row}"), plain["Dollars"][f"E{row}"].value or ""
            if isinstance(before, str):
                continue
            factor = rate if unit.startswith("$") else 1.0
            assert computed(book, "EUR", f"B{row}") == pytest.approx(factor * before, rel=1e-9)
            assert (book["EUR"][f"E{row}"].value or "") == unit.replace("$", "€")
    terms = {row[0].value: row for row in book["Terms"].iter_rows(min_row=2)}
    assert not [cell.value for row in terms.values() for cell in row if re.search(r"\$(?!\d)", str(cell.value))]
    for each in asked.estimate.explanation:
        if each.unit.startswith("$"):
            row = terms[each.title.replace("Dollars", "EUR")]
            assert row[3].value == pytest.approx(each.value * 0.5) and row[6].value == each.unit.replace("$", "€")


def test_numbers_show_their_kind_and_a_sheet_prints_one_page_wide(found: Overview) -> None:
    book = opened(report_xlsx(found, "costcalc report", "1.2.3"))
    shown = {row[0].value: row[1].number_format for row in book["Dollars"].iter_rows(min_row=2) if row[0].value}
    assert "0.00" in shown["$ per M output tokens"] and shown["Time to first token"].endswith("0.0000")
    assert {book["Dollars"][f"C{row[0].row}"].number_format for row in book["Dollars"].iter_rows(min_row=12)} >= {"0%"}
    assert book["Inputs"]["B3"].number_format == "0.0%" and book["Inputs"]["B4"].number_format == "#,##0"
    for sheet in book:
        assert sheet.sheet_properties.pageSetUpPr.fitToPage and sheet.page_setup.fitToHeight == 0
    inputs = book["Inputs"]
    texts = [(row[2].value, inputs.row_dimensions[row[2].row].height) for row in inputs.iter_rows()]
    assert all(height >= 15 * len(text) / 90 for text, height in texts if text)


def test_what_does_not_fit_or_has_no_price_is_not_known(found: Overview) -> None:
    book = opened(report_xlsx(found, "costcalc report", "1.2.3"))
    book["Inputs"]["B4"], book["Inputs"]["B5"] = found.choices.batches[-1], found.choices.contexts[-1]
    assert computed(book, "Inputs", "B10") is False and math.isnan(computed(book, "Dollars", "B2"))
    book["Inputs"]["B4"] = 1
    assert computed(book, "Dollars", "B2") > 0
    book["Inputs"]["B2"] = None
    assert math.isnan(computed(book, "Dollars", "B2"))


def test_no_text_is_a_formula_but_those_of_costcalc(found: Overview) -> None:
    hostile = '=HYPERLINK("http://x","y")\x1b'
    result = found.estimate
    told = replace(
        result,
        model=replace(result.model, name=hostile),
        notes=(hostile, "@SUM(1)", "+1+cmd|' /C calc'!A0"),
        assumptions=tuple(replace(each, value=hostile, why=hostile) for each in result.assumptions),
        market=tuple(replace(each, provider=hostile, source=hostile) for each in result.market),
    )
    book = opened(report_xlsx(replace(found, estimate=told), hostile, hostile))
    texts = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.data_type != "n"]
    for cell in texts:
        if cell.data_type == "f":
            assert cell.parent.title in ("Inputs", "Dollars")
            assert set(re.findall(r"[A-Z]+(?=\()", cell.value)) <= set(FUNCTIONS) and "HYPERLINK" not in cell.value
        else:
            assert cell.data_type in "bs" and cell.quotePrefix == (cell.data_type == "s" and is_formula(cell.value))
    note = book["Notes"]["A2"]
    assert (note.value, note.data_type, note.quotePrefix) == ('=HYPERLINK("http://x","y")\\x1b', "s", True)


def test_every_part_is_a_sheet(found: Overview) -> None:
    book = opened(report_xlsx(found, "costcalc report", "1.2.3"))
    assert book.sheetnames == [
        "Inputs", "Dollars", "Cells", "Choices", "Terms", "Assumptions", "Notes", "Attention", "Frontier"
    ]  # fmt: skip
    assert isinstance(found.attention, costcalc.Comparison)
    assert [cell.value for cell in book["Attention"]["A"]][1:] == [row.variant for row in found.attention.rows]
    ends = [f"{path}_range.{side}" for path in TOLD for side in SIDES]
    assert book["Cells"].max_column == 2 + len(TOLD) + len(ends) + 3
    named = {row[0].value for row in book["Terms"].iter_rows(min_row=2)}
    assert {each.title for each in found.estimate.explanation} <= named


def test_a_workbook_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["report", "-m", SMALL[0], "-g", SMALL[1], "-o", str(tmp_path / "report.xlsx")]
    assert app.run(asked) == 0
    assert opened((tmp_path / "report.xlsx").read_bytes())["Inputs"]["B2"].value > 0
    (tmp_path / "report.xlsx").unlink()
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("openpyxl"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert app.run(asked) == 2
    told = capsys.readouterr().err
    assert "pip install 'costcalc[xlsx]'" in told and len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())
