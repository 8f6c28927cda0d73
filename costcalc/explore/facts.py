"""What the catalog knows of each model and accelerator, in one line each: what lists sort and filter by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from costcalc.formats import cache_format
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec

if TYPE_CHECKING:
    from costcalc.specs.closed import ClosedModel


@dataclass(frozen=True, slots=True)
class ModelFacts:
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
    kv_cache: str  # format that the model is served with
    kv_bytes_per_token: float  # in that format
    max_context: int | None
    weights: str
    usd_per_million_input_tokens: float | None  # newest list price
    usd_per_million_output_tokens: float | None

    def to_dict(self) -> dict[str, Any]:
        """The facts as a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class GpuFacts:
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

    def to_dict(self) -> dict[str, Any]:
        """The facts as a plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ClosedFacts:
    """A model known by its list prices alone, in one line; the prices are the newest."""

    id: str
    name: str
    provider: str
    max_context: int | None
    usd_per_million_input_tokens: float
    usd_per_million_cached_input_tokens: float | None
    usd_per_million_output_tokens: float
    date: str

    def to_dict(self) -> dict[str, Any]:
        """The facts as a plain dictionary."""
        return asdict(self)


def closed_facts(model: ClosedModel) -> ClosedFacts:
    """Return a model known by its list prices alone in one line.

    model: the model.
    """
    price = max(model.api_prices, key=lambda each: each.date)
    return ClosedFacts(
        id=model.names[0],
        name=model.name,
        provider=model.provider,
        max_context=model.max_context,
        usd_per_million_input_tokens=price.input_usd_per_million,
        usd_per_million_cached_input_tokens=price.cached_input_usd_per_million,
        usd_per_million_output_tokens=price.output_usd_per_million,
        date=price.date,
    )


def model_facts(identity: str, model: ModelSpec) -> ModelFacts:
    """Return a model in one line.

    identity: its name in the catalog.
    model: the model.
    """
    published = model.published
    price = max(model.api_prices, key=lambda each: each.date, default=None)
    return ModelFacts(
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
        kv_cache=model.precision.kv_cache,
        kv_bytes_per_token=kv_bytes_per_token(model),
        max_context=model.max_context,
        weights=model.precision.weights,
        usd_per_million_input_tokens=price.input_usd_per_million if price else None,
        usd_per_million_output_tokens=price.output_usd_per_million if price else None,
    )


def kv_bytes_per_token(model: ModelSpec, form: str | None = None) -> float:
    """Return what each further token of context adds to the cache of all layers [B/token].

    model: the model.
    form: a cache format; the one that the model is served with when None.
    """
    cache = cache_format(form or model.precision.kv_cache)
    return float(sum(count * layer.growth_bytes(cache) for count, layer in model.attention_layers()))


def gpu_facts(identity: str, gpu: Accelerator) -> GpuFacts:
    """Return an accelerator in one line.

    identity: its name in the catalog.
    gpu: the accelerator.
    """
    price = gpu.price_for()
    return GpuFacts(
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
    )


_SOURCED = (
    *("memory", "memory_reported", "memory_type", "memory_bandwidth", "sm_count", "l2_cache", "scale_up"),
    *("scale_out", "host_link", "node_size", "power", "power_all_in", "released"),
)
MOST_OFF_TOTAL = 0.01
MOST_OFF_ACTIVE = 0.03


def doubts_of_model(model: ModelSpec) -> Iterator[str]:
    """Yield what a valid model file still leaves open: facts without a source, counts that do not add up.

    model: the model.
    """
    if not model.sources:
        yield "sources: no source is named"
    note = model.published.note if model.published else None
    for what, deviation, most in (
        ("total", model.total_deviation, MOST_OFF_TOTAL),
        ("active", model.active_deviation, MOST_OFF_ACTIVE),
    ):
        if deviation is not None and abs(deviation) > most and not note:
            yield (
                f"published.{what}: the shape gives {deviation:+.1%} of it; correct the shape, or say why in "
                "published.note"
            )


def doubts_of_gpu(gpu: Accelerator) -> Iterator[str]:
    """Yield what a valid accelerator file still leaves open: facts without a source.

    gpu: the accelerator.
    """
    if not gpu.sources:
        yield "sources: no source is named"
        return
    sourced = {field for source in gpu.sources for field in source.fields}
    facts = [name for name in _SOURCED if getattr(gpu, name) is not None]
    facts += [f"peak_flops.{key}" for key in gpu.peak_flops.rates()]
    for fact in facts:
        if fact not in sourced and fact.partition(".")[0] not in sourced:
            yield f"{fact}: no source is named; add it to the fields of one under sources"
