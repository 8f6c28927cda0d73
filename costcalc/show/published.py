"""Published figures beside costcalc's as a page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from costcalc.measured.published import Compared, Published, PublishedCase
from costcalc.readable import NOTHING
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import DASH

MISSED = "†"
_FOLLOWS = {
    "exact": "Follows from the stated inputs",
    "measured": "Measured",
    "modelled": "Answers of other models",
}


def published_page(compared: Sequence[Compared]) -> list[Block]:
    """Return published figures beside costcalc's as a page.

    compared: the figures.
    """
    page: list[Block] = [Line("Published against costcalc", "title"), Line()]
    for follows, heading in _FOLLOWS.items():
        rows = [each for each in compared if each.follows == follows]
        if rows:
            page += [
                Line(heading, "heading"),
                Grid(_columns(rows), [_cells(each) for each in rows], split=False),
                *_missed(rows),
            ]
            page.append(Line())
    page += [*_sources(compared), *_notes(compared)]
    return page


def papers_page(published: Published) -> list[Block]:
    """Return the publications that figures are known of as a page.

    published: the figures.
    """
    columns = (Column("name", role="value"), Column("figures", right=True), Column("publications"))
    rows = [(name, str(len(cases)), _titles(published, cases)) for name, cases in published.papers().items()]
    hint = "Compare with: costcalc validate --against NAME, or all"
    return [Grid(columns, rows, indent=0), Line(), Line(hint, "dim")]


def papers_tree(published: Published) -> list[dict[str, object]]:
    """Return the publications that figures are known of as plain dictionaries.

    published: the figures.
    """
    return [
        {"name": name, "figures": len(cases), "publications": _titles(published, cases)}
        for name, cases in published.papers().items()
    ]


def _titles(published: Published, cases: Sequence[PublishedCase]) -> str:
    return "; ".join(dict.fromkeys(published.sources[case.source.of].title for case in cases))


def _columns(rows: Sequence[Compared]) -> tuple[Column, ...]:
    ranged = rows[0].follows != "exact"
    return (
        Column("published", right=True),
        Column("costcalc", right=True, role="headline"),
        *((Column("80% range", role="dim", spare=True, keep=1),) if ranged else ()),
        Column("unit"),
        Column("off", right=True),
        Column("", role="value", wrap=True),
    )


def _cells(each: Compared) -> tuple[str, ...]:
    low_high = "" if each.low is None or each.high is None else f"[{figure(each.low, 3)}{DASH}{figure(each.high, 3)}]"
    ranged = (low_high,) if each.follows != "exact" else ()
    return (
        figure(each.published, 6),
        figure(each.predicted, 4),
        *ranged,
        each.unit,
        NOTHING if each.error is None else f"{each.error:+.1%}{MISSED if _outside(each) else ''}",
        each.statement + (" (recalled)" if each.provenance == "recalled" else ""),
    )


def _outside(each: Compared) -> bool:
    """Whether a measured figure lies outside of the range that costcalc gives."""
    if each.follows != "measured" or each.low is None or each.high is None:
        return False
    return not each.low <= each.published <= each.high


def _missed(rows: Sequence[Compared]) -> Iterator[Block]:
    outside = sum(_outside(each) for each in rows)
    if outside:
        text = f"{MISSED} outside of the range: {outside} of {len(rows)}."
        text += " `costcalc validate` tells how often ranges hold over all measurements."
        yield Line(text, "dim", wrap=True, indent=2)


def figure(value: float | None, digits: int) -> str:
    """Return a figure with a number of digits, or '-' without one.

    value: in its own unit.
    digits: significant ones.
    """
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{float(f'{value:.{digits - 1}e}'):,.0f}"
    return f"{value:.{digits}g}"


def _sources(compared: Sequence[Compared]) -> Iterator[Block]:
    yield Line("Sources", "heading")
    for title, url in dict.fromkeys((each.title, each.url) for each in compared):
        yield Line(f"{title} <{url}>", "dim", wrap=True, indent=2)
    yield Line()


def _notes(compared: Sequence[Compared]) -> Iterator[Block]:
    noted = [f"{each.statement}: {each.note}" for each in compared if each.note]
    failed = [f"{each.statement}: not answered: {each.failed}" for each in compared if each.failed]
    if noted or failed:
        yield Line("Notes", "heading")
        yield from (Line(text, wrap=True, indent=2) for text in [*failed, *noted])
        yield Line()
