"""A difference in cost as a page: from the one to the other, change by change."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from costcalc.explore.assumptions import value_text
from costcalc.explore.diff import MONTH, PATHS, Change, Diff, Headline
from costcalc.fields import Record
from costcalc.predict.options import flag_of
from costcalc.report.page import HEAD_ENDS, Block, Column, Grid, Line, Role, notes, quantity, users
from costcalc.units import NOTHING, SHOWN_IN, format_percent, format_price, format_usd

WIDTH = 24
"""Characters of the bars: those of one change begin where those of the one before end."""
WHOLE = ("from", "to")
DEFAULT = "default"
"""What a side has that was not told: costcalc chooses, or the data sheet says."""


class Step(Record):
    """A bar of a waterfall: the cost before and after a change, or of a side from nothing on."""

    label: str
    before: str
    after: str
    low: float  # where the bar begins [$/M, or $ of a month]
    high: float
    effect: float  # its height and direction
    shown: str  # what is written beside it

    @property
    def role(self) -> Role:
        """Whether it is a side, a change that costs less, or one that costs more."""
        return "memory" if self.label in WHOLE else "good" if self.effect < 0 else "bad"


def steps_of(result: Diff) -> list[Step]:
    """Return a difference as a waterfall, or nothing where a cost is not known."""
    first, last = (side.usd(result.of) for side in (result.before, result.after))
    if first is None or last is None:
        return []
    steps, reached = [Step("from", "", "", 0.0, first, first, _dollars(first, result))], first
    for change in result.changes:
        effect = change.effect or 0.0
        ends = sorted((reached, reached + effect))
        said = _dollars(reached + effect, result, reached)
        steps.append(Step(name_of(change), value_of(change, 0), value_of(change, 1), ends[0], ends[1], effect, said))
        reached += effect
    return [*steps, Step("to", "", "", 0.0, last, last, _dollars(last, result))]


def _dollars(value: float, result: Diff, since: float | None = None) -> str:
    """A cost in the digits of both sides, or what it is more than `since`: so that effects as shown add up, too."""
    sign, rate, _ = SHOWN_IN.get()
    most = rate * max(side.usd(result.of) or 0.0 for side in (result.before, result.after))
    digits = min(max(0, 3 - math.floor(math.log10(most))), 9) if most > 0 else 2
    amount = round(value * rate, digits) - (0.0 if since is None else round(since * rate, digits))
    before = "-" if amount < 0 else "+" if since is not None and round(amount, digits) > 0 else ""
    return f"{before}{sign}{abs(amount):,.{digits}f}"


def name_of(change: Change) -> str:
    """Return what changed as a command line spells it: '--tuning', 'model', 'gpu.memory'."""
    return " + ".join(flag_of(path) or path for path in change.path.split(" + "))


def value_of(change: Change, side: int) -> str:
    """Return what was given before (0) or after (1) as people write it."""
    value = (change.before, change.after)[side]
    if isinstance(value, Mapping):
        return " + ".join(_value(path, each) for path, each in value.items())
    if change.before is None and change.after is None:
        return ""
    return _value(change.path, value)


def _value(path: str, value: Any) -> str:
    return DEFAULT if value is None else value_text(path, value)


def diff_page(result: Diff) -> list[Block]:
    """Return a difference as a page: a waterfall of its changes, and the figures of both sides."""
    page: list[Block] = [Line(diff_title(result), "title"), *_month(result)]
    page += [Line(f"{name}  {side.command or 'no command is known'}", "dim", indent=2) for name, side in _sides(result)]
    page += [Line(), Line(cost_title(result), "heading"), _waterfall(result), HEAD_ENDS]
    return [*page, Line("Both sides", "heading"), _figures(result), Line(), *notes(result.notes)]


def cost_title(result: Diff) -> str:
    """Return what is shared out: '$ per M tokens, blended' or '$ of a month of the demand'."""
    if result.of == MONTH:
        return "$ of a month of the demand"
    return quantity(f"cost.usd_per_million_{result.of}_tokens").title


def _month(result: Diff) -> Iterator[Line]:
    """The fleets and bills of a demand that both sides have, where something else is shared out."""
    bills = [side.usd(MONTH) for _, side in _sides(result)]
    if result.of == MONTH or bills[0] is None or bills[1] is None:
        return
    fleets = [f"{format_usd(side.usd(MONTH))} for {side.demand_gpus:,} GPUs" for _, side in _sides(result)]
    change = f", {_percent(bills[1] / bills[0] - 1)}" if bills[0] else ""
    yield Line(f"A month of the demand: {fleets[0]} to {fleets[1]}{change}; --of month shares it out", "headline")


def _sides(result: Diff) -> Iterator[tuple[str, Headline]]:
    yield from (("from", result.before), ("to  ", result.after))


def diff_title(result: Diff) -> str:
    """Return the costs of both sides and their difference in one line."""
    first, last = result.before.usd(result.of), result.after.usd(result.of)
    of = "per M tokens, blended" if result.of == "blended" else f"per M {result.of} tokens"
    of = "a month of the demand" if result.of == MONTH else of
    if first is None or last is None or result.difference is None:
        return f"From {format_usd(first)} to {format_usd(last)} {of}"
    said = f"From {_dollars(first, result)} to {_dollars(last, result)} {of}: {_dollars(last, result, first)}"
    return said + (f", {_percent(last / first - 1)}" if first else "")


def _percent(share: float) -> str:
    return f"{'+' if share > 0 else ''}{format_percent(share, 2)}"


def _waterfall(result: Diff) -> Grid:
    unit = "$/month" if result.of == MONTH else "$/M"
    columns = [Column(""), Column("from"), Column("to"), Column(unit, right=True, role="value"), Column(drawing=True)]
    steps = steps_of(result)
    if not steps:
        rows = [[name_of(each), value_of(each, 0), value_of(each, 1), NOTHING, ""] for each in result.changes]
        return Grid(columns, rows)
    most = max(step.high for step in steps) or 1.0
    rows = []
    for step in steps:
        begin, end = (round(WIDTH * max(each, 0.0) / most) for each in (step.low, step.high))
        # What is less than a character is a thin one, and what changes nothing has none.
        drawn = " " * min(begin, WIDTH - 1) + ("█" * (end - begin) or "▏") if step.high > step.low else ""
        rows.append([step.label, step.before, step.after, step.shown, drawn])
    return Grid(columns, rows, {(number, 4): step.role for number, step in enumerate(steps)})


_OTHER = {"gpu": "GPU", "gpus": "GPUs", "layout": "Layout", "batch": "Batch", "max_sequences": "Sequences that fit",
          "usd_per_gpu_hour": "Price of a GPU-hour", "demand_gpus": "GPUs of the demand",
          "usd_per_month": "$ of a month of the demand"}  # fmt: skip


def _figures(result: Diff) -> Grid:
    columns = [Column(""), Column("from", right=True), Column("to", right=True), Column("change", right=True)]
    rows = []
    for name in Headline.__dataclass_fields__:
        if name in ("command", "model"):
            continue
        pair = [getattr(side, name) for _, side in _sides(result)]
        if name in ("demand_gpus", "usd_per_month") and pair == [None, None]:
            continue
        known = all(isinstance(each, int | float) and each for each in pair)
        change = _percent(pair[1] / pair[0] - 1) if known and pair[0] != pair[1] else ""
        rows.append([_OTHER.get(name) or quantity(PATHS[name]).title, *(_figure(name, each) for each in pair), change])
    return Grid(columns, [["Model", result.before.model, result.after.model, ""], *rows])


def _figure(name: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if name == "usd_per_gpu_hour":
        return format_price(value)
    if name == "usd_per_month":
        return format_usd(value)
    if name == "batch":
        return users(value)
    if name not in _OTHER:
        return quantity(PATHS[name]).show(value)
    return f"{value:,}" if isinstance(value, int) else str(value)
