"""A model: its shape, the precision it ships in, what its makers publish and charge."""

from functools import cached_property
from typing import Annotated, Any, Literal

from costcalc.errors import CostcalcError, did_you_mean
from costcalc.fields import After, Before, Count, Derivable, Limits, Name, OptionalSize, Size, Spec, Usd
from costcalc.formats import activation_format, cache_format, weight_format
from costcalc.hardware.prices import Date
from costcalc.model.attention import AnyAttention
from costcalc.model.attention.base import Attention
from costcalc.model.ffn import AnyFeedForward, FeedForward, RoutedExperts


def _as_labels(value: Any) -> Any:
    """Accept one label, a list of labels, or null."""
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


_LABELS = [{"type": "string"}, {"items": {"type": "string"}, "type": "array"}, {"type": "null"}]
Labels = Annotated[tuple[str, ...], Before(_as_labels, {"anyOf": _LABELS})]
Provenance = Literal["seen", "recalled", "derived", "partly", "name", "defaults"]
"""How a fact is known; `defaults`: seen in the class that reads checkpoints, not in a checkpoint."""

WeightFormatName = Annotated[str, After(lambda name: weight_format(name).name)]
CacheFormatName = Annotated[str, After(lambda name: cache_format(name).name)]
ActivationFormatName = Annotated[str, After(activation_format)]


class LayerGroup(Spec):
    """`count` consecutive layers of the same make; labels name entries of the model's tables."""

    count: Size
    attention: Labels = ()
    feedforward: Labels = ()
    norms: OptionalSize | None = None  # norm vectors of one layer, where it is not one per sublayer


class Precision(Spec):
    """What the weights, the cache and the activations are kept and computed in."""

    weights: WeightFormatName = "bf16"
    attention: WeightFormatName | None = None  # projections of attention, where they differ from `weights`
    ffn: WeightFormatName | None = None  # dense FFNs, shared experts and routers, where they differ
    experts: WeightFormatName | None = None  # routed experts, where they differ
    head: WeightFormatName = "bf16"  # embeddings and LM head, which quantized checkpoints keep wide
    embedding: WeightFormatName | None = None  # the embedding, where it differs from the LM head
    kv_cache: CacheFormatName = "bf16"
    activations: ActivationFormatName | None = None  # null: what the weight format is multiplied with

    @property
    def apart(self) -> dict[str, str]:
        """The parts whose matrices are in another format than `weights`, and the embedding's beside the head's."""
        parts = {part: getattr(self, part) for part in ("attention", "ffn", "experts", "embedding")}
        return {part: name for part, name in parts.items() if name}


class PredictionHeads(Spec):
    """Multi-token prediction: draft layers shipped beside the model, not part of its parameter count."""

    layers: Size
    attention: Labels = ()
    feedforward: Labels = ()
    note: str | None = None


class Published(Spec):
    """Parameter counts as the publisher states them."""

    total: Count | None = None
    active: Count | None = None
    source: str
    provenance: Provenance
    note: str | None = None  # why the count differs, where it does by more than 1%


class BatchPrice(Spec):
    """What the same provider asks where answers may take a day, in dollars per million tokens."""

    input_usd_per_million: Usd
    cached_input_usd_per_million: Usd | None = None
    output_usd_per_million: Usd


class ApiPrice(Spec):
    """A list price of an API that serves the model, in dollars per million tokens."""

    provider: str
    input_usd_per_million: Usd
    cached_input_usd_per_million: Usd | None = None
    output_usd_per_million: Usd
    batch: BatchPrice | None = None
    date: Date
    source: str
    provenance: Provenance = "seen"
    note: str | None = None


class Source(Spec):
    """Where facts come from."""

    what: str
    source: str
    date: Date | None = None
    provenance: Provenance
    note: str | None = None


class ModelSpec(Derivable, Spec):
    """A decoder-only language model."""

    name: Name
    aliases: tuple[str, ...] = ()
    same_shape: tuple[str, ...] = ()  # other models of this shape: their dates, contexts and prices are their own
    hf_id: str | None = None
    family: str | None = None
    released: str | None = None
    hidden_size: Size
    vocab_size: Size
    tied_embeddings: bool = False
    max_context: Size | None = None
    position_embeddings: OptionalSize = 0  # rows of a learned position table
    attention: dict[str, AnyAttention]
    feedforward: dict[str, AnyFeedForward]
    layers: Annotated[tuple[LayerGroup, ...], Limits(min_length=1)]
    norms_per_sublayer: Annotated[int, Limits(ge=0, le=4)] = 1  # 2 where norms stand before and after (Gemma)
    norm_bias: bool = False
    parallel_block: bool = False  # attention and feed-forward share one norm (Falcon, Command R)
    residual_streams: Annotated[int, Limits(ge=1, le=64)] = 1  # n of manifold hyper-connections (DeepSeek-V4)
    lookup_parameters: Count = 0.0  # tables looked up and never multiplied (Gemma 3n)
    other_parameters: Count = 0.0  # small tensors of no kind above: scales, residual gates, a head's bias
    tower_parameters: Count = 0.0  # encoders of images or sound that engines load, too: beside the count, in 16 bits
    shared_parameters: Count = 0.0  # weights counted twice by the layer list because layers share them
    precision: Precision = Precision()
    mtp: PredictionHeads | None = None
    published: Published | None = None
    api_prices: tuple[ApiPrice, ...] = ()
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()
    caveats: tuple[str, ...] = ()  # what every estimate has to say
    measured_as: str | None = None  # name that measurements know it by, where its own says what was changed

    def __post_init__(self) -> None:
        for index, group in enumerate(self.layers):
            self._check_labels(group, ("layers", index))
        if self.mtp:
            self._check_labels(self.mtp, ("mtp",))

    def _check_labels(self, group: LayerGroup | PredictionHeads, path: tuple[str | int, ...]) -> None:
        for table, labels in (("attention", group.attention), ("feedforward", group.feedforward)):
            for label in labels:
                if label not in (known := getattr(self, table)):
                    hint = did_you_mean(label, known) or f"{table} has: {', '.join(known) or 'nothing'}"
                    raise CostcalcError(f"{label!r} is not defined under {table}", hint=hint, path=(*path, table))

    @property
    def known_as(self) -> str:
        """The name that measurements know it by."""
        return self.measured_as or self.name

    @property
    def num_layers(self) -> int:
        """Layers of the main model; heads for multi-token prediction are not counted."""
        return sum(group.count for group in self.layers)

    def attention_layers(self) -> list[tuple[int, Attention]]:
        """Attention layers as (count, variant), equal ones merged, in order of first use."""
        return self._layers[0]

    def feedforward_layers(self) -> list[tuple[int, FeedForward]]:
        """Feed-forward layers as (count, variant), equal ones merged, in order of first use."""
        return self._layers[1]

    @cached_property
    def _layers(self) -> tuple[list[tuple[int, Attention]], list[tuple[int, FeedForward]]]:
        """Both kinds, counted once: a search of layouts asks thousands of times."""
        attention: dict[str, int] = {}
        feedforward: dict[str, int] = {}
        for group in self.layers:
            for counts, labels in ((attention, group.attention), (feedforward, group.feedforward)):
                for label in labels:
                    counts[label] = counts.get(label, 0) + group.count
        return (
            [(count, self.attention[label]) for label, count in attention.items()],
            [(count, self.feedforward[label]) for label, count in feedforward.items()],
        )

    @cached_property
    def embedding_parameters(self) -> float:
        """Tables that are looked up: token and learned position embeddings [parameters]."""
        return self.hidden_size * (self.vocab_size + self.position_embeddings) + self.lookup_parameters

    @cached_property
    def head_parameters(self) -> float:
        """The LM head's matrix, which every step reads and multiplies even where it is tied [parameters]."""
        return float(self.hidden_size * self.vocab_size)

    @cached_property
    def norm_parameters(self) -> float:
        """Norm vectors of all blocks and the last one, and hyper-connections [parameters]."""
        width = self.hidden_size * (2 if self.norm_bias else 1)
        norms = sum(group.count * self._norms_of(group) for group in self.layers)
        return norms * width + width + self._hyper_connection_parameters()

    def _norms_of(self, group: LayerGroup) -> int:
        if group.norms is not None:
            return group.norms
        sublayers = 1 if self.parallel_block else len(group.attention) + len(group.feedforward)
        return sublayers * self.norms_per_sublayer

    def _hyper_connection_parameters(self) -> float:
        # Two per layer, one for each sublayer, and a read-out at the head (DeepSeek-V4 model code).
        n, d = self.residual_streams, self.hidden_size
        if n == 1:
            return 0.0
        per_layer = 2 * ((n * n + 2 * n) * n * d + n * n + 2 * n + 3)
        return float(self.num_layers * per_layer + n * n * d + n + 1)

    @cached_property
    def total_parameters(self) -> float:
        """Parameters of the main model, each stored matrix once [parameters]."""
        d = self.hidden_size
        mixers = sum(count * layer.parameters(d) for count, layer in self.attention_layers())
        mlps = sum(count * layer.parameters(d) for count, layer in self.feedforward_layers())
        head = 0.0 if self.tied_embeddings else self.head_parameters
        tables = self.embedding_parameters + head + self.norm_parameters + self.other_parameters
        return mixers + mlps + tables - self.shared_parameters

    @cached_property
    def active_parameters(self) -> float:
        """Elements of every matrix that one token multiplies, LM head included, embedding table not."""
        d = self.hidden_size
        mixers = sum(count * sum(m.parameters for m in layer.linears(d)) for count, layer in self.attention_layers())
        mlps = sum(count * layer.active_parameters(d) for count, layer in self.feedforward_layers())
        return mixers + mlps + self.head_parameters

    @cached_property
    def routed(self) -> tuple[RoutedExperts, ...]:
        """The routed experts of every kind of layer that has them."""
        layers = (layer.routed(self.hidden_size) for _, layer in self.feedforward_layers())
        return tuple(routed for routed in layers if routed)

    @cached_property
    def routed_parameters(self) -> float:
        """Parameters of all routed experts [parameters]."""
        total = 0.0
        for count, layer in self.feedforward_layers():
            routed = layer.routed(self.hidden_size)
            if routed:
                total += count * routed.experts * routed.parameters
        return total

    @cached_property
    def prediction_parameters(self) -> float:
        """Parameters of the multi-token-prediction heads, beside the main model's [parameters].

        Each is one layer with its norms, three more norms and a projection of two hidden states to one;
        embedding and LM head are the main model's (DeepSeek-V3, arXiv 2412.19437, section 2.2).
        """
        if self.mtp is None:
            return 0.0
        d = self.hidden_size
        layer = sum(self.attention[label].parameters(d) + d for label in self.mtp.attention)
        layer += sum(self.feedforward[label].parameters(d) + d for label in self.mtp.feedforward)
        return self.mtp.layers * (layer + 2.0 * d * d + 3 * d)

    @property
    def total_deviation(self) -> float | None:
        """Relative difference of the counted parameters from the published total, or None without one."""
        published = self.published.total if self.published else None
        return self.total_parameters / published - 1 if published else None

    @property
    def active_deviation(self) -> float | None:
        """Relative difference of the counted active parameters from those published, or None without."""
        published = self.published.active if self.published else None
        return self.active_parameters / published - 1 if published else None

    @property
    def shape(self) -> str:
        """What speed depends on in one line: layers, width, parameters and attention.

        DeepSeek-R1 and DeepSeek-V3 share theirs; a model whose attention is replaced does not.
        """
        attention = " + ".join(f"{count} {layer.describe()}" for count, layer in self.attention_layers())
        return (
            f"{self.num_layers} x {self.hidden_size}, {self.total_parameters:.0f} parameters, "
            f"{self.active_parameters:.0f} active, {attention}"
        )

    @property
    def has_experts(self) -> bool:
        """Whether any layer routes tokens to experts."""
        return self.routed_parameters > 0

    @property
    def attention_name(self) -> str:
        """The attention variants of the model in short, e.g. 'GQA-8' or 'MLA absorbed'."""
        names = dict.fromkeys(layer.describe() for _, layer in self.attention_layers())
        return " + ".join(names)


# Models that only their makers serve: no weights, no shape, but a list price to compare with.


class ClosedModel(Spec):
    """A model known by its list prices alone."""

    name: Name
    aliases: tuple[str, ...] = ()
    provider: str
    max_context: Size | None = None
    api_prices: Annotated[tuple[ApiPrice, ...], Limits(min_length=1)]
    notes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Everything the model answers to, in lower case with hyphens for spaces."""
        return tuple(dict.fromkeys(name.lower().replace(" ", "-") for name in (self.name, *self.aliases)))


class ClosedModels(Spec):
    """The models of one file, which answer to different names."""

    models: Annotated[tuple[ClosedModel, ...], Limits(min_length=1)]

    def __post_init__(self) -> None:
        seen: dict[str, str] = {}
        for model in self.models:
            for name in model.names:
                if name in seen:
                    raise ValueError(f"{seen[name]!r} and {model.name!r} both answer to {name!r}")
                seen[name] = model.name

    def find(self, name: str) -> ClosedModel | None:
        """Return the model that answers to a name or an alias, or None."""
        wanted = name.strip().lower().replace(" ", "-").replace("_", "-")
        return next((model for model in self.models if wanted in model.names), None)
