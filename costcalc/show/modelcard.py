"""A model of the catalog as a page: shape, parameters, cache, prices, and where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from costcalc.engine.memory import fixed_cache_bytes_per_sequence
from costcalc.explore.facts import kv_bytes_per_token
from costcalc.formats import cache_format
from costcalc.readable import NOTHING, format_bytes, format_count, format_usd
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.specs.model import ApiPrice, ModelSpec

if TYPE_CHECKING:
    from costcalc.specs.closed import ClosedModel

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
        *_prices(model.api_prices),
        *_sources(model),
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
        *_prices(model.api_prices),
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
            f"weights {precision.weights}{f', experts {precision.experts}' if precision.experts else ''}, "
            f"head {precision.head}, KV cache {precision.kv_cache}",
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


def _prices(prices: Sequence[ApiPrice]) -> Iterator[Block]:
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


def _sources(model: ModelSpec) -> Iterator[Block]:
    yield Line("Sources", "heading")
    for source in model.sources:
        note = f"; {source.note}" if source.note else ""
        date = f", {source.date}" if source.date else ""
        yield Line(f"{source.what}: {source.source}{date} ({source.provenance}){note}", wrap=True, indent=2)
    if model.notes:
        yield Line()
        yield Line("Notes", "heading")
        yield from (Line(note, wrap=True, indent=2) for note in model.notes)
