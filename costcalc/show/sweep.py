"""A sweep as a page: a row for each cell, under the quantities that vary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from costcalc.explore.result import Assumption
from costcalc.explore.swept import PATHS, Sweep
from costcalc.readable import format_count, format_percent, format_rate, format_usd
from costcalc.show.basis import price_basis
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.show.numbers import MARK, dollars_span, seconds, speed, usd
from costcalc.show.parts import defaults_taken, notes

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
