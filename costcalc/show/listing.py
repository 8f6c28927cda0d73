"""Lists of the catalog as pages."""

from __future__ import annotations

from collections.abc import Sequence

from costcalc.explore.facts import ClosedFacts, GpuFacts, ModelFacts
from costcalc.readable import NOTHING, format_bytes, format_count, format_power, format_rate, format_usd
from costcalc.show.blocks import Block, Column, Grid, Line


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
        Column("max context", right=True, keep=2),
        Column("list price in/out", right=True, keep=1),
    )
    rows = [
        (
            each.id,
            each.family or NOTHING,
            each.released or NOTHING,
            format_count(each.total_parameters, 3),
            format_count(each.active_parameters, 3),
            str(each.layers),
            each.attention,
            each.weights,
            format_bytes(each.kv_bytes_per_token),
            format_count(each.max_context),
            _prices(each),
        )
        for each in models
    ]
    legend = (
        f"{len(models)} models. KV/token: cache of one token in all layers, as the model is served. "
        "List price: dollars per million input and output tokens. More on one: costcalc models show NAME. "
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
        f"{len(models)} models that only have list prices, in dollars per million tokens. "
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
    )
    rows = [
        (
            each.id,
            each.name,
            each.vendor,
            f"{each.released or NOTHING}{' (announced)' if each.status else ''}",
            format_bytes(each.memory_bytes),
            each.memory_type,
            format_rate(each.memory_bandwidth, "B/s", 3),
            format_rate(each.bf16, "", 3).strip(),
            format_rate(each.fp8, "", 3).strip(),
            format_rate(each.fp4, "", 3).strip(),
            str(each.domain or 1),
            format_power(each.power_w),
            format_usd(each.usd_per_gpu_hour),
        )
        for each in gpus
    ]
    legend = (
        f"{len(gpus)} accelerators. bf16, fp8, fp4: dense peaks in FLOP/s. domain: devices on one scale-up fabric. "
        "$/h: the default price. More on one: costcalc gpus show NAME"
    )
    return [Grid(columns, rows, indent=0, split=False), Line(), Line(legend, "dim", wrap=True)]


def _prices(each: ModelFacts) -> str:
    if each.usd_per_million_input_tokens is None:
        return NOTHING
    return f"{format_usd(each.usd_per_million_input_tokens)} / {format_usd(each.usd_per_million_output_tokens)}"
