"""Numbers and ranges as tables show them."""

from __future__ import annotations

from collections.abc import Callable

from costcalc.explore.result import Range
from costcalc.readable import NOTHING, format_rate, format_seconds, format_usd

MARK = "°"
"""Stands behind a value that was not given but taken by default."""

DASH = "–"


def span(limits: Range | None, show: Callable[[float, int], str]) -> str:
    """Return a range as '[23–34]', to two digits, or nothing where there is none.

    limits: low and high.
    show: how one of them is written with a number of digits.
    """
    return "" if limits is None else f"[{show(limits[0], 2)}{DASH}{show(limits[1], 2)}]"


def usd(value: float | None) -> str:
    """Return dollars as '$1.23', or '-' where unknown."""
    return format_usd(value)


def dollars_span(limits: Range | None) -> str:
    """Return a range of dollars as '[$0.68–$0.99]', in whole dollars from a hundred on."""
    return span(limits, lambda value, digits: f"${value:,.0f}" if value >= 100 else format_usd(value, digits))


def speed(value: float | None, digits: int = 3) -> str:
    """Return tokens per second such as '27.9' or '10,700', without the unit."""
    if value is None:
        return NOTHING
    if value >= 1000:
        rounded = float(f"{value:.{digits - 1}e}")
        return f"{rounded:,.0f}"
    return format_rate(value, "", digits).strip()


def seconds(value: float | None, digits: int = 3) -> str:
    """Return a time such as '35.9 ms'."""
    return format_seconds(value, digits)


def times(value: float | None) -> str:
    """Return a ratio such as '1.8×', or '-' where unknown."""
    if value is None:
        return NOTHING
    if value >= 1000:
        return f"{value:,.0f}×"
    return f"{format_rate(value, '', 3).strip()}×"


def bar(share: float, width: int) -> str:
    """Return a bar that fills a share of its width, to an eighth of a character.

    share: 0 to 1; less is shown as nothing and more as full.
    width: characters.
    """
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
