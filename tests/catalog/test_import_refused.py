"""Broken configurations: each is refused in one line that says where and how to mend it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hub_configs import LLAMA, config, imported

from costcalc.catalog.huggingface.importer import import_model, known_architectures
from costcalc.errors import CostcalcError


def without(*keys: str, **changes: Any) -> dict[str, Any]:
    return {key: value for key, value in (LLAMA | changes).items() if key not in keys}


def changed(name: str, **changes: Any) -> dict[str, Any]:
    return config(name) | changes


TEXTS = {
    "nothing": ("", r"config.json: the file is empty; a config.json holds an object of settings"),
    "spaces alone": (" \n ", r"config.json: the file is empty"),
    "no JSON": ("hidden_size: 4096\n", r"config.json:1:1: not JSON: Expecting value; is this a config.json\?"),
    "cut off": ('{\n "hidden_size": 4096,\n "vocab', r"config.json:3:2: not JSON: Unterminated string"),
    "a comma too many": ('{"a": 1,\n}', r"config.json:[12]:\d+: not JSON"),
    "a list": ('[{"hidden_size": 4096}]', r"config.json:1:1: expected an object of settings, got a list"),
    "null": ("null", r"config.json:1:1: expected an object of settings, got nothing \(null\)"),
    "a key twice": (
        '{\n "hidden_size": 1,\n "text_config": {"vocab_size": 5,\n  "vocab_size": 6}\n}',
        r"config.json:4:3: duplicate key 'vocab_size'; remove one of them",
    ),
    "too deep": ('{"a":' * 200_000 + "1" + "}" * 200_000, r"config.json: not a config.json: nested too deeply"),
    "a number of 5000 digits": ('{"hidden_size": ' + "9" * 5000 + "}", r"config.json: not JSON: a number has too many"),
    "no UTF-8": (b'{"a": "\xff"}', r"config.json:1:8: not UTF-8 text"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), r"config.json: UTF-16 text, not UTF-8; save the file as UTF-8"),
    "UTF-16 without a mark": ('{"a": 1}'.encode("utf-16-be"), r"config.json: UTF-16 text, not UTF-8"),
    "binary": (b"GGUF\x03\x00\x00\x00", r"config.json: a binary file, not text; is this the right file\?"),
}
SETTINGS = {
    "a null language model": (
        without(text_config=None),
        r":\d+:\d+: text_config: is null; it holds the settings of the language model",
    ),
    "a list for a language model": (without(text_config=[LLAMA]), r"text_config: must be an object, got a list"),
    "a tower alone": (
        {"architectures": ["Llama4ForConditionalGeneration"], "vision_config": {}},
        r"text_config: is missing; it holds the settings of the language model",
    ),
    "another family": (
        without(architectures=["DeciLMForCausalLM"], model_type="nemotron-nas"),
        r"unknown architecture 'DeciLMForCausalLM' .*; the closest known one is 'NemotronForCausalLM'",
    ),
    "a later member of a family": (
        without(architectures=["InternLM3ForCausalLM"], model_type="internlm3"),
        r"the closest known one is 'InternLM2ForCausalLM'",
    ),
    # configuration_nemotron_h.py: hybrid_override_pattern must have the same length as num_hidden_layers.
    "fewer blocks than layers": (
        changed("nemotron-h-56b", hybrid_override_pattern="M-M*", num_hidden_layers=118),
        r"hybrid_override_pattern: has 4 blocks, but num_hidden_layers is 118",
    ),
    "more dense layers than there are": (
        changed("deepseek-v3", first_k_dense_replace=100),
        r"first_k_dense_replace: 100 dense layers come first, but there are 61 in all",
    ),
    "no architecture": (without("architectures", "model_type"), r":1:1: names neither architectures nor a model_type"),
    "an index of weights": ({"weight_map": {}}, r"this is the index of the weights; config.json stands beside it"),
    "an adapter": ({"peft_type": "LORA"}, r"this is an adapter; import the config.json of the model that it adapts"),
    "an unknown architecture": (
        without(architectures=["MistralSsmForCausalLM"], model_type="mistral_ssm"),
        r":1:19: architectures: unknown architecture 'MistralSsmForCausalLM' \(model_type 'mistral_ssm'\); "
        r"the closest known one is 'MistralForCausalLM'",
    ),
    "an unknown head on known layers": (
        without(architectures=["LlamaForSequenceClassification"]),
        r"the closest known one is 'LlamaForCausalLM', which is read if a copy of the file names it",
    ),
    "an architecture like no other": (
        without(architectures=["ZzzForCausalLM"], model_type="zzz"),
        r"unknown architecture 'ZzzForCausalLM' \(model_type 'zzz'\); docs/import.md lists those that are read",
    ),
    "a type like no other": (without("architectures", model_type="zzz"), r"'zzz'; docs/import.md lists those that are"),
    "an unknown type": (without("architectures", model_type="lama"), r"unknown model_type 'lama'; .* is 'llama'"),
    "architectures as text": (without(architectures="LlamaForCausalLM"), r"architectures: must be a list, got 'Llama"),
    "architectures of numbers": (without(architectures=[3]), r"architectures: must list words, got 3"),
    "no layers": (without("num_hidden_layers"), r"num_hidden_layers: is missing; the shape cannot be known without it"),
    "a misspelt key": (
        without("num_hidden_layers", num_hidden_layer=32),
        r"num_hidden_layers: is missing; the file has 'num_hidden_la",
    ),
    "null heads": (without(num_attention_heads=None), r"num_attention_heads: is null"),
    "a width as text": (without(hidden_size="4096"), r":1:\d+: hidden_size: must be a whole number, got '4096'"),
    "a fraction": (without(hidden_size=4096.5), r"hidden_size: must be a whole number, got 4096.5"),
    "a truth as a number": (without(num_hidden_layers=True), r"num_hidden_layers: must be a whole number, got true"),
    "negative": (without(vocab_size=-1), r"vocab_size: must be at least 1, got -1"),
    "zero": (without(num_attention_heads=0), r"num_attention_heads: must be at least 1, got 0"),
    "infinite": (without(hidden_size=float("inf")), r"hidden_size: must be a whole number, got inf"),
    "huge": (without(intermediate_size=10**12), r"intermediate_size: must be at most 100,000,000, got 1000000000000"),
    "a million layers": (without(num_hidden_layers=10**6), r"num_hidden_layers: must be at most 2,000, got 1000000"),
    "a list of widths": (without(intermediate_size=[1, 2]), r"intermediate_size: must be a whole number, got a list"),
    "KV heads that divide nothing": (
        without(num_key_value_heads=5),
        r"num_key_value_heads: 5 does not divide 32 attention heads",
    ),
    "heads that divide nothing": (
        without(num_attention_heads=30, num_key_value_heads=5),
        r"hidden_size: 4096 is no multiple of 30 attention heads; give head_dim",
    ),
    "a switch as text": (without(tie_word_embeddings="false"), r"tie_word_embeddings: must be true or false, got 'fal"),
    "an unknown dtype": (without(torch_dtype="float7"), r"torch_dtype: unknown data type 'float7'; known: bfloat16"),
    "kinds for too few layers": (
        changed("gpt-oss-120b", layer_types=["full_attention"]),
        r"layer_types: must have one entry for each of 36 layers, has 1",
    ),
    "an unknown kind of layer": (
        changed("gpt-oss-120b", layer_types=["mamba"] * 36),
        r"layer_types: unknown kind of layer 'mamba'; known: full_attention, sliding_attention",
    ),
    "more experts per token than experts": (
        changed("mixtral-8x7b", num_experts_per_tok=9),
        r"num_experts_per_tok: 9 exceeds the 8 experts",
    ),
    "no latent rank": (changed("deepseek-v3", kv_lora_rank=None), r"kv_lora_rank: is null"),
    "a nested group of null": (changed("minimax-m3", sparse_attention_config=None), r"sparse_attention_config: is mis"),
    "nulls all the way down": (
        changed("llama-4-scout", text_config={"model_type": "llama4_text", "hidden_size": None}),
        r"text_config.num_hidden_layers: is missing",
    ),
    "layers counted from 0": (
        changed("kimi-linear-48b-a3b", linear_attn_config={"full_attn_layers": [0], "head_dim": 128, "num_heads": 32}),
        r"linear_attn_config.full_attn_layers: must list layers from 1 to 27",
    ),
    "a letter of no layer": (
        changed("nemotron-h-56b", hybrid_override_pattern="M-X"),
        r"hybrid_override_pattern: unknown letter 'X'",
    ),
    "an offset behind its period": (
        changed("jamba-1.5-large", attn_layer_offset=8),
        r"attn_layer_offset: 8 is not below the period of 8",
    ),
    "layers of another make": (
        changed("gemma-4-26b-a4b", text_config=config("gemma-4-26b-a4b")["text_config"] | {"num_kv_shared_layers": 2}),
        r"text_config.num_kv_shared_layers: .* cannot be imported yet; write the model by hand",
    ),
    "an unknown quantization": (
        without(quantization_config={"quant_method": "awg", "bits": 4}),
        r"quantization_config.quant_method: unknown method 'awg'; the closest known one is 'awq'",
    ),
    "a quantization like no other": (
        without(quantization_config={"quant_method": "zzz"}),
        r"unknown method 'zzz'; known: fp8, .*; without the block, the shape is imported in 16 bits",
    ),
    "a quantization of nothing": (
        without(quantization_config={}),
        r"quantization_config.quant_method: is missing; known: fp8",
    ),
    "a quantization as text": (without(quantization_config="awq"), r"quantization_config: must be an object, got 'aw"),
    "three bits": (
        without(quantization_config={"quant_method": "gptq", "bits": 3}),
        r"quantization_config.bits: weights of 3 bits are not known; 4 and 8 are",
    ),
}


def refusal(path: Path | str, **options: Any) -> str:
    with pytest.raises(CostcalcError) as raised:
        import_model(str(path), **options)
    line = str(raised.value)
    assert "\n" not in line
    assert line.isprintable()
    assert len(line) < 400
    return line


@pytest.mark.parametrize("case", TEXTS)
def test_a_file_that_is_no_configuration(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content, expected = TEXTS[case]
    path = tmp_path / "config.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    line = refusal(path)
    assert re.match(expected, line), line


@pytest.mark.parametrize("case", SETTINGS)
def test_settings_that_make_no_model(case: str, tmp_path: Path) -> None:
    data, expected = SETTINGS[case]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(data))
    line = refusal(path)
    assert line.startswith(f"{path}:")
    assert re.search(expected, line), line


def test_there_are_enough_of_them() -> None:
    assert len(TEXTS) + len(SETTINGS) >= 50


def test_fifty_megabytes_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.write(b'{"a": "')
        file.truncate(50_000_000)
    assert refusal(path).endswith("config.json: larger than 8 MB; is this the right file?")


def test_every_known_architecture_says_what_it_misses(tmp_path: Path) -> None:
    for architecture in known_architectures():
        (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
        assert "missing" in refusal(tmp_path)


def test_paths_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert refusal("empty") == "empty: there is no config.json in this folder; name the folder of a checkpoint"
    assert refusal("nowhere.json") == "nowhere.json: no such file"
    assert refusal("a/b/c") == "a/b/c: no such file"
    assert refusal("") == "the path is empty"
    assert refusal("a\0b") == "a path cannot hold a NUL byte"
    assert "no such file" in refusal("../x/config.json")


def test_a_broken_file_beside_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(CostcalcError, match=r"hf_quant_config.json: names no quantization; remove the file"):
        imported(tmp_path, LLAMA, hf_quant_config={"producer": {}})
    with pytest.raises(CostcalcError, match=r"quantization.quant_algo: unknown quantization 'FP3'; known: FP8"):
        imported(tmp_path, LLAMA, hf_quant_config={"quantization": {"quant_algo": "FP3"}})
