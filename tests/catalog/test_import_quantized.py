"""Quantization blocks set the precision of weights, experts, LM head and cache, scales included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hub_configs import LLAMA, config, imported

from costcalc.catalog.huggingface.quantization import meaning
from costcalc.formats import weight_format
from costcalc.model.spec import Precision


def precision(folder: Path, data: dict[str, Any], block: Any = None, **beside: Any) -> Precision:
    extra = {} if block is None else {"quantization_config": block}
    return imported(folder, data | extra, **beside).spec.precision


def scheme(bits: int, kind: str, group: int | None, symmetric: bool = True, inputs: bool = False) -> dict[str, Any]:
    """Return a group of compressed-tensors."""
    return {
        "targets": ["Linear"],
        "input_activations": {"num_bits": bits, "type": kind} if inputs else None,
        "weights": {"num_bits": bits, "type": kind, "group_size": group, "symmetric": symmetric, "strategy": "group"},
    }


def compressed(group: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": group}, "ignore": ["lm_head"], **others}


BLOCKS: dict[str, tuple[dict[str, Any], str]] = {
    "fp8 by blocks": ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8_block"),
    "fp8": ({"quant_method": "fp8", "activation_scheme": "static"}, "fp8"),
    "fbgemm": ({"quant_method": "fbgemm_fp8"}, "fp8"),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}, "int4_zp"),
    "awq of 64": ({"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True}, "int4_g64_zp"),
    "gptq": ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True, "desc_act": False}, "int4"),
    "gptq with zero points": ({"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False}, "int4_g32_zp"),
    "gptq by channel": ({"quant_method": "gptq", "bits": 4, "group_size": -1, "sym": True}, "int4_channel"),
    "gptq of 8 bits": ({"quant_method": "gptq", "bits": 8, "group_size": 128, "sym": True}, "int8_wo_g128"),
    "auto-round": ({"quant_method": "auto-round", "bits": 4, "group_size": 128, "sym": True}, "int4"),
    "bitsandbytes": ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8"),
    "nf4": ({"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "nf4"),
    "nf4 twice": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_use_double_quant": True}, "nf4_dq"
    ),
    "compressed int4": (compressed(scheme(4, "int", 128)), "int4"),
    "compressed int4 with zero points": (compressed(scheme(4, "int", 128, symmetric=False)), "int4_zp"),
    "compressed int8": (compressed(scheme(8, "int", None, inputs=True)), "int8"),
    "compressed int8, weights only": (compressed(scheme(8, "int", None)), "int8_wo"),
    "compressed fp8": (compressed(scheme(8, "float", None, inputs=True)), "fp8"),
    "compressed fp8, weights only": (compressed(scheme(8, "float", None)), "fp8_wo"),
    "compressed nvfp4": (compressed(scheme(4, "float", 16, inputs=True)), "nvfp4"),
    "compressed mxfp4": (compressed(scheme(4, "float", 32)), "mxfp4"),
    "modelopt": ({"quant_method": "modelopt", "quant_algo": "FP8"}, "fp8"),
    "modelopt without a method": ({"quant_algo": "NVFP4", "ignore": ["lm_head"]}, "nvfp4"),
    "modelopt int4": ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ", "group_size": 128}, "int4"),
}  # fmt: skip


@pytest.mark.parametrize("case", BLOCKS)
def test_a_block_sets_the_weights_and_leaves_the_head(case: str, tmp_path: Path) -> None:
    block, expected = BLOCKS[case]
    found = precision(tmp_path, LLAMA, block)
    assert (found.weights, found.experts, found.head, found.kv_cache) == (expected, None, "bf16", "bf16")


@pytest.mark.parametrize(
    ("name", "size", "source"),
    [
        ("int4_zp", 0.5 + 2 / 128 + 0.5 / 128, "AWQ (arXiv 2306.00978): fp16 scale and 4-bit zero point per 128"),
        ("nf4", 0.5 + 4 / 64, "QLoRA (arXiv 2305.14314), section 3: 0.5 bits per parameter for fp32 per 64"),
        ("nf4_dq", 0.5 + (8 / 64 + 32 / (64 * 256)) / 8, "QLoRA, section 3: 0.127 bits with double quantization"),
        ("int4_g64", 0.5 + 2 / 64, "GPTQ: fp16 scale per group"),
    ],
)
def test_scales_are_counted(name: str, size: float, source: str) -> None:
    assert weight_format(name).bytes == pytest.approx(size), source


def test_the_data_type_counts_where_nothing_is_quantized(tmp_path: Path) -> None:
    found = precision(tmp_path, LLAMA | {"torch_dtype": "float16"})
    assert (found.weights, found.head, found.kv_cache) == ("fp16", "fp16", "fp16")
    spec = imported(tmp_path, {key: value for key, value in LLAMA.items() if key != "torch_dtype"}).spec
    assert "The file names no dtype; bf16 is assumed." in spec.notes


def test_mxfp4_is_for_experts(tmp_path: Path) -> None:
    # OpenAI's gpt-oss model card: the MoE weights alone are in MXFP4.
    found = precision(tmp_path, config("gpt-oss-120b"))
    assert (found.weights, found.experts) == ("bf16", "mxfp4")


def test_parts_that_are_left_out_stay_wide(tmp_path: Path) -> None:
    # moonshotai/Kimi-K2-Thinking and K2.5: int4 in groups of 32 for routed experts alone.
    found = precision(tmp_path, config("kimi-k2.5"))
    assert (found.weights, found.experts, found.head) == ("bf16", "int4_g32", "bf16")


def test_layers_that_are_left_out_one_by_one_stay_wide(tmp_path: Path) -> None:
    # nvidia/Kimi-K2.6-NVFP4 names every layer's attention and shared experts, and the dense layer as a whole.
    parts = ("self_attn", "mlp.shared_experts")
    named = [f"language_model.model.layers.{i}.{part}*" for i in range(61) for part in parts]
    block = {
        "quant_method": "modelopt",
        "quant_algo": "NVFP4",
        "kv_cache_scheme": {"num_bits": 8, "type": "float", "dynamic": False},
        "ignore": ["language_model.lm_head", "language_model.model.layers.0*", "vision_tower*", *named],
    }
    found = precision(tmp_path, config("kimi-k2"), block)
    assert (found.weights, found.experts, found.head, found.kv_cache) == ("bf16", "nvfp4", "bf16", "fp8")


def test_attention_that_is_left_out_has_a_format_of_its_own(tmp_path: Path) -> None:
    block = compressed(scheme(4, "float", 16, inputs=True), ignore=["lm_head", "re:.*self_attn.*"])
    spec = imported(tmp_path, LLAMA | {"quantization_config": block}).spec
    assert (spec.precision.weights, spec.precision.attention, spec.precision.ffn) == ("nvfp4", "bf16", None)
    assert not any("mixed" in note for note in spec.notes)


def test_projections_that_are_left_out_count_by_their_size(tmp_path: Path) -> None:
    # nvidia/DeepSeek-V3.1-NVFP4 keeps all projections of the attention but the last in 16 bits.
    names = [f"model.layers.{i}.self_attn.{part}_proj{tail}" for i in range(61)
             for part, tail in (("q_a", ""), ("q_b", ""), ("kv_a", "_with_mqa"), ("kv_b", ""))]  # fmt: skip
    data = {key: value for key, value in config("deepseek-v3").items() if key != "quantization_config"}
    quantization = {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "group_size": 16, "exclude_modules": names}
    found = imported(tmp_path, data, hf_quant_config={"quantization": quantization}).spec
    assert (found.precision.weights, found.precision.experts, found.precision.kv_cache) == ("nvfp4", None, "fp8")
    # An attention has 187,105,280 weights, of which o_proj has 117,440,512: 63%.
    told = "Weights of attention are mixed, nvfp4 63%, bf16 37%; all are counted as nvfp4."
    assert told in found.notes


def test_layers_can_have_formats_of_their_own(tmp_path: Path) -> None:
    # nvidia/Qwen3.6-35B-A3B-NVFP4: fp8 for attention, fp4 weights for experts and the LM head.
    layers: dict[str, Any] = {"lm_head": {"quant_algo": "W4A16_NVFP4", "group_size": 16}}
    for i in range(60):
        layers[f"model.language_model.layers.{i}.linear_attn.in_proj_qkv"] = {"quant_algo": "FP8"}
        layers[f"model.language_model.layers.{i}.self_attn.q_proj"] = {"quant_algo": "FP8"}
        layers[f"model.language_model.layers.{i}.mlp.experts"] = {"quant_algo": "W4A16_NVFP4", "group_size": 16}
    block = {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": layers}
    found = precision(tmp_path, config("qwen3.5-397b-a17b"), block)
    assert (found.weights, found.experts, found.head) == ("fp8", "nvfp4_wo", "nvfp4_wo")


def test_the_file_beside_the_configuration_counts(tmp_path: Path) -> None:
    # nvidia/Llama-3.1-8B-Instruct-FP8: config.json says nothing of it.
    beside = {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"]}}
    spec = imported(tmp_path, LLAMA, hf_quant_config=beside).spec
    assert (spec.precision.weights, spec.precision.kv_cache) == ("fp8", "fp8")
    assert spec.sources[0].source.endswith("/config.json and hf_quant_config.json")


def test_experts_of_deepseek_v4_have_the_type_that_the_file_names(tmp_path: Path) -> None:
    assert precision(tmp_path, config("deepseek-v4-flash")).experts == "mxfp4"
    assert precision(tmp_path, config("deepseek-v4-flash") | {"expert_dtype": None}).experts is None


def test_other_block_sizes_are_told(tmp_path: Path) -> None:
    block = {"quant_method": "fp8", "weight_block_size": [1, 128]}
    spec = imported(tmp_path, LLAMA | {"quantization_config": block}).spec
    assert "A scale stands for 1 × 128 weights; it is counted as one per 128 × 128." in spec.notes


@pytest.mark.parametrize(
    ("name", "parts", "layer"),
    [
        ("lm_head", ("head",), None),
        ("model.layers.12.self_attn*", ("attention",), 12),
        ("re:.*self_attn.*", ("attention",), None),
        (r"re:.*mlp\.(gate|up|gate_up|down)_proj.*", ("mlp",), None),
        ("model.layers.3.mlp.shared_experts.down_proj", ("shared",), 3),
        ("model.layers.3.mlp.experts.17.up_proj", ("experts",), 3),
        ("backbone.layers.4.mixer.in_proj", ("attention",), 4),
        ("model.layers.0*", ("attention", "mlp", "shared", "experts"), 0),
        ("model.layers.5.mlp", ("mlp", "shared", "experts"), 5),
        ("model.layers.5.mlp.gate", (), 5),
        ("model.layers.5.mlp.gate_proj", ("mlp",), 5),
        ("model.layers.5.input_layernorm", (), 5),
        ("model.layers.7.self_attn.indexer.weights_proj", (), 7),
        ("model.embed_tokens", (), None),
        ("vision_tower*", (), None),
        ("gate", (), None),
    ],
)
def test_names_of_modules_mean_parts(name: str, parts: tuple[str, ...], layer: int | None) -> None:
    means = meaning(name)
    assert means is not None
    assert (means.parts, means.layer) == (parts, layer)


def test_a_name_of_nothing_known_is_told(tmp_path: Path) -> None:
    assert meaning("something.else") is None
    block = {"quant_method": "fp8", "modules_to_not_convert": ["something.else", "x" * 1000]}
    spec = imported(tmp_path, LLAMA | {"quantization_config": block}).spec
    assert any("names unknown modules, left out: 'something.else' and 1 more" in note for note in spec.notes)
