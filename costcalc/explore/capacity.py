"""An estimate upside down: on these GPUs the longest context, the most users, the largest model, the most bits.

What fits is what `estimate` accepts of the same GPUs; one step more is what it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from costcalc.catalog.catalog import Catalog, catalog_of
from costcalc.engine.host import ON_GPU
from costcalc.engine.memory import cache_bytes_per_sequence, weights_bytes_per_gpu
from costcalc.engine.parallelism import Chosen, Deployment, DoesNotFit, Parallelism
from costcalc.errors import CostcalcError, did_you_mean, shown
from costcalc.explore.assumptions import limits_named
from costcalc.explore.estimate import answer, numbers_alone
from costcalc.explore.search import (
    along_cells,
    choose_deployment,
    deployments_asked_for,
    excess_of_limits,
    held_by,
    options_of,
    search_layouts,
    seconds_per_request,
    stacked,
)
from costcalc.fields import Array, Record, Result
from costcalc.formats import cache_format, weight_format
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.efficiency import ServingEfficiency
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import MOST_SEQUENCES, MOST_TOKENS, Options, command_of
from costcalc.predict.predict import UNBOUNDED, predict, scheduled_at_most
from costcalc.predict.results import Estimate
from costcalc.predict.scenario import Scenario, asked_by, counted, scenario_of, the_gpu, the_model
from costcalc.units import format_count, format_seconds

Question = Literal["context", "users", "batch", "model", "bits"]
QUESTIONS: tuple[Question, ...] = get_args(Question)
UNITS: dict[Question, str] = {
    "context": "tokens", "users": "users", "batch": "sequences", "model": "", "bits": "bits per weight",
}  # fmt: skip
_ELSEWHERE = {
    "demand": "it takes GPUs as it needs: ask costcalc estimate --demand",
    "disaggregated": "a pool that prefills takes GPUs of its own: ask costcalc estimate",
    "arrivals": "what fits is counted in --batch",
    "concurrency": "what fits is counted in --batch",
    "terms": "of a term of the bill nobody asks whether it fits",
}
"""Options of an estimate that ask about other GPUs than these, or about none."""
_FOUND = {"context": ("context",), "users": ("batch",), "batch": ("batch",), "model": (), "bits": ("bits",)}
"""Options that a question finds."""
POINTS = 33
"""Values that are tried at once: each round leaves a 32nd of the distance."""


class Fit(Record):
    """What fits, as the estimate that it is; its numbers alone where it is one of many."""

    bits_per_weight: float  # of all weights on average: scales, and what kernels pad, are counted
    estimate: Estimate  # with the command that asks for it

    def to_dict(self) -> dict[str, Any]:
        """`{"bits_per_weight", ...an estimate's tree...}`."""
        return {"bits_per_weight": self.bits_per_weight, **self.estimate.to_dict()}


class Capacity(Result):
    """The answer, and what stands behind it."""

    question: Question
    title: str
    value: float | str | None  # of the first row; None where nothing limits it
    unit: str
    beyond: str | None  # why one step more does not fit; None where nothing limits it, and of models and bits
    rows: tuple[Fit, ...]  # the answer; of models and bits all that fit, the largest first
    notes: tuple[str, ...] = ()
    trained: int | None = None  # the longest context that the model was trained for, where memory holds more [tokens]

    @property
    def about(self) -> str:
        """Title, and the answer."""
        return f"{self.title}: {self.answer}"

    @property
    def answer(self) -> str:
        """The value in words, and the model's own limit, if that is what limits it."""
        if self.value is None or isinstance(self.value, str):
            found = self.value or "no limit"
        else:
            found = f"{self.value:,}" if isinstance(self.value, int) else f"{self.value:,.4g}"
        if self.trained is None:
            unit = self.unit.removesuffix("s") if self.value == 1 else self.unit
            return found if self.value is None else f"{found} {unit}".rstrip()
        beyond = "memory sets none" if self.value is None else f"memory would hold {found}"
        return f"{self.trained:,} {self.unit}, as trained; {beyond}"

    def to_dict(self) -> dict[str, Any]:
        """`{"question", "title", "value", "unit", "trained", "beyond", "rows": [{"bits_per_weight", ...}], ...}`."""
        own = {name: getattr(self, name) for name in ("question", "title", "value", "unit", "trained", "beyond")}
        return {**own, "rows": [each.to_dict() for each in self.rows], "notes": list(self.notes)}


@np.errstate(all="ignore")
def capacity(
    model: ModelSpec | str | Path | None,
    gpu: Accelerator | str | Path,
    *,
    max: str | None = None,
    catalog: Catalog | str | Path | None = None,
    **options: Any,
) -> Capacity:
    """What fits on these GPUs at most: on one, or on as many as `gpus` says, and never on more.

    model, gpu, catalog: as of `costcalc.estimate`; the largest model is looked for among all of the catalog: None.
    max: 'context' [tokens] of `batch` sequences, one by default; 'batch' of one replica, or 'users' of all replicas, at
        a context or lengths; 'model' of the catalog at the widest formats that fit; 'bits' of weights and then of the
        cache, of the formats that the engine has on this GPU. By default the context, or without a model that.
    options: those of `costcalc.estimate`; with tpot or ttft [s], what also keeps them.
    Raises CostcalcError for names, values and layouts that cannot be, and where not even the least fits.
    """
    question = _question(max, model)
    for told, hint in _ELSEWHERE.items():
        if options.get(told) not in (None, False, "all"):
            raise CostcalcError("a capacity is of these GPUs as they are", where=told, hint=hint)
    for found in _FOUND[question]:
        if options.get(found) is not None:
            raise CostcalcError(f"the {question} is what is asked for", where=found, hint="leave it out")
    folders = catalog_of(catalog)
    name, given = counted(gpu, options)
    read = Options(**given)
    if question != "batch" and question != "users" and read.batch is None:
        read = replace(read, batch=1)
    if read.gpus is None and not read.degrees.layout_given:
        read = replace(read, gpus=1)
    machine, constants = the_gpu(name, folders), folders.serving_efficiency()
    if question == "model":
        names = [each.name for each in folders.entries("models")]
        asked = _Asked(asked_by(name), machine, constants, folders, read)
        return _largest_model(asked, names)
    assert model is not None
    spec = the_model(model, folders)
    asked = _Asked(asked_by(name), machine, constants, folders, read)
    find = {"context": _longest_context, "users": _most_users, "batch": _largest_batch, "bits": _most_bits}[question]
    return find(asked, asked_by(model), spec)


def _question(given: object, model: object) -> Question:
    if given is None:
        return "model" if model is None else "context"
    text = str(given).strip().lower()
    question = next((each for each in QUESTIONS if each == text), None)
    if question is None:
        hint = did_you_mean(text, QUESTIONS) or f"one of {', '.join(QUESTIONS)}"
        raise CostcalcError(f"{shown(given)} is unknown", where="max", hint=hint)
    if question == "model" and model is not None:
        hint = "leave it out: all models of the catalog are weighed"
        raise CostcalcError("the largest model is what is asked for", where="model", hint=hint)
    if question != "model" and model is None:
        raise CostcalcError("no model is named", where="model", hint="name one, such as 'v3'")
    return question


class _Asked(Record):
    """The GPUs and what is asked of them; a model is named by each question."""

    gpu_name: str
    gpu: Accelerator
    constants: ServingEfficiency
    catalog: Catalog
    options: Options

    @property
    def memory(self) -> float:
        """Memory of all GPUs [B]; infinite where degrees alone say how many."""
        return (self.options.gpus or np.inf) * self.gpu.usable_memory

    @property
    def limited(self) -> bool:
        """Whether a time is limited."""
        return self.options.tpot is not None or self.options.ttft is not None

    def scenario(self, model: ModelSpec, **changes: Any) -> Scenario:
        """The question of a model, with options changed."""
        return scenario_of(model, self.gpu, replace(self.options, **changes), self.constants)

    def fit(self, name: str, q: Scenario, found: Estimate) -> Fit:
        """What fits: the estimate of a question, with the command that asks for it of a model by this name."""
        command = command_of(name, self.gpu_name, q.options.told, self.catalog.typed())
        return Fit(bits_per_weight(q), replace(found, command=command))


# The largest number that is accepted, for several rows at once.


def largest(accepts: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Whole numbers that are accepted while the next one is not, or `high` where that is; 0 where `low` is not.

    accepts: says of numbers, by row, which are accepted. low, high: of each row, at least 1.
    """
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    ends = accepts(np.stack([low, high], axis=-1))
    found = np.where(ends[:, 1], high, np.where(ends[:, 0], low, 0.0))
    between = ends[:, 0] & ~ends[:, 1]
    while (between & (high - low > 1)).any():
        tried = np.round(low[:, None] * (high / low)[:, None] ** np.linspace(0, 1, POINTS))
        tried[:, 0], tried[:, -1] = low, high
        kept = np.array(accepts(tried))
        kept[:, 0], kept[:, -1] = True, False
        last = POINTS - 1 - np.argmax(kept[:, ::-1], axis=-1)[:, None]
        low, high = (np.take_along_axis(tried, each, axis=-1)[:, 0] for each in (last, last + 1))
    return np.where(between, low, found)


def _deployments(q: Scenario) -> list[Deployment]:
    """The layouts of these GPUs; those that leave GPUs idle are what a command with fewer asks for."""
    return list(dict.fromkeys(replace(each, idle=0) for each in deployments_asked_for(q)))


def _kept(asked: _Asked, q: Scenario, deployments: Sequence[Deployment], batch: Array) -> Array:
    """Whether layouts, by row, keep the limits of time at batches [sequences]."""
    if not asked.limited or not deployments:
        return np.ones(batch.shape, dtype=bool)
    replicas = np.array([each.replicas for each in deployments])[:, None, None]
    at = predict(q, stacked(deployments), batch[:, None, :], replicas, full=False)
    return np.broadcast_to(np.asarray(excess_of_limits(q, at)) <= 1, (len(batch), 1, batch.shape[1]))[:, 0]


# One model: the longest context, the largest batch, the most users.


def _longest_context(asked: _Asked, name: str, spec: ModelSpec) -> Capacity:
    q = asked.scenario(spec)
    deployments, batch = deployments_asked_for(q), q.options.batch or 1

    def accepts(lengths: Array) -> Array:
        if q.fitted:  # what is on the GPU differs by the length
            return np.array([[_fits(asked, asked.scenario(spec, context=float(each))) for each in lengths[0]]])
        at = q.at(along_cells(lengths[0]))
        if asked.limited:
            return np.any(search_layouts(at, deployments).excess <= 1, axis=0)[None]
        return np.any(held_by(at, deployments)[1][:, :, 0] >= batch, axis=0)[None]

    least = q.options.input_tokens or 1.0
    tokens = int(largest(accepts, np.array([least]), np.array([MOST_TOKENS]))[0])
    if not tokens:
        raise _nothing(asked.scenario(spec, context=least))
    if tokens >= MOST_TOKENS:
        return _unlimited(asked, name, spec)
    found, beyond = (asked.scenario(spec, context=float(each)) for each in (tokens, tokens + 1))
    return Capacity(
        "context",
        f"The longest context of {spec.name} on {_machine(found)}{_at_once(batch)}",
        tokens,
        UNITS["context"],
        f"{tokens + 1:,} tokens: {_refusal(beyond)}",
        (_fit(asked, name, found),),
        trained=spec.max_context if spec.max_context and tokens > spec.max_context else None,
    )


def _unlimited(asked: _Asked, name: str, spec: ModelSpec) -> Capacity:
    """The answer where memory holds the longest context that can be asked for, at one that the model knows."""
    found = asked.scenario(spec, context=float(spec.max_context or asked.options.input_tokens or 1))
    note = "A sequence takes no more memory however long it is: nothing limits the context but the model's training."
    if found.fitted:
        note = "What the GPU does not hold goes to the host, whose memory is not told: --host-memory limits it."
    title = f"The longest context of {spec.name} on {_machine(found)}"
    rows = (_fit(asked, name, found),)
    return Capacity("context", title, None, UNITS["context"], None, rows, (note,), spec.max_context)


def _batches(asked: _Asked, q: Scenario) -> tuple[list[Deployment], Array]:
    """The layouts, and the largest batch of each that fits and keeps the limits [sequences]; 0 where none does."""
    deployments = _deployments(q)
    if q.fitted:
        return deployments, np.array([_largest_split(asked, q.model)])
    runs, held = held_by(q, deployments)
    most = np.minimum(held[:, 0, 0], MOST_SEQUENCES)
    fitting = np.flatnonzero(most >= 1)
    few = [runs[int(index)] for index in fitting]
    accepts = partial(_kept, asked, q, few)
    batch = np.zeros(len(deployments))
    batch[fitting] = largest(accepts, np.ones(len(few)), most[fitting])
    return deployments, batch


def _largest_split(asked: _Asked, spec: ModelSpec) -> int:
    """The largest batch of one GPU and its host, where what is on the GPU differs by the batch [sequences]."""

    def accepts(batches: Array) -> Array:
        return np.array([[_fits(asked, asked.scenario(spec, batch=int(each))) for each in batches[0]]])

    batch = int(largest(accepts, np.ones(1), np.array([MOST_SEQUENCES]))[0])
    if batch >= MOST_SEQUENCES:
        what = "what the GPU does not hold goes to the host, whose memory is not told"
        raise CostcalcError(what, where="gpu_layers", hint="say it with `host_memory`, or how many layers stay")
    return batch


def _largest_batch(asked: _Asked, name: str, spec: ModelSpec) -> Capacity:
    one = asked.scenario(spec, batch=1)
    batch = int(_batches(asked, one)[1].max())
    if not batch:
        raise _nothing(one)
    found, beyond = (asked.scenario(spec, batch=each) for each in (batch, batch + 1))
    return Capacity(
        "batch",
        f"The largest batch of {spec.name} on {_machine(found)}{_lengths(found)}",
        batch,
        UNITS["batch"],
        f"{batch + 1:,} sequences: {_refusal(beyond)}",
        (_fit(asked, name, found),),
        tuple(_of_the_scheduler(found)),
    )


def _most_users(asked: _Asked, name: str, spec: ModelSpec) -> Capacity:
    one = asked.scenario(spec, batch=1)
    deployments, batches = _batches(asked, one)
    users = batches * np.array([each.replicas for each in deployments])
    if not users.max():
        raise _nothing(one)

    def seconds(index: int) -> float:
        chosen = deployments[index]
        at = predict(one, chosen.layout, batches[index], chosen.replicas, full=False)
        return float(np.asarray(seconds_per_request(one, at))) / chosen.replicas

    best = min((int(index) for index in np.flatnonzero(users == users.max())), key=seconds)
    degrees, batch = options_of(deployments[best]), int(batches[best])
    degrees = degrees if degrees["gpus"] > 1 else {}  # which needs no words
    found, beyond = (asked.scenario(spec, **degrees, batch=each) for each in (batch, batch + 1))
    each = f"{batch + 1:,} on each of {deployments[best].replicas:,} replicas"
    return Capacity(
        "users",
        f"Most users of {spec.name} on {_machine(found)}{_lengths(found)}",
        int(users[best]),
        UNITS["users"],
        f"{f'{batch + 1:,} users' if deployments[best].replicas == 1 else each}: {_refusal(beyond)}",
        (_fit(asked, name, found),),
        tuple(_of_the_scheduler(found)),
    )


def _fit(asked: _Asked, name: str, q: Scenario) -> Fit:
    return asked.fit(name, q, answer(q, choose_deployment(q)))


def _nothing(q: Scenario) -> CostcalcError:
    """The error where not even the least fits, or keeps the limits."""
    try:
        chosen = choose_deployment(q)
    except DoesNotFit as error:
        return error
    where = "tpot" if q.options.tpot is not None else "ttft"
    at = answer(q, chosen).serving
    times = [at.time_per_output_token_s] if q.options.tpot is not None else []
    times += [at.time_to_first_token_s] if q.options.ttft is not None else []
    nearest = " and ".join(format_seconds(each) for each in times)
    what = f"nothing of {q.model.name} on {_machine(q)} keeps a {limits_named(q)}"
    return CostcalcError(what, where=where, hint=f"of the least it is {nearest}")


def _refusal(q: Scenario) -> str:
    """Why an estimate refuses what is one step more, or which limit it does not keep."""
    try:
        chosen = choose_deployment(q)
    except DoesNotFit as error:
        return str(error)
    found = answer(q, chosen)
    told = []
    for what, limit, time in (
        ("TPOT", q.options.tpot, found.serving.time_per_output_token_s),
        ("TTFT", q.options.ttft, found.serving.time_to_first_token_s),
    ):
        if limit is not None and time is not None and time > limit:
            told.append(f"a {what} of {format_seconds(time, 4)}, over the limit of {format_seconds(limit)}")
    return " and ".join(told)


def _machine(q: Scenario) -> str:
    return f"{deployments_asked_for(q)[0].gpus} × {q.gpu.name}"


def _at_once(batch: int) -> str:
    return "" if batch == 1 else f", {batch:,} sequences at once"


def _lengths(q: Scenario) -> str:
    return f", {format_count(float(np.asarray(q.full_length)))} tokens each"


def _of_the_scheduler(q: Scenario) -> Iterator[str]:
    """The note that the engine runs fewer at once unless it is told otherwise."""
    deployment = choose_deployment(q).deployment
    most = float(np.asarray(scheduled_at_most(q, deployment.layout)))
    if q.options.batch is not None and most < q.options.batch < UNBOUNDED:
        yield f"The engine runs {most:,.0f} at once by default: --max-num-seqs."


# Many models, or many formats of one: all that fit, the largest first.


def _largest_model(asked: _Asked, names: Sequence[str]) -> Capacity:
    rows: list[Fit] = []
    fail: dict[str, str] = {}
    for name in names:
        spec = asked.catalog.model(name)
        try:
            q = next(_widest(asked, spec), None)
        except CostcalcError as error:  # such as experts to put elsewhere, of a model without any
            fail.setdefault(name, str(error))
            continue
        if q is not None:
            rows.append(_listed(asked, name, q))
    if not rows:
        first = next(iter(fail.values()), None)
        machine = f"{asked.options.gpus or 1} × {asked.gpu.name}"
        raise CostcalcError(f"no model of the catalog fits on {machine}", where="gpu", hint=first or "use more --gpus")
    rows.sort(key=lambda row: -row.estimate.model.parameters.total)
    first_row = rows[0].estimate
    deployment = first_row.deployment
    notes = [f"{len(rows):,} of {len(names):,} models fit, each at the widest weights that do."]
    title = f"The largest models on {deployment.gpus} × {deployment.gpu}"
    return Capacity("model", title, first_row.model.name, UNITS["model"], None, tuple(rows), tuple(notes))


def _most_bits(asked: _Asked, name: str, spec: ModelSpec) -> Capacity:
    found = list(_widest(asked, spec))
    if not found:
        narrowest = [*_formats(asked, spec, "weights")][-1]
        error = _nothing(narrowest)
        if asked.options.backend is None and narrowest.backend != "llamacpp":
            raise CostcalcError(error.message, where=error.where, hint="--backend llamacpp has narrower formats")
        raise error
    rows = tuple(_listed(asked, name, q) for q in found)
    fitting = {q.options.weights for q in found}
    left = [q.weights_name for q in _formats(asked, spec, "weights") if q.options.weights not in fitting]
    notes = [f"Does not fit: {', '.join(left)}."] if left else []
    title = f"The most bits of {spec.name} on {_machine(found[0])}{_lengths(found[0])}"
    batch = found[0].options.batch or 1
    return Capacity("bits", title + _at_once(batch), rows[0].bits_per_weight, UNITS["bits"], None, rows, tuple(notes))


def _widest(asked: _Asked, spec: ModelSpec) -> Iterator[Scenario]:
    """Yield what fits, the widest weights first, each with the widest cache that fits beside it."""
    for q in _formats(asked, spec, "weights", room=np.inf if asked.options.offloads else asked.memory):
        # Without room for the weights there is none for any cache.
        if float(weights_bytes_per_gpu(q.model, Parallelism(), q.formats)) < asked.memory:
            widest = next((each for each in _formats(asked, spec, "kv_cache", q) if _fits(asked, each)), None)
            if widest is not None:
                yield widest


def _fits(asked: _Asked, q: Scenario) -> bool:
    deployments = deployments_asked_for(q)
    if asked.limited:
        return bool((search_layouts(q, deployments).excess <= 1).any())
    return bool((held_by(q, deployments)[1] >= (q.options.batch or 1)).any())


def _formats(
    asked: _Asked,
    spec: ModelSpec,
    kind: Literal["weights", "kv_cache"],
    given: Scenario | None = None,
    room: float = np.inf,
) -> Iterator[Scenario]:
    """Yield what is asked in each format of weights or cache that the engine has on this GPU, the widest first.

    The model's own comes first, and nothing wider; where one was typed, it is the only one.
    given: the question that is asked in several formats. room: for weights [B]; formats without any are left out.
    """
    own = given or asked.scenario(spec)
    yield own
    if getattr(own.options, kind) is not None:
        return
    assert own.budget.engine is not None
    engine, architecture = own.budget.engine, asked.gpu.architecture
    if kind == "weights":
        names, size = engine.weights_on(architecture), bits_per_weight
        nominal = {name: weight_format(name).bytes for name in names}
    else:
        names, size = engine.caches_on(architecture), _bytes_per_sequence
        nominal = {name: cache_format(name).bytes for name in names}
    most = size(own) * (1 - 1e-9)
    for name in sorted(names, key=lambda each: -nominal[each]):
        if kind == "weights" and nominal[name] * spec.total_parameters >= room:
            continue
        changes = {"weights": own.options.weights, "kv_cache": own.options.kv_cache, kind: name}
        if size(narrower := asked.scenario(spec, **changes)) < most:
            yield narrower


def bits_per_weight(q: Scenario) -> float:
    """Bits of a weight on average, scales and what kernels pad counted."""
    whole = weights_bytes_per_gpu(q.model, Parallelism(), replace(q.formats, placement=ON_GPU))
    return 8 * float(whole) / q.model.total_parameters


def _bytes_per_sequence(q: Scenario) -> float:
    return float(np.asarray(cache_bytes_per_sequence(q.model, q.formats, q.full_length)))


def _listed(asked: _Asked, name: str, q: Scenario) -> Fit:
    """One of many: its numbers, without what an answer says of them."""
    deployments = deployments_asked_for(q)
    alone = len(deployments) == 1 and not asked.limited
    chosen = Chosen(deployments[0], q.options.batch or 1) if alone else choose_deployment(q)
    at = predict(q, chosen.deployment.layout, chosen.batch, chosen.deployment.replicas)
    return asked.fit(name, q, numbers_alone(q, chosen, at))
