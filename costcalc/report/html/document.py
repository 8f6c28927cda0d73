"""The report of a deployment as one HTML file: nothing is fetched, and a strict policy lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from costcalc.errors import CostcalcError, escaped
from costcalc.explore.estimate import cost_served
from costcalc.explore.overview import TOLD, Overview, fleet_of
from costcalc.predict.results import HOURS_OF_A_MONTH, Comparison, Estimate, MarketPrice
from costcalc.report.charts import drawn
from costcalc.report.comparison import comparison_page
from costcalc.report.estimate import estimate_page
from costcalc.report.explanation import explanation
from costcalc.report.frontier import frontier_page
from costcalc.report.html.blocks import document_blocks, html_text
from costcalc.report.html.drawings import Drawings
from costcalc.report.market import newest
from costcalc.report.page import Block, Column, Grid, Line, defaults_taken, notes, numbers, quantity
from costcalc.report.verdict import margin_told, verdict
from costcalc.units import DOLLARS, NOTHING, SHOWN_IN, in_currency
from costcalc.units import format_usd as usd

_HERE = Path(__file__).parent
_OWN_TITLE = "The answer"


def report_html(found: Overview, command: str, version: str) -> str:
    """Return a report as the content of an HTML file.

    command: that made it, as typed. version: of costcalc.
    """
    result, page, money = found.estimate, estimate_page(found.estimate), SHOWN_IN.get()
    title = next(each.text for each in page if isinstance(each, Line) and each.role == "title")
    style, script = (_HERE.joinpath(f"report.{each}").read_text(encoding="utf-8") for each in ("css", "js"))
    filled = {
        "title": _text(title),
        "verdict": _text(verdict(result)),
        "generator": _text(f"costcalc {version}"),
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "money": _text("US$" if money == DOLLARS else money.sign.strip()),
        "most_price": f"{math.ceil(max(10.0, 4 * (result.deployment.usd_per_gpu_hour or 0.0)) * money.per_usd)}",
        "batch_label": "Users at once" if result.prefill.time_s is not None else "Batch [sequences]",
        "results": "".join(_results(result, found.choices.columns)),
        "market": _market(result),
        "held": _text(found.choices.held),
        "sections": "".join(_sections(found, page, title)),
        "footer": _text(f"costcalc {version}; {command}{_currency()}"),
        "data": _data(found),
    }
    template = _HERE.joinpath("report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda name: filled[name[1]], template)


def _text(text: str) -> str:
    return html_text(in_currency(escaped(text)))


def _hash(content: str) -> str:
    """What a policy of content calls a style sheet or a script that may act."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"


def _currency() -> str:
    money = SHOWN_IN.get()
    return (
        ""
        if money.per_usd == 1
        else f"; money in {money.name}, {money.per_usd:g} to the US dollar, what is quoted in US dollars"
    )


# What follows the settings: numbers of the estimate, which the script writes anew, and its numbers at $1 per GPU-hour.


def _results(result: Estimate, columns: Mapping[str, Any]) -> Iterator[str]:
    """Yield a row for each number that the script changes, as it is at first."""
    for path in TOLD:
        shown = quantity(path, result)
        if path in columns and any(value is not None for value in columns[path]):
            yield _result(path, shown.title, shown.unit, shown.text, shown.range)
    if result.demand is not None:
        yield _result("demand.usd_per_month", "$ per month, of the demand", "$", usd(result.demand.usd_per_month))
        tokens = usd(result.demand.usd_per_million_tokens)
        yield _result("demand.usd_per_million_tokens", "$ per M tokens, busy or not", "$/M", tokens)


def _result(path: str, title: str, unit: str, text: str, limits: str = "") -> str:
    return (
        f'<tr><th scope="row">{_text(title)}</th>'
        f'<td class="right unbroken value"><data data-path="{path}" data-unit="{unit}" value="">'
        f'{_text(text)}</data></td><td class="dim unbroken range">{_text(limits)}</td></tr>'
    )


def _market(result: Estimate) -> str:
    """The list prices that costs are set against as they change."""
    cost = cost_served(result)
    rows = "".join(
        f'<tr><th scope="row">{_text(each.provider)}</th>'
        f'<td class="right">{_text(usd(each.blended_usd_per_million))}</td>'
        f'<td class="unbroken" data-list="{each.blended_usd_per_million!r}">{_text(_left(each, cost))}</td>'
        f'<td class="dim unbroken">{_text(each.date or NOTHING)}</td></tr>'
        for each in newest(result.market)
        if each.blended_usd_per_million
    )
    titles = ("list price", "$ per M tokens, blended", "sold at it", "date")
    head = "".join(
        f'<th scope="col" class="head{" right" if at == 1 else ""}">{_text(title)}</th>'
        for at, title in enumerate(titles)
    )
    table = f'<table class="grid" id="list-prices"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="scrolled">{table}</div>' if rows else ""


def _left(price: MarketPrice, cost: float | None) -> str:
    asked = price.blended_usd_per_million
    return margin_told(1 - cost / asked) if cost and asked else NOTHING


def _data(found: Overview) -> str:
    """What the script reads, as JSON in which no sign ends or begins an element."""
    result, choices, money = found.estimate, found.choices, SHOWN_IN.get()
    fleet = fleet_of(result)
    batch, context = divmod(choices.start, len(choices.contexts))
    told = {
        "price": result.deployment.usd_per_gpu_hour,
        "use": result.deployment.utilization,
        "batch": batch,
        "context": context,
        "batches": [_whole(each) for each in choices.batches],
        "contexts": [_whole(each) for each in choices.contexts],
        "replicas": result.deployment.replicas,
        "columns": choices.columns,
        "command": None if choices.command is None else escaped(choices.command),
        "fleet": None if fleet is None else {**asdict(fleet), "hours": HOURS_OF_A_MONTH},
        "sign": money.sign,
        "per_usd": money.per_usd,
    }
    text = json.dumps(told, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value


# The sections below: the page of an estimate, attention replaced, the frontier, formulas, assumptions.


def _sections(found: Overview, page: list[Block], title: str) -> Iterator[str]:
    result, drawings = found.estimate, Drawings()
    last = [*notes(result.notes), *defaults_taken(result.assumptions)]
    said = (title, verdict(result), "")  # above, or nothing
    shown = [each for each in page if each not in last and not (isinstance(each, Line) and each.text in said)]
    parts = list(_by_heading(shown))
    for number, (heading, blocks) in enumerate(parts):
        yield _section(heading or _OWN_TITLE, blocks, "" if number else _figure(drawings, result))
    yield _asked("Attention variants", found.attention, comparison_page, drawings, found.curves)
    yield _asked("Frontier: every layout and batch", found.frontier, frontier_page, drawings)
    yield _section("How each number comes about", [], _explained(result))
    yield _section("Notes and assumptions", [each for each in last if each != Line("Notes", "heading")])


def _by_heading(blocks: Iterable[Block]) -> Iterator[tuple[str, list[Block]]]:
    """Yield the parts of a page, each with its heading; the first has none."""
    heading, part = "", list[Block]()
    for each in blocks:
        if isinstance(each, Line) and each.role == "heading":
            yield heading, part
            heading, part = each.text, []
        else:
            part.append(each)
    yield heading, part


def _section(title: str, blocks: Iterable[Block], more: str = "") -> str:
    name = f"about-{re.sub(r'[^a-z]+', '-', title.partition(':')[0].lower()).strip('-')}"
    head = f'<section aria-labelledby="{name}"><h2 id="{name}">{_text(title)}</h2>'
    return f"{head}{document_blocks(blocks, title)}{more}</section>"


def _asked(title: str, answer: Any, page: Any, drawings: Drawings, *curves: Any) -> str:
    """The section of a question of its own, or why it could not be asked."""
    if isinstance(answer, CostcalcError):
        return _section(title, [Line(f"Not asked: {answer}.", "dim")])
    blocks = [each for each in page(answer) if each != Line()]
    return _section(title, blocks, _figure(drawings, answer, *curves))


def _figure(drawings: Drawings, result: Any, *curves: Any) -> str:
    """The chart of a result, or nothing where there is nothing to draw."""
    try:
        content = drawn(result, ".svg", (), *curves)
    except CostcalcError:
        return ""
    told = {"Estimate": "roofline of the GPU, and the time of a decode step, op by op"}.get(type(result).__name__)
    if isinstance(result, Comparison):
        told = "cache, tokens per second and dollars of every variant, as in the table"
    return drawings.figure(content, f"Chart: {told or 'the best of all layouts and batches, and its ranges'}.")


def _explained(result: Estimate) -> str:
    """The formulas behind the numbers, their sources, and those of list prices; closed, for who asks."""
    blocks = [each for each in explanation(result) if each != Line()][1:]
    sources = [[each.provider, each.date or NOTHING, each.source] for each in newest(result.market)]
    columns = (Column("list price"), *numbers("date"), Column("source", wrap=True))
    more: list[Block] = [Line("Sources of list prices", "value"), Grid(columns, sources)] if sources else []
    if not blocks and not more:
        return ""
    told = document_blocks([*blocks, *more], "formulas")
    return f"<details><summary>Formulas, the numbers put in, results and sources</summary>{told}</details>"
