"""One look for every chart, lines that run along each other, files that are the same byte for byte."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby, pairwise
from math import isnan, log
from textwrap import wrap
from typing import Any

from costcalc.errors import escaped, shortened
from costcalc.report.charts.library import (
    Axes,
    Axis,
    ConstrainedLayoutEngine,
    Figure,
    FixedFormatter,
    FuncFormatter,
    MaxNLocator,
    NullLocator,
    Text,
    findfont,
    get_font,
    mpl,
)  # fmt: skip
from costcalc.units import in_currency

INK = "#1f2933"
FAINT = "#7b8794"
GRID = "#e4e7eb"

BOUND_COLOURS = {"memory": "#2f6fab", "compute": "#e0952b", "communication": "#8f4fa8", "overhead": "#9aa5b1"}

# Grouped variants are shades of one blue, darker with more cache; latent ones are red; others have a hue each.
VARIANT_COLOURS = {
    "MHA": "#0b2f5b",
    "MQA": "#7cc0ea",
    "MLA absorbed": "#d64545",
    "MLA expanded": "#f0a3a3",
    "Low rank": "#3f9142",
    "No cache": "#9aa5b1",
}
_SHADES = {
    "GQA-": ("#15508f", "#2f7cc4", "#539fdc"),
    "MLA ": ("#8f1d1d", "#e0952b", "#b5651d"),
    "SWA ": ("#0f9b8e", "#0a6b62", "#5fcfc4"),
    "DSA ": ("#e377c2", "#a8327f", "#f2b0dd"),
    "KDA ": ("#8f4fa8", "#5e2d73", "#bd8fd0"),
    "Linear ": ("#7c5e10", "#b8901f", "#4d3a08"),
}
_OTHERS = (
    "#2f6fab", "#d64545", "#3f9142", "#e0952b", "#8f4fa8", "#0f9b8e",
    "#9aa5b1", "#7c5e10", "#e377c2", "#1f2933", "#9acd32", "#5bc0eb",
)  # fmt: skip

FONT = "DejaVu Sans"
_RC: Any = {
    "font.family": FONT,
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # dollars are dollars: two of them in one text would be read as mathematics
    "savefig.facecolor": "white",
    "svg.hashsalt": "costcalc",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}
LETTER, BOLD_LETTER = 0.54, 0.62
"""Width of a letter of this font over its height, about."""
SMALLEST = 8.5
"""Size of text that is still read [points]."""
_LONGEST_TITLE = 160
_SHORT = 20.0
"""A logarithmic axis that is shorter may hold one power of ten or none, and is labelled in even steps."""
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "costcalc"},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": "costcalc", "Producer": None},
}


def look() -> Any:
    """Return a context in which figures get costcalc's look."""
    return mpl.rc_context({**{name: mpl.rcParamsDefault[name] for name in mpl.rcParams if name != "backend"}, **_RC})


def saved(figure: Figure, suffix: str) -> bytes:
    """Return a figure as the content of a file.

    suffix: '.png', '.svg' or '.pdf'.
    """
    kind = suffix.lower().lstrip(".")
    for text in figure.findobj(Text):
        text.set_text(_drawable(text.get_text()))
    for axis in figure.findobj(Axis):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FixedFormatter):
            formatter.seq = [_drawable(each) for each in formatter.seq]
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=160, metadata=_METADATA[kind])
    return content.getvalue()


def _drawable(text: str) -> str:
    """Text as the font has it: other signs, and those that would break a file, by their numbers."""
    lines = ["".join(map(_sign, in_currency(escaped(line)))) for line in text.split("\n")]
    return "\n".join(lines)


@cache
def _sign(sign: str) -> str:
    known = get_font(findfont(FONT)).get_char_index(ord(sign)) or sign.isascii()
    return sign if known else sign.encode("unicode_escape").decode("ascii")


def panels(count: int, title: str, subtitle: str, width: float = 6.2, height: float = 5.0) -> tuple[Figure, list[Axes]]:
    """Return a figure with panels side by side under a title.

    width, height: of one panel [inches].
    """
    title = shortened(title, _LONGEST_TITLE)
    across = width * count
    room = (across - 0.3) * 72  # [points]
    below = wrap(subtitle, int(room / LETTER / SMALLEST), break_on_hyphens=False) or [""]
    top = height + 0.9 + 0.18 * (len(below) - 1)
    engine = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.08, rect=(0, 0, 1, 1 - (top - height - 0.18) / top))
    figure = Figure(figsize=(across, top), layout=engine)
    # A long title is set smaller; conditions that would become too small to read take another line.
    size = min(14.0, room / BOLD_LETTER / max(len(title), 1))
    figure.text(0.12 / across, 1 - 0.14 / top, title, size=size, weight="bold", va="top", color=INK)
    size = min(10.0, room / LETTER / max(len(subtitle), 1)) if len(below) == 1 else SMALLEST
    figure.text(0.12 / across, 1 - 0.43 / top, "\n".join(below), size=size, va="top", color=FAINT)
    return figure, [figure.add_subplot(1, count, index + 1) for index in range(count)]


def variant_colour(name: str, index: int) -> str:
    """Return the colour of a variant, a model or a GPU."""
    if name in VARIANT_COLOURS:
        return VARIANT_COLOURS[name]
    for kind, shades in _SHADES.items():
        if name.startswith(kind):
            return shades[(index - 1) % len(shades)]
    return _OTHERS[index % len(_OTHERS)]


def shown_ticks(axis: Any, show: Any) -> None:
    """Label an axis with numbers as tables show them, however short it is."""
    low, high = sorted(axis.get_view_interval())
    if axis.get_scale() == "log" and high < low * _SHORT:
        axis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: show(value)))
    axis.set_minor_formatter(FuncFormatter(lambda _value, _place: ""))


def spread(heights: Sequence[float], gap: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Return heights of labels moved apart so that none covers another, as near to their own as can be.

    heights: where they would stand, as shares of the axis.
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    placed = list(heights)
    for before, index in pairwise(order):
        placed[index] = max(placed[index], placed[before] + gap)
    over = placed[order[-1]] - high if order else 0.0
    if over > 0:
        placed[order[-1]] = high
        for index, after in zip(reversed(order[:-1]), reversed(order), strict=False):
            placed[index] = max(low, min(placed[index], placed[after] - gap))
    return placed


End = tuple[str, str, float, float]
"""A line's name, its colour, and the point where it ends at the right."""


def name_ends(axes: Axes, ends: Sequence[End]) -> None:
    """Name lines of a logarithmic axis at their right ends, the names moved apart where lines lie close."""
    low, high = (log(edge) for edge in axes.get_ylim())
    inside = [each for each in ends if low <= log(each[3]) <= high]
    places = spread([(log(y) - low) / (high - low) for *_, y in inside], 0.05)
    leader = {"arrowstyle": "-", "color": "#cbd2d9", "lw": 0.6, "shrinkA": 1, "shrinkB": 1, "relpos": (0.0, 0.5)}
    for (name, colour, x, y), place in zip(inside, places, strict=True):
        axes.annotate(
            name, (x, y), xytext=(1.04, place), textcoords="axes fraction", color=colour, size=9, va="center",
            arrowprops=leader, annotation_clip=False,
        )  # fmt: skip
    if outside := [each[0] for each in ends if each not in inside]:
        text = f"off the chart: {', '.join(outside)} "
        axes.text(0.995, 0.01, text, transform=axes.transAxes, ha="right", size=8, color=FAINT)


# Lines that run along each other, drawn so that none hides another.


_ALIKE = 0.02
"""Values that differ by no more than this share are drawn over each other."""
_PERIOD = 10.0

Line = Mapping[float, float]
"""The values of a line by their places along the bottom; what is not a number is a gap."""


def draw_over(axes: Axes, line: Line, before: Sequence[Line], label: str | None = None, **look: Any) -> None:
    """Draw a line; where it runs along lines that are there already, in dashes through which they are seen.

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
