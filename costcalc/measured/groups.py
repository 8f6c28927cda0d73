"""Scored measurements as one result: by kind and op class, by GPU, model, engine, family or precision."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from costcalc.errors import CostcalcError
from costcalc.measured.gpus import find_gpu
from costcalc.measured.kinds import KERNEL_KINDS
from costcalc.measured.load import Measurements, Row
from costcalc.measured.rows import backend_of
from costcalc.measured.scoring import Scored, Summary, score, summary
from costcalc.specs.efficiency import FitError, KernelEfficiency

NOT_PREDICTED = "not predicted"
UNNAMED = "-"


@dataclass(frozen=True, slots=True)
class Point:
    """A scored row, and where it stands."""

    kind: str
    row: Scored
    path: str = ""
    line: int = 0

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
    left_out: FitError | None = None  # of the fit's own record: every GPU predicted without its points


@dataclass(frozen=True, slots=True)
class Validation:
    """Predicted against measured, row by row."""

    points: tuple[Point, ...]

    def kinds(self) -> dict[str, Summary]:
        """The errors by kind of measurement."""
        return {kind: summary([point.row for point in points]) for kind, points in _divided(self.points, _kind).items()}

    def groups(self, by: str | None = None, efficiency: KernelEfficiency | None = None) -> list[Group]:
        """The errors by kind and class, and by one of BY.

        by: 'gpu', 'model', 'backend', 'family' or 'precision', or None for whole classes.
        efficiency: the fit whose left-out errors stand beside those of whole classes.
        """
        found = []
        for (kind, label), points in _divided(self.points, lambda point: (point.kind, point.label)).items():
            members = _divided(points, BY[by]) if by else {"": points}
            for member in sorted(members, key=lambda name: -len(members[name])):
                rows = [point.row for point in members[member]]
                record = None if by else _left_out(kind, label, efficiency)
                found.append(Group(kind, label, member, summary(rows), record))
        return found

    def worst(self, count: int) -> list[Point]:
        """The points furthest off, too high and too low alike."""
        ratios = [(abs(log(point.ratio)), point) for point in self.points if point.ratio]
        return [point for _, point in sorted(ratios, key=lambda each: -each[0])[:count]]

    def excluded(self) -> dict[str, list[Point]]:
        """The points that are not scored, by reason."""
        left_out = [point for point in self.points if point.row["excluded"]]
        return _divided(left_out, lambda point: str(point.row["excluded"]))

    def to_dict(self) -> dict[str, Any]:
        """`{"kinds": {kind: errors}, "rows": [{the row, its prediction}]}`; rows are named with their kind."""
        kinds = {}
        for kind, points in _divided(self.points, _kind).items():
            tree = _tree(summary([point.row for point in points]))
            parts = _divided(points, lambda point: str(point.row["quantity"]))
            if len(parts) > 1:
                tree["quantities"] = {name: _tree(summary([each.row for each in part])) for name, part in parts.items()}
            kinds[kind] = tree
        return {"kinds": kinds, "rows": [{"measurement": point.kind, **point.row} for point in self.points]}


def validate(files: Sequence[Measurements], efficiency: KernelEfficiency | None = None) -> Validation:
    """Return the measurements of files, each with its prediction and error.

    files: as load_measurements and shipped_measurements return them.
    efficiency: fitted parameters of kernels, else those of the catalog.
    Raises CostcalcError for a kind that cannot be scored.
    """
    points = []
    for file in files:
        lines = dict(enumerate(file.lines))
        for index, row in enumerate(score(file.kind, file.rows, efficiency)):
            points.append(Point(file.kind, row, file.path, lines.get(index, 0)))
    return Validation(tuple(points))


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


def _left_out(kind: str, label: str, efficiency: KernelEfficiency | None) -> FitError | None:
    if efficiency is None or kind not in KERNEL_KINDS:
        return None
    ops = [op for op, model in KERNEL_KINDS[kind].models.items() if model.label == label]
    error: FitError | None = getattr(efficiency, ops[0]).fit.gpu_left_out if ops else None
    return error


def _tree(errors: Summary) -> dict[str, Any]:
    return {**errors, "excluded": sum(errors["excluded"].values())}
