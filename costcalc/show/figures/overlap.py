"""Lines that run along each other, drawn so that none hides another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from math import isnan
from typing import Any

from matplotlib.axes import Axes

_ALIKE = 0.02
"""Values that differ by no more than this share are drawn over each other."""
_PERIOD = 10.0

Line = Mapping[float, float]
"""The values of a line by their places along the bottom; what is not a number is a gap."""


def draw_over(axes: Axes, line: Line, before: Sequence[Line], label: str | None = None, **look: Any) -> None:
    """Draw a line; where it runs along lines that are there already, in dashes through which they are seen.

    axes: where to draw.
    line: the line.
    before: the lines that are there already.
    label: its name in the legend.
    look: colour, width and the like.
    """
    solid = look.pop("ls", "-")
    for covered, xs in _stretches(line, before):
        # Each further line covers half as much of every dash as the one under it.
        on = _PERIOD / 2**covered
        style = (0, (on, _PERIOD - on)) if covered else solid
        axes.plot(xs, [line[x] for x in xs], ls=style, label=label, **look)
        label = None


def _stretches(line: Line, before: Sequence[Line]) -> Iterator[tuple[int, list[float]]]:
    """Yield runs of neighbouring places, and how many of the lines before run along there."""
    places = sorted(line)
    if len(places) < 2:
        yield 0, places
        return
    beside = [{number for number, other in enumerate(before) if _alike(line[x], other.get(x))} for x in places]
    between = [
        None if isnan(line[left] + line[right]) else len(beside[number] & beside[number + 1])
        for number, (left, right) in enumerate(pairwise(places))
    ]
    start = 0
    for covered, group in groupby(between):
        end = start + len(list(group))
        if covered is not None:
            yield covered, places[start : end + 1]
        start = end


def _alike(value: float, other: float | None) -> bool:
    return other is not None and abs(value - other) <= _ALIKE * abs(other)
