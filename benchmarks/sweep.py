"""How long a sweep of 10,000 cells takes, as a ratio to one estimate: python benchmarks/sweep.py

CPU time in this process, both in turn, several times, and the least of each stands. What they share, reading the
model and the GPU, is done before.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

import numpy as np

import costcalc

ROUNDS = 9
MOST = 10.0
BATCHES, CONTEXTS = np.arange(1, 101), np.linspace(1_000, 100_000, 100)


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call [s]."""
    before = time.process_time()
    call()
    return time.process_time() - before


def main() -> int:
    """Print the ratio; return 1 when it is above its limit."""
    model, gpu = costcalc.load_model("v3"), costcalc.load_gpu("h200")

    def one() -> object:
        return costcalc.estimate(model, gpu, gpus=16)

    def many() -> object:
        return costcalc.sweep(model, gpu, gpus=16, batch=BATCHES, context=CONTEXTS)

    one(), many()
    times = [(cpu_seconds(one), cpu_seconds(many)) for _ in range(ROUNDS)]
    single, swept = (min(each) for each in zip(*times, strict=True))
    cells = len(BATCHES) * len(CONTEXTS)
    slow = swept > MOST * single
    print(f"one estimate                {single * 1e3:6.1f} ms")
    print(f"a sweep of {cells:,} cells   {swept * 1e3:6.1f} ms  {swept / single:5.2f} x one estimate", end="")
    print(f", at most {MOST:g}: {'TOO SLOW' if slow else 'ok'};  {swept / cells * 1e6:.2f} us a cell")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
