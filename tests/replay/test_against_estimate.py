"""Constant lengths in a closed loop are what `estimate` answers in closed form."""

from __future__ import annotations

from typing import Any

import pytest

from costcalc import estimate, simulate
from costcalc.explore.search import choose_deployment
from costcalc.predict.predict import predict
from costcalc.predict.scenario import asked

LIGHT = [
    ("llama-3.1-8b", "1xh100", "vllm", 1, 1024, 256),
    ("llama-3.1-8b", "1xa100-80gb-sxm", "sglang", 8, 512, 512),
    ("llama-3.1-70b", "4xh100", "vllm", 8, 1024, 1024),
    ("llama-3.1-70b", "4xh100", "sglang", 16, 256, 1024),
    ("llama-3.1-70b", "4xh100", "trtllm", 8, 1024, 1024),
    ("gpt-oss-120b", "1xh200", "vllm", 16, 512, 1024),
    ("v3", "16xh200", "sglang", 4, 512, 512),
]
"""Loads under which prompts seldom meet: the queue of the closed form is of prompts that come by chance."""


def both(model: str, gpu: str, backend: str, users: int, put: int, got: int, **layout: int) -> tuple[Any, Any]:
    load = {"backend": backend, "concurrency": users, "input_tokens": put, "output_tokens": got, **layout}
    replayed = simulate(model, gpu, requests=max(20 * users, 200), **load)
    return estimate(model, gpu, **load).serving, replayed


@pytest.mark.parametrize("case", LIGHT)
def test_light_loads_take_as_long_as_estimated(case: tuple[str, str, str, int, int, int]) -> None:
    told, replayed = both(*case)
    assert replayed.tpot_s.mean == pytest.approx(told.time_per_output_token_s, rel=0.03)
    assert replayed.ttft_s.mean == pytest.approx(told.time_to_first_token_s, rel=0.05)
    assert replayed.output_tokens_per_s == pytest.approx(told.output_tokens_per_s, rel=0.03)


@pytest.mark.parametrize("backend", ["vllm", "sglang"])
def test_stages_of_a_pipeline_go_on_while_one_computes_a_prompt(backend: str) -> None:
    told, replayed = both("v3", "16xh200", backend, 16, 2048, 512, tensor_parallel=8, pipeline_parallel=2)
    assert replayed.tpot_s.mean == pytest.approx(told.time_per_output_token_s, rel=0.03)
    assert replayed.ttft_s.mean == pytest.approx(told.time_to_first_token_s, rel=0.05)


def test_pools_apart_take_as_long_as_estimated() -> None:
    load = {"gpus": 8, "concurrency": 64, "input_tokens": 2048, "output_tokens": 512, "disaggregated": True}
    told = estimate("llama-3.1-70b", "h200", **load).serving
    replayed = simulate("llama-3.1-70b", "h200", requests=1500, **load)
    assert replayed.tpot_s.mean == pytest.approx(told.time_per_output_token_s, rel=0.03)
    # The estimate sends nothing: what is sent takes 2,048 tokens over the network.
    assert told.time_to_first_token_s < replayed.ttft_s.mean < 1.1 * told.time_to_first_token_s


@pytest.mark.parametrize("backend", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize(("users", "put"), [(64, 1024), (64, 4096), (256, 256)])
def test_heavier_loads_keep_the_time_per_output_token_and_wait_less(backend: str, users: int, put: int) -> None:
    # Users who began one after the other stay apart: prompts meet less often than those of the closed form's queue.
    told, replayed = both("llama-3.1-70b", "4xh100", backend, users, put, 1024)
    load = {"backend": backend, "concurrency": users, "input_tokens": put, "output_tokens": 1024}
    scenario = asked("llama-3.1-70b", "4xh100", load)
    chosen = choose_deployment(scenario)
    at = predict(scenario, chosen.deployment.layout, chosen.batch)
    assert replayed.tpot_s.mean == pytest.approx(told.time_per_output_token_s, rel=0.03)
    unqueued = told.time_to_first_token_s - float(at.wait)
    assert 0.95 * unqueued < replayed.ttft_s.mean < 1.05 * told.time_to_first_token_s


def test_no_more_run_than_the_memory_of_an_estimate_holds() -> None:
    lengths = {"input_tokens": 16_384, "output_tokens": 1024}
    held = estimate("llama-3.1-8b", "1xl40s", **lengths).memory.max_sequences
    found = simulate("llama-3.1-8b", "1xl40s", arrivals="offline", requests=200, backend="trtllm", **lengths)
    most = max(each.running for each in found.timeline)
    trt = estimate("llama-3.1-8b", "1xl40s", backend="trtllm", **lengths).memory.max_sequences
    assert trt - 1 <= most <= trt and found.preemptions == 0
    lost = simulate("llama-3.1-8b", "1xl40s", arrivals="offline", requests=200, **lengths)
    assert lost.preemptions > 0 and max(each.running for each in lost.timeline) <= held * 17_408 / 16_384 + 1
