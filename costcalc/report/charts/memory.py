"""The ladder of memory: what of a GPU is weights, workspace and cache, and how many users fit for it."""

from __future__ import annotations

from collections.abc import Sequence

from costcalc.explore.ladder import Rung
from costcalc.predict.predict import UNBOUNDED
from costcalc.predict.results import Estimate
from costcalc.report.charts.library import Axes, Patch
from costcalc.report.charts.style import BLUE, GREY, INK, ORANGE, PAPER, RED, legend_below, name_rows, shown_ticks
from costcalc.units import format_bytes, format_count

PARTS = {"weights": BLUE, "workspace, and what the engine leaves free": GREY, "KV cache": ORANGE}
"""What fills a GPU's memory, from zero on."""


def draw_memory(axes: Axes, rungs: Sequence[Rung], length: str, *, named: bool = True) -> list[str]:
    """Draw the memory of one GPU of each rung as a bar from zero, and how many users all hold; return what to say.

    length: of each of them, in words. named: whether the rungs have their names at the left.
    """
    most = BEYOND * max(each.capacity_bytes for each in rungs)
    for row, each in enumerate(rungs):
        beside = max(each.capacity_bytes - each.weights_bytes - each.cache_bytes, 0.0)
        start = 0.0
        for width, colour in zip((each.weights_bytes, beside, each.cache_bytes), PARTS.values(), strict=True):
            axes.barh(row, min(width, most - start), left=start, height=0.62, color=colour, lw=0)
            start = min(start + width, most)
        # The end of the GPU: weights beyond it are what does not fit.
        axes.plot([each.capacity_bytes] * 2, [row - 0.4, row + 0.4], color=INK, lw=1.6)
        end = _end(each, most)
        if end > each.capacity_bytes:
            axes.barh(
                row, end - each.capacity_bytes, left=each.capacity_bytes, height=0.62, color="none", edgecolor=RED,
                hatch="////", lw=0,
            )  # fmt: skip
        if each.weights_bytes > most:  # what goes on beyond the axis is torn off
            for tear in (0.972, 0.986):
                axes.plot([most * (tear - 0.006), most * (tear + 0.006)], [row + 0.4, row - 0.4], color=PAPER, lw=2.5)
        axes.annotate(
            _told(each), (end, row), xytext=(6, 0), textcoords="offset points", va="center", size=9,
            color=INK if each.sequences else RED,
        )  # fmt: skip
    name_rows(axes, [each.name for each in rungs] if named else [""] * len(rungs))
    # What is said behind a bar ends inside: its letters are about a hundredth of such a panel each.
    ends = [_end(x, most) / (1 - 0.0155 * (len(_told(x)) + 3)) for x in rungs]
    axes.set(ylim=(len(rungs) - 0.5, -0.5), xlim=(0, max(ends)))
    shown_ticks(axes.xaxis, lambda value: format_bytes(value) if value else "0")
    axes.set_xlabel("memory of one GPU, which ends at the line")
    axes.set_title("Memory of a GPU, and users that fit on all")
    legend_below(axes, [Patch(color=colour, label=name) for name, colour in PARTS.items()])
    told = [f"users: sequences {length}, on all replicas at once, as memory holds them; limits of time may allow fewer"]
    if any(each.weights_bytes > most for each in rungs):
        told.append("hatched: weights beyond the GPU; where torn off, they go on as far as is written")
    return told


BEYOND = 1.3
"""The axis shows so much of the largest GPU: weights of several times that would leave the others slivers."""


def _end(rung: Rung, most: float) -> float:
    """Where a bar ends on an axis that shows so many bytes."""
    return max(rung.capacity_bytes, min(rung.weights_bytes, most))


def length_told(estimates: Sequence[Estimate]) -> str:
    """How long the sequences of users are, whose cache has to fit."""
    loads = [each.workload for each in estimates]
    # A context that was asked for is the whole length; else a prompt grows by its answer.
    whole = {x.context_tokens + x.output_tokens * (x.context_tokens > x.input_tokens) / 2 for x in loads}
    return f"of {format_count(whole.pop())} tokens" if len(whole) == 1 else "of the lengths of each"


def _told(rung: Rung) -> str:
    if rung.sequences >= UNBOUNDED:
        return "any number of users"
    if rung.sequences:
        return f"{format_count(rung.sequences)} {'user' if rung.sequences == 1 else 'users'}"
    over = rung.weights_bytes - rung.capacity_bytes
    return f"{format_bytes(over)} too much" if over > 0 else "not one user fits"
