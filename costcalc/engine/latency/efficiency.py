"""What a machine reaches under a serving engine: the curve of every op, from the constants kept as data."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import field, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np

from costcalc.engine.host import COPIES, HAND_OVER, MULTIPLIES, READS
from costcalc.engine.latency.collectives import (
    AllReduceCurve,
    CollectiveCurve,
    CustomAllReduceCurve,
    ExchangeCurve,
    reduces_in_switch,
)
from costcalc.engine.latency.kernel_choice import (
    EXPERT_PAIRS_OF_ALL,
    custom_all_reduce_limit,
    exchange_kernel,
    experts_kernel,
    gemm_tile_rows,
    grouped_decode_kernel,
    latent_decode_kernel,
    multiplies_in_fp8,
    precision_class,
    query_tile_rows,
)
from costcalc.engine.latency.kernels import (
    ExpertsCurve,
    GemmCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    Member,
    PrefillCurve,
    capped,
    curve_of,
    scaled,
)
from costcalc.engine.latency.op_times import Curve, Efficiency, FastestCurve
from costcalc.engine.ops import Op
from costcalc.engine.roofline import Machine
from costcalc.fields import Number, Record
from costcalc.formats import cache_format
from costcalc.hardware.efficiency import BEST, BackendOverhead, KernelEfficiency, KernelFit, ServingEfficiency

CurveT = TypeVar("CurveT")
NOTHING: Mapping[str, Any] = {}

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
    stacks = dict.fromkeys(each.kernels for each in constants.current) if backend == BEST else (engine.kernels,)
    every = [_Curves(constants, machine, replace(engine, kernels=stack), tuned, imbalance) for stack in stacks]
    curves = every[0]
    launches = constants.vendor_launches.get(machine.vendor, 1.0) * untuned(constants, machine, tuned)
    return Efficiency(
        curve=partial(_fastest, every) if len(every) > 1 else curves,
        elementwise=min(constants.elementwise * constants.vendor_bandwidth.get(machine.vendor, 1.0), 1.0),
        elementwise_passes=constants.elementwise_passes,
        link=capped(curves.all_reduce().library.link),
        layer_seconds=engine.layer * untuned(constants, machine, tuned),
        expert_layer_seconds=constants.expert_layer * launches,
        latent_layer_seconds=constants.latent_layer * launches,
        draft_seconds=constants.draft,
        sequence_seconds=constants.sequence,
        host_reads=READS,
        host_multiplies=MULTIPLIES,
        host_copies=COPIES,
        hand_over_seconds=HAND_OVER,
        overlap=constants.overlap,
    )


def untuned(constants: ServingEfficiency, machine: Machine, tuned: bool) -> float:
    """How much longer launches and layers take in an engine that nobody tuned [1]."""
    return 1.0 if tuned else constants.untuned.get(machine.vendor, constants.untuned["other"])


def _fastest(every: Sequence[_Curves], op: Op) -> FastestCurve:
    """The curves of all stacks, of which the one that takes least for an op runs it."""
    return FastestCurve(tuple(curves(op) for curves in every))


class _Curves(Record):
    """The curve of every op on a machine, found when it is asked for."""

    constants: ServingEfficiency = field(repr=False)
    machine: Machine
    engine: BackendOverhead
    tuned: bool
    imbalance: str
    known: dict[tuple[Hashable, ...], Curve] = field(default_factory=dict)

    @property
    def stack(self) -> str:
        """Whose measured kernels run: 'trtllm', 'vllm' or 'sglang'."""
        return self.engine.kernels

    @property
    def kernels(self) -> KernelEfficiency:
        return self.constants.kernels

    def __call__(self, op: Op) -> Curve:
        key: tuple[Hashable, ...] = op.kind, op.weights, op.precision, op.throughput, float(op.group)
        if op.kind == "all_reduce":  # depends on how many ranks there are
            key = op.kind, np.shape(op.ranks), np.asarray(op.ranks, dtype=float).tobytes()
        if key not in self.known:
            self.known[key] = getattr(self, _MAKERS[op.kind])(op)
        return self.known[key]

    def _curve(
        self, kind: type[CurveT], op: str, rest: Mapping[str, Any] = NOTHING, precision: str = "bf16", **members: Member
    ) -> CurveT:
        """The curve of a kernel as engines run it: as measured on this machine, else as is usual of its vendor's.

        op: of the fit. rest: what is not fitted. precision: multiplied in. members: of the levels of the fit.
        """
        fit: KernelFit[Any] = getattr(self.kernels, op)
        of = {"family": self.machine.architecture, "gpu": self.machine.name, **members}
        given = {**kind.measured, **rest}  # type: ignore[attr-defined]
        alone = curve_of(kind, vars(fit.parameters), fit.levels, of, **given)
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
        found = self._curve(ExpertsCurve, "experts", rest, op.precision, **members)
        if self.engine.tile_rows is None:
            return found
        # Kernels that multiply single rows as vectors fill no tile of an expert's rows.
        return replace(found, ramp_tokens=np.minimum(found.ramp_tokens, self.engine.tile_rows))

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
        """The curve of an all-reduce; without one, of a transfer from one GPU to another."""
        machine, ranks = self.machine, np.asarray(1.0 if op is None else op.ranks)
        inside = ranks <= machine.domain
        in_switch = inside & np.asarray(reduces_in_switch(machine.architecture, machine.switched, ranks), dtype=bool)
        shared = ~np.asarray(machine.switched, dtype=bool) & (ranks > 2)  # two cards do not share the host's PCIe
        members = {
            "collective": _member(in_switch, "all_reduce in-switch", "all_reduce"),
            "fabric": _member(shared, "shared-pcie"),
            "fabric_family": _member(shared, f"shared-pcie {machine.architecture}"),
        }
        rest = {"network_latency": self.constants.all_reduce_network}
        limit = {"limit": custom_all_reduce_limit(self.stack)}
        return AllReduceCurve(
            self._curve(CollectiveCurve, "collective", rest, "bf16", **members),
            self._curve(CustomAllReduceCurve, "custom_all_reduce", limit, framework=self.stack),
        )

    def exchange(self, op: Op) -> ExchangeCurve:
        rest = {"network_latency": self.constants.all_to_all_network}
        members = {"implementation": exchange_kernel(op.throughput), "framework": self.stack}
        return self._curve(ExchangeCurve, "expert_exchange", rest, **members)


_MAKERS = {
    "gemm": "gemm", "head": "gemm", "experts": "experts", "grouped": "grouped", "latent": "latent",
    "recurrent": "plain", "indexer": "plain", "prefill": "prefill", "all_to_all": "exchange",
    "all_reduce": "all_reduce",
}  # fmt: skip


def _member(chosen: Number, name: str, other: str = "") -> Member:
    """The member of a level for each of many ranks, or for the one that there is."""
    found = np.where(chosen, name, other)
    return found if found.ndim else str(found)


def products_class(precision: str) -> str:
    """The class of matrix products computed in `precision`: of 4, 8 or 16 bits and more."""
    bits = "4" if precision == "fp4" else "8" if precision in ("fp8", "int8") else "16"
    return f"gemm_{bits}_bit"
