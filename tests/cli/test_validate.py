"""`costcalc validate`: errors beside the ideal bound's, every row accounted for, published figures beside ours."""

from __future__ import annotations

import csv
import json
import re

import pytest
from terminal import fitted

from costcalc.catalog.catalog import Catalog
from costcalc.cli import main
from costcalc.report.accuracy import accuracy_page, percent
from costcalc.report.page import plain_page
from costcalc.validation.files import KINDS, shipped_measurements
from costcalc.validation.score import score, summary, validate


def out_of(capsys, *arguments):
    code = main(["validate", *arguments])
    streams = capsys.readouterr()
    assert code == 0 and streams.err == "", streams.err
    return streams.out


def error_of(capsys, *arguments):
    code = main(["validate", *arguments])
    streams = capsys.readouterr()
    assert code == 2 and streams.out == "" and streams.err.count("\n") == 1
    return streams.err


@pytest.fixture
def gemm_csv(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "gpu,dtype,m,n,k,ms,note,colour\n"
        "H100-SXM5-80GB,bf16,64,8192,8192,0.05,,red\n"
        "H100-SXM5-80GB,bf16,4096,8192,8192,0.9,,\n"
        "H900,bf16,64,8192,8192,0.05,,\n"
        "H100-SXM5-80GB,bf16,1,8192,8192,0.04,cache-warm,\n"
        "H100-SXM5-80GB,bf16,2,8192,8192,,,\n"
    )
    return path


def test_every_shipped_kind_is_scored(capsys):
    tree = json.loads(out_of(capsys, "--format", "json"))
    assert list(tree["kinds"]) == list(KINDS)
    for kind, errors in tree["kinds"].items():
        assert {"n", "median_ape", "mape", "bias", "coverage", "excluded"} <= errors.keys()
        assert 0 < errors["median_ape"] < errors["mape"] < errors["ideal_median_ape"], kind
        assert 0.75 <= errors["coverage"] <= 1
        rows = [row for row in tree["rows"] if row["measurement"] == kind]
        assert errors["n"] + errors["excluded"] == len(rows)


def test_json_rows_are_the_input_with_predictions_in_the_unit_of_the_file(capsys, gemm_csv):
    tree = json.loads(out_of(capsys, "--data", str(gemm_csv), "--format", "json"))
    assert tree["kinds"]["gemm"]["n"] == 2 and tree["kinds"]["gemm"]["excluded"] == 3
    first, _, unknown, warm, empty = tree["rows"]
    assert (first["gpu"], first["m"], first["colour"]) == ("H100-SXM5-80GB", 64, "red")
    assert first["quantity"] == "ms" and first["low"] < first["predicted"] < first["high"]
    # 134 MB of weights in 0.05 ms are 2.7 TB/s; a prediction in seconds would be a thousand times less.
    assert first["predicted"] == pytest.approx(0.05, rel=0.3)
    assert first["ape"] == pytest.approx(abs(first["predicted"] / 0.05 - 1))
    assert unknown["predicted"] is None and "unknown GPU 'H900'" in unknown["excluded"]
    assert warm["predicted"] and warm["excluded"] == "cache-warm"
    assert empty["predicted"] and empty["ape"] is None and empty["excluded"] == "not measured"


def test_rows_that_cannot_be_read_are_listed_among_the_others(capsys, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text(
        "gpu,dtype,m,n,k,ms\nh100,bf16,64,8192,8192,0.05\nh100,bf16,NA,8192,8192,0.05\nh100,bf16,1\n"
        'h100,bf16,"1,024",8192,8192,0.2\nh100,fp9,64,8192,8192,0.05\n'
    )
    tree = json.loads(out_of(capsys, "--data", str(path), "-f", "json"))
    assert [row["excluded"] for row in tree["rows"]] == [
        "", "line 3: m is empty: 'NA'", "line 4: 3 fields where the header names 6", "",
        "unknown number type 'fp9'; did you mean 'fp8'?",
    ]  # fmt: skip
    assert [row["predicted"] is None for row in tree["rows"]] == [False, True, True, False, True]
    assert (tree["kinds"]["gemm"]["n"], tree["kinds"]["gemm"]["excluded"], tree["rows"][3]["m"]) == (2, 3, 1024)
    text = out_of(capsys, "--data", str(path))
    assert "1 row: m is empty: 'NA' (own.csv:3)" in text and "3 fields where the header names 6 (own.csv:4)" in text
    rows = list(csv.DictReader(out_of(capsys, "--data", str(path), "-f", "csv").splitlines()))
    assert len(rows) == 5 and rows[0]["m"] == "64" and "note" not in rows[0]


def test_where_nothing_can_be_predicted_a_note_says_so(capsys, tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("gpu,dtype,m,n,k,ms\nH900,bf16,64,8192,8192,0.05\nh100,bf16,,8192,8192,0.05\n")
    assert main(["validate", "--data", str(path), "-f", "json"]) == 0
    streams = capsys.readouterr()
    assert len(json.loads(streams.out)["rows"]) == 2
    assert streams.err == "note: not one row could be predicted; each says why\n"


def test_json_rows_have_the_columns_of_the_file_and_the_results_alone(capsys, gemm_csv):
    tree = json.loads(out_of(capsys, "--data", str(gemm_csv), "--format", "json"))
    results = {"measurement", "predicted", "low", "high", "ideal", "ape", "quantity", "op_class", "warning", "excluded"}
    for row in tree["rows"]:
        assert set(row) == {"gpu", "dtype", "m", "n", "k", "ms", "note", "colour"} | results
        assert isinstance(row["m"], int)


def test_filters_leave_what_is_asked_for(capsys):
    tree = json.loads(
        out_of(capsys, "--kind", "gemm", "--gpu", "H100-SXM5-80GB", "--backend", "TensorRT-LLM", "-f", "json")
    )
    rows = [row for row in shipped_measurements("gemm").rows if row["gpu"] == "h100-sxm"]
    expected = [row for row in rows if row["framework"] == "trtllm"]
    assert len(tree["rows"]) == len(expected) > 0
    assert {(row["gpu"], row["framework"]) for row in tree["rows"]} == {("h100-sxm", "trtllm")}
    tree = json.loads(out_of(capsys, "--kind", "gemm", "--gpu", "h100", "--gpu", "l40s", "-f", "json"))
    assert {row["gpu"] for row in tree["rows"]} == {"h100-sxm", "l40s"}
    tree = json.loads(out_of(capsys, "--kind", "moe", "--model", "mixtral-8x7b", "-f", "json"))
    assert {row["model_shape"] for row in tree["rows"]} == {"Mixtral-8x7B"}


def test_filters_hold_for_ones_own_rows_too(capsys, gemm_csv):
    tree = json.loads(out_of(capsys, "--data", str(gemm_csv), "--gpu", "h100", "-f", "json"))
    assert len(tree["rows"]) == 4  # not the H900
    assert "--gpu: no row is of 'l40s'" in error_of(capsys, "--data", str(gemm_csv), "--gpu", "l40s")


def test_divisions_in_every_form(capsys):
    asked = ["--kind", "gemm", "--by", "gpu"]
    groups = json.loads(out_of(capsys, *asked, "-f", "json"))["groups"]
    assert {each["gpu"] for each in groups} == {row["gpu"] for row in shipped_measurements("gemm").rows}
    assert {"kind", "class", "quantity", "gpu", "n", "median_ape", "coverage"} <= groups[0].keys()
    rows = list(csv.DictReader(out_of(capsys, *asked, "-f", "csv").splitlines()))
    assert [(row["gpu"], int(row["n"])) for row in rows] == [(each["gpu"], each["n"]) for each in groups]
    assert "| h100-sxm |" in out_of(capsys, *asked, "-f", "markdown")
    assert "groups" not in json.loads(out_of(capsys, "--kind", "gemm", "-f", "json"))


def test_headings_keep_their_capitals(capsys):
    text = out_of(capsys, "--kind", "decode_attention", "--by", "gpu")
    assert "Decode attention, MHA/GQA/MQA\n" in text and "Decode attention, MLA\n" in text


@pytest.mark.parametrize("columns", [80, 160])
def test_the_worst_points_fit_the_width_with_every_digit(columns):
    found = validate([shipped_measurements(kind) for kind in ("e2e", "decode_attention")])
    page = accuracy_page(found, found.groups(), 3, None, None)
    worst, wide = (
        text.split("Worst points")[1].split("With a warning")[0] for text in (fitted(page, columns), plain_page(page))
    )
    assert max(map(len, worst.splitlines())) <= columns
    assert sorted(w for w in wide.split() if "─" not in w) == sorted(w for w in worst.split() if "─" not in w)
    for label in ("Decode attention, MLA\n", "Serving, end to end: time per output token, dense\n"):
        assert label in worst


def test_the_table_names_what_is_not_scored_and_where(capsys, gemm_csv):
    text = out_of(capsys, "--data", str(gemm_csv))
    assert "own.csv:4" in text and "unknown GPU 'H900'" in text and "cache-warm (own.csv:5)" in text
    # Of the shipped fit, which knows nothing of these points.
    assert not any(each in text for each in ("unseen GPU", "left out:", "fitted"))


def test_errors_on_points_that_the_fit_has_seen_are_called_so_behind_those_left_out(capsys):
    text = out_of(capsys, "--kind", "gemm", "--kind", "kv_pool")
    head, _, products, memory = text.splitlines()[2:6]
    assert re.split(r"\s{2,}", head.strip()) == [
        *("n", "left out", "unseen GPU", "fitted", "fitted mean", "bias", "in range", "ideal", "not scored"),
    ]  # fmt: skip
    fit = Catalog().kernel_efficiency().gemm.fit
    assert re.split(r"\s{2,}", products.strip())[2:4] == [
        percent(fit.shape_left_out.median_ape),
        percent(fit.gpu_left_out.median_ape),
    ]
    assert re.split(r"\s{2,}", memory.strip())[2:5] == ["-", "-", "0.1%"]
    assert "on points that the fit has seen" in text and "what is new is off by more" in text
    divided = out_of(capsys, "--kind", "gemm", "--by", "gpu")
    assert "fitted mean" in divided and "left out" not in divided.partition("Worst points")[0]


def test_a_start_up_without_memory_for_the_cache_is_not_scored(capsys, tmp_path):
    row = "vLLM 0.19.0,h100-sxm,Qwen/Qwen2.5-7B-Instruct,1,{},8192,58.53"
    told = "engine,gpu,model,tp,memory_utilization,max_length,kv_pool_gib"
    (tmp_path / "own.csv").write_text("\n".join([told, row.format("1e-9"), row.format("0.95")]) + "\n")
    text = out_of(capsys, "--data", str(tmp_path / "own.csv"))
    assert "1 row: predicted to leave no memory for the cache (own.csv:2)" in text


def test_classes_can_be_divided(capsys):
    text = out_of(capsys, "--kind", "gemm", "--by", "family", "--worst", "2")
    for family in ("hopper", "blackwell", "ampere", "ada"):
        assert family in text
    assert len([line for line in text.split("Worst points")[1].split("Not scored")[0].splitlines() if "×" in line]) == 2
    counts = [int(line.split()[1]) for line in text.splitlines() if line.split()[:1] in (["hopper"], ["ampere"])]
    rows = shipped_measurements("gemm").rows
    assert sum(counts) == len([row for row in rows if row["gpu"][:2] in ("h1", "h2", "a1", "a4") and not row["note"]])


@pytest.mark.parametrize("by", ["gpu", "model", "backend", "family", "precision"])
def test_every_division_holds_every_point(capsys, by):
    assert out_of(capsys, "--by", by, "--worst", "0")


def test_summaries_agree_with_the_library(capsys):
    tree = json.loads(out_of(capsys, "--kind", "comm", "--kind", "moe", "-f", "json"))
    assert list(tree["kinds"]) == ["comm", "moe"]
    expected = summary(score("moe", shipped_measurements("moe").rows))
    assert tree["kinds"]["moe"]["median_ape"] == pytest.approx(expected["median_ape"])


def test_formats_and_files(capsys, tmp_path):
    text = out_of(capsys, "--kind", "moe", "--format", "csv")
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == len(shipped_measurements("moe").rows) and {"predicted", "quantity"} <= rows[0].keys()
    page = tmp_path / "page.md"
    assert out_of(capsys, "--kind", "moe", "-o", str(page)) == "" and "| fused experts |" in page.read_text()


def test_times_to_first_token_are_scored_beside_rates(capsys, tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text(
        "gpu,n_gpus,model,dtype,kind,framework,tp,isl,osl,concurrency,ttft_ms,tpot_ms\n"
        "h100-sxm,2,Llama-3.1-70B,fp8,online fixed concurrency,vllm,2,1024,1024,4,121,17.4\n"
        "h100-sxm,2,Llama-3.1-70B,fp8,online fixed concurrency,vllm,2,1024,1024,4,121,\n"
        "h100-sxm,2,No-Such-Model,fp8,online fixed concurrency,vllm,2,1024,1024,4,121,17.4\n"
    )
    tree = json.loads(out_of(capsys, "--data", str(path), "-f", "json"))
    rate, first_token_alone, unknown = tree["rows"]
    assert rate["quantity"] == "tpot_ms" and rate["ape"] < 0.5
    assert first_token_alone["quantity"] == "ttft_ms" and first_token_alone["excluded"] == ""
    assert first_token_alone["predicted"] == rate["ttft_ms_predicted"] and "unknown model" in unknown["excluded"]
    errors = tree["kinds"]["e2e"]
    assert (errors["n"], errors["excluded"], errors["quantities"]["ttft_ms"]["n"]) == (2, 1, 2)
    counted = {each["class"]: (each["quantity"], each["n"]) for each in tree["classes"]}
    assert counted == {
        "time per output token, dense, as documented": ("tpot_ms", 1),
        "time to first token, as documented": ("ttft_ms", 2),
        "not predicted": ("tpot_ms", 0),
    }


def test_charts_are_drawn_the_same_every_time(capsys, tmp_path):
    one, other = tmp_path / "one.svg", tmp_path / "other.svg"
    for path in (one, other):
        out_of(capsys, "--kind", "gemm", "--kind", "comm", "--chart", str(path))
    assert one.read_bytes() == other.read_bytes() and b"</svg>" in one.read_bytes()


def test_published_figures(capsys):
    assert "deepseek-v3" in out_of(capsys, "--against", "list")
    rows = json.loads(out_of(capsys, "--against", "deepseek-v3", "-f", "json"))
    cache = next(row for row in rows if row["id"] == "isca-kv-v3")
    # Table 1 of 2505.09343.
    assert cache["published"] == 70.272 and cache["predicted"] == pytest.approx(70.272, rel=1e-9)
    assert "$/M tokens" in out_of(capsys, "--against", "epoch")
    assert out_of(capsys, "--against", "v3", "-f", "json") == out_of(capsys, "--against", "deepseek-v3", "-f", "json")


BAD_FILES = {
    "empty": (b"", "no rows"),
    "header alone": (b"gpu,dtype,m,n,k,ms\n", "a header and no rows"),
    "binary": (b"\x00\x01\x02\xff" * 40, "binary"),
    "missing": (b"gpu,dtype,m,n,k\nh100-sxm,bf16,1,1,1\n", "no column of what was measured: ms"),
    "other": (b"a,b\n1,2\n", "fit no kind of measurement"),
    "quotes": (b'gpu,dtype,m,n,k,ms\n"h100\n', "not CSV"),
    "latin": ("gpu,dtype,m,n,k,ms\nh100é,bf16,1,1,1,1\n".encode("latin-1"), "UTF-8"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files_are_told_in_one_line(capsys, tmp_path, name):
    content, message = BAD_FILES[name]
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    assert message in error_of(capsys, "--data", str(path))


def test_a_huge_file_is_refused(capsys, tmp_path):
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.truncate(51_000_000)
    assert "huge.csv" in error_of(capsys, "--data", str(path))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--kind", "gems"], "--kind: unknown kind of measurement 'gems'; did you mean 'gemm'?"),
        (["--by", "colour"], "--by: 'colour' is unknown"),
        (["--worst", "-1"], "--worst"),
        (["--data", "nowhere.csv"], "no such file"),
        (["--chart", "chart.jpg"], "--chart: 'chart.jpg' has an unknown ending"),
        (["--against", "deepsek-v3"], "did you mean 'deepseek-v3'?"),
        (["--against", "all", "--kind", "gemm"], "--kind: published figures know no such choice"),
        (["--catalog", "nowhere"], "--catalog: no such folder"),
    ],
)
def test_wrong_options_are_told_in_one_line(capsys, arguments, message):
    assert message in error_of(capsys, *arguments)


def test_two_kinds_cannot_be_one_file(capsys, gemm_csv):
    assert "--kind: several kinds" in error_of(capsys, "--data", str(gemm_csv), "--kind", "gemm", "--kind", "moe")


def test_nothing_to_draw_leaves_no_file(capsys, tmp_path):
    path, chart = tmp_path / "own.csv", tmp_path / "chart.svg"
    path.write_text("gpu,dtype,m,n,k,ms\nH900,bf16,1,1,1,1\n")
    assert "no row can be scored" in error_of(capsys, "--data", str(path), "--chart", str(chart))
    assert not chart.exists()
