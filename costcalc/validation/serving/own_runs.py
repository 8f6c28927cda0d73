"""What a few runs of a group, a GPU under an engine of a version, say of the constants of serving.

Groups differ from all that was fitted: every constant by a normally distributed logarithm, and all speeds together.
Runs of a group err in common too: those of a deployment the more, the nearer their loads are. Both spreads were learnt
from shipped groups left out of the fit (`learn`), and stand in measurements/groups.yaml. Given runs, the constants of
their group have a Gaussian posterior, for times near enough to linear in logarithms (Rasmussen and Williams 2006, 2.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from costcalc.catalog.files import packaged_root
from costcalc.catalog.yaml import load_yaml
from costcalc.fields import Array
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.validation.files import Row
from costcalc.validation.fitting import Prior
from costcalc.validation.serving.fit import (
    PARAMETERS,
    QUANTITIES,
    ServingParameter,
    quantities,
    values_of,
    with_values,
)
from costcalc.validation.serving.rows import ServingGroup
from costcalc.validation.serving.score import Measured, predict_group

# How groups differ, and how runs of one err together.


@dataclass(frozen=True, slots=True)
class Spreads:
    """Standard deviations of logarithms between groups, and of errors within one."""

    together: float  # of all speeds and overheads of a group at once
    constants: Mapping[str, float]  # of each constant, by `spread_name`
    noise: Mapping[str, float]  # of errors, by the names of `noise_parts`


@cache
def shipped_spreads() -> Spreads:
    """What measurements/groups.yaml holds."""
    data = load_yaml(packaged_root() / "measurements" / "groups.yaml")[0]
    return Spreads(data["together"], data["constants"], data["noise"])


def spread_name(path: str) -> str:
    """The name of a constant's spread: that of every engine or vendor is the same."""
    first, *rest = path.split(".")
    if first == "backends":
        return f"{first}.{rest[-1]}"
    return first if first in _BY_VENDOR else path


_BY_VENDOR = ("vendor_bandwidth", "vendor_flops", "vendor_launches", "untuned")
_OF_VENDOR = {
    "vendor_bandwidth": Prior(1.0, 0.15),
    "vendor_flops": Prior(1.0, 0.25),
}
"""Constants that a group may have whose vendor has none: what is fitted of others is relative to these vendors."""


def own_parameters(groups: Sequence[ServingGroup]) -> tuple[ServingParameter, ...]:
    """The constants that the runs of groups may say something of: none of other engines and vendors."""
    engines = {str(group.scenario.backend) for group in groups}
    vendors = sorted({group.scenario.gpu.vendor for group in groups})

    def told(path: str) -> bool:
        first, *rest = path.split(".")
        return not (first == "backends" and rest[0] not in engines) and not (
            first in _BY_VENDOR and rest[0] not in vendors
        )

    found = [each for each in PARAMETERS if told(each.path)]
    known = {each.path for each in found}
    added = [
        ServingParameter(
            f"{name}.{vendor}", prior, f"{name.split('_')[1]} reached on {vendor}, over that elsewhere", False
        )
        for name, prior in _OF_VENDOR.items()
        for vendor in vendors
        if f"{name}.{vendor}" not in known
    ]
    return (*found, *added)


def with_vendors(constants: ServingEfficiency, parameters: Sequence[ServingParameter]) -> ServingEfficiency:
    """The constants with places for all of `parameters`, neutral where they had none."""

    def placed(name: str) -> dict[str, float]:
        places = {each.path.split(".")[1]: 1.0 for each in parameters if each.path.startswith(f"{name}.")}
        return {**places, **getattr(constants, name)}

    changed: dict[str, Any] = {name: placed(name) for name in _OF_VENDOR}
    return replace(constants, **changed)


def directions(parameters: Sequence[ServingParameter]) -> Array:
    """What moves the constants, a column each: every one alone, and all speeds and overheads together, last."""
    return np.column_stack([np.eye(len(parameters)), [_slower(each.path) for each in parameters]])


def _slower(path: str) -> float:
    """How a constant moves where all is slower by e: 1 for times, -1 for speeds."""
    if path.startswith("speed.") or path == "elementwise":
        return -1.0
    times = ("expert_layer", "latent_layer", "sequence", "draft")
    return 1.0 if path in times or path.endswith((".layer", ".host")) else 0.0


def prior_variance(parameters: Sequence[ServingParameter], spreads: Spreads) -> Array:
    """Variance of each of `directions` between groups."""
    alone = [spreads.constants[spread_name(each.path)] for each in parameters]
    return np.square([*alone, spreads.together])


# What was measured, as points: each quantity of each run.


@dataclass(frozen=True, slots=True)
class Points:
    """All that was measured, one point each."""

    row: Array  # its number
    first_token: Array  # whether it is a time of the prefill, rather than a rate
    sign: Array  # 1 of times, -1 of rates
    group: Array  # GPU and engine, as numbers
    deployment: Array  # model, formats and layout, as numbers
    load: Array  # (point, 3): log2 of concurrency, input and output

    def take(self, chosen: Array) -> Points:
        """Some of the points."""
        parts = (self.row, self.first_token, self.sign, self.group, self.deployment, self.load)
        return Points(*(part[chosen] for part in parts))


QUEUED = 512.0
"""Concurrency that runs are taken to have whose requests all queue at once."""
NEAR = np.array([1.5, 1.0, 1.0])
"""Doublings of concurrency, input and output over which errors of one deployment hold together."""
_TIMES_FIRST, _RATE = (QUANTITIES.index("ttft"), QUANTITIES.index("prefill")), QUANTITIES.index("tokens_per_s_gpu")


def points_of(rows: Sequence[Row], groups: Sequence[ServingGroup], measured: Sequence[Measured]) -> Points:
    """The points of groups of rows, in the order of `residuals`."""
    places: dict[object, int] = {}
    found: list[tuple[int, bool, float, int, int, tuple[float, ...]]] = []
    for number, (group, seen) in enumerate(zip(groups, measured, strict=True)):
        layout, drafts = group.layout, np.broadcast_to(group.scenario.drafts, len(group))
        degrees = np.stack([layout.tp, layout.pp, layout.ep, layout.attention_dp, drafts], axis=1)
        for quantity, at in zip(*np.nonzero(np.isfinite(seen.logarithms)), strict=True):
            index = int(group.index[at])
            row, gpu = rows[index], str(group.gpu[at])
            machine = places.setdefault((gpu, group.scenario.backend), len(places))
            deployment = places.setdefault((number, gpu, *degrees[at]), len(places))
            load = tuple(float(np.log2(max(x, 1.0))) for x in (row["concurrency"] or QUEUED, row["isl"], row["osl"]))
            found.append(
                (index, quantity in _TIMES_FIRST, -1.0 if quantity == _RATE else 1.0, machine, deployment, load)
            )
    return Points(*(np.array(part) for part in zip(*found, strict=True)))


def residuals(groups: Sequence[ServingGroup], measured: Sequence[Measured], constants: ServingEfficiency) -> Array:
    """ln(predicted / measured) of every point."""
    parts = []
    for group, seen in zip(groups, measured, strict=True):
        target = seen.logarithms
        off = np.log(quantities(group, predict_group(group.under(constants)))) - target
        parts.append(off[np.isfinite(target)])
    return np.concatenate(parts)


def noise_parts(points: Points) -> dict[str, Array]:
    """Which points err together, by the name of the spread: matrices of correlation."""
    first, signs = points.first_token, np.outer(points.sign, points.sign)

    def same(names: Array) -> Array:
        return np.asarray(names[:, None] == names[None, :])

    rates, firsts = np.outer(~first, ~first) * signs, np.outer(first, first) * signs
    apart = (points.load[:, None, :] - points.load[None, :, :]) / NEAR
    near, deployed = np.exp(-np.sum(apart**2, axis=-1) / 2), same(points.deployment)
    return {
        "rate": np.diag(np.where(first, 0.0, 1.0)),
        "first_token": np.diag(np.where(first, 1.0, 0.0)),
        "run": same(points.row) * rates,
        "deployment_rate": deployed * rates,
        "deployment_first_token": deployed * firsts,
        "load_rate": deployed * near * rates,
        "load_first_token": deployed * near * firsts,
        "group_first_token": same(points.group) * firsts,
    }


def noise(points: Points, spreads: Spreads) -> Array:
    """Covariance of the errors of points that no constant explains."""
    return np.asarray(sum(spreads.noise[name] ** 2 * part for name, part in noise_parts(points).items()))


def effective_rows(points: Points, spreads: Spreads) -> float:
    """Rows of deployments of their own that say as much of a group as these do: 1 where all say the same."""
    chosen = ~points.first_token if (~points.first_token).any() else points.first_token
    few = points.take(chosen)
    covariance, ones = noise(few, spreads) * np.outer(few.sign, few.sign), np.ones(len(few.row))
    return float(covariance[0, 0] * (ones @ np.linalg.solve(covariance, ones)))


# The posterior.


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of some values after measurements."""

    mean: Array
    covariance: Array


def posterior(off: Array, slopes: Array, variance: Array, covariance: Array) -> Posterior:
    """Return the posterior of values of which every point's error is `off + slopes @ values`, plus noise.

    off: errors where the values are 0. slopes: (point, value). variance: of each value before. covariance: of noise.
    """
    seen = slopes * variance  # (point, value)
    gain = np.linalg.solve(seen @ slopes.T + covariance, seen).T
    return Posterior(-gain @ off, np.diag(variance) - gain @ seen)


@dataclass(frozen=True, slots=True)
class Weighed:
    """What points say of values of which they are linear."""

    known: Posterior
    moved: Array  # the mean, nearer to 0 where few rows say it
    left_out: Array  # error of each row's points by the other rows
    narrower: Array  # standard deviation of the error of a deployment not measured, over that before, at each point
    better: bool  # whether rows left out are predicted no worse than before


DOUBT = 10.0
"""Points that the spreads count for beside own ones, which may err more or less: degrees of freedom of Student's t."""
FEW = 1.0
"""Effective rows by which half of the posterior is believed: groups are no normal draw, and of rows of one deployment
none that is left out shows whether others follow. Chosen so that none of 37 groups gets 2 points worse by five rows at
random (benchmarks/calibrate.py), where 1 of them would by the posterior alone."""


def weigh(before: Array, off: Array, slopes: Array, variance: Array, points: Points, spreads: Spreads) -> Weighed:
    """Return what points say of the values, which are 0 in the mean before.

    before: errors at 0. off: the same by the slopes at another place, were all linear. The rest: as `posterior`.
    """
    covariance, effective = noise(points, spreads), effective_rows(points, spreads)
    believed = effective / (effective + FEW)
    known = posterior(off, slopes, variance, covariance)
    left_out = before + believed * _moved_by_others(off, slopes, variance, covariance, points)
    # Times to first token scatter too much to decide, unless nothing else was measured.
    chosen = _deciding(points)
    better = np.abs(left_out[chosen]).mean() <= np.abs(before[chosen]).mean()
    total = slopes * variance @ slopes.T + covariance
    doubt = (DOUBT + off @ np.linalg.solve(total, off)) / (DOUBT + len(off))
    narrowed = np.diag(slopes @ known.covariance @ slopes.T + covariance) * doubt
    narrower = np.sqrt(narrowed / np.diag(total))
    return Weighed(known, known.mean * believed, left_out, narrower, bool(better))


def _moved_by_others(off: Array, slopes: Array, variance: Array, covariance: Array, points: Points) -> Array:
    """By how much the errors of each row's points change by what the other rows say: nothing where there are none.

    Leaving a row out of the normal equations takes away its part of them, whatever errs together with it.
    """
    inverse = np.linalg.inv(covariance)
    weighed = inverse @ np.column_stack([slopes, off])
    normal, pull = slopes.T @ weighed[:, :-1] + np.diag(1 / variance), slopes.T @ weighed[:, -1]
    found = np.zeros(len(off))
    for row in np.unique(points.row):
        out = points.row == row
        part = np.linalg.solve(inverse[np.ix_(out, out)], weighed[out])  # of the row, the others known
        less = weighed[out, :-1].T @ part
        if not out.all():
            found[out] = slopes[out] @ np.linalg.solve(normal - less[:, :-1], less[:, -1] - pull)
    return found


def _deciding(points: Points) -> Array:
    rates = ~points.first_token
    return rates if rates.any() else points.first_token


@dataclass(frozen=True, slots=True)
class OwnConstants:
    """The constants after runs, and how sure they are."""

    constants: ServingEfficiency
    parameters: tuple[ServingParameter, ...]
    spread: tuple[Array, Array]  # standard deviation of each parameter's logarithm, before and after
    before: Array  # ln(predicted / measured) of points by the shipped constants
    after: Array  # ... by these
    left_out: Array  # ... of each row by the other rows
    narrower: Array  # of `Weighed`
    points: Points
    effective: float  # rows


_STEP = 0.02
"""Change of a logarithm by which slopes are taken: batches settle anew, in small steps."""
_FAR = 0.1
"""Change of a logarithm after which slopes are taken anew."""
_ROUNDS, _HALVINGS = 4, 4


def own_constants(
    rows: Sequence[Row],
    groups: Sequence[ServingGroup],
    measured: Sequence[Measured],
    shipped: ServingEfficiency,
    spreads: Spreads | None = None,
) -> OwnConstants:
    """Return the most likely constants given runs, or the shipped ones where runs left out are predicted worse by them.

    rows: of the file, of which `groups` and `measured` are the usable ones.
    """
    spreads, parameters = spreads or shipped_spreads(), own_parameters(groups)
    start, points = with_vendors(shipped, parameters), points_of(rows, groups, measured)
    moves, variance, covariance = directions(parameters), prior_variance(parameters, spreads), noise(points, spreads)
    begin, top = values_of(start, parameters), np.where([each.share for each in parameters], 0.0, np.inf)

    def constants_at(values: Array) -> ServingEfficiency:
        return with_values(start, np.minimum(begin + moves @ values, top), parameters)

    def off_at(values: Array) -> Array:
        return residuals(groups, measured, constants_at(values))

    def loss(values: Array, off: Array) -> float:
        return float(off @ np.linalg.solve(covariance, off) + np.sum(values**2 / variance))

    values, step = np.zeros(len(variance)), np.full(len(variance), np.inf)
    before = off = off_at(values)
    for _ in range(_ROUNDS):
        if np.abs(step).max() > _FAR:
            slopes = slopes_at(groups, measured, constants_at(values), parameters, off) @ moves
        linear = off - slopes @ values
        step = posterior(linear, slopes, variance, covariance).mean - values
        for _ in range(_HALVINGS):
            if loss(values + step, trial := off_at(values + step)) < loss(values, off):
                values, off = values + step, trial
                break
            step = step / 2
        else:
            break
        if np.abs(step).max() < _STEP:
            break
    found = weigh(before, off - slopes @ values, slopes, variance, points, spreads)
    spread = _spread(moves, np.diag(variance)), _spread(moves, found.known.covariance)
    effective = effective_rows(points, spreads)
    if not found.better:
        same, before_them = np.ones(len(before)), (spread[0], spread[0])
        return OwnConstants(shipped, parameters, before_them, before, before, before, same, points, effective)
    left_out, narrower = found.left_out, found.narrower
    constants = constants_at(found.moved)
    after = residuals(groups, measured, constants)
    return OwnConstants(constants, parameters, spread, before, after, left_out, narrower, points, effective)


def _spread(moves: Array, covariance: Array) -> Array:
    return np.sqrt(np.maximum(np.diag(moves @ covariance @ moves.T), 0.0))


def slopes_at(
    groups: Sequence[ServingGroup],
    measured: Sequence[Measured],
    constants: ServingEfficiency,
    parameters: Sequence[ServingParameter],
    off: Array,
) -> Array:
    """d ln(predicted) / d ln(constant) of every point, a column each of `parameters`. off: `residuals` there."""
    columns, begin = [], values_of(constants, parameters)
    for number, each in enumerate(parameters):
        step = -_STEP if each.share and begin[number] + _STEP > 0 else _STEP
        moved = begin.copy()
        moved[number] += step
        columns.append((residuals(groups, measured, with_values(constants, moved, parameters)) - off) / step)
    return np.stack(columns, axis=1)


# The spreads, learnt from groups that were left out of the fit.


PSEUDO = 2.0
"""Groups that a spread's first guess counts for: constants that few groups tell of stay near it."""
GUESS = 0.3
"""First guess of a constant's spread between groups, over that of its prior before any measurement."""
FIRST_NOISE = {True: 0.12, False: 0.05}
"""First guess of each spread of errors [ln]: of times to first token, and of rates."""


def learn(
    groups: Sequence[tuple[Array, Array, Points]], parameters: Sequence[ServingParameter], rounds: int = 25
) -> Spreads:
    """Return the spreads under which the errors of groups are most likely.

    groups: ln(predicted / measured) by a fit without the group, slopes by `directions` of `parameters`, and points.
    By minorization and maximization (Zhou, Hu, Qiao, Zhu and Liu 2019, 'MM algorithms for variance components models').
    """
    names = [spread_name(each.path) for each in parameters]
    prior = {name: GUESS * each.prior.spread for name, each in zip(names, parameters, strict=True)}
    variance: dict[tuple[str, str], float] = {("constant", name): value**2 for name, value in prior.items()}
    variance["together", ""] = FIRST_NOISE[False] ** 2
    parts = []
    for _, slopes, points in groups:
        own = {("noise", name): part for name, part in noise_parts(points).items()}
        for name in prior:
            of = slopes[:, [*(each == name for each in names), False]]
            own["constant", name] = of @ of.T
        own["together", ""] = np.outer(slopes[:, -1], slopes[:, -1])
        parts.append(own)
    variance |= {("noise", name): FIRST_NOISE["first_token" in name] ** 2 for name in noise_parts(groups[0][2])}
    guess = dict(variance)
    for _ in range(rounds):
        asked, given = dict.fromkeys(variance, 0.0), dict.fromkeys(variance, 0.0)
        for (off, _, _), own in zip(groups, parts, strict=True):
            inverse = np.linalg.inv(sum(variance[key] * part for key, part in own.items()))
            pull = inverse @ off
            for key, part in own.items():
                asked[key] += float(pull @ part @ pull)
                given[key] += float(np.sum(inverse * part))
        for key, now in variance.items():
            more = asked[key] + PSEUDO * guess[key] / now**2
            variance[key] = now * float(np.sqrt(more / (given[key] + PSEUDO / now)))
    spread = {key: float(np.sqrt(value)) for key, value in variance.items()}
    return Spreads(
        spread["together", ""],
        {name: spread["constant", name] for name in prior},
        {name: value for (kind, name), value in spread.items() if kind == "noise"},
    )
