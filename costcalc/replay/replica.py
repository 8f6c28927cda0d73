"""One replica's scheduler: what runs, what waits, and how long the next action takes.

Continuous batching as vLLM does it (v1/core/sched/scheduler.py): at every step those that run come first, one token
each; then whoever waits is admitted in order of arrival, as far as sequences, a step's budget of tokens and blocks of
the cache go. Where the cache is full, the request admitted last gives its blocks back and is computed again later.
Engines that do not mix stop decoding for a pass of prompts; those that keep room for whole answers are never full.
Between an arrival, an end and a full cache the batch is constant, and its steps are one action, summed in closed form.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from heapq import heappop, heappush
from math import ceil

from costcalc.fields import Record
from costcalc.replay.blocks import PREFIX_TOKENS, BlockCache
from costcalc.replay.steps import StepTimes

NEVER = float("inf")
GOLDEN = (5**0.5 - 1) / 2
"""Its multiples fill a circle most evenly."""
WAITING, PREFILLING, DECODING, DONE = range(4)


class Engine(Record):
    """What one replica's scheduler goes by."""

    sequences: int  # that run at once at most
    step_tokens: float  # of prompts in one step
    mixes: bool = True  # prompts ride on decode steps
    reserves: bool = False  # blocks for the whole answer, when a request is admitted
    stages: int = 1  # of a pipeline, the others of which go on with what runs while one computes a prompt
    accepted: float = 1.0  # tokens that a step yields for each sequence
    startup: float = 0.0  # [s] from a request to the scheduler
    admission_steps: float = 0.5  # decode steps until it is looked at; half of one where that is every step
    blocks: int = 1 << 60  # of the cache
    block_tokens: int = 16
    fixed_blocks: int = 0  # of a sequence, whatever its length: windows and states
    cached: float = 0.0  # share of every prompt that is in a cache anyway
    endless: bool = False  # prefixes are stored elsewhere, and never evicted


class Request:
    """One request on its way."""

    __slots__ = (
        "admitted",
        "arrival",
        "done",
        "entry",
        "first",
        "fresh",
        "hit",
        "ids",
        "index",
        "input",
        "joined",
        "leading",
        "left",
        "length",
        "output",
        "own",
        "phase",
        "preempted",
        "prefilled",
        "produced",
        "ready",
        "state",
    )  # fmt: skip

    def __init__(self, index: int, arrival: float, input: int, output: int, ids: Sequence[int] = ()) -> None:
        self.index, self.arrival, self.input, self.output, self.ids = index, arrival, input, output, ids
        self.ready = self.admitted = self.first = self.done = NEVER
        self.length = input  # tokens to compute before the next one: the prompt, and what was lost of an answer
        self.fresh = self.left = 0.0  # tokens of it that no cache has, and that are not yet computed
        self.leading = self.hit = 0  # prefix blocks found, and tokens of them
        self.produced = self.own = self.entry = self.joined = self.phase = self.preempted = 0
        self.state, self.prefilled = WAITING, False


class Replica:
    """One replica: a batch that decodes, prompts that are computed, and a queue."""

    def __init__(self, engine: Engine, times: StepTimes, store: BlockCache | None = None) -> None:
        """store: a cache whose endless prefixes are those of this replica, too."""
        self.engine, self.times = engine, times
        self.cache = BlockCache(engine.blocks, engine.endless, store)
        self.waiting: deque[Request] = deque()
        self.prefilling: list[Request] = []
        self.ending: list[tuple[int, int, Request]] = []  # heap of last steps, entries and requests
        self.admitted: list[tuple[int, Request]] = []  # entries and requests, the last one on top
        self.entries = self.step = self.batch = self.outstanding = 0
        self.context = 0.0  # of all that decode, in the next step [tokens]
        self.period = max(round(engine.block_tokens / engine.accepted), 1)  # steps for which a block lasts
        self.opening = [0] * self.period  # sequences that need a block before a step of this phase
        # The action under way: when it began and ends, its decode steps, its prompts with the tokens of each.
        self.began = self.ends = NEVER
        self.steps, self.version = 0, 0
        self.chunks: list[tuple[Request, float]] = []
        self.behind = 0.0  # [s] by which its first tokens come after it, through later stages
        self.busy = self.held = 0.0  # [s] at work, [s·blocks] held
        self.preemptions = 0

    # From outside: a request arrives, an action ends.

    def too_long(self, request: Request) -> bool:
        """Whether a request never fits into the cache."""
        e = self.engine
        return ceil((request.input + request.output) / e.block_tokens) + e.fixed_blocks > e.blocks

    def submit(self, request: Request, now: float) -> None:
        """Take a request that arrives; the scheduler sees it a little later."""
        request.ready = now + self.engine.startup + self._admission_seconds(request)
        self.outstanding += 1
        if self.waiting:
            request.ready = max(request.ready, self.waiting[-1].ready)
            self.waiting.append(request)
            return
        self.waiting.append(request)
        if self.ends == NEVER:
            self._plan(now, request.ready)
        elif self.steps and not self.chunks and self._has_room(request):
            self._cut(request.ready)

    def _admission_seconds(self, request: Request) -> float:
        """Time until the scheduler looks at a request [s], beyond half of a step, which passes until the next boundary.

        The constant was fitted beside a pass of the prompt's own; a prompt that rides on a step takes longer.
        """
        e, batch = self.engine, self.batch
        if not batch:
            return e.admission_steps * self.times.decode(1).step(request.length)
        step = self.times.decode(batch).step(self.context / batch)
        # Equal delays would tie users who ask again to one phase of a step; these are spread evenly over a whole one.
        seconds = (e.admission_steps - 1 + request.index * GOLDEN % 1.0) * step
        if e.mixes and not request.prefilled:
            prompts, fresh = self.times.prompts(batch), request.length * (1 - e.cached)
            seconds += prompts.own_pass(fresh, 0.0) - step - prompts.added(fresh, 0.0)
        return max(seconds, 0.0)

    def _plan(self, began: float, ends: float) -> None:
        self.began, self.ends = began, ends
        self.version += 1

    def _cut(self, ready: float) -> None:
        """End a run of decode steps at the first boundary at which a request is seen."""
        if ready >= self.ends:
            return
        row, mean, grows = self.times.decode(self.batch), self.context / self.batch, self.engine.accepted
        self.steps = row.steps_in(mean, self.steps, ready - self.began, grows)
        self._plan(self.began, self.began + row.steps(mean, self.steps, grows))

    def finish(self, now: float) -> list[Request]:
        """Do what the action under way did; returns the requests that it completed."""
        before, done = self.cache.held, list[Request]()
        if self.steps or self.chunks:
            self.busy += now - self.began
        if self.steps:
            self.cache.take(self._growth(self.steps))
            self.step += self.steps
            self.context += self.steps * self.batch * self.engine.accepted
        self.held += (now - self.began) * (before + self.cache.held) / 2
        ending = self.ending
        while ending and ending[0][0] <= self.step:
            _, entry, request = heappop(ending)
            if request.state == DECODING and request.entry == entry:
                self._leave(request)
                self._complete(request, now, done)
        for request, tokens in self.chunks:
            request.left -= tokens
            if request.left <= 0:
                self._first_token(request, now, done)
        if self.chunks:
            self.prefilling = [each for each in self.prefilling if each.state == PREFILLING]
        self.steps, self.chunks, self.behind = 0, [], 0.0
        return done

    def _complete(self, request: Request, now: float, done: list[Request]) -> None:
        request.done, request.state = max(now, request.first), DONE
        self.outstanding -= 1
        self._release(request)
        done.append(request)

    def _release(self, request: Request) -> None:
        self.cache.release(request.ids, request.own)
        request.own = 0

    def _first_token(self, request: Request, now: float, done: list[Request]) -> None:
        """A prompt is computed, which gives one token."""
        request.produced += 1
        request.first = min(request.first, now + self.behind)
        left = request.output - request.produced
        if left <= 0:
            self._complete(request, now, done)
            return
        e = self.engine
        request.state, request.joined = DECODING, self.step
        heappush(self.ending, (self.step + ceil(left / e.accepted - 1e-9), request.entry, request))
        self.batch += 1
        self.context += request.length + 1
        ahead = -request.length % e.block_tokens  # tokens that its last block still takes
        request.phase = (self.step + ahead * self.period // e.block_tokens) % self.period
        self.opening[request.phase] += 1

    def _leave(self, request: Request) -> None:
        """Take a request out of the batch; what its answer took of the cache is its own."""
        steps = self.step - request.joined
        self.batch -= 1
        self.context -= request.length + 1 + steps * self.engine.accepted
        self.opening[request.phase] -= 1
        if not self.engine.reserves:
            first = (request.phase - request.joined) % self.period
            request.own += max(-((first - steps) // self.period), 0)

    # The next action.

    def begin(self, now: float) -> None:
        """Begin what comes next at a boundary: prompts, decode steps, or idling until somebody is seen."""
        lost = self._make_room()
        if self.waiting and not lost:
            self._admit(now)
        if self.prefilling:
            self._begin_prompts(now)
        elif self.batch:
            self._begin_steps(now)
        elif self.waiting:
            self._plan(now, max(self.waiting[0].ready, now))
        else:
            self._plan(now, NEVER)

    def _make_room(self) -> bool:
        """Let those admitted last go until the others have blocks for a step; whether any had to."""
        lost = False
        while self.batch and self._growth(1) > self.cache.available:
            lost = True
            entry, request = self.admitted.pop()
            if request.entry != entry or request.state not in (PREFILLING, DECODING):
                continue
            if request.state == DECODING:
                self._leave(request)
                request.produced += int((self.step - request.joined) * self.engine.accepted)
                request.length = request.input + request.produced
            else:
                self.prefilling.remove(request)
            self._release(request)
            request.state, request.prefilled = WAITING, False
            request.preempted += 1
            self.preemptions += 1
            self.waiting.appendleft(request)
        return lost

    def _growth(self, steps: int) -> int:
        """Blocks that the batch takes in its next steps."""
        if self.engine.reserves:
            return 0
        period, opening = self.period, self.opening
        first = self.step % period
        if steps == 1:
            return opening[first]
        rounds, rest = divmod(steps, period)
        taken = sum(opening[first : first + rest])
        if first + rest > period:
            taken += sum(opening[: first + rest - period])
        return rounds * self.batch + taken

    def _until_full(self, steps: int) -> int:
        """Of the next steps, as many as the cache has blocks for."""
        available = self.cache.available
        if (steps // self.period + 1) * self.batch <= available or self._growth(steps) <= available:
            return steps
        rounds, rest = divmod(available, self.batch)
        steps = rounds * self.period
        while rest >= (taken := self.opening[(self.step + steps) % self.period]):
            rest -= taken
            steps += 1
        return steps

    def _blocks_of(self, request: Request) -> int:
        e = self.engine
        tokens = request.input + request.output if e.reserves else request.length
        return -(-tokens // e.block_tokens) + e.fixed_blocks

    def _has_room(self, request: Request) -> bool:
        """Whether a request may be admitted: a place in the batch, and blocks beside what the next step takes."""
        if self.batch + len(self.prefilling) >= self.engine.sequences:
            return False
        request.leading = self.cache.leading(request.ids)
        missing = self.cache.missing(request.ids, request.leading, self._blocks_of(request))
        return missing <= self.cache.available - (self._growth(1) if self.batch else 0)

    def _admit(self, now: float) -> None:
        e = self.engine
        budget = e.step_tokens - sum(each.left for each in self.prefilling)
        while self.waiting and self.waiting[0].ready <= now and budget > 0 and self._has_room(self.waiting[0]):
            request = self.waiting.popleft()
            self.entries += 1
            request.entry, request.admitted = self.entries, min(request.admitted, now)
            self.admitted.append((request.entry, request))
            ids, size = request.ids, PREFIX_TOKENS // e.block_tokens
            last = -(-(request.input - PREFIX_TOKENS * (len(ids) - 1)) // e.block_tokens) if ids else 0
            request.own = self.cache.hold(ids, request.leading, size, last, self._blocks_of(request))
            if request.prefilled:
                self._first_token(request, now, [])
                continue
            hit = min(request.leading * PREFIX_TOKENS, request.input)
            if not request.preempted:
                request.hit = hit if ids else int(e.cached * request.input)
            request.fresh = request.left = max(request.length - (hit if ids else e.cached * request.input), 1.0)
            request.state = PREFILLING
            self.prefilling.append(request)
            budget -= request.left
        if len(self.admitted) > 2 * (self.batch + len(self.prefilling)) + 64:
            self.admitted = [each for each in self.admitted if each[0] == each[1].entry and each[1].state in (1, 2)]

    def _begin_prompts(self, now: float) -> None:
        budget = self.engine.step_tokens
        for request in self.prefilling:
            tokens = min(request.left, budget)
            self.chunks.append((request, tokens))
            budget -= tokens
            if budget <= 0:
                break
        rides = self.engine.mixes and self.batch > 0
        seconds = self._prompt_seconds(rides)
        if rides:
            self.steps = 1
            seconds += self.times.decode(self.batch).step(self.context / self.batch)
        self._plan(now, now + seconds)

    def _prompt_seconds(self, rides: bool) -> float:
        """Time that the chunks of a step add to it, or of a pass of their own [s]."""
        row, mixes = self.times.prompts(max(self.batch, 1)), self.engine.mixes
        added = longest = tokens = 0.0
        for request, chunk in self.chunks:
            fresh, cached, share = request.fresh, request.length - request.fresh, chunk / request.fresh
            tokens += chunk
            if rides:
                added += row.added(fresh, cached) * share
                continue
            alone = row.own_pass(fresh, cached) * share
            longest = max(longest, alone)
            added += alone if mixes else row.added(fresh, cached) * share
        if rides:
            return added
        stages = self.engine.stages if self.batch else 1
        seconds = longest / stages
        if len(self.chunks) > 1:  # one after the other, or as one prompt of all tokens, whichever is quicker
            seconds = max(seconds, min(added, row.own_pass(tokens, 0.0) / stages))
        self.behind = max(longest - seconds, 0.0) if stages > 1 else 0.0
        return seconds

    def _begin_steps(self, now: float) -> None:
        ending = self.ending
        while ending[0][2].state != DECODING or ending[0][2].entry != ending[0][1]:
            heappop(ending)
        row, mean, grows = self.times.decode(self.batch), self.context / self.batch, self.engine.accepted
        steps = self._until_full(ending[0][0] - self.step)
        if self.waiting and self.waiting[0].ready > now and self._has_room(self.waiting[0]):
            steps = row.steps_in(mean, steps, self.waiting[0].ready - now, grows)
        self.steps = steps
        self._plan(now, now + row.steps(mean, steps, grows))
