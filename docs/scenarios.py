"""docs/scenarios.md: questions in a file, what changed between two of them, a limit and defaults; of real output."""

from __future__ import annotations

import io
import os
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from costcalc.cli import main as costcalc

SCENARIO = """\
# yaml-language-server: $schema=scenario.schema.json
model: v3
gpu: 16xh100
context: 8k
questions:
  today:
  tuned:
    tuning: tuned
    disaggregated: true
  cards:
    command: compare gpus
    names: [16xh100, 16xh200, 8xb200]
  batches:
    command: sweep
    batch: [1, 8, 64]
    output: batches.csv
"""

PAGE = """\
# Scenarios: questions in a file

What is asked every week stands in a file, under version control, and is asked by one command:

```yaml
{scenario}```

{asked}

- **Keys** are the options of the command line by their names, without `--`: `tensor_parallel`, `tensor-parallel` and
  `tp` are one. `null` takes a default back, a list is several values, and `set` takes `gpu.memory: 96 GB`.
- **`command`** is `estimate` where none is given, or any other that asks something of deployments. The models or GPUs
  that `compare` takes are its `names`. Today there are
  {commands}.
- **At the top** stands what all questions share. A question's own options go first, and what its command does not know,
  such as `max_gpus` of `frontier`, is meant for others. Without `questions` a file is one question.
- **Files** that are read (`model: mine.yaml`, `trace`, `catalog`) are named from the scenario's folder, so that it may
  be moved with them. Files that are written (`output`, `chart`) are named from the current folder, as on the command
  line.
- **All or nothing**: a mistake in one question is one line with its place in the file, and nothing is shown or written.
- `--only NAME` asks one of them, which answers as its command would. `--format json` of several is
  `{{"questions": {{"today": ..., "tuned": ...}}}}`; in CSV the first column is the question.
- Editors complete and check the file by [its schema](schemas/scenario.json), which the first line names:
  `costcalc schema scenario > scenario.schema.json`.

## What changed, and how much of the difference it makes

`costcalc diff` sets two estimates against each other. A side is options as they are typed, a question of a scenario
(`scenario.yaml#tuned`), or an answer that was saved (`costcalc estimate ... -o saved.json`):

{diffed}

**An effect** is what a change adds in the mean of all orders in which the changes can be made: its Shapley value. So
effects add up to the difference, and none depends on which was made first. What is not given, such as the batch and the
layout, is chosen anew for every combination, as `estimate` chooses it: `--disaggregated` is worth what it is worth at
its own best batch. Orders that pass something that cannot be (it does not fit, options contradict each other) do not
count, and changes that only go together are one, joined by `+`. Up to eight changes take up to 256 estimates; more are
made one after the other, which is said.

**A saved estimate** is asked again by the `command` that its JSON holds. Where costcalc answers otherwise today,
because constants, prices or data sheets are others, that is a change of its own, `engine or catalog`.

`--of output` tells dollars of output tokens instead of the blend, `--of month` those of a month of a demand that both
sides have; `--chart waterfall.svg` draws the bars, and `--currency EUR=0.92` shows them in euros, whatever the sides
or your defaults ask for.

Two files of several questions (`costcalc diff before.yaml after.yaml`) are compared estimate by estimate: by their
names, or in their order where no name is common.

`--format json` ([schema](schemas/diff.json)) has `from`, `to` and the `changes` with their effects. In Python it is
`costcalc.diff({{"model": "v3", "gpu": "h100"}}, {{"model": "v3", "gpu": "h200", "batch": 64}})`.
"""

LIMIT = r"""
## A limit, for a pipeline

`--fail-above` shows the answer all the same, and ends with exit code 1 where a million tokens cost more: of all tokens
by their mix (blended), unless output or input is said, as in `'$2/M output'`. A cost that is not known is not kept
either. Of several rows the cheapest counts. In a scenario it is an option (`fail_above`), and `costcalc run`
takes it for all questions that have none of their own:

{limited}

[The commands](cli.md) list all exit codes.

## Defaults of your own

What is asked of the same model or GPU all day need not be typed. Every option of a question has a variable of its name,
`COSTCALC_GPU=8xh100`, `COSTCALC_TP=8` or `COSTCALC_TENSOR_PARALLEL=8`, `COSTCALC_DISAGGREGATED=1`, and `config.yaml` in
your configuration folder (`~/.config/costcalc`, or under `XDG_CONFIG_HOME`; `~/Library/Application Support/costcalc` on
a Mac, `%APPDATA%\costcalc` on Windows) has options by their names, as a scenario does:

```yaml
{own}```

What is typed, or stands in a scenario, goes before a variable, and that before the file. `costcalc config` says where
each value comes from:

{configured}

Answers list such values among their defaults, with the variable or the line, and a mistake in one is told with it.
Options that name files to write, and `--catalog`, have no default; `COSTCALC_CATALOG` names folders of a catalog, which
is [another matter](catalog.md#entries-of-your-own). Commands that ask nothing of deployments (`models`, `gpus`,
`validate`, ...) take none, and neither does `import costcalc`: a program gets what it passes.
"""

OWN = """\
gpu: 16xh100
price: 2.20
kv: fp8
"""


def scenarios_page() -> str:
    """Return the page."""
    from costcalc.cli.app import COMMANDS
    from costcalc.cli.lazy import questions

    commands = [f"`{name}`" for name, _ in questions(COMMANDS)]
    with _folder():
        Path("scenario.yaml").write_text(SCENARIO, encoding="utf-8")
        Path("costcalc").mkdir()
        Path("costcalc/config.yaml").write_text(OWN, encoding="utf-8")
        return (PAGE + LIMIT).format(
            scenario=SCENARIO,
            commands=", ".join(commands),
            asked=block("run scenario.yaml --only cards", end="\nNotes"),
            own=OWN,
            configured=_configured(),
            limited=block("run scenario.yaml --only today --only tuned --fail-above '$0.50/M'", last=1),
            diffed=block("diff scenario.yaml#today scenario.yaml#tuned"),
        )


def _configured() -> str:
    """What `costcalc config` prints with a file of one's own and a variable."""
    text = io.StringIO()
    set_before = {name: os.environ.get(name) for name in ("XDG_CONFIG_HOME", "APPDATA", "COSTCALC_GPU")}
    home = str(Path.cwd())
    os.environ |= {"XDG_CONFIG_HOME": home, "APPDATA": home, "COSTCALC_GPU": "8xh200"}
    try:
        with redirect_stdout(text):
            costcalc(["config"])
    finally:
        for name, value in set_before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    shown = text.getvalue().replace(home, "/home/you/.config")
    return f"```console\n$ cd ~/.config; COSTCALC_GPU=8xh200 costcalc config\n{shown.rstrip()}\n```"


@contextmanager
def _folder() -> Iterator[None]:
    """An empty folder to be in."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


def block(command: str, *, end: str = "", last: int | None = None) -> str:
    """Return a command and what it prints, as a block: up to a text, or the last lines alone."""
    shown, told = io.StringIO(), io.StringIO()
    with redirect_stdout(shown), redirect_stderr(told):
        costcalc(shlex.split(command))
    text = shown.getvalue().partition(end)[0] if end else shown.getvalue()
    lines = [each.rstrip() for each in f"{text.rstrip()}\n{told.getvalue()}".rstrip().splitlines()]
    kept = lines if last is None else ["...", *lines[-last:]]
    return "\n".join(["```console", f"$ costcalc {command}", *kept, "```"])
