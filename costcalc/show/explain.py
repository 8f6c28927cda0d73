"""Every headline number as a formula, the numbers put in, the result and its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.explore.result import Comparison, Estimate, Formula
from costcalc.explore.swept import Sweep
from costcalc.readable import format_bytes, format_count, format_rate, format_seconds, format_usd
from costcalc.show.blocks import Block, Line

PER_MILLION = " per million tokens"


def explanation(result: Estimate | Comparison | Sweep) -> list[Block]:
    """Return the formulas behind a result as a page.

    result: an estimate; a comparison, of which every row is explained; or a sweep, of each of whose deployments the
        most demanding cell is.
    """
    if isinstance(result, Sweep):
        page: list[Block] = []
        for each in result.references:
            where = f"batch {each.workload.batch:,}, {format_count(each.workload.context_tokens)} tokens of context"
            title = f"How each number comes about at {where}, on {each.deployment.gpus} × {each.deployment.gpu}"
            page += [Line(), Line(title, "title"), Line(), *_formulas(each.explanation)]
        return page
    if isinstance(result, Estimate):
        return [Line(), Line("How each number comes about", "title"), Line(), *_formulas(result.explanation)]
    page = [Line()]
    for row in result.rows:
        if row.estimate.explanation:
            page += [Line(f"How each number of {row.variant} comes about", "title"), Line()]
            page += _formulas(row.estimate.explanation)
    return page


def _formulas(formulas: Sequence[Formula]) -> Iterator[Block]:
    for each in formulas:
        yield Line(f"{each.title}: {shown_value(each)}", "value", wrap=True)
        yield Line(f"= {each.formula}", wrap=True, indent=2)
        yield Line(f"= {each.numbers}", wrap=True, indent=2)
        for part in each.parts:
            yield Line(f"{part.title} {shown_value(part)} = {part.numbers}", wrap=True, indent=4)
        if each.value_range is not None:
            low, high = (shown_value(each, limit).removesuffix(PER_MILLION) for limit in each.value_range)
            yield Line(f"range {low} to {high}: {each.range_source}", wrap=True, indent=2)
        yield Line(f"{each.quantity}; {each.source}", "dim", wrap=True, indent=2)
        yield Line()


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
        return format_seconds(value)
    if unit.startswith("$"):
        return f"{format_usd(value)}{PER_MILLION}" if unit == "$/M" else f"{format_usd(value)}{unit[1:]}"
    if unit == "tokens/s":
        return format_rate(value, "tokens/s")
    return f"{format_count(value)} {unit}".strip()
