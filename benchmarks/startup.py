"""How long costcalc takes to start, as a ratio to the bare imports that it needs: python benchmarks/startup.py

CPU time of child processes, user and system, so that other work on the machine counts for little; every
command is run in turn, several times, and its least time stands.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

try:
    import resource
except ImportError:  # Windows tells no CPU time of children
    sys.exit("this benchmark needs a POSIX system")

ROUNDS = 12
RUN = "import sys; from costcalc.cli import main; sys.exit(main(sys.argv[1:]))"
ESTIMATE = ("estimate", "--model", "v3", "--gpu", "h100")
LIBRARIES = "import typer, rich.table, pydantic, yaml, numpy"

# Name, what is run, what it is compared with, and the most that the ratio may be (none: for information).
CASES: tuple[tuple[str, Sequence[str], str, float | None], ...] = (
    ("--help", ("--help",), "import typer", 1.3),
    ("estimate --help", ("estimate", "--help"), "import typer", None),
    ("estimate", ESTIMATE, LIBRARIES, 1.4),
    ("models show", ("models", "show", "v3"), LIBRARIES, None),
    ("models", ("models",), LIBRARIES, None),
)


def cpu_seconds(arguments: Sequence[str]) -> float:
    """Return the CPU time of one run of the interpreter [s]."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    # What is installed was compiled once; only the first round may have to do it.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(rounds: int = ROUNDS) -> dict[tuple[str, ...], float]:
    """Return the least CPU time of every command [s], run in turn."""
    commands = dict.fromkeys(command for _, words, base, _ in CASES for command in (("-c", RUN, *words), ("-c", base)))
    least = dict.fromkeys(commands, float("inf"))
    for _ in range(rounds):
        for command in commands:
            least[command] = min(least[command], cpu_seconds(command))
    return least


def main() -> int:
    """Print the ratios; return 1 when one is above its limit."""
    least = measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    late = False
    for name, words, base, most in CASES:
        own, bare = least["-c", RUN, *words], least["-c", base]
        verdict = "" if most is None else f"  at most {most}: {'ok' if own <= most * bare else 'TOO SLOW'}"
        late |= most is not None and own > most * bare
        print(f"{name:16} {own * 1e3:6.0f} ms  {own / bare:5.2f} x  {bare * 1e3:4.0f} ms of '{base}'{verdict}")
    one, every = least["-c", RUN, "models", "show", "v3"], least["-c", RUN, "models"]
    print(f"listing all models takes {every / one:.2f} x the time of showing one (at most 2)")
    return int(late or every > 2 * one)


if __name__ == "__main__":
    sys.exit(main())
