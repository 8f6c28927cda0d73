"""Fitted constants as data: of kernels, of measured machines, and of serving engines."""

from __future__ import annotations

from dataclasses import field, fields
from typing import Annotated, Generic, TypeVar

from costcalc.errors import CostcalcError, did_you_mean
from costcalc.fields import Limits, Seconds, Spec, hints
from costcalc.hardware.prices import Date

Positive = Annotated[float, Limits(gt=0)]
Factor = Annotated[float, Limits(gt=0, le=100)]
"""What a level of the fit, such as a family or a kernel, multiplies a parameter by."""


class GroupedDecodeParameters(Spec):
    """Decode attention of MHA, GQA and MQA: see engine.kernels.GroupedDecodeCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share


class LatentDecodeParameters(Spec):
    """Decode attention of absorbed MLA: see engine.kernels.LatentDecodeCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share


class UnsplitDecodeParameters(Spec):
    """MLA decode without a tuned kernel, a sequence per multiprocessor: see UnsplitDecodeCurve."""

    launch: Seconds
    flops: Share


class CastDecodeParameters(Spec):
    """MLA decode that converts its cache first: see engine.kernels.CastDecodeCurve."""

    launch: Seconds
    elements: Positive  # per second and multiprocessor


class PrefillParameters(Spec):
    """Causal prefill attention: see engine.kernels.PrefillCurve."""

    launch: Seconds
    flops: Share
    short_tokens: Positive
    exponentials: Positive  # per second and multiprocessor


class GemmParameters(Spec):
    """Matrix products: see engine.kernels.GemmCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share
    quantize_launch: Seconds


class ExpertsParameters(Spec):
    """Fused routed experts: see engine.kernels.ExpertsCurve."""

    launch: Seconds
    bandwidth: Share
    flops: Share
    ramp_tokens: Positive
    buffer_bandwidth: Share


class CollectiveParameters(Spec):
    """NCCL's and RCCL's collectives: see engine.kernels.CollectiveCurve."""

    latency: Seconds
    link: Share
    rank_growth: Positive


class CustomAllReduceParameters(Spec):
    """A serving engine's own all-reduce: see engine.kernels.CustomAllReduceCurve."""

    latency: Seconds
    link: Share
    doubling_growth: Positive
    two_shot: Positive


class ExchangeParameters(Spec):
    """Dispatch and combination of routed tokens: see engine.kernels.ExchangeCurve."""

    latency: Seconds
    link: Share


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
    machines: dict[str, MachineFit] = field(default_factory=dict)  # by catalog name of the GPU

    def __post_init__(self) -> None:
        known = [each.name for each in fields(self.parameters)]
        for level, members in self.multipliers.items():
            for member, factors in members.items():
                for name in factors:
                    if name not in known:
                        where = f"multipliers.{level}.{member}"
                        hint = did_you_mean(name, known) or f"one of: {', '.join(known)}"
                        raise CostcalcError(f"{where} names the unknown parameter {name!r}", hint=hint)


class KernelEfficiency(Spec):
    """Every fitted kernel; one file, hardware_profiles/efficiency/kernels.yaml."""

    decode_grouped: KernelFit[GroupedDecodeParameters]
    decode_latent: KernelFit[LatentDecodeParameters]
    decode_latent_unsplit: KernelFit[UnsplitDecodeParameters]
    decode_latent_cast: KernelFit[CastDecodeParameters]
    prefill: KernelFit[PrefillParameters]
    gemm: KernelFit[GemmParameters]
    experts: KernelFit[ExpertsParameters]
    collective: KernelFit[CollectiveParameters]
    custom_all_reduce: KernelFit[CustomAllReduceParameters]
    expert_exchange: KernelFit[ExchangeParameters]


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


# Efficiency of serving, as data: what engines reach of the peaks and what they add to every step.


Share = Annotated[float, Limits(gt=0, le=1)]
"""A share of a peak: never above 1, so that a calibrated time never beats the bound."""


BEST = "best"
"""Names no engine, but what a stack would add that did everything as well as the best of them."""
UNKNOWN_FAMILY = 1.5
"""How much wider the range is, in logarithms, where no GPU of the architecture was measured."""


class Provenance(Spec):
    """Where constants come from and how well they hold."""

    source: str
    date: str
    points: int
    note: str | None = None


class Quantiles(Spec):
    """Observed over predicted at 10% and 90%: the 80% range of an estimate."""

    low: Annotated[float, Limits(gt=0)]
    high: Annotated[float, Limits(gt=0)]


class Ranges(Spec):
    """80% ranges, for GPUs and models that were measured and for those that were not."""

    known: Quantiles
    unseen: Quantiles
    backends: dict[str, Annotated[float, Limits(gt=0)]] = field(default_factory=dict)  # wider by, in logarithms


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


class BackendOverhead(Spec):
    """What a serving engine adds."""

    name: str
    layer: Seconds  # per layer and decode step
    startup: Seconds  # from a request's arrival to its first token, beyond what the GPUs do
    admission_steps: Annotated[float, Limits(ge=0)]  # decode steps until a request is looked at
    balance_steps: Annotated[float, Limits(ge=0)] = 0  # and until attention-data ranks may prefill together
    reserved_output: Share  # of the answers of running requests, in the cache that is kept for them
    tile_rows: Annotated[float, Limits(ge=1)] = 64  # query rows of a KV head that decode attention computes at least
    mixes_prefill: bool  # prompts ride on decode steps, instead of stopping them
    current: bool = True  # whether deployments of today run it


class ClosedLoop(Spec):
    """How requests meet on the GPUs."""

    prefill_tokens: Annotated[float, Limits(gt=0)]  # prompt tokens in one pass where prompts wait
    scheduled_sequences: Annotated[float, Limits(gt=0)]  # a replica decodes at most, offline: max_batch_size
    first_burst: Annotated[float, Limits(ge=0)]  # mean wait behind the first round, prefills per request ahead
    equal_lengths: Annotated[float, Limits(ge=0)]  # wait among equal requests, prefills per root of their number
    reused_prompt: Share  # of prompts that a benchmark repeats
    memory_utilization: Share  # of the driver's memory, in deployments tuned for throughput
    acceptance: Share  # chance that the first drafted token is kept
    fading: Share  # of that chance, for each further one


class ServingEfficiency(Spec):
    """Constants of the calibrated mode; one file, hardware_profiles/efficiency/serving.yaml."""

    norms: dict[str, Annotated[float, Limits(ge=1)]]
    bandwidth: dict[str, Share]
    flops: dict[str, Share]
    kind_flops: dict[str, Share]
    vendor_bandwidth: dict[str, Share]
    vendor_flops: dict[str, Share]
    architecture_flops: dict[str, dict[str, Share]]  # of that of the format, by architecture
    maturing: Annotated[float, Limits(ge=0)]  # by which engines run models with experts faster each month [ln]
    as_of: str  # the month of the newest measurements, YYYY-MM: engines are as mature as then
    expert_tiles: dict[str, Annotated[float, Limits(ge=0)]]  # rows that an expert's GEMM computes at least
    hottest_rank: Share
    quantize: dict[str, Seconds]
    expert_layer: Seconds
    latent_layer: Seconds
    sequence: Seconds
    draft: Seconds  # of the host for every drafted token of a step
    elementwise_passes: Annotated[float, Limits(ge=0)]
    routed_pair: Seconds
    all_reduce: Seconds
    all_reduce_per_doubling: Seconds
    all_reduce_network: Seconds
    all_to_all: Seconds
    all_to_all_network: Seconds
    link: Share
    shared_pcie: dict[str, Share]  # of that, where more than two GPUs share the host's PCIe, by architecture
    overlap: Share
    prefill_layer: Seconds
    prefill_expert_layer: Seconds
    default_backend: str
    backends: dict[str, BackendOverhead]
    closed_loop: ClosedLoop
    measured_gpus: tuple[str, ...]
    measured_models: tuple[str, ...]
    measured_architectures: tuple[str, ...]
    measured_shapes: tuple[str, ...] = ()  # of the measured models: others of the same shape are as well known
    ranges: dict[str, Ranges]  # by class of measurement
    errors: dict[str, ServingRecord] = field(default_factory=dict)  # by class of measurement
    provenance: Provenance

    @property
    def engines(self) -> tuple[str, ...]:
        """Names that `engine` answers to."""
        return (*self.backends, BEST)

    def engine(self, name: str) -> BackendOverhead:
        """What a serving engine adds; 'best' is the least that any current one does, constant by constant."""
        if name != BEST:
            return self.backends[name]
        current = [each for each in self.backends.values() if each.current]
        return BackendOverhead(
            name="the best of each engine",
            layer=min(each.layer for each in current),
            startup=min(each.startup for each in current),
            admission_steps=min(each.admission_steps for each in current),
            balance_steps=min(each.balance_steps for each in current),
            reserved_output=min(each.reserved_output for each in current),
            tile_rows=min(each.tile_rows for each in current),
            mixes_prefill=any(each.mixes_prefill for each in current),
        )

    def knows_model(self, model: str, shape: str | None = None) -> bool:
        """Whether the model of this name, or one of the same `shape`, was among the measured ones."""
        return shape in self.measured_shapes if shape and self.measured_shapes else model in self.measured_models

    def knows(self, gpu: str, model: str, shape: str | None = None) -> bool:
        """Whether both the GPU and the model of these names, or of this shape, were among the measured ones."""
        return gpu in self.measured_gpus and self.knows_model(model, shape)

    def range_of(
        self,
        name: str,
        gpu: str,
        model: str,
        architecture: str,
        backend: str | None = None,
        shape: str | None = None,
    ) -> tuple[float, float]:
        """Observed over predicted at 10% and 90%: wider where GPU or model were not measured, or no relative of it.

        name: class of measurement, one of `ranges`. gpu, model: names as their cards show them. backend: an engine
        whose points spread more or less than others'. shape: the model's.
        """
        ranges = self.ranges.get(name, self.ranges["decode"])
        chosen = ranges.known if self.knows(gpu, model, shape) else ranges.unseen
        wider = 1.0 if architecture in self.measured_architectures else UNKNOWN_FAMILY
        wider *= ranges.backends.get(backend or "", 1.0)
        return chosen.low**wider, chosen.high**wider
