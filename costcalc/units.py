"""Quantities as people type them ('100k', '3.35 TB/s', '8xh100', '$2/h'), and how they are shown back.

Inside costcalc every number is in SI (bytes, seconds, FLOP/s, watts) and US dollars; conversions live
here, at the edge. Prefixes are decimal (GB = 1e9 bytes); GiB and Ki are powers of two.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from costcalc.errors import CostcalcError, shown
from costcalc.readable import (
    format_bytes,
    format_count,
    format_percent,
    format_power,
    format_rate,
    format_seconds,
    format_usd,
    format_usd_per_hour,
)

__all__ = [
    "UnitError",
    "format_bytes",
    "format_count",
    "format_percent",
    "format_power",
    "format_rate",
    "format_seconds",
    "format_usd",
    "format_usd_per_hour",
    "parse_count",
    "parse_machine",
    "parse_quantity",
    "parse_whole",
]


class UnitError(CostcalcError):
    """A quantity that cannot be read, or that no machine, model or bill could have."""


class _Dimension(NamedTuple):
    noun: str
    examples: str
    most: float  # larger is a slip of the keyboard, not a machine
    least: float = 0.0  # so is smaller, unless it is 0
    bare_from: float = 0.0  # a bare number below this has surely lost its unit
    bare_text: bool = True  # whether typed text may leave the unit out


_DIMENSIONS = {
    "bytes": _Dimension("a size in bytes", "'80 GB', '81559 MiB' or '80e9'", 1e18, bare_from=1e5),
    "bandwidth": _Dimension(
        "a bandwidth", "'3.35 TB/s', '900 GB/s' or '400 Gb/s' (bits)", 1e18, least=1e3, bare_from=1e5
    ),
    "flops": _Dimension("a compute rate", "'989 TFLOP/s' or '1.979 PFLOP/s'", 1e21, least=1e3, bare_from=1e5),
    "time": _Dimension("a time", "'50 ms', '0.05 s' or '5 us'", 1e10, bare_text=False),
    "power": _Dimension("a power", "'700 W' or '1.73 kW'", 1e10),
    "price_per_hour": _Dimension("a price per hour in US dollars", "'$2/h', '2 USD/h' or '2'", 1e7),
    "price": _Dimension("a price in US dollars", "'$25,000', '$25k' or '25000'", 1e13),
    "count": _Dimension("a count", "'100k', '1M', '671B' or '4,096'", 1e18),
    "ratio": _Dimension("a share", "'90%' or '0.9'", 1.0),
}

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
    "ns": (-9, 1.0), "us": (-6, 1.0), "µs": (-6, 1.0), "μs": (-6, 1.0), "ms": (-3, 1.0), "s": (0, 1.0),
    "sec": (0, 1.0), "secs": (0, 1.0), "second": (0, 1.0), "seconds": (0, 1.0),
    "min": (0, 60.0), "minute": (0, 60.0), "minutes": (0, 60.0),
    "h": (0, 3600.0), "hr": (0, 3600.0), "hour": (0, 3600.0), "hours": (0, 3600.0),
    "d": (0, 86400.0), "day": (0, 86400.0), "days": (0, 86400.0),
}  # fmt: skip
_WATTS = {"": 0, "w": 0, "W": 0, "kw": 3, "kW": 3, "KW": 3, "MW": 6, "GW": 9}
_BYTES = re.compile(r"([kmgtp]?)(i?)(|b|bytes?)|(e)(i?)(b)", re.IGNORECASE)
_BANDWIDTH = re.compile(r"([kKmMgGtTpPeE]?)(i?)(B|b|[Bb]ytes?|[Bb]its?)(/s|ps|/sec|/second)")
_FLOPS = re.compile(r"([kmgtpez]?)(?:f|(?:fl)?op(?:s|/s|s/s|ps)?)?", re.IGNORECASE)
_USD_PER_HOUR = re.compile(
    r"(?:usd|\$|dollars?)?(?:/(?:(?:gpu|accelerator|device|chip)[-/]?)?(?:h|hr|hrs|hour|hours))?"
)
_USD = re.compile(r"([kmb]?|bn|thousand|million|billion)(?:usd|\$|dollars?)?")
_COUNT = re.compile(r"([a-z]*?)(i?)(?:tokens?|params?|parameters?)?")
_MACHINE = re.compile(r"(?P<count>[+-]?[0-9][0-9.,_]*)\s*[xX×*]\s*(?P<name>.*)")

Scale = tuple[int, float]  # value = typed number * 10**exponent * factor


def parse_quantity(value: str | int | float, dimension: str, *, positive: bool = False, signed: bool = False) -> float:
    """Return the SI value of a quantity typed by a person.

    value: text such as '80 GB' or '$2/h', or a plain number already in SI.
    dimension: 'bytes', 'bandwidth' [bytes/s], 'flops' [FLOP/s], 'time' [s], 'power' [W],
        'price_per_hour' [USD/h], 'price' [USD], 'count' or 'ratio' [0 to 1].
    positive: refuse 0.
    signed: allow negative values.
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
    if bare and number != 0 and (abs(number) < rules.bare_from or _lost_unit(value, rules)):
        raise _unreadable(value, rules, "the unit is missing")
    if abs(number) > rules.most or 0 < abs(number) < rules.least:
        reason = "it must be at most 1 (100%)" if dimension == "ratio" else "it is beyond all reason"
        raise _unreadable(value, rules, reason)
    return number


def parse_count(value: str | int | float, *, positive: bool = False) -> float:
    """Return a count such as '100k' (100000), '671B' (671e9) or '64Ki' (65536) as a float.

    value: the count as typed.
    positive: refuse 0.
    Raises UnitError when it cannot be read.
    """
    return parse_quantity(value, "count", positive=positive)


def parse_whole(value: str | int | float, *, least: int = 1) -> int:
    """Return a whole count such as '8', '100k' or '4,096' as an int.

    value: the count as typed.
    least: the smallest value allowed.
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
    match = _MACHINE.fullmatch(cleaned)
    if match is None:
        if not cleaned:
            raise UnitError("the machine is empty", hint="write it like 'h100' or '8xh100'")
        return None, cleaned
    name = match["name"].strip()
    if not name or _MACHINE.fullmatch(name):
        raise UnitError(f"cannot read the machine {shown(text)}", hint="write it like 'h100' or '8xh100'")
    count = match["count"]
    if not count.isdigit() or len(count) > 7 or int(count) < 1:
        raise UnitError(
            f"the number of devices in {shown(text)} must be a whole number from 1 to 9999999",
            hint=f"write it like '8x{name}'",
        )
    return int(count), name


def _lost_unit(value: str | int | float, rules: _Dimension) -> bool:
    return isinstance(value, str) and not rules.bare_text


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
    scale = None if dollar and not dimension.startswith("price") else _SCALES[dimension](unit)
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


def _time(unit: str) -> Scale | None:
    return _SECONDS.get(unit.lower()) if unit else (0, 1.0)


def _power(unit: str) -> Scale | None:
    name = re.sub(r"[wW]atts?$", "W", unit)
    return (_WATTS[name], 1.0) if name in _WATTS else None


def _price_per_hour(unit: str) -> Scale | None:
    name = unit.lower().replace(" per ", "/").replace("per ", "/").replace(" ", "")
    return (0, 1.0) if _USD_PER_HOUR.fullmatch(name) else None


def _price(unit: str) -> Scale | None:
    match = _USD.fullmatch(unit.lower().replace(" ", ""))
    return _count(match[1]) if match else None


def _count(unit: str) -> Scale | None:
    match = _COUNT.fullmatch(unit.lower().replace(" ", ""))
    if match is None:
        return None
    name, binary = match.groups()
    if name in _COUNT_WORDS and not binary:
        return _COUNT_WORDS[name], 1.0
    return _prefixed(name, binary) if name in "kmgtp" and len(name) <= 1 else None


def _ratio(unit: str) -> Scale | None:
    return {"": (0, 1.0), "%": (-2, 1.0), "percent": (-2, 1.0)}.get(unit.lower())


_SCALES = {
    "bytes": _bytes,
    "bandwidth": _bandwidth,
    "flops": _flops,
    "time": _time,
    "power": _power,
    "price_per_hour": _price_per_hour,
    "price": _price,
    "count": _count,
    "ratio": _ratio,
}
