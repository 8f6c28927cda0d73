"""Calibration on a few points of one's own: what they change, machine by machine, about the shipped fit.

The forms and their parameters stay those of the catalog; a machine gets a factor on each parameter, drawn
towards 1 as strongly as families differ, so that three points move little and thirty decide. It counts
only where it predicts shapes left out of it no worse than the shipped fit does. Other machines stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.engine.kernels.levels import curve_of
from costcalc.measured.crossval import usable
from costcalc.measured.fitting import fit_kernel
from costcalc.measured.kinds import KERNEL_KINDS, with_needed
from costcalc.measured.load import Measurements, Row
from costcalc.measured.model import Array, Features, KernelModel, KernelParameters, KernelRows, Prior, predict_seconds
from costcalc.measured.record import fit_error, residual_range
from costcalc.measured.scoring import parameters_of
from costcalc.specs.efficiency import FitRecord, KernelEfficiency, KernelFit, MachineFit
from costcalc.specs.serving import Quantiles, Ranges

CLOSER = 0.5
"""Spread of a machine's factor over that of the parameter before any measurement."""
SHIPPED_POINTS = 10
"""Points that the shipped range counts for beside a machine's own residuals."""


@dataclass(frozen=True, slots=True)
class OwnFit:
    """What a machine's points change about one kernel."""

    gpu: str
    op: str
    label: str
    fit: MachineFit


def fit_machines(
    kind: str, rows: Sequence[Row], efficiency: KernelEfficiency, *, source: str, date: str
) -> list[OwnFit]:
    """Return what measurements change about the kernels of the machines that they were taken on.

    kind: of kernel measurement. rows: the points; those excluded by rule are not used.
    efficiency: the shipped fit alone. source: where the points come from. date: of the fit, '2026-11-23'.
    """
    fits: Mapping[str, KernelFit[Any]] = {op: getattr(efficiency, op) for op in KERNEL_KINDS[kind].models}
    parameters = {op: parameters_of(fit) for op, fit in fits.items()}
    kernels, measured = usable(kind, rows)
    found = []
    for kernel, times in zip(kernels, measured, strict=True):
        op = kernel.model.op
        complete = KernelRows(kernel.model, kernel.index, with_needed(kernel, parameters, kernels))
        for gpu in dict.fromkeys(str(name) for name in kernel.features["gpu"]):
            chosen = kernel.features["gpu"] == gpu
            machine = _fit_machine(complete.take(chosen), times[chosen], parameters[op], fits[op].fit, source, date)
            found.append(OwnFit(gpu, op, kernel.model.label, machine))
    return found


def fit_files(files: Sequence[Measurements], efficiency: KernelEfficiency, *, date: str) -> list[OwnFit]:
    """Return what files of kernel measurements change.

    files: the measurements; those of one kind count together. efficiency: the shipped fit alone. date: of the fit.
    """
    found = []
    for kind in dict.fromkeys(file.kind for file in files):
        ours = [file for file in files if file.kind == kind]
        rows = [row for file in ours for row in file.rows]
        found += fit_machines(kind, rows, efficiency, source=names_of(ours), date=date)
    return found


def names_of(files: Sequence[Measurements]) -> str:
    """The names of files without their folders, as a source."""
    return ", ".join(dict.fromkeys(Path(file.path).name for file in files if file.path)) or "own measurements"


def shipped_alone(efficiency: KernelEfficiency) -> KernelEfficiency:
    """Return fitted parameters without those of measured machines."""
    every = {op.name: replace(getattr(efficiency, op.name), machines={}) for op in fields(KernelEfficiency)}
    return replace(efficiency, **every)


def _fit_machine(
    rows: KernelRows, measured: Array, shipped: KernelParameters, record: FitRecord, source: str, date: str
) -> MachineFit:
    factored = replace(rows, model=_factored(rows.model, shipped))
    factors = fit_kernel(factored, measured).values
    before = np.log(predict_seconds(rows.model, shipped, rows.features) / measured)
    after = np.log(_predicted(factored, factors) / measured)
    left_out = _left_out(factored, measured, before)
    if fit_error(left_out).mape > fit_error(before).mape:
        # On shapes that it has not seen the fit does worse than none: the shipped one stands.
        factors, after, left_out = {}, before, before
    return MachineFit(
        factors={name: float(f"{factor:.3g}") for name, factor in factors.items()},
        fit=FitRecord(
            points=len(rows),
            gpus=(str(rows.features["gpu"][0]),),
            source=source,
            date=date,
            in_sample=fit_error(after),
            gpu_left_out=fit_error(before),
            shape_left_out=fit_error(left_out),
            ranges=own_ranges([left_out, after], record.ranges),
        ),
    )


def _factored(model: KernelModel, shipped: KernelParameters) -> KernelModel:
    """The same form with a factor on each parameter in place of the parameters."""

    def seconds(features: Features, factors: Mapping[str, Any]) -> Array:
        curve = curve_of(model.curve, shipped.values, shipped.multipliers, features)
        scaled = {name: getattr(curve, name) * factor for name, factor in factors.items()}
        return model.seconds(features, replace(curve, **scaled))

    priors = {name: Prior(1.0, prior.spread * CLOSER) for name, prior in model.priors.items()}
    return replace(model, curve=dict, priors=priors, levels=(), seconds=seconds)


def _predicted(rows: KernelRows, factors: Mapping[str, float]) -> Array:
    return predict_seconds(rows.model, KernelParameters(factors), rows.features)


def _left_out(rows: KernelRows, measured: Array, before: Array) -> Array:
    """Residuals of every shape by a fit without its points; with one shape alone, those of the shipped fit."""
    shapes = rows.features["shape"]
    residuals = before.copy()
    for shape in np.unique(shapes):
        out = shapes == shape
        if not out.all():
            factors = fit_kernel(rows.take(~out), measured[~out]).values
            residuals[out] = np.log(_predicted(rows.take(out), factors) / measured[out])
    return residuals


def own_ranges(residuals: Sequence[Array], shipped: Ranges) -> Ranges:
    """Return the 80% ranges of a machine or a class of runs of one's own.

    They hold 8 in 10 of its own points, left out of the fit and in it, and are as wide as the shipped ones where
    its points are few; what is unseen is never known better than what is known.
    residuals: ln(predicted / measured) of its points by several fits. shipped: the ranges of the shipped fit.
    """
    found = [residual_range(each) for each in residuals]
    weight = len(residuals[0]) / (len(residuals[0]) + SHIPPED_POINTS)
    low = min([*(each.low for each in found), _between(found[0].low, shipped.known.low, weight)])
    high = max([*(each.high for each in found), _between(found[0].high, shipped.known.high, weight)])
    known = Quantiles(low=round(low, 3), high=round(high, 3))
    unseen = Quantiles(low=min(known.low, shipped.unseen.low), high=max(known.high, shipped.unseen.high))
    return replace(shipped, known=known, unseen=unseen)


def _between(own: float, shipped: float, weight: float) -> float:
    return float(own**weight * shipped ** (1 - weight))
