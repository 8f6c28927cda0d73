"""How long a frontier of 20 models on 35 GPUs takes, as a ratio to one estimate: python benchmarks/frontier.py

CPU time in this process, the least of several rounds. Reading the models and the GPUs is done before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import costcalc

ROUNDS = 3
MOST = 700.0
"""Estimates that the frontier may take: one for each model on each GPU."""
MODELS = (
    "llama-3.1-8b", "llama-3.1-70b", "llama-3.1-405b", "qwen3-32b", "qwen3-8b", "qwen3-235b-a22b", "gpt-oss-120b",
    "gpt-oss-20b", "v3", "mixtral-8x7b", "gemma-3-27b", "qwen2.5-72b", "phi-4", "mistral-7b", "llama-4-maverick",
    "kimi-k2", "glm-4.5", "minimax-m2", "qwen3-30b-a3b", "deepseek-v2-lite",
)  # fmt: skip
GPUS = (
    "h100-sxm", "h200-sxm", "b200-sxm", "b300-sxm", "gb200-nvl72", "gb300-nvl72", "a100-80gb-sxm",
    "a100-40gb-sxm", "mi300x", "mi325x", "mi355x", "mi350x", "l40s", "l40", "l4", "a10", "a10g", "a40",
    "rtx-4090", "rtx-5090", "rtx-3090", "rtx-pro-6000", "rtx-6000-ada", "rtx-a6000", "h100-pcie", "h100-nvl",
    "h20", "gh200", "tpu-v5e", "tpu-v5p", "tpu-v6e", "tpu-v7x", "trainium2", "gaudi3", "v100-32gb",
)  # fmt: skip


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call [s]."""
    before = time.process_time()
    call()
    return time.process_time() - before


def main() -> int:
    """Print the ratio; return 1 when it is above its limit."""
    catalog = costcalc.Catalog()

    def one() -> object:
        return costcalc.estimate("v3", "h200", gpus=16, catalog=catalog)

    def many() -> costcalc.Frontier:
        return costcalc.frontier(MODELS, GPUS, catalog=catalog)

    cells, _ = many().cells, one()
    single = min(cpu_seconds(one) for _ in range(3 * ROUNDS))
    whole = min(cpu_seconds(many) for _ in range(ROUNDS))
    slow = whole > MOST * single
    print(f"one estimate                                  {single * 1e3:7.1f} ms")
    print(f"{len(MODELS)} models on {len(GPUS)} GPUs, {cells:,} configurations  {whole:7.1f} s ", end="")
    print(f"{whole / single:6.0f} x one estimate, at most {MOST:g}: {'TOO SLOW' if slow else 'ok'}", end="")
    print(f";  {whole / cells * 1e6:.1f} us a configuration")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
