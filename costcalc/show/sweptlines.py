"""A sweep as lines: a number along the longest axis, for each combination of the other values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from costcalc.explore.swept import Axis, Sweep
from costcalc.frozen import Record
from costcalc.show.numbers import seconds, speed, usd
from costcalc.show.sweep import NAMES, Index, value_shown

_MOST_NAMED = 3
_COLOURS = 12

SWEPT_PANELS: dict[str, tuple[str, str, Callable[[float | None], str]]] = {
    "cost": ("usd_per_million_blended_tokens", "$ per million tokens, blended", usd),
    "throughput": ("output_tokens_per_s_per_gpu", "Output tokens/s per GPU", speed),
    "speed": ("serving.tokens_per_s_per_user", "Output tokens/s per user", speed),
    "wait": ("time_to_first_token_s", "Time to first token", seconds),
}
"""What a chart of a sweep may show: a number, what it is, and how it is written."""


class SweptLine(Record):
    """One line of a chart, of all combinations in which the number is the same everywhere along it."""

    label: str
    place: int  # of its first combination among all, for a colour that is the same in every panel
    points: list[tuple[float, float]]
    band: list[tuple[float, float]]  # low and high beside each point; empty where there is no range


class SweptLines(Record):
    """The lines of a number, and the option along the bottom of their chart."""

    along: str
    lines: list[SweptLine]
    count: int  # of the lines that differ, of which those above are some


def curves_of(sweep: Sweep, name: str, most: int) -> SweptLines:
    """Return the lines of a number; those that coincide are one, which names what they stand for.

    sweep: the sweep. name: of the number, as in `sweep[name]`. most: lines; of more, as many evenly spread.
    """
    along = max(range(len(sweep.axes)), key=lambda number: len(sweep.axes[number].values))
    limits = sweep.range_of(name)
    arrays = [sweep[name], *(limits or (sweep[name], sweep[name]))]
    values, low, high = (np.moveaxis(each, along, -1) for each in arrays)
    others = [axis for number, axis in enumerate(sweep.axes) if number != along]
    alike: dict[bytes, list[Index]] = {}
    for index in np.ndindex(values.shape[:-1]):
        # Single precision: what differs in the last digits of a float is the same line.
        alike.setdefault(values[index].astype(np.float32).tobytes(), []).append(index)
    groups = list(alike.values())
    if len(groups) > most:
        groups = [groups[round(at)] for at in np.linspace(0, len(groups) - 1, most)]
    shape = tuple(len(axis.values) for axis in others)
    lines = []
    for number, members in enumerate(groups):
        index = members[0]
        known = np.isfinite(values[index]) & (values[index] > 0)
        below = [float(x) for x, there in zip(sweep.axes[along].values, known, strict=True) if there]
        points = list(zip(below, values[index][known].tolist(), strict=True))
        band = list(zip(low[index][known].tolist(), high[index][known].tolist(), strict=True)) if limits else []
        place = int(np.ravel_multi_index(index, shape)) if shape and prod(shape) <= _COLOURS else number
        lines.append(SweptLine(_label(others, members), place, points, band))
    return SweptLines(sweep.axes[along].name, lines, len(alike))


def _label(axes: Sequence[Axis], members: Sequence[Index]) -> str:
    """What a line stands for: 'batch 8, any $/GPU-h', 'batch 1, 2' or, where no such list fits, 'batch 1 = batch 2'."""
    seen = [sorted({index[number] for index in members}) for number in range(len(axes))]
    if prod(map(len, seen)) == len(members):
        return ", ".join(_values(axis, at) for axis, at in zip(axes, seen, strict=True))
    named = [", ".join(_values(axis, [at]) for axis, at in zip(axes, index, strict=True)) for index in members]
    more = f" = {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return " = ".join(named[:_MOST_NAMED]) + more


def _values(axis: Axis, places: Sequence[int]) -> str:
    name = NAMES[axis.name]
    if len(places) == len(axis.values) > 1:
        return f"any {name}"
    shown = [value_shown(axis.name, axis.values[at]) for at in places]
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return f"{name} {', '.join(shown[:_MOST_NAMED])}{more}"
