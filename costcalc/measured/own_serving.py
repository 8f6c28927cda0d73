"""Calibration of serving on a few runs of one's own: the shipped constants, moved as far as the runs ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.measured.groups import FIRST_TOKEN
from costcalc.measured.load import Measurements, Row
from costcalc.measured.model import Array
from costcalc.measured.own import OwnFit, names_of, own_ranges
from costcalc.measured.record import fit_error
from costcalc.measured.serving import LABELS, measured_of, resolve, score_serving
from costcalc.measured.serving_fit import fit_serving
from costcalc.measured.serving_group import serving_groups
from costcalc.measured.serving_parameters import PARAMETERS, values_of
from costcalc.measured.serving_predict import split_pools
from costcalc.specs.efficiency import FitRecord, MachineFit
from costcalc.specs.serving import Provenance, Ranges, ServingEfficiency

FOLDS = 5
"""Parts of the rows that are left out in turn."""
EVERY_GPU = "all GPUs"
LEAST_MOVE = 0.005
"""Change of a constant that is worth telling, relative."""


@dataclass(frozen=True, slots=True)
class OwnServing:
    """The constants of serving after a calibration, and what it changed by class of measurement."""

    constants: ServingEfficiency
    fits: tuple[OwnFit, ...]


def fit_own_serving(rows: Sequence[Row], shipped: ServingEfficiency, *, source: str, date: str) -> OwnServing:
    """Return the constants of serving that fit some runs, close to the shipped ones where those say little.

    rows: e2e measurements; those excluded by rule are not used. shipped: the constants to stay close to.
    source: where the rows come from. date: of the fit, '2026-11-23'.
    Raises CostcalcError when no row can be used.
    """
    scored = score_serving("e2e", rows, constants=shipped)
    usable = [row for row, each in zip(rows, scored, strict=True) if not each["excluded"]]
    if not usable:
        raise CostcalcError(f"no row can be used: {scored[0]['excluded'] if scored else 'there is none'}")
    fitted = _fit(usable, shipped)
    before, after = (_residuals(_scored(usable, constants)) for constants in (shipped, fitted))
    left_out = _residuals(_left_out(usable, shipped))
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
        ranges[name] = own_ranges([left_out[label], after[label]], _ranges(shipped, name))
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
        fits.append(OwnFit(EVERY_GPU, "serving", label, MachineFit(factors=factors, fit=record)))
    return OwnServing(replace(fitted, ranges=ranges), tuple(fits))


def fit_serving_files(files: Sequence[Measurements], shipped: ServingEfficiency, *, date: str) -> OwnServing:
    """Return the constants of serving that fit the runs of files, taken together.

    files: of e2e measurements. shipped: the constants to stay close to. date: of the fit.
    """
    rows = [row for file in files for row in file.rows]
    return fit_own_serving(rows, shipped, source=names_of(files), date=date)


def _fit(rows: Sequence[Row], shipped: ServingEfficiency) -> ServingEfficiency:
    cases, index, _ = resolve(rows)
    groups = [split_pools(group, shipped) for group in serving_groups(cases, index)]
    return fit_serving(groups, [measured_of(rows, group) for group in groups], shipped, around=shipped)


def _left_out(rows: Sequence[Row], shipped: ServingEfficiency) -> list[dict[str, Any]]:
    """Every row predicted by a fit without its part of the rows; one row alone by the shipped fit."""
    parts = min(FOLDS, len(rows))
    if parts < 2:
        return _scored(rows, shipped)
    found = []
    for part in range(parts):
        without = _fit([row for number, row in enumerate(rows) if number % parts != part], shipped)
        found += _scored(rows[part::parts], without)
    return found


def _scored(rows: Sequence[Row], constants: ServingEfficiency) -> list[dict[str, Any]]:
    return list(score_serving("e2e", rows, constants=constants))


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
