"""Completion in real shells: a terminal of their own, the Tab key, and what the completed line then prints."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pytest
import typer

from costcalc.cli import main
from costcalc.cli.app import build
from costcalc.cli.parameters import completion
from costcalc.hardware.owning import OwnedTerms
from costcalc.validation import files

pty = pytest.importorskip("pty", reason="terminals of POSIX")

ROOT = Path(__file__).parents[2]
SECONDS = 30
"""For a line, on a machine that is busy with other tests."""


class Terminal:
    """An interactive shell in a terminal, whose home has the completion that costcalc installs."""

    def __init__(self, shell: str, home: Path) -> None:
        folder = home / "bin"
        folder.mkdir()
        (folder / "costcalc").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m costcalc "$@"\n', encoding="utf-8")
        (folder / "costcalc").chmod(0o755)
        self.env = {
            "HOME": str(home), "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "TERM": "xterm",
            "LC_ALL": "C.UTF-8", "COLUMNS": "200", "LINES": "50", "PS1": "> ",
        }  # fmt: skip
        install = f"{shell} -c 'costcalc --install-completion; exit $?'"
        told = subprocess.run(install, shell=True, env=self.env, capture_output=True, text=True, check=True)
        assert f"{shell} completion installed" in told.stdout
        self.child, self.screen = pty.fork()
        if self.child == 0:
            os.chdir(home)
            os.execvpe(shell, [shell, "-i"], self.env)

    def typed(self, keys: str, shown: str) -> str:
        """Type keys, and return what the screen has when some text is shown, or when time is up."""
        os.write(self.screen, keys.encode())
        text, end = "", time.monotonic() + SECONDS
        while not re.search(shown, text) and (left := end - time.monotonic()) > 0:
            if select.select([self.screen], [], [], left)[0]:
                text += os.read(self.screen, 65536).decode(errors="replace")
        return text

    def end(self) -> None:
        os.write(self.screen, b"\x03\nexit\n")
        os.close(self.screen)
        os.waitpid(self.child, 0)


@pytest.fixture(scope="module", params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    if shutil.which(request.param) is None:
        pytest.skip(f"there is no {request.param} here")
    terminal = Terminal(request.param, tmp_path_factory.mktemp(request.param))
    yield terminal
    terminal.end()


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("costcalc --vers\t\n", r"costcalc \d+\.\d+\.\d+"),  # an option
        ("costcalc gpu\tsho\th100-pc\t\n", "NVIDIA H100 PCIe"),  # a command, one of its own, a name of the catalog
        (
            "costcalc capacity --mod\tllama-3.1-8\t-g rtx-409\t\n",
            "context of Llama-3.1-8B on 1 × NVIDIA GeForce RTX 4090",
        ),
        ("costcalc capacity --max us\t-m llama-3.1-8b -g rtx-4090\n", "users of Llama-3.1-8B on 1"),
    ],
    ids=["the first Tab of a session", "commands and names", "values of options", "words that the help names"],
)
def test_tab_completes_a_line_that_runs(terminal: Terminal, keys: str, shown: str) -> None:
    assert re.search(shown, terminal.typed(keys, shown))


def test_tab_lists_what_begins_as_typed(terminal: Terminal) -> None:
    text = terminal.typed("costcalc estimate --model deepseek-v2\t\t", r"deepseek-v2\.5")
    assert "deepseek-v2-lite" in text and "deepseek-v2.5" in text


def completed(command: Any, option: str, typed: str = "") -> list[str]:
    context = typer.Context(command)
    param = next(each for each in command.get_params(context) if option in each.opts)
    return [each.value for each in param.shell_complete(context, typed)]


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    context = typer.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if hasattr(command, "list_commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(commands(build()))


def test_every_option_whose_words_the_help_names_completes_them() -> None:
    found = 0
    for name, command in COMMANDS.items():
        for param in command.get_params(typer.Context(command)):
            words = (
                re.findall(r"(?:^|[|])([a-z][a-z0-9._-]+)", param.metavar or "") if "|" in (param.metavar or "") else []
            )
            if words:
                found += 1
                assert {*words} <= {*completed(command, param.opts[0])}, f"{name} {param.opts[0]}"
                assert completed(command, param.opts[0], words[-1][:-1])
    assert found > 100


@pytest.mark.parametrize(
    ("command", "option", "typed", "wanted"),
    [
        ("capacity", "--max", "", ["context", "users", "batch", "model", "bits"]),
        ("estimate", "--owned", "ho", ["home", "host-power="]),
        ("estimate", "--owned", "home,cap", ["home,capital="]),
        ("gpus list", "--vendor", "am", ["amd"]),
        ("gpus list", "--architecture", "hop", ["hopper"]),
        ("models list", "--family", "qw", ["qwen"]),
        ("validate", "--gpu", "h100-s", ["h100-sxm"]),
        (
            "estimate",
            "--model",
            "Qwen3-3",
            ["Qwen3-30b", "Qwen3-30b-a3b", "Qwen3-32b"],
        ),  # a name is found whatever its case
        ("estimate", "--gpu", "8xH100-P", ["8xH100-Pcie"]),
        ("estimate", "--weights", "Q8_", ["Q8_0"]),
        ("frontier", "--pools", "o", ["one"]),
        ("compare attention", "--variants", "mla,gq", ["mla,gqa:"]),
        ("models new", "--attention", "kd", ["kda"]),
    ],
)
def test_words_of_a_kind_are_completed(command: str, option: str, typed: str, wanted: list[str]) -> None:
    assert completed(COMMANDS[command], option, typed) == wanted


def test_completion_needs_no_package_but_those_that_are_installed_with_costcalc() -> None:
    """typer has click in it from 0.26 on, and no longer installs it."""
    hides = "import sys; sys.modules['click'] = None; from costcalc.cli import main; sys.exit(main([]))"
    env = {
        **os.environ,
        "_COSTCALC_COMPLETE": "complete_bash",
        "COMP_WORDS": "costcalc estimate --owned ho",
        "COMP_CWORD": "3",
    }
    told = subprocess.run([sys.executable, "-c", hides], env=env, capture_output=True, text=True, cwd=ROOT, check=False)
    assert "home" in told.stdout and "click" not in told.stderr


def test_kinds_that_are_completed_are_those_there_are() -> None:
    assert {*completion.KINDS} == {*files.KINDS}
    for kind in completion.ATTENTIONS:
        assert main(["models", "new", "--attention", kind]) == 0
    known = {"capital", "home"} | {
        each.name.replace("_", "-") for each in fields(OwnedTerms) if each.default is MISSING
    }
    offered = {each.rstrip("=") for each in completed(COMMANDS["estimate"], "--owned")}
    assert offered == known - {"pue", "power-price", "grid-co2"}
