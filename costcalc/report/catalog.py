"""The catalog as pages: lists, and every field of a model or an accelerator with its source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from costcalc.catalog.summary import ClosedSummary, GpuSummary, ModelSummary, kv_bytes_per_token
from costcalc.engine.memory import fixed_cache_bytes_per_sequence
from costcalc.formats import cache_format
from costcalc.hardware.accelerator import Accelerator, Source
from costcalc.hardware.prices import Price, PriceChoice, kinds_priced
from costcalc.model.spec import ApiPrice, ModelSpec
from costcalc.report.page import Block, Column, Grid, Line
from costcalc.units import NOTHING, counted, format_bytes, format_count, format_power, format_rate, format_usd

if TYPE_CHECKING:
    from costcalc.model.spec import ClosedModel


OWN = "*"
"""Stands behind the name of an entry that is not of costcalc's own catalog."""


def models_page(models: Sequence[ModelSummary]) -> list[Block]:
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
            _listed_prices(each),
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


def closed_models_page(models: Sequence[ClosedSummary]) -> list[Block]:
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


def gpus_page(gpus: Sequence[GpuSummary]) -> list[Block]:
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


def _own(entries: Sequence[ModelSummary] | Sequence[GpuSummary]) -> str:
    return f" {OWN}: of a catalog folder of your own." if any(each.own for each in entries) else ""


def _bf16(each: GpuSummary) -> str:
    if each.bf16 is None and each.fp16 is not None:
        return f"{format_rate(each.fp16, '', 3).strip()} (fp16)"
    return format_rate(each.bf16, "", 3).strip()


def _listed_prices(each: ModelSummary) -> str:
    if each.usd_per_million_input_tokens is None:
        return NOTHING
    return f"{format_usd(each.usd_per_million_input_tokens)} / {format_usd(each.usd_per_million_output_tokens)}"


# An accelerator of the catalog as a page: every field with its source, and every price.


def gpu_page(identity: str, gpu: Accelerator, path: str) -> list[Block]:
    """Return an accelerator as a page.

    identity: its name in the catalog.
    gpu: the accelerator.
    path: its file.
    """
    announced = " (announced: figures before the product)" if gpu.status else ""
    return [
        Line(gpu.name + announced, "title"),
        Line(path, "dim"),
        *(Line(each, wrap=True) for each in gpu.caveats),
        Line(),
        Grid(
            (Column(), Column()),
            [
                ("id", identity),
                ("aliases", ", ".join(gpu.aliases) or NOTHING),
                ("vendor", gpu.vendor),
                ("architecture", gpu.architecture),
                ("released", gpu.released or NOTHING),
            ],
        ),
        Line(),
        *_facts(gpu),
        *_gpu_prices(gpu),
        *_gpu_sources(gpu),
    ]


def _facts(gpu: Accelerator) -> Iterator[Block]:
    rows = [(name, value, *_cited(gpu, name)) for name, value in _values(gpu)]
    columns = (Column("field"), Column("value", right=True), Column("source", right=True), Column("provenance"))
    yield Line("Data sheet", "heading")
    yield Grid(columns, rows)
    yield Line("Peaks are dense. Bandwidths of links are of one device, in one direction.", "dim", wrap=True, indent=2)
    for each in gpu.disputed:
        note = f"; {each.note}" if each.note else ""
        yield Line(
            f"{each.field}: used {each.used}, elsewhere {each.other} ({each.sources}){note}", wrap=True, indent=2
        )
    yield Line()


def _values(gpu: Accelerator) -> Iterator[tuple[str, str]]:
    yield "memory", format_bytes(gpu.memory)
    if gpu.memory_reported:
        yield "memory_reported", f"{gpu.memory_reported / 2**20:,.0f} MiB"
    if gpu.runtime_memory:
        yield "runtime_memory", f"{gpu.runtime_memory / 2**30:,.2f} GiB"
    yield "memory_type", gpu.memory_type
    yield "memory_bandwidth", format_rate(gpu.memory_bandwidth)
    for precision, rate in gpu.peak_flops.rates().items():
        yield f"peak_flops.{precision}", format_rate(rate, "OP/s" if precision.startswith("int") else "FLOP/s")
    if gpu.sm_count:
        yield "sm_count", f"{gpu.sm_count:,}"
    if gpu.l2_cache:
        yield "l2_cache", format_bytes(gpu.l2_cache)
    if gpu.scale_up:
        yield "scale_up.technology", gpu.scale_up.technology
        yield "scale_up.bandwidth", format_rate(gpu.scale_up.bandwidth)
        yield "scale_up.domain", f"{gpu.scale_up.domain:,} devices"
    if gpu.scale_out:
        yield "scale_out.bandwidth", format_rate(gpu.scale_out.bandwidth)
    if gpu.host_link:
        yield "host_link.technology", gpu.host_link.technology
        yield "host_link.bandwidth", format_rate(gpu.host_link.bandwidth)
    yield "node_size", f"{gpu.node_size:,}"
    if gpu.power:
        yield "power", format_power(gpu.power)
    if gpu.power_all_in:
        yield "power_all_in", format_power(gpu.power_all_in)


def _cited(gpu: Accelerator, name: str) -> tuple[str, str]:
    """Return the numbers of a field's sources, and the best provenance among them."""
    found = [(number, source) for number, source in enumerate(gpu.sources, 1) if _covers(source, name)]
    if not found:
        return NOTHING, NOTHING
    provenances = {source.provenance for _, source in found}
    best = next(each for each in ("seen", "derived", "recalled") if each in provenances)
    return ", ".join(str(number) for number, _ in found), best


def _covers(source: Source, name: str) -> bool:
    return name in source.fields or name.partition(".")[0] in source.fields


def _gpu_prices(gpu: Accelerator) -> Iterator[Block]:
    yield Line("Prices per GPU-hour", "heading")
    default = gpu.price_for()
    if default is None and not gpu.prices:
        yield Line("none is known: give one with --price", indent=2)
    figures = [("default", default)] if default else []
    for kind in kinds_priced(gpu.price, gpu.prices):
        figure = gpu.price_for(kind)
        figures += [(f"--price {kind}", figure)] if figure and figure.matches > 1 else []
    columns = (
        *(Column("provider"), Column("$/h", right=True), Column("kind"), Column("date"), Column("provenance", keep=1)),
        Column("source", role="dim", keep=2, wrap=True),
    )
    if figures:
        rows = [(who, *_price(each), each.provider or "") for who, each in figures]
        yield Grid((*columns[:-1], Column("by")), rows)
        yield Line()
    if gpu.price or gpu.prices:
        listed = ([("default", gpu.price)] if gpu.price else []) + [(each.provider, each) for each in gpu.prices]
        yield Grid(columns, [(who, *_price(each), each.source) for who, each in listed])
    if gpu.capex:
        capex = gpu.capex
        note = f"; {capex.note}" if capex.note else ""
        yield Line(
            f"to buy: {format_usd(capex.usd)} ({capex.date}, {capex.source}, {capex.provenance}{note})",
            wrap=True,
            indent=2,
        )
    yield Line()


def _price(price: Price | PriceChoice) -> tuple[str, ...]:
    return format_usd(price.usd_per_gpu_hour), price.kind or "", price.date or "", price.provenance or ""


def _gpu_sources(gpu: Accelerator) -> Iterator[Block]:
    yield Line("Sources", "heading")
    for number, source in enumerate(gpu.sources, 1):
        note = f"; {source.note}" if source.note else ""
        own = f", of {source.published}" if source.published else ""
        read = f"{number}. {source.source}{own}, read {source.date} ({source.provenance}){note}"
        yield Line(read, wrap=True, indent=2)
    if gpu.notes:
        yield Line()
        yield Line("Notes", "heading")
        yield from (Line(note, wrap=True, indent=2) for note in gpu.notes)


# A model of the catalog as a page: shape, parameters, cache, prices, and where each comes from.


CACHE_FORMATS = ("bf16", "fp8", "int4")
_PLAIN = (Column(), Column())


def model_page(identity: str, model: ModelSpec, path: str) -> list[Block]:
    """Return a model as a page.

    identity: its name in the catalog.
    model: the model.
    path: its file.
    """
    return [
        Line(model.name, "title"),
        Line(path, "dim"),
        *(Line(each, wrap=True) for each in model.caveats),
        Line(),
        *_identity(identity, model),
        *_parameters(model),
        *_shape(model),
        *_cache(model),
        *_api_prices(model.api_prices),
        *_model_sources(model),
    ]


def closed_model_page(model: ClosedModel, path: str) -> list[Block]:
    """Return a model known by its list prices alone as a page.

    model: the model.
    path: the file that lists its prices.
    """
    rows = [
        ("id", model.names[0]),
        ("aliases", ", ".join(model.aliases) or NOTHING),
        ("provider", model.provider),
        ("max context", format_count(model.max_context)),
    ]
    return [
        Line(model.name, "title"),
        Line(path, "dim"),
        Line(),
        Grid(_PLAIN, rows),
        Line(),
        *_api_prices(model.api_prices),
        *(Line(note, wrap=True) for note in model.notes),
        Line(
            "Known by its list prices only, not by its shape. Compare with them: "
            f"costcalc breakeven --model v3 --gpu h100 --against {model.names[0]}",
            "dim",
            wrap=True,
        ),
    ]


def _identity(identity: str, model: ModelSpec) -> Iterator[Block]:
    precision = model.precision
    rows = [
        ("id", identity),
        ("aliases", ", ".join(model.aliases) or NOTHING),
        ("Hugging Face id", model.hf_id or NOTHING),
        ("family", model.family or NOTHING),
        ("released", model.released or NOTHING),
        ("max context", format_count(model.max_context)),
        ("hidden size", f"{model.hidden_size:,}"),
        ("vocabulary", f"{model.vocab_size:,}{', tied embeddings' if model.tied_embeddings else ''}"),
        (
            "precision",
            ", ".join(f"{part} {name}" for part, name in {"weights": precision.weights, **precision.apart}.items())
            + f", head {precision.head}, KV cache {precision.kv_cache}",
        ),
    ]
    yield Grid(_PLAIN, rows)
    yield Line()


def _parameters(model: ModelSpec) -> Iterator[Block]:
    published = model.published
    rows = [
        (
            name,
            f"{counted:,.0f}",
            format_count(stated),
            NOTHING if deviation is None else f"{deviation:+.2%}",
        )
        for name, counted, stated, deviation in (
            ("total", model.total_parameters, published.total if published else None, model.total_deviation),
            ("active", model.active_parameters, published.active if published else None, model.active_deviation),
        )
    ]
    yield Line("Parameters", "heading")
    columns = (
        Column(""),
        Column("counted", right=True),
        Column("published", right=True),
        Column("difference", right=True),
    )
    yield Grid(columns, rows)
    if published:
        yield Line(f"published: {published.source} ({published.provenance})", "dim", wrap=True, indent=2)
        if published.note:
            yield Line(published.note, "dim", wrap=True, indent=2)
    yield Line("active counts every matrix that one token multiplies, LM head included.", "dim", wrap=True, indent=2)
    yield Line()


def _shape(model: ModelSpec) -> Iterator[Block]:
    yield Line(f"Layers: {model.num_layers}", "heading")
    rows = [
        (str(group.count), ", ".join(group.attention) or NOTHING, ", ".join(group.feedforward) or NOTHING)
        for group in model.layers
    ]
    yield Grid((Column("count", right=True), Column("attention"), Column("feed-forward")), rows)
    if model.mtp:
        yield Line(
            f"and {model.mtp.layers} for multi-token prediction{f': {model.mtp.note}' if model.mtp.note else ''}",
            wrap=True,
            indent=2,
        )
    yield Line()
    yield Line("Attention", "heading")
    attention = [(f"{label} ({layer.describe()})", _fields(layer)) for label, layer in model.attention.items()]
    feedforward = [(label, _fields(layer)) for label, layer in model.feedforward.items()]
    yield from (Line(f"{name}: {text}", wrap=True, indent=2) for name, text in attention)
    yield Line("Feed-forward", "heading")
    yield from (Line(f"{name}: {text}", wrap=True, indent=2) for name, text in feedforward)
    yield Line()


def _fields(layer: Any) -> str:
    given = {each.name: getattr(layer, each.name) for each in fields(layer)}
    told = [f"{each.name} {given[each.name]}" for each in fields(layer) if given[each.name] != each.default]
    return ", ".join([layer.kind, *told])


def _cache(model: ModelSpec) -> Iterator[Block]:
    native = model.precision.kv_cache
    forms = [native, *(each for each in CACHE_FORMATS if each != native)]
    yield Line("KV cache, all layers", "heading")
    sizes = [
        (form, kv_bytes_per_token(model, form), fixed_cache_bytes_per_sequence(model, cache_format(form)))
        for form in forms
    ]
    rows = [
        (form, format_bytes(size), f"{size:,.0f} B", format_bytes(fixed) if fixed else "")
        for form, size, fixed in sizes
    ]
    columns = [Column("format"), Column("per further token", right=True), Column("", right=True, role="dim")]
    fixed = any(each for *_, each in sizes)
    yield Grid(
        [*columns, Column("fixed, per sequence", right=True)] if fixed else columns,
        rows if fixed else [row[:3] for row in rows],
    )
    if fixed:
        yield Line("fixed: what windows and states hold besides, when full.", "dim", wrap=True, indent=2)
    yield Line()


def _api_prices(prices: Sequence[ApiPrice]) -> Iterator[Block]:
    if not prices:
        return
    yield Line("List prices of APIs, per million tokens", "heading")
    rows = [
        (
            price.provider,
            format_usd(price.input_usd_per_million),
            format_usd(price.cached_input_usd_per_million),
            format_usd(price.output_usd_per_million),
            price.date,
            price.provenance,
            price.source + (f" ({price.note})" if price.note else ""),
        )
        for price in prices
    ]
    columns = (
        Column("provider"),
        Column("input", right=True),
        Column("cached", right=True),
        Column("output", right=True),
        Column("date"),
        Column("provenance", keep=1),
        Column("source", role="dim", keep=2, wrap=True),
    )
    yield Grid(columns, rows)
    yield Line()


def _model_sources(model: ModelSpec) -> Iterator[Block]:
    yield Line("Sources", "heading")
    for source in model.sources:
        note = f"; {source.note}" if source.note else ""
        date = f", {source.date}" if source.date else ""
        yield Line(f"{source.what}: {source.source}{date} ({source.provenance}){note}", wrap=True, indent=2)
    if model.notes:
        yield Line()
        yield Line("Notes", "heading")
        yield from (Line(note, wrap=True, indent=2) for note in model.notes)
