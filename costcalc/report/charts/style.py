"""One look for every chart, light or dark; axes, legends and marks that collide with nothing; stable bytes."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import groupby, pairwise
from math import ceil, floor, isnan, log, log2, log10
from textwrap import wrap
from typing import Any

from costcalc.errors import escaped, shortened
from costcalc.predict.results import Estimate
from costcalc.report.charts import THEME
from costcalc.report.charts.library import (
    AutoLocator,
    Axes,
    Axis,
    ConstrainedLayoutEngine,
    Figure,
    FixedFormatter,
    FixedLocator,
    FuncFormatter,
    MaxNLocator,
    NullFormatter,
    ScaledTranslation,
    Text,
    findfont,
    get_font,
    get_named_colors_mapping,
    mpl,
)  # fmt: skip
from costcalc.report.estimate import price_basis
from costcalc.units import SHOWN_IN, format_count, format_percent, format_price, format_seconds, format_usd, in_currency

INK, FAINT, GRID, PAPER = "costcalc:ink", "costcalc:faint", "costcalc:grid", "costcalc:paper"
_THEMES = {
    "light": {INK: "#1f2933", FAINT: "#6b7885", GRID: "#e4e7eb", PAPER: "#ffffff"},
    "dark": {INK: "#e6eaee", FAINT: "#9aa5b1", GRID: "#323b45", PAPER: "#161b22"},
}
"""What differs between themes, by names that matplotlib reads as colours; all other colours are seen on both."""

# Okabe and Ito, "Color Universal Design" (2008): told apart with any colour vision. Their yellow is too faint on white.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9"
GREY = "#68727d"
SERIES = (BLUE, RED, GREEN, ORANGE, PURPLE, SKY, GREY, INK)
"""Colours of lines and points, in their order."""
BOUND_COLOURS = {"memory": BLUE, "compute": ORANGE, "communication": PURPLE, "overhead": GREY}

# Grouped variants are blue, lighter with less cache; latent ones are red; others have a hue each.
VARIANT_COLOURS = {
    "MHA": INK,
    "MQA": "#8fc6ea",
    "MLA absorbed": RED,
    "MLA expanded": "#f0a273",
    "Low rank": GREEN,
    "No cache": GREY,
}
_SHADES = {
    "GQA-": ("#0a5f96", BLUE, "#3f9bd0"),
    "MLA ": ("#a34700", RED, "#f0a273"),
    "SWA ": ("#7b68c8", "#5b4bb0", "#b3a8e6"),
    "DSA ": (PURPLE, "#a34d7d", "#e6b0cd"),
    "KDA ": ("#b07a00", "#f4c95d", ORANGE),
    "Linear ": ("#7c6a3a", "#a8935a", "#5c4e26"),
}
_MARKS = {
    "GQA-": "oPH", "MHA": "s", "MQA": "v", "MLA absorbed": "D", "MLA expanded": "d", "MLA ": "Dd*", "Low rank": "^",
    "No cache": "X", "SWA ": "<>8", "DSA ": "pph", "KDA ": "*", "Linear ": "h",
}  # fmt: skip
"""Marks of variants by how their names begin."""
MARKS = frozenset("o").union(*_MARKS.values())

FONT = "DejaVu Sans"
_RC: Any = {
    "font.family": FONT,
    "font.size": 10,
    "axes.edgecolor": FAINT,
    "axes.facecolor": PAPER,
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
    "savefig.facecolor": PAPER,
    "svg.hashsalt": "costcalc",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
}
LETTER, BOLD_LETTER = 0.56, 0.65
"""Width of a letter of this font over its height, about."""
SIZE, SMALLEST = 10.0, 8.5
"""Size of text, and the smallest that is still read [points]."""
_LONGEST_TITLE = 160
_MOST_ACROSS = 3
"""Panels side by side; with more of them a picture on a page is too small to read."""
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "costcalc"},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": "costcalc", "Producer": None},
}


def look() -> Any:
    """Return a context in which figures get costcalc's look, in the theme that is asked for."""
    for name, colour in _THEMES[THEME.get()].items():
        get_named_colors_mapping()[name] = colour  # one by one: what was looked up before is forgotten
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
    """Return a figure with panels under a title, as many side by side as are read on a page.

    width, height: of one panel [inches].
    """
    title = shortened(title, _LONGEST_TITLE)
    columns = min(count, _MOST_ACROSS)
    rows = ceil(count / columns)
    across = width * columns
    room = (across - 0.3) * 72  # [points]
    below = wrap(subtitle, int(room / LETTER / SMALLEST), break_on_hyphens=False) or [""]
    top = height * rows + 0.9 + 0.18 * (len(below) - 1)
    engine = ConstrainedLayoutEngine(w_pad=0.15, h_pad=0.08, rect=(0, 0, 1, 1 - (top - height * rows - 0.18) / top))
    figure = Figure(figsize=(across, top), layout=engine)
    # A long title is set smaller; conditions that would become too small to read take another line.
    size = min(14.0, room / BOLD_LETTER / max(len(title), 1))
    figure.text(0.12 / across, 1 - 0.14 / top, title, size=size, weight="bold", va="top", color=INK)
    size = min(SIZE, room / LETTER / max(len(subtitle), 1)) if len(below) == 1 else SMALLEST
    figure.text(0.12 / across, 1 - 0.43 / top, "\n".join(below), size=size, va="top", color=FAINT)
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(count)]


def held_fixed(estimates: Sequence[Estimate], *more: str, varied: Sequence[str] = ()) -> str:
    """Return the subtitle: everything that is the same in all of the answers drawn, and is not an axis.

    more: what else is to be known. varied: options that the chart has along an axis or tells of each line.
    """
    answered = [each for each in estimates if each.memory.fits] or list(estimates)
    parts = dict.fromkeys(
        part
        for names, told in _CONDITIONS
        if not set(names) & set(varied) and (part := _only({told(each) for each in answered}))
    )
    price = [] if "price" in varied else [price_basis(each.deployment for each in answered)]
    return "; ".join([*parts, *price, *more])


def _only(told: set[str]) -> str:
    return told.pop() if len(told) == 1 else ""


def _batch_told(result: Estimate) -> str:
    limit = result.limits.time_per_output_token_s
    chosen = any(each.name == "batch" for each in result.assumptions)
    if chosen and not result.demand:
        return f"layout and batch of lowest cost{f', TPOT up to {format_seconds(limit)}' if limit else ''}"
    return f"batch {format_count(result.workload.batch)}"


def _is_ideal(result: Estimate) -> bool:
    return result.deployment.efficiency == "ideal"


_CONDITIONS: Sequence[tuple[Sequence[str], Callable[[Estimate], str]]] = (
    (("input_tokens", "context"), lambda each: f"{format_count(each.workload.input_tokens)} tokens in"),
    (("output_tokens",), lambda each: f"{format_count(each.workload.output_tokens)} out"),
    (("cached",), lambda each: f"{format_percent(share)} cached" if (share := each.workload.cached_share) else ""),
    (("batch",), _batch_told),
    (("gpus", "layout"), lambda each: each.deployment.layout),
    (("weights",), lambda each: f"weights {each.deployment.precision.weights}"),
    (("kv_cache",), lambda each: f"KV cache {each.deployment.precision.kv_cache}"),
    (("backend",), lambda each: f"engine {each.deployment.backend}" if each.deployment.backend else ""),
    (
        ("efficiency",),
        lambda each: "ideal bound" if _is_ideal(each) else "efficiency as measured",
    ),
    (
        ("utilization",),
        lambda each: f"{format_percent(use)} used" if (use := each.deployment.utilization) < 1 else "",
    ),
)
"""What an answer holds fixed, and the options that vary it."""


def own_colour(name: str) -> str | None:
    """Return the colour that a variant of attention has wherever it is drawn; None for other names."""
    shades = next((shades for kind, shades in _SHADES.items() if name.startswith(kind)), None)
    return VARIANT_COLOURS.get(name) or (None if shades is None else shades[_of_its_kind(name) % len(shades)])


def own_mark(name: str) -> str:
    """Return the mark that a variant of attention has wherever it is drawn, without colours too."""
    marks = next((marks for kind, marks in _MARKS.items() if name.startswith(kind)), "o")
    return marks[_of_its_kind(name) % len(marks)]


def _of_its_kind(name: str) -> int:
    """A number of a variant among those of its kind, by its size: neighbours of 8, 16, 32 ... have others."""
    sizes = [int(each) for each in re.findall(r"[0-9]+", name.replace(",", ""))]
    return len(sizes) + 4 - sum(round(log2(max(each, 1))) for each in sizes)


def variant_colour(name: str, index: int) -> str:
    """Return the colour of a variant, of a line or of points."""
    return own_colour(name) or SERIES[index % len(SERIES)]


# Axes, legends and marks.


def name_rows(axes: Axes, names: Sequence[str]) -> None:
    """Name the rows of a panel at its left, from 0 on."""
    axes.yaxis.set_major_locator(FixedLocator(range(len(names))))
    axes.yaxis.set_major_formatter(FixedFormatter(names))
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)


def shown_ticks(axis: Any, show: Callable[[float], str]) -> None:
    """Label an axis with numbers as tables show them: a logarithmic one at 1, 2 and 5, as many as there is room for."""
    low, high = sorted(axis.get_view_interval())
    locator, minor = axis.get_major_locator(), list[float]()
    even: Any = MaxNLocator(
        max(2, min(5, int(_room(axis) / _label_room(axis, [low, high], show)))), steps=[1, 2, 2.5, 5, 10]
    )
    # What is round is so in the currency shown.
    per_usd = SHOWN_IN.get().per_usd if show in (format_usd, format_price) else 1.0
    if per_usd != 1.0:
        even = FixedLocator([each / per_usd for each in even.tick_values(low * per_usd, high * per_usd)])
    if axis.get_scale() == "log":
        places, every = _log_places(axis, low, high, show, per_usd)
        # So short an axis has one of 1, 2 and 5, or two: even steps are labelled.
        axis.set_major_locator(FixedLocator(places) if places else even)
        minor = every if places else []
    elif isinstance(locator, FixedLocator) and axis.axis_name == "x":
        axis.set_major_locator(FixedLocator(_thinned(axis, axis.get_majorticklocs(), show)))
    elif not isinstance(locator, FixedLocator | MaxNLocator) or isinstance(locator, AutoLocator):
        axis.set_major_locator(even)
    axis.set_minor_locator(FixedLocator(minor))
    axis.set_major_formatter(FuncFormatter(lambda value, _: re.sub(r"\.00$", "", show(float(f"{value:.12g}")))))
    axis.set_minor_formatter(NullFormatter())


def _log_places(
    axis: Any, low: float, high: float, show: Callable[[float], str], per: float = 1.0
) -> tuple[list[float], list[float]]:
    """Places at 1, 2 and 5 of every decade of which labels have room, none where they are too few, and all of them.

    per: of the unit shown, in which places are round, to one of the axis.
    """
    decades = range(floor(log10(low * per)), ceil(log10(high * per)) + 1)
    length = log10(high / low)

    def within(steps: Sequence[float], every: int = 1) -> list[float]:
        found = [float(f"{step}e{power}") / per for power in decades if power % every == 0 for step in steps]
        return [each for each in found if low * 0.999 <= each <= high * 1.001]

    all_places = within((1, 2, 5))
    for places in (all_places, within((1, 5)), *(within((1,), every) for every in (1, 2, 3, 4, 6))):
        gaps = [log10(after / before) / length for before, after in pairwise(places)]
        if len(all_places) > 2 and len(places) > 1 and min(gaps) * _room(axis) >= _label_room(axis, places, show):
            return places, all_places
    return [], all_places


def _thinned(axis: Any, places: Sequence[float], show: Callable[[float], str]) -> list[float]:
    """Every place that was set, or every second, third ..., such that labels have room."""
    ends = axis.get_view_interval()
    along = log if axis.get_scale() == "log" else float
    length = abs(along(ends[1]) - along(ends[0])) or 1.0
    for every in range(1, len(places) + 1):
        some = list(places[::every])
        gaps = [abs(along(after) - along(before)) / length for before, after in pairwise(some)]
        if not gaps or min(gaps) * _room(axis) >= _label_room(axis, some, show):
            return some
    return list(places[:1])


def _room(axis: Any) -> float:
    """Length of an axis [points], before the layout takes its share for labels beside it."""
    box, figure = axis.axes.get_window_extent(), axis.axes.figure
    if axis.axis_name == "y":
        return float(0.85 * box.height * 72 / figure.dpi)
    names = axis.axes.yaxis.get_major_formatter()
    if isinstance(names, FixedFormatter):
        longest = max((len(line) for each in names.seq for line in each.split("\n")), default=0)
        return float(max(1.2 * box.width * 72 / figure.dpi - longest * LETTER * SIZE, 60.0))
    return float(0.8 * box.width * 72 / figure.dpi)


def _label_room(axis: Any, places: Sequence[float], show: Callable[[float], str]) -> float:
    """What the widest label takes along an axis, with its distance to the next [points]."""
    if axis.axis_name == "y":
        return 1.7 * SIZE
    return (max(len(in_currency(show(each))) for each in places) * LETTER + 0.9) * SIZE


def legend_below(axes: Axes, handles: Sequence[Any] = (), title: str | None = None, **how: Any) -> None:
    """Name lines under the panel, where they cover nothing."""
    found = list(handles) or axes.get_legend_handles_labels()[0]
    if not found:
        return
    longest = max(len(str(each.get_label())) for each in found)
    room = axes.get_window_extent().width * 72 / axes.figure.dpi
    columns = max(1, min(len(found), 4, int(room / ((longest + 5) * 0.6 * SMALLEST))))
    below = 24 + (16 + 14 * axes.get_xlabel().count("\n") if axes.get_xlabel() else 0)  # [points]
    drop = axes.transAxes + ScaledTranslation(0, -below / 72, axes.figure.dpi_scale_trans)
    axes.legend(
        handles=found, title=title, loc="upper left", bbox_to_anchor=(0.0, 0.0), bbox_transform=drop, ncols=columns,
        frameon=False, fontsize=SMALLEST, title_fontsize=SMALLEST, labelspacing=0.3, borderaxespad=0.0,
        alignment="left", **how,
    )  # fmt: skip


def mark_end(axes: Axes, x: float, y: float, colour: str) -> None:
    """Mark where a line ends because what lies beyond does not fit."""
    axes.plot([x], [y], "x", color=colour, ms=7, mew=1.8, zorder=5, clip_on=False)


ENDS = "×: beyond it nothing fits"
"""What `mark_end` means."""


def say_below(figure: Figure, remarks: Sequence[str]) -> None:
    """Say at the foot of a chart what is to be known of its lines and marks."""
    if not remarks:
        return
    width = figure.get_figwidth()
    text = "; ".join(dict.fromkeys(remarks))
    lines = wrap(text, int((width - 0.3) * 72 / LETTER / SMALLEST), break_on_hyphens=False)
    figure.supxlabel("\n".join(lines), x=0.12 / width, ha="left", size=SMALLEST, color=FAINT)


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


def name_ends(axes: Axes, ends: Sequence[End]) -> list[str]:
    """Name lines at their right ends, the names moved apart where lines lie close; return those that lie outside."""
    shares = [(share_along(axes.xaxis, x), share_along(axes.yaxis, y)) for *_, x, y in ends]
    inside = [(*end[:2], *share) for end, share in zip(ends, shares, strict=True) if 0 <= share[1] <= 1]
    places = spread([y for *_, y in inside], 0.055)
    point = axes.figure.dpi / 72 / axes.get_window_extent().width
    beside: Any = {"transform": axes.transAxes, "clip_on": False, "in_layout": False}
    for (name, colour, x, y), place in zip(inside, places, strict=True):
        # The name in ink, which is read on any ground, after a dash in the colour of the line.
        axes.plot([x, 1 + 11 * point], [y, place], color=colour, lw=0.7, alpha=0.6, **beside)
        axes.plot([1 + 11 * point, 1 + 18 * point], [place, place], color=colour, lw=2.4, **beside)
        axes.text(1 + 24 * point, place, name, size=9, va="center", transform=axes.transAxes)
    return [end[0] for end, share in zip(ends, shares, strict=True) if not 0 <= share[1] <= 1]


def share_along(axis: Any, value: float) -> float:
    """Where a value lies along an axis, from 0 to 1."""
    low, high = axis.get_view_interval()
    along = log if axis.get_scale() == "log" else float
    return (along(value) - along(low)) / (along(high) - along(low))


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
