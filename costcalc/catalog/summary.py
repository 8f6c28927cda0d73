"""What the catalog knows of each entry, in one line each; and what a file that can be read leaves open."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.catalog.files import CatalogEntry, Kind, known_architectures
from costcalc.engine.memory import fixed_cache_bytes_per_sequence
from costcalc.errors import CostcalcError, nearest, shown, tell
from costcalc.fields import Record, Result, read_date, total
from costcalc.formats import cache_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ClosedModel, ModelSpec
from costcalc.units import counted, format_bytes, format_rate

# What the catalog knows of each model and accelerator, in one line each: what lists sort and filter by.


class Summary(Record):
    """An entry of the catalog in one line."""

    def to_dict(self) -> dict[str, Any]:
        """The facts as a plain dictionary."""
        return asdict(self)


class ModelSummary(Summary):
    """A model in one line."""

    id: str
    name: str
    family: str | None
    released: str | None
    total_parameters: float
    active_parameters: float
    published_total: float | None
    published_active: float | None
    layers: int
    attention: str
    attention_kinds: str  # as files name them: 'grouped', 'sliding, grouped'
    kv_cache: str  # format that the model is served with
    kv_bytes_per_token: float  # in that format: what each further token adds, once windows are full
    fixed_bytes_per_sequence: float  # in that format: windows and states, when full
    max_context: int | None
    weights: str
    experts: str | None  # format of routed experts, where it is another
    usd_per_million_input_tokens: float | None  # newest list price
    usd_per_million_output_tokens: float | None
    facts: str | None  # how the shape is known: seen, recalled, partly, derived, or defaults of the class
    own: bool = False  # of a catalog folder of the user's


class GpuSummary(Summary):
    """An accelerator in one line."""

    id: str
    name: str
    vendor: str
    architecture: str
    released: str | None
    status: str | None
    memory_bytes: float
    memory_type: str
    memory_bandwidth: float  # [B/s]
    bf16: float | None  # dense peaks [FLOP/s]
    fp8: float | None
    fp4: float | None
    domain: int | None  # devices on the scale-up fabric
    power_w: float | None
    usd_per_gpu_hour: float | None  # the default
    price_kind: str | None
    price_date: str | None
    fp16: float | None = None  # [FLOP/s]
    own: bool = False  # of a catalog folder of the user's


class ClosedSummary(Summary):
    """A model known by its list prices alone, in one line; the prices are the newest."""

    id: str
    name: str
    provider: str
    max_context: int | None
    usd_per_million_input_tokens: float
    usd_per_million_cached_input_tokens: float | None
    usd_per_million_output_tokens: float
    date: str


def closed_summaries(model: ClosedModel) -> ClosedSummary:
    """Return a model known by its list prices alone in one line."""
    price = max(model.api_prices, key=lambda each: each.date)
    return ClosedSummary(
        id=model.names[0],
        name=model.name,
        provider=model.provider,
        max_context=model.max_context,
        usd_per_million_input_tokens=price.input_usd_per_million,
        usd_per_million_cached_input_tokens=price.cached_input_usd_per_million,
        usd_per_million_output_tokens=price.output_usd_per_million,
        date=price.date,
    )


def model_summaries(identity: str, model: ModelSpec, *, own: bool = False) -> ModelSummary:
    """Return a model in one line.

    identity: its name in the catalog.
    own: whether its file is of a catalog folder of the user's.
    """
    published = model.published
    price = max(model.api_prices, key=lambda each: each.date, default=None)
    return ModelSummary(
        id=identity,
        name=model.name,
        family=model.family,
        released=model.released,
        total_parameters=model.total_parameters,
        active_parameters=model.active_parameters,
        published_total=published.total if published else None,
        published_active=published.active if published else None,
        layers=model.num_layers,
        attention=model.attention_name,
        attention_kinds=_kinds(model),
        kv_cache=model.precision.kv_cache,
        kv_bytes_per_token=kv_bytes_per_token(model),
        fixed_bytes_per_sequence=fixed_cache_bytes_per_sequence(model, cache_format(model.precision.kv_cache)),
        max_context=model.max_context,
        weights=model.precision.weights,
        experts=model.precision.experts,
        usd_per_million_input_tokens=price.input_usd_per_million if price else None,
        usd_per_million_output_tokens=price.output_usd_per_million if price else None,
        facts="/".join(dict.fromkeys(each.provenance for each in model.sources if each.what == "shape")) or None,
        own=own,
    )


class Listing(Result):
    """Models or accelerators of a catalog, one line each."""

    kind: Kind
    entries: tuple[ModelSummary | GpuSummary, ...]

    @property
    def about(self) -> str:
        """How many there are."""
        return counted(len(self.entries), "model" if self.kind == "models" else "accelerator")

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[ModelSummary | GpuSummary]:
        return iter(self.entries)

    def to_dict(self) -> dict[str, Any]:
        """`{"rows": [{"id", ...}]}`."""
        return {"rows": [each.to_dict() for each in self.entries]}


def models(catalog: Catalog | str | Path | None = None) -> Listing:
    """List the models of the catalog: names, parameters, cache, list prices and more of each.

    catalog: a catalog, or a folder of models/ that is looked at first.
    Raises CostcalcError for a file that is wrong.
    """
    found = catalog_of(catalog)
    return _listing("models", found, lambda each: model_summaries(each.name, found.model(each.path), own=each.own))


def gpus(catalog: Catalog | str | Path | None = None) -> Listing:
    """List the accelerators of the catalog: names, memory, bandwidth, peaks, prices and more of each.

    catalog: a catalog, or a folder of hardware_profiles/ that is looked at first.
    Raises CostcalcError for a file that is wrong.
    """
    found = catalog_of(catalog)
    return _listing(
        "hardware_profiles", found, lambda each: gpu_summaries(each.name, found.gpu(each.path), own=each.own)
    )


def _listing(kind: Kind, catalog: Catalog, load: Callable[[CatalogEntry], ModelSummary | GpuSummary]) -> Listing:
    return Listing(kind, tuple(loaded(catalog.entries(kind), load)))


Facts = TypeVar("Facts")


def loaded(entries: Sequence[CatalogEntry], load: Callable[[CatalogEntry], Facts]) -> list[Facts]:
    """Return what entries of the catalog hold; those of the user's that cannot be read are named on stderr.

    Raises CostcalcError for a file that costcalc ships, and where no entry can be read.
    """
    found: list[Facts] = []
    problems: list[CostcalcError] = []
    for entry in entries:
        try:
            found.append(load(entry))
        except CostcalcError as error:
            if not entry.own:
                raise
            problems.append(error)
    if problems and not found:
        raise problems[0]
    for problem in problems:
        tell(f"warning: left out: {problem}")
    return found


def _kinds(model: ModelSpec) -> str:
    """The attention variants of a model as files name them, such as 'sliding, grouped'."""
    kinds = (str(getattr(layer, "kind", "")) for _, layer in model.attention_layers())
    return ", ".join(dict.fromkeys(kinds))


def kv_bytes_per_token(model: ModelSpec, form: str | None = None) -> float:
    """Return what each further token of context adds to the cache of all layers [B/token].

    form: a cache format; the one that the model is served with when None.
    """
    cache = cache_format(form or model.precision.kv_cache)
    return float(total(count * layer.growth_bytes(cache) for count, layer in model.attention_layers()))


def gpu_summaries(identity: str, gpu: Accelerator, *, own: bool = False) -> GpuSummary:
    """Return an accelerator in one line.

    identity: its name in the catalog.
    own: whether its file is of a catalog folder of the user's.
    """
    price = gpu.price_for()
    return GpuSummary(
        id=identity,
        name=gpu.name,
        vendor=gpu.vendor,
        architecture=gpu.architecture,
        released=gpu.released,
        status=gpu.status,
        memory_bytes=gpu.memory,
        memory_type=gpu.memory_type,
        memory_bandwidth=gpu.memory_bandwidth,
        bf16=gpu.peak_flops.bf16,
        fp8=gpu.peak_flops.fp8,
        fp4=gpu.peak_flops.fp4,
        domain=gpu.scale_up.domain if gpu.scale_up else None,
        power_w=gpu.power,
        usd_per_gpu_hour=price.usd_per_gpu_hour if price else None,
        price_kind=price.kind if price else None,
        price_date=price.date if price else None,
        fp16=gpu.peak_flops.fp16,
        own=own,
    )


# What a file leaves open: facts without a source, counts and dates that cannot be.


MOST_OFF_TOTAL = 0.01
MOST_OFF_ACTIVE = 0.02
_REPORTED = (0.70, 1.10)
"""What drivers report over what is sold: more where a gigabyte was 2^30 bytes, less where the system keeps a part."""
_SOURCED = (
    *("memory", "memory_reported", "runtime_memory", "memory_type", "memory_bandwidth", "sm_count", "l2_cache"),
    *("scale_up", "scale_out", "host_link", "node_size", "power", "power_all_in", "released"),
)
_NARROWER = (("bf16", "fp8", "fp4"), ("fp16", "fp8"), ("fp32", "tf32", "bf16"))
"""Precisions that no hardware computes slower in than in the one before."""


class Finding(NamedTuple):
    """What is open, and where it stands in the file: keys and list positions."""

    path: tuple[str | int, ...]
    text: str


def findings_of_model(model: ModelSpec) -> Iterator[Finding]:
    """Yield what a valid model file still leaves open."""
    if not model.sources:
        yield Finding((), "sources: no source is named")
    yield from _counts(model)
    yield from _unused(model)
    yield from _date(("released",), model.released)
    for index, price in enumerate(model.api_prices):
        yield from _date(("api_prices", index, "date"), price.date)
    for index, source in enumerate(model.sources):
        yield from _date(("sources", index, "date"), source.date)


def findings_of_gpu(gpu: Accelerator) -> Iterator[Finding]:
    """Yield what a valid accelerator file still leaves open."""
    yield from _unsourced(gpu)
    architectures = known_architectures()
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
