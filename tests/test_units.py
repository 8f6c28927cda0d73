"""Quantities as people type them, and back."""

import math
import subprocess
import sys

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from random_specs import AMOUNTS

from costcalc import units
from costcalc.errors import CostcalcError
from costcalc.units import UnitError, counted, parse_machine, parse_quantity, parse_whole

# Definitions: SI prefixes (BIPM brochure, 9th edition, table 7) and binary ones (IEC 80000-13).
READ = [
    ("80 GB", "bytes", 80e9),
    ("80GB", "bytes", 80e9),
    ("80gb", "bytes", 80e9),
    ("80G", "bytes", 80e9),
    ("80e9", "bytes", 80e9),
    ("80000000000", "bytes", 80e9),
    ("80,000,000,000 B", "bytes", 80e9),
    ("81559 MiB", "bytes", 81559 * 2**20),
    ("1 GiB", "bytes", 2**30),
    ("1 Gi", "bytes", 2**30),
    ("50 MB", "bytes", 50e6),
    ("576 B", "bytes", 576),
    ("576 bytes", "bytes", 576),
    ("1.5 TB", "bytes", 1.5e12),
    ("\u00a080\u00a0GB ", "bytes", 80e9),
    (80e9, "bytes", 80e9),
    (80_000_000_000, "bytes", 80e9),
    ("3.35 TB/s", "bandwidth", 3.35e12),
    ("3.3TB/s", "bandwidth", 3.3e12),
    ("900 GB/s", "bandwidth", 900e9),
    ("900 GB/sec", "bandwidth", 900e9),
    ("50 GBps", "bandwidth", 50e9),
    ("400 Gb/s", "bandwidth", 50e9),
    ("400Gbps", "bandwidth", 50e9),
    ("400 gbps", "bandwidth", 50e9),
    ("400 Gbit/s", "bandwidth", 50e9),
    ("1 TiB/s", "bandwidth", 2**40),
    ("3.35e12", "bandwidth", 3.35e12),
    ("989 TFLOP/s", "flops", 989e12),
    ("989 TFLOPS", "flops", 989e12),
    ("989 TFLOPs", "flops", 989e12),
    ("989TFLOPs/s", "flops", 989e12),
    ("989 tflops", "flops", 989e12),
    ("1.979 PFLOP/s", "flops", 1.979e15),
    ("1979 TOPS", "flops", 1.979e15),
    ("1979 TOP/s", "flops", 1.979e15),
    ("100k", "count", 1e5),
    ("100K", "count", 1e5),
    ("1M", "count", 1e6),
    ("671B", "count", 671e9),
    ("671 billion", "count", 671e9),
    ("14.8T", "count", 14.8e12),
    ("37e9", "count", 37e9),
    ("64Ki", "count", 65536),
    ("4,096", "count", 4096),
    ("4_096", "count", 4096),
    ("128k tokens", "count", 128e3),
    ("0", "count", 0),
    ("$2/h", "price_per_hour", 2),
    ("2", "price_per_hour", 2),
    (2, "price_per_hour", 2),
    ("$2", "price_per_hour", 2),
    ("$2.00/hour", "price_per_hour", 2),
    ("2 USD/h", "price_per_hour", 2),
    ("2 $/h", "price_per_hour", 2),
    ("$2 per hour", "price_per_hour", 2),
    ("$2/GPU-hour", "price_per_hour", 2),
    ("$.50/h", "price_per_hour", 0.5),
    ("$25,000", "price", 25e3),
    ("$25k", "price", 25e3),
    ("1.2M USD", "price", 1.2e6),
    ("50 ms", "time", 0.05),
    ("0.05s", "time", 0.05),
    ("5us", "time", 5e-6),
    ("5 µs", "time", 5e-6),
    ("30 ns", "time", 30e-9),
    ("2 min", "time", 120),
    ("1.5 h", "time", 5400),
    ("3 days", "time", 259200),
    (0.05, "time", 0.05),
    ("700 W", "power", 700),
    ("700", "power", 700),
    ("1.73 kW", "power", 1730),
    ("1.2 MW", "power", 1.2e6),
    ("90%", "ratio", 0.9),
    ("0.9", "ratio", 0.9),
    ("12.5 %", "ratio", 0.125),
    ("100%", "ratio", 1),
]

REFUSED = [
    ("", "bytes", "expected a size in bytes, got nothing"),
    ("   ", "time", "expected a time, got nothing"),
    ("80", "bytes", "the unit is missing"),
    (80, "bytes", "80 is not a size in bytes: the unit is missing"),
    ("3.35", "bandwidth", "the unit is missing"),
    (989, "flops", "the unit is missing"),
    ("50", "time", "the unit is missing"),
    ("80 Gb", "bytes", "the unit 'Gb' is unknown"),
    ("80 GB/s", "bytes", "the unit 'GB/s' is unknown"),
    ("3.35 TB", "bandwidth", "the unit 'TB' is unknown"),
    ("3.35 tb/s", "bandwidth", "the unit 'tb/s' is unknown"),
    ("700 GW/h", "power", "the unit 'GW/h' is unknown"),
    ("3,35 TB/s", "bandwidth", "is not a bandwidth"),
    ("GB", "bytes", "'GB' is not a size in bytes"),
    ("80 GB GB", "bytes", "the unit 'GB GB' is unknown"),
    ("nan", "count", "it is not a finite number"),
    ("inf", "price_per_hour", "it is not a finite number"),
    ("-Infinity", "time", "it is not a finite number"),
    ("$nan", "price_per_hour", "it is not a finite number"),
    (".nan", "ratio", "it is not a finite number"),
    ("1e999", "count", "it is not a finite number"),
    (math.nan, "count", "it is not a finite number"),
    (math.inf, "bytes", "it is not a finite number"),
    (10**400, "count", "it is not a finite number"),
    ("-5", "count", "it is negative"),
    ("−5", "count", "it is negative"),
    ("-$2", "price_per_hour", "it is negative"),
    ("$-2", "price_per_hour", "it is negative"),
    (-0.5, "ratio", "it is negative"),
    ("1e30", "count", "it is beyond all reason"),
    ("1000000 EB", "bytes", "it is beyond all reason"),
    ("1e12 W", "power", "it is beyond all reason"),
    ("$1e9/h", "price_per_hour", "it is beyond all reason"),
    ("1 B/s", "bandwidth", "it is beyond all reason"),
    ("90", "ratio", "it must be at most 1 (100%)"),
    ("150%", "ratio", "it must be at most 1 (100%)"),
    ("€2/h", "price_per_hour", "is not a price per hour in US dollars"),
    ("$2/day", "price_per_hour", "the unit '/day' is unknown"),
    ("$80", "bytes", "'$80' is not a size in bytes"),
    ("$$2", "price", "is not a price"),
    ("abc", "count", "'abc' is not a count"),
    ("1.2.3", "count", "'1.2.3' is not a count"),
    ("5kk", "count", "the unit 'kk' is unknown"),
    ("--5", "count", "'--5' is not a count"),
    ("1e", "count", "the unit 'e' is unknown"),
    ("0x10", "count", "the unit 'x10' is unknown"),
    ("٣", "count", "is not a count"),
    ("9" * 100, "count", "is not a count"),
    (True, "count", "true is not a count"),
    (None, "count", "nothing (null) is not a count"),
    ([1], "bytes", "a list is not a size in bytes"),
]


@pytest.mark.parametrize(("text", "dimension", "value"), READ)
def test_people_type_it_this_way(text: str, dimension: str, value: float) -> None:
    assert parse_quantity(text, dimension) == value


@pytest.mark.parametrize(("text", "dimension", "fragment"), REFUSED)
def test_nonsense_is_refused_in_one_helpful_line(text: object, dimension: str, fragment: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_quantity(text, dimension)  # type: ignore[arg-type]
    line = str(caught.value)
    assert fragment in line
    assert "write it like '" in line
    assert line.isprintable()


@pytest.mark.parametrize("dimension", sorted({dimension for _, dimension, _ in READ}))
def test_every_example_in_a_hint_is_valid(dimension: str) -> None:
    with pytest.raises(UnitError) as caught:
        parse_quantity("nonsense", dimension)
    examples = str(caught.value.hint).split("'")[1::2]
    assert len(examples) >= 2
    for example in examples:
        assert parse_quantity(example, dimension) > 0


def test_zero_is_allowed_unless_it_must_be_positive() -> None:
    assert parse_quantity("0 W", "power") == 0
    with pytest.raises(UnitError, match="it must be greater than 0"):
        parse_quantity("0 W", "power", positive=True)


def test_negative_is_allowed_where_asked_for() -> None:
    assert parse_quantity("-5%", "ratio", signed=True) == -0.05


def test_a_unit_error_is_what_the_command_line_catches() -> None:
    with pytest.raises(CostcalcError):
        parse_quantity("x", "bytes")


def test_counts() -> None:
    assert parse_quantity("100k", "count") == 100000.0
    assert isinstance(parse_quantity(5, "count"), float)
    with pytest.raises(UnitError, match="greater than 0"):
        parse_quantity("0", "count", positive=True)


@pytest.mark.parametrize(("text", "value"), [("8", 8), ("100k", 100000), ("4,096", 4096), (7, 7), (1e6, 10**6)])
def test_whole_numbers(text: str | float, value: int) -> None:
    assert parse_whole(text) == value
    assert isinstance(parse_whole(text), int)


@pytest.mark.parametrize("text", ["0", "-3", "1.5", "abc", "", "nan", "1e99", True, 0, 2.5, None])
def test_not_whole_numbers(text: object) -> None:
    with pytest.raises(UnitError, match="expected a positive integer, got"):
        parse_whole(text)  # type: ignore[arg-type]


def test_least_whole_number() -> None:
    assert parse_whole("0", least=0) == 0
    with pytest.raises(UnitError, match="expected an integer of at least 2, got '1'"):
        parse_whole("1", least=2)


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("8xh100", (8, "h100")),
        ("8XH100", (8, "H100")),
        ("8×h100", (8, "h100")),
        ("8*h100", (8, "h100")),
        (" 8 x  h100 sxm ", (8, "h100 sxm")),
        ("h100", (None, "h100")),
        ("4090", (None, "4090")),
        ("8x4090", (8, "4090")),
        ("rtx-4090", (None, "rtx-4090")),
        ("16x./mine/x.yaml", (16, "./mine/x.yaml")),
        ("./8x/y.yaml", (None, "./8x/y.yaml")),
        ("7900xtx", (None, "7900xtx")),
        ("2x7900xtx", (2, "7900xtx")),
    ],
)
def test_machines(text: str, machine: tuple[int | None, str]) -> None:
    assert parse_machine(text) == machine


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("", "the machine is empty"),
        ("  ", "the machine is empty"),
        ("8x", "cannot read the machine '8x'"),
        ("2x8xh100", "cannot read the machine '2x8xh100'"),
        ("0xh100", "must be a whole number"),
        ("00xh100", "must be a whole number"),
        ("-8xh100", "must be a whole number"),
        ("1.5xh100", "must be a whole number"),
        ("99999999999xh100", "must be a whole number"),
    ],
)
def test_no_machines(text: str, fragment: str) -> None:
    with pytest.raises(UnitError, match=fragment) as caught:
        parse_machine(text)
    assert "write it like" in str(caught.value)


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        # 4,718,592 B per token and 471.9 GB per step are GPT-3's: 2 x 96 layers x 12288 x 2 B, times 100k.
        (units.format_bytes(2 * 96 * 12288 * 2), "4.719 MB"),
        (units.format_bytes(2 * 96 * 12288 * 2 * 1e5), "471.9 GB"),
        (units.format_bytes(80e9), "80 GB"),
        (units.format_bytes(576), "576 B"),
        (units.format_bytes(0), "0 B"),
        (units.format_bytes(999.99e9), "1 TB"),
        (units.format_bytes(0.5), "0.5 B"),
        (units.format_bytes(1234.6e18), "1235 EB"),
        (units.format_bytes(-2e9), "-2 GB"),
        (units.format_rate(3.35e12), "3.35 TB/s"),
        (units.format_rate(989.4e12, "FLOP/s"), "989.4 TFLOP/s"),
        (units.format_rate(12345, "tok/s", 3), "12.3 ktok/s"),
        (units.format_power(700), "700 W"),
        (units.format_power(1730), "1.73 kW"),
        (units.format_count(4096), "4,096"),
        (units.format_count(131072), "131,072"),
        (units.format_count(671e9), "671B"),
        (units.format_count(37.55e9), "37.55B"),
        (units.format_count(1.5e6), "1.5M"),
        (units.format_count(2.5), "2.5"),
        (units.format_seconds(0.05), "50 ms"),
        (units.format_seconds(5e-6), "5 µs"),
        (units.format_binary(81559 * 2**20), "79.6 GiB"),  # nvidia-smi of an H100
        (units.format_binary(512), "512 B"),
        (units.format_seconds(1.23456), "1.235 s"),
        (units.format_seconds(0), "0 s"),
        (units.format_seconds(90), "90 s"),
        (units.format_seconds(180), "3 min"),
        (units.format_seconds(3 * 3600), "3 h"),
        (units.format_seconds(5 * 86400), "5 days"),
        (units.format_seconds(1e-12), "0.001 ns"),
        (units.format_percent(0.9), "90%"),
        (units.format_percent(0.12345), "12.3%"),
        (units.format_percent(0), "0%"),
        (units.format_usd(0.0432), "$0.0432"),
        (units.format_usd(1.23), "$1.23"),
        (units.format_usd(79.4377), "$79.44"),
        (units.format_usd(12345), "$12,345"),
        (units.format_usd(1234.5), "$1,234.50"),
        (units.format_usd(9999.999), "$10,000"),
        (units.format_usd(0.5), "$0.50"),
        (units.format_usd(0.9999), "$1.00"),
        (units.format_usd(0.00000123), "$0.00000123"),
        (units.format_usd(0), "$0"),
        (units.format_usd(-3.2), "-$3.20"),
        (counted(1, "model"), "1 model"),
        (counted(1300, "model"), "1,300 models"),
        (counted(0, "model"), "0 models"),
    ],
)
def test_shown(shown: str, text: str) -> None:
    assert shown == text


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_unknown_is_a_dash(value: float | None) -> None:
    for show in (
        units.format_bytes, units.format_rate, units.format_power, units.format_count, units.format_seconds,
        units.format_percent, units.format_usd,
    ):  # fmt: skip
        assert show(value) == "-"


@pytest.mark.parametrize("dimension", [name for name in AMOUNTS if not name.startswith("price")])
@given(data=st.data())
def test_shown_shortly_it_is_right_to_its_digits(dimension: str, data: st.DataObject) -> None:
    _, show = AMOUNTS[dimension]
    value = data.draw(st.floats(1e3, 1e9) if dimension != "ratio" else st.floats(1e-6, 1))
    assert parse_quantity(show(value, 4), dimension) == pytest.approx(value, rel=5e-4)


@given(st.floats(0.01, 1e13))
def test_a_dollar_never_loses_a_digit(value: float) -> None:
    shown = parse_quantity(units.format_usd(value), "price")
    assert abs(shown - value) <= (0.5 if value >= 9999.9 else 0.0051) * (1 + 1e-9)


@given(st.text(max_size=30), st.sampled_from(sorted(AMOUNTS)))
def test_any_text_is_read_or_refused_in_one_line(text: str, dimension: str) -> None:
    try:
        value = parse_quantity(text, dimension)
    except UnitError as error:
        assert str(error).isprintable()
    else:
        assert math.isfinite(value)
        assert value >= 0


@given(st.integers(1, 9_999_999), st.from_regex(r"[a-wyz][a-z0-9-]{1,12}", fullmatch=True))
def test_machines_read_back(count: int, name: str) -> None:
    assume(name != "tx")  # 7900xtx is a name
    assert parse_machine(f"{count}x{name}") == (count, name)
    assert parse_machine(f"{count} × {name}") == (count, name)


def test_reading_units_imports_nothing_heavy() -> None:
    code = "import sys, costcalc.units as u; u.parse_quantity('3.3TB/s', 'bandwidth'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert not {"numpy", "pydantic", "yaml", "decimal", "difflib", "rich"} & set(loaded.split())


@pytest.mark.parametrize(
    ("typed", "shown"), [("EUR=0.92", "€0.92"), ("gbp=0.75", "£0.75"), ("CHF=0.8", "CHF 0.80"), ("USD=1", "$1.00")]
)
def test_money_is_shown_in_the_currency_told(typed: str, shown: str) -> None:
    before = units.SHOWN_IN.set(units.parse_currency(typed))
    try:
        assert units.format_usd(1.0) == shown
        # Titles follow; what somebody listed in dollars stays what it was.
        said = units.in_currency("$ per M, listed at $3.29")
        money = units.SHOWN_IN.get()
        assert said == f"{money.sign.strip()} per M, listed at $3.29"
        assert units.in_currency("Dollars a month, of US dollars").split()[0] == (
            "Dollars" if money == units.DOLLARS else money.name
        )
    finally:
        units.SHOWN_IN.reset(before)
    assert units.format_usd(1.0) == "$1.00"


def test_a_price_of_an_hour_keeps_its_parts_of_a_cent() -> None:
    shown = ["$3.2425", "$2.00", "$0.50", "$1,234.5678", "$0.00123"]
    assert [*map(units.format_price, (3.2425, 2.0, 0.5, 1234.56784, 0.0012345))] == shown
    assert (units.format_price(None), units.format_price(3.2425, units.parse_currency("EUR=0.5"))) == ("-", "€1.6213")


@given(st.integers(1000, 10**8))
def test_a_price_in_parts_of_a_cent_is_read_back_whole(parts: int) -> None:
    assert parse_quantity(units.format_price(parts / 10_000), "price_per_hour") == parts / 10_000


@pytest.mark.parametrize("typed", ["EUR", "0.92", "EUR=", "EUR=0", "EURO=1", "E\x1bR=1", "=1", "EUR=nan"])
def test_what_is_no_currency_is_refused(typed: str) -> None:
    with pytest.raises(CostcalcError):
        units.parse_currency(typed)
