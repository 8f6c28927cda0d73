"""From the rows of a file to what its kernels need: features by kernel, and the rows left over with why."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from costcalc.errors import CostcalcError
from costcalc.measured.fields import is_empty
from costcalc.measured.gpus import find_gpu
from costcalc.measured.load import Row
from costcalc.measured.model import KernelModel, KernelRows
from costcalc.specs.accelerator import Accelerator

FLOPS_PER_MULTIPROCESSOR = 7.5e12
"""16-bit peak of a multiprocessor [FLOP/s], for accelerators whose count is not known: Hopper's."""

Described = tuple[str, dict[str, Any]]
"""A kernel's op and the features of one row.

Two of them are sentences: `caveat`, why the measurements behind a fit say little of the row, and `ignored`, what
the row states that no prediction looks at.
"""
_USUAL = ("0", "1", "0.0", "1.0", "false", "no")
_NOTHING_TO_SAY = {"caveat": "", "ignored": ""}


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows of a file by kernel, and those that no kernel predicts, with the reason."""

    kernels: tuple[KernelRows, ...]
    refused: Mapping[int, str]


def prepare(
    rows: Sequence[Row],
    describe: Callable[[Row, Accelerator], Described],
    models: Mapping[str, KernelModel],
    unheeded: Sequence[str] = (),
) -> Prepared:
    """Return the rows by kernel.

    rows: of one kind. describe: names a row's kernel and features, or raises CostcalcError.
    models: the kernels by op, in the order in which they need each other.
    unheeded: columns that no kernel looks at, to be told where they say something.
    """
    found: dict[str, list[tuple[int, dict[str, Any]]]] = {op: [] for op in models}
    refused = {}
    for index, row in enumerate(rows):
        try:
            name, gpu = find_gpu(str(row["gpu"]))
            op, features = describe(row, gpu)
        except CostcalcError as error:
            refused[index] = str(error)
            continue
        features = {**_NOTHING_TO_SAY, **features, **machine_features(name, gpu)}
        features["ignored"] = ", ".join(filter(None, [features["ignored"], *_unheeded(row, unheeded)]))
        found[op].append((index, features))
    kernels = []
    for op, described in found.items():
        if described:
            features = {key: np.array([each[key] for _, each in described]) for key in described[0][1]}
            kernels.append(KernelRows(models[op], np.array([index for index, _ in described]), features))
    return Prepared(tuple(kernels), refused)


def _unheeded(row: Row, columns: Sequence[str]) -> list[str]:
    """What a row says in columns that nothing looks at: 'prefix=2048'; one, none and its own type are the usual."""
    usual = (*_USUAL, str(row.get("dtype") or "").casefold())
    said = [(name, str(row.get(name) or "").strip()) for name in columns]
    return [f"{name}={text}" for name, text in said if not is_empty(text) and text.casefold() not in usual]


def machine_features(name: str, gpu: Accelerator) -> dict[str, Any]:
    """What every kernel may need of the GPU."""
    peak = gpu.peak("bf16").flops
    return {
        "gpu": name,
        "family": gpu.architecture,
        "bandwidth": gpu.memory_bandwidth,
        "peak16": peak,
        "sm_count": gpu.sm_count or peak / FLOPS_PER_MULTIPROCESSOR,
    }


def backend_of(row: Row) -> str:
    """The serving stack that a row names: 'trtllm', 'vllm', 'sglang' or ''."""
    text = f"{row.get('framework', '')} {row.get('impl', '')}".lower()
    for name, backend in (("trt", "trtllm"), ("tensorrt", "trtllm"), ("vllm", "vllm"), ("sglang", "sglang")):
        if name in text:
            return backend
    return ""
