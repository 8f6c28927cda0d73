"""One question over grids of batch, context, lengths, bandwidth, price and degrees, in a few calls of the engine.

What does not depend on an axis is computed once, outside of it: prices and shares of use touch nothing but dollars.
So a sweep keeps what the engine said on the axes that it depends on, and makes its numbers of that when they are asked
for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property, partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.step import Step
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.explore.spaces.cells import DEGREES, MONEY, Axis, Plan
from costcalc.fields import Array, Result
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.owning import charged, electricity_at
from costcalc.hardware.prices import PriceChoice
from costcalc.model.spec import ModelSpec
from costcalc.predict.breakdown import BOUNDS
from costcalc.predict.options import SWEPT, WEIGHED, Options, check_context, read_option, refuse_unknown
from costcalc.predict.predict import Prediction
from costcalc.predict.quantities import (
    MIXED,
    QUANTITIES,
    SIDES,
    Answered,
    Quantity,
    end_of,
    has_range,
    ranges_of,
    value_of,
)
from costcalc.predict.readers import is_several, read_as, values_of
from costcalc.predict.results import Estimate
from costcalc.predict.scenario import counted, owner_of, scenario_of, the_gpu, the_model

# The result of a sweep: a grid with an axis for each quantity that varies, and the numbers of an estimate on it.


PATHS = {
    "gpus": "deployment.gpus", "batch": "workload.batch", "context": "workload.context_tokens",
    "tensor_parallel": "deployment.tensor_parallel", "pipeline_parallel": "deployment.pipeline_parallel",
    "expert_parallel": "deployment.expert_parallel", "attention_data_parallel": "deployment.attention_data_parallel",
    "input_tokens": "workload.input_tokens", "output_tokens": "workload.output_tokens",
    "memory_bandwidth": "deployment.memory_bandwidth", "price": "deployment.usd_per_gpu_hour",
    "utilization": "deployment.utilization",
}  # fmt: skip
"""Where each option that may be swept stands in the tree of a cell."""


ANSWERED = tuple(each.path for each in QUANTITIES if each.path != "serving.prefill_gpus")
"""Numbers of a cell; a pool that prefills is a proportion of the deployment, the same in all of them."""
OFFERED = ("kind", "provider", "date", "source")
"""What is told of a price, beside its dollars."""
CELL: dict[str, tuple[str, ...]] = {
    "deployment": (
        "gpus", "replicas", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel",
        "memory_bandwidth", "usd_per_gpu_hour", "utilization", *(f"price_{each}" for each in OFFERED),
    ),
    "workload": ("batch", "input_tokens", "output_tokens", "context_tokens"),
    "memory": ("fits", "max_sequences"),
    **{
        branch: tuple(
            path.partition(".")[2] for path in ANSWERED if path.startswith(f"{branch}.")
        ) + (("bound_by",) if branch == "decode" else ())
        for branch in ("prefill", "decode", "serving", "cost", "energy")
    },
}  # fmt: skip
"""What a cell holds of the tree of an estimate; a bandwidth is there where it is swept."""


_COUNTED = {f"deployment.{name}" for name in (*DEGREES, "replicas")} | {"memory.max_sequences"}


def _objects(values: Sequence[Any]) -> Array:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


class Cells(Mapping[str, Array]):
    """Numbers of an estimate at every cell, by path: read-only arrays of the grid's shape, made when asked for.

    Ranges, rates and dollars follow from a few times that are kept; none is more than a pass or two over the cells.
    """

    def __init__(self, shape: tuple[int, ...], plain: Mapping[str, Array], answered: Answered) -> None:
        """shape: of the grid. plain: what is kept as it is, by path. answered: what the other numbers are made of."""
        self.shape = shape
        self._answered, self._spread = answered, ranges_of(answered.scenario)
        self._makers: dict[str, Callable[[], Array]] = {}
        for path, values in plain.items():
            self._makers[path] = partial(np.asarray, values)
        bound = self._makers.pop("decode.bound_by")
        for each in QUANTITIES:
            if each.path not in ANSWERED:
                continue
            self._makers[each.path] = partial(self._number, each)
            if has_range(each, self._spread) and (each.of_terms or answered.scenario.options.terms == "all"):
                for side in SIDES:
                    self._makers[f"{each.path}_range.{side}"] = partial(self._end, each, side)
        self._makers["decode.bound_by"] = lambda: _BOUNDS[bound()]

    def __getitem__(self, path: str) -> Array:
        return np.broadcast_to(self.on_own_axes(path), self.shape)

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)

    @np.errstate(all="ignore")
    def on_own_axes(self, path: str) -> Array:
        """The numbers of a path on the axes that they depend on; others have length 1, or are left out in front."""
        return self._makers[path]()

    def _number(self, each: Quantity) -> Array:
        value = value_of(self._answered, each)
        return np.asarray(np.nan if value is None else value)

    def _end(self, each: Quantity, side: str) -> Array:
        value = 0.0 if each.path in MIXED else self._number(each)
        return np.asarray(end_of(self._answered, each, value, self._spread, side))


_BOUNDS = np.array([*BOUNDS, None], dtype=object)
"""What bounds a step, by its place; nothing where none fits, at the last one."""


class Sweep(Result):
    """Numbers of an estimate on a grid: arrays whose dimensions are the axes, in their order.

    `sweep["usd_per_million_output_tokens"]` is such an array, as is any other path or last name of the tree of an
    estimate; what does not fit is NaN there, and False in `sweep["fits"]`.
    """

    title: str
    axes: tuple[Axis, ...]
    values: Cells  # by path in the tree of an estimate; '<path>_range.low' and '.high' at 80% coverage
    plans: tuple[Plan, ...] = field(repr=False)  # of each set of degrees
    noted: tuple[str, ...] = ()  # what is to be noted besides

    # Arrays have no single truth: two sweeps are the same where they are one.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def about(self) -> str:
        """Title, and how large it is, not its thousands of numbers."""
        return f"{self.title}: {', '.join(f'{axis.name} {len(axis.values)}' for axis in self.axes)}"

    @cached_property
    def references(self) -> tuple[Estimate, ...]:
        """Of each set of degrees, the estimate of its most demanding cell that fits, else one without times."""
        return tuple(each.reference for each in self.plans)

    @cached_property
    def notes(self) -> tuple[str, ...]:
        """What an estimate of every cell would note, and what is to be noted besides."""
        return tuple(dict.fromkeys([*(note for each in self.plans for note in each.notes), *self.noted]))

    @property
    def chosen(self) -> bool:
        """Whether every cell has a deployment of its own, because neither GPUs nor degrees were asked for."""
        return any(each.deployment is None for each in self.plans)

    @property
    def shape(self) -> tuple[int, ...]:
        """How many values each axis has."""
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        """How many cells there are."""
        return prod(self.shape)

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
        given: dict[str, Any] = {}
        for name in (*DEGREES, *(() if self.plans[0].scenario.options.load_told else ("batch",))):
            value = self.values[PATHS[name]][index]
            if not np.isnan(value):
                given[name] = int(value)
        for axis, number in zip(self.axes, index, strict=True):
            if axis.name not in given and axis.name != "memory_bandwidth":
                given[axis.name] = axis.values[number]
        return given

    def to_rows(self) -> list[dict[str, Any]]:
        """One flat dictionary per cell, last axis fastest: 'cost.usd_per_million_output_tokens' and so on."""
        self.check_shown()
        columns = {path: self.column(path).ravel().tolist() for path in self.columns()}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def check_shown(self) -> None:
        """Raise CostcalcError where there are too many cells to tell them one by one."""
        if self.size > MOST_SHOWN:
            raise _too_many(MOST_SHOWN)

    def to_dict(self) -> dict[str, Any]:
        """`{"title", "axes": [{"name", "unit", "values"}], "rows": [parts of an estimate's tree], "notes"}`."""
        axes = [{"name": axis.name, "unit": axis.unit, "values": list(axis.values)} for axis in self.axes]
        return {
            "title": self.title,
            "axes": axes,
            "rows": [tree_of(row) for row in self.to_rows()],
            "notes": list(self.notes),
        }

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Yield the index of each cell, last axis fastest."""
        yield from np.ndindex(self.shape)

    def columns(self) -> list[str]:
        """Paths of the numbers that a row has."""
        swept = {axis.name for axis in self.axes}
        # A bandwidth that is the data sheet's is no news.
        left_out = set() if "memory_bandwidth" in swept else {"deployment.memory_bandwidth"}
        told = [path for path in self.values if path not in left_out]
        branches = list(CELL)
        return sorted(told, key=lambda path: branches.index(path.partition(".")[0]))

    def column(self, path: str, own_axes: bool = False) -> Array:
        """The numbers of a path as rows tell them: what is counted is whole, or None where there is none.

        own_axes: on the axes that they depend on, the others of length 1; else at every cell.
        """
        values = self.values.on_own_axes(path) if own_axes else self.values[path]
        if path in _COUNTED and values.dtype.kind == "f":
            counts = [None if np.isnan(each) else int(each) for each in values.ravel().tolist()]
            values = np.array([*counts, None], dtype=object)[:-1].reshape(values.shape)
        return values


def tree_of(row: Mapping[str, Any]) -> dict[str, Any]:
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


# The grid, answered in parts.


MOST_CELLS = 1_000_000
"""Cells that are kept in memory; a file may have any number of them."""
MOST_SHOWN = 100_000
"""Cells that are told one by one on a page or as a tree: ten times as many take minutes and 9 GB."""


def _too_many(most: int) -> CostcalcError:
    hint = "take fewer values, or write them to a file that ends in .csv, .jsonl or .parquet"
    return CostcalcError(f"more than {most:,} cells are asked for", hint=hint)


class Grid:
    """A question over axes, the degrees of parallelism first, answered in parts."""

    def __init__(
        self, model: ModelSpec | str | Path, gpu: Accelerator | str | Path, catalog: Catalog | str | Path | None,
        options: Mapping[str, Any],
    ) -> None:  # fmt: skip
        folders = catalog_of(catalog)
        refuse_unknown(options, SWEPT)
        name, given = counted(gpu, options)
        self.model, self.gpu = the_model(model, folders), the_gpu(name, folders)
        constants = folders.serving_efficiency()
        site = Options(owned=given.get("owned"), pue=given.get("pue"), power_price=given.get("power_price"))
        self._owner = owner_of(site, constants.of_owning)
        self._charge = partial(charged, self.gpu, terms=self._owner)
        axes, self.fixed = _axes(self._charge, given)
        self.axes = tuple(axes)
        told = {name: (value,) for name, value in self.fixed.items() if value is not None}
        lengths = told | {axis.name: axis.values for axis in axes}
        if "context" in lengths and "input_tokens" in lengths:
            check_context(min(lengths["context"]), max(lengths["input_tokens"]))
        self.degrees = [axis for axis in axes if axis.name in DEGREES]
        self.swept = axes[len(self.degrees) :]
        self.shape = tuple(len(axis.values) for axis in axes)
        self._asked_with = partial(scenario_of, self.model, self.gpu, constants=constants)
        self._plans: dict[tuple[int, ...], Plan] = {}

    def plan(self, index: tuple[int, ...]) -> Plan:
        """The plan of a set of degrees, by its place on their axes."""
        if index not in self._plans:
            degrees = {axis.name: axis.values[at] for axis, at in zip(self.degrees, index, strict=True)}
            self._plans[index] = Plan(self._asked_with, {**self.fixed, **degrees}, self.swept)
        return self._plans[index]

    def parts(self, slab: tuple[slice, ...]) -> Iterator[tuple[tuple[slice, ...], dict[str, Array]]]:
        """Yield what the engine says of the cells of a slab, for each set of degrees, and where it belongs."""
        outer, inner = slab[: len(self.degrees)], slab[len(self.degrees) :]
        along = _along(self.swept, inner)
        for index in product(*(range(each.start, each.stop) for each in outer)):
            yield (*(slice(at, at + 1) for at in index), *inner), self.plan(index).cells(along)

    def sweep(self, slab: tuple[slice, ...], slabs: Iterable[tuple[slice, ...]]) -> Sweep:
        """The cells of a slab, answered in parts, as one.

        slabs: those that it consists of.
        """
        axes = tuple(
            axis if slab_of == slice(0, len(axis.values)) else axis.part(slab_of)
            for axis, slab_of in zip(self.axes, slab, strict=True)
        )
        shape = tuple(each.stop - each.start for each in slab)
        kept = _joined([part for each in slabs for part in self.parts(each)], slab)
        along = _along(axes, [slice(0, extent) for extent in shape])
        plans = tuple(
            self.plan(index) for index in product(*(range(x.start, x.stop) for x in slab[: len(self.degrees)]))
        )
        q = plans[0].scenario.over(along)
        price, use = along.get("price"), along.get("utilization", np.asarray(q.options.utilization))
        offers, busy = [q.price], q.options.utilization
        if price is None:
            price = np.asarray(np.nan if q.price is None else q.price.usd_per_gpu_hour)
        else:
            offers = [self._charge(value) for axis in axes if axis.name == "price" for value in axis.values]
            busy = self._owner.busy
        price = np.asarray(price, dtype=float)
        told = {name: [getattr(each, name) if each else None for each in offers] for name in OFFERED}
        paid = price
        if any(each and each.computed for each in offers) and "busy" not in self._owner.typed:
            follows = np.array([bool(each and each.computed) for each in offers]).reshape(price.shape)
            more = electricity_at(self.gpu, self._owner, use) - electricity_at(self.gpu, self._owner, busy)
            paid = price + follows * more
        at = Prediction(
            batch=np.asarray(kept["batch"], dtype=float),
            step=Step.lasting(kept["step"]),
            prefill=Step.lasting(kept["prefill"]),
            prefill_prompts=kept["prompts"],
            time_per_output_token=kept["tpot"],
            time_to_first_token=kept["ttft"],
            interference=kept["interference"],
            billed=kept["billed"],
            accepted=q.tokens_per_step,
            static=q.load.arrivals == "static",
        )
        plain = {
            **{f"deployment.{name}": kept[name] for name in CELL["deployment"] if name in kept},
            "deployment.memory_bandwidth": np.asarray(q.machine.memory_bandwidth),
            "deployment.usd_per_gpu_hour": paid,
            "deployment.utilization": use,
            **{f"deployment.price_{name}": _objects(each).reshape(price.shape) for name, each in told.items()},
            "workload.batch": kept["batch"],
            "workload.input_tokens": np.asarray(q.input_tokens),
            "workload.output_tokens": np.asarray(q.output_tokens),
            "workload.context_tokens": np.asarray(q.decode_context),
            "memory.fits": kept["fits"],
            "memory.max_sequences": kept["held"],
            "decode.bound_by": kept["bound"],
        }
        drawn = (kept["drawn"], kept["drawn_by_prefill"]) if "drawn" in kept else None
        cells = Cells(shape, plain, Answered(q, kept["replicas"], kept["gpus"], at, paid, use, drawn))
        counts = kept["gpus"][np.isfinite(kept["gpus"])]
        same = len(counts) and counts.min() == counts.max()
        title = f"{self.model.name} on {f'{int(counts.min())} × ' if same else ''}{self.gpu.name}"
        return Sweep(title, axes, cells, plans)

    def slabs(self, most: int, order: Sequence[int]) -> Iterator[tuple[slice, ...]]:
        """Yield parts of the grid of at most `most` cells.

        order: of the axes that may be cut, the one first that is cut first; the others are whole.
        """
        runs, room = dict.fromkeys(order, 1), most
        for axis in reversed(order):
            runs[axis] = max(1, min(self.shape[axis], room))
            room //= runs[axis]
        starts = [range(0, self.shape[axis], runs[axis]) for axis in order]
        for corner in product(*starts):
            at = dict(zip(order, corner, strict=True))
            yield tuple(
                slice(at[axis], min(at[axis] + runs[axis], extent)) if axis in at else slice(0, extent)
                for axis, extent in enumerate(self.shape)
            )


def _along(axes: Sequence[Axis], slab: Sequence[slice]) -> dict[str, Array]:
    """The values of axes in a slab, each along a dimension of its own."""
    found = {}
    for number, (axis, part) in enumerate(zip(axes, slab, strict=True)):
        shape = [1] * len(axes)
        shape[number] = part.stop - part.start
        found[axis.name] = np.asarray(axis.coordinates[part]).reshape(shape)
    return found


def _joined(parts: list[tuple[tuple[slice, ...], dict[str, Array]]], slab: tuple[slice, ...]) -> dict[str, Array]:
    """The parts of a slab as one array of every name, on the axes that any of them depends on."""
    joined = {}
    for name in list(parts[0][1]):
        shaped = []
        for where, found in parts:
            values = found.pop(name)
            shaped.append((where, values.reshape((1,) * (len(slab) - values.ndim) + values.shape)))
        shape = []
        for axis, whole in enumerate(slab):
            known = {(where[axis].stop - where[axis].start, values.shape[axis]) for where, values in shaped}
            apart = all(extent == 1 for extent, _ in known) or any(length > 1 for _, length in known)
            shape.append(whole.stop - whole.start if apart else 1)
        if len(shaped) == 1:
            joined[name] = shaped[0][1]
        else:
            joined[name] = np.empty(shape, np.result_type(*(values for _, values in shaped)))
            for where, values in shaped:
                place = tuple(
                    slice(part.start - whole.start, part.stop - whole.start) if length > 1 else slice(0, 1)
                    for part, whole, length in zip(where, slab, shape, strict=True)
                )
                joined[name][place] = values
    return joined


CHUNK = 32_768
"""Cells that the engine answers at once: what it makes on the way stays in a processor's cache."""


@np.errstate(all="ignore")
def sweep(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Sweep:
    """Ask the same question at every combination of several values, and get arrays: one axis for each that varies.

    model, gpu, catalog: as of `costcalc.estimate`.
    options: those of `costcalc.estimate`, and memory_bandwidth [B/s]. Lists, arrays and ranges ('1:256:x2',
        '4k:128k:x2', '1,2,3') are allowed for degrees of parallelism, batch, context, input_tokens, output_tokens,
        memory_bandwidth, price and utilization; their order is that of the axes, degrees first.
    A cell is what `costcalc.estimate` answers for its values: with the deployment of lowest cost, where neither GPUs
    nor degrees are given. Where they are, one layout serves every cell of a set of them: the one that the most
    demanding cell that fits takes. Without a batch, each cell has the one of lowest cost.
    Raises CostcalcError for names, values and layouts that cannot be, where no value is given, and where nothing fits.
    """
    grid = Grid(model, gpu, catalog, options)
    if prod(grid.shape) > MOST_CELLS:
        raise _too_many(MOST_CELLS)
    # Prices are not cut apart: all share what the engine says.
    order = [number for number, axis in enumerate(grid.axes) if axis.name not in MONEY]
    whole = tuple(slice(0, extent) for extent in grid.shape)
    found = grid.sweep(whole, grid.slabs(CHUNK, order))
    if not found["fits"].any() and found.plans[-1].scenario.options.terms == "all":
        raise found.plans[-1].refused() or AssertionError
    return found


def sweep_chunks(
    model: ModelSpec | str | Path,
    gpu: Accelerator | str | Path,
    *,
    catalog: Catalog | str | Path | None = None,
    cells: int = CHUNK,
    **options: Any,
) -> Iterator[Sweep]:
    """Yield a sweep in parts of at most `cells` cells, in their order, each a sweep of its own; of any number of them.

    The rest as of `sweep`. Where nothing fits, it raises CostcalcError behind the last part.
    """
    grid, fits = Grid(model, gpu, catalog, options), False
    for slab in grid.slabs(cells, range(len(grid.axes))):
        with np.errstate(all="ignore"):
            found = grid.sweep(slab, [slab])
        fits = fits or bool(found["fits"].any())
        yield found
    if not fits and found.plans[-1].scenario.options.terms == "all":
        raise found.plans[-1].refused() or AssertionError


def _axes(charge: Charge, options: Mapping[str, Any]) -> tuple[list[Axis], dict[str, Any]]:
    """Return what varies, degrees of parallelism first, and the options that do not."""
    axes: list[Axis] = []
    fixed: dict[str, Any] = {}
    for name, value in options.items():
        if name in SWEPT and is_several(value):
            axes.append(_axis(charge, name, values_of(value, partial(_read, charge, name), name)))
        elif name == "memory_bandwidth" and value is not None:
            axes.append(Axis(name, (_read(charge, name, value),)))
        else:
            fixed[name] = read_option(name, value)
    if fixed.get("demand") is not None:
        raise CostcalcError("a sweep serves no demand", where="demand", hint="ask costcalc estimate --demand")
    if fixed.get("gpu_layers") == WEIGHED and any(axis.name in _FITTED for axis in axes):
        hint = "say how many, as costcalc estimate --gpu-layers auto finds them"
        raise CostcalcError("as many as fit differ along the axes", where="gpu_layers", hint=hint)
    if not axes:  # one value of each: a sweep of a single cell
        single = [name for name in SWEPT if fixed.get(name) is not None]
        axes = [_axis(charge, name, (_read(charge, name, fixed.pop(name)),)) for name in single]
    if not axes:
        hint = "give a list or a range for one of batch, context, price, gpus ..., as in '1:256:x2' or '4k,32k,128k'"
        raise CostcalcError("nothing is swept", hint=hint)
    fixed.pop("memory_bandwidth", None)
    return sorted(axes, key=lambda axis: axis.name not in DEGREES), fixed


_FITTED = ("batch", "context", "input_tokens", "output_tokens")
"""Axes along which another part of a model fits a GPU."""
Charge = Callable[[Any], PriceChoice | None]
"""What words of `--price` mean on the GPU that is asked about."""


def _axis(charge: Charge, name: str, values: tuple[Any, ...]) -> Axis:
    if not any(isinstance(value, str) for value in values):
        return Axis(name, values)
    found = [charge(value) for value in values]
    return Axis(name, values, tuple(np.nan if each is None else each.usd_per_gpu_hour for each in found))


def _read(charge: Charge, name: str, value: Any) -> Any:
    """Return one value of an axis; prices told in words stay words."""
    read = read_option(name, value)
    if name != "price":
        return read
    choice = read_as(charge, str(read), name)  # a gap among prices is no default
    return choice.usd_per_gpu_hour if choice and choice.kind is None else read
