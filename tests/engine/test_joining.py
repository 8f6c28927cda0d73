"""Prompts that join decode steps under attention data parallelism: who works, who waits, and what it costs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

import costcalc
from costcalc.engine.latency.op_times import IDEAL
from costcalc.engine.ops import Op, prefill_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.engine.roofline import machine_of
from costcalc.engine.step import timed_prefill
from costcalc.predict.predict import chunks_of, neighbours, prefilling_ranks
from costcalc.predict.scenario import Options, scenario_of

LAYOUT = Parallelism(attention_dp=16, ep=16)
PROMPT = 4096


def works(ranks: float) -> dict[str, Op]:
    spec, machine = costcalc.load_model("v3"), machine_of(costcalc.load_gpu("h100"))
    formats = resolve_formats(spec.precision, machine.peak_flops)
    return {op.op: op for op in step_ops(spec, LAYOUT, formats, prefill_batch(PROMPT, 0, 1, ranks))}


@pytest.mark.parametrize("ranks", [1, 4, 16])
def test_experts_multiply_the_tokens_that_there_are(ranks: int) -> None:
    # 58 layers of 8 experts of three 7,168 x 2,048 matrices for each token of every prompt (2412.19437, table of 4.2).
    experts = works(ranks / 16)["routed experts"]
    assert experts.flops * experts.layers * 16 == pytest.approx(2 * 58 * 8 * 3 * 7168 * 2048 * PROMPT * ranks)


def test_ranks_without_a_prompt_wait_for_the_one_that_has_it() -> None:
    alone, full = works(1 / 16), works(1.0)
    for op in ("attention core", "attention projections", "all-to-all dispatch", "shared experts"):
        assert (alone[op].flops, alone[op].bytes) == (full[op].flops, full[op].bytes), op
        assert alone[op].mean_flops == pytest.approx(1 / 16), op


def test_a_pass_of_one_prompt_takes_less_than_one_of_sixteen_and_more_than_a_sixteenth() -> None:
    spec, machine = costcalc.load_model("v3"), machine_of(costcalc.load_gpu("h100"))
    times = [timed_prefill(list(works(n / 16).values()), spec, machine, IDEAL).seconds for n in (1, 2, 4, 8, 16)]
    assert times == sorted(times)
    assert times[-1] / 16 < times[0] < times[-1]


def test_ranks_that_prefill_at_once_are_as_many_as_drawn() -> None:
    # Requests end by chance: of the steps in which any does, count the ends, by the Poisson distribution itself.
    options = Options(backend="sglang", gpus=16, input_tokens=4096, output_tokens=1024)
    q = scenario_of(costcalc.load_model("v3"), costcalc.load_gpu("h100"), options)
    for batch in (65, 513, 1025, 4097):
        ends = (batch - 1) / 1024
        chances = [math.exp(-ends) * ends**n / math.factorial(n) for n in range(60)]
        drawn = sum(n * chance for n, chance in enumerate(chances)) / (1 - chances[0])
        assert float(prefilling_ranks(q, LAYOUT, batch)) == pytest.approx(min(drawn, 16.0), rel=1e-6)
    assert float(np.max(prefilling_ranks(q, LAYOUT, np.array([1e9])))) == 16


def first_token_of_equal_requests(users: int, answer: int, together: int, step: float, prompt: float) -> float:
    """Median of a loop that is played step by step: `together` prompts join one, and who ends is replaced at once."""
    clock, waiting, running, found = 0.0, [0.0] * users, [], []
    while len(found) < 8 * users:
        joining, waiting = waiting[:together], waiting[together:]
        clock += step + prompt * len(joining)
        found += [clock - came for came in joining]
        running = [left - 1 for left in running]
        waiting += [clock] * running.count(0)
        running = [left for left in running if left] + [answer - 1] * len(joining)
    return float(np.median(found[3 * users :]))


@pytest.mark.parametrize(("tokens", "together"), [(8192, 1), (4096, 2), (2048, 4), (1024, 8)])
def test_equal_prompts_share_a_step_as_where_they_are_played(tokens: int, together: int) -> None:
    options = Options(
        backend="vllm", input_tokens=tokens, output_tokens=256, concurrency=16, arrivals="closed", lengths="equal"
    )
    q = scenario_of(costcalc.load_model("llama-3.1-8b"), costcalc.load_gpu("h100"), options)
    played = first_token_of_equal_requests(16, 256, together, step=0.02, prompt=0.11)
    assert float(neighbours(q, Parallelism(), 16)) + 1 == together
    assert played == pytest.approx(0.02 + (float(neighbours(q, Parallelism(), 16)) + 1) * 0.11)
    mixed = replace(q, load=replace(q.load, equal_lengths=False))
    assert float(neighbours(mixed, Parallelism(), 16)) == 0


def test_a_prompt_that_is_cut_multiplies_the_same_and_reads_the_weights_again() -> None:
    spec, machine = costcalc.load_model("llama-3.1-8b"), machine_of(costcalc.load_gpu("h100"))
    formats = resolve_formats(spec.precision, machine.peak_flops)

    def total(chunks: float, of: str) -> float:
        ops = step_ops(spec, Parallelism(), formats, prefill_batch(8192, 0, 1, 1.0, chunks))
        return sum(float(getattr(op, of) * op.layers) for op in ops if op.kind == "gemm")

    assert total(4, "flops") == pytest.approx(total(1, "flops"))
    assert total(4, "bytes") == pytest.approx(4 * total(1, "bytes"))


def test_a_smaller_budget_of_a_step_never_brings_the_first_token_sooner() -> None:
    asked = {"gpus": 1, "batch": 4, "input_tokens": 32768, "output_tokens": 256}
    budgets = (512, 2048, 8192, 65536)
    times = [
        costcalc.estimate("llama-3.1-8b", "h100", max_num_batched_tokens=budget, **asked).serving.time_to_first_token_s
        for budget in budgets
    ]
    assert times == sorted(times, reverse=True) and times[0] > 1.2 * times[-1]


def test_sglang_divides_the_tokens_of_a_step_by_its_attention_ranks() -> None:
    # "DP attention is enabled. The chunked prefill size is adjusted": server_args.py divides it by dp_size.
    spec, gpu = costcalc.load_model("v3"), costcalc.load_gpu("h100")
    sglang, vllm = (scenario_of(spec, gpu, Options(backend=name, input_tokens=4096)) for name in ("sglang", "vllm"))
    assert (float(chunks_of(sglang, LAYOUT)), float(chunks_of(vllm, LAYOUT))) == (4096 / (8192 / 16), 1.0)
    ideal = scenario_of(spec, gpu, Options(efficiency="ideal", input_tokens=10**6))
    assert float(chunks_of(ideal, LAYOUT)) == 1
