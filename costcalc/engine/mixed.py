"""Prompts that ride on decode steps: what they add to a step that runs anyway.

Continuous batching with chunked prefill (Orca, Yu et al. 2022; Sarathi-Serve, Agrawal et al. 2024, arXiv
2403.02310) lets prompts share a decode step's reading of weights and its overheads, so a prompt costs less
than a prefill pass of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from costcalc.arrays import Number
from costcalc.engine.layout import Layout
from costcalc.engine.machine import Machine
from costcalc.engine.precision import Formats
from costcalc.engine.step import hidden_seconds, prefill_overhead_seconds
from costcalc.engine.timing import Efficiency, OpTime, op_times
from costcalc.engine.work import Batch, Work, decode_batch, prefill_batch, step_work
from costcalc.specs.model import ModelSpec

_OF_SEQUENCES = ("grouped", "latent", "recurrent", "indexer", "prefill", "head")
"""Kinds of op whose work is that of sequences, not of the rows that pass through the weights."""


@dataclass(frozen=True, slots=True)
class RidingWork:
    """The work of a step with and without the prompts, and that of the prompts' attention."""

    alone: Sequence[Work]
    together: Sequence[Work]
    attention: Sequence[Work]


def riding_work(
    model: ModelSpec,
    layout: Layout,
    formats: Formats,
    batch: Number,
    prompt: Number,
    prompts: Number = 1,
    cached: Number = 0,
    tokens: Number = 1,
) -> RidingWork:
    """Work of a decode step of `batch` [sequences] that `prompts` of `prompt` [tokens] on every rank join.

    cached: tokens of each prompt that a prefix cache holds. tokens: decoded at once by each sequence.
    """
    # Times alone matter here: what idle ranks leave undone is left out.
    alone = replace(decode_batch(batch, 1, layout, tokens), partial=False)
    rows = alone.rows + np.asarray(prompts, dtype=float) * prompt
    joined = prefill_batch(prompt, cached, prompts)
    return RidingWork(
        _of_rows(step_work(model, layout, formats, alone)),
        _of_rows(step_work(model, layout, formats, Batch(rows, 1, 1))),
        [w for w in step_work(model, layout, formats, joined) if w.kind in _OF_SEQUENCES and w.kind != "head"],
    )


def riding_seconds(
    model: ModelSpec,
    work: RidingWork,
    machine: Machine,
    efficiency: Efficiency,
    step: Sequence[OpTime] = (),
    overlap: Number = 0.0,
) -> Number:
    """Time that the prompts add to the step [s].

    step: ops of the decode step that they join. overlap: share of its computing behind which all-to-all hides.
    """
    sequences = [op for op in step if op.kind in _OF_SEQUENCES]

    def taken(works: Sequence[Work]) -> Number:
        ops = [*op_times(works, machine, efficiency), *sequences]
        return sum((op.seconds for op in ops), start=0.0) - hidden_seconds(ops, overlap)

    added = taken([*work.together, *work.attention]) - taken(work.alone)
    return added + prefill_overhead_seconds(model, efficiency)


def _of_rows(works: Sequence[Work]) -> list[Work]:
    return [w for w in works if w.kind not in _OF_SEQUENCES]
