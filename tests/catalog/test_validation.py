"""A specification that is wrong is told in one line, with the place in the file and the nearest valid key."""

from dataclasses import field
from typing import Annotated, Literal

import pytest

from costcalc.catalog.check import MISTAKES, json_schema, validate
from costcalc.catalog.yaml import parse_yaml
from costcalc.errors import CostcalcError
from costcalc.fields import Bandwidth, ByKind, Bytes, Limits, OptionalSize, Size, Spec, UsdPerHour


class Grouped(Spec):
    kind: Literal["grouped"]
    num_attention_heads: Size
    head_dim: Size


class Window(Spec):
    kind: Literal["window"]
    window: Size


class Layer(Spec):
    count: Size
    attention: str


class Machine(Spec):
    name: str
    memory: Bytes
    bandwidth: Bandwidth | None = None
    price: UsdPerHour | None = None
    spares: OptionalSize = 0
    year: str | None = None
    gated: bool = True
    weight: float = 1.0
    released: Annotated[str, Limits(pattern=r"^\d{4}$")] | None = None
    status: Literal["announced", "shipping"] | None = None
    limit: Annotated[int, Limits(gt=0, le=8)] | None = None
    attention: dict[str, Annotated[Grouped | Window, ByKind()]] = field(default_factory=dict)
    layers: Annotated[tuple[Layer, ...], Limits(min_length=1)] | None = None


GOOD = "# schema\nname: X\nmemory: 80 GB\n"
INVALID: list[tuple[str, str]] = [
    (GOOD + "bandwith: 1 TB/s", "x.yaml:4:1: bandwith: unknown key; did you mean 'bandwidth'?"),
    (GOOD + "zzz: 1", "x.yaml:4:1: zzz: unknown key; valid keys: name, memory, bandwidth,"),
    ("memory: 80 GB", "x.yaml:1:1: name: this key is missing"),
    ("name: X\nmemry: 80 GB", "x.yaml:2:1: memry: unknown key; did you mean 'memory'?"),
    ("name: X\nmemory: 80", "x.yaml:2:9: memory: 80 is not a size in bytes: the unit is missing"),
    ("name: X\nmemory: 80 GB/s", "x.yaml:2:9: memory: '80 GB/s' is not a size in bytes: the unit 'GB/s'"),
    ("name: X\nmemory: 0 GB", "it must be greater than 0"),
    ("name: X\nmemory: null", "x.yaml:2:9: memory: nothing (null) is not a size in bytes"),
    ("name: X\nmemory: true", "x.yaml:2:9: memory: true is not a size in bytes"),
    ("name: X\nmemory: [80 GB]", "x.yaml:2:9: memory: a list is not a size in bytes"),
    ("name: X\nmemory: {gb: 80}", "memory: a mapping is not a size in bytes"),
    (GOOD + "price: -2", "x.yaml:4:8: price: -2 is not a price per hour in US dollars: it is negative"),
    (GOOD + "spares: -1", "x.yaml:4:9: spares: must be at least 0, got -1"),
    (GOOD + "year: 2024", "x.yaml:4:7: year: expected text, got 2024; put it in quotes"),
    (GOOD + "gated: 7", "x.yaml:4:8: gated: expected true or false, got 7"),
    (GOOD + "weight: heavy", "x.yaml:4:9: weight: expected a number, got 'heavy'"),
    (GOOD + "released: '24'", "x.yaml:4:11: released: '24' does not fit the pattern"),
    (GOOD + "status: anounced", "status: 'anounced' is not valid here; did you mean 'announced'?"),
    (GOOD + "status: zzz", "status: 'zzz' is not valid here; one of: announced, shipping"),
    (GOOD + "limit: 9", "x.yaml:4:8: limit: must be at most 8, got 9"),
    (GOOD + "limit: 0", "x.yaml:4:8: limit: must be greater than 0, got 0"),
    (GOOD + "limit: 1.5", "x.yaml:4:8: limit: expected an integer, got 1.5"),
    (GOOD + "attention: 5", "x.yaml:4:12: attention: expected a mapping, got 5"),
    (GOOD + "attention: {full: 5}", "x.yaml:4:19: attention.full: expected a mapping, got 5"),
    (
        GOOD + "attention: {full: {kind: groupd}}",
        "attention.full.kind: unknown kind 'groupd'; did you mean 'grouped'?",
    ),
    (GOOD + "attention: {full: {kind: zzz}}", "unknown kind 'zzz'; one of: grouped, window"),
    (GOOD + "attention: {full: {window: 5}}", "x.yaml:4:19: attention.full.kind: this key is missing"),
    (
        GOOD + "attention:\n  full:\n    kind: grouped\n    num_attention_heds: 8\n    head_dim: 64",
        "x.yaml:7:5: attention.full.num_attention_heds: unknown key; did you mean 'num_attention_heads'?",
    ),
    (
        GOOD + "attention:\n  full:\n    kind: grouped\n    num_attention_heads: abc\n    head_dim: 64",
        "x.yaml:7:26: attention.full.num_attention_heads: expected an integer, got 'abc'",
    ),
    (
        GOOD + "attention: {near: {kind: window, window: -4}}",
        "x.yaml:4:42: attention.near.window: must be greater than 0, got -4",
    ),
    (
        GOOD + "attention: {near: {kind: window, windw: 4}}",
        "attention.near.windw: unknown key; did you mean 'window'?",
    ),
    (GOOD + "layers: []", "x.yaml:4:9: layers: must hold at least 1 item(s)"),
    (GOOD + "layers: {count: 5}", "x.yaml:4:9: layers: expected a list, got a mapping"),
    (
        GOOD + "layers:\n- {count: 1, attention: a}\n- {cont: 2, attention: b}",
        "x.yaml:6:4: layers.1.cont: unknown key; did you mean 'count'?",
    ),
    (
        "name: 5\nmemory: 80\nspares: x",
        "name: expected text, got 5; put it in quotes (and 2 more)",
    ),
    (GOOD + "limit: 9\nspares: 0.5", "x.yaml:4:8: limit: must be at most 8, got 9 (and 1 more)"),
]


@pytest.mark.parametrize(("text", "fragment"), INVALID)
def test_invalid_specifications(text: str, fragment: str) -> None:
    data, positions = parse_yaml(text, "x.yaml")
    with pytest.raises(CostcalcError) as caught:
        validate(Machine, data, positions, "x.yaml")
    line = str(caught.value)
    assert fragment in line
    assert line.startswith("x.yaml:")
    assert line.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "name: X\nmemry: 80 GB",
        GOOD + "layers: [{cont: 2, attention: b}]",
        GOOD + "attention: {a: {kind: window, windw: 4}}",
    ],
)
def test_a_misspelt_key_counts_once(text: str) -> None:
    data, positions = parse_yaml(text, "x.yaml")
    with pytest.raises(CostcalcError) as caught:
        validate(Machine, data, positions, "x.yaml")
    assert "more)" not in str(caught.value)


def test_of_very_many_mistakes_the_first_are_told_and_all_are_counted() -> None:
    data, positions = parse_yaml(GOOD + "".join(f"limit{number}: 9\n" for number in range(9000)), "x.yaml")
    with pytest.raises(CostcalcError, match=r"x\.yaml:4:1: limit0: .* \(and 8999 more\)") as caught:
        validate(Machine, data, positions, "x.yaml")
    assert len(caught.value.each) == MISTAKES + 1
    assert str(caught.value.each[-1]) == f"x.yaml: {9000 - MISTAKES} more mistakes"


def test_a_valid_specification() -> None:
    text = GOOD + "bandwidth: 3.35 TB/s\nprice: $2/h\nattention: {a: {kind: window, window: 4000}}"
    data, positions = parse_yaml(text, "x.yaml")
    machine = validate(Machine, data, positions, "x.yaml")
    assert machine.memory == 80e9
    assert machine.bandwidth == 3.35e12
    assert machine.price == 2.0
    assert machine.attention["a"] == Window(kind="window", window=4000)


def test_the_schema_of_a_quantity_allows_text_and_numbers() -> None:
    schema = json_schema(Machine)["properties"]["memory"]
    assert [each["type"] for each in schema["anyOf"]] == ["number", "string"]
    assert schema["examples"] == ["80 GB", "81559 MiB"]
