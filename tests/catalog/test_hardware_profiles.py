"""Every hardware profile: loads, names its sources, and is plausible."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import median

import pytest

from costcalc.catalog.check import validate
from costcalc.catalog.files import packaged_root
from costcalc.catalog.yaml import load_yaml
from costcalc.hardware.accelerator import Accelerator
from costcalc.units import parse_quantity

FILES = sorted((packaged_root() / "hardware_profiles").glob("*.yaml"))
PROFILES = {file.stem: validate(Accelerator, *load_yaml(file), file) for file in FILES}
EACH = pytest.mark.parametrize("name", PROFILES)


def test_there_are_as_many_as_promised() -> None:
    assert len(PROFILES) >= 55
    assert {profile.vendor for profile in PROFILES.values()} >= {
        "nvidia",
        "amd",
        "google",
        "aws",
        "intel",
        "apple",
    }


def test_no_name_is_given_twice() -> None:
    names = [name for stem, profile in PROFILES.items() for name in (stem, *profile.aliases)]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) for name in names)


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("h100", "h100-sxm"),
        ("a100", "a100-80gb-sxm"),
        ("h200", "h200-sxm"),
        ("h800", "h800-sxm"),
        ("b200", "b200-sxm"),
        ("gb200", "gb200-nvl72"),
        ("4090", "rtx-4090"),
    ],
)
def test_people_say_it_shorter(alias: str, name: str) -> None:
    assert alias in PROFILES[name].aliases


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_files_start_alike(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../docs/schemas/gpu.json"
    assert lines[1].startswith("name: ")
    assert lines[2].startswith("aliases: [")


SOURCED = (
    *(
        "memory",
        "memory_reported",
        "runtime_memory",
        "memory_type",
        "memory_bandwidth",
        "sm_count",
        "l2_cache",
        "scale_up",
    ),
    *("scale_out", "host_link", "node_size", "power", "power_all_in", "released"),
)


@EACH
def test_every_fact_names_its_source(name: str) -> None:
    profile = PROFILES[name]
    sourced = {field for source in profile.sources for field in source.fields}
    facts = {field for field in SOURCED if getattr(profile, field) is not None}
    facts |= {f"peak_flops.{key}" for key in profile.peak_flops.rates()}
    assert facts - sourced == set()
    assert sourced - facts == set(), "a source for a field that is null"
    for source in profile.sources:
        assert source.date >= "2026"
        assert "recalled" not in source.source or source.provenance == "recalled"


@EACH
def test_prices_name_source_and_date(name: str) -> None:
    profile = PROFILES[name]
    for price in [*profile.prices, *filter(None, [profile.price])]:
        assert price.source and "2018" <= price.date <= "2026-11-23"
        assert 0.05 < price.usd_per_gpu_hour < 20
        assert "recalled" not in price.source or price.provenance == "recalled"


@EACH
def test_disputed_facts_stand_beside_the_one_used(name: str) -> None:
    dimensions = {
        "memory": "bytes",
        "memory_reported": "bytes",
        "runtime_memory": "bytes",
        "power": "power",
        "sm_count": "count",
    }
    profile = PROFILES[name]
    for dispute in profile.disputed:
        field, _, part = dispute.field.partition(".")
        value = getattr(profile, field)
        value = getattr(value, part) if part else value
        dimension = dimensions.get(field, "flops" if field == "peak_flops" else "bandwidth")
        dimension = "count" if part == "domain" else dimension
        assert parse_quantity(dispute.used, dimension) == pytest.approx(value, rel=1e-9), dispute.field
        assert parse_quantity(dispute.other, dimension) != value
        assert dispute.sources


@EACH
def test_the_driver_reports_about_what_is_sold(name: str) -> None:
    # Apple's Metal lends the GPU three quarters of unified memory by default; others are 1 GB against 1 GiB
    # (7% more), less what ECC and firmware keep.
    profile = PROFILES[name]
    lent = profile.vendor == "apple" or name == "strix-halo"
    low, high = (0.70, 0.85) if lent else (0.97, 1.09)
    assert low <= profile.usable_memory / profile.memory <= high


@EACH
def test_links_are_one_direction_and_ordered(name: str) -> None:
    profile = PROFILES[name]
    if profile.scale_up and profile.scale_up.bandwidth:
        assert profile.scale_up.bandwidth < profile.memory_bandwidth
        if profile.scale_out and profile.scale_up.technology != "PCIe 3.0 x16":
            assert profile.scale_out.bandwidth <= profile.scale_up.bandwidth
        assert profile.scale_up.domain > 1
    if profile.scale_out:
        assert 1e9 <= profile.scale_out.bandwidth <= 3e11  # 10 Gb/s to 2.4 Tb/s


NO_GPU = {"cpu", "apple", "lpu", "wafer"}


@pytest.mark.parametrize("name", [name for name, each in PROFILES.items() if each.architecture not in NO_GPU])
def test_ridge_points_are_those_of_dense_machines(name: str) -> None:
    assert 20 < PROFILES[name].ridge_point("bf16") < 1000


@EACH
def test_narrower_formats_double_at_most(name: str) -> None:
    # Structured sparsity doubles a rate. A sparse figure in one place shows as a factor of 4 between
    # neighbours. Blackwell Ultra triples fp4 over fp8; Rubin and Trainium 3 quadruple fp8 over bf16.
    rates = PROFILES[name].peak_flops.rates()
    sixteen = max(rates.get("bf16", 0), rates.get("fp16", 0))
    wide = {"vr200-nvl72": 4.4, "trainium3": 3.8}.get(name, 2.1)
    if "fp8" in rates and sixteen:
        assert 0.99 <= rates["fp8"] / sixteen <= wide
    if "fp4" in rates:
        assert 0.99 <= rates["fp4"] / rates["fp8"] <= (4.01 if "GeForce" in PROFILES[name].name else 3.2)
    if "int8" in rates and sixteen and not name.startswith(("b300", "gb300")):
        assert 0.99 <= rates["int8"] / sixteen <= 4.01


@pytest.mark.parametrize(
    ("name", "asked", "used"),
    [
        ("a100-80gb-sxm", "fp8", "bf16"),
        ("v100-32gb", "bf16", "fp16"),
        ("t4", "fp8", "fp16"),
        ("h100-sxm", "fp4", "fp8"),
        ("mi300x", "fp4", "fp8"),
        ("tpu-v4", "fp16", "bf16"),
        ("arc-pro-b60", "fp8", "bf16"),
        ("m3-ultra", "bf16", "fp16"),
        ("p40", "fp16", "fp32"),
        ("p40", "fp8", "fp32"),
        ("p100-16gb-pcie", "bf16", "fp16"),
        ("rtx-3080-10gb", "fp8", "bf16"),
        ("apple-m5", "bf16", "fp16"),
        ("b200-sxm", "fp4", "fp4"),
    ],
)
def test_what_hardware_cannot_do_is_known(name: str, asked: str, used: str) -> None:
    assert PROFILES[name].peak(asked).precision == used


def test_prices_of_the_article_and_of_the_report() -> None:
    # Erdil, Epoch AI, 2025-01-17: $2 per H100-hour. DeepSeek-V3 report, table 1: $2 per H800-hour.
    for name, words in (("h100-sxm", "article"), ("h800-sxm", "report")):
        price = PROFILES[name].price_for(words)
        assert price and price.usd_per_gpu_hour == 2.00


STUDIES = ("market", "SemiAnalysis", "jax-ml", "article", "DeepSeek-V3 report")
HYPERSCALERS = {"AWS", "Azure", "GCP"}


@EACH
def test_sellers_are_told_apart(name: str) -> None:
    for price in PROFILES[name].prices:
        study, large = price.provider.startswith(STUDIES), price.provider in HYPERSCALERS
        assert price.seller == ("study" if study else "hyperscaler" if large else "cloud")


@pytest.mark.parametrize(
    ("name", "usd"),
    [
        ("h100-sxm", 3.24),  # 1.89 2.29 2.95 [2.99 3.49] 3.49 4.29 6.155: Seeweb to CoreWeave
        ("h200-sxm", 4.54),  # 2.60 3.39 3.50 [4.54] 4.59 4.59 6.305
        ("b200-sxm", 6.005),  # 4.89 5.50 [5.98 6.03] 6.69 8.60
        ("mi300x", 2.245),  # [1.99 2.50]: Azure's 6.00 does not count beside clouds
        ("t4", 0.526),  # AWS alone
    ],
)
def test_on_demand_is_the_median_of_what_clouds_list(name: str, usd: float) -> None:
    choice = PROFILES[name].price_for("on-demand")
    assert choice and choice.usd_per_gpu_hour == pytest.approx(usd)
    by_hand: dict[str, float] = {}
    for price in PROFILES[name].prices:
        counts = price.seller == "cloud" or name == "t4"
        if price.kind == "on-demand" and counts and price.date >= ("2026" if name != "t4" else "2025"):
            by_hand[price.provider] = min(price.usd_per_gpu_hour, by_hand.get(price.provider, 1e9))
    assert choice.usd_per_gpu_hour == pytest.approx(median(by_hand.values()))


@EACH
def test_the_default_is_on_demand_where_there_is_such_a_price(name: str) -> None:
    profile = PROFILES[name]
    default = profile.price_for()
    if default is None:
        assert not [price for price in profile.prices if price.provenance != "derived"]
    elif profile.price is None:
        firm = [price.kind for price in profile.prices if price.kind == "on-demand"]
        assert default.kind == "on-demand" if firm else default.kind in ("reserved", "marketplace")


def test_placeholders_never_become_a_default() -> None:
    # InferenceX declares its B300 and GB300 prices to be 1.2 times those of B200 and GB200.
    assert PROFILES["gb300-nvl72"].price_for() is None
    assert PROFILES["b300-sxm"].price_for("on-demand").usd_per_gpu_hour == 6.99  # type: ignore[union-attr]


@pytest.mark.parametrize("words", ["on-demand", "reserved", "spot", "marketplace", "owned", "lambda", "nebius", "aws"])
def test_the_h100_has_a_price_of_every_kind(words: str) -> None:
    choice = PROFILES["h100-sxm"].price_for(words)
    assert choice and choice.source and choice.date
    assert 0.5 < choice.usd_per_gpu_hour < 13


def test_announced_hardware_says_so() -> None:
    announced = {name for name, profile in PROFILES.items() if profile.status == "announced"}
    assert announced == {"vr200-nvl72", "mi455x"}
