"""Which layouts are weighed: every sensible way to spread a model over so many GPUs, the customary one first."""

from __future__ import annotations

from collections.abc import Iterator
from math import gcd

from costcalc.engine.layout import Layout
from costcalc.engine.machine import machine_of, reach
from costcalc.explore.layouts import Spread, divides_heads, expert_degree, shares_latent
from costcalc.specs.accelerator import Accelerator
from costcalc.specs.model import ModelSpec

EXPERT_STEPS = 4
"""Expert degrees weighed: the largest, and this many halvings of it."""
FEW_REPLICAS = 8
"""Up to so many replicas any size is weighed that divides the GPUs; beyond, powers of two and whole nodes."""


def spreads_on(model: ModelSpec, gpu: Accelerator, gpus: int) -> list[Spread]:
    """Ways to spread a model over `gpus`: one replica or several, the customary layout of the largest first.

    GPUs that no replica takes are left idle, and are paid for.
    """
    found = []
    for size in replica_sizes(gpu, gpus):
        replicas = gpus // size
        found += [Spread(each, replicas, gpus - replicas * size) for each in candidate_layouts(model, gpu, size)]
    return found


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


def candidate_layouts(model: ModelSpec, gpu: Accelerator, gpus: int) -> list[Layout]:
    """Layouts of one replica on `gpus`, the customary one first.

    Tensor parallel inside a scale-up domain, pipeline stages that are whole domains or nodes, and for experts
    attention data parallelism with several degrees of expert parallelism. Data parallelism without experts is
    what replicas do. Where cards share the host's PCIe, a stage may be any part of a node; behind a switch nothing
    measured says that stages inside it are worth their bubbles, so they have to be asked for.
    """
    stages = {gpu.domain, gpu.node_size}
    shared = not machine_of(gpu).switched
    first = customary_layout(model, gpu, gpus)
    found = {first: None}
    for tensor in _tensor_degrees(model, gpus, gpu.domain, int(first.tensor)):
        for pipeline in _divisors(gpus // tensor):
            data = gpus // tensor // pipeline
            stage = tensor * data
            cut = pipeline == 1 or stage in stages or (shared and data == 1)
            if pipeline > model.num_layers or not cut or (data > 1 and not model.has_experts):
                continue
            for expert in _expert_degrees(model, stage):
                found[Layout(tensor, data, expert, pipeline)] = None
    return list(found)


def customary_layout(model: ModelSpec, gpu: Accelerator, gpus: int) -> Layout:
    """The layout that such a model customarily runs in on `gpus`.

    MLA with experts runs attention data parallel with expert parallel (every rank would hold the whole
    latent under tensor parallelism); everything else runs tensor parallel inside a scale-up domain, and
    beyond it in pipeline stages, or with experts spread over all of it.
    """
    if model.has_experts and shares_latent(model):
        return Layout(1, gpus, expert_degree(model, gpus), 1)
    local = gcd(gpus, gpu.domain) if gpus > gpu.domain else gpus
    tensor = max((t for t in _divisors(local) if divides_heads(model, t)), default=1)
    rest = gpus // tensor
    if rest <= model.num_layers:
        return Layout(tensor, 1, 1, rest)
    return Layout(tensor, rest, expert_degree(model, gpus), 1)


def _tensor_degrees(model: ModelSpec, gpus: int, domain: int, customary: int) -> Iterator[int]:
    for tensor in _divisors(min(gpus, domain)):
        power_of_two = tensor & (tensor - 1) == 0
        if gpus % tensor == 0 and divides_heads(model, tensor) and (power_of_two or tensor == customary):
            yield tensor


def _expert_degrees(model: ModelSpec, stage: int) -> list[int]:
    """Degrees of expert parallelism on a stage: the largest and its halves, and 1 (every expert on all GPUs)."""
    largest = expert_degree(model, stage)
    return list(dict.fromkeys([*(largest >> n for n in range(EXPERT_STEPS) if largest % 2**n == 0), 1]))


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
