"""SI numbers shown to people: '4.719 MB', '3.35 TB/s', '671B', '50 ms', '$79.44'.

`digits` is the number of significant digits; None shows the float exactly, so that
`costcalc.units.parse_quantity` reads the very same float back. What is unknown or not finite is '-'.
"""

from __future__ import annotations

import math

NOTHING = "-"
_PREFIXES = ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k"), (0, ""))
_COUNTS = ((12, "T"), (9, "B"), (6, "M"), (3, "k"), (0, ""))
_TIMES = ((0, "s"), (-3, "ms"), (-6, "us"), (-9, "ns"))
_LONG_TIMES = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (2 * 60, 60, "min"))

Steps = tuple[tuple[int, str], ...]


def format_bytes(value: float | None, digits: int | None = 4) -> str:
    """Return a size such as '4.719 MB', in decimal units.

    value: size [bytes], or None when unknown.
    digits: significant digits, or None for all of them.
    """
    return format_rate(value, "B", digits)


def format_rate(value: float | None, unit: str = "B/s", digits: int | None = 4) -> str:
    """Return a rate such as '3.35 TB/s', '989 TFLOP/s' or '12.3 ktok/s', in decimal units.

    value: rate [unit], or None when unknown.
    unit: what is counted, without a prefix.
    digits: significant digits, or None for all of them.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    number, prefix = _scaled(value, _PREFIXES, digits)
    return f"{number} {prefix}{unit}"


def format_power(value: float | None, digits: int | None = 4) -> str:
    """Return a power such as '700 W' or '1.73 kW'.

    value: power [W], or None when unknown.
    digits: significant digits, or None for all of them.
    """
    return format_rate(value, "W", digits)


def format_count(value: float | None, digits: int | None = 4) -> str:
    """Return a count such as '4,096', '131,072', '1.5M' or '671B'; below a million none is rounded.

    value: count, or None when unknown.
    digits: significant digits, or None for all of them.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if abs(value) < 1e6 and value == math.floor(value):
        return f"{int(value):,}"
    number, suffix = _scaled(value, _COUNTS, digits)
    return f"{number}{suffix}"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, such as '1 model' or '130 models'.

    number: how many.
    noun: what, in the singular.
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def capital(text: str) -> str:
    """Return text that begins with a capital letter.

    text: the text, of which the rest stays as it is.
    """
    return text[:1].upper() + text[1:]


def format_seconds(value: float | None, digits: int | None = 4) -> str:
    """Return a time such as '5 us', '50 ms', '1.5 s', '3 min' or '2.5 days'.

    value: time [s], or None when unknown.
    digits: significant digits, or None for all of them.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if digits is not None:
        for least, seconds, unit in _LONG_TIMES:
            if abs(value) >= least:
                return f"{_decimal(value / seconds, 0, digits)} {unit}"
    number, unit = _scaled(value, _TIMES, digits)
    return f"{number} {unit}"


def format_percent(value: float | None, digits: int | None = 3) -> str:
    """Return a share such as '90%' or '12.5%'.

    value: share, 1 being 100%, or None when unknown.
    digits: significant digits, or None for all of them.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{_decimal(value, -2, digits)}%"


def format_usd(value: float | None, digits: int | None = 3) -> str:
    """Return dollars such as '$0.0432', '$1.23', '$79.44' or '$12,345', with every whole dollar shown.

    value: amount [USD], or None when unknown.
    digits: significant digits below one dollar, or None for all of them.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    sign, amount = ("-", -value) if value < 0 else ("", value)
    if digits is None or amount == 0:
        return f"{sign}${_decimal(amount, 0, None)}"
    if round(amount, 2) >= 10_000:
        return f"{sign}${amount:,.0f}"
    if round(amount, digits) >= 1:
        return f"{sign}${amount:,.2f}"
    text = _decimal(amount, 0, digits)
    whole, _, fraction = text.partition(".")
    return f"{sign}${whole}.{fraction:0<2}"


def format_usd_per_hour(value: float | None, digits: int | None = 3) -> str:
    """Return a price such as '$2.00/h'.

    value: price [USD/h], or None when unknown.
    digits: significant digits below one dollar, or None for all of them.
    """
    text = format_usd(value, digits)
    return text if text == NOTHING else f"{text}/h"


def _scaled(value: float, steps: Steps, digits: int | None) -> tuple[str, str]:
    """Return the number as text in the largest unit that leaves it at 1 or more, and that unit."""
    if value == 0:
        return "0", next(unit for exponent, unit in steps if exponent == 0)
    # Rounded first, so that 999.99 GB becomes '1 TB' and never '1000 GB'.
    rounded = abs(value) if digits is None else float(f"{abs(value):.{digits - 1}e}")
    for exponent, unit in steps:
        if rounded >= float(f"1e{exponent}"):
            return _decimal(value, exponent, digits), unit
    exponent, unit = steps[-1]
    return _decimal(value, exponent, digits), unit


def _decimal(value: float, exponent: int, digits: int | None) -> str:
    """Return value / 10**exponent as decimal text without an exponent or trailing zeros."""
    text = repr(float(value)) if digits is None else f"{value:.{digits - 1}e}"
    mantissa, _, power = text.partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    point = len(whole) + int(power or 0) - exponent
    digit_text = whole + fraction
    if point <= 0:
        digit_text, point = "0" * (1 - point) + digit_text, 1
    digit_text = digit_text.ljust(point, "0")
    whole, fraction = digit_text[:point].lstrip("0") or "0", digit_text[point:].rstrip("0")
    return f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}"
