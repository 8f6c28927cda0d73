"""Layers, experts and caches in host memory: bytes over its bandwidth and its link, as llama.cpp and vLLM do it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

import costcalc
from costcalc.engine.host import COPIES, READS, placement_of
from costcalc.errors import CostcalcError
from costcalc.predict.options import Options
from costcalc.predict.results import Estimate

GIB = 2.0**30
EXPERT_LAYER = 3 * 2880 * 2880 * 4.25 / 8  # [B] of one of gpt-oss-120b's experts in MXFP4, scales included
Q4 = {"weights": "q4_k_m"}
QUESTION: dict[str, Any] = {"batch": 1, "context": 4096, "output_tokens": 128}


def asked(model: str = "gpt-oss-120b", gpu: str = "rtx-5090", **options: Any) -> Estimate:
    return costcalc.estimate(model, gpu, **{**QUESTION, **options})


def seconds(estimate: Estimate, op: str) -> float:
    return sum(each.time_s for each in estimate.breakdown if each.op == op)


def test_experts_in_host_memory_are_read_at_its_bandwidth() -> None:
    found = asked(offload_experts="all", efficiency="ideal", host_bandwidth="100GB/s")
    # 4 of 128 experts in each of 36 layers; an activation of 2,880 elements in fp32 goes there and back, PCIe 5.0 x16.
    assert seconds(found, "routed experts on CPU") == pytest.approx(36 * 4 * EXPERT_LAYER / 100e9)
    assert seconds(found, "activations over the link") == pytest.approx(72 * 2880 * 4 / 64e9)
    assert seconds(found, "routed experts") == 0
    assert found.memory.host_bytes == pytest.approx(36 * 128 * EXPERT_LAYER + 201088 * 2880 * 34 / 32)  # q8_0


def test_a_prompt_takes_weights_over_the_link() -> None:
    alone = asked(gpu="h100", backend="llamacpp", efficiency="ideal", input_tokens=4096)
    found = asked(gpu="h100", offload_experts="all", efficiency="ideal", input_tokens=4096)
    # 4,096 tokens reach every expert.
    added = found.prefill.time_s - alone.prefill.time_s
    assert added == pytest.approx(36 * 128 * EXPERT_LAYER / 64e9, rel=1e-6)


def test_gpu_layers_count_as_in_llama_cpp() -> None:
    # llama-model.cpp: layers from max(n_layer + 1 - n_gpu_layers, 0) on are on the GPU, the head, number n_layer, too.
    model = costcalc.load_model("llama-3.3-70b")
    for told in range(83):
        start = max(80 + 1 - told, 0)
        on_cpu = [layer for layer in range(81) if layer < start]
        found = placement_of(model, told, None, False)
        assert found.layers * 80 == pytest.approx(sum(layer < 80 for layer in on_cpu))
        assert found.head == (80 in on_cpu)
        assert found.cache == found.layers


def test_the_first_layers_with_experts_are_behind_the_dense_ones() -> None:
    model = costcalc.load_model("v3")  # 61 layers, 3 of them dense
    assert placement_of(model, None, 10, False).experts == pytest.approx(7 / 58)
    assert placement_of(model, None, "all", False).experts == 1
    assert not placement_of(model, None, 3, False).anything
    assert placement_of(model, 31, 10, False).experts == pytest.approx(31 / 61)


def test_nothing_in_host_memory_changes_nothing() -> None:
    plain = asked("llama-3.1-8b", backend="llamacpp")
    for options in ({"gpu_layers": 99}, {"gpu_layers": 33}):
        found = asked("llama-3.1-8b", **options)
        assert (found.decode, found.prefill, found.memory) == (plain.decode, plain.prefill, plain.memory)
    assert asked("llama-3.1-8b", "m4-max", gpu_layers=99).memory.host_bytes is None


@pytest.mark.parametrize("efficiency", ["ideal", "calibrated"])
@pytest.mark.parametrize("batch", [1, 8, 40])
@pytest.mark.parametrize(
    ("model", "gpu", "steps"),
    [
        ("llama-3.1-8b", "rtx-4090", [{"gpu_layers": n} for n in (33, 32, 20, 1, 0)]),
        ("gpt-oss-120b", "h100", [{"offload_experts": n} for n in (0, 1, 18, 36)]),
        ("qwen3-30b-a3b", "rtx-3070", [{"offload_experts": "all", "gpu_layers": n, **Q4} for n in (49, 30, 0)]),
        ("llama-3.1-8b", "h100", [{"cpu_offload_gb": n} for n in (0, 1, 8, 99)]),
        ("qwen3-0.6b", "rtx-3060-12gb", [{"gpu_layers": n} for n in (29, 28, 10, 0)]),
    ],
)  # fmt: skip
def test_more_in_host_memory_is_never_faster(
    model: str, gpu: str, steps: list[dict[str, Any]], batch: int, efficiency: str
) -> None:
    asked_with = {"batch": batch, "context": 1024, "efficiency": efficiency}
    if "cpu_offload_gb" not in steps[0]:
        asked_with["backend"] = "llamacpp"
    found = [asked(model, gpu, **asked_with, **step) for step in steps]
    for less, more in pairwise(found):
        assert more.decode.step_time_s >= less.decode.step_time_s * (1 - 1e-12)
        assert more.prefill.time_s >= less.prefill.time_s * (1 - 1e-12)
        assert more.memory.weights_bytes_per_gpu <= less.memory.weights_bytes_per_gpu


@pytest.mark.parametrize("batch", [1, 8, 40])
@pytest.mark.parametrize(
    ("model", "gpu", "options"),
    [
        ("gpt-oss-120b", "rtx-3090", {"offload_experts": "all"}),
        ("llama-3.3-70b", "rtx-4090", {"gpu_layers": 20, "weights": "q4_k_m"}),
        ("llama-3.1-8b", "rtx-4090", {"offload_cache": True}),
        ("llama-3.3-70b", "h100", {"cpu_offload_gb": 90}),
    ],
)
def test_no_estimate_beats_the_host_at_its_peaks(model: str, gpu: str, options: dict[str, Any], batch: int) -> None:
    measured, ideal = (
        asked(model, gpu, batch=batch, context=1024, efficiency=each, **options) for each in ("calibrated", "ideal")
    )
    assert measured.decode.step_time_s > ideal.decode.step_time_s
    assert measured.prefill.time_s > ideal.prefill.time_s


def test_a_slower_host_takes_longer_in_proportion() -> None:
    slow, fast = (asked(offload_experts="all", host_bandwidth=each) for each in (40e9, 80e9))
    ops = [seconds(each, "routed experts on CPU") for each in (slow, fast)]
    assert ops[0] - ops[1] == pytest.approx(36 * 4 * EXPERT_LAYER / (READS * 80e9), rel=1e-6)


def test_a_few_sequences_are_bound_by_the_cpu() -> None:
    # 16 sequences of a dense layer are 32 FLOP for each of its 16-bit weights: 10 Tflop/s at a share of 0.1 TB/s.
    found = asked("llama-3.1-8b", gpu_layers=0, batch=16, context=512, efficiency="ideal", host_flops="1 TFLOP/s")
    assert {each.op: each.bound_by for each in found.breakdown}["dense FFN on CPU"] == "compute"


def test_vllm_reads_the_part_over_the_link_in_every_step() -> None:
    # H100: PCIe 5.0 x16, 64 GB/s.
    found = asked("llama-3.3-70b", "h100", cpu_offload_gb=90)
    assert seconds(found, "weights over the link") == pytest.approx(90 * GIB / (COPIES * 64e9), rel=1e-4)  # less norms
    assert found.memory.host_bytes == pytest.approx(90 * GIB)
    assert found.deployment.backend == "vllm"
    assert found.decode.bound_by == "communication"


def test_what_is_in_host_memory_leaves_the_gpu() -> None:
    everything = asked("llama-3.1-8b", backend="llamacpp").memory
    half = asked("llama-3.1-8b", gpu_layers=17).memory  # 16 layers and the head
    embedding = 128256 * 4096 * 2
    layers = everything.weights_bytes_per_gpu - embedding - 4096 * 2  # tokens are looked up on the CPU in any case
    assert half.weights_bytes_per_gpu == pytest.approx(layers / 2 + embedding, rel=1e-4)
    cache = 131_072 * (4096 + 128) / 2  # 8 KV heads in 16 bits
    assert half.host_bytes == pytest.approx(layers / 2 + embedding + cache, rel=1e-4)
    assert half.max_sequences > everything.max_sequences


def test_the_host_limits_the_sequences_too() -> None:
    free = asked("llama-3.1-8b", offload_cache=True).memory
    cache = 131_072 * (4096 + 128)
    tight = asked("llama-3.1-8b", offload_cache=True, host_memory=128256 * 4096 * 2 + 3.5 * cache).memory
    assert (tight.max_sequences, tight.fits) == (3, True)
    assert free.max_sequences > tight.max_sequences
    assert free.host_capacity_bytes is None
    with pytest.raises(CostcalcError, match="does not fit in the 64 GB of the host"):
        asked(offload_experts="all", host_memory="64GB", batch=1, context=131_072, weights="bf16", gpu="h200")


@pytest.mark.parametrize(
    ("gpu", "options", "message"),
    [
        ("m4-max", {"gpu_layers": 10}, "has no host memory beside its own"),
        ("dgx-spark", {"gpu_layers": 10}, "has no host memory beside its own"),
        ("jetson-thor", {"offload_cache": True}, "has no host memory beside its own"),
        ("2xh100", {"gpu_layers": 10}, "2 share host memory"),
        ("h100", {"gpu_layers": 10, "tensor_parallel": 2}, "2 share host memory"),
        ("h100", {"gpu_layers": 10, "disaggregated": True}, "pools apart share host memory"),
        ("h100", {"gpu_layers": 10, "backend": "vllm"}, "does not use host memory so"),
        ("h100", {"cpu_offload_gb": 10, "backend": "ollama"}, "does not use host memory so"),
        ("h100", {"cpu_offload_gb": 10, "gpu_layers": 10}, "two engines' ways at once"),
        ("h100", {"gpu_layers": 10, "terms": "weights"}, "a term of the bill knows no host memory"),
        ("h100", {"offload_experts": "all"}, "has no experts"),
        ("h100", {"offload_experts": "some"}, "some"),
        ("h100", {"host_bandwidth": "90GB/s"}, "host memory holds nothing"),
        ("h100", {"host_memory": "64GB"}, "host memory holds nothing"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(gpu: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CostcalcError, match=message) as raised:
        asked("llama-3.1-8b", gpu, **{"backend": None, **options})
    assert "\n" not in str(raised.value)


def test_the_answer_says_what_was_assumed_of_the_host_and_is_wider() -> None:
    plain = asked("qwen3-30b-a3b", "rtx-4090", backend="llamacpp", weights="q4_k_m")
    found = asked("qwen3-30b-a3b", "rtx-4090", offload_experts="all", weights="q4_k_m")
    assert any("a host that holds weights or cache was measured" in note for note in found.notes)
    assert {"host bandwidth", "host reads", "link to the host"} <= {each.name for each in found.assumptions}
    spreads = [each.decode.step_time_s_range for each in (plain, found)]
    assert spreads[1][1] / spreads[1][0] > spreads[0][1] / spreads[0][0]
    assert found.deployment.settings == "--offload-experts all"


def test_a_sweep_answers_as_an_estimate_does() -> None:
    swept = costcalc.sweep("gpt-oss-120b", "rtx-3090", offload_experts=26, batch=[1, 4, 64], context=[1024, 4096])
    for index, batch in enumerate((1, 4)):
        alone = costcalc.estimate("gpt-oss-120b", "rtx-3090", offload_experts=26, batch=batch, context=4096)
        assert swept["decode.step_time_s"][index, 1] == pytest.approx(alone.decode.step_time_s)


def test_what_vllm_offloads_may_be_a_size_with_its_unit() -> None:
    # A plain number is GiB, as of vLLM's own flag ("the space in GiB to offload to CPU, per GPU").
    told = [Options(cpu_offload_gb=each).cpu_offload_gb for each in ("24", 24, "24GiB", "24 GB", "25769803776B")]
    assert told == [24, 24, 24, pytest.approx(24e9 / 2**30), 24]


def fits(model: str, gpu: str, **options: Any) -> bool:
    try:
        return asked(model, gpu, **options).memory.fits
    except CostcalcError:
        return False


@pytest.mark.parametrize(
    ("model", "gpu", "options"),
    [
        ("llama-3.3-70b", "rtx-4090", {**Q4, "context": 16384}),
        ("qwen3-32b", "rtx-4090", {**Q4, "batch": 4, "context": 8192}),
        ("qwen3-30b-a3b", "rtx-3060-12gb", Q4),
        ("gpt-oss-120b", "rtx-3090", {}),
        ("deepseek-v3", "rtx-4090", Q4),
    ],
)
def test_auto_is_the_most_that_fits(model: str, gpu: str, options: dict[str, Any]) -> None:
    """Against every number of layers; llama.cpp's --fit keeps what is dense of a layer on the GPU, not its experts."""
    spec, found = costcalc.load_model(model), asked(model, gpu, gpu_layers="auto", **options).memory
    layers, experts = found.gpu_layers, found.host_expert_layers
    if not spec.has_experts:
        assert layers == max(n for n in range(spec.num_layers + 2) if fits(model, gpu, gpu_layers=n, **options))
        assert experts is None
    else:
        assert layers == spec.num_layers + 1
        every = range(1, spec.num_layers + 1)
        assert experts == min(n for n in every if fits(model, gpu, offload_experts=n, **options))
    with pytest.raises(CostcalcError) as raised:
        asked(model, f"1x{gpu}", backend="llamacpp", **options)
    assert (f"--offload-experts {experts}" if experts else f"--gpu-layers {layers}") in str(raised.value)


def test_auto_spreads_over_several_gpus_and_takes_all_where_memory_is_shared() -> None:
    several = asked("llama-3.3-70b", "2xrtx-4090", gpu_layers="auto", **Q4)
    assert several.cost == asked("llama-3.3-70b", "2xrtx-4090", backend="llamacpp", **Q4).cost
    assert asked("llama-3.3-70b", "m4-max", gpu_layers="auto", **Q4).deployment.gpus == 1
    with pytest.raises(CostcalcError, match="differ along the axes"):
        costcalc.sweep("llama-3.3-70b", "rtx-4090", gpu_layers="auto", batch=[1, 2])


def test_llama_cpp_keeps_a_cache_in_its_own_formats() -> None:
    """--cache-type-k takes f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0 and q5_1 (tools/server/README.md)."""
    for kv in ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1"):
        assert asked("llama-3.1-8b", "rtx-4090", kv_cache=kv, **Q4).deployment.backend == "llamacpp"
    for options in (Q4, {"backend": "llamacpp"}, {"gpu_layers": 20}):
        with pytest.raises(CostcalcError, match="keeps no cache in fp8; one of fp16"):
            asked("llama-3.1-8b", "rtx-4090", kv_cache="fp8", **options)
    own = asked("deepseek-v3.2", "8xh200", backend="llamacpp", **Q4)
    assert own.deployment.precision.kv_cache == "bf16"


def test_the_engine_where_none_is_told_is_that_of_the_card() -> None:
    usual = {"strix-halo": "llamacpp", "rx-7900-xtx": "llamacpp", "m4-max": "mlx", "rtx-4090": "vllm", "mi300x": "vllm"}
    found = {gpu: asked("llama-3.1-8b", gpu).deployment.backend for gpu in usual}
    assert found == usual


def test_watts_of_a_cpu_that_computes_are_said_to_be_left_out() -> None:
    noted = [asked(offload_experts="all"), asked("llama-3.3-70b", "h100", cpu_offload_gb=90), asked(gpu="h100")]
    assert [any("what the CPU draws" in note for note in each.notes) for each in noted] == [True, False, False]


def test_mxfp4_on_a_card_at_home_names_the_engine_that_it_is_not() -> None:
    cards = [asked("gpt-oss-20b", "rtx-4090"), asked("gpt-oss-20b", "rtx-4090", backend="vllm"), asked(gpu="h100")]
    assert [any("--backend llamacpp" in note for note in each.notes) for each in cards] == [True, False, False]
