"""Hardware profiles against the outside world: published sheets, clocks, memory buses and links."""

from __future__ import annotations

import pytest

from costcalc.catalog.check import validate
from costcalc.catalog.files import packaged_root
from costcalc.catalog.yaml import load_yaml
from costcalc.hardware.accelerator import Accelerator


def profile_of(name: str) -> Accelerator:
    file = packaged_root() / "hardware_profiles" / f"{name}.yaml"
    return validate(Accelerator, *load_yaml(file), file)


# FLOP per clock and multiprocessor of the 16-bit tensor cores, and the boost clock [MHz] of each board.
# Architecture: NVIDIA white papers Volta, Turing, GA100, GA102, Ada, Hopper (which gives a boost clock of
# its own for tensor cores), RTX Blackwell (GeForce parts run 16-bit with fp32 accumulation at half rate);
# AMD CDNA 2 to 4 white papers, per CU. Clocks: the same and TechPowerUp.
CLOCKED = {
    "v100-16gb": (1024, 1530),
    "t4": (1024, 1590),
    "a100-80gb-sxm": (2048, 1410),
    "a100-40gb-pcie": (2048, 1410),
    "a30": (2048, 1440),
    "a10": (1024, 1695),
    "a40": (1024, 1740),
    "rtx-a6000": (1024, 1800),
    "rtx-3090": (512, 1695),
    "l4": (1024, 2040),
    "l40": (512, 2490),
    "rtx-4090": (512, 2520),
    "rtx-6000-ada": (1024, 2505),
    "h100-sxm": (4096, 1830),
    "h200-sxm": (4096, 1830),
    "h800-sxm": (4096, 1830),
    "h100-pcie": (4096, 1620),
    "rtx-5090": (512, 2407),
    "rtx-pro-6000": (1024, 2430),
    "rtx-pro-6000-workstation": (1024, 2617),  # boost clock of the PRO Blackwell white paper
    "strix-halo": (512, 2900),  # WMMA of RDNA 3: 512 FLOP per clock and compute unit
    "a800-80gb-sxm": (2048, 1410),
    "mi250x": (1024, 1700),
    "mi300x": (2048, 2100),
    "mi325x": (2048, 2100),
    "mi355x": (4096, 2400),
    "mi350x": (4096, 2200),
    "arc-pro-b60": (2048, 2400),
    "rtx-3060-12gb": (512, 1777),
    "rtx-3080-10gb": (512, 1710),
    "rtx-4070-ti-super": (512, 2610),
    "rtx-5070-ti": (512, 2452),
    "rtx-5080": (512, 2617),
    "rtx-a5000": (1024, 1695),
    "rtx-5000-ada": (1024, 2550),
    "rtx-pro-6000-max-q": (1024, 2280),
    "rx-7900-xtx": (512, 2499),
    "rx-9070-xt": (1024, 2970),
    "mi100": (1024, 1502),
    "mi60": (256, 1800),  # packed fp16, no matrix units
    "arc-b580": (2048, 2850),
    "jetson-agx-orin": (2048, 1300),
    "v100-32gb-pcie": (1024, 1370),
}


@pytest.mark.parametrize("name", CLOCKED)
def test_peaks_follow_from_multiprocessors_and_clocks(name: str) -> None:
    profile = profile_of(name)
    per_clock, mega_hertz = CLOCKED[name]
    assert profile.sm_count
    assert profile.peak("fp16").flops == pytest.approx(profile.sm_count * per_clock * mega_hertz * 1e6, rel=0.006)


# Bus width [bits] and data rate [Gb/s per pin] of the memory: TechPowerUp's pages, JEDEC grades, the data
# sheets; B200 as its driver reports it (github.com/pytorch/ao/pull/4002).
PINS = {
    "v100-16gb": (4096, 1.752),
    "t4": (256, 10.0),
    "a100-40gb-sxm": (5120, 2.43),
    "a100-80gb-sxm": (5120, 3.186),
    "a100-80gb-pcie": (5120, 3.024),
    "a30": (3072, 2.43),
    "a10": (384, 12.5),
    "a40": (384, 14.5),
    "rtx-a6000": (384, 16.0),
    "rtx-3090": (384, 19.5),
    "l4": (192, 12.5),
    "l40s": (384, 18.0),
    "l20": (384, 18.0),
    "a800-80gb-sxm": (5120, 3.186),
    "rtx-pro-6000-workstation": (512, 28.0),
    "gh200-144gb": (6144, 6.4),
    "strix-halo": (256, 8.0),
    "rtx-4090": (384, 21.0),
    "rtx-6000-ada": (384, 20.0),
    "rtx-5090": (512, 28.0),
    "h100-sxm": (5120, 5.238),
    "h100-nvl": (6016, 5.238),
    "b200-sxm": (7680, 7.992),
    "mi250x": (8192, 3.2),
    "mi300x": (8192, 5.2),
    "mi325x": (8192, 6.0),
    "mi355x": (8192, 8.0),
    "arc-pro-b60": (192, 19.0),
    "rtx-3060-12gb": (192, 15.0),
    "rtx-3080-12gb": (384, 19.0),
    "rtx-4060-ti-16gb": (128, 18.0),
    "rtx-4080-super": (256, 23.0),
    "rtx-5070": (192, 28.0),
    "rtx-5080": (256, 30.0),
    "rtx-5000-ada": (256, 18.0),
    "rx-7900-xt": (320, 20.0),
    "rx-9070-xt": (256, 20.0),
    "arc-a770": (256, 17.5),
    "p40": (384, 7.23),
    "p100-16gb-pcie": (4096, 1.43),
    "mi50-32gb": (4096, 2.0),
    "mi100": (4096, 2.4),
    "h20-141gb": (6144, 6.25),
    "jetson-agx-orin": (256, 6.4),
    "jetson-thor": (256, 8.533),
    "m1-max": (512, 6.4),
    "m3-pro": (192, 6.4),
    "m4-pro": (256, 8.533),
    "m5-max": (512, 9.6),
    "epyc-9654": (768, 4.8),
    "dgx-spark": (256, 8.533),
    "m3-ultra": (1024, 6.4),
    "m4-max": (512, 8.533),
    "epyc-9755": (768, 6.4),
    "xeon-6980p": (768, 8.8),
}


@pytest.mark.parametrize("name", PINS)
def test_bandwidth_follows_from_the_memory_bus(name: str) -> None:
    bits, rate = PINS[name]
    assert profile_of(name).memory_bandwidth == pytest.approx(bits / 8 * rate * 1e9, rel=0.025)


# Links of one device and the bandwidth of each [GB/s, one direction]: NVIDIA NVLink page, AMD CDNA white
# papers, Intel Gaudi data sheets (ports inside the server), the JAX scaling book (TPU chapter).
LINKS = {
    "v100-32gb": (6, 25),
    "a100-80gb-sxm": (12, 25),
    "a800-80gb-sxm": (8, 25),
    "h100-sxm": (18, 25),
    "h200-sxm": (18, 25),
    "h20": (18, 25),
    "h800-sxm": (8, 25),
    "h100-nvl": (12, 25),
    "b200-sxm": (18, 50),
    "gb200-nvl72": (18, 50),
    "vr200-nvl72": (36, 50),
    "mi300x": (7, 64),
    "mi355x": (7, 76.8),
    "gaudi2": (21, 12.5),
    "gaudi3": (21, 25),
    "tpu-v4": (6, 45),
    "tpu-v5e": (4, 45),
    "tpu-v5p": (6, 90),
    "tpu-v6e": (4, 90),
    "l40s": (16, 2),
    "rtx-5090": (16, 4),
}


@pytest.mark.parametrize("name", LINKS)
def test_scale_up_is_the_sum_of_its_links(name: str) -> None:
    links, each = LINKS[name]
    scale_up = profile_of(name).scale_up
    assert scale_up and scale_up.bandwidth == pytest.approx(links * each * 1e9)


# NVIDIA H100 data sheet (2023; halves of the figures marked "with sparsity"), A100 data sheet (2021), L40S
# data sheet (2023), H200 data sheet (2024), DGX B200 and GB200 NVL72 data sheets (totals over 8 and 72,
# halves of sparse), AMD Instinct MI300X data sheet (2023), Intel Gaudi 3 white paper's table of Gaudi 2,
# Google Cloud TPU pages, AWS Neuron hardware pages. Rates in TFLOP/s.
SHEETS = [
    ("h100-sxm", "bf16", 1979 / 2),
    ("h100-sxm", "fp8", 3958 / 2),
    ("h100-sxm", "tf32", 989 / 2),
    ("h100-pcie", "bf16", 1513 / 2),
    ("h100-nvl", "fp8", 3341 / 2),
    ("h200-sxm", "fp8", 3958 / 2),
    ("h20", "fp8", 296),
    ("a100-80gb-sxm", "bf16", 312),
    ("a100-80gb-sxm", "int8", 624),
    ("a30", "bf16", 165),
    ("a10", "bf16", 125),
    ("l4", "fp8", 485 / 2),
    ("l40", "fp8", 724 / 2),
    ("l40s", "bf16", 733 / 2),
    ("l40s", "fp8", 1466 / 2),
    ("rtx-5080", "fp4", 1801 / 2),
    ("rtx-5070-ti", "fp4", 1406 / 2),
    ("rtx-a4000", "fp16", 153.4 / 2),
    ("rtx-a5000", "fp16", 222.2 / 2),
    ("rtx-5000-ada", "fp8", 1044.4 / 2),
    ("rx-9070-xt", "fp16", 195),
    ("radeon-ai-pro-r9700", "fp8", 383),
    ("jetson-thor", "fp4", 2070 / 2),
    ("b200-sxm", "fp4", 72000 / 8),
    ("b200-sxm", "fp8", 72000 / 2 / 8),
    ("gb200-nvl72", "fp4", 1440000 / 2 / 72),
    ("gb200-nvl72", "fp8", 720000 / 2 / 72),
    ("gb200-nvl72", "bf16", 360000 / 2 / 72),
    ("gb200-nvl72", "fp64", 2880 / 72),
    ("rtx-5090", "fp4", 3352 / 2),
    ("rtx-4090", "int8", 1321 / 2),
    ("mi300x", "bf16", 1307.4),
    ("mi300x", "fp8", 2614.9),
    ("gaudi2", "fp8", 865),
    ("tpu-v5e", "bf16", 197),
    ("tpu-v5p", "bf16", 459),
    ("tpu-v6e", "bf16", 918),
    ("tpu-v7x", "fp8", 4614),
    ("trainium2", "bf16", 667),
    ("trainium2", "fp8", 1299),
    ("inferentia2", "bf16", 190),
]


@pytest.mark.parametrize(("name", "precision", "tera"), SHEETS)
def test_peaks_are_the_dense_ones_of_the_sheets(name: str, precision: str, tera: float) -> None:
    peak = profile_of(name).peak(precision)
    assert peak.precision == precision
    assert peak.flops == pytest.approx(tera * 1e12, rel=0.015)
