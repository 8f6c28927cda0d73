"""What a machine with a GPU measures of itself: copies, products, decode attention, as CSV of measurements."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from costcalc.validation.files import Measurements, Row


def as_measurements(measured: Measured) -> list[Measurements]:
    """Return what was measured by kind, as if read from files; one without rows is there too."""
    return [
        Measurements("gemm", measured.gemm, "gemm.csv"),
        Measurements("decode_attention", measured.decode_attention, "decode_attention.csv"),
    ]


def measurements_csv(table: Measurements) -> str:
    """Return measurements as the content of a CSV file."""
    text = io.StringIO()
    text.write("# Measured by `costcalc calibrate`: medians of calls in a graph, operands out of the cache in turn.\n")
    writer = csv.writer(text, lineterminator="\n")
    columns = list(table.rows[0]) if table.rows else []
    columns = ["gpu", *(name for name in columns if name != "gpu")]
    writer.writerow(columns)
    writer.writerows([_cell(row[name]) for name in columns] for row in table.rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if value != int(value) else int(value)
    return "" if value is None else value


# What is measured on a GPU: sizes that serving meets, as far as they fit its memory.


WIDTHS = ((8192, 8192), (28672, 8192), (4096, 14336), (6144, 4096))
"""Outputs and inputs of matrices of 8B and 70B models."""
ROWS = (1, 16, 64, 256, 1024, 4096, 8192)
HEADS = ((32, 8, 128), (64, 8, 128), (32, 32, 128))
"""Query heads, KV heads and their dims."""
BATCHES = (1, 16, 64, 256)
CONTEXTS = (1024, 4096, 16384, 65536)
LEAST_CACHE, MOST_SHARE = 2**24, 0.35
"""Smallest KV cache that is measured [B], and the most of the free memory that a case takes."""
COPIES = (2**28, 2**30, 2**32)


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy from memory to memory."""

    nbytes: int  # read, and written as well


@dataclass(frozen=True, slots=True)
class Product:
    """A matrix product of m rows with n x k weights."""

    dtype: str  # 'bf16' or 'fp8'
    m: int
    n: int
    k: int

    @property
    def weight_bytes(self) -> int:
        """Size of the weights [B]."""
        return self.n * self.k * _BYTES[self.dtype]

    @property
    def nbytes(self) -> int:
        """Size of weights, inputs and 16-bit outputs [B]."""
        return self.weight_bytes + self.m * self.k * _BYTES[self.dtype] + 2 * self.m * self.n


@dataclass(frozen=True, slots=True)
class Decode:
    """Attention of one new token of every sequence over its bf16 cache."""

    batch: int
    context: int
    q_heads: int
    kv_heads: int
    head_dim: int

    @property
    def nbytes(self) -> int:
        """Size of the cache [B]."""
        return 4 * self.batch * self.context * self.kv_heads * self.head_dim


Case = Copy | Product | Decode
_BYTES = {"bf16": 2, "fp8": 1}


def cases(free_bytes: float, precisions: tuple[str, ...]) -> list[Case]:
    """Return what to measure.

    free_bytes: memory that may be taken [B]. precisions: of matrix products: 'bf16', 'fp8'.
    """
    products = [Product(dtype, m, n, k) for dtype in precisions for n, k in WIDTHS for m in ROWS]
    decodes = [Decode(batch, context, *heads) for heads in HEADS for context in CONTEXTS for batch in BATCHES]
    found: list[Case] = [Copy(nbytes) for nbytes in COPIES if 2 * nbytes <= MOST_SHARE * free_bytes]
    found += [each for each in products if each.nbytes <= MOST_SHARE * free_bytes]
    found += [each for each in decodes if LEAST_CACHE <= each.nbytes <= MOST_SHARE * free_bytes]
    return found


# Time every case on a device, as rows of the measurement files.


class Device(Protocol):
    """A GPU that can be timed; costcalc.microbench.cuda has the real one."""

    name: str  # as its driver spells it
    version: str  # of the library that runs the kernels
    attention: str  # the kernel that decodes
    free_bytes: float
    precisions: tuple[str, ...]

    def seconds(self, case: Case) -> float:
        """Return the median time of a case [s].

        Raises MemoryError where it does not fit after all, RuntimeError where the library does not do it.
        """


@dataclass(frozen=True, slots=True)
class Measured:
    """Rows of the measurement files by kind, and what copies reached."""

    gemm: tuple[Row, ...]
    decode_attention: tuple[Row, ...]
    copy_bandwidth: float | None  # of the fastest copy, reads and writes [B/s]
    skipped: int  # cases that did not fit
    refused: tuple[tuple[str, str], ...] = ()  # cases that the library did not do, and what it said


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
    gemm, decode, copies, refused, skipped = [], [], [], [], 0
    for number, case in enumerate(wanted):
        tell(number, len(wanted))
        try:
            seconds = device.seconds(case)
        except MemoryError:
            skipped += 1
            continue
        except RuntimeError as error:
            refused.append((_words(case), _first_line(error)))
            continue
        if isinstance(case, Copy):
            copies.append(2 * case.nbytes / seconds)
        elif isinstance(case, Product):
            gemm.append({**_product(case), "ms": seconds * 1e3, **shared})
        else:
            decode.append({**_decode(case, device.attention), "ms": seconds * 1e3, **shared})
    return Measured(tuple(gemm), tuple(decode), max(copies, default=None), skipped, tuple(refused))


def _words(case: Case) -> str:
    if isinstance(case, Copy):
        return f"copies of {case.nbytes} bytes"
    if isinstance(case, Product):
        return f"{case.dtype} products of {case.m} x {case.n} x {case.k}"
    return f"decode attention of {case.batch} x {case.context} tokens"


def _first_line(error: RuntimeError) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


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
