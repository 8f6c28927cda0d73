"""Number types in the spellings of engines, profilers and checkpoints."""

from __future__ import annotations

import pytest

from costcalc.errors import CostcalcError
from costcalc.formats import WEIGHT_FORMATS, cache_type, number_type, spellings
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
