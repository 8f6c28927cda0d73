"""The time of every op of a step: the form of its kernel, the machine's peaks, and the curve that it reaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, reduce
from typing import Any

import numpy as np

from costcalc.engine.latency.collectives import (
    AllReduceCurve,
    ExchangeCurve,
    all_reduce,
    expert_exchange,
    transfer_bandwidth,
)
from costcalc.engine.latency.kernels import (
    ExpertsCurve,
    GemmCurve,
    GroupedDecodeCurve,
    LatentDecodeCurve,
    PrefillCurve,
    experts,
    gemm,
    grouped_decode,
    latent_decode,
    prefill_attention,
)
from costcalc.engine.ops import COMMUNICATION, Op
from costcalc.engine.roofline import Addition, Machine, Term, Timing, either
from costcalc.fields import Number, Record, total

Curve = (
    GemmCurve | ExpertsCurve | GroupedDecodeCurve | LatentDecodeCurve
    | PrefillCurve | AllReduceCurve | ExchangeCurve
)  # fmt: skip


class FastestCurve(Record):
    """The kernels of several stacks, of which each size of an op is run by the one that takes least."""

    curves: tuple[Curve, ...]


def fastest(op: Op, machine: Machine, curve: FastestCurve) -> Timing:
    """The least of what the kernels of several stacks take [s], size by size."""
    timings = (FORMS[type(each)](op, machine, each) for each in curve.curves)
    return reduce(lambda least, each: either(each.seconds < least.seconds, each, least), timings)


FORMS: Mapping[type[Any], Callable[[Op, Machine, Any], Timing]] = {
    GemmCurve: gemm,
    ExpertsCurve: experts,
    GroupedDecodeCurve: grouped_decode,
    LatentDecodeCurve: latent_decode,
    PrefillCurve: prefill_attention,
    AllReduceCurve: all_reduce,
    ExchangeCurve: expert_exchange,
    FastestCurve: fastest,
}
"""The form of every curve: estimates time ops by it, and measurements of kernels are scored by it."""

_IDEAL_CURVES: Mapping[str, Curve] = {
    "gemm": GemmCurve(),
    "head": GemmCurve(),
    "experts": ExpertsCurve(),
    "grouped": GroupedDecodeCurve(),
    "latent": LatentDecodeCurve(),
    "recurrent": LatentDecodeCurve(),
    "indexer": LatentDecodeCurve(),
    "prefill": PrefillCurve(),
    "all_reduce": AllReduceCurve(),
    "all_to_all": ExchangeCurve(),
}


def ideal_curve(op: Op) -> Curve:
    """The curve of a kernel that reaches every peak."""
    return _IDEAL_CURVES[op.kind]


class Efficiency(Record):
    """What hardware and software reach of the peaks, and what engines add. The defaults are the ideal."""

    curve: Callable[[Op], Curve | FastestCurve] = ideal_curve  # of the kernel that runs an op
    elementwise: float = 1.0  # share of memory bandwidth
    elementwise_passes: float = 1.0  # over a token's activations per layer
    link: Number = 1.0  # share of the links' bandwidth, from one pipeline stage to the next
    layer_seconds: Number = 0.0  # [s] per layer and decode step
    expert_layer_seconds: float = 0.0  # [s] more per expert layer
    latent_layer_seconds: float = 0.0  # [s] more per MLA layer
    sequence_seconds: float = 0.0  # [s] per sequence on a rank and step
    draft_seconds: float = 0.0  # [s] of the host per drafted token: sampling it
    host_reads: float = 1.0  # share of the bandwidth of the host's memory
    host_multiplies: float = 1.0  # share of its CPU's FLOP/s
    host_copies: float = 1.0  # share of its link to the GPU
    hand_over_seconds: float = 0.0  # [s] to go on at the other side of that link
    overlap: float = 1.0  # share of a step behind which an all-to-all over the network hides (two micro-batches)


IDEAL = Efficiency()


class OpTime(Record):
    """What one op of a step costs: whole-step totals, time on the busiest GPU, and what that is made of."""

    op: str
    kind: str
    flops: Number  # [FLOP] per GPU and step, the mean of all GPUs
    bytes: Number  # [B] per GPU and step, the mean of all GPUs
    calls: Number  # how often a step runs it
    terms: tuple[Term, ...]  # of one call
    norm: Number  # how terms join: their maximum (inf), their sum (1), or in between
    additions: tuple[Addition | Term, ...]  # to one call
    precision: str = "bf16"
    of_resources: tuple[Number, Number] | None = None  # [s] of memory and arithmetic, where terms do not say it

    @cached_property  # a step asks for it often
    def seconds(self) -> Number:
        """Time of all calls, of terms joined and additions [s]."""
        return self.calls * Timing(self.terms, self.norm, self.additions).seconds

    @property
    def communicates(self) -> bool:
        return self.kind in COMMUNICATION

    @property
    def memory_seconds(self) -> Number:
        """Time that memory takes, as much of it as is reached, whatever runs beside it [s]."""
        return self._taken("memory") if self.of_resources is None else self.of_resources[0]

    @property
    def compute_seconds(self) -> Number:
        """Time that arithmetic takes, padding included, whatever runs beside it [s]."""
        return self._taken("compute", "exponentials") if self.of_resources is None else self.of_resources[1]

    def _taken(self, *names: str) -> Number:
        terms = [each for each in (*self.terms, *self.additions) if isinstance(each, Term) and each.name in names]
        return self.calls * total(each.seconds for each in terms)


def op_times(ops: Iterable[Op], machine: Machine, efficiency: Efficiency) -> list[OpTime]:
    """Time every op of a step [s]."""
    return [op_time(op, machine, efficiency) for op in ops]


def op_time(op: Op, machine: Machine, efficiency: Efficiency) -> OpTime:
    """Time one op [s]: its layers × the time of its kernel."""
    n, passes = op.layers, efficiency.elementwise_passes if op.kind == "elementwise" else 1.0
    flops, moved = n * op.flops * op.mean_flops, n * op.bytes * passes * op.mean_bytes
    timing = kernel_timing(op, machine, efficiency)
    return OpTime(op.op, op.kind, flops, moved, n, *timing, op.precision)


def op_seconds(op: Op, machine: Machine, efficiency: Efficiency) -> Number:
    """Time of one op [s], as `op_time` has it, and nothing else of it."""
    return op.layers * kernel_timing(op, machine, efficiency).seconds


def kernel_timing(op: Op, machine: Machine, efficiency: Efficiency) -> Timing:
    """What the kernel of one op takes: its terms and additions."""
    if op.kind == "pipeline":  # a stage sends to one other: nobody shares its link
        outside = np.asarray(op.ranks) > machine.domain
        return Timing((Term("link", "B", op.bytes, transfer_bandwidth(outside, machine), efficiency.link),), 1.0, ())
    if op.kind == "host_link":
        assert machine.host is not None
        handed = Addition("hand-over", op.hand_overs, efficiency.hand_over_seconds)
        return Timing((Term("link", "B", op.bytes, machine.host.link, efficiency.host_copies),), 1.0, (handed,))
    if op.kind == "elementwise":
        share, passes = efficiency.elementwise, efficiency.elementwise_passes
        return Timing((Term("memory", "B", op.bytes, machine.memory_bandwidth, share, passes),), 1.0, ())
    curve = efficiency.curve(op)
    timing = FORMS[type(curve)](op, machine, curve)
    if not op.on_host:
        return timing
    assert machine.host is not None
    terms = (
        Term("memory", "B", op.bytes, machine.host.bandwidth, efficiency.host_reads),
        Term("compute", "FLOP", op.flops, machine.host.flops, efficiency.host_multiplies),
    )
    # A CPU's threads meet before and after an op: about as long as a launch.
    return Timing(terms, np.inf, tuple(each for each in timing.additions if isinstance(each, Addition)))
