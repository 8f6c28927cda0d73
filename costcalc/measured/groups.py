"""Scored measurements as one result: by kind and op class, by GPU, model, engine, family or precision."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

from costcalc.measured.columns import KINDS
from costcalc.measured.facets import FACETS
from costcalc.measured.kinds import KERNEL_KINDS
from costcalc.measured.load import Measurements, Row, Unusable
from costcalc.measured.scoring import Scored, Summary, score, summary
from costcalc.measured.serving import LABELS
from costcalc.specs.efficiency import KernelEfficiency
from costcalc.specs.serving import ServingEfficiency

Records = dict[tuple[str, str], dict[str, float]]
"""Left-out errors of fits by kind and class: `unseen_gpu`, `unseen_model`."""
NOT_PREDICTED = "not predicted"
_NUMBERS = ("predicted", "low", "high", "ideal", "ape")
RESULTS = (*_NUMBERS, "quantity", "op_class", "warning", "excluded", *(f"ttft_ms_{name}" for name in _NUMBERS))
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
        """The errors by kind and class, and by one of FACETS.

        by: 'gpu', 'model', 'backend', 'family' or 'precision', or None for whole classes.
        records: left-out errors of the fits, to stand beside those of whole classes.
        """
        found = []
        facet = FACETS[by] if by else _whole

        def member(point: Point) -> str:
            return facet(point.row)

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
) -> Validation:
    """Return the measurements of files, each with its prediction and error, and what cannot be read with why.

    files: as load_measurements and shipped_measurements return them.
    efficiency: fitted parameters of kernels, else those of the catalog. wanted: which rows count; by default all.
    Raises CostcalcError for a kind that cannot be scored.
    """
    points: list[Point] = []
    for file in files:
        found = [_unpredicted(file, each) for each in file.unusable if wanted is None or wanted(each.given)]
        chosen = [index for index, row in enumerate(file.rows) if wanted is None or wanted(row)]
        scored = score(file.kind, [file.rows[index] for index in chosen], efficiency)
        for index, row in zip(chosen, scored, strict=True):
            line = file.lines[index] if file.lines else 0
            given = file.given[index] if file.given else file.rows[index]
            found.append(Point(file.kind, row, given, file.path, line))
        for point in sorted(found, key=lambda each: each.line):
            points += [point, *_first_token(point)]
    return Validation(tuple(points))


def _unpredicted(file: Measurements, row: Unusable) -> Point:
    nothing = dict.fromkeys(_NUMBERS)
    result = {"quantity": QUANTITY.get(file.kind, "ms"), "op_class": "", "warning": "", "excluded": row.reason}
    return Point(file.kind, {**row.given, **nothing, **result}, row.given, file.path, row.line)


QUANTITY = {"e2e": "tpot_ms"}
"""What a kind of file measures where a row does not tell; else `ms`."""


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
    found = {name: row.get(f"ttft_ms_{name}") for name in _NUMBERS}
    return [replace(point, row={**row, **found, "quantity": "ttft_ms", "op_class": label, "excluded": ""}, beside=True)]


FIRST_TOKEN = {
    LABELS["decode"]: LABELS["prefill"],
    LABELS["decode_experts"]: LABELS["prefill"],
    LABELS["pools"]: LABELS["prefill_pools"],
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
    labels = list(LABELS.values())
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


def _whole(_: Row) -> str:
    return ""
