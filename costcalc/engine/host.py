"""The host's memory beside one GPU: which part of a model lies there, and what the host makes of it.

llama.cpp multiplies what lies in host memory on the CPU, in passes of fewer than 32 tokens; in wider ones it copies the
weights over the link and multiplies on the GPU (ggml-cuda.cu, offload_op: op_offload_min_batch_size). vLLM's GPU reads
its part over the link in every pass (model_executor/offloader/uva.py).
"""

from __future__ import annotations

from costcalc.fields import Number, Record
from costcalc.hardware.accelerator import Accelerator
from costcalc.model.spec import ModelSpec

DESKTOP_BANDWIDTH = 89.6e9
"""Peak of two channels of DDR5-5600 [B/s], what a card with GDDR is taken to stand in: 2 × 8 B × 5.6e9/s."""
SERVER_BANDWIDTH = 307.2e9
"""Peak of eight channels of DDR5-4800 [B/s], one socket, what a GPU with HBM is taken to stand in."""
CPU_FLOPS = 5.12e12
"""Peak of a CPU of 16 cores [FLOP/s]: two 512-bit multiply-adds a cycle in fp32, 64 FLOP, at 5 GHz."""

READS = 0.6
"""Share of the peak at which a CPU reads weights, a prior from runs without any GPU.

75% of DDR5-5600 with a dense model (llama.cpp issue 19480: Qwen2.5-Coder-32B Q4_K_M at 3.54 tokens/s), about 60% with
experts on a Ryzen 7950X (ik_llama.cpp issue 1075: Qwen3-30B-A3B Q4_K_M at 27.2), 42% of eight channels (STREAM triad of
87 GB/s of DDR4-3200, llama.cpp pull request 27754).
"""
MULTIPLIES = 0.2
"""Share of the peak at which it multiplies: 1 TFLOP/s, a prior. 210 prompt tokens/s of Qwen3-30B-A3B on a Ryzen 7950X
(the same issue 1075) are 1.3 TFLOP/s."""
COPIES = 0.7
"""Share of the link at which weights are copied, a prior: some 80% from pinned memory, half from pageable memory."""
HAND_OVER = 100e-6
"""What it takes to go on at the other side of the link [s]. llama.cpp pull request 4812: Llama-7B on an RTX 3090 Ti
takes 8.8 ms longer for a token with its cache in host memory, of which bytes explain 0.6: 128 us for each of the 64
times, in early 2024."""
SPREAD = 1.6
"""Times faster or slower, in 8 of 10 cases, that hosts are than these priors say: reads of 38% to 96% of the peak."""
COPIED_FROM = 32
"""Tokens of a pass from which llama.cpp copies weights instead of multiplying on the CPU."""
CROSSING_BYTES = 4
"""Of an activation that crosses the link: ggml keeps them in fp32."""


class Placement(Record):
    """Which part of a model lies in host memory, as shares of what there is of each kind."""

    layers: float = 0.0  # of projections, dense feed-forward and shared experts
    experts: float = 0.0  # of routed experts
    cache: float = 0.0
    head: float = 0.0
    embedding: float = 0.0
    copied_from: float = COPIED_FROM  # tokens of a pass from which the GPU computes with weights over the link
    attention_by_cpu: bool = False  # in every pass, because the cache never leaves the host
    crossings: float = 0.0  # of the link by a pass's activations, where the CPU computes

    @property
    def anything(self) -> bool:
        """Whether anything is in host memory."""
        return max(self.layers, self.experts, self.cache, self.head) > 0


ON_GPU = Placement()


class Host(Record):
    """Rates of the host beside a GPU."""

    bandwidth: Number  # [B/s] peak of its memory
    flops: Number  # [FLOP/s] peak of its CPU
    link: Number  # [B/s] to the GPU
    memory: float | None = None  # [B] that weights and cache may take; None: not told


def host_of(gpu: Accelerator, bandwidth: float | None, flops: float | None, memory: float | None) -> Host | None:
    """The host that a GPU stands in, with defaults for what is None; None where its memory is the host's own.

    bandwidth: [B/s]. flops: [FLOP/s]. memory: [B].
    """
    kind = gpu.memory_type.upper()
    if gpu.host_link is None or not kind.startswith(("HBM", "GDDR")):
        return None
    usual = SERVER_BANDWIDTH if kind.startswith("HBM") else DESKTOP_BANDWIDTH
    return Host(bandwidth or usual, flops or CPU_FLOPS, gpu.host_link.bandwidth, memory)


def placement_of(model: ModelSpec, gpu_layers: int | None, expert_layers: int | str | None, cache: bool) -> Placement:
    """Where llama.cpp puts a model: the embedding, if anything, is in host memory, and layers in their order.

    Layers count as alike, except that dense ones in front have no experts.

    gpu_layers: on the GPU, where the LM head counts as one and comes first, as in `-ngl` (llama-model.cpp: i_gpu_start
    = n_layer + 1 - n_gpu_layers). expert_layers: the first layers whose experts are in host memory (`--n-cpu-moe`), or
    'all'.
    cache: whether all of it does (`--no-kv-offload`), and attention with it.
    """
    count = model.num_layers
    below = 0 if gpu_layers is None else min(max(count + 1 - gpu_layers, 0), count)
    layers = below / count
    dense = 0  # layers in front of the first with experts
    for group in model.layers:
        if any(model.feedforward[label].routed(model.hidden_size) for label in group.feedforward):
            break
        dense += group.count
    first = count if isinstance(expert_layers, str) else expert_layers or 0
    experts = min(max(first - dense, 0) / max(count - dense, 1), 1.0)
    routed = sum(n for n, layer in model.feedforward_layers() if layer.routed(model.hidden_size))
    if not (below or experts or cache):
        return ON_GPU
    apart = 2 * routed * max(experts - layers, 0.0)  # to the host and back
    apart += 2 * (count - below) if cache else 0
    return Placement(
        layers,
        max(layers, experts),
        1.0 if cache else layers,
        head=float(gpu_layers == 0),
        embedding=1.0,
        attention_by_cpu=cache,
        crossings=apart + (below > 0),
    )


def streamed(share: float) -> Placement:
    """Where vLLM puts a `share` of the layers' weights: the GPU reads them over the link in every pass."""
    return Placement(share, share, copied_from=0)
