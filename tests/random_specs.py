"""Random but valid models, machines, layouts and workloads, for tests of what holds for all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import gcd
from typing import Any

from hypothesis import strategies as st

from costcalc import units
from costcalc.catalog.catalog import Catalog, load_model
from costcalc.catalog.check import validate
from costcalc.engine.parallelism import Chosen, Deployment, Parallelism
from costcalc.formats import CACHE_FORMATS, WEIGHT_FORMATS
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec, Precision
from costcalc.predict.scenario import Options, Scenario, scenario_of

HEADS = [4, 8, 16, 24, 32, 64, 128]
WIDTHS = [32, 64, 80, 128, 192, 256]
NARROW = sorted(set(WEIGHT_FORMATS) - {"fp32"})
GROWING = ("grouped", "sliding", "latent")
RESTARTING = ("chunked",)
"""Attention that sees little again at the start of a chunk: there a longer context is cheaper (Llama 4)."""


def divisors(number: int, most: int = 64) -> list[int]:
    return [n for n in range(1, min(number, most) + 1) if number % n == 0]


@st.composite
def attentions(draw: st.DrawFn, kinds: tuple[str, ...]) -> dict[str, Any]:
    kind = draw(st.sampled_from(kinds))
    heads, width = draw(st.sampled_from(HEADS)), draw(st.sampled_from(WIDTHS))
    if kind == "latent":
        return {
            "kind": kind,
            "num_attention_heads": heads,
            "q_lora_rank": draw(st.sampled_from([None, 256, 1536])),
            "kv_lora_rank": draw(st.sampled_from([128, 256, 512])),
            "qk_nope_head_dim": width,
            "qk_rope_head_dim": draw(st.sampled_from([0, 32, 64])),
            "v_head_dim": draw(st.sampled_from(WIDTHS)),
            "mode": draw(st.sampled_from(["absorbed", "expanded", "naive"])),
        }
    fields = {
        "kind": kind,
        "num_attention_heads": heads,
        "num_key_value_heads": draw(st.sampled_from(divisors(heads))),
        "head_dim": width,
    }
    extra = {"sliding": "window", "chunked": "chunk"}.get(kind)
    return {**fields, **({extra: draw(st.integers(16, 8192))} if extra else {})}


@st.composite
def feedforwards(draw: st.DrawFn) -> dict[str, Any]:
    if draw(st.booleans()):
        return {"kind": "dense", "intermediate_size": draw(st.integers(64, 30_000)), "gated": draw(st.booleans())}
    experts = draw(st.integers(2, 384))
    return {
        "kind": "experts",
        "num_experts": experts,
        "experts_per_token": draw(st.integers(1, min(experts, 12))),
        "moe_intermediate_size": draw(st.integers(64, 8192)),
        "shared_intermediate_size": draw(st.sampled_from([0, 1024, 4096])),
    }


@cache
def catalog_models(monotone: bool) -> list[ModelSpec]:
    """The models of the catalog; only those whose work never shrinks with the context, if asked."""
    found = [load_model(path) for path in Catalog().paths("models")]
    return [m for m in found if not monotone or all(a.kind not in RESTARTING for _, a in m.attention_layers())]


@st.composite
def precisions(draw: st.DrawFn) -> Precision:
    weights, cache = st.sampled_from(NARROW), st.sampled_from([n for n, f in CACHE_FORMATS.items() if n != "fp32"])
    return Precision(weights=draw(weights), kv_cache=draw(cache))


def models(monotone: bool = False) -> st.SearchStrategy[ModelSpec]:
    """A random decoder, or a model of the catalog in a random precision.

    monotone: leave out attention whose work can shrink when the context grows.
    """
    kinds = GROWING if monotone else (*GROWING, *RESTARTING)
    shipped = st.builds(
        lambda model, precision: replace(model, precision=precision),
        st.sampled_from(catalog_models(monotone)),
        precisions(),
    )
    return random_models(kinds) | shipped


@st.composite
def random_models(draw: st.DrawFn, kinds: tuple[str, ...]) -> ModelSpec:
    """A decoder of one or two kinds of layers."""
    groups = draw(st.integers(1, 2))
    return validate(
        ModelSpec,
        {
            "name": "random",
            "hidden_size": 64 * draw(st.integers(2, 192)),
            "vocab_size": draw(st.integers(1000, 260_000)),
            "tied_embeddings": draw(st.booleans()),
            "attention": {str(i): draw(attentions(kinds)) for i in range(groups)},
            "feedforward": {str(i): draw(feedforwards()) for i in range(groups)},
            "layers": [
                {"count": draw(st.integers(1, 60)), "attention": str(i), "feedforward": str(i)} for i in range(groups)
            ],
            "precision": draw(precisions()),
        },
    )


@st.composite
def machines(draw: st.DrawFn) -> Accelerator:
    """An accelerator with links inside a domain and between domains."""
    bf16 = draw(st.floats(50e12, 5e15))
    peaks = {"bf16": bf16} | dict.fromkeys(draw(st.sets(st.sampled_from(["fp8", "int8"]))), 2 * bf16)
    return validate(
        Accelerator,
        {
            "name": "Random",
            "vendor": draw(st.sampled_from(["nvidia", "amd"])),
            "architecture": draw(st.sampled_from(["hopper", "ampere", "blackwell", "cdna3", "tpu"])),
            "memory": draw(st.floats(16e9, 400e9)),
            "memory_type": "HBM",
            "memory_bandwidth": draw(st.floats(0.3e12, 20e12)),
            "peak_flops": peaks,
            "scale_up": {
                "technology": draw(st.sampled_from(["NVLink 4", "PCIe 5.0 x16"])),
                "bandwidth": draw(st.floats(20e9, 1.8e12)),
                "domain": draw(st.sampled_from([1, 2, 4, 8, 72])),
            },
            "scale_out": {"bandwidth": draw(st.floats(5e9, 200e9))},
            "node_size": 8,
        },
    )


def heads_divisor(model: ModelSpec) -> int:
    """What the tensor-parallel degree has to divide."""
    return gcd(*(layer.shard_unit for _, layer in model.attention_layers()))


@st.composite
def layouts(draw: st.DrawFn, model: ModelSpec) -> Parallelism:
    """A possible layout of one replica."""
    tensor = draw(st.sampled_from(divisors(heads_divisor(model), 16)))
    data = draw(st.sampled_from([1, 2, 3, 8, 16, 40]))
    routed = [r.experts for _, f in model.feedforward_layers() if (r := f.routed(model.hidden_size))]
    expert = draw(st.sampled_from(divisors(tensor * data, min(routed)))) if routed else 1
    pipeline = draw(st.integers(1, min(4, model.num_layers)))
    return Parallelism(tensor, data, expert, pipeline)


batches = st.integers(1, 4096)
contexts = st.integers(1, 1_000_000)


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    """What a workload asks, but for efficiency and batch."""
    return {
        "input_tokens": draw(st.integers(1, 200_000)),
        "output_tokens": draw(st.integers(1, 20_000)),
        "cached": draw(st.sampled_from([0.0, 0.5, 0.95])),
        "backend": draw(st.sampled_from(["vllm", "sglang", "trtllm"])),
    }


@st.composite
def deployments(draw: st.DrawFn, monotone: bool = False) -> tuple[Scenario, Scenario, Parallelism]:
    """The same deployment at the physical bound and with measured efficiencies."""
    model, gpu, asked = draw(models(monotone)), draw(machines()), draw(options())
    engine, drafts = draw(st.sampled_from(Catalog().serving_efficiency().engines)), draw(st.sampled_from([0, 0, 1, 3]))
    asked |= {"backend": engine, "drafts": drafts, "disaggregated": draw(st.sampled_from([False, False, True]))}
    ideal, calibrated = (scenario_of(model, gpu, Options(efficiency=mode, **asked)) for mode in ("ideal", "calibrated"))
    return ideal, calibrated, draw(layouts(model))


@st.composite
def questions(draw: st.DrawFn) -> tuple[Scenario, Chosen]:
    """A random model on a random machine in a random layout, asked anything."""
    terms = draw(st.sampled_from(["all", "all", "all", "kv", "weights"]))
    put = draw(st.integers(1, 200_000))
    options = Options(
        efficiency=draw(st.sampled_from(["ideal", "calibrated"])),
        backend=draw(st.sampled_from(["vllm", "sglang", "trtllm"])),
        input_tokens=put,
        output_tokens=draw(st.integers(1, 20_000)),
        context=draw(st.none() | st.integers(put, 1_000_000)),  # which holds the prompt
        cached=draw(st.sampled_from([0.0, 0.5, 0.95])),
        weights=draw(st.none() | st.sampled_from(NARROW)),
        drafts=draw(st.sampled_from([None, None, 1, 3])),
        disaggregated=terms == "all" and draw(st.booleans()),
        terms=terms,
        demand=draw(st.sampled_from([None, "50 requests/s", "1B tokens/day", "3 tokens/s"])),
        price=draw(st.none() | st.floats(0.01, 100)),
        utilization=draw(st.floats(0.1, 1)),
        two_batch_overlap=draw(st.booleans()),
        imbalance=draw(st.sampled_from([None, "uniform", "zipf:1.2", "2.5"])),
        tuning=draw(st.sampled_from(["default", "tuned"])),
        batch=draw(st.none() | batches),
    )
    model = draw(models())
    layout: Parallelism = draw(layouts(model))
    scenario = scenario_of(model, draw(machines()), options)
    return scenario, Chosen(Deployment(layout, draw(st.integers(1, 3))), options.batch or draw(batches))


AMOUNTS = {
    "bytes": (st.just(0.0) | st.floats(1e-9, 1e18), units.format_bytes),
    "bandwidth": (st.floats(1e3, 1e18), lambda value, digits: units.format_rate(value, "B/s", digits)),
    "flops": (st.floats(1e3, 1e21), lambda value, digits: units.format_rate(value, "FLOP/s", digits)),
    "time": (st.just(0.0) | st.floats(1e-12, 1e10), units.format_seconds),
    "power": (st.just(0.0) | st.floats(1e-9, 1e10), units.format_power),
    "count": (st.just(0.0) | st.floats(1e-9, 1e18), units.format_count),
    "ratio": (st.just(0.0) | st.floats(1e-9, 1), units.format_percent),
    "price": (st.just(0.0) | st.floats(1e-9, 1e13), units.format_usd),
    "price_per_hour": (st.just(0.0) | st.floats(1e-9, 1e7), units.format_usd),
}
"""Amounts of every dimension, and what shows them."""
