"""Traces are told apart by what they hold, prefixes are reused as they were counted, and seeds mean what they say."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from costcalc.errors import CostcalcError
from costcalc.explore.simulate import simulate
from costcalc.replay.replica import Engine, Replica
from costcalc.replay.run import requests_of
from costcalc.replay.scheduler import replay
from costcalc.replay.steps import StepTimes
from costcalc.replay.traffic import LENGTHS, PROCESSES, Traffic, drawn, drawn_by, read_trace

TRACES = Path(__file__).parent / "traces"
WHOLE = Path(os.environ.get("COSTCALC_TRACES", "")) / "mooncake_conversation_trace.jsonl"


def test_azure_traces_are_read() -> None:
    found = read_trace(TRACES / "azure_conversation.csv")
    assert len(found) == 40 and not found.prefixes
    # 18:15:46.6805900 and 18:15:50.9951690
    assert found.arrivals[:2] == pytest.approx([0.0, 4.314579], abs=1e-6)
    assert (found.inputs[0], found.outputs[0]) == (374, 44)
    assert read_trace(TRACES / "azure_code.csv").inputs[0] == 4808


def test_mooncake_traces_are_read() -> None:
    found = read_trace(TRACES / "mooncake_conversation.jsonl")
    assert len(found) == 150 and len(found.prefixes) == 150
    assert all(len(ids) == -(-tokens // 512) for ids, tokens in zip(found.prefixes, found.inputs, strict=True))


def test_a_csv_of_ones_own_may_be_out_of_order_and_have_more_columns(tmp_path: Path) -> None:
    file = tmp_path / "requests.txt"
    file.write_text("user,arrival_s,input_tokens,output_tokens\nb,12.5,10,3\na,2,20,0\n")
    found = read_trace(file)
    assert found.arrivals.tolist() == [0.0, 10.5] and found.inputs.tolist() == [20, 10]
    assert found.outputs.tolist() == [1, 3]  # an answer has a token at least


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "has no arrival_s|names no arrival_s"),
        ("arrival_s,input_tokens\n1,2\n", "names no output_tokens"),
        ("arrival_s,input_tokens,output_tokens\n", "has no requests"),
        ("arrival_s,input_tokens,output_tokens\n1,2,3\n1,x,3\n", "line 3 is no request"),
        ("arrival_s,input_tokens,output_tokens\nnan,2,3\n", "line 2 is no request"),
        ('{"timestamp": 0, "input_length": 3}\n', "line 1 lacks 'output_length'"),
        ('{"timestamp": 0, "input_length": 3, "output_length": 1, "hash_ids": [1, 2]}\n', "line 1 has 2 hash_ids"),
    ],
)
def test_a_file_that_is_no_trace_says_where(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "trace"
    file.write_text(text)
    with pytest.raises(CostcalcError, match=said) as caught:
        read_trace(file)
    assert caught.value.where == "trace"


# Reuse of prefixes.


def reused(traffic: Traffic, blocks: int, endless: bool, replicas: int = 1) -> float:
    """Share of the prompts' tokens that a cache had; steps take next to nothing."""
    quick = [[[1e-9, 1e-9]]]
    times = StepTimes([1], [1.0, 2.0], [[1e-9, 1e-9]], [1], [1.0, 2.0], [0.0], quick, quick)
    engine = Engine(1000, 1e6, admission_steps=0.0, blocks=blocks, endless=endless)
    first = Replica(engine, times)
    found = [first, *(Replica(engine, times, first.cache) for _ in range(replicas - 1))]
    requests = requests_of(traffic, reuse=True)
    replay(requests, found)
    return sum(each.hit for each in requests) / int(traffic.inputs.sum())


def counted(traffic: Traffic) -> float:
    """The same of a cache that forgets nothing, in order of arrival."""
    known: set[int] = set()
    tokens = 0
    for ids, length in zip(traffic.prefixes, traffic.inputs, strict=True):
        hits = next((n for n, each in enumerate(ids) if each not in known), len(ids))
        tokens += min(512 * hits, int(length))
        known.update(ids)
    return tokens / int(traffic.inputs.sum())


@pytest.mark.parametrize("replicas", [1, 3])
def test_a_cache_without_end_reuses_what_was_counted(replicas: int) -> None:
    traffic = read_trace(TRACES / "mooncake_conversation.jsonl")
    assert counted(traffic) > 0.04
    assert reused(traffic, 10**9, True, replicas) == counted(traffic)
    assert replicas > 1 or reused(traffic, 10**9, False) == counted(traffic)


def test_a_larger_cache_never_reuses_less() -> None:
    traffic = read_trace(TRACES / "mooncake_conversation.jsonl")
    shares = [reused(traffic, blocks, False) for blocks in (8_000, 12_000, 20_000, 40_000, 80_000, 160_000)]
    assert shares == sorted(shares) and shares[0] < shares[-1] == counted(traffic)


@pytest.mark.skipif(not WHOLE.is_file(), reason="COSTCALC_TRACES names no folder with the whole trace")
def test_mooncakes_conversations_reuse_as_many_tokens_as_were_counted() -> None:
    traffic = read_trace(WHOLE)
    assert len(traffic) == 12_031
    assert round(reused(traffic, 10**9, True), 4) == 0.3736  # 37.36% of tokens
    shares = [reused(traffic, blocks, False) for blocks in (20_000, 100_000, 500_000, 2_500_000)]
    assert shares == sorted(shares)


def turns_of(conversations: int, turns: int, seconds: float) -> Traffic:
    """Conversations that take turns, each prompt a block longer than the one before."""
    order = [(conversation, turn) for turn in range(turns) for conversation in range(conversations)]
    ids = [tuple(100 * each + block for block in range(turn + 1)) for each, turn in order]
    lengths = np.array([512 * len(each) for each in ids])
    return Traffic("", np.arange(len(ids)) * seconds, lengths, np.full(len(ids), 2), tuple(ids))


@pytest.mark.parametrize(("conversations", "seconds"), [(17, 1.0), (1, 0.01)])
def test_prefixes_lead_to_the_replica_that_holds_them_unless_it_is_busier(conversations: int, seconds: float) -> None:
    traffic = turns_of(conversations, 40, seconds)
    slow = [[[0.1, 0.1 + 1e-9]]]  # of any prompt, where another comes each hundredth of a second
    times = StepTimes([1], [1.0, 2.0], [[0.1, 0.1]], [1], [1.0, 2.0], [0.0], slow, slow)
    shares, counts = {}, {}
    for router in ("round-robin", "prefix"):
        replicas = [Replica(Engine(1, 1e6, admission_steps=0.0), times) for _ in range(4)]
        requests = requests_of(traffic, reuse=True)
        replay(requests, replicas, router)  # type: ignore[arg-type]
        shares[router] = sum(each.hit for each in requests) / int(traffic.inputs.sum())
        counts[router] = [each.entries for each in replicas]
    assert shares["round-robin"] < shares["prefix"]
    if seconds >= 1:  # nobody is busy: all is found
        assert shares["prefix"] == counted(traffic)
    else:  # one conversation that comes faster than one replica serves is shared
        assert min(counts["prefix"]) > 0 and max(counts["prefix"]) < 2 * 40 / 4


# What is drawn.


def test_draws_have_the_mean_and_the_variation_that_their_word_says() -> None:
    rng = np.random.default_rng(1)
    expected = {"constant": 0.0, "uniform": 3**-0.5, "exponential": 1.0, "lognormal:1.5": 1.5, "gamma:0.5": 0.5}
    for word, variation in expected.items():
        values = drawn_by(word, LENGTHS, "input_lengths")(rng, 300.0, 400_000)
        assert values.mean() == pytest.approx(300.0, rel=0.02)
        assert values.std() / values.mean() == pytest.approx(variation, rel=0.04)
    gaps = drawn_by("poisson", PROCESSES, "process")(rng, 2.0, 400_000)
    assert gaps.mean() == pytest.approx(2.0, rel=0.01) and gaps.std() == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize("word", ["pareto", "gamma", "gamma:x", "gamma:0", "poisson:2", "gamma:99"])
def test_a_word_that_draws_nothing_is_refused(word: str) -> None:
    with pytest.raises(CostcalcError) as caught:
        drawn_by(word, PROCESSES, "process")
    assert caught.value.where == "process" and "\n" not in str(caught.value)


def test_equal_seeds_are_equal_to_the_byte_and_lengths_do_not_move_arrivals() -> None:
    draws = tuple(drawn_by(word, {**PROCESSES, **LENGTHS}, "x") for word in ("gamma:2", "exponential", "exponential"))
    first, again, other = (drawn(500, 3.0, None, (100, 50), draws, seed, "") for seed in (7, 7, 8))  # type: ignore[arg-type]
    for name in ("arrivals", "inputs", "outputs"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes() != getattr(other, name).tobytes()
    longer = drawn(500, 3.0, None, (900, 50), draws, 7, "")  # type: ignore[arg-type]
    assert longer.arrivals.tobytes() == first.arrivals.tobytes()
    asked = {"demand": "5 requests/s", "input_tokens": 500, "output_tokens": 50, "requests": 200, "seed": 3}
    answers = [repr(simulate("llama-3.1-8b", "1xh100", **asked).to_dict()) for _ in range(2)]
    assert answers[0] == answers[1]
