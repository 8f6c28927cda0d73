"""One question over grids of batch, context, lengths, bandwidth, price and degrees, in one call of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, cast

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.memory import kv_pool_bytes_per_gpu
from costcalc.engine.parallelism import Deployment, DoesNotFit, Parallelism
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.explore.estimate import answer, unanswered
from costcalc.explore.search import along_cells, choose_deployment, search_layouts
from costcalc.fields import Array, Record
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.owning import charged
from costcalc.hardware.prices import PriceChoice
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import OPTIONS, SWEPT, Options, is_several, read_option, refuse_unknown, values_of
from costcalc.predict.predict import predict, started
from costcalc.predict.quantities import (
    QUANTITIES,
    Answered,
    Estimate,
    numbers_of,
    step_bounds,
)
from costcalc.predict.scenario import Scenario, counted, owner_of, scenario_of, the_gpu, the_model

# The result of a sweep: a grid with an axis for each quantity that varies, and the numbers of an estimate on it.


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


ANSWERED = tuple(each.path for each in QUANTITIES if each.path != "serving.prefill_gpus")
"""Numbers of a cell; a pool that prefills is a proportion of the deployment, the same in all of them."""
CELL: dict[str, tuple[str, ...]] = {
    "deployment": (
        "gpus", "replicas", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel",
        "memory_bandwidth", "usd_per_gpu_hour", "utilization", "price_kind",
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


class Axis(Record):
    """One quantity that varies, and its values in their order."""

    name: str  # of the option
    values: tuple[Any, ...]  # as told: prices may be words
    numbers: tuple[float, ...] = ()  # what words stand for, where there are any

    @property
    def coordinates(self) -> tuple[Any, ...]:
        """Its values as numbers."""
        return self.numbers or self.values

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


# Every number of an estimate at every cell of a grid: the engine's equations on arrays, by one call.


def cells_of(scenario: Scenario, deployment: Deployment, batch: Array, price: Array, use: Array) -> dict[str, Array]:
    """Return the numbers of an estimate by their paths in its tree, as arrays that broadcast.

    scenario: with arrays for lengths and bandwidth, if you like. deployment: of all cells. batch: [sequences] of one
    replica. price: [$/GPU-hour], NaN where unknown. use: share of the paid hours.
    """
    q, layout = scenario, deployment.layout
    at = predict(q, layout, batch, deployment.replicas)
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget))
    held = np.asarray(started(q, layout, pool, q.full_length))
    fits = held >= batch
    found = {
        **_workload(q, deployment, batch, price, use),
        "memory.fits": fits,
        "memory.max_sequences": held.astype(int),
    }
    term = q.options.terms != "all"  # of a term of the bill nobody asks whether it fits
    known = numbers_of(Answered(q, deployment.replicas, deployment.gpus, at, price, use))
    numbers = {path: np.where(fits | term, value, np.nan) for path, value in known.items()}
    for each in QUANTITIES:  # every cell has the same columns
        numbers.setdefault(each.path, np.asarray(np.nan))
    numbers = {path: value for path, value in numbers.items() if path.partition("_range.")[0] in ANSWERED}
    bound = np.broadcast_to(step_bounds(at.step), np.broadcast_shapes(np.shape(batch), np.shape(at.step.seconds)))
    nobody: Any = None
    return {**found, **numbers, "decode.bound_by": np.where(fits | term, bound, nobody)}


def _workload(q: Scenario, deployment: Deployment, batch: Array, price: Array, use: Array) -> dict[str, Array]:
    layout = deployment.layout
    degrees = {
        "gpus": deployment.gpus,
        "replicas": deployment.replicas,
        "tensor_parallel": layout.tp,
        "pipeline_parallel": layout.pp,
        "expert_parallel": layout.ep,
        "attention_data_parallel": layout.attention_dp,
    }
    return {
        **{f"deployment.{name}": np.asarray(value) for name, value in degrees.items()},
        "deployment.memory_bandwidth": np.asarray(q.machine.memory_bandwidth),
        "deployment.usd_per_gpu_hour": price,
        "deployment.utilization": use,
        "workload.batch": batch,
        "workload.input_tokens": np.asarray(q.input_tokens),
        "workload.output_tokens": np.asarray(q.output_tokens),
        "workload.context_tokens": np.asarray(q.decode_context),
    }


Charge = Callable[[Any], PriceChoice | None]
"""What words of `--price` mean on the GPU that is asked about."""
MOST_CELLS = 1_000_000
DEGREES = ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
"""What changes the layout: a grid for each, everything else in one."""
_LENGTHS = ("context", "input_tokens", "output_tokens")
_IN_THE_ENGINE = ("batch", *_LENGTHS, "memory_bandwidth")


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
    One deployment serves every cell of a set of degrees: the one that the most demanding cell takes. A cell is what
    `costcalc.estimate` answers for it with those degrees. Without a batch, each cell has the one of lowest cost.
    Raises CostcalcError for names, values and layouts that cannot be, and where no value is given.
    """
    folders = catalog_of(catalog)
    refuse_unknown(options, SWEPT)
    name, given = counted(gpu, options)
    spec, machine = the_model(model, folders), the_gpu(name, folders)
    constants = folders.serving_efficiency()
    site = Options(owned=given.get("owned"), pue=given.get("pue"), power_price=given.get("power_price"))
    charge = partial(charged, machine, terms=owner_of(site, constants.of_owning))
    axes, fixed = _axes(charge, given)
    degrees = [axis for axis in axes if axis.name in DEGREES]
    swept = [axis for axis in axes if axis.name not in DEGREES]
    if prod(len(axis.values) for axis in axes) > MOST_CELLS:
        raise CostcalcError(f"more than {MOST_CELLS:,} cells are asked for", hint="take fewer values")
    asked_with = partial(scenario_of, spec, machine, constants=constants)
    parts, answers, lacking = [], [], None
    for values in product(*(axis.values for axis in degrees)):
        given = {**fixed, **{axis.name: value for axis, value in zip(degrees, values, strict=True)}}
        scenario, reference, lacking = _reference(asked_with, given, swept)
        parts.append(_part(scenario, reference, charge, swept))
        answers.append(reference)
    if lacking is not None and not any(part["memory.fits"].any() for part in parts):
        raise lacking
    return _joined(spec, machine, axes, parts, answers)


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
    if not axes:  # one value of each: a sweep of a single cell
        single = [name for name in SWEPT if fixed.get(name) is not None]
        axes = [_axis(charge, name, (_read(charge, name, fixed.pop(name)),)) for name in single]
    if not axes:
        hint = "give a list or a range for one of batch, context, price, gpus ..., as in '1:256:x2' or '4k,32k,128k'"
        raise CostcalcError("nothing is swept", hint=hint)
    fixed.pop("memory_bandwidth", None)
    return sorted(axes, key=lambda axis: axis.name not in DEGREES), fixed


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
    try:
        choice = charge(str(read))  # a gap among prices is no default
    except CostcalcError as error:
        raise CostcalcError(error.message, where=name, hint=error.hint) from None
    return choice.usd_per_gpu_hour if choice and choice.kind is None else read


def _reference(
    asked_with: Callable[[Options], Scenario], given: dict[str, Any], swept: Sequence[Axis]
) -> tuple[Scenario, Estimate, DoesNotFit | None]:
    """Plan the deployment for the most demanding cell that fits, from the largest values down; and say what it lacks.

    Of the notes of its estimate, those are kept that the cell at the other end has too.
    """

    def asked(rank: int) -> Scenario:
        cell = {
            axis.name: sorted(axis.coordinates, reverse=True)[min(rank, len(axis.values) - 1)]
            for axis in swept
            if axis.name in OPTIONS
        }
        return asked_with(Options(**{**given, **cell}))

    scenarios = [asked(rank) for rank in range(max((len(axis.values) for axis in swept), default=1))]
    most, least = scenarios[0], scenarios[-1]
    lacking: DoesNotFit | None = None
    for scenario in scenarios:
        try:
            chosen = choose_deployment(scenario)
        except DoesNotFit as error:
            lacking = lacking or error
            continue
        reference = answer(scenario, chosen)
        other = answer(least, replace(chosen, batch=least.options.batch or 1)).notes if scenario is not least else ()
        return scenario, replace(reference, notes=tuple(note for note in reference.notes if note in other)), None
    assert lacking is not None
    if not (most.options.gpus or most.options.degrees.layout_given):
        raise lacking
    return most, unanswered(most, lacking.tried), lacking


def _part(scenario: Scenario, reference: Estimate, charge: Charge, swept: Sequence[Axis]) -> dict[str, Array]:
    """Every cell of one deployment: arrays over the axes that are swept."""
    deployment = _spread_of(reference)
    along = {axis.name: _along(axis, number, len(swept)) for number, axis in enumerate(swept)}
    grid = _on_grid(scenario, along)
    batch = along.get("batch")
    if batch is None:
        batch = _batches(scenario, deployment, [axis for axis in swept if axis.name in _IN_THE_ENGINE], swept)
    price, chosen = along.get("price"), scenario.price
    kinds: Any = np.asarray(chosen.kind if chosen else None, dtype=object)
    if price is None:
        price = np.asarray(np.nan if chosen is None else chosen.usd_per_gpu_hour)
    else:
        told = [charge(value) for axis in swept if axis.name == "price" for value in axis.values]
        kinds = np.array([each.kind if each else None for each in told], dtype=object).reshape(price.shape)
    use = along.get("utilization", np.asarray(scenario.options.utilization))
    shape = tuple(len(axis.values) for axis in swept)
    found = cells_of(grid, deployment, batch, price, use) | {"deployment.price_kind": kinds}
    return {path: np.broadcast_to(values, shape) for path, values in found.items()}


def _along(axis: Axis, number: int, axes: int) -> Array:
    shape = [1] * axes
    shape[number] = len(axis.values)
    return np.asarray(axis.coordinates).reshape(shape)


def _on_grid(scenario: Scenario, along: Mapping[str, Array]) -> Scenario:
    """The question with arrays for numbers: whatever a question holds, the engine broadcasts."""
    lengths = {name: along[name].astype(float) for name in _LENGTHS if name in along}
    if "context" in lengths and scenario.options.input_tokens is None:
        lengths["input_tokens"] = lengths["context"]  # as for a single context
    machine = scenario.machine
    if "memory_bandwidth" in along:
        machine = replace(machine, memory_bandwidth=along["memory_bandwidth"])
    return replace(scenario, machine=machine, **cast("dict[str, Any]", lengths))


def _batches(scenario: Scenario, deployment: Deployment, engine: Sequence[Axis], swept: Sequence[Axis]) -> Array:
    """The batch of lowest cost at each combination of lengths and bandwidths."""
    if scenario.options.batch:
        return np.asarray(scenario.options.batch)
    shape = [len(axis.values) if axis in engine else 1 for axis in swept]
    cells = np.meshgrid(*(np.asarray(axis.values, dtype=float) for axis in engine), indexing="ij")
    along = {axis.name: along_cells(values.ravel()) for axis, values in zip(engine, cells, strict=True)}
    # What no batch fits in stands at one sequence.
    chosen = np.maximum(search_layouts(_on_grid(scenario, along), [deployment]).batch[0], 1)
    return np.broadcast_to(chosen.astype(int), (prod(shape),)).reshape(shape)


def _spread_of(reference: Estimate) -> Deployment:
    d = reference.deployment
    layout = Parallelism(
        d.tensor_parallel, d.attention_data_parallel, d.expert_parallel, d.pipeline_parallel, d.context_parallel
    )
    return Deployment(layout, d.replicas, d.idle_gpus)


def _joined(
    model: ModelSpec, gpu: Accelerator, axes: Sequence[Axis], parts: Sequence[dict[str, Array]], answers: list[Estimate]
) -> Sweep:
    """The parts of all deployments as one grid."""
    shape = tuple(len(axis.values) for axis in axes)
    values = {path: np.stack([part[path] for part in parts]).reshape(shape) for path in parts[0]}
    for array in values.values():
        array.setflags(write=False)
    machines = {f"{each.deployment.gpus} × {gpu.name}" for each in answers}
    title = f"{model.name} on {machines.pop() if len(machines) == 1 else gpu.name}"
    notes = tuple(dict.fromkeys(note for each in answers for note in each.notes))
    return Sweep(title, tuple(axes), values, tuple(answers), notes)
