"""Rows of serving measurements that one call of the engine predicts: same model, formats, engine and architecture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from costcalc.engine.layout import Layout
from costcalc.engine.machine import Machine, machine_of
from costcalc.engine.precision import Formats
from costcalc.measured.model import Array
from costcalc.measured.serving_case import ONLINE, Case
from costcalc.specs.model import ModelSpec


@dataclass(frozen=True, slots=True)
class ServingGroup:
    """Rows as arrays; whatever is text or shape is the same in all of them."""

    model: ModelSpec
    formats: Formats
    backend: str
    index: Array  # of each row among the cases
    machine: Machine
    layout: Layout
    kind: Array
    gpu: Array
    gpus: Array
    workers: Array  # decode replicas
    prefill_replicas: Array  # of a pool apart, in replicas of the decode workers' size; 1 where shared
    concurrency: Array  # requests in the closed loop of one decode replica; nan offline
    input_tokens: Array
    output_tokens: Array
    drafts: Array
    apart: Array
    means: Array
    equal_lengths: Array
    held_steps: Array
    month: Array  # of the run, counted from year 0; nan where its date is not known
    reused: Array

    def __len__(self) -> int:
        return len(self.index)

    @property
    def online(self) -> Array:
        """Rows of a closed loop."""
        return np.asarray(self.kind == ONLINE)

    def take(self, chosen: Array) -> ServingGroup:
        """The rows for which `chosen` is true."""
        kept = {
            f.name: getattr(self, f.name)[chosen] for f in fields(self) if isinstance(getattr(self, f.name), np.ndarray)
        }
        return replace(self, machine=_taken(self.machine, chosen), layout=_taken(self.layout, chosen), **kept)


def serving_groups(cases: Sequence[Case], index: Sequence[int] | None = None) -> list[ServingGroup]:
    """Group cases; `index` names them where they are not all of a file's rows."""
    numbers = range(len(cases)) if index is None else index
    parts: dict[tuple[Any, ...], list[tuple[int, Case]]] = {}
    for number, case in zip(numbers, cases, strict=True):
        gpu = case.machine
        fabric = (gpu.vendor, gpu.architecture, machine_of(gpu).switched)
        key = (case.model.name, case.formats, case.backend, fabric)
        parts.setdefault(key, []).append((number, case))
    return [_group([case for _, case in part], np.array([number for number, _ in part])) for part in parts.values()]


def _group(cases: list[Case], index: Array) -> ServingGroup:
    first = cases[0]
    layout = Layout(*(_array([getattr(c.layout, f.name) for c in cases]) for f in fields(Layout)))
    replica = np.asarray(layout.gpus, dtype=float)
    gpus, apart = _array([c.gpus for c in cases]), np.array([c.apart for c in cases])
    workers = np.maximum(np.where(apart, 1.0, np.round(gpus / replica)), 1.0)
    return ServingGroup(
        model=first.model,
        formats=first.formats,
        backend=first.backend,
        index=index,
        machine=_machine([machine_of(c.machine) for c in cases]),
        layout=layout,
        kind=np.array([c.kind for c in cases]),
        gpu=np.array([c.gpu for c in cases]),
        gpus=gpus,
        workers=workers,
        prefill_replicas=np.ones(len(cases)),
        concurrency=_array([c.concurrency for c in cases]),
        input_tokens=_array([c.input_tokens for c in cases]),
        output_tokens=_array([c.output_tokens for c in cases]),
        drafts=_array([c.drafts for c in cases]),
        apart=apart,
        means=np.array([c.conditions.means for c in cases]),
        equal_lengths=np.array([c.conditions.equal_lengths for c in cases]),
        held_steps=_array([c.conditions.held_steps for c in cases]),
        month=_array([c.conditions.month for c in cases]),
        reused=np.array([c.conditions.reused for c in cases]),
    )


def _machine(machines: list[Machine]) -> Machine:
    rates = [name for name in machines[0].peak_flops if all(name in m.peak_flops for m in machines)]
    return replace(
        machines[0],
        measured=None,
        memory=_array([m.memory for m in machines]),
        memory_bandwidth=_array([m.memory_bandwidth for m in machines]),
        peak_flops={name: _array([m.peak_flops[name] for m in machines]) for name in rates},
        link_bandwidth=_array([m.link_bandwidth for m in machines]),
        domain=_array([m.domain for m in machines]),
        network_bandwidth=_array([m.network_bandwidth for m in machines]),
    )


def _taken(value: Any, chosen: Array) -> Any:
    def part(each: Any) -> Any:
        if isinstance(each, dict):
            return {name: part(one) for name, one in each.items()}
        return each[chosen] if isinstance(each, np.ndarray) else each

    return replace(value, **{f.name: part(getattr(value, f.name)) for f in fields(value)})


def _array(values: Sequence[Any]) -> Array:
    return np.array([float(np.asarray(value)) for value in values])
