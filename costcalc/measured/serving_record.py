"""A fit of serving with its record: errors in sample and left out, ranges, and the YAML that keeps it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from costcalc.catalog.efficiency import load_kernel_efficiency
from costcalc.catalog.likeness import shape_of
from costcalc.catalog.serving import serving_efficiency
from costcalc.catalog.validation import adapter
from costcalc.engine.timing import UNPACKED_EXPERTS
from costcalc.measured.load import Row
from costcalc.measured.model import Array
from costcalc.measured.serving import (
    LABELS,
    first_token_class,
    measured_of,
    resolve,
    score_serving,
    serving_class,
)
from costcalc.measured.serving_case import Case
from costcalc.measured.serving_crossval import LEFT_OUT, ServingResiduals, cross_validate_serving
from costcalc.measured.serving_fit import QUANTITIES
from costcalc.measured.serving_group import serving_groups
from costcalc.measured.serving_parameters import PARAMETERS
from costcalc.specs.efficiency import KernelEfficiency
from costcalc.specs.serving import ServingEfficiency

LOW, HIGH = 0.1, 0.9
"""Quantiles of the left-out residuals that a range spans: 80%."""
FEW_POINTS = 10
"""Points of an engine that say as much of its spread as all the others' do."""
FEW_GROUPS = 1.2
"""How much wider, in logarithms, the next GPU or model may err than seven that were left out: Student's t at 90%."""
_TIMES = {
    "layer", "startup", "expert_layer", "latent_layer", "sequence", "routed_pair", "all_reduce",
    "all_reduce_per_doubling", "all_reduce_network", "all_to_all", "all_to_all_network", "prefill_layer",
    "prefill_expert_layer",
}  # fmt: skip
_HEADER = """\
# Efficiency of serving, written by the fit of measurements/e2e.csv (see docs/accuracy.md).
# Shares are of datasheet peaks and never exceed 1; times are what engines add. Behind each fitted constant: what it
# means, and the prior that it was drawn from (value and standard deviation of its logarithm).
# shared_pcie, experts_unpacked: of the fits in kernels.yaml. ranges: observed over predicted, at 10% and 90% of points
# left out of the fit.
"""


def fit_serving_rows(
    rows: Sequence[Row], *, source: str, date: str, start: ServingEfficiency | None = None
) -> ServingEfficiency:
    """Fit the constants of serving to rows of e2e measurements; return them with their errors and ranges.

    rows: as load_measurements returns them; those excluded by rule are not used. source: where they come from.
    date: of the fit. start: constants to begin with, else those of the catalog.
    """
    start = start or serving_efficiency()
    usable = np.array([not row["excluded"] for row in score_serving("e2e", rows, constants=start)])
    cases, index, _ = resolve(rows)
    groups = serving_groups(cases, index)
    measured = [measured_of(rows, group, usable) for group in groups]
    residuals = cross_validate_serving(groups, measured, start, len(rows))
    by_row = {number: case for number, case in zip(index, cases, strict=True) if usable[number]}
    classes = _classes(residuals, by_row)
    tree = asdict(residuals.constants)
    tree |= {
        "measured_gpus": sorted({case.machine.name for case in by_row.values()}),
        "measured_models": sorted({case.model.name for case in by_row.values()}),
        "measured_shapes": sorted({shape_of(case.model) for case in by_row.values()}),
        "measured_architectures": sorted({case.machine.architecture for case in by_row.values()}),
        "ranges": {name: _ranges(off) for name, off in classes.items()},
        "errors": {name: _errors(off) for name, off in classes.items()},
        "provenance": {"source": source, "date": date, "points": len(by_row)},
        "shared_pcie": _shared_pcie(load_kernel_efficiency()),
    }
    tree["kind_flops"][UNPACKED_EXPERTS] = _unpacked_experts(load_kernel_efficiency())
    return adapter(ServingEfficiency).validate_python(tree)


def _shared_pcie(kernels: KernelEfficiency) -> dict[str, float]:
    """What is left of a link's share where cards share PCIe, by architecture, as collectives were measured."""
    levels = kernels.collective.multipliers
    any_card = levels["fabric"]["shared-pcie"]["link"]
    cards = {name.split()[-1]: factors["link"] for name, factors in levels["fabric_family"].items()}
    shares = {name: any_card * factor for name, factor in cards.items()} | {"other": any_card}
    return {name: round(min(share, 1.0), 4) for name, share in shares.items()}


def _unpacked_experts(kernels: KernelEfficiency) -> float:
    """Share of the 16-bit peak of experts that are unpacked: between Marlin's and Triton's kernels, as measured."""
    factors = kernels.experts.multipliers["kernel"]
    middle = (factors["marlin"]["flops"] * factors["triton"]["flops"]) ** 0.5
    return round(kernels.experts.parameters.flops * middle, 4)


@dataclass(frozen=True, slots=True)
class _Off:
    """Residuals of one class by one way of leaving out; rows of large groups weigh less each."""

    values: Array
    weights: Array
    backends: Array  # engine of each


def _classes(residuals: ServingResiduals, cases: Mapping[int, Case]) -> dict[str, dict[str, _Off]]:
    """Residuals of each class, by what was left out."""
    numbers: dict[str, list[tuple[int, int]]] = {name: [] for name in LABELS}
    for number, case in cases.items():
        name = serving_class(case)
        offline = name == "throughput"
        numbers[name].append((QUANTITIES.index("tokens_per_s_gpu" if offline else "tpot"), number))
        if not offline and name != "static":
            numbers[first_token_class(case)].append((QUANTITIES.index("ttft"), number))
    found: dict[str, dict[str, _Off]] = {}
    for name, places in numbers.items():
        found[name] = {left_out: _residuals_of(residuals, left_out, places, cases) for left_out in LEFT_OUT}
    return {name: off for name, off in found.items() if len(off["in_sample"].values)}


def _residuals_of(
    residuals: ServingResiduals, left_out: str, places: Sequence[tuple[int, int]], cases: Mapping[int, Case]
) -> _Off:
    kept = [place for place in places if np.isfinite(residuals.off[left_out][place])]
    members = [cases[row].gpu if left_out == "gpu_left_out" else cases[row].model.name for _, row in kept]
    size = Counter(members)
    whole = left_out in ("model_left_out", "gpu_left_out")
    # What is unseen errs as a whole: a group of 300 rows says less of the next group than 300 groups would.
    weights = np.array([size[member] ** -0.5 if whole else 1.0 for member in members])
    backends = np.array([cases[row].backend for _, row in kept])
    return _Off(np.array([residuals.off[left_out][place] for place in kept]), weights, backends)


def _ranges(off: Mapping[str, _Off]) -> dict[str, dict[str, float]]:
    parts = [off["model_left_out"], off["gpu_left_out"]]
    unseen = _Off(
        np.concatenate([each.values for each in parts]),
        np.concatenate([each.weights for each in parts]),
        np.concatenate([each.backends for each in parts]),
    )
    return {
        "known": _range(off["rows_left_out"]),
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
    return {
        "low": round(float(np.exp(min(low, -0.02) * wider)), 3),
        "high": round(float(np.exp(max(high, 0.02) * wider)), 3),
    }


def _errors(off: Mapping[str, _Off]) -> dict[str, Any]:
    def error(values: Array) -> dict[str, float]:
        size = np.abs(np.expm1(values))
        return {
            "median_ape": round(float(np.median(size)), 3),
            "mape": round(float(size.mean()), 3),
            "bias": round(float(np.median(values)), 3),
        }

    return {"points": len(off["in_sample"].values), **{name: error(off[name].values) for name in LEFT_OUT}}


def serving_yaml(constants: ServingEfficiency) -> str:
    """Return the text of serving.yaml that holds `constants`: each with its meaning and prior."""
    notes = {
        path: f"{each.meaning}; prior {_shown(path, each.prior.value)} +- {each.prior.spread:.0%}"
        for each in PARAMETERS
        for path in each.paths
    }
    lines: list[str] = []
    for key, value in asdict(constants).items():
        if key == "errors" and not value:
            continue  # a few runs of one's own say nothing of whole classes
        if key in ("ranges", "errors"):
            lines.append(f"{key}:")
            for name, entry in value.items():
                lines.append(f"  {name}:")
                lines += [f"    {part}: {_flow(each)}" for part, each in entry.items()]
        else:
            lines += _lines(key, value, key, notes, "")
    return _HEADER + "\n".join(lines) + "\n"


def _lines(key: str, value: Any, path: str, notes: Mapping[str, str], indent: str) -> list[str]:
    if isinstance(value, Mapping):
        inner = [line for k, v in value.items() for line in _lines(k, v, f"{path}.{k}", notes, indent + "  ")]
        return [f"{indent}{key}:", *inner] if inner else [f"{indent}{key}: {{}}"]
    note = f"  # {notes[path]}" if path in notes else ""
    return [f"{indent}{key}: {_shown(path, value)}{note}"]


def _shown(path: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and (path.startswith("quantize.") or path.rpartition(".")[2] in _TIMES):
        unit, size = next((u, s) for u, s in (("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9)) if value >= s or s == 1e-9)
        return f"{value / size:.3g} {unit}" if value else "0 s"
    if isinstance(value, float):
        return f"{value:.4g}" if value < 1e6 else f"{value / 1e9:.4g} GB"
    return _flow(value)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str) and (any(mark in value for mark in ",:#[]{}'") or value[:1].isdigit()):
        return "'" + value.replace("'", "''") + "'"
    return f"{value:.10g}" if isinstance(value, float) else "null" if value is None else str(value)
