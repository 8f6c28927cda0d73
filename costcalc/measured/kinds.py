"""The kinds of kernel measurements: how rows become kernels, what may be scored, and the fit of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from costcalc.measured.attention import DECODE, PREFILL, describe_decode, describe_prefill
from costcalc.measured.columns import KINDS
from costcalc.measured.comm import COMM, describe_comm
from costcalc.measured.fitting import fit_kernel
from costcalc.measured.load import Row
from costcalc.measured.model import Array, Features, KernelModel, KernelParameters, KernelRows, predict_seconds
from costcalc.measured.products import EXPERTS, GEMM, describe_experts, describe_gemm
from costcalc.measured.rows import Described, Prepared, prepare
from costcalc.specs.accelerator import Accelerator

Parameters = Mapping[str, KernelParameters]
"""Fitted parameters by op."""

BEATS_ROOFLINE = 0.995
"""A time below this share of the roofline was not measured from memory."""


@dataclass(frozen=True, slots=True)
class KernelKind:
    """A kind of measurement file: its kernels, and how a row names one."""

    models: Mapping[str, KernelModel]
    describe: Callable[[Row, Accelerator], Described]


KERNEL_KINDS = {
    "decode_attention": KernelKind(DECODE, describe_decode),
    "prefill_attention": KernelKind(PREFILL, describe_prefill),
    "gemm": KernelKind(GEMM, describe_gemm),
    "moe": KernelKind(EXPERTS, describe_experts),
    "comm": KernelKind(COMM, describe_comm),
}
"""Kinds of kernel measurements by name."""


def prepared(kind: str, rows: Sequence[Row]) -> Prepared:
    """Return the rows of one kind by kernel, and those that none predicts."""
    of = KERNEL_KINDS[kind]
    return prepare(rows, of.describe, of.models, KINDS[kind].unheeded)


def measured_seconds(rows: Sequence[Row], kernel: KernelRows) -> Array:
    """Measured time of each row of a kernel [s]; nan where there is none."""
    return np.array([(rows[i]["ms"] or np.nan) * 1e-3 for i in kernel.index], dtype=float)


def exclusions(rows: Sequence[Row], kernel: KernelRows) -> list[str]:
    """Why each row of a kernel may not be fitted or scored; '' where it may.

    Rules: not measured; called suspect; marked cache-warm; faster than memory or arithmetic allows.
    """
    bound, measured = kernel.model.bound(kernel.features), measured_seconds(rows, kernel)
    reasons = []
    for position, index in enumerate(kernel.index):
        row = rows[index]
        if not np.isfinite(measured[position]):
            reasons.append("not measured")
        elif row["suspect"]:
            reasons.append(f"suspect: {row['suspect']}")
        elif row["note"]:
            reasons.append(str(row["note"]))
        elif measured[position] < BEATS_ROOFLINE * bound[position]:
            reasons.append("faster than the roofline: from a warm cache, or misrecorded")
        else:
            reasons.append("")
    return reasons


def fit_kernels(
    kernels: Sequence[KernelRows],
    measured: Sequence[Array],
    start: Parameters | None = None,
    around: Parameters | None = None,
) -> dict[str, KernelParameters]:
    """Return the fitted parameters of kernels in the order in which they need each other.

    kernels: rows to fit. measured: their times [s]. start: where to begin, else the centre.
    around: an earlier fit to stay close to, instead of the priors.
    """
    fitted: dict[str, KernelParameters] = {}
    for kernel, times in zip(kernels, measured, strict=True):
        begin = start.get(kernel.model.op) if start else None
        centre = around.get(kernel.model.op) if around else None
        complete = KernelRows(kernel.model, kernel.index, with_needed(kernel, fitted, kernels))
        fitted[kernel.model.op] = fit_kernel(complete, times, begin, centre)
    return fitted


def with_needed(kernel: KernelRows, parameters: Parameters, kernels: Sequence[KernelRows]) -> Features:
    """Return a kernel's features, with the time of the kernel that it needs."""
    needs = kernel.model.needs
    if needs is None:
        return kernel.features
    model = next((each.model for each in kernels if each.model.op == needs), None) or _model(needs)
    known = parameters.get(needs) or _priors(model)
    return {**kernel.features, "needed_seconds": predict_seconds(model, known, kernel.features)}


def predict_kernel(kernel: KernelRows, parameters: Parameters, kernels: Sequence[KernelRows]) -> Array:
    """Predicted time of each row of a kernel [s]."""
    known = parameters.get(kernel.model.op) or _priors(kernel.model)
    return predict_seconds(kernel.model, known, with_needed(kernel, parameters, kernels))


def _model(op: str) -> KernelModel:
    return next(kind.models[op] for kind in KERNEL_KINDS.values() if op in kind.models)


def _priors(model: KernelModel) -> KernelParameters:
    return KernelParameters({name: prior.value for name, prior in model.priors.items()})
