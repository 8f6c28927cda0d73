"""The gallery: every chart of costcalc, by the command that draws it."""

from __future__ import annotations

import io
import shlex
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

from worked import FRONTIER

from costcalc.cli import main as costcalc


class Picture(NamedTuple):
    """A chart: its file in images/, what it answers, and its command."""

    file: str
    title: str
    command: str
    kept: bool = False  # in the repository; the others are drawn when the site is built

    def draw(self, folder: Path) -> Path:
        """Draw it into a folder; return the file. Raises RuntimeError where its command fails."""
        path = folder / self.file
        with redirect_stdout(io.StringIO()):
            if costcalc([*shlex.split(self.command)[1:], "--chart", str(path)]):
                raise RuntimeError(f"{self.command} failed")
        return path


PICTURES = (
    Picture("estimate-v3.svg", "Where a step's time goes", "costcalc estimate --model v3 --gpu h100", kept=True),
    Picture(
        "attention-v3.svg",
        "Attention variants in dollars",
        "costcalc compare attention --model v3 --gpu h100 --contexts 4k,128k",
        kept=True,
    ),
    Picture(
        "memory-v3.svg",
        "What fits a GPU's memory, and how many users",
        "costcalc estimate --model v3 --gpu h200 --chart-kind memory",
        kept=True,
    ),
    Picture(
        "load-8b.svg",
        "Percentiles against load",
        "costcalc simulate -m llama-3.1-8b -g 1xh100 --demand 25rps --input 1000 --output-tokens 200 "
        "--ttft 2s --tpot 50ms --chart-kind load",
        kept=True,
    ),
    Picture("frontier-gpt-oss.svg", "Every GPU, layout and batch", FRONTIER, kept=True),
    Picture(
        "gpus-gpt-oss.svg", "GPUs side by side", "costcalc compare gpus h100 h200 b200 mi300x --model gpt-oss-120b"
    ),
    Picture(
        "models-h200.svg",
        "Models side by side",
        "costcalc compare models qwen3-32b gpt-oss-120b llama-3.1-8b --gpu 1xh200",
    ),
    Picture(
        "capacity-4090.svg",
        "What fits a card, at how many bits",
        "costcalc capacity --max bits -m qwen3-32b -g rtx-4090 --backend llamacpp",
    ),
    Picture("sweep-batch.svg", "Speed and cost by batch", "costcalc sweep -m llama-3.1-8b -g 1xh100 --batch 1:256:x2"),
    Picture("sensitivity-v3.svg", "What moves the cost most", "costcalc sensitivity --model v3 --gpu h100"),
    Picture("breakeven-v3.svg", "Own GPUs, or an API", "costcalc breakeven --model v3 --gpu h100"),
    Picture("diff-v3.svg", "Why two answers differ", "costcalc diff '-m v3 -g h100' '-m v3 -g h200 --tuning tuned'"),
    Picture(
        "simulate-8b.svg",
        "What users wait under real traffic",
        "costcalc simulate -m llama-3.1-8b -g 1xh100 --demand 6rps --input 1000 --output 200 --requests 2000",
    ),
    Picture(
        "plan-8b.svg",
        "What to run, and how many",
        "costcalc plan -m llama-3.1-8b -g h100,l40s --demand 5rps --ttft p95=2s",
    ),
)


def gallery_page(*, drawn: bool = False) -> str:
    """Return docs/gallery.md; drawn: whether every chart is there, as when the site is built."""
    parts = [INTRODUCTION]
    for each in PICTURES:
        shown = f"\n![{each.title}](images/{each.file})\n" if each.kept or drawn else ""
        parts.append(f"## {each.title}\n\n```sh\n{each.command} --chart {each.file}\n```\n{shown}")
    return "\n".join(parts)


INTRODUCTION = """# Gallery

<!-- Made by docs/gallery.py: change that, then run docs/generate.py. -->

Every question draws its answer with `--chart FILE`, as SVG, PNG or PDF, and with `--plot` in the terminal; in Python
`.chart()` does. `--chart-kind` draws one of the panels alone. The site, which `mkdocs build` makes, shows all of them.
"""
