"""Scored measurements as one result: by kind and op class, by GPU, model, engine, family or precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

from costcalc.errors import CostcalcError
from costcalc.measured.columns import KINDS
from costcalc.measured.gpus import find_gpu
from costcalc.measured.kinds import KERNEL_KINDS
from costcalc.measured.load import Measurements, Row
from costcalc.measured.rows import backend_of
from costcalc.measured.scoring import Scored, Summary, score, summary
from costcalc.measured.serving import LABELS
from costcalc.specs.efficiency import KernelEfficiency
from costcalc.specs.serving import ServingEfficiency

Records = dict[tuple[str, str], dict[str, float]]
"""Left-out errors of fits by kind and class: `unseen_gpu`, `unseen_model`."""
NOT_PREDICTED = "not predicted"
UNNAMED = "-"


@dataclass(frozen=True, slots=True)
class Point:
    """A scored row, and where it stands."""

    kind: str
    row: Scored
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
    member: str  # of what the points are divided by; '' for all
    summary: Summary
    unseen_gpu: float | None = None  # median error by the fit's record: every GPU predicted without its points
    unseen_model: float | None = None


@dataclass(frozen=True, slots=True)
class Validation:
    """Predicted against measured, row by row."""

    points: tuple[Point, ...]

    def kinds(self) -> dict[str, Summary]:
        """The errors by kind of measurement, each row counted once."""
        return {kind: _summary(points) for kind, points in _divided(self._rows(), _kind).items()}

    def groups(self, by: str | None = None, records: Records | None = None) -> list[Group]:
        """The errors by kind and class, and by one of BY.

        by: 'gpu', 'model', 'backend', 'family' or 'precision', or None for whole classes.
        records: left-out errors of the fits, to stand beside those of whole classes.
        """
        found = []
        classes = _divided(self.points, lambda point: (point.kind, point.label))
        for kind, label in sorted(classes, key=_order):
            points = classes[kind, label]
            members = _divided(points, BY[by]) if by else {"": points}
            for member in sorted(members, key=lambda name: -len(members[name])):
                unseen = {} if by else (records or {}).get((kind, label), {})
                found.append(Group(kind, label, member, _summary(members[member]), **unseen))
        return found

    def worst(self, count: int) -> list[Point]:
        """The points of each kind and quantity that are furthest off, too high and too low alike."""
        counted = [point for point in self.points if point.ratio]
        found = []
        for points in _divided(counted, lambda point: (point.kind, point.row["quantity"])).values():
            found += sorted(points, key=lambda point: -abs(log(point.ratio or 1)))[:count]
        return found

    def excluded(self) -> dict[str, list[Point]]:
        """The points that are not scored, by reason."""
        left_out = [point for point in self._rows() if point.row["excluded"]]
        return _divided(left_out, lambda point: str(point.row["excluded"]))

    def to_dict(self) -> dict[str, Any]:
        """`{"kinds": {kind: errors}, "rows": [{the row, its prediction}]}`; rows are named with their kind."""
        kinds = {}
        for kind, points in _divided(self._rows(), _kind).items():
            tree = _tree(points)
            parts = _divided([each for each in self.points if each.kind == kind], lambda each: each.row["quantity"])
            if len(parts) > 1:
                tree["quantities"] = {name: _tree(part) for name, part in parts.items()}
            kinds[kind] = tree
        return {"kinds": kinds, "rows": [{"measurement": point.kind, **point.row} for point in self._rows()]}

    def _rows(self) -> list[Point]:
        return [point for point in self.points if not point.beside]


def validate(files: Sequence[Measurements], efficiency: KernelEfficiency | None = None) -> Validation:
    """Return the measurements of files, each with its prediction and error.

    files: as load_measurements and shipped_measurements return them.
    efficiency: fitted parameters of kernels, else those of the catalog.
    Raises CostcalcError for a kind that cannot be scored.
    """
    points = []
    for file in files:
        lines = file.lines or (0,) * len(file.rows)
        for row, line in zip(score(file.kind, file.rows, efficiency), lines, strict=True):
            point = Point(file.kind, row, file.path, line)
            points += [point, *_first_token(point)]
    return Validation(tuple(points))


def left_out_records(efficiency: KernelEfficiency, serving: ServingEfficiency) -> Records:
    """Return the left-out errors that fits keep of themselves, by kind and class.

    efficiency: of kernels. serving: of serving.
    """
    found: Records = {}
    for kind, kernels in KERNEL_KINDS.items():
        for op, model in kernels.models.items():
            found[kind, model.label] = {"unseen_gpu": getattr(efficiency, op).fit.gpu_left_out.median_ape}
    for name, record in serving.errors.items():
        medians = {"unseen_gpu": record.gpu_left_out.median_ape, "unseen_model": record.model_left_out.median_ape}
        found["e2e", LABELS[name]] = medians
    return found


def _first_token(point: Point) -> list[Point]:
    """The time to first token that a serving row predicts beside its rate, where both were measured."""
    row, label = point.row, FIRST_TOKEN.get(point.label)
    counts = row["excluded"] in ("", "not measured")  # of its rate
    if label is None or not counts or not row.get("ttft_ms"):
        return []
    found = {name: row.get(f"ttft_ms_{name}") for name in ("predicted", "low", "high", "ideal", "ape")}
    return [replace(point, row={**row, **found, "quantity": "ttft_ms", "op_class": label, "excluded": ""}, beside=True)]


FIRST_TOKEN = {
    LABELS["decode"]: LABELS["prefill"],
    LABELS["decode_experts"]: LABELS["prefill"],
    LABELS["pools"]: LABELS["prefill_pools"],
}
"""Class of the time to first token by the class of the row."""


def precision_of(row: Row) -> str:
    """The number formats of a row: of its cache, queries, weights and experts, as far as they are named."""
    names = (str(row.get(column) or "") for column in ("dtype", "moe_dtype", "q_dtype", "kv_dtype"))
    return " / ".join(dict.fromkeys(name for name in names if name)) or UNNAMED


def backend_name(row: Row) -> str:
    """The serving engine or library of a row."""
    words = f"{row.get('framework') or ''} {row.get('impl') or ''}".split()
    return backend_of(row) or (words[0].lower() if words else UNNAMED)


def _gpu(row: Row) -> str:
    try:
        return find_gpu(str(row["gpu"]))[0]
    except CostcalcError:
        return str(row["gpu"])


def _family(row: Row) -> str:
    try:
        return find_gpu(str(row["gpu"]))[1].architecture
    except CostcalcError:
        return UNNAMED


def _model(row: Row) -> str:
    return str(row.get("model") or row.get("model_shape") or UNNAMED)


def _of_row(name: Callable[[Row], str]) -> Callable[[Point], str]:
    return lambda point: name(point.row)


BY: Mapping[str, Callable[[Point], str]] = {
    "gpu": _of_row(_gpu),
    "model": _of_row(_model),
    "backend": _of_row(backend_name),
    "family": _of_row(_family),
    "precision": _of_row(precision_of),
}
"""What points can be divided by."""


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
    labels = list(LABELS.values())
    if kind in KERNEL_KINDS:
        labels = [model.label for model in KERNEL_KINDS[kind].models.values()]
    return list(KINDS).index(kind), labels.index(label) if label in labels else len(labels)


def _summary(points: Sequence[Point]) -> Summary:
    return summary([point.row for point in points])


def _tree(points: Sequence[Point]) -> dict[str, Any]:
    errors = _summary(points)
    return {**errors, "excluded": sum(errors["excluded"].values())}
