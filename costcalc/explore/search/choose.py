"""Which deployment: how many GPUs, which layout, which batch, where they were left open, for one cell or many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from costcalc.engine.memory import kv_pool_bytes_per_gpu, weights_bytes_per_gpu
from costcalc.engine.parallelism import Cheaper, Chosen, Degrees, Deployment, Parallelism, given_deployment, node_counts
from costcalc.engine.roofline import reach
from costcalc.explore.search.batches import FINE, TIE, LayoutSearch, allowed_excess, along_cells, search_layouts
from costcalc.explore.search.layouts import customary_layout, deployments_asked_for, layouts_on, stacked
from costcalc.explore.search.misfits import check_prefill_workers, does_not_fit
from costcalc.fields import Array
from costcalc.predict.predict import capacity, started
from costcalc.predict.scenario import Scenario

NOTABLE = 0.9
"""More GPUs are worth a note where a request takes less than this share of the GPU time on them."""


def choose_deployment(scenario: Scenario) -> Chosen:
    """Choose what was left open; raises DoesNotFit where nothing fits on the GPUs asked for."""
    asked = scenario.options.degrees
    if scenario.options.terms != "all":
        return _term(scenario)
    check_prefill_workers(scenario)
    if asked.layout_given or asked.gpus:
        found = search_layouts(scenario, deployments_asked_for(scenario))
        return _choose(scenario, found, range(len(found.deployments)))
    smallest = fewest(scenario)
    own = _own_choice(scenario, smallest[0].gpus)
    beyond = [] if scenario.options.batch else _beyond(scenario, smallest[0].gpus)
    found = search_layouts(scenario, [*own, *beyond])
    return _choose(scenario, found, range(len(own)), range(len(own), len(found.deployments)))


def _own_choice(scenario: Scenario, smallest: int) -> list[Deployment]:
    """Layouts on the fewest GPUs that fit, and on more of them inside a node: of these one is chosen."""
    counts = [smallest, *_counts_in_node(scenario, smallest)]
    return [Deployment(x) for gpus in counts for x in layouts_on(scenario, gpus)]


NOWHERE = -1
"""The place of a deployment where nothing fits."""
BLOCK = 32_768
"""Layouts × cells × batches that are weighed at once: their arrays stay in a processor's cache."""


def choose_each(
    scenario: Scenario, along: Mapping[str, Array], batch: Array | None = None
) -> tuple[list[Deployment], Array, Array]:
    """What `choose_deployment` chooses in every cell where neither GPUs nor degrees are asked for.

    along: lengths [tokens] and bandwidths [B/s] by name, an array of cells each. batch: [sequences] of the cells,
    where it is asked for. Returns deployments, the place among them of each cell's, NOWHERE where nothing fits, and its
    batch, at least 1.
    """
    check_prefill_workers(scenario)
    cells = len(next(iter(along.values()))) if along else len(batch) if batch is not None else 1
    smallest = needed_each(scenario, along, np.full(cells, scenario.options.batch or 1) if batch is None else batch)
    known: dict[Deployment, int] = {}
    place, sizes = np.full(cells, NOWHERE), np.ones(cells) if batch is None else np.array(batch, dtype=float)
    open_batch = batch is None and not (scenario.options.batch or scenario.options.load_told)
    for gpus in np.unique(smallest[smallest > 0]).tolist():
        own = _own_choice(scenario, gpus)
        within = np.flatnonzero(smallest == gpus)
        for some in _blocks(within, len(own) * ((FINE + 1) if open_batch else 1)):
            at = scenario.over({name: along_cells(values[some]) for name, values in along.items()})
            found = search_layouts(at, own, None if batch is None else along_cells(batch[some]))
            best = _cheapest_count(at, found, range(len(own)))
            fits = found.fits.any(axis=0)
            for index in np.unique(best[fits]).tolist():
                place[some[fits & (best == index)]] = known.setdefault(found.deployments[index], len(known))
            sizes[some[fits]] = found.batch[best, np.arange(len(some))][fits]
    return list(known), place, sizes


def best_batch_each(scenario: Scenario, deployment: Deployment, along: Mapping[str, Array]) -> Array:
    """The batch of lowest cost of a deployment in every cell [sequences], at least 1.

    along: lengths [tokens] and bandwidths [B/s] by name, an array of cells each.
    """
    cells = len(next(iter(along.values()))) if along else 1
    sizes = np.ones(cells)
    for some in _blocks(np.arange(cells), FINE + 1):
        at = scenario.over({name: along_cells(values[some]) for name, values in along.items()})
        sizes[some] = np.maximum(search_layouts(at, [deployment]).batch[0], 1)
    return sizes


def _blocks(cells: Array, each: int) -> Iterator[Array]:
    """Cells in parts, such that with `each` layouts and batches of them a part is a block."""
    size = max(BLOCK // each, 1)
    for start in range(0, len(cells), size):
        yield cells[start : start + size]


def _choose(scenario: Scenario, found: LayoutSearch, own: Sequence[int], beyond: Sequence[int] = ()) -> Chosen:
    fitting = int(found.fits[own, 0].sum())
    if not fitting:
        # The layout that holds most sequences says how many would fit; where none holds any, the customary one.
        most = max(own, key=lambda index: (float(found.held[index, 0]), -index))
        raise does_not_fit(scenario, found.deployments[most], needed(scenario))
    best = int(_cheapest_count(scenario, found, own)[0])
    asked = scenario.options.degrees
    excess = float(found.excess[best, 0])
    return Chosen(
        found.deployments[best],
        float(found.batch[best, 0]) if scenario.options.load_told else int(found.batch[best, 0]),
        keeps_limits=excess <= 1.0,
        gpus_chosen=asked.gpus is None and not asked.layout_given,
        layout_chosen=not asked.layout_given,
        batch_chosen=scenario.options.batch is None and not scenario.options.load_told,
        weighed=fitting,
        cheaper=_cheaper(found, best, beyond),
    )


def _cheapest_count(q: Scenario, found: LayoutSearch, own: Sequence[int]) -> Array:
    """In every cell where any fits, the best layout of the count of GPUs that is cheapest, or of a smaller one that
    costs hardly more.

    Whoever asks about a card of PCIe has one, or the fewest that hold the model: more of them are for the cells in
    which these keep no limit.
    """
    counts: dict[int, list[int]] = {}
    for index in own:
        counts.setdefault(found.deployments[index].gpus, []).append(index)
    each = np.stack([_best(found, indices) for _, indices in sorted(counts.items())])
    cells = np.arange(each.shape[1])
    excess, seconds = found.excess[each, cells], found.seconds[each, cells]
    seconds = np.where(excess <= np.maximum(1.0, excess.min(axis=0)), seconds, np.inf)
    if not q.machine.switched:
        seconds[1:] = np.where(excess[0] <= 1.0, np.inf, seconds[1:])
    return each[np.argmax(seconds <= TIE * seconds.min(axis=0), axis=0), cells]


def _best(found: LayoutSearch, indices: Sequence[int]) -> Array:
    """In every cell the best of some layouts: of customary ones the first that fits, where none is notably cheaper."""
    some = list(indices)
    allowed = found.excess[some] <= allowed_excess(found.excess[some].min(axis=0))
    seconds = np.where(allowed, found.seconds[some], np.inf)
    first = np.argmax(found.fits[some], axis=0)
    near = np.take_along_axis(seconds, first[None], axis=0)[0] <= TIE * seconds.min(axis=0)
    return np.asarray(some)[np.where(near & found.customary, first, np.argmin(seconds, axis=0))]


def _cheaper(found: LayoutSearch, best: int, beyond: Iterable[int]) -> Cheaper | None:
    """The fewest more GPUs that bring most of what more GPUs can save, where that is notable."""
    ratios = found.seconds[:, 0] / found.seconds[best, 0]
    if found.excess[best, 0] > 1:
        return None
    worth = [index for index in beyond if found.excess[index, 0] <= 1 and ratios[index] < NOTABLE]
    if not worth:
        return None
    enough = min(ratios[index] for index in worth) / NOTABLE
    least = min(found.deployments[index].gpus for index in worth if ratios[index] <= enough)
    index = min((i for i in worth if found.deployments[i].gpus == least), key=lambda i: float(ratios[i]))
    return Cheaper(found.deployments[index], float(ratios[index]))


def _term(scenario: Scenario) -> Chosen:
    """A term of the bill costs the same on any number of GPUs; one shows it plainly."""
    asked, wanted = scenario.options.degrees, scenario.options.batch
    if asked == Degrees():
        deployment = Deployment(Parallelism())
    elif asked.layout_given:
        deployment = given_deployment(scenario.model, scenario.gpu, asked, scenario.formats)
    else:
        deployments = deployments_asked_for(scenario)
        deployment = next((s for s in deployments if capacity(scenario, s.layout)[1] >= (wanted or 1)), deployments[0])
    return Chosen(
        deployment,
        wanted or int(deployment.layout.attention_dp * deployment.layout.pp),
        gpus_chosen=asked == Degrees(),
        layout_chosen=not asked.layout_given,
        batch_chosen=wanted is None,
    )


def fewest(scenario: Scenario) -> list[Deployment]:
    """Layouts on the fewest GPUs that fit, whole nodes beyond the first; raises where none does."""
    gpus = needed(scenario)
    if gpus is None:
        most = node_counts(scenario.gpu)[-1]
        raise does_not_fit(scenario, Deployment(customary_layout(scenario.model, scenario.gpu, most)), None)
    return [Deployment(x) for x in layouts_on(scenario, gpus)]


def needed(scenario: Scenario) -> int | None:
    """The fewest GPUs that fit, whole nodes beyond the first; None where no number does."""
    return int(needed_each(scenario, {}, np.array([scenario.options.batch or 1]))[0]) or None


def needed_each(scenario: Scenario, along: Mapping[str, Array], batch: Array) -> Array:
    """The fewest GPUs that fit in every cell, whole nodes beyond the first; 0 where no number does.

    along: lengths [tokens] by name, an array of cells each. batch: [sequences] of the cells.
    """
    q = scenario
    whole = float(weights_bytes_per_gpu(q.model, Parallelism(), q.formats))
    usable = float(q.machine.memory) * float(q.budget.utilization or 1.0)
    lengths = {name: values for name, values in along.items() if name != "memory_bandwidth"}
    found, left = np.zeros(len(batch), dtype=int), np.arange(len(batch))
    for gpus in node_counts(q.gpu) if q.machine.host is None else [1]:
        if gpus * usable <= whole:
            continue
        layouts = stacked([Deployment(x) for x in layouts_on(q, gpus)])
        pool = kv_pool_bytes_per_gpu(q.model, q.machine, layouts, q.formats, q.budget)
        at = q.over({name: along_cells(values[left]) for name, values in lengths.items()})
        fits = (np.asarray(started(at, layouts, pool, at.full_length)) >= along_cells(batch[left])).any(axis=(0, 2))
        found[left[fits]] = gpus
        left = left[~fits]
        if not len(left):
            break
    return found


def _counts_in_node(scenario: Scenario, smallest: int) -> list[int]:
    """More GPUs than the smallest count inside its node: they may be cheaper, and nobody misses the rest."""
    node = scenario.gpu.node_size
    return [n for n in node_counts(scenario.gpu, most=node) if smallest < n <= node]


def _beyond(scenario: Scenario, smallest: int) -> list[Deployment]:
    """Customary layouts of one replica, and experts spread, on multiples of the smallest count and a whole domain."""
    gpu = scenario.gpu
    counts = {smallest * n for n in (2, 4, 8)} | {gpu.domain, gpu.node_size * 2}
    most = reach(gpu)
    found = []
    for gpus in sorted(n for n in counts if max(smallest, gpu.node_size) < n <= most):
        layouts = layouts_on(scenario, gpus)
        largest = max(int(x.ep) for x in layouts)
        deployment = [x for x in layouts[1:] if x.tp == 1 and x.pp == 1 and x.ep == largest]
        found += [Deployment(x) for x in (layouts[0], *deployment)]
    return found
