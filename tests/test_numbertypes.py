"""Number types in the spellings of engines, profilers and checkpoints."""

from __future__ import annotations

import pytest

from costcalc.errors import CostcalcError
from costcalc.formats import WEIGHT_FORMATS, cache_format, cache_type, number_type, spellings, weight_format
from costcalc.validation.files import shipped_measurements


@pytest.mark.parametrize(
    ("spelling", "weights", "compute"),
    [
        ("bfloat16", "bf16", "bf16"),
        ("torch.bfloat16", "bf16", "bf16"),
        ("half", "fp16", "fp16"),
        ("FP8", "fp8", "fp8"),
        ("fp8_e4m3", "fp8", "fp8"),
        ("e4m3", "fp8", "fp8"),
        ("float8_e4m3fn", "fp8", "fp8"),
        ("fp8?", "fp8", "fp8"),
        ("FP8-Block", "fp8_block", "fp8"),
        ("w8a8_fp8_block", "fp8_block", "fp8"),
        ("mxfp8", "mxfp8", "fp8"),
        ("fp4", "nvfp4", "fp4"),
        ("W4A4", "nvfp4", "fp4"),
        ("w4a16_mxfp4", "mxfp4", "bf16"),
        ("w4a8_mxfp4_mxfp8", "mxfp4", "fp8"),
        ("int8_wo", "int8_wo", "bf16"),
        ("int4_wo", "int4", "bf16"),
        ("W4A16", "int4", "bf16"),
        ("gptq", "int4", "bf16"),
        ("awq", "int4_zp", "bf16"),
        ("w4a8", "int4", "fp8"),
        ("w4afp8", "int4", "fp8"),
        ("w8a8", "int8", "int8"),
        ("sq", "int8", "int8"),
        ("SmoothQuant", "int8", "int8"),
        ("float32", "fp32", "fp32"),
        ("tf32", "fp32", "tf32"),
    ],
)
def test_spellings(spelling: str, weights: str, compute: str) -> None:
    found = number_type(spelling)
    assert (found.weights.name, found.compute) == (weights, compute)


def test_every_format_is_a_number_type_by_its_own_name() -> None:
    for name, weights in WEIGHT_FORMATS.items():
        assert number_type(name).weights == weights and number_type(name).compute == weights.activations
    assert set(WEIGHT_FORMATS) <= set(spellings())


@pytest.mark.parametrize("kind", ["gemm", "moe", "e2e", "decode_attention", "prefill_attention"])
def test_every_type_of_the_shipped_measurements_is_known(kind: str) -> None:
    for row in shipped_measurements(kind).rows:
        for column in ("dtype", "moe_dtype", "q_dtype"):
            if row.get(column):
                number_type(row[column])
        if row.get("kv_dtype"):
            cache_type(row["kv_dtype"])


@pytest.mark.parametrize(("spelling", "name"), [("bfloat16", "bf16"), ("fp8_e5m2", "fp8"), ("FP4", "nvfp4")])
def test_cached_elements(spelling: str, name: str) -> None:
    assert cache_type(spelling).name == name


@pytest.mark.parametrize(
    ("spelling", "hint"), [("fp9", "did you mean 'fp8'"), ("bflot16", "'bfloat16'"), ("ternary", "one of: fp32, bf16")]
)
def test_what_is_unknown_names_the_nearest(spelling: str, hint: str) -> None:
    with pytest.raises(CostcalcError, match=hint):
        number_type(spelling)
    with pytest.raises(CostcalcError, match="unknown number type"):
        cache_type(spelling)


@pytest.mark.parametrize(
    ("name", "bits", "source"),
    [
        ("q4_k_m", 4.8944, "llama.cpp tools/quantize/README.md, Llama-3.1-8B"),
        ("Q5_K_M", 5.7036, "the same"),
        ("q6_k", 6.5633, "the same"),
        ("q8_0", 8.5008, "the same"),
        ("iq4_xs", 4.4597, "the same"),
        ("q4_0", 4.34 * 2**30 * 8 / 8.03e9, "llama.cpp tools/quantize/quantize.cpp: 4.34G of Llama-3-8B"),
        ("mlx-q4", 4.5, "a 16-bit scale and bias per 64"),
        ("mlx_q8", 8.5, "the same"),
        ("exl2-4.65", 4.65, "by name"),
        ("exl3-3.5bpw", 3.5, "by name"),
        ("awq", 4 + 20 / 128, "a 16-bit scale and a 4-bit zero point per 128"),
        ("bits-4.9", 4.9, "by name"),
    ],
)
def test_weight_only_formats_by_their_bits(name: str, bits: float, source: str) -> None:
    found = weight_format(name)
    assert found.bytes * 8 == pytest.approx(bits, rel=1e-3), source
    assert found.activations == ("int8" if found.note == "GGUF" else "bf16")
    assert weight_format(found.name) == found


@pytest.mark.parametrize(("name", "bits"), [("q8_0", 8.5), ("q4_0", 4.5), ("q5_0", 5.5), ("q5_1", 6.0)])
def test_caches_of_llama_cpp(name: str, bits: float) -> None:
    # ggml-common.h: block_q8_0 is 34 bytes of 32 elements, block_q4_0 18, block_q5_0 22, block_q5_1 24.
    assert cache_format(name).bytes * 8 == bits


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("q4_k_x", "did you mean 'q4_k_"),
        ("exl2", "says no bits"),
        ("exl2-99", "out of range"),
        ("fp8-3", "did you mean"),
    ],
)
def test_what_is_no_format_is_told(name: str, words: str) -> None:
    with pytest.raises(CostcalcError, match=words):
        weight_format(name)
