"""The memory that engines say they leave for a cache, what they refuse, and how they hold windows and states."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, floor
from typing import Any

import numpy as np
import pytest

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.engine.memory import (
    held_bytes_per_sequence,
    kv_pool_bytes_per_gpu,
    memory_share,
    padded_experts,
    reserve_bytes,
    step_bytes,
)
from costcalc.engine.parallelism import DoesNotFit, Parallelism
from costcalc.errors import CostcalcError
from costcalc.model.attention.linear import RecurrentAttention
from costcalc.model.variants import attention_variants
from costcalc.predict.options import Options
from costcalc.predict.scenario import Scenario, scenario_of

GIB = 2.0**30
FIELDS = {
    "pool": lambda memory: memory.kv_pool_bytes_per_gpu / GIB,
    "weights": lambda memory: memory.weights_bytes_per_gpu / GIB,
    "sequences": lambda memory: memory.max_sequences,
}


def scenario(model: str, gpu: str, **options: Any) -> Scenario:
    return scenario_of(costcalc.load_model(model), costcalc.load_gpu(gpu), Options(**options))


def log(model: str, gpu: str, gpus: int, length: int, right: dict[str, float], name: str, **more: Any) -> Any:
    tensor = more.pop("tensor_parallel", gpus)
    options = {"gpus": gpus, "tensor_parallel": tensor, "context": length, "batch": 1, **more}
    return pytest.param(model, gpu, options, right, id=name)


LOGS = [
    # vLLM 0.19 on H100s: llm-d-incubation/llm-d-planner#205.
    log("llama-3.1-8b", "h100", 1, 8192, {"pool": 58.11, "weights": 14.99}, "8B", memory_utilization=0.95),
    log("llama-3.3-70b", "h100", 2, 8192, {"pool": 37.28}, "70B fp8", weights="fp8", memory_utilization=0.95),
    log("qwen3-30b-a3b", "h100", 1, 8192, {"pool": 15.41}, "30B-A3B", memory_utilization=0.95),
    log("mixtral-8x7b", "h100", 2, 8192, {"pool": 28.44}, "Mixtral", memory_utilization=0.95),
    # vLLM 0.11: docs/empirical-vllm-memory-results.md of the same repository.
    log("qwen3-32b", "h100", 1, 16_000, {"pool": 4.45}, "32B of 0.11", engine_date="2025-10"),
    log("qwen3-32b", "h100", 2, 16_000, {"pool": 34.49}, "32B tp2 of 0.11", engine_date="2025-10"),
    log("llama-3.3-70b", "h100", 2, 16_000, {"pool": 32.0}, "70B of 0.11", weights="fp8", engine_date="2025-10"),
    # gpt-oss-120b's experts are padded: the same page, and vllm-project/vllm#33155.
    log("gpt-oss-120b", "h100", 1, 16_000, {"pool": 3.33, "weights": 64.38}, "gpt-oss-120b", engine_date="2026-04"),
    # vllm-project/vllm#10511, #42058 (72,288 tokens of 65,536 B), #40691; vllm-project/recipes#273.
    log("llama-3-8b", "h100", 2, 8192, {"pool": 58.97, "weights": 7.48}, "8B tp2"),
    log("qwen3-32b", "rtx-4090", 4, 11_264, {"pool": 4.412}, "32B on 4090s"),
    log("minimax-m2", "mi300x", 2, 131_072, {"pool": 58.84}, "MiniMax-M2 on MI300X"),
    log("qwen3.5-27b", "h200", 1, 32_768, {"sequences": 33}, "27B, states in pages"),
    # redhat-performance/configiq#112, of 0.24: windows of 1,024 held for the 8,192 tokens of a step, 27.04 GiB each.
    log("gemma-4-31b", "h200", 1, 262_144, {"pool": 64.68, "sequences": 2}, "Gemma-4-31B", engine_date="2026-07"),
    # NVIDIA/TensorRT-LLM#1400.
    log("llama-2-7b", "a100-80gb-sxm", 1, 4096, {"pool": 64.75}, "TensorRT-LLM", weights="int8", backend="trtllm"),
    # SGLang, vllm-project/vllm#21348: 367,404 tokens of 48,128 B.
    log("qwen3-235b-a22b", "h100", 4, 32_768, {"pool": 16.47}, "235B of SGLang", weights="fp8_block",
        backend="sglang", memory_utilization=0.93),
    # vllm-project/recipes#810.
    log("qwen3.6-27b", "rtx-5090", 2, 262_144, {"weights": 14.28}, "27B fp8 with its encoder", weights="fp8_block"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "gpu", "options", "right"), LOGS)
def test_the_memory_of_start_up_logs(model: str, gpu: str, options: dict[str, Any], right: dict[str, float]) -> None:
    memory = costcalc.estimate(model, gpu, **options).memory
    for name, value in right.items():
        assert FIELDS[name](memory) == pytest.approx(value, rel=0.03), name


COOKBOOK = [("qwen3.6-27b", "h200", "bf16", 28), ("qwen3.6-35b-a3b", "b200", "bf16", 95),
            ("qwen3.6-27b", "b300", "fp8_block", 86)]  # fmt: skip


@pytest.mark.parametrize(("model", "gpu", "weights", "right"), COOKBOOK)
def test_states_in_a_pool_of_their_own_limit_what_runs(model: str, gpu: str, weights: str, right: int) -> None:
    # SGLang's cookbook, 1,024 users at 8,192 in and 1,024 out, 0.8 of the memory: output rate × time per token.
    found = costcalc.estimate(
        model, gpu, gpus=1, weights=weights, memory_utilization=0.8, input_tokens=8192, output_tokens=1024,
        tpot=1.0, backend="sglang",
    )  # fmt: skip
    states = sum(
        count * layer.state_bytes()
        for count, layer in costcalc.load_model(model).attention_layers()
        if isinstance(layer, RecurrentAttention)
    )
    # KVCacheConfigurator: int(rest × 0.9 / 1.9 // state) states, and max_running_requests is that // 5.
    slots = int(found.memory.kv_pool_bytes_per_gpu * 0.9 / 1.9 // states) // 5
    assert abs(found.memory.max_sequences - slots) <= 1
    # Requests of equal length run in step and are prefilled one after another, while those before wait: on average half
    # of the time that prefills take is before a sequence's first token, where the cookbook does not count it.
    assert found.serving is not None and found.serving.prefill_share is not None
    assert slots * (1 - found.serving.prefill_share / 2) == pytest.approx(right, rel=0.15)


def test_earlier_versions_of_sglang_keep_fewer_states() -> None:
    def held(date: str | None, drafts: int = 0) -> float:
        q = scenario("qwen3.6-27b", "h200", backend="sglang", engine_date=date, drafts=drafts)
        assert q.budget.engine is not None
        return float(held_bytes_per_sequence(q.model, q.machine, Parallelism(), q.formats, 1024, q.budget))

    assert held("2026-01") == pytest.approx(held(None) * 3 / 5)
    assert held("2026-09") == held(None)
    assert held(None, drafts=3) == pytest.approx(held(None) * (5 + 4) / 5)  # four tokens are verified


def test_windows_keep_two_steps_since_steps_overlap() -> None:
    # vllm-project/vllm#52495: cdiv(16384, 4) and cdiv(16384, 8) pages of the compressors' states, and one or two more.
    def blocks(date: str | None) -> float:
        q = scenario("deepseek-v4-flash", "h200", engine_date=date, max_num_batched_tokens=8192)
        held = held_bytes_per_sequence(q.model, q.machine, Parallelism(), q.formats, 131_072, q.budget)
        return float(held) / (21 * (37_440 + 8_640) + 20 * 1_728)

    assert blocks(None) == 512 + 2 * 259 + 4099 + 2065
    assert blocks("2026-07") == 512 + 2 * 131 + 2051 + 1041


@pytest.mark.parametrize(("gpu", "running"), [("h100", 1024), ("a100-80gb-sxm", 384), ("rtx-4090", 128)])
def test_an_engines_default_may_be_of_an_architecture(gpu: str, running: int) -> None:
    q = scenario("llama-3.1-8b", gpu, weights="int4")
    budget = replace(q.budget, engine=Catalog().engine_memories().of("lmdeploy"))
    assert budget.running(q.machine) == running


@pytest.mark.parametrize(
    ("model", "options"),
    [
        ("gpt-oss-120b", {"context": 131_072, "memory_utilization": 0.95}),  # vllm-project/vllm#27508
        ("llama-3.3-70b", {"context": 16_000, "memory_utilization": 0.95, "weights": "fp8"}),  # llm-d-benchmark#621
        ("llama-3.3-70b", {"context": 1000, "weights": "fp8"}),  # a pool of -1.44 GiB
    ],
)
def test_what_a_version_of_the_engine_refuses_may_not_start(model: str, options: dict[str, Any]) -> None:
    with pytest.raises(DoesNotFit, match=r"may not start on 1 × .*versions of the engine until 2026-02.*--engine-date"):
        costcalc.estimate(model, "h100", gpus=1, batch=1, **options)
    assert costcalc.estimate(model, "h100", gpus=1, batch=1, engine_date="2026-06", **options).memory.fits
    with pytest.raises(DoesNotFit, match="does not fit on 1 ×"):
        costcalc.estimate(model, "h100", gpus=1, batch=1, engine_date="2025-10", **options)


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("qwen3-14b", {"tensor_parallel": 5}, "--tp 5 neither divides the 8 KV heads of Qwen3-14B nor is a multiple"),
        ("llama-3.2-3b", {"tensor_parallel": 3}, "--tp 3 neither divides the 8 KV heads.*the nearest that does is"),
        ("qwen2.5-7b", {"tensor_parallel": 7}, "--tp 7 neither divides the 4 KV heads"),
        ("qwen3-235b-a22b", {"tensor_parallel": 8, "weights": "fp8_block"}, "8 GPUs cannot cut an expert.*--ep 8"),
    ],
)
def test_layouts_that_engines_refuse_are_refused(model: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CostcalcError, match=message):
        costcalc.estimate(model, "h100", gpus=options["tensor_parallel"], context=8192, batch=1, **options)


def test_more_ranks_than_kv_heads_copy_them() -> None:
    assert costcalc.estimate("qwen2.5-7b", "h100", gpus=4, tensor_parallel=4, batch=1).memory.fits
    assert costcalc.estimate("qwen3-30b-a3b", "h100", gpus=8, tensor_parallel=8, batch=1).memory.fits


@pytest.mark.parametrize(
    ("model", "ranks", "each"),
    [
        ("gemma-3-12b", 1, 47.72 / 15.88),  # 8 full layers and five groups of 8 windows, whole at 8,192 tokens
        ("gpt-oss-20b", 2, 0.1875),  # 316 sequences
        ("llama-4-scout", 4, 16.75 / 44.68),  # chunks of 8,192
    ],
)
def test_windows_are_held_for_a_whole_step(model: str, ranks: int, each: float) -> None:
    q, layout = scenario(model, "h100"), Parallelism(tp=ranks)
    held = held_bytes_per_sequence(q.model, q.machine, layout, q.formats, 8192, q.budget)
    assert float(held) / GIB == pytest.approx(each, rel=0.005)


def test_a_draft_keeps_a_state_of_its_own() -> None:
    # club-3090#652: 4.35 sequences of 131,072 tokens in 6.01 GiB, with a draft; states fill pages of 2,096 tokens.
    q = scenario("qwen3.6-35b-a3b", "rtx-5090", kv_cache="fp8", drafts=1)
    held = held_bytes_per_sequence(q.model, q.machine, Parallelism(), q.formats, 131_072, q.budget)
    assert float(held) / GIB == pytest.approx(6.01 / 4.35, rel=0.01)


def test_longer_steps_and_fewer_sequences_change_the_pool() -> None:
    def pool(**options: Any) -> float:
        q = scenario("llama-3.1-8b", "h100", **options)
        return float(kv_pool_bytes_per_gpu(q.model, q.machine, Parallelism(), q.formats, q.budget))

    assert pool(max_num_batched_tokens=16_384) < pool() < pool(max_num_seqs=256)
    assert pool(max_num_seqs=1024, max_num_batched_tokens=8192) == pool()
    # A100s get shorter steps, whatever their memory (vLLM, get_batch_defaults).
    q, large = scenario("llama-3.1-8b", "a100-80gb-sxm"), scenario("llama-3.1-8b", "h100")
    assert (q.budget.running(q.machine), large.budget.running(large.machine)) == (256, 1024)
    assert float(step_bytes(q.model, q.machine, Parallelism(), q.budget)) < 1e9


def test_the_batch_that_is_chosen_is_one_that_the_engine_runs() -> None:
    many = {"gpus": 1, "input_tokens": 10, "output_tokens": 10, "tpot": 1.0}
    assert costcalc.estimate("llama-3.1-8b", "h100", **many).workload.batch <= 1024
    few = costcalc.estimate("llama-3.1-8b", "h100", max_num_seqs=32, **many)
    assert few.workload.batch <= 32 < few.memory.max_sequences


def test_sglang_leaves_memory_free_by_its_rule() -> None:
    # srt/server_args.py: 512 MB, 1.5 MB a token of 8,192 and 2 MB a sequence of the largest graph, 256 or 512.
    for ranks, left in ((1, 512 + 12_288 + 512 + 128), (4, 512 + 12_288 + 1024 + 512)):
        q = scenario("llama-3.1-8b", "h100", backend="sglang")
        share = memory_share(q.machine, Parallelism(tp=ranks), q.budget)
        assert float(share) == pytest.approx(1 - left * 2**20 / float(q.machine.memory))
    asked = scenario("llama-3.1-8b", "h100", backend="sglang", memory_utilization=0.8)
    assert memory_share(asked.machine, Parallelism(), asked.budget) == 0.8


def test_llama_cpp_takes_all_but_its_context() -> None:
    q = scenario("llama-3.1-8b", "rtx-4090", weights="int4")
    engine = Catalog().engine_memories().of("llamacpp")
    budget = replace(q.budget, engine=engine, utilization=engine.utilization)
    kept = float(reserve_bytes(q.model, q.machine, Parallelism(), budget))
    assert 0.5 * GIB < kept < 1.0 * GIB


def test_an_engine_that_is_not_listed_is_the_default_one_in_any_degrees() -> None:
    known = Catalog().engine_memories()
    assert known.of("atom") == replace(known.of("vllm"), degrees={})


def test_inputs_of_experts_are_padded_to_the_kernels_multiple() -> None:
    # 2,880 of gpt-oss to 3,072; over eight GPUs, an expert's 360 to 512.
    q = scenario("gpt-oss-120b", "h100")
    (routed,) = {layer.routed(2880) for _, layer in q.model.feedforward_layers()}
    assert routed is not None
    padded = padded_experts(routed, Parallelism(tp=np.array([1, 2, 8])), q.formats)
    assert padded == pytest.approx([3072 / 2880, 3072 / 2880, (2 * 3072 / 2880 + 512 / 360) / 3])
    plain = scenario("gpt-oss-120b", "h100", weights="bf16").formats
    assert padded_experts(routed, Parallelism(), plain) == 1


def test_a_pool_that_decodes_alone_holds_windows_and_no_prompts_in_flight() -> None:
    [windows], _ = attention_variants(Catalog().model("v3"), ("window:4Ki",))

    def held(context: str, **options: Any) -> costcalc.Estimate:
        given = {"gpus": 8, "tensor_parallel": 8, "batch": 1, **options}
        return costcalc.estimate(windows.model, "h200", context=context, **given)

    # Blocks of 16: a window of 4,096 that starts anywhere, and the next tokens of two steps, whatever the context.
    apart = [held(context, disaggregated=True) for context in ("32k", "1m")]
    of_pool = {each.memory.max_sequences for each in apart}
    memory, cache = apart[0].memory, apart[0].kv_cache.bytes_per_sequence
    blocks = ceil((4096 - 1 + 2) / 16) + 1
    assert of_pool == {floor(memory.kv_pool_bytes_per_gpu / (cache / 4096 / 8 * 16 * blocks))}
    # With prompts between them, each may have two steps of 8,192 tokens in flight (vLLM, SlidingWindowSpec).
    one = held("1m")
    assert one.memory.max_sequences < 0.3 * apart[0].memory.max_sequences
    told = [each.formula for each in one.explanation if each.quantity == "memory.max_sequences"]
    assert "windows with the tokens of steps in flight" in told[0]
    assert held("1m", disaggregated=True, max_num_batched_tokens=8192).memory == one.memory


def test_files_of_llama_cpp_are_as_large_as_they_are() -> None:
    """What llama-bench says of ggml-org/gpt-oss-120b-GGUF: 59.02 GiB (community.frame.work/t/73280/26).

    Qwen3-32B's is 4.9 bits of 32.8B; a card of its own holds all but the 151,936 rows of 5,120 that are looked up.
    """
    whole = costcalc.estimate("gpt-oss-120b", "m3-ultra", backend="llamacpp")  # one memory: nothing is elsewhere
    assert whole.memory.weights_bytes_per_gpu == pytest.approx(59.02 * 2**30, rel=0.003)
    assert whole.deployment.precision.weights == "q8_0 + mxfp4 experts"
    wide = costcalc.estimate("gpt-oss-120b", "m3-ultra", backend="llamacpp", weights="bf16,experts=mxfp4")
    assert wide.memory.weights_bytes_per_gpu > 1.02 * whole.memory.weights_bytes_per_gpu
    card, shared = (
        costcalc.estimate("qwen3-32b", gpu, weights="q4_k_m").memory.weights_bytes_per_gpu
        for gpu in ("rtx-4090", "m3-ultra")
    )
    assert 0.4 * 151_936 * 5_120 < shared - card < 1.1 * 151_936 * 5_120  # between four and eight bits each


def test_llama_cpp_loads_no_encoder_with_a_model_and_a_tied_head_once() -> None:
    """ggml-org/gemma-3-27b-it-GGUF: the Q4_K_M is 16.5 GB, and the encoder a file beside it, mmproj (--mmproj)."""
    alone = costcalc.estimate("gemma-3-27b", "rtx-3090", weights="q4_k_m").memory.weights_bytes_per_gpu
    assert alone == pytest.approx(16.5e9, rel=0.01)
