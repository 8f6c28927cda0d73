"""Catalog folders of one's own in lists and checks: which file answers, and what a broken one breaks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from costcalc.cli import main

Run = Callable[..., str]
RunJson = Callable[..., Any]


@pytest.fixture
def overlay(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "aaa.yaml").write_text("extends: deepseek-v3\naliases: [v3]\nname: Ours\n")
    return tmp_path


def test_a_list_marks_what_is_ones_own_and_shows_the_one_that_answers(
    overlay: Path, run: Run, run_json: RunJson
) -> None:
    rows = run_json("models", "list", "--catalog", str(overlay))
    assert [each["id"] for each in rows if each["own"]] == ["aaa"]
    page = run("models", "list", "v3", "--catalog", str(overlay))
    assert page.splitlines()[2].startswith("aaa* ") and "*: of a catalog folder of your own" in page
    assert "of your own" not in run("models", "list", "v3")


def test_an_estimate_says_which_file_answered(overlay: Path, run_json: RunJson) -> None:
    notes = run_json("estimate", "--model", "v3", "--gpu", "h100", "--catalog", str(overlay))["notes"]
    assert notes[0] == f"'v3' is {overlay}/models/aaa.yaml here, not the deepseek-v3 that costcalc ships."
    notes = run_json("estimate", "--model", "deepseek-v3", "--gpu", "h100", "--catalog", str(overlay))["notes"]
    assert not any("costcalc ships" in note for note in notes)


def test_a_check_blames_the_file_that_took_the_name(overlay: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", "--catalog", str(overlay)]) == 2
    [line] = capfd.readouterr().err.splitlines()
    assert line.endswith(
        "aaa.yaml: the name 'v3' belongs to deepseek-v3 too, and means aaa while this file is in the catalog"
    )


def test_a_broken_file_of_ones_own_is_named_and_the_rest_listed(
    overlay: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (overlay / "models" / "bbb.yaml").write_text("name: [\n")
    assert main(["models", "list", "--catalog", str(overlay), "--format", "json"]) == 0
    printed = capfd.readouterr()
    assert {"aaa", "deepseek-v3"} <= {each["id"] for each in json.loads(printed.out)}
    assert (
        printed.err.startswith(f"warning: left out: {overlay}/models/bbb.yaml:2:1: not YAML")
        and printed.err.count("\n") == 1
    )


def test_lists_say_what_can_be_asked(capfd: pytest.CaptureFixture[str], run: Run) -> None:
    assert main(["models", "list", "--family", "bogus"]) == 2
    assert "--family: nothing matches 'bogus'; one of: baichuan, bloom, " in capfd.readouterr().err
    assert main(["models", "list", "--attention", "bogus"]) == 2
    assert " latent, " in capfd.readouterr().err
    assert "gpt-oss-120b" in run("models", "list", "--attention", "sliding")


def test_a_cache_of_windows_is_not_called_nothing(run: Run, run_json: RunJson) -> None:
    [mistral] = run_json("models", "list", "mistral-7b-v0.1")
    # 32 layers keep 4,096 tokens of 8 KV heads of 128: 2 x 2 bytes x 1,024 each.
    assert (mistral["kv_bytes_per_token"], mistral["fixed_bytes_per_sequence"]) == (0, 32 * 4096 * 4096)
    [oss] = run_json("models", "list", "gpt-oss-120b")
    # 18 of 36 layers grow by 2 x 8 x 64 elements of 2 bytes; the other 18 keep 128 tokens.
    assert (oss["kv_bytes_per_token"], oss["fixed_bytes_per_sequence"]) == (18 * 2048, 18 * 2048 * 128)
    assert "bf16, mxfp4 experts" in run("models", "list", "gpt-oss-120b")
    page = run("models", "show", "mistral-7b-v0.1")
    assert "fixed, per sequence" in page and "536.9 MB" in page


def test_small_words(run: Run, run_json: RunJson) -> None:
    assert "\n1 model. " in run("models", "list", "gpt-oss-120b")
    assert " 125 T (fp16) " in run("gpus", "list", "v100-16gb")
    years = [each["released"] for each in run_json("models", "list", "--sort", "released")]
    assert years.index("2026") > years.index("2026-02")
    assert "none is known: give one with --price" in run("gpus", "show", "a40")
    assert {each["facts"] for each in run_json("models", "list", "muse")} == {"defaults"}
