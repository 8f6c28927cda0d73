"""What a catalog file that can be read leaves open: facts without a source, counts and dates that cannot be."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from costcalc.errors import nearest, shown
from costcalc.fields import read_date
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec
from costcalc.units import format_bytes, format_rate

MOST_OFF_TOTAL = 0.01
MOST_OFF_ACTIVE = 0.02
_REPORTED = (0.70, 1.10)
"""What drivers report over what is sold: more where a gigabyte was 2^30 bytes, less where the system keeps a part."""
_SOURCED = (
    *(
        "memory",
        "memory_reported",
        "runtime_memory",
        "memory_type",
        "memory_bandwidth",
        "sm_count",
        "l2_cache",
        "scale_up",
    ),
    *("scale_out", "host_link", "node_size", "power", "power_all_in", "released"),
)
_NARROWER = (("bf16", "fp8", "fp4"), ("fp16", "fp8"), ("fp32", "tf32", "bf16"))
"""Precisions that no hardware computes slower in than in the one before."""


class Finding(NamedTuple):
    """What is open, and where it stands in the file: keys and list positions."""

    path: tuple[str | int, ...]
    text: str


def findings_of_model(model: ModelSpec) -> Iterator[Finding]:
    """Yield what a valid model file still leaves open.

    model: the model.
    """
    if not model.sources:
        yield Finding((), "sources: no source is named")
    yield from _counts(model)
    yield from _unused(model)
    yield from _date(("released",), model.released)
    for index, price in enumerate(model.api_prices):
        yield from _date(("api_prices", index, "date"), price.date)
    for index, source in enumerate(model.sources):
        yield from _date(("sources", index, "date"), source.date)


def findings_of_gpu(gpu: Accelerator, architectures: Collection[str] = ()) -> Iterator[Finding]:
    """Yield what a valid accelerator file still leaves open.

    gpu: the accelerator.
    architectures: the families of the catalog, whose efficiency was measured or transferred.
    """
    yield from _unsourced(gpu)
    close = nearest(gpu.architecture, architectures, 0.75) if gpu.architecture not in architectures else None
    if close is not None:
        yield Finding(("architecture",), f"architecture: no entry of the catalog is {shown(gpu.architecture)}; "
                    f"did you mean {close!r}?")  # fmt: skip
    if gpu.memory_reported and not _REPORTED[0] <= gpu.memory_reported / gpu.memory <= _REPORTED[1]:
        told = f"{format_bytes(gpu.memory_reported)} is far from the {format_bytes(gpu.memory)} of memory"
        yield Finding(("memory_reported",), f"memory_reported: {told}, and is what counts")
    yield from _slower(gpu)
    yield from _date(("released",), None if gpu.status else gpu.released)
    yield from _date(("price", "date"), gpu.price.date if gpu.price else None)
    for index, price in enumerate(gpu.prices):
        yield from _date(("prices", index, "date"), price.date)
    for index, source in enumerate(gpu.sources):
        yield from _date(("sources", index, "date"), source.date)


def _counts(model: ModelSpec) -> Iterator[Finding]:
    note = model.published.note if model.published else None
    for what, deviation, most in (
        ("total", model.total_deviation, MOST_OFF_TOTAL),
        ("active", model.active_deviation, MOST_OFF_ACTIVE),
    ):
        if deviation is not None and abs(deviation) > most and not note:
            yield Finding(
                ("published", what),
                f"published.{what}: the shape gives {deviation:+.1%} of it; correct the shape, or say why in "
                "published.note",
            )


def _unused(model: ModelSpec) -> Iterator[Finding]:
    groups = [*model.layers, *([model.mtp] if model.mtp else [])]
    for table in ("attention", "feedforward"):
        used = {label for group in groups for label in getattr(group, table)}
        for label in getattr(model, table):
            if label not in used:
                text = f"{table}.{label}: no layer is of this make; remove it, or name it in layers"
                yield Finding((table, label), text)


def _unsourced(gpu: Accelerator) -> Iterator[Finding]:
    if not gpu.sources:
        yield Finding((), "sources: no source is named")
        return
    sourced = {field for source in gpu.sources for field in source.fields}
    facts = [name for name in _SOURCED if getattr(gpu, name) is not None]
    facts += [f"peak_flops.{key}" for key in gpu.peak_flops.rates()]
    for fact in facts:
        if fact not in sourced and fact.partition(".")[0] not in sourced:
            text = f"{fact}: no source is named; add it to the fields of one under sources"
            yield Finding(tuple(fact.split(".")), text)


def _slower(gpu: Accelerator) -> Iterator[Finding]:
    rates = gpu.peak_flops.rates()
    for wide, narrow in {pair: None for chain in _NARROWER for pair in pairwise(chain)}:
        if wide in rates and narrow in rates and rates[narrow] < rates[wide]:
            told = f"{format_rate(rates[narrow], 'FLOP/s')} is less than in {wide}"
            yield Finding(("peak_flops", narrow), f"peak_flops.{narrow}: {told}")


def _date(path: tuple[str | int, ...], text: str | None) -> Iterator[Finding]:
    """Yield what is wrong with a day, a month or a year: that there is none such, or not yet."""
    if text is None:
        return
    name = ".".join(map(str, path))
    found = read_date(text)
    if found is None:
        yield Finding(path, f"{name}: {shown(text)} is no date; write it like 2026-11-23, 2026-11 or 2026")
        return
    year, month, day = found
    if date(year, month or 1, day or 1) > date.today():
        yield Finding(path, f"{name}: {text} is in the future")
