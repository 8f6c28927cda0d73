"""Efficiency of single kernels, as data: fitted parameters, and how, on what and how well they were fitted."""

from dataclasses import field, fields
from typing import Annotated, Generic, TypeVar

from costcalc.errors import CostcalcError, did_you_mean
from costcalc.schema import Limits, Spec
from costcalc.specs.prices import Date
from costcalc.specs.quantities import Seconds
from costcalc.specs.serving import Ranges, Share

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
