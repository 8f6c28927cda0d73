"""What a GPU draws: a share of its limit at rest, and what moving bytes and multiplying add to it.

    P / limit = min(1, static + memory · (bytes/s / bandwidth) + compute · Σ (FLOP/s / peak of its precision))

After Choi, Bedard, Fowler and Vuduc, A roofline model of energy (IPDPS 2013), eq. 2, with the board's limit on top.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from costcalc.engine.latency.op_times import OpTime
from costcalc.engine.step import Step
from costcalc.fields import Number, Record, total


class Use(Record):
    """What a pass uses of a GPU's rates, averaged over its time: shares of them."""

    memory: Number
    compute: Number


def use_of(step: Step, bandwidth: Number, peak: Callable[[str], float]) -> Use:
    """Return what a pass uses of a GPU.

    bandwidth: of its memory [B/s]. peak: of a precision [FLOP/s].
    """
    ops: list[OpTime] = [*step.ops, *([step.drafting] if step.drafting else [])]
    moved = total(op.bytes for op in ops if not op.communicates)
    worked = total(op.flops / peak(op.precision) for op in ops if np.any(np.asarray(op.flops) > 0))
    return Use(moved / bandwidth / step.seconds, worked / step.seconds)


def share_of_limit(use: Use, static: float, memory: float, compute: float) -> Number:
    """Return what a GPU draws of its limit in a pass [0 to 1].

    static, memory, compute: shares of the limit at rest, at the whole bandwidth and at the whole peak.
    """
    return np.minimum(static + memory * use.memory + compute * use.compute, 1.0)
