"""Every model of the catalog: it loads, names its sources, answers to its names and caches what it should."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from costcalc.catalog.catalog import Catalog, load_model
from costcalc.catalog.files import CLOSED_MODELS, CatalogEntry, packaged_root
from costcalc.catalog.names import normal_name
from costcalc.catalog.read import load_spec
from costcalc.errors import CostcalcError
from costcalc.formats import cache_format
from costcalc.model.spec import ApiPrice, ClosedModel, ClosedModels, ModelSpec

ENTRIES = Catalog().entries("models")
NAMES = [entry.name for entry in ENTRIES]


@cache
def model(name: str) -> ModelSpec:
    return load_model(name)


@cache
def closed_models() -> tuple[ClosedModel, ...]:
    return load_spec(ClosedModels, packaged_root() / "models" / CLOSED_MODELS, "closed models").models


def growth(name: str, kv_cache: str = "bf16") -> float:
    """Bytes that each further token adds to the cache of all layers."""
    layers = model(name).attention_layers()
    return float(sum(count * layer.growth_bytes(cache_format(kv_cache)) for count, layer in layers))


def held(name: str, context: float, kv_cache: str = "bf16") -> float:
    """Bytes of cache that a sequence holds in all layers."""
    layers = model(name).attention_layers()
    return float(sum(count * layer.cache_bytes(context, cache_format(kv_cache)) for count, layer in layers))


def test_the_catalog_has_the_models_that_people_ask_about() -> None:
    assert len(NAMES) >= 130


@pytest.mark.parametrize("name", NAMES)
def test_a_model_loads_and_names_its_sources(name: str) -> None:
    spec = model(name)
    assert spec.sources and all(source.source and source.date for source in spec.sources)
    assert spec.family and spec.released
    assert spec.published is None or spec.published.source
    assert all(price.source and price.date for price in spec.api_prices)
    assert 0 < spec.active_parameters <= spec.total_parameters


@pytest.mark.parametrize(
    ("name", "kv_cache", "bytes_per_token", "tolerance"),
    [
        ("gpt-3", "bf16", 4.7e6, 0.01),  # Epoch AI 2025-01-17: 4.7 MB
        ("deepseek-v3", "bf16", 70_272, 0),  # DeepSeek, ISCA 2025, table 1
        ("qwen2.5-72b", "bf16", 327_680, 0),  # same table
        ("llama-3.1-405b", "bf16", 516_096, 0),  # same table
        ("llama-3.1-70b", "fp8", 160e3, 0.03),  # scaling book, part 8: "160 kB" in 8 bits without scales
        ("opt-13b", "fp16", 819_200, 0),  # PagedAttention, section 3: 800 KiB
        ("opt-30b", "bf16", 1_376_256, 0),  # a table computed from config.json files, as the four below
        ("llama3-8b", "bf16", 131_072, 0),
        ("qwen3-8b", "bf16", 147_456, 0),
        ("qwen3-30b-a3b", "bf16", 98_304, 0),
        ("glm-4-9b-1m", "bf16", 81_920, 0),
        ("gemma-3-27b", "bf16", 81_920, 0),  # ten full layers of 16 KV heads of 128 grow
        ("gemma-4-26b-a4b", "bf16", 20_480, 0),  # five full layers of 2 KV heads of 512, K and V cached
        ("gemma-4-31b", "bf16", 81_920, 0),
        ("mimo-v2-flash", "bf16", 23_040, 0),  # nine full layers of 4 x (192 + 128)
        ("step-3.7-flash", "bf16", 49_152, 0),
        ("llama-4-scout", "bf16", 49_152, 0),
        ("deepseek-v3.2", "fp8_ds_mla", 48_068, 0),  # 61 x (656 + 132), FlashMLA's layout and fp8 keys
        ("glm-5.2", "fp8_ds_mla", 53_940, 0),  # 78 x 656, keys in 21 layers
        ("minimax-m3", "bf16", 137_472, 0),  # 60 x 2048 and bf16 keys in 57 layers
        ("deepseek-v4-flash", "fp8_ds_mla", 21 * (584 + 132) / 4 + 20 * 584 / 128, 0),
        ("deepseek-v4-pro", "fp8_ds_mla", 30 * (584 + 132) / 4 + 31 * 584 / 128, 0),
        ("glm-5.3-flash", "bf16", 11 * (1024 + 132 / 16), 0),  # keys of 16 tokens pooled into one
        ("mistral-large-4", "bf16", 54 * 1152 + 9 * 1024 + 72 * 132, 0),  # nine layers read another's latent
        ("kimi-linear-48b-a3b", "bf16", 7 * 1152, 0),
        ("kimi-k3", "bf16", 24 * 1152, 0),
        ("nemotron-h-56b", "bf16", 40_960, 0),
        ("jamba-1.5-large", "bf16", 9 * 2 * 8 * 128 * 2, 0),
    ],
)
def test_cache_per_token(name: str, kv_cache: str, bytes_per_token: float, tolerance: float) -> None:
    assert growth(name, kv_cache) == pytest.approx(bytes_per_token, rel=tolerance, abs=0)


@pytest.mark.parametrize(
    ("name", "elements", "tolerance"),
    [
        ("gpt-3", 2.36e6, 0.005),  # Epoch AI 2025-01-17
        ("deepseek-v2", 34_600, 0.005),  # DeepSeek-V2 paper, table 9
        ("deepseek-v2-lite", 15_600, 0.005),  # the same, small model
    ],
)
def test_cached_elements_per_token(name: str, elements: float, tolerance: float) -> None:
    assert growth(name) / 2 == pytest.approx(elements, rel=tolerance)


def test_cache_of_a_sequence() -> None:
    # Scaling book, part 7: LLaMA-2 13B holds 6.7 GB at 8192 tokens.
    assert held("llama-2-13b", 8192) == pytest.approx(6.7e9, rel=0.01)
    # Windowed layers stop at their window: 18 full and 18 of 128 tokens, 2 x 8 x 64 elements each.
    assert held("gpt-oss-120b", 131_072) == 18 * (131_072 + 128) * 2 * 8 * 64 * 2
    # Cross-layer attention: half of the layers hold a cache (Hunyuan-Large, CLA 2).
    assert growth("hunyuan-large") == 81_920


@pytest.mark.parametrize(
    ("name", "constant"),
    [
        # Windows: layers x tokens x KV elements x 2 bytes.
        ("gemma-3-27b", 52 * 1024 * 2 * 16 * 128 * 2),
        ("mimo-v2-flash", 39 * 128 * 8 * (192 + 128) * 2),
        ("step-3.7-flash", 33 * 512 * 2 * 8 * 128 * 2),
        # Recurrent states in fp32 and convolutions in bf16: layers x (heads x dk x dv x 4 + channels x 3 x 2).
        ("qwen3-next-80b-a3b", 36 * (32 * 128 * 128 * 4 + (2 * 16 + 32) * 128 * 3 * 2)),
        ("qwen3.5-397b-a17b", 45 * (64 * 128 * 128 * 4 + (2 * 16 + 64) * 128 * 3 * 2)),
        ("kimi-linear-48b-a3b", 20 * (32 * 128 * 128 * 4 + 3 * 32 * 128 * 3 * 2)),
        ("kimi-k3", 69 * (96 * 128 * 128 * 4 + 3 * 96 * 128 * 3 * 2)),
        ("minimax-text-01", 70 * 64 * 128 * 128 * 4),
        ("nemotron-3-nano-30b-a3b", 23 * (64 * 64 * 128 * 4 + (64 * 64 + 2 * 8 * 128) * 3 * 2)),
        ("jamba-1.5-large", 63 * 16_384 * (16 + 3) * 2),  # bf16
    ],
)
def test_what_a_sequence_holds_at_any_length(name: str, constant: float) -> None:
    context = 1 << 20
    assert held(name, context) - context * growth(name) == constant


def test_compressed_cache_against_deepseek_v3_2() -> None:
    # DeepSeek-V4: at 1M tokens 10% of V3.2's cache for Pro; 7% for Flash with FP4 index keys, 8% with FP8 ones.
    million = 1e6
    dense = held("deepseek-v3.2", million, "fp8_ds_mla")
    assert held("deepseek-v4-pro", million, "fp8_ds_mla") / dense == pytest.approx(0.10, abs=0.016)
    assert held("deepseek-v4-flash", million, "fp8_ds_mla") / dense == pytest.approx(0.08, abs=0.001)


def test_names_are_unique() -> None:
    names: Counter[str] = Counter()
    for entry in ENTRIES:
        spellings = {normal_name(each) for each in (entry.name, model(entry.name).name, *entry.aliases)}
        names.update(spellings)
    for closed in closed_models():
        names.update(closed.names)
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("gpt-3", "gpt-3-175b"),
        ("gpt3", "gpt-3-175b"),
        ("v3", "deepseek-v3"),
        ("r1", "deepseek-r1"),
        ("v2", "deepseek-v2"),
        ("qwq", "qwq-32b-preview"),
        ("llama3-70b", "llama-3-70b"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-v3"),
        ("DeepSeek V3", "deepseek-v3"),
    ],
)
def test_short_names(alias: str, name: str) -> None:
    assert load_model(alias) == model(name)


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_a_file_starts_so_that_names_are_found(entry: CatalogEntry) -> None:
    first, second, third, *_ = entry.path.read_text(encoding="utf-8").splitlines()
    assert first == "# yaml-language-server: $schema=../docs/schemas/model.json"
    assert second.startswith("name: ") and third.startswith("aliases: [") and third.endswith("]")


def prices(name: str) -> tuple[ApiPrice, ...]:
    closed = Catalog().closed_model(name)
    return closed.api_prices if closed else model(name).api_prices


@pytest.mark.parametrize(
    ("name", "provider", "paid"),
    [
        ("claude-3-5-sonnet-20241022", "Anthropic", (3.0, 15.0)),  # litellm 1.60.0, as are all but two
        ("gpt-4o", "OpenAI", (2.5, 10.0)),
        ("deepseek-v3", "DeepSeek", (0.27, 1.1)),  # DeepSeek API documentation, autumn 2025
        ("deepseek-r1", "DeepSeek", (0.55, 2.19)),
        ("llama-3.1-405b", "Together AI", (3.5, 3.5)),
        ("llama-3.1-70b", "Together AI", (0.88, 0.88)),
        ("deepseek-v3", "Fireworks AI", (0.9, 0.9)),
    ],
)
def test_list_prices_of_2025(name: str, provider: str, paid: tuple[float, float]) -> None:
    asked = [
        (price.input_usd_per_million, price.output_usd_per_million)
        for price in prices(name)
        if price.provider == provider and price.date < "2026"
    ]
    assert asked == [paid]


def test_closed_models_have_prices_and_sources() -> None:
    assert len(closed_models()) >= 43
    assert all(price.source and price.date for each in closed_models() for price in each.api_prices)


@pytest.mark.parametrize(
    ("name", "context", "released"),
    [
        ("llama-3-8b", 8192, "2024-04"),  # Llama 3.1 has 131,072 and is of July 2024
        ("llama-3-70b", 8192, "2024-04"),
        ("kimi-k2-thinking", 262_144, "2025-11"),
        ("glm-4.7", 202_752, "2025-12"),
    ],
)
def test_what_differs_in_context_and_date_has_a_file_of_its_own(name: str, context: int, released: str) -> None:
    spec = model(name)
    assert (spec.max_context, spec.released) == (context, released)


def test_mistral_large_3_counts_as_its_card_says() -> None:
    # Model card: "a granular MoE language model with 673B params and 39B active".
    spec = model("mistral-large-3")
    assert round(spec.total_parameters / 1e9) == 673 and round(spec.active_parameters / 1e9) == 39


def test_another_model_of_the_same_shape_is_not_passed_off() -> None:
    [told] = load_model("deepseek-r1-distill-llama-70b").caveats
    assert "has the shape of llama-3.3-70b; its dates, context and list prices are its own" in told
    [told] = load_model("moonshotai/Kimi-K2-Instruct-0905").caveats
    assert "has the shape of kimi-k2" in told


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        # hf_quant_config.json: FP8 with an FP8 cache; W4A16_NVFP4 experts and head, FP8 elsewhere, an FP8 cache.
        ("nemotron-3-super-120b-a12b", ("fp8", None, "bf16", "fp8")),
        ("nemotron-3.5-lightning-30b-a3b", ("fp8", "nvfp4_wo", "nvfp4_wo", "fp8")),
        ("command-r-plus", ("fp16", None, "fp16", "fp16")),  # torch_dtype float16
    ],
)
def test_formats_are_those_of_the_checkpoint(name: str, precision: tuple[str | None, ...]) -> None:
    kept = model(name).precision
    assert (kept.weights, kept.experts, kept.head, kept.kv_cache) == precision


@pytest.mark.parametrize("name", ["phi-3-mini-4k", "phi-3-medium-4k"])
def test_phi_3_keeps_a_window_as_vllm_does(name: str) -> None:
    assert [layer.window for layer in model(name).attention.values()] == [2047]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("typed", "model", "weights"),
    [
        ("Qwen3-32B-Q4_K_M.gguf", "Qwen3-32B", "q4_k_m"),  # the file of Qwen/Qwen3-32B-GGUF
        ("/models/Qwen3-32B-UD-Q4_K_XL.gguf", "Qwen3-32B", "q4_k_m"),  # of unsloth/Qwen3-32B-GGUF
        ("unsloth/Qwen3-32B-GGUF", "Qwen3-32B", "q4_k_m"),  # what llama-server -hf takes first
        ("qwen3:32b-q4_K_M", "Qwen3-32B", "q4_k_m"),  # ollama.com/library/qwen3/tags
        ("gemma3:27b-it-q8_0", "Gemma-3-27B", "q8_0"),
        ("ggml-org/gpt-oss-20b-GGUF", "gpt-oss-20b", "bf16"),
        ("gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b", "bf16"),
    ],
)
def test_names_of_gguf_and_ollama_say_the_model_and_its_format(typed: str, model: str, weights: str) -> None:
    found = load_model(typed)
    assert (found.name, found.precision.weights) == (model, weights)
    if found.has_experts:
        assert found.precision.experts == "mxfp4"


def test_a_file_of_gguf_of_an_unknown_model_is_refused() -> None:
    with pytest.raises(CostcalcError, match=r"unknown model 'nobody-Q4_K_M\.gguf'"):
        load_model("nobody-Q4_K_M.gguf")
