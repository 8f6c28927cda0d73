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
from pathlib import Path

import pytest

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
    ],
    ids=["the first Tab of a session", "commands and names", "values of options"],
)
def test_tab_completes_a_line_that_runs(terminal: Terminal, keys: str, shown: str) -> None:
    assert re.search(shown, terminal.typed(keys, shown))


def test_tab_lists_what_begins_as_typed(terminal: Terminal) -> None:
    text = terminal.typed("costcalc estimate --model deepseek-v2\t\t", r"deepseek-v2\.5")
    assert "deepseek-v2-lite" in text and "deepseek-v2.5" in text
