"""Which kernel a serving stack runs for an op: by stack, architecture and format.

Source: the kernel names recorded with the measurements in measurements/ (TensorRT-LLM 1.0 to 1.3, vLLM 0.14 to 0.24,
SGLang 0.5.10 to 0.5.14).
"""

from __future__ import annotations

import math

from costcalc.formats import weight_format
from costcalc.model.attention.base import TILE_ROWS

MLA_FAMILIES = ("hopper", "blackwell", "cdna3", "cdna4")
"""Families that have kernels made for absorbed MLA decode."""


def grouped_decode_kernel(backend: str, family: str, group: float, kernel: str = "") -> str:
    """Return the class of the decode attention kernel over KV heads.

    backend: 'trtllm', 'vllm' or 'sglang'. family: the GPU's architecture. group: query heads per KV head.
    kernel: its name as a profiler records it, where known.
    """
    if family == "blackwell" and kernel != "flashinfer":
        return "trtllm-gen"
    if backend == "trtllm":
        return "xqa" if group > 1 else "mmha"
    if "triton" in kernel:
        return "triton"
    if kernel == "flash_attention" or (backend == "sglang" and family == "ampere" and not kernel):
        return "token-paged"
    return "fa3" if "fa3" in kernel or (family == "hopper" and not kernel) else "fa2"


def gemm_tile_rows(family: str) -> int:
    """Rows that a matrix product multiplies at least: of a warp group's product, else of a warp's."""
    return TILE_ROWS if family in WARP_GROUP_FAMILIES else SMALL_TILE


WARP_GROUP_FAMILIES = ("hopper", "blackwell", "cdna3", "cdna4")
"""Families whose decode kernels multiply 64 rows at least; others' have tiles of 16 rows."""
SMALL_TILE = 16


def query_tile_rows(kernel: str, group: float, family: str) -> int:
    """Rows of the query tile that decode attention multiplies, however few query heads share a KV head.

    FlashInfer cuts its tile to 16 rows where they hold the heads of a group (FA2DetermineCtaTileQ in its
    include/flashinfer/utils.cuh), the least that a product of a warp has (mma.m16n8k16); Hopper's warp-group
    products have 64 at least.
    kernel: its name as a profiler records it, where known. group: query heads per KV head. family: the architecture.
    """
    own = "flashinfer" in kernel and "trtllm" not in kernel
    small = own or family not in WARP_GROUP_FAMILIES
    return SMALL_TILE if small and group <= SMALL_TILE else TILE_ROWS


def multiplies_in_fp8(kernel_class: str, cache_bytes: float) -> bool:
    """Whether decode attention multiplies an fp8 cache at the fp8 rate: of those measured, only XQA does."""
    return kernel_class == "xqa" and cache_bytes <= 1


def latent_decode_kernel(family: str, kernel: str = "") -> str:
    """Return the class of the absorbed MLA decode kernel: 'tuned', or Triton's where none was made for the family.

    family: the GPU's architecture. kernel: its name as a profiler records it, where known.
    """
    return "triton" if "triton" in kernel or family not in MLA_FAMILIES else "tuned"


def latent_decode_falls_back(backend: str, family: str, cache_bytes: float, kernel: str = "") -> bool:
    """Whether a stack ran MLA decode with a kernel many times slower than the one made for it.

    Measured: TensorRT-LLM gives each sequence to one multiprocessor where its tuned kernel does not run, and SGLang
    converts an fp8 cache on Hopper before every step. Estimates assume that nobody deploys that.
    backend: 'trtllm', 'vllm' or 'sglang'. family: the architecture. cache_bytes: of one element [B]. kernel: its name.
    """
    if "triton" in kernel:
        return False
    if family not in MLA_FAMILIES:
        return backend == "trtllm"
    return backend == "sglang" and family == "hopper" and cache_bytes <= 1


def prefill_is_absorbed(backend: str, family: str, kernel: str = "") -> bool:
    """Whether MLA prefill multiplies by the latents (3.4 times the FLOPs): SGLang's before Blackwell."""
    return backend == "sglang" and family != "blackwell" and kernel != "trtllm_mla"


def experts_kernel(backend: str, family: str, weights: str, kernel: str = "", tuned: bool = True) -> str:
    """Return the class of the fused expert kernel.

    backend: 'trtllm', 'vllm' or 'sglang'. family: the GPU's architecture. weights: format of the weights.
    kernel: its name as a profiler records it, where known. tuned: by a recipe that names the fastest; vLLM and SGLang
    start with Triton's on Blackwell unless a flag chooses another (moe-runner-backend, VLLM_USE_FLASHINFER_MOE). MXFP4
    on Hopper is Triton's in all three (TensorRT-LLM's deployment guide for gpt-oss, 1.4.0rc4: the default is TRITON);
    vLLM leaves it to Marlin where that does not run (get_mxfp4_backend: compute capability 9.0 to 10.x).
    """
    for name in ("deepgemm", "marlin"):
        if name in kernel:
            return name
    if "triton" in kernel or kernel == "vllm_fused_moe":
        return "triton"
    if "cutlass" in kernel or kernel == "moe_torch_flow":
        return "cutlass"
    if kernel:
        return "trtllm-gen"
    if family == "blackwell":
        if backend == "trtllm":
            return "deepgemm" if weights == "fp8_block" else "cutlass"
        if not tuned and not weights.startswith(("nvfp4", "mxfp4")):
            return "triton"
        return "trtllm-gen"
    if backend == "trtllm":
        return "triton" if weights == "mxfp4" else "cutlass"
    if weights.startswith("int4") or (weights == "mxfp4" and backend == "vllm" and family in MXFP4_BY_MARLIN):
        return "marlin"
    return "cutlass" if backend == "vllm" and weights.startswith("fp8") and family == "hopper" else "triton"


MXFP4_BY_MARLIN = ("ampere", "ada", "rtx-blackwell")
"""Architectures whose MXFP4 experts vLLM unpacks in Marlin."""


EXPERT_PAIRS_OF_ALL = ("triton", "marlin")
"""Expert kernels whose buffers hold a row for the pairs of all ranks: those of others are zeroed and summed."""


CUSTOM_LIMIT = 4e6
"""Message [B] above which TensorRT-LLM and vLLM leave an all-reduce to NCCL; SGLang does not."""


def custom_all_reduce_limit(backend: str) -> float:
    """Return the message [B] above which a stack leaves an all-reduce to NCCL; infinite where it never does."""
    return math.inf if backend == "sglang" else CUSTOM_LIMIT


def exchange_kernel(throughput: bool) -> str:
    """Return the class of the kernel that dispatches tokens to experts: for throughput, in prefill, or for latency."""
    return "high-throughput" if throughput else "low-latency"


def precision_class(weights: str, compute: str) -> str:
    """Return the class of GEMM kernels that multiply a weight format in a precision, as the fit tells them apart."""
    width = weight_format(weights).bytes
    if width >= 2:
        return "16-bit" if width == 2 else "32-bit"
    if compute in ("bf16", "fp16", "fp32"):
        return "weight-only"
    if weights == "fp8_block":
        return weights
    return "nvfp4" if compute == "fp4" else compute
