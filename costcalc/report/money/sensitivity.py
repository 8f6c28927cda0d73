"""What moves a cost most, as a page with a tornado of bars."""

from __future__ import annotations

from typing import Any

from costcalc.explore.money.sensitivity import EITHER, PREDICTION, Influence, Sensitivity
from costcalc.predict.options import OPTIONS
from costcalc.report.page import DASH, HEAD_ENDS, MARK, Block, Column, Line, filled_grid, notes
from costcalc.units import NOTHING, format_count, format_percent, format_price, format_rate, format_seconds, format_usd

NAMES = {
    "input_tokens": "tokens in", "output_tokens": "tokens out", "tpot": "limit of TPOT", "ttft": "limit of TTFT",
    "power_price": "$ per kWh", **EITHER, "prediction": "observed / predicted",
}  # fmt: skip
"""Inputs as rows, where the option's own name says less."""
WIDTH = 32
"""Of the bars [characters]."""


def sensitivity_page(result: Sensitivity) -> list[Block]:
    """Return the inputs of a cost as a page, the one that moves it most first."""
    load = result.estimate.workload
    lengths = f"{format_count(load.input_tokens)} tokens in and {format_count(load.output_tokens)} out"
    at = f"batch {load.batch:,.0f}, {lengths}"
    columns = [
        Column("input", role="value", key=True),
        Column("base", right=True),
        Column("from", right=True),
        Column("to", right=True),
        Column("$/M from", right=True),
        Column("$/M to", right=True),
        Column(f"around {format_usd(result.usd_per_million)}", drawing=True),
        Column("range", role="dim", wrap=True),
    ]
    rows = [
        [
            NAMES.get(each.input, each.input.replace("_", " ")),
            base_shown(each),
            value_shown(each.input, each.low),
            value_shown(each.input, each.high),
            format_usd(each.usd_per_million_at_low),
            format_usd(each.usd_per_million_at_high),
            _bar(result, each),
            each.why,
        ]
        for each in result.influences
    ]
    return [
        Line(f"{result.title}: what moves the cost", "title"),
        Line(),
        Line(f"{format_usd(result.usd_per_million)} per million {tokens_named(result)}; {at}", "headline"),
        Line(),
        filled_grid(columns, rows),
        HEAD_ENDS,
        Line(
            f"Each input alone, the others as they are, {_on(result)}; layout and batch are chosen anew unless they"
            f" were told. {MARK} chosen. Ranges of your own: --vary price=1.5:4,batch=16:64.",
            "dim",
        ),
        Line(),
        *notes(result.notes),
    ]


def _on(result: Sensitivity) -> str:
    return "in replicas of as many GPUs" if result.estimate.demand else "on as many GPUs"


def tokens_named(result: Sensitivity) -> str:
    """Return which tokens the dollars are of: 'output tokens'."""
    whose = " of the demand" if result.estimate.demand else ""
    return f"tokens{whose}, blended" if result.of == "blended" else f"{result.of} tokens"


def base_shown(each: Influence) -> str:
    """Return what an input is in the estimate itself; what costcalc chose is marked."""
    if each.input == PREDICTION:
        return "1×"
    return MARK if each.base is None else value_shown(each.input, each.base)


def value_shown(name: str, value: Any) -> str:
    """Return an end of an input's range as text.

    name: the option. value: read, or None.
    """
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "apart" if value else "one"
    if name == PREDICTION:
        return f"{value:.2g}×"
    if name in ("price", "power_price"):
        return format_price(value)
    metavar = OPTIONS[name].metavar
    if metavar == "SHARE":
        return format_percent(value)
    if metavar == "TIME":
        return format_seconds(value)
    if metavar == "BANDWIDTH":
        return format_rate(value)
    return format_count(value)


def ends_of(result: Sensitivity, each: Influence) -> tuple[float, float]:
    """Return the least and the most that a million tokens cost over an input's range, the base among them [$/M]."""
    known = [value for value in (each.usd_per_million_at_low, each.usd_per_million_at_high) if value is not None]
    costs = [*known, result.usd_per_million]
    return min(costs), max(costs)


def _bar(result: Sensitivity, each: Influence) -> str:
    """A bar from the least to the most, on a scale that all rows share, and the base in it."""
    every = [ends_of(result, one) for one in result.influences]
    low, high = min(end[0] for end in every), max(end[1] for end in every)

    def place(cost: float) -> int:
        return round((cost - low) / (high - low) * (WIDTH - 1)) if high > low else 0

    first, last = (place(cost) for cost in ends_of(result, each))
    base = place(result.usd_per_million)
    return "".join("│" if at == base else "█" if first <= at <= last else " " for at in range(max(last, base) + 1))


def range_told(each: Influence) -> str:
    """Return the range of an input in a few words, for a chart."""
    return f"{value_shown(each.input, each.low)} {DASH} {value_shown(each.input, each.high)}"
