"""Field types of the specs: quantities typed as people type them, held as SI floats."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from costcalc.units import parse_quantity, parse_whole


def _quantity(dimension: str, *, positive: bool) -> BeforeValidator:
    def read(value: Any) -> float:
        return parse_quantity(value, dimension, positive=positive)

    return BeforeValidator(read)


def _whole(least: int) -> BeforeValidator:
    def read(value: Any) -> int:
        return parse_whole(value, least=least)

    return BeforeValidator(read)


def _schema(description: str, *examples: str, positive: bool, number: str = "number") -> WithJsonSchema:
    bound: dict[str, Any] = {"exclusiveMinimum": 0} if positive else {"minimum": 0}
    return WithJsonSchema(
        {
            "description": description,
            "anyOf": [{"type": number, **bound}, {"type": "string", "pattern": "[0-9]"}],
            "examples": list(examples),
        }
    )


Bytes = Annotated[
    float, _quantity("bytes", positive=True), _schema("A size [bytes].", "80 GB", "81559 MiB", positive=True)
]
Bandwidth = Annotated[
    float,
    _quantity("bandwidth", positive=True),
    _schema("A bandwidth [bytes/s].", "3.35 TB/s", "400 Gb/s", positive=True),
]
FlopRate = Annotated[
    float,
    _quantity("flops", positive=True),
    _schema("A compute rate [FLOP/s].", "989 TFLOP/s", "1.979 PFLOP/s", positive=True),
]
Seconds = Annotated[float, _quantity("time", positive=False), _schema("A time [s].", "50 ms", "5 us", positive=False)]
Power = Annotated[float, _quantity("power", positive=True), _schema("A power [W].", "700 W", "1.73 kW", positive=True)]
UsdPerHour = Annotated[
    float,
    _quantity("price_per_hour", positive=False),
    _schema("A price [US dollars per hour].", "$2/h", "2.00", positive=False),
]
Usd = Annotated[
    float,
    _quantity("price", positive=False),
    _schema("A price [US dollars].", "$25,000", "$25k", positive=False),
]
Count = Annotated[float, _quantity("count", positive=False), _schema("A count.", "100k", "671B", positive=False)]
Ratio = Annotated[float, _quantity("ratio", positive=False), _schema("A share, 0 to 1.", "90%", "0.9", positive=False)]
PositiveInt = Annotated[int, _whole(1), _schema("An integer of at least 1.", "128k", positive=True, number="integer")]
NonNegativeInt = Annotated[
    int, _whole(0), _schema("An integer of at least 0.", "128k", positive=False, number="integer")
]
