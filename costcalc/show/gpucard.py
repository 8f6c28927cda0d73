"""An accelerator of the catalog as a page: every field with its source, and every price."""

from __future__ import annotations

from collections.abc import Iterator

from costcalc.readable import NOTHING, format_bytes, format_power, format_rate, format_usd
from costcalc.show.blocks import Block, Column, Grid, Line
from costcalc.specs.accelerator import Accelerator, Source
from costcalc.specs.offers import kinds_priced
from costcalc.specs.prices import Price, PriceChoice


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
        *_prices(gpu),
        *_sources(gpu),
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


def _prices(gpu: Accelerator) -> Iterator[Block]:
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


def _sources(gpu: Accelerator) -> Iterator[Block]:
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
