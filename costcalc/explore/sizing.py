"""How many GPUs a demand takes: replicas of the size and layout that serve it most cheaply under the limits of time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

import numpy as np

from costcalc.engine.parallelism import Chosen, Degrees, Deployment
from costcalc.explore.search import TIE, choose_deployment, fewest, search_layouts, single_replicas, stacked
from costcalc.fields import Record
from costcalc.predict.predict import predict, prefill_layout
from costcalc.predict.quantities import Answered, numbers_of
from costcalc.predict.results import HOURS_OF_A_MONTH, DemandResult, ServingResult
from costcalc.predict.scenario import Scenario
from costcalc.units import Demand, parse_demand

_SERVED = frozenset({"serving.output_tokens_per_s", "serving.prefill_gpus"})
A_HAIR = 1 - 1e-9
"""A hair of rounding must not buy a replica."""


class Size(Record):
    """A replica of one size, at the batch that serves most under the limits of time, and what a demand takes of it."""

    deployment: Deployment  # one replica
    batch: float  # [sequences]
    excess: float  # of the limits of time: up to 1 they are kept
    requests_per_s: float  # that one replica serves
    prefill_gpus: float  # of a pool of its own, for one replica
    replicas: int
    gpus: int  # in all, pool included

    @property
    def exact_gpus(self) -> float:
        """GPUs for each request per second, as if replicas could be had in parts [GPU·s]."""
        return (self.deployment.gpus + self.prefill_gpus) / self.requests_per_s


def demanded(q: Scenario) -> Demand | None:
    """The demand of a question."""
    return None if q.options.demand is None else parse_demand(q.options.demand)


def replicas_for(demand: Demand, output_tokens: float, served: float, batch: float, utilization: float = 1.0) -> int:
    """Whole replicas that a demand takes: of requests by what one serves, of users by its batch.

    output_tokens: of a request. served: requests per second of a replica at `batch` [sequences]. utilization: share of
    the hours in which it serves.
    """
    rate = demand.requests_per_s(output_tokens)
    exact = demand.amount / batch if rate is None else rate / (served * utilization)
    return max(1, ceil(exact * A_HAIR))


def pool_for(q: Scenario, deployment: Deployment, replicas: int, prefill_gpus: float) -> int:
    """GPUs of a pool of its own that prefills for all replicas, in whole workers; prefill_gpus: for one of them."""
    worker = int(prefill_layout(q, deployment.layout).gpus)
    return worker * ceil(replicas * prefill_gpus / worker * A_HAIR)


def sizes(q: Scenario, demand: Demand, deployments: Sequence[Deployment]) -> list[Size]:
    """What a demand takes of each deployment that fits, each one replica, at its best batch: the fewest GPUs first.

    Those that keep the limits of time stand before those that do not.
    """
    found = search_layouts(q, deployments)
    kept = np.flatnonzero(found.fits[:, 0])
    if not len(kept):
        return []
    few, batch = [found.deployments[int(index)] for index in kept], found.batch[kept]
    at = predict(q, stacked(few), batch[:, :, None], full=False)
    ones, gpus = np.ones((len(few), 1, 1)), np.array([each.gpus for each in few])[:, None, None]
    numbers = numbers_of(Answered(q, ones, gpus, at, None, 1.0), _SERVED)
    shape = (len(few), 1, 1)
    tokens = np.broadcast_to(numbers["serving.output_tokens_per_s"], shape)[:, 0, 0]
    pools = np.broadcast_to(numbers.get("serving.prefill_gpus", np.zeros(1)), shape)[:, 0, 0]
    output, use = float(q.output_tokens), q.options.utilization
    rows = []
    for place, each in enumerate(few):
        served = float(tokens[place]) / output
        count = replicas_for(demand, output, served, float(batch[place, 0]), use)
        pool = pool_for(q, each, count, float(pools[place])) if pools[place] else 0
        excess = float(found.excess[kept[place], 0])
        total = count * each.gpus + pool
        rows.append(Size(each, float(batch[place, 0]), excess, served, float(pools[place]), count, total))
    least = min(each.excess for each in rows)
    return sorted(rows, key=lambda each: (max(each.excess, 1.0) if least > 1 else each.excess > 1, *_cost(each)))


def _cost(size: Size) -> tuple[float, float]:
    """What of several is cheaper: fewer GPUs, and of as many those with most room to spare."""
    return size.gpus, size.exact_gpus


def deployment_for(q: Scenario) -> Chosen:
    """Choose what was left open, for a demand a replica of the size that serves it with the fewest GPUs.

    Raises DoesNotFit where nothing fits on the GPUs asked for.
    """
    demand, given = demanded(q), q.options
    if demand is None or given.degrees != Degrees() or given.load_told or given.terms != "all":
        return choose_deployment(q)
    least = fewest(q)
    found = sizes(q, demand, single_replicas(q, least[0].gpus))
    if not found:  # of a batch that is told, only larger replicas hold it
        return choose_deployment(q)
    # The first of as many GPUs is the customary layout where none has clearly more room.
    alike = [each for each in found if each.gpus == found[0].gpus and each.exact_gpus <= TIE * found[0].exact_gpus]
    best = min(alike, key=lambda each: (each.excess > 1, each.deployment.gpus))
    return Chosen(
        best.deployment,
        int(best.batch),
        keeps_limits=best.excess <= 1,
        gpus_chosen=True,
        layout_chosen=True,
        batch_chosen=given.batch is None,
        weighed=len(found),
    )


def demand_of(
    q: Scenario, deployment: Deployment, batch: float, serving: ServingResult, price: Callable[[float], float | None]
) -> DemandResult | None:
    """What the demand asked for takes of replicas like those of `deployment`, or None where none was asked for.

    serving: of the deployment, at `batch` [sequences] of one replica. price: of a GPU that works for a share of the
        hours [$/h].
    """
    asked = demanded(q)
    if asked is None or serving.output_tokens_per_s is None:
        return None
    output = float(q.output_tokens)
    served = serving.output_tokens_per_s / deployment.replicas / output
    replicas = replicas_for(asked, output, served, batch, q.options.utilization)
    requests, speed = asked.requests_per_s(output), None
    if requests is None:
        share = asked.amount / replicas
        at = predict(q, deployment.layout, share, replicas)
        requests = asked.amount / float(at.time_to_first_token + output * at.time_per_output_token)
        speed = 1 / float(at.time_per_output_token)
        load = share / batch
    else:
        load = requests / (served * q.options.utilization * replicas)
    pool = pool_for(q, deployment, replicas, (serving.prefill_gpus or 0.0) / deployment.replicas)
    gpus = replicas * int(deployment.layout.gpus) + pool
    paid = price(load * q.options.utilization)
    hourly = None if paid is None else gpus * paid
    each = None if hourly is None else hourly / (requests * 3600)
    users = asked.amount if asked.of == "users" else None
    month = None if hourly is None else hourly * HOURS_OF_A_MONTH
    return DemandResult(
        requests,
        requests * output,
        replicas,
        gpus,
        load,
        hourly,
        month,
        users,
        None if each is None else each / (float(q.input_tokens) + output) * 1e6,
        None if each is None else each / output * 1e6,
        each,
        None if month is None or users is None else month / users,
        speed,
    )
