"""What sweeps take, as ratios to one estimate and to numpy: python benchmarks/sweep.py

CPU time of one core, all in turn, several times, and the least of each stands. Reading the model and the GPU is done
before; every number of every cell is read, ranges and dollars included. numpy's time is that of one multiply-add on an
array of as many cells. Memory is the most that a process of its own takes for a million cells.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import costcalc

ROUNDS = 5
MODELS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dense": ("llama-3.1-70b", "h100", {"gpus": 8, "tensor_parallel": [1, 2, 4, 8]}),
    "MLA, experts": ("v3", "h200", {"gpus": 16, "expert_parallel": [2, 4, 8, 16]}),
}
SMALL = {"batch": np.arange(1, 11), "context": np.linspace(1_000, 100_000, 10)}
PLAIN = {"batch": np.arange(1, 101), "context": np.linspace(1_000, 100_000, 100)}
MILLION = {"batch": np.arange(1, 51), "context": np.linspace(1_000, 100_000, 100), "price": np.linspace(1, 5, 50)}
WIDE = {"batch": np.arange(1, 501), "context": np.linspace(1_000, 100_000, 500)}
"""A million cells, too, in which nothing but the degrees is shared."""

SECONDS, MEGABYTES = 1.0, 400.0
"""Limits of a million cells."""
ESTIMATES = {"100 cells": 2.0, "10,000 cells": 2.0, "a million cells": 20.0, "a million, no prices": 100.0}
"""Limits of each grid, over one estimate."""
MULTIPLY_ADDS = 250.0
"""Limit of a million cells of which some are prices, over a multiply-add: 60 numbers of a cell."""


def cpu_seconds(call: Callable[[], object]) -> float:
    """Return the CPU time of one call [s]."""
    before = time.process_time()
    call()
    return time.process_time() - before


def answered(model: Any, gpu: Any, **grid: Any) -> None:
    """Sweep a grid, and make every number of every cell, one array after the other."""
    sweep = costcalc.sweep(model, gpu, **grid)
    for path in sweep.values:
        np.ascontiguousarray(sweep.values[path])


def checked(name: str, value: float, limit: float, unit: str) -> bool:
    """Print a figure beside its limit; return whether it is above."""
    above = value > limit
    print(f"  {name:44} {value:8.2f} {unit}, at most {limit:g}: {'ABOVE' if above else 'ok'}")
    return above


def peak_megabytes(kind: str) -> float:
    """Return the most memory that a process of its own takes for a million cells [MB]."""
    told = subprocess.run([sys.executable, __file__, kind], check=True, capture_output=True, text=True)
    return float(told.stdout)


def measured(kind: str) -> None:
    """Print the most memory of this process [MB] after a million cells."""
    model, gpu, degrees = MODELS[kind]
    answered(model, gpu, **degrees, **MILLION)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3))


def main() -> int:
    """Print the figures; return 1 when any is above its limit."""
    above = False
    million = np.random.default_rng(1).random(1_000_000)
    for kind, (model, gpu, degrees) in MODELS.items():
        known = costcalc.load_model(model), costcalc.load_gpu(gpu)
        one_layout = {name: values[-1] if isinstance(values, list) else values for name, values in degrees.items()}
        grids = {
            "100 cells": SMALL,
            "10,000 cells": {**one_layout, **PLAIN},
            "a million cells": {**degrees, **MILLION},
            "a million, no prices": {**degrees, **WIDE},
        }
        calls: dict[str, Callable[[], object]] = {
            "one": partial(costcalc.estimate, *known),
            "add": lambda: million * 1.5 + 2.5,
            **{name: partial(answered, *known, **grid) for name, grid in grids.items()},
        }
        times = dict.fromkeys(calls, np.inf)
        for _ in range(ROUNDS):
            times = {name: min(times[name], cpu_seconds(call)) for name, call in calls.items()}
        one, add = times["one"], times["add"]
        print(f"{kind} ({model} on {gpu}): one estimate {one * 1e3:.1f} ms, a million multiply-adds {add * 1e3:.2f} ms")
        for name, limit in ESTIMATES.items():
            above |= checked(f"{name}, {times[name] * 1e3:,.0f} ms", times[name] / one, limit, "x one estimate")
        above |= checked("a million cells", times["a million cells"] / add, MULTIPLY_ADDS, "x a multiply-add")
        for name in ("a million cells", "a million, no prices"):
            above |= checked(name, times[name], SECONDS, "s")
        above |= checked("a million cells", peak_megabytes(kind), MEGABYTES, "MB")
    return int(above)


if __name__ == "__main__":
    sys.exit(measured(sys.argv[1]) if len(sys.argv) > 1 else main())
