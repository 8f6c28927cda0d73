"""Results for other programs: JSON by the contract, CSV with dotted columns."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_type_hints

from costcalc.explore.sweep import Sweep
from costcalc.predict.quantities import BreakEven, Comparison, Estimate

_PROSE = frozenset({"assumptions", "notes", "note", "explanation", "title"})
"""Branches that are sentences for people: JSON keeps them, CSV leaves them out."""
_LISTS = ("breakdown.", "market.")
"""Branches that are as long as a model has ops or list prices: their columns come last."""
_NAMING = ("variant", "against", "usd_per_month")
"""What a row is about, which comes first."""


def exported(result: Estimate | Comparison | BreakEven | Sweep, form: str) -> str:
    """Return a result as text that ends in a line break.

    form: 'json' or 'csv'.
    """
    tree = result.to_dict()
    if form == "json":
        return as_json(tree)
    rows = [dict(flattened(row)) for row in tree.get("rows", [tree])]
    return as_csv(rows if isinstance(result, Sweep) else [_steady(row) for row in rows])


def _steady(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose columns are the same for every model and GPU, known or not, before those that its own lists add."""
    known = steady_columns(Estimate)
    own = [name for name in row if name.startswith(_LISTS)]
    others = [name for name in row if name not in own and not any(path.startswith(f"{name}.") for path in known)]
    first = [name for name in others if name in _NAMING]
    order = dict.fromkeys([*first, *known, *others, *own])
    return {name: row.get(name) for name in order}


def steady_columns(kind: type[Any], path: str = "") -> list[str]:
    """Return the columns that every result of a kind has, whatever its model: all but sentences and lists.

    kind: the type of the result. path: what stands before the names.
    """
    columns = []
    hints = get_type_hints(kind)
    for field in fields(kind):
        where = f"{path}.{field.name}" if path else field.name
        part = next((each for each in (hints[field.name], *get_args(hints[field.name])) if is_dataclass(each)), None)
        if field.name in _PROSE or f"{where}." in _LISTS:
            continue
        if field.name.endswith("_range"):
            columns += [f"{where}.low", f"{where}.high"]
        elif isinstance(part, type):
            columns += steady_columns(part, where)
        else:
            columns.append(where)
    return columns


def as_json(tree: Any) -> str:
    """Return a tree as JSON; numbers that are not finite become null, which JSON has."""
    return json.dumps(_finite(tree), indent=2, allow_nan=False) + "\n"


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Return rows as CSV, one column for every key that any row has; what is unknown stays empty."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return text.getvalue()


def flattened(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield a result tree as dotted names and values: 'decode.step_time_s_range.low', 'breakdown.LM head.time_s'."""
    for name, value in tree.items():
        where = f"{path}.{name}" if path else name
        if name in _PROSE:
            continue
        if name.endswith("_range"):
            yield from ((f"{where}.low", value[0]), (f"{where}.high", value[1]))
        elif isinstance(value, Mapping):
            yield from flattened(value, where)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, Mapping):
                    key = item.get("op", index)
                    yield from flattened({k: v for k, v in item.items() if k != "op"}, f"{where}.{key}")
                else:
                    yield f"{where}.{index}", item
        else:
            yield where, value


def _cell(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value


def _finite(tree: Any) -> Any:
    if isinstance(tree, float):
        return tree if math.isfinite(tree) else None
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, (list, tuple)):
        return [_finite(item) for item in tree]
    return tree
