"""Parts that several pages have: marks of defaults, the footnotes to them, notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.explore.result import Assumption, Estimate
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import MARK


def marked(result: Estimate, name: str, text: str) -> str:
    """Return text with the mark of a default, where the value was not given.

    result: the estimate.
    name: the assumption's name.
    text: the value as shown.
    """
    return text + (MARK if any(each.name == name for each in result.assumptions) else "")


def defaults_taken(assumptions: Sequence[Assumption]) -> Iterator[Block]:
    """Yield the footnotes to the marks: what was taken, why, and the option that overrides it.

    assumptions: the defaults taken.
    """
    if not assumptions:
        return
    yield Line(f"{MARK} taken by default; to override:", "dim")
    # A long reason, such as the source of a price, stands below: in the grid it would cost all others their place.
    rows = [(_named(each), each.value, each.override, each.why if _is_short(each) else "") for each in assumptions]
    yield Grid(
        (Column(role="dim"), Column(role="dim"), Column(role="dim"), Column(role="dim", keep=1, wrap=True)), rows
    )
    for each in assumptions:
        if not _is_short(each):
            yield Line(f"{_named(each)}: {each.why}", "dim", wrap=True, indent=2)


def _named(assumption: Assumption) -> str:
    return assumption.name.replace("_", " ")


def _is_short(assumption: Assumption) -> bool:
    return len(assumption.why) <= 52


def notes(texts: Sequence[str]) -> Iterator[Block]:
    """Yield notes, one paragraph each.

    texts: the notes.
    """
    if texts:
        yield Line("Notes", "heading")
        yield from (Line(text, wrap=True, indent=2) for text in texts)
        yield Line()
