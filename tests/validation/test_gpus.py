"""GPUs as sources spell them."""

from __future__ import annotations

import pytest

from costcalc.catalog.catalog import Catalog
from costcalc.errors import CostcalcError
from costcalc.validation.files import find_gpu


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("H100-SXM5-80GB", "h100-sxm"),
        ("H100-80GB", "h100-sxm"),
        ("H100-PCIe", "h100-pcie"),
        ("H100 PCIe 80GB", "h100-pcie"),
        ("H100-NVL", "h100-nvl"),
        ("A100-SXM4-80GB", "a100-80gb-sxm"),
        ("A100-80GB", "a100-80gb-sxm"),
        ("A100-SXM4-40GB", "a100-40gb-sxm"),
        ("A100-PCIe-40GB", "a100-40gb-pcie"),
        ("H200-SXM-141GB", "h200-sxm"),
        ("B200-SXM-180GB", "b200-sxm"),
        ("B300-SXM", "b300-sxm"),
        ("GB200", "gb200-nvl72"),
        ("GB300-NVL72", "gb300-nvl72"),
        ("L40S", "l40s"),
        ("NVIDIA L4", "l4"),
        ("RTX-PRO-6000-SE", "rtx-pro-6000"),
        ("NVIDIA GeForce RTX 5090", "rtx-5090"),
        ("A40", "a40"),
        ("H20", "h20"),
        ("MI325X", "mi325x"),
        ("AMD Instinct MI300X", "mi300x"),
        ("MI355X", "mi355x"),
        ("Tesla V100-SXM2-32GB", "v100-32gb"),
    ],
)
def test_spellings(spelling, name):
    assert find_gpu(spelling, Catalog())[0] == name


@pytest.mark.parametrize("spelling", ["", "H900", "GPU", "SXM"])
def test_unknown_gpus_are_not_guessed(spelling):
    with pytest.raises(CostcalcError):
        find_gpu(spelling, Catalog())
