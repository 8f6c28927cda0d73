"""How a published figure is asked of costcalc, where that takes more than one call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import costcalc
from costcalc.catalog.catalog import Catalog
from costcalc.catalog.check import validate
from costcalc.engine.cost import usd_per_million
from costcalc.engine.latency.collectives import all_to_all_seconds
from costcalc.engine.memory import weights_bytes_per_gpu
from costcalc.engine.parallelism import Parallelism
from costcalc.engine.precision import resolve_formats
from costcalc.engine.roofline import Machine, Term, machine_of, roofline_seconds
from costcalc.formats import CACHE_FORMATS, WeightFormat
from costcalc.model.attention.gqa import GroupedAttention
from costcalc.model.attention.mla import LatentAttention
from costcalc.model.ffn import experts_touched
from costcalc.model.spec import ModelSpec, Precision


def memory_seconds(nbytes: Any, bandwidth: Any) -> Any:
    """Time of reading [B] at a bandwidth [B/s], as a term of an op has it."""
    return Term("memory", "B", nbytes, bandwidth).seconds


def compute_seconds(flops: Any, peak: Any) -> Any:
    """Time of multiplying [FLOP] at a peak [FLOP/s], as a term of an op has it."""
    return Term("compute", "FLOP", flops, peak).seconds


Inputs = dict[str, Any]
Expression = Callable[[Inputs], float]

BF16 = CACHE_FORMATS["bf16"]
MANY = 1e12
"""Ranks of an exchange in which, practically, no token stays where it is."""


def dense(layers: int, hidden: int, heads: int, kv_heads: int, head_dim: int, **more: Any) -> ModelSpec:
    """A dense model of the given shape; its feed-forward layers are 4 hidden sizes wide unless told."""
    width = more.pop("intermediate", 4 * hidden)
    fields: dict[str, Any] = {
        "name": "published shape",
        "hidden_size": hidden,
        "vocab_size": 32_000,
        "attention": {
            "all": {
                "kind": "grouped",
                "num_attention_heads": heads,
                "num_key_value_heads": kv_heads,
                "head_dim": head_dim,
            }
        },
        "feedforward": {"all": {"kind": "dense", "intermediate_size": width, "gated": more.pop("gated", True)}},
        "layers": [{"count": layers, "attention": "all", "feedforward": "all"}],
    }
    return validate(ModelSpec, {**fields, **more})


def network(bandwidth: float) -> Machine:
    """A machine of which only the network matters: every GPU a domain of its own."""
    return replace(machine_of(costcalc.load_gpu("h100")), domain=1, network_bandwidth=bandwidth)


def cache_read(model: str | ModelSpec, **options: Any) -> costcalc.Estimate:
    """The bill of cache reads alone, at the physical bound."""
    return costcalc.estimate(model, "h100", terms="kv", efficiency="ideal", **options)


def article(i: Inputs) -> costcalc.Estimate:
    """Epoch's argument: GPT-3's cache at 100,000 tokens, streamed for every token."""
    bandwidth = f"{i.get('hbm_Bps', 3.3e12):.0f} B/s"
    gpu = costcalc.load_gpu("h100", overrides={"memory_bandwidth": bandwidth})
    return costcalc.estimate(
        "gpt-3", gpu, terms="kv", efficiency="ideal", batch=1, context=100_000, price=i.get("usd_per_hour", 2.0)
    )


def elements_per_token(model: str) -> float:
    return cache_read(model).kv_cache.bytes_per_token / 2


def bytes_per_token(model: str | ModelSpec) -> Expression:
    return lambda _: cache_read(model).kv_cache.bytes_per_token


def intensity(layer: GroupedAttention | LatentAttention) -> float:
    """FLOPs per byte of the attention of one decode step over a long cache."""
    (core,) = layer.decode_cores(1e6, BF16)
    return float(core.flops / core.bytes)


def catalog_sonnet_ratio(i: Inputs) -> float:
    cost = article({}).cost.usd_per_million_output_tokens
    closed = Catalog().closed_model("claude-3.5-sonnet")
    assert cost is not None and closed is not None
    assert closed.api_prices[0].output_usd_per_million == i["price"]
    return cost / closed.api_prices[0].output_usd_per_million


def crossover_batch(_: Inputs) -> float:
    """Weights read per step over the cache read per sequence, of the whole model in 16 bits."""
    weights = costcalc.estimate(
        "mistral-large-2", "h100", gpus=8, terms="weights", batch=1, context=100_000, efficiency="ideal"
    )
    return sum(op.bytes for op in weights.breakdown) / weights.kv_cache.bytes_read_per_token


def prefill_floor(i: Inputs) -> float:
    seconds = compute_seconds(2 * i["params"], i["flops"] * i["arithmetic_cap"])
    return float(usd_per_million(1, i["usd_per_hour"], 1 / seconds))


def groups_of_latent(i: Inputs) -> float:
    """How many KV heads would take the cache of the latent."""
    latent = LatentAttention(
        num_attention_heads=128,
        kv_lora_rank=i["kv_lora_rank"],
        qk_nope_head_dim=i["head_dim"],
        qk_rope_head_dim=i["rope_dim"],
        v_head_dim=i["head_dim"],
    )
    one = GroupedAttention(num_attention_heads=128, num_key_value_heads=1, head_dim=i["head_dim"])
    return float(latent.growth_bytes(BF16) / one.growth_bytes(BF16))


def v3_attention_parameters(_: Inputs) -> float:
    model = costcalc.load_model("v3")
    ((_, layer),) = model.attention_layers()
    return sum(matrix.parameters for matrix in layer.linears(model.hidden_size))


def v3_expert_slots(i: Inputs) -> float:
    """Bytes of `experts_per_gpu` expert slots: the weights of a rank less those with experts that weigh nothing."""
    model = costcalc.load_model("v3")
    slots = i["ep"] * i["experts_per_gpu"]  # 256 experts and 32 redundant copies
    table = dict(model.feedforward)
    table["experts"] = replace(model.feedforward["experts"], num_experts=slots)
    model = replace(model, feedforward=table)
    formats = resolve_formats(Precision(weights="fp8"), {"bf16", "fp8"})
    weightless = replace(formats, experts=WeightFormat("none", 0.0, "fp8", ""))
    layout = Parallelism(tp=4, attention_dp=8, ep=i["ep"])
    return float(weights_bytes_per_gpu(model, layout, formats) - weights_bytes_per_gpu(model, layout, weightless))


def v3_weights_of_one_token(i: Inputs) -> float:
    model = costcalc.load_model("v3")
    model = replace(model, precision=Precision(weights="fp8", head="fp8"))
    answer = costcalc.estimate(model, "h100", terms="weights", batch=i["batch"], efficiency="ideal")
    return sum(op.bytes for op in answer.breakdown)


def exchange_seconds(i: Inputs) -> float:
    """Dispatch in one width and combine in another, each to `destinations` over the network."""
    sent = i["tokens"] * i["destinations"] * i["hidden"]
    link = network(i["Bps"])
    return float(sum(all_to_all_seconds(sent * i[width], MANY, link) for width in ("dispatch_bytes", "combine_bytes")))


def exchange_bound_tpot(i: Inputs) -> float:
    one = {"tokens": 32, "destinations": 9, "hidden": 7000, "dispatch_bytes": 1, "combine_bytes": 2, "Bps": 50e9}
    return exchange_seconds(one) * i["microbatches"] * i["layers"]


def logical_transfer(i: Inputs) -> float:
    """All copies of all tokens at the measured bandwidth, which counts those that stay at home."""
    width = i["bytes"] + i.get("scale_bytes_per_128", 0) / 128
    return float(i["tokens"] * i["topk"] * i["hidden"] * width / i["Bps"])


def fleet_usd(i: Inputs, tokens_per_day: float) -> float:
    gpus = i["nodes"] * i["gpus_per_node"]
    return float(usd_per_million(gpus, i["usd_per_gpu_hour"], tokens_per_day / 86_400)) * tokens_per_day / 1e6


def fleet_revenue(i: Inputs) -> float:
    """What R1's list price asks for the day's tokens, cache hits apart."""
    entered = i["input_hit"] + i["input_miss"]
    answer = costcalc.estimate(
        "r1", "h800", gpus=16, batch=16, cached=i["input_hit"] / entered,
        input_tokens=entered / i["output"] * 1000, output_tokens=1000,
    )  # fmt: skip
    listed = {(m.provider, m.date): m for m in answer.market}[("DeepSeek", "2025-08")]
    return listed.blended_usd_per_million * (entered + i["output"]) / 1e6


def step_of(i: Inputs) -> float:
    """Weights and caches of a batch streamed from the memory of all chips [s]."""
    cache = i.get("kv_bytes_per_sequence") or i["kv_bytes_per_token"] * i["context"]
    return float(memory_seconds(i["weight_bytes"] + i["batch"] * cache, i["chips"] * i["hbm_Bps"]))


def popquiz_step(i: Inputs) -> float:
    compute = compute_seconds(2 * i["weight_bytes"] * i["batch"], i["chips"] * i["flops"])
    return float(roofline_seconds(step_of(i), compute))


def ridge(gpu: str, bandwidth: str | None = None) -> Expression:
    """FLOPs per byte at which 16-bit work turns compute-bound, from the datasheet of the catalog."""
    overrides = {"memory_bandwidth": bandwidth} if bandwidth else None
    return lambda _: costcalc.load_gpu(gpu, overrides=overrides).ridge_point("bf16")


def touched(model: str) -> Expression:
    """Experts of a catalog model that a balanced batch reaches."""

    def expression(i: Inputs) -> float:
        spec = costcalc.load_model(model)
        routed = next(r for _, layer in spec.feedforward_layers() if (r := layer.routed(spec.hidden_size)))
        assert (routed.experts, routed.per_token) == (i["experts"], i["topk"])
        return float(experts_touched(routed.experts, routed.per_token, i["batch"]))

    return expression


def q1_parameters(i: Inputs) -> float:
    return dense(
        i["layers"], i["d_model"], i["heads"], i["kv_heads"], i["head_dim"],
        intermediate=i["d_ff"], vocab_size=i["vocab"], tied_embeddings=i["tied"],
    ).total_parameters  # fmt: skip
