"""Defaults of the environment and of the user's file: typed before variable before file, and each is told."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costcalc.cli import main
from costcalc.cli.app import COMMANDS
from costcalc.cli.elsewhere import NO_DEFAULT
from costcalc.cli.lazy import load_command, options_of, questions
from costcalc.report.export.schema import schema_of
from tests.schemacheck import complaints

Run = Callable[..., str]
RunJson = Callable[..., Any]
File = Callable[[str], Path]


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> File:
    """Write the user's file of defaults."""

    def writing(text: str) -> Path:
        for name in ("XDG_CONFIG_HOME", "APPDATA"):
            monkeypatch.setenv(name, str(tmp_path / "config"))
        monkeypatch.setattr("sys.platform", "linux")
        path = tmp_path / "config" / "costcalc" / "config.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return writing


def test_what_is_typed_goes_before_variables_and_those_before_the_file(
    run_json: RunJson, user_file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_file("model: llama-3.1-8b\ngpu: 1xl40s\nbatch: 2\ncontext: 1k\nmax-gpus: 4\n")
    monkeypatch.setenv("COSTCALC_GPU", "1xh100")
    monkeypatch.setenv("COSTCALC_BATCH", "3")
    tree = run_json("estimate", "--batch", "4")
    assert tree["command"] == "costcalc estimate --model llama-3.1-8b --gpu h100 --gpus 1 --batch 4 --context 1000"
    told = {each["name"]: (each["value"], each["why"]) for each in tree["assumptions"]}
    assert told["gpu"] == ("1xh100", "set by COSTCALC_GPU")
    assert told["model"][0] == "llama-3.1-8b" and told["model"][1].endswith("config.yaml:1:8")
    assert "batch" not in told and told["context"][1].endswith("config.yaml:4:10")
    monkeypatch.delenv("COSTCALC_BATCH")
    assert "--batch 2 " in run_json("estimate")["command"]


def test_numbers_are_those_of_the_line_that_was_meant(run_json: RunJson, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["estimate", "-m", "llama-3.1-70b", "-g", "8xh100", "--kv", "fp8", "--disaggregated", "--output", "500"]
    words += ["--set", "gpu.memory_bandwidth=3TB/s"]
    meant = run_json(*words)
    variables = {
        "MODEL": "llama-3.1-70b", "GPU": "8xh100", "KV": "fp8", "DISAGGREGATED": "yes", "OUTPUT": "500", "PLOT": "0",
        "SET": "gpu.memory_bandwidth=3TB/s", "TP": "",
    }  # fmt: skip
    for name, value in variables.items():
        monkeypatch.setenv(f"COSTCALC_{name}", value)
    found = run_json("estimate")
    assert {**found, "assumptions": 0, "explanation": 0} == {**meant, "assumptions": 0, "explanation": 0}
    assert run_json("estimate", "--output", "300")["workload"]["output_tokens"] == 300  # one option of two names


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["sweep", "--batch", "1,2"], ["gpu", "price"]),
        (["frontier", "--max-gpus", "1"], ["gpu", "price"]),
        (["simulate", "--demand", "1rps", "--requests", "9"], ["gpu", "price"]),
        (["breakeven"], ["gpu", "price"]),
        (["compare", "models", "llama-3.1-8b", "qwen3-8b"], ["gpu", "price"]),
        (["compare", "gpus", "h100", "h200"], ["price"]),
        (["run", "s.yaml"], ["gpu", "price"]),
    ],
    ids=lambda each: " ".join(each),
)
def test_every_question_says_what_was_not_typed(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], names: list[str]
) -> None:
    Path("s.yaml").write_text("questions: {a: {}, b: {batch: 8}}", encoding="utf-8")
    monkeypatch.setenv("COSTCALC_MODEL", "llama-3.1-8b")
    monkeypatch.setenv("COSTCALC_GPU", "1xh100")
    monkeypatch.setenv("COSTCALC_PRICE", "3.21")
    page = run(*words)
    for name in names:
        assert f"set by COSTCALC_{name.upper()}" in page
    assert "3.21" in page


def test_commands_that_ask_nothing_take_no_defaults(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = run("models", "show", "v3"), run("estimate", "--help"), run("--help")
    for name in ("MODEL", "GPU", "FORMAT", "CATALOG_", "SEARCH"):
        monkeypatch.setenv(f"COSTCALC_{name}", "nonsense")
    assert (run("models", "show", "v3"), run("estimate", "--help"), run("--help")) == before


def test_python_takes_what_it_is_told(user_file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    import costcalc

    alone = costcalc.estimate("llama-3.1-8b", "1xh100").to_dict()
    user_file("batch: 3\nnonsense: [")
    monkeypatch.setenv("COSTCALC_BATCH", "2")
    assert costcalc.estimate("llama-3.1-8b", "1xh100").to_dict() == alone


def test_config_says_where_each_value_comes_from(
    run: Run, run_json: RunJson, user_file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = user_file("gpu: h100\ndisaggregated: true\ntp: null\n")
    monkeypatch.setenv("COSTCALC_GPU", "h200")
    monkeypatch.setenv("COSTCALC_TENSOR_PARALLEL", "8")
    monkeypatch.setenv("COSTCALC_GUP", "x")
    tree = run_json("config")
    assert complaints(tree, schema_of("config")) == []
    assert (tree["file"], tree["file_exists"]) == (str(path), True)
    found = {each["option"]: (each["value"], each["source"], each["where"], each["hides"]) for each in tree["settings"]}
    assert found == {
        "gpu": ("h200", "environment", "COSTCALC_GPU", f"{path}:1:6"),
        "tensor_parallel": ("8", "environment", "COSTCALC_TENSOR_PARALLEL", None),
        "disaggregated": ("yes", "file", f"{path}:2:16", None),
    }
    assert tree["unknown_variables"] == ["COSTCALC_GUP"]
    page = run("config")
    assert "did you mean 'COSTCALC_GPU'?" in page and str(path) in page and "--tp" in page


def test_without_any_default(run: Run, run_json: RunJson) -> None:
    tree = run_json("config")
    assert (tree["file_exists"], tree["settings"], tree["unknown_variables"]) == (False, [], [])
    assert "Every default is costcalc's own." in run("config")


MISTAKES = [
    ("gpu: h10O", {}, "config.yaml:1:6: unknown GPU 'h10O'; did you mean 'h100-sxm'?"),
    ("gpu: 1xh100\nbatch: 8x", {}, "config.yaml:2:8: "),
    ("gpu: 1xh100\nbacth: 8", {}, "config.yaml:2:1: unknown option 'bacth'; did you mean 'batch'?"),
    ("gpu: 1xh100\noutput: x.json", {}, "config.yaml:2:1: output names a file, and has no default"),
    ("chart: x.svg", {}, "config.yaml:1:1: chart names a file"),
    ("catalog: mine", {}, "config.yaml:1:1: catalog names a file"),
    ("plot: 1", {}, "config.yaml:1:7: plot: 1 where true or false belongs"),
    ("tp: 1\ntensor-parallel: 1", {}, "config.yaml:2:1: tensor-parallel and tp are one"),
    ("- a", {}, "config.yaml:1:1: expected a mapping, got a list"),
    ("a: &x 1", {}, "the anchor '&x' is not allowed"),
    ("", {}, "config.yaml: the file is empty"),
    ("gpu: 1xh100", {"GPUS": "4"}, "COSTCALC_GPUS: 4 contradicts '1xh100'"),
    ("gpu: 1xh100", {"BATCH": "8", "CONCURRENCY": "4"}, "COSTCALC_BATCH: a batch beside --concurrency"),
    ("gpu: 1xh100", {"TWO_BATCH_OVERLAP": "maybe"}, "COSTCALC_TWO_BATCH_OVERLAP: 'maybe' is neither yes nor no"),
    ("gpu: 1xh100", {"FORMAT": "xml"}, "COSTCALC_FORMAT: 'xml' is unknown"),
    ("gpu: 1xh100", {"FAIL_ABOVE": "much"}, "COSTCALC_FAIL_ABOVE: 'much' is no price"),
    ("gpu: 1xh100", {"SET": "gpu.nope=1"}, "COSTCALC_SET"),
    ("gpu: 1xh100", {"CONTEXT": "9" * 100_000}, "COSTCALC_CONTEXT: "),
]


@pytest.mark.parametrize(("text", "variables", "words"), MISTAKES, ids=[words[:44] for *_, words in MISTAKES])
def test_a_mistake_elsewhere_says_where(
    user_file: File, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    text: str, variables: dict[str, str], words: str,
) -> None:  # fmt: skip
    user_file(text)
    for name, value in variables.items():
        monkeypatch.setenv(f"COSTCALC_{name}", value)
    assert main(["estimate", "--model", "llama-3.1-8b"]) == 2
    printed = capfd.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1 and len(printed.err) < 1500
    assert words in printed.err


@pytest.mark.skipif(os.name == "nt", reason="variables are text there")
def test_a_variable_that_is_no_text(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COSTCALC_GPU", os.fsdecode(b"h\xff"))
    assert main(["estimate", "--model", "v3"]) == 2
    assert "COSTCALC_GPU: 'h\\udcff' is not text in UTF-8" in capfd.readouterr().err


def test_a_file_that_is_none(user_file: File, capfd: pytest.CaptureFixture[str]) -> None:
    path = user_file("")
    path.unlink()
    path.mkdir()
    assert main(["estimate", "--model", "v3", "--gpu", "h100"]) == 2
    assert "config.yaml: this is a folder" in capfd.readouterr().err
    assert main(["estimate", "--help"]) == main(["models", "show", "v3"]) == 0


def test_every_option_of_a_question_has_variables_but_those_of_files() -> None:
    for name, entry in questions(COMMANDS):
        for param in load_command(name.rpartition(" ")[2], entry).params:
            if param.param_type_name == "option":
                assert bool(param.envvar) == (param.name not in NO_DEFAULT)
    assert {"tp", "tensor_parallel", "kv", "kv_cache", "output"} <= set(options_of(*next(questions(COMMANDS))))


def test_saved_answers_are_asked_as_they_were(run: Run, run_json: RunJson, monkeypatch: pytest.MonkeyPatch) -> None:
    run("estimate", "-m", "llama-3.1-8b", "-g", "1xh100", "-o", "saved.json")
    monkeypatch.setenv("COSTCALC_PRICE", "9")
    tree = run_json("diff", "saved.json", "-m llama-3.1-8b -g 1xh100")
    assert [(each["path"], each["from"], each["to"]) for each in tree["changes"]] == [("price", None, 9.0)]
    assert json.loads(Path("saved.json").read_text(encoding="utf-8"))["command"] in tree["from"]["command"]
