"""Quantities as people type them, SI floats inside, and back again: sizes, rates, times, dollars, demands.

Inside costcalc every number is in SI (bytes, seconds, FLOP/s, watts) and US dollars; conversions live
here, at the edge. Prefixes are decimal (GB = 1e9 bytes); GiB and Ki are powers of two.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal, NamedTuple

from costcalc.errors import CostcalcError, shown


class UnitError(CostcalcError):
    """A quantity that cannot be read, or that no machine, model or bill could have."""


Scale = tuple[int, float]  # value = typed number * 10**exponent * factor


class _Dimension(NamedTuple):
    noun: str
    examples: str
    scale: Callable[[str], Scale | None]  # of a unit as typed
    most: float  # larger is a slip of the keyboard, not a machine
    least: float = 0.0  # so is smaller, unless it is 0
    bare_from: float = 0.0  # a bare number below this has surely lost its unit
    bare_text: bool = True  # whether typed text may leave the unit out


_NUMBER = re.compile(
    r"(?P<dollar>\$?)\s*(?P<sign>[+-]?)\s*(?P<dollar2>\$?)\s*"
    r"(?P<mantissa>(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,6}))?\s*(?P<unit>[^0-9,._+-].*)?"
)
_NOT_FINITE = {"nan", "inf", "infinity", "."}
_EXPONENTS = {"": 0, "k": 3, "m": 6, "g": 9, "t": 12, "p": 15, "e": 18, "z": 21}
_BINARY = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50, "e": 60}
_COUNT_WORDS = {
    "b": 9, "bn": 9, "thousand": 3, "million": 6, "billion": 9, "trillion": 12,
}  # fmt: skip
_SECONDS = {
    "": (0, 1.0), "ns": (-9, 1.0), "us": (-6, 1.0), "µs": (-6, 1.0), "μs": (-6, 1.0), "ms": (-3, 1.0), "s": (0, 1.0),
    "sec": (0, 1.0), "secs": (0, 1.0), "second": (0, 1.0), "seconds": (0, 1.0),
    "min": (0, 60.0), "minute": (0, 60.0), "minutes": (0, 60.0),
    "h": (0, 3600.0), "hr": (0, 3600.0), "hour": (0, 3600.0), "hours": (0, 3600.0),
    "d": (0, 86400.0), "day": (0, 86400.0), "days": (0, 86400.0),
}  # fmt: skip
_SHARES = {"": (0, 1.0), "%": (-2, 1.0), "percent": (-2, 1.0)}
_WATTS = {"": 0, "w": 0, "W": 0, "kw": 3, "kW": 3, "KW": 3, "MW": 6, "GW": 9}
_BYTES = re.compile(r"([kmgtp]?)(i?)(|b|bytes?)|(e)(i?)(b)", re.IGNORECASE)
_BANDWIDTH = re.compile(r"([kKmMgGtTpPeE]?)(i?)(B|b|[Bb]ytes?|[Bb]its?)(/s|ps|/sec|/second)")
_FLOPS = re.compile(r"([kmgtpez]?)(?:f|(?:fl)?op(?:s|/s|s/s|ps)?)?", re.IGNORECASE)
_USD_PER_HOUR = re.compile(
    r"(?:usd|\$|dollars?)?(?:/(?:(?:gpu|accelerator|device|chip)[-/]?)?(?:h|hr|hrs|hour|hours))?"
)
_USD = r"([kmb]?|bn|thousand|million|billion)(?:usd|\$|dollars?)?"
_COUNT = r"([a-z]*?)(i?)(?:tokens?|params?|parameters?)?"
_MACHINE = re.compile(r"(?P<count>[+-]?[0-9][0-9.,_]*)\s*[xX×*]\s*(?P<name>.*)")
_RADEON = re.compile(r"(?i)[0-9]{4} ?xtx?")  # a name that begins like a count: 7900xtx


def parse_quantity(value: str | int | float, dimension: str, *, positive: bool = False, signed: bool = False) -> float:
    """Return the SI value of a quantity typed by a person.

    value: text such as '80 GB' or '$2/h', or a plain number already in SI.
    dimension: 'bytes', 'bandwidth' [bytes/s], 'flops' [FLOP/s], 'time' [s], 'power' [W],
        'price_per_hour' [USD/h], 'price' [USD], 'count' or 'ratio' [0 to 1].
    positive: refuse 0.
    Raises UnitError when it cannot be read, is not finite, or is out of all reason.
    """
    rules = _DIMENSIONS[dimension]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise _unreadable(value, rules, "")
    if isinstance(value, str):
        number, bare = _read(value, dimension, rules)
    else:
        try:
            number, bare = float(value), True
        except OverflowError:
            number, bare = math.inf, True
    if not math.isfinite(number):
        raise _unreadable(value, rules, "it is not a finite number")
    if number < 0 and not signed:
        raise _unreadable(value, rules, "it is negative")
    if number == 0 and positive:
        raise _unreadable(value, rules, "it must be greater than 0")
    if bare and number != 0 and (abs(number) < rules.bare_from or (isinstance(value, str) and not rules.bare_text)):
        raise _unreadable(value, rules, "the unit is missing")
    if abs(number) > rules.most or 0 < abs(number) < rules.least:
        reason = "it must be at most 1 (100%)" if dimension == "ratio" and number > 1 else "it is beyond all reason"
        raise _unreadable(value, rules, reason)
    return number


def parse_whole(value: str | int | float, *, least: int = 1) -> int:
    """Return a whole count such as '8', '100k' or '4,096' as an int.

    Raises UnitError when it cannot be read, has a fraction, or is below the least.
    """
    noun = "a positive integer" if least == 1 else f"an integer of at least {least}"
    try:
        number = parse_quantity(value, "count", signed=True)
    except UnitError:
        raise UnitError(f"expected {noun}, got {shown(value)}", hint="write it like '8' or '100k'") from None
    if number != math.floor(number) or number < least:
        raise UnitError(f"expected {noun}, got {shown(value)}")
    return value if isinstance(value, int) else int(number)


def parse_machine(text: str) -> tuple[int | None, str]:
    """Return the number of devices, or None when not given, and the device name of '8xh100'.

    text: a device name, optionally with a count in front, as in '8xh100', '8×h100' or 'h100'.
    Raises UnitError when the count is not a whole number of 1 or more, or the name is missing.
    """
    cleaned = " ".join(text.split())
    match = None if _RADEON.fullmatch(cleaned) else _MACHINE.fullmatch(cleaned)
    if match is None:
        if not cleaned:
            raise UnitError("the machine is empty", hint="write it like 'h100' or '8xh100'")
        return None, cleaned
    name = match["name"].strip()
    if not name or (_MACHINE.fullmatch(name) and not _RADEON.fullmatch(name)):
        raise UnitError(f"cannot read the machine {shown(text)}", hint="write it like 'h100' or '8xh100'")
    count = match["count"]
    if not count.isdigit() or len(count) > 7 or int(count) < 1:
        raise UnitError(
            f"the number of devices in {shown(text)} must be a whole number from 1 to 9999999",
            hint=f"write it like '8x{name}'",
        )
    return int(count), name


def _unreadable(value: object, rules: _Dimension, reason: str) -> UnitError:
    because = f": {reason}" if reason else ""
    return UnitError(f"{shown(value)} is not {rules.noun}{because}", hint=f"write it like {rules.examples}")


def _read(text: str, dimension: str, rules: _Dimension) -> tuple[float, bool]:
    """Return the number in SI, and whether it was typed without a unit."""
    cleaned = " ".join(text.replace("−", "-").split())
    if not cleaned:
        raise UnitError(f"expected {rules.noun}, got nothing", hint=f"write it like {rules.examples}")
    if cleaned.lower().strip("+-.$ ") in _NOT_FINITE:
        raise _unreadable(text, rules, "it is not a finite number")
    match = _NUMBER.fullmatch(cleaned) if len(cleaned) <= 64 else None
    if match is None or (match["dollar"] and match["dollar2"]):
        raise _unreadable(text, rules, "")
    dollar = bool(match["dollar"] or match["dollar2"])
    unit = match["unit"] or ""
    scale = None if dollar and not dimension.startswith("price") else rules.scale(unit)
    if scale is None:
        raise _unreadable(text, rules, f"the unit '{unit}' is unknown" if unit else "")
    # One conversion of decimal text, so that '3.3 TB/s' is exactly the float 3.3e12.
    exponent = int(match["exponent"] or 0) + scale[0]
    mantissa = match["mantissa"].replace(",", "").replace("_", "")
    number = float(f"{match['sign']}{mantissa}e{exponent}") * scale[1]
    return number, not unit and not dollar


def _bytes(unit: str) -> Scale | None:
    match = _BYTES.fullmatch(unit)
    if match is None:
        return None
    prefix, binary, suffix = match.groups()[:3] if match[1] is not None else match.groups()[3:]
    # 'Gb' is gigabits; all-lowercase 'gb' is how people type gigabytes.
    if suffix == "b" and (prefix != prefix.lower() or not prefix):
        return None
    return _prefixed(prefix, binary)


def _bandwidth(unit: str) -> Scale | None:
    if not unit:
        return 0, 1.0
    match = _BANDWIDTH.fullmatch(unit)
    if match is None:
        return None
    prefix, binary, suffix, per_second = match.groups()
    # 'Gb/s' and 'gbps' are bits, 'GB/s' is bytes; 'gb/s' may mean either, a factor of 8 apart.
    if suffix == "b" and per_second != "ps" and prefix == prefix.lower():
        return None
    exponent, factor = _prefixed(prefix, binary) or (0, 1.0)
    return exponent, factor / 8 if suffix == "b" or "it" in suffix else factor


def _prefixed(prefix: str, binary: str) -> Scale | None:
    if binary:
        return (0, 2.0 ** _BINARY[prefix.lower()]) if prefix else None
    return _EXPONENTS[prefix.lower()], 1.0


def _flops(unit: str) -> Scale | None:
    match = _FLOPS.fullmatch(unit)
    return (_EXPONENTS[match[1].lower()], 1.0) if match else None


def _power(unit: str) -> Scale | None:
    name = re.sub(r"[wW]atts?$", "W", unit)
    return (_WATTS[name], 1.0) if name in _WATTS else None


def _price_per_hour(unit: str) -> Scale | None:
    name = unit.lower().replace(" per ", "/").replace("per ", "/").replace(" ", "")
    return (0, 1.0) if _USD_PER_HOUR.fullmatch(name) else None


def _price(unit: str) -> Scale | None:
    match = re.fullmatch(_USD, unit.lower().replace(" ", ""))
    return _count(match[1]) if match else None


def _count(unit: str) -> Scale | None:
    match = re.fullmatch(_COUNT, unit.lower().replace(" ", ""))
    if match is None:
        return None
    name, binary = match.groups()
    if name in _COUNT_WORDS and not binary:
        return _COUNT_WORDS[name], 1.0
    return _prefixed(name, binary) if name in "kmgtp" and len(name) <= 1 else None


_DIMENSIONS = {
    "bytes": _Dimension("a size in bytes", "'80 GB', '81559 MiB' or '80e9'", _bytes, 1e18, 1e-9, bare_from=1e5),
    "bandwidth": _Dimension(
        "a bandwidth", "'3.35 TB/s', '900 GB/s' or '400 Gb/s' (bits)", _bandwidth, 1e18, least=1e3, bare_from=1e5
    ),
    "flops": _Dimension("a compute rate", "'989 TFLOP/s' or '1.979 PFLOP/s'", _flops, 1e21, least=1e3, bare_from=1e5),
    "time": _Dimension(
        "a time", "'50 ms', '0.05 s' or '5 µs'", lambda unit: _SECONDS.get(unit.lower()), 1e10, 1e-12, bare_text=False
    ),
    "power": _Dimension("a power", "'700 W' or '1.73 kW'", _power, 1e10, 1e-9),
    "price_per_hour": _Dimension(
        "a price per hour in US dollars", "'$2/h', '2 USD/h' or '2'", _price_per_hour, 1e7, 1e-9
    ),
    "price": _Dimension("a price in US dollars", "'$25,000', '$25k' or '25000'", _price, 1e13, 1e-9),
    "count": _Dimension("a count", "'100k', '128Ki' (131,072), '1M', '671B' or '4,096'", _count, 1e18, 1e-9),
    "ratio": _Dimension("a share", "'90%' or '0.9'", lambda unit: _SHARES.get(unit.lower()), 1.0, 1e-9),
}


# SI numbers shown to people: '4.719 MB', '3.35 TB/s', '671B', '50 ms', '$79.44'.
#
# `digits` is the number of significant digits; None shows the float exactly, so that
# `costcalc.units.parse_quantity` reads the very same float back. What is unknown or not finite is '-'.


NOTHING = "-"
_PREFIXES = ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k"), (0, ""))
_COUNTS = ((12, "T"), (9, "B"), (6, "M"), (3, "k"), (0, ""))
_TIMES = ((0, "s"), (-3, "ms"), (-6, "µs"), (-9, "ns"))
_LONG_TIMES = ((2 * 86400, 86400, "days"), (2 * 3600, 3600, "h"), (2 * 60, 60, "min"))

Steps = tuple[tuple[int, str], ...]


def format_bytes(value: float | None, digits: int | None = 4) -> str:
    """Return a size such as '4.719 MB', in decimal units.

    value: size [bytes], or None when unknown.
    digits: significant digits, or None for all of them.
    """
    return format_rate(value, "B", digits)


_BINARY_UNITS = ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B"))


def format_binary(value: float, digits: int = 3) -> str:
    """Return a size such as '79.6 GiB', in binary units, as nvidia-smi and the logs of engines count.

    value: size [bytes]. digits: significant digits.
    """
    power, unit = next((each for each in _BINARY_UNITS if value >= 2 ** each[0]), _BINARY_UNITS[-1])
    return f"{_decimal(value / 2**power, 0, digits)} {unit}"


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
    """Return a number with its noun, which is given in the singular, such as '1 model' or '130 models'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def capital(text: str) -> str:
    """Return text that begins with a capital letter; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def format_seconds(value: float | None, digits: int | None = 4) -> str:
    """Return a time such as '5 µs', '50 ms', '1.5 s', '3 min' or '2.5 days'.

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


_END = re.compile(r"(?P<before>[^\d.]*)(?P<number>\d[\d.,]*)(?P<after>\D*)")


def ends_in_one_unit(low: float, high: float, show: Callable[[float, int], str], digits: int = 2) -> tuple[str, str]:
    """Return the ends of a range in one unit, which is said once: '41' and '100 ms', '$1.14' and '2.91'.

    show: writes a number to so many digits.
    """
    first, last = show(low, digits), show(high, digits)
    a, b, exact = (_END.fullmatch(text) for text in (first, last, show(high, 15)))
    if a is None or b is None or exact is None or (a["after"] != b["after"] and not high):
        return first, last
    number = a["number"]
    if a["after"] != b["after"]:
        unit = high / float(exact["number"].replace(",", ""))
        number = f"{float(f'{low / unit:.{digits - 1}e}'):,.10g}"
    return a["before"] + number, (b["number"] if a["before"] == b["before"] else b["before"] + b["number"]) + b["after"]


class Currency(NamedTuple):
    """What amounts of money are shown in; they are computed in US dollars."""

    sign: str
    per_usd: float
    name: str = "USD"


DOLLARS = Currency("$", 1.0)
SHOWN_IN: ContextVar[Currency] = ContextVar("shown_in", default=DOLLARS)
_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}


def parse_currency(text: str) -> Currency:
    """Return the currency that 'EUR=0.92' says, of so many to a dollar; raises CostcalcError."""
    name, _, rate = text.strip().partition("=")
    if not re.fullmatch("[A-Za-z]{3}", name) or not rate:
        hint = "write it like EUR=0.92, what a US dollar is worth"
        raise CostcalcError(f"{shown(text)} is no currency", hint=hint)
    per_usd, code = parse_quantity(rate, "count", positive=True), name.upper()
    return Currency(_SIGNS.get(code, f"{code} "), per_usd, code)


@contextmanager
def shown_in(currency: Currency) -> Iterator[None]:
    """Show money in a currency while the work inside lasts."""
    before = SHOWN_IN.set(currency)
    try:
        yield
    finally:
        SHOWN_IN.reset(before)


def in_currency(text: str) -> str:
    """Return a title or a sentence whose '$' or 'dollars' is money in general in the currency shown; amounts stay."""
    money = SHOWN_IN.get()
    if money == DOLLARS:
        return text
    return re.sub(r"\$(?![0-9])", money.sign.strip(), re.sub(r"(?<!US )\b[Dd]ollars\b", money.name, text))


def format_usd(value: float | None, digits: int | None = 3) -> str:
    """Return dollars such as '$0.0432', '$1.23', '$79.44' or '$12,345', with every whole dollar shown.

    In another currency where one is `SHOWN_IN`.

    value: amount [USD], or None when unknown.
    digits: significant digits below one dollar, or None for all of them.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    currency = SHOWN_IN.get()
    sign, amount = ("-" if value < 0 else "") + currency.sign, abs(value) * currency.per_usd
    if digits is None or amount == 0:
        return f"{sign}{_decimal(amount, 0, None)}"
    if round(amount, 2) >= 10_000:
        return f"{sign}{amount:,.0f}"
    if round(amount, digits) >= 1:
        return f"{sign}{amount:,.2f}"
    text = _decimal(amount, 0, digits)
    whole, _, fraction = text.partition(".")
    return f"{sign}{whole}.{fraction:0<2}"


def format_price(value: float | None, currency: Currency | None = None) -> str:
    """Return the price of an hour such as '$2.00' or '$3.2425': with the parts of a cent that it has.

    So that price times hours is what a page says of both. Shown to four digits behind the point, and to three
    significant ones.

    value: amount [USD], or None when unknown. currency: to show it in, or None for the one that is `SHOWN_IN`.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    currency = currency or SHOWN_IN.get()
    amount = value * currency.per_usd
    whole, _, fraction = (f"{amount:,.4f}" if amount >= 0.1 else _decimal(amount, 0, 3)).partition(".")
    return f"{currency.sign}{whole}.{fraction.rstrip('0'):0<2}"


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


# Demand as people type it: '50 requests/s', '3M requests/day', '20k tokens/s', '1B tokens/day', '100 users'.


EXAMPLES = "'50 requests/s', '1B tokens/day' or '100 users'"
_WORDS: dict[str, Literal["requests", "tokens"]] = {
    "r": "requests", "req": "requests", "reqs": "requests", "request": "requests", "requests": "requests",
    "t": "tokens", "tok": "tokens", "toks": "tokens", "token": "tokens", "tokens": "tokens",
}  # fmt: skip
_PERIODS = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "min": 60.0, "minute": 60.0, "h": 3600.0, "hr": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0, "week": 7 * 86400.0, "month": 730 * 3600.0, "year": 365 * 86400.0,
}  # fmt: skip
_RATE = (
    r"(?P<count>.*?[0-9.](?:\s*[a-z]+)??)\s*(?:output\s*)?"
    rf"(?P<what>{'|'.join(sorted(_WORDS, key=len, reverse=True))})\s*(?:/|\bper\b)\s*(?P<period>[a-z]+)"
)
_SHORT = r"(?P<count>.*?[0-9.]\s*[kmbgt]?)\s*(?P<what>[rt])ps"
_BARE = r"(?P<count>.*?[0-9.]\s*[kmb]?)\s*(?:/|\bper\b)\s*(?P<period>[a-z]+)"  # of requests
_USERS = r"(?P<count>.*?[0-9.](?:\s*[a-z]+)??)\s*(?:concurrent\s*)?(?:users?|requests? (?:in flight|at once))"
_MOST, _LEAST = 1e15, 1e-10


class Demand(NamedTuple):
    """What a fleet has to serve."""

    amount: float  # per second; of users, how many
    of: Literal["requests", "tokens", "users"]  # output tokens; users ask again when they are answered

    def requests_per_s(self, output_tokens: float) -> float | None:
        """Requests per second where each has so many output tokens; None of users, whom answers bring."""
        if self.of == "users":
            return None
        return self.amount if self.of == "requests" else self.amount / output_tokens


def parse_demand(text: str) -> Demand:
    """Return a demand typed by a person.

    text: requests or output tokens per second, minute, hour, day, week, month (730 h) or year, or users, such as
        '50 requests/s', '50 rps', '50/s', '1B tokens/day', '20k tok/s' or '100 users'.
    Raises UnitError when it cannot be read.
    """
    cleaned = " ".join(text.lower().split())
    forms = (_USERS, _SHORT, _RATE, _BARE) if len(cleaned) <= 64 else ()
    match = next(filter(None, (re.fullmatch(form, cleaned) for form in forms)), None)
    if match is None:
        raise _unreadable_rate(text)
    told = match.groupdict()
    of = _WORDS[told["what"]] if "what" in told else "requests" if "period" in told else "users"
    period = _PERIODS.get(told["period"].removesuffix("s") or "s") if "period" in told else 1.0
    if period is None:
        raise _unreadable_rate(text)
    try:
        count = parse_quantity(match["count"], "count", positive=True)
    except CostcalcError:
        raise _unreadable_rate(text) from None
    if not _LEAST <= count / period <= _MOST:
        raise UnitError(f"{shown(text)} is beyond all reason", hint=f"write it like {EXAMPLES}")
    return Demand(count / period, of)


def _unreadable_rate(text: str) -> UnitError:
    return UnitError(f"{shown(text)} is not a demand", hint=f"write it like {EXAMPLES}")


# Service levels as people type them: '2s', 'p95=2s', 'p99 = 50 ms', 'mean=1s'.


STATISTICS = ("p50", "p90", "p95", "p99", "mean")
_LEVEL = re.compile(r"(?P<of>p ?[0-9.]+|[a-z]+)\s*[=:<≤]+\s*(?P<time>.*)")
_ALSO = {"median": "p50", "average": "mean", "avg": "mean"}


class Level(NamedTuple):
    """The most that a time may be, of all requests at a statistic."""

    of: str  # one of STATISTICS
    seconds: float
    told: bool = True  # whether the statistic was


def parse_level(value: str | int | float) -> Level:
    """Return a service level typed by a person, such as 'p95=2s'; a time alone is that of the median.

    Raises UnitError when it cannot be read.
    """
    typed = " ".join(value.lower().split()) if isinstance(value, str) else ""
    if typed.count("=") > 1 or _ALSO.get(typed, typed) in STATISTICS:
        what = "is no time" if typed in {*STATISTICS, *_ALSO} else "has more than one level"
        raise UnitError(f"{shown(value)} {what}", hint="write one, as in p95=2s")
    match = _LEVEL.fullmatch(typed)
    if match is None:
        return Level("p50", parse_quantity(value, "time", positive=True), told=False)
    name = match["of"].replace(" ", "")
    of = _ALSO.get(name, name)
    if of not in STATISTICS:
        raise UnitError(f"{shown(name)} is no statistic", hint=f"write p95=2s, with one of {', '.join(STATISTICS)}")
    return Level(of, parse_quantity(match["time"], "time", positive=True))
