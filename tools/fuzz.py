"""Hostile input, by the thousands and repeatable: `python tools/fuzz.py --seed 1 --count 2000`.

Command lines over every command and option of the CLI, YAML, JSON and CSV mutated where they mean something, text that
would command a terminal or a spreadsheet, and faults of the system. Each case must end in an answer or in one line that
helps, with nothing else left. Cases run in forked workers, those of a worker one after another in one process.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from faults import FAULTS, fault_of, run_with

ROOT = Path(__file__).parents[1]
BATCH, SECONDS, MEMORY = 100, 20, 4 << 30
SLOW = 2.0
"""CPU seconds within which input is refused."""


@dataclass
class Case:
    """One input: its class, the words after `costcalc`, the files beside it, and how it may end."""

    kind: str
    words: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    codes: tuple[int, ...] = (0, 2)
    escaped: bool = False  # whether the files hold text that no face may show as it is
    fault: str = ""  # of the system, which takes a process of its own


# What is hostile.


TEXTS = (
    "", " ", "-", "--", "\0", "a\0b", "\x1b[31mred", "\x1b]52;c;cHduZWQ=\x07", "a\nb", "a\r\nb", "\u202eabc", "\u2066x",
    "\ud800", "\udcff", "\ufeff", "\x7f", "\x9b2J", "=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3", "\t=1", "日本語",
    "[x](javascript:alert(1))", "<script>", "a|b|c", "$x$", "\\input{x}", "%s%n", "{0}", "{x.__class__}", "../../etc",
    "/dev/zero", "/dev/stdin", "/proc/self/mem", "~nobody/x.json", "~", ".", "/", "x" * 300, "x" * 120_000, "é" * 5000,
    "'", '"', "`id`", "$(id)", "!!python/object:os.system", "*a", "&a b", "null", "true", "[]", "{}", "h100,h200",
)  # fmt: skip
NUMBERS = (
    "0", "-0", "-1", "1", "2", "7", "64", "1.5", "0.1", "1e-9", "5e-324", "1e-320", "1e-300", "1e300", "1e308", "1e999",
    "nan", "NaN", "inf", "-inf", "Infinity", "1e12", "1e18", "9" * 400, "0x10", "1_000", "1,000", "٣", "1e", "+", "½",
    "4k", "100k", "1M", "1B", "50%", "120%", "100 ms", "5e-324s", "2s", "1e9 days", "80GB", "3.3TB/s", "$2", "$1e300/h",
    "1:256:x2", "1:256:xnan", "1:1e9:1", "1:2:5e-324", "1,8,64", "1,,2", "5e-324 rps", "50 rps", "1B tokens/day",
    "auto",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 10**8, 10**40, -0.0, 0.5, 5e-324, 1e-300, 1e300, float("nan"), float("inf"), "",
    "x", [], {}, [[]], [None], {"": None}, {"kind": "grouped"}, "nan", "1e400", "80 GB", "5e-324 GB", "=1+1", "\x1b[2J",
)  # fmt: skip
FACES = (
    [], ["-f", "csv"], ["-f", "markdown"], ["-f", "json"], ["--explain"], ["--plot"], ["-o", "o.csv"], ["-o", "o.md"],
    ["--chart", "c.svg"],
)  # fmt: skip


# Command lines: every command and every option, as the CLI itself lists them.


@cache
def commands() -> list[tuple[list[str], list[Any]]]:
    """Every command by its words, and its parameters."""
    from costcalc.cli.app import COMMANDS
    from costcalc.cli.lazy import Group, load_command

    found = []
    for name, entry in COMMANDS.items():
        inner = entry.commands if isinstance(entry, Group) else {"": entry}
        for second, command in inner.items():
            made = load_command(second or name, command)
            found.append(([name, *([second] if second else [])], list(made.params)))
    return found


@cache
def names(kind: str) -> list[str]:
    """Names of the catalog."""
    from costcalc.catalog.catalog import Catalog

    return [entry.name for entry in Catalog().entries(kind)]  # type: ignore[arg-type]


def value_of(chance: random.Random, param: Any) -> str:
    """A value of an option: mostly of its kind, else anything."""
    if chance.random() < 0.25:
        return chance.choice(TEXTS + NUMBERS)
    options = set(param.opts)
    for flags, kind in (({"--model", "--against"}, "models"), ({"--gpu"}, "hardware_profiles")):
        if options & flags:
            text = chance.choice(names(kind))
            return mutated_text(chance, text) if chance.random() < 0.3 else text
    words = re.findall(r"[a-z_]{2,}", str(param.metavar or "")) if "|" in str(param.metavar) else []
    if words and chance.random() < 0.8:
        return chance.choice(words)
    if options & {"--set"}:
        path = chance.choice(
            ("gpu.memory", "gpu.price", "model.hidden_size", "gpu.peak_flops.bf16", "model.layers.0.count")
        )
        return f"{path}={chance.choice(NUMBERS + TEXTS)}"
    if options & {"--output", "-o", "--chart", "--output-file"}:
        return chance.choice(
            ("o.json", "o.csv", "o.md", "o.txt", "c.svg", "o.yaml", "no/o.json", "/dev/full", "o", *TEXTS[:12])
        )
    return chance.choice(NUMBERS)


def mutated_text(chance: random.Random, text: str) -> str:
    """Text with a few signs changed."""
    signs = list(text)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(signs) + 1)
        signs[at : at + chance.randint(0, 2)] = chance.choice(TEXTS[:24] + tuple("abc109-_ /:x"))
    return "".join(signs)


def line(chance: random.Random) -> Case:
    """A command line."""
    words, params = chance.choice(commands())
    words = list(words)
    if words == ["calibrate"]:  # measures the GPU of this machine, or fits for seconds
        words += ["--from", "no.csv"]
    if any("--model" in each.opts for each in params) and words != ["validate"] and chance.random() < 0.95:
        words += ["--model", chance.choice(("v3", "llama-3.1-8b", *names("models")))]
    if (
        any("--gpu" in each.opts for each in params)
        and words[0] not in ("validate", "calibrate")
        and chance.random() < 0.95
    ):
        words += ["--gpu", chance.choice(("h100", "8xh100", *names("hardware_profiles")))]
    for param in params:
        if param.param_type_name == "argument" and chance.random() < 0.9:
            kind = "hardware_profiles" if "gpus" in words else "models"
            words += [
                chance.choice([*names(kind), *TEXTS, "config.json", "result"]) for _ in range(chance.randint(1, 2))
            ]
    known = [each for each in params if each.param_type_name == "option" and "--online" not in each.opts]
    for param in chance.sample(known, min(len(known), chance.choice((0, 1, 1, 2, 3, 5)))):
        if {"--model", "--gpu", "--data"} & set(param.opts) and words[0] == "validate" and chance.random() < 0.8:
            continue
        words += [chance.choice(param.opts)] + ([] if param.is_flag else [value_of(chance, param)])
    if words[0] == "validate" and "--against" not in words:
        words += ["--against", chance.choice(("list", "vllm", "nobody", *TEXTS[:8]))]
    if chance.random() < 0.1:
        words[chance.randrange(len(words))] = chance.choice(TEXTS + NUMBERS)
    if {"validate": "--against", "calibrate": "--from"}.get(words[0], words[0]) not in words:  # it would work for long
        words = ["models", "list"]
    return Case("command lines", [each for each in words if each != "--online"])


# Files, mutated where they mean something.


def mutated(chance: random.Random, tree: Any) -> Any:
    """A tree with one of its nodes replaced, left out, named otherwise or doubled."""
    places = list(_places(tree))
    if not places:
        return chance.choice(VALUES)
    group, key = chance.choice(places)
    how = chance.randrange(5)
    if how < 2:
        old = group[key]
        group[key] = (
            chance.choice(VALUES + TEXTS) if how else old * 3 if isinstance(old, list) else chance.choice(NUMBERS)
        )
    elif how == 2:
        del group[key]
    elif isinstance(group, dict):
        group[mutated_text(chance, str(key)) if how == 3 else chance.choice(TEXTS)] = group.pop(key)
    else:
        group.insert(key, group[chance.randrange(len(group))])
    return tree


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(tree) if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else []
    for key in keys:
        yield tree, key
        yield from _places(tree[key])


def in_yaml(tree: Any) -> bytes:
    """A tree as YAML; JSON is YAML too, and keeps control characters as they are meant."""
    return json.dumps(tree, ensure_ascii=True, default=str).encode()


@cache
def trees(folder: str) -> list[tuple[str, str]]:
    """The names and the content, as JSON, of YAML files that ship."""
    found = sorted((ROOT / folder).glob("*.yaml"))
    load = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    texts = [(each.stem, json.dumps(yaml.load(each.read_bytes(), load), default=str)) for each in found]
    return [each for each in texts if each[0] != "closed_models"]


def yaml_file(chance: random.Random) -> Case:
    """A model, an accelerator or a file of constants, mutated."""
    folder = chance.choice(("models", "hardware_profiles", "hardware_profiles/efficiency"))
    name, text = chance.choice(trees(folder))
    tree = json.loads(text)
    for _ in range(chance.choice((1, 1, 2, 4))):
        tree = mutated(chance, tree)
    content = in_yaml(tree)
    if chance.random() < 0.1:  # as bytes
        at = chance.randrange(len(content))
        content = content[:at] + bytes(chance.randrange(256) for _ in range(4)) + content[at + chance.randint(0, 9) :]
    if folder == "hardware_profiles/efficiency":
        words = [
            "estimate",
            "-m",
            chance.choice(("v3", "llama-3.1-8b")),
            "-g",
            chance.choice(("h100", "mi300x", "tpu-v7x")),
        ]
        return Case("YAML files", [*words, "--catalog", "cat"], {f"cat/{folder}/{name}.yaml": content})
    if folder == "models":
        words = chance.choice((["estimate", "-g", "h200", "-m", "./f.yaml"], ["models", "show", "./f.yaml"]))
    else:
        words = chance.choice((["estimate", "-m", "llama-3.1-8b", "-g", "./f.yaml"], ["gpus", "show", "./f.yaml"]))
    return Case("YAML files", words, {"f.yaml": content})


def config(chance: random.Random) -> Case:
    """A config.json, mutated."""
    file = chance.choice(sorted((ROOT / "tests/catalog/configs").glob("*.json")))
    tree = json.loads(file.read_bytes())
    for _ in range(chance.choice((1, 1, 2, 4))):
        tree = mutated(chance, tree)
    content = json.dumps(tree).encode()
    if chance.random() < 0.1:
        at = chance.randrange(len(content))
        content = (
            content[:at] + chance.choice((b'"a":1,"a":2,', b"[" * 5000, b"\xff", b"NaN", b"1" * 5000)) + content[at:]
        )
    return Case("JSON files", ["models", "import", "c.json"], {"c.json": content})


def benchmark(chance: random.Random) -> Case:
    """What a benchmark wrote, mutated."""
    file = chance.choice(sorted((ROOT / "tests/validation/benchmarks").glob("*[!d]")))  # all but its README.md
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        tree = json.loads(text)
        for _ in range(chance.choice((1, 1, 2, 4))):
            tree = mutated(chance, tree)
        text = json.dumps(tree)
    else:
        for _ in range(chance.choice((1, 2, 4))):
            text = mutated_text(chance, text)
    told = chance.choice(
        ([], ["--gpu", "8xh100"], ["--gpu", "8xh100", "--model", "v3"], ["--gpus", "2", "--price", "2"])
    )
    words = ["price", "b.txt", *told, *chance.choice(([], [], ["-f", "json"], ["-f", "csv"], ["-f", "markdown"]))]
    return Case("benchmarks", words, {"b.txt": text.encode("utf-8", "surrogatepass")}, escaped=True)


@cache
def tables() -> list[tuple[str, list[list[str]]]]:
    """Measurements that ship, by kind."""
    found = []
    for file in sorted((ROOT / "measurements").glob("*.csv")):
        with file.open(encoding="utf-8") as text:
            found.append((file.stem, list(csv.reader(each for each in text if not each.startswith("#")))))
    return found


def table(chance: random.Random) -> Case:
    """A few measurements, mutated."""
    kind, rows = chance.choice(tables())
    head, *body = rows
    chosen = [list(head), *(list(each) for each in chance.sample(body, chance.randint(1, 4)))]
    for _ in range(chance.choice((1, 1, 2, 4))):
        row = chance.choice(chosen if chance.random() < 0.2 else chosen[1:])
        at = chance.randrange(len(row))
        row[at] = chance.choice(NUMBERS + TEXTS[:40])
        if chance.random() < 0.1:
            row.insert(at, "x")
    text = io.StringIO()
    csv.writer(text, delimiter=chance.choice(",,,,;\t|")).writerows(chosen)
    words = ["validate", "--data", "f.csv", *chance.choice(([], [], ["--kind", kind], ["-f", "json"], ["-f", "csv"]))]
    return Case("CSV files", words, {"f.csv": text.getvalue().encode("utf-8", "surrogatepass")}, escaped=True)


# Text from files on every face.


COMMANDING = tuple(
    each for each in TEXTS if 0 < len(each) < 60 and not each.isspace() and each not in ("\ud800", "\udcff", "\0")
)


def injection(chance: random.Random) -> Case:
    """A file whose names and notes would command a terminal, a spreadsheet or a page."""
    hostile = "".join(chance.sample(COMMANDING, 2)).replace("\0", "").replace("\ufeff", "")
    face = list(chance.choice(FACES))
    kind = chance.choice(("model", "gpu", "csv", "alias"))
    if kind == "csv":
        rows = [["gpu", "dtype", "m", "n", "k", "ms", "note"], ["h100", "bf16", "64", "8192", "8192", "0.066", hostile]]
        rows.append([hostile, "bf16", "64", "8192", "8192", "0.066", "x"])
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        face = [each for each in face if each not in ("--explain", "--plot")]
        return Case(
            "injection", ["validate", "--data", "f.csv", *face], {"f.csv": text.getvalue().encode()}, escaped=True
        )
    tree: dict[str, Any] = {"extends": "h100" if kind == "gpu" else "llama-3.1-8b", "name": hostile}
    source = {"what": hostile, "source": hostile, "date": "2026-11", "provenance": "seen", "note": hostile}
    tree |= {"notes": [hostile, f"# {hostile}"], "aliases": [hostile]}
    if kind == "gpu":
        tree["prices"] = [
            {"provider": hostile, "usd_per_gpu_hour": 2.0, "kind": "spot", "source": hostile, "date": "2026-11-01"}
        ]
        words = ["estimate", "-m", "llama-3.1-8b", "-g", "./f.yaml", *chance.choice(([], ["--price", "spot"]))]
    else:
        tree["sources"] = [source]
        compared = ["compare", "models", "./f.yaml", "llama-3.1-8b", "-g", "h100"]
        words = chance.choice((["estimate", "-m", "./f.yaml", "-g", "h100"], compared))
    if chance.random() < 0.3:
        words = ["gpus" if kind == "gpu" else "models", "show", "./f.yaml"]
        face = face if face[:1] in (["-f"], ["-o"]) else []
    return Case("injection", words, {"f.yaml": in_yaml(tree)}, escaped=True)


# Faults of the system, each in a process of its own.


def system_fault(chance: random.Random) -> Case:
    """A long command that something happens to."""
    name, words = fault_of(chance)
    return Case("faults", words, codes=FAULTS[name].codes, fault=name)


# Running cases, and what each has to keep to.


MAKERS: dict[Callable[[random.Random], Case], int] = {
    line: 40, yaml_file: 20, config: 12, table: 14, injection: 12, system_fault: 1, benchmark: 8,
}  # fmt: skip
KINDS = {
    "lines": line, "yaml": yaml_file, "json": config, "csv": table, "injection": injection, "faults": system_fault,
}  # fmt: skip
"""Classes as --kind names them."""
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
FORMULA = re.compile(r"[=+@\-][^\d.\s]")


class TooLongError(BaseException):
    """A case that goes on for more than SECONDS."""


def problem(case: Case, code: int, output: str, told: str, folder: Path, seconds: float) -> str | None:
    """What is wrong with how a case ended, or None."""
    lines = told.splitlines()
    found = [str(each.relative_to(folder)) for each in folder.rglob("*")]
    left = [each for each in found if not any(f"{name}/".startswith(f"{each}/") for name in case.files)]
    checks = "check" in case.words[:2]
    coloured = re.sub(r"\x1b\[[0-9;]*m", "", output) if "--plot" in case.words else output
    if code == 1 and lines and lines[-1].startswith("limit: "):  # an answer beyond a limit that was told
        code, lines = 0, lines[:-1]
    if code not in case.codes:
        return f"exit {code}: {told[-200:]}"
    if code and output and not case.fault.startswith("SIG"):  # which may come when all is printed
        return "stdout of a failure"
    if code == 2 and (not told.startswith("error: ") or not told.endswith("\n") or (len(lines) != 1 and not checks)):
        return f"stderr of a failure: {told[:200]!r}"
    if code == 0 and not all(each.startswith(("note: ", "warning: ")) for each in lines):
        return f"stderr of an answer: {told[:200]!r}"
    if CONTROLS.search(told.replace("\n", "")) or max(map(len, lines), default=0) > 2700:
        return f"a line on stderr that is not plain or too long: {told[:200]!r}"
    if CONTROLS.search(coloured.replace("\n", "")):
        return "a control character on stdout"
    if code and left and not case.fault.startswith("SIG"):
        return f"left behind: {left}"
    if any(each.startswith(".") or "/." in each or _is_empty(folder / each) for each in left):
        return f"a draft is left: {left}"
    for name in left:
        text = (folder / name).read_text(errors="replace") if (folder / name).is_file() else ""
        if name.endswith((".csv", ".md", ".txt")) and CONTROLS.search(text.replace("\n", "")):
            return f"a control character in {name}"
        output = text if name.endswith(".csv") else output
    if case.escaped and code == 0 and (case.words[-2:] == ["-f", "csv"] or "o.csv" in left):
        cells = [cell.strip() for row in csv.reader(io.StringIO(output)) for cell in row]
        if formulas := [cell for cell in cells if FORMULA.match(cell) and cell != "-"]:
            return f"a formula in a cell: {formulas[:2]}"
    if code == 2 and seconds > SLOW and not case.fault:
        return f"refused after {seconds:.1f} s"
    return None


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def run(case: Case, chance: random.Random) -> tuple[int, str | None]:
    """Run a case in an empty folder; return its exit code, and what is wrong."""
    folder = Path(tempfile.mkdtemp(prefix="costcalc-fuzz-"))
    try:
        for name, content in case.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        began = time.process_time()
        if case.fault:
            code, output, told, broken = run_with(case.fault, case.words, folder, chance)
        else:
            code, output, told = run_here(case.words, folder)
            broken = None
        wrong = problem(case, code, output, told, folder, time.process_time() - began)
        return code, wrong or (f"{case.fault}: {broken} is not as it would be" if broken else None)
    except TooLongError:
        return 1, f"goes on after {SECONDS} s"
    finally:
        os.chdir(ROOT)
        shutil.rmtree(folder, ignore_errors=True)


def run_here(words: list[str], folder: Path) -> tuple[int, str, str]:
    """Run a command line in this process."""
    from costcalc.cli import main

    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogatepass") for _ in range(2)]
    before = sys.stdin, sys.stdout, sys.stderr
    os.chdir(folder)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of its processor, whatever else the machine does
    try:
        sys.stdin, (sys.stdout, sys.stderr) = io.TextIOWrapper(io.BytesIO(b"{}")), streams
        code = main(words)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdin, sys.stdout, sys.stderr = before
    for stream in streams:
        stream.flush()
    output, told = (stream.buffer.getvalue().decode("utf-8", "surrogatepass") for stream in streams)  # type: ignore[attr-defined]
    return code, output, told


def case_of(given: argparse.Namespace, number: int) -> tuple[Case, random.Random]:
    """The case of a number, which is the same whenever it is asked for."""
    chance = random.Random(f"{given.seed}:{number}")
    makers = MAKERS if given.kind is None else {KINDS[given.kind]: 1}
    return chance.choices(list(makers), list(makers.values()))[0](chance), chance


def worker(given: argparse.Namespace, numbers: range, write: int) -> None:
    """Run cases in this process, each told in a line when it begins and when it is over."""

    def too_long(*_: object) -> None:
        raise TooLongError

    signal.signal(signal.SIGPROF, too_long)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    warnings.filterwarnings("default", category=ImportWarning)
    warnings.filterwarnings("default", category=ResourceWarning)
    with os.fdopen(write, "w") as told:
        for number in numbers:
            case, chance = case_of(given, number)
            print(json.dumps([number, case.kind]), file=told, flush=True)
            code, wrong = run(case, chance)
            print(json.dumps([number, case.kind, code, wrong]), file=told, flush=True)


def results(given: argparse.Namespace, numbers: range) -> Iterator[tuple[int, str, int, str | None]]:
    """Run cases in workers; one that kills its worker is a fault, and the next worker goes on behind it."""
    at, over, end = numbers.start, [0, ""], numbers.stop
    while at < end:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            status = 1
            try:
                worker(given, range(at, min(at + BATCH, end)), write)
                status = 0
            finally:
                os._exit(status)
        os.close(write)
        with os.fdopen(read) as told:
            for text in told:
                over = json.loads(text)
                if len(over) == 4:
                    at = over[0] + 1
                    yield tuple(over)
        if os.waitpid(child, 0)[1]:
            yield at, str(over[1]), 1, "the worker died"
            at += 1


def main() -> int:
    """Run the campaign; return 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--kind", choices=KINDS, help="one class of cases alone")
    parser.add_argument("--case", type=int, help="show one case, and run it")
    given = parser.parse_args()
    os.environ |= {"COSTCALC_CATALOG": "", "XDG_CONFIG_HOME": "/nonexistent"}
    commands(), tables(), [trees(each) for each in ("models", "hardware_profiles", "hardware_profiles/efficiency")]
    if given.case is not None:
        case, _ = case_of(given, given.case)
        print(f"{case.kind} {case.fault}: {case.words}")
        for name, content in case.files.items():
            Path(tempfile.gettempdir(), "costcalc-fuzz", name).parent.mkdir(parents=True, exist_ok=True)
            Path(tempfile.gettempdir(), "costcalc-fuzz", name).write_bytes(content)
    numbers = range(given.count) if given.case is None else range(given.case, given.case + 1)
    again = f"--seed {given.seed}{f' --kind {given.kind}' if given.kind else ''}"
    tried, refused, wrong, began = Counter[str](), Counter[str](), Counter[str](), time.monotonic()
    for number, kind, code, what in results(given, numbers):
        tried[kind] += 1
        refused[kind] += code == 2
        if what:
            wrong[kind] += 1
            print(f"{again} --case {number} ({kind}): {what.splitlines()[0]}", flush=True)
        if time.monotonic() - began > given.seconds:
            break
    print("\n| class | tried | refused | faults |\n| :-- | --: | --: | --: |")
    for kind in sorted(tried):
        print(f"| {kind} | {tried[kind]:,} | {refused[kind]:,} | {wrong[kind]:,} |")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
