"""One lookup for all: what drivers, hubs and benchmarks call a GPU or a model, estimates understand too."""

from __future__ import annotations

import pytest

from costcalc.catalog.catalog import Catalog, load_model
from costcalc.errors import CostcalcError


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("H100-SXM5-80GB", "h100-sxm"),
        ("NVIDIA H100 80GB HBM3", "h100-sxm"),  # as nvidia-smi prints it
        ("NVIDIA A100-SXM4-40GB", "a100-40gb-sxm"),
        ("NVIDIA A100 80GB PCIe", "a100-80gb-pcie"),
        ("H200-SXM-141GB", "h200-sxm"),
        ("B200-SXM-180GB", "b200-sxm"),
        ("NVIDIA RTX 6000 Ada Generation", "rtx-6000-ada"),
        ("AMD Instinct MI355X OAM", "mi355x"),
        ("Gaudi 3", "gaudi3"),
        ("NVIDIA A800-SXM4-80GB", "a800-80gb-sxm"),  # 400 GB/s of NVLink where an A100 has 600
        ("NVIDIA GH200 144G HBM3e", "gh200-144gb"),
        ("H20-141GB", "h20-141gb"),
        ("NVIDIA GeForce RTX 3060", "rtx-3060-12gb"),
        ("NVIDIA GeForce RTX 3080", "rtx-3080-10gb"),
        ("RTX 3080 12GB", "rtx-3080-12gb"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "rtx-4070-ti-super"),
        ("GeForce RTX 5060 Ti 16GB", "rtx-5060-ti-16gb"),
        ("Tesla P40", "p40"),
        ("Tesla P100-PCIE-16GB", "p100-16gb-pcie"),
        ("Tesla V100-PCIE-32GB", "v100-32gb-pcie"),
        ("Radeon RX 7900 XTX", "rx-7900-xtx"),
        ("AMD Instinct MI50", "mi50-32gb"),
        ("Apple M4 Pro", "m4-pro"),
        ("Apple M3 Ultra (60-core GPU)", "m3-ultra-60-core"),
        ("Intel Arc B580", "arc-b580"),
    ],
)
def test_accelerators(spelling: str, name: str) -> None:
    assert Catalog().find("hardware_profiles", spelling).stem == name


@pytest.mark.parametrize("other", ["B100", "GB300-NVL4", "H900"])
def test_other_products_are_no_aliases(other: str) -> None:
    # NVL4 joins 4 GPUs where NVL72 joins 72.
    with pytest.raises(CostcalcError, match="unknown GPU"):
        Catalog().find("hardware_profiles", other)


@pytest.mark.parametrize(("name", "catalogued"), [("L40S 96GB", "l40s"), ("H100 96GB", "h100-sxm")])
def test_another_memory_is_another_product(name: str, catalogued: str) -> None:
    with pytest.raises(CostcalcError, match=f"there is {catalogued}, with another memory"):
        Catalog().find("hardware_profiles", name)


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("meta-llama/Llama-3.1-70B-Instruct", "llama-3.1-70b"),
        ("Qwen3-235B-A22B-Instruct-2507", "qwen3-235b-a22b"),
        ("google/gemma-3-27b-it", "gemma-3-27b"),
        ("DeepSeek-V3-0324", "deepseek-v3"),
    ],
)
def test_checkpoints_of_one_shape(spelling: str, name: str) -> None:
    assert Catalog().find("models", spelling).stem == name


@pytest.mark.parametrize(
    ("name", "model", "weights"),
    [
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "Llama-3.1-70B", ("fp8", None)),
        ("TheBloke/Llama-2-70B-Chat-AWQ", "Llama-2-70B", ("int4_zp", None)),
        ("RedHatAI/Llama-3.3-70B-Instruct-FP8-dynamic", "Llama-3.3-70B", ("fp8", None)),
        # Eight bits are what DeepSeek ships; its four-bit checkpoints narrow the routed experts alone.
        ("deepseek-ai/DeepSeek-V3-FP8", "DeepSeek-V3", ("fp8_block", None)),
        ("nvidia/DeepSeek-R1-0528-FP4", "DeepSeek-R1", ("bf16", "nvfp4")),
    ],
)
def test_a_quantized_checkpoint_is_not_the_one_in_16_bits(
    name: str, model: str, weights: tuple[str, str | None]
) -> None:
    found = load_model(name)
    assert (found.name, (found.precision.weights, found.precision.experts)) == (model, weights)
    assert len(found.caveats) == 1


def test_what_a_name_says_of_its_weights_is_told() -> None:
    assert load_model("nvidia/Llama-3.1-70B-Instruct-FP8").caveats == (
        "'nvidia/Llama-3.1-70B-Instruct-FP8' is not in the catalog by this name: taken for llama-3.1-70b, with weights "
        "in fp8, and all else as listed there.",
    )


def test_formats_that_say_nothing_of_bits_are_not_guessed() -> None:
    with pytest.raises(CostcalcError, match=r"unknown model .*did you mean .*gemma-3-27b"):
        Catalog().find("models", "unsloth/gemma-3-27b-it-quantized")
    # Of a repository of GGUF files llama.cpp takes Q4_K_M unless told another (common/arg.cpp, --hf-repo).
    assert load_model("unsloth/gemma-3-27b-it-GGUF").precision.weights == "q4_k_m"
