"""Launch lines: what is written is what engines take, and what is read back is what was asked.

Flags and their meaning are those of the engines' published argument lists, named with version in
hardware_profiles/efficiency/launch.yaml.
"""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import costcalc
from costcalc.catalog.catalog import Catalog, load_gpu
from costcalc.errors import CostcalcError
from costcalc.explore.launch.emit import emitted
from costcalc.explore.launch.read import DEGREES, from_launch_line
from costcalc.predict.options import OPTIONS, Options
from costcalc.units import parse_machine

CATALOG = Catalog()
ENDLESS = replace(load_gpu("h100"), memory=1e16, memory_reported=None, runtime_memory=None)
"""An H100 that every layout fits."""
MODELS = ("llama-3.1-70b", "deepseek-v3", "gpt-oss-120b", "qwen3-235b-a22b")
ENGINES = ("vllm", "sglang", "trtllm", "llama.cpp", "k8s")
CACHES = (None, "fp8", "bf16", "fp16", "nvfp4", "q8_0", "q4_0")
SAMPLE = int(os.environ.get("COSTCALC_LAUNCHES", "40"))
POWERS = st.sampled_from([1, 1, 2, 4, 8])


@st.composite
def deployments(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    """A model, an engine and a deployment in full."""
    model, engine = draw(st.sampled_from(MODELS)), draw(st.sampled_from(ENGINES))
    tp, dp, pp, replicas = draw(POWERS), draw(POWERS), draw(st.sampled_from([1, 1, 2])), draw(st.sampled_from([1, 3]))
    if model == "llama-3.1-70b":
        dp = 1
    options = {
        "tensor_parallel": tp, "pipeline_parallel": pp, "attention_data_parallel": dp,
        "expert_parallel": draw(st.sampled_from([1, tp * dp])) if dp * tp > 1 and model != "llama-3.1-70b" else 1,
        "gpus": tp * dp * pp * replicas, "batch": dp * pp * draw(st.integers(1, 300)),
    }  # fmt: skip
    optional = {
        "max_num_seqs": st.integers(301, 4096), "max_num_batched_tokens": st.integers(512, 65536),
        "memory_utilization": st.sampled_from([0.5, 0.85, 0.925, 0.95]), "kv_cache": st.sampled_from(CACHES),
        "input_tokens": st.integers(100, 100_000), "output_tokens": st.integers(1, 8000), "cached": st.just(0.5),
        "drafts": st.integers(1, 4), "weights": st.sampled_from(["fp8", "q4_k_m", "bf16"]),
        "two_batch_overlap": st.just(True), "context_parallel": st.just(2), "disaggregated": st.just(True),
    }  # fmt: skip
    for name in draw(st.sets(st.sampled_from(sorted(optional)), max_size=5)):
        options[name] = draw(optional[name])
    return model, engine, {name: value for name, value in options.items() if value is not None}


@settings(max_examples=SAMPLE, deadline=None, suppress_health_check=list(HealthCheck))
@given(deployments())
def test_what_is_written_is_read_back(deployment: tuple[str, str, dict[str, Any]]) -> None:
    model, engine, options = deployment
    try:
        text = emitted(CATALOG.model(model), ENDLESS, engine, catalog=CATALOG, **options).text
    except CostcalcError as error:
        assert "\n" not in str(error)
        assume(False)
    # llama.cpp, which a manifest of GGUF weights starts too, asks whether its cache fits, and this GPU is endless.
    gpu = None if engine == "llama.cpp" or "llama-server" in text else f"{options['gpus']}xh100"
    launch = from_launch_line(text, gpu=gpu, catalog=CATALOG)
    assert CATALOG.find("models", launch.model) == CATALOG.find("models", model)
    found, asked = Options(**{"gpus": options["gpus"], **launch.options}), Options(**options)
    for name in DEGREES:
        assert (getattr(found, name) or 1) == (getattr(asked, name) or 1), text
    said = ("max_num_batched_tokens", "memory_utilization", "kv_cache", "drafts", "two_batch_overlap", "disaggregated")
    for name in (*said, "gpus", "max_num_seqs"):
        if name in options:
            assert getattr(found, name) == getattr(asked, name), text
    if "max_num_seqs" not in options:
        assert found.max_num_seqs == -(-options["batch"] // options["attention_data_parallel"])
    own = CATALOG.model(model).precision
    own_weights = own.experts or own.weights if engine == "llama.cpp" else own.weights
    assert (found.weights or own_weights) == (asked.weights or own_weights), text
    assert launch.max_context == int(options.get("input_tokens", 4096) + options.get("output_tokens", 1024))


def line(model: str, gpu: str, engine: str, **options: Any) -> str:
    return costcalc.launch_line(model, gpu, engine, catalog=CATALOG, **options)


def test_attention_data_parallel_is_told_as_each_engine_counts_it() -> None:
    """vLLM multiplies tp by dp, SGLang and TensorRT-LLM count all GPUs of a stage as tp (their argument lists)."""
    eight = {"tensor_parallel": 1, "attention_data_parallel": 8, "expert_parallel": 8, "batch": 64}
    vllm = line("v3", "8xh200", "vllm", **eight)
    assert "--data-parallel-size 8 --enable-expert-parallel" in vllm and "--tensor-parallel-size" not in vllm
    assert "--max-num-seqs 8 " in vllm  # of a rank
    sglang = line("v3", "8xh200", "sglang", **eight)
    assert "--tp-size 8 --attn-dp-size 8 --ep-size 8" in sglang and "--max-running-requests 64" in sglang
    assert "--tp_size 8 --enable_attention_dp --ep_size 8" in line("v3", "8xh200", "trtllm", **eight)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize(("model", "gpu"), [("v3", "h200"), ("gpt-oss-120b", "8xl40s"), ("qwen3-235b-a22b", "16xh100")])
@pytest.mark.parametrize("context", [8_192, 131_072])
def test_what_is_chosen_is_what_its_engine_starts(model: str, gpu: str, engine: str, context: int) -> None:
    # vLLM's --enable-expert-parallel and TensorRT-LLM's --enable_attention_dp are switches: all GPUs of a stage or one.
    written = line(model, gpu, engine, context=context)
    at = costcalc.estimate(model, gpu, backend=engine, context=context).deployment
    stage = at.tensor_parallel * at.attention_data_parallel
    assert engine != "vllm" or at.expert_parallel in (1, stage)
    assert engine != "trtllm" or at.attention_data_parallel in (1, stage)
    assert ("--enable-expert-parallel" in written) is (engine == "vllm" and at.expert_parallel == stage > 1)


def test_llama_cpp_is_given_no_experts_apart() -> None:
    assert "--tensor-split" in line("gpt-oss-120b", "8xl40s", "llama.cpp", context=8_192)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm", "llama.cpp"])
def test_a_request_of_the_context_that_was_asked_about_fits_the_line(engine: str) -> None:
    written = emitted("llama-3.1-8b", "h100", engine, context="128Ki").text
    read = from_launch_line(written)
    assert read.max_context is not None and read.max_context >= 131_072 + 1_024


def test_a_typed_degree_that_the_engine_does_not_take_is_answered_with_a_note() -> None:
    typed: dict[str, Any] = {"gpus": 8, "tensor_parallel": 8, "expert_parallel": 4}
    said = "vLLM has all 8 GPUs of a stage share in --ep, or one: not 4."
    assert said in costcalc.estimate("v3", "h200", **typed).notes
    assert not [note for note in costcalc.estimate("v3", "h200", backend="sglang", **typed).notes if "--ep" in note]


def test_switches_of_a_whole_stage_are_degrees_of_one_or_a_stage() -> None:
    memories = CATALOG.serving_efficiency().of_memory
    assert memories is not None
    for engine, how in CATALOG.launching().engines.items():
        switched = {name for name, rows in how.options.items() if rows[0].form == "whole_stage"}
        assert switched == {name for name, takes in memories.of(engine).degrees.items() if "stage" in takes}


def test_several_commands_pools_and_manifests_are_written() -> None:
    pools = line("v3", "8xh200", "sglang", disaggregated=True, attention_data_parallel=8, expert_parallel=8)
    assert [shlex.split(each)[-1] for each in pools.splitlines()] == ["prefill", "decode"]
    manifest = line("llama-3.1-8b", "4xh100", "k8s", tensor_parallel=1)
    deployment, service = yaml.safe_load_all(manifest)
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert (deployment["spec"]["replicas"], container["resources"]["limits"]) == (4, {"nvidia.com/gpu": 1})
    assert container["command"][:3] == ["vllm", "serve", "meta-llama/Meta-Llama-3.1-8B"]
    assert service["spec"]["selector"] == deployment["spec"]["selector"]["matchLabels"]
    assert from_launch_line(manifest, catalog=CATALOG).options["gpus"] == 4


def test_drafts_are_an_object_that_a_shell_keeps_whole() -> None:
    words = shlex.split(line("v3", "8xh200", "vllm", drafts=1))
    told = json.loads(words[words.index("--speculative-config") + 1])
    assert told == {"method": "mtp", "num_speculative_tokens": 1}


@pytest.mark.parametrize(
    ("engine", "model", "gpu", "options", "words"),
    [
        ("llama.cpp", "gpt-oss-120b", "8xh100", {"attention_data_parallel": 8, "tensor_parallel": 1}, "no flag for"),
        ("vllm", "v3", "8xh200", {"expert_parallel": 4, "attention_data_parallel": 8}, "all 8 GPUs of a stage"),
        ("trtllm", "v3", "8xh200", {"drafts": 1}, "no flag for `drafts`"),
        ("vllm", "llama-3.1-8b", "h100", {"drafts": 2}, "no prediction head"),
        ("vllm", "llama-3.1-8b", "h100", {"weights": "int4"}, "does not store weights in int4 by itself"),
        ("llama.cpp", "llama-3.1-8b", "h100", {"weights": "fp8"}, "stores no weights in fp8"),
        ("k8s", "v3", "16xh100", {"tensor_parallel": 8, "pipeline_parallel": 2, "expert_parallel": 1}, "on one node"),
        ("k8s", "llama-3.1-8b", "gaudi3", {}, "no image of"),
        ("k8s", "llama-3.1-8b", "m3-ultra", {}, "no launch lines of 'mlx'"),
        ("llama.cpp", "llama-3.1-8b", "h100", {"tensor_parallel": 2, "pipeline_parallel": 2}, "in one way, not two"),
    ],
)  # fmt: skip
def test_what_an_engine_cannot_run_is_refused_in_one_line(
    engine: str, model: str, gpu: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(CostcalcError, match=words) as refused:
        line(model, gpu, engine, **options)
    assert refused.value.hint


PASTED = {
    "vllm serve meta-llama/Llama-3.1-70B-Instruct --tensor-parallel-size=8 --gpu-memory-utilization .95":
        {"tensor_parallel": 8, "memory_utilization": 0.95, "backend": "vllm"},
    "CUDA_VISIBLE_DEVICES=0,1 vllm serve Qwen/Qwen3-32B -tp 2 --max_num_seqs 64 --kv-cache-dtype fp8_e4m3":
        {"tensor_parallel": 2, "max_num_seqs": 64, "kv_cache": "fp8"},
    "python3 -m vllm.entrypoints.openai.api_server --model Qwen/Qwen3-8B -dp 4": {"gpus": 4, "tensor_parallel": 1},
    "vllm serve deepseek-ai/DeepSeek-R1 -tp 2 -dp 4 -ep --speculative-config.num_speculative_tokens 2":
        {"expert_parallel": 8, "attention_data_parallel": 4, "drafts": 2},
    "docker run --gpus all -p 8000:8000 vllm/vllm-openai:latest --model Qwen/Qwen3-8B -q fp8": {"weights": "fp8"},
    "python -m sglang.launch_server --model deepseek-ai/DeepSeek-V3 --tp 8 --dp 8 --enable-dp-attention":
        {"tensor_parallel": 1, "attention_data_parallel": 8},
    "python -m sglang.launch_server --model-path Qwen/Qwen3-8B --dp-size 4 --mem-fraction-static 0.8":
        {"gpus": 4, "memory_utilization": 0.8},
    "trtllm-serve deepseek-ai/DeepSeek-R1 --tp_size 8 --ep_size 8 --kv_cache_free_gpu_memory_fraction 0.8":
        {"tensor_parallel": 8, "expert_parallel": 8, "memory_utilization": 0.8},
    "./llama-server -m models/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf -ngl 20 -c 8192 -np 4 -ctk q8_0 -ctv q8_0":
        {"weights": "q4_k_m", "gpu_layers": 20, "max_num_seqs": 4, "kv_cache": "q8_0"},
    "llama-server -hf ggml-org/gpt-oss-120b-GGUF:MXFP4 --n-cpu-moe 12": {"weights": "mxfp4", "offload_experts": 12},
    "llama-server -hf unsloth/Qwen3-8B-GGUF -sm row -ts 3,1": {"weights": "q4_k_m", "tensor_parallel": 2},
}  # fmt: skip


@pytest.mark.parametrize(("pasted", "wanted"), PASTED.items(), ids=[str(each) for each in range(len(PASTED))])
def test_pasted_lines_are_options_of_estimate(pasted: str, wanted: dict[str, Any]) -> None:
    launch = from_launch_line(pasted, catalog=CATALOG)
    assert wanted.items() <= launch.options.items()
    assert launch.options.keys() <= OPTIONS.keys()
    assert Options(**launch.options)
    CATALOG.find("models", launch.model)


def test_layers_are_spread_over_all_gpus_that_llama_cpp_sees() -> None:
    pasted = "llama-server -m Qwen3-8B-Q8_0.gguf"
    assert from_launch_line(pasted, gpu="4xrtx-4090", catalog=CATALOG).options["pipeline_parallel"] == 4
    assert from_launch_line(pasted, gpu="rtx-4090", catalog=CATALOG).options["pipeline_parallel"] == 1


@pytest.mark.parametrize(
    ("flags", "request_at_most", "at_once"),
    [
        ("-c 32768 -np 4", 8192, 4),  # n_ctx_seq = n_ctx / n_seq_max (llama.cpp, src/llama-context.cpp)
        ("-c 32768 -np 4 -kvu", 32768, 4),  # one cache of all slots
        ("-c 32768", 32768, 4),  # n_parallel = 4 and kv_unified = true (tools/server/server.cpp)
        ("-c 8192", 8192, 1),  # which hold one request of 5,120 tokens
        ("-c 0 -np 2", None, 2),  # as the model was trained
        ("--kv-unified-per-slot 6000", 6000, 4),  # the cache is four times as large
        ("-c 32768 --kv-unified-per-slot 6000", 6000, 4),
    ],
)
def test_the_context_of_llama_cpp_is_of_all_slots(flags: str, request_at_most: int | None, at_once: int) -> None:
    launch = from_launch_line(f"llama-server -m Qwen3-8B-Q8_0.gguf {flags}", gpu="rtx-4090", catalog=CATALOG)
    assert (launch.max_context, launch.options["max_num_seqs"]) == (request_at_most, at_once)


def test_the_context_of_all_slots_is_written() -> None:
    """Four slots of 5,120 tokens, which `-c` has to hold together."""
    words = shlex.split(line("qwen3-8b", "rtx-4090", "llama.cpp", weights="q8_0", batch=4))
    assert words[words.index("--parallel") + 1] == "4" and words[words.index("--ctx-size") + 1] == str(4 * 5120)


def test_what_llama_cpp_is_told_on_a_gpu_starts_there() -> None:
    """Slots that were asked for and that no memory holds are not written."""
    for options in ({"max_num_seqs": 200}, {"gpu_layers": "auto", "context": 32768}, {"kv_cache": "q8_0", "batch": 3}):
        text = line("qwen3-32b", "rtx-4090", "llama.cpp", weights="q4_k_m", **options)
        launch = from_launch_line(text, gpu="rtx-4090", catalog=CATALOG)
        assert launch.options.get("gpu_layers") == (55 if "gpu_layers" in options else None)
        assert launch.max_context == options.get("context", 4096) + 1024


def test_layers_leave_a_gpu_whose_cache_is_kept_from_the_start() -> None:
    """As llama.cpp's --fit does it, unless the line says how many layers are on the GPU."""
    long = "llama-server -m Qwen3-32B-Q4_K_M.gguf -c 65536"
    launch = from_launch_line(long, gpu="rtx-5090", catalog=CATALOG)
    slots = {"weights": "q4_k_m", "context": 65536 / 4, "batch": 4, "max_num_seqs": 4}
    own = costcalc.estimate("qwen3-32b", "rtx-5090", gpu_layers="auto", **slots)
    assert launch.options["gpu_layers"] == own.memory.gpu_layers and own.memory.gpu_layers < 65
    assert "gpu_layers" not in from_launch_line(long.replace("65536", "32768"), gpu="rtx-5090", catalog=CATALOG).options
    with pytest.raises(CostcalcError, match="a cache of 65,536 tokens is kept from the start"):
        from_launch_line(f"{long} -ngl all", gpu="rtx-5090", catalog=CATALOG)


def test_a_repository_without_a_format_is_the_first_that_llama_cpp_takes() -> None:
    """Q4_K_M, or the first file where there is none (tools/server/README.md, -hf); gpt-oss is there in MXFP4."""
    named = {"unsloth/Qwen3-8B-GGUF": "q4_k_m", "ggml-org/gpt-oss-20b-GGUF": None}
    for repository, weights in named.items():
        assert from_launch_line(f"llama-server -hf {repository}", catalog=CATALOG).options.get("weights") == weights


def test_what_an_estimate_cannot_know_is_said() -> None:
    pasted = "vllm serve Qwen/Qwen3-8B --max-model-len 8192 --port 80 --enforce-eager --seed -1 --lora-modules a=b c=d"
    notes = " ".join(from_launch_line(pasted, catalog=CATALOG).notes)
    assert "8,192 tokens at most" in notes
    assert "may change the cost: --enforce-eager." in notes
    assert "Without effect on the cost here: --port, --seed, --lora-modules." in notes


@pytest.mark.parametrize(
    "form", ["-m {file} -fa -c 16384 -np 2", "-m {file} -c 16384 -np 2 -fa", "-fa on -m {file} -c 16384 -np 2"]
)
def test_flash_attention_of_llama_cpp_may_stand_without_a_value(form: str) -> None:
    """It took none until September 2025 (containers/ramalama#1928), and guides still write it so."""
    launch = from_launch_line(f"llama-server {form.format(file='Qwen3-32B-Q4_K_M.gguf')}", catalog=CATALOG)
    assert launch.max_context == 8192 and launch.options["max_num_seqs"] == 2


@given(st.data())
def test_flags_without_effect_never_take_the_next_flag_nor_fail_at_the_end(data: st.DataObject) -> None:
    engine, command = data.draw(
        st.sampled_from(
            [
                ("vllm", "vllm serve"),
                ("sglang", "python -m sglang.launch_server --model-path"),
                ("trtllm", "trtllm-serve"),
                ("llamacpp", "llama-server -hf"),
            ]
        )
    )
    how = CATALOG.launching().engines[engine]
    flag = data.draw(st.sampled_from([each for each in how.others if each != how.cache_of_one]))
    own = how.options["max_num_batched_tokens"][0].flags[0]
    for line in (f"{own} 512 {flag}", f"{flag} {own} 512"):
        assert (
            from_launch_line(f"{command} Qwen/Qwen3-8B {line}", catalog=CATALOG).options["max_num_batched_tokens"]
            == 512
        )


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        ("vllm serve Qwen/Qwen3-8B -tp --max-model-len 4096", "-tp has no value; '--max-model-len' follows it"),
        ("vllm serve Qwen/Qwen3-8B --tensor-paralel-size 2", "did you mean '--tensor-parallel-size'"),
        ("trtllm-serve Qwen/Qwen3-8B --max-model-len 2", "TensorRT-LLM has no flag '--max-model-len'"),
        ("vllm serve Qwen/Qwen3-8B --tensor-parallel-size", "has no value"),
        ("vllm serve Qwen/Qwen3-8B --tensor-parallel-size two", "--tensor-parallel-size two"),
        ("vllm serve nobody/nothing-7b", "is not in the catalog"),
        ("vllm serve", "names no model"),
        ("vllm serve 'Qwen/Qwen3-8B", "are all quotes closed"),
        ("ls -l", "no command of a serving engine"),
        ("vllm serve Qwen/Qwen3-8B\nvllm serve Qwen/Qwen3-32B", "2 commands"),
        ("vllm serve Qwen/Qwen3-8B --speculative-config mtp", "no object of JSON"),
        (f"vllm serve Qwen/Qwen3-8B -sc '{'[' * 90_000}'", "no object of JSON"),
        ("x" * 5000, "no command of a serving engine"),
        ("vllm serve Qwen/Qwen3-8B " * 5000, "the line is too long"),
        ("kind: Deployment\nspec: {replicas: many, template: {spec: {containers: [3]}}}", "'many' replicas"),
        ("kind: Deployment\nspec: {template: {spec: {containers: [3, {command: vllm serve}]}}}", "no command of"),
        ("kind: [", "not YAML"),
    ],
)
def test_a_line_that_cannot_be_read_is_refused_in_one_line(pasted: str, words: str) -> None:
    with pytest.raises(CostcalcError) as refused:
        from_launch_line(pasted, catalog=CATALOG)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_contradicts_the_line_is_refused() -> None:
    pasted = "vllm serve Qwen/Qwen3-8B -tp 2"
    assert from_launch_line(pasted, catalog=CATALOG, tensor_parallel="2", batch="8").options["batch"] == "8"
    with pytest.raises(CostcalcError, match="contradicts the line's 2"):
        from_launch_line(pasted, catalog=CATALOG, tensor_parallel=4)


def test_every_flag_of_the_table_is_an_option_or_of_the_line_alone() -> None:
    of_the_line = {"max_context", "prefix_cache", "no_prefix_cache", "replicas", "pool"}
    for how in CATALOG.launching().engines.values():
        assert how.options.keys() - of_the_line <= OPTIONS.keys()
        flags = [flag for rows in how.options.values() for row in rows for flag in row.flags]
        assert not {*flags} & {*how.switches, *how.others}
        assert {*how.uncounted} <= {*how.switches, *how.others}
        for flag in (*flags, *how.switches, *how.others):
            assert flag.startswith("-") and " " not in flag


def test_the_answer_of_a_line_is_that_of_its_options() -> None:
    launch = costcalc.from_launch_line("vllm serve meta-llama/Llama-3.1-70B-Instruct -tp 8", gpu="h100")
    there = costcalc.estimate(launch.model, "h100", **launch.options)
    plain = costcalc.estimate("llama-3.1-70b", "8xh100", tensor_parallel=8, backend="vllm")
    assert there.cost == plain.cost
    assert parse_machine("8xh100")[0] == there.deployment.gpus


@pytest.mark.parametrize(("model", "stored", "gpus"), [("llama-3.3-70b", "Q4_K_M", 2), ("gpt-oss-120b", "MXFP4", 3)])
def test_llama_cpp_splits_layers_over_gpus_unless_told(model: str, stored: str, gpus: int) -> None:
    """tools/server/README.md, --split-mode: "layer (default): split layers and KV across GPUs"; as its line is read."""
    cards, options = f"{gpus}xrtx-3090", {"weights": stored, "backend": "llamacpp"}
    plain = costcalc.estimate(model, cards, batch=1, catalog=CATALOG, **options)
    line = f"llama-server -m {costcalc.load_model(model).name}-{stored}.gguf -np 1 -c 5120"
    read = from_launch_line(line, gpu=cards, catalog=CATALOG)
    told = costcalc.estimate(read.model, cards, **{**read.options, "batch": 1})
    assert plain.deployment.pipeline_parallel == told.deployment.pipeline_parallel == gpus
    assert plain.serving == told.serving
    asked = costcalc.estimate("qwen3-32b", "2xrtx-3090", weights="q4_k_m", tensor_parallel=2)
    assert asked.deployment.tensor_parallel == 2
