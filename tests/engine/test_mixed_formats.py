"""Formats of a checkpoint's parts: what each holds and reads, and how `--weights` says them."""

from __future__ import annotations

import pytest

import costcalc
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.engine.ops import decode_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import checkpoint_precision, read_weights, resolve_formats, with_bits
from costcalc.errors import CostcalcError

PEAKS = ("bf16", "fp16", "fp8", "fp4", "int8")
LAYER_FFN, LAYER_ATTENTION, TABLE = 3 * 4096 * 14336, 2 * 4096 * 4096 + 2 * 4096 * 1024, 4096 * 128256
"""Weights of Llama-3.1-8B: FFN and attention of one of 32 layers, and the embedding, which the head has once more."""


def test_parts_hold_and_read_their_own_bytes() -> None:
    model = costcalc.load_model("llama-3.1-8b")
    asked = "nvfp4,attention=bf16,head=fp8,embedding=int8"
    formats = resolve_formats(checkpoint_precision(model, asked), PEAKS)
    held = float(weights_bytes_per_gpu(model, Parallelism(), formats))
    norms = 65 * 4096 * 2
    assert held == 32 * (LAYER_FFN * 0.5625 + LAYER_ATTENTION * 2) + 2 * TABLE + norms
    ops = {op.op: op for op in step_ops(model, Parallelism(), formats, decode_batch(8, 1000, Parallelism()))}
    assert (ops["dense FFN"].bytes, ops["dense FFN"].precision) == (LAYER_FFN * 0.5625, "fp4")
    assert (ops["attention projections"].bytes, ops["attention projections"].precision) == (LAYER_ATTENTION * 2, "bf16")
    assert (ops["LM head"].bytes, ops["LM head"].precision) == (TABLE, "fp8")


def test_a_gguf_narrows_tables_too() -> None:
    # llama.cpp tools/quantize/README.md: Llama-3.1-8B in Q4_K_M takes 4.58 GiB.
    model = costcalc.load_model("llama-3.1-8b")
    formats = resolve_formats(checkpoint_precision(model, "q4_k_m"), PEAKS)
    assert float(weights_bytes_per_gpu(model, Parallelism(), formats)) / 2**30 == pytest.approx(4.58, rel=2e-3)


def test_towers_are_loaded_beside_the_count() -> None:
    model = costcalc.load_model("llama-3.1-8b", overrides={"tower_parameters": "1e9"})
    plain = costcalc.load_model("llama-3.1-8b")
    formats = resolve_formats(plain.precision, PEAKS)
    held = [float(weights_bytes_per_gpu(each, Parallelism(), formats)) for each in (model, plain)]
    assert held[0] - held[1] == 2e9
    assert model.total_parameters == plain.total_parameters


@pytest.mark.parametrize(
    ("text", "bits", "words"),
    [
        ("nvfp4,atention=bf16", None, "unknown part 'atention'; did you mean 'attention'"),
        ("fp8,fp4", None, "weights has two formats"),
        ("nvfp4,attention=bf61", None, "unknown number type 'bf61'; did you mean 'bf16'"),
        ("fp8", 4.9, "fp8 has no bits to choose"),
    ],
)
def test_what_cannot_be_is_told(text: str, bits: float | None, words: str) -> None:
    with pytest.raises(CostcalcError, match=words):
        read_weights(with_bits(text, bits) or "")


def test_bits_belong_to_weight_only_formats() -> None:
    assert with_bits(None, 4.9) == "bits-4.9"
    assert with_bits("int4,attention=bf16", 4.2) == "int4-4.2,attention=bf16"
    answer = costcalc.estimate("llama-3.1-8b", "h100", batch=8, context=1000, bits=4.9)
    assert answer.to_dict()["deployment"]["precision"]["weights"] == "bits-4.9"
