"""What five runs of one's own are worth, group by group: python benchmarks/calibrate.py [--exact] [--write DATE]

A group is a GPU under an engine of a version, of eight shipped rows or more. The constants before are those of a fit
without the group: the shipped ones, moved by least squares that are linear in logarithms. Five rows of the group then
move them as `costcalc calibrate` does, by spreads learnt from the other groups, and the rest is predicted. They are
chosen at random, and as users measure: one deployment at five loads, where it has so many rows. The error is the median
|ln(predicted / measured)| of the rest, of what each row is scored by, as a mean over eight choices.

All is linear, around the shipped constants. --exact sets beside it one choice of each group as `calibrate` itself fits,
nonlinear: minutes more. --write writes measurements/groups.yaml, the spreads of all groups
and this table, from which docs/measuring.md is made. Three minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.fields import Array
from costcalc.hardware.efficiency import Ranges, ServingEfficiency
from costcalc.validation.calibrate import own_ranges
from costcalc.validation.files import Row, shipped_measurements
from costcalc.validation.fitting import block, flow
from costcalc.validation.serving.fit import (
    NOISE,
    OUTLIER,
    PARAMETERS,
    QUANTITIES,
    ServingParameter,
    values_of,
    with_values,
)
from costcalc.validation.serving.own_runs import (
    Points,
    Spreads,
    directions,
    learn,
    own_constants,
    own_parameters,
    points_of,
    prior_variance,
    residuals,
    slopes_at,
    weigh,
    with_vendors,
)
from costcalc.validation.serving.rows import ServingGroup, ServingRow, serving_groups
from costcalc.validation.serving.score import (
    LABELS,
    Measured,
    as_serving_row,
    measured_of,
    resolve,
    score_serving,
)

KEYS = {label: name for name, label in LABELS.items()}
FEWEST, CHOSEN, CHOICES = 8, 5, 8
GROUPS = Path(__file__).parent.parent / "measurements" / "groups.yaml"
_HEADER = """\
# How groups of runs differ, a GPU under an engine of a version each, and how runs of one err together: standard
# deviations of logarithms, learnt from shipped groups left out of the fit by `python benchmarks/calibrate.py --write`.
# together: all speeds and overheads at once. constants: each alone.
# noise: of rates and of times to first token; of each point, of one run, of a deployment, of a deployment at loads near
# each other, and of a group's times to first token. `costcalc calibrate` weighs runs by them.
# five_rows, groups: the error of the rest of a group, before and after five of its rows (see docs/measuring.md).
"""


@dataclass(frozen=True)
class Shipped:
    """All shipped runs that can be used, linear around the shipped constants."""

    rows: list[Row]
    single: int  # number of the first row of the field
    cases: dict[int, ServingRow]
    constants: ServingEfficiency
    groups: list[ServingGroup]
    measured: list[Measured]
    points: Points
    quantity: Array  # of each point, as a number among QUANTITIES
    scored: Array  # whether a row is scored by this point
    label: Array  # class of each scored point, of `ranges`
    parameters: tuple[ServingParameter, ...]
    off: Array
    slopes: Array  # by `directions`


def shipped() -> Shipped:
    """Read and predict the shipped runs, and take slopes."""
    catalog = Catalog()
    benchmarks = shipped_measurements("e2e").rows
    rows = [*benchmarks, *map(as_serving_row, shipped_measurements("field").rows)]
    constants = catalog.serving_efficiency()
    found = score_serving(rows, constants, catalog)
    usable = np.array([not row["excluded"] for row in found])
    asked, index, _ = resolve(rows, constants, catalog)
    every = [(group, usable[group.index]) for group in serving_groups(asked, index)]
    groups = [group.take(of) for group, of in every if of.any()]
    measured = [measured_of(rows, group, usable) for group in groups]
    points = points_of(rows, groups, measured)
    quantity = np.concatenate([np.nonzero(np.isfinite(each.logarithms))[0] for each in measured])
    names = np.array(["tpot_ms", "ttft_ms", "out_tok_s_gpu", "prefill_ms"])[quantity]
    scored = np.array([found[row]["quantity"] == name for row, name in zip(points.row, names, strict=True)])
    label = np.array([KEYS.get(str(found[row]["op_class"]), "") for row in points.row])
    parameters = own_parameters(groups)
    start = with_vendors(constants, parameters)
    off = residuals(groups, measured, start)
    slopes = slopes_at(groups, measured, start, parameters, off) @ directions(parameters)
    cases = dict(zip(index, asked, strict=True))
    single = len(benchmarks)
    return Shipped(
        rows, single, cases, constants, groups, measured, points, quantity, scored, label, parameters, off, slopes
    )


def name_of(data: Shipped, row: int) -> tuple[str, str, str]:
    """The group of a row."""
    case, given = data.cases[row], data.rows[row]
    version = given.get("version") or given.get("engine_version") or ""
    if row >= data.single:  # what people report names engine and version together
        version = given.get("framework") or ""
    return case.scenario.gpu.name, str(case.scenario.backend), str(version)


def without(data: Shipped, left_out: Array) -> Array:
    """By how much the fit moves without the points of a group: reweighted least squares, linear, of PARAMETERS."""
    slopes, off = data.slopes[:, : len(PARAMETERS)], data.off
    size = np.array([NOISE[QUANTITIES[each]] for each in data.quantity])
    precision = np.array([each.prior.spread for each in PARAMETERS]) ** -2.0
    centre = np.log([each.prior.value for each in PARAMETERS]) - values_of(data.constants)

    def fit(chosen: Array) -> Array:
        a, b, values = slopes[chosen] / size[chosen, None], off[chosen] / size[chosen], np.zeros(len(PARAMETERS))
        for _ in range(5):
            weight = np.minimum(1.0, OUTLIER / np.maximum(np.abs(b + a @ values), 1e-9))
            curvature = a.T @ (weight[:, None] * a) + np.diag(precision)
            values = np.linalg.solve(curvature, precision * centre - a.T @ (weight * b))
        return values

    return np.asarray(fit(~left_out) - fit(np.ones(len(left_out), dtype=bool)))


def choices(data: Shipped, rows: Sequence[int], as_user: bool) -> Iterator[list[int]]:
    """Five rows of a group, eight times: at random, or of one deployment as far as it has so many."""
    rng = np.random.default_rng(sum(rows))
    for _ in range(CHOICES):
        if not as_user:
            yield [int(row) for row in rng.choice(rows, CHOSEN, replace=False)]
            continue
        first = rows[int(rng.integers(len(rows)))]
        unlike = {row: (*_unlike(data, first, row), rng.random()) for row in rows}
        yield sorted(rows, key=unlike.__getitem__)[:CHOSEN]


def _unlike(data: Shipped, one: int, other: int) -> tuple[bool, ...]:
    """Whether two rows are of other models, of other formats or layouts, of other lengths."""
    told = []
    for row in (one, other):
        case, values = data.cases[row], data.rows[row]
        deployed = case.scenario.formats, case.deployment.layout, case.scenario.disaggregated
        told.append((case.scenario.model.name, deployed, (values["isl"], values["osl"])))
    return tuple(first != second for first, second in zip(*told, strict=True))


@dataclass(frozen=True)
class Result:
    """Of one group and way of choosing, means over choices."""

    before: float
    after: float
    held: tuple[float, float]  # share of the rest in its range, before and after
    width: tuple[float, float]  # ln(high / low) of the range, before and after

    @property
    def cut(self) -> float:
        """By which share the error is less."""
        return 1 - self.after / self.before


def tried(data: Shipped, chosen: Array, off: Array, spreads: Spreads, as_user: bool) -> Result:
    """Calibrate on five rows of a group, and predict the rest. chosen: the group's points. off: their errors."""
    points, slopes, scored = data.points.take(chosen), data.slopes[chosen], data.scored[chosen]
    labels = data.label[chosen]
    variance, found = prior_variance(data.parameters, spreads), []
    for five in choices(data, sorted({int(row) for row in points.row}), as_user):
        seen = np.isin(points.row, five)
        rest, own = ~seen & scored, points.take(seen)
        told = weigh(off[seen], off[seen], slopes[seen], variance, own, spreads)
        after = off + slopes @ told.moved if told.better else off
        left_out, narrower = (told.left_out, told.narrower) if told.better else (off[seen], np.ones(seen.sum()))
        ranges = dict(data.constants.ranges)
        for label in set(labels[seen & scored]):
            of = (labels == label)[seen] & scored[seen]
            ranges[label] = own_ranges(left_out[of], after[seen][of], narrower[of], ranges[label])
        spans = [_spans(each, labels[rest]) for each in (data.constants.ranges, ranges)]
        held = [
            np.mean((low <= -x[rest]) & (-x[rest] <= high)) for (low, high), x in zip(spans, (off, after), strict=True)
        ]
        widths = [np.mean(high - low) for low, high in spans]
        found.append((np.median(np.abs(off[rest])), np.median(np.abs(after[rest])), *held, *widths))
    mean = [float(each) for each in np.mean(found, axis=0)]
    return Result(mean[0], mean[1], (mean[2], mean[3]), (mean[4], mean[5]))


def _spans(ranges: Mapping[str, Ranges], labels: Array) -> tuple[Array, Array]:
    """ln(measured / predicted) at 10% and 90% of each point, by its class."""
    known = [ranges[str(label)].known for label in labels]
    return np.log([each.low for each in known]), np.log([each.high for each in known])


def exact(data: Shipped, rows: Sequence[int], moved: Array, spreads: Spreads, as_user: bool) -> tuple[float, float]:
    """Error of the rest before and after one choice of five rows, as `calibrate` fits.

    rows: of the group. moved: by how much the fit moves without them.
    """
    five = next(choices(data, rows, as_user))
    start = with_values(data.constants, values_of(data.constants) + moved)

    def of(wanted: Sequence[int]) -> tuple[list[ServingGroup], list[Measured]]:
        inside = [np.isin(group.index, wanted) for group in data.groups]
        every = list(zip(data.groups, data.measured, inside, strict=True))
        return [g.take(i) for g, _, i in every if i.any()], [m.take(i) for _, m, i in every if i.any()]

    found = own_constants(data.rows, *of(five), start, spreads).constants
    others = [row for row in rows if row not in five]
    scored = data.scored[np.isin(data.points.row, others)]  # `take` keeps the order
    before, after = (np.abs(residuals(*of(others), each)[scored]) for each in (start, found))
    return float(np.median(before)), float(np.median(after))


Name = tuple[str, str, str]


def main() -> None:
    """Print the table, and write it with the spreads where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--write", metavar="DATE")
    asked = parser.parse_args()
    data = shipped()
    names: dict[Name, list[int]] = {}
    for row in sorted({int(each) for each in data.points.row}):
        names.setdefault(name_of(data, row), []).append(row)
    members = {name: rows for name, rows in names.items() if len(rows) >= FEWEST}
    chosen = {name: np.isin(data.points.row, rows) for name, rows in members.items()}
    moved = {name: without(data, of) for name, of in chosen.items()}
    off = {name: data.off[of] + data.slopes[of, : len(PARAMETERS)] @ moved[name] for name, of in chosen.items()}
    learnt = {name: (off[name], data.slopes[of], data.points.take(of)) for name, of in chosen.items()}
    found = {}
    for name, rows in members.items():
        others = learn([each for key, each in learnt.items() if key != name], data.parameters)
        found[name] = [tried(data, chosen[name], off[name], others, as_user) for as_user in (False, True)]
        told = [f"{each.before:.3f} -> {each.after:.3f}" for each in found[name]]
        if asked.exact:
            exactly = [exact(data, rows, moved[name], others, as_user) for as_user in (False, True)]
            told += [f"exact {before:.3f} -> {after:.3f}" for before, after in exactly]
        print(*name, len(rows), *told, sep=", ", flush=True)
    summary = {way: summed([each[at] for each in found.values()]) for at, way in enumerate(WAYS)}
    for way, numbers in summary.items():
        print(way, numbers)
    if asked.write:
        rows_of = {name: len(rows) for name, rows in members.items()}
        text = written(learn(list(learnt.values()), data.parameters), rows_of, found, summary, asked.write)
        GROUPS.write_text(text, encoding="utf-8")


WAYS = ("at_random", "one_deployment")


def summed(each: Sequence[Result]) -> dict[str, float]:
    """What the groups say together."""
    worse = [one.after - one.before for one in each]
    held, width = (np.mean([getattr(one, which) for one in each], axis=0) for which in ("held", "width"))
    return {
        "median_cut": round(float(np.median([one.cut for one in each])), 3),
        "before": round(float(np.mean([one.before for one in each])), 4),
        "after": round(float(np.mean([one.after for one in each])), 4),
        "worst": round(max(worse), 4),
        "worse_by_2_points": sum(one > 0.02 for one in worse),
        "in_range_before": round(float(held[0]), 3),
        "in_range_after": round(float(held[1]), 3),
        "wider": round(float(width[1] / width[0] - 1), 3),
    }


def written(
    spreads: Spreads,
    rows: Mapping[Name, int],
    found: Mapping[Name, Sequence[Result]],
    summary: Mapping[str, Mapping[str, float]],
    date: str,
) -> str:
    """Return the text of groups.yaml."""

    def rounded(values: Mapping[str, float]) -> dict[str, float]:
        return {name: float(f"{value:.3g}") for name, value in values.items()}

    source = f"measurements/e2e.csv and field.csv: {len(rows)} groups of {FEWEST} rows or more"
    lines = [
        f"fitted_on: {flow(source)}",
        f"date: '{date}'",
        f"together: {spreads.together:.3g}",
        *block("constants", rounded(spreads.constants), 1),
        *block("noise", rounded(spreads.noise), 1),
        *block("five_rows", summary, 1),
        "groups:",
    ]
    for (gpu, engine, version), results in found.items():
        errors = {
            f"{way}_{name}": round(getattr(each, name), 4)
            for way, each in zip(WAYS, results, strict=True)
            for name in ("before", "after")
        }
        told = {"gpu": gpu, "engine": engine, "version": version or None, "rows": rows[gpu, engine, version], **errors}
        lines.append(f"  - {flow(told)}")
    return _HEADER + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
