"""The catalog as pages: lists, and every fact with its source; and files to start an entry of one's own from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from operator import attrgetter
from pathlib import Path
from textwrap import wrap
from typing import Any

from costcalc.catalog.catalog import Catalog
from costcalc.catalog.files import known_architectures
from costcalc.catalog.summary import ClosedSummary, GpuSummary, Listing, ModelSummary, kv_bytes_per_token
from costcalc.catalog.yaml import load_yaml, read_text
from costcalc.engine.memory import fixed_cache_bytes_per_sequence
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.formats import cache_format
from costcalc.hardware.accelerator import Accelerator, Source
from costcalc.hardware.prices import Price, PriceChoice, kinds_priced
from costcalc.model.spec import ApiPrice, ClosedModel, ModelSpec
from costcalc.report.page import Block, Column, Grid, Line, filled_grid, grid_of, notes, numbers, section
from costcalc.units import (
    NOTHING,
    counted,
    format_bytes,
    format_count,
    format_power,
    format_price,
    format_rate,
    format_usd,
)

OWN = "*"
"""Stands behind the name of an entry that is not of costcalc's own catalog."""


def _left(title: str, cell: Callable[[Any], str | None], **look: Any) -> tuple[Column, Callable[[Any], str]]:
    return Column(title, **look), lambda each: cell(each) or NOTHING


def _right(title: str, cell: Callable[[Any], str | None], **look: Any) -> tuple[Column, Callable[[Any], str]]:
    return _left(title, cell, right=True, **look)


def _id(title: str) -> tuple[Column, Callable[[Any], str]]:
    return _left(title, lambda each: each.id + (OWN if getattr(each, "own", False) else ""), role="value")


def _bare(value: float | None) -> str:
    return format_rate(value, "", 3).strip()


# Columns of lists, the first of which a narrow terminal has room for.


_MODELS = (
    _id("model"),
    _right("params", lambda each: format_count(each.total_parameters, 3)),
    _right("active", lambda each: format_count(each.active_parameters, 3)),
    _right("KV/token", lambda each: format_bytes(each.kv_bytes_per_token)),
    _right("list price in/out", lambda each: _listed_prices(each)),
    _right("+ fixed", lambda each: each.fixed_bytes_per_sequence and format_bytes(each.fixed_bytes_per_sequence)),
    _right("max context", lambda each: format_count(each.max_context)),
    _left("attention", lambda each: each.attention),
    _left("released", lambda each: each.released),
    _left("family", lambda each: each.family),
    _right("layers", lambda each: str(each.layers)),
    _left("weights", lambda each: each.weights if each.experts is None else f"{each.weights}, {each.experts} experts"),
    _left("facts", lambda each: each.facts),
)
_CLOSED = (
    _id("model"),
    _left("provider", lambda each: each.provider),
    _right("input", lambda each: format_usd(each.usd_per_million_input_tokens)),
    _right("cached", lambda each: format_usd(each.usd_per_million_cached_input_tokens)),
    _right("output", lambda each: format_usd(each.usd_per_million_output_tokens)),
    _right("max context", lambda each: format_count(each.max_context)),
    _left("date", lambda each: each.date),
)
_GPUS = (
    _id("gpu"),
    _right("memory", lambda each: format_bytes(each.memory_bytes)),
    _right("bandwidth", lambda each: format_rate(each.memory_bandwidth, "B/s", 3)),
    _right("bf16", lambda each: _bare(each.bf16) if each.bf16 or not each.fp16 else f"{_bare(each.fp16)} (fp16)"),
    _right("fp8", lambda each: _bare(each.fp8)),
    _right("$/h", lambda each: format_price(each.usd_per_gpu_hour)),
    _right("fp4", lambda each: _bare(each.fp4)),
    _right("power", lambda each: format_power(each.power_w)),
    _right("domain", lambda each: str(each.domain or 1)),
    _left("price", lambda each: each.price_kind and f"{each.price_kind}, {each.price_date}"),
    _left("vendor", lambda each: each.vendor),
    _left("released", lambda each: f"{each.released or NOTHING}{' (announced)' if each.status else ''}"),
    _left("type", lambda each: each.memory_type),
    _left("name", lambda each: each.name),
)


def models_page(models: Sequence[ModelSummary]) -> list[Block]:
    """Return a list of models as a page."""
    return _list(
        models,
        _MODELS,
        f"{counted(len(models), 'model')}. KV/token: cache that each further token adds in all layers, as the model "
        "is served; + fixed: what windows and states hold besides, per sequence, when full. List price: dollars per "
        "million input and output tokens. facts: how the shape is known; defaults are those of the class that reads "
        "the checkpoint.",
        "More on one: costcalc models show NAME. Models that only have prices: costcalc models list --closed",
    )


def list_page(listing: Listing) -> list[Block]:
    """Return models or accelerators as a page."""
    found: list[Any] = list(listing.entries)
    return models_page(found) if listing.kind == "models" else gpus_page(found)


def closed_models_page(models: Sequence[ClosedSummary]) -> list[Block]:
    """Return a list of models known by their list prices alone as a page."""
    told = f"{counted(len(models), 'model')} with list prices only, in dollars per million tokens."
    return _list(models, _CLOSED, told, "Compare with one: costcalc breakeven --model v3 --gpu h100 --against NAME")


def gpus_page(gpus: Sequence[GpuSummary]) -> list[Block]:
    """Return a list of accelerators as a page."""
    return _list(
        gpus,
        _GPUS,
        f"{counted(len(gpus), 'accelerator')}. bf16, fp8, fp4: dense peaks in FLOP/s; in brackets the rate that "
        "stands in. domain: devices on one scale-up fabric. $/h: the default price, of kinds and years that differ; "
        "compare gpus takes one kind for all.",
        "More on one: costcalc gpus show NAME",
    )


def _list(
    entries: Sequence[Any], columns: Sequence[tuple[Column, Callable[[Any], str]]], told: str, more: str
) -> list[Block]:
    own = f" {OWN}: of a catalog folder of your own." if any(getattr(each, "own", False) for each in entries) else ""
    return [grid_of(entries, columns, indent=0, listed=True), Line(), Line(f"{told}{own} {more}", "dim")]


def _listed_prices(each: ModelSummary) -> str:
    if each.usd_per_million_input_tokens is None:
        return NOTHING
    return f"{format_usd(each.usd_per_million_input_tokens)} / {format_usd(each.usd_per_million_output_tokens)}"


# An accelerator of the catalog as a page: every field with its source, and every price.


def gpu_page(identity: str, gpu: Accelerator, path: str) -> list[Block]:
    """Return an accelerator as a page; `identity` is its name in the catalog."""
    announced = " (announced: figures before the product)" if gpu.status else ""
    known = [
        ("id", identity),
        ("aliases", ", ".join(gpu.aliases)),
        ("vendor", gpu.vendor),
        ("architecture", gpu.architecture),
        ("released", gpu.released),
    ]
    numbered = [
        f"{number}. {each.source}{f', of {each.published}' if each.published else ''}, read {each.date} "
        f"({each.provenance}){_note(each)}"
        for number, each in enumerate(gpu.sources, 1)
    ]
    return [
        *_head(gpu.name + announced, path, gpu.caveats, known),
        *_facts(gpu),
        *_gpu_prices(gpu),
        *section("Sources", numbered),
        *notes(gpu.notes),
    ]


def _head(name: str, path: str, caveats: Sequence[str], known: Sequence[tuple[str, str | None]]) -> Iterator[Block]:
    """Yield what an entry is called, and what it is in a word or two."""
    yield Line(name, "title")
    yield Line(path, "dim")
    yield from map(Line, caveats)
    yield Line()
    yield Grid((Column(), Column(wrap=True)), [(label, value or NOTHING) for label, value in known])
    yield Line()


def _note(each: Any) -> str:
    return f"; {each.note}" if each.note else ""


def _facts(gpu: Accelerator) -> Iterator[Block]:
    rows = [(name, value, *_cited(gpu, name)) for name, value in _values(gpu)]
    yield Line("Data sheet", "heading")
    yield Grid((Column("field"), *numbers("value", "source"), Column("provenance")), rows)
    yield Line("Peaks are dense. Bandwidths of links are of one device, in one direction.", "dim", indent=2)
    for each in gpu.disputed:
        yield Line(f"{each.field}: used {each.used}, elsewhere {each.other} ({each.sources}){_note(each)}", indent=2)
    yield Line()


def _values(gpu: Accelerator) -> Iterator[tuple[str, str]]:
    for name, show in _FACTS.items():
        if name == "peak_flops":
            for precision, rate in gpu.peak_flops.rates().items():
                yield f"{name}.{precision}", format_rate(rate, "OP/s" if precision.startswith("int") else "FLOP/s")
            continue
        if getattr(gpu, name.partition(".")[0]):
            yield name, show(attrgetter(name)(gpu))


_FACTS: dict[str, Callable[[Any], str]] = {
    "memory": format_bytes,
    "memory_reported": lambda each: f"{each / 2**20:,.0f} MiB",
    "runtime_memory": lambda each: f"{each / 2**30:,.2f} GiB",
    "memory_type": str,
    "memory_bandwidth": format_rate,
    "peak_flops": str,
    "sm_count": "{:,}".format,
    "l2_cache": format_bytes,
    "scale_up.technology": str,
    "scale_up.bandwidth": format_rate,
    "scale_up.domain": "{:,} devices".format,
    "scale_out.bandwidth": format_rate,
    "host_link.technology": str,
    "host_link.bandwidth": format_rate,
    "node_size": "{:,}".format,
    "power": format_power,
    "power_all_in": format_power,
}
"""Facts of a data sheet, and how each is shown where it is known."""


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
        if kind == "owned" and gpu.capex is not None and gpu.power is not None:
            figures.append(("published owners", figure)) if figure else None
            continue  # what is charged is computed: costcalc gpus own
        figures += [(f"--price {kind}", figure)] if figure and figure.matches > 1 else []
    if figures:
        yield _price_grid([(who, each, each.provider or "") for who, each in figures], Column("by"))
        yield Line()
    listed = [("default", gpu.price)] if gpu.price else []
    if listed or gpu.prices:
        listed += [(each.provider, each) for each in gpu.prices]
        yield _price_grid([(who, each, each.source) for who, each in listed], _SOURCE)
    if capex := gpu.capex:
        bought = f"{capex.date}, {capex.source}, {capex.provenance}{_note(capex)}"
        yield Line(f"to buy: {format_usd(capex.usd)} ({bought})", indent=2)
    yield Line()


_SOURCE = Column("source", role="dim", wrap=True)


def _price_grid(prices: Sequence[tuple[str, Price | PriceChoice, str]], last: Column) -> Grid:
    columns = (Column("provider"), *numbers("$/h"), Column("kind"), Column("date"), Column("provenance"), last)
    rows = [
        (who, format_price(each.usd_per_gpu_hour), each.kind or "", each.date or "", each.provenance or "", where)
        for who, each, where in prices
    ]
    return Grid(columns, rows)


# A model of the catalog as a page: shape, parameters, cache, prices, and where each comes from.


CACHE_FORMATS = ("bf16", "fp8", "int4")


def model_page(identity: str, model: ModelSpec, path: str) -> list[Block]:
    """Return a model as a page; `identity` is its name in the catalog."""
    precision = model.precision
    known = [
        ("id", identity),
        ("aliases", ", ".join(model.aliases)),
        ("Hugging Face id", model.hf_id),
        ("family", model.family),
        ("released", model.released),
        ("max context", format_count(model.max_context)),
        ("hidden size", f"{model.hidden_size:,}"),
        ("vocabulary", f"{model.vocab_size:,}{', tied embeddings' if model.tied_embeddings else ''}"),
        (
            "precision",
            ", ".join(f"{part} {name}" for part, name in {"weights": precision.weights, **precision.apart}.items())
            + f", head {precision.head}, KV cache {precision.kv_cache}",
        ),
    ]
    sources = [
        f"{each.what}: {each.source}{f', {each.date}' if each.date else ''} ({each.provenance}){_note(each)}"
        for each in model.sources
    ]
    return [
        *_head(model.name, path, model.caveats, known),
        *_parameters(model),
        *_shape(model),
        *_cache(model),
        *_api_prices(model.api_prices),
        *section("Sources", sources),
        *notes(model.notes),
    ]


def closed_model_page(model: ClosedModel, path: str) -> list[Block]:
    """Return a model known by its list prices alone as a page; `path` is the file that lists them."""
    known = [
        ("id", model.names[0]),
        ("aliases", ", ".join(model.aliases)),
        ("provider", model.provider),
        ("max context", format_count(model.max_context)),
    ]
    told = (
        "Known by its list prices only, not by its shape. Compare with them: "
        f"costcalc breakeven --model v3 --gpu h100 --against {model.names[0]}"
    )
    return [
        *_head(model.name, path, (), known),
        *_api_prices(model.api_prices),
        *map(Line, model.notes),
        Line(told, "dim"),
    ]


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
    yield Grid((Column(), *numbers("counted", "published", "difference")), rows)
    if published:
        yield Line(f"published: {published.source} ({published.provenance})", "dim", indent=2)
        if published.note:
            yield Line(published.note, "dim", indent=2)
    yield Line("active counts every matrix that one token multiplies, LM head included.", "dim", indent=2)
    yield Line()


def _shape(model: ModelSpec) -> Iterator[Block]:
    yield Line(f"Layers: {model.num_layers}", "heading")
    rows = [
        (str(group.count), ", ".join(group.attention) or NOTHING, ", ".join(group.feedforward) or NOTHING)
        for group in model.layers
    ]
    yield Grid((Column("count", right=True), Column("attention"), Column("feed-forward")), rows)
    if model.mtp:
        note = f": {model.mtp.note}" if model.mtp.note else ""
        yield Line(f"and {model.mtp.layers} for multi-token prediction{note}", indent=2)
    yield Line()
    yield from section(
        "Attention", [f"{label} ({each.describe()}): {_fields(each)}" for label, each in model.attention.items()]
    )
    yield from section("Feed-forward", [f"{label}: {_fields(each)}" for label, each in model.feedforward.items()])


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
    columns = (
        Column("format"),
        Column("per further token", right=True),
        Column("", right=True, role="dim"),
        Column("fixed, per sequence", right=True),
    )
    rows = [
        (form, format_bytes(size), f"{size:,.0f} B", format_bytes(fixed) if fixed else "")
        for form, size, fixed in sizes
    ]
    yield filled_grid(columns, rows)
    if any(fixed for *_, fixed in sizes):
        yield Line("fixed: what windows and states hold besides, when full.", "dim", indent=2)
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
    dollars = numbers("input", "cached", "output")
    yield Grid((Column("provider"), *dollars, Column("date"), Column("provenance"), _SOURCE), rows)
    yield Line()


def template(kind: str) -> str:
    """Return a commented YAML file to start an entry of one's own from, which passes its check.

    kind: 'model' or 'gpu'.
    """
    text = Path(__file__).with_name(f"new_{kind}.yaml").read_text(encoding="utf-8")
    known = wrap(f"one of {', '.join(sorted(known_architectures()))}, or a new one", 118)
    return text.replace("# ARCHITECTURES", "\n".join(f"# {line}" for line in known))


def template_with(attention: str, catalog: Catalog) -> str:
    """Return the template of a model whose layers have another kind of attention, shaped as in a model that has it.

    attention: its kind, such as kda. Raises CostcalcError for one that no model of the catalog has.
    """
    examples: dict[str, tuple[str, dict[str, Any]]] = {}
    for entry in catalog.entries("models"):
        # Kinds are told by the text of a file, so that few of them are parsed.
        kinds = set(re.findall(r"(?m)\bkind:[ \t]*([a-z0-9_]+)", read_text(entry.path))) - {"dense", "experts"}
        if entry.own or not kinds - examples.keys():
            continue
        for layer in load_yaml(entry.path)[0].get("attention", {}).values():
            examples.setdefault(layer["kind"], (entry.name, layer))
    wanted = attention.strip().lower().replace("-", "_")
    if wanted not in examples:
        hint = did_you_mean(wanted, examples) or f"one of: {', '.join(sorted(examples))}"
        raise CostcalcError(f"no attention of kind {shown(attention)} is known", where="--attention", hint=hint)
    model, layer = examples[wanted]
    text = template("model")
    before, _, rest = text.partition("attention:\n")
    _, _, after = rest.partition("feedforward:\n")
    block = f"  {wanted}:  # as in {model}\n" + "".join(
        f"    {key}: {json.dumps(value)}\n" for key, value in layer.items()
    )
    shape, published, end = re.split(r"(?m)(^published:\n(?:  .*\n)+)", after, maxsplit=1)
    told = "".join(f"# {line}\n" for line in published.splitlines())
    shape = shape.replace("attention: gqa", f"attention: {wanted}")
    return f"{before}attention:\n{block}feedforward:\n{shape}{told}{end}"
