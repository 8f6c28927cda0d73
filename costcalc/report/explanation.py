"""Every headline number as a formula, the numbers put in, the result and its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from costcalc.predict.results import Comparison, Estimate, Formula
from costcalc.report.page import Block, Line, seconds, users
from costcalc.units import ends_in_one_unit, format_bytes, format_count, format_rate
from costcalc.units import format_usd as usd

if TYPE_CHECKING:
    from costcalc.explore.spaces.sweep import Sweep

PER_MILLION = " per million tokens"


def explanation(result: Estimate | Comparison | Sweep) -> list[Block]:
    """Return the formulas behind a result as a page.

    result: an estimate; a comparison, of which every row is explained; or a sweep, of each of whose deployments the
        most demanding cell is.
    """
    if isinstance(result, Estimate):
        return [Line(), Line("How each number comes about", "title"), Line(), *_formulas(result.explanation)]
    page: list[Block] = []
    if isinstance(result, Comparison):
        page = [Line()]
        for row in result.rows:
            if row.estimate.explanation:
                page += [Line(f"How each number of {row.variant} comes about", "title"), Line()]
                page += _formulas(row.estimate.explanation)
        return page
    for each in result.references:
        load = each.workload
        where = f"batch {users(load.batch)}, {format_count(load.context_tokens)} tokens of context"
        title = f"How each number comes about at {where}, on {each.deployment.gpus} × {each.deployment.gpu}"
        page += [Line(), Line(title, "title"), Line(), *_formulas(each.explanation)]
    return page


def _formulas(formulas: Sequence[Formula]) -> Iterator[Block]:
    for each in formulas:
        yield Line(f"{each.title}: {shown_value(each)}", "value")
        yield Line(f"= {each.formula}", indent=2)
        yield Line(f"= {each.numbers}", indent=2)
        for part in each.parts:
            yield Line(f"{part.title} {shown_value(part)} = {part.numbers}", indent=4)
        if each.value_range is not None:
            low, high = ends_in_one_unit(*each.value_range, partial(_end_shown, each), 4)
            yield Line(f"range {low} to {high}: {each.range_source}", indent=2)
        yield Line(f"{each.quantity}; {each.source}", "dim", indent=2)
        yield Line()


def _end_shown(formula: Formula, value: float, _digits: int) -> str:
    return shown_value(formula, value).removesuffix(PER_MILLION)


def shown_value(formula: Formula, other: float | None = None) -> str:
    """Return the result of a formula with its unit.

    formula: the formula. other: a value to show in place of its own, such as an end of its range.
    """
    value, unit = formula.value if other is None else other, formula.unit
    if isinstance(value, str):
        return value
    if unit in ("B", "B/token"):
        return format_bytes(value) + unit[1:]
    if unit == "s":
        return seconds(value, 4)
    if unit.startswith("$"):
        return f"{usd(value)}{PER_MILLION if unit == '$/M' else unit[1:]}"
    return format_rate(value, unit) if unit == "tokens/s" else f"{format_count(value)} {unit}".strip()
