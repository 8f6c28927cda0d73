"""Requests through replicas, from event to event: a router before them, a pool that prefills where that is apart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from math import ceil
from typing import Any, Literal

from costcalc.replay.blocks import PREFIX_TOKENS, BlockCache
from costcalc.replay.replica import NEVER, Engine, Replica, Request
from costcalc.replay.steps import PromptRow

Router = Literal["round-robin", "least-loaded", "prefix"]
BOUNDED = 1.25
"""Unanswered requests of a replica over the mean, from which on no more are sent there for their prefix (consistent
hashing with bounded loads, Mirrokni, Thorup and Zadimoghaddam 2016, arXiv 1608.01350)."""
Next = Callable[[float], Request | None]
"""Whoever is answered asks again: the next request at a time [s], or None."""


class PrefillPool:
    """Workers that prefill, and send what they cached to whoever decodes; they share one queue and one cache."""

    def __init__(self, engine: Engine, prompts: PromptRow, servers: int, transfer: float = 0.0) -> None:
        """servers: prompts that are computed at once. transfer: of a prompt's cache [s/token]."""
        self.engine, self.prompts, self.idle, self.servers, self.transfer = engine, prompts, servers, servers, transfer
        self.cache = BlockCache(engine.blocks, engine.endless)
        self.waiting: deque[Request] = deque()
        self.busy = 0.0  # [s] of all servers

    def start(self, now: float) -> list[tuple[float, Request]]:
        """Begin what free servers and blocks allow; returns when each will be done, its transfer not included."""
        e, begun = self.engine, []
        while self.idle and self.waiting:
            request = self.waiting[0]
            blocks, ids = -(-request.length // e.block_tokens), request.ids
            leading = self.cache.leading(ids)
            if self.cache.missing(ids, leading, blocks) > self.cache.available:
                break
            self.waiting.popleft()
            self.idle -= 1
            last = -(-(request.input - PREFIX_TOKENS * (len(ids) - 1)) // e.block_tokens) if ids else 0
            request.own = self.cache.hold(ids, leading, PREFIX_TOKENS // e.block_tokens, last, blocks)
            hit = min(leading * PREFIX_TOKENS, request.input) if ids else e.cached * request.input
            request.hit, request.fresh = int(hit), max(request.length - hit, 1.0)
            request.admitted = now
            seconds = self.prompts.own_pass(request.fresh, request.length - request.fresh)
            self.busy += seconds
            begun.append((now + seconds, request))
        return begun


class Replay:
    """All requests, after they went through."""

    def __init__(self, requests: list[Request], refused: list[Request], end: float) -> None:
        self.requests, self.refused, self.end = requests, refused, end


def replay(
    arriving: Sequence[Request],
    replicas: Sequence[Replica],
    router: Router = "round-robin",
    again: Next | None = None,
    pool: PrefillPool | None = None,
) -> Replay:
    """Let requests through: `arriving` in order of arrival, and those that follow answers where `again` makes them."""
    events: list[tuple[float, int, Callable[..., None], Any, int]] = []
    tickets, turns = count(), count()
    requests, refused = list[Request](), list[Request]()
    end = 0.0

    def later(time: float, act: Callable[..., None], subject: Any, version: int = 0) -> None:
        heappush(events, (time, next(tickets), act, subject, version))

    def choose(request: Request) -> Replica:
        if router == "round-robin" or len(replicas) == 1:
            return replicas[next(turns) % len(replicas)]
        if router == "least-loaded" or not request.ids:
            return min(replicas, key=lambda each: each.outstanding)
        most = ceil(BOUNDED * (sum(each.outstanding for each in replicas) + 1) / len(replicas))
        open_to = [each for each in replicas if each.outstanding < most]
        return max(open_to, key=lambda each: (each.cache.leading(request.ids), -each.outstanding))

    def arrive(now: float, request: Request, _: int = 0) -> None:
        requests.append(request)
        if replicas[0].too_long(request) or (
            pool and -(-request.length // pool.engine.block_tokens) > pool.cache.total
        ):
            refused.append(request)
            follow(now)
        elif pool is None:
            submit(now, request)
        else:
            later(now + pool.engine.startup, queue, request)

    def follow(now: float) -> None:
        if again is not None and (request := again(now)) is not None:
            later(now, arrive, request)

    def submit(now: float, request: Request, _: int = 0) -> None:
        replica = choose(request)
        version = replica.version
        replica.submit(request, now)
        if replica.version != version:
            later(replica.ends, act, replica, replica.version)

    def act(now: float, replica: Replica, version: int) -> None:
        nonlocal end
        if version != replica.version:
            return
        for request in replica.finish(now):
            end = max(end, request.done)
            follow(request.done)
        replica.begin(now)
        if replica.ends < NEVER:
            later(replica.ends, act, replica, replica.version)

    def queue(now: float, request: Request, _: int = 0) -> None:
        assert pool is not None
        pool.waiting.append(request)
        for time, each in pool.start(now):
            later(time, computed, each)

    def computed(now: float, request: Request, _: int = 0) -> None:
        assert pool is not None
        pool.idle += 1
        later(now + pool.transfer * request.length, sent, request)
        for time, each in pool.start(now):
            later(time, computed, each)

    def sent(now: float, request: Request, _: int = 0) -> None:
        assert pool is not None
        pool.cache.release(request.ids, request.own)
        request.own, request.ids, request.prefilled = 0, (), True
        for time, each in pool.start(now):
            later(time, computed, each)
        submit(now, request)

    coming = iter(arriving)
    following = next(coming, None)
    while events or following is not None:
        if following is not None and (not events or following.arrival < events[0][0]):
            arrive(following.arrival, following)
            following = next(coming, None)
            continue
        time, _, do, subject, version = heappop(events)
        do(time, subject, version)
    return Replay(requests, refused, end)
