"""What a machine reaches under a serving engine: the curve of every op, from the constants kept as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import numpy as np

from costcalc.engine.kernel_choice import (
    EXPERT_PAIRS_OF_ALL,
    exchange_kernel,
    experts_kernel,
    gemm_tile_rows,
    grouped_decode_kernel,
    latent_decode_kernel,
    multiplies_in_fp8,
    precision_class,
    query_tile_rows,
)
from costcalc.engine.kernels import (
    AllReduceCurve,
    CollectiveCurve,
    CustomAllReduceCurve,
    ExchangeCurve,
    ExpertsCurve,
    GemmCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    PrefillCurve,
    curve_of,
    scaled,
)
from costcalc.engine.op_times import Curve, Efficiency
from costcalc.engine.ops import Op
from costcalc.engine.roofline import Machine
from costcalc.formats import cache_format
from costcalc.hardware.efficiency import BackendOverhead, KernelEfficiency, KernelFit, ServingEfficiency

CurveT = TypeVar("CurveT")
NOTHING: Mapping[str, Any] = {}

CUSTOM_LIMIT = 4e6
"""Message [B] above which TensorRT-LLM and vLLM leave an all-reduce to NCCL; SGLang does not."""
_SPEEDS = {
    "decode_grouped": "decode", "decode_latent": "decode", "collective": "all_reduce",
    "custom_all_reduce": "all_reduce", "expert_exchange": "all_to_all",
}  # fmt: skip
"""Classes of `ServingEfficiency.speed` by kernel, where they are called otherwise."""


def calibrated_efficiency(
    constants: ServingEfficiency, machine: Machine, backend: str, tuned: bool = False, imbalance: str = "measured"
) -> Efficiency:
    """Efficiency of `machine` under `backend`, one of `constants.engines`.

    tuned: by the best published recipe, rather than as the engine's documentation starts it. imbalance: of experts:
    'measured', 'uniform', 'zipf:S' or the load of the hottest rank over the mean.
    """
    engine = constants.engine(backend)
    curves = _Curves(constants, machine, engine, tuned, imbalance)
    launches = constants.vendor_launches.get(machine.vendor, 1.0) * untuned(constants, machine, tuned)
    return Efficiency(
        curve=curves,
        elementwise=min(constants.elementwise * constants.vendor_bandwidth.get(machine.vendor, 1.0), 1.0),
        elementwise_passes=constants.elementwise_passes,
        link=min(curves.all_reduce().library.link, 1.0),
        layer_seconds=engine.layer * untuned(constants, machine, tuned),
        expert_layer_seconds=constants.expert_layer * launches,
        latent_layer_seconds=constants.latent_layer * launches,
        draft_seconds=constants.draft,
        sequence_seconds=constants.sequence,
        overlap=constants.overlap,
    )


def untuned(constants: ServingEfficiency, machine: Machine, tuned: bool) -> float:
    """How much longer launches and layers take in an engine that nobody tuned [1]."""
    return 1.0 if tuned else constants.untuned.get(machine.vendor, constants.untuned["other"])


@dataclass(frozen=True, slots=True)
class _Curves:
    """The curve of every op on a machine, found when it is asked for."""

    constants: ServingEfficiency
    machine: Machine
    engine: BackendOverhead
    tuned: bool
    imbalance: str
    known: dict[tuple[str, str, str, bool, float], Curve] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """Whose measured kernels run: 'trtllm', 'vllm' or 'sglang'."""
        return self.engine.kernels

    @property
    def kernels(self) -> KernelEfficiency:
        return self.constants.kernels

    def __call__(self, op: Op) -> Curve:
        key = op.kind, op.weights, op.precision, op.throughput, float(op.group)
        if key not in self.known:
            self.known[key] = getattr(self, _MAKERS[op.kind])(op)
        return self.known[key]

    def _curve(
        self, kind: type[CurveT], op: str, rest: Mapping[str, Any] = NOTHING, precision: str = "bf16", **members: str
    ) -> CurveT:
        """The curve of a kernel as engines run it: as measured on this machine, else as is usual of its vendor's.

        op: of the fit. rest: what is not fitted. precision: multiplied in. members: of the levels of the fit.
        """
        fit: KernelFit[Any] = getattr(self.kernels, op)
        of = {"family": self.machine.architecture, "gpu": self.machine.name, **members}
        given = {**kind.measured, **rest}  # type: ignore[attr-defined]
        alone = curve_of(kind, asdict(fit.parameters), fit.levels, of, **given)
        vendor, constants = "" if self.machine.name in fit.machines else self.machine.vendor, self.constants
        memory, arithmetic = constants.vendor_bandwidth.get(vendor, 1.0), constants.vendor_flops.get(vendor, 1.0)
        launches = constants.vendor_launches.get(vendor, 1.0) / constants.speed["launches"]
        launches *= untuned(constants, self.machine, self.tuned)
        speed = constants.speed.get(_SPEEDS.get(op, op), 1.0)
        memory *= self.engine.memory * speed
        arithmetic *= (self.engine.arithmetic_8_bit if precision == "int8" else self.engine.arithmetic) * speed
        return self._capped(scaled(alone, times=launches / speed, memory=memory, arithmetic=arithmetic))

    def _capped(self, curve: Any) -> Any:
        """The curve of an engine whose kernels draw no more than so much through each multiprocessor."""
        ceiling = self.engine.sm_bandwidth
        if ceiling is None or not hasattr(curve, "bandwidth"):
            return curve
        most = ceiling * self.machine.sm_count / self.machine.memory_bandwidth
        return replace(curve, bandwidth=np.minimum(curve.bandwidth, most))

    def gemm(self, op: Op) -> GemmCurve:
        rest = {"tile_rows": self.engine.tile_rows or gemm_tile_rows(self.machine.architecture)}
        members = {"precision_class": precision_class(op.weights, op.precision)}
        found = self._curve(GemmCurve, "gemm", rest, op.precision, **members)
        speed = self.constants.speed
        return self._capped(scaled(found, memory=speed["weights"], arithmetic=speed[products_class(op.precision)]))

    def experts(self, op: Op) -> ExpertsCurve:
        kernel = experts_kernel(self.stack, self.machine.architecture, op.weights, tuned=self.tuned)
        rest = {"all_pairs": kernel in EXPERT_PAIRS_OF_ALL, **self._load_of_ranks()}
        members = {"kernel": kernel, "kernel_format": f"{kernel} {precision_class(op.weights, op.precision)}"}
        return self._curve(ExpertsCurve, "experts", rest, op.precision, **members)

    def _load_of_ranks(self) -> dict[str, float]:
        if self.imbalance == "measured":
            return {"hottest": self.constants.hottest_rank}
        kind, _, number = self.imbalance.rpartition(":")
        if kind == "zipf":
            return {"zipf": float(number)}
        return {} if number == "uniform" else {"skew": float(number) - 1}

    def grouped(self, op: Op) -> GroupedDecodeCurve:
        group = float(op.group)
        kernel = grouped_decode_kernel(self.stack, self.machine.architecture, group)
        width = cache_format(op.weights).bytes
        rest = {
            "tile_rows": self.engine.tile_rows or query_tile_rows("", group, self.machine.architecture),
            "fp8": multiplies_in_fp8(kernel, width) and "fp8" in self.machine.peak_flops,
        }
        return self._curve(GroupedDecodeCurve, "decode_grouped", rest, kernel=kernel)

    def latent(self, op: Op) -> LatentDecodeCurve:
        del op
        kernel = latent_decode_kernel(self.machine.architecture)
        return self._curve(LatentDecodeCurve, "decode_latent", kernel=kernel)

    def plain(self, op: Op) -> LatentDecodeCurve:
        """Recurrent states and index scores, which nothing was measured of: as decode attention."""
        del op
        found = self._curve(GroupedDecodeCurve, "decode_grouped")
        return LatentDecodeCurve(found.launch, found.bandwidth, found.flops, 2.0)

    def prefill(self, op: Op) -> PrefillCurve:
        del op
        return self._curve(PrefillCurve, "prefill")

    def all_reduce(self, op: Op | None = None) -> AllReduceCurve:
        del op
        switched = bool(self.machine.switched)
        family = self.machine.architecture
        fabric = {} if switched else {"fabric": "shared-pcie", "fabric_family": f"shared-pcie {family}"}
        rest = {"network_latency": self.constants.all_reduce_network}
        library = self._curve(CollectiveCurve, "collective", rest, collective="all_reduce", **fabric)
        limit = {} if self.stack == "sglang" else {"limit": CUSTOM_LIMIT}
        custom = self._curve(CustomAllReduceCurve, "custom_all_reduce", limit, framework=self.stack)
        return AllReduceCurve(library, custom)

    def exchange(self, op: Op) -> ExchangeCurve:
        rest = {"network_latency": self.constants.all_to_all_network}
        members = {"implementation": exchange_kernel(op.throughput), "framework": self.stack}
        return self._curve(ExchangeCurve, "expert_exchange", rest, **members)


_MAKERS = {
    "gemm": "gemm", "head": "gemm", "experts": "experts", "grouped": "grouped", "latent": "latent",
    "recurrent": "plain", "indexer": "plain", "prefill": "prefill", "all_reduce": "all_reduce",
    "all_to_all": "exchange",
}  # fmt: skip


def products_class(precision: str) -> str:
    """The class of matrix products computed in `precision`: of 4, 8 or 16 bits and more."""
    bits = "4" if precision == "fp4" else "8" if precision in ("fp8", "int8") else "16"
    return f"gemm_{bits}_bit"
