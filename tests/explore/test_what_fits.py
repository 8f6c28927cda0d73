"""What fits at most: what it says, estimate accepts, and one step more it refuses; counted by brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.cli import main
from costcalc.engine.parallelism import DoesNotFit
from costcalc.errors import CostcalcError
from costcalc.explore.capacity import bits_per_weight, largest
from costcalc.explore.search import deployments_on
from costcalc.formats import cache_format, weight_format
from costcalc.predict.options import Options
from costcalc.predict.scenario import scenario_of

MODELS = ["llama-3.1-8b", "gemma-3-12b", "gpt-oss-20b", "deepseek-v2-lite", "qwen3-next-80b-a3b", "llama-2-7b"]
GPUS = [(1, "rtx-4090"), (2, "h100"), (1, "l40s"), (4, "a100-40gb-sxm"), (1, "m3-max"), (1, "mi300x")]
QUESTIONS = st.fixed_dictionaries(
    {"weights": st.sampled_from([None, "int4", "fp8"]), "kv_cache": st.sampled_from([None, "fp8"])}
)


def accepted(model: Any, gpu: Any, options: dict[str, Any]) -> bool:
    """Whether estimate takes it, and keeps the limits of time that were asked for."""
    try:
        found = costcalc.estimate(model, gpu, **options)
    except DoesNotFit:
        return False
    return found.limits.kept is not False


def asked(result: costcalc.Capacity, **changes: Any) -> dict[str, Any]:
    """The options of the first row's command, as the command line takes them."""
    words = (result.rows[0].estimate.command or "").split()[2:]
    known = {"--gpus": "gpus", "--tp": "tensor_parallel", "--pp": "pipeline_parallel", "--ep": "expert_parallel"}
    known |= {"--dp": "attention_data_parallel", "--batch": "batch", "--context": "context", "--weights": "weights"}
    known |= {"--kv": "kv_cache", "--tpot": "tpot", "--backend": "backend", "--input": "input_tokens"}
    pairs = dict(zip(words[::2], words[1::2], strict=True))
    told = {known[flag]: value for flag, value in pairs.items() if flag in known}
    return {**{name: float(value) if name == "tpot" else value for name, value in told.items()}, **changes}


@given(st.sampled_from(MODELS), st.sampled_from(GPUS), QUESTIONS, st.integers(1, 9))
@settings(max_examples=20)
def test_the_longest_context_fits_and_one_more_token_does_not(
    model: str, gpu: tuple[int, str], options: dict[str, Any], batch: int
) -> None:
    count, name = gpu
    given_ = {**options, "batch": batch, "gpus": count}
    try:
        found = costcalc.capacity(model, f"{count}x{name}", batch=batch, **options)
    except DoesNotFit:
        assert not accepted(model, name, {**given_, "context": 1})
        return
    assert isinstance(found.value, int) and found.rows[0].estimate.deployment.gpus == count
    assert accepted(model, name, {**given_, "context": found.value})
    assert not accepted(model, name, {**given_, "context": found.value + 1})


@given(st.sampled_from(MODELS), st.sampled_from(GPUS), QUESTIONS, st.sampled_from(["1k", "8k"]))
@settings(max_examples=20)
def test_the_largest_batch_fits_and_one_more_sequence_does_not(
    model: str, gpu: tuple[int, str], options: dict[str, Any], context: str
) -> None:
    count, name = gpu
    given_ = {**options, "context": context, "gpus": count}
    try:
        batch = costcalc.capacity(model, name, max="batch", gpus=count, context=context, **options).value
    except DoesNotFit:
        assert not accepted(model, name, {**given_, "batch": 1})
        return
    assert accepted(model, name, {**given_, "batch": batch})
    assert not accepted(model, name, {**given_, "batch": int(batch or 0) + 1})
    # As users of all replicas: no way of spreading the model holds more.
    users = costcalc.capacity(model, name, max="users", gpus=count, context=context, **options)
    held = users.rows[0].estimate
    assert users.value == held.workload.batch * held.deployment.replicas
    spec, machine = costcalc.load_model(model), costcalc.load_gpu(name)
    for deployment in deployments_on(spec, machine, count):
        layout = deployment.layout
        degrees = {
            "tensor_parallel": layout.tp, "pipeline_parallel": layout.pp,
            "expert_parallel": layout.ep, "attention_data_parallel": layout.attention_dp,
            "gpus": deployment.gpus - deployment.idle, "batch": int(users.value) // deployment.replicas + 1,
        }  # fmt: skip
        assert not accepted(spec, machine, {**options, "context": context, **degrees})


@pytest.mark.parametrize(("tpot", "kept"), [("30ms", 30e-3), ("26ms", 26e-3)])
def test_under_a_limit_of_time(tpot: str, kept: float) -> None:
    found = costcalc.capacity("llama-3.1-8b", "rtx-4090", max="batch", tpot=tpot)
    assert isinstance(found.value, int) and 1 <= found.value < 9
    for batch in range(1, 10):  # by brute force
        fits = accepted("llama-3.1-8b", "rtx-4090", {"gpus": 1, "batch": batch, "tpot": kept})
        assert fits == (batch <= found.value)
    assert "over the limit of" in str(found.beyond) or "does not fit" in str(found.beyond)
    longest = costcalc.capacity("llama-3.1-8b", "rtx-4090", tpot="22ms")
    options = asked(longest)
    assert accepted("llama-3.1-8b", "rtx-4090", options)
    assert not accepted("llama-3.1-8b", "rtx-4090", {**options, "context": int(longest.value or 0) + 1})


def test_one_card_stays_one_card() -> None:
    # estimate takes eight of them for 70B; what was asked is whether it fits this one.
    with pytest.raises(DoesNotFit, match="does not fit on 1 × NVIDIA GeForce RTX 4090"):
        costcalc.capacity("llama-3.1-70b", "rtx-4090")
    for question in ("context", "users", "batch", "bits"):
        found = costcalc.capacity("llama-3.1-8b", "rtx-4090", max=question)
        assert found.question == question
        assert {row.estimate.deployment.gpus for row in found.rows} == {1}


def test_every_row_is_the_estimate_of_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    import json

    for question, options in (("bits", {"backend": "llamacpp"}), ("users", {"context": "4k"}), ("context", {})):
        found = costcalc.capacity("llama-3.1-8b", "2xrtx-4090", max=question, **options)
        for row in (found.rows[0], found.rows[-1]):
            assert main([*(row.estimate.command or "").split()[1:], "-f", "json"]) == 0
            tree = json.loads(capsys.readouterr().out)
            mine = json.loads(json.dumps(row.to_dict()))
            for group in ("model", "deployment", "workload", "memory", "decode", "serving", "cost"):
                assert mine[group] == tree[group], (row.estimate.command, group)


def test_the_most_bits_are_the_widest_that_fit() -> None:
    found = costcalc.capacity("llama-3.1-70b", "2xrtx-4090", max="bits", backend="llamacpp", context="8k")
    names = [row.estimate.deployment.precision.weights for row in found.rows]
    bits = [row.bits_per_weight for row in found.rows]
    assert found.value == bits[0] == max(bits) and bits == sorted(bits, reverse=True)
    # Of Llama-3.1-70B, Q4_K_M is 42.5 GB, what llama.cpp's users put on two cards of 24 GB; Q5_K_S is not.
    assert names[0] == "q4_k_m"
    for name in Catalog().engine_memories().of("llamacpp").weights_on("ada"):
        options = {"gpus": 2, "batch": 1, "context": "8k", "backend": "llamacpp", "weights": name}
        widest = {**options, "kv_cache": "q4_0"}
        assert (name in names) == (accepted("llama-3.1-70b", "rtx-4090", widest))
    assert "q5_k_m" in found.notes[0]


def test_the_widest_cache_is_taken_that_fits_beside_the_weights() -> None:
    found = costcalc.capacity("llama-3.1-8b", "rtx-4090", max="bits", context="60k")
    first = found.rows[0].estimate.deployment.precision
    assert (first.weights, first.kv_cache) == ("bf16", "fp8")
    one = {"gpus": 1, "batch": 1, "context": "60k"}
    assert not accepted("llama-3.1-8b", "rtx-4090", one)
    assert accepted("llama-3.1-8b", "rtx-4090", {**one, "kv_cache": "fp8"})


def test_the_largest_model_is_the_largest_that_any_format_fits() -> None:
    found = costcalc.capacity(None, "rtx-4090")
    sizes = [row.estimate.model.parameters.total for row in found.rows]
    assert sizes == sorted(sizes, reverse=True) and found.value == found.rows[0].estimate.model.name
    catalog, fitting = Catalog(), set()
    formats = catalog.engine_memories().of("vllm").weights_on("ada")
    gpu, constants = catalog.gpu("rtx-4090"), catalog.serving_efficiency()
    for entry in catalog.entries("models")[::5]:  # by brute force, each fifth
        spec = catalog.model(entry.name)
        own = scenario_of(spec, gpu, Options(gpus=1, batch=1), constants)
        for weights in (None, *formats):
            q = scenario_of(spec, gpu, replace(own.options, weights=weights), constants)
            wide = weights is not None and bits_per_weight(q) >= bits_per_weight(own)
            caches = (None, "fp8")
            options = {"gpus": 1, "batch": 1, "weights": weights}
            if not wide and any(accepted(spec, gpu, {**options, "kv_cache": each}) for each in caches):
                fitting.add(spec.name)
    listed = {row.estimate.model.name for row in found.rows}
    checked = {catalog.model(entry.name).name for entry in catalog.entries("models")[::5]}
    assert listed & checked == fitting


def test_windows_alone_set_no_limit() -> None:
    found = costcalc.capacity("mistral-7b-v0.1", "rtx-4090")
    assert found.value is None and found.beyond is None and found.rows[0].estimate.memory.fits
    assert accepted("mistral-7b-v0.1", "rtx-4090", {"gpus": 1, "batch": 1, "context": 1e9})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max": "context", "context": "4k"}, "context: the context is what is asked for; leave it out"),
        ({"max": "users", "batch": 4}, "batch: the users is what is asked for"),
        ({"max": "user"}, "max: 'user' is unknown; did you mean 'users'?"),
        ({"max": "model"}, "model: the largest model is what is asked for"),
        ({"demand": "5 requests/s"}, "demand: a capacity is of these GPUs as they are"),
        ({"disaggregated": True}, "disaggregated: a capacity is of these GPUs as they are"),
        ({"max": "batch", "tpot": "1us"}, "tpot: nothing of Llama-3.1-8B on 1 × NVIDIA H100 SXM5 80GB keeps a TPOT of"),
    ],
)
def test_what_cannot_be_asked_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CostcalcError) as refused:
        costcalc.capacity("llama-3.1-8b", "h100", **options)
    assert message in str(refused.value)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1, max_size=4))
def test_the_search_finds_every_threshold(rows: list[tuple[int, int, int]]) -> None:
    low, high, limit = (np.array(each, dtype=float) for each in zip(*rows, strict=True))
    high = np.maximum(low, high)
    found = largest(lambda tried: tried <= limit[:, None], low, high)
    expected = np.where(limit < low, 0, np.minimum(limit, high))
    assert (found == expected).all()


def test_formats_of_engines_are_known() -> None:
    for engine in Catalog().engine_memories().engines.values():
        assert engine.weights and engine.caches
        assert all(weight_format(name).name == name for name in engine.weights)
        assert all(cache_format(name).name == name for name in engine.caches)
        known = {Catalog().gpu(each.name).architecture for each in Catalog().entries("hardware_profiles")}
        assert known >= {arch for only in (*engine.weights.values(), *engine.caches.values()) for arch in only}


SPLIT: dict[str, Any] = {"weights": "q4_k_m", "gpu_layers": "auto"}
DESKTOP: dict[str, Any] = {**SPLIT, "host_memory": "32GB"}


@pytest.mark.parametrize(
    ("question", "found", "refused"),
    [("context", "context", "in the 32 GB of the host"), ("users", "batch", "in the 32 GB of the host")],
)
def test_what_is_on_the_gpu_follows_what_is_asked(question: str, found: str, refused: str) -> None:
    """One more token or user takes another split, until the host is full too; the estimate agrees on both sides."""
    most = costcalc.capacity("qwen3-30b-a3b", "rtx-3060", max=question, **DESKTOP)
    fixed = costcalc.estimate("qwen3-30b-a3b", "rtx-3060", **{**DESKTOP, "batch": 1, found: 1}).memory
    there = most.rows[0].estimate.memory
    assert isinstance(most.value, int) and refused in (most.beyond or "")
    assert (there.host_bytes or 0) > (fixed.host_bytes or 0)
    options: dict[str, Any] = {**DESKTOP, "batch": 1}
    costcalc.estimate("qwen3-30b-a3b", "rtx-3060", **{**options, found: most.value})
    with pytest.raises(CostcalcError, match=refused):
        costcalc.estimate("qwen3-30b-a3b", "rtx-3060", **{**options, found: most.value + 1})


def test_a_host_without_a_size_limits_nothing() -> None:
    most = costcalc.capacity("qwen3-30b-a3b", "rtx-3060", **SPLIT)
    # max_position_embeddings of https://huggingface.co/Qwen/Qwen3-30B-A3B/blob/main/config.json
    assert most.value is None and most.about.endswith(": 40,960 tokens, as trained; memory sets none")
    with pytest.raises(CostcalcError, match="host_memory"):
        costcalc.capacity("qwen3-30b-a3b", "rtx-3060", max="users", **SPLIT)


def test_the_answer_says_what_the_model_was_trained_for() -> None:
    """max_position_embeddings of meta-llama/Llama-3.1-8B's config.json: 131072."""
    most = costcalc.capacity("llama-3.1-8b", "8xh200")
    assert most.trained == 131_072 and isinstance(most.value, int) and most.value > 131_072
    assert f"131,072 tokens, as trained; memory would hold {most.value:,}" in most.about
    assert costcalc.capacity("llama-3.1-8b", "rtx-4090").trained is None
