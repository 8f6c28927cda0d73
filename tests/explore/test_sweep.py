"""A sweep: every cell is what `costcalc.estimate` answers, and the whole grid is one call of the engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import costcalc
from costcalc.explore.spaces import cells
from costcalc.predict.readers import is_several, values_of

LLAMA = "llama-3.1-8b"
SWEEPS: list[tuple[str, str, dict[str, Any]]] = [
    ("v3", "h100", {"batch": [1, 8, 64], "context": "4k,32k,128k", "price": [1, 2, 3]}),
    (LLAMA, "h100", {"batch": "1:256:x4", "context": ["4k", 100_000], "gpus": [1, 2, 4]}),
    (LLAMA, "h100", {"context": np.array([1000, 8000, 64_000])}),
    ("v3", "h200", {"context": "4k:128k:x4", "drafts": 1, "kv_cache": "fp8"}),
    ("gpt-oss-120b", "b200", {"batch": [1, 64], "input_tokens": [1000, 8000], "cached": 0.5, "disaggregated": True}),
    (LLAMA, "h100", {"output_tokens": [100, 2000], "utilization": ["20%", 1], "efficiency": "ideal"}),
    ("llama-3.1-70b", "h100", {"gpus": 8, "tensor_parallel": [2, 8], "batch": [1, 256], "price": ["spot", 2]}),
    (LLAMA, "rtx-4090", {"batch": [1, 4], "memory_bandwidth": ["500 GB/s", 2e12]}),
    ("v3", "h100", {"batch": [1, 64, 512], "context": ["4k", "64k", "1M"], "utilization": [0.5, 1]}),
    ("qwen3-32b", "h100", {"context": ["2k", "32k"], "output_tokens": [100, 4000], "memory_bandwidth": [2e12, 4e12]}),
    ("gpt-oss-120b", "h100", {"input_tokens": [1000, 30_000], "tpot": "20ms", "price": [1, 2]}),
    ("mixtral-8x22b", "mi300x", {"batch": [1, 300, 10_000], "input_tokens": [1000, 100_000]}),
    (LLAMA, "h100", {"gpus": 8, "context": ["4k", "64k"], "concurrency": 100, "price": [1, 2]}),
    (LLAMA, "h100", {"context": ["4k", "64k"], "concurrency": 100}),
    ("v3", "h200", {"gpus": 16, "tensor_parallel": 8, "batch": [1, 64, 1024], "context": ["4k", "64k"]}),
    ("gpt-oss-120b", "h100", {"tensor_parallel": [1, 2, 4, 8], "batch": [1, 64], "price": [1, 2]}),
    ("gpt-3", "h100", {"batch": [1, 2], "context": [1000, 100_000], "terms": "kv", "efficiency": "ideal"}),
]


def leaves(tree: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        yield from leaves(value, f"{path}{name}.") if isinstance(value, dict) else [(path + name, value)]


def cells_that_estimates_answer_alike(model: str, gpu: str, options: dict[str, Any]) -> float:
    """Share of a sweep's cells that fit, each of which is what an estimate answers, to the last bit.

    Where neither GPUs nor degrees are asked for, of the same options; else with the degrees and the batch of the cell.
    """
    sweep = costcalc.sweep(model, gpu, **options)
    swept = {axis.name for axis in sweep.axes}
    fixed = {name: value for name, value in options.items() if name not in swept}
    answered = 0
    for index, row in zip(sweep.indices(), sweep.to_dict()["rows"], strict=True):
        bandwidth = row["deployment"].pop("memory_bandwidth", None)
        overrides = None if bandwidth is None else {"memory_bandwidth": f"{bandwidth} B/s"}
        machine = costcalc.load_gpu(gpu, overrides=overrides)
        alone = {axis.name: axis.values[at] for axis, at in zip(sweep.axes, index, strict=True)}
        alone.pop("memory_bandwidth", None)
        try:
            answer = costcalc.estimate(
                model, machine, **{**fixed, **(alone if sweep.chosen else sweep.arguments(index))}
            )
        except costcalc.CostcalcError as error:
            assert any(words in str(error) for words in ("does not fit", "may not start")) and not row["memory"]["fits"]
            assert row["cost"]["usd_per_million_output_tokens"] is None and row["decode"]["bound_by"] is None
            continue
        answered += 1
        expected = dict(leaves(answer.to_dict()))
        for path, value in leaves(row):
            assert value == expected[path], path
    return answered / sweep.size


@pytest.mark.parametrize(("model", "gpu", "options"), SWEEPS)
def test_each_cell_is_what_an_estimate_with_the_same_arguments_answers(
    model: str, gpu: str, options: dict[str, Any]
) -> None:
    assert cells_that_estimates_answer_alike(model, gpu, options) >= 1 / 2


@st.composite
def questions(draw: st.DrawFn) -> dict[str, Any]:
    """Two values each of three options that may be swept, and conditions that are not."""
    values = {
        "batch": st.integers(1, 400),
        "context": st.integers(50_000, 100_000),  # that every prompt lies in
        "input_tokens": st.integers(1, 50_000),
        "output_tokens": st.integers(1, 5000),
        "memory_bandwidth": st.integers(10**11, 10**13),
        "price": st.floats(0.1, 20),
        "utilization": st.floats(0.1, 1),
        "gpus": st.sampled_from([8, 16, 24]),
    }
    names = draw(st.lists(st.sampled_from(sorted(values)), min_size=3, max_size=3, unique=True))
    swept = {name: draw(st.lists(values[name], min_size=2, max_size=2, unique=True)) for name in names}
    fixed: dict[str, Any] = {"gpus": 8} if "gpus" not in names and draw(st.booleans()) else {}
    fixed |= draw(st.sampled_from([{}, {"tensor_parallel": 4}, {"tensor_parallel": 8}]))  # the other degrees are chosen
    if draw(st.booleans()):
        fixed |= {"efficiency": "ideal"}
    else:
        fixed |= {"backend": draw(st.sampled_from(["vllm", "sglang", "trtllm", "best", "vllm-eager"]))}
    others = {"drafts": [0, 2], "cached": [0.0, 0.37], "disaggregated": [False, True], "tuning": ["default", "tuned"]}
    return {**swept, **fixed, **{name: draw(st.sampled_from(each)) for name, each in others.items()}}


@settings(max_examples=settings().max_examples // 4)
@given(
    st.sampled_from(["v3", LLAMA, "gpt-oss-120b", "mixtral-8x22b", "jamba-1.5-large", "minimax-m3"]),
    st.sampled_from(["h200", "b200", "mi300x", "rtx-pro-6000"]),
    questions(),
)  # fmt: skip
def test_each_cell_is_what_an_estimate_answers_to_the_last_bit(model: str, gpu: str, asked: dict[str, Any]) -> None:
    try:
        assert cells_that_estimates_answer_alike(model, gpu, asked) >= 0
    except costcalc.CostcalcError as error:
        assume(not any(words in str(error) for words in ("fit", "may not start")))
        raise


def test_the_axes_are_in_the_order_given_with_degrees_first() -> None:
    sweep = costcalc.sweep(LLAMA, "h100", price=[1, 2], context=["4k", "8k", "16k"], gpus=[1, 2, 4, 8], batch=1)
    assert [axis.name for axis in sweep.axes] == ["gpus", "price", "context"]
    assert sweep.shape == (4, 2, 3) == sweep["cost.usd_per_million_output_tokens"].shape
    assert [axis.unit for axis in sweep.axes] == ["", "$/GPU-hour", "tokens"]
    costs = sweep["usd_per_million_output_tokens"]
    assert np.allclose(costs[:, 1], 2 * costs[:, 0])
    assert not costs.flags.writeable


def test_numbers_of_the_service_come_before_those_of_decoding_alone() -> None:
    sweep = costcalc.sweep(LLAMA, "h100", batch=[1, 32])
    assert np.all(sweep["tokens_per_s_per_user"] <= sweep["decode.tokens_per_s_per_user"])
    assert np.allclose(sweep["tokens_per_s_per_user"], 1 / sweep["time_per_output_token_s"])
    low, high = sweep.range_of("time_per_output_token_s") or (0, 0)
    assert np.all(low < sweep["time_per_output_token_s"]) and np.all(sweep["time_per_output_token_s"] < high)
    assert sweep.range_of("batch") is None
    with pytest.raises(costcalc.CostcalcError, match="did you mean 'time_to_first_token_s'"):
        sweep["time_to_frist_token_s"]


def test_ten_thousand_cells_are_one_call_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    engine = cells.predict
    monkeypatch.setattr(cells, "predict", lambda *given: calls.append(1) or engine(*given))
    batches, contexts = range(1, 101), np.linspace(1000, 100_000, 50)
    sweep = costcalc.sweep("v3", "h200", batch=batches, context=contexts, price=[1.5, 3], gpus=16)
    assert (sweep.size, len(calls)) == (10_000, 1)
    assert np.all(np.diff(sweep["step_time_s"], axis=0) >= 0)  # a larger batch never takes a shorter step
    assert np.all(np.diff(sweep["step_time_s"], axis=1) > 0)  # nor a longer context


def test_the_deployment_is_that_of_the_most_demanding_cell_where_gpus_are_given() -> None:
    sweep = costcalc.sweep("v3", "h100", batch=[1, 64], context=["4k", "128k"], gpus=32)
    alone = costcalc.estimate("v3", "h100", batch=64, context="128k", gpus=32).deployment
    for name in ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel"):
        assert set(sweep[name].ravel()) == {getattr(alone, name)}
    assert sweep["fits"].all()


def test_each_cell_has_a_deployment_of_its_own_where_none_is_given() -> None:
    sweep = costcalc.sweep("v3", "h100", batch=[1, 64], context=["4k", "128k"])
    for index in sweep.indices():
        asked = {axis.name: axis.values[at] for axis, at in zip(sweep.axes, index, strict=True)}
        assert sweep["gpus"][index] == costcalc.estimate("v3", "h100", **asked).deployment.gpus
    assert len(set(sweep["gpus"].ravel())) > 1


def test_a_cell_that_fits_nowhere_changes_no_other() -> None:
    contexts = [4096, 10**7]
    both = costcalc.sweep(LLAMA, "rtx-4090", batch=[1, 8], context=contexts)
    one = costcalc.sweep(LLAMA, "rtx-4090", batch=[1], context=contexts[:1])
    assert both["fits"].tolist() == [[True, False], [True, False]]
    assert np.isnan(both["gpus"][:, 1]).all() and np.isnan(both["usd_per_million_output_tokens"][:, 1]).all()
    assert both.to_rows()[1]["deployment.gpus"] is None and both.to_rows()[0]["deployment.gpus"] == 1
    for path in one.values:
        np.testing.assert_array_equal(one.values[path][0, 0], both.values[path][0, 0])


@settings(max_examples=10)
@given(st.integers(1, 40), st.permutations(["batch", "context", "price", "gpus"]))
def test_a_sweep_is_its_chunks_joined(cells_at_once: int, order: list[str]) -> None:
    values = {"batch": [1, 7, 64], "context": [1000, 30_000], "price": [1, 2.5], "gpus": [1, 8]}
    asked = {name: values[name] for name in order}
    whole = costcalc.sweep(LLAMA, "h100", **asked)
    chunks = list(costcalc.sweep_chunks(LLAMA, "h100", cells=cells_at_once, **asked))
    assert all(each.size <= cells_at_once for each in chunks)
    assert repr([row for each in chunks for row in each.to_rows()]) == repr(whole.to_rows())


def test_what_prices_do_not_touch_is_kept_once() -> None:
    sweep = costcalc.sweep(
        "v3", "h200", gpus=16, batch=range(1, 21), context=[4000, 8000], price=np.linspace(1, 5, 1000)
    )
    step = sweep["step_time_s"]
    assert step.shape == (20, 2, 1000) and step.strides[-1] == 0
    assert sum(sweep.values.on_own_axes(path).size for path in sweep.values if not path.startswith("cost.")) < 10_000


def test_the_result_is_plain_json_and_flat_rows() -> None:
    sweep = costcalc.sweep(LLAMA, "h100", batch=[1, 8], price=[1, 2])
    tree = json.loads(json.dumps(sweep.to_dict(), allow_nan=False))
    assert [len(axis["values"]) for axis in tree["axes"]] == [2, 2] and len(tree["rows"]) == 4
    rows = sweep.to_rows()
    assert [row["workload.batch"] for row in rows] == [1, 1, 8, 8]
    assert rows[1]["cost.usd_per_million_output_tokens"] == tree["rows"][1]["cost"]["usd_per_million_output_tokens"]
    assert "deployment.memory_bandwidth" not in rows[0]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1,8,64", (1, 8, 64)),
        ("1:256:x4", (1, 4, 16, 64, 256)),
        ("1:100:X2", (1, 2, 4, 8, 16, 32, 64)),
        ("10:50:20", (10, 30, 50)),
        ("10:50:+20", (10, 30, 50)),
        ("1:10:x1.5", (1, 2, 3, 4, 6, 9)),
        ("1,4:16:x2, 8", (1, 4, 8, 16)),
        ("7", (7,)),
    ],
)
def test_lists_and_ranges(text: str, values: tuple[int, ...]) -> None:
    assert values_of(text, int, "--batch") == values


def test_ranges_have_units_and_fractions() -> None:
    axes = costcalc.sweep(LLAMA, "h100", batch=1, context="4k:16k:x2", price="1:2:0.5").axes
    assert [axis.values for axis in axes] == [(4000, 8000, 16_000), (1.0, 1.5, 2.0)]


def test_one_value_of_each_is_a_sweep_of_one_cell() -> None:
    sweep = costcalc.sweep(LLAMA, "h100", batch=8, price="2", gpus=1)
    assert [(axis.name, axis.values) for axis in sweep.axes] == [("gpus", (1,)), ("batch", (8,)), ("price", (2.0,))]
    assert sweep.shape == (1, 1, 1)
    [cell] = sweep.to_dict()["rows"]
    alone = costcalc.estimate(LLAMA, "h100", batch=8, price=2, gpus=1)
    assert cell["cost"]["usd_per_million_output_tokens"] == pytest.approx(alone.cost.usd_per_million_output_tokens)


def test_what_stands_for_several() -> None:
    assert all(map(is_several, ("1,2", "1:2:x2", [1], (1, 2), np.array([1]), range(3))))
    assert not any(map(is_several, ("8", "32k", 8, 1.5, None, np.float64(3), np.array(3))))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "nothing is swept; give a list or a range"),
        ({"tpot": 0.02}, "nothing is swept"),
        ({"batch": []}, "batch: the list is empty"),
        ({"batch": [1, "auto"]}, "batch: one of several values must be a value"),
        ({"batch": [1, 0]}, "batch: expected a positive integer, got 0"),
        ({"batch": np.ones((2, 2))}, "batch: an array of 2 dimensions"),
        ({"batch": "1:8"}, "batch: '1:8' is no range; write it like"),
        ({"batch": "8:1:x2"}, "batch: '8:1:x2' never ends"),
        ({"batch": "1:9:x1"}, "never ends"),
        ({"batch": "1:9:xx"}, "has no factor"),
        ({"context": "128,000"}, "commas stand between values: write 128000 or 128k"),
        ({"context": "1:1000000:1"}, "context: more than 10,000 values"),
        ({"batch": "1:1001:1", "context": "1:1000:1"}, "more than 1,000,000 cells"),
        ({"price": [1, "nobody"]}, "price: no price of NVIDIA H100 SXM5 80GB fits 'nobody'"),
        ({"memory_bandwidth": [3]}, "memory_bandwidth: 3 is not a bandwidth"),
        ({"weights": ["fp8", "bf16"]}, "weights: a value of type list where one value belongs; give one value"),
        ({"batchs": [1, 2]}, "did you mean 'batch'?"),
        ({"batch": [4096, 8192], "gpus": 8}, "does not fit on 8"),
        ({"gpus": 16, "tensor_parallel": [1, 3]}, "--tp 3 does not divide"),
    ],
)
def test_what_cannot_be_swept(options: dict[str, Any], told: str) -> None:
    with pytest.raises(costcalc.CostcalcError) as caught:
        costcalc.sweep("v3", "h100", **options)
    assert told in str(caught.value) and len(str(caught.value).splitlines()) == 1


def test_a_count_in_the_machine_is_not_swept_too() -> None:
    assert set(costcalc.sweep("v3", "16xh100", batch=[1, 2])["gpus"]) == {16}
    with pytest.raises(costcalc.CostcalcError, match="gpus: a list contradicts '8xh100'; leave one out"):
        costcalc.sweep("v3", "8xh100", gpus=[8, 16])


def test_notes_are_those_of_every_cell_and_the_result_is_told_in_a_line() -> None:
    layout = {"gpus": 64, "attention_data_parallel": 64, "expert_parallel": 64, "two_batch_overlap": True}
    sweep = costcalc.sweep("kimi-k2", "h20", batch=[1, 4096], **layout)  # type: ignore[arg-type]
    alone = costcalc.estimate("kimi-k2", "h20", batch=4096, **layout)  # type: ignore[arg-type]
    assert any("of the all-to-all" in note for note in alone.notes)
    assert sweep.notes and not any("of the all-to-all" in note for note in sweep.notes)
    assert repr(sweep) == "<Sweep: Kimi-K2 on 64 × NVIDIA H20 96GB: batch 2>"
