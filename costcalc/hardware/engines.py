"""How serving engines divide the memory of a GPU, hold a cache in it, and are told to start, as data."""

from dataclasses import field, replace
from typing import Annotated, Literal

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.fields import Bytes, Limits, Number, Spec

Share = Annotated[float, Limits(ge=1e-6, le=1)]
Count = Annotated[float, Limits(ge=0, le=1e12)]
OnArchitectures = dict[str, tuple[str, ...]]
"""Number formats by name, and the architectures that an engine has kernels for; empty: any."""
Holding = Literal["exact", "pages", "pools"]
"""exact: what the arithmetic needs. pages: one pool of pages, which groups of layers share; windows keep the tokens of
a step too, and states fill pages. pools: states have a pool of their own, and windows one as large as a share."""


class Tier(Spec):
    """What an engine takes by default on GPUs of at least so much memory."""

    least: Bytes = 0.0
    only: tuple[str, ...] = ()  # architectures that it is for; empty: any
    but_not: tuple[str, ...] = ()  # architectures that belong to the next tier, whatever their memory
    tokens: Count  # of one step, all prompts together
    sequences: Count  # that it runs at once
    graphs: Count = 0  # sequences of the largest decode graph
    tensor_graphs: Count = 0  # and with tensor parallelism of four or more


class LeftFree(Spec):
    """Memory that an engine leaves free of weights and cache by a rule of thumb, instead of by a share."""

    fixed: Bytes
    per_token: Bytes  # of a step
    per_graph: Bytes  # per sequence of the largest decode graph
    per_gpu: Bytes
    data_parallel: Bytes  # with attention data parallelism
    least: Bytes  # at least, where the GPU has `least_from`
    least_from: Bytes


class Earlier(Spec):
    """What versions up to a month took instead; null: the same."""

    until: str  # YYYY-MM
    steps_in_flight: Annotated[int, Limits(ge=1)] | None = None
    logit_bytes: Count | None = None
    tensor_buffers: Bytes | None = None
    states: Annotated[float, Limits(ge=1)] | None = None

    @property
    def keeps_more(self) -> bool:
        """Whether it leaves another pool, instead of holding a sequence otherwise."""
        return self.logit_bytes is not None or self.tensor_buffers is not None


class EngineMemory(Spec):
    """One engine's use of memory; docs/method.md has the equations."""

    source: str
    of: Literal["total", "free"]  # the share is of the whole GPU, or of what weights and a step leave
    utilization: Share | None  # by default; null: whatever `left_free` leaves
    left_free: LeftFree | None = None
    context: Bytes = 0.0  # that the runtime holds before the engine looks, of which the share is not taken
    buffers: Bytes = 0.0  # beside weights, cache and step, on a GPU alone
    tensor_buffers: Bytes  # and where ranks share a switched fabric
    shared_buffers: Bytes  # and where they share PCIe
    logit_bytes: Count  # of one logit while a step samples: 0 where that is not counted
    kept_states: Count  # hidden states of all tokens that outlive the layers
    layer_states: Count  # and that one layer holds beside its feed-forward
    expert_copies: Count  # of every routed token
    tiers: Annotated[tuple[Tier, ...], Limits(min_length=1)]  # the largest first
    ranks_share_step: bool = False  # whether attention-data ranks share the tokens of a step, instead of having all
    holding: Holding
    window_share: Share = 1.0  # of a pool of tokens that windows get, where pools are apart
    state_share: Share = 0.5  # of the memory that states get there
    states: Annotated[float, Limits(ge=1)] = 1  # slots of a pool of states that every running sequence takes
    expert_inputs: dict[str, Annotated[int, Limits(ge=1)]] = field(
        default_factory=dict
    )  # multiple padded to, by format
    steps_in_flight: Annotated[int, Limits(ge=1)] = 1  # whose tokens windows keep, where they share pages
    earlier: tuple[Earlier, ...] = ()  # the newest first
    weights: OnArchitectures = field(default_factory=dict)  # formats that it loads
    caches: OnArchitectures = field(default_factory=dict)  # and keeps a cache in
    beside_experts: dict[str, str] = field(default_factory=dict)  # format of the rest in its files, by that of experts
    spreads_layers: bool = False  # whether it puts them on GPUs in turn, where nobody says otherwise
    input_on_host: bool = False  # whether tokens are looked up in host memory, where a GPU has memory of its own
    encoders: bool = True  # whether those of images are loaded with the model
    usual_on: tuple[str, ...] = ()  # architectures that people run it on, where they are not their vendor's usual ones
    cache_formats: tuple[str, ...] = ()  # all that its flag of the cache takes, the default first; empty: not limited
    degrees: dict[str, tuple[Literal["one", "stage"], ...]] = field(
        default_factory=dict
    )  # GPUs that may share in a degree of parallelism, by option; of others any divisor of a stage

    def takes(self, option: str, number: int, stage: int) -> bool:
        """Whether a degree of parallelism, by the name of its option, can be `number` on a stage of so many GPUs."""
        whole = {"one": 1, "stage": stage}
        return option not in self.degrees or number in (whole[each] for each in self.degrees[option])

    def weights_on(self, architecture: str) -> list[str]:
        """Formats of weights that it loads on GPUs of an architecture, as listed."""
        return [name for name, only in self.weights.items() if architecture in (only or (architecture,))]

    def caches_on(self, architecture: str) -> list[str]:
        """Formats of a cache that it keeps there, as listed."""
        return [name for name, only in self.caches.items() if architecture in (only or (architecture,))]


class EngineMemories(Spec):
    """How each engine uses memory; one file, hardware_profiles/efficiency/memory.yaml."""

    default: str  # of an engine that is not listed
    engines: dict[str, EngineMemory]

    def __post_init__(self) -> None:
        if self.default not in self.engines:
            raise CostcalcError(f"no engine is called {self.default!r}", path=("default",))

    def of(self, engine: str) -> EngineMemory:
        """How an engine of this name uses memory; one that is not listed may be started in any layout."""
        return self.engines.get(engine) or replace(self.engines[self.default], degrees={})


def before(engine: EngineMemory, earlier: tuple[Earlier, ...]) -> EngineMemory:
    """An engine as some of its earlier versions were, the newest first."""
    names = ("steps_in_flight", "logit_bytes", "tensor_buffers", "states")
    told = {name: value for each in earlier for name in names if (value := getattr(each, name)) is not None}
    return replace(engine, **told, earlier=())


def by_tier(tiers: tuple[Tier, ...], name: str, memory: Number, architecture: str) -> Number:
    """A default by the memory of GPUs [B], an array or one; name: of a field of `Tier`."""
    own = [
        tier for tier in tiers if architecture not in tier.but_not and architecture in (tier.only or (architecture,))
    ]
    if not np.ndim(memory):
        return next((float(getattr(tier, name)) for tier in own if memory >= tier.least), 0.0)
    return np.select([np.asarray(memory) >= tier.least for tier in own], [getattr(tier, name) for tier in own], 0.0)


# The flags of their servers, by option: written by `--emit`, read by `--from`.


Form = Literal["value", "switch", "stage", "whole_stage", "ranks", "sequences", "split", "json", "moved"]
"""How an option's number stands behind a flag; hardware_profiles/efficiency/launch.yaml says what each means."""


class LaunchFlag(Spec):
    """A way to say one option on an engine's command line."""

    flags: tuple[str, ...]  # the first is written, all are read
    form: Form = "value"
    value: str | None = None  # that a switch stands for, or a split is of
    key: str | None = None  # of the JSON object that holds it
    beside: str = ""  # words that go with it, or the JSON object that holds it
    values: dict[str, str] = field(default_factory=dict)  # as written, by the option's value; empty: as they are


class EngineFlags(Spec):
    """How the server of one engine is started."""

    name: str
    version: str
    source: str
    commands: Annotated[tuple[str, ...], Limits(min_length=1)]  # the first is written, all are read
    images: dict[str, str]  # of containers, by the vendor of the GPUs
    model: tuple[str, ...]  # flags that name the model
    positional: bool = False  # whether the model stands without one
    hub: tuple[str, ...] = ()  # flags that name a repository of Hugging Face, where others name a file
    abbreviates: bool = False  # whether a flag may be cut short
    slots: Annotated[int, Limits(ge=1)] | None = None  # requests at once that share one cache, where none are told
    one_cache: tuple[str, ...] = ()  # switches by which those that are told share it too, instead of a part each
    cache_of_one: str | None = None  # flag of the most tokens of it that one request takes
    one_of_several: str = ""  # words by which it takes one GPU, where it would take all that it sees
    beyond_node: str | None = None  # words for several nodes; null: the engine joins the GPUs of one
    beyond_node_ranks: str | None = None  # the same, where only attention data ranks are on several
    before_beyond_node: str = ""  # what stands before the command there
    beyond_node_note: str = ""
    options: dict[str, tuple[LaunchFlag, ...]]
    uncounted: tuple[str, ...]  # flags that change the cost otherwise
    switches: tuple[str, ...]  # flags without a value and without effect on the cost
    others: tuple[str, ...]  # flags with a value


class Launching(Spec):
    """How engines are started; one file, hardware_profiles/efficiency/launch.yaml."""

    engines: dict[str, EngineFlags]
