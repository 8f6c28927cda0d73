"""One decode step at 131,072 tokens of context: what is held, read and multiplied, as exact integers.

Worked out by hand from each model's configuration and the papers named in costcalc/attention: attention core
and state alone, one sequence on one GPU, no pages.
"""

from __future__ import annotations

import numpy as np
import pytest
from published_layers import GLM5, V3, V32, Layers, attention, grouped, kda, latent, mamba2, model

from costcalc.catalog.catalog import load_model
from costcalc.formats import cache_format
from costcalc.model.attention.mla import LatentAttention

CONTEXT = 131_072
BF16 = cache_format("bf16")
FP8_DS_MLA = cache_format("fp8_ds_mla")
V32_CORE_BYTES_PER_TOKEN = 656


def held(layers: Layers, context: int = CONTEXT, cache: str = "bf16") -> float:
    return float(sum(n * layer.cache_bytes(context, cache_format(cache)) for n, layer in layers))


def grown(layers: Layers, cache: str = "bf16") -> float:
    return float(sum(n * layer.growth_bytes(cache_format(cache)) for n, layer in layers))


def cores(layers: Layers, context: int = CONTEXT, cache: str = "bf16") -> tuple[float, float]:
    """Bytes and FLOPs of a decode step."""
    moved = flops = 0.0
    for count, layer in layers:
        for core in layer.decode_cores(context, cache_format(cache)):
            moved += count * float(core.bytes)
            flops += count * float(core.flops)
    return moved, flops


@pytest.mark.parametrize(
    ("name", "cache", "held_bytes", "read_bytes", "flops"),
    [
        ("Llama-3-70B", "bf16", 42_949_672_960, 42_949_672_960, 343_597_383_680),
        ("gpt-oss-120b", "bf16", 4_836_556_800, 4_836_556_800, 38_692_454_400),
        ("Gemma-3-27b", "bf16", 11_173_625_856, 11_173_625_856, 22_347_251_712),
        ("Llama-4-Scout", "bf16", 7_650_410_496, 7_650_410_496, 38_252_052_480),  # the chunk is just full
        ("DeepSeek-V3", "bf16", 9_210_691_584, 9_210_691_584, 2_226_940_542_976),
        ("DeepSeek-V3.2", "fp8_ds_mla", 6_300_368_896, 1_137_344_512, 165_792_448_512),
        ("GLM-5.2", "fp8_ds_mla", 7_070_023_680, 468_123_648, 44_795_166_720),
        ("MiniMax-M3", "bf16", 18_018_729_984, 2_956_984_320, 24_360_517_632),
        ("DeepSeek-V4-Flash", "fp8_ds_mla", 520_080_384, 112_286_720, 16_089_350_144),
        ("DeepSeek-V4-Pro", "fp8_ds_mla", 745_665_536, 170_800_128, 34_527_510_528),
        ("Qwen3-Next", "bf16", 3_298_492_416, 3_375_759_360, 25_901_924_352),
        ("Kimi K3", "bf16", 4_073_250_816, 4_522_622_976, 657_889_689_600),
        ("Nemotron-3 Super", "bf16", 1_243_971_584, 1_414_201_344, 17_389_584_384),
    ],
)
def test_decode_step(name: str, cache: str, held_bytes: int, read_bytes: int, flops: int) -> None:
    layers = model(name)
    assert held(layers, cache=cache) == held_bytes
    assert cores(layers, cache=cache) == (read_bytes, flops)


@pytest.mark.parametrize(
    ("name", "cache", "per_token"),
    [
        ("Llama-3-70B", "bf16", 327_680),
        ("Step-3", "bf16", 62_464),  # 61 x 1024
        ("DeepSeek-V3", "bf16", 70_272),
        ("DeepSeek-V3", "fp8", 35_136),
        ("DeepSeek-V3.2", "fp8_ds_mla", 48_068),
        ("DeepSeek-V3.2", "bf16", 78_324),  # a 16-bit latent, index keys in fp8
        ("GLM-5.2", "fp8_ds_mla", 53_940),
        ("Mistral-Large-4", "bf16", 2 * 40_320 + 72 * 132),
        ("MiniMax-M3", "bf16", 137_472),
        ("Hunyuan-Large", "bf16", 81_920),
        ("Gemma-3n-E4B", "bf16", 8_192),
        ("Gemma-4-26B-A4B", "bf16", 20_480),
        ("Gemma-4-31B", "bf16", 81_920),
        ("MiMo-V2-Flash", "bf16", 23_040),
        ("Step-3.7-Flash", "bf16", 49_152),
        ("DeepSeek-V4-Flash", "fp8_ds_mla", 3_850.25),
        ("DeepSeek-V4-Pro", "fp8_ds_mla", 5_511.4375),
        ("GLM-5.3-Flash", "bf16", 11_264 + 90.75),
        ("Qwen3-Next", "bf16", 24_576),
        ("Qwen3.5-397B", "bf16", 30_720),
        ("Kimi-Linear-48B", "bf16", 8_064),
        ("Kimi K3", "bf16", 27_648),
        ("Ling-3.0-Flash", "bf16", 8_064),
        ("MiniMax-Text-01", "bf16", 40_960),
        ("Nemotron-H-56B", "bf16", 40_960),
        ("Nemotron-3 Nano", "bf16", 6_144),
        ("Nemotron-3 Super", "bf16", 8_192),
        ("Nemotron-3 Ultra", "bf16", 12_288),
        ("Jamba-1.5-Large", "bf16", 36_864),
        ("Granite-4.0-H-Small", "bf16", 16_384),
        ("Falcon-H1-34B", "bf16", 147_456),
    ],
)
def test_growth_per_token(name: str, cache: str, per_token: float) -> None:
    assert grown(model(name), cache) == per_token


@pytest.mark.parametrize(
    ("name", "constant"),
    [
        ("gpt-oss-120b", 4_718_592),
        ("gpt-oss-20b", 3_145_728),
        ("Gemma-3-27b", 436_207_616),
        ("Gemma-4-26B-A4B", 209_715_200),
        ("Gemma-4-31B", 838_860_800),
        ("MiMo-V2-Flash", 25_559_040),
        ("Step-3.7-Flash", 69_206_016),
        ("Llama-4-Scout", 1_207_959_552),
        ("Gemma-3n-E4B", 16_777_216),
    ],
)
def test_windows_hold_a_constant(name: str, constant: int) -> None:
    layers = model(name)
    for context in (8_192, CONTEXT, 10**6):
        assert held(layers, context) - context * grown(layers) == constant


@pytest.mark.parametrize(
    ("name", "fp32", "bf16"),
    [
        ("Qwen3-Next", 77_266_944, 39_518_208),
        ("Qwen3.5-397B", 192_061_440, None),
        ("Kimi-Linear-48B", 43_417_600, None),
        ("Kimi K3", 449_372_160, None),
        ("Ling-3.0-Flash", 75_980_800, None),
        ("MiniMax-Text-01", 293_601_280, 146_800_640),
        ("Nemotron-H-56B", 912_605_184, 459_620_352),
        ("Nemotron-3 Nano", 49_082_368, None),
        ("Nemotron-3 Super", 170_229_760, None),
        ("Nemotron-3 Ultra", 407_961_600, None),
        ("Jamba-1.5-Large", None, 39_223_296),
        ("Granite-4.0-H-Small", 152_819_712, 77_322_240),
        ("Falcon-H1-34B", 304_201_728, 153_206_784),
    ],
)
def test_states(name: str, fp32: int | None, bf16: int | None) -> None:
    for dtype, expected in (("fp32", fp32), ("bf16", bf16)):
        if expected is not None:
            layers = model(name, state_dtype=dtype)
            assert held(layers) - CONTEXT * grown(layers) == expected


def test_glm_5_3_flash_states_and_open_pools() -> None:
    states = [(n, layer) for n, layer in model("GLM-5.3-Flash") if not isinstance(layer, LatentAttention)]
    pools = 11 * 16 * 2 * 128 * 2  # keys and gates of the open pool, 16 bits
    assert held(states) == 147_619_840
    assert held(model("GLM-5.3-Flash")) == CONTEXT * (11_264 + 90.75) + 147_619_840 + pools


@pytest.mark.parametrize(("name", "constant"), [("DeepSeek-V4-Flash", 15_420_416), ("DeepSeek-V4-Pro", 23_270_400)])
def test_v4_holds_windows_and_open_compressors(name: str, constant: int) -> None:
    layers = model(name)
    assert held(layers, cache="fp8_ds_mla") - CONTEXT * grown(layers, "fp8_ds_mla") == constant


@pytest.mark.parametrize(
    ("name", "keys", "share"),
    [
        ("DeepSeek-V4-Flash", "fp8", 0.080),
        ("DeepSeek-V4-Flash", "mxfp4", 0.073),
        ("DeepSeek-V4-Pro", "fp8", 0.115),
        ("DeepSeek-V4-Pro", "mxfp4", 0.105),
    ],
)
def test_v4_cache_at_a_million_tokens(name: str, keys: str, share: float) -> None:
    # DeepSeek-V4's report: 10% (Pro) and 7% (Flash) of DeepSeek-V3.2's cache.
    million = 2**20
    ratio = held(model(name, index_cache=keys), million, "fp8_ds_mla") / held(
        model("DeepSeek-V3.2"), million, "fp8_ds_mla"
    )
    assert ratio == pytest.approx(share, abs=0.0006)


def test_users_of_a_shared_cache_read_all_and_hold_nothing() -> None:
    layers = model("Hunyuan-Large")
    assert cores(layers, 1000)[0] == 1000 * 163_840
    full = grouped(8, 2, 256, stores_cache=False)
    assert attention(full).cache_bytes(10**6, BF16) == 0
    window = attention({**full, "kind": "sliding", "window": 512})
    assert window.cache_bytes(10**6, BF16) == 0
    assert window.decode_cores(10**6, BF16)[0].bytes == 512 * 2048


def test_gemma_4_full_layers_cache_keys_and_values() -> None:
    # One projection, two cached tensors: the key gets a norm and rotation, the value a norm of its own.
    layer = attention(grouped(16, 2, 512, values_from_keys=True))
    assert layer.growth_bytes(BF16) == 2 * (512 + 512) * 2


def test_window_layers_held_in_full_cost_gemma_3_six_times_the_cache() -> None:
    fallback = CONTEXT * 62 * 16 * 2 * 128 * 2
    assert fallback / held(model("Gemma-3-27b")) == pytest.approx(6.0, abs=0.05)


@pytest.mark.parametrize(("heads", "intensity"), [(128, 242), (96, 181), (64, 121)])
def test_mla_intensity(heads: int, intensity: int) -> None:
    (core,) = attention({**V3, "num_attention_heads": heads}).decode_cores(4096, BF16)
    assert core.flops / core.bytes == pytest.approx(intensity, abs=0.6)


def test_intensities_do_not_depend_on_the_context() -> None:
    for context in (1, 100, 10**6):
        (gqa,) = attention(grouped(64, 8, 128)).decode_cores(context, BF16)
        (fp8,) = attention(grouped(64, 8, 128)).decode_cores(context, cache_format("fp8"))
        (packed,) = attention(V3).decode_cores(context, FP8_DS_MLA)
        (delta,) = attention(kda(32)).decode_cores(context, BF16)
        (mamba,) = attention(mamba2(128, 64, 128, 8)).decode_cores(context, BF16)
        assert gqa.flops / gqa.bytes == 64 / 8
        assert fp8.flops / fp8.bytes == 2 * 64 / 8
        assert packed.flops / packed.bytes == pytest.approx(425, abs=0.6)
        assert delta.flops / delta.bytes == pytest.approx(7 / 8, rel=0.04)  # less the convolution's bytes
        assert mamba.flops / mamba.bytes == pytest.approx(5 / 8, rel=0.02)


@pytest.mark.parametrize(("name", "heads", "intensity"), [("Flash", 64, 224), ("Pro", 128, 449)])
def test_v4_intensity(name: str, heads: int, intensity: int) -> None:
    counts = {"Flash": "DeepSeek-V4-Flash", "Pro": "DeepSeek-V4-Pro"}
    for _, layer in model(counts[name]):
        core = layer.decode_cores(CONTEXT, FP8_DS_MLA)[0]
        assert core.flops / core.bytes == pytest.approx(intensity, abs=0.5)
        assert layer.shard_unit == heads


def test_where_the_indexer_overtakes_the_core() -> None:
    layer = attention(V32)
    for context in (34_816, 10_178):
        core, index = layer.decode_cores(context, FP8_DS_MLA)
        if context == 34_816:
            assert index.flops == core.flops
        else:
            assert index.bytes == pytest.approx(core.bytes, rel=1e-4)
    core, index = layer.decode_cores(10**6, FP8_DS_MLA)
    assert index.flops / (index.flops + core.flops) == pytest.approx(0.97, abs=0.005)


def test_state_of_a_delta_net_layer_in_tokens_of_a_full_one() -> None:
    (_, delta), (_, full) = model("Qwen3-Next")
    assert delta.cache_bytes(1, BF16) / full.growth_bytes(BF16) == 1048
    states = held(model("Qwen3-Next"), 0)
    assert 256 * states == pytest.approx(19.8e9, rel=0.002)


def test_chunks_start_over() -> None:
    layer = attention(grouped(40, 8, 128, chunk=8192))
    seen = [layer.decode_cores(s, BF16)[0].bytes / 4096 for s in (1, 8191, 8192, 8193, 16384, 16385)]
    assert seen == [1, 8191, 8192, 1, 8192, 1]
    assert layer.cache_bytes(8193, BF16) == 8192 * 4096  # the last chunk's may still be held
    mean = np.mean(layer.decode_cores(np.arange(1, 65_537), BF16)[0].bytes) / 4096
    assert mean == (8192 + 1) / 2


def test_differential_attention_scores_both_halves() -> None:
    (core,) = attention(grouped(40, 20, 64, differential=True)).decode_cores(1000, BF16)
    assert core.flops == 2 * 1000 * 40 * (64 + 2 * 64)


@pytest.mark.parametrize(
    ("name", "bytes_"),
    [
        ("bf16", 2 * 8 * 256),
        ("fp8", 8 * 256),
        ("fp8_per_head", 8 * 256 + 8 * 8),  # two fp32 scales per KV head
        ("int8", 8 * 256 + 8 * 8),
        ("nvfp4", 8 * 256 * (1 / 2 + 1 / 16)),
    ],
)
def test_bytes_of_grouped_formats(name: str, bytes_: float) -> None:
    assert attention(grouped(64, 8, 128)).growth_bytes(cache_format(name)) == bytes_


@pytest.mark.parametrize(
    ("name", "bytes_"),
    [("bf16", 1152), ("fp8", 576), ("fp8_ds_mla", 656), ("nvfp4_ds_mla", 352), ("nvfp4", 324)],
)
def test_bytes_of_latent_formats(name: str, bytes_: int) -> None:
    assert attention(V3).growth_bytes(cache_format(name)) == bytes_


def test_latent_users_and_shared_indexers_own_no_weights() -> None:
    user = attention(latent(64, None, 64, 128, stores_cache=False))
    owner = attention(latent(64, None, 64, 128))
    assert user.growth_bytes(BF16) == 0
    assert owner.parameters(6144) - user.parameters(6144) == 6144 * 576 + 512
    shared = attention({**GLM5, "owns_indexer": False})
    assert shared.parameters(6144) == 165_022_208
    assert [core.kernel for core in shared.decode_cores(CONTEXT, BF16)] == ["latent"]


def test_v4_pro_work_per_token_at_a_million_tokens() -> None:
    # DeepSeek-V4's report: 27% of the single-token FLOPs of DeepSeek-V3.2 at a million tokens of context.
    def flops(name: str) -> float:
        spec = load_model(name)
        layers = [(count, layer) for count, layer in spec.attention_layers()]
        return 2 * spec.active_parameters + cores(layers, 2**20, "fp8_ds_mla")[1]

    assert flops("deepseek-v4-pro") / flops("deepseek-v3.2") == pytest.approx(0.27, abs=0.01)
