"""What a few runs say of the constants of serving: closed forms, brute force, and runs that were made up."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costcalc.catalog.catalog import Catalog
from costcalc.cli import main
from costcalc.fields import Array
from costcalc.validation.calibrate import fit_serving_files
from costcalc.validation.files import Measurements, Row, load_measurements
from costcalc.validation.score import score
from costcalc.validation.serving.fit import PARAMETERS, values_of, with_values
from costcalc.validation.serving.own_runs import (
    FEW,
    Points,
    Spreads,
    directions,
    effective_rows,
    learn,
    noise,
    own_parameters,
    posterior,
    prior_variance,
    shipped_spreads,
    weigh,
)
from costcalc.validation.serving.score import score_serving

NOTHING = dict.fromkeys(shipped_spreads().noise, 0.0)


def points(deployments: list[int], loads: list[float] | None = None) -> Points:
    """A rate of each of some rows. loads: log2 of concurrency; by default far from each other."""
    count = len(deployments)
    load = np.zeros((count, 3))
    load[:, 0] = np.arange(count) * 100.0 if loads is None else loads
    return Points(
        np.arange(count), np.zeros(count, bool), np.ones(count), np.zeros(count, int), np.array(deployments), load
    )


def spreads(**errors: float) -> Spreads:
    return Spreads(0.0, {}, {**NOTHING, **errors})


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(-2, 2)), max_size=6), st.floats(0.05, 1), st.floats(0.05, 1))
def test_one_value_is_that_of_the_textbook(seen: list[tuple[float, float]], prior: float, error: float) -> None:
    """Bishop, Pattern Recognition and Machine Learning (2006), 3.53 and 3.54, of one weight; none changes nothing."""
    off, slopes = (np.array([each[at] for each in seen]) for at in (0, 1))
    found = posterior(off, slopes[:, None], np.array([prior**2]), error**2 * np.eye(len(seen)))
    precision = prior**-2 + np.sum(slopes**2) / error**2
    assert found.covariance[0, 0] == pytest.approx(1 / precision, rel=1e-6)
    assert found.mean[0] == pytest.approx(-np.sum(slopes * off) / error**2 / precision, rel=1e-6, abs=1e-9)


def test_many_rows_of_many_deployments_are_believed_whatever_was_before() -> None:
    found = []
    for count in (1, 10, 100, 1000):
        told = weigh(
            np.full(count, -0.3), np.full(count, -0.3), np.ones((count, 1)), np.array([0.05**2]),
            points(list(range(count))), spreads(rate=0.1),
        )  # fmt: skip
        found.append(float(told.moved[0]))
    assert found == sorted(found) and found[0] < 0.1
    assert found[-1] == pytest.approx(0.3, rel=0.01)


def test_rows_that_contradict_each_other_change_little() -> None:
    off = np.array([-0.3, 0.3, -0.3, 0.3])
    told = weigh(off, off, np.ones((4, 1)), np.array([0.2**2]), points([0, 1, 2, 3]), spreads(rate=0.05))
    assert abs(told.moved[0]) < 1e-9
    # Of five of which one says otherwise, those left out are predicted no better: it stays as it was.
    off = np.array([0.02, -0.02, 0.02, -0.02, -0.5])
    told = weigh(off, off, np.ones((5, 1)), np.array([0.2**2]), points([0, 1, 2, 3, 4]), spreads(rate=0.05))
    assert not told.better


@pytest.mark.parametrize("count", [1, 2, 8])
def test_rows_of_one_deployment_count_as_few(count: int) -> None:
    """The variance of a mean of n that share one error a and have one of their own b: a² + b²/n."""
    apart, alike = (
        effective_rows(points(which, [0.0] * count), spreads(rate=0.03, deployment_rate=0.09))
        for which in (list(range(count)), [0] * count)
    )
    assert apart == pytest.approx(count)
    assert alike == pytest.approx((0.09**2 + 0.03**2) / (0.09**2 + 0.03**2 / count))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_a_row_left_out_is_one_that_was_never_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count, values = 6, 3
    off, slopes = rng.normal(0, 0.2, count), rng.normal(0, 1, (count, values))
    every, variance = points([0, 0, 1, 1, 2, 2], [0, 1, 2, 3, 4, 5]), rng.uniform(0.01, 0.2, values)
    known = spreads(rate=0.05, deployment_rate=0.1, load_rate=0.08)
    told = weigh(off, off, slopes, variance, every, known)
    effective = effective_rows(every, known)
    for row in range(count):
        rest = every.row != row
        others = posterior(off[rest], slopes[rest], variance, noise(every.take(rest), known))
        expected = off[row] + slopes[row] @ others.mean * effective / (effective + FEW)
        assert told.left_out[row] == pytest.approx(expected, abs=1e-9)


def test_ranges_narrow_and_still_hold() -> None:
    """Groups drawn from the spreads, five rows each: the error of a further deployment is as large as is said of it."""
    rng, known = np.random.default_rng(5), spreads(rate=0.05, deployment_rate=0.08)
    every, variance, ratios, narrower = points([0, 1, 2, 3, 4]), np.array([0.3**2]), [], []
    for _ in range(2000):
        value = rng.normal(0, 0.3)
        off = value + rng.multivariate_normal(np.zeros(5), noise(every, known))
        told = weigh(off, off, np.ones((5, 1)), variance, every, known)
        wide = np.sqrt(variance[0] + 0.05**2 + 0.08**2) * told.narrower.mean()
        new = value + rng.normal(0, np.hypot(0.05, 0.08)) + told.known.mean[0]
        ratios.append(abs(new) / wide)
        narrower.append(told.narrower.mean())
    assert np.mean(narrower) < 0.5
    assert np.mean(np.array(ratios) < 1.2816) == pytest.approx(0.8, abs=0.03)


def test_spreads_are_learnt_from_groups_that_have_them() -> None:
    rng, parameters = np.random.default_rng(7), PARAMETERS[:2]
    moves, truth = directions(parameters), np.array([0.2, 0.02])
    every, groups = points([0, 0, 1, 1, 2, 2, 3, 3]), []
    for _ in range(150):
        slopes = rng.normal(0, 1, (8, 2))
        errors = rng.multivariate_normal(np.zeros(8), noise(every, spreads(rate=0.03, deployment_rate=0.1)))
        groups.append((slopes @ rng.normal(0, truth) + errors, slopes @ moves, every))
    found = learn(groups, parameters, rounds=60)
    assert found.constants[parameters[0].path] == pytest.approx(0.2, rel=0.2)
    assert found.constants[parameters[1].path] < 0.05
    assert np.hypot(found.noise["rate"], found.noise["run"]) == pytest.approx(0.03, rel=0.35)


# Runs that were made up: predicted by constants or kernels that are known, and given back as measured.

COLUMNS = (
    "gpu",
    "model",
    "kind",
    "n_gpus",
    "tp",
    "dtype",
    "framework",
    "isl",
    "osl",
    "concurrency",
    "ttft_ms",
    "tpot_ms",
)
LOADS = [
    dict(zip(COLUMNS, ("h100-sxm", model, "online", tp, tp, "fp8", "vllm", 1024, 512, users, 1, 1), strict=True))
    for model, tp in (("llama-3.3-70b", 4), ("qwen3-32b", 2))
    for users in (4, 16, 64)
]


def measured(path: Path, constants: Any, slower: float = 1.0) -> Measurements:
    """A file of the times that constants predict, so many times over."""
    write(path, LOADS)
    scored = score_serving(load_measurements(path).rows, constants)
    write(
        path,
        [
            {**each, "ttft_ms": row["ttft_ms_predicted"] * slower, "tpot_ms": row["predicted"] * slower}
            for each, row in zip(LOADS, scored, strict=True)
        ],
    )
    return load_measurements(path)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def off(rows: list[Row], constants: Any) -> Array:
    """Errors of times per output token."""
    return np.array([row["predicted"] / row["tpot_ms"] - 1 for row in score_serving(rows, constants)])


def test_runs_as_predicted_change_nothing(tmp_path: Path) -> None:
    shipped = Catalog().serving_efficiency()
    found = fit_serving_files([measured(tmp_path / "runs.csv", shipped)], shipped, date="2026-11-27")
    assert found.moved == () and found.constants.speed == shipped.speed
    assert found.rows == 6 and 1 < found.effective < 6
    ranges = found.constants.ranges["decode_default"].known
    usual = shipped.ranges["decode_default"].known
    assert usual.low < ranges.low < 1 < ranges.high < usual.high


def test_runs_that_are_all_slower_make_all_slower_and_their_ranges_hold(tmp_path: Path) -> None:
    shipped = Catalog().serving_efficiency()
    runs = measured(tmp_path / "runs.csv", shipped, 1.25)
    found = fit_serving_files([runs], shipped, date="2026-11-27")
    assert np.abs(off(list(runs.rows), found.constants)).mean() < 0.6 * np.abs(off(list(runs.rows), shipped)).mean()
    for row in score_serving(runs.rows, found.constants):
        assert row["low"] <= row["tpot_ms"] <= row["high"]
    assert found.moved and all(0 < each.spread_left < each.spread for each in found.moved)
    assert found.example.before[0] < found.example.after[0] <= found.example.measured


def test_what_an_engine_adds_is_found_where_it_differs(tmp_path: Path) -> None:
    shipped = Catalog().serving_efficiency()
    layers = np.array([0.4 * ("vllm.layer" in each.path) for each in PARAMETERS])
    truth = with_values(shipped, values_of(shipped) + layers)
    runs = measured(tmp_path / "runs.csv", truth)
    found = fit_serving_files([runs], shipped, date="2026-11-27").constants
    assert found.backends["vllm"].layer > 1.04 * shipped.backends["vllm"].layer
    assert np.abs(off(list(runs.rows), found)).mean() < 0.6 * np.abs(off(list(runs.rows), shipped)).mean()
    assert found.backends["sglang"] == shipped.backends["sglang"]


def test_a_row_counts_once_in_however_many_files_it_stands(tmp_path: Path) -> None:
    shipped = Catalog().serving_efficiency()
    runs = measured(tmp_path / "runs.csv", shipped, 1.25)
    once, twice = (fit_serving_files(files, shipped, date="2026-11-27") for files in ([runs], [runs, runs]))
    assert once.moved == twice.moved and twice.rows == 6


def asked(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert main([*map(str, arguments), "-f", "json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_kernels_and_runs_of_one_machine_count_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A machine whose products take 1.4 times as long: its rows of kernels say so, and its runs show the same."""
    sizes = [(m, n, k) for m in (1, 16, 64, 256) for n, k in ((8192, 8192), (16384, 4096), (5120, 17408))]
    gemm, runs = tmp_path / "gemm.csv", tmp_path / "runs.csv"

    head = "gpu,dtype,m,n,k,ms"
    gemm.write_text("\n".join([head, *(f"h100-sxm,fp8,{m},{n},{k},1" for m, n, k in sizes)]) + "\n")
    predicted = [row["predicted"] for row in score("gemm", load_measurements(gemm).rows)]
    lines = [f"h100-sxm,fp8,{m},{n},{k},{1.4 * ms}" for (m, n, k), ms in zip(sizes, predicted, strict=True)]
    gemm.write_text("\n".join([head, *lines]) + "\n")
    asked(capsys, "calibrate", "--from", gemm, "-o", tmp_path / "kernels")
    slow = Catalog(tmp_path / "kernels").serving_efficiency()
    file = measured(runs, slow)
    together = asked(capsys, "calibrate", "--from", gemm, "--from", runs, "-o", tmp_path / "both")
    alone = asked(capsys, "calibrate", "--from", runs, "-o", tmp_path / "alone")
    # What the kernels explain is left to them: the runs move constants only where nothing else has explained them.
    (serving, *_), (without, *_) = ([row for row in rows if row["op"] == "serving"] for rows in (together, alone))
    assert serving["constants"] == {} and without["constants"]
    both = Catalog(tmp_path / "both").serving_efficiency()
    assert np.abs(off(list(file.rows), both)).max() < 0.01  # 1.4 times once, and not twice
    # Again on the same folder: constants that runs moved are no start for the same runs.
    first = (tmp_path / "alone/hardware_profiles/efficiency/serving.yaml").read_text()
    asked(capsys, "calibrate", "--from", runs, "-o", tmp_path / "alone", "--catalog", tmp_path / "alone")
    assert (tmp_path / "alone/hardware_profiles/efficiency/serving.yaml").read_text() == first


def test_every_constant_has_a_spread() -> None:
    known = shipped_spreads()
    variance = prior_variance(PARAMETERS, known)
    assert len(variance) == len(PARAMETERS) + 1 and (variance > 0).all()
    assert set(known.noise) == set(NOTHING) and not own_parameters([])[0].path.startswith("backends")
