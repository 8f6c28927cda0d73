"""What people who had never seen costcalc typed first, and what it has to tell them."""

from __future__ import annotations

import re
from collections.abc import Callable

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
    assert told == "Users at once 38 of 56 that fit: 19° of 28 on each of 2 replicas"


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
            "does not fit on any number of NVIDIA H100 SXM5 80GB: 1 sequence of 1,000,000,000 tokens is asked for, the "
            "cache of one replica holds 0 at most; ask for fewer or shorter sequences, or use a narrower --weights",
        ),
    ],
    ids=lambda each: " ".join(each)[:60] if isinstance(each, list) else "",
)
def test_what_was_meant_is_suggested(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", *arguments]) == 2
    assert words in re.sub(r"\s+", " ", capfd.readouterr().err)
