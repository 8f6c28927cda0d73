"""Serving rows predicted and scored, with the range of each.

What is scored is what `costcalc estimate` answers for a row's `command`: both call `costcalc.predict.predict`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog
from costcalc.errors import CostcalcError
from costcalc.hardware.efficiency import UNTUNED, ServingEfficiency
from costcalc.predict.predict import Prediction, predict, settled_batch
from costcalc.predict.quantities import asked_of
from costcalc.validation.files import Row
from costcalc.validation.fitting import Array
from costcalc.validation.serving_rows import (
    OFFLINE,
    STATIC,
    STATIC_OFFLINE,
    ServingGroup,
    ServingRow,
    serving_groups,
    serving_row,
)

BEATS_ROOFLINE = 0.995
"""A time below this share of the roofline is told: either the row or the bound is wrong."""

Scored = dict[str, Any]

TPOT, TTFT, THROUGHPUT, PREFILL = "tpot_ms", "ttft_ms", "out_tok_s_gpu", "prefill_ms"


def serving_class(asked: ServingRow) -> str:
    """What a row counts as: ranges and errors are kept by it."""
    if asked.kind in (OFFLINE, STATIC_OFFLINE):
        return "throughput"
    if asked.kind == STATIC:
        return "static"
    if asked.scenario.disaggregated:
        return "pools"
    return ("decode_experts" if asked.scenario.model.has_experts else "decode") + _untuned(asked)


def _untuned(asked: ServingRow) -> str:
    return UNTUNED if asked.scenario.options.tuning == "default" else ""


LABELS = {
    "decode": "time per output token, dense",
    "decode_experts": "time per output token, experts",
    "pools": "time per output token, pools apart",
    "static": "time per output token, static batch",
    "throughput": "most output tokens per GPU",
    "prefill": "time to first token",
    "prefill_pools": "time to first token, pools apart",
    "decode_default": "time per output token, dense, as documented",
    "decode_experts_default": "time per output token, experts, as documented",
    "prefill_default": "time to first token, as documented",
}
"""Classes as tables show them."""


def first_token_class(asked: ServingRow) -> str:
    """The class of a row's time to first token."""
    return "prefill_pools" if asked.scenario.disaggregated else f"prefill{_untuned(asked)}"


def resolve(
    rows: Sequence[Row], constants: ServingEfficiency | None = None, catalog: Catalog | None = None
) -> tuple[list[ServingRow], list[int], dict[int, str]]:
    """The rows that the engine can be asked, their numbers, and why the others cannot.

    constants: of serving, else those of the catalog. catalog: by default that of every command.
    """
    catalog = catalog or Catalog()
    constants = constants or catalog.serving_efficiency()
    asked, index, refused = [], [], {}
    for number, row in enumerate(rows):
        try:
            asked.append(serving_row(row, catalog, constants))
            index.append(number)
        except CostcalcError as error:
            refused[number] = str(error)
    return asked, index, refused


def predict_group(group: ServingGroup) -> Prediction:
    """What the rows of a group would measure, as `costcalc estimate` answers each."""
    batch = settled_batch(group.scenario, group.layout, group.replicas)
    return predict(group.scenario, group.layout, batch, group.replicas)


def tokens_per_s_per_gpu(group: ServingGroup, found: Prediction) -> Array:
    """Output tokens that a GPU of each row serves [tokens/s]."""
    return np.asarray(found.served_tokens_per_s(group.scenario.output_tokens) / group.layout.gpus)


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured in the rows of one group, in SI; nan where it was not, or may not be used."""

    tpot: Array
    ttft: Array
    tokens_per_s_gpu: Array
    prefill: Array

    def take(self, chosen: Array) -> Measured:
        """The rows for which `chosen` is true."""
        return Measured(*(getattr(self, each.name)[chosen] for each in fields(self)))

    @property
    def logarithms(self) -> Array:
        """All quantities, one row each."""
        return np.log(np.stack([self.tpot, self.ttft, self.tokens_per_s_gpu, self.prefill]))


def measured_of(rows: Sequence[Row], group: ServingGroup, chosen: Array | None = None) -> Measured:
    """What was measured in a group's rows [s, tokens/s]; nan where it was not, or where `chosen` is false."""
    use = np.ones(len(rows), dtype=bool) if chosen is None else chosen

    def of(name: str, wanted: bool, unit: float) -> Array:
        values = [(rows[i].get(name) or np.nan) * unit if use[i] and wanted else np.nan for i in group.index]
        return np.array(values, dtype=float)

    times = not group.throughput
    return Measured(of(TPOT, times, 1e-3), of(TTFT, times, 1e-3), of(THROUGHPUT, True, 1.0), of(PREFILL, times, 1e-3))


def score_serving(
    rows: Sequence[Row], constants: ServingEfficiency | None = None, catalog: Catalog | None = None
) -> list[Scored]:
    """Return every row with its prediction and error: `tpot_ms`, or `out_tok_s_gpu` where all requests queue.

    `ttft_ms_predicted` and its low, high and ape stand beside it; `command` asks `costcalc estimate` the same.
    constants: of serving, else those of the catalog.
    """
    catalog = catalog or Catalog()
    constants = constants or catalog.serving_efficiency()
    asked, index, refused = resolve(rows, constants, catalog)
    scored = [unpredicted(row, _quantity(row), refused.get(number, "")) for number, row in enumerate(rows)]
    by_row = dict(zip(index, asked, strict=True))
    for group in serving_groups(asked, index):
        group = group.under(constants)
        found, ideal = predict_group(group), group.ideal()
        # At the batch that is predicted: who waits less has more company, which is no faster machine.
        bound = predict(ideal.scenario, ideal.layout, found.batch, ideal.replicas)
        values, ideals = _answers(group, found), _answers(ideal, bound)
        for at, number in enumerate(group.index):
            value, best = {k: float(v[at]) for k, v in values.items()}, {k: float(v[at]) for k, v in ideals.items()}
            scored[number].update(_entry(rows[number], by_row[number], constants, value, best))
    return scored


def _answers(group: ServingGroup, found: Prediction) -> dict[str, Array]:
    """Predicted quantities of a group in the units of its columns."""
    shape = np.zeros(len(group))
    return {
        TPOT: found.time_per_output_token * 1e3 + shape,
        TTFT: found.time_to_first_token * 1e3 + shape,
        THROUGHPUT: tokens_per_s_per_gpu(group, found) + shape,
        PREFILL: found.prefill.seconds * 1e3 + shape,
    }


def _entry(
    row: Row, asked: ServingRow, constants: ServingEfficiency, value: dict[str, float], best: dict[str, float]
) -> Scored:
    name, quantity = serving_class(asked), TPOT
    if asked.kind in (OFFLINE, STATIC_OFFLINE):
        quantity = THROUGHPUT
    entry: Scored = {**_ranged(row, asked, constants, name, quantity, value, best), "quantity": quantity}
    entry["op_class"] = LABELS[name]
    if quantity == TPOT:
        first = _ranged(row, asked, constants, first_token_class(asked), TTFT, value, best)
        entry |= {f"{TTFT}_{part}": each for part, each in first.items()}
        only = next((each for each in (TTFT, THROUGHPUT, PREFILL) if row.get(each)), None)
        if not row.get(TPOT) and only is not None:  # that is all that was measured
            quantity, label = only, name if only == THROUGHPUT else first_token_class(asked)
            found = _ranged(row, asked, constants, label, only, value, best)
            entry |= {**found, "quantity": only, "op_class": LABELS[label]}
    faster = _faster(row, quantity, best[quantity])
    warning = "; ".join(filter(None, (*asked.mended, *asked.warnings, faster)))
    return {**entry, "command": asked.command, "warning": warning, "excluded": _exclusion(row, asked, quantity)}


def _ranged(
    row: Row, asked: ServingRow, constants: ServingEfficiency, name: str, quantity: str, values: dict[str, float],
    ideals: dict[str, float],
) -> Scored:  # fmt: skip
    """A predicted value, its 80% range and error, and the bound."""
    low, high = range_of(constants, name, asked)
    if quantity == THROUGHPUT and name != "throughput":  # the class is of times
        low, high = 1 / high, 1 / low
    value, best = values[quantity], ideals[quantity]
    return {"predicted": value, "low": value * low, "high": value * high, "ideal": best,
            "ape": _ape(value, row.get(quantity))}  # fmt: skip


def range_of(constants: ServingEfficiency, name: str, asked: ServingRow) -> tuple[float, float]:
    """Observed over predicted at 10% and 90% for a row of a class of measurement."""
    return constants.range_of(name, asked_of(asked.scenario))


def _faster(row: Row, quantity: str, best: float) -> str:
    value = row.get(quantity)
    faster = value and (value > best / BEATS_ROOFLINE if quantity == THROUGHPUT else value < best * BEATS_ROOFLINE)
    return "faster than the roofline" if faster else ""


def _exclusion(row: Row, asked: ServingRow, quantity: str) -> str:
    if not row.get(quantity):
        return "not measured"
    if row.get("suspect"):
        return f"suspect: {row['suspect']}"
    replica = int(asked.deployment.layout.gpus)
    if replica > asked.gpus:
        return "; ".join((*asked.mended, f"a replica of {replica} GPUs on {asked.gpus:g}"))
    return ""


def _ape(predicted: float, measured: float | None) -> float | None:
    return abs(float(predicted) / measured - 1) if measured else None


def _quantity(row: Row) -> str:
    """What a row that cannot be asked would have been scored by."""
    return THROUGHPUT if "offline" in str(row.get("kind") or "").lower() else TPOT


NUMBERS = ("predicted", "low", "high", "ideal", "ape")
"""Of a prediction, beside the row."""


def unpredicted(row: Row, quantity: str, reason: str) -> Scored:
    """Return a row without a prediction, of any kind, and why it has none."""
    nothing = dict.fromkeys(NUMBERS)
    return {**row, **nothing, "quantity": quantity, "op_class": "", "warning": "", "excluded": reason}
