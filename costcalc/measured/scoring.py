"""Score predictions against measurements: every row predicted where it can be, and every other one named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypedDict

import numpy as np

from costcalc.catalog.efficiency import load_kernel_efficiency
from costcalc.errors import CostcalcError
from costcalc.measured.header import columns_of
from costcalc.measured.kinds import KERNEL_KINDS, exclusions, measured_seconds, predict_kernel, prepared
from costcalc.measured.load import Row
from costcalc.measured.model import KernelParameters, KernelRows
from costcalc.measured.serving import score_serving
from costcalc.specs.efficiency import KernelEfficiency, KernelFit
from costcalc.specs.serving import UNKNOWN_FAMILY

Scored = dict[str, Any]
"""A row with `predicted`, `low`, `high` and `ideal` in the unit of its `quantity`; `ape` [ratio]; the
`op_class` it counts in; a `warning` where the stack lacks a tuned kernel; and why it is `excluded` ('' if not).
"""


class Summary(TypedDict):
    """How good predictions are; ratios, not percent."""

    n: int  # points scored
    median_ape: float | None
    mape: float | None
    bias: float | None  # median of predicted / measured, minus 1
    coverage: float | None  # share of points within their range
    ideal_median_ape: float | None  # of the roofline alone
    excluded: dict[str, int]  # rows not scored, by reason


def score(kind: str, rows: Sequence[Row], efficiency: KernelEfficiency | None = None) -> list[Scored]:
    """Return every row with its prediction and error.

    kind: of measurement. rows: as load_measurements returns them.
    efficiency: fitted parameters, else those of the catalog.
    Raises CostcalcError for an unknown kind.
    """
    columns_of(kind)
    if kind not in SCORERS:
        raise CostcalcError(f"measurements of kind {kind!r} cannot be scored", hint=f"one of: {', '.join(SCORERS)}")
    return SCORERS[kind](kind, rows, efficiency)


def summary(scored: Sequence[Scored]) -> Summary:
    """Return the errors of scored rows; excluded ones are counted by reason."""
    counted = [row for row in scored if not row["excluded"]]
    reasons = Counter(str(row["excluded"]) for row in scored if row["excluded"])
    if not counted:
        return Summary(
            n=0,
            median_ape=None,
            mape=None,
            bias=None,
            coverage=None,
            ideal_median_ape=None,
            excluded=dict(reasons),
        )
    measured = np.array([row[row["quantity"]] for row in counted], dtype=float)
    predicted, low, high, ideal = (
        np.array([row[name] for row in counted], dtype=float) for name in ("predicted", "low", "high", "ideal")
    )
    off = np.abs(predicted / measured - 1)
    return Summary(
        n=len(counted),
        median_ape=float(np.median(off)),
        mape=float(off.mean()),
        bias=float(np.median(predicted / measured) - 1),
        coverage=float(np.mean((low <= measured) & (measured <= high))),
        ideal_median_ape=float(np.median(np.abs(ideal / measured - 1))),
        excluded=dict(reasons),
    )


def score_kernels(kind: str, rows: Sequence[Row], efficiency: KernelEfficiency | None = None) -> list[Scored]:
    """Return every row of a kernel kind with its prediction [ms] and error."""
    efficiency = efficiency or load_kernel_efficiency()
    fits: dict[str, KernelFit[Any]] = {op: getattr(efficiency, op) for op in KERNEL_KINDS[kind].models}
    parameters = {op: parameters_of(fit) for op, fit in fits.items()}
    parts = prepared(kind, rows)
    scored: list[Scored] = [_unpredicted(row, parts.refused.get(index, "")) for index, row in enumerate(rows)]
    for kernel in parts.kernels:
        model = kernel.model
        predicted = predict_kernel(kernel, parameters, parts.kernels)
        ideal, measured = model.bound(kernel.features), measured_seconds(rows, kernel)
        factors = _ranges(kernel, fits[model.op])
        reasons = exclusions(rows, kernel)
        for position, index in enumerate(kernel.index):
            seconds, (low, high) = float(predicted[position]), factors[position]
            known = np.isfinite(measured[position]) and measured[position] > 0
            scored[index].update(
                predicted=seconds * 1e3,
                low=max(seconds * low, float(ideal[position])) * 1e3,
                high=seconds * high * 1e3,
                ideal=float(ideal[position]) * 1e3,
                ape=abs(seconds / float(measured[position]) - 1) if known else None,
                op_class=model.label,
                warning=_warning(kernel, position),
                excluded=reasons[position],
            )
    return scored


def parameters_of(fit: KernelFit[Any]) -> KernelParameters:
    """Return the parameters of a fit from the catalog, measured machines included."""
    values = {name: float(value) for name, value in asdict(fit.parameters).items()}
    machines = {gpu: machine.factors for gpu, machine in fit.machines.items()}
    return KernelParameters(values, {**fit.multipliers, "gpu": machines} if machines else fit.multipliers)


def _unpredicted(row: Row, reason: str) -> Scored:
    nothing = dict.fromkeys(("predicted", "low", "high", "ideal", "ape"))
    return {**row, **nothing, "quantity": "ms", "op_class": "", "warning": "", "excluded": reason}


def _ranges(kernel: KernelRows, fit: KernelFit[Any]) -> list[tuple[float, float]]:
    """Low and high over predicted, for a GPU that was measured, one of its family, or neither: wider with a caveat."""
    families = fit.multipliers.get("family")
    names = (kernel.features[name] for name in ("gpu", "family", "caveat"))
    factors = []
    for gpu, family, caveat in zip(*names, strict=True):
        record = fit.machines[gpu].fit if gpu in fit.machines else fit.fit
        known = record.ranges.known if gpu in record.gpus and not caveat else record.ranges.unseen
        unknown = families and gpu not in record.gpus and family not in families
        wider = UNKNOWN_FAMILY if unknown or caveat else 1.0
        factors.append((known.low**wider, known.high**wider))
    return factors


def _warning(kernel: KernelRows, position: int) -> str:
    """What to keep in mind with a prediction."""
    caveat, ignored = (str(kernel.features[name][position]) for name in ("caveat", "ignored"))
    parts = ["no tuned kernel" if kernel.model.fallback else "", caveat, f"ignored: {ignored}" if ignored else ""]
    return "; ".join(part for part in parts if part)


Scorer = Callable[[str, Sequence[Row], KernelEfficiency | None], list[Scored]]
SCORERS: dict[str, Scorer] = {**dict.fromkeys(KERNEL_KINDS, score_kernels), "e2e": score_serving}
"""What scores each kind of measurement."""
