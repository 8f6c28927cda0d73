"""What Python callers pass: read as the command line reads it, refused in one line that names the argument."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import costcalc
from costcalc.cli.options import Serving
from costcalc.predict.options import READ_OPTIONS, SWEPT
from costcalc.predict.scenario import OptionKeywords, Options, SweepKeywords

LLAMA = "llama-3.1-8b"


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ({"gpus": "2"}, {"gpus": 2}),
        ({"gpus": 2.0}, {"gpus": 2}),
        ({"batch": np.int64(8)}, {"batch": 8}),
        ({"batch": "auto"}, {}),
        ({"context": "32k"}, {"context": 32_000}),
        ({"input_tokens": "8Ki", "output_tokens": np.float64(512)}, {"input_tokens": 8192, "output_tokens": 512}),
        ({"utilization": "60%", "cached": "25%"}, {"utilization": 0.6, "cached": 0.25}),
        ({"tpot": "20 ms"}, {"tpot": 0.02}),
        ({"price": "$3/h"}, {"price": 3.0}),
        ({"kv_cache": "FP8"}, {"kv_cache": "fp8"}),
        ({"disaggregated": np.True_}, {"disaggregated": True}),
        ({"utilization": None, "efficiency": None}, {}),
    ],
)
def test_what_the_command_line_reads_is_read_here_too(typed: dict[str, Any], plain: dict[str, Any]) -> None:
    assert costcalc.estimate(LLAMA, "h100", **typed) == costcalc.estimate(LLAMA, "h100", **plain)


def test_a_machine_may_have_its_count_in_front() -> None:
    assert costcalc.estimate(LLAMA, "2xh100") == costcalc.estimate(LLAMA, "h100", gpus=2)
    rows = costcalc.compare_gpus(["2xh100", "h200"], LLAMA).rows
    assert rows[0].estimate.deployment.gpus == 2


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda c: c.estimate(None, "h100"), "model: None where a model belongs; pass a name such as 'v3'"),
        (lambda c: c.estimate(3, "h100"), "model: 3 (int) where a model belongs"),
        (lambda c: c.estimate("v3", None), "gpu: None where a GPU belongs; pass a name such as 'h100'"),
        (lambda c: c.estimate("v3", "16xh100", gpus=8), "gpus: 8 contradicts '16xh100'"),
        (lambda c: c.estimate("v3", "h100", kv_cache=8), "kv_cache: 8 is no name; one of fp32, bf16"),
        (lambda c: c.estimate("v3", "h100", gpus=16.5), "gpus: 16.5 is not a whole number"),
        (lambda c: c.estimate("v3", "h100", gpus=True), "gpus: true (bool) where a number belongs"),
        (lambda c: c.estimate("v3", "h100", gpus="many"), "gpus: expected a positive integer, got 'many'"),
        (lambda c: c.estimate("v3", "h100", batch=np.array([1, 8])), "batch: a value of type ndarray"),
        (lambda c: c.estimate("v3", "h100", batch=[1, 8]), "costcalc.sweep takes several values at once"),
        (lambda c: c.estimate("v3", "h100", context=b"4k"), "context: a value of type bytes where one value belongs"),
        (lambda c: c.estimate("v3", "h100", context="4q"), "context: '4q' is not a count"),
        (lambda c: c.estimate("v3", "h100", tpot="50"), "tpot: '50' is not a time: the unit is missing"),
        (lambda c: c.estimate("v3", "h100", price=float("inf")), "price: inf is not a finite number"),
        (lambda c: c.estimate("v3", "h100", disaggregated="yes"), "disaggregated: 'yes' is neither True nor False"),
        (lambda c: c.estimate("v3", "h100", tp=8), "unknown option 'tp'; it is called tensor_parallel"),
        (lambda c: c.estimate("v3", "h100", kv="fp8"), "unknown option 'kv'; it is called kv_cache"),
        (lambda c: c.estimate("v3", "h100", weigths="fp8"), "unknown option 'weigths'; did you mean 'weights'?"),
        (lambda c: c.estimate("v3", "h100", wonder=1), "the options are: gpus, tensor_parallel"),
        (lambda c: c.estimate("v3", "h100", acceptance=0.5), "there are no drafts to accept"),
        (lambda c: c.estimate("v3", "h100", catalog=3), "catalog: 3 is no folder"),
        (lambda c: c.compare_gpus([], "v3"), "gpus: the list is empty"),
        (lambda c: c.compare_gpus("h100", "v3"), "gpus: 'h100' is no list"),
        (lambda c: c.compare_gpus(["h100", "h200"], "v3", counts=[8]), "counts: 1 counts for 2 GPUs"),
        (lambda c: c.compare_models([], "h100"), "models: the list is empty"),
        (lambda c: c.compare_models(["v3", None], "h100"), "model: None where a model belongs"),
        (lambda c: c.compare_attention("v3", "h100", groups=(0,)), "groups: 0 is out of range"),
        (lambda c: c.compare_attention("v3", "h100", contexts=4096), "contexts: 4096 is no list"),
        (lambda c: c.attention_curves("v3", "h100", contexts=(-1,)), "context: -1 is out of range"),
        (lambda c: c.attention_curves("v3", "h100", contexts=("long",)), "context: 'long' is not a count"),
        (lambda c: c.break_even("v3", "h100", against=3), "against: 3 is no model's name"),
        (lambda c: c.load_gpu("h100", overrides=["memory"]), "overrides: a list is no mapping"),
        (lambda c: c.load_gpu("h100", overrides={"memroy": 8e10}), "did you mean 'gpu.memory'?"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_argument(call: Callable[[Any], Any], told: str) -> None:
    with pytest.raises(costcalc.CostcalcError) as caught:
        call(costcalc)
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "options", [{"context": 1e9, "terms": "kv"}, {"price": 1e-300}, {"utilization": 1e-300}, {"tpot": 1e-9}]
)
def test_extremes_warn_nobody(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        costcalc.estimate("v3", "h100", **options)


def test_every_option_is_read() -> None:
    assert list(READ_OPTIONS) == [field.name for field in fields(Options)]


def test_a_sweep_takes_every_option_but_a_demand() -> None:
    assert SweepKeywords.__annotations__.keys() - {"memory_bandwidth"} == READ_OPTIONS.keys() - {"demand"}
    several = {name for name, kind in SweepKeywords.__annotations__.items() if "Several" in str(kind)}
    assert several == {*SWEPT, "memory_bandwidth"}


def test_the_short_names_of_the_command_line_are_known() -> None:
    from costcalc.predict.options import OTHER_NAMES

    flags = {"output", *Serving.__dataclass_fields__}
    assert {each for each in flags if each not in OptionKeywords.__annotations__} <= OTHER_NAMES.keys()
    assert set(OTHER_NAMES.values()) <= OptionKeywords.__annotations__.keys()
