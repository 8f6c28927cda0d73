"""Kernels fitted: robust, shrunk towards physical priors, cross-validated, and the record that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.fields import Array
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import MachineFit
from costcalc.validation.files import BEATS_ROOFLINE, KINDS, Row
from costcalc.validation.fitting import Descent, block, descend, fit_error, residual_range
from costcalc.validation.kernels.collectives import COMM, describe_comm
from costcalc.validation.kernels.rows import (
    DECODE,
    EXPERTS,
    GEMM,
    PREFILL,
    Described,
    Features,
    KernelModel,
    KernelParameters,
    KernelRows,
    Prepared,
    describe_decode,
    describe_experts,
    describe_gemm,
    describe_prefill,
    predict_seconds,
    prepare,
)

Parameters = Mapping[str, KernelParameters]
"""Fitted parameters by op."""


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


def prepared(kind: str, rows: Sequence[Row], catalog: Catalog | None = None) -> Prepared:
    """Return the rows of one kind by kernel, and those that none predicts."""
    of = KERNEL_KINDS[kind]
    return prepare(rows, of.describe, of.models, catalog or Catalog(), KINDS[kind].unheeded)


def measured_seconds(rows: Sequence[Row], kernel: KernelRows) -> Array:
    """Measured time of each row of a kernel [s]; nan where there is none."""
    return np.array([(rows[i]["ms"] or np.nan) * 1e-3 for i in kernel.index], dtype=float)


def exclusions(rows: Sequence[Row], kernel: KernelRows) -> list[str]:
    """Why each row of a kernel may not be fitted or scored; '' where it may.

    Rules: not measured; called suspect; marked cache-warm; a fall-back; faster than memory or arithmetic allows.
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
        elif kernel.features.get("falls_back", np.zeros(len(kernel)))[position]:
            reasons.append("a fall-back: its stack lacks a tuned kernel, which estimates assume")
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


# Fit a kernel's parameters: robust, and shrunk towards physical priors. The Jacobian needs one evaluation per
# parameter of the form, however many families and kernels there are.


OUTLIER = 0.15
"""Residual [ln] beyond which a point pulls with constant force only."""
NOISE = 0.15
"""Standard deviation of a point's residual [ln]: weighs points against priors."""
_STEP = 1e-4
_DESCENT = Descent(steps=40, tries=10, longest=1.0, damping=1e-2, slower=4, enough=1e-6)
_Design = dict[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class _Coefficient:
    """A coefficient of the fit: the logarithm of a global value or of one member's factor."""

    parameter: str
    level: str | None
    member: str
    centre: float
    spread: float


def fit_kernel(
    rows: KernelRows,
    measured: Array,
    start: KernelParameters | None = None,
    around: KernelParameters | None = None,
) -> KernelParameters:
    """Return the parameters that fit the measured times.

    rows: what is known of each point. measured: its time [s]. start: where to begin, else the centre.
    around: an earlier fit to stay close to, instead of the model's priors.
    """
    model, features = rows.model, rows.features
    coefficients = _coefficients(model, features, around)
    design = _design(model, coefficients, features)
    centre = np.array([each.centre for each in coefficients])
    spread = np.array([each.spread for each in coefficients])
    target = np.log(measured)

    def residuals(at: Array) -> Array:
        return _log_seconds(model, design, at, features) - target

    def jacobian(at: Array, r: Array) -> Array:
        slopes = np.zeros((len(r), len(at)))
        for name, (own, columns) in design.items():
            slope = (_log_seconds(model, design, at, features, bump=name) - (r + target)) / _STEP
            slopes[:, own] = slope[:, None] * columns
        return slopes

    begin = centre.copy() if start is None else _packed(coefficients, start)
    return _unpacked(coefficients, descend(residuals, jacobian, begin, centre, spread, _pseudo_huber, _DESCENT))


def _pseudo_huber(r: Array) -> tuple[Array, Array]:
    root = np.sqrt(1 + (r / OUTLIER) ** 2)
    return OUTLIER**2 * (root - 1) / NOISE**2, 1 / root / NOISE**2


def _coefficients(model: KernelModel, features: Features, around: KernelParameters | None) -> list[_Coefficient]:
    found = [
        _Coefficient(name, None, "", float(np.log(prior.value)), prior.spread) for name, prior in model.priors.items()
    ]
    for level in model.levels:
        members = [str(member) for member in np.unique(features[level.name]) if member]
        centre = float(np.log(level.centre))
        found += [_Coefficient(level.parameter, level.name, member, centre, level.spread) for member in members]
    if around is not None:
        centres = _packed(found, around)
        found = [replace(each, centre=float(at)) for each, at in zip(found, centres, strict=True)]
    return found


def _design(model: KernelModel, coefficients: Sequence[_Coefficient], features: Features) -> _Design:
    """For every parameter, which coefficients it sums over and in which rows each counts."""
    count = len(next(iter(features.values())))
    design = {}
    for name in model.priors:
        own = [i for i, each in enumerate(coefficients) if each.parameter == name]
        columns = [
            np.ones(count) if (c := coefficients[i]).level is None else 1.0 * (features[c.level] == c.member)
            for i in own
        ]
        design[name] = (np.array(own), np.stack(columns, axis=1))
    return design


def _log_seconds(model: KernelModel, design: _Design, values: Array, features: Features, bump: str = "") -> Array:
    curve = {
        name: np.exp(columns @ values[own] + (_STEP if name == bump else 0.0))
        for name, (own, columns) in design.items()
    }
    result: Array = np.log(model.seconds(features, model.curve(**curve)))
    return result


def _packed(coefficients: Sequence[_Coefficient], start: KernelParameters) -> Array:
    values = []
    for each in coefficients:
        if each.level is None:
            values.append(start.values[each.parameter])
        else:
            members = start.multipliers.get(each.level, {})
            values.append(members.get(each.member, {}).get(each.parameter, 1.0))
    return np.log(np.array(values))


def _unpacked(coefficients: Sequence[_Coefficient], values: Array) -> KernelParameters:
    fitted: dict[str, float] = {}
    multipliers: dict[str, dict[str, dict[str, float]]] = {}
    for each, value in zip(coefficients, np.exp(values), strict=True):
        if each.level is None:
            fitted[each.parameter] = float(value)
        else:
            multipliers.setdefault(each.level, {}).setdefault(each.member, {})[each.parameter] = float(value)
    return KernelParameters(fitted, multipliers)


# Cross-validation: every GPU, and every shape, predicted by a fit that has not seen it.


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """The fit of one kernel, and ln(predicted / measured) of its points: fitted on all, and with groups left out."""

    kernel: KernelRows
    parameters: KernelParameters
    in_sample: Array
    gpu_left_out: Array
    shape_left_out: Array


def cross_validate(kind: str, rows: Sequence[Row], around: Parameters | None = None) -> list[CrossValidated]:
    """Return the fit of all points of a kind by kernel, and its residuals in sample and left out.

    kind: of kernel measurement. rows: the points; those excluded by rule are not used.
    around: an earlier fit to stay close to, instead of the priors.
    """
    kernels, measured = usable(kind, rows)
    fitted = fit_kernels(kernels, measured, around=around)
    predicted = [
        [np.log(predict_kernel(each, fitted, kernels)) for each in kernels],
        *(_left_out(kernels, measured, level, fitted, around) for level in ("gpu", "shape")),
    ]
    return [
        CrossValidated(kernel, fitted[kernel.model.op], *(each - np.log(times) for each in of))
        for kernel, times, of in zip(kernels, measured, zip(*predicted, strict=True), strict=True)
    ]


def usable(kind: str, rows: Sequence[Row], catalog: Catalog | None = None) -> tuple[list[KernelRows], list[Array]]:
    """Return the rows by kernel that may be fitted, and their measured times [s]."""
    kernels, measured = [], []
    for kernel in prepared(kind, rows, catalog).kernels:
        chosen = np.array([not reason for reason in exclusions(rows, kernel)])
        if chosen.any():
            kept = kernel.take(chosen)
            kernels.append(kept)
            measured.append(measured_seconds(rows, kept))
    return kernels, measured


def _left_out(
    kernels: Sequence[KernelRows],
    measured: Sequence[Array],
    level: str,
    start: Parameters,
    around: Parameters | None,
) -> list[Array]:
    """Log of the predicted time of each point by a fit without the points of its group."""
    predicted = [np.full(len(each), np.nan) for each in kernels]
    groups = sorted({str(group) for each in kernels for group in each.features[level]})
    for group in groups:
        outside = [each.features[level] != group for each in kernels]
        kept = [(k.take(o), m[o]) for k, m, o in zip(kernels, measured, outside, strict=True) if o.any()]
        parameters = fit_kernels([k for k, _ in kept], [m for _, m in kept], start, around)
        parameters = {**(around or {}), **parameters}
        for i, (kernel, out) in enumerate(zip(kernels, outside, strict=True)):
            if not out.all():
                predicted[i][~out] = np.log(predict_kernel(kernel.take(~out), parameters, kernels))
    return predicted


# A fit with its record: errors in sample and left out, ranges, and the YAML that keeps them.


_TIMES = ("launch", "quantize_launch", "latency")


def fit(
    kind: str,
    rows: Sequence[Row],
    *,
    source: str,
    date: str,
    around: Mapping[str, KernelParameters] | None = None,
) -> dict[str, dict[str, Any]]:
    """Fit the kernels of one kind; return their curves with errors and ranges, ready for KernelEfficiency.

    kind: of kernel measurement. rows: the points; those excluded by rule are not used.
    source: where the points come from. date: of the fit, '2026-11-23'.
    around: an earlier fit by op to stay close to, as for a few points of one machine; else the priors.
    """
    return {each.kernel.model.op: _entry(each, source, date) for each in cross_validate(kind, rows, around)}


def kernels_yaml(entries: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of kernels.yaml that holds fitted curves by op."""
    lines = [
        "# Efficiency of single kernels, written by the fit of measurements/ (see docs/accuracy.md).",
        "# A parameter is the global value times the multipliers of the row's family, kernel, precision ...;",
        "# members that are not listed keep 1. Shares are capped at 1, so that no time beats the roofline.",
        "# ranges: observed over predicted, at 10% and 90% of points left out of the fit.",
    ]
    for op, entry in entries.items():
        lines += [f"{op}:", *block("parameters", entry["parameters"], 0, "  ")]
        lines += block("multipliers", entry["multipliers"], 2, "  ") if entry["multipliers"] else []
        lines += block("fit", entry["fit"], 1, "  ")
    return "\n".join(lines) + "\n"


def machines_yaml(machines: Mapping[str, Mapping[str, MachineFit]]) -> str:
    """Return the text of machines.yaml that holds what was found on machines.

    machines: fits by GPU and kernel.
    """
    lines = [
        "# Efficiency of machines that were measured, written by `costcalc calibrate`: factors on the parameters of",
        "# the shipped hardware_profiles/efficiency/kernels.yaml. Used from hardware_profiles/efficiency/machines.yaml",
        "# in a catalog of your own: --catalog DIR, COSTCALC_CATALOG, or the configuration folder of costcalc.",
        "# gpu_left_out: error of the shipped fit on the same points; shape_left_out: of every shape without its own.",
        "machines:",
    ]
    for gpu, fits in machines.items():
        lines.append(f"  {gpu}:")
        for op, machine in fits.items():
            lines += [f"    {op}:", *block("factors", machine.factors, 0, " " * 6)]
            lines += block("fit", asdict(machine.fit), 1, " " * 6)
    return "\n".join(lines) + "\n"


def _entry(found: CrossValidated, source: str, date: str) -> dict[str, Any]:
    levels = ("in_sample", "gpu_left_out", "shape_left_out")
    ranges = {"known": residual_range(found.shape_left_out), "unseen": residual_range(found.gpu_left_out)}
    return {
        "parameters": {name: _shown(name, value) for name, value in found.parameters.values.items()},
        "multipliers": {
            level: {
                member: {name: float(f"{factor:.3g}") for name, factor in factors.items()}
                for member, factors in members.items()
            }
            for level, members in found.parameters.multipliers.items()
        },
        "fit": {
            "points": len(found.kernel),
            "gpus": sorted({str(name) for name in found.kernel.features["gpu"]}),
            "source": source,
            "date": date,
            **{level: asdict(fit_error(getattr(found, level))) for level in levels},
            "ranges": {name: asdict(each) for name, each in ranges.items()},
        },
    }


def _shown(name: str, value: float) -> float | str:
    return f"{value * 1e6:.3g} us" if name in _TIMES else float(f"{value:.3g}")
