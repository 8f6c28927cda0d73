"""Score serving measurements: every row predicted by the engine and the closed forms of serving, with its range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from costcalc.catalog.serving import serving_efficiency
from costcalc.engine.timing import IDEAL
from costcalc.errors import CostcalcError
from costcalc.measured.load import Row
from costcalc.measured.model import Array
from costcalc.measured.serving_case import OFFLINE, STATIC, STATIC_OFFLINE, Case, describe_serving
from costcalc.measured.serving_fit import Measured
from costcalc.measured.serving_group import ServingGroup, serving_groups
from costcalc.measured.serving_predict import (
    Answers,
    GroupWork,
    answers,
    capacity,
    group_times,
    predict_group,
    split_pools,
)
from costcalc.specs.serving import ServingEfficiency

BEATS_ROOFLINE = 0.995
"""A time below this share of the roofline was not measured under the conditions that the row states."""

Scored = dict[str, Any]

TPOT, TTFT, THROUGHPUT = "tpot_ms", "ttft_ms", "out_tok_s_gpu"


def serving_class(case: Case) -> str:
    """What a row counts as: ranges and errors are kept by it."""
    if case.kind in (OFFLINE, STATIC_OFFLINE):
        return "throughput"
    if case.kind == STATIC:
        return "static"
    if case.apart:
        return "pools"
    return "decode_experts" if case.experts else "decode"


LABELS = {
    "decode": "time per output token, dense",
    "decode_experts": "time per output token, experts",
    "pools": "time per output token, pools apart",
    "static": "time per output token, static batch",
    "throughput": "most output tokens per GPU",
    "prefill": "time to first token",
    "prefill_pools": "time to first token, pools apart",
}
"""Classes as tables show them."""


def first_token_class(case: Case) -> str:
    """The class of a row's time to first token."""
    return "prefill_pools" if case.apart else "prefill"


def resolve(rows: Sequence[Row]) -> tuple[list[Case], list[int], dict[int, str]]:
    """The rows that the engine can be asked, their numbers, and why the others cannot."""
    cases, index, refused = [], [], {}
    for number, row in enumerate(rows):
        try:
            cases.append(describe_serving(row))
            index.append(number)
        except CostcalcError as error:
            refused[number] = str(error)
    return cases, index, refused


def measured_of(rows: Sequence[Row], group: ServingGroup, chosen: Array | None = None) -> Measured:
    """What was measured in a group's rows [s, tokens/s]; nan where it was not, or where `chosen` is false."""
    use = np.ones(len(rows), dtype=bool) if chosen is None else chosen

    def of(name: str, wanted: Array, unit: float) -> Array:
        values = [
            (rows[i].get(name) or np.nan) * unit if use[i] and w else np.nan
            for i, w in zip(group.index, wanted, strict=True)
        ]
        return np.array(values, dtype=float)

    offline = (group.kind == OFFLINE) | (group.kind == STATIC_OFFLINE)
    return Measured(of(TPOT, ~offline, 1e-3), of(TTFT, ~offline, 1e-3), of(THROUGHPUT, offline, 1.0))


def bound(group: ServingGroup, work: GroupWork, constants: ServingEfficiency) -> Answers:
    """The ideal of a group's rows: the same work at the peaks, nothing added, every draft accepted."""
    loop = constants.closed_loop
    best = replace(
        loop,
        first_burst=0.0,
        equal_lengths=0.0,
        acceptance=1.0,
        fading=1.0,
    )
    backends = {
        name: replace(each, startup=0.0, admission_steps=0.0, balance_steps=0.0)
        for name, each in constants.backends.items()
    }
    ideal = replace(constants, closed_loop=best, backends=backends)
    alone = replace(group, prefill_replicas=np.full(len(group), np.inf))  # no queue before a pool apart
    room = np.where(group.online, np.inf, capacity(group, constants))
    return answers(alone, group_times(group, work, IDEAL), work.batch, room, ideal, np.inf)


def score_serving(
    kind: str,  # noqa: ARG001 - the signature of all scorers
    rows: Sequence[Row],
    efficiency: Any = None,  # noqa: ARG001
    constants: ServingEfficiency | None = None,
) -> list[Scored]:
    """Return every row with its prediction and error: `tpot_ms`, or `out_tok_s_gpu` where all requests queue.

    `ttft_ms_predicted` and its low, high and ape stand beside it. kind: 'e2e'. efficiency: of kernels, unused.
    constants: of serving, else those of the catalog.
    """
    constants = constants or serving_efficiency()
    cases, index, refused = resolve(rows)
    scored: list[Scored] = [_unpredicted(row, refused.get(number, "")) for number, row in enumerate(rows)]
    by_row = dict(zip(index, cases, strict=True))
    for group in serving_groups(cases, index):
        group = split_pools(group, constants)
        found, work = predict_group(group, constants)
        ideal = bound(group, work, constants)
        for position, number in enumerate(group.index):
            scored[number].update(_entry(rows[number], by_row[number], constants, group, found, ideal, position))
    return scored


def _entry(
    row: Row, case: Case, constants: ServingEfficiency, group: ServingGroup, found: Answers, ideal: Answers, at: int
) -> Scored:
    per_gpu = float(np.asarray(group.layout.gpus)[at])
    throughput = case.kind in (OFFLINE, STATIC_OFFLINE)
    name = serving_class(case)
    low, high = range_of(constants, name, case)
    if throughput:
        quantity, value, best = THROUGHPUT, found.tokens_per_s[at] / per_gpu, ideal.tokens_per_s[at] / per_gpu
        span = value * low, min(value * high, best)
    else:
        quantity, value, best = TPOT, found.tpot[at] * 1e3, ideal.tpot[at] * 1e3
        span = max(value * low, best), value * high
    entry: Scored = {
        "predicted": float(value), "low": float(span[0]), "high": float(span[1]), "ideal": float(best),
        "ape": _ape(value, row.get(quantity)), "quantity": quantity, "op_class": LABELS[name],
    }  # fmt: skip
    if not throughput:
        first = _first_token(row, case, constants, float(found.ttft[at]) * 1e3, float(ideal.ttft[at]) * 1e3)
        entry |= {f"{TTFT}_{part}": each for part, each in first.items()}
        if not row.get(TPOT) and row.get(TTFT):  # the time to first token is all that was measured
            quantity, best = TTFT, first["ideal"]
            entry |= {**first, "quantity": TTFT, "op_class": LABELS[first_token_class(case)]}
    warning = "; ".join((*case.mended, *case.warnings))
    return {**entry, "warning": warning, "excluded": _exclusion(row, case, quantity, float(best))}


def _first_token(row: Row, case: Case, constants: ServingEfficiency, value: float, best: float) -> Scored:
    low, high = range_of(constants, first_token_class(case), case)
    return {
        "predicted": value,
        "low": max(value * low, best),
        "high": value * high,
        "ideal": best,
        "ape": _ape(value, row.get(TTFT)),
    }


def range_of(constants: ServingEfficiency, name: str, case: Case) -> tuple[float, float]:
    """Observed over predicted at 10% and 90% for a case of a class of measurement."""
    return constants.range_of(name, case.machine.name, case.model.name, case.machine.architecture, case.backend)


def _exclusion(row: Row, case: Case, quantity: str, best: float) -> str:
    value = row.get(quantity)
    if not value:
        return "not measured"
    if row.get("suspect"):
        return f"suspect: {row['suspect']}"
    if float(np.asarray(case.layout.gpus)) > case.gpus:
        needed = f"a replica of {float(np.asarray(case.layout.gpus)):g} GPUs on {case.gpus:g}"
        return "; ".join((*case.mended, needed))
    if case.mended:
        return ""  # it was not run as it is predicted, which says nothing of the measurement
    faster = value > best / BEATS_ROOFLINE if quantity == THROUGHPUT else value < best * BEATS_ROOFLINE
    return "faster than the roofline: not measured as the row says" if faster else ""


def _ape(predicted: float, measured: float | None) -> float | None:
    return abs(float(predicted) / measured - 1) if measured else None


def _unpredicted(row: Row, reason: str) -> Scored:
    nothing = dict.fromkeys(("predicted", "low", "high", "ideal", "ape"))
    offline = "offline" in str(row.get("kind") or "").lower()
    quantity = THROUGHPUT if offline else TPOT
    return {**row, **nothing, "quantity": quantity, "op_class": "", "warning": "", "excluded": reason}
