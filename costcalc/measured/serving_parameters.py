"""The constants of serving that measurements fit: where each stands, what physics says of it, and what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from costcalc.catalog.validation import adapter
from costcalc.measured.model import Array, Prior
from costcalc.specs.serving import ServingEfficiency


@dataclass(frozen=True, slots=True)
class ServingParameter:
    """One constant, or several that share a value."""

    paths: tuple[str, ...]  # in ServingEfficiency, levels joined by dots
    prior: Prior
    meaning: str
    share: bool = False  # of a peak: never above 1


def _of(paths: str, value: float, spread: float, meaning: str, share: bool = False) -> ServingParameter:
    return ServingParameter(tuple(paths.split()), Prior(value, spread), meaning, share)


def _share(paths: str, value: float, spread: float, meaning: str) -> ServingParameter:
    return _of(paths, value, spread, meaning, share=True)


PARAMETERS: tuple[ServingParameter, ...] = (
    _share("bandwidth.gemm bandwidth.head", 0.92, 0.08, "weights streamed, share of memory bandwidth"),
    _share("bandwidth.experts", 0.88, 0.10, "expert weights streamed, share of memory bandwidth"),
    _share("bandwidth.grouped bandwidth.latent", 0.88, 0.08, "cache streamed, share of memory bandwidth"),
    _share("bandwidth.elementwise", 0.80, 0.10, "elementwise traffic, share of memory bandwidth"),
    _share("flops.bf16 flops.fp16", 0.72, 0.10, "16-bit GEMM, share of peak"),
    _share("flops.fp8 flops.int8", 0.65, 0.12, "fp8 GEMM, share of peak"),
    _share("flops.fp8_block", 0.42, 0.15, "block-scaled fp8 GEMM, share of peak"),
    _share("flops.nvfp4 flops.mxfp4", 0.43, 0.15, "4-bit GEMM, share of peak"),
    _share("kind_flops.experts", 0.74, 0.15, "grouped GEMM over GEMM"),
    _share("kind_flops.grouped", 0.45, 0.12, "decode attention on padded tiles, share of the 16-bit peak"),
    _share("kind_flops.latent", 0.60, 0.15, "decode of latents, share of the 16-bit peak"),
    _share("kind_flops.prefill", 0.55, 0.12, "prefill attention, share of the 16-bit peak"),
    _share("vendor_bandwidth.amd", 0.80, 0.15, "bandwidth reached on AMD over that on NVIDIA"),
    _share("vendor_flops.amd", 0.55, 0.25, "FLOP/s reached on AMD over those on NVIDIA"),
    _share("architecture_flops.blackwell.fp8_block", 0.8, 0.25, "block-scaled fp8 on Blackwell over that on Hopper"),
    _share("hottest_rank", 0.7, 0.4, "share of the hottest expert rank's random overload that a step waits for"),
    _of("quantize.nvfp4 quantize.mxfp4", 6e-6, 0.5, "quantizing the activations of a 4-bit GEMM [s]"),
    _of("expert_layer", 35e-6, 0.3, "routing and gathering in an expert layer [s]"),
    _of("latent_layer", 16e-6, 0.4, "small kernels of an MLA layer [s]"),
    _of("sequence", 5e-6, 0.4, "sampling and scheduling a sequence [s]"),
    _of("draft", 150e-6, 0.5, "the host's part of drafting a token [s]"),
    _of("elementwise_passes", 20.0, 0.25, "passes over a token's activations per layer"),
    _of("routed_pair", 8e-9, 0.4, "permuting a token-expert pair [s]"),
    _of("all_reduce", 4.6e-6, 0.2, "latency of an all-reduce of two ranks [s]"),
    _of("all_reduce_per_doubling", 1.5e-6, 0.4, "more for each doubling of the ranks [s]"),
    _of("all_reduce_network", 20e-6, 0.5, "more across nodes [s]"),
    _of("all_to_all", 22e-6, 0.4, "latency of an all-to-all, one way [s]"),
    _of("all_to_all_network", 100e-6, 0.4, "more across nodes [s]"),
    _share("link", 0.70, 0.15, "share of the links' bandwidth"),
    _of("prefill_layer", 60e-6, 0.4, "what prompts add to a layer beyond its kernels [s]"),
    _of("prefill_expert_layer", 120e-6, 0.4, "and to an expert layer [s]"),
    _of("maturing", 0.02, 0.5, "by which engines run models with experts faster each month [ln]"),
    _of("backends.trtllm.layer", 40e-6, 0.2, "TensorRT-LLM, per layer of a step [s]"),
    _of("backends.vllm.layer", 50e-6, 0.2, "vLLM, per layer of a step [s]"),
    _of("backends.sglang.layer", 45e-6, 0.2, "SGLang, per layer of a step [s]"),
    _of("backends.atom.layer", 45e-6, 0.2, "ATOM, per layer of a step [s]"),
    _of("backends.vllm-eager.layer", 280e-6, 0.3, "vLLM of 2023 without graphs, per layer of a step [s]"),
    _of("backends.trtllm.startup", 50e-3, 0.4, "TensorRT-LLM, from a request to its scheduling [s]"),
    _of("backends.vllm.startup", 30e-3, 0.4, "vLLM, from a request to its scheduling [s]"),
    _of("backends.sglang.startup", 80e-3, 0.4, "SGLang, from a request to its scheduling [s]"),
    _of("backends.atom.startup", 30e-3, 0.4, "ATOM, from a request to its scheduling [s]"),
    _of("backends.trtllm.admission_steps", 2.0, 0.5, "TensorRT-LLM, steps until a request is admitted"),
    _of("backends.vllm.admission_steps", 1.5, 0.5, "vLLM, steps until a request is admitted"),
    _of("backends.sglang.admission_steps", 3.0, 0.5, "SGLang, steps until a request is admitted"),
    _of("backends.atom.admission_steps", 1.5, 0.5, "ATOM, steps until a request is admitted"),
    _of("backends.trtllm.balance_steps", 30.0, 0.5, "TensorRT-LLM, steps until attention ranks prefill together"),
    _of("closed_loop.first_burst", 0.05, 0.3, "wait behind the first round, 1/(2 rounds) of the prefills ahead"),
    _of("closed_loop.equal_lengths", 0.3, 0.5, "wait among equal requests, prefills per root of their number"),
    _share("closed_loop.acceptance", 0.8, 0.1, "chance that the first drafted token is kept"),
    _share("closed_loop.fading", 0.75, 0.25, "of that chance, for each further one"),
)
"""All fitted constants, with priors from kernel measurements and datasheets."""


def prior_values() -> Array:
    """Logarithms of the priors."""
    return np.log([each.prior.value for each in PARAMETERS])


def values_of(constants: ServingEfficiency) -> Array:
    """Logarithms of the constants, in the order of PARAMETERS."""
    tree = asdict(constants)
    return np.log([float(_get(tree, each.paths[0])) for each in PARAMETERS])


def with_values(constants: ServingEfficiency, values: Sequence[float] | Array) -> ServingEfficiency:
    """The constants with the exponentials of `values` in their places; shares are capped at 1."""
    tree = asdict(constants)
    for parameter, value in zip(PARAMETERS, np.exp(np.asarray(values)), strict=True):
        for path in parameter.paths:
            _put(tree, path, min(float(value), 1.0) if parameter.share else float(value))
    return adapter(ServingEfficiency).validate_python(tree)


def _get(tree: dict[str, Any], path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


def _put(tree: dict[str, Any], path: str, value: float) -> None:
    *levels, last = path.split(".")
    for key in levels:
        tree = tree[key]
    if last not in tree:
        raise KeyError(path)
    tree[last] = value
