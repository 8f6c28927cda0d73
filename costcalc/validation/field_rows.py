"""Single results from the field, as people report them: one row, one number; as rows of serving measurements."""

from __future__ import annotations

import re
from typing import Any

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.formats import number_type
from costcalc.validation.files import Row, is_empty
from costcalc.validation.serving_score import PREFILL, THROUGHPUT, TPOT, TTFT

_COLUMNS = {
    "tpot": TPOT,
    "decode": TPOT,
    "ttft": TTFT,
    "prefill": PREFILL,
    "output": THROUGHPUT,
    "output per gpu": THROUGHPUT,
}
"""The column of serving measurements that a quantity is predicted in."""
_TUNING = {"tuned-recipe": "tuned", "documented-default": "default", "community": "default"}
_ASKED = re.compile(r"(?<!weights )asked as ([\w.\-]+)")
_WEIGHTS = re.compile(r"weights asked as (\w+)")
_STAGES = re.compile(r"\bpp (\d+)")
_DRAFTS = re.compile(r"(\d+) drafts?, ([\d.]+) tokens per pass")
_SPECULATION = re.compile(r"EAGLE (\d+)-\d+-\d+")
_SHIPPED = ("as shipped", "default", "int4 experts", "fp4 experts")
"""Weights that are the model's own."""


def as_serving_row(row: Row) -> Row:
    """The row in the columns of serving measurements; raises CostcalcError for a quantity that is none.

    What its note says of drafts, pipeline stages and the nearest name of model and weights is heeded.
    """
    quantity, note = str(row["quantity"]).casefold(), str(row.get("note") or "")
    if quantity not in _COLUMNS:
        hint = did_you_mean(quantity, _COLUMNS) or f"one of: {', '.join(_COLUMNS)}"
        raise CostcalcError(f"unknown quantity {shown(str(row['quantity']))}", hint=hint)
    found: dict[str, Any] = {
        "gpu": row["gpu"],
        "n_gpus": row["gpus"],
        "model": match[1] if (match := _ASKED.search(note)) else row["model"],
        "dtype": _known_weights(str(row.get("weights") or ""), note),
        "kv_dtype": "" if str(row.get("kv")).casefold() == "default" else row.get("kv"),
        "framework": row.get("engine"),
        "tp": row.get("tp"),
        "dp_attn": row.get("dp"),
        "ep": row.get("ep"),
        "pp": float(match[1]) if (match := _STAGES.search(note)) else 1.0,
        "isl": max(row.get("input") or 0.0, 1.0),
        "osl": max(row.get("output") or 0.0, 1.0),
        "concurrency": row.get("concurrency") or 1.0,
        "kind": "online",
        "statistic": "mean" if "mean TPOT" in note else "median",
        "tuning": _TUNING.get(str(row.get("setup") or "").casefold(), "default"),
        "suspect": row.get("suspect") or ("noted" if "suspect" in note else ""),
        "source": row.get("source"),
        "date": row.get("date") or "",
    }
    if (drafts := _DRAFTS.search(note)) is not None:
        found |= {"spec": f"mtp{drafts[1]}", "accepted": float(drafts[2])}
    elif (drafts := _SPECULATION.search(note)) is not None:
        found["spec"] = f"mtp{drafts[1]}"
    found[_COLUMNS[quantity]] = _measured(row, quantity)
    return found


def _known_weights(text: str, note: str) -> str:
    """The format of the weights, or the nearest one that the note names."""
    plain, named = _weights(text), _WEIGHTS.search(note)
    try:
        return number_type(plain).name if plain else ""
    except CostcalcError:
        if named is None:
            raise
        return named[1]


def _weights(text: str) -> str:
    """A format as people write it: 'GGUF Q4_K_M', 'EXL2 4.0 bpw', 'MLX q4 g64', 'fp8 block'."""
    plain = text.casefold().replace(" bpw", "").strip()
    if is_empty(plain) or plain in _SHIPPED:
        return ""
    kind, _, rest = plain.partition(" ")
    if kind == "gguf":
        return rest.replace(" ", "_")
    if kind == "mlx":
        return f"mlx_{rest.split()[0]}"
    if kind in ("exl2", "exl3"):
        return f"{kind}-{rest}"
    return plain.replace(" ", "_")


def _measured(row: Row, quantity: str) -> float | None:
    """What was measured, in the column's unit."""
    value = row.get("measured")
    if not value:
        return None
    if str(row["unit"]).casefold() == "ms":
        return float(value)
    return _converted(float(value), row, quantity)


def _converted(value: float, row: Row, quantity: str) -> float:
    """A rate as the time of its column, or a time as the rate: each is the other's inverse."""
    if quantity == "prefill":
        return 1e3 * (row.get("input") or 1.0) / value
    if quantity == "output":
        return value / row["gpus"]
    if quantity == "decode":
        return 1e3 * (row.get("concurrency") or 1.0) / value
    return value


def in_its_unit(row: Row, scored: Row) -> Row:
    """A row with the prediction of it as a serving row, in the unit that it was reported in."""
    quantity, unit = str(row["quantity"]).casefold(), str(row["unit"]).casefold()
    numbers = {name: scored.get(name) for name in ("predicted", "low", "high", "ideal")}
    if unit != "ms" and numbers["predicted"] is not None:
        if quantity == "output":
            numbers = {name: value * row["gpus"] for name, value in numbers.items() if value is not None}
        elif quantity in ("prefill", "decode"):
            turned = {"low": "high", "high": "low"}
            numbers = {
                turned.get(name, name): _converted(value, row, quantity) for name, value in numbers.items() if value
            }
    measured = row.get("measured")
    ape = abs(numbers["predicted"] / measured - 1) if measured and numbers["predicted"] is not None else None
    kept = {name: scored.get(name, "") for name in ("command", "warning", "excluded")}
    return {**row, **numbers, "ape": ape, "quantity": "measured", "op_class": str(row.get("class") or "field"), **kept}
