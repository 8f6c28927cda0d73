"""What a machine reached, from measurements of its kernels: of the data sheet, and of what is expected of it.

The constants of estimates are scaled by it (engine.measured), class by class: products of few rows and of many,
experts, attention of decode and of prefill, large and small messages between GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.formats import COMPUTE_PRECISIONS
from costcalc.measured.gpus import find_gpu
from costcalc.measured.load import Measurements, Row
from costcalc.measured.own import names_of
from costcalc.measured.scoring import Scored, score
from costcalc.numbertypes import number_type
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.efficiency import KernelEfficiency
from costcalc.specs.measured import MeasuredEfficiency, Reached

MANY_ROWS = 4096
MEMORY_BOUND, COMPUTE_BOUND = 0.5, 0.999
"""Arithmetic over the roofline: below one, memory decides alone; above the other, arithmetic does."""
LARGE_CACHE = 2**28
"""Caches that are read for long enough that launches do not count [B]."""
LARGE_MESSAGE, SMALL_MESSAGE = 0.4, 0.2
"""Time of the bytes at the peak of the links over the predicted one: above, bandwidth decides; below, latency."""
FASTEST, SLOWEST = 1.0, 1e-4
"""A share above the data sheet is a cache at work or a sheet out of date; it is written as all of it."""
FASTER, SLOWER = 10.0, 0.01
"""Speeds beyond are written as these."""


def machine_efficiency(
    rows: Mapping[str, Sequence[Row]],
    gpu: Accelerator,
    shipped: KernelEfficiency,
    *,
    source: str,
    date: str,
    copy_bandwidth: float | None = None,
) -> MeasuredEfficiency | None:
    """Return what a GPU reached, beside what the shipped fit expects of it; None where no row tells.

    rows: of this GPU alone, by kind of measurement. gpu: its profile. shipped: the fit. source: where the rows
    come from. date: of today. copy_bandwidth: of large copies [B/s].
    """
    scored = {kind: [row for row in score(kind, each, shipped) if not row["excluded"]] for kind, each in rows.items()}
    products, messages = scored.get("gemm", []), [row for row in scored.get("comm", []) if not row["warning"]]
    found: dict[str, Any] = {
        "bandwidth": None if copy_bandwidth is None else _share(copy_bandwidth / gpu.memory_bandwidth),
        "weights": _reached(_few_rows(products, gpu)),
        "experts": _reached(scored.get("moe", [])),
        "attention": _reached(_long_caches(scored.get("decode_attention", []), gpu)),
        "prefill": _reached(scored.get("prefill_attention", [])),
        "flops": _many_rows(products, gpu),
        "links": _reached([row for row in messages if row["ideal"] >= LARGE_MESSAGE * row["predicted"]]),
        "latency": _speed([row for row in messages if row["ideal"] <= SMALL_MESSAGE * row["predicted"]]),
    }
    if not any(found.values()):
        return None
    points = max(sum(map(len, scored.values())), 1)
    return MeasuredEfficiency(**found, points=points, source=source, date=date)


def reached_by_gpu(
    files: Sequence[Measurements], shipped: KernelEfficiency, *, date: str
) -> dict[str, MeasuredEfficiency]:
    """Return what every GPU of files of kernel measurements reached, by its name in the catalog.

    files: the measurements. shipped: the fit to compare with. date: of today.
    """
    rows: dict[str, dict[str, list[Row]]] = {}
    for file in files:
        for row in file.rows:
            try:
                name, _ = find_gpu(str(row["gpu"]))
            except CostcalcError:
                continue  # named among the rows that are left out
            rows.setdefault(name, {}).setdefault(file.kind, []).append(row)
    source = names_of(files)
    found = {
        name: machine_efficiency(kinds, find_gpu(name)[1], shipped, source=source, date=date)
        for name, kinds in rows.items()
    }
    return {name: each for name, each in found.items() if each is not None}


def merged(new: MeasuredEfficiency, before: MeasuredEfficiency | None) -> MeasuredEfficiency:
    """Return what was measured now, with what an earlier measurement found of other classes of kernels."""
    if before is None:
        return new
    classes = [each.name for each in fields(new) if each.name not in ("flops", "points", "source", "date")]
    kept = {name: value for name in classes if (value := getattr(before, name)) and not getattr(new, name)}
    flops = {**before.flops, **new.flops}
    if not kept and len(flops) == len(new.flops):
        return new
    now, then = new.source.split(", "), before.source.split(", ")
    points = before.points if set(now) <= set(then) else new.points + before.points
    return replace(new, **kept, flops=flops, points=points, source=", ".join(dict.fromkeys([*now, *then])))


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


def _few_rows(products: Sequence[Scored], gpu: Accelerator) -> list[Scored]:
    """Products that memory decides: in 16 bits where there are any, which nothing is quantized for."""
    found = [row for row in products if _arithmetic(row, gpu) < MEMORY_BOUND]
    return [row for row in found if _is_wide(row)] or found


def _many_rows(products: Sequence[Scored], gpu: Accelerator) -> dict[str, Reached]:
    """Products that arithmetic decides, by the precision computed in: the largest, and those of wide weights."""
    by_precision: dict[str, list[Scored]] = {}
    for row in products:
        if _arithmetic(row, gpu) >= COMPUTE_BOUND:
            by_precision.setdefault(number_type(row["dtype"]).compute, []).append(row)
    found = {}
    for name, rows in by_precision.items():
        if name in ("bf16", "fp16"):
            rows = [row for row in rows if _is_wide(row)] or rows
        reached = _reached([row for row in rows if row["m"] >= MANY_ROWS] or rows)
        if reached is not None and name in COMPUTE_PRECISIONS:
            found[name] = reached
    return found


def _long_caches(decodes: Sequence[Scored], gpu: Accelerator) -> list[Scored]:
    long = [row for row in decodes if row["ideal"] * 1e-3 * gpu.memory_bandwidth >= LARGE_CACHE]
    return long or list(decodes)


def _is_wide(row: Row) -> bool:
    return number_type(row["dtype"]).weights.bytes == 2


def _arithmetic(row: Scored, gpu: Accelerator) -> float:
    """Time of a product's arithmetic at the peak over its roofline."""
    seconds = 2 * row["m"] * row["n"] * row["k"] / gpu.peak(number_type(row["dtype"]).compute).flops
    return float(seconds / (row["ideal"] * 1e-3))


def _reached(rows: Sequence[Scored]) -> Reached | None:
    """The roofline's time over the measured one, and the expected over the measured; None without rows."""
    speed = _speed(rows)
    if speed is None:
        return None
    return Reached(share=_share(float(np.median([row["ideal"] / row["ms"] for row in rows]))), speed=speed)


def _speed(rows: Sequence[Scored]) -> float | None:
    if not rows:
        return None
    speed = float(np.median([row["predicted"] / row["ms"] for row in rows]))
    return round(min(max(speed, SLOWER), FASTER), 3)


def _share(value: float) -> float:
    return float(f"{min(max(value, SLOWEST), FASTEST):.3g}")


def _flow(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_flow(each)}" for name, each in value.items()) + "}"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
