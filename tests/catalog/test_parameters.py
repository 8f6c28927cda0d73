"""Parameters of every model of the catalog, against what is published, and exactly where that is possible."""

from __future__ import annotations

from functools import cache

import pytest

from costcalc.catalog.catalog import Catalog, load_model
from costcalc.formats import weight_format
from costcalc.model.spec import ModelSpec

NAMES = [entry.name for entry in Catalog().entries("models")]


@cache
def model(name: str) -> ModelSpec:
    return load_model(name)


# Published counts that are rounded, or count what the shape leaves out. The file's note says which.
TOTALS_OFF = {
    "baichuan2-13b": 0.07,  # the names round 13.9B and 7.5B
    "baichuan2-7b": 0.073,
    "deepseek-v4-pro": 0.02,  # "1.6T"
    "devstral-2-123b": 0.017,  # the name leaves the input embedding out
    "ernie-4.5-21b-a3b": 0.04,
    "falcon-40b": 0.013,  # counts the table twice, which engines tie
    "falcon-7b": 0.042,
    "gemma-4-26b-a4b": 0.03,  # the name counts the vision tower
    "gemma-4-e2b": 0.093,  # the card counts the vision and audio towers
    "gemma-4-e4b": 0.068,
    "glm-4-9b-1m": 0.06,  # the name rounds 9.5B
    "glm-5.3-flash": 0.022,  # counts the prediction head
    "granite-4.1-8b": 0.05,
    "granite-4.2-30b": 0.025,
    "kimi-k2": 0.03,  # "1T"
    "kimi-k2-thinking": 0.03,
    "kimi-k2.5": 0.03,
    "kimi-k2.6": 0.03,
    "kimi-k2.7-code": 0.03,
    "kimi-linear-48b-a3b": 0.025,
    "llama-4-scout": 0.012,  # counts the vision tower
    "ministral-3-8b": 0.011,
    "mistral-large-4": 0.051,  # "1T"
    "mistral-medium-3.5-128b": 0.024,  # the name counts the vision encoder
    "muse-glimmer-30b": 0.072,  # the name counts the vision tower
    "nemotron-3.5-lightning-30b-a3b": 0.053,
    "opt-13b": 0.012,
    "qwen3-1.7b": 0.013,
    "qwen3-vl-2b": 0.14,  # counts the vision tower
    "qwen3-vl-30b-a3b": 0.018,  # the names round
    "qwen3-vl-32b": 0.024,
    "qwen3-vl-8b": 0.024,
    "solar-open-100b": 0.027,
}
# Active counts: here the LM head counts once and the input embedding not at all, as DeepSeek counts.
ACTIVE_OFF = {
    "deepseek-moe-16b": 0.07,  # counts both vocabulary matrices
    "ernie-4.5-21b-a3b": 0.12,
    "gemma-4-26b-a4b": 0.045,
    "glm-4.5-air": 0.07,
    "glm-4.7-flash": 0.2,
    "glm-5.3-flash": 0.073,
    "hy3-preview": 0.04,
    "inkling": 0.04,
    "kimi-linear-48b-a3b": 0.04,
    "laguna-xs.2": 0.064,
    "lfm2-8b-a1b": 0.039,
    "llama-4-maverick": 0.051,
    "llama-4-scout": 0.051,
    "minimax-m2": 0.042,
    "minimax-m2.5": 0.042,
    "minimax-m2.7": 0.042,
    "minimax-m3": 0.08,
    "muse-spark-open": 0.06,
    "nemotron-3.5-lightning-30b-a3b": 0.08,
    "qwen3-30b-a3b": 0.08,
    "qwen3-coder-30b-a3b": 0.08,
    "qwen3-coder-next": 0.19,
    "qwen3-next-80b-a3b": 0.19,
    "qwen3.5-122b-a10b": 0.1,
    "qwen3.5-397b-a17b": 0.04,
    "solar-open-100b": 0.063,
    "step-3.7-flash": 0.042,
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_add_up_to_the_published_total(name: str) -> None:
    spec = model(name)
    if spec.total_deviation is None:
        return
    if abs(spec.total_deviation) > 0.01:
        assert name in TOTALS_OFF
        assert spec.published is not None and spec.published.note
    assert abs(spec.total_deviation) <= TOTALS_OFF.get(name, 0.01)


@pytest.mark.parametrize("name", NAMES)
def test_active_parameters_add_up_to_the_published_ones(name: str) -> None:
    spec = model(name)
    if spec.active_deviation is None:
        return
    if abs(spec.active_deviation) > 0.02:
        assert spec.published is not None and spec.published.note
    if abs(spec.active_deviation) > 0.03:
        assert name in ACTIVE_OFF
    assert abs(spec.active_deviation) <= ACTIVE_OFF.get(name, 0.03)


@pytest.mark.parametrize("table", [TOTALS_OFF, ACTIVE_OFF])
def test_every_excused_model_exists(table: dict[str, float]) -> None:
    assert set(table) <= set(NAMES)


# Parameters that the Hugging Face hub counts in the safetensors files (recalled, not read again).
SAFETENSORS = {
    "bloom-176b": 176_247_271_424,
    "command-r-plus": 103_810_674_688,
    "dbrx": 131_596_523_520,
    "deepseek-v2-lite": 15_706_484_224,
    "falcon-7b": 6_921_720_704,  # as transformers loads it, the head tied; 7,217,189,760 are stored
    "gemma-2-27b": 27_227_128_320,
    "gemma-2-2b": 2_614_341_888,
    "gemma-2-9b": 9_241_705_984,
    "gemma-3-1b": 999_885_952,
    "lfm2-1.2b": 1_170_340_608,
    "llama-2-13b": 13_015_864_320,
    "llama-2-70b": 68_976_648_192,
    "llama-2-7b": 6_738_415_616,
    "llama-3.1-405b": 405_853_388_800,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.3-nemotron-super-49b": 49_867_145_216,
    "mistral-7b-v0.1": 7_241_732_096,
    "mixtral-8x22b": 140_620_634_112,
    "mixtral-8x7b": 46_702_792_704,
    "olmo-2-7b": 7_298_617_344,
    "opt-13b": 12_853_473_280,
    "opt-30b": 29_974_540_288,
    "phi-3-mini-4k": 3_821_079_552,
    "phi-4": 14_659_507_200,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-72b": 72_706_203_648,
    "qwen2.5-7b": 7_615_616_512,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-30b-a3b": 30_532_122_624,
    "qwen3-32b": 32_762_123_264,
    "qwen3-8b": 8_190_735_360,
    "qwen3.5-9b": 8_953_803_264,  # the text model
    "smollm2-1.7b": 1_711_376_384,
    "smollm3-3b": 3_075_098_624,
    "tinyllama-1.1b": 1_100_048_384,
    "yi-34b": 34_388_917_248,
}


@pytest.mark.parametrize(("name", "total"), SAFETENSORS.items())
def test_total_is_exactly_that_of_the_checkpoint(name: str, total: int) -> None:
    assert model(name).total_parameters == total


# Classes of transformers 5.23.0, built without weights from the same config.json (text model only).
INSTANTIATED = {
    "deepseek-v3.2": 671_877_929_216,
    "deepseek-v4-flash": 284_332_230_231,
    "deepseek-v4-pro": 1_572_997_179_491,
    "glm-5.2": 743_377_000_704,
    "gpt-oss-120b": 116_829_156_672,
    "gpt-oss-20b": 20_914_757_184,
    "ling-3.0-flash": 124_414_191_072,
    "longcat-flash": 560_664_958_976,  # with no weights for the idle experts
    "minimax-m2": 228_689_748_992,
    "minimax-m3": 426_174_565_632,
    "nemotron-3-nano-30b-a3b": 31_577_937_344,
    "nemotron-3-super-120b-a12b": 120_668_687_360,
    "nemotron-3-ultra-550b-a55b": 549_308_968_960,
    "nemotron-h-56b": 56_324_350_464,
    "qwen3-next-80b-a3b": 79_674_391_296,
    "qwen3.5-397b-a17b": 396_346_350_336,
}


@pytest.mark.parametrize(("name", "total"), INSTANTIATED.items())
def test_total_is_that_of_the_reference_class(name: str, total: int) -> None:
    assert model(name).total_parameters == total


@pytest.mark.parametrize(
    ("name", "heads", "parameters", "tolerance"),
    [
        ("deepseek-v3", 1, 11_610_067_968, 0),  # README_WEIGHTS.md: 11.5B of its own, unrounded
        ("hy3-preview", 1, 3.8e9, 0.02),  # GitHub Tencent-Hunyuan/Hy3-preview
        ("mimo-v2-flash", 3, 3 * 0.33e9, 0.01),  # MiMo-V2-Flash report: 0.33B each
        ("inkling", 8, 952e9 - 946.9e9, 0.05),  # what the checkpoint holds beyond the text model
    ],
)
def test_prediction_heads(name: str, heads: int, parameters: float, tolerance: float) -> None:
    spec = model(name)
    assert spec.mtp is not None and spec.mtp.layers == heads
    assert spec.prediction_parameters == pytest.approx(parameters, rel=tolerance, abs=0)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("gpt-oss-120b", 60.8 * 2**30),  # gpt-oss model card, checkpoint size
        ("gpt-oss-20b", 12.8 * 2**30),  # same
        ("kimi-k2.5", 594e9),  # size of Kimi-K2-Thinking, the same weights in INT4
    ],
)
def test_checkpoint_size_follows_from_the_formats(name: str, size: float) -> None:
    spec = model(name)
    experts = weight_format(spec.precision.experts or spec.precision.weights).bytes
    others = weight_format(spec.precision.weights).bytes
    counted = spec.routed_parameters * experts + (spec.total_parameters - spec.routed_parameters) * others
    assert counted == pytest.approx(size, rel=0.015)
