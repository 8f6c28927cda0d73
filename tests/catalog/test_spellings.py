"""One lookup for all: what drivers, hubs and benchmarks call a GPU or a model, estimates understand too."""

from __future__ import annotations

import pytest

from costcalc.catalog.find import find_path
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
    ],
)
def test_accelerators(spelling: str, name: str) -> None:
    assert find_path("hardware_profiles", spelling).stem == name


@pytest.mark.parametrize("other", ["A800", "B100", "GB300-NVL4", "H900"])
def test_other_products_are_no_aliases(other: str) -> None:
    # An A800 has 400 GB/s of NVLink where an A100 has 600; NVL4 joins 4 GPUs where NVL72 joins 72.
    with pytest.raises(CostcalcError, match="unknown GPU"):
        find_path("hardware_profiles", other)


@pytest.mark.parametrize(("name", "catalogued"), [("H20-141GB", "h20"), ("H100 96GB", "h100-sxm")])
def test_another_memory_is_another_product(name: str, catalogued: str) -> None:
    with pytest.raises(CostcalcError, match=f"there is {catalogued}, with another memory"):
        find_path("hardware_profiles", name)


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
    assert find_path("models", spelling).stem == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("nvidia/Llama-3.1-70B-Instruct-FP8", "--model llama-3.1-70b --weights fp8"),
        ("TheBloke/Llama-2-70B-Chat-AWQ", "--model llama-2-70b --weights int4_zp"),
    ],
)
def test_a_quantized_checkpoint_is_not_the_one_in_16_bits(name: str, hint: str) -> None:
    with pytest.raises(CostcalcError, match=hint):
        find_path("models", name)
