"""A sweep as a page of cells, and as the lines that its chart draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from costcalc.engine.parallelism import Deployment, Parallelism, layout_name
from costcalc.errors import CostcalcError
from costcalc.explore.spaces.cells import Axis
from costcalc.explore.spaces.sweep import Sweep
from costcalc.fields import Array, Record
from costcalc.predict.quantities import BLENDED
from costcalc.predict.results import Assumption
from costcalc.report.estimate import OF_POOLS, degrees, price_basis
from costcalc.report.page import (
    HEAD_ENDS,
    MARK,
    RANGE,
    Block,
    Column,
    Grid,
    Line,
    Shown,
    defaults_taken,
    filled_grid,
    notes,
    quantity,
)
from costcalc.units import format_count, format_percent, format_price, format_rate

Index = tuple[int, ...]
NAMES = {
    "gpus": "GPUs", "tensor_parallel": "tensor", "pipeline_parallel": "pipeline", "expert_parallel": "expert",
    "attention_data_parallel": "data", "batch": "batch", "context": "context", "input_tokens": "tokens in",
    "output_tokens": "tokens out", "memory_bandwidth": "bandwidth", "price": "$/GPU-h", "utilization": "use",
}  # fmt: skip
"""Options as columns."""
_MOST_AXES_IN_ROWS = 2


def sweep_page(sweep: Sweep) -> list[Block]:
    """Return a sweep as a page; raises CostcalcError for more cells than anybody reads."""
    sweep.check_shown()
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
    page[-1] = HEAD_ENDS
    page += [Line(text, "dim") for text in _legend(sweep)]
    page += [Line(), *notes(sweep.notes), *defaults_taken(_shared(sweep))]
    return page


def value_shown(name: str, value: Any) -> str:
    """Return the value of an option that varies as text.

    name: the option. value: its value.
    """
    if name == "price":
        return value if isinstance(value, str) else format_price(value)
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
    chosen = _batch_chosen(sweep) and "batch" not in {axis.name for axis in sweep.axes}
    columns = [Column(NAMES[axis.name], right=True, role="value", key=True) for axis in axes]
    columns += [Column("GPUs", right=True), Column("layout")] if sweep.chosen else []
    columns += [Column("batch", right=True)] if chosen else []
    numbers = {path: (sweep[path], sweep.range_of(path)) for path in _told(sweep)}
    told = {name: sweep[name] for name in ("batch", "max_sequences", "bound_by")}
    for path in numbers:
        columns.append(Column(quantity(path).short, right=True, role="headline" if path == BLENDED else "text"))
        columns += [RANGE] if path == BLENDED else []
    columns += [Column("fit", right=True), Column("bound by")]
    rows, whole = [], _is_whole(sweep)
    for index in cells:
        row = [value_shown(axis.name, axis.values[at]) for axis, at in zip(axes, index[outer:], strict=True)]
        row += _deployment(sweep, index) if sweep.chosen else []
        row += [f"{int(told['batch'][index]):,}{MARK}"] if chosen else []
        for path, (values, limits) in numbers.items():
            shown = _shown(path, values, limits, index)
            row += [shown.text, shown.range] if path == BLENDED else [shown.text]
        held = float(told["max_sequences"][index])
        fit = "-" if np.isnan(held) else format_count(held) if whole else ""
        rows.append([*row, fit, told["bound_by"][index] or "does not fit"])
    return filled_grid(columns, rows)


def _is_whole(sweep: Sweep) -> bool:
    """Whether more than a term of the bill was asked for."""
    return bool(np.isfinite(sweep[BLENDED]).any())


def _told(sweep: Sweep) -> Sequence[str]:
    """Paths of the numbers that stand in every row."""
    rates = "serving.output_tokens_per_s_per_gpu", "serving.tokens_per_s_per_user"
    if not _is_whole(sweep):
        rates = "decode.tokens_per_s_per_gpu", "decode.tokens_per_s_per_user"
    waits = "serving.time_per_output_token_s", "serving.time_to_first_token_s"
    return BLENDED, "cost.usd_per_million_output_tokens", *rates, *waits


def _deployment(sweep: Sweep, index: Index) -> list[str]:
    """The GPUs and the layout that a cell takes, which costcalc chose."""
    degrees = [sweep.values[f"deployment.{name}"][index] for name in _LAYOUT]
    if np.isnan(degrees[0]):
        return ["-", "-"]
    tensor, data, expert, pipeline, replicas, gpus = map(int, degrees)
    layout = layout_name(Deployment(Parallelism(tensor, data, expert, pipeline), replicas))
    return [f"{gpus:,}{MARK}", f"{layout}{MARK}"]


_LAYOUT = (
    "tensor_parallel", "attention_data_parallel", "expert_parallel", "pipeline_parallel", "replicas", "gpus",
)  # fmt: skip


def _shown(path: str, values: Array, limits: tuple[Array, Array] | None, index: Index) -> Shown:
    value = float(values[index])
    if not np.isfinite(value):
        return quantity(path)
    found = None if limits is None else (float(limits[0][index]), float(limits[1][index]))
    return replace(quantity(path), value=value, limits=found)


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
    price = next((axis for axis in sweep.axes if axis.name == "price"), None)
    if price is None:
        fixed.append(price_basis(each.deployment for each in sweep.references))
    elif price.numbers:
        words = zip(price.values, price.numbers, strict=True)
        told = [f"{word} {format_price(usd)}" for word, usd in words if isinstance(word, str)]
        fixed.append(f"per GPU-hour {', '.join(told)}")
    yield f"{'; '.join(fixed)}."
    yield (
        "tok/s, of a GPU and of a user: output tokens served, prefills included; TPOT and TTFT: time per output token "
        "and to the first one; fit: sequences that the memory holds; range: holds in 8 of 10 cases."
    )
    if sweep.references[0].workload.disaggregated:
        yield OF_POOLS
    if sweep.chosen:
        yield f"GPUs and layout: in each cell what costs least, as {MARK} costcalc estimate chooses it."
        return
    for each in sweep.references:
        machine = each.deployment
        replicas = f"{machine.replicas} replicas, each " if machine.replicas > 1 else ""
        yield (
            f"{machine.gpus} × {machine.gpu}: {replicas}{degrees(machine)}, in every "
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
    own = {"batch", *(("input_tokens",) if _as_long(sweep) else ()), *(("gpus", "layout") if sweep.chosen else ())}
    own |= {axis.name for axis in sweep.axes}
    known = [{(each.name, each.value): each for each in one.assumptions} for one in sweep.references]
    return [each for key, each in known[0].items() if key[0] not in own and all(key in other for other in known)]


# A sweep as lines: a number along the longest axis, for each combination of the other values.


_MOST_NAMED = 3
_COLOURS = 12

SWEPT_PANELS = {
    "cost": BLENDED,
    "throughput": "serving.output_tokens_per_s_per_gpu",
    "speed": "serving.tokens_per_s_per_user",
    "wait": "serving.time_to_first_token_s",
}
"""What a chart of a sweep may show."""


class SweptLine(Record):
    """One line of a chart, of all combinations in which the number is the same everywhere along it."""

    label: str
    place: int  # of its first combination among all, for a colour that is the same in every panel
    points: list[tuple[float, float]]
    band: list[tuple[float, float]]  # low and high beside each point; empty where there is no range
    cut: bool = False  # it ends before the axis does: what lies beyond does not fit


class SweptLines(Record):
    """The lines of a number, and the option along the bottom of their chart."""

    along: str
    lines: list[SweptLine]
    count: int  # of the lines that differ, of which those above are some
    nowhere: list[float]  # places along the bottom at which nothing fits


LENGTHS = ("context", "input_tokens", "output_tokens")
"""Axes along which a batch of lowest cost shrinks."""
_APART = ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
_SAME = 1.01
"""A panel whose numbers differ by no more than this factor says nothing."""


def stands_alone(along: str) -> bool:
    """Whether an axis has nothing between its values, of which a line would tell: counts of GPUs, degrees."""
    return along in _APART


def panels_to_draw(sweep: Sweep, kinds: Sequence[str], most: int, *, asked: bool) -> dict[str, SweptLines]:
    """Return the lines of each panel that says something.

    The speed for a user is left out along contexts whose batches shrink with them: it would seem to rise with context.
    most: lines of a panel. asked: whether somebody named the panels; else one in which nothing changes is left out.
    Raises CostcalcError where such a speed alone is asked for.
    """
    found = {kind: curves_of(sweep, SWEPT_PANELS[kind], most) for kind in kinds}
    found = {kind: each for kind, each in found.items() if any(line.points for line in each.lines)}
    chosen = any(each.name == "batch" for one in sweep.references for each in one.assumptions)
    if "speed" in found and found["speed"].along in LENGTHS and chosen:
        if len(kinds) == 1:
            raise CostcalcError(
                "each context has a batch of its own, so that the speed for a user would not be that of contexts",
                where="batch",
                hint="give one, as in 16",
            )
        del found["speed"]
    return found if asked else {kind: each for kind, each in found.items() if not _constant(each)} or found


def _constant(found: SweptLines) -> bool:
    values = [y for line in found.lines for _, y in line.points]
    return len(values) > 1 and max(values) <= _SAME * min(values)


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
        below = [float(x) for x, there in zip(sweep.axes[along].coordinates, known, strict=True) if there]
        points = list(zip(below, values[index][known].tolist(), strict=True))
        band = list(zip(low[index][known].tolist(), high[index][known].tolist(), strict=True)) if limits else []
        place = int(np.ravel_multi_index(index, shape)) if shape and prod(shape) <= _COLOURS else number
        cut = bool(points) and not bool(known[-1])
        lines.append(SweptLine(_label(others, members), place, points, band, cut))
    fits = (np.isfinite(values) & (values > 0)).reshape(-1, values.shape[-1]).any(axis=0)
    nowhere = [float(x) for x, there in zip(sweep.axes[along].coordinates, fits, strict=True) if not there]
    return SweptLines(sweep.axes[along].name, lines, len(alike), nowhere)


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
