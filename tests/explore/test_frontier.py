"""The frontier: what brute force finds, points whose commands give their numbers, sets of what ranges cannot tell."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from itertools import combinations
from math import hypot, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import costcalc
from costcalc import CostcalcError, Frontier, frontier
from costcalc.cli import main
from costcalc.explore.spaces.frontier import TOLD, Point, undominated
from costcalc.predict.odds import COMMON
from costcalc.report.export.files import csv_rows
from costcalc.validation.files import load_measurements
from costcalc.validation.score import score

LLAMA = "llama-3.1-8b"
SHARED = (1 - COMMON) ** 0.5
"""What is left between two errors of which this much is common, where both are as large."""


def brute_force(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Whether no other of all pairs is as good in both numbers and better in one."""
    kept = np.isfinite(first) & np.isfinite(second)
    for index in np.flatnonzero(kept):
        as_good = (first >= first[index]) & (second >= second[index])
        kept[index] = not (as_good & ((first > first[index]) | (second > second[index]))).any()
    return kept


values = st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, float("nan")]) | st.floats(-5, 5)] * 2))


@given(values)
def test_what_is_kept_is_what_brute_force_keeps(pairs: list[tuple[float, float]]) -> None:
    first, second = np.array(pairs, dtype=float).reshape(-1, 2).T
    assert undominated(first, second).tolist() == brute_force(first, second).tolist()


def test_the_frontier_of_ten_thousand_cells_is_that_of_their_sweeps() -> None:
    batches, short = list(range(1, 2501)), {"input_tokens": 16, "output_tokens": 16}  # of which all batches fit
    found = frontier(LLAMA, "h100", batch=batches, max_gpus=8, **short)
    cells = []
    for degree in (1, 2, 4, 8):  # behind a switch a model without experts is cut by tensor ranks alone
        swept = costcalc.sweep(LLAMA, "h100", gpus=degree, tensor_parallel=degree, batch=batches, **short)
        numbers = [swept[path] for path in (TOLD["tokens_per_s_per_user"], TOLD["tokens_per_s_per_gpu"])]
        cells.append(np.stack([np.full(len(batches), degree), batches, *numbers]))
    degree, batch, user, rate = np.concatenate(cells, axis=1)
    assert found.cells == np.isfinite(user).sum() == 10_000
    expected = {(int(degree[i]), int(batch[i]), user[i], rate[i]) for i in np.flatnonzero(brute_force(user, rate))}
    points = {
        (each.gpus, each.batch, each.tokens_per_s_per_user, each.tokens_per_s_per_gpu)
        for each in found.points
        if "tokens_per_s_per_gpu" in each.frontier
    }
    assert points == expected and len(points) > 100


SPACES: list[tuple[Any, Any, dict[str, Any]]] = [
    ("llama-3.1-70b", "h100", {"weights": ["bf16", "fp8"], "price": "spot"}),
    ("v3", ["h200", "b200"], {"disaggregated": [False, True], "input_tokens": "8k", "ttft": "2s"}),
    (["gpt-oss-120b", "qwen3-30b-a3b"], ["8xh100", "mi300x"], {"backend": "vllm,sglang", "drafts": [0, 1]}),
    ("gemma-3-27b", "rtx-4090", {"kv_cache": "fp8", "tuning": "tuned", "context": 20_000, "max_gpus": 4}),
    ("v3", "h100", {"efficiency": "ideal", "expert_parallel": 16, "gpus": 16}),
]


@pytest.mark.parametrize(("models", "gpus", "options"), SPACES)
def test_a_points_command_gives_its_numbers_to_the_last_bit(
    models: Any, gpus: Any, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = frontier(models, gpus, **options)
    assert len(found.points) > 5
    chosen = found.points[:: max(len(found.points) // 25, 1)]
    for point in chosen:
        assert main([*shlex.split(point.command)[1:], "--format", "json"]) == 0
        same_numbers(point, json.loads(capsys.readouterr().out))


def same_numbers(point: Point, answer: dict[str, Any]) -> None:
    """Fail where an estimate's tree says anything else than a point."""
    for name, path in TOLD.items():
        branch, _, leaf = path.partition(".")
        assert getattr(point, name) == answer[branch][leaf], (name, point.command)
        limits = getattr(point, f"{name}_range")
        assert (None if limits is None else list(limits)) == answer[branch].get(f"{leaf}_range"), point.command
    machine, load = answer["deployment"], answer["workload"]
    assert (point.model, point.gpu, point.gpus) == (answer["model"]["name"], machine["gpu"], machine["gpus"])
    assert (point.layout, point.batch) == (machine["layout"], load["batch"])
    assert (point.weights, point.kv_cache) == (machine["precision"]["weights"], machine["precision"]["kv_cache"])
    assert (point.backend, point.disaggregated) == (machine["backend"], load["disaggregated"])
    assert point.prefill_gpus == answer["serving"]["prefill_gpus"]
    assert point.usd_per_gpu_hour == machine["usd_per_gpu_hour"]


def test_a_catalog_and_what_was_set_in_it_stand_in_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "hardware_profiles").mkdir()
    own = "extends: h100-sxm\nname: Mine\nprice: {usd_per_gpu_hour: 1.5, kind: reserved, source: us, date: '2026-10'}\n"
    (tmp_path / "hardware_profiles" / "mine.yaml").write_text(own)
    typed = ["-m", LLAMA, "-g", "mine", "--catalog", str(tmp_path), "--set", "gpu.memory_bandwidth=2.5TB/s"]
    assert main(["frontier", *typed, "--max-gpus", "1", "-f", "json"]) == 0
    point = json.loads(capsys.readouterr().out)["points"][3]
    assert point["usd_per_gpu_hour"] == 1.5
    assert main([*shlex.split(point["command"])[1:], "--format", "json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["serving"]["tokens_per_s_per_user"] == point["tokens_per_s_per_user"]


@pytest.fixture(scope="module")
def several() -> Frontier:
    return frontier("gpt-oss-120b", ["h100", "h200", "b200"])


def alike(one: Point, other: Point) -> bool:
    """Whether all of two points' numbers differ by less than both of their errors."""

    def error(point: Point) -> float:
        low, high = point.time_per_output_token_s_range or (1.0, 1.0)
        return log(high / low) / 2

    same = (one.gpu, one.weights, one.disaggregated) == (other.gpu, other.weights, other.disaggregated)
    first, second = error(one), error(other)
    most = (first**2 + second**2 - 2 * (COMMON if same else 0.0) * first * second) ** 0.5
    names = ("tokens_per_s_per_user", "tokens_per_s_per_gpu", "usd_per_million_blended_tokens")
    return all(abs(log(getattr(one, name) / getattr(other, name))) <= most * (1 + 1e-12) for name in names)


def test_a_set_is_what_cannot_be_told_apart_from_its_fastest(several: Frontier) -> None:
    sets = {
        number: [each for each in several.points if each.set == number] for number in {p.set for p in several.points}
    }
    assert sorted(sets) == list(range(1, len(sets) + 1)) and len(sets) > 3
    heads = [sets[number][0] for number in sorted(sets)]
    assert all(head.frontier for head in heads)
    assert [head.tokens_per_s_per_user for head in heads] == sorted(
        (head.tokens_per_s_per_user for head in heads), reverse=True
    )
    for head in heads:
        assert all(alike(head, each) for each in sets[head.set])
    # Whatever is on the frontier stands in the first set that it cannot be told apart from.
    for point in several.points:
        if point.frontier:
            assert not any(alike(head, point) for head in heads if head.set < point.set)
    assert any(not each.frontier and each.gpu != sets[each.set][0].gpu for each in several.points)


def test_the_bound_has_no_ranges_and_every_number_is_told_apart() -> None:
    found = frontier(LLAMA, "h100", efficiency="ideal", max_gpus=2)
    assert all(each.tokens_per_s_per_user_range is None for each in found.points)
    alone = {(p.tokens_per_s_per_user, p.tokens_per_s_per_gpu) for p in found.points}
    assert len({each.set for each in found.points}) == len(alone)


def test_errors_that_predictions_share_are_as_measured() -> None:
    rows = [
        row
        for row in score("e2e", load_measurements(Path("measurements/e2e.csv"), "e2e").rows)
        if not row["excluded"] and row["quantity"] == "tpot_ms" and row["predicted"]
    ]
    same, other = [], []
    for one, two in combinations(rows, 2):
        errors = [log(row["predicted"] / row["tpot_ms"]) for row in (one, two)]
        widths = [log(row["high"] / row["low"]) / 2 for row in (one, two)]
        ratio = abs(errors[0] - errors[1]) / hypot(*widths)
        names = ("gpu", "model", "framework", "moe_dtype", "dtype", "disagg", "isl", "osl")
        if all(one[name] == two[name] for name in names):
            same.append(ratio)
        elif one["gpu"] != two["gpu"]:
            other.append(ratio)
    assert len(same) > 1000 and np.quantile(same, 0.8) == pytest.approx(SHARED, abs=0.03)
    assert len(other) > 10_000 and np.quantile(other, 0.8) == pytest.approx(1.0, abs=0.06)


def test_limits_leave_out_what_takes_longer_or_more(several: Frontier) -> None:
    kept = frontier("gpt-oss-120b", ["h100", "h200", "b200"], tpot="12ms", ttft="100 ms", max_gpus=2)
    assert all(p.time_per_output_token_s <= 0.012 and p.time_to_first_token_s <= 0.1 for p in kept.points)
    assert all(point.gpus <= 2 for point in kept.points) and 0 < kept.cells < several.cells
    assert max(point.gpus for point in several.points) > 2
    apart = frontier("gpt-oss-120b", "h100", disaggregated=True, max_gpus=4)
    assert all(point.prefill_gpus and point.gpus + np.ceil(point.prefill_gpus) <= 4 for point in apart.points)


def test_each_model_has_a_frontier_of_its_own() -> None:
    both = frontier([LLAMA, "llama-3.1-70b"], "h100")
    alone = frontier("llama-3.1-70b", "h100")
    assert [each for each in both.points if each.model == "Llama-3.1-70B"] == list(alone.points)


def test_pools_formats_and_engines_are_parts_of_one_space() -> None:
    found = frontier(
        "v3", "h200", disaggregated=[False, True], weights="fp8,nvfp4,attention=fp8", backend="vllm,sglang"
    )
    assert len(found.fronts) == 2 * 2 * 2
    assert {each.of.disaggregated for each in found.fronts} == {False, True}
    narrow, mixed = sorted({each.of.weights for each in found.fronts}, key=len)
    assert "fp8" in narrow and "nvfp4" in mixed and "fp8 attention" in mixed
    best = frontier("v3", "h200", disaggregated=True)
    most = max(point.tokens_per_s_per_gpu for point in found.points)
    assert most >= max(point.tokens_per_s_per_gpu for point in best.points)


def test_all_gpus_of_the_catalog_are_asked_and_what_has_no_room_is_said() -> None:
    found = frontier("llama-3.1-70b", "all", weights="fp8", max_gpus=1)
    assert {"NVIDIA H200 SXM 141GB", "NVIDIA B200 SXM 180GB"} <= {front.of.gpu for front in found.fronts}
    assert any("NVIDIA GeForce RTX 4090" in note or "more" in note for note in found.notes)
    assert all(point.gpus == 1 for point in found.points)


def test_prices_of_several_gpus_are_those_of_a_comparison() -> None:
    found = frontier("gpt-oss-120b", ["h100", "b200"])
    alone = costcalc.compare_gpus(["h100", "b200"], "gpt-oss-120b")
    assert {each.of.gpu: each.of.usd_per_gpu_hour for each in found.fronts} == {
        row.variant: row.estimate.deployment.usd_per_gpu_hour for row in alone.rows
    }
    assert not any("--price" in point.command for point in found.points)


Ask = Callable[[], object]
REFUSED: list[tuple[Ask, str]] = [
    (lambda: frontier("v3", "4xl4"), "does not fit on 4"),
    (lambda: frontier("v3", "h100", max_gpus=8), "max_gpus: DeepSeek-V3 on NVIDIA H100 SXM5 80GB takes 16 GPUs"),
    (lambda: frontier(LLAMA, "h100", tpot="1us"), "tpot: no configuration .* keeps it; the least is"),
    (lambda: frontier(LLAMA, "h100", ttft="1us"), "ttft: no configuration"),
    (lambda: frontier(LLAMA, "h100", concurrency=8), "concurrency: a frontier has every batch instead"),
    (lambda: frontier(LLAMA, "h100", terms="kv"), "terms: a term of the bill has no frontier"),
    (lambda: frontier(LLAMA, "h100", backend=["vllm", "sglnag"]), "backend: .*did you mean 'sglang'"),
    (lambda: frontier(LLAMA, ["h100", "h1000"]), "h1000"),
    (lambda: frontier([], "h100"), "models: the list is empty"),
    (lambda: frontier(LLAMA, "h100", batch=[1, 0]), "batch: "),
    (lambda: frontier(LLAMA, "8xh100", gpus=4), "gpus: 4 contradicts '8xh100'"),
    (lambda: frontier(LLAMA, "h100", context=[1000, 2000]), "context: .* where one value belongs"),
    (lambda: frontier(LLAMA, "h100", contxt=1000), "did you mean 'context'"),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "words"), REFUSED)
def test_what_cannot_be_is_said(ask: Ask, words: str) -> None:
    with pytest.raises(CostcalcError, match=words):
        ask()


def test_a_frontier_of_one_gpu_says_that_its_price_is_old_and_what_was_asked() -> None:
    found = costcalc.frontier("llama-3.1-8b", "1xh100", price="article", input_tokens=2000, output_tokens=500)
    alone = costcalc.estimate("llama-3.1-8b", "1xh100", price="article")
    note = next(each for each in alone.notes if each.startswith("The price is"))
    assert note in found.notes
    rows = csv_rows(found)
    assert {(row["input_tokens"], row["output_tokens"]) for row in rows} == {(2000, 500)}
    # The numbers whose frontier a point is on are one column.
    assert "tokens_per_s_per_gpu usd_per_million_blended_tokens" in {row.get("frontier") for row in rows}
    assert not any(name.startswith("frontier.") for row in rows for name in row)
    assert not any("The price is" in each for each in costcalc.frontier("llama-3.1-8b", "1xh100", price=2).notes)
