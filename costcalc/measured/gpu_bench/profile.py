"""From a machine's measurements to its hardware profile: what it reached of the data sheet and of expectations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from costcalc.measured.gpu_bench.bench import Measured
from costcalc.measured.load import Row
from costcalc.measured.scoring import Scored, score
from costcalc.numbertypes import number_type
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.efficiency import KernelEfficiency
from costcalc.specs.measured import MeasuredEfficiency, Reached

FEW_ROWS, MANY_ROWS = 64, 4096
LARGE_CACHE = 2**28
"""Caches that are read for long enough that launches do not count [B]."""
FASTEST = 1.0
"""A share above the data sheet is a cache at work or a sheet out of date; it is written as all of it."""


def machine_efficiency(
    measured: Measured, gpu: Accelerator, shipped: KernelEfficiency, *, date: str
) -> MeasuredEfficiency:
    """Return what a GPU reached, beside what the shipped fit expects of it.

    measured: its rows. gpu: its profile. shipped: the fit. date: of today.
    """
    products = _counted(score("gemm", measured.gemm, shipped))
    decodes = _counted(score("decode_attention", measured.decode_attention, shipped))
    few = [row for row in products if row["m"] <= FEW_ROWS and _compute(row) in ("bf16", "fp16")]
    large = [row for row in decodes if _cache_bytes(row) >= LARGE_CACHE] or decodes
    many: dict[str, list[Scored]] = {}
    for row in products:
        if row["m"] >= MANY_ROWS:
            many.setdefault(_compute(row), []).append(row)
    copy = measured.copy_bandwidth
    return MeasuredEfficiency(
        bandwidth=None if copy is None else _share(copy / gpu.memory_bandwidth),
        weights=_reached(few),
        attention=_reached(large),
        flops={name: found for name, rows in many.items() if (found := _reached(rows))},
        points=max(len(products) + len(decodes), 1),
        source="costcalc calibrate, on the machine itself",
        date=date,
    )


def with_efficiency(profile: str, efficiency: MeasuredEfficiency) -> str:
    """Return the text of a hardware profile with what was measured, in place of an earlier measurement.

    profile: the text of the YAML file.
    """
    kept = re.sub(r"(?m)^efficiency:.*\n?(?:^(?:[ \t].*|)\n)*", "", profile.rstrip() + "\n")
    lines = [kept.rstrip(), "efficiency:"]
    for name, value in asdict(efficiency).items():
        if value not in (None, {}):
            lines.append(f"  {name}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _counted(rows: Sequence[Scored]) -> list[Scored]:
    return [row for row in rows if not row["excluded"]]


def _compute(row: Row) -> str:
    return number_type(row["dtype"]).compute


def _cache_bytes(row: Row) -> float:
    return float(4 * row["batch"] * row["context"] * row["kv_heads"] * row["head_dim"])


def _reached(rows: Sequence[Scored]) -> Reached | None:
    """The roofline's time over the measured one, and the expected over the measured; None without rows."""
    if not rows:
        return None
    measured = np.array([row["ms"] for row in rows])
    ideal, expected = (np.array([row[name] for row in rows]) for name in ("ideal", "predicted"))
    return Reached(
        share=_share(float(np.median(ideal / measured))), speed=round(float(np.median(expected / measured)), 3)
    )


def _share(value: float) -> float:
    return round(min(value, FASTEST), 3)


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(each)}" for name, each in value.items()) + "}"
    return f"'{value}'" if isinstance(value, str) else str(value)
