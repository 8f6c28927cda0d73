"""What serving engines add, and the best of all of them."""

from __future__ import annotations

import pytest

import costcalc
from costcalc.catalog.catalog import Catalog


def test_the_best_engine_is_the_least_of_every_current_one() -> None:
    constants = Catalog().serving_efficiency()
    best = constants.engine("best")
    current = [each for each in constants.backends.values() if each.current]
    assert {"trtllm", "vllm", "sglang"} <= set(constants.backends)
    for name in ("layer", "startup", "admission_steps", "host"):
        assert getattr(best, name) == min(getattr(each, name) for each in current)
    assert constants.engine("vllm") is constants.backends["vllm"]
    # vLLM of 2023 had no graphs, and nobody deploys it today.
    assert "vllm-eager" in constants.backends and constants.backends["vllm-eager"] not in current


def whole(answer: costcalc.Estimate) -> float:
    served = answer.serving
    assert served.time_to_first_token_s is not None
    return served.time_to_first_token_s + answer.workload.output_tokens * served.time_per_output_token_s


MODELS = ["v3", "llama-3.1-8b", "gpt-oss-120b"]


def under(model: str, backend: str) -> costcalc.Estimate:
    return costcalc.estimate(model, "h200", backend=backend, gpus=8, batch=64, output_tokens=512)


@pytest.mark.parametrize("model", MODELS)
def test_no_engine_is_faster_than_the_best_of_all(model: str) -> None:
    best = under(model, "best")
    assert best.deployment.backend == "best"
    for backend in ("trtllm", "vllm", "sglang"):
        assert best.decode.step_time_s <= under(model, backend).decode.step_time_s


@pytest.mark.parametrize("model", MODELS)
def test_no_request_is_done_sooner_than_by_the_best_of_all(model: str) -> None:
    # Faster answers bring the next prompts sooner, which wait for each other: the whole request is what counts.
    for backend in ("trtllm", "vllm", "sglang"):
        assert whole(under(model, "best")) <= whole(under(model, backend))
