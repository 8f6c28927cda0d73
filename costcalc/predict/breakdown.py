"""Where a decode step's time goes, op by op, and what bounds it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from costcalc.engine.latency.op_times import OpTime
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.step import Step
from costcalc.fields import Array, Number, total
from costcalc.predict.results import OpResult

OVERHEAD = "overhead"
BOUNDS = ("memory", "compute", "communication", OVERHEAD)


def breakdown_of(step: Step, layout: Parallelism) -> tuple[OpResult, ...]:
    """Ops of a step, equal names joined, longest first: work that all GPUs of a replica do, time on the busiest GPU.

    Of all-to-all, only what does not hide behind the other ops counts as time.
    """
    names: dict[str, list[OpTime]] = {}
    for op in _all_ops(step):
        names.setdefault(op.op, []).append(op)
    # Every stage runs its layers on `stage` GPUs, once for each micro-batch in flight.
    copies = float(layout.stage * layout.pp)
    shown = 1.0 - hidden_share(step)
    rows = [
        OpResult(
            name,
            flops=copies * total(float(op.flops) for op in ops),
            bytes=copies * total(float(op.bytes) for op in ops),
            time_s=total(float(op.seconds) * (shown if op.kind == "all_to_all" else 1.0) for op in ops),
            bound_by=_bound(ops),
        )
        for name, ops in names.items()
    ]
    rows = [row for row in rows if row.time_s > 0]
    overhead = float(step.overhead_seconds)
    if overhead > 0:
        rows.append(OpResult("engine overhead", 0.0, 0.0, overhead, OVERHEAD))
    if (waiting := float(step.waiting_seconds)) > 0:
        rows.append(OpResult("waiting for the host", 0.0, 0.0, waiting, OVERHEAD))
    if (ageing := float(step.ageing_seconds)) > 0:
        rows.append(OpResult("older engine", 0.0, 0.0, ageing, OVERHEAD))
    return tuple(sorted(rows, key=lambda row: -row.time_s))


def _all_ops(step: Step) -> tuple[OpTime, ...]:
    return (*step.ops, step.drafting) if step.drafting else step.ops


def hidden_share(step: Step) -> float:
    """Share of a step's all-to-all that hides behind its other ops."""
    sent = float(step.hidden.sent)
    return float(step.hidden_seconds) / sent if sent else 0.0


def step_bound(step: Step) -> str:
    """What most of the time of one step, not of an array of them, is spent on."""
    return BOUNDS[int(step_bounds(step))]


def step_bounds(step: Step) -> Array:
    """What most of a step's time is spent on, at every cell: its place among BOUNDS."""
    totals: dict[str, Number] = dict.fromkeys(BOUNDS, 0.0)
    totals[OVERHEAD] = step.overhead_seconds + step.waiting_seconds + step.ageing_seconds
    for op in _all_ops(step):
        if op.communicates:
            totals["communication"] = totals["communication"] + op.seconds
        else:
            of_memory = np.asarray(op.memory_seconds >= op.compute_seconds)
            totals["memory"] = totals["memory"] + np.where(of_memory, op.seconds, 0.0)
            totals["compute"] = totals["compute"] + np.where(of_memory, 0.0, op.seconds)
    totals["communication"] = totals["communication"] - step.hidden_seconds
    stacked = np.stack(np.broadcast_arrays(*totals.values()))
    return np.argmax(stacked, axis=0)


def _bound(ops: Iterable[OpTime]) -> str:
    ops = list(ops)
    if ops[0].communicates:
        return "communication"
    memory = total(float(op.memory_seconds) for op in ops)
    return "memory" if memory >= total(float(op.compute_seconds) for op in ops) else "compute"
