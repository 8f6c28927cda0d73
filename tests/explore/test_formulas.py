"""Every printed formula, evaluated as it stands, is the number beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_specs import NARROW, batches, contexts, layouts, machines, models

import costcalc
from costcalc.engine.parallelism import Chosen, Deployment, Parallelism
from costcalc.explore.estimate import answer
from costcalc.predict.quantities import Estimate, Formula
from costcalc.predict.scenario import Options, Scenario, scenario_of
from costcalc.units import format_count, parse_quantity

CLOSE = 5e-3
"""What rounding of the printed numbers may come to."""

TOKEN = re.compile(
    r"(?P<number>\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?)"
    r"(?:(?P<suffix>[kMBT]\b)| (?P<unit>[kMGTPE]?(?:B|FLOP|exp)(?:/s)?|[kMGTPE]?tokens/s|[mun]?s|min|h|days)"
    r"(?![\w(-]))?"
    r"|(?P<call>(?:max|min|floor|ceil)(?=\())|(?P<word>[A-Za-z][\w-]*)|(?P<sign>[-+×/^(),\[\]])|\s+"
)
CALLS: dict[str, Callable[..., float]] = {"max": max, "min": min, "floor": floor, "ceil": ceil}


def quantity(number: str, suffix: str, unit: str) -> float:
    if number.startswith("$"):
        return parse_quantity(number, "price")
    if unit.endswith("tokens/s"):
        return parse_quantity(f"{number} {unit.removesuffix('/s')}", "count")
    if not unit:
        return parse_quantity(number + suffix, "count")
    # Work, of which there may be less than any machine does in a second.
    unit = re.sub("(FLOP|exp)$", "B", unit).replace("exp/s", "FLOP/s")
    dimension = {"B": "bytes", "B/s": "bandwidth", "FLOP/s": "flops"}.get(unit.lstrip("kMGTPE"), "time")
    return parse_quantity(f"{number} {unit}", dimension)


def evaluate(text: str) -> float:
    """The value of printed numbers; words say what a number is, and count for nothing."""
    tokens: list[float | str] = []
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        assert match, f"{text[position:]!r} of {text!r}"
        position = match.end()
        if match["number"]:
            tokens.append(quantity(match["number"], match["suffix"] or "", match["unit"] or ""))
        elif match["call"] or match["sign"]:
            tokens.append(match["call"] or match["sign"])
    tokens.reverse()  # the next one is the last

    def takes(*wanted: str) -> str | None:
        return str(tokens.pop()) if tokens and tokens[-1] in wanted else None

    def total() -> float:
        value = product()
        while sign := takes("+", "-"):
            value += product() if sign == "+" else -product()
        return value

    def product() -> float:
        value = power()
        while sign := takes("×", "/"):
            value = value * power() if sign == "×" else value / power()
        return value

    def power() -> float:
        value = one()
        return float(value ** one()) if takes("^") else value

    def one() -> float:
        if takes("-"):
            return -one()
        if call := takes(*CALLS):
            assert takes("(")
            given = [total()]
            while takes(","):
                given.append(total())
            assert takes(")")
            return float(CALLS[call](*given))
        if opened := takes("(", "["):
            value = total()
            assert takes(")" if opened == "(" else "]")
            return value
        value = tokens.pop()
        assert isinstance(value, float), value
        return value

    value = total()
    assert not tokens, f"{tokens[::-1]} left of {text!r}"
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("61 × max(11.5 GB / (0.5 × 2 TB/s), 4 TFLOP / 1 PFLOP/s) + 12 layers × 8.3 us", 61 * 11.5e-3 + 12 * 8.3e-6),
        ("[(3 s)^2 + (4 s)^2]^(1/2)", 5.0),
        ("-min(1,024, 2k)", -1024.0),
        ("16 × $2.00 / 3600 / 13.12 ktokens/s × 1e6", 16 * 2 / 3600 / 13120 * 1e6),
        ("floor(15.6 GB / 360 MB) × 16", 43 * 16.0),
        ("all-to-all combine 1.5 ms + LM head 500 us", 2e-3),
        ("1 / 4 × 2 s - 3 min", 0.5 - 180),
        ("671B", 671e9),
    ],
)
def test_printed_numbers_are_read_as_people_read_them(text: str, value: float) -> None:
    assert evaluate(text) == pytest.approx(value)


def formulas(given: tuple[Formula, ...]) -> Iterator[Formula]:
    for each in given:
        yield each
        yield from formulas(each.parts)


def assert_evaluates(estimate: Estimate) -> None:
    """Every number of the explanation is what its formula evaluates to."""
    for each in formulas(estimate.explanation):
        if not isinstance(each.value, str):
            found = evaluate(each.numbers)
            assert found == pytest.approx(each.value, rel=CLOSE), f"{each.quantity} {each.value} = {each.numbers}"


def names(estimate: Estimate) -> set[str]:
    return {each.quantity for each in estimate.explanation}


REAL: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("v3", "h100", {}),
    ("v3", "h100", {"efficiency": "ideal"}),
    ("v3", "h100", {"drafts": 2}),
    ("v3", "h200", {"cached": 0.5, "gpus": 8}),
    ("v3", "h100", {"terms": "kv"}),
    ("v3", "mi300x", {"terms": "weights", "drafts": 1}),
    ("v3", "h100", {"gpus": 32, "disaggregated": True, "demand": "50 requests/s"}),
    ("v3", "gb200-nvl72", {"demand": "50 requests/s", "utilization": 0.6}),
    ("gpt-oss-120b", "h100", {"weights": "mxfp4"}),
    ("gpt-oss-120b", "b200", {"weights": "mxfp4", "batch": 64}),
    ("llama-3.1-70b", "h100", {"tensor_parallel": 8}),
    ("llama-3.1-70b", "l40s", {"tensor_parallel": 4, "pipeline_parallel": 2, "batch": 3}),
    ("llama-3.1-8b", "rtx-4090", {"weights": "int4", "price": 0.3456}),
    ("qwen3-235b-a22b", "h200", {"demand": "1B tokens/day", "backend": "sglang", "price": "spot"}),
    ("gpt-oss-120b", "h100", {"context": "64k", "efficiency": "ideal"}),
    ("qwen3-next-80b-a3b", "h200", {}),
    ("gpt-oss-120b", "rtx-3090", {"offload_experts": 26, "batch": 3}),
    ("llama-3.3-70b", "rtx-4090", {"gpu_layers": 40, "weights": "q4_k_m", "batch": 1, "host_memory": "24GB"}),
    ("llama-3.1-8b", "rtx-4090", {"offload_cache": True, "host_memory": "3GB", "batch": 2}),
    ("llama-3.3-70b", "h100", {"cpu_offload_gb": 80, "batch": 4}),
)


@pytest.mark.parametrize(("model", "gpu", "options"), REAL)
def test_formulas_of_real_deployments_evaluate_to_their_values(model: str, gpu: str, options: dict[str, Any]) -> None:
    estimate = costcalc.estimate(model, gpu, **options)
    assert_evaluates(estimate)
    assert {"decode.step_time_s", "kv_cache.bytes_read_per_token", "memory.max_sequences"} <= names(estimate)
    for whole in estimate.explanation:
        if whole.parts:
            assert sum(float(part.value) for part in whole.parts) == pytest.approx(whole.value, rel=1e-9)
    assert {"decode.step_time_s"} <= {each.quantity for each in estimate.explanation if each.parts}


@st.composite
def questions(draw: st.DrawFn) -> tuple[Scenario, Chosen]:
    """A random model on a random machine in a random layout, asked anything."""
    terms = draw(st.sampled_from(["all", "all", "all", "kv", "weights"]))
    options = Options(
        efficiency=draw(st.sampled_from(["ideal", "calibrated"])),
        backend=draw(st.sampled_from(["vllm", "sglang", "trtllm"])),
        input_tokens=draw(st.integers(1, 200_000)),
        output_tokens=draw(st.integers(1, 20_000)),
        context=draw(st.none() | contexts),
        cached=draw(st.sampled_from([0.0, 0.5, 0.95])),
        weights=draw(st.none() | st.sampled_from(NARROW)),
        drafts=draw(st.sampled_from([None, None, 1, 3])),
        disaggregated=terms == "all" and draw(st.booleans()),
        terms=terms,
        demand=draw(st.sampled_from([None, "50 requests/s", "1B tokens/day", "3 tokens/s"])),
        price=draw(st.none() | st.floats(0.01, 100)),
        utilization=draw(st.floats(0.1, 1)),
        two_batch_overlap=draw(st.booleans()),
        imbalance=draw(st.sampled_from([None, "uniform", "zipf:1.2", "2.5"])),
        tuning=draw(st.sampled_from(["default", "tuned"])),
        batch=draw(st.none() | batches),
    )
    model = draw(models())
    layout: Parallelism = draw(layouts(model))
    scenario = scenario_of(model, draw(machines()), options)
    return scenario, Chosen(Deployment(layout, draw(st.integers(1, 3))), options.batch or draw(batches))


@given(questions())
def test_every_formula_evaluates_to_its_value(question: tuple[Scenario, Chosen]) -> None:
    scenario, chosen = question
    assert_evaluates(answer(scenario, chosen))


@given(st.integers(0, 10**9) | st.floats(1e-3, 1e9))
def test_counts_are_read_back(number: float) -> None:
    assert evaluate(format_count(number)) == pytest.approx(number, rel=CLOSE)
