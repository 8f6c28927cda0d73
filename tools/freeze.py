"""Freeze what costcalc answers, to 12 significant digits, so that a refactoring can show that it changed no number.

python tools/freeze.py            recompute and compare with tests/frozen.txt; exit 1 where something differs
python tools/freeze.py --write    write tests/frozen.txt
--dump FILE, with or without --write: every number and text as case<TAB>path=value, to diff by hand.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import partial
from itertools import count, islice
from multiprocessing import Pool
from pathlib import Path
from typing import Any, NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this checkout, whichever is installed

import costcalc  # noqa: E402

FROZEN = ROOT / "tests" / "frozen.txt"
BAD_INPUTS = ROOT.parent / "shared" / "cases" / "bad_inputs.yaml"
GPUS = ("h100", "h200", "b200", "mi300x", "a100-80gb-sxm", "l40s")
PER_MODEL, CHUNK, MOST_SHOWN, PATIENCE_S = 6, 50, 20, 60
KINDS = ("decode_attention", "prefill_attention", "gemm", "moe", "comm", "e2e")

OPTIONS: tuple[dict[str, Any], ...] = (  # 17, so that each meets each of the six GPUs
    {},
    {"efficiency": "ideal"},
    {"context": "32k"},
    {"kv_cache": "fp8", "batch": 16},
    {"weights": "fp8"},
    {"drafts": 2},
    {"disaggregated": True},
    {"ttft": 0.5},
    {"demand": "50 requests/s"},
    {"terms": "kv"},
    {"cached": 0.5},
    {"price": "spot"},
    {"gpus": 8},
    {"tensor_parallel": 2},
    {"backend": "sglang"},
    {"backend": "trtllm"},
    {"mla": "naive"},
)
NOT_LATENT = {"batch": 1}  # instead of a mode of MLA where there is none

SWEPT_MODELS = (
    "v3", "llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "gpt-oss-120b",
    "qwen3-235b-a22b", "phi-3.5-moe", "glm-4.7-flash", "granite-3.1-8b", "grok-1",
)  # fmt: skip
SWEEPS: tuple[dict[str, Any], ...] = (
    {"batch": "1:256:x2"},
    {"context": "1k:128k:x2"},
    {"price": [0.5, 1, 2, 4], "utilization": [0.25, 0.5, 1.0]},
    {"tensor_parallel": "1,2,4,8"},
    {"gpus": "8,16,32"},
    {"batch": "1,8,64", "context": "4k,32k"},
    {"input_tokens": "512,4096", "output_tokens": "128,1024", "efficiency": "ideal"},
    {"memory_bandwidth": ["2 TB/s", "3.35 TB/s", "8 TB/s"], "batch": 32},
    {"batch": "4,32", "kv_cache": "fp8", "backend": "sglang", "drafts": 1},
    {"context": "4k,16k", "gpus": 16, "disaggregated": True},
    {"batch": "8:512:x4", "gpus": 8, "weights": "fp8", "cached": 0.5},
)
SWEEPS_PER_MODEL = 4

COMPARISONS: tuple[tuple[str, tuple[Any, ...], dict[str, Any]], ...] = (
    ("compare_attention", ("v3", "h100"), {}),
    ("compare_attention", ("llama-3.1-8b", "b200"), {"contexts": [4096, "32k"]}),
    ("compare_attention", ("llama-3.1-70b", "h200"), {"groups": (2, 8), "efficiency": "ideal"}),
    ("compare_attention", ("v3", "mi300x"), {"terms": "kv"}),
    ("compare_models", (["llama-3.1-8b", "mixtral-8x7b", "v3"], "h100"), {}),
    ("compare_models", (["gpt-oss-120b", "qwen3-235b-a22b", "grok-1"], "b200"), {"context": "32k"}),
    ("compare_models", (["granite-3.1-8b", "phi-3.5-moe"], "l40s"), {"kv_cache": "fp8", "batch": 8}),
    ("compare_gpus", (["h100", "b200", "mi300x", "a100-80gb-sxm"], "v3"), {}),
    ("compare_gpus", (["l40s", "h100", "dgx-spark", "rtx-4090"], "llama-3.1-8b"), {"ttft": 0.5}),
    ("compare_gpus", (["h200", "gb200-nvl72", "tpu-v6e"], "llama-3.1-70b"), {"price": "spot"}),
    ("break_even", ("v3", "h100"), {}),
    ("break_even", ("llama-3.1-70b", "h200"), {"against": "claude-3.5-sonnet", "batch": 32}),
)

COMMANDS = (
    *(("validate", "--kind", kind) for kind in KINDS),
    ("validate", "--against", "all"),
    ("models",),
    ("gpus",),
)

NOT_RUN = {
    "full-disk-o": "mounts", "full-disk-unbuffered": "mounts", "kernel-log": "never ends", "sigterm": "of chance",
    "ctrl-c-early": "of chance", "calibrate-side-by-side": "of chance", "a-million-cells": "slow",
    "calibrate-twenty-runs": "slow; its setup is prose", "online-drip": "goes online",
    "forged-checksum": "its setup is prose", "efficiency-overlay-missing-keys": "its setup is prose",
}  # fmt: skip
CHANGED = {  # what is hostile by size alone is asked small; what names a module is asked by the command
    "many-unknown-keys": ("seq 30000", "seq 300"),
    "many-bad-prices": ("seq 2000", "seq 50"),
    "ten-million-experts": (",10000000,", ",1000,"),
    "many-unknown-gpus": ("range(1000)", "range(20)"),
    "duplicate-key-at-the-end": ("range(600000)", "range(600)"),
    "data-nul": (
        "from costcalc.cli import main; raise SystemExit(main(['validate', '--data', 'a\\0b']))",
        "import runpy, sys; sys.argv = ['costcalc', 'validate', '--data', 'a\\0b']; runpy.run_module('costcalc', "
        "run_name='__main__')",
    ),
}
GEMM = "gpu,dtype,m,n,k,ms\nh100,bf16,64,8192,8192,0.066\nh100,bf16,8192,8192,8192,1.75\n"  # as in README.md


class Found(NamedTuple):
    """What one case answers: a tree of numbers and texts, and the few that are shown."""

    name: str
    tree: Any
    headline: str


class Line(NamedTuple):
    """One line of the file, and the dump that its hash is of."""

    name: str
    digest: str
    headline: str
    dump: str

    @property
    def written(self) -> str:
        """The line as it is frozen."""
        return f"{self.name}\t{self.digest}\t{self.headline}"


Case = Callable[[], list[Found]]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yield path=value of every number and text of a tree, keys sorted, floats to 12 digits."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from leaves(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        yield f"{path}.len={len(value)}"
        for number, each in enumerate(value):
            yield from leaves(each, f"{path}[{number}]")
    elif isinstance(value, float):
        yield f"{path}={value:.12g}"
    elif isinstance(value, str):
        yield f"{path}={value!r}"
    else:
        yield f"{path}={value}"


def line_of(found: Found) -> Line:
    """Return the line of a case."""
    from hashlib import sha256

    dump = "\n".join(leaves(found.tree))
    return Line(found.name, sha256(dump.encode()).hexdigest()[:16], found.headline, dump)


def run_case(case: Case) -> list[Line]:
    """Return the lines of a case, in a worker."""
    return [line_of(found) for found in case()]


def asked(name: str, function: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> list[Found]:
    """What a function of the public API answers, or the text of its error."""
    try:
        result = getattr(costcalc, function)(*arguments, **options)
        if isinstance(result, costcalc.Sweep):
            tree = {"rows": result.to_rows(), "notes": list(result.notes)}
        else:
            tree = result.to_dict()
    except costcalc.CostcalcError as error:
        return [Found(name, {"error": str(error)}, f"error: {_short(error)}")]
    except Exception as error:  # a fault of costcalc's own is frozen too
        text = f"{type(error).__name__}: {error}"
        return [Found(name, {"fault": text}, f"fault: {_short(text)}")]
    return [Found(name, tree, _headline(tree))]


def _headline(tree: Mapping[str, Any]) -> str:
    """The few numbers that are shown of an estimate, or of the first and last row of several."""
    rows = tree.get("rows")
    if rows is None:
        deployment, cost = tree["deployment"], tree["cost"]["usd_per_million_output_tokens"]
        size = f"{deployment['gpus']} GPUs {deployment['layout']} batch {tree['workload']['batch']}"
        return f"{size} step {_number(tree['decode']['step_time_s'])} s ${_number(cost)}/M"
    dotted = "cost.usd_per_million_output_tokens"
    costs = [row[dotted] if dotted in row else row["cost"]["usd_per_million_output_tokens"] for row in rows]
    return f"{len(rows)} rows ${_number(costs[0])}/M ${_number(costs[-1])}/M"


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value)


def _short(text: object, most: int = 100) -> str:
    return " ".join(str(text).split())[:most]


def _words(options: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in options.items()).replace("\t", " ") or "defaults"


def estimates(models: Mapping[str, str]) -> Iterator[Case]:
    """Every model on six GPUs, each with the next set of options.

    models: the attention of each model, by name.
    """
    turn = count()
    for number, model in enumerate(sorted(models)):
        for of_model in range(PER_MODEL):
            gpu, options = GPUS[(number + of_model) % len(GPUS)], OPTIONS[next(turn) % len(OPTIONS)]
            if "mla" in options and "MLA" not in models[model]:
                options = NOT_LATENT
            yield partial(asked, f"estimate {model} {gpu} {_words(options)}", "estimate", (model, gpu), options)


def sweeps() -> Iterator[Case]:
    """Each of a few models swept over the next sets of axes."""
    turn = count()
    for number, model in enumerate(SWEPT_MODELS):
        for of_model in range(SWEEPS_PER_MODEL):
            gpu, options = GPUS[(number + of_model) % len(GPUS)], SWEEPS[next(turn) % len(SWEEPS)]
            yield partial(asked, f"sweep {model} {gpu} {_words(options)}", "sweep", (model, gpu), options)


def comparisons() -> Iterator[Case]:
    """A few rows beside each other, and prices of an API."""
    for function, arguments, options in COMPARISONS:
        about = " ".join(",".join(each) if isinstance(each, list) else each for each in arguments)
        yield partial(asked, f"{function} {about} {_words(options)}", function, arguments, options)


def environment() -> dict[str, str]:
    """The environment of commands: this checkout, and nothing that a terminal or a user changes."""
    kept = {name: value for name, value in os.environ.items() if not name.lstrip("_").startswith("COSTCALC_")}
    fixed = {"COLUMNS": "100", "LC_ALL": "C.UTF-8", "NO_COLOR": "1", "PYTHONWARNINGS": "ignore", "TERM": "dumb"}
    return {**kept, **fixed, "PYTHONPATH": str(ROOT)}


def costcalc_json(*arguments: str) -> Any:
    """What a command answers as JSON."""
    command = [sys.executable, "-m", "costcalc", *arguments, "--format", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    if ran.returncode:
        raise RuntimeError(f"costcalc {' '.join(arguments)}: {ran.stderr}")
    return json.loads(ran.stdout)


def commanded(arguments: Sequence[str]) -> list[Found]:
    """What a command answers: one case for all but its rows, and one for each chunk of rows."""
    name, answer = " ".join(arguments), costcalc_json(*arguments)
    rest = {} if isinstance(answer, list) else {key: value for key, value in answer.items() if key != "rows"}
    rows = answer if isinstance(answer, list) else answer["rows"]
    errors = [
        f"median {_number(each['median_ape'])} mean {_number(each['mape'])} bias {_number(each['bias'])}"
        for each in rest.get("kinds", {}).values()
    ]
    found = [Found(name, {"rest": rest, "rows": rows}, " ".join([f"{len(rows)} rows", *errors]))]
    for first in range(0, len(rows), CHUNK):
        chunk = rows[first : first + CHUNK]
        found.append(Found(f"{name} rows {first}+", chunk, f"{len(chunk)} rows {_middle(chunk)}".rstrip()))
    return found


def _middle(rows: Sequence[Mapping[str, Any]]) -> str:
    """The sums of what rows predict."""
    names = [name for name in ("predicted", "ideal") if name in rows[0]]
    sums = {name: sum(row[name] for row in rows if isinstance(row[name], int | float)) for name in names}
    return " ".join(f"{name} {_number(float(value))}" for name, value in sums.items())


def bad_inputs() -> Iterator[Case]:
    """Command lines that were found to fail, each in an empty folder."""
    if not BAD_INPUTS.is_file():
        print(f"note: no {BAD_INPUTS}: bad inputs are left out", file=sys.stderr)
        return
    import yaml

    for case in yaml.safe_load(BAD_INPUTS.read_text(encoding="utf-8"))["cases"]:
        if case["id"] not in NOT_RUN:
            yield partial(refused, case)


def refused(case: Mapping[str, Any]) -> list[Found]:
    """The exit code and the output of a bad command line."""
    from shlex import join

    command = case.get("command") or join(["costcalc", *case["argv"]])
    script = f"{case.get('setup', ':')}\n{command}"
    if case["id"] in CHANGED:
        old, new = CHANGED[case["id"]]
        if old not in script:
            raise RuntimeError(f"{case['id']}: {BAD_INPUTS} no longer holds {old}")
        script = script.replace(old, new)
    with tempfile.TemporaryDirectory(prefix="costcalc-freeze-") as root:
        programs, folder = Path(root, "bin"), Path(root, "in")
        folder.mkdir()
        programs.mkdir()
        for name, words in (("costcalc", " -m costcalc"), ("python", ""), ("python3", "")):
            (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable}{words} "$@"\n', encoding="utf-8")
            (programs / name).chmod(0o755)
        variables = {
            "LL": str(ROOT / "models" / "llama-3.1-8b.yaml"),
            "HH": str(ROOT / "hardware_profiles" / "h100-sxm.yaml"),
            "S": str(ROOT),
            "GEMM": GEMM,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        ran = subprocess.run(
            ["timeout", "-k", "5", str(PATIENCE_S), "bash", "-c", script],
            cwd=folder, env={**environment(), **variables}, capture_output=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        told = {"exit": ran.returncode, "stderr": _placed(ran.stderr, root), "stdout": _placed(ran.stdout, root)}
    return [Found(f"bad {case['id']}", told, f"exit {ran.returncode} {_short(told['stderr'] or told['stdout'])}")]


def _placed(output: bytes, root: str) -> str:
    """Text without what differs from run to run: folders, lines of bash and of code, and today."""
    text = output.decode("utf-8", "backslashreplace").replace(root, "$T")
    text = text.replace(sys.prefix, "$P").replace(str(ROOT), "$S").replace(date.today().isoformat(), "$TODAY")
    return re.sub(r"(?<=bash: )line \d+", "line N", re.sub(r"[^\s'\"]*\.py\b(:\d+|\", line \d+)", "FILE.py", text))


def lines(most: int | None = None) -> list[Line]:
    """Compute every case.

    most: so many cases alone, for a trial.
    """
    models = {each["id"]: each["attention"] for each in costcalc_json("models")}
    cases: list[Case] = [partial(commanded, arguments) for arguments in COMMANDS]
    cases += [*bad_inputs(), *comparisons(), *sweeps(), *estimates(models)]
    with Pool(2) as pool:
        found = [line for several in pool.imap(run_case, islice(cases, most), chunksize=4) for line in several]
    if len({line.name for line in found}) != len(found):
        raise RuntimeError("two cases have one name")
    return found


def differences(found: Sequence[Line]) -> list[str]:
    """What differs from the file, a line each."""
    old = {line.split("\t")[0]: line for line in FROZEN.read_text(encoding="utf-8").splitlines()}
    new = {line.name: line.written for line in found}
    if not BAD_INPUTS.is_file():
        old = {name: line for name, line in old.items() if not name.startswith("bad ")}
    told = []
    for name in dict.fromkeys([*old, *new]):
        if old.get(name) != new.get(name):
            was, now = (each[name].split("\t")[2] if name in each else "no such case" for each in (old, new))
            told.append(f"{name}\n  old: {was}\n  new: {now}" + ("  (beyond what is shown)" if was == now else ""))
    return told


def main() -> int:
    """Write or compare; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write tests/frozen.txt")
    parser.add_argument("--dump", type=Path, metavar="FILE", help="write every number, to diff by hand")
    given = parser.parse_args()
    found = lines()
    if given.dump:
        told = (f"{line.name}\t{each}\n" for line in found for each in line.dump.split("\n"))
        given.dump.write_text("".join(told), encoding="utf-8")
    if given.write:
        FROZEN.write_text("".join(f"{line.written}\n" for line in found), encoding="utf-8")
        print(f"{len(found)} cases written")
        return 0
    told = differences(found)
    print("\n".join([*told[:MOST_SHOWN], f"{len(told)} of {len(found)} cases differ"]))
    return 1 if told else 0


if __name__ == "__main__":
    sys.exit(main())
