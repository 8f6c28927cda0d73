"""The constants of serving: their priors, their fit, its cross-validation, and the record that keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from operator import getitem
from typing import Any
from zlib import adler32

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.catalog.check import validate
from costcalc.fields import Array
from costcalc.hardware.efficiency import UNTUNED, ServingEfficiency
from costcalc.predict.predict import Passes, Prediction, passes_of, prediction_of, settled_batch, times_of
from costcalc.predict.quantities import asked_of
from costcalc.validation.files import Row
from costcalc.validation.fitting import (
    HIGH,
    LOW,
    Descent,
    Prior,
    block,
    descend,
    fit_error,
    flow,
    priors,
    range_between,
)
from costcalc.validation.serving.rows import ServingGroup, ServingRow, serving_groups
from costcalc.validation.serving.score import (
    LABELS,
    Measured,
    first_token_class,
    measured_of,
    predict_group,
    resolve,
    score_serving,
    serving_class,
    tokens_per_s_per_gpu,
)


@dataclass(frozen=True, slots=True)
class ServingParameter:
    """A fitted constant."""

    path: str  # in ServingEfficiency, levels joined by dots
    prior: Prior
    meaning: str
    share: bool  # of a peak, or a chance: never above 1


PARAMETERS = tuple(
    ServingParameter(path, Prior(value, spread), meaning, path in priors()["shares"])
    for path, (value, spread, meaning) in priors()["serving"].items()
)
"""All fitted constants, with priors from kernel measurements and datasheets."""


def values_of(constants: ServingEfficiency, parameters: Sequence[ServingParameter] = PARAMETERS) -> Array:
    """Logarithms of constants, in the order of `parameters`."""
    tree: Any = tree_of(constants)
    return np.log([float(reduce(getitem, each.path.split("."), tree)) for each in parameters])


def with_values(
    constants: ServingEfficiency,
    values: Sequence[float] | Array,
    parameters: Sequence[ServingParameter] = PARAMETERS,
) -> ServingEfficiency:
    """The constants with the exponentials of `values` in the places of `parameters`; shares are capped at 1."""
    tree = tree_of(constants)
    for parameter, value in zip(parameters, np.exp(np.asarray(values)), strict=True):
        *levels, last = parameter.path.split(".")
        inner = reduce(getitem, levels, tree)
        if last not in inner:
            raise KeyError(parameter.path)
        inner[last] = min(float(value), 1.0) if parameter.share else float(value)
    return from_tree(tree, constants)


def tree_of(constants: ServingEfficiency) -> dict[str, Any]:
    """What serving.yaml holds of the constants, as plain data."""
    tree = asdict(replace(constants, of_kernels=None, of_memory=None))
    del tree["of_kernels"], tree["of_memory"]
    return tree


def from_tree(tree: Mapping[str, Any], like: ServingEfficiency) -> ServingEfficiency:
    """The constants that plain data holds, standing on the same kernels and memory as those of `like`."""
    return replace(validate(ServingEfficiency, tree), of_kernels=like.of_kernels, of_memory=like.of_memory)


# Fit the constants of serving to closed-loop and offline measurements.
#
# The batch that decodes at a time depends on the constants; it is held while they move and found anew between rounds,
# so that the work of every row, which is most of the arithmetic, is counted once a round.


QUANTITIES = ("tpot", "ttft", "tokens_per_s_gpu", "prefill")
NOISE = {"tpot": 0.12, "ttft": 0.35, "tokens_per_s_gpu": 0.10, "prefill": 0.25}
"""Standard deviation of a point's residual [ln]: the same deployment under other versions differs as much."""
OUTLIER = 1.345
"""Residual, in standard deviations, beyond which a point pulls with constant force only (Huber 1964: 95% efficient)."""
_STEP = 1e-3


@dataclass(frozen=True, slots=True)
class _Held:
    """A group with the work of its rows at the batch of this round."""

    group: ServingGroup
    passes: Passes
    target: Array  # ln of what was measured, all quantities in a row


def fit_serving(
    groups: Sequence[ServingGroup],
    measured: Sequence[Measured],
    constants: ServingEfficiency,
    rounds: int = 3,
    steps: int = 4,
) -> ServingEfficiency:
    """Return `constants` with all PARAMETERS fitted to the measured rows.

    rounds: how often the batches are found anew. steps: of Gauss-Newton in each.
    """
    centre = np.log([each.prior.value for each in PARAMETERS])
    for _ in range(rounds):
        held = [_held(group, seen, constants) for group, seen in zip(groups, measured, strict=True)]
        constants = with_values(constants, _descend(held, constants, centre, steps))
    return constants


def quantities(group: ServingGroup, found: Prediction) -> Array:
    """Predicted quantities of a group, one row each of QUANTITIES."""
    shape = np.zeros(len(group))
    rate = tokens_per_s_per_gpu(group, found)
    each = (found.time_per_output_token, found.time_to_first_token, rate, found.prefill.seconds)
    return np.stack([value + shape for value in each])


def _held(group: ServingGroup, seen: Measured, constants: ServingEfficiency) -> _Held:
    group = group.under(constants)
    batch = settled_batch(group.scenario, group.layout, group.replicas)
    return _Held(group, passes_of(group.scenario, group.layout, batch), seen.logarithms)


def _residuals(held: Sequence[_Held], constants: ServingEfficiency) -> Array:
    parts = []
    for each in held:
        group = each.group.under(constants)
        times = times_of(group.scenario, group.layout, each.passes)
        found = prediction_of(group.scenario, group.layout, each.passes, times, group.replicas)
        off = np.log(quantities(group, found)) - each.target
        parts.append(off / np.array([[NOISE[name]] for name in QUANTITIES]))
    flat = np.concatenate([part[np.isfinite(each.target)] for part, each in zip(parts, held, strict=True)])
    return np.asarray(flat)


def _descend(held: Sequence[_Held], constants: ServingEfficiency, centre: Array, steps: int) -> Array:
    spread = np.array([each.prior.spread for each in PARAMETERS])
    top = np.where([each.share for each in PARAMETERS], 0.0, np.inf)

    def residuals(at: Array) -> Array:
        return _residuals(held, with_values(constants, at))

    def jacobian(at: Array, r: Array) -> Array:
        columns = []
        for number in range(len(at)):
            moved = at.copy()
            moved[number] += _STEP if moved[number] + _STEP < top[number] else -_STEP
            columns.append((residuals(moved) - r) / (moved[number] - at[number]))
        return np.stack(columns, axis=1)

    begin = np.minimum(values_of(constants), top)
    how = Descent(steps, tries=6, longest=0.5, damping=1e-3, slower=6, enough=1e-3)
    return descend(residuals, jacobian, begin, centre, spread, _huber, how, top)


def _huber(r: Array) -> tuple[Array, Array]:
    size = np.abs(r)
    loss = np.where(size < OUTLIER, size**2 / 2, OUTLIER * size - OUTLIER**2 / 2)
    return loss, np.minimum(1.0, OUTLIER / np.maximum(size, 1e-9))


# Cross-validation of serving: models, GPUs and rows predicted by fits that have not seen them.


FOLDS = 5
"""Of the rows left out where GPU and model are known."""
LEFT_OUT = ("in_sample", "rows_left_out", "model_left_out", "gpu_left_out", "source_left_out")
FEW_ROWS, FEW_PARTS = 10, 4
"""Models and GPUs of fewer rows are left out together, in so many parts."""
SOURCES_TOGETHER = 6
"""Parts of the sources of single results that are left out in turn: there are thirty, of a few rows each."""


@dataclass(frozen=True, slots=True)
class ServingResiduals:
    """ln(predicted / measured): by what was left out, quantity and row; nan where nothing was measured."""

    constants: ServingEfficiency
    groups: tuple[ServingGroup, ...]
    off: dict[str, Array]  # of LEFT_OUT: (quantity, row)


def cross_validate_serving(
    groups: Sequence[ServingGroup], measured: Sequence[Measured], start: ServingEfficiency, sources: Sequence[str]
) -> ServingResiduals:
    """Fit all rows, and predict every model, GPU, source and fifth row by fits without them.

    groups, measured: of rows, start: constants to begin with. sources: of each row; '' where it is not left out.
    """
    rows = len(sources)
    folds = np.array([str(adler32(each.encode()) % SOURCES_TOGETHER) if each else "" for each in sources])
    fitted = fit_serving(groups, measured, start)
    labels: dict[str, Callable[[ServingGroup], Array]] = {
        "rows_left_out": lambda group: (group.index * 7919 % FOLDS).astype(str),  # scattered, and the same each time
        "model_left_out": lambda group: np.full(len(group), group.model.name),
        "gpu_left_out": lambda group: group.gpu,
        "source_left_out": lambda group: folds[group.index],
    }
    off = {"in_sample": _off(groups, measured, fitted, rows)}
    for name, label in labels.items():
        keys = _together([label(group) for group in groups])
        off[name] = np.full((len(QUANTITIES), rows), np.nan)
        for member in sorted({str(key) for each in keys for key in each} - {""}):
            inside = [each == member for each in keys]
            seen = [(g.take(~i), m.take(~i)) for g, m, i in zip(groups, measured, inside, strict=True) if not i.all()]
            without = fit_serving([g for g, _ in seen], [m for _, m in seen], fitted, rounds=1, steps=3)
            left = [(g.take(i), m.take(i)) for g, m, i in zip(groups, measured, inside, strict=True) if i.any()]
            found = _off([g for g, _ in left], [m for _, m in left], without, rows)
            off[name] = np.where(np.isfinite(found), found, off[name])
    return ServingResiduals(fitted, tuple(groups), off)


def _together(keys: Sequence[Array]) -> list[Array]:
    """Members of each row, those of few rows joined in a few parts: hundreds of fits would say little more."""
    size = Counter(str(key) for each in keys for key in each)
    parts = {key: f"few {adler32(key.encode()) % FEW_PARTS}" for key in size if key and size[key] < FEW_ROWS}
    return [np.array([parts.get(str(key), str(key)) for key in each]) for each in keys]


def _off(
    groups: Sequence[ServingGroup], measured: Sequence[Measured], constants: ServingEfficiency, rows: int
) -> Array:
    off = np.full((len(QUANTITIES), rows), np.nan)
    for group, seen in zip(groups, measured, strict=True):
        found = predict_group(group.under(constants))
        off[:, group.index] = np.log(quantities(group, found)) - seen.logarithms
    return off


# A fit of serving with its record: errors in sample and left out, ranges, and the YAML that keeps it.


FEW_POINTS = 10
"""Points of an engine that say as much of its spread as all the others' do."""
FEW_GROUPS = 1.2
"""How much wider, in logarithms, the next GPU or model may err than seven that were left out: Student's t at 90%."""
_TIMES = {
    "layer", "host", "startup", "expert_layer", "latent_layer", "sequence", "draft", "all_reduce_network",
    "all_to_all_network",
}  # fmt: skip
_HEADER = """\
# Efficiency of serving, written by the fit of measurements/e2e.csv (see docs/accuracy.md).
# What kernels reach is in kernels.yaml; here is what engines make of it and add. Behind each fitted constant: what it
# means, and the prior that it was drawn from (value and standard deviation of its logarithm).
# ranges: observed over predicted, at 10% and 90% of points left out of the fit.
"""


def fit_serving_rows(
    rows: Sequence[Row], single: Sequence[Row] = (), *, source: str, date: str, start: ServingEfficiency | None = None
) -> ServingEfficiency:
    """Fit the constants of serving to rows of e2e measurements; return them with their errors and ranges.

    rows: as load_measurements returns them; those excluded by rule are not used. single: results from the field, as
    serving rows, whose sources are left out whole in turn. source: where they come from. date: of the fit. start:
    constants to begin with, else those of the catalog.
    """
    catalog = Catalog()
    start = start or catalog.serving_efficiency()
    every = [*rows, *single]
    usable = np.array([not row["excluded"] for row in score_serving(every, start, catalog)])
    cases, index, _ = resolve(every, start, catalog)
    groups = serving_groups(cases, index)
    measured = [measured_of(every, group, usable) for group in groups]
    sources = [*("" for _ in rows), *(str(row.get("source") or "") for row in single)]
    residuals = cross_validate_serving(groups, measured, start, sources)
    by_row = {number: case for number, case in zip(index, cases, strict=True) if usable[number]}
    # Single results of recipes are fitted with the rest; classes of recipes are of whole benchmarks.
    classes = _classes(residuals, {n: case for n, case in by_row.items() if n < len(rows) or _is_untuned(case)})
    asked = [asked_of(case.scenario) for case in by_row.values()]
    tree = tree_of(residuals.constants)
    tree |= {
        "measured_gpus": sorted({each.gpu for each in asked}),
        "measured_models": sorted({each.model for each in asked}),
        "measured_shapes": sorted({str(each.shape) for each in asked}),
        "measured_architectures": sorted({each.architecture for each in asked}),
        "measured_vendors": sorted({each.vendor for each in asked}),
        "measured_backends": sorted({str(each.backend) for each in asked}),
        "ranges": {name: _ranges(off, name.endswith(UNTUNED)) for name, off in classes.items()},
        "errors": {name: _errors(off) for name, off in classes.items()},
        "provenance": {"source": source, "date": date, "points": len(by_row)},
    }
    return from_tree(tree, residuals.constants)


def _is_untuned(case: ServingRow) -> bool:
    return case.scenario.options.tuning == "default"


@dataclass(frozen=True, slots=True)
class _Off:
    """Residuals of one class by one way of leaving out; rows of large groups weigh less each."""

    values: Array
    weights: Array
    backends: Array  # engine of each


def _classes(residuals: ServingResiduals, cases: Mapping[int, ServingRow]) -> dict[str, dict[str, _Off]]:
    """Residuals of each class, by what was left out."""
    numbers: dict[str, list[tuple[int, int]]] = {name: [] for name in LABELS}
    tpot, ttft, rate, prefill = range(len(QUANTITIES))
    for number, case in cases.items():
        name = serving_class(case)
        numbers[name].append((rate if name == "throughput" else tpot, number))
        if name not in ("throughput", "static"):
            numbers[first_token_class(case)] += [(ttft, number), (prefill, number)]
    found: dict[str, dict[str, _Off]] = {}
    for name, places in numbers.items():
        found[name] = {left_out: _residuals_of(residuals, left_out, places, cases) for left_out in LEFT_OUT}
    return {name: off for name, off in found.items() if len(off["in_sample"].values)}


def _residuals_of(
    residuals: ServingResiduals, left_out: str, places: Sequence[tuple[int, int]], cases: Mapping[int, ServingRow]
) -> _Off:
    kept = [place for place in places if np.isfinite(residuals.off[left_out][place])]
    members = [cases[row].asked[1] if left_out == "gpu_left_out" else cases[row].scenario.model.name for _, row in kept]
    size = Counter(members)
    whole = left_out in ("model_left_out", "gpu_left_out")
    # What is unseen errs as a whole: a group of 300 rows says less of the next group than 300 groups would.
    weights = np.array([size[member] ** -0.5 if whole else 1.0 for member in members])
    backends = np.array([str(cases[row].scenario.backend) for _, row in kept])
    return _Off(np.array([residuals.off[left_out][place] for place in kept]), weights, backends)


def _ranges(off: Mapping[str, _Off], untuned: bool) -> dict[str, dict[str, float]]:
    """Ranges of a class. untuned: of people who have nothing to do with each other; the next is a source not seen."""
    levels = ("model_left_out", "gpu_left_out", *(("source_left_out",) if untuned else ()))
    parts = [off[name] for name in levels]
    known = off["source_left_out" if untuned else "rows_left_out"]
    unseen = _Off(
        np.concatenate([each.values for each in parts]),
        np.concatenate([each.weights for each in parts]),
        np.concatenate([each.backends for each in parts]),
    )
    return {
        "known": _range(known),
        "unseen": _range(unseen, FEW_GROUPS),
        "backends": _spread_by_backend(off["rows_left_out"]),
    }


def _spread_by_backend(off: _Off) -> dict[str, float]:
    """How much more than all points those of each engine spread, in logarithms; of few points, drawn towards 1."""
    size = np.abs(off.values)
    of_all = np.quantile(size, HIGH - LOW)
    found = {}
    for name in sorted(set(off.backends)):
        own = size[off.backends == name]
        weight = len(own) / (len(own) + FEW_POINTS)
        found[str(name)] = round(float(weight * np.quantile(own, HIGH - LOW) / of_all + 1 - weight), 2)
    return found if len(found) > 1 else {}


def _range(off: _Off, wider: float = 1.0) -> dict[str, float]:
    """Observed over predicted at LOW and HIGH, a little wider for few points."""
    spare = 1 / (len(off.values) + 1)
    order = np.argsort(-off.values)
    rank = np.cumsum(off.weights[order]) / off.weights.sum() - off.weights[order] / off.weights.sum() / 2
    low, high = np.interp([LOW - spare, HIGH + spare], rank, -off.values[order])
    return asdict(range_between(low, high, wider))


def _errors(off: Mapping[str, _Off]) -> dict[str, Any]:
    kept = [name for name in LEFT_OUT if len(off[name].values) >= FEW_POINTS or name != "source_left_out"]
    return {"points": len(off["in_sample"].values), **{name: asdict(fit_error(off[name].values)) for name in kept}}


def serving_yaml(constants: ServingEfficiency) -> str:
    """Return the text of serving.yaml that holds `constants`: each with its meaning and prior."""
    notes = {
        each.path: f"{each.meaning}; prior {constant_text(each.path, each.prior.value)} +- {each.prior.spread:.0%}"
        for each in PARAMETERS
    }
    lines: list[str] = []
    for key, value in tree_of(constants).items():
        if key == "errors" and not value:
            continue  # a few runs of one's own say nothing of whole classes
        if key in ("ranges", "errors"):
            lines += block(key, value, 2)
        else:
            lines += _lines(key, value, key, notes, "")
    return _HEADER + "\n".join(lines) + "\n"


def _lines(key: str, value: Any, path: str, notes: Mapping[str, str], indent: str) -> list[str]:
    if isinstance(value, Mapping):
        inner = [line for k, v in value.items() for line in _lines(k, v, f"{path}.{k}", notes, indent + "  ")]
        return [f"{indent}{key}:", *inner] if inner else [f"{indent}{key}: {{}}"]
    note = f"  # {notes[path]}" if path in notes else ""
    return [f"{indent}{key}: {constant_text(path, value)}{note}"]


def constant_text(path: str, value: Any) -> str:
    """A constant by its path as serving.yaml writes it: '35.1 us', '1.063'."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and path.rpartition(".")[2] in _TIMES:
        unit, size = next((u, s) for u, s in (("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)) if value >= s or s == 1e-9)
        return f"{value / size:.3g} {unit}" if value else "0 s"
    if isinstance(value, float):
        unit = "GB/s" if path.endswith("bandwidth") else "GB"
        return f"{value:.4g}" if value < 1e6 else f"{value / 1e9:.4g} {unit}"
    return flow(value)
