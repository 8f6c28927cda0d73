"""What a user's own measurements change: how fast a machine is against what is expected, for kernels and runs.

The constants of estimates are scaled by it (engine.measured), class by class: products of few rows and of many,
experts, attention of decode and of prefill, large and small messages between GPUs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.engine.kernels import curve_of
from costcalc.errors import CostcalcError
from costcalc.formats import COMPUTE_PRECISIONS, number_type
from costcalc.hardware.accelerator import Accelerator, MeasuredEfficiency, Reached
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
from costcalc.validation.files import Measurements, Row, find_gpu
from costcalc.validation.kernel_fit import KERNEL_KINDS, fit_error, fit_kernel, residual_range, usable, with_needed
from costcalc.validation.kernel_rows import (
    Array,
    Features,
    KernelModel,
    KernelParameters,
    KernelRows,
    Prior,
    predict_seconds,
)
from costcalc.validation.score import FIRST_TOKEN, Scored, parameters_of, score
from costcalc.validation.serving_fit import PARAMETERS, fit_serving, values_of
from costcalc.validation.serving_rows import serving_groups
from costcalc.validation.serving_score import LABELS, measured_of, resolve, score_serving

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
    catalog: Catalog | None = None,
) -> MeasuredEfficiency | None:
    """Return what a GPU reached, beside what the shipped fit expects of it; None where no row tells.

    rows: of this GPU alone, by kind of measurement. gpu: its profile. shipped: the fit. source: where the rows
    come from. date: of today. copy_bandwidth: of large copies [B/s].
    """
    scored = {
        kind: [row for row in score(kind, each, shipped, catalog) if not row["excluded"]] for kind, each in rows.items()
    }
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


def machine_speeds(
    files: Sequence[Measurements], shipped: KernelEfficiency, catalog: Catalog, *, date: str
) -> dict[str, MeasuredEfficiency]:
    """Return what every GPU of files of kernel measurements reached, by its name in the catalog.

    files: the measurements. shipped: the fit to compare with. date: of today.
    """
    rows: dict[str, dict[str, list[Row]]] = {}
    for file in files:
        for row in file.rows:
            try:
                name, _ = find_gpu(str(row["gpu"]), catalog)
            except CostcalcError:
                continue  # named among the rows that are left out
            rows.setdefault(name, {}).setdefault(file.kind, []).append(row)
    source = names_of(files)
    found = {
        name: machine_efficiency(kinds, find_gpu(name, catalog)[1], shipped, source=source, date=date, catalog=catalog)
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


# Calibration on a few points of one's own: what they change, machine by machine, about the shipped fit.
#
# The forms and their parameters stay those of the catalog; a machine gets a factor on each parameter, drawn
# towards 1 as strongly as families differ, so that three points move little and thirty decide. It counts
# only where it predicts shapes left out of it no worse than the shipped fit does. Other machines stay as they are.


CLOSER = 0.5
"""Spread of a machine's factor over that of the parameter before any measurement."""
SHIPPED_POINTS = 10
"""Points that the shipped range counts for beside a machine's own residuals."""


@dataclass(frozen=True, slots=True)
class UserFit:
    """What a machine's points change about one kernel."""

    gpu: str
    op: str
    label: str
    fit: MachineFit


def fit_machines(
    kind: str,
    rows: Sequence[Row],
    efficiency: KernelEfficiency,
    catalog: Catalog | None = None,
    *,
    source: str,
    date: str,
) -> list[UserFit]:
    """Return what measurements change about the kernels of the machines that they were taken on.

    kind: of kernel measurement. rows: the points; those excluded by rule are not used.
    efficiency: the shipped fit alone. source: where the points come from. date: of the fit, '2026-11-23'.
    """
    fits: Mapping[str, KernelFit[Any]] = {op: getattr(efficiency, op) for op in KERNEL_KINDS[kind].models}
    parameters = {op: parameters_of(fit) for op, fit in fits.items()}
    kernels, measured = usable(kind, rows, catalog)
    found = []
    for kernel, times in zip(kernels, measured, strict=True):
        op = kernel.model.op
        complete = KernelRows(kernel.model, kernel.index, with_needed(kernel, parameters, kernels))
        for gpu in dict.fromkeys(str(name) for name in kernel.features["gpu"]):
            chosen = kernel.features["gpu"] == gpu
            machine = _fit_machine(complete.take(chosen), times[chosen], parameters[op], fits[op].fit, source, date)
            found.append(UserFit(gpu, op, kernel.model.label, machine))
    return found


def fit_files(
    files: Sequence[Measurements], efficiency: KernelEfficiency, catalog: Catalog | None = None, *, date: str
) -> list[UserFit]:
    """Return what files of kernel measurements change.

    files: the measurements; those of one kind count together. efficiency: the shipped fit alone. date: of the fit.
    """
    found = []
    for kind in dict.fromkeys(file.kind for file in files):
        ours = [file for file in files if file.kind == kind]
        rows = [row for file in ours for row in file.rows]
        found += fit_machines(kind, rows, efficiency, catalog, source=names_of(ours), date=date)
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
            ranges=user_ranges([left_out, after], record.ranges),
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


def user_ranges(residuals: Sequence[Array], shipped: Ranges) -> Ranges:
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


def fit_user_serving(
    rows: Sequence[Row], shipped: ServingEfficiency, catalog: Catalog | None = None, *, source: str, date: str
) -> UserServing:
    """Return the constants of serving that fit some runs, close to the shipped ones where those say little.

    rows: e2e measurements; those excluded by rule are not used. shipped: the constants to stay close to.
    source: where the rows come from. date: of the fit, '2026-11-23'.
    Raises CostcalcError when no row can be used.
    """
    catalog = catalog or Catalog()
    scored = score_serving("e2e", rows, None, shipped, catalog)
    usable = [row for row, each in zip(rows, scored, strict=True) if not each["excluded"]]
    if not usable:
        raise CostcalcError(f"no row can be used: {scored[0]['excluded'] if scored else 'there is none'}")
    fitted = _fit(usable, shipped, catalog)
    before, after = (_residuals(_scored(usable, constants, catalog)) for constants in (shipped, fitted))
    left_out = _residuals(_runs_left_out(usable, shipped, catalog))
    if _size(left_out) > _size(before):
        # On runs that it has not seen the fit does worse than none: the shipped one stands.
        fitted, after, left_out = shipped, before, before
    else:
        note = f"around the constants of: {shipped.provenance.source}"
        provenance = Provenance(source=source, date=date, points=len(usable), note=note)
        fitted = replace(fitted, provenance=provenance, errors={})
    factors = {} if fitted is shipped else _factors(fitted, shipped)
    gpus = tuple(sorted({str(row["gpu"]) for row in usable}))
    fits, ranges = [], dict(fitted.ranges)
    for label, residuals in before.items():
        name = next(key for key, each in LABELS.items() if each == label)
        ranges[name] = user_ranges([left_out[label], after[label]], _ranges(shipped, name))
        record = FitRecord(
            points=len(residuals),
            gpus=gpus,
            source=source,
            date=date,
            in_sample=fit_error(after[label]),
            gpu_left_out=fit_error(residuals),
            shape_left_out=fit_error(left_out[label]),
            ranges=ranges[name],
        )
        fits.append(UserFit(EVERY_GPU, "serving", label, MachineFit(factors=factors, fit=record)))
    return UserServing(replace(fitted, ranges=ranges), tuple(fits))


def fit_serving_files(
    files: Sequence[Measurements], shipped: ServingEfficiency, catalog: Catalog | None = None, *, date: str
) -> UserServing:
    """Return the constants of serving that fit the runs of files, taken together.

    files: of e2e measurements. shipped: the constants to stay close to. date: of the fit.
    """
    rows = [row for file in files for row in file.rows]
    return fit_user_serving(rows, shipped, catalog, source=names_of(files), date=date)


def _fit(rows: Sequence[Row], shipped: ServingEfficiency, catalog: Catalog) -> ServingEfficiency:
    cases, index, _ = resolve(rows, shipped, catalog)
    groups = serving_groups(cases, index)
    return fit_serving(groups, [measured_of(rows, group) for group in groups], shipped, around=shipped)


def _runs_left_out(rows: Sequence[Row], shipped: ServingEfficiency, catalog: Catalog) -> list[dict[str, Any]]:
    """Every row predicted by a fit without its part of the rows; one row alone by the shipped fit."""
    parts = min(FOLDS, len(rows))
    if parts < 2:
        return _scored(rows, shipped, catalog)
    found = []
    for part in range(parts):
        without = _fit([row for number, row in enumerate(rows) if number % parts != part], shipped, catalog)
        found += _scored(rows[part::parts], without, catalog)
    return found


def _scored(rows: Sequence[Row], constants: ServingEfficiency, catalog: Catalog) -> list[dict[str, Any]]:
    return list(score_serving("e2e", rows, None, constants, catalog))


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
    return {each.paths[0]: float(f"{ratio:.3g}") for each, ratio in moved if abs(ratio - 1) >= LEAST_MOVE}


def _ranges(constants: ServingEfficiency, name: str) -> Ranges:
    return constants.ranges.get(name, constants.ranges["decode"])
