"""Candidate layouts: which ways there are to spread a model over GPUs, and which of them are weighed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from math import gcd
from typing import Any

import numpy as np

from costcalc.engine.parallelism import (
    Degrees,
    Deployment,
    Parallelism,
    expert_degree,
    given_deployment,
    node_counts,
    shares_context,
    shares_latent,
    splits,
    splits_experts,
)
from costcalc.engine.roofline import machine_of, reach
from costcalc.hardware.accelerator import Accelerator
from costcalc.hardware.engines import EngineMemory
from costcalc.model.spec import ModelSpec
from costcalc.predict.options import WEIGHED
from costcalc.predict.scenario import Scenario

EXPERT_STEPS = 4
"""Expert degrees weighed: the largest, and this many halvings of it."""
FEW_REPLICAS = 8
"""Up to so many replicas any size is weighed that divides the GPUs; beyond, powers of two and whole nodes."""


def deployments_on(
    model: ModelSpec,
    gpu: Accelerator,
    gpus: int,
    context_parallel: int | str | None = None,
    engine: EngineMemory | None = None,
    typed: Collection[str] = (),
) -> list[Deployment]:
    """Ways to spread a model over `gpus`: one replica or several, the customary layout of the largest first.

    GPUs that no replica takes are left idle, and are paid for. context_parallel: WEIGHED, or nothing of it is. engine,
    typed: as `startable` has them.
    """
    found = []
    for size in replica_sizes(gpu, gpus):
        replicas = gpus // size
        few = startable(candidate_layouts(model, gpu, size), engine, typed)
        layouts = sharing_context(model, few, context_parallel)
        found += [Deployment(each, replicas, gpus - replicas * size) for each in layouts]
    return found


def sharing_context(
    model: ModelSpec, layouts: Sequence[Parallelism], context_parallel: int | str | None
) -> list[Parallelism]:
    """Layouts, behind them those whose tensor ranks share the tokens of a cache where that is WEIGHED: by powers of two
    of ranks that would hold copies."""
    found = list(layouts)
    if context_parallel != WEIGHED:
        return found
    for tensor in sorted({int(each.tp) for each in layouts}):
        degrees = [n for n in _divisors(tensor)[1:] if n & (n - 1) == 0 and shares_context(model, tensor, n)]
        found += [replace(each, cp=n) for each in layouts if each.tp == tensor for n in degrees]
    return found


def startable(
    layouts: Sequence[Parallelism], engine: EngineMemory | None, typed: Collection[str] = ()
) -> list[Parallelism]:
    """Layouts that an engine can be started in, or all of them where it can in none.

    typed: degrees, by option, that are as they are whatever the engine takes.
    """
    return [each for each in layouts if refused_degree(each, engine, typed) is None] or list(layouts)


def refused_degree(layout: Parallelism, engine: EngineMemory | None, typed: Collection[str] = ()) -> str | None:
    """The option whose degree an engine cannot be started with; None for none."""
    if engine is None:
        return None
    told = {"expert_parallel": int(layout.ep), "attention_data_parallel": int(layout.attention_dp)}
    refused = (name for name, n in told.items() if name not in typed and not engine.takes(name, n, int(layout.stage)))
    return next(refused, None)


def typed_degrees(asked: Degrees) -> list[str]:
    """The options that `startable` minds, of degrees that were typed."""
    told = {"expert_parallel": asked.ep, "attention_data_parallel": asked.attention_dp}
    return [name for name, degree in told.items() if degree is not None]


def why_refused(layout: Parallelism, engine: EngineMemory, option: str, name: str) -> str:
    """Why an engine cannot be started with the degree of an option, which `refused_degree` found.

    name: of the engine, as people call it.
    """
    several = f"all {int(layout.stage)} GPUs of a stage share in `{option}`, or one"
    told = int(layout.ep if option == "expert_parallel" else layout.attention_dp)
    return f"{name} has {several if 'stage' in engine.degrees[option] else f'no `{option}`'}: not {told}"


def layouts_on(q: Scenario, gpus: int) -> list[Parallelism]:
    """The layouts of one replica to weigh for a question: where the engine spreads layers unless told, that one."""
    if spreads_layers(q) and gpus <= q.model.num_layers:
        return [Parallelism(pp=gpus)]
    few = startable(candidate_layouts(q.model, q.gpu, gpus), q.budget.engine)
    return sharing_context(q.model, few, q.options.context_parallel)


def spreads_layers(q: Scenario) -> bool:
    """Whether the engine puts layers on GPUs in turn where nobody says how, as llama.cpp does."""
    return q.budget.engine is not None and q.budget.engine.spreads_layers


def replica_sizes(gpu: Accelerator, gpus: int) -> list[int]:
    """GPUs of one replica to weigh, the largest first: all of them, parts, powers of two and whole nodes."""
    most = int(min(gpus, reach(gpu)))
    sizes = {gpus // parts for parts in range(1, FEW_REPLICAS + 1) if gpus % parts == 0}
    for start in {1, gpu.node_size, gpu.domain}:
        size = start
        while size <= most:
            sizes.add(size)
            size *= 2
    return sorted((size for size in sizes if size <= most), reverse=True)


def candidate_layouts(model: ModelSpec, gpu: Accelerator, gpus: int) -> list[Parallelism]:
    """Layouts of one replica on `gpus`, the customary one first.

    Tensor parallel inside a scale-up domain, pipeline stages that are whole domains or nodes, and for experts
    attention data parallelism with several degrees of expert parallelism. Data parallelism without experts is
    what replicas do. Where cards share the host's PCIe, a stage may be any part of a node; behind a switch nothing
    measured says that stages inside it are worth their bubbles, so they have to be asked for.
    """
    return list(_layouts(_Same(model), gpu.domain, gpu.node_size, not machine_of(gpu).switched, gpus))


WIDER = 4
"""Replicas of up to so many times the fewest GPUs are weighed, and of a whole node or scale-up domain."""


def single_replicas(scenario: Scenario, least: int, most: int | None = None) -> list[Deployment]:
    """One replica in every layout on every number of GPUs from `least`, which fit, to `most`."""
    q = scenario
    most = most or max(WIDER * least, q.gpu.domain, q.gpu.node_size)
    counts = [each for each in node_counts(q.gpu) if least <= each <= most]
    return [Deployment(each) for count in counts for each in layouts_on(q, count)]


class _Same:
    """A model as the key of a cache: specifications hold tables, and are told apart by which one they are."""

    def __init__(self, model: ModelSpec) -> None:
        self.model = model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.model is other.model


@lru_cache(maxsize=1024)
def _layouts(same: _Same, domain: int, node: int, shared: bool, gpus: int) -> tuple[Parallelism, ...]:
    """The layouts of `candidate_layouts`: many GPUs of a catalog stand in nodes and domains of one size.

    shared: whether cards share the host's PCIe.
    """
    model, stages = same.model, {domain, node}
    first = _customary(model, domain, gpus)
    found = {first: None}
    for tensor in _tensor_degrees(model, gpus, domain, int(first.tp)):
        for pipeline in _divisors(gpus // tensor):
            data = gpus // tensor // pipeline
            stage = tensor * data
            cut = pipeline == 1 or stage in stages or (shared and data == 1)
            if pipeline > model.num_layers or not cut or (data > 1 and not model.has_experts):
                continue
            for expert in _expert_degrees(model, stage):
                if not splits_experts(model, stage // expert):
                    continue
                found[Parallelism(tensor, data, expert, pipeline)] = None
    return tuple(found)


def customary_layout(model: ModelSpec, gpu: Accelerator, gpus: int) -> Parallelism:
    """The layout that such a model customarily runs in on `gpus`.

    MLA with experts runs attention data parallel with expert parallel (every rank would hold the whole
    latent under tensor parallelism); everything else runs tensor parallel inside a scale-up domain, and
    beyond it in pipeline stages, or with experts spread over all of it.
    """
    return _customary(model, gpu.domain, gpus)


def _customary(model: ModelSpec, domain: int, gpus: int) -> Parallelism:
    if model.has_experts and shares_latent(model):
        return Parallelism(1, gpus, expert_degree(model, gpus), 1)
    local = gcd(gpus, domain) if gpus > domain else gpus
    tensor = max((t for t in _divisors(local) if splits(model, t) and splits_experts(model, t)), default=1)
    rest = gpus // tensor
    if rest <= model.num_layers:
        return Parallelism(tensor, 1, 1, rest)
    return Parallelism(tensor, rest, expert_degree(model, gpus), 1)


def _tensor_degrees(model: ModelSpec, gpus: int, domain: int, customary: int) -> Iterator[int]:
    for tensor in _divisors(min(gpus, domain)):
        power_of_two = tensor & (tensor - 1) == 0
        if gpus % tensor == 0 and splits(model, tensor) and (power_of_two or tensor == customary):
            yield tensor


def _expert_degrees(model: ModelSpec, stage: int) -> list[int]:
    """Degrees of expert parallelism on a stage: the largest and its halves, and 1 (every expert on all GPUs)."""
    largest = expert_degree(model, stage)
    return list(dict.fromkeys([*(largest >> n for n in range(EXPERT_STEPS) if largest % 2**n == 0), 1]))


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]


def stacked(deployments: Sequence[Deployment]) -> Parallelism:
    """Layouts as one of arrays, along the first of three axes."""
    layouts = [s.layout for s in deployments]
    degrees = [(each.tp, each.attention_dp, each.ep, each.pp, each.cp) for each in layouts]
    return Parallelism(*np.array(degrees, dtype=np.int64).T[:, :, None, None])


def options_of(deployment: Deployment) -> dict[str, Any]:
    """The options, by keyword, that ask for a deployment and no other."""
    layout = deployment.layout
    return {
        "gpus": deployment.gpus,
        "tensor_parallel": int(layout.tp),
        "pipeline_parallel": int(layout.pp),
        "expert_parallel": int(layout.ep),
        "attention_data_parallel": int(layout.attention_dp),
        **({"context_parallel": int(layout.cp)} if layout.cp > 1 else {}),
    }


def deployments_asked_for(scenario: Scenario) -> list[Deployment]:
    """The layout asked for, or every one to weigh on the GPUs asked for: of all degrees, or of those not typed."""
    asked = scenario.options.degrees
    if asked.layout_given:
        return _with_degrees(scenario, asked)
    assert asked.gpus is not None
    q = scenario
    if spreads_layers(q):
        sizes = {size: asked.gpus // size for size in replica_sizes(q.gpu, asked.gpus)}
        return [
            Deployment(each, replicas, asked.gpus - replicas * size)
            for size, replicas in sizes.items()
            for each in layouts_on(q, size)
        ]
    return deployments_on(q.model, q.gpu, asked.gpus, q.options.context_parallel, q.budget.engine)


def _with_degrees(scenario: Scenario, asked: Degrees) -> list[Deployment]:
    """Layouts that keep the degrees typed, on as many GPUs as by custom, in the order of `deployments_on`."""
    q = scenario
    customary = given_deployment(q.model, q.gpu, asked, q.formats)
    gpus = customary.gpus
    typed = {"tp": asked.tp, "pp": asked.pp, "ep": asked.ep, "attention_dp": asked.attention_dp}
    context = q.options.context_parallel
    if None not in typed.values():
        return [replace(customary, layout=each) for each in sharing_context(q.model, [customary.layout], context)]

    def kept(layout: Parallelism) -> bool:
        return all(degree in (None, int(getattr(layout, name))) for name, degree in typed.items())

    engine, told = q.budget.engine, typed_degrees(asked)
    every = deployments_on(q.model, q.gpu, gpus, context, engine, told)
    found = [each for each in every if not each.idle and kept(each.layout)]
    # Pipelines and data parallelism that nobody would weigh unless they are typed have their experts spread, too.
    layout = customary.layout
    for expert in _expert_degrees(q.model, int(layout.stage)) if asked.ep is None and q.model.has_experts else ():
        if splits_experts(q.model, int(layout.stage) // expert, q.formats):
            found.append(replace(customary, layout=replace(layout, ep=expert)))
    every = list(dict.fromkeys([*found, customary]))
    return [each for each in every if refused_degree(each.layout, engine, told) is None] or every
