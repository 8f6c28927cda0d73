"""The GPU of this machine under PyTorch: CUDA, or ROCm through the same interface.

Times are of calls captured in a graph, so that the host's launches do not count, over operands in turn that
together exceed the last-level cache, so that weights and caches come from memory.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from costcalc.errors import CostcalcError
from costcalc.microbench.bench import Case, Copy, Product

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
        self.precisions: tuple[str, ...] = ("bf16", "fp8") if self._has_fp8() else ("bf16",)
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

    def _has_fp8(self) -> bool:
        torch = self._torch
        if getattr(torch.version, "hip", None) or not hasattr(torch, "_scaled_mm"):
            return False
        return bool(torch.cuda.get_device_capability(0) >= (8, 9))

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
