"""Cross-validation: every GPU, and every shape, predicted by a fit that has not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from costcalc.measured.kinds import Parameters, exclusions, fit_kernels, measured_seconds, predict_kernel, prepared
from costcalc.measured.load import Row
from costcalc.measured.model import Array, KernelParameters, KernelRows


@dataclass(frozen=True, slots=True)
class Residuals:
    """ln(predicted / measured) of one kernel's points: fitted on all, and with groups left out."""

    kernel: KernelRows
    in_sample: Array
    gpu_left_out: Array
    shape_left_out: Array


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """The fit of one kind, and its residuals by kernel."""

    parameters: dict[str, KernelParameters]
    residuals: tuple[Residuals, ...]


def cross_validate(kind: str, rows: Sequence[Row], around: Parameters | None = None) -> CrossValidated:
    """Return the fit of all points of a kind, and its residuals in sample and left out.

    kind: of kernel measurement. rows: the points; those excluded by rule are not used.
    around: an earlier fit to stay close to, instead of the priors.
    """
    kernels, measured = usable(kind, rows)
    parameters = fit_kernels(kernels, measured, around=around)
    fitted = [np.log(predict_kernel(each, parameters, kernels)) for each in kernels]
    left_out = {level: _left_out(kernels, measured, level, parameters, around) for level in ("gpu", "shape")}
    return CrossValidated(
        parameters,
        tuple(
            Residuals(
                kernel,
                fitted[i] - np.log(measured[i]),
                left_out["gpu"][i] - np.log(measured[i]),
                left_out["shape"][i] - np.log(measured[i]),
            )
            for i, kernel in enumerate(kernels)
        ),
    )


def usable(kind: str, rows: Sequence[Row]) -> tuple[list[KernelRows], list[Array]]:
    """Return the rows by kernel that may be fitted, and their measured times [s]."""
    kernels, measured = [], []
    for kernel in prepared(kind, rows).kernels:
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
