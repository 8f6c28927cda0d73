"""Faults of the system, each let happen to a long command of its own: `python tools/fuzz.py --kind faults`.

Whatever happens, files are those of an undisturbed run, or not there.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
SECONDS = 300
"""Until a command that was started is taken to hang."""

LONG = (
    ["sweep", "-m", "v3", "-g", "h200", "--gpus", "16", "--batch", "1:64:1", "--context", "1k:20k:1k", "-o", "o.csv"],
    ["estimate", "-m", "v3", "-g", "h100", "--chart", "c.svg", "-o", "o.txt"],
    ["compare", "gpus", "h100", "h200", "-m", "llama-3.1-8b", "--chart", "c.svg", "-o", "o.md"],
    ["frontier", "-m", "llama-3.1-8b", "-g", "h100", "--max-gpus", "2", "--chart", "c.svg", "-o", "o.csv"],
    ["simulate", "-m", "llama-3.1-8b", "-g", "1xh100", "--demand", "6rps", "--input", "1000", "--output", "200",
     "-o", "o.json"],
    ["breakeven", "-m", "v3", "-g", "h100", "--chart", "c.png", "-o", "o.json"],
    ["models", "import", str(ROOT / "tests/catalog/configs/llama-3.1-8b.json"), "-o", "o.yaml"],
    ["validate", "--kind", "gemm", "-o", "o.json"],
    ["calibrate", "--from", str(ROOT / "measurements/gemm.csv"), "-o", "own"],
)  # fmt: skip
OUTPUT = ("-o", "--chart")


class Fault(NamedTuple):
    """What happens: settings of the environment (None: without), how a command may end, and what it writes to."""

    environment: Mapping[str, str | None] = MappingProxyType({})
    codes: tuple[int, ...] = (0,)
    prints: bool = False  # to stdout, else to files


SIGNALLED = {"SIGINT": 130, "SIGTERM": 143, "SIGHUP": 129}
FAULTS = {
    # By default a signal ends Python while it starts and, with all files written, while it ends.
    **{name: Fault(codes=(0, code, 128 - code)) for name, code in SIGNALLED.items()},
    "SIGINT twice": Fault(codes=(0, 130, -2)),
    "full disk": Fault(codes=(2,), prints=True),
    "unbuffered full disk": Fault({"PYTHONUNBUFFERED": "1"}, (2,), prints=True),
    "closed stdout": Fault(codes=(2,), prints=True),
    "closed reader": Fault(prints=True),
    "small disk": Fault(codes=(0, 2)),
    "read-only folder": Fault(codes=(2,)),
    "no folder": Fault(codes=(2,)),
    "two writers": Fault(),
    "two writers, one ended": Fault(),
    "no home": Fault({"HOME": None}),
    "ASCII": Fault({"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}),
    "narrow": Fault({"COLUMNS": "1"}),
    "no columns": Fault({"COLUMNS": "0"}),
    "nonsense backend": Fault({"MPLBACKEND": "module://nonsense"}),
    "optimized": Fault({"PYTHONOPTIMIZE": "2"}),
}


def fault_of(chance: random.Random) -> tuple[str, list[str]]:
    """A fault, signals above all, and the command that it happens to."""
    name = chance.choice([*FAULTS, *SIGNALLED, *SIGNALLED])
    # An imported model replaces no file, so that of two writers the second is refused.
    words = list(chance.choice([each for each in LONG if each[0] != "models" or "writers" not in name]))
    if FAULTS[name].prints:
        kept = [0, *(at for at in range(1, len(words)) if not {words[at], words[at - 1]} & set(OUTPUT))]
        words = [words[at] for at in kept]
    return name, words


class Ended(NamedTuple):
    """How a command ended: its exit code, stdout, stderr, and the name of a file that is not as it should be."""

    code: int
    output: str
    told: str
    broken: str | None


def run_with(name: str, words: list[str], folder: Path, chance: random.Random) -> Ended:
    """Run a command in a folder, and let a fault happen to it."""
    rival = start("", words, folder) if name.startswith("two writers") else None
    process = start(name, words, folder, chance)
    if name.startswith("SIG"):
        _at_some_moment(process, folder, chance)
        for _ in range(1 + name.endswith("twice")):
            process.send_signal(getattr(signal, name.split()[0]))
            time.sleep(0.001)
    if name == "closed reader" and process.stdout is not None:
        process.stdout.close()
        process.stdout = None
    if rival is not None:
        if name.endswith("ended"):
            _at_some_moment(rival, folder, chance)
            rival.terminate()
        rival.communicate(timeout=SECONDS)
    output, told = process.communicate(timeout=SECONDS)
    code, text = process.returncode, told.decode(errors="replace")
    if name.startswith("SIGINT") and _python_itself(text):
        code, text = 130, ""
    folder.chmod(0o755)
    left, (whole, printed) = files_in(folder), undisturbed(tuple(words))
    wrong = [each for each in left if left[each] != whole.get(each)]
    if name.startswith("SIG") and output not in (b"", printed):
        wrong.append("stdout")
    if code == 0:
        wrong += [each for each in whole if each not in left]
    return Ended(code, (output or b"").decode(errors="replace"), text, wrong[0] if wrong else None)


def start(name: str, words: list[str], folder: Path, chance: random.Random | None = None) -> subprocess.Popen[bytes]:
    """Start a command in a folder, in a system with a fault, or in one without."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for setting, value in FAULTS.get(name, Fault()).environment.items():
        environment.pop(setting, None)
        environment |= {} if value is None else {setting: value}
    command = [sys.executable, "-m", "costcalc", *words]
    prepared: Callable[[], object] | None = None
    if name == "closed stdout":
        command = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    if name == "no folder":
        command = ["sh", "-c", 'mkdir gone && cd gone && rmdir ../gone && exec "$@"', "sh", *command]
    if name == "read-only folder":
        folder.chmod(0o555)
        if os.geteuid() == 0:  # who may write everywhere, unless it is taken away
            command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    if name == "small disk" and chance is not None:
        size = int(chance.choice((0, 1, 4096, 1e5 * chance.random())))
        prepared = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # noqa: E731
    if name.startswith("SIGINT"):  # a shell in the background ignores it
        prepared = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(Path("/dev/full").open("wb")) if "full disk" in name else subprocess.PIPE
        streams: dict[str, Any] = {"stdout": full, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, cwd=folder, env=environment, preexec_fn=prepared, **streams)


def _at_some_moment(process: subprocess.Popen[bytes], folder: Path, chance: random.Random) -> None:
    """Wait for a moment of a command: any, or one in which its files are being written."""
    if chance.random() < 0.5:
        while process.poll() is None and not any(folder.iterdir()):
            time.sleep(0.002)
    time.sleep(chance.uniform(0, 1.2))


def _python_itself(told: str) -> bool:
    """Whether an interrupt came before a line of costcalc was run: Python tells of it, which no program can help."""
    return "KeyboardInterrupt" in told and str(ROOT / "costcalc") not in told


@cache
def undisturbed(words: tuple[str, ...]) -> tuple[dict[str, bytes], bytes]:
    """The files that a command writes when nothing happens, and what it prints."""
    folder = Path(tempfile.mkdtemp(prefix="costcalc-fuzz-"))
    try:
        process = start("", list(words), folder)
        printed, _ = process.communicate(timeout=SECONDS)
        return files_in(folder), printed
    finally:
        shutil.rmtree(folder)


def files_in(folder: Path) -> dict[str, bytes]:
    """The files of a folder, by their names in it."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}
