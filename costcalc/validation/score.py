"""Predictions scored against measurements: every row predicted where it can be, every other one named; by groups."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import log
from typing import Any, TypedDict

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.catalog.names import normal_name
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.hardware.efficiency import UNKNOWN_FAMILY, KernelEfficiency, KernelFit, ServingEfficiency
from costcalc.validation.files import KINDS, Measurements, Row, Unusable, columns_of, find_gpu
from costcalc.validation.kernels.fit import KERNEL_KINDS, exclusions, measured_seconds, predict_kernel, prepared
from costcalc.validation.kernels.rows import KernelParameters, KernelRows, backend_of
from costcalc.validation.serving.energy import JOULES, score_energy
from costcalc.validation.serving.rows import find_model
from costcalc.validation.serving.score import (
    LABELS,
    MEMORY,
    NUMBERS,
    POOL,
    score_field,
    score_memory,
    score_serving,
    unpredicted,
)

UNNAMED = "-"


def gpu_name(row: Row, catalog: Catalog) -> str:
    """The catalog's name of a row's GPU, or what the row says."""
    try:
        return find_gpu(str(row["gpu"]), catalog)[0]
    except CostcalcError:
        return str(row["gpu"]) or UNNAMED


def family(row: Row, catalog: Catalog) -> str:
    """The architecture of a row's GPU."""
    try:
        return find_gpu(str(row["gpu"]), catalog)[1].architecture
    except CostcalcError:
        return UNNAMED


def model_name(row: Row, catalog: Catalog) -> str:
    """The model of a row, or whose shape it has, by the catalog's name where it has one."""
    text = str(row.get("model") or row.get("model_shape") or "")
    try:
        return find_model(text, catalog).name if text else UNNAMED
    except CostcalcError:
        return text


def backend_name(row: Row, _: Catalog | None = None) -> str:
    """The serving engine or library of a row."""
    words = f"{row.get('framework') or row.get('engine') or ''} {row.get('impl') or ''}".split()
    return backend_of(row) or (words[0].lower() if words else UNNAMED)


def precision_of(row: Row, _: Catalog | None = None) -> str:
    """The number formats of a row: of its cache, queries, weights and experts, as far as they are named."""
    names = (str(row.get(column) or "") for column in ("dtype", "moe_dtype", "q_dtype", "kv_dtype"))
    return " / ".join(dict.fromkeys(name for name in names if name)) or UNNAMED


FACETS: Mapping[str, Callable[[Row, Catalog], str]] = {
    "gpu": gpu_name,
    "model": model_name,
    "backend": backend_name,
    "family": family,
    "precision": precision_of,
}
"""What measurements can be divided by."""

_ASKED: Mapping[str, Callable[[str, Catalog], str]] = {
    "gpu": lambda text, catalog: find_gpu(text, catalog)[0],
    "model": lambda text, catalog: find_model(text, catalog).name,
    "backend": lambda text, _: backend_of({"framework": text}) or text.strip().lower(),
}
"""How a name that somebody types is read, by what they ask for."""


def only(rows: Iterable[Row], facet: str, names: Iterable[str], catalog: Catalog) -> Callable[[Row], bool]:
    """Return whether a row is one of those that are asked for.

    rows: all of them. facet: 'gpu', 'model' or 'backend'. names: as typed, in any spelling.
    Raises CostcalcError for a name that none of the rows has, with the nearest one that some have.
    """
    of = FACETS[facet]
    known = {normal_name(name): name for name in (of(row, catalog) for row in rows)}
    wanted = {_asked(facet, name, known, catalog) for name in names}
    return lambda row: normal_name(of(row, catalog)) in wanted


def _asked(facet: str, name: str, known: Mapping[str, str], catalog: Catalog) -> str:
    try:
        read = normal_name(_ASKED[facet](name, catalog))
    except CostcalcError:
        read = normal_name(name)
    if read not in known:
        hint = did_you_mean(read, known.values()) or f"there are: {', '.join(sorted(known.values()))}"
        raise CostcalcError(f"no row is of {shown(name)}", where=f"--{facet}", hint=hint)
    return read


# Score predictions against measurements: every row predicted where it can be, and every other one named.


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
    coverage_low: float | None  # where that of ever more such points would be, at 95%
    coverage_high: float | None
    ideal_median_ape: float | None  # of the roofline alone
    excluded: dict[str, int]  # rows not scored, by reason


def score(
    kind: str, rows: Sequence[Row], efficiency: KernelEfficiency | None = None, catalog: Catalog | None = None
) -> list[Scored]:
    """Return every row with its prediction and error.

    kind: of measurement. rows: as load_measurements returns them.
    efficiency: fitted parameters, else those of the catalog. catalog: by default that of every command.
    Raises CostcalcError for an unknown kind.
    """
    columns_of(kind)
    if kind in KERNEL_KINDS:
        return score_kernels(kind, rows, efficiency, catalog)
    if kind == "e2e":
        return score_serving(rows, catalog=catalog)
    others = {"field": score_field, "kv_pool": score_memory, "power": score_energy}
    return others[kind](rows, catalog)


def summary(scored: Sequence[Scored]) -> Summary:
    """Return the errors of scored rows; excluded ones are counted by reason."""
    counted = [row for row in scored if not row["excluded"]]
    reasons = Counter(str(row["excluded"]) for row in scored if row["excluded"])
    if not counted:
        nothing: Any = {**dict.fromkeys(Summary.__annotations__), "n": 0, "excluded": dict(reasons)}
        return nothing
    measured = np.array([row[row["quantity"]] for row in counted], dtype=float)
    predicted, low, high, ideal = (
        np.array([row[name] for row in counted], dtype=float) for name in ("predicted", "low", "high", "ideal")
    )
    off = np.abs(predicted / measured - 1)
    inside = int(np.sum((low <= measured) & (measured <= high)))
    least, most = binomial_interval(inside, len(counted))
    return Summary(
        n=len(counted),
        median_ape=float(np.median(off)),
        mape=float(off.mean()),
        bias=float(np.median(predicted / measured) - 1),
        coverage=inside / len(counted),
        coverage_low=least,
        coverage_high=most,
        ideal_median_ape=float(np.median(np.abs(ideal / measured - 1))),
        excluded=dict(reasons),
    )


def binomial_interval(successes: int, trials: int) -> tuple[float, float]:
    """The 95% interval of a chance of which `successes` of `trials` were seen [0 to 1] (Wilson 1927)."""
    z2 = 1.959964**2
    centre = (successes + z2 / 2) / (trials + z2)
    half = np.sqrt(z2 * (successes * (trials - successes) / trials + z2 / 4)) / (trials + z2)
    return float(max(centre - half, 0.0)), float(min(centre + half, 1.0))


def score_kernels(
    kind: str, rows: Sequence[Row], efficiency: KernelEfficiency | None = None, catalog: Catalog | None = None
) -> list[Scored]:
    """Return every row of a kernel kind with its prediction [ms] and error."""
    catalog = catalog or Catalog()
    efficiency = efficiency or catalog.kernel_efficiency()
    fits: dict[str, KernelFit[Any]] = {op: getattr(efficiency, op) for op in KERNEL_KINDS[kind].models}
    parameters = {op: parameters_of(fit) for op, fit in fits.items()}
    parts = prepared(kind, rows, catalog)
    scored = [unpredicted(row, OF_KERNELS, parts.refused.get(index, "")) for index, row in enumerate(rows)]
    for kernel in parts.kernels:
        model = kernel.model
        predicted = predict_kernel(kernel, parameters, parts.kernels)
        ideal, measured = model.bound(kernel.features), measured_seconds(rows, kernel)
        factors, reasons = _ranges(kernel, fits[model.op]), exclusions(rows, kernel)
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
    return KernelParameters(values, fit.levels)


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
    parts = [caveat, f"ignored: {ignored}" if ignored else ""]
    return "; ".join(part for part in parts if part)


# Scored measurements as one result: by kind and op class, by GPU, model, engine, family or precision.


Records = dict[tuple[str, str], dict[str, float]]
"""Left-out errors of fits by kind and class: `left_out`, `unseen_gpu`, `unseen_model`."""
NOT_PREDICTED = "not predicted"
RESULTS = (
    *NUMBERS, "quantity", "op_class", "command", "warning", "excluded", *(f"ttft_ms_{name}" for name in NUMBERS),
    "weights_gib_predicted", "max_concurrency_predicted",
)  # fmt: skip
"""Fields that a prediction adds to a row, as far as it has them."""
_OF_A_LINE = re.compile(r"^line \d+: ")


@dataclass(frozen=True, slots=True)
class Point:
    """A scored row, and where it stands."""

    kind: str
    row: Scored
    given: Row  # as the file has it
    path: str = ""
    line: int = 0
    beside: bool = False  # a further prediction of a row that stands already: its time to first token

    @property
    def label(self) -> str:
        """The class that it counts in, as tables show it."""
        return str(self.row["op_class"]) or NOT_PREDICTED

    @property
    def measured(self) -> float | None:
        """What was measured, in the unit of the prediction."""
        value = self.row.get(self.row["quantity"])
        return float(value) if value else None

    @property
    def ratio(self) -> float | None:
        """Predicted over measured, of a point that counts."""
        if self.row["excluded"] or not self.measured:
            return None
        return float(self.row["predicted"]) / self.measured


@dataclass(frozen=True, slots=True)
class Group:
    """The errors of points that have something in common."""

    kind: str
    label: str
    quantity: str  # that is predicted
    member: str  # of what the points are divided by; '' for all
    summary: Summary
    left_out: float | None = None  # median error by the fit's record: of points by fits without their like
    unseen_gpu: float | None = None  # median error by the fit's record: every GPU predicted without its points
    unseen_model: float | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """Predicted against measured, row by row."""

    points: tuple[Point, ...]
    catalog: Catalog  # that names of GPUs and models are looked up in

    def kinds(self) -> dict[str, Summary]:
        """The errors by kind of measurement, each row counted once."""
        return {kind: _summary(points) for kind, points in _divided(self._rows(), _kind).items()}

    def groups(self, by: str | None = None, records: Records | None = None) -> list[Group]:
        """The errors by kind and class, and by one of FACETS.

        by: 'gpu', 'model', 'backend', 'family' or 'precision', or None for whole classes.
        records: left-out errors of the fits, to stand beside those of whole classes.
        """
        found = []

        def member(point: Point) -> str:
            return FACETS[by](point.row, self.catalog) if by else ""

        classes = _divided(self.points, lambda point: (point.kind, point.label))
        for kind, label in sorted(classes, key=_order):
            points = classes[kind, label]
            members = _divided(points, member)
            quantity = str(points[0].row["quantity"])
            for name in sorted(members, key=lambda each: -len(members[each])):
                unseen = {} if by else (records or {}).get((kind, label), {})
                found.append(Group(kind, label, quantity, name, _summary(members[name]), **unseen))
        return found

    def worst(self, count: int) -> list[Point]:
        """The points of each class that are furthest off, too high and too low alike."""
        classes = _divided([point for point in self.points if point.ratio], lambda point: (point.kind, point.label))
        found = []
        for key in sorted(classes, key=_order):
            points = classes[key]
            found += sorted(points, key=lambda point: -abs(log(point.ratio or 1)))[:count]
        return found

    def excluded(self) -> dict[str, list[Point]]:
        """The points that are not scored, by reason."""
        left_out = [point for point in self._rows() if point.row["excluded"]]
        return _divided(left_out, lambda point: _OF_A_LINE.sub("", str(point.row["excluded"])))

    def warned(self) -> dict[str, list[Point]]:
        """The points whose prediction comes with a warning, by warning."""
        return _divided([point for point in self._rows() if point.row["warning"]], lambda point: point.row["warning"])

    def counted(self, kind: str | None = None) -> int:
        """How many points count, of one kind or of all."""
        return sum(point.ratio is not None for point in self._rows() if kind in (None, point.kind))

    @property
    def predicted(self) -> bool:
        """Whether any point has a prediction."""
        return any(point.row["predicted"] is not None for point in self.points)

    def to_dict(self, by: str | None = None) -> dict[str, Any]:
        """`{"kinds": {kind: errors}, "classes": [errors], "rows": [{the row, its prediction}]}`.

        Rows have the columns of their file, and are named with their kind. by: one of FACETS, which adds
        `"groups": [errors]`.
        """
        kinds = {}
        for kind, points in _divided(self._rows(), _kind).items():
            tree = _tree(_summary(points))
            parts = _divided([each for each in self.points if each.kind == kind], lambda each: each.row["quantity"])
            if len(parts) > 1:
                tree["quantities"] = {name: _tree(_summary(part)) for name, part in parts.items()}
            kinds[kind] = tree
        groups = {"groups": group_rows(self.groups(by), by)} if by else {}
        classes = group_rows(self.groups())
        return {"kinds": kinds, "classes": classes, **groups, "rows": [_row(point) for point in self._rows()]}

    def _rows(self) -> list[Point]:
        return [point for point in self.points if not point.beside]


def validate(
    files: Sequence[Measurements],
    efficiency: KernelEfficiency | None = None,
    wanted: Callable[[Row], bool] | None = None,
    catalog: Catalog | None = None,
) -> Validation:
    """Return the measurements of files, each with its prediction and error, and what cannot be read with why.

    files: as load_measurements and shipped_measurements return them.
    efficiency: fitted parameters of kernels, else those of the catalog. wanted: which rows count; by default all.
    catalog: by default that of every command.
    """
    points: list[Point] = []
    catalog = catalog or Catalog()
    for file in files:
        found = [_unpredicted_rows(file, each) for each in file.unusable if wanted is None or wanted(each.given)]
        chosen = [index for index, row in enumerate(file.rows) if wanted is None or wanted(row)]
        scored = score(file.kind, [file.rows[index] for index in chosen], efficiency, catalog)
        for index, row in zip(chosen, scored, strict=True):
            line = file.lines[index] if file.lines else 0
            given = file.given[index] if file.given else file.rows[index]
            found.append(Point(file.kind, row, given, file.path, line))
        for point in sorted(found, key=lambda each: each.line):
            points += [point, *_first_token(point)]
    return Validation(tuple(points), catalog)


def _unpredicted_rows(file: Measurements, row: Unusable) -> Point:
    result = unpredicted(row.given, QUANTITY.get(file.kind, OF_KERNELS), row.reason)
    return Point(file.kind, result, row.given, file.path, row.line)


OF_KERNELS = "ms"
QUANTITY = {"e2e": "tpot_ms", "kv_pool": POOL, "power": JOULES}
"""What a kind of file measures where a row does not tell; else what kernels do."""


def group_rows(groups: Sequence[Group], by: str | None = None) -> list[dict[str, Any]]:
    """Return groups as plain dictionaries: kind, class, quantity, what `by` divides them by, and the errors."""
    return [
        {"kind": each.kind, "class": each.label, "quantity": each.quantity}
        | ({by: each.member} if by else {})
        | _tree(each.summary)
        for each in groups
    ]


def left_out_records(efficiency: KernelEfficiency, serving: ServingEfficiency) -> Records:
    """Return the left-out errors that fits keep of themselves, by kind and class.

    efficiency: of kernels. serving: of serving.
    """
    found: Records = {}
    for kind, kernels in KERNEL_KINDS.items():
        for op, model in kernels.models.items():
            fit = getattr(efficiency, op).fit
            errors = {"left_out": fit.shape_left_out, "unseen_gpu": fit.gpu_left_out}
            found[kind, model.label] = {level: error.median_ape for level, error in errors.items()}
    for name, record in serving.errors.items():
        found["e2e", LABELS[name]] = {
            "left_out": record.rows_left_out.median_ape,
            "unseen_gpu": record.gpu_left_out.median_ape,
            "unseen_model": record.model_left_out.median_ape,
        }
    return found


def _first_token(point: Point) -> list[Point]:
    """The time to first token that a serving row predicts beside its rate, where both were measured."""
    row, label = point.row, FIRST_TOKEN.get(point.label)
    counts = row["excluded"] in ("", "not measured")  # of its rate
    if label is None or not counts or not row.get("ttft_ms"):
        return []
    found = {name: row.get(f"ttft_ms_{name}") for name in NUMBERS}
    return [replace(point, row={**row, **found, "quantity": "ttft_ms", "op_class": label, "excluded": ""}, beside=True)]


FIRST_TOKEN = {
    LABELS["decode"]: LABELS["prefill"],
    LABELS["decode_experts"]: LABELS["prefill"],
    LABELS["pools"]: LABELS["prefill_pools"],
    LABELS["decode_default"]: LABELS["prefill_default"],
    LABELS["decode_experts_default"]: LABELS["prefill_default"],
}
"""Class of the time to first token by the class of the row."""


def _kind(point: Point) -> str:
    return point.kind


def _divided(points: Sequence[Point], key: Callable[[Point], Any]) -> dict[Any, list[Point]]:
    found: dict[Any, list[Point]] = {}
    for point in points:
        found.setdefault(key(point), []).append(point)
    return found


def _order(of: tuple[str, str]) -> tuple[int, int]:
    """Kinds in the order of files, and classes as their fits list them."""
    kind, label = of
    labels = [*LABELS.values(), MEMORY]
    if kind in KERNEL_KINDS:
        labels = [model.label for model in KERNEL_KINDS[kind].models.values()]
    return list(KINDS).index(kind), labels.index(label) if label in labels else len(labels)


def _summary(points: Sequence[Point]) -> Summary:
    return summary([point.row for point in points])


def _tree(errors: Summary) -> dict[str, Any]:
    return {**errors, "excluded": sum(errors["excluded"].values())}


def _row(point: Point) -> dict[str, Any]:
    results = {name: point.row[name] for name in RESULTS if name in point.row}
    return {"measurement": point.kind, **point.given, **results}
