"""What of a GPU's memory is weights, workspace and cache, and how many users fit, as more GPUs share a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from costcalc.engine.memory import kv_pool_bytes_per_gpu, weights_bytes_per_gpu
from costcalc.engine.parallelism import Deployment, Parallelism, layout_name, node_counts
from costcalc.explore.search import held_by, layouts_on, needed, stacked
from costcalc.fields import Record
from costcalc.predict.results import Estimate
from costcalc.predict.scenario import Scenario

HIGHEST = 4
"""The ladder ends at so many times the fewest GPUs that fit, or at those that were chosen."""
RUNGS = 6


class Rung(Record):
    """The memory of one GPU of a replica, and what the replica holds."""

    name: str
    capacity_bytes: float
    weights_bytes: float
    cache_bytes: float  # of the pool; 0 where the weights leave none
    sequences: int  # of full length, of all replicas

    @classmethod
    def of(cls, name: str, result: Estimate) -> Rung:
        """The rung of an answer."""
        memory = result.memory
        held = memory.max_sequences * result.deployment.replicas
        return cls(
            name,
            memory.capacity_bytes_per_gpu,
            memory.weights_bytes_per_gpu,
            memory.kv_pool_bytes_per_gpu,
            held,
        )


@dataclass(frozen=True)
class Ladder:
    """What is asked, of which the ladder is found when it is drawn: the answer, and twice as many GPUs a rung."""

    scenario: Scenario = field(compare=False, repr=False)  # which is told by the answer that has this ladder
    layout: Parallelism  # of one replica of the answer, up to whose GPUs the ladder goes at least

    def rungs(self) -> tuple[Rung, ...]:
        """One replica on each number of GPUs: in the layout of the answer, or in that which holds most sequences.

        They are of full length.
        """
        q, own = self.scenario, int(self.layout.gpus)
        most = max(own, HIGHEST * (needed(q) or 1))
        doubled: list[int] = []
        for each in (count for count in node_counts(q.gpu) if count <= most):
            doubled += [each] if not doubled or each >= 2 * doubled[-1] else []
        counts = sorted({own, *doubled})[-RUNGS:]
        return tuple(_rung(q, [self.layout] if gpus == own else layouts_on(q, gpus)) for gpus in counts)


def _rung(q: Scenario, candidates: Iterable[Parallelism]) -> Rung:
    deployments, held = held_by(q, [Deployment(each) for each in candidates])
    layouts = stacked(deployments)
    weights = np.broadcast_to(weights_bytes_per_gpu(q.model, layouts, q.formats), held.shape).ravel()
    pool = np.broadcast_to(kv_pool_bytes_per_gpu(q.model, q.machine, layouts, q.formats, q.budget), held.shape).ravel()
    best = int(np.lexsort((-pool, -held.ravel()))[0])
    name = f"{int(deployments[best].gpus)} × {q.gpu.name}, {layout_name(deployments[best])}"
    return Rung(name, float(q.machine.memory), float(weights[best]), max(float(pool[best]), 0.0), int(held.flat[best]))
