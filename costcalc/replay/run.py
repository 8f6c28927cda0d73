"""A fleet under a load: its schedulers set up as the engine has them, the requests replayed, the outcome told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import ceil, floor
from typing import Any

import numpy as np

from costcalc.engine.memory import (
    BLOCK,
    cache_bytes_per_sequence_per_gpu,
    held_bytes_per_sequence,
    kv_pool_bytes_per_gpu,
)
from costcalc.engine.parallelism import Deployment, Parallelism, layout_name
from costcalc.errors import CostcalcError
from costcalc.fields import Array, Record, total
from costcalc.predict.predict import (
    mixes_prefill,
    predict,
    prefill_layout,
    scheduled_at_most,
    settled_batch,
    startup_seconds,
    tokens_of_pass,
)
from costcalc.predict.scenario import Scenario
from costcalc.replay.replica import NEVER, Engine, Replica, Request
from costcalc.replay.results import (
    TIMES,
    CacheLoad,
    Fleet,
    Goodput,
    Moment,
    Queue,
    Simulation,
    in_flight,
    most_in_flight,
    percentiles,
)
from costcalc.replay.scheduler import PrefillPool, Replay, Router, replay
from costcalc.replay.steps import StepTimes, step_times
from costcalc.replay.traffic import Traffic

COMMON = 8
"""Lengths that are met most often and stand in the tables themselves."""
STATE_TOKENS = 1 << 40
"""Tokens of a block of a cache that does not grow with them."""


class Pool(Record):
    """A pool of its own that prefills, of GPUs that may be others than those that decode."""

    scenario: Scenario  # the same question on its GPUs
    layout: Parallelism  # of a worker
    workers: int
    usd_per_gpu_hour: float | None = None

    @property
    def gpus(self) -> int:
        """GPUs of all workers."""
        return self.workers * int(self.layout.gpus)


def engine_of(scenario: Scenario, layout: Parallelism, longest: float, endless: bool = False) -> Engine:
    """A replica's scheduler as `estimate` has it: budget, sequences, memory, waits.

    longest: request [tokens]; up to it, what a sequence takes of the cache is taken to be linear in its length.
    """
    q = scenario
    measured = q.constants.engine(q.backend) if q.backend else None
    blocks, tokens, fixed = _blocks(q, layout, longest)
    return Engine(
        sequences=max(int(min(float(scheduled_at_most(q, layout)), 1e6)), 1),
        step_tokens=float(min(float(tokens_of_pass(q, layout)) * float(layout.attention_dp), 1e12)),
        mixes=mixes_prefill(q),
        stages=int(layout.pp),
        reserves=bool(q.budget.reserved_output >= 1),
        accepted=float(q.tokens_per_step),
        startup=float(startup_seconds(q)),
        admission_steps=float((measured.admission_steps if measured else 0.5) + q.load.polling_steps),
        blocks=blocks,
        block_tokens=tokens,
        fixed_blocks=fixed,
        cached=float(q.cached),
        endless=endless,
    )


def _blocks(q: Scenario, layout: Parallelism, longest: float) -> tuple[int, int, int]:
    """Blocks of a replica's cache, tokens of each, and those that a sequence takes whatever its length."""
    pool = float(kv_pool_bytes_per_gpu(q.model, q.machine, layout, q.formats, q.budget)) * float(layout.attention_dp)
    high = 4096.0 * ceil(longest / 4096)
    low = high / 2
    of_low, of_high = (
        float(held_bytes_per_sequence(q.model, q.machine, layout, q.formats, each, q.budget)) for each in (low, high)
    )
    grown = (of_high - of_low) / (high - low)
    fixed = max(of_high - grown * high, 0.0)
    if grown * high < 1e-6 * of_high:
        return floor(pool / of_high), STATE_TOKENS, 0
    return floor(pool / (grown * BLOCK)), BLOCK, ceil(fixed / (grown * BLOCK) - 1e-6)


def transfer_seconds_per_token(scenario: Scenario, layout: Parallelism) -> float:
    """What a token of a prompt takes to be sent from or to the GPUs of a layout, each over its own network [s]."""
    q = scenario
    held = float(cache_bytes_per_sequence_per_gpu(q.model, layout, q.formats, q.input_tokens)) / float(q.input_tokens)
    bandwidth = float(q.machine.network_bandwidth)
    return held / (bandwidth if np.isfinite(bandwidth) else float(q.machine.link_bandwidth))


def _lengths(traffic: Traffic) -> list[float]:
    values, counts = np.unique(traffic.inputs, return_counts=True)
    return [float(each) for each in values[np.argsort(-counts, kind="stable")[:COMMON]]]


def simulated(
    scenario: Scenario,
    deployment: Deployment,
    batch: float,
    traffic: Traffic,
    *,
    router: Router = "round-robin",
    prefixes: str = "on",
    seed: int | None = None,
    usd_per_gpu_hour: float | None = None,
    prefill: Pool | None = None,
    tables: dict[Any, StepTimes] | None = None,
) -> Simulation:
    """Replay traffic on a deployment.

    scenario: with the traffic's mean lengths. batch: at which pools apart are balanced [sequences]. prefixes: 'on',
    where blocks of prefixes stay in the replica's cache until their room is needed, 'infinite', where they are stored
    elsewhere for ever, or 'off'. seed: that the traffic was drawn with. prefill: the pool that prefills, where pools
    are apart; by default one of like GPUs, as large as told, else as keeps those that decode busy. tables: of earlier
    replays of the very scenarios, to which those of this one are added.
    """
    kept: dict[Any, StepTimes] = {} if tables is None else tables

    def times_of(*given: Any) -> StepTimes:
        key = id(given[0]), *given[1:4], *map(tuple, given[4:5]), *given[5:]
        if key not in kept:
            kept[key] = step_times(*given)
        return kept[key]

    q, layout = scenario, deployment.layout
    longest = float((traffic.inputs + traffic.outputs).max())
    reuse = bool(traffic.prefixes) and prefixes != "off"
    engine = engine_of(q, layout, longest, endless=prefixes == "infinite")
    most = engine.sequences if traffic.concurrency is None else min(engine.sequences, traffic.concurrency)
    times = times_of(q, layout, max(most, 1), longest, _lengths(traffic), reuse)
    pool = None
    if q.disaggregated:
        prefill = prefill or _balanced(q, deployment, batch, usd_per_gpu_hour)
        p = prefill.scenario
        prompts = times if p is q else times_of(p, prefill.layout, 1, longest, _lengths(traffic), reuse)
        pool = _pool(q, layout, prefill, engine, prompts, longest)
        engine = Engine(**{**engine.__dict__, "startup": 0.0})
    first = Replica(engine, times)
    replicas = [first, *(Replica(engine, times, first.cache) for _ in range(deployment.replicas - 1))]
    requests = requests_of(traffic, reuse)
    if traffic.concurrency and not np.any(q.load.equal_lengths):
        life = _life_of_a_request(q, deployment, traffic.concurrency)
        for user, request in enumerate(requests[: traffic.concurrency]):
            request.arrival = user * life / traffic.concurrency
    found = _replayed(requests, traffic, replicas, router, pool)
    apart = prefill.gpus if prefill and pool else None
    hourly = None if usd_per_gpu_hour is None else usd_per_gpu_hour * deployment.gpus
    if prefill and apart:
        own = prefill.usd_per_gpu_hour
        hourly = None if hourly is None or own is None else hourly + own * apart
    fleet = Fleet(
        q.model.name,
        q.gpu.name,
        deployment.gpus + (apart or 0),
        deployment.replicas,
        layout_name(deployment),
        q.backend,
        engine.sequences,
        engine.blocks * engine.block_tokens if engine.block_tokens < STATE_TOKENS else None,
        apart,
        usd_per_gpu_hour,
        prefill.scenario.gpu.name if prefill and apart else None,
        hourly,
    )
    return _told(fleet, traffic, found, replicas, pool, (q.options.ttft, q.options.tpot), router, seed)


def _life_of_a_request(scenario: Scenario, deployment: Deployment, users: float) -> float:
    """From arrival to the last token, of so many users at all replicas together [s]."""
    told = replace(scenario.options, batch=None, concurrency=users)
    q = replace(scenario, options=told, load=replace(scenario.load, concurrency=users))
    at = predict(q, deployment.layout, settled_batch(q, deployment.layout, deployment.replicas), deployment.replicas)
    return float(at.time_to_first_token + q.output_tokens * at.time_per_output_token)


def requests_of(traffic: Traffic, reuse: bool) -> list[Request]:
    """The requests of traffic, with the ids of their prefixes where these are reused."""
    ids: Any = traffic.prefixes if reuse else [()] * len(traffic)
    columns = traffic.arrivals.tolist(), traffic.inputs.tolist(), traffic.outputs.tolist(), ids
    return [Request(index, *row) for index, row in enumerate(zip(*columns, strict=True))]


def _balanced(q: Scenario, deployment: Deployment, batch: float, usd_per_gpu_hour: float | None) -> Pool:
    """The pool that prefills on like GPUs: as large as told, else as keeps the replicas that decode busy."""
    apart, told = prefill_layout(q, deployment.layout), q.load.prefill_gpus
    if told is None:
        at = predict(q, deployment.layout, batch, deployment.replicas)
        workers = ceil(float(deployment.replicas * at.prefill_per_decode(q.output_tokens)) - 1e-9)
    else:
        workers = workers_on(float(told), apart)
    return Pool(q, apart, max(workers, 1), usd_per_gpu_hour)


def workers_on(gpus: float, layout: Parallelism) -> int:
    """Workers of a pool of so many GPUs; raises CostcalcError where there is none."""
    workers = int(gpus // float(layout.gpus))
    if not workers:
        hint = f"a worker is {int(layout.gpus)} GPUs; see --prefill-tp"
        raise CostcalcError("no worker fits on them", where="prefill_gpus", hint=hint)
    return workers


def _pool(
    q: Scenario, layout: Parallelism, prefill: Pool, engine: Engine, times: StepTimes, longest: float
) -> PrefillPool:
    """The pool's queue: prompts that it computes at once, its cache, and the slower network of both pools."""
    p, apart = prefill.scenario, prefill.layout
    blocks, tokens, _ = _blocks(p, apart, longest)
    own = Engine(**{**engine.__dict__, "blocks": blocks * prefill.workers, "block_tokens": tokens})
    servers = int(prefill.workers * apart.attention_dp * apart.pp)
    sent = max(transfer_seconds_per_token(q, layout), transfer_seconds_per_token(p, apart) if p is not q else 0.0)
    return PrefillPool(own, times.prompts(1), servers, sent)


def _replayed(
    requests: list[Request], traffic: Traffic, replicas: list[Replica], router: Router, pool: PrefillPool | None
) -> Replay:
    if traffic.concurrency is None:
        return replay(requests, replicas, router, pool=pool)
    following = iter(requests[traffic.concurrency :])

    def again(now: float) -> Request | None:
        request = next(following, None)
        if request is not None:
            request.arrival = now
        return request

    return replay(requests[: traffic.concurrency], replicas, router, again, pool)


# The outcome.


def _told(
    fleet: Fleet,
    traffic: Traffic,
    found: Replay,
    replicas: list[Replica],
    pool: PrefillPool | None,
    limits: tuple[float | None, float | None],
    router: Router,
    seed: int | None,
) -> Simulation:
    served = [each for each in found.requests if each.done < NEVER]
    begin, end = _window(traffic, found)
    counted = [each for each in served if each.arrival >= begin and each.arrival <= end]
    of = _column_of(counted)
    arrival, admitted, first, done = of("arrival"), of("admitted"), of("first"), of("done")
    output = of("output")
    span = max(end - begin, 1e-12)
    ttft, latency = first - arrival, done - arrival
    several = output > 1
    tpot = (done[several] - first[several]) / (output[several] - 1)
    of_finished = _column_of([each for each in served if begin < each.done <= end])
    finished = of_finished("output")
    tokens_per_s = float(finished.sum()) / span
    usd = None if fleet.usd_per_hour is None else fleet.usd_per_hour * span / 3600
    whole = max(found.end, 1e-12)
    every = _column_of(served)
    entered = sum(each.input for each in served)
    blocks = replicas[0].engine.blocks * len(replicas)
    moments = np.linspace(begin, end, TIMES)
    waiting = in_flight(every("arrival"), every("admitted"), moments)
    running = in_flight(every("admitted"), every("done"), moments)
    return Simulation(
        fleet=fleet,
        traffic=traffic.source,
        router=router,
        seed=seed,
        requests=len(found.requests),
        completed=len(served),
        refused=len(found.refused),
        preemptions=sum(each.preemptions for each in replicas),
        duration_s=span,
        requests_per_s=traffic.rate,
        saturated=saturated(traffic, served, pool is not None),
        ttft_s=percentiles(ttft),
        tpot_s=percentiles(tpot),
        latency_s=percentiles(latency),
        output_tokens_per_s=tokens_per_s,
        running=float((done - admitted).sum() / span) if len(counted) else 0.0,
        queue=Queue(
            float((admitted - arrival).sum() / span) if len(counted) else 0.0,
            most_in_flight(arrival, admitted),
            percentiles(admitted - arrival),
        ),
        cache=CacheLoad(
            sum(each.hit for each in served) / entered if entered else 0.0,
            None if blocks > 1 << 50 else sum(each.held for each in replicas) / (blocks * whole),
        ),
        utilization=_at_work(fleet, replicas, pool) / (whole * fleet.gpus),
        goodput=_goodput(ttft, latency, output, limits, len(found.refused), span),
        usd_per_million_output_tokens=usd / finished.sum() * 1e6 if usd is not None and len(finished) else None,
        usd_per_million_blended_tokens=usd / (finished + of_finished("input")).sum() * 1e6
        if usd is not None and len(finished)
        else None,
        usd_per_request=usd / len(finished) if usd is not None and len(finished) else None,
        input_tokens=float(traffic.inputs.mean()),
        output_tokens=float(traffic.outputs.mean()),
        ttft_limit_s=limits[0],
        tpot_limit_s=limits[1],
        timeline=tuple(map(Moment, moments.tolist(), waiting.tolist(), running.tolist())),
    )


def _at_work(fleet: Fleet, replicas: list[Replica], pool: PrefillPool | None) -> float:
    """Seconds of GPUs that had work, idle ones beside the replicas not counted [s]."""
    apart = fleet.prefill_gpus or 0
    decoding = total(each.busy for each in replicas) * (fleet.gpus - apart) / len(replicas)
    return decoding + (pool.busy / pool.servers * apart if pool else 0.0)


def _column_of(requests: list[Request]) -> Callable[[str], Array]:
    return lambda name: np.array([getattr(each, name) for each in requests], dtype=float)


def _window(traffic: Traffic, found: Replay) -> tuple[float, float]:
    """Seconds that are looked at: of a closed loop, from when its first users were answered until no more ask."""
    users = traffic.concurrency
    if users is None or len(found.requests) < 3 * users:
        return 0.0, found.end
    return found.requests[2 * users - 1].arrival, found.requests[-1].arrival


def _goodput(
    ttft: Array, latency: Array, output: Array, limits: tuple[float | None, float | None], refused: int, span: float
) -> Goodput | None:
    if limits == (None, None):
        return None
    tpot = (latency - ttft) / np.maximum(output - 1, 1)
    kept = (ttft <= (limits[0] or np.inf)) & (tpot <= (limits[1] or np.inf))
    return Goodput(float(kept.sum()) / max(len(kept) + refused, 1), float(kept.sum()) / span)


GROWING = 1.5
"""Of waits at the end over those in the middle, from which on a queue is said to grow."""
OVERLOADED = 0.02
"""Wait at the end over the time for which requests came: where they come r times as fast as they are served, r - 1."""


def saturated(traffic: Traffic, served: list[Request], apart: bool = False) -> bool:
    """Whether the queue grew as long as requests came: the last tenth waited longer than the middle one, and longer
    than a load would make it that is 2% over what is served.

    apart: whether a pool of its own prefills, behind which those that decode have a queue, too.
    """
    span = float(traffic.arrivals[-1])
    if traffic.concurrency is not None or len(served) < 50 or not span:
        return False
    by_arrival = sorted(served, key=lambda each: each.index)
    tenth = len(by_arrival) // 10
    middle = len(by_arrival) // 2

    def wait(part: list[Request]) -> float:
        begun = (each.first if apart else each.admitted for each in part)
        return float(np.median([at - each.arrival for at, each in zip(begun, part, strict=True)]))

    late = wait(by_arrival[-tenth:])
    return late > GROWING * wait(by_arrival[middle - tenth // 2 : middle + tenth // 2]) and late > OVERLOADED * span
