"""`costcalc simulate`: traffic in every form, answers in every form, and errors of one line."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from costcalc.cli import main
from costcalc.report.export.schema import schema_of

Run = Callable[..., str]
RunJson = Callable[..., Any]
ASKED = ("simulate", "-m", "llama-3.1-8b", "-g", "1xh100", "--input", "1000", "--output", "100", "--requests", "400")
TRACES = Path(__file__).parents[1] / "replay" / "traces"


def test_the_tree_is_what_its_schema_says_and_holds_together(run_json: RunJson) -> None:
    tree = run_json(*ASKED, "--demand", "5rps", "--ttft", "1s", "--tpot", "50ms", "--loads", "1,2", "--price", "2")
    jsonschema.validate(tree, schema_of("simulation"))
    assert (tree["requests"], tree["completed"], tree["refused"]) == (400, 400, 0)
    for name in ("ttft_s", "tpot_s", "latency_s"):
        waits = tree[name]
        assert 0 < waits["p50"] <= waits["p90"] <= waits["p95"] <= waits["p99"]
    mean = tree["ttft_s"]["mean"] + 99 * tree["tpot_s"]["mean"]
    assert tree["latency_s"]["mean"] == pytest.approx(mean, rel=1e-9)
    tokens = tree["output_tokens_per_s"] * tree["duration_s"]
    assert tokens == pytest.approx(400 * 100, rel=1e-9)
    # One GPU for all that time, at $2 an hour.
    dollars = 2 * tree["duration_s"] / 3600
    assert tree["usd_per_request"] == pytest.approx(dollars / 400, rel=1e-9)
    assert tree["usd_per_million_output_tokens"] == pytest.approx(dollars / tokens * 1e6, rel=1e-9)
    assert tree["goodput"]["share"] == 1.0 and not tree["saturated"]
    same, twice = tree["loads"]
    assert same["ttft_s"] == tree["ttft_s"] and twice["requests_per_s"] == pytest.approx(2 * tree["requests_per_s"])


def test_saturation_and_refusal_are_said_aloud(run: Run, run_json: RunJson, tmp_path: Path) -> None:
    load = (*ASKED[:-2], "--demand", "200rps", "--requests", "4000")
    assert "Saturated: " in run(*load) and run_json(*load)["saturated"]
    # One slot serves a known rate: a tenth more of it is too much, a tenth less is not.
    slot = (*ASKED[:-2], "--max-num-seqs", "1", "--requests", "2000", "--process", "constant")
    alone = run_json("simulate", *ASKED[1:-2], "--concurrency", "1", "--requests", "50")
    rate = alone["output_tokens_per_s"] / 100
    for share, grows in ((0.8, False), (1.1, True)):
        assert run_json(*slot, "--demand", f"{share * rate:.5g}rps")["saturated"] == grows
    file = tmp_path / "long.csv"
    file.write_text("arrival_s,input_tokens,output_tokens\n0,1000,10\n1,700000,10\n2,1000,10\n")
    asked = ("simulate", "-m", "llama-3.1-8b", "-g", "1xh100", "--trace", str(file))
    tree = run_json(*asked)
    assert (tree["requests"], tree["completed"], tree["refused"]) == (3, 2, 1)
    assert "1 request refused: longer than the cache of a replica." in run(*asked)


@pytest.mark.parametrize("name", ["azure_conversation.csv", "azure_code.csv", "mooncake_conversation.jsonl"])
def test_traces_are_replayed_whole(run_json: RunJson, name: str) -> None:
    tree = run_json("simulate", "-m", "llama-3.1-8b", "-g", "1xh100", "--trace", str(TRACES / name), "--replicas", "2")
    assert tree["completed"] == tree["requests"] == (150 if name.startswith("mooncake") else 40)
    assert (tree["cache"]["hit_rate"] > 0) == name.startswith("mooncake") and tree["fleet"]["gpus"] == 2


def test_prefixes_save_prompts_and_pools_apart_save_answers(run_json: RunJson) -> None:
    trace = ("simulate", "-m", "llama-3.1-8b", "-g", "1xh100", "--trace", str(TRACES / "mooncake_conversation.jsonl"))
    kept, off, store = (run_json(*trace, "--prefix-cache", each) for each in ("on", "off", "infinite"))
    assert off["cache"]["hit_rate"] == 0 < kept["cache"]["hit_rate"] <= store["cache"]["hit_rate"]
    assert store["ttft_s"]["mean"] < off["ttft_s"]["mean"]
    apart = run_json(*trace, "--disaggregated", "--prefill-gpus", "2")
    assert (apart["fleet"]["prefill_gpus"], apart["fleet"]["gpus"], apart["completed"]) == (2, 3, 150)
    assert apart["tpot_s"]["p99"] < kept["tpot_s"]["p99"]


def test_the_least_loaded_replica_waits_no_longer_than_the_next_one(run_json: RunJson) -> None:
    load = (
        *ASKED[:-2],
        "--demand",
        "60rps",
        "--requests",
        "3000",
        "--replicas",
        "4",
        "--output-lengths",
        "lognormal:2",
    )
    turns, least = (run_json(*load, "--router", each) for each in ("round-robin", "least-loaded"))
    assert least["latency_s"]["p99"] <= turns["latency_s"]["p99"]


def test_answers_in_every_form(run: Run) -> None:
    load = (*ASKED, "--concurrency", "8")
    page = run(*load, "--plot", "--chart", "queue.svg")
    assert page.startswith("Llama-3.1-8B on 1 × NVIDIA H100 SXM5 80GB: 400 requests replayed\n")
    assert "8 users, each of whom asks again when answered" in page and "Time to first token\n" in page
    assert Path("queue.svg").stat().st_size > 5000
    [row] = csv.DictReader(io.StringIO(run(*load, "-f", "csv")))
    assert float(row["tpot_s.p50"]) > 0 and not any(name.startswith("timeline") for name in row)
    rated = (*ASKED, "--demand", "5rps", "--loads", "0.5:2:0.5")
    rows = list(csv.DictReader(io.StringIO(run(*rated, "-f", "csv"))))
    assert [float(each["load"]) for each in rows] == [0.5, 1.0, 1.5, 2.0]
    assert "Time to first token against load" in run(*rated, "--plot", "--chart", "load.pdf")
    assert run(*rated, "-f", "markdown").count("\n| 0.5 |") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "there is no load to replay"),
        (("--demand", "5rps", "--concurrency", "4"), "the load is told twice"),
        (("--demand", "5rps", "--process", "gama:2"), "--process: 'gama:2' is unknown"),
        (("--demand", "5rps", "--input-lengths", "lognormal"), "--input-lengths: 'lognormal' cannot be read"),
        (("--demand", "5rps", "--batch", "8"), "--batch: a replay has none"),
        (("--demand", "5rps", "--terms", "kv"), "--terms: a replay has none"),
        (("--demand", "5rps", "--router", "rr"), "--router: 'rr' is unknown"),
        (("--demand", "5rps", "--seed", "-1"), "--seed: "),
        (("--demand", "5rps", "--explain"), "--explain: a replay has no formulas"),
        (("--concurrency", "4", "--process", "constant"), "--process: requests come at no rate"),
        (("--concurrency", "1M"), "--concurrency: 1,000,000 users make more than"),
        (("--concurrency", "4", "--loads", "1,2"), "--loads: the load is no rate"),
        (("--concurrency", "4", "--arrivals", "static"), "--arrivals: a static batch has no scheduler"),
        (("--trace", "nowhere.csv"), "--trace: "),
        (("--trace", str(TRACES / "azure_code.csv"), "--process", "constant"), "--process: nothing is drawn beside"),
        (("--demand", "5rps", "--loads", "0.5:x"), "--loads: "),
        (("--demand", "5rps", "--speed", "1e9"), "--speed: '1e9' is out of range"),
        (("--trace", str(TRACES / "azure_code.csv"), "--input", "100"), "--input: a trace tells it"),
        (("--trace", str(TRACES / "mooncake_conversation.jsonl"), "--cached", "0.5"), "--cached: the trace tells"),
    ],
)
def test_what_cannot_be_replayed_is_one_line(
    words: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", "-m", "llama-3.1-8b", "-g", "1xh100", *words]) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and printed.err.startswith(f"error: {said}")


def test_a_level_at_a_percentile_is_kept_or_missed(run_json: RunJson) -> None:
    tree = run_json(*ASKED, "--demand", "5rps", "--ttft", "p95=5s", "--tpot", "p99=1us")
    first, second = tree["levels"]
    assert (first["of"], first["statistic"], first["limit_s"], first["kept"]) == ("ttft", "p95", 5.0, True)
    assert first["found_s"] == tree["ttft_s"]["p95"] and second["found_s"] == tree["tpot_s"]["p99"]
    assert second["kept"] is False and tree["goodput"]["share"] == 0
    assert run_json(*ASKED, "--demand", "5rps", "--ttft", "5s")["levels"] == []


def test_users_of_a_demand_are_a_concurrency(run_json: RunJson) -> None:
    assert run_json(*ASKED, "--demand", "8 users") == run_json(*ASKED, "--concurrency", "8")


def test_a_trace_is_sped_up_to_a_demand(run_json: RunJson) -> None:
    trace = ("simulate", "-m", "llama-3.1-8b", "-g", "1xh100", "--trace", str(TRACES / "azure_code.csv"))
    tree = run_json(*trace, "--demand", "3rps")
    assert tree["requests_per_s"] == pytest.approx(3.0)
    assert tree["requests"] == run_json(*trace)["requests"]


def test_percentiles_against_load_replay_loads_by_themselves(run_json: RunJson, tmp_path: Path) -> None:
    chart = tmp_path / "load.svg"
    tree = run_json(*ASKED, "--demand", "6rps", "--chart", str(chart), "--chart-kind", "load")
    assert [each["load"] for each in tree["loads"]] == [0.25, 0.5, 0.75, 1.0, 1.25, 1.5]
    assert "P99" in chart.read_text() and "Time to first token against load" in chart.read_text()
