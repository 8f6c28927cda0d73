"""The replay against its rules taken step by step, against queues in closed form, and against itself."""

from __future__ import annotations

from math import factorial

import naive_scheduler as naive
import numpy as np
import pytest

from costcalc.replay.replica import Engine, Replica, Request
from costcalc.replay.scheduler import PrefillPool, replay
from costcalc.replay.steps import DecodeRow, PromptRow, StepTimes


def tables(cached: bool = False) -> StepTimes:
    """Times of an invented machine: steps bend in context and batch, prompts in length and in what is cached."""
    contexts = [1.0, 300.0, 2000.0, 9000.0]
    decode = [[0.010 + c * 1e-6 + b * (2e-5 + c * 3e-8) + (c > 1000) * 1e-3 for c in contexts] for b in (1, 8, 64)]
    fresh, before = [1.0, 200.0, 2000.0, 9000.0], [0.0, 1000.0, 9000.0] if cached else [0.0]
    riding = [[[f * 2e-5 + f * f * 1e-9 + f * c * 1e-9 + b * 1e-5 for f in fresh] for c in before] for b in (1, 64)]
    return StepTimes([1, 8, 64], contexts, decode, [1, 64], fresh, before, riding, riding)


def through(
    rows: list[tuple[float, int, int, tuple[int, ...]]],
    times: StepTimes,
    blocks: int,
    sequences: int,
    budget: float,
    mixes: bool = True,
    reserves: bool = False,
) -> tuple[Replica, list[Request]]:
    engine = Engine(sequences, budget, mixes, reserves, admission_steps=0.0, blocks=blocks)
    replica = Replica(engine, times)
    requests = [Request(number, *row) for number, row in enumerate(rows)]
    replay(requests, [replica])
    return replica, requests


@pytest.mark.parametrize("rate", [2.0, 6.0, 20.0])
@pytest.mark.parametrize(("blocks", "sequences", "budget"), [(10**9, 64, 8192), (400, 64, 512), (330, 12, 2048)])
@pytest.mark.parametrize("prefixes", [False, True])
@pytest.mark.parametrize(("mixes", "reserves"), [(True, False), (False, False), (True, True)])
def test_skipping_from_event_to_event_is_the_same_as_every_step(
    rate: float, blocks: int, sequences: int, budget: float, prefixes: bool, mixes: bool, reserves: bool
) -> None:
    rng = np.random.default_rng(int(rate) + blocks + prefixes)
    count = 150
    arrivals = np.cumsum(rng.exponential(1 / rate, count))
    inputs, outputs = rng.integers(1, 1500, count), rng.integers(1, 300, count)
    # Prompts of 20 conversations, each of which goes on where it was left.
    ids = [
        tuple(100 * (n % 20) + k for k in range(-(-int(inputs[n]) // 512))) if prefixes else () for n in range(count)
    ]
    if prefixes:  # the last block of a prompt is its own, as its end is
        ids = [(*each[:-1], 10_000 + n) for n, each in enumerate(ids)]
    rows = list(zip(arrivals.tolist(), inputs.tolist(), outputs.tolist(), ids, strict=True))
    times = tables(prefixes)
    replica, requests = through(rows, times, blocks, sequences, budget, mixes, reserves)
    ones = [naive.One(*row) for row in rows]
    lost = naive.run(ones, times, blocks, sequences, budget, mixes, reserves)
    assert replica.preemptions == lost
    assert [each.hit for each in requests] == [each.hit for each in ones]
    for name in ("first", "done"):
        told = [getattr(each, name) for each in requests]
        assert told == pytest.approx([getattr(each, name) for each in ones], rel=1e-7)
    assert replica.cache.held == 0 and replica.batch == 0 and replica.context == pytest.approx(0.0, abs=1e-6)


def test_some_of_those_runs_lose_requests_to_a_full_cache() -> None:
    rows = [(0.0, 1000, 600, ()) for _ in range(8)]
    replica, requests = through(rows, tables(), 520, 64, 8192)
    assert replica.preemptions > 0 and all(each.done < np.inf for each in requests)


def test_steps_in_closed_form_are_their_sum() -> None:
    row = DecodeRow([1.0, 100.0, 500.0, 4000.0], [1.0, 2.0, 2.5, 9.0])
    # Whole runs inside of one piece are exact; a bend inside of a run is off by a part of one step's change.
    one_by_one = sum(row.step(110 + 2 * number) for number in range(150))
    assert row.steps(110, 150, 2.0) == pytest.approx(one_by_one, rel=1e-12)
    across = sum(row.step(20 + number) for number in range(3000))
    assert row.steps(20, 3000) == pytest.approx(across, rel=1e-6)
    for seconds in (0.1, 2.0, 77.7, 500.0):
        count = row.steps_in(20, 3000, seconds)
        assert row.steps(20, count) >= seconds and (count == 1 or row.steps(20, count - 1) < seconds)


# Queues in closed form: slots that answers hold for as many steps as they have tokens, prompts taking nothing. Waits of
# a few thousand requests scatter far more than 1%, so the closed forms are met by the queue's own recursion over
# millions, and the replay by that recursion, request by request.


STEPS = 5000.0  # of an answer in the mean


def by_recursion(slots: int, gaps: np.ndarray, services: np.ndarray) -> np.ndarray:
    """Waits in order of arrival (Kiefer and Wolfowitz 1955; one slot: Lindley 1952), of many runs side by side."""
    left, waits = np.zeros((len(gaps), slots)), np.empty_like(gaps)
    for number in range(gaps.shape[1]):
        left = np.maximum(left - gaps[:, number, None], 0.0)
        left.sort(axis=1)
        waits[:, number] = left[:, 0]
        left[:, 0] += services[:, number]
    return waits


def by_replay(slots: int, gaps: np.ndarray, services: np.ndarray) -> np.ndarray:
    none = [[[0.0, 0.0]]]
    times = StepTimes([1], [1.0, 2.0], [[1.0, 1.0]], [1], [1.0, 2.0], [0.0], none, none)
    replica = Replica(Engine(slots, 1e9, admission_steps=0.0), times)
    rows = zip(np.cumsum(gaps).tolist(), services.astype(int).tolist(), strict=True)
    own = slots == 1  # where nobody decodes, a prompt rides on no step: its pass, of no time, gives the first token
    requests = [Request(number, arrival, 1, tokens + own) for number, (arrival, tokens) in enumerate(rows)]
    replay(requests, [replica])
    return np.array([each.admitted - each.arrival for each in requests])


def by_pool(servers: int, gaps: np.ndarray, services: np.ndarray) -> np.ndarray:
    """Waits for workers that prefill, a token each second; nothing decodes."""
    length = float(services.max()) + 1
    prompts = PromptRow([0.0, length], [0.0], [[0.0, length]], [[0.0, length]])
    none = [[[0.0, 0.0]]]
    times = StepTimes([1], [1.0, 2.0], [[0.0, 0.0]], [1], [1.0, 2.0], [0.0], none, none)
    engine = Engine(10**9, 1e9, admission_steps=0.0)
    rows = zip(np.cumsum(gaps).tolist(), services.astype(int).tolist(), strict=True)
    requests = [Request(number, arrival, tokens, 1) for number, (arrival, tokens) in enumerate(rows)]
    replay(requests, [Replica(engine, times)], pool=PrefillPool(engine, prompts, servers))
    return np.array([each.admitted - each.arrival for each in requests])


def test_a_pool_that_prefills_is_a_queue_with_its_servers_and_then_sends() -> None:
    rng = np.random.default_rng(3)
    gaps, services = rng.exponential(400.0, 2000), np.maximum(np.rint(rng.exponential(1000.0, 2000)), 1)
    assert by_pool(3, gaps, services) == pytest.approx(by_recursion(3, gaps[None], services[None])[0], abs=1e-3)


def erlang_c(servers: int, offered: float) -> float:
    """Chance to wait in M/M/c (Erlang 1917)."""
    last = offered**servers / factorial(servers) / (1 - offered / servers)
    return last / (sum(offered**k / factorial(k) for k in range(servers)) + last)


@pytest.mark.parametrize(("slots", "use", "equal"), [(1, 0.5, True), (1, 0.8, True), (4, 0.6, False), (2, 0.8, False)])
def test_slots_make_waits_as_in_md1_and_mmc(slots: int, use: float, equal: bool) -> None:
    rng, shape = np.random.default_rng(slots), (2000, 3000)
    gaps = rng.exponential(STEPS / use / slots, shape)
    services = np.full(shape, STEPS) if equal else np.maximum(np.rint(rng.exponential(STEPS, shape)), 1)
    waits = by_recursion(slots, gaps, services)
    # Pollaczek and Khinchine: ρ S / (2 (1 - ρ)); Erlang: C S / (c (1 - ρ)).
    expected = use * STEPS / 2 / (1 - use) if equal else erlang_c(slots, use * slots) * STEPS / slots / (1 - use)
    assert waits[:, 1000:].mean() == pytest.approx(expected, rel=0.01)
    for run in range(4):
        replayed = by_replay(slots, gaps[run], services[run])
        # A slot is free at the end of a step, one of 5,000 of an answer.
        assert replayed == pytest.approx(waits[run], abs=2 * slots if slots > 1 else 1e-3)
        assert replayed.mean() == pytest.approx(waits[run].mean(), rel=0.003)
