"""What people who had never seen costcalc typed first, and what it has to tell them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from costcalc.cli import main

Run = Callable[..., str]
LLAMA_70B = ("-m", "llama-3.1-70b", "--gpu", "8xh100", "--context", "16k")


def line(page: str, start: str) -> str:
    """The only line that starts with a text."""
    [found] = [each for each in page.splitlines() if each.strip().startswith(start)]
    return " ".join(found.split())


def test_users_of_all_replicas_are_told_and_so_are_those_who_fit(run: Run) -> None:
    told = line(run("estimate", *LLAMA_70B), "Users at once")
    assert told == "Users at once 40 of 56 that fit: 20° of 28 on each of 2 replicas"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-m", "llama-3.1-8b", "--gpu", "16h100"], "did you mean '16xh100'?"),
        (["-m", "llama-3.1-8b", "--gpu", "h100x16"], "did you mean '16xh100'?"),
        (["-m", "llama-3.1-8b", "--gpu", "H100:16"], "did you mean '16xh100'?"),
        (["-m", "llama-3.1-8b", "--gpu", "h100-nvl-x2"], "did you mean '2xh100-nvl'?"),
        ([], "error: --model and --gpu are missing; name both, as in --model v3 --gpu h100"),
        (["-m", "v3", "--gpu", "h100", "--imbalance", "1.0,1.3"], "zipf:1.2, or one factor such as 1.5"),
        (["-m", "v3", "--gpu", "h100", "--imbalance", "hot"], "zipf:1.2, or one factor such as 1.5"),
        (["-m", "v3", "--gpu", "h100", "--imbalance", "zipf:"], "zipf:1.2, or one factor such as 1.5"),
        (
            ["-m", "llama-3.1-8b", "--gpu", "h100", "--context", "1e9"],
            "does not fit on any number of NVIDIA H100 SXM5 80GB: its weights do, but the cache of 1 sequence of "
            "1,000,000,000 tokens is too large; ask for fewer or shorter sequences, or use a narrower --weights",
        ),
    ],
    ids=lambda each: " ".join(each)[:60] if isinstance(each, list) else "",
)
def test_what_was_meant_is_suggested(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", *arguments]) == 2
    assert words in re.sub(r"\s+", " ", capfd.readouterr().err)


TOLD = (
    "--memory-utilization 85% --max-num-batched-tokens 4,096 --max-num-seqs 64 --link 50GB/s --ttft 2s "
    "--two-batch-overlap --imbalance 1.3 --tuning tuned --engine-date 2025-01"
)


def test_options_that_no_number_shows_are_on_the_page_as_typed(run: Run, run_json: Callable[..., Any]) -> None:
    dense = ("estimate", "-m", "llama-3.1-8b", "--gpu", "h100")
    page = run(*dense, *TOLD.split())
    assert line(page, "Settings") == f"Settings {TOLD}"
    assert "started by a tuned recipe" in line(page, "Efficiency")
    assert "--tuning tuned" not in page.partition("to override")[2]
    assert run_json(*dense, *TOLD.split())["deployment"]["settings"] == TOLD
    plain = run(*dense, "-v")
    assert "Settings" not in plain and "started as documented°" in line(plain, "Efficiency")
    assert line(plain, "tuning ") == "tuning default --tuning tuned an engine as its documentation starts it"
    assert "tuning" not in run(*dense, "--efficiency", "ideal")


EXPERTS_ON_16 = ("-m", "v3", "--gpu", "16xh100")


@pytest.mark.parametrize(
    ("question", "option", "words"),
    [
        (("-m", "llama-3.1-8b", "--gpu", "h100"), ("--two-batch-overlap",), "Llama-3.1-8B has no experts."),
        (("-m", "llama-3.1-8b", "--gpu", "h100"), ("--imbalance", "1.3"), "Llama-3.1-8B has no experts."),
        (
            (*EXPERTS_ON_16, "--tp", "8", "--pp", "2", "--ep", "1"),
            ("--two-batch-overlap",),
            "in this layout no tokens travel to experts on other ranks of attention-DP; try --ep 16 --dp 16.",
        ),
        (
            (*EXPERTS_ON_16, "--tp", "8", "--pp", "2", "--ep", "1"),
            ("--imbalance", "1.3"),
            "every rank of this layout has all experts; try --ep 16 --dp 16.",
        ),
        ((*EXPERTS_ON_16, "--efficiency", "ideal"), ("--imbalance", "1.3"), "the ideal bound has even ranks."),
    ],
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_an_option_that_does_nothing_says_so(
    question: tuple[str, ...], option: tuple[str, ...], words: str, run_json: Callable[..., Any]
) -> None:
    with_it, without = (run_json("estimate", *question, *more) for more in (option, ()))
    note = f"{' '.join(option)} has no effect: {words}"
    assert note in with_it["notes"]
    with_it["notes"].remove(note)
    with_it["deployment"]["settings"] = ""
    with_it["command"] = with_it["command"].replace(f" {' '.join(option)}", "")
    assert with_it == without


def test_what_the_notes_say_to_try_has_an_effect(run_json: Callable[..., Any]) -> None:
    apart = ("estimate", *EXPERTS_ON_16, "--ep", "16", "--dp", "16", "--batch", "64")
    plain = run_json(*apart)["decode"]["step_time_s"]
    for option in (("--two-batch-overlap",), ("--imbalance", "1.3")):
        found = run_json(*apart, *option)
        assert found["decode"]["step_time_s"] != plain
        assert not any("no effect" in note for note in found["notes"])


def test_an_old_price_is_told_beside_what_clouds_ask_now(run: Run) -> None:
    note = (
        "The price is of 2025-01-17, 20 months older than the catalog's newest (2026-09-22); on demand, median of 8 "
        "providers is $3.24 (2026-09-16)."
    )
    asked = ("estimate", "-m", "llama-3.1-8b", "--gpu", "h100")
    assert note in run(*asked, "--price", "article")
    for told in ((), ("--price", "2.00"), ("--price", "default"), ("--price", "on-demand")):
        assert "months older" not in run(*asked, *told)


def test_grouped_queries_are_named_by_the_kv_heads_that_engines_speak_of(
    run: Run, run_json: Callable[..., Any]
) -> None:
    # meta-llama/Llama-3.1-70B, config.json: 64 attention heads, 8 key-value heads.
    assert "80 layers; GQA-8\n" in run("estimate", *LLAMA_70B)
    twins = ("compare", "attention", "-m", "v3", "--gpu", "h100", "--efficiency", "ideal")
    page = run(*twins)
    assert all(f"  {name}  " in page for name in ("GQA-32", "GQA-16", "GQA-8"))
    rows = {row["variant"]: row["model"]["kv_heads"] for row in run_json(*twins)["rows"]}
    assert (rows["GQA-32"], rows["GQA-16"], rows["GQA-8"], rows["MQA"]) == (32, 16, 8, 1)
    assert {rows[name] for name in ("MHA", "MLA absorbed", "Low rank", "No cache")} == {None}


def test_comparisons_name_the_rows_in_which_an_option_does_nothing(run_json: Callable[..., Any]) -> None:
    asked = ("--gpu", "16xh100", "--ep", "16", "--dp", "16", "--two-batch-overlap")
    notes = run_json("compare", "models", "v3", "kimi-k2", *asked)["notes"]
    assert not any("no effect" in note for note in notes)
    notes = run_json("compare", "models", "llama-3.1-8b", "v3", "--gpu", "16xh100", "--imbalance", "1.3")["notes"]
    assert "Llama-3.1-8B: --imbalance 1.3 has no effect: Llama-3.1-8B has no experts." in notes
