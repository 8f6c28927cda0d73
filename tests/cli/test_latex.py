"""Tables in LaTeX, compiled by pdflatex into an article with nothing but booktabs."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from costcalc.cli import main

pytestmark = pytest.mark.skipif(
    shutil.which("pdflatex") is None
    or not subprocess.run(["kpsewhich", "booktabs.sty"], capture_output=True, check=False).stdout,
    reason="there is no pdflatex with booktabs here",
)

ARTICLE = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
\input{table}
\end{document}
"""
WIDER = 15.0
"""Points of a line that may stick out of the text: less than two letters."""


@pytest.mark.parametrize(
    "line",
    [
        "compare attention -m v3 -g h100",
        "compare attention -m v3 -g h100 --contexts 4k,64k --variants mla,mla:256,gqa:8,window:4k/6,dsa:2048,kda:3/4",
        "compare gpus h100 b200 mi300x -m gpt-oss-120b",
        "compare models qwen3-32b gpt-oss-120b -g 1xh200",
        "estimate -m v3 -g h100 --explain",
        "sweep -m llama-3.1-8b -g 1xh100 --batch 1,8,64 --context 4k,32k",
        "frontier -m llama-3.1-70b -g h100",
        "breakeven -m v3 -g h100",
        "sensitivity -m v3 -g h100",
        "capacity --max model -g rtx-4090",
        "train -m llama-3.1-70b -g 2048xh100 --tokens 15T",
        "models qwen",
        "gpus list",
        "plan -m llama-3.1-8b -g h100 --demand 20rps --ttft 2s",
        "diff '-m v3 -g h100' '-m v3 -g b200'",
        "models show v3",
        "gpus amd",
        "gpus show h100",
        "gpus own h100",
        *(f"compare gpus h100 b200 -m v3 --currency {code}=2" for code in ("EUR", "GBP", "JPY", "INR", "KRW")),
    ],
)
def test_tables_compile_and_fit_the_page(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(line), "-o", "table.tex"]) == 0
    (tmp_path / "article.tex").write_text(ARTICLE, encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "article.tex"]
    subprocess.run(command, capture_output=True, timeout=120, check=False)  # labels are known from the second time on
    run = subprocess.run(command, capture_output=True, timeout=120, check=False)
    log = run.stdout.decode(errors="replace")
    assert run.returncode == 0 and (tmp_path / "article.pdf").stat().st_size > 1000, log[-2000:]
    assert "Missing character" not in log and "Undefined control sequence" not in log
    assert "Float too large" not in log and "multiply defined" not in log and "undefined" not in log
    wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([\d.]+)pt too wide\)", log)]
    assert max(wide, default=0.0) <= WIDER
    assert "U+" not in (tmp_path / "table.tex").read_text(encoding="utf-8")  # how a sign without a name is told
