"""Configurations that people quote in public reports: what they hold, by other counts than ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hub_configs import config, imported

from costcalc.catalog.huggingface.importer import import_model
from costcalc.engine.memory import cache_bytes_per_token, weights_bytes_per_gpu
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.errors import CostcalcError
from costcalc.model.spec import ModelSpec

CASES = Path(__file__).parent / "cases"
PEAKS = ("bf16", "fp16", "fp8", "fp4", "int8")

# file -> parameters, cache in 16 bits [B/token], weights [GB], None where the source does not say; and the source.
RIGHT: dict[str, tuple[float | None, float | None, float | None, str]] = {
    "mla-switched-off": (
        2_934_734_080, 61_440, None,
        "DeepSeek-OCR, whose use_mla is off: plain attention, 10 heads of 128, 12 layers",
    ),
    "moe-step-zero": (11_129_164_800, None, None, "Llama-Guard-4-12B, text model as transformers counts it: all dense"),
    "mlx-4bit": (
        4_022_468_096, 147_456, 2.263,
        "mlx-community: 4 bits, and a 16-bit scale and bias for 64 weights, of the embedding too: 0.5625 B each",
    ),
    "heads-left-to-default": (12_247_782_400, 163_840, None, "pixtral-12b as transformers counts it: 32 heads"),
    "refinedweb-small": (
        3_250_733_056, 8_192, None,
        "Falcon's first form: a layer has 75,497,472 qkv, 67,108,864 out, 536,870,912 FFN, 32,768 of two norms",
    ),
    "nvfp4-ffn-bf16-attention": (
        None, 81_920, 31.48,
        "nvidia/Gemma-4-31B-IT-NVFP4, tensor by tensor: attention and embedding bf16 (9.89e9), FFN nvfp4 (20.81e9)",
    ),
    "small-nvfp4-ffn-only": (
        None, None, 7.956,
        "FFN 5,637,144,576 × 0.5625 B, attention 1,342,177,280 × 2 B, two tables 1,050,673,152 × 2 B",
    ),
    "decoder-without-x": (356_712_448, None, None, "codegen-350M, published as 350M: 356.7M with the untied head"),
    "lfm2": (
        1_170_340_608, 6 * 2 * 8 * 64 * 2, None,
        "LFM2-1.2B as transformers counts it; keys and values of six layers with 8 heads of 64",
    ),
}  # fmt: skip


def weights_gb(spec: ModelSpec) -> float:
    return float(weights_bytes_per_gpu(spec, Parallelism(), resolve_formats(spec.precision, PEAKS))) / 1e9


@pytest.mark.parametrize("name", RIGHT)
def test_a_reported_configuration_holds_what_it_holds(name: str) -> None:
    parameters, cache, weights, source = RIGHT[name]
    spec = import_model(str(CASES / f"{name}.json")).spec
    if parameters is not None:
        assert spec.total_parameters == parameters, source
    if cache is not None:
        assert cache_bytes_per_token(spec, resolve_formats(spec.precision, PEAKS)) == cache, source
    if weights is not None:
        assert weights_gb(spec) == pytest.approx(weights, rel=1e-3), source


def test_three_formats_in_one_checkpoint(tmp_path: Path) -> None:
    # nvidia/Qwen3.6-27B-NVFP4, tensor by tensor: 1.30e9 weights in bf16, 7.21e9 in fp8, 18.38e9 in nvfp4: 20.15 GB.
    data = config("qwen3.5-27b")
    layers: dict[str, Any] = {"lm_head": {"quant_algo": "W4A16_NVFP4", "group_size": 16}}
    for i in range(64):
        name = f"model.language_model.layers.{i}"
        layers |= {f"{name}.mlp.{part}_proj": {"quant_algo": "W4A16_NVFP4"} for part in ("gate", "up", "down")}
        mixer = ("self_attn", "qkvo") if i % 4 == 3 else ("linear_attn", "")
        parts = [f"{each}_proj" for each in mixer[1]] or ["in_proj_qkv", "in_proj_z", "out_proj"]
        layers |= {f"{name}.{mixer[0]}.{part}": {"quant_algo": "FP8"} for part in parts}
    block = {
        "quant_method": "modelopt",
        "quant_algo": "MIXED_PRECISION",
        "ignore": ["mtp*"],
        "quantized_layers": layers,
    }
    spec = imported(tmp_path, data | {"quantization_config": block}).spec
    made = spec.precision
    assert (made.weights, made.attention, made.head, made.embedding) == ("nvfp4_wo", "fp8", "nvfp4_wo", "bf16")
    assert weights_gb(spec) == pytest.approx(20.15, rel=0.01)


def test_modules_of_mlx_may_have_settings_of_their_own(tmp_path: Path) -> None:
    data: dict[str, Any] = import_data("mlx-4bit")
    block = {"bits": 4, "group_size": 32, "model.layers.0.self_attn": False,
             **{f"model.layers.{i}.mlp": {"bits": 8, "group_size": 64} for i in range(36)}}  # fmt: skip
    made = imported(tmp_path, data | {"quantization_config": block}).spec.precision
    assert (made.weights, made.attention, made.head) == ("mlx_q8", "mlx_q4-5", "mlx_q4-5")


def test_exl_says_its_bits(tmp_path: Path) -> None:
    block = {"quant_method": "exl3", "bits": 3.5, "head_bits": 6}
    made = imported(tmp_path, import_data("mlx-4bit") | {"quantization_config": block}).spec.precision
    assert (made.weights, made.head) == ("exl3-3.5", "exl3-6")


@pytest.mark.parametrize(("name", "kind"), [("CodeWormForCausalLM", "codeworm"), ("Lfm9ForCausalLM", "zzz")])
def test_no_family_of_another_make_is_named(name: str, kind: str, tmp_path: Path) -> None:
    with pytest.raises(CostcalcError) as raised:
        imported(tmp_path, {"architectures": [name], "model_type": kind})
    assert "Cohere" not in str(raised.value) and "Olmo" not in str(raised.value)


def import_data(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    return data
