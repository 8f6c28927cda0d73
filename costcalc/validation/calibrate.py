"""What a user's own measurements change: parameters of kernels machine by machine, and the constants of serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import ceil, log
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, Machines
from costcalc.engine.latency.kernels import curve_of
from costcalc.errors import CostcalcError
from costcalc.fields import Array
from costcalc.hardware.efficiency import (
    FitRecord,
    KernelEfficiency,
    KernelFit,
    MachineFit,
    Provenance,
    Quantiles,
    Ranges,
    ServingEfficiency,
)
from costcalc.validation.files import Measurements, Row
from costcalc.validation.fitting import Prior, fit_error, residual_range
from costcalc.validation.kernels.fit import KERNEL_KINDS, fit_kernel, usable, with_needed
from costcalc.validation.kernels.rows import (
    Features,
    KernelModel,
    KernelParameters,
    KernelRows,
    predict_seconds,
)
from costcalc.validation.score import parameters_of
from costcalc.validation.serving.fit import values_of
from costcalc.validation.serving.own_runs import OwnConstants, Points, own_constants, with_vendors
from costcalc.validation.serving.rows import ServingRow, serving_groups
from costcalc.validation.serving.score import (
    LABELS,
    first_token_class,
    measured_of,
    resolve,
    score_serving,
    serving_class,
)

# Calibration on a few points of one's own: what they change, machine by machine, about the shipped fit.
#
# The forms and their parameters stay those of the catalog; a machine gets a factor on each parameter, drawn
# towards 1 as strongly as families differ, so that three points move little and thirty decide. It counts
# only where it predicts shapes left out of it no worse than the shipped fit does. Other machines stay as they are.


CLOSER = 0.5
"""Spread of a machine's factor over that of the parameter before any measurement."""
SHIPPED_POINTS = 10
"""Points that the shipped range counts for beside a machine's own residuals."""
LIBRARY: Mapping[str, Mapping[str, float]] = {
    "gemm fp8": {"launch": 0.64, "bandwidth": 1.11, "flops": 1.46},
    "decode_grouped": {"launch": 0.59, "bandwidth": 1.09, "flops": 1.02},
}
"""What PyTorch's kernels are over those of engines, by op and precision: its products of fp8 quantize nothing, and its
decode attention reads no pages. Of 16-bit products they are the same.

Source: fits of what `costcalc calibrate` measured on an H100, whose engines' kernels are in the shipped fit
(measurements/own/calibrate_*.csv). On an H200 they are 0.64, 1.12, 1.50 and 0.62, 1.12, 1.22: hardly of the machine.
"""
BENCHMARK = "torch"
"""The framework of rows that `costcalc calibrate` measures itself."""


@dataclass(frozen=True, slots=True)
class UserFit:
    """What a machine's points change about one kernel."""

    gpu: str
    op: str
    label: str
    fit: MachineFit


def fit_files(
    files: Sequence[Measurements], efficiency: KernelEfficiency, catalog: Catalog | None = None, *, date: str
) -> list[UserFit]:
    """Return what files of kernel measurements change about the kernels of the machines that they were taken on.

    files: the measurements; those of one kind count together, but for points excluded by rule.
    efficiency: the shipped fit alone. date: of the fit, '2026-11-23'.
    """
    found = []
    for kind in dict.fromkeys(file.kind for file in files):
        ours = [file for file in files if file.kind == kind]
        rows = [row for file in ours for row in file.rows]
        fits: Mapping[str, KernelFit[Any]] = {op: getattr(efficiency, op) for op in KERNEL_KINDS[kind].models}
        parameters = {op: parameters_of(fit) for op, fit in fits.items()}
        kernels, measured = usable(kind, rows, catalog)
        for kernel, times in zip(kernels, measured, strict=True):
            op = kernel.model.op
            features = {**with_needed(kernel, parameters, kernels), **_library(kernel, rows)}
            complete = KernelRows(kernel.model, kernel.index, features)
            for gpu in dict.fromkeys(str(name) for name in kernel.features["gpu"]):
                chosen = kernel.features["gpu"] == gpu
                told = {"source": names_of(ours), "date": date, "gpus": (gpu,)}
                machine = _fit_machine(complete.take(chosen), times[chosen], parameters[op], fits[op].fit.ranges, told)
                found.append(UserFit(gpu, op, kernel.model.label, machine))
    return found


def names_of(files: Sequence[Measurements]) -> str:
    """The names of files without their folders, as a source."""
    return ", ".join(dict.fromkeys(Path(file.path).name for file in files if file.path)) or "own measurements"


def shipped_alone(efficiency: KernelEfficiency) -> KernelEfficiency:
    """Return fitted parameters without those of measured machines."""
    every = {op.name: replace(getattr(efficiency, op.name), machines={}) for op in fields(KernelEfficiency)}
    return replace(efficiency, **every)


def shipped_serving(catalog: Catalog, machines: Machines) -> ServingEfficiency:
    """Return the constants of serving that a calibration begins with, on the kernels of a catalog and of `machines`.

    Those of the catalog, unless runs of one's own moved them before: else the same runs would count twice.
    """
    found = catalog.serving_efficiency(machines)
    if not (found.provenance.note or "").startswith(AROUND):
        return found
    shipped = Catalog().serving_efficiency()
    return replace(shipped, of_kernels=found.of_kernels, of_memory=found.of_memory)


MOST_ROWS = 200
"""Rows that are weighed, evenly spaced: of one machine more would say the same, in minutes."""
AROUND = "around the constants of: "
"""Begins the note of constants that runs of one's own moved."""


def _fit_machine(
    rows: KernelRows, measured: Array, shipped: KernelParameters, usual: Ranges, told: Mapping[str, Any]
) -> MachineFit:
    factored = replace(rows, model=_factored(rows.model, shipped))

    def off(factors: Mapping[str, float], chosen: Array | None = None) -> Array:
        part, times = (factored, measured) if chosen is None else (factored.take(chosen), measured[chosen])
        return np.log(predict_seconds(part.model, KernelParameters(factors), part.features) / times)

    factors = fit_kernel(factored, measured).values
    before, after = off({}), off(factors)
    left_out, shapes = before.copy(), rows.features["shape"]  # of one shape alone: by the shipped fit
    for shape in np.unique(shapes):
        out = shapes == shape
        if not out.all():
            left_out[out] = off(fit_kernel(factored.take(~out), measured[~out]).values, out)
    if fit_error(left_out).mape > fit_error(before).mape:
        # On shapes that it has not seen the fit does worse than none: the shipped one stands.
        factors, after, left_out = {}, before, before
    ranges = user_ranges([left_out, after], usual)
    if rows.features["library"].any():
        # No narrower than the shipped ones: kernels of one library do not show how those of engines differ.
        low, high = min(ranges.known.low, usual.known.low), max(ranges.known.high, usual.known.high)
        ranges = replace(ranges, known=Quantiles(low=low, high=high))
    rounded = {name: float(f"{factor:.3g}") for name, factor in factors.items()}
    return MachineFit(factors=rounded, fit=_record(before, after, left_out, ranges, told))


def _record(before: Array, after: Array, left_out: Array, ranges: Ranges, told: Mapping[str, Any]) -> FitRecord:
    """The record of a fit by residuals of the shipped fit, of this one, and of those without the points' like."""
    errors = {"in_sample": after, "gpu_left_out": before, "shape_left_out": left_out}
    of: dict[str, Any] = {name: fit_error(residuals) for name, residuals in errors.items()}
    return FitRecord(points=len(before), **of, ranges=ranges, **told)


def _factored(model: KernelModel, shipped: KernelParameters) -> KernelModel:
    """The same form with a factor on each parameter in place of the parameters."""

    def seconds(features: Features, factors: Mapping[str, Any]) -> Array:
        curve = curve_of(model.curve, shipped.values, shipped.multipliers, features)
        scaled = {
            name: getattr(curve, name) * factors.get(name, 1.0) * features[f"library {name}"] for name in model.priors
        }
        return model.seconds(features, replace(curve, **scaled))

    priors = {name: Prior(1.0, prior.spread * CLOSER) for name, prior in model.priors.items()}
    return replace(model, curve=dict, priors=priors, levels=(), seconds=seconds)


def _library(kernel: KernelRows, rows: Sequence[Row]) -> Features:
    """What the kernels of rows are over those of engines, by parameter: 1 where they are an engine's."""
    own = np.array([rows[index].get("framework") == BENCHMARK for index in kernel.index])
    classes = kernel.features.get("precision_class", np.full(len(kernel), ""))
    over = [
        LIBRARY.get(f"{kernel.model.op} {each}".strip(), {}) if of else {}
        for each, of in zip(classes, own, strict=True)
    ]
    found = {f"library {name}": np.array([each.get(name, 1.0) for each in over]) for name in kernel.model.priors}
    return {"library": own, **found}


def user_ranges(residuals: Sequence[Array], shipped: Ranges) -> Ranges:
    """Return the 80% ranges of a machine or a class of runs of one's own.

    They hold 8 in 10 of its own points, left out of the fit and in it, and are as wide as the shipped ones where
    its points are few; what is unseen is never known better than what is known.
    residuals: ln(predicted / measured) of its points by several fits. shipped: the ranges of the shipped fit.
    """
    found = [residual_range(each) for each in residuals]
    weight = len(residuals[0]) / (len(residuals[0]) + SHIPPED_POINTS)
    low, high = (
        float(getattr(found[0], end) ** weight * getattr(shipped.known, end) ** (1 - weight)) for end in ("low", "high")
    )
    low, high = min([*(each.low for each in found), low]), max([*(each.high for each in found), high])
    known = Quantiles(low=round(low, 3), high=round(high, 3))
    unseen = Quantiles(low=min(known.low, shipped.unseen.low), high=max(known.high, shipped.unseen.high))
    return replace(shipped, known=known, unseen=unseen)


# Calibration of serving on a few runs of one's own: the shipped constants, moved as far as the runs ask for.


EVERY_GPU = "all GPUs"
LEAST_MOVE = 0.005
"""Change of a constant that is worth telling, relative."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A constant of serving that runs moved."""

    path: str
    meaning: str
    shipped: float  # in SI
    calibrated: float
    spread: float  # standard deviation of its logarithm between groups of runs
    spread_left: float  # ... given these


@dataclass(frozen=True, slots=True)
class Example:
    """What a calibration does to one estimate."""

    command: str
    quantity: str
    measured: float | None  # in the unit of the quantity's column
    before: tuple[float, float, float]  # predicted, low and high
    after: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class UserServing:
    """The constants of serving after a calibration, and what it changed by class of measurement."""

    constants: ServingEfficiency
    fits: tuple[UserFit, ...]
    moved: tuple[Moved, ...]
    rows: int
    effective: float  # rows that say something of their own
    example: Example


def fit_serving_files(
    files: Sequence[Measurements], shipped: ServingEfficiency, catalog: Catalog | None = None, *, date: str
) -> UserServing:
    """Return the constants of serving that runs of files make most likely, given how groups of runs differ.

    files: of e2e measurements, taken together, each row once, and of many 200; rows excluded by rule are not used.
    shipped: the constants before, on the kernels beside them: those hold what rows of kernels told, runs tell the rest.
    date: of the fit, '2026-11-23'.
    Raises CostcalcError when no row can be used.
    """
    catalog, rows = catalog or Catalog(), _once([row for file in files for row in file.rows])
    scored = score_serving(rows, shipped, catalog)
    usable = [row for row, each in zip(rows, scored, strict=True) if not each["excluded"]]
    if not usable:
        raise CostcalcError(f"no row can be used: {scored[0]['excluded'] if scored else 'there is none'}")
    usable = usable[:: ceil(len(usable) / MOST_ROWS)]
    cases, index, _ = resolve(usable, shipped, catalog)
    groups = serving_groups(cases, index)
    found = own_constants(usable, groups, [measured_of(usable, group) for group in groups], shipped)
    source, fitted, moved = names_of(files), found.constants, _moved(found, shipped)
    if moved:
        note = f"{AROUND}{shipped.provenance.source}"
        provenance = Provenance(source=source, date=date, points=len(usable), note=note)
        fitted = replace(fitted, provenance=provenance, errors={})
    told = {"source": source, "date": date, "gpus": tuple(sorted({str(row["gpu"]) for row in usable}))}
    factors = {each.path: float(f"{each.calibrated / each.shipped:.3g}") for each in moved}
    fits, ranges = [], dict(fitted.ranges)
    for name, at in _by_class(found.points, dict(zip(index, cases, strict=True))).items():
        sign = np.ones(len(at)) if name == "throughput" else found.points.sign[at]  # other classes are of times
        before, after, left_out = (sign * each[at] for each in (found.before, found.after, found.left_out))
        usual = shipped.ranges.get(name, shipped.ranges["decode"])
        ranges[name] = own_ranges(left_out, after, found.narrower[at], usual)
        record = _record(before, after, left_out, ranges[name], told)
        fits.append(UserFit(EVERY_GPU, "serving", LABELS[name], MachineFit(factors=factors, fit=record)))
    fitted = replace(fitted, ranges=ranges)
    example = _example(usable, shipped, fitted, catalog)
    return UserServing(fitted, tuple(fits), moved, len(usable), found.effective, example)


def _by_class(points: Points, cases: Mapping[int, ServingRow]) -> dict[str, list[int]]:
    """Points by their class: one of each row, that of its time where its rate was measured too."""
    found: dict[str, dict[int, int]] = {}
    for at, (row, first) in enumerate(zip(points.row, points.first_token, strict=True)):
        name = first_token_class(cases[row]) if first else serving_class(cases[row])
        found.setdefault(name, {}).setdefault(int(row), at)
    return {name: list(rows.values()) for name, rows in found.items()}


def own_ranges(left_out: Array, after: Array, narrower: Array, shipped: Ranges) -> Ranges:
    """Return the 80% ranges of a class after runs: narrower as constants are known better, and as wide as its points.

    left_out, after: ln(predicted / measured) of its points, by the other rows and by all. narrower: of `Weighed`.
    """
    by = float(np.mean(narrower))
    known = Quantiles(low=shipped.known.low**by, high=shipped.known.high**by)
    # An engine that was predicted better than others no longer narrows what holds these runs.
    backends = {name: max(wider, 1.0) for name, wider in shipped.backends.items()}
    return user_ranges([left_out, after], replace(shipped, known=known, backends=backends))


def _once(rows: Sequence[Row]) -> list[Row]:
    """Rows, of which one that stands in several files counts once."""
    return list({tuple(sorted((name, str(value)) for name, value in row.items())): row for row in rows}.values())


def _moved(found: OwnConstants, shipped: ServingEfficiency) -> tuple[Moved, ...]:
    """The constants that runs moved, those that moved most first."""
    before, after = (
        np.exp(values_of(with_vendors(each, found.parameters), found.parameters)) for each in (shipped, found.constants)
    )
    every = [
        Moved(each.path, each.meaning, *map(float, numbers))
        for each, *numbers in zip(found.parameters, before, after, *found.spread, strict=True)
    ]
    moved = [each for each in every if abs(each.calibrated / each.shipped - 1) >= LEAST_MOVE]
    return tuple(sorted(moved, key=lambda each: -abs(log(each.calibrated / each.shipped))))


def _example(rows: Sequence[Row], shipped: ServingEfficiency, fitted: ServingEfficiency, catalog: Catalog) -> Example:
    """The row in the middle of the file, asked with the shipped constants and with those fitted."""
    (before,), (after,) = (score_serving([rows[len(rows) // 2]], each, catalog) for each in (shipped, fitted))
    quantity = str(before["quantity"])
    numbers = [(float(each["predicted"]), float(each["low"]), float(each["high"])) for each in (before, after)]
    return Example(str(before["command"]), quantity, before.get(quantity), *numbers)
