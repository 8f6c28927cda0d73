"""`costcalc calibrate`: on files of measurements, and on a GPU whose timer is played here."""

from __future__ import annotations

import csv
import json
import os
import re
import sys
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from costcalc import microbench
from costcalc.catalog.catalog import MACHINES, Catalog, load_gpu, load_machines
from costcalc.cli import main
from costcalc.cli.calibrate import new_files
from costcalc.engine.latency.efficiency import calibrated_efficiency
from costcalc.engine.latency.op_times import op_time
from costcalc.engine.ops import Op
from costcalc.engine.roofline import machine_of
from costcalc.microbench import Copy, Decode, Product, cases
from costcalc.validation.files import load_measurements, shipped_measurements
from costcalc.validation.score import score, summary


def out_of(capsys, *arguments):
    code = main(["calibrate", *map(str, arguments)])
    streams = capsys.readouterr()
    assert code == 0 and streams.err == "", streams.err
    return streams.out


def error_of(capsys, *arguments):
    code = main(["calibrate", *map(str, arguments)])
    streams = capsys.readouterr()
    assert code == 2 and streams.out == "" and streams.err.count("\n") == 1
    return streams.err


def test_a_long_fit_says_so_on_a_terminal(monkeypatch, capsys, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    (tmp_path / "runs.csv").write_text(
        "gpu,model,kind,n_gpus,isl,osl,tp,concurrency,ttft_ms,tpot_ms,framework\n"
        "h100,llama-3.1-8b,online,1,1000,200,1,8,100,9,vllm\n"
    )
    monkeypatch.setattr("costcalc.validation.calibrate.fit_serving_files", interrupted)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["calibrate", "--from", str(tmp_path / "runs.csv")]) == 130
    assert capsys.readouterr() == ("", "note: fitting the constants of serving on 1 run, for up to a minute\n")


@pytest.fixture
def slow_h100(tmp_path):
    """Products of an H100 that takes 1.3 times as long as the measured ones."""
    rows = [row for row in shipped_measurements("gemm").rows if row["gpu"] == "h100-sxm"]
    path = tmp_path / "slow.csv"
    columns = ("gpu", "dtype", "m", "n", "k", "framework", "kernel", "note")
    lines = [",".join([*(str(row[name]) for name in columns), str(row["ms"] * 1.3)]) for row in rows]
    path.write_text("\n".join([",".join([*columns, "ms"]), *lines]) + "\n")
    return path


def test_own_points_replace_the_shipped_error(capsys, tmp_path, slow_h100):
    text = out_of(capsys, "--from", slow_h100, "--output", tmp_path / "mine")
    assert "h100-sxm" in text and "Written to" in text
    found = load_machines(tmp_path / "mine/hardware_profiles/efficiency/machines.yaml")["h100-sxm"]["gemm"]
    assert found.fit.points == 51 and found.fit.source == "slow.csv"
    assert found.fit.gpu_left_out.median_ape > 0.2 > 0.1 > found.fit.shape_left_out.median_ape
    # Everything takes 1.3 times as long: rates are 1 / 1.3 of the shipped ones.
    assert found.factors["bandwidth"] == pytest.approx(1 / 1.3, rel=0.1)
    assert found.factors["launch"] == pytest.approx(1.3, rel=0.15)


def test_what_was_found_is_read_from_a_catalog_and_changes_its_machine_alone(capsys, tmp_path, slow_h100):
    out_of(capsys, "--from", slow_h100, "--output", tmp_path / "mine")
    shipped, mine = Catalog().kernel_efficiency(), Catalog(tmp_path / "mine").kernel_efficiency()
    own = summary(score("gemm", load_measurements(slow_h100).rows, mine))
    assert (
        own["median_ape"] < 0.1 < 0.2 < summary(score("gemm", load_measurements(slow_h100).rows, shipped))["median_ape"]
    )
    assert own["coverage"] >= 0.75
    others = [row for row in shipped_measurements("gemm").rows if row["gpu"] != "h100-sxm"]
    assert score("gemm", others, mine) == score("gemm", others, shipped)
    assert main(["validate", "--data", str(slow_h100), "--catalog", str(tmp_path / "mine"), "-f", "json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["kinds"]["gemm"]["median_ape"] == pytest.approx(own["median_ape"])


def shipped_slower(tmp_path, kind, factor):
    """Shipped points of an H100 in a file of one's own, that take `factor` times as long."""
    rows = [row for row in shipped_measurements(kind).rows if row["gpu"] == "h100-sxm"]
    columns = [name for name in rows[0] if name not in ("source", "date", "licence")]
    lines = []
    for row in rows:
        slower = {**row, "ms": row["ms"] * factor}
        lines.append(",".join("" if slower[name] is None else str(slower[name]) for name in columns))
    path = tmp_path / f"{kind}.csv"
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")
    return path


def estimated(capsys, model, catalog=None, gpus=1):
    layout = ["--batch", "16", "--context", "8k", "--gpu", f"{gpus}xh100"]
    layout += ["--tp", str(gpus)] if gpus > 1 else []
    more = ["--catalog", str(catalog)] if catalog else []
    assert main(["estimate", "--model", model, *layout, "-f", "json", *more]) == 0
    tree = json.loads(capsys.readouterr().out)
    return {op["op"]: op["time_s"] for op in tree["breakdown"]}, tree


@pytest.mark.parametrize(
    ("kind", "model", "gpus", "followers", "most"),
    [
        pytest.param(
            "gemm",
            "llama-3.1-8b",
            1,
            ["attention projections", "dense FFN", "LM head"],
            1.51,
            marks=pytest.mark.xfail(strict=True, reason="the dense FFN follows by 1.294 in an engine, short of 1.3"),
        ),
        ("decode_attention", "llama-3.1-8b", 1, ["attention core"], 1.51),
        # Of other shapes than were measured: which parameter takes the blame decides how they follow.
        ("moe", "gpt-oss-120b", 2, ["routed experts"], 2.25),
        ("comm", "llama-3.1-70b", 4, ["all-reduce"], 1.51),
    ],
)
def test_estimates_follow_kernels_and_those_alone(capsys, tmp_path, kind, model, gpus, followers, most):
    before, _ = estimated(capsys, model, gpus=gpus)
    times = {}
    for factor in (1.0, 1.5):
        out_of(capsys, "--from", shipped_slower(tmp_path, kind, factor), "--output", tmp_path / str(factor))
        times[factor], _ = estimated(capsys, model, tmp_path / str(factor), gpus)
    for op in before:
        slower = times[1.5][op] / times[1.0][op]
        if op in followers:
            assert 1.3 < slower < most, (op, slower)
            assert times[1.0][op] == pytest.approx(before[op], rel=0.15), op
        elif kind != "gemm" or op != "router":
            assert times[1.5][op] == before[op], op


def test_validate_and_estimates_use_the_same_parameters(capsys, tmp_path):
    """A product that an estimate times without what engines make of kernels takes as long as validate predicts."""
    folder, machine = tmp_path / "mine", machine_of(load_gpu("h100"))
    out_of(capsys, "--from", shipped_slower(tmp_path, "gemm", 1.4), "--output", folder)
    m, n, k = 16, 128256, 4096  # the head of Llama-3.1-8B
    (tmp_path / "head.csv").write_text(f"gpu,dtype,m,n,k,ms\nh100,bf16,{m},{n},{k},1\n")
    head = Op("head", "head", 1, 2.0 * m * n * k, 2.0 * n * k, rows=m, traffic=2.0 * m * (n + k))
    times = []
    for more in ([], ["--catalog", str(folder)]):
        assert main(["validate", "--kind", "gemm", "--data", str(tmp_path / "head.csv"), "-f", "csv", *more]) == 0
        (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
        constants = Catalog(*more[1:]).serving_efficiency()
        alone = replace(constants, speed=dict.fromkeys(constants.speed, 1.0), untuned={"other": 1.0})
        found = op_time(head, machine, calibrated_efficiency(alone, machine, "vllm"))
        assert float(found.seconds) * 1e3 == pytest.approx(float(row["predicted"]), rel=1e-6)
        times.append(float(found.seconds))
    assert times[1] > 1.25 * times[0]


@pytest.mark.xfail(strict=True, reason="an engine's LM head follows by 1.22 where its kernel alone does by 1.29")
def test_the_head_of_a_model_follows_its_kernel(capsys, tmp_path):
    out_of(capsys, "--from", shipped_slower(tmp_path, "gemm", 1.4), "--output", tmp_path / "mine")
    before, after = (estimated(capsys, "llama-3.1-8b", *more)[0]["LM head"] for more in ([], [tmp_path / "mine"]))
    assert after > 1.25 * before


def test_prefills_follow_prefill_attention(capsys, tmp_path):
    times = {}
    for factor in (1.0, 2.0):
        path = shipped_slower(tmp_path, "prefill_attention", factor)
        out_of(capsys, "--from", path, "--output", tmp_path / str(factor))
        steps, tree = estimated(capsys, "llama-3.1-8b", tmp_path / str(factor))
        times[factor] = tree["prefill"]["time_s"], steps
    assert 1.1 < times[2.0][0] / times[1.0][0] < 2 and times[2.0][1] == times[1.0][1]


def test_nothing_runs_faster_than_the_data_sheet(capsys, tmp_path):
    out_of(capsys, "--from", shipped_slower(tmp_path, "decode_attention", 0.85), "--output", tmp_path / "mine")
    fast, _ = estimated(capsys, "llama-3.1-8b", tmp_path / "mine")
    ideal_question = "estimate --model llama-3.1-8b --gpu 1xh100 --batch 16 --context 8k --efficiency ideal -f json"
    assert main(ideal_question.split()) == 0
    ideal = {op["op"]: op["time_s"] for op in json.loads(capsys.readouterr().out)["breakdown"]}
    assert fast["attention core"] >= ideal["attention core"]


def test_a_folder_keeps_what_other_files_said(capsys, tmp_path):
    folder = tmp_path / "mine"
    out_of(capsys, "--from", shipped_slower(tmp_path, "gemm", 1.3), "--output", folder)
    first = load_machines(folder / MACHINES)["h100-sxm"]
    out_of(capsys, "--from", shipped_slower(tmp_path, "moe", 1.3), "--output", folder)
    both = load_machines(folder / MACHINES)["h100-sxm"]
    assert set(both) == {"gemm", "experts"} and both["gemm"] == first["gemm"]
    assert load_gpu("h100", catalog=folder) == load_gpu("h100")


def test_a_folder_that_an_ended_writer_takes_away_is_made_again(tmp_path):
    fcntl = pytest.importorskip("fcntl")
    folder = tmp_path / "own"
    folder.mkdir()
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)

    def end():
        folder.rmdir()
        os.close(handle)

    threading.Timer(0.2, end).start()
    with new_files([folder / "machines.yaml"]) as (file,):
        file.write_text("x")
    assert (folder / "machines.yaml").read_text() == "x" and len(list(folder.iterdir())) == 1


def test_the_example_of_readme(capsys, tmp_path, monkeypatch):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```sh\n(cat > gemm.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for name, rows in re.findall(r"cat > (\S+) <<'END'\n(.*?)END\n", example, re.DOTALL):
        Path(name).write_text(rows)
    dollars = {}
    for line in re.findall(r"^costcalc (.*?)(?:  +#.*)?$", example, re.MULTILINE):
        for typed in dict.fromkeys([line, line.replace(" --catalog mine", "")]):
            assert main([*typed.split(), "-f", "json"]) == 0
            answer = json.loads(capsys.readouterr().out)
            if line.startswith("estimate"):
                dollars[typed] = answer["cost"]["usd_per_million_output_tokens"]
    follows, without = dollars.values()
    assert follows > 1.02 * without


def test_a_file_of_fits_alone_says_where_it_belongs(capsys, tmp_path, slow_h100):
    text = out_of(capsys, "--from", slow_h100, "--output", tmp_path / "machines.yaml")
    assert f"Estimates follow where it is {MACHINES.as_posix()} in a folder" in text
    assert sorted(each.name for each in tmp_path.iterdir()) == ["machines.yaml", "slow.csv"]


def test_runs_are_fitted_on_top_of_the_kernels_beside_them(capsys, tmp_path, slow_h100):
    (tmp_path / "runs.csv").write_text(RUN)
    together, apart = tmp_path / "together", tmp_path / "apart"
    out_of(capsys, "--from", slow_h100, "--from", tmp_path / "runs.csv", "--output", together)
    out_of(capsys, "--from", slow_h100, "--output", apart)
    assert "calibrate on them again" not in out_of(capsys, "--from", tmp_path / "runs.csv", "--output", apart)
    assert Catalog(together).serving_efficiency() == Catalog(apart).serving_efficiency()
    out_of(capsys, "--from", tmp_path / "runs.csv", "--output", tmp_path / "alone")
    assert Catalog(together).serving_efficiency().speed != Catalog(tmp_path / "alone").serving_efficiency().speed
    text = out_of(capsys, "--from", slow_h100, "--output", together)
    assert "serving.yaml in this folder was fitted on whole runs without it: calibrate on them again" in text


def test_rows_that_cannot_be_used_are_told_and_the_others_fitted(capsys, tmp_path, slow_h100):
    path = tmp_path / "some.csv"
    lines = slow_h100.read_text().splitlines()
    path.write_text(
        "\n".join([*lines, "h100-sxm,bf16,NA,8192,8192,,,,1", "h100-sxm,bf16,1", "H900,bf16,1,1,1,,,,1"]) + "\n"
    )
    text = out_of(capsys, "--from", path)
    assert f"1 row: m is empty: 'NA' (some.csv:{len(lines) + 1})" in text and "unknown GPU 'H900'" in text
    assert main(["calibrate", "--from", str(path), "-f", "json"]) == 0
    streams = capsys.readouterr()
    (row,) = json.loads(streams.out)
    assert row["fit"]["points"] == 51
    assert streams.err == "note: 2 rows could not be read; the table says why\n"


def test_biases_are_shares_and_ranges_hold_their_own_points(capsys, tmp_path):
    path = shipped_slower(tmp_path, "gemm", 6.0)  # so far off that a logarithm is below -100%
    (row,) = json.loads(out_of(capsys, "--from", path, "--format", "json", "--output", tmp_path / "mine"))
    # Points that take 6 times as long are predicted at a sixth: 83% too fast.
    assert row["fit"]["gpu_left_out"]["bias"] == pytest.approx(1 / 6 - 1, abs=0.03)
    assert "-8" in out_of(capsys, "--from", path) and "-179" not in out_of(capsys, "--from", path)
    own = summary(score("gemm", load_measurements(path).rows, Catalog(tmp_path / "mine").kernel_efficiency()))
    assert own["coverage"] >= 0.8
    known, unseen = row["fit"]["ranges"]["known"], row["fit"]["ranges"]["unseen"]
    assert unseen["low"] <= known["low"] < 1 < known["high"] <= unseen["high"]


def test_a_second_file_is_added_to_the_first(capsys, tmp_path, slow_h100):
    path = tmp_path / "machines.yaml"
    out_of(capsys, "--from", slow_h100, "--output", path)
    rows = [row for row in shipped_measurements("prefill_attention").rows if row["gpu"] == "l40s"]
    prefill = tmp_path / "prefill.csv"
    lines = [",".join(map(str, row.values())).replace("None", "") for row in rows]
    prefill.write_text("\n".join([",".join(rows[0]), *lines]) + "\n")
    out_of(capsys, "--from", prefill, "--output", path)
    assert {gpu: list(fits) for gpu, fits in load_machines(path).items()} == {"h100-sxm": ["gemm"], "l40s": ["prefill"]}


def test_a_fit_that_does_worse_on_unseen_shapes_is_not_used(capsys, tmp_path):
    path = tmp_path / "noise.csv"
    shipped = {row["m"]: row["predicted"] for row in score("gemm", _products(1, 64, 1024, 4096))}
    times = {1: 3.0, 64: 0.99, 1024: 0.99, 4096: 0.99}  # one shape is off, and tells nothing of the others
    lines = [f"h100-sxm,bf16,{m},{8192 + i},8192,{shipped[m] * times[m]}" for i, m in enumerate(times)]
    path.write_text("gpu,dtype,m,n,k,ms\n" + "\n".join(lines) + "\n")
    (row,) = json.loads(out_of(capsys, "--from", path, "--format", "json"))
    assert row["factors"] == {} and row["fit"]["in_sample"] == row["fit"]["gpu_left_out"]


def _products(*rows):
    shape = {"gpu": "h100-sxm", "dtype": "bf16", "n": 8192.0, "k": 8192.0, "ms": 1.0}
    empty = {"framework": "", "kernel": "", "op": "", "note": "", "suspect": ""}
    return [{**shape, **empty, "m": float(m)} for m in rows]


def test_without_a_folder_nothing_is_written(capsys, tmp_path, monkeypatch, slow_h100):
    monkeypatch.chdir(tmp_path)
    assert "Nothing was written" in out_of(capsys, "--from", slow_h100)
    assert [each.name for each in tmp_path.iterdir()] == ["slow.csv"]


RUN = (
    "gpu,model,kind,n_gpus,tp,dtype,framework,isl,osl,concurrency,tpot_ms\n"
    "h100-sxm,Llama-3.1-70B,online,4,4,fp8,vllm,1024,1024,16,18.5\n"
)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "nowhere.csv"], "no such file"),
        (["--kind", "gemm"], "--kind: there is no file; add --from FILE.csv"),
        (["--from", "slow.csv", "--kind", "gems"], "--kind: 'gems' is unknown; did you mean 'gemm'?"),
        (["--from", "slow.csv", "--kind", "e2e"], "the column 'model' is missing"),
        (["--from", "slow.csv", "--gpu", "h100"], "--gpu: the files name their GPUs"),
        (["--from", "slow.csv", "--output", "out.json"], "--output: 'out.json' has an unknown ending"),
        (["--from", "slow.csv", "--output", "slow.csv/sub"], "--output: cannot make the folder"),
        (["--from", "slow.csv", "--output", " "], "--output: the folder's name is empty"),
        (["--from", "unknown.csv"], "no row can be used: 1 row: unknown GPU 'H900'"),
        (["--from", "serving.csv"], "no row can be used: 1 row: unknown model 'x'"),
        (["--from", "blank.csv"], "no row can be used: 2 rows: m is empty"),
        (
            ["--from", "slow.csv", "--from", "runs.csv", "--output", "a.yaml"],
            "--output: kernels and serving are two",
        ),
    ],
)
@pytest.mark.usefixtures("slow_h100")
def test_wrong_input_is_told_in_one_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "unknown.csv").write_text("gpu,dtype,m,n,k,ms\nH900,bf16,1,1,1,1\n")
    (tmp_path / "serving.csv").write_text("gpu,model,kind,n_gpus,isl,osl,tpot_ms\nh100-sxm,x,online,1,1,1,1\n")
    (tmp_path / "blank.csv").write_text("gpu,dtype,m,n,k,ms\nh100,bf16,,1,1,1\nh100,bf16,,1,1,1\n")
    (tmp_path / "runs.csv").write_text(RUN)
    assert message in error_of(capsys, *arguments)


WRONG_MACHINES = {
    "machines: {}": "at least 1 item",
    "machines: {h100-sxm: {gem: {factors: {}, fit: FIT}}}": "unknown kernel 'gem'; did you mean 'gemm'?",
    "machines: {h100-sxm: {gemm: {factors: {lanch: 1}, fit: FIT}}}": "no parameter 'lanch'; did you mean 'launch'?",
    "machines: {h100-sxm: {gemm: {factors: {launch: -1}, fit: FIT}}}": "at least 1e-06",
    "machine: {}": "unknown key",
}


ERROR = "{median_ape: 0.1, mape: 0.1, bias: 0}"
RANGE = "{low: 0.8, high: 1.2}"
FIT = (
    f"{{points: 3, gpus: [h100-sxm], source: own, date: '2026', in_sample: {ERROR}, gpu_left_out: {ERROR}, "
    f"shape_left_out: {ERROR}, ranges: {{known: {RANGE}, unseen: {RANGE}}}}}"
)


@pytest.mark.parametrize("text", WRONG_MACHINES)
def test_a_wrong_file_of_machines_is_refused(capsys, tmp_path, slow_h100, text):
    folder = tmp_path / "mine/hardware_profiles/efficiency"
    folder.mkdir(parents=True)
    (folder / "machines.yaml").write_text(text.replace("FIT", FIT) + "\n")
    message = error_of(capsys, "--from", slow_h100, "--output", tmp_path / "mine")
    assert "machines.yaml" in message and WRONG_MACHINES[text] in message


@pytest.fixture
def slow_serving(tmp_path):
    """Runs of DeepSeek-R1 on 8 H200 that take 1.3 times as long as the measured ones."""
    rows = [
        row
        for row in shipped_measurements("e2e").rows
        if (row["gpu"], row["model"], row["n_gpus"]) == ("h200-sxm", "DeepSeek-R1", 8) and row["tpot_ms"]
    ][:4]
    path = tmp_path / "runs.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))  # the source among them, which says how they were run
        writer.writeheader()
        writer.writerows({**row, "tpot_ms": row["tpot_ms"] * 1.3} for row in rows)
    return path


def test_serving_follows_runs_of_ones_own(capsys, tmp_path, slow_serving):
    rows = json.loads(out_of(capsys, "--from", slow_serving, "--output", tmp_path / "mine", "--format", "json"))
    rates = next(row for row in rows if row["op_class"] == "time per output token, experts")
    assert rates["fit"]["points"] == 4
    assert rates["fit"]["shape_left_out"]["mape"] < rates["fit"]["gpu_left_out"]["mape"]
    runs = load_measurements(slow_serving)
    mine = Catalog(tmp_path / "mine")
    own, constants = summary(score("e2e", runs.rows, None, mine)), mine.serving_efficiency()
    assert own["mape"] < 0.85 * summary(score("e2e", runs.rows))["mape"]  # four rows of one deployment count as few
    assert constants.provenance.source == "runs.csv" and constants.provenance.points == 4
    # Runs that take longer find kernels slower or overheads higher; every class is told what moved.
    factors = rates["factors"]
    assert factors["vendor_bandwidth.nvidia"] < 1 or factors["expert_layer"] > 1
    assert all(row["effective_rows"] < 4 for row in rows)
    moved = rates["constants"]
    assert factors.keys() == moved.keys()
    for path, each in moved.items():
        assert each["calibrated"] / each["shipped"] == pytest.approx(factors[path], rel=1e-2)
        assert 0 < each["spread_left"] < each["spread"]
    assert all(row["factors"] == factors for row in rows)
    assert own["coverage"] >= 0.75
    for row in rows:
        known, unseen = row["fit"]["ranges"]["known"], row["fit"]["ranges"]["unseen"]
        assert unseen["low"] <= known["low"] and known["high"] <= unseen["high"]
    assert "as above" in out_of(capsys, "--from", slow_serving) or len(rows) == 1


# A GPU whose timer is played: an H100 that reaches 90% of its bandwidth in copies, 80% elsewhere.


class PlayedDevice:
    name, version, attention = "NVIDIA H100 80GB HBM3", "2.9", "sdpa"
    free_bytes, precisions = 70e9, ("bf16", "fp8")

    def seconds(self, case):
        gpu = load_gpu("h100")
        if isinstance(case, Copy):
            return 2 * case.nbytes / (0.9 * gpu.memory_bandwidth)
        if isinstance(case, Decode):
            if case.batch == 256 and case.context == 1024:
                raise MemoryError
            return 10e-6 + case.nbytes / (0.8 * gpu.memory_bandwidth)
        assert isinstance(case, Product)
        compute = 2 * case.m * case.n * case.k / (0.7 * gpu.peak(case.dtype).flops)
        return 5e-6 + max(case.nbytes / (0.8 * gpu.memory_bandwidth), compute)


@pytest.fixture
def played(monkeypatch, tmp_path):
    monkeypatch.setattr(microbench, "find_device", PlayedDevice)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "calibrated"


def test_a_gpu_is_measured_into_a_catalog(capsys, played):
    text = out_of(capsys)
    assert "Copies reach 90%" in text and "cases did not fit" in text and "--catalog calibrated" in text
    gemm = load_measurements(played / "measurements/gemm.csv")
    decode = load_measurements(played / "measurements/decode_attention.csv")
    assert (gemm.kind, decode.kind) == ("gemm", "decode_attention")
    assert {row["gpu"] for row in gemm.rows + decode.rows} == {"h100-sxm"}
    assert {row["dtype"] for row in gemm.rows} == {"bf16", "fp8"}
    machines = load_machines(played / "hardware_profiles/efficiency/machines.yaml")
    assert set(machines["h100-sxm"]) == {"gemm", "decode_grouped"}


def test_estimates_follow_the_machine(capsys, played):
    out_of(capsys)
    question = ["estimate", "--model", "llama-3.1-8b", "--gpu", "1xh100", "--batch", "64", "-f", "json"]
    times = []
    for more in ([], ["--catalog", str(played)]):
        assert main([*question, *more]) == 0
        times.append(json.loads(capsys.readouterr().out)["decode"]["step_time_s"])
    # 80% of the bandwidth, where the shipped fit has more of it.
    assert times[1] > 1.02 * times[0]


def test_measuring_again_replaces_the_measurement(capsys, played):
    out_of(capsys)
    first = (played / MACHINES).read_text()
    out_of(capsys, "--catalog", played)
    assert (played / MACHINES).read_text() == first


def test_what_the_library_refuses_is_told_and_the_rest_measured(capsys, played, monkeypatch):
    """cuBLAS has no kernel for some shapes, and says so by an error: met on an H100."""

    class Refuses(PlayedDevice):
        def seconds(self, case):
            if isinstance(case, Product) and case.dtype == "fp8" and case.m == 1:
                raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED when calling `cublasLtMatmulAlgoGetHeuristic`\nmore")
            return super().seconds(case)

    monkeypatch.setattr(microbench, "find_device", Refuses)
    text = " ".join(out_of(capsys).split())
    assert "PyTorch does not do fp8 products of 1 x 8192 x 8192, and 3 other cases: CUBLAS_STATUS" in text
    rows = load_measurements(played / "measurements/gemm.csv").rows
    assert {row["m"] for row in rows if row["dtype"] == "fp8"} == {16, 64, 256, 1024, 4096, 8192}


def test_a_library_that_refuses_everything_is_told_in_one_line(capsys, played, monkeypatch):
    class Broken(PlayedDevice):
        def seconds(self, case):
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device")

    monkeypatch.setattr(microbench, "find_device", Broken)
    assert "PyTorch measures nothing on this GPU: 'CUDA error: no kernel image" in error_of(capsys)
    assert not played.joinpath(MACHINES).exists()


def test_a_gpu_of_another_name_is_told(capsys, played, monkeypatch):
    class Unknown(PlayedDevice):
        name = "Voodoo 2"

    monkeypatch.setattr(microbench, "find_device", Unknown)
    assert "unknown GPU 'Voodoo 2'" in error_of(capsys)
    assert not played.exists()
    out_of(capsys, "--gpu", "h100")


def test_without_pytorch_or_a_gpu_one_line_says_so(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install '.[gpu]'" in error_of(capsys)
    torch = MagicMock()
    torch.cuda.is_available.return_value = False
    monkeypatch.setitem(sys.modules, "torch", torch)
    assert "PyTorch finds no GPU" in error_of(capsys)


# What is called of PyTorch, played as far as Python sees it.


@pytest.fixture
def torch(monkeypatch):
    module = MagicMock()
    module.cuda.is_available.return_value = True
    module.cuda.get_device_name.return_value = "NVIDIA H100 80GB HBM3"
    module.cuda.mem_get_info.return_value = (80e9, 85e9)
    module.cuda.get_device_capability.return_value = (9, 0)
    module.cuda.OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {})
    module.cuda.Event.return_value.elapsed_time.return_value = 4.0
    module.version.hip = None
    module.__version__ = "2.9.0"
    monkeypatch.setitem(sys.modules, "torch", module)
    return module


def test_a_call_is_a_share_of_its_stretch(torch):
    device = microbench.find_device()
    assert device.precisions == ("bf16", "fp8")
    # A stretch takes 4 ms: 2 ms are long enough, so it is one replay, of as many calls as keep the cache cold.
    weights = Product("bf16", 64, 8192, 8192)
    calls = -(-512e6 // weights.nbytes)
    assert device.seconds(weights) == pytest.approx(4e-3 / calls)
    assert device.seconds(Product("fp8", 64, 8192, 8192)) > 0
    assert torch._scaled_mm.call_args.kwargs["use_fast_accum"] is True  # as engines multiply
    assert device.seconds(Decode(64, 65536, 32, 8, 128)) == pytest.approx(4e-3)
    assert device.seconds(Copy(2**30)) == pytest.approx(4e-3)


def test_what_does_not_fit_is_no_failure(torch):
    torch.randn.side_effect = torch.cuda.OutOfMemoryError
    with pytest.raises(MemoryError):
        microbench.find_device().seconds(Product("bf16", 64, 8192, 8192))


def test_old_gpus_and_rocm_have_no_scaled_products(torch):
    torch.cuda.get_device_capability.return_value = (8, 0)
    assert microbench.find_device().precisions == ("bf16",)
    torch.cuda.get_device_capability.return_value = (9, 4)
    torch.version.hip = "6.2"
    assert microbench.find_device().precisions == ("bf16",)


@pytest.mark.parametrize("free", [6e9, 24e9, 180e9])
def test_cases_fit_the_memory(free):
    wanted = cases(free, ("bf16", "fp8"))
    assert all(each.nbytes <= 0.35 * free for each in wanted)
    assert {type(each) for each in wanted} == {Copy, Product, Decode}
    # One row is multiplied in fp8 too: cuBLAS does on an H100.
    assert {each.dtype for each in wanted if isinstance(each, Product) and each.m == 1} == {"bf16", "fp8"}


# What `costcalc calibrate` measured on one H100 and one H200, played back: their engines' kernels are well predicted
# as shipped, and a machine that is as its data sheet says has to leave them so.


def played_back(tmp_path, gpu):
    """Files of what was measured on a GPU."""
    paths = []
    for kind in ("gemm", "decode_attention"):
        text = (OWN / f"calibrate_{kind}.csv").read_text().splitlines()
        path = tmp_path / f"{gpu}-{kind}.csv"
        path.write_text("\n".join(text[:2] + [line for line in text[2:] if line.startswith(gpu)]) + "\n")
        paths += ["--from", path]
    return paths


OWN = Path(__file__).parents[2] / "measurements/own"


@pytest.mark.parametrize("gpu", ["h100-sxm", "h200-sxm"])
def test_a_real_machine_leaves_the_kernels_of_engines_as_good_as_shipped(capsys, tmp_path, gpu):
    out_of(capsys, *played_back(tmp_path, gpu), "--output", tmp_path / "mine")
    shipped, mine = Catalog().kernel_efficiency(), Catalog(tmp_path / "mine").kernel_efficiency()
    for kind in ("gemm", "decode_attention"):
        rows = [row for row in shipped_measurements(kind).rows if row["gpu"] == gpu]
        before, after = summary(score(kind, rows, shipped)), summary(score(kind, rows, mine))
        # Taken for an engine's, PyTorch's own kernels made them worse by 6 points and moved the bias by 13.
        assert after["median_ape"] < before["median_ape"] + 0.02, kind
        assert abs(after["bias"] - before["bias"]) < 0.05, kind
        assert after["coverage"] > before["coverage"] - 0.1, kind


def test_on_the_machine_that_the_library_was_compared_on_nothing_is_found(capsys, tmp_path):
    rows = json.loads(out_of(capsys, *played_back(tmp_path, "h100-sxm"), "--format", "json"))
    assert {row["op"] for row in rows} == {"gemm", "decode_grouped"}
    for row in rows:
        assert all(factor == pytest.approx(1, abs=0.05) for factor in row["factors"].values()), row
        assert row["fit"]["in_sample"]["median_ape"] < 0.06
