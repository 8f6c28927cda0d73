"""Serving in closed form, against queues simulated request by request and loads drawn at random."""

import numpy as np
import pytest
from steps import prefill_pass

from costcalc.catalog.catalog import Catalog, load_gpu, load_model
from costcalc.engine.latency.efficiency import calibrated_efficiency
from costcalc.engine.latency.kernels import hottest_rank, maximum_load, zipf_skew
from costcalc.engine.latency.op_times import IDEAL, op_times
from costcalc.engine.ops import decode_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.engine.queueing import (
    burst_wait_seconds,
    memory_wait_seconds,
    pool_prefill_seconds,
    prefill_queue_seconds,
    sequences_decoding,
    static_tokens_per_s,
    time_per_output_token,
    time_to_first_token,
)
from costcalc.engine.roofline import machine_of
from costcalc.engine.step import chunked_prefill, prefill_interference_seconds
from costcalc.model.ffn import experts_touched


def closed_loop(requests: int, prefill: float, generation: float, rounds: int = 400) -> float:
    """Mean wait before a server of `prefill` when each of `requests` comes back `generation` after it [s]."""
    rng = np.random.default_rng(1)
    back = rng.exponential(generation, requests)
    free, waits = 0.0, []
    for _ in range(rounds * requests):
        who = int(np.argmin(back))
        begins = max(free, back[who])
        waits.append(begins - back[who])
        free = begins + prefill
        back[who] = free + rng.exponential(generation)
    return float(np.mean(waits[len(waits) // 10 :]))


@pytest.mark.parametrize(("requests", "prefill", "generation"), [(40, 1.0, 10.0), (64, 0.5, 8.0), (16, 2.0, 4.0)])
def test_a_saturated_prefill_server_makes_requests_wait_as_simulated(
    requests: int, prefill: float, generation: float
) -> None:
    expected = closed_loop(requests, prefill, generation)
    assert prefill_queue_seconds(prefill, requests, generation) == pytest.approx(expected, rel=0.05)


def test_an_idle_prefill_server_makes_nobody_wait() -> None:
    assert float(prefill_queue_seconds(0.05, 4, 20.0)) < 0.001
    assert closed_loop(4, 0.05, 20.0) < 0.001


def test_the_first_round_of_ten_waits_as_counted() -> None:
    # C requests at once wait for 0, 1 ... C - 1 prefills; nine later rounds wait for none: the mean over all ten.
    requests, prefill, rounds = 64, 0.1, 10
    expected = np.arange(requests).sum() * prefill / (requests * rounds)
    assert burst_wait_seconds(prefill, requests, 1 / (2 * rounds)) == pytest.approx(expected)


def test_interference_is_one_prefill_of_every_other_request_per_answer() -> None:
    # 16 requests of 100 tokens in a loop: while one of them decodes, 15 others are prefilled.
    step, prefill = 0.02, 0.1
    assert 100 * time_per_output_token(step, prefill, 16, 100) == pytest.approx(100 * step + 15 * prefill)
    assert time_per_output_token(step, prefill, 1, 100) == step
    assert time_per_output_token(step, 0.0, 16, 100, accepted=1.8) == pytest.approx(step / 1.8)


def test_first_token_adds_up() -> None:
    assert time_to_first_token(0.02, 0.3, startup=0.05, admission_steps=2, wait=1.0) == pytest.approx(1.39)


def test_sequences_beyond_memory_wait_for_whole_generations() -> None:
    assert memory_wait_seconds(96, 64, 20.0) == pytest.approx(10.0)
    assert memory_wait_seconds(48, 64, 20.0) == 0.0


def test_sequences_decoding_obey_little_s_law() -> None:
    requests, generation, first = 64, 30.0, 2.0
    rate = requests / (generation + first)
    assert sequences_decoding(requests, generation, first, 1e9) == pytest.approx(rate * generation)
    assert sequences_decoding(requests, generation, first, 20) == 20


def test_the_rate_of_a_static_batch() -> None:
    assert static_tokens_per_s(0.02, 0.5, 50, 100) == pytest.approx(50 * 100 / 2.5)


def test_a_pool_apart_serves_all_decode_replicas() -> None:
    assert pool_prefill_seconds(0.3, prefill_replicas=2, decode_replicas=3) == pytest.approx(0.45)


@pytest.mark.parametrize(("mean", "ranks"), [(4.0, 8), (16.0, 8), (64.0, 32), (500.0, 72)])
def test_the_fullest_rank_is_about_as_full_as_drawn(mean: float, ranks: int) -> None:
    draws = np.random.default_rng(2).multinomial(int(mean * ranks), np.full(ranks, 1 / ranks), size=2000)
    assert maximum_load(mean, ranks) == pytest.approx(draws.max(axis=1).mean(), rel=0.15)


def test_the_hottest_rank_of_few_tokens_touches_more_experts() -> None:
    # DeepSeek-V3: 4 tokens x 8 experts over 8 ranks of 32.
    rng = np.random.default_rng(3)
    hot = np.array(
        [
            np.bincount(np.concatenate([rng.choice(256, 8, replace=False) for _ in range(4)]) // 32, minlength=8).max()
            for _ in range(3000)
        ]
    )
    pairs, touched = hottest_rank(4.0, experts_touched(256, 8, 4) / 256, 8, share=1.0)
    assert pairs == pytest.approx(hot.mean() / 4.0, rel=0.2)
    assert 1.0 < touched <= pairs


def test_balanced_or_single_ranks_have_no_hottest() -> None:
    assert hottest_rank(100.0, 0.9, 1, share=1.0) == (1.0, 1.0)
    assert hottest_rank(100.0, 0.9, 16, share=0.0) == (1.0, 1.0)


@pytest.mark.parametrize("name", ["llama-3.1-70b", "deepseek-r1", "gpt-oss-120b"])
def test_prompts_that_ride_cost_less_than_a_pass_of_their_own_but_no_less_than_their_arithmetic(name: str) -> None:
    model, machine = load_model(name), machine_of(load_gpu("h200-sxm"))
    layout, formats = Parallelism(tp=8), resolve_formats(model.precision, machine.peak_flops)
    calibrated = calibrated_efficiency(Catalog().serving_efficiency(), machine, "vllm")
    prompts = np.array([128.0, 1024.0, 8192.0])
    decoding = decode_batch(64, 4096, layout)
    ops = step_ops(model, layout, formats, decoding)
    work = chunked_prefill(model, layout, formats, decoding, prompts)
    riding = prefill_interference_seconds(work, machine, calibrated, op_times(ops, machine, calibrated))
    own = prefill_pass(model, machine, layout, formats, calibrated, prompts).seconds
    assert np.all(riding < own)
    assert np.all(np.diff(riding) > 0)
    assert np.all(riding >= prefill_interference_seconds(work, machine, IDEAL, op_times(ops, machine, IDEAL)))


def test_experts_chosen_by_zipf_load_the_first_rank_as_counted() -> None:
    popularity = np.arange(1, 257) ** -1.2
    by_rank = popularity.reshape(32, 8).sum(axis=0) / popularity.sum() * 8
    assert zipf_skew(32, 8, 1.2) == pytest.approx(by_rank[0] - 1)
    assert zipf_skew(32, 8, 0.0) == pytest.approx(0.0) and zipf_skew(256, 1, 1.2) == pytest.approx(0.0)
