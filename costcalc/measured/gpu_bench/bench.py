"""Time every case on a device, as rows of the measurement files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from costcalc.measured.gpu_bench.cases import Case, Copy, Decode, Product
from costcalc.measured.load import Row


class Device(Protocol):
    """A GPU that can be timed; costcalc.measured.gpu_bench.cuda has the real one."""

    name: str  # as its driver spells it
    version: str  # of the library that runs the kernels
    attention: str  # the kernel that decodes
    free_bytes: float
    precisions: tuple[str, ...]

    def seconds(self, case: Case) -> float:
        """Return the median time of a case [s]; raises MemoryError where it does not fit after all."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of the measurement files by kind, and what copies reached."""

    gemm: tuple[Row, ...]
    decode_attention: tuple[Row, ...]
    copy_bandwidth: float | None  # of the fastest copy, reads and writes [B/s]
    skipped: int  # cases that did not fit


def measure(
    device: Device,
    gpu: str,
    wanted: Sequence[Case],
    *,
    date: str,
    tell: Callable[[int, int], None] = lambda _done, _all: None,
) -> Measured:
    """Return what a device reached.

    device: the GPU. gpu: its name in the catalog. wanted: the cases. date: of today, '2026-11-23'.
    tell: called before every case with the number of cases done and of all.
    """
    shared = {"gpu": gpu, "framework": "torch", "version": device.version, "note": "", "suspect": "", "date": date}
    shared |= {"source": "costcalc calibrate", "licence": ""}
    gemm, decode, copies, skipped = [], [], [], 0
    for number, case in enumerate(wanted):
        tell(number, len(wanted))
        try:
            seconds = device.seconds(case)
        except MemoryError:
            skipped += 1
            continue
        if isinstance(case, Copy):
            copies.append(2 * case.nbytes / seconds)
        elif isinstance(case, Product):
            gemm.append({**_product(case), "ms": seconds * 1e3, **shared})
        else:
            decode.append({**_decode(case, device.attention), "ms": seconds * 1e3, **shared})
    return Measured(tuple(gemm), tuple(decode), max(copies, default=None), skipped)


def _product(case: Product) -> Row:
    shape = {"m": float(case.m), "n": float(case.n), "k": float(case.k)}
    return {"dtype": case.dtype, **shape, "op": "gemm", "kernel": "torch"}


def _decode(case: Decode, kernel: str) -> Row:
    return {
        "kind": "MHA" if case.q_heads == case.kv_heads else "GQA",
        "kernel": kernel,
        "q_dtype": "bf16",
        "kv_dtype": "bf16",
        "batch": float(case.batch),
        "context": float(case.context),
        "q_heads": float(case.q_heads),
        "kv_heads": float(case.kv_heads),
        "head_dim": float(case.head_dim),
        "kv_lora_rank": None,
        "rope_dim": None,
    }
