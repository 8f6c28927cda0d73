"""`costcalc run` and `costcalc diff`: questions in files are those of the command line, and mistakes have a place."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costcalc.catalog.yaml import load_yaml
from costcalc.cli import main
from costcalc.cli.app import COMMANDS
from costcalc.cli.lazy import questions
from costcalc.cli.scenario_files import scenario_schema
from costcalc.report.export.schema import schema_of
from tests.schemacheck import complaints

Run = Callable[..., str]
RunJson = Callable[..., Any]

THREE = """\
# yaml-language-server: $schema=../docs/schemas/scenario.json
model: llama-3.1-8b
gpu: 1xh100
context: 8k
max-gpus: 4  # of the frontier alone
questions:
  base:
  spot:
    price: spot
    kv: fp8
    disaggregated: false
  cards:
    command: compare gpus
    names: [1xh100, 1xl40s]
"""


def write(text: str, name: str = "s.yaml") -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
    return name


def test_one_question_is_its_command(run: Run) -> None:
    file = write(
        "model: llama-3.1-8b\ngpu: 1xh100\ninput-tokens: 1000\nbatch: 32\nset: {gpu: {memory_bandwidth: 3 TB/s}}"
    )
    words = ["--model", "llama-3.1-8b", "--gpu", "1xh100", "--input", "1000", "--batch", "32"]
    words += ["--set", "gpu.memory_bandwidth=3 TB/s"]
    for form in ("json", "csv", "markdown", "table"):
        assert run("run", file, "--format", form) == run("estimate", *words, "--format", form)


def test_several_questions(run: Run, run_json: RunJson) -> None:
    tree = run_json("run", write(THREE))["questions"]
    base = ["--model", "llama-3.1-8b", "--gpu", "1xh100", "--context", "8k"]
    assert tree["base"] == run_json("estimate", *base)
    assert tree["spot"] == run_json("estimate", *base, "--price", "spot", "--kv", "fp8")
    assert tree["cards"] == run_json("compare", "gpus", "1xh100", "1xl40s", "-m", "llama-3.1-8b", "--context", "8k")
    assert run_json("run", "s.yaml", "--only", "spot") == tree["spot"]
    rows = list(csv.DictReader(io.StringIO(run("run", "s.yaml", "--format", "csv"))))
    assert [row["question"] for row in rows] == ["base", "spot", "cards", "cards"]
    page = run("run", "s.yaml")
    assert [line for line in page.splitlines() if line.startswith("Question: ")] == [
        f"Question: {each}" for each in tree
    ]


def test_every_command_of_questions_may_be_asked(run: Run) -> None:
    """What the command line lists, without a table of its own."""
    asked = dict(questions(COMMANDS))
    assert {"estimate", "compare attention", "compare models", "sweep", "frontier", "simulate", "breakeven"} <= set(
        asked
    )
    assert not {"run", "diff", "validate", "models show", "schema"} & set(asked)
    shared = "model: llama-3.1-8b\ngpu: 1xh100\nprice: 2\nrequests: 20\ndemand: 1rps\n"
    own = {
        "estimate": "requests: null", "breakeven": "{requests: null, against: v3}", "simulate": "seed: 3",
        "sweep": "{requests: null, demand: null, batch: '1:4:x2'}",
        "frontier": "{requests: null, demand: null, pools: both}",
    }  # fmt: skip
    lines = [f"  {name}: {{command: {name}, {text.strip('{}')}}}\n" for name, text in own.items()]
    file = write(f"{shared}questions:\n{''.join(lines)}")
    assert list(json.loads(run("run", file, "-f", "json"))["questions"]) == list(own)


def test_files_are_read_beside_the_scenario_and_written_here(run: Run) -> None:
    write(run("models", "new"), "there/mine.yaml")
    write("arrival_s,input_tokens,output_tokens\n0,10,5\n1,20,5\n", "there/trace.csv")
    file = write(
        "gpu: 1xh100\nquestions:\n"
        "  mine: {model: mine.yaml, output: mine.json, chart: mine.svg}\n"
        "  slash: {model: ./mine.yaml, output: slash.csv}\n"
        "  hub: {model: meta-llama/Llama-3.1-8B, output_file: hub.md}\n"
        "  replay: {command: simulate, model: llama-3.1-8b, trace: trace.csv, output: replay.json}\n",
        "there/s.yaml",
    )
    assert run("run", file) == ""
    assert json.loads(Path("mine.json").read_text(encoding="utf-8"))["model"]["name"] == "My-Model-8B"
    made = {path.name for path in Path().iterdir()} - {"there"}
    assert made == {"mine.json", "mine.svg", "slash.csv", "hub.md", "replay.json"}
    assert {path.name for path in Path("there").iterdir()} == {"mine.yaml", "trace.csv", "s.yaml"}


def test_a_scenario_satisfies_the_schema_of_editors() -> None:
    rules = scenario_schema()
    assert complaints(load_yaml(_file(THREE))[0], rules) == []
    assert complaints({"model": "v3", "tensor-parallel": 8, "tp": 4}, rules) == []
    assert complaints({"model": "v3", "set": {"gpu": {"memory": "96 GB"}}, "questions": {"a": None}}, rules) == []
    for wrong in ({"modle": "v3"}, {"questions": {"a": {"bacht": 3}}}, {"command": "validate"}, {"plot": "yes"}):
        assert complaints(wrong, rules)


def _file(text: str) -> Path:
    import tempfile

    path = Path(tempfile.mkdtemp()) / "s.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def refused(run: Run, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a command that must fail, and return its line; it leaves nothing behind."""
    assert run  # whose folder is the current one

    def running(*words: str) -> str:
        before = {str(path) for path in Path().rglob("*")}
        code = main(words)
        printed = capfd.readouterr()
        assert (code, printed.out, printed.err.count("\n")) == (2, "", 1)
        assert {str(path) for path in Path().rglob("*")} == before
        return printed.err

    return running


V3 = "model: v3\ngpu: h100\n"
MISTAKES = [
    (f"{V3}bacht: 8", "s.yaml:3:1: unknown option 'bacht'; did you mean 'batch'?"),
    (f"{V3}questions:\n  a: {{batch: 8x}}", "s.yaml:4:14: "),
    (f"{V3}questions:\n  a: {{gpu: h10O}}", "s.yaml:4:12: unknown GPU 'h10O'; did you mean 'h100-sxm'?"),
    (f"{V3}questions:\n  a:\n    comand: sweep", "s.yaml:5:5: unknown option 'comand'; did you mean 'command'?"),
    (f"{V3}command: validate", "s.yaml:3:10: unknown command 'validate'"),
    (f"{V3}command: compare gpu", "did you mean 'compare gpus'?"),
    (f"{V3}explain: please", "s.yaml:3:10: explain: 'please' where true or false belongs"),
    (f"{V3}batch: true", "s.yaml:3:8: batch: true where a number or text belongs"),
    (f"{V3}batch: []", "the list is empty"),
    (f"{V3}batch: {{a: 1}}", "a mapping where a number or text belongs"),
    (f"{V3}tp: 8\ntensor_parallel: 8", "s.yaml:4:1: tensor_parallel is given twice"),
    (f"{V3}questions: [a]", "s.yaml:3:12: a list where questions belong"),
    (f"{V3}questions:\n  a: 3", "s.yaml:4:6: 3 where options belong"),
    (f"{V3}questions:\n  a: {{gpus: 1}}", "s.yaml:4:3: question 'a': DeepSeek-V3 does not fit"),
    (f"{V3}questions:\n  a:\n  b: {{output: x.json}}\n  c: {{output: ./x.json}}", "'x.json' is written twice"),
    (
        f"{V3}questions:\n  a: {{format: csv}}\n  b: {{format: json}}",
        "answers in several forms: 'a' as csv and 'b' as json",
    ),
    (
        f"{V3}questions:\n  a: {{output: x.json}}\n  b: {{gpus: 1}}",
        "s.yaml:5:3: question 'b': DeepSeek-V3 does not fit",
    ),
    (f"{V3}output: s.yaml", "has an unknown ending"),
    ("gpu: h100", "s.yaml:1:1: question 's': --model is missing"),
    ("model: v3\ngpu: [h100, h200]", "h100,h200"),
    ("questions:\n" + "".join(f"  q{number}:\n" for number in range(201)), "more than 200 questions"),
    ("a: &x 1", "the anchor '&x' is not allowed"),
    ("", "the file is empty"),
]


@pytest.mark.parametrize(("text", "words"), MISTAKES, ids=[words[:40] for _, words in MISTAKES])
def test_a_mistake_is_one_line_with_its_place(refused: Callable[..., str], text: str, words: str) -> None:
    assert words in refused("run", write(text))


def test_questions_are_named(refused: Callable[..., str]) -> None:
    assert "no question 'bsae' in s.yaml; did you mean 'base'?" in refused("run", write(THREE), "--only", "bsae")
    assert "FILE is missing" in refused("run")
    assert "no such file" in refused("run", "nowhere.yaml")


def test_a_scenario_is_never_written_over(refused: Callable[..., str]) -> None:
    write("arrival_s,input_tokens,output_tokens\n0,10,5\n", "t.csv")
    text = "{command: simulate, model: llama-3.1-8b, gpu: 1xh100, trace: t.csv, output: t.csv}"
    assert "is read for this answer" in refused("run", write(text))


# `costcalc diff`.


@pytest.fixture
def saved(run: Run) -> str:
    """An estimate that was saved."""
    run("estimate", "--model", "llama-3.1-8b", "--gpu", "1xh100", "-o", "saved.json")
    return "saved.json"


LLAMA = "-m llama-3.1-8b -g 1xh100"


def test_sides_may_be_options_files_and_answers(run: Run, run_json: RunJson, saved: str) -> None:
    file = write("model: llama-3.1-8b\ngpu: h100\nquestions:\n  a: {gpus: 1}\n  b: {gpus: 1, price: 4, output: 500}\n")
    tree = run_json("diff", LLAMA, f"{LLAMA} --price 4 --output 500")
    assert complaints(tree, schema_of("diff")) == []
    assert {each["path"]: each["to"] for each in tree["changes"]} == {"price": 4.0, "output_tokens": 500.0}
    effects = [each["effect_usd_per_million"] for each in tree["changes"]]
    assert sum(effects) == pytest.approx(tree["difference_usd_per_million"], rel=1e-12)
    assert run_json("diff", f"{file}#a", f"{file}#b")["changes"] == tree["changes"]
    assert run_json("diff", saved, tree["to"]["command"])["changes"] == tree["changes"]
    rows = list(csv.DictReader(io.StringIO(run("diff", saved, f"{file}#b", "-f", "csv"))))
    assert [row["path"] for row in rows] == [each["path"] for each in tree["changes"]]


def test_a_difference_is_in_the_currency_of_its_sides(run: Run, monkeypatch: pytest.MonkeyPatch, saved: str) -> None:
    """What is typed counts before a side's own, and that before the user's default."""
    shared = "model: llama-3.1-8b\ngpu: h100\ncurrency: EUR=0.5\n"
    file = write(shared + "questions:\n  a: {gpus: 1}\n  b: {gpus: 1, price: 4}\n")
    cost = json.loads(Path(saved).read_text(encoding="utf-8"))["cost"]["usd_per_million_blended_tokens"]
    page = run("diff", f"{file}#a", f"{file}#b")
    told = re.match(r"From €([\d.]+) to €[\d.]+ per M", page)
    assert told and float(told[1]) == pytest.approx(cost / 2, rel=0.02)
    assert run("diff", saved, f"{file}#b").startswith("From €")
    assert run("diff", f"{file}#a", f"{file}#b", "--currency", "JPY=150").startswith("From ¥")
    monkeypatch.setenv("COSTCALC_CURRENCY", "CHF=0.8")
    assert run("diff", saved, f"{LLAMA} --price 4").startswith("From CHF")
    assert run("diff", saved, f"{file}#b").startswith("From €")


def test_what_options_do_not_explain_is_the_engine_or_the_catalog(run_json: RunJson, saved: str) -> None:
    tree = json.loads(Path(saved).read_text(encoding="utf-8"))
    today = tree["cost"]["usd_per_million_blended_tokens"]
    assert run_json("diff", saved, LLAMA)["changes"] == []
    tree["cost"]["usd_per_million_blended_tokens"] = 2 * today  # as an older version may have said
    Path("old.json").write_text(json.dumps(tree), encoding="utf-8")
    found = run_json("diff", "old.json", f"{LLAMA} --utilization 50%")
    assert found["from"]["usd_per_million_blended_tokens"] == 2 * today
    effects = {each["path"]: each["effect_usd_per_million"] for each in found["changes"]}
    assert effects == pytest.approx({"utilization": today, "engine or catalog": -today}, rel=1e-9)
    Path("two.json").write_text(json.dumps({"questions": {"a": tree}}), encoding="utf-8")
    assert run_json("diff", "two.json#a", LLAMA)["changes"] == run_json("diff", "old.json", LLAMA)["changes"]


def test_values_of_the_data_sheet_are_changes(run: Run, run_json: RunJson) -> None:
    found = run_json("diff", LLAMA, f"{LLAMA} --set gpu.memory_bandwidth=4TB/s --set gpu.price.usd_per_gpu_hour=3")
    assert {each["path"]: each["to"] for each in found["changes"]} == {
        "gpu.memory_bandwidth": "4TB/s",
        "gpu.price.usd_per_gpu_hour": "3",
    }
    page = run("diff", LLAMA, f"{LLAMA} --tp 1 --batch 8", "--chart", "my chart.png")
    assert "--batch" in page and "default" in page and Path("my chart.png").read_bytes().startswith(b"\x89PNG")


def test_questions_of_two_files_are_compared_by_name(run: Run, run_json: RunJson) -> None:
    one = "  %s: {model: llama-3.1-8b, gpu: h100, batch: %d}\n"
    for name, asked in {
        "a": (("chat", 8), ("long", 16)),
        "b": (("long", 8), ("chat", 32)),
        "c": (("one", 8), ("two", 32)),
    }.items():
        write("questions:\n" + "".join(one % each for each in asked), f"{name}.yaml")
    by_name, by_order = run_json("diff", "a.yaml", "b.yaml"), run_json("diff", "a.yaml", "c.yaml")
    for found, batches in ((by_name, [(8, 32), (16, 8)]), (by_order, [None, (16, 32)])):
        assert list(found["questions"]) == ["chat", "long"]
        changes = [each["changes"] for each in found["questions"].values()]
        assert [own and (own[0]["from"], own[0]["to"]) for own in changes] == [each or [] for each in batches]
    assert run("diff", "a.yaml", "b.yaml").count("Question: ") == 2
    assert run("diff", "a.yaml", "b.yaml", "-f", "csv").splitlines()[1].startswith("chat,batch,8,32,")
    for name in "ab":
        Path(f"{name}.json").write_text(json.dumps(run_json("run", f"{name}.yaml")), encoding="utf-8")
    saved = run_json("diff", "a.json", "b.json")["questions"]
    assert {name: each["changes"] for name, each in saved.items()} == {
        name: each["changes"] for name, each in by_name["questions"].items()
    }


DIFF_MISTAKES = [
    ((), "SIDE: two are compared, not 0"),
    ((LLAMA,), "two are compared, not 1"),
    ((LLAMA, "-m llama-3.1-8b -g 1xh10O"), "did you mean 'h100-sxm'?"),
    ((LLAMA, f"{LLAMA} --bacth 8"), "unknown option '--bacth'; did you mean '--batch'?"),
    ((LLAMA, "-m 'x"), "cannot be split"),
    ((LLAMA, "x.txt"), "is no side"),
    ((LLAMA, "x.json"), "x.json: no such file"),
    ((LLAMA, "x.yaml"), "x.yaml: no such file"),
    ((LLAMA, LLAMA, "--of", "outptu"), "did you mean 'output'?"),
    ((LLAMA, LLAMA, "--modle", "v3"), "unknown option '--modle'"),
    ((LLAMA, "s.yaml"), "s.yaml has 2 estimates; name one, as in s.yaml#base"),
    ((LLAMA, "s.yaml#cards"), "s.yaml:12:3: question 'cards': compare gpus has no single cost"),
    ((LLAMA, "none.json"), "none.json: not an estimate: model.name is missing"),
    ((LLAMA, "text.json"), "text.json: not an estimate: cost.usd_per_million_blended_tokens is 'x'"),
    ((LLAMA, "bad.json"), "bad.json:1:2: not JSON"),
    ((LLAMA, "deep.json"), "nested too deeply"),
    ((LLAMA, "nan.json"), "is nan"),
]


@pytest.mark.parametrize(("words", "said"), DIFF_MISTAKES, ids=[said[:40] for _, said in DIFF_MISTAKES])
def test_what_no_side_can_be(refused: Callable[..., str], run: Run, words: tuple[str, ...], said: str) -> None:
    write(THREE)
    tree = json.loads(run("estimate", "--model", "llama-3.1-8b", "--gpu", "1xh100", "-f", "json"))
    for name, cost in (("text.json", "x"), ("nan.json", float("nan"))):
        changed = {**tree, "cost": {**tree["cost"], "usd_per_million_blended_tokens": cost}}
        Path(name).write_text(json.dumps(changed), encoding="utf-8")
    write("{}", "none.json")
    write("{,", "bad.json")
    write('{"a":' * 100_000, "deep.json")
    assert said in refused("diff", *words)


def test_an_answer_of_a_passed_specification_cannot_be_asked_again(refused: Callable[..., str]) -> None:
    from costcalc import estimate, load_model

    tree = estimate(load_model("llama-3.1-8b"), "1xh100").to_dict()
    assert tree["command"] is None
    Path("x.json").write_text(json.dumps(tree), encoding="utf-8")
    assert "it does not tell which command asked for it" in refused("diff", "x.json", LLAMA)


# `--fail-above`.


@pytest.fixture
def limited(run: Run, capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command in an empty folder, and return its exit code and what it prints on both streams."""
    assert run

    def running(*words: str) -> tuple[int, str, str]:
        code = main(words)
        return code, *capfd.readouterr()

    return running


ONE = ["--model", "llama-3.1-8b", "--gpu", "1xh100"]


@pytest.mark.parametrize(
    ("limit", "factor", "quantity"),
    [
        ("${}/M", 1, "blended"),
        ("{} output", 1, "output"),
        ("$ {} per million input tokens", 1, "input"),
        ("{}", 1, "blended"),
    ],
)
def test_a_limit_is_of_the_tokens_that_it_names(
    run: Run, limited: Callable[..., tuple[int, str, str]], limit: str, factor: float, quantity: str
) -> None:
    tree = json.loads(run("estimate", *ONE, "--format", "json"))
    cost = tree["cost"][f"usd_per_million_{quantity}_tokens"]
    shown = run("estimate", *ONE)
    kept = limited("estimate", *ONE, "--fail-above", limit.format(cost * 1.001 * factor))
    assert kept == (0, shown, "")
    code, printed, told = limited("estimate", *ONE, "--fail-above", limit.format(cost * 0.999 * factor))
    assert (code, printed, told.count("\n")) == (1, shown, 1)
    assert told.startswith("limit: $") and "above --fail-above $" in told and quantity in told


def test_a_file_is_written_above_the_limit_too(limited: Callable[..., tuple[int, str, str]]) -> None:
    code, printed, _ = limited("estimate", *ONE, "--fail-above", "0.0001", "-o", "x.json", "--chart", "x.svg")
    assert (code, printed) == (1, "")
    assert json.loads(Path("x.json").read_text(encoding="utf-8"))["model"] and Path("x.svg").stat().st_size > 1000


def test_of_several_rows_the_cheapest_counts(run: Run, limited: Callable[..., tuple[int, str, str]]) -> None:
    words = ["sweep", *ONE, "--batch", "1,64"]
    rows = json.loads(run(*words, "--format", "json"))["rows"]
    costs = [row["cost"]["usd_per_million_blended_tokens"] for row in rows]
    assert limited(*words, "--fail-above", str((min(costs) + max(costs)) / 2))[0] == 0
    code, _, told = limited(*words, "--fail-above", str(min(costs) * 0.99))
    assert code == 1 and told.startswith("limit: the cheapest row costs $")


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_rows_of_a_sweep_are_judged_in_every_form(form: str, limited: Callable[..., tuple[int, str, str]]) -> None:
    words = ["sweep", *ONE, "--batch", "1,64", "-f", form]
    assert limited(*words, "--fail-above", "$1000/M")[0] == 0
    code, printed, told = limited(*words, "--fail-above", "$0.0001/M")
    assert code == 1 and printed and told.startswith("limit: ")
    code, _, told = limited("sweep", *ONE, "--batch", "1,64", "-o", "cells.csv", "--fail-above", "$0.0001/M")
    assert code == 1 and "$0.0001/M" in told and Path("cells.csv").read_text(encoding="utf-8").count("\n") == 3


def test_a_benchmark_is_judged_by_what_was_measured(limited: Callable[..., tuple[int, str, str]]) -> None:
    # An H100 at $3.60 an hour that takes in 10,240 tokens a second and writes 5,120: $0.0651 per million.
    found = {
        "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct", "date": "20261101-120000",
        "num_prompts": 1000, "completed": 1000, "max_concurrency": 64, "request_rate": "inf", "duration": 100.0,
        "total_input_tokens": 1_024_000, "total_output_tokens": 512_000, "request_throughput": 10.0,
        "output_throughput": 5120.0, "total_token_throughput": 15360.0, "mean_ttft_ms": 100.0, "median_ttft_ms": 90.0,
        "p99_ttft_ms": 300.0, "mean_tpot_ms": 11.0, "median_tpot_ms": 11.0, "p99_tpot_ms": 14.0,
    }  # fmt: skip
    Path("bench.json").write_text(json.dumps(found), encoding="utf-8")
    words = ["price", "bench.json", "-m", "llama-3.1-8b", "-g", "1xh100", "--price", "3.60"]
    assert limited(*words, "--fail-above", "$0.066/M")[0] == 0
    code, _, told = limited(*words, "--fail-above", "$0.064/M")
    assert code == 1 and told.startswith("limit: $0.0651 per M tokens, blended")


@pytest.mark.parametrize("words", [["sensitivity"], ["simulate", "--demand", "5rps", "--requests", "300"]])
def test_what_varies_or_replays_an_answer_is_judged_by_all_its_tokens(
    words: list[str], run: Run, limited: Callable[..., tuple[int, str, str]]
) -> None:
    tree = json.loads(run(*words, *ONE, "--format", "json"))
    cost = tree.get("usd_per_million") or tree["usd_per_million_blended_tokens"]
    if "usd_per_request" in tree:  # 4,096 tokens in and 1,024 out
        assert cost == pytest.approx(tree["usd_per_request"] / 5120 * 1e6)
    assert limited(*words, *ONE, "--fail-above", str(cost * 1.001))[0] == 0
    code, _, told = limited(*words, *ONE, "--fail-above", str(cost * 0.999))
    assert code == 1 and "per M tokens, blended" in told


def test_with_a_demand_the_limit_is_of_what_its_fleet_costs(
    run: Run, limited: Callable[..., tuple[int, str, str]]
) -> None:
    words = ["-m", "llama-3.1-8b", "-g", "h100", "--demand", "20rps"]
    tree = json.loads(run("estimate", *words, "--format", "json"))
    fleets = json.loads(run("plan", *words, "--format", "json"))["fleets"]
    own, planned = tree["demand"]["usd_per_million_tokens"], fleets[0]["usd_per_million_tokens"]
    assert own > tree["cost"]["usd_per_million_blended_tokens"]  # the last replica has hours without work
    for command, cost in (("estimate", own), ("plan", planned)):
        assert limited(command, *words, "--fail-above", str(cost * 1.001))[0] == 0
        assert limited(command, *words, "--fail-above", str(cost * 0.999))[0] == 1


def test_what_is_not_known_is_not_kept(limited: Callable[..., tuple[int, str, str]]) -> None:
    code, printed, told = limited("estimate", "-m", "llama-3.1-8b", "-g", "m2-ultra", "--fail-above", "1000")
    assert (code, told) == (1, "limit: no cost is known to be kept under --fail-above $1,000.00/M\n") and printed


def test_limits_of_a_scenario(limited: Callable[..., tuple[int, str, str]]) -> None:
    file = write("model: llama-3.1-8b\ngpu: 1xh100\nquestions:\n  a: {fail_above: $1000/M}\n  b:\n  c: {batch: 1}\n")
    assert limited("run", file)[0] == 0
    code, printed, told = limited("run", file, "--fail-above", "0.00001", "-f", "json")
    assert code == 1 and list(json.loads(printed)["questions"]) == ["a", "b", "c"]
    assert told.startswith("limit: b: $") and "; c: $" in told and told.count("\n") == 1


@pytest.mark.parametrize("limit", ["x", "-1", "", "$1/M outptu", "1e999", "$1/day"])
def test_what_is_no_limit(refused: Callable[..., str], limit: str) -> None:
    told = refused("estimate", *ONE, f"--fail-above={limit}", "-o", "x.json")
    assert told.startswith("error: --fail-above: ") and "write it like '$0.50/M' or '$2/M output'" in told


def test_brief_and_verbose_are_of_all_questions_that_do_not_say_themselves(run: Run) -> None:
    Path("s.yaml").write_text(
        "model: v3\nquestions:\n  a: {gpu: h100}\n  b: {gpu: h200, brief: true}\n", encoding="utf-8"
    )
    usual, brief, verbose = (run("run", "s.yaml", *more) for more in ([], ["--brief"], ["-v"]))
    assert [page.count("Deployment") for page in (usual, brief, verbose)] == [1, 0, 1]
    assert "--batch N or --tpot TIME" in verbose and "--batch N or --tpot TIME" not in usual
