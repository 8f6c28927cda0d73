"""What the catalog knows of each entry, in one line each: what lists sort and filter by."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from costcalc.engine.memory import fixed_cache_bytes_per_sequence
from costcalc.fields import Record
from costcalc.formats import cache_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec

if TYPE_CHECKING:
    from costcalc.model.spec import ClosedModel


def shape_of(model: ModelSpec) -> str:
    """Return what a model's speed depends on in one line: layers, width, parameters and attention.

    DeepSeek-R1 and DeepSeek-V3 share theirs; a model whose attention is replaced does not.
    model: the model.
    """
    attention = " + ".join(f"{count} {layer.describe()}" for count, layer in model.attention_layers())
    return (
        f"{model.num_layers} x {model.hidden_size}, {model.total_parameters:.0f} parameters, "
        f"{model.active_parameters:.0f} active, {attention}"
    )


# What the catalog knows of each model and accelerator, in one line each: what lists sort and filter by.


class ModelSummary(Record):
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

    def to_dict(self) -> dict[str, Any]:
        """The facts as a plain dictionary."""
        return asdict(self)


class GpuSummary(Record):
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

    def to_dict(self) -> dict[str, Any]:
        """The facts as a plain dictionary."""
        return asdict(self)


class ClosedSummary(Record):
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


def closed_summaries(model: ClosedModel) -> ClosedSummary:
    """Return a model known by its list prices alone in one line.

    model: the model.
    """
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
    model: the model.
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


def _kinds(model: ModelSpec) -> str:
    """The attention variants of a model as files name them, such as 'sliding, grouped'."""
    kinds = (str(getattr(layer, "kind", "")) for _, layer in model.attention_layers())
    return ", ".join(dict.fromkeys(kinds))


def kv_bytes_per_token(model: ModelSpec, form: str | None = None) -> float:
    """Return what each further token of context adds to the cache of all layers [B/token].

    model: the model.
    form: a cache format; the one that the model is served with when None.
    """
    cache = cache_format(form or model.precision.kv_cache)
    return float(sum(count * layer.growth_bytes(cache) for count, layer in model.attention_layers()))


def gpu_summaries(identity: str, gpu: Accelerator, *, own: bool = False) -> GpuSummary:
    """Return an accelerator in one line.

    identity: its name in the catalog.
    gpu: the accelerator.
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
