"""What a user's own measurements change: parameters of kernels machine by machine, and the constants of serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.kernels import curve_of
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
from costcalc.validation.kernel_fit import KERNEL_KINDS, fit_kernel, usable, with_needed
from costcalc.validation.kernel_rows import (
    Features,
    KernelModel,
    KernelParameters,
    KernelRows,
    predict_seconds,
)
from costcalc.validation.score import FIRST_TOKEN, parameters_of
from costcalc.validation.serving_fit import PARAMETERS, fit_serving, values_of
from costcalc.validation.serving_rows import serving_groups
from costcalc.validation.serving_score import LABELS, measured_of, resolve, score_serving

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


FOLDS = 5
"""Parts of the rows that are left out in turn."""
EVERY_GPU = "all GPUs"
LEAST_MOVE = 0.005
"""Change of a constant that is worth telling, relative."""


@dataclass(frozen=True, slots=True)
class UserServing:
    """The constants of serving after a calibration, and what it changed by class of measurement."""

    constants: ServingEfficiency
    fits: tuple[UserFit, ...]


def fit_serving_files(
    files: Sequence[Measurements], shipped: ServingEfficiency, catalog: Catalog | None = None, *, date: str
) -> UserServing:
    """Return the constants of serving that fit the runs of files, close to the shipped ones where those say little.

    files: of e2e measurements, taken together; rows excluded by rule are not used. shipped: the constants to stay
    close to. date: of the fit, '2026-11-23'.
    Raises CostcalcError when no row can be used.
    """
    catalog, rows = catalog or Catalog(), [row for file in files for row in file.rows]
    scored = score_serving(rows, shipped, catalog)
    usable = [row for row, each in zip(rows, scored, strict=True) if not each["excluded"]]
    if not usable:
        raise CostcalcError(f"no row can be used: {scored[0]['excluded'] if scored else 'there is none'}")
    fitted = _fit(usable, shipped, catalog)
    before, after = (_residuals(score_serving(usable, constants, catalog)) for constants in (shipped, fitted))
    left_out, source = _residuals(_runs_left_out(usable, shipped, catalog)), names_of(files)
    if _size(left_out) > _size(before):
        # On runs that it has not seen the fit does worse than none: the shipped one stands.
        fitted, after, left_out = shipped, before, before
    else:
        note = f"around the constants of: {shipped.provenance.source}"
        provenance = Provenance(source=source, date=date, points=len(usable), note=note)
        fitted = replace(fitted, provenance=provenance, errors={})
    factors = {} if fitted is shipped else _factors(fitted, shipped)
    told = {"source": source, "date": date, "gpus": tuple(sorted({str(row["gpu"]) for row in usable}))}
    fits, ranges = [], dict(fitted.ranges)
    for label, residuals in before.items():
        name = next(key for key, each in LABELS.items() if each == label)
        usual = shipped.ranges.get(name, shipped.ranges["decode"])
        ranges[name] = user_ranges([left_out[label], after[label]], usual)
        record = _record(residuals, after[label], left_out[label], ranges[name], told)
        fits.append(UserFit(EVERY_GPU, "serving", label, MachineFit(factors=factors, fit=record)))
    return UserServing(replace(fitted, ranges=ranges), tuple(fits))


def _fit(rows: Sequence[Row], shipped: ServingEfficiency, catalog: Catalog) -> ServingEfficiency:
    cases, index, _ = resolve(rows, shipped, catalog)
    groups = serving_groups(cases, index)
    return fit_serving(groups, [measured_of(rows, group) for group in groups], shipped, around=shipped)


def _runs_left_out(rows: Sequence[Row], shipped: ServingEfficiency, catalog: Catalog) -> list[dict[str, Any]]:
    """Every row predicted by a fit without its part of the rows; one row alone by the shipped fit."""
    parts = min(FOLDS, len(rows))
    if parts < 2:
        return score_serving(rows, shipped, catalog)
    found = []
    for part in range(parts):
        without = _fit([row for number, row in enumerate(rows) if number % parts != part], shipped, catalog)
        found += score_serving(rows[part::parts], without, catalog)
    return found


def _residuals(scored: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """ln(predicted / measured) by class: of rates, and of the times to first token beside them."""
    found: dict[str, list[float]] = {}
    for row in scored:
        pairs = [(str(row["op_class"]), row["predicted"], row[str(row["quantity"])])]
        if label := FIRST_TOKEN.get(str(row["op_class"])):
            pairs.append((label, row["ttft_ms_predicted"], row["ttft_ms"]))
        for name, predicted, measured in pairs:
            if measured:
                found.setdefault(name, []).append(log(predicted / measured))
    return {label: np.array(values) for label, values in found.items()}


def _size(residuals: Mapping[str, Array]) -> float:
    """Mean error of rates; times to first token scatter too much to decide, unless nothing else was measured."""
    rates = [values for label, values in residuals.items() if label not in FIRST_TOKEN.values()]
    return float(np.abs(np.concatenate(rates or list(residuals.values()))).mean())


def _factors(fitted: ServingEfficiency, shipped: ServingEfficiency) -> dict[str, float]:
    """What the constants that the runs moved are, over the shipped ones."""
    ratios = np.exp(values_of(fitted) - values_of(shipped))
    moved = zip(PARAMETERS, ratios, strict=True)
    return {each.path: float(f"{ratio:.3g}") for each, ratio in moved if abs(ratio - 1) >= LEAST_MOVE}
