"""Lists of the catalog as pages."""

from __future__ import annotations

from collections.abc import Sequence

from costcalc.explore.facts import ClosedFacts, GpuFacts, ModelFacts
from costcalc.readable import NOTHING, counted, format_bytes, format_count, format_power, format_rate, format_usd
from costcalc.show.blocks import Block, Column, Grid, Line

OWN = "*"
"""Stands behind the name of an entry that is not of costcalc's own catalog."""


def models_page(models: Sequence[ModelFacts]) -> list[Block]:
    """Return a list of models as a page.

    models: the models, in the order to show them.
    """
    columns = (
        Column("model", role="value"),
        Column("family", keep=5),
        Column("released", keep=4),
        Column("params", right=True),
        Column("active", right=True),
        Column("layers", right=True, keep=6),
        Column("attention", keep=3),
        Column("weights", keep=7),
        Column("KV/token", right=True),
        Column("+ fixed", right=True, keep=2),
        Column("max context", right=True, keep=2),
        Column("list price in/out", right=True, keep=1),
        Column("facts", keep=6),
    )
    rows = [
        (
            each.id + (OWN if each.own else ""),
            each.family or NOTHING,
            each.released or NOTHING,
            format_count(each.total_parameters, 3),
            format_count(each.active_parameters, 3),
            str(each.layers),
            each.attention,
            each.weights if each.experts is None else f"{each.weights}, {each.experts} experts",
            format_bytes(each.kv_bytes_per_token),
            format_bytes(each.fixed_bytes_per_sequence) if each.fixed_bytes_per_sequence else "",
            format_count(each.max_context),
            _prices(each),
            each.facts or NOTHING,
        )
        for each in models
    ]
    legend = (
        f"{counted(len(models), 'model')}. KV/token: cache that each further token adds in all layers, as the model "
        "is served; + fixed: what windows and states hold besides, per sequence, when full. List price: dollars per "
        "million input and output tokens. facts: how the shape is known; defaults are those of the class that reads "
        f"the checkpoint.{_own(models)} More on one: costcalc models show NAME. "
        "Models that only have prices: costcalc models list --closed"
    )
    return [Grid(columns, rows, indent=0, split=False), Line(), Line(legend, "dim", wrap=True)]


def closed_models_page(models: Sequence[ClosedFacts]) -> list[Block]:
    """Return a list of models known by their list prices alone as a page.

    models: the models, in the order to show them.
    """
    columns = (
        Column("model", role="value"),
        Column("provider"),
        Column("max context", right=True, keep=2),
        Column("input", right=True),
        Column("cached", right=True, keep=1),
        Column("output", right=True),
        Column("date", keep=3),
    )
    rows = [
        (
            each.id,
            each.provider,
            format_count(each.max_context),
            format_usd(each.usd_per_million_input_tokens),
            format_usd(each.usd_per_million_cached_input_tokens),
            format_usd(each.usd_per_million_output_tokens),
            each.date,
        )
        for each in models
    ]
    legend = (
        f"{counted(len(models), 'model')} with list prices only, in dollars per million tokens. "
        "Compare with one: costcalc breakeven --model v3 --gpu h100 --against NAME"
    )
    return [Grid(columns, rows, indent=0, split=False), Line(), Line(legend, "dim", wrap=True)]


def gpus_page(gpus: Sequence[GpuFacts]) -> list[Block]:
    """Return a list of accelerators as a page.

    gpus: the accelerators, in the order to show them.
    """
    columns = (
        Column("gpu", role="value"),
        Column("name", keep=6),
        Column("vendor", keep=5),
        Column("released", keep=4),
        Column("memory", right=True),
        Column("type", keep=7),
        Column("bandwidth", right=True),
        Column("bf16", right=True),
        Column("fp8", right=True, keep=1),
        Column("fp4", right=True, keep=3),
        Column("domain", right=True, keep=3),
        Column("power", right=True, keep=2),
        Column("$/h", right=True),
        Column("price", keep=4),
    )
    rows = [
        (
            each.id + (OWN if each.own else ""),
            each.name,
            each.vendor,
            f"{each.released or NOTHING}{' (announced)' if each.status else ''}",
            format_bytes(each.memory_bytes),
            each.memory_type,
            format_rate(each.memory_bandwidth, "B/s", 3),
            _bf16(each),
            format_rate(each.fp8, "", 3).strip(),
            format_rate(each.fp4, "", 3).strip(),
            str(each.domain or 1),
            format_power(each.power_w),
            format_usd(each.usd_per_gpu_hour),
            f"{each.price_kind}, {each.price_date}" if each.price_kind else "",
        )
        for each in gpus
    ]
    legend = (
        f"{counted(len(gpus), 'accelerator')}. bf16, fp8, fp4: dense peaks in FLOP/s; in brackets the rate that "
        "stands in. domain: devices on one scale-up fabric. $/h: the default price, of kinds and years that differ; "
        f"compare gpus takes one kind for all.{_own(gpus)} More on one: costcalc gpus show NAME"
    )
    return [Grid(columns, rows, indent=0, split=False), Line(), Line(legend, "dim", wrap=True)]


def _own(entries: Sequence[ModelFacts] | Sequence[GpuFacts]) -> str:
    return f" {OWN}: of a catalog folder of your own." if any(each.own for each in entries) else ""


def _bf16(each: GpuFacts) -> str:
    if each.bf16 is None and each.fp16 is not None:
        return f"{format_rate(each.fp16, '', 3).strip()} (fp16)"
    return format_rate(each.bf16, "", 3).strip()


def _prices(each: ModelFacts) -> str:
    if each.usd_per_million_input_tokens is None:
        return NOTHING
    return f"{format_usd(each.usd_per_million_input_tokens)} / {format_usd(each.usd_per_million_output_tokens)}"
