"""The same question over whole grids of batch, context, lengths, bandwidth and price: one call of the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod
from typing import Any, Unpack, cast

import numpy as np

from costcalc.catalog.paths import searched_first
from costcalc.errors import CostcalcError
from costcalc.explore.arguments import SWEPT, read_option, the_gpu, the_model
from costcalc.explore.cells import Array, cells_of
from costcalc.explore.estimate import answer, unanswered
from costcalc.explore.grid import is_several, values_of
from costcalc.explore.layouts import Spread
from costcalc.explore.options import OptionKeywords, SweepKeywords
from costcalc.explore.plan import DoesNotFit, plan
from costcalc.explore.question import Options, Question, ask
from costcalc.explore.result import Estimate
from costcalc.explore.swept import Axis, Sweep
from costcalc.explore.weigh import along_cells, weigh
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec
from costcalc.units import parse_quantity

MOST_CELLS = 1_000_000
DEGREES = ("gpus", "tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel")
"""What changes the layout: a grid for each, everything else in one."""
_LENGTHS = ("context", "input_tokens", "output_tokens")
_IN_THE_ENGINE = ("batch", *_LENGTHS, "memory_bandwidth")


def sweep(
    model: ModelSpec | str,
    gpu: Accelerator | str,
    *,
    catalog: str | None = None,
    **options: Unpack[SweepKeywords],
) -> Sweep:
    """Ask the same question at every combination of several values, and get arrays: one axis for each that varies.

    model, gpu: specifications, or names, aliases or paths of the catalog.
    catalog: a folder of models/ and hardware_profiles/ that is looked at first.
    options: those of `costcalc.estimate`, and memory_bandwidth [B/s]. Lists, arrays and ranges ('1:256:x2',
        '4k:128k:x2', '1,2,3') are allowed for degrees of parallelism, batch, context, input_tokens, output_tokens,
        memory_bandwidth, price and utilization; their order is that of the axes, degrees first.
    One deployment serves every cell of a set of degrees: the one that the most demanding cell takes. A cell is what
    `costcalc.estimate` answers for it with those degrees. Without a batch, each cell has the one of lowest cost.
    Raises CostcalcError for names, values and layouts that cannot be, and where no value is given.
    """
    with searched_first(catalog):
        spec, machine = the_model(model), the_gpu(gpu)
        axes, fixed = _axes(machine, options)
        degrees = [axis for axis in axes if axis.name in DEGREES]
        swept = [axis for axis in axes if axis.name not in DEGREES]
        if prod(len(axis.values) for axis in axes) > MOST_CELLS:
            raise CostcalcError(f"more than {MOST_CELLS:,} cells are asked for", hint="take fewer values")
        parts, answers, lacking = [], [], None
        for values in product(*(axis.values for axis in degrees)):
            given = {**fixed, **{axis.name: value for axis, value in zip(degrees, values, strict=True)}}
            question, reference, lacking = _reference(spec, machine, given, swept)
            parts.append(_part(question, reference, machine, swept, given))
            answers.append(reference)
        if lacking is not None and not any(part["memory.fits"].any() for part in parts):
            raise lacking
        return _joined(spec, machine, axes, parts, answers)


def _axes(gpu: Accelerator, options: Mapping[str, Any]) -> tuple[list[Axis], dict[str, Any]]:
    """Return what varies, degrees of parallelism first, and the options that do not."""
    axes: list[Axis] = []
    fixed: dict[str, Any] = {}
    for name, value in options.items():
        if name in (*SWEPT, "memory_bandwidth") and is_several(value):
            axes.append(Axis(name, values_of(value, partial(_read, gpu, name), name)))
        elif name == "memory_bandwidth" and value is not None:
            axes.append(Axis(name, (_read(gpu, name, value),)))
        else:
            fixed[name] = read_option(name, value)
    if fixed.get("demand") is not None:
        raise CostcalcError("a sweep serves no demand", where="--demand", hint="ask costcalc estimate --demand")
    if not axes:  # one value of each: a sweep of a single cell
        single = [name for name in SWEPT if fixed.get(name) is not None]
        axes = [Axis(name, (_read(gpu, name, fixed.pop(name)),)) for name in single]
    if not axes:
        hint = "give a list or a range for one of batch, context, price, gpus ..., as in '1:256:x2' or '4k,32k,128k'"
        raise CostcalcError("nothing is swept", hint=hint)
    return sorted(axes, key=lambda axis: axis.name not in DEGREES), fixed


def _read(gpu: Accelerator, name: str, value: Any) -> Any:
    """Return one value of an axis: a number, also where a price is told in words."""
    if name == "memory_bandwidth":
        try:
            return parse_quantity(value, "bandwidth", positive=True)
        except CostcalcError as error:
            raise CostcalcError(error.message, where=name, hint=error.hint) from None
    read = read_option(name, value)
    if name == "price":
        try:
            choice = gpu.price_for(str(read))  # a gap among prices is no default
        except CostcalcError as error:
            raise CostcalcError(error.message, where=name, hint=error.hint) from None
        return None if choice is None else choice.usd_per_gpu_hour
    return read


def _reference(
    model: ModelSpec, gpu: Accelerator, given: dict[str, Any], swept: Sequence[Axis]
) -> tuple[Question, Estimate, DoesNotFit | None]:
    """Plan the deployment for the most demanding cell that fits, from the largest values down; and say what it lacks.

    Of the notes of its estimate, those are kept that the cell at the other end has too.
    """

    def asked(rank: int) -> Question:
        cell = {
            axis.name: sorted(axis.values, reverse=True)[min(rank, len(axis.values) - 1)]
            for axis in swept
            if axis.name in Options.__dataclass_fields__
        }
        return ask(model, gpu, Options(**cast("OptionKeywords", {**given, **cell})))

    questions = [asked(rank) for rank in range(max((len(axis.values) for axis in swept), default=1))]
    most, least = questions[0], questions[-1]
    lacking: DoesNotFit | None = None
    for question in questions:
        try:
            chosen = plan(question)
        except DoesNotFit as error:
            lacking = lacking or error
            continue
        reference = answer(question, chosen)
        other = answer(least, replace(chosen, batch=least.options.batch or 1)).notes if question is not least else ()
        return question, replace(reference, notes=tuple(note for note in reference.notes if note in other)), None
    assert lacking is not None
    if not (most.options.gpus or most.options.degrees.layout_given):
        raise lacking
    return most, unanswered(most, lacking.tried), lacking


def _part(
    question: Question, reference: Estimate, gpu: Accelerator, swept: Sequence[Axis], given: Mapping[str, Any]
) -> dict[str, Array]:
    """Every cell of one deployment: arrays over the axes that are swept."""
    spread = _spread_of(reference)
    along = {axis.name: _along(axis, number, len(swept)) for number, axis in enumerate(swept)}
    grid = _on_grid(question, along)
    batch = along.get("batch")
    if batch is None:
        batch = _batches(question, spread, [axis for axis in swept if axis.name in _IN_THE_ENGINE], swept)
    price = along.get("price")
    if price is None:
        chosen = gpu.price_for(given.get("price"))
        price = np.asarray(np.nan if chosen is None else chosen.usd_per_gpu_hour)
    use = along.get("utilization", np.asarray(question.options.utilization))
    shape = tuple(len(axis.values) for axis in swept)
    found = cells_of(grid, spread, batch, price, use)
    return {path: np.broadcast_to(values, shape) for path, values in found.items()}


def _along(axis: Axis, number: int, axes: int) -> Array:
    shape = [1] * axes
    shape[number] = len(axis.values)
    return np.asarray(axis.values).reshape(shape)


def _on_grid(question: Question, along: Mapping[str, Array]) -> Question:
    """The question with arrays for numbers: whatever a question holds, the engine broadcasts."""
    lengths = {
        name: along[name].astype(float) for name in ("context", "input_tokens", "output_tokens") if name in along
    }
    if "context" in lengths and question.options.input_tokens is None:
        lengths["input_tokens"] = lengths["context"]  # as for a single context
    machine = question.machine
    if "memory_bandwidth" in along:
        machine = replace(machine, memory_bandwidth=along["memory_bandwidth"])
    return replace(question, machine=machine, **cast("dict[str, Any]", lengths))


def _batches(question: Question, spread: Spread, engine: Sequence[Axis], swept: Sequence[Axis]) -> Array:
    """The batch of lowest cost at each combination of lengths and bandwidths."""
    if question.options.batch:
        return np.asarray(question.options.batch)
    shape = [len(axis.values) if axis in engine else 1 for axis in swept]
    cells = np.meshgrid(*(np.asarray(axis.values, dtype=float) for axis in engine), indexing="ij")
    along = {axis.name: along_cells(values.ravel()) for axis, values in zip(engine, cells, strict=True)}
    # What no batch fits in stands at one sequence.
    chosen = np.maximum(weigh(_on_grid(question, along), [spread]).batch[0], 1)
    return np.broadcast_to(chosen.astype(int), (prod(shape),)).reshape(shape)


def _spread_of(reference: Estimate) -> Spread:
    from costcalc.engine.layout import Layout

    d = reference.deployment
    layout = Layout(d.tensor_parallel, d.attention_data_parallel, d.expert_parallel, d.pipeline_parallel)
    return Spread(layout, d.replicas, d.idle_gpus)


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
