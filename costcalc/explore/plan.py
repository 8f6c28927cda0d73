"""What was not asked for: how many GPUs, which layout, which batch."""

from __future__ import annotations

import numpy as np

from costcalc.engine.layout import Layout
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.errors import CostcalcError
from costcalc.explore.evaluate import capacity, evaluate
from costcalc.explore.layouts import (
    Degrees,
    Spread,
    candidate_layouts,
    given_spread,
    node_counts,
    shares_latent,
)
from costcalc.explore.question import DEFAULT_TPOT, Question
from costcalc.frozen import Record
from costcalc.readable import format_bytes


class Plan(Record):
    """A deployment that answers the question."""

    spread: Spread
    batch: int  # sequences of one replica
    meets_tpot: bool = True
    gpus_chosen: bool = False
    layout_chosen: bool = False
    batch_chosen: bool = False


class DoesNotFit(CostcalcError):
    """The weights or the sequences asked for exceed the memory of the GPUs asked for."""

    def __init__(self, message: str, hint: str, tried: Spread) -> None:
        super().__init__(message, hint=hint)
        self.tried = tried


def plan(question: Question) -> Plan:
    """Choose what was left open; raises DoesNotFit where nothing fits on the GPUs asked for."""
    asked = question.options.degrees
    wanted = question.options.batch
    if question.options.terms != "all" and asked == Degrees():
        # A term of the bill costs the same on any number of GPUs; one shows it plainly.
        return Plan(Spread(Layout()), wanted or 1, gpus_chosen=True, layout_chosen=True, batch_chosen=wanted is None)
    if asked.layout_given:
        spreads = [given_spread(question.model, question.gpu, asked)]
    elif asked.gpus:
        spreads = [Spread(x) for x in candidate_layouts(question.model, question.gpu, asked.gpus)]
        if any(x.gpus > 1 for x in spreads):
            _check_reach(question, asked.gpus)
    else:
        spreads = economical_spreads(question)
    fitting = [s for s in spreads if fits(question, s)]
    if customary_only(question) and asked.gpus:
        fitting = fitting[:1]
    if not fitting:
        if question.options.terms == "all":
            raise does_not_fit(question, spreads[0])
        fitting = spreads
    best, batch, meets = min(
        ((s, *choose_batch(question, s)) for s in fitting),
        key=lambda option: (not option[2], gpu_seconds_per_request(question, option[0], option[1])),
    )
    return Plan(
        best,
        batch,
        meets,
        gpus_chosen=asked.gpus is None and not asked.layout_given,
        layout_chosen=not asked.layout_given,
        batch_chosen=wanted is None,
    )


def _check_reach(question: Question, gpus: int) -> None:
    # The same check, and message, as for a layout that was asked for.
    given_spread(question.model, question.gpu, Degrees(gpus=gpus, tensor=1, data=1, pipeline=1))


def smallest_spreads(question: Question) -> list[Spread]:
    """Layouts on the fewest GPUs that fit, whole nodes beyond the first; raises where none does."""
    tried: list[Spread] = []
    for gpus in node_counts(question.gpu):
        tried = [Spread(x) for x in candidate_layouts(question.model, question.gpu, gpus)]
        fitting = [s for s in tried if fits(question, s)]
        if fitting:
            return fitting[: 1 if customary_only(question) else None]
    raise does_not_fit(question, tried[0], more=False)


def economical_spreads(question: Question) -> list[Spread]:
    """Layouts on the fewest whole nodes that fit; inside one node on any count that fits, to take the cheapest."""
    found = smallest_spreads(question)
    smallest = found[0].gpus
    node = question.gpu.node_size
    for gpus in node_counts(question.gpu, most=node):
        if smallest < gpus <= node:
            more = [Spread(x) for x in candidate_layouts(question.model, question.gpu, gpus)]
            found += [s for s in more if fits(question, s)][: 1 if customary_only(question) else None]
    return found


def customary_only(question: Question) -> bool:
    """Whether the customary layout, which comes first, is taken without weighing the others' cost."""
    return shares_latent(question.model) and question.model.has_experts


def fits(question: Question, spread: Spread) -> bool:
    """Whether the weights and the sequences asked for (one on every rank by default) fit."""
    _, most = capacity(question, spread.layout)
    return most >= (question.options.batch or int(spread.layout.data))


def choose_batch(question: Question, spread: Spread) -> tuple[int, bool]:
    """The batch of lowest cost whose time per output token stays under the limit, and whether any does."""
    limit = question.options.tpot or DEFAULT_TPOT
    if question.options.batch:
        at = evaluate(question, spread.layout, question.options.batch)
        return question.options.batch, bool(at.time_per_output_token <= limit)
    _, most = capacity(question, spread.layout)
    sizes = batch_sizes(most, int(spread.layout.data * spread.layout.pipeline))
    at = evaluate(question, spread.layout, sizes)
    allowed = at.time_per_output_token <= limit
    if not np.any(allowed):
        return int(sizes[0]), False
    rates = np.where(allowed, at.decode_tokens_per_s(), 0.0)
    return int(sizes[int(np.argmax(rates))]), True


def batch_sizes(most: int, unit: int) -> np.ndarray:
    """Batches to try up to `most` [sequences], in multiples of `unit` ranks where there are enough."""
    if most <= unit:
        return np.arange(1, max(most, 1) + 1)
    counts = np.round(np.geomspace(1, most / unit, 160)).astype(np.int64)
    # Already in order; np.unique would import numpy.ma, which takes longer than the plan itself.
    sizes = counts[np.diff(counts, prepend=0) > 0] * unit
    return sizes[sizes <= most]


def gpu_seconds_per_request(question: Question, spread: Spread, batch: int) -> float:
    """GPU time of one request [GPU·s], its prefill and all its decode steps: what its price is proportional to."""
    at = evaluate(question, spread.layout, batch)
    decode = question.output_tokens / float(at.decode_tokens_per_s())
    return int(spread.layout.gpus) * (float(at.prefill.seconds) / at.prefill_prompts + decode)


def does_not_fit(question: Question, spread: Spread, more: bool = True) -> DoesNotFit:
    """The error that says what is missing, and what would fit."""
    q = question
    pool, most = capacity(q, spread.layout)
    weights = float(weights_bytes_per_gpu(q.model, spread.layout, q.formats))
    usable = weights + pool
    machine = f"{spread.gpus} x {q.gpu.name}"
    if pool <= 0:
        message = (
            f"{q.model.name} does not fit on {machine}: weights take {format_bytes(weights)} per GPU "
            f"of {format_bytes(usable)} usable"
        )
    else:
        sequences = q.options.batch or int(spread.layout.data)
        message = (
            f"{q.model.name} does not fit on {machine}: {sequences:,} sequence{'s' if sequences > 1 else ''} of "
            f"{q.full_length:,.0f} tokens are asked for, the cache holds {most:,}"
        )
    hint = _what_would_fit(q) if more else "use a narrower --weights or --kv"
    return DoesNotFit(message, hint, spread)


def _what_would_fit(question: Question) -> str:
    try:
        fitting = [s for s in smallest_spreads(question) if fits(question, s)]
    except DoesNotFit:
        return "no number of these GPUs fits it; use a narrower --weights or --kv"
    gpus = fitting[0].gpus
    return f"--gpus {gpus} would fit, or a narrower --weights or --kv"
