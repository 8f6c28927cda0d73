"""What was not asked for: how many GPUs, which layout, which batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from costcalc.engine.layout import Layout
from costcalc.engine.machine import reach
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.explore.candidates import candidate_layouts, customary_layout, spreads_on
from costcalc.explore.evaluate import capacity
from costcalc.explore.layouts import Degrees, DoesNotFit, Spread, given_spread, node_counts
from costcalc.explore.question import Question
from costcalc.explore.weigh import TIE, Weighed, weigh
from costcalc.frozen import Record

__all__ = ["Cheaper", "DoesNotFit", "Plan", "plan", "spreads_asked_for"]

NOTABLE = 0.9
"""More GPUs are worth a note where a request takes less than this share of the GPU time on them."""


class Cheaper(Record):
    """More GPUs, on which the same request is notably cheaper."""

    spread: Spread
    cost_ratio: float  # of a request's GPU time to that of the plan


class Plan(Record):
    """A deployment that answers the question."""

    spread: Spread
    batch: int  # sequences of one replica
    keeps_limits: bool = True
    gpus_chosen: bool = False
    layout_chosen: bool = False
    batch_chosen: bool = False
    weighed: int = 1  # layouts that fit, of which this one was chosen
    cheaper: Cheaper | None = None


def plan(question: Question) -> Plan:
    """Choose what was left open; raises DoesNotFit where nothing fits on the GPUs asked for."""
    asked = question.options.degrees
    if question.options.terms != "all":
        return _term(question)
    if asked.layout_given or asked.gpus:
        found = weigh(question, spreads_asked_for(question))
        return _plan(question, found, range(len(found.spreads)))
    smallest = _smallest(question)
    in_node = [Spread(x) for n in _counts_in_node(question, smallest[0].gpus) for x in _layouts(question, n)]
    beyond = [] if question.options.batch else _beyond(question, smallest[0].gpus)
    found = weigh(question, [*smallest, *in_node, *beyond])
    own = range(len(smallest) + len(in_node))
    return _plan(question, found, own, range(len(own), len(found.spreads)))


def spreads_asked_for(question: Question) -> list[Spread]:
    """The layout asked for, or every one to weigh on the GPUs asked for."""
    asked = question.options.degrees
    if asked.layout_given:
        return [given_spread(question.model, question.gpu, asked)]
    assert asked.gpus is not None
    return spreads_on(question.model, question.gpu, asked.gpus)


def _plan(question: Question, found: Weighed, own: Sequence[int], beyond: Sequence[int] = ()) -> Plan:
    fitting = [index for index in own if found.fits[index, 0]]
    if not fitting:
        raise _does_not_fit(question, found.spreads[0], needed(question))
    best = _cheapest_count(found, fitting)
    asked = question.options.degrees
    excess = float(found.excess[best, 0])
    return Plan(
        found.spreads[best],
        int(found.batch[best, 0]),
        keeps_limits=excess <= 1.0,
        gpus_chosen=asked.gpus is None and not asked.layout_given,
        layout_chosen=not asked.layout_given,
        batch_chosen=question.options.batch is None,
        weighed=len(fitting),
        cheaper=_cheaper(found, best, beyond),
    )


def _cheapest_count(found: Weighed, fitting: Iterable[int]) -> int:
    """The best layout of the count of GPUs that is cheapest, or of a smaller one that costs hardly more."""
    counts: dict[int, list[int]] = {}
    for index in fitting:
        counts.setdefault(found.spreads[index].gpus, []).append(index)
    each = [_best(found, indices) for _, indices in sorted(counts.items())]
    excess = found.excess[each, 0]
    seconds = np.where(excess <= max(1.0, float(excess.min())), found.seconds[each, 0], np.inf)
    return each[int(np.argmax(seconds <= TIE * seconds.min()))]


def _best(found: Weighed, indices: Sequence[int]) -> int:
    kept = list(indices)
    part = Weighed(
        tuple(found.spreads[index] for index in kept),
        found.batch[kept],
        found.held[kept],
        found.excess[kept],
        found.seconds[kept],
    )
    return kept[int(part.best()[0])]


def _cheaper(found: Weighed, best: int, beyond: Iterable[int]) -> Cheaper | None:
    """The fewest more GPUs that bring most of what more GPUs can save, where that is notable."""
    ratios = found.seconds[:, 0] / found.seconds[best, 0]
    if found.excess[best, 0] > 1:
        return None
    worth = [index for index in beyond if found.excess[index, 0] <= 1 and ratios[index] < NOTABLE]
    if not worth:
        return None
    enough = min(ratios[index] for index in worth) / NOTABLE
    least = min(found.spreads[index].gpus for index in worth if ratios[index] <= enough)
    index = min((i for i in worth if found.spreads[i].gpus == least), key=lambda i: float(ratios[i]))
    return Cheaper(found.spreads[index], float(ratios[index]))


def _term(question: Question) -> Plan:
    """A term of the bill costs the same on any number of GPUs; one shows it plainly."""
    asked, wanted = question.options.degrees, question.options.batch
    if asked == Degrees():
        spread = Spread(Layout())
    elif asked.layout_given:
        spread = given_spread(question.model, question.gpu, asked)
    else:
        spreads = spreads_asked_for(question)
        spread = next((s for s in spreads if capacity(question, s.layout)[1] >= (wanted or 1)), spreads[0])
    return Plan(
        spread,
        wanted or int(spread.layout.data * spread.layout.pipeline),
        gpus_chosen=asked == Degrees(),
        layout_chosen=not asked.layout_given,
        batch_chosen=wanted is None,
    )


def _smallest(question: Question) -> list[Spread]:
    """Layouts on the fewest GPUs that fit, whole nodes beyond the first; raises where none does."""
    gpus = needed(question)
    if gpus is None:
        most = node_counts(question.gpu)[-1]
        raise _does_not_fit(question, Spread(customary_layout(question.model, question.gpu, most)), None)
    return [Spread(x) for x in candidate_layouts(question.model, question.gpu, gpus)]


def needed(question: Question) -> int | None:
    """The fewest GPUs that fit, whole nodes beyond the first; None where no number does."""
    q = question
    whole = float(weights_bytes_per_gpu(q.model, Layout(), q.formats))
    usable = float(q.machine.memory) * q.budget.utilization - q.budget.reserve
    for gpus in node_counts(q.gpu):
        if gpus * usable <= whole:
            continue
        layouts = candidate_layouts(q.model, q.gpu, gpus)
        if any(capacity(q, layout)[1] >= (q.options.batch or 1) for layout in layouts):
            return gpus
    return None


def _counts_in_node(question: Question, smallest: int) -> list[int]:
    """More GPUs than the smallest count inside its node: they may be cheaper, and nobody misses the rest."""
    node = question.gpu.node_size
    return [n for n in node_counts(question.gpu, most=node) if smallest < n <= node]


def _beyond(question: Question, smallest: int) -> list[Spread]:
    """Customary layouts of one replica, and experts spread, on multiples of the smallest count and a whole domain."""
    gpu = question.gpu
    counts = {smallest * n for n in (2, 4, 8)} | {gpu.domain, gpu.node_size * 2}
    most = reach(gpu)
    found = []
    for gpus in sorted(n for n in counts if max(smallest, gpu.node_size) < n <= most):
        layouts = candidate_layouts(question.model, gpu, gpus)
        largest = max(int(x.expert) for x in layouts)
        spread = [x for x in layouts[1:] if x.tensor == 1 and x.pipeline == 1 and x.expert == largest]
        found += [Spread(x) for x in (layouts[0], *spread)]
    return found


def _does_not_fit(question: Question, tried: Spread, needs: int | None) -> DoesNotFit:
    from costcalc.explore.shortfall import does_not_fit  # a success need not wait for the words of a failure

    return does_not_fit(question, tried, needs)


def _layouts(question: Question, gpus: int) -> list[Layout]:
    return candidate_layouts(question.model, question.gpu, gpus)
