"""A sweep as a page of cells, and as the lines that its chart draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import numpy as np

from costcalc.explore.sweep import PATHS, Axis, Sweep
from costcalc.fields import Record
from costcalc.predict.quantities import Assumption
from costcalc.report.estimate import price_basis
from costcalc.report.page import (
    MARK,
    Block,
    Column,
    Grid,
    Line,
    defaults_taken,
    dollars_span,
    notes,
    seconds,
    speed,
    usd,
)
from costcalc.units import format_count, format_percent, format_rate, format_usd

Index = tuple[int, ...]
NAMES = {
    "gpus": "GPUs", "tensor_parallel": "tensor", "pipeline_parallel": "pipeline", "expert_parallel": "expert",
    "attention_data_parallel": "data", "batch": "batch", "context": "context", "input_tokens": "tokens in",
    "output_tokens": "tokens out", "memory_bandwidth": "bandwidth", "price": "$/GPU-h", "utilization": "use",
}  # fmt: skip
"""Options as columns."""
_MOST_AXES_IN_ROWS = 2


def sweep_page(sweep: Sweep) -> list[Block]:
    """Return a sweep as a page.

    sweep: the sweep.
    """
    page: list[Block] = [
        Line(f"{sweep.title}: {sweep.size:,} {'cell' if sweep.size == 1 else 'cells'}", "title"),
        Line(),
    ]
    outer = max(0, len(sweep.axes) - _MOST_AXES_IN_ROWS)
    for ahead in np.ndindex(sweep.shape[:outer]):
        if outer:
            page.append(Line(_heading(sweep, ahead), "heading"))
        behind = [(*ahead, *each) for each in np.ndindex(sweep.shape[outer:])]
        page += [_grid(sweep, behind, outer), Line()]
    page += [Line(text, "dim", wrap=True) for text in _legend(sweep)]
    page += [Line(), *notes(sweep.notes), *defaults_taken(_shared(sweep))]
    return page


def value_shown(name: str, value: Any) -> str:
    """Return the value of an option that varies as text.

    name: the option. value: its value.
    """
    if name == "price":
        return format_usd(value) if value is not None else "-"
    if name == "memory_bandwidth":
        return format_rate(value)
    if name == "utilization":
        return format_percent(value)
    return format_count(value)


def _heading(sweep: Sweep, ahead: Index) -> str:
    said = (
        f"{NAMES[axis.name]} {value_shown(axis.name, axis.values[at])}"
        for axis, at in zip(sweep.axes, ahead, strict=False)
    )
    return ", ".join(said)


def _grid(sweep: Sweep, cells: Sequence[Index], outer: int) -> Grid:
    axes = sweep.axes[outer:]
    names = {axis.name for axis in sweep.axes}
    chosen = [] if "batch" in names or not _batch_chosen(sweep) else [Column("batch", right=True)]
    columns = [
        *(Column(NAMES[axis.name], right=True, role="value", key=True) for axis in axes),
        *chosen,
        Column("$/M blended", right=True, role="headline"),
        Column("80% range", role="dim", keep=1),
        Column("$/M out", right=True),
        Column("tok/s GPU", right=True),
        Column("tok/s user", right=True),
        Column("TPOT", right=True, keep=3),
        Column("TTFT", right=True, keep=2),
        Column("fit", right=True, keep=5),
        Column("bound by", keep=4),
    ]
    rows = []
    for index in cells:
        swept = [value_shown(axis.name, axis.values[at]) for axis, at in zip(axes, index[outer:], strict=True)]
        rows.append([*swept, *([f"{int(sweep['batch'][index]):,}{MARK}"] if chosen else []), *_outcome(sweep, index)])
    return Grid(_without_the_unknown(columns, rows), rows)


def _outcome(sweep: Sweep, index: Index) -> list[str]:
    term = not np.isfinite(sweep["usd_per_million_blended_tokens"]).any()

    def at(name: str) -> float | None:
        value = float(sweep[name][index])
        return value if np.isfinite(value) else None

    def limits(name: str) -> tuple[float, float] | None:
        found = sweep.range_of(name)
        return None if found is None or at(name) is None else (float(found[0][index]), float(found[1][index]))

    rates = ("decode.tokens_per_s_per_gpu", "decode.tokens_per_s_per_user") if term else (
        "output_tokens_per_s_per_gpu", "serving.tokens_per_s_per_user"
    )  # fmt: skip
    return [
        usd(at("usd_per_million_blended_tokens")),
        dollars_span(limits("usd_per_million_blended_tokens")),
        usd(at("usd_per_million_output_tokens")),
        speed(at(rates[0])),
        speed(at(rates[1])),
        seconds(at("time_per_output_token_s")),
        seconds(at("time_to_first_token_s")),
        "" if term else format_count(float(sweep["max_sequences"][index])),
        sweep["bound_by"][index] or "does not fit",
    ]


def _without_the_unknown(columns: list[Column], rows: list[list[str]]) -> list[Column]:
    """Take out of the rows, in place, the columns that say nothing anywhere; return those that are left."""
    kept = [number for number in range(len(columns)) if any(row[number] not in ("", "-") for row in rows)]
    for row in rows:
        row[:] = [row[number] for number in kept]
    return [columns[number] for number in kept]


def _batch_chosen(sweep: Sweep) -> bool:
    return any(each.name == "batch" for each in sweep.references[0].assumptions)


def _legend(sweep: Sweep) -> Iterator[str]:
    load = sweep.references[0].workload
    fixed = [
        f"{format_count(getattr(load, name))} {text}"
        for name, text in (("input_tokens", "tokens in"), ("output_tokens", "out"))
        if name not in {axis.name for axis in sweep.axes} and not (name == "input_tokens" and _as_long(sweep))
    ]
    if _as_long(sweep):
        fixed.insert(0, "prompts as long as the context")
    fixed.append(f"KV cache {sweep.references[0].deployment.precision.kv_cache}")
    if "price" not in {axis.name for axis in sweep.axes}:
        fixed.append(price_basis(each.deployment for each in sweep.references))
    yield f"{'; '.join(fixed)}."
    yield (
        "tok/s, of a GPU and of a user: output tokens served, prefills included; TPOT and TTFT: time per output token "
        "and to the first one; fit: sequences that the memory holds; range: holds in 8 of 10 cases."
    )
    gpus = {int(each) for each in np.unique(sweep[PATHS["gpus"]])}
    for each in sweep.references:
        d = each.deployment
        replicas = f"{d.replicas} replicas, each " if d.replicas > 1 else ""
        yield (
            f"{d.gpus if len(gpus) > 1 or d.gpus > 1 else 1} × {d.gpu}: {replicas}tensor {d.tensor_parallel}, pipeline "
            f"{d.pipeline_parallel}, expert {d.expert_parallel}, attention data {d.attention_data_parallel}, in every "
            "cell: what the most demanding one that fits takes."
        )


def _as_long(sweep: Sweep) -> bool:
    names = {axis.name for axis in sweep.axes}
    return (
        "context" in names
        and "input_tokens" not in names
        and bool((sweep["input_tokens"] == sweep["context_tokens"]).all())
    )


def _shared(sweep: Sweep) -> list[Assumption]:
    """Defaults that all deployments have in common, without those that cells have of their own."""
    own = {"batch", *(("input_tokens",) if _as_long(sweep) else ())}
    known = [{(each.name, each.value): each for each in one.assumptions} for one in sweep.references]
    return [each for key, each in known[0].items() if key[0] not in own and all(key in other for other in known)]


# A sweep as lines: a number along the longest axis, for each combination of the other values.


_MOST_NAMED = 3
_COLOURS = 12

SWEPT_PANELS: dict[str, tuple[str, str, Callable[[float | None], str]]] = {
    "cost": ("usd_per_million_blended_tokens", "$ per million tokens, blended", usd),
    "throughput": ("output_tokens_per_s_per_gpu", "Output tokens/s per GPU", speed),
    "speed": ("serving.tokens_per_s_per_user", "Output tokens/s per user", speed),
    "wait": ("time_to_first_token_s", "Time to first token", seconds),
}
"""What a chart of a sweep may show: a number, what it is, and how it is written."""


class SweptLine(Record):
    """One line of a chart, of all combinations in which the number is the same everywhere along it."""

    label: str
    place: int  # of its first combination among all, for a colour that is the same in every panel
    points: list[tuple[float, float]]
    band: list[tuple[float, float]]  # low and high beside each point; empty where there is no range


class SweptLines(Record):
    """The lines of a number, and the option along the bottom of their chart."""

    along: str
    lines: list[SweptLine]
    count: int  # of the lines that differ, of which those above are some


def curves_of(sweep: Sweep, name: str, most: int) -> SweptLines:
    """Return the lines of a number; those that coincide are one, which names what they stand for.

    sweep: the sweep. name: of the number, as in `sweep[name]`. most: lines; of more, as many evenly spread.
    """
    along = max(range(len(sweep.axes)), key=lambda number: len(sweep.axes[number].values))
    limits = sweep.range_of(name)
    arrays = [sweep[name], *(limits or (sweep[name], sweep[name]))]
    values, low, high = (np.moveaxis(each, along, -1) for each in arrays)
    others = [axis for number, axis in enumerate(sweep.axes) if number != along]
    alike: dict[bytes, list[Index]] = {}
    for index in np.ndindex(values.shape[:-1]):
        # Single precision: what differs in the last digits of a float is the same line.
        alike.setdefault(values[index].astype(np.float32).tobytes(), []).append(index)
    groups = list(alike.values())
    if len(groups) > most:
        groups = [groups[round(at)] for at in np.linspace(0, len(groups) - 1, most)]
    shape = tuple(len(axis.values) for axis in others)
    lines = []
    for number, members in enumerate(groups):
        index = members[0]
        known = np.isfinite(values[index]) & (values[index] > 0)
        below = [float(x) for x, there in zip(sweep.axes[along].values, known, strict=True) if there]
        points = list(zip(below, values[index][known].tolist(), strict=True))
        band = list(zip(low[index][known].tolist(), high[index][known].tolist(), strict=True)) if limits else []
        place = int(np.ravel_multi_index(index, shape)) if shape and prod(shape) <= _COLOURS else number
        lines.append(SweptLine(_label(others, members), place, points, band))
    return SweptLines(sweep.axes[along].name, lines, len(alike))


def _label(axes: Sequence[Axis], members: Sequence[Index]) -> str:
    """What a line stands for: 'batch 8, any $/GPU-h', 'batch 1, 2' or, where no such list fits, 'batch 1 = batch 2'."""
    seen = [sorted({index[number] for index in members}) for number in range(len(axes))]
    if prod(map(len, seen)) == len(members):
        return ", ".join(_values(axis, at) for axis, at in zip(axes, seen, strict=True))
    named = [", ".join(_values(axis, [at]) for axis, at in zip(axes, index, strict=True)) for index in members]
    more = f" = {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    return " = ".join(named[:_MOST_NAMED]) + more


def _values(axis: Axis, places: Sequence[int]) -> str:
    name = NAMES[axis.name]
    if len(places) == len(axis.values) > 1:
        return f"any {name}"
    shown = [value_shown(axis.name, axis.values[at]) for at in places]
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return f"{name} {', '.join(shown[:_MOST_NAMED])}{more}"
