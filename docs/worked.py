"""docs/frontier.md: a frontier worked through, from what the commands print."""

from __future__ import annotations

import io
import shlex
from contextlib import redirect_stdout

from costcalc.cli import main as costcalc

FRONTIER = "costcalc frontier --model gpt-oss-120b --gpu h100,h200,mi300x --tpot 40ms --ttft 1s --max-gpus 8"

PAGE = """\
# A frontier, worked through

Which GPU, layout and batch should gpt-oss-120b run with? That depends on how fast it has to be for a user: more users
at once are cheaper, and slower for each of them. `costcalc estimate` answers one point, and `costcalc frontier` all of
them: every layout and batch of every GPU, what no other beats, and what nobody could tell from it.

```sh
{command}
```

```text
{shown}
```

![Tokens/s per GPU and dollars against tokens/s per user, with their ranges](images/frontier-gpt-oss.svg)

The chart is drawn by `--chart frontier.svg`; `--plot` draws it in the terminal.

## How to read it

- **A row is a set**: its fastest point, and to the right other layouts and GPUs that are as good, as far as the ranges
  can tell. The last row is the cheapest point of the last set. `--format csv` and `--format json`
  ([schema](schemas/frontier.json)) have every point.
- **On the frontier** is what no other configuration of its model beats: none that is at least as fast for a user serves
  more tokens/s per GPU, or none costs less. There are two frontiers, since GPUs have prices: `GPU` and `$` say on which
  one a point is, where it is not on both. Each model has frontiers of its own.
- **Dollars** are of all GPU time, prompts included, by the mix of tokens asked for. Every GPU is charged the
  default that every command charges, and a note says where these differ in kind or year.
- **Every point is an estimate.** Its command gives the same numbers to the last bit, with formulas on `--explain`:

```sh
{first}
```

## What cannot be told apart

A prediction has a range, because measurements scatter around it. Two predictions have part of that error in common: if
the model of H100s is 10% too slow, it is so for all of their layouts. Two points are one set where each of their
numbers differs by less than both ranges joined in quadrature, √(a² + b²) of their half widths in logarithms; of one
GPU, format, engine and kind of pools, by less than three quarters of that. The three quarters are measured: of pairs of
measured times per output token on one GPU, at other batches or layouts, 8 of 10 differ from the ratio predicted by less
than 0.74 of both ranges, and of pairs on different GPUs by less than 1.03. So errors of one GPU have less in common
than one might hope, and what a point has ahead of another of its set is no reason to prefer it: take the one with fewer
GPUs, or the one that you have. Of the bound, `--efficiency ideal`, there are no ranges, and every difference counts.

## Wider, narrower

- `--gpu all` asks every accelerator of the catalog, with as many as the model takes. `--max-gpus` bounds a deployment;
  `8xh100`, `--gpus` or degrees fix it. `--batch 1:256:x2` weighs those batches alone.
- `--weights fp8,nvfp4`, `--kv`, `--activations`, `--backend vllm,sglang`, `--tuning`, `--drafts` and `--gpus` take
  several values, and `--pools both` weighs prefill on GPUs of their own too: as many as keep decode busy, which may be
  a part of one, as a fleet shares them.
- `--tpot` and `--ttft` leave out what takes longer.
"""


def frontier_page() -> str:
    """Return the page."""
    shown = io.StringIO()
    with redirect_stdout(shown):
        costcalc(shlex.split(FRONTIER)[1:])
    text = shown.getvalue().rstrip()
    first = next(line.strip() for line in text.splitlines() if "costcalc estimate" in line).partition("  ")[2]
    return PAGE.format(command=FRONTIER, shown=text, first=f"{first} --explain")
