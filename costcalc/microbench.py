"""The GPU of this machine measured: copies, matrix products and decode attention, as rows of measurements.

PyTorch times them (extra `gpu`): CUDA, or ROCm through the same interface. Times are of calls captured in a graph, so
that the host's launches do not count, over operands in turn that together exceed the last-level cache, so that weights
and caches come from memory.
"""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from costcalc.errors import CostcalcError
from costcalc.validation.files import Measurements, Row

# What is measured: sizes that serving meets, as far as they fit the memory.


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
    def nbytes(self) -> int:
        """Size of weights, inputs and 16-bit outputs [B]."""
        return (self.n + self.m) * self.k * _BYTES[self.dtype] + 2 * self.m * self.n


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
    """A GPU that can be timed, as CudaDevice is."""

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
    gemm: list[Row] = []
    decode: list[Row] = []
    copies, refused, skipped = [], [], 0
    for number, case in enumerate(wanted):
        tell(number, len(wanted))
        try:
            seconds = device.seconds(case)
        except MemoryError:
            skipped += 1
            continue
        except RuntimeError as error:
            said = str(error).strip().splitlines() or [type(error).__name__]
            refused.append((_words(case), said[0]))
            continue
        if isinstance(case, Copy):
            copies.append(2 * case.nbytes / seconds)
        else:
            rows = gemm if isinstance(case, Product) else decode
            rows.append({**_row(case, device.attention), "ms": seconds * 1e3, **shared})
    return Measured(tuple(gemm), tuple(decode), max(copies, default=None), skipped, tuple(refused))


def _words(case: Case) -> str:
    if isinstance(case, Copy):
        return f"copies of {case.nbytes} bytes"
    if isinstance(case, Product):
        return f"{case.dtype} products of {case.m} x {case.n} x {case.k}"
    return f"decode attention of {case.batch} x {case.context} tokens"


def _row(case: Product | Decode, kernel: str) -> Row:
    """The columns of a case; numbers as files have them."""
    sizes = {name: float(value) if isinstance(value, int) else value for name, value in asdict(case).items()}
    if isinstance(case, Product):
        return {**sizes, "op": "gemm", "kernel": "torch"}
    kind = "MHA" if case.q_heads == case.kv_heads else "GQA"
    types = {"kind": kind, "kernel": kernel, "q_dtype": "bf16", "kv_dtype": "bf16"}
    return {**types, **sizes, "kv_lora_rank": None, "rope_dim": None}


# The GPU of this machine under PyTorch.


FROM_FILE = "or calibrate on measurements: costcalc calibrate --from FILE.csv"
COLD_BYTES = 512e6
"""Operands in turn that exceed every last-level cache [B]."""
MOST_OPERANDS = 16
WARM_UPS, REPEATS = 3, 7
SHORTEST = 2e-3
"""Least time of one timed stretch [s], far above the resolution of events."""

Call = Callable[[], Any]


def find_device() -> CudaDevice:
    """Return the GPU of this machine; raises CostcalcError where PyTorch or a GPU is missing."""
    try:
        import torch
    except ImportError:
        raise CostcalcError(
            "PyTorch is not installed, so no GPU can be measured",
            hint=f"in the clone: pip install '.[gpu]', {FROM_FILE}",
        ) from None
    if not torch.cuda.is_available():
        raise CostcalcError("PyTorch finds no GPU on this machine", hint=f"run this where there is one, {FROM_FILE}")
    return CudaDevice(torch)


class CudaDevice:
    """The first GPU that PyTorch sees."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self.name = str(torch.cuda.get_device_name(0))
        self.version = str(torch.__version__)
        self.free_bytes = float(torch.cuda.mem_get_info(0)[0])
        narrow = not getattr(torch.version, "hip", None) and hasattr(torch, "_scaled_mm")
        narrow = narrow and bool(torch.cuda.get_device_capability(0) >= (8, 9))
        self.precisions: tuple[str, ...] = ("bf16", "fp8") if narrow else ("bf16",)
        self.attention = "sdpa"

    def seconds(self, case: Case) -> float:
        """Return the median time of a case [s].

        Raises MemoryError where it does not fit after all, RuntimeError where the library does not do it.
        """
        try:
            return self._median(self._calls(case))
        except self._torch.cuda.OutOfMemoryError:
            raise MemoryError from None
        finally:
            self._torch.cuda.empty_cache()

    def _calls(self, case: Case) -> list[Call]:
        if isinstance(case, Copy):
            return [self._copy(case)]
        # Half of the share of memory that a case may take is room for its further operands.
        count = max(
            1, min(MOST_OPERANDS, math.ceil(COLD_BYTES / case.nbytes), int(self.free_bytes * 0.5 // case.nbytes))
        )
        if isinstance(case, Product):
            return self._products(case, count)
        torch, shape = self._torch, (case.batch, case.kv_heads, case.context, case.head_dim)
        query = self._random(case.batch, case.q_heads, 1, case.head_dim)
        grouped = {"enable_gqa": True} if case.q_heads != case.kv_heads else {}
        attend = torch.nn.functional.scaled_dot_product_attention
        caches = [(self._random(*shape), self._random(*shape)) for _ in range(count)]
        return [partial(attend, query, k, v, **grouped) for k, v in caches]

    def _copy(self, case: Copy) -> Call:
        torch = self._torch
        source = torch.empty(case.nbytes, dtype=torch.uint8, device="cuda").zero_()
        target = torch.empty_like(source)
        return lambda: target.copy_(source)

    def _products(self, case: Product, count: int) -> list[Call]:
        torch = self._torch
        rows = self._random(case.m, case.k)
        weights = [self._random(case.n, case.k) for _ in range(count)]
        if case.dtype == "bf16":
            out = torch.empty(case.m, case.n, dtype=torch.bfloat16, device="cuda")
            return [partial(torch.mm, rows, w.t(), out=out) for w in weights]
        one, eight = torch.ones((), device="cuda"), torch.float8_e4m3fn
        rows, weights = rows.to(eight), [w.to(eight) for w in weights]
        # Sums in fewer bits, as the products of engines do.
        fast = {"out_dtype": torch.bfloat16, "use_fast_accum": True}
        multiply = partial(torch._scaled_mm, rows, scale_a=one, scale_b=one, **fast)
        return [partial(multiply, w.t()) for w in weights]

    def _random(self, *shape: int) -> Any:
        # Zeros draw less power than numbers do, and would run at a higher clock.
        return self._torch.randn(*shape, dtype=self._torch.bfloat16, device="cuda")

    def _median(self, calls: Sequence[Call]) -> float:
        """Time of one call [s]: the median over stretches that are long enough to time."""
        replay = self._captured(calls)
        rounds = max(1, math.ceil(SHORTEST / max(self._stretch(replay, 1), 1e-6)))
        return statistics.median(self._stretch(replay, rounds) for _ in range(REPEATS)) / (rounds * len(calls))

    def _captured(self, calls: Sequence[Call]) -> Call:
        """One graph of all calls, after warming up outside of it."""
        torch = self._torch
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                for call in calls:
                    call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            for call in calls:
                call()
        graph.replay()
        torch.cuda.synchronize()
        replay: Call = graph.replay
        return replay

    def _stretch(self, replay: Call, rounds: int) -> float:
        """Time of some replays in a row [s]."""
        torch = self._torch
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(rounds):
            replay()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) * 1e-3


# What was measured as files.


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
