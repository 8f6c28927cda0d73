"""The scheduler's rules once more, one step at a time and with every block counted: what the replay is checked against.

Rules: vLLM, v1/core/sched/scheduler.py. Those that run take a block where their last one is full; where none is left,
the request admitted last goes back to the head of the queue. Nobody is admitted at a boundary at which one was lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any

BLOCK, PREFIX = 16, 512


@dataclass(eq=False)
class One:
    arrival: float
    input: int
    output: int
    ids: tuple[int, ...] = ()
    written: int = 0  # tokens of the answer
    computed: float = 0.0  # of what has to be computed before it decodes
    fresh: float = 0.0
    decoding: bool = False
    length: int = 0  # tokens in the cache
    own: int = 0
    hit: int = -1
    first: float = -1.0
    done: float = -1.0
    shared: list[int] = field(default_factory=list)


class Cache:
    def __init__(self, blocks: int) -> None:
        self.blocks, self.holders, self.order = blocks, dict[int, int](), list[int]()
        self.sizes: dict[int, int] = {}
        self.own = 0

    def available(self) -> int:
        return self.blocks - self.own - sum(self.sizes[i] for i, n in self.holders.items() if n)

    def make_room(self) -> None:
        while self.own + sum(self.sizes.values()) > self.blocks:
            oldest = self.order.pop(0)
            del self.holders[oldest], self.sizes[oldest]

    def admit(self, one: One, tokens: int) -> bool:
        found = []
        for each in one.ids:
            if each not in self.holders:
                break
            found.append(each)
        size = {i: ceil(min(PREFIX, one.input - n * PREFIX) / BLOCK) for n, i in enumerate(one.ids)}
        own = ceil(tokens / BLOCK) - sum(size.values())
        new = own + sum(size[i] for i in one.ids if i not in found)
        kept = sum(size[i] for i in found if not self.holders[i])
        if new + kept > self.available() - one.own:
            return False
        for each in found:
            if not self.holders[each]:
                self.order.remove(each)
            self.holders[each] += 1
        for each in one.ids[len(found) :]:
            self.holders[each], self.sizes[each] = 1, size[each]
        self.own += own
        one.own = own
        hit = min(len(found) * PREFIX, one.input)
        one.hit = hit if one.hit < 0 else one.hit
        one.fresh = max(one.input + one.written - hit, 1)
        self.make_room()
        return True

    def give_back(self, one: One) -> None:
        self.own -= one.own
        one.own = 0
        for each in reversed(one.ids):
            self.holders[each] -= 1
            if not self.holders[each]:
                self.order.append(each)


def run(
    ones: list[One], times: Any, blocks: int, sequences: int, budget: float, mixes: bool = True, reserves: bool = False
) -> int:
    """Let requests through one replica; returns how often one was lost.

    mixes: prompts ride on decode steps, which otherwise stop for them. reserves: blocks for whole answers.
    """
    cache, lost, now = Cache(blocks), 0, 0.0
    coming, waiting, active = list(ones), list[One](), list[One]()  # active: in order of admission
    while coming or waiting or active:
        while coming and coming[0].arrival <= now:
            waiting.append(coming.pop(0))
        if not waiting and not active:
            now = coming[0].arrival
            continue
        decoding = [each for each in active if each.decoding]
        here = False
        while True:
            growing = [each for each in decoding if each.length % BLOCK == 0 and not reserves]
            if len(growing) <= cache.available():
                break
            last = active.pop()
            cache.give_back(last)
            last.decoding, here, lost = False, True, lost + 1
            waiting.insert(0, last)
            decoding = [each for each in active if each.decoding]
        left = budget - sum(each.fresh - each.computed for each in active if not each.decoding)
        while waiting and not here and len(active) < sequences and left > 0:
            one = waiting[0]
            one.own = len(growing)  # the step that comes needs these
            if not cache.admit(one, one.input + (one.output if reserves else one.written)):
                one.own = 0
                break
            active.append(waiting.pop(0))
            one.computed, one.length = 0.0, one.input + one.written
            left -= one.fresh
        prompts = [each for each in active if not each.decoding]
        if prompts and not mixes:
            decoding, growing = [], []
        seconds, longest, room, chunks = 0.0, 0.0, budget, []
        row = times.prompts(max(sum(each.decoding for each in active), 1))
        for one in prompts:
            tokens = min(one.fresh - one.computed, room)
            chunks.append((one, tokens))
            take = row.added if decoding else row.own_pass
            each = take(one.fresh, one.input + one.written - one.fresh) * tokens / one.fresh
            seconds, longest = seconds + each, max(longest, each)
            room -= tokens
            if room <= 0:
                break
        if not decoding and len(chunks) > 1:
            seconds = max(longest, min(seconds, row.own_pass(sum(tokens for _, tokens in chunks), 0.0)))
        if decoding:
            mean = sum(each.length + 1 for each in decoding) / len(decoding)
            seconds += times.decode(len(decoding)).step(mean)
            for each in growing:
                each.own += 1
                cache.own += 1
            cache.make_room()
        now += seconds
        for each in decoding:
            each.length += 1
            each.written += 1
        for one, tokens in chunks:
            one.computed += tokens
            if one.computed >= one.fresh:
                one.decoding = True
                one.written += 1
                one.first = now if one.first < 0 else one.first
        for each in [each for each in active if each.written >= each.output]:
            each.done = now
            active.remove(each)
            cache.give_back(each)
    return lost
