"""The result of a sweep: a grid with an axis for each quantity that varies, and the numbers of an estimate on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.explore.result import Estimate
from costcalc.frozen import Record

Array = NDArray[Any]
UNITS = {
    "batch": "sequences", "context": "tokens", "input_tokens": "tokens", "output_tokens": "tokens",
    "memory_bandwidth": "B/s", "price": "$/GPU-hour", "utilization": "share",
}  # fmt: skip
PATHS = {
    "gpus": "deployment.gpus", "batch": "workload.batch", "context": "workload.context_tokens",
    "tensor_parallel": "deployment.tensor_parallel", "pipeline_parallel": "deployment.pipeline_parallel",
    "expert_parallel": "deployment.expert_parallel", "attention_data_parallel": "deployment.attention_data_parallel",
    "input_tokens": "workload.input_tokens", "output_tokens": "workload.output_tokens",
    "memory_bandwidth": "deployment.memory_bandwidth", "price": "deployment.usd_per_gpu_hour",
    "utilization": "deployment.utilization",
}  # fmt: skip
"""Where each option that may be swept stands in the tree of a cell."""


CELL: dict[str, tuple[str, ...]] = {
    "deployment": (
        "gpus", "replicas", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel",
        "memory_bandwidth", "usd_per_gpu_hour", "utilization",
    ),
    "workload": ("batch", "input_tokens", "output_tokens", "context_tokens"),
    "memory": ("fits", "max_sequences"),
    "prefill": ("time_s",),
    "decode": ("step_time_s", "tokens_per_s", "tokens_per_s_per_gpu", "tokens_per_s_per_user", "bound_by"),
    "serving": (
        "time_to_first_token_s", "time_per_output_token_s", "tokens_per_s_per_user", "output_tokens_per_s_per_gpu",
    ),
    "cost": (
        "usd_per_million_output_tokens", "usd_per_million_input_tokens", "usd_per_million_blended_tokens",
    ),
}  # fmt: skip
"""What a cell holds of the tree of an estimate; a bandwidth is there where it is swept."""


class Axis(Record):
    """One quantity that varies, and its values in their order."""

    name: str  # of the option
    values: tuple[Any, ...]

    @property
    def unit(self) -> str:
        """What its values are counted in; GPUs and degrees of parallelism in none."""
        return UNITS.get(self.name, "")


class Sweep(Record):
    """Numbers of an estimate on a grid: arrays whose dimensions are the axes, in their order.

    `sweep["usd_per_million_output_tokens"]` is such an array, as is any other path or last name of the tree of an
    estimate; what does not fit is NaN there, and False in `sweep["fits"]`.
    """

    title: str
    axes: tuple[Axis, ...]
    values: Mapping[str, Array]  # by path in the tree of an estimate; '<path>_range.low' and '.high' at 80% coverage
    references: tuple[Estimate, ...]  # of each deployment, the estimate of its most demanding cell
    notes: tuple[str, ...] = ()

    # Arrays have no single truth: two sweeps are the same where they are one.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """What it is about and how large, not its thousands of numbers."""
        axes = ", ".join(f"{axis.name} {len(axis.values)}" for axis in self.axes)
        return f"<Sweep of {self.title}: {axes}>"

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """How many cells there are."""
        return int(np.prod(self.shape))

    def __getitem__(self, name: str) -> Array:
        """Return an array by its path in the tree of an estimate, or by the end of it; raises CostcalcError."""
        found = [path for path in self.values if path == name or path.endswith(f".{name}")]
        # A service's numbers come before those of decoding alone.
        for path in sorted(found, key=lambda each: each.startswith("decode.")):
            return self.values[path]
        ends = [path.rpartition(".")[2] for path in self.values]
        raise CostcalcError(f"a sweep has no {shown(name)}", hint=did_you_mean(name, [*ends, *self.values]))

    def range_of(self, name: str) -> tuple[Array, Array] | None:
        """Return low and high of a number at 80% coverage, or None where it has no range."""
        ending = f"{name}_range.low"
        for path in sorted(self.values, key=lambda each: each.startswith("decode.")):
            if path == ending or path.endswith(f".{ending}"):
                return self.values[path], self.values[path.removesuffix("low") + "high"]
        return None

    def arguments(self, index: tuple[int, ...]) -> dict[str, Any]:
        """Return the options with which `costcalc.estimate` answers for one cell; a bandwidth goes into the GPU.

        index: of the cell, a number for each axis.
        """
        names = ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel", "batch")
        given = {name: int(self[PATHS[name]][index]) for name in names}
        for axis, number in zip(self.axes, index, strict=True):
            if axis.name not in given and axis.name != "memory_bandwidth":
                given[axis.name] = axis.values[number]
        return given

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat dictionary per cell, last axis fastest: 'cost.usd_per_million_output_tokens' and so on."""
        columns = {path: array.ravel().tolist() for path, array in self._told().items()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def to_dict(self) -> dict[str, Any]:
        """`{"title", "axes": [{"name", "unit", "values"}], "rows": [parts of an estimate's tree], "notes"}`."""
        axes = [{"name": axis.name, "unit": axis.unit, "values": list(axis.values)} for axis in self.axes]
        return {
            "title": self.title,
            "axes": axes,
            "rows": [_tree(row) for row in self.to_rows()],
            "notes": list(self.notes),
        }

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of each cell, last axis fastest."""
        yield from np.ndindex(self.shape)

    def _told(self) -> dict[str, Array]:
        swept = {axis.name for axis in self.axes}
        # A bandwidth that is the data sheet's is no news.
        left_out = set() if "memory_bandwidth" in swept else {"deployment.memory_bandwidth"}
        return {path: array for path, array in self.values.items() if path not in left_out}


def _tree(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a flat row as a tree; a range becomes [low, high], and numbers that are not known null."""
    tree: dict[str, Any] = {}
    for path, value in row.items():
        group, _, name = path.partition(".")
        part, known = tree.setdefault(group, {}), _known(value)
        if name.endswith("_range.low"):
            high = _known(row[path.removesuffix("low") + "high"])
            if known is not None:
                part[name.removesuffix(".low")] = [known, high]
        elif not name.endswith("_range.high"):
            part[name] = known
    return tree


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value
