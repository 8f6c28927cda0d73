"""Field types of the specs: quantities typed as people type them, held as SI floats."""

from functools import partial
from typing import Annotated, Any

from costcalc.schema import Before
from costcalc.units import parse_quantity


def _quantity(dimension: str, description: str, *examples: str, positive: bool = False) -> Before:
    read = partial(parse_quantity, dimension=dimension, positive=positive)
    bound: dict[str, Any] = {"exclusiveMinimum": 0} if positive else {"minimum": 0}
    schema = {
        "description": description,
        "anyOf": [{"type": "number", **bound}, {"type": "string", "pattern": "[0-9]"}],
        "examples": list(examples),
    }
    return Before(read, schema)


Bytes = Annotated[float, _quantity("bytes", "A size [bytes].", "80 GB", "81559 MiB", positive=True)]
Bandwidth = Annotated[float, _quantity("bandwidth", "A bandwidth [bytes/s].", "3.35 TB/s", "400 Gb/s", positive=True)]
FlopRate = Annotated[
    float, _quantity("flops", "A compute rate [FLOP/s].", "989 TFLOP/s", "1.979 PFLOP/s", positive=True)
]
Seconds = Annotated[float, _quantity("time", "A time [s].", "50 ms", "5 us")]
Power = Annotated[float, _quantity("power", "A power [W].", "700 W", "1.73 kW", positive=True)]
UsdPerHour = Annotated[float, _quantity("price_per_hour", "A price [US dollars per hour].", "$2/h", "2.00")]
Usd = Annotated[float, _quantity("price", "A price [US dollars].", "$25,000", "$25k")]
Count = Annotated[float, _quantity("count", "A count.", "100k", "671B")]
