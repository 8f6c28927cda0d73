"""Fitted constants as data: of kernels, of measured machines, and of serving engines."""

from dataclasses import field, fields
from typing import Annotated, Generic, NamedTuple, TypeVar

from costcalc.errors import CostcalcError, did_you_mean
from costcalc.fields import Bandwidth, Limits, Seconds, Spec, hints
from costcalc.hardware.engines import EngineMemories, EngineMemory, Share
from costcalc.hardware.owning import Owning
from costcalc.hardware.prices import Date

Positive = Annotated[float, Limits(ge=1e-9, le=1e18)]
Widening = Annotated[float, Limits(ge=0.01, le=100)]
Speed = Annotated[float, Limits(ge=1e-6, le=10)]
Factor = Annotated[float, Limits(ge=1e-6, le=100)]
"""What a level of the fit, such as a family or a kernel, multiplies a parameter by."""


class GroupedDecodeParameters(Spec):
    """Decode attention of MHA, GQA and MQA: see engine.latency.kernels.GroupedDecodeCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share


class LatentDecodeParameters(Spec):
    """Decode attention of absorbed MLA: see engine.latency.kernels.LatentDecodeCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share


class PrefillParameters(Spec):
    """Causal prefill attention: see engine.latency.kernels.PrefillCurve."""

    launch: Seconds
    flops: Share
    short_tokens: Positive
    exponentials: Positive  # per second and multiprocessor


class GemmParameters(Spec):
    """Matrix products: see engine.latency.kernels.GemmCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share
    quantize_launch: Seconds
    quantize_bandwidth: Share


class ExpertsParameters(Spec):
    """Fused routed experts: see engine.latency.kernels.ExpertsCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share
    ramp_tokens: Positive
    buffer_bandwidth: Share


class CollectiveParameters(Spec):
    """NCCL's and RCCL's collectives: see engine.latency.collectives.CollectiveCurve."""

    latency: Seconds
    link: Share
    rank_growth: Positive


class CustomAllReduceParameters(Spec):
    """A serving engine's own all-reduce: see engine.latency.collectives.CustomAllReduceCurve."""

    latency: Seconds
    link: Share
    doubling_growth: Positive
    two_shot: Positive


class ExchangeParameters(Spec):
    """Dispatch and combination of routed tokens: see engine.latency.collectives.ExchangeCurve."""

    latency: Seconds
    link: Share


class Quantiles(Spec):
    """Observed over predicted at 10% and 90%: the 80% range of an estimate."""

    low: Positive
    high: Positive


class Ranges(Spec):
    """80% ranges, for GPUs and models that were measured and for those that were not."""

    known: Quantiles
    unseen: Quantiles
    backends: dict[str, Widening] = field(default_factory=dict)  # wider by, in logarithms


class FitError(Spec):
    """Error of a fit: predicted against measured."""

    median_ape: Annotated[float, Limits(ge=0)]
    mape: Annotated[float, Limits(ge=0)]
    bias: float  # median of ln(predicted / measured)


class FitRecord(Spec):
    """What a curve was fitted on, and how well it holds on what it has not seen."""

    points: Annotated[int, Limits(ge=0)]
    gpus: tuple[str, ...]  # fitted on; others are unseen, and their range is wider
    source: str
    date: Date
    in_sample: FitError
    gpu_left_out: FitError  # every GPU predicted without its own points
    shape_left_out: FitError  # every shape predicted without its own points
    ranges: Ranges  # observed over predicted at 10% and 90%, left out


class MachineFit(Spec):
    """What the points of one machine change: factors on the parameters that its family has anyway."""

    factors: dict[str, Factor]
    fit: FitRecord  # gpu_left_out: of these points without their own fit


Parameters = TypeVar("Parameters", bound=Spec)


class KernelFit(Spec, Generic[Parameters]):
    """A fitted curve: global parameters, and what families, kernels or precisions multiply them by."""

    parameters: Parameters
    multipliers: dict[str, dict[str, dict[str, Factor]]] = field(default_factory=dict)  # level, member, parameter
    fit: FitRecord
    machines: dict[str, MachineFit] = field(default_factory=dict)  # by the GPU's name in the catalog, or on its card

    def __post_init__(self) -> None:
        known = [each.name for each in fields(self.parameters)]
        for level, members in self.multipliers.items():
            for member, factors in members.items():
                for name in factors:
                    if name not in known:
                        where = f"multipliers.{level}.{member}"
                        hint = did_you_mean(name, known) or f"one of: {', '.join(known)}"
                        raise CostcalcError(f"{where} names the unknown parameter {name!r}", hint=hint)

    @property
    def levels(self) -> dict[str, dict[str, dict[str, float]]]:
        """Factors by level, member and parameter: those of measured machines are one more level, 'gpu'."""
        if not self.machines:
            return self.multipliers
        return {**self.multipliers, "gpu": {gpu: machine.factors for gpu, machine in self.machines.items()}}


class KernelEfficiency(Spec):
    """Every fitted kernel; one file, hardware_profiles/efficiency/kernels.yaml."""

    decode_grouped: KernelFit[GroupedDecodeParameters]
    decode_latent: KernelFit[LatentDecodeParameters]
    prefill: KernelFit[PrefillParameters]
    gemm: KernelFit[GemmParameters]
    experts: KernelFit[ExpertsParameters]
    collective: KernelFit[CollectiveParameters]
    custom_all_reduce: KernelFit[CustomAllReduceParameters]
    expert_exchange: KernelFit[ExchangeParameters]

    @property
    def machines(self) -> set[str]:
        """GPUs of which a kernel was measured by whoever keeps the catalog."""
        return {gpu for each in fields(self) for gpu in getattr(self, each.name).machines}


# Efficiency of machines that someone measured, as data: what `costcalc calibrate` writes.


class MachineEfficiency(Spec):
    """Kernels of machines; one file, hardware_profiles/efficiency/machines.yaml of a catalog of one's own."""

    machines: Annotated[dict[str, dict[str, MachineFit]], Limits(min_length=1)]  # by catalog name of the GPU and op

    def __post_init__(self) -> None:
        for gpu, fits in self.machines.items():
            for op, fit in fits.items():
                known = _parameters(op, gpu)
                for name in fit.factors:
                    if name not in known:
                        hint = did_you_mean(name, known) or f"one of: {', '.join(known)}"
                        raise CostcalcError(f"{gpu}.{op} has no parameter {name!r}", hint=hint)


def _parameters(op: str, gpu: str) -> list[str]:
    """Names of the parameters of a kernel."""
    ops = hints(KernelEfficiency)
    if op not in ops:
        hint = did_you_mean(op, ops) or f"one of: {', '.join(ops)}"
        raise CostcalcError(f"machines.{gpu} names the unknown kernel {op!r}", hint=hint)
    return list(hints(hints(ops[op])["parameters"]))


# What GPUs draw, as data.


class Energy(Spec):
    """What a GPU draws as shares of its limit, and how far that is off; one file, energy.yaml."""

    static: Share  # of a GPU that works, whatever it does
    memory: Annotated[float, Limits(ge=0, le=10)]  # at the whole bandwidth
    compute: Annotated[float, Limits(ge=0, le=10)]  # at the whole peak
    watts: Quantiles  # observed over predicted, of GPUs that were fitted on
    joules: Quantiles  # of a token, whose time is predicted too
    unseen: Annotated[float, Limits(ge=1, le=10)]  # by which the ranges of other GPUs are wider, as logarithms
    gpus: tuple[str, ...]  # fitted on
    points: Annotated[int, Limits(ge=0)]
    source: str
    date: Date
    errors: dict[str, FitError]  # in sample and by what was left out

    def range_of(self, quantity: str, gpu: str) -> tuple[float, float]:
        """Observed over predicted at 10% and 90%.

        quantity: 'watts' or 'joules'. gpu: its name.
        """
        found: Quantiles = getattr(self, quantity)
        wider = 1.0 if gpu in self.gpus else self.unseen
        return found.low**wider, found.high**wider


# Efficiency of serving, as data: what engines reach of the peaks and what they add to every step.


"""A share of a peak: never above 1, so that a calibrated time never beats the bound."""


BEST = "best"
"""Names no engine, but what a stack would add that did everything as well as the best of them."""
UNKNOWN_FAMILY = 1.5
"""How much wider the range is, in logarithms, where no GPU of the architecture was measured."""
UNKNOWN_ENGINE = 1.3
"""How much wider it is, in logarithms, where no run of the engine was measured."""
UNKNOWN_VENDOR = 3.0
"""Times faster or slower that machines of a vendor may be of which no run was measured."""
UNTUNED = "_default"
"""Ends the name of a class of measurements whose engines ran as their documentation starts them."""


class Provenance(Spec):
    """Where constants come from and how well they hold."""

    source: str
    date: str
    points: int
    note: str | None = None


class ServingError(Spec):
    """Error of predictions: ratios, not percent."""

    median_ape: Annotated[float, Limits(ge=0)]
    mape: Annotated[float, Limits(ge=0)]
    bias: float  # median of ln(predicted / measured)


class ServingRecord(Spec):
    """How well one class of serving measurements is predicted: by a fit that saw them, and by ones that did not."""

    points: int
    in_sample: ServingError
    rows_left_out: ServingError
    model_left_out: ServingError
    gpu_left_out: ServingError
    source_left_out: ServingError | None = None  # of whole sources


class BackendOverhead(Spec):
    """What a serving engine adds."""

    name: str
    layer: Seconds  # per layer and decode step
    startup: Seconds  # from a request's arrival to its first token, beyond what the GPUs do
    admission_steps: Annotated[float, Limits(ge=0)]  # decode steps until a request is looked at
    host: Seconds = 0.0  # of the server's process for a sequence of a step, beside the GPU
    gathers_prompts: bool = False  # attention-data ranks wait for each other's prompts, and prefill together
    reserved_output: Share  # of the answers of running requests, in the cache that is kept for them
    kernels: str = "vllm"  # the stack whose measured kernels it runs: trtllm, vllm or sglang
    mixes_prefill: bool  # prompts ride on decode steps, instead of stopping them
    current: bool = True  # whether deployments of today run it
    names: tuple[str, ...] = ()  # that sources call it by, in lower case
    vendors: tuple[str, ...] = ()  # of machines on which it is what people run
    memory: Speed = 1.0  # bandwidth that its kernels reach, over that of the measured
    arithmetic: Speed = 1.0  # FLOP/s that they reach, over those of the measured
    arithmetic_8_bit: Speed = 1.0  # the same of products of 8-bit integers
    tile_rows: Annotated[float, Limits(ge=1)] | None = None  # rows that its kernels multiply at least; None: by GPU
    sm_bandwidth: Bandwidth | None = None  # that its kernels draw through one multiprocessor at most


class ClosedLoop(Spec):
    """How requests meet on the GPUs."""

    scheduled_sequences: Annotated[float, Limits(gt=0)]  # a replica decodes at most, offline: max_batch_size
    first_burst: Annotated[float, Limits(ge=0)]  # mean wait behind the first round, prefills per request ahead
    equal_lengths: Share  # of the prompts of equal requests that begin together, those that the median waits for
    memory_utilization: Share  # of the driver's memory, in deployments tuned for throughput
    acceptance: Share  # chance that the first drafted token is kept
    fading: Share  # of that chance, for each further one


class Asked(NamedTuple):
    """What a range is asked of: names as their cards show them."""

    gpu: str
    model: str
    architecture: str
    vendor: str
    backend: str | None = None
    shape: str | None = None  # of the model


_NEEDED = {
    "speed": ("launches", "weights", "gemm_16_bit", "gemm_8_bit", "gemm_4_bit"),
    "untuned": ("other",),
    "ranges": ("decode",),
}
"""Members that any question may ask of a group, whatever else it holds."""


class ServingEfficiency(Spec):
    """Constants of the calibrated mode; one file, hardware_profiles/efficiency/serving.yaml."""

    speed: dict[str, Positive]  # of kernels in an engine over alone, by class of op
    vendor_bandwidth: dict[str, Positive]  # of a vendor's machines, where nothing was measured of a kernel on them
    vendor_flops: dict[str, Positive]
    vendor_launches: dict[str, Positive]  # how much longer their launches take
    maturing: Annotated[float, Limits(ge=0)]  # by which engines run models with experts faster each month [ln]
    as_of: str  # the month of the newest measurements, YYYY-MM: engines are as mature as then
    untuned: dict[str, Annotated[float, Limits(ge=1)]]  # times longer launches and layers take, by vendor
    hottest_rank: Share
    expert_layer: Seconds
    latent_layer: Seconds
    sequence: Seconds
    draft: Seconds  # of the host for every drafted token of a step
    elementwise: Share  # of memory bandwidth
    elementwise_passes: Annotated[float, Limits(ge=0)]
    all_reduce_network: Seconds
    all_to_all_network: Seconds
    overlap: Share
    default_backend: str
    backends: dict[str, BackendOverhead]
    closed_loop: ClosedLoop
    measured_gpus: tuple[str, ...]
    measured_models: tuple[str, ...]
    measured_architectures: tuple[str, ...]
    measured_vendors: tuple[str, ...] = ()
    measured_backends: tuple[str, ...] = ()
    measured_shapes: tuple[str, ...] = ()  # of the measured models: others of the same shape are as well known
    ranges: dict[str, Ranges]  # by class of measurement
    errors: dict[str, ServingRecord] = field(default_factory=dict)  # by class of measurement
    provenance: Provenance
    of_kernels: KernelEfficiency | None = None  # what it stands on: kernels.yaml, put here when both are read
    of_memory: EngineMemories | None = None  # and memory.yaml
    of_owning: Owning | None = None  # and owning.yaml
    of_energy: Energy | None = None  # and energy.yaml

    def __post_init__(self) -> None:
        for group, needed in _NEEDED.items():
            for name in needed:
                if name not in getattr(self, group):
                    raise CostcalcError(f"lacks the key {name!r}", path=(group,))
        if self.default_backend not in self.backends:
            raise CostcalcError(f"no backend is called {self.default_backend!r}", path=("default_backend",))
        if not self.current:
            raise CostcalcError("not one of them is current", path=("backends",))

    @property
    def kernels(self) -> KernelEfficiency:
        """What kernels reach alone."""
        if self.of_kernels is None:
            raise ValueError("constants of serving without those of kernels")
        return self.of_kernels

    @property
    def energy(self) -> Energy:
        """What GPUs draw."""
        if self.of_energy is None:
            raise ValueError("constants of serving without what GPUs draw")
        return self.of_energy

    def memory_of(self, engine: str) -> EngineMemory:
        """How an engine of this name uses memory."""
        if self.of_memory is None:
            raise ValueError("constants of serving without the engines' use of memory")
        return self.of_memory.of(engine)

    @property
    def engines(self) -> tuple[str, ...]:
        """Names that `engine` answers to."""
        return (*self.backends, BEST)

    @property
    def current(self) -> tuple[BackendOverhead, ...]:
        """Engines that deployments of today run."""
        return tuple(each for each in self.backends.values() if each.current)

    def engine(self, name: str) -> BackendOverhead:
        """What a serving engine adds; 'best' is the least that any current one does, constant by constant."""
        if name != BEST:
            return self.backends[name]
        current = self.current
        return BackendOverhead(
            name="the best of each engine",
            layer=min(each.layer for each in current),
            startup=min(each.startup for each in current),
            admission_steps=min(each.admission_steps for each in current),
            host=min(each.host for each in current),
            gathers_prompts=any(each.gathers_prompts for each in current),
            reserved_output=min(each.reserved_output for each in current),
            kernels="trtllm",
            mixes_prefill=any(each.mixes_prefill for each in current),
        )

    def backend_called(self, name: str) -> str:
        """The engine that people call by this name: 'llama.cpp' and 'ollama' for llamacpp; else the name itself."""
        plain = name.strip().lower()
        return next((known for known, each in self.backends.items() if plain in (known, *each.names)), name)

    def backend_for(self, vendor: str) -> str:
        """The engine that people run on a vendor's machines."""
        return next((name for name, each in self.backends.items() if vendor in each.vendors), self.default_backend)

    def knows_model(self, model: str, shape: str | None = None) -> bool:
        """Whether the model of this name, or one of the same `shape`, was among the measured ones."""
        return shape in self.measured_shapes if shape and self.measured_shapes else model in self.measured_models

    def knows(self, gpu: str, model: str, shape: str | None = None) -> bool:
        """Whether both the GPU and the model of these names, or of this shape, were among the measured ones."""
        return gpu in self.measured_gpus and self.knows_model(model, shape)

    def range_of(self, name: str, asked: Asked) -> tuple[float, float]:
        """Observed over predicted at 10% and 90%: wider where GPU, model or engine were not measured.

        name: class of measurement, one of `ranges`; one of untuned engines that has none is that of tuned ones.
        """
        ranges = self.ranges.get(name) or self.ranges.get(name.removesuffix(UNTUNED)) or self.ranges["decode"]
        chosen = ranges.known if self.knows(asked.gpu, asked.model, asked.shape) else ranges.unseen
        wider = ranges.backends.get(asked.backend or "", 1.0)
        if asked.architecture not in self.measured_architectures:
            wider *= UNKNOWN_FAMILY
        if asked.backend is not None and asked.backend not in self.measured_backends:
            wider *= UNKNOWN_ENGINE
        low, high = chosen.low**wider, chosen.high**wider
        if asked.vendor not in self.measured_vendors:
            low, high = min(low, 1 / UNKNOWN_VENDOR), max(high, UNKNOWN_VENDOR)
        return low, high

    def unmeasured(self, asked: Asked) -> tuple[str, ...]:
        """What widens a range: the parts of a question that no measurement is of."""
        found = {
            "the GPU": asked.gpu in self.measured_gpus,
            "the model": self.knows_model(asked.model, asked.shape),
            f"the {asked.architecture} architecture": asked.architecture in self.measured_architectures,
            "the engine": asked.backend is None or asked.backend in self.measured_backends,
            f"any machine of {asked.vendor}": asked.vendor in self.measured_vendors,
        }
        return tuple(what for what, known in found.items() if not known)
