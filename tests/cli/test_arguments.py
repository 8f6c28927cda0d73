"""What Python callers pass: read as the command line reads it, refused in one line that names the argument."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import costcalc
from costcalc.cli import main
from costcalc.cli.app import as_typed
from costcalc.predict.options import OPTIONS, SWEPT

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
        (lambda c: c.estimate("v3", "h100", kv_cache=8), "kv_cache: unknown number type '8'; one of: fp32, bf16"),
        (lambda c: c.estimate("v3", "h100", gpus=16.5), "gpus: expected a positive integer, got 16.5"),
        (lambda c: c.estimate("v3", "h100", gpus=True), "gpus: true (bool) where a number belongs"),
        (lambda c: c.estimate("v3", "h100", gpus="many"), "gpus: expected a positive integer, got 'many'"),
        (lambda c: c.estimate("v3", "h100", batch=np.array([1, 8])), "batch: a value of type ndarray"),
        (lambda c: c.estimate("v3", "h100", batch=[1, 8]), "costcalc.sweep takes several values at once"),
        (lambda c: c.estimate("v3", "h100", context=b"4k"), "context: a value of type bytes where one value belongs"),
        (lambda c: c.estimate("v3", "h100", context="4q"), "context: '4q' is not a count"),
        (lambda c: c.estimate("v3", "h100", tpot="50"), "tpot: '50' is not a time: the unit is missing"),
        (
            lambda c: c.estimate("v3", "h100", price=float("inf")),
            "price: inf is not a price per hour in US dollars: it is not a finite number",
        ),
        (lambda c: c.estimate("v3", "h100", disaggregated="yes"), "disaggregated: 'yes' is neither True nor False"),
        (lambda c: c.estimate("v3", "h100", tp=8), "unknown option 'tp'; it is called tensor_parallel"),
        (lambda c: c.estimate("v3", "h100", kv="fp8"), "unknown option 'kv'; it is called kv_cache"),
        (lambda c: c.estimate("v3", "h100", weigths="fp8"), "unknown option 'weigths'; did you mean 'weights'?"),
        (lambda c: c.estimate("v3", "h100", wonder=1), "the options are: gpus, tensor_parallel"),
        (lambda c: c.estimate("v3", "h100", acceptance=0.5), "there are no drafts to accept"),
        (lambda c: c.estimate("v3", "h100", catalog=3), "catalog: 3 is no folder"),
        (lambda c: c.compare_gpus([], "v3"), "accelerators: the list is empty"),
        (lambda c: c.compare_gpus(3, "v3"), "accelerators: 3 is no list"),
        (lambda c: c.compare_gpus(["h100", "h200"], "v3", counts=[8]), "counts: 1 counts for 2 GPUs"),
        (lambda c: c.compare_models([], "h100"), "models: the list is empty"),
        (lambda c: c.compare_models(["v3", None], "h100"), "model: None where a model belongs"),
        (lambda c: c.compare_attention("v3", "h100", variants=["gqa:0"]), "expected a positive integer, got '0'"),
        (lambda c: c.compare_attention("v3", "h100", variants=["gqb:8"]), "variants: 'gqb:8' is no variant"),
        (lambda c: c.compare_attention("v3", "h100", variants="gqa:8,mah"), "variants: 'mah' is no variant"),
        (lambda c: c.compare_attention("v3", "h100", variants=""), "variants: '' is no variant"),
        (lambda c: c.compare_attention("v3", "h100", contexts=4096), "contexts: 4096 is no list"),
        (lambda c: c.attention_curves("v3", "h100", contexts=(-1,)), "contexts: -1 is not a count: it is negative"),
        (lambda c: c.attention_curves("v3", "h100", contexts=("long",)), "contexts: 'long' is not a count"),
        (lambda c: c.breakeven("v3", "h100", against=3), "against: 3 is no model's name"),
        (lambda c: c.load_gpu("h100", overrides=["memory"]), "overrides: a list is no mapping"),
        (lambda c: c.load_gpu("h100", overrides={"memroy": 8e10}), "memroy: unknown key; did you mean 'memory'?"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_argument(call: Callable[[Any], Any], told: str) -> None:
    with pytest.raises(costcalc.CostcalcError) as caught:
        call(costcalc)
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "options", [{"context": 1e9, "terms": "kv"}, {"price": 1e-9}, {"utilization": 1e-9}, {"tpot": 1e-9}]
)
def test_extremes_warn_nobody(options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        costcalc.estimate("v3", "h100", **options)


# One table, two faces: what is typed and what is passed are accepted and refused alike.


ACCEPTED = {
    "gpus": "2", "tensor_parallel": "1", "pipeline_parallel": "1", "expert_parallel": "1",
    "attention_data_parallel": "1", "context_parallel": "1", "memory_utilization": "85%", "batch": "auto",
    "context": "32k",
    "input_tokens": "8Ki", "cached": "25%", "tpot": "20 ms", "ttft": "2 s", "demand": "50 requests/s",
    "weights": "FP8", "kv_cache": "fp8", "activations": "fp8", "efficiency": "ideal", "backend": "SGLang",
    "drafts": "0", "concurrency": "64", "arrivals": "offline", "lengths": "equal", "statistic": "mean",
    "polling": "10", "engine_date": "2026-06", "terms": "kv", "price": "$3/h", "utilization": "60%",
    "owned": "years=4", "pue": "1.2", "power_price": "$0.08/kWh", "grid_co2": "400g",
    "output_tokens": "512", "bits": "16", "link": "900 GB/s", "imbalance": "uniform",
    "tuning": "tuned", "client_latency": "25 ms", "max_num_seqs": "64", "max_num_batched_tokens": "8k",
    "gpu_layers": "20", "cpu_offload_gb": "4",
}  # fmt: skip
"""A value of every option that llama-3.1-8b on an H100 can be asked with alone."""
NOT_ALONE = {
    "mla",
    "acceptance",
    "prefill_gpus",
    "experts",
    "requests",
    "disaggregated",
    "accepted",
    "prefill_tp",
    "prefill_dp",
    "prefill_ep",
    "prefill_cp",
    "two_batch_overlap",
    "offload_experts",
    "offload_cache",
    "host_bandwidth",
    "host_memory",
    "host_flops",
}
SWITCHES = ("disaggregated", "two_batch_overlap", "offload_cache")
ODD = (
    "0",
    "-1",
    "0.5",
    "1.5",
    "60%",
    "150%",
    "50",
    "1e12",
    "1e30",
    "nan",
    "inf",
    "",
    " ",
    "auto",
    "odd",
    "2026",
    "8,16",
)


def typed(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command line says of a question: '' where it answers, else its error."""
    code = main(["estimate", "-m", LLAMA, "-g", "h100", *arguments])
    told = capfd.readouterr().err
    assert (code == 0) == (not told)
    return told.strip().removeprefix("error: ")


def passed(**options: Any) -> str:
    """What Python says of it, as the command line spells the option."""
    try:
        costcalc.estimate(LLAMA, "h100", **options)
    except costcalc.CostcalcError as error:
        return str(as_typed(error))
    return ""


def test_the_examples_are_of_every_option() -> None:
    assert ACCEPTED.keys() | NOT_ALONE == OPTIONS.keys()


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted_is_accepted_by_both(capfd: pytest.CaptureFixture[str], name: str) -> None:
    assert typed(capfd, f"{OPTIONS[name].flags[0]}={ACCEPTED[name]}") == "" == passed(**{name: ACCEPTED[name]})


@pytest.mark.parametrize("name", [name for name in OPTIONS if name not in SWITCHES])
def test_what_is_refused_is_refused_by_both_in_the_same_words(capfd: pytest.CaptureFixture[str], name: str) -> None:
    for odd in ODD:
        assert typed(capfd, f"{OPTIONS[name].flags[0]}={odd}") == passed(**{name: odd}), odd


@pytest.mark.parametrize(
    "name", [name for name in OPTIONS if name not in ("disaggregated", "tpot", "ttft", "client_latency")]
)
@pytest.mark.parametrize("number", [0, -1, 0.5, 1.5, 50, 10**12, np.int64(0), np.float64(2.5)])
def test_a_number_is_read_as_its_text_is(name: str, number: Any) -> None:
    assert passed(**{name: number}).replace("'", "") == passed(**{name: str(number)}).replace("'", "")


def test_a_bare_number_is_seconds_and_bare_text_is_not() -> None:
    assert passed(tpot=0.02) == "" and "the unit is missing" in passed(tpot="0.02")


def test_what_a_sweep_takes_is_said_by_the_table() -> None:
    ranges = {"price": "2:2:1", "utilization": "50%:50%:1%", "memory_bandwidth": "3TB/s:3TB/s:1TB/s"}
    for name in SWEPT:
        swept = costcalc.sweep(LLAMA, "h100", **{name: ranges.get(name, "1:1:1")})
        assert [(axis.name, len(axis.values)) for axis in swept.axes] == [(name, 1)]
    with pytest.raises(costcalc.CostcalcError, match="one value belongs"):
        costcalc.sweep(LLAMA, "h100", batch=[1, 2], tpot=[0.02, 0.05])


def test_short_names_of_the_command_line_are_known() -> None:
    for name, row in OPTIONS.items():
        for flag in {row.flag, row.flags[0]}:
            word = flag.removeprefix("--").replace("-", "_")
            assert word == name or word in row.also


def test_a_list_may_be_text_as_on_the_command_line() -> None:
    listed = costcalc.compare_attention("v3", "h100", variants=["mla", "gqa:8"], contexts=["4k", 32_000])
    assert costcalc.compare_attention("v3", "h100", variants="mla,gqa:8", contexts="4k, 32,000").rows == listed.rows
    cards = costcalc.compare_gpus(["h100", "4xb200"], "llama-3.1-8b", batch=8)
    assert costcalc.compare_gpus("h100,4xb200", "llama-3.1-8b", batch=8).rows == cards.rows
    models = costcalc.compare_models(["qwen3-8b", "llama-3.1-8b"], "h100")
    assert costcalc.compare_models("qwen3-8b llama-3.1-8b", "h100").rows == models.rows
