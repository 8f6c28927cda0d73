"""Tensor ranks that share the tokens of a cache instead of copying it: vLLM's decode context parallelism."""

from __future__ import annotations

import pytest

import costcalc
from costcalc.engine.ops import decode_batch, step_ops
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.engine.roofline import machine_of
from costcalc.errors import CostcalcError

CONTEXT = 131_072


def ops_of(model: str, cp: int) -> dict[tuple[str, str], tuple[float, float]]:
    spec, machine = costcalc.load_model(model), machine_of(costcalc.load_gpu("h200"))
    layout = Parallelism(tp=8, cp=cp)
    ops = step_ops(spec, layout, resolve_formats(spec.precision, machine.peak_flops), decode_batch(4, CONTEXT, layout))
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for op in ops:
        flops, moved = found.get((op.op, op.kind), (0.0, 0.0))
        found[op.op, op.kind] = flops + float(op.flops * op.layers), moved + float(op.bytes * op.layers)
    return found


@pytest.mark.parametrize(
    ("model", "kind", "cp"), [("v3", "latent", 8), ("v3", "latent", 2), ("qwen3-235b-a22b", "grouped", 2)]
)
def test_ranks_read_their_part_of_the_tokens_for_the_heads_of_all(model: str, kind: str, cp: int) -> None:
    alone, shared = ops_of(model, 1), ops_of(model, cp)
    (flops, moved), (flops_shared, moved_shared) = alone["attention core", kind], shared["attention core", kind]
    assert flops_shared == pytest.approx(flops)
    assert moved_shared == pytest.approx(moved / cp)
    rest = {name for name in alone if name != ("attention core", kind)}
    assert all(shared[name] == alone[name] for name in rest if name[0] != "context exchange")


def test_queries_and_outputs_are_exchanged() -> None:
    # DeepSeek-V3 (2412.19437): 128 heads of 512 + 64 elements ask, and answer with 512; in 16 bits, 61 layers, and the
    # fp32 logarithm of every head's sum of exponentials. Gathering and scattering move half of an all-reduce each.
    moved = ops_of("v3", 8)["context exchange", "all_reduce"][1]
    assert moved == pytest.approx(61 * 4 * 128 * ((576 + 512) / 2 * 2 + 4))


def test_copies_become_room_for_sequences() -> None:
    asked = {"gpus": 8, "tensor_parallel": 8, "expert_parallel": 1, "context": CONTEXT, "batch": 1}
    alone, shared = (costcalc.estimate("v3", "h200", context_parallel=cp, **asked) for cp in (None, 8))
    assert shared.kv_cache.bytes_per_token_per_gpu == pytest.approx(alone.kv_cache.bytes_per_token_per_gpu / 8)
    assert shared.memory.max_sequences // 8 == alone.memory.max_sequences
    assert (shared.deployment.layout, shared.deployment.context_parallel) == ("tp8 cp8", 8)
    assert shared.decode.step_time_s < alone.decode.step_time_s


@pytest.mark.parametrize(("model", "tensor"), [("llama-3.1-70b", 8), ("gemma-3-27b", 8), ("v3", 1), ("minimax-m2", 3)])
def test_a_cache_without_copies_is_not_shared(model: str, tensor: int) -> None:
    with pytest.raises(CostcalcError):
        costcalc.estimate(model, "h200", gpus=tensor, tensor_parallel=tensor, context_parallel=2)
